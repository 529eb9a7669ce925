/* WebP by libwebp: lossy and lossless pictures. Without the library there is no such codec. */
#include "image/formats.h"

#if defined PH_HAVE_WEBP
#include <string.h>
#include <webp/decode.h>

static uint32_t little_endian(const uint8_t *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* The container is a list of chunks behind a header of 12 bytes: four letters, a size, and as many bytes, padded to an even
 * number (WebP Container Specification, "RIFF File Format"). */
static unsigned orientation_find(const uint8_t *data, size_t size) {
    enum { FIRST = 12, HEAD = 8 };
    size_t length;
    for (size_t at = FIRST; at < size && size - at > HEAD; at += HEAD + length + length % 2) {
        length = little_endian(data + at + 4);
        if (length > size - at - HEAD) break;
        if (!memcmp(data + at, "EXIF", 4)) return ph_exif_orientation(data + at + HEAD, length);
    }
    return 0;
}

static ph_status decode(ph_context *context, const char *path, const uint8_t *data, size_t size,
                        struct ph_picture **picture) {
    *picture = NULL;
    WebPBitstreamFeatures facts;
    if (WebPGetFeatures(data, size, &facts) != VP8_STATUS_OK)
        return ph_fail(context, PH_ERROR_FORMAT, "%s: not a WebP picture, or it is damaged or cut short", path);
    if (facts.has_animation)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "%s: an animated WebP; single pictures are read", path);
    /* WebP has at most 16383 pixels a side, so that a number of bytes fits an int. */
    if ((int64_t)facts.width * facts.height > PH_MAX_PIXELS)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "%s: %d x %d pixels; at most %d", path, facts.width, facts.height,
                       PH_MAX_PIXELS);
    size_t channels = facts.has_alpha ? 4 : 3;
    int width, height;
    uint8_t *bytes = (facts.has_alpha ? WebPDecodeRGBA : WebPDecodeRGB)(data, size, &width, &height);
    if (!bytes) return ph_fail(context, PH_ERROR_FORMAT, "%s: the WebP picture is damaged or cut short", path);
    ph_status status = ph_picture_create(context, (int)channels, height, width, picture);
    size_t plane = (size_t)width * (size_t)height;
    for (size_t i = 0; i < plane && !status; i++)
        for (size_t c = 0; c < channels; c++) (*picture)->pixels[c * plane + i] = (float)bytes[i * channels + c] / 255;
    WebPFree(bytes);
    return status ? status : ph_picture_turn_upright(picture, orientation_find(data, size));
}

static bool is_webp(const uint8_t *data, size_t size) {
    return size >= 12 && !memcmp(data, "RIFF", 4) && !memcmp(data + 8, "WEBP", 4);
}

const struct ph_image_codec ph_image_codec_webp = {"WebP", ".webp", "read: single pictures, turned upright as the EXIF says", is_webp, decode, NULL};
#endif
