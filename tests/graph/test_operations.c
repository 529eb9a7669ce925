/* Every operation of the table on every one of its test cases:
 *   - the shape rule accepts the case, and what it accepts of shapes the case was not made for can be computed;
 *   - the backward of the double twin agrees with central differences of its forward, to 1e-6;
 *   - the float twin agrees with the double one on the same numbers, to 1e-5;
 *   - gradients are added, not stored; each can be had alone, and without outputs nobody uses;
 *   - what the backward does not declare to read holds NaN, and outputs hold NaN before a forward;
 *   - nothing is written or read outside the buffers, nor written into those that are only read.
 * There is one cmocka test for each operation, so that a failing one is named. */
#include "graph/operations.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Five-point central differences err by step^4 and by rounding / step; at 1e-4 both are near 1e-12. The even grids of
 * the cases are coarser than that, so no maximum changes hands within a step. */
#define DIFFERENCE_STEP 1e-4
#define DIFFERENCE_TOLERANCE 1e-6
#define FLOAT_TOLERANCE 1e-5

/* Two ways to the same double gradient differ in the order of their sums alone. */
#define REORDER_TOLERANCE 1e-9

#define MAX_OUTPUTS 8
#define ALL UINT32_MAX

static ph_context *context;
static int cases_run, hostile_run;
static const char *place = ""; /* label of the case at work */

#define FAIL(...)                                           \
    do {                                                    \
        char fail_text[512];                                \
        snprintf(fail_text, sizeof fail_text, __VA_ARGS__); \
        fail_msg("case \"%s\": %s", place, fail_text);      \
    } while (0)

static void *allocate(int64_t count, size_t size) {
    void *block = ph_alloc_array((size_t)count, size);
    assert_non_null(block);
    return block;
}

static uint64_t random_index; /* from 0 in every case, so that none depends on those before it */

static uint32_t random_below(uint32_t limit) {
    const struct ph_random_key key = {.seed = 1};
    return (uint32_t)(ph_random_uniform(key, random_index++) * limit);
}

/* ---- Guarded buffers --------------------------------------------------------------------------------------------- */

#define GUARD 256       /* bytes on either side */
#define GUARD_BYTE 0xff /* a NaN in either precision, so that what is read there shows in the results */

struct buffer { unsigned char *block; int64_t count; size_t size; };

static void *buffer_data(const struct buffer *buffer) { return buffer->block + GUARD; }

static void buffer_create(struct buffer *buffer, int64_t count, size_t element) {
    buffer->count = count;
    buffer->size = (size_t)count * element;
    buffer->block = ph_alloc_aligned(buffer->size + 2 * GUARD);
    assert_non_null(buffer->block);
    memset(buffer->block, GUARD_BYTE, buffer->size + 2 * GUARD);
}

static bool buffer_intact(const struct buffer *buffer) {
    for (size_t i = 0; i < GUARD; i++)
        if (buffer->block[i] != GUARD_BYTE || buffer->block[GUARD + buffer->size + i] != GUARD_BYTE) return false;
    return true;
}

/* ---- A case with its shapes -------------------------------------------------------------------------------------- */

struct subject {
    const struct ph_operation *operation;
    const struct ph_case *item;
    int input_count, output_count;
    struct ph_value inputs[PH_CASE_INPUTS];
    struct ph_shape output_shapes[MAX_OUTPUTS];
    enum ph_type output_types[MAX_OUTPUTS];
    float *contents[PH_CASE_INPUTS]; /* in float, so that both twins see the same numbers */
    uint32_t differentiated;         /* bit for each input that has a gradient */
};

static ph_status subject_infer(struct subject *subject) {
    const struct ph_value *inputs[PH_CASE_INPUTS];
    for (int i = 0; i < subject->input_count; i++) inputs[i] = &subject->inputs[i];
    for (int i = 0; i < subject->output_count; i++) subject->output_types[i] = PH_FLOAT;
    struct ph_inference inference = {.context = context, .attributes = subject->item->attributes,
        .input_count = subject->input_count, .output_count = subject->output_count, .inputs = inputs,
        .shapes = subject->output_shapes, .types = subject->output_types};
    return subject->operation->infer(&inference);
}

