/* All that a picture can be asked for, on a Vulkan device: every preset, parameterisation, optimiser and objective that the
 * catalogues list, near the CPU's picture. Skipped where there is no device. */
#include "exec/backend.h"
#include "vis/vis.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define PHOTO "docs/pictures/first.png"
#define START "size=32\nsteps=2\n"

enum { CPU, DEVICE, BACKENDS, MOST = 4 };

static ph_context *contexts[BACKENDS];
static ph_model *models[BACKENDS], *others[BACKENDS]; /* the embedded network, which the other joins as b */

/* `pictures` of one objective. */
static void render(int backend, const char *options, const char *objective, ph_picture **pictures) {
    ph_recipe *recipe;
    assert_int_equal(ph_recipe_create(contexts[backend], &recipe), PH_OK);
    if (ph_recipe_parse(recipe, options) || ph_render(models[backend], recipe, &objective, 1, NULL, pictures))
        fail_msg("%s, %s: %s", objective, options, ph_context_error(contexts[backend]));
    ph_recipe_destroy(&recipe);
}

/* Peak signal to noise, of a white of 1. */
static double decibels(const ph_picture *a, const ph_picture *b) {
    double squares = 0, count = (double)(a->channels * a->height * a->width);
    for (size_t i = 0; i < (size_t)count; i++) squares += pow((double)a->pixels[i] - b->pixels[i], 2);
    return 10 * log10(count / fmax(squares, 1e-20));
}

static double least = HUGE_VAL;
static int checked;

static void check(const char *options, const char *objective, int count) {
    ph_picture *pictures[BACKENDS][MOST] = {{NULL}};
    for (int b = 0; b < BACKENDS; b++) render(b, options, objective, pictures[b]);
    for (int i = 0; i < count; i++) {
        double apart = decibels(pictures[CPU][i], pictures[DEVICE][i]);
        least = fmin(least, apart);
        if (!(apart > 45)) fail_msg("%s, %s: %.1f dB from the CPU's picture", objective, options, apart);
        for (int b = 0; b < BACKENDS; b++) ph_picture_destroy(&pictures[b][i]);
    }
    checked++;
}

static void check_option(const char *option, const char *kind, const char *more) {
    const ph_catalogue_entry *entry;
    for (int i = 0; (entry = ph_catalogue(kind, i)); i++) {
        char options[256];
        /* Of a picture in which a unit sees something; and away from a start that is grey all over, where every pool has
         * ties and two of the CPU's instruction sets are 13 dB apart after two steps. */
        bool started = !strcmp(entry->name, "accentuation"), grey = !strcmp(entry->name, "cppn");
        snprintf(options, sizeof options, START "%s=%s\n%s%s", option, entry->name, more,
                 started ? "init=" PHOTO "\n" : grey ? "noise=0.1\n" : "");
        check(options, "conv2:5", 1);
    }
}

static void presets(void **state) {
    (void)state;
    check_option("preset", "presets", START);
}

static void parameterisations(void **state) {
    (void)state;
    check_option("parameterisation", "parameterisations", "");
}

static void optimisers(void **state) {
    (void)state;
    check_option("optimiser", "optimisers", "");
}

static void transforms_rules_and_regularisers(void **state) {
    static const char *const options[] = {"transforms=crops", "transforms=none", "border=reflect", "border=wrap", "border=random",
        "mirror=true", "views=2", "noise=0.1", "backward=guided", "backward=deconvolution", "pooling=softened", "pooling=average",
        "squash=clip", "band-limit=0.2", "pixel-decay=0.1", "normalise=rms", "parameterisation=pixel\ngradient-blur=1,2",
        "parameterisation=pixel\ngradient-bands=3", "parameterisation=pixel\nblur=1,1\nblur-every=1",
        "parameterisation=pixel\nclip-norm=0.3", "parameterisation=pixel\nclip-contribution=0.3",
        "parameterisation=cppn\nnoise=0.1\nprint-size=48"};
    (void)state;
    for (int i = 0; i < PH_COUNT(options); i++) {
        char all[256];
        snprintf(all, sizeof all, START "%s\n", options[i]);
        check(all, "conv3a:5", 1);
    }
}

