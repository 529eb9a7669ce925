/* Protobuf's text format (https://protobuf.dev/reference/protobuf/textformat-spec/), by the descriptors that protoc-c
 * makes for the binary form: there is no second list of fields. Extensions, Any and group syntax do not occur in Caffe
 * files. A field that the descriptors do not name is skipped with everything in it, as in the binary form.
 */
#include "model/caffe.h"
#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAXIMUM_DEPTH 64

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_NUMBER, TOKEN_STRING, TOKEN_SYMBOL };

struct token {
    enum token_kind kind;
    const char *start; /* a string's with its quotes */
    size_t length;
    int line;
};

struct reader {
    ph_context *context;
    const char *path;
    const char *at, *end;
    int line;            /* of `at` */
    struct token token;  /* the one to be read next */
};

static ph_status fail(const struct reader *reader, int line, const char *format, ...) PH_PRINTF(3, 4);
static ph_status fail(const struct reader *reader, int line, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return ph_fail(reader->context, PH_ERROR_FORMAT, "%s: line %d: %s", reader->path, line, text);
}

/* A token for an error text: cut to a length a person can read, without control characters. */
static const char *show(const struct token *token, char buffer[48]) {
    if (token->kind == TOKEN_END) return "the end of the file";
    size_t length = PH_MIN(token->length, (size_t)40);
    buffer[0] = '\'';
    for (size_t i = 0; i < length; i++) buffer[1 + i] = isprint((unsigned char)token->start[i]) ? token->start[i] : '?';
    memcpy(buffer + 1 + length, "'", 2);
    return buffer;
}

/* ---- Tokens ------------------------------------------------------------------------------------------------------ */

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

static ph_status next(struct reader *reader) {
    while (reader->at < reader->end) {
        char c = *reader->at;
        if (c == '#') {
            while (reader->at < reader->end && *reader->at != '\n') reader->at++;
        } else if (isspace((unsigned char)c)) {
            if (c == '\n') reader->line++;
            reader->at++;
        } else {
            break;
        }
    }
    struct token *token = &reader->token;
    *token = (struct token){.kind = TOKEN_END, .start = reader->at, .line = reader->line};
    if (reader->at == reader->end) return PH_OK;
    char first = *reader->at;
    if (first == '"' || first == '\'') {
        token->kind = TOKEN_STRING;
        for (reader->at++; reader->at < reader->end && *reader->at != first && *reader->at != '\n'; reader->at++)
            if (*reader->at == '\\' && reader->at + 1 < reader->end && reader->at[1] != '\n') reader->at++;
        if (reader->at == reader->end || *reader->at != first)
            return fail(reader, token->line, "a string is not closed");
        reader->at++;
    } else if (isalpha((unsigned char)first) || first == '_') {
        token->kind = TOKEN_WORD;
        while (reader->at < reader->end && is_word(*reader->at)) reader->at++;
    } else if (isdigit((unsigned char)first) || first == '.') {
        token->kind = TOKEN_NUMBER;
        while (reader->at < reader->end && (is_word(*reader->at) || *reader->at == '.' ||
               ((*reader->at == '+' || *reader->at == '-') && (reader->at[-1] | 32) == 'e')))
            reader->at++;
    } else {
        token->kind = TOKEN_SYMBOL;
        reader->at++;
    }
    token->length = (size_t)(reader->at - token->start);
    return PH_OK;
}

static bool is_symbol(const struct reader *reader, char symbol) {
    return reader->token.kind == TOKEN_SYMBOL && reader->token.start[0] == symbol;
}

static ph_status expect(struct reader *reader, char symbol) {
    char buffer[48];
    if (!is_symbol(reader, symbol))
        return fail(reader, reader->token.line, "'%c' expected, %s found", symbol, show(&reader->token, buffer));
    return next(reader);
}

/* The token's text with a sign in front; false when it does not fit. */
static bool copy_text(const struct token *token, bool negative, char *text, size_t size) {
    if (token->length + 2 > size) return false;
    snprintf(text, size, "%s%.*s", negative ? "-" : "", (int)token->length, token->start);
    return true;
}

/* ---- Scalars ----------------------------------------------------------------------------------------------------- */

static int digit_value(char c) {
    if (isdigit((unsigned char)c)) return c - '0';
    char lower = (char)(c | 32);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
}

