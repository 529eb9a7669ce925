/* THE table of options, from which the command line, its help, the recipe inside a PNG and ph_recipe_set are made.
 *
 * An option is a row: its name, its default as text, what it is for, how its text is read (a kind) and where its value
 * lies in struct ph_recipe. */
#include "vis/option.h"
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- Kinds ------------------------------------------------------------------------------------------------------- */

static bool within(const struct ph_option *option, double value) { return value >= option->low && value <= option->high; }

static void describe_range(const struct ph_option *option, const char *what, struct ph_text *text) {
    ph_text_append(text, "%s from ", what);
    ph_text_append_number(text, option->low);
    ph_text_append(text, " to ");
    ph_text_append_number(text, option->high);
}

static bool whole_read(const struct ph_option *option, const char *text, void *value) {
    int64_t number;
    if (!ph_parse_int(text, &number) || !within(option, (double)number)) return false;
    *(int64_t *)value = number;
    return true;
}

static void whole_print(const struct ph_option *option, const void *value, struct ph_text *text) {
    (void)option;
    ph_text_append(text, "%lld", (long long)*(const int64_t *)value);
}

static void whole_describe(const struct ph_option *option, struct ph_text *text) {
    ph_text_append(text, "a whole number from %.0f to %.0f", option->low, option->high);
}

static bool number_read(const struct ph_option *option, const char *text, void *value) {
    double number;
    if (!ph_parse_double(text, &number) || !within(option, number)) return false;
    *(double *)value = number;
    return true;
}

static void number_print(const struct ph_option *option, const void *value, struct ph_text *text) {
    (void)option;
    ph_text_append_number(text, *(const double *)value);
}

static void number_describe(const struct ph_option *option, struct ph_text *text) {
    describe_range(option, "a number", text);
}

static bool optional_read(const struct ph_option *option, const char *text, void *value) {
    if (strcmp(text, "none")) return number_read(option, text, value);
    *(double *)value = NAN;
    return true;
}

static void optional_print(const struct ph_option *option, const void *value, struct ph_text *text) {
    if (isnan(*(const double *)value)) ph_text_append(text, "none");
    else number_print(option, value, text);
}

static void optional_describe(const struct ph_option *option, struct ph_text *text) {
    describe_range(option, "none, or a number", text);
}

static bool switch_read(const struct ph_option *option, const char *text, void *value) {
    (void)option;
    bool on = !strcmp(text, "true");
    if (!on && strcmp(text, "false")) return false;
    *(bool *)value = on;
    return true;
}

static void switch_print(const struct ph_option *option, const void *value, struct ph_text *text) {
    (void)option;
    ph_text_append(text, *(const bool *)value ? "true" : "false");
}

static void switch_describe(const struct ph_option *option, struct ph_text *text) {
    (void)option;
    ph_text_append(text, "true or false");
}

static bool choice_read(const struct ph_option *option, const char *text, void *value) {
    for (int i = 0; option->choice(i); i++)
        if (!strcmp(option->choice(i), text)) {
            *(int64_t *)value = i;
            return true;
        }
    return false;
}

static void choice_print(const struct ph_option *option, const void *value, struct ph_text *text) {
    ph_text_append(text, "%s", option->choice((int)*(const int64_t *)value));
}

static void choice_describe(const struct ph_option *option, struct ph_text *text) {
    for (int i = 0; option->choice(i); i++)
        ph_text_append(text, "%s%s", !i ? "" : option->choice(i + 1) ? ", " : " or ", option->choice(i));
}

static bool size_read(const struct ph_option *option, const char *text, void *value) {
    struct ph_size size = {0};
    char copy[64];
    if (strlen(text) >= sizeof copy) return false;
    if (strcmp(text, "auto")) {
        strcpy(copy, text);
        char *by = strchr(copy, 'x');
        if (by) *by = 0;
        if (!ph_parse_int(copy, &size.width) || !ph_parse_int(by ? by + 1 : copy, &size.height)) return false;
        if (!within(option, (double)size.width) || !within(option, (double)size.height)) return false;
    }
    *(struct ph_size *)value = size;
    return true;
}

static void size_print(const struct ph_option *option, const void *value, struct ph_text *text) {
    const struct ph_size *size = value;
    (void)option;
    if (!size->width) ph_text_append(text, "auto");
    else if (size->width == size->height) ph_text_append(text, "%lld", (long long)size->width);
    else ph_text_append(text, "%lldx%lld", (long long)size->width, (long long)size->height);
}

