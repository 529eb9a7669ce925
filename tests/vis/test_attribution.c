/* Maps of attribution: exact where theory says what they must be, and held to other implementations
 * (make_attribution.py) on the embedded network. */
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
static ph_model *model, *linear;
static ph_picture *picture, *small;

static ph_explain_options options_of(const char *method) {
    ph_explain_options options = ph_explain_defaults();
    options.method = method;
    options.fit = "none";
    return options;
}

static ph_explanation *explain_with(ph_model *network, const ph_picture *seen, const char *objective,
                                    const ph_explain_options *options) {
    ph_explanation *explanation;
    if (ph_explain(network, seen, objective, options, &explanation)) fail_msg("%s", ph_context_error(context));
    return explanation;
}

static ph_explanation *explain(const char *objective, const char *method) {
    ph_explain_options options = options_of(method);
    return explain_with(model, picture, objective, &options);
}

static int64_t tensor_size(const ph_tensor *tensor) {
    int64_t size = 1;
    for (int i = 0; i < tensor->rank; i++) size *= tensor->dims[i];
    return size;
}

/* Root of the squared difference over that of the reference. */
static double distance(const float *a, const float *b, int64_t count) {
    double difference = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return sqrt(difference / (size > 0 ? size : 1));
}

/* ---- Other implementations --------------------------------------------------------------------------------------- */

static void maps_agree_with_other_implementations(void **state) {
    (void)state;
    static const struct { const char *method; bool of_layer, is_black; int steps; } maps[] = {
        {"gradient", false, false}, {"integrated-gradients", false, true}, {"guided-backpropagation", false, false},
        {"deconvolution", false, false}, {"deeplift", false, true}, {"lrp-epsilon", false, false},
        {"lrp-gamma", false, false}, {"lrp-z-plus", false, false}, {"lrp-alpha-beta", false, false},
        {"lrp-epsilon-gamma-box", false, false}, {"lrp-epsilon-plus-flat", false, false}, {"grad-cam", true, false},
        {"grad-cam++", true, false}, {"hires-cam", true, false}, {"xgrad-cam", true, false}, {"layer-cam", true, false},
        {"eigen-cam", true, false}, {"score-cam", true, true}, {"rise", false, true},
        {"gradient-x-input", false, false}, {"blur-integrated-gradients", false, false},
        {"guided-integrated-gradients", false, true, 20}, {"guided-grad-cam", true, false},
        {"lrp-z-box", false, false}, {"layer-gradient", true, false}, {"layer-path", true, false}};
    const int64_t pixels = 32 * 32;
    ph_tensor *wanted;
    assert_int_equal(ph_tensor_load(context, "tests/vis/data/attribution.npy", &wanted), PH_OK);
    assert_int_equal(tensor_size(wanted), PH_COUNT(maps) * pixels);
    for (int i = 0; i < PH_COUNT(maps); i++) {
        ph_explain_options options = options_of(maps[i].method);
        options.layer = maps[i].of_layer ? "conv4b" : NULL;
        options.baseline = maps[i].is_black ? "black" : NULL;
        options.masks = 96;
        options.steps = maps[i].steps;
        const char *objective = strcmp(maps[i].method, "rise") ? "class:15" : "probability:15";
        ph_explanation *explanation = explain_with(model, picture, objective, &options);
        /* Zennit writes relevance behind the normalisation, which it passes unchanged. */
        double error = distance(explanation->map->data, wanted->data + i * pixels, pixels);
        if (!(error < 1e-3)) fail_msg("%s: relative error %g", maps[i].method, error);
        print_message("%-24s relative error %.2g\n", maps[i].method, error);
        ph_explanation_destroy(&explanation);
    }
    ph_tensor_destroy(&wanted);
}

/* ---- What theory says -------------------------------------------------------------------------------------------- */

