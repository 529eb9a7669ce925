/* What the files of the command line share. The program is a user of the library like any other: it includes the public
 * header, cJSON and libc, nothing of the library's inside. Its own names begin with cli_.
 *
 * A command is one struct cli_command, defined in the file of its name, and one line in the table of command.c. An
 * option is one row of the table in option.c; what determines a picture is not listed here at all but comes from the
 * library's recipe table. Parser, --help, the manual page and the tests iterate these tables. */
#ifndef CLI_H
#define CLI_H

#include <phosphene/phosphene.h>
#include <cjson/cJSON.h>

#define CLI_PRINTF(text_index, first) __attribute__((format(printf, text_index, first)))
#define CLI_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Exit codes. Usage: the command line is wrong whatever the files hold. */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* ---- Commands and options ---------------------------------------------------------------------------------------- */

/* Groups of options; a command takes some of them. Also the sections of its help, in this order. */
enum {
    CLI_RENDER = 1 << 0,
    CLI_CLASSIFY = 1 << 1,
    CLI_INSPECT = 1 << 2,
    CLI_ACTIVATIONS = 1 << 3,
    CLI_FIT = 1 << 4,     /* how a picture is brought to the network's size */
    CLI_WRITE = 1 << 5,   /* writes files */
    CLI_NETWORK = 1 << 6, /* loads a network */
    CLI_RECIPE = 1 << 7,  /* the library's recipe table */
    CLI_SOLVE = 1 << 9,
    CLI_EXPLAIN = 1 << 14,
    CLI_DREAM = 1 << 15,
    CLI_INVERT = 1 << 17,
    CLI_ANIMATE = 1 << 16, /* makes pictures that follow one another */
    CLI_COMMON = 1 << 8,  /* every command */
    CLI_PROGRAM = CLI_RENDER | CLI_CLASSIFY | CLI_INSPECT | CLI_ACTIVATIONS | CLI_EXPLAIN | CLI_DREAM | CLI_INVERT | CLI_SOLVE,
};

/* Values of an option that may be given several times, in their order. */
enum { CLI_MOST_WORDS = 16 };
struct cli_words { const char *words[CLI_MOST_WORDS]; int count; };

/* Values of the options in option.c's table, at their defaults where not given. */
struct cli_settings {
    const char *model, *representation, *labels, *input, *input_mean, *input_scale, *input_deviation, *channel_order;
    const char *output, *recipe, *expect, *fit, *layer, *gradient, *plan, *instruction_set, *backend, *precision, *profile, *tune;
    bool any_profile, any_file, require, force, json, quiet, help, save, time;
    const char *start, *fix, *bounds, *whole, *constraint, *ball, *goal, *method, *solve_precision;
    const char *attack, *image, *toward, *radius;
    int attack_steps;
    bool minimise;
    int restarts, evaluations, top_solutions, start_seed;
    const char *attribution, *against, *average, *noise, *baseline, *tolerance, *keep, *epsilon, *gamma, *alpha;
    const char *style, *colours, *opacity, *percentile, *boxes;
    int classes, samples, path_steps, patch, stride, masks, mask_grid, units, show_units, randomise;
    bool array, evaluate;
    const char *octave_scale, *step_size, *feather, *dream_mask, *guide, *dream_size;
    const char *zoom, *turn, *shift, *blend, *frame_rate;
    int octaves, least_side, dream_steps, dream_jitter, tile, frames;
    bool keep_colours, animation;
    const char *loss, *channels, *window, *variation, *natural;
    int threads, top, device;
    struct cli_words with;
};

struct cli_option {
    const char *name;
    char letter;          /* 0: none */
    const char *argument; /* "FILE", or the valid words "a|b|c"; NULL for a switch */
    const char *initial;  /* default as text; NULL: none */
    const char *help;
    unsigned group;
    size_t offset;        /* of the value in struct cli_settings */
    int low, high;        /* integer when low < high, else text */
    bool repeats;         /* a struct cli_words: may be given several times */
};

struct cli;

struct cli_command {
    const char *name, *arguments, *help;
    const char *details;  /* paragraphs for its help and manual, separated by empty lines */
    const char *examples; /* command lines, one a line */
    unsigned options;     /* groups, without CLI_COMMON */
    int least, most;      /* number of positional arguments */
    int (*run)(struct cli *cli);
};

/* One run of the program. */
struct cli {
    const struct cli_command *command;
    ph_context *context;
    struct cli_settings settings;
    ph_recipe *recipe;  /* options of the recipe table, as given */
    const char **given; /* name, value, name, value, ...: the recipe options named on the command line */
    int given_count;
    const char **arguments; /* positional */
    int argument_count;
};

/* Table rows by index, NULL behind the last one. */
const struct cli_command *cli_command_at(int index);
const struct cli_option *cli_option_at(int index);
extern const struct cli_command cli_render, cli_classify, cli_inspect, cli_activations, cli_explain, cli_dream,
    cli_invert, cli_solve, cli_list;

