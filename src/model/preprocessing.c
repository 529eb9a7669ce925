/* How a picture becomes a network's input: presets, the sidecar file beside the model, and the guess made from a file that
 * does not say. A wrong value range or channel order is the commonest silent failure in this field, so every guess carries
 * its reason for a person to judge. */
#include "graph/operations.h"
#include "model/model.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_CHANNELS = PH_COUNT(((ph_preprocessing *)0)->mean) };

/* caffe: mean pixel of ImageNet in the BVLC reference networks. torch: torchvision's ImageNet statistics. tf: Keras'
 * "tf" mode, -1 to 1. */
const struct ph_preset ph_presets[] = {
    {"caffe", "BGR, 0 to 255, minus 104, 117, 123", 255, {104, 117, 123}, {1, 1, 1}, true},
    {"torch", "RGB, 0 to 1, minus 0.485, 0.456, 0.406, divided by 0.229, 0.224, 0.225", 1, {0.485f, 0.456f, 0.406f},
     {0.229f, 0.224f, 0.225f}, false},
    {"tf", "RGB, -1 to 1", 255, {127.5f, 127.5f, 127.5f}, {127.5f, 127.5f, 127.5f}, false},
    {"unit", "RGB, 0 to 1", 1, {0, 0, 0}, {1, 1, 1}, false},
    {NULL}};

static const char custom[] = "custom";

static const struct ph_preset *preset_find(const char *name) {
    for (const struct ph_preset *preset = ph_presets; preset->name; preset++)
        if (!strcmp(preset->name, name)) return preset;
    return NULL;
}

static ph_preprocessing preset_expand(const struct ph_preset *preset, int channels) {
    ph_preprocessing result = {.scale = preset->scale, .channels = channels, .bgr = preset->bgr && channels == 3};
    snprintf(result.preset, sizeof result.preset, "%s", preset->name);
    const float *mean = preset->mean, *deviation = preset->deviation;
    for (int i = 0; i < channels; i++) {
        result.mean[i] = channels == 3 ? mean[i] : (mean[0] + mean[1] + mean[2]) / 3;
        result.deviation[i] = channels == 3 ? deviation[i] : (deviation[0] + deviation[1] + deviation[2]) / 3;
    }
    return result;
}

static int channels_of(const struct ph_model *model) {
    int64_t channels = model->default_input.rank >= 3 ? model->default_input.dims[1] : 1;
    return (int)PH_MAX(1, PH_MIN(channels, MAX_CHANNELS));
}

static bool values_equal(const ph_preprocessing *a, const ph_preprocessing *b) {
    size_t bytes = (size_t)a->channels * sizeof a->mean[0];
    return a->scale == b->scale && a->channels == b->channels && a->bgr == b->bgr && !memcmp(a->mean, b->mean, bytes) &&
           !memcmp(a->deviation, b->deviation, bytes);
}

/* ---- Words to values ----------------------------------------------------------------------------------------------- */

static ph_status number_parse(ph_context *context, const char *what, const char *text, size_t length, float *value) {
    char word[64];
    double number;
    while (length && text[0] == ' ') text++, length--;
    while (length && text[length - 1] == ' ') length--;
    snprintf(word, sizeof word, "%.*s", (int)PH_MIN(length, sizeof word - 1), text);
    if (length >= sizeof word || !ph_parse_double(word, &number) || !isfinite((float)number))
        return ph_fail(context, PH_ERROR_ARGUMENT, "%s: '%s' is not a number", what, word);
    *value = (float)number;
    return PH_OK;
}

/* One number for each channel, separated by commas, or one for all. */
static ph_status numbers_parse(ph_context *context, const char *what, const char *text, int channels, float *values) {
    int count = 0;
    for (const char *part = text; part;) {
        size_t length = strcspn(part, ",");
        if (count == channels) return ph_fail(context, PH_ERROR_ARGUMENT, "%s: '%s' has more than %d numbers", what, text, channels);
        PH_TRY(number_parse(context, what, part, length, &values[count++]));
        part = part[length] ? part + length + 1 : NULL;
    }
    if (count != 1 && count != channels)
        return ph_fail(context, PH_ERROR_ARGUMENT, "%s: '%s' has %d numbers, 1 or %d expected", what, text, count, channels);
    for (; count < channels; count++) values[count] = values[0];
    return PH_OK;
}

