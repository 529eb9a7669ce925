/* phosphene solve: the inputs of any network that make an objective as large, as small or as close to a value as asked. */
#include "table.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is being set up, and the names that variables go by: those of a table's columns, else INPUT[i]. */
struct setup {
    struct cli *cli;
    ph_problem *problem;
    int64_t variables;
    struct cli_table table;  /* of --start; no columns: none */
    ph_problem_input tabled; /* the input that the table is about */
};

/* ---- Names of variables ------------------------------------------------------------------------------------------ */

static int input_find(const struct setup *s, const char *name, size_t length, ph_problem_input *input) {
    for (int i = 0; i < ph_problem_input_count(s->problem); i++) {
        *input = ph_problem_describe_input(s->problem, i);
        if (strlen(input->name) == length && !strncmp(input->name, name, length)) return CLI_DONE;
    }
    return CLI_FAILED;
}

/* For a person: "age, sex, x[0:12]". */
static void names_append(const struct setup *s, struct cli_text *text) {
    for (int i = 0; i < s->table.columns && i < 12; i++) cli_text_append(text, "%s, ", s->table.names[i]);
    for (int i = 0; i < ph_problem_input_count(s->problem); i++) {
        ph_problem_input input = ph_problem_describe_input(s->problem, i);
        cli_text_append(text, "%s%s[0:%lld]", i ? ", " : "", input.name, (long long)input.count);
    }
}

/* "age", "x", "x[3]", "x[2:5]", "all" */
static int variables_find(const struct setup *s, const char *option, const char *name, int64_t *first, int64_t *count) {
    ph_problem_input input;
    *first = 0, *count = s->variables;
    if (!strcmp(name, "all")) return CLI_DONE;
    for (int i = 0; i < s->table.columns; i++)
        if (!strcmp(s->table.names[i], name)) {
            *first = s->tabled.first + i, *count = 1;
            return CLI_DONE;
        }
    const char *bracket = strrchr(name, '[');
    size_t length = bracket ? (size_t)(bracket - name) : strlen(name);
    if (!input_find(s, name, length, &input)) {
        long long begin = 0, end = input.count;
        char closing = ']', rest = 0;
        int fields = !bracket               ? 0
                     : strchr(bracket, ':') ? sscanf(bracket, "[%lld:%lld%c%c", &begin, &end, &closing, &rest)
                                            : sscanf(bracket, "[%lld%c%c", &begin, &closing, &rest);
        if (bracket && !strchr(bracket, ':')) end = begin + 1;
        int wanted = !bracket ? 0 : strchr(bracket, ':') ? 3 : 2;
        if (fields == wanted && closing == ']' && begin >= 0 && begin < end && end <= input.count) {
            *first = input.first + begin, *count = end - begin;
            return CLI_DONE;
        }
    }
    struct cli_text names = {0};
    names_append(s, &names);
    int code = cli_usage(s->cli, "--%s: there is no variable '%s'; there are %s", option, name, names.data);
    cli_text_finish(&names);
    return code;
}

/* The name by which variable `index` is printed. A new string. */
static char *variable_name(const struct setup *s, int64_t index) {
    for (int i = 0; i < ph_problem_input_count(s->problem); i++) {
        ph_problem_input input = ph_problem_describe_input(s->problem, i);
        if (index < input.first || index >= input.first + input.count) continue;
        if (s->table.columns && input.first == s->tabled.first)
            return cli_format("%s", s->table.names[index - input.first]);
        return input.count == 1 ? cli_format("%s", input.name)
                                : cli_format("%s[%lld]", input.name, (long long)(index - input.first));
    }
    return cli_format("?");
}

/* ---- Options with several parts ---------------------------------------------------------------------------------- */

static char *trimmed(char *text) {
    while (*text == ' ') text++;
    for (size_t n = strlen(text); n && text[n - 1] == ' '; n--) text[n - 1] = '\0';
    return text;
}

