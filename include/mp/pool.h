// SPDX-License-Identifier: MIT
//
// A pool of worker processes, forked from this one, that map a function over
// arrays on all cores.
//
//  1. mp_pool_new() forks a supervisor, which forks the workers; they see what
//     the caller saw at that moment;
//  2. mp_pool_map() or mp_pool_map_range(), as often as wanted;
//  3. mp_pool_close() (or mp_pool_terminate()), mp_pool_join(), mp_pool_free();
//     mp_pool_free() alone ends it at once.
//
// For single tasks with arguments and results of any size see mp/task.h. For a map that tells
// how far it is, stops at the first failure, limits the time of an item or runs it again, see
// mp_pool_map_async() in mp/imap.h: a map as a future, which the caller may just as well wait for.
//
// For a single map, mp_map() and mp_map_range() do all of it: fork now, see
// everything the caller sees, map, end.
//
// Arrays: n items of in_size bytes at in, n results of out_size bytes at out,
// result i from item i. Either may be NULL with size 0. Arrays that lie in an
// arena made before the pool (see mp/arena.h) are used where they are; others
// are copied in and out through shared memory, by this process, a part at a time
// when they are large, while the workers run what is there: results come into `out`
// before the map returns. mp_map() copies nothing in, since its workers see `in`.
// in and out may be one array (same address and size), which is then worked on in
// place, or not overlap at all. What *out holds when a task begins is undefined,
// so a task writes all of its result; the result of an item that was lost with its
// worker is left as it was.
//
// A task gets its items and writes its results; what else it changes, it changes
// in its own worker only. ctx: with opts->ctx_size 0 the pointer is passed on as
// it is, and must mean the same in the workers (memory from before the pool, or
// an arena); with ctx_size > 0 that many bytes are copied, and tasks get a
// pointer to the copy, which they share and shall only read.
//
// When a task fails, or its worker dies (killed, crashed, exit()), that costs its
// own item only: all others are finished, a new worker takes the place of the
// dead one, and the item gets its status. No item is run twice. With the range
// form a failure costs the range, since which item of it failed is not known.
//
// A task may fork: a child that returns from the task ends there; a worker that ends
// itself (daemon(3)) has died.
//
// Start methods (mp/start.h): by fork, as told above. By forkserver or spawn the supervisor is
// not a copy of this process, but small, and so are the workers: for programs that are large or
// have threads. Then workers see nothing of the caller's memory: arrays are copied in any case,
// ctx and init_arg are to be NULL, told with their size, or carried by the argument; and functions
// are those of mp/start.h, others are MP_ENOFUNC.
//
// The function must have been loaded when the pool was made (MP_ENOFUNC if not).
// Workers ignore SIGINT, have the user's other signal handlers reset and one of their own for
// crashes, which notes the calls that led there and lets the signal do the rest; they end
// with the supervisor, which ends with the process that made the pool, also
// after kill -9, within 200 ms. The supervisor is a copy of the caller as it was:
// memory the caller rewrites later exists twice. stdout and stderr are flushed
// before the fork, and in workers after each map.
//
// To be watched from outside: ps and top show the processes by their names (mp_pool_opts.name), and
// where libmp was compiled with <sys/sdt.h> (Debian: systemtap-sdt-dev) it has static probes for
// perf, bpftrace and SystemTap, which cost nothing until one is attached:
//
//     libmp:map_begin(n, fn)              libmp:map_end(n, fn, result)
//     libmp:chunk_begin(worker, from, to) libmp:chunk_end(worker, from, to)
//     libmp:task_begin(worker, fn)        libmp:task_end(worker, status, ns)
//     libmp:worker_begin(worker, pid)     libmp:worker_end(worker, pid, code)
//
//     bpftrace -e 'usdt:./libmp.so:libmp:task_end { @ns = hist(arg2); }' -c ./program
#ifndef MP_POOL_H
#define MP_POOL_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/start.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_pool mp_pool;

// A task on one item: *in is the item, *out the room for its result. 0 is
// success; any other value becomes the item's status.
typedef int mp_item_fn(const void *in, void *out, void *ctx);