static ph_status check(ph_context *context, const ph_preprocessing *values) {
    if (strcmp(values->preset, custom) && !preset_find(values->preset))
        return ph_fail(context, PH_ERROR_ARGUMENT, "preset: '%s' is not caffe, torch, tf, unit or custom", values->preset);
    if (!isfinite(values->scale) || values->scale == 0)
        return ph_fail(context, PH_ERROR_ARGUMENT, "scale: %g is not a number other than 0", (double)values->scale);
    for (int i = 0; i < values->channels; i++)
        if (!isfinite(values->mean[i]) || !isfinite(values->deviation[i]) || values->deviation[i] == 0)
            return ph_fail(context, PH_ERROR_ARGUMENT, "mean and deviation must be finite, and the deviation not 0");
    return PH_OK;
}

/* Values that are no longer the preset's are "custom". */
static ph_status apply_text(ph_context *context, ph_preprocessing *values, const char *preset, const char *mean,
                            const char *scale, const char *deviation, const char *order) {
    ph_preprocessing result = *values;
    if (preset) {
        const struct ph_preset *known = preset_find(preset);
        if (known) result = preset_expand(known, values->channels);
        else if (strcmp(preset, custom))
            return ph_fail(context, PH_ERROR_ARGUMENT, "preset: '%s' is not caffe, torch, tf, unit or custom", preset);
        else memcpy(result.preset, custom, sizeof custom);
    }
    if (mean) PH_TRY(numbers_parse(context, "mean", mean, result.channels, result.mean));
    if (scale) PH_TRY(number_parse(context, "scale", scale, strlen(scale), &result.scale));
    if (deviation) PH_TRY(numbers_parse(context, "deviation", deviation, result.channels, result.deviation));
    if (order) {
        bool bgr = !strcmp(order, "bgr");
        if (!bgr && strcmp(order, "rgb"))
            return ph_fail(context, PH_ERROR_ARGUMENT, "channel-order: '%s' is not rgb or bgr", order);
        if (bgr && result.channels != 3)
            return ph_fail(context, PH_ERROR_ARGUMENT, "channel-order: bgr needs a network with 3 channels, not %d", result.channels);
        result.bgr = bgr;
    }
    PH_TRY(check(context, &result));
    const struct ph_preset *named = preset_find(result.preset);
    if (named) {
        ph_preprocessing original = preset_expand(named, result.channels);
        if (!values_equal(&original, &result)) memcpy(result.preset, custom, sizeof custom);
    }
    memset(result.guessed, 0, sizeof result.guessed);
    *values = result;
    return PH_OK;
}

/* ---- Public functions ------------------------------------------------------------------------------------------------ */

ph_preprocessing ph_model_preprocessing(const ph_model *model) {
    return model ? model->preprocessing : (ph_preprocessing){0};
}

ph_status ph_model_set_preprocessing(ph_model *model, const ph_preprocessing *preprocessing) {
    if (!model) return PH_ERROR_ARGUMENT;
    if (!preprocessing) return ph_fail(model->context, PH_ERROR_ARGUMENT, "preprocessing: none given");
    ph_preprocessing values = *preprocessing;
    values.preset[sizeof values.preset - 1] = 0;
    values.guessed[sizeof values.guessed - 1] = 0;
    if (values.channels != channels_of(model))
        return ph_fail(model->context, PH_ERROR_ARGUMENT, "preprocessing: %d channels, the network has %d", values.channels,
                       channels_of(model));
    PH_TRY(check(model->context, &values));
    model->preprocessing = values;
    return PH_OK;
}

ph_status ph_model_set_preprocessing_text(ph_model *model, const char *preset, const char *mean, const char *scale,
                                          const char *deviation, const char *order) {
    if (!model) return PH_ERROR_ARGUMENT;
    return apply_text(model->context, &model->preprocessing, preset, mean, scale, deviation, order);
}

/* The shortest decimal that reads back as the same float, with a dot whatever the locale. */
static void number_append(struct ph_text *text, const char *separator, float value) {
    char word[64];
    double back = 0;
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(word, sizeof word, "%.*g", digits, (double)value);
        char *point = strchr(word, ',');
        if (point) *point = '.';
        if (ph_parse_double(word, &back) && (float)back == value) break;
    }
    ph_text_append(text, "%s%s", separator, word);
}

