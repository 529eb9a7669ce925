/* Einsum, spelled out: "bnc,bmc->bnm". Every axis of an operand has a label; equal labels run together, and what the result does
 * not name is summed. Operands are taken in one by one: of two, labels of both that are still needed are a stack of matrices,
 * those that are not needed any more the inner axis of the product, and labels of one alone its rows or columns.
 * Definition: https://onnx.ai/onnx/operators/onnx__Einsum.html */
#include "graph/einsum.h"
#include "graph/operations.h"
#include "graph/picks.h"
#include <ctype.h>
#include <string.h>

enum { MOST_OPERANDS = 16, MOST_TEXT = 256 };

/* Axes that an ellipsis stands for have the labels '0', '1', ... from the last to the first. */
struct labels { int count; char axis[PH_MAX_RANK]; };
struct operand { int value; struct labels labels; };

static struct ph_shape shape_of(const struct ph_import *import, const struct operand *operand) {
    return import->graph->values[operand->value].shape;
}

static int label_find(const struct labels *labels, char label) {
    for (int i = 0; i < labels->count; i++)
        if (labels->axis[i] == label) return i;
    return -1;
}

static bool label_has(const struct labels *labels, char label) { return label_find(labels, label) >= 0; }

static ph_status label_add(const struct ph_import *import, struct labels *labels, char label) {
    if (labels->count == PH_MAX_RANK)
        return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "a term of more than %d axes", PH_MAX_RANK);
    labels->axis[labels->count++] = label;
    return PH_OK;
}

/* ---- The equation ------------------------------------------------------------------------------------------------ */

/* One term, up to a comma or the end; its ellipsis stands for `hidden` axes. */
static ph_status term_read(const struct ph_import *import, const char *text, size_t length, int hidden, struct labels *labels) {
    for (size_t i = 0; i < length; i++) {
        if (isalpha((unsigned char)text[i])) PH_TRY(label_add(import, labels, text[i]));
        else if (length - i >= 3 && !strncmp(text + i, "...", 3)) {
            for (int k = hidden - 1; k >= 0; k--) PH_TRY(label_add(import, labels, (char)('0' + k)));
            i += 2;
        } else {
            return ph_import_fail(import, PH_ERROR_FORMAT, "equation '%.*s'", (int)length, text);
        }
    }
    return PH_OK;
}

static int letters_in(const char *text, size_t length) {
    int count = 0;
    for (size_t i = 0; i < length; i++) count += isalpha((unsigned char)text[i]) != 0;
    return count;
}

static ph_status operands_read(const struct ph_import *import, const char *terms, const char *end, struct operand *operands,
                               int *hidden) {
    for (int k = 0; k < import->input_count; k++) {
        const struct ph_value *x;
        PH_TRY(ph_import_require(import, k, &x));
        size_t length = strcspn(terms, ",");
        length = PH_MIN(length, (size_t)(end - terms));
        int rest = x->shape.rank - letters_in(terms, length);
        operands[k].value = import->inputs[k];
        PH_TRY(term_read(import, terms, length, PH_MAX(rest, 0), &operands[k].labels));
        if (operands[k].labels.count != x->shape.rank)
            return ph_import_fail(import, PH_ERROR_SHAPE, "the equation names %d axes of input %d, which has %d",
                                  operands[k].labels.count, k, x->shape.rank);
        *hidden = PH_MAX(*hidden, rest);
        bool last = terms + length == end;
        if (last != (k == import->input_count - 1))
            return ph_import_fail(import, PH_ERROR_FORMAT, "the equation is not one for %d inputs", import->input_count);
        terms += length + 1;
    }
    return PH_OK;
}

/* Without an arrow: the ellipsis, then what stands once, by the alphabet. */
static ph_status result_guess(const struct ph_import *import, const struct operand *operands, int hidden, struct labels *result) {
    PH_TRY(term_read(import, "...", 3, hidden, result));
    for (char label = 'A'; label <= 'z'; label++) {
        int seen = 0;
        for (int k = 0; k < import->input_count; k++)
            for (int i = 0; i < operands[k].labels.count; i++) seen += operands[k].labels.axis[i] == label;
        if (seen == 1) PH_TRY(label_add(import, result, label));
    }
    return PH_OK;
}

