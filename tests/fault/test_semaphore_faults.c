// SPDX-License-Identifier: MIT
#include "crew.h"

#include <mp/semaphore.h>
#include <pthread.h>
#include <stdatomic.h>

#define MANY 15000 // ms: longer than any of this takes

struct board {
    mp_semaphore *s;
    _Atomic int ready, go;
};

static struct board *new_board(unsigned value, unsigned bound, bool robust)
{
    struct board *b = crew_share(sizeof *b);
    mp_assert_ok(
        mp_semaphore_new(&b->s, value, &(mp_semaphore_opts){.bound = bound, .robust = robust}));
    return b;
}

static void end_board(struct board *b)
{
    mp_semaphore_free(b->s);
    munmap(b, sizeof *b);
}

static mp_semaphore_stats stats(struct board *b)
{
    mp_semaphore_stats st;
    mp_assert_ok(mp_semaphore_get_stats(b->s, &st));
    return st;
}

static void take_one(void *arg)
{
    struct board *b = arg;
    atomic_fetch_add(&b->ready, 1);
    mptest_require(mp_semaphore_acquire(b->s, MANY) == 0);
}

static void take_one_and_stay(void *arg)
{
    struct board *b = arg;
    take_one(arg);
    atomic_fetch_add(&b->go, 1);
    for (;;)
        pause();
}

// Waiters are killed before, while, and after two units come; the living two get theirs.
static void kill_waiters(bool robust, unsigned seed)
{
    struct board *b = new_board(0, 0, robust);
    pid_t victim[2], living[2];
    for (int i = 0; i < 2; i++) {
        victim[i] = crew_start(take_one_and_stay, b);
        living[i] = crew_start(take_one, b);
    }
    ck_assert(mptest_eventually(atomic_load(&b->ready) == 4, 10000));
    usleep((useconds_t)rand_r(&seed) % 300);
    mp_assert_ok(mp_semaphore_release(b->s));
    usleep((useconds_t)rand_r(&seed) % 100);
    kill(victim[0], SIGKILL);
    mp_assert_ok(mp_semaphore_release(b->s));
    crew_kill(victim[1]);
    crew_kill(victim[0]);
    mp_assert_ok(mp_semaphore_release_n(b->s, 2)); // what the dead may have taken
    crew_must_end(living[0], 10000);
    crew_must_end(living[1], 10000);
    mp_semaphore_stats st = stats(b);
    if (robust) // all four died or ended with theirs, so all are back
        ck_assert_uint_eq(st.value, 4);
    else // one killed before it noted that it had it is not among the lost
        ck_assert_uint_le(st.value + st.lost, 4);
    end_board(b);
}

MP_TEST_TIMEOUT(a_thousand_waiters_killed, 600)
{
    int trials = crew_times(60, 500); // two each
    for (int i = 0; i < trials; i++) {
        kill_waiters(false, (unsigned)i);
        kill_waiters(true, (unsigned)i);
    }
}

MP_TEST_TIMEOUT(dead_holders_are_reported, 120)
{
    struct board *b = new_board(1000, 1000, false);
    int deaths = crew_times(40, 400);
    for (int i = 0; i < deaths; i++) {
        pid_t holder = crew_start(take_one_and_stay, b);
        ck_assert(mptest_eventually(atomic_load(&b->go) == i + 1, 10000));
        crew_kill(holder);
    }
    mp_semaphore_stats st = stats(b);
    ck_assert_uint_eq(st.lost, (unsigned)deaths);
    ck_assert_uint_eq(st.value, 1000 - (unsigned)deaths);
    ck_assert_uint_eq(st.held, 0);
    end_board(b);
}

static void *waiter_thread(void *arg)
{
    struct board *b = arg;
    static int r;
    r = mp_semaphore_acquire(b->s, MANY);
    return &r;
}

