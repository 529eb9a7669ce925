/* phosphene explain --evaluate: methods of attribution against measures, over pictures. */
#include "explain.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- Pictures: files, and what folders hold ---------------------------------------------------------------------- */

struct names { char **list; int count; };

static void name_add(struct names *names, char *name) {
    char **list = cli_allocate((size_t)names->count + 1, sizeof *list);
    if (names->count) memcpy(list, names->list, (size_t)names->count * sizeof *list);
    free(names->list);
    names->list = list;
    names->list[names->count++] = name;
}

static void names_finish(struct names *names) {
    for (int i = 0; i < names->count; i++) free(names->list[i]);
    free(names->list);
}

static void pictures_list(const struct cli *cli, int count, struct names *names) {
    for (int i = 0; i < count; i++) {
        const char *argument = cli->arguments[i];
        int found = 0;
        char **inside = cli_is_folder(argument) ? cli_pictures_in(argument, &found) : NULL;
        for (int j = 0; j < found; j++) name_add(names, inside[j]);
        if (!inside) name_add(names, cli_format("%s", argument));
        free(inside);
    }
}

/* ---- Boxes ------------------------------------------------------------------------------------------------------- */

static char *base_of(const char *path, bool with_ending) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    return cli_format("%.*s", with_ending || !dot ? (int)strlen(base) : (int)(dot - base), base);
}

/* A line "name,left,top,right,bottom" of the file, the name with or without its ending. */
static bool box_in_lines(const char *text, const char *picture, ph_box *box) {
    char *name = base_of(picture, true), *stem = base_of(picture, false);
    bool found = false;
    for (const char *line = text; line && *line && !found; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        size_t length = strcspn(line, ",\n");
        bool named = (strlen(name) == length && !strncmp(line, name, length)) ||
                     (strlen(stem) == length && !strncmp(line, stem, length));
        found =
            named && sscanf(line + length, ",%lf,%lf,%lf,%lf", &box->left, &box->top, &box->right, &box->bottom) == 4;
    }
    free(name);
    free(stem);
    return found;
}

static bool tag_read(const char *text, const char *tag, double *number) {
    const char *at = strstr(text, tag);
    return at && sscanf(at + strlen(tag), "%lf", number) == 1;
}

/* The first object of a Pascal VOC annotation. */
static bool box_in_annotation(const char *text, ph_box *box) {
    const char *at = strstr(text, "<bndbox>");
    return at && tag_read(at, "<xmin>", &box->left) && tag_read(at, "<ymin>", &box->top) &&
           tag_read(at, "<xmax>", &box->right) && tag_read(at, "<ymax>", &box->bottom);
}

/* --boxes names a CSV file, or a folder of annotations STEM.xml. */
static bool box_find(const struct cli *cli, const char *picture, ph_box *box) {
    struct stat state;
    const char *boxes = cli->settings.boxes;
    if (!boxes || stat(boxes, &state)) return false;
    char *stem = base_of(picture, false), *annotation = cli_format("%s/%s.xml", boxes, stem);
    char *text = cli_file_read(S_ISDIR(state.st_mode) ? annotation : boxes);
    bool found = text && (S_ISDIR(state.st_mode) ? box_in_annotation(text, box) : box_in_lines(text, picture, box));
    free(text);
    free(annotation);
    free(stem);
    return found;
}

/* ---- Measuring --------------------------------------------------------------------------------------------------- */

/* The columns; each is averaged over the pictures where it is a number. */
enum {
    SECONDS,
    DELETION,
    INSERTION,
    MU_FIDELITY,
    DROP,
    INCREASE,
    GAIN,
    INFIDELITY,
    SENSITIVITY,
    SPARSENESS,
    IN_BOX,
    HIT,
    MEASURES
};
static const struct { const char *key, *title; bool of_box; } measures[MEASURES] = {
    {"seconds", "seconds"}, {"deletion", "deletion"}, {"insertion", "insertion"}, {"mu_fidelity", "mu-fid."},
    {"average_drop", "drop"}, {"average_increase", "increase"}, {"average_gain", "gain"}, {"infidelity", "infid."},
    {"sensitivity", "sensit."}, {"sparseness", "sparse"}, {"in_box", "in box", true}, {"pointing", "pointing", true}};

enum { MOST_STAGES = 64, CURVE = 33 };

