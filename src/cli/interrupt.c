/* Ctrl-C and SIGTERM: the first asks the work in hand to stop where it can, the second ends the program at once. */
#include "cli.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;
static bool interrupted_quietly; /* set before the first one can come */

static void interrupt(int number) {
    static const char text[] = "\nphosphene: stopping after the step in work; a second time ends at once\n";
    int error = errno;
    (void)number;
    interrupted = 1;
    /* A step of a large picture takes its time. */
    if (!interrupted_quietly && write(STDERR_FILENO, text, sizeof text - 1) < 0) interrupted = 1;
    errno = error;
}

void cli_interrupt_watch(const struct cli *cli) {
    static const int signals[] = {SIGINT, SIGTERM};
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND}, before;
    interrupted_quietly = cli->settings.quiet;
    for (int i = 0; i < CLI_COUNT(signals); i++) {
        /* Who started the program in the background with the signal ignored meant it so. */
        if (!sigaction(signals[i], NULL, &before) && before.sa_handler == SIG_IGN) continue;
        sigaction(signals[i], &action, NULL);
    }
}

bool cli_interrupted(void) { return interrupted; }
