// Bilinear sampling under an affine map, and its adjoint by gathering: a pixel looks for the output pixels that sampled
// it, in the parallelogram that the inverse map makes of its neighbourhood, for each image of it that the border repeats.
// Where the map has no inverse to speak of it looks at all of them.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const int BACKWARD = 0;
layout(constant_id = 1) const int BORDER = 0; // constant, reflect, wrap

layout(push_constant) uniform Call {
    uint count, x, matrices, y, dx, add; // y: forward the result, backward its gradient
    int channels, height, width, out_height, out_width;
    float fill;
} call;

// Far outside any picture, and within integers; a NaN becomes a corner.
const float FAR = 16777216;

vec2 locate(uint matrix, int row, int column) {
    precise float x = fetch(matrix) * column + fetch(matrix + 1) * row + fetch(matrix + 2);
    precise float y = fetch(matrix + 3) * column + fetch(matrix + 4) * row + fetch(matrix + 5);
    return vec2(isnan(x) ? -FAR : clamp(x, -FAR, FAR), isnan(y) ? -FAR : clamp(y, -FAR, FAR));
}

// The element that stands at place i of an axis; -1: none.
int border_index(int i, int size) {
    if (BORDER == 0) return i >= 0 && i < size ? i : -1;
    if (BORDER == 2) return (i % size + size) % size;
    if (size == 1) return 0;
    int period = 2 * (size - 1);
    i = (i % period + period) % period;
    return i < size ? i : period - i;
}

void forward(uint index) {
    int pixel = int(index) % (call.out_height * call.out_width), plane = int(index) / (call.out_height * call.out_width);
    vec2 at = locate(call.matrices + plane / call.channels * 6, pixel / call.out_width, pixel % call.out_width);
    vec2 corner = floor(at), share = at - corner;
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        int row = border_index(int(corner.y) + i / 2, call.height), column = border_index(int(corner.x) + i % 2, call.width);
        float weight = (i / 2 == 1 ? share.y : 1 - share.y) * (i % 2 == 1 ? share.x : 1 - share.x);
        bool outside = row < 0 || column < 0;
        sum += weight * (outside ? call.fill : fetch(call.x + (plane * call.height + row) * call.width + column));
    }
    put(call.y + index, sum);
}

// What an output pixel gives to an element; several of its corners may be this one.
float share(uint matrix, uint gradients, int row, int column, int y, int x) {
    vec2 at = locate(matrix, row, column), corner = floor(at), part = at - corner;
    float weight = 0;
    for (int i = 0; i < 4; i++)
        if (border_index(int(corner.y) + i / 2, call.height) == y && border_index(int(corner.x) + i % 2, call.width) == x)
            weight += (i / 2 == 1 ? part.y : 1 - part.y) * (i % 2 == 1 ? part.x : 1 - part.x);
    return weight == 0 ? 0 : weight * fetch(gradients + row * call.out_width + column);
}

// What the output pixels give that sampled at place (y, x) of the plane beyond the borders, in the order of their rows.
float gathered(uint matrix, uint gradients, int y, int x) {
    float a = fetch(matrix), b = fetch(matrix + 1), c = fetch(matrix + 3), d = fetch(matrix + 4);
    float determinant = a * d - b * c, sum = 0;
    vec2 centre = vec2(x - fetch(matrix + 2), y - fetch(matrix + 5));
    float column = (d * centre.x - b * centre.y) / determinant, row = (a * centre.y - c * centre.x) / determinant;
    float wide = (abs(d) + abs(b)) / abs(determinant) + 1, high = (abs(a) + abs(c)) / abs(determinant) + 1;
    int top = max(0, int(clamp(floor(row - high), -1, FAR)));
    int bottom = min(call.out_height - 1, int(clamp(ceil(row + high), -1, FAR)));
    int left = max(0, int(clamp(floor(column - wide), -1, FAR)));
    int right = min(call.out_width - 1, int(clamp(ceil(column + wide), -1, FAR)));
    for (int i = top; i <= bottom; i++)
        for (int j = left; j <= right; j++) {
            vec2 at = locate(matrix, i, j), corner = floor(at), part = at - corner;
            int down = y - int(corner.y), across = x - int(corner.x);
            if (down < 0 || down > 1 || across < 0 || across > 1) continue;
            float weight = (down == 1 ? part.y : 1 - part.y) * (across == 1 ? part.x : 1 - part.x);
            if (weight != 0) sum += weight * fetch(gradients + i * call.out_width + j);
        }
    return sum;
}

// Elements of an axis stand beyond the borders at place + k * period, and mirrored at k * period - place.
int period_of(int size) { return BORDER == 1 ? max(2 * (size - 1), 1) : size; }
bool has_mirror(int place, int size) { return BORDER == 1 && place != 0 && place != size - 1; }
int first_image(int place, int period, int low) { return place + int(ceil(float(low - place) / period)) * period; }

void backward(uint index) {
    int element = int(index) % (call.height * call.width), plane = int(index) / (call.height * call.width);
    int y = element / call.width, x = element % call.width;
    uint matrix = call.matrices + plane / call.channels * 6;
    uint gradients = call.y + plane * call.out_height * call.out_width;
    float determinant = fetch(matrix) * fetch(matrix + 4) - fetch(matrix + 1) * fetch(matrix + 3), sum = 0;
    // What the output's corners see bounds the images.
    vec2 low = vec2(FAR), high = vec2(-FAR);
    for (int i = 0; i < 4; i++) {
        vec2 corner = locate(matrix, i / 2 * (call.out_height - 1), i % 2 * (call.out_width - 1));
        low = min(low, corner);
        high = max(high, corner);
    }
    low = floor(low) - 1;
    high = ceil(high) + 1;
    vec2 images = (high - low) / vec2(period_of(call.width), period_of(call.height));
    if (abs(determinant) <= 1e-6 || (BORDER != 0 && images.x * images.y > 256)) {
        for (int i = 0; i < call.out_height; i++)
            for (int j = 0; j < call.out_width; j++) sum += share(matrix, gradients, i, j, y, x);
    } else if (BORDER == 0) {
        sum = gathered(matrix, gradients, y, x);
    } else {
        int down = period_of(call.height), across = period_of(call.width);
        for (int my = 0; my <= (has_mirror(y, call.height) ? 1 : 0); my++)
            for (int mx = 0; mx <= (has_mirror(x, call.width) ? 1 : 0); mx++)
                for (int iy = first_image(my == 0 ? y : -y, down, int(low.y)); iy <= int(high.y); iy += down)
                    for (int ix = first_image(mx == 0 ? x : -x, across, int(low.x)); ix <= int(high.x); ix += across)
                        sum += gathered(matrix, gradients, iy, ix);
    }
    store(call.dx + index, sum, call.add != 0);
}

void main() {
    uint index = flat_index();
    if (index >= call.count) return;
    if (BACKWARD == 0) forward(index);
    else backward(index);
}
