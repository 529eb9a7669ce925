/* Animated WebP, by libwebp's encoder of animations. Without the library every call says so. */
#include "image/image.h"
#include <string.h>

#if defined PH_HAVE_WEBP
#include <webp/encode.h>
#include <webp/mux.h>

struct ph_animation {
    ph_context *context;
    WebPAnimEncoder *encoder;
    WebPConfig config;
    int height, width, frames;
    double rate;
};

/* WebP's own limit on a side. */
enum { MOST_SIDE = 16383 };

static int frame_time(const ph_animation *animation, int frame) { return (int)(frame * 1000 / animation->rate + 0.5); }

static ph_status refused(const ph_animation *animation, const char *why) {
    return ph_fail(animation->context, PH_ERROR_UNSUPPORTED, "frame %d of the animation cannot be encoded: %s",
                   animation->frames + 1, why);
}

ph_status ph_animation_create(ph_context *context, int height, int width, double rate, double quality,
                              ph_animation **animation) {
    *animation = NULL;
    if (height < 1 || width < 1 || height > MOST_SIDE || width > MOST_SIDE)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "an animation of %dx%d pixels: WebP has 1 to %d", width, height, MOST_SIDE);
    if (!(rate >= 0.1 && rate <= 1000) || !(quality >= 0 && quality <= 100))
        return ph_fail(context, PH_ERROR_ARGUMENT,
                       "an animation has 0.1 to 1000 frames a second and a quality of 0 to 100, not %g and %g", rate, quality);
    ph_animation *made = ph_alloc(sizeof *made);
    WebPAnimEncoderOptions options;
    if (!made) return ph_fail_memory(context);
    *made = (ph_animation){.context = context, .height = height, .width = width, .rate = rate};
    bool ready = WebPConfigInit(&made->config) && WebPAnimEncoderOptionsInit(&options);
    made->config.quality = (float)quality;
    made->config.alpha_quality = 100;
    if (ready) made->encoder = WebPAnimEncoderNew(width, height, &options);
    if (!made->encoder) {
        ph_animation_destroy(&made);
        return ph_fail_memory(context);
    }
    *animation = made;
    return PH_OK;
}

/* Grey in all three colours; opacity where the picture has it. */
static void pixels_fill(const ph_picture *picture, WebPPicture *frame) {
    size_t plane = (size_t)picture->height * (size_t)picture->width;
    int colours = picture->channels < 3 ? 1 : 3;
    bool opacity = picture->channels == 2 || picture->channels == 4;
    for (int y = 0; y < picture->height; y++)
        for (int x = 0; x < picture->width; x++) {
            const float *from = picture->pixels + (size_t)y * (size_t)picture->width + (size_t)x;
            uint32_t argb = opacity ? ph_pixel_to_byte(from[(size_t)colours * plane]) : 255;
            for (size_t c = 0; c < 3; c++) argb = argb << 8 | ph_pixel_to_byte(from[colours == 3 ? c * plane : 0]);
            frame->argb[(size_t)y * (size_t)frame->argb_stride + (size_t)x] = argb;
        }
}

ph_status ph_animation_add(ph_animation *animation, const ph_picture *picture) {
    WebPPicture frame;
    if (picture->separate || picture->channels > 4) return refused(animation, "its channels are not colours");
    if (picture->height != animation->height || picture->width != animation->width)
        return refused(animation, "its size is another than the first one's");
    if (!WebPPictureInit(&frame)) return refused(animation, "another version of libwebp was built with");
    frame.use_argb = 1;
    frame.height = picture->height;
    frame.width = picture->width;
    if (!WebPPictureAlloc(&frame)) return ph_fail_memory(animation->context);
    pixels_fill(picture, &frame);
    bool added = WebPAnimEncoderAdd(animation->encoder, &frame, frame_time(animation, animation->frames), &animation->config);
    WebPPictureFree(&frame);
    if (!added) return refused(animation, WebPAnimEncoderGetError(animation->encoder));
    animation->frames++;
    return PH_OK;
}

ph_status ph_animation_save(ph_animation *animation, const char *path, bool overwrite) {
    ph_context *context = animation->context;
    WebPData data;
    if (!animation->frames) return ph_fail(context, PH_ERROR_ARGUMENT, "%s: an animation needs a frame", path);
    if (!overwrite && ph_file_exists(path)) return ph_fail(context, PH_ERROR_FILE, "%s: exists already", path);
    WebPDataInit(&data);
    if (!WebPAnimEncoderAdd(animation->encoder, NULL, frame_time(animation, animation->frames), NULL) ||
        !WebPAnimEncoderAssemble(animation->encoder, &data))
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "%s: %s", path, WebPAnimEncoderGetError(animation->encoder));
    ph_status status = ph_file_write(context, path, data.bytes, data.size, overwrite);
    WebPDataClear(&data);
    return status;
}

void ph_animation_destroy(ph_animation **animation) {
    if (!animation || !*animation) return;
    if ((*animation)->encoder) WebPAnimEncoderDelete((*animation)->encoder);
    ph_free(*animation);
    *animation = NULL;
}

#else

ph_status ph_animation_create(ph_context *context, int height, int width, double rate, double quality,
                              ph_animation **animation) {
    (void)height, (void)width, (void)rate, (void)quality;
    *animation = NULL;
    return ph_fail(context, PH_ERROR_UNSUPPORTED,
                   "this phosphene was built without libwebp, which writes animations (meson option webp)");
}

ph_status ph_animation_add(ph_animation *animation, const ph_picture *picture) {
    (void)animation, (void)picture;
    return PH_ERROR_UNSUPPORTED;
}

ph_status ph_animation_save(ph_animation *animation, const char *path, bool overwrite) {
    (void)animation, (void)path, (void)overwrite;
    return PH_ERROR_UNSUPPORTED;
}

void ph_animation_destroy(ph_animation **animation) { (void)animation; }

#endif
