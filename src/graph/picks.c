/* Indexing by constant indices; see picks.h.
 *
 * The data is a matrix of rows: of single elements (GatherElements), or of what the indices leave whole (GatherND). An index
 * becomes the number of a row. A scatter joins the new rows below the old ones, and then each row of the result is picked from
 * there: a later one for the same place wins, as ONNX Runtime has it.
 * Definitions: https://onnx.ai/onnx/operators/onnx__ScatterND.html and its neighbours. */
#include "graph/picks.h"
#include "graph/operations.h"
#include <string.h>

/* Programs hold indices as floats, which are exact up to here. */
#define ROW_LIMIT ((int64_t)1 << 24)

/* Which rows of the data the indices name, in the order of the indices. A file exported for one picture names the rows of
 * that one: `items` is how often they are repeated for a larger batch. */
struct picks {
    int64_t *rows;
    int64_t count, row_count; /* of one item */
    int64_t width;            /* elements of a row */
    int64_t items;
};

static int64_t dims_product(const struct ph_shape *shape, int begin, int end) {
    int64_t product = 1;
    for (int i = begin; i < end; i++) product *= shape->dims[i];
    return product;
}

static ph_status indices_open(const struct ph_import *import, const struct ph_value **indices) {
    PH_TRY(ph_import_require(import, 1, indices));
    if (!(*indices)->data)
        return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "indices must be constant, and '%s' is not", (*indices)->name);
    if ((*indices)->type == PH_FLOAT) return ph_import_fail(import, PH_ERROR_FORMAT, "the indices are no integers");
    return ph_value_load(*indices);
}

static ph_status index_resolve(const struct ph_import *import, int64_t index, int64_t size, int64_t *out) {
    if (index < -size || index >= size)
        return ph_import_fail(import, PH_ERROR_SHAPE, "index %lld lies outside an axis of %lld", (long long)index, (long long)size);
    *out = index < 0 ? index + size : index;
    return PH_OK;
}

/* Whether the file was exported for one picture, the graph is built for more, and the data has an axis of them. */
static bool is_batched(const struct ph_import *import, const struct ph_value *data) {
    return !data->data && import->file_batch == 1 && import->batch > 1 && data->shape.rank > 0 &&
           data->shape.dims[0] == import->batch;
}

/* Whether the coordinates name places of the first picture alone. */
static bool tuples_in_first(const struct ph_value *indices) {
    int64_t length = indices->shape.rank ? indices->shape.dims[indices->shape.rank - 1] : 0;
    if (length < 1) return false;
    for (int64_t i = 0; i < ph_shape_size(&indices->shape); i += length)
        if (((const int64_t *)indices->data)[i]) return false;
    return true;
}

/* The data's shape as the file saw it. */
static struct ph_shape shape_in_file(const struct ph_value *data, bool repeats) {
    struct ph_shape shape = data->shape;
    if (repeats) shape.dims[0] = 1;
    return shape;
}

static ph_status picks_alloc(const struct ph_import *import, struct picks *picks) {
    if (picks->row_count > ROW_LIMIT || picks->count > ROW_LIMIT || (picks->row_count + picks->count) * picks->items > ROW_LIMIT)
        return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "more than %lld places", (long long)ROW_LIMIT);
    picks->rows = ph_alloc_array((size_t)picks->count, sizeof *picks->rows);
    return picks->rows || !picks->count ? PH_OK : ph_fail_memory(import->graph->context);
}

/* Rows of GatherND and ScatterND: the last axis of the indices holds coordinates on the axes from `batch_axes` on. */
static ph_status tuples_read(const struct ph_import *import, const struct ph_shape *shape, const struct ph_value *indices,
                             int batch_axes, struct picks *picks) {
    const struct ph_shape *at = &indices->shape;
    int64_t length = at->rank ? at->dims[at->rank - 1] : 0;
    if (batch_axes < 0 || batch_axes >= at->rank || length < 0 || batch_axes + length > shape->rank)
        return ph_import_fail(import, PH_ERROR_SHAPE, "indices of %lld coordinates for %d axes", (long long)length, shape->rank);
    int first = batch_axes, last = batch_axes + (int)length;
    int64_t groups = dims_product(at, 0, batch_axes), per_group = dims_product(at, batch_axes, at->rank - 1);
    if (groups != dims_product(shape, 0, batch_axes))
        return ph_import_fail(import, PH_ERROR_SHAPE, "the first %d axes of data and indices differ", batch_axes);
    picks->count = groups * per_group;
    picks->row_count = dims_product(shape, 0, last);
    picks->width = dims_product(shape, last, shape->rank);
    PH_TRY(picks_alloc(import, picks));
    const int64_t *tuple = indices->data;
    for (int64_t i = 0; i < picks->count; i++, tuple += length) {
        int64_t row = i / per_group, coordinate;
        for (int axis = first; axis < last; axis++) {
            PH_TRY(index_resolve(import, tuple[axis - first], shape->dims[axis], &coordinate));
            row = row * shape->dims[axis] + coordinate;
        }
        picks->rows[i] = row;
    }
    return PH_OK;
}