/* Of a linear network every method of the gradient gives the weights, times what it multiplies them with. */
static void linear_networks_give_their_weights(void **state) {
    (void)state;
    static const struct { const char *method, *average; bool times_input; } methods[] = {
        {"gradient", "none", false}, {"gradient", "smooth", false}, {"guided-backpropagation", "none", false},
        {"deconvolution", "none", false}, {"gradient-x-input", "none", true}, {"integrated-gradients", "none", true},
        {"guided-integrated-gradients", "none", true}, {"deeplift", "none", true}, {"lrp-epsilon", "none", true}};
    ph_tensor *weights;
    ph_explain_options options = options_of("gradient");
    ph_tensor *input;
    float value;
    assert_int_equal(ph_tensor_create(context, 4, (int64_t[]){1, 3, 4, 4}, &input), PH_OK);
    memcpy(input->data, small->pixels, 48 * sizeof(float));
    assert_int_equal(ph_gradient_tensor(linear, input, "scores:2", &value, &weights), PH_OK);
    for (int i = 0; i < PH_COUNT(methods); i++) {
        float wanted[48];
        for (int j = 0; j < 48; j++) wanted[j] = weights->data[j] * (methods[i].times_input ? small->pixels[j] : 1);
        options.method = methods[i].method;
        options.average = methods[i].average;
        options.samples = 3;
        options.epsilon = 1e-12;
        ph_explanation *explanation = explain_with(linear, small, "scores:2", &options);
        double error = distance(explanation->attribution->data, wanted, 48);
        if (!(error < 1e-5)) fail_msg("%s, %s: off the weights by %g", methods[i].method, methods[i].average, error);
        ph_explanation_destroy(&explanation);
    }
    ph_tensor_destroy(&input);
    ph_tensor_destroy(&weights);
}

/* An activation that a network writes as several operations is treated as one that it names. */
static void spelled_activations_are_explained_as_named_ones(void **state) {
    (void)state;
    static const char *const methods[] = {"gradient", "integrated-gradients", "guided-backpropagation", "deconvolution",
                                          "deeplift", "lrp-epsilon", "lrp-gamma", "lrp-z-plus"};
    ph_model *models[2];
    if (ph_model_load(context, "tests/vis/data/named.onnx", &models[0]) ||
        ph_model_load(context, "tests/vis/data/spelled.onnx", &models[1]))
        fail_msg("%s", ph_context_error(context));
    for (int i = 0; i < PH_COUNT(methods); i++) {
        ph_explain_options options = options_of(methods[i]);
        ph_explanation *explanations[2];
        for (int k = 0; k < 2; k++) explanations[k] = explain_with(models[k], small, "scores:2", &options);
        double error = distance(explanations[1]->attribution->data, explanations[0]->attribution->data, 48);
        if (!(error < 1e-5)) fail_msg("%s: off by %g", methods[i], error);
        for (int k = 0; k < 2; k++) ph_explanation_destroy(&explanations[k]);
    }
    for (int k = 0; k < 2; k++) ph_model_destroy(&models[k]);
}

static void sums_are_complete(void **state) {
    (void)state;
    static const struct { const char *method; double share; } methods[] = {
        {"integrated-gradients", 0.02}, {"deeplift", 1e-4}, {"lrp-epsilon", 1e-5}, {"layer-path", 0.02},
        {"blur-integrated-gradients", 0.1}};
    for (int i = 0; i < PH_COUNT(methods); i++) {
        ph_explanation *explanation = explain("class:15", methods[i].method);
        double whole = isnan(explanation->baseline_value) ? explanation->value
                                                          : (double)explanation->value - explanation->baseline_value;
        if (!(explanation->gap <= methods[i].share * fabs(whole)))
            fail_msg("%s: gap %g of %g", methods[i].method, explanation->gap, whole);
        ph_explanation_destroy(&explanation);
    }
}

