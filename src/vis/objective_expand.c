/* Lists of units and of positions: one objective that names several becomes several that name one each. */
#include "vis/vis.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Terms that name several units: how many there are, the first of them, and the joined network that it is about. */
struct lists { int count; const struct ph_term *first; const char *network; };

static void lists_find(const struct ph_sum *sum, const char *network, struct lists *lists) {
    for (const struct ph_term *term = sum->first; term; term = term->next) {
        const char *inner = network;
        if (term->units_end > term->units_begin && !lists->count++) lists->first = term, lists->network = network;
        for (int i = 0; term->type->parameters[i].name; i++) {
            if (term->type->parameters[i].kind == PH_ARGUMENT_NETWORK) inner = term->arguments[i].name;
            lists_find(&term->arguments[i].expression, inner, lists);
        }
    }
}

static struct lists lists_of(const struct ph_objective *objective) {
    struct lists lists = {0};
    lists_find(&objective->sum, NULL, &lists);
    return lists;
}

ph_status ph_objective_check_single(ph_context *context, const struct ph_objective *objective) {
    if (!lists_of(objective).count) return PH_OK;
    return ph_fail(context, PH_ERROR_ARGUMENT,
                   "objective '%s' names several units: expand it to one objective for each first", objective->text);
}

/* What a list may name: units, or the positions at which a layer sees a picture. */
struct extent { int64_t count, columns; /* 0: units */ };

static ph_status layer_of(const ph_model *model, const struct ph_term *term, const char **layer) {
    bool class = term->type == &ph_term_class || term->type == &ph_term_probability;
    *layer = class ? model->logits ? model->logits : model->probabilities
             : term->name ? term->name : term->arguments[0].name;
    return *layer ? PH_OK : ph_fail(model->context, PH_ERROR_NOT_FOUND, "the network has no layer of classes");
}

static ph_status extent_read(const ph_model *model, const struct ph_term *term, const char *layer,
                             const struct ph_shape *shape, struct extent *extent) {
    bool positions = term->type->function;
    if (shape->rank < 2 || (positions && shape->rank != 4))
        return ph_fail(model->context, PH_ERROR_SHAPE, "layer '%s' has no %s", layer,
                       positions ? "columns and rows" : "channels");
    *extent = positions ? (struct extent){shape->dims[2] * shape->dims[3], shape->dims[3]}
                        : (struct extent){shape->dims[1], 0};
    return PH_OK;
}

static ph_status extent_find(const ph_model *model, const struct ph_term *term, struct extent *extent) {
    struct ph_graph *graph = NULL;
    const char *layer;
    int input, value;
    PH_TRY(layer_of(model, term, &layer));
    ph_status status = ph_graph_create(model->context, &graph);
    if (!status) status = ph_graph_add_input(graph, NULL, PH_FLOAT, model->default_input, &input);
    if (!status) status = ph_model_build(model, graph, input);
    if (!status) status = ph_model_find_layer(model, graph, layer, &value);
    if (!status) status = extent_read(model, term, layer, &graph->values[value].shape, extent);
    ph_graph_destroy(&graph);
    return status;
}

/* The next run of units in "0-31,40": false at the end. */
static bool range_next(const char **at, const char *end, int64_t *first, int64_t *last) {
    int64_t *numbers[2] = {first, last};
    if (*at >= end) return false;
    *first = 0;
    for (int i = 0; i < 2; i++) {
        int64_t value = 0;
        for (; *at < end && isdigit((unsigned char)**at); ++*at)
            if (value <= INT32_MAX) value = 10 * value + (**at - '0');
        *numbers[i] = value;
        if (i == 0) *last = value;
        if (*at >= end || *(*at)++ == ',') break;
    }
    return true;
}

/* The text with one unit, or one position, in the list's place. */
static void unit_print(char *out, size_t size, const char *text, int begin, const char *end, int64_t unit,
                       int64_t columns) {
    char name[32];
    if (columns) snprintf(name, sizeof name, "%d,%d", (int)(unit % columns), (int)(unit / columns));
    else snprintf(name, sizeof name, "%d", (int)unit);
    snprintf(out, size, "%.*s%s%s", begin, text, name, end);
}

static ph_status expand_list(ph_model *model, const struct ph_objective *objective, const struct lists *lists,
                             char ***out, int *out_count) {
    const struct ph_term *term = lists->first;
    const ph_model *network = model;
    const struct ph_joined *joined;
    if (lists->network) {
        PH_TRY(ph_model_find_joined(model, lists->network, &joined));
        network = joined->model;
    }
    const char *begin = objective->text + term->units_begin, *end = objective->text + term->units_end, *at = begin;
    struct extent extent = {0};
    int64_t first, last, count = 0;
    PH_TRY(extent_find(network, term, &extent));
    if (*begin == '*') count = extent.count;
    while (*begin != '*' && range_next(&at, end, &first, &last)) {
        if (first > last || last >= extent.count)
            return ph_fail(model->context, PH_ERROR_NOT_FOUND,
                           "objective '%s', character %d: units %lld to %lld do not exist; there are 0 to %lld",
                           objective->text, term->units_begin + 1, (long long)first, (long long)last,
                           (long long)extent.count - 1);
        count += last - first + 1;
    }
    if (count > 1 << 24 || count < 1)
        return ph_fail(model->context, PH_ERROR_ARGUMENT, "objective '%s' names %lld units", objective->text,
                       (long long)count);

    size_t length = strlen(objective->text) + 32; /* two numbers of at most ten digits */
    char **list = ph_alloc_array((size_t)count, sizeof *list + length);
    if (!list) return ph_fail_memory(model->context);
    char *text = (char *)(list + count);
    int made = 0;
    at = begin;
    bool all = *begin == '*';
    first = 0, last = extent.count - 1;
    while (all || range_next(&at, end, &first, &last)) {
        for (int64_t unit = first; unit <= last; unit++, text += length) {
            unit_print(text, length, objective->text, term->units_begin, end, unit, extent.columns);
            list[made++] = text;
        }
        if (all) break;
    }
    *out = list;
    *out_count = made;
    return PH_OK;
}

ph_status ph_objective_expand(ph_model *model, const char *text, char ***objectives, int *count) {
    if (!model || !objectives || !count) return PH_ERROR_ARGUMENT;
    struct ph_objective objective;
    PH_TRY(ph_objective_parse(model->context, text, &objective));
    struct lists lists = lists_of(&objective);
    ph_status status = PH_OK;
    if (lists.count > 1) {
        status = ph_fail(model->context, PH_ERROR_ARGUMENT, "objective '%s' has more than one list of units", text);
    } else if (lists.count == 1) {
        status = expand_list(model, &objective, &lists, objectives, count);
    } else {
        size_t length = strlen(text) + 1;
        char **list = ph_alloc(sizeof *list + length);
        if (list) {
            list[0] = memcpy(list + 1, text, length);
            *objectives = list;
            *count = 1;
        } else {
            status = ph_fail_memory(model->context);
        }
    }
    ph_objective_finish(&objective);
    return status;
}

void ph_string_list_destroy(char ***list, int count) {
    (void)count;
    if (!list) return;
    ph_free(*list);
    *list = NULL;
}
