// SPDX-License-Identifier: MIT
//
// An event loop: one thread that waits for descriptors, timers, the end of
// children and signals, and calls a function for each. In a library of its own,
// libmploop.
//
//  1. mp_loop_new();
//  2. watchers: mp_loop_add_fd(), _timer(), _child(), _signal(), before the loop
//     runs or from its callbacks;
//  3. mp_loop_run() calls back until mp_loop_stop() or until no watcher is left;
//  4. mp_watch_close() ends a watcher, also inside its own callback: it is not
//     called any more, not even for what has happened already;
//  5. mp_loop_free() after the run, which closes the watchers that are left.
//
// A loop and its watchers belong to one thread. After a fork only the parent may
// use them. What the callbacks do, happens between events: they should not block.
#ifndef MP_LOOP_H
#define MP_LOOP_H

#include <mp/base.h>
#include <mp/error.h>
#include <sys/types.h>

struct rusage;

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_loop mp_loop;
typedef struct mp_watch mp_watch;

// What may be waited for on a descriptor, and what was found. An error or a hang-up
// is reported as everything that was asked for: read or write, and see.
enum { MP_LOOP_READ = 1, MP_LOOP_WRITE = 2 };

typedef void mp_fd_fn(mp_watch *w, int events, void *arg);
typedef void mp_timer_fn(mp_watch *w, void *arg);
typedef void mp_signal_fn(mp_watch *w, int sig, void *arg);

// The child has ended: code is its exit code, or -N when signal N killed it, or
// MP_ESTATUS when somebody else took its status; usage is what it and the
// children it waited for have used (zeroed with MP_ESTATUS).
typedef void mp_child_fn(mp_watch *w, int code, const struct rusage *usage, void *arg);

// Makes a loop. The first one of a process also opens two descriptors for signals,
// which stay. Errors: MP_EINVAL, -ENOMEM, -EMFILE. Since 0.1.
MP_API
MP_NODISCARD
int mp_loop_new(mp_loop **out);

// Runs callbacks until mp_loop_stop() or until no watcher is left. 0, or MP_ESTATE
// inside one of its own callbacks, MP_EINVAL. May be called again. Since 0.1.
MP_API
MP_NODISCARD
int mp_loop_run(mp_loop *loop);

// Makes mp_loop_run() return once the present callbacks are done; before the run
// it makes the next one return at once. Since 0.1.
MP_API
void mp_loop_stop(mp_loop *loop);

// Calls fn whenever fd is ready for one of `events` (level-triggered). The fd
// stays the caller's, who closes the watcher first, then the fd; its flags are
// not touched: it may be blocking. events may be 0, to be set later.
// Errors: MP_EINVAL, -EPERM (a regular file or directory, which is always ready),
// -EEXIST (the fd has a watcher), -EBADF, -ENOMEM. Since 0.1.
MP_API
MP_NODISCARD
int mp_loop_add_fd(mp_loop *loop, mp_watch **out, int fd, int events, mp_fd_fn *fn, void *arg);

// Changes what an fd watcher waits for; 0 lets it rest. Errors: MP_EINVAL (not an
// fd watcher), -ENOMEM, -EBADF. Since 0.1.
MP_API
int mp_watch_set_events(mp_watch *w, int events);

// Calls fn once, ms milliseconds from now; close the watcher also after that.
// Errors: MP_EINVAL, -ENOMEM. Since 0.1.
MP_API
MP_NODISCARD
int mp_loop_add_timer(mp_loop *loop, mp_watch **out, int ms, mp_timer_fn *fn, void *arg);

// Calls fn once when the child with this pidfd has ended, and takes its status.
// The pidfd stays the caller's, who closes the watcher first. Errors: MP_EINVAL,
// -EBADF, -ENOMEM. Since 0.1.
MP_API
MP_NODISCARD
int mp_loop_add_child(mp_loop *loop, mp_watch **out, int pidfd, mp_child_fn *fn, void *arg);

// Calls fn when the process gets sig, in the loop, not in a signal handler: any
// function may be called. While the watcher lives, the signal's handler is the
// loop's. Errors: MP_EINVAL (also SIGKILL and SIGSTOP), -ENOMEM, -EMFILE. Since 0.1.
MP_API
MP_NODISCARD
int mp_loop_add_signal(mp_loop *loop, mp_watch **out, int sig, mp_signal_fn *fn, void *arg);

// Ends a watcher and releases it. NULL is fine. Since 0.1.
MP_API
void mp_watch_close(mp_watch *w);

// Closes what is left and releases the loop. Not from a callback. NULL is fine.
// Since 0.1.
MP_API
void mp_loop_free(mp_loop *loop);

#ifdef __cplusplus
}
#endif
#endif
