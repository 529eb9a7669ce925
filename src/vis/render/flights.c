/* Steps that a device makes: several are submitted at once, a flight, and while the device works on one, the host draws the
 * views of the next. */
#include "vis/render/batch.h"

#define LOOP_PATIENCE 0.05    /* seconds between looks at steps that a device makes */

/* Steps that were submitted together, from `first`; `before`: the optimiser before them. */
struct flight { int64_t first; int steps; bool looks; struct ph_optimiser_state before; };

struct flights { struct flight queue[PH_LOOP_SUBMISSIONS]; int count; int64_t next, end; int most; double seen; };

/* Whether someone wants to see the parameters after so many steps. */
static bool wants_look(const struct ph_batch *b, int64_t made) {
    const ph_recipe *recipe = b->render->recipe;
    return (b->callbacks && b->callbacks->snapshot && ph_recipe_snapshot_due(recipe, made)) ||
           (recipe->keep_best && made % recipe->keep_best == 0);
}

/* Steps until then; those that hold others begin a flight. */
static ph_status flight_begin(struct ph_batch *b, struct flights *flights) {
    struct flight *flight = &flights->queue[flights->count];
    *flight = (struct flight){.first = flights->next, .before = b->optimiser};
    do flight->steps++;
    while (flight->steps < flights->most && flight->first + flight->steps < flights->end &&
           !wants_look(b, flight->first + flight->steps) && !ph_goals_due(b, flight->first + flight->steps));
    flight->looks = wants_look(b, flight->first + flight->steps);
    PH_TRY(ph_program_loop_submit(b->program, flight->first, &flight->steps, flight->looks));
    flights->next += flight->steps;
    flights->count++;
    return PH_OK;
}

static ph_status flight_end(struct ph_batch *b, struct flights *flights, struct flight *flight,
                            struct ph_loop_report *reports) {
    *flight = flights->queue[0];
    for (int i = 1; i < flights->count; i++) flights->queue[i - 1] = flights->queue[i];
    flights->count--;
    return ph_program_loop_collect(b->program, reports);
}

/* To find the layer that something is wrong with, the program must have on the host what it had on the device; what a look
 * has brought there stays. */
static ph_status trouble_prepare(struct ph_batch *b) {
    ph_batch_keep(b);
    PH_TRY(ph_program_loop_fetch(b->program));
    ph_batch_draw(b);
    return PH_OK;
}

/* The look at one step's numbers. */
static ph_status loop_look(struct ph_batch *b, const struct ph_loop_report *reports) {
    bool trouble = false;
    b->alive = false;
    for (int n = 0; n < b->count; n++)
        trouble |= !b->items[n].failed && !b->items[n].rests &&
                   (reports[n].state == PH_LOOP_FAILED || (reports[n].gradient == 0 && !b->items[n].warned));
    if (trouble) PH_TRY(trouble_prepare(b));
    bool intact = false;
    for (int n = 0; n < b->count; n++) {
        b->values[n] = reports[n].value;
        ph_watch_step(&b->items[n], b->render, b->first + n, n, &b->scene, b->program, b->step, &reports[n]);
        b->alive |= !b->items[n].failed && !b->items[n].rests;
        intact |= !b->items[n].failed;
    }
    if (trouble) ph_batch_feed(b);
    b->step += b->alive;
    return intact ? PH_OK : PH_ERROR_NUMERIC;
}

/* All that is still in flight, without a look. */
static ph_status flights_drop(struct ph_batch *b, struct flights *flights) {
    struct ph_loop_report reports[PH_LOOP_STEPS * PH_MAX_BATCH];
    struct flight flight;
    ph_status status = PH_OK;
    while (flights->count) {
        ph_status ended = flight_end(b, flights, &flight, reports);
        if (ended) status = ended;
    }
    return status;
}

/* The device waits at step b->step, the first of a flight, for a look at items that are near their goals; then it goes on from
 * there. */
static ph_status loop_release(struct ph_batch *b, struct flights *flights, const struct flight *held,
                              const struct ph_loop_report *reports) {
    bool near[PH_MAX_BATCH];
    for (int n = 0; n < b->count; n++) near[n] = reports[n].state == PH_LOOP_HELD;
    PH_TRY(flights_drop(b, flights));
    PH_TRY(ph_program_loop_fetch(b->program));
    PH_TRY(ph_tolerance_look(b, near));
    float *moments = b->optimiser.moments;
    b->optimiser = held->before;
    b->optimiser.moments = moments;
    b->looked_at = flights->next = b->step;
    return ph_program_loop_start(b->program);
}

static bool holds(const struct ph_batch *b, const struct ph_loop_report *reports) {
    for (int n = 0; n < b->count; n++)
        if (reports[n].state == PH_LOOP_HELD) return true;
    return false;
}

static ph_status flight_look(struct ph_batch *b, struct flights *flights) {
    struct ph_loop_report reports[PH_LOOP_STEPS * PH_MAX_BATCH];
    struct flight flight;
    PH_TRY(flight_end(b, flights, &flight, reports));
    if (holds(b, reports)) return loop_release(b, flights, &flight, reports);
    for (int i = 0; i < flight.steps && b->alive; i++) PH_TRY(loop_look(b, reports + i * b->count));
    return PH_OK;
}

/* As many steps at once as keep the progress report alive: results do not depend on it. */
static void flights_time(struct flights *flights) {
    double now = ph_seconds(), elapsed = now - flights->seen;
    flights->most = elapsed < LOOP_PATIENCE ? PH_MIN(2 * flights->most, PH_LOOP_STEPS) : PH_MAX(flights->most / 2, 1);
    flights->seen = now;
}

static ph_status flights_run(struct ph_batch *b, struct flights *flights) {
    while (b->alive && b->step < flights->end) {
        while (flights->count < PH_LOOP_SUBMISSIONS && flights->next < flights->end) PH_TRY(flight_begin(b, flights));
        int64_t before = b->step;
        PH_TRY(flight_look(b, flights));
        flights_time(flights);
        if (b->alive && b->step > before) PH_TRY(ph_batch_stepped(b));
    }
    return PH_OK;
}

ph_status ph_flights_run(struct ph_batch *b, int64_t end) {
    struct flights flights = {.next = b->step, .end = end, .most = 1, .seen = ph_seconds()};
    PH_TRY(ph_program_loop_start(b->program));
    ph_status status = flights_run(b, &flights), last = PH_OK;
    while (status == PH_ERROR_CANCELLED && flights.count && !last) last = flight_look(b, &flights);
    ph_status dropped = flights_drop(b, &flights);
    if (!last) last = dropped;
    if (!last) last = ph_program_loop_fetch(b->program);
    if (last) return last;
    return status == PH_ERROR_CANCELLED ? ph_batch_stopped(b) : status;
}
