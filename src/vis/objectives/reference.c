/* Files that objectives name: arrays, and pictures as a layer sees them. What was read once serves all graphs of a call. */
#include "vis/objectives/nodes.h"
#include "vis/vis.h"
#include <float.h>
#include <stdio.h>
#include <string.h>

struct ph_reference {
    struct ph_reference *next;
    char *key;
    ph_tensor *tensor;
};

void ph_references_finish(struct ph_references *references) {
    for (struct ph_reference *at = references->first, *next; at; at = next) {
        next = at->next;
        ph_tensor_destroy(&at->tensor);
        ph_free(at->key);
        ph_free(at);
    }
    references->first = NULL;
}

static const ph_tensor *reference_find(const struct ph_references *references, const char *key) {
    for (const struct ph_reference *at = references->first; at; at = at->next)
        if (!strcmp(at->key, key)) return at->tensor;
    return NULL;
}

/* Takes the tensor over, also on failure; key is taken over too. */
static ph_status reference_add(const struct ph_objective_scope *scope, char *key, ph_tensor *tensor) {
    struct ph_reference *made = ph_alloc(sizeof *made);
    if (!made) {
        ph_tensor_destroy(&tensor);
        ph_free(key);
        return ph_fail_memory(scope->graph->context);
    }
    *made = (struct ph_reference){scope->references->first, key, tensor};
    scope->references->first = made;
    return PH_OK;
}

static bool is_array(const char *path) {
    size_t length = strlen(path);
    return length > 4 && !strcmp(path + length - 4, ".npy");
}

ph_status ph_term_array(const struct ph_objective_scope *scope, const char *path, const ph_tensor **tensor) {
    ph_tensor *loaded = NULL;
    if ((*tensor = reference_find(scope->references, path))) return PH_OK;
    PH_TRY(ph_tensor_load(scope->graph->context, path, &loaded));
    char *key = ph_strdup(path);
    if (!key) {
        ph_tensor_destroy(&loaded);
        return ph_fail_memory(scope->graph->context);
    }
    PH_TRY(reference_add(scope, key, loaded));
    *tensor = loaded;
    return PH_OK;
}

/* ---- Pictures ------------------------------------------------------------------------------------------------------- */

/* The layer's values for a picture that is seen as the one in work, but through no random transform. */
static ph_status seen_run(const struct ph_objective_scope *scope, const ph_picture *picture, const char *layer,
                          struct ph_graph *graph, ph_tensor **tensor) {
    struct ph_program *program = NULL;
    int input, value;
    PH_TRY(ph_graph_add_input(graph, NULL, PH_FLOAT, PH_SHAPE(1, picture->channels, picture->height, picture->width),
                              &input));
    PH_TRY(ph_view_build(graph, scope->view, (int)scope->recipe->border, input, PH_ABSENT, &value));
    PH_TRY(ph_preprocessing_build(scope->model, graph, value, &value));
    int first_node = graph->node_count;
    PH_TRY(ph_model_build(scope->model, graph, value));
    ph_pooling_swap(graph, scope->recipe, first_node);
    PH_TRY(ph_model_find_layer(scope->model, graph, layer, &value));
    /* Of a render that is to come: the first program chooses for all what computes them. */
    struct ph_program_request request = {.taps = &value, .tap_count = 1, .loss = PH_ABSENT, .runs = scope->recipe->steps};
    ph_status status = ph_program_create(graph, &request, &program);
    if (!status) {
        float *fed = ph_program_input(program, input); /* NULL where the layer does not depend on it */
        size_t size = (size_t)picture->channels * (size_t)picture->height * (size_t)picture->width;
        if (fed) memcpy(fed, picture->pixels, size * sizeof *fed);
        status = ph_program_forward(program);
    }
    const struct ph_shape *shape = &graph->values[value].shape;
    if (!status) status = ph_tensor_create(graph->context, shape->rank, shape->dims, tensor);
    if (!status) ph_program_read(program, value, (*tensor)->data);
    ph_program_destroy(&program);
    return status;
}

static ph_status picture_seen(const struct ph_objective_scope *scope, const char *path, const char *layer,
                              ph_tensor **tensor) {
    const struct ph_view *view = scope->view;
    ph_context *context = scope->graph->context;
    ph_picture *picture = NULL;
    struct ph_graph *graph = NULL;
    if (view->channels != 1 && view->channels != 3)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "%s: pictures are for networks of 1 or 3 channels, not %d", path,
                       view->channels);
    ph_status status = ph_picture_load_covering(context, path, view->channels, view->height, view->width, &picture);
    if (!status) status = ph_graph_create(context, &graph);
    if (!status) status = seen_run(scope, picture, layer, graph, tensor);
    ph_graph_destroy(&graph);
    ph_picture_destroy(&picture);
    return status;
}

