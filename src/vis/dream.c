/* Deep dreams, after google/deepdream (dream.ipynb): an objective is raised on a small copy of the picture, what that
 * changed is scaled up and added to the next larger copy, and so on up to the picture's own size. */
#include "vis/dream.h"
#include <math.h>
#include <string.h>

enum { MOST_OCTAVES = 32, AUTOMATIC_OCTAVES = 4, TILE = 512, LEAST_SIDE = 48 };

ph_dream_options ph_dream_defaults(void) {
    return (ph_dream_options){.octave_scale = 1.4, .steps = 10, .step_size = 0.006, .jitter = 32};
}

/* ---- The objective where none is given ---------------------------------------------------------------------------- */

/* Layers up to which three quarters of the network's work is done show parts of things: inception_4c of GoogLeNet, whose
 * energy the notebook raises. */
#define DEPTH 0.75

static bool is_features(const ph_layer_info *layer) {
    return layer->trunk && layer->rank == 4 && layer->dims[2] > 1 &&
           (!strcmp(layer->operation, "relu") || !strcmp(layer->operation, "concat") || !strcmp(layer->operation, "add"));
}

static ph_status objective_choose(ph_model *model, char **objective) {
    const ph_layer_info *layers, *chosen = NULL;
    int count;
    double all = 0, done = 0;
    PH_TRY(ph_model_layers(model, 0, 0, &layers, &count));
    for (int i = 0; i < count; i++) all += layers[i].flops;
    for (int i = 0; i < count && (!chosen || done < DEPTH * all); i++) {
        done += layers[i].flops;
        if (is_features(&layers[i])) chosen = &layers[i];
    }
    if (!chosen)
        return ph_fail(model->context, PH_ERROR_NOT_FOUND,
                       "dream: the network has no layer of which one can tell that it shows parts of things; name an objective");
    *objective = ph_sprintf("'%s'", chosen->name);
    return *objective ? PH_OK : ph_fail_memory(model->context);
}

/* What to raise, a new string: as given, or a layer's energy, or that layer's likeness to a guide. */
static ph_status objective_text(ph_model *model, const char *given, const char *guide, char **objective) {
    char *layer = NULL;
    *objective = NULL;
    if (guide && strpbrk(guide, "'\n"))
        return ph_fail(model->context, PH_ERROR_ARGUMENT, "guide: no quotation mark can be in the name of the file, %s", guide);
    if (given) layer = ph_strdup(given);
    else PH_TRY(objective_choose(model, &layer));
    *objective = guide && layer ? ph_sprintf("guide(%s, '%s')", layer, guide) : layer;
    if (guide) ph_free(layer);
    return *objective ? PH_OK : ph_fail_memory(model->context);
}

/* ---- Octaves ------------------------------------------------------------------------------------------------------ */

struct dream {
    ph_context *context;
    const ph_dream_options *options;
    struct ph_tiles tiles;
    int octaves, octave, step;
    uint32_t pass;
    float value;
    double started;
    double work, work_step, work_all; /* pixels seen so far, in the step under way, and in all */
    ph_picture *mask;        /* of the octave; NULL: none */
    float *gradient;         /* of the largest octave's size */
    double *sums;            /* one for each row of each channel */
};

/* Size of octave `octave`, the last being the picture's. */
static int octave_side(const struct dream *dream, int side, int octave) {
    return PH_MAX(1, (int)floor(side / pow(dream->options->octave_scale, dream->octaves - 1 - octave) + 0.5));
}

static ph_status octaves_choose(struct dream *dream, int height, int width) {
    const ph_dream_options *options = dream->options;
    int shorter = PH_MIN(height, width), least = options->least_side ? options->least_side : LEAST_SIDE;
    dream->octaves = options->octaves ? options->octaves : AUTOMATIC_OCTAVES;
    if (!options->octaves)
        while (dream->octaves > 1 && octave_side(dream, shorter, 0) < least) dream->octaves--;
    int smallest = octave_side(dream, shorter, 0), fit = dream->octaves;
    if (dream->octaves == 1 || smallest >= least) return PH_OK;
    while (dream->octaves > 1 && octave_side(dream, shorter, 0) < least) dream->octaves--;
    return ph_fail(dream->context, PH_ERROR_ARGUMENT,
                   "octaves: the smallest of %d would be %d pixels wide or high, which is less than %d; this picture of "
                   "%dx%d has room for %d of them, or choose a smaller octave-scale or least-side",
                   fit, smallest, least, width, height, dream->octaves);
}

/* ---- One step ----------------------------------------------------------------------------------------------------- */

struct sweep {
    float *pixels;
    const float *gradient, *mask;
    double *sums;
    int height, width;
    float step;
};

