// SPDX-License-Identifier: MIT
//
// Executors over processes. What they share with those over threads is tested in
// unit/test_executor.c.
#include "logged.h"
#include "mptest.h"

#include <errno.h>
#include <mp/event.h>
#include <mp/executor.h>
#include <mp/thread.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static mp_executor *new_executor(int workers)
{
    mp_executor *e;
    mp_assert_ok(mp_executor_new_processes(&e, &(mp_executor_opts){.workers = workers}));
    return e;
}

static mp_event *new_event(void)
{
    mp_event *e;
    mp_assert_ok(mp_event_new(&e, NULL));
    return e;
}

static int square(const void *in, void *out, void *ctx)
{
    (void)ctx;
    *(int64_t *)out = (int64_t) * (const int *)in * *(const int *)in;
    return 0;
}

static int wait_for(const void *in, void *out, void *ctx)
{
    (void)in, (void)out;
    return mp_event_wait(ctx, MP_FOREVER);
}

static int set_it(const void *in, void *out, void *ctx)
{
    (void)in, (void)out;
    return mp_event_set(ctx);
}

MP_TEST(submit_and_result)
{
    mp_executor *e = new_executor(3);
    mp_future *f[500];
    ck_assert_int_eq(mp_executor_workers(e), 3);
    for (int i = 0; i < 500; i++)
        mp_assert_ok(mp_executor_submit(e, &f[i], square, &i, sizeof i, sizeof(int64_t), NULL));
    for (int i = 0; i < 500; i++) {
        int64_t result;
        ck_assert_int_eq(mp_future_result(f[i], &result, sizeof result, MP_FOREVER), 8);
        ck_assert_int_eq(result, (int64_t)i * i);
        mp_future_free(f[i]);
    }
    mp_executor_free(e);
}

static int whose_pid(const void *in, void *out, void *ctx)
{
    (void)ctx;
    *(pid_t *)out = getpid();
    return in ? *(const int *)in : 0;
}

MP_TEST(tasks_run_in_other_processes)
{
    mp_executor *e;
    mp_future *f;
    pid_t pid, again;
    mp_assert_ok(mp_executor_new_processes(&e, &(mp_executor_opts){.workers = 1, .max_tasks = 1}));
    mp_assert_ok(mp_executor_submit(e, &f, whose_pid, NULL, 0, sizeof pid, NULL));
    mp_assert_ok(mp_future_result(f, &pid, sizeof pid, MP_FOREVER));
    mp_future_free(f);
    ck_assert_int_ne(pid, getpid());
    mp_assert_ok(mp_executor_submit(e, &f, whose_pid, NULL, 0, sizeof pid, NULL));
    mp_assert_ok(mp_future_result(f, &again, sizeof again, MP_FOREVER));
    mp_future_free(f);
    ck_assert_int_ne(again, pid); // a worker a task
    mp_executor_free(e);
}

// Items and results that fit into a task's own room, and that do not.
static int reverse(const void *in, void *out, void *ctx)
{
    size_t n = *(const size_t *)ctx;
    for (size_t i = 0; i < n; i++)
        ((char *)out)[i] = ((const char *)in)[n - 1 - i];
    return 0;
}

MP_TEST(items_and_results_of_all_sizes)
{
    static size_t sizes[] = {1, 63, 1000, 1024, 1025, 100000, 5000000};
    mp_executor *e = new_executor(2);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t n = sizes[s], size;
        char *in = malloc(n), *want = malloc(n);
        mp_future *f;
        for (size_t i = 0; i < n; i++)
            in[i] = (char)(i * 7);
        mp_assert_ok(mp_executor_submit(e, &f, reverse, in, n, n, &sizes[s]));
        mp_assert_ok(mp_future_error(f, MP_FOREVER));
        const char *out = mp_future_data(f, &size);
        ck_assert_uint_eq(size, n);
        reverse(in, want, &n);
        ck_assert(memcmp(out, want, n) == 0);
        mp_future_free(f);
        free(in);
        free(want);
    }
    mp_executor_free(e);
}

