/* Elements of a tensor that is normalised, their windows and what they are divided by (response_norm.c). */
#ifndef PH_OPS_RESPONSE_NORM_H
#define PH_OPS_RESPONSE_NORM_H

#include "graph/operations.h"

/* A tensor as [batch, channels, height, width]; any spatial axes count as one row across channels. */
struct response_norm {
    int64_t batch, channels, height, width;
    int64_t before, after; /* reach of the window */
    bool within;
    double scale; /* alpha / n */
    const struct ph_response_norm_attributes *attributes;
};

static inline struct response_norm response_norm_of(const struct ph_response_norm_attributes *a, const struct ph_shape *shape) {
    struct response_norm l = {.batch = shape->dims[0], .channels = shape->dims[1], .height = 1, .width = 1,
        .before = (a->size - 1) / 2, .after = a->size / 2, .within = a->within_channel, .attributes = a};
    for (int i = 2; i < shape->rank - 1; i++) l.height *= shape->dims[i];
    if (shape->rank > 2) l.width = shape->dims[shape->rank - 1];
    l.scale = a->alpha / (double)(a->within_channel ? a->size * a->size : a->size);
    return l;
}

static inline int64_t offset(const struct response_norm *l, int64_t n, int64_t c, int64_t y, int64_t x) {
    return ((n * l->channels + c) * l->height + y) * l->width + x;
}

/* First and last coordinates of the window of an element or, with the reaches swapped, of the elements whose window it
 * is in. */
struct range { int64_t c0, c1, y0, y1, x0, x1; };

static inline struct range range_of(const struct response_norm *l, int64_t c, int64_t y, int64_t x, int64_t before, int64_t after) {
    struct range r = {c, c, y, y, x, x};
    if (l->within) {
        r.y0 = PH_MAX(y - before, 0), r.y1 = PH_MIN(y + after, l->height - 1);
        r.x0 = PH_MAX(x - before, 0), r.x1 = PH_MIN(x + after, l->width - 1);
    } else {
        r.c0 = PH_MAX(c - before, 0), r.c1 = PH_MIN(c + after, l->channels - 1);
    }
    return r;
}

/* s of one element. */
static inline double strength(const struct response_norm *l, const real *x, int64_t n, int64_t c, int64_t y, int64_t column) {
    struct range r = range_of(l, c, y, column, l->before, l->after);
    double sum = 0;
    for (int64_t i = r.c0; i <= r.c1; i++)
        for (int64_t j = r.y0; j <= r.y1; j++)
            for (int64_t k = r.x0; k <= r.x1; k++) {
                double value = x[offset(l, n, i, j, k)];
                sum += value * value;
            }
    return l->attributes->bias + l->scale * sum;
}

#endif
