/* The ONNX loader on arbitrary bytes: parsing, then building a graph with every input at a small size.
 *
 *     mkdir -p build-fuzz/corpus-onnx
 *     build-fuzz/tests/fuzz/fuzz-onnx -max_total_time=120 -rss_limit_mb=4096 build-fuzz/corpus-onnx tests/model/data/onnx */
#include "model/model.h"

enum { FREE_SIZE = 9, LARGEST_SIZE = 64 };

/* Declared sizes are cut, so that rounds stay short; constant parts of the network have the sizes they say. */
static struct ph_shape small_shape(struct ph_shape shape) {
    if (!shape.rank) shape = PH_SHAPE(1, 3, FREE_SIZE, FREE_SIZE);
    for (int i = 0; i < shape.rank; i++) shape.dims[i] = shape.dims[i] < 0 ? FREE_SIZE : PH_MIN(shape.dims[i], LARGEST_SIZE);
    return shape;
}

static void build(ph_context *context, const void *parsed) {
    const struct ph_model_format *format = &ph_model_format_onnx;
    struct ph_graph *graph;
    const char *unsupported;
    int count = format->input_count(parsed), *inputs = ph_alloc_array((size_t)count, sizeof *inputs);
    ph_status status = ph_graph_create(context, &graph);
    for (int i = 0; i < count && !status; i++) {
        struct ph_model_input input = format->input(parsed, i);
        status = ph_graph_add_input(graph, input.name, PH_FLOAT, small_shape(input.shape), &inputs[i]);
    }
    if (!status) format->build(parsed, graph, inputs, count, &unsupported);
    for (int i = 0; i < format->output_count(parsed); i++) format->output(parsed, i);
    format->fact(parsed, PH_FACT_DESCRIPTION);
    ph_graph_destroy(&graph);
    ph_free(inputs);
}

/* An allocation larger than the sanitizer serves fails as malloc's would: what follows is the loader's business. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ph_context *context = ph_context_create();
    struct ph_file file = {.data = data, .size = size};
    void *parsed;
    if (!ph_model_format_onnx.parse(context, NULL, &file, &parsed)) {
        build(context, parsed);
        ph_model_format_onnx.destroy(parsed);
    }
    ph_context_destroy(&context);
    return 0;
}
