/* phosphene explain: which pixels of pictures, or which units of a layer, mattered for an objective. */
#include "cli.h"
#include "explain.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Words of the command line ----------------------------------------------------------------------------------- */

static bool is_word(const char *text, const char *const *words) {
    for (; *words; words++)
        if (!strcmp(text, *words)) return true;
    return false;
}

int cli_explain_options(struct cli *cli, ph_explain_options *options, ph_picture **baseline) {
    static const char *const baselines[] = {"black", "mean", "blur", "noise", NULL};
    const struct cli_settings *s = &cli->settings;
    int code = CLI_DONE;
    options->fit = s->fit;
    options->against = s->against;
    options->layer = s->layer;
    options->average = s->average;
    options->samples = s->samples;
    options->steps = s->path_steps;
    options->patch = s->patch;
    options->stride = s->stride;
    options->masks = s->masks;
    options->grid = s->mask_grid;
    options->seed = (uint64_t)s->start_seed;
    if (!code) code = cli_number_read(cli, "noise", s->noise, &options->noise);
    if (!code) code = cli_number_read(cli, "tolerance", s->tolerance, &options->tolerance);
    if (!code) code = cli_number_read(cli, "keep", s->keep, &options->keep);
    if (!code) code = cli_number_read(cli, "epsilon", s->epsilon, &options->epsilon);
    if (!code) code = cli_number_read(cli, "gamma", s->gamma, &options->gamma);
    if (!code) code = cli_number_read(cli, "alpha", s->alpha, &options->alpha);
    if (code || !s->baseline) return code;
    if (is_word(s->baseline, baselines)) {
        options->baseline = s->baseline;
    } else if (!cli_file_exists(s->baseline)) {
        return cli_usage(cli, "--baseline: '%s' is neither black, mean, blur, noise nor a picture", s->baseline);
    } else {
        if (ph_picture_load(cli->context, s->baseline, baseline)) return cli_fail_library(cli);
        options->baseline_picture = *baseline;
    }
    return code;
}

static int drawing_options(const struct cli *cli, ph_drawing_options *drawing) {
    drawing->style = cli->settings.style;
    drawing->colours = cli->settings.colours;
    int code = cli_number_read(cli, "opacity", cli->settings.opacity, &drawing->opacity);
    return code ? code : cli_number_read(cli, "percentile", cli->settings.percentile, &drawing->percentile);
}

/* "a,b,c" apart; the text is changed. */
static int words_split(char *text, const char **words, int most) {
    int count = 0;
    for (char *word = strtok(text, ","); word && count < most; word = strtok(NULL, ",")) words[count++] = word;
    return count;
}

int cli_methods_read(const struct cli *cli, char *text, const char **methods, int *count) {
    const ph_catalogue_entry *entry;
    int known = 0;
    while (ph_catalogue("attribution-methods", known)) known++;
    if (strcmp(text, "all")) {
        *count = words_split(text, methods, CLI_MOST_METHODS);
        return *count ? CLI_DONE : cli_usage(cli, "--method needs a name; phosphene list attribution-methods");
    }
    *count = 0;
    for (int i = 0; (entry = ph_catalogue("attribution-methods", i)) && *count < CLI_MOST_METHODS; i++)
        if (strncmp(entry->name, "layer-", 6) || !strcmp(entry->name, "layer-cam")) methods[(*count)++] = entry->name;
    return CLI_DONE;
}

void cli_pictures_split(struct cli *cli, int *picture_count) {
    int pictures = 0;
    for (int i = 0; i < cli->argument_count; i++) {
        if (i && !cli_file_exists(cli->arguments[i])) continue;
        const char *picture = cli->arguments[i];
        memmove(cli->arguments + pictures + 1, cli->arguments + pictures,
                (size_t)(i - pictures) * sizeof *cli->arguments);
        cli->arguments[pictures++] = picture;
    }
    *picture_count = pictures;
}

/* ---- Progress ---------------------------------------------------------------------------------------------------- */

bool cli_explain_progress(void *user, int64_t done, int64_t total, double seconds_left) {
    struct cli_explain_watch *watch = user;
    double now = cli_seconds();
    int decile = (int)(10 * done / total);
    if (cli_interrupted()) return false;
    if (watch->quiet || now - watch->started < 1) return true;
    if (watch->terminal ? now - watch->drawn < 0.1 : decile <= watch->decile) return true;
    watch->drawn = now;
    watch->decile = decile;
    char left[32] = "";
    if (seconds_left >= 0) cli_time_left(seconds_left, left, sizeof left);
    fprintf(stderr, watch->terminal ? "\r\033[K%s: %lld of %lld%s%s" : "phosphene: %s: %lld of %lld%s%s\n",
            watch->what, (long long)done, (long long)total, *left ? ", " : "", left);
    fflush(stderr);
    watch->shown = watch->terminal;
    return true;
}

