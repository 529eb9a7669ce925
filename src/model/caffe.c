/* Caffe networks: .caffemodel (binary protobuf: layers with their blobs) alone, or with a .prototxt of the same stem
 * (protobuf text), which then defines the network and takes the blobs from layers of the same name. Either path finds
 * the other file. Names of values, phases and losses: caffe_network.c.
 *
 * Sizes come from the graph's input, so batch and picture size are free as far as the layers allow. At the size that
 * the file states, weights that do not fit their layer are an error; at another size they are a part of the network
 * that is not available there, like layers of a type that is not in the table: what does not depend on them is still
 * built.
 */
#include "model/caffe.h"
#include <string.h>

#define WEIGHTS ".caffemodel"
#define DEFINITION ".prototxt"

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static ph_status read_binary(ph_context *context, const char *path, const struct ph_file *file,
                             PhCaffe__NetParameter **net) {
    char start[4] = "";
    if (file->size >= sizeof start) PH_TRY(ph_file_read(context, file, 0, sizeof start, start));
    if (!memcmp(start, "\x89HDF", sizeof start))
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "%s: weights in HDF5; save them as binary protobuf "
                       "(snapshot_format: BINARYPROTO)", path);
    ProtobufCMessage *message;
    ph_status status = ph_protobuf_unpack(context, &ph_caffe__net_parameter__descriptor, "a binary Caffe network",
                                          file, NULL, &message);
    if (status && status != PH_ERROR_MEMORY) ph_fail_prefix(context, "%s", path);
    *net = (PhCaffe__NetParameter *)message;
    return status;
}

static ph_status read_files(struct ph_caffe *caffe, const struct ph_file *definition, const struct ph_file *weights) {
    if (!definition) return read_binary(caffe->context, caffe->path, weights, &caffe->definition);
    ProtobufCMessage *message;
    struct ph_file text;
    PH_TRY(ph_file_load(caffe->context, definition, &text));
    ph_status status = ph_caffe_text_parse(caffe->context, caffe->path, (const char *)text.data, text.size,
                                           &ph_caffe__net_parameter__descriptor, &message);
    ph_file_close(&text);
    if (status) return status;
    caffe->definition = (PhCaffe__NetParameter *)message;
    return weights ? read_binary(caffe->context, caffe->weights_path, weights, &caffe->weights) : PH_OK;
}

ph_status ph_caffe_create(ph_context *context, const char *path, const struct ph_file *definition,
                          const char *weights_path, const struct ph_file *weights, struct ph_caffe **caffe) {
    *caffe = ph_alloc(sizeof **caffe);
    if (!*caffe) return ph_fail_memory(context);
    (*caffe)->context = context;
    (*caffe)->path = ph_pool_strdup(&(*caffe)->pool, ph_base_name(path));
    (*caffe)->weights_path = ph_pool_strdup(&(*caffe)->pool, ph_base_name(weights_path));
    ph_status status = (*caffe)->path && (*caffe)->weights_path ? PH_OK : ph_fail_memory(context);
    if (!status) status = read_files(*caffe, definition, weights);
    if (!status) status = ph_caffe_resolve(*caffe);
    if (status) ph_caffe_destroy(caffe);
    return status;
}

void ph_caffe_destroy(struct ph_caffe **caffe) {
    if (!caffe || !*caffe) return;
    ph_protobuf_free((ProtobufCMessage *)(*caffe)->definition);
    ph_protobuf_free((ProtobufCMessage *)(*caffe)->weights);
    ph_free((*caffe)->values);
    ph_pool_finish(&(*caffe)->pool);
    ph_free(*caffe);
    *caffe = NULL;
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && !strcmp(text + length - end_length, end);
}

/* The file of the same stem; NULL when memory ran out. */
static char *sibling(const char *path, const char *extension) {
    const char *name = ph_base_name(path), *dot = strrchr(name, '.');
    return ph_sprintf("%.*s%s", (int)(dot ? dot - path : (ptrdiff_t)strlen(path)), path, extension);
}

