/* Objectives: the table of terms, and the weighted sum of what their builders append. A term's value has one number for
 * each batch item. */
#include "vis/objectives/nodes.h"
#include "vis/vis.h"
#include <string.h>

const struct ph_term_type *const ph_term_types[] = {
    &ph_term_channel, &ph_term_neuron, &ph_term_layer, &ph_term_class, &ph_term_probability, &ph_term_product,
    &ph_term_mean, &ph_term_direction, &ph_term_cosine, &ph_term_others, &ph_term_reach,
    &ph_term_shares, &ph_term_match, &ph_term_content, &ph_term_style, &ph_term_caricature, &ph_term_guide,
    &ph_term_diversity, &ph_term_align, &ph_term_interpolate, &ph_term_item, &ph_term_in,
    &ph_term_tv, &ph_term_tv_beta, &ph_term_l1, &ph_term_l2, &ph_term_lp, &ph_term_alpha_norm, &ph_term_boundary,
    &ph_term_blur, &ph_term_distance, &ph_term_opacity,
    NULL};

/* ---- Likeness ------------------------------------------------------------------------------------------------------- */

static bool same_name(const char *a, const char *b) { return !a == !b && (!a || !strcmp(a, b)); }

static bool same_region(const struct ph_region *a, const struct ph_region *b) {
    return a->given == b->given && !memcmp(a->columns, b->columns, sizeof a->columns) &&
           !memcmp(a->rows, b->rows, sizeof a->rows);
}

static bool sums_alike(const struct ph_sum *a, const struct ph_sum *b);

static bool arguments_alike(const struct ph_parameter *parameter, const struct ph_argument *a,
                            const struct ph_argument *b) {
    if (a->given != b->given) return false;
    switch (parameter->kind) {
    case PH_ARGUMENT_LAYER: return same_name(a->name, b->name) && same_region(&a->region, &b->region) &&
                                    a->one_channel == b->one_channel && a->channel == b->channel;
    case PH_ARGUMENT_NETWORK: return same_name(a->name, b->name);
    case PH_ARGUMENT_NUMBER: return a->number == b->number;
    case PH_ARGUMENT_WORD: return a->word == b->word;
    case PH_ARGUMENT_EXPRESSION: return sums_alike(&a->expression, &b->expression);
    case PH_ARGUMENT_FILE: case PH_ARGUMENT_VECTOR: case PH_ARGUMENT_SHARES: break; /* each item has its own */
    }
    return true;
}

static bool terms_alike(const struct ph_term *a, const struct ph_term *b) {
    if (a->type != b->type || a->weight != b->weight) return false;
    bool class = a->type == &ph_term_class || a->type == &ph_term_probability;
    if (!class && !same_name(a->name, b->name)) return false;
    for (int i = 0; a->type->parameters[i].name; i++)
        if (!arguments_alike(&a->type->parameters[i], &a->arguments[i], &b->arguments[i])) return false;
    return true;
}

static bool sums_alike(const struct ph_sum *a, const struct ph_sum *b) {
    const struct ph_term *x = a->first, *y = b->first;
    for (; x && y; x = x->next, y = y->next)
        if (!terms_alike(x, y)) return false;
    return !x && !y && a->constant == b->constant;
}

bool ph_objective_alike(const struct ph_objective *a, const struct ph_objective *b) {
    return sums_alike(&a->sum, &b->sum);
}

static bool sum_names_network(const struct ph_sum *sum, const char *network) {
    for (const struct ph_term *term = sum->first; term; term = term->next)
        for (int i = 0; term->type->parameters[i].name; i++) {
            const struct ph_argument *argument = &term->arguments[i];
            bool is_network = term->type->parameters[i].kind == PH_ARGUMENT_NETWORK;
            if (is_network && !strcmp(argument->name, network)) return true;
            if (sum_names_network(&argument->expression, network)) return true;
        }
    return false;
}

bool ph_objective_names_network(const struct ph_objective *objective, const char *network) {
    return sum_names_network(&objective->sum, network);
}

int ph_objective_regularisers(const struct ph_objective *objective) {
    int count = 0;
    for (const struct ph_term *term = objective->sum.first; term; term = term->next) count += term->type->regulariser;
    return count;
}

const struct ph_term *ph_objective_goal_next(const struct ph_objective *objective, const struct ph_term *term,
                                             double *goal) {
    term = term ? term->next : objective->sum.first;
    while (term && !(term->type->goal && term->type->goal(term, goal))) term = term->next;
    return term;
}

int ph_objective_goals(const struct ph_objective *objective) {
    int count = 0;
    double goal;
    for (const struct ph_term *term = NULL; (term = ph_objective_goal_next(objective, term, &goal));) count++;
    return count;
}

/* ---- The sum --------------------------------------------------------------------------------------------------------- */