static void numbers_append(struct ph_text *text, const char *key, const float *values, int count) {
    for (int i = 0; i < count; i++) number_append(text, i ? "," : key, values[i]);
    ph_text_append(text, "\n");
}

static const char sidecar_extension[] = ".phosphene";

ph_status ph_model_save_preprocessing(const ph_model *model, bool overwrite) {
    if (!model) return PH_ERROR_ARGUMENT;
    if (!model->path)
        return ph_fail(model->context, PH_ERROR_ARGUMENT, "the embedded network has no folder to keep its preprocessing in");
    if (model->format == &ph_model_format_representation)
        return ph_fail(model->context, PH_ERROR_ARGUMENT, "%s is built in: there is no file to keep its preprocessing beside",
                       model->path);
    const ph_preprocessing *values = &model->preprocessing;
    struct ph_text text = {0};
    ph_text_append(&text, "# How pictures become this network's input: (picture * scale - mean) / deviation.\npreset=%s\n",
                   values->preset);
    numbers_append(&text, "mean=", values->mean, values->channels);
    numbers_append(&text, "scale=", &values->scale, 1);
    numbers_append(&text, "deviation=", values->deviation, values->channels);
    ph_text_append(&text, "channel-order=%s\n", values->bgr ? "bgr" : "rgb");
    char *path = ph_model_beside(model, sidecar_extension);
    ph_status status = text.failed || !path ? ph_fail_memory(model->context)
                                            : ph_file_write(model->context, path, text.data, text.length, overwrite);
    ph_free(path);
    ph_text_finish(&text);
    return status;
}

/* ---- The sidecar ----------------------------------------------------------------------------------------------------- */

enum sidecar_key { KEY_PRESET, KEY_MEAN, KEY_SCALE, KEY_DEVIATION, KEY_ORDER, KEY_SIZE, KEY_LABELS, KEY_COUNT };
static const char *const sidecar_keys[KEY_COUNT] = {"preset", "mean", "scale", "deviation", "channel-order", "size", "labels"};

enum { SIDECAR_LINE = 1024 };
struct sidecar_lines { char values[KEY_COUNT][SIDECAR_LINE]; int lines[KEY_COUNT]; /* 0: not there */ };

static ph_status sidecar_line(ph_context *context, char *line, int number, struct sidecar_lines *found) {
    size_t length = strlen(line);
    while (length && (line[length - 1] == '\r' || line[length - 1] == ' ')) line[--length] = 0;
    if (!line[0] || line[0] == '#') return PH_OK;
    char *value = strchr(line, '=');
    if (!value) return ph_fail(context, PH_ERROR_FORMAT, "line %d: '%s' is not key=value", number, line);
    *value++ = 0;
    for (int key = 0; key < KEY_COUNT; key++) {
        if (strcmp(line, sidecar_keys[key])) continue;
        if (found->lines[key])
            return ph_fail(context, PH_ERROR_FORMAT, "line %d: '%s' was set in line %d already", number, line, found->lines[key]);
        memcpy(found->values[key], value, strlen(value) + 1);
        found->lines[key] = number;
        return PH_OK;
    }
    return ph_fail(context, PH_ERROR_FORMAT, "line %d: '%s' is not preset, mean, scale, deviation, channel-order, size or labels",
                   number, line);
}

static ph_status sidecar_split(ph_context *context, const struct ph_file *file, struct sidecar_lines *found) {
    char line[SIDECAR_LINE];
    size_t length = 0;
    int number = 1;
    for (size_t i = 0; i <= file->size; i++) {
        char next = i < file->size ? (char)file->data[i] : '\n';
        if (next == '\n') {
            line[length] = 0;
            PH_TRY(sidecar_line(context, line, number, found));
            length = 0;
            number++;
        } else if (!next || length + 1 == sizeof line) {
            return ph_fail(context, PH_ERROR_FORMAT, "line %d is %s", number, next ? "too long" : "not text");
        } else {
            line[length++] = next;
        }
    }
    return PH_OK;
}

