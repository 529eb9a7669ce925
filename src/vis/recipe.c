/* Recipes: THE table of options, from which the command line, its help, the recipe inside a PNG and ph_recipe_set are
 * made.
 *
 * An option is a row: its name, its default as text, what it is for, how its text is read (a kind) and where its value
 * lies in struct ph_recipe. Values are kept both ways, parsed for the builders and as canonical text for printing. */
#include "vis/vis.h"
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- Kinds: how a value is read, and printed so that reading it again gives the same ----------------------------- */

struct option;

struct kind {
    bool (*read)(const struct option *option, const char *text, void *value);
    void (*print)(const struct option *option, const void *value, struct ph_text *text);
    void (*describe)(const struct option *option, struct ph_text *text); /* what would be valid */
};

/* Options of the method are set by a preset; of the run, they do not shape the picture and are not recorded. */
enum role { METHOD, PICTURE, RUN };

struct option {
    ph_option_info info;
    enum role role;
    const struct kind *kind;
    size_t offset;                   /* in struct ph_recipe */
    double low, high;
    const char *(*choice)(int index); /* names of a choice, NULL behind the last */
};

static void print_number(double value, struct ph_text *text) {
    char shortest[40];
    double again;
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(shortest, sizeof shortest, "%.*g", digits, value);
        for (char *c = shortest; *c; c++)
            if (*c == ',') *c = '.'; /* the process's locale may have a decimal comma */
        if (ph_parse_double(shortest, &again) && again == value) break;
    }
    ph_text_append(text, "%s", shortest);
}

static bool within(const struct option *option, double value) { return value >= option->low && value <= option->high; }

static void describe_range(const struct option *option, const char *what, struct ph_text *text) {
    ph_text_append(text, "%s from ", what);
    print_number(option->low, text);
    ph_text_append(text, " to ");
    print_number(option->high, text);
}

static bool whole_read(const struct option *option, const char *text, void *value) {
    int64_t number;
    if (!ph_parse_int(text, &number) || !within(option, (double)number)) return false;
    *(int64_t *)value = number;
    return true;
}

static void whole_print(const struct option *option, const void *value, struct ph_text *text) {
    (void)option;
    ph_text_append(text, "%lld", (long long)*(const int64_t *)value);
}

static void whole_describe(const struct option *option, struct ph_text *text) {
    describe_range(option, "a whole number", text);
}

static bool number_read(const struct option *option, const char *text, void *value) {
    double number;
    if (!ph_parse_double(text, &number) || !within(option, number)) return false;
    *(double *)value = number;
    return true;
}

static void number_print(const struct option *option, const void *value, struct ph_text *text) {
    (void)option;
    print_number(*(const double *)value, text);
}

static void number_describe(const struct option *option, struct ph_text *text) {
    describe_range(option, "a number", text);
}

static bool optional_read(const struct option *option, const char *text, void *value) {
    if (strcmp(text, "none")) return number_read(option, text, value);
    *(double *)value = NAN;
    return true;
}

static void optional_print(const struct option *option, const void *value, struct ph_text *text) {
    if (isnan(*(const double *)value)) ph_text_append(text, "none");
    else number_print(option, value, text);
}

static void optional_describe(const struct option *option, struct ph_text *text) {
    describe_range(option, "none, or a number", text);
}

static bool switch_read(const struct option *option, const char *text, void *value) {
    (void)option;
    bool on = !strcmp(text, "true");
    if (!on && strcmp(text, "false")) return false;
    *(bool *)value = on;
    return true;
}

static void switch_print(const struct option *option, const void *value, struct ph_text *text) {
    (void)option;
    ph_text_append(text, *(const bool *)value ? "true" : "false");
}

static void switch_describe(const struct option *option, struct ph_text *text) {
    (void)option;
    ph_text_append(text, "true or false");
}

static bool choice_read(const struct option *option, const char *text, void *value) {
    for (int i = 0; option->choice(i); i++)
        if (!strcmp(option->choice(i), text)) {
            *(int64_t *)value = i;
            return true;
        }
    return false;
}

static void choice_print(const struct option *option, const void *value, struct ph_text *text) {
    ph_text_append(text, "%s", option->choice((int)*(const int64_t *)value));
}