struct row {
    const char *method;
    double sums[MEASURES];
    int counts[MEASURES];
    double deletion[CURVE], insertion[CURVE];
    double spent; /* seconds for everything on all pictures so far */
    int points, pictures;
    int stages;
    char *stage_layers[MOST_STAGES];
    double rank[MOST_STAGES], similarity[MOST_STAGES];
    int stage_counts[MOST_STAGES];
};

static void measure_add(struct row *row, int measure, double value) {
    if (!isfinite(value)) return;
    row->sums[measure] += value;
    row->counts[measure]++;
}

static double measure_mean(const struct row *row, int measure) {
    return row->counts[measure] ? row->sums[measure] / row->counts[measure] : NAN;
}

static void evidence_add(struct row *row, double seconds, const ph_evidence *evidence) {
    const double values[MEASURES] = {seconds, evidence->deletion, evidence->insertion, evidence->mu_fidelity,
        evidence->average_drop, evidence->increase, evidence->average_gain, evidence->infidelity, evidence->sensitivity,
        evidence->sparseness, evidence->has_box ? evidence->in_box : NAN, evidence->has_box ? evidence->hit : NAN};
    for (int i = 0; i < MEASURES; i++) measure_add(row, i, values[i]);
    row->points = evidence->curve_points;
    row->pictures++;
    for (int i = 0; i < evidence->curve_points; i++) {
        row->deletion[i] += evidence->deletion_curve[i];
        row->insertion[i] += evidence->insertion_curve[i];
    }
}

static int randomisation_add(struct cli *cli, ph_model *model, const ph_explain_options *options,
                             const ph_explanation *explanation, struct row *row) {
    ph_randomisation_layer *layers = NULL;
    int count = 0;
    if (ph_explanation_randomise(model, options, explanation, cli->settings.randomise, &layers, &count))
        return cli_interrupted() ? CLI_FAILED : cli_fail_library(cli);
    row->stages = count;
    for (int i = 0; i < count; i++) {
        if (!row->stage_layers[i]) row->stage_layers[i] = cli_format("%s", layers[i].layer);
        row->rank[i] += layers[i].rank_correlation;
        row->similarity[i] += layers[i].similarity;
        row->stage_counts[i]++;
    }
    ph_randomisation_destroy(&layers, count);
    return CLI_DONE;
}

struct evaluation {
    struct cli *cli;
    ph_model *model;
    ph_explain_options *options;
    const char *objective; /* NULL: each picture's top class */
    struct names names;
    struct row *rows;
    int row_count;
    struct cli_explain_watch watch;
    int picture, row; /* in work */
    double started;   /* when that pair was begun */
};

/* By what each method took on the pictures before, or, before the first is through, by the mean of the others. */
static double seconds_left(const struct evaluation *e) {
    double all = 0, left = -(cli_seconds() - e->started);
    int counted = 0;
    for (int r = 0; r < e->row_count; r++) {
        all += e->rows[r].spent;
        counted += e->rows[r].pictures;
    }
    if (!counted) return -1;
    for (int r = 0; r < e->row_count; r++) {
        const struct row *row = &e->rows[r];
        left += (e->names.count - row->pictures) * (row->pictures ? row->spent / row->pictures : all / counted);
    }
    return left > 0 ? left : 0;
}

static bool on_progress(void *user, int64_t done, int64_t total, double left) {
    struct evaluation *e = user;
    (void)done, (void)total, (void)left;
    return cli_explain_progress(&e->watch, (int64_t)e->picture * e->row_count + e->row,
                                (int64_t)e->names.count * e->row_count, seconds_left(e));
}

static int method_measure(struct evaluation *e, const ph_picture *picture, const ph_box *box) {
    struct row *row = &e->rows[e->row];
    ph_explanation *explanation = NULL;
    ph_evidence evidence;
    int code = CLI_DONE;
    e->started = cli_seconds();
    e->options->method = row->method;
    if (ph_explain(e->model, picture, e->objective, e->options, &explanation) ||
        ph_explanation_measure(e->model, picture, e->options, explanation, box, &evidence))
        code = cli_interrupted() ? CLI_FAILED : cli_fail_library(e->cli);
    if (!code && e->cli->settings.randomise)
        code = randomisation_add(e->cli, e->model, e->options, explanation, row);
    if (!code) evidence_add(row, explanation->seconds, &evidence);
    row->spent += cli_seconds() - e->started;
    ph_explanation_destroy(&explanation);
    return code;
}

