// SPDX-License-Identifier: MIT
//
// The calls of a loop, and the ways to run it; watchers are in test_loop.c.
#include "mptest.h"

#include <limits.h>
#include <mp/loop.h>
#include <pthread.h>
#include <string.h>

// The first loop of a process opens a pipe for signals that stays: before the tests count.
__attribute__((constructor)) static void open_signal_pipe(void)
{
    mp_loop *loop;
    if (mp_loop_new(&loop) == 0)
        mp_loop_free(loop);
}

static mp_loop *loop;
static char notes[100];
static int calls;

static void note(void *arg)
{
    strncat(notes, arg, sizeof notes - strlen(notes) - 1);
}

static void stop(void *arg)
{
    mp_loop_stop(arg);
}

static void count(void *arg)
{
    (void)arg;
    calls++;
}

static void begin(void)
{
    mp_assert_ok(mp_loop_new(&loop));
}

MP_TEST(calls_come_in_order)
{
    begin();
    mp_assert_ok(mp_loop_call_soon(loop, note, (void *)"a"));
    mp_assert_ok(mp_loop_call_soon(loop, note, (void *)"b"));
    mp_assert_ok(mp_loop_call_later(loop, 4, note, (void *)"e"));
    int64_t when = mp_loop_time(loop) + 2;
    mp_assert_ok(mp_loop_call_at(loop, when, note, (void *)"c"));
    mp_assert_ok(mp_loop_call_at(loop, when, note, (void *)"d"));
    mp_assert_ok(mp_loop_run(loop));
    ck_assert_str_eq(notes, "abcde");
    ck_assert(!mp_loop_is_running(loop));
    mp_loop_free(loop);
}

MP_TEST(timers_are_never_early)
{
    begin();
    for (int ms = 0; ms < 20; ms++) {
        int64_t start = mp_loop_time(loop);
        mp_assert_ok(mp_loop_call_later(loop, ms, count, NULL));
        mp_assert_ok(mp_loop_run(loop));
        ck_assert_int_ge(mp_loop_time(loop) - start, ms);
    }
    mp_loop_free(loop);
}

static int64_t victim;

static void cancel_victim(void *arg)
{
    (void)arg;
    mp_assert_ok(mp_loop_cancel(loop, victim));
    mp_assert_err(mp_loop_cancel(loop, victim), MP_ENOTFOUND);
}

MP_TEST(calls_are_cancelled)
{
    begin();
    mp_assert_ok(mp_loop_call_soon(loop, cancel_victim, NULL));
    victim = mp_loop_call_soon(loop, count, NULL);
    int64_t timer = mp_loop_call_later(loop, INT_MAX, count, NULL);
    ck_assert_int_gt(victim, 0);
    ck_assert_int_gt(timer, 0);
    mp_assert_ok(mp_loop_cancel(loop, timer));
    mp_assert_err(mp_loop_cancel(loop, timer), MP_ENOTFOUND);
    int64_t other = mp_loop_call_later(loop, INT_MAX, count, NULL); // in the same slot
    mp_assert_err(mp_loop_cancel(loop, timer), MP_ENOTFOUND);
    mp_assert_ok(mp_loop_cancel(loop, other));
    mp_assert_ok(mp_loop_run(loop));
    ck_assert_int_eq(calls, 0);
    mp_assert_err(mp_loop_cancel(loop, victim), MP_ENOTFOUND);
    mp_assert_err(mp_loop_cancel(loop, 0), MP_EINVAL);
    mp_assert_err(mp_loop_cancel(loop, MP_EINVAL), MP_EINVAL);
    mp_loop_free(loop);
}