/* The number of steps is doubled until the gap is small enough, and the steps taken are told. */
static void a_tolerance_doubles_the_steps(void **state) {
    (void)state;
    ph_explain_options options = options_of("integrated-gradients");
    options.steps = 4;
    ph_explanation *coarse = explain_with(model, picture, "class:15", &options);
    options.tolerance = 2e-3;
    ph_explanation *fine = explain_with(model, picture, "class:15", &options);
    double whole = fabs((double)fine->value - fine->baseline_value);
    assert_true(coarse->gap > options.tolerance * whole);
    assert_true(fine->gap <= options.tolerance * whole);
    assert_true(fine->steps >= 8 && (fine->steps & (fine->steps - 1)) == 0);
    ph_explanation_destroy(&coarse);
    ph_explanation_destroy(&fine);
}

/* Behind the last convolution stand a mean over positions and a linear layer: then the mean gradient is the gradient.
 */
static void hires_cam_is_grad_cam_before_a_mean(void **state) {
    (void)state;
    ph_explanation *mean = explain("class:15", "grad-cam"), *each = explain("class:15", "hires-cam");
    assert_string_equal(mean->layer, "conv5b");
    assert_int_equal(tensor_size(mean->attribution), 4);
    assert_true(distance(each->attribution->data, mean->attribution->data, 4) < 1e-5);
    ph_explanation_destroy(&mean);
    ph_explanation_destroy(&each);
}

/* The last class activation of one channel alone is that channel. */
static void a_channel_explains_itself(void **state) {
    (void)state;
    ph_tensor *layer;
    ph_explain_options options = options_of("grad-cam");
    options.layer = "conv5b";
    ph_explanation *explanation = explain_with(model, picture, "conv5b:7", &options);
    assert_int_equal(ph_activations(model, picture, "none", "conv5b", &layer), PH_OK);
    for (int i = 0; i < 4; i++)
        assert_float_equal(explanation->attribution->data[i], layer->data[7 * 4 + i] / 4, 1e-5);
    ph_explanation_destroy(&explanation);
    ph_tensor_destroy(&layer);
}

static float value_of(const float *pixels) {
    ph_tensor *input, *gradient;
    float value;
    assert_int_equal(ph_tensor_create(context, 4, (int64_t[]){1, 3, 32, 32}, &input), PH_OK);
    memcpy(input->data, pixels, 3 * 32 * 32 * sizeof(float));
    assert_int_equal(ph_gradient_tensor(model, input, "class:15", &value, &gradient), PH_OK);
    ph_tensor_destroy(&input);
    ph_tensor_destroy(&gradient);
    return value;
}

static void occlusion_is_a_loop_over_patches(void **state) {
    (void)state;
    enum { PATCH = 12, STRIDE = 10 }; /* the third patch would reach beyond the border and is moved back */
    static const int starts[] = {0, 10, 20};
    ph_explain_options options = options_of("occlusion");
    options.baseline = "black";
    options.patch = PATCH;
    options.stride = STRIDE;
    ph_explanation *explanation = explain_with(model, picture, "class:15", &options);
    double sums[32 * 32] = {0}, counts[32 * 32] = {0}, whole = value_of(picture->pixels);
    float hidden[3 * 32 * 32];
    for (int p = 0; p < 9; p++) {
        int top = starts[p / 3], left = starts[p % 3];
        memcpy(hidden, picture->pixels, sizeof hidden);
        for (int c = 0; c < 3; c++)
            for (int y = top; y < top + PATCH; y++)
                memset(hidden + (c * 32 + y) * 32 + left, 0, PATCH * sizeof(float));
        double fall = whole - value_of(hidden);
        for (int y = top; y < top + PATCH; y++)
            for (int x = left; x < left + PATCH; x++) sums[y * 32 + x] += fall, counts[y * 32 + x]++;
    }
    assert_int_equal(explanation->steps, 9);
    for (int i = 0; i < 32 * 32; i++) assert_float_equal(explanation->map->data[i], sums[i] / counts[i], 1e-4);
    ph_explanation_destroy(&explanation);
}

