/* Tests of src/image: every format, rounding, resampling against Pillow's values, geometry, sheets; damaged files, a
 * full disk, memory that runs out. The files in data/ and reference.h are made by make_data.py. */
#include "image/image.h"
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>
#include "image/reference.h"

enum { WIDTH = 13, HEIGHT = 9 };

static char folder[] = "/tmp/phosphene-image-XXXXXX";

/* Path of a file in the scratch folder; valid until the next call. */
static const char *scratch(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* The formulas of make_data.py. */
static int noisy(int y, int x, int c) { return (37 * x + 59 * y + 83 * c + 7 * x * y) % 256; }
static int smooth(int y, int x, int c) { return 10 * x + 5 * y + 20 * c + 30; }
static int wide(int y, int x, int c) { return (4099 * x + 8209 * y + 12289 * c) % 65536; }

static float pixel(const ph_picture *picture, int c, int y, int x) {
    return picture->pixels[((size_t)c * (size_t)picture->height + (size_t)y) * (size_t)picture->width + (size_t)x];
}

static ph_picture *make(ph_context *context, int channels, int height, int width) {
    ph_picture *picture;
    assert_int_equal(ph_picture_create(context, channels, height, width, &picture), PH_OK);
    for (int c = 0; c < channels; c++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                picture->pixels[((size_t)c * (size_t)height + (size_t)y) * (size_t)width + (size_t)x] =
                    (float)noisy(y, x, c) / 255;
    return picture;
}

static void assert_same(const ph_picture *a, const ph_picture *b) {
    assert_int_equal(a->channels, b->channels);
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->width, b->width);
    assert_memory_equal(a->pixels, b->pixels,
                        (size_t)a->channels * (size_t)a->height * (size_t)a->width * sizeof(float));
}

/* A block of its own for each file, so that a sanitizer sees every read beyond it. */
static uint8_t *read_file(ph_context *context, const char *path, size_t *size) {
    struct ph_file file;
    assert_int_equal(ph_file_open(context, path, &file), PH_OK);
    uint8_t *data = malloc(file.size);
    memcpy(data, file.data, *size = file.size);
    ph_file_close(&file);
    return data;
}

static ph_status decode(ph_context *context, const uint8_t *data, size_t size, ph_picture **picture) {
    *picture = NULL;
    for (int i = 0; ph_image_codecs[i]; i++)
        if (ph_image_codecs[i]->recognise(data, size))
            return ph_image_codecs[i]->decode(context, "picture", data, size, picture);
    return PH_ERROR_FORMAT;
}

/* ---- Writing and reading --------------------------------------------------------------------------------------------
 */

static void test_round_trip(void **state) {
    ph_context *context = *state;
    static const int counts[] = {1, 3, 4};
    for (int i = 0; i < 3; i++) {
        ph_picture *picture = make(context, counts[i], 31, 17), *back;
        ph_free(picture->recipe);
        picture->recipe = ph_strdup("steps=512\n#objective=class:'n\xc3\xa4he' + \"x\"\n#value=1.5\n");
        assert_int_equal(ph_picture_save(picture, scratch("a.png"), false), PH_OK);
        assert_int_equal(ph_picture_save(picture, scratch("a.png"), false), PH_ERROR_FILE);
        assert_int_equal(ph_picture_save(picture, scratch("b.PNG"), false), PH_OK);
        assert_int_equal(ph_picture_load(context, scratch("a.png"), &back), PH_OK);
        assert_same(picture, back);
        assert_string_equal(ph_picture_recipe(back), picture->recipe);
        assert_true(isnan(ph_picture_value(back)));
        size_t size, again_size;
        uint8_t *bytes = read_file(context, scratch("a.png"), &size),
                *again = read_file(context, scratch("b.PNG"), &again_size);
        assert_int_equal(size, again_size);
        assert_memory_equal(bytes, again, size);
        free(bytes), free(again);
        unlink(scratch("a.png")), unlink(scratch("b.PNG"));
        ph_picture_destroy(&picture);
        ph_picture_destroy(&back);
    }
}

/* Channels that are no colours lie side by side. */
static void test_separate_channels(void **state) {
    ph_context *context = *state;
    ph_picture *picture = make(context, 5, 4, 6), *back;
    assert_true(picture->separate);
    assert_int_equal(ph_picture_save(picture, scratch("five.png"), false), PH_OK);
    assert_int_equal(ph_picture_load(context, scratch("five.png"), &back), PH_OK);
    assert_true(back->channels == 1 && back->height == 4 && back->width == 30);
    for (int c = 0; c < 5; c++)
        for (int y = 0; y < 4; y++)
            for (int x = 0; x < 6; x++) assert_true(pixel(picture, c, y, x) == pixel(back, 0, y, c * 6 + x));
    ph_picture_destroy(&picture);
    ph_picture_destroy(&back);
    unlink(scratch("five.png"));
    /* Two channels, as a network may have them. */
    picture = make(context, 2, 4, 6);
    picture->separate = true;
    assert_int_equal(ph_picture_save(picture, scratch("two.png"), false), PH_OK);
    assert_int_equal(ph_picture_load(context, scratch("two.png"), &back), PH_OK);
    assert_true(back->channels == 1 && back->height == 4 && back->width == 12);
    ph_picture_destroy(&picture);
    ph_picture_destroy(&back);
    unlink(scratch("two.png"));
}

static void test_too_wide(void **state) {
    ph_context *context = *state;
    ph_picture *picture = make(context, 1, 1, 1000001);
    assert_int_equal(ph_picture_save(picture, scratch("wide.png"), false), PH_ERROR_UNSUPPORTED);
    assert_non_null(strstr(ph_context_error(context), "1000001"));
    assert_int_equal(access(scratch("wide.png"), F_OK), -1);
    ph_picture_destroy(&picture);
}

static float value_noisy(int y, int x, int c) { return (float)noisy(y, x, c) / 255; }
static float value_smooth(int y, int x, int c) { return (float)smooth(y, x, c) / 255; }
static float value_wide(int y, int x, int c) { return (float)wide(y, x, c) / 65535; }
static float value_bit(int y, int x, int c) { return noisy(y, x, c) >= 128; }
static float value_grey_alpha(int y, int x, int c) { return value_noisy(y, x, c == 3); }
static float value_grey(int y, int x, int c) { return (void)c, value_noisy(y, x, 0); }
static float value_palette(int y, int x, int c) {
    static const uint8_t palette[4][4] = {{255, 0, 0, 255}, {0, 255, 0, 128}, {0, 0, 255, 0}, {50, 100, 150, 51}};
    return (float)palette[noisy(y, x, 0) % 4][c] / 255;
}

static const struct {
    const char *name;
    int channels;
    float (*value)(int y, int x, int c);
    float tolerance; /* JPEG is lossy: a few of 255 levels */
} files[] = {{"interlaced.png", 3, value_noisy, 0},
             {"grey16.png", 1, value_wide, 0},
             {"rgb16_interlaced.png", 3, value_wide, 0},
             {"grey_alpha.png", 4, value_grey_alpha, 0},
             {"palette.png", 3, value_palette, 0},
             {"palette_alpha.png", 4, value_palette, 0},
             {"bit.png", 1, value_bit, 0},
             {"turned-6.png", 3, value_noisy, 0},
             {"rgb.bmp", 3, value_noisy, 0},
             {"rgb.ppm", 3, value_noisy, 0},
             {"grey.pgm", 1, value_grey, 0},
             {"rgb.tga", 3, value_noisy, 0},
             {"packed.tga", 3, value_noisy, 0},
             {"grey.gif", 4, value_grey, 0},
#ifdef PH_HAVE_WEBP
             {"rgb.webp", 3, value_noisy, 0},
             {"alpha.webp", 4, value_noisy, 0},
             {"turned-6.webp", 3, value_noisy, 0},
             {"turned-8.webp", 3, value_noisy, 0},
#endif
             {"cmyk.jpg", 3, value_smooth, 4.0f / 255},
             {"smooth.jpg", 3, value_smooth, 4.0f / 255},
             {"progressive.jpg", 3, value_smooth, 4.0f / 255},
             {"turned-2.jpg", 3, value_smooth, 4.0f / 255},
             {"turned-3.jpg", 3, value_smooth, 4.0f / 255},
             {"turned-4.jpg", 3, value_smooth, 4.0f / 255},
             {"turned-5.jpg", 3, value_smooth, 4.0f / 255},
             {"turned-6.jpg", 3, value_smooth, 4.0f / 255},
             {"turned-7.jpg", 3, value_smooth, 4.0f / 255},
             {"turned-8.jpg", 3, value_smooth, 4.0f / 255}};

static const char *data_path(int file) {
    static char path[128];
    snprintf(path, sizeof path, "tests/image/data/%s", files[file].name);
    return path;
}

static void test_formats(void **state) {
    for (int i = 0; i < PH_COUNT(files); i++) {
        ph_picture *picture;
        assert_int_equal(ph_picture_load(*state, data_path(i), &picture), PH_OK);
        if (picture->channels != files[i].channels || picture->height != HEIGHT || picture->width != WIDTH)
            fail_msg("%s: %d x %d, %d channels", files[i].name, picture->width, picture->height, picture->channels);
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++)
                for (int c = 0; c < picture->channels; c++) {
                    bool opaque = c == 3 && files[i].value == value_grey;
                    float wanted = opaque ? 1 : files[i].value(y, x, c), found = pixel(picture, c, y, x);
                    if (!(fabsf(found - wanted) <= files[i].tolerance))
                        fail_msg("%s: (%d, %d) channel %d: %g, not %g", files[i].name, x, y, c, (double)found,
                                 (double)wanted);
                }
        ph_picture_destroy(&picture);
    }
}

