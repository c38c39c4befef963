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
#include "channel/queue.h"
#include "os/fork.h"
#include "os/point.h"
#include "os/spin.h"
#include "shm/ring.h"

#include <errno.h>
#include <string.h>

#define AHEAD      1024 // bytes
#define RING_MIN   (UINT64_C(64) << 10)
#define RING_MAX   (UINT64_C(1) << 30) // full of empty items, it is within a place's count
#define LONG       (UINT64_C(1) << 32) // in the word of length: struct reference follows
#define STEAL_NS   INT64_C(200000)     // what is in the hand of another is his for so long
#define PILE_FIRST 64                  // pauses
#define PILE_GOOD  8                   // items that a delay has to bring
#define PILE_SKIP  4096

struct reference {
    uint64_t block, size;
};

static inline uint64_t padded(uint64_t size)
{
    return (size + 7) & ~UINT64_C(7);
}

// ---- the ring ----

// The ring as it was found and checked when a lock was taken.
struct ring {
    unsigned char *data;
    uint64_t cap;
};

// 0, or MP_EPROTO: what is said of it makes no sense. Arenas never shrink, so a word is
// checked once.
static inline int open_ring(mp_queue *q, struct ring *r)
{
    struct mp__queue *s = q->shared;
    uint64_t word = atomic_load_explicit(&s->fifo.ring, memory_order_relaxed);
    uint64_t offset = word & ~UINT64_C(63), cap = UINT64_C(1) << (word & 63);
    if (__builtin_expect(word != atomic_load_explicit(&q->ring, memory_order_relaxed), 0)) {
        if (cap < RING_MIN || cap > RING_MAX || !mp__object_holds(s, offset, cap))
            return MP_EPROTO;
        atomic_store_explicit(&q->ring, word, memory_order_relaxed);
    }
    *r = (struct ring){mp__object_at(s, offset), cap};
    return 0;
}

static void ring_write(const struct ring *r, uint64_t pos, const void *from, size_t n)
{
    size_t at = (size_t)(pos & (r->cap - 1)), run = (size_t)r->cap - at;
    if (n <= run) {
        memcpy(r->data + at, from, n);
    } else {
        memcpy(r->data + at, from, run);
        memcpy(r->data, (const char *)from + run, n - run);
    }
}

static void ring_read(const struct ring *r, uint64_t pos, void *to, size_t n)
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
static inline bool is_in_ring(const struct ring *r, mp__place from, mp__place to)
{
    uint64_t bytes = mp__place_bytes(from, to);
    return bytes <= r->cap && mp__place_items(from, to) <= bytes / 8;
}

static uint64_t ring_max(const struct mp__queue *s)
{
    uint64_t max = RING_MIN;
    while (max < RING_MAX && max * 2 <= s->max_bytes)
        max *= 2;
    return max;
}

int mp__fifo_init(struct mp__queue *s)
{
    uint64_t ring;
    int r = mp__mutex_init(&s->fifo.put);
    if (r == 0)
        r = mp__mutex_init(&s->fifo.get);
    if (r == 0)
        r = mp__object_alloc_unset(s, RING_MIN, &ring);
    if (r == 0)
        atomic_store(&s->fifo.ring, ring | (unsigned)__builtin_ctzll(RING_MIN));
    return r;
}

// NULL: there is none, or what leads there makes no sense.
static struct mp__hand *hand_at(struct mp__queue *s, uint64_t offset)
{
    bool is = offset % _Alignof(struct mp__hand) == 0 &&
              mp__object_holds(s, offset, sizeof(struct mp__hand));
    return is ? mp__object_at(s, offset) : NULL;
}

// All hands, one after the other: a walk over the list, which ends even if it is damaged into
// a ring.
struct walk {
    uint64_t next, left;
};

static struct walk all_hands(struct mp__queue *s)
{
    struct mp__reach r = mp__object_reach(s);
    return (struct walk){atomic_load(&s->fifo.hands), (r.end - r.begin) / sizeof(struct mp__hand)};
}

static struct mp__hand *next_hand(struct mp__queue *s, struct walk *w)
{
    struct mp__hand *h = w->left ? hand_at(s, w->next) : NULL;
    if (h)
        *w = (struct walk){h->next, w->left - 1};
    return h;
}

