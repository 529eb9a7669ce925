/* Every fast kernel against the operations' plain functions: small random networks run by the plain backend and by each
 * instruction set this processor has, or, with an argument, by the backend of that name, and with "fp16" behind it in 16 bits.
 * With the argument "tiles", those of AMX alone, by emulation where the processor has none. Buffers lie in one arena, whose
 * contents around every tensor are checked by the results of the neighbours; shapes are drawn so that tails, strides, pads
 * and groups of every kind occur. */
#include "emulated_tiles.h"
#include "networks.h"

/* Whether the device can be had; without one the program is skipped. */
static bool device_open(ph_context *context) {
    const struct ph_backend *backend;
    if (!ph_context_set_backend(context, device_backend, 0) && !ph_backend_resolve(context, NULL, &backend)) return true;
    printf("skipped: %s\n", ph_context_error(context));
    return false;
}

enum { SKIPPED = 77 };

/* "tiles": the kernels of AMX, on it or emulated. */
static int run_tiles(ph_context *context) {
    const struct CMUnitTest tests[] = {{.name = "test_tiles", .test_func = test_tiles, .initial_state = context}};
    bool present = ph_instruction_set_detect() == PH_AMX;
    if (!present && !emulated_tiles_start()) {
        printf("skipped: no AMX, and no x86-64 Linux with AVX512_BF16 to emulate it on\n");
        return SKIPPED;
    }
    printf("AMX: %s\n", present ? "the processor's" : "emulated");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#define TEST(test) {.name = "test_" #test, .test_func = test_##test, .initial_state = context},

int main(int argument_count, char **arguments) {
    ph_context *context = ph_context_create();
    if (argument_count > 1 && !strcmp(arguments[1], "tiles")) {
        int failed = run_tiles(context);
        ph_context_destroy(&context);
        return failed;
    }
    device_backend = argument_count > 1 ? arguments[1] : NULL;
    halves = argument_count > 2 && !strcmp(arguments[2], "fp16");
    ph_plan_halve(halves);
    if (device_backend && !device_open(context)) {
        ph_context_destroy(&context);
        return SKIPPED;
    }
    for (int level = ph_instruction_set_detect() + 1; level < PH_COUNT(ph_instruction_set_names); level++)
        printf("this processor has no %s: its kernels are compiled but not run\n", ph_instruction_set_names[level]);
    const struct CMUnitTest tests[] = {KERNEL_TESTS(TEST)};
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    if (device_backend) {
        printf("%s: %d networks and operations held to the plain ones, %d with an operation it refuses\n", device_backend,
               done, refused);
        failures += done < 700 || refused > 0;
    }
    ph_context_destroy(&context);
    return failures;
}