/* Calls part(s, text) for each part of `list` between semicolons. */
static int for_each_part(struct setup *s, const char *list, int (*part)(struct setup *s, char *text)) {
    if (!list) return CLI_DONE;
    char *copy = cli_format("%s", list), *rest = copy;
    int code = CLI_DONE;
    for (char *text; !code && (text = strsep(&rest, ";"));)
        if (*(text = trimmed(text))) code = part(s, text);
    free(copy);
    return code;
}

static int number_read(const struct setup *s, const char *option, const char *text, double *value) {
    char *end;
    *value = strtod(text, &end);
    if (end != text && !*end && !isnan(*value)) return CLI_DONE;
    return cli_usage(s->cli, "--%s: '%s' is not a number", option, text);
}

static int library_check(ph_status status, const struct setup *s) {
    return status ? cli_usage(s->cli, "%s", ph_context_error(s->cli->context)) : CLI_DONE;
}

/* "NAME=LOW,HIGH" or "LOW,HIGH" */
static int bound_part(struct setup *s, char *text) {
    int64_t first, count;
    double low, high;
    char *equals = strrchr(text, '='), *range = equals ? equals + 1 : text, *comma = strchr(range, ',');
    if (equals) *equals = '\0';
    if (!comma) return cli_usage(s->cli, "--bounds: '%s' is not LOW,HIGH", range);
    *comma = '\0';
    int code = variables_find(s, "bounds", equals ? trimmed(text) : "all", &first, &count);
    if (!code) code = number_read(s, "bounds", trimmed(range), &low);
    if (!code) code = number_read(s, "bounds", trimmed(comma + 1), &high);
    return code ? code : library_check(ph_problem_bound(s->problem, first, count, low, high), s);
}

static int fix_part(struct setup *s, char *text) {
    int64_t first, count;
    double value = 0;
    char *equals = strrchr(text, '=');
    if (equals) *equals = '\0';
    int code = variables_find(s, "fix", trimmed(text), &first, &count);
    if (!code && equals) code = number_read(s, "fix", trimmed(equals + 1), &value);
    for (int64_t i = first; !code && equals && i < first + count; i++)
        code = library_check(ph_problem_set_start(s->problem, i, 1, &value), s);
    return code ? code : library_check(ph_problem_fix(s->problem, first, count, true), s);
}

static int whole_part(struct setup *s, char *text) {
    int64_t first, count;
    int code = variables_find(s, "whole", text, &first, &count);
    return code ? code : library_check(ph_problem_make_whole(s->problem, first, count), s);
}

/* "2*age + x[3] - x[4] <= 7": every variable of a name of several gets the coefficient. */
static int constraint_part(struct setup *s, char *text) {
    static const struct {
        const char *sign;
        enum ph_relation relation;
    } signs[] = {{"<=", PH_AT_MOST}, {">=", PH_AT_LEAST}, {"=", PH_EQUAL}};
    enum ph_relation relation = PH_EQUAL;
    char *right = NULL;
    for (int i = 0; i < CLI_COUNT(signs) && !right; i++)
        if ((right = strstr(text, signs[i].sign))) {
            *right = '\0';
            right += strlen(signs[i].sign);
            relation = signs[i].relation;
        }
    double limit;
    if (!right) return cli_usage(s->cli, "--constraint: '%s' has none of <=, >=, =", text);
    int code = number_read(s, "constraint", trimmed(right), &limit), terms = 0;
    int64_t *variables = cli_allocate((size_t)s->variables, sizeof *variables);
    double *coefficients = cli_allocate((size_t)s->variables, sizeof *coefficients);
    for (char *at = text + strspn(text, " "); *at && !code;) {
        double sign = *at == '-' ? -1 : 1, factor = 1;
        if (*at == '-' || *at == '+') at += 1 + strspn(at + 1, " ");
        size_t length = strcspn(at, "+-");
        char *term = cli_format("%.*s", (int)length, at), *star = strchr(term, '*'), *name = star ? star + 1 : term;
        if (star) *star = '\0';
        int64_t first = 0, count = 0;
        if (star) code = number_read(s, "constraint", trimmed(term), &factor);
        if (!code) code = variables_find(s, "constraint", trimmed(name), &first, &count);
        for (int64_t i = first; !code && i < first + count; i++) {
            if (terms == s->variables) {
                code = cli_usage(s->cli, "--constraint: a variable is named more than once");
                break;
            }
            variables[terms] = i;
            coefficients[terms++] = sign * factor;
        }
        free(term);
        at += length;
    }
    if (!code)
        code = library_check(ph_problem_add_linear(s->problem, terms, variables, coefficients, relation, limit), s);
    free(variables);
    free(coefficients);
    return code;
}

