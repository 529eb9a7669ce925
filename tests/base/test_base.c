/* Tests of src/base: text, numbers, random numbers, files, memory, parallel loops. */
#include "base/base.h"
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static void test_halves(void **state) {
    (void)state;
    assert_true(ph_half_to_float(0x3c00) == 1 && ph_half_to_float(0xc000) == -2 && ph_half_to_float(0x7bff) == 65504);
    assert_true(ph_half_to_float(0x0001) == 0x1p-24f && isinf(ph_half_to_float(0x7c00)) && isnan(ph_half_to_float(0x7e00)));
    for (uint32_t half = 0; half < 65536; half++) {
        float value = ph_half_to_float((uint16_t)half);
        if (!isnan(value)) assert_int_equal(ph_float_to_half(value), half);
    }
    /* Ties go to the even neighbour; what is nearer to 65536 than to 65504 is infinite. */
    assert_int_equal(ph_float_to_half(1 + 0x1p-11f), 0x3c00);
    assert_int_equal(ph_float_to_half(1 + 3 * 0x1p-11f), 0x3c02);
    assert_int_equal(ph_float_to_half(65519.9f), 0x7bff);
    assert_int_equal(ph_float_to_half(65520), 0x7c00);
    assert_true(ph_bfloat16_to_float(0x3f80) == 1 && ph_bfloat16_to_float(0xc040) == -3);
}

/* Known answers of Philox4x32-10 from the authors' Random123 distribution. */
static void test_philox(void **state) {
    (void)state;
    uint32_t out[4];
    ph_random_bits((struct ph_random_key){0, 0, 0}, 0, out);
    assert_int_equal(out[0], 0x6627e8d5u);
    assert_int_equal(out[1], 0xe169c58du);
    assert_int_equal(out[2], 0xbc57ac4cu);
    assert_int_equal(out[3], 0x9b00dbd8u);
    ph_random_bits((struct ph_random_key){~(uint64_t)0, ~0u, ~0u}, ~(uint64_t)0, out);
    assert_int_equal(out[0], 0x408f276du);
    assert_int_equal(out[1], 0x41c83b0eu);
    assert_int_equal(out[2], 0xa20bc7c6u);
    assert_int_equal(out[3], 0x6d5451fdu);
}

static void test_normal(void **state) {
    (void)state;
    enum { N = 100001 };
    float *values = malloc(N * sizeof *values), shorter[7];
    struct ph_random_key key = {.seed = 7};
    ph_random_normal(key, values, N);
    double mean = 0, square = 0, fourth = 0;
    for (int i = 0; i < N; i++) mean += values[i], square += values[i] * values[i], fourth += pow(values[i], 4);
    assert_true(fabs(mean / N) < 0.015 && fabs(square / N - 1) < 0.02 && fabs(fourth / N - 3) < 0.15);
    ph_random_normal(key, shorter, 7);
    assert_memory_equal(shorter, values, sizeof shorter);
    free(values);
}

static const char *fruit(void *user, int index) {
    return (void)user, (const char *const[]){"apple", "banana", "cherry", "inception_4a/output", NULL}[index];
}

static void test_suggestions(void **state) {
    (void)state;
    struct ph_text text = {0};
    ph_suggest(&text, "aple", 5, fruit, NULL);
    assert_string_equal(text.data, ", did you mean apple?");
    ph_text_finish(&text);
    ph_suggest(&text, "4a/output", 5, fruit, NULL);
    assert_string_equal(text.data, ", did you mean inception_4a/output?");
    ph_text_finish(&text);
    ph_suggest(&text, "zzzzzz", 5, fruit, NULL);
    assert_null(text.data);
}

