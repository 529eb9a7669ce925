/* The files of execution profiles, and the choices in them; see profile.h. */
#include "exec/profile.h"
#include <stdio.h>
#include <string.h>

static const char heading[] = "phosphene profile 1", arrow[] = " => ", bar[] = " | ", ending[] = ".profile";
enum { MOST_CHOICES = 10000, LONGEST_FILE = 16 << 20 };

/* A candidate must be faster than the rule's choice by this share of its time to take its place: measurements of one kernel
 * differ by a few hundredths. */
static const double margin = 0.03;

/* ---- Keys -------------------------------------------------------------------------------------------------------- */

/* Without the batch. */
static void shape_append(struct ph_text *text, const struct ph_shape *shape, int64_t channels) {
    for (int i = 1; i < shape->rank; i++)
        ph_text_append(text, "%s%lld", i == 1 ? " [" : ",", (long long)(i == 1 ? channels : shape->dims[i]));
    ph_text_append(text, "]");
}

static void sizes_append(struct ph_text *text, const char *name, const int64_t *sizes) {
    ph_text_append(text, " %s ", name);
    for (int i = 0; i < PH_SPATIAL; i++) ph_text_append(text, "%s%lld", i ? "x" : "", (long long)sizes[i]);
}

static void shapes_append(const struct ph_kernel_query *query, int64_t outputs, struct ph_text *text) {
    const struct ph_value *values = query->graph->values;
    const struct ph_shape *in = &values[query->node->inputs[0]].shape;
    shape_append(text, in, in->rank > 1 ? in->dims[1] : 0);
    ph_text_append(text, " to");
    shape_append(text, &values[query->node->outputs[0]].shape, outputs);
}

/* With constant weights, and a gradient for nothing else. Output channels are those of the network, not those that one
 * objective leaves, so that the choice does not depend on what else is in the batch. Bias and ReLU, which cost every kernel the
 * same, are left out: the first steps of a picture, whose ReLUs stand alone, are served by the choices of the later ones. */
static bool convolution_append(const struct ph_kernel_query *query, struct ph_text *text) {
    const struct ph_value *values = query->graph->values;
    const struct ph_node *node = query->node;
    const struct ph_convolution_attributes *a = node->attributes;
    bool bias = node->input_count > 2 && node->inputs[2] != PH_ABSENT;
    bool constant = values[node->inputs[1]].data && (!bias || values[node->inputs[2]].data);
    if (values[node->inputs[0]].data || !constant || query->wanted & ~1u) return false;
    shapes_append(query, a->whole_outputs ? a->whole_outputs : values[node->outputs[0]].shape.dims[1], text);
    sizes_append(text, "kernel", a->kernel);
    sizes_append(text, "stride", a->stride);
    sizes_append(text, "dilation", a->dilation);
    sizes_append(text, "pad", a->pad_begin);
    ph_text_append(text, " groups %lld", (long long)a->groups);
    return true;
}

static bool irfft2_append(const struct ph_kernel_query *query, struct ph_text *text) {
    shapes_append(query, query->graph->values[query->node->outputs[0]].shape.dims[1], text);
    return true;
}

/* Operations that more than one kernel takes in the same layouts, and what decides between those. */
static const struct {
    const struct ph_operation *operation;
    bool (*append)(const struct ph_kernel_query *query, struct ph_text *text);
} keyed[] = {{&ph_operation_convolution, convolution_append}, {&ph_operation_irfft2, irfft2_append}};

bool ph_profile_key(const char *level, const struct ph_kernel_query *query, struct ph_text *text) {
    for (int i = 0; i < PH_COUNT(keyed); i++)
        if (keyed[i].operation == query->node->operation) {
            ph_text_append(text, "%s %s %s", level, query->backward ? "backward" : "forward", query->node->operation->name);
            return keyed[i].append(query, text);
        }
    return false;
}

/* ---- Choices ----------------------------------------------------------------------------------------------------- */

const struct ph_choice *ph_profile_find(const struct ph_profile *profile, const char *key) {
    for (int i = 0; i < profile->count; i++)
        if (!strcmp(profile->choices[i].key, key)) return &profile->choices[i];
    return NULL;
}

bool ph_profile_serves(const struct ph_profile *profile, const char *level) {
    size_t length = strlen(level);
    for (int i = 0; i < profile->count; i++)
        if (!strncmp(profile->choices[i].key, level, length) && profile->choices[i].key[length] == ' ') return true;
    return false;
}

