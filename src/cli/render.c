/* phosphene render: a picture for each objective, with snapshots, contact sheet and manifest; again from a picture's
 * recipe; and going on where an earlier run was cut off. */
#include "cli.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct rendering {
    struct cli *cli;
    ph_model *model;
    struct cli_manifest manifest;     /* of all pictures */
    char *sheet_path, *manifest_path; /* NULL for a single picture */
    int each;                         /* pictures of an objective */
    int *items;                       /* item of the ph_render call -> picture */
    int item_count;
    struct cli_progress progress;
    int step, steps; /* of the batch in work */
    int batch_first;
    double batch_start;
    ph_animation **animations; /* of each picture; NULL: none are made */
    double frame_rate;
    bool snapshots_asked;      /* they are files of their own, not only frames */
    int code; /* first failure inside a callback */
};

/* ---- What to render and where to --------------------------------------------------------------------------------- */

static int objectives_expand(struct rendering *rendering, int count, const char *const *words) {
    struct cli_manifest *manifest = &rendering->manifest;
    for (int i = 0; i < count; i++) {
        char **list = NULL;
        int found = 0;
        if (ph_objective_expand(rendering->model, words[i], &list, &found)) return cli_fail_library(rendering->cli);
        int each = rendering->each, added = found * each;
        struct cli_picture *pictures = cli_allocate((size_t)(manifest->count + added), sizeof *pictures);
        if (manifest->count) memcpy(pictures, manifest->pictures, (size_t)manifest->count * sizeof *pictures);
        for (int j = 0; j < added; j++)
            pictures[manifest->count + j] = (struct cli_picture){.objective = cli_format("%s", list[j / each]),
                .item = each > 1 ? j % each + 1 : 0, .value = NAN, .seconds = -1};
        free(manifest->pictures);
        manifest->pictures = pictures;
        manifest->count += added;
        ph_string_list_destroy(&list, found);
    }
    return CLI_DONE;
}

/* The template of the pictures' names, a new string, or NULL when --output does not fit. */
static char *template_choose(const struct rendering *rendering, int word_count, const char *const *words) {
    const char *output = rendering->cli->settings.output, *item = rendering->each > 1 ? "-{item}" : "";
    bool several = rendering->manifest.count > 1;
    if (cli_output_format_check(rendering->cli)) return NULL;
    if (cli_is_png(output)) {
        if (!several || strchr(output, '{')) return cli_format("%s", output);
        cli_usage(rendering->cli,
                  "--output: %d pictures cannot all be %s; name a folder, or a template such as "
                  "'out/{model}-{objective}-{seed}.png'",
                  rendering->manifest.count, output);
        return NULL;
    }
    if (output)
        return cli_format("%s%s{objective}%s.png", output, *output && output[strlen(output) - 1] == '/' ? "" : "/",
                          item);
    if (!several) return cli_format("{objective}.png");
    char *first = cli_name_safe(words[0]), *template;
    template = word_count > 1 ? cli_format("%s-and-%d-more/{objective}%s.png", first, word_count - 1, item)
                              : cli_format("%s/{objective}%s.png", first, item);
    free(first);
    return template;
}

/* Gives every picture its path, and several together their sheet and manifest. */
static int paths_assign(struct rendering *rendering, const char *template) {
    struct cli_manifest *manifest = &rendering->manifest;
    const char *dot = strrchr(manifest->model.path, '.');
    char *stem = cli_format("%.*s", dot ? (int)(dot - manifest->model.path) : (int)strlen(manifest->model.path),
                            manifest->model.path);
    int code = CLI_DONE;
    for (int i = 0; i < manifest->count && !code; i++) {
        struct cli_name name = {
            .model = stem, .objective = manifest->pictures[i].objective, .index = i,
            .item = manifest->pictures[i].item, .recipe = rendering->cli->recipe};
        code = cli_name_expand(rendering->cli, template, &name, &manifest->pictures[i].path);
        for (int j = 0; j < i && !code; j++)
            if (!strcmp(manifest->pictures[i].path, manifest->pictures[j].path))
                code = cli_usage(rendering->cli,
                                 "--output: '%s' and '%s' would both be %s; a template with {index} tells "
                                 "them apart",
                                 manifest->pictures[j].objective, manifest->pictures[i].objective,
                                 manifest->pictures[i].path);
    }
    free(stem);
    /* The folder that holds all of them: the template's, up to its first placeholder. */
    char *fixed = cli_format("%.*s", (int)strcspn(template, "{"), template);
    manifest->folder = cli_folder_of(fixed);
    free(fixed);
    if (manifest->count > 1) {
        rendering->sheet_path = cli_format("%s/sheet.png", manifest->folder);
        rendering->manifest_path = cli_format("%s/manifest.json", manifest->folder);
    }
    return code;
}

