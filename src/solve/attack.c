/* Adversarial pictures: a small change by which a network takes a picture for something else. Everything happens in the
 * picture's own values, between black and white, in front of the network's preprocessing; the loss is the cross-entropy of
 * one class. The last word has the picture on 8 bits. */
#include "image/image.h"
#include "solve/solve.h"
#include "vis/vis.h"
#include <math.h>
#include <string.h>

#define STEPS 40           /* of projected gradient */
#define SEARCH_STEPS 200   /* of the search for the smallest change */
#define STEP_SHARE 2.5     /* all steps together reach this many radii (Madry et al. 2018, appendix) */

struct attack {
    ph_context *context;
    const ph_attack_options *options;
    const struct ph_attack_method *method;
    struct ph_graph *graph;
    struct ph_program *program;
    int input, shares, logits, loss; /* graph values: picture, one-hot class, [1,classes,...], [1] */
    int classes, count;              /* elements of the picture */
    int class;                       /* that the loss is about ... */
    double sign;                     /* ... and whether the loss is to rise, 1, or to fall, -1 */
    double radius, step;             /* in picture values */
    int steps;
    float *x, *best, *change;        /* [count] in work; of the smallest change so far; direction of the change */
    float *scores;                   /* [classes] */
    const float *start;              /* the picture as given, on 8 bits */
    double least;                    /* size of the smallest change so far; INFINITY: none yet */
    int64_t evaluations;
};

struct ph_attack_method {
    const char *name, *help;
    double radius; /* by default */
    int steps;
    ph_status (*run)(struct attack *a);
};

/* ---- The network ------------------------------------------------------------------------------------------------- */

static ph_status graph_build(struct attack *a, const ph_model *model, const ph_picture *picture) {
    struct ph_graph *graph;
    int value;
    PH_TRY(ph_graph_create(a->context, &a->graph));
    graph = a->graph;
    PH_TRY(ph_graph_add_input(graph, NULL, PH_FLOAT, PH_SHAPE(1, picture->channels, picture->height, picture->width),
                              &a->input));
    PH_TRY(ph_preprocessing_build(model, graph, a->input, &value));
    PH_TRY(ph_model_build(model, graph, value));
    PH_TRY(ph_model_find_layer(model, graph, model->logits, &a->logits));
    const struct ph_shape shape = graph->values[a->logits].shape;
    struct ph_softmax_attributes softmax = {.axis = 1, .end_axis = shape.rank};
    struct ph_reduce_attributes all = {0};
    a->classes = (int)ph_shape_size(&shape);
    PH_TRY(ph_graph_add_input(graph, NULL, PH_FLOAT, shape, &a->shares));
    PH_TRY(ph_graph_add(graph, &ph_operation_log_softmax, NULL, &softmax, &a->logits, 1, &value));
    PH_TRY(ph_graph_add(graph, &ph_operation_mul, NULL, NULL, (int[]){value, a->shares}, 2, &value));
    PH_TRY(ph_graph_add(graph, &ph_operation_reduce_sum, NULL, &all, &value, 1, &value));
    return ph_graph_add(graph, &ph_operation_neg, NULL, NULL, &value, 1, &a->loss);
}

static ph_status program_make(struct attack *a) {
    int taps[] = {a->logits, a->loss};
    struct ph_program_request request = {
        .taps = taps, .tap_count = 2, .loss = a->loss, .parameters = &a->input, .parameter_count = 1};
    return ph_program_create(a->graph, &request, &a->program);
}

static ph_status forward(struct attack *a, const float *x) {
    float *shares = ph_program_input(a->program, a->shares);
    memcpy(ph_program_input(a->program, a->input), x, (size_t)a->count * sizeof *x);
    for (int i = 0; i < a->classes; i++) shares[i] = i == a->class;
    a->evaluations++;
    return ph_program_forward(a->program);
}

