// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/async.h>
#include <mp/coro.h>
#include <mp/future.h>
#include <mp/loop.h>
#include <mp/pipe.h>
#include <mp/process.h>
#include <mp/queue.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONG_MS 15000

// The first loop of a process opens a pipe for signals that stays: before the tests count.
__attribute__((constructor)) static void open_signal_pipe(void)
{
    mp_loop *loop;
    if (mp_loop_new(&loop) == 0)
        mp_loop_free(loop);
}

static char notes[200];

static void note(const char *what)
{
    snprintf(notes + strlen(notes), sizeof notes - strlen(notes), "%s ", what);
}

static mp_coro *start(mp_coro_fn *fn, void *arg)
{
    mp_coro *t = NULL;
    mp_assert_ok(mp_coro_start(&t, NULL, fn, arg, NULL));
    return t;
}

static int give(void *arg)
{
    mp_assert_ok(mp_coro_sleep(0));
    return *(int *)arg;
}

// ---- life ----

static int main_result(void *arg)
{
    ck_assert_str_eq(mp_coro_name(mp_coro_current()), "main");
    ck_assert_ptr_nonnull(mp_loop_current());
    return *(int *)arg;
}

MP_TEST(run_returns_the_result)
{
    mp_assert_err(mp_coro_run(main_result, &(int){42}, 0), 42);
    mp_assert_err(mp_coro_run(main_result, &(int){MP_EPIPE}, 0), MP_EPIPE);
    ck_assert_ptr_null(mp_coro_current());
    ck_assert_ptr_null(mp_loop_current());
}

static int alternate(void *arg)
{
    for (int i = 0; i < 3; i++) {
        note(arg);
        mp_assert_ok(mp_coro_sleep(0));
    }
    return 0;
}

static int two_alternate(void *arg)
{
    mp_coro *a = start(alternate, (void *)"a"), *b = start(alternate, (void *)"b");
    (void)arg;
    ck_assert_str_eq(mp_coro_name(b), "Task-3");
    ck_assert(!mp_coro_done(a));
    mp_assert_err(mp_coro_result(a, NULL), MP_ESTATE);
    mp_assert_ok(mp_await(a));
    mp_assert_ok(mp_await(b));
    ck_assert_str_eq(notes, "a b a b a b ");
    mp_assert_err(mp_coro_cancel(a), MP_ESTATE); // of a finished one
    mp_coro_free(a);
    mp_coro_free(b);
    return 0;
}

MP_TEST(tasks_take_turns)
{
    mp_assert_ok(mp_coro_run(two_alternate, NULL, 0));
}

MP_TEST(await_outside_a_task)
{
    mp_loop *loop;
    mp_coro *p;
    mp_async_lock lock = {0};
    mp_timeout scope;
    mp_group *g;
    mp_assert_ok(mp_loop_new(&loop));
    mp_assert_ok(mp_coro_promise(&p, loop));
    mp_assert_err(mp_await(p), MP_ESTATE);
    mp_assert_err(mp_await_for(p, 10), MP_ESTATE);
    mp_assert_err(mp_await_shielded(p), MP_ESTATE);
    mp_assert_err(mp_coro_gather(&p, 1), MP_ESTATE);
    mp_assert_err(mp_coro_wait(&p, 1, MP_CORO_ALL, 0), MP_ESTATE);
    mp_assert_err(mp_coro_sleep(1), MP_ESTATE);
    mp_assert_err(mp_await_fd(0, MP_LOOP_READ, 0), MP_ESTATE);
    mp_assert_err(mp_async_lock_acquire(&lock, 0), MP_ESTATE);
    mp_assert_err(mp_async_lock_release(&lock), MP_ENOTHELD);
    mp_assert_err(mp_timeout_enter(&scope, 10), MP_ESTATE);
    mp_assert_err(mp_timeout_leave(&scope, 7), 7);
    mp_assert_err(mp_group_new(&g), MP_ESTATE);
    mp_assert_err(mp_coro_start(NULL, NULL, give, NULL, NULL), MP_ESTATE);
    mp_coro_free(p);
    mp_loop_free(loop);
}

