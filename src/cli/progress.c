/* How far a rendering is: a bar that redraws itself on a terminal, elsewhere a line after a second and for every tenth.
 * On standard error, so that what is printed as a result can be piped. */
#include "cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_SECONDS 0.1
#define FIRST_SECONDS 1.0

void cli_progress_start(struct cli_progress *progress, const struct cli *cli) {
    *progress = (struct cli_progress){.quiet = cli->settings.quiet, .terminal = isatty(STDERR_FILENO), .decile = -1,
        .started = cli_seconds()};
}

void cli_progress_clear(struct cli_progress *progress) {
    if (!progress->shown) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    progress->shown = false;
}

void cli_time_left(double seconds, char *text, size_t size) {
    long whole = (long)(seconds + 0.5);
    if (seconds < 0) snprintf(text, size, "time left unknown");
    else if (whole >= 3600) snprintf(text, size, "%ld:%02ld:%02ld left", whole / 3600, whole / 60 % 60, whole % 60);
    else snprintf(text, size, "%ld:%02ld left", whole / 60, whole % 60);
}

int cli_terminal_columns(int descriptor) {
    struct winsize window;
    return !ioctl(descriptor, TIOCGWINSZ, &window) && window.ws_col ? window.ws_col : 80;
}

void cli_progress_show(struct cli_progress *progress, double done, char *text) {
    if (progress->quiet) return;
    double seconds = cli_seconds();
    int decile = (int)(10 * done + 1e-9);
    if (progress->terminal ? seconds - progress->drawn < REDRAW_SECONDS && done < 1 : decile <= progress->decile) return;
    if (!progress->terminal && !decile && seconds - progress->started < FIRST_SECONDS) return;
    progress->drawn = seconds;
    progress->decile = decile;
    cli_controls_replace(text);
    if (!progress->terminal) {
        fprintf(stderr, "phosphene: %3d %%: %s\n", (int)(100 * done), text);
        return;
    }
    enum { BAR = 20 };
    char bar[BAR + 1];
    for (int i = 0; i < BAR; i++) bar[i] = i < (int)(BAR * done + 0.5) ? '#' : '-';
    bar[BAR] = '\0';
    /* One line, whatever the terminal's width: a wrapped line could not be redrawn. */
    char *line = cli_format("%3d %% [%s] %s", (int)(100 * done), bar, text);
    fprintf(stderr, "\r\033[K%.*s", cli_terminal_columns(STDERR_FILENO) - 1, line);
    fflush(stderr);
    free(line);
    progress->shown = true;
}

void cli_progress_update(struct cli_progress *progress, const ph_progress *now, const char *objective, int total) {
    double done = now->steps > 0 ? ((double)now->first + (double)now->count * now->step / now->steps) / total : 0;
    double sum = 0;
    for (int i = 0; i < now->count; i++) sum += (double)now->values[i];
    char which[64] = "", rate[64] = "", left[64];
    if (now->count > 1) snprintf(which, sizeof which, "%d-%d of %d, ", now->first + 1, now->first + now->count, total);
    else if (total > 1) snprintf(which, sizeof which, "%d of %d, ", now->first + 1, total);
    if (now->steps_per_second > 0) snprintf(rate, sizeof rate, ", %.1f steps/s", now->steps_per_second);
    cli_time_left(now->seconds_left, left, sizeof left);
    char *text = cli_format("%sstep %d of %d, %s %.4g%s, %s%s%s", which, now->step, now->steps,
                            now->count > 1 ? "mean objective" : "objective", sum / now->count, rate, left,
                            now->count > 1 ? "" : "  ", now->count > 1 ? "" : objective);
    cli_progress_show(progress, done, text);
    free(text);
}