static int fail_if_set(const void *in, void *out, void *ctx)
{
    (void)out, (void)ctx;
    int n = *(const int *)in;
    return n > 1 ? mp_thread_fail(n, "item %d is bad", n) : n;
}

MP_TEST(failures_with_status_and_text)
{
    mp_executor *e = new_executor(1);
    mp_future *f[3];
    for (int i = 0; i < 3; i++) {
        int n = 2 - i;
        mp_assert_ok(mp_executor_submit(e, &f[i], fail_if_set, &n, sizeof n, 0, NULL));
    }
    mp_assert_err(mp_future_error(f[0], MP_FOREVER), MP_ETASK);
    ck_assert_int_eq(mp_future_status(f[0]), 2);
    ck_assert_str_eq(mp_future_error_text(f[0]), "item 2 is bad");
    mp_assert_err(mp_future_error(f[1], MP_FOREVER), MP_ETASK);
    ck_assert_str_eq(mp_future_error_text(f[1]), "the task returned 1"); // not of the other
    mp_assert_ok(mp_future_error(f[2], MP_FOREVER));
    for (int i = 0; i < 3; i++)
        mp_future_free(f[i]);
    mp_executor_free(e);
}

MP_TEST(failures_nobody_can_look_at_are_logged)
{
    mp_executor *e = new_executor(1);
    int n = 7;
    open_log();
    mp_assert_ok(mp_executor_submit(e, NULL, fail_if_set, &n, sizeof n, 0, NULL));
    mp_executor_free(e);
    check_log("nobody looked at it: item 7 is bad");
}

// (The leak sanitizer makes an exit code of its own of the last thread's end.)
enum death { BY_KILL, BY_EXIT, BY_ABORT, BY_THREAD_EXIT, DEATHS = BY_THREAD_EXIT + !MPTEST_ASAN };

static int die(const void *in, void *out, void *ctx)
{
    (void)out, (void)ctx;
    switch (*(const enum death *)in) {
    case BY_KILL:
        raise(SIGKILL);
        break;
    case BY_EXIT:
        exit(5);
    case BY_ABORT:
        abort();
    default:
        pthread_exit(NULL);
    }
    return 0;
}

MP_TEST(a_death_costs_its_task_only)
{
    mp_executor *e = new_executor(2);
    mp_future *dead[DEATHS], *alive[DEATHS];
    int64_t result;
    for (int i = 0; i < DEATHS; i++) {
        mp_assert_ok(mp_executor_submit(e, &dead[i], die, &i, sizeof i, 0, NULL));
        mp_assert_ok(mp_executor_submit(e, &alive[i], square, &i, sizeof i, 8, NULL));
    }
    static const char *const why[] = {"signal 9", "code 5", "signal 6", "exited with code 0"};
    for (int i = 0; i < DEATHS; i++) {
        mp_assert_err(mp_future_error(dead[i], MP_FOREVER), MP_EWORKERDIED);
        const char *text = mp_future_error_text(dead[i]);
        ck_assert_msg(strstr(text, why[i]), "%s", text);
        mp_assert_ok(mp_future_result(alive[i], &result, sizeof result, MP_FOREVER));
        ck_assert_int_eq(result, i * i);
        mp_future_free(dead[i]);
        mp_future_free(alive[i]);
    }
    mp_executor_free(e);
}

