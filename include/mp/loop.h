// SPDX-License-Identifier: MIT
//
// An event loop: one thread that calls functions, soon or at a time, and waits for
// descriptors, the end of children and signals meanwhile. In a library of its own,
// libmploop. Functions that wait without blocking the others: mp/coro.h.
//
//  1. mp_loop_new();
//  2. calls: mp_loop_call_soon(), _call_later(), _call_at(), which mp_loop_cancel()
//     takes back; from other threads only mp_loop_call_soon_threadsafe();
//  3. watchers: mp_loop_add_fd(), _pipe(), _queue(), _timer(), _child(), _signal();
//     mp_watch_close() ends a watcher, also inside its own callback: it is not called
//     any more, not even for what has happened already. Futures: mp_coro_wrap_future();
//  4. mp_loop_run() calls back until mp_loop_stop() or until nothing is left,
//     mp_loop_run_forever() until mp_loop_stop(), mp_loop_run_until_complete() until a
//     task has ended. All before the run or from callbacks;
//  5. mp_loop_close() ends its use, mp_loop_free() releases it and what is left in it.
//
// A loop belongs to one thread at a time: while it runs, all others get MP_ESTATE from
// all but mp_loop_call_soon_threadsafe() and mp_loop_stop(). After a fork only the
// parent may use it; the child gets MP_EOWNER, and may make one of its own. Callbacks
// run one after the other and should not block: mp_loop_debug() finds those that do.
//
// Errors that every function here may give, beside its own: MP_EINVAL (NULL where none
// may be), MP_EOWNER (a forked child), MP_ESTATE (another thread runs the loop),
// MP_ECLOSED (after mp_loop_close()).
#ifndef MP_LOOP_H
#define MP_LOOP_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/pipe.h>
#include <mp/queue.h>
#include <sys/types.h>

struct rusage;

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_loop mp_loop;
typedef struct mp_watch mp_watch;
struct mp_coro;

// ---- running ----

// Makes a loop. The first one of a process also opens two descriptors for signals,
// which stay. Errors: MP_EINVAL, -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_loop_new(mp_loop **out);

// Runs callbacks until mp_loop_stop(), or until nothing is left: no call, no watcher
// that waits, no task, no wrapped future. May be called again. Errors: MP_ESTATE (the loop runs,
// here or in another thread, or another loop runs in this thread). Since 0.1.
MP_API MP_NODISCARD int mp_loop_run(mp_loop *loop);

// As mp_loop_run(), but waits for more when nothing is left. Since 0.1.
MP_API MP_NODISCARD int mp_loop_run_forever(mp_loop *loop);

// Runs until the task is done and returns its result, which may be an error of its own.
// MP_ECANCELED also when mp_loop_stop() came first. Errors: as mp_loop_run(), MP_EINVAL (a
// task of another loop). Since 0.1.
MP_API MP_NODISCARD int mp_loop_run_until_complete(mp_loop *loop, struct mp_coro *task);

// Makes the run return once the present callbacks are done; before a run it makes the
// next one return at once. From any thread, and from signal handlers. Since 0.1.
MP_API void mp_loop_stop(mp_loop *loop);

// Whether it runs, in whichever thread. False in a forked child. Since 0.1.
MP_API bool mp_loop_is_running(const mp_loop *loop);

// The loop that runs in this thread, or NULL. Since 0.1.
MP_API mp_loop *mp_loop_current(void);

// The loop's clock in milliseconds: monotonic, read anew. Since 0.1.
MP_API int64_t mp_loop_time(const mp_loop *loop);

// Closes what is left: watchers end, calls and tasks are dropped (what tasks hold is lost;
// mp_coro_run() cancels them first). From then on other threads, too, get MP_ECLOSED. Not
// while it runs: MP_ESTATE. Again: 0. Since 0.1.
MP_API int mp_loop_close(mp_loop *loop);

// Closes and releases the loop. Not from a callback, and no other thread may use it any
// more. In a forked child it releases what the child has of it. NULL is fine. Since 0.1.
MP_API void mp_loop_free(mp_loop *loop);

// ---- calls ----

typedef void mp_loop_call_fn(void *arg);

// Calls fn(arg) in the next round, after those that were asked for before. Returns a number
// > 0 that names the call to mp_loop_cancel(). Errors: -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int64_t mp_loop_call_soon(mp_loop *loop, mp_loop_call_fn *fn, void *arg);

// As mp_loop_call_soon(), but from any thread; it wakes the loop if that is waiting. Calls
// of one thread come in their order. There is no cancel: returns 0. Errors: MP_ECLOSED,
// MP_EOWNER, MP_EINVAL, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_loop_call_soon_threadsafe(mp_loop *loop, mp_loop_call_fn *fn, void *arg);

// Calls fn(arg) ms milliseconds from now, or at the time `when` of mp_loop_time(); at once
// if that has passed. Never early. What comes at the same time comes in the order of the
// calls. Returns its number, as mp_loop_call_soon(). Errors: MP_EINVAL (ms < 0), -ENOMEM.
// Since 0.1.
MP_API MP_NODISCARD int64_t mp_loop_call_later(mp_loop *loop, int ms, mp_loop_call_fn *fn,
                                               void *arg);
