/* Steps of the render loop on the device. What steps are fed lies in a ring on the host; several steps are submitted together,
 * each as three recorded command buffers: its slot of the ring comes in, all of the program with the optimiser behind it runs,
 * and the step's numbers go out to the slot. While the device works on one submission the host feeds the next. Parameters,
 * moments and what is remembered of items stay on the device until they are asked for. */
#include "vulkan/engine.h"
#include <math.h>
#include <string.h>

#define RING_BYTES ((size_t)256 << 20) /* where a step is fed much, fewer go together */

enum {
    COEFFICIENTS = sizeof(struct ph_update) / sizeof(float),
    REPORT = sizeof(struct ph_loop_report) / sizeof(float),
    ITEM = sizeof(struct ph_loop_item) / sizeof(float),
    PARTS = 64,               /* of a measure, as loop.glsl has them */
    MOST_GROUPS = 1024,       /* that share an item */
    SLOTS = PH_LOOP_SUBMISSIONS * PH_LOOP_STEPS
};

_Static_assert(PH_MAX_BATCH <= 64, "judge.comp has an invocation for each item");

struct submission { int slot, steps; bool looks; VkFence fence; };

struct loop {
    struct ph_loop told;
    int steps;                 /* slots of a submission */
    size_t items, size, count; /* parameters of one item, of all */
    size_t fed, slot;          /* floats that a step is fed, and of a slot, with its report */
    /* Places in the program's memory. block: coefficients, the step's number, whether it looks, and the blurs' kernels. */
    uint32_t block, block_floats, kernels[PH_LOOP_BLURS], parameter, gradient, moments, states, report, divisors, parts;
    uint32_t prepared_parts, prepared, line, coarse[2]; /* the last: of the parameters' size, PH_NOWHERE where not needed */
    uint32_t band_kernels, errors;                      /* tables */
    struct ph_buffer ring;     /* slots, and behind them a copy of the parameters for each submission */
    VkCommandBuffer feed[SLOTS], step, collect[SLOTS], look[PH_LOOP_SUBMISSIONS];
    struct submission submissions[PH_LOOP_SUBMISSIONS];
    int64_t submitted, collected;
};

/* ---- Places ------------------------------------------------------------------------------------------------------ */

static bool has_blur(const struct ph_loop *told, int blur) { return told->channels && told->taps[blur] >= 0; }
static bool has_bands(const struct ph_loop *told) { return told->channels && told->bands; }
static bool prepares(const struct ph_loop *told) { return has_blur(told, PH_LOOP_BLUR_GRADIENT) || has_bands(told); }

static size_t kernel_floats(int taps) { return 2 + (size_t)taps; } /* their number, and the weights of 0 to them */

/* What never changes becomes constants of the program. */
static ph_status tables_make(struct ph_recorder *recorder, struct loop *loop) {
    const struct ph_loop *told = &loop->told;
    const struct ph_plan *plan = recorder->plan;
    size_t floats = (size_t)told->error_count, at = 0;
    for (int b = 0; b + 1 < told->bands; b++) floats += kernel_floats(ph_blur_taps(ldexp(1, b)));
    uint32_t *table = ph_alloc_array(floats + 1, sizeof *table);
    if (!table) return ph_fail_memory(recorder->context);
    for (int i = 0; i < told->error_count; i++) table[at++] = (uint32_t)ph_storage_place(plan, plan->tap[told->errors[i]]);
    for (int b = 0; b + 1 < told->bands; b++) {
        int taps = ph_blur_taps(ldexp(1, b));
        table[at++] = (uint32_t)taps;
        ph_blur_weights(ldexp(1, b), (float *)&table[at]);
        at += (size_t)taps + 1;
    }
    ph_status status = floats ? ph_recorder_table(recorder, table, floats, &loop->errors) : PH_OK;
    loop->band_kernels = loop->errors + (uint32_t)told->error_count;
    ph_free(table);
    return status;
}

static uint32_t place_take(struct ph_recorder *recorder, size_t floats) {
    uint32_t place = (uint32_t)recorder->floats;
    recorder->floats += (floats + 15) & ~(size_t)15;
    return floats ? place : PH_NOWHERE;
}

