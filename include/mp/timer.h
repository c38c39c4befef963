// SPDX-License-Identifier: MIT
//
// A timer calls a function once, some time from now, on a thread of its own (Python's
// threading.Timer). For many timers use an event loop (mp/loop.h), which needs no threads.
//
//  1. mp_timer_start();
//  2. it fires; or mp_timer_cancel() comes first;
//  3. mp_timer_free(), at any time: one that was not cancelled still fires.
//
// In a forked child the timers of the parent do not exist (MP_EOWNER).
#ifndef MP_TIMER_H
#define MP_TIMER_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/thread.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_timer mp_timer;

// Calls fn(arg) in delay_ms milliseconds. A result other than 0 is a failure of its thread
// (see mp/thread.h). opts are those of the thread; NULL: named "Timer-N"; not a daemon.
// Errors: MP_EINVAL (also a negative delay), -EAGAIN, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_timer_start(mp_timer **out, int delay_ms, mp_thread_fn *fn, void *arg,
                                       const mp_thread_opts *opts);

// The function will not be called: 0, also after an earlier cancel. Does not block. Errors:
// MP_ESTATE (it has been called, or is being called), MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API int mp_timer_cancel(mp_timer *t);

// Waits until the function has returned, or was cancelled. Errors: as mp_thread_join().
// Since 0.1.
MP_API MP_NODISCARD int mp_timer_join(mp_timer *t, int timeout_ms);

// Releases the handle. NULL is fine. Since 0.1.
MP_API void mp_timer_free(mp_timer *t);

#ifdef __cplusplus
}
#endif
#endif