static void a_contrast_is_a_difference(void **state) {
    (void)state;
    ph_explain_options options = options_of("gradient-x-input");
    options.against = "class:3";
    ph_explanation *both = explain_with(model, picture, "class:15", &options);
    ph_explanation *a = explain("class:15", "gradient-x-input"), *b = explain("class:3", "gradient-x-input");
    float difference[3 * 32 * 32];
    for (int i = 0; i < PH_COUNT(difference); i++)
        difference[i] = a->attribution->data[i] - b->attribution->data[i];
    assert_float_equal(both->value, a->value - b->value, 1e-4);
    assert_true(distance(both->attribution->data, difference, PH_COUNT(difference)) < 1e-4);
    ph_explanation_destroy(&both);
    ph_explanation_destroy(&a);
    ph_explanation_destroy(&b);
}

static void averages_are_means_squares_and_variances(void **state) {
    (void)state;
    ph_explain_options options = options_of("gradient-x-input");
    options.samples = 8;
    options.average = "smooth";
    ph_explanation *mean = explain_with(model, picture, "class:15", &options);
    options.average = "square";
    ph_explanation *square = explain_with(model, picture, "class:15", &options);
    options.average = "variance";
    ph_explanation *variance = explain_with(model, picture, "class:15", &options);
    float wanted[3 * 32 * 32];
    for (int i = 0; i < PH_COUNT(wanted); i++)
        wanted[i] = square->attribution->data[i] - mean->attribution->data[i] * mean->attribution->data[i];
    assert_true(distance(variance->attribution->data, wanted, PH_COUNT(wanted)) < 1e-4);
    assert_true(mean->is_signed && !square->is_signed && !variance->is_signed);
    options.average = "smooth";
    options.noise = 0;
    ph_explanation *still = explain_with(model, picture, "class:15", &options);
    ph_explanation *plain = explain("class:15", "gradient-x-input");
    assert_true(distance(still->attribution->data, plain->attribution->data, PH_COUNT(wanted)) < 1e-6);
    ph_explanation_destroy(&mean);
    ph_explanation_destroy(&square);
    ph_explanation_destroy(&variance);
    ph_explanation_destroy(&still);
    ph_explanation_destroy(&plain);
}

static void units_are_ranked_and_add_up(void **state) {
    (void)state;
    ph_explain_options options = options_of("layer-gradient");
    options.layer = "features";
    ph_explanation *explanation = explain_with(model, picture, "class:15", &options);
    double sum = 0;
    assert_int_equal(explanation->unit_count, 384);
    for (int i = 0; i < explanation->unit_count; i++) {
        sum += explanation->units[i].share;
        if (i) assert_true(fabs(explanation->units[i].share) <= fabs(explanation->units[i - 1].share));
    }
    assert_float_equal(sum, explanation->sum, 1e-4);
    assert_int_equal(explanation->attribution->dims[2], 1);
    ph_explanation_destroy(&explanation);
}

/* ---- Every method ------------------------------------------------------------------------------------------------ */

static void maps_do_not_depend_on_threads(void **state) {
    (void)state;
    const ph_catalogue_entry *entry;
    for (int i = 0; (entry = ph_catalogue("attribution-methods", i)); i++) {
        ph_explain_options options = options_of(entry->name);
        options.masks = 40;
        options.patch = 12;
        options.layer = strstr(entry->name, "cam") || strstr(entry->name, "layer") ? "conv4b" : NULL;
        options.steps = strstr(entry->name, "integrated") ? 20 : 0;
        ph_explanation *explanations[2];
        for (int k = 0; k < 2; k++) {
            assert_int_equal(ph_context_set_threads(context, k ? 3 : 1), PH_OK);
            explanations[k] = explain_with(model, picture, NULL, &options);
        }
        assert_memory_equal(explanations[0]->attribution->data, explanations[1]->attribution->data,
                            (size_t)tensor_size(explanations[0]->attribution) * sizeof(float));
        assert_int_equal(tensor_size(explanations[0]->map), 32 * 32);
        for (int k = 0; k < 2; k++) ph_explanation_destroy(&explanations[k]);
    }
    ph_context_set_threads(context, 0);
}

