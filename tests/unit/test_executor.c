// SPDX-License-Identifier: MIT
#include "logged.h"
#include "mptest.h"

#include <errno.h>
#include <mp/event.h>
#include <mp/executor.h>
#include <mp/thread.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static mp_executor *new_executor(int workers)
{
    mp_executor *e;
    mp_assert_ok(mp_executor_new_threads(&e, &(mp_executor_opts){.workers = workers}));
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

static mp_event *new_event(void)
{
    mp_event *e;
    mp_assert_ok(mp_event_new(&e, NULL));
    return e;
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

static int same_pointer(const void *in, void *out, void *ctx)
{
    *(const void **)out = in;
    return ctx == in ? 0 : 1;
}

MP_TEST(pointers_are_passed_on)
{
    mp_executor *e = new_executor(1);
    mp_future *f;
    const void *back;
    mp_assert_ok(mp_executor_submit(e, &f, same_pointer, &e, 0, sizeof back, &e));
    ck_assert_int_eq(mp_future_result(f, &back, sizeof back, MP_FOREVER), sizeof back);
    ck_assert_ptr_eq(back, &e);
    mp_future_free(f);
    mp_assert_ok(mp_executor_submit(e, &f, same_pointer, NULL, 0, sizeof back, NULL));
    mp_assert_ok(mp_future_error(f, MP_FOREVER));
    mp_future_free(f);
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

MP_TEST(tasks_run_side_by_side)
{
    mp_executor *e = new_executor(2);
    mp_event *event = new_event();
    mp_future *f[2];
    mp_assert_ok(mp_executor_submit(e, &f[0], wait_for, NULL, 0, 0, event));
    mp_assert_ok(mp_executor_submit(e, &f[1], set_it, NULL, 0, 0, event));
    ck_assert_int_eq(mp_futures_wait(f, 2, MP_ALL_DONE, MP_FOREVER), 2);
    for (int i = 0; i < 2; i++)
        mp_future_free(f[i]);
    mp_executor_free(e);
    mp_event_free(event);
}

MP_TEST(pending_can_be_cancelled_running_cannot)
{
    mp_executor *e = new_executor(1);
    mp_event *event = new_event();
    mp_future *f[2];
    mp_assert_ok(mp_executor_submit(e, &f[0], wait_for, NULL, 0, 0, event));
    mp_assert_ok(mp_executor_submit(e, &f[1], set_it, NULL, 0, 0, event));
    ck_assert(mptest_eventually(mp_future_running(f[0]), 10000));
    mp_assert_err(mp_future_cancel(f[0]), MP_ESTATE);
    mp_assert_ok(mp_future_cancel(f[1]));
    mp_assert_ok(mp_event_set(event));
    mp_assert_ok(mp_future_error(f[0], MP_FOREVER));
    mp_assert_err(mp_future_cancel(f[0]), MP_ESTATE); // finished
    mp_assert_err(mp_future_error(f[1], MP_FOREVER), MP_ECANCELED);
    for (int i = 0; i < 2; i++)
        mp_future_free(f[i]);
    mp_executor_free(e);
    mp_event_free(event);
}

// ---- the end ----

MP_TEST(drain_runs_what_was_submitted_drop_cancels_it)
{
    for (int how = MP_DRAIN; how <= MP_DROP; how++) {
        mp_executor *e = new_executor(1);
        mp_event *event = new_event();
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
        mp_assert_ok(mp_event_set(event));
        mp_assert_ok(mp_executor_join(e, MP_FOREVER));
        mp_assert_ok(mp_executor_join(e, MP_FOREVER));
        int want = how == MP_DRAIN ? 0 : MP_ECANCELED;
        mp_assert_ok(mp_future_error(f[0], 0));
        for (int i = 1; i < 3; i++)
            ck_assert_int_eq(mp_future_error(f[i], 0), want);
        mp_executor_free(e);
        for (int i = 0; i < 3; i++)
            mp_future_free(f[i]);
        mp_event_free(event);
    }
}

static int count_up(const void *in, void *out, void *ctx)
{
    (void)in, (void)out;
    ++*(atomic_int *)ctx;
    return 0;
}

MP_TEST(free_finishes_what_was_submitted)
{
    atomic_int count = 0;
    mp_executor *e = new_executor(2);
    for (int i = 0; i < 1000; i++)
        mp_assert_ok(mp_executor_submit(e, NULL, count_up, NULL, 0, 0, &count));
    mp_executor_free(e);
    ck_assert_int_eq(count, 1000);
    mp_executor_free(new_executor(4)); // that never ran anything
}

// ---- map ----

MP_TEST(map_in_order_whatever_the_chunks)
{
    enum { N = 1000 };
    static int in[N];
    static int64_t out[N];
    mp_executor *e = new_executor(3);
    for (int i = 0; i < N; i++)
        in[i] = i;
    for (int copies = 0; copies < 2; copies++)
        for (size_t chunk = 0; chunk <= 2 * N; chunk = chunk ? chunk * 7 : 1)
            for (size_t buffer = 0; buffer < 3; buffer++) {
                memset(out, 0xff, sizeof out);
                mp_executor_map_opts opts = {.chunk = chunk, .buffer = buffer};
                mp_assert_ok(mp_executor_map(e, square, in, sizeof *in, out, sizeof *out, N, NULL,
                                             &opts, copies ? 60000 : MP_FOREVER));
                for (int i = 0; i < N; i++)
                    ck_assert_int_eq(out[i], (int64_t)i * i);
            }
    mp_assert_ok(mp_executor_map(e, square, in, 4, out, 8, 0, NULL, NULL, MP_FOREVER));
    mp_executor_free(e);
}

MP_TEST(map_tells_which_failed)
{
    int in[] = {0, 1, 0, 5, 0, 0}, status[6];
    mp_executor *e = new_executor(2);
    for (int timeout = -1; timeout < 60000; timeout += 30000) {
        mp_executor_map_opts opts = {.status = status, .chunk = 2};
        mp_assert_err(
            mp_executor_map(e, fail_if_set, in, sizeof *in, NULL, 0, 6, NULL, &opts, timeout),
            MP_ETASK);
        ck_assert_mem_eq(status, in, sizeof in);
    }
    mp_executor_free(e);
}

static int wait_if_two(const void *in, void *out, void *ctx)
{
    *(int *)out = *(const int *)in;
    return *(const int *)in == 2 ? mp_event_wait(ctx, MP_FOREVER) : 0;
}

MP_TEST(map_gives_up_and_what_runs_hurts_nobody)
{
    mp_event *event = new_event();
    mp_executor *e = new_executor(1);
    int *in = malloc(5 * sizeof *in), *out = malloc(5 * sizeof *out), status[5];
    for (int i = 0; i < 5; i++)
        in[i] = i;
    mp_executor_map_opts opts = {.chunk = 1, .status = status};
    mp_assert_err(
        mp_executor_map(e, wait_if_two, in, sizeof *in, out, sizeof *out, 5, event, &opts, 200),
        MP_ETIMEDOUT);
    ck_assert(status[0] == 0 && status[1] == 0 && out[0] == 0 && out[1] == 1);
    for (int i = 2; i < 5; i++)
        ck_assert_int_eq(status[i], MP_ECANCELED);
    free(in);
    free(out);
    mp_assert_ok(mp_event_set(event)); // the task goes on, with copies
    mp_executor_free(e);
    mp_event_free(event);
}

// ---- initializers, broken workers ----

static _Thread_local int prepared;

static int prepare(void *arg)
{
    prepared = *(int *)arg;
    return 0;
}

static int is_prepared(const void *in, void *out, void *ctx)
{
    (void)in, (void)out, (void)ctx;
    return prepared == 42 ? 0 : 1;
}

MP_TEST(initializer_runs_first_in_each_worker)
{
    int value = 42;
    mp_executor *e;
    mp_assert_ok(mp_executor_new_threads(
        &e, &(mp_executor_opts){.workers = 3, .initializer = prepare, .initializer_arg = &value}));
    mp_assert_ok(mp_executor_map(e, is_prepared, NULL, 0, NULL, 0, 100, NULL, NULL, MP_FOREVER));
    mp_executor_free(e);
}

static int cannot(void *submitted)
{
    mp_assert_ok(mp_event_wait(submitted, MP_FOREVER));
    return mp_thread_fail(9, "no licence");
}

MP_TEST(initializer_that_fails_breaks_the_executor)
{
    mp_event *submitted = new_event();
    mp_executor *e;
    mp_future *f;
    mp_executor_opts opts = {.initializer = cannot, .initializer_arg = submitted};
    mp_assert_ok(mp_executor_new_threads(&e, &opts));
    mp_assert_ok(mp_executor_submit(e, &f, is_prepared, NULL, 0, 0, NULL));
    mp_assert_ok(mp_event_set(submitted));
    mp_assert_err(mp_future_error(f, MP_FOREVER), MP_EBROKEN);
    ck_assert(strstr(mp_future_error_text(f), "no licence"));
    mp_future_free(f);
    mp_assert_err(mp_executor_submit(e, &f, is_prepared, NULL, 0, 0, NULL), MP_EBROKEN);
    ck_assert_ptr_null(f);
    mp_executor_free(e);
    mp_event_free(submitted);
}

static int exit_thread(const void *in, void *out, void *ctx)
{
    (void)in, (void)out;
    pthread_exit(ctx);
}

static void quiet(mp_thread *t, int result, const char *text)
{
    (void)t, (void)result, (void)text;
}

MP_TEST(one_broken_worker_breaks_one_task)
{
    mp_executor *e = new_executor(1);
    mp_future *f[6];
    int n = 3;
    mp_thread_set_hook(quiet);
    for (int i = 0; i < 6; i++)
        mp_assert_ok(i % 3 == 1 ? mp_executor_submit(e, &f[i], exit_thread, NULL, 0, 0, NULL)
                                : mp_executor_submit(e, &f[i], square, &n, 4, 8, NULL));
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(mp_future_error(f[i], MP_FOREVER), i % 3 == 1 ? MP_EWORKERDIED : 0);
        mp_future_free(f[i]);
    }
    mp_executor_free(e);
}

// ---- bad use ----

struct context {
    mp_executor *e;
    int result;
};

static int join_self(const void *in, void *out, void *ctx)
{
    struct context *c = ctx;
    (void)in, (void)out;
    mp_assert_ok(mp_executor_shutdown(c->e, MP_DRAIN));
    c->result = mp_executor_join(c->e, MP_FOREVER);
    return 0;
}

MP_TEST(a_task_cannot_join_its_executor)
{
    struct context c = {.e = new_executor(1)};
    mp_assert_ok(mp_executor_submit(c.e, NULL, join_self, NULL, 0, 0, &c));
    while (mp_executor_join(c.e, MP_FOREVER) == MP_ESTATE) // not shut down yet
        usleep(1000);
    ck_assert_int_eq(c.result, MP_ESTATE);
    mp_executor_free(c.e);
}

static int failing_callback(mp_future *f, void *arg)
{
    ++*(atomic_int *)arg;
    return mp_future_error(f, 0) ? 1 : MP_EPIPE;
}

MP_TEST(callbacks_that_fail_do_no_harm)
{
    mp_executor *e = new_executor(1);
    mp_event *event = new_event();
    mp_future *f[2];
    atomic_int called = 0;
    int n = 2;
    mp_assert_ok(mp_executor_submit(e, &f[0], wait_for, NULL, 0, 0, event));
    mp_assert_ok(mp_executor_submit(e, &f[1], fail_if_set, &n, sizeof n, 0, NULL));
    for (int i = 0; i < 2; i++)
        mp_assert_ok(mp_future_add_done_callback(f[i], failing_callback, &called));
    mp_assert_ok(mp_event_set(event));
    for (int i = 0; i < 2; i++) {
        mp_assert_ok(mp_future_wait(f[i], MP_FOREVER));
        mp_future_free(f[i]);
    }
    mp_executor_free(e);
    ck_assert_int_eq(called, 2);
    mp_event_free(event);
}

static int use_in_child(void *arg)
{
    mp_executor *e = arg;
    mp_future *f;
    int n = 1;
    int64_t out;
    mptest_require(mp_executor_submit(e, &f, square, &n, 4, 8, NULL) == MP_EOWNER && !f);
    mptest_require(mp_executor_map(e, square, &n, 4, &out, 8, 1, NULL, NULL, MP_FOREVER) ==
                   MP_EOWNER);
    mptest_require(mp_executor_shutdown(e, MP_DROP) == MP_EOWNER);
    mptest_require(mp_executor_join(e, MP_FOREVER) == MP_EOWNER);
    mptest_require(mp_executor_kill_workers(e) == MP_EOWNER);
    mp_executor_free(e);
    return 0;
}

static int fork_and_return(const void *in, void *out, void *ctx)
{
    (void)in, (void)out, (void)ctx;
    return fork() == 0 ? 33 : 0; // the child must not go on as a worker
}

MP_TEST(not_in_a_forked_child)
{
    mp_executor *e = new_executor(2);
    mp_future *f;
    mp_assert_ok(mp_executor_submit(e, &f, fork_and_return, NULL, 0, 0, NULL));
    mp_assert_ok(mp_future_error(f, MP_FOREVER));
    mp_future_free(f);
    int status;
    ck_assert_int_gt(wait(&status), 0);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 33);
    ck_assert_int_eq(mptest_in_child(use_in_child, e), 0);
    mp_executor_free(e);
}

MP_TEST(nonsense)
{
    mp_executor *e = (void *)&e;
    mp_future *f;
    int n = 0;
    int64_t out;
    mp_assert_err(mp_executor_new_threads(NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_executor_new_threads(&e, &(mp_executor_opts){.workers = -1}), MP_EINVAL);
    ck_assert_ptr_null(e);
    mp_assert_err(mp_executor_new_threads(&e, &(mp_executor_opts){.workers = 1025}), MP_EINVAL);
    mp_assert_ok(mp_executor_new_threads(&e, NULL));
    mp_assert_err(mp_executor_submit(NULL, &f, square, &n, 4, 8, NULL), MP_EINVAL);
    mp_assert_err(mp_executor_submit(e, &f, NULL, &n, 4, 8, NULL), MP_EINVAL);
    mp_assert_err(mp_executor_submit(e, &f, square, NULL, 4, 8, NULL), MP_EINVAL);
    mp_assert_err(mp_executor_submit(e, &f, square, &n, SIZE_MAX, 8, NULL), MP_EOVERFLOW);
    mp_assert_err(mp_executor_submit(e, &f, square, &n, 4, SIZE_MAX, NULL), MP_EOVERFLOW);
    ck_assert_ptr_null(f);
    mp_assert_err(mp_executor_map(NULL, square, &n, 4, &out, 8, 1, NULL, NULL, 0), MP_EINVAL);
    mp_assert_err(mp_executor_map(e, NULL, &n, 4, &out, 8, 1, NULL, NULL, 0), MP_EINVAL);
    mp_assert_err(mp_executor_map(e, square, NULL, 4, &out, 8, 1, NULL, NULL, 0), MP_EINVAL);
    mp_assert_err(mp_executor_map(e, square, &n, 4, NULL, 8, 1, NULL, NULL, 0), MP_EINVAL);
    mp_assert_err(mp_executor_map(e, square, &n, 4, &out, 8, 1, NULL, NULL, -2), MP_EINVAL);
    mp_assert_err(mp_executor_map(e, square, &n, 4, &out, 8, SIZE_MAX, NULL, NULL, 0),
                  MP_EOVERFLOW);
    mp_assert_err(mp_executor_shutdown(NULL, MP_DRAIN), MP_EINVAL);
    mp_assert_err(mp_executor_shutdown(e, (mp_shutdown)7), MP_EINVAL);
    mp_assert_err(mp_executor_join(NULL, 0), MP_EINVAL);
    mp_assert_err(mp_executor_join(e, -2), MP_EINVAL);
    mp_assert_err(mp_executor_workers(NULL), MP_EINVAL);
    mp_assert_err(mp_executor_terminate_workers(NULL), MP_EINVAL);
    mp_assert_err(mp_executor_terminate_workers(e), MP_ENOTSUP);
    mp_assert_err(mp_executor_kill_workers(e), MP_ENOTSUP);
    mp_executor_free(NULL);
    mp_executor_free(e);
}
