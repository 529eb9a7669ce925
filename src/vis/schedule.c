/* The learning rate over the steps: constant, falling, or by a table; after a warm-up. */
#include "vis/optimiser.h"
#include <math.h>
#include <string.h>

static const char *const forms[] = {"constant", "linear", "cosine"};

/* "SHARE:FACTOR" of `length` characters. */
static bool entry_read(const char *at, size_t length, double *from, double *factor) {
    char copy[64];
    if (length >= sizeof copy) return false;
    memcpy(copy, at, length);
    copy[length] = 0;
    char *colon = strchr(copy, ':');
    if (!colon) return false;
    *colon = 0;
    return ph_parse_double(copy, from) && ph_parse_double(colon + 1, factor) && *from > 0 && *from < 1 && *factor >= 0 &&
           *factor <= 1e6;
}

bool ph_schedule_read(const char *text, struct ph_schedule *schedule) {
    struct ph_schedule read = {.form = PH_SCHEDULE_TABLE};
    for (int i = 0; i < PH_COUNT(forms); i++)
        if (!strcmp(text, forms[i])) {
            *schedule = (struct ph_schedule){.form = (enum ph_schedule_form)i};
            return true;
        }
    for (const char *at = text; *at;) {
        size_t length = strcspn(at, ",");
        int i = read.count;
        if (i == PH_SCHEDULE_ENTRIES || !entry_read(at, length, &read.from[i], &read.factor[i])) return false;
        if (i && read.from[i] <= read.from[i - 1]) return false;
        read.count++;
        at += length + (at[length] == ',');
    }
    if (!read.count) return false;
    *schedule = read;
    return true;
}

void ph_schedule_print(const struct ph_schedule *schedule, struct ph_text *text) {
    if (schedule->form != PH_SCHEDULE_TABLE) ph_text_append(text, "%s", forms[schedule->form]);
    for (int i = 0; i < schedule->count; i++) {
        if (i) ph_text_append(text, ",");
        ph_text_append_number(text, schedule->from[i]);
        ph_text_append(text, ":");
        ph_text_append_number(text, schedule->factor[i]);
    }
}

double ph_schedule_factor(const struct ph_schedule *schedule, int64_t warm_up, int64_t step, int64_t steps) {
    double rising = step < warm_up ? (double)(step + 1) / (double)warm_up : 1, factor = 1;
    int64_t begin = PH_MIN(warm_up, step), length = PH_MAX(steps - begin, 1);
    double share = (double)(step - begin) / (double)length;
    switch (schedule->form) {
    case PH_SCHEDULE_CONSTANT: break;
    case PH_SCHEDULE_LINEAR: factor = 1 - share; break;
    case PH_SCHEDULE_COSINE: factor = (1 + cos(3.14159265358979323846 * share)) / 2; break;
    case PH_SCHEDULE_TABLE:
        for (int i = 0; i < schedule->count; i++)
            if ((double)step >= schedule->from[i] * (double)steps) factor = schedule->factor[i];
        break;
    }
    return rising * factor;
}