/* The values of ph_case_input: an even grid, shuffled. */
static float *input_contents(const struct ph_case_input *input) {
    int64_t count = ph_shape_size(&input->shape);
    float *values = allocate(count, sizeof *values);
    for (int64_t i = 0; i < count; i++) {
        double grid = input->low + (input->high - input->low) * ((double)i + 0.5) / (double)count;
        values[i] = (float)(input->values ? input->values[i] : grid);
    }
    for (int64_t i = count - 1; i > 0 && !input->values; i--) {
        int64_t j = random_below((uint32_t)i + 1);
        float swapped = values[i];
        values[i] = values[j];
        values[j] = swapped;
    }
    return values;
}

static void subject_create(struct subject *subject, const struct ph_operation *operation, const struct ph_case *item) {
    *subject = (struct subject){.operation = operation, .item = item,
        .output_count = item->output_count ? item->output_count : 1};
    assert_in_range(subject->output_count, 1, MAX_OUTPUTS);
    for (int i = 0; i < PH_CASE_INPUTS; i++) {
        const struct ph_case_input *input = &item->inputs[i];
        if (input->low == input->high && !input->values) break;
        subject->input_count++;
        subject->contents[i] = input_contents(input);
        subject->inputs[i] = (struct ph_value){.name = "input", .type = PH_FLOAT, .shape = input->shape,
            .data = input->constant ? subject->contents[i] : NULL, .node = PH_ABSENT};
        bool declared = operation->differentiable >> 31 || operation->differentiable >> i & 1;
        if (declared && operation->backward && !input->constant) subject->differentiated |= 1u << i;
    }
    int maximum = operation->maximum_inputs < 0 ? PH_CASE_INPUTS : operation->maximum_inputs;
    assert_in_range(subject->input_count, operation->minimum_inputs, maximum);
    if (subject_infer(subject)) FAIL("the shape rule refuses it: %s", ph_context_error(context));
}

static void subject_finish(struct subject *subject) {
    for (int i = 0; i < subject->input_count; i++) ph_free(subject->contents[i]);
}

/* ---- A subject in one precision ---------------------------------------------------------------------------------- */

struct twin {
    const struct subject *subject;
    const struct ph_operation *operation;
    bool is_double;
    struct buffer inputs[PH_CASE_INPUTS], input_gradients[PH_CASE_INPUTS];
    struct buffer outputs[MAX_OUTPUTS], output_gradients[MAX_OUTPUTS];
    struct buffer unread; /* NaN, handed out in place of what the backward must not read */
};

static double get(const struct twin *twin, const struct buffer *buffer, int64_t index) {
    return twin->is_double ? ((double *)buffer_data(buffer))[index] : (double)((float *)buffer_data(buffer))[index];
}

static void set(const struct twin *twin, const struct buffer *buffer, int64_t index, double value) {
    if (twin->is_double) ((double *)buffer_data(buffer))[index] = value;
    else ((float *)buffer_data(buffer))[index] = (float)value;
}

static void fill(const struct twin *twin, const struct buffer *buffer, double value) {
    for (int64_t i = 0; i < buffer->count; i++) set(twin, buffer, i, value);
}

/* Contents minus `offset`; free with ph_free. */
static double *contents_of(const struct twin *twin, const struct buffer *buffer, double offset) {
    double *copy = allocate(buffer->count, sizeof *copy);
    for (int64_t i = 0; i < buffer->count; i++) copy[i] = get(twin, buffer, i) - offset;
    return copy;
}