MP_TEST(pending_can_be_cancelled_running_cannot)
{
    mp_event *event = new_event();
    mp_executor *e = new_executor(1);
    mp_future *f[2];
    mp_assert_ok(mp_executor_submit(e, &f[0], wait_for, NULL, 0, 0, event));
    mp_assert_ok(mp_executor_submit(e, &f[1], set_it, NULL, 0, 0, event));
    ck_assert(mptest_eventually(mp_future_running(f[0]), 10000));
    mp_assert_err(mp_future_cancel(f[0]), MP_ESTATE);
    mp_assert_ok(mp_future_cancel(f[1]));
    mp_assert_ok(mp_event_set(event));
    mp_assert_ok(mp_future_error(f[0], MP_FOREVER));
    mp_assert_err(mp_future_error(f[1], MP_FOREVER), MP_ECANCELED);
    for (int i = 0; i < 2; i++)
        mp_future_free(f[i]);
    mp_executor_free(e);
    mp_event_free(event);
}

MP_TEST(drain_runs_what_was_submitted_drop_cancels_it)
{
    for (int how = MP_DRAIN; how <= MP_DROP; how++) {
        mp_event *event = new_event();
        mp_executor *e = new_executor(1);
        mp_future *f[3], *late;
        for (int i = 0; i < 3; i++)
            mp_assert_ok(mp_executor_submit(e, &f[i], wait_for, NULL, 0, 0, event));
        ck_assert(mptest_eventually(mp_future_running(f[0]), 10000));
        mp_assert_err(mp_executor_join(e, MP_FOREVER), MP_ESTATE);
        mp_assert_ok(mp_executor_shutdown(e, (mp_shutdown)how));
        mp_assert_ok(mp_executor_shutdown(e, (mp_shutdown)how));
        mp_assert_err(mp_executor_submit(e, &late, wait_for, NULL, 0, 0, event), MP_ECLOSED);
        ck_assert_ptr_null(late);
        mp_assert_err(mp_executor_join(e, 1), MP_ETIMEDOUT);
        for (int i = 1; i < 3; i++)
            ck_assert(mp_future_cancelled(f[i]) == (how == MP_DROP));
        mp_assert_ok(mp_event_set(event));
        mp_assert_ok(mp_executor_join(e, MP_FOREVER));
        mp_assert_ok(mp_executor_join(e, MP_FOREVER));
        mp_assert_ok(mp_future_error(f[0], 0));
        for (int i = 1; i < 3; i++)
            ck_assert_int_eq(mp_future_error(f[i], 0), how == MP_DRAIN ? 0 : MP_ECANCELED);
        mp_executor_free(e);
        for (int i = 0; i < 3; i++)
            mp_future_free(f[i]);
        mp_event_free(event);
    }
}

MP_TEST(free_finishes_what_was_submitted)
{
    mp_event *event = new_event();
    mp_executor *e = new_executor(2);
    mp_assert_ok(mp_executor_submit(e, NULL, set_it, NULL, 0, 0, event));
    mp_executor_free(e);
    ck_assert(mp_event_is_set(event));
    mp_executor_free(new_executor(4)); // that never ran anything
    mp_event_free(event);
}

MP_TEST(workers_can_be_ended)
{
    for (int kill_them = 0; kill_them < 2; kill_them++) {
        mp_event *never = new_event();
        mp_executor *e = new_executor(2);
        mp_future *f[4];
        for (int i = 0; i < 4; i++)
            mp_assert_ok(mp_executor_submit(e, &f[i], wait_for, NULL, 0, 0, never));
        ck_assert(mptest_eventually(mp_future_running(f[0]) && mp_future_running(f[1]), 10000));
        mp_assert_ok(kill_them ? mp_executor_kill_workers(e) : mp_executor_terminate_workers(e));
        mp_assert_ok(mp_executor_join(e, MP_FOREVER));
        for (int i = 0; i < 4; i++) {
            mp_assert_err(mp_future_error(f[i], 0), i < 2 ? MP_EWORKERDIED : MP_ECANCELED);
            if (i < 2)
                ck_assert(strstr(mp_future_error_text(f[i]), kill_them ? "signal 9" : "signal 15"));
            mp_future_free(f[i]);
        }
        mp_executor_free(e);
        mp_event_free(never);
    }
}