static ph_status size_parse(ph_context *context, const char *text, struct ph_sidecar *sidecar) {
    enum { LARGEST = 1 << 15 };
    char width[SIDECAR_LINE];
    const char *cross = strchr(text, 'x');
    int64_t w = 0, h = 0;
    if (cross) snprintf(width, sizeof width, "%.*s", (int)(cross - text), text);
    if (!cross || !ph_parse_int(width, &w) || !ph_parse_int(cross + 1, &h) || w < 1 || h < 1 || w > LARGEST || h > LARGEST)
        return ph_fail(context, PH_ERROR_FORMAT, "size: '%s' is not WIDTHxHEIGHT in pixels", text);
    sidecar->width = (int)w;
    sidecar->height = (int)h;
    return PH_OK;
}

static ph_status sidecar_apply(const struct ph_model *model, const struct sidecar_lines *found, ph_preprocessing *values,
                               struct ph_sidecar *sidecar) {
    ph_context *context = model->context;
    const char *texts[KEY_COUNT];
    for (int key = 0; key < KEY_COUNT; key++) texts[key] = found->lines[key] ? found->values[key] : NULL;
    if (texts[KEY_SIZE]) PH_TRY(size_parse(context, texts[KEY_SIZE], sidecar));
    if (texts[KEY_LABELS]) {
        if (!texts[KEY_LABELS][0] || strchr(texts[KEY_LABELS], '/'))
            return ph_fail(context, PH_ERROR_FORMAT, "labels: '%s' is not the name of a file beside the model", texts[KEY_LABELS]);
        int folder = (int)(ph_base_name(model->path) - model->path);
        sidecar->labels = ph_sprintf("%.*s%s", folder, model->path, texts[KEY_LABELS]);
        if (!sidecar->labels) return ph_fail_memory(context);
    }
    return apply_text(context, values, texts[KEY_PRESET], texts[KEY_MEAN], texts[KEY_SCALE], texts[KEY_DEVIATION],
                      texts[KEY_ORDER]);
}

ph_status ph_sidecar_read(const struct ph_model *model, bool *found, ph_preprocessing *preprocessing,
                          struct ph_sidecar *sidecar) {
    *found = false;
    *sidecar = (struct ph_sidecar){0};
    if (!model->path) return PH_OK;
    char *path = ph_model_beside(model, sidecar_extension);
    struct sidecar_lines *lines = ph_alloc(sizeof *lines);
    struct ph_file file = {0};
    ph_status status = path && lines ? PH_OK : ph_fail_memory(model->context);
    if (!status && ph_file_exists(path)) {
        *found = true;
        *preprocessing = preset_expand(preset_find("unit"), channels_of(model));
        status = ph_file_open(model->context, path, &file);
        if (!status) {
            status = sidecar_split(model->context, &file, lines);
            if (!status) status = sidecar_apply(model, lines, preprocessing, sidecar);
            if (status && status != PH_ERROR_MEMORY) ph_fail_prefix(model->context, "%s", path);
        }
        ph_file_close(&file);
    }
    if (status) {
        ph_free(sidecar->labels);
        sidecar->labels = NULL;
    }
    ph_free(lines);
    ph_free(path);
    return status;
}

/* ---- Guessing -------------------------------------------------------------------------------------------------------- */

static const char *fact(const struct ph_model *model, const char *key) {
    return model->format->fact ? model->format->fact(model->parsed, key) : "";
}

static ph_preprocessing PH_PRINTF(3, 4) guess(const struct ph_model *model, const char *preset, const char *reason, ...) {
    ph_preprocessing result = preset_expand(preset_find(preset), channels_of(model));
    va_list arguments;
    va_start(arguments, reason);
    vsnprintf(result.guessed, sizeof result.guessed, reason, arguments);
    va_end(arguments);
    return result;
}

