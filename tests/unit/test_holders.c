// SPDX-License-Identifier: MIT
#include "mptest.h"
#include "shm/holders.h"
#include "shm/object.h"

#include <signal.h>
#include <sys/wait.h>

struct thing {
    struct mp__object object;
    struct mp__holders holders;
    _Atomic int ready;
};

static struct thing *new_thing(void)
{
    void *p;
    mp_assert_ok(mp__object_new(&p, NULL, NULL, 0, MP__SEMAPHORE, 1, sizeof(struct thing)));
    return p;
}

static void free_thing(struct thing *t)
{
    mp__holders_release(t, &t->holders);
    mp__object_free(t, true);
}

static uint32_t hold(struct thing *t, uint32_t n)
{
    mp__held *mine;
    uint32_t left;
    mptest_require(mp__holders_mine(t, &t->holders, &mine, &left) == 0);
    atomic_fetch_add(mine, n);
    return left;
}

static pid_t start_holder(struct thing *t, uint32_t n)
{
    atomic_store(&t->ready, 0);
    pid_t pid = fork();
    if (pid == 0) {
        mptest_require(hold(t, n) == 0);
        atomic_store(&t->ready, 1);
        for (;;)
            pause();
    }
    ck_assert(mptest_eventually(atomic_load(&t->ready), 10000));
    return pid;
}

static void kill_and_reap(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

MP_TEST(nobody_holds_anything_at_first)
{
    struct thing *t = new_thing();
    ck_assert(!mp__holders_any(t, &t->holders));
    ck_assert_uint_eq(mp__holders_sum(t, &t->holders), 0);
    ck_assert_uint_eq(mp__holders_reap(t, &t->holders), 0);
    free_thing(t);
}

MP_TEST(counts_of_the_living_stay_and_those_of_the_dead_are_reaped_once)
{
    struct thing *t = new_thing();
    hold(t, 2);
    pid_t pid[40];
    for (int i = 0; i < 40; i++)
        pid[i] = start_holder(t, (uint32_t)i + 1);
    ck_assert_uint_eq(mp__holders_sum(t, &t->holders), 2 + 820);
    ck_assert_uint_eq(mp__holders_reap(t, &t->holders), 0);
    for (int i = 0; i < 20; i++)
        kill_and_reap(pid[i]);
    ck_assert_uint_eq(mp__holders_sum(t, &t->holders), 2 + 820);
    ck_assert(mp__holders_any(t, &t->holders));
    ck_assert_uint_eq(mp__holders_reap(t, &t->holders), 210);
    ck_assert_uint_eq(mp__holders_reap(t, &t->holders), 0);
    for (int i = 20; i < 40; i++)
        kill_and_reap(pid[i]);
    mp__held *mine;
    uint32_t left;
    mp_assert_ok(mp__holders_mine(t, &t->holders, &mine, &left));
    ck_assert_uint_eq(left, 0);
    ck_assert_uint_eq(mp__held_count(*mine), 2);
    atomic_fetch_sub(mine, 2);
    ck_assert(!mp__holders_any(t, &t->holders)); // only the dead do
    ck_assert_uint_eq(mp__holders_reap(t, &t->holders), 610);
    ck_assert_uint_eq(mp__holders_sum(t, &t->holders), 0);
    free_thing(t);
}

// Places go round, so that sooner or later each process finds what a dead one left.
MP_TEST(a_successor_takes_over_what_is_left)
{
    struct thing *t = new_thing();
    uint64_t found = 0, held = 0;
    for (int i = 0; i < 50; i++) {
        int result[2];
        ck_assert_int_eq(pipe(result), 0);
        pid_t pid = fork();
        if (pid == 0) {
            uint32_t left = hold(t, 3);
            mptest_require(write(result[1], &left, sizeof left) == sizeof left);
            for (;;)
                pause();
        }
        uint32_t left;
        ck_assert_int_eq(read(result[0], &left, sizeof left), sizeof left);
        found += left;
        held += 3;
        close(result[0]);
        close(result[1]);
        kill_and_reap(pid);
    }
    ck_assert_uint_gt(found, 100);
    found += mp__holders_reap(t, &t->holders);
    ck_assert_uint_eq(found, held);
    free_thing(t);
}

// Several reap at a time: nothing is taken twice.
MP_TEST(two_reapers_share)
{
    struct thing *t = new_thing();
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 5; i++)
            kill_and_reap(start_holder(t, 10));
        int result[2];
        ck_assert_int_eq(pipe(result), 0);
        for (int k = 0; k < 2; k++)
            if (fork() == 0) {
                uint64_t sum = mp__holders_reap(t, &t->holders);
                mptest_require(write(result[1], &sum, sizeof sum) == sizeof sum);
                _exit(0);
            }
        uint64_t sum[2];
        for (int k = 0; k < 2; k++)
            ck_assert_int_eq(read(result[0], &sum[k], sizeof sum[k]), sizeof sum[k]);
        while (wait(NULL) > 0)
            ;
        close(result[0]);
        close(result[1]);
        // A holder may have found what one before it at its place left.
        ck_assert_uint_eq(sum[0] + sum[1], 50);
    }
    free_thing(t);
}
