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

void *ph_alloc_aligned(size_t size) {
    if (!allocation_allowed() || size > SIZE_MAX - 64) return NULL;
    return aligned_alloc(64, (size + 64) & ~(size_t)63);
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

/* ---- Pools: a list of blocks, small requests bumped out of the newest ------------------------------------------------ */

struct ph_pool_block {
    struct ph_pool_block *next;
    size_t used, size;
    char *data;
};

enum { POOL_BLOCK = 1 << 14, POOL_LARGE = 1 << 12 };

static struct ph_pool_block *pool_block_create(size_t size) {
    struct ph_pool_block *block = ph_alloc(sizeof *block);
    if (!block) return NULL;
    block->data = ph_alloc_aligned(size);
    if (!block->data) {
        ph_free(block);
        return NULL;
    }
    memset(block->data, 0, size);
    block->size = size;
    return block;
}

void *ph_pool_alloc(struct ph_pool *pool, size_t size) {
    if (size > SIZE_MAX - 128) return NULL;
    size = (size + 15) & ~(size_t)15;
    struct ph_pool_block *head = pool->blocks;
    if (size > POOL_LARGE) {
        struct ph_pool_block *block = pool_block_create(size);
        if (!block) return NULL;
        block->used = size;
        /* Behind the head, which may still have room for small requests. */
        if (head) block->next = head->next, head->next = block;
        else pool->blocks = block;
        return block->data;
    }
    if (!head || head->size - head->used < size) {
        struct ph_pool_block *block = pool_block_create(POOL_BLOCK);
        if (!block) return NULL;
        block->next = head;
        pool->blocks = head = block;
    }
    void *result = head->data + head->used;
    head->used += size;
    return result;
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
