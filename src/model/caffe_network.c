/* From a NetParameter to a network that can be built: every layer in its current form, the ones of the test phase, what
 * reads what, names, weights, inputs and outputs.
 *
 * Names. Caffe's layers may write a top that exists already, mostly in place (`bottom: "conv1" top: "conv1"` in a
 * ReLU). A blob's name means the last value it holds; an earlier one is called BLOB/LAYER after the layer that wrote
 * it, so that a convolution "conv1" with a batch norm "bn1" and a ReLU "relu1" in place gives conv1/conv1, conv1/bn1
 * and conv1. A layer's name refers to its first top as well, where no blob is called so: relu1 is conv1, bn1 is
 * conv1/bn1.
 *
 * Losses. Training files end in losses; outside training the last SoftmaxWithLoss is a Softmax, the other losses and
 * accuracies vanish. What leads to vanished losses alone (GoogLeNet's two auxiliary classifiers) can be looked at, but
 * is no output, and may be impossible at another picture size without making the network impossible.
 *
 * Phases. Layers are chosen as for a net of phase TEST. A snapshot of a net in training has no other data layer than
 * that of phase TRAIN: it is the input then.
 */
#include "model/caffe.h"
#include <stdlib.h>
#include <string.h>

/* ---- Old forms --------------------------------------------------------------------------------------------------- */

/* Moves what a V1 layer holds to the current layer's fields of the same name. All of them are strings, messages or
 * repeated; the type alone changed its kind. */
static ph_status layer_upgrade(ph_context *context, PhCaffe__V1LayerParameter *old, PhCaffe__LayerParameter *layer) {
    const ProtobufCMessageDescriptor *from = old->base.descriptor, *to = layer->base.descriptor;
    for (unsigned i = 0; i < from->n_fields; i++) {
        const ProtobufCFieldDescriptor *source = &from->fields[i];
        const ProtobufCFieldDescriptor *target = protobuf_c_message_descriptor_get_field_by_name(to, source->name);
        if (!target || target->type != source->type || target->label != source->label) continue;
        void **old_slot = (void **)((char *)old + source->offset), **slot = (void **)((char *)layer + target->offset);
        *slot = *old_slot;
        *old_slot = NULL;
        if (source->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t *old_count = (size_t *)((char *)old + source->quantifier_offset);
            *(size_t *)((char *)layer + target->quantifier_offset) = *old_count;
            *old_count = 0;
        }
    }
    const ProtobufCEnumValue *type =
        protobuf_c_enum_descriptor_get_value(&ph_caffe__v1_layer_parameter__layer_type__descriptor, old->type);
    layer->type = type ? ph_strdup(type->name) : ph_sprintf("type %d", (int)old->type);
    return layer->type ? PH_OK : ph_fail_memory(context);
}

static ph_status net_upgrade(ph_context *context, const char *path, PhCaffe__NetParameter *net) {
    if (!net->n_layers) return PH_OK;
    if (net->n_layer)
        return ph_fail(context, PH_ERROR_FORMAT,
                       "%s: has layers of the current form (layer) and of the old one (layers)", path);
    for (size_t i = 0; i < net->n_layers; i++) {
        const PhCaffe__V0LayerParameter *nested = net->layers[i]->layer;
        if (nested)
            return ph_fail(context, PH_ERROR_UNSUPPORTED,
                           "%s: layer '%s' is in Caffe's V0 form (layers { layer { ... } }); "
                           "upgrade the file with Caffe's upgrade_net_proto_binary or upgrade_net_proto_text",
                           path, nested->name ? nested->name : "");
    }
    net->layer = ph_alloc_array(net->n_layers, sizeof *net->layer);
    if (!net->layer) return ph_fail_memory(context);
    for (size_t i = 0; i < net->n_layers; i++) {
        PhCaffe__LayerParameter *layer = ph_alloc(sizeof *layer);
        if (!layer) return ph_fail_memory(context);
        ph_caffe__layer_parameter__init(layer);
        net->layer[net->n_layer++] = layer;
        PH_TRY(layer_upgrade(context, net->layers[i], layer));
    }
    return PH_OK;
}

/* ---- Phases ------------------------------------------------------------------------------------------------------ */

