// SPDX-License-Identifier: MIT
//
// Pools of a manager (mp/manager.h): objects of type Pool, with a function for each thing that can
// be asked of them.
//
// A Pool runs tasks in worker processes beside the manager. The tasks are the manager's: functions
// of type mp_task_fn (mp/task.h) that are named by MP_TASK() (mp/function.h), in a shared object
// that is named to mpmanager (--tasks), or in a program that has a manager of its own
// (mp_manager_start_opts.workers). What travels is the name and the arguments, never code.
//
//     static int add(mp_task *task, const void *arg, size_t size, void *ctx)
//     {
//         mp_buf b = {0};
//         int x, y;
//         int r = mp_unpack(arg, size, "i i", &x, &y); // as they were given
//         if (r == 0)
//             r = mp_pack(&b, "i", x + y);             // one value, or nothing
//         if (r == 0)
//             r = mp_task_result(task, b.data, b.size);
//         mp_buf_free(&b);
//         return r;                                    // 0, or the task has failed
//     }
//     MP_TASK(add);
//
//  1. mp_manager_get(m, &p, "pool", "Pool", "") gives the proxy; all objects of type Pool share
//     the workers, and "i i i" says how many of them it may take at a time (0: all), a time limit
//     in ms for each task, and how often one that failed is run again;
//  2. mp_remote_pool_apply(p, NULL, MP_FOREVER, "add", "i i > i", 1, 2, &sum); or begin a job,
//     and have its result later;
//  3. mp_proxy_free(p).
//
// A task that fails, whose worker dies, or that exceeds its time, has its error, with a text in b
// (MP_ETASK, MP_EWORKERDIED, MP_ETIMEDOUT), and costs no other. A job belongs to the session that
// began it. When that ends, and when the time of a call is over that began it, what no worker
// has begun is taken back; what runs is left to end, for nothing: only mp_remote_pool_cancel() and
// _terminate() kill a worker. Jobs are not kept on disk: after a restart a Pool of a name is
// there again, and empty. What a client has in jobs is limited (mpmanager --max-client-tasks):
// take results, or forget them. MP_ENOTSUP: the manager has no tasks.
//
// Each function returns 0, or what is said there, and the errors of mp_call(). All may be called
// from any thread.
#ifndef MP_MANAGER_POOL_H
#define MP_MANAGER_POOL_H

#include <mp/proxy.h>

#ifdef __cplusplus
extern "C" {
#endif

// `int mp_remote_pool_apply(mp_proxy *p, mp_buf *b, int timeout_ms, const char *task, const char
// *format, ...)` runs a task and reads its result: "i i > i". `mp_remote_pool_map` runs it with
// each element of the array that is the only argument, and gives the array of the results, or the
// first error: "[i i i] > [i i i]"; O# takes an array that was packed. `mp_remote_pool_starmap`:
// each element is the array of the arguments. MP_ENOFUNC: there is no such task. Since 0.1.
#define mp_remote_pool_apply(p, b, timeout_ms, task, ...)                                          \
    MP_CALL_LEAD(p, b, timeout_ms, "apply", MP_LEAD_KEY, task, 0, __VA_ARGS__)
#define mp_remote_pool_map(p, b, timeout_ms, task, ...)                                            \
    MP_CALL_LEAD(p, b, timeout_ms, "map", MP_LEAD_KEY, task, 0, __VA_ARGS__)
#define mp_remote_pool_starmap(p, b, timeout_ms, task, ...)                                        \
    MP_CALL_LEAD(p, b, timeout_ms, "starmap", MP_LEAD_KEY, task, 0, __VA_ARGS__)

// `int64_t mp_remote_pool_apply_async(mp_proxy *p, const char *task, const char *format, ...)` and
// the others begin the same, and return the number of the job (> 0). Those of imap are read one
// by one, in order or as they end. Errors: as mp_call(); MP_EQUOTA (--max-client-tasks),
// MP_ECLOSED. Since 0.1.
#define mp_remote_pool_apply_async(p, task, ...)                                                   \
    mp_remote_pool_begin_args(p, "apply_async", task, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)
#define mp_remote_pool_map_async(p, task, ...)                                                     \
    mp_remote_pool_begin_args(p, "map_async", task, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)
#define mp_remote_pool_starmap_async(p, task, ...)                                                 \
    mp_remote_pool_begin_args(p, "starmap_async", task, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)
#define mp_remote_pool_imap(p, task, ...)                                                          \
    mp_remote_pool_begin_args(p, "imap", task, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)
#define mp_remote_pool_imap_unordered(p, task, ...)                                                \
    mp_remote_pool_begin_args(p, "imap_unordered", task, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// What those five are made of: `method` is the name of one. Since 0.1.
MP_API MP_NODISCARD int64_t mp_remote_pool_begin_args(mp_proxy *p, const char *method,
                                                      const char *task, const char *types,
                                                      const char *format, ...);

// `int mp_remote_pool_get(mp_proxy *p, mp_buf *b, int64_t job, int timeout_ms, const char *format,
// ...)` waits for a job and reads its result, that of apply or the array of map's; or the error of
// the first task that failed. mp_remote_pool_get_each: [status, result or text] of each task,
// whatever failed. mp_remote_pool_next: the next result of an imap, or its error; MP_EOF behind the
// last. The job is gone when its results have been taken. MP_ENOTFOUND: this session has no
// such job; MP_EMSGSIZE: too long for one reply; MP_ETIMEDOUT, MP_EAGAIN (timeout 0): not yet.
// Since 0.1.
#define mp_remote_pool_get(p, b, job, timeout_ms, ...)                                             \
    MP_CALL_LEAD(p, b, timeout_ms, "get", MP_LEAD_INDEX | MP_LEAD_RESULT, NULL, job, __VA_ARGS__)
#define mp_remote_pool_get_each(p, b, job, timeout_ms, ...)                                        \
    MP_CALL_LEAD(p, b, timeout_ms, "get_each", MP_LEAD_INDEX | MP_LEAD_RESULT, NULL, job,          \
                 __VA_ARGS__)
#define mp_remote_pool_next(p, b, job, timeout_ms, ...)                                            \
    MP_CALL_LEAD(p, b, timeout_ms, "next", MP_LEAD_INDEX | MP_LEAD_RESULT, NULL, job, __VA_ARGS__)

// Waits until a job is done; tells whether it is, and whether all went well (MP_ESTATE: not
// done). Since 0.1.
MP_API MP_NODISCARD int mp_remote_pool_wait(mp_proxy *p, int64_t job, int timeout_ms);
MP_API MP_NODISCARD int mp_remote_pool_ready(mp_proxy *p, int64_t job);
MP_API MP_NODISCARD int mp_remote_pool_successful(mp_proxy *p, int64_t job);

// Ends those tasks of a job that have not ended: MP_ECANCELED is their result. Workers that are at
// one are killed. Returns how many there were. Since 0.1.
MP_API int64_t mp_remote_pool_cancel(mp_proxy *p, int64_t job);

// Gives a job up: what no worker has begun is not run, what is begun ends for nothing. Since 0.1.
MP_API int mp_remote_pool_forget(mp_proxy *p, int64_t job);

// No more jobs, from anybody (MP_ECLOSED); the same, and everybody's are cancelled; waits, after
// one of the two (MP_ESTATE), until all tasks have ended. Since 0.1.
MP_API int mp_remote_pool_close(mp_proxy *p);
MP_API int mp_remote_pool_terminate(mp_proxy *p);
MP_API MP_NODISCARD int mp_remote_pool_join(mp_proxy *p, int timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
