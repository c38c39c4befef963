// SPDX-License-Identifier: MIT
//
// The calls that wait for their turn: a ring of functions and arguments, which costs two
// stores a call. Each has a number that counts up for ever; a number that is between head
// and tail is a call that has not begun, so numbers serve as handles that nobody frees.
//
// What must not fail for want of memory, as waking a task, has its place reserved when the
// task is made: the ring is always large enough for all calls in it and all reservations.
#ifndef MP_LOOP_READY_H
#define MP_LOOP_READY_H

#include <errno.h>
#include <mp/error.h>
#include <mp/loop.h>

struct ready_call {
    mp_loop_call_fn *fn; // NULL: cancelled
    void *arg;
};

struct ready {
    struct ready_call *ring;
    uint64_t head, tail; // numbers of the next call to run, and of the next to come
    uint64_t mask;       // size - 1
    uint64_t reserved;
};

int mp__ready_init(struct ready *r);
void mp__ready_free(struct ready *r);

// Makes the ring larger. -ENOMEM.
int mp__ready_grow(struct ready *r);

static inline bool mp__ready_is_empty(const struct ready *r)
{
    return r->head == r->tail;
}

static inline bool mp__ready_is_full(const struct ready *r)
{
    return r->tail - r->head + r->reserved > r->mask;
}

static inline int64_t mp__ready_append(struct ready *r, mp_loop_call_fn *fn, void *arg)
{
    r->ring[r->tail & r->mask] = (struct ready_call){fn, arg};
    return (int64_t)r->tail++;
}

// Its number, or -ENOMEM.
static inline int64_t mp__ready_push(struct ready *r, mp_loop_call_fn *fn, void *arg)
{
    if (__builtin_expect(mp__ready_is_full(r), 0) && mp__ready_grow(r) < 0)
        return -ENOMEM;
    return mp__ready_append(r, fn, arg);
}

// A place for a later mp__ready_push_reserved(), which uses it up. -ENOMEM.
static inline int mp__ready_reserve(struct ready *r)
{
    if (mp__ready_is_full(r) && mp__ready_grow(r) < 0)
        return -ENOMEM;
    r->reserved++;
    return 0;
}

static inline void mp__ready_push_reserved(struct ready *r, mp_loop_call_fn *fn, void *arg)
{
    r->reserved--;
    mp__ready_append(r, fn, arg);
}

// In a call that was taken from the ring: its place is reserved again.
static inline void mp__ready_keep(struct ready *r)
{
    r->reserved++;
}

static inline void mp__ready_unreserve(struct ready *r)
{
    r->reserved--;
}

// MP_ENOTFOUND: it has begun, or was cancelled.
int mp__ready_cancel(struct ready *r, uint64_t number);

#endif
