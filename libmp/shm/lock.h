// SPDX-License-Identifier: MIT
//
// The lock from inside, as condition and with use it. A lock and an rlock are the same in
// memory; the type in the object's header tells them apart.
//
// Whether what the lock guards is in order is kept here and not in the mutex. So a lock can be
// given back torn, to tell the next owner again, and one that is broken for good still lets
// its waiters through, to be told that.
#ifndef MP_SHM_LOCK_H
#define MP_SHM_LOCK_H

#include "shm/object.h"

#include <mp/lock.h>
#include <pthread.h>
#include <sys/types.h>

// Of what the lock guards.
enum mp__lock_state {
    MP__LOCK_SOUND,
    MP__LOCK_TORN,  // an owner died, and nobody called mp_lock_consistent() since
    MP__LOCK_BROKEN // ... and yet it was released
};

#define MP__LOCK_MAX_AGAIN (UINT32_MAX - 1)

struct mp_lock {
    struct mp__object object;
    // What a call touches is one cache line.
    _Alignas(64) pthread_mutex_t mutex;
    _Atomic uint64_t owner; // the thread: pid << 32 | tid; 0 for some instructions around
    uint32_t again;         // an rlock: acquired so often beyond the first. Guarded by the
    uint32_t state;         // mutex, as the next two are
    pid_t dead;             // who died last with it
    _Alignas(64) _Atomic uint32_t waiting; // those who nap or sleep, or died so
};

struct mp_rlock {
    struct mp_lock lock;
};

// Of the calls below, those that take a lock want one that mp__object_is() holds for; the
// others may find it freed meanwhile.

// Fills in all but the header. 0 or -errno.
int mp__lock_init(struct mp_lock *l);

// Frees the object that a lock is, or is a part of; `idle`: nobody uses the rest of it.
void mp__lock_free(struct mp_lock *l, void *whole, bool idle);

// Whether this thread holds it.
bool mp__lock_is_mine(const struct mp_lock *l);

// mp_lock_acquire() and mp_rlock_acquire(), as the type says, and so on.
int mp__lock_enter(struct mp_lock *l, int timeout_ms);
int mp__lock_leave(struct mp_lock *l);
int mp__lock_consistent(struct mp_lock *l);
pid_t mp__lock_dead_owner(const struct mp_lock *l);

// Gives up a lock that this thread holds, however often. What is torn stays so, and the
// next owner is told as this one was.
void mp__lock_give_back(struct mp_lock *l);

// Waits for a lock that this thread gave back, and has it `again` times beyond the first.
// MP_ECLOSED also when it was freed while nobody had it.
int mp__lock_take_back(struct mp_lock *l, uint32_t again);

#endif
