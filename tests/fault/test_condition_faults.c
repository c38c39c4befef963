// SPDX-License-Identifier: MIT
//
// Waiters of a condition that are killed: before they are notified, after it, and in between.
// MP_TEST_LONG=1 in the environment kills 1,000.
#include "mptest.h"

#include <mp/condition.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

struct board {
    mp_condition *c;
    _Atomic int sleeping, woken, owners_died;
};

static mp_arena *arena;
static struct board *b;

static void make_board(void)
{
    void *p;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_arena_alloc(arena, &p, 1, sizeof *b));
    b = memset(p, 0, sizeof *b);
    mp_assert_ok(mp_condition_new(&b->c, &(mp_condition_opts){.arena = arena}));
}

static void drop_board(void)
{
    mp_condition_free(b->c);
    mp_arena_delete(arena);
}

// An answer of acquire or wait; a child may have died with the lock.
static int mend(int r)
{
    if (r != MP_EOWNERDEAD)
        return r;
    atomic_fetch_add(&b->owners_died, 1);
    return mp_condition_consistent(b->c) < 0 ? MP_EBROKEN : MP_EOWNERDEAD;
}

static void enter(void)
{
    int r = mend(mp_condition_acquire(b->c, 15000));
    ck_assert(r == 0 || r == MP_EOWNERDEAD);
}

static void leave(void)
{
    mp_assert_ok(mp_condition_release(b->c));
}

static int wait_in_child(void)
{
    int r = mend(mp_condition_acquire(b->c, MP_FOREVER));
    mptest_require(r == 0 || r == MP_EOWNERDEAD);
    atomic_fetch_add(&b->sleeping, 1);
    do { // notified or not: this answer does not tell, so it waits for another one
        r = mend(mp_condition_wait(b->c, MP_FOREVER));
    } while (r == MP_EOWNERDEAD);
    mptest_require(r == 0);
    atomic_fetch_add(&b->woken, 1);
    mptest_require(mp_condition_release(b->c) == 0);
    return 0;
}

// n children that wait, in this order; they do when this returns.
static void start(pid_t *pid, int n)
{
    for (int i = 0; i < n; i++) {
        int before = atomic_load(&b->sleeping);
        if ((pid[i] = fork()) == 0)
            _exit(wait_in_child());
        ck_assert_int_gt(pid[i], 0);
        ck_assert(mptest_eventually(atomic_load(&b->sleeping) > before, 10000));
        enter(); // it gave the lock up: it waits
        leave();
    }
}