// The units of a robust one come to those who wait already.
MP_TEST_TIMEOUT(units_of_dead_holders_come_back, 120)
{
    struct board *b = new_board(1, 1, true);
    int deaths = crew_times(40, 400);
    for (int i = 0; i < deaths; i++) {
        atomic_store(&b->go, 0);
        pid_t holder = crew_start(take_one_and_stay, b);
        ck_assert(mptest_eventually(atomic_load(&b->go) == 1, 10000));
        pid_t next = crew_start(take_one, b);
        crew_kill(holder);
        crew_must_end(next, 10000);
    }
    ck_assert_uint_eq(stats(b).returned, 2 * (unsigned)deaths);
    ck_assert_uint_eq(stats(b).value, 1);
    end_board(b);
}

// One that is stopped is not dead, whatever it holds.
MP_TEST(a_stopped_holder_keeps_its_unit)
{
    struct board *b = new_board(1, 1, true);
    pid_t holder = crew_start(take_one_and_stay, b);
    ck_assert(mptest_eventually(atomic_load(&b->go) == 1, 10000));
    crew_stop(holder);
    mp_assert_err(mp_semaphore_acquire(b->s, 300), MP_ETIMEDOUT);
    ck_assert_uint_eq(stats(b).returned, 0);
    kill(holder, SIGCONT);
    mp_assert_err(mp_semaphore_acquire(b->s, 0), MP_ETIMEDOUT);
    crew_kill(holder);
    mp_assert_ok(mp_semaphore_acquire(b->s, MANY));
    end_board(b);
}

// A wake-up that a stopped waiter swallows costs the others a look and no more.
MP_TEST(a_stopped_waiter_keeps_nobody)
{
    for (int robust = 0; robust < 2; robust++) {
        struct board *b = new_board(0, 0, robust);
        pid_t stopped = crew_start(take_one, b);
        ck_assert(mptest_eventually(atomic_load(&b->ready) == 1, 10000));
        usleep(20000); // lets it sleep
        crew_stop(stopped);
        pid_t living = crew_start(take_one, b);
        ck_assert(mptest_eventually(atomic_load(&b->ready) == 2, 10000));
        mp_assert_ok(mp_semaphore_release(b->s));
        crew_must_end(living, 10000);
        kill(stopped, SIGCONT);
        mp_assert_ok(mp_semaphore_release(b->s));
        crew_must_end(stopped, 10000);
        end_board(b);
    }
}

static void churn(void *arg)
{
    struct board *b = arg;
    atomic_fetch_add(&b->ready, 1);
    for (;;) {
        mptest_require(mp_semaphore_acquire(b->s, MP_FOREVER) == 0);
        mptest_require(mp_semaphore_release(b->s) == 0);
    }
}

// Killed at any instruction, thrice as many as there are units: none is ever missing.
MP_TEST_TIMEOUT(robust_units_survive_kills_at_any_moment, 600)
{
    struct board *b = new_board(2, 2, true);
    pid_t pid[3];
    for (int k = 0; k < 3; k++)
        pid[k] = crew_start(churn, b);
    unsigned seed = 1;
    int kills = crew_times(200, 2000);
    for (int i = 0; i < kills; i++) {
        ck_assert(mptest_eventually(atomic_load(&b->ready) == 3 + i, 10000));
        usleep((useconds_t)rand_r(&seed) % 1000);
        crew_kill(pid[i % 3]);
        mp_assert_ok(mp_semaphore_acquire(b->s, 10000));
        mp_assert_ok(mp_semaphore_release(b->s));
        pid[i % 3] = crew_start(churn, b);
    }
    for (int k = 0; k < 3; k++)
        crew_kill(pid[k]);
    ck_assert_int_eq(mp_semaphore_value(b->s), 2);
    ck_assert_uint_eq(stats(b).held, 0);
    end_board(b);
}

MP_TEST(waiters_in_threads_are_served_after_a_death)
{
    struct board *b = new_board(1, 1, true);
    pthread_t t;
    void *r;
    pid_t holder = crew_start(take_one_and_stay, b);
    ck_assert(mptest_eventually(atomic_load(&b->go) == 1, 10000));
    ck_assert_int_eq(pthread_create(&t, NULL, waiter_thread, b), 0);
    usleep(20000); // lets it sleep
    crew_kill(holder);
    pthread_join(t, &r);
    mp_assert_ok(*(int *)r);
    end_board(b);
}
