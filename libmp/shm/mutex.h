// SPDX-License-Identifier: MIT
//
// A lock for structures in shared memory, that outlives its owners: when one dies with
// the lock held, the next gets it and is told (MP_EOWNERDEAD). It puts the structure in
// order and calls mp__mutex_consistent(). If it unlocks without
// that, the lock is broken for good: MP_EBROKEN for everybody.
//
// An owner is a thread; one that ends holding the lock counts as dead.
#ifndef MP_SHM_MUTEX_H
#define MP_SHM_MUTEX_H

#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

struct mp__mutex {
    pthread_mutex_t lock;
    _Atomic pid_t owner; // who holds it; 0 for some instructions after and before
};

// Makes a lock in shared memory, where it was none. 0 or -errno. Memory may be unmapped
// without further ado when nobody holds the lock.
int mp__mutex_init(struct mp__mutex *m);

// Whether there is one in memory that somebody else wrote: other kinds of mutex make the C
// library abort.
bool mp__mutex_is_sound(const struct mp__mutex *m);

// 0, or MP_EOWNERDEAD: held in both cases. MP_ETIMEDOUT (d = 0 only tries), MP_EBROKEN.
int mp__mutex_lock(struct mp__mutex *m, mp__deadline d);
void mp__mutex_unlock(struct mp__mutex *m);

// Unlocks, and is a full fence: what was stored with the lock held is seen by everybody before
// the caller sees what it loads next. It comes free where unlocking is an exchange that fences.
static inline void mp__mutex_unlock_fence(struct mp__mutex *m)
{
    mp__mutex_unlock(m);
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
    __asm__ volatile("" ::: "memory");
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

// The same for a lock that nobody keeps for long, unless it was stopped with it: so even a
// call that must not wait gives it MP__LOOK_NS.
int mp__mutex_lock_patiently(struct mp__mutex *m, mp__deadline d);

// After MP_EOWNERDEAD, before unlocking: what the lock guards is in order again.
void mp__mutex_consistent(struct mp__mutex *m);

// ---- the C library's mutex itself, for mutex.c and lock.c ----

// Makes one that is robust and shared; `type` as for pthread_mutexattr_settype(). 0 or -errno.
int mp__robust_init(pthread_mutex_t *m, int type);

// Locks it until d, MP__NEVER excepted: 0 or an errno, as pthread_mutex_clocklock().
int mp__robust_lock(pthread_mutex_t *m, mp__deadline d);

#endif
