/* phosphene invert: pictures that a layer cannot tell from a given one (Mahendran and Vedaldi, "Understanding Deep Image
 * Representations by Inverting Them", arXiv:1412.0035). What is rendered is an objective like any other: the match with the
 * picture's values, less the paper's regularisers, with the recipe of a preset. */
#include "cli.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The paper weighs its regularisers against pictures whose values run from 0 to 255 and deviate by 68.92 from their mean
 * (sigma = 27098 for 227 x 227 x 3). In means over pixels from 0 to 1, as the regularisers here are:
 * 4e-10 * 255^6 / 68.92^2 for the alpha norm, and 255^2 / 68.92^2 for each of the variation's lambda. */
#define ALPHA_WEIGHT 23.15
#define VARIATION_WEIGHT 13.69

struct inverting {
    struct cli *cli;
    ph_model *model;
    const char *picture;
    char *fitted;                /* for messages; the picture's name without its ending */
    int width, height;           /* of the pictures made */
    double variation;            /* lambda; NAN: as the method has it */
    ph_picture *target, **naturals; /* of --natural */
    int natural_count;
    const ph_layer_info *layers;
    int layer_count;
    char **chosen;               /* names of the layers to invert */
    int count;
    char **objectives;
    ph_picture **results;
    int finished;                /* of them, from the first */
    int step, steps;             /* of those in work */
    struct cli_progress progress;
};

/* ---- Which layers ------------------------------------------------------------------------------------------------ */

static int layer_find(const struct inverting *v, const char *name) {
    for (int i = 0; i < v->layer_count; i++)
        if (!strcmp(v->layers[i].name, name)) return i;
    return -1;
}

static void layer_add(struct inverting *v, const char *name) {
    for (int i = 0; i < v->count; i++)
        if (!strcmp(v->chosen[i], name)) return;
    v->chosen[v->count++] = cli_format("%s", name);
}

/* "all": those that everything behind them depends on alone, but for what only renames and, up to the first layer of
 * another shape than the picture's, what is the picture itself in other units. */
static void layers_all(struct inverting *v) {
    static const char *const names_only[] = {"reshape", "flatten", "identity", "squeeze", "unsqueeze", "cast", NULL};
    int64_t picture[] = {1, ph_model_describe(v->model).channels, v->height, v->width};
    bool started = false;
    for (int i = 0; i < v->layer_count; i++) {
        started = started || v->layers[i].rank != 4 || memcmp(v->layers[i].dims, picture, sizeof picture) != 0;
        bool wanted = started && v->layers[i].trunk && v->layers[i].rank >= 2;
        for (int k = 0; names_only[k]; k++) wanted = wanted && strcmp(v->layers[i].operation, names_only[k]) != 0;
        if (wanted) layer_add(v, v->layers[i].name);
    }
}

static const char *layer_name(void *user, int index) {
    const struct inverting *v = user;
    return index < v->layer_count ? v->layers[index].name : NULL;
}

static int layer_unknown(struct inverting *v, const char *name) {
    const char *nearest = cli_nearest(name, layer_name, v);
    return nearest ? cli_fail("the network has no layer '%s', did you mean '%s'?", name, nearest)
                   : cli_fail("the network has no layer '%s'; phosphene inspect lists them", name);
}

static int layers_choose(struct inverting *v) {
    struct cli *cli = v->cli;
    if (ph_model_layers(v->model, v->height, v->width, &v->layers, &v->layer_count)) return cli_fail_library(cli);
    v->chosen = cli_allocate((size_t)v->layer_count + (size_t)cli->argument_count, sizeof *v->chosen);
    for (int i = 1; i < cli->argument_count; i++) {
        if (!strcmp(cli->arguments[i], "all")) layers_all(v);
        else if (layer_find(v, cli->arguments[i]) < 0) return layer_unknown(v, cli->arguments[i]);
        else layer_add(v, cli->arguments[i]);
    }
    if (cli->argument_count == 1 && cli->settings.representation)
        layer_add(v, v->layers[v->layer_count - 1].name);
    else if (cli->argument_count == 1) return cli_usage(cli, "no layer; 'all' takes every one of them");
    return v->count ? CLI_DONE : cli_fail("there is no layer to invert");
}

/* ---- What is rendered -------------------------------------------------------------------------------------------- */