static void size_describe(const struct ph_option *option, struct ph_text *text) {
    describe_range(option, "auto, one side N or WIDTHxHEIGHT, each", text);
}

static bool numbers_read(const struct ph_option *option, const char *text, void *value) {
    struct ph_numbers numbers = {0};
    for (const char *at = text; *at;) {
        const char *comma = strchr(at, ',');
        size_t length = comma ? (size_t)(comma - at) : strlen(at);
        char copy[64];
        double number;
        if (length >= sizeof copy || numbers.count == PH_MAX_NUMBERS) return false;
        memcpy(copy, at, length);
        copy[length] = 0;
        if (!ph_parse_double(copy, &number) || !within(option, number)) return false;
        numbers.values[numbers.count++] = number;
        numbers.list |= comma != NULL;
        at += length + (comma != NULL);
    }
    if (!numbers.count) return false;
    *(struct ph_numbers *)value = numbers;
    return true;
}

static void numbers_print(const struct ph_option *option, const void *value, struct ph_text *text) {
    const struct ph_numbers *numbers = value;
    (void)option;
    for (int i = 0; i < numbers->count; i++) {
        if (i) ph_text_append(text, ",");
        ph_text_append_number(text, numbers->values[i]);
    }
    if (numbers->list && numbers->count == 1) ph_text_append(text, ",");
}

static void numbers_describe(const struct ph_option *option, struct ph_text *text) {
    ph_text_append(text, "one number, or a list of up to %d with commas (a list of one ends with a comma), each",
                   PH_MAX_NUMBERS);
    describe_range(option, "", text);
}

/* Steps are whole numbers. */
static bool steps_read(const struct ph_option *option, const char *text, void *value) {
    struct ph_numbers numbers;
    if (!numbers_read(option, text, &numbers)) return false;
    for (int i = 0; i < numbers.count; i++)
        if (numbers.values[i] != floor(numbers.values[i]) || (numbers.list && numbers.values[i] < 1)) return false;
    *(struct ph_numbers *)value = numbers;
    return true;
}

static void steps_describe(const struct ph_option *option, struct ph_text *text) {
    numbers_describe(option, text);
    ph_text_append(text, " and whole");
}

static bool schedule_read(const struct ph_option *option, const char *text, void *value) {
    (void)option;
    return ph_schedule_read(text, value);
}

static void schedule_print(const struct ph_option *option, const void *value, struct ph_text *text) {
    (void)option;
    ph_schedule_print(value, text);
}

static void schedule_describe(const struct ph_option *option, struct ph_text *text) {
    (void)option;
    ph_text_append(text, "constant, linear, cosine, or up to %d pairs SHARE:FACTOR with commas, shares rising in (0,1)",
                   PH_SCHEDULE_ENTRIES);
}

/* Names of files; the value points into the text itself. */
static bool path_read(const struct ph_option *option, const char *text, void *value) {
    (void)option;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < ' ') return false;
    *(const char **)value = strcmp(text, "none") ? text : NULL;
    return *text;
}

static void path_print(const struct ph_option *option, const void *value, struct ph_text *text) {
    const char *path = *(const char *const *)value;
    (void)option;
    ph_text_append(text, "%s", path ? path : "none");
}

static void path_describe(const struct ph_option *option, struct ph_text *text) {
    (void)option;
    ph_text_append(text, "none, or the name of a picture's file");
}

#define KIND(name, printer) static const struct ph_option_kind name##_kind = {name##_read, printer##_print, name##_describe}
KIND(whole, whole);
KIND(number, number);
KIND(optional, optional);
KIND(switch, switch);
KIND(choice, choice);
KIND(size, size);
KIND(numbers, numbers);
KIND(steps, numbers);
KIND(schedule, schedule);
KIND(path, path);

/* ---- Choices ----------------------------------------------------------------------------------------------------- */

static const char *parameterisation_choice(int index) {
    return ph_parameterisations[index] ? ph_parameterisations[index]->name : NULL;
}

static const char *optimiser_choice(int index) { return ph_optimisers[index] ? ph_optimisers[index]->name : NULL; }

static const char *normalise_choice(int index) { /* in the order of enum ph_normalisation */
    static const char *const names[] = {"none", "mean", "rms", "l2", "progress", "share", NULL};
    return names[index];
}

static const char *squash_choice(int index) { /* in the order of enum ph_squash */
    static const char *const names[] = {"sigmoid", "clip", NULL};
    return names[index];
}

static const char *backward_choice(int index) {
    static const char *const names[] = {"plain", "guided", "deconvolution", NULL};
    return names[index];
}