MP_API MP_NODISCARD int64_t mp_loop_call_at(mp_loop *loop, int64_t when, mp_loop_call_fn *fn,
                                            void *arg);

// Takes a call back. Numbers are not used again, so an old one does no harm. Errors:
// MP_ENOTFOUND (it was called, or cancelled, before). Since 0.1.
MP_API int mp_loop_cancel(mp_loop *loop, int64_t call);

// ---- watchers ----

// What may be waited for on a descriptor, and what was found. An error or a hang-up
// is reported as everything that was asked for: read or write, and see.
enum { MP_LOOP_READ = 1, MP_LOOP_WRITE = 2 };

typedef void mp_loop_fd_fn(mp_watch *w, int events, void *arg);
typedef void mp_loop_timer_fn(mp_watch *w, void *arg);
typedef void mp_loop_signal_fn(mp_watch *w, int sig, void *arg);

// The child has ended: code is its exit code, or -N when signal N killed it, or
// MP_ESTATUS when somebody else took its status; usage is what it and the
// children it waited for have used (zeroed with MP_ESTATUS).
typedef void mp_loop_child_fn(mp_watch *w, int code, const struct rusage *usage, void *arg);

// Calls fn whenever fd is ready for one of `events` (level-triggered). The fd
// stays the caller's, who closes the watcher first, then the fd; its flags are
// not touched: it may be blocking. events may be 0, to be set later. For the end of an
// mp_process watch its mp_process_sentinel(): mp_process_exitcode() is then there.
// Errors: MP_EINVAL, -EPERM (a regular file or directory, which is always ready),
// -EEXIST (the fd has a watcher), -EBADF, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_loop_add_fd(mp_loop *loop, mp_watch **out, int fd, int events,
                                       mp_loop_fd_fn *fn, void *arg);

// Calls fn with MP_LOOP_READ whenever a receive from the pipe, or a get from the queue, would
// not block: a message, the end, an error; now and then for nothing. Use timeout 0 there. The
// watcher is closed before the pipe or queue is freed. Errors: as mp_loop_add_fd(), and those
// of mp_pipe_fd() or mp_queue_fd(). Since 0.1.
MP_API MP_NODISCARD int mp_loop_add_pipe(mp_loop *loop, mp_watch **out, mp_pipe *pipe,
                                         mp_loop_fd_fn *fn, void *arg);
MP_API MP_NODISCARD int mp_loop_add_queue(mp_loop *loop, mp_watch **out, mp_queue *queue,
                                          mp_loop_fd_fn *fn, void *arg);

// Changes what an fd watcher waits for; 0 lets it rest. Errors: MP_EINVAL (not an
// fd watcher), -ENOMEM, -EBADF. Since 0.1.
MP_API int mp_watch_set_events(mp_watch *w, int events);

// Calls fn once, ms milliseconds from now; close the watcher also after that.
// Errors: MP_EINVAL, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_loop_add_timer(mp_loop *loop, mp_watch **out, int ms,
                                          mp_loop_timer_fn *fn, void *arg);

// Calls fn once when the child with this pidfd has ended, and takes its status.
// The pidfd stays the caller's, who closes the watcher first. Errors: MP_EINVAL,
// -EBADF, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_loop_add_child(mp_loop *loop, mp_watch **out, int pidfd,
                                          mp_loop_child_fn *fn, void *arg);

// Calls fn when the process gets sig, in the loop, not in a signal handler: any
// function may be called. While the watcher lives, the signal's handler is the
// loop's. Errors: MP_EINVAL (also SIGKILL and SIGSTOP), -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_loop_add_signal(mp_loop *loop, mp_watch **out, int sig,
                                           mp_loop_signal_fn *fn, void *arg);

// Ends a watcher and releases it. NULL is fine. Since 0.1.
MP_API void mp_watch_close(mp_watch *w);

// ---- finding what blocks ----

// What a step that was too slow is told to: `what` is `task 'name'`, `main@address` or the
// like for a callback, valid during the call; ms how long it has taken; running: it has not
// come back yet, and the call comes from the watching thread. Otherwise it is over, and the
// call comes from the loop's thread.
typedef void mp_loop_slow_fn(const char *what, int64_t ms, bool running, void *arg);

// From now on, callbacks and steps of tasks that keep the loop for slow_ms or longer are told to
// fn(..., arg); fn NULL: to the log, at level MP_LOG_WARN. One that does not come back is named
// while it still runs, once: for that a thread watches until the loop is closed, or debugging
// ended with slow_ms = 0. Costs some 100 ns a callback. Not while it runs. Errors: MP_EINVAL
// (slow_ms < 0), MP_ESTATE, -EAGAIN (no thread), -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_loop_debug(mp_loop *loop, int slow_ms, mp_loop_slow_fn *fn, void *arg);

#ifdef __cplusplus
}
#endif
#endif
