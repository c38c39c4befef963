// SPDX-License-Identifier: MIT
//
// The memory of a queue, and the handle of a process. Two engines stand on it:
//
//   fifo.h     a ring of bytes with a robust lock a side; consumers take runs into a hand
//   ordered.c  a table of items under one robust lock, with a heap over it: lifo, priority,
//              and every queue with acknowledgements
//
// queue.c makes and ends one, puts and gets; queue_wait.c is what both engines stand on, and
// queue_join.c says when everything is done. A queue that another machine serves has no memory
// here, but a connection: queue_remote.c.
#ifndef MP_CHANNEL_QUEUE_H
#define MP_CHANNEL_QUEUE_H

#include "channel/want.h"
#include "shm/life.h"
#include "shm/mutex.h"
#include "shm/object.h"
#include "shm/sleepers.h"

#include <mp/queue.h>

#define MP__QUEUE_INLINE 2048 // longer items have a block of their own in the arena
#define MP__HAND_BYTES   8192
#define MP__HAND_ITEMS   16

// A place in the stream of a ring, and how many items lie before it, in one word, so that
// both are published in one store: position / 8 in the upper 36 bits, count in the lower
// 28. Both wrap; only differences mean something.
typedef uint64_t mp__place;

#define MP__PLACE_COUNT ((UINT64_C(1) << 28) - 1)

static inline mp__place mp__place_after(mp__place p, uint64_t bytes, uint64_t items)
{
    return (((p >> 28) + bytes / 8) << 28) | ((p + items) & MP__PLACE_COUNT);
}
static inline uint64_t mp__place_pos(mp__place p)
{
    return (p >> 28) * 8;
}
// Bytes and items from a to b.
static inline uint64_t mp__place_bytes(mp__place a, mp__place b)
{
    return (((b >> 28) - (a >> 28)) & ((UINT64_C(1) << 36) - 1)) * 8;
}
static inline uint32_t mp__place_items(mp__place a, mp__place b)
{
    return (uint32_t)((b - a) & MP__PLACE_COUNT);
}

// The half of it that changes with each item, as a futex.
static inline _Atomic uint32_t *mp__place_low(_Atomic mp__place *p)
{
    return (_Atomic uint32_t *)p; // little-endian, as all machines that libmp knows
}

// A consumer's hand: a run that it took from the ring and gives out one by one. It lies in
// the shared memory, so that the items of a dead consumer, or of a slow one, can be taken
// from it by others. Guarded by its lock.
struct mp__hand {
    _Alignas(128) struct mp__mutex lock;
    _Atomic mp__life owner; // the process it belongs to
    uint64_t next;          // hand in the list: offset, 0 = the last
    mp__place to;           // where the run ends in the ring
    uint8_t unsure;         // its owner died, and perhaps while he filled it
    // Where the first item lies in data << 32 | how many there are. Written last when a run
    // comes, and in one store when an item leaves.
    _Atomic uint64_t left;
    _Alignas(128) unsigned char data[MP__HAND_BYTES];
};

// fifo.h: a ring. Lock order: a hand, put, get. The places are apart from the locks: who
// looks at one shall not take a lock's line from who holds it.
struct mp__fifo {
    _Alignas(128) struct mp__mutex put; // guards the ring's contents from tail on
    mp__place seen_head;                // as the producers last looked
    _Atomic uint64_t new_ring;          // a larger ring being filled: offset, 0 = none
    uint64_t old_ring;                  // the one that it replaces
    _Alignas(128) _Atomic mp__place tail;
    _Alignas(128) struct mp__mutex get;
    uint64_t filling; // the hand that a consumer is filling: offset, 0 = none
    _Alignas(128) _Atomic mp__place head;
    _Alignas(128) _Atomic uint64_t ring; // offset | log2 of its size; both locks to change it
    _Atomic uint64_t hands;              // the list: offset
};

