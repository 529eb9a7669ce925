/* Objectives: what the grammar reads and refuses, lists of units, and values and gradients of terms on a small graph
 * worked out by hand. */
#include "vis/vis.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static ph_context *context;
static ph_model *model; /* the embedded network */

/* ---- The grammar ------------------------------------------------------------------------------------------------- */

struct out { char *data; size_t size, at; };

static void append(struct out *out, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    out->at += (size_t)vsnprintf(out->data + out->at, out->size - out->at, format, arguments);
    va_end(arguments);
    assert_true(out->at < out->size);
}

static void print_sum(const struct ph_sum *sum, struct out *out);

static void print_region(const struct ph_region *region, struct out *out) {
    if (region->given)
        append(out, "@%d-%d,%d-%d", (int)region->columns[0], (int)region->columns[1], (int)region->rows[0],
               (int)region->rows[1]);
}

static void print_argument(const struct ph_parameter *parameter, const struct ph_argument *argument, struct out *out) {
    append(out, " ");
    if (!argument->given) append(out, "-");
    else if (parameter->kind == PH_ARGUMENT_NUMBER) append(out, "%g", argument->number);
    else if (parameter->kind == PH_ARGUMENT_WORD) append(out, "%s", parameter->words[argument->word]);
    else if (parameter->kind == PH_ARGUMENT_EXPRESSION) {
        append(out, "{");
        print_sum(&argument->expression, out);
        append(out, "}");
    } else if (argument->name) append(out, "%s", argument->name);
    if (argument->one_channel) append(out, ":%d", (int)argument->channel);
    for (int i = 0; i < argument->list_count && argument->classes; i++)
        append(out, "%s%s=%g", i ? "," : "", argument->classes[i], (double)argument->weights[i]);
    for (int i = 0; i < argument->list_count && argument->channels; i++)
        append(out, "%s%d:%g", i ? "," : "", (int)argument->channels[i], (double)argument->weights[i]);
    print_region(&argument->region, out);
}

/* The sum as text: "2 channel conv1:3; ...; + 0.5". */
static void print_sum(const struct ph_sum *sum, struct out *out) {
    for (const struct ph_term *term = sum->first; term; term = term->next) {
        append(out, "%g %s", term->weight, term->type->name);
        if (term->name) append(out, " %s", term->name);
        if (term->type == &ph_term_channel || term->type == &ph_term_neuron) append(out, ":%d", (int)term->unit);
        if (term->type == &ph_term_neuron) append(out, "@%d,%d", (int)term->column, (int)term->row);
        for (int i = 0; term->type->parameters[i].name; i++)
            print_argument(&term->type->parameters[i], &term->arguments[i], out);
        append(out, "; ");
    }
    if (sum->constant != 0) append(out, "+ %g", sum->constant);
}