/* ---- Start values ------------------------------------------------------------------------------------------------ */

static int64_t tensor_size(const ph_tensor *tensor) {
    int64_t size = 1;
    for (int i = 0; i < tensor->rank; i++) size *= tensor->dims[i];
    return size;
}

/* The array's values where it has as many as the input, or as K of it side by side: then the first. */
static int start_tensor(struct setup *s, const ph_problem_input *input, const char *path, const ph_tensor *tensor) {
    int64_t count = tensor_size(tensor);
    if (!count || !input->count || count % input->count || (count > input->count && tensor->dims[0] % (count / input->count)))
        return cli_fail("%s: %lld values; input '%s' has %lld", path, (long long)count, input->name,
                        (long long)input->count);
    if (count > input->count)
        cli_note(s->cli, "%s: the first of %lld entries is where the search starts", path,
                 (long long)(count / input->count));
    for (int64_t i = 0; i < input->count; i++) {
        double value = (double)tensor->data[i];
        if (ph_problem_set_start(s->problem, input->first + i, 1, &value))
            return cli_fail("%s: value %lld of input '%s' is not finite", path, (long long)i, input->name);
    }
    return CLI_DONE;
}

static int start_array(struct setup *s, const ph_problem_input *input, const char *path) {
    ph_tensor *tensor = NULL;
    if (ph_tensor_load(s->cli->context, path, &tensor)) return cli_fail_library(s->cli);
    int code = start_tensor(s, input, path, tensor);
    ph_tensor_destroy(&tensor);
    return code;
}

/* Every array that has an input's name; others are what a result holds besides. */
static int start_arrays(struct setup *s, const char *path) {
    ph_tensors *tensors = NULL;
    if (ph_tensors_load(s->cli->context, path, &tensors)) return cli_fail_library(s->cli);
    int code = CLI_DONE, used = 0;
    for (int i = 0; i < tensors->count && !code; i++) {
        ph_problem_input input;
        if (input_find(s, tensors->names[i], strlen(tensors->names[i]), &input)) continue;
        code = start_tensor(s, &input, path, tensors->list[i]);
        used++;
    }
    struct cli_text names = {0};
    for (int i = 0; i < ph_problem_input_count(s->problem); i++)
        cli_text_append(&names, "%s%s", i ? ", " : "", ph_problem_describe_input(s->problem, i).name);
    if (!code && !used) code = cli_fail("%s: it has no array of an input's name: %s", path, names.data ? names.data : "");
    cli_text_finish(&names);
    ph_tensors_destroy(&tensors);
    return code;
}

static int start_table(struct setup *s, const ph_problem_input *input, const char *path) {
    if (s->table.columns) return cli_usage(s->cli, "--start: one table, not two");
    int code = cli_table_read(path, &s->table);
    if (code) return code;
    s->tabled = *input;
    if (s->table.columns != input->count)
        return cli_fail("%s: %d columns; input '%s' has %lld values", path, s->table.columns, input->name,
                        (long long)input->count);
    if (s->table.rows > 1) cli_note(s->cli, "%s: the first of %d rows is where the search starts", path, s->table.rows);
    return library_check(ph_problem_set_start(s->problem, input->first, input->count, s->table.values), s);
}

