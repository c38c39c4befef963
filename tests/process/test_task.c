// SPDX-License-Identifier: MIT
//
// Single tasks on a pool while nobody dies. The faults are in fault/test_task_faults.c.
#include "mptest.h"

#include <errno.h>
#include <limits.h>
#include <mp/task.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static mp_pool *new_pool(int workers)
{
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = workers}));
    return p;
}

static void *shared_page(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(page != MAP_FAILED);
    return page;
}

static int square(mp_task *task, const void *arg, size_t size, void *ctx)
{
    long x = *(const long *)arg, y = x * x;
    (void)size;
    (void)ctx;
    return mp_task_result(task, &y, sizeof y);
}

// The argument, each byte one more.
static int advance(mp_task *task, const void *arg, size_t size, void *ctx)
{
    unsigned char *copy = malloc(size + 1);
    (void)ctx;
    for (size_t i = 0; i < size; i++)
        copy[i] = (unsigned char)(((const unsigned char *)arg)[i] + 1);
    int r = mp_task_result(task, copy, size);
    free(copy);
    return r;
}

static int fail_with(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    return mp_task_result(task, "no", 2) < 0 ? -1 : *(const int *)arg;
}

static int nothing(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)task;
    (void)arg;
    (void)size;
    (void)ctx;
    return 0;
}

// ---- apply ----

MP_TEST(apply_gives_the_result)
{
    mp_pool *p = new_pool(2);
    for (long x = 0; x < 200; x++) {
        long y = -1;
        ck_assert_int_eq(mp_pool_apply(p, square, &x, sizeof x, &y, sizeof y, NULL), sizeof y);
        ck_assert_int_eq(y, x * x);
    }
    mp_pool_free(p);
}

MP_TEST(arguments_and_results_have_any_size)
{
    static const size_t sizes[] = {0, 1, 95, 96, 97, 4096, 100000, 5000000};
    mp_pool *p = new_pool(2);
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i / 2];
        unsigned char *in = malloc(n + 1), *out = calloc(1, n + 1);
        for (size_t k = 0; k < n; k++)
            in[k] = (unsigned char)(k * 7);
        ck_assert_int_eq(mp_pool_apply(p, advance, in, n, out, n, NULL), (int64_t)n);
        size_t good = 0;
        while (good < n && out[good] == (unsigned char)(in[good] + 1))
            good++;
        ck_assert_uint_eq(good, n);
        if (n)
            mp_assert_err(mp_pool_apply(p, advance, in, n, out, n - 1, NULL), MP_EMSGSIZE);
        free(in);
        free(out);
    }
    ck_assert_int_eq(mp_pool_apply(p, nothing, NULL, 0, NULL, 0, NULL), 0);
    mp_pool_free(p);
}

static int twice(mp_task *task, const void *arg, size_t size, void *ctx)
{
    int r = advance(task, arg, size, ctx);
    return r < 0 ? r : mp_task_result(task, "ab", 2);
}

MP_TEST(the_last_result_counts)
{
    mp_pool *p = new_pool(1);
    char in[1000] = {0}, out[1000];
    ck_assert_int_eq(mp_pool_apply(p, twice, in, sizeof in, out, sizeof out, NULL), 2);
    ck_assert(memcmp(out, "ab", 2) == 0);
    mp_pool_free(p);
}

MP_TEST(what_a_task_returned_is_told)
{
    mp_pool *p = new_pool(1);
    int in = 42, status = -1;
    char out[8];
    mp_task_opts o = {.status = &status};
    mp_assert_err(mp_pool_apply(p, fail_with, &in, sizeof in, out, sizeof out, &o), MP_ETASK);
    ck_assert_int_eq(status, 42);
    mp_future *f;
    mp_assert_ok(mp_pool_apply_async(&f, p, fail_with, &in, sizeof in, NULL));
    mp_assert_err(mp_future_error(f, 10000), MP_ETASK);
    ck_assert_int_eq(mp_future_status(f), 42);
    ck_assert_str_eq(mp_future_error_text(f), "the task returned 42");
    mp_future_free(f);
    mp_pool_free(p);
}

static void *apply_many(void *arg)
{
    for (long x = 0; x < 300; x++) {
        long y = -1;
        if (mp_pool_apply(arg, square, &x, sizeof x, &y, sizeof y, NULL) != sizeof y || y != x * x)
            return (void *)1;
    }
    return NULL;
}

