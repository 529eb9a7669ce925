/* phosphene activations: a layer's values, or an objective's input gradient, as a NumPy file. */
#include "cli.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_array(const char *path) {
    size_t length = strlen(path);
    return length > 4 && !strcmp(path + length - 4, ".npy");
}

static ph_status picture_run(struct cli *cli, ph_model *model, float *value, ph_tensor **result) {
    const struct cli_settings *settings = &cli->settings;
    ph_picture *picture = NULL;
    ph_status status = ph_picture_load(cli->context, cli->arguments[0], &picture);
    if (!status)
        status = settings->layer ? ph_activations(model, picture, settings->fit, settings->layer, result)
                                 : ph_gradient(model, picture, settings->fit, settings->gradient, value, result);
    ph_picture_destroy(&picture);
    return status;
}

static ph_status array_run(struct cli *cli, ph_model *model, float *value, ph_tensor **result) {
    const struct cli_settings *settings = &cli->settings;
    ph_tensor *input = NULL;
    ph_status status = ph_tensor_load(cli->context, cli->arguments[0], &input);
    if (!status)
        status = settings->layer ? ph_activations_tensor(model, input, settings->layer, result)
                                 : ph_gradient_tensor(model, input, settings->gradient, value, result);
    ph_tensor_destroy(&input);
    return status;
}

/* "STEM-LAYER.npy" in the current folder. */
static char *default_path(const struct cli *cli) {
    const char *slash = strrchr(cli->arguments[0], '/'), *base = slash ? slash + 1 : cli->arguments[0];
    const char *dot = strrchr(base, '.');
    char *stem = cli_format("%.*s", dot && dot > base ? (int)(dot - base) : (int)strlen(base), base);
    char *what = cli_name_safe(cli->settings.layer ? cli->settings.layer : cli->settings.gradient);
    char *path = cli_format("%s-%s%s.npy", stem, cli->settings.layer ? "" : "gradient-", what);
    free(stem);
    free(what);
    return path;
}

static int result_report(const struct cli *cli, const char *path, const ph_tensor *tensor, float value) {
    double least = INFINITY, most = -INFINITY, sum = 0, squares = 0;
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; i++) count *= tensor->dims[i];
    for (int64_t i = 0; i < count; i++) {
        double x = (double)tensor->data[i];
        least = fmin(least, x);
        most = fmax(most, x);
        sum += x;
        squares += x * x;
    }
    double mean = count ? sum / (double)count : NAN, norm = sqrt(squares);
    if (cli->settings.json) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "file", path);
        cli_json_add_shape(json, "shape", tensor->rank, tensor->dims);
        cli_json_add_float(json, "min", least);
        cli_json_add_float(json, "mean", mean);
        cli_json_add_float(json, "max", most);
        cli_json_add_float(json, "norm", norm);
        if (cli->settings.gradient) cli_json_add_float(json, "value", (double)value);
        return cli_json_print(json);
    }
    if (cli->settings.quiet) return CLI_DONE;
    char shape[160];
    cli_shape_text(tensor->rank, tensor->dims, shape, sizeof shape);
    cli_print("%s  %s  min %.6g, mean %.6g, max %.6g, norm %.6g\n", path, shape, least, mean, most, norm);
    if (cli->settings.gradient) cli_print("%s = %.7g\n", cli->settings.gradient, (double)value);
    return CLI_DONE;
}

static int run(struct cli *cli) {
    if (!cli->settings.layer == !cli->settings.gradient)
        return cli_usage(cli, "activations needs one of --layer LAYER and --gradient OBJECTIVE");
    char *path = cli->settings.output ? cli_format("%s", cli->settings.output) : default_path(cli);
    ph_model *model = NULL;
    ph_tensor *result = NULL;
    float value = 0;
    int code = CLI_DONE;
    if (!cli->settings.force && cli_file_exists(path))
        code = cli_fail("%s: exists already; --force overwrites it", path);
    if (!code) code = cli_output_check(path);
    if (!code) code = cli_model_open(cli, &model);
    if (!code) code = cli_folder_make(path);
    if (!code && ((is_array(cli->arguments[0]) ? array_run : picture_run)(cli, model, &value, &result) ||
                  ph_tensor_save(cli->context, result, path, cli->settings.force)))
        code = cli_fail_library(cli);
    if (!code) code = result_report(cli, path, result, value);
    ph_tensor_destroy(&result);
    ph_model_destroy(&model);
    free(path);
    return code;
}

const struct cli_command cli_activations = {
    .name = "activations",
    .arguments = "IMAGE|ARRAY.npy",
    .help = "a layer's values or an input gradient, as .npy",
    .details = "Runs the network once and writes the values of a layer as a NumPy array of 32-bit floats. A picture "
               "is prepared as the network wants it; an .npy file, of shape [N,C,H,W], is fed as it is. With "
               "--gradient the result is the gradient of OBJECTIVE with respect to the network's input, of the "
               "input's shape, and the objective's value is printed.\n\n"
               "Without --output the file is named after the picture and the layer, in the current folder.",
    .examples = "phosphene activations photo.jpg --layer conv4a -o conv4a.npy\n"
                "phosphene activations input.npy --gradient class:goldfish -o gradient.npy",
    .options = CLI_ACTIVATIONS | CLI_FIT | CLI_WRITE | CLI_NETWORK,
    .least = 1,
    .most = 1,
    .run = run,
};