static void places_take(struct ph_recorder *recorder, struct loop *loop) {
    const struct ph_loop *told = &loop->told;
    bool line = has_blur(told, PH_LOOP_BLUR) || prepares(told);
    loop->block_floats = COEFFICIENTS + 2;
    for (int i = 0; i < PH_LOOP_BLURS; i++)
        if (has_blur(told, i)) loop->block_floats += (uint32_t)kernel_floats(told->taps[i]);
    loop->block = place_take(recorder, loop->block_floats);
    loop->kernels[0] = loop->block + COEFFICIENTS + 2;
    loop->kernels[1] = loop->kernels[0];
    if (has_blur(told, 0)) loop->kernels[1] += (uint32_t)kernel_floats(told->taps[0]);
    loop->moments = place_take(recorder, ((size_t)told->mean + told->square) * loop->count);
    loop->states = place_take(recorder, ITEM * loop->items + 1);
    loop->report = place_take(recorder, REPORT * loop->items);
    loop->divisors = place_take(recorder, 2 * loop->items);
    loop->parts = place_take(recorder, 2 * PARTS * loop->items);
    loop->prepared_parts = prepares(told) ? place_take(recorder, 2 * PARTS * loop->items) : loop->parts;
    loop->prepared = prepares(told) ? place_take(recorder, loop->count) : loop->gradient;
    loop->line = place_take(recorder, line ? loop->count : 0);
    for (int i = 0; i < 2; i++) loop->coarse[i] = place_take(recorder, has_bands(told) ? loop->count : 0);
}

/* ---- The step ---------------------------------------------------------------------------------------------------- */

static const int32_t no_constants[PH_SHADER_CONSTANTS];

static ph_status dispatch(struct ph_recorder *recorder, enum ph_shader shader, const int32_t *constants,
                          const struct ph_words *words, size_t x, size_t y) {
    return ph_recorder_dispatch(recorder, shader, constants, words, (int64_t)x, (int64_t)y, 1, true);
}

/* Workgroups of 256 that share an item. */
static size_t groups_of(const struct loop *loop) { return PH_MIN((loop->size + 255) / 256, (size_t)MOST_GROUPS); }

static ph_status measure_record(struct ph_recorder *recorder, const struct loop *loop, uint32_t from, uint32_t minus,
                                uint32_t parts, enum ph_normalisation normalisation) {
    enum { NO_SUM, SIZES, SQUARES };
    bool sums = normalisation != PH_NORMALISE_NONE && normalisation != PH_NORMALISE_SHARE;
    const int32_t constants[PH_SHADER_CONSTANTS] = {!sums ? NO_SUM : normalisation == PH_NORMALISE_MEAN ? SIZES : SQUARES};
    struct ph_words words = {0};
    ph_words_int(&words, (int64_t)loop->size);
    ph_words_int(&words, from);
    ph_words_int(&words, minus);
    ph_words_int(&words, parts);
    return dispatch(recorder, PH_SHADER_measure, constants, &words, PARTS, loop->items);
}

/* Rows and then columns; `states` PH_NOWHERE: of all items. */
static ph_status blur_record(struct ph_recorder *recorder, const struct loop *loop, uint32_t from, uint32_t to,
                             uint32_t kernel, uint32_t states) {
    for (int columns = 0; columns < 2; columns++) {
        const int32_t constants[PH_SHADER_CONSTANTS] = {columns};
        struct ph_words words = {0};
        ph_words_int(&words, (int64_t)loop->items);
        ph_words_int(&words, loop->told.channels);
        ph_words_int(&words, loop->told.height);
        ph_words_int(&words, loop->told.width);
        ph_words_int(&words, columns ? loop->line : from);
        ph_words_int(&words, columns ? to : loop->line);
        ph_words_int(&words, kernel);
        ph_words_int(&words, states);
        PH_TRY(dispatch(recorder, PH_SHADER_blur, constants, &words, (loop->count + 63) / 64, 1));
    }
    return PH_OK;
}