static void kill_and_reap(pid_t pid)
{
    int status;
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

static void reap_ok(const pid_t *pid, int n)
{
    for (int i = 0; i < n; i++) {
        int status;
        ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
        ck_assert_int_eq(status, 0);
    }
}

static int deaths(int normally)
{
    const char *lots = getenv("MP_TEST_LONG");
    return lots && *lots == '1' ? 1000 : MPTEST_ASAN || MPTEST_TSAN ? normally / 3 : normally;
}

MP_TEST_TIMEOUT(the_dead_are_passed_over, 300)
{
    make_board();
    for (int round = 0; round < deaths(60) / 3; round++) {
        pid_t pid[5];
        start(pid, 5);
        kill_and_reap(pid[0]);
        kill_and_reap(pid[2]);
        kill_and_reap(pid[3]);
        enter();
        ck_assert_int_eq(mp_condition_notify(b->c, 1), 1);
        leave();
        reap_ok(&pid[1], 1); // the oldest that lives
        enter();
        ck_assert_int_eq(mp_condition_notify_all(b->c), 1);
        leave();
        reap_ok(&pid[4], 1);
    }
    mp_arena_stats s;
    mp_assert_ok(mp_arena_get_stats(arena, &s));
    ck_assert_uint_le(s.blocks, 8); // places of the dead are used again
    drop_board();
}

// They cannot have returned, since the lock is held until they are dead.
MP_TEST_TIMEOUT(notifications_of_the_dead_go_to_the_living, 300)
{
    make_board();
    for (int round = 0; round < deaths(30) / 2; round++) {
        pid_t pid[5], late;
        start(pid, 4);
        atomic_store(&b->woken, 0);
        enter();
        ck_assert_int_eq(mp_condition_notify(b->c, 2), 2);
        kill_and_reap(pid[0]);
        kill_and_reap(pid[1]);
        leave();
        start(&late, 1); // was not there when they were notified
        reap_ok(&pid[2], 2);
        ck_assert_int_eq(atomic_load(&b->woken), 2);
        enter();
        ck_assert_int_eq(mp_condition_notify(b->c, 5), 1);
        leave();
        reap_ok(&late, 1);
    }
    drop_board();
}

MP_TEST(nobody_gets_what_was_sent_before_he_came)
{
    make_board();
    pid_t pid, late;
    start(&pid, 1);
    enter();
    ck_assert_int_eq(mp_condition_notify(b->c, 1), 1);
    kill_and_reap(pid);
    leave();
    start(&late, 1);
    usleep(150000); // three looks
    ck_assert_int_eq(atomic_load(&b->woken), 0);
    enter();
    ck_assert_int_eq(mp_condition_notify(b->c, 1), 1);
    leave();
    reap_ok(&late, 1);
    drop_board();
}

// Two of four are killed at any moment around a notification for two. Two wake, the dead
// among them that had returned; unless one died with the lock, where it cannot be told.
MP_TEST_TIMEOUT(killed_around_a_notification, 300)
{
    make_board();
    srand(1);
    for (int round = 0; round < deaths(60) / 2; round++) {
        pid_t pid[4], killer;
        start(pid, 4);
        atomic_store(&b->woken, 0);
        atomic_store(&b->owners_died, 0);
        int first = rand() % 4, second = (first + 1 + rand() % 3) % 4, delay = rand() % 400;
        if ((killer = fork()) == 0) {
            usleep((useconds_t)delay);
            kill(pid[first], SIGKILL);
            kill(pid[second], SIGKILL);
            _exit(0);
        }
        usleep((useconds_t)(rand() % 400));
        enter();
        ck_assert_int_eq(mp_condition_notify(b->c, 2), 2);
        leave();
        reap_ok(&killer, 1);
        ck_assert_int_eq(waitpid(pid[first], NULL, 0), pid[first]);
        ck_assert_int_eq(waitpid(pid[second], NULL, 0), pid[second]);
        enter(); // whoever died with the lock was told of then
        leave();
        if (atomic_load(&b->owners_died) == 0)
            ck_assert(mptest_eventually(atomic_load(&b->woken) == 2, 10000));
        enter();
        mp_assert_ok(mp_condition_notify_all(b->c));
        leave();
        for (int i = 0; i < 4; i++)
            if (i != first && i != second)
                reap_ok(&pid[i], 1);
    }
    drop_board();
}

// The lock's owner dies, too, and those who wait go on all the same.
MP_TEST(the_notifier_dies_with_the_lock)
{
    make_board();
    for (int round = 0; round < 10; round++) {
        pid_t pid[3];
        start(pid, 3);
        atomic_store(&b->woken, 0);
        pid_t notifier = fork();
        if (notifier == 0) {
            mptest_require(mp_condition_acquire(b->c, MP_FOREVER) == 0);
            mptest_require(mp_condition_notify(b->c, 2) == 2);
            kill(getpid(), SIGKILL);
        }
        waitpid(notifier, NULL, 0);
        // One of the two gets the lock with MP_EOWNERDEAD for an answer and waits again.
        ck_assert(mptest_eventually(atomic_load(&b->woken) >= 1, 10000));
        enter();
        mp_assert_ok(mp_condition_notify_all(b->c));
        leave();
        reap_ok(pid, 3);
    }
    drop_board();
}
