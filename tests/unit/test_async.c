// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <mp/async.h>
#include <mp/loop.h>
#include <string.h>

#define LONG_MS 15000

// The first loop of a process opens a pipe for signals that stays: before the tests count.
__attribute__((constructor)) static void open_signal_pipe(void)
{
    mp_loop *loop;
    if (mp_loop_new(&loop) == 0)
        mp_loop_free(loop);
}

static char notes[100];
static mp_async_lock lock;
static mp_async_event event;
static mp_async_semaphore semaphore;
static mp_async_condition condition;

static void note(const char *what)
{
    strncat(notes, what, sizeof notes - strlen(notes) - 1);
}

static mp_coro *start(mp_coro_fn *fn, const char *arg)
{
    mp_coro *t = NULL;
    mp_assert_ok(mp_coro_start(&t, NULL, fn, (void *)(uintptr_t)arg, NULL));
    return t;
}

// Awaits n tasks and frees them; 0 if all are well.
static int finish(mp_coro **t, size_t n)
{
    int r = mp_coro_gather(t, n);
    for (size_t i = 0; i < n; i++)
        mp_coro_free(t[i]);
    return r;
}

static int hold(void *arg)
{
    mp_assert_ok(mp_async_lock_acquire(&lock, LONG_MS));
    note(arg);
    mp_assert_err(mp_async_lock_acquire(&lock, 0), MP_EHELD);
    mp_assert_ok(mp_coro_sleep(1));
    note(arg);
    return mp_async_lock_release(&lock);
}

static int hold_or_leave(void *arg)
{
    int r = mp_async_lock_acquire(&lock, LONG_MS);
    if (r < 0)
        return r;
    note(arg);
    mp_assert_ok(mp_coro_sleep(1));
    note(arg);
    return mp_async_lock_release(&lock);
}

static int lock_with_cancel(void *arg)
{
    (void)arg;
    mp_coro *t[] = {start(hold, "a"), start(hold_or_leave, "b"), start(hold, "c")};
    mp_assert_ok(mp_coro_sleep(0));
    mp_assert_err(mp_async_lock_acquire(&lock, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_async_lock_release(&lock), MP_ENOTHELD);
    mp_assert_ok(mp_coro_cancel(t[1])); // in the line: it leaves
    mp_assert_err(mp_await(t[1]), MP_ECANCELED);
    mp_coro_free(t[1]);
    t[1] = t[2];
    mp_assert_ok(finish(t, 2));
    ck_assert_str_eq(notes, "aacc");
    return 0;
}

MP_TEST(lock_is_handed_on)
{
    mp_assert_ok(mp_coro_run(lock_with_cancel, NULL, 0));
}

static int wait_event(void *arg)
{
    mp_assert_ok(mp_async_event_wait(&event, LONG_MS));
    note(arg);
    return 0;
}

static int raise_event(void *arg)
{
    (void)arg;
    mp_coro *t[] = {start(wait_event, "a"), start(wait_event, "b")};
    mp_assert_err(mp_async_event_wait(&event, 1), MP_ETIMEDOUT);
    mp_assert_ok(mp_async_event_set(&event));
    ck_assert(mp_async_event_is_set(&event));
    mp_assert_ok(mp_async_event_clear(&event)); // too late for those who waited
    mp_assert_ok(finish(t, 2));
    ck_assert_str_eq(notes, "ab");
    mp_assert_err(mp_async_event_wait(&event, 0), MP_ETIMEDOUT);
    return 0;
}

MP_TEST(event_lets_all_go)
{
    mp_assert_ok(mp_coro_run(raise_event, NULL, 0));
}

static int inside, most;

static int use_unit(void *arg)
{
    (void)arg;
    mp_assert_ok(mp_async_semaphore_acquire(&semaphore, LONG_MS));
    if (++inside > most)
        most = inside;
    mp_assert_ok(mp_coro_sleep(1));
    inside--;
    return mp_async_semaphore_release(&semaphore);
}

static int limit(void *arg)
{
    mp_coro *t[10];
    semaphore.value = 3;
    for (int i = 0; i < 10; i++)
        t[i] = start(use_unit, arg);
    mp_assert_ok(finish(t, 10));
    ck_assert_int_eq(most, 3);
    ck_assert_uint_eq(semaphore.value, 3);
    return 0;
}

MP_TEST(semaphore_limits)
{
    mp_assert_ok(mp_coro_run(limit, NULL, 0));
}

static int stock;

static int consume(void *arg)
{
    mp_assert_ok(mp_async_lock_acquire(&lock, LONG_MS));
    while (stock == 0)
        mp_assert_ok(mp_async_condition_wait(&condition, &lock, LONG_MS));
    stock--;
    note(arg);
    return mp_async_lock_release(&lock);
}

static int impatient(void *arg)
{
    mp_assert_ok(mp_async_lock_acquire(&lock, LONG_MS));
    int r = mp_async_condition_wait(&condition, &lock, LONG_MS);
    (void)arg;
    mp_assert_ok(mp_async_lock_release(&lock)); // it is ours, cancelled or not
    return r;
}

static int produce(void *arg)
{
    mp_coro *t[] = {start(consume, "x"), start(consume, "y")}, *i = start(impatient, arg);
    mp_assert_err(mp_async_condition_wait(&condition, &lock, 0), MP_ENOTHELD);
    mp_assert_ok(mp_coro_sleep(1));
    mp_assert_ok(mp_coro_cancel(i));
    mp_assert_err(mp_await(i), MP_ECANCELED);
    mp_coro_free(i);
    mp_assert_ok(mp_async_lock_acquire(&lock, LONG_MS));
    stock = 2;
    mp_assert_err(mp_async_condition_notify(&condition, SIZE_MAX), 2);
    mp_assert_ok(mp_async_lock_release(&lock));
    mp_assert_ok(finish(t, 2));
    ck_assert_str_eq(notes, "xy");
    return 0;
}

MP_TEST(condition_wakes)
{
    mp_assert_ok(mp_coro_run(produce, NULL, 0));
}

// ---- barrier ----

static mp_async_barrier barrier;

static int meet(void *arg)
{
    (void)arg;
    return mp_async_barrier_wait(&barrier, LONG_MS);
}

static int meet_twice(void *arg)
{
    int r = mp_async_barrier_wait(&barrier, LONG_MS);
    note(arg);
    ck_assert_int_ge(mp_async_barrier_wait(&barrier, LONG_MS), 0);
    note("2");
    return r;
}

static int rounds(void *arg)
{
    barrier.parties = 3;
    mp_coro *t[] = {start(meet_twice, "1"), start(meet_twice, "1"), start(meet_twice, "1")};
    (void)arg;
    mp_assert_ok(mp_coro_gather(t, 3));
    ck_assert_str_eq(notes, "111222");
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(mp_coro_result(t[i], NULL), i);
        mp_coro_free(t[i]);
    }
    ck_assert_uint_eq(mp_async_barrier_n_waiting(&barrier), 0);
    return 0;
}