/* A file under the picture's name: finished earlier with the same recipe, left unfinished, or in the way. */
static int existing_picture_check(struct rendering *rendering, struct cli_picture *picture) {
    struct cli *cli = rendering->cli;
    char value[64];
    if (rendering->manifest.count == 1) return cli_fail("%s: exists already; --force overwrites it", picture->path);
    if (picture->unfinished) return CLI_DONE;
    if (ph_picture_load(cli->context, picture->path, &picture->picture)) return cli_fail_library(cli);
    const char *text = ph_picture_recipe(picture->picture);
    char *difference = cli_recipe_difference(cli, rendering->model, text, picture->objective, picture->item);
    if (difference) {
        int code = cli_fail("%s: exists already and %s; --force overwrites it", picture->path, difference);
        free(difference);
        return code;
    }
    picture->complete = true;
    if (ph_recipe_lookup(text, "#value", value, sizeof value)) picture->value = strtof(value, NULL);
    return CLI_DONE;
}

/* "PICTURE" for "PICTURE.png". A new string. */
static char *path_without_ending(const struct cli_picture *picture) {
    return cli_format("%.*s", (int)strlen(picture->path) - (cli_is_png(picture->path) ? 4 : 0), picture->path);
}

/* Looks before anything is computed: what is done already, and what would be overwritten. */
static int existing_check(struct rendering *rendering) {
    struct cli_manifest *manifest = &rendering->manifest;
    int code = CLI_DONE, done = 0;
    for (int i = 0; i < manifest->count && !code; i++) code = cli_output_check(manifest->pictures[i].path);
    if (code || rendering->cli->settings.force) return code;
    for (int i = 0; i < manifest->count && rendering->cli->settings.animation && !code; i++) {
        char *stem = path_without_ending(&manifest->pictures[i]), *path = cli_format("%s.webp", stem);
        /* Beside a picture that is there already it may stand. */
        if (cli_file_exists(path) && !cli_file_exists(manifest->pictures[i].path))
            code = cli_fail("%s: exists already; --force overwrites it", path);
        free(path);
        free(stem);
    }
    if (rendering->manifest_path) {
        bool sheet = cli_file_exists(rendering->sheet_path), list = cli_file_exists(rendering->manifest_path);
        if ((sheet || list) && !cli_manifest_continue(manifest, rendering->manifest_path))
            return cli_fail("%s: exists already and is of other pictures; choose another --output, or --force "
                            "overwrites it",
                            list ? rendering->manifest_path : rendering->sheet_path);
    }
    for (int i = 0; i < manifest->count && !code; i++) {
        if (cli_file_exists(manifest->pictures[i].path))
            code = existing_picture_check(rendering, &manifest->pictures[i]);
        done += manifest->pictures[i].complete;
    }
    if (done && !code) cli_note(rendering->cli, "%d of %d pictures are there already", done, manifest->count);
    return code;
}

/* ---- While it runs ----------------------------------------------------------------------------------------------- */

static struct cli_picture *item_picture(const struct rendering *rendering, int item) {
    return &rendering->manifest.pictures[rendering->items[item]];
}

static bool on_progress(void *user, const ph_progress *now) {
    struct rendering *rendering = user;
    if (now->first != rendering->batch_first) {
        rendering->batch_first = now->first;
        rendering->batch_start = cli_seconds();
    }
    rendering->step = now->step;
    rendering->steps = now->steps;
    cli_progress_update(&rendering->progress, now, item_picture(rendering, now->first)->objective,
                        rendering->item_count);
    return !cli_interrupted() && !rendering->code;
}