static int bad_arguments_in_task(void *arg)
{
    (void)arg;
    mp_assert_err(mp_await(NULL), MP_EINVAL);
    mp_assert_err(mp_await(mp_coro_current()), MP_ESTATE);
    mp_assert_err(mp_coro_sleep(-1), MP_EINVAL);
    mp_assert_err(mp_coro_gather(NULL, 1), MP_EINVAL);
    mp_assert_ok(mp_coro_gather(NULL, 0));
    mp_assert_err(mp_coro_start(NULL, NULL, NULL, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_coro_cancel(NULL), MP_EINVAL);
    mp_assert_err(mp_await_fd(-1, MP_LOOP_READ, 10), -EBADF);
    mp_assert_err(mp_await_pipe(NULL, 10), MP_EINVAL);
    mp_assert_err(mp_await_queue(NULL, 10), MP_EINVAL);
    mp_assert_err(mp_async_lock_acquire(NULL, 10), MP_EINVAL);
    mp_assert_err(mp_coro_run(give, NULL, 0), MP_ESTATE);
    mp_assert_err(mp_loop_run(mp_loop_current()), MP_ESTATE);
    mp_assert_err(mp_loop_close(mp_loop_current()), MP_ESTATE);
    mp_coro_free(NULL);
    ck_assert_ptr_null(mp_coro_share(NULL));
    return 0;
}

MP_TEST(bad_arguments)
{
    mp_assert_ok(mp_coro_run(bad_arguments_in_task, NULL, 0));
}

// ---- cancel ----

static int clean_up(void *arg)
{
    (void)arg;
    mp_assert_err(mp_coro_sleep(LONG_MS), MP_ECANCELED);
    mp_assert_ok(mp_coro_sleep(1)); // the clean-up may await
    note("clean");
    return MP_ECANCELED;
}

static int cancel_sleeper(void *arg)
{
    mp_coro *t = start(clean_up, arg);
    mp_assert_ok(mp_coro_sleep(0));
    mp_assert_ok(mp_coro_cancel(t));
    ck_assert_str_eq(notes, "");
    mp_assert_err(mp_await(t), MP_ECANCELED);
    ck_assert_str_eq(notes, "clean ");
    mp_coro_free(t);
    return 0;
}

MP_TEST(cancel_runs_the_clean_up)
{
    mp_assert_ok(mp_coro_run(cancel_sleeper, NULL, 0));
}

static int free_argument(void *arg)
{
    int r = mp_coro_sleep(LONG_MS);
    free(arg);
    return r;
}

static int cancel_before_begin(void *arg)
{
    (void)arg;
    mp_coro *t = start(free_argument, malloc(10));
    mp_assert_ok(mp_coro_cancel(t));
    mp_assert_err(mp_await(t), MP_ECANCELED);
    mp_coro_free(t);
    return 0;
}

MP_TEST(cancelled_before_it_began_it_begins)
{
    mp_assert_ok(mp_coro_run(cancel_before_begin, NULL, 0));
}

static int await_it(void *arg)
{
    int r = mp_await(arg);
    note("outer");
    return r;
}

static int cancel_chain(void *arg)
{
    mp_coro *inner = start(clean_up, arg), *outer = start(await_it, inner);
    mp_assert_ok(mp_coro_sleep(1));
    mp_assert_ok(mp_coro_cancel(outer));
    mp_assert_err(mp_await(outer), MP_ECANCELED);
    ck_assert_str_eq(notes, "clean outer "); // below first
    ck_assert(mp_coro_done(inner));
    mp_coro_free(inner);
    mp_coro_free(outer);
    return 0;
}

MP_TEST(cancel_reaches_what_is_awaited)
{
    mp_assert_ok(mp_coro_run(cancel_chain, NULL, 0));
}

static mp_coro *circle[2];

static int await_the_other(void *arg)
{
    return mp_await(circle[1 - *(int *)arg]);
}

static int make_circle(void *arg)
{
    (void)arg;
    circle[0] = start(await_the_other, &(int){0});
    circle[1] = start(await_the_other, &(int){1});
    mp_assert_ok(mp_coro_sleep(1));
    mp_assert_ok(mp_coro_cancel(circle[0]));
    mp_assert_err(mp_await(circle[0]), MP_ECANCELED);
    mp_assert_err(mp_await(circle[1]), MP_ECANCELED);
    mp_coro_free(circle[0]);
    mp_coro_free(circle[1]);
    return 0;
}

MP_TEST(a_circle_can_be_cancelled)
{
    mp_assert_ok(mp_coro_run(make_circle, NULL, 0));
}

static int await_shielded(void *arg)
{
    return mp_await_shielded(arg);
}

static int shield(void *arg)
{
    (void)arg;
    int seven = 7;
    mp_coro *inner = start(give, &seven), *outer = start(await_shielded, inner);
    mp_assert_ok(mp_coro_sleep(0));
    mp_assert_ok(mp_coro_cancel(outer));
    mp_assert_err(mp_await(outer), MP_ECANCELED);
    mp_assert_err(mp_await(inner), 7);
    mp_coro_free(inner);
    mp_coro_free(outer);
    return 0;
}

MP_TEST(shield_keeps_a_cancel_away)
{
    mp_assert_ok(mp_coro_run(shield, NULL, 0));
}

static int end_wrongly(void *arg)
{
    clean_up(arg);
    return MP_ESTATE;
}

static int leave_one_behind(void *arg)
{
    mp_coro_free(start(clean_up, arg));
    mp_coro_free(start(end_wrongly, arg));
    return mp_coro_sleep(0);
}

MP_TEST(run_cancels_what_is_left)
{
    mp_assert_ok(mp_coro_run(leave_one_behind, NULL, 0));
    ck_assert_str_eq(notes, "clean clean ");
}

// ---- several ----

static int fail_soon(void *arg)
{
    mp_assert_ok(mp_coro_sleep(1));
    return *(int *)arg;
}

static int gather(void *arg)
{
    (void)arg;
    int v[3] = {1, 2, 3}, bad = MP_EPIPE;
    mp_coro *t[4];
    for (int i = 0; i < 3; i++)
        t[i] = start(give, &v[i]);
    mp_assert_ok(mp_coro_gather(t, 3));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(mp_coro_result(t[i], NULL), v[i]);
    t[3] = start(fail_soon, &bad);
    mp_assert_err(mp_coro_gather(t, 4), MP_EPIPE);
    for (int i = 0; i < 4; i++)
        mp_coro_free(t[i]);
    return 0;
}

MP_TEST(gather_waits_for_all_or_an_error)
{
    mp_assert_ok(mp_coro_run(gather, NULL, 0));
}

static int gather_list(void *arg)
{
    return mp_coro_gather(arg, 2);
}

static int cancel_gather(void *arg)
{
    mp_coro *t[2] = {start(clean_up, arg), start(clean_up, arg)};
    mp_coro *g = start(gather_list, t);
    mp_assert_ok(mp_coro_sleep(1));
    mp_assert_ok(mp_coro_cancel(g));
    mp_assert_err(mp_await(g), MP_ECANCELED);
    ck_assert_str_eq(notes, "clean clean ");
    mp_coro_free(t[0]);
    mp_coro_free(t[1]);
    mp_coro_free(g);
    return 0;
}

MP_TEST(cancelled_gather_cancels_all)
{
    mp_assert_ok(mp_coro_run(cancel_gather, NULL, 0));
}

static int wait_kinds(void *arg)
{
    int one = 1, bad = MP_EPIPE;
    mp_coro *t[3] = {start(clean_up, arg), start(give, &one), start(fail_soon, &bad)};
    mp_assert_err(mp_coro_wait(t, 3, MP_CORO_FIRST, LONG_MS), 1);
    mp_assert_err(mp_coro_wait(t, 3, MP_CORO_FIRST_ERROR, LONG_MS), 2);
    mp_assert_err(mp_coro_wait(t, 3, MP_CORO_ALL, 5), 2);
    mp_assert_err(mp_coro_wait(t, 3, (mp_coro_when)9, 5), MP_EINVAL);
    mp_assert_ok(mp_coro_cancel(t[0]));
    mp_assert_err(mp_coro_wait(t, 3, MP_CORO_ALL, LONG_MS), 3);
    for (int i = 0; i < 3; i++) {
        mp_coro_result(t[i], NULL);
        mp_coro_free(t[i]);
    }
    return 0;
}

MP_TEST(wait_for_first_error_all)
{
    mp_assert_ok(mp_coro_run(wait_kinds, NULL, 0));
}

static int sleep_ms(void *arg)
{
    int ms = *(int *)arg, r = mp_coro_sleep(ms);
    return r < 0 ? r : ms;
}

static int completed_in_order(void *arg)
{
    int ms[] = {30, 0, 10, LONG_MS}, value = 9;
    mp_coro *t[5], *which, *self = mp_coro_current();
    mp_coro_completed *it;
    (void)arg;
    for (int i = 0; i < 4; i++)
        t[i] = start(sleep_ms, &ms[i]);
    mp_assert_ok(mp_coro_promise(&t[4], NULL));
    mp_assert_ok(mp_coro_set(t[4], 7, &value));
    mp_assert_ok(mp_coro_as_completed(&it, t, 5));
    static const int order[] = {4, 1, 2, 0};
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(mp_coro_completed_next(it, &which, LONG_MS), order[i]);
        ck_assert_ptr_eq(which, t[order[i]]);
        ck_assert_int_eq(mp_coro_result(which, NULL), order[i] == 4 ? 7 : ms[order[i]]);
    }
    mp_assert_err(mp_coro_completed_next(it, &which, 5), MP_ETIMEDOUT);
    mp_assert_ok(mp_coro_cancel(t[3]));
    for (int i = 0; i < 5; i++)
        mp_coro_free(t[i]); // it has its own
    ck_assert_int_eq(mp_coro_completed_next(it, NULL, LONG_MS), 3);
    mp_assert_err(mp_coro_completed_next(it, NULL, LONG_MS), MP_EOF);
    mp_coro_completed_free(it);
    mp_assert_ok(mp_coro_as_completed(&it, NULL, 0));
    mp_assert_err(mp_coro_completed_next(it, NULL, MP_FOREVER), MP_EOF);
    mp_coro_completed_free(it);
    mp_assert_err(mp_coro_as_completed(&it, &self, 1), MP_ESTATE);
    ck_assert_ptr_null(it);
    return 0;
}