MP_TEST(barrier_has_rounds)
{
    mp_assert_ok(mp_coro_run(rounds, NULL, 0));
}

static int some_give_up(void *arg)
{
    barrier.parties = 3;
    mp_coro *t[] = {start(meet, arg), start(meet, arg)};
    mp_assert_ok(mp_coro_sleep(0));
    ck_assert_uint_eq(mp_async_barrier_n_waiting(&barrier), 2);
    mp_assert_ok(mp_coro_cancel(t[0])); // it has not run yet: nevertheless not there
    ck_assert_uint_eq(mp_async_barrier_n_waiting(&barrier), 1);
    mp_assert_err(mp_async_barrier_wait(&barrier, 1), MP_ETIMEDOUT);
    mp_assert_err(mp_await(t[0]), MP_ECANCELED);
    ck_assert(!mp_async_barrier_broken(&barrier));
    mp_coro_free(t[0]);
    t[0] = start(meet, arg);
    mp_assert_ok(mp_coro_sleep(0));
    ck_assert_int_eq(mp_async_barrier_wait(&barrier, 0), 2); // the last need not wait
    mp_assert_err(mp_await(t[1]), 0);
    mp_assert_err(mp_await(t[0]), 1);
    mp_coro_free(t[0]);
    mp_coro_free(t[1]);
    return 0;
}

MP_TEST(who_gives_up_is_not_at_the_barrier)
{
    mp_assert_ok(mp_coro_run(some_give_up, NULL, 0));
}

