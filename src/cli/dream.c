/* phosphene dream: deep dreams on a picture, on noise, on a folder of frames, and into a zoom without end. */
#include "cli.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dreaming {
    struct cli *cli;
    ph_model *model;
    ph_dream_options options;
    char *objective;             /* NULL: the library's choice */
    ph_picture *mask;
    int width, height;           /* of --size; 0: not given */
    double zoom, turn, right, down, blend, rate;
    int frame, frames;           /* in work, from 1, of all; 1: a single picture */
    struct cli_progress progress;
    double started;
    ph_animation *animation;
};

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static int pair_read(const struct cli *cli, const char *name, const char *text, double *first, double *second) {
    const char *comma = strchr(text, ',');
    if (!comma) return cli_usage(cli, "--%s: '%s' is not of the form RIGHT,DOWN", name, text);
    char *before = cli_format("%.*s", (int)(comma - text), text);
    int code = cli_number_read(cli, name, before, first);
    free(before);
    return code ? code : cli_number_read(cli, name, comma + 1, second);
}

static int size_read(const struct cli *cli, const char *text, int *width, int *height) {
    char rest;
    if (!text) return CLI_DONE;
    int read = sscanf(text, "%dx%d%c", width, height, &rest);
    if (read == 1 && !text[strspn(text, "0123456789")]) *height = *width;
    else if (read != 2) return cli_usage(cli, "--size: '%s' is neither a number of pixels nor WIDTHxHEIGHT", text);
    if (*width < 8 || *height < 8 || *width > 16384 || *height > 16384)
        return cli_usage(cli, "--size: '%s': sides have 8 to 16384 pixels", text);
    return CLI_DONE;
}

static int options_read(struct dreaming *d) {
    const struct cli *cli = d->cli;
    const struct cli_settings *s = &cli->settings;
    int code = CLI_DONE;
    d->options = ph_dream_defaults();
    d->options.octaves = s->octaves;
    d->options.least_side = s->least_side;
    d->options.steps = s->dream_steps;
    d->options.jitter = s->dream_jitter;
    d->options.tile = s->tile;
    d->options.seed = (uint64_t)s->start_seed;
    d->options.keep_colours = s->keep_colours;
    d->options.guide = s->guide;
    d->frames = s->frames;
    if (!code) code = cli_number_read(cli, "octave-scale", s->octave_scale, &d->options.octave_scale);
    if (!code) code = cli_number_read(cli, "step-size", s->step_size, &d->options.step_size);
    if (!code) code = cli_number_read(cli, "feather", s->feather, &d->options.feather);
    if (!code) code = cli_number_read(cli, "zoom", s->zoom, &d->zoom);
    if (!code) code = cli_number_read(cli, "turn", s->turn, &d->turn);
    if (!code) code = pair_read(cli, "shift", s->shift, &d->right, &d->down);
    if (!code) code = cli_number_read(cli, "blend", s->blend, &d->blend);
    if (!code) code = cli_number_read(cli, "frame-rate", s->frame_rate, &d->rate);
    if (!code) code = size_read(cli, s->dream_size, &d->width, &d->height);
    if (!code && !(d->blend >= 0 && d->blend <= 1)) code = cli_usage(cli, "--blend: %g is not between 0 and 1", d->blend);
    if (!code && s->dream_mask && ph_picture_load(cli->context, s->dream_mask, &d->mask)) code = cli_fail_library(cli);
    d->options.mask = d->mask;
    return code;
}

/* Objectives as one sum. */
static void objective_join(struct dreaming *d, int count, const char *const *words) {
    struct cli_text text = {0};
    for (int i = 0; i < count; i++) cli_text_append(&text, "%s%s", i ? " + " : "", words[i]);
    d->objective = text.data;
}

/* ---- Pictures ---------------------------------------------------------------------------------------------------- */

