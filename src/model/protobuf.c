/* protobuf-c with the library's memory, and with a limit to it. */
#include "model/protobuf.h"
#include "model/protobuf_cut.h"
#include <string.h>

/* What unpacking may take: a base, which is plenty for networks of thousands of layers, and a multiple of the file's
 * size, for weights. */
#define BUDGET_BASE ((size_t)64 << 20)
#define BUDGET_FACTOR 4

struct budget { size_t left; bool exceeded, memory_out; };

static void *budget_alloc(void *user, size_t size) {
    struct budget *budget = user;
    if (size > budget->left) {
        budget->exceeded = true;
        return NULL;
    }
    budget->left -= size;
    void *block = ph_alloc(size);
    if (!block) budget->memory_out = true;
    return block;
}

static ph_status fail_damaged(ph_context *context, const char *what) {
    return ph_fail(context, PH_ERROR_FORMAT, "not %s, or it is damaged or cut short", what);
}

static void release(void *user, void *block) {
    (void)user;
    ph_free(block);
}

/* `size` is the file's. */
static ph_status unpack(ph_context *context, const ProtobufCMessageDescriptor *descriptor, const char *what,
                        const struct ph_file *bytes, size_t size, ProtobufCMessage **message) {
    struct budget budget = {.left = BUDGET_BASE + BUDGET_FACTOR * size};
    ProtobufCAllocator allocator = {.alloc = budget_alloc, .free = release, .allocator_data = &budget};
    *message = protobuf_c_message_unpack(descriptor, &allocator, bytes->size, bytes->data);
    if (*message) return PH_OK;
    if (budget.memory_out) return ph_fail_memory(context);
    if (budget.exceeded)
        return ph_fail(context, PH_ERROR_FORMAT, "its messages take far more memory than the file's size warrants");
    return fail_damaged(context, what);
}

ph_status ph_protobuf_unpack(ph_context *context, const ProtobufCMessageDescriptor *descriptor, const char *what,
                             const struct ph_file *file, const struct ph_protobuf_part *part, ProtobufCMessage **message) {
    struct ph_file bytes;
    bool damaged = false;
    *message = NULL;
    if (part) PH_TRY(ph_protobuf_cut(context, descriptor, file, part, &bytes, &damaged));
    else PH_TRY(ph_file_load(context, file, &bytes));
    ph_status status = damaged ? fail_damaged(context, what) : unpack(context, descriptor, what, &bytes, file->size, message);
    ph_file_close(&bytes);
    return status;
}

struct ph_protobuf_place ph_protobuf_place(const ProtobufCBinaryData *field, const struct ph_file *file) {
    struct ph_protobuf_place place = {0};
    if (field->len != sizeof place) return place;
    memcpy(&place, field->data, sizeof place);
    return place.offset <= file->size && place.size <= file->size - place.offset ? place : (struct ph_protobuf_place){0};
}

void ph_protobuf_free(ProtobufCMessage *message) {
    ProtobufCAllocator allocator = {.free = release};
    if (message) protobuf_c_message_free_unpacked(message, &allocator);
}
