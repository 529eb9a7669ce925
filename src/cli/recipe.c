/* The recipe inside a picture: making it again, and telling whether a picture that is there is the one asked for. Its
 * text is `option=value` lines, and facts whose names begin with '#'. */
#include "cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_VALUE = 4096 };

/* The objective of a recipe, which may be as long as its vectors are; NULL: there is none. A new string. */
static char *objective_find(const char *text) {
    size_t size = strlen(text) + 1;
    char *objective = cli_allocate(size, 1);
    if (ph_recipe_lookup(text, "#objective", objective, size)) return objective;
    free(objective);
    return NULL;
}

/* Path of the file of this base name beside the picture or in the current folder; NULL when in neither. New string. */
static char *file_search(const char *picture_path, const char *name) {
    if (strchr(name, '/')) return NULL; /* never written so: a picture from elsewhere must not choose a file */
    char *folder = cli_folder_of(picture_path), *path = cli_format("%s/%s", folder, name);
    free(folder);
    if (cli_file_exists(path)) return path;
    free(path);
    return cli_file_exists(name) ? cli_format("%s", name) : NULL;
}

static int model_choose(struct cli *cli, struct cli_recipe *recipe) {
    char name[LONGEST_VALUE];
    bool known = ph_recipe_lookup(recipe->text, "#model", name, sizeof name);
    ph_recipe_lookup(recipe->text, "#model-sha256", recipe->sha256, sizeof recipe->sha256);
    if (cli->settings.model || cli->settings.representation || !known || !strcmp(name, "embedded")) return CLI_DONE;
    recipe->model_path = file_search(cli->settings.recipe, name);
    if (recipe->model_path) return CLI_DONE;
    const ph_catalogue_entry *built_in;
    for (int i = 0; (built_in = ph_catalogue("representations", i)); i++)
        if (!strcmp(built_in->name, name)) {
            cli->settings.representation = built_in->name;
            return CLI_DONE;
        }
    return cli_fail("%s: was made with the network %s (SHA-256 %s), which is neither beside it nor in this folder; "
                    "--model FILE names its place",
                    cli->settings.recipe, name, *recipe->sha256 ? recipe->sha256 : "unknown");
}

/* A fact about joined network `number`, from 1: "network-2-model". */
static bool network_fact(const char *text, int number, const char *what, char *value, size_t size) {
    char key[64];
    snprintf(key, sizeof key, "#network-%d%s", number, what);
    return ph_recipe_lookup(text, key, value, size);
}

static bool is_network_given(const struct cli_settings *settings, const char *name) {
    size_t length = strlen(name);
    for (int i = 0; i < settings->with.count; i++) {
        const char *word = settings->with.words[i], *slash = strrchr(word, '/');
        const char *stem = strchr(word, '=') ? word : slash ? slash + 1 : word;
        if (!strncmp(stem, name, length) && (stem[length] == '=' || stem[length] == '.')) return true;
    }
    return false;
}

/* Adds the joined networks that --with does not name. */
static int networks_choose(struct cli *cli, struct cli_recipe *recipe) {
    struct cli_words *with = &cli->settings.with;
    char name[LONGEST_VALUE], file[LONGEST_VALUE];
    for (int i = 1; network_fact(recipe->text, i, "", name, sizeof name); i++) {
        if (is_network_given(&cli->settings, name) || !network_fact(recipe->text, i, "-model", file, sizeof file)) continue;
        char *path = strcmp(file, "embedded") ? file_search(cli->settings.recipe, file) : cli_format("%s", file);
        if (!path)
            return cli_fail("%s: was made with the network %s (%s) too, which is neither beside it nor in this folder; "
                            "--with %s=FILE names its place",
                            cli->settings.recipe, file, name, name);
        if (with->count < CLI_MOST_WORDS && recipe->with_count < CLI_MOST_WORDS)
            with->words[with->count++] = recipe->with[recipe->with_count++] = cli_format("%s=%s", name, path);
        free(path);
    }
    return CLI_DONE;
}

/* In this folder or below. */
static bool is_near(const char *path) {
    for (const char *at = path; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL)
        if (!strcmp(at, "..") || !strncmp(at, "../", 3)) return false;
    return *path != '/';
}

/* A picture from elsewhere must not have a file read that is none of its business. */
static int file_check(const struct cli *cli, const char *path) {
    if (!cli->settings.any_file && !is_near(path))
        return cli_fail("%s: its recipe reads the file %s, which is not in this folder; --any-file allows that, if you trust "
                        "who made the picture",
                        cli->settings.recipe, path);
    cli_note(cli, "%s: its recipe reads the file %s", cli->settings.recipe, path);
    return CLI_DONE;
}