/* To the network's channels and, where --size is given, so large that it just covers it. */
static int picture_prepare(struct dreaming *d, ph_picture **picture) {
    struct cli *cli = d->cli;
    ph_picture *converted = NULL, *scaled = NULL;
    int channels = ph_model_describe(d->model).channels == 1 ? 1 : 3;
    if (ph_picture_convert(*picture, channels, &converted)) return cli_fail_library(cli);
    ph_picture_destroy(picture);
    *picture = converted;
    if (!d->width) return CLI_DONE;
    double own_width = ph_picture_width(converted), own_height = ph_picture_height(converted);
    double scale = fmin(d->width / own_width, d->height / own_height);
    if (ph_picture_resize(converted, (int)fmax(1, floor(own_height * scale + 0.5)),
                          (int)fmax(1, floor(own_width * scale + 0.5)), &scaled))
        return cli_fail_library(cli);
    ph_picture_destroy(picture);
    *picture = scaled;
    return CLI_DONE;
}

static int picture_open(struct dreaming *d, const char *path, ph_picture **picture) {
    if (ph_picture_load(d->cli->context, path, picture)) return cli_fail_library(d->cli);
    return picture_prepare(d, picture);
}

/* What a render starts from, with more contrast: clouds of colour in which things are easily seen. */
static int noise_make(struct dreaming *d, ph_picture **picture) {
    enum { SIDE = 512 };
    struct cli *cli = d->cli;
    const char *objective = "l2()";
    char size[32], seed[16];
    ph_recipe *recipe = NULL;
    snprintf(size, sizeof size, "%dx%d", d->width ? d->width : SIDE, d->height ? d->height : SIDE);
    snprintf(seed, sizeof seed, "%d", cli->settings.start_seed);
    ph_status status = ph_recipe_create(cli->context, &recipe);
    if (!status) status = ph_recipe_set(recipe, "size", size);
    if (!status) status = ph_recipe_set(recipe, "seed", seed);
    if (!status) status = ph_recipe_parse(recipe, "spread=0.12\ndecay=1.2\nsteps=0\n");
    if (!status) status = ph_render(d->model, recipe, &objective, 1, NULL, picture);
    ph_recipe_destroy(&recipe);
    return status ? cli_fail_library(cli) : CLI_DONE;
}

/* ---- While it runs ----------------------------------------------------------------------------------------------- */

static bool on_progress(void *user, const ph_dream_progress *now) {
    struct dreaming *d = user;
    double octaves = now->octave - 1 + (now->step - 1 + (double)now->tile / now->tiles) / now->steps;
    /* Most of the work is in the last octaves: the time left says what the share of octaves does not. */
    double done = octaves / now->octaves, left = now->seconds_left;
    if (left >= 0) {
        double spent = cli_seconds() - d->started;
        done = spent / (spent + left);
        if (d->frames > 1) left += (spent + left) * (d->frames - d->frame);
    }
    char *what = d->frames > 1 ? cli_format("frame %d of %d, ", d->frame, d->frames) : cli_format("%s", "");
    char time[32];
    cli_time_left(left, time, sizeof time);
    char *state = cli_format("%soctave %d of %d, step %d of %d, %s", what, now->octave, now->octaves, now->step, now->steps,
                             time);
    cli_progress_show(&d->progress, (d->frame - 1 + done) / d->frames, state);
    free(what);
    free(state);
    return !cli_interrupted();
}

/* ---- Frames ------------------------------------------------------------------------------------------------------ */

/* Where frame `frame` goes; a single picture's is frame 0. A new string. */
static char *frame_path(const struct dreaming *d, const char *output, int frame) {
    return d->frames > 1 ? cli_format("%s/%04d.png", output, frame) : cli_format("%s", output);
}

static char *animation_path(const char *output) {
    return cli_is_png(output) ? cli_format("%.*s.webp", (int)strlen(output) - 4, output)
                              : cli_format("%s/" CLI_ANIMATION, output);
}

static int output_check(const struct dreaming *d, const char *output) {
    const struct cli *cli = d->cli;
    char *animation = animation_path(output);
    int code = CLI_DONE;
    for (int i = 1; i <= d->frames && !code; i++) {
        char *path = frame_path(d, output, i);
        if (!cli->settings.force && cli_file_exists(path)) code = cli_fail("%s: exists already; --force overwrites it", path);
        else if (i == 1) code = cli_output_check(path);
        free(path);
    }
    if (!code && cli->settings.animation && !cli->settings.force && cli_file_exists(animation))
        code = cli_fail("%s: exists already; --force overwrites it", animation);
    free(animation);
    return code;
}

