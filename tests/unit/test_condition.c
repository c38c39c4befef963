// SPDX-License-Identifier: MIT
#include "base/clock.h"
#include "mptest.h"

#include <limits.h>
#include <mp/condition.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

// Who waits: enters, says so under the lock, waits, and says what came.
struct crowd {
    mp_condition *c;
    int timeout_ms, times;
    _Atomic int sleeping, woken, failed;
    _Atomic int order[8];
};

struct one {
    pthread_t thread;
    struct crowd *crowd;
    int number, result;
};

static void *wait_once(void *arg)
{
    struct one *o = arg;
    struct crowd *k = o->crowd;
    for (int i = 0; i < k->times; i++)
        ck_assert_int_eq(mp_condition_acquire(k->c, MP_FOREVER), 0);
    k->sleeping++;
    o->result = mp_condition_wait(k->c, k->timeout_ms);
    k->sleeping--;
    if (o->result == 0) {
        k->order[k->woken % 8] = o->number;
        k->woken++;
    }
    for (int i = 0; i < k->times; i++)
        if (mp_condition_release(k->c) < 0)
            k->failed++;
    if (mp_condition_release(k->c) != (o->result == MP_ECLOSED ? MP_EINVAL : MP_ENOTHELD))
        k->failed++;
    return NULL;
}

// n more who wait, one after the other; they do when this returns.
static void start(struct one *o, int n, struct crowd *k)
{
    for (int i = 0; i < n; i++) {
        int before = k->sleeping;
        o[i] = (struct one){.crowd = k, .number = i};
        ck_assert_int_eq(pthread_create(&o[i].thread, NULL, wait_once, &o[i]), 0);
        ck_assert(mptest_eventually(k->sleeping > before, 10000));
        mp_assert_ok(mp_condition_acquire(k->c, MP_FOREVER)); // ... has given it up: it waits
        mp_assert_ok(mp_condition_release(k->c));
    }
}

static void join(struct one *o, int n, int result)
{
    for (int i = 0; i < n; i++) {
        pthread_join(o[i].thread, NULL);
        mp_assert_err(o[i].result, result);
    }
    ck_assert_int_eq(o->crowd->failed, 0);
}

static int notify(mp_condition *c, size_t n)
{
    mp_assert_ok(mp_condition_acquire(c, MP_FOREVER));
    int r = n == SIZE_MAX ? mp_condition_notify_all(c) : mp_condition_notify(c, n);
    mp_assert_ok(mp_condition_release(c));
    return r;
}

static mp_condition *new_condition(void)
{
    mp_condition *c;
    mp_assert_ok(mp_condition_new(&c, NULL));
    return c;
}

MP_TEST(the_lock_must_be_held)
{
    mp_condition *c = new_condition();
    mp_assert_err(mp_condition_wait(c, 0), MP_ENOTHELD);
    mp_assert_err(mp_condition_notify(c, 1), MP_ENOTHELD);
    mp_assert_err(mp_condition_notify_all(c), MP_ENOTHELD);
    mp_assert_err(mp_condition_release(c), MP_ENOTHELD);
    mp_assert_ok(mp_condition_acquire(c, 0));
    mp_assert_ok(mp_condition_acquire(c, 0)); // its own is an rlock
    mp_assert_ok(mp_condition_release(c));
    ck_assert_int_eq(mp_condition_notify(c, 1), 0); // nobody waits
    ck_assert_int_eq(mp_condition_notify_all(c), 0);
    mp_assert_ok(mp_condition_release(c));
    mp_condition_free(c);
}

MP_TEST(exactly_as_many_wake_as_are_notified)
{
    struct crowd k = {.c = new_condition(), .timeout_ms = MP_FOREVER, .times = 1};
    struct one o[6];
    start(o, 6, &k);
    ck_assert_int_eq(notify(k.c, 0), 0);
    ck_assert_int_eq(notify(k.c, 1), 1);
    ck_assert(mptest_eventually(k.woken == 1, 10000));
    ck_assert_int_eq(notify(k.c, 2), 2);
    ck_assert(mptest_eventually(k.woken == 3, 10000));
    usleep(120000); // two looks: nobody else comes
    ck_assert_int_eq(k.woken, 3);
    ck_assert_int_eq(notify(k.c, 4), 3); // no more wait
    join(o, 6, 0);
    ck_assert_int_eq(notify(k.c, 4), 0);
    mp_condition_free(k.c);
}

