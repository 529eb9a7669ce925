/* The table of backends, and which of them the context uses: the one that is named, or for "auto" the one that is estimated
 * to be done first (choice.h). */
#include "exec/backend.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The first is the default. */
extern const struct ph_backend ph_backend_cpu, ph_backend_vulkan;
const struct ph_backend *const ph_backends[] = {&ph_backend_cpu, &ph_backend_vulkan, &ph_backend_plain, NULL};

ph_status ph_backend_find(ph_context *context, const char *name, const struct ph_backend **backend) {
    struct ph_text names = {0};
    for (int i = 0; ph_backends[i]; i++) {
        *backend = ph_backends[i];
        if (!strcmp(ph_backends[i]->name, name)) {
            ph_text_finish(&names);
            return PH_OK;
        }
        ph_text_append(&names, ", %s", ph_backends[i]->name);
    }
    ph_status status = ph_fail(context, PH_ERROR_NOT_FOUND, "backend '%s': there is auto%s", name,
                               names.data ? names.data : "");
    ph_text_finish(&names);
    return status;
}

ph_status ph_context_set_backend(ph_context *context, const char *name, int device) {
    const struct ph_backend *backend = ph_backends[0];
    bool chooses = name && !strcmp(name, "auto");
    if (name && !chooses) PH_TRY(ph_backend_find(context, name, &backend));
    if (device < 0) return ph_fail(context, PH_ERROR_ARGUMENT, "device: %d is below 0", device);
    if (context->device && device != context->device_index)
        return ph_fail(context, PH_ERROR_ARGUMENT, "device: the context already uses device %d", context->device_index);
    context->device_index = device;
    context->backend_optional = chooses;
    snprintf(context->backend, sizeof context->backend, "%s", chooses ? "auto" : backend->name);
    return PH_OK;
}

enum { MOST_BACKENDS = 8 };

/* Those that can be opened, the default first, with what is assumed of them; `why`: what keeps another away. */
static int candidates_list(ph_context *context, const struct ph_backend *candidates[MOST_BACKENDS],
                           struct ph_rates rates[MOST_BACKENDS], char *why, size_t size) {
    int count = 0;
    for (int i = 0; ph_backends[i] && count < MOST_BACKENDS; i++) {
        const struct ph_backend *backend = ph_backends[i];
        if (backend->open && backend->open(context)) snprintf(why, size, "; %s", context->error);
        else if (backend->rates) {
            candidates[count] = backend;
            rates[count++] = backend->rates(context);
        }
    }
    return count;
}

/* One line: which it is, and what speaks for it. */
static void choice_tell(ph_context *context, const struct ph_job *job, const struct ph_backend *const *candidates,
                        const struct ph_rates *rates, int count, int chosen, bool falls, const char *why) {
    struct ph_text text = {0};
    char profile[300];
    ph_backend_profile(context, profile, sizeof profile);
    ph_text_append(&text, "backend: %s%s", profile, falls ? " in fp32" : "");
    if (count > 1)
        ph_text_append(&text, "; estimated for %lld x %.3g GFLOP in %d operations:", (long long)job->runs, job->flops / 1e9,
                       job->operations);
    for (int i = 0; i < count && count > 1; i++) {
        double seconds = ph_job_seconds(job, &rates[(chosen + i) % count]);
        const char *name = candidates[(chosen + i) % count]->name;
        if (isinf(seconds)) ph_text_append(&text, "%s %s has no GPU", i ? "," : "", name);
        else ph_text_append(&text, "%s %s %.2g s", i ? "," : "", name, seconds);
    }
    ph_log(context, "%s%s", text.data && !text.failed ? text.data : "backend", why);
    ph_text_finish(&text);
}

ph_status ph_backend_resolve(ph_context *context, const struct ph_job *job, const struct ph_backend **backend) {
    if (strcmp(context->backend, "auto")) {
        PH_TRY(ph_backend_find(context, context->backend, backend));
        return (*backend)->open ? (*backend)->open(context) : PH_OK;
    }
    const struct ph_backend *candidates[MOST_BACKENDS];
    struct ph_rates rates[MOST_BACKENDS];
    char why[sizeof context->error + 2] = "";
    int count = candidates_list(context, candidates, rates, why, sizeof why), chosen = ph_job_choose(job, rates, count);
    *backend = candidates[chosen];
    snprintf(context->backend, sizeof context->backend, "%s", (*backend)->name);
    bool falls = !ph_backend_has_precision(context, *backend, context->precision);
    if (falls) context->precision = PH_FP32;
    choice_tell(context, job, candidates, rates, count, chosen, falls, why);
    return PH_OK;
}

ph_status ph_program_choose_backend(const struct ph_graph *graph, const struct ph_program_request *request) {
    const struct ph_backend *backend;
    struct ph_job job;
    if (strcmp(graph->context->backend, "auto")) return PH_OK;
    PH_TRY(ph_job_measure(graph, request, &job));
    return ph_backend_resolve(graph->context, &job, &backend);
}

void ph_backend_level(const struct ph_backend *backend, const ph_context *context, char *text, size_t size) {
    if (backend->profile) backend->profile(context, text, size);
    else snprintf(text, size, "%s", backend->name);
    size_t used = strlen(text);
    if (context->precision > PH_FP32) snprintf(text + used, size - used, "/%s", ph_precision_names[context->precision]);
}

void ph_backend_profile(const ph_context *context, char *text, size_t size) {
    for (int i = 0; ph_backends[i]; i++)
        if (!strcmp(ph_backends[i]->name, context->backend)) ph_backend_level(ph_backends[i], context, text, size);
}

bool ph_backend_has_precision(const ph_context *context, const struct ph_backend *backend, enum ph_precision precision) {
    return precision <= PH_FP32 || (backend->precisions && backend->precisions(context) >> precision & 1);
}

static ph_status precision_check(ph_context *context, const struct ph_backend *backend) {
    if (ph_backend_has_precision(context, backend, context->precision)) return PH_OK;
    enum ph_precision asked = context->precision;
    struct ph_text had = {0};
    char profile[300];
    context->precision = PH_FP32; /* the profile names the backend and the instruction set alone */
    ph_backend_profile(context, profile, sizeof profile);
    context->precision = asked;
    for (int i = PH_FP32; i < PH_PRECISIONS; i++)
        if (ph_backend_has_precision(context, backend, (enum ph_precision)i))
            ph_text_append(&had, "%s%s", had.length ? ", " : "", ph_precision_names[i]);
    ph_status status = ph_fail(context, PH_ERROR_UNSUPPORTED, "precision: there is no %s on %s; there is %s",
                               ph_precision_names[asked], profile, had.data ? had.data : "fp32");
    ph_text_finish(&had);
    return status;
}

ph_status ph_backend_check(ph_context *context, const struct ph_backend *backend) {
    PH_TRY(precision_check(context, backend));
    if (!context->profile || backend->tunes) return PH_OK;
    return ph_fail(context, PH_ERROR_UNSUPPORTED,
                   "profile '%s': on the backend %s there is no choice of kernels; there is on cpu",
                   ph_context_profile(context).name, backend->name);
}
