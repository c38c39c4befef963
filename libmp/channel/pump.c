// SPDX-License-Identifier: MIT
//
// The same rings and bells as send.c and recv.c, without their waits.
#include "channel/pump.h"

#include <sys/socket.h>

// Takes over what was published, if the view is used up. 0 or MP_EPROTO.
static int look(struct mp__channel *c)
{
    struct mp__ring_rx *x = &c->rx.ring;
    if (x->pos == x->seen && mp__ring_look_head(x) < 0)
        return mp__channel_break(c, MP_EPROTO);
    return 0;
}

// Why no more will come; 0 if it may.
static int end_of_data(const struct mp__channel *c)
{
    uint32_t state = atomic_load(&c->rx.ring.ring->state), here = atomic_load(&c->ended);
    if ((state & MP__RING_BROKEN) || (here & MP__BROKEN))
        return MP_EBROKEN;
    return (state & MP__TX_CLOSED) || (here & MP__GONE) ? MP_EOF : 0;
}

int mp__pump_next(struct mp__channel *c, uint64_t *size)
{
    struct mp__ring_rx *x = &c->rx.ring;
    if (x->pos == x->seen) {
        int end = end_of_data(c); // first, then the data: what was sent before it is there
        if (look(c) < 0)
            return MP_EPROTO;
        if (x->pos == x->seen)
            return end;
    }
    uint64_t len = // copied once: the peer may change it after the checks
        __atomic_load_n((const uint64_t *)(const void *)(x->data + (x->pos & (x->cap - 1))),
                        __ATOMIC_RELAXED);
    if (mp__ring_view(x) < MP__WORD || len > c->max_size)
        return mp__channel_break(c, MP_EPROTO);
    x->pos += MP__WORD;
    *size = len;
    return 1;
}

int64_t mp__pump_take(struct mp__channel *c, void *buf, size_t n)
{
    struct mp__ring_rx *x = &c->rx.ring;
    int end = x->pos == x->seen ? end_of_data(c) : 0;
    if (look(c) < 0)
        return MP_EPROTO;
    size_t there = mp__ring_view(x);
    if (there == 0 && end && n)
        return MP_ETRUNCATED;
    if (n > there)
        n = there;
    if (n)
        mp__ring_get(x, buf, n);
    return (int64_t)n;
}

const void *mp__pump_peek(struct mp__channel *c, size_t most, size_t *n)
{
    struct mp__ring_rx *x = &c->rx.ring;
    *n = 0;
    if (look(c) < 0 || x->pos == x->seen)
        return NULL;
    size_t at = (size_t)(x->pos & (x->cap - 1));
    *n = mp__min(mp__min(mp__ring_view(x), (size_t)x->cap - at), most);
    return x->data + at;
}

void mp__pump_skip(struct mp__channel *c, size_t n)
{
    c->rx.ring.pos += n;
}

int mp__pump_end_message(struct mp__channel *c)
{
    struct mp__ring_rx *x = &c->rx.ring;
    size_t pad = (size_t)(mp__padded(x->pos) - x->pos);
    if (pad > mp__ring_view(x)) // it is published with the last piece
        return mp__channel_break(c, MP_EPROTO);
    x->pos += pad;
    return 0;
}

bool mp__pump_want_data(struct mp__channel *c)
{
    mp__channel_arm(c);
    atomic_thread_fence(memory_order_seq_cst);
    return !mp__channel_readable(c);
}

static bool room_for(struct mp__channel *c, size_t n)
{
    struct mp__ring_tx *t = &c->tx.ring;
    if (mp__ring_free(t) >= n)
        return true;
    if (mp__ring_look_tail(t) < 0) {
        mp__channel_break(c, MP_EPROTO);
        return false;
    }
    return mp__ring_free(t) >= n;
}

// A ring that a stream keeps full is made larger when it is empty.
static void grow_if_due(struct mp__channel *c)
{
    struct mp__ring_tx *t = &c->tx.ring;
    if (c->tx.full >= MP__GROW_AFTER && t->cap < c->ring_max && mp__ring_free(t) == t->cap)
        mp__channel_grow(c);
}

