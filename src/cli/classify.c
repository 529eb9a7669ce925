/* phosphene classify: the best classes of pictures, and from pictures whose classes are known the preprocessing that
 * the network was likely trained with. A wrong one gives no error anywhere, only worse answers. */
#include "cli.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Which class a picture shows --------------------------------------------------------------------------------- */

/* Lower case, and a blank for what separates words in file names. A new string. */
static char *words_normalise(const char *text, size_t length) {
    char *words = cli_format("%.*s", (int)length, text);
    for (char *at = words; *at; at++) *at = strchr("_-.", *at) ? ' ' : (char)tolower((unsigned char)*at);
    return words;
}

static bool words_contain(const char *text, const char *words) {
    size_t length = strlen(words);
    for (const char *at = strstr(text, words); at && length; at = strstr(at + 1, words))
        if ((at == text || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[length])) return true;
    return false;
}

/* Length of the longest of a class's names, "tabby, tabby cat", that occurs in `text`; 0 when none does. */
static int class_match(const char *text, const char *class_name) {
    int longest = 0;
    for (const char *at = class_name; at && *at;) {
        at += strspn(at, ", ");
        size_t length = strcspn(at, ",");
        char *words = words_normalise(at, length);
        if ((int)length > longest && words_contain(text, words)) longest = (int)length;
        free(words);
        at += length;
    }
    return longest;
}

/* What is known of a picture's class: `text` holds its name, and a class is right when no other matches better. */
struct expectation {
    char *text;
    int length;
    int index;
};

static struct expectation expectation_make(const struct cli *cli, const ph_model *model, const char *path) {
    const char *given = cli->settings.expect, *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    struct expectation expectation = {.index = -1};
    if (given && *given && !given[strspn(given, "0123456789")]) {
        expectation.index = atoi(given);
        return expectation;
    }
    const char *text = given ? given : base, *dot = given ? NULL : strrchr(base, '.');
    expectation.text = words_normalise(text, dot ? (size_t)(dot - text) : strlen(text));
    for (int i = 0; i < ph_model_class_count(model); i++) {
        int length = class_match(expectation.text, ph_model_class_name(model, i));
        if (length > expectation.length) expectation.length = length;
    }
    return expectation;
}

static bool expectation_known(const struct expectation *expectation) {
    return expectation->index >= 0 || expectation->length > 0;
}

static bool expectation_met(const struct expectation *expectation, const ph_model *model, int index) {
    if (expectation->index >= 0) return index == expectation->index;
    return expectation->length &&
           class_match(expectation->text, ph_model_class_name(model, index)) == expectation->length;
}

/* ---- Classifying ------------------------------------------------------------------------------------------------- */

/* How well pictures of known class are recognised. */
struct tally {
    int known, first, five;
    double probability;
};

struct classification {
    ph_class_score *scores; /* every class, best first */
    int found;
    int place; /* of the right class, from 1; 0 when not known */
};

static int picture_classify(struct cli *cli, ph_model *model, const char *path, struct tally *tally,
                            struct classification *result) {
    int most = ph_model_class_count(model);
    if (most < cli->settings.top) most = cli->settings.top;
    ph_picture *picture = NULL;
    *result = (struct classification){.scores = cli_allocate((size_t)most, sizeof *result->scores)};
    ph_status status = ph_picture_load(cli->context, path, &picture);
    if (!status) status = ph_classify(model, picture, cli->settings.fit, result->scores, most, &result->found);
    ph_picture_destroy(&picture);
    if (status) return cli_fail_library(cli);
    struct expectation expectation = expectation_make(cli, model, path);
    if (expectation_known(&expectation)) {
        for (int i = 0; i < result->found && !result->place; i++)
            if (expectation_met(&expectation, model, result->scores[i].index)) result->place = i + 1;
        tally->known++;
        tally->first += result->place == 1;
        tally->five += result->place >= 1 && result->place <= 5;
        if (result->place) tally->probability += (double)result->scores[result->place - 1].probability;
    }
    free(expectation.text);
    return CLI_DONE;
}

/* ---- Other preprocessings ---------------------------------------------------------------------------------------- */

/* Tries the presets on the same pictures; the name of one that does clearly better than `present`, or NULL. */
static const char *preset_search(struct cli *cli, ph_model *model, const struct tally *present, struct tally *best) {
    const ph_preprocessing before = ph_model_preprocessing(model);
    const ph_catalogue_entry *preset;
    const char *name = NULL;
    *best = *present;
    /* A second right picture of a hundred is no evidence; a twentieth of the probability is. */
    double least = present->probability + 0.05 * present->known;
    for (int i = 0; (preset = ph_catalogue("preprocessing", i)); i++) {
        struct tally tally = {0};
        int code = CLI_DONE;
        if (!strcmp(preset->name, before.preset) ||
            ph_model_set_preprocessing_text(model, preset->name, NULL, NULL, NULL, NULL))
            continue;
        for (int j = 0; j < cli->argument_count && !code; j++) {
            struct classification result;
            code = picture_classify(cli, model, cli->arguments[j], &tally, &result);
            free(result.scores);
        }
        if (!code && tally.probability > least && tally.first >= best->first) {
            *best = tally;
            least = tally.probability;
            name = preset->name;
        }
    }
    ph_model_set_preprocessing(model, &before);
    return name;
}