void mp__fifo_release(struct mp__queue *s)
{
    struct walk w = all_hands(s);
    for (struct mp__hand *h; (h = next_hand(s, &w));)
        mp__object_release(s, mp__object_offset(s, h));
    uint64_t ring = atomic_load(&s->fifo.ring);
    if (ring)
        mp__object_release(s, ring & ~UINT64_C(63));
}

bool mp__fifo_idle(struct mp__queue *s)
{
    return atomic_load(&s->fifo.put.owner) == 0 && atomic_load(&s->fifo.get.owner) == 0;
}

// ---- the producers' side ----

static int lock_put(struct mp__queue *s, mp__deadline d)
{
    struct mp__fifo *f = &s->fifo;
    int r = mp__mutex_lock_patiently(&f->put, d);
    if (r != MP_EOWNERDEAD)
        return r;
    // What lies beyond tail is nobody's; a ring that was to replace this one is not wanted.
    // If it does so already, the old one is left over.
    if (atomic_load(&f->new_ring) == (atomic_load(&f->ring) & ~UINT64_C(63)))
        atomic_store(&f->new_ring, f->old_ring);
    mp__object_release_from(s, &f->new_ring);
    mp__mutex_consistent(&f->put);
    return 0;
}

static void recover_get(struct mp__queue *s)
{
    struct mp__fifo *f = &s->fifo;
    if (f->filling) {
        struct mp__hand *h = hand_at(s, f->filling);
        if (h && h->to != atomic_load(&f->head) && !MP__BROKEN("fifo.recover"))
            atomic_store(&h->left, 0);
        f->filling = 0;
    }
    mp__mutex_consistent(&f->get);
}

static int lock_get(struct mp__queue *s, mp__deadline d)
{
    int r = mp__mutex_lock_patiently(&s->fifo.get, d);
    if (r != MP_EOWNERDEAD)
        return r;
    recover_get(s);
    return 0;
}

// What is in a ring, to the same places of a larger one.
static void copy_ring(struct mp__queue *s, const struct ring *from, const struct ring *to)
{
    mp__place head = atomic_load(&s->fifo.head), tail = atomic_load(&s->fifo.tail);
    uint64_t pos = mp__place_pos(head), left = mp__place_bytes(head, tail);
    left = left < from->cap ? left : from->cap;
    while (left > 0) {
        size_t at = (size_t)(pos & (to->cap - 1));
        size_t n = (size_t)(left < to->cap - at ? left : to->cap - at);
        ring_read(from, pos, to->data + at, n);
        pos += n;
        left -= n;
    }
}

// Makes the ring twice as large, with both locks; put is held. 0, -ENOMEM, MP_ETIMEDOUT,
// MP_EPROTO.
static int grow(mp_queue *q, struct ring *ring, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    struct mp__fifo *f = &s->fifo;
    uint64_t cap = ring->cap * 2;
    f->old_ring = mp__object_offset(s, ring->data);
    int r = mp__object_alloc_into(s, (size_t)cap, &f->new_ring);
    if (r < 0)
        return r;
    MP__POINT("queue.growing");
    uint64_t offset = atomic_load(&f->new_ring);
    r = mp__object_holds(s, offset, cap) ? lock_get(s, d) : MP_EPROTO;
    if (r < 0) {
        mp__object_release_from(s, &f->new_ring);
        return r;
    }
    copy_ring(s, ring, &(struct ring){mp__object_at(s, offset), cap});
    MP__POINT("queue.copied");
    atomic_store(&f->ring, offset | (unsigned)__builtin_ctzll(cap));
    MP__POINT("queue.grown");
    mp__mutex_unlock(&f->get);
    atomic_store(&f->new_ring, f->old_ring);
    mp__object_release_from(s, &f->new_ring);
    return open_ring(q, ring);
}

static bool fits(struct mp__queue *s, const struct ring *ring, uint64_t need)
{
    struct mp__fifo *f = &s->fifo;
    mp__place tail = atomic_load_explicit(&f->tail, memory_order_relaxed);
    return mp__place_bytes(f->seen_head, tail) + need <= ring->cap &&
           (s->max_items == 0 || mp__place_items(f->seen_head, tail) < s->max_items);
}

static bool is_full_of_items(struct mp__queue *s)
{
    mp__place tail = atomic_load_explicit(&s->fifo.tail, memory_order_relaxed);
    return s->max_items && mp__place_items(s->fifo.seen_head, tail) >= s->max_items;
}

