/* phosphene inspect: what is in a network file and how it was understood. */
#include "cli.h"
#include <stdio.h>
#include <string.h>

static int plan_print(struct cli *cli, ph_model *model) {
    char *text = NULL;
    if (ph_plan_text(model, cli->recipe, cli->settings.plan, cli->settings.time, &text)) return cli_fail_library(cli);
    if (cli->settings.json) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "objective", cli->settings.plan);
        cJSON_AddStringToObject(json, "plan", text);
        ph_string_destroy(&text);
        return cli_json_print(json);
    }
    cli_print("%s", text);
    ph_string_destroy(&text);
    return CLI_DONE;
}

static int preprocessing_save(struct cli *cli, ph_model *model) {
    if (ph_model_save_preprocessing(model, cli->settings.force)) return cli_fail_library(cli);
    ph_preprocessing preprocessing = ph_model_preprocessing(model);
    char text[640];
    cli_preprocessing_text(&preprocessing, text, sizeof text);
    cli_note(cli, "kept beside the model: %s", text);
    return CLI_DONE;
}

/* Class names are printed up to a number that a person reads. */
enum { MOST_CLASSES = 100, FEW_CLASSES = 10 };

/* The first of the names that each class goes by, in lines of a terminal's width. */
static void classes_print(const ph_model *model) {
    enum { INDENT = 16, WIDTH = 100 };
    int classes = ph_model_class_count(model), shown = classes > MOST_CLASSES ? FEW_CLASSES : classes;
    int column = cli_print("classes         %d", classes);
    if (!classes || !ph_model_class_name(model, 0)) shown = 0;
    for (int i = 0; i < shown; i++) {
        const char *name = ph_model_class_name(model, i);
        int length = name ? (int)strcspn(name, ",") : 1;
        column += cli_print("%s", i ? "," : ":");
        if (column + 1 + length > WIDTH) column = cli_print("\n%*s", INDENT - 1, "") - 1;
        column += cli_print(" %.*s", length, name ? name : "?");
    }
    cli_print("%s\n", shown == classes ? "" : shown ? ", ... (--json has all)" : ", names not known");
}

static void summary_print(ph_model *model, const ph_model_info *info, double flops) {
    char shape[160], text[640];
    ph_preprocessing preprocessing = ph_model_preprocessing(model);
    cli_shape_text(info->rank, info->dims, shape, sizeof shape);
    cli_print("network         %s (%s)\n", info->path, info->format);
    cli_print("SHA-256         %s\n", info->sha256);
    cli_print("input           %s %s, pictures %d x %d with %d channels%s\n", info->input_name, shape, info->width,
           info->height, info->channels, info->size_is_free ? ", other sizes too" : "");
    cli_preprocessing_text(&preprocessing, text, sizeof text);
    cli_print("preprocessing   %s\n", text);
    if (*preprocessing.guessed) cli_print("                guessed: %s\n", preprocessing.guessed);
    cli_print("parameters      %.3f million\n", (double)info->parameters / 1e6);
    cli_print("forward pass    %.3f GFLOP\n", flops / 1e9);
    cli_print("logits          %s\n", info->logits ? info->logits : "none found");
    cli_print("probabilities   %s\n", info->probabilities ? info->probabilities : "none found");
    classes_print(model);
    if (info->unsupported) cli_print("not supported   %s\n", info->unsupported);
}

static void layers_print(const ph_layer_info *layers, int count) {
    int width = 5;
    for (int i = 0; i < count; i++)
        if ((int)strlen(layers[i].name) > width) width = (int)strlen(layers[i].name);
    cli_print("\n%-*s  %-22s  %-20s  %12s  %10s\n", width, "layer", "operation", "shape", "parameters", "MFLOP");
    for (int i = 0; i < count; i++) {
        char shape[160];
        cli_shape_text(layers[i].rank, layers[i].dims, shape, sizeof shape);
        cli_print("%-*s  %-22s  %-20s  %12lld  %10.2f\n", width, layers[i].name, layers[i].operation, shape,
               (long long)layers[i].parameters, layers[i].flops / 1e6);
    }
}

static cJSON *preprocessing_json(const ph_preprocessing *preprocessing) {
    cJSON *json = cJSON_CreateObject(), *mean, *deviation;
    cJSON_AddStringToObject(json, "preset", preprocessing->preset);
    cJSON_AddStringToObject(json, "guessed", preprocessing->guessed);
    cJSON_AddStringToObject(json, "order", preprocessing->bgr ? "bgr" : "rgb");
    cli_json_add_float(json, "scale", (double)preprocessing->scale);
    mean = cJSON_AddArrayToObject(json, "mean");
    deviation = cJSON_AddArrayToObject(json, "deviation");
    for (int i = 0; i < preprocessing->channels; i++) {
        cli_json_append_float(mean, (double)preprocessing->mean[i]);
        cli_json_append_float(deviation, (double)preprocessing->deviation[i]);
    }
    return json;
}

