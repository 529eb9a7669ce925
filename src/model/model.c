/* Loading a network and turning it into graphs. */
#include "graph/operations.h"
#include "model/model.h"
#include <string.h>

const struct ph_model_format *const ph_model_formats[] = {&ph_model_format_onnx, &ph_model_format_caffe, NULL};

enum { DEFAULT_SIZE = 224 };

/* ---- The file ------------------------------------------------------------------------------------------------------ */

static bool ends_with(const char *text, const char *end, size_t end_length) {
    size_t length = strlen(text);
    return length >= end_length && !strncasecmp(text + length - end_length, end, end_length);
}

/* The format whose list of extensions holds that of `path`, and the extension's length. */
static const struct ph_model_format *format_by_name(const char *path, size_t *extension_length) {
    *extension_length = 0;
    for (int i = 0; ph_model_formats[i]; i++)
        for (const char *extension = ph_model_formats[i]->extensions; *extension;) {
            size_t length = strcspn(extension, " ");
            if (ends_with(path, extension, length)) {
                *extension_length = length;
                return ph_model_formats[i];
            }
            extension += length;
            extension += strspn(extension, " ");
        }
    return NULL;
}

char *ph_model_beside(const struct ph_model *model, const char *suffix) {
    size_t extension;
    format_by_name(model->path, &extension);
    return ph_sprintf("%.*s%s", (int)(strlen(model->path) - extension), model->path, suffix);
}

/* What stands in a repository where a large file is kept elsewhere. */
static ph_status large_file_refuse(ph_context *context, const char *path, const struct ph_file *file) {
    static const char start[] = "version https://git-lfs.github.com/spec/";
    char found[sizeof start - 1] = "";
    if (file->size >= sizeof found) PH_TRY(ph_file_read(context, file, 0, sizeof found, found));
    if (memcmp(found, start, sizeof found)) return PH_OK;
    return ph_fail(context, PH_ERROR_FORMAT,
                   "%s: only a Git LFS pointer, not the network itself; fetch it with `git lfs pull`", path);
}

static ph_status parse(ph_model *model) {
    ph_context *context = model->context;
    const char *path = model->path;
    size_t extension;
    PH_TRY(large_file_refuse(context, path, &model->file));
    model->format = path ? format_by_name(path, &extension) : &ph_model_format_onnx;
    if (model->format) return model->format->parse(context, path, &model->file, &model->parsed);
    for (int i = 0; ph_model_formats[i]; i++) {
        ph_status status = ph_model_formats[i]->parse(context, path, &model->file, &model->parsed);
        if (status == PH_ERROR_MEMORY) return status;
        if (status) continue;
        model->format = ph_model_formats[i];
        return PH_OK;
    }
    struct ph_text known = {0};
    for (int i = 0; ph_model_formats[i]; i++)
        ph_text_append(&known, "%s%s (%s)", i ? ", " : "", ph_model_formats[i]->name, ph_model_formats[i]->extensions);
    ph_status status = known.failed ? ph_fail_memory(context)
        : ph_fail(context, PH_ERROR_FORMAT, "%s: not a network in a format that can be read: %s", path, known.data);
    ph_text_finish(&known);
    return status;
}

/* A Caffe definition stands for the weights beside it, so that both names of a network lead to the same model. */
static char *weights_path(const char *path) {
    static const char definition[] = ".prototxt", weights[] = ".caffemodel";
    if (ends_with(path, definition, sizeof definition - 1)) {
        char *other = ph_sprintf("%.*s%s", (int)(strlen(path) - (sizeof definition - 1)), path, weights);
        if (!other || ph_file_exists(other)) return other;
        ph_free(other);
    }
    return ph_strdup(path);
}

static ph_status file_open(ph_model *model, const char *path) {
    if (!path) {
        model->file = (struct ph_file){.data = ph_embedded_model,
            .size = (size_t)(ph_embedded_model_end - ph_embedded_model)};
        return PH_OK;
    }
    model->path = weights_path(path);
    if (!model->path) return ph_fail_memory(model->context);
    return ph_file_open_parts(model->context, model->path, true, &model->file);
}

/* ---- The input ----------------------------------------------------------------------------------------------------- */

static bool is_picture_channels(int64_t channels) { return channels == 1 || channels == 3 || channels == 4; }