MP_TEST(completed_are_told_as_they_end)
{
    mp_assert_ok(mp_coro_run(completed_in_order, NULL, 0));
}

static int next_of(void *arg)
{
    return (int)mp_coro_completed_next(arg, NULL, LONG_MS);
}

static int cancelled_next(void *arg)
{
    mp_coro_completed *it;
    mp_coro *t[2] = {start(clean_up, arg), start(clean_up, arg)};
    mp_assert_ok(mp_coro_as_completed(&it, t, 2));
    mp_coro *n = start(next_of, it);
    mp_assert_ok(mp_coro_sleep(0));
    mp_assert_err(mp_coro_completed_next(it, NULL, 0), MP_ESTATE); // somebody waits
    mp_assert_ok(mp_coro_cancel(n));
    mp_assert_err(mp_await(n), MP_ECANCELED);
    ck_assert_str_eq(notes, ""); // only that
    mp_coro_free(n);
    mp_assert_ok(mp_coro_cancel(t[1]));
    n = start(next_of, it);
    mp_assert_err(mp_await(n), 1);
    mp_coro_free(n);
    mp_coro_completed_free(it); // while one goes on
    mp_assert_ok(mp_coro_cancel(t[0]));
    mp_assert_err(mp_await(t[0]), MP_ECANCELED);
    mp_coro_free(t[0]);
    mp_coro_free(t[1]);
    return 0;
}

