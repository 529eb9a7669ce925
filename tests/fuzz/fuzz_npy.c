/* The .npy reader on arbitrary bytes, through a file in memory, as it has no other door.
 *
 *     mkdir -p build-fuzz/corpus-npy
 *     printf '\223NUMPY\1\0\107\0%-70s\n\0\0\0\0' \
 *         "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }" > build-fuzz/corpus-npy/one
 *     build-fuzz/tests/fuzz/fuzz-npy -max_len=512 -max_total_time=120 build-fuzz/corpus-npy */
#include "base/base.h"
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* An allocation larger than the sanitizer serves fails as malloc's would. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int memory = -1;
    char path[64];
    if (memory < 0) memory = memfd_create("input", 0);
    if (ftruncate(memory, 0) || pwrite(memory, data, size, 0) != (ssize_t)size) return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    ph_context *context = ph_context_create();
    ph_tensor *tensor;
    ph_tensor_load(context, path, &tensor);
    ph_tensor_destroy(&tensor);
    ph_context_destroy(&context);
    return 0;
}
