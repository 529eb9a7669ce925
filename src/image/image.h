/* Planar float pictures, resampling, and the codec table. */
#ifndef PH_IMAGE_H
#define PH_IMAGE_H

#include "base/base.h"

#define PH_MAX_PIXELS (1 << 28)
#define PH_MAX_CHANNELS 16

struct ph_picture {
    ph_context *context;
    int channels, height, width; /* channels 1 (grey), 3, 4 (with alpha), or up to 16 separate ones */
    bool separate;               /* channels are not colours: a file shows them side by side, each grey */
    float *pixels;               /* [C,H,W] in [0,1] */
    char *recipe;                /* never NULL */
    float value;                 /* NAN when not rendered */
};

/* Pixels undefined. */
ph_status ph_picture_create(ph_context *context, int channels, int height, int width, struct ph_picture **picture);

struct ph_image_codec {
    const char *name;       /* "PNG" */
    const char *extensions; /* ".png" */
    const char *help;
    bool (*recognise)(const uint8_t *data, size_t size);
    ph_status (*decode)(ph_context *context, const char *path, const uint8_t *data, size_t size,
                        struct ph_picture **picture);
    /* NULL: read only. Bytes are appended to *out (free with ph_free). */
    ph_status (*encode)(ph_context *context, const struct ph_picture *picture, uint8_t **out, size_t *size);
};
extern const struct ph_image_codec *const ph_image_codecs[]; /* NULL-terminated; written by file extension */

/* A value of [0,1] as its file holds it: scaled by 255, rounded half up, clipped. */
uint8_t ph_pixel_to_byte(float value);

/* Rounds half up to 8 bits and back: the picture as its file holds it. */
void ph_picture_quantise(struct ph_picture *picture);

ph_status ph_picture_crop(const struct ph_picture *picture, int top, int left, int height, int width,
                          struct ph_picture **out);
/* Shorter side to round(size*256/224)... resized with ph_picture_resize, then the centre [size.height, size.width]. */
ph_status ph_picture_fit(const struct ph_picture *picture, const char *fit, int height, int width,
                         struct ph_picture **out);
/* The orientation, 1 to 8, that a block of EXIF holds; 1, upright, where it holds none. Any number where it is damaged. */
unsigned ph_exif_orientation(const uint8_t *data, size_t size);
/* Replaces the picture by one turned and mirrored so; recipe kept. Unknown numbers are upright. On failure it is unchanged. */
ph_status ph_picture_turn_upright(struct ph_picture **picture, unsigned orientation);
/* Draws text in a built-in 5x7 font (ASCII 32..126) with its top left at (x, y), scaled by a whole number, clipped. */
void ph_picture_draw_text(struct ph_picture *picture, int x, int y, int scale, const char *text, const float *colour);

#endif