static void expressions_become_sums(void **state) {
    (void)state;
    static const struct { const char *text, *sum; } cases[] = {
        {"conv1:3", "1 channel conv1:3; "},
        {"  conv1 : 3  ", "1 channel conv1:3; "},
        {"inception_4c/output:11@7,8", "1 neuron inception_4c/output:11@7,8; "},
        {"inception_4c/output", "1 layer inception_4c/output; "},
        {"-conv1:3", "-1 channel conv1:3; "},
        {"- -conv1:3", "1 channel conv1:3; "},
        {"a:1 + b:2 - c:3", "1 channel a:1; 1 channel b:2; -1 channel c:3; "},
        {"a:1-b:2", "1 channel a:1; -1 channel b:2; "},
        {"2*a:1", "2 channel a:1; "}, {"a:1*2", "2 channel a:1; "}, {"2*3*a:1*0.5", "3 channel a:1; "},
        {"2*(a:1 - 3*(b:2 + 1))", "2 channel a:1; -6 channel b:2; + -6"},
        {"(2 + 3)*a:1", "5 channel a:1; "}, {"-2*a:1", "-2 channel a:1; "}, {"1e-2*a:1", "0.01 channel a:1; "},
        {"a:1 - -.5", "1 channel a:1; + 0.5"},
        {"class:goldfish", "1 class goldfish; "}, {"class:1", "1 class 1; "},
        {"class:king penguin - 0.5*class:tabby", "1 class king penguin; -0.5 class tabby; "},
        {"class:black-and-tan coonhound", "1 class black-and-tan coonhound; "},
        {"class:jack-o'-lantern + a:1", "1 class jack-o'-lantern; 1 channel a:1; "},
        {"class:'a, b: c'", "1 class a, b: c; "}, {"class:9mm", "1 class 9mm; "},
        {"probability:tabby", "1 probability tabby; "},
        {"'odd name:0':4", "1 channel odd name:0:4; "}, {"'it''s':1", "1 channel it's:1; "},
        {"'class':1", "1 channel class:1; "}, {"123:4", "1 channel 123:4; "}, {"3x3:4", "1 channel 3x3:4; "},
        {"/layer1/layer1.0/Relu_output_0:4", "1 channel /layer1/layer1.0/Relu_output_0:4; "},
        {"a:1 - 0.25*tv()", "1 channel a:1; -0.25 tv; "}, {"a:1 - tv( )", "1 channel a:1; -1 tv; "},
        {"mean(conv1) + mean( 'x y' )", "1 mean conv1; 1 mean x y; "}, {"tv", "1 layer tv; "},
        {"mean(a@1,2)", "1 mean a@1-1,2-2; "}, {"mean(a@1-3,0)", "1 mean a@1-3,0-0; "},
        {"a:1 * b:2", "1 product {1 channel a:1; } {1 channel b:2; }; "},
        {"2*a:1 * (b:2 - 3) * 4", "4 product {2 channel a:1; } {1 channel b:2; + -3}; "},
        {"-(a * b) * c", "1 product {-1 product {1 layer a; } {1 layer b; }; } {1 layer c; }; "},
        {"direction(a, [1, -2.5, 3e2])", "1 direction a 0:1,1:-2.5,2:300 - - -; "},
        {"direction(a@1,2, [4: -1, 9 : 2], power=2)", "1 direction a@1-1,2-2 4:-1,9:2 2 - -; "},
        {"direction(a, my file.npy, 4)", "1 direction a my file.npy 4 - -; "},
        {"direction(a, [1], whiten = 'c, d.npy')", "1 direction a 0:1 - c, d.npy -; "},
        {"direction(a, photo.jpg@3,4-5, ridge=.5, whiten=c.npy)", "1 direction a photo.jpg@3-3,4-5 - c.npy 0.5; "},
        {"cosine(a, photo-1.jpg)", "1 cosine a photo-1.jpg; "},
        {"match(a, b.npy)", "1 match a b.npy - -; "}, {"match(a, b.npy, by=cosine)", "1 match a b.npy cosine -; "},
        {"match(a, b.npy, l1)", "1 match a b.npy l1 -; "}, {"match(a:7, b.npy)", "1 match a:7 b.npy - -; "},
        {"match(a:7@1,2-3, b.npy, mask=c.png)", "1 match a:7@1-1,2-3 b.npy - c.png; "},
        {"2*match(probabilities, king penguin=0.5, 7 = .25)", "2 match probabilities king penguin=0.5,7=0.25; "},
        {"match(probabilities, b.npy, by=l1)", "1 match probabilities b.npy l1 -; "},
        {"match(probabilities, b.npy)", "1 match probabilities b.npy - -; "},
        {"reach(a:1 - 2*b:2, -3)", "1 reach {1 channel a:1; -2 channel b:2; } -3; "},
        {"item(2, class:king penguin) + tv()", "1 item 2 {1 class king penguin; }; 1 tv; "},
        {"interpolate(a:1, mean(b)*2)", "1 interpolate {1 channel a:1; } {2 mean b; }; "},
        {"a:1 * (1 - opacity())", "1 product {1 channel a:1; } {-1 opacity; + 1}; "},
        {"boundary(colour=0.25)", "1 boundary - 0.25; "}, {"others(a:1)", "1 others {1 channel a:1; }; "},
        {"a:1 + 2*in(resnet-50.v2, class:king penguin - tv())", "1 channel a:1; 2 in resnet-50.v2 {1 class king penguin; -1 tv; }; "},
        {"in('b c', in(d, a:1))", "1 in b c {1 in d {1 channel a:1; }; }; "},
    };
    for (int i = 0; i < PH_COUNT(cases); i++) {
        struct ph_objective objective;
        char text[512];
        if (ph_objective_parse(context, cases[i].text, &objective)) fail_msg("%s", ph_context_error(context));
        struct out out = {text, sizeof text, 0};
        text[0] = 0;
        print_sum(&objective.sum, &out);
        assert_string_equal(text, cases[i].sum);
        assert_string_equal(objective.text, cases[i].text);
        ph_objective_finish(&objective);
    }
}