/* Appends one quoted string, its escapes resolved, to text of *length. */
static ph_status unescape(const struct reader *reader, const struct token *token, char *text, size_t *length) {
    const char *at = token->start + 1, *end = token->start + token->length - 1;
    while (at < end) {
        char c = *at++;
        if (c == '\\') {
            static const char letters[] = "abfnrtv\\'\"?", meanings[] = "\a\b\f\n\r\t\v\\'\"?";
            const char *letter = memchr(letters, *at, sizeof letters - 1);
            int base = *at == 'x' || *at == 'X' ? 16 : 8, limit = base == 16 ? 2 : 3, value = 0, digits = 0;
            if (letter) {
                c = meanings[letter - letters];
                at++;
            } else {
                if (base == 16) at++;
                for (; digits < limit && at < end && digit_value(*at) < base; digits++)
                    value = value * base + digit_value(*at++);
                if (!digits) return fail(reader, token->line, "a string has an unknown escape sequence");
                c = (char)value;
            }
        }
        if (!c) return fail(reader, token->line, "a string contains a zero byte");
        text[(*length)++] = c;
    }
    return PH_OK;
}

/* Adjacent strings are one. */
static ph_status read_string(struct reader *reader, char **text) {
    char buffer[48];
    if (reader->token.kind != TOKEN_STRING)
        return fail(reader, reader->token.line, "a quoted string expected, %s found", show(&reader->token, buffer));
    size_t length = 0;
    *text = NULL;
    ph_status status = PH_OK;
    while (!status && reader->token.kind == TOKEN_STRING) {
        char *longer = ph_realloc_array(*text, length + reader->token.length, 1);
        if (!longer) {
            status = ph_fail_memory(reader->context);
            break;
        }
        *text = longer;
        status = unescape(reader, &reader->token, *text, &length);
        if (!status) status = next(reader);
    }
    if (!status) (*text)[length] = 0;
    if (status) ph_free(*text);
    return status;
}

static ph_status read_integer(struct reader *reader, const char *field, int64_t low, int64_t high, int64_t *value) {
    struct token token = reader->token;
    bool negative = is_symbol(reader, '-');
    if (negative) PH_TRY(next(reader));
    char text[32], buffer[48], *rest = text;
    bool fits = reader->token.kind == TOKEN_NUMBER && copy_text(&reader->token, negative, text, sizeof text);
    if (fits) {
        *value = strtoll(text, &rest, 0); /* base 0: decimal, 0x hexadecimal, 0 octal, as the format has them */
        fits = !*rest && *value >= low && *value <= high;
    }
    if (!fits)
        return fail(reader, token.line, "%s: a whole number from %lld to %lld expected, %s%s found", field,
                    (long long)low, (long long)high, negative ? "minus " : "", show(&reader->token, buffer));
    return next(reader);
}

static ph_status read_real(struct reader *reader, const char *field, double *value) {
    int line = reader->token.line;
    bool negative = is_symbol(reader, '-');
    if (negative) PH_TRY(next(reader));
    char text[128], buffer[48];
    bool valid = copy_text(&reader->token, negative, text, sizeof text);
    const char *magnitude = text + negative;
    size_t length = valid ? strlen(text) : 0;
    if (valid && reader->token.kind == TOKEN_WORD) {
        if (!strcasecmp(magnitude, "inf") || !strcasecmp(magnitude, "infinity"))
            *value = negative ? -HUGE_VAL : HUGE_VAL;
        else if (!strcasecmp(magnitude, "nan")) *value = NAN;
        else valid = false;
    } else if (valid) {
        if (length && (text[length - 1] | 32) == 'f') text[length - 1] = 0;
        valid = reader->token.kind == TOKEN_NUMBER && ph_parse_double(text, value);
    }
    if (!valid)
        return fail(reader, line, "%s: a number expected, %s%s found", field, negative ? "minus " : "",
                    show(&reader->token, buffer));
    return next(reader);
}

static ph_status read_bool(struct reader *reader, const char *field, bool *value) {
    static const char *const words[2][5] = {{"false", "False", "f", "0", NULL}, {"true", "True", "t", "1", NULL}};
    char text[8], buffer[48];
    if (copy_text(&reader->token, false, text, sizeof text))
        for (int truth = 0; truth < 2; truth++)
            for (int i = 0; words[truth][i]; i++)
                if (!strcmp(text, words[truth][i])) {
                    *value = truth;
                    return next(reader);
                }
    return fail(reader, reader->token.line, "%s: true or false expected, %s found", field,
                show(&reader->token, buffer));
}

static ph_status read_enum(struct reader *reader, const char *field, const ProtobufCEnumDescriptor *descriptor,
                           int *value) {
    char text[64], buffer[48], valid[256] = "";
    const ProtobufCEnumValue *found = NULL;
    int64_t number;
    if (copy_text(&reader->token, false, text, sizeof text)) {
        if (reader->token.kind == TOKEN_WORD) found = protobuf_c_enum_descriptor_get_value_by_name(descriptor, text);
        else if (reader->token.kind == TOKEN_NUMBER && ph_parse_int(text, &number) && number <= INT32_MAX)
            found = protobuf_c_enum_descriptor_get_value(descriptor, (int)number);
    }
    if (found) {
        *value = found->value;
        return next(reader);
    }
    for (unsigned i = 0, at = 0; i < descriptor->n_values && at < sizeof valid - 1; i++)
        at += (unsigned)snprintf(valid + at, sizeof valid - at, i ? ", %s" : "%s", descriptor->values[i].name);
    return fail(reader, reader->token.line, "%s: %s is none of %s", field, show(&reader->token, buffer), valid);
}

