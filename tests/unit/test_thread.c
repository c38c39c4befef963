// SPDX-License-Identifier: MIT
#include "logged.h"
#include "mptest.h"

#include <errno.h>
#include <mp/event.h>
#include <mp/lock.h>
#include <mp/process.h>
#include <mp/queue.h>
#include <mp/semaphore.h>
#include <mp/thread.h>
#include <mp/timer.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static int give_back(void *arg)
{
    return (int)(intptr_t)arg;
}

static int wait_for(void *event)
{
    return mp_event_wait(event, MP_FOREVER);
}

static mp_event *new_event(void)
{
    mp_event *e;
    mp_assert_ok(mp_event_new(&e, NULL));
    return e;
}

static void quiet(mp_thread *t, int result, const char *text)
{
    (void)t, (void)result, (void)text;
}

MP_TEST(start_join_result)
{
    mp_thread *t;
    int result = -1;
    mp_assert_ok(mp_thread_start(&t, give_back, (void *)0, NULL));
    mp_assert_ok(mp_thread_join(t, MP_FOREVER));
    mp_assert_ok(mp_thread_join(t, 0)); // again
    mp_assert_ok(mp_thread_result(t, &result));
    ck_assert_int_eq(result, 0);
    ck_assert(!mp_thread_is_alive(t));
    ck_assert_int_gt(mp_thread_native_id(t), 0);
    ck_assert_str_eq(mp_thread_error(t), "");
    mp_thread_free(t);
}

