// SPDX-License-Identifier: MIT
//
// Conditions: wait, with a lock given up meanwhile, until another thread or process says
// that something has changed.
//
//  1. mp_condition_new(), before the processes that use it are forked. Several conditions
//     may go with one lock or rlock; without one a condition has an rlock of its own;
//  2. who waits: acquire the lock, mp_condition_wait_for() what is waited for, release;
//  3. who changes it: acquire, change, mp_condition_notify() or mp_condition_notify_all(),
//     release;
//  4. mp_condition_free() in each process that is done with it, before its lock.
//
//     MP_WITH(c) { // mp/with.h
//         int r = 0;
//         while (r == 0 && box->count == 0)
//             r = mp_condition_wait(c, MP_FOREVER);
//         if (r == 0)
//             take(box);
//     }
//
// A notification goes to those who have waited longest and are alive, and to exactly as many as
// asked for. Nobody wakes for no reason, yet what is waited for may be over again when the
// lock has been acquired: look, or use mp_condition_wait_for(), which does. A waiter that
// dies costs nothing, and one that dies after it was notified, before it returned, passes
// that on to the next.
#ifndef MP_CONDITION_H
#define MP_CONDITION_H

#include <mp/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_condition mp_condition;

typedef struct mp_condition_opts {
    mp_arena *arena;  // where it lies, as for locks; with a lock: beside that
    const char *name; // not together with a lock
    mp_lock *lock;    // at most one of the two. NULL: an rlock of its own
    mp_rlock *rlock;
} mp_condition_opts;

// Makes a condition. The lock must live as long. Errors: MP_EINVAL (also: a lock in another
// arena), and those of mp_lock_new(). Since 0.1.
MP_API MP_NODISCARD int mp_condition_new(mp_condition **out, const mp_condition_opts *opts);

// Attaches to the condition that another process made under this name. Errors as for
// mp_lock_attach(). Since 0.1.
MP_API MP_NODISCARD int mp_condition_attach(mp_condition **out, const char *name);

// Acquire and release the lock, and what belongs to its owner's death: all as the functions
// for the lock, or the rlock, that goes with it. Since 0.1.
MP_API MP_NODISCARD int mp_condition_acquire(mp_condition *c, int timeout_ms);
MP_API int mp_condition_release(mp_condition *c);
MP_API int mp_condition_consistent(mp_condition *c);
MP_API pid_t mp_condition_dead_owner(const mp_condition *c);

// Gives up the lock, however often it was acquired, waits to be notified, and takes it again,
// as often. The timeout counts until the notification; then the lock is waited for without
// one.
//
// The lock is held again on return: 0; MP_ETIMEDOUT (not notified); MP_EOWNERDEAD (an owner of
// the lock died meanwhile: see mp/lock.h); MP_ECLOSED (the condition was freed).
// It is not any more: MP_EBROKEN, or MP_ECLOSED when it was freed too.
// It was not given up: MP_ENOTHELD (this thread does not hold it), MP_ESTATE (it waits for
// mp_condition_consistent()), MP_EINVAL, -ENOMEM (a place for one more waiter), -EAGAIN (more
// than 65536 processes take part). Since 0.1.
MP_API MP_NODISCARD int mp_condition_wait(mp_condition *c, int timeout_ms);

// Waits until predicate(arg) is true: calls it, with the lock held, at first and after each
// notification. 0, with the lock held, when it is; MP_ETIMEDOUT when it is not after
// timeout_ms in all; else as mp_condition_wait(). Since 0.1.
MP_API MP_NODISCARD int mp_condition_wait_for(mp_condition *c, bool (*predicate)(void *arg),
                                              void *arg, int timeout_ms);

// Wakes the n that have waited longest, or all there are. They go on when they get the
// lock. Returns how many. Errors: MP_ENOTHELD, MP_EINVAL. Never blocks. Since 0.1.
MP_API int mp_condition_notify(mp_condition *c, size_t n);

// Wakes all who wait. As mp_condition_notify(). Since 0.1.
MP_API int mp_condition_notify_all(mp_condition *c);

// Frees the condition, or this process's share when another one made it or it has a name,
// as mp_lock_free(); but no lock that was given to it. Those who wait get MP_ECLOSED, later
// calls MP_EINVAL. No other thread of this process may use it meanwhile, but to wait, and that
// not if it has a name. NULL is fine. Since 0.1.
MP_API void mp_condition_free(mp_condition *c);

#ifdef __cplusplus
}
#endif
#endif