/* Those that the recipe names, not the command line. */
static int files_check(const struct cli *cli, const struct cli_recipe *recipe) {
    const ph_option_info *info;
    char **files = NULL;
    int count = 0, code = CLI_DONE;
    for (int i = 0; (info = ph_recipe_option(i)) && !code; i++) {
        const char *value = ph_recipe_get(cli->recipe, info->name);
        bool file = info->argument && !strcmp(info->argument, "FILE") && strcmp(value, "none");
        if (file && !cli_option_is_given(cli, info->name)) code = file_check(cli, value);
    }
    if (!code && !cli->argument_count && ph_objective_files(cli->context, recipe->objective, &files, &count))
        code = cli_fail("%s: %s", cli->settings.recipe, ph_context_error(cli->context));
    for (int i = 0; i < count && !code; i++) code = file_check(cli, files[i]);
    ph_string_list_destroy(&files, count);
    return code;
}

/* The profile that it was made with, if that is here: beside the picture, in this folder, or among the user's. */
static char *tuned_search(const struct cli *cli, const char *name) {
    char *file = cli_format("%s.profile", name), *path = file_search(cli->settings.recipe, file);
    free(file);
    if (path || strchr(name, '/')) return path;
    path = cli_profile_path(cli, name);
    if (path && cli_file_exists(path)) return path;
    free(path);
    return NULL;
}

/* Kernels that were measured: #tuned, and the digest of their choices. */
static int tuned_choose(struct cli *cli, const struct cli_recipe *recipe) {
    char name[LONGEST_VALUE], choices[LONGEST_VALUE] = "", sha256[LONGEST_VALUE] = "";
    if (cli->settings.tune)
        return cli_usage(cli, "--tune chooses kernels anew, which does not make the same bytes; --any-profile allows that");
    if (!ph_recipe_lookup(recipe->text, "#tuned", name, sizeof name)) return CLI_DONE;
    ph_recipe_lookup(recipe->text, "#tuned-choices", choices, sizeof choices);
    ph_recipe_lookup(recipe->text, "#tuned-sha256", sha256, sizeof sha256);
    if (!cli->settings.profile) {
        char *path = tuned_search(cli, name);
        bool failed = path && ph_context_set_profile(cli->context, path);
        free(path);
        if (failed) return cli_fail("%s: %s", cli->settings.recipe, ph_context_error(cli->context));
        if (!path)
            return cli_fail("%s: was made with the profile %s (%s choices, SHA-256 %s), which is neither beside it nor in this folder "
                            "nor among yours; --profile FILE names its place, and --any-profile makes a like picture without, not "
                            "the same bytes",
                            cli->settings.recipe, name, choices, sha256);
    }
    if (!ph_context_hold_profile(cli->context, atoi(choices), sha256)) return CLI_DONE;
    return cli_fail("%s: was made with another profile %s: %s; --any-profile makes a like picture, not the same bytes",
                    cli->settings.recipe, name, ph_context_error(cli->context));
}

/* The bytes depend on the kernels and on what they multiply; the profile, "cpu/avx2" or "cpu/amx/bf16x3", says which were
 * used. */
static int level_choose(struct cli *cli, const struct cli_recipe *recipe) {
    char profile[LONGEST_VALUE];
    if (strcmp(cli->settings.instruction_set, "auto")) return CLI_DONE;
    if (!ph_recipe_lookup(recipe->text, "#profile", profile, sizeof profile)) return CLI_DONE;
    char *last = strrchr(profile, '/');
    bool given = strcmp(cli->settings.precision, "auto");
    if (last && !ph_context_set_precision(cli->context, last + 1)) *last = 0; /* "vulkan/a device/fp16" */
    if (given) ph_context_set_precision(cli->context, cli->settings.precision);
    const char *slash = strchr(profile, '/');
    if (slash && strncmp(profile, "cpu/", 4) != 0) {
        char *backend = cli_format("%.*s", (int)(slash - profile), profile);
        bool failed = ph_context_set_backend(cli->context, backend, cli->settings.device);
        free(backend);
        if (!failed) return CLI_DONE;
    } else if (!ph_context_set_instruction_set(cli->context, slash ? slash + 1 : profile)) {
        return CLI_DONE;
    }
    return cli_fail("%s: was made with %s, which is not to be had here (%s); --any-profile makes a like picture, not "
                    "the same bytes",
                    cli->settings.recipe, profile, ph_context_error(cli->context));
}

