// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <mp/reduce.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static mp_pool *new_pool(int workers)
{
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = workers}));
    return p;
}

static int sum(void *acc, const void *items, size_t n, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < n; i++)
        *(long *)acc += ((const long *)items)[i];
    return 0;
}

static int add(void *acc, const void *more, void *ctx)
{
    (void)ctx;
    *(long *)acc += *(const long *)more;
    return 0;
}

// x -> a x + b: not commutative.
struct affine {
    unsigned a, b;
};

static int then(void *acc, const void *more, void *ctx)
{
    struct affine *f = acc;
    const struct affine *g = more;
    (void)ctx;
    *f = (struct affine){f->a * g->a, f->b * g->a + g->b};
    return 0;
}

static int compose(void *acc, const void *items, size_t n, void *ctx)
{
    for (size_t i = 0; i < n; i++)
        then(acc, (const struct affine *)items + i, ctx);
    return 0;
}

MP_TEST(sums_are_right_whatever_the_pieces)
{
    enum { N = 100000 };
    mp_pool *p = new_pool(3);
    long *in = malloc(N * sizeof *in);
    for (long i = 0; i < N; i++)
        in[i] = i;
    static const size_t chunks[] = {0, 1, 1000, 99999, SIZE_MAX};
    static const long sizes[] = {0, 1, 2, 1000, N};
    for (size_t s = 0; s < 5; s++) {
        for (size_t c = 0; c < 5; c++) {
            long n = sizes[s], total = 0;
            mp_reduce_opts o = {.chunk = chunks[c]};
            mp_assert_ok(mp_pool_reduce(p, sum, add, in, 8, (size_t)n, &total, 8, &o));
            ck_assert_int_eq(total, n * (n - 1) / 2);
        }
    }
    free(in);
    mp_pool_free(p);
}

MP_TEST(the_order_is_kept)
{
    enum { N = 5000 };
    mp_pool *p = new_pool(4);
    struct affine in[N], want = {1, 0}, got = {1, 0};
    for (unsigned i = 0; i < N; i++)
        in[i] = (struct affine){i * 2 + 3, i ^ 77};
    compose(&want, in, N, NULL);
    mp_assert_ok(mp_pool_reduce(p, compose, then, in, sizeof *in, N, &got, sizeof got, NULL));
    ck_assert_uint_eq(got.a, want.a);
    ck_assert_uint_eq(got.b, want.b);
    mp_pool_free(p);
}

static int sum_or_die(void *acc, const void *items, size_t n, void *ctx)
{
    long first = *(const long *)items;
    if (first == 30)
        raise(SIGKILL);
    return first == 60 ? 1 : sum(acc, items, n, ctx);
}

MP_TEST(failures_leave_the_accumulator_alone)
{
    mp_pool *p = new_pool(2);
    long in[100], total = 5;
    for (long i = 0; i < 100; i++)
        in[i] = i;
    mp_reduce_opts o = {.chunk = 10, .retries = 1};
    mp_assert_err(mp_pool_reduce(p, sum_or_die, add, in, 8, 50, &total, 8, &o), MP_EWORKERDIED);
    mp_assert_err(mp_pool_reduce(p, sum_or_die, add, in + 40, 8, 50, &total, 8, &o), MP_ETASK);
    ck_assert_int_eq(total, 5);
    mp_assert_err(mp_pool_reduce(p, sum, add, NULL, 8, 50, &total, 8, &o), MP_EINVAL);
    mp_assert_err(mp_pool_reduce(p, sum, NULL, in, 8, 50, &total, 8, &o), MP_EINVAL);
    mp_assert_err(mp_pool_reduce(NULL, sum, add, in, 8, 50, &total, 8, &o), MP_EINVAL);
    mp_assert_err(mp_pool_reduce(p, sum, add, in, 8, SIZE_MAX / 4, &total, 8, &o), MP_EOVERFLOW);
    mp_pool_free(p);
}