/* Picture by picture: what a picture's methods have in common is kept in the store. */
static int picture_measure(struct evaluation *e) {
    const char *name = e->names.list[e->picture];
    ph_picture *picture = NULL;
    ph_box box;
    bool boxed = box_find(e->cli, name, &box);
    int code = ph_picture_load(e->cli->context, name, &picture) ? cli_fail_library(e->cli) : CLI_DONE;
    for (e->row = 0; e->row < e->row_count && !code; e->row++) {
        char *what = cli_format("%s of %s", e->rows[e->row].method, name);
        e->watch.what = what;
        code = method_measure(e, picture, boxed ? &box : NULL);
        free(what);
    }
    ph_picture_destroy(&picture);
    return code;
}

/* ---- Reports ----------------------------------------------------------------------------------------------------- */

static bool measure_shown(const struct cli *cli, int measure) {
    return cli->settings.boxes || !measures[measure].of_box;
}

static void table_print(const struct cli *cli, const struct row *rows, int count) {
    cli_print("%-28s", "");
    for (int i = 0; i < MEASURES; i++)
        if (measure_shown(cli, i)) cli_print(" %8s", measures[i].title);
    cli_print("\n");
    for (int r = 0; r < count; r++) {
        cli_print("%-28s", rows[r].method);
        for (int i = 0; i < MEASURES; i++) {
            if (!measure_shown(cli, i)) continue;
            double mean = measure_mean(&rows[r], i);
            if (isnan(mean)) cli_print(" %8s", "-");
            else cli_print(i == SECONDS ? " %8.2f" : " %8.3f", mean);
        }
        cli_print("\n");
    }
    for (int r = 0; r < count; r++) {
        if (rows[r].stages) cli_print("\n%s: rank correlation and SSIM once the network forgot down to\n", rows[r].method);
        for (int i = 0; i < rows[r].stages; i++)
            cli_print("  %-28s %7.3f %7.3f\n", rows[r].stage_layers[i], rows[r].rank[i] / rows[r].stage_counts[i],
                   rows[r].similarity[i] / rows[r].stage_counts[i]);
    }
}

static cJSON *curve_json(const struct row *row, const double *curve) {
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < row->points; i++) cli_json_append_float(list, curve[i] / row->pictures);
    return list;
}

static cJSON *rows_json(const struct cli *cli, const struct row *rows, int count) {
    cJSON *list = cJSON_CreateArray();
    for (int r = 0; r < count; r++) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "method", rows[r].method);
        cJSON_AddNumberToObject(json, "pictures", rows[r].pictures);
        for (int i = 0; i < MEASURES; i++)
            if (measure_shown(cli, i)) cli_json_add_float(json, measures[i].key, measure_mean(&rows[r], i));
        cJSON_AddItemToObject(json, "deletion_curve", curve_json(&rows[r], rows[r].deletion));
        cJSON_AddItemToObject(json, "insertion_curve", curve_json(&rows[r], rows[r].insertion));
        cJSON *stages = rows[r].stages ? cJSON_AddArrayToObject(json, "randomisation") : NULL;
        for (int i = 0; i < rows[r].stages; i++) {
            cJSON *stage = cJSON_CreateObject();
            cJSON_AddStringToObject(stage, "layer", rows[r].stage_layers[i]);
            cli_json_add_float(stage, "rank_correlation", rows[r].rank[i] / rows[r].stage_counts[i]);
            cli_json_add_float(stage, "ssim", rows[r].similarity[i] / rows[r].stage_counts[i]);
            cJSON_AddItemToArray(stages, stage);
        }
        cJSON_AddItemToArray(list, json);
    }
    return list;
}

/* ---- The plot: deletion and insertion curves side by side, as SVG ------------------------------------------------ */

enum { PLOT_SIDE = 300, PLOT_GAP = 50, PLOT_LINE = 14 };

static void curves_draw(struct cli_text *svg, const struct row *rows, int count, int left, bool insertion, double top) {
    cli_text_append(svg, "<rect x=\"%d\" y=\"30\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#888\"/>\n", left,
                    PLOT_SIDE, PLOT_SIDE);
    cli_text_append(svg, "<text x=\"%d\" y=\"22\">%s</text>\n", left,
                    insertion ? "insertion: pixels come, most important first"
                              : "deletion: pixels go, most important first");
    cli_text_append(svg, "<text x=\"%d\" y=\"40\" text-anchor=\"end\">%.2f</text>\n", left - 4, top);
    cli_text_append(svg, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">0</text>\n", left - 4, 30 + PLOT_SIDE);
    for (int r = 0; r < count; r++) {
        const double *curve = insertion ? rows[r].insertion : rows[r].deletion;
        cli_text_append(svg, "<polyline fill=\"none\" stroke=\"hsl(%d,70%%,42%%)\" points=\"", 360 * r / count);
        for (int i = 0; i < rows[r].points; i++)
            cli_text_append(svg, "%.1f,%.1f ", left + (double)PLOT_SIDE * i / (rows[r].points - 1),
                            30 + PLOT_SIDE * (1 - curve[i] / rows[r].pictures / top));
        cli_text_append(svg, "\"/>\n");
    }
}