static void objectives(void **state) {
    static const struct { const char *objective, *options; int pictures; } cases[] = {
        {"conv3a:5@1,2", "", 1}, {"conv3a", "", 1}, {"class:goldfish", "", 1}, {"probability:goldfish", "", 1},
        {"conv3a:5 * conv2:3", "", 1}, {"mean(conv3a@1-3,1-2)", "", 1}, {"direction(conv3a, [5: 1, 9: 2])", "", 1},
        {"direction(conv3a, " PHOTO ", power=2)", "", 1}, {"cosine(conv3a, " PHOTO ")", "", 1},
        {"conv3a:5 - others(conv3a:5)", "", 1}, {"reach(conv3a:5, 3)", "", 1},
        {"match(probabilities, goldfish=0.7, monarch=0.3)", "", 1}, {"match(conv3a, " PHOTO ")", "", 1},
        {"match(conv3a, " PHOTO ", by=l1)", "", 1}, {"match(conv3a, " PHOTO ", by=cosine)", "", 1},
        {"match(conv3a, " PHOTO ", by=dot)", "", 1}, {"content(conv3a, " PHOTO ")", "", 1}, {"style(conv3a, " PHOTO ")", "", 1},
        {"style(conv3a, " PHOTO ", by=l1)", "", 1}, {"caricature(conv3a, " PHOTO ", power=1)", "", 1},
        {"guide(conv3a, " PHOTO ")", "", 1}, {"conv3a:5 + diversity(conv2)", "pictures=2", 2},
        {"conv3a:5 + align(conv2)", "pictures=2", 2}, {"interpolate(conv3a:5, conv3a:6)", "pictures=3", 3},
        {"conv3a:5 + item(1, conv2:3)", "pictures=2", 2}, {"class:goldfish + in(b, conv4a:5)", "", 1}, {"conv3a:5 - tv()", "", 1},
        {"conv3a:5 - tv_beta(beta=2)", "", 1}, {"conv3a:5 - l1()", "", 1}, {"conv3a:5 - l2()", "", 1}, {"conv3a:5 - lp(3)", "", 1},
        {"conv3a:5 - alpha_norm()", "", 1}, {"conv3a:5 - boundary(width=8)", "", 1}, {"conv3a:5 - blur()", "", 1},
        {"conv3a:5 - distance()", "init=" PHOTO, 1}, {"conv3a:5 - opacity()", "alpha=true", 1},
        {"conv3a:5 + conv3a:6", "pictures=2\nparameterisation=shared", 2}};
    const ph_catalogue_entry *entry;
    (void)state;
    for (int i = 0; i < PH_COUNT(cases); i++) {
        char options[128];
        snprintf(options, sizeof options, START "%s\n", cases[i].options);
        check(options, cases[i].objective, cases[i].pictures);
    }
    /* No function that the catalogue lists is left out. */
    for (int i = 0; (entry = ph_catalogue("objectives", i)); i++) {
        size_t length = strcspn(entry->name, "(");
        bool found = !entry->name[length];
        for (int k = 0; k < PH_COUNT(cases) && !found; k++) {
            const char *at = strstr(cases[k].objective, "(");
            for (; at && !found; at = strstr(at + 1, "("))
                found = at - cases[k].objective >= (ptrdiff_t)length && !strncmp(at - length, entry->name, length);
        }
        if (!found) fail_msg("%s is not among the objectives", entry->name);
    }
}

int main(void) {
    enum { SKIPPED = 77 };
    const struct ph_backend *backend;
    int failures = SKIPPED;
    for (int b = 0; b < BACKENDS; b++) contexts[b] = ph_context_create();
    if (ph_context_set_backend(contexts[DEVICE], "vulkan", 0) || ph_backend_resolve(contexts[DEVICE], NULL, &backend)) {
        printf("skipped: %s\n", ph_context_error(contexts[DEVICE]));
    } else {
        for (int b = 0; b < BACKENDS; b++) {
            if (ph_model_load(contexts[b], NULL, &models[b]) || ph_model_load(contexts[b], NULL, &others[b]) ||
                ph_model_join(models[b], "b", &others[b]))
                printf("%s\n", ph_context_error(contexts[b]));
        }
        const struct CMUnitTest tests[] = {cmocka_unit_test(presets), cmocka_unit_test(parameterisations),
            cmocka_unit_test(optimisers), cmocka_unit_test(transforms_rules_and_regularisers), cmocka_unit_test(objectives)};
        failures = cmocka_run_group_tests(tests, NULL, NULL);
        printf("%d kinds of pictures, %.1f dB or more from the CPU's\n", checked, least);
    }
    for (int b = 0; b < BACKENDS; b++) {
        ph_model_destroy(&models[b]);
        ph_model_destroy(&others[b]);
        ph_context_destroy(&contexts[b]);
    }
    return failures;
}