MP_TEST(join_gives_up)
{
    mp_event *e = new_event();
    mp_thread *t;
    int result;
    mp_assert_ok(mp_thread_start(&t, wait_for, e, NULL));
    mp_assert_err(mp_thread_join(t, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_thread_join(t, 20), MP_ETIMEDOUT);
    mp_assert_err(mp_thread_result(t, &result), MP_EAGAIN);
    ck_assert(mp_thread_is_alive(t));
    mp_assert_ok(mp_event_set(e));
    mp_assert_ok(mp_thread_join(t, MP_FOREVER));
    mp_thread_free(t);
    mp_event_free(e);
}

// ---- objects ----

struct greeter {
    mp_runnable base;
    const char *greeting;
    char said[32];
};

static int greet(mp_runnable *self)
{
    struct greeter *g = (struct greeter *)self;
    snprintf(g->said, sizeof g->said, "%s from %s", g->greeting, mp_thread_name(g->base.thread));
    return mp_thread_current() == g->base.thread ? 0 : 1;
}

MP_TEST(objects_run_themselves)
{
    struct greeter a = {.base.run = greet, .greeting = "Hello"}, b = a;
    int result;
    mp_assert_ok(mp_thread_start_object(&a.base, &(mp_thread_opts){.name = "one"}));
    mp_assert_ok(mp_thread_start_object(&b.base, &(mp_thread_opts){.name = "two"}));
    mp_assert_ok(mp_thread_join(a.base.thread, MP_FOREVER));
    mp_assert_ok(mp_thread_join(b.base.thread, MP_FOREVER));
    mp_assert_ok(mp_thread_result(a.base.thread, &result));
    ck_assert_int_eq(result, 0);
    ck_assert_str_eq(a.said, "Hello from one");
    ck_assert_str_eq(b.said, "Hello from two");
    mp_thread_free(a.base.thread);
    mp_thread_free(b.base.thread);
}

// ---- names, who there is ----

static bool is_listed(const mp_thread *t)
{
    mp_thread *list[16];
    size_t n = mp_thread_enumerate(list, 16);
    for (size_t i = 0; i < n; i++)
        if (list[i] == t)
            return true;
    return false;
}

MP_TEST(names_main_and_enumerate)
{
    mp_event *e = new_event();
    mp_thread *t[3];
    ck_assert_ptr_eq(mp_thread_current(), mp_thread_main());
    ck_assert_str_eq(mp_thread_name(mp_thread_main()), "MainThread");
    ck_assert_uint_eq(mp_thread_count(), 1);
    mp_assert_ok(mp_thread_start(&t[0], wait_for, e, NULL));
    mp_assert_ok(
        mp_thread_start(&t[1], wait_for, e, &(mp_thread_opts){.name = "a name", .daemon = true}));
    mp_assert_ok(mp_thread_start(&t[2], wait_for, e, NULL));
    ck_assert_str_eq(mp_thread_name(t[0]), "Thread-1");
    ck_assert_str_eq(mp_thread_name(t[1]), "a name");
    ck_assert_str_eq(mp_thread_name(t[2]), "Thread-2");
    ck_assert(!mp_thread_daemon(t[0]) && mp_thread_daemon(t[1]));
    ck_assert_uint_eq(mp_thread_count(), 4);
    for (int i = 0; i < 3; i++)
        ck_assert(is_listed(t[i]));
    mp_thread *first;
    ck_assert_uint_eq(mp_thread_enumerate(&first, 1), 4);
    ck_assert_ptr_eq(first, mp_thread_main());
    mp_assert_ok(mp_event_set(e));
    for (int i = 0; i < 3; i++) {
        mp_assert_ok(mp_thread_join(t[i], MP_FOREVER));
        ck_assert(!is_listed(t[i]));
        mp_thread_free(t[i]);
    }
    ck_assert_uint_eq(mp_thread_count(), 1);
    mp_event_free(e);
}

static void *look_at_self(void *arg)
{
    mp_thread *me = mp_thread_current();
    ck_assert_ptr_eq(me, mp_thread_current());
    ck_assert_str_eq(mp_thread_name(me), "Dummy-1");
    ck_assert(mp_thread_daemon(me) && mp_thread_is_alive(me) && is_listed(me));
    ck_assert_ptr_ne(me, mp_thread_main());
    mp_assert_err(mp_thread_join(me, 0), MP_ESTATE);
    *(size_t *)arg = mp_thread_count();
    return NULL;
}

MP_TEST(threads_of_others_are_dummies)
{
    pthread_t t;
    size_t count = 0;
    pthread_create(&t, NULL, look_at_self, &count);
    pthread_join(t, NULL);
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(mp_thread_count(), 1);
}

// ---- failures ----

static atomic_int hooked;
static char hook_text[64];

static void note_failure(mp_thread *t, int result, const char *text)
{
    hooked = result;
    snprintf(hook_text, sizeof hook_text, "%s: %s", mp_thread_name(t), text);
}

static int fail_with_text(void *arg)
{
    return mp_thread_fail(-ENOENT, "no file %s", (char *)arg);
}

MP_TEST(failures_reach_the_hook_with_their_text)
{
    mp_thread *t;
    int result;
    char name[] = "x.conf";
    ck_assert(!mp_thread_set_hook(note_failure));
    mp_assert_ok(mp_thread_start(&t, fail_with_text, name, NULL));
    mp_assert_ok(mp_thread_join(t, MP_FOREVER));
    mp_assert_ok(mp_thread_result(t, &result));
    ck_assert_int_eq(result, -ENOENT);
    ck_assert_int_eq(hooked, -ENOENT);
    ck_assert_str_eq(mp_thread_error(t), "no file x.conf");
    ck_assert_str_eq(hook_text, "Thread-1: no file x.conf");
    mp_thread_free(t);

    mp_assert_ok(mp_thread_start(&t, give_back, (void *)(intptr_t)MP_EPIPE, NULL));
    mp_assert_ok(mp_thread_join(t, MP_FOREVER));
    ck_assert_str_eq(mp_thread_error(t), mp_strerror(MP_EPIPE));
    mp_thread_free(t);
    ck_assert(mp_thread_set_hook(NULL) == note_failure);
}

MP_TEST(without_a_hook_the_log_is_told)
{
    mp_thread *t;
    char name[] = "x.conf";
    open_log();
    mp_assert_ok(mp_thread_start(&t, fail_with_text, name, &(mp_thread_opts){.name = "reader"}));
    mp_assert_ok(mp_thread_join(t, MP_FOREVER));
    mp_thread_free(t);
    const char *text = close_log();
    ck_assert_msg(strstr(text, "reader") && strstr(text, "no file x.conf"), "logged: %s", text);
}

static int exit_at_once(void *arg)
{
    pthread_exit(arg);
}

MP_TEST(pthread_exit_is_an_end_too)
{
    mp_thread *t;
    int result;
    mp_thread_set_hook(quiet);
    mp_assert_ok(mp_thread_start(&t, exit_at_once, NULL, NULL));
    mp_assert_ok(mp_thread_join(t, MP_FOREVER));
    mp_assert_ok(mp_thread_result(t, &result));
    ck_assert_int_eq(result, MP_ECANCELED);
    ck_assert_uint_eq(mp_thread_count(), 1);
    mp_thread_free(t);
}

// ---- handles ----

static int free_self(void *arg)
{
    mp_event *e = arg;
    mp_thread *me = mp_thread_current();
    if (mp_thread_join(me, 0) != MP_ESTATE)
        return 1;
    mp_thread_free(me); // the handle of who started it
    return mp_event_set(e);
}

MP_TEST(handle_freed_while_it_runs)
{
    mp_event *e = new_event();
    mp_thread *t;
    mp_assert_ok(mp_thread_start(&t, wait_for, e, NULL));
    mp_thread_free(t);
    ck_assert_uint_eq(mp_thread_count(), 2);
    mp_assert_ok(mp_event_set(e));
    ck_assert(mptest_eventually(mp_thread_count() == 1, 10000));
    mp_assert_ok(mp_event_clear(e));
    mp_assert_ok(mp_thread_start(&t, free_self, e, NULL));
    mp_assert_ok(mp_event_wait(e, MP_FOREVER));
    ck_assert(mptest_eventually(mp_thread_count() == 1, 10000));
    mp_event_free(e);
    usleep(20000); // detached: until the system has forgotten them
}

static int join_it(void *arg)
{
    return mp_thread_join(arg, MP_FOREVER);
}

MP_TEST(many_may_join_one)
{
    mp_event *e = new_event();
    mp_thread *t, *joiners[4];
    int result;
    mp_assert_ok(mp_thread_start(&t, wait_for, e, NULL));
    for (int i = 0; i < 4; i++)
        mp_assert_ok(mp_thread_start(&joiners[i], join_it, t, NULL));
    mp_assert_ok(mp_event_set(e));
    for (int i = 0; i < 4; i++) {
        mp_assert_ok(mp_thread_join(joiners[i], MP_FOREVER));
        mp_assert_ok(mp_thread_result(joiners[i], &result));
        ck_assert_int_eq(result, 0);
        mp_thread_free(joiners[i]);
    }
    mp_thread_free(t);
    mp_event_free(e);
}

MP_TEST(nonsense)
{
    mp_thread *t = (void *)&t;
    int result;
    mp_assert_err(mp_thread_start(NULL, give_back, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_thread_start(&t, NULL, NULL, NULL), MP_EINVAL);
    ck_assert_ptr_null(t);
    mp_assert_err(mp_thread_start(&t, give_back, NULL, &(mp_thread_opts){.stack_size = 1}),
                  MP_EINVAL);
    ck_assert_ptr_null(t);
    mp_assert_err(mp_thread_start_object(NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_thread_start_object(&(mp_runnable){0}, NULL), MP_EINVAL);
    mp_assert_err(mp_thread_join(NULL, 0), MP_EINVAL);
    mp_assert_err(mp_thread_join(mp_thread_main(), 0), MP_ESTATE);
    mp_assert_err(mp_thread_result(NULL, &result), MP_EINVAL);
    mp_assert_err(mp_thread_result(mp_thread_main(), &result), MP_ESTATE);
    ck_assert(!mp_thread_is_alive(NULL) && !mp_thread_daemon(NULL) && !mp_thread_name(NULL));
    ck_assert_int_eq(mp_thread_native_id(NULL), 0);
    ck_assert_str_eq(mp_thread_error(NULL), "");
    mp_thread_free(NULL);
    mp_thread_free(mp_thread_main()); // not to be freed: nothing happens
    ck_assert_int_eq(mp_thread_fail(7, NULL), 7);
    mp_assert_ok(mp_thread_start(&t, give_back, NULL, &(mp_thread_opts){.stack_size = 1 << 20}));
    mp_assert_err(mp_thread_join(t, -2), MP_EINVAL);
    mp_assert_ok(mp_thread_join(t, MP_FOREVER));
    mp_assert_err(mp_thread_result(t, NULL), MP_EINVAL);
    mp_thread_free(t);
}

// ---- forks ----

static int use_in_child(void *arg)
{
    mp_thread *t = arg, *mine;
    int result;
    mptest_require(mp_thread_join(t, MP_FOREVER) == MP_EOWNER);
    mptest_require(mp_thread_result(t, &result) == MP_EOWNER);
    mptest_require(!mp_thread_is_alive(t));
    mptest_require(mp_thread_count() == 1);
    mptest_require(mp_thread_current() == mp_thread_main());
    mptest_require(mp_thread_is_alive(mp_thread_main()));
    mp_thread_free(t);
    mptest_require(mp_thread_start(&mine, give_back, NULL, NULL) == 0);
    mptest_require(strcmp(mp_thread_name(mine), "Thread-1") == 0);
    mptest_require(mp_thread_join(mine, MP_FOREVER) == 0);
    mp_thread_free(mine);
    return 0;
}

// Two events, in turn: one thread says that it is up, and is told to go on.
struct meeting {
    mp_event *up, *go;
    mp_thread *other;
};

static struct meeting new_meeting(void)
{
    return (struct meeting){.up = new_event(), .go = new_event()};
}

static void free_meeting(struct meeting *m)
{
    mp_event_free(m->up);
    mp_event_free(m->go);
}

static int meet(void *meeting)
{
    struct meeting *m = meeting;
    int r = mp_event_set(m->up);
    return r < 0 ? r : wait_for(m->go);
}

static int meet_and_fork(void *meeting)
{
    struct meeting *m = meeting;
    int r = meet(m);
    return r < 0 ? r : mptest_in_child(use_in_child, m->other);
}

// A thread that starts has locks of a sanitizer for a moment, which a child forked in it never
// gets: nobody forks here before the others are up, and at rest.
static mp_thread *start_and_meet(int (*fn)(void *), struct meeting *m)
{
    mp_thread *t;
    mp_assert_ok(mp_thread_start(&t, fn, m, NULL));
    mp_assert_ok(mp_event_wait(m->up, MP_FOREVER));
    return t;
}

MP_TEST(a_forked_child_has_one_thread)
{
    if (MPTEST_TSAN)
        mp_skip("threads after a fork of a threaded program are beyond this sanitizer");
    struct meeting first = new_meeting(), second = new_meeting();
    int result;
    mp_thread *t = start_and_meet(meet, &first);
    ck_assert_int_eq(mptest_in_child(use_in_child, t), 0);
    // A thread that forks is the main one of its child.
    second.other = t;
    mp_thread *forker = start_and_meet(meet_and_fork, &second);
    mp_assert_ok(mp_event_set(second.go));
    mp_assert_ok(mp_thread_join(forker, MP_FOREVER));
    mp_assert_ok(mp_thread_result(forker, &result));
    ck_assert_int_eq(result, 0);
    mp_thread_free(forker);
    mp_assert_ok(mp_event_set(first.go));
    mp_assert_ok(mp_thread_join(t, MP_FOREVER));
    mp_thread_free(t);
    free_meeting(&first);
    free_meeting(&second);
}

static int write_late(void *arg)
{
    usleep(30000);
    return write(*(int *)arg, "x", 1) == 1 ? 0 : 1;
}

static int start_and_return(void *arg)
{
    mp_thread *t;
    return mp_thread_start(&t, write_late, arg, NULL);
}

static int start_daemon_and_return(void *arg)
{
    static mp_event *never;
    mp_thread *t;
    int r = mp_event_new(&never, NULL);
    (void)arg;
    return r ? r : mp_thread_start(&t, wait_for, never, &(mp_thread_opts){.daemon = true});
}

MP_TEST(end_of_a_process_waits_for_its_threads_but_daemons)
{
    if (MPTEST_TSAN)
        mp_skip("the end of a process with threads is beyond this sanitizer");
    int fds[2], code;
    char c;
    mp_process *p;
    ck_assert_int_eq(pipe(fds), 0);
    mp_assert_ok(mp_process_start(&p, start_and_return, &fds[1], NULL));
    mp_assert_ok(mp_process_join(p, MP_FOREVER));
    mp_assert_ok(mp_process_exitcode(p, &code));
    ck_assert_int_eq(code, 0);
    close(fds[1]);
    ck_assert_int_eq(read(fds[0], &c, 1), 1);
    close(fds[0]);
    mp_process_free(p);
    mp_assert_ok(mp_process_start(&p, start_daemon_and_return, NULL, NULL));
    mp_assert_ok(mp_process_join(p, 10000));
    mp_assert_ok(mp_process_exitcode(p, &code));
    ck_assert_int_eq(code, 0);
    mp_process_free(p);
}

static int exit_with_a_thread(void *arg)
{
    mp_thread *t;
    mptest_require(mp_runtime_init() == 0);
    mptest_require(mp_thread_start(&t, write_late, arg, NULL) == 0);
    exit(0);
}

MP_TEST(exit_waits_after_mp_runtime_init)
{
    if (MPTEST_TSAN)
        mp_skip("the end of a process with threads is beyond this sanitizer");
    int fds[2];
    char c;
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(mptest_in_child(exit_with_a_thread, &fds[1]), 0);
    close(fds[1]);
    ck_assert_int_eq(read(fds[0], &c, 1), 1);
    close(fds[0]);
}

// ---- what processes use serves threads ----

struct shared {
    mp_lock *lock;
    mp_rlock *rlock;
    mp_semaphore *semaphore;
    mp_queue *queue;
    int count;
    atomic_int inside, most;
};

static int add_under_lock(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < 1000; i++) {
        mp_assert_ok(mp_lock_acquire(s->lock, MP_FOREVER));
        s->count++;
        mp_assert_ok(mp_lock_release(s->lock));
    }
    return 0;
}

static int add_under_rlock(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < 1000; i++) {
        mp_assert_ok(mp_rlock_acquire(s->rlock, MP_FOREVER));
        mp_assert_ok(mp_rlock_acquire(s->rlock, MP_FOREVER));
        s->count++;
        mp_assert_ok(mp_rlock_release(s->rlock));
        mp_assert_ok(mp_rlock_release(s->rlock));
    }
    return 0;
}

static int be_inside(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < 100; i++) {
        mp_assert_ok(mp_semaphore_acquire(s->semaphore, MP_FOREVER));
        int now = ++s->inside;
        if (now > s->most)
            s->most = now;
        s->inside--;
        mp_assert_ok(mp_semaphore_release(s->semaphore));
    }
    return 0;
}

