// SPDX-License-Identifier: MIT
//
// Streams and maps as futures, with and without deaths.
#include "mptest.h"

#include <errno.h>
#include <mp/imap.h>
#include <mp/task.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static mp_pool *new_pool(int workers)
{
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = workers}));
    return p;
}

struct count {
    long next, end;
    int error; // at the end, instead of it
};

static int count_up(void *item, void *arg)
{
    struct count *c = arg;
    if (c->next == c->end)
        return c->error;
    *(long *)item = c->next++;
    return 1;
}

static int square(const void *in, void *out, void *ctx)
{
    long x = *(const long *)in;
    (void)ctx;
    *(long *)out = x * x;
    return 0;
}

// 7 fails with 7, 17 kills its worker, 27 exits; each modulo 100.
static int square_or_die(const void *in, void *out, void *ctx)
{
    long x = *(const long *)in;
    if (x % 100 == 7)
        return 7;
    if (x % 100 == 17)
        raise(SIGKILL);
    if (x % 100 == 27)
        exit(1);
    return square(in, out, ctx);
}

static int due(long x)
{
    return x % 100 == 7 ? 7 : x % 100 == 17 || x % 100 == 27 ? MP_EWORKERDIED : 0;
}

static void run_stream(mp_pool *p, long n, const mp_imap_opts *o)
{
    mp_imap *it;
    struct count c = {.end = n};
    mp_assert_ok(mp_pool_imap(&it, p, square, count_up, &c, sizeof(long), sizeof(long), o));
    char *seen = calloc(1, (size_t)n + 1);
    for (long i = 0; i < n; i++) {
        long y = -1;
        int64_t k = mp_imap_next(it, &y, NULL, 20000);
        mp_assert_ok(k);
        if (!o || !o->unordered)
            ck_assert_int_eq(k, i);
        ck_assert_int_lt(k, n);
        ck_assert_int_eq(y, k * k);
        ck_assert_int_eq(seen[k]++, 0);
        if (o && o->window)
            ck_assert_int_le(c.next - i, (long)o->window);
    }
    long y;
    mp_assert_err(mp_imap_next(it, &y, NULL, 20000), MP_EOF);
    mp_assert_err(mp_imap_next(it, &y, NULL, 0), MP_EOF);
    mp_imap_free(it);
    free(seen);
}

MP_TEST(a_stream_comes_back_in_order)
{
    mp_pool *p = new_pool(3);
    static const long sizes[] = {0, 1, 2, 100, 20000};
    static const mp_imap_opts opts[] = {{0},
                                        {.unordered = true},
                                        {.chunk = 7},
                                        {.window = 10},
                                        {.chunk = SIZE_MAX},
                                        {.window = 1, .unordered = true}};
    for (size_t s = 0; s < 5; s++)
        for (size_t o = 0; o < 6; o++)
            run_stream(p, sizes[s] > 1000 && o ? 1000 : sizes[s], &opts[o]);
    run_stream(p, 100, NULL);
    mp_pool_free(p);
}

static void stream_with_deaths(bool unordered, size_t chunk)
{
    enum { N = 300 };
    mp_pool *p = new_pool(2);
    mp_imap *it;
    struct count c = {.end = N};
    bool seen[N] = {false};
    mp_imap_opts o = {.unordered = unordered, .chunk = chunk};
    mp_assert_ok(mp_pool_imap(&it, p, square_or_die, count_up, &c, 8, 8, &o));
    for (long i = 0; i < N; i++) {
        long y = -1;
        int status = -1;
        int64_t k = mp_imap_next(it, &y, &status, 20000);
        mp_assert_ok(k);
        if (!unordered)
            ck_assert_int_eq(k, i);
        ck_assert(!seen[k]);
        seen[k] = true;
        ck_assert_int_eq(status, due(k));
        if (status == 0)
            ck_assert_int_eq(y, k * k);
    }
    mp_imap_free(it);
    mp_pool_free(p);
}

MP_TEST(a_death_costs_one_item_of_a_stream)
{
    for (size_t chunk = 0; chunk < 3; chunk++) {
        stream_with_deaths(false, chunk * 20);
        stream_with_deaths(true, chunk * 20);
    }
}

MP_TEST(without_a_status_a_failure_is_an_error)
{
    mp_pool *p = new_pool(2);
    mp_imap *it;
    struct count c = {.next = 5, .end = 20};
    long y;
    mp_assert_ok(mp_pool_imap(&it, p, square_or_die, count_up, &c, 8, 8, NULL));
    for (long x = 5; x < 20; x++) {
        int64_t want = due(x) == 7 ? MP_ETASK : due(x) ? due(x) : x - 5;
        mp_assert_err(mp_imap_next(it, &y, NULL, 20000), want);
    }
    mp_imap_free(it);
    mp_pool_free(p);
}

static int hang_at_three(const void *in, void *out, void *ctx)
{
    while (*(const long *)in == 3)
        pause();
    return square(in, out, ctx);
}

