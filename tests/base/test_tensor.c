/* Tests of src/base/tensor.c: .npy files of every element type, either byte order and either array order, as NEP 1 lays
 * them out; damaged headers, truncation, declared sizes beyond the file, a full disk, memory that runs out. */
#include "base/base.h"
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/phosphene-tensor-XXXXXX", path[64];

/* A version 1 file of `header` as it stands and the data behind it. */
static size_t compose(uint8_t *out, int version, const char *header, const void *data, size_t size) {
    size_t length = strlen(header), start = version == 1 ? 10 : 12;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (uint8_t)version, out[7] = 0;
    for (size_t i = 8; i < start; i++) out[i] = (uint8_t)(length >> 8 * (i - 8));
    memcpy(out + start, header, length);
    memcpy(out + start + length, data, size);
    return start + length + size;
}

static ph_status load_bytes(ph_context *context, const void *bytes, size_t size, ph_tensor **tensor) {
    assert_int_equal(ph_file_write(context, path, bytes, size, true), PH_OK);
    ph_status status = ph_tensor_load(context, path, tensor);
    unlink(path);
    return status;
}

static ph_status load(ph_context *context, const char *header, const void *data, size_t size, ph_tensor **tensor) {
    uint8_t file[4096];
    return load_bytes(context, file, compose(file, 1, header, data, size), tensor);
}

static void test_types(void **state) {
    ph_context *context = *state;
    static const struct {
        const char *type;
        int bytes;
        uint64_t bits[3]; /* of the elements, as integers */
        float values[3];
    } cases[] = {
        {"f2", 2, {0x3c00, 0xc000, 0x3555}, {1, -2, 0.333251953125f}},
        {"f4", 4, {0x3f800000, 0xc0490fdb, 0x00000001}, {1, -3.14159274f, 0x1p-149f}},
        {"f8", 8, {0x3ff0000000000000, 0xc00921fb54442d18, 0x7ff0000000000000}, {1, -3.14159274f, INFINITY}},
        {"i1", 1, {1, 0xff, 0x80}, {1, -1, -128}},
        {"u1", 1, {1, 0xff, 0x80}, {1, 255, 128}},
        {"b1", 1, {1, 0, 1}, {1, 0, 1}},
        {"i2", 2, {1, 0xffff, 0x8000}, {1, -1, -32768}},
        {"u2", 2, {1, 0xffff, 0x8000}, {1, 65535, 32768}},
        {"i4", 4, {1, 0xffffffff, 0x80000000}, {1, -1, -0x1p31f}},
        {"u4", 4, {1, 0xffffffff, 0x80000000}, {1, 0x1p32f, 0x1p31f}},
        {"i8", 8, {1, UINT64_MAX, (uint64_t)1 << 63}, {1, -1, -0x1p63f}},
        {"u8", 8, {1, UINT64_MAX, (uint64_t)1 << 63}, {1, 0x1p64f, 0x1p63f}},
    };
    for (int i = 0; i < PH_COUNT(cases); i++)
        for (const char *order = "<>=|"; *order; order++) {
            char header[128];
            uint8_t data[24];
            for (int element = 0; element < 3; element++)
                for (int byte = 0; byte < cases[i].bytes; byte++)
                    data[element * cases[i].bytes + byte] =
                        (uint8_t)(cases[i].bits[element] >> 8 * (*order == '>' ? cases[i].bytes - 1 - byte : byte));
            snprintf(header, sizeof header, "{'descr': '%c%s', 'fortran_order': False, 'shape': (3,), }\n", *order,
                     cases[i].type);
            ph_tensor *tensor;
            if (load(context, header, data, 3 * (size_t)cases[i].bytes, &tensor))
                fail_msg("%s", ph_context_error(context));
            assert_true(tensor->rank == 1 && tensor->dims[0] == 3);
            for (int element = 0; element < 3; element++)
                if (tensor->data[element] != cases[i].values[element])
                    fail_msg("%c%s: %g", *order, cases[i].type, (double)tensor->data[element]);
            ph_tensor_destroy(&tensor);
            assert_null(tensor);
        }
}

