/* From the text of an objective to a weighted sum of terms.
 *
 *     expression   [-] product { + product | - product }
 *     product      factor { * factor }             at most one of them not a number
 *     factor       number | - factor | ( expression ) | FUNCTION ( [LAYER] ) | reference
 *     reference    LAYER | LAYER : units [@ column , row] | class : CLASS | probability : CLASS
 *     units        N | * | N-N , N , ...           (lists are for ph_objective_expand)
 *
 * Since objectives are only added and scaled, every expression is a number plus a sum of weighted terms, which is what
 * the parser keeps; a subexpression is a range of terms and a number. */
#include "vis/vis.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 64 /* of parentheses and signs */

struct parser {
    ph_context *context;
    struct ph_objective *objective;
    const char *text, *at;
    int depth;
};

/* The terms from `first` on, and a number. */
struct sum { double constant; int first; };

static ph_status parse_fail(struct parser *p, const char *where, const char *message, const char *detail) {
    return ph_fail(p->context, PH_ERROR_ARGUMENT, "objective '%s', character %d: %s%s", p->text,
                   (int)(where - p->text) + 1, message, detail);
}

static void skip_space(struct parser *p) {
    while (isspace((unsigned char)*p->at)) p->at++;
}

static bool accept(struct parser *p, char c) {
    skip_space(p);
    if (*p->at != c) return false;
    p->at++;
    return true;
}

static bool is_name(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '/'; }

/* Length of the decimal number at the start of `at`, 0 if there is none. No hexadecimal, no infinities: those are
 * names. */
static size_t number_length(const char *at) {
    size_t i = 0, digits = 0;
    while (isdigit((unsigned char)at[i])) i++, digits++;
    if (at[i] == '.')
        for (i++; isdigit((unsigned char)at[i]); i++) digits++;
    if (!digits) return 0;
    if (at[i] == 'e' || at[i] == 'E') {
        size_t j = i + 1;
        if (at[j] == '+' || at[j] == '-') j++;
        if (isdigit((unsigned char)at[j])) {
            while (isdigit((unsigned char)at[j])) j++;
            i = j;
        }
    }
    return i;
}

/* A number, unless it is the beginning of a name, or a name of digits with its unit behind it ("123:4"). */
static bool accept_number(struct parser *p, double *value) {
    size_t length = number_length(p->at);
    const char *end = p->at + length;
    if (!length || is_name(*end)) return false;
    while (isspace((unsigned char)*end)) end++;
    if (*end == ':') return false;
    char copy[64];
    if (length >= sizeof copy) return false;
    memcpy(copy, p->at, length);
    copy[length] = 0;
    if (!ph_parse_double(copy, value)) return false;
    p->at += length;
    return true;
}

/* 'text', in which '' stands for one quote. */
static ph_status parse_quoted(struct parser *p, const char **name) {
    const char *start = p->at++;
    char *out = ph_pool_alloc(&p->objective->pool, strlen(start) + 1);
    if (!out) return ph_fail_memory(p->context);
    *name = out;
    for (; *p->at && (*p->at != '\'' || p->at[1] == '\''); p->at++) {
        if (*p->at == '\'') p->at++;
        *out++ = *p->at;
    }
    if (!*p->at) return parse_fail(p, start, "this quote has no end", "");
    p->at++;
    return **name ? PH_OK : parse_fail(p, start, "an empty name", "");
}

static ph_status copy_name(struct parser *p, const char *start, size_t length, const char **name) {
    char *copy = ph_pool_alloc(&p->objective->pool, length + 1);
    if (!copy) return ph_fail_memory(p->context);
    memcpy(copy, start, length);
    *name = copy;
    return PH_OK;
}

/* *name stays NULL when there is none here. */
static ph_status parse_name(struct parser *p, const char **name) {
    *name = NULL;
    skip_space(p);
    if (*p->at == '\'') return parse_quoted(p, name);
    const char *start = p->at;
    while (is_name(*p->at)) p->at++;
    return p->at == start ? PH_OK : copy_name(p, start, (size_t)(p->at - start), name);
}

/* Class names hold spaces, and hyphens and quotes within words: what ends one is an operator, a hyphen that stands
 * free, or the end. */
static ph_status parse_class_name(struct parser *p, const char **name) {
    *name = NULL;
    skip_space(p);
    if (*p->at == '\'') return parse_quoted(p, name);
    const char *start = p->at, *end = p->at;
    for (; *p->at && !strchr("+*(),", *p->at); p->at++) {
        bool free_hyphen = *p->at == '-' && (p->at == start || isspace((unsigned char)p->at[-1]) || !p->at[1] ||
                                             isspace((unsigned char)p->at[1]));
        if (free_hyphen) break;
        if (!isspace((unsigned char)*p->at)) end = p->at + 1;
    }
    p->at = end;
    return end == start ? PH_OK : copy_name(p, start, (size_t)(end - start), name);
}

