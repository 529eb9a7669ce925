/* Execution profiles: every kernel that a measurement may choose makes what the plain functions make, the same bytes with any
 * number of threads and in any batch; a profile is kept to, or refused by file and line; damaged files. Nothing here depends on
 * which kernel is faster. */
#include "exec/plan.h"
#include "exec/profile.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char path[64]; /* of the profile in work */

static void file_write(const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) < 0, 0);
    assert_int_equal(fclose(file), 0);
}

static char *file_read(void) {
    static char text[1 << 16];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

/* A picture of Fourier coefficients, a first layer, two layers that Winograd takes with a ReLU and with a ceiling, a stride that it
 * does not, and small maps. */
enum { SIDE = 28, COLUMNS = SIDE / 2 + 1, ITEM = 3 * SIDE * COLUMNS * 2, MOST_ITEMS = 3 };
struct network { struct ph_graph *graph; int input, loss, output; };

static int convolution(struct ph_graph *g, int x, int outputs, int kernel, int stride, int *step, int bias) {
    static float weights[8][48 * 48 * 25], biases[8][48];
    int64_t channels = g->values[x].shape.dims[1];
    struct ph_convolution_attributes a = {.kernel = {1, kernel, kernel}, .stride = {1, stride, stride}, .dilation = {1, 1, 1},
        .pad_begin = {0, kernel / 2, kernel / 2}, .pad_end = {0, kernel / 2, kernel / 2}, .groups = 1};
    int inputs[3] = {x, PH_ABSENT, PH_ABSENT}, out;
    float *w = weights[*step], *b = biases[*step];
    int64_t count = outputs * channels * kernel * kernel;
    ph_random_normal((struct ph_random_key){.seed = 8, .step = (uint32_t)*step}, w, (size_t)count);
    for (int64_t i = 0; i < count; i++) w[i] /= sqrtf((float)(channels * kernel * kernel));
    for (int i = 0; i < outputs; i++) b[i] = 0.5f;
    ++*step;
    assert_int_equal(ph_graph_add_constant(g, NULL, PH_FLOAT, PH_SHAPE(outputs, channels, kernel, kernel), w, &inputs[1]), PH_OK);
    if (bias) assert_int_equal(ph_graph_add_constant(g, NULL, PH_FLOAT, PH_SHAPE(outputs), b, &inputs[2]), PH_OK);
    assert_int_equal(ph_graph_add(g, &ph_operation_convolution, NULL, &a, inputs, bias ? 3 : 2, &out), PH_OK);
    return out;
}

static struct network network_make(ph_context *context, int items) {
    struct network net;
    int step = 0, v;
    assert_int_equal(ph_graph_create(context, &net.graph), PH_OK);
    struct ph_graph *g = net.graph;
    assert_int_equal(ph_graph_add_input(g, "x", PH_FLOAT, PH_SHAPE(items, 3, SIDE, COLUMNS, 2), &net.input), PH_OK);
    struct ph_irfft2_attributes width = {SIDE};
    struct ph_activation_attributes clip = {.low = 0, .high = 6};
    struct ph_reduce_attributes mean = {.axes = {1, 2, 3}, .axis_count = 3};
    assert_int_equal(ph_graph_add(g, &ph_operation_irfft2, NULL, &width, &net.input, 1, &v), PH_OK);
    v = convolution(g, v, 24, 3, 1, &step, true);
    assert_int_equal(ph_graph_add(g, &ph_operation_tanh, NULL, NULL, &v, 1, &v), PH_OK);
    v = convolution(g, v, 40, 3, 1, &step, true);
    assert_int_equal(ph_graph_add(g, &ph_operation_relu, NULL, NULL, &v, 1, &v), PH_OK);
    v = convolution(g, v, 32, 5, 1, &step, false);
    assert_int_equal(ph_graph_add(g, &ph_operation_clip, NULL, &clip, &v, 1, &v), PH_OK);
    v = convolution(g, v, 32, 3, 3, &step, true);
    v = convolution(g, v, 48, 3, 1, &step, true);
    v = convolution(g, v, 16, 5, 2, &step, true);
    net.output = convolution(g, v, 16, 3, 1, &step, false);
    assert_int_equal(ph_graph_add(g, &ph_operation_reduce_mean, NULL, &mean, &net.output, 1, &net.loss), PH_OK);
    return net;
}

enum { OUTPUT = 16 * 5 * 5 };
struct result { float value[MOST_ITEMS * OUTPUT], gradient[MOST_ITEMS * ITEM]; };

static struct ph_program_request request_of(const struct network *net, const char *backend) {
    return (struct ph_program_request){.taps = &net->output, .tap_count = 1, .loss = net->loss, .parameters = &net->input,
        .parameter_count = 1, .backend = backend};
}

/* With the plan's text where it is asked for. */
static ph_status run(ph_context *context, int items, const char *backend, struct result *result, struct ph_text *plan) {
    struct network net = network_make(context, items);
    struct ph_program_request request = request_of(&net, backend);
    struct ph_program *program;
    ph_status status = ph_program_create(net.graph, &request, &program);
    if (!status) {
        float *input = ph_program_input(program, net.input);
        for (int n = 0; n < items; n++) ph_random_normal((struct ph_random_key){.seed = 9, .step = (uint32_t)n}, input + n * ITEM, ITEM);
        assert_int_equal(ph_program_forward(program), PH_OK);
        assert_int_equal(ph_program_backward(program), PH_OK);
        ph_program_read(program, net.output, result->value);
        memcpy(result->gradient, ph_program_gradient(program, net.input), (size_t)(items * ITEM) * sizeof(float));
        if (plan) assert_int_equal(ph_program_print(program, false, plan), PH_OK);
        ph_program_destroy(&program);
    }
    ph_graph_destroy(&net.graph);
    return status;
}

static void assert_same(const struct result *a, const struct result *b) {
    assert_memory_equal(a->value, b->value, OUTPUT * sizeof(float));
    assert_memory_equal(a->gradient, b->gradient, ITEM * sizeof(float));
}

static double distance(const float *a, const float *b, size_t count) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) difference += pow((double)a[i] - b[i], 2), norm += pow(b[i], 2);
    return sqrt(difference / norm);
}

