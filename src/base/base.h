/* What every layer stands on: the context with its error text, memory, text helpers, parallel loops. Nothing here knows
 * about networks or pictures. */
#ifndef PH_BASE_H
#define PH_BASE_H

#include <phosphene/phosphene.h>
#include <stdarg.h>

#define PH_PRINTF(text_index, first) __attribute__((format(printf, text_index, first)))
#define PH_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define PH_MIN(a, b) ((a) < (b) ? (a) : (b))
#define PH_MAX(a, b) ((a) > (b) ? (a) : (b))

/* ---- Context ----------------------------------------------------------------------------------------------------- */

enum ph_instruction_set { PH_PORTABLE, PH_AVX2, PH_AVX512, PH_AVX512_BF16, PH_AMX };

/* What numbers are kept and multiplied in: 32 bits; activations and weights kept in 16, sums and gradients in 32; all kept in
 * 32, and the factors of convolutions made into two bfloat16 halves, or rounded to one. AUTO: the backend's own choice. */
enum ph_precision { PH_AUTO_PRECISION, PH_FP32, PH_FP16, PH_BF16X3, PH_BF16, PH_PRECISIONS };
extern const char *const ph_precision_names[PH_PRECISIONS]; /* "auto", "fp32", "fp16", "bf16x3", "bf16" */

struct ph_profile;
struct ph_context {
    char error[4096];
    ph_log_function *log;
    void *log_user;
    int threads;                             /* resolved, at least 1 */
    enum ph_instruction_set instruction_set; /* resolved: the highest one to use */
    char backend[16];                        /* of programs that name none */
    bool backend_optional;                   /* another may do what this one cannot */
    enum ph_precision precision;             /* of programs */
    int device_index;
    void *device;                            /* the backend's own, opened on first use */
    void (*device_close)(void *device);
    struct ph_profile *profile;              /* measured choices of kernels (exec/profile.h); NULL: none */
    void (*profile_destroy)(struct ph_profile *profile);
};

/* Keeps the text and returns `status`, so that a failure is one statement: return ph_fail(context, PH_ERROR_..., ...). */
ph_status ph_fail(ph_context *context, ph_status status, const char *format, ...) PH_PRINTF(3, 4);
/* "memory ran out"; returns PH_ERROR_MEMORY. */
ph_status ph_fail_memory(ph_context *context);
/* Puts "prefix: " in front of the present error text: callers that know the file or node name the place. */
void ph_fail_prefix(ph_context *context, const char *format, ...) PH_PRINTF(2, 3);
void ph_log(ph_context *context, const char *format, ...) PH_PRINTF(2, 3);

/* Returns from the calling function when `expression` is not PH_OK. Only where there is nothing to unwind. */
#define PH_TRY(expression)                        \
    do {                                          \
        ph_status ph_try_status = (expression);   \
        if (ph_try_status) return ph_try_status;  \
    } while (0)

/* Highest level this processor has, by feature bits. */
enum ph_instruction_set ph_instruction_set_detect(void);
extern const char *const ph_instruction_set_names[5]; /* "portable", "avx2", "avx512", "avx512-bf16", "amx" */

/* ---- Memory: every allocation of the library goes through these ---------------------------------------------------- */

void *ph_alloc(size_t size);                                /* zeroed; NULL when memory ran out; size 0 gives a block */
void *ph_alloc_array(size_t count, size_t size);            /* zeroed; NULL also when the product overflows */
void *ph_alloc_aligned(size_t size);                        /* 64-byte aligned, contents undefined; free with ph_free_aligned */
void *ph_realloc_array(void *block, size_t count, size_t size); /* contents kept, growth not zeroed */
void ph_free(void *block);
void ph_free_aligned(void *block);
/* Address space of whole pages, which takes no memory and must not be touched before ph_commit; NULL when there is none left. */
void *ph_reserve(size_t size);
bool ph_commit(void *block, size_t size);                   /* zeroed; false when memory ran out */
void ph_release(void *block, size_t size);                  /* of ph_reserve; NULL: nothing */
char *ph_strdup(const char *text);
char *ph_strndup(const char *text, size_t length);
char *ph_sprintf(const char *format, ...) PH_PRINTF(1, 2); /* a new string; NULL when memory ran out */
/* Test hook: the n-th allocation from now on fails, and all after it; negative switches it off. */
void ph_alloc_fail_after(long n);

/* Grows *array (elements of `size`) so that index `count` fits; capacity doubles. False when memory ran out. */
bool ph_grow(void *array_pointer, int count, int *capacity, size_t size);

/* Things that live and die together: freed as a whole by ph_pool_finish. A zeroed struct is an empty pool. */
struct ph_pool { struct ph_pool_block *blocks; };
void *ph_pool_alloc(struct ph_pool *pool, size_t size); /* zeroed, 16-byte aligned (64 for blocks above 4 KiB) */
void *ph_pool_copy(struct ph_pool *pool, const void *data, size_t size);
char *ph_pool_strdup(struct ph_pool *pool, const char *text);
char *ph_pool_sprintf(struct ph_pool *pool, const char *format, ...) PH_PRINTF(2, 3);
void ph_pool_finish(struct ph_pool *pool);