/* Inputs hold the subject's contents, output gradients fixed random weights. */
static void twin_create(struct twin *twin, const struct subject *subject, bool is_double) {
    *twin = (struct twin){.subject = subject, .is_double = is_double};
    twin->operation = is_double ? ph_operation_double(subject->operation) : subject->operation;
    size_t element = is_double ? sizeof(double) : sizeof(float);
    int64_t largest = 0;
    for (int i = 0; i < subject->input_count; i++) {
        int64_t count = ph_shape_size(&subject->inputs[i].shape);
        buffer_create(&twin->inputs[i], count, element);
        buffer_create(&twin->input_gradients[i], count, element);
        for (int64_t j = 0; j < count; j++) set(twin, &twin->inputs[i], j, subject->contents[i][j]);
        largest = PH_MAX(largest, count);
    }
    const struct ph_random_key weights = {.seed = 2};
    for (int i = 0; i < subject->output_count; i++) {
        int64_t count = ph_shape_size(&subject->output_shapes[i]);
        buffer_create(&twin->outputs[i], count, element);
        buffer_create(&twin->output_gradients[i], count, element);
        for (int64_t j = 0; j < count; j++)
            set(twin, &twin->output_gradients[i], j, (float)(ph_random_uniform(weights, (uint64_t)j) - 0.5));
        largest = PH_MAX(largest, count);
    }
    buffer_create(&twin->unread, largest, element);
    fill(twin, &twin->unread, NAN);
}

static void twin_check_guards(const struct twin *twin) {
    bool intact = buffer_intact(&twin->unread);
    for (int i = 0; i < twin->subject->input_count; i++)
        intact = intact && buffer_intact(&twin->inputs[i]) && buffer_intact(&twin->input_gradients[i]);
    for (int i = 0; i < twin->subject->output_count; i++)
        intact = intact && buffer_intact(&twin->outputs[i]) && buffer_intact(&twin->output_gradients[i]);
    if (!intact) FAIL("something was written outside a buffer");
    for (int i = 0; i < twin->subject->input_count; i++)
        for (int64_t j = 0; j < twin->inputs[i].count; j++)
            if (get(twin, &twin->inputs[i], j) != twin->subject->contents[i][j]) FAIL("input %d was written to", i);
}

static void twin_finish(struct twin *twin) {
    for (int i = 0; i < PH_CASE_INPUTS; i++) {
        ph_free_aligned(twin->inputs[i].block);
        ph_free_aligned(twin->input_gradients[i].block);
    }
    for (int i = 0; i < MAX_OUTPUTS; i++) {
        ph_free_aligned(twin->outputs[i].block);
        ph_free_aligned(twin->output_gradients[i].block);
    }
    ph_free_aligned(twin->unread.block);
}

/* The tables of pointers that a call refers to. */
struct arguments {
    struct ph_call call;
    const struct ph_shape *input_shapes[PH_CASE_INPUTS];
    enum ph_type input_types[PH_CASE_INPUTS];
    const void *inputs[PH_CASE_INPUTS], *output_gradients[MAX_OUTPUTS];
    void *outputs[MAX_OUTPUTS], *input_gradients[PH_CASE_INPUTS];
};

/* Every buffer but the gradients, those not in `reads` replaced by NaN. */
static void arguments_set(struct arguments *a, const struct twin *twin, unsigned reads) {
    const struct subject *subject = twin->subject;
    *a = (struct arguments){.call = {.attributes = subject->item->attributes, .input_count = subject->input_count,
        .output_count = subject->output_count, .input_shapes = a->input_shapes, .input_types = a->input_types,
        .output_shapes = subject->output_shapes, .output_types = subject->output_types, .inputs = a->inputs,
        .outputs = a->outputs, .output_gradients = a->output_gradients, .input_gradients = a->input_gradients}};
    for (int i = 0; i < subject->input_count; i++) {
        a->input_shapes[i] = &subject->inputs[i].shape;
        a->input_types[i] = subject->inputs[i].type;
        a->inputs[i] = buffer_data(reads & PH_READS_INPUTS ? &twin->inputs[i] : &twin->unread);
    }
    for (int i = 0; i < subject->output_count; i++)
        a->outputs[i] = buffer_data(reads & PH_READS_OUTPUTS ? &twin->outputs[i] : &twin->unread);
}

static void twin_forward(const struct twin *twin) {
    struct arguments a;
    arguments_set(&a, twin, PH_READS_INPUTS | PH_READS_OUTPUTS);
    for (int i = 0; i < twin->subject->output_count; i++) fill(twin, &twin->outputs[i], NAN);
    twin->operation->forward(&a.call);
}

