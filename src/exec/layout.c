/* How tensors lie in memory, and how they come from one layout to another. */
#include "exec/backend.h"
#include <string.h>

struct ph_layout ph_layout_make(enum ph_layout_kind kind, const struct ph_shape *shape, int block, int halo) {
    struct ph_layout layout = {.kind = kind, .block = 1};
    if (kind == PH_LAYOUT_BLOCKED) {
        layout.block = block;
        layout.halo = halo;
        layout.row = (shape->dims[3] + 2 * halo) * block;
        layout.plane = (shape->dims[2] + 2 * halo) * layout.row;
        layout.item = (shape->dims[1] + block - 1) / block * layout.plane;
    } else if (shape->rank) {
        layout.item = shape->dims[0] ? ph_shape_size(shape) / shape->dims[0] : 0;
        if (shape->rank >= 2) layout.plane = shape->dims[1] ? layout.item / shape->dims[1] : 0;
        layout.row = shape->dims[shape->rank - 1];
    }
    return layout;
}

size_t ph_layout_size(const struct ph_layout *layout, const struct ph_shape *shape) {
    return layout->kind == PH_LAYOUT_BLOCKED ? (size_t)(shape->dims[0] * layout->item) : (size_t)ph_shape_size(shape);
}

struct convert { const struct ph_operand *from, *to; bool add; };

/* One row of one channel block: between pixels of `block` lanes and `block` planes of single values. */
static void convert_row(void *argument, int64_t index) {
    const struct convert *convert = argument;
    const struct ph_operand *from = convert->from, *to = convert->to;
    const struct ph_operand *blocked = from->layout.kind == PH_LAYOUT_BLOCKED ? from : to;
    const int64_t *dims = from->shape->dims;
    int block = blocked->layout.block, halo = blocked->layout.halo;
    int64_t blocks = (dims[1] + block - 1) / block;
    int64_t y = index % dims[2], b = index / dims[2] % blocks, n = index / dims[2] / blocks;
    int lanes = (int)PH_MIN((int64_t)block, dims[1] - b * block);
    float *pixels = blocked->data + n * blocked->layout.item + b * blocked->layout.plane +
                    (y + halo) * blocked->layout.row + (int64_t)halo * block;
    const struct ph_operand *plain = blocked == from ? to : from;
    float *values = plain->data + ((n * dims[1] + b * block) * dims[2] + y) * dims[3];
    int64_t plane = dims[2] * dims[3];
    for (int64_t x = 0; x < dims[3]; x++)
        for (int lane = 0; lane < lanes; lane++) {
            float *pixel = &pixels[x * block + lane], *value = &values[lane * plane + x];
            if (blocked == from) *value = convert->add ? *value + *pixel : *pixel;
            else *pixel = convert->add ? *pixel + *value : *value;
        }
}

/* Blocked to blocked, with the zeros in spare lanes: what several concatenations read, say. */
static void convert_block(void *argument, int64_t index) {
    const struct convert *convert = argument;
    const struct ph_layout *from = &convert->from->layout, *to = &convert->to->layout;
    const int64_t *dims = convert->from->shape->dims;
    int64_t blocks = (dims[1] + from->block - 1) / from->block, n = index / blocks, b = index % blocks;
    int64_t count = dims[3] * from->block;
    const float *in = convert->from->data + n * from->item + b * from->plane + from->halo * (from->row + from->block);
    float *out = convert->to->data + n * to->item + b * to->plane + to->halo * (to->row + to->block);
    for (int64_t y = 0; y < dims[2]; y++, in += from->row, out += to->row) {
        if (convert->add) for (int64_t i = 0; i < count; i++) out[i] += in[i];
        else memcpy(out, in, (size_t)count * sizeof *out);
    }
}

enum { STRETCH = 1 << 14 }; /* elements of a task, so that small tensors are one */

/* Plain to plain. */
static void convert_stretch(void *argument, int64_t index) {
    const struct convert *convert = argument;
    int64_t first = index * STRETCH, count = PH_MIN((int64_t)STRETCH, ph_shape_size(convert->from->shape) - first);
    const float *in = convert->from->data + first;
    float *out = convert->to->data + first;
    if (convert->add) for (int64_t i = 0; i < count; i++) out[i] += in[i];
    else memcpy(out, in, (size_t)count * sizeof *out);
}

void ph_layout_convert(const ph_context *context, const struct ph_operand *from, const struct ph_operand *to, bool add) {
    struct convert convert = {from, to, add};
    const int64_t *dims = from->shape->dims;
    if (from->layout.kind != to->layout.kind) {
        int block = PH_MAX(from->layout.block, to->layout.block);
        ph_parallel_for(context, dims[0] * ((dims[1] + block - 1) / block) * dims[2], convert_row, &convert);
    } else if (from->layout.kind == PH_LAYOUT_BLOCKED) {
        int block = from->layout.block;
        ph_parallel_for(context, dims[0] * ((dims[1] + block - 1) / block), convert_block, &convert);
    } else {
        ph_parallel_for(context, (ph_shape_size(from->shape) + STRETCH - 1) / STRETCH, convert_stretch, &convert);
    }
}
