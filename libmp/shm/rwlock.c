// SPDX-License-Identifier: MIT
//
// A reader raises its own process's count, and only then looks whether a writer wants in;
// a writer says that it wants in, and only then looks at the counts. Each of them does the
// two in this order, so one at least sees the other, and readers write no memory that other
// processes read. Counts of dead processes do not count, which is what a reader that is
// killed costs: a look.
//
// Writers exclude each other by a robust mutex; all changes of `state` are made under it,
// one store each. So when its owner died, the state tells how far it was: one that still
// waited for readers changed nothing, and nobody need know; one that wrote leaves the lock
// TAINTED, until some writer says that things are in order. Any process may find the dead
// writer first: the next writer, or a reader that waited for it.
#include "os/futex.h"
#include "os/point.h"
#include "shm/holders.h"
#include "shm/mutex.h"
#include "shm/object.h"
#include "shm/sleepers.h"

#include <mp/rwlock.h>

#define VERSION   1
#define READS_MAX UINT32_C(0x80000000) // by one process

enum state {
    WANTED = 1,  // a writer waits for the readers to leave
    WRITING = 2, // a writer is in
    TAINTED = 4, // a writer died in there
    BROKEN = 8,  // and the next one left it so
};

struct mp_rwlock { // NOLINT(clang-analyzer-optin.performance.Padding): lines apart
    struct mp__object object;
    struct mp__holders readers;
    // Written by each writer; all that a reader reads is well before and behind.
    _Atomic mp__life writer;         // who that is or was,
    _Atomic uintptr_t writer_thread; // its thread,
    _Atomic pid_t writer_pid;        // and its pid
    _Atomic pid_t dead;              // that of the one who died last
    _Atomic uint32_t left;           // changed by readers that leave while one is WANTED
    _Alignas(64) _Atomic uint32_t state;
    struct mp__sleepers readers_asleep; // on state
    struct mp__sleepers writer_asleep;  // on left
    struct mp__mutex lock;              // one writer at a time; all changes of state
};

// Something of which each thread has its own, at an address of its own.
static uintptr_t this_thread(void)
{
    static _Thread_local char mine;
    return (uintptr_t)&mine;
}

static void set_state(mp_rwlock *rw, uint32_t state)
{
    atomic_store(&rw->state, state);
}

static void admit_readers(mp_rwlock *rw)
{
    mp__sleepers_wake(&rw->readers_asleep, &rw->state, INT_MAX);
}

// Whether this very thread writes.
static bool i_write(mp_rwlock *rw)
{
    mp__life life;
    return atomic_load(&rw->state) & WRITING && atomic_load(&rw->writer_thread) == this_thread() &&
           mp__life_mine(rw, &life) == 0 && atomic_load(&rw->writer) == life;
}

// ---- the death of a writer ----

// The lock's last owner died: what its state means to the others. Under the lock.
static void settle(mp_rwlock *rw)
{
    uint32_t state = atomic_load(&rw->state);
    if (state & WRITING)
        atomic_store(&rw->dead, atomic_load(&rw->writer_pid));
    MP__POINT("rwlock.found_dead");
    set_state(rw, (state & (TAINTED | BROKEN)) | (state & WRITING ? TAINTED : 0));
    MP__POINT("rwlock.settled");
    mp__mutex_consistent(&rw->lock);
}

static int lock(mp_rwlock *rw, mp__deadline d)
{
    int r = mp__mutex_lock(&rw->lock, d);
    if (r != MP_EOWNERDEAD)
        return r;
    settle(rw);
    return 0;
}

static void unlock(mp_rwlock *rw)
{
    mp__mutex_unlock(&rw->lock);
}

// Of a reader that waits: if the writer it waits for is dead, nobody else may come by.
static void look_after_writer(mp_rwlock *rw)
{
    if (!mp__life_over(rw, atomic_load(&rw->writer)) || lock(rw, 0) < 0)
        return; // it lives, or another writer is at it
    unlock(rw);
    admit_readers(rw);
}

// ---- reading ----