static bool has_stage(const PhCaffe__NetState *state, const char *stage) {
    for (size_t i = 0; state && i < state->n_stage; i++)
        if (!strcmp(state->stage[i], stage)) return true;
    return false;
}

static bool rule_is_met(const PhCaffe__NetStateRule *rule, const PhCaffe__NetState *state) {
    int32_t level = state && state->has_level ? state->level : 0;
    if (rule->has_phase && rule->phase != PH_CAFFE__PHASE__TEST) return false;
    if ((rule->has_min_level && level < rule->min_level) || (rule->has_max_level && level > rule->max_level))
        return false;
    for (size_t i = 0; i < rule->n_stage; i++)
        if (!has_stage(state, rule->stage[i])) return false;
    for (size_t i = 0; i < rule->n_not_stage; i++)
        if (has_stage(state, rule->not_stage[i])) return false;
    return true;
}

/* Net::FilterNet: with include rules, one of them must be met; else no exclude rule may be. */
static bool is_in_phase(const PhCaffe__LayerParameter *layer, const PhCaffe__NetState *state) {
    for (size_t i = 0; i < layer->n_include; i++)
        if (rule_is_met(layer->include[i], state)) return true;
    for (size_t i = 0; i < layer->n_exclude; i++)
        if (rule_is_met(layer->exclude[i], state)) return false;
    return layer->n_include == 0;
}

/* ---- Names, sorted for searching --------------------------------------------------------------------------------- */

struct names { const char **sorted; int count; };

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int find_name(const struct names *names, const char *name) {
    const char **found = names->count ? bsearch(&name, names->sorted, (size_t)names->count, sizeof name, compare_names)
                                      : NULL;
    return found ? (int)(found - names->sorted) : -1;
}

/* The blobs of the net's inputs and of those layers that are `chosen`. */
static ph_status collect_names(struct ph_caffe *caffe, const bool *chosen, struct names *names) {
    const PhCaffe__NetParameter *net = caffe->definition;
    size_t count = net->n_input, at = 0;
    for (size_t i = 0; i < net->n_layer; i++) count += net->layer[i]->n_top;
    names->sorted = ph_pool_alloc(&caffe->pool, (count + 1) * sizeof *names->sorted);
    if (!names->sorted) return ph_fail_memory(caffe->context);
    for (size_t i = 0; i < net->n_input; i++) names->sorted[at++] = net->input[i];
    for (size_t i = 0; i < net->n_layer; i++)
        for (size_t j = 0; chosen[i] && j < net->layer[i]->n_top; j++) names->sorted[at++] = net->layer[i]->top[j];
    qsort(names->sorted, at, sizeof *names->sorted, compare_names);
    names->count = 0;
    for (size_t i = 0; i < at; i++)
        if (!i || strcmp(names->sorted[i], names->sorted[names->count - 1]))
            names->sorted[names->count++] = names->sorted[i];
    return PH_OK;
}

/* ---- Layers and values ------------------------------------------------------------------------------------------- */

static const char *layer_type(const PhCaffe__LayerParameter *layer) { return layer->type ? layer->type : ""; }

static enum ph_caffe_role role_of(const struct ph_caffe_layer *layer) {
    if (layer->type) return layer->type->role;
    /* Not in the table: whatever makes blobs from nothing feeds them (Python, LMDB variants, ...), and branches of
     * Caffe have losses of their own. */
    const char *type = layer_type(layer->parameter);
    size_t length = strlen(type);
    if (!layer->parameter->n_bottom) return PH_CAFFE_INPUT;
    return length > 4 && !strcmp(type + length - 4, "Loss") ? PH_CAFFE_LOSS : PH_CAFFE_COMPUTE;
}