/* What is kept from call to call changes nothing, also when the picture, the objective or the threads change between. */
static void a_store_changes_nothing(void **state) {
    (void)state;
    static const char *const methods[] = {"gradient", "grad-cam", "guided-backpropagation", "layer-path", "rise",
        "gradient"};
    static const char *const objectives[] = {"class:15", NULL, "class:15", "class:3", "probability:15", "class:15"};
    ph_explain_store *store;
    ph_picture *other;
    assert_int_equal(ph_explain_store_create(model, &store), PH_OK);
    assert_int_equal(ph_picture_fit(picture, "none", 32, 32, &other), PH_OK);
    for (int i = 0; i < 3 * 32 * 32; i++) other->pixels[i] = 1 - other->pixels[i];
    for (int i = 0; i < 2 * PH_COUNT(methods); i++) {
        ph_explain_options options = options_of(methods[i / 2]);
        const ph_picture *seen = i % 2 ? other : picture;
        ph_evidence plain, kept;
        options.masks = 40;
        options.layer = strstr(methods[i / 2], "cam") || strstr(methods[i / 2], "layer") ? "conv4b" : NULL;
        ph_context_set_threads(context, 1 + i % 3);
        ph_explanation *without = explain_with(model, seen, objectives[i / 2], &options);
        assert_int_equal(ph_explanation_measure(model, seen, &options, without, NULL, &plain), PH_OK);
        options.store = store;
        ph_explanation *with = explain_with(model, seen, objectives[i / 2], &options);
        assert_int_equal(ph_explanation_measure(model, seen, &options, with, NULL, &kept), PH_OK);
        assert_memory_equal(with->attribution->data, without->attribution->data,
                            (size_t)tensor_size(with->attribution) * sizeof(float));
        plain.seconds = kept.seconds;
        assert_memory_equal(&plain, &kept, sizeof plain);
        ph_explanation_destroy(&with);
        ph_explanation_destroy(&without);
    }
    ph_context_set_threads(context, 0);
    ph_explain_options options = options_of("gradient");
    ph_explanation *explanation;
    options.store = store;
    assert_int_equal(ph_explain(linear, small, "scores:2", &options, &explanation), PH_ERROR_ARGUMENT);
    assert_non_null(strstr(ph_context_error(context), "another model"));
    ph_picture_destroy(&other);
    ph_explain_store_destroy(&store);
}

/* Two class pictures side by side: each class is found in its half. */
static void each_class_is_found_where_it_is(void **state) {
    (void)state;
    enum { SIDE = 96 };
    static const char *const classes[] = {"class:king penguin", "class:school bus"};
    static const char *const methods[] = {"grad-cam", "layer-cam", "lrp-epsilon-plus-flat"};
    ph_recipe *recipe;
    ph_picture *halves[2], *both;
    assert_int_equal(ph_recipe_create(context, &recipe), PH_OK);
    assert_int_equal(ph_recipe_set(recipe, "size", "96"), PH_OK);
    assert_int_equal(ph_recipe_set(recipe, "steps", "48"), PH_OK);
    assert_int_equal(ph_render(model, recipe, classes, 2, NULL, halves), PH_OK);
    assert_int_equal(ph_picture_create(context, 3, SIDE, 2 * SIDE, &both), PH_OK);
    for (int row = 0; row < 3 * SIDE; row++)
        for (int h = 0; h < 2; h++)
            memcpy(both->pixels + (row * 2 + h) * SIDE, halves[h]->pixels + row * SIDE, SIDE * sizeof(float));
    for (int i = 0; i < PH_COUNT(methods); i++)
        for (int h = 0; h < 2; h++) {
            ph_explain_options options = options_of(methods[i]);
            options.against = classes[1 - h];
            ph_explanation *explanation = explain_with(model, both, classes[h], &options);
            double inside = 0, all = 0;
            for (int p = 0; p < SIDE * 2 * SIDE; p++) {
                double value = fmax(explanation->map->data[p], 0);
                all += value;
                if (p / SIDE % 2 == h) inside += value;
            }
            print_message("%s, %s: %.2f in its half\n", methods[i], classes[h], inside / all);
            if (!(inside > 0.75 * all)) fail_msg("%s: %s lies elsewhere", methods[i], classes[h]);
            ph_explanation_destroy(&explanation);
        }
    ph_picture_destroy(&both);
    for (int h = 0; h < 2; h++) ph_picture_destroy(&halves[h]);
    ph_recipe_destroy(&recipe);
}