static void mistakes_are_placed_and_explained(void **state) {
    (void)state;
    static const struct { const char *text; int at; const char *said; } cases[] = {
        {"", 1, "expected"}, {"   ", 4, "expected"}, {"conv1:", 7, "channel"}, {"conv1:x", 7, "channel"},
        {"conv1:3x", 7, "channel"}, {"a:1 +", 6, "ends"}, {"a:1 b:2", 5, "operator"},
        {"2 * (a:1", 5, "not closed"}, {"a:1)", 4, "operator"}, {"3", 1, "number alone"}, {"tvv()", 1, "tv"},
        {"mean()", 6, "LAYER is missing"}, {"tv(conv1)", 4, "parenthesis"}, {"a:1@3", 6, "comma"}, {"a:1@x,2", 5, "column,row"},
        {"'abc:1", 1, "no end"}, {"'':1", 1, "empty"}, {"class:", 7, "class"}, {"class:-", 7, "class"},
        {"a:1 + $", 7, "expected"}, {"a:1 // b", 5, "operator"}, {"1 2", 3, "operator"}, {"*a:1", 1, "expected"},
        {"direction(a)", 11, "VECTOR is missing"}, {"direction(a, [1], 0, c.npy, 1, 2)", 32, "too many"},
        {"direction(a, [1], pow=2)", 19, "parameter"}, {"direction(a, [1], power=2, power=2)", 28, "twice"},
        {"direction(a, [1, b])", 18, "number"}, {"direction(a, [1, 2:3])", 18, "all"}, {"cosine(a, [1", 11, "closed"},
        {"direction(a, )", 14, "file"}, {"direction(a, [1], power=x)", 25, "0 to 100"},
        {"direction(a, [1], power=-1)", 25, "0 to 100"}, {"match(a, b.npy, by=l3)", 20, "l2, l1, cosine or dot"},
        {"mean(a@3-1,2)", 9, "smaller"}, {"mean(a@3)", 9, "comma"}, {"mean(a b)", 8, "comma or a closing"},
        {"match(probabilities, a=0.7, b=0.4)", 30, "more than 1"}, {"match(probabilities, a=1.5)", 23, "above 0 to 1"},
        {"match(probabilities, a=0.5, b)", 30, "CLASS=0.7"}, {"match(a:*, b.npy)", 9, "one channel"},
        {"mean(a:3)", 7, "comma or a closing"},
        {"reach(a:1)", 7, "VALUE is missing"}, {"reach(a:1, b)", 12, "VALUE is a number"}, {"item(0, a:1)", 6, "1 to 64"},
        {"caricatur(a, b.jpg)", 1, "caricature"}, {"reach(3 +, 2)", 10, "expected"}, {"tv(1)", 4, "parenthesis"},
        {"in(a)", 4, "OBJECTIVE is missing"}, {"in(, a:1)", 4, "network"}, {"in(a, )", 7, "expected"}};
    for (int i = 0; i < PH_COUNT(cases); i++) {
        struct ph_objective objective;
        char at[32];
        assert_int_equal(ph_objective_parse(context, cases[i].text, &objective), PH_ERROR_ARGUMENT);
        snprintf(at, sizeof at, "character %d:", cases[i].at);
        if (!strstr(ph_context_error(context), at) || !strstr(ph_context_error(context), cases[i].said))
            fail_msg("'%s' at %d: %s", cases[i].text, cases[i].at, ph_context_error(context));
    }
}