MP_TEST(notify_all_wakes_all)
{
    struct crowd k = {.c = new_condition(), .timeout_ms = MP_FOREVER, .times = 1};
    struct one o[40]; // more than fit without growing
    for (int round = 0; round < 2; round++) {
        start(o, 40, &k);
        ck_assert_int_eq(notify(k.c, SIZE_MAX), 40);
        join(o, 40, 0);
    }
    ck_assert_int_eq(k.woken, 80);
    mp_condition_free(k.c);
}

MP_TEST(who_waits_longest_comes_first)
{
    struct crowd k = {.c = new_condition(), .timeout_ms = MP_FOREVER, .times = 1};
    struct one o[5];
    start(o, 5, &k);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(notify(k.c, 1), 1);
        ck_assert(mptest_eventually(k.woken == i + 1, 10000));
        ck_assert_int_eq(k.order[i], i);
    }
    join(o, 5, 0);
    mp_condition_free(k.c);
}

MP_TEST(an_rlock_is_given_up_wholly)
{
    struct crowd k = {.c = new_condition(), .timeout_ms = MP_FOREVER, .times = 3};
    struct one o[2];
    start(o, 2, &k); // gets the lock in between; and each releases three times
    ck_assert_int_eq(notify(k.c, SIZE_MAX), 2);
    join(o, 2, 0);
    mp_condition_free(k.c);
}

MP_TEST(timeouts)
{
    struct crowd k = {.c = new_condition(), .timeout_ms = 100, .times = 2};
    struct one o[2];
    mp_assert_ok(mp_condition_acquire(k.c, 0));
    mp_assert_err(mp_condition_wait(k.c, -2), MP_EINVAL);
    mp_assert_err(mp_condition_wait(k.c, 0), MP_ETIMEDOUT);
    int64_t begin = mp__now();
    mp_assert_err(mp_condition_wait(k.c, 70), MP_ETIMEDOUT);
    ck_assert_int_ge(mp__now() - begin, 70000000);
    ck_assert_int_eq(mp_condition_notify_all(k.c), 0); // none is left behind
    mp_assert_ok(mp_condition_release(k.c));
    start(o, 2, &k);
    join(o, 2, MP_ETIMEDOUT);
    ck_assert_int_eq(notify(k.c, 1), 0);
    mp_condition_free(k.c);
}

// A waiter that is notified in the moment it times out was notified: notifications and those
// who got one are as many.
struct race {
    mp_condition *c;
    _Atomic int woken;
    _Atomic bool stop;
};

static void *time_out_often(void *arg)
{
    struct race *k = arg;
    ck_assert_int_eq(mp_condition_acquire(k->c, MP_FOREVER), 0);
    while (!k->stop) {
        int r = mp_condition_wait(k->c, 1);
        ck_assert(r == 0 || r == MP_ETIMEDOUT);
        k->woken += r == 0;
    }
    ck_assert_int_eq(mp_condition_release(k->c), 0);
    return NULL;
}

MP_TEST(no_timeout_swallows_a_notification)
{
    struct race k = {.c = new_condition()};
    pthread_t t[3];
    int notified = 0;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, time_out_often, &k), 0);
    for (int i = 0; i < 1500; i++) {
        notified += notify(k.c, 1);
        usleep(i % 3 * 300);
    }
    k.stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    ck_assert_int_gt(notified, 0);
    ck_assert_int_eq(k.woken, notified);
    mp_condition_free(k.c);
}

struct state {
    mp_condition *c;
    int value, calls;
    int result;
    int timeout_ms;
};

static bool is_four(void *arg)
{
    struct state *s = arg;
    s->calls++;
    return s->value == 4;
}

static void *wait_for_four(void *arg)
{
    struct state *s = arg;
    ck_assert_int_eq(mp_condition_acquire(s->c, MP_FOREVER), 0);
    s->result = mp_condition_wait_for(s->c, is_four, s, s->timeout_ms);
    ck_assert_int_eq(mp_condition_release(s->c), 0);
    return NULL;
}

static struct state count_to(int n, int timeout_ms)
{
    struct state s = {.c = new_condition(), .timeout_ms = timeout_ms};
    pthread_t t;
    ck_assert_int_eq(pthread_create(&t, NULL, wait_for_four, &s), 0);
    for (int i = 0; i < n; i++) {
        usleep(2000);
        mp_assert_ok(mp_condition_acquire(s.c, MP_FOREVER));
        s.value++;
        mp_assert_ok(mp_condition_notify(s.c, 1));
        mp_assert_ok(mp_condition_release(s.c));
    }
    pthread_join(t, NULL);
    mp_condition_free(s.c);
    return s;
}