static void save(struct rendering *rendering, const ph_picture *picture, const char *path, bool overwrite) {
    cli_progress_clear(&rendering->progress);
    int code = cli_folder_make(path);
    if (!code && ph_picture_save(picture, path, overwrite)) code = cli_fail_library(rendering->cli);
    if (!rendering->code) rendering->code = code;
}

static void animation_add(struct rendering *rendering, int index, const ph_picture *frame) {
    struct cli *cli = rendering->cli;
    ph_animation **animation = rendering->animations ? &rendering->animations[index] : NULL;
    if (!animation || rendering->code) return;
    if (!*animation && ph_animation_create(cli->context, ph_picture_height(frame), ph_picture_width(frame),
                                           rendering->frame_rate, CLI_ANIMATION_QUALITY, animation))
        rendering->code = cli_fail_library(cli);
    else if (ph_animation_add(*animation, frame)) rendering->code = cli_fail_library(cli);
}

static void animation_save(struct rendering *rendering, int index) {
    struct cli_picture *picture = &rendering->manifest.pictures[index];
    if (!rendering->animations || rendering->code) return;
    char *stem = path_without_ending(picture), *path = cli_format("%s.webp", stem);
    if (ph_animation_save(rendering->animations[index], path, rendering->cli->settings.force || picture->unfinished))
        rendering->code = cli_fail_library(rendering->cli);
    ph_animation_destroy(&rendering->animations[index]);
    free(path);
    free(stem);
}

/* An earlier run wrote the same snapshot: its text holds the recipe up to this step, the network and the value. */
static bool snapshot_exists(const struct rendering *rendering, const ph_picture *snapshot, const char *path) {
    ph_picture *there = NULL;
    if (!cli_file_exists(path) || ph_picture_load(rendering->cli->context, path, &there)) return false;
    bool same = !strcmp(ph_picture_recipe(there), ph_picture_recipe(snapshot));
    ph_picture_destroy(&there);
    return same;
}

static void on_snapshot(void *user, int item, int step, const ph_picture *snapshot) {
    struct rendering *rendering = user;
    animation_add(rendering, rendering->items[item], snapshot);
    if (!rendering->snapshots_asked) return;
    char *stem = path_without_ending(item_picture(rendering, item)), *path = cli_format("%s.step-%04d.png", stem, step);
    bool force = rendering->cli->settings.force;
    if (force || !snapshot_exists(rendering, snapshot, path)) save(rendering, snapshot, path, force);
    free(path);
    free(stem);
}

static void errors_print(const ph_picture *picture) {
    ph_term_error error;
    for (int i = 0; ph_picture_error(picture, i, &error); i++)
        cli_print("  error %.6g, %.6g before rounding to 8 bits: %s\n", error.error, error.unrounded, error.term);
}

static void on_finished(void *user, int item, const ph_picture *finished) {
    struct rendering *rendering = user;
    struct cli_picture *picture = item_picture(rendering, item);
    if (cli_interrupted() || rendering->code || picture->complete) return;
    animation_add(rendering, rendering->items[item], finished);
    animation_save(rendering, rendering->items[item]);
    save(rendering, finished, picture->path, rendering->cli->settings.force || picture->unfinished);
    if (rendering->code) return;
    picture->complete = true;
    picture->unfinished = false;
    picture->value = ph_picture_value(finished);
    picture->seconds = cli_seconds() - rendering->batch_start;
    if (!rendering->cli->settings.quiet && !rendering->cli->settings.json) {
        cli_print("%s  %s = %.6g\n", picture->path, picture->objective, (double)picture->value);
        errors_print(finished);
        fflush(stdout);
    }
}

/* ---- Afterwards -------------------------------------------------------------------------------------------------- */

static void best_so_far_save(struct rendering *rendering) {
    for (int i = 0; i < rendering->item_count; i++) {
        struct cli_picture *picture = item_picture(rendering, i);
        if (!picture->picture || picture->complete) continue;
        save(rendering, picture->picture, picture->path, rendering->cli->settings.force || picture->unfinished);
        if (rendering->code) return;
        picture->unfinished = true;
        picture->value = ph_picture_value(picture->picture);
        cli_fail("interrupted after step %d of %d; %s is the picture so far", rendering->step, rendering->steps,
                 picture->path);
    }
}