/* "*", or numbers and ranges with commas; a name may not follow. False: there is none, and nothing is consumed. */
static bool accept_units(struct parser *p, struct ph_term *term) {
    skip_space(p);
    const char *start = p->at, *at = start;
    bool many = *at == '*';
    int64_t unit = 0;
    if (many) at++;
    else {
        while (isdigit((unsigned char)*at) || ((*at == '-' || *at == ',') && at > start &&
                                               isdigit((unsigned char)at[-1]) && isdigit((unsigned char)at[1])))
            many |= !isdigit((unsigned char)*at++);
        for (const char *digit = start; digit < at && !many; digit++)
            unit = unit > INT32_MAX ? unit : 10 * unit + (*digit - '0');
    }
    if (at == start || is_name(*at)) return false;
    p->at = at;
    term->unit = unit;
    term->units_begin = (int)(start - p->text);
    term->units_end = many ? (int)(at - p->text) : term->units_begin;
    return true;
}

static ph_status parse_coordinate(struct parser *p, int64_t *value) {
    skip_space(p);
    const char *start = p->at;
    *value = 0;
    while (isdigit((unsigned char)*p->at)) {
        if (*value <= INT32_MAX) *value = 10 * *value + (*p->at - '0');
        p->at++;
    }
    return p->at > start ? PH_OK : parse_fail(p, start, "a position is column,row, from 0 at the top left", "");
}

static ph_status parse_class(struct parser *p, struct ph_term *term) {
    const char *start = p->at;
    if (accept_units(p, term)) {
        size_t begin = (size_t)term->units_begin;
        return copy_name(p, p->text + begin, (size_t)(p->at - p->text) - begin, &term->name);
    }
    PH_TRY(parse_class_name(p, &term->name));
    return term->name ? PH_OK : parse_fail(p, start, "a class name or number expected", "");
}

static ph_status parse_unit(struct parser *p, struct ph_term *term) {
    const char *start = p->at;
    term->type = &ph_term_channel;
    if (!accept_units(p, term))
        return parse_fail(p, start, "a channel expected: a number from 0, a range, a list or *", "");
    if (!accept(p, '@')) return PH_OK;
    term->type = &ph_term_neuron;
    PH_TRY(parse_coordinate(p, &term->column));
    if (!accept(p, ',')) return parse_fail(p, p->at, "a position is column,row: a comma expected", "");
    return parse_coordinate(p, &term->row);
}

static const char *function_name(void *user, int index) {
    (void)user;
    return ph_term_types[index]->syntax == PH_TERM_REFERENCE ? NULL : ph_term_types[index]->name;
}

static ph_status parse_function(struct parser *p, const char *start, const char *name, struct ph_term *term) {
    int count = 0;
    for (; ph_term_types[count]; count++)
        if (ph_term_types[count]->syntax != PH_TERM_REFERENCE && !strcmp(ph_term_types[count]->name, name))
            term->type = ph_term_types[count];
    if (!term->type) {
        struct ph_text text = {0};
        ph_text_append(&text, "'%s'", name);
        ph_suggest(&text, name, count, function_name, NULL);
        ph_status status = parse_fail(p, start, "there is no function ", text.data ? text.data : "");
        ph_text_finish(&text);
        return status;
    }
    if (term->type->syntax == PH_TERM_LAYER_FUNCTION) {
        PH_TRY(parse_name(p, &term->name));
        if (!term->name) return parse_fail(p, p->at, "the name of a layer expected: ", term->type->form);
    }
    return accept(p, ')') ? PH_OK : parse_fail(p, p->at, "a closing parenthesis expected: ", term->type->form);
}

