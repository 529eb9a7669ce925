/* The operation table and helpers of shape rules. */
#include "graph/operations.h"
#include <stdio.h>
#include <string.h>

#define TABLE_ENTRY(name) &ph_operation_##name,
#define TABLE_ENTRY_DOUBLE(name) &ph_operation_##name##_double,
const struct ph_operation *const ph_operations[] = {PH_OPERATION_LIST(TABLE_ENTRY) NULL};
static const struct ph_operation *const operations_double[] = {PH_OPERATION_LIST(TABLE_ENTRY_DOUBLE) NULL};

const struct ph_operation *ph_operation_find(const char *name) {
    for (int i = 0; ph_operations[i]; i++)
        if (!strcmp(ph_operations[i]->name, name)) return ph_operations[i];
    return NULL;
}

const struct ph_operation *ph_operation_double(const struct ph_operation *operation) {
    for (int i = 0; ph_operations[i]; i++)
        if (ph_operations[i] == operation) return operations_double[i];
    return operation; /* the double twin itself */
}

ph_status ph_infer_same(struct ph_inference *inference) {
    for (int i = 0; i < inference->output_count; i++) inference->shapes[i] = inference->inputs[0]->shape;
    return PH_OK;
}

double ph_flops_none(const struct ph_call *call) {
    (void)call;
    return 0;
}

ph_status ph_infer_fail(struct ph_inference *inference, const char *format, ...) {
    char reason[512], shapes[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    int at = 0;
    for (int i = 0; i < inference->input_count && at < (int)sizeof shapes - 160; i++) {
        char text[128];
        at += sprintf(shapes + at, "%s%s", i ? " " : "",
                      inference->inputs[i] ? ph_shape_text(&inference->inputs[i]->shape, text) : "-");
    }
    shapes[at] = 0;
    return ph_fail(inference->context, PH_ERROR_SHAPE, "%s; input shapes %s", reason, shapes);
}
