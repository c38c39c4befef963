// SPDX-License-Identifier: MIT
//
// Functions of several arguments, and what each task is told of itself: its number, and the
// random stream of it.
#include "mptest.h"

#include <mp/arena.h>
#include <mp/random.h>
#include <mp/reduce.h>
#include <mp/starmap.h>
#include <mp/task.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static mp_pool *new_pool(int workers)
{
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = workers}));
    return p;
}

// ---- starmap ----

// Types of all alignments, in an order that leaves holes.
static int weigh(const void *const args[], void *out, void *ctx)
{
    char a = *(const char *)args[0];
    double b = *(const double *)args[1];
    short c = *(const short *)args[2];
    const int *d = args[3]; // an array of three
    if ((uintptr_t)args[1] % sizeof b || (uintptr_t)args[2] % sizeof c ||
        (uintptr_t)args[3] % sizeof *d)
        return 99;
    if (a == 13)
        return 13;
    if (a == 14)
        raise(SIGKILL);
    *(double *)out = a + b * c + d[0] + d[2] + *(const long *)ctx;
    return 0;
}

#define N 1000
static char a[N];
static double b[N], out[N];
static short c[N];
static int d[N][3], status[N];
static const mp_column columns[] = {MP_COLUMN(a), MP_COLUMN(b), MP_COLUMN(c), MP_COLUMN(d)};

static void fill(void)
{
    for (int i = 0; i < N; i++) {
        a[i] = (char)(i % 12);
        b[i] = i * 0.5;
        c[i] = (short)(i % 100);
        d[i][0] = i;
        d[i][2] = 3 * i;
    }
    memset(out, 0, sizeof out);
}

static void check_results(long more)
{
    for (int i = 0; i < N; i++)
        if (status[i] == 0)
            ck_assert(out[i] == i % 12 + i * 0.5 * (i % 100) + 4 * i + more);
}

MP_TEST(columns_become_arguments)
{
    mp_pool *p = new_pool(2);
    long more = 5; // on the stack of the caller: copied
    mp_future *f;
    fill();
    mp_assert_ok(mp_pool_starmap(p, weigh, columns, 4, out, sizeof *out, N, &more,
                                 &(mp_map_opts){.ctx_size = sizeof more}));
    check_results(5);
    more = 6;
    memset(out, 0, sizeof out);
    mp_map_async_opts o = {.ctx = &more, .ctx_size = sizeof more};
    mp_assert_ok(mp_pool_starmap_async(&f, p, weigh, columns, 4, out, sizeof *out, N, &o));
    more = 1000;
    memset(a, 77, sizeof a); // they need not stay
    mp_assert_ok(mp_future_error(f, 20000));
    mp_future_free(f);
    check_results(6);
    mp_pool_free(p);
}

MP_TEST(failures_of_a_starmap_cost_their_item)
{
    static long more = 1; // from before the pool: passed on
    mp_pool *p = new_pool(2);
    mp_future *f;
    for (int async = 0; async < 2; async++) {
        fill();
        a[100] = 13;
        a[200] = 14;
        if (async) {
            mp_map_async_opts o = {.ctx = &more, .status = status};
            mp_assert_ok(mp_pool_starmap_async(&f, p, weigh, columns, 4, out, sizeof *out, N, &o));
            mp_assert_err(mp_future_error(f, 20000), MP_EWORKERDIED);
            mp_future_free(f);
        } else {
            mp_assert_err(mp_pool_starmap(p, weigh, columns, 4, out, sizeof *out, N, &more,
                                          &(mp_map_opts){.status = status}),
                          MP_EWORKERDIED);
        }
        for (int i = 0; i < N; i++)
            ck_assert_int_eq(status[i], i == 100 ? 13 : i == 200 ? MP_EWORKERDIED : 0);
        check_results(1);
    }
    mp_pool_free(p);
}