static void test_names(void **state) {
    ph_context *context = *state;
    ph_picture *picture = make(context, 3, 2, 2), *back;
    assert_int_equal(ph_picture_save(picture, scratch("a.jpg"), false), PH_ERROR_ARGUMENT);
    assert_non_null(strstr(ph_context_error(context), ".png"));
    assert_int_equal(ph_picture_save(picture, scratch("png"), false), PH_ERROR_ARGUMENT);
    assert_int_equal(ph_picture_save(picture, "/nonexistent-folder/a.png", false), PH_ERROR_FILE);
    ph_picture_destroy(&picture);
    assert_int_equal(ph_picture_load(context, scratch("missing.png"), &back), PH_ERROR_FILE);
    assert_null(back);
    assert_int_equal(ph_file_write(context, scratch("text"), "no picture at all, but some text", 32, true), PH_OK);
    assert_int_equal(ph_picture_load(context, scratch("text"), &back), PH_ERROR_FORMAT);
    assert_non_null(strstr(ph_context_error(context), "PNG, JPEG"));
    unlink(scratch("text"));
}

/* ---- Damage ------------------------------------------------------------------------------------------------------ */

/* What a file may lack at its end: PNM and TGA have no mark there, and a GIF's first frame ends before its trailer. */
static bool needs_all(const char *name) { return strstr(name, ".png") || strstr(name, ".jpg") || strstr(name, ".webp"); }

