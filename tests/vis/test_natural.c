/* The point of it all, on a real network: for 20 channels spread over GoogLeNet, the value on the rendered plain picture is
 * above that on every one of the photographs, in the median at least five times. Channels are chosen by a rule, not by
 * result. */
#include "extras.h"
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

static const char *const layers[] = {"conv2/norm2", "inception_3a/output", "inception_3b/output", "inception_4a/output",
    "inception_4b/output", "inception_4c/output", "inception_4d/output", "inception_4e/output", "inception_5a/output",
    "inception_5b/output"};

enum { LAYERS = PH_COUNT(layers), PER_LAYER = 2, CHANNELS = LAYERS * PER_LAYER };

static int channel_of(int layer, int which, int64_t channels) { return (int)((37 * layer + 101 * which + 11) % channels); }

static double mean_of(const ph_tensor *tensor, int channel) {
    int64_t size = tensor->dims[2] * tensor->dims[3];
    double sum = 0;
    for (int64_t i = 0; i < size; i++) sum += tensor->data[channel * size + i];
    return sum / (double)size;
}

/* The greatest mean of each channel over the photographs in `folder`. */
static int photographs(ph_context *context, ph_model *model, const char *folder, double *best, int *channels) {
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort), pictures = 0;
    for (int i = 0; i < CHANNELS; i++) best[i] = -HUGE_VAL;
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            char *path = ph_sprintf("%s/%s", folder, entries[i]->d_name);
            ph_picture *picture;
            if (ph_picture_load(context, path, &picture)) fail_msg("%s", ph_context_error(context));
            for (int layer = 0; layer < LAYERS; layer++) {
                ph_tensor *tensor;
                if (ph_activations(model, picture, NULL, layers[layer], &tensor)) fail_msg("%s", ph_context_error(context));
                for (int which = 0; which < PER_LAYER; which++) {
                    int at = layer * PER_LAYER + which;
                    channels[at] = channel_of(layer, which, tensor->dims[1]);
                    best[at] = fmax(best[at], mean_of(tensor, channels[at]));
                }
                ph_tensor_destroy(&tensor);
            }
            ph_picture_destroy(&picture);
            ph_free(path);
            pictures++;
        }
        free(entries[i]);
    }
    free(entries);
    return pictures;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_natural(void **state) {
    (void)state;
    const char *found = extras_path("weights/bvlc_googlenet.onnx");
    if (!found) skip();
    ph_context *context = ph_context_create();
    ph_model *model;
    if (ph_model_load(context, found, &model)) fail_msg("%s", ph_context_error(context));
    found = extras_path("images/imagenet");
    if (!found) skip();
    char *folder = ph_strdup(found), *objectives[CHANNELS];
    double natural[CHANNELS], ratios[CHANNELS];
    int channels[CHANNELS], pictures = photographs(context, model, folder, natural, channels), beaten = 0;
    assert_int_equal(pictures, 20);
    for (int i = 0; i < CHANNELS; i++) objectives[i] = ph_sprintf("%s:%d", layers[i / PER_LAYER], channels[i]);
    ph_recipe *recipe;
    ph_picture *rendered[CHANNELS];
    assert_int_equal(ph_recipe_create(context, &recipe), PH_OK);
    assert_int_equal(ph_recipe_set(recipe, "steps", "128"), PH_OK);
    if (ph_render(model, recipe, (const char *const *)objectives, CHANNELS, NULL, rendered)) fail_msg("%s", ph_context_error(context));
    for (int i = 0; i < CHANNELS; i++) {
        double value = (double)ph_picture_value(rendered[i]);
        ratios[i] = value / natural[i];
        beaten += value > natural[i];
        printf("%-26s %10.4f rendered %10.4f at most on a photograph, ratio %8.2f\n", objectives[i], value, natural[i], ratios[i]);
        ph_picture_destroy(&rendered[i]);
        ph_free(objectives[i]);
    }
    qsort(ratios, CHANNELS, sizeof *ratios, compare);
    double median = (ratios[CHANNELS / 2 - 1] + ratios[CHANNELS / 2]) / 2;
    printf("%d of %d above every photograph, median ratio %.2f\n", beaten, CHANNELS, median);
    assert_int_equal(beaten, CHANNELS);
    assert_true(median >= 5);
    ph_recipe_destroy(&recipe);
    ph_model_destroy(&model);
    ph_context_destroy(&context);
    ph_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_natural)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
