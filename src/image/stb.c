/* BMP, GIF, PNM and TGA by stb_image. It reads a file that ends early as if zeros followed, and gives a picture that is
 * grey from there on; reading through callbacks shows that it wanted more than there is. */
#include "image/formats.h"
#include <string.h>

#define STBI_NO_STDIO
#define STBI_NO_JPEG
#define STBI_NO_PNG
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_NO_PSD
#define STBI_NO_PIC
#define STBI_MAX_DIMENSIONS (1 << 16)
#define STBI_MALLOC(size) ph_alloc(size)
#define STBI_REALLOC(block, size) ph_realloc_array(block, size, 1)
#define STBI_FREE(block) ph_free(block)
#define STBI_ASSERT(condition) ((void)(condition))
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic ignored "-Wunused-function" /* reported at the end of the file, so not within push and pop */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

/* No format here says more than about 1300 pixels with a byte: GIF, whose codes of 12 bits stand for up to 3838 of one
 * colour, and start anew at 2. What declares more is refused before time and memory go into it. */
enum { MOST_PIXELS_A_BYTE = 4096 };

struct reader { const uint8_t *data; size_t size, at; bool ended; };

static int read_bytes(void *user, char *out, int wanted) {
    struct reader *reader = user;
    /* Between larger reads stb_image fills a small buffer, as far as it goes. */
    const int buffer = (int)sizeof ((stbi__context *)NULL)->buffer_start;
    int given = (int)PH_MIN((size_t)wanted, reader->size - reader->at);
    if (given == 0 || (given < wanted && wanted != buffer)) reader->ended = true;
    memcpy(out, reader->data + reader->at, (size_t)given);
    reader->at += (size_t)given;
    return given;
}

static void skip_bytes(void *user, int count) {
    struct reader *reader = user;
    if (count > 0) reader->at += PH_MIN((size_t)count, reader->size - reader->at);
}

static int at_end(void *user) {
    const struct reader *reader = user;
    return reader->at == reader->size;
}

static ph_status decode(ph_context *context, const char *path, const uint8_t *data, size_t size,
                        struct ph_picture **picture) {
    *picture = NULL;
    int width, height, channels;
    if (size > INT32_MAX) return ph_fail(context, PH_ERROR_UNSUPPORTED, "%s: larger than 2 GB", path);
    if (!stbi_info_from_memory(data, (int)size, &width, &height, &channels))
        return ph_fail(context, PH_ERROR_FORMAT, "%s: %s", path, stbi_failure_reason());
    if (width < 1 || height < 1 || (int64_t)width * height > PH_MAX_PIXELS)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "%s: %d x %d pixels; at most %d", path, width, height,
                       PH_MAX_PIXELS);
    if ((uint64_t)width * (uint64_t)height / MOST_PIXELS_A_BYTE > size)
        return ph_fail(context, PH_ERROR_FORMAT, "%s: %d x %d pixels in %zu bytes: the file ends early", path, width,
                       height, size);
    static const stbi_io_callbacks callbacks = {read_bytes, skip_bytes, at_end};
    struct reader reader = {.data = data, .size = size};
    stbi_uc *bytes = stbi_load_from_callbacks(&callbacks, &reader, &width, &height, &channels, 0);
    if (!bytes || reader.ended) {
        stbi_image_free(bytes);
        return ph_fail(context, PH_ERROR_FORMAT, "%s: %s", path,
                       reader.ended ? "the file ends early" : stbi_failure_reason());
    }
    ph_status status = ph_picture_create(context, channels, height, width, picture);
    size_t plane = (size_t)width * (size_t)height;
    for (size_t i = 0; i < plane && !status; i++)
        for (size_t c = 0; c < (size_t)channels; c++)
            (*picture)->pixels[c * plane + i] = (float)bytes[i * (size_t)channels + c] / 255;
    stbi_image_free(bytes);
    if (!status && channels == 2) {
        struct ph_picture *grey;
        status = ph_picture_convert(*picture, 1, &grey);
        ph_picture_destroy(picture);
        if (!status) *picture = grey;
    }
    return status;
}

static bool starts(const uint8_t *data, size_t size, const char *mark, size_t length) {
    return size >= length && !memcmp(data, mark, length);
}

static bool is_bmp(const uint8_t *data, size_t size) { return starts(data, size, "BM", 2); }
static bool is_gif(const uint8_t *data, size_t size) { return starts(data, size, "GIF8", 4); }
static bool is_pnm(const uint8_t *data, size_t size) {
    return starts(data, size, "P5", 2) || starts(data, size, "P6", 2);
}
static bool is_tga(const uint8_t *data, size_t size) {
    int width, height, channels;
    return size > 18 && size <= INT32_MAX && stbi_info_from_memory(data, (int)size, &width, &height, &channels);
}

const struct ph_image_codec ph_image_codec_bmp = {"BMP", ".bmp", "read", is_bmp, decode, NULL};
const struct ph_image_codec ph_image_codec_gif = {"GIF", ".gif", "read: the first frame", is_gif, decode, NULL};
const struct ph_image_codec ph_image_codec_pnm = {"PNM", ".pgm .ppm", "read: binary, P5 and P6", is_pnm, decode, NULL};
const struct ph_image_codec ph_image_codec_tga = {"TGA", ".tga", "read", is_tga, decode, NULL};
