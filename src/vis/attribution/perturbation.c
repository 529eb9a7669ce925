/* Attribution by hiding parts of the picture and watching the value: one patch at a time (occlusion), or many random
 * masks at once (RISE). No gradient is needed; the masked pictures run in batches. */
#include "vis/attribution/attribution.h"
#include <math.h>
#include <string.h>

/* ---- Occlusion --------------------------------------------------------------------------------------------------- */

struct occlusion {
    struct ph_attribution *attribution;
    const float *input;
    int patch, stride, columns, count;
    double value, *sums;
    int *hidden; /* [H*W] how many patches covered a pixel */
};

struct extent { int left, top, right, bottom; };

/* The last patch of a row or column ends at the border. */
static struct extent patch_extent(const struct occlusion *o, int index) {
    const struct ph_attribution *a = o->attribution;
    int left = PH_MIN(index % o->columns * o->stride, PH_MAX(a->width - o->patch, 0));
    int top = PH_MIN(index / o->columns * o->stride, PH_MAX(a->height - o->patch, 0));
    return (struct extent){left, top, PH_MIN(left + o->patch, a->width), PH_MIN(top + o->patch, a->height)};
}

static void occlusion_fill(void *user, int index, float *input) {
    const struct occlusion *o = user;
    const struct ph_attribution *a = o->attribution;
    struct extent extent = patch_extent(o, index);
    memcpy(input, o->input, a->subject->size * sizeof *input);
    for (int c = 0; c < a->channels; c++)
        for (int y = extent.top; y < extent.bottom; y++) {
            size_t row = ((size_t)c * (size_t)a->height + (size_t)y) * (size_t)a->width;
            memcpy(input + row + extent.left, a->baseline + row + extent.left,
                   (size_t)(extent.right - extent.left) * sizeof *input);
        }
}

static bool occlusion_visit(void *user, int index, float value, const float *gradient) {
    struct occlusion *o = user;
    struct extent extent = patch_extent(o, index);
    (void)gradient;
    for (int y = extent.top; y < extent.bottom; y++)
        for (int x = extent.left; x < extent.right; x++) {
            size_t at = (size_t)y * (size_t)o->attribution->width + (size_t)x;
            o->sums[at] += o->value - value;
            o->hidden[at]++;
        }
    return ph_attribution_progress(o->attribution, index + 1, o->count);
}

static int steps_along(int size, int patch, int stride) {
    return size <= patch ? 1 : (size - patch + stride - 1) / stride + 1;
}

static ph_status occlusion_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    size_t plane = (size_t)a->height * (size_t)a->width;
    struct occlusion o = {.attribution = a, .input = input, .patch = a->options.patch, .stride = a->options.stride};
    if (!o.patch) o.patch = PH_MAX(PH_MIN(a->height, a->width) / 15, 1);
    if (!o.stride) o.stride = PH_MAX(o.patch / 2, 1);
    o.columns = steps_along(a->width, o.patch, o.stride);
    o.count = o.columns * steps_along(a->height, o.patch, o.stride);
    o.sums = ph_alloc_array(plane, sizeof *o.sums);
    o.hidden = ph_alloc_array(plane, sizeof *o.hidden);
    float value;
    ph_status status = o.sums && o.hidden ? PH_OK : ph_fail_memory(a->context);
    if (!status) status = ph_subject_evaluate(a->subject, input, &value, NULL);
    if (!status) {
        o.value = value;
        status = ph_subject_run(a->subject, o.count, false, occlusion_fill, occlusion_visit, &o);
    }
    if (!status) status = ph_attribution_tensor(a, 1, a->height, a->width, tensor);
    for (size_t i = 0; i < plane && !status; i++)
        (*tensor)->data[i] = o.hidden[i] ? (float)(o.sums[i] / o.hidden[i]) : 0;
    a->result->steps = o.count;
    ph_free(o.sums);
    ph_free(o.hidden);
    return status;
}

const struct ph_attribution_method ph_attribution_occlusion = {
    .name = "occlusion", .help = "how much the value falls when a patch is hidden, averaged where patches overlap",
    .source = "Zeiler, Fergus 2014, arXiv 1311.2901", .options = "baseline patch stride", .is_signed = true,
    .baseline = "mean", .of_many_runs = true, .run = occlusion_run,
};

/* ---- RISE -------------------------------------------------------------------------------------------------------- */

/* A mask is a coarse grid of cells that are seen or not, enlarged bilinearly to (grid + 1) cells a side and cut out at
 * a random shift of up to one cell. */
