// SPDX-License-Identifier: MIT
#include "crew.h"

#include <mp/barrier.h>
#include <stdatomic.h>

#define MANY 15000 // ms: longer than any of this takes

struct board {
    mp_barrier *b;
    _Atomic int passed, broken, acting;
};

static struct board *new_board(unsigned parties)
{
    struct board *s = crew_share(sizeof *s);
    mp_assert_ok(mp_barrier_new(&s->b, parties, NULL));
    return s;
}

static void end_board(struct board *s)
{
    mp_barrier_free(s->b);
    munmap(s, sizeof *s);
}

static void come_once(void *arg)
{
    struct board *s = arg;
    int r = mp_barrier_wait(s->b, MANY);
    mptest_require(r >= 0 || r == MP_EBARRIER);
    atomic_fetch_add(r < 0 ? &s->broken : &s->passed, 1);
}

static bool waiting(struct board *s, int n)
{
    return mptest_eventually(mp_barrier_n_waiting(s->b) == n, 10000);
}

// One that waits is killed: it breaks for the others who wait, and for who comes then.
MP_TEST_TIMEOUT(a_thousand_waiting_parties_killed, 900)
{
    struct board *s = new_board(4);
    int kills = crew_times(40, 1000), expected = 0;
    for (int i = 0; i < kills; i++) {
        pid_t pid[3];
        for (int k = 0; k < 3; k++)
            pid[k] = crew_start(come_once, s);
        ck_assert(waiting(s, 3));
        crew_kill(pid[i % 3]);
        if (i % 4 == 0) // the last comes before anybody looked
            mp_assert_err(mp_barrier_wait(s->b, MANY), MP_EBARRIER);
        for (int k = 0; k < 3; k++)
            if (k != i % 3)
                crew_must_end(pid[k], 10000);
        expected += 2;
        ck_assert_int_eq(atomic_load(&s->broken), expected);
        ck_assert(mp_barrier_broken(s->b));
        mp_assert_err(mp_barrier_wait(s->b, MANY), MP_EBARRIER);
        mp_assert_ok(mp_barrier_reset(s->b));
    }
    end_board(s);
}

static void come_again_and_again(void *arg)
{
    struct board *s = arg;
    for (;;) {
        int r = mp_barrier_wait(s->b, MANY);
        mptest_require(r >= 0 || r == MP_EBARRIER);
        if (r < 0)
            mp_barrier_reset(s->b);
    }
}

// Killed at any instruction, before, in and after the wait, and replaced: the others get
// on, or are told.
MP_TEST_TIMEOUT(parties_killed_at_any_moment, 900)
{
    struct board *s = new_board(3);
    pid_t pid[2];
    unsigned seed = 1;
    int kills = crew_times(100, 1000);
    for (int k = 0; k < 2; k++)
        pid[k] = crew_start(come_again_and_again, s);
    for (int i = 0; i < kills; i++) {
        int r = mp_barrier_wait(s->b, 10000);
        ck_assert_msg(r >= 0 || r == MP_EBARRIER, "%s", mp_err_name(r));
        if (r < 0)
            mp_assert_ok(mp_barrier_reset(s->b));
        usleep((useconds_t)rand_r(&seed) % 300);
        crew_kill(pid[i % 2]);
        pid[i % 2] = crew_start(come_again_and_again, s);
    }
    for (int k = 0; k < 2; k++)
        crew_kill(pid[k]);
    end_board(s);
}

MP_TEST(one_that_never_comes_is_a_timeout)
{
    struct board *s = new_board(3);
    pid_t waits = crew_start(come_once, s);
    ck_assert(waiting(s, 1));
    mp_assert_err(mp_barrier_wait(s->b, 100), MP_ETIMEDOUT);
    crew_must_end(waits, 10000);
    ck_assert_int_eq(atomic_load(&s->broken), 1);
    end_board(s);
}

// A party that dies when the last has come takes nothing with it.
MP_TEST(death_after_the_round_breaks_nothing)
{
    struct board *s = new_board(2);
    for (int i = 0; i < crew_times(50, 500); i++) {
        pid_t dies = crew_start(come_once, s);
        ck_assert(mp_barrier_wait(s->b, MANY) >= 0);
        crew_kill(dies);
        ck_assert(!mp_barrier_broken(s->b));
        pid_t next = crew_start(come_once, s);
        ck_assert(mp_barrier_wait(s->b, MANY) >= 0);
        crew_must_end(next, 10000);
    }
    ck_assert_int_eq(atomic_load(&s->broken), 0);
    end_board(s);
}

static int act_for_ever(void *arg)
{
    struct board *s = arg;
    atomic_fetch_add(&s->acting, 1);
    while (getppid() > 0)
        pause();
    return 0;
}

static void come_last(void *arg)
{
    struct board *s = arg;
    mptest_require(mp_barrier_wait_action(s->b, MANY, act_for_ever, s) < 0);
}

MP_TEST(death_in_the_action_breaks_it)
{
    struct board *s = new_board(3);
    for (int i = 0; i < 10; i++) {
        pid_t waits[2], last;
        for (int k = 0; k < 2; k++)
            waits[k] = crew_start(come_once, s);
        ck_assert(waiting(s, 2));
        last = crew_start(come_last, s);
        ck_assert(mptest_eventually(atomic_load(&s->acting) == i + 1, 10000));
        pid_t next = crew_start(come_once, s); // waits for the round to end
        crew_kill(last);
        for (int k = 0; k < 2; k++)
            crew_must_end(waits[k], 10000);
        crew_must_end(next, 10000);
        ck_assert_int_eq(atomic_load(&s->broken), 3 * (i + 1));
        mp_assert_ok(mp_barrier_reset(s->b));
    }
    end_board(s);
}

// The action takes longer than one of the parties wants to wait.
MP_TEST(a_timeout_in_the_action_breaks_it)
{
    struct board *s = new_board(2);
    pid_t last = crew_start(come_last, s);
    ck_assert(waiting(s, 1));
    crew_kill(last); // it waits, and is not the last
    mp_assert_err(mp_barrier_wait(s->b, MANY), MP_EBARRIER);
    mp_assert_ok(mp_barrier_reset(s->b));
    pid_t waits = crew_start(come_once, s);
    ck_assert(waiting(s, 1));
    last = crew_start(come_last, s);
    ck_assert(mptest_eventually(atomic_load(&s->acting) == 1, 10000));
    mp_assert_err(mp_barrier_wait(s->b, 100), MP_ETIMEDOUT); // one more: breaks nothing
    ck_assert(!mp_barrier_broken(s->b));
    mp_assert_ok(mp_barrier_abort(s->b));
    crew_must_end(waits, 10000);
    crew_kill(last);
    end_board(s);
}

MP_TEST(a_stopped_party_is_not_dead)
{
    struct board *s = new_board(3);
    pid_t stopped = crew_start(come_once, s), waits = crew_start(come_once, s);
    ck_assert(waiting(s, 2));
    crew_stop(stopped);
    usleep(300000); // six looks
    ck_assert(!mp_barrier_broken(s->b));
    ck_assert_int_eq(mp_barrier_n_waiting(s->b), 2);
    ck_assert_int_ge(mp_barrier_wait(s->b, MANY), 0);
    crew_must_end(waits, 10000);
    kill(stopped, SIGCONT);
    crew_must_end(stopped, 10000);
    ck_assert_int_eq(atomic_load(&s->passed), 2);
    end_board(s);
}