/* Layers of the phase, and data layers of the other one where nothing else gives their blob. */
static ph_status choose_layers(struct ph_caffe *caffe, struct names *names) {
    const PhCaffe__NetParameter *net = caffe->definition;
    bool *chosen = ph_pool_alloc(&caffe->pool, net->n_layer + 1);
    caffe->layers = ph_pool_alloc(&caffe->pool, (net->n_layer + 1) * sizeof *caffe->layers);
    if (!chosen || !caffe->layers) return ph_fail_memory(caffe->context);
    for (size_t i = 0; i < net->n_layer; i++) chosen[i] = is_in_phase(net->layer[i], net->state);
    PH_TRY(collect_names(caffe, chosen, names));
    for (size_t i = 0; i < net->n_layer; i++) {
        const PhCaffe__LayerParameter *parameter = net->layer[i];
        struct ph_caffe_layer layer = {.parameter = parameter, .type = ph_caffe_type_find(layer_type(parameter)),
            .name = parameter->name && parameter->name[0] ? parameter->name
                                                          : ph_pool_sprintf(&caffe->pool, "layer%zu", i)};
        if (!layer.name) return ph_fail_memory(caffe->context);
        if (!chosen[i] && role_of(&layer) == PH_CAFFE_INPUT && parameter->n_top)
            chosen[i] = find_name(names, parameter->top[0]) < 0;
        if (chosen[i]) caffe->layers[caffe->layer_count++] = layer;
    }
    return collect_names(caffe, chosen, names);
}

static ph_status add_value(struct ph_caffe *caffe, const char *top, int layer, int *index) {
    if (!ph_grow(&caffe->values, caffe->value_count, &caffe->value_capacity, sizeof *caffe->values))
        return ph_fail_memory(caffe->context);
    caffe->values[*index = caffe->value_count++] = (struct ph_caffe_value){.top = top, .layer = layer};
    return PH_OK;
}

static ph_status connect_layer(struct ph_caffe *caffe, int index, const struct names *names, int *current) {
    struct ph_caffe_layer *layer = &caffe->layers[index];
    const PhCaffe__LayerParameter *parameter = layer->parameter;
    enum ph_caffe_role role = role_of(layer);
    int *bottoms = ph_pool_alloc(&caffe->pool, (parameter->n_bottom + 1) * sizeof *bottoms);
    int *tops = ph_pool_alloc(&caffe->pool, (parameter->n_top + 1) * sizeof *tops);
    if (!bottoms || !tops) return ph_fail_memory(caffe->context);
    for (size_t i = 0; i < parameter->n_bottom; i++) {
        int name = find_name(names, parameter->bottom[i]);
        if (name < 0 || current[name] < 0)
            return ph_fail(caffe->context, PH_ERROR_FORMAT,
                           "%s: layer '%s' (%s): no layer before it makes its bottom '%s'", caffe->path, layer->name,
                           layer_type(parameter), parameter->bottom[i]);
        bottoms[i] = current[name];
    }
    layer->bottoms = bottoms;
    layer->bottom_count = (int)parameter->n_bottom;
    layer->tops = tops;
    for (size_t i = 0; i < parameter->n_top; i++) {
        int name = find_name(names, parameter->top[i]);
        if (role == PH_CAFFE_PASS && parameter->n_bottom && !strcmp(parameter->top[i], parameter->bottom[0])) {
            tops[i] = bottoms[0];
        } else {
            PH_TRY(add_value(caffe, parameter->top[i], index, &tops[i]));
            current[name] = tops[i];
        }
        layer->top_count++;
    }
    if (role == PH_CAFFE_LOSS && layer->type && layer->type->build) {
        /* The probabilities are the second top, where there is one; the first is the loss. */
        if (!layer->top_count) PH_TRY(add_value(caffe, layer->name, index, &tops[layer->top_count++]));
        layer->tops += layer->top_count - 1;
        layer->top_count = 1;
    }
    return PH_OK;
}

static ph_status name_values(struct ph_caffe *caffe, const struct names *names, const int *current) {
    for (int i = 0; i < caffe->value_count; i++) {
        struct ph_caffe_value *value = &caffe->values[i];
        const struct ph_caffe_layer *layer = value->layer < 0 ? NULL : &caffe->layers[value->layer];
        int name = find_name(names, value->top);
        bool is_last = name < 0 || current[name] == i; /* unnamed: a loss without a top */
        value->name = is_last ? value->top
                              : ph_pool_sprintf(&caffe->pool, "%s/%s", value->top, layer ? layer->name : "input");
        if (!value->name) return ph_fail_memory(caffe->context);
    }
    for (int i = 0; i < caffe->layer_count; i++) {
        struct ph_caffe_layer *layer = &caffe->layers[i];
        if (find_name(names, layer->name) < 0) layer->alias = layer->name;
    }
    return PH_OK;
}

