// SPDX-License-Identifier: MIT
//
// Tasks of the loop that have work done elsewhere: on threads, and in worker processes.
#include "mptest.h"

#include <mp/coro.h>
#include <mp/executor.h>
#include <mp/loop.h>
#include <mp/pool.h>
#include <mp/task.h>

enum { TASKS = 50 };
#define LONG_MS 15000

// The first loop of a process opens a pipe for signals that stays: before the tests count.
__attribute__((constructor)) static void open_signal_pipe(void)
{
    mp_loop *loop;
    if (mp_loop_new(&loop) == 0)
        mp_loop_free(loop);
}

static mp_executor *executor;
static mp_pool *pool;
static int number[TASKS];
static mp_future *futures[TASKS];

static int square(const void *in, void *out, void *ctx)
{
    (void)ctx;
    *(int *)out = *(const int *)in * *(const int *)in;
    return 0;
}

static int square_in_worker(mp_task *task, const void *arg, size_t size, void *ctx)
{
    int r;
    ck_assert_uint_eq(size, sizeof(int));
    square(arg, &r, ctx);
    return mp_task_result(task, &r, sizeof r);
}

static int one(void *arg)
{
    mp_future *f;
    int x = *(int *)arg, y = -1;
    if (executor)
        mp_assert_ok(mp_executor_submit(executor, &f, square, &x, sizeof x, sizeof y, NULL));
    else
        mp_assert_ok(mp_pool_apply_async(&f, pool, square_in_worker, &x, sizeof x, NULL));
    mp_assert_ok(mp_await_future(f, LONG_MS));
    mp_assert_err(mp_future_result(f, &y, sizeof y, 0), sizeof y);
    mp_future_free(f);
    return y;
}

static int all(void *arg)
{
    mp_coro *t[TASKS];
    (void)arg;
    for (int i = 0; i < TASKS; i++) {
        number[i] = i;
        mp_assert_ok(mp_coro_start(&t[i], NULL, one, &number[i], NULL));
    }
    mp_assert_ok(mp_coro_gather(t, TASKS));
    for (int i = 0; i < TASKS; i++) {
        mp_assert_err(mp_coro_result(t[i], NULL), i * i);
        mp_coro_free(t[i]);
    }
    return 0;
}

// ---- without tasks ----

static int called;

static void squared(mp_coro *promise, void *arg)
{
    int *n = arg, y;
    mp_future *f = futures[n - number];
    mp_assert_ok(mp_coro_result(promise, NULL));
    mp_assert_err(mp_future_result(f, &y, sizeof y, 0), sizeof y);
    ck_assert_int_eq(y, *n * *n);
    mp_future_free(f);
    mp_coro_free(promise);
    called++;
}

// Submits all, and runs the loop until each future has called back.
static void call_back(void)
{
    mp_loop *loop;
    mp_coro *promise;
    mp_assert_ok(mp_loop_new(&loop));
    for (int i = 0; i < TASKS; i++) {
        number[i] = i;
        mp_assert_ok(mp_executor_submit(executor, &futures[i], square, &number[i], sizeof(int),
                                        sizeof(int), NULL));
        mp_assert_ok(mp_coro_wrap_future(&promise, loop, futures[i]));
        mp_assert_ok(mp_coro_on_done(promise, squared, &number[i]));
    }
    mp_assert_ok(mp_loop_run(loop));
    ck_assert_int_eq(called, TASKS);
    mp_loop_free(loop);
}

MP_TEST(callbacks_on_threads)
{
    mp_assert_ok(mp_executor_new_threads(&executor, &(mp_executor_opts){.workers = 3}));
    call_back();
    mp_executor_free(executor);
}

MP_TEST(callbacks_on_processes)
{
    mp_assert_ok(mp_executor_new_processes(&executor, &(mp_executor_opts){.workers = 2}));
    call_back();
    mp_executor_free(executor);
}

// ---- in tasks ----

MP_TEST(on_threads)
{
    mp_assert_ok(mp_executor_new_threads(&executor, &(mp_executor_opts){.workers = 3}));
    mp_assert_ok(mp_coro_run(all, NULL, 0));
    mp_executor_free(executor);
}

MP_TEST(on_processes)
{
    mp_assert_ok(mp_executor_new_processes(&executor, &(mp_executor_opts){.workers = 2}));
    mp_assert_ok(mp_coro_run(all, NULL, 0));
    mp_executor_free(executor);
}

MP_TEST(in_a_pool)
{
    mp_assert_ok(mp_pool_new(&pool, &(mp_pool_opts){.workers = 2}));
    mp_assert_ok(mp_coro_run(all, NULL, 0));
    mp_assert_ok(mp_pool_close(pool));
    mp_assert_ok(mp_pool_join(pool, LONG_MS));
    mp_pool_free(pool);
}
