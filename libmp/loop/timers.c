// SPDX-License-Identifier: MIT
#include "loop/timers.h"

#include "base/clock.h"

#include <errno.h>
#include <mp/error.h>
#include <stdlib.h>

#define NO_SLOT   UINT32_MAX
#define MAX_COUNT ((uint32_t)1 << 30)
#define GEN_MASK  ((uint32_t)0x3fffffff) // what a handle has room for

struct timer_node {
    int64_t when;
    uint32_t order, slot;
};

struct timer_slot {
    mp_loop_call_fn *fn;
    void *arg;
    uint32_t at;         // in the heap; the next free slot of one that is free
    uint32_t generation; // odd while in use
};

void mp__timers_init(struct timers *t)
{
    *t = (struct timers){.free_slot = NO_SLOT};
}

void mp__timers_free(struct timers *t)
{
    free(t->heap);
    free(t->slots);
    mp__timers_init(t);
}

static int grow(struct timers *t)
{
    uint32_t size = t->size ? t->size * 2 : 64;
    if (size > MAX_COUNT)
        return -ENOMEM;
    struct timer_node *heap = realloc(t->heap, size * sizeof *heap);
    if (!heap)
        return -ENOMEM;
    t->heap = heap;
    struct timer_slot *slots = realloc(t->slots, size * sizeof *slots);
    if (!slots)
        return -ENOMEM; // the heap is larger than needed: no harm
    t->slots = slots;
    t->size = size;
    return 0;
}

// The order wraps around; what compares equal in time was made within 2^31 of each other.
static bool earlier(const struct timer_node *a, const struct timer_node *b)
{
    return a->when != b->when ? a->when < b->when : (int32_t)(a->order - b->order) < 0;
}

static void place(struct timers *t, uint32_t at, struct timer_node n)
{
    t->heap[at] = n;
    t->slots[n.slot].at = at;
}

static void sift_up(struct timers *t, uint32_t at, struct timer_node n)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 4;
        if (!earlier(&n, &t->heap[parent]))
            break;
        place(t, at, t->heap[parent]);
        at = parent;
    }
    place(t, at, n);
}

static void sift_down(struct timers *t, uint32_t at, struct timer_node n)
{
    for (;;) {
        uint32_t first = at * 4 + 1, last = first + 4 < t->count ? first + 4 : t->count;
        if (first >= t->count)
            break;
        uint32_t least = first;
        for (uint32_t i = first + 1; i < last; i++)
            if (earlier(&t->heap[i], &t->heap[least]))
                least = i;
        if (!earlier(&t->heap[least], &n))
            break;
        place(t, at, t->heap[least]);
        at = least;
    }
    place(t, at, n);
}

static uint32_t slot_get(struct timers *t)
{
    uint32_t slot = t->free_slot;
    if (slot != NO_SLOT) {
        t->free_slot = t->slots[slot].at;
    } else {
        slot = t->fresh++;
        t->slots[slot].generation = 0;
    }
    t->slots[slot].generation++;
    return slot;
}

static void slot_put(struct timers *t, uint32_t slot)
{
    t->slots[slot].generation++;
    t->slots[slot].at = t->free_slot;
    t->free_slot = slot;
}

int64_t mp__timers_add(struct timers *t, int64_t when, mp_loop_call_fn *fn, void *arg)
{
    if (t->count == t->size && grow(t) < 0)
        return -ENOMEM;
    uint32_t slot = slot_get(t);
    struct timer_slot *s = &t->slots[slot];
    s->fn = fn;
    s->arg = arg;
    sift_up(t, t->count++, (struct timer_node){when, t->order++, slot});
    return MP__TIMER_HANDLE | (int64_t)(s->generation & GEN_MASK) << 32 | slot;
}

static void take_out(struct timers *t, uint32_t at)
{
    struct timer_node gone = t->heap[at], last = t->heap[--t->count];
    slot_put(t, gone.slot);
    if (at == t->count)
        return;
    if (earlier(&last, &gone))
        sift_up(t, at, last);
    else
        sift_down(t, at, last);
}

int mp__timers_cancel(struct timers *t, int64_t handle)
{
    uint32_t slot = (uint32_t)handle;
    uint32_t generation = (uint32_t)(handle >> 32) & GEN_MASK;
    if (slot >= t->fresh || (t->slots[slot].generation & GEN_MASK) != generation ||
        !(generation & 1))
        return MP_ENOTFOUND;
    take_out(t, t->slots[slot].at);
    return 0;
}

int64_t mp__timers_next(const struct timers *t)
{
    return t->count ? t->heap[0].when : MP__NEVER;
}

bool mp__timers_take(struct timers *t, int64_t now, uint32_t before, mp_loop_call_fn **fn,
                     void **arg)
{
    if (t->count == 0 || t->heap[0].when > now || (int32_t)(t->heap[0].order - before) >= 0)
        return false;
    struct timer_slot *s = &t->slots[t->heap[0].slot];
    *fn = s->fn;
    *arg = s->arg;
    take_out(t, 0);
    return true;
}