/* Differences of blurs whose deviations double; what is left is the last band. */
static ph_status bands_record(struct ph_recorder *recorder, const struct loop *loop, uint32_t from) {
    uint32_t kernel = loop->band_kernels;
    for (int b = 0; b < loop->told.bands; b++) {
        uint32_t coarser = b + 1 < loop->told.bands ? loop->coarse[b % 2] : PH_NOWHERE;
        struct ph_words words = {0};
        if (coarser != PH_NOWHERE) PH_TRY(blur_record(recorder, loop, from, coarser, kernel, PH_NOWHERE));
        PH_TRY(measure_record(recorder, loop, from, coarser, loop->prepared_parts, PH_NORMALISE_RMS));
        ph_words_int(&words, (int64_t)loop->size);
        ph_words_int(&words, from);
        ph_words_int(&words, coarser);
        ph_words_int(&words, loop->prepared);
        ph_words_int(&words, loop->prepared_parts);
        ph_words_int(&words, b > 0);
        PH_TRY(dispatch(recorder, PH_SHADER_band, no_constants, &words, groups_of(loop), loop->items));
        from = coarser;
        kernel += (uint32_t)kernel_floats(ph_blur_taps(ldexp(1, b)));
    }
    return PH_OK;
}

static ph_status gradient_record(struct ph_recorder *recorder, const struct loop *loop) {
    const struct ph_loop *told = &loop->told;
    uint32_t from = loop->gradient;
    PH_TRY(measure_record(recorder, loop, loop->gradient, PH_NOWHERE, loop->parts,
                          prepares(told) ? PH_NORMALISE_NONE : told->normalisation));
    if (!prepares(told)) return PH_OK;
    if (has_blur(told, PH_LOOP_BLUR_GRADIENT)) {
        from = has_bands(told) ? loop->coarse[1] : loop->prepared; /* the first band writes the other */
        PH_TRY(blur_record(recorder, loop, loop->gradient, from, loop->kernels[PH_LOOP_BLUR_GRADIENT], PH_NOWHERE));
    }
    if (has_bands(told)) PH_TRY(bands_record(recorder, loop, from));
    if (!told->normalisation) return PH_OK;
    return measure_record(recorder, loop, loop->prepared, PH_NOWHERE, loop->prepared_parts, told->normalisation);
}

static ph_status judge_record(struct ph_recorder *recorder, const struct loop *loop, uint32_t value) {
    const struct ph_loop *told = &loop->told;
    bool has_target = !isnan(told->target), has_stop = !isnan(told->stop_value);
    const int32_t constants[PH_SHADER_CONSTANTS] = {told->normalisation, has_target, has_stop};
    struct ph_words words = {0};
    ph_words_int(&words, (int64_t)loop->items);
    ph_words_int(&words, (int64_t)loop->size);
    ph_words_int(&words, value);
    ph_words_int(&words, loop->parts);
    ph_words_int(&words, loop->prepared_parts);
    ph_words_int(&words, loop->block + COEFFICIENTS);
    ph_words_int(&words, loop->states);
    ph_words_int(&words, loop->report);
    ph_words_int(&words, loop->divisors);
    ph_words_int(&words, loop->errors);
    ph_words_int(&words, told->error_count);
    ph_words_int(&words, told->plateau);
    ph_words_float(&words, has_target ? told->target : 0);
    ph_words_float(&words, has_stop ? told->stop_value : 0);
    ph_words_float(&words, told->least_square);
    ph_words_float(&words, told->error_count ? told->tolerance : 0);
    return dispatch(recorder, PH_SHADER_judge, constants, &words, 1, 1);
}

static ph_status update_record(struct ph_recorder *recorder, const struct loop *loop) {
    const struct ph_loop *told = &loop->told;
    const int32_t constants[PH_SHADER_CONSTANTS] = {told->mean, told->square, told->normalisation != PH_NORMALISE_NONE,
        told->decay > 0, told->bounded};
    struct ph_words words = {0};
    ph_words_int(&words, (int64_t)loop->items);
    ph_words_int(&words, (int64_t)loop->size);
    ph_words_int(&words, told->common);
    ph_words_int(&words, loop->parameter);
    ph_words_int(&words, loop->prepared);
    ph_words_int(&words, loop->moments);
    ph_words_int(&words, loop->moments + (told->mean ? (int64_t)loop->count : 0));
    ph_words_int(&words, loop->block);
    ph_words_int(&words, loop->states);
    ph_words_int(&words, loop->divisors);
    ph_words_float(&words, 1 - told->decay);
    return dispatch(recorder, PH_SHADER_update, constants, &words, groups_of(loop), loop->items);
}