MP_TEST(next_completed_is_cancelled_alone)
{
    mp_assert_ok(mp_coro_run(cancelled_next, NULL, 0));
}

// ---- timeouts ----

static int wait_for(void *arg)
{
    int five = 5;
    mp_coro *slow = start(clean_up, arg), *fast = start(give, &five);
    mp_assert_err(mp_await_for(slow, 5), MP_ETIMEDOUT);
    ck_assert_str_eq(notes, "clean "); // it was cancelled, and waited for
    mp_assert_err(mp_await_for(fast, LONG_MS), 5);
    ck_assert_int_eq(mp_coro_cancelling(), 0);
    mp_coro_free(slow);
    mp_coro_free(fast);
    return mp_coro_sleep(0);
}

MP_TEST(wait_for_a_time)
{
    mp_assert_ok(mp_coro_run(wait_for, NULL, 0));
}

static int nested_scopes(void *arg)
{
    mp_timeout outer, inner;
    (void)arg;
    mp_assert_ok(mp_timeout_enter(&outer, LONG_MS));
    mp_assert_ok(mp_timeout_enter(&inner, 2));
    mp_assert_err(mp_timeout_leave(&inner, mp_coro_sleep(LONG_MS)), MP_ETIMEDOUT);
    mp_assert_ok(mp_coro_sleep(1));
    mp_assert_ok(mp_timeout_leave(&outer, 0));

    mp_assert_ok(mp_timeout_enter(&outer, 2));
    mp_assert_ok(mp_timeout_enter(&inner, LONG_MS));
    int r = mp_timeout_leave(&inner, mp_coro_sleep(LONG_MS));
    mp_assert_err(r, MP_ECANCELED); // the outer one's
    mp_assert_err(mp_timeout_leave(&outer, r), MP_ETIMEDOUT);
    return mp_coro_sleep(1);
}

MP_TEST(scopes_nest)
{
    mp_assert_ok(mp_coro_run(nested_scopes, NULL, 0));
}