static int plot_write(const struct cli *cli, const char *path, const struct row *rows, int count) {
    struct cli_text svg = {0};
    double top = 1e-9;
    int width = 3 * PLOT_GAP + 2 * PLOT_SIDE + 220, height = 60 + PLOT_SIDE;
    if (height < 40 + PLOT_LINE * count) height = 40 + PLOT_LINE * count;
    for (int r = 0; r < count; r++)
        for (int i = 0; i < rows[r].points; i++)
            top = fmax(top, fmax(rows[r].deletion[i], rows[r].insertion[i]) / rows[r].pictures);
    cli_text_append(&svg,
                    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
                    "font-size=\"11\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
                    width, height);
    curves_draw(&svg, rows, count, PLOT_GAP, false, top);
    curves_draw(&svg, rows, count, 2 * PLOT_GAP + PLOT_SIDE, true, top);
    for (int r = 0; r < count; r++)
        cli_text_append(&svg, "<text x=\"%d\" y=\"%d\" fill=\"hsl(%d,70%%,42%%)\">%s</text>\n",
                        2 * PLOT_GAP + 2 * PLOT_SIDE + 20, 40 + PLOT_LINE * r, 360 * r / count, rows[r].method);
    cli_text_append(&svg, "</svg>\n");
    int code = cli_folder_make(path);
    if (!code) code = cli_file_write(cli, path, svg.data);
    cli_text_finish(&svg);
    return code;
}

static int evaluation_check(const struct cli *cli, int objectives) {
    const char *output = cli->settings.output;
    if (objectives > 1) return cli_usage(cli, "--evaluate measures one objective, or each picture's top class");
    if (cli->settings.boxes && !cli_file_exists(cli->settings.boxes))
        return cli_fail("%s: there is no such file or folder", cli->settings.boxes);
    if (output && !cli->settings.force && cli_file_exists(output))
        return cli_fail("%s: exists already; --force overwrites it", output);
    return output ? cli_output_check(output) : CLI_DONE;
}

/* What is measured is told, if less than asked for. */
static int evaluation_report(const struct evaluation *e) {
    const struct cli *cli = e->cli;
    int code = CLI_DONE;
    if (cli->settings.output) code = plot_write(cli, cli->settings.output, e->rows, e->row_count);
    if (!code && cli->settings.json) return cli_json_print(rows_json(cli, e->rows, e->row_count));
    if (!code) table_print(cli, e->rows, e->row_count);
    return code;
}

int cli_explain_evaluate(struct cli *cli, ph_model *model, ph_explain_options *options, int picture_count,
                         const char *const *methods, int method_count) {
    int objectives = cli->argument_count - picture_count;
    struct evaluation e = {.cli = cli, .model = model, .options = options, .row_count = method_count,
        .objective = objectives ? cli->arguments[picture_count] : NULL,
        .rows = cli_allocate((size_t)method_count, sizeof *e.rows)};
    for (int m = 0; m < method_count; m++) e.rows[m].method = methods[m];
    options->progress = on_progress;
    options->user = &e;
    pictures_list(cli, picture_count, &e.names);
    int code = evaluation_check(cli, objectives);
    if (!code && !e.names.count) code = cli_fail("%s holds no pictures", cli->arguments[0]);
    cli_explain_watch_start(&e.watch, cli, "");
    for (; e.picture < e.names.count && !code; e.picture++) code = picture_measure(&e);
    cli_explain_watch_finish(&e.watch);
    if (!code) code = evaluation_report(&e);
    else if (cli_interrupted() && e.rows[method_count - 1].pictures) {
        cli_fail("interrupted; this is measured on %d of %d pictures", e.rows[method_count - 1].pictures,
                 e.names.count);
        evaluation_report(&e);
    } else if (cli_interrupted()) cli_fail("interrupted before a picture was measured by all methods");
    for (int m = 0; m < method_count; m++)
        for (int i = 0; i < e.rows[m].stages; i++) free(e.rows[m].stage_layers[i]);
    free(e.rows);
    names_finish(&e.names);
    return code;
}
