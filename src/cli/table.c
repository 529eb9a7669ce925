/* Reading comma-separated values with a header line (RFC 4180): quoted cells, "" for a quote, either line end. */
#include "table.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Takes the cell at *at, in place: ends it with NUL and steps behind the comma. *last: it was the line's last. */
static char *cell_take(char **at, bool *last) {
    char *from = *at, *to, *cell;
    while (*from == ' ' || *from == '\t') from++;
    cell = to = from;
    if (*from == '"') {
        cell = to = ++from;
        for (; *from && (*from != '"' || from[1] == '"'); from++) {
            if (*from == '"') from++;
            *to++ = *from;
        }
        if (*from) from++;
        from += strcspn(from, ",\r\n");
    } else {
        size_t length = strcspn(from, ",\r\n");
        from += length;
        to = cell + length;
        while (to > cell && (to[-1] == ' ' || to[-1] == '\t')) to--;
    }
    *last = *from != ',';
    if (*from == '\r' && from[1] == '\n') from++;
    *at = *from ? from + 1 : from;
    *to = '\0';
    return cell;
}

static bool is_number(const char *cell, double *value) {
    char *end;
    *value = strtod(cell, &end);
    return end != cell && !*end && isfinite(*value);
}

static void header_read(struct cli_table *table, char **at) {
    bool last = false;
    for (int capacity = 0; !last; table->columns++) {
        if (table->columns == capacity) {
            char **grown = cli_allocate((size_t)(capacity = 2 * capacity + 8), sizeof *grown);
            if (table->columns) memcpy(grown, table->names, (size_t)table->columns * sizeof *grown);
            free(table->names);
            table->names = grown;
        }
        table->names[table->columns] = cell_take(at, &last);
    }
}

static int rows_read(const char *path, struct cli_table *table, char *at) {
    size_t lines = 1;
    for (const char *c = at; *c; c++) lines += *c == '\n' || *c == '\r';
    table->values = cli_allocate(lines * (size_t)table->columns, sizeof *table->values);
    while (at[strspn(at, "\r\n")]) {
        at += strspn(at, "\r\n");
        bool last = false;
        for (int column = 0; !last; column++) {
            const char *cell = cell_take(&at, &last);
            if (column == table->columns || (last && column + 1 < table->columns))
                return cli_fail("%s: row %d has %s than the header's %d cells", path, table->rows + 1,
                                column == table->columns ? "more" : "fewer", table->columns);
            if (!is_number(cell, &table->values[(size_t)table->rows * (size_t)table->columns + (size_t)column]))
                return cli_fail("%s: row %d, column '%s': '%s' is not a finite number", path, table->rows + 1,
                                table->names[column], cell);
        }
        table->rows++;
    }
    return table->rows ? CLI_DONE : cli_fail("%s: a header line and at least one row of numbers are expected", path);
}

int cli_table_read(const char *path, struct cli_table *table) {
    *table = (struct cli_table){.text = cli_file_read(path)};
    if (!table->text) return cli_fail("%s: it cannot be read", path);
    char *at = table->text;
    if (!strncmp(at, "\xef\xbb\xbf", 3)) at += 3; /* the mark that some editors begin with */
    header_read(table, &at);
    double number;
    int code =
        is_number(table->names[0], &number)
            ? cli_fail("%s: the first line must name the columns; it begins with the number %s", path, table->names[0])
            : rows_read(path, table, at);
    if (code) cli_table_finish(table);
    return code;
}

void cli_table_finish(struct cli_table *table) {
    free(table->text);
    free(table->names);
    free(table->values);
    *table = (struct cli_table){0};
}

void cli_table_append_name(struct cli_text *text, const char *name) {
    if (!strpbrk(name, ",\"\r\n")) {
        cli_text_append(text, "%s", name);
        return;
    }
    cli_text_append(text, "\"");
    for (const char *c = name; *c; c++) cli_text_append(text, *c == '"' ? "\"\"" : "%c", *c);
    cli_text_append(text, "\"");
}