static int break_it(void *arg)
{
    barrier.parties = 2;
    mp_coro *t[] = {start(meet, arg)};
    mp_assert_ok(mp_coro_sleep(0));
    mp_assert_ok(mp_async_barrier_abort(&barrier));
    ck_assert(mp_async_barrier_broken(&barrier));
    mp_assert_err(finish(t, 1), MP_EBARRIER);
    mp_assert_err(mp_async_barrier_wait(&barrier, LONG_MS), MP_EBARRIER);
    mp_assert_ok(mp_async_barrier_reset(&barrier));
    t[0] = start(meet, arg);
    mp_assert_ok(mp_coro_sleep(0));
    mp_assert_ok(mp_async_barrier_reset(&barrier));
    mp_assert_err(finish(t, 1), MP_EBARRIER);
    t[0] = start(meet, arg);
    ck_assert_int_ge(mp_async_barrier_wait(&barrier, LONG_MS), 0);
    ck_assert_int_ge(mp_await(t[0]), 0);
    mp_coro_free(t[0]);
    barrier.parties = 0;
    mp_assert_err(mp_async_barrier_wait(&barrier, 0), MP_EINVAL);
    mp_assert_err(mp_async_barrier_wait(NULL, 0), MP_EINVAL);
    mp_assert_err(mp_async_barrier_reset(NULL), MP_EINVAL);
    mp_assert_err(mp_async_barrier_abort(NULL), MP_EINVAL);
    return 0;
}

MP_TEST(barrier_breaks_and_is_whole_again)
{
    mp_assert_ok(mp_coro_run(break_it, NULL, 0));
}

// ---- queue ----

static mp_async_queue *queue;
static int numbers[100];

static int put_all(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++)
        mp_assert_ok(mp_async_queue_put(queue, &numbers[i], LONG_MS));
    mp_async_queue_close(queue);
    mp_assert_err(mp_async_queue_put(queue, NULL, LONG_MS), MP_ECLOSED);
    return 0;
}

static int get_all(void *arg)
{
    mp_coro *t = start(put_all, arg);
    void *item;
    for (int i = 0; i < 100; i++) {
        mp_assert_ok(mp_async_queue_get(queue, &item, LONG_MS));
        ck_assert_ptr_eq(item, &numbers[i]);
        ck_assert_uint_le(mp_async_queue_size(queue), 4);
        if (i % 7 == 0)
            mp_assert_ok(mp_coro_sleep(0));
    }
    mp_assert_err(mp_async_queue_get(queue, &item, LONG_MS), MP_EOF);
    return finish(&t, 1);
}

MP_TEST(queue_keeps_the_order)
{
    mp_assert_ok(mp_async_queue_new(&queue, 4));
    mp_assert_ok(mp_coro_run(get_all, NULL, 0));
    mp_async_queue_free(queue);
}

static int get_one(void *arg)
{
    void *item = NULL;
    int r = mp_async_queue_get(queue, &item, LONG_MS);
    if (r == 0)
        note(item);
    (void)arg;
    return r;
}

static int cancelled_getter(void *arg)
{
    mp_coro *t[] = {start(get_one, arg), start(get_one, arg), start(get_one, arg)};
    void *item;
    mp_assert_ok(mp_coro_sleep(0));
    mp_assert_ok(mp_coro_cancel(t[0])); // has not run yet when the item comes
    mp_assert_ok(mp_async_queue_put(queue, (void *)"1", 0));
    mp_assert_ok(mp_coro_cancel(t[1])); // has the item: it is not lost
    mp_assert_err(mp_await(t[0]), MP_ECANCELED);
    mp_assert_ok(mp_await(t[1]));
    ck_assert_str_eq(notes, "1");
    mp_async_queue_close(queue);
    mp_assert_err(mp_await(t[2]), MP_EOF);
    mp_assert_err(mp_async_queue_get(queue, &item, 0), MP_EOF);
    mp_assert_err(mp_async_queue_get(NULL, &item, 0), MP_EINVAL);
    for (int i = 0; i < 3; i++)
        mp_coro_free(t[i]);
    return 0;
}

MP_TEST(no_item_is_lost_to_a_cancel)
{
    mp_assert_ok(mp_async_queue_new(&queue, 0));
    mp_assert_ok(mp_coro_run(cancelled_getter, NULL, 0));
    mp_async_queue_free(queue);
}

MP_TEST(queue_from_callbacks)
{
    void *item;
    mp_assert_ok(mp_async_queue_new(&queue, 1));
    mp_assert_err(mp_async_queue_get(queue, &item, 0), MP_ETIMEDOUT);
    mp_assert_ok(mp_async_queue_put(queue, NULL, 0));
    mp_assert_err(mp_async_queue_put(queue, NULL, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_async_queue_put(queue, NULL, 5), MP_ESTATE);
    mp_assert_ok(mp_async_queue_get(queue, &item, 0));
    mp_async_queue_free(queue);
    mp_async_queue_free(NULL);
    mp_async_queue_close(NULL);
}