static struct ph_trial *trial_find(const struct ph_profile *profile, const char *key) {
    for (int i = 0; i < profile->trial_count; i++)
        if (!strcmp(profile->trials[i].key, key)) return &profile->trials[i];
    return NULL;
}

bool ph_profile_measures(const struct ph_profile *profile, const char *key) {
    return !ph_profile_find(profile, key) && trial_find(profile, key);
}

static int turn_of(const struct ph_profile *profile, const struct ph_trial *trial) {
    return profile->turn < trial->count ? profile->turn : 0;
}

const char *ph_profile_details(const struct ph_profile *profile, const char *key) {
    const struct ph_choice *choice = ph_profile_find(profile, key);
    const struct ph_trial *trial = choice ? NULL : trial_find(profile, key);
    return choice ? choice->details : trial ? trial->candidates[turn_of(profile, trial)].details : NULL;
}

static bool is_for(const struct ph_kernel *kernel, const struct ph_kernel_query *query) {
    return kernel->backward == query->backward && (!kernel->operation || kernel->operation == query->node->operation);
}

/* Sets *kernel to the one that is named, if it can be run so. */
static ph_status choice_keep(ph_context *context, const struct ph_choice *choice, const struct ph_kernel_query *query,
                             const struct ph_kernel *const *kernels, const struct ph_kernel **kernel) {
    struct ph_kernel_query detailed = *query;
    struct ph_text names = {0};
    detailed.details = choice->details;
    *kernel = NULL;
    for (int i = 0; kernels[i] && !*kernel; i++) {
        if (!is_for(kernels[i], query)) continue;
        ph_text_append(&names, "%s%s", names.length ? ", " : "", kernels[i]->name);
        if (!strcmp(kernels[i]->name, choice->kernel)) *kernel = kernels[i];
    }
    ph_status status = PH_OK;
    if (!*kernel)
        status = ph_fail(context, PH_ERROR_FORMAT, "there is no kernel '%s' for it; there is %s", choice->kernel,
                         names.data ? names.data : "none");
    else if (!(*kernel)->tune != !choice->details)
        status = ph_fail(context, PH_ERROR_FORMAT, "the kernel %s %s", choice->kernel,
                         choice->details ? "has no details" : "needs the details that a measurement finds");
    else if ((*kernel)->accepts && !(*kernel)->accepts(&detailed))
        status = ph_fail(context, PH_ERROR_FORMAT, "the kernel %s does not take such a node%s", choice->kernel,
                         choice->details ? ", or not with these details" : "");
    ph_text_finish(&names);
    return status;
}

static void trial_finish(struct ph_trial *trial) {
    for (int i = 0; i < trial->count; i++) ph_free(trial->candidates[i].details);
    ph_free(trial->key);
}

/* The kernels that may stand for the rule's without a tensor lying otherwise: what is measured then holds whatever the node's
 * neighbours are. The plain functions are no candidates. */
static ph_status trial_make(struct ph_profile *profile, const char *key, const struct ph_kernel_query *query,
                            const struct ph_kernel *const *kernels, const struct ph_kernel *rule) {
    struct ph_trial trial = {.key = ph_strdup(key)};
    if (!trial.key) return ph_fail_memory(profile->context);
    for (int i = 0; kernels[i] && trial.count < PH_MOST_CANDIDATES; i++) {
        const struct ph_kernel *kernel = kernels[i];
        if (!kernel->operation || !is_for(kernel, query)) continue;
        if (kernel->input != rule->input || kernel->output != rule->output) continue;
        bool listed = false; /* some stand in a list twice */
        for (int c = 0; c < trial.count; c++) listed |= trial.candidates[c].kernel == kernel;
        if (listed || (kernel->accepts && !kernel->accepts(query))) continue;
        char *details = kernel->tune ? kernel->tune(query) : NULL;
        if (kernel->tune && !details) continue;
        trial.candidates[trial.count].kernel = kernel;
        trial.candidates[trial.count].details = details;
        trial.candidates[trial.count++].seconds = -1;
    }
    bool single = trial.count < 2;
    if (!single && ph_grow(&profile->trials, profile->trial_count, &profile->trial_capacity, sizeof *profile->trials)) {
        profile->trials[profile->trial_count++] = trial;
        return PH_OK;
    }
    trial_finish(&trial);
    return single ? PH_OK : ph_fail_memory(profile->context);
}

