/* A protobuf file without the bytes that are left in it. */
#ifndef PH_PROTOBUF_CUT_H
#define PH_PROTOBUF_CUT_H

#include "model/protobuf.h"

/* The file's message with a struct ph_protobuf_place in each place of `part`, so that it takes little memory whatever the
 * size of the part, which is not even read. `cut` is to be closed; *damaged: the bytes are no such message, and `cut` is empty. */
ph_status ph_protobuf_cut(ph_context *context, const ProtobufCMessageDescriptor *descriptor, const struct ph_file *file,
                          const struct ph_protobuf_part *part, struct ph_file *cut, bool *damaged);

#endif