/* The paper, which optimises pixels, takes 0.5, 5 and 50 for the first, second and last third of the network. Methods on a
 * Fourier spectrum come nearer with little of it, and to pictures as clear, for such a start is smooth already. */
static double variation_of(const struct inverting *v, int layer) {
    if (!isnan(v->variation)) return v->variation;
    double depth = (layer + 0.5) / v->layer_count;
    bool pixels = !strcmp(ph_recipe_get(v->cli->recipe, "parameterisation"), "pixel");
    return !pixels || depth < 1.0 / 3 ? 0.5 : depth < 2.0 / 3 ? 5 : 50;
}

/* "@3-7,3-7": that many positions in the middle of the layer. A new string. */
static int window_text(const struct inverting *v, const ph_layer_info *layer, char **text) {
    const char *window = v->cli->settings.window;
    int columns, rows;
    char rest;
    *text = NULL;
    if (!window) *text = cli_format("%s", "");
    else if (sscanf(window, "%dx%d%c", &columns, &rows, &rest) != 2 || columns < 1 || rows < 1)
        return cli_usage(v->cli, "--window: '%s' is not of the form COLUMNSxROWS", window);
    else if (layer->rank != 4 || columns > layer->dims[3] || rows > layer->dims[2])
        return cli_fail("--window: the layer %s has %lld columns and %lld rows", layer->name,
                        (long long)(layer->rank == 4 ? layer->dims[3] : 1), (long long)(layer->rank == 4 ? layer->dims[2] : 1));
    else {
        int left = (int)(layer->dims[3] - columns) / 2, top = (int)(layer->dims[2] - rows) / 2;
        *text = cli_format("@%d-%d,%d-%d", left, left + columns - 1, top, top + rows - 1);
    }
    return CLI_DONE;
}

/* In quotation marks, as the grammar wants names that hold anything: one inside is written twice. A new string. */
static char *quoted(const char *name) {
    struct cli_text text = {0};
    cli_text_append(&text, "'");
    for (; *name; name++) cli_text_append(&text, *name == '\'' ? "''" : "%c", *name);
    cli_text_append(&text, "'");
    return text.data;
}

/* The match, of each channel asked for alone, or of all. */
static int objective_make(const struct inverting *v, const char *name, char **objective) {
    const struct cli_settings *s = &v->cli->settings;
    int layer = layer_find(v, name);
    char *window;
    int code = window_text(v, &v->layers[layer], &window);
    if (code) return code;
    struct cli_text text = {0};
    char *of = quoted(name), *picture = quoted(v->picture);
    if (!s->channels) cli_text_append(&text, "match(%s%s, %s, by=%s)", of, window, picture, s->loss);
    char *list = cli_format("%s", s->channels ? s->channels : "");
    int count = 0;
    for (char *rest = list, *word; s->channels && (word = strsep(&rest, ","));) {
        if (!*word || word[strspn(word, "0123456789")])
            code = cli_usage(v->cli, "--channels: '%s' is not a list of channels, such as 3,7,12", s->channels);
        cli_text_append(&text, "%smatch(%s:%s%s, %s, by=%s)", count++ ? " + " : "", of, word, window, picture, s->loss);
    }
    double share = count ? count : 1;
    cli_text_append(&text, " - %.6g*alpha_norm(6) - %.6g*tv_beta(2)", share * ALPHA_WEIGHT,
                    share * VARIATION_WEIGHT * variation_of(v, layer));
    free(list);
    free(window);
    free(of);
    free(picture);
    *objective = text.data;
    return code;
}

/* The method: the preset 'inversion' unless another is named. */
static int recipe_prepare(struct cli *cli) {
    if (cli_option_is_given(cli, "preset")) return CLI_DONE;
    return ph_recipe_set(cli->recipe, "preset", "inversion") || cli_options_reapply(cli) ? cli_fail_library(cli) : CLI_DONE;
}

/* ---- How near it came -------------------------------------------------------------------------------------------- */

static size_t tensor_size(const ph_tensor *tensor) {
    size_t size = 1;
    for (int i = 0; i < tensor->rank; i++) size *= (size_t)tensor->dims[i];
    return size;
}