// ---- map ----

MP_TEST(map_in_order_with_a_timeout_and_without)
{
    enum { N = 1000 };
    static int in[N], status[N];
    static int64_t out[N];
    static const mp_executor_map_opts opts[] = {
        {.status = status}, {.chunk = 1, .status = status}, {.chunk = 7, .buffer = 2}};
    mp_executor *e = new_executor(3);
    for (int i = 0; i < N; i++)
        in[i] = i;
    for (size_t o = 0; o < sizeof opts / sizeof *opts; o++) {
        for (int ms = MP_FOREVER; ms < 60001; ms += 60001) {
            memset(out, 0xff, sizeof out);
            memset(status, 0xff, sizeof status);
            mp_assert_ok(mp_executor_map(e, square, in, sizeof *in, out, sizeof *out, N, NULL,
                                         &opts[o], ms));
            for (int i = 0; i < N; i++)
                ck_assert_int_eq(out[i], (int64_t)i * i);
            for (int i = 0; opts[o].status && i < N; i++)
                ck_assert_int_eq(status[i], 0);
        }
    }
    mp_executor_free(e);
}

static int die_at_seven(const void *in, void *out, void *ctx)
{
    if (*(const int *)in == 7)
        raise(SIGKILL);
    return square(in, out, ctx);
}

MP_TEST(a_death_in_a_map)
{
    int in[20], status[20];
    int64_t out[20];
    mp_executor *e = new_executor(2);
    for (int i = 0; i < 20; i++)
        in[i] = i;
    for (int ms = MP_FOREVER; ms < 60001; ms += 60001) {
        mp_executor_map_opts opts = {.chunk = 1, .status = status};
        mp_assert_err(
            mp_executor_map(e, die_at_seven, in, sizeof *in, out, sizeof *out, 20, NULL, &opts, ms),
            MP_EWORKERDIED);
        for (int i = 0; i < 20; i++) {
            ck_assert_int_eq(status[i], i == 7 ? MP_EWORKERDIED : 0);
            ck_assert(i == 7 || out[i] == i * i);
        }
    }
    mp_executor_free(e);
}

MP_TEST(a_map_that_takes_too_long)
{
    int in[4] = {0}, status[4];
    mp_event *event = new_event();
    mp_executor *e = new_executor(1);
    mp_executor_map_opts opts = {.chunk = 1, .status = status};
    mp_assert_err(mp_executor_map(e, wait_for, in, sizeof *in, NULL, 0, 4, event, &opts, 50),
                  MP_ETIMEDOUT);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(status[i], MP_ECANCELED);
    mp_assert_ok(mp_event_set(event));
    mp_executor_free(e);
    mp_event_free(event);
}

// ---- what can go wrong ----

static int initialized;

static int initialize(void *arg)
{
    initialized = (int)(intptr_t)arg;
    return 0;
}

static int say_initialized(const void *in, void *out, void *ctx)
{
    (void)in, (void)ctx;
    *(int *)out = initialized;
    return 0;
}

static int fail_to_initialize(void *arg)
{
    (void)arg;
    return 9;
}

MP_TEST(each_worker_is_initialized_or_the_executor_broken)
{
    mp_executor *e;
    mp_future *f;
    int n;
    mp_executor_opts good = {
        .workers = 2, .initializer = initialize, .initializer_arg = (void *)42};
    mp_assert_ok(mp_executor_new_processes(&e, &good));
    mp_assert_ok(mp_executor_submit(e, &f, say_initialized, NULL, 0, sizeof n, NULL));
    mp_assert_ok(mp_future_result(f, &n, sizeof n, MP_FOREVER));
    ck_assert_int_eq(n, 42);
    mp_future_free(f);
    mp_executor_free(e);

    mp_executor_opts bad = {.workers = 2, .initializer = fail_to_initialize};
    mp_assert_ok(mp_executor_new_processes(&e, &bad));
    int r = mp_executor_submit(e, &f, say_initialized, NULL, 0, sizeof n, NULL);
    if (r == 0)
        mp_assert_err(mp_future_error(f, MP_FOREVER), MP_EBROKEN);
    else
        mp_assert_err(r, MP_EBROKEN);
    mp_future_free(f);
    mp_executor_free(e);
}

