/* Messages, growing text, nearest names, JSON helpers. */
#include "cli.h"
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *format_new(const char *format, va_list arguments) {
    char *text;
    if (vasprintf(&text, format, arguments) < 0) exit(cli_fail("memory ran out"));
    return text;
}

/* Names and objectives may come from a file: they must not steer the terminal. */
void cli_controls_replace(char *text) {
    for (char *c = text; c && *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\n' && *c != '\t') || *c == 127) *c = '?';
}

int cli_print(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = format_new(format, arguments);
    va_end(arguments);
    cli_controls_replace(text);
    int length = (int)strlen(text);
    fputs(text, stdout);
    free(text);
    return length;
}

static void print_message(const char *format, va_list arguments) {
    char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0) text = NULL;
    cli_controls_replace(text);
    fflush(stdout);
    fprintf(stderr, "phosphene: %s\n", text ? text : "memory ran out");
    free(text);
}

int cli_usage(const struct cli *cli, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    if (cli) fprintf(stderr, "'phosphene %s --help' lists what is valid.\n", cli->command->name);
    else fputs("'phosphene --help' lists what is valid.\n", stderr);
    return CLI_USAGE;
}

int cli_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
    return CLI_FAILED;
}

int cli_fail_library(const struct cli *cli) {
    return cli_fail("%s", ph_context_error(cli->context));
}

void cli_note(const struct cli *cli, const char *format, ...) {
    if (cli->settings.quiet) return;
    va_list arguments;
    va_start(arguments, format);
    print_message(format, arguments);
    va_end(arguments);
}

void cli_log(void *cli, const char *text) {
    cli_note(cli, "%s", text);
}

void *cli_allocate(size_t count, size_t size) {
    void *block = calloc(count ? count : 1, size);
    if (!block) exit(cli_fail("memory ran out"));
    return block;
}

/* In single quotes, as a shell reads it. A new string. */
char *cli_shell_quoted(const char *text) {
    struct cli_text quoted = {0};
    cli_text_append(&quoted, "'");
    for (; *text; text++) cli_text_append(&quoted, *text == '\'' ? "'\\''" : "%c", *text);
    cli_text_append(&quoted, "'");
    return quoted.data;
}

char *cli_format(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = format_new(format, arguments);
    va_end(arguments);
    return text;
}

void cli_text_append(struct cli_text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *piece = format_new(format, arguments);
    va_end(arguments);
    size_t length = strlen(piece);
    char *data = realloc(text->data, text->length + length + 1);
    if (!data) exit(cli_fail("memory ran out"));
    memcpy(data + text->length, piece, length + 1);
    text->data = data;
    text->length += length;
    free(piece);
}

void cli_text_finish(struct cli_text *text) {
    free(text->data);
    *text = (struct cli_text){0};
}

/* Levenshtein distance of two option or command names. */
static int name_distance(const char *a, const char *b) {
    enum { LONGEST = 64 };
    int row[LONGEST + 1], columns = (int)strnlen(b, LONGEST), rows = (int)strnlen(a, LONGEST);
    for (int j = 0; j <= columns; j++) row[j] = j;
    for (int i = 1; i <= rows; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= columns; j++) {
            int above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best) best = above + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[columns];
}

const char *cli_nearest(const char *wanted, const char *(*name)(void *user, int index), void *user) {
    const char *nearest = NULL, *candidate;
    int least = INT_MAX;
    for (int i = 0; (candidate = name(user, i)); i++) {
        int distance = strstr(candidate, wanted) ? 1 : name_distance(wanted, candidate);
        if (distance < least) least = distance, nearest = candidate;
    }
    return least <= 1 + (int)strlen(wanted) / 3 ? nearest : NULL;
}

void cli_shape_text(int rank, const int64_t *dims, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < rank && used < size; i++) {
        const char *comma = i ? "," : "";
        used += dims[i] < 0 ? (size_t)snprintf(text + used, size - used, "%s?", comma)
                            : (size_t)snprintf(text + used, size - used, "%s%lld", comma, (long long)dims[i]);
    }
    if (used < size) snprintf(text + used, size - used, "]");
}

static cJSON *json_float(double value) {
    char text[32];
    snprintf(text, sizeof text, "%.9g", value);
    return isfinite(value) ? cJSON_CreateRaw(text) : cJSON_CreateNull();
}

void cli_json_add_float(cJSON *object, const char *name, double value) {
    cJSON_AddItemToObject(object, name, json_float(value));
}

void cli_json_append_float(cJSON *array, double value) {
    cJSON_AddItemToArray(array, json_float(value));
}

void cli_json_add_shape(cJSON *object, const char *name, int rank, const int64_t *dims) {
    cJSON *shape = cJSON_AddArrayToObject(object, name);
    for (int i = 0; i < rank; i++)
        cJSON_AddItemToArray(shape, dims[i] < 0 ? cJSON_CreateNull() : cJSON_CreateNumber((double)dims[i]));
}

int cli_json_print(cJSON *json) {
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    if (!text) return cli_fail("memory ran out");
    puts(text);
    free(text);
    return CLI_DONE;
}

double cli_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