static ph_status connect(struct ph_caffe *caffe, const struct names *names) {
    const PhCaffe__NetParameter *net = caffe->definition;
    int *current = ph_pool_alloc(&caffe->pool, ((size_t)names->count + 1) * sizeof *current);
    if (!current) return ph_fail_memory(caffe->context);
    for (int i = 0; i < names->count; i++) current[i] = -1;
    for (size_t i = 0; i < net->n_input; i++) {
        int index;
        PH_TRY(add_value(caffe, net->input[i], -1, &index));
        current[find_name(names, net->input[i])] = index;
    }
    for (int i = 0; i < caffe->layer_count; i++) PH_TRY(connect_layer(caffe, i, names, current));
    return name_values(caffe, names, current);
}

/* ---- Losses ------------------------------------------------------------------------------------------------------ */

/* The loss that the network is for: the last that stands for something outside training, else the last. */
static int main_loss(const struct ph_caffe *caffe) {
    int last = -1;
    for (int i = caffe->layer_count - 1; i >= 0; i--) {
        const struct ph_caffe_layer *layer = &caffe->layers[i];
        if (role_of(layer) != PH_CAFFE_LOSS || !layer->bottom_count) continue;
        if (layer->type && layer->type->build) return i;
        if (last < 0) last = i;
    }
    return last;
}

/* A test net often has a Softmax beside its loss. */
static bool has_softmax(const struct ph_caffe *caffe, int value) {
    for (int i = 0; i < caffe->layer_count; i++) {
        const struct ph_caffe_layer *layer = &caffe->layers[i];
        if (layer->type && !strcmp(layer->type->name, "Softmax") && layer->bottom_count && layer->bottoms[0] == value)
            return true;
    }
    return false;
}

/* From the last layer to the first: what is dropped, what is auxiliary, and how often each value is read. */
static void mark_layers(struct ph_caffe *caffe) {
    int kept = main_loss(caffe);
    for (int i = caffe->layer_count - 1; i >= 0; i--) {
        struct ph_caffe_layer *layer = &caffe->layers[i];
        enum ph_caffe_role role = role_of(layer);
        bool loss = role == PH_CAFFE_LOSS, stands_for_something = loss && layer->type && layer->type->build;
        layer->dropped = role == PH_CAFFE_INPUT || role == PH_CAFFE_SINK ||
            (loss && !(i == kept && stands_for_something && !has_softmax(caffe, layer->bottoms[0])));
        if (loss) {
            for (int j = 0; j < layer->bottom_count; j++) {
                struct ph_caffe_value *bottom = &caffe->values[layer->bottoms[j]];
                if (i != kept || j > 0) bottom->losses++; /* further bottoms are labels */
                else if (!layer->dropped) bottom->consumers++;
            }
            continue;
        }
        if (layer->dropped) continue;
        bool in_place = role == PH_CAFFE_PASS && layer->top_count && layer->bottom_count &&
                        layer->tops[0] == layer->bottoms[0];
        if (in_place) continue;
        layer->auxiliary = layer->top_count > 0;
        for (int j = 0; j < layer->top_count; j++) {
            const struct ph_caffe_value *top = &caffe->values[layer->tops[j]];
            if (top->consumers || !top->losses) layer->auxiliary = false;
        }
        for (int j = 0; j < layer->bottom_count; j++) {
            struct ph_caffe_value *bottom = &caffe->values[layer->bottoms[j]];
            if (layer->auxiliary) bottom->losses++;
            else bottom->consumers++;
        }
    }
}

static ph_status list_outputs(struct ph_caffe *caffe) {
    caffe->outputs = ph_pool_alloc(&caffe->pool, ((size_t)caffe->value_count + 1) * sizeof *caffe->outputs);
    if (!caffe->outputs) return ph_fail_memory(caffe->context);
    for (int i = 0; i < caffe->value_count; i++) {
        const struct ph_caffe_value *value = &caffe->values[i];
        const struct ph_caffe_layer *layer = value->layer < 0 ? NULL : &caffe->layers[value->layer];
        if (!layer || layer->dropped || layer->auxiliary || value->consumers) continue;
        if (role_of(layer) == PH_CAFFE_LOSS && layer->tops[0] != i) continue; /* the loss beside its probabilities */
        caffe->outputs[caffe->output_count++] = value->name;
    }
    return PH_OK;
}