/* ---- Evidence ---------------------------------------------------------------------------------------------------- */

static ph_evidence measure(const ph_explanation *explanation, const ph_explain_options *options, const ph_box *box) {
    ph_evidence evidence;
    if (ph_explanation_measure(model, picture, options, explanation, box, &evidence))
        fail_msg("%s", ph_context_error(context));
    return evidence;
}

/* Curves begin and end at what theory says, whatever the map. */
static void curves_run_from_end_to_end(void **state) {
    (void)state;
    ph_explain_options options = options_of("gradient");
    ph_explanation *explanation = explain_with(model, picture, "class:83", &options);
    ph_explanation *share = explain("probability:83", "gradient");
    ph_evidence evidence = measure(explanation, &options, NULL);
    double area = 0;
    assert_int_equal(evidence.curve_points, 33);
    assert_float_equal(evidence.deletion_curve[0], share->value, 1e-5);
    assert_float_equal(evidence.insertion_curve[32], share->value, 1e-5);
    for (int i = 0; i < 32; i++) area += (evidence.deletion_curve[i] + evidence.deletion_curve[i + 1]) / 64;
    assert_float_equal(evidence.deletion, area, 1e-9);
    assert_true(evidence.mu_fidelity >= -1 && evidence.mu_fidelity <= 1);
    assert_true(evidence.infidelity >= 0 && evidence.infidelity <= 1);
    assert_true(evidence.sensitivity > 0);
    assert_true(evidence.sparseness > 0 && evidence.sparseness < 1);
    assert_false(evidence.has_box);
    ph_explanation_destroy(&explanation);
    ph_explanation_destroy(&share);
}

/* The gradient tells all of what noise does to a linear network, and integrated gradients what hiding pixels does. */
static void linear_networks_are_explained_perfectly(void **state) {
    (void)state;
    ph_explain_options options = options_of("gradient");
    ph_explanation *explanation = explain_with(linear, small, "scores:2", &options);
    ph_evidence evidence;
    assert_int_equal(ph_explanation_measure(linear, small, &options, explanation, NULL, &evidence), PH_OK);
    assert_true(evidence.infidelity < 1e-6);
    assert_true(evidence.sensitivity < 1e-6);
    ph_explanation_destroy(&explanation);
}

static void boxes_are_pixels_of_the_picture_as_given(void **state) {
    (void)state;
    ph_explain_options options = options_of("grad-cam");
    ph_picture *large;
    assert_int_equal(ph_picture_resize(picture, 96, 96, &large), PH_OK);
    options.fit = "crop";
    ph_explanation *explanation = explain_with(model, large, "class:83", &options);
    ph_evidence evidence;
    assert_int_equal(ph_explanation_measure(model, large, &options, explanation, &(ph_box){0, 0, 96, 96}, &evidence),
                     PH_OK);
    assert_true(evidence.hit);
    assert_float_equal(evidence.in_box, 1, 1e-6);
    assert_int_equal(
        ph_explanation_measure(model, large, &options, explanation, &(ph_box){200, 200, 300, 300}, &evidence), PH_OK);
    assert_true(evidence.has_box && !evidence.hit);
    assert_float_equal(evidence.in_box, 0, 1e-6);
    ph_explanation_destroy(&explanation);
    ph_picture_destroy(&large);
}