void cli_explain_watch_start(struct cli_explain_watch *watch, const struct cli *cli, const char *what) {
    *watch = (struct cli_explain_watch){.what = what, .started = cli_seconds(), .decile = -1,
        .quiet = cli->settings.quiet, .terminal = isatty(STDERR_FILENO)};
}

void cli_explain_watch_finish(struct cli_explain_watch *watch) {
    if (watch->shown) fputs("\r\033[K", stderr);
    watch->shown = false;
}

/* ---- One explanation --------------------------------------------------------------------------------------------- */

struct explaining {
    struct cli *cli;
    ph_model *model;
    ph_explain_options options;
    ph_drawing_options drawing;
    cJSON *list; /* NULL: text */
};

/* PATH itself for a single picture, else a name in the folder. `suffix` begins behind the dot. */
static char *path_choose(const struct explaining *e, const char *picture, const char *objective, const char *method,
                         const char *suffix) {
    const char *output = e->cli->settings.output;
    size_t length = output ? strlen(output) : 0;
    if (cli_is_png(output)) return cli_format("%.*s%s", (int)length - 4, output, suffix);
    char *stem = cli_stem(picture), *what = objective ? cli_name_safe(objective) : NULL;
    char *path = cli_format("%s%s%s%s%s-%s%s", output ? output : "", output && output[length - 1] != '/' ? "/" : "",
                            stem, what ? "-" : "", what ? what : "", method, suffix);
    free(stem);
    free(what);
    return path;
}

/* "class:281" with its name, for a person. A new string. */
static char *objective_text(const ph_model *model, const char *objective) {
    int index, used = 0;
    if (sscanf(objective, "%*[a-z]:%d%n", &index, &used) == 1 && !objective[used] && ph_model_class_name(model, index))
        return cli_format("%s %s", objective, ph_model_class_name(model, index));
    return cli_format("%s", objective);
}

static cJSON *explanation_json(const struct explaining *e, const char *picture, const char *path,
                               const ph_explanation *explanation) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "picture", picture);
    cJSON_AddStringToObject(json, "objective", explanation->objective);
    cJSON_AddStringToObject(json, "method", explanation->method);
    if (explanation->layer) cJSON_AddStringToObject(json, "layer", explanation->layer);
    cJSON_AddStringToObject(json, "file", path);
    cli_json_add_float(json, "value", (double)explanation->value);
    if (!isnan(explanation->baseline_value))
        cli_json_add_float(json, "baseline_value", (double)explanation->baseline_value);
    cli_json_add_float(json, "sum", explanation->sum);
    if (explanation->absorbed != 0) cli_json_add_float(json, "absorbed", explanation->absorbed);
    if (!isnan(explanation->gap)) cli_json_add_float(json, "gap", explanation->gap);
    if (explanation->steps) cJSON_AddNumberToObject(json, "steps", explanation->steps);
    cli_json_add_float(json, "seconds", explanation->seconds);
    cli_json_add_shape(json, "shape", explanation->attribution->rank, explanation->attribution->dims);
    if (!explanation->units) return json;
    cJSON *units = cJSON_AddArrayToObject(json, "units");
    for (int i = 0; i < explanation->unit_count && i < e->cli->settings.units; i++) {
        cJSON *unit = cJSON_CreateObject();
        cJSON_AddNumberToObject(unit, "unit", explanation->units[i].unit);
        cli_json_add_float(unit, "share", explanation->units[i].share);
        cJSON_AddItemToArray(units, unit);
    }
    return json;
}

static void explanation_print(const struct explaining *e, const char *path, const ph_explanation *explanation) {
    char *objective = objective_text(e->model, explanation->objective);
    if (e->cli->settings.quiet) {
        free(objective);
        return;
    }
    cli_print("%s  %s = %.6g  %s", path, objective, (double)explanation->value, explanation->method);
    if (explanation->layer) cli_print(" of %s", explanation->layer);
    if (explanation->steps) cli_print(", %d steps", explanation->steps);
    cli_print(", %.2f s\n", explanation->seconds);
    if (!isnan(explanation->gap)) {
        double difference = isnan(explanation->baseline_value)
                                ? (double)explanation->value
                                : (double)explanation->value - (double)explanation->baseline_value;
        cli_print("  sum %.6g", explanation->sum);
        if (explanation->absorbed != 0) cli_print(", absorbed by biases and epsilon %.6g", explanation->absorbed);
        cli_print(", of %.6g: completeness gap %.3g %%\n", difference, 100 * explanation->gap / fabs(difference));
    }
    for (int i = 0; explanation->units && i < explanation->unit_count && i < e->cli->settings.units; i++)
        cli_print("  %s:%d  %.6g\n", explanation->layer, explanation->units[i].unit, explanation->units[i].share);
    fflush(stdout);
    free(objective);
}