static int animation_add(struct dreaming *d, const ph_picture *picture) {
    const struct cli *cli = d->cli;
    if (!cli->settings.animation) return CLI_DONE;
    if (!d->animation && ph_animation_create(cli->context, ph_picture_height(picture), ph_picture_width(picture), d->rate,
                                             CLI_ANIMATION_QUALITY, &d->animation))
        return cli_fail_library(cli);
    return ph_animation_add(d->animation, picture) ? cli_fail_library(cli) : CLI_DONE;
}

static void frame_report(const struct dreaming *d, const char *path, const ph_picture *picture) {
    char objective[4096];
    if (d->cli->settings.quiet || d->cli->settings.json) return;
    if (!ph_recipe_lookup(ph_picture_recipe(picture), "#objective", objective, sizeof objective)) *objective = 0;
    cli_print("%s  %s = %.6g\n", path, objective, (double)ph_picture_value(picture));
    fflush(stdout);
}

/* Dreams on *picture, which becomes the dream, and writes it. */
static int frame_dream(struct dreaming *d, const char *output, ph_picture **picture) {
    struct cli *cli = d->cli;
    ph_picture *dream = NULL;
    d->options.progress = on_progress;
    d->options.user = d;
    d->started = cli_seconds();
    ph_status status = ph_dream(d->model, *picture, d->objective, &d->options, &dream);
    cli_progress_clear(&d->progress);
    if (status && status != PH_ERROR_CANCELLED) return cli_fail_library(cli);
    ph_picture_destroy(picture);
    *picture = dream;
    char *path = frame_path(d, output, d->frame);
    int code = cli_folder_make(path);
    if (!code && ph_picture_save(dream, path, cli->settings.force)) code = cli_fail_library(cli);
    if (!code) code = animation_add(d, dream);
    if (!code) frame_report(d, path, dream);
    if (!code && status) code = cli_fail("interrupted; %s is the dream so far", path);
    free(path);
    return code;
}

/* Each frame is the one before, moved on and dreamt upon. */
static int zoom_run(struct dreaming *d, const char *output, ph_picture **picture) {
    int code = CLI_DONE;
    for (d->frame = 1; d->frame <= d->frames && !code; d->frame++) {
        ph_picture *moved = NULL;
        if (d->frame > 1) {
            if (ph_picture_move(*picture, d->zoom, d->turn, d->right, d->down, &moved)) return cli_fail_library(d->cli);
            ph_picture_destroy(picture);
            *picture = moved;
        }
        code = frame_dream(d, output, picture);
    }
    return code;
}