// ordered.c: items are blocks of the arena; a table says which there are.
struct mp__ordered {
    _Alignas(128) struct mp__mutex lock; // guards all below
    _Atomic uint64_t table;              // offset of struct table: one store replaces it
    uint64_t sequence;                   // of the next item
    _Atomic uint32_t ready, held;        // items to be taken; items to be acknowledged
    _Atomic uint32_t came, left;         // futexes: change when an item comes or leaves
    int64_t looked_at;                   // when somebody last looked for dead holders
};

struct mp__queue {
    struct mp__object object;
    _Atomic uint64_t id; // another one for each queue that is ever in this place; 0: freed
    uint32_t kind;       // mp_queue_kind
    uint8_t ack;         // no bool: damage may set it
    uint64_t max_items, max_bytes;
    // Looked at in each call and seldom written.
    _Alignas(128) _Atomic uint32_t ended; // 1 + mp_shutdown
    // Somebody polls the eventfd: 1, and above it how often that was said. Who rings takes
    // back what he saw, after it: if he dies before, or somebody asks meanwhile, it stays.
    _Atomic uint32_t poll_wanted;
    struct mp__sleepers data_sleepers, space_sleepers;
    _Alignas(128) _Atomic uint64_t blocks; // bytes in blocks of long items
    _Atomic uint32_t blocks_freed;         // futex: changes when one is
    _Alignas(128) _Atomic uint64_t done;   // reported items
    _Atomic uint32_t done_changed;         // futex
    struct mp__sleepers done_sleepers;
    union {
        struct mp__fifo fifo;
        struct mp__ordered ordered;
    };
};

// A process's handle. After a fork the child has a copy, with a hand that is its parent's
// until it takes one.
struct mp_queue {
    struct mp__queue *shared; // NULL: it is ...
    struct mp__far *remote;   // ... of another machine
    uint64_t id;              // of the queue it was made for
    int eventfd;              // says that items came; -1 with a name
    _Atomic uint64_t ring;    // what the queue says of its ring, when that was last checked
    _Atomic uint64_t token;   // of the process whose hand this is
    struct mp__hand *_Atomic hand;
    _Atomic uint64_t last_tag;
    _Atomic bool fd_given; // mp_queue_fd() was called here
    // How long to let items pile up. Guarded by the hand's lock.
    unsigned delay, skip, skip_next, got;
};

static inline bool mp__queue_is_fifo(const struct mp__queue *s)
{
    return s->kind == MP_FIFO && !s->ack;
}

// Whether it was freed where it was made. There may be another one in its place by now.
static inline bool mp__queue_is_gone(const mp_queue *q)
{
    return !mp__object_is(q->shared, MP__QUEUE) ||
           atomic_load_explicit(&q->shared->id, memory_order_relaxed) != q->id;
}
static inline bool mp__queue_is_valid(const mp_queue *q)
{
    return q && (q->remote || !mp__queue_is_gone(q));
}

// Whether its items are acknowledged; here or on another machine.
bool mp__queue_is_acked(const mp_queue *q);

// The words that those wait on who want data, or room.
static inline _Atomic uint32_t *mp__queue_data_word(struct mp__queue *s)
{
    return mp__queue_is_fifo(s) ? mp__place_low(&s->fifo.tail) : &s->ordered.came;
}
static inline _Atomic uint32_t *mp__queue_space_word(struct mp__queue *s)
{
    return mp__queue_is_fifo(s) ? mp__place_low(&s->fifo.head) : &s->ordered.left;
}

// ---- the engines. Nobody waits with d = 0: MP_ETIMEDOUT for no room, or nothing ----