/* "class:7" says more with its name; of several pictures of an objective each has its number. A new string. */
static char *caption_make(const struct rendering *rendering, const struct cli_picture *picture) {
    const char *objective = picture->objective;
    int index, end = 0;
    const char *name = NULL;
    if (picture->item) return cli_format("%s, %d", objective, picture->item);
    if (sscanf(objective, "class:%d%n", &index, &end) == 1 && !objective[end])
        name = ph_model_class_name(rendering->model, index);
    return name ? cli_format("%s %.*s", objective, (int)strcspn(name, ","), name) : cli_format("%s", objective);
}

/* Cuts off what all captions end in: of a long one its end is seen, which should be what tells it from the others. */
static void captions_cut(char **captions, int count) {
    const char *first = captions[0];
    size_t common = strlen(first);
    for (int i = 1; i < count; i++) {
        size_t length = strlen(captions[i]), same = 0;
        while (same < common && same < length && captions[i][length - same - 1] == first[strlen(first) - same - 1]) same++;
        common = same;
    }
    /* Numbers and names are not cut in two. */
    while (common && isalnum((unsigned char)first[strlen(first) - common])) common--;
    for (int i = 0; i < count; i++)
        if (strlen(captions[i]) <= common) return;
    for (int i = 0; i < count; i++) captions[i][strlen(captions[i]) - common] = 0;
}

static void sheet_save(struct rendering *rendering) {
    /* About what a PNG viewer opens; beyond it the pictures themselves are the better way to look. */
    enum { MOST_PIXELS = 1 << 27, GAP = 8 };
    const struct cli_manifest *manifest = &rendering->manifest;
    const ph_picture *first = manifest->pictures[0].picture;
    int64_t pixels = (int64_t)ph_picture_width(first) * ph_picture_height(first) * manifest->count;
    if (pixels > MOST_PIXELS) {
        cli_note(rendering->cli, "no contact sheet: %d pictures are too many for one", manifest->count);
        return;
    }
    const ph_picture **pictures = cli_allocate((size_t)manifest->count, sizeof *pictures);
    char **captions = cli_allocate((size_t)manifest->count, sizeof *captions);
    ph_picture *sheet = NULL;
    for (int i = 0; i < manifest->count; i++) {
        pictures[i] = manifest->pictures[i].picture;
        captions[i] = caption_make(rendering, &manifest->pictures[i]);
    }
    captions_cut(captions, manifest->count);
    if (ph_picture_sheet(rendering->cli->context, pictures, (const char *const *)captions, manifest->count, 0, GAP,
                         &sheet))
        rendering->code = cli_fail_library(rendering->cli);
    else save(rendering, sheet, rendering->sheet_path, true);
    ph_picture_destroy(&sheet);
    for (int i = 0; i < manifest->count; i++) free(captions[i]);
    free(pictures);
    free(captions);
}

/* --require: every goal of every picture, as its file holds it. */
static int errors_check(const struct rendering *rendering) {
    const char *text = ph_recipe_get(rendering->cli->recipe, "tolerance");
    double tolerance = strtod(text, NULL);
    int code = CLI_DONE;
    for (int i = 0; i < rendering->manifest.count; i++) {
        const struct cli_picture *picture = &rendering->manifest.pictures[i];
        ph_term_error error;
        for (int j = 0; picture->picture && ph_picture_error(picture->picture, j, &error); j++)
            if (!(error.error <= tolerance))
                code = cli_fail("%s: the error of %s is %.6g, above the tolerance of %s", picture->path, error.term,
                                error.error, text);
    }
    return code;
}

