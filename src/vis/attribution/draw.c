/* Maps as pictures. */
#include "image/colour_map.h"
#include "vis/vis.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

ph_drawing_options ph_drawing_defaults(void) {
    return (ph_drawing_options){.style = "heat", .opacity = 0.5, .percentile = 99};
}

struct drawing {
    const ph_explanation *explanation;
    ph_context *context;
    double opacity;
    bool is_signed;
    float (*table)[3];
    float *shares; /* [pixels] the map scaled: to [0,1], or to [-1,1] when signed */
    int height, width;
    size_t pixels;
};

static int float_compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The magnitude below which `percentile` of them lie; without signs, of the height above the least value. */
static ph_status scale_find(ph_context *context, const float *map, size_t count, bool is_signed, double percentile,
                            float *low, float *scale) {
    float *sorted = ph_alloc_array(count, sizeof *sorted);
    if (!sorted) return ph_fail_memory(context);
    *low = is_signed ? 0 : INFINITY;
    for (size_t i = 0; i < count && !is_signed; i++) *low = fminf(*low, map[i]);
    for (size_t i = 0; i < count; i++) sorted[i] = fabsf(map[i] - *low);
    qsort(sorted, count, sizeof *sorted, float_compare);
    *scale = sorted[(size_t)(percentile / 100 * (double)(count - 1) + 0.5)];
    if (!(*scale > 0)) *scale = sorted[count - 1];
    ph_free(sorted);
    return PH_OK;
}

static ph_status shares_make(struct drawing *drawing, double percentile) {
    const float *map = drawing->explanation->map->data;
    float low, scale;
    PH_TRY(scale_find(drawing->context, map, drawing->pixels, drawing->is_signed, percentile, &low, &scale));
    drawing->shares = ph_alloc_array(drawing->pixels, sizeof *drawing->shares);
    if (!drawing->shares) return ph_fail_memory(drawing->context);
    for (size_t i = 0; i < drawing->pixels && scale > 0; i++)
        drawing->shares[i] = fmaxf(fminf((map[i] - low) / scale, 1), -1);
    return PH_OK;
}

static const float *colour_of(const struct drawing *drawing, size_t pixel) {
    float share = drawing->shares[pixel];
    if (drawing->is_signed) share = 0.5f * (share + 1);
    return drawing->table[(int)(share * (PH_COLOUR_MAP_SIZE - 1) + 0.5f)];
}

/* ---- Styles: each turns the picture that was explained, in three channels, into its drawing ---------------------- */

static void heat(const struct drawing *drawing, struct ph_picture *picture) {
    for (size_t i = 0; i < drawing->pixels; i++)
        for (size_t c = 0; c < 3; c++) picture->pixels[c * drawing->pixels + i] = colour_of(drawing, i)[c];
}

static void overlay(const struct drawing *drawing, struct ph_picture *picture) {
    float opacity = (float)drawing->opacity;
    for (size_t i = 0; i < drawing->pixels; i++)
        for (size_t c = 0; c < 3; c++) {
            float *pixel = &picture->pixels[c * drawing->pixels + i];
            *pixel += opacity * (colour_of(drawing, i)[c] - *pixel);
        }
}

static void masked(const struct drawing *drawing, struct ph_picture *picture) {
    for (size_t i = 0; i < drawing->pixels; i++)
        for (size_t c = 0; c < 3; c++) picture->pixels[c * drawing->pixels + i] *= fmaxf(drawing->shares[i], 0);
}

static void plain(const struct drawing *drawing, struct ph_picture *picture) {
    (void)drawing;
    (void)picture;
}

static const struct style {
    const char *name;
    void (*draw)(const struct drawing *drawing, struct ph_picture *picture);
    bool in_sheet;
} styles[] = {{"picture", plain, true}, {"heat", heat, true}, {"overlay", overlay, true}, {"masked", masked, true},
              {"signed", heat, false}};

static ph_status style_draw(const struct drawing *drawing, const struct style *style, ph_picture **picture) {
    PH_TRY(ph_picture_convert(drawing->explanation->picture, 3, picture));
    style->draw(drawing, *picture);
    return PH_OK;
}

