// SPDX-License-Identifier: MIT
//
// A barrier is where a fixed number of parties, processes or threads, wait for each other:
// none goes on before all are there. Work in phases has one between each two.
//
//  1. mp_barrier_new(), before the processes that shall share it;
//  2. mp_barrier_wait() by each party, again and again: when the last has come, all go on,
//     and the next round begins;
//  3. mp_barrier_free() in each process that is done with it. The memory is given back by
//     the process that made it; what has a name stays until mp_shm_unlink().
//
// A barrier that cannot be met breaks, so that nobody waits in vain: all who wait, and who
// come later, get MP_EBARRIER until mp_barrier_reset(). It breaks when
//  - a party that waits, or runs the action, dies (within 200 ms, however it died);
//  - the wait of one times out;
//  - the action fails;
//  - somebody calls mp_barrier_abort().
// A party that dies before it comes is not missed by the barrier: give a timeout, or watch
// your children. One that dies after the last has come breaks nothing. A party that is
// stopped (SIGSTOP) is alive.
#ifndef MP_BARRIER_H
#define MP_BARRIER_H

#include <mp/arena.h>
#include <mp/base.h>
#include <mp/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_barrier mp_barrier;

#define MP_BARRIER_MAX 1048576u // parties at most

typedef struct mp_barrier_opts {
    mp_arena *arena;  // where it lies; NULL = the process's own shared memory
    const char *name; // to attach to it by; NULL = none. Not with an arena
} mp_barrier_opts;

// Makes a barrier for that many parties. Errors: MP_EINVAL (no parties; a name that is not
// one; arena and name), MP_EOVERFLOW (above MP_BARRIER_MAX), -EEXIST (the name), -ENOMEM,
// -EMFILE, -ENOSPC, -EFBIG. Since 0.1.
MP_API MP_NODISCARD int mp_barrier_new(mp_barrier **out, unsigned parties,
                                       const mp_barrier_opts *opts);

// Attaches to the barrier of that name, in a process that did not inherit it. Errors:
// MP_EINVAL, MP_ENOTFOUND, MP_ETYPE (something else has that name), MP_EVERSION, MP_EFORMAT,
// MP_EUNSAFE (somebody else's), -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_barrier_attach(mp_barrier **out, const char *name);

// Waits until all parties are there. Returns this party's index in the round, from 0 for
// the first that came to parties - 1 for the last: a way to choose one for what one shall
// do. If it takes longer than timeout_ms, the barrier breaks for all; with timeout 0 only
// the last may pass. When more come than there are parties, those wait for the next round
// to begin, and break nothing if that takes too long. Interrupted by a signal it goes on waiting.
// Errors: MP_EBARRIER (it is broken, or was while this party waited), MP_ETIMEDOUT (and
// now it is broken), MP_EINVAL, MP_ECLOSED (it was freed meanwhile), MP_EFORMAT (it was
// damaged), -ENOMEM, -EAGAIN (no room to note who waits). Since 0.1.
MP_API MP_NODISCARD int mp_barrier_wait(mp_barrier *b, int timeout_ms);

// As mp_barrier_wait(), and if this party comes last, it calls action(arg) before the
// others go on: what must be done once between two phases. Each party brings the action
// that it would run, since the address of a function means nothing in another program. If
// action returns a negative value, the barrier breaks, and this party returns that value.
// The others keep waiting meanwhile: their timeouts include the action. The action may call
// everything on the barrier but a wait. NULL is no action. Since 0.1.
MP_API MP_NODISCARD int mp_barrier_wait_action(mp_barrier *b, int timeout_ms,
                                               int (*action)(void *arg), void *arg);

// Breaks the barrier: who waits, and who comes, gets MP_EBARRIER, until a reset. Does not
// wait. Errors: MP_EINVAL. Since 0.1.
MP_API int mp_barrier_abort(mp_barrier *b);

// Makes the barrier empty and whole: who waits gets MP_EBARRIER, who comes is the first of
// a new round. Does not wait. Errors: MP_EINVAL. Since 0.1.
MP_API int mp_barrier_reset(mp_barrier *b);

// Returns how many parties it is for. Errors: MP_EINVAL. Since 0.1.
MP_API int mp_barrier_parties(const mp_barrier *b);

// Returns how many wait now. Errors: MP_EINVAL. Since 0.1.
MP_API int mp_barrier_n_waiting(const mp_barrier *b);

// Whether it is broken; true for what is no barrier. Since 0.1.
MP_API bool mp_barrier_broken(const mp_barrier *b);

// Frees it in the process that made it: who still waits gets MP_ECLOSED. Elsewhere, and if
// it has a name, drops what this process has of it. No other thread of this process may
// use it meanwhile. NULL is fine. Since 0.1.
MP_API void mp_barrier_free(mp_barrier *b);

#ifdef __cplusplus
}
#endif
#endif