static int end_read(mp_rwlock *rw, mp__held *mine)
{
    uint64_t held = atomic_load_explicit(mine, memory_order_relaxed);
    do {
        if (mp__held_count(held) == 0)
            return MP_ENOTHELD;
    } while (!atomic_compare_exchange_weak(mine, &held, held - 1));
    MP__POINT("rwlock.left");
    if (mp__held_count(held) == 1 && atomic_load(&rw->state) & WANTED) {
        atomic_fetch_add(&rw->left, 1);
        mp__sleepers_wake(&rw->writer_asleep, &rw->left, 1);
    }
    return 0;
}

// The way in when nothing is against it. 1; 0: a writer has to do with it.
static int try_read(mp_rwlock *rw, mp__held *mine)
{
    if (mp__held_count(atomic_load_explicit(mine, memory_order_relaxed)) >= READS_MAX)
        return MP_EOVERFLOW;
    atomic_fetch_add(mine, 1);
    MP__POINT("rwlock.counted");
    if (atomic_load(&rw->state) == 0)
        return 1;
    end_read(rw, mine);
    return 0;
}

// What a reader is told of a state other than 0; 0: to wait.
static int refusal(mp_rwlock *rw, uint32_t state)
{
    if (state & BROKEN)
        return MP_EBROKEN;
    if (state == TAINTED)
        return MP_EOWNERDEAD;
    if (mp__object_gone(rw))
        return MP_ECLOSED;
    return i_write(rw) ? MP_EHELD : 0;
}

static int wait_to_read(mp_rwlock *rw, mp__held *mine, mp__deadline d)
{
    for (int timed_out = 0;;) {
        uint32_t state = atomic_load(&rw->state);
        int r = state == 0 ? try_read(rw, mine) : refusal(rw, state);
        if (r != 0)
            return r < 0 ? r : 0;
        if (timed_out)
            return timed_out;
        if (state == 0)
            continue;
        look_after_writer(rw);
        timed_out = mp__sleepers_wait(&rw->readers_asleep, &rw->state, state, d);
    }
}

