/* Colour maps computed in OKLab (Björn Ottosson 2020, "A perceptual color space for image processing"), where distances
 * are about those that people see. A map is a path through a few colours; its entries lie at equal distances along it.
 * Colours that sRGB cannot show lose chroma, not lightness. */
#include "image/colour_map.h"
#include <math.h>
#include <stddef.h>
#include <string.h>

/* Hues run on beyond 360 where the path crosses red. */
const struct ph_colour_map ph_colour_maps[] = {
    {"lagoon", "dark violet, blue, green, yellow", false,
     {{0.25, 0.11, 305}, {0.43, 0.10, 265}, {0.60, 0.09, 200}, {0.76, 0.15, 150}, {0.92, 0.18, 108}}},
    {"ember", "black, violet, red, orange, pale yellow", false,
     {{0.05, 0.02, 285}, {0.28, 0.13, 310}, {0.50, 0.18, 370}, {0.73, 0.17, 412}, {0.97, 0.08, 465}}},
    {"grey", "black to white", false, {{0, 0, 0}, {0.25, 0, 0}, {0.5, 0, 0}, {0.75, 0, 0}, {1, 0, 0}}},
    {"blue-red", "blue below nothing, white, red above", true,
     {{0.35, 0.13, 260}, {0.70, 0.10, 250}, {0.98, 0, 0}, {0.70, 0.14, 30}, {0.40, 0.16, 27}}},
    {"violet-green", "violet below nothing, white, green above", true,
     {{0.35, 0.13, 315}, {0.70, 0.10, 315}, {0.98, 0, 0}, {0.70, 0.14, 145}, {0.40, 0.12, 147}}},
    {NULL}};

const struct ph_colour_map *ph_colour_map_find(const char *name) {
    for (const struct ph_colour_map *map = ph_colour_maps; map->name; map++)
        if (!strcmp(map->name, name)) return map;
    return NULL;
}

/* Linear light of red, green and blue. */
static void linear_of_oklab(const double lab[3], double rgb[3]) {
    double l = lab[0] + 0.3963377774 * lab[1] + 0.2158037573 * lab[2];
    double m = lab[0] - 0.1055613458 * lab[1] - 0.0638541728 * lab[2];
    double s = lab[0] - 0.0894841775 * lab[1] - 1.2914855480 * lab[2];
    l = l * l * l;
    m = m * m * m;
    s = s * s * s;
    rgb[0] = 4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s;
    rgb[1] = -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s;
    rgb[2] = -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s;
}

static bool is_shown(const double lab[3]) {
    double rgb[3];
    linear_of_oklab(lab, rgb);
    for (int c = 0; c < 3; c++)
        if (rgb[c] < -1e-4 || rgb[c] > 1 + 1e-4) return false;
    return true;
}

/* Halves the interval of chromas until the largest that can be shown is found. */
static void chroma_limit(double lab[3]) {
    double low = 0, high = 1, a = lab[1], b = lab[2];
    if (is_shown(lab)) return;
    for (int i = 0; i < 30; i++) {
        double share = 0.5 * (low + high);
        lab[1] = share * a;
        lab[2] = share * b;
        if (is_shown(lab)) low = share;
        else high = share;
    }
    lab[1] = low * a;
    lab[2] = low * b;
}

/* The path at `t` in [0,1]. Beside a neutral stop the hue is its neighbour's. */
static void path_at(const struct ph_colour_map *map, double t, double lab[3]) {
    double at = t * (PH_COLOUR_MAP_STOPS - 1);
    int i = at >= PH_COLOUR_MAP_STOPS - 1 ? PH_COLOUR_MAP_STOPS - 2 : (int)at;
    double share = at - i, from = map->stops[i].hue, to = map->stops[i + 1].hue;
    if (map->stops[i].chroma == 0) from = to;
    if (map->stops[i + 1].chroma == 0) to = from;
    double hue = (from + share * (to - from)) * 3.14159265358979323846 / 180;
    double chroma = map->stops[i].chroma + share * (map->stops[i + 1].chroma - map->stops[i].chroma);
    lab[0] = map->stops[i].lightness + share * (map->stops[i + 1].lightness - map->stops[i].lightness);
    lab[1] = chroma * cos(hue);
    lab[2] = chroma * sin(hue);
    chroma_limit(lab);
}

static double srgb_of_linear(double x) {
    x = fmin(fmax(x, 0), 1);
    return x <= 0.0031308 ? 12.92 * x : 1.055 * pow(x, 1 / 2.4) - 0.055;
}

void ph_colour_map_table(const struct ph_colour_map *map, float table[PH_COLOUR_MAP_SIZE][3]) {
    enum { FINE = 4096 };
    double length[FINE + 1] = {0}, before[3], lab[3], rgb[3];
    path_at(map, 0, before);
    for (int i = 1; i <= FINE; i++) {
        path_at(map, (double)i / FINE, lab);
        length[i] = length[i - 1] + hypot(hypot(lab[0] - before[0], lab[1] - before[1]), lab[2] - before[2]);
        memcpy(before, lab, sizeof lab);
    }
    for (int entry = 0, i = 0; entry < PH_COLOUR_MAP_SIZE; entry++) {
        double wanted = length[FINE] * entry / (PH_COLOUR_MAP_SIZE - 1);
        while (i < FINE - 1 && length[i + 1] < wanted) i++;
        double step = length[i + 1] - length[i];
        path_at(map, (i + (step > 0 ? (wanted - length[i]) / step : 0)) / FINE, lab);
        linear_of_oklab(lab, rgb);
        for (int c = 0; c < 3; c++) table[entry][c] = (float)srgb_of_linear(rgb[c]);
    }
}
