// SPDX-License-Identifier: MIT
//
// Owners and waiters of locks that are killed. MP_TEST_LONG=1 in the environment kills 10,000.
#include "base/clock.h"
#include "mptest.h"
#include "shm/lock.h"

#include <mp/with.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

struct board {
    mp_lock *lock;
    mp_rlock *rlock;
    uint64_t a, b; // equal, unless an owner is at it or died there
    _Atomic int ready, repairs, done;
};

static mp_arena *arena;
static struct board *b;

static void make_board(void)
{
    void *p;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_arena_alloc(arena, &p, 1, sizeof *b));
    b = memset(p, 0, sizeof *b);
    mp_assert_ok(mp_lock_new(&b->lock, &(mp_lock_opts){.arena = arena}));
    mp_assert_ok(mp_rlock_new(&b->rlock, &(mp_lock_opts){.arena = arena}));
}

static void drop_board(void)
{
    mp_lock_free(b->lock);
    mp_rlock_free(b->rlock);
    mp_arena_delete(arena);
}

static int how_many(int normally, int sanitized)
{
    const char *lots = getenv("MP_TEST_LONG");
    return lots && *lots == '1' ? 10000 : MPTEST_ASAN || MPTEST_TSAN ? sanitized : normally;
}

static void kill_and_reap(pid_t pid)
{
    int status;
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %x", status);
}

static void reap_ok(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

// A child that holds the lock, and waits to be killed. Expects to find it in order, or not.
static pid_t start_holder(int expect)
{
    atomic_store(&b->ready, 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        mptest_require(mp_lock_acquire(b->lock, 10000) == expect);
        atomic_store(&b->ready, 1);
        for (;;)
            pause();
    }
    ck_assert(mptest_eventually(atomic_load(&b->ready), 10000));
    return pid;
}

// Each death of a holder is told once, with the right pid; to one who comes later, and to one
// who waits already.
MP_TEST_TIMEOUT(holders_killed, 300)
{
    make_board();
    int n = how_many(300, 60);
    int64_t total = 0;
    for (int i = 0; i < n; i++) {
        pid_t pid = start_holder(0), killer = 0;
        if (i % 2) {
            killer = fork();
            if (killer == 0) {
                while (atomic_load(&b->lock->waiting) == 0)
                    usleep(100);
                _exit(kill(pid, SIGKILL));
            }
            mp_assert_err(mp_lock_acquire(b->lock, 10000), MP_EOWNERDEAD);
            ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
            reap_ok(killer);
        } else {
            kill_and_reap(pid);
            int64_t start = mp__now();
            mp_assert_err(mp_lock_acquire(b->lock, MP_FOREVER), MP_EOWNERDEAD);
            total += mp__now() - start;
        }
        ck_assert_int_eq(mp_lock_dead_owner(b->lock), pid);
        mp_assert_ok(mp_lock_consistent(b->lock));
        mp_assert_ok(mp_lock_release(b->lock));
        mp_assert_ok(mp_lock_acquire(b->lock, 0)); // told once
        mp_assert_ok(mp_lock_release(b->lock));
    }
    ck_assert_int_lt(total / n,
                     500000000); // of 50 ms at most, on a machine with nothing else to do
    drop_board();
}

MP_TEST(who_dies_before_mending_is_told_of_too)
{
    make_board();
    pid_t pid = start_holder(0);
    for (int i = 0; i < 10; i++) {
        kill_and_reap(pid);
        pid = start_holder(MP_EOWNERDEAD);
    }
    kill_and_reap(pid);
    mp_assert_err(mp_lock_acquire(b->lock, 0), MP_EOWNERDEAD);
    ck_assert_int_eq(mp_lock_dead_owner(b->lock), pid);
    mp_assert_ok(mp_lock_consistent(b->lock));
    mp_assert_ok(mp_lock_release(b->lock));
    mp_assert_ok(mp_lock_acquire(b->lock, 0));
    drop_board();
}

MP_TEST(broken_is_told_to_other_processes)
{
    make_board();
    kill_and_reap(start_holder(0));
    mp_assert_err(mp_lock_acquire(b->lock, 0), MP_EOWNERDEAD);
    pid_t waiter = fork();
    if (waiter == 0) {
        mptest_require(mp_lock_acquire(b->lock, MP_FOREVER) == MP_EBROKEN);
        mptest_require(mp_lock_acquire(b->lock, 0) == MP_EBROKEN);
        _exit(0);
    }
    ck_assert(mptest_eventually(atomic_load(&b->lock->waiting) == 1, 10000));
    mp_assert_ok(mp_lock_release(b->lock));
    reap_ok(waiter);
    mp_assert_err(mp_lock_acquire(b->lock, MP_FOREVER), MP_EBROKEN);
    drop_board();
}

MP_TEST(an_rlock_of_the_dead_is_acquired_once)
{
    make_board();
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 5; i++)
            mptest_require(mp_rlock_acquire(b->rlock, 0) == 0);
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
    mp_assert_err(mp_rlock_acquire(b->rlock, MP_FOREVER), MP_EOWNERDEAD);
    ck_assert_int_eq(mp_rlock_dead_owner(b->rlock), pid);
    mp_assert_ok(mp_rlock_acquire(b->rlock, MP_FOREVER));
    mp_assert_ok(mp_rlock_consistent(b->rlock));
    mp_assert_ok(mp_rlock_release(b->rlock));
    ck_assert(mp_rlock_locked(b->rlock));
    mp_assert_ok(mp_rlock_release(b->rlock));
    ck_assert(!mp_rlock_locked(b->rlock));
    drop_board();
}