static void test_truncated(void **state) {
    ph_context *context = *state;
    for (int i = 0; i < PH_COUNT(files); i++) {
        size_t size;
        uint8_t *data = read_file(context, data_path(i), &size);
        for (size_t length = 1; length < size; length++) {
            uint8_t *part = malloc(length);
            memcpy(part, data, length);
            ph_picture *picture;
            ph_status status = decode(context, part, length, &picture);
            if (!status && (needs_all(files[i].name) || length < size / 2))
                fail_msg("%s is read from %zu bytes", files[i].name, length);
            assert_true(status ? picture == NULL : picture != NULL);
            ph_picture_destroy(&picture);
            free(part);
        }
        free(data);
    }
}

static void test_flipped(void **state) {
    ph_context *context = *state;
    for (int i = 0; i < PH_COUNT(files); i++) {
        size_t size;
        uint8_t *data = read_file(context, data_path(i), &size);
        for (uint64_t round = 0; round < 400; round++) {
            uint32_t bits[4];
            ph_random_bits((struct ph_random_key){.seed = (uint64_t)i}, round, bits);
            data[bits[0] % size] ^= (uint8_t)(1 << bits[1] % 8);
            /* Some rounds leave their damage, so that files come to have much of it. */
            ph_picture *picture;
            ph_status status = decode(context, data, size, &picture);
            assert_true(status ? picture == NULL : picture != NULL);
            ph_picture_destroy(&picture);
            if (bits[2] % 8) data[bits[0] % size] ^= (uint8_t)(1 << bits[1] % 8);
        }
        free(data);
    }
}