static int profile_choose(struct cli *cli, const struct cli_recipe *recipe) {
    if (cli->settings.any_profile) return CLI_DONE;
    int code = level_choose(cli, recipe);
    return code ? code : tuned_choose(cli, recipe);
}

/* How a dream is made again: a line to be typed, so that nothing in it may be more than a word or an option. */
static int dream_explain(const struct cli *cli, const char *objective, const char *options) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+- ";
    char *word = cli_shell_quoted(objective);
    int code = cli_fail("%s: is a dream, which is made again from the picture it began with: phosphene dream PICTURE %s %s",
                        cli->settings.recipe, word, options[strspn(options, plain)] ? "OPTIONS" : options);
    free(word);
    return code;
}

int cli_recipe_read(struct cli *cli, struct cli_recipe *recipe) {
    ph_picture *picture = NULL;
    char dream[LONGEST_VALUE];
    *recipe = (struct cli_recipe){0};
    if (ph_picture_load(cli->context, cli->settings.recipe, &picture)) return cli_fail_library(cli);
    recipe->text = cli_format("%s", ph_picture_recipe(picture));
    ph_picture_destroy(&picture);
    recipe->objective = objective_find(recipe->text);
    if (!recipe->objective) return cli_fail("%s: the picture carries no recipe", cli->settings.recipe);
    if (ph_recipe_lookup(recipe->text, "#dream", dream, sizeof dream)) return dream_explain(cli, recipe->objective, dream);
    if (ph_recipe_parse(cli->recipe, recipe->text) || cli_options_reapply(cli))
        return cli_fail("%s: %s", cli->settings.recipe, ph_context_error(cli->context));
    int code = files_check(cli, recipe);
    if (!code) code = model_choose(cli, recipe);
    if (!code) code = networks_choose(cli, recipe);
    return code ? code : profile_choose(cli, recipe);
}

void cli_recipe_finish(struct cli_recipe *recipe) {
    free(recipe->text);
    free(recipe->objective);
    free(recipe->model_path);
    for (int i = 0; i < recipe->with_count; i++) free(recipe->with[i]);
    *recipe = (struct cli_recipe){0};
}

/* Sets the preprocessing of the fact "#input=scale=255 mean=104,117,123 deviation=1,1,1 order=bgr", if there is one. */
static ph_status input_fact_apply(ph_model *model, const char *text, const char *key) {
    char fact[LONGEST_VALUE];
    const char *mean = NULL, *scale = NULL, *deviation = NULL, *order = NULL;
    const struct {
        const char *key;
        const char **value;
    } keys[] = {{"mean=", &mean}, {"scale=", &scale}, {"deviation=", &deviation}, {"order=", &order}};
    if (!ph_recipe_lookup(text, key, fact, sizeof fact)) return PH_OK;
    for (char *rest = fact, *word; (word = strsep(&rest, " "));)
        for (int i = 0; i < CLI_COUNT(keys); i++)
            if (!strncmp(word, keys[i].key, strlen(keys[i].key))) *keys[i].value = word + strlen(keys[i].key);
    return ph_model_set_preprocessing_text(model, NULL, mean, scale, deviation, order);
}

/* Holds the joined networks to the recipe's, and sets their preprocessing. */
static int networks_apply(struct cli *cli, const char *text, ph_model *model) {
    char name[LONGEST_VALUE], sha256[LONGEST_VALUE], key[64];
    for (int i = 1; network_fact(text, i, "", name, sizeof name); i++) {
        ph_model *joined = ph_model_joined(model, name);
        if (!joined) continue; /* the objective will say so */
        ph_model_info info = ph_model_describe(joined);
        if (network_fact(text, i, "-sha256", sha256, sizeof sha256) && strcmp(sha256, info.sha256))
            return cli_fail("%s: was made with another network %s (SHA-256 %s) than %s (%s); --with %s=FILE names the right "
                            "one",
                            cli->settings.recipe, name, sha256, info.path, info.sha256, name);
        snprintf(key, sizeof key, "#network-%d-input", i);
        if (input_fact_apply(joined, text, key))
            return cli_fail("%s: %s", cli->settings.recipe, ph_context_error(cli->context));
    }
    return CLI_DONE;
}

