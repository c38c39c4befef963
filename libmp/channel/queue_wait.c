// SPDX-License-Identifier: MIT
//
// Waiting at a queue, and being woken there: in a call, for items, for room or for the memory of
// a long item; or by a descriptor, which says that items came. The engines tell what came and
// left.
#include "channel/queue.h"
#include "channel/queue_remote.h"
#include "os/point.h"

#include <errno.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int wakes(uint64_t n)
{
    return n < INT_MAX ? (int)n : INT_MAX;
}

static void ring(mp_queue *q)
{
    ssize_t w = write(q->eventfd, &(uint64_t){1}, 8);
    (void)w; // fails only when it is readable already
}

void mp__queue_came(mp_queue *q, _Atomic uint32_t *word, uint64_t n)
{
    struct mp__queue *s = q->shared;
    mp__sleepers_wake(&s->data_sleepers, word, wakes(n));
    uint32_t wanted = atomic_load(&s->poll_wanted);
    if (wanted & 1 && q->eventfd >= 0) {
        MP__POINT("queue.ringing");
        ring(q);
        MP__POINT("queue.rung");
        atomic_compare_exchange_strong(&s->poll_wanted, &wanted, wanted & ~1u);
    }
}

void mp__queue_left(struct mp__queue *s, _Atomic uint32_t *word, uint64_t n)
{
    mp__sleepers_wake(&s->space_sleepers, word, wakes(n));
}

int mp__queue_wait(mp_queue *q, struct mp__sleepers *who, _Atomic uint32_t *word, uint32_t seen,
                   mp__deadline d)
{
    int r = d == 0 ? MP_ETIMEDOUT : mp__sleepers_wait(who, word, seen, d);
    return mp__queue_is_gone(q) ? MP_EINVAL : r;
}

int mp__queue_block(mp_queue *q, size_t size, mp__deadline d, uint64_t *offset)
{
    struct mp__queue *s = q->shared;
    int r;
    for (;;) {
        uint32_t seen = atomic_load(&s->blocks_freed);
        if ((r = mp__queue_put_end(s)) < 0)
            return r;
        if (atomic_fetch_add(&s->blocks, size) + size <= s->max_bytes)
            break;
        atomic_fetch_sub(&s->blocks, size);
        if ((r = mp__queue_wait(q, &s->space_sleepers, &s->blocks_freed, seen, d)) < 0)
            return r;
    }
    if ((r = mp__object_alloc_unset(s, size, offset)) < 0)
        atomic_fetch_sub(&s->blocks, size);
    return r;
}

void mp__queue_unblock(struct mp__queue *s, uint64_t offset, uint64_t size)
{
    mp__object_release(s, offset);
    atomic_fetch_sub(&s->blocks, size);
    atomic_fetch_add(&s->blocks_freed, 1);
    mp__sleepers_wake(&s->space_sleepers, &s->blocks_freed, INT_MAX);
}

void mp__queue_wake_all(struct mp__queue *s)
{
    atomic_fetch_add(&s->blocks_freed, 1);
    atomic_fetch_add(&s->done_changed, 1);
    mp__sleepers_wake(&s->data_sleepers, mp__queue_data_word(s), INT_MAX);
    mp__sleepers_wake(&s->space_sleepers, mp__queue_space_word(s), INT_MAX);
    mp__sleepers_wake(&s->space_sleepers, &s->blocks_freed, INT_MAX);
    mp__sleepers_wake(&s->done_sleepers, &s->done_changed, INT_MAX);
}

// ---- the descriptor ----

int mp__queue_bell(mp_queue *q)
{
    if (q->remote)
        return mp__far_fd(q->remote);
    return q->eventfd < 0 ? MP_ENOTSUP : q->eventfd;
}

bool mp__queue_ready(mp_queue *q)
{
    if (q->remote)
        return mp__far_ready(q->remote);
    return atomic_load(&q->shared->ended) || mp__queue_is_gone(q) ||
           (mp__queue_is_fifo(q->shared) ? mp__fifo_ready(q) : mp__ordered_ready(q));
}

void mp__queue_arm(mp_queue *q)
{
    if (q->remote)
        return; // looking asks
    uint32_t was = atomic_load(&q->shared->poll_wanted);
    while (!atomic_compare_exchange_weak(&q->shared->poll_wanted, &was, (was | 1) + 2))
        continue;
    atomic_thread_fence(memory_order_seq_cst);
}

void mp__queue_silence(mp_queue *q)
{
    uint64_t count;
    ssize_t n = read(q->eventfd, &count, sizeof count);
    (void)n; // empty is fine
}

void mp__queue_ring_again(mp_queue *q)
{
    if (q->remote)
        return;
    mp__queue_silence(q);
    mp__queue_arm(q);
    if (mp__queue_ready(q))
        ring(q);
}

int mp_queue_fd(mp_queue *q)
{
    if (!mp__queue_is_valid(q))
        return MP_EINVAL;
    int fd = mp__queue_bell(q);
    if (fd < 0)
        return fd;
    atomic_store(&q->fd_given, true);
    if (q->remote)
        mp__far_ready(q->remote);
    mp__queue_ring_again(q);
    return fd;
}