// Makes room for `need` bytes: by what was seen of head, by looking, or by growing. 1, 0 (none), or
// MP_EPROTO.
static int make_room(mp_queue *q, struct ring *ring, uint64_t need, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    struct mp__fifo *f = &s->fifo;
    if (fits(s, ring, need))
        return 1;
    f->seen_head = atomic_load_explicit(&f->head, memory_order_acquire);
    if (!is_in_ring(ring, f->seen_head, atomic_load_explicit(&f->tail, memory_order_relaxed)))
        return MP_EPROTO;
    while (!fits(s, ring, need)) {
        if (is_full_of_items(s) || ring->cap * 2 > ring_max(s) || grow(q, ring, d) < 0)
            return 0;
    }
    return 1;
}

// Asks early for the lines that the next items will be written to: they are in the consumers'
// caches, and the lock's release waits for each.
static inline void fetch_ahead(unsigned char *data, uint64_t cap, uint64_t pos)
{
    mp__prefetch_write(data + ((pos + AHEAD) & (cap - 1)));
    mp__prefetch_write(data + ((pos + AHEAD + 64) & (cap - 1)));
}

// Puts a word of length and n bytes; there is room.
static void append(struct mp__queue *s, const struct ring *ring, uint64_t word, const void *bytes,
                   size_t n)
{
    struct mp__fifo *f = &s->fifo;
    mp__place tail = atomic_load_explicit(&f->tail, memory_order_relaxed);
    uint64_t pos = mp__place_pos(tail);
    unsigned char *at = ring->data + (pos & (ring->cap - 1));
    if (sizeof word + n <= (size_t)(ring->data + ring->cap - at)) {
        memcpy(at, &word, sizeof word);
        if (n)
            memcpy(at + sizeof word, bytes, n);
    } else {
        ring_write(ring, pos, &word, sizeof word);
        ring_write(ring, pos + sizeof word, bytes, n);
    }
    fetch_ahead(ring->data, ring->cap, pos);
    MP__POINT("queue.written");
    atomic_store_explicit(&f->tail, mp__place_after(tail, sizeof word + padded(n), 1),
                          memory_order_release);
    MP__POINT("queue.published");
}

// With the lock: as many short items as find room; or an error, and none.
static int64_t append_some(mp_queue *q, const mp_slice *items, size_t n, mp__deadline d)
{
    struct ring ring;
    int64_t put = 0;
    int r = mp__queue_put_end(q->shared);
    if (r == 0)
        r = open_ring(q, &ring);
    if (r < 0)
        return r;
    while ((size_t)put < n && items[put].size <= MP__QUEUE_INLINE &&
           (r = make_room(q, &ring, 8 + padded(items[put].size), d)) > 0) {
        append(q->shared, &ring, items[put].size, items[put].data, items[put].size);
        put++;
    }
    return put || r > 0 ? put : r;
}

// One attempt: as many as find room now; 0: none.
static int64_t put_short(mp_queue *q, const mp_slice *items, size_t n, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    int64_t put = lock_put(s, d);
    if (put < 0)
        return put;
    put = append_some(q, items, n, d);
    mp__mutex_unlock_fence(&s->fifo.put);
    if (put > 0)
        mp__queue_came(q, mp__place_low(&s->fifo.tail), (uint64_t)put);
    return put;
}

static int put_reference(mp_queue *q, const struct reference *ref, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    struct ring ring;
    int put = lock_put(s, d);
    if (put < 0)
        return put;
    if ((put = mp__queue_put_end(s)) == 0 && (put = open_ring(q, &ring)) == 0)
        put = make_room(q, &ring, 8 + sizeof *ref, d);
    if (put > 0)
        append(s, &ring, LONG | sizeof *ref, ref, sizeof *ref);
    mp__mutex_unlock_fence(&s->fifo.put);
    if (put > 0)
        mp__queue_came(q, mp__place_low(&s->fifo.tail), 1);
    return put;
}

static bool has_all_items(struct mp__queue *s)
{
    mp__place head = atomic_load(&s->fifo.head), tail = atomic_load(&s->fifo.tail);
    return s->max_items && mp__place_items(head, tail) >= s->max_items;
}

// One attempt. Who waits for room has no block: he may be killed, and it would be lost.
static int64_t put_long(mp_queue *q, const mp_slice *item, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    struct reference ref = {.size = item->size};
    if (has_all_items(s))
        return mp__queue_put_end(s);
    int r = mp__queue_block(q, item->size, d, &ref.block);
    if (r < 0)
        return r;
    memcpy(mp__object_at(s, ref.block), item->data, item->size);
    MP__POINT("queue.block");
    int put = put_reference(q, &ref, d);
    if (put <= 0)
        mp__queue_unblock(s, ref.block, ref.size);
    return put;
}