static ph_status parse_reference(struct parser *p) {
    struct ph_objective *objective = p->objective;
    const char *start = p->at, *name;
    bool quoted = *start == '\'';
    struct ph_term term = {.weight = 1, .begin = (int)(start - p->text)};
    PH_TRY(parse_name(p, &name));
    if (!name)
        return parse_fail(p, start, *start ? "a layer, class, function or number expected"
                                           : "it ends where a layer, class, function or number is expected", "");
    if (!quoted && accept(p, '(')) {
        PH_TRY(parse_function(p, start, name, &term));
    } else if (accept(p, ':')) {
        if (!quoted && !strcmp(name, ph_term_class.name)) term.type = &ph_term_class;
        else if (!quoted && !strcmp(name, ph_term_probability.name)) term.type = &ph_term_probability;
        if (term.type) {
            PH_TRY(parse_class(p, &term));
        } else {
            term.name = name;
            PH_TRY(parse_unit(p, &term));
        }
    } else {
        term.type = &ph_term_layer;
        term.name = name;
    }
    if (!ph_grow(&objective->terms, objective->term_count, &objective->term_capacity, sizeof *objective->terms))
        return ph_fail_memory(p->context);
    objective->terms[objective->term_count++] = term;
    return PH_OK;
}

static ph_status parse_sum(struct parser *p, struct sum *sum);

static void scale(struct parser *p, struct sum *sum, double factor) {
    sum->constant *= factor;
    for (int i = sum->first; i < p->objective->term_count; i++) p->objective->terms[i].weight *= factor;
}

static ph_status parse_factor(struct parser *p, struct sum *sum) {
    *sum = (struct sum){.first = p->objective->term_count};
    skip_space(p);
    if (accept_number(p, &sum->constant)) return PH_OK;
    bool minus = *p->at == '-', open = *p->at == '(';
    if (!minus && !open) return parse_reference(p);
    if (++p->depth > MAX_DEPTH) return parse_fail(p, p->at, "too deeply nested", "");
    const char *start = p->at++;
    if (minus) {
        PH_TRY(parse_factor(p, sum));
        scale(p, sum, -1);
    } else {
        PH_TRY(parse_sum(p, sum));
        if (!accept(p, ')')) return parse_fail(p, start, "this parenthesis is not closed", "");
    }
    p->depth--;
    return PH_OK;
}

static ph_status parse_product(struct parser *p, struct sum *product) {
    PH_TRY(parse_factor(p, product));
    for (;;) {
        skip_space(p);
        const char *start = p->at;
        if (!accept(p, '*')) return PH_OK;
        bool left = p->objective->term_count > product->first;
        struct sum right;
        PH_TRY(parse_factor(p, &right));
        if (left && p->objective->term_count > right.first)
            return parse_fail(p, start, "objectives can be multiplied by numbers only", "");
        if (left) {
            scale(p, product, right.constant);
        } else {
            scale(p, &right, product->constant);
            *product = right;
        }
    }
}

static ph_status parse_sum(struct parser *p, struct sum *sum) {
    PH_TRY(parse_product(p, sum));
    for (;;) {
        bool minus = accept(p, '-');
        if (!minus && !accept(p, '+')) return PH_OK;
        struct sum right;
        PH_TRY(parse_product(p, &right));
        if (minus) scale(p, &right, -1);
        sum->constant += right.constant;
    }
}

ph_status ph_objective_parse(ph_context *context, const char *text, struct ph_objective *objective) {
    *objective = (struct ph_objective){0};
    if (!text) return ph_fail(context, PH_ERROR_ARGUMENT, "no objective");
    objective->text = ph_pool_strdup(&objective->pool, text);
    struct parser p = {.context = context, .objective = objective, .text = objective->text, .at = objective->text};
    struct sum sum;
    ph_status status = objective->text ? PH_OK : ph_fail_memory(context);
    if (!status) status = parse_sum(&p, &sum);
    if (!status) {
        skip_space(&p);
        if (*p.at) status = parse_fail(&p, p.at, "an operator or the end expected", "");
        else if (!objective->term_count) status = parse_fail(&p, p.text, "a number alone cannot be an objective", "");
    }
    if (!status) objective->constant = sum.constant;
    if (status) ph_objective_finish(objective);
    return status;
}

void ph_objective_finish(struct ph_objective *objective) {
    ph_pool_finish(&objective->pool);
    ph_free(objective->terms);
    *objective = (struct ph_objective){0};
}

/* ---- Lists of units ---------------------------------------------------------------------------------------------- */

static const struct ph_term *list_term(const struct ph_objective *objective, int *count) {
    const struct ph_term *found = NULL;
    *count = 0;
    for (int i = 0; i < objective->term_count; i++)
        if (objective->terms[i].units_end > objective->terms[i].units_begin) {
            found = &objective->terms[i];
            ++*count;
        }
    return found;
}

ph_status ph_objective_check_single(ph_context *context, const struct ph_objective *objective) {
    int count;
    if (!list_term(objective, &count)) return PH_OK;
    return ph_fail(context, PH_ERROR_ARGUMENT,
                   "objective '%s' names several units: expand it to one objective for each first", objective->text);
}

