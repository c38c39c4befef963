// SPDX-License-Identifier: MIT
//
// An executor runs tasks on workers of its own, and gives a future for each.
//
//  1. mp_executor_new_threads(), or mp_executor_new_processes();
//  2. mp_executor_submit() from any thread, for one task and its future (mp/future.h); or
//     mp_executor_map() for an array;
//  3. mp_executor_shutdown(), mp_executor_join(), mp_executor_free(); free alone does all
//     three, and finishes what was submitted.
//
// A task is the function that pools map (mp_item_fn): *in is its item, *out the room for its
// result; 0 is success, anything else its failure (MP_ETASK in the future, and
// mp_future_status(); the text is that of mp_thread_fail()). In C threads compute in parallel,
// so they are the first choice. Processes protect from tasks that crash, and are for libraries
// that must not be used by two threads.
//
// Over processes a task sees what the caller saw when the executor was made, a copy of its item,
// and what lies in shared memory; what else it changes, it changes in its worker only. The
// function must have been loaded when the executor was made (MP_ENOFUNC). All is as mp/pool.h
// tells: the workers are a pool's. Results come in while this process is in a call that waits
// for a future, asks for one, or joins.
//
// A worker that ends (pthread_exit(); exit(), a crash, kill -9) costs the task that it was at,
// and no other: its future gets MP_EWORKERDIED, whose text tells signal or exit code, and
// another worker takes its place. A task that forks: a child that returns from it ends there.
// Tasks that wait for others of the same executor may wait for ever, when all workers do that.
//
// In a forked child the executor is the parent's: MP_EOWNER.
#ifndef MP_EXECUTOR_H
#define MP_EXECUTOR_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/future.h>
#include <mp/pool.h>
#include <mp/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_executor mp_executor;

typedef struct mp_executor_opts {
    int workers; // up to 1024. Threads: at most so many; 0 = min(32, CPUs + 4); each is started
                 // when there is a task and nobody is free. Processes: 0 = mp_cpu_count(); all
                 // are started at once
    const char *name;              // workers are "name-1", ...; NULL = "Executor"
    int (*initializer)(void *arg); // each worker calls it first; NULL = nothing. Where it gives
    void *initializer_arg;         // other than 0, the executor is broken
    int max_tasks; // processes: after so many tasks a worker ends, and another takes its place;
                   // 0 = no limit. Threads: not looked at
} mp_executor_opts;

// Makes an executor over threads. They block all signals, and are daemons (see mp/thread.h):
// shut it down before the program ends, if its tasks shall be finished. Errors: MP_EINVAL,
// -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_executor_new_threads(mp_executor **out, const mp_executor_opts *opts);

// Makes an executor over processes, forked now (or by what mp_start_set_default() says). They end
// with the process that made it, also after kill -9. Errors: those of mp_pool_new(). Since 0.1.
MP_API MP_NODISCARD int mp_executor_new_processes(mp_executor **out, const mp_executor_opts *opts);

// Has fn(in, room, ctx) run, and stores its future at *out: free it when you are done with it.
// out may be NULL: then its failure is logged. in: in_size bytes are copied; with in_size 0 the
// pointer is passed on as it is. The result is out_size bytes, zeroed before the task writes
// them. ctx is passed on. Does not wait for anything, but over processes for room when 16,384
// tasks are unfinished.
// Errors: MP_EINVAL, MP_ECLOSED (after shutdown), MP_EBROKEN (the initializer failed), MP_ENOFUNC,
// MP_EOWNER, MP_EOVERFLOW, -ENOMEM, -EAGAIN (not one thread could be started). Since 0.1.
MP_API MP_NODISCARD int mp_executor_submit(mp_executor *e, mp_future **out, mp_item_fn *fn,
                                           const void *in, size_t in_size, size_t out_size,
                                           void *ctx);

typedef struct mp_executor_map_opts {
    size_t chunk;  // items a task takes; 0 = a quarter of a worker's share
    size_t buffer; // tasks submitted at a time; 0 = 4 for each worker. The next follows when
                   // the oldest is done. (Processes without a timeout need none)
    int *status;   // room for n ints: 0, what the item's call returned, MP_EWORKERDIED, or
                   // MP_ECANCELED for one that was not run; or NULL
} mp_executor_map_opts;

// Runs fn on each of n items of in_size bytes at in, and stores n results of out_size bytes at
// out; either may be NULL with size 0. Waits for all, up to timeout_ms in total. 0 when each
// succeeded. With MP_FOREVER the arrays are used where they are; with a timeout tasks work on
// copies, since one that runs cannot be stopped. Over processes, MP_FOREVER is mp_pool_map(),
// which is faster and knows arrays in arenas.
// Errors: MP_ETASK (a call returned other than 0), MP_EWORKERDIED (comes before MP_ETASK): in
// both all others are done; MP_ETIMEDOUT: what had not begun is cancelled, and out has the
// results of the items whose status is 0; MP_ECANCELED (shut down meanwhile with MP_DROP);
// those of mp_executor_submit(). Since 0.1.
MP_API MP_NODISCARD int mp_executor_map(mp_executor *e, mp_item_fn *fn, const void *in,
                                        size_t in_size, void *out, size_t out_size, size_t n,
                                        void *ctx, const mp_executor_map_opts *opts,
                                        int timeout_ms);

// No more tasks. MP_DRAIN: those submitted are still run. MP_DROP: those that have not begun
// are cancelled. Idempotent; MP_DROP may follow MP_DRAIN. Does not block. Errors: MP_EOWNER,
// MP_EINVAL. Since 0.1.
MP_API int mp_executor_shutdown(mp_executor *e, mp_shutdown how);

// Waits until all workers have ended, after a shutdown. Errors: MP_ETIMEDOUT, MP_ESTATE (not
// shut down, or in one of its own tasks), MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int mp_executor_join(mp_executor *e, int timeout_ms);

// Shuts down with MP_DROP, and ends the workers in the middle of their tasks, by SIGTERM or by
// SIGKILL: those tasks fail with MP_EWORKERDIED. Does not block. Errors: MP_ENOTSUP (threads
// cannot be ended), MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API int mp_executor_terminate_workers(mp_executor *e);
MP_API int mp_executor_kill_workers(mp_executor *e);

// How many workers it may have. MP_EINVAL for NULL. Since 0.1.
MP_API int mp_executor_workers(const mp_executor *e);

// Shuts it down (MP_DRAIN, unless that was done), joins it and releases it. Not in one of its
// own tasks. Its futures outlive it. NULL is fine. Since 0.1.
MP_API void mp_executor_free(mp_executor *e);

#ifdef __cplusplus
}
#endif
#endif