/* Adds to gradients that start at `initial`, those of the inputs and for the outputs whose bits are set. */
static void twin_backward(const struct twin *twin, uint32_t wanted, uint32_t used, double initial) {
    struct arguments a;
    arguments_set(&a, twin, twin->operation->backward_reads);
    for (int i = 0; i < twin->subject->input_count; i++) {
        fill(twin, &twin->input_gradients[i], initial);
        if (wanted >> i & 1) a.input_gradients[i] = buffer_data(&twin->input_gradients[i]);
    }
    for (int i = 0; i < twin->subject->output_count; i++)
        if (used >> i & 1) a.output_gradients[i] = buffer_data(&twin->output_gradients[i]);
    twin->operation->backward(&a.call);
}

/* ---- Comparisons ------------------------------------------------------------------------------------------------- */

/* No element may be further from the expected one than tolerance times the largest magnitude of either. */
static void compare_elements(const double *values, const double *expected, int64_t count, double tolerance,
                             const char *what, int index) {
    double scale = 0, worst = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < count; i++) {
        scale = fmax(scale, fmax(fabs(values[i]), fabs(expected[i])));
        double distance = fabs(values[i] - expected[i]);
        if (!(distance <= worst)) worst = distance, at = i;
    }
    if (!(worst <= tolerance * scale))
        FAIL("%s %d: element %lld is %.12g, %.12g expected", what, index, (long long)at, values[at], expected[at]);
}

static void compare_l2(const double *values, const double *expected, int64_t count, double tolerance, const char *what,
                       int index) {
    double distance = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        distance += (values[i] - expected[i]) * (values[i] - expected[i]);
        size += expected[i] * expected[i];
    }
    if (!(sqrt(distance) <= tolerance * sqrt(size)))
        FAIL("%s %d: relative distance %.3g, %.3g allowed", what, index, sqrt(distance / size), tolerance);
}

/* ---- Checks ------------------------------------------------------------------------------------------------------ */

/* Output sum, weighted by the output gradients, at input element + distance less that at - distance. Outputs which the
 * element does not reach cancel exactly. */
static double difference(const struct twin *twin, const struct buffer *input, int64_t index, double distance) {
    int count = twin->subject->output_count;
    double value = get(twin, input, index), sum = 0, *above[MAX_OUTPUTS];
    set(twin, input, index, value + distance);
    twin_forward(twin);
    for (int i = 0; i < count; i++) above[i] = contents_of(twin, &twin->outputs[i], 0);
    set(twin, input, index, value - distance);
    twin_forward(twin);
    for (int i = 0; i < count; i++) {
        for (int64_t j = 0; j < twin->outputs[i].count; j++)
            sum += get(twin, &twin->output_gradients[i], j) * (above[i][j] - get(twin, &twin->outputs[i], j));
        ph_free(above[i]);
    }
    set(twin, input, index, value);
    return sum;
}

static void check_differences(const struct twin *twin, double *const *gradients) {
    for (int i = 0; i < twin->subject->input_count; i++) {
        if (!gradients[i]) continue;
        const struct buffer *input = &twin->inputs[i];
        double *expected = allocate(input->count, sizeof *expected);
        for (int64_t j = 0; j < input->count; j++) {
            double near = difference(twin, input, j, DIFFERENCE_STEP);
            double far = difference(twin, input, j, 2 * DIFFERENCE_STEP);
            expected[j] = (8 * near - far) / (12 * DIFFERENCE_STEP);
        }
        compare_elements(gradients[i], expected, input->count, DIFFERENCE_TOLERANCE, "gradient of input", i);
        ph_free(expected);
    }
}

/* Each gradient by itself, on top of something. */
static void check_adds(const struct twin *twin, double *const *gradients) {
    const double initial = 0.75;
    for (int i = 0; i < twin->subject->input_count; i++) {
        if (!gradients[i]) continue;
        twin_backward(twin, 1u << i, ALL, initial);
        double *gradient = contents_of(twin, &twin->input_gradients[i], initial);
        compare_elements(gradient, gradients[i], twin->inputs[i].count, REORDER_TOLERANCE, "gradient added, input", i);
        ph_free(gradient);
    }
}

