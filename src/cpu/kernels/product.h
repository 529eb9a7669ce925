/* Products of matrices with any strides: what matmul, gemm and their gradients come down to. */
#ifndef PH_CPU_PRODUCT_H
#define PH_CPU_PRODUCT_H

#include "cpu/kernels/vector.h"

enum { PH_STACK_AXES = PH_MAX_RANK };

/* Element (r, c) of the matrix of a stack's item lies at data[sum of item axes * strides + r * row + c * column]. */
struct ph_matrix { float *data; int64_t row, column, item[PH_STACK_AXES]; };

/* y = factor a b, or y += factor a b, for every item of a stack. y's columns are adjacent. */
struct ph_product {
    struct ph_matrix a, b, y; /* [rows,inner], [inner,columns], [rows,columns] */
    int64_t rows, inner, columns;
    int axes;                 /* of the stack */
    int64_t stack[PH_STACK_AXES];
    float factor;
    bool accumulate;
};

/* Sums of an element run in one order, whatever the number of threads. */
void PH_KERNEL(ph_product_run)(const ph_context *context, const struct ph_product *product);

#endif
