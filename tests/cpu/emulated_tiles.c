/* Instructions and their operation: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, LDTILECFG,
 * TILERELEASE, TILEZERO, TILELOADD, TILESTORED and TDPBF16PS, exceptions of the classes AMX-E1 to AMX-E6; their encoding by a
 * VEX prefix of three bytes in the same volume, section 2.3. */
#include "emulated_tiles.h"
#include <stddef.h>

#if defined __x86_64__ && defined __linux__
#include <immintrin.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

enum { TILES = 8, ROWS = 16, ROW_BYTES = 64, CONFIGURATION_BYTES = 64 };

static struct {
    const char *_Atomic fault;
    _Atomic int64_t multiplied;
    _Atomic int open;
} seen;

/* A thread's own: what the processor keeps in its registers. */
static _Thread_local struct {
    bool configured;
    int rows[TILES], bytes[TILES]; /* bytes: of a row */
    uint8_t data[TILES][ROWS][ROW_BYTES];
} tiles;

/* Said at once: what comes of it may fail the test first. */
static bool refuse(const char *what) {
    const char *none = NULL;
    if (atomic_compare_exchange_strong(&seen.fault, &none, what)) {
        struct iovec text[] = {{(void *)(uintptr_t)what, strlen(what)}, {(void *)(uintptr_t)"\n", 1}};
        if (writev(STDERR_FILENO, text, 2) < 0) return false;
    }
    return false;
}

static void release(void) {
    if (tiles.configured) atomic_fetch_sub(&seen.open, 1);
    tiles.configured = false;
}

static bool is_zero(const uint8_t *bytes, int count) {
    for (int i = 0; i < count; i++)
        if (bytes[i]) return false;
    return true;
}

static bool configure(const uint8_t *from) {
    release();
    if (from[0] != 1) return refuse("ldtilecfg: not palette 1");
    if (!is_zero(from + 1, 15) || !is_zero(from + 32, 16) || !is_zero(from + 56, 8))
        return refuse("ldtilecfg: a row to start at, or something in reserved bytes");
    for (int t = 0; t < TILES; t++) {
        tiles.bytes[t] = from[16 + 2 * t] | from[17 + 2 * t] << 8;
        tiles.rows[t] = from[48 + t];
        if (tiles.rows[t] > ROWS || tiles.bytes[t] > ROW_BYTES) return refuse("ldtilecfg: a tile is too large");
        if (!tiles.rows[t] != !tiles.bytes[t]) return refuse("ldtilecfg: a tile with rows or bytes alone");
    }
    memset(tiles.data, 0, sizeof tiles.data);
    tiles.configured = true;
    atomic_fetch_add(&seen.open, 1);
    return true;
}

static bool is_usable(int t) {
    if (!tiles.configured) return refuse("no tiles are configured");
    if (!tiles.rows[t]) return refuse("a tile that is not configured");
    return true;
}

static void load_rows(int t, const uint8_t *from, int64_t stride) {
    memset(tiles.data[t], 0, sizeof tiles.data[t]);
    for (int r = 0; r < tiles.rows[t]; r++) memcpy(tiles.data[t][r], from + r * stride, (size_t)tiles.bytes[t]);
}

static void store_rows(int t, uint8_t *to, int64_t stride) {
    for (int r = 0; r < tiles.rows[t]; r++) memcpy(to + r * stride, tiles.data[t][r], (size_t)tiles.bytes[t]);
}

/* Products of the lower halves of pairs are summed by themselves, those of the upper ones too, both from zero; then they are
 * added, and the sum to what was there. Denormals are zeros, which the handler sees to. */
__attribute__((target("avx512f"))) static bool multiply(int sums, int a, int b) {
    if (!is_usable(sums) || !is_usable(a) || !is_usable(b)) return false;
    if (sums == a || sums == b || a == b) return refuse("tdpbf16ps: one tile twice");
    if (tiles.rows[sums] != tiles.rows[a] || tiles.bytes[a] != 4 * tiles.rows[b] || tiles.bytes[sums] != tiles.bytes[b] ||
        tiles.bytes[b] % 4)
        return refuse("tdpbf16ps: the tiles do not fit");
    for (int r = 0; r < tiles.rows[sums]; r++) {
        __m512 lower = _mm512_setzero_ps(), upper = _mm512_setzero_ps();
        for (int k = 0; k < tiles.rows[b]; k++) {
            uint32_t pair;
            memcpy(&pair, tiles.data[a][r] + 4 * k, sizeof pair);
            __m512i with = _mm512_loadu_si512(tiles.data[b][k]), keep = _mm512_set1_epi32((int)0xffff0000);
            lower = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_set1_epi32((int)(pair << 16))),
                                    _mm512_castsi512_ps(_mm512_slli_epi32(with, 16)), lower);
            upper = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_set1_epi32((int)(pair & 0xffff0000))),
                                    _mm512_castsi512_ps(_mm512_and_si512(with, keep)), upper);
        }
        __m512 sum = _mm512_add_ps(_mm512_loadu_ps(tiles.data[sums][r]), _mm512_add_ps(lower, upper));
        _mm512_mask_storeu_ps(tiles.data[sums][r], (__mmask16)((1u << tiles.bytes[sums] / 4) - 1), sum);
    }
    atomic_fetch_add_explicit(&seen.multiplied, 1, memory_order_relaxed);
    return true;
}

