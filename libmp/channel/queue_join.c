// SPDX-License-Identifier: MIT
//
// When everything that was put into a queue is done: items are acknowledged, or reported, and who
// joins waits for the last.
#include "channel/queue.h"
#include "channel/queue_remote.h"

#include <limits.h>

static uint32_t puts_of(struct mp__queue *s)
{
    return mp__queue_is_fifo(s) ? mp__fifo_puts(s) : mp__ordered_puts(s);
}

static uint32_t unreported(struct mp__queue *s)
{
    if (mp__queue_dropped(s))
        return 0;
    if (s->ack)
        return mp__ordered_unreported(s);
    uint32_t done = (uint32_t)atomic_load(&s->done);
    return (puts_of(s) - done) & MP__PLACE_COUNT;
}

void mp__queue_tell_joiners(struct mp__queue *s)
{
    atomic_fetch_add(&s->done_changed, 1);
    mp__sleepers_wake(&s->done_sleepers, &s->done_changed, INT_MAX);
}

int mp_queue_ack(mp_queue *q, uint64_t tag)
{
    if (!mp__queue_is_valid(q))
        return MP_EINVAL;
    if (!mp__queue_is_acked(q))
        return MP_ESTATE;
    if (q->remote)
        return (int)mp__far_ask(q->remote, MP__TALK_ACK, tag, 0);
    int r = mp__ordered_ack(q, tag, false);
    if (r == 0 && unreported(q->shared) == 0)
        mp__queue_tell_joiners(q->shared);
    return r;
}

int mp_queue_return(mp_queue *q, uint64_t tag)
{
    if (!mp__queue_is_valid(q))
        return MP_EINVAL;
    if (!mp__queue_is_acked(q))
        return MP_ESTATE;
    if (q->remote)
        return (int)mp__far_ask(q->remote, MP__TALK_RETURN, tag, 0);
    return mp__ordered_ack(q, tag, true);
}

static int report(struct mp__queue *s)
{
    uint64_t done = atomic_load(&s->done);
    do {
        if (((puts_of(s) - (uint32_t)done) & MP__PLACE_COUNT) == 0)
            return MP_EBOUND;
    } while (!atomic_compare_exchange_weak(&s->done, &done, done + 1));
    if (unreported(s) == 0)
        mp__queue_tell_joiners(s);
    return 0;
}

int mp_queue_task_done(mp_queue *q)
{
    if (!mp__queue_is_valid(q))
        return MP_EINVAL;
    if (!mp__queue_is_acked(q))
        return q->remote ? (int)mp__far_ask(q->remote, MP__TALK_DONE, 0, 0) : report(q->shared);
    uint64_t tag = atomic_exchange(&q->last_tag, 0);
    return tag ? mp_queue_ack(q, tag) : MP_ENOTHELD;
}

int mp_queue_join(mp_queue *q, int timeout_ms)
{
    if (!mp__queue_is_valid(q) || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (q->remote)
        return (int)mp__far_ask(q->remote, MP__TALK_JOIN, 0, timeout_ms);
    struct mp__queue *s = q->shared;
    mp__deadline d = mp__deadline_in(timeout_ms);
    for (;;) {
        uint32_t seen = atomic_load(&s->done_changed);
        if (unreported(s) == 0)
            return 0;
        int r = mp__queue_wait(q, &s->done_sleepers, &s->done_changed, seen, d);
        if (r < 0)
            return r == MP_EINVAL ? MP_ECLOSED : r;
    }
}
