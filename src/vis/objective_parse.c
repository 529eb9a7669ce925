/* From the text of an objective to a weighted sum of terms.
 *
 *     expression   product { + product | - product }
 *     product      factor { * factor }
 *     factor       number | - factor | ( expression ) | FUNCTION ( [argument {, argument}] ) | reference
 *     reference    LAYER | LAYER : units [@ column , row] | class : CLASS | probability : CLASS
 *     units        N | * | N-N , N , ...           (lists are for ph_objective_expand)
 *     argument     [NAME =] (layer | number | WORD | FILE | NETWORK | vector | expression) | CLASS = number
 *     layer        LAYER [: N] [@ region]
 *     vector       [ number , ... ] | [ N : number , ... ] | FILE [@ region] | FILE @ *
 *     region       column [- column] , row [- row]
 *
 * Numbers are multiplied into the weights of the terms they stand beside, so that what is kept is a number plus a sum of
 * weighted terms; products of objectives are terms that have two such sums. Everything lies in the objective's pool. */
#include "vis/vis.h"
#include <ctype.h>
#include <string.h>

#define MAX_DEPTH 64 /* of parentheses and signs */

struct parser {
    ph_context *context;
    struct ph_objective *objective;
    const char *text, *at;
    int depth;
};

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

/* Class names hold spaces, and hyphens and quotes within words: what ends one is an operator, an equals sign, a hyphen
 * that stands free, or the end. */