/* The input that takes the picture: the first that can be one, else the first with more than one axis. */
static int picture_input(const ph_model *model) {
    int count = model->format->input_count(model->parsed), second = -1;
    for (int i = 0; i < count; i++) {
        struct ph_shape shape = model->format->input(model->parsed, i).shape;
        if (shape.rank == 4 && (shape.dims[1] < 0 || is_picture_channels(shape.dims[1]) || is_picture_channels(shape.dims[3])))
            return i;
        if (shape.rank >= 2 && second < 0) second = i;
    }
    return PH_MAX(second, 0);
}

/* [1,C,H,W] with every free size filled in; height and width from the sidecar, or 0. */
static void input_resolve(ph_model *model, int height, int width) {
    struct ph_shape shape = model->format->input(model->parsed, model->input).shape;
    if (!shape.rank) shape = PH_SHAPE(-1, -1, -1, -1);
    model->channels_last = shape.rank == 4 && is_picture_channels(shape.dims[3]) && !is_picture_channels(shape.dims[1]);
    if (model->channels_last) shape = PH_SHAPE(shape.dims[0], shape.dims[3], shape.dims[1], shape.dims[2]);
    int size = model->path ? DEFAULT_SIZE : PH_EMBEDDED_SIZE;
    shape.dims[0] = 1;
    for (int i = 1; i < shape.rank; i++) {
        bool spatial = shape.rank >= 3 && i >= 2;
        if (shape.dims[i] < 0) shape.dims[i] = spatial ? size : i == 1 && shape.rank == 4 ? 3 : 1;
    }
    if (shape.rank == 4 && height && width) shape.dims[2] = height, shape.dims[3] = width;
    model->default_input = shape;
}

/* ---- Graphs -------------------------------------------------------------------------------------------------------- */

/* Inputs beside the picture's, with free sizes 1 but for the batch. */
static ph_status other_input_add(const ph_model *model, struct ph_graph *graph, int index, int64_t batch, int *value) {
    struct ph_model_input input = model->format->input(model->parsed, index);
    for (int i = 0; i < input.shape.rank; i++)
        if (input.shape.dims[i] < 0) input.shape.dims[i] = i ? 1 : batch;
    return ph_graph_add_input(graph, input.name, PH_FLOAT, input.shape, value);
}

/* As ph_model_build, and says what could not be computed. */
static ph_status build(const ph_model *model, struct ph_graph *graph, int input, const char **unsupported) {
    int count = model->format->input_count(model->parsed);
    int *inputs = ph_alloc_array((size_t)count, sizeof *inputs);
    if (!inputs) return ph_fail_memory(model->context);
    ph_status status = PH_OK;
    const struct ph_shape *fed = &graph->values[input].shape;
    int64_t batch = fed->rank ? fed->dims[0] : 1;
    for (int i = 0; i < count && !status; i++) {
        static const struct ph_transpose_attributes channels_last = {.order = {0, 2, 3, 1}};
        inputs[i] = input;
        if (i != model->input) status = other_input_add(model, graph, i, batch, &inputs[i]);
        else if (model->channels_last)
            status = ph_graph_add(graph, &ph_operation_transpose, NULL, &channels_last, &input, 1, &inputs[i]);
    }
    if (!status && model->apart && batch > 1) status = ph_model_build_apart(model, graph, inputs, count, batch, unsupported);
    else if (!status) status = model->format->build(model->parsed, graph, inputs, count, unsupported);
    ph_free(inputs);
    return status;
}

ph_status ph_model_build(const struct ph_model *model, struct ph_graph *graph, int input) {
    const char *unsupported;
    return build(model, graph, input, &unsupported);
}

ph_status ph_model_build_alone(const ph_model *model, int height, int width, struct ph_graph **graph, int *input,
                               const char **unsupported) {
    struct ph_shape shape = model->default_input;
    if (shape.rank == 4) shape.dims[2] = height, shape.dims[3] = width;
    PH_TRY(ph_graph_create(model->context, graph));
    const char *name = model->format->input(model->parsed, model->input).name;
    ph_status status = ph_graph_add_input(*graph, name, PH_FLOAT, shape, input);
    if (!status) status = build(model, *graph, *input, unsupported);
    if (status) ph_graph_destroy(graph);
    return status;
}

/* ---- Loading ------------------------------------------------------------------------------------------------------- */

