/* Products of matrices, blocked: a task packs a panel of the right matrix, a stretch of the inner axis at a time, and holds
 * a few rows of the result in registers while it goes along the stretch. What it will pack next comes from memory meanwhile,
 * where that is weights. */
#include "cpu/kernels/lanes.h"
#include "cpu/kernels/product.h"

#if PH_LANES == 16
enum { VECTORS = 4 };
#else
enum { VECTORS = 2 };
#endif
enum { PANEL = VECTORS * PH_LANES, ROWS = 6, STRETCH = 256, TASK_ROWS = 192 };

struct job { const struct ph_product *p; int64_t task_rows, row_tasks, column_tasks; };

static float *matrix_of_item(const struct ph_product *p, const struct ph_matrix *matrix, int64_t item) {
    float *data = matrix->data;
    for (int axis = p->axes - 1; axis >= 0; axis--) {
        data += item % p->stack[axis] * matrix->item[axis];
        item /= p->stack[axis];
    }
    return data;
}

/* A square of a matrix whose columns are contiguous. */
PH_INLINE void pack_square(const float *from, int64_t column, int64_t inner, int64_t columns, float *panel) {
    vector square[PH_LANES];
#pragma GCC unroll 16
    for (int c = 0; c < PH_LANES; c++) square[c] = c < columns ? load_some(from + c * column, inner) : (vector){0};
    lanes_turn(square);
#pragma GCC unroll 16
    for (int i = 0; i < PH_LANES; i++)
        if (i < inner) store(panel + i * PANEL, square[i]);
}

static void pack_columns(const float *from, int64_t column, int64_t inner, int64_t columns, float *panel) {
    for (int64_t c = 0; c < columns; c += PH_LANES)
        for (int64_t i = 0; i < inner; i += PH_LANES) {
            const float *square = from + c * column + i;
            if (columns - c >= PH_LANES && inner - i >= PH_LANES)
                pack_square(square, column, PH_LANES, PH_LANES, panel + i * PANEL + c);
            else pack_square(square, column, inner - i, columns - c, panel + i * PANEL + c);
        }
}

/* [inner][PANEL] of a matrix whose rows or columns are contiguous, zeros behind the last column. */
static void pack(const struct ph_matrix *b, const float *from, int64_t inner, int64_t columns, float *panel) {
    if (columns < PANEL) memset(panel, 0, (size_t)(inner * PANEL) * sizeof *panel);
    if (b->column != 1) pack_columns(from, b->column, inner, columns, panel);
    else
        for (int64_t i = 0; i < inner; i++)
            memcpy(panel + i * PANEL, from + i * b->row, (size_t)columns * sizeof *panel);
}

/* Lines of memory that are packed next: `count` runs, `step` floats apart, of `lines` each, of which `done` are fetched. */
struct ahead { const float *from; int64_t step, lines, count, done; };

enum { LINE = 64 / sizeof(float) };

/* Stretch [k, k + STRETCH) of a panel of `columns` that begins at `b`; nothing behind the matrix. */
static struct ahead ahead_of(const struct ph_product *p, const float *b, int64_t k, int64_t columns) {
    int64_t inner = PH_MIN((int64_t)STRETCH, p->inner - k);
    if (inner <= 0 || columns <= 0) return (struct ahead){0};
    const float *from = b + k * p->b.row;
    if (p->b.column == 1) return (struct ahead){from, p->b.row, (columns + LINE - 1) / LINE, inner, 0};
    return (struct ahead){from, p->b.column, (inner + LINE - 1) / LINE, columns, 0};
}

/* The next `count` lines. */
PH_INLINE void ahead_fetch(struct ahead *ahead, int64_t count) {
    int64_t end = PH_MIN(ahead->done + count, ahead->lines * ahead->count);
    for (; ahead->done < end; ahead->done++)
        __builtin_prefetch(ahead->from + ahead->done / ahead->lines * ahead->step + ahead->done % ahead->lines * LINE, 0, 2);
}