/* Every start of a long expression, every single byte in its middle, and deep nesting: an answer, never a crash. */
static void hostile_texts_are_answered(void **state) {
    (void)state;
    static const char text[] =
        "-2e-1*(a/b.c:11@7,8 - 0.5*mean('x''y')) + class:big cat, small - probability:0-3,5*tv() + l:*"
        " * match(probabilities, big cat=0.5, 7=.1) * direction(a@1-2,3, [1: 2, 3: -.5], power = 2) - item(1, reach(b:1, 3)) * match(c, d-e.npy@*, by=l1)";
    struct ph_objective objective;
    char changed[sizeof text];
    for (size_t length = 0; length < sizeof text; length++) {
        memcpy(changed, text, length);
        changed[length] = 0;
        if (!ph_objective_parse(context, changed, &objective)) ph_objective_finish(&objective);
    }
    for (size_t at = 0; at + 1 < sizeof text; at++)
        for (int byte = 1; byte < 256; byte++) {
            memcpy(changed, text, sizeof text);
            changed[at] = (char)byte;
            if (!ph_objective_parse(context, changed, &objective)) ph_objective_finish(&objective);
        }
    enum { DEEP = 100000 };
    char *deep = malloc(DEEP + 1);
    for (int c = 0; c < 2; c++) {
        memset(deep, "(-"[c], DEEP);
        deep[DEEP] = 0;
        assert_int_equal(ph_objective_parse(context, deep, &objective), PH_ERROR_ARGUMENT);
    }
    free(deep);
}

static void failing_memory_is_an_error(void **state) {
    (void)state;
    for (int after = 0; after < 100; after++) {
        struct ph_objective objective;
        ph_alloc_fail_after(after);
        ph_status status = ph_objective_parse(context, "a:1 + 'b c':2 * class:x y + direction(d, [1, 2]) + match(e, f.npy)", &objective);
        ph_alloc_fail_after(-1);
        if (!status) {
            ph_objective_finish(&objective);
            assert_true(after > 0);
            return;
        }
        assert_int_equal(status, PH_ERROR_MEMORY);
    }
    fail_msg("100 allocations are not enough");
}

static void likeness_is_that_of_programs(void **state) {
    (void)state;
    static const struct { const char *a, *b; bool alike; } cases[] = {
        {"a:1", "a:2", true}, {"a:1", "b:1", false}, {"a:1@2,3", "a:4@5,6", true}, {"a:1@2,3", "a:1", false},
        {"class:x", "class:y", true}, {"class:x", "probability:x", false}, {"a:1 - tv()", "a:2 - tv()", true},
        {"a:1 - tv()", "a:2 - 2*tv()", false}, {"a:1", "-a:1", false}, {"a:1 + 1", "a:1", false}, {"a", "b", false},
        {"direction(a, [1])", "direction(a, b.npy)", true}, {"direction(a, [1])", "direction(b, [1])", false},
        {"direction(a, [1], 2)", "direction(a, [1])", false}, {"direction(a@1,1, [1])", "direction(a@1,2, [1])", false},
        {"match(a, b.npy)", "match(a, c.jpg)", true}, {"match(a, b.npy)", "match(a, b.npy, by=l1)", false},
        {"a:1 * b:2", "a:3 * b:4", true}, {"a:1 * b:2", "a:1 + b:2", false}, {"reach(a:1, 2)", "reach(a:3, 2)", true},
        {"reach(a:1, 2)", "reach(a:1, 3)", false}, {"item(1, a:1)", "item(2, a:1)", false},
        {"in(a, b:1)", "in(a, b:2)", true}, {"in(a, b:1)", "in(c, b:1)", false}, {"in(a, b:1)", "b:1", false}};
    for (int i = 0; i < PH_COUNT(cases); i++) {
        struct ph_objective a, b;
        assert_int_equal(ph_objective_parse(context, cases[i].a, &a), PH_OK);
        assert_int_equal(ph_objective_parse(context, cases[i].b, &b), PH_OK);
        assert_int_equal(ph_objective_alike(&a, &b), cases[i].alike);
        ph_objective_finish(&a);
        ph_objective_finish(&b);
    }
}

/* ---- Lists ------------------------------------------------------------------------------------------------------- */