/* Pixels below a percentile, as numpy.percentile has it: linear between the two nearest. */
static ph_status clear_record(struct ph_recorder *recorder, const struct loop *loop, double percent, uint32_t gradient) {
    const struct ph_loop *told = &loop->told;
    int64_t plane = (int64_t)told->height * told->width;
    double at = percent / 100 * (double)(plane - 1);
    struct ph_words words = {0};
    if (!(percent > 0)) return PH_OK;
    ph_words_int(&words, (int64_t)loop->items);
    ph_words_int(&words, told->channels);
    ph_words_int(&words, plane);
    ph_words_int(&words, loop->parameter);
    ph_words_int(&words, gradient);
    ph_words_int(&words, loop->states);
    ph_words_int(&words, (int64_t)at);
    ph_words_float(&words, at - floor(at));
    return dispatch(recorder, PH_SHADER_clear, no_constants, &words, loop->items, 1);
}

ph_status ph_vulkan_loop_record(struct ph_recorder *recorder) {
    struct loop *loop = recorder->loop;
    const struct ph_plan *plan = recorder->plan;
    const struct ph_loop *told = &loop->told;
    PH_TRY(tables_make(recorder, loop));
    PH_TRY(gradient_record(recorder, loop));
    PH_TRY(judge_record(recorder, loop, (uint32_t)ph_storage_place(plan, plan->tap[told->value])));
    PH_TRY(update_record(recorder, loop));
    if (!told->channels) return PH_OK;
    if (has_blur(told, PH_LOOP_BLUR))
        PH_TRY(blur_record(recorder, loop, loop->parameter, loop->parameter, loop->kernels[PH_LOOP_BLUR], loop->states));
    PH_TRY(clear_record(recorder, loop, told->clip_norm, PH_NOWHERE));
    return clear_record(recorder, loop, told->clip_contribution, loop->gradient);
}

/* ---- The ring ---------------------------------------------------------------------------------------------------- */

static bool is_parameter(const struct loop *loop, const struct ph_transfer *fed) { return fed->place == loop->parameter; }

static size_t look_place(const struct loop *loop, int submission) {
    return (size_t)PH_LOOP_SUBMISSIONS * (size_t)loop->steps * loop->slot + (size_t)submission * loop->count;
}

/* One slot comes in: what the step is fed, one behind the other, then its block. */
static ph_status feed_record(struct ph_recorder *recorder, struct loop *loop, int slot) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    size_t at = (size_t)slot * loop->slot;
    VkCommandBuffer *commands = &loop->feed[slot];
    PH_TRY(ph_commands_begin(recorder, commands));
    for (int i = 0; i <= recorder->transfer_counts[PH_FED]; i++) {
        bool last = i == recorder->transfer_counts[PH_FED];
        const struct ph_transfer *fed = &recorder->transfers[PH_FED][i];
        size_t floats = last ? loop->block_floats : fed->floats;
        if (!last && is_parameter(loop, fed)) continue;
        const VkBufferCopy copy = {.srcOffset = at * sizeof(float),
            .dstOffset = (last ? loop->block : fed->place) * sizeof(float), .size = floats * sizeof(float)};
        vulkan->CmdCopyBuffer(*commands, loop->ring.buffer, recorder->memory.buffer, 1, &copy);
        at += floats;
    }
    ph_barrier_put(recorder, *commands, PH_TRANSFER, PH_COMPUTE | PH_TRANSFER);
    return ph_commands_end(recorder, *commands);
}

/* A copy out to the ring, which nothing of the next step overtakes. */
static ph_status copy_record(struct ph_recorder *recorder, const struct loop *loop, uint32_t from, size_t to, size_t floats,
                             VkCommandBuffer *commands) {
    PH_TRY(ph_commands_begin(recorder, commands));
    const VkBufferCopy copy = {.srcOffset = from * sizeof(float), .dstOffset = to * sizeof(float),
        .size = floats * sizeof(float)};
    ph_barrier_put(recorder, *commands, PH_COMPUTE, PH_TRANSFER);
    recorder->vulkan->CmdCopyBuffer(*commands, recorder->memory.buffer, loop->ring.buffer, 1, &copy);
    ph_barrier_put(recorder, *commands, PH_COMPUTE | PH_TRANSFER, VK_PIPELINE_STAGE_HOST_BIT | PH_COMPUTE | PH_TRANSFER);
    return ph_commands_end(recorder, *commands);
}