/* Gradients are linear in those of the outputs: with one output used at a time they sum to the whole. */
static void check_outputs(const struct twin *twin, double *const *gradients) {
    for (int i = 0; i < twin->subject->input_count; i++) {
        if (!gradients[i]) continue;
        double *sum = allocate(twin->inputs[i].count, sizeof *sum);
        for (int output = 0; output < twin->subject->output_count; output++) {
            twin_backward(twin, 1u << i, 1u << output, 0);
            for (int64_t j = 0; j < twin->inputs[i].count; j++) sum[j] += get(twin, &twin->input_gradients[i], j);
        }
        compare_elements(sum, gradients[i], twin->inputs[i].count, REORDER_TOLERANCE, "gradient by output, input", i);
        ph_free(sum);
    }
}

static void check_forward(const struct twin *single, const struct twin *twin) {
    twin_forward(single);
    twin_forward(twin);
    for (int i = 0; i < twin->subject->output_count; i++) {
        int64_t count = twin->outputs[i].count;
        double *values = contents_of(single, &single->outputs[i], 0);
        double *expected = contents_of(twin, &twin->outputs[i], 0);
        for (int64_t j = 0; j < count; j++)
            if (!isfinite(expected[j])) FAIL("output %d, element %lld is %g", i, (long long)j, expected[j]);
        compare_l2(values, expected, count, FLOAT_TOLERANCE, "float against double, output", i);
        ph_free(values);
        ph_free(expected);
    }
}

static void check_backward(const struct twin *single, const struct twin *twin) {
    uint32_t wanted = twin->subject->differentiated;
    double *gradients[PH_CASE_INPUTS] = {0};
    twin_backward(twin, wanted, ALL, 0);
    twin_backward(single, wanted, ALL, 0);
    for (int i = 0; i < twin->subject->input_count; i++) {
        if (!(wanted >> i & 1)) continue;
        gradients[i] = contents_of(twin, &twin->input_gradients[i], 0);
        double *gradient = contents_of(single, &single->input_gradients[i], 0);
        compare_l2(gradient, gradients[i], twin->inputs[i].count, FLOAT_TOLERANCE, "float against double, gradient", i);
        ph_free(gradient);
    }
    check_adds(twin, gradients);
    check_outputs(twin, gradients);
    check_differences(twin, gradients);
    for (int i = 0; i < PH_CASE_INPUTS; i++) ph_free(gradients[i]);
}

/* Changes an input's rank or one of its sizes. */
static void shape_disturb(struct ph_shape *shape) {
    static const int64_t sizes[] = {0, 1, 2, 3, 5, 7, (int64_t)1 << 33};
    if (random_below(4) == 0) {
        int rank = (int)random_below(PH_MAX_RANK + 1);
        for (int i = shape->rank; i < rank; i++) shape->dims[i] = 2;
        shape->rank = rank;
    } else if (shape->rank) {
        shape->dims[random_below((uint32_t)shape->rank)] = sizes[random_below(PH_COUNT(sizes))];
    }
}

/* Too large to be worth computing, or too large at all. */
static bool is_large(const struct ph_shape *shape) {
    return !ph_shape_valid(shape) || ph_shape_size(shape) > 1 << 16;
}

static bool has_large(const struct subject *subject) {
    for (int i = 0; i < subject->input_count; i++)
        if (is_large(&subject->inputs[i].shape)) return true;
    for (int i = 0; i < subject->output_count; i++)
        if (is_large(&subject->output_shapes[i])) return true;
    return false;
}

/* An input's values over and over, so that they stay where the operation is defined. */
static float *contents_repeat(const struct subject *subject, int input, int64_t count) {
    int64_t period = ph_shape_size(&subject->inputs[input].shape);
    float *values = allocate(count, sizeof *values);
    for (int64_t i = 0; i < count && period; i++) values[i] = subject->contents[input][i % period];
    return values;
}

static bool has_empty(const struct subject *subject) {
    for (int i = 0; i < subject->input_count; i++)
        if (ph_shape_size(&subject->inputs[i].shape) == 0) return true;
    return false;
}