/* Rows of GatherElements and ScatterElements: an index stands where its element does, but for one axis. */
static ph_status elements_read(const struct ph_import *import, const struct ph_shape *shape, const struct ph_value *indices,
                               struct picks *picks) {
    const struct ph_shape *at = &indices->shape;
    int64_t axis, place[PH_MAX_RANK] = {0};
    PH_TRY(ph_import_axis(import, "axis", 0, shape->rank, &axis));
    if (at->rank != shape->rank) return ph_import_fail(import, PH_ERROR_SHAPE, "data and indices differ in rank");
    for (int i = 0; i < shape->rank; i++)
        if (i != axis && at->dims[i] > shape->dims[i])
            return ph_import_fail(import, PH_ERROR_SHAPE, "the indices are longer than the data on axis %d", i);
    picks->count = ph_shape_size(at);
    picks->row_count = ph_shape_size(shape);
    picks->width = 1;
    PH_TRY(picks_alloc(import, picks));
    for (int64_t n = 0; n < picks->count; n++) {
        int64_t row = 0, index;
        PH_TRY(index_resolve(import, ((const int64_t *)indices->data)[n], shape->dims[axis], &index));
        for (int i = 0; i < shape->rank; i++) row = row * shape->dims[i] + (i == axis ? index : place[i]);
        picks->rows[n] = row;
        for (int i = at->rank - 1; i >= 0 && ++place[i] == at->dims[i]; i--) place[i] = 0;
    }
    return PH_OK;
}

ph_status ph_rows_gather(struct ph_graph *graph, int value, int64_t row_count, const int64_t *rows, int64_t count,
                         struct ph_shape result, int *out) {
    int64_t width = row_count ? ph_shape_size(&graph->values[value].shape) / row_count : 0;
    struct ph_shape_attributes matrix = {PH_SHAPE(row_count, width)}, whole = {result};
    int inputs[2];
    PH_TRY(ph_graph_add(graph, &ph_operation_reshape, NULL, &matrix, &value, 1, &inputs[0]));
    PH_TRY(ph_graph_add_constant_copy(graph, NULL, PH_INT64, PH_SHAPE(count), rows, &inputs[1]));
    PH_TRY(ph_graph_add(graph, &ph_operation_gather, NULL, &(struct ph_axis_attributes){0}, inputs, 2, out));
    return ph_graph_add(graph, &ph_operation_reshape, NULL, &whole, out, 1, out);
}

/* ---- Gathers ----------------------------------------------------------------------------------------------------- */

static ph_status gather_append(struct ph_import *import, const struct picks *picks, struct ph_shape result) {
    int64_t count = picks->count * picks->items, *rows = ph_alloc_array((size_t)count, sizeof *rows);
    if (!rows && count) return ph_fail_memory(import->graph->context);
    for (int64_t i = 0; i < count; i++) rows[i] = i / picks->count * picks->row_count + picks->rows[i % picks->count];
    int out;
    ph_status status = ph_rows_gather(import->graph, import->inputs[0], picks->row_count * picks->items, rows, count, result, &out);
    ph_free(rows);
    return status ? status : ph_import_append_value(import, out);
}

ph_status ph_gather_nd_read(struct ph_import *import) {
    const struct ph_value *data, *indices;
    PH_TRY(ph_import_require(import, 0, &data));
    PH_TRY(indices_open(import, &indices));
    int batch_axes = (int)PH_MAX(-1, PH_MIN(ph_import_int(import, "batch_dims", 0), PH_MAX_RANK));
    struct ph_shape result = indices->shape;
    bool repeats = is_batched(import, data) && result.rank > 1 && result.dims[0] == 1 &&
                   (batch_axes > 0 || tuples_in_first(indices));
    struct ph_shape shape = shape_in_file(data, repeats);
    struct picks picks = {.items = repeats ? import->batch : 1};
    ph_status status = tuples_read(import, &shape, indices, batch_axes, &picks);
    if (!status) {
        int kept = batch_axes + (int)result.dims[result.rank - 1];
        result.rank--;
        if (result.rank + data->shape.rank - kept > PH_MAX_RANK)
            status = ph_import_fail(import, PH_ERROR_UNSUPPORTED, "the result would have more than %d axes", PH_MAX_RANK);
        for (int i = kept; i < data->shape.rank && !status; i++) result.dims[result.rank++] = data->shape.dims[i];
        if (repeats) result.dims[0] = import->batch;
    }
    if (!status) status = gather_append(import, &picks, result);
    ph_free(picks.rows);
    return status;
}