// A task on the items begin to end-1: in[0] is item `begin`, out[0] its result.
// Faster for tiny tasks, since it is called once for many. 0 is success; any
// other value becomes the status of the whole range.
typedef int mp_range_fn(size_t begin, size_t end, const void *in, void *out, void *ctx);

// What a worker runs before anything else: other than 0, and it ends with that exit code.
typedef int mp_pool_init_fn(void *arg);

typedef struct mp_pool_opts {
    int workers;           // 0 = mp_cpu_count(); at most 1024
    const char *name;      // seen in ps as "name" and "name-1", ...; NULL = "mp-pool"
    size_t staging;        // bytes of shared memory for arrays that are copied; 0 = 64 MiB. Larger
                           // arrays go through it part by part; two chunks a worker are taken
                           // in any case, and more than the system has is an error of the map
    mp_pool_init_fn *init; // run by each worker when it begins; NULL = none
    void *init_arg;        // passed on as it is: memory from before the pool; or
    size_t init_arg_size;  // so many bytes of it are copied
    int max_tasks;         // after so many tasks (see mp/task.h) or chunks of maps a worker
                           // ends when it has done what it is at, and another takes its place;
                           // 0 = no limit
    int idle_ms;           // a worker with nothing to do for so long ends, and another takes its
                           // place when there is work again; 0 = they stay
    bool lines;            // what tasks print by stdout and stderr comes out by whole lines of up
                           // to 1 MiB, not torn by those of other workers; each is written when
                           // it ends. (Not what they write to the descriptors 1 and 2 themselves,
                           // or by C++ streams.) 0 = stdio as ever
    int inner_threads;     // that OpenMP, OpenBLAS, MKL and BLIS may use in each worker; 0 = the
                           // CPUs divided by the workers; -1 = as they like. What OMP_NUM_THREADS
                           // and its like say in the environment comes first
    mp_start start;        // how its supervisor begins, which forks the workers: see above
    const mp_context *context; // NULL = the program's
    char **error; // where to store why it could not be made, to be released with free(), or NULL
                  // if the error says it all; or NULL
} mp_pool_opts;

typedef struct mp_map_opts {
    size_t chunk;    // items a worker takes at a time; 0 = large first, then smaller
    size_t ctx_size; // bytes of ctx to copy; 0 = pass the pointer on
    int *status;     // room for n ints: 0 for a success, else what the task returned,
                     // MP_EWORKERDIED, or MP_ECANCELED for an item not run; or NULL
    int workers;     // mp_map() only: how many; 0 = mp_cpu_count()
    char **error;    // mp_map() only: where to store a text as of mp_pool_error(), to be
                     // released with free(), NULL if all went well; or NULL
} mp_map_opts;

// Makes a pool and starts its workers. Does not wait for them, but for a supervisor that is not
// forked. Errors: MP_EINVAL, those of mp_process_start() if not by fork,
// MP_EDEPTH (pools inside workers of pools, 8 deep), -EAGAIN (too many
// processes), -ENOMEM, -EMFILE, -EFBIG (a small limit of file size: ulimit -f).
// Workers that die before they are ready, in opts->init for instance, are replaced,
// and after three such deaths a worker in a row the pool is broken: MP_EBROKEN.
// Since 0.1.
MP_API MP_NODISCARD int mp_pool_new(mp_pool **out, const mp_pool_opts *opts);

// Runs fn on each of n items and waits for all. 0 when each succeeded. n = 0 is
// a success. Maps of several threads on one pool run one after the other.
// Errors: MP_ETASK (a task returned non-zero), MP_EWORKERDIED (a worker died;
// comes before MP_ETASK): in both all other items are done, status and
// mp_pool_error() tell which are not. MP_ENOFUNC, MP_EINVAL, MP_EOVERFLOW (n x
// size), MP_ECLOSED (after close), MP_ECANCELED (terminated meanwhile),
// MP_EOWNER (in a process that did not make the pool, such as one of its
// workers), MP_EBROKEN (the supervisor died, or workers cannot start), -ENOMEM,
// -ENOSPC: nothing is known of the items then. Since 0.1.
MP_API MP_NODISCARD int mp_pool_map(mp_pool *pool, mp_item_fn *fn, const void *in, size_t in_size,
                                    void *out, size_t out_size, size_t n, void *ctx,
                                    const mp_map_opts *opts);