static double shares_sum(const float *mask, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)mask[i];
    return sum;
}

/* Size of the gradient in row `index` of all channels, where the mask lets it through. */
static void row_measure(void *argument, int64_t index) {
    const struct sweep *sweep = argument;
    const float *gradient = sweep->gradient + (size_t)index * (size_t)sweep->width;
    const float *mask = sweep->mask ? sweep->mask + (size_t)(index % sweep->height) * (size_t)sweep->width : NULL;
    double sum = 0;
    for (int x = 0; x < sweep->width; x++) sum += fabs((double)gradient[x]) * (mask ? (double)mask[x] : 1);
    sweep->sums[index] = sum;
}

static void row_move(void *argument, int64_t index) {
    const struct sweep *sweep = argument;
    size_t from = (size_t)index * (size_t)sweep->width;
    const float *gradient = sweep->gradient + from;
    const float *mask = sweep->mask ? sweep->mask + (size_t)(index % sweep->height) * (size_t)sweep->width : NULL;
    float *pixels = sweep->pixels + from;
    for (int x = 0; x < sweep->width; x++) {
        float moved = pixels[x] + sweep->step * gradient[x] * (mask ? mask[x] : 1);
        pixels[x] = moved > 1 ? 1 : moved > 0 ? moved : 0; /* fminf and fmaxf would be calls */
    }
}

/* Every pixel moves by the step's size on average, whatever the gradient's. */
static void pixels_move(const struct dream *dream, ph_picture *picture) {
    struct sweep sweep = {.pixels = picture->pixels, .gradient = dream->gradient, .sums = dream->sums,
        .mask = dream->mask ? dream->mask->pixels : NULL, .height = picture->height, .width = picture->width};
    int64_t rows = (int64_t)picture->channels * picture->height;
    size_t plane = (size_t)picture->height * (size_t)picture->width;
    ph_parallel_for(dream->context, rows, row_measure, &sweep);
    double sum = 0, seen = sweep.mask ? shares_sum(sweep.mask, plane) : (double)plane;
    for (int64_t i = 0; i < rows; i++) sum += dream->sums[i];
    if (sum > 0) sweep.step = (float)(dream->options->step_size * seen * picture->channels / sum);
    if (isfinite(sweep.step)) ph_parallel_for(dream->context, rows, row_move, &sweep);
}

static bool tile_visited(void *user, int tile, int tiles) {
    struct dream *dream = user;
    const ph_dream_options *options = dream->options;
    if (!options->progress) return true;
    double done = dream->work + dream->work_step * tile / tiles, seconds = ph_seconds() - dream->started;
    ph_dream_progress progress = {.octave = dream->octave + 1, .octaves = dream->octaves, .step = dream->step + 1,
        .steps = options->steps, .tile = tile, .tiles = tiles, .value = dream->value, .seconds_left = -1};
    if (done > 0 && seconds > 0.5) progress.seconds_left = seconds * (dream->work_all / done - 1);
    return options->progress(options->user, &progress);
}

static ph_status octave_run(struct dream *dream, ph_picture *picture) {
    ph_status status = ph_tiles_fit(&dream->tiles, picture->height, picture->width);
    if (status) {
        ph_fail_prefix(dream->context, "octave %d of %d, %dx%d pixels", dream->octave + 1, dream->octaves, picture->width,
                       picture->height);
        return status;
    }
    struct ph_tiles_pass pass = {.seed = dream->options->seed, .jitter = dream->options->jitter, .visited = tile_visited,
        .user = dream};
    dream->work_step = (double)picture->height * picture->width;
    for (dream->step = 0; dream->step < dream->options->steps; dream->step++) {
        pass.step = dream->pass++;
        PH_TRY(ph_tiles_gradient(&dream->tiles, &pass, picture->pixels, picture->height, picture->width, dream->gradient,
                                 &dream->value));
        pixels_move(dream, picture);
        dream->work += dream->work_step;
    }
    return PH_OK;
}

/* ---- From octave to octave ---------------------------------------------------------------------------------------- */

static size_t pixel_count(const ph_picture *picture) {
    return (size_t)picture->channels * (size_t)picture->height * (size_t)picture->width;
}

/* picture += sign * other. */
static void picture_add(ph_picture *picture, const ph_picture *other, float sign) {
    for (size_t i = 0; i < pixel_count(picture); i++) picture->pixels[i] += sign * other->pixels[i];
}

static void picture_clip(ph_picture *picture) {
    for (size_t i = 0; i < pixel_count(picture); i++) picture->pixels[i] = fminf(fmaxf(picture->pixels[i], 0), 1);
}