/* Lines that choose each candidate of each key, [*count] new strings, without a measurement. */
static char **candidates_list(ph_context *context, int *count) {
    char **lines = calloc(256, sizeof *lines);
    unlink(path);
    assert_int_equal(ph_context_tune(context, path), PH_OK);
    struct network net = network_make(context, 1);
    struct ph_program_request request = request_of(&net, "cpu");
    struct ph_program *program;
    assert_int_equal(ph_program_build(net.graph, &request, ph_backends[0], &program), PH_OK);
    *count = 0;
    for (int i = 0; i < context->profile->trial_count; i++) {
        const struct ph_trial *trial = &context->profile->trials[i];
        for (int c = 0; c < trial->count; c++) {
            const char *details = trial->candidates[c].details;
            lines[(*count)++] = ph_sprintf("%s => %s%s%s", trial->key, trial->candidates[c].kernel->name, details ? " |  | " : "",
                                           details ? details : "");
        }
    }
    ph_program_destroy(&program);
    ph_graph_destroy(&net.graph);
    assert_int_equal(ph_context_set_profile(context, NULL), PH_OK);
    return lines;
}

static void lines_free(char **lines, int count) {
    for (int i = 0; i < count; i++) ph_free(lines[i]);
    free(lines);
}

static void profile_of(ph_context *context, const char *line) {
    char *text = ph_sprintf("phosphene profile 1\n# a comment\n\n%s\n", line);
    file_write(text);
    ph_free(text);
    if (ph_context_set_profile(context, path)) fail_msg("%s", ph_context_error(context));
}