/* ---- Decoding ---------------------------------------------------------------------------------------------------- */

struct instruction {
    int opcode, prefix;        /* prefix: 0, or 1, 2, 3 for 66, F3, F2 */
    int reg, rm, vvvv;
    bool memory;
    uint8_t *address;
    int64_t stride;            /* the index register, scaled: of tiles, from one row to the next */
    int length;
};

static int64_t register_value(const ucontext_t *context, int number) {
    static const int places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
        REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return context->uc_mcontext.gregs[places[number]];
}

/* What follows the opcode: a register, or [base + index * scale + displacement], or [the next instruction + displacement]. */
static void decode_operand(const ucontext_t *context, const uint8_t *code, struct instruction *i, int x, int b) {
    enum { SIB = 4, NO_INDEX = 4, NO_BASE = 5 };
    int mod = code[i->length] >> 6, rm = code[i->length] & 7;
    i->length++;
    i->memory = mod != 3;
    i->rm = rm | b << 3;
    if (!i->memory) return;
    int64_t address = 0;
    bool relative = false, wide = mod == 2;
    if (rm == SIB) {
        int sib = code[i->length++], index = (sib >> 3 & 7) | x << 3, base = sib & 7;
        if (index != NO_INDEX) i->stride = register_value(context, index) * (1 << (sib >> 6));
        if (base == NO_BASE && !mod) wide = true;
        else address = register_value(context, base | b << 3);
    } else if (rm == NO_BASE && !mod) {
        relative = wide = true;
    } else {
        address = register_value(context, i->rm);
    }
    if (wide) {
        int32_t displacement;
        memcpy(&displacement, code + i->length, sizeof displacement);
        i->length += 4;
        address += displacement;
    } else if (mod == 1) {
        address += (int8_t)code[i->length++];
    }
    if (relative) address += (int64_t)(uintptr_t)code + i->length;
    i->address = (uint8_t *)(uintptr_t)address; // NOLINT(performance-no-int-to-ptr)
}

static bool decode(const ucontext_t *context, const uint8_t *code, struct instruction *i) {
    enum { VEX = 0xc4, MAP_0F38 = 2 };
    if (code[0] != VEX || (code[1] & 31) != MAP_0F38 || code[2] & 0x84) return false;
    *i = (struct instruction){.opcode = code[3], .prefix = code[2] & 3, .vvvv = ~code[2] >> 3 & 15, .length = 4};
    i->reg = (code[4] >> 3 & 7) | (~code[1] >> 7 & 1) << 3;
    decode_operand(context, code, i, ~code[1] >> 6 & 1, ~code[1] >> 5 & 1);
    return true;
}

enum { NO_PREFIX, PREFIX_66, PREFIX_F3, PREFIX_F2 };

/* False where it is none of those that are known here. */
static bool emulate(const struct instruction *i) {
    if (i->reg >= TILES || (!i->memory && i->rm >= TILES)) return false;
    switch (i->opcode << 8 | i->prefix << 4 | i->memory) {
    case 0x49 << 8 | NO_PREFIX << 4 | true:
        if (i->reg) return false;
        configure(i->address);
        return true;
    case 0x49 << 8 | NO_PREFIX << 4 | false: release(); return !i->reg && !i->rm;
    case 0x49 << 8 | PREFIX_F2 << 4 | false:
        if (is_usable(i->reg)) memset(tiles.data[i->reg], 0, sizeof tiles.data[i->reg]);
        return !i->rm;
    case 0x4b << 8 | PREFIX_F2 << 4 | true:
        if (is_usable(i->reg)) load_rows(i->reg, i->address, i->stride);
        return true;
    case 0x4b << 8 | PREFIX_F3 << 4 | true:
        if (is_usable(i->reg)) store_rows(i->reg, i->address, i->stride);
        return true;
    case 0x5c << 8 | PREFIX_F3 << 4 | false:
        if (i->vvvv >= TILES) return false;
        multiply(i->reg, i->rm, i->vvvv);
        return true;
    default: return false;
    }
}

static void handle(int number, siginfo_t *information, void *argument) {
    (void)information;
    ucontext_t *context = argument;
    greg_t *next = &context->uc_mcontext.gregs[REG_RIP];
    struct instruction instruction;
    /* To the nearest, denormals as zeros both ways, whatever the thread has set; it is given its own back. */
    _mm_setcsr(0x9fc0);
    if (decode(context, (const uint8_t *)(uintptr_t)*next, &instruction) && emulate(&instruction)) // NOLINT(performance-no-int-to-ptr)
        *next += instruction.length;
    else
        signal(number, SIG_DFL); /* met again, it ends the program */
}

bool emulated_tiles_start(void) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512bf16"))
        return false;
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    return !sigaction(SIGILL, &action, NULL);
}

struct emulated_tiles_report emulated_tiles_report(void) {
    return (struct emulated_tiles_report){atomic_exchange(&seen.fault, NULL), atomic_exchange(&seen.multiplied, 0),
                                          atomic_load(&seen.open)};
}
#else
bool emulated_tiles_start(void) { return false; }
struct emulated_tiles_report emulated_tiles_report(void) { return (struct emulated_tiles_report){0}; }
#endif
