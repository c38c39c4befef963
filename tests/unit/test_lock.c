// SPDX-License-Identifier: MIT
#include "base/clock.h"
#include "mptest.h"
#include "shm/lock.h"

#include <limits.h>
#include <mp/lock.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>

static mp_lock *new_lock(void)
{
    mp_lock *l;
    mp_assert_ok(mp_lock_new(&l, NULL));
    return l;
}

static mp_rlock *new_rlock(void)
{
    mp_rlock *l;
    mp_assert_ok(mp_rlock_new(&l, NULL));
    return l;
}

// A thread that holds a lock until it is told to let go.
struct holder {
    pthread_t thread;
    mp_lock *lock;
    mp_rlock *rlock;
    _Atomic bool has, stop;
};

static void *hold(void *arg)
{
    struct holder *h = arg;
    ck_assert_int_eq(
        h->lock ? mp_lock_acquire(h->lock, MP_FOREVER) : mp_rlock_acquire(h->rlock, MP_FOREVER), 0);
    h->has = true;
    while (!h->stop)
        usleep(500);
    ck_assert_int_eq(h->lock ? mp_lock_release(h->lock) : mp_rlock_release(h->rlock), 0);
    return NULL;
}

static void start_holder(struct holder *h)
{
    ck_assert_int_eq(pthread_create(&h->thread, NULL, hold, h), 0);
    ck_assert(mptest_eventually(h->has, 10000));
}

static void stop_holder(struct holder *h)
{
    h->stop = true;
    pthread_join(h->thread, NULL);
}

MP_TEST(acquire_and_release)
{
    mp_lock *l = new_lock();
    static const int timeouts[] = {MP_FOREVER, 0, 1, INT_MAX};
    ck_assert(!mp_lock_locked(l));
    for (size_t i = 0; i < 4; i++) {
        mp_assert_ok(mp_lock_acquire(l, timeouts[i]));
        ck_assert(mp_lock_locked(l));
        mp_assert_ok(mp_lock_release(l));
        ck_assert(!mp_lock_locked(l));
    }
    mp_lock_free(l);
}

MP_TEST(a_thread_does_not_wait_for_itself)
{
    mp_lock *l = new_lock();
    mp_assert_ok(mp_lock_acquire(l, MP_FOREVER));
    mp_assert_err(mp_lock_acquire(l, MP_FOREVER), MP_EHELD);
    mp_assert_err(mp_lock_acquire(l, 0), MP_EHELD);
    mp_assert_err(mp_lock_acquire(l, 1000), MP_EHELD);
    mp_assert_ok(mp_lock_release(l)); // still held, and once is enough
    mp_assert_err(mp_lock_release(l), MP_ENOTHELD);
    mp_lock_free(l);
}

MP_TEST(an_rlock_counts)
{
    mp_rlock *l = new_rlock();
    for (int i = 0; i < 100; i++)
        mp_assert_ok(mp_rlock_acquire(l, i % 3 - 1));
    for (int i = 0; i < 100; i++) {
        ck_assert(mp_rlock_locked(l));
        mp_assert_ok(mp_rlock_release(l));
    }
    ck_assert(!mp_rlock_locked(l));
    mp_assert_err(mp_rlock_release(l), MP_ENOTHELD);
    mp_rlock_free(l);
}

MP_TEST(an_rlock_does_not_overflow)
{
    mp_rlock *l = new_rlock();
    mp_assert_ok(mp_rlock_acquire(l, 0));
    l->lock.again = MP__LOCK_MAX_AGAIN - 1;
    mp_assert_ok(mp_rlock_acquire(l, 0));
    mp_assert_err(mp_rlock_acquire(l, MP_FOREVER), MP_EOVERFLOW);
    mp_assert_err(mp_rlock_acquire(l, 0), MP_EOVERFLOW);
    mp_assert_ok(mp_rlock_release(l));
    mp_assert_ok(mp_rlock_acquire(l, 0));
    l->lock.again = 0;
    mp_assert_ok(mp_rlock_release(l));
    mp_rlock_free(l);
}

MP_TEST(timeouts)
{
    struct holder h = {.lock = new_lock()};
    start_holder(&h);
    ck_assert(mp_lock_locked(h.lock));
    mp_assert_err(mp_lock_acquire(h.lock, 0), MP_ETIMEDOUT);
    int64_t start = mp__now();
    mp_assert_err(mp_lock_acquire(h.lock, 120), MP_ETIMEDOUT); // longer than a look
    ck_assert_int_ge(mp__now() - start, 120000000);
    mp_assert_err(mp_lock_acquire(h.lock, -2), MP_EINVAL);
    mp_assert_err(mp_lock_acquire(h.lock, INT_MIN), MP_EINVAL);
    stop_holder(&h);
    mp_assert_ok(mp_lock_acquire(h.lock, 0));
    mp_assert_ok(mp_lock_release(h.lock));
    mp_lock_free(h.lock);
}

