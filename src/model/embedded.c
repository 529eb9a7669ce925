/* The default network and its class names, compiled in, so that the program runs from any folder with nothing beside it.
 * PH_WEIGHTS_FOLDER is set by the build. */
#include "model/model.h"

/* Aligned as an allocated block would be; a byte behind keeps the end symbol inside the section. */
#define EMBED(name, file)                                                         \
    __asm__(".section .rodata\n"                                                  \
            ".balign 64\n"                                                        \
            ".global " #name "\n.hidden " #name "\n"                              \
            ".global " #name "_end\n.hidden " #name "_end\n"                      \
            #name ":\n.incbin \"" PH_WEIGHTS_FOLDER "/" file "\"\n" #name "_end:\n" \
            ".byte 0\n"                                                           \
            ".previous\n")

EMBED(ph_embedded_model, "iris100.onnx");
EMBED(ph_embedded_labels, "iris100_labels.txt");