/* A header that declares more than there can be is refused before anything of the size is touched. */
static void test_huge(void **state) {
    ph_context *context = *state;
    ph_picture *picture;
    static const char pnm[] = "P6 60000 60000 255\n", tga[] = "\0\0\2\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\x20\0 ";
    assert_int_equal(decode(context, (const uint8_t *)pnm, sizeof pnm - 1, &picture), PH_ERROR_UNSUPPORTED);
    assert_int_equal(decode(context, (const uint8_t *)tga, sizeof tga - 1, &picture), PH_ERROR_UNSUPPORTED);
    assert_int_equal(ph_picture_create(context, 3, 1 << 15, 1 << 14, &picture), PH_ERROR_UNSUPPORTED);
    assert_int_equal(ph_picture_create(context, 17, 1, 1, &picture), PH_ERROR_UNSUPPORTED);
    assert_int_equal(ph_picture_create(context, 3, 0, 1, &picture), PH_ERROR_UNSUPPORTED);
}

static void test_full_disk(void **state) {
    ph_context *context = *state;
    ph_picture *picture = make(context, 3, 64, 64);
    for (size_t i = 0; i < 3 * 64 * 64; i++)
        picture->pixels[i] = (float)ph_random_uniform((struct ph_random_key){0}, i);
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 4096;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    ph_status status = ph_picture_save(picture, scratch("full.png"), false);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    assert_int_equal(status, PH_ERROR_FILE);
    assert_non_null(strstr(ph_context_error(context), "full.png: "));
    ph_picture_destroy(&picture);
    assert_int_equal(rmdir(folder), 0); /* neither the file nor a temporary one */
    assert_non_null(mkdtemp(strcpy(folder, "/tmp/phosphene-image-XXXXXX")));
}

/* The k-th allocation fails, k = 0, 1, 2, ... until none does. */
static void test_memory(void **state) {
    ph_context *context = *state;
    for (int i = 0; i < PH_COUNT(files); i++) {
        ph_status status = PH_ERROR_MEMORY;
        for (int k = 0; status; k++) {
            ph_picture *picture, *out = NULL;
            ph_alloc_fail_after(k);
            status = ph_picture_load(context, data_path(i), &picture);
            if (!status && (status = ph_picture_fit(picture, "crop", 5, 4, &out)) == PH_OK)
                status = ph_picture_save(out, scratch("memory.png"), true);
            ph_alloc_fail_after(-1);
            assert_true(k < 1000);
            assert_true(status == PH_OK || status == PH_ERROR_MEMORY || status == PH_ERROR_FORMAT);
            ph_picture_destroy(&picture);
            ph_picture_destroy(&out);
        }
        assert_int_equal(unlink(scratch("memory.png")), 0);
    }
}

/* ---- Values and geometry ----------------------------------------------------------------------------------------- */