int mp_rwlock_acquire_read(mp_rwlock *rw, int timeout_ms)
{
    if (!mp__object_is(rw, MP__RWLOCK) || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    mp__held *mine;
    uint32_t left; // reads of a dead process: over
    int r = mp__holders_mine(rw, &rw->readers, &mine, &left);
    if (r < 0)
        return r;
    r = try_read(rw, mine);
    return r ? (r < 0 ? r : 0) : wait_to_read(rw, mine, mp__deadline_in(timeout_ms));
}

int mp_rwlock_release_read(mp_rwlock *rw)
{
    mp__held *mine;
    uint32_t left;
    if (!mp__object_is(rw, MP__RWLOCK))
        return MP_EINVAL;
    int r = mp__holders_mine(rw, &rw->readers, &mine, &left);
    return r < 0 ? r : end_read(rw, mine);
}

// ---- writing ----

// Waits until no living process reads. The dead are taken off meanwhile, since each costs
// a look at the system.
static int wait_for_readers(mp_rwlock *rw, mp__deadline d)
{
    for (int r = 0;;) {
        uint32_t left = atomic_load(&rw->left);
        if (mp__holders_sum(rw, &rw->readers) == 0)
            return 0;
        if (!MP__BROKEN("rwlock.reap"))
            mp__holders_reap(rw, &rw->readers);
        if (!MP__BROKEN("rwlock.reap") && !mp__holders_any(rw, &rw->readers))
            return 0;
        if (r < 0)
            return r;
        r = mp__object_gone(rw) ? MP_ECLOSED
                                : mp__sleepers_wait(&rw->writer_asleep, &rw->left, left, d);
    }
}

static void sign(mp_rwlock *rw, mp__life life)
{
    atomic_store(&rw->writer, life);
    atomic_store(&rw->writer_thread, this_thread());
    atomic_store(&rw->writer_pid, atomic_load(&rw->lock.owner));
}

// Under the lock. Leaves it held, or the state as it was.
static int enter(mp_rwlock *rw, mp__life life, mp__deadline d)
{
    uint32_t was = atomic_load(&rw->state);
    if (was & BROKEN)
        return MP_EBROKEN;
    sign(rw, life);
    MP__POINT("rwlock.signed");
    set_state(rw, was | WANTED);
    MP__POINT("rwlock.wanted");
    int r = wait_for_readers(rw, d);
    set_state(rw, r < 0 ? was : was | WRITING);
    MP__POINT("rwlock.entered");
    if (r < 0) {
        admit_readers(rw);
        return r;
    }
    return was & TAINTED ? MP_EOWNERDEAD : 0;
}

// The mutex, with a look now and then whether the lock is still there.
static int lock_until(mp_rwlock *rw, mp__deadline d)
{
    int r = lock(rw, 0);
    for (mp__deadline look = 0; r == MP_ETIMEDOUT && look < d;) {
        if (mp__object_gone(rw))
            return MP_ECLOSED;
        look = mp__now() + MP__LOOK_NS;
        r = lock(rw, look < d ? look : d);
    }
    return r;
}

int mp_rwlock_acquire_write(mp_rwlock *rw, int timeout_ms)
{
    mp__life life;
    if (!mp__object_is(rw, MP__RWLOCK) || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (i_write(rw))
        return MP_EHELD;
    mp__deadline d = mp__deadline_in(timeout_ms);
    int r = mp__life_mine(rw, &life);
    if (r == 0)
        r = lock_until(rw, d);
    if (r < 0)
        return r;
    MP__POINT("rwlock.locked");
    r = enter(rw, life, d);
    if (r < 0 && r != MP_EOWNERDEAD)
        unlock(rw);
    return r;
}

int mp_rwlock_release_write(mp_rwlock *rw)
{
    if (!mp__object_is(rw, MP__RWLOCK))
        return MP_EINVAL;
    if (!i_write(rw))
        return MP_ENOTHELD;
    set_state(rw, atomic_load(&rw->state) & TAINTED ? BROKEN : 0);
    MP__POINT("rwlock.released");
    unlock(rw);
    MP__POINT("rwlock.unlocked");
    admit_readers(rw);
    return 0;
}

int mp_rwlock_consistent(mp_rwlock *rw)
{
    if (!mp__object_is(rw, MP__RWLOCK))
        return MP_EINVAL;
    if (!i_write(rw))
        return MP_ENOTHELD;
    if (!(atomic_load(&rw->state) & TAINTED))
        return MP_ESTATE;
    set_state(rw, WRITING);
    MP__POINT("rwlock.consistent");
    return 0;
}

pid_t mp_rwlock_dead_owner(const mp_rwlock *rw)
{
    return mp__object_is(rw, MP__RWLOCK) ? atomic_load(&rw->dead) : MP_EINVAL;
}

// ---- making and freeing ----

int mp_rwlock_new(mp_rwlock **out, const mp_rwlock_opts *opts)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    const mp_rwlock_opts o = opts ? *opts : (mp_rwlock_opts){0};
    void *obj;
    int r = mp__object_new(&obj, o.arena, o.name, 0, MP__RWLOCK, VERSION, sizeof(mp_rwlock));
    if (r < 0)
        return r;
    mp_rwlock *rw = obj;
    r = mp__mutex_init(&rw->lock);
    if (r == 0)
        r = mp__object_publish(rw);
    if (r < 0)
        mp__object_free(rw, true);
    else
        *out = rw;
    return r;
}

int mp_rwlock_attach(mp_rwlock **out, const char *name)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    void *obj;
    int r = mp__object_attach(&obj, name, MP__RWLOCK, VERSION, sizeof(mp_rwlock));
    if (r < 0)
        return r;
    *out = obj;
    return 0;
}

void mp_rwlock_free(mp_rwlock *rw)
{
    if (!mp__object_is(rw, MP__RWLOCK))
        return;
    bool idle = !mp__sleepers_any(&rw->readers_asleep) && !atomic_load(&rw->state) &&
                mp__holders_sum(rw, &rw->readers) == 0;
    if (idle && mp__object_is_mine(rw))
        mp__holders_release(rw, &rw->readers);
    mp__object_free(rw, idle);
}
