// SPDX-License-Identifier: MIT
//
// What if malloc() fails? Each kind of object is made, used and freed while the Nth call of
// malloc() fails, and while all from the Nth on do, for all N there are. That is -ENOMEM, and
// nothing else: nothing stays open, and the next try succeeds.
#include "mptest.h"

#include <errno.h>
#include <mp/async.h>
#include <mp/coro.h>
#include <mp/loop.h>
#include <mp/mp.h>
#include <stdlib.h>

#if !MPTEST_ASAN && !MPTEST_TSAN

#include "no_malloc.h"

static long failures, all_failures;

static void on_failure(void)
{
    failures++;
}

// The first loop of a process opens a pipe for signals that stays: before the tests count.
__attribute__((constructor)) static void open_signal_pipe(void)
{
    mp_loop *loop;
    if (mp_loop_new(&loop) == 0)
        mp_loop_free(loop);
}

static void never_without_memory(const char *what, int (*use)(void))
{
    for (int good = 0; good < 2; good++) {
        bool failed = true;
        for (long n = 0; failed; n++) {
            int open_before = mptest_fd_count();
            ck_assert_int_lt(n, 1000);
            failures = 0;
            for_good = good;
            left = n;
            int r = use();
            left = -1;
            failed = failures > 0;
            all_failures += failures;
            ck_assert_msg(r == 0 || (r == -ENOMEM && failed), "%s, call %ld: %s", what, n,
                          mp_err_name(r));
            ck_assert_msg(mptest_fd_count() == open_before, "%s, call %ld: a leak", what, n);
            mp_assert_ok(use());
        }
    }
}

// The name of an object that was not made is free.
static int and_unlink(int r)
{
    int gone = mp_shm_unlink(mptest_name("no-memory"));
    return r < 0 ? r : gone;
}

#define NAMED .name = mptest_name("no-memory")

static int use_lock(mp_lock *l, int r)
{
    if (r == 0)
        r = mp_lock_acquire(l, 0);
    if (r == 0)
        r = mp_lock_release(l);
    mp_lock_free(l);
    return r;
}

static int a_lock(void)
{
    mp_lock *l;
    int r = mp_lock_new(&l, NULL);
    return use_lock(l, r);
}

static int a_named_lock(void)
{
    mp_lock *l, *again;
    int r = mp_lock_new(&l, &(mp_lock_opts){NAMED});
    if (r < 0)
        return r;
    r = mp_lock_attach(&again, mptest_name("no-memory"));
    r = use_lock(again, r);
    mp_lock_free(l);
    return and_unlink(r);
}

static int a_semaphore(void)
{
    mp_semaphore *s;
    int r = mp_semaphore_new(&s, 1, &(mp_semaphore_opts){.robust = true});
    if (r == 0)
        r = mp_semaphore_acquire(s, 0);
    if (r == 0)
        r = mp_semaphore_release(s);
    mp_semaphore_free(s);
    return r;
}

static int a_condition(void)
{
    mp_condition *c;
    int r = mp_condition_new(&c, NULL);
    if (r == 0)
        r = mp_condition_acquire(c, 0);
    if (r == 0) {
        r = mp_condition_wait(c, 0);
        r = r == MP_ETIMEDOUT ? 0 : r;
        int given = mp_condition_release(c); // held, whatever became of the wait
        r = given < 0 ? given : r;
    }
    mp_condition_free(c);
    return r;
}

static int an_event(void)
{
    mp_event *e;
    int r = mp_event_new(&e, NULL);
    if (r == 0)
        r = mp_event_set(e);
    if (r == 0)
        r = mp_event_wait(e, 0);
    mp_event_free(e);
    return r;
}

static int a_barrier(void)
{
    mp_barrier *b;
    int r = mp_barrier_new(&b, 1, NULL);
    if (r == 0)
        r = mp_barrier_wait(b, 0);
    mp_barrier_free(b);
    return r;
}

static int a_rwlock(void)
{
    mp_rwlock *rw;
    int r = mp_rwlock_new(&rw, NULL);
    if (r == 0)
        r = mp_rwlock_acquire_read(rw, 0);
    if (r == 0)
        r = mp_rwlock_release_read(rw);
    if (r == 0)
        r = mp_rwlock_acquire_write(rw, 0);
    if (r == 0)
        r = mp_rwlock_release_write(rw);
    mp_rwlock_free(rw);
    return r;
}