static ph_status load(ph_model *model, const char *path) {
    struct ph_sidecar sidecar = {0};
    bool found;
    PH_TRY(file_open(model, path));
    PH_TRY(parse(model));
    PH_TRY(ph_file_sha256(model->context, &model->file, model->sha256));
    model->parameters = model->format->parameter_count(model->parsed);
    model->input = picture_input(model);
    input_resolve(model, 0, 0);
    ph_status status = ph_sidecar_read(model, &found, &model->preprocessing, &sidecar);
    if (!status) {
        input_resolve(model, sidecar.height, sidecar.width);
        status = ph_model_examine(model, found);
        if (status && status != PH_ERROR_MEMORY && model->path) ph_fail_prefix(model->context, "%s", model->path);
    }
    if (!status) status = ph_model_examine_sizes(model);
    if (!status) status = sidecar.labels ? ph_model_load_labels(model, sidecar.labels) : ph_labels_find(model);
    if (!status) ph_model_examine_log(model);
    ph_free(sidecar.labels);
    return status;
}

ph_status ph_model_load(ph_context *context, const char *path, ph_model **model) {
    if (!context) return PH_ERROR_ARGUMENT;
    if (!model) return ph_fail(context, PH_ERROR_ARGUMENT, "ph_model_load: no place given for the model");
    *model = ph_alloc(sizeof **model);
    if (!*model) return ph_fail_memory(context);
    (*model)->context = context;
    ph_status status = load(*model, path);
    if (status) ph_model_destroy(model);
    return status;
}

static ph_status representation_load(ph_model *model, const char *name) {
    const void *parsed = ph_representation_find(name);
    if (!parsed) {
        struct ph_text names = {0};
        const char *known, *help;
        for (int i = 0; (known = ph_representation_row(i, &help)); i++) ph_text_append(&names, "%s%s", i ? ", " : "", known);
        ph_status status = ph_fail(model->context, PH_ERROR_NOT_FOUND, "representation '%s': there is %s", name,
                                   names.data ? names.data : "");
        ph_text_finish(&names);
        return status;
    }
    if (!(model->path = ph_strdup(name))) return ph_fail_memory(model->context);
    model->format = &ph_model_format_representation;
    model->parsed = (void *)parsed;
    ph_sha256(name, strlen(name), model->sha256);
    input_resolve(model, 0, 0);
    model->preprocessing = (ph_preprocessing){.preset = "custom", .scale = 255, .channels = 1, .mean = {128}, .deviation = {1}};
    PH_TRY(ph_model_examine(model, true));
    return ph_model_examine_sizes(model);
}

ph_status ph_model_load_representation(ph_context *context, const char *name, ph_model **model) {
    if (!context) return PH_ERROR_ARGUMENT;
    if (!model || !name) return ph_fail(context, PH_ERROR_ARGUMENT, "ph_model_load_representation: no name or place given");
    *model = ph_alloc(sizeof **model);
    if (!*model) return ph_fail_memory(context);
    (*model)->context = context;
    ph_status status = representation_load(*model, name);
    if (status) ph_model_destroy(model);
    return status;
}

void ph_model_destroy(ph_model **model) {
    if (!model || !*model) return;
    for (int i = 0; i < (*model)->joined_count; i++) ph_joined_finish(&(*model)->joined[i]);
    if ((*model)->parsed) (*model)->format->destroy((*model)->parsed);
    ph_file_close(&(*model)->file);
    ph_pool_finish(&(*model)->pool);
    ph_pool_finish(&(*model)->layer_pool);
    ph_free((*model)->labels);
    ph_free((*model)->path);
    ph_free(*model);
    *model = NULL;
}

/* ---- Questions ----------------------------------------------------------------------------------------------------- */

ph_model_info ph_model_describe(const ph_model *model) {
    if (!model) return (ph_model_info){0};
    struct ph_model_input input = model->format->input(model->parsed, model->input);
    const struct ph_shape *fed = &model->default_input;
    ph_model_info info = {.path = model->path ? ph_base_name(model->path) : "embedded", .format = model->format->name,
        .sha256 = model->sha256, .input_name = input.name, .rank = input.shape.rank,
        .channels = fed->rank > 1 ? (int)fed->dims[1] : 1, .height = fed->rank == 4 ? (int)fed->dims[2] : 1,
        .width = fed->rank >= 3 ? (int)fed->dims[fed->rank - 1] : 1, .size_is_free = model->size_is_free,
        .parameters = model->parameters, .logits = model->logits, .probabilities = model->probabilities,
        .unsupported = model->unsupported};
    memcpy(info.dims, input.shape.dims, sizeof info.dims);
    return info;
}
