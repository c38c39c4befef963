// SPDX-License-Identifier: MIT
//
// Calls at a time. A heap whose nodes have four children, with the times in the nodes: a
// level of it is one cache line, where a heap of pointers to timers (libuv's) misses the
// cache for each comparison. Handles are slots with a generation, which tell where in the
// heap their timer is.
#ifndef MP_LOOP_TIMERS_H
#define MP_LOOP_TIMERS_H

#include <mp/loop.h>

struct timer_node;
struct timer_slot;

struct timers {
    struct timer_node *heap;
    struct timer_slot *slots;
    uint32_t count, size; // in the heap; of both arrays
    uint32_t free_slot;   // the first of a list, NO_SLOT at its end
    uint32_t fresh;       // slots from here on were never used
    uint32_t order;       // counts timers up: equals come in the order of their making
};

// The bit that tells timers' handles from those of the ready ring.
#define MP__TIMER_HANDLE ((int64_t)1 << 62)

void mp__timers_init(struct timers *t);
void mp__timers_free(struct timers *t);

// Calls fn(arg) at `when` (mp__now()). Its handle, or -ENOMEM.
int64_t mp__timers_add(struct timers *t, int64_t when, mp_loop_call_fn *fn, void *arg);

// MP_ENOTFOUND: it is not there any more.
int mp__timers_cancel(struct timers *t, int64_t handle);

// The earliest time; MP__NEVER.
int64_t mp__timers_next(const struct timers *t);

// Takes the earliest one, if it is due at `now` and was made before the count of timers was
// `before`. False if there is none.
bool mp__timers_take(struct timers *t, int64_t now, uint32_t before, mp_loop_call_fn **fn,
                     void **arg);

#endif