ph_status ph_profile_choose(struct ph_profile *profile, const char *key, const struct ph_kernel_query *query,
                            const struct ph_kernel *const *kernels, const struct ph_kernel **kernel) {
    const struct ph_choice *choice = ph_profile_find(profile, key);
    if (choice) {
        ph_status status = choice_keep(profile->context, choice, query, kernels, kernel);
        if (status) ph_fail_prefix(profile->context, "%s:%d", profile->path, choice->line);
        return status;
    }
    if (!profile->tunes || !(*kernel)->operation) return PH_OK;
    struct ph_trial *trial = trial_find(profile, key);
    if (!trial) {
        PH_TRY(trial_make(profile, key, query, kernels, *kernel));
        trial = trial_find(profile, key);
    }
    if (trial) *kernel = trial->candidates[turn_of(profile, trial)].kernel;
    return PH_OK;
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* A part of a line, empty where `at` is NULL. */
struct part { const char *at; size_t length; };

/* What stands before `separator`, which is taken off *rest with it; all of it where there is none. */
static struct part part_take(struct part *rest, const char *separator) {
    const char *found = rest->length ? memmem(rest->at, rest->length, separator, strlen(separator)) : NULL;
    struct part part = {rest->at, found ? (size_t)(found - rest->at) : rest->length};
    size_t used = found ? part.length + strlen(separator) : rest->length;
    if (rest->at) *rest = (struct part){rest->at + used, rest->length - used};
    return part;
}

static ph_status part_copy(ph_context *context, struct part part, char **copy) {
    if (part.length && !(*copy = ph_strndup(part.at, part.length))) return ph_fail_memory(context);
    return PH_OK;
}

static void choice_finish(struct ph_choice *choice) {
    ph_free(choice->key);
    ph_free(choice->kernel);
    ph_free(choice->times);
    ph_free(choice->details);
    *choice = (struct ph_choice){0};
}

/* Level, direction, operation, and more. */
static const char *key_fault(const char *key) {
    char level[300], direction[16], operation[64], more;
    if (sscanf(key, "%299s %15s %63s %c", level, direction, operation, &more) != 4)
        return "before the arrow stand level, direction, operation, shapes and attributes";
    if (strcmp(direction, "forward") && strcmp(direction, "backward")) return "the direction is neither forward nor backward";
    return ph_operation_find(operation) ? NULL : "there is no such operation; phosphene list operations has their names";
}

static ph_status choice_read(const struct ph_profile *profile, struct part line, struct ph_choice *choice) {
    ph_context *context = profile->context;
    struct part key = part_take(&line, arrow), kernel = part_take(&line, bar), times = part_take(&line, bar);
    const char *fault = NULL;
    if (!key.length || !kernel.length || memchr(kernel.at, ' ', kernel.length)) fault = "is not of the form KEY => KERNEL";
    if (!fault) {
        PH_TRY(part_copy(context, key, &choice->key));
        PH_TRY(part_copy(context, kernel, &choice->kernel));
        PH_TRY(part_copy(context, times, &choice->times));
        PH_TRY(part_copy(context, line, &choice->details));
        fault = key_fault(choice->key);
    }
    if (!fault) {
        const struct ph_choice *earlier = ph_profile_find(profile, choice->key);
        if (!earlier) return PH_OK;
        return ph_fail(context, PH_ERROR_FORMAT, "chooses again what line %d does", earlier->line);
    }
    return ph_fail(context, PH_ERROR_FORMAT, "%s", fault);
}

static ph_status choice_add(struct ph_profile *profile, struct ph_choice *choice) {
    if (profile->count == MOST_CHOICES)
        return ph_fail(profile->context, PH_ERROR_UNSUPPORTED, "is one choice more than the %d there can be", MOST_CHOICES);
    if (!ph_grow(&profile->choices, profile->count, &profile->capacity, sizeof *profile->choices))
        return ph_fail_memory(profile->context);
    profile->choices[profile->count++] = *choice;
    *choice = (struct ph_choice){0};
    return PH_OK;
}

static ph_status line_understand(struct ph_profile *profile, struct part line) {
    if (line.length && line.at[line.length - 1] == '\r') line.length--;
    for (size_t i = 0; i < line.length; i++)
        if (line.at[i] < ' ' || line.at[i] > '~')
            return ph_fail(profile->context, PH_ERROR_FORMAT, "holds a byte that is no printable ASCII");
    if (profile->lines == 1) {
        if (line.length == sizeof heading - 1 && !memcmp(line.at, heading, line.length)) return PH_OK;
        return ph_fail(profile->context, PH_ERROR_FORMAT,
                       "is no execution profile of this version, which begins with '%s'", heading);
    }
    if (!line.length || line.at[0] == '#') return PH_OK;
    struct ph_choice choice = {.line = profile->lines};
    ph_status status = choice_read(profile, line, &choice);
    if (!status) status = choice_add(profile, &choice);
    choice_finish(&choice);
    return status;
}

static ph_status line_read(struct ph_profile *profile, struct part line) {
    profile->lines++;
    ph_status status = line_understand(profile, line);
    if (status) ph_fail_prefix(profile->context, "%s:%d", profile->path, profile->lines);
    return status;
}

/* Of the first `count` choices, by what they say: neither comments nor times. */
static ph_status digest(const struct ph_profile *profile, int count, char sha256[65]) {
    struct ph_text text = {0};
    for (int i = 0; i < count; i++) {
        const struct ph_choice *choice = &profile->choices[i];
        ph_text_append(&text, "%s%s%s%s%s\n", choice->key, arrow, choice->kernel, choice->details ? bar : "",
                       choice->details ? choice->details : "");
    }
    if (!text.failed) ph_sha256(text.data ? text.data : "", text.length, sha256);
    ph_status status = text.failed ? ph_fail_memory(profile->context) : PH_OK;
    ph_text_finish(&text);
    return status;
}

static ph_status profile_read(struct ph_profile *profile) {
    struct ph_file file;
    PH_TRY(ph_file_open(profile->context, profile->path, &file));
    ph_status status = PH_OK;
    if (file.size > LONGEST_FILE)
        status = ph_fail(profile->context, PH_ERROR_FORMAT, "%s: is too large for a profile", profile->path);
    struct part rest = {(const char *)file.data, file.size};
    while (rest.length && !status) status = line_read(profile, part_take(&rest, "\n"));
    if (!status) ph_text_append(&profile->text, "%.*s", (int)file.size, (const char *)file.data);
    if (!status && file.data[file.size - 1] != '\n') ph_text_append(&profile->text, "\n");
    if (profile->text.failed) status = ph_fail_memory(profile->context);
    ph_file_close(&file);
    return status;
}

/* Two runs that measure at once must not undo each other's choices. */
static ph_status profile_write(const struct ph_profile *profile, size_t known) {
    struct ph_file file;
    bool created = !known;
    if (!created) {
        PH_TRY(ph_file_open(profile->context, profile->path, &file));
        /* A last line without its end has got one. */
        bool same = (file.size == known || file.size == known - 1) && !memcmp(file.data, profile->text.data, file.size);
        ph_file_close(&file);
        if (!same)
            return ph_fail(profile->context, PH_ERROR_FILE, "%s: was changed by someone else while it was added to; what was "
                           "measured is not kept", profile->path);
    }
    return ph_file_write(profile->context, profile->path, profile->text.data, profile->text.length, !created);
}

/* The fastest; the rule's, which comes first, where none is faster by the margin. */
static int trial_best(const struct ph_trial *trial) {
    int best = 0;
    for (int i = 1; i < trial->count; i++) {
        double limit = trial->candidates[best].seconds * (best ? 1 : 1 - margin);
        if (trial->candidates[i].seconds < limit) best = i;
    }
    return best;
}

static ph_status trial_settle(struct ph_profile *profile, const struct ph_trial *trial) {
    if (trial->candidates[0].seconds <= 0) return PH_OK; /* no step of the program is about it */
    const char *details = trial->candidates[trial_best(trial)].details;
    struct ph_text line = {0};
    ph_text_append(&line, "%s%s%s%s", trial->key, arrow, trial->candidates[trial_best(trial)].kernel->name, bar);
    for (int i = 0; i < trial->count; i++)
        ph_text_append(&line, "%s%s %.4f ms", i ? ", " : "", trial->candidates[i].kernel->name,
                       1e3 * trial->candidates[i].seconds);
    ph_text_append(&line, "%s%s", details ? bar : "", details ? details : "");
    ph_text_append(&profile->text, "%s\n", line.data ? line.data : "");
    ph_status status = line.failed || profile->text.failed ? ph_fail_memory(profile->context)
                                                           : line_read(profile, (struct part){line.data, line.length});
    ph_text_finish(&line);
    return status;
}

void ph_profile_forget(struct ph_profile *profile) {
    for (int i = 0; i < profile->trial_count; i++) trial_finish(&profile->trials[i]);
    profile->trial_count = 0;
    profile->turn = 0;
}

ph_status ph_profile_settle(struct ph_profile *profile) {
    size_t known = profile->text.length;
    int before = profile->count, others = 0;
    ph_status status = PH_OK;
    for (int i = 0; i < profile->trial_count && !status; i++) {
        others += trial_best(&profile->trials[i]) > 0;
        status = trial_settle(profile, &profile->trials[i]);
    }
    ph_profile_forget(profile);
    if (!status) status = digest(profile, profile->count, profile->sha256);
    if (!status) status = profile_write(profile, known);
    if (!status && profile->count > before)
        ph_log(profile->context, "profile %s: %d kind%s of layers measured, for %d another kernel than the rule's",
               profile->name, profile->count - before, profile->count - before == 1 ? "" : "s", others);
    return status;
}

/* ---- The context's ------------------------------------------------------------------------------------------------ */

static void profile_destroy(struct ph_profile *profile) {
    for (int i = 0; i < profile->count; i++) choice_finish(&profile->choices[i]);
    ph_profile_forget(profile);
    ph_free(profile->choices);
    ph_free(profile->trials);
    ph_text_finish(&profile->text);
    ph_free(profile->path);
    ph_free(profile->name);
    ph_free(profile);
}

/* The file's base name, without ".profile". */
static char *name_of(const char *path) {
    const char *base = ph_base_name(path);
    size_t length = strlen(base), end = sizeof ending - 1;
    return ph_strndup(base, length > end && !strcmp(base + length - end, ending) ? length - end : length);
}

static ph_status profile_start(struct ph_profile *profile) {
    ph_text_append(&profile->text, "%s\n", heading);
    profile->lines = 1;
    return profile->text.failed ? ph_fail_memory(profile->context) : profile_write(profile, 0);
}

static ph_status profile_set(ph_context *context, const char *path, bool tunes) {
    struct ph_profile *profile = ph_alloc(sizeof *profile);
    if (!profile) return ph_fail_memory(context);
    *profile = (struct ph_profile){.context = context, .path = ph_strdup(path), .name = name_of(path), .tunes = tunes};
    ph_status status = profile->path && profile->name ? PH_OK : ph_fail_memory(context);
    if (!status) status = tunes && !ph_file_exists(path) ? profile_start(profile) : profile_read(profile);
    if (!status) status = digest(profile, profile->count, profile->sha256);
    if (status) {
        profile_destroy(profile);
        return status;
    }
    ph_context_set_profile(context, NULL);
    context->profile = profile;
    context->profile_destroy = profile_destroy;
    return PH_OK;
}

ph_status ph_context_set_profile(ph_context *context, const char *path) {
    if (!context) return PH_ERROR_ARGUMENT;
    if (path) return profile_set(context, path, false);
    if (context->profile) profile_destroy(context->profile);
    context->profile = NULL;
    return PH_OK;
}

ph_status ph_context_tune(ph_context *context, const char *path) {
    if (!context) return PH_ERROR_ARGUMENT;
    if (!path) return ph_fail(context, PH_ERROR_ARGUMENT, "tuning needs the path of a profile");
    return profile_set(context, path, true);
}

ph_status ph_context_hold_profile(ph_context *context, int choices, const char *sha256) {
    if (!context) return PH_ERROR_ARGUMENT;
    struct ph_profile *profile = context->profile;
    char found[65] = "";
    if (!profile || !sha256) return ph_fail(context, PH_ERROR_ARGUMENT, "there is no profile to be held to a digest");
    bool there = choices >= 0 && choices <= profile->count;
    if (there) PH_TRY(digest(profile, choices, found));
    if (!there || strcmp(found, sha256))
        return ph_fail(context, PH_ERROR_NOT_FOUND, "%s: its first %d choices are others than those with the SHA-256 %s",
                       profile->path, choices, sha256);
    while (profile->count > choices) choice_finish(&profile->choices[--profile->count]);
    strcpy(profile->sha256, found);
    profile->tunes = false;
    return PH_OK;
}

ph_profile_info ph_context_profile(const ph_context *context) {
    const struct ph_profile *profile = context ? context->profile : NULL;
    return profile ? (ph_profile_info){profile->name, profile->count, profile->sha256} : (ph_profile_info){0};
}