int cli_recipe_apply(struct cli *cli, const struct cli_recipe *recipe, ph_model *model) {
    ph_model_info info = ph_model_describe(model);
    if (*recipe->sha256 && strcmp(recipe->sha256, info.sha256))
        return cli_fail("%s: was made with another network (SHA-256 %s) than %s (%s); --model FILE names the right one",
                        cli->settings.recipe, recipe->sha256, info.path, info.sha256);
    int code = networks_apply(cli, recipe->text, model);
    if (code || cli_preprocessing_given(&cli->settings)) return code;
    if (!input_fact_apply(model, recipe->text, "#input")) return CLI_DONE;
    return cli_fail("%s: %s", cli->settings.recipe, ph_context_error(cli->context));
}

/* ---- Comparing --------------------------------------------------------------------------------------------------- */

static bool same_floats(const float *a, const float *b, int count) {
    for (int i = 0; i < count; i++)
        if (a[i] != b[i]) return false;
    return true;
}

static bool same_preprocessing(const ph_preprocessing *a, const ph_preprocessing *b) {
    return a->channels == b->channels && a->scale == b->scale && a->bgr == b->bgr &&
           same_floats(a->mean, b->mean, a->channels) && same_floats(a->deviation, b->deviation, a->channels);
}

static bool input_fact_fits(ph_model *model, const char *text, const char *key) {
    ph_preprocessing now = ph_model_preprocessing(model);
    bool fits = !input_fact_apply(model, text, key);
    ph_preprocessing then = ph_model_preprocessing(model);
    ph_model_set_preprocessing(model, &now);
    return fits && same_preprocessing(&now, &then);
}

static bool networks_fit(ph_model *model, const char *text) {
    char name[LONGEST_VALUE], sha256[LONGEST_VALUE], key[64];
    for (int i = 1; network_fact(text, i, "", name, sizeof name); i++) {
        ph_model *joined = ph_model_joined(model, name);
        snprintf(key, sizeof key, "#network-%d-input", i);
        if (!joined || !network_fact(text, i, "-sha256", sha256, sizeof sha256) ||
            strcmp(sha256, ph_model_describe(joined).sha256) || !input_fact_fits(joined, text, key))
            return false;
    }
    return true;
}

/* The first option in which two recipe texts differ. */
static char *text_difference(const char *there, const char *here) {
    char value_there[LONGEST_VALUE], value_here[LONGEST_VALUE];
    const ph_option_info *info;
    for (int i = 0; (info = ph_recipe_option(i)); i++) {
        bool is_there = ph_recipe_lookup(there, info->name, value_there, sizeof value_there);
        bool is_here = ph_recipe_lookup(here, info->name, value_here, sizeof value_here);
        if (is_there != is_here || (is_here && strcmp(value_there, value_here)))
            return cli_format("was made with --%s %s, not %s", info->name, is_there ? value_there : info->initial,
                              is_here ? value_here : info->initial);
    }
    return cli_format("was made with other options");
}

/* Which of an objective's pictures it is, is no difference. */
static ph_status item_forget(ph_recipe *recipe, const char *text, int item) {
    char value[LONGEST_VALUE];
    if (!item || !ph_recipe_lookup(text, "item", value, sizeof value) || atoi(value) != item) return PH_OK;
    return ph_recipe_set(recipe, "item", "0");
}

static char *options_difference(const struct cli *cli, const char *text, int item) {
    ph_recipe *recipe = NULL;
    char *there = NULL, *here = NULL, *difference = NULL;
    if (ph_recipe_create(cli->context, &recipe) || ph_recipe_parse(recipe, text) ||
        item_forget(recipe, text, item) || ph_recipe_text(recipe, &there) ||
        ph_recipe_text(cli->recipe, &here))
        difference = cli_format("has a recipe that cannot be read: %s", ph_context_error(cli->context));
    else if (strcmp(there, here)) difference = text_difference(there, here);
    ph_string_destroy(&there);
    ph_string_destroy(&here);
    ph_recipe_destroy(&recipe);
    return difference;
}

char *cli_recipe_difference(const struct cli *cli, ph_model *model, const char *text, const char *objective,
                            int item) {
    char value[LONGEST_VALUE], *shown = objective_find(text);
    char *difference = !shown ? cli_format("carries no recipe") : strcmp(shown, objective) ? cli_format("shows %s", shown) : NULL;
    free(shown);
    if (difference) return difference;
    if (!ph_recipe_lookup(text, "#model-sha256", value, sizeof value) || strcmp(value, ph_model_describe(model).sha256))
        return cli_format("is of another network");
    if (!networks_fit(model, text)) return cli_format("was joined by other networks");
    if (!input_fact_fits(model, text, "#input")) return cli_format("was made with another preprocessing");
    return options_difference(cli, text, item);
}
