/* Dreams: what an objective gains, octaves, tiles that leave no seam, masks, colours, the same bytes, moved pictures. */
#include "vis/dream.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static ph_context *context;
static ph_model *model;

static int set_up(void **state) {
    (void)state;
    context = ph_context_create();
    return !context || ph_model_load(context, NULL, &model);
}

static int tear_down(void **state) {
    (void)state;
    ph_model_destroy(&model);
    ph_context_destroy(&context);
    return 0;
}

/* Soft spots of all three colours: nothing in it lies at regular places. */
static ph_picture *picture_make(int channels, int height, int width) {
    ph_picture *picture;
    assert_int_equal(ph_picture_create(context, channels, height, width, &picture), PH_OK);
    for (int c = 0; c < channels; c++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                picture->pixels[(c * height + y) * width + x] =
                    (float)(0.5 + 0.2 * sin(0.11 * x + c + 0.05 * y) * cos(0.07 * y - 0.5 * c + 0.02 * x));
    return picture;
}

static size_t size_of(const ph_picture *picture) {
    return (size_t)picture->channels * (size_t)picture->height * (size_t)picture->width;
}

static ph_picture *dreamt(const ph_picture *picture, const char *objective, const ph_dream_options *options) {
    ph_picture *dream = NULL;
    if (ph_dream(model, picture, objective, options, &dream)) fail_msg("%s", ph_context_error(context));
    assert_int_equal(dream->height, picture->height);
    assert_int_equal(dream->width, picture->width);
    return dream;
}

static ph_dream_options small(void) {
    ph_dream_options options = ph_dream_defaults();
    options.octaves = 2;
    options.steps = 4;
    options.least_side = 32;
    return options;
}

/* The objective on the finished pictures, seen pixel by pixel. */
static double value_of(const ph_picture *picture, const char *objective) {
    ph_tensor *gradient = NULL;
    float value;
    if (ph_gradient(model, picture, "none", objective, &value, &gradient)) fail_msg("%s", ph_context_error(context));
    ph_tensor_destroy(&gradient);
    return (double)value;
}

static void test_objective_rises(void **state) {
    (void)state;
    ph_picture *picture = picture_make(3, 70, 101);
    ph_dream_options options = small();
    double before = value_of(picture, "conv3a");
    ph_picture *dream = dreamt(picture, "-conv3a", &options);
    assert_true(value_of(dream, "conv3a") < before);
    ph_picture_destroy(&dream);
    dream = dreamt(picture, "conv3a", &options);
    assert_true(value_of(dream, "conv3a") > 1.25 * before);
    for (size_t i = 0; i < size_of(dream); i++) assert_true(dream->pixels[i] >= 0 && dream->pixels[i] <= 1);
    ph_picture_destroy(&dream);
    ph_picture_destroy(&picture);
}

static void test_automatic_objective(void **state) {
    (void)state;
    ph_picture *picture = picture_make(1, 64, 64);
    ph_dream_options options = small();
    ph_picture *dream = dreamt(picture, NULL, &options);
    char layer[64];
    assert_int_equal(ph_picture_channels(dream), 3);
    assert_true(ph_recipe_lookup(ph_picture_recipe(dream), "#objective", layer, sizeof layer));
    assert_string_equal(layer, "'conv4b'");
    ph_picture_destroy(&dream);
    ph_picture_destroy(&picture);
}

/* A step moves pixels by the step's size on average, whatever the objective's scale. */
static void test_step_size(void **state) {
    (void)state;
    ph_picture *picture = picture_make(3, 64, 64);
    ph_dream_options options = small();
    options.octaves = options.steps = 1;
    static const char *const objectives[] = {"conv3a", "conv3a * 1000"};
    for (int k = 0; k < 2; k++) {
        ph_picture *dream = dreamt(picture, objectives[k], &options);
        double sum = 0;
        for (size_t i = 0; i < size_of(dream); i++) sum += fabs((double)dream->pixels[i] - (double)picture->pixels[i]);
        assert_float_equal(sum / (double)size_of(dream), options.step_size, 0.02 * options.step_size);
        ph_picture_destroy(&dream);
    }
    ph_picture_destroy(&picture);
}

static bool goes_on(void *user, int tile, int count) {
    (void)user;
    return tile <= count;
}

/* The gradient put together from tiles is that of the whole picture where a tile sees enough around it. */
static void test_tiles_agree_with_whole(void **state) {
    (void)state;
    enum { SIDE = 160 };
    ph_picture *picture = picture_make(3, SIDE, SIDE);
    struct ph_objective objective;
    assert_int_equal(ph_objective_parse(context, "conv1", &objective), PH_OK);
    float *gradients[2];
    for (int k = 0; k < 2; k++) {
        struct ph_tiles tiles;
        float value;
        struct ph_tiles_pass pass = {.seed = 3, .visited = goes_on};
        gradients[k] = ph_alloc_array(size_of(picture), sizeof(float));
        assert_int_equal(ph_tiles_start(model, &objective, k ? 64 : SIDE, &tiles), PH_OK);
        assert_int_equal(ph_tiles_fit(&tiles, SIDE, SIDE), PH_OK);
        assert_int_equal(ph_tiles_gradient(&tiles, &pass, picture->pixels, SIDE, SIDE, gradients[k], &value), PH_OK);
        ph_tiles_finish(&tiles);
    }
    /* conv1 sees 5 pixels with stride 2; a tile's mean is over fewer positions than the whole's. */
    double product = 0, sizes[2] = {0, 0};
    for (size_t i = 0; i < size_of(picture); i++) {
        product += (double)gradients[0][i] * (double)gradients[1][i];
        for (int k = 0; k < 2; k++) sizes[k] += (double)gradients[k][i] * (double)gradients[k][i];
    }
    assert_true(product / sqrt(sizes[0] * sizes[1]) > 0.9);
    for (int k = 0; k < 2; k++) ph_free(gradients[k]);
    ph_objective_finish(&objective);
    ph_picture_destroy(&picture);
}

/* Size of the step from line `at` to the next, rows or columns. */
static double step_size_at(const ph_picture *picture, int at, bool rows) {
    int along = rows ? picture->width : picture->height, stride = rows ? 1 : picture->width;
    int line = rows ? picture->width : 1, plane = picture->height * picture->width;
    double sum = 0;
    for (int c = 0; c < picture->channels; c++)
        for (int i = 0; i < along; i++) {
            const float *pixel = picture->pixels + c * plane + at * line + i * stride;
            sum += fabs((double)pixel[line] - (double)pixel[0]);
        }
    return sum;
}

/* The largest step between neighbouring lines of the dream, over the mean: a seam would be a line all along which the
 * picture jumps. */
static double worst_line(const ph_picture *dream) {
    double worst = 0;
    for (int rows = 0; rows < 2; rows++) {
        int count = (rows ? dream->height : dream->width) - 1;
        double sum = 0, largest = 0;
        for (int at = 0; at < count; at++) {
            double size = step_size_at(dream, at, rows);
            sum += size;
            largest = fmax(largest, size);
        }
        worst = fmax(worst, largest * count / sum);
    }
    return worst;
}

/* Tiles or not, no line stands out; where a seam is put, it does. */
static void test_no_seams(void **state) {
    (void)state;
    enum { SIDE = 200 };
    ph_picture *picture = picture_make(3, SIDE, SIDE);
    ph_dream_options options = small();
    options.octaves = 1;
    options.steps = 12;
    ph_picture *whole = dreamt(picture, "conv2", &options);
    options.tile = 64;
    ph_picture *dream = dreamt(picture, "conv2", &options);
    double limit = 1.25 * worst_line(whole);
    assert_true(worst_line(dream) < limit);
    for (int i = 0; i < 3 * SIDE; i++)
        for (int x = SIDE / 2; x < SIDE; x++) dream->pixels[i * SIDE + x] += 0.1f;
    assert_true(worst_line(dream) > limit);
    ph_picture_destroy(&dream);
    ph_picture_destroy(&whole);
    ph_picture_destroy(&picture);
}

static void test_mask(void **state) {
    (void)state;
    ph_picture *picture = picture_make(3, 64, 96), *mask = picture_make(1, 32, 48);
    for (int i = 0; i < 32 * 48; i++) mask->pixels[i] = i % 48 < 24 ? 1 : 0;
    ph_dream_options options = small();
    options.mask = mask;
    ph_picture *dream = dreamt(picture, "conv3a", &options);
    double left = 0, right = 0;
    for (int y = 0; y < 64; y++) {
        for (int x = 0; x < 40; x++) left += fabs((double)dream->pixels[y * 96 + x] - (double)picture->pixels[y * 96 + x]);
        for (int x = 56; x < 96; x++) right = fmax(right, fabs((double)dream->pixels[y * 96 + x] - (double)picture->pixels[y * 96 + x]));
    }
    assert_true(left / (64 * 40) > 0.5 * options.step_size);
    assert_true(right < 1e-6);
    ph_picture_destroy(&dream);
    ph_picture_destroy(&mask);
    ph_picture_destroy(&picture);
}

/* The differences of the channels, which are colour, stay where nothing was clipped. */
static void test_colours_are_kept(void **state) {
    (void)state;
    ph_picture *picture = picture_make(3, 64, 64);
    ph_dream_options options = small();
    options.keep_colours = true;
    options.step_size = 0.002;
    ph_picture *dream = dreamt(picture, "conv3a", &options);
    int plane = 64 * 64;
    for (int i = 0; i < plane; i++)
        assert_float_equal(dream->pixels[i] - dream->pixels[plane + i], picture->pixels[i] - picture->pixels[plane + i], 1e-5);
    ph_picture_destroy(&dream);
    ph_picture_destroy(&picture);
}

static void test_same_bytes(void **state) {
    (void)state;
    ph_picture *picture = picture_make(3, 90, 75), *dreams[4];
    ph_dream_options options = small();
    options.tile = 48;
    static const int threads[] = {1, 2, 3, 7};
    for (int k = 0; k < 4; k++) {
        ph_context_set_threads(context, threads[k]);
        dreams[k] = dreamt(picture, "conv3a", &options);
        assert_memory_equal(dreams[k]->pixels, dreams[0]->pixels, size_of(picture) * sizeof(float));
    }
    ph_context_set_threads(context, 0);
    options.seed = 1;
    ph_picture *other = dreamt(picture, "conv3a", &options);
    assert_memory_not_equal(other->pixels, dreams[0]->pixels, size_of(picture) * sizeof(float));
    ph_picture_destroy(&other);
    for (int k = 0; k < 4; k++) ph_picture_destroy(&dreams[k]);
    ph_picture_destroy(&picture);
}

static bool stop_at_third(void *user, const ph_dream_progress *progress) {
    (void)progress;
    return ++*(int *)user < 3;
}

static void test_stopping(void **state) {
    (void)state;
    ph_picture *picture = picture_make(3, 64, 64), *dream = NULL;
    ph_dream_options options = small();
    int calls = 0;
    options.progress = stop_at_third;
    options.user = &calls;
    assert_int_equal(ph_dream(model, picture, "conv3a", &options, &dream), PH_ERROR_CANCELLED);
    assert_int_equal(calls, 3);
    assert_non_null(dream);
    assert_memory_not_equal(dream->pixels, picture->pixels, size_of(picture) * sizeof(float));
    ph_picture_destroy(&dream);
    ph_picture_destroy(&picture);
}

static void refused(const ph_picture *picture, const char *objective, const ph_dream_options *options, const char *word) {
    ph_picture *dream = NULL;
    assert_int_not_equal(ph_dream(model, picture, objective, options, &dream), PH_OK);
    assert_null(dream);
    if (!strstr(ph_context_error(context), word)) fail_msg("'%s' does not say %s", ph_context_error(context), word);
}

static void test_refusals(void **state) {
    (void)state;
    ph_picture *picture = picture_make(3, 64, 64);
    ph_dream_options options = small();
    refused(picture, "nolayer", &options, "nolayer");
    options.octaves = 9;
    refused(picture, "conv3a", &options, "octave");
    options = small();
    options.octave_scale = NAN;
    refused(picture, "conv3a", &options, "octave-scale");
    options = small();
    options.tile = 8;
    refused(picture, "conv3a", &options, "tile");
    options = small();
    options.guide = "no such file.png";
    refused(picture, "conv3a", &options, "no such file.png");
    ph_picture_destroy(&picture);
}

/* Memory may run out at any allocation: an error, and nothing lost. */
static void test_memory_runs_out(void **state) {
    (void)state;
    ph_picture *picture = picture_make(3, 40, 40);
    ph_dream_options options = small();
    options.octaves = options.steps = 1;
    for (long n = 0; n < 400; n += 7) {
        ph_picture *dream = NULL;
        ph_alloc_fail_after(n);
        ph_status status = ph_dream(model, picture, "conv2", &options, &dream);
        ph_alloc_fail_after(-1);
        assert_true(status == PH_OK ? dream != NULL : status == PH_ERROR_MEMORY && !dream);
        ph_picture_destroy(&dream);
    }
    ph_picture_destroy(&picture);
}

static void test_moving(void **state) {
    (void)state;
    ph_picture *picture = picture_make(3, 21, 31), *moved;
    assert_int_equal(ph_picture_move(picture, 1, 0, 0, 0, &moved), PH_OK);
    for (size_t i = 0; i < size_of(picture); i++) assert_float_equal(moved->pixels[i], picture->pixels[i], 1e-6);
    ph_picture_destroy(&moved);
    /* To the right and down; what comes in is the reflection. */
    assert_int_equal(ph_picture_move(picture, 1, 0, 2, 1, &moved), PH_OK);
    assert_float_equal(moved->pixels[5 * 31 + 9], picture->pixels[4 * 31 + 7], 1e-6);
    assert_float_equal(moved->pixels[5 * 31], picture->pixels[4 * 31 + 2], 1e-6);
    ph_picture_destroy(&moved);
    /* A quarter turn clockwise takes what is above the middle to its right. */
    assert_int_equal(ph_picture_move(picture, 1, 90, 0, 0, &moved), PH_OK);
    assert_float_equal(moved->pixels[10 * 31 + 20], picture->pixels[5 * 31 + 15], 1e-5);
    ph_picture_destroy(&moved);
    /* Twice as large: what is 3 from the middle comes to 6 from it. */
    assert_int_equal(ph_picture_move(picture, 2, 0, 0, 0, &moved), PH_OK);
    assert_float_equal(moved->pixels[16 * 31 + 21], picture->pixels[13 * 31 + 18], 1e-5);
    ph_picture_destroy(&moved);
    assert_int_equal(ph_picture_move(picture, 0, 0, 0, 0, &moved), PH_ERROR_ARGUMENT);
    assert_int_equal(ph_picture_move(picture, NAN, 0, 0, 0, &moved), PH_ERROR_ARGUMENT);
    assert_null(moved);
    ph_picture_destroy(&picture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objective_rises), cmocka_unit_test(test_automatic_objective),
        cmocka_unit_test(test_step_size), cmocka_unit_test(test_tiles_agree_with_whole), cmocka_unit_test(test_no_seams),
        cmocka_unit_test(test_mask), cmocka_unit_test(test_colours_are_kept), cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_stopping), cmocka_unit_test(test_refusals), cmocka_unit_test(test_memory_runs_out),
        cmocka_unit_test(test_moving),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