static void in_four_threads(mp_thread_fn *fn, void *arg)
{
    mp_thread *t[4];
    for (int i = 0; i < 4; i++)
        mp_assert_ok(mp_thread_start(&t[i], fn, arg, NULL));
    for (int i = 0; i < 4; i++) {
        mp_assert_ok(mp_thread_join(t[i], MP_FOREVER));
        mp_thread_free(t[i]);
    }
}

MP_TEST(locks_and_semaphores_between_threads)
{
    struct shared s = {0};
    mp_assert_ok(mp_lock_new(&s.lock, NULL));
    mp_assert_ok(mp_rlock_new(&s.rlock, NULL));
    mp_assert_ok(mp_semaphore_new(&s.semaphore, 2, NULL));
    in_four_threads(add_under_lock, &s);
    ck_assert_int_eq(s.count, 4000);
    in_four_threads(add_under_rlock, &s);
    ck_assert_int_eq(s.count, 8000);
    in_four_threads(be_inside, &s);
    ck_assert_int_le(s.most, 2);
    mp_lock_free(s.lock);
    mp_rlock_free(s.rlock);
    mp_semaphore_free(s.semaphore);
}

static int put_numbers(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < 1000; i++)
        mp_assert_ok(mp_queue_put(s->queue, &i, sizeof i, MP_FOREVER));
    return 0;
}