static void lists_expand(void **state) {
    (void)state;
    static const struct { const char *text; int count; const char *first, *last; } cases[] = {
        {"conv1:*", 32, "conv1:0", "conv1:31"}, {"conv1:3-5", 3, "conv1:3", "conv1:5"},
        {"conv1:1,5,7-8", 4, "conv1:1", "conv1:8"}, {"class:*", 100, "class:0", "class:99"},
        {"2*conv1:0-1@3,4 - tv()", 2, "2*conv1:0@3,4 - tv()", "2*conv1:1@3,4 - tv()"},
        {"probability:7,9", 2, "probability:7", "probability:9"},
        {"2*others(conv1:3-5)", 3, "2*others(conv1:3)", "2*others(conv1:5)"},
        {"cosine(conv4b, photo.jpg@*)", 64, "cosine(conv4b, photo.jpg@0,0)", "cosine(conv4b, photo.jpg@7,7)"}, {"conv1:4", 1, "conv1:4", "conv1:4"}};
    for (int i = 0; i < PH_COUNT(cases); i++) {
        char **list;
        int count;
        if (ph_objective_expand(model, cases[i].text, &list, &count)) fail_msg("%s", ph_context_error(context));
        assert_int_equal(count, cases[i].count);
        assert_string_equal(list[0], cases[i].first);
        assert_string_equal(list[count - 1], cases[i].last);
        ph_string_list_destroy(&list, count);
        assert_null(list);
    }
}

static void files_are_listed(void **state) {
    (void)state;
    static const struct { const char *text, *files; } cases[] = {
        {"conv1:3", ""},
        {"direction(conv1, [1: 2])", ""},
        {"match(conv1, a.npy) - 2*direction(conv2, 'b c.jpg'@*)", "a.npy|b c.jpg|"},
        {"conv1:3 * (conv2:1 + in(x, cosine(conv1, /d/e.png@1,2)))", "/d/e.png|"},
        {"match(conv1, t.npy, mask=../m.png) + match(conv1, t.npy)", "t.npy|../m.png|t.npy|"}};
    for (int i = 0; i < PH_COUNT(cases); i++) {
        char **files = NULL, text[100] = "";
        int count = 0;
        if (ph_objective_files(context, cases[i].text, &files, &count)) fail_msg("%s", ph_context_error(context));
        for (int f = 0; f < count; f++) strcat(strcat(text, files[f]), "|");
        assert_string_equal(text, cases[i].files);
        ph_string_list_destroy(&files, count);
    }
    char **files = NULL;
    int count = 0;
    assert_int_equal(ph_objective_files(context, "match(", &files, &count), PH_ERROR_ARGUMENT);
    assert_null(files);
}

static void impossible_lists_are_refused(void **state) {
    (void)state;
    static const struct { const char *text, *said; } cases[] = {
        {"conv1:30-32", "0 to 31"}, {"conv1:5-3", "5 to 3"}, {"conv1:0-99999999999999999999", "0 to 31"},
        {"conv1:* + conv2:*", "more than one"}, {"conv9:*", "conv"}, {"conv1:", "channel"}};
    for (int i = 0; i < PH_COUNT(cases); i++) {
        char **list;
        int count;
        assert_true(ph_objective_expand(model, cases[i].text, &list, &count) != PH_OK);
        if (!strstr(ph_context_error(context), cases[i].said)) fail_msg("%s", ph_context_error(context));
    }
    struct ph_objective objective;
    assert_int_equal(ph_objective_parse(context, "conv1:0-3", &objective), PH_OK);
    assert_int_equal(ph_objective_check_single(context, &objective), PH_ERROR_ARGUMENT);
    ph_objective_finish(&objective);
}

/* ---- Values ------------------------------------------------------------------------------------------------------ */

enum { ITEMS = 2, CHANNELS = 3, HEIGHT = 2, WIDTH = 3, SIZE = CHANNELS * HEIGHT * WIDTH };

/* Value and gradient of `texts` on a picture of the embedded network's input, without the network's sizes mattering:
 * only terms about the picture and the input are used. */