/* ---- Weights ----------------------------------------------------------------------------------------------------- */

static ph_status read_blob(struct ph_caffe *caffe, const struct ph_caffe_layer *layer, int index,
                           const PhCaffe__BlobProto *proto, struct ph_caffe_blob *blob) {
    size_t count = proto->n_data ? proto->n_data : proto->n_double_data;
    blob->shape = PH_SHAPE((int64_t)count);
    if (proto->shape) {
        if (proto->shape->n_dim > PH_MAX_RANK)
            return ph_fail(caffe->context, PH_ERROR_FORMAT,
                           "%s: layer '%s': blob %d has %zu dimensions, at most %d expected", caffe->weights_path,
                           layer->name, index, proto->shape->n_dim, PH_MAX_RANK);
        blob->shape.rank = (int)proto->shape->n_dim;
        for (int i = 0; i < blob->shape.rank; i++) blob->shape.dims[i] = proto->shape->dim[i];
    } else if (proto->has_num || proto->has_channels || proto->has_height || proto->has_width) {
        blob->shape = PH_SHAPE(proto->num, proto->channels, proto->height, proto->width);
    }
    char text[128];
    if (!ph_shape_valid(&blob->shape) || (uint64_t)ph_shape_size(&blob->shape) != count)
        return ph_fail(caffe->context, PH_ERROR_FORMAT, "%s: layer '%s': blob %d of shape %s has %zu values",
                       caffe->weights_path, layer->name, index, ph_shape_text(&blob->shape, text), count);
    blob->data = proto->data;
    if (!proto->n_data && count) {
        float *data = ph_pool_alloc(&caffe->pool, count * sizeof *data);
        if (!data) return ph_fail_memory(caffe->context);
        for (size_t i = 0; i < count; i++) data[i] = (float)proto->double_data[i];
        blob->data = data;
    }
    return PH_OK;
}

static const char *name_of(const PhCaffe__LayerParameter *layer) { return layer->name ? layer->name : ""; }

static int compare_layers(const void *a, const void *b) {
    return strcmp(name_of(*(PhCaffe__LayerParameter *const *)a), name_of(*(PhCaffe__LayerParameter *const *)b));
}

/* Blobs belong to the layer of the same name, as in Net::CopyTrainedLayersFrom. */
static ph_status read_weights(struct ph_caffe *caffe) {
    const PhCaffe__NetParameter *net = caffe->weights ? caffe->weights : caffe->definition;
    PhCaffe__LayerParameter **sorted = ph_pool_alloc(&caffe->pool, (net->n_layer + 1) * sizeof *sorted);
    if (!sorted) return ph_fail_memory(caffe->context);
    size_t count = 0;
    for (size_t i = 0; i < net->n_layer; i++)
        if (net->layer[i]->n_blobs) sorted[count++] = net->layer[i];
    qsort(sorted, count, sizeof *sorted, compare_layers);
    for (int i = 0; i < caffe->layer_count; i++) {
        struct ph_caffe_layer *layer = &caffe->layers[i];
        const PhCaffe__LayerParameter *source = layer->parameter;
        if (!source->n_blobs && count) {
            PhCaffe__LayerParameter **found = bsearch(&source, sorted, count, sizeof *sorted, compare_layers);
            if (found) source = *found;
        }
        if (layer->dropped || !source->n_blobs) continue;
        struct ph_caffe_blob *blobs = ph_pool_alloc(&caffe->pool, source->n_blobs * sizeof *blobs);
        if (!blobs) return ph_fail_memory(caffe->context);
        for (size_t j = 0; j < source->n_blobs; j++) {
            PH_TRY(read_blob(caffe, layer, (int)j, source->blobs[j], &blobs[j]));
            caffe->parameter_count += ph_shape_size(&blobs[j].shape);
        }
        layer->blobs = blobs;
        layer->blob_count = (int)source->n_blobs;
    }
    return PH_OK;
}

