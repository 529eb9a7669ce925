/* The gradient of a picture of any size, tile by tile. */
#include "vis/dream.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Pixels over which neighbouring tiles fade into each other, at most an eighth of the tile. */
#define OVERLAP 48

ph_status ph_tiles_start(ph_model *model, const struct ph_objective *objective, int most, struct ph_tiles *tiles) {
    *tiles = (struct ph_tiles){.model = model, .objective = objective, .most = most};
    ph_status status = ph_recipe_create(model->context, &tiles->recipe);
    if (!status)
        status = ph_recipe_parse(tiles->recipe, "parameterisation=pixel\ndecorrelate=false\nsquash=clip\ntransforms=none\n");
    tiles->render = (struct ph_render){
        .model = model, .recipe = tiles->recipe, .objectives = objective, .references = &tiles->references};
    if (status) ph_tiles_finish(tiles);
    return status;
}

static void program_forget(struct ph_tiles *tiles) {
    ph_program_destroy(&tiles->program);
    ph_scene_finish(&tiles->scene);
    tiles->height = tiles->width = 0;
}

void ph_tiles_finish(struct ph_tiles *tiles) {
    program_forget(tiles);
    ph_references_finish(&tiles->references);
    ph_recipe_destroy(&tiles->recipe);
}

/* The view of a tile of this size. */
static ph_status view_choose(struct ph_tiles *tiles, int height, int width) {
    char size[64];
    snprintf(size, sizeof size, "%dx%d", width, height);
    PH_TRY(ph_recipe_set(tiles->recipe, "size", size));
    return ph_render_choose_view(&tiles->render, 0);
}

static ph_status program_make(struct ph_tiles *tiles) {
    PH_TRY(ph_scene_optimise(&tiles->render, 0, 1, false, NULL, &tiles->scene));
    struct ph_program_request request = {.taps = &tiles->scene.value, .tap_count = 1, .loss = tiles->scene.loss,
        .parameters = &tiles->scene.parameters, .parameter_count = 1, .runs = tiles->runs};
    PH_TRY(ph_program_create(tiles->scene.graph, &request, &tiles->program));
    ph_scene_draw(&tiles->render, &tiles->scene, tiles->program, 0);
    return PH_OK;
}

ph_status ph_tiles_fit(struct ph_tiles *tiles, int height, int width) {
    int tall = PH_MIN(height, tiles->most), wide = PH_MIN(width, tiles->most);
    PH_TRY(view_choose(tiles, tall, wide));
    const struct ph_view *view = &tiles->render.view;
    /* A network that takes one size only sees tiles of that size, pixel by pixel. */
    if (view->input_height != tall || view->input_width != wide) {
        tall = PH_MIN(height, view->input_height), wide = PH_MIN(width, view->input_width);
        PH_TRY(view_choose(tiles, tall, wide));
    }
    if (tall == tiles->height && wide == tiles->width) return PH_OK;
    program_forget(tiles);
    ph_status status = program_make(tiles);
    if (status) program_forget(tiles);
    else tiles->height = tall, tiles->width = wide;
    return status;
}

/* ---- Where the tiles lie ------------------------------------------------------------------------------------------ */

/* Along one side of the picture. Where a single tile takes all of it, what is pushed out at one end comes in at the other
 * (the roll of the DeepDream notebook); elsewhere tiles reach over the edges, where they see the picture's reflection. */
struct axis {
    int length, tile, count;
    bool wraps;
    int *starts;    /* [count] */
    float *weights; /* [length] sum of all tiles' */
};

static int source(const struct axis *axis, int at) {
    if (at >= 0 && at < axis->length) return at;
    if (axis->wraps) return (at % axis->length + axis->length) % axis->length;
    return at < 0 ? -at : 2 * axis->length - 2 - at;
}

static bool inside(const struct axis *axis, int at) { return axis->wraps || (at >= 0 && at < axis->length); }

static int overlap(const struct axis *axis) { return axis->wraps ? 0 : PH_MIN(OVERLAP, axis->tile / 8); }

/* Rises over the overlap, is level in between, and falls again. */
static float fade(const struct axis *axis, int at) {
    int from_edge = PH_MIN(at, axis->tile - 1 - at) + 1, ramp = overlap(axis) + 1;
    return axis->wraps || from_edge >= ramp ? 1 : (float)from_edge / (float)ramp;
}

/* `uniform`: two numbers in [0,1). */
static ph_status axis_start(ph_context *context, int length, int tile, int jitter, const double uniform[2],
                            struct axis *axis) {
    *axis = (struct axis){.length = length, .tile = tile, .wraps = length <= tile};
    int stride = tile - overlap(axis), reach = PH_MIN(jitter, tile / 4), least = -(int)(uniform[0] * (reach + 1));
    int most = length - tile + (int)(uniform[1] * (reach + 1)), phase = (int)(uniform[0] * stride);
    axis->starts = ph_alloc_array((size_t)length / (size_t)stride + 3, sizeof *axis->starts);
    axis->weights = ph_alloc_array((size_t)length, sizeof *axis->weights);
    if (!axis->starts || !axis->weights) return ph_fail_memory(context);
    if (axis->wraps) {
        axis->starts[axis->count++] = (int)floor((2 * uniform[0] - 1) * jitter + 0.5);
    } else {
        for (int at = phase - stride;; at += stride) {
            int start = PH_MIN(PH_MAX(at, least), most);
            if (!axis->count || start != axis->starts[axis->count - 1]) axis->starts[axis->count++] = start;
            if (start == most) break;
        }
    }
    for (int i = 0; i < axis->count; i++)
        for (int t = 0; t < tile; t++)
            if (inside(axis, axis->starts[i] + t)) axis->weights[source(axis, axis->starts[i] + t)] += fade(axis, t);
    return PH_OK;
}