static int square_item(const void *in, void *out, void *ctx)
{
    (void)ctx;
    *(long *)out = *(const long *)in * *(const long *)in;
    return 0;
}

MP_TEST(threads_share_a_pool_with_maps)
{
    mp_pool *p = new_pool(2);
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, apply_many, p), 0);
    long in[100], out[100];
    for (long i = 0; i < 100; i++)
        in[i] = i;
    for (int k = 0; k < 100; k++)
        mp_assert_ok(mp_pool_map(p, square_item, in, 8, out, 8, 100, NULL, NULL));
    for (int i = 0; i < 4; i++) {
        void *bad;
        pthread_join(t[i], &bad);
        ck_assert_ptr_null(bad);
    }
    mp_pool_free(p);
}

// ---- futures ----

MP_TEST(futures_come_back_whole)
{
    enum { N = 2000 };
    mp_pool *p = new_pool(2);
    mp_future *f[N];
    for (long i = 0; i < N; i++)
        mp_assert_ok(mp_pool_apply_async(&f[i], p, square, &i, sizeof i, NULL));
    ck_assert_int_eq(mp_futures_wait(f, N, MP_ALL_DONE, 20000), N);
    for (long i = 0; i < N; i++) {
        long y;
        ck_assert_int_eq(mp_future_result(f[i], &y, sizeof y, 0), sizeof y);
        ck_assert_int_eq(y, i * i);
        mp_future_free(f[i]);
    }
    mp_pool_free(p);
}

MP_TEST(more_tasks_than_there_are_places)
{
    enum { N = 40000 };
    mp_pool *p = new_pool(2);
    mp_future **f = malloc(N * sizeof *f);
    for (long i = 0; i < N; i++)
        mp_assert_ok(mp_pool_apply_async(&f[i], p, square, &i, sizeof i, NULL));
    for (long i = 0; i < N; i++) {
        long y;
        ck_assert_int_eq(mp_future_result(f[i], &y, sizeof y, 20000), sizeof y);
        ck_assert_int_eq(y, i * i);
        mp_future_free(f[i]);
    }
    free(f);
    mp_pool_free(p);
}

static int call_back(mp_future *f, void *arg)
{
    (void)f;
    ++*(int *)arg;
    return 0;
}

MP_TEST(callbacks_run_while_somebody_waits)
{
    mp_pool *p = new_pool(1);
    mp_future *f;
    int calls = 0;
    long x = 5;
    mp_assert_ok(mp_pool_apply_async(&f, p, square, &x, sizeof x, NULL));
    mp_assert_ok(mp_future_add_done_callback(f, call_back, &calls));
    mp_assert_ok(mp_future_wait(f, 10000));
    ck_assert_int_eq(calls, 1);
    mp_future_free(f);
    mp_pool_free(p);
}

// Waits until the page's first word is set; tells its number in the order of the begins.
static int gate(mp_task *task, const void *arg, size_t size, void *ctx)
{
    _Atomic int *page = ctx;
    (void)size;
    int order = atomic_fetch_add(&page[1], 1);
    while (*(const int *)arg && !atomic_load(page))
        usleep(1000);
    return mp_task_result(task, &order, sizeof order);
}

MP_TEST(the_lowest_priority_number_is_first)
{
    static const int priority[] = {0, 5, -3, 5, 0, -100}, want[] = {0, 4, 2, 5, 3, 1};
    _Atomic int *page = shared_page();
    mp_pool *p = new_pool(1);
    mp_future *f[6];
    for (int i = 0; i < 6; i++) {
        mp_task_opts o = {.ctx = (void *)page, .priority = priority[i]};
        int wait = i == 0;
        mp_assert_ok(mp_pool_apply_async(&f[i], p, gate, &wait, sizeof wait, &o));
        while (i == 0 && !atomic_load(&page[1]))
            usleep(1000);
    }
    ck_assert(mp_future_running(f[0]));
    ck_assert(!mp_future_running(f[1]));
    atomic_store(page, 1);
    for (int i = 0; i < 6; i++) {
        int order;
        ck_assert_int_eq(mp_future_result(f[i], &order, sizeof order, 10000), sizeof order);
        ck_assert_int_eq(order, want[i]);
        mp_future_free(f[i]);
    }
    mp_pool_free(p);
    munmap((void *)page, 4096);
}