/* Shapes the case was not made for: refused, or computable within bounds. A mean of nothing may be NaN. */
static void check_hostile(const struct subject *subject) {
    for (int trial = 0; trial < 40 && subject->input_count; trial++) {
        struct subject hostile = *subject;
        int changed = (int)random_below((uint32_t)subject->input_count);
        if (subject->item->inputs[changed].constant) continue;
        shape_disturb(&hostile.inputs[changed].shape);
        if (subject_infer(&hostile) || has_large(&hostile)) continue;
        hostile.contents[changed] = contents_repeat(subject, changed, ph_shape_size(&hostile.inputs[changed].shape));
        struct twin twin;
        twin_create(&twin, &hostile, false);
        if (hostile.operation->forward) twin_forward(&twin);
        for (int i = 0; i < hostile.output_count && hostile.operation->forward && !has_empty(&hostile); i++)
            for (int64_t j = 0; j < twin.outputs[i].count; j++)
                if (isnan(get(&twin, &twin.outputs[i], j))) FAIL("NaN with shapes it was not made for");
        if (hostile.differentiated) twin_backward(&twin, hostile.differentiated, ALL, 0);
        twin_check_guards(&twin);
        twin_finish(&twin);
        ph_free(hostile.contents[changed]);
        hostile_run++;
    }
}

static void check_case(const struct ph_operation *operation, const struct ph_case *item) {
    struct subject subject;
    random_index = 0;
    subject_create(&subject, operation, item);
    if (operation->is_view && ph_shape_size(&subject.output_shapes[0]) != ph_shape_size(&subject.inputs[0].shape))
        FAIL("a view changes the number of elements");
    struct twin single, twin;
    twin_create(&single, &subject, false);
    twin_create(&twin, &subject, true);
    if (operation->forward) check_forward(&single, &twin);
    if (subject.differentiated) check_backward(&single, &twin);
    if (operation->flops) {
        struct arguments a;
        arguments_set(&a, &single, 0);
        double flops = operation->flops(&a.call);
        if (!(flops >= 0 && flops < 1e9)) FAIL("flops %g", flops);
    }
    twin_check_guards(&single);
    twin_check_guards(&twin);
    twin_finish(&single);
    twin_finish(&twin);
    check_hostile(&subject);
    subject_finish(&subject);
}

/* ---- The tests --------------------------------------------------------------------------------------------------- */

static void test_operation(void **state) {
    const struct ph_operation *operation = *state;
    assert_non_null(operation->help);
    assert_non_null(operation->infer);
    assert_true(operation->forward || operation->is_view);
    assert_true(operation->backward || operation->is_view || !operation->differentiable);
    assert_ptr_not_equal(ph_operation_double(operation), operation);
    if (!operation->cases || !operation->cases->label) fail_msg("%s has no test cases", operation->name);
    for (const struct ph_case *item = operation->cases; item->label; item++, cases_run++) {
        place = item->label;
        check_case(operation, item);
    }
}

/* Tables are searched by name. */
static void test_names_are_unique(void **state) {
    (void)state;
    for (int i = 0; ph_operations[i]; i++) {
        assert_ptr_equal(ph_operation_find(ph_operations[i]->name), ph_operations[i]);
        for (const struct ph_importer *a = ph_operations[i]->importers; a && a->name; a++)
            for (int j = 0; j < i; j++)
                for (const struct ph_importer *b = ph_operations[j]->importers; b && b->name; b++)
                    assert_string_not_equal(a->name, b->name);
    }
}

int main(void) {
    static struct CMUnitTest tests[256] = {cmocka_unit_test(test_names_are_unique)};
    int count = 1;
    context = ph_context_create();
    if (!context) return 1;
    for (int i = 0; ph_operations[i] && count < PH_COUNT(tests); i++)
        tests[count++] = (struct CMUnitTest){.name = ph_operations[i]->name, .test_func = test_operation,
            .initial_state = (void *)ph_operations[i]};
    int failed = _cmocka_run_group_tests("operations", tests, (size_t)count, NULL, NULL);
    printf("%d cases of %d operations, %d shapes out of place\n", cases_run, count - 1, hostile_run);
    ph_context_destroy(&context);
    return failed != 0;
}
