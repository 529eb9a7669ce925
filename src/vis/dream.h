/* What the parts of a dream share: the gradient of an objective with respect to a picture of any size, in bounded memory. */
#ifndef PH_DREAM_H
#define PH_DREAM_H

#include "vis/vis.h"

/* A picture larger than the tile is cut into overlapping tiles, laid anew at each step, and the gradients of all are
 * faded into one another where they overlap: nothing repeats at the same place, so that no seam can grow. */
struct ph_tiles {
    ph_model *model;
    const struct ph_objective *objective;
    struct ph_references references;
    ph_recipe *recipe;                  /* of a tile's render: pixels, seen as they are */
    struct ph_render render;
    struct ph_scene scene;
    struct ph_program *program;
    int most;                           /* longest side of a tile, where the network leaves its size free */
    int height, width;                  /* of a tile; 0: no program yet */
    int64_t runs;                       /* of the program, about: with the backend "auto" they choose; 0: one */
};

/* Of one pass over a picture. */
struct ph_tiles_pass {
    uint64_t seed;
    uint32_t step;                      /* together with the seed it fixes where the tiles lie */
    int jitter;                         /* pixels */
    bool (*visited)(void *user, int tile, int tiles); /* after each tile; false stops the pass */
    void *user;
};

ph_status ph_tiles_start(ph_model *model, const struct ph_objective *objective, int most, struct ph_tiles *tiles);
/* Chooses the tile for pictures of this size. PH_ERROR_SHAPE when the network has no use for one so small. */
ph_status ph_tiles_fit(struct ph_tiles *tiles, int height, int width);
/* gradient[C,H,W]: the direction in which the objective rises, of pixels[C,H,W] in [0,1]; *value is its mean over the
 * tiles. PH_ERROR_CANCELLED when `visited` said so. */
ph_status ph_tiles_gradient(struct ph_tiles *tiles, const struct ph_tiles_pass *pass, const float *pixels, int height,
                            int width, float *gradient, float *value);
void ph_tiles_finish(struct ph_tiles *tiles);

#endif