static void add_text_or_null(cJSON *json, const char *name, const char *text) {
    cJSON_AddItemToObject(json, name, text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

static cJSON *network_json(ph_model *model, const ph_model_info *info, const ph_layer_info *layers, int count) {
    cJSON *json = cJSON_CreateObject();
    ph_preprocessing preprocessing = ph_model_preprocessing(model);
    cJSON_AddStringToObject(json, "model", info->path);
    cJSON_AddStringToObject(json, "format", info->format);
    cJSON_AddStringToObject(json, "sha256", info->sha256);
    cJSON_AddStringToObject(json, "input", info->input_name);
    cli_json_add_shape(json, "shape", info->rank, info->dims);
    cJSON_AddNumberToObject(json, "width", info->width);
    cJSON_AddNumberToObject(json, "height", info->height);
    cJSON_AddBoolToObject(json, "size_is_free", info->size_is_free);
    cJSON_AddNumberToObject(json, "parameters", (double)info->parameters);
    add_text_or_null(json, "logits", info->logits);
    add_text_or_null(json, "probabilities", info->probabilities);
    add_text_or_null(json, "unsupported", info->unsupported);
    cJSON_AddItemToObject(json, "preprocessing", preprocessing_json(&preprocessing));
    cJSON *classes = cJSON_AddArrayToObject(json, "classes"), *list = cJSON_AddArrayToObject(json, "layers");
    for (int i = 0; i < ph_model_class_count(model); i++) {
        const char *name = ph_model_class_name(model, i);
        cJSON_AddItemToArray(classes, name ? cJSON_CreateString(name) : cJSON_CreateNull());
    }
    for (int i = 0; i < count; i++) {
        cJSON *layer = cJSON_CreateObject();
        cJSON_AddStringToObject(layer, "name", layers[i].name);
        cJSON_AddStringToObject(layer, "operation", layers[i].operation);
        cli_json_add_shape(layer, "shape", layers[i].rank, layers[i].dims);
        cJSON_AddNumberToObject(layer, "parameters", (double)layers[i].parameters);
        cJSON_AddNumberToObject(layer, "flops", layers[i].flops);
        cJSON_AddItemToArray(list, layer);
    }
    return json;
}

static int run(struct cli *cli) {
    if (cli->settings.time && !cli->settings.plan) return cli_usage(cli, "--time belongs to --plan OBJECTIVE");
    ph_model *model = NULL;
    int code = cli_model_open(cli, &model);
    if (code) return code;
    if (cli->settings.save) code = preprocessing_save(cli, model);
    if (!code && cli->settings.plan) {
        code = plan_print(cli, model);
    } else if (!code) {
        const ph_layer_info *layers = NULL;
        int count = 0;
        if (ph_model_layers(model, 0, 0, &layers, &count)) {
            code = cli_fail_library(cli);
        } else {
            ph_model_info info = ph_model_describe(model);
            double flops = 0;
            for (int i = 0; i < count; i++) flops += layers[i].flops;
            if (cli->settings.json) {
                code = cli_json_print(network_json(model, &info, layers, count));
            } else {
                summary_print(model, &info, flops);
                layers_print(layers, count);
            }
        }
    }
    ph_model_destroy(&model);
    return code;
}

const struct cli_command cli_inspect = {
    .name = "inspect",
    .arguments = "",
    .help = "layers, shapes, preprocessing, classes, the compiled program",
    .details = "Prints what a network file holds and how it was understood: its input, the preprocessing and why it "
               "was chosen, the classes, and every layer with its shape, number of weights and arithmetic. Layer "
               "names are what objectives refer to.\n\n"
               "With --plan it prints the program that a rendering of OBJECTIVE would run, a line for each step; the "
               "picture's options (size, transforms, ...) count there. A step 'convolution+add' makes the sum behind the "
               "convolution, whose name it bears, or the ReLU of that. With --tune or --profile, the lines of layers that more than "
               "one kernel could compute end with what each of them took when it was measured. With --save the preprocessing, as guessed or "
               "as given by the --input options, is kept in MODEL.phosphene beside the model file and used from then "
               "on.",
    .examples = "phosphene inspect\n"
                "phosphene inspect -m bvlc_googlenet.onnx\n"
                "phosphene inspect -m network.onnx --input torch --save\n"
                "phosphene inspect -m bvlc_googlenet.onnx --plan inception_4a/output:11 --time",
    .options = CLI_INSPECT | CLI_RECIPE | CLI_NETWORK,
    .run = run,
};