static void test_rounding(void **state) {
    for (int byte = 0; byte < 256; byte++) {
        assert_int_equal(ph_pixel_to_byte((float)byte / 255), byte);
        if (byte) assert_int_equal(ph_pixel_to_byte(((float)byte - 0.499f) / 255), byte);
        assert_int_equal(ph_pixel_to_byte(((float)byte + 0.499f) / 255), byte);
    }
    assert_int_equal(ph_pixel_to_byte(0.5f), 128); /* 127.5 */
    assert_int_equal(ph_pixel_to_byte(0.1f), 26);  /* 25.5 in float */
    assert_int_equal(ph_pixel_to_byte(-1), 0);
    assert_int_equal(ph_pixel_to_byte(INFINITY), 255);
    assert_int_equal(ph_pixel_to_byte(-INFINITY), 0);
    assert_int_equal(ph_pixel_to_byte(NAN), 0);
    ph_picture *picture;
    assert_int_equal(ph_picture_create(*state, 1, 1, 2, &picture), PH_OK);
    picture->pixels[0] = 0.5f, picture->pixels[1] = 7;
    ph_picture_quantise(picture);
    assert_true(picture->pixels[0] == 128.0f / 255 && picture->pixels[1] == 1);
    ph_picture_destroy(&picture);
}

static void test_resize(void **state) {
    ph_picture *picture = make(*state, 1, HEIGHT, WIDTH), *out;
    for (int i = 0; i < PH_COUNT(resampled); i++) {
        assert_int_equal(ph_picture_resize(picture, resampled[i].height, resampled[i].width, &out), PH_OK);
        for (int y = 0; y < out->height; y++)
            for (int x = 0; x < out->width; x++)
                assert_true(fabsf(pixel(out, 0, y, x) - resampled[i].values[y * out->width + x]) < 1e-6f);
        ph_picture_destroy(&out);
    }
    ph_picture_destroy(&picture);
    /* The same size gives the same values, and each channel is resampled by itself. */
    picture = make(*state, 3, HEIGHT, WIDTH);
    assert_int_equal(ph_picture_resize(picture, HEIGHT, WIDTH, &out), PH_OK);
    assert_same(picture, out);
    ph_picture_destroy(&out);
    for (size_t i = 0; i < HEIGHT * WIDTH; i++)
        for (size_t c = 0; c < 3; c++) picture->pixels[c * HEIGHT * WIDTH + i] = 0.25f * (float)(c + 1);
    assert_int_equal(ph_picture_resize(picture, 100, 4, &out), PH_OK);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < 100; y++)
            for (int x = 0; x < 4; x++) assert_true(fabsf(pixel(out, c, y, x) - 0.25f * (float)(c + 1)) < 1e-6f);
    ph_picture_destroy(&out);
    assert_int_equal(ph_picture_resize(picture, 0, 4, &out), PH_ERROR_UNSUPPORTED);
    ph_picture_destroy(&picture);
}

static void test_crop(void **state) {
    ph_picture *picture = make(*state, 3, HEIGHT, WIDTH), *out;
    assert_int_equal(ph_picture_crop(picture, 2, 3, 7, 10, &out), PH_OK);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < 7; y++)
            for (int x = 0; x < 10; x++) assert_true(pixel(out, c, y, x) == pixel(picture, c, y + 2, x + 3));
    ph_picture_destroy(&out);
    assert_int_equal(ph_picture_crop(picture, 3, 3, 7, 10, &out), PH_ERROR_ARGUMENT);
    assert_int_equal(ph_picture_crop(picture, -1, 0, 1, 1, &out), PH_ERROR_ARGUMENT);
    assert_int_equal(ph_picture_crop(picture, 0, INT32_MAX, 1, INT32_MAX, &out), PH_ERROR_ARGUMENT);
    ph_picture_destroy(&picture);
}

