/* Execution profiles: kernels that were chosen by measurement, kept in a file, in place of the rule that the planner goes by.
 *
 * A choice belongs to a key: the backend with its instruction set and precision, direction, operation, attributes and shapes of
 * a node. Neither batch nor threads nor the network are in it, so that one profile serves many programs and a picture's bytes
 * depend on the profile alone. The file is text:
 *
 *     phosphene profile 1
 *     # a comment
 *     cpu/avx512 forward convolution [64,56,56] to [192,56,56] kernel 1x3x3 ... => winograd | winograd 0.41 ms, direct 0.62 ms
 *
 * behind the arrow the kernel, what each was measured at (for people; may be missing), and behind another bar the kernel's own
 * details (only some have them). Choices are only ever added, at the end: so a picture made with the first N of them finds them
 * again for as long as there is the file. */
#ifndef PH_PROFILE_H
#define PH_PROFILE_H

#include "exec/backend.h"

enum { PH_MOST_CANDIDATES = 8 };

struct ph_choice { char *key, *kernel, *times, *details; int line; }; /* times, details: NULL where there are none */

/* A key that is being measured: the kernels that take it, in the backend's order, and the least seconds that each took. */
struct ph_trial {
    char *key;
    int count;
    struct { const struct ph_kernel *kernel; char *details; double seconds; } candidates[PH_MOST_CANDIDATES];
};

struct ph_profile {
    ph_context *context;
    char *path, *name;
    struct ph_text text;      /* the file's contents */
    int lines;
    struct ph_choice *choices;
    int count, capacity;
    char sha256[65];          /* of the choices: keys, kernels and details */
    bool tunes;               /* keys without a choice are to be measured */
    int turn;                 /* while they are: which candidate programs are made with */
    struct ph_trial *trials;
    int trial_count, trial_capacity;
};

/* The key of a node in a direction on `level` (ph_backend_level), appended; false: nothing is chosen about such nodes. */
bool ph_profile_key(const char *level, const struct ph_kernel_query *query, struct ph_text *text);
/* Replaces *kernel, the rule's choice among `kernels`, where the profile has another. A choice that cannot be kept to is an error
 * with the file and its line. */
ph_status ph_profile_choose(struct ph_profile *profile, const char *key, const struct ph_kernel_query *query,
                            const struct ph_kernel *const *kernels, const struct ph_kernel **kernel);
/* The details of the present choice, NULL where it has none. */
const char *ph_profile_details(const struct ph_profile *profile, const char *key);
/* Whether the key is being measured. */
bool ph_profile_measures(const struct ph_profile *profile, const char *key);
/* NULL: there is none. */
const struct ph_choice *ph_profile_find(const struct ph_profile *profile, const char *key);
/* Whether it has choices for `level`. */
bool ph_profile_serves(const struct ph_profile *profile, const char *level);
/* Makes choices of the trials, and writes the file. */
ph_status ph_profile_settle(struct ph_profile *profile);
/* Ends the trials without choices. */
void ph_profile_forget(struct ph_profile *profile);

/* tune.c: where `*program`, just built, has keys without a choice, measures each of their kernels in programs of their own and
 * builds it anew. */
ph_status ph_tune(const struct ph_graph *graph, const struct ph_program_request *request, const struct ph_backend *backend,
                  struct ph_program **program);

#endif