MP_TEST(bad_arguments)
{
    begin();
    mp_assert_err(mp_loop_call_soon(NULL, count, NULL), MP_EINVAL);
    mp_assert_err(mp_loop_call_soon(loop, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_loop_call_soon_threadsafe(loop, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_loop_call_later(loop, -1, count, NULL), MP_EINVAL);
    mp_assert_err(mp_loop_call_at(loop, INT64_MAX, count, NULL), MP_EINVAL);
    mp_assert_err(mp_loop_run_until_complete(loop, NULL), MP_EINVAL);
    mp_assert_err(mp_loop_debug(loop, -1, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_loop_add_pipe(loop, &(mp_watch *){NULL}, NULL, NULL, NULL), MP_EINVAL);
    ck_assert(!mp_loop_is_running(NULL));
    mp_assert_ok(mp_loop_close(loop));
    mp_assert_err(mp_loop_call_soon(loop, count, NULL), MP_ECLOSED);
    mp_assert_err(mp_loop_call_soon_threadsafe(loop, count, NULL), MP_ECLOSED);
    mp_assert_err(mp_loop_run(loop), MP_ECLOSED);
    mp_loop_free(loop);
}

// Timers in random order, half of them cancelled: what the heap does.
enum { MANY = 20000 };
static int64_t due[MANY], last_due;

static void in_order(void *arg)
{
    int64_t when = *(int64_t *)arg;
    ck_assert_int_ge(when, last_due);
    last_due = when;
    calls++;
}

MP_TEST(many_timers_in_order)
{
    static int64_t call[MANY];
    uint64_t x = 12345;
    begin();
    int64_t start = mp_loop_time(loop);
    for (int i = 0; i < MANY; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        due[i] = start + (int64_t)(x >> 33) % 50;
        call[i] = mp_loop_call_at(loop, due[i], in_order, &due[i]);
        ck_assert_int_gt(call[i], 0);
    }
    for (int i = 0; i < MANY; i += 2)
        mp_assert_ok(mp_loop_cancel(loop, call[i]));
    while (mp_loop_time(loop) < start + 50) // all at once, so that their order shows
        ;
    mp_assert_ok(mp_loop_run(loop));
    ck_assert_int_eq(calls, MANY / 2);
    mp_loop_free(loop);
}

// Timers of no time do not keep others from their turn.
static void again(void *arg)
{
    if (++calls < 1000)
        mp_assert_ok(mp_loop_call_later(loop, 0, again, arg));
    else
        note((void *)"last");
}

MP_TEST(a_timer_that_starts_itself)
{
    begin();
    mp_assert_ok(mp_loop_call_later(loop, 0, again, NULL));
    mp_assert_ok(mp_loop_call_later(loop, 1, note, (void *)"first "));
    calls = -1000000; // would take much longer than 1 ms
    mp_assert_ok(mp_loop_call_later(loop, 30, stop, loop));
    mp_assert_ok(mp_loop_run(loop));
    ck_assert_str_eq(notes, "first ");
    mp_loop_free(loop);
}

static void nested(void *arg)
{
    mp_loop *other = arg;
    ck_assert(mp_loop_is_running(loop));
    ck_assert_ptr_eq(mp_loop_current(), loop);
    mp_assert_err(mp_loop_run(loop), MP_ESTATE);
    mp_assert_err(mp_loop_run_forever(loop), MP_ESTATE);
    mp_assert_err(mp_loop_run(other), MP_ESTATE); // another in the same thread
    mp_assert_err(mp_loop_close(loop), MP_ESTATE);
    mp_assert_err(mp_loop_debug(loop, 1, NULL, NULL), MP_ESTATE);
    calls++;
    mp_loop_stop(loop);
}

MP_TEST(a_loop_runs_once_at_a_time)
{
    mp_loop *other;
    begin();
    mp_assert_ok(mp_loop_new(&other));
    mp_assert_ok(mp_loop_call_soon(loop, nested, other));
    mp_assert_ok(mp_loop_run_forever(loop));
    ck_assert_int_eq(calls, 1);
    mp_loop_free(other);
    mp_loop_free(loop);
}

// ---- threads ----

static void *call_from_thread(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        mptest_require(mp_loop_call_soon_threadsafe(loop, count, NULL) == 0);
    return NULL;
}

static void stop_at_4000(void *arg)
{
    if (calls == 4000)
        mp_loop_stop(loop);
    else
        mp_assert_ok(mp_loop_call_later(loop, 1, stop_at_4000, arg));
}

MP_TEST(threads_call_in)
{
    pthread_t t[4];
    begin();
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, call_from_thread, NULL), 0);
    mp_assert_ok(mp_loop_call_soon(loop, stop_at_4000, NULL));
    mp_assert_ok(mp_loop_run_forever(loop));
    ck_assert_int_eq(calls, 4000);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    mp_loop_free(loop);
}

static pthread_barrier_t both;

static void *run_in_thread(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&both);
    mptest_require(mp_loop_run(loop) == MP_ESTATE);
    mptest_require(mp_loop_call_soon(loop, count, NULL) == MP_ESTATE);
    mptest_require(mp_loop_call_later(loop, 1, count, NULL) == MP_ESTATE);
    mptest_require(mp_loop_is_running(loop));
    mptest_require(mp_loop_current() == NULL);
    mp_loop_stop(loop); // wakes it
    return NULL;
}