static int scoped_sleep(void *arg)
{
    mp_timeout scope;
    (void)arg;
    mp_assert_ok(mp_timeout_enter(&scope, LONG_MS));
    return mp_timeout_leave(&scope, mp_coro_sleep(LONG_MS));
}

static int cancel_in_scope(void *arg)
{
    mp_coro *t = start(scoped_sleep, arg);
    mp_assert_ok(mp_coro_sleep(1));
    mp_assert_ok(mp_coro_cancel(t));
    mp_assert_err(mp_await(t), MP_ECANCELED); // not a timeout
    mp_coro_free(t);
    return 0;
}

MP_TEST(a_cancel_is_not_a_timeout)
{
    mp_assert_ok(mp_coro_run(cancel_in_scope, NULL, 0));
}

// ---- groups ----

static int group_of_failures(void *arg)
{
    mp_group *g;
    int bad = MP_EPIPE;
    mp_assert_ok(mp_group_new(&g));
    mp_assert_ok(mp_group_start(g, NULL, clean_up, arg, NULL));
    mp_assert_ok(mp_group_start(g, NULL, fail_soon, &bad, NULL));
    mp_assert_err(mp_coro_sleep(LONG_MS), MP_ECANCELED); // the owner too
    mp_assert_err(mp_group_start(g, NULL, clean_up, arg, NULL), MP_ECANCELED);
    mp_assert_err(mp_group_end(g), MP_EPIPE);
    ck_assert_str_eq(notes, "clean ");
    ck_assert_int_eq(mp_coro_cancelling(), 0);
    return mp_coro_sleep(1);
}

MP_TEST(a_failure_cancels_the_siblings)
{
    mp_assert_ok(mp_coro_run(group_of_failures, NULL, 0));
}

static int group_owner(void *arg)
{
    mp_group *g;
    mp_assert_ok(mp_group_new(&g));
    mp_assert_ok(mp_group_start(g, NULL, clean_up, arg, NULL));
    mp_assert_ok(mp_group_start(g, NULL, clean_up, arg, NULL));
    return mp_group_end(g);
}

static int cancel_group(void *arg)
{
    mp_coro *t = start(group_owner, arg);
    mp_assert_ok(mp_coro_sleep(1));
    mp_assert_ok(mp_coro_cancel(t));
    mp_assert_err(mp_await(t), MP_ECANCELED);
    ck_assert_str_eq(notes, "clean clean ");
    mp_coro_free(t);
    return 0;
}

MP_TEST(nobody_outlives_the_group)
{
    mp_assert_ok(mp_coro_run(cancel_group, NULL, 0));
}

// ---- promises ----

static void keep_promise(void *arg)
{
    mp_assert_ok(mp_coro_set(arg, 3, (void *)"value"));
}

static void count_done(mp_coro *t, void *arg)
{
    ck_assert(mp_coro_done(t));
    ++*(int *)arg;
}

static int await_promise(void *arg)
{
    mp_coro *p;
    void *value;
    int count = 0;
    (void)arg;
    mp_assert_ok(mp_coro_promise(&p, mp_loop_current()));
    mp_assert_ok(mp_loop_call_later(mp_loop_current(), 1, keep_promise, p));
    mp_assert_ok(mp_coro_on_done(p, count_done, &count));
    mp_assert_err(mp_await(p), 3);
    mp_assert_ok(mp_coro_on_done(p, count_done, &count));
    mp_assert_err(mp_coro_result(p, &value), 3);
    ck_assert_str_eq(value, "value");
    mp_assert_err(mp_coro_set(p, 1, NULL), MP_ESTATE);
    mp_assert_err(mp_coro_cancel(p), MP_ESTATE);
    mp_assert_ok(mp_coro_sleep(1));
    ck_assert_int_eq(count, 2);
    mp_coro_free(p);
    mp_assert_ok(mp_coro_promise(&p, NULL));
    mp_assert_ok(mp_coro_on_done(p, count_done, &count));
    mp_coro_free(p); // nobody keeps it
    mp_assert_ok(mp_coro_promise(&p, NULL));
    mp_assert_ok(mp_coro_cancel(p));
    mp_assert_err(mp_await(p), MP_ECANCELED);
    mp_coro_free(p);
    return 0;
}

MP_TEST(promises_are_kept)
{
    mp_assert_ok(mp_coro_run(await_promise, NULL, 0));
}

static void *keep_in_thread(void *arg)
{
    mp_coro **p = arg;
    for (int i = 0; i < 100; i++) {
        mptest_require(mp_coro_set_threadsafe(p[i], i, NULL) == 0);
        mp_coro_free(p[i]);
    }
    return NULL;
}