/* ONNX's own metadata for pictures (docs/MetadataProps.md): pixel format and nominal range. */
static bool guess_metadata(const struct ph_model *model, ph_preprocessing *result) {
    const char *range = fact(model, "Image.NominalPixelRange"), *format = fact(model, "Image.BitmapPixelFormat");
    static const struct { const char *range; float scale, mean, deviation; } ranges[] = {
        {"NominalRange_0_255", 255, 0, 1}, {"Normalized_0_1", 1, 0, 1}, {"Normalized_1_1", 255, 127.5f, 127.5f},
        {"NominalRange_16_235", 219, -16, 1}};
    for (int i = 0; i < PH_COUNT(ranges); i++) {
        if (strcmp(range, ranges[i].range)) continue;
        *result = guess(model, "unit", "the file's metadata: %.40s %.20s", range, format);
        result->scale = ranges[i].scale;
        for (int c = 0; c < result->channels; c++) result->mean[c] = ranges[i].mean, result->deviation[c] = ranges[i].deviation;
        result->bgr = result->channels == 3 && !strncmp(format, "Bgr", 3);
        memcpy(result->preset, custom, sizeof custom);
        for (const struct ph_preset *preset = ph_presets; preset->name; preset++) {
            ph_preprocessing known = preset_expand(preset, result->channels);
            if (values_equal(&known, result)) memcpy(result->preset, known.preset, sizeof known.preset);
        }
        return true;
    }
    return false;
}

/* Caffe's data layers: (picture * 255 - mean) * scale. */
static bool guess_data_layer(const struct ph_model *model, ph_preprocessing *result) {
    struct ph_model_input input = model->format->input(model->parsed, model->input);
    /* A scale of 1 without a mean says nothing: the mean was often in a file of its own. */
    bool silent = !input.mean_count && (input.scale == 0 || input.scale == 1);
    if (silent || (input.mean_count > 1 && input.mean_count != channels_of(model))) return false;
    *result = guess(model, "caffe", "the file's data layer");
    double scale = input.scale != 0 ? input.scale : 1;
    for (int c = 0; c < result->channels; c++) {
        result->mean[c] = input.mean_count ? input.mean[input.mean_count > 1 ? c : 0] : 0;
        result->deviation[c] = (float)(1 / scale);
        if (!isfinite(result->mean[c]) || !isfinite(result->deviation[c]) || result->deviation[c] == 0) return false;
    }
    ph_preprocessing known = preset_expand(preset_find("caffe"), result->channels);
    if (!values_equal(&known, result)) memcpy(result->preset, custom, sizeof custom);
    return true;
}

static double constant_mean(const struct ph_graph *graph, int value) {
    const struct ph_value *record = &graph->values[value];
    int64_t size = ph_shape_size(&record->shape);
    double sum = 0;
    for (int64_t i = 0; i < size; i++) sum += ((const float *)record->data)[i];
    return size ? sum / (double)size : 0;
}

/* One whose contents are there, too. */
static bool is_float_constant(const struct ph_graph *graph, int value) {
    return value != PH_ABSENT && graph->values[value].data && graph->values[value].type == PH_FLOAT &&
           !ph_value_load(&graph->values[value]);
}

/* The only node that reads `value`, NULL when there is none or more than one. */
static const struct ph_node *only_reader(const struct ph_graph *graph, int value) {
    const struct ph_node *reader = NULL;
    for (int i = 0; i < graph->node_count; i++)
        for (int j = 0; j < graph->nodes[i].input_count; j++)
            if (graph->nodes[i].inputs[j] == value) {
                if (reader) return NULL;
                reader = &graph->nodes[i];
            }
    return reader;
}

/* Takes y = factor x + offset through one node at the head of the graph, per channel means for constants; false when
 * the node is not of that kind. */
static bool affine_step(const struct ph_graph *graph, const struct ph_node *node, double *factor, double *offset) {
    const struct ph_operation *operation = node->operation;
    if (operation == &ph_operation_batch_norm) {
        for (int i = 1; i < node->input_count; i++)
            if (!is_float_constant(graph, node->inputs[i])) return false;
        double variance = constant_mean(graph, node->inputs[4]);
        double scale = constant_mean(graph, node->inputs[1]) / sqrt(PH_MAX(variance, 1e-12));
        *offset = (*offset - constant_mean(graph, node->inputs[3])) * scale + constant_mean(graph, node->inputs[2]);
        *factor *= scale;
        return true;
    }
    bool moves = operation == &ph_operation_add || operation == &ph_operation_sub;
    if (!moves && operation != &ph_operation_mul && operation != &ph_operation_div) return false; /* their weights stay unread */
    int which = is_float_constant(graph, node->inputs[1]) ? 1 : is_float_constant(graph, node->inputs[0]) ? 0 : -1;
    if (which < 0) return false;
    double constant = constant_mean(graph, node->inputs[which]);
    if (operation == &ph_operation_add) *offset += constant;
    else if (operation == &ph_operation_sub && which == 1) *offset -= constant;
    else if (operation == &ph_operation_mul) *factor *= constant, *offset *= constant;
    else if (operation == &ph_operation_div && which == 1 && constant != 0) *factor /= constant, *offset /= constant;
    else return false;
    return true;
}

