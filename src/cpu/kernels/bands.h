/* How maps are shared out among threads.
 *
 * Of large maps each thread gets a stretch of rows through all blocks of channels, of small ones some of the blocks: so it reads
 * what it has made itself in the layer before, which counts where processors share no cache, as Winograd's kernel shares out its
 * tiles. Small maps have more weights than pixels. */
#ifndef PH_CPU_BANDS_H
#define PH_CPU_BANDS_H

#include "cpu/kernels/blocked.h"

enum { PH_LARGE_MAP = 24 * 24 };
PH_INLINE bool is_large_map(int64_t height, int64_t width) { return height * width >= PH_LARGE_MAP; }

/* Tasks: bands of rows, as even as can be, of single blocks of items. */
struct bands { int64_t items, blocks, height, count; bool by_rows; };
struct band { int64_t n, block, first, end; };

/* `height` rows of [items, channels] in `count` bands or a few more. */
PH_INLINE struct bands bands_make(int64_t items, int64_t channels, int64_t height, int64_t count, bool by_rows, int threads) {
    if (by_rows) count = (count + threads - 1) / threads * threads; /* so that threads meet between bands */
    return (struct bands){items, blocks_of(channels), height, PH_MAX((int64_t)1, PH_MIN(height, count)), by_rows};
}

PH_INLINE int64_t bands_tasks(const struct bands *bands) { return bands->items * bands->blocks * bands->count; }

PH_INLINE struct band band_of(const struct bands *bands, int64_t task) {
    int64_t across = bands->by_rows ? bands->blocks : bands->count, slow = task / across, fast = task % across;
    int64_t band = bands->by_rows ? slow % bands->count : fast, block = bands->by_rows ? fast : slow % bands->blocks;
    return (struct band){slow / (bands->by_rows ? bands->count : bands->blocks), block, bands->height * band / bands->count,
                         bands->height * (band + 1) / bands->count};
}

#endif
