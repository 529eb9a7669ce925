/* Terms that compute with other objectives' values. */
#include "vis/objectives/nodes.h"

/* As in torch-dreams and faccent; lucid's opacity recipe is one too: objective * (1 - opacity()). */
static ph_status product_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int a, b;
    PH_TRY(ph_term_expression(scope, terms, 0, &a));
    PH_TRY(ph_term_expression(scope, terms, 1, &b));
    return ph_term_binary(scope->graph, &ph_operation_mul, a, b, out);
}

const struct ph_term_type ph_term_product = {
    .name = "product", .form = "OBJECTIVE * OBJECTIVE", .build = product_build,
    .help = "product of two objectives: high where both are",
    .parameters = {{.name = "A", .kind = PH_ARGUMENT_EXPRESSION}, {.name = "B", .kind = PH_ARGUMENT_EXPRESSION}},
    .samples = (const char *const[]){"conv2:3 * (1 - l2())", "conv1:2 * conv1:3 * 2", NULL},
};

static ph_status reach_build(const struct ph_objective_scope *scope, const struct ph_term *const *terms, int *out) {
    int value;
    PH_TRY(ph_term_expression(scope, terms, 0, &value));
    PH_TRY(ph_term_number(scope->graph, &ph_operation_sub, value, ph_term_number_argument(terms[0], 1), &value));
    PH_TRY(ph_term_binary(scope->graph, &ph_operation_mul, value, value, &value));
    return ph_term_unary(scope->graph, &ph_operation_neg, value, out);
}

const struct ph_term_type ph_term_reach = {
    .name = "reach", .form = "reach(OBJECTIVE, VALUE)", .function = true, .build = reach_build, .goal = ph_term_goal_zero,
    .help = "minus the squared distance of an objective from a value: 0 where it is reached",
    .parameters = {{.name = "OBJECTIVE", .kind = PH_ARGUMENT_EXPRESSION},
                   {.name = "VALUE", .kind = PH_ARGUMENT_NUMBER, .low = -1e30, .high = 1e30}},
    .samples = (const char *const[]){"reach(conv2:3, 2.5)", "0.5*reach(conv1:1 - conv1:2, -1) + conv1:3", NULL},
};