static ph_status equation_read(const struct ph_import *import, struct operand *operands, struct labels *result) {
    char text[MOST_TEXT];
    ph_import_string(import, "equation", "", text, sizeof text);
    size_t kept = 0;
    for (size_t i = 0; text[i]; i++)
        if (text[i] != ' ') text[kept++] = text[i];
    text[kept] = 0;
    if (import->input_count < 1 || import->input_count > MOST_OPERANDS || kept + 1 >= sizeof text)
        return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "%d inputs or an equation this long", import->input_count);
    const char *arrow = strstr(text, "->"), *end = arrow ? arrow : text + kept;
    int hidden = 0;
    PH_TRY(operands_read(import, text, end, operands, &hidden));
    if (!arrow) return result_guess(import, operands, hidden, result);
    PH_TRY(term_read(import, arrow + 2, strlen(arrow + 2), hidden, result));
    for (int i = 0; i < result->count; i++) {
        bool found = false;
        for (int k = 0; k < import->input_count; k++) found |= label_has(&operands[k].labels, result->axis[i]);
        if (!found || label_find(result, result->axis[i]) != i)
            return ph_import_fail(import, PH_ERROR_FORMAT, "the result's axis '%c'", result->axis[i]);
    }
    return PH_OK;
}

/* ---- One operand ------------------------------------------------------------------------------------------------- */

/* Of axes with the same label the diagonal is taken. */
static ph_status diagonal_take(const struct ph_import *import, struct operand *operand) {
    struct ph_shape shape = shape_of(import, operand), result = {0};
    struct labels distinct = {0};
    for (int i = 0; i < shape.rank; i++) {
        int first = label_find(&operand->labels, operand->labels.axis[i]);
        if (shape.dims[i] != shape.dims[first])
            return ph_import_fail(import, PH_ERROR_SHAPE, "axes '%c' differ in size", operand->labels.axis[i]);
        if (first != i) continue;
        result.dims[result.rank++] = shape.dims[i];
        distinct.axis[distinct.count++] = operand->labels.axis[i];
    }
    if (distinct.count == operand->labels.count) return PH_OK;
    int64_t count = ph_shape_size(&result), place[PH_MAX_RANK] = {0};
    int64_t *rows = ph_alloc_array((size_t)count, sizeof *rows);
    if (!rows && count) return ph_fail_memory(import->graph->context);
    for (int64_t n = 0; n < count; n++) {
        rows[n] = 0;
        for (int i = 0; i < shape.rank; i++)
            rows[n] = rows[n] * shape.dims[i] + place[label_find(&distinct, operand->labels.axis[i])];
        for (int i = result.rank - 1; i >= 0 && ++place[i] == result.dims[i]; i--) place[i] = 0;
    }
    ph_status status = ph_rows_gather(import->graph, operand->value, ph_shape_size(&shape), rows, count, result, &operand->value);
    operand->labels = distinct;
    ph_free(rows);
    return status;
}

/* Sums over axes that neither `other` nor `needed` has. */
static ph_status rest_sum(const struct ph_import *import, struct operand *operand, const struct labels *other,
                          const struct labels *needed) {
    struct ph_reduce_attributes attributes = {0};
    struct labels left = {0};
    for (int i = 0; i < operand->labels.count; i++) {
        char label = operand->labels.axis[i];
        if (label_has(other, label) || label_has(needed, label)) left.axis[left.count++] = label;
        else attributes.axes[attributes.axis_count++] = i;
    }
    operand->labels = left;
    if (!attributes.axis_count) return PH_OK;
    return ph_graph_add(import->graph, &ph_operation_reduce_sum, NULL, &attributes, &operand->value, 1, &operand->value);
}

/* Brings the axes into the order of `labels`, which are the operand's. */
static ph_status axes_order(const struct ph_import *import, struct operand *operand, const struct labels *labels) {
    struct ph_transpose_attributes attributes = {0};
    bool moves = false;
    for (int i = 0; i < labels->count; i++) {
        attributes.order[i] = label_find(&operand->labels, labels->axis[i]);
        moves |= attributes.order[i] != i;
    }
    operand->labels = *labels;
    if (!moves) return PH_OK;
    return ph_graph_add(import->graph, &ph_operation_transpose, NULL, &attributes, &operand->value, 1, &operand->value);
}

/* ---- Two operands ------------------------------------------------------------------------------------------------ */

/* Axes that both have are of one size; one of 1 is repeated. */
static ph_status sizes_match(const struct ph_import *import, struct operand *operand, const struct operand *other) {
    struct ph_shape_attributes attributes = {shape_of(import, operand)};
    struct ph_shape shape = attributes.shape, second = shape_of(import, other);
    for (int i = 0; i < shape.rank; i++) {
        int at = label_find(&other->labels, operand->labels.axis[i]);
        if (at < 0 || second.dims[at] == shape.dims[i]) continue;
        if (shape.dims[i] != 1 && second.dims[at] != 1)
            return ph_import_fail(import, PH_ERROR_SHAPE, "axes '%c' differ in size", operand->labels.axis[i]);
        attributes.shape.dims[i] = PH_MAX(shape.dims[i], second.dims[at]);
    }
    if (ph_shape_equal(&shape, &attributes.shape)) return PH_OK;
    return ph_graph_add(import->graph, &ph_operation_expand, NULL, &attributes, &operand->value, 1, &operand->value);
}