/* After a call that takes its time. */
static int explain_fail(const struct cli *cli) {
    return cli_interrupted() ? cli_fail("interrupted; what is not finished is not written") : cli_fail_library(cli);
}

struct units_watch { struct cli_explain_watch watch; int total; };

static bool units_progress(void *user, const ph_progress *now) {
    struct units_watch *watch = user;
    int64_t done = (int64_t)now->first * now->steps + (int64_t)now->count * now->step;
    return cli_explain_progress(&watch->watch, done, (int64_t)watch->total * now->steps, now->seconds_left);
}

/* A sheet of feature pictures of the strongest units, in the size of the picture. */
static int units_draw(const struct explaining *e, const ph_explanation *explanation, const char *path) {
    enum { GAP = 8 };
    struct cli *cli = e->cli;
    int count = cli->settings.show_units < explanation->unit_count ? cli->settings.show_units : explanation->unit_count;
    ph_recipe *recipe = NULL;
    ph_picture **pictures = cli_allocate((size_t)count + 1, sizeof *pictures), *sheet = NULL;
    char **objectives = cli_allocate((size_t)count, sizeof *objectives);
    char **captions = cli_allocate((size_t)count + 1, sizeof *captions);
    char size[64];
    ph_status status = ph_recipe_create(cli->context, &recipe);
    snprintf(size, sizeof size, "%dx%d", ph_picture_width(explanation->picture),
             ph_picture_height(explanation->picture));
    if (!status) status = ph_recipe_set(recipe, "size", size);
    for (int i = 0; i < count; i++) {
        objectives[i] = cli_format("'%s':%d", explanation->layer, explanation->units[i].unit);
        captions[i + 1] = cli_format("%d: %.2g", explanation->units[i].unit, explanation->units[i].share);
    }
    captions[0] = objective_text(e->model, explanation->objective);
    ph_drawing_options drawing = e->drawing;
    drawing.style = explanation->map ? "overlay" : "picture";
    if (!status && explanation->map) status = ph_explanation_draw(explanation, &drawing, &pictures[0]);
    bool with_map = pictures[0] != NULL;
    struct units_watch watch = {.total = count};
    ph_render_callbacks callbacks = {.progress = units_progress, .user = &watch};
    cli_explain_watch_start(&watch.watch, cli, "steps of feature pictures");
    if (!status) status = ph_render(e->model, recipe, (const char *const *)objectives, count, &callbacks, pictures + 1);
    cli_explain_watch_finish(&watch.watch);
    if (!status)
        status = ph_picture_sheet(cli->context, (const ph_picture *const *)(with_map ? pictures : pictures + 1),
                                  (const char *const *)(with_map ? captions : captions + 1), count + with_map, 0, GAP,
                                  &sheet);
    if (!status) status = ph_picture_save(sheet, path, cli->settings.force);
    int code = status ? explain_fail(cli) : CLI_DONE;
    for (int i = 0; i <= count; i++) {
        ph_picture_destroy(&pictures[i]);
        free(captions[i]);
        if (i < count) free(objectives[i]);
    }
    free(pictures);
    free(objectives);
    free(captions);
    ph_picture_destroy(&sheet);
    ph_recipe_destroy(&recipe);
    return code;
}

/* The picture, its array, its units. */
static int explanation_save(const struct explaining *e, const ph_explanation *explanation, const char *path,
                            const char *npy, const char *units) {
    struct cli *cli = e->cli;
    ph_picture *drawn = NULL;
    int code = cli_folder_make(path);
    if (!code && explanation->map && (ph_explanation_draw(explanation, &e->drawing, &drawn) ||
                                      ph_picture_save(drawn, path, cli->settings.force)))
        code = cli_fail_library(cli);
    if (!code && npy && ph_tensor_save(cli->context, explanation->attribution, npy, cli->settings.force))
        code = cli_fail_library(cli);
    if (!code && units && explanation->units) code = units_draw(e, explanation, units);
    ph_picture_destroy(&drawn);
    return code;
}

static int existing_check(const struct explaining *e, const char *path) {
    if (path && !e->cli->settings.force && cli_file_exists(path))
        return cli_fail("%s: exists already; --force overwrites it", path);
    return path ? cli_output_check(path) : CLI_DONE;
}

