// SPDX-License-Identifier: MIT
//
// Coroutines: functions on a loop that wait without blocking the others; here called tasks, and
// never those of a pool. Part of libmploop.
//
// A task has a stack of its own. Where it awaits something, it stops in the middle and the
// loop goes on with others; a hundred thousand tasks are no thread. All of them run in the
// loop's thread, one at a time, and change only where one awaits: between two awaits nobody
// interferes.
//
//  1. mp_coro_run() runs one as the main one, on a loop of its own, to the end; or
//     mp_coro_start() on a loop that somebody runs;
//  2. inside: mp_await() another, mp_coro_sleep(), mp_await_fd(), _pipe(), _queue(),
//     _process(), _future(), and what is in mp/async.h; mp_coro_start() more of them;
//  3. mp_coro_cancel() makes its await return MP_ECANCELED, once: the task cleans up, may
//     await in doing so, and returns;
//  4. mp_coro_result() when it is done; mp_coro_free() each handle that was asked for.
//
// A promise is a task without a function: somebody says the result, with mp_coro_set(),
// from another thread with mp_coro_set_threadsafe(). All that waits for tasks waits for
// promises.
//
// The stack has 56 KiB unless asked for more, and touched pages only cost memory. Below it
// is a guard, so an overflow is a fault at once; see mp_coro_explain_overflow().
//
// Errors that every function here may give, beside its own: MP_EINVAL, MP_EOWNER (a forked
// child), MP_ECLOSED (the loop is closed), MP_ESTATE (another thread runs the loop; what
// awaits: not in a task). What awaits returns MP_ECANCELED when the task was cancelled.
#ifndef MP_CORO_H
#define MP_CORO_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/future.h>
#include <mp/loop.h>
#include <mp/process.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_coro mp_coro;

// What a task runs. Returns its result: 0 or more, or a negative error.
typedef int mp_coro_fn(void *arg);

typedef struct mp_coro_opts {
    const char *name;  // copied, cut at 31 bytes; NULL = "Task-N", N counting those of the loop
    size_t stack_size; // bytes it may use; 0 = 56 KiB
} mp_coro_opts;

// ---- making ----

// Starts fn(arg) as a task of the loop (NULL: the one that runs here); it begins in the next
// round. *out is a handle of the caller's; out may be NULL, and then an error of the task goes to
// the log. Errors: -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_coro_start(mp_coro **out, mp_loop *loop, mp_coro_fn *fn, void *arg,
                                      const mp_coro_opts *opts);

// Runs fn(arg) as the main task on a new loop; when it has ended, cancels all other tasks and
// runs until they have ended. Returns its result. slow_ms: as mp_loop_debug(), 0 for none.
// Errors: MP_ESTATE (a loop runs in this thread), as mp_loop_new(). Since 0.1.
MP_API MP_NODISCARD int mp_coro_run(mp_coro_fn *fn, void *arg, int slow_ms);

// Makes a promise. Errors: -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_coro_promise(mp_coro **out, mp_loop *loop);

// Keeps a promise: result is 0 or more, or an error; value is for mp_coro_result(). Errors:
// MP_ESTATE (done before, or not a promise). Since 0.1.
MP_API int mp_coro_set(mp_coro *promise, int result, void *value);

// The same from any thread, while the caller has a handle of its own (mp_coro_share()). Done
// when the loop gets to it; if it was cancelled meanwhile, nothing happens. Never fails for
// want of memory. Errors: MP_ESTATE (called before), MP_ECLOSED. Since 0.1.
MP_API int mp_coro_set_threadsafe(mp_coro *promise, int result, void *value);

// Makes a promise that is kept when the future is done, whoever completes it, a thread or a worker
// process: its result is 0, or the future's error. So a future can be awaited among tasks, and by
// mp_coro_on_done() from callbacks; the loop runs until then. To do in an executor what would
// block the loop, submit it and wrap the future. Cancelling the promise does not cancel the
// future. Errors: -ENOMEM, those of mp_future_add_done_callback() and mp_loop_add_fd(). Since 0.1.
MP_API MP_NODISCARD int mp_coro_wrap_future(mp_coro **out, mp_loop *loop, mp_future *f);

