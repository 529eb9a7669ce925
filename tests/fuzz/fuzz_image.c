/* The picture codecs on arbitrary bytes.
 *
 *     mkdir -p build-fuzz/corpus-image
 *     build-fuzz/tests/fuzz/fuzz-image -max_len=4096 -max_total_time=120 -rss_limit_mb=4096 build-fuzz/corpus-image \
 *         tests/image/data */
#include "image/image.h"

enum { LARGEST_SIDE = 1 << 12 };

/* An allocation larger than the sanitizer serves fails as malloc's would. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ph_context *context = ph_context_create();
    for (int i = 0; ph_image_codecs[i]; i++) {
        ph_picture *picture = NULL, *fitted = NULL;
        if (!ph_image_codecs[i]->recognise(data, size)) continue;
        ph_status status = ph_image_codecs[i]->decode(context, "input", data, size, &picture);
        /* Rounds stay short: what comes after decoding has no length of its own to trust. */
        if (!status && ph_picture_width(picture) <= LARGEST_SIDE && ph_picture_height(picture) <= LARGEST_SIDE)
            ph_picture_fit(picture, "crop", 7, 5, &fitted);
        ph_picture_destroy(&fitted);
        ph_picture_destroy(&picture);
        break;
    }
    ph_context_destroy(&context);
    return 0;
}