/* The whole program, and what follows its gradient. */
static ph_status step_record(struct ph_recorder *recorder, struct loop *loop) {
    int steps = recorder->plan->step_count;
    PH_TRY(ph_commands_begin(recorder, &loop->step));
    PH_TRY(ph_steps_put(recorder, loop->step, 0, steps, false));
    for (int i = 0; i < recorder->dispatch_count; i++)
        if (recorder->dispatches[i].step == steps) ph_dispatch_put(recorder, loop->step, &recorder->dispatches[i]);
    return ph_commands_end(recorder, loop->step);
}

static ph_status ring_make(struct ph_recorder *recorder, struct loop *loop) {
    loop->fed = loop->block_floats;
    for (int i = 0; i < recorder->transfer_counts[PH_FED]; i++)
        if (!is_parameter(loop, &recorder->transfers[PH_FED][i])) loop->fed += recorder->transfers[PH_FED][i].floats;
    loop->slot = loop->fed + REPORT * loop->items;
    size_t room = RING_BYTES / PH_LOOP_SUBMISSIONS / (loop->slot * sizeof(float));
    loop->steps = (int)PH_MAX(PH_MIN(room, (size_t)PH_LOOP_STEPS), (size_t)1);
    PH_TRY(ph_buffer_make(recorder, look_place(loop, PH_LOOP_SUBMISSIONS), true, &loop->ring));
    for (int i = 0; i < PH_LOOP_SUBMISSIONS * loop->steps; i++) {
        PH_TRY(feed_record(recorder, loop, i));
        PH_TRY(copy_record(recorder, loop, loop->report, (size_t)i * loop->slot + loop->fed, REPORT * loop->items,
                           &loop->collect[i]));
    }
    for (int i = 0; i < PH_LOOP_SUBMISSIONS; i++) {
        PH_TRY(copy_record(recorder, loop, loop->parameter, look_place(loop, i), loop->count, &loop->look[i]));
        PH_TRY(ph_fence_make(recorder, &loop->submissions[i].fence));
    }
    return PH_OK;
}

ph_status ph_vulkan_loop_create(struct ph_recorder *recorder, const struct ph_graph *graph, const struct ph_loop *told) {
    const struct ph_plan *plan = recorder->plan;
    struct loop *loop = ph_alloc(sizeof *loop);
    if (!loop) return ph_fail_memory(recorder->context);
    recorder->loop = loop;
    loop->told = *told;
    loop->items = (size_t)graph->values[told->value].shape.dims[0];
    loop->count = (size_t)ph_shape_size(&graph->values[told->parameter].shape);
    loop->size = loop->count / loop->items;
    loop->parameter = (uint32_t)ph_storage_place(plan, plan->home[told->parameter]);
    loop->gradient = (uint32_t)ph_storage_place(plan, plan->gradient[told->parameter]);
    places_take(recorder, loop);
    return PH_OK;
}

ph_status ph_vulkan_loop_finish_recording(struct ph_recorder *recorder) {
    PH_TRY(ring_make(recorder, recorder->loop));
    return step_record(recorder, recorder->loop);
}

