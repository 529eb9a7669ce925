/* Tables of numbers: comma-separated values with a header line. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "cli.h"

struct cli_table {
    char *text;      /* the names point into it */
    char **names;    /* [columns] */
    double *values;  /* [rows, columns] */
    int columns, rows;
};

/* Prints the reason when it fails: a bad cell by row and column. RFC 4180; blanks around a cell are left out. */
int cli_table_read(const char *path, struct cli_table *table);
void cli_table_finish(struct cli_table *table);
/* A name as a header's cell, in quotes where it needs them. */
void cli_table_append_name(struct cli_text *text, const char *name);

#endif
