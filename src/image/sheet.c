/* Contact sheets. */
#include "image/image.h"
#include <math.h>
#include <string.h>

enum { CAPTION_HEIGHT = 11, CHARACTER = 6 };

static void place(struct ph_picture *sheet, const struct ph_picture *picture, int left, int top) {
    for (int c = 0; c < picture->channels; c++)
        for (int y = 0; y < picture->height; y++)
            memcpy(sheet->pixels + ((size_t)c * (size_t)sheet->height + (size_t)(top + y)) * (size_t)sheet->width +
                       left,
                   picture->pixels + ((size_t)c * (size_t)picture->height + (size_t)y) * (size_t)picture->width,
                   (size_t)picture->width * sizeof(float));
}

ph_status ph_picture_sheet(ph_context *context, const ph_picture *const *pictures, const char *const *captions,
                           int count, int columns, int gap, ph_picture **sheet) {
    *sheet = NULL;
    if (count < 1 || columns < 0 || gap < 0 || gap > 1024)
        return ph_fail(context, PH_ERROR_ARGUMENT, "sheet: at least one picture, a gap of 0 to 1024 pixels");
    for (int i = 0; i < count; i++)
        if (!pictures[i] || pictures[i]->width != pictures[0]->width || pictures[i]->height != pictures[0]->height ||
            pictures[i]->channels != pictures[0]->channels)
            return ph_fail(context, PH_ERROR_SHAPE, "sheet: picture %d is missing or not like the first", i);
    if (columns == 0) columns = (int)ceil(sqrt((double)count));
    columns = PH_MIN(columns, count);
    int rows = count / columns + (count % columns > 0), caption = captions ? CAPTION_HEIGHT : 0;
    int64_t cell_width = pictures[0]->width + gap, cell_height = pictures[0]->height + caption + gap;
    int64_t width = columns * cell_width + gap, height = rows * cell_height + gap;
    if (width > INT32_MAX || height > INT32_MAX || width * height > PH_MAX_PIXELS)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "sheet: %lld x %lld pixels are too many", (long long)width,
                       (long long)height);
    PH_TRY(ph_picture_create(context, pictures[0]->channels, (int)height, (int)width, sheet));
    (*sheet)->separate = pictures[0]->separate;
    size_t size = (size_t)(*sheet)->channels * (size_t)height * (size_t)width;
    for (size_t i = 0; i < size; i++) (*sheet)->pixels[i] = 0.5f;
    const float black[PH_MAX_CHANNELS] = {[3] = !(*sheet)->separate}; /* opaque, where the fourth channel is alpha */
    for (int i = 0; i < count; i++) {
        int left = gap + i % columns * (int)cell_width, top = gap + i / columns * (int)cell_height;
        place(*sheet, pictures[i], left, top);
        if (!captions || !captions[i]) continue;
        /* The end of a long caption says more than its beginning: "inception_4a/output:11". */
        size_t room = (size_t)PH_MAX(1, pictures[0]->width / CHARACTER), length = strlen(captions[i]);
        int baseline = top + pictures[0]->height + 2, dots = length > room && room > 2 ? 2 : 0;
        if (dots) ph_picture_draw_text(*sheet, left, baseline, 1, "..", black);
        ph_picture_draw_text(*sheet, left + dots * CHARACTER, baseline, 1,
                             captions[i] + (length > room ? length - room + (size_t)dots : 0), black);
    }
    return PH_OK;
}