/* Reads everything behind the command's name into `cli`: CLI_DONE or CLI_USAGE with the reason printed. */
int cli_options_parse(struct cli *cli, int count, char **words);
/* A number that the table holds as text; NULL leaves it as it is. */
int cli_number_read(const struct cli *cli, const char *name, const char *text, double *number);
/* Whether a recipe option is named on the command line. */
bool cli_option_is_given(const struct cli *cli, const char *name);
/* Sets the recipe options given on the command line again, over those of a recipe read from a picture. */
ph_status cli_options_reapply(struct cli *cli);

void cli_help_program(void);
void cli_help_command(const struct cli_command *command);
void cli_help_manual(void); /* docs/commands.md */

/* ---- Messages and text ------------------------------------------------------------------------------------------- */

/* "phosphene: ..." on standard error; return the exit code, so that a failure is one statement. */
int cli_usage(const struct cli *cli, const char *format, ...) CLI_PRINTF(2, 3);
int cli_fail(const char *format, ...) CLI_PRINTF(1, 2);
int cli_fail_library(const struct cli *cli); /* the context's text */
/* The same without failing, silent with --quiet. */
void cli_note(const struct cli *cli, const char *format, ...) CLI_PRINTF(2, 3);
void cli_log(void *cli, const char *text); /* a ph_log_function */

/* Results, on standard output, with what could steer a terminal replaced. Returns their length. */
int cli_print(const char *format, ...) CLI_PRINTF(1, 2);
/* Control characters but line ends and tabs become '?'. */
void cli_controls_replace(char *text);

/* A new string or block; the program ends with a message when memory runs out. */
char *cli_format(const char *format, ...) CLI_PRINTF(1, 2);
void *cli_allocate(size_t count, size_t size); /* zeroed */
/* Text that grows. Zeroed: empty, data NULL until the first append. */
struct cli_text {
    char *data;
    size_t length;
};
void cli_text_append(struct cli_text *text, const char *format, ...) CLI_PRINTF(2, 3);
void cli_text_finish(struct cli_text *text);
/* The text as one word for a shell. A new string. */
char *cli_shell_quoted(const char *text);

/* The name nearest to `wanted`, NULL if none is near. name(i) is NULL behind the last one. */
const char *cli_nearest(const char *wanted, const char *(*name)(void *user, int index), void *user);
/* "[1,3,224,224]"; -1 is written "?". */
void cli_shape_text(int rank, const int64_t *dims, char *text, size_t size);

/* ---- Files ------------------------------------------------------------------------------------------------------- */

bool cli_file_exists(const char *path);
/* Looks, before any work is done for it, whether a file can be written or replaced there; prints why not. */
int cli_output_check(const char *path);
/* Folders of `path` up to its last '/', made where missing. */
int cli_folder_make(const char *path);
/* Text; an existing file is replaced. */
int cli_file_write(const struct cli *cli, const char *path, const char *text);
/* Whole file as text, NULL when it cannot be read. */
char *cli_file_read(const char *path);
/* `path` up to and without its last '/', "." if there is none. A new string. */
char *cli_folder_of(const char *path);

bool cli_is_folder(const char *path);
/* Whether the name ends so, with something before it; upper and lower case are the same. False for NULL. */
bool cli_ends_with(const char *path, const char *ending);
bool cli_is_png(const char *path);
/* Whether it ends as pictures' names do. */
bool cli_is_picture_name(const char *path);
/* Whether --output is a picture's name, not a folder's, but of a format that is not written; prints so. */
int cli_output_format_check(const struct cli *cli);
/* What dream --animation writes beside its frames. */
#define CLI_ANIMATION "animation.webp"
/* Paths of the pictures in a folder, by name, but for that animation; a new list of new strings. */
char **cli_pictures_in(const char *folder, int *count);
/* "photo" of "pictures/photo.jpg". A new string. */
char *cli_stem(const char *path);

/* ---- File names from a template ---------------------------------------------------------------------------------- */

/* `text` with everything but letters, digits and "._+@=" (and bytes above ASCII) replaced by '-', cut at 120 bytes. A
 * new string. */
char *cli_name_safe(const char *text);
/* "LAYER:CHANNEL..." apart: both file-name safe, a number zero-padded to 4; anything else is all LAYER, with the
 * channel "all". New strings. */
void cli_name_unit(const char *objective, char **layer, char **channel);

struct cli_name {
    const char *model, *objective;
    int index, item; /* item: which of the objective's pictures, from 1; 0: it has one */
    const ph_recipe *recipe;
};
/* Expands {model}, {objective}, {layer}, {channel}, {index} and {OPTION} for any recipe option. CLI_USAGE for an
 * unknown one. */
int cli_name_expand(const struct cli *cli, const char *template, const struct cli_name *name, char **path);

/* ---- Networks and pictures --------------------------------------------------------------------------------------- */

/* The network of --model with preprocessing and labels as asked, joined by those of --with, with their own; prints the
 * reason when it fails. */