static ph_status parse(ph_context *context, const char *path, const struct ph_file *file, void **parsed) {
    if (!path) path = ""; /* bytes in memory: nothing lies beside them */
    bool is_definition = ends_with(path, DEFINITION);
    char *other_path = sibling(path, is_definition ? WEIGHTS : DEFINITION);
    struct ph_file other = {0};
    struct ph_caffe *caffe = NULL;
    if (!other_path) return ph_fail_memory(context);
    bool has_other = path[0] && ph_file_exists(other_path);
    ph_status status = PH_OK;
    if (is_definition && !has_other)
        status = ph_fail(context, PH_ERROR_FILE, "%s: its weights are not beside it; %s expected", path,
                         ph_base_name(other_path));
    else if (has_other)
        status = ph_file_open_parts(context, other_path, false, &other);
    if (!status && is_definition) status = ph_caffe_create(context, path, file, other_path, &other, &caffe);
    else if (!status && has_other) status = ph_caffe_create(context, other_path, &other, path, file, &caffe);
    else if (!status) status = ph_caffe_create(context, path, NULL, path, file, &caffe);
    if (has_other) ph_file_close(&other); /* messages are copies */
    ph_free(other_path);
    *parsed = caffe;
    return status;
}

static void destroy(void *parsed) {
    struct ph_caffe *caffe = parsed;
    ph_caffe_destroy(&caffe);
}

/* ---- Building ---------------------------------------------------------------------------------------------------- */

/* What a graph's inputs are, compared with the file. */
static bool is_stated_size(const struct ph_caffe *caffe, const struct ph_graph *graph, const int *inputs) {
    for (int i = 0; i < caffe->input_count; i++) {
        const struct ph_shape *stated = &caffe->inputs[i].info.shape, *given = &graph->values[inputs[i]].shape;
        if (stated->rank != given->rank) return false;
        for (int j = 1; j < stated->rank; j++)
            if (stated->dims[j] != given->dims[j]) return false;
    }
    return true;
}

struct builder {
    const struct ph_caffe *caffe;
    struct ph_caffe_build call;
    int *values; /* of the graph, for each value of the network; PH_ABSENT where there is none */
    int *inputs; /* scratch for a layer's bottoms */
    const char **names;
    int *outputs;
};

static ph_status call_layer(struct builder *builder, const struct ph_caffe_layer *layer) {
    struct ph_caffe_build *call = &builder->call;
    ph_context *context = builder->caffe->context;
    const struct ph_caffe_type *type = layer->type;
    const char *name = layer->parameter->type ? layer->parameter->type : "";
    if (!type)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "layer '%s' (%s): layers of this type are not supported",
                       layer->name, name);
    if (call->input_count < type->minimum_bottoms ||
        (type->maximum_bottoms >= 0 && call->input_count > type->maximum_bottoms))
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "layer '%s' (%s): with %d bottoms it is not supported",
                       layer->name, name, call->input_count);
    if (layer->top_count < 1)
        return ph_fail(context, PH_ERROR_FORMAT, "layer '%s' (%s): has no top", layer->name, name);
    call->layer = layer;
    call->output_count = layer->top_count;
    for (int i = 0; i < layer->top_count; i++) {
        builder->outputs[i] = PH_ABSENT;
        builder->names[i] = builder->caffe->values[layer->tops[i]].name;
    }
    return type->build(call);
}

static ph_status build_layer(struct builder *builder, const struct ph_caffe_layer *layer) {
    const struct ph_caffe *caffe = builder->caffe;
    struct ph_caffe_build *call = &builder->call;
    if (layer->dropped) return PH_OK;
    /* Further bottoms of a loss are labels. */
    call->input_count = layer->type && layer->type->role == PH_CAFFE_LOSS ? 1 : layer->bottom_count;
    for (int i = 0; i < call->input_count; i++) {
        builder->inputs[i] = builder->values[layer->bottoms[i]];
        if (builder->inputs[i] == PH_ABSENT) return PH_OK; /* depends on what could not be built */
    }
    PH_TRY(call_layer(builder, layer));
    for (int i = 0; i < layer->top_count; i++) {
        const struct ph_caffe_value *value = &caffe->values[layer->tops[i]];
        int output = builder->outputs[i];
        builder->values[layer->tops[i]] = output;
        if (output == PH_ABSENT) continue;
        PH_TRY(ph_graph_add_alias(call->graph, value->name, output)); /* where it was not made under this name */
    }
    if (!layer->alias || builder->outputs[0] == PH_ABSENT) return PH_OK;
    return ph_graph_add_alias(call->graph, layer->alias, builder->outputs[0]);
}

