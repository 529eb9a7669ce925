/* Spelled-out activations; see recognise.h.
 *
 * All are products of x and a gate, factor * f(slope x + shift) + offset, with f the sigmoid, the ramp clip(., 0, 1), erf,
 * tanh(softplus(.)) or tanh(. + 0.044715 .^3), where that ^3 is of x and the slope stands before all. Factors stand before the
 * product, behind it or in it, as exporters put them; what only scales and shifts is therefore gathered into four numbers, and
 * these are compared. */
#include "graph/recognise.h"
#include "graph/operations.h"
#include <math.h>

struct match {
    const struct ph_graph *graph;
    const bool *kept;
    const int *uses;
    int whole; /* the value that the expression is to make */
};

/* A value is factor * base + offset. */
struct affine { double factor, offset; int base; };

/* factor * f(slope * x + shift) + offset, where f is `function`, of `inner` if that is not NULL; hard_sigmoid stands for the
 * ramp, an inner pow for x + 0.044715 x^3. */
struct gate {
    const struct ph_operation *function, *inner;
    double factor, offset, slope, shift;
    int x;
};

#define CUBIC_SHARE 0.044715
#define CUBIC_SLOPE 0.79788456080286535588 /* sqrt(2 / pi) */

struct form { const struct ph_operation *operation; struct gate gate; struct ph_activation_attributes attributes; };

static const struct form forms[] = {
    {&ph_operation_silu, {&ph_operation_sigmoid, NULL, 1, 0, 1, 0, 0}, {0}},
    {&ph_operation_hard_swish, {&ph_operation_hard_sigmoid, NULL, 1, 0, 1.0 / 6, 0.5, 0}, {0}},
    {&ph_operation_gelu, {&ph_operation_erf, NULL, 0.5, 0.5, 0.70710678118654752440, 0, 0}, {0}},
    {&ph_operation_gelu, {&ph_operation_tanh, &ph_operation_pow, 0.5, 0.5, CUBIC_SLOPE, 0, 0}, {.tanh = true}},
    {&ph_operation_mish, {&ph_operation_tanh, &ph_operation_softplus, 1, 0, 1, 0, 0}, {0}}};

/* The node behind a value that is read by what comes next alone. */
static const struct ph_node *maker_of(const struct match *m, int value) {
    int n = m->graph->values[value].node;
    if (n == PH_ABSENT || (value != m->whole && (m->kept[value] || m->uses[value] != 1))) return NULL;
    return &m->graph->nodes[n];
}

static bool is_scalar(const struct ph_graph *graph, int value) {
    const struct ph_value *record = &graph->values[value];
    return record->data && record->type == PH_FLOAT && ph_shape_size(&record->shape) == 1;
}

/* Takes `whole` from the node's output to its input, if the node only scales or shifts that by a number. */
static ph_status step_back(const struct ph_graph *graph, const struct ph_node *node, struct affine *whole, bool *stepped) {
    bool add = node->operation == &ph_operation_add, subtract = node->operation == &ph_operation_sub;
    bool multiply = node->operation == &ph_operation_mul, divide = node->operation == &ph_operation_div;
    *stepped = false;
    if (!(add || subtract || multiply || divide)) return PH_OK;
    int which = is_scalar(graph, node->inputs[1]) ? 1 : 0, other = node->inputs[1 - which];
    if (!is_scalar(graph, node->inputs[which]) || (divide && which == 0) || graph->values[other].data ||
        !ph_shape_equal(&graph->values[other].shape, &graph->values[node->outputs[0]].shape))
        return PH_OK;
    PH_TRY(ph_value_load(&graph->values[node->inputs[which]]));
    double number = *(const float *)graph->values[node->inputs[which]].data;
    if (add || subtract) whole->offset += whole->factor * (subtract && which == 1 ? -number : number);
    if (subtract && which == 0) whole->factor = -whole->factor;
    if (multiply) whole->factor *= number;
    if (divide) whole->factor /= number;
    whole->base = other;
    *stepped = true;
    return PH_OK;
}