static int await_thread(void *arg)
{
    mp_coro *p[100], *theirs[100];
    pthread_t thread;
    (void)arg;
    for (int i = 0; i < 100; i++) {
        mp_assert_ok(mp_coro_promise(&p[i], NULL));
        theirs[i] = mp_coro_share(p[i]);
    }
    ck_assert_int_eq(pthread_create(&thread, NULL, keep_in_thread, theirs), 0);
    mp_assert_ok(mp_coro_gather(p, 100));
    pthread_join(thread, NULL);
    for (int i = 0; i < 100; i++) {
        mp_assert_err(mp_coro_result(p[i], NULL), i);
        mp_assert_err(mp_coro_set_threadsafe(p[i], i, NULL), MP_ESTATE);
        mp_coro_free(p[i]);
    }
    return 0;
}

MP_TEST(another_thread_keeps_promises)
{
    mp_assert_ok(mp_coro_run(await_thread, NULL, 0));
}

MP_TEST(a_promise_outlives_its_loop)
{
    mp_loop *loop;
    mp_coro *p, *late;
    mp_assert_ok(mp_loop_new(&loop));
    mp_assert_ok(mp_coro_promise(&p, loop));
    mp_assert_ok(mp_coro_promise(&late, loop));
    mp_assert_ok(mp_coro_set_threadsafe(late, 1, NULL));
    mp_loop_free(loop);
    mp_assert_err(mp_coro_set_threadsafe(p, 1, NULL), MP_ECLOSED);
    mp_assert_err(mp_coro_set(p, 1, NULL), MP_ECLOSED);
    mp_assert_err(mp_coro_cancel(p), MP_ECLOSED);
    ck_assert(!mp_coro_done(late));
    mp_coro_free(p);
    mp_coro_free(late);
}

// ---- what the kernel and libmp tell ----

static int read_end;

static int read_one(void *arg)
{
    char c;
    mp_assert_err(mp_await_fd(read_end, MP_LOOP_READ, LONG_MS), MP_LOOP_READ);
    ck_assert_int_eq(read(read_end, &c, 1), 1);
    (void)arg;
    return 0;
}

static int two_readers(void *arg)
{
    int p[2];
    ck_assert_int_eq(pipe(p), 0);
    read_end = p[0];
    mp_assert_err(mp_await_fd(p[0], MP_LOOP_READ, 1), MP_ETIMEDOUT);
    mp_coro *t[2] = {start(read_one, arg), start(read_one, arg)};
    mp_assert_ok(mp_coro_sleep(1));
    mp_assert_err(mp_await_fd(p[1], MP_LOOP_WRITE, LONG_MS), MP_LOOP_WRITE);
    ck_assert_int_eq(write(p[1], "xy", 2), 2);
    mp_assert_ok(mp_coro_gather(t, 2));
    mp_coro_free(t[0]);
    mp_coro_free(t[1]);
    close(p[0]);
    close(p[1]);
    return 0;
}

MP_TEST(tasks_wait_for_descriptors)
{
    mp_assert_ok(mp_coro_run(two_readers, NULL, 0));
}

static int answer(void *arg)
{
    int x;
    mptest_require(mp_pipe_recv(arg, &x, sizeof x, LONG_MS) == sizeof x);
    x++;
    mptest_require(mp_pipe_send(arg, &x, sizeof x, LONG_MS) == 0);
    mp_pipe_free(arg);
    return 3;
}

static int talk_to_process(void *arg)
{
    mp_pipe *a, *b;
    mp_process *p;
    int x = 1, code = -1;
    (void)arg;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_process_opts opts = {.give = (mp_pipe *[]){b, NULL}};
    mp_assert_ok(mp_process_start(&p, answer, b, &opts)); // from a task: on a copy of its stack
    mp_pipe_free(b);
    mp_assert_ok(mp_pipe_send(a, &x, sizeof x, LONG_MS));
    int64_t n;
    do
        mp_assert_ok(mp_await_pipe(a, LONG_MS));
    while ((n = mp_pipe_recv(a, &x, sizeof x, 0)) == MP_ETIMEDOUT);
    ck_assert_int_eq(n, sizeof x);
    ck_assert_int_eq(x, 2);
    mp_assert_ok(mp_await_process(p, &code, LONG_MS));
    ck_assert_int_eq(code, 3);
    mp_assert_ok(mp_await_process(p, NULL, 0));
    mp_pipe_free(a);
    mp_process_free(p);
    return 0;
}

