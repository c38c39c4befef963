// SPDX-License-Identifier: MIT
//
// Single tasks for a pool: each with an argument and a result of any size, each with its own
// time limit, retries and priority. (For arrays, mp_pool_map() is faster by far; for long
// streams of small items see mp/imap.h.)
//
//  1. write a task: it gets its argument, and gives its result with mp_task_result();
//  2. mp_pool_apply() runs it in a worker and waits; mp_pool_apply_async() returns a future
//     at once (see mp/future.h: wait, callbacks, many at a time);
//  3. mp_pool_close(), mp_pool_join() (which waits for the tasks), mp_pool_free().
//
// A task lies in shared memory from the moment of the call, and the workers take it by
// themselves. What the caller does by itself happens inside its calls: results are taken in
// and retries started by any call that waits for a task of the pool.
//
// A task fails when it returns other than 0, when its worker dies (killed, crashed, exit())
// or when it exceeds its time. Then it is run again, retries times at most, and given up:
// the worker's death costs that task only, and a task that kills every worker is given up
// like any other. A task with retries may therefore be run more than once; one without never
// is. Which worker had it is never in doubt: the error names its end.
//
// The function, and ctx, as for mp_pool_map(): the function was loaded when the pool was
// made, ctx is passed on as it is. In a task, mp_task_at() may say how far it is. A task that
// returns without a result has one of 0 bytes. A task is not to leave by longjmp().
#ifndef MP_TASK_H
#define MP_TASK_H

#include <mp/future.h>
#include <mp/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

// A task as it sees itself.
typedef struct mp_task mp_task;

// arg: size bytes, a copy, aligned to 16. 0 is success.
typedef int mp_task_fn(mp_task *task, const void *arg, size_t size, void *ctx);

// Inside a task: its result is size bytes at data, copied now. The last call counts, if the
// task returns 0. Does not block. Errors: MP_EINVAL, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_task_result(mp_task *task, const void *data, size_t size);

typedef struct mp_task_opts {
    void *ctx;
    int priority;   // the lowest number first; among equals, first in
    int timeout_ms; // that a run may take, from its begin; then its worker is killed. 0 = any
    int retries;    // how often it is run again after a failure
    int backoff_ms; // to wait before the first retry; twice as long before each further one, up
                    // to a minute
    int *status;    // mp_pool_apply() only: where to store what the task returned; or NULL
} mp_task_opts;

// Runs fn on a copy of size bytes at arg in a worker, waits, copies the result to out and
// returns its size. Errors: MP_ETASK (it returned other than 0), MP_EWORKERDIED, MP_ETIMEDOUT
// (its time limit), MP_EMSGSIZE (the result is longer than cap; nothing is copied),
// MP_EPROTO (a task gone wild wrote over it; its worker is replaced); those of
// mp_pool_apply_async(); MP_ECANCELED (terminated meanwhile), MP_EBROKEN. Since 0.1.
MP_API MP_NODISCARD int64_t mp_pool_apply(mp_pool *pool, mp_task_fn *fn, const void *arg,
                                          size_t size, void *out, size_t cap,
                                          const mp_task_opts *opts);

// Has it run, and gives a future of the result, to be released with mp_future_free(). Blocks
// only while 16,384 tasks of this pool are unfinished. The future's errors are those of
// mp_pool_apply(); its text tells signal or exit code of a dead worker. mp_future_cancel()
// takes back a task that no worker has begun; for others see mp_pool_cancel().
// Errors: MP_EINVAL, MP_ENOFUNC, MP_ECLOSED, MP_EOWNER, MP_EBROKEN, MP_ECANCELED (the pool
// was terminated), -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_pool_apply_async(mp_future **out, mp_pool *pool, mp_task_fn *fn,
                                            const void *arg, size_t size, const mp_task_opts *opts);

// Runs fn once in each worker of the pool and waits for all: to warm up caches, to set
// something, to look. opts: ctx only, else MP_EINVAL. A worker that takes another's place later
// has not run it; what each must have run is opts->init of the pool. Results are dropped.
// Errors: the first of MP_ETASK, MP_EWORKERDIED that happened; those of mp_pool_apply(). Calls
// of several threads come one after the other. Since 0.1.
MP_API MP_NODISCARD int mp_pool_everywhere(mp_pool *pool, mp_task_fn *fn, const void *arg,
                                           size_t size, const mp_task_opts *opts);

// Cancels a task of this pool, also one that runs: its worker is killed and replaced, and the
// future finishes with MP_ECANCELED soon (or with its result, if that came first). 0 also
// when it is cancelled already. Does not block. Errors: MP_ESTATE (it is done), MP_ENOTFOUND (no
// task of this pool), MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API int mp_pool_cancel(mp_pool *pool, mp_future *f);

typedef struct mp_pool_stats {
    int workers;            // it shall have
    int alive, busy;        // workers: there are now; are at a task or a map now
    uint64_t ended_workers; // whatever the reason
    uint64_t waiting;       // tasks that no worker has begun
    uint64_t unfinished;    // those, and the ones that run or wait for another run
    uint64_t done, failed;  // tasks that are finished, well or not
    uint64_t retried;       // runs that were repeats
    uint64_t busy_ns;       // that workers were in tasks, all together
} mp_pool_stats;

typedef enum mp_worker_state {
    MP_WORKER_NONE,     // the place is empty: about to be filled, or at rest (idle_ms)
    MP_WORKER_STARTING, // runs the initializer
    MP_WORKER_IDLE,
    MP_WORKER_BUSY, // at a task, or a map
} mp_worker_state;

typedef struct mp_worker_stats {
    pid_t pid; // 0: there is none now
    mp_worker_state state;
    uint64_t tasks;   // that were run in this place, also by those who had it before
    uint64_t busy_ns; // in them
    size_t resident;  // bytes of memory that it has now
} mp_worker_stats;

// How the pool fares, for tasks (a chunk of a stream, or of a map as a future, is one; those of
// mp_pool_map() are not counted). Does not block. Errors: MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API int mp_pool_get_stats(mp_pool *pool, mp_pool_stats *out);

// And one of its workers, numbered from 0; after mp_pool_resize() to fewer also those that are
// about to end. MP_EINDEX: there is no such number. Since 0.1.
MP_API int mp_pool_get_worker_stats(mp_pool *pool, int worker, mp_worker_stats *out);

#ifdef __cplusplus
}
#endif
#endif