static int get_numbers(void *arg)
{
    struct shared *s = arg;
    int i;
    while (mp_queue_get(s->queue, &i, sizeof i, MP_FOREVER) == sizeof i) {
        s->inside += i;
        mp_assert_ok(mp_queue_task_done(s->queue));
    }
    return 0;
}

MP_TEST(queues_of_all_kinds_between_threads)
{
    for (int kind = MP_FIFO; kind <= MP_PRIORITY; kind++) {
        struct shared s = {0};
        mp_thread *t[3];
        mp_assert_ok(
            mp_queue_new(&s.queue, &(mp_queue_opts){.kind = (mp_queue_kind)kind, .max_items = 64}));
        for (int i = 0; i < 3; i++)
            mp_assert_ok(mp_thread_start(&t[i], get_numbers, &s, NULL));
        in_four_threads(put_numbers, &s);
        mp_assert_ok(mp_queue_join(s.queue, MP_FOREVER));
        mp_assert_ok(mp_queue_shutdown(s.queue, MP_DRAIN));
        for (int i = 0; i < 3; i++) {
            mp_assert_ok(mp_thread_join(t[i], MP_FOREVER));
            mp_thread_free(t[i]);
        }
        ck_assert_int_eq(s.inside, 4 * 999 * 500);
        mp_queue_free(s.queue);
    }
}