/* The mask at this size, its edge softened in proportion. */
static ph_status mask_scale(struct dream *dream, int height, int width, int full_width) {
    const ph_dream_options *options = dream->options;
    ph_picture *grey = NULL;
    ph_picture_destroy(&dream->mask);
    if (!options->mask) return PH_OK;
    PH_TRY(ph_picture_convert(options->mask, 1, &grey));
    ph_status status = ph_picture_resize(grey, height, width, &dream->mask);
    ph_picture_destroy(&grey);
    double deviation = options->feather * width / full_width;
    if (status || deviation <= 0) return status;
    float *scratch = ph_alloc_array((size_t)height * (size_t)width, sizeof *scratch);
    if (!scratch) return ph_fail_memory(dream->context);
    ph_planes_blur(dream->mask->pixels, 1, height, width, deviation, scratch);
    ph_free(scratch);
    return PH_OK;
}

/* *detail: what the octave before changed, NULL at the first; becomes what this one did, `base` scaled being where it
 * began. */
static ph_status octave_dream(struct dream *dream, const ph_picture *base, ph_picture **detail) {
    int height = octave_side(dream, base->height, dream->octave), width = octave_side(dream, base->width, dream->octave);
    ph_picture *small = NULL, *grown = NULL;
    ph_status status = ph_picture_resize(base, height, width, &small);
    if (!status && *detail) status = ph_picture_resize(*detail, height, width, &grown);
    else if (!status) status = ph_picture_crop(small, 0, 0, height, width, &grown);
    if (!status && *detail) {
        picture_add(grown, small, 1);
        picture_clip(grown);
    }
    if (!status) status = mask_scale(dream, height, width, base->width);
    if (!status) status = octave_run(dream, grown);
    /* What a stopped octave did until then counts too. */
    if (!status || status == PH_ERROR_CANCELLED) {
        picture_add(grown, small, -1);
        ph_picture_destroy(detail);
        *detail = grown;
        grown = NULL;
    }
    ph_picture_destroy(&grown);
    ph_picture_destroy(&small);
    return status;
}

/* The dream's brightness (Rec. ITU-R BT.601) in the colours of the picture it began with. */
static void colours_keep(ph_picture *picture, const ph_picture *base) {
    static const float share[3] = {0.299f, 0.587f, 0.114f};
    size_t plane = (size_t)picture->height * (size_t)picture->width;
    for (size_t i = 0; i < plane && picture->channels == 3; i++) {
        float rise = 0;
        for (size_t c = 0; c < 3; c++) rise += share[c] * (picture->pixels[c * plane + i] - base->pixels[c * plane + i]);
        for (size_t c = 0; c < 3; c++) picture->pixels[c * plane + i] = base->pixels[c * plane + i] + rise;
    }
    picture_clip(picture);
}

static ph_status octaves_run(struct dream *dream, const ph_picture *base, ph_picture **out) {
    ph_picture *detail = NULL;
    ph_status status = octaves_choose(dream, base->height, base->width);
    dream->gradient = ph_alloc_aligned(pixel_count(base) * sizeof *dream->gradient);
    dream->sums = ph_alloc_array((size_t)base->channels * (size_t)base->height, sizeof *dream->sums);
    if (!status && (!dream->gradient || !dream->sums)) status = ph_fail_memory(dream->context);
    for (int i = 0; i < dream->octaves && !status; i++)
        dream->work_all += (double)octave_side(dream, base->height, i) * octave_side(dream, base->width, i) * dream->options->steps;
    for (dream->octave = 0; dream->octave < dream->octaves && !status; dream->octave++)
        status = octave_dream(dream, base, &detail);
    ph_free_aligned(dream->gradient);
    ph_free(dream->sums);
    ph_picture_destroy(&dream->mask);
    bool stopped = status == PH_ERROR_CANCELLED && detail;
    if (!status || stopped) {
        ph_status resized = ph_picture_resize(detail, base->height, base->width, out);
        if (resized) status = resized;
        else picture_add(*out, base, 1), picture_clip(*out);
    }
    ph_picture_destroy(&detail);
    if (*out && dream->options->keep_colours) colours_keep(*out, base);
    return status;
}

/* ---- The call ----------------------------------------------------------------------------------------------------- */

