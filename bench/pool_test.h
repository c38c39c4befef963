// SPDX-License-Identifier: MIT
//
// The pool tests, the same for the limits: a bare pool of two workers is four
// functions, and pool_test_main() runs a test on it.
//
//   tiny     a million x*x in large chunks; the arrays are private to the caller, so
//            they are copied to where the workers see them and back
//   tiny1    100,000 of them, one a chunk
//   range    a million x*x, the arrays lie where all see them: no copies
//   item     the same, to be set against a function called for each item
//   cpu      10,000 tasks of 100 us: serial time / (2 x parallel time)
//   large    64 arrays of 8 MiB, scaled, private memory in and out
//   inplace  64 arrays of 8 MiB that all see, scaled where they are
//   start    make the pool, map two items, end it
#ifndef BENCH_POOL_TEST_H
#define BENCH_POOL_TEST_H

#include "common.h"

#define POOL_WORKERS 2

// A task on the items begin to end-1.
typedef void task_fn(void *ctx, size_t begin, size_t end);

struct pool;

struct pool_engine {
    const char *who;
    // Workers are threads: they see all memory, and only a new process shows what
    // starting them costs.
    bool threads;
    struct pool *(*start)(void);
    // Begins a map of n items, `chunk` at a time. fn and ctx lie where workers see
    // them. wait() returns when it is done.
    void (*begin)(struct pool *p, task_fn *fn, void *ctx, size_t n, size_t chunk);
    void (*wait)(struct pool *p);
    void (*stop)(struct pool *p);
    // The plain loop out[i] = in[i] * in[i] of those who have one; else NULL.
    void (*squares)(int64_t *out, const int64_t *in, size_t n);
};

// TEST [SECONDS].
int pool_test_main(int argc, char **argv, const struct pool_engine *engine);

#endif
