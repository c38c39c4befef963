// SPDX-License-Identifier: MIT
//
// The queue that is first in, first out: making it, getting from it, looking at it. Who gets
// looks into the own hand and the ring, then into other hands, and then waits (fifo.h).
#include "channel/fifo.h"

#define STEAL_NS INT64_C(200000) // what is in the hand of another is his for so long

int mp__fifo_init(struct mp__queue *s)
{
    uint64_t ring;
    int r = mp__mutex_init(&s->fifo.put);
    if (r == 0)
        r = mp__mutex_init(&s->fifo.get);
    if (r == 0)
        r = mp__object_alloc_unset(s, MP__FIFO_MIN, &ring);
    if (r == 0)
        atomic_store(&s->fifo.ring, ring | (unsigned)__builtin_ctzll(MP__FIFO_MIN));
    return r;
}

void mp__fifo_release(struct mp__queue *s)
{
    mp__hands_release(s);
    uint64_t ring = atomic_load(&s->fifo.ring);
    if (ring)
        mp__object_release(s, ring & ~UINT64_C(63));
}

bool mp__fifo_idle(struct mp__queue *s)
{
    return atomic_load(&s->fifo.put.owner) == 0 && atomic_load(&s->fifo.get.owner) == 0;
}

// ---- getting ----

// Waits for the ring, and in vain for a moment only while others have something in hand.
static int wait_for_ring(mp_queue *q, uint32_t seen, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    if (!mp__hands_filled(s))
        return mp__queue_wait(q, &s->data_sleepers, mp__place_low(&s->fifo.tail), seen, d);
    mp__deadline soon = mp__now() + STEAL_NS;
    int r = mp__queue_wait(q, &s->data_sleepers, mp__place_low(&s->fifo.tail), seen,
                           soon < d ? soon : d);
    return r == MP_ETIMEDOUT && soon < d ? 0 : r;
}

// After a shutdown, and nothing was found. Who was putting then has done so when he gives the
// lock back. What another hand has, it may yet leave behind. MP_EOF: there will be nothing.
static int64_t look_last(mp_queue *q, const struct mp__want *w, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    if (mp__fifo_lock_put(s, d) < 0)
        return MP_ETIMEDOUT;
    mp__mutex_unlock(&s->fifo.put);
    int64_t r = mp__hand_get(q, w, d);
    if (r == MP_ETIMEDOUT)
        r = mp__hands_get(q, w);
    return r == MP_ETIMEDOUT && !mp__hands_filled(s) ? MP_EOF : r;
}

// Only who has nothing in hand looks at tail, which the producers are writing.
int64_t mp__fifo_get(mp_queue *q, const struct mp__want *w, mp__deadline d, bool patient)
{
    struct mp__queue *s = q->shared;
    if (mp__hand_filled(q)) {
        int64_t r = mp__hand_get(q, w, d);
        if (r != MP_ETIMEDOUT)
            return r;
    }
    for (bool waited = !patient;; waited = true) {
        uint32_t seen = atomic_load(mp__place_low(&s->fifo.tail));
        int end = mp__queue_get_end(s); // before the look: what was put before it is there
        int64_t r = mp__hand_get(q, w, d);
        if (r == MP_ETIMEDOUT && (waited || end))
            r = mp__hands_get(q, w);
        if (r == MP_ETIMEDOUT && end)
            r = look_last(q, w, d);
        if (r != MP_ETIMEDOUT)
            return r;
        if (d == 0)
            return MP_ETIMEDOUT;
        if ((r = wait_for_ring(q, seen, d)) < 0)
            return r;
    }
}

// ---- looking ----

bool mp__fifo_ready(mp_queue *q)
{
    struct mp__fifo *f = &q->shared->fifo;
    return atomic_load(&f->head) != atomic_load(&f->tail) || mp__hands_filled(q->shared);
}

int64_t mp__fifo_size(mp_queue *q)
{
    struct mp__fifo *f = &q->shared->fifo;
    mp__place head = atomic_load(&f->head), tail = atomic_load(&f->tail);
    return mp__place_items(head, tail) + mp__hands_size(q->shared);
}

uint32_t mp__fifo_puts(struct mp__queue *s)
{
    return (uint32_t)(atomic_load(&s->fifo.tail) & MP__PLACE_COUNT);
}
