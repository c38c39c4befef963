// SPDX-License-Identifier: MIT
//
// Streams through a pool: a function of yours gives items one by one, the workers map them,
// and the results come back one by one, in the same order or as they are finished. Only a
// window of items is under way at a time, so a stream may be endless.
//
//  1. mp_pool_imap(), with a function that fills in the next item;
//  2. mp_imap_next(), until it gives MP_EOF;
//  3. mp_imap_free(), before the pool's end.
//
// The task is the mp_item_fn of mp_pool_map(), with its in, out and ctx; the items are of one
// size (for several arrays at a time see mp/starmap.h). Items travel in chunks
// whose size follows the measured time of a task. When a worker dies, that costs the item
// that it was at, and only that. Everything happens inside mp_imap_next(): it asks for items,
// posts chunks, and takes results in; between the calls the workers have what is in the
// window.
//
// For arrays there is mp_pool_map_async(): a map as a future, the caller's thread being free
// meanwhile. (mp_pool_map() is faster where the caller can wait.)
#ifndef MP_IMAP_H
#define MP_IMAP_H

#include <mp/future.h>
#include <mp/pool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_imap mp_imap;

// Fills in the next item. 1, or 0 at the end of the stream, or a negative error, which ends the
// stream as well.
typedef int mp_imap_fn(void *item, void *arg);

typedef struct mp_imap_opts {
    void *ctx;       // of the tasks
    size_t ctx_size; // bytes of ctx to copy; 0 = pass the pointer on
    bool unordered;  // results come as they are finished
    size_t chunk;    // items a worker takes at a time; 0 = by itself, from the time they take
    size_t window;   // items under way at most, those included that you did not fetch yet;
                     // 0 = four chunks a worker
    int timeout_ms;  // that an item may take; then its worker is killed. 0 = any. With it the
                     // chunk is 1
    int retries;     // how often an item is run again after a failure, or its worker's death
    int priority;    // among the tasks of the pool; see mp/task.h
} mp_imap_opts;

// Begins a stream of items of in_size bytes to results of out_size bytes (0: none). Asks
// for the first items in the first mp_imap_next(). Errors: MP_EINVAL, MP_EOVERFLOW,
// MP_ENOFUNC, MP_EOWNER, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_pool_imap(mp_imap **out, mp_pool *pool, mp_item_fn *fn, mp_imap_fn *next,
                                     void *arg, size_t in_size, size_t out_size,
                                     const mp_imap_opts *opts);

// Waits for the next result, copies it to out (NULL with out_size 0), and returns the number
// of its item, counted from 0. *status is 0, or says why there is no result: what the task
// returned, MP_EWORKERDIED, MP_ETIMEDOUT. With status NULL that is an error of this call:
// MP_ETASK instead of what it returned. One thread at a time. Errors: MP_EOF (each was given),
// MP_ETIMEDOUT (timeout_ms is over; call again), what the next-function returned (after all
// results of items before it), MP_ECLOSED, MP_ECANCELED, MP_EBROKEN, MP_EOWNER, MP_EINVAL,
// -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int64_t mp_imap_next(mp_imap *it, void *out, int *status, int timeout_ms);

// Releases the stream at any point of it: chunks that no worker has begun are taken back. NULL
// is fine. Since 0.1.
MP_API void mp_imap_free(mp_imap *it);

typedef struct mp_progress {
    size_t done, failed, total; // items; done includes failed
    double seconds_left;        // as it looks from the time until now; 0 at the end
} mp_progress;

// Called by a thread that waits for the future, each time a chunk has come back: smaller chunks
// for more calls.
typedef void mp_progress_fn(const mp_progress *progress, void *arg);

typedef struct mp_map_async_opts {
    void *ctx;                // of the tasks
    size_t ctx_size;          // bytes of ctx to copy; 0 = pass the pointer on
    size_t chunk;             // items a worker takes at a time; 0 = eight chunks a worker
    int *status;              // room for n ints as in mp_map_opts; or NULL
    bool stop;                // after the first failure: what was not begun is MP_ECANCELED
    int timeout_ms;           // that an item may take; with it the chunk is 1. 0 = any
    int retries, priority;    // as in mp_imap_opts
    mp_progress_fn *progress; // or NULL
    void *progress_arg;
} mp_map_async_opts;

// As mp_pool_map(), but gives a future at once. in, out and opts->status have to stay until it
// is done. in is copied now. The future has no data; it fails with MP_ETASK or
// MP_EWORKERDIED, MP_ETIMEDOUT when an item did (all others are done, unless opts->stop), and
// its text tells the first such item. It cannot be cancelled but by mp_pool_terminate().
// Errors: MP_EINVAL, MP_EOVERFLOW, and those of mp_pool_apply_async(). Since 0.1.
MP_API MP_NODISCARD int mp_pool_map_async(mp_future **out, mp_pool *pool, mp_item_fn *fn,
                                          const void *in, size_t in_size, void *to, size_t out_size,
                                          size_t n, const mp_map_async_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
