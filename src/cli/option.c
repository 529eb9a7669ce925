/* The options that are not the recipe's, and the parser of all. GNU conventions: --name VALUE, --name=VALUE, -n VALUE,
 * options and arguments in any order, "--" ends the options. A switch of the recipe is turned off by --no-NAME. */
#include "cli.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(struct cli_settings, member)

static const struct cli_option options[] = {
    {"recipe", 0, "PICTURE", NULL, "make this picture again: options, objective and seed come from it", CLI_RENDER,
     AT(recipe)},
    {"require", 0, NULL, NULL, "exit code 1 when a goal is missed by more than --tolerance", CLI_RENDER, AT(require)},
    {"with", 0, "[NAME=]FILE", NULL,
     "another network for objectives to speak of: in(NAME, OBJECTIVE); without NAME the file's; may be repeated",
     CLI_RENDER | CLI_INSPECT, AT(with), .repeats = true},
    {"any-profile", 0, NULL, NULL, "with --recipe: accept another instruction set, precision or profile; a like picture, not the same bytes",
     CLI_RENDER, AT(any_profile)},
    {"any-file", 0, NULL, NULL, "with --recipe: read files that it names outside of this folder; if you trust its maker",
     CLI_RENDER, AT(any_file)},
    {"top", 'k', "N", "5", "classes to print for each picture, 1 to 1000", CLI_CLASSIFY, AT(top), 1, 1000},
    {"expect", 0, "CLASS", NULL, "the class that the pictures show, by name or number (default: from the file names)",
     CLI_CLASSIFY, AT(expect)},
    {"plan", 0, "OBJECTIVE", NULL, "print the program compiled for an objective, step by step", CLI_INSPECT, AT(plan)},
    {"time", 0, NULL, NULL, "with --plan: run it and print milliseconds and share of peak of each step", CLI_INSPECT, AT(time)},
    {"save", 0, NULL, NULL, "keep the preprocessing in a file beside the model, MODEL.phosphene", CLI_INSPECT,
     AT(save)},
    {"layer", 'l', "LAYER", NULL, "the layer whose values are written", CLI_ACTIVATIONS, AT(layer)},
    {"gradient", 'g', "OBJECTIVE", NULL, "write the objective's gradient with respect to the network's input instead",
     CLI_ACTIVATIONS, AT(gradient)},
    {"method", 0, "NAME,...", "grad-cam", "several with commas, or all; phosphene list attribution-methods", CLI_EXPLAIN,
     AT(attribution)},
    {"against", 0, "OBJECTIVE", NULL, "explain the difference to this one", CLI_EXPLAIN, AT(against)},
    {"classes", 0, "N", "0", "one sheet of the picture's N best classes, each explained; up to 100", CLI_EXPLAIN,
     AT(classes), 0, 100},
    {"layer", 'l', "LAYER", NULL, "for the CAM family and layer attribution (default: the last with positions)",
     CLI_EXPLAIN, AT(layer)},
    {"units", 0, "N", "10", "layer attribution: the strongest units to list", CLI_EXPLAIN, AT(units), 0, 100000},
    {"show-units", 0, "N", "0", "layer attribution: draw the strongest N units as feature pictures", CLI_EXPLAIN,
     AT(show_units), 0, 64},
    {"average", 0, "none|smooth|square|variance", "none", "over noisy copies: SmoothGrad, SquareGrad, VarGrad",
     CLI_EXPLAIN, AT(average)},
    {"samples", 0, "N", "25", "noisy copies", CLI_EXPLAIN, AT(samples), 1, 100000},
    {"noise", 0, "S", "0.15", "deviation of the noise, as a share of the input's range", CLI_EXPLAIN, AT(noise)},
    {"baseline", 0, "BASELINE", NULL, "black, mean, blur, noise or a picture (default: the method's own)", CLI_EXPLAIN,
     AT(baseline)},
    {"steps", 0, "N", "0", "of a path; 0: the method's own", CLI_EXPLAIN, AT(path_steps), 0, 100000},
    {"tolerance", 0, "SHARE", "0", "integrated gradients: double the steps until the gap is below it; 0: never",
     CLI_EXPLAIN, AT(tolerance)},
    {"patch", 0, "PIXELS", "0", "occlusion: side of the patch; 0: a fifteenth of the picture", CLI_EXPLAIN, AT(patch),
     0, 65536},
    {"stride", 0, "PIXELS", "0", "occlusion: from patch to patch; 0: half a patch", CLI_EXPLAIN, AT(stride), 0, 65536},
    {"masks", 0, "N", "4000", "rise: number of masks", CLI_EXPLAIN, AT(masks), 1, 10000000},
    {"grid", 0, "N", "7", "rise: cells along a side, 1 to 64", CLI_EXPLAIN, AT(mask_grid), 1, 64},
    {"keep", 0, "P", "0.5", "rise: probability of a cell to be seen", CLI_EXPLAIN, AT(keep)},
    {"epsilon", 0, "E", "1e-6", "lrp: what keeps sums away from 0", CLI_EXPLAIN, AT(epsilon)},
    {"gamma", 0, "G", "0.25", "lrp: weight of positive parts", CLI_EXPLAIN, AT(gamma)},
    {"alpha", 0, "A", "2", "lrp: share of positive parts; that of negative ones is A - 1", CLI_EXPLAIN, AT(alpha)},
    {"seed", 0, "N", "0", "of noise and masks", CLI_EXPLAIN, AT(start_seed), 0, 1000000000},
    {"style", 0, "heat|overlay|signed|masked|picture|sheet", "sheet", "how the map is drawn", CLI_EXPLAIN, AT(style)},
    {"colours", 0, "NAME", NULL, "phosphene list colour-maps (default: lagoon, or blue-red for signed maps)",
     CLI_EXPLAIN, AT(colours)},
    {"opacity", 0, "A", "0.5", "of the map over the picture", CLI_EXPLAIN, AT(opacity)},
    {"percentile", 0, "P", "99", "magnitudes above it are clipped in the drawing", CLI_EXPLAIN, AT(percentile)},
    {"array", 0, NULL, NULL, "write the attribution as .npy too", CLI_EXPLAIN, AT(array)},
    {"evaluate", 0, NULL, NULL, "measure the methods instead of drawing", CLI_EXPLAIN, AT(evaluate)},
    {"randomise", 0, "N", "0", "with --evaluate: compare with a network that forgets its layers, in N stages; up to 64",
     CLI_EXPLAIN, AT(randomise), 0, 64},
    {"boxes", 0, "PATH", NULL, "with --evaluate: where the object is: a CSV of name,left,top,right,bottom, or a "
     "folder of Pascal VOC annotations", CLI_EXPLAIN, AT(boxes)},
    {"octaves", 0, "N", "0", "sizes at which the picture is dreamt upon, up to 32; 0: as there is room for, up to 4", CLI_DREAM,
     AT(octaves), 0, 32},
    {"octave-scale", 0, "FACTOR", "1.4", "from one size to the next larger, 1.01 to 8", CLI_DREAM, AT(octave_scale)},
    {"least-side", 0, "PIXELS", "0", "shorter side of the smallest; 0: 48", CLI_DREAM, AT(least_side), 0, 16384},
    {"steps", 0, "N", "10", "of each octave", CLI_DREAM, AT(dream_steps), 1, 100000},
    {"step-size", 0, "SHARE", "0.006", "mean change of a pixel in a step; white is 1", CLI_DREAM, AT(step_size)},
    {"jitter", 0, "PIXELS", "32", "random shift of what the network sees", CLI_DREAM, AT(dream_jitter), 0, 4096},
    {"tile", 0, "PIXELS", "0", "longest side of what is computed at once, from 32 on; 0: 512, or the network's own size",
     CLI_DREAM, AT(tile), 0, 16384},
    {"size", 0, "WxH", NULL, "scale the picture to fit into this, one number for a square; of noise: its size (512)",
     CLI_DREAM, AT(dream_size)},
    {"guide", 0, "PICTURE", NULL, "what the picture should come to hold, as the layer sees it", CLI_DREAM, AT(guide)},
    {"mask", 0, "PICTURE", NULL, "white where the picture may change, black where it may not", CLI_DREAM, AT(dream_mask)},
    {"feather", 0, "PIXELS", "0", "deviation of the blur of the mask's edge", CLI_DREAM, AT(feather)},
    {"keep-colours", 0, NULL, NULL, "dream in brightness alone", CLI_DREAM, AT(keep_colours)},
    {"seed", 0, "N", "0", "start value of the random numbers", CLI_DREAM, AT(start_seed), 0, 1000000000},
    {"frames", 0, "N", "1", "a zoom: each frame is the one before it, moved on and dreamt upon", CLI_DREAM, AT(frames), 1,
     100000},
    {"zoom", 0, "FACTOR", "1.05", "with --frames: enlargement from frame to frame", CLI_DREAM, AT(zoom)},
    {"turn", 0, "DEGREES", "0", "with --frames: clockwise, from frame to frame", CLI_DREAM, AT(turn)},
    {"shift", 0, "RIGHT,DOWN", "0,0", "with --frames: pixels, from frame to frame", CLI_DREAM, AT(shift)},
    {"blend", 0, "SHARE", "0.5", "of a folder's frames: how much of the dream before shows in the next", CLI_DREAM,
     AT(blend)},
    {"loss", 0, "l2|l1|dot", "l2", "distance of the layer's values, or minus their inner product", CLI_INVERT, AT(loss)},
    {"channels", 0, "N,...", NULL, "match these channels alone", CLI_INVERT, AT(channels)},
    {"window", 0, "COLUMNSxROWS", NULL, "match this many positions in the middle of the layer alone", CLI_INVERT, AT(window)},
    {"variation", 0, "LAMBDA", "auto",
     "weight of the total variation, in the paper's unit; auto: 0.5, or on pixels 0.5, 5, 50 by thirds of the network",
     CLI_INVERT, AT(variation)},
    {"natural", 0, "FOLDER", NULL, "of pictures; give the error over the mean squared distance between them too", CLI_INVERT,
     AT(natural)},
    {"animation", 0, NULL, NULL, "write the frames, or the steps on the way, as animated WebP too", CLI_ANIMATE,
     AT(animation)},
    {"frame-rate", 0, "RATE", "12", "with --animation: frames a second", CLI_ANIMATE, AT(frame_rate)},
    {"minimise", 0, NULL, NULL, "as small as it gets, not as large", CLI_SOLVE, AT(minimise)},
    {"target", 0, "VALUE", NULL, "drive the objective to this value", CLI_SOLVE, AT(goal)},
    {"start", 0, "FILE", NULL, "values to start from: .npy, .npz, or .csv with a header line; INPUT=FILE for several inputs",
     CLI_SOLVE, AT(start)},
    {"fix", 0, "NAMES", NULL, "variables that keep their start value, or get one: 'age; x[3]=1'", CLI_SOLVE, AT(fix)},
    {"bounds", 0, "LOW,HIGH", NULL, "of all variables, or of some: '-6,6; age=18,90'; inf is allowed", CLI_SOLVE,
     AT(bounds)},
    {"whole", 0, "NAMES", NULL, "variables that take whole numbers", CLI_SOLVE, AT(whole)},
    {"constraint", 0, "RELATION", NULL, "linear, with <=, >= or =: '2*age + x[3] <= 7; x = 1'", CLI_SOLVE,
     AT(constraint)},
    {"ball", 0, "NORM:RADIUS", NULL, "stay this near to the start values: 2:0.5 or inf:0.01", CLI_SOLVE, AT(ball)},
    {"top", 'k', "N", "1", "distinct solutions, best first, 1 to 1000", CLI_SOLVE, AT(top_solutions), 1, 1000},
    {"restarts", 0, "N", "16", "starting points, 1 to 100000", CLI_SOLVE, AT(restarts), 1, 100000},
    {"evaluations", 0, "N", "2000", "of the objective, at most, for each start", CLI_SOLVE, AT(evaluations), 1, 100000000},
    {"seed", 0, "N", "0", "start value of the starting points", CLI_SOLVE, AT(start_seed), 0, 1000000000},
    {"method", 0, "NAME", "auto", "local search; phosphene list methods", CLI_SOLVE, AT(method)},
    {"precision", 0, "auto|double|float", "auto", "auto: double for small networks", CLI_SOLVE, AT(solve_precision)},
    {"image", 0, "PICTURE", NULL, "an adversarial picture: change this one until it is taken for another class", CLI_SOLVE,
     AT(image)},
    {"preset", 0, "fgsm|pgd-linf|pgd-l2|smallest", NULL, "with --image: how (default: pgd-linf); phosphene list attacks",
     CLI_SOLVE, AT(attack)},
    {"toward", 0, "CLASS", NULL, "with --image: the class to be taken for (default: any but the present one)", CLI_SOLVE,
     AT(toward)},
    {"radius", 0, "LEVELS", NULL, "with --image: the most a value, or with pgd-l2 the norm, changes; white is 255 "
     "(default: 8; 765)", CLI_SOLVE, AT(radius)},
    {"steps", 0, "N", "0", "with --image: steps; 0: 1 for fgsm, 40 for pgd, 200 for smallest", CLI_SOLVE, AT(attack_steps),
     0, 1000000},
    {"fit", 0, "crop|stretch|none", "crop", "how a picture that is not of the network's size is brought to it", CLI_FIT, AT(fit)},
    {"output", 'o', "PATH", NULL, "where to write", CLI_WRITE, AT(output)},
    {"force", 'f', NULL, NULL, "overwrite files", CLI_WRITE | CLI_INSPECT, AT(force)},
    {"model", 'm', "FILE", NULL, "the network, ONNX or Caffe (default: the embedded one)", CLI_NETWORK, AT(model)},
    {"representation", 0, "hog|hogb|dsift", NULL, "in place of a network: histograms of gradients, or dense SIFT", CLI_NETWORK,
     AT(representation)},
    {"labels", 0, "FILE", NULL, "class names, one a line, in output order", CLI_NETWORK, AT(labels)},
    {"input", 0, "caffe|torch|tf|unit", NULL, "preprocessing by name (default: from the sidecar or guessed)",
     CLI_NETWORK, AT(input)},
    {"input-mean", 0, "M,M,M", NULL, "subtracted from each channel, after scaling", CLI_NETWORK, AT(input_mean)},
    {"input-scale", 0, "S", NULL, "what white is before the mean is subtracted: 255 or 1", CLI_NETWORK,
     AT(input_scale)},
    {"input-deviation", 0, "D,D,D", NULL, "divides each channel, after the mean is subtracted", CLI_NETWORK,
     AT(input_deviation)},
    {"channel-order", 0, "rgb|bgr", NULL, "the order in which the network wants the channels", CLI_NETWORK,
     AT(channel_order)},
    {"threads", 't', "N", "0", "worker threads, 0: all; results do not depend on it", CLI_COMMON, AT(threads), 0, 1024},
    {"instruction-set", 0, "auto|portable|avx2|avx512|avx512-bf16|amx", "auto", "highest instruction set to use", CLI_COMMON,
     AT(instruction_set)},
    {"backend", 0, "cpu|vulkan|auto", "cpu", "what computes: the processor, a GPU, or the one that should be done first",
     CLI_COMMON, AT(backend)},
    {"precision", 0, "auto|fp32|fp16|bf16x3|bf16", "auto",
     "what numbers are kept and multiplied in: fp16 on a GPU; on a processor bf16, a preview, or bf16x3, as exact as fp32; "
     "auto: the fastest that is as exact",
     CLI_PROGRAM & ~CLI_SOLVE, AT(precision)},
    {"profile", 0, "NAME", NULL, "kernels as 'phosphene list profiles' has them measured, or of a FILE.profile",
     CLI_PROGRAM, AT(profile)},
    {"tune", 0, "NAME", NULL, "the same, and measure what it lacks first: a file of that name is made or added to", CLI_PROGRAM,
     AT(tune)},
    {"device", 0, "N", "0", "which device of the backend, as 'phosphene list devices' counts them", CLI_COMMON, AT(device),
     0, 15},
    {"json", 0, NULL, NULL, "print the result as JSON", CLI_COMMON, AT(json)},
    {"quiet", 'q', NULL, NULL, "print errors and asked-for results only", CLI_COMMON, AT(quiet)},
    {"help", 'h', NULL, NULL, "print the command's help", CLI_COMMON, AT(help)},
};