/* One term of every item, weighted; *plain, if wanted, is it without its weight. */
static ph_status term_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *plain,
                            int *value) {
    ph_status status = terms[0]->type->build(scope, terms, value);
    if (plain) *plain = *value;
    if (!status && terms[0]->weight != 1)
        status = ph_term_number(scope->graph, &ph_operation_mul, *value, terms[0]->weight, value);
    if (status && !*scope->culprit) *scope->culprit = terms[0];
    return status;
}

static ph_status value_add(struct ph_graph *graph, int value, int *sum) {
    if (*sum == PH_ABSENT) *sum = value;
    else PH_TRY(ph_term_binary(graph, &ph_operation_add, *sum, value, sum));
    return PH_OK;
}

/* The number of a sum: added to its terms, or alone for every item. */
static ph_status constant_add(const struct ph_objective_scope *scope, double constant, int *sum) {
    float numbers[PH_MAX_BATCH];
    if (*sum != PH_ABSENT && constant == 0) return PH_OK;
    if (*sum != PH_ABSENT) return ph_term_number(scope->graph, &ph_operation_add, *sum, constant, sum);
    for (int n = 0; n < scope->count; n++) numbers[n] = (float)constant;
    return ph_term_item_numbers(scope, numbers, 1, sum);
}

ph_status ph_term_expression(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int index,
                             int *out) {
    const struct ph_term *inner[PH_MAX_BATCH];
    const struct ph_sum *sum = &terms[0]->arguments[index].expression;
    *out = PH_ABSENT;
    for (int n = 0; n < scope->count; n++) inner[n] = terms[n]->arguments[index].expression.first;
    while (inner[0]) {
        int value;
        PH_TRY(term_build(scope, inner, NULL, &value));
        PH_TRY(value_add(scope->graph, value, out));
        for (int n = 0; n < scope->count; n++) inner[n] = inner[n]->next;
    }
    return constant_add(scope, sum->constant, out);
}

/* Regulariser `index` has a factor of its own for each item. */
static ph_status balance_build(const struct ph_objective_scope *scope, int index, int *value) {
    float balances[PH_MAX_BATCH];
    int factors;
    if (!scope->objectives[0].balances) return PH_OK;
    for (int n = 0; n < scope->count; n++) balances[n] = (float)scope->objectives[n].balances[index];
    PH_TRY(ph_term_item_numbers(scope, balances, 1, &factors));
    return ph_term_binary(scope->graph, &ph_operation_mul, *value, factors, value);
}

/* How far a value is from its goal, which is above it. */
static ph_status error_build(const struct ph_objective_scope *scope, int value, double goal, int *error) {
    PH_TRY(ph_term_number(scope->graph, &ph_operation_sub, value, goal, &value));
    return ph_term_unary(scope->graph, &ph_operation_neg, value, error);
}

static ph_status parts_build(const struct ph_objective_scope *scope, int *parts) {
    const struct ph_term *terms[PH_MAX_BATCH];
    int regularisers = 0, *errors = scope->errors;
    double goal;
    parts[0] = PH_ABSENT;
    for (int n = 0; n < scope->count; n++) terms[n] = scope->objectives[n].sum.first;
    while (terms[0]) {
        int value, plain;
        PH_TRY(term_build(scope, terms, &plain, &value));
        if (errors && terms[0]->type->goal && terms[0]->type->goal(terms[0], &goal))
            PH_TRY(error_build(scope, plain, goal, errors++));
        if (terms[0]->type->regulariser) {
            PH_TRY(balance_build(scope, regularisers, &value));
            parts[++regularisers] = value;
        } else PH_TRY(value_add(scope->graph, value, &parts[0]));
        for (int n = 0; n < scope->count; n++) terms[n] = terms[n]->next;
    }
    double constant = scope->objectives[0].sum.constant;
    return constant != 0 ? constant_add(scope, constant, &parts[0]) : PH_OK;
}

ph_status ph_objective_build_parts(const struct ph_objective_scope *scope, int *parts, int *value) {
    struct ph_objective_scope inner = *scope;
    struct ph_references own = {0};
    const struct ph_term *culprit = NULL;
    inner.culprit = &culprit;
    if (!inner.references) inner.references = &own;
    ph_status status = parts_build(&inner, parts);
    ph_references_finish(&own);
    *value = PH_ABSENT;
    for (int i = 0; i <= ph_objective_regularisers(&scope->objectives[0]) && !status; i++)
        if (parts[i] != PH_ABSENT) status = value_add(scope->graph, parts[i], value);
    if (status && culprit)
        ph_fail_prefix(scope->graph->context, "objective '%s', character %d", scope->objectives[0].text,
                       culprit->begin + 1);
    return status;
}

ph_status ph_objective_build(const struct ph_objective_scope *scope, int *value) {
    int count = ph_objective_regularisers(&scope->objectives[0]);
    int *parts = ph_alloc_array((size_t)count + 1, sizeof *parts);
    if (!parts) return ph_fail_memory(scope->graph->context);
    ph_status status = ph_objective_build_parts(scope, parts, value);
    ph_free(parts);
    return status;
}
