/* protobuf-c with the library's memory: what the loaders of protobuf files share. */
#ifndef PH_PROTOBUF_H
#define PH_PROTOBUF_H

#include "base/base.h"
#include <protobuf-c/protobuf-c.h>

/* Unpacks a file's bytes as a message of this kind. A few bytes of a hostile file can stand for a message of hundreds,
 * so this fails when the messages take far more memory than the file's size warrants. `what` is for the error text:
 * "an ONNX file". */
ph_status ph_protobuf_unpack(ph_context *context, const ProtobufCMessageDescriptor *descriptor, const char *what,
                             const uint8_t *data, size_t size, ProtobufCMessage **message);

/* Frees a message, NULL too, with everything in it, which must come from ph_alloc. */
void ph_protobuf_free(ProtobufCMessage *message);

#endif