/* ---- Inputs ------------------------------------------------------------------------------------------------------ */

/* Sizes that are missing or make no sense are free. */
static void set_shape(struct ph_shape *shape, const int64_t *dims, size_t count) {
    shape->rank = (int)PH_MIN(count, (size_t)PH_MAX_RANK);
    for (int i = 0; i < shape->rank; i++) shape->dims[i] = dims[i] > 0 ? dims[i] : -1;
}

static void set_picture(struct ph_shape *shape, int64_t batch, int64_t channels, int64_t height, int64_t width) {
    set_shape(shape, (const int64_t[]){batch, channels, height, width}, 4);
}

/* Element `index` of a list that holds one for all or one for each; 0 when there is none. */
static int64_t one_or_each(const uint32_t *list, size_t count, size_t index) {
    return !count ? 0 : list[index < count ? index : count - 1];
}

static void shape_from_list(struct ph_shape *shape, PhCaffe__BlobShape *const *list, size_t count, size_t index) {
    const PhCaffe__BlobShape *found = list[index < count ? index : count - 1];
    set_shape(shape, found->dim, found->n_dim);
}

/* Crop size and scale stood in each data layer's own parameters before they had a message of their own. */
static uint32_t crop_size(const PhCaffe__LayerParameter *layer) {
    if (layer->transform_param && layer->transform_param->has_crop_size) return layer->transform_param->crop_size;
    if (layer->data_param) return layer->data_param->crop_size;
    if (layer->image_data_param) return layer->image_data_param->crop_size;
    return layer->window_data_param ? layer->window_data_param->crop_size : 0;
}

static double pixel_scale(const PhCaffe__LayerParameter *layer) {
    if (layer->transform_param && layer->transform_param->has_scale) return layer->transform_param->scale;
    if (layer->data_param) return layer->data_param->scale;
    if (layer->image_data_param) return layer->image_data_param->scale;
    return layer->window_data_param ? layer->window_data_param->scale : 1;
}

/* What the layer says about the blob that is its top `index`. */
static void shape_from_layer(const PhCaffe__LayerParameter *layer, size_t index, struct ph_shape *shape) {
    const PhCaffe__DummyDataParameter *dummy = layer->dummy_data_param;
    const PhCaffe__MemoryDataParameter *memory = layer->memory_data_param;
    const PhCaffe__ImageDataParameter *image = layer->image_data_param;
    const PhCaffe__TransformationParameter *transform = layer->transform_param;
    int64_t crop = crop_size(layer);
    set_picture(shape, -1, -1, crop, crop);
    if (layer->input_param && layer->input_param->n_shape) {
        shape_from_list(shape, layer->input_param->shape, layer->input_param->n_shape, index);
    } else if (dummy && dummy->n_shape) {
        shape_from_list(shape, dummy->shape, dummy->n_shape, index);
    } else if (dummy) {
        set_picture(
            shape, one_or_each(dummy->num, dummy->n_num, index), one_or_each(dummy->channels, dummy->n_channels, index),
            one_or_each(dummy->height, dummy->n_height, index), one_or_each(dummy->width, dummy->n_width, index));
    } else if (memory) {
        set_picture(shape, memory->batch_size, memory->channels, memory->height, memory->width);
    } else if (image && !crop) {
        set_picture(shape, -1, -1, image->new_height, image->new_width);
    }
    if (shape->rank != 4 || shape->dims[1] > 0) return;
    if ((image && !image->is_color) || (transform && transform->force_gray)) shape->dims[1] = 1;
    else if (transform && (transform->force_color || transform->n_mean_value == 3)) shape->dims[1] = 3;
}

/* The first convolution that reads the value knows its channels. */
static int64_t channels_from_weights(const struct ph_caffe *caffe, int value) {
    for (int i = 0; i < caffe->layer_count; i++) {
        const struct ph_caffe_layer *layer = &caffe->layers[i];
        const PhCaffe__ConvolutionParameter *convolution = layer->parameter->convolution_param;
        if (!layer->bottom_count || layer->bottoms[0] != value || !layer->blob_count || !convolution) continue;
        const struct ph_shape *weights = &layer->blobs[0].shape;
        if (weights->rank == 4 && convolution->group <= 65536) return weights->dims[1] * convolution->group;
    }
    return -1;
}