static int64_t try_put(mp_queue *q, const mp_slice *items, size_t n, mp__deadline d)
{
    return items->size > MP__QUEUE_INLINE ? put_long(q, items, d) : put_short(q, items, n, d);
}

// Only who finds no room looks at head, which the consumers are writing.
int64_t mp__fifo_put(mp_queue *q, const mp_slice *items, size_t n, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    int64_t put = try_put(q, items, n, d);
    while (put == 0) {
        uint32_t seen = atomic_load(mp__place_low(&s->fifo.head));
        if ((put = try_put(q, items, n, d)) == 0)
            put = mp__queue_wait(q, &s->space_sleepers, mp__place_low(&s->fifo.head), seen, d);
    }
    return put;
}

// ---- hands ----

static inline uint32_t left_in(const struct mp__hand *h)
{
    return (uint32_t)atomic_load_explicit(&h->left, memory_order_acquire);
}

// A hand for this process: one of a dead process with nothing in it, or a new one. Called with
// the get lock.
static int take_hand(struct mp__queue *s, struct mp__hand **out)
{
    mp__life mine;
    uint64_t offset;
    int r = mp__life_mine(s, &mine);
    if (r < 0)
        return r;
    struct walk w = all_hands(s);
    while ((*out = next_hand(s, &w))) {
        if (left_in(*out) == 0 && mp__life_over(s, atomic_load(&(*out)->owner))) {
            atomic_store(&(*out)->owner, mine);
            return 0;
        }
    }
    if ((r = mp__object_alloc(s, sizeof **out, &offset)) < 0)
        return r;
    *out = mp__object_at(s, offset);
    if ((r = mp__mutex_init(&(*out)->lock)) < 0) {
        mp__object_release(s, offset);
        return r;
    }
    atomic_store(&(*out)->owner, mine);
    (*out)->next = atomic_load(&s->fifo.hands);
    MP__POINT("queue.hand");
    atomic_store(&s->fifo.hands, offset);
    return 0;
}

static int my_hand_slow(mp_queue *q, struct mp__hand **out, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    uint64_t token = mp__fork_token();
    if (!token)
        return -ENOMEM;
    int r = lock_get(s, d);
    if (r < 0)
        return r;
    if (atomic_load(&q->token) == token) { // another thread was faster
        *out = atomic_load(&q->hand);
    } else if ((r = take_hand(s, out)) == 0) {
        q->delay = q->skip = q->skip_next = q->got = 0;
        atomic_store(&q->hand, *out);
        atomic_store(&q->token, token);
    }
    mp__mutex_unlock(&s->fifo.get);
    return r;
}

static inline int my_hand(mp_queue *q, struct mp__hand **out, mp__deadline d)
{
    if (mp__fork_is_mine(atomic_load_explicit(&q->token, memory_order_acquire))) {
        *out = atomic_load_explicit(&q->hand, memory_order_relaxed);
        return 0;
    }
    return my_hand_slow(q, out, d);
}

void mp__fifo_leave(mp_queue *q)
{
    if (mp__fork_is_mine(atomic_load(&q->token)))
        atomic_store(&atomic_load(&q->hand)->owner, 0);
}

static int lock_hand(struct mp__queue *s, struct mp__hand *h, mp__deadline d)
{
    int r = mp__mutex_lock_patiently(&h->lock, d);
    if (r == MP_EOWNERDEAD) {
        h->unsure = true;
        mp__mutex_consistent(&h->lock);
    } else if (r < 0) {
        return r;
    }
    if (!h->unsure)
        return 0;
    // If the run is still in the ring as well, whoever gets that lock empties the hand.
    if ((r = lock_get(s, d)) < 0) {
        mp__mutex_unlock(&h->lock);
        return r;
    }
    mp__mutex_unlock(&s->fifo.get);
    h->unsure = false;
    return 0;
}

// ---- the consumers' side ----

// In a stream a consumer that looks for each item drags the lines to and fro: better let some
// pile up. A delay that does not bring enough is given up, and tried again ever more seldom.
static void pile_up(mp_queue *q)
{
    if (q->delay && q->got < PILE_GOOD) {
        q->delay = 0;
        q->skip_next = q->skip_next ? q->skip_next * 2 : 1;
        if (q->skip_next > PILE_SKIP)
            q->skip_next = PILE_SKIP;
        q->skip = q->skip_next;
    } else if (q->delay) {
        q->skip_next = 0;
    } else if (q->skip) {
        q->skip--;
    } else {
        q->delay = PILE_FIRST;
    }
    q->got = 0;
    for (unsigned i = 0; i < q->delay; i++)
        mp__cpu_relax();
}