/* Of the loss at a->x, in the direction that helps. */
static ph_status gradient_find(struct attack *a, const float **gradient, double *norm) {
    PH_TRY(forward(a, a->x));
    PH_TRY(ph_program_backward(a->program));
    *gradient = ph_program_gradient(a->program, a->input);
    double squares = 0;
    for (int i = 0; i < a->count; i++) squares += (double)(*gradient)[i] * (double)(*gradient)[i];
    *norm = sqrt(squares);
    if (*norm > 0 && isfinite(*norm)) return PH_OK;
    return ph_fail(a->context, PH_ERROR_NUMERIC, "the gradient of the class is %s: there is no direction to go",
                   *norm > 0 ? "not finite" : "zero");
}

static bool is_wanted(const struct attack *a, int class) { return (class == a->class) == (a->sign < 0); }

/* Whether the last forward pass took the picture for what is wanted. */
static bool fooled(struct attack *a) {
    int top = 0;
    ph_program_read(a->program, a->logits, a->scores);
    for (int i = 1; i < a->classes; i++)
        if (a->scores[i] > a->scores[top]) top = i;
    return is_wanted(a, top);
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

static float between(double low, double value, double high) { return (float)fmin(fmax(value, low), high); }

/* Goodfellow, Shlens and Szegedy 2015, arXiv:1412.6572; with several steps Kurakin et al. 2017 and Madry et al. 2018,
 * arXiv:1706.06083. */
static ph_status step_sign(struct attack *a) {
    const float *gradient;
    double norm;
    PH_TRY(gradient_find(a, &gradient, &norm));
    for (int i = 0; i < a->count; i++) {
        double slope = a->sign * (double)gradient[i], start = (double)a->start[i];
        double moved = (double)a->x[i] + a->step * ((slope > 0) - (slope < 0));
        a->x[i] = between(0, (double)between(start - a->radius, moved, start + a->radius), 1);
    }
    return PH_OK;
}

static double change_norm(const struct attack *a, const float *x) {
    double squares = 0;
    for (int i = 0; i < a->count; i++) squares += pow((double)x[i] - (double)a->start[i], 2);
    return sqrt(squares);
}

/* The same in the ball of norm 2: along the gradient's direction, then back onto the ball. */
static ph_status step_norm(struct attack *a) {
    const float *gradient;
    double norm;
    PH_TRY(gradient_find(a, &gradient, &norm));
    for (int i = 0; i < a->count; i++) a->x[i] += (float)(a->sign * a->step * (double)gradient[i] / norm);
    double size = change_norm(a, a->x), factor = size > a->radius ? a->radius / size : 1;
    for (int i = 0; i < a->count; i++)
        a->x[i] = between(0, (double)a->start[i] + factor * ((double)a->x[i] - (double)a->start[i]), 1);
    return PH_OK;
}

static ph_status signs_run(struct attack *a) {
    for (int i = 0; i < a->steps; i++) PH_TRY(step_sign(a));
    return PH_OK;
}

static ph_status norms_run(struct attack *a) {
    for (int i = 0; i < a->steps; i++) PH_TRY(step_norm(a));
    return PH_OK;
}

static float rounded(double value) { return (float)ph_pixel_to_byte((float)value) / 255; }

/* a->x on 8 bits. That can lead out of a ball of norm 2: then the change shrinks until it does not. */
static void picture_round(const struct attack *a, bool ball, float *pixels) {
    for (double share = 1; share > 0; share -= 0.01) {
        for (int i = 0; i < a->count; i++)
            pixels[i] = rounded(a->start[i] + share * ((double)a->x[i] - (double)a->start[i]));
        if (!ball || change_norm(a, pixels) <= a->radius) break;
    }
}

/* Rony et al. 2019, "Decoupling Direction and Norm", arXiv:1811.09600, algorithm 1 on pictures of 8 bits: the direction follows
 * the gradient, the norm shrinks by a twentieth while the class is as wanted, and grows while it is not. */
static ph_status smallest_run(struct attack *a) {
    const double share = 0.05;
    double norm = a->radius;
    memset(a->change, 0, (size_t)a->count * sizeof *a->change);
    for (int k = 0; k <= a->steps; k++) {
        const float *gradient;
        double length, size = 0, rate = 0.01 + 0.99 * 0.5 * (1 + cos(M_PI * k / a->steps));
        PH_TRY(gradient_find(a, &gradient, &length));
        bool yes = fooled(a);
        double now = change_norm(a, a->x);
        if (yes && now < a->least) {
            a->least = now;
            memcpy(a->best, a->x, (size_t)a->count * sizeof *a->x);
        }
        if (yes && now == 0) break; /* it is taken for that already */
        if (k) norm *= yes ? 1 - share : 1 + share;
        for (int i = 0; i < a->count; i++) {
            a->change[i] += (float)(a->sign * rate * (double)gradient[i] / length);
            size += (double)a->change[i] * (double)a->change[i];
        }
        for (int i = 0; i < a->count; i++)
            a->x[i] = rounded(a->start[i] + norm * (double)a->change[i] / sqrt(size));
    }
    if (isfinite(a->least)) memcpy(a->x, a->best, (size_t)a->count * sizeof *a->x);
    return PH_OK;
}

static const struct ph_attack_method methods[] = {
    {"fgsm", "one step of the gradient's sign, within a largest change (Goodfellow et al. 2015)", 8.0 / 255, 1, signs_run},
    {"pgd-linf", "many such steps, within a largest change of each value (Madry et al. 2018)", 8.0 / 255, STEPS, signs_run},
    {"pgd-l2", "steps along the gradient, within a ball of norm 2 (Madry et al. 2018)", 3, STEPS, norms_run},
    {"smallest", "the change of least norm 2 that works on 8 bits (DDN, Rony et al. 2019)", 1, SEARCH_STEPS, smallest_run},
};

const char *ph_attack_name(int index) { return index < PH_COUNT(methods) ? methods[index].name : NULL; }
const char *ph_attack_help(int index) { return methods[index].help; }

/* ---- The call ---------------------------------------------------------------------------------------------------- */

ph_attack_options ph_attack_defaults(void) { return (ph_attack_options){.method = "pgd-linf", .radius = NAN}; }

static ph_status options_read(struct attack *a) {
    const ph_attack_options *o = a->options;
    struct ph_text names = {0};
    for (int i = 0; i < PH_COUNT(methods); i++) {
        if (!strcmp(methods[i].name, o->method ? o->method : "")) a->method = &methods[i];
        ph_text_append(&names, "%s%s", !i ? "" : i + 1 < PH_COUNT(methods) ? ", " : " or ", methods[i].name);
    }
    ph_status status = PH_OK;
    if (!a->method)
        status = ph_fail(a->context, PH_ERROR_NOT_FOUND, "attack '%s': %s", o->method ? o->method : "",
                         names.data ? names.data : "");
    ph_text_finish(&names);
    PH_TRY(status);
    a->radius = isnan(o->radius) ? a->method->radius : o->radius;
    a->steps = o->steps ? o->steps : a->method->steps;
    if (!(a->radius > 0) || isinf(a->radius))
        return ph_fail(a->context, PH_ERROR_ARGUMENT, "radius %g: above 0 is expected, white being 1", o->radius);
    if (a->steps < 1) return ph_fail(a->context, PH_ERROR_ARGUMENT, "steps: at least 1");
    if (a->method == &methods[0] && a->steps != 1)
        return ph_fail(a->context, PH_ERROR_ARGUMENT, "fgsm has one step; pgd-linf has several");
    a->step = a->steps == 1 ? a->radius : STEP_SHARE * a->radius / a->steps;
    return PH_OK;
}

/* At the network's size, on 8 bits. */
static ph_status picture_fit(const ph_model *model, const ph_picture *picture, const char *fit, ph_picture **fitted) {
    ph_picture *converted = NULL;
    const struct ph_shape *input = &model->default_input;
    if (input->rank != 4 || input->dims[1] != model->preprocessing.channels)
        return ph_fail(model->context, PH_ERROR_UNSUPPORTED, "the network's input is not a picture of %d channels",
                       model->preprocessing.channels);
    ph_status status = ph_picture_convert(picture, model->preprocessing.channels, &converted);
    if (!status)
        status = ph_picture_fit(converted, fit ? fit : "crop", (int)input->dims[2], (int)input->dims[3], fitted);
    if (!status) ph_picture_quantise(*fitted);
    ph_picture_destroy(&converted);
    return status;
}

static struct ph_change change_measure(const struct attack *a, const float *x) {
    struct ph_change change = {0};
    double squares = 0;
    for (int i = 0; i < a->count; i++) {
        double off = fabs((double)x[i] - (double)a->start[i]);
        squares += off * off;
        change.largest = fmax(change.largest, off);
        change.changed += off > 0;
    }
    change.norm = sqrt(squares);
    return change;
}

static ph_status attack_run(struct attack *a, ph_model *model, ph_attack *result) {
    int index = 0;
    a->start = result->original->pixels;
    a->count = (int)((size_t)result->original->channels * (size_t)result->original->height *
                     (size_t)result->original->width);
    size_t bytes = (size_t)a->count * sizeof(float);
    a->x = ph_pool_alloc(&a->graph->pool, bytes);
    a->best = ph_pool_alloc(&a->graph->pool, bytes);
    a->change = ph_pool_alloc(&a->graph->pool, bytes);
    a->scores = ph_pool_alloc(&a->graph->pool, (size_t)a->classes * sizeof *a->scores);
    if (!a->x || !a->best || !a->change || !a->scores) return ph_fail_memory(a->context);
    memcpy(a->x, a->start, bytes);
    PH_TRY(ph_classify(model, result->original, "none", result->before, PH_ATTACK_SCORES,
                       &result->score_count));
    if (a->options->toward) PH_TRY(ph_model_find_class(model, a->options->toward, &index));
    if (index >= a->classes)
        return ph_fail(a->context, PH_ERROR_NOT_FOUND, "the network has classes 0 to %d", a->classes - 1);
    result->class_index = a->class = a->options->toward ? index : result->before[0].index;
    a->sign = a->options->toward ? -1 : 1;
    PH_TRY(a->method->run(a));
    result->unrounded = change_measure(a, a->x);
    memcpy(result->exact->data, a->x, bytes);
    picture_round(a, a->method->run == norms_run, result->picture->pixels);
    result->rounded = change_measure(a, result->picture->pixels);
    PH_TRY(ph_classify(model, result->picture, "none", result->after, PH_ATTACK_SCORES,
                       &result->score_count));
    result->succeeded = is_wanted(a, result->after[0].index);
    result->method = a->method->name;
    result->radius = a->radius;
    result->steps = a->steps;
    result->evaluations = a->evaluations;
    return PH_OK;
}

ph_status ph_attack_create(ph_model *model, const ph_picture *picture, const ph_attack_options *options,
                           ph_attack **attack) {
    if (!model) return PH_ERROR_ARGUMENT;
    if (!picture || !attack)
        return ph_fail(model->context, PH_ERROR_ARGUMENT, "ph_attack_create: no picture, or no place for the result");
    ph_attack_options defaults = ph_attack_defaults();
    struct attack a = {.context = model->context, .options = options ? options : &defaults, .least = INFINITY};
    ph_attack *result = *attack = ph_alloc(sizeof *result);
    ph_status status = result ? options_read(&a) : ph_fail_memory(model->context);
    if (!status && !model->logits)
        status = ph_fail(model->context, PH_ERROR_UNSUPPORTED, "the network has no known layer of classes");
    if (!status) status = picture_fit(model, picture, a.options->fit, &result->original);
    const ph_picture *seen = status ? NULL : result->original;
    if (!status) status = ph_picture_create(a.context, seen->channels, seen->height, seen->width, &result->picture);
    if (!status)
        status = ph_tensor_create(a.context, 3, (int64_t[]){seen->channels, seen->height, seen->width}, &result->exact);
    if (!status) status = graph_build(&a, model, seen);
    if (!status) status = program_make(&a);
    if (!status) status = attack_run(&a, model, result);
    ph_program_destroy(&a.program);
    ph_graph_destroy(&a.graph);
    if (status) ph_attack_destroy(attack);
    return status;
}

void ph_attack_destroy(ph_attack **attack) {
    if (!attack || !*attack) return;
    ph_picture_destroy(&(*attack)->original);
    ph_picture_destroy(&(*attack)->picture);
    ph_tensor_destroy(&(*attack)->exact);
    ph_free(*attack);
    *attack = NULL;
}
