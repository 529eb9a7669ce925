// What the shaders of the render loop share: src/exec/loop.h says what each is about.

// enum ph_loop_state.
const uint MOVES = 0, FAILED = 1, REACHED = 2, FLAT = 3, HELD = 5;

// Where an item's four numbers lie, its state first; held: behind those of the last item.
uint item_place(uint items_place, uint item) { return items_place + 4 * item; }

bool item_moves(uint items_place, uint items, uint item) {
    return bits[item_place(items_place, items)] == 0 && bits[item_place(items_place, item)] == MOVES;
}

// An item is measured in parts, each the largest size of its elements, and a sum of their sizes, or of those squared, after
// division by that largest: so that no square leaves the range of a float.
const uint PARTS = 64;
const int NO_SUM = 0, SIZES = 1, SQUARES = 2;

struct Measure { float largest, sum; };

Measure part_at(uint parts, uint item, uint part) {
    uint at = parts + 2 * (item * PARTS + part);
    return Measure(memory[at], memory[at + 1]);
}

// Of the whole item. Without their signs floats are ordered as their bits are, infinity and NaN last.
Measure measure_of(uint parts, uint item, int kind) {
    Measure whole = Measure(0, 0);
    uint largest = 0;
    for (uint part = 0; part < PARTS; part++)
        largest = max(largest, floatBitsToUint(part_at(parts, item, part).largest));
    whole.largest = uintBitsToFloat(largest);
    for (uint part = 0; part < PARTS && whole.largest > 0; part++) {
        Measure one = part_at(parts, item, part);
        float share = one.largest / whole.largest;
        whole.sum += one.sum * (kind == SQUARES ? share * share : share);
    }
    return whole;
}
