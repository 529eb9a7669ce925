/* What the importers of operations share: attribute access with defaults, appending the node. */
#include "graph/operations.h"
#include <stdio.h>
#include <string.h>

int64_t ph_import_int(const struct ph_import *import, const char *name, int64_t initial) {
    int64_t value;
    return import->reader->get_int(import->source, name, &value) ? value : initial;
}

double ph_import_float(const struct ph_import *import, const char *name, double initial) {
    double value;
    return import->reader->get_float(import->source, name, &value) ? value : initial;
}

const char *ph_import_string(const struct ph_import *import, const char *name, const char *initial, char *text, size_t size) {
    const char *found;
    size_t length;
    if (!import->reader->get_string(import->source, name, &found, &length)) found = initial, length = strlen(initial);
    if (length >= size) length = size - 1;
    memcpy(text, found, length);
    text[length] = 0;
    return text;
}

ph_status ph_import_ints(const struct ph_import *import, const char *name, int64_t *out, int capacity, int *count) {
    const int64_t *values;
    *count = -1;
    int found;
    if (!import->reader->get_ints(import->source, name, &values, &found)) return PH_OK;
    if (found > capacity)
        return ph_import_fail(import, PH_ERROR_FORMAT, "attribute '%s' has %d entries, at most %d expected", name, found, capacity);
    for (int i = 0; i < found; i++) out[i] = values[i];
    *count = found;
    return PH_OK;
}

ph_status ph_import_ints_input(const struct ph_import *import, int index, const char *name, int64_t *out, int capacity,
                               int *count) {
    int value = ph_import_input(import, index);
    if (value == PH_ABSENT) return ph_import_ints(import, name, out, capacity, count);
    ph_status status = ph_graph_constant_ints(import->graph, value, name, out, capacity, count);
    if (status) ph_fail_prefix(import->graph->context, "node '%s' (%s)", import->name, import->type);
    return status;
}

ph_status ph_import_floats_input(const struct ph_import *import, int index, const char *what, double *out, int capacity,
                                 int *count) {
    int value = ph_import_input(import, index);
    *count = -1;
    if (value == PH_ABSENT) return PH_OK;
    ph_status status = ph_graph_constant_floats(import->graph, value, what, out, capacity, count);
    if (status) ph_fail_prefix(import->graph->context, "node '%s' (%s)", import->name, import->type);
    return status;
}

int ph_import_input(const struct ph_import *import, int index) {
    return index < import->input_count ? import->inputs[index] : PH_ABSENT;
}

const struct ph_value *ph_import_value(const struct ph_import *import, int index) {
    int value = ph_import_input(import, index);
    return value == PH_ABSENT ? NULL : &import->graph->values[value];
}

ph_status ph_import_resolve_axes(const struct ph_import *import, int64_t *axes, int count, int rank) {
    for (int i = 0; i < count; i++) {
        if (axes[i] < -rank || axes[i] >= rank)
            return ph_import_fail(import, PH_ERROR_SHAPE, "axis %lld, %d to %d expected", (long long)axes[i], -rank, rank - 1);
        if (axes[i] < 0) axes[i] += rank;
    }
    return PH_OK;
}

ph_status ph_import_axis(const struct ph_import *import, const char *name, int64_t initial, int rank, int64_t *axis) {
    *axis = ph_import_int(import, name, initial);
    return ph_import_resolve_axes(import, axis, 1, rank);
}

ph_status ph_import_require(const struct ph_import *import, int index, const struct ph_value **value) {
    *value = ph_import_value(import, index);
    return *value ? PH_OK : ph_import_fail(import, PH_ERROR_FORMAT, "input %d is missing", index);
}

ph_status ph_import_append(struct ph_import *import, const void *attributes, int inputs) {
    if (inputs < 0) inputs = import->input_count;
    return ph_graph_add_node(import->graph, import->operation, import->name, attributes, import->inputs,
                             PH_MIN(inputs, import->input_count), import->output_names, import->output_count, import->outputs);
}

ph_status ph_import_append_first(struct ph_import *import, const void *attributes, int inputs) {
    for (int i = 1; i < import->output_count; i++) {
        if (import->output_names[i][0])
            return ph_import_fail(import, PH_ERROR_UNSUPPORTED, "output %d ('%s') is used; only output 0 is computed", i,
                                  import->output_names[i]);
        import->outputs[i] = PH_ABSENT;
    }
    struct ph_import single = *import;
    single.output_count = 1;
    return ph_import_append(&single, attributes, inputs);
}

ph_status ph_import_append_value(struct ph_import *import, int value) {
    struct ph_import last = *import;
    last.operation = &ph_operation_identity;
    last.inputs = &value;
    last.input_count = 1;
    return ph_import_append(&last, NULL, 1);
}

ph_status ph_import_fail(const struct ph_import *import, ph_status status, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return ph_fail(import->graph->context, status, "node '%s' (%s): %s", import->name, import->type, text);
}
