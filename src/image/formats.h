/* The codecs, one line each. */
#ifndef PH_FORMATS_H
#define PH_FORMATS_H

#include "image/image.h"

extern const struct ph_image_codec ph_image_codec_png, ph_image_codec_jpeg, ph_image_codec_bmp, ph_image_codec_gif,
    ph_image_codec_pnm, ph_image_codec_tga, ph_image_codec_webp /* with libwebp */;

#endif