const struct cli_option *cli_option_at(int index) {
    return index >= 0 && index < CLI_COUNT(options) ? &options[index] : NULL;
}

static bool option_taken(const struct cli *cli, const struct cli_option *option) {
    return option->group & (cli->command->options | CLI_COMMON);
}

/* Names of every option that the command takes, for suggestions. */
static const char *option_name(void *user, int index) {
    const struct cli *cli = user;
    for (int i = 0; i < CLI_COUNT(options); i++)
        if (option_taken(cli, &options[i]) && index-- == 0) return options[i].name;
    if (!(cli->command->options & CLI_RECIPE)) return NULL;
    const ph_option_info *info = ph_recipe_option(index);
    return info ? info->name : NULL;
}

/* Whether `word` is one of the words in "a|b|c". */
static bool word_among(const char *word, const char *words) {
    size_t length = strlen(word);
    for (const char *at = words; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (strcspn(at, "|") == length && !strncmp(at, word, length)) return true;
    return false;
}

static int option_set(struct cli *cli, const struct cli_option *option, const char *value) {
    void *member = (char *)&cli->settings + option->offset;
    if (!option->argument) {
        *(bool *)member = true;
    } else if (option->repeats) {
        struct cli_words *words = member;
        if (words->count == CLI_MOST_WORDS)
            return cli_usage(cli, "--%s: given more than %d times", option->name, CLI_MOST_WORDS);
        words->words[words->count++] = value;
    } else if (option->low < option->high) {
        char *end;
        errno = 0;
        long number = strtol(value, &end, 10);
        if (errno || end == value || *end || number < option->low || number > option->high)
            return cli_usage(cli, "--%s: '%s' is not a whole number from %d to %d", option->name, value, option->low,
                             option->high);
        *(int *)member = (int)number;
    } else {
        if (!*value) return cli_usage(cli, "--%s needs a value: %s", option->name, option->argument);
        if (strchr(option->argument, '|') && !word_among(value, option->argument))
            return cli_usage(cli, "--%s: '%s' is none of %s", option->name, value, option->argument);
        *(const char **)member = value;
    }
    return CLI_DONE;
}

int cli_number_read(const struct cli *cli, const char *name, const char *text, double *number) {
    char *end;
    if (!text) return CLI_DONE;
    errno = 0;
    *number = strtod(text, &end);
    if (errno || end == text || *end || !isfinite(*number))
        return cli_usage(cli, "--%s: '%s' is not a number", name, text);
    return CLI_DONE;
}

static int recipe_option_set(struct cli *cli, const ph_option_info *info, const char *value) {
    if (ph_recipe_set(cli->recipe, info->name, value)) return cli_usage(cli, "%s", ph_context_error(cli->context));
    /* Presets set all options of the method, and so come before the others, wherever they stand. */
    bool preset = !strcmp(info->name, "preset");
    int at = preset ? 0 : cli->given_count;
    while (at < cli->given_count && !strcmp(cli->given[2 * at], "preset")) at++;
    memmove(cli->given + 2 * at + 2, cli->given + 2 * at, 2 * (size_t)(cli->given_count - at) * sizeof *cli->given);
    cli->given[2 * at] = info->name;
    cli->given[2 * at + 1] = value;
    cli->given_count++;
    return preset && cli_options_reapply(cli) ? cli_fail_library(cli) : CLI_DONE;
}

static int option_unknown(struct cli *cli, const char *word, size_t length) {
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)length, word);
    const char *nearest = cli_nearest(name, option_name, cli);
    if (nearest) return cli_usage(cli, "unknown option --%s, did you mean --%s?", name, nearest);
    return cli_usage(cli, "unknown option --%s", name);
}