// Items in the ring, as it seems.
static inline uint32_t in_ring(struct mp__queue *s)
{
    return mp__place_items(atomic_load_explicit(&s->fifo.head, memory_order_relaxed),
                           atomic_load_explicit(&s->fifo.tail, memory_order_acquire));
}

// How far a run goes: *bytes of *items. False if what lies there makes no sense.
static bool measure_run(struct mp__queue *s, const struct ring *ring, mp__place head,
                        mp__place tail, uint64_t *bytes, uint32_t *items)
{
    uint64_t there = mp__place_bytes(head, tail), pos = mp__place_pos(head);
    uint32_t most = mp__place_items(head, tail) / 2;
    if (most > MP__HAND_ITEMS)
        most = MP__HAND_ITEMS;
    if (most == 0 || (s->max_items && s->max_items < 2UL * MP__HAND_ITEMS))
        most = 1;
    if (!is_in_ring(ring, head, tail))
        return false;
    for (*bytes = 0, *items = 0; *items < most; ++*items) {
        uint64_t word;
        ring_read(ring, pos + *bytes, &word, sizeof word);
        uint64_t need = sizeof word + padded(word & ~LONG);
        if ((word & ~LONG) > MP__QUEUE_INLINE || *bytes + need > there)
            return false;
        if (*bytes + need > MP__HAND_BYTES)
            break;
        *bytes += need;
    }
    return true;
}

// Takes a run into the hand, which is empty and locked. 0 also when there is nothing.
static int refill(mp_queue *q, struct mp__hand *h, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    struct mp__fifo *f = &s->fifo;
    if (in_ring(s) == 0)
        return 0;
    int r = lock_get(s, d);
    if (r < 0)
        return r;
    mp__place head = atomic_load(&f->head), tail = atomic_load(&f->tail);
    uint64_t bytes = 0;
    uint32_t items = 0;
    struct ring ring;
    if (head != tail && (r = open_ring(q, &ring)) == 0 &&
        !measure_run(s, &ring, head, tail, &bytes, &items))
        r = MP_EPROTO;
    if (r == 0 && items) {
        f->filling = mp__object_offset(s, h);
        ring_read(&ring, mp__place_pos(head), h->data, (size_t)bytes);
        h->to = mp__place_after(head, bytes, items);
        MP__POINT("queue.filling");
        atomic_store_explicit(&h->left, items, memory_order_release);
        MP__POINT("queue.filled");
        atomic_store(&f->head, h->to);
        MP__POINT("queue.taken");
        f->filling = 0;
    }
    mp__mutex_unlock(&f->get);
    if (items)
        mp__queue_left(s, mp__place_low(&f->head), items);
    q->got = items;
    return r;
}

static int take_reference(struct mp__queue *s, const void *at, const struct mp__want *w,
                          struct reference *ref)
{
    memcpy(ref, at, sizeof *ref);
    if (!mp__object_holds(s, ref->block, ref->size))
        return MP_EPROTO;
    return mp__want_take(w, mp__object_at(s, ref->block), ref->size);
}

// Gives out the first item of a hand that is locked and not empty. Returns its size.
static int64_t deliver(struct mp__queue *s, struct mp__hand *h, const struct mp__want *w)
{
    uint64_t left = atomic_load_explicit(&h->left, memory_order_relaxed), at = left >> 32, word;
    struct reference ref = {0, 0};
    if (at + sizeof word > MP__HAND_BYTES)
        return MP_EPROTO;
    memcpy(&word, h->data + at, sizeof word);
    uint64_t size = word & ~LONG, after = at + sizeof word + padded(size);
    if (size > MP__QUEUE_INLINE || after > MP__HAND_BYTES || (word & LONG && size != sizeof ref))
        return MP_EPROTO;
    const void *bytes = h->data + at + sizeof word;
    int r = word & LONG ? take_reference(s, bytes, w, &ref) : mp__want_take(w, bytes, size);
    if (r < 0)
        return r;
    if (w->buf || w->made || w->discard) {
        MP__POINT("queue.copied_out");
        atomic_store_explicit(&h->left, after << 32 | (uint32_t)(left - 1), memory_order_release);
        MP__POINT("queue.given");
        if (word & LONG)
            mp__queue_unblock(s, ref.block, ref.size);
    }
    return (int64_t)(word & LONG ? ref.size : size);
}