static int use_in_child(void *arg)
{
    mp_executor *e = arg;
    mp_future *f;
    int x = 1;
    mptest_require(mp_executor_submit(e, &f, square, &x, sizeof x, 8, NULL) == MP_EOWNER);
    mptest_require(mp_executor_map(e, square, &x, sizeof x, NULL, 0, 1, NULL, NULL, MP_FOREVER) ==
                   MP_EOWNER);
    mptest_require(mp_executor_shutdown(e, MP_DRAIN) == MP_EOWNER);
    mptest_require(mp_executor_join(e, 0) == MP_EOWNER);
    mptest_require(mp_executor_kill_workers(e) == MP_EOWNER);
    mp_executor_free(e);
    return 0;
}

MP_TEST(in_a_forked_child_it_is_the_parents)
{
    mp_executor *e = new_executor(1);
    mp_future *f;
    int x = 3;
    int64_t result;
    ck_assert_int_eq(mptest_in_child(use_in_child, e), 0);
    mp_assert_ok(mp_executor_submit(e, &f, square, &x, sizeof x, sizeof result, NULL));
    mp_assert_ok(mp_future_result(f, &result, sizeof result, MP_FOREVER));
    ck_assert_int_eq(result, 9);
    mp_future_free(f);
    mp_executor_free(e);
}

static int fork_and_return(const void *in, void *out, void *ctx)
{
    (void)in, (void)ctx;
    *(int *)out = 1;
    return fork() < 0;
}

MP_TEST(a_task_that_forks_and_returns_twice)
{
    mp_executor *e = new_executor(1);
    mp_future *f;
    for (int i = 0; i < 10; i++) {
        mp_assert_ok(mp_executor_submit(e, &f, fork_and_return, NULL, 0, sizeof(int), NULL));
        mp_assert_ok(mp_future_error(f, MP_FOREVER));
        mp_future_free(f);
    }
    mp_executor_free(e);
}

MP_TEST(nonsense)
{
    mp_executor *e;
    mp_future *f;
    int x = 1;
    mp_assert_err(mp_executor_new_processes(NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_executor_new_processes(&e, &(mp_executor_opts){.workers = -1}), MP_EINVAL);
    mp_assert_err(mp_executor_new_processes(&e, &(mp_executor_opts){.workers = 1025}), MP_EINVAL);
    mp_assert_err(mp_executor_new_processes(&e, &(mp_executor_opts){.max_tasks = -1}), MP_EINVAL);
    ck_assert_ptr_null(e);
    e = new_executor(1);
    mp_assert_err(mp_executor_submit(e, &f, NULL, NULL, 0, 0, NULL), MP_EINVAL);
    mp_assert_err(mp_executor_submit(e, &f, square, NULL, 4, 8, NULL), MP_EINVAL);
    mp_assert_err(mp_executor_submit(e, &f, square, &x, SIZE_MAX, 8, NULL), MP_EOVERFLOW);
    mp_assert_err(mp_executor_submit(e, &f, square, &x, 4, SIZE_MAX, NULL), MP_EOVERFLOW);
    mp_assert_err(mp_executor_submit(e, &f, (mp_item_fn *)(uintptr_t)&x, &x, 4, 8, NULL),
                  MP_ENOFUNC);
    ck_assert_ptr_null(f);
    mp_assert_err(mp_executor_join(e, -2), MP_EINVAL);
    mp_assert_err(mp_executor_shutdown(e, (mp_shutdown)7), MP_EINVAL);
    mp_executor_free(e);
}
