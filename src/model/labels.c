/* Class names: reading them, and finding a class by what a person calls it. */
#include "model/model.h"
#include <ctype.h>
#include <string.h>

/* ---- Reading ------------------------------------------------------------------------------------------------------- */

/* One line of a text without its end and the white space around it; false behind the last. */
static bool line_next(const char **cursor, const char *end, const char **line, size_t *length) {
    if (*cursor >= end) return false;
    const char *start = *cursor, *stop = memchr(start, '\n', (size_t)(end - start));
    *cursor = stop ? stop + 1 : end;
    if (!stop) stop = end;
    while (start < stop && isspace((unsigned char)*start)) start++;
    while (stop > start && isspace((unsigned char)stop[-1])) stop--;
    *line = start;
    *length = (size_t)(stop - start);
    return true;
}

/* Length of a WordNet number such as "n01443537 " in front of a name. */
static size_t synset_length(const char *line, size_t length) {
    if (length < 11 || line[0] != 'n' || line[9] != ' ') return 0;
    for (int i = 1; i < 9; i++)
        if (!isdigit((unsigned char)line[i])) return 0;
    return 10;
}

ph_status ph_labels_parse(struct ph_model *model, const char *source, const char *text, size_t size) {
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    const char *end = text + size, *cursor = text, *line;
    size_t length;
    int count = 0, lines = 0;
    if (size >= 3 && !memcmp(text, byte_order_mark, 3)) text += 3;
    if (memchr(text, 0, (size_t)(end - text)))
        return ph_fail(model->context, PH_ERROR_FORMAT, "%s: not a text file", source);
    for (cursor = text; line_next(&cursor, end, &line, &length);) {
        if (lines == INT32_MAX) return ph_fail(model->context, PH_ERROR_FORMAT, "%s: too many lines", source);
        lines++;
        if (length) count = lines; /* empty lines behind the last name do not count */
    }
    if (!count) return ph_fail(model->context, PH_ERROR_FORMAT, "%s: no class names in it", source);
    if (model->class_count && count != model->class_count)
        return ph_fail(model->context, PH_ERROR_FORMAT, "%s: %d class names, the network has %d classes", source, count,
                       model->class_count);

    /* The pointers and, behind them, the names; each takes at most its line and a terminator. */
    size_t pointers = (size_t)count * sizeof(char *);
    char **labels = ph_alloc(pointers + size + 1);
    if (!labels) return ph_fail_memory(model->context);
    char *name = (char *)labels + pointers;
    cursor = text;
    for (int i = 0; i < count && line_next(&cursor, end, &line, &length); i++) {
        size_t prefix = synset_length(line, length);
        if (!length) continue;
        labels[i] = name;
        memcpy(name, line + prefix, length - prefix);
        name += length - prefix + 1;
    }
    ph_free(model->labels);
    model->labels = labels;
    model->label_count = count;
    return PH_OK;
}

static ph_status labels_load(struct ph_model *model, const char *path) {
    struct ph_file file;
    PH_TRY(ph_file_open(model->context, path, &file));
    ph_status status = ph_labels_parse(model, path, (const char *)file.data, file.size);
    ph_file_close(&file);
    return status;
}

ph_status ph_labels_find(struct ph_model *model) {
    if (!model->path)
        return ph_labels_parse(model, "embedded labels", (const char *)ph_embedded_labels,
                               (size_t)(ph_embedded_labels_end - ph_embedded_labels));
    enum { ANY_CLASSES = 0, IMAGENET_CLASSES = 1000 };
    static const struct { const char *name; bool behind_stem; int classes; } candidates[] = {
        {"_labels.txt", true, ANY_CLASSES}, {".labels.txt", true, ANY_CLASSES},
        {"imagenet_synset_words.txt", false, IMAGENET_CLASSES}, {"synset_words.txt", false, IMAGENET_CLASSES}};
    for (int i = 0; i < PH_COUNT(candidates); i++) {
        if (candidates[i].classes && candidates[i].classes != model->class_count) continue;
        int folder = (int)(ph_base_name(model->path) - model->path);
        char *path = candidates[i].behind_stem ? ph_model_beside(model, candidates[i].name)
                                               : ph_sprintf("%.*s%s", folder, model->path, candidates[i].name);
        if (!path) return ph_fail_memory(model->context);
        bool exists = ph_file_exists(path);
        ph_status status = exists ? labels_load(model, path) : PH_OK;
        ph_free(path);
        if (status == PH_ERROR_MEMORY) return status;
        if (status) ph_log(model->context, "labels not used: %s", ph_context_error(model->context));
        else if (exists) break;
    }
    return PH_OK;
}

