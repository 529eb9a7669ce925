/* JPEG, BMP, GIF, PNM and TGA by stb_image, from memory. */
#include "image/formats.h"
#include <string.h>

#define STBI_NO_STDIO
#define STBI_NO_PNG
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_NO_PSD
#define STBI_NO_PIC
#define STBI_NO_THREAD_LOCALS
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

static ph_status decode(ph_context *context, const char *path, const uint8_t *data, size_t size, struct ph_picture **picture) {
    *picture = NULL;
    int width, height, channels;
    if (size > INT32_MAX) return ph_fail(context, PH_ERROR_UNSUPPORTED, "%s: larger than 2 GB", path);
    if (!stbi_info_from_memory(data, (int)size, &width, &height, &channels))
        return ph_fail(context, PH_ERROR_FORMAT, "%s: %s", path, stbi_failure_reason());
    if (width < 1 || height < 1 || (int64_t)width * height > PH_MAX_PIXELS)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "%s: %d x %d pixels; at most %d", path, width, height, PH_MAX_PIXELS);
    stbi_uc *bytes = stbi_load_from_memory(data, (int)size, &width, &height, &channels, 0);
    if (!bytes) return ph_fail(context, PH_ERROR_FORMAT, "%s: %s", path, stbi_failure_reason());
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

static bool is_jpeg(const uint8_t *data, size_t size) { return starts(data, size, "\xff\xd8\xff", 3); }
static bool is_bmp(const uint8_t *data, size_t size) { return starts(data, size, "BM", 2); }
static bool is_gif(const uint8_t *data, size_t size) { return starts(data, size, "GIF8", 4); }
static bool is_pnm(const uint8_t *data, size_t size) { return starts(data, size, "P5", 2) || starts(data, size, "P6", 2); }
static bool is_tga(const uint8_t *data, size_t size) {
    int width, height, channels;
    return size > 18 && size <= INT32_MAX && stbi_info_from_memory(data, (int)size, &width, &height, &channels);
}

const struct ph_image_codec ph_image_codec_jpeg = {"JPEG", ".jpg .jpeg", "read: baseline and progressive", is_jpeg, decode, NULL};
const struct ph_image_codec ph_image_codec_bmp = {"BMP", ".bmp", "read", is_bmp, decode, NULL};
const struct ph_image_codec ph_image_codec_gif = {"GIF", ".gif", "read: the first frame", is_gif, decode, NULL};
const struct ph_image_codec ph_image_codec_pnm = {"PNM", ".pgm .ppm", "read: binary, P5 and P6", is_pnm, decode, NULL};
const struct ph_image_codec ph_image_codec_tga = {"TGA", ".tga", "read", is_tga, decode, NULL};
