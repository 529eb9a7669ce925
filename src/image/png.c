/* PNG by libpng: reads every kind, writes 8 bits a channel with the recipe in a text chunk. Bytes are a function of the
 * picture alone: fixed filter and compression, no time. */
#include "image/formats.h"
#include <png.h>
#include <setjmp.h>
#include <string.h>

#define RECIPE_KEYWORD "phosphene"

struct reader { const uint8_t *data; size_t size, at; char message[128]; };
struct writer { uint8_t *data; size_t size; int capacity; char message[128]; };

static void keep_read_error(png_structp png, png_const_charp message) {
    struct reader *reader = png_get_error_ptr(png);
    strncpy(reader->message, message, sizeof reader->message - 1);
    longjmp(png_jmpbuf(png), 1);
}

static void keep_write_error(png_structp png, png_const_charp message) {
    struct writer *writer = png_get_error_ptr(png);
    strncpy(writer->message, message, sizeof writer->message - 1);
    longjmp(png_jmpbuf(png), 1);
}

static void ignore_warning(png_structp png, png_const_charp message) { (void)png, (void)message; }

static void read_bytes(png_structp png, png_bytep out, size_t count) {
    struct reader *reader = png_get_io_ptr(png);
    if (count > reader->size - reader->at) png_error(png, "the file ends early");
    memcpy(out, reader->data + reader->at, count);
    reader->at += count;
}

static bool is_png(const uint8_t *data, size_t size) { return size >= 8 && !png_sig_cmp(data, 0, 8); }

/* What the error path has to free, kept out of longjmp's way. */
struct decoding { png_structp png; png_infop info; uint8_t *bytes; uint8_t **rows; struct ph_picture *picture; };

static ph_status decode_into(ph_context *context, const char *path, struct reader *reader, struct decoding *d) {
    if (setjmp(png_jmpbuf(d->png))) return ph_fail(context, PH_ERROR_FORMAT, "%s: %s", path, reader->message);
    png_set_read_fn(d->png, reader, read_bytes);
    /* Chunks that unpack to more than they should: at most 512 MiB of them in all. */
    png_set_chunk_malloc_max(d->png, 8u << 20);
    png_set_chunk_cache_max(d->png, 64);
    png_read_info(d->png, d->info);
    png_uint_32 width = png_get_image_width(d->png, d->info), height = png_get_image_height(d->png, d->info);
    if ((uint64_t)width * height > PH_MAX_PIXELS)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "%s: %u x %u pixels; at most %d", path, width, height,
                       PH_MAX_PIXELS);
    png_set_expand(d->png);
    bool wide = png_get_bit_depth(d->png, d->info) == 16;
    bool grey_alpha =
        png_get_color_type(d->png, d->info) == PNG_COLOR_TYPE_GRAY_ALPHA ||
        (png_get_color_type(d->png, d->info) == PNG_COLOR_TYPE_GRAY && png_get_valid(d->png, d->info, PNG_INFO_tRNS));
    if (grey_alpha) png_set_gray_to_rgb(d->png);
    png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
    size_t stride = png_get_rowbytes(d->png, d->info);
    int channels = png_get_channels(d->png, d->info);
    d->bytes = ph_alloc_array(height, stride);
    d->rows = ph_alloc_array(height, sizeof *d->rows);
    if (!d->bytes || !d->rows) return ph_fail_memory(context);
    for (png_uint_32 y = 0; y < height; y++) d->rows[y] = d->bytes + y * stride;
    png_read_image(d->png, d->rows);
    png_read_end(d->png, d->info);
    PH_TRY(ph_picture_create(context, channels, (int)height, (int)width, &d->picture));
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++)
            for (size_t c = 0; c < (size_t)channels; c++) {
                const uint8_t *sample = d->rows[y] + (x * (size_t)channels + c) * (wide ? 2 : 1);
                d->picture->pixels[(c * height + y) * width + x] =
                    wide ? (float)(sample[0] << 8 | sample[1]) / 65535 : (float)sample[0] / 255;
            }
    png_textp texts;
    int count = png_get_text(d->png, d->info, &texts, NULL);
    for (int i = 0; i < count; i++)
        if (!strcmp(texts[i].key, RECIPE_KEYWORD) && texts[i].text) {
            char *recipe = ph_strdup(texts[i].text);
            if (!recipe) return ph_fail_memory(context);
            ph_free(d->picture->recipe);
            d->picture->recipe = recipe;
        }
    png_uint_32 size = 0;
    png_bytep exif = NULL;
    if (!png_get_eXIf_1(d->png, d->info, &size, &exif)) return PH_OK;
    return ph_picture_turn_upright(&d->picture, ph_exif_orientation(exif, size));
}

