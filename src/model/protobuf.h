/* protobuf-c with the library's memory: what the loaders of protobuf files share. */
#ifndef PH_PROTOBUF_H
#define PH_PROTOBUF_H

#include "base/base.h"
#include <protobuf-c/protobuf-c.h>

/* A field of bytes that is left in the file: field `number` of every message of this kind. */
struct ph_protobuf_part { const ProtobufCMessageDescriptor *message; uint32_t number; };

/* Where its bytes lie; what the field holds in the unpacked message. */
struct ph_protobuf_place { uint64_t offset, size; };

/* Unpacks a file as a message of this kind, `part` left in the file; NULL: nothing is. A few bytes of a hostile file can stand
 * for a message of hundreds, so this fails when the messages take far more memory than the file's size warrants. `what` is for
 * the error text: "an ONNX file". */
ph_status ph_protobuf_unpack(ph_context *context, const ProtobufCMessageDescriptor *descriptor, const char *what,
                             const struct ph_file *file, const struct ph_protobuf_part *part, ProtobufCMessage **message);

/* The place of a field that was left in the file; its size is 0 where it lies in no place of the file. */
struct ph_protobuf_place ph_protobuf_place(const ProtobufCBinaryData *field, const struct ph_file *file);

/* Frees a message, NULL too, with everything in it, which must come from ph_alloc. */
void ph_protobuf_free(ProtobufCMessage *message);

#endif