/* `rows` rows by a panel; `add`: to what is there. */
PH_INLINE void tile(const struct ph_product *p, const float *a, const float *panel, int64_t inner, float *y, int64_t columns,
                    bool add, const int rows) {
    vector sum[ROWS * VECTORS];
#pragma GCC unroll 24
    for (int i = 0; i < rows * VECTORS; i++) sum[i] = (vector){0};
    for (int64_t k = 0; k < inner; k++, a += p->a.column, panel += PANEL) {
        vector b[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) b[v] = load(panel + v * PH_LANES);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            vector factor = splat(a[r * p->a.row]);
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++) sum[r * VECTORS + v] += factor * b[v];
        }
    }
    for (int r = 0; r < rows; r++, y += p->y.row) {
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++)
            put_some(y + v * PH_LANES, sum[r * VECTORS + v] * splat(p->factor), add, columns - v * PH_LANES);
    }
}

static void rows_run(const struct ph_product *p, const float *a, const float *panel, int64_t inner, float *y, int64_t columns,
                     bool add, int64_t rows, struct ahead *ahead) {
    int64_t lines = ahead->lines * ahead->count * ROWS / PH_MAX(rows, (int64_t)1) + 1; /* to a tile */
    for (; rows >= ROWS; rows -= ROWS, a += ROWS * p->a.row, y += ROWS * p->y.row) {
        ahead_fetch(ahead, lines);
        tile(p, a, panel, inner, y, columns, add, ROWS);
    }
    switch (rows) {
    case 5: tile(p, a, panel, inner, y, columns, add, 5); break;
    case 4: tile(p, a, panel, inner, y, columns, add, 4); break;
    case 3: tile(p, a, panel, inner, y, columns, add, 3); break;
    case 2: tile(p, a, panel, inner, y, columns, add, 2); break;
    case 1: tile(p, a, panel, inner, y, columns, add, 1); break;
    default: break;
    }
}

static void task_run(void *argument, int64_t index) {
    const struct job *job = argument;
    const struct ph_product *p = job->p;
    int64_t row = index % job->row_tasks * job->task_rows, column = index / job->row_tasks % job->column_tasks * PANEL;
    int64_t item = index / job->row_tasks / job->column_tasks;
    int64_t rows = PH_MIN(job->task_rows, p->rows - row), columns = PH_MIN((int64_t)PANEL, p->columns - column);
    const float *a = matrix_of_item(p, &p->a, item) + row * p->a.row;
    const float *b = matrix_of_item(p, &p->b, item) + column * p->b.column;
    float *y = matrix_of_item(p, &p->y, item) + row * p->y.row + column;
    float panel[STRETCH * PANEL] __attribute__((aligned(64)));
    for (int64_t k = 0; k < p->inner; k += STRETCH) {
        int64_t inner = PH_MIN((int64_t)STRETCH, p->inner - k);
        bool last = k + STRETCH >= p->inner;
        struct ahead ahead = last ? ahead_of(p, b + PANEL * p->b.column, 0, PH_MIN((int64_t)PANEL, p->columns - column - PANEL))
                                  : ahead_of(p, b, k + STRETCH, columns);
        pack(&p->b, b + k * p->b.row, inner, columns, panel);
        rows_run(p, a + k * p->a.column, panel, inner, y, columns, p->accumulate || k > 0, rows, &ahead);
    }
}

void PH_KERNEL(ph_product_run)(const ph_context *context, const struct ph_product *product) {
    /* About TASK_ROWS each: a few rows behind the last would cost as much packing as all before them. */
    int64_t parts = PH_MAX((int64_t)1, (product->rows + TASK_ROWS / 2) / TASK_ROWS);
    int64_t task_rows = ((product->rows + parts - 1) / parts + ROWS - 1) / ROWS * ROWS;
    struct job job = {product, task_rows, (product->rows + task_rows - 1) / task_rows, (product->columns + PANEL - 1) / PANEL};
    int64_t items = 1;
    for (int axis = 0; axis < product->axes; axis++) items *= product->stack[axis];
    ph_parallel_for(context, items * job.column_tasks * job.row_tasks, task_run, &job);
}
