/* Opening the network that the options name. */
#include "cli.h"
#include <stdio.h>

bool cli_preprocessing_given(const struct cli_settings *settings) {
    return settings->input || settings->input_mean || settings->input_scale || settings->input_deviation ||
           settings->channel_order;
}

int cli_model_open(struct cli *cli, ph_model **model) {
    const struct cli_settings *settings = &cli->settings;
    ph_status status = ph_model_load(cli->context, settings->model, model);
    if (!status && cli_preprocessing_given(settings))
        status = ph_model_set_preprocessing_text(*model, settings->input, settings->input_mean, settings->input_scale,
                                                 settings->input_deviation, settings->channel_order);
    if (!status && settings->labels) status = ph_model_load_labels(*model, settings->labels);
    if (!status) return CLI_DONE;
    int code = cli_fail_library(cli);
    ph_model_destroy(model);
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