MP_TEST(nonsense_is_refused)
{
    mp_pool *p = new_pool(1);
    mp_future *f;
    const mp_column none = {NULL, 8}, empty = {a, 0}, wide = {a, SIZE_MAX / 4};
    mp_column many[MP_STAR_MOST + 1] = {{0}};
    mp_assert_err(mp_pool_starmap(NULL, weigh, columns, 4, out, 8, N, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_starmap(p, NULL, columns, 4, out, 8, N, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_starmap(p, weigh, NULL, 4, out, 8, N, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_starmap(p, weigh, columns, 0, out, 8, N, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_starmap(p, weigh, many, MP_STAR_MOST + 1, out, 8, N, NULL, NULL),
                  MP_EINVAL);
    mp_assert_err(mp_pool_starmap(p, weigh, &none, 1, out, 8, N, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_starmap(p, weigh, &empty, 1, out, 8, N, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_starmap(p, weigh, &wide, 1, out, 8, N, NULL, NULL), MP_EOVERFLOW);
    mp_assert_err(mp_pool_starmap(p, weigh, columns, 4, out, 8, SIZE_MAX / 8, NULL, NULL),
                  MP_EOVERFLOW);
    mp_assert_err(
        mp_pool_starmap(p, weigh, columns, 4, out, 8, N, NULL, &(mp_map_opts){.ctx_size = 8}),
        MP_EINVAL);
    mp_assert_ok(mp_pool_starmap(p, weigh, columns, 4, out, 8, 0, NULL, NULL));
    mp_assert_err(mp_pool_starmap_async(NULL, p, weigh, columns, 4, out, 8, N, NULL), MP_EINVAL);
    mp_assert_ok(mp_pool_close(p));
    mp_assert_err(mp_pool_starmap_async(&f, p, weigh, columns, 4, out, 8, N, NULL), MP_ECLOSED);
    mp_assert_err(mp_pool_starmap(p, weigh, columns, 4, out, 8, N, NULL, NULL), MP_ECLOSED);
    mp_pool_free(p);
}

// ---- numbers and random streams ----

static int draw_item(const void *in, void *to, void *ctx)
{
    mp_random r;
    (void)in;
    (void)ctx;
    mp_task_random(&r, 42);
    *(uint64_t *)to = mp_random_next(&r);
    return 0;
}

static int number_range(size_t begin, size_t end, const void *in, void *to, void *ctx)
{
    uint64_t *o = to;
    (void)in;
    (void)ctx;
    if (mp_task_number() != begin)
        return 1;
    for (size_t i = begin; i < end; i++) {
        mp_task_at(i);
        o[i - begin] = mp_task_number();
    }
    return 0;
}

static int draw_task(mp_task *task, const void *arg, size_t size, void *ctx)
{
    uint64_t x;
    (void)arg;
    (void)size;
    (void)ctx;
    mp_task_at(7); // tells nothing of its number
    draw_item(NULL, &x, NULL);
    return mp_task_result(task, &x, sizeof x);
}

static uint64_t expected(uint64_t stream)
{
    mp_random r;
    mp_random_init(&r, 42, stream);
    return mp_random_next(&r);
}

static int count_to_n(void *item, void *arg)
{
    int *i = arg;
    *(int *)item = *i;
    return (*i)++ < N;
}

static void draw_all_ways(mp_pool *p, size_t chunk)
{
    uint64_t x[N], y;
    mp_future *f;
    mp_imap *it;
    int generated = 0;
    mp_assert_ok(mp_pool_map(p, draw_item, NULL, 0, x, 8, N, NULL, &(mp_map_opts){.chunk = chunk}));
    for (int i = 0; i < N; i++)
        ck_assert_uint_eq(x[i], expected((uint64_t)i));
    mp_assert_ok(mp_pool_map_async(&f, p, draw_item, NULL, 0, x, 8, N,
                                   &(mp_map_async_opts){.chunk = chunk}));
    mp_assert_ok(mp_future_error(f, 20000));
    mp_future_free(f);
    for (int i = 0; i < N; i++)
        ck_assert_uint_eq(x[i], expected((uint64_t)i));
    mp_assert_ok(mp_pool_imap(&it, p, draw_item, count_to_n, &generated, sizeof(int), 8,
                              &(mp_imap_opts){.chunk = chunk, .unordered = true}));
    for (int64_t i; (i = mp_imap_next(it, &y, NULL, 20000)) != MP_EOF;)
        ck_assert_uint_eq(y, expected((uint64_t)i));
    mp_imap_free(it);
    for (uint64_t i = 0; i < 20; i++) {
        mp_assert_ok(mp_pool_apply(p, draw_task, NULL, 0, &y, 8, NULL));
        ck_assert_uint_eq(y, expected(i));
    }
    mp_assert_ok(mp_pool_map_range(p, number_range, NULL, 0, x, 8, N, NULL, NULL));
    for (uint64_t i = 0; i < N; i++)
        ck_assert_uint_eq(x[i], i);
}

MP_TEST(random_numbers_do_not_depend_on_the_workers)
{
    static const size_t chunks[] = {0, 1, 77};
    ck_assert_uint_eq(mp_task_number(), 0); // outside of tasks
    for (int workers = 1; workers <= 3; workers++) {
        mp_pool *p = new_pool(workers);
        draw_all_ways(p, chunks[workers - 1]);
        mp_pool_free(p);
    }
}

// An item that kills its worker the first time draws the same afterwards.
static int draw_and_die(const void *in, void *to, void *ctx)
{
    mp_random r;
    uint64_t *before = ctx;
    int i = *(const int *)in;
    mp_task_random(&r, 42);
    *(uint64_t *)to = mp_random_next(&r);
    if (i % 100 == 50 && !before[i]) {
        before[i] = *(uint64_t *)to;
        raise(SIGKILL);
    }
    return i % 100 == 50 && before[i] != *(uint64_t *)to;
}

MP_TEST(a_retry_draws_the_same)
{
    mp_arena *arena;
    void *before;
    uint64_t x;
    int i = 0;
    mp_imap *it;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_arena_alloc(arena, &before, N, sizeof(uint64_t)));
    memset(before, 0, N * sizeof(uint64_t));
    mp_pool *p = new_pool(2);
    mp_assert_ok(mp_pool_imap(&it, p, draw_and_die, count_to_n, &i, sizeof(int), 8,
                              &(mp_imap_opts){.ctx = before, .retries = 1, .chunk = 30}));
    for (uint64_t k = 0; k < N; k++) {
        ck_assert_int_eq(mp_imap_next(it, &x, NULL, 20000), (int64_t)k);
        ck_assert_uint_eq(x, expected(k));
    }
    mp_imap_free(it);
    mp_pool_free(p);
    mp_arena_delete(arena);
}

// What each piece starts from is the least of the numbers seen.
static int least_number(void *acc, const void *items, size_t n, void *ctx)
{
    (void)ctx;
    uint64_t first = *(const uint64_t *)items;
    *(uint64_t *)acc += n;
    return mp_task_number() != first;
}

static int add(void *acc, const void *more, void *ctx)
{
    (void)ctx;
    *(uint64_t *)acc += *(const uint64_t *)more;
    return 0;
}

MP_TEST(pieces_of_a_reduction_have_the_number_of_their_first_item)
{
    mp_pool *p = new_pool(2);
    uint64_t x[N], sum = 0;
    for (uint64_t i = 0; i < N; i++)
        x[i] = i;
    mp_assert_ok(mp_pool_reduce(p, least_number, add, x, 8, N, &sum, sizeof sum, NULL));
    ck_assert_uint_eq(sum, N);
    mp_pool_free(p);
}