/* ---- Messages ---------------------------------------------------------------------------------------------------- */

/* Steps over a value of a field that is not known: a scalar, a list, or a message with everything in it. */
static ph_status skip_value(struct reader *reader, int depth) {
    if (depth > MAXIMUM_DEPTH) return fail(reader, reader->token.line, "nested more than %d deep", MAXIMUM_DEPTH);
    char buffer[48];
    if (is_symbol(reader, '{') || is_symbol(reader, '<') || is_symbol(reader, '[')) {
        char open = reader->token.start[0], close = open == '{' ? '}' : open == '<' ? '>' : ']';
        int line = reader->token.line;
        PH_TRY(next(reader));
        while (!is_symbol(reader, close)) {
            if (reader->token.kind == TOKEN_END) return fail(reader, line, "'%c' is not closed", open);
            if (is_symbol(reader, '{') || is_symbol(reader, '<') || is_symbol(reader, '[')) {
                PH_TRY(skip_value(reader, depth + 1));
            } else if (is_symbol(reader, '}') || is_symbol(reader, '>') || is_symbol(reader, ']')) {
                return fail(reader, reader->token.line, "'%c' expected, %s found", close, show(&reader->token, buffer));
            } else {
                PH_TRY(next(reader));
            }
        }
        return next(reader);
    }
    if (is_symbol(reader, '-')) PH_TRY(next(reader));
    if (reader->token.kind == TOKEN_END || reader->token.kind == TOKEN_SYMBOL)
        return fail(reader, reader->token.line, "a value expected, %s found", show(&reader->token, buffer));
    bool string = reader->token.kind == TOKEN_STRING;
    PH_TRY(next(reader));
    while (string && reader->token.kind == TOKEN_STRING) PH_TRY(next(reader));
    return PH_OK;
}

static size_t element_size(const ProtobufCFieldDescriptor *field) {
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64: return sizeof(int64_t);
    case PROTOBUF_C_TYPE_DOUBLE: return sizeof(double);
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE: return sizeof(void *);
    default: return sizeof(int32_t);
    }
}

static ph_status read_message(struct reader *reader, ProtobufCMessage *message, char close, int line, int depth);

/* One value into `slot`, which holds the field's initial value. */
static ph_status read_value(struct reader *reader, const ProtobufCFieldDescriptor *field, void *slot, int depth) {
    int64_t integer;
    double real;
    bool truth;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
        PH_TRY(read_integer(reader, field->name, INT32_MIN, INT32_MAX, &integer));
        *(int32_t *)slot = (int32_t)integer;
        return PH_OK;
    case PROTOBUF_C_TYPE_UINT32:
        PH_TRY(read_integer(reader, field->name, 0, UINT32_MAX, &integer));
        *(uint32_t *)slot = (uint32_t)integer;
        return PH_OK;
    case PROTOBUF_C_TYPE_INT64:
        return read_integer(reader, field->name, INT64_MIN, INT64_MAX, slot);
    case PROTOBUF_C_TYPE_FLOAT:
        PH_TRY(read_real(reader, field->name, &real));
        *(float *)slot = fabs(real) > FLT_MAX ? (float)copysign(HUGE_VAL, real) : (float)real;
        return PH_OK;
    case PROTOBUF_C_TYPE_DOUBLE:
        return read_real(reader, field->name, slot);
    case PROTOBUF_C_TYPE_BOOL:
        PH_TRY(read_bool(reader, field->name, &truth));
        *(protobuf_c_boolean *)slot = truth;
        return PH_OK;
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(reader, field->name, field->descriptor, slot);
    case PROTOBUF_C_TYPE_STRING:
        return read_string(reader, slot);
    case PROTOBUF_C_TYPE_MESSAGE: {
        char buffer[48];
        int line = reader->token.line;
        char close = is_symbol(reader, '<') ? '>' : '}';
        if (!is_symbol(reader, '{') && !is_symbol(reader, '<'))
            return fail(reader, line, "%s: '{' expected, %s found", field->name, show(&reader->token, buffer));
        PH_TRY(next(reader));
        const ProtobufCMessageDescriptor *descriptor = field->descriptor;
        ProtobufCMessage *message = ph_alloc(descriptor->sizeof_message);
        if (!message) return ph_fail_memory(reader->context);
        protobuf_c_message_init(descriptor, message);
        *(ProtobufCMessage **)slot = message; /* freed with the whole, whatever happens */
        return read_message(reader, message, close, line, depth + 1);
    }
    default:
        return fail(reader, reader->token.line, "%s: a field of a kind that Caffe files do not have", field->name);
    }
}