/* One picture, objective (NULL: the top class) and method. */
static int picture_explain(struct explaining *e, const char *name, const ph_picture *picture, const char *objective,
                           const char *method) {
    struct cli_explain_watch watch;
    ph_explanation *explanation = NULL;
    char *path = path_choose(e, name, objective, method, ".png");
    char *npy = e->cli->settings.array ? path_choose(e, name, objective, method, ".npy") : NULL;
    char *units = e->cli->settings.show_units ? path_choose(e, name, objective, method, "-units.png") : NULL;
    int code = existing_check(e, path);
    if (!code) code = existing_check(e, npy);
    if (!code) code = existing_check(e, units);
    cli_explain_watch_start(&watch, e->cli, method);
    e->options.method = method;
    e->options.user = &watch;
    if (!code && ph_explain(e->model, picture, objective, &e->options, &explanation)) {
        cli_explain_watch_finish(&watch);
        code = explain_fail(e->cli);
    }
    cli_explain_watch_finish(&watch);
    if (!code) code = explanation_save(e, explanation, path, npy, units);
    if (!code && e->list) cJSON_AddItemToArray(e->list, explanation_json(e, name, path, explanation));
    else if (!code) explanation_print(e, path, explanation);
    ph_explanation_destroy(&explanation);
    free(path);
    free(npy);
    free(units);
    return code;
}

/* ---- The top classes of a picture in one sheet ------------------------------------------------------------------- */

/* Class `score` explained and drawn, the first with the plain picture before it. */
static int class_explain(struct explaining *e, const char *name, const ph_picture *picture, const char *path,
                         const ph_class_score *score, ph_picture **plain, ph_picture **drawn, char **caption) {
    struct cli_explain_watch watch;
    ph_explanation *explanation = NULL;
    ph_drawing_options drawing = e->drawing;
    char *objective = cli_format("class:%d", score->index);
    const char *class_name = ph_model_class_name(e->model, score->index), *label = class_name ? class_name : objective;
    if (!strcmp(drawing.style, "sheet")) drawing.style = "overlay";
    *caption = cli_format("%.2f %.*s", (double)score->probability, (int)strcspn(label, ","), label);
    cli_explain_watch_start(&watch, e->cli, e->options.method);
    e->options.user = &watch;
    ph_status status = ph_explain(e->model, picture, objective, &e->options, &explanation);
    cli_explain_watch_finish(&watch);
    if (!status) status = ph_explanation_draw(explanation, &drawing, drawn);
    drawing.style = "picture";
    if (!status && plain) status = ph_explanation_draw(explanation, &drawing, plain);
    if (!status && e->list) cJSON_AddItemToArray(e->list, explanation_json(e, name, path, explanation));
    else if (!status) explanation_print(e, path, explanation);
    ph_explanation_destroy(&explanation);
    free(objective);
    return status ? explain_fail(e->cli) : CLI_DONE;
}

