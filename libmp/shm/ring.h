// SPDX-License-Identifier: MIT
//
// A ring of bytes in shared memory, for one sender and one receiver: only the
// memory, no waiting (channel/channel.c does that).
//
// What makes it fast: each word that one side writes and the other reads has a
// pair of cache lines to itself; each side keeps a private copy of the other's
// index and looks at the real one only when that copy is used up; the receiver
// gives space back seldom.
//
// Indices count bytes since the beginning and never wrap; the place of index i is
// i % cap. cap is a power of two. It may grow while the ring is empty: the sender
// stores the new one before it publishes the next byte, and the receiver reads it
// whenever it has used up its view, so all bytes in a view lie in one cap.
//
// The shared words are the other side's to damage. They are copied once and
// checked: an index that makes no sense is MP_EPROTO, never a wild copy.
#ifndef MP_SHM_RING_H
#define MP_SHM_RING_H

#include <mp/error.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Bits of a ring's state: 0 while all is well.
enum { MP__TX_CLOSED = 1, MP__RX_CLOSED = 2, MP__RING_BROKEN = 4 };

struct mp__ring {
    _Alignas(128) _Atomic uint64_t head; // written by the sender: bytes published
    _Atomic uint64_t cap;
    _Alignas(128) _Atomic uint64_t tail;       // written by the receiver: bytes given back
    _Alignas(128) _Atomic uint32_t want_data;  // the receiver sleeps
    _Alignas(128) _Atomic uint32_t want_space; // the sender sleeps ...
    _Atomic uint64_t need;                     // ... until so much is free
    // Looked at by both in each call and written at the end only: away from the
    // indices, which would drag it along.
    _Alignas(128) _Atomic uint32_t state;
};

// The sender's private side.
struct mp__ring_tx {
    struct mp__ring *ring;
    unsigned char *data;
    uint64_t cap;
    uint64_t pos;  // bytes written
    uint64_t seen; // the tail as last looked at
};

// The receiver's private side.
struct mp__ring_rx {
    struct mp__ring *ring;
    unsigned char *data;
    uint64_t cap, max_cap;
    uint64_t pos;      // bytes read
    uint64_t seen;     // the head as last looked at: [pos, seen) is the view
    uint64_t returned; // the tail as last published
};

static inline size_t mp__ring_free(const struct mp__ring_tx *t)
{
    return (size_t)(t->cap - (t->pos - t->seen));
}

// Looks at the tail, which only goes forward. 0 or MP_EPROTO.
static inline int mp__ring_look_tail(struct mp__ring_tx *t)
{
    uint64_t tail = atomic_load_explicit(&t->ring->tail, memory_order_acquire);
    if (t->pos - tail > t->pos - t->seen)
        return MP_EPROTO;
    t->seen = tail;
    return 0;
}

// Asks for the cache line at p as one that will be written, without waiting for it.
static inline void mp__prefetch_write(const void *p)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)p)); // a no-op where not known
#else
    __builtin_prefetch(p, 1);
#endif
}

// Copies `step` bytes if they are in n, a part of the size. Inlined with a constant step.
static inline __attribute__((always_inline)) size_t mp__copy_part(void *dst, const void *src,
                                                                  size_t at, size_t n, size_t step)
{
    if (!(n & step))
        return at;
    memcpy((char *)dst + at, (const char *)src + at, step);
    return at + step;
}

// memcpy(), but what is short is copied here: libc's 32-byte loads wait for the 8-byte stores
// that the caller wrote the message with, and its addresses for the size, which comes out of
// the ring. Those of a message of one size, again and again, depend on foretold branches here.
static inline void mp__copy(void *dst, const void *src, size_t n)
{
    if (n >= 128) {
        memcpy(dst, src, n);
        return;
    }
    size_t at = mp__copy_part(dst, src, 0, n, 64);
    at = mp__copy_part(dst, src, at, n, 32);
    at = mp__copy_part(dst, src, at, n, 16);
    at = mp__copy_part(dst, src, at, n, 8);
    if (n & 7)
        memcpy((char *)dst + at, (const char *)src + at, n & 7);
}

// Where the next n bytes go, if they lie there in one piece; else NULL.
static inline void *mp__ring_here(const struct mp__ring_tx *t, size_t n)
{
    size_t at = (size_t)(t->pos & (t->cap - 1));
    return n <= t->cap - at ? t->data + at : NULL;
}

// Copies n bytes in; there must be room. Not visible before mp__ring_publish().
static inline void mp__ring_put(struct mp__ring_tx *t, const void *src, size_t n)
{
    size_t at = (size_t)(t->pos & (t->cap - 1)), run = (size_t)t->cap - at;
    if (n <= run) {
        memcpy(t->data + at, src, n);
    } else {
        memcpy(t->data + at, src, run);
        memcpy(t->data, (const char *)src + run, n - run);
    }
    t->pos += n;
}

static inline void mp__ring_publish(struct mp__ring_tx *t)
{
    atomic_store_explicit(&t->ring->head, t->pos, memory_order_release);
}

// Looks at the head and takes over what there is as the new view; the old one
// must be used up. 0 or MP_EPROTO.
static inline int mp__ring_look_head(struct mp__ring_rx *r)
{
    uint64_t head = atomic_load_explicit(&r->ring->head, memory_order_acquire);
    if (head == r->pos)
        return 0;
    uint64_t cap = atomic_load_explicit(&r->ring->cap, memory_order_relaxed);
    if (cap != r->cap) {
        if (cap > r->max_cap || cap < r->cap || (cap & (cap - 1)))
            return MP_EPROTO;
        r->cap = cap;
    }
    if (head - r->pos > cap)
        return MP_EPROTO;
    r->seen = head;
    return 0;
}

static inline size_t mp__ring_view(const struct mp__ring_rx *r)
{
    return (size_t)(r->seen - r->pos);
}

// Where the next n bytes of the view lie, if in one piece; else NULL.
static inline const void *mp__ring_there(const struct mp__ring_rx *r, size_t n)
{
    size_t at = (size_t)(r->pos & (r->cap - 1));
    return n <= r->cap - at ? r->data + at : NULL;
}

// Copies n bytes of the view out; n is 0 if dst is NULL.
static inline void mp__ring_get(struct mp__ring_rx *r, void *dst, size_t n)
{
    size_t at = (size_t)(r->pos & (r->cap - 1)), run = (size_t)r->cap - at;
    if (n <= run) {
        memcpy(dst, r->data + at, n); // NOLINT(clang-analyzer-core.NonNullParamChecker)
    } else {
        memcpy(dst, r->data + at, run); // NOLINT(clang-analyzer-core.NonNullParamChecker)
        memcpy((char *)dst + run, r->data, n - run);
    }
    r->pos += n;
}

static inline void mp__ring_return(struct mp__ring_rx *r)
{
    r->returned = r->pos;
    atomic_store_explicit(&r->ring->tail, r->pos, memory_order_release);
}

#endif