struct rise {
    struct ph_attribution *attribution;
    const float *input;
    int grid, cell_height, cell_width;
    float *masks; /* [PH_SUBJECT_BATCH][H*W] of the batch in work */
    double *sums;
};

static void mask_make(const struct rise *rise, int index, float *mask) {
    const struct ph_attribution *a = rise->attribution;
    struct ph_random_key cell = {.seed = a->options.seed, .step = (uint32_t)index, .use = PH_USE_MASK_CELL};
    struct ph_random_key shift = {.seed = a->options.seed, .step = (uint32_t)index, .use = PH_USE_MASK_SHIFT};
    int grid = rise->grid, top = (int)(ph_random_uniform(shift, 0) * rise->cell_height);
    int left = (int)(ph_random_uniform(shift, 1) * rise->cell_width);
    int tall = (grid + 1) * rise->cell_height, wide = (grid + 1) * rise->cell_width;
    float cells[64 * 64];
    for (int i = 0; i < grid * grid; i++) cells[i] = ph_random_uniform(cell, (uint64_t)i) < a->options.keep;
    for (int y = 0; y < a->height; y++) {
        double row = fmin(fmax((y + top + 0.5) * grid / tall - 0.5, 0), grid - 1);
        int above = (int)row, below = PH_MIN(above + 1, grid - 1);
        for (int x = 0; x < a->width; x++) {
            double column = fmin(fmax((x + left + 0.5) * grid / wide - 0.5, 0), grid - 1);
            int before = (int)column, behind = PH_MIN(before + 1, grid - 1);
            double across = column - before, down = row - above;
            mask[(size_t)y * (size_t)a->width + (size_t)x] =
                (float)((1 - down) *
                            ((1 - across) * cells[above * grid + before] + across * cells[above * grid + behind]) +
                        down * ((1 - across) * cells[below * grid + before] + across * cells[below * grid + behind]));
        }
    }
}

static void rise_fill(void *user, int index, float *input) {
    const struct rise *rise = user;
    const struct ph_attribution *a = rise->attribution;
    size_t plane = (size_t)a->height * (size_t)a->width;
    float *mask = rise->masks + (size_t)(index % PH_SUBJECT_BATCH) * plane;
    mask_make(rise, index, mask);
    for (int c = 0; c < a->channels; c++)
        for (size_t i = 0; i < plane; i++) {
            size_t at = (size_t)c * plane + i;
            input[at] = a->baseline[at] + mask[i] * (rise->input[at] - a->baseline[at]);
        }
}

static bool rise_visit(void *user, int index, float value, const float *gradient) {
    struct rise *rise = user;
    const struct ph_attribution *a = rise->attribution;
    size_t plane = (size_t)a->height * (size_t)a->width;
    const float *mask = rise->masks + (size_t)(index % PH_SUBJECT_BATCH) * plane;
    (void)gradient;
    for (size_t i = 0; i < plane; i++) rise->sums[i] += (double)value * mask[i];
    return ph_attribution_progress(rise->attribution, index + 1, a->options.masks);
}

static ph_status rise_run(struct ph_attribution *a, const float *input, ph_tensor **tensor) {
    size_t plane = (size_t)a->height * (size_t)a->width;
    int grid = a->options.grid;
    struct rise rise = {.attribution = a, .input = input, .grid = grid, .cell_height = (a->height + grid - 1) / grid,
        .cell_width = (a->width + grid - 1) / grid,
        .masks = ph_alloc_array(plane, PH_SUBJECT_BATCH * sizeof *rise.masks),
        .sums = ph_alloc_array(plane, sizeof *rise.sums)};
    ph_status status = rise.masks && rise.sums ? PH_OK : ph_fail_memory(a->context);
    if (!status) status = ph_subject_run(a->subject, a->options.masks, false, rise_fill, rise_visit, &rise);
    if (!status) status = ph_attribution_tensor(a, 1, a->height, a->width, tensor);
    for (size_t i = 0; i < plane && !status; i++)
        (*tensor)->data[i] = (float)(rise.sums[i] / (a->options.keep * a->options.masks));
    a->result->steps = a->options.masks;
    ph_free(rise.masks);
    ph_free(rise.sums);
    return status;
}

const struct ph_attribution_method ph_attribution_rise = {
    .name = "rise", .help = "the mean of random masks, each weighted by the value of the picture seen through it",
    .source = "Petsiuk, Das, Saenko 2018, arXiv 1806.07421", .options = "baseline masks grid keep seed",
    .on_probability = true, .baseline = "mean", .of_many_runs = true, .run = rise_run,
};