int cli_model_open(struct cli *cli, ph_model **model);
bool cli_preprocessing_given(const struct cli_settings *settings);
/* For a person: "caffe: BGR, white is 255, minus 104,117,123, divided by 1,1,1". */
void cli_preprocessing_text(const ph_preprocessing *preprocessing, char *text, size_t size);

/* ---- Execution profiles (profile.c) ------------------------------------------------------------------------------ */

/* Sets what --profile or --tune say; prints why not. */
int cli_profile_set(struct cli *cli);
/* Path of a profile's file: NAME itself where it is a path or ends in ".profile", else in the folder of the user's profiles. A new
 * string; NULL: the reason is printed. */
char *cli_profile_path(const struct cli *cli, const char *name);
/* The user's profiles, by name, for a list; false behind the last. `help` says what it holds. Both are new strings. */
bool cli_profile_row(const struct cli *cli, int index, char **name, char **help);

/* ---- Recipes of pictures (recipe.c) ------------------------------------------------------------------------------ */

/* What the picture of --recipe says: options and preprocessing not given on the command line are taken from it. */
struct cli_recipe {
    char *text, *objective;
    char *model_path; /* NULL: as --model says */
    char sha256[65];  /* of the network, "" when not known */
    char *with[CLI_MOST_WORDS]; /* NAME=FILE of joined networks that were looked for, as --with has them */
    int with_count;
};
int cli_recipe_read(struct cli *cli, struct cli_recipe *recipe);
/* Once the network is open: holds it to the recipe's, and sets the preprocessing. */
int cli_recipe_apply(struct cli *cli, const struct cli_recipe *recipe, ph_model *model);
void cli_recipe_finish(struct cli_recipe *recipe);

/* NULL when a picture's recipe text says that it was made by this network, objective and options, and is `item` of the
 * objective's pictures (0: its only one); else what differs, to follow "FILE exists already and". A new string. */
char *cli_recipe_difference(const struct cli *cli, ph_model *model, const char *text, const char *objective, int item);

/* ---- Adversarial pictures (attack.c) ----------------------------------------------------------------------------- */

/* solve with --image: the whole of that command. */
int cli_attack(struct cli *cli);

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* Nine digits: what tells floats apart; null for NaN and infinity. */
void cli_json_add_float(cJSON *object, const char *name, double value);
void cli_json_append_float(cJSON *array, double value);
void cli_json_add_shape(cJSON *object, const char *name, int rank, const int64_t *dims);
/* Prints and deletes it. */
int cli_json_print(cJSON *json);

/* ---- The pictures of one rendering ------------------------------------------------------------------------------- */

struct cli_picture {
    char *objective, *path;
    int item;            /* which of the objective's pictures, from 1; 0: it has one */
    ph_picture *picture; /* NULL until there is one */
    float value;         /* NAN when not known */
    double seconds;      /* negative when not known */
    bool complete;       /* `path` holds the finished picture, from this run or an earlier one */
    bool unfinished;     /* `path` holds what an interrupted run left, to be made anew */
};

struct cli_manifest {
    const struct cli *cli;
    ph_model_info model;
    char *folder; /* file names in the manifest are relative to it */
    struct cli_picture *pictures;
    int count;
};
cJSON *cli_manifest_json(const struct cli_manifest *manifest);
int cli_manifest_write(const struct cli *cli, const struct cli_manifest *manifest, const char *path);
/* Reads an earlier run's manifest: true when it lists only pictures that are asked for now. Fills in their seconds, and
 * which of them are unfinished. */
bool cli_manifest_continue(struct cli_manifest *manifest, const char *path);

/* ---- Progress of a rendering ------------------------------------------------------------------------------------- */

struct cli_progress {
    bool quiet, terminal, shown; /* shown: the terminal's last line holds the bar */
    int decile;                  /* of the whole, last one printed */
    double started, drawn;       /* when it began, and when the bar was drawn */
};
void cli_progress_start(struct cli_progress *progress, const struct cli *cli);
void cli_progress_update(struct cli_progress *progress, const ph_progress *now, const char *objective, int total);
void cli_progress_clear(struct cli_progress *progress);
/* Columns of the terminal behind an open file, 80 where there is none. */
int cli_terminal_columns(int descriptor);
/* `done` of the whole, 0 to 1, and what is in work: drawn, or printed, when it is time to. Of the text, control characters
 * are replaced. */
void cli_progress_show(struct cli_progress *progress, double done, char *text);
/* "1:05 left"; negative seconds are not known. */
void cli_time_left(double seconds, char *text, size_t size);
double cli_seconds(void);

/* Of animated WebP, which is lossy. */
#define CLI_ANIMATION_QUALITY 90

/* ---- Ctrl-C ------------------------------------------------------------------------------------------------------ */

/* From now on the first Ctrl-C, or SIGTERM, only makes cli_interrupted true. */
void cli_interrupt_watch(const struct cli *cli);
bool cli_interrupted(void);

#endif