// The waiters that are left still get it, one after the other.
MP_TEST_TIMEOUT(waiters_killed, 120)
{
    make_board();
    int n = how_many(40, 10) / 4;
    for (int round = 0; round < n; round++) {
        pid_t pid[8];
        atomic_store(&b->done, 0);
        mp_assert_ok(mp_lock_acquire(b->lock, MP_FOREVER));
        for (int i = 0; i < 8; i++)
            if ((pid[i] = fork()) == 0) {
                mptest_require(mp_lock_acquire(b->lock, MP_FOREVER) == 0);
                atomic_fetch_add(&b->done, 1);
                mptest_require(mp_lock_release(b->lock) == 0);
                _exit(0);
            }
        int dead = 4 * round; // they stay in the count
        ck_assert(mptest_eventually((int)atomic_load(&b->lock->waiting) == dead + 8, 10000));
        for (int i = 0; i < 8; i += 2)
            kill_and_reap(pid[i]);
        mp_assert_ok(mp_lock_release(b->lock));
        for (int i = 1; i < 8; i += 2)
            reap_ok(pid[i]);
        ck_assert_int_eq(atomic_load(&b->done), 4);
    }
    drop_board();
}

static void mend(void)
{
    atomic_fetch_add(&b->repairs, 1);
    b->b = b->a;
    mptest_require(mp_lock_consistent(b->lock) == 0);
}

// Works on the pair until it is killed.
static _Noreturn void hammer(void)
{
    atomic_fetch_add(&b->ready, 1);
    for (;;) {
        int r = mp_lock_acquire(b->lock, MP_FOREVER);
        mptest_require(r == 0 || r == MP_EOWNERDEAD);
        if (r == MP_EOWNERDEAD)
            mend();
        mptest_require(b->a == b->b);
        b->a++;
        for (volatile int i = 0; i < 50; i++)
            continue;
        b->b++;
        mptest_require(mp_lock_release(b->lock) == 0);
    }
}

MP_TEST_TIMEOUT(killed_at_any_moment, 300)
{
    make_board();
    pid_t pid[3] = {0};
    int kills = how_many(200, 50);
    srand(1);
    for (int i = 0; i < kills; i++) {
        for (int k = 0; k < 3; k++)
            if (!pid[k] && (pid[k] = fork()) == 0)
                hammer();
        ck_assert(mptest_eventually(atomic_load(&b->ready) >= 3 + i, 10000));
        usleep((useconds_t)(rand() % 1500));
        kill_and_reap(pid[i % 3]);
        int r = mp_lock_acquire(b->lock, 10000);
        ck_assert_msg(r == 0 || r == MP_EOWNERDEAD, "%s", mp_err_name(r));
        if (r == MP_EOWNERDEAD) {
            pid_t dead = mp_lock_dead_owner(b->lock);
            ck_assert_msg(dead == 0 || dead == pid[i % 3], "dead owner %d", dead);
            mend();
        }
        ck_assert_uint_eq(b->a, b->b);
        mp_assert_ok(mp_lock_release(b->lock));
        pid[i % 3] = 0;
    }
    for (int k = 0; k < 3; k++)
        if (pid[k])
            kill_and_reap(pid[k]);
    ck_assert_int_gt(atomic_load(&b->repairs), 0); // or nobody was killed in the right place
    drop_board();
}

// MP_WITH gives the lock back as it was, so that nothing is lost.
MP_TEST(with_does_not_swallow_a_death)
{
    make_board();
    pid_t pid = start_holder(0);
    kill_and_reap(pid);
    for (int i = 0; i < 3; i++) {
        MP_WITH(b->lock) {
            ck_abort_msg("the block ran");
        } else {
            mp_assert_err(mp_with_error(), MP_EOWNERDEAD);
        }
        ck_assert(!mp_lock_locked(b->lock));
    }
    mp_assert_err(mp_lock_acquire(b->lock, 0), MP_EOWNERDEAD);
    ck_assert_int_eq(mp_lock_dead_owner(b->lock), pid);
    mp_assert_ok(mp_lock_consistent(b->lock));
    mp_assert_ok(mp_lock_release(b->lock));
    int ran = 0;
    MP_WITH(b->lock) {
        ran++;
    }
    ck_assert_int_eq(ran, 1);
    drop_board();
}
