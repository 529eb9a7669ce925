/* Moving and blending whole pictures, as from frame to frame of a film. */
#include "image/image.h"
#include <math.h>

struct motion {
    const struct ph_picture *from;
    struct ph_picture *to;
    double matrix[4], right, down; /* from an offset of the middle to that of its source */
};

/* Index of the pixel that a reflection at the edges, pixels there counting once, shows at `at`. */
static int reflected(double at, int length) {
    if (length == 1) return 0;
    double period = 2.0 * (length - 1), place = fmod(at, period);
    if (place < 0) place += period;
    return (int)(place < length ? place : period - place);
}

static float sample(const float *plane, int height, int width, double y, double x) {
    double top = floor(y), left = floor(x);
    float down = (float)(y - top), right = (float)(x - left);
    size_t y0 = (size_t)reflected(top, height), y1 = (size_t)reflected(top + 1, height);
    size_t x0 = (size_t)reflected(left, width), x1 = (size_t)reflected(left + 1, width), row = (size_t)width;
    float upper = plane[y0 * row + x0] * (1 - right) + plane[y0 * row + x1] * right;
    float lower = plane[y1 * row + x0] * (1 - right) + plane[y1 * row + x1] * right;
    return upper * (1 - down) + lower * down;
}

static void row_move(void *argument, int64_t index) {
    const struct motion *m = argument;
    int height = m->from->height, width = m->from->width, row = (int)(index % height);
    size_t plane = (size_t)height * (size_t)width;
    const float *from = m->from->pixels + (size_t)(index / height) * plane;
    float *to = m->to->pixels + (size_t)index * (size_t)width;
    for (int column = 0; column < width; column++) {
        double x = column - 0.5 * (width - 1) - m->right, y = row - 0.5 * (height - 1) - m->down;
        to[column] = sample(from, height, width, m->matrix[2] * x + m->matrix[3] * y + 0.5 * (height - 1),
                            m->matrix[0] * x + m->matrix[1] * y + 0.5 * (width - 1));
    }
}

ph_status ph_picture_move(const ph_picture *picture, double zoom, double degrees, double right, double down,
                          ph_picture **out) {
    *out = NULL;
    if (!(zoom >= 0.1 && zoom <= 10) || !(fabs(degrees) <= 360) || !(fabs(right) <= 16384) || !(fabs(down) <= 16384))
        return ph_fail(picture->context, PH_ERROR_ARGUMENT,
                       "a picture is enlarged by 0.1 to 10, turned by -360 to 360 degrees and shifted by up to 16384 pixels; "
                       "asked for were %g, %g, and %g, %g", zoom, degrees, right, down);
    double angle = degrees * 3.14159265358979323846 / 180, c = cos(angle) / zoom, s = sin(angle) / zoom;
    PH_TRY(ph_picture_create(picture->context, picture->channels, picture->height, picture->width, out));
    struct motion motion = {picture, *out, {c, s, -s, c}, right, down};
    (*out)->separate = picture->separate;
    ph_parallel_for(picture->context, (int64_t)picture->channels * picture->height, row_move, &motion);
    return PH_OK;
}

ph_status ph_picture_blend(const ph_picture *first, const ph_picture *second, double share, ph_picture **out) {
    *out = NULL;
    if (first->height != second->height || first->width != second->width || first->channels != second->channels)
        return ph_fail(first->context, PH_ERROR_ARGUMENT,
                       "a picture of %dx%d pixels and %d channels cannot be blended with one of %dx%d and %d", first->width,
                       first->height, first->channels, second->width, second->height, second->channels);
    PH_TRY(ph_picture_create(first->context, first->channels, first->height, first->width, out));
    (*out)->separate = first->separate;
    size_t count = (size_t)first->channels * (size_t)first->height * (size_t)first->width;
    for (size_t i = 0; i < count; i++)
        (*out)->pixels[i] = (float)((double)first->pixels[i] * (1 - share) + (double)second->pixels[i] * share);
    return PH_OK;
}
