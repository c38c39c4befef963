// SPDX-License-Identifier: MIT
//
// A byte ring in shared memory, for one sender and one receiver: the limit that a
// copying pipe can come near to, since nothing is left out of it that moving bytes
// between two processes needs, and nothing else is in it.
//
// A message is 8 bytes of length and its bytes, padded to 8. Each end keeps its own
// position and its last view of the other's, and looks at shared memory only when
// that view is used up. Messages longer than RING_STEP go in pieces, so that copying
// in and copying out overlap.
//
// Who finds nothing spins and then sleeps on a futex. The spin budget decides which
// limit it is: 0 never spins, SPIN_FOREVER never sleeps, what lies between adapts.
// It knows nothing of dead peers, timeouts or descriptors: that is the library's
// business, and its price is what the comparison shows.
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include "common.h"

#define RING_STEP    ((size_t)128 << 10)
#define SPIN_FOREVER 2000000000u

struct ring {
    APART _Atomic uint64_t head; // bytes published by the sender
    APART _Atomic uint64_t tail; // bytes released by the receiver
    APART _Atomic uint32_t receiver_sleeps;
    APART _Atomic uint32_t sender_sleeps;
    _Atomic uint64_t sender_needs; // wake it when this much is free
    APART uint64_t size;           // a power of two
    _Alignas(4096) unsigned char data[];
};

// A budget of looks that shrinks when spinning does not pay and grows back.
struct spin {
    uint32_t budget, max, failures;
};

// One side, private to its process.
struct ring_end {
    struct ring *ring;
    uint64_t pos;  // own position
    uint64_t seen; // the other side's, as last looked at
    struct spin spin;
};

static inline struct ring *ring_new(size_t size)
{
    struct ring *r = shared(sizeof *r + size);
    memset(r->data, 0, size); // no page faults later
    r->size = size;
    return r;
}

static inline void ring_end_init(struct ring_end *e, struct ring *r, uint32_t max_spins)
{
    *e = (struct ring_end){.ring = r, .spin = {.budget = max_spins, .max = max_spins}};
}

// ---- waiting ----

// Positions only grow; the difference is signed so that they may wrap.
static inline bool has_reached(_Atomic uint64_t *position, uint64_t target)
{
    return (int64_t)(atomic_load_explicit(position, memory_order_acquire) - target) >= 0;
}

static inline bool spin_until(struct spin *s, _Atomic uint64_t *position, uint64_t target)
{
    for (uint32_t i = 0; i < s->budget; i++) {
        if (has_reached(position, target)) {
            uint64_t want = (uint64_t)i * 4 + s->max / 4;
            if (want > s->max)
                want = s->max;
            s->budget += ((int64_t)want - (int64_t)s->budget) / 8;
            s->failures = 0;
            return true;
        }
        cpu_relax();
    }
    if (s->max) {
        s->budget -= s->budget / 4;
        if (++s->failures % 256 == 0)
            s->budget = s->max / 4;
    }
    return false;
}

static inline void ring_wait(struct ring_end *e, _Atomic uint64_t *position, uint64_t target,
                             _Atomic uint32_t *sleeps)
{
    while (!has_reached(position, target)) {
        if (spin_until(&e->spin, position, target))
            break;
        atomic_store(sleeps, 1);
        atomic_thread_fence(memory_order_seq_cst);
        if (!has_reached(position, target))
            futex_wait(sleeps, 1);
        atomic_store(sleeps, 0);
    }
    e->seen = atomic_load_explicit(position, memory_order_acquire);
}

static inline uint64_t ring_free(const struct ring_end *sender)
{
    return sender->ring->size - (sender->pos - sender->seen);
}

static inline void ring_need_space(struct ring_end *e, uint64_t need)
{
    struct ring *r = e->ring;
    if (ring_free(e) >= need)
        return;
    // Being woken for little is not worth it: ask for half the ring at least.
    uint64_t wake_at = need > r->size / 2 ? need : r->size / 2;
    atomic_store_explicit(&r->sender_needs, wake_at, memory_order_relaxed);
    ring_wait(e, &r->tail, e->pos + need - r->size, &r->sender_sleeps);
}

