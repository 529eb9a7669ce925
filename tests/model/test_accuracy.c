/* Photographs of known class through ph_classify: the counts another framework reaches on the same pictures, prepared with
 * Pillow by shorter side 256 and centre crop. They fail when channels, range, mean, resampling or labels are wrong, none
 * of which the stored activations can show. */
#include "extras.h"
#include <dirent.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

enum { SYNSET_LENGTH = 9, CLASSES = 1000, TOP = 5 };

/* The class whose line of synset words begins as the file's name does. */
static int class_of(const char *words, const char *file_name) {
    char line[512];
    int class = 0;
    FILE *file = fopen(words, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) && strncmp(line, file_name, SYNSET_LENGTH)) class++;
    fclose(file);
    assert_in_range(class, 0, CLASSES - 1);
    return class;
}

/* Adds 1 to *first or *top where the picture's class comes first or among the first five. */
static void picture_check(ph_context *context, ph_model *model, const char *path, int class, int *first, int *top) {
    ph_picture *picture;
    ph_class_score scores[TOP];
    int found;
    if (ph_picture_load(context, path, &picture)) fail_msg("%s", ph_context_error(context));
    assert_int_equal(ph_classify(model, picture, NULL, scores, TOP, &found), PH_OK);
    assert_int_equal(found, TOP);
    *first += scores[0].index == class;
    for (int i = 0; i < found; i++) *top += scores[i].index == class;
    if (scores[0].index != class)
        printf("%s: %s (%.3f)\n", ph_base_name(path), ph_model_class_name(model, scores[0].index), (double)scores[0].probability);
    ph_picture_destroy(&picture);
}

static void network_check(const char *extra, int least_first, int least_top) {
    const char *found = extras_path(extra);
    if (!found) skip();
    ph_context *context = ph_context_create();
    ph_model *model;
    if (ph_model_load(context, found, &model)) fail_msg("%s", ph_context_error(context));
    found = extras_path("weights/imagenet_synset_words.txt");
    assert_non_null(found);
    char *words = ph_strdup(found);
    found = extras_path("images/imagenet");
    assert_non_null(found);
    char *folder = ph_strdup(found);
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort), pictures = 0, first = 0, top = 0;
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] == 'n') {
            char *path = ph_sprintf("%s/%s", folder, entries[i]->d_name);
            picture_check(context, model, path, class_of(words, entries[i]->d_name), &first, &top);
            ph_free(path);
            pictures++;
        }
        free(entries[i]);
    }
    free(entries);
    printf("%s: of %d pictures %d first, %d in the top five\n", extra, pictures, first, top);
    assert_int_equal(pictures, 20);
    assert_true(first >= least_first && top >= least_top);
    ph_free(words);
    ph_free(folder);
    ph_model_destroy(&model);
    ph_context_destroy(&context);
}

static void test_googlenet(void **state) {
    (void)state;
    network_check("weights/bvlc_googlenet.onnx", 17, 19);
}

static void test_squeezenet(void **state) {
    (void)state;
    network_check("weights/squeezenet_v1.1.onnx", 14, 18);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_googlenet), cmocka_unit_test(test_squeezenet)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