// Another handle to the same task, to be freed by itself. From any thread. Since 0.1.
MP_API mp_coro *mp_coro_share(mp_coro *t);

// Releases a handle, from any thread; the task goes on. If it failed and nobody ever looked,
// that goes to the log. NULL is fine. Since 0.1.
MP_API void mp_coro_free(mp_coro *t);

// ---- looking ----

// Whether it has ended, or was set. Since 0.1.
MP_API bool mp_coro_done(const mp_coro *t);

// Its result; value (may be NULL) gets what was set with it. Errors: MP_ESTATE (not done);
// its own. Since 0.1.
MP_API int mp_coro_result(mp_coro *t, void **value);

// Its name, for as long as the handle; "promise" for a promise. Since 0.1.
MP_API const char *mp_coro_name(mp_coro *t);

// The task that runs in this thread; NULL in callbacks and outside loops. Not a handle of the
// caller's: mp_coro_share() to keep it. Since 0.1.
MP_API mp_coro *mp_coro_current(void);

typedef void mp_coro_done_fn(mp_coro *t, void *arg);

// Calls fn(t, arg) in the loop soon after the task is done, also if it is already. The caller
// keeps its handle until then. Errors: -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_coro_on_done(mp_coro *t, mp_coro_done_fn *fn, void *arg);

// ---- cancelling ----

// Asks a task to end: the await in which it is, or the next one, returns MP_ECANCELED, once.
// A task that was not begun begins nevertheless, since its argument may be its to free. A
// promise is done at once. Errors: MP_ESTATE (it is done). Since 0.1.
MP_API int mp_coro_cancel(mp_coro *t);

// How often the task that runs here was asked to end. Since 0.1.
MP_API int mp_coro_cancelling(void);

// ---- awaiting ----

// Waits until t is done and returns its result. If this task is cancelled meanwhile, t is
// cancelled too and waited for, then MP_ECANCELED is returned; a second cancel does not wait
// any more. Errors: MP_ESTATE (not in a task, or t is this task), MP_EINVAL (a task of another
// loop); those of t. Since 0.1.
MP_API int mp_await(mp_coro *t);

// The same for timeout_ms at most, after which t is cancelled and waited for: MP_ETIMEDOUT.
// Since 0.1.
MP_API MP_NODISCARD int mp_await_for(mp_coro *t, int timeout_ms);

// As mp_await(), but t is not cancelled with this task. Since 0.1.
MP_API int mp_await_shielded(mp_coro *t);

// Waits until all n are done. Returns 0, or at once the error of the first that fails: the
// others go on, as in Python. Cancelled, it cancels all and waits for them. The results are
// read with mp_coro_result(). Errors: as mp_await(), -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_coro_gather(mp_coro *const *list, size_t n);

typedef enum mp_coro_when {
    MP_CORO_ALL,         // all are done
    MP_CORO_FIRST,       // one is
    MP_CORO_FIRST_ERROR, // one has failed, or all are done
} mp_coro_when;

// Waits for so many of n tasks, up to timeout_ms, and returns how many are done. Cancels none
// of them. Errors: as mp_await(), -ENOMEM; running out of time is none. Since 0.1.
MP_API MP_NODISCARD int64_t mp_coro_wait(mp_coro *const *list, size_t n, mp_coro_when when,
                                         int timeout_ms);

typedef struct mp_coro_completed mp_coro_completed;

// In a task, makes an iterator over n others in the order in which they end. It has handles of its
// own; the list may go. Errors: as mp_await(), -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_coro_as_completed(mp_coro_completed **out, mp_coro *const *list,
                                             size_t n);

// Waits for the next one that is done, stores it at *t (t may be NULL; the handle stays the
// iterator's), and returns its index in the list. Neither a timeout nor a cancel of this task
// cancels the others. Errors: MP_EOF (each was told), MP_ETIMEDOUT, MP_ESTATE (another task waits
// in it). Since 0.1.
MP_API MP_NODISCARD int64_t mp_coro_completed_next(mp_coro_completed *it, mp_coro **t,
                                                   int timeout_ms);