static ph_status affine_of(const struct match *m, int value, struct affine *whole) {
    *whole = (struct affine){1, 0, value};
    bool stepped = true;
    for (const struct ph_node *node; stepped && (node = maker_of(m, whole->base));)
        PH_TRY(step_back(m->graph, node, whole, &stepped));
    return PH_OK;
}

/* Numbers in files are floats, rounded from what was meant. */
static bool is_near(double a, double b) { return fabs(a - b) <= 1e-6; }

/* A polynomial in the value x up to its third power; x is PH_ABSENT while it is a number. */
struct polynomial { double c[4]; int x; };

static bool polynomial_combine(const struct ph_operation *operation, const struct polynomial *a, const struct polynomial *b,
                               struct polynomial *out) {
    *out = (struct polynomial){.x = a->x == PH_ABSENT ? b->x : a->x};
    if (b->x != PH_ABSENT && b->x != out->x) return false;
    if (operation == &ph_operation_add || operation == &ph_operation_sub) {
        for (int i = 0; i < 4; i++) out->c[i] = a->c[i] + (operation == &ph_operation_add ? b->c[i] : -b->c[i]);
    } else if (operation == &ph_operation_mul) {
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) {
                if (i + j < 4) out->c[i + j] += a->c[i] * b->c[j];
                else if (a->c[i] * b->c[j] != 0) return false;
            }
    } else { /* pow */
        int power = (int)b->c[0];
        if (b->x != PH_ABSENT || power != b->c[0] || power < 1 || power > 3) return false;
        struct polynomial step, whole = *a;
        for (int i = 1; i < power; i++, whole = step)
            if (!polynomial_combine(&ph_operation_mul, &whole, a, &step)) return false;
        *out = whole;
    }
    return true;
}

/* The value as a polynomial in one that more than this reads; else *found is false. */
static ph_status polynomial_of(const struct match *m, int value, int depth, struct polynomial *out, bool *found) {
    *found = true;
    if (is_scalar(m->graph, value)) {
        PH_TRY(ph_value_load(&m->graph->values[value]));
        *out = (struct polynomial){{*(const float *)m->graph->values[value].data}, PH_ABSENT};
        return PH_OK;
    }
    const struct ph_node *node = maker_of(m, value);
    *out = (struct polynomial){{0, 1}, value};
    if (!node || !depth || (node->operation != &ph_operation_add && node->operation != &ph_operation_sub &&
                            node->operation != &ph_operation_mul && node->operation != &ph_operation_pow))
        return PH_OK;
    struct polynomial a, b;
    PH_TRY(polynomial_of(m, node->inputs[0], depth - 1, &a, found));
    if (*found) PH_TRY(polynomial_of(m, node->inputs[1], depth - 1, &b, found));
    *found = *found && polynomial_combine(node->operation, &a, &b, out);
    return PH_OK;
}

/* Whether the value is slope * (x + 0.044715 x^3). */
static ph_status cubic_read(const struct match *m, int value, double *slope, int *x, bool *found) {
    enum { DEEPEST = 8 };
    struct polynomial p;
    PH_TRY(polynomial_of(m, value, DEEPEST, &p, found));
    *found = *found && p.x != PH_ABSENT && p.c[0] == 0 && p.c[2] == 0 && p.c[1] != 0 && is_near(p.c[3] / p.c[1], CUBIC_SHARE);
    *slope = p.c[1];
    *x = p.x;
    return PH_OK;
}

/* clip(u, low, high) is low + (high - low) ramp((u - low) / (high - low)). */
static void ramp_make(const struct ph_activation_attributes *a, struct gate *gate) {
    double height = a->high - a->low;
    gate->function = &ph_operation_hard_sigmoid;
    gate->offset += gate->factor * a->low;
    gate->factor *= height;
    gate->slope /= height;
    gate->shift = (gate->shift - a->low) / height;
}