static void test_numbers(void **state) {
    (void)state;
    int64_t integer;
    double number;
    assert_true(ph_parse_int("-12", &integer) && integer == -12);
    assert_false(ph_parse_int("12x", &integer) || ph_parse_int("", &integer) || ph_parse_int(" 1", &integer) ||
                 ph_parse_int("99999999999999999999", &integer));
    assert_true(ph_parse_double("1e-3", &number) && number == 1e-3);
    assert_false(ph_parse_double("nan", &number) || ph_parse_double("1,5", &number) || ph_parse_double("1e999", &number));
}

static void test_files(void **state) {
    ph_context *context = *state;
    char folder[] = "/tmp/phosphene-test-XXXXXX", path[64], hash[65];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    assert_int_equal(ph_file_write(context, path, "abc", 3, false), PH_OK);
    assert_int_equal(ph_file_write(context, path, "def", 3, false), PH_ERROR_FILE);
    struct ph_file file;
    assert_int_equal(ph_file_open(context, path, &file), PH_OK);
    assert_int_equal(file.size, 3);
    assert_memory_equal(file.data, "abc", 3);
    /* FIPS 180-2, appendix B.1. */
    ph_sha256(file.data, file.size, hash);
    assert_string_equal(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ph_file_close(&file);
    assert_int_equal(ph_file_write(context, path, "defg", 4, true), PH_OK);
    assert_int_equal(ph_file_open(context, path, &file), PH_OK);
    assert_int_equal(file.size, 4);
    ph_file_close(&file);
    unlink(path);
    assert_int_equal(ph_file_open(context, path, &file), PH_ERROR_FILE);
    assert_non_null(strstr(ph_context_error(context), path));
    assert_int_equal(ph_file_write(context, "/nonexistent-folder/file", "", 0, true), PH_ERROR_FILE);
    assert_int_equal(ph_file_open(context, folder, &file), PH_ERROR_FILE);
    assert_int_equal(rmdir(folder), 0); /* nothing was left behind */
}

static void test_files_in_parts(void **state) {
    enum { SIZE = 200000 };
    ph_context *context = *state;
    char folder[] = "/tmp/phosphene-test-XXXXXX", path[64], other[64], hash[65], wanted[65];
    static uint8_t bytes[SIZE], found[SIZE];
    for (int i = 0; i < SIZE; i++) bytes[i] = (uint8_t)(i * 7 + i / 256);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    assert_int_equal(ph_file_write(context, path, bytes, SIZE, false), PH_OK);
    ph_sha256(bytes, SIZE, wanted);
    struct ph_file files[3] = {{.data = bytes, .size = SIZE}}, whole;
    for (int hold = 0; hold < 2; hold++) assert_int_equal(ph_file_open_parts(context, path, hold, &files[1 + hold]), PH_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(files[i].size, SIZE);
        assert_int_equal(ph_file_read(context, &files[i], 70001, 1234, found), PH_OK);
        assert_memory_equal(found, bytes + 70001, 1234);
        assert_int_equal(ph_file_sha256(context, &files[i], hash), PH_OK);
        assert_string_equal(hash, wanted);
        assert_int_equal(ph_file_load(context, &files[i], &whole), PH_OK);
        assert_int_equal(whole.size, SIZE);
        assert_memory_equal(whole.data, bytes, SIZE);
        ph_file_close(&whole);
    }
    /* Another file of that name is there: one is still the old one, the other says so. */
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(ph_file_write(context, path, bytes, SIZE, false), PH_OK);
    assert_int_equal(ph_file_read(context, &files[1], 0, 1, found), PH_ERROR_FILE);
    assert_non_null(strstr(ph_context_error(context), "was changed"));
    assert_int_equal(ph_file_read(context, &files[2], 0, 1, found), PH_OK);
    assert_int_equal(truncate(other, SIZE / 2), 0);
    assert_int_equal(ph_file_read(context, &files[2], 0, 1, found), PH_ERROR_FILE);
    assert_int_equal(ph_file_load(context, &files[2], &whole), PH_ERROR_FILE);
    assert_int_equal(ph_file_sha256(context, &files[2], hash), PH_ERROR_FILE);
    unlink(path);
    assert_int_equal(ph_file_read(context, &files[1], 0, 1, found), PH_ERROR_FILE);
    assert_int_equal(ph_file_open_parts(context, path, true, &whole), PH_ERROR_FILE);
    for (int i = 1; i < 3; i++) ph_file_close(&files[i]);
    unlink(other);
    assert_int_equal(rmdir(folder), 0);
}

/* Address space takes memory only where it is asked to. */
static void test_reserved_memory(void **state) {
    (void)state;
    const size_t size = (size_t)1 << 20;
    uint8_t *block = ph_reserve(size);
    assert_non_null(block);
    assert_true(ph_commit(block, size));
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(block[i], 0);
        block[i] = 1;
    }
    ph_release(block, size);
    ph_release(NULL, 0);
    ph_alloc_fail_after(0);
    assert_null(ph_reserve(size));
    ph_alloc_fail_after(1);
    assert_non_null(block = ph_reserve(size));
    assert_false(ph_commit(block, size));
    ph_alloc_fail_after(-1);
    ph_release(block, size);
}