int mp__fifo_init(struct mp__queue *s);
void mp__fifo_release(struct mp__queue *s);
bool mp__fifo_idle(struct mp__queue *s); // nobody is at work in it
void mp__fifo_leave(mp_queue *q);        // the handle's hand is free for others
// Puts the first of n items, and those behind it that find room as well. Returns how many.
int64_t mp__fifo_put(mp_queue *q, const mp_slice *items, size_t n, mp__deadline d);
// `patient`: the caller will wait if there is nothing, so nothing is taken from others yet.
int64_t mp__fifo_get(mp_queue *q, const struct mp__want *w, mp__deadline d, bool patient);
bool mp__fifo_ready(mp_queue *q);
int64_t mp__fifo_size(mp_queue *q);
bool mp__fifo_full(mp_queue *q);
uint32_t mp__fifo_puts(struct mp__queue *s); // items ever put, modulo 2^28

int mp__ordered_init(struct mp__queue *s);
void mp__ordered_release(struct mp__queue *s);
bool mp__ordered_idle(struct mp__queue *s);
size_t mp__ordered_overhead(void); // of each item
int mp__ordered_put(mp_queue *q, int64_t priority, const mp_slice *item, mp__deadline d);
int64_t mp__ordered_get(mp_queue *q, const struct mp__want *w, mp__deadline d);
int mp__ordered_ack(mp_queue *q, uint64_t tag, bool back);
bool mp__ordered_ready(mp_queue *q);
int64_t mp__ordered_size(mp_queue *q);
bool mp__ordered_full(mp_queue *q);
uint32_t mp__ordered_puts(struct mp__queue *s);       // modulo 2^28
uint32_t mp__ordered_unreported(struct mp__queue *s); // with acknowledgements

// ---- queue_wait.c ----

// Items came, and `word` changed with them; n left: wakes who waits for that.
void mp__queue_came(mp_queue *q, _Atomic uint32_t *word, uint64_t n);
void mp__queue_left(struct mp__queue *s, _Atomic uint32_t *word, uint64_t n);

// A block for a long item: takes size bytes of max_bytes, and waits for them. 0, MP_ETIMEDOUT,
// MP_ECLOSED, MP_EINVAL (freed), -ENOMEM. And its end.
int mp__queue_block(mp_queue *q, size_t size, mp__deadline d, uint64_t *offset);
void mp__queue_unblock(struct mp__queue *s, uint64_t offset, uint64_t size);

// Waits for a change of the word from what was seen. 0: look again; MP_ETIMEDOUT; MP_EINVAL:
// the queue was freed.
int mp__queue_wait(mp_queue *q, struct mp__sleepers *who, _Atomic uint32_t *word, uint32_t seen,
                   mp__deadline d);

// Wakes all that wait for anything.
void mp__queue_wake_all(struct mp__queue *s);

// The error of a put, or of a get that found nothing, once the queue was shut down; else 0.
static inline int mp__queue_put_end(struct mp__queue *s)
{
    return atomic_load_explicit(&s->ended, memory_order_relaxed) ? MP_ECLOSED : 0;
}
static inline int mp__queue_get_end(struct mp__queue *s)
{
    return atomic_load(&s->ended) ? MP_EOF : 0;
}
static inline bool mp__queue_dropped(struct mp__queue *s)
{
    return atomic_load_explicit(&s->ended, memory_order_relaxed) == 1 + MP_DROP;
}

// Wakes those that join; they look. (queue_join.c)
void mp__queue_tell_joiners(struct mp__queue *s);

// Gets as mp_queue_get() does: for the server of remote clients.
int64_t mp__queue_get(mp_queue *q, const struct mp__want *w, int timeout_ms);
uint64_t mp__queue_most(const mp_queue *q); // bytes of an item

// ---- queue_wait.c, for mp_wait() ----

int mp__queue_bell(mp_queue *q); // a descriptor to poll; MP_ENOTSUP: there is none; other errors
bool mp__queue_ready(mp_queue *q);
void mp__queue_arm(mp_queue *q);
void mp__queue_silence(mp_queue *q);
void mp__queue_ring_again(mp_queue *q); // keeps the promise of mp_queue_fd(), for all

#endif
