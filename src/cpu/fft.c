/* The inverse real Fourier transform and its adjoint by FFTW: first all columns of the spectrum, then all rows of the picture,
 * and the other way about. A task is a block of columns or rows of one channel, so that threads share a single picture evenly.
 *
 * Plans are made with FFTW_ESTIMATE, which does not depend on timing, so that results are the same on every run. Those of a
 * profile were made with FFTW_MEASURE and are kept as FFTW's wisdom; what FFTW has learnt is forgotten each time, since it would
 * go into the plans that are made without measuring, too. FFTW's planner is not thread-safe; executing a plan on other arrays
 * is, if they are aligned as those it planned for. So all transforms go from one half of the scratch to the other, whose rows
 * begin at multiples of 64 bytes. */
#include "cpu/fft.h"
#include "graph/operations.h"
#include <fftw3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 8, ROWS = 4, GROUP = 16 }; /* columns of a transform; rows of a transform, and of a task */

static pthread_mutex_t planner = PTHREAD_MUTEX_INITIALIZER;

struct transform {
    fftwf_plan block, rows, row;
    int64_t height, width, columns;         /* columns of the half spectrum */
    int64_t pitch;                          /* complex numbers from row to row of a half */
};

static struct transform geometry(const struct ph_shape *spectrum, const struct ph_shape *picture) {
    return (struct transform){.height = picture->dims[2], .width = picture->dims[3], .columns = spectrum->dims[3],
        .pitch = (spectrum->dims[3] + BLOCK - 1) / BLOCK * BLOCK};
}

static struct transform of_query(const struct ph_kernel_query *query) {
    const struct ph_value *values = query->graph->values;
    return geometry(&values[query->node->inputs[0]].shape, &values[query->node->outputs[0]].shape);
}

static bool accepts(const struct ph_kernel_query *query) {
    struct transform t = of_query(query);
    return t.height > 0 && t.width > 0 && t.height <= 1 << 15 && t.width <= 1 << 15;
}

static size_t packed_bytes(const struct ph_kernel_query *query) {
    (void)query;
    return sizeof(struct transform);
}

/* Floats of one half of a channel's scratch. */
static int64_t half_floats(const struct transform *t) { return 2 * t->height * t->pitch; }

static size_t scratch(const struct ph_kernel_query *query) {
    struct transform t = of_query(query);
    const int64_t *dims = query->graph->values[query->node->outputs[0]].shape.dims;
    return (size_t)(dims[0] * dims[1] * 2 * half_floats(&t));
}

static fftwf_plan plan_rows(const struct transform *t, bool backward, int count, unsigned flags, fftwf_complex *const halves[2]) {
    int n = (int)t->width, pitch = (int)t->pitch;
    return backward ? fftwf_plan_many_dft_r2c(1, &n, count, *halves[0], NULL, 1, 2 * pitch, halves[1], NULL, 1, pitch, flags)
                    : fftwf_plan_many_dft_c2r(1, &n, count, halves[0], NULL, 1, pitch, *halves[1], NULL, 1, 2 * pitch, flags);
}

/* Whether there is a plan for everything. The planner is the caller's. */
static bool plans_make(struct transform *t, bool backward, unsigned flags, fftwf_complex *const halves[2]) {
    int n = (int)t->height, pitch = (int)t->pitch;
    t->rows = plan_rows(t, backward, ROWS, flags, halves);
    t->row = plan_rows(t, backward, 1, flags, halves);
    t->block = fftwf_plan_many_dft(1, &n, BLOCK, halves[0], NULL, pitch, 1, halves[1], NULL, pitch, 1,
                                   backward ? FFTW_FORWARD : FFTW_BACKWARD, flags);
    return t->rows && t->row && t->block;
}

static void plans_destroy(struct transform *t) {
    if (t->rows) fftwf_destroy_plan(t->rows);
    if (t->row) fftwf_destroy_plan(t->row);
    if (t->block) fftwf_destroy_plan(t->block);
}

/* By a profile's wisdom where the query has some. Neither that nor FFTW_ESTIMATE touches the arrays: any aligned addresses do. */
static bool plans_get(const struct ph_kernel_query *query, struct transform *t) {
    static _Alignas(64) fftwf_complex planned[2][8];
    fftwf_complex *const halves[2] = {planned[0], planned[1]};
    unsigned flags = query->details ? FFTW_MEASURE | FFTW_WISDOM_ONLY : FFTW_ESTIMATE;
    pthread_mutex_lock(&planner);
    if (query->details) fftwf_import_wisdom_from_string(query->details);
    bool made = plans_make(t, query->backward, flags, halves);
    if (query->details) fftwf_forget_wisdom();
    pthread_mutex_unlock(&planner);
    return made;
}