MP_TEST(a_pending_task_is_taken_back)
{
    _Atomic int *page = shared_page();
    mp_pool *p = new_pool(1);
    mp_future *f[20];
    int wait = 1;
    mp_task_opts o = {.ctx = (void *)page};
    for (int i = 0; i < 20; i++)
        mp_assert_ok(mp_pool_apply_async(&f[i], p, gate, &wait, sizeof wait, &o));
    while (!atomic_load(&page[1]))
        usleep(1000);
    for (int i = 19; i > 0; i -= 2) {
        mp_assert_ok(mp_future_cancel(f[i]));
        mp_assert_ok(mp_future_cancel(f[i])); // twice
        ck_assert(mp_future_cancelled(f[i]));
    }
    mp_assert_err(mp_future_cancel(f[0]), MP_ESTATE);
    atomic_store(page, 1);
    for (int i = 0; i < 20; i++) {
        mp_assert_err(mp_future_error(f[i], 10000), i % 2 ? MP_ECANCELED : 0);
        mp_future_free(f[i]);
    }
    ck_assert_int_eq(atomic_load(&page[1]), 10);
    mp_pool_free(p);
    munmap((void *)page, 4096);
}

// ---- the end ----

MP_TEST(close_lets_tasks_finish)
{
    mp_pool *p = new_pool(2);
    mp_future *f[50];
    mp_assert_err(mp_pool_join(p, 0), MP_ESTATE);
    for (long i = 0; i < 50; i++)
        mp_assert_ok(mp_pool_apply_async(&f[i], p, square, &i, sizeof i, NULL));
    mp_assert_ok(mp_pool_close(p));
    long x = 1;
    mp_future *none;
    mp_assert_err(mp_pool_apply_async(&none, p, square, &x, sizeof x, NULL), MP_ECLOSED);
    ck_assert_ptr_null(none);
    mp_assert_err(mp_pool_apply(p, square, &x, sizeof x, &x, sizeof x, NULL), MP_ECLOSED);
    mp_assert_ok(mp_pool_join(p, 10000));
    for (long i = 0; i < 50; i++) {
        long y;
        ck_assert_int_eq(mp_future_result(f[i], &y, sizeof y, 0), sizeof y);
        ck_assert_int_eq(y, i * i);
        mp_future_free(f[i]);
    }
    mp_pool_free(p);
}

MP_TEST(terminate_cancels_tasks)
{
    _Atomic int *page = shared_page();
    mp_pool *p = new_pool(1);
    mp_future *f[3];
    int wait = 1;
    mp_task_opts o = {.ctx = (void *)page};
    for (int i = 0; i < 3; i++)
        mp_assert_ok(mp_pool_apply_async(&f[i], p, gate, &wait, sizeof wait, &o));
    mp_assert_ok(mp_pool_terminate(p));
    mp_assert_err(mp_future_error(f[0], 10000), MP_ECANCELED);
    mp_assert_err(mp_pool_apply(p, gate, &wait, sizeof wait, NULL, 0, &o), MP_ECANCELED);
    mp_pool_free(p);
    for (int i = 0; i < 3; i++) {
        mp_assert_err(mp_future_error(f[i], 0), MP_ECANCELED);
        mp_future_free(f[i]);
    }
    munmap((void *)page, 4096);
}

MP_TEST(futures_outlive_a_freed_pool)
{
    mp_pool *p = new_pool(1);
    mp_future *f;
    long x = 3;
    mp_assert_ok(mp_pool_apply_async(&f, p, square, &x, sizeof x, NULL));
    mp_pool_free(p);
    ck_assert(mp_future_done(f));
    mp_assert_ok(mp_pool_cancel(p = new_pool(1), f));
    mp_future_free(f);
    mp_pool_free(p);
}

// ---- workers ----

static long setting;

static int set(void *arg)
{
    setting = *(long *)arg;
    return 0;
}

static int tell(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)arg;
    (void)size;
    (void)ctx;
    long told[2] = {setting, getpid()};
    return mp_task_result(task, told, sizeof told);
}

MP_TEST(the_initializer_runs_first_and_workers_retire)
{
    long arg = 77, told[2], last = 0;
    int changes = 0;
    mp_pool_opts o = {.workers = 1, .init = set, .init_arg = &arg, .max_tasks = 3};
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &o));
    for (int i = 0; i < 12; i++) {
        ck_assert_int_eq(mp_pool_apply(p, tell, NULL, 0, told, sizeof told, NULL), sizeof told);
        ck_assert_int_eq(told[0], 77);
        changes += told[1] != last;
        last = told[1];
    }
    ck_assert_int_eq(changes, 4);
    mp_pool_free(p);
}