MP_TEST(only_the_owner_may_release)
{
    struct holder h = {.lock = new_lock()}, r = {.rlock = new_rlock()};
    mp_assert_err(mp_lock_release(h.lock), MP_ENOTHELD);
    mp_assert_err(mp_rlock_release(r.rlock), MP_ENOTHELD);
    start_holder(&h);
    start_holder(&r);
    mp_assert_err(mp_lock_release(h.lock), MP_ENOTHELD);
    mp_assert_err(mp_rlock_release(r.rlock), MP_ENOTHELD);
    mp_assert_err(mp_lock_consistent(h.lock), MP_ENOTHELD);
    mp_assert_err(mp_rlock_consistent(r.rlock), MP_ENOTHELD);
    mp_assert_err(mp_lock_dead_owner(h.lock), MP_ENOTHELD);
    mp_assert_err(mp_lock_acquire(h.lock, 0), MP_ETIMEDOUT); // nothing was released
    mp_assert_err(mp_rlock_acquire(r.rlock, 0), MP_ETIMEDOUT);
    stop_holder(&h);
    stop_holder(&r);
    mp_lock_free(h.lock);
    mp_rlock_free(r.rlock);
}

static int child_is_somebody_else(void *arg)
{
    mp_lock *l = arg;
    mptest_require(mp_lock_release(l) == MP_ENOTHELD);
    mptest_require(mp_lock_acquire(l, 0) == MP_ETIMEDOUT);
    mptest_require(mp_lock_acquire(l, 10) == MP_ETIMEDOUT);
    mp_lock_free(l); // the parent's: it does not notice
    return 0;
}

MP_TEST(a_child_does_not_inherit_ownership)
{
    mp_lock *l = new_lock();
    mp_assert_ok(mp_lock_acquire(l, MP_FOREVER));
    ck_assert_int_eq(mptest_in_child(child_is_somebody_else, l), 0);
    mp_assert_err(mp_lock_acquire(l, 0), MP_EHELD);
    mp_assert_ok(mp_lock_release(l));
    mp_lock_free(l);
}

