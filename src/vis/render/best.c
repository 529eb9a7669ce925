/* The best pictures so far: items end where their plain pictures were best, not where they happen to be at the last step. */
#include "vis/render/batch.h"
#include <float.h>
#include <math.h>
#include <string.h>

bool ph_value_better(const ph_recipe *recipe, float value, float than) {
    if (!(fabsf(value) <= FLT_MAX)) return false;
    if (!(fabsf(than) <= FLT_MAX) || isnan(recipe->target)) return !(value <= than);
    return fabs(value - recipe->target) < fabs(than - recipe->target);
}

ph_status ph_best_look(struct ph_batch *b) {
    PH_TRY(ph_developer_values(&b->developer, b->parameters, b->looked));
    for (int n = 0; n < b->count; n++) {
        if (b->items[n].failed || !ph_value_better(b->render->recipe, b->looked[n], b->best_values[n])) continue;
        b->best_values[n] = b->looked[n];
        memcpy(b->best + (size_t)n * b->item_size, b->parameters + (size_t)n * b->item_size,
               b->item_size * sizeof *b->best);
    }
    return PH_OK;
}