/* Horizontal and vertical ramps: the values tell where a crop came from, to an eighth of a pixel. */
static void test_fit(void **state) {
    ph_context *context = *state;
    ph_picture *picture, *out;
    assert_int_equal(ph_picture_create(context, 3, 300, 500, &picture), PH_OK);
    for (size_t y = 0; y < 300; y++)
        for (size_t x = 0; x < 500; x++)
            for (size_t c = 0; c < 3; c++)
                picture->pixels[(c * 300 + y) * 500 + x] = c == 0   ? ((float)x + 0.5f) / 500
                                                           : c == 1 ? ((float)y + 0.5f) / 300
                                                                    : 0;
    /* 300 x 500 becomes 256 x 427, of which rows 16 to 240 and columns 101 to 325 stay. */
    assert_int_equal(ph_picture_fit(picture, NULL, 224, 224, &out), PH_OK);
    assert_true(out->height == 224 && out->width == 224 && out->channels == 3);
    assert_true(fabsf(pixel(out, 0, 100, 0) - 101.5f / 427) < 5e-4f &&
                fabsf(pixel(out, 0, 100, 223) - 324.5f / 427) < 5e-4f);
    assert_true(fabsf(pixel(out, 1, 0, 100) - 16.5f / 256) < 5e-4f &&
                fabsf(pixel(out, 1, 223, 100) - 239.5f / 256) < 5e-4f);
    ph_picture_destroy(&out);
    /* 227-pixel networks are shown the middle of 256 too. */
    assert_int_equal(ph_picture_fit(picture, "crop", 227, 227, &out), PH_OK);
    assert_true(fabsf(pixel(out, 1, 0, 100) - 14.5f / 256) < 5e-4f);
    ph_picture_destroy(&out);
    assert_int_equal(ph_picture_fit(picture, "crop", 300, 500, &out), PH_OK);
    assert_same(picture, out); /* nobody wants a part of what is of the very size */
    ph_picture_destroy(&out);
    assert_int_equal(ph_picture_fit(picture, "stretch", 30, 50, &out), PH_OK);
    assert_true(out->height == 30 && out->width == 50 && fabsf(pixel(out, 0, 15, 25) - 0.51f) < 5e-4f);
    ph_picture_destroy(&out);
    assert_int_equal(ph_picture_fit(picture, "none", 1, 1, &out), PH_OK);
    assert_same(picture, out);
    ph_picture_destroy(&out);
    assert_int_equal(ph_picture_fit(picture, "squeeze", 224, 224, &out), PH_ERROR_ARGUMENT);
    assert_non_null(strstr(ph_context_error(context), "'squeeze'"));
    ph_picture_destroy(&picture);
    /* A line so long that its scaled size is beyond every picture. */
    assert_int_equal(ph_picture_create(context, 1, 1, 1 << 24, &picture), PH_OK);
    memset(picture->pixels, 0, sizeof(float) << 24);
    assert_int_equal(ph_picture_fit(picture, "crop", 224, 224, &out), PH_ERROR_UNSUPPORTED);
    assert_int_equal(ph_picture_fit(picture, "crop", INT32_MAX, 224, &out), PH_ERROR_UNSUPPORTED);
    ph_picture_destroy(&picture);
}

static void test_convert(void **state) {
    ph_context *context = *state;
    ph_picture *picture, *out;
    assert_int_equal(ph_picture_create(context, 4, 1, 2, &picture), PH_OK);
    memcpy(picture->pixels, (float[]){1, 0.25f, 0.5f, 0.25f, 0, 0.25f, 1, 0.2f}, 8 * sizeof(float));
    assert_int_equal(ph_picture_convert(picture, 3, &out), PH_OK);
    static const float composited[] = {1, 0.45f, 0.5f, 0.45f, 0, 0.45f};
    for (int i = 0; i < 6; i++) assert_true(fabsf(out->pixels[i] - composited[i]) < 1e-6f);
    ph_picture_destroy(&out);
    assert_int_equal(ph_picture_convert(picture, 1, &out), PH_OK);
    assert_true(fabsf(out->pixels[0] - (0.299f + 0.587f / 2)) < 1e-6f && fabsf(out->pixels[1] - 0.45f) < 1e-6f);
    ph_picture_destroy(&picture);
    assert_int_equal(ph_picture_convert(out, 3, &picture), PH_OK);
    for (int i = 0; i < 6; i++) assert_true(picture->pixels[i] == out->pixels[i % 2]);
    assert_int_equal(ph_picture_convert(picture, 4, &out), PH_ERROR_ARGUMENT);
    ph_picture_destroy(&out);
    ph_picture_destroy(&picture);
}

