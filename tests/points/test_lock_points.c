// SPDX-License-Identifier: MIT
//
// Deaths inside the lock and the condition.
#include "points.h"

#include <mp/condition.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct thing {
    bool torn; // an owner died inside: the next one must be told
    mp_lock *lock;
    mp_condition *condition;
};

static mp_arena *arena;

static void *make(void)
{
    void *p;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_arena_alloc(arena, &p, 1, sizeof(struct thing)));
    struct thing *t = p;
    mp_assert_ok(mp_lock_new(&t->lock, &(mp_lock_opts){.arena = arena}));
    mp_assert_ok(mp_condition_new(&t->condition, &(mp_condition_opts){.arena = arena}));
    return t;
}

static void end(void *object)
{
    struct thing *t = object;
    mp_lock_free(t->lock);
    mp_condition_free(t->condition);
    mp_arena_delete(arena);
}

static void enter(mp_condition *c)
{
    int r = mp_condition_acquire(c, MP_FOREVER);
    if (r == MP_EOWNERDEAD)
        r = mp_condition_consistent(c);
    mptest_require(r == 0);
}

static void leave(mp_condition *c)
{
    mptest_require(mp_condition_release(c) == 0);
}

static void can_be_acquired(void *object)
{
    struct thing *t = object;
    int r = mp_lock_acquire(t->lock, 10000);
    ck_assert(r == 0 || r == MP_EOWNERDEAD);
    if (r == MP_EOWNERDEAD)
        mp_assert_ok(mp_lock_consistent(t->lock));
    mp_assert_ok(mp_lock_release(t->lock));
    enter(t->condition);
    ck_assert_int_eq(mp_condition_notify_all(t->condition), 0); // nobody is left in it
    leave(t->condition);
}

// A child that dies with its parent, or it would be killed in the next one's stead.
static pid_t start_child(void (*fn)(void *), void *arg)
{
    pid_t parent = getpid(), pid = fork();
    mptest_require(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0);
        fn(arg);
        _exit(0);
    }
    return pid;
}

// A child that was killed at the point takes us with it.
static void reap(pid_t pid)
{
    int status;
    mptest_require(waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status))
        kill(getpid(), SIGKILL);
    mptest_require(status == 0);
}

// ---- lock

static void use_lock(struct thing *t)
{
    int r = mp_lock_acquire(t->lock, MP_FOREVER);
    mptest_require(r == 0 || r == MP_EOWNERDEAD);
    mptest_require(r == MP_EOWNERDEAD || !t->torn);
    if (r == MP_EOWNERDEAD) {
        t->torn = false;
        mptest_require(mp_lock_consistent(t->lock) == 0);
    }
    mptest_require(mp_lock_release(t->lock) == 0);
}

static void exit_with_lock(void *object)
{
    struct thing *t = object;
    int r = mp_lock_acquire(t->lock, MP_FOREVER);
    mptest_require(r == 0 || r == MP_EOWNERDEAD);
    t->torn = true;
}

static void lock_and_inherit(void *object)
{
    for (int i = 0; i < 5; i++)
        use_lock(object);
    reap(start_child(exit_with_lock, object));
    use_lock(object);
}

KILL_AT_POINTS(locks, .points = "lock.", .make = make, .round = lock_and_inherit,
               .check = can_be_acquired, .end = end)

// ---- condition

static void come_and_wait(void *condition)
{
    enter(condition);
    int r = mp_condition_wait(condition, 1);
    if (r == MP_EOWNERDEAD)
        r = mp_condition_consistent(condition);
    mptest_require(r == 0 || r == MP_ETIMEDOUT);
    leave(condition);
}

static void wait_and_notify(void *object)
{
    struct thing *t = object;
    pid_t child = start_child(come_and_wait, t->condition);
    come_and_wait(t->condition);
    for (int i = 0; i < 3; i++) {
        enter(t->condition);
        int n = mp_condition_notify(t->condition, 1 + (size_t)i);
        mptest_require(n >= 0 && n <= 1 + i);
        leave(t->condition);
    }
    reap(child);
}

static void *wait_in_thread(void *condition)
{
    come_and_wait(condition);
    return NULL;
}

// And a condition for which more wait than it has places at first.

static void wait_and_notify_and_grow(void *object)
{
    mp_condition *c;
    pthread_t t[9];
    wait_and_notify(object);
    mptest_require(mp_condition_new(&c, &(mp_condition_opts){.arena = arena}) == 0);
    enter(c); // they come when all are there
    for (int i = 0; i < 9; i++)
        mptest_require(pthread_create(&t[i], NULL, wait_in_thread, c) == 0);
    leave(c);
    for (int i = 0; i < 9; i++)
        pthread_join(t[i], NULL);
    mp_condition_free(c);
}

KILL_AT_POINTS(conditions, .points = "condition.", .make = make, .round = wait_and_notify_and_grow,
               .check = can_be_acquired, .end = end)

// ---- notifications of the dead

// A condition with three who wait, in this order: a child that dies once it was notified,
// and two threads, one of which takes that over.
struct trio {
    mp_condition *c;
    _Atomic bool child_in;
    _Atomic int in, out;
};

static void wait_to_be_killed(void *arg)
{
    struct trio *k = arg;
    enter(k->c);
    k->child_in = true;
    mptest_require(mp_condition_wait(k->c, MP_FOREVER) < 0);
}

static void *wait_for_mine(void *arg)
{
    struct trio *k = arg;
    enter(k->c);
    k->in++;
    mptest_require(mp_condition_wait(k->c, MP_FOREVER) == 0);
    k->out++;
    leave(k->c);
    return NULL;
}

static pid_t start_trio(struct trio *k, pthread_t t[2])
{
    pid_t child = start_child(wait_to_be_killed, k);
    while (!k->child_in) {
        if (waitpid(child, NULL, WNOHANG) == child) // killed at a point
            kill(getpid(), SIGKILL);
        usleep(50);
    }
    for (int i = 0; i < 2; i++) {
        mptest_require(pthread_create(&t[i], NULL, wait_for_mine, k) == 0);
        while (k->in <= i)
            usleep(50);
    }
    return child;
}

// Makes the threads look now, and not in 50 ms.
static void disturb(pthread_t t[2])
{
    pthread_kill(t[0], SIGUSR1);
    pthread_kill(t[1], SIGUSR1);
    usleep(300);
}

static void do_nothing(int sig)
{
    (void)sig;
}

static void bequeath(void *object)
{
    (void)object;
    void *p;
    pthread_t t[2];
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = do_nothing}, NULL);
    mptest_require(mp_arena_alloc(arena, &p, 1, sizeof(struct trio)) == 0);
    struct trio *k = memset(p, 0, sizeof *k);
    mptest_require(mp_condition_new(&k->c, &(mp_condition_opts){.arena = arena}) == 0);
    pid_t child = start_trio(k, t);
    enter(k->c);
    mptest_require(mp_condition_notify(k->c, 1) == 1); // the child, which needs the lock to go
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    disturb(t); // one of them takes over what was the child's
    mptest_require(mp_condition_notify(k->c, 1) == 1); // and may have one too many now
    leave(k->c);
    while (k->out < 2)
        disturb(t);
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
    mp_condition_free(k->c);
    mp_arena_free(arena, k);
}

KILL_AT_POINTS(bequests, .points = "bequest.", .make = make, .round = bequeath,
               .check = can_be_acquired, .end = end)
