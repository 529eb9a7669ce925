/* Activations that a network's file spells out: x sigmoid(x) is silu, and so on. One operation reads its input once and writes
 * its output once, forward and backward, and keeps nothing else; in a blocked tensor it takes any number of channels, since it
 * is 0 where its input is 0, which a sigmoid alone is not. */
#ifndef PH_RECOGNISE_H
#define PH_RECOGNISE_H

#include "graph/operation.h"

/* Turns the last node of each such expression into the activation; the nodes before it then have no reader left. The graph's
 * nodes are changed in place, their new inputs lie in `pool`. Values are left alone that are `kept` or have other readers
 * [values]: `uses` says by how many inputs of live nodes [nodes] each is read. Gradients that are to go through a rectifier by a
 * rule of its own are other operations by then, and stay. */
ph_status ph_activations_recognise(struct ph_graph *graph, const bool *live, const bool *kept, const int *uses,
                                   struct ph_pool *pool);

#endif