// ---- timers ----

static int set_it(void *event)
{
    return mp_event_set(event);
}

MP_TEST(timer_fires_once)
{
    mp_event *e = new_event();
    mp_timer *t;
    mp_assert_ok(mp_timer_start(&t, 10, set_it, e, NULL));
    mp_assert_ok(mp_event_wait(e, MP_FOREVER));
    mp_assert_ok(mp_timer_join(t, MP_FOREVER));
    mp_assert_err(mp_timer_cancel(t), MP_ESTATE);
    mp_timer_free(t);
    mp_assert_ok(mp_timer_start(&t, 0, set_it, e, NULL));
    mp_assert_ok(mp_timer_join(t, MP_FOREVER));
    mp_timer_free(t);
    mp_event_free(e);
}

MP_TEST(timer_cancelled)
{
    mp_event *e = new_event();
    mp_timer *t;
    mp_assert_ok(mp_timer_start(&t, 3600000, set_it, e, NULL));
    mp_assert_err(mp_timer_join(t, 1), MP_ETIMEDOUT);
    mp_assert_ok(mp_timer_cancel(t));
    mp_assert_ok(mp_timer_cancel(t));
    mp_assert_ok(mp_timer_join(t, MP_FOREVER));
    ck_assert(!mp_event_is_set(e));
    mp_timer_free(t);
    mp_event_free(e);
}

static int use_timer_in_child(void *timer)
{
    mptest_require(mp_timer_cancel(timer) == MP_EOWNER);
    mptest_require(mp_timer_join(timer, MP_FOREVER) == MP_EOWNER);
    mp_timer_free(timer);
    return 0;
}

MP_TEST(timer_nonsense)
{
    mp_timer *t;
    mp_assert_err(mp_timer_start(NULL, 0, set_it, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_timer_start(&t, 0, NULL, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_timer_start(&t, -1, set_it, NULL, NULL), MP_EINVAL);
    ck_assert_ptr_null(t);
    mp_assert_err(mp_timer_cancel(NULL), MP_EINVAL);
    mp_assert_err(mp_timer_join(NULL, 0), MP_EINVAL);
    mp_timer_free(NULL);
    mp_event *e = new_event();
    mp_assert_ok(mp_timer_start(&t, 3600000, set_it, e, NULL));
    ck_assert_int_eq(mptest_in_child(use_timer_in_child, t), 0);
    mp_assert_ok(mp_timer_cancel(t));
    mp_assert_ok(mp_timer_join(t, MP_FOREVER));
    mp_timer_free(t);
    mp_event_free(e);
}
