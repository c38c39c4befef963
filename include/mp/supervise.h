// SPDX-License-Identifier: MIT
//
// A supervisor keeps processes running: it starts them, and starts those again that end, within
// a limit. When that is exceeded it ends them all and says so: what fails again and again is
// not mended by another start, and whoever made the supervisor has to decide.
//
//  1. mp_supervisor_new() with a list of children;
//  2. mp_supervisor_run(), which does it all, until all have ended for good or the limit is
//     exceeded; or with timeout 0 whenever mp_supervisor_fd() is readable, in an event loop;
//  3. mp_supervisor_stop(), from any place that runs between, and mp_supervisor_free().
//
// There is no thread behind it: between two calls of mp_supervisor_run() nothing is restarted. To
// have it beside other work, run it in a thread, or in a process of its own, which may be a
// child of another supervisor.
#ifndef MP_SUPERVISE_H
#define MP_SUPERVISE_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/process.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_supervisor mp_supervisor;

// Whether a child that has ended is started again.
typedef enum mp_restart {
    MP_RESTART_ALWAYS,
    MP_RESTART_ON_FAILURE, // unless its exit code is 0
    MP_RESTART_NEVER,
} mp_restart;

// What else is restarted with it.
typedef enum mp_strategy {
    MP_ONE_FOR_ONE,  // nothing
    MP_ONE_FOR_ALL,  // all: they are ended first, in reverse order
    MP_REST_FOR_ONE, // those that were listed after it, since they may depend on it
} mp_strategy;

// A child, and the arguments of mp_process_start() for it, which are kept: what pointers in it
// point to lives as long as the supervisor. Pipe ends can be given away once only, so a child that
// has some is MP_RESTART_NEVER; queues and other shared objects do not have that limit.
typedef struct mp_supervised {
    mp_process_fn *fn;
    void *arg;
    mp_process_opts opts;
    mp_restart restart;
    int stop_ms; // from SIGTERM to SIGKILL, when it is to end; 0 = 5 seconds, -1 = SIGKILL at once
} mp_supervised;

typedef struct mp_supervisor_opts {
    mp_strategy strategy;
    int restarts;  // so many at most, in any within_ms; 0 = 3
    int within_ms; // 0 = 5 seconds
    // Told of each end that was not asked for, before anything is restarted; or NULL.
    void (*on_exit)(size_t child, int code, void *arg);
    void *arg;
} mp_supervisor_opts;

// Starts all children, in order. children is copied. On failure none is left. Errors: those of
// mp_process_start(), MP_EINVAL (also: no children, pipe ends for a child that is restarted).
// Since 0.1.
MP_API MP_NODISCARD int mp_supervisor_new(mp_supervisor **out, const mp_supervised *children,
                                          size_t n, const mp_supervisor_opts *opts);

// Supervises, up to timeout_ms. 0: all children have ended and none is to be restarted (also after
// mp_supervisor_stop()). A restart with another strategy than MP_ONE_FOR_ONE blocks until the
// others have ended. One thread at a time. Errors: MP_EBROKEN (the limit was exceeded: all are
// ended; mp_supervisor_error() says what happened), MP_ETIMEDOUT, MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int mp_supervisor_run(mp_supervisor *s, int timeout_ms);

// Ends all children, in reverse order, and waits for them. 0, MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API int mp_supervisor_stop(mp_supervisor *s);

// A descriptor that is readable when mp_supervisor_run() has something to do. It stays the
// supervisor's. Errors: MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int mp_supervisor_fd(mp_supervisor *s);

// The process that child i is now; NULL if it has ended for good. The handle stays the
// supervisor's, and lives until that runs again. Since 0.1.
MP_API mp_process *mp_supervisor_process(mp_supervisor *s, size_t i);

// How many restarts there were; and why it gave up: "" if it did not. Since 0.1.
MP_API uint64_t mp_supervisor_restarts(const mp_supervisor *s);
MP_API const char *mp_supervisor_error(const mp_supervisor *s);

// Stops it first. NULL is fine. Since 0.1.
MP_API void mp_supervisor_free(mp_supervisor *s);

#ifdef __cplusplus
}
#endif
#endif
