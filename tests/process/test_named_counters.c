// SPDX-License-Identifier: MIT
//
// Semaphore, event, barrier and rwlock under names, in a process that did not inherit them:
// it has them at other addresses.
#include "crew.h"

#include <errno.h>
#include <mp/barrier.h>
#include <mp/event.h>
#include <mp/rwlock.h>
#include <mp/semaphore.h>
#include <stdatomic.h>

#define MANY 15000 // ms: longer than any of this takes

enum { SEMAPHORE, ROBUST, EVENT, BARRIER, RWLOCK, N_NAMES };

struct board {
    const char *name[N_NAMES];
    _Atomic bool made, holds, gone;
};

static mp_semaphore *semaphore, *robust;
static mp_event *event;
static mp_barrier *barrier;
static mp_rwlock *rwlock;

static struct board *new_board(void)
{
    static const char *const names[] = {"semaphore", "robust", "event", "barrier", "rwlock"};
    struct board *b = crew_share(sizeof *b);
    for (int i = 0; i < N_NAMES; i++)
        b->name[i] = mptest_name(names[i]);
    return b;
}

static void make_all(struct board *b)
{
    mp_assert_ok(mp_semaphore_new(&semaphore, 0, &(mp_semaphore_opts){.name = b->name[SEMAPHORE]}));
    mp_assert_ok(mp_semaphore_new(&robust, 1,
                                  &(mp_semaphore_opts){.name = b->name[ROBUST], .robust = true}));
    mp_assert_ok(mp_event_new(&event, &(mp_event_opts){.name = b->name[EVENT]}));
    mp_assert_ok(mp_barrier_new(&barrier, 2, &(mp_barrier_opts){.name = b->name[BARRIER]}));
    mp_assert_ok(mp_rwlock_new(&rwlock, &(mp_rwlock_opts){.name = b->name[RWLOCK]}));
    atomic_store(&b->made, true);
}

static void free_all(void)
{
    mp_semaphore_free(semaphore);
    mp_semaphore_free(robust);
    mp_event_free(event);
    mp_barrier_free(barrier);
    mp_rwlock_free(rwlock);
}

static void attach_all(struct board *b)
{
    mptest_require(mptest_eventually(atomic_load(&b->made), 10000));
    mptest_require(mp_semaphore_attach(&semaphore, b->name[SEMAPHORE]) == 0);
    mptest_require(mp_semaphore_attach(&robust, b->name[ROBUST]) == 0);
    mptest_require(mp_event_attach(&event, b->name[EVENT]) == 0);
    mptest_require(mp_barrier_attach(&barrier, b->name[BARRIER]) == 0);
    mptest_require(mp_rwlock_attach(&rwlock, b->name[RWLOCK]) == 0);
}

static void unlink_all(struct board *b)
{
    for (int i = 0; i < N_NAMES; i++)
        mp_assert_ok(mp_shm_unlink(b->name[i]));
    munmap(b, sizeof *b);
}

// One after the other, waits for what the maker does; then dies with what can be held.
static void stranger(void *arg)
{
    struct board *b = arg;
    attach_all(b);
    mptest_require(mp_semaphore_acquire(semaphore, MANY) == 0);
    mptest_require(mp_event_wait(event, MANY) == 0);
    for (int i = 0; i < 100; i++)
        mptest_require(mp_barrier_wait(barrier, MANY) >= 0);
    mptest_require(mp_semaphore_acquire(robust, MANY) == 0);
    mptest_require(mp_rwlock_acquire_write(rwlock, MANY) == 0);
    atomic_store(&b->holds, true);
    mptest_require(mp_barrier_wait(barrier, MANY) < -10000); // never: it is killed there
}

MP_TEST(a_stranger_uses_them_and_dies)
{
    struct board *b = new_board();
    pid_t pid = crew_start(stranger, b); // before they are there
    make_all(b);
    mp_assert_ok(mp_semaphore_release(semaphore));
    mp_assert_ok(mp_event_set(event));
    for (int i = 0; i < 100; i++)
        ck_assert_int_ge(mp_barrier_wait(barrier, MANY), 0);
    ck_assert(mptest_eventually(atomic_load(&b->holds), 10000));
    ck_assert(mptest_eventually(mp_barrier_n_waiting(barrier) == 1, 10000));
    mp_assert_err(mp_semaphore_acquire(robust, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_rwlock_acquire_read(rwlock, 0), MP_ETIMEDOUT);
    crew_kill(pid);
    mp_assert_err(mp_barrier_wait(barrier, MANY), MP_EBARRIER);
    mp_assert_ok(mp_semaphore_acquire(robust, MANY));
    mp_assert_err(mp_rwlock_acquire_read(rwlock, MANY), MP_EOWNERDEAD);
    mp_assert_err(mp_rwlock_acquire_write(rwlock, MANY), MP_EOWNERDEAD);
    ck_assert_int_eq(mp_rwlock_dead_owner(rwlock), pid);
    free_all();
    unlink_all(b);
}

MP_TEST(a_name_is_of_one_type)
{
    struct board *b = new_board();
    make_all(b);
    mp_semaphore *s = (void *)b;
    mp_event *e;
    mp_barrier *ba;
    mp_rwlock *rw;
    mp_assert_err(mp_semaphore_attach(&s, b->name[EVENT]), MP_ETYPE);
    ck_assert_ptr_null(s);
    mp_assert_err(mp_event_attach(&e, b->name[SEMAPHORE]), MP_ETYPE);
    mp_assert_err(mp_barrier_attach(&ba, b->name[RWLOCK]), MP_ETYPE);
    mp_assert_err(mp_rwlock_attach(&rw, b->name[BARRIER]), MP_ETYPE);
    mp_assert_err(mp_semaphore_new(&s, 1, &(mp_semaphore_opts){.name = b->name[EVENT]}), -EEXIST);
    mp_assert_err(mp_event_attach(&e, "no-such-event"), MP_ENOTFOUND);
    mp_assert_err(mp_event_attach(&e, "../etc"), MP_EINVAL);
    mp_assert_err(mp_event_attach(&e, NULL), MP_EINVAL);
    free_all();
    unlink_all(b);
}
