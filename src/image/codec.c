/* The table of picture formats, reading by contents and writing by file name. */
#include "image/image.h"
#include "image/formats.h"
#include <string.h>
#include <strings.h>

const struct ph_image_codec *const ph_image_codecs[] = {
    &ph_image_codec_png, &ph_image_codec_jpeg, &ph_image_codec_bmp, &ph_image_codec_gif, &ph_image_codec_pnm,
#ifdef PH_HAVE_WEBP
    &ph_image_codec_webp,
#endif
    &ph_image_codec_tga, /* last: TGA has no mark to know it by */
    NULL};

ph_status ph_picture_load(ph_context *context, const char *path, ph_picture **picture) {
    *picture = NULL;
    struct ph_file file;
    PH_TRY(ph_file_open(context, path, &file));
    ph_status status = PH_OK;
    const struct ph_image_codec *codec = NULL;
    for (int i = 0; ph_image_codecs[i] && !codec; i++)
        if (ph_image_codecs[i]->recognise(file.data, file.size)) codec = ph_image_codecs[i];
    if (codec) status = codec->decode(context, path, file.data, file.size, picture);
    else {
        struct ph_text names = {0};
        for (int i = 0; ph_image_codecs[i]; i++)
            ph_text_append(&names, "%s%s", i ? ", " : "", ph_image_codecs[i]->name);
        status = ph_fail(context, PH_ERROR_FORMAT, "%s: not a picture phosphene reads (%s)", path,
                         names.data ? names.data : "");
        ph_text_finish(&names);
    }
    ph_file_close(&file);
    return status;
}

/* Whether `path` ends in one of the space-separated extensions. */
static bool has_extension(const char *path, const char *extensions) {
    const char *dot = strrchr(ph_base_name(path), '.');
    if (!dot) return false;
    size_t length = strlen(dot);
    for (const char *at = extensions; *at;) {
        size_t span = strcspn(at, " ");
        if (span == length && !strncasecmp(at, dot, span)) return true;
        at += span + (at[span] == ' ');
    }
    return false;
}

ph_status ph_picture_save(const ph_picture *picture, const char *path, bool overwrite) {
    ph_context *context = picture->context;
    const struct ph_image_codec *codec = NULL;
    for (int i = 0; ph_image_codecs[i] && !codec; i++)
        if (ph_image_codecs[i]->encode && has_extension(path, ph_image_codecs[i]->extensions))
            codec = ph_image_codecs[i];
    if (!codec) return ph_fail(context, PH_ERROR_ARGUMENT, "%s: pictures are written as .png", path);
    if (!overwrite && ph_file_exists(path)) return ph_fail(context, PH_ERROR_FILE, "%s: exists already", path);
    uint8_t *bytes;
    size_t size;
    PH_TRY(codec->encode(context, picture, &bytes, &size));
    ph_status status = ph_file_write(context, path, bytes, size, overwrite);
    ph_free(bytes);
    return status;
}
