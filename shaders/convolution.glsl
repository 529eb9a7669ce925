// What all shaders of convolution by tiles share: where the elements of the implicit matrix product lie. A convolution relates a
// wide tensor (its input) to a narrow one (its output); a transposed convolution relates them the other way about.
layout(constant_id = 0) const int MAP = 0;        // what is made: 0 the narrow tensor, 1 the wide one, 2 the weights' gradient
layout(constant_id = 1) const int RELU = 0;
layout(constant_id = 2) const int KERNEL_Y = 1;
layout(constant_id = 3) const int KERNEL_X = 1;
layout(constant_id = 4) const int KERNEL_Z = 0;   // 0: there is no depth

layout(push_constant) uniform Call {
    uint weights, bias, source, target, gate, add; // gate: the forward result, where a ReLU was fused
    uint border;                  // what is around the source, by channels; nowhere: zeros
    int rows, inner;              // channels written and read, of one group
    int groups;
    int source_z, source_y, source_x, target_z, target_y, target_x;
    int stride_z, stride_y, stride_x, dilation_z, dilation_y, dilation_x, pad_z, pad_y, pad_x;
    float ceiling;                // of the ReLU; 0: none
    int parts, depth;             // parts of the inner index, and the length of one
    uint aside, size;             // with more than one: where their sums go, and how far they are apart
} call;

const int NARROW = 0, WIDE = 1, WEIGHTS = 2;
const bool VOLUME = KERNEL_Z > 0;
const int TAPS = (VOLUME ? KERNEL_Z : 1) * KERNEL_Y * KERNEL_X;

int pixel_count() { return (VOLUME ? call.target_z : 1) * call.target_y * call.target_x; }

// A column's pixel, y negative beyond the last; worked out once, since divisions are slow.
ivec3 pixel_of(int column) {
    if (column >= pixel_count()) return ivec3(-1);
    int row = column / call.target_x;
    return ivec3(column % call.target_x, VOLUME ? row % call.target_y : row, VOLUME ? row / call.target_y : 0);
}

uint plane_of(int item, int group) {
    return (item * call.groups + group) * call.inner * (VOLUME ? call.source_z : 1) * call.source_y * call.source_x;
}

float weight(int group, int row, int k) {
    if (row >= call.rows || k >= call.inner * TAPS) return 0;
    if (MAP == NARROW) return fetch(call.weights + (group * call.rows + row) * call.inner * TAPS + k);
    int m = k / TAPS;
    return fetch(call.weights + ((group * call.inner + m) * call.rows + row) * TAPS + k % TAPS);
}

// Whether a fused ReLU passes the gradient of the result at that place.
bool passes(uint at) {
    if (RELU == 0) return true;
    float result = fetch(call.gate + at);
    return result > 0 && !(call.ceiling > 0 && result >= call.ceiling);
}

// Where in the depth of the source a tap reads; negative: nowhere.
int depth_of(int z, int tap) {
    if (MAP != WIDE) {
        z = z * call.stride_z + tap * call.dilation_z - call.pad_z;
    } else {
        z += call.pad_z - tap * call.dilation_z;
        if (z < 0 || z % call.stride_z != 0) return -1;
        z /= call.stride_z;
    }
    return z < call.source_z ? z : -1;
}

float beyond(int channel) { return call.border == NOWHERE ? 0 : fetch(call.border + channel); }

// What a pixel of the target has under channel and tap `k` of the source.
float element(uint plane, int k, ivec3 pixel) {
    if (pixel.y < 0 || k >= call.inner * TAPS) return 0;
    int tap = k % TAPS, y = pixel.y, x = pixel.x, channel = k / TAPS, above = channel;
    if (VOLUME) {
        int z = depth_of(pixel.z, tap / (KERNEL_Y * KERNEL_X));
        if (z < 0) return beyond(channel);
        tap %= KERNEL_Y * KERNEL_X;
        above = above * call.source_z + z;
    }
    int tap_y = tap / KERNEL_X * call.dilation_y, tap_x = tap % KERNEL_X * call.dilation_x;
    if (MAP != WIDE) {
        y = y * call.stride_y + tap_y - call.pad_y;
        x = x * call.stride_x + tap_x - call.pad_x;
    } else {
        y += call.pad_y - tap_y;
        x += call.pad_x - tap_x;
        if (y < 0 || x < 0) return 0;
        int across = call.stride_y, along = call.stride_x;
        if (across > 1 || along > 1) {
            if (y % across != 0 || x % along != 0) return 0;
            y /= across;
            x /= along;
        }
    }
    if (y < 0 || x < 0 || y >= call.source_y || x >= call.source_x) return beyond(channel);
    uint at = plane + (above * call.source_y + y) * call.source_x + x;
    return MAP != WIDE || passes(at) ? fetch(call.source + at) : 0;
}

// A sum of products becomes a result, or one of the parts that parts.comp adds up.
void finish(int part, int item, int group, int row, int column, float sum) {
    if (row >= call.rows || column >= pixel_count()) return;
    int channel = group * call.rows + row;
    uint at = (item * call.groups * call.rows + channel) * pixel_count() + column;
    if (call.parts > 1) {
        put(call.aside + part * call.size + at, sum);
        return;
    }
    float value = sum + (call.bias == NOWHERE ? 0 : fetch(call.bias + channel));
    if (MAP == NARROW && RELU != 0) {
        value = value <= 0 ? 0 : value;
        if (call.ceiling > 0 && value > call.ceiling) value = call.ceiling;
    }
    store(call.target + at, value, call.add != 0);
}
