/* What scikit-learn's exporter writes around and in place of networks: the operations of ONNX's domain ai.onnx.ml that are
 * sums, scales and shares of numbers (onnx/onnx, docs/Operators-ml.md). Trees, strings and tables are not among them. */
#include "graph/operations.h"
#include "model/onnx_ml.h"
#include <math.h>
#include <string.h>

/* ---- Nodes ------------------------------------------------------------------------------------------------------- */

static const char *wanted_name(const struct ph_import *import, int output) {
    return output < import->output_count ? import->output_names[output] : NULL;
}

static ph_status binary(const struct ph_import *import, const struct ph_operation *operation, const char *name, int a, int b,
                        int *out) {
    return ph_graph_add(import->graph, operation, name, NULL, (int[]){a, b}, 2, out);
}

/* A list attribute as a constant; PH_ABSENT where there is none. `count`: how many there must be, or 0. */
static ph_status floats_add(const struct ph_import *import, const char *name, struct ph_shape shape, int *value) {
    const float *values;
    int count;
    *value = PH_ABSENT;
    if (!import->reader->get_floats(import->source, name, &values, &count) || !count) return PH_OK;
    if (count != ph_shape_size(&shape))
        return ph_import_fail(import, PH_ERROR_FORMAT, "attribute %s has %d numbers, not %lld", name, count,
                              (long long)ph_shape_size(&shape));
    return ph_graph_add_constant_copy(import->graph, NULL, PH_FLOAT, shape, values, value);
}

static int list_length(const struct ph_import *import, const char *name) {
    const float *values;
    int count;
    return import->reader->get_floats(import->source, name, &values, &count) ? count : 0;
}

/* The tables of features [N,F] that all of these take. */
static ph_status table_require(const struct ph_import *import, const struct ph_value **x) {
    PH_TRY(ph_import_require(import, 0, x));
    if ((*x)->shape.rank != 2)
        return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "its input has %d axes; a table [N,F] is expected",
                              (*x)->shape.rank);
    return PH_OK;
}

/* ---- Scaler: (x - offset) * scale -------------------------------------------------------------------------------- */

static ph_status scaler_read(struct ph_import *import) {
    const struct ph_value *x;
    int value = import->inputs[0], offset, scale;
    PH_TRY(table_require(import, &x));
    int64_t features = x->shape.dims[1];
    PH_TRY(floats_add(import, "offset", PH_SHAPE(list_length(import, "offset") == 1 ? 1 : features), &offset));
    PH_TRY(floats_add(import, "scale", PH_SHAPE(list_length(import, "scale") == 1 ? 1 : features), &scale));
    const char *name = wanted_name(import, 0);
    if (offset != PH_ABSENT) PH_TRY(binary(import, &ph_operation_sub, scale == PH_ABSENT ? name : NULL, value, offset, &value));
    if (scale != PH_ABSENT) PH_TRY(binary(import, &ph_operation_mul, name, value, scale, &value));
    import->outputs[0] = value;
    return PH_OK;
}

/* ---- Linear models ----------------------------------------------------------------------------------------------- */

/* x coefficients' + intercepts, [N,`rows`]. */
static ph_status products_add(const struct ph_import *import, const char *name, int64_t rows, int *out) {
    const struct ph_value *x;
    int inputs[3] = {import->inputs[0]};
    struct ph_gemm_attributes attributes = {.alpha = 1, .beta = 1, .transpose_b = true};
    PH_TRY(table_require(import, &x));
    PH_TRY(floats_add(import, "coefficients", PH_SHAPE(rows, x->shape.dims[1]), &inputs[1]));
    PH_TRY(floats_add(import, "intercepts", PH_SHAPE(rows), &inputs[2]));
    if (inputs[1] == PH_ABSENT) return ph_import_fail(import, PH_ERROR_FORMAT, "attribute coefficients is missing");
    return ph_graph_add(import->graph, &ph_operation_gemm, name, &attributes, inputs, inputs[2] == PH_ABSENT ? 2 : 3, out);
}

static bool is_plain(const char *transform) { return !strcmp(transform, "NONE"); }

static ph_status transform_add(const struct ph_import *import, const char *transform, const char *name, int x, int *out) {
    struct ph_softmax_attributes last = {1, 2};
    if (!strcmp(transform, "LOGISTIC")) return ph_graph_add(import->graph, &ph_operation_sigmoid, name, NULL, &x, 1, out);
    if (!strcmp(transform, "SOFTMAX")) return ph_graph_add(import->graph, &ph_operation_softmax, name, &last, &x, 1, out);
    return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "post_transform %s; NONE, LOGISTIC and SOFTMAX are known", transform);
}