/* Whether a line of the plan in this direction has the kernel and was chosen by the profile. */
static bool plan_has(const struct ph_text *plan, const char *direction, const char *kernel) {
    char words[3][64];
    for (const char *line = plan->data; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (sscanf(line, "%63s %63s %63s", words[0], words[1], words[2]) == 3 && !strcmp(words[0], direction) &&
            !strcmp(words[2], kernel) && !strncmp(strchr(line, '\n') - strlen("not measured"), "not measured", strlen("not measured")))
            return true;
    return false;
}

static void check_forced(ph_context *context, const char *line, const struct result *plain, const char *level, char *seen, size_t size) {
    static struct result each[3], batch;
    char key_level[64], direction[16], kernel[64];
    const char *arrow = strstr(line, " => ");
    assert_int_equal(sscanf(line, "%63s %15s", key_level, direction), 2);
    assert_int_equal(sscanf(arrow, " => %63s", kernel), 1);
    assert_string_equal(key_level, level);
    profile_of(context, line);
    for (int threads = 1; threads <= 3; threads++) {
        struct ph_text plan = {0};
        assert_int_equal(ph_context_set_threads(context, threads), PH_OK);
        if (run(context, 1, "cpu", &each[threads - 1], &plan)) fail_msg("%s", ph_context_error(context));
        if (!plan_has(&plan, direction, kernel)) fail_msg("%s: is not run:\n%s", line, plan.data);
        ph_text_finish(&plan);
        assert_same(&each[threads - 1], &each[0]);
    }
    assert_int_equal(run(context, MOST_ITEMS, "cpu", &batch, NULL), PH_OK);
    assert_same(&batch, &each[0]);
    double value = distance(each[0].value, plain->value, OUTPUT), gradient = distance(each[0].gradient, plain->gradient, ITEM);
    if (!(value < 1e-5 && gradient < 1e-5)) fail_msg("%s: value off by %.2e, gradient by %.2e", line, value, gradient);
    snprintf(seen + strlen(seen), size - strlen(seen), " %s/%s", direction, kernel);
}

static void test_forced(void **state) {
    ph_context *context = *state;
    static struct result plain;
    assert_int_equal(run(context, 1, "plain", &plain, NULL), PH_OK);
    for (int level = 0; level <= (int)ph_instruction_set_detect(); level++) {
        char seen[4096] = "", text[300];
        int count;
        assert_int_equal(ph_context_set_instruction_set(context, ph_instruction_set_names[level]), PH_OK);
        assert_int_equal(ph_context_set_precision(context, "fp32"), PH_OK);
        ph_backend_profile(context, text, sizeof text);
        char **lines = candidates_list(context, &count);
        for (int i = 0; i < count; i++) check_forced(context, lines[i], &plain, text, seen, sizeof seen);
        lines_free(lines, count);
        /* All that there is to choose from is chosen somewhere. */
        static const char *const names[] = {"winograd", "direct", "winograd-2x2", "winograd-small", "fftw", "fftw-measured"};
        for (int i = 0; i < 2 * PH_COUNT(names); i++) {
            char name[64];
            snprintf(name, sizeof name, " %s/%s ", i % 2 ? "backward" : "forward", names[i / 2]);
            strcat(seen, " ");
            if (!strstr(seen, name)) fail_msg("%s:%s is no candidate of any layer; there are%s", text, name, seen);
        }
    }
    assert_int_equal(ph_context_set_instruction_set(context, "auto"), PH_OK);
    assert_int_equal(ph_context_set_precision(context, "auto"), PH_OK);
    assert_int_equal(ph_context_set_threads(context, 0), PH_OK);
    assert_int_equal(ph_context_set_profile(context, NULL), PH_OK);
}

/* Direct sums where the rule takes Winograd's: other bytes; and a choice of another instruction set is none. */
static void test_differs(void **state) {
    ph_context *context = *state;
    static struct result rule, direct;
    int count, different = 0;
    assert_int_equal(run(context, 1, "cpu", &rule, NULL), PH_OK);
    char **lines = candidates_list(context, &count);
    for (int i = 0; i < count; i++) {
        char *winograd = strstr(lines[i], " => winograd"), *line;
        if (!winograd || strstr(winograd, "-small")) continue;
        line = ph_sprintf("%.*s => direct", (int)(winograd - lines[i]), lines[i]);
        profile_of(context, line);
        assert_int_equal(run(context, 1, "cpu", &direct, NULL), PH_OK);
        if (strstr(line, " forward ")) assert_memory_not_equal(direct.value, rule.value, OUTPUT * sizeof(float));
        else assert_memory_not_equal(direct.gradient, rule.gradient, ITEM * sizeof(float));
        line[0] = 'C';
        profile_of(context, line);
        assert_int_equal(run(context, 1, "cpu", &direct, NULL), PH_OK);
        assert_same(&direct, &rule);
        ph_free(line);
        different++;
    }
    assert_true(different > 0);
    lines_free(lines, count);
    assert_int_equal(ph_context_set_profile(context, NULL), PH_OK);
}

/* Tuning makes a file that loads; what is chosen once stays; a file grows, and its beginning is known by its digest. */
static void test_tune(void **state) {
    ph_context *context = *state;
    static struct result result, again;
    char sha256[65], *line;
    struct ph_text plan = {0};
    int choices;
    unlink(path);
    assert_int_equal(ph_context_tune(context, path), PH_OK);
    assert_string_equal(file_read(), "phosphene profile 1\n");
    assert_int_equal(run(context, 1, "cpu", &result, &plan), PH_OK);
    ph_profile_info info = ph_context_profile(context);
    assert_string_equal(info.name, "test");
    assert_true(info.choices >= 8);
    assert_non_null(strstr(plan.data, " ms, direct ")); /* what the alternatives took */
    ph_text_finish(&plan);
    choices = info.choices;
    strcpy(sha256, info.sha256);
    char *text = ph_strdup(file_read());
    assert_int_equal(run(context, 2, "cpu", &again, NULL), PH_OK); /* another batch: nothing is measured anew */
    assert_string_equal(file_read(), text);
    assert_same(&again, &result);
    assert_int_equal(ph_context_set_profile(context, path), PH_OK);
    assert_int_equal(ph_context_profile(context).choices, choices);
    assert_string_equal(ph_context_profile(context).sha256, sha256);
    assert_int_equal(run(context, 1, "cpu", &again, NULL), PH_OK);
    assert_same(&again, &result);
    /* Comments, times and line ends are not in the digest; a choice is. */
    line = ph_sprintf("%s# the end\r\n\r\ncpu/avx2 forward convolution [1] to [1] => direct | direct 1 ms", text);
    file_write(line);
    assert_int_equal(ph_context_set_profile(context, path), PH_OK);
    assert_int_equal(ph_context_profile(context).choices, choices + 1);
    assert_string_not_equal(ph_context_profile(context).sha256, sha256);
    assert_int_equal(ph_context_hold_profile(context, choices + 1, sha256), PH_ERROR_NOT_FOUND);
    assert_int_equal(ph_context_hold_profile(context, choices + 2, sha256), PH_ERROR_NOT_FOUND);
    assert_int_equal(ph_context_hold_profile(context, -1, sha256), PH_ERROR_NOT_FOUND);
    assert_int_equal(ph_context_hold_profile(context, -1, ""), PH_ERROR_NOT_FOUND);
    assert_int_equal(ph_context_hold_profile(context, choices, sha256), PH_OK);
    assert_int_equal(ph_context_profile(context).choices, choices);
    assert_string_equal(ph_context_profile(context).sha256, sha256);
    assert_int_equal(run(context, 1, "cpu", &again, NULL), PH_OK);
    assert_same(&again, &result);
    /* Added to behind a last line without its end; but not when somebody else has written meanwhile. */
    assert_int_equal(ph_context_set_instruction_set(context, "portable"), PH_OK);
    assert_int_equal(ph_context_tune(context, path), PH_OK);
    assert_int_equal(run(context, 1, "cpu", &again, NULL), PH_OK);
    assert_non_null(strstr(file_read(), "=> direct | direct 1 ms\ncpu/portable "));
    file_write(text);
    assert_int_equal(ph_context_tune(context, path), PH_OK);
    file_write("phosphene profile 1\n");
    assert_int_equal(run(context, 1, "cpu", &again, NULL), PH_ERROR_FILE);
    assert_non_null(strstr(ph_context_error(context), "someone else"));
    assert_string_equal(file_read(), "phosphene profile 1\n");
    assert_int_equal(ph_context_set_instruction_set(context, "auto"), PH_OK);
    assert_int_equal(ph_context_set_profile(context, NULL), PH_OK);
    assert_int_equal(ph_context_hold_profile(context, 0, sha256), PH_ERROR_ARGUMENT);
    assert_null(ph_context_profile(context).name);
    ph_free(line);
    ph_free(text);
}

/* Loading says which line and why. */
static void test_damaged(void **state) {
    ph_context *context = *state;
    static const struct { const char *text, *says; } files[] = {
        {"", "empty"},
        {"phosphene profile 2\n", ":1: is no execution profile of this version"},
        {"phosphene profile 1x\n", ":1: is no"},
        {"\x89PNG\r\n", ":1: holds a byte"},
        {"phosphene profile 1\ncpu/avx2 forward convolution a\tb => direct\n", ":2: holds a byte"},
        {"phosphene profile 1\n\n# c\ncpu/avx2 forward convolution [1]\n", ":4: is not of the form KEY => KERNEL"},
        {"phosphene profile 1\n => direct\n", ":2: is not of the form"},
        {"phosphene profile 1\ncpu/avx2 forward convolution [1] => \n", ":2: is not of the form"},
        {"phosphene profile 1\ncpu/avx2 forward convolution [1] => direct or so\n", ":2: is not of the form"},
        {"phosphene profile 1\ncpu/avx2 forward => direct\n", ":2: before the arrow"},
        {"phosphene profile 1\ncpu/avx2 sideways convolution [1] => direct\n", ":2: the direction"},
        {"phosphene profile 1\ncpu/avx2 forward convoltion [1] => direct\n", ":2: there is no such operation"},
        {"phosphene profile 1\ncpu/avx2 forward relu [1] => a\ncpu/avx2 forward relu [1] => b | b 1 ms\n", ":3: chooses again what line 2"},
    };
    for (int i = 0; i < PH_COUNT(files); i++) {
        file_write(files[i].text);
        ph_status status = ph_context_set_profile(context, path);
        if (status != PH_ERROR_FORMAT || !strstr(ph_context_error(context), files[i].says) || !strstr(ph_context_error(context), path))
            fail_msg("'%s' gives %d, %s", files[i].text, status, ph_context_error(context));
        assert_int_equal(ph_context_tune(context, path), PH_ERROR_FORMAT);
        assert_string_equal(file_read(), files[i].text);
        assert_null(ph_context_profile(context).name);
    }
    unlink(path);
    assert_int_equal(ph_context_set_profile(context, path), PH_ERROR_FILE);
    assert_int_equal(ph_context_set_profile(context, "/"), PH_ERROR_FILE);
    assert_int_equal(ph_context_tune(context, "/nowhere/test.profile"), PH_ERROR_FILE);
    assert_int_equal(ph_context_tune(context, NULL), PH_ERROR_ARGUMENT);
    /* More choices than there can be. */
    struct ph_text text = {0};
    ph_text_append(&text, "phosphene profile 1\n");
    for (int i = 0; i <= 10000; i++) ph_text_append(&text, "cpu/avx2 forward relu %d => direct\n", i);
    file_write(text.data);
    assert_int_equal(ph_context_set_profile(context, path), PH_ERROR_UNSUPPORTED);
    ph_text_finish(&text);
    /* Cut at every byte: a profile, or an error. */
    static const char whole[] = "phosphene profile 1\n# c\ncpu/avx2 forward relu [1] => a | a 1 ms, b 2 ms | #1 | 2\n";
    for (size_t size = 1; size < sizeof whole; size++) {
        char part[sizeof whole] = "";
        memcpy(part, whole, size);
        file_write(part);
        ph_status status = ph_context_set_profile(context, path);
        assert_true(status == PH_OK || status == PH_ERROR_FORMAT);
        assert_int_equal(status == PH_OK, ph_context_profile(context).name != NULL);
        assert_int_equal(ph_context_set_profile(context, NULL), PH_OK);
    }
}

/* What a program cannot keep to is refused when it is made, with the line. */
static void test_refused(void **state) {
    ph_context *context = *state;
    static struct result result;
    int count, convolutions = 0, transforms = 0;
    char **lines = candidates_list(context, &count);
    for (int i = 0; i < count; i++) {
        char *arrow = strstr(lines[i], " => ");
        bool transform = strstr(lines[i], "irfft2"), chosen = transform ? transforms++ == 0 : convolutions++ == 0;
        if (!chosen) continue;
        const struct { const char *kernel, *says; } choices[] = {
            {"abacus", "there is no kernel 'abacus' for it; there is "},
            {"rows", "there is no kernel 'rows' for it; there is "}, /* another operation's */
            {transform ? "dft" : "winograd-small", "does not take such a node"},
            {transform ? "fftw-measured" : "direct-planar", transform ? "needs the details" : "does not take"},
            {transform ? "fftw-measured |  | (wisdom)" : "direct |  | wisdom", transform ? "does not take" : "has no details"},
        };
        for (int c = 0; c < PH_COUNT(choices); c++) {
            char *line = ph_sprintf("%.*s => %s", (int)(arrow - lines[i]), lines[i], choices[c].kernel);
            profile_of(context, line);
            ph_status status = run(context, 1, "cpu", &result, NULL);
            if (status != PH_ERROR_FORMAT || !strstr(ph_context_error(context), choices[c].says) ||
                !strstr(ph_context_error(context), "test.profile:4: "))
                fail_msg("%s gives %d, %s", line, status, ph_context_error(context));
            ph_free(line);
        }
        /* The plain functions take everything. */
        char *line = ph_sprintf("%.*s => plain", (int)(arrow - lines[i]), lines[i]);
        profile_of(context, line);
        assert_int_equal(run(context, 1, "cpu", &result, NULL), PH_OK);
        ph_free(line);
    }
    assert_true(convolutions && transforms);
    lines_free(lines, count);
    /* Backends without a choice: for one that the context chose it is an error, one named for a program computes as it can. */
    assert_int_equal(ph_context_set_backend(context, "plain", 0), PH_OK);
    assert_int_equal(run(context, 1, NULL, &result, NULL), PH_ERROR_UNSUPPORTED);
    assert_non_null(strstr(ph_context_error(context), "profile 'test'"));
    assert_int_equal(ph_context_set_backend(context, NULL, 0), PH_OK);
    assert_int_equal(run(context, 1, "plain", &result, NULL), PH_OK);
    assert_int_equal(ph_context_set_profile(context, NULL), PH_OK);
}

/* The n-th allocation fails, for every n until all succeed, from the file to the choices: an error each time, never part of a
 * file. */
static void test_memory(void **state) {
    ph_context *context = *state;
    struct network net;
    int step = 0;
    assert_int_equal(ph_graph_create(context, &net.graph), PH_OK);
    assert_int_equal(ph_graph_add_input(net.graph, "x", PH_FLOAT, PH_SHAPE(1, 16, 12, 12), &net.input), PH_OK);
    net.output = convolution(net.graph, net.input, 16, 3, 1, &step, true);
    struct ph_reduce_attributes mean = {.axes = {1, 2, 3}, .axis_count = 3};
    assert_int_equal(ph_graph_add(net.graph, &ph_operation_reduce_mean, NULL, &mean, &net.output, 1, &net.loss), PH_OK);
    struct ph_program_request request = request_of(&net, "cpu");
    struct ph_program *program = NULL;
    long n = 0;
    for (ph_status status = PH_ERROR_MEMORY; status; n++) {
        unlink(path);
        ph_alloc_fail_after(n);
        status = ph_context_tune(context, path);
        if (!status) status = ph_program_create(net.graph, &request, &program);
        ph_alloc_fail_after(-1);
        ph_program_destroy(&program);
        if (status != PH_OK && status != PH_ERROR_MEMORY) fail_msg("%d: %s", status, ph_context_error(context));
        assert_int_equal(ph_context_set_profile(context, NULL), PH_OK);
        if (ph_file_exists(path)) assert_int_equal(ph_context_set_profile(context, path), PH_OK);
        assert_int_equal(ph_context_set_profile(context, NULL), PH_OK);
    }
    assert_true(n > 50);
    ph_graph_destroy(&net.graph);
}

int main(void) {
    char folder[] = "/tmp/phosphene-XXXXXX";
    if (!mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/test.profile", folder);
    ph_context *context = ph_context_create();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_forced, context), cmocka_unit_test_prestate(test_differs, context),
        cmocka_unit_test_prestate(test_tune, context), cmocka_unit_test_prestate(test_damaged, context),
        cmocka_unit_test_prestate(test_refused, context), cmocka_unit_test_prestate(test_memory, context)};
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    ph_context_destroy(&context);
    unlink(path);
    rmdir(folder);
    return failures;
}
