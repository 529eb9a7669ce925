/* How maps are shared out among threads.
 *
 * Of large maps each thread gets a stretch of rows through all blocks of channels, of small ones some of the blocks: so it reads
 * what it has made itself in the layer before, which counts where processors share no cache, as Winograd's kernel shares out its
 * tiles. Small maps have more weights than pixels. */
#ifndef PH_CPU_BANDS_H
#define PH_CPU_BANDS_H

#include "cpu/kernels/blocked.h"

enum { PH_LARGE_MAP = 24 * 24, MOST_BANDS = 8 /* of what passes over each element once */ };
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

/* Tasks: parts of all pieces of a map, as its rows, as even as can be, for single groups of channels of items. In a stretch
 * consecutive tasks share a group, and so its weights: part fastest, then item, then group. There are as many stretches as
 * threads, or one. */
struct shares { int64_t items, groups, pieces, parts, stretches; };
struct share { int64_t item, group, first, end; };

/* Enough tasks that a thread which is late finds little left to wait for; of a map at most `most` parts. */
PH_INLINE struct shares shares_make(int64_t items, int64_t groups, int64_t pieces, int64_t most, bool large, int64_t threads) {
    int64_t wanted = 8 * threads, whole = groups * items;
    struct shares s = {items, groups, pieces, PH_MAX((int64_t)1, PH_MIN(most, (wanted + whole - 1) / whole)), 1};
    if (large && items % threads) s.parts = PH_MIN(most, (s.parts + threads - 1) / threads * threads);
    if (large && items * s.parts % threads == 0) s.stretches = threads;
    return s;
}

PH_INLINE int64_t shares_tasks(const struct shares *s) { return s->items * s->groups * s->parts; }

PH_INLINE struct share share_of(const struct shares *s, int64_t task) {
    int64_t stretch = s->items * s->parts / s->stretches, whole = stretch * s->groups;
    int64_t at = task / whole * stretch + task % stretch, part = at % s->parts;
    return (struct share){at / s->parts, task % whole / stretch, s->pieces * part / s->parts, s->pieces * (part + 1) / s->parts};
}

#endif
