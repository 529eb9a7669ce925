/* Planar pictures: making, reading, writing, cutting, converting. */
#include "image/image.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

ph_status ph_picture_create(ph_context *context, int channels, int height, int width, struct ph_picture **picture) {
    *picture = NULL;
    if (channels < 1 || channels > PH_MAX_CHANNELS || height < 1 || width < 1 ||
        (int64_t)height * width > PH_MAX_PIXELS)
        return ph_fail(context, PH_ERROR_UNSUPPORTED,
                       "a picture of %d x %d pixels and %d channels: 1 to %d pixels, 1 to %d channels", width, height,
                       channels, PH_MAX_PIXELS, PH_MAX_CHANNELS);
    struct ph_picture *made = ph_alloc(sizeof *made);
    if (!made) return ph_fail_memory(context);
    *made = (struct ph_picture){.context = context, .channels = channels, .height = height, .width = width,
                                .value = NAN, .separate = channels > 4};
    made->pixels = ph_alloc_aligned((size_t)channels * (size_t)height * (size_t)width * sizeof *made->pixels);
    made->recipe = ph_strdup("");
    if (!made->pixels || !made->recipe) {
        ph_picture_destroy(&made);
        return ph_fail_memory(context);
    }
    *picture = made;
    return PH_OK;
}

void ph_picture_destroy(ph_picture **picture) {
    if (!picture || !*picture) return;
    ph_free_aligned((*picture)->pixels);
    ph_free((*picture)->recipe);
    ph_free(*picture);
    *picture = NULL;
}

int ph_picture_width(const ph_picture *picture) { return picture->width; }
int ph_picture_height(const ph_picture *picture) { return picture->height; }
int ph_picture_channels(const ph_picture *picture) { return picture->channels; }
const float *ph_picture_pixels(const ph_picture *picture) { return picture->pixels; }
const char *ph_picture_recipe(const ph_picture *picture) { return picture->recipe; }
float ph_picture_value(const ph_picture *picture) { return picture->value; }

uint8_t ph_pixel_to_byte(float value) {
    /* Half up; NaN becomes 0. */
    return value > 0 ? (uint8_t)(PH_MIN(value, 1.0f) * 255 + 0.5f) : 0;
}

void ph_picture_quantise(struct ph_picture *picture) {
    size_t size = (size_t)picture->channels * (size_t)picture->height * (size_t)picture->width;
    for (size_t i = 0; i < size; i++) picture->pixels[i] = (float)ph_pixel_to_byte(picture->pixels[i]) / 255;
}

ph_status ph_picture_crop(const struct ph_picture *picture, int top, int left, int height, int width,
                          struct ph_picture **out) {
    if (top < 0 || left < 0 || height < 1 || width < 1 || top > picture->height - height ||
        left > picture->width - width)
        return ph_fail(picture->context, PH_ERROR_ARGUMENT, "crop %d x %d at (%d, %d) leaves the picture of %d x %d",
                       width, height, left, top, picture->width, picture->height);
    PH_TRY(ph_picture_create(picture->context, picture->channels, height, width, out));
    for (int c = 0; c < picture->channels; c++)
        for (int y = 0; y < height; y++)
            memcpy((*out)->pixels + ((size_t)c * (size_t)height + (size_t)y) * (size_t)width,
                   picture->pixels +
                       ((size_t)c * (size_t)picture->height + (size_t)(top + y)) * (size_t)picture->width + left,
                   (size_t)width * sizeof(float));
    return PH_OK;
}

ph_status ph_picture_convert(const struct ph_picture *picture, int channels, struct ph_picture **out) {
    if (channels != 1 && channels != 3)
        return ph_fail(picture->context, PH_ERROR_ARGUMENT, "pictures are converted to 1 or 3 channels, not %d",
                       channels);
    PH_TRY(ph_picture_create(picture->context, channels, picture->height, picture->width, out));
    size_t plane = (size_t)picture->height * (size_t)picture->width;
    bool has_alpha = !picture->separate && (picture->channels == 2 || picture->channels == 4);
    int colours = picture->channels < 3 ? 1 : 3;
    const float *in = picture->pixels, *alpha = in + (size_t)colours * plane;
    for (size_t i = 0; i < plane; i++) {
        float rgb[3];
        for (int c = 0; c < 3; c++) {
            rgb[c] = in[(size_t)(colours == 3 ? c : 0) * plane + i];
            if (has_alpha) rgb[c] = rgb[c] * alpha[i] + 0.5f * (1 - alpha[i]);
        }
        if (channels == 3)
            for (size_t c = 0; c < 3; c++) (*out)->pixels[c * plane + i] = rgb[c];
        else if (colours == 1)
            (*out)->pixels[i] = rgb[0];
        else /* Rec. ITU-R BT.601 luma */
            (*out)->pixels[i] = 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2];
    }
    return PH_OK;
}

/* Half up; sizes beyond every picture stay beyond. */
static int rounded(double size) { return (int)lround(PH_MIN(size, (double)INT32_MAX)); }

ph_status ph_picture_fit(const struct ph_picture *picture, const char *fit, int height, int width,
                         struct ph_picture **out) {
    if (!fit) fit = "crop";
    if (!strcmp(fit, "none")) return ph_picture_crop(picture, 0, 0, picture->height, picture->width, out);
    if (!strcmp(fit, "stretch")) return ph_picture_resize(picture, height, width, out);
    if (strcmp(fit, "crop"))
        return ph_fail(picture->context, PH_ERROR_ARGUMENT, "fit: '%s' is not crop, stretch or none", fit);
    /* What already is of the size was brought to it by somebody, or made so. */
    if (picture->height == height && picture->width == width) return ph_picture_crop(picture, 0, 0, height, width, out);
    /* The customary preparation leaves a margin of an eighth: 256 for 224 pixels. 227-pixel networks see 256 too. */
    int wanted = PH_MAX(height, width), shorter = wanted == 227 ? 256 : rounded(wanted * 256.0 / 224.0);
    double scale = (double)shorter / PH_MIN(picture->height, picture->width);
    int scaled_height = PH_MAX(shorter, rounded(picture->height * scale));
    int scaled_width = PH_MAX(shorter, rounded(picture->width * scale));
    struct ph_picture *scaled;
    PH_TRY(ph_picture_resize(picture, scaled_height, scaled_width, &scaled));
    ph_status status =
        ph_picture_crop(scaled, (scaled_height - height) / 2, (scaled_width - width) / 2, height, width, out);
    ph_picture_destroy(&scaled);
    return status;
}

ph_status ph_picture_cover(const ph_picture *picture, int height, int width, ph_picture **out) {
    struct ph_picture *scaled;
    *out = NULL;
    double scale = fmax((double)height / picture->height, (double)width / picture->width);
    PH_TRY(ph_picture_resize(picture, PH_MAX(height, rounded(picture->height * scale)),
                             PH_MAX(width, rounded(picture->width * scale)), &scaled));
    ph_status status = ph_picture_crop(scaled, (scaled->height - height) / 2, (scaled->width - width) / 2, height, width, out);
    ph_picture_destroy(&scaled);
    return status;
}