static void terms_are_as_defined(void **state) {
    (void)state;
    float picture[ITEMS * SIZE];
    for (int i = 0; i < ITEMS * SIZE; i++) picture[i] = (float)(0.5 + 0.45 * sin(1 + 2.3 * i));
    double tv = 0, l1 = 0, l2 = 0, down = 0, right = 0;
    for (int c = 0; c < CHANNELS; c++)
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++) {
                const float *p = &picture[SIZE + (c * HEIGHT + y) * WIDTH + x]; /* of the second item */
                if (y + 1 < HEIGHT) down += fabs((double)p[WIDTH] - p[0]) / (CHANNELS * (HEIGHT - 1) * WIDTH);
                if (x + 1 < WIDTH) right += fabs((double)p[1] - p[0]) / (CHANNELS * HEIGHT * (WIDTH - 1));
                l1 += fabs(p[0] - 0.5) / SIZE;
                l2 += (p[0] - 0.5) * (p[0] - 0.5) / SIZE;
            }
    tv = down + right;
    const struct { const char *text; double value; } cases[] = {
        {"tv()", tv}, {"l1()", l1}, {"l2()", l2}, {"2*tv() - 3*l2() + 1", 2 * tv - 3 * l2 + 1}};
    for (int i = 0; i < PH_COUNT(cases); i++) {
        struct ph_objective objectives[ITEMS];
        for (int n = 0; n < ITEMS; n++)
            assert_int_equal(ph_objective_parse(context, cases[i].text, &objectives[n]), PH_OK);
        struct ph_graph *graph;
        struct ph_program *program;
        int input, value;
        float values[ITEMS];
        assert_int_equal(ph_graph_create(context, &graph), PH_OK);
        assert_int_equal(ph_graph_add_input(graph, NULL, PH_FLOAT, PH_SHAPE(ITEMS, CHANNELS, HEIGHT, WIDTH), &input),
                         PH_OK);
        struct ph_objective_scope scope = {
            .model = model, .graph = graph, .picture = input, .objectives = objectives, .count = ITEMS};
        if (ph_objective_build(&scope, &value)) fail_msg("%s", ph_context_error(context));
        assert_true(ph_shape_equal(&graph->values[value].shape, &PH_SHAPE(ITEMS)));
        struct ph_program_request request = {.taps = &value, .tap_count = 1, .loss = PH_ABSENT};
        assert_int_equal(ph_program_create(graph, &request, &program), PH_OK);
        memcpy(ph_program_input(program, input), picture, sizeof picture);
        assert_int_equal(ph_program_forward(program), PH_OK);
        ph_program_read(program, value, values);
        assert_float_equal(values[1], cases[i].value, 1e-5);
        ph_program_destroy(&program);
        ph_graph_destroy(&graph);
        for (int n = 0; n < ITEMS; n++) ph_objective_finish(&objectives[n]);
    }
}

/* Terms about layers against the layer's own values. */
static void layer_terms_are_as_defined(void **state) {
    (void)state;
    ph_tensor *input, *layer, *logits, *probabilities, *gradient;
    assert_int_equal(ph_tensor_create(context, 4, (int64_t[]){1, 3, 40, 48}, &input), PH_OK);
    for (int i = 0; i < 3 * 40 * 48; i++) input->data[i] = (float)(0.5 + 0.4 * sin(0.37 * i));
    assert_int_equal(ph_activations_tensor(model, input, "conv3a", &layer), PH_OK);
    assert_int_equal(ph_activations_tensor(model, input, "logits", &logits), PH_OK);
    assert_int_equal(ph_activations_tensor(model, input, "prob", &probabilities), PH_OK);
    assert_int_equal(layer->rank, 4);
    int64_t channels = layer->dims[1], plane = layer->dims[2] * layer->dims[3];
    double square = 0, mean = 0, channel = 0;
    for (int64_t i = 0; i < channels * plane; i++) {
        square += (double)layer->data[i] * layer->data[i] / (double)(channels * plane);
        mean += layer->data[i] / (double)(channels * plane);
        if (i / plane == 7) channel += layer->data[i] / (double)plane;
    }
    int goldfish;
    assert_int_equal(ph_model_find_class(model, "goldfish", &goldfish), PH_OK);
    const struct { const char *text; double value; } cases[] = {
        {"conv3a", square}, {"mean(conv3a)", mean}, {"conv3a:7", channel},
        {"conv3a:7@2,1", layer->data[7 * plane + 1 * layer->dims[3] + 2]},
        {"class:goldfish", logits->data[goldfish]}, {"probability:goldfish", probabilities->data[goldfish]},
        {"logits:5", logits->data[5]}, {"class:5 - 2*conv3a:7", logits->data[5] - 2 * channel}};
    for (int i = 0; i < PH_COUNT(cases); i++) {
        float value;
        if (ph_gradient_tensor(model, input, cases[i].text, &value, &gradient))
            fail_msg("%s", ph_context_error(context));
        assert_float_equal(value, cases[i].value, 1e-4 * fmax(1, fabs(cases[i].value)));
        assert_int_equal(gradient->rank, 4);
        assert_memory_equal(gradient->dims, input->dims, 4 * sizeof *input->dims);
        ph_tensor_destroy(&gradient);
    }
    ph_tensor_destroy(&input);
    ph_tensor_destroy(&layer);
    ph_tensor_destroy(&logits);
    ph_tensor_destroy(&probabilities);
}

