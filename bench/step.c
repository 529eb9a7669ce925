/* Times the steps of a render through the public interface: median, least and mean milliseconds, and the objective reached.
 *
 *     bench-step MODEL OBJECTIVE [STEPS [OPTION=VALUE ...]]     MODEL "-": the embedded network
 *
 * OPTION is one of the recipe's (size=448, batch=8, ...), threads, instruction-set, precision, backend, or profile or tune with a
 * file. The objective is rendered `batch` times side by side. Prints one line of JSON. The first steps, with silent units woken
 * and caches cold, are not counted. A device reports several steps at once: each has its share of the time since the report
 * before. */
#include <phosphene/phosphene.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_STEPS = 1 << 16, UNCOUNTED = 20, MAX_BATCH = 64 };

struct clock { double last, start, first, times[MAX_STEPS]; int count, step; };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool tick(void *user, const ph_progress *progress) {
    struct clock *clock = user;
    double time = now(), each = 1e3 * (time - clock->last) / (progress->step - clock->step);
    if (clock->first == 0) clock->first = time - clock->start;
    for (; clock->step < progress->step; clock->step++)
        if (clock->step >= UNCOUNTED && clock->count < MAX_STEPS) clock->times[clock->count++] = each;
    clock->last = time;
    return true;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double mean(const struct clock *clock) {
    double sum = 0;
    for (int i = 0; i < clock->count; i++) sum += clock->times[i];
    return sum / clock->count;
}

static ph_status set(ph_context *context, ph_recipe *recipe, const char *assignment) {
    char name[64];
    const char *equals = strchr(assignment, '=');
    if (!equals || (size_t)(equals - assignment) >= sizeof name) return PH_ERROR_ARGUMENT;
    memcpy(name, assignment, (size_t)(equals - assignment));
    name[equals - assignment] = 0;
    if (!strcmp(name, "threads")) return ph_context_set_threads(context, atoi(equals + 1));
    if (!strcmp(name, "instruction-set")) return ph_context_set_instruction_set(context, equals + 1);
    if (!strcmp(name, "backend")) return ph_context_set_backend(context, equals + 1, 0);
    if (!strcmp(name, "precision")) return ph_context_set_precision(context, equals + 1);
    if (!strcmp(name, "profile")) return ph_context_set_profile(context, equals + 1);
    if (!strcmp(name, "tune")) return ph_context_tune(context, equals + 1);
    return ph_recipe_set(recipe, name, equals + 1);
}

int main(int count, char **arguments) {
    if (count < 3) {
        fprintf(stderr, "usage: bench-step MODEL OBJECTIVE [STEPS [OPTION=VALUE ...]]\n");
        return 2;
    }
    static struct clock clock;
    ph_context *context = ph_context_create();
    ph_model *model = NULL;
    ph_recipe *recipe = NULL;
    ph_picture *pictures[MAX_BATCH] = {NULL};
    const char *objectives[MAX_BATCH];
    clock.start = now();
    ph_status status = ph_model_load(context, strcmp(arguments[1], "-") ? arguments[1] : NULL, &model);
    if (!status) status = ph_recipe_create(context, &recipe);
    if (!status) status = ph_recipe_set(recipe, "steps", count > 3 ? arguments[3] : "148");
    for (int i = 4; i < count && !status; i++) status = set(context, recipe, arguments[i]);
    int batch = status ? 1 : atoi(ph_recipe_get(recipe, "batch"));
    if (batch < 1 || batch > MAX_BATCH) batch = 1;
    for (int i = 0; i < batch; i++) objectives[i] = arguments[2];
    ph_render_callbacks callbacks = {.progress = tick, .user = &clock};
    if (!status) status = ph_render(model, recipe, objectives, batch, &callbacks, pictures);
    if (status || clock.count == 0) {
        fprintf(stderr, "bench-step: %s\n", status ? ph_context_error(context) : "too few steps to time");
    } else {
        qsort(clock.times, (size_t)clock.count, sizeof *clock.times, compare);
        printf("{\"milliseconds\": %.4f, \"least\": %.4f, \"mean\": %.4f, ", clock.times[clock.count / 2], clock.times[0],
               mean(&clock));
        printf("\"batch\": %d, \"first_step_seconds\": %.4f, \"objective\": %.6g}\n", batch, clock.first,
               (double)ph_picture_value(pictures[0]));
    }
    for (int i = 0; i < batch; i++) ph_picture_destroy(&pictures[i]);
    ph_recipe_destroy(&recipe);
    ph_model_destroy(&model);
    ph_context_destroy(&context);
    return status != PH_OK || clock.count == 0;
}