static ph_status build_layers(struct builder *builder, bool stated_size, const char **unsupported) {
    const struct ph_caffe *caffe = builder->caffe;
    struct ph_graph *graph = builder->call.graph;
    struct ph_text text = {0};
    ph_status status = PH_OK;
    int failures = 0;
    for (int i = 0; i < caffe->layer_count; i++) {
        const struct ph_caffe_layer *layer = &caffe->layers[i];
        status = build_layer(builder, layer);
        if (!status) continue;
        bool tolerated = status == PH_ERROR_UNSUPPORTED ||
                         (status == PH_ERROR_SHAPE && (!stated_size || layer->auxiliary));
        if (!tolerated) break;
        status = PH_OK;
        if (!layer->auxiliary && ++failures <= 4)
            ph_text_append(&text, failures > 1 ? "; %s" : "%s", graph->context->error);
    }
    if (status) ph_fail_prefix(caffe->context, "%s", caffe->path);
    if (failures > 4) ph_text_append(&text, "; and %d more", failures - 4);
    if (!status && failures) {
        *unsupported = text.failed ? NULL : ph_pool_strdup(&graph->pool, text.data);
        if (!*unsupported) status = ph_fail_memory(caffe->context);
    }
    ph_text_finish(&text);
    return status;
}

static ph_status build(const void *parsed, struct ph_graph *graph, const int *inputs, int input_count,
                       const char **unsupported) {
    const struct ph_caffe *caffe = parsed;
    struct builder builder = {.caffe = caffe, .call = {.graph = graph, .batch = -1, .file_batch = -1}};
    size_t bottoms = 1, tops = 1;
    *unsupported = NULL;
    if (input_count != caffe->input_count)
        return ph_fail(caffe->context, PH_ERROR_ARGUMENT, "%s: has %d inputs, %d given", caffe->path,
                       caffe->input_count, input_count);
    for (int i = 0; i < caffe->layer_count; i++) {
        bottoms = PH_MAX(bottoms, (size_t)caffe->layers[i].bottom_count);
        tops = PH_MAX(tops, (size_t)caffe->layers[i].top_count);
    }
    builder.values = ph_alloc_array((size_t)caffe->value_count + 1, sizeof *builder.values);
    builder.inputs = ph_alloc_array(bottoms, sizeof *builder.inputs);
    builder.outputs = ph_alloc_array(tops, sizeof *builder.outputs);
    builder.names = ph_alloc_array(tops, sizeof *builder.names);
    ph_status status = PH_OK;
    if (builder.values && builder.inputs && builder.outputs && builder.names) {
        builder.call.inputs = builder.inputs;
        builder.call.outputs = builder.outputs;
        builder.call.names = builder.names;
        for (int i = 0; i < caffe->value_count; i++) builder.values[i] = PH_ABSENT;
        for (int i = 0; i < input_count; i++) builder.values[caffe->inputs[i].value] = inputs[i];
        const struct ph_shape *first = &graph->values[inputs[0]].shape;
        if (first->rank) {
            builder.call.batch = first->dims[0];
            builder.call.file_batch = caffe->inputs[0].file_batch;
        }
        status = build_layers(&builder, is_stated_size(caffe, graph, inputs), unsupported);
    } else {
        status = ph_fail_memory(caffe->context);
    }
    ph_free(builder.values);
    ph_free(builder.inputs);
    ph_free(builder.outputs);
    ph_free(builder.names);
    return status;
}

/* ---- The entry --------------------------------------------------------------------------------------------------- */

static int input_count(const void *parsed) { return ((const struct ph_caffe *)parsed)->input_count; }

static struct ph_model_input input(const void *parsed, int index) {
    return ((const struct ph_caffe *)parsed)->inputs[index].info;
}

static int output_count(const void *parsed) { return ((const struct ph_caffe *)parsed)->output_count; }

static const char *output(const void *parsed, int index) { return ((const struct ph_caffe *)parsed)->outputs[index]; }

static int64_t parameter_count(const void *parsed) { return ((const struct ph_caffe *)parsed)->parameter_count; }

const struct ph_model_format ph_model_format_caffe = {
    .name = "Caffe",
    .help = "weights and layers in binary protobuf, with a text definition of the same stem if there is one",
    .extensions = WEIGHTS " " DEFINITION,
    .parse = parse, .destroy = destroy,
    .input_count = input_count, .input = input,
    .build = build,
    .output_count = output_count, .output = output,
    .parameter_count = parameter_count,
};