static void test_orders(void **state) {
    uint8_t data[24];
    for (int i = 0; i < 24; i++) data[i] = (uint8_t)i;
    ph_tensor *c, *fortran;
    assert_int_equal(load(*state, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 4), }\n", data, 24, &c),
                     PH_OK);
    assert_int_equal(load(*state, "{'shape':(2,3,4),'fortran_order':True,'descr':'|u1'}", data, 24, &fortran), PH_OK);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 4; k++) {
                assert_true(c->data[(i * 3 + j) * 4 + k] == (float)((i * 3 + j) * 4 + k));
                assert_true(fortran->data[(i * 3 + j) * 4 + k] == (float)(i + 2 * (j + 3 * k)));
            }
    ph_tensor_destroy(&c);
    ph_tensor_destroy(&fortran);
}

static void test_versions_and_ranks(void **state) {
    static const struct { const char *shape; int rank; int64_t size; } shapes[] = {
        {"()", 0, 1}, {"(1,)", 1, 1}, {"(0,)", 1, 0}, {"(2, 0, 3)", 3, 0}, {"(1, 1, 1, 1, 1, 1, 1, 2)", 8, 2}};
    for (int version = 1; version <= 3; version++)
        for (int i = 0; i < PH_COUNT(shapes); i++) {
            char header[128];
            uint8_t file[256];
            snprintf(header, sizeof header, "{'descr': '<i2', 'fortran_order': True, 'shape': %s, }   \n",
                     shapes[i].shape);
            size_t size = compose(file, version, header, "\x07\0\x08", 4);
            ph_tensor *tensor;
            assert_int_equal(load_bytes(*state, file, size, &tensor), PH_OK);
            assert_int_equal(tensor->rank, shapes[i].rank);
            if (shapes[i].size) assert_true(tensor->data[0] == 7);
            if (shapes[i].size == 2) assert_true(tensor->data[1] == 8);
            ph_tensor_destroy(&tensor);
        }
}

