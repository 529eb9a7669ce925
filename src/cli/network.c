/* Opening the network that the options name. */
#include "cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool cli_preprocessing_given(const struct cli_settings *settings) {
    return settings->input || settings->input_mean || settings->input_scale || settings->input_deviation ||
           settings->channel_order;
}

/* One network of --with: "NAME=FILE", or a file whose name without its extension is the name. */
static int model_join(struct cli *cli, ph_model *model, const char *word) {
    const char *equals = strchr(word, '='), *file = equals ? equals + 1 : word;
    const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file, *dot = strrchr(base, '.');
    char *name = equals ? cli_format("%.*s", (int)(equals - word), word)
                        : cli_format("%.*s", dot && dot > base ? (int)(dot - base) : (int)strlen(base), base);
    ph_model *other = NULL;
    int code = CLI_DONE;
    if (ph_model_load(cli->context, strcmp(file, "embedded") ? file : NULL, &other) || ph_model_join(model, name, &other))
        code = cli_fail("--with %s: %s", word, ph_context_error(cli->context));
    else cli_note(cli, "network %s: %s, %s", name, ph_model_describe(ph_model_joined(model, name)).path,
                  ph_model_preprocessing(ph_model_joined(model, name)).preset);
    ph_model_destroy(&other);
    free(name);
    return code;
}

/* What is guessed about the preprocessing does not matter to whoever says it. */
static void log_but_guesses(void *cli, const char *text) {
    static const char guess[] = "preprocessing: ";
    if (strncmp(text, guess, sizeof guess - 1)) cli_log(cli, text);
}

int cli_model_open(struct cli *cli, ph_model **model) {
    const struct cli_settings *settings = &cli->settings;
    if (settings->model && settings->representation)
        return cli_usage(cli, "--representation stands in place of a network: it cannot go with --model");
    if (settings->input && !settings->quiet) ph_context_set_log(cli->context, log_but_guesses, cli);
    ph_status status = settings->representation ? ph_model_load_representation(cli->context, settings->representation, model)
                                                : ph_model_load(cli->context, settings->model, model);
    if (settings->input && !settings->quiet) ph_context_set_log(cli->context, cli_log, cli);
    if (!status && cli_preprocessing_given(settings))
        status = ph_model_set_preprocessing_text(*model, settings->input, settings->input_mean, settings->input_scale,
                                                 settings->input_deviation, settings->channel_order);
    if (!status && settings->labels) status = ph_model_load_labels(*model, settings->labels);
    int code = status ? cli_fail_library(cli) : CLI_DONE;
    for (int i = 0; i < settings->with.count && !code; i++) code = model_join(cli, *model, settings->with.words[i]);
    if (code) ph_model_destroy(model);
    return code;
}

static void list_text(char *text, size_t size, const float *values, int count) {
    size_t used = 0;
    for (int i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%.6g", i ? "," : "", (double)values[i]);
}

void cli_preprocessing_text(const ph_preprocessing *preprocessing, char *text, size_t size) {
    char mean[256], deviation[256];
    list_text(mean, sizeof mean, preprocessing->mean, preprocessing->channels);
    list_text(deviation, sizeof deviation, preprocessing->deviation, preprocessing->channels);
    const char *order = preprocessing->channels != 3 ? "its channels" : preprocessing->bgr ? "BGR" : "RGB";
    snprintf(text, size, "%s: %s, white is %.6g, minus %s, divided by %s", preprocessing->preset, order,
             (double)preprocessing->scale, mean, deviation);
}