static ph_status picture_alone(const struct ph_objective_scope *scope, const char *path, const char *layer,
                               ph_tensor **tensor) {
    ph_picture *picture = NULL;
    PH_TRY(ph_picture_load(scope->graph->context, path, &picture));
    ph_status status = ph_activations((ph_model *)scope->model, picture, "crop", layer, tensor);
    ph_picture_destroy(&picture);
    return status;
}

ph_status ph_term_activations(const struct ph_objective_scope *scope, const char *path, const char *layer,
                              enum ph_reference_size size, const ph_tensor **tensor) {
    const struct ph_view *view = size == PH_REFERENCE_AS_SEEN ? scope->view : NULL;
    char *key = ph_sprintf("%s\n%s\n%s\n%dx%d in %dx%d", scope->model->sha256, path, layer, view ? view->width : 0, view ? view->height : 0,
                           view ? view->input_width : 0, view ? view->input_height : 0);
    ph_tensor *made = NULL;
    if (!key) return ph_fail_memory(scope->graph->context);
    *tensor = reference_find(scope->references, key);
    if (*tensor) {
        ph_free(key);
        return PH_OK;
    }
    ph_status status = (view ? picture_seen : picture_alone)(scope, path, layer, &made);
    if (status) {
        ph_free(key);
        ph_tensor_destroy(&made);
        return status;
    }
    PH_TRY(reference_add(scope, key, made));
    *tensor = made;
    return PH_OK;
}

/* ---- Targets and masks: a layer, or a part of it -------------------------------------------------------------------- */

/* What an argument names of one entry of a layer: all of it, a channel, a region. */
struct part { struct ph_shape layer, shape; int64_t start[PH_MAX_RANK]; };

/* The layer is known to have what is named. */
static struct part part_of(const struct ph_argument *argument, const struct ph_shape *layer) {
    struct part part = {.layer = *layer};
    part.layer.dims[0] = 1;
    part.shape = part.layer;
    if (argument->one_channel) part.start[1] = argument->channel, part.shape.dims[1] = 1;
    if (argument->region.given) {
        part.start[2] = argument->region.rows[0];
        part.start[3] = argument->region.columns[0];
        part.shape.dims[2] = argument->region.rows[1] - argument->region.rows[0] + 1;
        part.shape.dims[3] = argument->region.columns[1] - argument->region.columns[0] + 1;
    }
    return part;
}

/* Axes of size 1 do not matter. */
static bool same_extent(const ph_tensor *tensor, const struct ph_shape *shape) {
    int i = 0, j = 0;
    for (;;) {
        while (i < tensor->rank && tensor->dims[i] == 1) i++;
        while (j < shape->rank && shape->dims[j] == 1) j++;
        if (i == tensor->rank || j == shape->rank) return i == tensor->rank && j == shape->rank;
        if (tensor->dims[i++] != shape->dims[j++]) return false;
    }
}

/* Elements of `data`, of shape `from`, at the part's places; axes of `from` that are 1 serve all places. */
static void part_copy(const struct part *part, const struct ph_shape *from, const int64_t *start, const float *data,
                      float *out) {
    int64_t at[PH_MAX_RANK] = {0}, size = ph_shape_size(&part->shape);
    for (int64_t n = 0; n < size; n++) {
        int64_t index = 0;
        for (int i = 0; i < from->rank; i++)
            index = index * from->dims[i] + (from->dims[i] == 1 ? 0 : at[i] + start[i]);
        out[n] = data[index];
        for (int i = part->shape.rank - 1; i >= 0 && ++at[i] == part->shape.dims[i]; i--) at[i] = 0;
    }
}

/* Takes what is wanted from an array that has the layer's shape or the part's; without channels, where that is allowed. */
static ph_status part_take(const struct ph_objective_scope *scope, const char *path, const ph_tensor *tensor,
                           const struct part *part, bool channels_optional, float *out) {
    static const int64_t nowhere[PH_MAX_RANK];
    char layer[128], shape[128], found[128];
    for (int i = 0; i < (channels_optional ? 4 : 2); i++) {
        struct ph_shape from = i % 2 ? part->shape : part->layer;
        if (i >= 2 && from.rank > 1) from.dims[1] = 1;
        if (!same_extent(tensor, &from)) continue;
        part_copy(part, &from, i % 2 ? nowhere : part->start, tensor->data, out);
        return PH_OK;
    }
    struct ph_shape own = {.rank = tensor->rank};
    memcpy(own.dims, tensor->dims, sizeof own.dims);
    bool whole = ph_shape_equal(&part->layer, &part->shape);
    return ph_fail(scope->graph->context, PH_ERROR_SHAPE, "%s: the layer is of shape %s here%s%s, and the file's %s", path,
                   ph_shape_text(&part->layer, layer), whole ? "" : ", its part ",
                   whole ? "" : ph_shape_text(&part->shape, shape), ph_shape_text(&own, found));
}