// From this process's hand, filled from the ring. MP_ETIMEDOUT: both are empty.
static int64_t from_my_hand(mp_queue *q, const struct mp__want *w, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    struct mp__hand *h;
    int64_t r = my_hand(q, &h, d);
    if (r < 0 || (r = lock_hand(s, h, d)) < 0)
        return r;
    if (left_in(h) == 0) {
        if (in_ring(s) < 2 * MP__HAND_ITEMS)
            pile_up(q);
        r = refill(q, h, d);
    }
    if (r == 0)
        r = left_in(h) ? deliver(s, h, w) : MP_ETIMEDOUT;
    mp__mutex_unlock(&h->lock);
    return r;
}

// From the hand of another, dead or slow.
static int64_t from_other_hands(mp_queue *q, const struct mp__want *w)
{
    struct mp__queue *s = q->shared;
    struct walk all = all_hands(s);
    for (struct mp__hand *h; (h = next_hand(s, &all));) {
        if (left_in(h) == 0 || lock_hand(s, h, 0) < 0)
            continue;
        int64_t r = left_in(h) ? deliver(s, h, w) : MP_ETIMEDOUT;
        mp__mutex_unlock(&h->lock);
        if (r != MP_ETIMEDOUT)
            return r;
    }
    return MP_ETIMEDOUT;
}

static bool others_have(struct mp__queue *s)
{
    struct walk w = all_hands(s);
    for (struct mp__hand *h; (h = next_hand(s, &w));)
        if (left_in(h))
            return true;
    return false;
}

// Waits for the ring, and in vain for a moment only while others have something in hand.
static int wait_for_ring(mp_queue *q, uint32_t seen, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    if (!others_have(s))
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
    if (lock_put(s, d) < 0)
        return MP_ETIMEDOUT;
    mp__mutex_unlock(&s->fifo.put);
    int64_t r = from_my_hand(q, w, d);
    if (r == MP_ETIMEDOUT)
        r = from_other_hands(q, w);
    return r == MP_ETIMEDOUT && !others_have(s) ? MP_EOF : r;
}

static bool has_in_hand(mp_queue *q)
{
    return mp__fork_is_mine(atomic_load_explicit(&q->token, memory_order_acquire)) &&
           left_in(atomic_load_explicit(&q->hand, memory_order_relaxed));
}

// Only who has nothing in hand looks at tail, which the producers are writing.
int64_t mp__fifo_get(mp_queue *q, const struct mp__want *w, mp__deadline d, bool patient)
{
    struct mp__queue *s = q->shared;
    if (has_in_hand(q)) {
        int64_t r = from_my_hand(q, w, d);
        if (r != MP_ETIMEDOUT)
            return r;
    }
    for (bool waited = !patient;; waited = true) {
        uint32_t seen = atomic_load(mp__place_low(&s->fifo.tail));
        int end = mp__queue_get_end(s); // before the look: what was put before it is there
        int64_t r = from_my_hand(q, w, d);
        if (r == MP_ETIMEDOUT && (waited || end))
            r = from_other_hands(q, w);
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
    return atomic_load(&f->head) != atomic_load(&f->tail) || others_have(q->shared);
}

int64_t mp__fifo_size(mp_queue *q)
{
    struct mp__fifo *f = &q->shared->fifo;
    mp__place head = atomic_load(&f->head), tail = atomic_load(&f->tail);
    int64_t n = mp__place_items(head, tail);
    struct walk w = all_hands(q->shared);
    for (struct mp__hand *h; (h = next_hand(q->shared, &w));)
        n += left_in(h);
    return n;
}

bool mp__fifo_full(mp_queue *q)
{
    struct mp__queue *s = q->shared;
    mp__place head = atomic_load(&s->fifo.head), tail = atomic_load(&s->fifo.tail);
    uint64_t bytes = mp__place_bytes(head, tail);
    return has_all_items(s) || bytes + 16 > ring_max(s) || atomic_load(&s->blocks) >= s->max_bytes;
}

uint32_t mp__fifo_puts(struct mp__queue *s)
{
    return (uint32_t)(atomic_load(&s->fifo.tail) & MP__PLACE_COUNT);
}