MP_TEST(nonsense)
{
    mp_lock *l = (mp_lock *)(void *)&l;
    mp_rlock *r = (mp_rlock *)(void *)&r;
    mp_arena *a;
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_err(mp_lock_new(NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_rlock_new(NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_lock_new(&l, &(mp_lock_opts){.arena = a, .name = "x"}), MP_EINVAL);
    ck_assert_ptr_null(l);
    mp_assert_err(mp_lock_attach(NULL, "x"), MP_EINVAL);
    mp_assert_err(mp_rlock_attach(NULL, "x"), MP_EINVAL);
    mp_assert_err(mp_lock_acquire(NULL, 0), MP_EINVAL);
    mp_assert_err(mp_lock_release(NULL), MP_EINVAL);
    mp_assert_err(mp_lock_consistent(NULL), MP_EINVAL);
    mp_assert_err(mp_lock_dead_owner(NULL), MP_EINVAL);
    ck_assert(!mp_lock_locked(NULL));
    mp_lock_free(NULL);
    mp_assert_err(mp_rlock_acquire(NULL, 0), MP_EINVAL);
    mp_assert_err(mp_rlock_release(NULL), MP_EINVAL);
    mp_assert_err(mp_rlock_consistent(NULL), MP_EINVAL);
    mp_assert_err(mp_rlock_dead_owner(NULL), MP_EINVAL);
    ck_assert(!mp_rlock_locked(NULL));
    mp_rlock_free(NULL);
    mp_arena_delete(a);
}

MP_TEST(one_is_not_the_other)
{
    mp_lock *l = new_lock();
    mp_rlock *r = new_rlock();
    mp_assert_err(mp_lock_acquire((mp_lock *)r, 0), MP_EINVAL);
    mp_assert_err(mp_lock_release((mp_lock *)r), MP_EINVAL);
    mp_assert_err(mp_rlock_acquire((mp_rlock *)l, 0), MP_EINVAL);
    mp_assert_err(mp_rlock_release((mp_rlock *)l), MP_EINVAL);
    mp_rlock_free((mp_rlock *)l); // does nothing
    mp_assert_ok(mp_lock_acquire(l, 0));
    mp_assert_err(mp_lock_consistent(l), MP_ESTATE);
    mp_assert_ok(mp_lock_release(l));
    mp_lock_free(l);
    mp_rlock_free(r);
}

MP_TEST(after_free)
{
    mp_arena *a;
    mp_lock *l, *again;
    mp_arena_stats s;
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_ok(mp_lock_new(&l, &(mp_lock_opts){.arena = a}));
    mp_assert_ok(mp_lock_acquire(l, 0));
    mp_assert_ok(mp_lock_release(l));
    mp_lock_free(l);
    mp_assert_err(mp_lock_acquire(l, MP_FOREVER), MP_EINVAL);
    mp_assert_err(mp_lock_release(l), MP_EINVAL);
    ck_assert(!mp_lock_locked(l));
    mp_lock_free(l);
    mp_assert_ok(mp_lock_new(&again, &(mp_lock_opts){.arena = a}));
    ck_assert_ptr_eq(l, again); // nobody used it, so its memory was used again
    mp_assert_ok(mp_lock_acquire(again, 0));
    mp_lock_free(again); // while held by us
    mp_assert_err(mp_lock_release(again), MP_EINVAL);
    mp_assert_ok(mp_arena_get_stats(a, &s));
    ck_assert_uint_eq(s.blocks, 0);
    mp_arena_delete(a);
}

struct one_who_waits {
    pthread_t thread;
    mp_lock *lock;
    int result;
    _Atomic pid_t tid;
};

static void *wait_for_lock(void *arg)
{
    struct one_who_waits *w = arg;
    w->result = mp_lock_acquire(w->lock, MP_FOREVER);
    return NULL;
}

static void start_waiters(struct one_who_waits *w, int n, mp_lock *l)
{
    for (int i = 0; i < n; i++) {
        w[i].lock = l;
        ck_assert_int_eq(pthread_create(&w[i].thread, NULL, wait_for_lock, &w[i]), 0);
    }
    ck_assert(mptest_eventually(atomic_load(&l->waiting) == (unsigned)n, 10000));
}

MP_TEST(freed_by_its_owner_while_others_wait)
{
    mp_arena *a;
    mp_lock *l, *other;
    struct one_who_waits w[3];
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_ok(mp_lock_new(&l, &(mp_lock_opts){.arena = a}));
    mp_assert_ok(mp_lock_acquire(l, 0));
    start_waiters(w, 3, l);
    mp_lock_free(l);
    for (int i = 0; i < 3; i++) {
        pthread_join(w[i].thread, NULL);
        mp_assert_err(w[i].result, MP_ECLOSED);
    }
    mp_assert_ok(mp_lock_new(&other, &(mp_lock_opts){.arena = a}));
    ck_assert_ptr_ne(l, other);
    mp_lock_free(other);
    mp_arena_delete(a);
}

// Its timer is so coarse that a nap, which is the shortest sleep there is, takes a while.
static void *nap_for_lock(void *arg)
{
    struct one_who_waits *w = arg;
    prctl(PR_SET_TIMERSLACK, 500000000ul);
    atomic_store(&w->tid, gettid());
    w->result = mp_lock_acquire(w->lock, MP_FOREVER);
    return NULL;
}

static bool is_asleep(pid_t tid)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    FILE *f = fopen(path, "re");
    if (f && !fgets(line, sizeof line, f))
        *line = '\0';
    if (f)
        fclose(f);
    const char *name_end = strrchr(line, ')');
    return name_end && name_end[1] == ' ' && name_end[2] == 'S';
}

// The memory of the last object goes with it, and a nap ends with a look at the lock.
MP_TEST(freed_while_another_naps)
{
    struct one_who_waits w = {.lock = new_lock()};
    mp_assert_ok(mp_lock_acquire(w.lock, 0));
    ck_assert_int_eq(pthread_create(&w.thread, NULL, nap_for_lock, &w), 0);
    while (!atomic_load(&w.tid) || !is_asleep(atomic_load(&w.tid)))
        sched_yield();
    mp_lock_free(w.lock);
    pthread_join(w.thread, NULL);
    mp_assert_err(w.result, MP_ECLOSED);
}

MP_TEST(freed_while_another_holds_it)
{
    struct holder h = {.lock = new_lock()};
    struct one_who_waits w[2];
    start_holder(&h);
    start_waiters(w, 2, h.lock);
    mp_lock_free(h.lock);
    for (int i = 0; i < 2; i++) { // they need not wait for the holder
        pthread_join(w[i].thread, NULL);
        mp_assert_err(w[i].result, MP_ECLOSED);
    }
    mp_assert_err(mp_lock_acquire(h.lock, MP_FOREVER), MP_EINVAL);
    stop_holder(&h); // and can release it
}

static void *end_holding(void *arg)
{
    mp_assert_ok(mp_lock_acquire(arg, MP_FOREVER));
    return NULL;
}

MP_TEST(a_thread_that_ends_counts_as_dead)
{
    mp_lock *l = new_lock();
    pthread_t t;
    ck_assert_int_eq(pthread_create(&t, NULL, end_holding, l), 0);
    pthread_join(t, NULL);
    ck_assert(mp_lock_locked(l));
    mp_assert_err(mp_lock_acquire(l, MP_FOREVER), MP_EOWNERDEAD);
    ck_assert_int_eq(mp_lock_dead_owner(l), getpid());
    mp_assert_err(mp_lock_acquire(l, MP_FOREVER), MP_EHELD);
    mp_assert_ok(mp_lock_consistent(l));
    mp_assert_err(mp_lock_consistent(l), MP_ESTATE);
    mp_assert_ok(mp_lock_release(l));
    mp_assert_ok(mp_lock_acquire(l, MP_FOREVER));
    mp_assert_ok(mp_lock_release(l));
    mp_lock_free(l);
}

MP_TEST(released_without_mending_it_is_broken)
{
    mp_lock *l = new_lock();
    struct one_who_waits w[3];
    pthread_t t;
    ck_assert_int_eq(pthread_create(&t, NULL, end_holding, l), 0);
    pthread_join(t, NULL);
    mp_assert_err(mp_lock_acquire(l, 0), MP_EOWNERDEAD);
    start_waiters(w, 3, l);
    mp_assert_ok(mp_lock_release(l));
    for (int i = 0; i < 3; i++) {
        pthread_join(w[i].thread, NULL);
        mp_assert_err(w[i].result, MP_EBROKEN);
    }
    mp_assert_err(mp_lock_acquire(l, 0), MP_EBROKEN);
    mp_assert_err(mp_lock_acquire(l, MP_FOREVER), MP_EBROKEN);
    mp_assert_err(mp_lock_release(l), MP_ENOTHELD);
    mp_lock_free(l);
}

static void on_alarm(int sig)
{
    (void)sig;
}

MP_TEST(signals_do_not_end_a_wait)
{
    struct holder h = {.lock = new_lock()};
    struct sigaction sa = {.sa_handler = on_alarm}, old; // without SA_RESTART
    struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &sa, &old);
    start_holder(&h);
    setitimer(ITIMER_REAL, &often, NULL);
    int64_t start = mp__now();
    mp_assert_err(mp_lock_acquire(h.lock, 300), MP_ETIMEDOUT);
    ck_assert_int_ge(mp__now() - start, 300000000);
    h.stop = true;
    mp_assert_ok(mp_lock_acquire(h.lock, MP_FOREVER));
    setitimer(ITIMER_REAL, &never, NULL);
    mp_assert_ok(mp_lock_release(h.lock));
    stop_holder(&h);
    sigaction(SIGALRM, &old, NULL);
    mp_lock_free(h.lock);
}