/* What a tanh is of, if that is a softplus or the cubic; *argument is left as it is if not. */
static ph_status tanh_read(const struct match *m, int value, struct affine *argument, const struct ph_operation **inner) {
    const struct ph_node *node = maker_of(m, value);
    if (node && node->operation == &ph_operation_softplus) {
        *inner = node->operation;
        return affine_of(m, node->inputs[0], argument);
    }
    struct affine cubic = {.offset = 0};
    bool found;
    PH_TRY(cubic_read(m, value, &cubic.factor, &cubic.base, &found));
    if (!found) return PH_OK;
    *argument = cubic;
    *inner = &ph_operation_pow;
    return PH_OK;
}

/* Whether the value is made as a gate. */
static ph_status gate_read(const struct match *m, int value, struct gate *gate, bool *found) {
    struct affine outer, argument;
    *found = false;
    PH_TRY(affine_of(m, value, &outer));
    const struct ph_node *node = maker_of(m, outer.base);
    if (!node || node->input_count != 1) return PH_OK;
    PH_TRY(affine_of(m, node->inputs[0], &argument));
    const struct ph_operation *inner = NULL;
    if (node->operation == &ph_operation_tanh) PH_TRY(tanh_read(m, node->inputs[0], &argument, &inner));
    *gate = (struct gate){node->operation, inner, outer.factor, outer.offset, argument.factor, argument.offset, argument.base};
    const struct ph_activation_attributes *a = node->attributes;
    if (node->operation == &ph_operation_clip) ramp_make(a, gate);
    else if (node->operation == &ph_operation_hard_sigmoid) {
        gate->slope *= a->alpha;
        gate->shift = gate->shift * a->alpha + a->beta;
    }
    *found = true;
    return PH_OK;
}

static const struct form *form_find(const struct gate *gate) {
    for (int i = 0; i < PH_COUNT(forms); i++) {
        const struct gate *form = &forms[i].gate;
        if (gate->function == form->function && gate->inner == form->inner && is_near(gate->factor, form->factor) &&
            is_near(gate->offset, form->offset) && is_near(gate->slope, form->slope) && is_near(gate->shift, form->shift))
            return &forms[i];
    }
    return NULL;
}

/* The activation that makes the value, and of what; NULL: none. */
static ph_status product_read(const struct match *m, const struct form **form, int *x) {
    struct affine whole, plain;
    PH_TRY(affine_of(m, m->whole, &whole));
    const struct ph_node *product = maker_of(m, whole.base);
    *form = NULL;
    if (!product || whole.offset != 0 || product->operation != &ph_operation_mul) return PH_OK;
    for (int k = 0; k < 2 && !*form; k++) {
        struct gate gate;
        bool found;
        PH_TRY(affine_of(m, product->inputs[k], &plain));
        PH_TRY(gate_read(m, product->inputs[1 - k], &gate, &found));
        if (!found || plain.offset != 0 || plain.base != gate.x) continue;
        gate.factor *= whole.factor * plain.factor;
        gate.offset *= whole.factor * plain.factor;
        *form = form_find(&gate);
        *x = gate.x;
    }
    return PH_OK;
}

ph_status ph_activations_recognise(struct ph_graph *graph, const bool *live, const bool *kept, const int *uses,
                                   struct ph_pool *pool) {
    /* Last first: what stands behind a product may still belong to it. */
    for (int n = graph->node_count - 1; n >= 0; n--) {
        struct ph_node *node = &graph->nodes[n];
        if (!live[n] || (node->operation != &ph_operation_mul && node->operation != &ph_operation_div)) continue;
        struct match m = {graph, kept, uses, node->outputs[0]};
        const struct form *form;
        int x;
        PH_TRY(product_read(&m, &form, &x));
        if (!form || graph->values[x].type != PH_FLOAT ||
            !ph_shape_equal(&graph->values[x].shape, &graph->values[m.whole].shape))
            continue;
        const int *inputs = ph_pool_copy(pool, &x, sizeof x);
        if (!inputs) return ph_fail_memory(graph->context);
        *node = (struct ph_node){.operation = form->operation, .name = node->name, .input_count = 1, .inputs = inputs,
            .attributes = form->operation->attributes_size ? &form->attributes : NULL, .output_count = 1, .outputs = node->outputs};
    }
    return PH_OK;
}