/* Repeated fields keep no capacity: it is the count rounded up to a power of two. */
static ph_status read_repeated(struct reader *reader, const ProtobufCFieldDescriptor *field, ProtobufCMessage *message,
                               int depth) {
    size_t *count = (size_t *)((char *)message + field->quantifier_offset), size = element_size(field);
    char **array = (char **)((char *)message + field->offset);
    if ((*count & (*count - 1)) == 0) {
        void *longer = ph_realloc_array(*array, *count ? 2 * *count : 1, size);
        if (!longer) return ph_fail_memory(reader->context);
        *array = longer;
    }
    char *slot = *array + *count * size;
    memset(slot, 0, size);
    ph_status status = read_value(reader, field, slot, depth);
    /* A message that was begun belongs to the array even when it is broken; of a failed string nothing is left. */
    if (!status || (field->type == PROTOBUF_C_TYPE_MESSAGE && *(void **)slot)) ++*count;
    return status;
}

static ph_status read_single(struct reader *reader, const ProtobufCFieldDescriptor *field, ProtobufCMessage *message,
                             int depth) {
    void *slot = (char *)message + field->offset;
    bool pointer = field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
    protobuf_c_boolean *has = (protobuf_c_boolean *)((char *)message + field->quantifier_offset);
    if (pointer ? *(void **)slot != NULL : *has)
        return fail(reader, reader->token.line, "%s is given twice", field->name);
    if (field->type != PROTOBUF_C_TYPE_STRING) {
        PH_TRY(read_value(reader, field, slot, depth));
        if (!pointer) *has = true;
        return PH_OK;
    }
    char *text;
    PH_TRY(read_string(reader, &text));
    *(char **)slot = text;
    return PH_OK;
}

/* NULL when the descriptor does not name it. A field whose name C does not allow there has an underscore behind it. */
static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *descriptor,
                                                  const struct token *key) {
    char name[64];
    if (!copy_text(key, false, name, sizeof name - 1)) return NULL;
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(descriptor, name);
    return field ? field : protobuf_c_message_descriptor_get_field_by_name(descriptor, strcat(name, "_"));
}

/* The fields of a message up to `close` (0: the end of the file); `line` is where it was opened. */
static ph_status read_message(struct reader *reader, ProtobufCMessage *message, char close, int line, int depth) {
    char buffer[48], name[48];
    for (;;) {
        if (close && is_symbol(reader, close)) return next(reader);
        struct token key = reader->token;
        if (key.kind == TOKEN_END)
            return close ? fail(reader, line, "'%c' is not closed", close == '}' ? '{' : '<') : PH_OK;
        if (key.kind != TOKEN_WORD)
            return fail(reader, key.line, "a field name expected, %s found", show(&key, buffer));
        const ProtobufCFieldDescriptor *field = find_field(message->descriptor, &key);
        PH_TRY(next(reader));
        bool colon = is_symbol(reader, ':');
        if (colon) PH_TRY(next(reader));
        else if (!is_symbol(reader, '{') && !is_symbol(reader, '<'))
            return fail(reader, reader->token.line, "':' or '{' expected behind %s, %s found", show(&key, name),
                        show(&reader->token, buffer));
        if (!field) {
            PH_TRY(skip_value(reader, depth + 1));
        } else if (field->label != PROTOBUF_C_LABEL_REPEATED) {
            PH_TRY(read_single(reader, field, message, depth));
        } else if (colon && is_symbol(reader, '[')) {
            PH_TRY(next(reader));
            for (bool first = true; !is_symbol(reader, ']'); first = false) {
                if (!first) PH_TRY(expect(reader, ','));
                PH_TRY(read_repeated(reader, field, message, depth));
            }
            PH_TRY(next(reader));
        } else {
            PH_TRY(read_repeated(reader, field, message, depth));
        }
        if (is_symbol(reader, ',') || is_symbol(reader, ';')) PH_TRY(next(reader));
    }
}

ph_status ph_caffe_text_parse(ph_context *context, const char *path, const char *text, size_t size,
                              const ProtobufCMessageDescriptor *descriptor, ProtobufCMessage **message) {
    struct reader reader = {.context = context, .path = path, .at = text, .end = text + size, .line = 1};
    *message = ph_alloc(descriptor->sizeof_message);
    if (!*message) return ph_fail_memory(context);
    protobuf_c_message_init(descriptor, *message);
    ph_status status = next(&reader);
    if (!status) status = read_message(&reader, *message, 0, 1, 0);
    if (status) {
        ph_protobuf_free(*message);
        *message = NULL;
    }
    return status;
}