/* Fills what one item is to be held to, or masked with. */
typedef ph_status part_reader(const struct ph_objective_scope *scope, const char *layer, const char *path,
                              const struct part *part, float *out);

static ph_status values_check(const struct ph_objective_scope *scope, const char *path, const float *values, size_t count,
                              float least, const char *what) {
    for (size_t i = 0; i < count; i++)
        if (!(values[i] >= least && values[i] <= FLT_MAX))
            return ph_fail(scope->graph->context, PH_ERROR_NUMERIC, "%s: value %zu, counted from 0, is %g; %s", path, i,
                           (double)values[i], what);
    return PH_OK;
}

static ph_status picture_target_read(const struct ph_objective_scope *scope, const char *layer, const char *path,
                                     const struct part *part, float *out) {
    const ph_tensor *tensor;
    PH_TRY(ph_term_activations(scope, path, layer, PH_REFERENCE_AS_SEEN, &tensor));
    return part_take(scope, path, tensor, part, false, out);
}

static ph_status target_read(const struct ph_objective_scope *scope, const char *layer, const char *path,
                             const struct part *part, float *out) {
    const ph_tensor *tensor;
    if (!is_array(path)) return picture_target_read(scope, layer, path, part, out);
    PH_TRY(ph_term_array(scope, path, &tensor));
    PH_TRY(part_take(scope, path, tensor, part, false, out));
    return values_check(scope, path, out, (size_t)ph_shape_size(&part->shape), -FLT_MAX, "a target's values are finite");
}

/* A picture is scaled to the layer's columns and rows. */
static ph_status mask_read(const struct ph_objective_scope *scope, const char *layer, const char *path,
                           const struct part *part, float *out) {
    ph_context *context = scope->graph->context;
    size_t size = (size_t)ph_shape_size(&part->shape);
    double sum = 0;
    if (is_array(path)) {
        const ph_tensor *tensor;
        PH_TRY(ph_term_array(scope, path, &tensor));
        PH_TRY(part_take(scope, path, tensor, part, true, out));
    } else {
        const struct ph_shape *shape = &part->layer;
        ph_picture *picture = NULL;
        if (shape->rank != 4)
            return ph_fail(context, PH_ERROR_SHAPE, "%s: layer '%s' has no columns and rows that a picture could mask", path,
                           layer);
        PH_TRY(ph_picture_load_covering(context, path, 1, (int)shape->dims[2], (int)shape->dims[3], &picture));
        struct ph_shape plane = PH_SHAPE(1, 1, shape->dims[2], shape->dims[3]);
        part_copy(part, &plane, part->start, picture->pixels, out);
        ph_picture_destroy(&picture);
    }
    PH_TRY(values_check(scope, path, out, size, 0, "a mask's values are finite and not negative"));
    for (size_t i = 0; i < size; i++) sum += (double)out[i];
    return sum > 0 ? PH_OK : ph_fail(context, PH_ERROR_ARGUMENT, "%s: the mask is 0 everywhere: nothing would count", path);
}

/* A constant of the part's shape, with one entry where all items name the same file and one for each else. */
static ph_status parts_read(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int layer,
                            int file, part_reader *read, int *out) {
    const struct ph_argument *named = &terms[0]->arguments[layer];
    int value, items = 1;
    PH_TRY(ph_term_layer_find(scope, named->name, &value));
    struct part part = part_of(named, &scope->graph->values[value].shape);
    for (int n = 1; n < scope->count; n++)
        if (strcmp(terms[n]->arguments[file].name, terms[0]->arguments[file].name)) items = scope->count;
    size_t size = (size_t)ph_shape_size(&part.shape);
    struct ph_shape shape = part.shape;
    shape.dims[0] = items;
    float *data = ph_alloc_array((size_t)items * sizeof *data, size);
    ph_status status = data ? PH_OK : ph_fail_memory(scope->graph->context);
    for (int n = 0; n < items && !status; n++)
        status = read(scope, named->name, terms[n]->arguments[file].name, &part, data + (size_t)n * size);
    if (!status) status = ph_graph_add_constant_copy(scope->graph, NULL, PH_FLOAT, shape, data, out);
    ph_free(data);
    return status;
}