static void axis_finish(struct axis *axis) {
    ph_free(axis->starts);
    ph_free(axis->weights);
}

/* ---- One pass ----------------------------------------------------------------------------------------------------- */

struct transfer {
    struct axis rows, columns;
    int top, left, channels;
    const float *pixels;    /* [C,H,W] */
    float *parameters;      /* [C,h,w] of the tile */
    const float *lowered;   /* likewise, the gradient of the loss */
    float *gradient;        /* [C,H,W] */
};

/* Row `index` of the tile, channel by channel. */
static void row_gather(void *argument, int64_t index) {
    const struct transfer *t = argument;
    int c = (int)(index / t->rows.tile), y = (int)(index % t->rows.tile), width = t->columns.length;
    const float *from = t->pixels + ((size_t)c * (size_t)t->rows.length + (size_t)source(&t->rows, t->top + y)) * (size_t)width;
    float *to = t->parameters + (size_t)index * (size_t)t->columns.tile;
    /* Pixels are parameters with grey at 0. */
    for (int x = 0; x < t->columns.tile; x++) to[x] = from[source(&t->columns, t->left + x)] - 0.5f;
}

static void row_scatter(void *argument, int64_t index) {
    const struct transfer *t = argument;
    int c = (int)(index / t->rows.tile), y = (int)(index % t->rows.tile), width = t->columns.length;
    if (!inside(&t->rows, t->top + y)) return;
    int row = source(&t->rows, t->top + y);
    const float *from = t->lowered + (size_t)index * (size_t)t->columns.tile;
    float *to = t->gradient + ((size_t)c * (size_t)t->rows.length + (size_t)row) * (size_t)width;
    float share = fade(&t->rows, y) / t->rows.weights[row];
    for (int x = 0; x < t->columns.tile; x++) {
        if (!inside(&t->columns, t->left + x)) continue;
        int column = source(&t->columns, t->left + x);
        to[column] -= from[x] * share * fade(&t->columns, x) / t->columns.weights[column];
    }
}

static ph_status tile_run(struct ph_tiles *tiles, struct transfer *transfer, double *sum) {
    const ph_context *context = tiles->model->context;
    int64_t rows = (int64_t)transfer->channels * tiles->height;
    float value;
    transfer->parameters = ph_program_input(tiles->program, tiles->scene.parameters);
    if (transfer->parameters) ph_parallel_for(context, rows, row_gather, transfer);
    PH_TRY(ph_program_forward(tiles->program));
    PH_TRY(ph_program_backward(tiles->program));
    ph_program_read(tiles->program, tiles->scene.value, &value);
    if (!isfinite(value))
        return ph_fail(tiles->model->context, PH_ERROR_NUMERIC, "the objective is not a number at row %d, column %d",
                       PH_MAX(transfer->top, 0), PH_MAX(transfer->left, 0));
    *sum += (double)value;
    transfer->lowered = ph_program_gradient(tiles->program, tiles->scene.parameters);
    if (transfer->lowered) ph_parallel_for(context, rows, row_scatter, transfer);
    return PH_OK;
}

ph_status ph_tiles_gradient(struct ph_tiles *tiles, const struct ph_tiles_pass *pass, const float *pixels, int height,
                            int width, float *gradient, float *value) {
    ph_context *context = tiles->model->context;
    struct ph_random_key key = {.seed = pass->seed, .step = pass->step, .use = PH_USE_TRANSFORM};
    double uniform[4], sum = 0;
    for (uint64_t i = 0; i < 4; i++) uniform[i] = ph_random_uniform(key, i);
    struct transfer transfer = {.channels = tiles->render.view.channels, .pixels = pixels, .gradient = gradient};
    memset(gradient, 0, (size_t)transfer.channels * (size_t)height * (size_t)width * sizeof *gradient);
    ph_status status = axis_start(context, height, tiles->height, pass->jitter, uniform, &transfer.rows);
    if (!status) status = axis_start(context, width, tiles->width, pass->jitter, uniform + 2, &transfer.columns);
    int count = transfer.rows.count * transfer.columns.count;
    for (int i = 0; i < count && !status; i++) {
        transfer.top = transfer.rows.starts[i / transfer.columns.count];
        transfer.left = transfer.columns.starts[i % transfer.columns.count];
        status = tile_run(tiles, &transfer, &sum);
        if (!status && !pass->visited(pass->user, i + 1, count)) status = ph_fail(context, PH_ERROR_CANCELLED, "stopped");
    }
    *value = (float)(sum / PH_MAX(count, 1));
    axis_finish(&transfer.rows);
    axis_finish(&transfer.columns);
    return status;
}
