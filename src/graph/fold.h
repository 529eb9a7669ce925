/* What stands in front of a network's first convolution and only scales and shifts the channels of its picture, or puts them in
 * another order, is folded into it: the convolution reads the picture itself. Where it is padded, the zeros of the normalised
 * picture become the border that normalises to zero. */
#ifndef PH_FOLD_H
#define PH_FOLD_H

#include "graph/operation.h"

/* What a convolution becomes: with one group, and weights and bias of the same shapes. */
struct ph_fold {
    const float *weights; /* NULL: nothing is folded into it */
    const float *bias;
    const float *border;  /* [channels]; NULL: zeros */
    int input;            /* the value that it reads */
};

/* folds[graph->node_count], zeros at first, with numbers in `pool`. `kept` [values]: which are read from outside; `uses`
 * [values]: by how many inputs of live nodes. Nodes that are folded are live no more. Convolutions of at most three channels are
 * looked at, whose kernels know a border. */
ph_status ph_folds_find(const struct ph_graph *graph, bool *live, const bool *kept, const int *uses, struct ph_pool *pool,
                        struct ph_fold *folds);

#endif
