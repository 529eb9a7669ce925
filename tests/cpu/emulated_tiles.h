/* AMX's instructions in plain C, so that the machine code that uses them runs, and is tested, where the processor has none: it
 * takes each as an illegal one, and the handler of that signal does what it would have done. */
#ifndef PH_TEST_EMULATED_TILES_H
#define PH_TEST_EMULATED_TILES_H

#include <stdbool.h>
#include <stdint.h>

/* Installs the handler, for all threads. False where there is nothing to emulate them with: elsewhere than on x86-64 Linux, and
 * without the AVX-512 that is compiled into the same kernels. */
bool emulated_tiles_start(void);

/* What has happened since the last call, on all threads. */
struct emulated_tiles_report {
    const char *fault;   /* what a processor with AMX would have refused first; NULL: nothing */
    int64_t multiplied;  /* products of tiles */
    int open;            /* threads whose tiles are configured now */
};
struct emulated_tiles_report emulated_tiles_report(void);

#endif