struct counter {
    mp_lock *lock;
    mp_rlock *rlock;
    uint64_t a, b;
};

static void *add_in_thread(void *arg)
{
    struct counter *c = arg;
    for (int i = 0; i < 20000; i++) {
        bool r = i % 2;
        ck_assert_int_eq(mp_rlock_acquire(c->rlock, MP_FOREVER), 0);
        if (r)
            ck_assert_int_eq(mp_rlock_acquire(c->rlock, 0), 0);
        ck_assert_int_eq(mp_lock_acquire(c->lock, MP_FOREVER), 0);
        ck_assert_uint_eq(c->a, c->b);
        c->a++;
        c->b++;
        ck_assert_int_eq(mp_lock_release(c->lock), 0);
        if (r)
            ck_assert_int_eq(mp_rlock_release(c->rlock), 0);
        ck_assert_int_eq(mp_rlock_release(c->rlock), 0);
    }
    return NULL;
}

MP_TEST(threads_exclude_each_other)
{
    struct counter c = {.lock = new_lock(), .rlock = new_rlock()};
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, add_in_thread, &c), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    ck_assert_uint_eq(c.a, 80000);
    mp_lock_free(c.lock);
    mp_rlock_free(c.rlock);
}

// Both in one arena, so that children have the counter too.
MP_TEST(processes_exclude_each_other)
{
    mp_arena *a;
    void *p;
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_ok(mp_arena_alloc(a, &p, 1, sizeof(struct counter)));
    struct counter *c = p;
    mp_assert_ok(mp_lock_new(&c->lock, &(mp_lock_opts){.arena = a}));
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            for (int k = 0; k < 20000; k++) {
                mptest_require(mp_lock_acquire(c->lock, MP_FOREVER) == 0);
                mptest_require(c->a == c->b);
                c->a++;
                c->b++;
                mptest_require(mp_lock_release(c->lock) == 0);
            }
            _exit(0);
        }
    for (int i = 0; i < 4; i++) {
        int status;
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_uint_eq(c->a, 80000);
    mp_lock_free(c->lock);
    mp_arena_delete(a);
}
