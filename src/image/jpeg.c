/* JPEG by libjpeg (libjpeg-turbo): baseline and progressive, grey, colour and CMYK, turned upright as its EXIF says. A file
 * that ends early is refused, other damage is passed over where the library can. stb_image would read JPEG too, but the
 * version of Debian 12 trusts the lengths in a file's Huffman tables. */
#include "image/formats.h"
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <jpeglib.h>
#include <jerror.h>

/* More passes than any encoder makes: each goes over the whole picture, however little the file says about it. */
enum { MOST_SCANS = 128, EXIF_MARKER = JPEG_APP0 + 1 };

/* What the error path has to free, kept out of longjmp's way. */
struct decoding {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    char message[JMSG_LENGTH_MAX];
    uint8_t *row;
    struct ph_picture *picture;
};

static void keep_error(j_common_ptr jpeg) {
    struct decoding *d = jpeg->client_data;
    jpeg->err->format_message(jpeg, d->message);
    longjmp(d->failed, 1);
}

/* Level -1 is damage. What is missing is taken for an error, stray bytes are not. */
static void judge_message(j_common_ptr jpeg, int level) {
    bool missing = jpeg->err->msg_code == JWRN_JPEG_EOF || jpeg->err->msg_code == JWRN_HIT_MARKER;
    if (level < 0 && missing) keep_error(jpeg);
}

static void count_scans(j_common_ptr jpeg) {
    struct decoding *d = jpeg->client_data;
    if (d->jpeg.input_scan_number <= MOST_SCANS) return;
    snprintf(d->message, sizeof d->message, "more than %d scans", MOST_SCANS);
    longjmp(d->failed, 1);
}

static unsigned orientation_find(const struct jpeg_decompress_struct *jpeg) {
    for (const struct jpeg_marker_struct *marker = jpeg->marker_list; marker; marker = marker->next)
        if (marker->marker == EXIF_MARKER) return ph_exif_orientation(marker->data, marker->data_length);
    return 0;
}

/* CMYK as Adobe writes it: 255 is no ink. Others write 0 for that. */
static void store_row(struct decoding *d, size_t y) {
    struct ph_picture *picture = d->picture;
    size_t plane = (size_t)picture->width * (size_t)picture->height, samples = (size_t)d->jpeg.output_components;
    for (size_t x = 0; x < d->jpeg.output_width; x++) {
        for (size_t c = 0; c < (size_t)picture->channels; c++) {
            const uint8_t *from = d->row + x * samples;
            float value = (float)from[c] / 255;
            if (samples == 4 && d->jpeg.saw_Adobe_marker) value *= (float)from[3] / 255;
            else if (samples == 4) value = (1 - value) * (1 - (float)from[3] / 255);
            picture->pixels[c * plane + y * d->jpeg.output_width + x] = value;
        }
    }
}

static ph_status decode_into(ph_context *context, const char *path, const uint8_t *data, size_t size,
                             struct decoding *d) {
    if (setjmp(d->failed)) return ph_fail(context, PH_ERROR_FORMAT, "%s: %s", path, d->message);
    jpeg_create_decompress(&d->jpeg);
    d->jpeg.progress = &d->progress;
    jpeg_mem_src(&d->jpeg, data, size);
    jpeg_save_markers(&d->jpeg, EXIF_MARKER, 0xffff);
    jpeg_read_header(&d->jpeg, TRUE);
    uint64_t pixels = (uint64_t)d->jpeg.image_width * d->jpeg.image_height;
    if (pixels > PH_MAX_PIXELS)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "%s: %u x %u pixels; at most %d", path, d->jpeg.image_width,
                       d->jpeg.image_height, PH_MAX_PIXELS);
    bool grey = d->jpeg.jpeg_color_space == JCS_GRAYSCALE;
    bool ink = d->jpeg.jpeg_color_space == JCS_CMYK || d->jpeg.jpeg_color_space == JCS_YCCK;
    d->jpeg.out_color_space = grey ? JCS_GRAYSCALE : ink ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&d->jpeg);
    int height = (int)d->jpeg.output_height, width = (int)d->jpeg.output_width;
    PH_TRY(ph_picture_create(context, grey ? 1 : 3, height, width, &d->picture));
    d->row = ph_alloc_array(d->jpeg.output_width, (size_t)d->jpeg.output_components);
    if (!d->row) return ph_fail_memory(context);
    for (int y = 0; y < height; y++) {
        jpeg_read_scanlines(&d->jpeg, &d->row, 1);
        store_row(d, (size_t)y);
    }
    unsigned orientation = orientation_find(&d->jpeg);
    jpeg_finish_decompress(&d->jpeg);
    return ph_picture_turn_upright(&d->picture, orientation);
}

static ph_status decode(ph_context *context, const char *path, const uint8_t *data, size_t size,
                        struct ph_picture **picture) {
    *picture = NULL;
    struct decoding *d = ph_alloc(sizeof *d);
    if (!d) return ph_fail_memory(context);
    d->jpeg.err = jpeg_std_error(&d->errors);
    d->errors.error_exit = keep_error;
    d->errors.emit_message = judge_message;
    d->progress.progress_monitor = count_scans;
    d->jpeg.client_data = d;
    ph_status status = decode_into(context, path, data, size, d);
    jpeg_destroy_decompress(&d->jpeg);
    ph_free(d->row);
    if (status) ph_picture_destroy(&d->picture);
    *picture = d->picture;
    ph_free(d);
    return status;
}

static bool is_jpeg(const uint8_t *data, size_t size) { return size >= 3 && !memcmp(data, "\xff\xd8\xff", 3); }

const struct ph_image_codec ph_image_codec_jpeg = {
    "JPEG", ".jpg .jpeg", "read: baseline and progressive, turned upright as the EXIF says", is_jpeg, decode, NULL};
