/* Which way up a picture was taken: the EXIF tag that JPEG, PNG and WebP files carry, and turning by it. */
#include "image/image.h"
#include <string.h>

enum { ORIENTATION_TAG = 0x112, SHORT_TYPE = 3, HEADER = 8, ENTRY = 12, UPRIGHT = 1, FIRST_SIDEWAYS = 5, LAST = 8 };

struct exif { const uint8_t *data; size_t size; bool little; };

static uint32_t exif_number(const struct exif *exif, size_t at, size_t bytes) {
    uint32_t number = 0;
    for (size_t i = 0; i < bytes; i++) number = number << 8 | exif->data[at + (exif->little ? bytes - 1 - i : i)];
    return number;
}

/* The tag stands in the first directory (Exif 2.32, section 4.5 and table 4), whose place the header tells. JPEG always,
 * WebP sometimes and PNG never have a mark before the header. */
unsigned ph_exif_orientation(const uint8_t *data, size_t size) {
    static const char mark[] = "Exif\0";
    bool marked = size >= sizeof mark && !memcmp(data, mark, sizeof mark);
    struct exif exif = {data + (marked ? sizeof mark : 0), size - (marked ? sizeof mark : 0), false};
    if (exif.size < HEADER) return UPRIGHT;
    exif.little = exif.data[0] == 'I';
    size_t directory = exif_number(&exif, 4, 4);
    if (directory > exif.size - 2) return UPRIGHT;
    uint32_t entries = exif_number(&exif, directory, 2);
    for (size_t at = directory + 2; entries-- && at + ENTRY <= exif.size; at += ENTRY) {
        if (exif_number(&exif, at, 2) != ORIENTATION_TAG || exif_number(&exif, at + 2, 2) != SHORT_TYPE) continue;
        return exif_number(&exif, at + 8, 2);
    }
    return UPRIGHT;
}

ph_status ph_picture_turn_upright(struct ph_picture **picture, unsigned orientation) {
    /* By which side of the upright picture the file's rows and columns begin. */
    static const bool from_right[LAST + 1] = {[2] = true, [3] = true, [7] = true, [8] = true};
    static const bool from_below[LAST + 1] = {[3] = true, [4] = true, [6] = true, [7] = true};
    if (orientation <= UPRIGHT || orientation > LAST) return PH_OK;
    const struct ph_picture *from = *picture;
    struct ph_picture *upright;
    bool sideways = orientation >= FIRST_SIDEWAYS;
    size_t height = (size_t)from->height, width = (size_t)from->width;
    PH_TRY(ph_picture_create(from->context, from->channels, sideways ? from->width : from->height,
                             sideways ? from->height : from->width, &upright));
    size_t upright_width = (size_t)upright->width;
    for (size_t c = 0; c < (size_t)from->channels; c++)
        for (size_t y = 0; y < height; y++)
            for (size_t x = 0; x < width; x++) {
                size_t column = from_right[orientation] ? width - 1 - x : x;
                size_t row = from_below[orientation] ? height - 1 - y : y;
                size_t place = sideways ? column * upright_width + row : row * upright_width + column;
                upright->pixels[c * height * width + place] = from->pixels[(c * height + y) * width + x];
            }
    ph_free(upright->recipe);
    upright->recipe = (*picture)->recipe;
    (*picture)->recipe = NULL;
    ph_picture_destroy(picture);
    *picture = upright;
    return PH_OK;
}
