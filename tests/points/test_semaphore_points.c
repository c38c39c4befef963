// SPDX-License-Identifier: MIT
#include "points.h"

#include <mp/semaphore.h>
#include <stdlib.h>
#include <sys/wait.h>

static void *make_robust(void)
{
    mp_semaphore *s;
    mp_assert_ok(mp_semaphore_new(&s, 2, &(mp_semaphore_opts){.bound = 2, .robust = true}));
    return s;
}

// Takes all there is, and is killed with it or without.
static void take_and_give(void *s)
{
    mptest_require(mp_semaphore_acquire(s, MP_FOREVER) == 0);
    bool two = mp_semaphore_acquire(s, 1) == 0;
    mptest_require(mp_semaphore_release_n(s, two ? 2 : 1) == 0);
}

// Nothing is missing, and nothing is there twice.
static void all_are_back(void *s)
{
    mp_semaphore_stats st;
    mp_assert_ok(mp_semaphore_get_stats(s, &st));
    ck_assert_uint_eq(st.value, 2);
    ck_assert_uint_eq(st.held, 0);
    for (int i = 0; i < 2; i++)
        mp_assert_ok(mp_semaphore_acquire(s, 0));
    mp_assert_err(mp_semaphore_acquire(s, 0), MP_ETIMEDOUT);
    mp_assert_ok(mp_semaphore_release_n(s, 2));
    mp_assert_err(mp_semaphore_release(s), MP_EBOUND);
}

static void end(void *s)
{
    mp_semaphore_free(s);
}

// One before us died with a unit, or with the lock.
static void clear_up_take_and_give(void *s)
{
    pid_t pid = rand() % 2 ? fork() : -1;
    if (pid == 0) {
        points_die_at(rand() % 2 ? "semaphore.robust_counted" : "semaphore.robust_added");
        int r = mp_semaphore_acquire(s, 1);
        if (r == 0 && rand() % 2)
            mp_semaphore_release(s);
        _exit(0);
    }
    mptest_require(pid < 0 || waitpid(pid, NULL, 0) == pid);
    take_and_give(s);
}

KILL_AT_POINTS(robust_semaphore, .points = "semaphore.robust_", .make = make_robust,
               .round = clear_up_take_and_give, .check = all_are_back, .end = end)

// A plain one: who dies with a unit takes it along. So there are always more than enough.
static void *make_plain(void)
{
    mp_semaphore *s;
    mp_assert_ok(mp_semaphore_new(&s, 1000, NULL));
    return s;
}

static void none_is_there_twice(void *s)
{
    mp_semaphore_stats st;
    mp_assert_ok(mp_semaphore_get_stats(s, &st));
    ck_assert_uint_eq(st.held, 0);
    ck_assert_uint_le(st.value, 1000);
    ck_assert_uint_ge(st.value, 996); // two deaths, two units each
    ck_assert_uint_le(st.lost, 4);
}

KILL_AT_POINTS(semaphore, .points = "semaphore.plain_", .make = make_plain, .round = take_and_give,
               .check = none_is_there_twice, .end = end)