static void let_thread_go(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&both);
}

MP_TEST(another_thread_may_only_stop_it)
{
    pthread_t t;
    begin();
    pthread_barrier_init(&both, NULL, 2);
    ck_assert_int_eq(pthread_create(&t, NULL, run_in_thread, NULL), 0);
    mp_assert_ok(mp_loop_call_soon(loop, let_thread_go, NULL));
    mp_assert_ok(mp_loop_run_forever(loop));
    pthread_join(t, NULL);
    pthread_barrier_destroy(&both);
    ck_assert_int_eq(calls, 0);
    mp_loop_free(loop);
}

static void *wake_later(void *arg)
{
    usleep(2000); // likely asleep by then; either way must do
    mptest_require(mp_loop_call_soon_threadsafe(loop, stop, arg) == 0);
    return NULL;
}

MP_TEST(a_sleeping_loop_is_woken)
{
    begin();
    for (int i = 0; i < 20; i++) {
        pthread_t t;
        ck_assert_int_eq(pthread_create(&t, NULL, wake_later, loop), 0);
        mp_assert_ok(mp_loop_run_forever(loop));
        pthread_join(t, NULL);
    }
    mp_loop_free(loop);
}

// ---- pipes and queues ----

static void take_from_pipe(mp_watch *w, int events, void *arg)
{
    int x;
    ck_assert_int_eq(events, MP_LOOP_READ);
    int64_t n = mp_pipe_recv(arg, &x, sizeof x, 0);
    if (n == sizeof x)
        calls += x;
    else if (n == MP_EOF)
        mp_watch_close(w);
}

static void take_from_queue(mp_watch *w, int events, void *arg)
{
    int x;
    (void)events;
    int64_t n = mp_queue_get(arg, &x, sizeof x, 0);
    if (n == sizeof x)
        calls += x;
    else if (n == MP_EOF)
        mp_watch_close(w);
}

MP_TEST(pipes_and_queues_are_watched)
{
    mp_pipe *a, *b;
    mp_queue *q;
    mp_watch *w;
    begin();
    mp_assert_ok(mp_pipe_new(&a, &b, &(mp_pipe_opts){.oneway = true}));
    mp_assert_ok(mp_queue_new(&q, NULL));
    mp_assert_err(mp_loop_add_pipe(loop, &w, b, take_from_pipe, b), MP_ESTATE); // it only sends
    mp_assert_ok(mp_loop_add_pipe(loop, &w, a, take_from_pipe, a));
    mp_assert_ok(mp_loop_add_queue(loop, &w, q, take_from_queue, q));
    for (int i = 1; i <= 3; i++) {
        mp_assert_ok(mp_pipe_send(b, &i, sizeof i, 0));
        mp_assert_ok(mp_queue_put(q, &(int){100 * i}, sizeof i, 0));
    }
    mp_pipe_close(b);
    mp_queue_shutdown(q, MP_DRAIN);
    mp_assert_ok(mp_loop_run(loop)); // until both have ended
    ck_assert_int_eq(calls, 606);
    mp_loop_free(loop);
    mp_pipe_free(a);
    mp_pipe_free(b);
    mp_queue_free(q);
}