/* Ended in the middle of a file, by the signal that a limit of its size brings. */
static void test_partial_file(void **state) {
    enum { SIZE = 1 << 16, LIMIT = 1 << 12 };
    static const char data[SIZE] = {0};
    char folder[] = "/tmp/phosphene-test-XXXXXX", path[64];
    int result = 0;
    assert_non_null(mkdtemp(folder));
    int probe = open(folder, O_TMPFILE | O_WRONLY, 0600);
    snprintf(path, sizeof path, "%s/file", folder);
    pid_t child = fork();
    if (!child) {
        signal(SIGXFSZ, SIG_DFL);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){LIMIT, LIMIT});
        _exit(ph_file_write(*state, path, data, SIZE, false) != PH_OK);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result) && WTERMSIG(result) == SIGXFSZ);
    if (probe < 0) skip(); /* the file system has only files with names */
    close(probe);
    assert_int_equal(rmdir(folder), 0); /* nothing was left behind */
}

static void test_memory(void **state) {
    (void)state;
    assert_null(ph_alloc_array(SIZE_MAX / 2, 3));
    assert_null(ph_alloc_aligned(SIZE_MAX - 8));
    struct ph_pool pool = {0};
    for (int i = 0; i < 2000; i++) {
        char *block = ph_pool_alloc(&pool, (size_t)i * 7);
        assert_int_equal((uintptr_t)block % 16, 0);
        if (i * 7 > 4096) assert_int_equal((uintptr_t)block % 64, 0);
        for (int j = 0; j < i * 7; j++) assert_int_equal(block[j], 0);
        memset(block, 1, (size_t)i * 7);
    }
    /* Small and large ones in turn: of their own, zeroed, large ones at a line of the cache. */
    enum { COUNT = 60 };
    static unsigned char *blocks[COUNT];
    static size_t sizes[COUNT];
    for (int i = 0; i < COUNT; i++) {
        sizes[i] = i % 3 ? (size_t)i * 90001 % 700000 : (size_t)i * 70;
        blocks[i] = ph_pool_alloc(&pool, sizes[i]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % (sizes[i] > 4096 ? 64 : 16), 0);
        for (size_t k = 0; k < sizes[i]; k++)
            if (blocks[i][k]) fail_msg("block %d is not zeroed", i);
        memset(blocks[i], i + 1, sizes[i]);
    }
    for (int i = 0; i < COUNT; i++)
        for (size_t k = 0; k < sizes[i]; k++)
            if (blocks[i][k] != i + 1) fail_msg("block %d was written to", i);
    ph_pool_finish(&pool);
    ph_alloc_fail_after(1);
    void *first = ph_alloc(8), *second = ph_alloc(8);
    ph_alloc_fail_after(-1);
    assert_non_null(first);
    assert_null(second);
    ph_free(first);
}

