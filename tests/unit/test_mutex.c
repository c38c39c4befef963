// SPDX-License-Identifier: MIT
#include "mptest.h"
#include "shm/mutex.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

// What the lock guards: two numbers that are equal whenever nobody holds it.
struct guarded {
    struct mp__mutex lock;
    uint64_t a, b;
    _Atomic int ready, repairs;
};

static struct guarded *g;

static void make_guarded(void)
{
    g = mmap(NULL, sizeof *g, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(g, MAP_FAILED);
    mp_assert_ok(mp__mutex_init(&g->lock));
}

static void drop_guarded(void)
{
    munmap(g, sizeof *g);
}

static void reap_ok(int n)
{
    for (int i = 0; i < n; i++) {
        int status;
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
}

// A child that takes the lock, says so, and waits to be killed.
static pid_t start_holder(void)
{
    atomic_store(&g->ready, 0);
    pid_t pid = fork();
    if (pid == 0) {
        int r = mp__mutex_lock(&g->lock, MP__NEVER);
        mptest_require(r == 0 || r == MP_EOWNERDEAD);
        atomic_store(&g->ready, 1);
        for (;;)
            pause();
    }
    ck_assert(mptest_eventually(atomic_load(&g->ready), 10000));
    return pid;
}

static void kill_and_reap(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

MP_TEST(it_excludes_other_processes)
{
    make_guarded();
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            for (int j = 0; j < 20000; j++) {
                mptest_require(mp__mutex_lock(&g->lock, MP__NEVER) == 0);
                mptest_require(g->a == g->b);
                g->a++;
                g->b++;
                mp__mutex_unlock(&g->lock);
            }
            _exit(0);
        }
    reap_ok(4);
    ck_assert_uint_eq(g->a, 80000);
    drop_guarded();
}

MP_TEST(deadlines)
{
    make_guarded();
    pid_t holder = start_holder();
    mp_assert_err(mp__mutex_lock(&g->lock, 0), MP_ETIMEDOUT);
    int64_t start = mp__now();
    mp_assert_err(mp__mutex_lock(&g->lock, mp__deadline_in(30)), MP_ETIMEDOUT);
    ck_assert_int_ge(mp__now() - start, 30000000);
    kill_and_reap(holder);
    mp_assert_err(mp__mutex_lock(&g->lock, mp__deadline_in(10000)), MP_EOWNERDEAD);
    mp__mutex_consistent(&g->lock);
    mp__mutex_unlock(&g->lock);
    mp_assert_ok(mp__mutex_lock(&g->lock, 0));
    mp__mutex_unlock(&g->lock);
    mp_assert_ok(mp__mutex_lock(&g->lock, mp__deadline_in(10)));
    mp__mutex_unlock(&g->lock);
    drop_guarded();
}

MP_TEST(the_next_owner_is_told)
{
    make_guarded();
    for (int i = 0; i < 3; i++) {
        pid_t holder = start_holder();
        kill_and_reap(holder);
        mp_assert_err(mp__mutex_lock(&g->lock, MP__NEVER), MP_EOWNERDEAD);
        mp__mutex_consistent(&g->lock);
        mp__mutex_unlock(&g->lock);
        // Told once.
        mp_assert_ok(mp__mutex_lock(&g->lock, MP__NEVER));
        mp__mutex_unlock(&g->lock);
    }
    drop_guarded();
}

MP_TEST(a_blocked_waiter_is_told_too)
{
    make_guarded();
    pid_t holder = start_holder();
    for (int timed = 0; timed < 2; timed++) {
        if (fork() == 0) {
            int r = mp__mutex_lock(&g->lock, timed ? mp__deadline_in(15000) : MP__NEVER);
            mptest_require(r == MP_EOWNERDEAD || r == 0);
            if (r == MP_EOWNERDEAD) {
                g->a++;
                mp__mutex_consistent(&g->lock);
            }
            mp__mutex_unlock(&g->lock);
            _exit(0);
        }
    }
    usleep(20000); // lets them block; right also if they did not yet
    kill(holder, SIGKILL);
    int failed = 0, status;
    for (pid_t pid; (pid = wait(&status)) > 0;)
        failed += pid != holder && status != 0;
    ck_assert_int_eq(failed, 0);
    ck_assert_uint_eq(g->a, 1);
    drop_guarded();
}

MP_TEST(without_repair_it_is_broken)
{
    make_guarded();
    kill_and_reap(start_holder());
    mp_assert_err(mp__mutex_lock(&g->lock, MP__NEVER), MP_EOWNERDEAD);
    mp__mutex_unlock(&g->lock);
    mp_assert_err(mp__mutex_lock(&g->lock, MP__NEVER), MP_EBROKEN);
    mp_assert_err(mp__mutex_lock(&g->lock, 0), MP_EBROKEN);
    mp_assert_err(mp__mutex_lock(&g->lock, mp__deadline_in(10000)), MP_EBROKEN);
    drop_guarded();
}

static _Noreturn void hammer(void)
{
    atomic_fetch_add(&g->ready, 1);
    for (;;) {
        int r = mp__mutex_lock(&g->lock, MP__NEVER);
        mptest_require(r == 0 || r == MP_EOWNERDEAD);
        if (r == MP_EOWNERDEAD) {
            atomic_fetch_add(&g->repairs, 1);
            g->b = g->a;
            mp__mutex_consistent(&g->lock);
        }
        mptest_require(g->a == g->b);
        g->a++;
        for (volatile int i = 0; i < 20; i++)
            ;
        g->b++;
        mp__mutex_unlock(&g->lock);
    }
}

// Three processes fight for the lock and are killed at any instruction, again and again.
// The lock never hangs, and never lets anybody see what a dead owner left undone.
MP_TEST_TIMEOUT(kill_minus_9_at_any_moment, 60)
{
    make_guarded();
    pid_t pid[3] = {0};
    int kills = MPTEST_ASAN || MPTEST_TSAN ? 60 : 300;
    srand(1);
    for (int i = 0; i < kills; i++) {
        for (int k = 0; k < 3; k++)
            if (!pid[k] && (pid[k] = fork()) == 0)
                hammer();
        ck_assert(mptest_eventually(atomic_load(&g->ready) >= 3 + i, 10000));
        int victim = i % 3;
        usleep((useconds_t)(rand() % 1500));
        kill(pid[victim], SIGKILL);
        int status;
        waitpid(pid[victim], &status, 0);
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %x", status);
        int r = mp__mutex_lock(&g->lock, mp__deadline_in(10000));
        ck_assert_msg(r == 0 || r == MP_EOWNERDEAD, "%s", mp_err_name(r));
        if (r == MP_EOWNERDEAD) {
            atomic_fetch_add(&g->repairs, 1);
            g->b = g->a;
            mp__mutex_consistent(&g->lock);
        }
        ck_assert_uint_eq(g->a, g->b);
        mp__mutex_unlock(&g->lock);
        pid[victim] = 0;
    }
    for (int k = 0; k < 3; k++)
        if (pid[k])
            kill_and_reap(pid[k]);
    ck_assert_uint_gt(g->a, 0);
    ck_assert_int_gt(atomic_load(&g->repairs), 0); // or nobody was killed in the right place
    drop_guarded();
}
