/* Colour maps: numbers as colours, equal differences looking equal. */
#ifndef PH_COLOUR_MAP_H
#define PH_COLOUR_MAP_H

#include <stdbool.h>

enum { PH_COLOUR_MAP_SIZE = 256, PH_COLOUR_MAP_STOPS = 5 };

/* A path through OKLab's lightness, chroma and hue (degrees), stops evenly spaced before they are made uniform. */
struct ph_colour_map {
    const char *name, *help;
    bool diverging; /* the middle is neutral */
    struct { double lightness, chroma, hue; } stops[PH_COLOUR_MAP_STOPS];
};
extern const struct ph_colour_map ph_colour_maps[]; /* ends with a NULL name */
const struct ph_colour_map *ph_colour_map_find(const char *name);

/* sRGB values in [0,1], from the lowest number to the highest. */
void ph_colour_map_table(const struct ph_colour_map *map, float table[PH_COLOUR_MAP_SIZE][3]);

#endif
