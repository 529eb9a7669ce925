/* The Caffe loader on arbitrary bytes as a binary network: parsing, then building a graph.
 *
 *     mkdir -p build-fuzz/corpus-caffe
 *     build-fuzz/tests/fuzz/fuzz-caffe -max_total_time=120 -rss_limit_mb=4096 build-fuzz/corpus-caffe \
 *         tests/model/data/caffe */
#include "model/exercise_caffe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ph_context *context = ph_context_create();
    struct ph_file file = {.data = data, .size = size};
    exercise_caffe(context, NULL, &file);
    ph_context_destroy(&context);
    return 0;
}