bool mp__pump_begin(struct mp__channel *c, uint64_t size)
{
    if (!room_for(c, 2 * (size_t)MP__WORD))
        return false;
    grow_if_due(c);
    c->tx.begun_at = c->tx.ring.pos;
    c->tx.held = size > 0 && size <= c->tx.ring.cap / 4;
    mp__ring_put(&c->tx.ring, &size, MP__WORD);
    return true;
}

static void complete(struct mp__channel *c)
{
    c->tx.ring.pos = mp__padded(c->tx.ring.pos);
    c->tx.held = false;
}

void mp__pump_publish_whole(struct mp__channel *c)
{
    uint64_t pos = c->tx.ring.pos;
    if (c->tx.held)
        c->tx.ring.pos = c->tx.begun_at;
    mp__channel_publish(c);
    c->tx.ring.pos = pos;
}

int64_t mp__pump_put(struct mp__channel *c, const void *data, size_t n, uint64_t left)
{
    struct mp__ring_tx *t = &c->tx.ring;
    if (!room_for(c, n + MP__WORD)) {
        if (atomic_load(&c->ended) & MP__BROKEN)
            return MP_EPROTO;
        size_t room = mp__ring_free(t) & ~(size_t)(MP__WORD - 1);
        // The last byte needs its padding beside it: leave a word for both.
        n = room > MP__WORD ? mp__min(n, room - MP__WORD) : 0;
    }
    if (n)
        mp__ring_put(t, data, n);
    if (n == left)
        complete(c);
    return (int64_t)n;
}

size_t mp__pump_space(struct mp__channel *c, uint64_t left, struct mp__piece p[2])
{
    struct mp__ring_tx *t = &c->tx.ring;
    room_for(c, (size_t)t->cap);
    size_t room = mp__ring_free(t) & ~(size_t)(MP__WORD - 1);
    size_t n = room > MP__WORD ? room - MP__WORD : 0; // a word for the padding
    if (n > left)
        n = (size_t)left;
    size_t at = (size_t)(t->pos & (t->cap - 1));
    size_t run = mp__min(n, (size_t)t->cap - at);
    p[0] = (struct mp__piece){t->data + at, run};
    p[1] = (struct mp__piece){t->data, n - run};
    return n;
}

void mp__pump_filled(struct mp__channel *c, size_t n, uint64_t left)
{
    struct mp__ring_tx *t = &c->tx.ring;
    t->pos += n;
    if (n == left)
        complete(c);
}

bool mp__pump_want_room(struct mp__channel *c, size_t n)
{
    struct mp__ring_tx *t = &c->tx.ring;
    size_t half = (size_t)t->cap / 2, need = n + 2 * (size_t)MP__WORD;
    if (need > half)
        need = half;
    if (t->cap < c->ring_max && !c->tx.held && ++c->tx.full >= MP__GROW_AFTER)
        need = (size_t)t->cap; // empty, to be made larger
    atomic_store_explicit(&t->ring->need, need, memory_order_relaxed);
    atomic_store_explicit(&t->ring->want_space, 1, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    if (!room_for(c, need))
        return !(atomic_load(&c->ended) & MP__BROKEN) && !mp__pump_unread(c);
    grow_if_due(c);
    return false;
}

bool mp__pump_unread(struct mp__channel *c)
{
    return (atomic_load(&c->tx.ring.ring->state) & (MP__RX_CLOSED | MP__RING_BROKEN)) ||
           atomic_load(&c->ended);
}

void mp__pump_refuse(struct mp__channel *c)
{
    atomic_fetch_or(&c->rx.ring.ring->state, MP__RX_CLOSED);
    ssize_t n = send(c->sock, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)n; // full: it has others to read, and wakes
}

void mp__pump_hush(struct mp__channel *c)
{
    char bytes[256];
    while (recv(c->sock, bytes, sizeof bytes, MSG_DONTWAIT) == sizeof bytes)
        ;
}