ph_status ph_gather_elements_read(struct ph_import *import) {
    const struct ph_value *data, *indices;
    PH_TRY(ph_import_require(import, 0, &data));
    PH_TRY(indices_open(import, &indices));
    struct ph_shape result = indices->shape;
    bool repeats = is_batched(import, data) && result.rank > 1 && result.dims[0] == 1;
    struct ph_shape shape = shape_in_file(data, repeats);
    struct picks picks = {.items = repeats ? import->batch : 1};
    if (repeats) result.dims[0] = import->batch;
    ph_status status = elements_read(import, &shape, indices, &picks);
    if (!status) status = gather_append(import, &picks, result);
    ph_free(picks.rows);
    return status;
}

/* ---- Scatters ---------------------------------------------------------------------------------------------------- */

/* [size / width, width] */
static ph_status matrix_append(struct ph_graph *graph, int value, int64_t width, int *out) {
    int64_t size = ph_shape_size(&graph->values[value].shape);
    struct ph_shape_attributes matrix = {PH_SHAPE(width ? size / width : 0, width)};
    return ph_graph_add(graph, &ph_operation_reshape, NULL, &matrix, &value, 1, out);
}

/* New rows are there for every item, or the same for all. */
static ph_status scatter_append(struct ph_import *import, const struct picks *picks) {
    struct ph_graph *graph = import->graph;
    struct ph_shape result = graph->values[import->inputs[0]].shape;
    int64_t rows = picks->row_count * picks->items, count = picks->count * picks->items, old = 0;
    int64_t there = picks->width ? ph_shape_size(&graph->values[import->inputs[2]].shape) / picks->width : 0;
    int64_t *from = ph_alloc_array((size_t)rows, sizeof *from);
    if (!from && rows) return ph_fail_memory(graph->context);
    for (int64_t r = 0; r < rows; r++) from[r] = r;
    for (int64_t i = 0; i < count && there; i++)
        from[i / picks->count * picks->row_count + picks->rows[i % picks->count]] = rows + i % there;
    for (int64_t r = 0; r < rows; r++) old += from[r] < rows;
    int parts[2], joined;
    ph_status status = matrix_append(graph, import->inputs[0], picks->width, &parts[0]);
    if (!status) status = matrix_append(graph, import->inputs[2], picks->width, &parts[1]);
    if (!status && old) {
        status = ph_graph_add(graph, &ph_operation_concat, NULL, &(struct ph_axis_attributes){0}, parts, 2, &joined);
    } else if (!status) { /* nothing of the old is left */
        joined = parts[1];
        for (int64_t r = 0; r < rows; r++) from[r] -= rows;
    }
    if (!status) status = ph_rows_gather(graph, joined, old ? rows + there : there, from, rows, result, &joined);
    ph_free(from);
    return status ? status : ph_import_append_value(import, joined);
}

static ph_status scatter_read(struct ph_import *import, bool tuples) {
    const struct ph_value *data, *indices, *updates;
    char reduction[16];
    PH_TRY(ph_import_require(import, 0, &data));
    PH_TRY(indices_open(import, &indices));
    PH_TRY(ph_import_require(import, 2, &updates));
    ph_import_string(import, "reduction", "none", reduction, sizeof reduction);
    if (strcmp(reduction, "none")) return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "reduction '%s'", reduction);
    const struct ph_shape *at = &indices->shape;
    bool repeats = is_batched(import, data) && (tuples ? tuples_in_first(indices) : at->rank > 1 && at->dims[0] == 1);
    struct ph_shape shape = shape_in_file(data, repeats);
    struct picks picks = {.items = repeats ? import->batch : 1};
    ph_status status = tuples ? tuples_read(import, &shape, indices, 0, &picks) : elements_read(import, &shape, indices, &picks);
    int64_t size = picks.count * picks.width, found = ph_shape_size(&updates->shape);
    if (!status && found != size && found != size * picks.items)
        status = ph_import_fail(import, PH_ERROR_SHAPE, "%lld elements to be written, %lld expected", (long long)found,
                                (long long)(size * picks.items));
    if (!status) status = scatter_append(import, &picks);
    ph_free(picks.rows);
    return status;
}

ph_status ph_scatter_nd_read(struct ph_import *import) { return scatter_read(import, true); }
ph_status ph_scatter_elements_read(struct ph_import *import) { return scatter_read(import, false); }
