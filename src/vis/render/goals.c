/* Items that rest when their goals are reached: near as the network sees them now, and within the tolerance when the picture is
 * rounded to 8 bits too. */
#include "vis/render/batch.h"
#include <math.h>

#define TOLERANCE_EVERY 4     /* steps between looks at pictures on 8 bits whose errors are small enough before rounding */

/* The largest error of an item's goals. */
static float worst_error(const struct ph_batch *b, int item) {
    float worst = 0;
    for (int i = 0; i < b->scene.error_count; i++) worst = fmaxf(worst, b->errors[i * b->count + item]);
    return worst;
}

bool ph_goals_due(const struct ph_batch *b, int64_t step) { return b->errors && step % TOLERANCE_EVERY == 0; }

ph_status ph_goals_look(struct ph_batch *b) {
    bool any = false, near[PH_MAX_BATCH];
    if (!ph_goals_due(b, b->step)) return PH_OK;
    for (int i = 0; i < b->scene.error_count; i++)
        ph_program_read(b->program, b->scene.errors[i], b->errors + i * b->count);
    for (int n = 0; n < b->count; n++)
        any |= near[n] = b->moving[n].state == PH_LOOP_MOVES && worst_error(b, n) <= (float)b->render->recipe->tolerance;
    return any ? ph_tolerance_look(b, near) : PH_OK;
}

ph_status ph_tolerance_look(struct ph_batch *b, const bool *near) {
    ph_batch_keep(b);
    PH_TRY(ph_developer_errors(&b->developer, b->parameters, b->errors));
    for (int n = 0; n < b->count; n++) {
        if (!near[n] || !(worst_error(b, n) <= (float)b->render->recipe->tolerance)) continue;
        b->items[n].rests = true;
        b->moving[n].state = PH_LOOP_RESTS;
        ph_log(b->context, "objective '%s': within the tolerance after step %lld: %g",
               b->render->objectives[b->first + n].text, (long long)b->step, (double)worst_error(b, n));
    }
    return PH_OK;
}