static void choice_describe(const struct option *option, struct ph_text *text) {
    for (int i = 0; option->choice(i); i++)
        ph_text_append(text, "%s%s", !i ? "" : option->choice(i + 1) ? ", " : " or ", option->choice(i));
}

static bool size_read(const struct option *option, const char *text, void *value) {
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

static void size_print(const struct option *option, const void *value, struct ph_text *text) {
    const struct ph_size *size = value;
    (void)option;
    if (!size->width) ph_text_append(text, "auto");
    else if (size->width == size->height) ph_text_append(text, "%lld", (long long)size->width);
    else ph_text_append(text, "%lldx%lld", (long long)size->width, (long long)size->height);
}

static void size_describe(const struct option *option, struct ph_text *text) {
    describe_range(option, "auto, one side N or WIDTHxHEIGHT, each", text);
}

static bool numbers_read(const struct option *option, const char *text, void *value) {
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

static void numbers_print(const struct option *option, const void *value, struct ph_text *text) {
    const struct ph_numbers *numbers = value;
    (void)option;
    for (int i = 0; i < numbers->count; i++) {
        if (i) ph_text_append(text, ",");
        print_number(numbers->values[i], text);
    }
    if (numbers->list && numbers->count == 1) ph_text_append(text, ",");
}

static void numbers_describe(const struct option *option, struct ph_text *text) {
    ph_text_append(text, "one number, or a list of up to %d with commas (a list of one ends with a comma), each",
                   PH_MAX_NUMBERS);
    describe_range(option, "", text);
}

/* Steps are whole numbers. */
static bool steps_read(const struct option *option, const char *text, void *value) {
    struct ph_numbers numbers;
    if (!numbers_read(option, text, &numbers)) return false;
    for (int i = 0; i < numbers.count; i++)
        if (numbers.values[i] != floor(numbers.values[i]) || (numbers.list && numbers.values[i] < 1)) return false;
    *(struct ph_numbers *)value = numbers;
    return true;
}

static void steps_describe(const struct option *option, struct ph_text *text) {
    numbers_describe(option, text);
    ph_text_append(text, " and whole");
}

#define KIND(name, printer) static const struct kind name##_kind = {name##_read, printer##_print, name##_describe}
KIND(whole, whole);
KIND(number, number);
KIND(optional, optional);
KIND(switch, switch);
KIND(choice, choice);
KIND(size, size);
KIND(numbers, numbers);
KIND(steps, numbers);

/* ---- Choices ----------------------------------------------------------------------------------------------------- */

static const char *parameterisation_choice(int index) {
    return ph_parameterisations[index] ? ph_parameterisations[index]->name : NULL;
}

static const char *optimiser_choice(int index) { return ph_optimisers[index] ? ph_optimisers[index]->name : NULL; }

static const char *transforms_choice(int index) {
    static const char *const names[] = {"standard", "none", NULL};
    return names[index];
}

static const char *border_choice(int index) { /* in the order of enum ph_warp_border */
    static const char *const names[] = {"grey", "reflect", "wrap", NULL};
    return names[index];
}

/* ---- Presets ----------------------------------------------------------------------------------------------------- */

struct preset { const char *name, *help, *settings; };

static const struct preset presets[] = {
    {"lucid",
     "Fourier spectrum, decorrelated colour, random transforms, Adam: the defaults of lucid (Olah et al. 2017)", ""},
    {"article",
     "the stronger transforms of the article's appendix, 2560 steps (distill.pub/2017/feature-visualization)",
     "jitter=16\nscale=1,0.975,1.025,0.95,1.05\nrotate=-5,-4,-3,-2,-1,0,1,2,3,4,5\njitter-end=8\nsteps=2560\n"},
    {"raw", "plain gradient ascent on pixels, nothing against noise: what the other presets are to be compared with",
     "parameterisation=pixel\ndecorrelate=false\ntransforms=none\n"},
};

const char *ph_preset_name(int index) { return index < PH_COUNT(presets) ? presets[index].name : NULL; }

const char *ph_preset_help(int index) { return index < PH_COUNT(presets) ? presets[index].help : NULL; }

/* ---- The table --------------------------------------------------------------------------------------------------- */

#define FIELD(member) offsetof(struct ph_recipe, member)

static const struct option options[] = {
    {{"preset", "NAME", "lucid", "method",
      "set all options of the method, those below 'picture', at once; later ones override"},
     RUN, &choice_kind, FIELD(preset), .choice = ph_preset_name},

    {{"size", "WxH", "auto", "picture", "pixels of the picture, one number for a square; auto: the network's own size"},
     PICTURE, &size_kind, FIELD(size), 8, 16384},
    {{"input-size", "WxH", "auto", "picture",
      "pixels the network sees; auto: the picture's where network and layer allow it, else the network's own"},
     PICTURE, &size_kind, FIELD(input_size), 1, 16384},
    {{"seed", "N", "0", "picture", "start value of the random numbers: the same seed gives the same bytes"},
     PICTURE, &whole_kind, FIELD(seed), 0, 9007199254740992.0},
    {{"target", "VALUE", "none", "picture", "drive the objective to this value instead of as high as it goes"},
     PICTURE, &optional_kind, FIELD(target), -1e30, 1e30},
    {{"snapshots", "N|A,B,...", "0", "picture", "also give the picture N times on the way, or after these steps"},
     RUN, &steps_kind, FIELD(snapshots), 0, 10000000},
    {{"batch", "N", "0", "picture", "pictures optimised at once, 1 to 64; 0: as memory allows, up to 8"},
     RUN, &whole_kind, FIELD(batch), 0, PH_MAX_BATCH},

    {{"parameterisation", "NAME", "fourier", "parameterisation", "what is optimised in place of pixels"},
     METHOD, &choice_kind, FIELD(parameterisation), .choice = parameterisation_choice},
    {{"decay", "POWER", "1", "parameterisation",
      "fourier: how fast the share of a frequency falls with it; higher is smoother, 0 is white"},
     METHOD, &number_kind, FIELD(decay), 0, 4},
    {{"band-limit", "FREQUENCY", "none", "parameterisation",
      "fourier: nothing finer than this, in cycles per pixel (0.5: one bright, one dark)"},
     METHOD, &optional_kind, FIELD(band_limit), 0, 1},
    {{"spread", "DEVIATION", "0.01", "parameterisation", "standard deviation of the random start"},
     METHOD, &number_kind, FIELD(spread), 0, 10},
    {{"decorrelate", NULL, "true", "parameterisation",
      "optimise colours along the directions that natural pictures have"},
     METHOD, &switch_kind, FIELD(decorrelate)},

    {{"transforms", "NAME", "standard", "transforms",
      "standard: as the options of this group say; none: always the plain view"},
     METHOD, &choice_kind, FIELD(transforms), .choice = transforms_choice},
    {{"border", "NAME", "grey", "transforms",
      "what lies beyond the picture's edge: grey, its reflection, or its other side (wrap)"},
     METHOD, &choice_kind, FIELD(border), .choice = border_choice},
    {{"jitter", "PIXELS", "8", "transforms", "random shift before scaling, for a view of 224 pixels; 0: off"},
     METHOD, &number_kind, FIELD(jitter), 0, 4096},
    {{"scale", "RANGE|A,B,...", "0.1", "transforms",
      "random zoom: 1 - RANGE to 1 + RANGE in 11 steps, or one of a list; 0: off"},
     METHOD, &numbers_kind, FIELD(scale), 0, 8},
    {{"rotate", "RANGE|A,B,...", "10", "transforms",
      "random turn in degrees: -RANGE to RANGE in 21 steps with more weight on none, or one of a list; 0: off"},
     METHOD, &numbers_kind, FIELD(rotate), -360, 360},
    {{"jitter-end", "PIXELS", "4", "transforms", "random shift after the turn, for a view of 224 pixels; 0: off"},
     METHOD, &number_kind, FIELD(jitter_end), 0, 4096},

    {{"optimiser", "NAME", "adam", "optimiser", "how a gradient becomes a step"},
     METHOD, &choice_kind, FIELD(optimiser), .choice = optimiser_choice},
    {{"learning-rate", "RATE", "0.05", "optimiser", "size of a step"},
     METHOD, &number_kind, FIELD(learning_rate), 0, 1e6},
    {{"steps", "N", "512", "optimiser", "optimisation steps"}, METHOD, &whole_kind, FIELD(steps), 0, 10000000},
    {{"redirect-steps", "N", "16", "optimiser",
      "first steps in which silent units get a gradient that wakes them; 0: off"},
     METHOD, &whole_kind, FIELD(redirect_steps), 0, 10000000},
};

static void *field(const ph_recipe *recipe, const struct option *option) { return (char *)recipe + option->offset; }

static const char *option_name(void *user, int index) {
    (void)user;
    return options[index].info.name;
}

static int option_find(const char *name) {
    for (int i = 0; i < PH_COUNT(options); i++)
        if (!strcmp(options[i].info.name, name)) return i;
    return PH_ABSENT;
}

const ph_option_info *ph_recipe_option(int index) {
    return index >= 0 && index < PH_COUNT(options) ? &options[index].info : NULL;
}

/* ---- Setting and getting ----------------------------------------------------------------------------------------- */

static ph_status option_set(ph_recipe *recipe, int index, const char *value) {
    const struct option *option = &options[index];
    struct ph_text text = {0};
    union { int64_t whole; double number; bool on; struct ph_size size; struct ph_numbers numbers; } parsed;
    if (!option->kind->read(option, value, &parsed)) {
        option->kind->describe(option, &text);
        ph_status status = ph_fail(recipe->context, PH_ERROR_ARGUMENT, "option %s: '%s' is not valid; it takes %s",
                                   option->info.name, value, text.data ? text.data : "another value");
        ph_text_finish(&text);
        return status;
    }
    option->kind->print(option, &parsed, &text);
    if (text.failed || !text.data) {
        ph_text_finish(&text);
        return ph_fail_memory(recipe->context);
    }
    option->kind->read(option, text.data, field(recipe, option));
    ph_free(recipe->texts[index]);
    recipe->texts[index] = text.data;
    return PH_OK;
}

/* Everything of the method goes back to its default first, so that a preset means the same whatever was set before. */
static ph_status preset_apply(ph_recipe *recipe) {
    for (int i = 0; i < PH_COUNT(options); i++)
        if (options[i].role == METHOD) PH_TRY(option_set(recipe, i, options[i].info.initial));
    return ph_recipe_parse(recipe, presets[recipe->preset].settings);
}

ph_status ph_recipe_create(ph_context *context, ph_recipe **recipe) {
    *recipe = ph_alloc(sizeof **recipe);
    if (!*recipe) return ph_fail_memory(context);
    (*recipe)->context = context;
    (*recipe)->texts = ph_alloc_array(PH_COUNT(options), sizeof *(*recipe)->texts);
    ph_status status = (*recipe)->texts ? PH_OK : ph_fail_memory(context);
    for (int i = 0; i < PH_COUNT(options) && !status; i++) status = option_set(*recipe, i, options[i].info.initial);
    if (status) ph_recipe_destroy(recipe);
    return status;
}

void ph_recipe_destroy(ph_recipe **recipe) {
    if (!recipe || !*recipe) return;
    for (int i = 0; i < PH_COUNT(options) && (*recipe)->texts; i++) ph_free((*recipe)->texts[i]);
    ph_free((*recipe)->texts);
    ph_free(*recipe);
    *recipe = NULL;
}

ph_status ph_recipe_clone(const ph_recipe *recipe, ph_recipe **clone) {
    PH_TRY(ph_recipe_create(recipe->context, clone));
    for (int i = 0; i < PH_COUNT(options); i++) {
        ph_status status = option_set(*clone, i, recipe->texts[i]);
        if (status) {
            ph_recipe_destroy(clone);
            return status;
        }
    }
    return PH_OK;
}

ph_status ph_recipe_set(ph_recipe *recipe, const char *name, const char *value) {
    if (!recipe) return PH_ERROR_ARGUMENT;
    if (!name || !value) return ph_fail(recipe->context, PH_ERROR_ARGUMENT, "an option needs a name and a value");
    int index = option_find(name);
    if (index == PH_ABSENT) {
        struct ph_text text = {0};
        ph_suggest(&text, name, PH_COUNT(options), option_name, NULL);
        ph_status status = ph_fail(recipe->context, PH_ERROR_NOT_FOUND, "there is no option '%s'%s", name,
                                   text.data ? text.data : "");
        ph_text_finish(&text);
        return status;
    }
    PH_TRY(option_set(recipe, index, value));
    return options[index].offset == FIELD(preset) ? preset_apply(recipe) : PH_OK;
}

const char *ph_recipe_get(const ph_recipe *recipe, const char *name) {
    int index = recipe && name ? option_find(name) : PH_ABSENT;
    return index == PH_ABSENT ? NULL : recipe->texts[index];
}

/* ---- Recipes as text --------------------------------------------------------------------------------------------- */

/* The next line of *text without its end, split at the first '='; false behind the last. A line without '=' has no
 * value. */
struct line { const char *key, *value; size_t key_length, value_length; };

static bool line_next(const char **text, struct line *line) {
    const char *at = *text;
    if (!*at) return false;
    size_t length = strcspn(at, "\r\n");
    const char *equals = memchr(at, '=', length);
    *line = (struct line){.key = at, .key_length = equals ? (size_t)(equals - at) : length};
    if (equals) line->value = equals + 1, line->value_length = length - line->key_length - 1;
    *text = at + length + (at[length] != 0);
    return true;
}

ph_status ph_recipe_parse(ph_recipe *recipe, const char *text) {
    if (!recipe) return PH_ERROR_ARGUMENT;
    if (!text) return ph_fail(recipe->context, PH_ERROR_ARGUMENT, "no recipe text");
    struct line line;
    while (line_next(&text, &line)) {
        if (!line.key_length && !line.value) continue;
        if (line.key[0] == '#') continue;
        if (!line.value)
            return ph_fail(recipe->context, PH_ERROR_FORMAT, "recipe: '%.*s' is not of the form option=value",
                           (int)PH_MIN(line.key_length, (size_t)200), line.key);
        char *name = ph_strndup(line.key, line.key_length), *value = ph_strndup(line.value, line.value_length);
        ph_status status = name && value ? ph_recipe_set(recipe, name, value) : ph_fail_memory(recipe->context);
        ph_free(name);
        ph_free(value);
        if (status) {
            ph_fail_prefix(recipe->context, "recipe");
            return status;
        }
    }
    return PH_OK;
}

bool ph_recipe_lookup(const char *text, const char *key, char *value, size_t size) {
    struct line line;
    while (text && key && line_next(&text, &line)) {
        if (!line.value || line.key_length != strlen(key) || memcmp(line.key, key, line.key_length)) continue;
        if (size) {
            size_t length = PH_MIN(line.value_length, size - 1);
            memcpy(value, line.value, length);
            value[length] = 0;
        }
        return true;
    }
    return false;
}

void ph_recipe_print(const ph_recipe *recipe, struct ph_text *text) {
    for (int i = 0; i < PH_COUNT(options); i++)
        if (options[i].role != RUN && strcmp(recipe->texts[i], options[i].info.initial))
            ph_text_append(text, "%s=%s\n", options[i].info.name, recipe->texts[i]);
}

ph_status ph_recipe_text(const ph_recipe *recipe, char **out) {
    if (!recipe || !out) return PH_ERROR_ARGUMENT;
    struct ph_text text = {0};
    ph_recipe_print(recipe, &text);
    *out = text.failed ? NULL : text.data ? text.data : ph_strdup("");
    if (*out) return PH_OK;
    ph_text_finish(&text);
    return ph_fail_memory(recipe->context);
}

bool ph_recipe_snapshot_due(const ph_recipe *recipe, int64_t step) {
    const struct ph_numbers *snapshots = &recipe->snapshots;
    int64_t count = (int64_t)snapshots->values[0];
    if (!snapshots->list) { /* evenly spaced: those i in 1..count for which round(i steps / count) is this step */
        if (!count || step < 1) return false;
        int64_t i = PH_MIN(count, (int64_t)floor(((double)step + 0.5) * (double)count / (double)recipe->steps));
        for (int64_t near = PH_MAX(i - 1, 1); near <= PH_MIN(i + 1, count); near++)
            if ((int64_t)floor((double)near * (double)recipe->steps / (double)count + 0.5) == step) return true;
        return false;
    }
    for (int i = 0; i < snapshots->count; i++)
        if ((int64_t)snapshots->values[i] == step) return true;
    return false;
}
