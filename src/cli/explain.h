/* What explain and its evaluation share. */
#ifndef CLI_EXPLAIN_H
#define CLI_EXPLAIN_H

#include "cli.h"

enum { CLI_MOST_METHODS = 64 };

/* The options of ph_explain from the command line; *baseline is the picture of --baseline, to be destroyed, if it names
 * one. */
int cli_explain_options(struct cli *cli, ph_explain_options *options, ph_picture **baseline);
/* "a,b" or "all" (every one that draws a map of pixels) apart; `text` is changed and must stay. */
int cli_methods_read(const struct cli *cli, char *text, const char **methods, int *count);
/* Puts the arguments that are pictures first: the first one, and every other that names a file. */
void cli_pictures_split(struct cli *cli, int *picture_count);

/* A line on standard error for work that takes longer than a second. */
struct cli_explain_watch {
    const char *what;
    double started, drawn;
    int decile;
    bool quiet, terminal, shown;
};
void cli_explain_watch_start(struct cli_explain_watch *watch, const struct cli *cli, const char *what);
void cli_explain_watch_finish(struct cli_explain_watch *watch);
/* ph_explain_options.progress, its user a watch; false once interrupted. */
bool cli_explain_progress(void *watch, int64_t done, int64_t total, double seconds_left);

/* Measures methods over pictures and folders of them, and prints the table; --output names a plot. */
int cli_explain_evaluate(struct cli *cli, ph_model *model, ph_explain_options *options, int picture_count,
                         const char *const *methods, int method_count);

#endif