/* Guided backpropagation hardly notices that the classifier is gone; the gradient does (Adebayo et al. 2018). */
static void forgetting_changes_gradients_more_than_guided_backpropagation(void **state) {
    (void)state;
    static const char *const methods[] = {"gradient", "guided-backpropagation"};
    double correlations[2];
    for (int i = 0; i < 2; i++) {
        ph_explain_options options = options_of(methods[i]);
        ph_explanation *explanation = explain_with(model, picture, "class:83", &options);
        ph_randomisation_layer *layers;
        int count;
        assert_int_equal(ph_explanation_randomise(model, &options, explanation, 3, &layers, &count), PH_OK);
        assert_int_equal(count, 3);
        assert_string_equal(layers[0].layer, "logits");
        assert_string_equal(layers[2].layer, "conv1_pre_relu");
        correlations[i] = layers[0].rank_correlation;
        ph_randomisation_destroy(&layers, count);
        ph_explanation_destroy(&explanation);
    }
    assert_true(correlations[0] < 0.6);
    assert_true(correlations[1] > 0.9);
}

/* ---- Drawings ---------------------------------------------------------------------------------------------------- */

static void drawings_have_the_size_of_the_picture(void **state) {
    (void)state;
    static const char *const styles[] = {"heat", "overlay", "signed", "masked", "picture"};
    ph_explanation *explanation = explain("class:15", "lrp-epsilon");
    ph_drawing_options drawing = ph_drawing_defaults();
    ph_picture *drawn;
    for (int i = 0; i < PH_COUNT(styles); i++) {
        drawing.style = styles[i];
        assert_int_equal(ph_explanation_draw(explanation, &drawing, &drawn), PH_OK);
        assert_int_equal(drawn->width, 32);
        assert_int_equal(drawn->channels, 3);
        for (int p = 0; p < 3 * 32 * 32; p++) assert_true(drawn->pixels[p] >= 0 && drawn->pixels[p] <= 1);
        if (!strcmp(styles[i], "picture"))
            assert_memory_equal(drawn->pixels, picture->pixels, 3 * 32 * 32 * sizeof(float));
        ph_picture_destroy(&drawn);
    }
    drawing.style = "sheet";
    assert_int_equal(ph_explanation_draw(explanation, &drawing, &drawn), PH_OK);
    assert_true(drawn->width > 4 * 32);
    assert_non_null(strstr(ph_picture_recipe(drawn), "#method=lrp-epsilon"));
    ph_picture_destroy(&drawn);
    drawing.colours = "rainbow";
    assert_int_equal(ph_explanation_draw(explanation, &drawing, &drawn), PH_ERROR_NOT_FOUND);
    assert_non_null(strstr(ph_context_error(context), "blue-red"));
    ph_explanation_destroy(&explanation);
}

/* ---- What goes wrong --------------------------------------------------------------------------------------------- */

static void assert_fails(const char *objective, const ph_explain_options *options, ph_status status, const char *text) {
    ph_explanation *explanation;
    assert_int_equal(ph_explain(model, picture, objective, options, &explanation), status);
    assert_null(explanation);
    if (!strstr(ph_context_error(context), text)) fail_msg("'%s' is not in: %s", text, ph_context_error(context));
}

static void errors_say_what_would_be_valid(void **state) {
    (void)state;
    ph_explain_options options = options_of("grad-camel");
    assert_fails("class:15", &options, PH_ERROR_NOT_FOUND, "layer-cam");
    options = options_of("grad-cam");
    options.layer = "logits";
    assert_fails("class:15", &options, PH_ERROR_SHAPE, "no positions");
    options.layer = "conv5c";
    assert_fails("class:15", &options, PH_ERROR_NOT_FOUND, "conv5");
    options.layer = "conv5b";
    assert_fails("conv2:3", &options, PH_ERROR_ARGUMENT, "does not depend on layer 'conv5b'");
    assert_fails("class:nosuch", &options, PH_ERROR_NOT_FOUND, "nosuch");
    options = options_of("rise");
    options.masks = 0;
    assert_fails("class:15", &options, PH_ERROR_ARGUMENT, "masks");
    options = options_of("integrated-gradients");
    options.baseline = "white noise";
    assert_fails("class:15", &options, PH_ERROR_ARGUMENT, "blur");
    options = options_of("gradient");
    options.average = "median";
    assert_fails("class:15", &options, PH_ERROR_ARGUMENT, "variance");
}