/* How many units the layer or the class list has. */
static ph_status unit_count(ph_model *model, const struct ph_term *term, int64_t *count) {
    struct ph_graph *graph = NULL;
    const char *layer = term->name;
    int input, value;
    if (term->type == &ph_term_class || term->type == &ph_term_probability) {
        layer = model->logits ? model->logits : model->probabilities;
        if (!layer) return ph_fail(model->context, PH_ERROR_NOT_FOUND, "the network has no layer of classes");
    }
    ph_status status = ph_graph_create(model->context, &graph);
    if (!status) status = ph_graph_add_input(graph, NULL, PH_FLOAT, model->default_input, &input);
    if (!status) status = ph_model_build(model, graph, input);
    if (!status) status = ph_model_find_layer(model, graph, layer, &value);
    if (!status && graph->values[value].shape.rank < 2)
        status = ph_fail(model->context, PH_ERROR_SHAPE, "layer '%s' has no channels", layer);
    if (!status) *count = graph->values[value].shape.dims[1];
    ph_graph_destroy(&graph);
    return status;
}

/* The next run of units in "0-31,40": false at the end. */
static bool range_next(const char **at, const char *end, int64_t *first, int64_t *last) {
    int64_t *numbers[2] = {first, last};
    if (*at >= end) return false;
    *first = 0;
    for (int i = 0; i < 2; i++) {
        int64_t value = 0;
        for (; *at < end && isdigit((unsigned char)**at); ++*at)
            if (value <= INT32_MAX) value = 10 * value + (**at - '0');
        *numbers[i] = value;
        if (i == 0) *last = value;
        if (*at >= end || *(*at)++ == ',') break;
    }
    return true;
}

static ph_status expand_list(ph_model *model, const struct ph_objective *objective, const struct ph_term *term,
                             char ***out, int *out_count) {
    const char *begin = objective->text + term->units_begin, *end = objective->text + term->units_end, *at = begin;
    int64_t units = 0, first, last, count = 0;
    PH_TRY(unit_count(model, term, &units));
    if (*begin == '*') count = units;
    while (*begin != '*' && range_next(&at, end, &first, &last)) {
        if (first > last || last >= units)
            return ph_fail(model->context, PH_ERROR_NOT_FOUND,
                           "objective '%s', character %d: units %lld to %lld do not exist; there are 0 to %lld",
                           objective->text, term->units_begin + 1, (long long)first, (long long)last,
                           (long long)units - 1);
        count += last - first + 1;
    }
    if (count > 1 << 24 || count < 1)
        return ph_fail(model->context, PH_ERROR_ARGUMENT, "objective '%s' names %lld units", objective->text,
                       (long long)count);

    size_t length = strlen(objective->text) + 16; /* a unit has at most ten digits */
    char **list = ph_alloc_array((size_t)count, sizeof *list + length);
    if (!list) return ph_fail_memory(model->context);
    char *text = (char *)(list + count);
    int made = 0;
    at = begin;
    bool all = *begin == '*';
    first = 0, last = units - 1;
    while (all || range_next(&at, end, &first, &last)) {
        for (int64_t unit = first; unit <= last; unit++, text += length) {
            snprintf(text, length, "%.*s%lld%s", term->units_begin, objective->text, (long long)unit, end);
            list[made++] = text;
        }
        if (all) break;
    }
    *out = list;
    *out_count = made;
    return PH_OK;
}

ph_status ph_objective_expand(ph_model *model, const char *text, char ***objectives, int *count) {
    if (!model || !objectives || !count) return PH_ERROR_ARGUMENT;
    struct ph_objective objective;
    PH_TRY(ph_objective_parse(model->context, text, &objective));
    int lists;
    const struct ph_term *term = list_term(&objective, &lists);
    ph_status status = PH_OK;
    if (lists > 1) {
        status = ph_fail(model->context, PH_ERROR_ARGUMENT, "objective '%s' has more than one list of units", text);
    } else if (lists == 1) {
        status = expand_list(model, &objective, term, objectives, count);
    } else {
        size_t length = strlen(text) + 1;
        char **list = ph_alloc(sizeof *list + length);
        if (list) {
            list[0] = memcpy(list + 1, text, length);
            *objectives = list;
            *count = 1;
        } else {
            status = ph_fail_memory(model->context);
        }
    }
    ph_objective_finish(&objective);
    return status;
}

void ph_string_list_destroy(char ***list, int count) {
    (void)count;
    if (!list) return;
    ph_free(*list);
    *list = NULL;
}