static void tally_report(const struct cli *cli, const ph_model *model, const struct tally *present, const char *preset,
                         const struct tally *better, cJSON *json) {
    ph_preprocessing preprocessing = ph_model_preprocessing(model);
    if (json) {
        cJSON *known = cJSON_AddObjectToObject(json, "known");
        cJSON_AddNumberToObject(known, "pictures", present->known);
        cJSON_AddNumberToObject(known, "first", present->first);
        cJSON_AddNumberToObject(known, "five", present->five);
        cJSON_AddStringToObject(known, "preprocessing", preprocessing.preset);
        cJSON_AddItemToObject(known, "better", preset ? cJSON_CreateString(preset) : cJSON_CreateNull());
        if (preset) cJSON_AddNumberToObject(known, "better_first", better->first);
        return;
    }
    cli_print("%d of %d right, %d in the first five (preprocessing: %s)\n", present->first, present->known, present->five,
           preprocessing.preset);
    if (!preset) return;
    cli_print("the preprocessing is likely wrong: with --input %s %d are right, mean probability %.2f, not %.2f\n", preset,
           better->first, better->probability / better->known, present->probability / present->known);
    if (cli->settings.model)
        cli_print("'phosphene inspect -m %s --input %s --save' keeps it\n", cli->settings.model, preset);
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static void picture_print(const struct cli *cli, const ph_model *model, const char *path,
                          const struct classification *result) {
    cli_print("%s", path);
    if (result->place) cli_print("  (its class is in place %d)", result->place);
    cli_print("\n");
    for (int i = 0; i < result->found && i < cli->settings.top; i++) {
        const char *name = ph_model_class_name(model, result->scores[i].index);
        cli_print("  %.4f  %4d  %s\n", (double)result->scores[i].probability, result->scores[i].index, name ? name : "");
    }
}

static cJSON *picture_json(const struct cli *cli, const ph_model *model, const char *path,
                           const struct classification *result) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "file", path);
    if (result->place) cJSON_AddNumberToObject(json, "place", result->place);
    cJSON *list = cJSON_AddArrayToObject(json, "classes");
    for (int i = 0; i < result->found && i < cli->settings.top; i++) {
        cJSON *item = cJSON_CreateObject();
        const char *name = ph_model_class_name(model, result->scores[i].index);
        cJSON_AddNumberToObject(item, "index", result->scores[i].index);
        cJSON_AddItemToObject(item, "name", name ? cJSON_CreateString(name) : cJSON_CreateNull());
        cli_json_add_float(item, "probability", (double)result->scores[i].probability);
        cli_json_add_float(item, "logit", (double)result->scores[i].logit);
        cJSON_AddItemToArray(list, item);
    }
    return json;
}

static int run(struct cli *cli) {
    ph_model *model = NULL;
    int code = cli_model_open(cli, &model);
    if (code) return code;
    if (!ph_model_class_name(model, 0))
        cli_note(cli, "the classes have no names: --labels FILE, or a file of them beside the network, gives them");
    cJSON *json = cli->settings.json ? cJSON_CreateObject() : NULL, *list = cJSON_AddArrayToObject(json, "pictures");
    struct tally tally = {0}, better = {0};
    for (int i = 0; i < cli->argument_count && !code; i++) {
        struct classification result;
        code = picture_classify(cli, model, cli->arguments[i], &tally, &result);
        if (!code && json) cJSON_AddItemToArray(list, picture_json(cli, model, cli->arguments[i], &result));
        else if (!code) picture_print(cli, model, cli->arguments[i], &result);
        free(result.scores);
    }
    if (!code && cli->settings.expect && !tally.known)
        code = cli_fail("--expect: no class of %s is named '%s'", ph_model_describe(model).path, cli->settings.expect);
    if (!code && tally.known) {
        const char *preset = tally.first < tally.known ? preset_search(cli, model, &tally, &better) : NULL;
        tally_report(cli, model, &tally, preset, &better, json);
    }
    if (!code && json) code = cli_json_print(json);
    else cJSON_Delete(json);
    ph_model_destroy(&model);
    return code;
}

const struct cli_command cli_classify = {
    .name = "classify",
    .arguments = "IMAGE...",
    .help = "the best classes of pictures",
    .details = "Prints the best classes of each picture with their probabilities: the check that a network and its "
               "preprocessing are understood.\n\n"
               "Where the class of a picture is known, from --expect or because a class's name stands in the file's "
               "name (n01443537_goldfish.jpg), it also counts how many are right; if some are not, it tries the "
               "other preprocessing presets and names one that does clearly better.",
    .examples = "phosphene classify photo.jpg\n"
                "phosphene classify -m bvlc_googlenet.onnx --labels synset_words.txt pictures/*.jpg\n"
                "phosphene classify cat.jpg --expect tabby --input torch",
    .options = CLI_CLASSIFY | CLI_FIT | CLI_NETWORK,
    .least = 1,
    .most = -1,
    .run = run,
};
