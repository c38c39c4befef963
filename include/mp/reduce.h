// SPDX-License-Identifier: MIT
//
// Reducing an array on a pool: each worker folds pieces of it into accumulators of its own,
// and the caller combines those, in the order of the pieces. So the fold has to be
// associative, but need not be commutative, and the result is the same whatever the number
// of workers if opts->chunk is given (0: it follows their number, which shows in the last
// digits of floating-point sums).
#ifndef MP_REDUCE_H
#define MP_REDUCE_H

#include <mp/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

// Folds n items into the accumulator. 0 is success.
typedef int mp_fold_fn(void *acc, const void *items, size_t n, void *ctx);

// Folds the accumulator `more`, of the items behind those of acc, into acc; in the caller. 0 is
// success.
typedef int mp_combine_fn(void *acc, const void *more, void *ctx);

typedef struct mp_reduce_opts {
    void *ctx;      // of both functions, passed on as it is
    size_t chunk;   // items in a piece; 0 = eight pieces a worker
    int timeout_ms; // that a piece may take; then its worker is killed. 0 = any
    int retries;    // how often a piece is folded again after a failure, or its worker's death
    int priority;   // among the tasks of the pool; see mp/task.h
} mp_reduce_opts;

// Reduces n items of in_size bytes at in. acc: acc_size bytes, on call the neutral element
// from which each piece starts, afterwards the result; untouched after an error. Waits.
// Errors: MP_ETASK (fold or combine returned other than 0), MP_EWORKERDIED, MP_ETIMEDOUT;
// MP_EINVAL, MP_EOVERFLOW, and others of mp_pool_apply(). Since 0.1.
MP_API MP_NODISCARD int mp_pool_reduce(mp_pool *pool, mp_fold_fn *fold, mp_combine_fn *combine,
                                       const void *in, size_t in_size, size_t n, void *acc,
                                       size_t acc_size, const mp_reduce_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