static ph_status decode(ph_context *context, const char *path, const uint8_t *data, size_t size,
                        struct ph_picture **picture) {
    struct reader reader = {.data = data, .size = size};
    struct decoding d = {0};
    d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, keep_read_error, ignore_warning);
    *picture = NULL;
    if (d.png) d.info = png_create_info_struct(d.png);
    ph_status status = d.info ? decode_into(context, path, &reader, &d) : ph_fail_memory(context);
    if (d.png) png_destroy_read_struct(&d.png, &d.info, NULL);
    ph_free(d.bytes);
    ph_free(d.rows);
    if (status) ph_picture_destroy(&d.picture);
    *picture = d.picture;
    return status;
}

static void write_bytes(png_structp png, png_bytep data, size_t count) {
    struct writer *writer = png_get_io_ptr(png);
    size_t end = writer->size + count;
    if (end > INT32_MAX || !ph_grow(&writer->data, (int)end, &writer->capacity, 1)) png_error(png, "memory ran out");
    memcpy(writer->data + writer->size, data, count);
    writer->size = end;
}

static void flush_nothing(png_structp png) { (void)png; }

struct encoding { png_structp png; png_infop info; uint8_t *row; };

static ph_status encode_into(ph_context *context, const struct ph_picture *picture, struct writer *writer,
                             struct encoding *e) {
    static const int types[] = {0, PNG_COLOR_TYPE_GRAY, 0, PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
    if (setjmp(png_jmpbuf(e->png))) return ph_fail(context, PH_ERROR_MEMORY, "PNG: %s", writer->message);
    png_set_write_fn(e->png, writer, write_bytes, flush_nothing);
    png_set_compression_level(e->png, 6);
    png_set_filter(e->png, 0, PNG_ALL_FILTERS);
    int strip = picture->separate ? picture->channels : 1, channels = picture->separate ? 1 : picture->channels;
    png_set_IHDR(e->png, e->info, (png_uint_32)(picture->width * strip), (png_uint_32)picture->height, 8,
                 types[channels], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_sRGB(e->png, e->info, PNG_sRGB_INTENT_PERCEPTUAL);
    png_text texts[] = {
        {.compression = PNG_TEXT_COMPRESSION_NONE, .key = "Software", .text = "phosphene " PH_VERSION},
        {.compression = PNG_ITXT_COMPRESSION_NONE, .key = RECIPE_KEYWORD, .text = picture->recipe,
         .lang = "", .lang_key = ""}};
    png_set_text(e->png, e->info, texts, picture->recipe[0] ? 2 : 1);
    png_write_info(e->png, e->info);
    size_t plane = (size_t)picture->height * (size_t)picture->width;
    for (int y = 0; y < picture->height; y++) {
        for (int x = 0; x < picture->width; x++)
            for (int c = 0; c < picture->channels; c++)
                e->row[picture->separate ? c * picture->width + x : x * picture->channels + c] = ph_pixel_to_byte(
                    picture->pixels[(size_t)c * plane + (size_t)y * (size_t)picture->width + (size_t)x]);
        png_write_row(e->png, e->row);
    }
    png_write_end(e->png, e->info);
    return PH_OK;
}

static ph_status encode(ph_context *context, const struct ph_picture *picture, uint8_t **out, size_t *size) {
    int64_t width = (int64_t)picture->width * (picture->separate ? picture->channels : 1);
    if (width > PNG_USER_WIDTH_MAX || picture->height > PNG_USER_HEIGHT_MAX)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "PNG: %lld x %d pixels; at most %d each way", (long long)width,
                       picture->height, PNG_USER_WIDTH_MAX);
    struct writer writer = {0};
    struct encoding e = {.row = ph_alloc_array((size_t)picture->width, (size_t)picture->channels),
        .png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &writer, keep_write_error, ignore_warning)};
    if (e.png) e.info = png_create_info_struct(e.png);
    ph_status status = e.info && e.row ? encode_into(context, picture, &writer, &e) : ph_fail_memory(context);
    if (e.png) png_destroy_write_struct(&e.png, &e.info);
    ph_free(e.row);
    if (status) ph_free(writer.data);
    *out = status ? NULL : writer.data;
    *size = status ? 0 : writer.size;
    return status;
}

const struct ph_image_codec ph_image_codec_png = {"PNG",  ".png", "read, turned upright as the EXIF says, and written; the recipe is inside",
                                                  is_png, decode, encode};