static int set_here(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)task;
    (void)size;
    atomic_fetch_add((_Atomic int *)ctx, 1);
    setting = *(const long *)arg;
    return setting == 13;
}

MP_TEST(everywhere_reaches_each_worker_once)
{
    _Atomic int *page = shared_page();
    mp_pool *p = new_pool(4);
    mp_task_opts o = {.ctx = (void *)page};
    for (long value = 10; value < 16; value++) {
        long told[2];
        atomic_store(page, 0);
        mp_assert_err(mp_pool_everywhere(p, set_here, &value, sizeof value, &o),
                      value == 13 ? MP_ETASK : 0);
        ck_assert_int_eq(atomic_load(page), 4);
        for (int i = 0; i < 20; i++) {
            ck_assert_int_eq(mp_pool_apply(p, tell, NULL, 0, told, sizeof told, NULL), sizeof told);
            ck_assert_int_eq(told[0], value);
        }
    }
    o.retries = 1;
    mp_assert_err(mp_pool_everywhere(p, set_here, &o, sizeof(long), &o), MP_EINVAL);
    mp_assert_err(mp_pool_everywhere(NULL, set_here, NULL, 0, NULL), MP_EINVAL);
    mp_pool_free(p);
    munmap((void *)page, 4096);
}

MP_TEST(statistics_add_up)
{
    _Atomic int *page = shared_page();
    mp_pool *p = new_pool(2);
    mp_pool_stats s;
    mp_worker_stats w;
    mp_future *f[10];
    mp_task_opts o = {.ctx = (void *)page};
    int wait = 1, bad = 3;
    uint64_t tasks = 0;
    for (int i = 0; i < 10; i++)
        mp_assert_ok(mp_pool_apply_async(&f[i], p, gate, &wait, sizeof wait, &o));
    while (atomic_load(&page[1]) < 2)
        usleep(1000);
    mp_assert_ok(mp_pool_get_stats(p, &s));
    ck_assert_int_eq(s.workers, 2);
    ck_assert_int_eq(s.alive, 2);
    ck_assert_int_eq(s.busy, 2);
    ck_assert_uint_eq(s.waiting, 8);
    ck_assert_uint_eq(s.unfinished, 10);
    atomic_store(page, 1);
    ck_assert_int_eq(mp_futures_wait(f, 10, MP_ALL_DONE, 10000), 10);
    for (int i = 0; i < 10; i++)
        mp_future_free(f[i]);
    o = (mp_task_opts){.retries = 2};
    mp_assert_err(mp_pool_apply(p, fail_with, &bad, sizeof bad, NULL, 0, &o), MP_ETASK);
    mp_assert_ok(mp_pool_get_stats(p, &s));
    ck_assert_uint_eq(s.done, 10);
    ck_assert_uint_eq(s.failed, 1);
    ck_assert_uint_eq(s.retried, 2);
    ck_assert_uint_eq(s.unfinished, 0);
    ck_assert_uint_eq(s.ended_workers, 0);
    ck_assert_uint_gt(s.busy_ns, 0);
    for (int i = 0; i < 2; i++) {
        mp_assert_ok(mp_pool_get_worker_stats(p, i, &w));
        ck_assert_int_gt(w.pid, 0);
        ck_assert_uint_gt(w.resident, 0);
        tasks += w.tasks;
    }
    ck_assert_uint_eq(tasks, 13);
    mp_assert_err(mp_pool_get_worker_stats(p, 2, &w), MP_EINDEX);
    mp_assert_err(mp_pool_get_worker_stats(p, -1, &w), MP_EINDEX);
    mp_assert_err(mp_pool_get_stats(p, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_get_stats(NULL, &s), MP_EINVAL);
    mp_pool_free(p);
    munmap((void *)page, 4096);
}

static int say_nothing(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)task;
    (void)arg;
    (void)size;
    (void)ctx;
    return 0;
}

MP_TEST(no_result_is_one_of_0_bytes)
{
    mp_pool *p = new_pool(1);
    mp_future *f;
    char c = 'x';
    size_t size = 1;
    ck_assert_int_eq(mp_pool_apply(p, say_nothing, NULL, 0, NULL, 0, NULL), 0);
    ck_assert_int_eq(mp_pool_apply(p, say_nothing, &c, 1, &c, 1, NULL), 0);
    mp_assert_ok(mp_pool_apply_async(&f, p, say_nothing, NULL, 0, NULL));
    ck_assert_int_eq(mp_future_result(f, &c, 1, 10000), 0);
    ck_assert_ptr_nonnull(mp_future_data(f, &size));
    ck_assert_uint_eq(size, 0);
    mp_future_free(f);
    mp_pool_free(p);
}

