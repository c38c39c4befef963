// SPDX-License-Identifier: MIT
#include "crew.h"

#include <mp/event.h>
#include <stdatomic.h>

#define MANY 15000 // ms: longer than any of this takes

struct board {
    mp_event *e;
    _Atomic int ready;
};

static struct board *new_board(void)
{
    struct board *b = crew_share(sizeof *b);
    mp_assert_ok(mp_event_new(&b->e, NULL));
    return b;
}

static void end_board(struct board *b)
{
    mp_event_free(b->e);
    munmap(b, sizeof *b);
}

static void wait_once(void *arg)
{
    struct board *b = arg;
    atomic_fetch_add(&b->ready, 1);
    mptest_require(mp_event_wait(b->e, MANY) == 0);
}

static void kill_waiters(struct board *b, unsigned seed)
{
    pid_t victim[2], living[2];
    atomic_store(&b->ready, 0);
    mp_assert_ok(mp_event_clear(b->e));
    for (int i = 0; i < 2; i++) {
        victim[i] = crew_start(wait_once, b);
        living[i] = crew_start(wait_once, b);
    }
    ck_assert(mptest_eventually(atomic_load(&b->ready) == 4, 10000));
    usleep((useconds_t)rand_r(&seed) % 300);
    kill(victim[0], SIGKILL);
    mp_assert_ok(mp_event_set(b->e));
    for (int i = 0; i < 2; i++)
        crew_kill(victim[i]);
    for (int i = 0; i < 2; i++)
        crew_must_end(living[i], 10000);
}

MP_TEST_TIMEOUT(a_thousand_waiters_killed, 600)
{
    struct board *b = new_board();
    int trials = crew_times(60, 500); // two each
    for (int i = 0; i < trials; i++)
        kill_waiters(b, (unsigned)i);
    end_board(b);
}

static void set_and_clear(void *arg)
{
    struct board *b = arg;
    atomic_fetch_add(&b->ready, 1);
    for (;;) {
        mp_event_set(b->e);
        mp_event_clear(b->e);
    }
}

// Killed between raising the flag and waking: the flag is up or not, and who waits sees it.
MP_TEST_TIMEOUT(setters_killed_at_any_moment, 600)
{
    struct board *b = new_board();
    unsigned seed = 1;
    int kills = crew_times(100, 1000);
    for (int i = 0; i < kills; i++) {
        atomic_store(&b->ready, 0);
        pid_t waiter = crew_start(wait_once, b), setter = crew_start(set_and_clear, b);
        ck_assert(mptest_eventually(atomic_load(&b->ready) == 2, 10000));
        usleep((useconds_t)rand_r(&seed) % 500);
        crew_kill(setter);
        if (!mp_event_is_set(b->e))
            mp_assert_ok(mp_event_set(b->e));
        else
            mp_assert_ok(mp_event_wait(b->e, 0));
        crew_must_end(waiter, 10000);
        mp_assert_ok(mp_event_clear(b->e));
    }
    end_board(b);
}

MP_TEST(a_stopped_waiter_keeps_nobody)
{
    struct board *b = new_board();
    pid_t stopped = crew_start(wait_once, b);
    ck_assert(mptest_eventually(atomic_load(&b->ready) == 1, 10000));
    crew_stop(stopped);
    pid_t living = crew_start(wait_once, b);
    mp_assert_ok(mp_event_set(b->e));
    crew_must_end(living, 10000);
    kill(stopped, SIGCONT);
    crew_must_end(stopped, 10000);
    end_board(b);
}