static bool stop(void *user, int64_t done, int64_t total, double seconds_left) {
    (void)user;
    (void)total;
    (void)seconds_left;
    return done < 20;
}

static void progress_can_stop(void **state) {
    (void)state;
    ph_explain_options options = options_of("rise");
    options.progress = stop;
    assert_fails("class:15", &options, PH_ERROR_CANCELLED, "stopped");
    ph_explanation *explanation = explain("class:15", "gradient");
    ph_evidence evidence;
    assert_int_equal(ph_explanation_measure(model, picture, &options, explanation, NULL, &evidence),
                     PH_ERROR_CANCELLED);
    ph_explanation_destroy(&explanation);
}

/* Every allocation that fails is reported, and nothing leaks (with sanitizers). */
static void failing_allocations_are_reported(void **state) {
    (void)state;
    static const char *const methods[] = {"grad-cam", "lrp-epsilon", "deeplift", "occlusion", "deconvolution"};
    for (int i = 0; i < PH_COUNT(methods); i++)
        for (long after = 1; after < 100000; after = after * 5 / 3 + 1) {
            ph_explain_options options = options_of(methods[i]);
            ph_explain_store *store;
            ph_explanation *explanation;
            assert_int_equal(ph_explain_store_create(model, &store), PH_OK);
            options.store = store;
            ph_alloc_fail_after(after);
            ph_status status = ph_explain(model, picture, "class:15", &options, &explanation);
            ph_alloc_fail_after(-1);
            ph_explanation_destroy(&explanation);
            ph_explain_store_destroy(&store);
            if (!status) break;
            assert_int_equal(status, PH_ERROR_MEMORY);
        }
}

static int setup(void **state) {
    (void)state;
    context = ph_context_create();
    if (!context || ph_model_load(context, NULL, &model) ||
        ph_model_load(context, "tests/vis/data/linear.onnx", &linear) ||
        ph_model_set_preprocessing_text(linear, "unit", NULL, NULL, NULL, NULL) ||
        ph_picture_load(context, "tests/vis/data/attribution.png", &picture) ||
        ph_picture_crop(picture, 10, 10, 4, 4, &small)) {
        print_message("%s\n", context ? ph_context_error(context) : "no context");
        return -1;
    }
    return 0;
}

static int teardown(void **state) {
    (void)state;
    ph_picture_destroy(&small);
    ph_picture_destroy(&picture);
    ph_model_destroy(&linear);
    ph_model_destroy(&model);
    ph_context_destroy(&context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_agree_with_other_implementations),
        cmocka_unit_test(linear_networks_give_their_weights),
        cmocka_unit_test(spelled_activations_are_explained_as_named_ones),
        cmocka_unit_test(sums_are_complete),
        cmocka_unit_test(a_tolerance_doubles_the_steps),
        cmocka_unit_test(hires_cam_is_grad_cam_before_a_mean),
        cmocka_unit_test(a_channel_explains_itself),
        cmocka_unit_test(occlusion_is_a_loop_over_patches),
        cmocka_unit_test(a_contrast_is_a_difference),
        cmocka_unit_test(averages_are_means_squares_and_variances),
        cmocka_unit_test(units_are_ranked_and_add_up),
        cmocka_unit_test(maps_do_not_depend_on_threads),
        cmocka_unit_test(a_store_changes_nothing),
        cmocka_unit_test(each_class_is_found_where_it_is),
        cmocka_unit_test(curves_run_from_end_to_end),
        cmocka_unit_test(linear_networks_are_explained_perfectly),
        cmocka_unit_test(boxes_are_pixels_of_the_picture_as_given),
        cmocka_unit_test(forgetting_changes_gradients_more_than_guided_backpropagation),
        cmocka_unit_test(drawings_have_the_size_of_the_picture),
        cmocka_unit_test(errors_say_what_would_be_valid),
        cmocka_unit_test(progress_can_stop),
        cmocka_unit_test(failing_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