/* "FILE", for the first input, or "INPUT=FILE" */
static int start_part(struct setup *s, char *text) {
    ph_problem_input input = ph_problem_describe_input(s->problem, 0);
    char *equals = strchr(text, '=');
    if (equals && input_find(s, text, (size_t)(equals - text), &input)) {
        *equals = '\0';
        return cli_usage(s->cli, "--start: the network has no input '%s'", text);
    }
    const char *path = equals ? equals + 1 : text;
    if (cli_ends_with(path, ".csv")) return start_table(s, &input, path);
    if (cli_ends_with(path, ".npy")) return start_array(s, &input, path);
    if (cli_ends_with(path, ".npz") && !equals) return start_arrays(s, path);
    if (cli_ends_with(path, ".npz")) return cli_usage(s->cli, "--start: a .npz names its arrays itself: FILE.npz alone");
    return cli_usage(s->cli, "--start: '%s' ends in none of .npy, .npz and .csv", path);
}

static int ball_set(struct setup *s) {
    const char *text = s->cli->settings.ball;
    double radius;
    if (!text) return CLI_DONE;
    bool infinity = !strncmp(text, "inf:", 4);
    if (!infinity && strncmp(text, "2:", 2))
        return cli_usage(s->cli, "--ball: '%s' is neither 2:RADIUS nor inf:RADIUS", text);
    int code = number_read(s, "ball", strchr(text, ':') + 1, &radius);
    return code ? code
                : library_check(ph_problem_set_ball(s->problem, infinity ? PH_NORM_INFINITY : PH_NORM_2, radius), s);
}

/* ---- Results ----------------------------------------------------------------------------------------------------- */

/* Names of an array's columns behind the objective: "y", or "y[0]", "y[1]", ... */
static void column_names_append(struct cli_text *text, const char *name, int64_t columns) {
    for (int64_t i = 0; i < columns; i++) {
        char *column = columns == 1 ? cli_format("%s", name) : cli_format("%s[%lld]", name, (long long)i);
        cli_text_append(text, ",");
        cli_table_append_name(text, column);
        free(column);
    }
}

/* The inputs, the objective, the network's outputs. */
static void csv_append(const struct setup *s, const ph_solutions *found, const ph_tensors *tensors, struct cli_text *text) {
    int inputs = ph_problem_input_count(s->problem);
    for (int64_t i = 0; i < s->variables; i++) {
        char *name = variable_name(s, i);
        cli_table_append_name(text, name);
        cli_text_append(text, ",");
        free(name);
    }
    cli_text_append(text, "objective");
    for (int i = inputs; i < tensors->count - 1; i++)
        column_names_append(text, tensors->names[i], tensor_size(tensors->list[i]) / found->count);
    cli_text_append(text, "\n");
    for (int k = 0; k < found->count; k++) {
        for (int64_t i = 0; i < s->variables; i++) cli_text_append(text, "%.17g,", found->list[k].variables[i]);
        cli_text_append(text, "%.17g", found->list[k].value);
        for (int i = inputs; i < tensors->count - 1; i++) {
            int64_t columns = tensor_size(tensors->list[i]) / found->count;
            for (int64_t j = 0; j < columns; j++)
                cli_text_append(text, ",%.9g", (double)tensors->list[i]->data[k * columns + j]);
        }
        cli_text_append(text, "\n");
    }
}

static int csv_write(const struct setup *s, const ph_solutions *found, const ph_tensors *tensors, const char *path) {
    struct cli_text text = {0};
    csv_append(s, found, tensors, &text);
    int code = cli_file_write(s->cli, path, text.data);
    cli_text_finish(&text);
    return code;
}

static int result_write(const struct setup *s, const ph_solutions *found) {
    const char *path = s->cli->settings.output;
    bool force = s->cli->settings.force;
    ph_tensors *tensors = NULL;
    if (!path) return CLI_DONE;
    if (cli_ends_with(path, ".npy") && ph_problem_input_count(s->problem) > 1)
        return cli_usage(s->cli, "--output: the network has several inputs; a .npz or .csv holds them all");
    int code = cli_folder_make(path);
    if (code) return code;
    ph_status status = ph_solutions_tensors(s->problem, found, &tensors);
    if (!status && cli_ends_with(path, ".npy")) status = ph_tensor_save(s->cli->context, tensors->list[0], path, force);
    else if (!status && cli_ends_with(path, ".npz")) status = ph_tensors_save(s->cli->context, tensors, path, force);
    else if (!status) code = csv_write(s, found, tensors, path);
    ph_tensors_destroy(&tensors);
    return status ? cli_fail_library(s->cli) : code;
}