ph_status ph_model_load_labels(ph_model *model, const char *path) {
    if (!model) return PH_ERROR_ARGUMENT;
    if (!path) return ph_fail(model->context, PH_ERROR_ARGUMENT, "labels: no path given");
    return labels_load(model, path);
}

int ph_model_class_count(const ph_model *model) { return model ? model->class_count : 0; }

const char *ph_model_class_name(const ph_model *model, int index) {
    return model && index >= 0 && index < model->label_count ? model->labels[index] : NULL;
}

/* ---- Finding ------------------------------------------------------------------------------------------------------- */

/* How well a label answers to a name, best first. */
enum match { MATCH_WHOLE, MATCH_FIRST_SYNONYM, MATCH_SYNONYM, MATCH_NONE };

static enum match label_match(const char *label, const char *name) {
    if (!strcasecmp(label, name)) return MATCH_WHOLE;
    size_t wanted = strlen(name);
    for (const char *part = label; *part;) {
        size_t length = strcspn(part, ",");
        if (length == wanted && !strncasecmp(part, name, length)) return part == label ? MATCH_FIRST_SYNONYM : MATCH_SYNONYM;
        part += length;
        part += strspn(part, ", ");
    }
    return MATCH_NONE;
}

struct synonyms { const char **names; int count, capacity; };

static const char *synonym_name(void *user, int index) { return ((struct synonyms *)user)->names[index]; }

static bool synonyms_add(struct synonyms *synonyms, char *label) {
    char *rest = NULL;
    for (char *part = strtok_r(label, ",", &rest); part; part = strtok_r(NULL, ",", &rest)) {
        if (!ph_grow(&synonyms->names, synonyms->count, &synonyms->capacity, sizeof *synonyms->names)) return false;
        synonyms->names[synonyms->count++] = part + strspn(part, " ");
    }
    return true;
}

/* Nearest names are looked for among the synonyms, one by one. */
static ph_status class_unknown(const struct ph_model *model, const char *name) {
    ph_context *context = model->context;
    struct synonyms synonyms = {0};
    struct ph_text text = {0};
    char **copies = ph_alloc_array((size_t)model->label_count, sizeof *copies);
    bool complete = copies;
    for (int i = 0; i < model->label_count && complete; i++) {
        if (!model->labels[i]) continue;
        copies[i] = ph_strdup(model->labels[i]);
        complete = copies[i] && synonyms_add(&synonyms, copies[i]);
    }
    ph_text_append(&text, "no class '%s'", name);
    if (complete) ph_suggest(&text, name, synonyms.count, synonym_name, &synonyms);
    if (!model->label_count) ph_text_append(&text, "; no class names are known, only numbers can be used");
    if (model->class_count) ph_text_append(&text, " (numbers: 0 to %d)", model->class_count - 1);
    ph_status status = complete && !text.failed ? ph_fail(context, PH_ERROR_NOT_FOUND, "%s", text.data) : ph_fail_memory(context);
    for (int i = 0; i < model->label_count && copies; i++) ph_free(copies[i]);
    ph_free(copies);
    ph_free(synonyms.names);
    ph_text_finish(&text);
    return status;
}

ph_status ph_model_find_class(const struct ph_model *model, const char *text, int *index) {
    enum match best = MATCH_NONE;
    int found = -1, second = -1;
    for (int i = 0; i < model->label_count; i++) {
        enum match match = model->labels[i] ? label_match(model->labels[i], text) : MATCH_NONE;
        if (match < best) best = match, found = i, second = -1;
        else if (match == best && match != MATCH_NONE && second < 0) second = i;
    }
    int64_t number;
    if (best != MATCH_WHOLE && ph_parse_int(text, &number)) {
        if (number >= 0 && number < (model->class_count ? model->class_count : INT32_MAX)) {
            *index = (int)number;
            return PH_OK;
        }
        return class_unknown(model, text);
    }
    if (best == MATCH_NONE) return class_unknown(model, text);
    if (second >= 0)
        return ph_fail(model->context, PH_ERROR_NOT_FOUND, "'%s' is a name of more than one class: %d (%s) and %d (%s); use the "
                       "number", text, found, model->labels[found], second, model->labels[second]);
    *index = found;
    return PH_OK;
}