static inline void ring_need_data(struct ring_end *e)
{
    if (e->seen == e->pos)
        ring_wait(e, &e->ring->head, e->pos + 1, &e->ring->receiver_sleeps);
}

static inline void ring_publish(struct ring_end *e)
{
    struct ring *r = e->ring;
    atomic_store_explicit(&r->head, e->pos, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&r->receiver_sleeps, memory_order_relaxed) &&
        atomic_exchange(&r->receiver_sleeps, 0))
        futex_wake(&r->receiver_sleeps, 1);
}

static inline void ring_release(struct ring_end *e)
{
    struct ring *r = e->ring;
    atomic_store_explicit(&r->tail, e->pos, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit(&r->sender_sleeps, memory_order_relaxed))
        return;
    uint64_t used = atomic_load_explicit(&r->head, memory_order_relaxed) - e->pos;
    if (r->size - used >= atomic_load_explicit(&r->sender_needs, memory_order_relaxed) &&
        atomic_exchange(&r->sender_sleeps, 0))
        futex_wake(&r->sender_sleeps, 1);
}

// ---- copying ----

static inline void ring_put(struct ring_end *e, const void *from, size_t n)
{
    struct ring *r = e->ring;
    size_t at = e->pos & (r->size - 1), room = r->size - at;
    if (room >= n) {
        memcpy(r->data + at, from, n);
    } else {
        memcpy(r->data + at, from, room);
        memcpy(r->data, (const char *)from + room, n - room);
    }
    e->pos += n;
}

static inline void ring_get(struct ring_end *e, void *to, size_t n)
{
    struct ring *r = e->ring;
    size_t at = e->pos & (r->size - 1), room = r->size - at;
    if (room >= n) {
        memcpy(to, r->data + at, n);
    } else {
        memcpy(to, r->data + at, room);
        memcpy((char *)to + room, r->data, n - room);
    }
    e->pos += n;
}

static inline size_t ring_padding(uint64_t n)
{
    return -n & 7;
}

static inline void ring_send_long(struct ring_end *e, const char *from, uint64_t n)
{
    size_t padding = ring_padding(n);
    ring_need_space(e, sizeof n);
    ring_put(e, &n, sizeof n);
    while (n) {
        size_t k = n < RING_STEP ? n : RING_STEP;
        size_t end = k == n ? padding : 0;
        ring_need_space(e, k + end);
        ring_put(e, from, k);
        e->pos += end;
        ring_publish(e);
        from += k;
        n -= k;
    }
}

static inline void ring_send(struct ring_end *e, const void *from, uint64_t n)
{
    if (n > RING_STEP) {
        ring_send_long(e, from, n);
        return;
    }
    ring_need_space(e, sizeof n + n + ring_padding(n));
    ring_put(e, &n, sizeof n);
    ring_put(e, from, n);
    e->pos += ring_padding(n);
    ring_publish(e);
}

static inline void ring_recv_long(struct ring_end *e, char *to, uint64_t n)
{
    size_t padding = ring_padding(n);
    while (n) {
        ring_need_data(e);
        uint64_t k = e->seen - e->pos;
        k = k < n ? k : n;
        k = k < RING_STEP ? k : RING_STEP;
        ring_get(e, to, k);
        to += k;
        n -= k;
        e->pos += n ? 0 : padding;
        ring_release(e);
    }
}

static inline size_t ring_recv(struct ring_end *e, void *to, size_t cap)
{
    uint64_t n;
    ring_need_data(e);
    ring_get(e, &n, sizeof n);
    if (n > cap)
        die("ring: a message of %llu bytes", (unsigned long long)n);
    if (n > RING_STEP) {
        ring_recv_long(e, to, n);
        return n;
    }
    ring_get(e, to, n);
    e->pos += ring_padding(n);
    ring_release(e);
    return n;
}

#endif
