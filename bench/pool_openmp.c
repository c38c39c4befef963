// SPDX-License-Identifier: MIT
//
// c_openmp: the same work in the threads of OpenMP, which see all memory of the
// process and need no pool to be made.
#include "pool_test.h"

#include <omp.h>

static struct pool *start(void)
{
    omp_set_num_threads(POOL_WORKERS);
    return NULL;
}

static void run(struct pool *p, task_fn *fn, void *ctx, size_t n, size_t chunk)
{
    size_t chunks = (n + chunk - 1) / chunk;
    (void)p;
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t c = 0; c < chunks; c++) {
        size_t begin = c * chunk;
        fn(ctx, begin, begin + chunk < n ? begin + chunk : n);
    }
}

static void nothing(struct pool *p)
{
    (void)p;
}

// As anybody would write it.
static void squares(int64_t *out, const int64_t *in, size_t n)
{
#pragma omp parallel for
    for (size_t i = 0; i < n; i++)
        out[i] = in[i] * in[i];
}

int main(int argc, char **argv)
{
    static const struct pool_engine engine = {.who = "c_openmp",
                                              .threads = true,
                                              .start = start,
                                              .begin = run,
                                              .wait = nothing,
                                              .stop = nothing,
                                              .squares = squares};
    return pool_test_main(argc, argv, &engine);
}