static ph_status sheet_draw(const struct drawing *drawing, ph_picture **sheet) {
    enum { GAP = 4 };
    ph_picture *pictures[PH_COUNT(styles)] = {0};
    const char *captions[PH_COUNT(styles)];
    int count = 0;
    ph_status status = PH_OK;
    for (int i = 0; i < PH_COUNT(styles) && !status; i++) {
        if (!styles[i].in_sheet) continue;
        captions[count] = styles[i].draw == plain  ? drawing->explanation->objective
                          : styles[i].draw == heat ? drawing->explanation->method : styles[i].name;
        status = style_draw(drawing, &styles[i], &pictures[count++]);
    }
    if (!status)
        status = ph_picture_sheet(drawing->context, (const ph_picture *const *)pictures, captions, count, count, GAP,
                                  sheet);
    for (int i = 0; i < count; i++) ph_picture_destroy(&pictures[i]);
    return status;
}

/* What was explained, and how, into the picture's text. */
static ph_status facts_write(const ph_explanation *explanation, ph_picture *picture) {
    char *facts = ph_sprintf("#objective=%s\n#method=%s\n%s%s%s", explanation->objective, explanation->method,
                             explanation->layer ? "#layer=" : "", explanation->layer ? explanation->layer : "",
                             explanation->layer ? "\n" : "");
    if (!facts) return ph_fail_memory(picture->context);
    ph_free(picture->recipe);
    picture->recipe = facts;
    return PH_OK;
}

static ph_status colours_choose(const ph_drawing_options *options, struct drawing *drawing, float table[][3]) {
    const struct ph_colour_map *map = ph_colour_map_find(options->colours   ? options->colours
                                                         : drawing->is_signed ? "blue-red" : "lagoon");
    if (!map) {
        struct ph_text names = {0};
        for (int i = 0; ph_colour_maps[i].name; i++)
            ph_text_append(&names, "%s%s", i ? ", " : "", ph_colour_maps[i].name);
        ph_status status = ph_fail(drawing->context, PH_ERROR_NOT_FOUND, "colours: '%s' is none of %s",
                                   options->colours, names.data ? names.data : "");
        ph_text_finish(&names);
        return status;
    }
    if (map->diverging && !drawing->is_signed)
        return ph_fail(drawing->context, PH_ERROR_ARGUMENT,
                       "colours: '%s' is for signed maps, and this one has no sign", map->name);
    ph_colour_map_table(map, table);
    drawing->table = table;
    return PH_OK;
}

static const struct style *style_find(const char *name) {
    for (int i = 0; i < PH_COUNT(styles); i++)
        if (!strcmp(styles[i].name, name)) return &styles[i];
    return NULL;
}

ph_status ph_explanation_draw(const ph_explanation *explanation, const ph_drawing_options *options,
                              ph_picture **picture) {
    if (!explanation || !explanation->picture || !picture) return PH_ERROR_ARGUMENT;
    const ph_drawing_options standard = ph_drawing_defaults();
    if (!options) options = &standard;
    ph_context *context = explanation->picture->context;
    float table[PH_COLOUR_MAP_SIZE][3];
    const char *name = options->style ? options->style : standard.style;
    const struct style *style = style_find(name);
    bool sheet = !strcmp(name, "sheet");
    *picture = NULL;
    if (!style && !sheet)
        return ph_fail(context, PH_ERROR_ARGUMENT,
                       "style: '%s' is none of heat, overlay, signed, masked, picture, sheet", name);
    if (!(options->opacity >= 0 && options->opacity <= 1) || !(options->percentile >= 50 && options->percentile <= 100))
        return ph_fail(context, PH_ERROR_ARGUMENT, "opacity is 0 to 1 and percentile 50 to 100");
    if (!explanation->map)
        return ph_fail(context, PH_ERROR_UNSUPPORTED, "layer '%s' has no positions to draw a map of",
                       explanation->layer);
    struct drawing drawing = {.explanation = explanation, .context = context, .opacity = options->opacity,
        .is_signed = explanation->is_signed || !strcmp(name, "signed"), .height = explanation->picture->height,
        .width = explanation->picture->width};
    drawing.pixels = (size_t)drawing.height * (size_t)drawing.width;
    PH_TRY(colours_choose(options, &drawing, table));
    ph_status status = shares_make(&drawing, options->percentile);
    if (!status) status = sheet ? sheet_draw(&drawing, picture) : style_draw(&drawing, style, picture);
    if (!status) status = facts_write(explanation, *picture);
    if (status) ph_picture_destroy(picture);
    ph_free(drawing.shares);
    return status;
}