static void test_sheet(void **state) {
    ph_context *context = *state;
    enum { COUNT = 5, GAP = 3, CAPTION = 11 };
    static const char *const captions[COUNT] = {"one", "inception_4a/output:11", NULL, "\x01\xff~", ""};
    static const int counts[] = {1, 3, 4, 16};
    for (int i = 0; i < 4; i++) {
        const ph_picture *pictures[COUNT];
        ph_picture *owned[COUNT], *sheet;
        for (int j = 0; j < COUNT; j++) pictures[j] = owned[j] = make(context, counts[i], 20, 30);
        assert_int_equal(ph_picture_sheet(context, pictures, captions, COUNT, 2, GAP, &sheet), PH_OK);
        assert_true(sheet->width == 2 * (30 + GAP) + GAP && sheet->height == 3 * (20 + CAPTION + GAP) + GAP);
        assert_true(sheet->channels == counts[i] && sheet->separate == owned[0]->separate);
        for (int c = 0; c < counts[i]; c++) {
            assert_true(pixel(sheet, c, 0, 0) == 0.5f);
            for (int y = 0; y < 20; y++)
                for (int x = 0; x < 30; x++)
                    assert_true(pixel(sheet, c, GAP + 20 + CAPTION + GAP + y, GAP + 30 + GAP + x) ==
                                pixel(owned[3], c, y, x));
        }
        int dark = 0;
        for (int y = GAP + 20; y < GAP + 20 + CAPTION; y++)
            for (int x = 0; x < sheet->width; x++) dark += pixel(sheet, 0, y, x) == 0;
        assert_true(dark > 30);
        /* A caption that is cut says so: it begins with two dots, which are low. */
        for (int y = GAP + 20; y < GAP + 20 + 5; y++)
            for (int x = GAP + 30 + GAP; x < GAP + 30 + GAP + 12; x++) assert_true(pixel(sheet, 0, y, x) == 0.5f);
        ph_picture_destroy(&sheet);
        assert_int_equal(ph_picture_sheet(context, pictures, NULL, COUNT, 0, 0, &sheet), PH_OK);
        assert_true(sheet->width == 3 * 30 && sheet->height == 2 * 20);
        ph_picture_destroy(&sheet);
        assert_int_equal(ph_picture_sheet(context, pictures, NULL, 0, 0, 0, &sheet), PH_ERROR_ARGUMENT);
        assert_int_equal(ph_picture_sheet(context, pictures, NULL, COUNT, 0, -1, &sheet), PH_ERROR_ARGUMENT);
        owned[2]->height = 19;
        assert_int_equal(ph_picture_sheet(context, pictures, NULL, COUNT, 0, 0, &sheet), PH_ERROR_SHAPE);
        for (int j = 0; j < COUNT; j++) ph_picture_destroy(&owned[j]);
    }
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    ph_context *context = ph_context_create();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_round_trip, context), cmocka_unit_test_prestate(test_separate_channels, context),
        cmocka_unit_test_prestate(test_too_wide, context), cmocka_unit_test_prestate(test_formats, context),
        cmocka_unit_test_prestate(test_names, context), cmocka_unit_test_prestate(test_truncated, context),
        cmocka_unit_test_prestate(test_flipped, context), cmocka_unit_test_prestate(test_huge, context),
        cmocka_unit_test_prestate(test_full_disk, context), cmocka_unit_test_prestate(test_memory, context),
        cmocka_unit_test_prestate(test_rounding, context), cmocka_unit_test_prestate(test_resize, context),
        cmocka_unit_test_prestate(test_crop, context), cmocka_unit_test_prestate(test_fit, context),
        cmocka_unit_test_prestate(test_convert, context), cmocka_unit_test_prestate(test_sheet, context)};
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    ph_context_destroy(&context);
    /* Fails when a test left something behind. */
    return failures || rmdir(folder);
}