MP_TEST(timeouts_of_any_value)
{
    static const int limits[] = {1, 100, INT_MAX - 1, INT_MAX};
    mp_pool *p = new_pool(2);
    long x = 3, y;
    mp_future *f;
    for (size_t i = 0; i < 4; i++) {
        mp_task_opts o = {.timeout_ms = limits[i], .backoff_ms = limits[i], .priority = -limits[i]};
        int64_t r = mp_pool_apply(p, square, &x, 8, &y, 8, &o);
        ck_assert(r == 8 || (r == MP_ETIMEDOUT && limits[i] <= 100)); // a slow machine
        mp_assert_ok(mp_pool_apply_async(&f, p, square, &x, 8, NULL));
        r = mp_future_wait(f, limits[i]);
        ck_assert(r == 0 || (r == MP_ETIMEDOUT && limits[i] <= 100));
        ck_assert_int_eq(mp_future_result(f, &y, 8, MP_FOREVER), 8);
        mp_assert_err(mp_future_wait(f, -2), MP_EINVAL);
        mp_future_free(f);
    }
    mp_assert_ok(mp_pool_close(p));
    mp_assert_err(mp_pool_join(p, -2), MP_EINVAL);
    mp_assert_err(mp_pool_join(p, INT_MIN), MP_EINVAL);
    mp_assert_ok(mp_pool_join(p, INT_MAX));
    mp_pool_free(p);
}

// ---- misuse ----

static int apply_in_worker(mp_task *task, const void *arg, size_t size, void *ctx)
{
    mp_future *f;
    mp_pool *p = *(mp_pool **)ctx;
    int r = (int)mp_pool_apply(p, square, arg, size, NULL, 0, NULL);
    if (mp_pool_apply_async(&f, p, square, arg, size, NULL) != MP_EOWNER)
        return 1;
    return mp_task_result(task, &r, sizeof r);
}

static mp_pool *global_pool;

MP_TEST(nonsense_is_refused)
{
    mp_pool *p = global_pool = new_pool(1);
    long x = 3;
    mp_future *f;
    mp_assert_err(mp_pool_apply(NULL, square, &x, 8, &x, 8, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_apply(p, NULL, &x, 8, &x, 8, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_apply(p, square, NULL, 8, &x, 8, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_apply(p, square, &x, 8, NULL, 8, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_apply(p, square, &x, SIZE_MAX / 2, &x, 8, NULL), -ENOMEM);
    mp_assert_err(mp_pool_apply_async(NULL, p, square, &x, 8, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_apply_async(&f, NULL, square, &x, 8, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_apply_async(&f, p, (mp_task_fn *)(uintptr_t)&x, &x, 8, NULL), MP_ENOFUNC);
    const mp_task_opts bad[] = {{.timeout_ms = -1}, {.retries = -1}, {.backoff_ms = -1}};
    for (size_t i = 0; i < 3; i++)
        mp_assert_err(mp_pool_apply(p, square, &x, 8, &x, 8, &bad[i]), MP_EINVAL);
    mp_assert_err(mp_task_result(NULL, &x, 8), MP_EINVAL);
    mp_assert_err(mp_pool_cancel(p, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_cancel(NULL, NULL), MP_EINVAL);
    mp_assert_ok(mp_future_new(&f, NULL));
    mp_assert_err(mp_pool_cancel(p, f), MP_ENOTFOUND);
    mp_future_free(f);
    mp_pool *none;
    mp_assert_err(mp_pool_new(&none, &(mp_pool_opts){.max_tasks = -1}), MP_EINVAL);
    int r = 0;
    mp_task_opts o = {.ctx = &global_pool};
    mp_pool_free(p);
    mp_assert_ok(mp_pool_new(&global_pool, &(mp_pool_opts){.workers = 1}));
    ck_assert_int_eq(mp_pool_apply(global_pool, apply_in_worker, &x, 8, &r, sizeof r, &o),
                     sizeof r);
    ck_assert_int_eq(r, MP_EOWNER);
    mp_pool_free(global_pool);
}