static struct labels labels_join(const struct labels *a, const struct labels *b, const struct labels *c) {
    struct labels whole = *a;
    const struct labels *rest[] = {b, c};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < rest[k]->count; i++) whole.axis[whole.count++] = rest[k]->axis[i];
    return whole;
}

/* [stack, rows, columns] */
static ph_status matrices_make(const struct ph_import *import, struct operand *operand, const struct labels *stack,
                               const struct labels *rows, const struct labels *columns) {
    struct labels order = labels_join(stack, rows, columns);
    PH_TRY(axes_order(import, operand, &order));
    struct ph_shape shape = shape_of(import, operand);
    struct ph_shape_attributes attributes = {PH_SHAPE(1, 1, 1)};
    for (int i = 0; i < shape.rank; i++)
        attributes.shape.dims[(i >= stack->count) + (i >= stack->count + rows->count)] *= shape.dims[i];
    return ph_graph_add(import->graph, &ph_operation_reshape, NULL, &attributes, &operand->value, 1, &operand->value);
}

/* a becomes the product of both; `needed` are the labels that are still to be read. */
static ph_status pair_multiply(const struct ph_import *import, struct operand *a, struct operand *b,
                               const struct labels *needed) {
    struct labels stack = {0}, inner = {0}, rows = {0}, columns = {0};
    PH_TRY(rest_sum(import, a, &b->labels, needed));
    PH_TRY(rest_sum(import, b, &a->labels, needed));
    PH_TRY(sizes_match(import, a, b));
    PH_TRY(sizes_match(import, b, a));
    for (int i = 0; i < a->labels.count; i++) {
        char label = a->labels.axis[i];
        struct labels *kind = !label_has(&b->labels, label) ? &rows : label_has(needed, label) ? &stack : &inner;
        kind->axis[kind->count++] = label;
    }
    for (int i = 0; i < b->labels.count; i++)
        if (!label_has(&a->labels, b->labels.axis[i])) columns.axis[columns.count++] = b->labels.axis[i];
    if (stack.count + rows.count + columns.count > PH_MAX_RANK)
        return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "a product of more than %d axes", PH_MAX_RANK);

    struct labels whole = labels_join(&stack, &rows, &columns);
    struct ph_shape_attributes attributes = {{.rank = whole.count}};
    for (int i = 0; i < whole.count; i++) {
        const struct operand *from = label_has(&a->labels, whole.axis[i]) ? a : b;
        attributes.shape.dims[i] = shape_of(import, from).dims[label_find(&from->labels, whole.axis[i])];
    }
    PH_TRY(matrices_make(import, a, &stack, &rows, &inner));
    PH_TRY(matrices_make(import, b, &stack, &inner, &columns));
    int inputs[2] = {a->value, b->value};
    PH_TRY(ph_graph_add(import->graph, &ph_operation_matmul, NULL, NULL, inputs, 2, &a->value));
    a->labels = whole;
    return ph_graph_add(import->graph, &ph_operation_reshape, NULL, &attributes, &a->value, 1, &a->value);
}

/* Adds those of `labels` that the result has, or an operand from `next` on. */
static ph_status needed_add(const struct ph_import *import, const struct operand *operands, int next,
                            const struct labels *labels, const struct labels *result, struct labels *needed) {
    for (int i = 0; i < labels->count; i++) {
        char label = labels->axis[i];
        bool wanted = label_has(result, label);
        for (int k = next; k < import->input_count; k++) wanted |= label_has(&operands[k].labels, label);
        if (wanted && !label_has(needed, label)) PH_TRY(label_add(import, needed, label));
    }
    return PH_OK;
}

ph_status ph_einsum_read(struct ph_import *import) {
    struct operand operands[MOST_OPERANDS] = {0};
    struct labels result = {0};
    PH_TRY(equation_read(import, operands, &result));
    for (int k = 0; k < import->input_count; k++) PH_TRY(diagonal_take(import, &operands[k]));
    struct operand *whole = &operands[0];
    for (int k = 1; k < import->input_count; k++) {
        struct labels needed = {0};
        PH_TRY(needed_add(import, operands, k + 1, &whole->labels, &result, &needed));
        PH_TRY(needed_add(import, operands, k + 1, &operands[k].labels, &result, &needed));
        PH_TRY(pair_multiply(import, whole, &operands[k], &needed));
    }
    PH_TRY(rest_sum(import, whole, &result, &result));
    PH_TRY(axes_order(import, whole, &result));
    return ph_import_append_value(import, whole->value);
}
