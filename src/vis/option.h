/* What a row of the option table is. */
#ifndef PH_OPTION_H
#define PH_OPTION_H

#include "vis/vis.h"

struct ph_option;

/* How a value is read, and printed so that reading it again gives the same. */
struct ph_option_kind {
    bool (*read)(const struct ph_option *option, const char *text, void *value);
    void (*print)(const struct ph_option *option, const void *value, struct ph_text *text);
    void (*describe)(const struct ph_option *option, struct ph_text *text); /* what would be valid */
};

/* Options of the method are set by a preset; of the run, they do not shape the picture and are not recorded. */
enum ph_option_role { PH_METHOD, PH_PICTURE, PH_RUN };

struct ph_option {
    ph_option_info info;
    enum ph_option_role role;
    const struct ph_option_kind *kind;
    size_t offset;                    /* in struct ph_recipe */
    double low, high;
    const char *(*choice)(int index); /* names of a choice, NULL behind the last */
};

extern const struct ph_option ph_options[];
extern const int ph_option_count;

#endif
