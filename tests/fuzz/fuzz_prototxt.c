/* The Caffe loader on arbitrary bytes as the text form of a network, without weights: parsing, then building a graph.
 *
 *     mkdir -p build-fuzz/corpus-prototxt
 *     build-fuzz/tests/fuzz/fuzz-prototxt -max_total_time=120 -dict=tests/fuzz/prototxt.dict \
 *         build-fuzz/corpus-prototxt tests/model/data/caffe */
#include "model/exercise_caffe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ph_context *context = ph_context_create();
    struct ph_file file = {.data = data, .size = size};
    exercise_caffe(context, &file, NULL);
    ph_context_destroy(&context);
    return 0;
}
