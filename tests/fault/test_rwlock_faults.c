// SPDX-License-Identifier: MIT
#include "crew.h"

#include <mp/rwlock.h>
#include <stdatomic.h>

#define MANY 15000 // ms: longer than any of this takes

// What the lock guards: two numbers that are equal whenever nobody writes.
struct board {
    mp_rwlock *rw;
    volatile uint64_t a, b;
    _Atomic int holds, ready, tries;
};

static struct board *new_board(void)
{
    struct board *b = crew_share(sizeof *b);
    mp_assert_ok(mp_rwlock_new(&b->rw, NULL));
    return b;
}

static void end_board(struct board *b)
{
    mp_rwlock_free(b->rw);
    munmap(b, sizeof *b);
}

static void stay(struct board *b)
{
    atomic_store(&b->holds, 1);
    for (;;)
        pause();
}

static void read_and_stay(void *arg)
{
    struct board *b = arg;
    mptest_require(mp_rwlock_acquire_read(b->rw, MANY) == 0);
    mptest_require(mp_rwlock_acquire_read(b->rw, MANY) == 0); // twice: both reads go
    stay(b);
}

static void write_and_stay(void *arg)
{
    struct board *b = arg;
    int r = mp_rwlock_acquire_write(b->rw, MANY);
    mptest_require(r == 0 || r == MP_EOWNERDEAD);
    stay(b);
}

static pid_t start_holder(struct board *b, void (*hold)(void *))
{
    atomic_store(&b->holds, 0);
    pid_t pid = crew_start(hold, b);
    ck_assert(mptest_eventually(atomic_load(&b->holds), 10000));
    return pid;
}

static void write_once(void *arg)
{
    struct board *b = arg;
    atomic_store(&b->tries, 1);
    mptest_require(mp_rwlock_acquire_write(b->rw, MANY) == 0);
    mptest_require(mp_rwlock_release_write(b->rw) == 0);
}

MP_TEST_TIMEOUT(dead_readers_keep_no_writer_out, 300)
{
    struct board *b = new_board();
    int kills = crew_times(50, 1000);
    for (int i = 0; i < kills; i++) {
        pid_t reader = start_holder(b, read_and_stay);
        mp_assert_err(mp_rwlock_acquire_write(b->rw, 0), MP_ETIMEDOUT);
        pid_t writer = i % 2 ? crew_start(write_once, b) : 0; // one that waits already
        crew_kill(reader);
        mp_assert_ok(mp_rwlock_acquire_write(b->rw, 10000));
        mp_assert_ok(mp_rwlock_release_write(b->rw));
        if (writer)
            crew_must_end(writer, 10000);
    }
    ck_assert_int_eq(mp_rwlock_dead_owner(b->rw), 0);
    end_board(b);
}

static void read_is_refused(void *arg)
{
    struct board *b = arg;
    mptest_require(mp_rwlock_acquire_read(b->rw, MANY) == MP_EOWNERDEAD);
}

MP_TEST_TIMEOUT(the_death_of_a_writer_is_told, 300)
{
    struct board *b = new_board();
    int kills = crew_times(50, 1000);
    for (int i = 0; i < kills; i++) {
        pid_t writer = start_holder(b, write_and_stay);
        pid_t reader = i % 2 ? crew_start(read_is_refused, b) : 0; // one that waits already
        crew_kill(writer);
        if (reader)
            crew_must_end(reader, 10000);
        if (i % 3)
            mp_assert_err(mp_rwlock_acquire_read(b->rw, MP_FOREVER), MP_EOWNERDEAD);
        mp_assert_err(mp_rwlock_release_read(b->rw), MP_ENOTHELD);
        mp_assert_err(mp_rwlock_acquire_write(b->rw, MP_FOREVER), MP_EOWNERDEAD);
        ck_assert_int_eq(mp_rwlock_dead_owner(b->rw), writer);
        mp_assert_ok(mp_rwlock_consistent(b->rw));
        mp_assert_err(mp_rwlock_consistent(b->rw), MP_ESTATE);
        mp_assert_ok(mp_rwlock_release_write(b->rw));
        mp_assert_ok(mp_rwlock_acquire_read(b->rw, 0)); // told once
        mp_assert_ok(mp_rwlock_release_read(b->rw));
        mp_assert_ok(mp_rwlock_acquire_write(b->rw, 0));
        mp_assert_ok(mp_rwlock_release_write(b->rw));
    }
    end_board(b);
}

MP_TEST(who_repairs_may_die_as_well)
{
    struct board *b = new_board();
    for (int i = 0; i < 5; i++) {
        pid_t writer = start_holder(b, write_and_stay);
        crew_kill(writer);
        mp_assert_err(mp_rwlock_acquire_read(b->rw, 0), MP_EOWNERDEAD);
        ck_assert_int_eq(mp_rwlock_dead_owner(b->rw), writer);
    }
    mp_assert_err(mp_rwlock_acquire_write(b->rw, 0), MP_EOWNERDEAD);
    mp_assert_ok(mp_rwlock_consistent(b->rw));
    mp_assert_ok(mp_rwlock_release_write(b->rw));
    mp_assert_ok(mp_rwlock_acquire_read(b->rw, 0));
    mp_assert_ok(mp_rwlock_release_read(b->rw));
    end_board(b);
}

