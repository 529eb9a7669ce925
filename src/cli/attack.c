/* phosphene solve --image: adversarial pictures, by the presets of that command. */
#include "cli.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHITE 255 /* the levels of a file's values, in which --radius is given */

static const char *class_name(ph_model *model, int index) {
    const char *name = ph_model_class_name(model, index);
    return name ? name : "";
}

static void scores_print(ph_model *model, const char *when, const ph_class_score *scores, int count) {
    cli_print("%s\n", when);
    for (int i = 0; i < count; i++)
        cli_print("  %.4f %5d  %s\n", (double)scores[i].probability, scores[i].index, class_name(model, scores[i].index));
}

static void change_print(const char *what, const ph_change *change) {
    cli_print("%s: norm 2 %.5g (%.5g of 255), largest %.5g (%.5g of 255), %lld values\n", what, change->norm,
           change->norm * WHITE, change->largest, change->largest * WHITE, (long long)change->changed);
}

static void scores_add(cJSON *json, ph_model *model, const char *name, const ph_class_score *scores, int count) {
    cJSON *list = cJSON_AddArrayToObject(json, name);
    for (int i = 0; i < count; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "class", scores[i].index);
        cJSON_AddStringToObject(item, "name", class_name(model, scores[i].index));
        cli_json_add_float(item, "probability", (double)scores[i].probability);
        cJSON_AddItemToArray(list, item);
    }
}

static void change_add(cJSON *json, const char *name, const ph_change *change) {
    cJSON *item = cJSON_AddObjectToObject(json, name);
    cJSON_AddNumberToObject(item, "norm", change->norm);
    cJSON_AddNumberToObject(item, "norm-255", change->norm * WHITE);
    cJSON_AddNumberToObject(item, "largest", change->largest);
    cJSON_AddNumberToObject(item, "largest-255", change->largest * WHITE);
    cJSON_AddNumberToObject(item, "changed", (double)change->changed);
}

static int attack_print(const struct cli *cli, ph_model *model, const ph_attack *attack, const char *path) {
    if (cli->settings.json) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "file", path);
        cJSON_AddStringToObject(json, "method", attack->method);
        cJSON_AddNumberToObject(json, "radius", attack->radius);
        cJSON_AddNumberToObject(json, "steps", attack->steps);
        cJSON_AddNumberToObject(json, "evaluations", (double)attack->evaluations);
        cJSON_AddBoolToObject(json, "succeeded", attack->succeeded);
        scores_add(json, model, "before", attack->before, attack->score_count);
        scores_add(json, model, "after", attack->after, attack->score_count);
        change_add(json, "change", &attack->rounded);
        change_add(json, "unrounded", &attack->unrounded);
        return cli_json_print(json);
    }
    if (cli->settings.quiet) return CLI_DONE;
    scores_print(model, "before", attack->before, attack->score_count);
    scores_print(model, "after, on 8 bits", attack->after, attack->score_count);
    change_print("change on 8 bits", &attack->rounded);
    change_print("before rounding", &attack->unrounded);
    cli_print("%s  %s, %d steps, %lld evaluations\n", path, attack->method, attack->steps, (long long)attack->evaluations);
    return CLI_DONE;
}

static int options_make(const struct cli *cli, ph_attack_options *options) {
    const struct cli_settings *settings = &cli->settings;
    *options = ph_attack_defaults();
    if (settings->attack) options->method = settings->attack;
    options->fit = settings->fit;
    options->toward = settings->toward;
    options->steps = settings->attack_steps;
    if (!settings->radius) return CLI_DONE;
    char *end;
    options->radius = strtod(settings->radius, &end) / WHITE;
    return end != settings->radius && !*end && isfinite(options->radius) && options->radius > 0
               ? CLI_DONE
               : cli_usage(cli, "--radius: '%s' is not a number above 0", settings->radius);
}

/* "STEM-METHOD.png" in the current folder. */
static char *default_path(const struct cli *cli, const char *method) {
    const char *slash = strrchr(cli->settings.image, '/'), *base = slash ? slash + 1 : cli->settings.image;
    const char *dot = strrchr(base, '.');
    return cli_format("%.*s-%s.png", dot && dot > base ? (int)(dot - base) : (int)strlen(base), base, method);
}

static int attack(struct cli *cli, const ph_attack_options *options, const char *path) {
    ph_model *model = NULL;
    ph_picture *picture = NULL;
    ph_attack *made = NULL;
    int code = cli_model_open(cli, &model);
    ph_status status = code ? PH_OK : ph_picture_load(cli->context, cli->settings.image, &picture);
    if (!status && !code) status = ph_attack_create(model, picture, options, &made);
    if (!status && !code) code = cli_folder_make(path);
    if (!status && !code) status = ph_picture_save(made->picture, path, cli->settings.force);
    if (status) code = cli_fail_library(cli);
    if (!code) code = attack_print(cli, model, made, path);
    if (!code && !made->succeeded)
        code = cli_fail("%s: the network still takes it for %d (%s); a larger --radius or more --steps may do", path,
                        made->after[0].index, class_name(model, made->after[0].index));
    ph_attack_destroy(&made);
    ph_picture_destroy(&picture);
    ph_model_destroy(&model);
    return code;
}

int cli_attack(struct cli *cli) {
    ph_attack_options options;
    if (!cli->settings.image) return cli_usage(cli, "--preset changes a picture: --image PICTURE is missing");
    if (cli->argument_count)
        return cli_usage(cli, "with --image there is no OBJECTIVE: the presets are about the picture's class; --toward "
                              "CLASS names another");
    int code = options_make(cli, &options);
    if (code) return code;
    const char *given = cli->settings.output;
    char *path = given ? cli_format("%s", given) : default_path(cli, options.method);
    if (!cli_is_png(path)) code = cli_usage(cli, "--output: '%s' does not end in .png", path);
    if (!code && !cli->settings.force && cli_file_exists(path))
        code = cli_fail("%s: exists already; --force overwrites it", path);
    if (!code) code = cli_output_check(path);
    if (!code) code = attack(cli, &options, path);
    free(path);
    return code;
}