MP_TEST(tasks_wait_for_processes_and_pipes)
{
    mp_assert_ok(mp_coro_run(talk_to_process, NULL, 0));
}

static int put_items(void *arg)
{
    for (int i = 0; i < 3; i++)
        mptest_require(mp_queue_put(arg, &i, sizeof i, LONG_MS) == 0);
    return 0;
}

static int get_items(void *arg)
{
    mp_queue *q;
    mp_process *p;
    int x;
    (void)arg;
    mp_assert_ok(mp_queue_new(&q, NULL));
    mp_assert_ok(mp_process_start(&p, put_items, q, NULL));
    for (int i = 0; i < 3;) {
        mp_assert_ok(mp_await_queue(q, LONG_MS));
        if (mp_queue_get(q, &x, sizeof x, 0) == sizeof x)
            ck_assert_int_eq(x, i++);
    }
    mp_assert_ok(mp_await_process(p, NULL, LONG_MS));
    mp_process_free(p);
    mp_queue_free(q);
    return 0;
}

MP_TEST(tasks_wait_for_queues)
{
    mp_assert_ok(mp_coro_run(get_items, NULL, 0));
}

// ---- futures ----

static void *complete_later(void *arg)
{
    usleep(1000);
    mptest_require(mp_future_set_result(arg, &(int){5}, sizeof(int)) == 0);
    mp_future_free(arg);
    return NULL;
}

static int await_a_future(void *arg)
{
    mp_future *f;
    pthread_t thread;
    int x = 0;
    (void)arg;
    mp_assert_ok(mp_future_new(&f, NULL));
    mp_assert_err(mp_await_future(f, 1), MP_ETIMEDOUT);
    mp_assert_err(mp_await_future(NULL, 1), MP_EINVAL);
    ck_assert_int_eq(pthread_create(&thread, NULL, complete_later, mp_future_hold(f)), 0);
    mp_assert_ok(mp_await_future(f, LONG_MS));
    mp_assert_err(mp_future_result(f, &x, sizeof x, 0), sizeof x);
    ck_assert_int_eq(x, 5);
    mp_assert_ok(mp_await_future(f, 0));
    pthread_join(thread, NULL);
    mp_future_free(f);
    return 0;
}

MP_TEST(tasks_wait_for_futures)
{
    mp_assert_ok(mp_coro_run(await_a_future, NULL, 0));
}

// A source whose news are bytes in a pipe: each completes the next of its futures.
static mp_future *of_source[3];
static int news_pipe[2], completed;

static void take_news(void *arg, bool arm)
{
    char c;
    (void)arg, (void)arm;
    while (read(news_pipe[0], &c, 1) == 1)
        mp_assert_ok(mp_future_set_result(of_source[completed++], &c, 1));
}

static int await_one(void *arg)
{
    return mp_await_future(arg, LONG_MS);
}

static int await_a_source(void *arg)
{
    static const mp_future_source_ops ops = {take_news, NULL};
    mp_future_source *source;
    mp_coro *t[3];
    (void)arg;
    ck_assert_int_eq(pipe2(news_pipe, O_CLOEXEC | O_NONBLOCK), 0);
    mp_assert_ok(mp_future_source_new(&source, news_pipe[0], &ops, NULL));
    for (int i = 0; i < 3; i++) {
        mp_assert_ok(mp_future_new(&of_source[i], &(mp_future_opts){.source = source}));
        t[i] = start(await_one, of_source[i]);
    }
    for (int i = 0; i < 3; i++) {
        mp_assert_ok(mp_coro_sleep(1));
        ck_assert_int_eq(write(news_pipe[1], &"abc"[i], 1), 1);
    }
    mp_assert_ok(mp_coro_gather(t, 3));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(*(const char *)mp_future_data(of_source[i], NULL), 'a' + i);
        mp_coro_free(t[i]);
        mp_future_free(of_source[i]);
    }
    mp_future_source_free(source);
    close(news_pipe[0]);
    close(news_pipe[1]);
    return 0;
}

MP_TEST(tasks_wait_for_futures_with_a_source)
{
    mp_assert_ok(mp_coro_run(await_a_source, NULL, 0));
}

static int fail_it(mp_future *f)
{
    return mp_future_set_error(f, MP_EPIPE, 0, NULL);
}