static int picture_load(const struct inverting *v, const char *path, ph_picture **picture) {
    struct cli *cli = v->cli;
    ph_picture *read = NULL;
    ph_status status = ph_picture_load(cli->context, path, &read);
    if (!status) status = ph_picture_cover(read, v->height, v->width, picture);
    ph_picture_destroy(&read);
    return status ? cli_fail_library(cli) : CLI_DONE;
}

/* The pictures of --natural, and the one to be inverted, cut to the size of those made. */
static int naturals_load(struct inverting *v) {
    const char *folder = v->cli->settings.natural;
    int count, code = CLI_DONE;
    if (!folder) return CLI_DONE;
    char **paths = cli_pictures_in(folder, &count);
    if (count < 2) code = cli_fail("--natural: %s holds %d pictures, and distances need two", folder, count);
    else code = picture_load(v, v->picture, &v->target);
    v->naturals = cli_allocate((size_t)count, sizeof *v->naturals);
    for (; v->natural_count < count && !code; v->natural_count++)
        code = picture_load(v, paths[v->natural_count], &v->naturals[v->natural_count]);
    for (int i = 0; i < count; i++) free(paths[i]);
    free(paths);
    return code;
}

/* The square of a target's norm over the mean squared distance between natural pictures, by which a relative error becomes
 * the paper's normalised one. The squared distances of all n (n - 1) / 2 pairs add up to n sum |x|^2 - |sum x|^2. */
static int natural_ratio(const struct inverting *v, const char *layer, double *ratio) {
    ph_tensor *values = NULL;
    if (ph_activations(v->model, v->target, "none", layer, &values)) return cli_fail_library(v->cli);
    size_t size = tensor_size(values);
    double n = v->natural_count, target = 0, squares = 0, square = 0, *sum = cli_allocate(size, sizeof *sum);
    int code = CLI_DONE;
    for (size_t i = 0; i < size; i++) target += (double)values->data[i] * values->data[i];
    for (int p = 0; p < v->natural_count && !code; p++) {
        ph_tensor_destroy(&values);
        if (ph_activations(v->model, v->naturals[p], "none", layer, &values)) code = cli_fail_library(v->cli);
        for (size_t i = 0; i < size && !code; i++) {
            squares += (double)values->data[i] * values->data[i];
            sum[i] += (double)values->data[i];
        }
    }
    for (size_t i = 0; i < size; i++) square += sum[i] * sum[i];
    *ratio = target / ((n * squares - square) / (0.5 * n * (n - 1)));
    ph_tensor_destroy(&values);
    free(sum);
    return code;
}

/* Mean of the errors of the terms, which are relative to their targets. */
static double error_of(const ph_picture *picture) {
    ph_term_error error;
    double sum = 0;
    int count = 0;
    for (; ph_picture_error(picture, count, &error); count++) sum += error.error;
    return count ? sum / count : NAN;
}

/* ---- What comes out ---------------------------------------------------------------------------------------------- */

static char *output_path(const struct inverting *v, const char *layer) {
    const char *output = v->cli->settings.output;
    char *safe = cli_name_safe(layer), *path;
    size_t length = output ? strlen(output) : 0;
    if (v->count == 1 && cli_is_png(output)) path = cli_format("%s", output);
    else if (output) path = cli_format("%s%s%s.png", output, output[length - 1] == '/' ? "" : "/", safe);
    else path = cli_format("%s-inverted%s%s.png", v->fitted, v->count > 1 ? "/" : "-", safe);
    free(safe);
    return path;
}

static char *strip_path(const struct inverting *v) {
    char *first = output_path(v, v->chosen[0]), *folder = cli_folder_of(first), *path = cli_format("%s/sheet.png", folder);
    free(first);
    free(folder);
    return path;
}

static int outputs_check(const struct inverting *v) {
    const char *output = v->cli->settings.output;
    if (v->count > 1 && cli_is_png(output))
        return cli_usage(v->cli, "--output: %d pictures cannot all be %s; name a folder", v->count, output);
    int code = cli_output_format_check(v->cli);
    for (int i = 0; i <= v->count && !code; i++) {
        char *path = i < v->count ? output_path(v, v->chosen[i]) : strip_path(v);
        if (i == v->count && v->count == 1) code = CLI_DONE;
        else if (!v->cli->settings.force && cli_file_exists(path))
            code = cli_fail("%s: exists already; --force overwrites it", path);
        else code = cli_output_check(path);
        free(path);
    }
    return code;
}

