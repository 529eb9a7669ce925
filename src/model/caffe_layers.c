/* Caffe's layer types by name, from the table in caffe_layers/layers.h, and the builders of those that compute nothing. */
#include "model/caffe_layers/layers.h"
#include <ctype.h>

ph_status ph_caffe_build_pass(struct ph_caffe_build *build) {
    for (int i = 0; i < build->output_count; i++) build->outputs[i] = build->inputs[0];
    return PH_OK;
}

/* A learned blob that is nobody's weight. */
ph_status ph_caffe_build_parameter(struct ph_caffe_build *build) {
    if (!build->layer->blob_count || !build->layer->blobs[0].data)
        return ph_caffe_fail(build, PH_ERROR_FORMAT, "the file has no values for it");
    const struct ph_caffe_blob *found = &build->layer->blobs[0];
    return ph_graph_add_constant(build->graph, build->names[0], PH_FLOAT, found->shape, found->data,
                                 &build->outputs[0]);
}

#define BUILT(name, role, fewest, most, build) {#name, PH_CAFFE_##role, fewest, most, ph_caffe_build_##build},
#define BARE(name, role, fewest, most) {#name, PH_CAFFE_##role, fewest, most, NULL},
static const struct ph_caffe_type types[] = {PH_CAFFE_LAYER_LIST(BUILT, BARE)};

static bool equal_loosely(const char *a, const char *b) {
    for (;; a++, b++) {
        while (*a == '_') a++;
        while (*b == '_') b++;
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) return false;
        if (!*a) return true;
    }
}

const struct ph_caffe_type *ph_caffe_type_find(const char *name) {
    for (int i = 0; i < PH_COUNT(types); i++)
        if (equal_loosely(types[i].name, name)) return &types[i];
    return NULL;
}