static int wrapped_futures(void *arg)
{
    mp_future *f[3];
    mp_coro *p[3], *none;
    pthread_t thread;
    (void)arg;
    for (int i = 0; i < 3; i++) {
        mp_assert_ok(mp_future_new(&f[i], NULL));
        mp_assert_ok(mp_coro_wrap_future(&p[i], NULL, f[i]));
    }
    ck_assert_int_eq(pthread_create(&thread, NULL, complete_later, mp_future_hold(f[0])), 0);
    mp_assert_ok(mp_await(p[0]));
    mp_assert_ok(fail_it(f[1]));
    mp_assert_err(mp_coro_gather(p, 3), MP_EPIPE);
    mp_assert_ok(mp_coro_cancel(p[2]));
    ck_assert(!mp_future_done(f[2])); // it goes on
    mp_assert_ok(fail_it(f[2]));
    mp_assert_err(mp_future_error(f[2], 0), MP_EPIPE);
    mp_assert_err(mp_coro_wrap_future(&none, NULL, NULL), MP_EINVAL);
    ck_assert_ptr_null(none);
    pthread_join(thread, NULL);
    for (int i = 0; i < 3; i++) {
        mp_coro_free(p[i]);
        mp_future_free(f[i]);
    }
    return 0;
}

MP_TEST(futures_among_tasks)
{
    mp_future *f;
    mp_coro *p;
    mp_assert_ok(mp_future_new(&f, NULL));
    mp_assert_err(mp_coro_wrap_future(&p, NULL, f), MP_ESTATE); // no loop
    mp_future_free(f);
    mp_assert_ok(mp_coro_run(wrapped_futures, NULL, 0));
}

MP_TEST(a_loop_closed_before_its_futures)
{
    static const mp_future_source_ops ops = {take_news, NULL};
    mp_future_source *source;
    mp_future *f[2];
    mp_coro *p[2];
    mp_loop *loop;
    mp_assert_ok(mp_loop_new(&loop));
    ck_assert_int_eq(pipe2(news_pipe, O_CLOEXEC | O_NONBLOCK), 0);
    mp_assert_ok(mp_future_source_new(&source, news_pipe[0], &ops, NULL));
    for (int i = 0; i < 2; i++) {
        mp_assert_ok(mp_future_new(&f[i], &(mp_future_opts){.source = i ? source : NULL}));
        mp_assert_ok(mp_coro_wrap_future(&p[i], loop, f[i]));
    }
    mp_loop_free(loop);
    for (int i = 0; i < 2; i++) {
        mp_assert_ok(mp_future_set_result(f[i], NULL, 0));
        ck_assert(!mp_coro_done(p[i]));
        mp_coro_free(p[i]);
        mp_future_free(f[i]);
    }
    mp_future_source_free(source);
    close(news_pipe[0]);
    close(news_pipe[1]);
}

// ---- stacks, the end of a loop ----

static int wait_for_start(void *arg)
{
    return mp_async_event_wait(arg, MP_FOREVER);
}

static int deep(int n)
{
    volatile char frame[1000];
    frame[0] = (char)n;
    return n ? deep(n - 1) + frame[0] * 0 : mp_coro_sleep(0);
}

static int go_deep(void *arg)
{
    return deep(*(int *)arg);
}

static int large_stack(void *arg)
{
    mp_coro *t;
    int n = 900;
    (void)arg;
    mp_assert_err(mp_coro_start(&t, NULL, go_deep, &n, &(mp_coro_opts){.stack_size = SIZE_MAX}),
                  -ENOMEM);
    mp_assert_ok(mp_coro_start(&t, NULL, go_deep, &n, &(mp_coro_opts){.stack_size = 4 << 20}));
    int r = mp_await(t);
    mp_coro_free(t);
    return r;
}

MP_TEST(a_stack_as_large_as_asked_for)
{
    mp_assert_ok(mp_coro_run(large_stack, NULL, 0));
}

static int hold_a_pointer(void *arg)
{
    char *p = malloc(100);
    int r = mp_coro_sleep(LONG_MS);
    free(p);
    (void)arg;
    return r;
}

MP_TEST(closing_a_loop_drops_its_tasks)
{
    mp_loop *loop;
    mp_coro *t;
    mp_async_event e = {0};
    mp_assert_ok(mp_loop_new(&loop));
    mp_assert_ok(mp_coro_start(&t, loop, wait_for_start, &e, NULL));
    mp_assert_ok(mp_coro_start(NULL, loop, wait_for_start, &e, NULL));
    mp_assert_ok(mp_loop_close(loop));
    mp_assert_ok(mp_loop_close(loop));
    mp_assert_err(mp_coro_start(NULL, loop, hold_a_pointer, NULL, NULL), MP_ECLOSED);
    ck_assert(!mp_coro_done(t));
    mp_coro_free(t);
    mp_loop_free(loop);
}