static void pack(const struct ph_kernel_query *query, void *packed) {
    struct transform t = of_query(query);
    plans_get(query, &t);
    memcpy(packed, &t, sizeof t);
}

static void unpack(void *packed) {
    pthread_mutex_lock(&planner);
    plans_destroy(packed);
    pthread_mutex_unlock(&planner);
}

/* ---- Measured plans ---------------------------------------------------------------------------------------------- */

/* Wisdom is of one FFTW on one kind of processor, and a profile's may be damaged. */
static bool measured_accepts(const struct ph_kernel_query *query) {
    struct transform t = of_query(query);
    if (!accepts(query)) return false;
    bool made = !query->details || plans_get(query, &t);
    if (query->details) unpack(&t);
    return made;
}

/* FFTW's wisdom of all plans, in one line. */
static char *wisdom_of(const struct ph_kernel_query *query, fftwf_complex *const halves[2]) {
    struct transform t = of_query(query);
    pthread_mutex_lock(&planner);
    fftwf_forget_wisdom();
    char *lines = plans_make(&t, query->backward, FFTW_MEASURE, halves) ? fftwf_export_wisdom_to_string() : NULL;
    plans_destroy(&t);
    fftwf_forget_wisdom();
    pthread_mutex_unlock(&planner);
    char *wisdom = lines ? ph_strdup(lines) : NULL;
    free(lines);
    size_t length = 0; /* every white space becomes one blank */
    for (const char *at = wisdom; at && *at; at++)
        if (*at > ' ') wisdom[length++] = *at;
        else if (length && wisdom[length - 1] != ' ') wisdom[length++] = ' ';
    if (wisdom) wisdom[length - (length && wisdom[length - 1] == ' ')] = 0;
    return wisdom;
}

/* FFTW writes into the arrays while it measures. */
static char *measure(const struct ph_kernel_query *query) {
    struct transform t = of_query(query);
    size_t bytes = (size_t)(PH_MAX(t.height, (int64_t)ROWS) * t.pitch) * sizeof(fftwf_complex);
    fftwf_complex *halves[2] = {ph_alloc_aligned(bytes), ph_alloc_aligned(bytes)};
    char *wisdom = NULL;
    if (halves[0] && halves[1]) {
        memset(halves[0], 0, bytes);
        memset(halves[1], 0, bytes);
        wisdom = wisdom_of(query, halves);
    }
    ph_free_aligned(halves[0]);
    ph_free_aligned(halves[1]);
    return wisdom;
}

/* ---- Tasks ------------------------------------------------------------------------------------------------------- */

/* Of a task: its channel, what it begins with in that channel, and the halves of the channel's scratch. */
struct part {
    const struct transform *t;
    int64_t plane, first, count;
    float *from, *to;
};

static struct part part_of(const struct ph_kernel_call *call, int64_t index, int64_t extent, int64_t size, bool second) {
    const struct transform *t = call->packed;
    int64_t parts = (extent + size - 1) / size, first = index % parts * size;
    float *halves[2];
    for (int i = 0; i < 2; i++) halves[i] = call->scratch + (index / parts * 2 + i) * half_floats(t);
    return (struct part){t, index / parts, first, PH_MIN(size, extent - first), halves[second], halves[!second]};
}

static void block_run(const struct part *part) {
    fftwf_execute_dft(part->t->block, (fftwf_complex *)part->from + part->first, (fftwf_complex *)part->to + part->first);
}

static void rows_run(const struct part *part, bool backward) {
    const struct transform *t = part->t;
    for (int64_t y = part->first, count; y < part->first + part->count; y += count) {
        count = part->first + part->count - y < ROWS ? 1 : ROWS;
        fftwf_plan plan = count == 1 ? t->row : t->rows;
        float *from = part->from + 2 * y * t->pitch, *to = part->to + 2 * y * t->pitch;
        if (backward) fftwf_execute_dft_r2c(plan, from, (fftwf_complex *)to);
        else fftwf_execute_dft_c2r(plan, (fftwf_complex *)from, to);
    }
}

