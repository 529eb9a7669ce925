/* Recipes: a value for every option of the table in options.c. Values are kept both ways, parsed for the builders and as
 * canonical text for printing. */
#include "exec/profile.h"
#include "vis/option.h"
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static void *field(const ph_recipe *recipe, const struct ph_option *option) { return (char *)recipe + option->offset; }

static const char *option_name(void *user, int index) {
    (void)user;
    return ph_options[index].info.name;
}

static int option_find(const char *name) {
    for (int i = 0; i < ph_option_count; i++)
        if (!strcmp(ph_options[i].info.name, name)) return i;
    return PH_ABSENT;
}

const ph_option_info *ph_recipe_option(int index) {
    return index >= 0 && index < ph_option_count ? &ph_options[index].info : NULL;
}

static const char *choice_name(void *user, int index) { return ((const struct ph_option *)user)->choice(index); }

static void choice_suggest(const struct ph_option *option, const char *value, struct ph_text *text) {
    int count = 0;
    while (option->choice(count)) count++;
    ph_suggest(text, value, count, choice_name, (void *)option);
}

/* ---- Setting and getting ----------------------------------------------------------------------------------------- */

static ph_status option_set(ph_recipe *recipe, int index, const char *value) {
    const struct ph_option *option = &ph_options[index];
    struct ph_text text = {0};
    union {
        int64_t whole;
        double number;
        bool on;
        const char *path;
        struct ph_size size;
        struct ph_numbers numbers;
        struct ph_schedule schedule;
    } parsed;
    if (!option->kind->read(option, value, &parsed)) {
        struct ph_text near = {0};
        option->kind->describe(option, &text);
        if (option->choice) choice_suggest(option, value, &near);
        ph_status status = ph_fail(recipe->context, PH_ERROR_ARGUMENT, "option %s: '%s' is not valid%s; it takes %s",
                                   option->info.name, value, near.data ? near.data : "", text.data ? text.data : "another value");
        ph_text_finish(&near);
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
    for (int i = 0; i < ph_option_count; i++)
        if (ph_options[i].role == PH_METHOD) PH_TRY(option_set(recipe, i, ph_options[i].info.initial));
    return ph_recipe_parse(recipe, ph_preset_settings((int)recipe->preset));
}

ph_status ph_recipe_create(ph_context *context, ph_recipe **recipe) {
    *recipe = ph_alloc(sizeof **recipe);
    if (!*recipe) return ph_fail_memory(context);
    (*recipe)->context = context;
    (*recipe)->texts = ph_alloc_array(ph_option_count, sizeof *(*recipe)->texts);
    ph_status status = (*recipe)->texts ? PH_OK : ph_fail_memory(context);
    for (int i = 0; i < ph_option_count && !status; i++) status = option_set(*recipe, i, ph_options[i].info.initial);
    if (status) ph_recipe_destroy(recipe);
    return status;
}

void ph_recipe_destroy(ph_recipe **recipe) {
    if (!recipe || !*recipe) return;
    for (int i = 0; i < ph_option_count && (*recipe)->texts; i++) ph_free((*recipe)->texts[i]);
    ph_free((*recipe)->texts);
    ph_free(*recipe);
    *recipe = NULL;
}

ph_status ph_recipe_clone(const ph_recipe *recipe, ph_recipe **clone) {
    PH_TRY(ph_recipe_create(recipe->context, clone));
    for (int i = 0; i < ph_option_count; i++) {
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
        ph_suggest(&text, name, ph_option_count, option_name, NULL);
        ph_status status = ph_fail(recipe->context, PH_ERROR_NOT_FOUND, "there is no option '%s'%s", name,
                                   text.data ? text.data : "");
        ph_text_finish(&text);
        return status;
    }
    PH_TRY(option_set(recipe, index, value));
    return ph_options[index].offset == offsetof(struct ph_recipe, preset) ? preset_apply(recipe) : PH_OK;
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
    for (int i = 0; i < ph_option_count; i++)
        if (ph_options[i].role != PH_RUN && strcmp(recipe->texts[i], ph_options[i].info.initial))
            ph_text_append(text, "%s=%s\n", ph_options[i].info.name, recipe->texts[i]);
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

/* ---- Facts about a run --------------------------------------------------------------------------------------------- */

static void list_append(struct ph_text *text, const char *name, const float *values, int count) {
    ph_text_append(text, " %s=", name);
    for (int i = 0; i < count; i++) ph_text_append(text, "%s%.9g", i ? "," : "", (double)values[i]);
}

void ph_recipe_line_append(struct ph_text *text, const char *value, size_t length) {
    for (size_t i = 0; i < length; i++) ph_text_append(text, "%c", (unsigned char)value[i] < ' ' ? ' ' : value[i]);
    ph_text_append(text, "\n");
}

/* Facts are for a person and for `render --recipe`, which needs the objective; text from outside stays on one line. */
static void fact_append(struct ph_text *text, const char *key, const char *value) {
    ph_text_append(text, "#%s=", key);
    ph_recipe_line_append(text, value, strlen(value));
}

static void preprocessing_append(struct ph_text *text, const char *key, const ph_preprocessing *preprocessing) {
    ph_text_append(text, "#%s=scale=%.9g", key, (double)preprocessing->scale);
    list_append(text, "mean", preprocessing->mean, preprocessing->channels);
    list_append(text, "deviation", preprocessing->deviation, preprocessing->channels);
    ph_text_append(text, " order=%s\n", preprocessing->bgr ? "bgr" : "rgb");
}

static const char *model_name(const ph_model *model) { return model->path ? ph_base_name(model->path) : "embedded"; }

void ph_recipe_facts_append(const ph_model *model, const char *objective, struct ph_text *text) {
    fact_append(text, "phosphene", PH_VERSION);
    fact_append(text, "objective", objective);
    fact_append(text, "model", model_name(model));
    fact_append(text, "model-sha256", model->sha256);
    preprocessing_append(text, "input", &model->preprocessing);
    char profile[300];
    ph_backend_profile(model->context, profile, sizeof profile);
    ph_text_append(text, "#profile=%s\n", profile);
    const struct ph_profile *tuned = model->context->profile;
    if (!tuned || !ph_profile_serves(tuned, profile)) return;
    fact_append(text, "tuned", tuned->name);
    ph_text_append(text, "#tuned-choices=%d\n#tuned-sha256=%s\n", tuned->count, tuned->sha256);
}

void ph_recipe_networks_append(const ph_model *model, const struct ph_objective *objective, struct ph_text *text) {
    static const char *const facts[] = {"", "-model", "-sha256", "-input"};
    for (int i = 0, number = 1; i < model->joined_count; i++) {
        const struct ph_joined *joined = &model->joined[i];
        char keys[PH_COUNT(facts)][32];
        if (!ph_objective_names_network(objective, joined->name)) continue;
        for (int j = 0; j < PH_COUNT(facts); j++) snprintf(keys[j], sizeof keys[j], "network-%d%s", number, facts[j]);
        fact_append(text, keys[0], joined->name);
        fact_append(text, keys[1], model_name(joined->model));
        fact_append(text, keys[2], joined->model->sha256);
        preprocessing_append(text, keys[3], &joined->model->preprocessing);
        number++;
    }
}

static bool varies(const struct ph_numbers *numbers) { return numbers->values[0] != numbers->values[numbers->count - 1]; }

bool ph_recipe_has_course(const ph_recipe *recipe) {
    return recipe->schedule.form != PH_SCHEDULE_CONSTANT || varies(&recipe->gradient_blur) || varies(&recipe->blur) ||
           (recipe->transforms == PH_TRANSFORMS_CROPS && varies(&recipe->crop_size));
}

double ph_recipe_over_steps(const ph_recipe *recipe, const struct ph_numbers *numbers, int64_t step) {
    double share = recipe->steps > 1 ? fmin((double)step / (double)(recipe->steps - 1), 1) : 0;
    double first = numbers->values[0], last = numbers->values[numbers->count - 1];
    return first + (last - first) * share;
}

int64_t ph_recipe_last_step(const ph_recipe *recipe) {
    return recipe->until ? PH_MIN(recipe->until, recipe->steps) : recipe->steps;
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