// The same with a function that takes many items a call. Since 0.1.
MP_API MP_NODISCARD int mp_pool_map_range(mp_pool *pool, mp_range_fn *fn, const void *in,
                                          size_t in_size, void *out, size_t out_size, size_t n,
                                          void *ctx, const mp_map_opts *opts);

// Inside a range task: "I am at item i now", so that a crash names the item and
// costs only what the range had not done: items before i count as done, i as
// failed, those after it are run again. Without it a crash costs the whole range.
// One store: call it as often as you like. Does nothing elsewhere. Since 0.1.
MP_API void mp_task_at(size_t i);

// A text on the last failure of a map on this pool: which item, what the task returned or
// which signal or exit code ended the worker, how much memory that had, whether the kernel
// had run out of it, and how many more failed. A crash is told with its address and the calls
// that led there: function+0x12, or program+0x1234 for addr2line where the program shows no
// names (gcc -rdynamic makes it). "" when there was none. Valid until the next map or free. Since
// 0.1.
MP_API const char *mp_pool_error(mp_pool *pool);

// How many workers it shall have: as it was made, or resized. MP_EINVAL for NULL. Since 0.1.
MP_API int mp_pool_workers(const mp_pool *pool);

// Makes it larger or smaller: from now on it shall have 1 to 1024 workers. New ones are forked
// by the supervisor, so they see what the first ones saw, and take part in what runs already.
// The others end when they have done what they are at; a map counts as one thing. Does not
// wait for any of that, only for a call of mp_pool_everywhere() that runs. Errors: MP_EINVAL,
// MP_ECLOSED, MP_ECANCELED, MP_EOWNER, -ENOMEM. Since 0.1.
MP_API int mp_pool_resize(mp_pool *pool, int workers);

// No more maps and tasks: those that were begun or posted are finished, then the
// workers end. Idempotent, does not block. Errors: MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API int mp_pool_close(mp_pool *pool);

// Kills the workers now; a running map gives MP_ECANCELED, and so do tasks.
// Idempotent, does not block. Errors: MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API int mp_pool_terminate(mp_pool *pool);

// Ends it in order at the first call: nothing more is begun, what runs is finished. A map returns
// MP_ECANCELED, with the results and the status of the items that were run, and MP_ECANCELED as
// the status of the others; tasks that wait are cancelled; then it is as after mp_pool_close(). At
// the second call it is as mp_pool_terminate(). Does not block, and may be called from a signal
// handler: so Ctrl-C ends a program in order, and twice at once.
//
//     static void on_interrupt(int sig) { (void)sig, (void)mp_pool_interrupt(pool); }
//
// (Without a handler Ctrl-C ends the program, and the workers with it.) Errors: MP_EOWNER,
// MP_EINVAL. Since 0.1.
MP_API int mp_pool_interrupt(mp_pool *pool);

// Waits until all its processes are gone, after close or terminate (MP_ESTATE if
// neither). Errors: MP_ETIMEDOUT, MP_EOWNER, MP_EINVAL. Since 0.1.
MP_API MP_NODISCARD int mp_pool_join(mp_pool *pool, int timeout_ms);

// Terminates what still runs, joins and releases everything. In a process that
// did not make the pool it only releases memory. NULL is fine. Since 0.1.
MP_API void mp_pool_free(mp_pool *pool);

// One map on processes forked for it (opts->workers): fn and ctx see everything
// the caller sees now, and nothing is copied in. Errors as for mp_pool_new() and
// mp_pool_map(); opts->error gets the text. Since 0.1.
MP_API MP_NODISCARD int mp_map(mp_item_fn *fn, const void *in, size_t in_size, void *out,
                               size_t out_size, size_t n, void *ctx, const mp_map_opts *opts);
MP_API MP_NODISCARD int mp_map_range(mp_range_fn *fn, const void *in, size_t in_size, void *out,
                                     size_t out_size, size_t n, void *ctx, const mp_map_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