static int report(struct rendering *rendering) {
    struct cli_manifest *manifest = &rendering->manifest;
    bool all = true, any = false;
    for (int i = 0; i < manifest->count; i++) {
        all = all && manifest->pictures[i].complete;
        any = any || manifest->pictures[i].complete || manifest->pictures[i].unfinished;
    }
    if (rendering->manifest_path && all && !rendering->code) sheet_save(rendering);
    if (rendering->manifest_path && any) {
        int code = cli_manifest_write(rendering->cli, manifest, rendering->manifest_path);
        if (!rendering->code) rendering->code = code;
    }
    if (!rendering->code && rendering->cli->settings.json) rendering->code = cli_json_print(cli_manifest_json(manifest));
    else if (!rendering->code && rendering->manifest_path && !rendering->cli->settings.quiet)
        cli_print("%s\n%s\n", rendering->sheet_path, rendering->manifest_path);
    return rendering->code || !rendering->cli->settings.require ? rendering->code : errors_check(rendering);
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static int pictures_render(struct rendering *rendering) {
    struct cli *cli = rendering->cli;
    struct cli_manifest *manifest = &rendering->manifest;
    rendering->items = cli_allocate((size_t)manifest->count, sizeof *rendering->items);
    const char **objectives = cli_allocate((size_t)manifest->count, sizeof *objectives);
    ph_picture **results = cli_allocate((size_t)manifest->count, sizeof *results);
    /* All pictures of an objective are made when one of them is missing. */
    int each = rendering->each, count = 0;
    for (int i = 0; i < manifest->count; i += each) {
        int complete = 0;
        for (int j = i; j < i + each; j++) complete += manifest->pictures[j].complete;
        if (complete == each) continue;
        objectives[count++] = manifest->pictures[i].objective;
        for (int j = i; j < i + each; j++) rendering->items[rendering->item_count++] = j;
    }
    if (rendering->item_count) {
        if (cli->settings.animation)
            rendering->animations = cli_allocate((size_t)manifest->count, sizeof *rendering->animations);
        ph_render_callbacks callbacks = {on_progress, on_snapshot, on_finished, rendering};
        cli_interrupt_watch(cli);
        cli_progress_start(&rendering->progress, cli);
        rendering->batch_first = -1;
        ph_status status =
            ph_render(rendering->model, cli->recipe, objectives, count, &callbacks, results);
        cli_progress_clear(&rendering->progress);
        for (int i = 0; i < rendering->item_count; i++) {
            ph_picture_destroy(&item_picture(rendering, i)->picture);
            item_picture(rendering, i)->picture = results[i];
        }
        if (status && !rendering->code && !cli_interrupted()) rendering->code = cli_fail_library(cli);
        if (cli_interrupted() && !rendering->code) {
            best_so_far_save(rendering);
            rendering->code = CLI_FAILED;
        }
    }
    free(results);
    free(objectives);
    return report(rendering);
}

static int objectives_render(struct rendering *rendering, int count, const char *const *words) {
    int code = objectives_expand(rendering, count, words);
    char *template = code ? NULL : template_choose(rendering, count, words);
    if (!code && !template) code = CLI_USAGE;
    if (!code) code = paths_assign(rendering, template);
    if (!code) code = existing_check(rendering);
    free(template);
    return code ? code : pictures_render(rendering);
}

static void rendering_finish(struct rendering *rendering) {
    for (int i = 0; i < rendering->manifest.count; i++) {
        free(rendering->manifest.pictures[i].objective);
        free(rendering->manifest.pictures[i].path);
        ph_picture_destroy(&rendering->manifest.pictures[i].picture);
        if (rendering->animations) ph_animation_destroy(&rendering->animations[i]);
    }
    free(rendering->animations);
    free(rendering->manifest.pictures);
    free(rendering->manifest.folder);
    free(rendering->sheet_path);
    free(rendering->manifest_path);
    free(rendering->items);
    ph_model_destroy(&rendering->model);
}

/* The steps on the way become frames, whether or not they are to be files too. */
static int animation_prepare(struct rendering *rendering) {
    static const char frames[] = "48";
    struct cli *cli = rendering->cli;
    int code = cli_number_read(cli, "frame-rate", cli->settings.frame_rate, &rendering->frame_rate);
    rendering->snapshots_asked = strcmp(ph_recipe_get(cli->recipe, "snapshots"), "0") != 0;
    if (!code && cli->settings.animation && !rendering->snapshots_asked &&
        ph_recipe_set(cli->recipe, "snapshots", frames))
        code = cli_fail_library(cli);
    return code;
}

static int run(struct cli *cli) {
    struct cli_recipe recipe = {0};
    struct rendering rendering = {.cli = cli};
    int code = CLI_DONE;
    if (cli->settings.recipe) code = cli_recipe_read(cli, &recipe);
    else if (!cli->argument_count)
        return cli_usage(cli, "render needs OBJECTIVE..., or --recipe PICTURE");
    if (recipe.model_path) cli->settings.model = recipe.model_path;
    if (!code) code = animation_prepare(&rendering);
    if (!code) code = cli_model_open(cli, &rendering.model);
    if (!code && cli->settings.recipe) code = cli_recipe_apply(cli, &recipe, rendering.model);
    if (!code) {
        if (cli->settings.require && !strcmp(ph_recipe_get(cli->recipe, "tolerance"), "none"))
            code = cli_usage(cli, "--require needs --tolerance ERROR: what is required");
    }
    if (!code) {
        rendering.manifest.cli = cli;
        bool one = strcmp(ph_recipe_get(cli->recipe, "item"), "0");
        rendering.each = one ? 1 : atoi(ph_recipe_get(cli->recipe, "pictures"));
        rendering.manifest.model = ph_model_describe(rendering.model);
        code = cli->argument_count ? objectives_render(&rendering, cli->argument_count, cli->arguments)
                                   : objectives_render(&rendering, 1, (const char *const[]){recipe.objective});
    }
    rendering_finish(&rendering);
    cli_recipe_finish(&recipe);
    return code;
}

const struct cli_command cli_render = {
    .name = "render",
    .arguments = "OBJECTIVE...",
    .help = "optimise a picture for each objective",
    .details = "Optimises the network's input until the objective is as large as it gets, and writes the picture as "
               "PNG. docs/objectives.md has the grammar: 'class:goldfish' (a class, before the softmax), 'conv4a:30' "
               "(the mean of a channel), 'conv4a:30@7,7' (one neuron; column, row), 'conv4a' (the energy of a "
               "layer), sums, differences, and multiples of them. A leading '-' minimises; write it behind '--'. "
               "'conv4a:*' and 'conv4a:0-31' are one picture for each unit.\n\n"
               "--output is a file ending in .png for one picture, or a folder, or a template such as "
               "'out/{model}-{objective}-{seed}.png' with {model}, {objective}, {layer}, {channel} (four digits), "
               "{index} and any option of the picture by name. Without it, pictures are named after the objective, "
               "several in a folder of their own. Several pictures come with a contact sheet, sheet.png, and a "
               "manifest.json.\n\n"
               "--animation writes the way there as animated WebP beside the picture: 48 steps of it, or those of "
               "--snapshots, which are written as numbered PNGs too.\n\n"
               "Nothing is overwritten without --force. When several pictures are asked for, those that exist with "
               "the same recipe are not made again, so that a run that was cut off goes on where it stopped. Ctrl-C, "
               "or SIGTERM, ends after the step in work, writes the pictures as they are then (with --keep-best the "
               "best so far), and gives exit code 1; a second one ends at once and writes nothing. manifest.json has "
               "\"finished\": false for such a picture, and the next run makes it anew; a picture alone holds, as its "
               "recipe, the steps that were made, so that --recipe makes it again.\n\n"
               "Every picture carries its recipe. --recipe PICTURE.png makes it again, byte for byte, with the same "
               "network: the one of that name beside the picture or in this folder, or --model. Other files that the "
               "recipe names, such as a start picture, are read in this folder and below it, and with --any-file "
               "wherever they are. Options given besides --recipe change that part of it.",
    .examples = "phosphene render class:goldfish\n"
                "phosphene render conv4a:30 -o spots.png --size 256 --steps 256 --snapshots 16,64\n"
                "phosphene render 'conv4b:*' -o out/conv4b\n"
                "phosphene render class:monarch --animation -o monarch.png\n"
                "phosphene render -m bvlc_googlenet.onnx inception_4a/output:11 -o dog.png\n"
                "phosphene render --recipe dog.png -m bvlc_googlenet.onnx -o again.png",
    .options = CLI_RENDER | CLI_RECIPE | CLI_ANIMATE | CLI_WRITE | CLI_NETWORK,
    .most = -1,
    .run = run,
};