MP_TEST(without_repair_it_is_broken)
{
    struct board *b = new_board();
    crew_kill(start_holder(b, write_and_stay));
    mp_assert_err(mp_rwlock_acquire_write(b->rw, 0), MP_EOWNERDEAD);
    mp_assert_ok(mp_rwlock_release_write(b->rw));
    for (int i = 0; i < 2; i++) {
        mp_assert_err(mp_rwlock_acquire_write(b->rw, MP_FOREVER), MP_EBROKEN);
        mp_assert_err(mp_rwlock_acquire_read(b->rw, MP_FOREVER), MP_EBROKEN);
    }
    end_board(b);
}

static void read_once(void *arg)
{
    struct board *b = arg;
    mptest_require(mp_rwlock_acquire_read(b->rw, MANY) == 0);
    mptest_require(mp_rwlock_release_read(b->rw) == 0);
}

static int reader_gets(void *arg)
{
    struct board *b = arg;
    return -mp_rwlock_acquire_read(b->rw, 0) == -MP_ETIMEDOUT ? 0 : 1;
}

// A writer that was still waiting wrote nothing: nobody need know.
MP_TEST(death_of_a_writer_that_waits)
{
    struct board *b = new_board();
    for (int i = 0; i < 10; i++) {
        pid_t reader = start_holder(b, read_and_stay);
        pid_t writer = crew_start(write_and_stay, b);
        ck_assert(mptest_eventually(mptest_in_child(reader_gets, b) == 0, 10000));
        pid_t kept_out = crew_start(read_once, b);
        crew_kill(writer);
        crew_must_end(kept_out, 10000);
        mp_assert_ok(mp_rwlock_acquire_read(b->rw, MANY));
        mp_assert_ok(mp_rwlock_release_read(b->rw));
        crew_kill(reader);
        mp_assert_ok(mp_rwlock_acquire_write(b->rw, MANY));
        mp_assert_ok(mp_rwlock_release_write(b->rw));
    }
    ck_assert_int_eq(mp_rwlock_dead_owner(b->rw), 0);
    end_board(b);
}

MP_TEST(the_stopped_are_not_dead)
{
    struct board *b = new_board();
    pid_t reader = start_holder(b, read_and_stay);
    crew_stop(reader);
    mp_assert_err(mp_rwlock_acquire_write(b->rw, 300), MP_ETIMEDOUT);
    mp_assert_ok(mp_rwlock_acquire_read(b->rw, 0));
    mp_assert_ok(mp_rwlock_release_read(b->rw));
    crew_kill(reader);
    pid_t writer = start_holder(b, write_and_stay);
    crew_stop(writer);
    mp_assert_err(mp_rwlock_acquire_write(b->rw, 150), MP_ETIMEDOUT);
    mp_assert_err(mp_rwlock_acquire_read(b->rw, 150), MP_ETIMEDOUT);
    crew_kill(writer);
    end_board(b);
}

// Reads and writes for ever; checks, and repairs what a dead writer left.
static void hammer(void *arg)
{
    struct board *b = arg;
    atomic_fetch_add(&b->ready, 1);
    for (unsigned i = 0;; i++) {
        if (i % 4) {
            int r = mp_rwlock_acquire_read(b->rw, MANY);
            mptest_require(r == 0 || r == MP_EOWNERDEAD);
            mptest_require(r < 0 || b->a == b->b);
            mptest_require(r < 0 || mp_rwlock_release_read(b->rw) == 0);
            continue;
        }
        int r = mp_rwlock_acquire_write(b->rw, MANY);
        mptest_require(r == 0 || r == MP_EOWNERDEAD);
        if (r < 0) {
            b->a = b->b;
            mptest_require(mp_rwlock_consistent(b->rw) == 0);
        }
        mptest_require(b->a == b->b);
        b->a++;
        for (volatile int k = 0; k < 5000; k++)
            ;
        b->b++;
        mptest_require(mp_rwlock_release_write(b->rw) == 0);
    }
}

MP_TEST_TIMEOUT(killed_at_any_moment, 600)
{
    struct board *b = new_board();
    pid_t pid[3];
    unsigned seed = 1;
    int kills = crew_times(200, 2000), told = 0;
    for (int k = 0; k < 3; k++)
        pid[k] = crew_start(hammer, b);
    for (int i = 0; i < kills; i++) {
        ck_assert(mptest_eventually(atomic_load(&b->ready) == 3 + i, 10000));
        usleep((useconds_t)rand_r(&seed) % 1000);
        crew_kill(pid[i % 3]);
        int r = mp_rwlock_acquire_write(b->rw, 10000);
        ck_assert_msg(r == 0 || r == MP_EOWNERDEAD, "%s", mp_err_name(r));
        if (r < 0) {
            told++;
            b->a = b->b;
            mp_assert_ok(mp_rwlock_consistent(b->rw));
        }
        ck_assert_uint_eq(b->a, b->b);
        mp_assert_ok(mp_rwlock_release_write(b->rw));
        pid[i % 3] = crew_start(hammer, b);
    }
    for (int k = 0; k < 3; k++)
        crew_kill(pid[k]);
    ck_assert(told > 0 || mp_rwlock_dead_owner(b->rw) > 0); // or the kills came in no writer
    end_board(b);
}
