// SPDX-License-Identifier: MIT
//
// Locks between threads and processes, that survive the death of their owner.
//
// mp_lock is for short sections; a thread that holds it and asks again is told MP_EHELD
// at once, instead of waiting for itself. mp_rlock may be acquired by its owner again, and is
// free after as many releases. Both belong to the thread that acquired them, and nobody else
// can release them.
//
//  1. mp_lock_new(), before the processes that use it are forked: children inherit it.
//     A name makes it known to others (mp_lock_attach());
//  2. mp_lock_acquire(), what only one may do at a time, mp_lock_release(); or in one,
//     MP_WITH(lock) { ... } (mp/with.h);
//  3. mp_lock_free() in each process that is done with it. The memory is given back by
//     the process that made it; what has a name stays until mp_shm_unlink().
//
// When an owner dies, by kill -9 or because its thread ended, the next one gets the lock and
// is told: MP_EOWNERDEAD. What the lock guards may be half done. Put it in order and say
// so with mp_lock_consistent(); a lock that is released without that is broken, and
// everybody is told MP_EBROKEN from then on. An owner that dies in between changes nothing:
// the next one is told again.
//
//     int r = mp_lock_acquire(lock, MP_FOREVER);
//     if (r == MP_EOWNERDEAD) {
//         repair(table);
//         r = mp_lock_consistent(lock);
//     }
//     if (r < 0)
//         return r;
//
// None of these functions may be called from a signal handler that may have interrupted
// one of them.
#ifndef MP_LOCK_H
#define MP_LOCK_H

#include <mp/arena.h>
#include <mp/base.h>
#include <mp/error.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_lock mp_lock;
typedef struct mp_rlock mp_rlock;

// For both. Where the lock lies: in an arena, under a name, or (both NULL) in memory of
// this process's own, which its children inherit.
typedef struct mp_lock_opts {
    mp_arena *arena;
    const char *name; // as an arena's (mp/arena.h); goes with mp_shm_unlink()
} mp_lock_opts;

// Makes a lock that nobody holds. Errors: MP_EINVAL (arena and name, a name that is not one),
// -EEXIST (the name is taken), -ENOMEM, -EMFILE, -ENOSPC, -EFBIG. Since 0.1.
MP_API MP_NODISCARD int mp_lock_new(mp_lock **out, const mp_lock_opts *opts);

// Attaches to the lock that another process made under this name. Errors: MP_EINVAL,
// MP_ENOTFOUND, MP_ETYPE (another kind of object), MP_EVERSION, MP_EFORMAT, MP_EUNSAFE
// (another user's), -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_lock_attach(mp_lock **out, const char *name);

// Waits until the lock is this thread's. 0, or MP_EOWNERDEAD: it is, but its last owner
// died (see above). Else it is not: MP_ETIMEDOUT, MP_EHELD (this thread holds it already),
// MP_EBROKEN, MP_ECLOSED (freed meanwhile), MP_EINVAL. Signals do not end the wait. Who waits
// is served in no particular order. Since 0.1.
MP_API MP_NODISCARD int mp_lock_acquire(mp_lock *l, int timeout_ms);

// Gives the lock back; never blocks. Errors: MP_ENOTHELD (another thread holds it, or nobody),
// MP_EINVAL. Since 0.1.
MP_API int mp_lock_release(mp_lock *l);

// After MP_EOWNERDEAD: what the lock guards is in order again. Errors: MP_ENOTHELD,
// MP_ESTATE (it was in order), MP_EINVAL. Since 0.1.
MP_API int mp_lock_consistent(mp_lock *l);

// After MP_EOWNERDEAD, for the thread that holds the lock: the pid of the process that died, 0
// if it is not known, for it died in the few instructions between taking the lock and signing,
// or between signing off and giving it back. When only a thread ended, its process's.
// Else: MP_ENOTHELD, MP_EINVAL. Since 0.1.
MP_API pid_t mp_lock_dead_owner(const mp_lock *l);

// Whether a thread holds it, of whatever process; true also while a dead owner's lock was
// not acquired since. May be over when it is told. Since 0.1.
MP_API bool mp_lock_locked(const mp_lock *l);

// Frees the lock, or this process's share when another one made it or it has a name. Those who
// wait for it get MP_ECLOSED, later calls MP_EINVAL. If this thread holds it, it is given back
// before. If another one does, its memory is not used again, and that one can still release
// it. No other thread of this process may use it meanwhile, but to wait for it or to hold it,
// and that not if it has a name. NULL is fine. Since 0.1.
MP_API void mp_lock_free(mp_lock *l);

// The same for rlocks, but for this: acquire by the thread that holds it succeeds at once,
// and it is free after as many releases. MP_EOVERFLOW: acquired 4 billion times. After
// MP_EOWNERDEAD it is acquired once, however often the dead owner had. Since 0.1.
MP_API MP_NODISCARD int mp_rlock_new(mp_rlock **out, const mp_lock_opts *opts);
MP_API MP_NODISCARD int mp_rlock_attach(mp_rlock **out, const char *name);
MP_API MP_NODISCARD int mp_rlock_acquire(mp_rlock *l, int timeout_ms);
MP_API int mp_rlock_release(mp_rlock *l);
MP_API int mp_rlock_consistent(mp_rlock *l);
MP_API pid_t mp_rlock_dead_owner(const mp_rlock *l);
MP_API bool mp_rlock_locked(const mp_rlock *l);
MP_API void mp_rlock_free(mp_rlock *l);

#ifdef __cplusplus
}
#endif
#endif