static ph_status parse_class_name(struct parser *p, const char **name) {
    *name = NULL;
    skip_space(p);
    if (*p->at == '\'') return parse_quoted(p, name);
    const char *start = p->at, *end = p->at;
    for (; *p->at && !strchr("+*(),=", *p->at); p->at++) {
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

/* ---- Arguments ------------------------------------------------------------------------------------------------------ */

static ph_status parse_sum(struct parser *p, struct ph_sum *sum);

static bool accept_signed(struct parser *p, double *value) {
    const char *start = p->at;
    bool minus = accept(p, '-');
    skip_space(p);
    if (accept_number(p, value)) {
        if (minus) *value = -*value;
        return true;
    }
    p->at = start;
    return false;
}

/* "3" or "3-5". */
static ph_status parse_range(struct parser *p, int64_t range[2]) {
    PH_TRY(parse_coordinate(p, &range[0]));
    range[1] = range[0];
    const char *start = p->at;
    if (!accept(p, '-')) return PH_OK;
    PH_TRY(parse_coordinate(p, &range[1]));
    return range[1] >= range[0] ? PH_OK : parse_fail(p, start, "a range begins with its smaller end", "");
}

static ph_status parse_region(struct parser *p, struct ph_region *region) {
    if (!accept(p, '@')) return PH_OK;
    region->given = true;
    PH_TRY(parse_range(p, region->columns));
    if (!accept(p, ',')) return parse_fail(p, p->at, "a position is column,row: a comma expected", "");
    return parse_range(p, region->rows);
}

/* A free name ends at a comma, a parenthesis or an @, unless it is quoted. */
static ph_status parse_free_name(struct parser *p, const char *expected, const char **name) {
    *name = NULL;
    skip_space(p);
    if (*p->at == '\'') return parse_quoted(p, name);
    const char *start = p->at, *end = start;
    for (; *p->at && !strchr(",()@", *p->at); p->at++)
        if (!isspace((unsigned char)*p->at)) end = p->at + 1;
    p->at = end;
    return end == start ? parse_fail(p, start, expected, "") : copy_name(p, start, (size_t)(end - start), name);
}

static ph_status parse_file(struct parser *p, const char **name) {
    return parse_free_name(p, "the name of a file expected", name);
}

static ph_status parse_network(struct parser *p, const char **name) {
    return parse_free_name(p, "the name of a network expected, as --with gives it", name);
}

/* One entry of a vector's list: a number, or a channel and its number. */
static ph_status parse_entry(struct parser *p, struct ph_argument *argument, int64_t *channel, float *weight) {
    double number;
    skip_space(p);
    const char *start = p->at, *at = start;
    while (isdigit((unsigned char)*at)) at++;
    const char *digits_end = at;
    while (isspace((unsigned char)*at)) at++;
    bool sparse = digits_end > start && *at == ':';
    *channel = argument->list_count;
    if (argument->list_count && sparse != argument->sparse)
        return parse_fail(p, start, "a list has channels with all its numbers, or with none", "");
    argument->sparse = sparse;
    if (sparse) {
        PH_TRY(parse_coordinate(p, channel));
        p->at = at + 1;
    }
    if (!accept_signed(p, &number)) return parse_fail(p, p->at, "a number expected", "");
    *weight = (float)number;
    return PH_OK;
}

static ph_status parse_list(struct parser *p, const char *start, struct ph_argument *argument) {
    size_t most = 1;
    for (const char *c = p->at; *c && *c != ']'; c++) most += *c == ',';
    int64_t *channels = ph_pool_alloc(&p->objective->pool, most * sizeof *channels);
    float *weights = ph_pool_alloc(&p->objective->pool, most * sizeof *weights);
    if (!channels || !weights) return ph_fail_memory(p->context);
    argument->channels = channels;
    argument->weights = weights;
    do {
        int i = argument->list_count;
        PH_TRY(parse_entry(p, argument, &channels[i], &weights[i]));
        argument->list_count++;
    } while (accept(p, ','));
    return accept(p, ']') ? PH_OK : parse_fail(p, start, "this bracket is not closed", "");
}

static ph_status parse_vector(struct parser *p, struct ph_term *term, struct ph_argument *argument) {
    const char *start = p->at;
    if (accept(p, '[')) return parse_list(p, start, argument);
    PH_TRY(parse_file(p, &argument->name));
    const char *at = p->at;
    if (!accept(p, '@')) return PH_OK;
    skip_space(p);
    if (*p->at == '*') { /* every position: for ph_objective_expand */
        term->units_begin = (int)(p->at - p->text);
        term->units_end = term->units_begin + 1;
        p->at++;
        return PH_OK;
    }
    p->at = at;
    return parse_region(p, &argument->region);
}

/* CLASS = SHARE, ... up to the closing parenthesis. */
static ph_status parse_shares(struct parser *p, struct ph_argument *argument) {
    size_t most = 1;
    double sum = 0;
    for (const char *c = p->at; *c; c++) most += *c == ',';
    const char **classes = ph_pool_alloc(&p->objective->pool, most * sizeof *classes);
    float *weights = ph_pool_alloc(&p->objective->pool, most * sizeof *weights);
    if (!classes || !weights) return ph_fail_memory(p->context);
    argument->classes = classes;
    argument->weights = weights;
    do {
        double share;
        PH_TRY(parse_class_name(p, &classes[argument->list_count]));
        const char *start = p->at;
        if (!classes[argument->list_count] || !accept(p, '=') || !accept_signed(p, &share) || !(share > 0 && share <= 1))
            return parse_fail(p, start, "a class and its share are expected, from above 0 to 1: CLASS=0.7", "");
        weights[argument->list_count++] = (float)share;
        sum += share;
        if (sum > 1 + 1e-6) return parse_fail(p, start, "the shares add up to more than 1", "");
    } while (accept(p, ','));
    return PH_OK;
}

/* LAYER : N @ region, as far as the parameter allows. */
static ph_status parse_layer(struct parser *p, struct ph_term *term, const struct ph_parameter *parameter,
                             struct ph_argument *argument) {
    PH_TRY(parse_name(p, &argument->name));
    if (!argument->name) return parse_fail(p, p->at, "the name of a layer expected: ", term->type->form);
    if (parameter->channel && accept(p, ':')) {
        struct ph_term unit = {0};
        const char *start = p->at;
        if (!accept_units(p, &unit) || unit.units_end > unit.units_begin)
            return parse_fail(p, start, "one channel expected, a number from 0", "");
        argument->one_channel = true;
        argument->channel = unit.unit;
    }
    return parse_region(p, &argument->region);
}

static ph_status parse_word(struct parser *p, const struct ph_parameter *parameter, struct ph_argument *argument) {
    const char *start = p->at, *word;
    PH_TRY(parse_name(p, &word));
    for (int i = 0; word && parameter->words[i]; i++)
        if (!strcmp(parameter->words[i], word)) {
            argument->word = i;
            return PH_OK;
        }
    struct ph_text words = {0};
    for (int i = 0; parameter->words[i]; i++)
        ph_text_append(&words, "%s%s", !i ? "" : parameter->words[i + 1] ? ", " : " or ", parameter->words[i]);
    ph_status status = parse_fail(p, start, "one of these is expected: ", words.data ? words.data : "");
    ph_text_finish(&words);
    return status;
}

static ph_status parse_number_argument(struct parser *p, const struct ph_parameter *parameter,
                                       struct ph_argument *argument) {
    const char *start = p->at;
    if (accept_signed(p, &argument->number) && argument->number >= parameter->low &&
        argument->number <= parameter->high)
        return PH_OK;
    struct ph_text range = {0};
    ph_text_append(&range, "%s is a number from ", parameter->name);
    ph_text_append_number(&range, parameter->low);
    ph_text_append(&range, " to ");
    ph_text_append_number(&range, parameter->high);
    ph_status status = parse_fail(p, start, "", range.data ? range.data : "a number expected");
    ph_text_finish(&range);
    return status;
}

static ph_status parse_argument(struct parser *p, struct ph_term *term, int index) {
    const struct ph_parameter *parameter = &term->type->parameters[index];
    struct ph_argument *argument = &term->arguments[index];
    skip_space(p);
    argument->given = true;
    argument->begin = (int)(p->at - p->text);
    switch (parameter->kind) {
    case PH_ARGUMENT_LAYER: return parse_layer(p, term, parameter, argument);
    case PH_ARGUMENT_NUMBER: return parse_number_argument(p, parameter, argument);
    case PH_ARGUMENT_WORD: return parse_word(p, parameter, argument);
    case PH_ARGUMENT_FILE: return parse_file(p, &argument->name);
    case PH_ARGUMENT_VECTOR: return parse_vector(p, term, argument);
    case PH_ARGUMENT_SHARES: return parse_shares(p, argument);
    case PH_ARGUMENT_NETWORK: return parse_network(p, &argument->name);
    case PH_ARGUMENT_EXPRESSION: return parse_sum(p, &argument->expression);
    }
    return PH_OK;
}

/* ---- Functions ------------------------------------------------------------------------------------------------------ */

static const char *function_name(void *user, int index) {
    (void)user;
    return ph_term_types[index]->function ? ph_term_types[index]->name : NULL;
}

/* Whether the arguments are `keyword` and then something like CLASS=SHARE, without consuming them. */
static bool keyword_follows(const char *at, const char *keyword) {
    size_t length = strlen(keyword);
    while (isspace((unsigned char)*at)) at++;
    if (strncmp(at, keyword, length)) return false;
    at += length;
    while (isspace((unsigned char)*at)) at++;
    if (*at++ != ',') return false;
    while (isspace((unsigned char)*at)) at++;
    bool parameter = !strncmp(at, "by", 2) && strchr(" =", at[2]); /* the other function's */
    return !parameter && at[strcspn(at, ",)=")] == '=';
}

static ph_status function_find(struct parser *p, const char *start, const char *name,
                               const struct ph_term_type **type) {
    int count = 0;
    for (; ph_term_types[count]; count++)
        if (ph_term_types[count]->function && !strcmp(ph_term_types[count]->name, name) &&
            (!ph_term_types[count]->keyword || keyword_follows(p->at, ph_term_types[count]->keyword))) {
            *type = ph_term_types[count];
            return PH_OK;
        }
    struct ph_text text = {0};
    ph_text_append(&text, "'%s'", name);
    ph_suggest(&text, name, count, function_name, NULL);
    ph_status status = parse_fail(p, start, "there is no function ", text.data ? text.data : "");
    ph_text_finish(&text);
    return status;
}

/* Consumes "NAME =" and tells which parameter that is; `next`, the next one without a name, when there is none. */
static ph_status accept_parameter(struct parser *p, const struct ph_term_type *type, int next, int *index) {
    skip_space(p);
    const char *start = p->at, *end = start;
    while (islower((unsigned char)*end) || *end == '_') end++;
    const char *equals = end;
    while (isspace((unsigned char)*equals)) equals++;
    *index = next;
    bool shares = type->parameters[next].name && type->parameters[next].kind == PH_ARGUMENT_SHARES;
    if (end == start || *equals != '=' || shares) return PH_OK;
    for (int i = 0; type->parameters[i].name; i++)
        if (strlen(type->parameters[i].name) == (size_t)(end - start) &&
            !memcmp(type->parameters[i].name, start, (size_t)(end - start))) {
            *index = i;
            p->at = equals + 1;
            return PH_OK;
        }
    return parse_fail(p, start, "there is no parameter of that name: ", type->form);
}

static ph_status parse_arguments(struct parser *p, struct ph_term *term) {
    const struct ph_parameter *parameters = term->type->parameters;
    int next = 0, index;
    if (accept(p, ')')) return PH_OK;
    if (!parameters[0].name) return parse_fail(p, p->at, "a closing parenthesis expected: ", term->type->form);
    do {
        skip_space(p);
        const char *start = p->at;
        PH_TRY(accept_parameter(p, term->type, next, &index));
        if (!parameters[index].name) return parse_fail(p, start, "too many arguments: ", term->type->form);
        if (term->arguments[index].given) return parse_fail(p, start, "this argument is given twice: ", term->type->form);
        PH_TRY(parse_argument(p, term, index));
        next = index + 1;
    } while (accept(p, ','));
    return accept(p, ')') ? PH_OK : parse_fail(p, p->at, "a comma or a closing parenthesis expected: ", term->type->form);
}

static ph_status parse_function(struct parser *p, const char *start, const char *name, struct ph_term *term) {
    PH_TRY(function_find(p, start, name, &term->type));
    if (++p->depth > MAX_DEPTH) return parse_fail(p, start, "too deeply nested", "");
    const struct ph_parameter *parameters = term->type->parameters;
    const char *inside = p->at;
    PH_TRY(parse_arguments(p, term));
    p->depth--;
    for (int i = 0; parameters[i].name; i++) {
        if (term->arguments[i].given || parameters[i].optional) continue;
        struct ph_text text = {0};
        ph_text_append(&text, "%s is missing: %s", parameters[i].name, term->type->form);
        ph_status status = parse_fail(p, inside, "", text.data ? text.data : "an argument is missing");
        ph_text_finish(&text);
        return status;
    }
    return PH_OK;
}

/* ---- Sums ----------------------------------------------------------------------------------------------------------- */

/* A copy in the pool as the last term of a sum. */
static ph_status term_add(struct parser *p, const struct ph_term *term, struct ph_sum *sum) {
    struct ph_term *copy = ph_pool_copy(&p->objective->pool, term, sizeof *term);
    if (!copy) return ph_fail_memory(p->context);
    if (sum->last) sum->last->next = copy;
    else sum->first = copy;
    sum->last = copy;
    return PH_OK;
}

static ph_status parse_reference(struct parser *p, struct ph_sum *sum) {
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
    term.end = (int)(p->at - p->text);
    return term_add(p, &term, sum);
}

static void scale(struct ph_sum *sum, double factor) {
    sum->constant *= factor;
    for (struct ph_term *term = sum->first; term; term = term->next) term->weight *= factor;
}

static ph_status parse_factor(struct parser *p, struct ph_sum *sum) {
    *sum = (struct ph_sum){0};
    skip_space(p);
    if (accept_number(p, &sum->constant)) return PH_OK;
    bool minus = *p->at == '-', open = *p->at == '(';
    if (!minus && !open) return parse_reference(p, sum);
    if (++p->depth > MAX_DEPTH) return parse_fail(p, p->at, "too deeply nested", "");
    const char *start = p->at++;
    if (minus) {
        PH_TRY(parse_factor(p, sum));
        scale(sum, -1);
    } else {
        PH_TRY(parse_sum(p, sum));
        if (!accept(p, ')')) return parse_fail(p, start, "this parenthesis is not closed", "");
    }
    p->depth--;
    return PH_OK;
}

/* Numbers become weights; of two objectives the product is a term. */
static ph_status multiply(struct parser *p, const char *start, struct ph_sum *product, struct ph_sum *factor) {
    if (!factor->first) {
        scale(product, factor->constant);
        return PH_OK;
    }
    if (!product->first) {
        scale(factor, product->constant);
        *product = *factor;
        return PH_OK;
    }
    struct ph_term term = {.type = &ph_term_product, .weight = 1, .begin = (int)(start - p->text)};
    term.arguments[0] = (struct ph_argument){.given = true, .expression = *product};
    term.arguments[1] = (struct ph_argument){.given = true, .expression = *factor};
    *product = (struct ph_sum){0};
    return term_add(p, &term, product);
}

static ph_status parse_product(struct parser *p, struct ph_sum *product) {
    PH_TRY(parse_factor(p, product));
    for (;;) {
        skip_space(p);
        const char *start = p->at;
        struct ph_sum factor;
        if (!accept(p, '*')) return PH_OK;
        PH_TRY(parse_factor(p, &factor));
        PH_TRY(multiply(p, start, product, &factor));
    }
}

static ph_status parse_sum(struct parser *p, struct ph_sum *sum) {
    PH_TRY(parse_product(p, sum));
    for (;;) {
        bool minus = accept(p, '-');
        if (!minus && !accept(p, '+')) return PH_OK;
        struct ph_sum right;
        PH_TRY(parse_product(p, &right));
        if (minus) scale(&right, -1);
        sum->constant += right.constant;
        if (!right.first) continue;
        if (sum->last) sum->last->next = right.first;
        else sum->first = right.first;
        sum->last = right.last;
    }
}

ph_status ph_objective_parse(ph_context *context, const char *text, struct ph_objective *objective) {
    *objective = (struct ph_objective){0};
    if (!text) return ph_fail(context, PH_ERROR_ARGUMENT, "no objective");
    objective->text = ph_pool_strdup(&objective->pool, text);
    struct parser p = {.context = context, .objective = objective, .text = objective->text, .at = objective->text};
    ph_status status = objective->text ? PH_OK : ph_fail_memory(context);
    if (!status) status = parse_sum(&p, &objective->sum);
    if (!status) {
        skip_space(&p);
        if (*p.at) status = parse_fail(&p, p.at, "an operator or the end expected", "");
        else if (!objective->sum.first) status = parse_fail(&p, p.text, "a number alone cannot be an objective", "");
    }
    if (status) ph_objective_finish(objective);
    return status;
}

void ph_objective_finish(struct ph_objective *objective) {
    ph_pool_finish(&objective->pool);
    *objective = (struct ph_objective){0};
}