/* The input gradient against a difference of values, along a random direction. */
static void input_gradient_is_the_slope(void **state) {
    (void)state;
    ph_tensor *input, *gradient, *unused;
    assert_int_equal(ph_tensor_create(context, 4, (int64_t[]){1, 3, 32, 32}, &input), PH_OK);
    const int size = 3 * 32 * 32;
    float *direction = malloc((size_t)size * sizeof *direction);
    ph_random_normal((struct ph_random_key){.seed = 4}, direction, (size_t)size);
    float low, high, value;
    const double h = 1e-3;
    double slope = 0;
    const char *objective = "class:goldfish + 0.5*conv4a:3";
    for (int i = 0; i < size; i++) input->data[i] = (float)(0.5 + 0.4 * sin(0.37 * i));
    assert_int_equal(ph_gradient_tensor(model, input, objective, &value, &gradient), PH_OK);
    for (int i = 0; i < size; i++) slope += (double)gradient->data[i] * direction[i];
    for (int i = 0; i < size; i++) input->data[i] += (float)h * direction[i];
    assert_int_equal(ph_gradient_tensor(model, input, objective, &high, &unused), PH_OK);
    ph_tensor_destroy(&unused);
    for (int i = 0; i < size; i++) input->data[i] -= (float)(2 * h) * direction[i];
    assert_int_equal(ph_gradient_tensor(model, input, objective, &low, &unused), PH_OK);
    ph_tensor_destroy(&unused);
    assert_float_equal((high - low) / (2 * h), slope, 0.02 * fabs(slope) + 1e-3);
    ph_tensor_destroy(&input);
    ph_tensor_destroy(&gradient);
    free(direction);
}

static void wrong_names_are_answered_with_near_ones(void **state) {
    (void)state;
    static const struct { const char *text, *said; } cases[] = {
        {"conv3:1", "conv3a"}, {"conv1:32", "0 to 31"}, {"conv1:99999999999999999999", "0 to 31"},
        {"class:goldfsh", "goldfish"}, {"class:100", "100"}, {"conv1:1@99,0", "column"}, {"conv1:1@0,99", "row"},
        {"logits:1@0,0", "columns and rows"}, {"conv1:1 + conv3:1", "character 11"}, {"tv()", "picture"}};
    ph_tensor *input, *gradient = NULL;
    assert_int_equal(ph_tensor_create(context, 4, (int64_t[]){1, 3, 32, 32}, &input), PH_OK);
    for (int i = 0; i < PH_COUNT(cases); i++) {
        assert_true(ph_gradient_tensor(model, input, cases[i].text, NULL, &gradient) != PH_OK);
        assert_null(gradient);
        if (!strstr(ph_context_error(context), cases[i].said))
            fail_msg("%s: %s", cases[i].text, ph_context_error(context));
    }
    ph_tensor_destroy(&input);
}

static int start(void **state) {
    (void)state;
    return ph_model_load(context, NULL, &model) != PH_OK;
}

static int finish(void **state) {
    (void)state;
    ph_model_destroy(&model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_become_sums),
        cmocka_unit_test(mistakes_are_placed_and_explained),
        cmocka_unit_test(hostile_texts_are_answered),
        cmocka_unit_test(failing_memory_is_an_error),
        cmocka_unit_test(likeness_is_that_of_programs),
        cmocka_unit_test(lists_expand),
        cmocka_unit_test(files_are_listed),
        cmocka_unit_test(impossible_lists_are_refused),
        cmocka_unit_test(terms_are_as_defined),
        cmocka_unit_test(layer_terms_are_as_defined),
        cmocka_unit_test(input_gradient_is_the_slope),
        cmocka_unit_test(wrong_names_are_answered_with_near_ones),
    };
    context = ph_context_create();
    int failed = cmocka_run_group_tests(tests, start, finish);
    ph_context_destroy(&context);
    return failed;
}