static int a_value(void)
{
    mp_value *v;
    int64_t n = 1;
    int r = mp_value_new(&v, MP_INT64, NULL, NULL);
    if (r == 0)
        r = mp_value_write(v, &n, sizeof n, 0);
    mp_value_free(v);
    return r;
}

static int an_array(void)
{
    mp_array *a, *again;
    int r = mp_array_new(&a, MP_INT32, 1000, NULL, &(mp_array_opts){NAMED});
    if (r < 0)
        return r;
    r = mp_array_attach(&again, mptest_name("no-memory"), MP_INT32, 0);
    mp_array_free(again);
    mp_array_free(a);
    return and_unlink(r);
}

static int an_arena(void)
{
    mp_arena *a;
    void *p;
    int r = mp_arena_new(&a, NULL);
    if (r == 0)
        r = mp_arena_alloc(a, &p, 100, 100);
    if (r == 0)
        r = mp_arena_free(a, p);
    mp_arena_delete(a);
    return r;
}

static int use_dict(mp_shm_dict *d)
{
    mp_shm_dict_iter *it;
    mp_shm_dict_item item;
    void *value = NULL;
    int r = mp_shm_dict_set(d, "k", 1, "v", 1);
    if (r == 0)
        r = (int)mp_shm_dict_get_new(d, "k", 1, &value);
    free(value);
    if (r == 1)
        r = mp_shm_dict_iter_new(&it, d);
    if (r == 0) {
        r = mp_shm_dict_iter_next(it, &item);
        mp_shm_dict_iter_free(it);
        r = r == 1 ? 0 : r;
    }
    return r;
}

static int a_dict(void)
{
    mp_shm_dict *d;
    int r = mp_shm_dict_new(&d, NULL);
    if (r == 0)
        r = use_dict(d);
    mp_shm_dict_free(d);
    return r;
}

static int a_list(void)
{
    mp_shm_list *l;
    mp_shm_list_item *items = NULL;
    int r = mp_shm_list_new(&l, NULL);
    if (r == 0)
        r = mp_shm_list_append(l, "v", 1);
    if (r == 0)
        r = (int)mp_shm_list_copy(l, &items);
    free(items);
    mp_shm_list_free(l);
    return r == 1 ? 0 : r;
}

static int a_queue(void)
{
    mp_queue *q;
    int r = mp_queue_new(&q, NULL);
    if (r == 0)
        r = mp_queue_put(q, "v", 1, 0);
    mp_queue_free(q);
    return r;
}

static int a_pipe(void)
{
    mp_pipe *a, *b;
    int r = mp_pipe_new(&a, &b, NULL);
    if (r == 0)
        r = mp_pipe_send(a, "v", 1, 0);
    mp_pipe_free(a);
    mp_pipe_free(b);
    return r;
}

static int nothing(mp_future *f, void *arg)
{
    (void)f, (void)arg;
    return 0;
}

static int a_future(void)
{
    mp_future *f[2] = {NULL, NULL};
    mp_completed *it = NULL;
    int r = mp_future_new(&f[0], NULL);
    if (r == 0)
        r = mp_future_new(&f[1], &(mp_future_opts){.room = 100});
    if (r == 0)
        r = mp_future_add_done_callback(f[0], nothing, NULL);
    if (r == 0)
        r = mp_future_set_result(f[0], "longer than the room", 20);
    if (r == 0)
        r = (int)mp_futures_wait(f, 2, MP_FIRST_DONE, 0);
    if (r == 1)
        r = mp_futures_as_completed(&it, f, 2);
    if (r == 0)
        r = (int)mp_completed_next(it, NULL, 0);
    mp_completed_free(it);
    mp_future_free(f[0]);
    mp_future_free(f[1]);
    return r;
}

// ---- loops ----

static int turn_once(void *arg)
{
    (void)arg;
    int r = mp_coro_sleep(0);
    return r ? r : mp_coro_sleep(1);
}

