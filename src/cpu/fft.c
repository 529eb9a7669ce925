/* The inverse real Fourier transform and its adjoint by FFTW, one picture channel to a thread.
 *
 * Plans are made with FFTW_ESTIMATE, which does not depend on timing, so that results are the same on every run. FFTW's
 * planner is not thread-safe; executing a plan on other arrays is. */
#include "cpu/fft.h"
#include "graph/operations.h"
#include <fftw3.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t planner = PTHREAD_MUTEX_INITIALIZER;

struct transform {
    fftwf_plan plan;
    int64_t height, width, columns, planes; /* columns of the half spectrum */
};

static struct transform geometry(const struct ph_shape *spectrum, const struct ph_shape *picture) {
    return (struct transform){.height = picture->dims[2], .width = picture->dims[3], .columns = spectrum->dims[3],
        .planes = picture->dims[0] * picture->dims[1]};
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

/* Floats of one channel's spectrum, rounded up to keep every channel's scratch aligned alike: FFTW requires of other
 * arrays the alignment it planned for. */
static size_t spectrum_floats(const struct transform *t) { return ((size_t)(2 * t->height * t->columns) + 15) & ~(size_t)15; }
static size_t picture_floats(const struct transform *t) { return ((size_t)(t->height * t->width) + 15) & ~(size_t)15; }

static size_t scratch(const struct ph_kernel_query *query) {
    struct transform t = of_query(query);
    return (size_t)t.planes * (spectrum_floats(&t) + picture_floats(&t));
}

static void pack(const struct ph_kernel_query *query, void *packed) {
    struct transform t = of_query(query);
    /* FFTW_ESTIMATE does not touch the arrays: any aligned addresses do. */
    static _Alignas(64) float dummy_real[16];
    static _Alignas(64) fftwf_complex dummy_complex[8];
    pthread_mutex_lock(&planner);
    t.plan = query->backward
        ? fftwf_plan_dft_r2c_2d((int)t.height, (int)t.width, dummy_real, dummy_complex, FFTW_ESTIMATE | FFTW_DESTROY_INPUT)
        : fftwf_plan_dft_c2r_2d((int)t.height, (int)t.width, dummy_complex, dummy_real, FFTW_ESTIMATE | FFTW_DESTROY_INPUT);
    pthread_mutex_unlock(&planner);
    memcpy(packed, &t, sizeof t);
}

static void unpack(void *packed) {
    struct transform *t = packed;
    pthread_mutex_lock(&planner);
    fftwf_destroy_plan(t->plan);
    pthread_mutex_unlock(&planner);
}

/* The complex-to-real transform destroys its input and carries no factor: both are put right around it. */
static void forward_plane(void *argument, int64_t index) {
    const struct ph_kernel_call *call = argument;
    const struct transform *t = call->packed;
    float *spectrum = call->scratch + (size_t)index * (spectrum_floats(t) + picture_floats(t));
    float *picture = spectrum + spectrum_floats(t), *out = call->outputs[0].data + index * t->height * t->width;
    memcpy(spectrum, call->inputs[0].data + index * 2 * t->height * t->columns, (size_t)(2 * t->height * t->columns) * sizeof *spectrum);
    fftwf_execute_dft_c2r(t->plan, (fftwf_complex *)spectrum, picture);
    float factor = 1 / (float)(t->height * t->width);
    for (int64_t i = 0; i < t->height * t->width; i++) out[i] = picture[i] * factor;
}

/* The adjoint: the real transform of the gradient over H W; columns that stand for their mirror image too count twice,
 * and the zero and last even column's imaginary parts have no say beyond what the forward lets them have. */
static void backward_plane(void *argument, int64_t index) {
    const struct ph_kernel_call *call = argument;
    const struct transform *t = call->packed;
    float *spectrum = call->scratch + (size_t)index * (spectrum_floats(t) + picture_floats(t));
    float *picture = spectrum + spectrum_floats(t), *out = call->input_gradients[0].data + index * 2 * t->height * t->columns;
    memcpy(picture, call->output_gradients[0].data + index * t->height * t->width, (size_t)(t->height * t->width) * sizeof *picture);
    fftwf_execute_dft_r2c(t->plan, picture, (fftwf_complex *)spectrum);
    float factor = 1 / (float)(t->height * t->width);
    for (int64_t y = 0; y < t->height; y++)
        for (int64_t x = 0; x < t->columns; x++) {
            bool single = x == 0 || (t->width % 2 == 0 && x == t->columns - 1);
            for (int part = 0; part < 2; part++) {
                int64_t at = 2 * (y * t->columns + x) + part;
                float share = spectrum[at] * (single ? factor : 2 * factor);
                out[at] = call->accumulate[0] ? out[at] + share : share;
            }
        }
}

static void run(const struct ph_kernel_call *call) {
    const struct transform *t = call->packed;
    ph_parallel_for(call->context, t->planes, call->output_gradients[0].data ? backward_plane : forward_plane, (void *)call);
}

const struct ph_kernel ph_fft_forward = {.name = "fftw", .operation = &ph_operation_irfft2, .accepts = accepts,
    .packed_bytes = packed_bytes, .pack = pack, .unpack = unpack, .scratch = scratch, .run = run};
const struct ph_kernel ph_fft_backward = {.name = "fftw", .operation = &ph_operation_irfft2, .backward = true,
    .accepts = accepts, .packed_bytes = packed_bytes, .pack = pack, .unpack = unpack, .scratch = scratch, .run = run};