void ph_vulkan_loop_destroy(struct ph_recorder *recorder) {
    struct ph_vulkan *vulkan = recorder->vulkan;
    struct loop *loop = recorder->loop;
    if (!loop) return;
    for (int i = 0; i < SLOTS; i++) {
        ph_commands_free(recorder, &loop->feed[i]);
        ph_commands_free(recorder, &loop->collect[i]);
    }
    ph_commands_free(recorder, &loop->step);
    for (int i = 0; i < PH_LOOP_SUBMISSIONS; i++) {
        ph_commands_free(recorder, &loop->look[i]);
        vulkan->DestroyFence(vulkan->device, loop->submissions[i].fence, NULL);
    }
    ph_buffer_finish(vulkan, &loop->ring);
    ph_free(loop);
    recorder->loop = NULL;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

/* Between the device and the host's parameters, moments and items. */
static ph_status state_copy(struct ph_recorder *recorder, const struct loop *loop, float *parameters, bool read) {
    const struct ph_loop *told = &loop->told;
    struct { uint32_t place; float *data; size_t floats; } parts[] = {{loop->parameter, parameters, loop->count},
        {loop->moments, told->moments, ((size_t)told->mean + told->square) * loop->count},
        {loop->states, (float *)told->items, ITEM * loop->items}};
    struct ph_buffer by = {0};
    ph_status status = ph_buffer_make(recorder, PH_MAX(2 * loop->count, ITEM * loop->items), true, &by);
    for (int i = 0; i < PH_COUNT(parts) && !status; i++)
        status = ph_memory_copy(recorder, parts[i].place, parts[i].data, parts[i].floats, read, &by);
    float none = 0; /* no item holds the steps */
    if (!status && !read) status = ph_memory_copy(recorder, loop->states + ITEM * loop->items, &none, 1, false, &by);
    ph_buffer_finish(recorder->vulkan, &by);
    return status;
}

ph_status ph_vulkan_loop_start(void *state, const float *arena) {
    struct ph_recorder *recorder = state;
    struct loop *loop = recorder->loop;
    return state_copy(recorder, loop, (float *)arena + loop->parameter, false);
}

static void step_feed(struct ph_recorder *recorder, const struct loop *loop, int64_t step, float *slot, const float *arena) {
    float *block = slot + loop->fed - loop->block_floats, *kernel = block + COEFFICIENTS + 2;
    float *kernels[PH_LOOP_BLURS] = {0};
    struct ph_loop_step told = {0};
    for (int i = 0; i < PH_LOOP_BLURS; i++) {
        if (!has_blur(&loop->told, i)) continue;
        kernels[i] = kernel;
        told.weights[i] = kernel + 1;
        kernel += kernel_floats(loop->told.taps[i]);
    }
    loop->told.feed(loop->told.user, step, &told);
    for (int i = 0; i < recorder->transfer_counts[PH_FED]; i++) {
        const struct ph_transfer *fed = &recorder->transfers[PH_FED][i];
        if (is_parameter(loop, fed)) continue;
        memcpy(slot, arena + fed->place, fed->floats * sizeof *slot);
        slot += fed->floats;
    }
    const int32_t numbers[] = {(int32_t)step, told.looks};
    memcpy(block, &told.update, sizeof told.update);
    memcpy(block + COEFFICIENTS, numbers, sizeof numbers);
    for (int i = 0; i < PH_LOOP_BLURS; i++)
        if (kernels[i]) memcpy(kernels[i], &(int32_t){told.taps[i]}, sizeof(int32_t));
}

ph_status ph_vulkan_loop_submit(void *state, int64_t first, int *steps, bool look, const float *arena) {
    struct ph_recorder *recorder = state;
    struct loop *loop = recorder->loop;
    int index = (int)(loop->submitted % PH_LOOP_SUBMISSIONS);
    struct submission *submission = &loop->submissions[index];
    VkCommandBuffer commands[3 * PH_LOOP_STEPS + 1];
    uint32_t count = 0;
    *steps = PH_MIN(*steps, loop->steps);
    submission->slot = index * loop->steps;
    submission->steps = *steps;
    submission->looks = look;
    for (int s = 0; s < *steps; s++) {
        int slot = submission->slot + s;
        step_feed(recorder, loop, first + s, loop->ring.mapped + (size_t)slot * loop->slot, arena);
        commands[count++] = loop->feed[slot];
        commands[count++] = loop->step;
        commands[count++] = loop->collect[slot];
    }
    if (look) commands[count++] = loop->look[index];
    PH_TRY(ph_submit_start(recorder, commands, count, submission->fence));
    loop->submitted++;
    return PH_OK;
}

ph_status ph_vulkan_loop_collect(void *state, struct ph_loop_report *reports, float *arena) {
    struct ph_recorder *recorder = state;
    struct loop *loop = recorder->loop;
    int index = (int)(loop->collected % PH_LOOP_SUBMISSIONS);
    const struct submission *submission = &loop->submissions[index];
    PH_TRY(ph_submit_wait(recorder, submission->fence));
    loop->collected++;
    for (int s = 0; s < submission->steps; s++)
        memcpy(reports + (size_t)s * loop->items,
               loop->ring.mapped + (size_t)(submission->slot + s) * loop->slot + loop->fed, loop->items * sizeof *reports);
    if (submission->looks)
        memcpy(arena + loop->parameter, loop->ring.mapped + look_place(loop, index), loop->count * sizeof *arena);
    return PH_OK;
}

ph_status ph_vulkan_loop_fetch(void *state, float *arena) {
    struct ph_recorder *recorder = state;
    return state_copy(recorder, recorder->loop, arena + recorder->loop->parameter, true);
}