// Starts two, sees the first of them end, and waits for the other.
static int see_two_end(void)
{
    mp_coro *t[2] = {NULL, NULL};
    mp_coro_completed *it = NULL;
    int r = mp_coro_start(&t[0], NULL, turn_once, NULL, NULL);
    if (r == 0)
        r = mp_coro_start(&t[1], NULL, turn_once, NULL, NULL);
    if (r == 0)
        r = mp_coro_as_completed(&it, t, 2);
    if (r == 0)
        r = mp_coro_completed_next(it, NULL, MP_FOREVER) < 0;
    mp_coro_completed_free(it);
    if (r == 0)
        r = mp_coro_gather(t, 2);
    for (int i = 0; i < 2; i++) {
        if (t[i])
            mp_coro_result(t[i], NULL); // looked at
        mp_coro_free(t[i]);
    }
    return r;
}

static int wrap_one(void)
{
    mp_coro *p = NULL;
    mp_future *f;
    int r = mp_future_new(&f, NULL);
    if (r < 0)
        return r;
    r = mp_coro_wrap_future(&p, NULL, f);
    if (r == 0)
        r = mp_future_set_result(f, NULL, 0);
    if (r == 0)
        r = mp_await_for(p, 10000);
    mp_coro_free(p);
    mp_future_free(f);
    return r;
}

static int group_and_queue(void)
{
    mp_async_queue *q = NULL;
    mp_group *g;
    int r = mp_group_new(&g);
    if (r < 0)
        return r;
    r = mp_group_start(g, NULL, turn_once, NULL, NULL);
    int end = mp_group_end(g);
    if (r == 0 && end == 0)
        r = mp_async_queue_new(&q, 0);
    if (r == 0 && end == 0)
        r = mp_async_queue_put(q, NULL, 0);
    mp_async_queue_free(q);
    return r ? r : end;
}

static int main_task(void *arg)
{
    (void)arg;
    int r = see_two_end();
    if (r == 0)
        r = wrap_one();
    return r ? r : group_and_queue();
}

static int coroutines(void)
{
    return mp_coro_run(main_task, NULL, 0);
}

static void do_nothing(void *arg)
{
    (void)arg;
}

static void close_it(mp_watch *w, int events, void *arg)
{
    (void)events, (void)arg;
    mp_watch_close(w);
}

static int watch_pipe(mp_loop *loop)
{
    mp_watch *w;
    mp_pipe *a, *b;
    int r = mp_pipe_new(&a, &b, NULL);
    if (r < 0)
        return r;
    r = mp_loop_add_pipe(loop, &w, a, close_it, NULL);
    if (r == 0)
        r = mp_pipe_send(b, "v", 1, 0);
    if (r == 0)
        r = mp_loop_run(loop);
    mp_loop_close(loop);
    mp_pipe_free(a);
    mp_pipe_free(b);
    return r;
}

static int a_loop(void)
{
    mp_loop *loop;
    int r = mp_loop_new(&loop);
    if (r < 0)
        return r;
    int64_t call = mp_loop_call_soon(loop, do_nothing, NULL);
    if (call > 0)
        call = mp_loop_call_later(loop, 1, do_nothing, NULL);
    r = call < 0 ? (int)call : mp_loop_call_soon_threadsafe(loop, do_nothing, NULL);
    if (r == 0)
        r = watch_pipe(loop);
    mp_loop_free(loop);
    return r;
}

MP_TEST(each_call_of_malloc_may_fail)
{
    static const struct {
        const char *what;
        int (*use)(void);
    } all[] = {
        {"lock", a_lock},           {"named lock", a_named_lock},
        {"semaphore", a_semaphore}, {"condition", a_condition},
        {"event", an_event},        {"barrier", a_barrier},
        {"rwlock", a_rwlock},       {"value", a_value},
        {"array", an_array},        {"arena", an_arena},
        {"dict", a_dict},           {"list", a_list},
        {"queue", a_queue},         {"pipe", a_pipe},
        {"future", a_future},       {"loop", a_loop},
        {"coroutines", coroutines},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        never_without_memory(all[i].what, all[i].use);
    ck_assert_int_ge(all_failures, 20); // the calls do come by here
}

#else

MP_TEST(each_call_of_malloc_may_fail)
{
    mp_skip("a sanitizer has a malloc() of its own");
}

#endif