MP_TEST(wait_for)
{
    mp_assert_ok(count_to(4, MP_FOREVER).result);
    mp_assert_ok(count_to(4, 15000).result);
    mp_assert_err(count_to(3, 100).result, MP_ETIMEDOUT);
    struct state s = {.c = new_condition(), .value = 4};
    mp_assert_err(mp_condition_wait_for(s.c, is_four, &s, 0), MP_ENOTHELD);
    ck_assert_int_eq(s.calls, 0);
    mp_assert_ok(mp_condition_acquire(s.c, 0));
    mp_assert_ok(mp_condition_wait_for(s.c, is_four, &s, 0)); // does not wait
    s.value = 3;
    mp_assert_err(mp_condition_wait_for(s.c, is_four, &s, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_condition_wait_for(s.c, NULL, &s, 0), MP_EINVAL);
    mp_assert_err(mp_condition_wait_for(s.c, is_four, &s, -7), MP_EINVAL);
    mp_assert_ok(mp_condition_release(s.c));
    mp_condition_free(s.c);
}

MP_TEST(two_conditions_on_one_lock)
{
    mp_arena *a;
    mp_assert_ok(mp_arena_new(&a, NULL));
    for (int recursive = 0; recursive < 2; recursive++) {
        mp_lock *l = NULL;
        mp_rlock *r = NULL;
        struct crowd k[2] = {{.timeout_ms = MP_FOREVER, .times = 1 + recursive},
                             {.timeout_ms = MP_FOREVER, .times = 1 + recursive}};
        struct one o[2][2];
        if (recursive)
            mp_assert_ok(mp_rlock_new(&r, &(mp_lock_opts){.arena = a}));
        else
            mp_assert_ok(mp_lock_new(&l, &(mp_lock_opts){.arena = a}));
        for (int i = 0; i < 2; i++) {
            mp_assert_ok(mp_condition_new(&k[i].c, &(mp_condition_opts){.lock = l, .rlock = r}));
            start(o[i], 2, &k[i]);
        }
        ck_assert_int_eq(notify(k[1].c, SIZE_MAX), 2);
        join(o[1], 2, 0);
        ck_assert_int_eq(k[0].woken, 0);
        if (recursive)
            mp_assert_ok(mp_rlock_acquire(r, 0));
        else
            mp_assert_ok(mp_lock_acquire(l, 0));
        ck_assert_int_eq(mp_condition_notify(k[0].c, 2), 2); // holding the lock itself
        mp_assert_ok(mp_condition_release(k[0].c));
        join(o[0], 2, 0);
        mp_condition_free(k[0].c);
        mp_condition_free(k[1].c);
        ck_assert(!mp_lock_locked(l) && !mp_rlock_locked(r));
        mp_lock_free(l);
        mp_rlock_free(r);
    }
    mp_arena_stats s;
    mp_assert_ok(mp_arena_get_stats(a, &s));
    ck_assert_uint_le(s.blocks, 1); // the table of lives
    mp_arena_delete(a);
}

MP_TEST(nonsense)
{
    mp_condition *c = (mp_condition *)&c;
    mp_lock *l;
    mp_rlock *r;
    mp_arena *a;
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_ok(mp_lock_new(&l, NULL));
    mp_assert_ok(mp_rlock_new(&r, NULL));
    mp_assert_err(mp_condition_new(NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_condition_new(&c, &(mp_condition_opts){.lock = l, .rlock = r}), MP_EINVAL);
    ck_assert_ptr_null(c);
    mp_assert_err(mp_condition_new(&c, &(mp_condition_opts){.lock = l, .name = "x"}), MP_EINVAL);
    mp_assert_err(mp_condition_new(&c, &(mp_condition_opts){.lock = l, .arena = a}), MP_EINVAL);
    mp_assert_err(mp_condition_new(&c, &(mp_condition_opts){.lock = (mp_lock *)r}), MP_EINVAL);
    mp_assert_err(mp_condition_new(&c, &(mp_condition_opts){.arena = a, .name = "x"}), MP_EINVAL);
    mp_assert_err(mp_condition_attach(NULL, "x"), MP_EINVAL);
    mp_assert_err(mp_condition_acquire(NULL, 0), MP_EINVAL);
    mp_assert_err(mp_condition_release(NULL), MP_EINVAL);
    mp_assert_err(mp_condition_consistent(NULL), MP_EINVAL);
    mp_assert_err(mp_condition_dead_owner(NULL), MP_EINVAL);
    mp_assert_err(mp_condition_wait(NULL, 0), MP_EINVAL);
    mp_assert_err(mp_condition_wait_for(NULL, is_four, NULL, 0), MP_EINVAL);
    mp_assert_err(mp_condition_notify(NULL, 1), MP_EINVAL);
    mp_assert_err(mp_condition_notify_all(NULL), MP_EINVAL);
    mp_assert_err(mp_condition_acquire((mp_condition *)l, 0), MP_EINVAL);
    mp_condition_free(NULL);
    mp_lock_free(l);
    mp_rlock_free(r);
    mp_arena_delete(a);
}

MP_TEST(a_freed_lock_makes_a_useless_condition)
{
    mp_arena *a;
    mp_lock *l;
    mp_condition *c;
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_ok(mp_lock_new(&l, &(mp_lock_opts){.arena = a}));
    mp_assert_ok(mp_condition_new(&c, &(mp_condition_opts){.lock = l}));
    mp_lock_free(l);
    mp_assert_err(mp_condition_acquire(c, 0), MP_EINVAL);
    mp_condition_free(c);
    mp_assert_err(mp_condition_acquire(c, 0), MP_EINVAL);
    mp_condition_free(c);
    mp_arena_delete(a);
}

MP_TEST(freed_while_others_wait)
{
    struct crowd k = {.c = new_condition(), .timeout_ms = MP_FOREVER, .times = 1};
    struct one o[3];
    start(o, 3, &k);
    mp_condition_free(k.c); // with its own rlock: that is not held when they return
    for (int i = 0; i < 3; i++) {
        pthread_join(o[i].thread, NULL);
        mp_assert_err(o[i].result, MP_ECLOSED);
    }
    mp_assert_err(mp_condition_acquire(k.c, 0), MP_EINVAL);
}

static void *die_in_thread(void *arg)
{
    ck_assert_int_eq(mp_condition_acquire(arg, MP_FOREVER), 0);
    return NULL;
}

static void *wait_and_mend(void *arg)
{
    struct one *o = arg;
    mp_condition *c = o->crowd->c;
    ck_assert_int_eq(mp_condition_acquire(c, MP_FOREVER), 0);
    ck_assert_int_eq(mp_condition_acquire(c, MP_FOREVER), 0);
    o->crowd->sleeping++;
    o->result = mp_condition_wait(c, 200);
    if (o->result == MP_EOWNERDEAD) {
        ck_assert_int_eq(mp_condition_dead_owner(c), getpid());
        ck_assert_int_eq(mp_condition_wait(c, 0), MP_ESTATE); // first this
        ck_assert_int_eq(mp_condition_consistent(c), 0);
    }
    ck_assert_int_eq(mp_condition_release(c), 0);
    ck_assert_int_eq(mp_condition_release(c), 0);
    return NULL;
}

MP_TEST(who_waits_learns_that_the_locks_owner_died)
{
    if (MPTEST_TSAN)
        mp_skip("it does not see that the kernel releases for the dead");
    struct crowd k = {.c = new_condition()};
    struct one o = {.crowd = &k};
    pthread_t t;
    ck_assert_int_eq(pthread_create(&o.thread, NULL, wait_and_mend, &o), 0);
    ck_assert(mptest_eventually(k.sleeping == 1, 10000));
    ck_assert_int_eq(pthread_create(&t, NULL, die_in_thread, k.c), 0);
    pthread_join(t, NULL);
    pthread_join(o.thread, NULL);
    mp_assert_err(o.result, MP_EOWNERDEAD);
    ck_assert_int_eq(notify(k.c, SIZE_MAX), 0);
    mp_condition_free(k.c);
}

static void on_alarm(int sig)
{
    (void)sig;
}

MP_TEST(signals_wake_nobody)
{
    mp_condition *c = new_condition();
    struct sigaction sa = {.sa_handler = on_alarm}, old; // without SA_RESTART
    struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &sa, &old);
    setitimer(ITIMER_REAL, &often, NULL);
    mp_assert_ok(mp_condition_acquire(c, 0));
    int64_t begin = mp__now();
    mp_assert_err(mp_condition_wait(c, 300), MP_ETIMEDOUT);
    ck_assert_int_ge(mp__now() - begin, 300000000);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old, NULL);
    mp_assert_ok(mp_condition_release(c));
    mp_condition_free(c);
}
