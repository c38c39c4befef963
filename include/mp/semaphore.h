// SPDX-License-Identifier: MIT
//
// A semaphore counts what there is of something: who acquires takes a unit, or waits for
// one; who releases gives one back, or adds one. It lets at most k processes or threads at
// something at a time, or tells others how much is ready for them.
//
//  1. mp_semaphore_new(), before the processes that shall share it;
//  2. mp_semaphore_acquire() and mp_semaphore_release() in any thread of any process that
//     has it: by fork(), through a pipe, or by its name (mp_semaphore_attach());
//  3. mp_semaphore_free() in each process that is done with it. The memory is given back by
//     the process that made it; what has a name stays until mp_shm_unlink().
//
// What becomes of the units of a process that is killed?
//  - As in Python they are lost, since anybody may release what somebody else acquired.
//    mp_semaphore_get_stats() tells how many are missing for that reason.
//  - With opts->robust they come back: each unit belongs to the process that acquired it
//    until that process releases it, and the others have it 50 ms after its death at the
//    latest. That costs a small lock at each call. It is for semaphores that limit
//    something (acquire, work, release in one process), not for those that signal.
// A process that is killed while it waits costs nobody anything. One that is stopped
// (SIGSTOP) is alive and keeps what it has.
//
// With opts->bound it is a bounded semaphore: a release that would raise it above the bound
// changes nothing and is MP_EBOUND, since something was released twice.
#ifndef MP_SEMAPHORE_H
#define MP_SEMAPHORE_H

#include <mp/arena.h>
#include <mp/base.h>
#include <mp/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_semaphore mp_semaphore;

#define MP_SEMAPHORE_MAX 2147483647u // units at most

typedef struct mp_semaphore_opts {
    mp_arena *arena;  // where it lies; NULL = the process's own shared memory
    const char *name; // to attach to it by; NULL = none. Not with an arena
    unsigned bound;   // most units it may have; 0 = MP_SEMAPHORE_MAX
    bool robust;      // the units of a process that died come back
} mp_semaphore_opts;

// Makes a semaphore of `value` units. Errors: MP_EINVAL (value above the bound; a name
// that is not one; arena and name), MP_EOVERFLOW (above MP_SEMAPHORE_MAX), -EEXIST (the
// name), -ENOMEM, -EMFILE, -ENOSPC, -EFBIG. Since 0.1.
MP_API MP_NODISCARD int mp_semaphore_new(mp_semaphore **out, unsigned value,
                                         const mp_semaphore_opts *opts);

// Attaches to the semaphore of that name, in a process that did not inherit it. Errors:
// MP_EINVAL, MP_ENOTFOUND, MP_ETYPE (something else has that name), MP_EVERSION, MP_EFORMAT,
// MP_EUNSAFE (somebody else's), -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_semaphore_attach(mp_semaphore **out, const char *name);

// Takes a unit; waits for one up to timeout_ms. Interrupted by a signal it goes on waiting.
// Not in the order of arrival: a waiter may be overtaken.
// Errors: MP_ETIMEDOUT, MP_EINVAL, MP_ECLOSED (it was freed meanwhile); with opts->robust
// also -ENOMEM and -EAGAIN (no room to note who holds it). Since 0.1.
MP_API MP_NODISCARD int mp_semaphore_acquire(mp_semaphore *s, int timeout_ms);

// Gives a unit back, or adds one: any process may, whether it acquired one or not. Does
// not wait. In a robust semaphore the units of the calling process go first; what it
// releases beyond them is added, as far as the bound allows.
// Errors: MP_EBOUND, MP_EOVERFLOW (above MP_SEMAPHORE_MAX), MP_EINVAL; with opts->robust
// also -ENOMEM and -EAGAIN. Since 0.1.
MP_API int mp_semaphore_release(mp_semaphore *s);

// Releases n units at once, all or none. n = 0 is MP_EINVAL. Since 0.1.
MP_API int mp_semaphore_release_n(mp_semaphore *s, unsigned n);

// Returns how many units could be acquired now (Python's get_value()): true when it is
// read, and not longer. Errors: MP_EINVAL. Since 0.1.
MP_API int mp_semaphore_value(mp_semaphore *s);

typedef struct mp_semaphore_stats {
    unsigned value;    // units that could be acquired now
    uint64_t held;     // units that living processes acquired and have not released
    uint64_t lost;     // units that died with those who had acquired them
    uint64_t returned; // units of dead processes that came back (opts->robust)
} mp_semaphore_stats;

// Tells what became of the units. `held` and `lost` count what a process acquired more
// often than it released: right where each releases its own. Where one process acquires
// and another one releases, as in signalling, they say no more than that. Unless it is
// robust, a process that was killed inside a call may be counted for a unit too few or too
// many. Errors: MP_EINVAL, MP_EBROKEN. Since 0.1.
MP_API int mp_semaphore_get_stats(mp_semaphore *s, mp_semaphore_stats *out);

// Frees it in the process that made it: who still waits gets MP_ECLOSED. Elsewhere, and if
// it has a name, drops what this process has of it. No other thread of this process may
// use it meanwhile. NULL is fine. Since 0.1.
MP_API void mp_semaphore_free(mp_semaphore *s);

#ifdef __cplusplus
}
#endif
#endif