static bool on_progress(void *user, const ph_progress *now) {
    struct inverting *v = user;
    v->step = now->step;
    v->steps = now->steps;
    cli_progress_update(&v->progress, now, v->chosen[now->first], v->count);
    return !cli_interrupted();
}

static void on_finished(void *user, int item, const ph_picture *picture) {
    struct inverting *v = user;
    (void)picture;
    if (!cli_interrupted()) v->finished = item + 1;
}

/* What is written of a run that was interrupted: pictures that are done, and those in work as they are. */
static int interrupted_report(const struct inverting *v, int written) {
    for (int i = v->finished; i < written; i++) {
        char *path = output_path(v, v->chosen[i]);
        cli_fail("interrupted after step %d of %d; %s is the picture so far", v->step, v->steps, path);
        free(path);
    }
    return written > v->finished ? CLI_FAILED : cli_fail("interrupted");
}

static int picture_report(struct inverting *v, int index, cJSON *list, char **caption) {
    struct cli *cli = v->cli;
    const ph_picture *picture = v->results[index];
    bool bounded = strcmp(cli->settings.loss, "dot") != 0, natural = cli->settings.natural && bounded;
    double error = error_of(picture), ratio = NAN;
    char *path = output_path(v, v->chosen[index]);
    int code = cli_folder_make(path);
    if (!code && ph_picture_save(picture, path, cli->settings.force)) code = cli_fail_library(cli);
    if (!code && natural) code = natural_ratio(v, v->chosen[index], &ratio);
    if (!code && !cli->settings.json && !cli->settings.quiet) {
        cli_print("%s  %s", path, v->chosen[index]);
        if (bounded) cli_print("  error %.3g %% of the target's norm", 100 * error);
        else cli_print("  objective %.6g", (double)ph_picture_value(picture));
        if (natural) cli_print(", %.3g %% of the mean distance between natural pictures", 100 * error * ratio);
        cli_print("\n");
        fflush(stdout);
    }
    *caption = bounded ? cli_format("%s %.2g%%", v->chosen[index], 100 * error) : cli_format("%s", v->chosen[index]);
    cJSON *entry = list ? cJSON_CreateObject() : NULL;
    if (entry) {
        cJSON_AddStringToObject(entry, "layer", v->chosen[index]);
        cJSON_AddStringToObject(entry, "file", path);
        cJSON_AddStringToObject(entry, "objective", v->objectives[index]);
        cli_json_add_float(entry, "error_relative_to_target", error);
        if (natural) cli_json_add_float(entry, "error_relative_to_natural_distance", error * ratio);
        cJSON_AddItemToArray(list, entry);
    }
    free(path);
    return code;
}

/* The pictures, first layer to last, with their errors. */
static int strip_save(struct inverting *v, char **captions) {
    enum { GAP = 8 };
    ph_picture *sheet = NULL;
    char *path = strip_path(v);
    int code = CLI_DONE;
    if (ph_picture_sheet(v->cli->context, (const ph_picture *const *)v->results, (const char *const *)captions, v->count, 0,
                         GAP, &sheet) ||
        ph_picture_save(sheet, path, v->cli->settings.force))
        code = cli_fail_library(v->cli);
    if (!code && !v->cli->settings.quiet && !v->cli->settings.json) cli_print("%s\n", path);
    ph_picture_destroy(&sheet);
    free(path);
    return code;
}

