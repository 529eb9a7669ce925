/* Spelled-out activations; see recognise.h.
 *
 * All are products of x and a gate, factor * f(slope x + shift) + offset, with f the sigmoid, the ramp clip(., 0, 1), erf or
 * tanh(softplus(.)). Factors stand before the product, behind it or in it, as exporters put them; what only scales and shifts
 * is therefore gathered into four numbers, and these are compared. */
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
 * ramp. */
struct gate {
    const struct ph_operation *function, *inner;
    double factor, offset, slope, shift;
    int x;
};

static const struct { const struct ph_operation *operation; struct gate gate; } forms[] = {
    {&ph_operation_silu, {&ph_operation_sigmoid, NULL, 1, 0, 1, 0, 0}},
    {&ph_operation_hard_swish, {&ph_operation_hard_sigmoid, NULL, 1, 0, 1.0 / 6, 0.5, 0}},
    {&ph_operation_gelu, {&ph_operation_erf, NULL, 0.5, 0.5, 0.70710678118654752440, 0, 0}},
    {&ph_operation_mish, {&ph_operation_tanh, &ph_operation_softplus, 1, 0, 1, 0, 0}}};
static const struct ph_activation_attributes exact; /* gelu by erf */

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

/* clip(u, low, high) is low + (high - low) ramp((u - low) / (high - low)). */
static void ramp_make(const struct ph_activation_attributes *a, struct gate *gate) {
    double height = a->high - a->low;
    gate->function = &ph_operation_hard_sigmoid;
    gate->offset += gate->factor * a->low;
    gate->factor *= height;
    gate->slope /= height;
    gate->shift = (gate->shift - a->low) / height;
}

/* Whether the value is made as a gate. */
static ph_status gate_read(const struct match *m, int value, struct gate *gate, bool *found) {
    struct affine outer, argument;
    *found = false;
    PH_TRY(affine_of(m, value, &outer));
    const struct ph_node *node = maker_of(m, outer.base);
    if (!node || node->input_count != 1) return PH_OK;
    PH_TRY(affine_of(m, node->inputs[0], &argument));
    const struct ph_node *inner = node->operation == &ph_operation_tanh ? maker_of(m, argument.base) : NULL;
    if (inner && (inner->operation != &ph_operation_softplus || argument.factor != 1 || argument.offset != 0)) return PH_OK;
    if (inner) PH_TRY(affine_of(m, inner->inputs[0], &argument));
    *gate = (struct gate){node->operation, inner ? inner->operation : NULL, outer.factor, outer.offset, argument.factor,
                          argument.offset, argument.base};
    const struct ph_activation_attributes *a = node->attributes;
    if (node->operation == &ph_operation_clip) ramp_make(a, gate);
    else if (node->operation == &ph_operation_hard_sigmoid) {
        gate->slope *= a->alpha;
        gate->shift = gate->shift * a->alpha + a->beta;
    }
    *found = true;
    return PH_OK;
}

/* Numbers in files are floats, rounded from what was meant. */
static bool is_near(double a, double b) { return fabs(a - b) <= 1e-6; }

static const struct ph_operation *form_find(const struct gate *gate) {
    for (int i = 0; i < PH_COUNT(forms); i++) {
        const struct gate *form = &forms[i].gate;
        if (gate->function == form->function && gate->inner == form->inner && is_near(gate->factor, form->factor) &&
            is_near(gate->offset, form->offset) && is_near(gate->slope, form->slope) && is_near(gate->shift, form->shift))
            return forms[i].operation;
    }
    return NULL;
}

/* The activation that makes the value, and of what; NULL: none. */
static ph_status product_read(const struct match *m, const struct ph_operation **operation, int *x) {
    struct affine whole, plain;
    PH_TRY(affine_of(m, m->whole, &whole));
    const struct ph_node *product = maker_of(m, whole.base);
    *operation = NULL;
    if (!product || whole.offset != 0 || product->operation != &ph_operation_mul) return PH_OK;
    for (int k = 0; k < 2 && !*operation; k++) {
        struct gate gate;
        bool found;
        PH_TRY(affine_of(m, product->inputs[k], &plain));
        PH_TRY(gate_read(m, product->inputs[1 - k], &gate, &found));
        if (!found || plain.offset != 0 || plain.base != gate.x) continue;
        gate.factor *= whole.factor * plain.factor;
        gate.offset *= whole.factor * plain.factor;
        *operation = form_find(&gate);
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
        const struct ph_operation *operation;
        int x;
        PH_TRY(product_read(&m, &operation, &x));
        if (!operation || graph->values[x].type != PH_FLOAT ||
            !ph_shape_equal(&graph->values[x].shape, &graph->values[m.whole].shape))
            continue;
        const int *inputs = ph_pool_copy(pool, &x, sizeof x);
        if (!inputs) return ph_fail_memory(graph->context);
        *node = (struct ph_node){.operation = operation, .name = node->name, .input_count = 1, .inputs = inputs,
            .attributes = operation->attributes_size ? &exact : NULL, .output_count = 1, .outputs = node->outputs};
    }
    return PH_OK;
}