static int classes_explain(struct explaining *e, const char *name, const ph_picture *picture, const char *method) {
    enum { GAP = 8, MOST = 100 };
    struct cli *cli = e->cli;
    ph_class_score scores[MOST];
    ph_picture *pictures[MOST + 1] = {NULL}, *sheet = NULL;
    char *captions[MOST + 1] = {cli_stem(name)}, *path = path_choose(e, name, "classes", method, ".png");
    int found = 0, code = existing_check(e, path);
    e->options.method = method;
    if (!code && ph_classify(e->model, picture, e->options.fit, scores, cli->settings.classes, &found))
        code = cli_fail_library(cli);
    for (int i = 0; i < found && !code; i++)
        code = class_explain(e, name, picture, path, &scores[i], i ? NULL : &pictures[0], &pictures[i + 1],
                             &captions[i + 1]);
    if (!code) code = cli_folder_make(path);
    if (!code && (ph_picture_sheet(cli->context, (const ph_picture *const *)pictures, (const char *const *)captions,
                                   found + 1, 0, GAP, &sheet) ||
                  ph_picture_save(sheet, path, cli->settings.force)))
        code = cli_fail_library(cli);
    for (int i = 0; i <= MOST; i++) {
        ph_picture_destroy(&pictures[i]);
        free(captions[i]);
    }
    ph_picture_destroy(&sheet);
    free(path);
    return code;
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static int jobs_run(struct explaining *e, int picture_count, const char *const *methods, int method_count) {
    struct cli *cli = e->cli;
    int objective_count = cli->argument_count - picture_count, code = CLI_DONE;
    for (int i = 0; i < picture_count && !code; i++) {
        ph_picture *picture = NULL;
        if (ph_picture_load(cli->context, cli->arguments[i], &picture)) code = cli_fail_library(cli);
        for (int m = 0; m < method_count && !code; m++) {
            if (cli->settings.classes) code = classes_explain(e, cli->arguments[i], picture, methods[m]);
            for (int j = 0; j < (objective_count ? objective_count : 1) && !cli->settings.classes && !code; j++)
                code = picture_explain(e, cli->arguments[i], picture,
                                       objective_count ? cli->arguments[picture_count + j] : NULL, methods[m]);
        }
        ph_picture_destroy(&picture);
    }
    return code;
}

static int output_check(const struct cli *cli, int jobs) {
    const char *output = cli->settings.output;
    if (jobs > 1 && cli_is_png(output))
        return cli_usage(cli, "--output: %d explanations cannot all be %s; name a folder", jobs, output);
    return cli_output_format_check(cli);
}

static int run(struct cli *cli) {
    struct explaining e = {.cli = cli, .options = ph_explain_defaults(), .drawing = ph_drawing_defaults()};
    const char *methods[CLI_MOST_METHODS];
    char *method_words = cli_format("%s", cli->settings.attribution);
    ph_picture *baseline = NULL;
    int picture_count, method_count;
    cli_pictures_split(cli, &picture_count);
    e.options.progress = cli_explain_progress;
    int code = cli_methods_read(cli, method_words, methods, &method_count);
    int objectives = cli->argument_count - picture_count;
    if (!code && cli->settings.classes && objectives)
        code = cli_usage(cli, "--classes explains a picture's own top classes: no objective beside it");
    if (!code && !cli->settings.evaluate && (cli->settings.randomise || cli->settings.boxes))
        code = cli_usage(cli, "--randomise and --boxes go with --evaluate");
    if (!code && !cli->settings.evaluate)
        code = output_check(cli, picture_count * (objectives ? objectives : 1) * method_count);
    if (!code) code = drawing_options(cli, &e.drawing);
    if (!code) code = cli_explain_options(cli, &e.options, &baseline);
    if (!code) code = cli_model_open(cli, &e.model);
    if (!code && ph_explain_store_create(e.model, &e.options.store)) code = cli_fail_library(cli);
    cli_interrupt_watch(cli);
    if (cli->settings.json && !cli->settings.evaluate) e.list = cJSON_CreateArray();
    if (!code && cli->settings.evaluate)
        code = cli_explain_evaluate(cli, e.model, &e.options, picture_count, methods, method_count);
    else if (!code) code = jobs_run(&e, picture_count, methods, method_count);
    if (!code && e.list) code = cli_json_print(e.list);
    else cJSON_Delete(e.list);
    ph_picture_destroy(&baseline);
    ph_explain_store_destroy(&e.options.store);
    ph_model_destroy(&e.model);
    free(method_words);
    return code;
}

const struct cli_command cli_explain = {
    .name = "explain",
    .arguments = "IMAGE... [OBJECTIVE...]",
    .help = "which pixels or units mattered for an objective",
    .details =
        "Draws a map of what each part of a picture did for an objective (docs/objectives.md); without one, for "
        "the picture's top class. Arguments that name files are pictures, the others objectives. The map is "
        "written as PICTURE-METHOD.png: by default a sheet of the picture, the map, both, and the picture where "
        "the map is high.\n\n"
        "'phosphene list attribution-methods' names the methods; several are separated by commas, and 'all' runs "
        "every one that draws a map of pixels. docs/explain.md says what each does, which options it reads, and "
        "how far each can be trusted.\n\n"
        "With --evaluate nothing is drawn: the methods are measured on the pictures, or on the pictures in "
        "folders, and a table tells how well each says what the network goes by. --output then names an SVG "
        "file for the curves.\n\n"
        "Ctrl-C ends after the step in work; what is finished stays, and of --evaluate what is measured is printed.",
    .examples = "phosphene explain chelsea.png\n"
                "phosphene explain chelsea.png class:tabby --method integrated-gradients --tolerance 0.01\n"
                "phosphene explain chelsea.png class:tabby --against class:lion --method lrp-epsilon-gamma-box\n"
                "phosphene explain photo.jpg --classes 5 --method grad-cam\n"
                "phosphene explain photo.jpg --method layer-gradient --layer conv4b --show-units 8\n"
                "phosphene explain pictures/ --evaluate --method gradient,grad-cam,rise --randomise 6 -o curves.svg",
    .options = CLI_EXPLAIN | CLI_FIT | CLI_WRITE | CLI_NETWORK,
    .least = 1,
    .most = -1,
    .run = run,
};
