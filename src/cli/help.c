/* Help on the terminal and the manual page docs/commands.md, both made from the command, option and recipe tables. */
#include "cli.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The option groups of a command in the order of its help. */
static const struct {
    unsigned groups;
    const char *title;
} sections[] = {
    {CLI_RENDER | CLI_CLASSIFY | CLI_INSPECT | CLI_ACTIVATIONS | CLI_SOLVE | CLI_EXPLAIN |
         CLI_DREAM | CLI_INVERT | CLI_ANIMATE, "this command"},
    {CLI_RECIPE, NULL}, /* titles come with the rows */
    {CLI_FIT, "pictures read"},
    {CLI_WRITE, "files written"},
    {CLI_NETWORK, "network"},
    {CLI_COMMON, "every command"},
};

struct option_row {
    const char *title; /* of its section; the same pointer or equal text for rows that belong together */
    char letter;
    const char *name, *argument, *initial, *help;
};

/* Calls print for every option that the command takes: the one loop behind help and manual. */
static void option_rows_visit(const struct cli_command *command,
                              void (*print)(const struct option_row *row, bool first)) {
    unsigned taken = command->options | CLI_COMMON;
    for (int i = 0; i < CLI_COUNT(sections); i++) {
        bool first = true;
        const struct cli_option *option;
        for (int j = 0; (option = cli_option_at(j)); j++) {
            if (!(option->group & taken & sections[i].groups)) continue;
            print(&(struct option_row){sections[i].title, option->letter, option->name, option->argument,
                                       option->initial, option->help},
                  first);
            first = false;
        }
        if (!(sections[i].groups & taken & CLI_RECIPE)) continue;
        const ph_option_info *info;
        const char *title = "";
        for (int j = 0; (info = ph_recipe_option(j)); j++) {
            print(&(struct option_row){info->group, 0, info->name, info->argument, info->initial, info->help},
                  strcmp(title, info->group) != 0);
            title = info->group;
        }
    }
}

/* Longer lines are hard to follow, however wide the terminal; a narrower one than this is left to break lines itself. */
static int help_width(void) {
    enum { LEAST = 40, MOST = 120 };
    int columns = cli_terminal_columns(STDOUT_FILENO);
    return columns < LEAST ? LEAST : columns > MOST ? MOST : columns;
}

/* Prints `text` in lines of at most `width` columns; lines after the first are indented by `indent`. */
static void wrapped_print(const char *text, int indent, int width) {
    int column = indent;
    for (const char *at = text; *at;) {
        int length = (int)strcspn(at, " \n");
        if (column > indent && column + 1 + length > width) {
            printf("\n%*s", indent, "");
            column = indent;
        }
        if (column > indent) column += printf(" ");
        column += printf("%.*s", length, at);
        at += length;
        if (*at == '\n' && at[1] == '\n') {
            printf("\n\n%*s", indent, "");
            column = indent;
        }
        at += strspn(at, " \n");
    }
    printf("\n");
}

static void option_row_print(const struct option_row *row, bool first) {
    enum { BESIDE = 34, BELOW = 10, LEAST_BESIDE = 74 };
    int width = help_width(), column = width < LEAST_BESIDE ? BELOW : BESIDE;
    if (first) printf("\nOptions: %s\n", row->title);
    char letter[8] = "    ";
    if (row->letter) snprintf(letter, sizeof letter, "-%c, ", row->letter);
    int used = printf("  %s--%s%s%s", letter, row->name, row->argument ? " " : "", row->argument ? row->argument : "");
    if (used + 2 > column) printf("\n%*s", column, "");
    else printf("%*s", column - used, "");
    char *text;
    if (!row->initial || !*row->initial) text = cli_format("%s", row->help);
    else if (row->argument) text = cli_format("%s (default: %s)", row->help, row->initial);
    else if (strcmp(row->initial, "true")) text = cli_format("%s (default: off)", row->help);
    else text = cli_format("%s (default: on, --no-%s turns it off)", row->help, row->name);
    wrapped_print(text, column, width);
    free(text);
}

static void examples_print(const char *examples, const char *indent) {
    for (const char *line = examples; *line;) {
        int length = (int)strcspn(line, "\n");
        printf("%s%.*s\n", indent, length, line);
        line += length + (line[length] == '\n');
    }
}

void cli_help_command(const struct cli_command *command) {
    printf("phosphene %s %s\n\n", command->name, command->arguments);
    wrapped_print(command->details, 0, help_width());
    option_rows_visit(command, option_row_print);
    printf("\nExamples\n");
    examples_print(command->examples, "  ");
}

void cli_help_program(void) {
    const struct cli_command *command;
    printf("phosphene COMMAND ...: pictures of what a convolutional network sees\n\n");
    for (int i = 0; (command = cli_command_at(i)); i++)
        printf("  %-13s%s\n", command->name, command->help);
    printf("\n"
           "  phosphene COMMAND --help    the command's options and examples\n"
           "  phosphene --version\n"
           "  phosphene --manual          all of this as Markdown\n\n");
    wrapped_print("Without --model, the network embedded in the program is used: 100 everyday classes, 'phosphene "
                  "inspect' names them. Exit codes: 0 done, 1 failed or interrupted, 2 wrong usage.",
                  0, help_width());
}

/* Text for a table cell: a bar would end the cell. */
static void cell_print(const char *text) {
    for (; *text; text++) printf(*text == '|' ? "\\|" : "%c", *text);
}

static void option_row_print_markdown(const struct option_row *row, bool first) {
    if (first) printf("\n| %s | default | |\n| --- | --- | --- |\n", row->title);
    printf("| `");
    if (row->letter) printf("-%c, ", row->letter);
    printf("--%s%s", row->name, row->argument ? " " : "");
    cell_print(row->argument ? row->argument : "");
    printf("` | %s | ", row->initial && *row->initial ? row->initial : "");
    cell_print(row->help);
    printf(" |\n");
}

void cli_help_manual(void) {
    const struct cli_command *command;
    printf(
        "# The commands of phosphene\n\n"
        "Made by `phosphene --manual` from the program's own tables; a test keeps it so. `phosphene COMMAND --help`\n"
        "prints the same on a terminal.\n\n"
        "Options and arguments may come in any order behind the command's name; `--name VALUE` and `--name=VALUE`\n"
        "are the same, `--` ends the options, and `--no-NAME` turns a picture's switch off. Without `--model` the\n"
        "network embedded in the program is used. Results go to standard output; progress, notes and errors to\n"
        "standard error.\n\n"
        "Exit codes: 0 done, 1 failed or interrupted, 2 wrong usage.\n\n"
        "| command | |\n| --- | --- |\n");
    for (int i = 0; (command = cli_command_at(i)); i++)
        printf("| [`%s`](#%s) | %s |\n", command->name, command->name, command->help);
    for (int i = 0; (command = cli_command_at(i)); i++) {
        printf("\n## %s\n\n```\nphosphene %s %s\n```\n\n", command->name, command->name, command->arguments);
        wrapped_print(command->details, 0, 120);
        printf("\n```sh\n");
        examples_print(command->examples, "");
        printf("```\n");
        option_rows_visit(command, option_row_print_markdown);
    }
}
