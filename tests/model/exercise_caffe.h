/* For the tests and the fuzzers of the Caffe loader: takes a network, good or broken, as far as a graph. */
#ifndef PH_EXERCISE_CAFFE_H
#define PH_EXERCISE_CAFFE_H

#include "model/caffe.h"

/* Builds the network at the sizes its file states, free ones being `free_size` and the batch 1. */
static inline ph_status exercise_build(ph_context *context, const struct ph_caffe *caffe, int64_t free_size) {
    struct ph_graph *graph = NULL;
    const char *unsupported;
    int count = ph_model_format_caffe.input_count(caffe), *inputs = ph_alloc_array((size_t)count, sizeof *inputs);
    ph_status status = inputs ? ph_graph_create(context, &graph) : ph_fail_memory(context);
    for (int i = 0; i < count && !status; i++) {
        struct ph_model_input input = ph_model_format_caffe.input(caffe, i);
        for (int j = 0; j < input.shape.rank; j++)
            if (input.shape.dims[j] < 0) input.shape.dims[j] = j ? free_size : 1;
        status = ph_graph_add_input(graph, input.name, PH_FLOAT, input.shape, &inputs[i]);
    }
    if (!status) status = ph_model_format_caffe.build(caffe, graph, inputs, count, &unsupported);
    ph_graph_destroy(&graph);
    ph_free(inputs);
    return status;
}

/* Either file may be NULL, not both. */
static inline ph_status exercise_caffe(ph_context *context, const struct ph_file *definition,
                                       const struct ph_file *weights) {
    struct ph_caffe *caffe = NULL;
    ph_status status = ph_caffe_create(context, "net.prototxt", definition, "net.caffemodel", weights, &caffe);
    if (!status) status = exercise_build(context, caffe, 8);
    ph_caffe_destroy(&caffe);
    return status;
}

#endif