ph_status ph_term_target(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int layer, int file,
                         bool arrays, int *target) {
    return parts_read(scope, terms, layer, file, arrays ? target_read : picture_target_read, target);
}

ph_status ph_term_mask(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int layer, int mask,
                       int *out) {
    *out = PH_ABSENT;
    return terms[0]->arguments[mask].given ? parts_read(scope, terms, layer, mask, mask_read, out) : PH_OK;
}

/* ---- Vectors: one number for each channel --------------------------------------------------------------------------- */

static ph_status list_copy(const struct ph_objective_scope *scope, const struct ph_argument *list, const char *layer,
                           int64_t channels, float *vector) {
    if (!list->sparse && list->list_count != channels)
        return ph_fail(scope->graph->context, PH_ERROR_SHAPE,
                       "layer '%s' has %lld channels, and the list %d numbers; [CHANNEL: WEIGHT, ...] names some",
                       layer, (long long)channels, list->list_count);
    for (int64_t c = 0; c < channels; c++) vector[c] = 0;
    for (int i = 0; i < list->list_count; i++) {
        if (list->channels[i] >= channels)
            return ph_fail(scope->graph->context, PH_ERROR_NOT_FOUND,
                           "layer '%s' has channels 0 to %lld; there is no channel %lld", layer,
                           (long long)channels - 1, (long long)list->channels[i]);
        vector[list->channels[i]] = list->weights[i];
    }
    return PH_OK;
}

static ph_status array_copy(const struct ph_objective_scope *scope, const char *path, const char *layer,
                            int64_t channels, float *vector) {
    const ph_tensor *tensor;
    int64_t size = 1;
    PH_TRY(ph_term_array(scope, path, &tensor));
    for (int i = 0; i < tensor->rank; i++) size *= tensor->dims[i];
    if (size != channels)
        return ph_fail(scope->graph->context, PH_ERROR_SHAPE,
                       "%s: it has %lld numbers, and layer '%s' %lld channels, one number for each", path,
                       (long long)size, layer, (long long)channels);
    memcpy(vector, tensor->data, (size_t)channels * sizeof *vector);
    return PH_OK;
}

/* Mean over the picture's positions, or over those of the region. */
static ph_status position_copy(const struct ph_objective_scope *scope, const struct ph_argument *file,
                               const char *layer, int64_t channels, float *vector) {
    const ph_tensor *tensor;
    PH_TRY(ph_term_activations(scope, file->name, layer, PH_REFERENCE_OWN_INPUT, &tensor));
    int64_t height = tensor->rank == 4 ? tensor->dims[2] : 1, width = tensor->rank == 4 ? tensor->dims[3] : 1;
    int64_t rows[2] = {0, height - 1}, columns[2] = {0, width - 1};
    if (file->region.given) {
        memcpy(rows, file->region.rows, sizeof rows);
        memcpy(columns, file->region.columns, sizeof columns);
    }
    if (tensor->rank < 2 || tensor->dims[1] != channels || (tensor->rank > 2 && tensor->rank != 4))
        return ph_fail(scope->graph->context, PH_ERROR_SHAPE, "layer '%s' has no channels at positions", layer);
    if (rows[1] >= height || columns[1] >= width)
        return ph_fail(scope->graph->context, PH_ERROR_NOT_FOUND,
                       "%s: layer '%s' sees columns 0 to %lld and rows 0 to %lld of it; there is no position %lld,%lld",
                       file->name, layer, (long long)width - 1, (long long)height - 1, (long long)columns[1],
                       (long long)rows[1]);
    double positions = (double)((rows[1] - rows[0] + 1) * (columns[1] - columns[0] + 1));
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0;
        for (int64_t y = rows[0]; y <= rows[1]; y++)
            for (int64_t x = columns[0]; x <= columns[1]; x++) sum += tensor->data[(c * height + y) * width + x];
        vector[c] = (float)(sum / positions);
    }
    return PH_OK;
}

ph_status ph_term_vectors(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int layer,
                          int vector, int64_t channels, float *vectors) {
    const char *name = terms[0]->arguments[layer].name;
    for (int n = 0; n < scope->count; n++, vectors += channels) {
        const struct ph_argument *argument = &terms[n]->arguments[vector];
        if (!argument->name) PH_TRY(list_copy(scope, argument, name, channels, vectors));
        else if (is_array(argument->name)) PH_TRY(array_copy(scope, argument->name, name, channels, vectors));
        else PH_TRY(position_copy(scope, argument, name, channels, vectors));
    }
    return PH_OK;
}