/* Frames from a folder, each blended with the dream of the one before. */
static int folder_run(struct dreaming *d, const char *output, char **paths) {
    ph_picture *before = NULL;
    int code = CLI_DONE;
    for (d->frame = 1; d->frame <= d->frames && !code; d->frame++) {
        ph_picture *picture = NULL, *blended = NULL;
        code = picture_open(d, paths[d->frame - 1], &picture);
        if (!code && before) {
            if (ph_picture_blend(picture, before, d->blend, &blended))
                code = cli_fail("%s: %s", paths[d->frame - 1], ph_context_error(d->cli->context));
            ph_picture_destroy(&picture);
            picture = blended;
        }
        if (!code) code = frame_dream(d, output, &picture);
        ph_picture_destroy(&before);
        before = picture;
    }
    ph_picture_destroy(&before);
    return code;
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

/* --output, or the name that goes without saying. A new string. */
static char *output_choose(const struct dreaming *d, const char *source) {
    const char *output = d->cli->settings.output;
    if (output) {
        size_t length = strlen(output);
        return cli_format("%.*s", (int)(length > 1 && output[length - 1] == '/' ? length - 1 : length), output);
    }
    char *stem = source ? cli_stem(source) : cli_format("noise"), *path;
    path = cli_format("%s-dream%s", stem, d->frames > 1 ? "" : ".png");
    free(stem);
    return path;
}

static int output_fits(const struct dreaming *d, const char *output) {
    if (d->frames > 1 && cli_is_png(output))
        return cli_usage(d->cli, "--output: %d frames cannot all be %s; name a folder", d->frames, output);
    if (d->frames == 1 && !cli_is_png(output))
        return cli_usage(d->cli, "--output: '%s' is no name for a picture, which is PNG", output);
    return cli_output_format_check(d->cli);
}

static int pictures_run(struct dreaming *d, const char *source, char **paths) {
    ph_picture *picture = NULL;
    char *output = output_choose(d, source);
    int code = output_fits(d, output);
    if (!code) code = output_check(d, output);
    if (!code && !paths) code = source ? picture_open(d, source, &picture) : noise_make(d, &picture);
    cli_interrupt_watch(d->cli);
    cli_progress_start(&d->progress, d->cli);
    if (!code) code = paths ? folder_run(d, output, paths) : zoom_run(d, output, &picture);
    if (d->animation && (!code || cli_interrupted())) {
        char *path = animation_path(output);
        if (ph_animation_save(d->animation, path, d->cli->settings.force)) code = cli_fail_library(d->cli);
        else if (!d->cli->settings.quiet) cli_print("%s\n", path);
        free(path);
    }
    ph_picture_destroy(&picture);
    free(output);
    return code;
}

static int run(struct cli *cli) {
    struct dreaming d = {.cli = cli};
    const char *source = cli->argument_count ? cli->arguments[0] : NULL;
    char **paths = NULL;
    int code = options_read(&d), path_count = 0;
    /* The first argument is a picture unless there is no such file and it does not look like one's name. */
    if (!code && source && !cli_file_exists(source) && !cli_is_picture_name(source)) source = NULL;
    if (!code && source && cli_is_folder(source)) {
        paths = cli_pictures_in(source, &path_count);
        if (!path_count) code = cli_fail("%s: the folder holds no pictures", source);
        if (!code && cli->settings.frames > 1)
            code = cli_usage(cli, "--frames is for one picture; a folder's are frames already");
        d.frames = path_count;
    }
    if (!code) code = cli_model_open(cli, &d.model);
    if (!code) objective_join(&d, cli->argument_count - (source != NULL), cli->arguments + (source != NULL));
    if (!code) code = pictures_run(&d, source, paths);
    for (int i = 0; i < path_count; i++) free(paths[i]);
    free(paths);
    free(d.objective);
    ph_picture_destroy(&d.mask);
    ph_animation_destroy(&d.animation);
    ph_model_destroy(&d.model);
    return code;
}

const struct cli_command cli_dream = {
    .name = "dream",
    .arguments = "[PICTURE|FOLDER] [OBJECTIVE...]",
    .help = "deep dream: what a layer sees in a picture, drawn into it",
    .details =
        "Raises an objective on a picture at several sizes, octaves, from small to large, and writes PICTURE-dream.png. "
        "Without an objective it is the energy of a layer three quarters into the network; 'conv3b' would be another "
        "layer's, 'conv4b:11' one channel, 'class:tabby' a class; several are added (docs/objectives.md). Without a "
        "picture the dream begins in noise.\n\n"
        "A picture larger than --tile is worked on in parts that lie elsewhere at each step, so that its size is "
        "bounded by the memory for a few copies of it alone, and no seam shows. Networks that take one size only see "
        "parts of that size.\n\n"
        "With --frames the dream is gone into: NOISE-dream/0001.png and so on, each the one before, enlarged, turned and "
        "shifted, and dreamt upon. Of a FOLDER's pictures each is blended with the dream of the one before. --animation "
        "writes animation.webp beside the frames.\n\n"
        "Ctrl-C ends after the tile in work, writes the dream so far, and gives exit code 1. docs/dream.md shows more.",
    .examples = "phosphene dream photo.jpg\n"
                "phosphene dream -m bvlc_googlenet.onnx photo.jpg inception_3b/output --octaves 5 -o fur.png\n"
                "phosphene dream photo.jpg --guide flowers.jpg --keep-colours -o guided.png\n"
                "phosphene dream --frames 60 --zoom 1.04 --turn 1 --animation -o journey",
    .options = CLI_DREAM | CLI_ANIMATE | CLI_WRITE | CLI_NETWORK,
    .most = -1,
    .run = run,
};