/* One long option, `word` without its dashes; *used counts the words read from the rest of the line. */
static int long_option_parse(struct cli *cli, const char *word, int rest_count, char **rest, int *used) {
    size_t length = strcspn(word, "=");
    const char *value = word[length] ? word + length + 1 : NULL;
    const struct cli_option *option = NULL;
    const ph_option_info *info = NULL;
    bool off = false;
    for (int i = 0; i < CLI_COUNT(options) && !option; i++)
        if (option_taken(cli, &options[i]) && strlen(options[i].name) == length &&
            !strncmp(options[i].name, word, length))
            option = &options[i];
    for (int i = 0; !option && (cli->command->options & CLI_RECIPE) && (info = ph_recipe_option(i)); i++) {
        if (strlen(info->name) == length && !strncmp(info->name, word, length)) break;
        off = !info->argument && length == strlen(info->name) + 3 && !strncmp(word, "no-", 3) &&
              !strncmp(word + 3, info->name, length - 3);
        if (off) break;
    }
    if (!option && !info) return option_unknown(cli, word, length);

    const char *argument = option ? option->argument : info->argument;
    if (!argument && (option || off) && value)
        return cli_usage(cli, "--%.*s is a switch and takes no value", (int)length, word);
    if (argument && !value) {
        if (!rest_count) return cli_usage(cli, "--%.*s needs a value: %s", (int)length, word, argument);
        value = rest[0];
        *used = 1;
    }
    if (option) return option_set(cli, option, value);
    return recipe_option_set(cli, info, value ? value : off ? "false" : "true");
}

