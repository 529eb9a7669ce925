/* A walk over a message as it is written, from front to back: what is kept is copied, each message that may hold the part is
 * walked in turn, and the part is skipped. How deep it goes is bounded by the messages' kinds, which do not hold themselves.
 *
 * Format: https://protobuf.dev/programming-guides/encoding/. */
#include "model/protobuf_cut.h"
#include <string.h>

/* LENGTH: bytes of a message's size as it is written here, before the size is known. */
enum { WINDOW = 1 << 14, LENGTH = 5, LONGEST_KEY = 5, LONGEST_NUMBER = 10 };
enum wire { WIRE_NUMBER = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct walk {
    ph_context *context;
    const struct ph_file *file;
    const struct ph_protobuf_part *part;
    uint64_t at;                    /* in the file */
    uint64_t window_at;
    size_t window_size;
    uint8_t *window;                /* what has been read of the file around `at` */
    uint8_t *out;
    size_t out_size, out_capacity;
    ph_status status;               /* of reading and of memory; a damaged message has none */
};

static bool fail(struct walk *walk, ph_status status) {
    walk->status = status;
    return false;
}

static bool out_add(struct walk *walk, const void *bytes, size_t size) {
    if (size > walk->out_capacity - walk->out_size) {
        size_t capacity = PH_MAX(2 * walk->out_capacity, walk->out_size + size);
        uint8_t *out = ph_realloc_array(walk->out, capacity, 1);
        if (!out) return fail(walk, ph_fail_memory(walk->context));
        walk->out = out;
        walk->out_capacity = capacity;
    }
    memcpy(walk->out + walk->out_size, bytes, size);
    walk->out_size += size;
    return true;
}

/* What lies at walk->at in the window, *size bytes up to `end`, at least one. */
static bool window_at(struct walk *walk, uint64_t end, const uint8_t **bytes, size_t *size) {
    if (walk->at >= end) return false;
    if (walk->at < walk->window_at || walk->at >= walk->window_at + walk->window_size) {
        walk->window_at = walk->at;
        walk->window_size = (size_t)PH_MIN(walk->file->size - walk->at, (uint64_t)WINDOW);
        ph_status status = ph_file_read(walk->context, walk->file, walk->at, walk->window_size, walk->window);
        if (status) {
            walk->window_size = 0;
            return fail(walk, status);
        }
    }
    *bytes = walk->window + (walk->at - walk->window_at);
    *size = (size_t)PH_MIN(walk->window_at + walk->window_size, end) - (size_t)walk->at;
    return true;
}

static bool copy(struct walk *walk, uint64_t count, uint64_t end) {
    if (count > end - walk->at) return false;
    for (end = walk->at + count; walk->at < end;) {
        const uint8_t *bytes;
        size_t size;
        if (!window_at(walk, end, &bytes, &size) || !out_add(walk, bytes, size)) return false;
        walk->at += size;
    }
    return true;
}

/* A number of at most `longest` bytes. */
static bool number_read(struct walk *walk, int longest, uint64_t end, uint64_t *number) {
    *number = 0;
    for (int i = 0; i < longest; i++) {
        const uint8_t *bytes;
        size_t size;
        if (!window_at(walk, end, &bytes, &size)) return false;
        walk->at++;
        *number |= (uint64_t)(bytes[0] & 0x7f) << 7 * i;
        if (bytes[0] < 0x80) return true;
    }
    return false;
}

/* In `width` bytes, more than are needed where it is small; 0: as many as are needed. */
static size_t number_write(uint64_t number, size_t width, uint8_t *to) {
    size_t size = 0;
    do to[size++] = (uint8_t)((number & 0x7f) | 0x80);
    while ((number >>= 7) || size < width);
    to[size - 1] &= 0x7f;
    return size;
}

static bool number_add(struct walk *walk, uint64_t number) {
    uint8_t bytes[LONGEST_NUMBER];
    return out_add(walk, bytes, number_write(number, 0, bytes));
}

static bool message_walk(struct walk *walk, const ProtobufCMessageDescriptor *descriptor, uint64_t end);

/* Behind its size stands what it holds, which may be shorter than in the file. */
static bool inner_walk(struct walk *walk, const ProtobufCMessageDescriptor *descriptor, uint64_t end) {
    static const uint8_t size_to_come[LENGTH];
    size_t start = walk->out_size + LENGTH;
    if (!out_add(walk, size_to_come, LENGTH) || !message_walk(walk, descriptor, end)) return false;
    if (walk->out_size - start > INT32_MAX) return false;
    number_write(walk->out_size - start, LENGTH, walk->out + start - LENGTH);
    return true;
}

static bool bytes_walk(struct walk *walk, const ProtobufCMessageDescriptor *descriptor, uint32_t number, uint64_t end) {
    uint64_t size;
    if (!number_read(walk, LENGTH, end, &size) || size > end - walk->at) return false;
    if (descriptor == walk->part->message && number == walk->part->number) {
        struct ph_protobuf_place place = {.offset = walk->at, .size = size};
        walk->at += size;
        return number_add(walk, sizeof place) && out_add(walk, &place, sizeof place);
    }
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(descriptor, number);
    if (field && field->type == PROTOBUF_C_TYPE_MESSAGE) return inner_walk(walk, field->descriptor, walk->at + size);
    return number_add(walk, size) && copy(walk, size, end);
}

static bool field_walk(struct walk *walk, const ProtobufCMessageDescriptor *descriptor, uint64_t end) {
    uint64_t key, number;
    if (!number_read(walk, LONGEST_KEY, end, &key) || key > UINT32_MAX || !number_add(walk, key)) return false;
    switch (key & 7) {
    case WIRE_NUMBER: return number_read(walk, LONGEST_NUMBER, end, &number) && number_add(walk, number);
    case WIRE_64: return copy(walk, 8, end);
    case WIRE_32: return copy(walk, 4, end);
    case WIRE_BYTES: return bytes_walk(walk, descriptor, (uint32_t)key >> 3, end);
    default: return false;
    }
}

static bool message_walk(struct walk *walk, const ProtobufCMessageDescriptor *descriptor, uint64_t end) {
    while (walk->at < end)
        if (!field_walk(walk, descriptor, end)) return false;
    return true;
}

ph_status ph_protobuf_cut(ph_context *context, const ProtobufCMessageDescriptor *descriptor, const struct ph_file *file,
                          const struct ph_protobuf_part *part, struct ph_file *cut, bool *damaged) {
    struct walk walk = {.context = context, .file = file, .part = part, .out_capacity = WINDOW,
        .window = ph_alloc_aligned(WINDOW), .out = ph_realloc_array(NULL, WINDOW, 1)};
    *cut = (struct ph_file){0};
    if (!walk.window || !walk.out) walk.status = ph_fail_memory(context);
    bool whole = !walk.status && message_walk(&walk, descriptor, file->size);
    ph_free_aligned(walk.window);
    *damaged = !whole && !walk.status;
    if (whole) *cut = (struct ph_file){.data = walk.out, .size = walk.out_size, .memory = walk.out};
    else ph_free(walk.out);
    return walk.status;
}