MP_TEST(an_item_out_of_time_is_told)
{
    mp_pool *p = new_pool(2);
    mp_imap *it;
    struct count c = {.end = 8};
    mp_imap_opts o = {.timeout_ms = 2000}; // more than a busy machine takes for the others
    mp_assert_ok(mp_pool_imap(&it, p, hang_at_three, count_up, &c, 8, 8, &o));
    for (long i = 0; i < 8; i++) {
        long y;
        int status;
        ck_assert_int_eq(mp_imap_next(it, &y, &status, 20000), i);
        ck_assert_int_eq(status, i == 3 ? MP_ETIMEDOUT : 0);
    }
    mp_imap_free(it);
    mp_pool_free(p);
}

MP_TEST(the_generators_error_comes_last)
{
    mp_pool *p = new_pool(2);
    mp_imap *it;
    long y;
    struct count c = {.end = 50, .error = -EIO};
    mp_assert_ok(mp_pool_imap(&it, p, square, count_up, &c, 8, 8, NULL));
    for (long i = 0; i < 50; i++)
        ck_assert_int_eq(mp_imap_next(it, &y, NULL, 20000), i);
    mp_assert_err(mp_imap_next(it, &y, NULL, 20000), -EIO);
    mp_imap_free(it);
    mp_pool_free(p);
}

static int slow(const void *in, void *out, void *ctx)
{
    usleep(2000);
    return square(in, out, ctx);
}

MP_TEST(a_stream_may_be_left_at_any_point)
{
    mp_pool *p = new_pool(2);
    for (int k = 0; k < 10; k++) {
        mp_imap *it;
        long y;
        struct count c = {.end = 1000000000};
        mp_assert_ok(mp_pool_imap(&it, p, slow, count_up, &c, 8, 8, NULL));
        for (int i = 0; i < k; i++)
            mp_assert_ok(mp_imap_next(it, &y, NULL, 20000));
        int64_t r = mp_imap_next(it, &y, NULL, 0);
        ck_assert(r == MP_ETIMEDOUT || r == k);
        mp_imap_free(it);
    }
    mp_assert_ok(mp_pool_close(p));
    mp_assert_ok(mp_pool_join(p, 20000));
    mp_pool_free(p);
}

MP_TEST(a_stream_ends_with_its_pool)
{
    mp_pool *p = new_pool(2);
    mp_imap *it;
    long y;
    struct count c = {.end = 100000};
    mp_assert_ok(mp_pool_imap(&it, p, slow, count_up, &c, 8, 8, NULL));
    mp_assert_ok(mp_imap_next(it, &y, NULL, 20000));
    mp_assert_ok(mp_pool_terminate(p));
    int64_t r;
    while ((r = mp_imap_next(it, &y, NULL, 20000)) >= 0)
        ;
    mp_assert_err(r, MP_ECANCELED);
    mp_imap_free(it);
    mp_pool_free(p);
}

static uint64_t chunks_of(mp_item_fn *fn, long items)
{
    mp_pool *p = new_pool(2);
    mp_pool_stats s;
    mp_imap *it;
    long y;
    struct count c = {.end = items};
    mp_assert_ok(mp_pool_imap(&it, p, fn, count_up, &c, 8, 8, NULL));
    for (long i = 0; i < items; i++)
        mp_assert_ok(mp_imap_next(it, &y, NULL, 20000));
    mp_assert_ok(mp_pool_get_stats(p, &s));
    mp_imap_free(it);
    mp_pool_free(p);
    return s.done;
}

MP_TEST(chunks_follow_the_time_that_tasks_take)
{
    ck_assert_uint_lt(chunks_of(square, 20000), 2000);
    ck_assert_uint_gt(chunks_of(slow, 60), 20);
}

// ---- maps as futures ----

MP_TEST(a_map_as_a_future)
{
    static const size_t sizes[] = {0, 1, 5, 1000, 100000};
    mp_pool *p = new_pool(2);
    for (size_t s = 0; s < 5; s++) {
        size_t n = sizes[s];
        long *in = malloc(n * 8 + 1), *out = calloc(n + 1, 8);
        for (size_t i = 0; i < n; i++)
            in[i] = (long)i;
        mp_future *f, *g;
        mp_assert_ok(mp_pool_map_async(&f, p, square, in, 8, out, 8, n, NULL));
        mp_assert_ok(mp_pool_map_async(&g, p, square, in, 8, in, 8, 0, NULL));
        mp_assert_ok(mp_future_error(g, 20000));
        mp_assert_ok(mp_future_error(f, 20000));
        mp_future_free(f);
        mp_future_free(g);
        for (size_t i = 0; i < n; i++)
            ck_assert_int_eq(out[i], (long)(i * i));
        free(in);
        free(out);
    }
    mp_pool_free(p);
}

struct told {
    size_t calls, done, failed, total;
    double longest, last; // seconds left
};

static void note_progress(const mp_progress *p, void *arg)
{
    struct told *t = arg;
    *t = (struct told){t->calls + 1,
                       p->done > t->done ? p->done : t->done,
                       p->failed > t->failed ? p->failed : t->failed,
                       p->total,
                       p->seconds_left > t->longest ? p->seconds_left : t->longest,
                       p->seconds_left};
}