static void test_bad_headers(void **state) {
    ph_context *context = *state;
    static const char *const headers[] = {
        "",
        "{",
        "{}",
        "[]",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'shape': (1,)}",
        "{'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}",
        "{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f1', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '|b2', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f",
        "{'descr': '",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}"};
    for (int i = 0; i < PH_COUNT(headers); i++) {
        ph_tensor *tensor;
        if (load(context, headers[i], "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, &tensor) != PH_ERROR_UNSUPPORTED)
            fail_msg("%s", headers[i]);
        assert_null(tensor);
        assert_non_null(strstr(ph_context_error(context), path));
    }
    /* Sizes beyond the file, among them products that wrap around. */
    static const char *const shapes[] = {"(5,)",
                                         "(1099511627776,)",
                                         "(4294967296, 4294967296)",
                                         "(9223372036854775807, 9223372036854775807)",
                                         "(4294967296, 4294967296, 0)",
                                         "(2147483648, 2147483648, 4)"};
    for (int i = 0; i < PH_COUNT(shapes); i++) {
        char header[160];
        ph_tensor *tensor;
        snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': True, 'shape': %s, }", shapes[i]);
        if (load(context, header, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, &tensor) != PH_ERROR_FORMAT)
            fail_msg("%s", shapes[i]);
        assert_null(tensor);
    }
    static const char files[][20] = {"NUMPY", "\x93NUMPX\1\0\0\0\0\0\0", "\x93NUMPY\4\0\0\0\0\0\0",
                                     "\x93NUMPY\1\0\xff\xff{'descr'"};
    for (int i = 0; i < PH_COUNT(files); i++) {
        ph_tensor *tensor;
        assert_int_equal(load_bytes(context, files[i], 13, &tensor), PH_ERROR_FORMAT);
    }
}

static void test_truncated_and_flipped(void **state) {
    uint8_t file[256], damaged[256];
    size_t size = compose(file, 2, "{'descr': '>f4', 'fortran_order': True, 'shape': (2, 3), }\n",
                          "0123456789abcdefghijklmn", 24);
    ph_tensor *tensor;
    for (size_t length = 1; length < size; length++) {
        assert_int_not_equal(load_bytes(*state, file, length, &tensor), PH_OK);
        assert_null(tensor);
    }
    for (size_t bit = 0; bit < 8 * size; bit++) {
        memcpy(damaged, file, size);
        damaged[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ph_status status = load_bytes(*state, damaged, size, &tensor);
        assert_true(status ? tensor == NULL : tensor != NULL);
        ph_tensor_destroy(&tensor);
    }
}

static void test_round_trip(void **state) {
    ph_context *context = *state;
    static const int64_t dims[PH_MAX_RANK] = {2, 1, 3, 2, 1, 1, 2, 1};
    for (int rank = 0; rank <= PH_MAX_RANK; rank++) {
        ph_tensor *tensor, *back;
        assert_int_equal(ph_tensor_create(context, rank, dims, &tensor), PH_OK);
        size_t size = 1;
        for (int i = 0; i < rank; i++) size *= (size_t)dims[i];
        for (size_t i = 0; i < size; i++) assert_true(tensor->data[i] == 0);
        for (size_t i = 0; i < size; i++) tensor->data[i] = (float)i - 0.3f;
        assert_int_equal(ph_tensor_save(context, tensor, path, false), PH_OK);
        assert_int_equal(ph_tensor_save(context, tensor, path, false), PH_ERROR_FILE);
        assert_int_equal(ph_tensor_save(context, tensor, path, true), PH_OK);
        struct ph_file file;
        assert_int_equal(ph_file_open(context, path, &file), PH_OK);
        assert_int_equal((file.size - size * sizeof(float)) % 64, 0); /* NEP 1: the data is aligned */
        assert_int_equal(file.data[file.size - size * sizeof(float) - 1], '\n');
        ph_file_close(&file);
        assert_int_equal(ph_tensor_load(context, path, &back), PH_OK);
        assert_int_equal(back->rank, rank);
        assert_memory_equal(back->dims, tensor->dims, sizeof back->dims);
        assert_memory_equal(back->data, tensor->data, size * sizeof(float));
        ph_tensor_destroy(&tensor);
        ph_tensor_destroy(&back);
        unlink(path);
    }
}

static void test_create(void **state) {
    ph_context *context = *state;
    ph_tensor *tensor;
    assert_int_equal(ph_tensor_create(context, -1, NULL, &tensor), PH_ERROR_ARGUMENT);
    assert_int_equal(ph_tensor_create(context, PH_MAX_RANK + 1, NULL, &tensor), PH_ERROR_ARGUMENT);
    assert_int_equal(ph_tensor_create(context, 2, (int64_t[]){3, -1}, &tensor), PH_ERROR_SHAPE);
    assert_int_equal(ph_tensor_create(context, 2, (int64_t[]){INT64_MAX, INT64_MAX}, &tensor), PH_ERROR_SHAPE);
    assert_null(tensor);
    ph_tensor_destroy(&tensor);
    ph_tensor_destroy(NULL);
}

static void test_full_disk(void **state) {
    ph_context *context = *state;
    ph_tensor *tensor;
    assert_int_equal(ph_tensor_create(context, 1, (int64_t[]){4096}, &tensor), PH_OK);
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 4096;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    ph_status status = ph_tensor_save(context, tensor, path, false);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    assert_int_equal(status, PH_ERROR_FILE);
    assert_non_null(strstr(ph_context_error(context), path));
    ph_tensor_destroy(&tensor);
    assert_int_equal(rmdir(folder), 0); /* neither the file nor a temporary one */
    assert_int_equal(mkdir(folder, 0700), 0);
}

/* The k-th allocation fails, k = 0, 1, 2, ... until none does. */
static void test_memory(void **state) {
    ph_context *context = *state;
    ph_status status = PH_ERROR_MEMORY;
    for (int k = 0; status; k++) {
        ph_tensor *tensor, *back = NULL;
        ph_alloc_fail_after(k);
        status = ph_tensor_create(context, 2, (int64_t[]){3, 4}, &tensor);
        if (!status) status = ph_tensor_save(context, tensor, path, true);
        if (!status) status = ph_tensor_load(context, path, &back);
        ph_alloc_fail_after(-1);
        assert_true(k < 100 && (status == PH_OK || status == PH_ERROR_MEMORY));
        ph_tensor_destroy(&tensor);
        ph_tensor_destroy(&back);
    }
    assert_int_equal(unlink(path), 0);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/a.npy", folder);
    ph_context *context = ph_context_create();
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(test_types, context),
                                       cmocka_unit_test_prestate(test_orders, context),
                                       cmocka_unit_test_prestate(test_versions_and_ranks, context),
                                       cmocka_unit_test_prestate(test_bad_headers, context),
                                       cmocka_unit_test_prestate(test_truncated_and_flipped, context),
                                       cmocka_unit_test_prestate(test_round_trip, context),
                                       cmocka_unit_test_prestate(test_create, context),
                                       cmocka_unit_test_prestate(test_full_disk, context),
                                       cmocka_unit_test_prestate(test_memory, context)};
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    ph_context_destroy(&context);
    /* Fails when a test left something behind. */
    return failures || rmdir(folder);
}