struct counts { int times[1000]; float denormal[1000]; atomic_int inside[7]; atomic_bool clash; ph_context *context; };

static void count_nothing(void *argument, int64_t index) {
    struct counts *counts = argument;
    (void)index;
    if (ph_parallel_thread() != 0) counts->clash = true;
}

static void count_one(void *argument, int64_t index) {
    struct counts *counts = argument;
    counts->times[index]++;
    volatile float tiny = 1e-38f;
    counts->denormal[index] = tiny * 0.01f;
    int thread = ph_parallel_thread();
    if (thread < 0 || thread >= counts->context->threads || counts->inside[thread]++) counts->clash = true;
    ph_parallel_for(counts->context, 3, count_nothing, counts); /* a loop inside a loop */
    if (ph_parallel_thread() != thread || --counts->inside[thread]) counts->clash = true;
}

static void count_region(void *argument) {
    for (int i = 0; i < 200; i++) ph_parallel_for(((struct counts *)argument)->context, 1000, count_one, argument);
}

static void test_parallel(void **state) {
    static struct counts counts;
    counts.context = *state;
    for (int threads = 1; threads <= 7; threads += 2) {
        memset(counts.times, 0, sizeof counts.times);
        ph_context_set_threads(*state, threads);
        ph_parallel_region(*state, count_region, &counts);
        ph_parallel_for(*state, 1000, count_one, &counts);
        assert_false(counts.clash);
        for (int i = 0; i < 1000; i++) {
            assert_int_equal(counts.times[i], 201);
#if defined __SSE__
            assert_true(counts.denormal[i] == 0);
#endif
        }
    }
    ph_context_set_threads(*state, 0);
    volatile float tiny = 1e-38f;
    assert_true(tiny * 0.01f != 0); /* the caller's mode is back */
}

static void test_context(void **state) {
    ph_context *context = *state;
    assert_int_equal(ph_context_set_threads(context, -1), PH_ERROR_ARGUMENT);
    assert_int_equal(ph_context_set_instruction_set(context, "mmx"), PH_ERROR_ARGUMENT);
    assert_int_equal(ph_context_set_instruction_set(context, "portable"), PH_OK);
    assert_int_equal(ph_context_set_instruction_set(context, "auto"), PH_OK);
    assert_int_equal(ph_context_set_precision(context, "fp8"), PH_ERROR_NOT_FOUND);
    assert_int_equal(ph_context_set_precision(context, "bf16x3"), PH_OK);
    assert_int_equal(ph_context_set_precision(context, NULL), PH_OK);
    ph_fail(context, PH_ERROR_FILE, "inner");
    ph_fail_prefix(context, "outer %d", 1);
    assert_string_equal(ph_context_error(context), "outer 1: inner");
    ph_fail(context, PH_ERROR_FILE, "%s again", ph_context_error(context));
    assert_string_equal(ph_context_error(context), "outer 1: inner again");
    char *large = malloc(10000);
    memset(large, 'x', 9999);
    large[9999] = 0;
    ph_fail(context, PH_ERROR_FILE, "%s", large);
    ph_fail_prefix(context, "%s", "front");
    assert_true(strlen(ph_context_error(context)) < 4096);
    free(large);
}

int main(void) {
    ph_context *context = ph_context_create();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_halves), cmocka_unit_test(test_philox), cmocka_unit_test(test_normal),
        cmocka_unit_test(test_suggestions), cmocka_unit_test(test_numbers), cmocka_unit_test_prestate(test_files, context),
        cmocka_unit_test_prestate(test_files_in_parts, context), cmocka_unit_test(test_reserved_memory),
        cmocka_unit_test_prestate(test_partial_file, context),
        cmocka_unit_test(test_memory), cmocka_unit_test_prestate(test_parallel, context),
        cmocka_unit_test_prestate(test_context, context)};
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    ph_context_destroy(&context);
    return failures;
}
