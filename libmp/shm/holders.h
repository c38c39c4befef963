// SPDX-License-Identifier: MIT
//
// How much of something each process holds: units of a semaphore, reads of a rwlock. A
// count for each life (shm/life.h) in the arena, found by its place without a search, each
// in cache lines of its own; the memory grows with the highest place that was used.
//
// A count carries the number of its life in the same word. So it changes in one store,
// and one that a dead process left is never taken for its successor's: it is taken over,
// once, by mp__holders_reap(), or by the successor when it first comes.
#ifndef MP_SHM_HOLDERS_H
#define MP_SHM_HOLDERS_H

#include "shm/life.h"

#include <stdatomic.h>

#define MP__HOLDERS_CHUNKS 14 // of 8, 16, 32, ... places

// Part of an object; zeroed is empty.
struct mp__holders {
    _Atomic uint64_t chunk[MP__HOLDERS_CHUNKS]; // offsets in the object's arena
};

// number << 32 | count
typedef _Atomic uint64_t mp__held;

static inline uint32_t mp__held_count(uint64_t held)
{
    return (uint32_t)held;
}

// The count of this process, made at the first call. *left becomes what a dead process
// had at this place and is now taken over: the caller must account for it as for what
// mp__holders_reap() finds. 0, -ENOMEM, -EAGAIN.
int mp__holders_mine(void *obj, struct mp__holders *h, mp__held **mine, uint32_t *left);

// Takes over what dead processes hold: clears each of their counts in one store, and
// returns the sum. Who dies inside loses none but that of the very count it was clearing;
// so call it under the lock that recovery takes, and rebuild sums from the counts there.
uint64_t mp__holders_reap(void *obj, struct mp__holders *h);

// The sum of all counts, the dead ones included.
uint64_t mp__holders_sum(void *obj, struct mp__holders *h);

// Whether anybody other than the dead holds something; one pass.
bool mp__holders_any(void *obj, struct mp__holders *h);

// Gives the memory back, when the object is freed and mp__object_is_mine().
void mp__holders_release(void *obj, struct mp__holders *h);

#endif
