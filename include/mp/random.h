// SPDX-License-Identifier: MIT
//
// Random numbers that come out the same whatever the number of workers.
//
// A generator is a seed and the number of a stream; streams of one seed have nothing to do
// with each other. So a task that takes the stream of its own number gives the same results
// on one core and on a hundred, in whatever order the tasks run, and again when it is retried:
//
//     mp_random r;
//     mp_task_random(&r, 42);            // in a task: seed 42, the stream of this task
//     double x = mp_random_double(&r);
//
// It is a counter-based generator, Philox 4x32 with 10 rounds (Salmon and others, 2011): a
// block is the encryption of (its number, the stream) with the seed. So there is nothing to
// jump over and nothing to warm up, 2^64 streams of 2^65 numbers each, and the numbers are
// the same on every machine and in every version. It passes the usual batteries of tests.
// Not for secrets: who knows the seed knows all.
#ifndef MP_RANDOM_H
#define MP_RANDOM_H

#include <mp/base.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A generator: plain data of the caller's, which may be copied, kept, and sent. One thread at a
// time. It is not checked, being what a number costs: NULL, or one not begun, is a mistake that
// nobody tells of.
typedef struct mp_random {
    uint64_t seed, stream;
    uint64_t block; // the next one
    uint64_t kept;  // the second half of the last one
    bool has_kept;
} mp_random;

// Sets *r to the beginning of a stream. Since 0.1.
MP_API void mp_random_init(mp_random *r, uint64_t seed, uint64_t stream);

// The next 64 bits. Since 0.1.
MP_API uint64_t mp_random_next(mp_random *r);

// A number of [0, 1), a multiple of 2^-53. Since 0.1.
MP_API double mp_random_double(mp_random *r);

// A whole number of 0 to n-1, each as likely; 0 when n is 0. Since 0.1.
MP_API uint64_t mp_random_below(mp_random *r, uint64_t n);

// ---- in tasks ----

// Inside a task of a pool: its number. In a map, a stream or a starmap, that of the item. In
// the range form, the item of the last mp_task_at(), or the first one of the range; which
// ranges there are depends on the workers, so use mp_random_init(&r, seed, i) for each item
// there. For mp_pool_apply() and its like, how many such tasks were posted to the pool before.
// In a fold of mp_pool_reduce(), the first item of the piece. 0 elsewhere. A retry has the same
// number. Since 0.1.
MP_API uint64_t mp_task_number(void);

// mp_random_init(r, seed, mp_task_number()). Since 0.1.
MP_API void mp_task_random(mp_random *r, uint64_t seed);

#ifdef __cplusplus
}
#endif
#endif