/* A network that begins by normalising wants plain pixels. Of which range shows in where the zero lies and in how wide the
 * result gets: networks are fed values of a few units around 0. */
static bool guess_graph(const struct ph_model *model, const struct ph_graph *graph, int input, ph_preprocessing *result) {
    enum { LONGEST_CHAIN = 16 };
    double factor = 1, offset = 0;
    int steps = 0, value = input;
    const struct ph_node *node;
    for (int i = 0; i < LONGEST_CHAIN && (node = only_reader(graph, value)); i++, value = node->outputs[0]) {
        if (affine_step(graph, node, &factor, &offset)) steps++;
        else if (!node->operation->is_view && node->operation != &ph_operation_transpose &&
                 node->operation != &ph_operation_cast) break;
    }
    if (!steps || factor == 0 || !isfinite(factor) || !isfinite(offset)) return false;
    const double widest = 20;
    bool bytes = -offset / factor > 2 || fabs(factor) * 255 <= widest;
    *result = guess(model, "unit", "the graph normalises its input itself, from %s", bytes ? "0 to 255" : "0 to 1");
    if (bytes) {
        result->scale = 255;
        memcpy(result->preset, custom, sizeof custom);
    }
    return true;
}

/* Caffe's blobs: the input is "data", and a layer's output is named like the layer. */
static bool names_are_caffe(const struct ph_model *model, const struct ph_graph *graph) {
    if (strcmp(model->format->input(model->parsed, model->input).name, "data")) return false;
    int convolutions = 0, alike = 0;
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].operation == &ph_operation_convolution) {
            convolutions++;
            alike += !strcmp(graph->nodes[i].name, graph->values[graph->nodes[i].outputs[0]].name);
        }
    return convolutions && alike == convolutions;
}

static bool names_are_torch(const struct ph_model *model, const struct ph_graph *graph) {
    const char *name = model->format->input(model->parsed, model->input).name;
    if (!strcmp(name, "input.1") || !strcmp(name, "x.1") || !strcmp(name, "actual_input_1")) return true;
    for (int i = 0; i < graph->value_count; i++) {
        const char *tail = strrchr(graph->values[i].name, '.');
        if (graph->values[i].data && tail && !strcmp(tail, ".running_mean")) return true;
    }
    return false;
}

ph_preprocessing ph_preprocessing_guess(const struct ph_model *model, const struct ph_graph *graph, int input) {
    const char *producer = fact(model, PH_FACT_PRODUCER);
    ph_preprocessing result;
    if (guess_metadata(model, &result) || guess_data_layer(model, &result) || guess_graph(model, graph, input, &result))
        return result;
    if (channels_of(model) != 3) return guess(model, "unit", "the network has %d channels, not 3", channels_of(model));
    if (strstr(fact(model, PH_FACT_DESCRIPTION), "BGR")) return guess(model, "caffe", "the file's description says BGR");
    if (model->format == &ph_model_format_caffe) return guess(model, "caffe", "it is a Caffe network");
    if (strcasestr(producer, "caffe")) return guess(model, "caffe", "the file was written by %.60s", producer);
    if (names_are_caffe(model, graph)) return guess(model, "caffe", "its tensors are named as Caffe names them");
    static const char *const tf_producers[] = {"tf2onnx", "keras", "tensorflow", "tflite"};
    for (int i = 0; i < PH_COUNT(tf_producers); i++)
        if (strcasestr(producer, tf_producers[i])) return guess(model, "tf", "the file was written by %.60s", producer);
    if (model->channels_last) return guess(model, "tf", "its pictures are [N,H,W,C], as Keras and TensorFlow have them");
    if (strcasestr(producer, "pytorch")) return guess(model, "torch", "the file was written by %.60s", producer);
    if (names_are_torch(model, graph)) return guess(model, "torch", "its tensors are named as PyTorch names them");
    return guess(model, "torch", "nothing in the file says; this is the commonest");
}
