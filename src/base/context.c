/* The context: error text, log, resolved settings. */
#include "base/base.h"
#include <stdio.h>
#include <string.h>
#if defined _OPENMP
#include <omp.h>
#endif
#if defined __x86_64__
#include <cpuid.h>
#if defined __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

const char *const ph_instruction_set_names[5] = {"portable", "avx2", "avx512", "avx512-bf16", "amx"};

#if defined __x86_64__
/* AMX-TILE and AMX-BF16: leaf 7 EDX bits 24 and 22; both parts of the tiles' state kept by the system, XCR0 bits 17 and 18, which
 * may be read where leaf 1 ECX has bit 27; and the state granted to the process, all its threads, for which Linux wants to be
 * asked (its documentation, "Using XSTATE features in user space applications"). */
static bool has_tiles(void) {
    enum { BF16 = 1 << 22, TILES = 1 << 24, OSXSAVE = 1 << 27, STATE = 3 << 17 };
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (BF16 | TILES)) != (BF16 | TILES)) return false;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE)) return false;
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    if ((a & STATE) != STATE) return false;
#if defined __linux__
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return !syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA);
#else
    return false;
#endif
}
#endif

enum ph_instruction_set ph_instruction_set_detect(void) {
#if defined __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq")) {
        if (!__builtin_cpu_supports("avx512bf16")) return PH_AVX512;
        return has_tiles() ? PH_AMX : PH_AVX512_BF16;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return PH_AVX2;
#endif
    return PH_PORTABLE;
}

static int processors_count(void) {
#if defined _OPENMP
    return omp_get_num_procs();
#else
    return 1;
#endif
}

ph_context *ph_context_create(void) {
    ph_context *context = ph_alloc(sizeof *context);
    if (!context) return NULL;
    context->threads = processors_count();
    context->instruction_set = ph_instruction_set_detect();
    strcpy(context->backend, "cpu");
    return context;
}

void ph_context_destroy(ph_context **context) {
    if (!context) return;
    if (*context && (*context)->device) (*context)->device_close((*context)->device);
    if (*context && (*context)->profile) (*context)->profile_destroy((*context)->profile);
    ph_free(*context);
    *context = NULL;
}

const char *ph_context_error(const ph_context *context) {
    return context ? context->error : "no context: memory ran out";
}

ph_status ph_context_set_threads(ph_context *context, int threads) {
    if (threads < 0 || threads > 1024)
        return ph_fail(context, PH_ERROR_ARGUMENT, "threads: %d is not between 1 and 1024 (0: all)", threads);
    context->threads = threads ? threads : processors_count();
    return PH_OK;
}

ph_status ph_context_set_instruction_set(ph_context *context, const char *name) {
    enum ph_instruction_set highest = ph_instruction_set_detect();
    if (!name || !strcmp(name, "auto")) {
        context->instruction_set = highest;
        return PH_OK;
    }
    for (int i = 0; i < PH_COUNT(ph_instruction_set_names); i++)
        if (!strcmp(name, ph_instruction_set_names[i])) {
            if (i > (int)highest)
                return ph_fail(context, PH_ERROR_UNSUPPORTED, "instruction set: this processor has no %s; its highest is %s",
                               name, ph_instruction_set_names[highest]);
            context->instruction_set = (enum ph_instruction_set)i;
            return PH_OK;
        }
    return ph_fail(context, PH_ERROR_ARGUMENT, "instruction set: '%s' is not auto, portable, avx2, avx512, avx512-bf16 or amx",
                   name);
}

const char *const ph_precision_names[PH_PRECISIONS] = {"auto", "fp32", "fp16", "bf16x3", "bf16"};

ph_status ph_context_set_precision(ph_context *context, const char *name) {
    struct ph_text names = {0};
    for (int i = 0; i < PH_PRECISIONS; i++) {
        if (!strcmp(name ? name : ph_precision_names[0], ph_precision_names[i])) {
            context->precision = (enum ph_precision)i;
            ph_text_finish(&names);
            return PH_OK;
        }
        ph_text_append(&names, "%s%s", i ? ", " : "", ph_precision_names[i]);
    }
    ph_status status = ph_fail(context, PH_ERROR_NOT_FOUND, "precision '%s': there is %s", name, names.data ? names.data : "");
    ph_text_finish(&names);
    return status;
}

void ph_context_set_log(ph_context *context, ph_log_function *log, void *user) {
    context->log = log;
    context->log_user = user;
}

ph_status ph_fail(ph_context *context, ph_status status, const char *format, ...) {
    /* Formatted aside first: the arguments may point into the present text. */
    char text[sizeof context->error];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char *whole = length >= (int)sizeof text ? ph_alloc((size_t)length + 1) : NULL;
    if (whole) {
        /* Something very long is quoted: what is said about it stands behind it. */
        enum { FRONT = 200, BACK = 800 };
        va_start(arguments, format);
        vsnprintf(whole, (size_t)length + 1, format, arguments);
        va_end(arguments);
        snprintf(text, sizeof text, "%.*s ... %s", FRONT, whole, whole + length - BACK);
        ph_free(whole);
    }
    /* Quoted names may come from a file: they must not steer the terminal. */
    for (char *c = text; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\n' && *c != '\t') || *c == 127) *c = '?';
    memcpy(context->error, text, sizeof text);
    return status;
}

ph_status ph_fail_memory(ph_context *context) { return ph_fail(context, PH_ERROR_MEMORY, "memory ran out"); }

void ph_fail_prefix(ph_context *context, const char *format, ...) {
    char text[sizeof context->error];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof text - 3) return;
    size_t room = sizeof text - (size_t)length - 3;
    memcpy(text + length, ": ", 2);
    size_t kept = strnlen(context->error, room);
    memcpy(text + length + 2, context->error, kept);
    text[(size_t)length + 2 + kept] = 0;
    memcpy(context->error, text, sizeof text);
}

void ph_log(ph_context *context, const char *format, ...) {
    if (!context->log) return;
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    context->log(context->log_user, text);
}