/* The spare columns of the last block hold zeros. */
static void forward_block(void *argument, int64_t index) {
    const struct ph_kernel_call *call = argument;
    struct part part = part_of(call, index, ((const struct transform *)call->packed)->columns, BLOCK, false);
    const struct transform *t = part.t;
    const float *in = call->inputs[0].data + 2 * (part.plane * t->height * t->columns + part.first);
    float factor = 1 / (float)(t->height * t->width);
    for (int64_t y = 0; y < t->height; y++) {
        float *row = part.from + 2 * (y * t->pitch + part.first);
        for (int64_t i = 0; i < 2 * part.count; i++) row[i] = factor * in[2 * y * t->columns + i];
        for (int64_t i = 2 * part.count; i < 2 * BLOCK; i++) row[i] = 0;
    }
    block_run(&part);
}

static void forward_rows(void *argument, int64_t index) {
    const struct ph_kernel_call *call = argument;
    struct part part = part_of(call, index, ((const struct transform *)call->packed)->height, GROUP, true);
    const struct transform *t = part.t;
    rows_run(&part, false);
    for (int64_t y = part.first; y < part.first + part.count; y++)
        memcpy(call->outputs[0].data + (part.plane * t->height + y) * t->width, part.to + 2 * y * t->pitch,
               (size_t)t->width * sizeof(float));
}

static void backward_rows(void *argument, int64_t index) {
    const struct ph_kernel_call *call = argument;
    struct part part = part_of(call, index, ((const struct transform *)call->packed)->height, GROUP, false);
    const struct transform *t = part.t;
    for (int64_t y = part.first; y < part.first + part.count; y++)
        memcpy(part.from + 2 * y * t->pitch, call->output_gradients[0].data + (part.plane * t->height + y) * t->width,
               (size_t)t->width * sizeof(float));
    rows_run(&part, true);
    for (int64_t y = part.first; y < part.first + part.count; y++)
        for (int64_t i = 2 * t->columns; i < 2 * t->pitch; i++) part.to[2 * y * t->pitch + i] = 0;
}

/* The adjoint: the real transform of the gradient over H W; columns that stand for their mirror image too count twice,
 * and the zero and last even column's imaginary parts have no say beyond what the forward lets them have. */
static void backward_block(void *argument, int64_t index) {
    const struct ph_kernel_call *call = argument;
    struct part part = part_of(call, index, ((const struct transform *)call->packed)->columns, BLOCK, true);
    const struct transform *t = part.t;
    float *out = call->input_gradients[0].data + 2 * (part.plane * t->height * t->columns + part.first), factors[2 * BLOCK];
    int64_t count = 2 * part.count;
    bool accumulate = call->accumulate[0];
    for (int64_t i = 0; i < count; i++) {
        int64_t column = part.first + i / 2;
        bool single = column == 0 || (t->width % 2 == 0 && column == t->columns - 1);
        factors[i] = (single ? 1 : 2) / (float)(t->height * t->width);
    }
    block_run(&part);
    for (int64_t y = 0; y < t->height; y++, out += 2 * t->columns) {
        const float *row = part.to + 2 * (y * t->pitch + part.first);
        for (int64_t i = 0; i < count; i++) out[i] = factors[i] * row[i] + (accumulate ? out[i] : 0);
    }
}

static void run(const struct ph_kernel_call *call) {
    const struct transform *t = call->packed;
    const int64_t *dims = call->plain.output_shapes[0].dims; /* of an item alone where it is taken alone */
    int64_t planes = dims[0] * dims[1], blocks = planes * (t->pitch / BLOCK);
    int64_t groups = planes * ((t->height + GROUP - 1) / GROUP);
    if (call->output_gradients[0].data) {
        ph_parallel_for(call->context, groups, backward_rows, (void *)call);
        ph_parallel_for(call->context, blocks, backward_block, (void *)call);
    } else {
        ph_parallel_for(call->context, blocks, forward_block, (void *)call);
        ph_parallel_for(call->context, groups, forward_rows, (void *)call);
    }
}

#define BY_FFTW .operation = &ph_operation_irfft2, .by_item = true, .packed_bytes = packed_bytes, .pack = pack, .unpack = unpack, \
    .scratch = scratch, .run = run

const struct ph_kernel ph_fft_forward = {.name = "fftw", .accepts = accepts, BY_FFTW};
const struct ph_kernel ph_fft_backward = {.name = "fftw", .backward = true, .accepts = accepts, BY_FFTW};

/* Behind the others: for profiles alone. */
const struct ph_kernel ph_fft_measured_forward = {.name = "fftw-measured", .accepts = measured_accepts, .tune = measure, BY_FFTW};
const struct ph_kernel ph_fft_measured_backward = {.name = "fftw-measured", .backward = true, .accepts = measured_accepts,
    .tune = measure, BY_FFTW};
