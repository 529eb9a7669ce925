/* Allocation, the one place where memory comes from, and pools. */
#include "base/base.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Allocations left before they start to fail; negative: never. Tests only. */
static atomic_long allocations_left = -1;

void ph_alloc_fail_after(long n) { atomic_store(&allocations_left, n); }

static bool allocation_allowed(void) {
    long left = atomic_load(&allocations_left);
    if (left < 0) return true;
    if (left == 0) return false;
    atomic_fetch_sub(&allocations_left, 1);
    return true;
}

void *ph_alloc(size_t size) { return allocation_allowed() ? calloc(1, size ? size : 1) : NULL; }

void *ph_alloc_array(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
    return ph_alloc(bytes);
}

/* Large blocks, an arena or packed weights, are read through from end to end in every step: on pages of 2 MiB that is up to twice
 * as fast from memory, for a processor looks up fewer of them and fetches ahead within one. */
enum { LARGE_PAGE = 2 << 20, LARGE_BLOCK = 2 * LARGE_PAGE };

void *ph_alloc_aligned(size_t size) {
    if (!allocation_allowed() || size > SIZE_MAX - LARGE_PAGE) return NULL;
    if (size < LARGE_BLOCK) return aligned_alloc(64, (size + 64) & ~(size_t)63);
    void *block = aligned_alloc(LARGE_PAGE, (size + LARGE_PAGE - 1) & ~(size_t)(LARGE_PAGE - 1));
    /* Whole ones alone, so that what lies behind the last takes no more memory than it needs. */
    if (block) madvise(block, size & ~(size_t)(LARGE_PAGE - 1), MADV_HUGEPAGE);
    return block;
}

void *ph_realloc_array(void *block, size_t count, size_t size) {
    size_t bytes;
    if (!allocation_allowed() || __builtin_mul_overflow(count, size, &bytes)) return NULL;
    return realloc(block, bytes ? bytes : 1);
}

void ph_free(void *block) { free(block); }
void ph_free_aligned(void *block) { free(block); }

void *ph_reserve(size_t size) {
    if (!allocation_allowed()) return NULL;
    void *block = mmap(NULL, size ? size : 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return block == MAP_FAILED ? NULL : block;
}

bool ph_commit(void *block, size_t size) {
    return allocation_allowed() && !mprotect(block, size ? size : 1, PROT_READ | PROT_WRITE);
}

void ph_release(void *block, size_t size) {
    if (block) munmap(block, size ? size : 1);
}

char *ph_strndup(const char *text, size_t length) {
    char *copy = length == SIZE_MAX ? NULL : ph_alloc(length + 1);
    if (copy) memcpy(copy, text, length);
    return copy;
}

char *ph_strdup(const char *text) { return ph_strndup(text, strlen(text)); }

static char *format_into(void *(*allocate)(void *user, size_t size), void *user, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = length < 0 ? NULL : allocate(user, (size_t)length + 1);
    if (text) vsnprintf(text, (size_t)length + 1, format, arguments);
    return text;
}

static void *allocate_block(void *user, size_t size) { return (void)user, ph_alloc(size); }
static void *allocate_pooled(void *user, size_t size) { return ph_pool_alloc(user, size); }

char *ph_sprintf(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = format_into(allocate_block, NULL, format, arguments);
    va_end(arguments);
    return text;
}

bool ph_grow(void *array_pointer, int count, int *capacity, size_t size) {
    if (count < *capacity) return true;
    int wanted = *capacity ? *capacity : 8;
    while (wanted <= count) {
        if (wanted > INT32_MAX / 2) return false;
        wanted *= 2;
    }
    void *block;
    memcpy(&block, array_pointer, sizeof block);
    block = ph_realloc_array(block, (size_t)wanted, size);
    if (!block) return false;
    memcpy(array_pointer, &block, sizeof block);
    *capacity = wanted;
    return true;
}

/* ---- Pools: a list of blocks, requests bumped out of them ------------------------------------------------------------- */

struct ph_pool_block {
    struct ph_pool_block *next;
    size_t used, size;
    char *data;
};

/* The first block is the one for small requests, the second the one for large ones; each of those is twice the size of the one
 * before, so that packed weights come to lie in few blocks, on large pages. */
enum { POOL_BLOCK = 1 << 14, POOL_LARGE = 1 << 12, POOL_LINE = 64 };
static const size_t POOL_MOST = 16 << 20;

static struct ph_pool_block *pool_block_create(size_t size) {
    struct ph_pool_block *block = ph_alloc(sizeof *block);
    if (!block) return NULL;
    block->data = ph_alloc_aligned(size);
    if (!block->data) {
        ph_free(block);
        return NULL;
    }
    block->size = size;
    return block;
}

/* NULL: there is no room. */
static void *pool_block_take(struct ph_pool_block *block, size_t size) {
    size_t at = size > POOL_LARGE ? (block->used + POOL_LINE - 1) & ~(size_t)(POOL_LINE - 1) : block->used;
    if (at > block->size || block->size - at < size) return NULL;
    block->used = at + size;
    return memset(block->data + at, 0, size);
}

/* Becomes the second, or the first where there is none. */
static struct ph_pool_block *pool_add_large(struct ph_pool *pool, size_t size) {
    struct ph_pool_block *first = pool->blocks, *second = first ? first->next : NULL;
    struct ph_pool_block *block = pool_block_create(PH_MAX(size, PH_MIN(second ? 2 * second->size : 0, POOL_MOST)));
    if (!block) return NULL;
    if (first) block->next = second, first->next = block;
    else pool->blocks = block;
    return block;
}

/* Becomes the first; the second stays where it is. */
static struct ph_pool_block *pool_add_small(struct ph_pool *pool) {
    struct ph_pool_block *first = pool->blocks, *second = first ? first->next : NULL, *block = pool_block_create(POOL_BLOCK);
    if (!block) return NULL;
    block->next = second ? second : first;
    if (second) first->next = second->next, second->next = first;
    pool->blocks = block;
    return block;
}

void *ph_pool_alloc(struct ph_pool *pool, size_t size) {
    if (size > SIZE_MAX - 128) return NULL;
    size = (size + 15) & ~(size_t)15;
    struct ph_pool_block *block = pool->blocks;
    if (block && size > POOL_LARGE && block->next) block = block->next;
    void *taken = block ? pool_block_take(block, size) : NULL;
    if (taken) return taken;
    block = size > POOL_LARGE ? pool_add_large(pool, size) : pool_add_small(pool);
    return block ? pool_block_take(block, size) : NULL;
}

void *ph_pool_copy(struct ph_pool *pool, const void *data, size_t size) {
    void *copy = ph_pool_alloc(pool, size);
    if (copy && size) memcpy(copy, data, size);
    return copy;
}

char *ph_pool_strdup(struct ph_pool *pool, const char *text) { return ph_pool_copy(pool, text, strlen(text) + 1); }

char *ph_pool_sprintf(struct ph_pool *pool, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = format_into(allocate_pooled, pool, format, arguments);
    va_end(arguments);
    return text;
}

void ph_pool_finish(struct ph_pool *pool) {
    for (struct ph_pool_block *block = pool->blocks, *next; block; block = next) {
        next = block->next;
        ph_free_aligned(block->data);
        ph_free(block);
    }
    pool->blocks = NULL;
}