static const PhCaffe__LayerParameter *find_transform(const PhCaffe__NetParameter *net) {
    for (size_t i = 0; net && i < net->n_layer; i++)
        if (net->layer[i]->transform_param && !net->layer[i]->n_bottom) return net->layer[i];
    return NULL;
}

static ph_status add_input(struct ph_caffe *caffe, int index) {
    const PhCaffe__NetParameter *net = caffe->definition;
    const struct ph_caffe_value *value = &caffe->values[index];
    struct ph_caffe_input *input = &caffe->inputs[caffe->input_count++];
    struct ph_shape *shape = &input->info.shape;
    /* A net without data layers (a deploy file) may have weights whose file remembers how they were trained. */
    const PhCaffe__LayerParameter *layer = find_transform(caffe->weights);
    input->value = index;
    input->info.name = value->name;
    if (value->layer >= 0) {
        const struct ph_caffe_layer *source = &caffe->layers[value->layer];
        size_t top = 0;
        while (source->tops[top] != index) top++;
        shape_from_layer(source->parameter, top, shape);
        if (strcmp(layer_type(source->parameter), "Input") || source->parameter->transform_param || !layer)
            layer = source->parameter;
    } else if (net->n_input_shape) {
        shape_from_list(shape, net->input_shape, net->n_input_shape, (size_t)index);
    } else {
        const int32_t *dims = net->n_input_dim >= 4 * ((size_t)index + 1) ? net->input_dim + 4 * index : NULL;
        if (dims) set_picture(shape, dims[0], dims[1], dims[2], dims[3]);
        else set_picture(shape, -1, -1, -1, -1);
    }
    input->file_batch = shape->rank ? shape->dims[0] : -1;
    if (shape->rank) shape->dims[0] = -1;
    if (shape->rank == 4 && shape->dims[1] < 0) shape->dims[1] = channels_from_weights(caffe, index);
    if (layer && layer->transform_param) {
        input->info.mean = layer->transform_param->mean_value;
        input->info.mean_count = (int)PH_MIN(layer->transform_param->n_mean_value, (size_t)INT32_MAX);
    }
    if (layer) input->info.scale = pixel_scale(layer);
    return PH_OK;
}

/* What is fed: of the values that come from outside, those that the network reads. Labels are not among them. */
static ph_status list_inputs(struct ph_caffe *caffe) {
    int first = -1;
    caffe->inputs = ph_pool_alloc(&caffe->pool, ((size_t)caffe->value_count + 1) * sizeof *caffe->inputs);
    if (!caffe->inputs) return ph_fail_memory(caffe->context);
    for (int i = 0; i < caffe->value_count; i++) {
        const struct ph_caffe_value *value = &caffe->values[i];
        if (value->layer >= 0 && role_of(&caffe->layers[value->layer]) != PH_CAFFE_INPUT) continue;
        if (first < 0) first = i;
        if (value->consumers) PH_TRY(add_input(caffe, i));
    }
    if (!caffe->input_count && first >= 0) PH_TRY(add_input(caffe, first));
    if (!caffe->input_count)
        return ph_fail(caffe->context, PH_ERROR_FORMAT, "%s: the network has no input and no data layer", caffe->path);
    return PH_OK;
}

ph_status ph_caffe_resolve(struct ph_caffe *caffe) {
    struct names names = {0};
    PH_TRY(net_upgrade(caffe->context, caffe->path, caffe->definition));
    if (caffe->weights) PH_TRY(net_upgrade(caffe->context, caffe->weights_path, caffe->weights));
    if (!caffe->definition->n_layer)
        return ph_fail(caffe->context, PH_ERROR_FORMAT, "%s: holds no layers; a Caffe network expected", caffe->path);
    PH_TRY(choose_layers(caffe, &names));
    PH_TRY(connect(caffe, &names));
    mark_layers(caffe);
    PH_TRY(list_outputs(caffe));
    PH_TRY(read_weights(caffe));
    return list_inputs(caffe);
}