static int layers_invert(struct inverting *v) {
    struct cli *cli = v->cli;
    int code = CLI_DONE, done = 0;
    v->objectives = cli_allocate((size_t)v->count, sizeof *v->objectives);
    v->results = cli_allocate((size_t)v->count, sizeof *v->results);
    char **captions = cli_allocate((size_t)v->count, sizeof *captions);
    cJSON *list = cli->settings.json ? cJSON_CreateArray() : NULL;
    for (int i = 0; i < v->count && !code; i++) code = objective_make(v, v->chosen[i], &v->objectives[i]);
    if (!code) code = outputs_check(v);
    if (!code) {
        ph_render_callbacks callbacks = {.progress = on_progress, .finished = on_finished, .user = v};
        cli_interrupt_watch(cli);
        cli_progress_start(&v->progress, cli);
        if (ph_render(v->model, cli->recipe, (const char *const *)v->objectives, v->count, &callbacks, v->results) &&
            !cli_interrupted())
            code = cli_fail_library(cli);
        cli_progress_clear(&v->progress);
    }
    for (; done < v->count && !code && v->results[done]; done++) code = picture_report(v, done, list, &captions[done]);
    if (!code && done == v->count && v->count > 1) code = strip_save(v, captions);
    if (!code && cli_interrupted()) code = interrupted_report(v, done);
    if (!code && list) code = cli_json_print(list);
    else cJSON_Delete(list);
    for (int i = 0; i < v->count; i++) free(captions[i]);
    free(captions);
    return code;
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static int size_find(struct inverting *v) {
    ph_model_info info = ph_model_describe(v->model);
    const char *size = ph_recipe_get(v->cli->recipe, "size");
    v->width = info.width, v->height = info.height;
    if (strcmp(size, "auto") && sscanf(size, "%dx%d", &v->width, &v->height) == 1) v->height = v->width;
    /* Without this, pictures of the embedded network would be larger than what it was made for. */
    char text[32];
    snprintf(text, sizeof text, "%dx%d", v->width, v->height);
    return ph_recipe_set(v->cli->recipe, "size", text) ? cli_fail_library(v->cli) : CLI_DONE;
}

static int run(struct cli *cli) {
    struct inverting v = {.cli = cli, .picture = cli->arguments[0], .fitted = cli_stem(cli->arguments[0]), .variation = NAN};
    int code = CLI_DONE;
    if (!cli_file_exists(v.picture)) code = cli_fail("%s: No such file or directory", v.picture);
    if (!code && strcmp(cli->settings.variation, "auto"))
        code = cli_number_read(cli, "variation", cli->settings.variation, &v.variation);
    if (!code && v.variation < 0) code = cli_usage(cli, "--variation: %g is less than 0", v.variation);
    if (!code) code = cli_model_open(cli, &v.model);
    if (!code) code = size_find(&v);
    if (!code) code = naturals_load(&v);
    if (!code) code = recipe_prepare(cli);
    if (!code) code = layers_choose(&v);
    if (!code) code = layers_invert(&v);
    for (int i = 0; i < v.count; i++) {
        free(v.chosen[i]);
        if (v.objectives) free(v.objectives[i]);
        if (v.results) ph_picture_destroy(&v.results[i]);
    }
    free(v.chosen);
    free(v.objectives);
    free(v.results);
    free(v.fitted);
    for (int i = 0; i < v.natural_count; i++) ph_picture_destroy(&v.naturals[i]);
    free(v.naturals);
    ph_picture_destroy(&v.target);
    ph_model_destroy(&v.model);
    return code;
}

const struct cli_command cli_invert = {
    .name = "invert",
    .arguments = "PICTURE [LAYER...]",
    .help = "a picture that a layer cannot tell from this one",
    .details =
        "Looks for a picture whose values at LAYER are those of PICTURE, from noise: what is lost on the way through the "
        "network differs, what it keeps is the same (Mahendran and Vedaldi, arXiv:1412.0035). 'all' are the layers of the "
        "network from the first to the last; several are written into a folder, with sheet.png, the error under each.\n\n"
        "The error is the squared distance to PICTURE's values over their squared norm. With --natural FOLDER it is given "
        "as the paper does, too: over the mean squared distance between the values of that folder's pictures.\n\n"
        "--preset chooses the method: inversion (the default), mahendran (the paper's descent with momentum), "
        "inversion-lbfgs, natural-pre-image (random shifts, colours kept in bounds). --attempts makes several and gives "
        "the best. Ctrl-C ends after the step in work and says which picture it left as it was then. With "
        "--representation it inverts a hand-made descriptor. docs/inversion.md shows more.",
    .examples = "phosphene invert chelsea.png conv4b\n"
                "phosphene invert chelsea.png -m bvlc_googlenet.onnx all -o chelsea\n"
                "phosphene invert chelsea.png conv4a --preset mahendran --window 3x3 --variation 5\n"
                "phosphene invert chelsea.png -m bvlc_googlenet.onnx pool5/7x7_s1 --natural photographs\n"
                "phosphene invert chelsea.png --representation hog",
    .options = CLI_INVERT | CLI_RECIPE | CLI_WRITE | CLI_NETWORK,
    .least = 1,
    .most = -1,
    .run = run,
};