static ph_status options_check(ph_context *context, const ph_dream_options *o) {
    const struct { const char *name; double value, low, high; } ranges[] = {
        {"octaves", o->octaves, 0, MOST_OCTAVES}, {"octave-scale", o->octave_scale, 1.01, 8},
        {"least-side", o->least_side, 0, 16384}, {"steps", o->steps, 1, 100000}, {"step-size", o->step_size, 0, 10},
        {"jitter", o->jitter, 0, 4096}, {"tile", o->tile, 0, 16384}, {"feather", o->feather, 0, 4096}};
    for (int i = 0; i < PH_COUNT(ranges); i++)
        if (!(ranges[i].value >= ranges[i].low && ranges[i].value <= ranges[i].high))
            return ph_fail(context, PH_ERROR_ARGUMENT, "dream: %s is %g, not between %g and %g", ranges[i].name,
                           ranges[i].value, ranges[i].low, ranges[i].high);
    if (o->tile && o->tile < 32) return ph_fail(context, PH_ERROR_ARGUMENT, "dream: tile is %d, less than 32", o->tile);
    return PH_OK;
}

/* What makes the dream again: the command's options, and the same facts that a render writes. */
static ph_status recipe_write(const ph_model *model, const ph_dream_options *o, const char *objective, float value,
                              char **recipe) {
    struct ph_text text = {0};
    ph_recipe_facts_append(model, objective, &text);
    ph_text_append(&text, "#dream=--octaves %d --octave-scale ", o->octaves);
    ph_text_append_number(&text, o->octave_scale);
    ph_text_append(&text, " --least-side %d --steps %d --step-size ", o->least_side, o->steps);
    ph_text_append_number(&text, o->step_size);
    ph_text_append(&text, " --jitter %d --tile %d --seed %llu", o->jitter, o->tile, (unsigned long long)o->seed);
    if (o->mask) ph_text_append(&text, " --mask MASK --feather "), ph_text_append_number(&text, o->feather);
    if (o->keep_colours) ph_text_append(&text, " --keep-colours");
    ph_text_append(&text, "\n#value=%.9g\n", (double)value);
    if (text.failed) {
        ph_text_finish(&text);
        return ph_fail_memory(model->context);
    }
    *recipe = text.data;
    return PH_OK;
}

struct call {
    struct dream *dream;
    const ph_picture *base;
    ph_picture **out;
    ph_status status;
};

static void call_run(void *argument) {
    struct call *call = argument;
    call->status = octaves_run(call->dream, call->base, call->out);
}

static ph_status objective_dream(ph_model *model, const ph_picture *base, const char *text, const ph_dream_options *options,
                                 ph_picture **out) {
    struct ph_objective objective = {0};
    struct dream dream = {.context = model->context, .options = options, .started = ph_seconds()};
    PH_TRY(ph_objective_parse(model->context, text, &objective));
    ph_status status = ph_objective_check_single(model->context, &objective);
    if (!status) status = ph_tiles_start(model, &objective, options->tile ? options->tile : TILE, &dream.tiles);
    dream.tiles.runs = (int64_t)options->steps * PH_MAX(options->octaves, 1);
    if (!status) {
        struct call call = {&dream, base, out, PH_OK};
        ph_parallel_region(model->context, call_run, &call);
        status = call.status;
        ph_tiles_finish(&dream.tiles);
    }
    ph_objective_finish(&objective);
    char *recipe;
    if (*out) {
        ph_status written = recipe_write(model, options, text, dream.value, &recipe);
        if (written) return written;
        ph_free((*out)->recipe);
        (*out)->recipe = recipe;
        (*out)->value = dream.value;
    }
    return status;
}

ph_status ph_dream(ph_model *model, const ph_picture *picture, const char *objective, const ph_dream_options *options,
                   ph_picture **out) {
    if (!model) return PH_ERROR_ARGUMENT;
    if (!picture || !out) return ph_fail(model->context, PH_ERROR_ARGUMENT, "a dream needs a picture and room for its own");
    *out = NULL;
    ph_dream_options defaults = ph_dream_defaults();
    if (!options) options = &defaults;
    PH_TRY(options_check(model->context, options));
    enum { LEAST_PICTURE = 8 }; /* as of rendered ones */
    if (picture->width < LEAST_PICTURE || picture->height < LEAST_PICTURE)
        return ph_fail(model->context, PH_ERROR_SHAPE, "dream: the picture has %d x %d pixels; it needs %d a side", picture->width,
                       picture->height, LEAST_PICTURE);
    int channels = model->preprocessing.channels;
    if (channels != 1 && channels != 3)
        return ph_fail(model->context, PH_ERROR_UNSUPPORTED, "dreams are for networks of 1 or 3 channels, not %d", channels);
    ph_picture *base = NULL;
    char *chosen = NULL;
    ph_status status = ph_picture_convert(picture, channels, &base);
    if (!status) status = objective_text(model, objective, options->guide, &chosen);
    if (!status) status = objective_dream(model, base, chosen, options, out);
    if (status && status != PH_ERROR_CANCELLED) ph_picture_destroy(out);
    ph_free(chosen);
    ph_picture_destroy(&base);
    return status;
}