static ph_status regressor_read(struct ph_import *import) {
    char transform[32];
    int64_t targets = ph_import_int(import, "targets", 1);
    ph_import_string(import, "post_transform", "NONE", transform, sizeof transform);
    if (targets < 1 || targets > INT32_MAX) return ph_import_fail(import, PH_ERROR_FORMAT, "%lld targets", (long long)targets);
    if (is_plain(transform)) return products_add(import, wanted_name(import, 0), targets, &import->outputs[0]);
    PH_TRY(products_add(import, NULL, targets, &import->outputs[0]));
    return transform_add(import, transform, wanted_name(import, 0), import->outputs[0], &import->outputs[0]);
}

/* One row of coefficients for two classes: the other's score is what is left, of 1 or of 0. */
static ph_status other_class_add(const struct ph_import *import, bool plain, const char *name, int score, int *out) {
    const float one = 1;
    struct ph_axis_attributes classes = {1};
    int both[2] = {PH_ABSENT, score}, constant;
    if (plain) PH_TRY(ph_graph_add(import->graph, &ph_operation_neg, NULL, NULL, &score, 1, &both[0]));
    else {
        PH_TRY(ph_graph_add_constant_copy(import->graph, NULL, PH_FLOAT, PH_SCALAR, &one, &constant));
        PH_TRY(binary(import, &ph_operation_sub, NULL, constant, score, &both[0]));
    }
    return ph_graph_add(import->graph, &ph_operation_concat, name, &classes, both, 2, out);
}

/* Outputs: the best class's place, and the scores. */
static ph_status classifier_read(struct ph_import *import) {
    char transform[32];
    int64_t labels[1024];
    int label_count, scores;
    const struct ph_value *x;
    ph_import_string(import, "post_transform", "NONE", transform, sizeof transform);
    PH_TRY(table_require(import, &x));
    PH_TRY(ph_import_ints(import, "classlabels_ints", labels, PH_COUNT(labels), &label_count));
    int length = list_length(import, "coefficients");
    int64_t rows = x->shape.dims[1] ? length / x->shape.dims[1] : 0;
    bool pair = rows == 1 && label_count != 1, plain = is_plain(transform);
    if (rows < 1)
        return ph_import_fail(import, PH_ERROR_FORMAT, "%d coefficients for %lld features", length,
                              (long long)x->shape.dims[1]);
    const char *name = wanted_name(import, 1);
    PH_TRY(products_add(import, plain && !pair ? name : NULL, rows, &scores));
    if (!plain) PH_TRY(transform_add(import, transform, pair ? NULL : name, scores, &scores));
    if (pair) PH_TRY(other_class_add(import, plain, name, scores, &scores));
    struct ph_reduce_attributes classes = {.axes = {1}, .axis_count = 1};
    PH_TRY(ph_graph_add(import->graph, &ph_operation_argmax, wanted_name(import, 0), &classes, &scores, 1,
                        &import->outputs[0]));
    if (import->output_count > 1) import->outputs[1] = scores;
    return PH_OK;
}

/* ---- Normalizer: rows over their largest element, the sum of their magnitudes, or their length ------------------- */

static ph_status normalizer_read(struct ph_import *import) {
    static const struct { const char *name; const struct ph_operation *size; } norms[] = {
        {"MAX", &ph_operation_reduce_max}, {"L1", &ph_operation_reduce_l1}, {"L2", &ph_operation_reduce_l2}};
    char norm[16];
    const struct ph_value *x;
    struct ph_reduce_attributes features = {.axes = {1}, .axis_count = 1, .keep_dims = true};
    ph_import_string(import, "norm", "MAX", norm, sizeof norm);
    PH_TRY(table_require(import, &x));
    for (int i = 0; i < PH_COUNT(norms); i++) {
        if (strcmp(norm, norms[i].name)) continue;
        int size;
        PH_TRY(ph_graph_add(import->graph, norms[i].size, NULL, &features, import->inputs, 1, &size));
        return binary(import, &ph_operation_div, wanted_name(import, 0), import->inputs[0], size, &import->outputs[0]);
    }
    return ph_import_fail(import, PH_ERROR_FORMAT, "norm %s; there are MAX, L1, L2", norm);
}

/* ---- ZipMap: a table of names and scores; the scores ------------------------------------------------------------- */

static ph_status zipmap_read(struct ph_import *import) {
    const struct ph_value *x;
    PH_TRY(ph_import_require(import, 0, &x));
    return ph_graph_add(import->graph, &ph_operation_identity, wanted_name(import, 0), NULL, import->inputs, 1,
                        &import->outputs[0]);
}

const struct ph_importer ph_onnx_ml_importers[] = {
    {"LinearClassifier", classifier_read},
    {"LinearRegressor", regressor_read},
    {"Normalizer", normalizer_read},
    {"Scaler", scaler_read},
    {"ZipMap", zipmap_read},
    {NULL, NULL},
};
