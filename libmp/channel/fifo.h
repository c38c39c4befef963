// SPDX-License-Identifier: MIT
//
// The queue that is first in, first out: a ring of bytes in the arena, with a robust lock for
// those who put and another for those who get.
//
// An item in the ring is a word of length and the bytes, padded to 8; a long one is a block of
// its own, and the ring has where. Producers publish by one store of `tail`, consumers take by
// one store of `head`. The words say how many bytes and how many items lie before, so both
// change together and a death cannot part them.
//
// A lock for each item would be dragged from consumer to consumer. So a consumer takes a run,
// up to half of what is there, into its hand, and gives out from that. The hand is in shared
// memory under a lock of its own, which costs little as nobody else wants it: a consumer that
// finds the ring empty takes from the hands of others, be they dead or slow. Nothing needs to
// be put back, and no death has to be noticed. How a run is taken, under `get`:
//
//   filling = hand; copy; hand.to = new head; hand.left = k items; head = new head; filling = 0
//
// Who finds the lock's owner dead and `filling` set looks whether head got as far as hand.to:
// if not, the run is still in the ring, and the hand is emptied. An item leaves a hand by one
// store, after it was copied out: who dies in between did not return it, and it stays.
//
// fifo_put.c is the producers' side, fifo_hand.c what is said here of hands, and fifo.c the
// consumers' side, which waits when there is nothing in either.
#ifndef MP_CHANNEL_FIFO_H
#define MP_CHANNEL_FIFO_H

#include "channel/queue.h"

#include <string.h>

#define MP__FIFO_MIN  (UINT64_C(64) << 10)
#define MP__FIFO_MAX  (UINT64_C(1) << 30) // full of empty items, it is within a place's count
#define MP__FIFO_LONG (UINT64_C(1) << 32) // in the word of length: struct mp__fifo_block follows

struct mp__fifo_block {
    uint64_t block, size;
};

static inline uint64_t mp__fifo_padded(uint64_t size)
{
    return (size + 7) & ~UINT64_C(7);
}

// The ring as it was found and checked when a lock was taken.
struct mp__fifo_ring {
    unsigned char *data;
    uint64_t cap;
};

// 0, or MP_EPROTO: what is said of it makes no sense. Arenas never shrink, so a word is
// checked once.
static inline int mp__fifo_open(mp_queue *q, struct mp__fifo_ring *r)
{
    struct mp__queue *s = q->shared;
    uint64_t word = atomic_load_explicit(&s->fifo.ring, memory_order_relaxed);
    uint64_t offset = word & ~UINT64_C(63), cap = UINT64_C(1) << (word & 63);
    if (__builtin_expect(word != atomic_load_explicit(&q->ring, memory_order_relaxed), 0)) {
        if (cap < MP__FIFO_MIN || cap > MP__FIFO_MAX || !mp__object_holds(s, offset, cap))
            return MP_EPROTO;
        atomic_store_explicit(&q->ring, word, memory_order_relaxed);
    }
    *r = (struct mp__fifo_ring){mp__object_at(s, offset), cap};
    return 0;
}

// Copies n bytes out of the ring, which they may go round.
static inline void mp__fifo_read(const struct mp__fifo_ring *r, uint64_t pos, void *to, size_t n)
{
    size_t at = (size_t)(pos & (r->cap - 1)), run = (size_t)r->cap - at;
    if (n <= run) {
        memcpy(to, r->data + at, n);
    } else {
        memcpy(to, r->data + at, run);
        memcpy((char *)to + run, r->data, n - run);
    }
}

// Whether what lies between two places can be in that ring: each item has a word of length.
static inline bool mp__fifo_is_in(const struct mp__fifo_ring *r, mp__place from, mp__place to)
{
    uint64_t bytes = mp__place_bytes(from, to);
    return bytes <= r->cap && mp__place_items(from, to) <= bytes / 8;
}

// ---- fifo_put.c ----

// Takes the lock, and puts in order what a producer left that died with it. 0, MP_ETIMEDOUT,
// MP_EBROKEN.
int mp__fifo_lock_put(struct mp__queue *s, mp__deadline d);

// ---- fifo_hand.c ----

int mp__fifo_lock_get(struct mp__queue *s, mp__deadline d); // the same for consumers

// An item from this process's hand, which is filled from the ring when it is empty. Its size, or
// MP_ETIMEDOUT: both are empty; other errors.
int64_t mp__hand_get(mp_queue *q, const struct mp__want *w, mp__deadline d);
bool mp__hand_filled(mp_queue *q);

// An item from any hand, dead or slow ones' too.
int64_t mp__hands_get(mp_queue *q, const struct mp__want *w);
bool mp__hands_filled(struct mp__queue *s);
int64_t mp__hands_size(struct mp__queue *s); // items in all of them
void mp__hands_release(struct mp__queue *s); // their memory, at the queue's end

#endif