/* ---- Text -------------------------------------------------------------------------------------------------------- */

struct ph_text { char *data; size_t length, capacity; bool failed; }; /* zeroed: empty; data NULL until first append */
void ph_text_append(struct ph_text *text, const char *format, ...) PH_PRINTF(2, 3); /* failure is remembered */
/* The shortest text that reads as the same number, with a decimal point in every locale. */
void ph_text_append_number(struct ph_text *text, double value);
void ph_text_finish(struct ph_text *text);

/* Appends ", did you mean a, b or c?" with the nearest of `count` names (edit distance, substring), nothing if none is
 * near. name(user, i) may return NULL for "skip". */
void ph_suggest(struct ph_text *text, const char *wanted, int count, const char *(*name)(void *user, int index), void *user);

/* Whole-string number parsing, locale-independent; false when text is not exactly one number in range. */
bool ph_parse_int(const char *text, int64_t *value);
bool ph_parse_double(const char *text, double *value);

const char *ph_base_name(const char *path); /* behind the last '/' */

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* A file's bytes: all in memory at `data`, or left where they are, to be read in parts. Nothing is mapped, so a file that
 * others cut short is an error in words and no signal. */
struct ph_file {
    const uint8_t *data;         /* NULL: left where they are */
    size_t size;
    void *memory;                /* what `data` owns; NULL: borrowed bytes */
    struct ph_file_place *place; /* where they are left */
};
/* The whole file in memory. */
ph_status ph_file_open(ph_context *context, const char *path, struct ph_file *file);
/* Left where it is. `hold` keeps it open, so that it can be read though it is renamed or removed; else it is opened anew for
 * each read, by the same path. */
ph_status ph_file_open_parts(ph_context *context, const char *path, bool hold, struct ph_file *file);
/* The whole of an open file in memory, to be closed by itself; of one that is there already its bytes, borrowed. */
ph_status ph_file_load(ph_context *context, const struct ph_file *file, struct ph_file *whole);
/* `size` bytes from `offset` on, which must be in the file. Fails where the file is another than when it was opened, by its
 * size or the time of its last change. */
ph_status ph_file_read(ph_context *context, const struct ph_file *file, uint64_t offset, size_t size, void *out);
void ph_file_close(struct ph_file *file);
bool ph_file_exists(const char *path);
/* Lower-case hex SHA-256 of all of it into out[65]. */
ph_status ph_file_sha256(ph_context *context, const struct ph_file *file, char out[65]);

/* ---- tensor.c: .npy in memory ------------------------------------------------------------------------------------- */

/* `path` is for messages. *bytes is freed with ph_free. */
ph_status ph_tensor_decode(ph_context *context, const char *path, const uint8_t *data, size_t size, ph_tensor **tensor);
ph_status ph_tensor_encode(ph_context *context, const ph_tensor *tensor, uint8_t **bytes, size_t *size);

/* ---- tensors.c ---------------------------------------------------------------------------------------------------- */

ph_status ph_tensors_create(ph_context *context, ph_tensors **tensors);
/* Takes the tensor over, also when it fails. */
ph_status ph_tensors_add(ph_context *context, ph_tensors *tensors, const char *name, ph_tensor *tensor);

/* Lower-case hex SHA-256 into out[65]. */
void ph_sha256(const void *data, size_t size, char out[65]);

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

float ph_half_to_float(uint16_t half);       /* IEEE binary16 */
float ph_bfloat16_to_float(uint16_t value);
uint16_t ph_float_to_half(float value);      /* nearest even */

/* Counter-based random numbers (Philox4x32-10, Salmon et al. 2011): a pure function of its arguments. */
struct ph_random_key { uint64_t seed; uint32_t step, use; };
void ph_random_bits(struct ph_random_key key, uint64_t index, uint32_t out[4]);
double ph_random_uniform(struct ph_random_key key, uint64_t index);         /* [0,1), 32 bits */
/* Fills `count` normal deviates; element i depends on the key and i alone (Box-Muller on pairs). */
void ph_random_normal(struct ph_random_key key, float *values, size_t count);

/* ---- Parallel loops ---------------------------------------------------------------------------------------------- */

/* Runs body(argument, i) for i in [0, count), chunks claimed dynamically by up to context->threads threads. Bodies must
 * not share what they write, so results cannot depend on the thread count. Denormals are flushed inside; the caller's
 * floating-point mode is restored. */
void ph_parallel_for(const ph_context *context, int64_t count, void (*body)(void *argument, int64_t index), void *argument);

/* Runs body(argument) on the calling thread with context->threads - 1 others standing by for the parallel loops in it: one
 * start of threads for all of them. Regions inside regions are part of the outer one. */
void ph_parallel_region(const ph_context *context, void (*body)(void *argument), void *argument);

/* By how many threads a loop that began now would be shared at most: 1 inside another. */
int ph_parallel_threads(const ph_context *context);

/* In the body of a loop: which of those threads runs it, from 0 on. Never two at once in one loop. */
int ph_parallel_thread(void);

/* Seconds on a monotonic clock. */
double ph_seconds(void);

#endif
