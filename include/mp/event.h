// SPDX-License-Identifier: MIT
//
// An event is a flag that processes and threads wait for: a start signal, the end of a
// phase, a request to stop.
//
//  1. mp_event_new(), before the processes that shall share it; the flag is down;
//  2. mp_event_wait() in any thread of any process that has it: by fork(), through a pipe,
//     or by its name (mp_event_attach());
//  3. mp_event_set() lets all of them go, and all who come later, until mp_event_clear();
//  4. mp_event_free() in each process that is done with it. The memory is given back by
//     the process that made it; what has a name stays until mp_shm_unlink().
//
// The flag changes in one store. A process killed while it sets the flag has set it or has
// not; if it did not come to waking those who wait, they see it 50 ms later at the latest.
// One killed while it waits costs nobody anything.
#ifndef MP_EVENT_H
#define MP_EVENT_H

#include <mp/arena.h>
#include <mp/base.h>
#include <mp/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_event mp_event;

typedef struct mp_event_opts {
    mp_arena *arena;  // where it lies; NULL = the process's own shared memory
    const char *name; // to attach to it by; NULL = none. Not with an arena
} mp_event_opts;

// Makes an event, its flag down. Errors: MP_EINVAL (a name that is not one; arena and
// name), -EEXIST (the name), -ENOMEM, -EMFILE, -ENOSPC, -EFBIG. Since 0.1.
MP_API MP_NODISCARD int mp_event_new(mp_event **out, const mp_event_opts *opts);

// Attaches to the event of that name, in a process that did not inherit it. Errors:
// MP_EINVAL, MP_ENOTFOUND, MP_ETYPE (something else has that name), MP_EVERSION, MP_EFORMAT,
// MP_EUNSAFE (somebody else's), -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_event_attach(mp_event **out, const char *name);

// Raises the flag and wakes all who wait for it. Does not wait; does nothing when it is up.
// Async-signal-safe: a signal handler may call it. Errors: MP_EINVAL. Since 0.1.
MP_API int mp_event_set(mp_event *e);

// Takes the flag down. Async-signal-safe. Errors: MP_EINVAL. Since 0.1.
MP_API int mp_event_clear(mp_event *e);

// Whether the flag is up; false for what is no event. Async-signal-safe. Since 0.1.
MP_API bool mp_event_is_set(const mp_event *e);

// Waits up to timeout_ms until the flag is up. A flag that was raised and taken down again
// while this call waited counts as well. Interrupted by a signal it goes on waiting.
// Errors: MP_ETIMEDOUT, MP_EINVAL, MP_ECLOSED (it was freed meanwhile). Since 0.1.
MP_API MP_NODISCARD int mp_event_wait(mp_event *e, int timeout_ms);

// Frees it in the process that made it: who still waits gets MP_ECLOSED. Elsewhere, and if
// it has a name, drops what this process has of it. No other thread of this process may
// use it meanwhile. NULL is fine. Since 0.1.
MP_API void mp_event_free(mp_event *e);

#ifdef __cplusplus
}
#endif
#endif
