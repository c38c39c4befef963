// SPDX-License-Identifier: MIT
#include "points.h"

#include <mp/barrier.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static void *make(void)
{
    mp_barrier *b;
    mp_assert_ok(mp_barrier_new(&b, 2, NULL));
    return b;
}

static int act(void *arg)
{
    (void)arg;
    return 0;
}

static void come(void *b, int timeout_ms)
{
    int r = mp_barrier_wait_action(b, timeout_ms, act, NULL);
    mptest_require((r >= 0 && r < 2) || r == MP_EBARRIER || r == MP_ETIMEDOUT);
    if (r < 0)
        mptest_require(mp_barrier_reset(b) == 0);
}

// One before us dies as it comes, or one with us meets us.
static void meet(void *b)
{
    bool dies = rand() % 2;
    pid_t pid = fork();
    if (pid == 0) {
        points_die_at(dies ? "barrier.arrived" : NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        come(b, 5);
        _exit(0);
    }
    if (dies)
        mptest_require(waitpid(pid, NULL, 0) == pid);
    come(b, 5);
    if (!dies)
        mptest_require(waitpid(pid, NULL, 0) == pid);
}

static bool is_new(void *b)
{
    return mp_barrier_reset(b) == 0 && mp_barrier_n_waiting(b) == 0 && !mp_barrier_broken(b) &&
           mp_barrier_wait(b, 0) == MP_ETIMEDOUT && mp_barrier_broken(b) &&
           mp_barrier_reset(b) == 0 && !mp_barrier_broken(b);
}

// Who was counted is not there any more, when the last that a victim started has ended.
static void it_can_be_used(void *b)
{
    ck_assert(mptest_eventually(is_new(b), 10000));
}

static void end(void *b)
{
    mp_barrier_free(b);
}

KILL_AT_POINTS(barrier, .points = "barrier.", .make = make, .round = meet, .check = it_can_be_used,
               .end = end)