// Releases the iterator, in the loop's thread, when no task waits in it. NULL is fine. Since 0.1.
MP_API void mp_coro_completed_free(mp_coro_completed *it);

// Sleeps. 0 lets all others that are ready go first. Errors: MP_ECANCELED. Since 0.1.
MP_API int mp_coro_sleep(int ms);

// Waits until fd is ready, and returns for what: MP_LOOP_READ, MP_LOOP_WRITE, or both. Several
// tasks may wait for one fd. Errors: MP_ETIMEDOUT, those of mp_loop_add_fd(), -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_await_fd(int fd, int events, int timeout_ms);

// Waits until a receive (a get) would not block, or might: use timeout 0 there, and wait again
// on MP_ETIMEDOUT. 0. Errors: as mp_await_fd(), mp_pipe_fd(), mp_queue_fd(). Since 0.1.
MP_API MP_NODISCARD int mp_await_pipe(mp_pipe *pipe, int timeout_ms);
MP_API MP_NODISCARD int mp_await_queue(mp_queue *queue, int timeout_ms);

// Waits for the end of a process and stores its exit code (code may be NULL). Errors: as
// mp_await_fd(), mp_process_exitcode(). Since 0.1.
MP_API MP_NODISCARD int mp_await_process(mp_process *p, int *code, int timeout_ms);

// Waits until a future is done, whoever completes it. 0; then mp_future_result() with timeout 0
// tells how. Neither a timeout nor a cancel of the task cancels the future. For several, see
// mp_coro_wrap_future(). Errors: MP_ETIMEDOUT, MP_ECANCELED, those of mp_coro_wrap_future().
// Since 0.1.
MP_API MP_NODISCARD int mp_await_future(mp_future *f, int timeout_ms);

// ---- timeouts ----

// A time limit for all that the task awaits between enter and leave. When it is over, the
// await under way returns MP_ECANCELED; pass what you have to leave, which makes MP_ETIMEDOUT
// of it. Scopes may be nested.
//
//     mp_timeout limit;
//     mp_timeout_enter(&limit, 500);
//     int r = fetch(...);
//     r = mp_timeout_leave(&limit, r);
typedef struct mp_timeout {
    mp_coro *mp__coro;
    int64_t mp__call;
    int mp__before;
    bool mp__over;
} mp_timeout;

// Starts the time; MP_FOREVER never ends. Does not await. Errors: MP_ESTATE, -ENOMEM; leave
// is allowed after an error. Since 0.1.
MP_API int mp_timeout_enter(mp_timeout *scope, int ms);

// Ends it. Returns result, or MP_ETIMEDOUT if that is MP_ECANCELED because of this scope.
// Since 0.1.
MP_API int mp_timeout_leave(mp_timeout *scope, int result);

// ---- groups ----

// Tasks that end together: when one fails, its siblings are cancelled, and so is the await in
// which the task is that made the group. No task of a group outlives its end.
typedef struct mp_group mp_group;

// Makes a group, in a task, which must end it. Errors: MP_ESTATE, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_group_new(mp_group **out);

// Starts a task in the group, from any task of the loop; as mp_coro_start(). out may be NULL.
// Errors: MP_ECANCELED (a sibling has failed), -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_group_start(mp_group *g, mp_coro **out, mp_coro_fn *fn, void *arg,
                                       const mp_coro_opts *opts);

// Waits until all have ended and releases the group. If this task is cancelled meanwhile, all are
// cancelled. Returns 0, the first error of a task that was not cancelled, or MP_ECANCELED.
// Errors: MP_ESTATE (not the task that made it). Since 0.1.
MP_API int mp_group_end(mp_group *g);

// ---- overflow ----

// From now on an overflow of a task's stack says which task it was, on stderr, before the
// program dies of SIGSEGV as it would without. Installs a handler for SIGSEGV, which passes on
// everything else to the one that was there before, and gives each thread that runs a loop an
// alternate stack if it has none. Errors: -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_coro_explain_overflow(void);

#ifdef __cplusplus
}
#endif
#endif