static int result_json(const struct setup *s, const ph_solutions *found) {
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "solutions");
    for (int k = 0; k < found->count; k++) {
        cJSON *item = cJSON_CreateObject(), *values = cJSON_AddObjectToObject(item, "variables");
        cJSON_AddItemToArray(list, item);
        cJSON_AddNumberToObject(item, "objective", found->list[k].value);
        cJSON_AddNumberToObject(item, "excess", found->list[k].excess);
        cJSON_AddNumberToObject(item, "reached", found->list[k].reached);
        for (int64_t i = 0; i < s->variables; i++) {
            char *name = variable_name(s, i);
            cJSON_AddNumberToObject(values, name, found->list[k].variables[i]);
            free(name);
        }
    }
    cJSON_AddNumberToObject(json, "starts", found->starts);
    cJSON_AddNumberToObject(json, "failed", found->failed);
    cJSON_AddNumberToObject(json, "evaluations", (double)found->evaluations);
    cJSON_AddStringToObject(json, "method", found->method);
    cJSON_AddStringToObject(json, "precision", found->precision);
    return cli_json_print(json);
}

static int result_print(const struct setup *s, const ph_solutions *found) {
    enum { SHOWN = 12 };
    if (s->cli->settings.json) return result_json(s, found);
    if (s->cli->settings.quiet) return CLI_DONE;
    for (int k = 0; k < found->count; k++) {
        const ph_solution *solution = &found->list[k];
        cli_print("%s = %.9g  (%d of %d starts)\n", s->cli->arguments[0], solution->value, solution->reached,
               found->starts);
        for (int64_t i = 0; i < s->variables && i < SHOWN; i++) {
            char *name = variable_name(s, i);
            cli_print("  %-20s %.9g\n", name, solution->variables[i]);
            free(name);
        }
        if (s->variables > SHOWN)
            cli_print("  ... and %lld more; --output keeps all\n", (long long)(s->variables - SHOWN));
    }
    cli_print("%d starts, %d without a valid result, %lld evaluations, %s in %s; ", found->starts, found->failed,
           (long long)found->evaluations, found->method, found->precision);
    if (found->count > 1)
        cli_print("second best %.9g\n", found->list[1].value);
    else
        cli_print("no other solution %s\n", s->cli->settings.top_solutions > 1 ? "found" : "asked for (--top)");
    return CLI_DONE;
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static bool progress(void *user, int done, int starts, double best) {
    const struct cli *cli = user;
    if (!cli->settings.quiet && (done % 8 == 0 || done == starts))
        cli_note(cli, "%d of %d starts, best %.9g", done, starts, best);
    return !cli_interrupted();
}

static int setup_make(struct setup *s) {
    const struct cli_settings *settings = &s->cli->settings;
    for (int i = 0; i < ph_problem_input_count(s->problem); i++)
        s->variables += ph_problem_describe_input(s->problem, i).count;
    int code = for_each_part(s, settings->start, start_part);
    if (!code) code = for_each_part(s, settings->fix, fix_part);
    if (!code) code = for_each_part(s, settings->bounds, bound_part);
    if (!code) code = for_each_part(s, settings->whole, whole_part);
    if (!code) code = for_each_part(s, settings->constraint, constraint_part);
    return code ? code : ball_set(s);
}

static int options_make(const struct setup *s, ph_solve_options *options) {
    const struct cli_settings *settings = &s->cli->settings;
    *options = ph_solve_defaults();
    options->minimise = settings->minimise;
    options->method = settings->method;
    options->precision = settings->solve_precision;
    options->restarts = settings->restarts;
    options->evaluations = settings->evaluations;
    options->top = settings->top_solutions;
    options->seed = (uint64_t)settings->start_seed;
    options->progress = progress;
    options->user = s->cli;
    if (settings->minimise && settings->goal) return cli_usage(s->cli, "--minimise and --target exclude each other");
    return settings->goal ? number_read(s, "target", settings->goal, &options->target) : CLI_DONE;
}

static int solve(struct setup *s) {
    ph_solve_options options;
    ph_solutions *found = NULL;
    int code = setup_make(s);
    if (!code) code = options_make(s, &options);
    if (code) return code;
    cli_interrupt_watch(s->cli);
    ph_status status = ph_solve(s->problem, s->cli->arguments[0], &options, &found);
    if (status) code = cli_fail_library(s->cli);
    if (found && found->count) {
        int shown = result_write(s, found);
        if (!shown) shown = result_print(s, found);
        if (!code) code = shown;
    }
    ph_solutions_destroy(&found);
    return code;
}

static int run(struct cli *cli) {
    struct setup s = {.cli = cli};
    ph_model *model = NULL;
    const char *path = cli->settings.output;
    if (cli->settings.image || cli->settings.attack) return cli_attack(cli);
    if (!cli->argument_count) return cli_usage(cli, "solve needs OBJECTIVE, or --image PICTURE");
    if (path && !cli_ends_with(path, ".csv") && !cli_ends_with(path, ".npy") && !cli_ends_with(path, ".npz"))
        return cli_usage(cli, "--output: '%s' ends in none of .csv, .npy and .npz", path);
    if (path && !cli->settings.force && cli_file_exists(path))
        return cli_fail("%s: exists already; --force overwrites it", path);
    int code = cli_model_open(cli, &model);
    if (!code && ph_problem_create(model, &s.problem)) code = cli_fail_library(cli);
    if (!code) code = solve(&s);
    ph_problem_destroy(&s.problem);
    ph_model_destroy(&model);
    cli_table_finish(&s.table);
    return code;
}

const struct cli_command cli_solve = {
    .name = "solve",
    .arguments = "OBJECTIVE",
    .help = "the inputs of any network that reach an extreme or a value",
    .details = "Searches the inputs of a network, of any shape, for those that make OBJECTIVE (docs/objectives.md; "
               "'y:0' is the "
               "first value of an output [1,N]) as large as it gets, as small with --minimise, or equal to --target. "
               "Nothing is "
               "prepared: values go to the network as they are.\n\n"
               "Variables are named by input, INPUT, INPUT[3], INPUT[2:5], or 'all'; with --start FILE.csv also by the "
               "columns of "
               "its header line. Options about them take several parts with semicolons between.\n\n"
               "Several starts, the first at the --start values (default 0), the others spread over the bounds; what "
               "was tried is printed with the result. --output writes the solutions as .csv, one a row: the inputs, the "
               "objective, the network's outputs; as .npz, an array of each by name; or as .npy, the input alone. The same "
               "kinds of file are read by --start..\n\n"
               "With --image the input is that picture, as the network sees it, and what is sought is a small change by "
               "which the network takes it for another class: any, or that of --toward. --preset chooses how. Norms of the "
               "change and the classes are printed for the picture as it is written, on 8 bits; exit code 1 when it does "
               "not fool the network.",
    .examples = "phosphene solve y:0 -m price.onnx --start house.csv --bounds 'area=20,200; rooms=1,8' --whole rooms\n"
                "phosphene solve y:0 -m yield.onnx --minimise --bounds -6,6 --top 4 -o minima.csv\n"
                "phosphene solve y:0 -m mix.onnx --bounds 0,1 --constraint 'x = 1' --target 0.7\n"
                "phosphene solve --image photo.jpg --preset smallest --toward goldfish -o fooled.png",
    .options = CLI_SOLVE | CLI_FIT | CLI_WRITE | CLI_NETWORK,
    .most = 1,
    .run = run,
};