/* One word of short options, "-qm FILE" or "-mFILE". */
static int short_options_parse(struct cli *cli, const char *word, int rest_count, char **rest, int *used) {
    for (const char *letter = word + 1; *letter; letter++) {
        const struct cli_option *option = NULL;
        for (int i = 0; i < CLI_COUNT(options) && !option; i++)
            if (option_taken(cli, &options[i]) && options[i].letter == *letter) option = &options[i];
        if (!option)
            return cli_usage(cli, "unknown option -%c in '%s'; an argument that begins with a dash goes behind --",
                             *letter, word);
        const char *value = letter[1] ? letter + 1 : NULL;
        if (option->argument && !value) {
            if (!rest_count) return cli_usage(cli, "-%c needs a value: %s", *letter, option->argument);
            value = rest[0];
            *used = 1;
        }
        int code = option_set(cli, option, value);
        if (code || option->argument) return code;
    }
    return CLI_DONE;
}

static int defaults_set(struct cli *cli) {
    for (int i = 0; i < CLI_COUNT(options); i++)
        if (options[i].initial && option_set(cli, &options[i], options[i].initial)) return CLI_USAGE;
    return ph_recipe_create(cli->context, &cli->recipe) ? cli_fail_library(cli) : CLI_DONE;
}

int cli_options_parse(struct cli *cli, int count, char **words) {
    cli->arguments = cli_allocate((size_t)count + 1, sizeof *cli->arguments);
    cli->given = cli_allocate(2 * (size_t)count + 2, sizeof *cli->given);
    int code = defaults_set(cli);
    bool only_arguments = false;
    for (int i = 0; i < count && !code; i++) {
        const char *word = words[i];
        int used = 0;
        if (only_arguments || word[0] != '-' || !word[1]) cli->arguments[cli->argument_count++] = word;
        else if (!strcmp(word, "--")) only_arguments = true;
        else if (word[1] == '-') code = long_option_parse(cli, word + 2, count - i - 1, words + i + 1, &used);
        else code = short_options_parse(cli, word, count - i - 1, words + i + 1, &used);
        i += used;
    }
    if (code || cli->settings.help) return code;
    const struct cli_command *command = cli->command;
    if (cli->argument_count < command->least)
        return cli_usage(cli, "%s needs %s", command->name, command->arguments);
    if (command->most >= 0 && cli->argument_count > command->most)
        return cli_usage(cli, "'%s' is one argument too many", cli->arguments[command->most]);
    return CLI_DONE;
}

bool cli_option_is_given(const struct cli *cli, const char *name) {
    for (int i = 0; i < cli->given_count; i++)
        if (!strcmp(cli->given[2 * i], name)) return true;
    return false;
}

ph_status cli_options_reapply(struct cli *cli) {
    for (int i = 0; i < cli->given_count; i++) {
        ph_status status = ph_recipe_set(cli->recipe, cli->given[2 * i], cli->given[2 * i + 1]);
        if (status) return status;
    }
    return PH_OK;
}