static const char *pooling_choice(int index) { /* in the order of enum ph_pooling */
    static const char *const names[] = {"maximum", "average", "softened", NULL};
    return names[index];
}

static const char *transforms_choice(int index) { /* in the order of enum ph_transforms */
    static const char *const names[] = {"standard", "none", "crops", NULL};
    return names[index];
}

static const char *border_choice(int index) { /* in the order of enum ph_warp_border */
    static const char *const names[] = {"grey", "reflect", "wrap", "random", NULL};
    return names[index];
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

#define FIELD(member) offsetof(struct ph_recipe, member)

const struct ph_option ph_options[] = {
    {{"preset", "NAME", "lucid", "method",
      "set all options of the method, those below 'picture', at once; others given override it"},
     PH_RUN, &choice_kind, FIELD(preset), .choice = ph_preset_name},

    {{"size", "WxH", "auto", "picture", "pixels of the picture, one number for a square; auto: the network's own size"},
     PH_PICTURE, &size_kind, FIELD(size), 8, 16384},
    {{"input-size", "WxH", "auto", "picture",
      "pixels the network sees; auto: the picture's where network and layer allow it, else the network's own"},
     PH_PICTURE, &size_kind, FIELD(input_size), 1, 16384},
    {{"seed", "N", "0", "picture", "start value of the random numbers: the same seed gives the same bytes"},
     PH_PICTURE, &whole_kind, FIELD(seed), 0, 9007199254740992.0},
    {{"target", "VALUE", "none", "picture", "drive the objective to this value instead of as high as it goes"},
     PH_PICTURE, &optional_kind, FIELD(target), -1e30, 1e30},
    {{"init", "FILE", "none", "picture", "a picture to start from, scaled to cover this one's size"},
     PH_PICTURE, &path_kind, FIELD(init)},
    {{"mask", "FILE", "none", "picture",
      "a picture that is white where this one may change and black where it stays as 'init' has it, or grey"},
     PH_PICTURE, &path_kind, FIELD(mask)},
    {{"alpha", NULL, "false", "picture",
      "opacity too is optimised, before random grounds; use with an objective that rewards little of it"},
     PH_PICTURE, &switch_kind, FIELD(alpha)},
    {{"grey", NULL, "false", "picture", "the same plane for all channels"}, PH_PICTURE, &switch_kind, FIELD(grey)},
    {{"pictures", "N", "1", "picture",
      "pictures of each objective, optimised together from different starts: for diversity, align, interpolate, item"},
     PH_PICTURE, &whole_kind, FIELD(pictures), 1, PH_MAX_BATCH},
    {{"item", "N", "0", "picture", "with 'pictures': give this one of them alone, from 1; 0: all"},
     PH_PICTURE, &whole_kind, FIELD(item), 0, PH_MAX_BATCH},
    {{"auto-weight", "N", "0", "picture",
      "after N steps, give each regulariser the weight at which its gradient is its written weight's share of the "
      "objective's; 0: weights are as written"},
     PH_PICTURE, &whole_kind, FIELD(auto_weight), 0, 10000000},
    {{"print-size", "WxH", "auto", "picture", "cppn: pixels of the finished picture; auto: as optimised"},
     PH_PICTURE, &size_kind, FIELD(print_size), 8, 16384},
    {{"until", "N", "0", "picture", "make only the first N of the steps that schedules are meant for; 0: all"},
     PH_PICTURE, &whole_kind, FIELD(until), 0, 10000000},
    {{"snapshots", "N|A,B,...", "0", "picture", "also give the picture N times on the way, or after these steps"},
     PH_RUN, &steps_kind, FIELD(snapshots), 0, 10000000},
    {{"batch", "N", "0", "picture", "pictures optimised at once, 1 to 64; 0: as memory allows, up to 8"},
     PH_RUN, &whole_kind, FIELD(batch), 0, PH_MAX_BATCH},

    {{"parameterisation", "NAME", "fourier", "parameterisation", "what is optimised in place of pixels"},
     PH_METHOD, &choice_kind, FIELD(parameterisation), .choice = parameterisation_choice},
    {{"decay", "POWER", "1", "parameterisation",
      "fourier: how fast the share of a frequency falls with it; higher is smoother, 0 is white"},
     PH_METHOD, &number_kind, FIELD(decay), 0, 4},
    {{"band-limit", "FREQUENCY", "none", "parameterisation",
      "fourier: nothing finer than this, in cycles per pixel (0.5: one bright, one dark)"},
     PH_METHOD, &optional_kind, FIELD(band_limit), 0, 1},
    {{"spread", "DEVIATION", "0.01", "parameterisation", "standard deviation of the random start"},
     PH_METHOD, &number_kind, FIELD(spread), 0, 10},
    {{"levels", "N", "4", "parameterisation", "laplacian, shared: fields, each half as large as the one before"},
     PH_METHOD, &whole_kind, FIELD(levels), 2, 10},
    {{"decorrelate", NULL, "true", "parameterisation",
      "optimise colours along the directions that natural pictures have"},
     PH_METHOD, &switch_kind, FIELD(decorrelate)},
    {{"squash", "NAME", "sigmoid", "parameterisation", "how values are kept between black and white: sigmoid, or clip"},
     PH_METHOD, &choice_kind, FIELD(squash), .choice = squash_choice},

    {{"transforms", "NAME", "standard", "transforms",
      "standard: jitter, scale, rotate, jitter-end; crops: random boxes of crop-size; none: always the plain view"},
     PH_METHOD, &choice_kind, FIELD(transforms), .choice = transforms_choice},
    {{"border", "NAME", "grey", "transforms",
      "what lies beyond the picture's edge: grey, its reflection, its other side (wrap), or another grey each time "
      "(random)"},
     PH_METHOD, &choice_kind, FIELD(border), .choice = border_choice},
    {{"jitter", "PIXELS", "8", "transforms", "random shift before scaling, for a view of 224 pixels; 0: off"},
     PH_METHOD, &number_kind, FIELD(jitter), 0, 4096},
    {{"scale", "RANGE|A,B,...", "0.1", "transforms",
      "random zoom: 1 - RANGE to 1 + RANGE in 11 steps, or one of a list; 0: off"},
     PH_METHOD, &numbers_kind, FIELD(scale), 0, 8},
    {{"rotate", "RANGE|A,B,...", "10", "transforms",
      "random turn in degrees: -RANGE to RANGE in 21 steps with more weight on none, or one of a list; 0: off"},
     PH_METHOD, &numbers_kind, FIELD(rotate), -360, 360},
    {{"jitter-end", "PIXELS", "4", "transforms", "random shift after the turn, for a view of 224 pixels; 0: off"},
     PH_METHOD, &number_kind, FIELD(jitter_end), 0, 4096},
    {{"mirror", NULL, "false", "transforms", "every other view, at random, is mirrored"},
     PH_METHOD, &switch_kind, FIELD(mirror)},
    {{"views", "N", "1", "transforms", "views of each picture at each step, over which the objective is averaged"},
     PH_METHOD, &whole_kind, FIELD(views), 1, PH_MAX_BATCH},
    {{"crop-size", "SHARE|A,B", "0.5,0.05", "transforms",
      "crops: mean side of the boxes as a share of the picture, A at the first step to B at the last"},
     PH_METHOD, &numbers_kind, FIELD(crop_size), 0.05, 1},
    {{"noise", "DEVIATION", "0", "transforms", "noise added to each view; white is 1"},
     PH_METHOD, &number_kind, FIELD(noise), 0, 10},

    {{"backward", "NAME", "plain", "gradient",
      "how a gradient passes a rectifier: plain, guided (Springenberg et al. 2014), deconvolution (Zeiler 2013)"},
     PH_METHOD, &choice_kind, FIELD(backward), .choice = backward_choice},
    {{"pooling", "NAME", "maximum", "gradient",
      "maximum pools as they are, softened (their gradient spread over the window), or average pools in their place"},
     PH_METHOD, &choice_kind, FIELD(pooling), .choice = pooling_choice},
    {{"optimiser", "NAME", "adam", "optimiser", "how a gradient becomes a step"},
     PH_METHOD, &choice_kind, FIELD(optimiser), .choice = optimiser_choice},
    {{"learning-rate", "RATE", "0.05", "optimiser", "size of a step"},
     PH_METHOD, &number_kind, FIELD(learning_rate), 0, 1e9},
    {{"rate-limit", "RATE", "none", "optimiser", "with normalise=progress: no larger share of the gradient than this"},
     PH_METHOD, &optional_kind, FIELD(rate_limit), 0, 1e9},
    {{"beta1", "SHARE", "0.9", "optimiser", "adam, nadam: how much of the running mean gradient is kept each step"},
     PH_METHOD, &number_kind, FIELD(beta1), 0, 0.9999},
    {{"beta2", "SHARE", "0.999", "optimiser", "adam, nadam: how much of the running mean square is kept each step"},
     PH_METHOD, &number_kind, FIELD(beta2), 0, 0.999999},
    {{"momentum", "SHARE", "0", "optimiser", "sgd, normalised: how much of the last step goes on into the next"},
     PH_METHOD, &number_kind, FIELD(momentum), 0, 0.9999},
    {{"smoothing", "SHARE", "0.99", "optimiser", "rmsprop: how much of the running mean square is kept each step"},
     PH_METHOD, &number_kind, FIELD(smoothing), 0, 0.9999},
    {{"schedule", "FORM", "constant", "optimiser",
      "the learning rate over the steps: constant, linear, cosine, or SHARE:FACTOR,... from that share of them on"},
     PH_METHOD, &schedule_kind, FIELD(schedule)},
    {{"warm-up", "N", "0", "optimiser", "steps in which the learning rate rises to its value"},
     PH_METHOD, &whole_kind, FIELD(warm_up), 0, 10000000},
    {{"normalise", "NAME", "none", "optimiser",
      "what the gradient is divided by first: its mean size, rms, l2 norm, its square (progress: a step should raise "
      "the objective by the learning rate), or one over its length (share: a rate then serves pictures of all sizes)"},
     PH_METHOD, &choice_kind, FIELD(normalise), .choice = normalise_choice},
    {{"gradient-blur", "PIXELS|A,B", "0", "optimiser",
      "pixel: Gaussian blur of the gradient, deviation A at the first step to B at the last; 0: off"},
     PH_METHOD, &numbers_kind, FIELD(gradient_blur), 0, 256},
    {{"gradient-bands", "N", "0", "optimiser",
      "pixel: bands of an octave that the gradient is split into, each of which moves alike; 0: off"},
     PH_METHOD, &whole_kind, FIELD(gradient_bands), 0, 10},
    {{"steps", "N", "512", "optimiser", "optimisation steps"}, PH_METHOD, &whole_kind, FIELD(steps), 0, 10000000},
    {{"redirect-steps", "N", "16", "optimiser",
      "first steps in which silent units get a gradient that wakes them; 0: off"},
     PH_METHOD, &whole_kind, FIELD(redirect_steps), 0, 10000000},

    {{"pixel-decay", "SHARE", "0", "step regularisers", "after each step: how much nearer to grey everything goes"},
     PH_METHOD, &number_kind, FIELD(pixel_decay), 0, 1},
    {{"blur", "PIXELS|A,B", "0", "step regularisers",
      "pixel: Gaussian blur after every 'blur-every' steps, deviation A at the first step to B at the last; 0: off"},
     PH_METHOD, &numbers_kind, FIELD(blur), 0, 256},
    {{"blur-every", "N", "4", "step regularisers", "steps from blur to blur"},
     PH_METHOD, &whole_kind, FIELD(blur_every), 1, 10000000},
    {{"clip-norm", "PERCENT", "0", "step regularisers",
      "pixel: after each step, this share of the pixels, those nearest to grey, become grey"},
     PH_METHOD, &number_kind, FIELD(clip_norm), 0, 100},
    {{"clip-contribution", "PERCENT", "0", "step regularisers",
      "pixel: after each step, this share of the pixels, those which matter least to the objective, become grey"},
     PH_METHOD, &number_kind, FIELD(clip_contribution), 0, 100},

    {{"stretch", "PERCENT", "0", "step regularisers",
      "contrast of the finished picture: spread about grey until this share of its values just fits; 0: as it is"},
     PH_METHOD, &number_kind, FIELD(stretch), 0, 100},

    {{"stop-value", "VALUE", "none", "stopping",
      "a picture rests once its objective has reached this, or with 'target' is this near to it"},
     PH_PICTURE, &optional_kind, FIELD(stop_value), -1e30, 1e30},
    {{"tolerance", "ERROR", "none", "stopping",
      "a picture rests once every goal (match, content, style, reach, 'target') is missed by no more, on 8 bits too"},
     PH_PICTURE, &optional_kind, FIELD(tolerance), 0, 1e30},
    {{"plateau", "N", "0", "stopping",
      "a picture rests once N steps brought its objective nothing (a thousandth, smoothed); 0: never"},
     PH_PICTURE, &whole_kind, FIELD(plateau), 0, 10000000},
    {{"keep-best", "N", "0", "stopping", "look at the plain picture every N steps and give the best; 0: the last"},
     PH_PICTURE, &whole_kind, FIELD(keep_best), 0, 10000000},
    {{"attempts", "N", "1", "stopping", "pictures from this seed and those after it, of which the best is given"},
     PH_PICTURE, &whole_kind, FIELD(attempts), 1, 1000},
};

const int ph_option_count = PH_COUNT(ph_options);
