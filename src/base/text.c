/* Growing text, number parsing, and "did you mean". */
#include "base/base.h"
#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ph_text_append(struct ph_text *text, const char *format, ...) {
    if (text->failed) return;
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length >= 0 && text->length + (size_t)length >= text->capacity) {
        size_t capacity = 2 * text->capacity + (size_t)length + 64;
        char *data = ph_realloc_array(text->data, capacity, 1);
        if (data) text->data = data, text->capacity = capacity;
        else length = -1;
    }
    if (length < 0) text->failed = true;
    else {
        vsnprintf(text->data + text->length, (size_t)length + 1, format, arguments);
        text->length += (size_t)length;
    }
    va_end(arguments);
}

void ph_text_append_number(struct ph_text *text, double value) {
    char shortest[40];
    double again;
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(shortest, sizeof shortest, "%.*g", digits, value);
        for (char *c = shortest; *c; c++)
            if (*c == ',') *c = '.'; /* the process's locale may have a decimal comma */
        if (ph_parse_double(shortest, &again) && again == value) break;
    }
    ph_text_append(text, "%s", shortest);
}

void ph_text_finish(struct ph_text *text) {
    ph_free(text->data);
    *text = (struct ph_text){0};
}

enum { SUGGEST_LENGTH = 64 };

/* Levenshtein distance, case-insensitive, of names cut to SUGGEST_LENGTH. */
static int edit_distance(const char *a, const char *b) {
    int m = (int)strnlen(a, SUGGEST_LENGTH), n = (int)strnlen(b, SUGGEST_LENGTH), row[SUGGEST_LENGTH + 1];
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 1; i <= m; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int above = row[j];
            int cost = diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
            row[j] = PH_MIN(cost, PH_MIN(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[n];
}

void ph_suggest(struct ph_text *text, const char *wanted, int count, const char *(*name)(void *user, int index), void *user) {
    enum { SUGGESTIONS = 5 };
    const char *best[SUGGESTIONS];
    int score[SUGGESTIONS], found = 0, length = (int)strnlen(wanted, SUGGEST_LENGTH);
    if (!length) return;
    for (int i = 0; i < count; i++) {
        const char *candidate = name(user, i);
        if (!candidate) continue;
        int distance = edit_distance(wanted, candidate);
        /* A name that contains the wanted one, or is contained in it, is near however long it is. */
        if (strcasestr(candidate, wanted) || (candidate[0] && candidate[1] && strcasestr(wanted, candidate)))
            distance = PH_MIN(distance, 1 + length / 8);
        if (distance > 1 + length / 2) continue;
        int at = found < SUGGESTIONS ? found++ : SUGGESTIONS;
        while (at > 0 && score[at - 1] > distance) {
            if (at < SUGGESTIONS) best[at] = best[at - 1], score[at] = score[at - 1];
            at--;
        }
        if (at < SUGGESTIONS) best[at] = candidate, score[at] = distance;
    }
    for (int i = 0; i < found; i++)
        ph_text_append(text, "%s%s", i == 0 ? ", did you mean " : i == found - 1 ? " or " : ", ", best[i]);
    if (found) ph_text_append(text, "?");
}

/* strtod reads the decimal point of the process's locale; numbers of ours always have a dot. */
static locale_t c_locale(void) {
    static locale_t locale;
    locale_t known = __atomic_load_n(&locale, __ATOMIC_ACQUIRE);
    if (known) return known;
    locale_t made = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!__atomic_compare_exchange_n(&locale, &known, made, false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {
        freelocale(made);
        return known;
    }
    return made;
}

bool ph_parse_int(const char *text, int64_t *value) {
    if (!text || !*text || isspace((unsigned char)*text)) return false;
    char *end;
    errno = 0;
    long long result = strtoll(text, &end, 10);
    if (errno || *end) return false;
    *value = result;
    return true;
}

bool ph_parse_double(const char *text, double *value) {
    if (!text || !*text || isspace((unsigned char)*text)) return false;
    char *end;
    double result = strtod_l(text, &end, c_locale());
    if (*end || end == text || !isfinite(result)) return false;
    *value = result;
    return true;
}

const char *ph_base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