MP_TEST(failures_of_a_future_map_are_told_item_by_item)
{
    enum { N = 250 };
    mp_pool *p = new_pool(2);
    long in[N], out[N];
    int status[N];
    struct told told = {0};
    for (long i = 0; i < N; i++)
        in[i] = i;
    mp_map_async_opts o = {
        .status = status, .progress = note_progress, .progress_arg = &told, .chunk = 30};
    mp_future *f;
    mp_assert_ok(mp_pool_map_async(&f, p, square_or_die, in, 8, out, 8, N, &o));
    mp_assert_err(mp_future_error(f, 20000), MP_EWORKERDIED);
    ck_assert_str_eq(mp_future_error_text(f), "item 7 of 250: the task returned 7; 9 failed");
    for (long i = 0; i < N; i++) {
        ck_assert_int_eq(status[i], due(i));
        if (status[i] == 0)
            ck_assert_int_eq(out[i], i * i);
    }
    ck_assert_uint_eq(told.calls, 9);
    ck_assert_uint_eq(told.done, N);
    ck_assert_uint_eq(told.failed, 9);
    ck_assert_uint_eq(told.total, N);
    mp_future_free(f);
    mp_pool_free(p);
}

// With one worker the chunks come back one after the other.
MP_TEST(progress_tells_the_time_that_is_left)
{
    enum { N = 50 };
    mp_pool *p = new_pool(1);
    long in[N] = {0}, out[N];
    struct told told = {0};
    mp_map_async_opts o = {.progress = note_progress, .progress_arg = &told, .chunk = 1};
    mp_future *f;
    mp_assert_ok(mp_pool_map_async(&f, p, slow, in, 8, out, 8, N, &o));
    mp_assert_ok(mp_future_error(f, 20000));
    ck_assert_uint_eq(told.calls, N);
    ck_assert_uint_eq(told.done, N);
    ck_assert_double_gt(told.longest, 0.002 * (N - 20)); // as it looks at some moment
    ck_assert_double_eq(told.last, 0);
    mp_future_free(f);
    mp_pool_free(p);
}

static int slow_or_fail(const void *in, void *out, void *ctx)
{
    return *(const long *)in == 0 ? 1 : slow(in, out, ctx);
}

MP_TEST(a_future_map_stops_at_the_first_failure_if_told_to)
{
    enum { N = 400 };
    mp_pool *p = new_pool(1);
    long in[N], out[N];
    int status[N], canceled = 0;
    for (long i = 0; i < N; i++)
        in[i] = i;
    mp_map_async_opts o = {.status = status, .stop = true, .chunk = 1};
    mp_future *f;
    mp_assert_ok(mp_pool_map_async(&f, p, slow_or_fail, in, 8, out, 8, N, &o));
    mp_assert_err(mp_future_error(f, 20000), MP_ETASK);
    ck_assert_int_eq(status[0], 1);
    for (int i = 1; i < N; i++)
        canceled += status[i] == MP_ECANCELED;
    ck_assert_int_gt(canceled, 0);
    mp_future_free(f);
    mp_pool_free(p);
}

MP_TEST(nonsense_is_refused)
{
    mp_pool *p = new_pool(1);
    mp_imap *it;
    mp_future *f;
    long x = 0;
    struct count c = {0};
    mp_assert_err(mp_pool_imap(NULL, p, square, count_up, &c, 8, 8, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_imap(&it, NULL, square, count_up, &c, 8, 8, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_imap(&it, p, NULL, count_up, &c, 8, 8, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_imap(&it, p, square, NULL, &c, 8, 8, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_imap(&it, p, square, count_up, &c, SIZE_MAX, 8, NULL), MP_EOVERFLOW);
    mp_assert_err(mp_pool_imap(&it, p, square, count_up, &c, 8, 8, &(mp_imap_opts){.retries = -1}),
                  MP_EINVAL);
    mp_assert_err(mp_imap_next(NULL, &x, NULL, 0), MP_EINVAL);
    mp_assert_ok(mp_pool_imap(&it, p, square, count_up, &c, 8, 8, NULL));
    mp_assert_err(mp_imap_next(it, NULL, NULL, 0), MP_EINVAL);
    mp_assert_err(mp_imap_next(it, &x, NULL, -2), MP_EINVAL);
    mp_imap_free(it);
    mp_imap_free(NULL);
    mp_assert_err(mp_pool_map_async(NULL, p, square, &x, 8, &x, 8, 1, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_map_async(&f, p, NULL, &x, 8, &x, 8, 1, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_map_async(&f, p, square, NULL, 8, &x, 8, 1, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_map_async(&f, p, square, &x, 8, &x, 8, SIZE_MAX / 4, NULL), MP_EOVERFLOW);
    mp_assert_ok(mp_pool_close(p));
    mp_assert_err(mp_pool_map_async(&f, p, square, &x, 8, &x, 8, 1, NULL), MP_ECLOSED);
    mp_pool_free(p);
}
