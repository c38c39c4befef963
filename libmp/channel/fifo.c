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

static inline unsigned char *ring_data(struct mp__queue *s, uint64_t *cap)
{
    uint64_t ring = atomic_load_explicit(&s->fifo.ring, memory_order_relaxed);
    *cap = UINT64_C(1) << (ring & 63);
    return mp__object_at(s, ring & ~UINT64_C(63));
}

static void ring_write(struct mp__queue *s, uint64_t pos, const void *from, size_t n)
{
    uint64_t cap;
    unsigned char *data = ring_data(s, &cap);
    size_t at = (size_t)(pos & (cap - 1)), run = (size_t)cap - at;
    if (n <= run) {
        memcpy(data + at, from, n);
    } else {
        memcpy(data + at, from, run);
        memcpy(data, (const char *)from + run, n - run);
    }
}

static void ring_read(struct mp__queue *s, uint64_t pos, void *to, size_t n)
{
    uint64_t cap;
    const unsigned char *data = ring_data(s, &cap);
    size_t at = (size_t)(pos & (cap - 1)), run = (size_t)cap - at;
    if (n <= run) {
        memcpy(to, data + at, n);
    } else {
        memcpy(to, data + at, run);
        memcpy((char *)to + run, data, n - run);
    }
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

static struct mp__hand *hand_at(struct mp__queue *s, uint64_t offset)
{
    return mp__object_at(s, offset);
}

void mp__fifo_release(struct mp__queue *s)
{
    for (uint64_t at = atomic_load(&s->fifo.hands), next; at; at = next) {
        next = hand_at(s, at)->next;
        mp__object_release(s, at);
    }
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
        if (h->to != atomic_load(&f->head) && !MP__BROKEN("fifo.recover"))
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

static void copy_ring(struct mp__queue *s, uint64_t to, uint64_t new_cap)
{
    struct mp__fifo *f = &s->fifo;
    unsigned char *dst = mp__object_at(s, to);
    mp__place head = atomic_load(&f->head), tail = atomic_load(&f->tail);
    uint64_t pos = mp__place_pos(head), left = mp__place_bytes(head, tail);
    while (left > 0) {
        size_t at = (size_t)(pos & (new_cap - 1));
        size_t n = (size_t)(left < new_cap - at ? left : new_cap - at);
        ring_read(s, pos, dst + at, n);
        pos += n;
        left -= n;
    }
}

// Makes the ring twice as large, with both locks; put is held. 0, -ENOMEM, MP_ETIMEDOUT.
static int grow(struct mp__queue *s, mp__deadline d)
{
    struct mp__fifo *f = &s->fifo;
    uint64_t old = atomic_load(&f->ring), cap = UINT64_C(2) << (old & 63);
    f->old_ring = old & ~UINT64_C(63);
    int r = mp__object_alloc_into(s, (size_t)cap, &f->new_ring);
    if (r < 0)
        return r;
    MP__POINT("queue.growing");
    if ((r = lock_get(s, d)) < 0) {
        mp__object_release_from(s, &f->new_ring);
        return r;
    }
    uint64_t ring = atomic_load(&f->new_ring);
    copy_ring(s, ring, cap);
    MP__POINT("queue.copied");
    atomic_store(&f->ring, ring | (unsigned)__builtin_ctzll(cap));
    MP__POINT("queue.grown");
    mp__mutex_unlock(&f->get);
    atomic_store(&f->new_ring, f->old_ring);
    mp__object_release_from(s, &f->new_ring);
    return 0;
}

static bool fits(struct mp__queue *s, uint64_t need)
{
    struct mp__fifo *f = &s->fifo;
    mp__place tail = atomic_load_explicit(&f->tail, memory_order_relaxed);
    uint64_t cap = UINT64_C(1) << (atomic_load_explicit(&f->ring, memory_order_relaxed) & 63);
    return mp__place_bytes(f->seen_head, tail) + need <= cap &&
           (s->max_items == 0 || mp__place_items(f->seen_head, tail) < s->max_items);
}

static bool is_full_of_items(struct mp__queue *s)
{
    mp__place tail = atomic_load_explicit(&s->fifo.tail, memory_order_relaxed);
    return s->max_items && mp__place_items(s->fifo.seen_head, tail) >= s->max_items;
}

// Whether there is room for `need` bytes: by what was seen of head, by looking, or by growing.
static bool make_room(struct mp__queue *s, uint64_t need, mp__deadline d)
{
    struct mp__fifo *f = &s->fifo;
    if (fits(s, need))
        return true;
    f->seen_head = atomic_load_explicit(&f->head, memory_order_acquire);
    while (!fits(s, need)) {
        uint64_t cap = UINT64_C(1) << (atomic_load(&f->ring) & 63);
        if (is_full_of_items(s) || cap * 2 > ring_max(s) || grow(s, d) < 0)
            return false;
    }
    return true;
}

// Asks early for the lines that the next items will be written to: they are in the consumers'
// caches, and the lock's release waits for each.
static inline void fetch_ahead(unsigned char *data, uint64_t cap, uint64_t pos)
{
    mp__prefetch_write(data + ((pos + AHEAD) & (cap - 1)));
    mp__prefetch_write(data + ((pos + AHEAD + 64) & (cap - 1)));
}

// Puts a word of length and n bytes; there is room.
static void append(struct mp__queue *s, uint64_t word, const void *bytes, size_t n)
{
    struct mp__fifo *f = &s->fifo;
    mp__place tail = atomic_load_explicit(&f->tail, memory_order_relaxed);
    uint64_t cap, pos = mp__place_pos(tail);
    unsigned char *data = ring_data(s, &cap), *at = data + (pos & (cap - 1));
    if (sizeof word + n <= (size_t)(data + cap - at)) {
        memcpy(at, &word, sizeof word);
        if (n)
            memcpy(at + sizeof word, bytes, n);
    } else {
        ring_write(s, pos, &word, sizeof word);
        ring_write(s, pos + sizeof word, bytes, n);
    }
    fetch_ahead(data, cap, pos);
    MP__POINT("queue.written");
    atomic_store_explicit(&f->tail, mp__place_after(tail, sizeof word + padded(n), 1),
                          memory_order_release);
    MP__POINT("queue.published");
}

// One attempt: as many as find room now; 0: none.
static int64_t put_short(mp_queue *q, const mp_slice *items, size_t n, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    int64_t put = 0;
    int r = lock_put(s, d);
    if (r < 0)
        return r;
    if ((r = mp__queue_put_end(s)) == 0) {
        while ((size_t)put < n && items[put].size <= MP__QUEUE_INLINE &&
               make_room(s, 8 + padded(items[put].size), d)) {
            append(s, items[put].size, items[put].data, items[put].size);
            put++;
        }
    }
    mp__mutex_unlock_fence(&s->fifo.put);
    if (put)
        mp__queue_came(q, mp__place_low(&s->fifo.tail), (uint64_t)put);
    return r ? r : put;
}

static int64_t put_reference(mp_queue *q, const struct reference *ref, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    int r = lock_put(s, d);
    if (r < 0)
        return r;
    bool put = false;
    if ((r = mp__queue_put_end(s)) == 0 && (put = make_room(s, 8 + sizeof *ref, d)))
        append(s, LONG | sizeof *ref, ref, sizeof *ref);
    mp__mutex_unlock_fence(&s->fifo.put);
    if (put)
        mp__queue_came(q, mp__place_low(&s->fifo.tail), 1);
    return r ? r : put;
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
    int64_t put = put_reference(q, &ref, d);
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
    for (uint64_t at = atomic_load(&s->fifo.hands); at; at = (*out)->next) {
        *out = hand_at(s, at);
        if (left_in(*out) == 0 && mp__life_over(s, atomic_load(&(*out)->owner))) {
            atomic_store(&(*out)->owner, mine);
            return 0;
        }
    }
    if ((r = mp__object_alloc(s, sizeof **out, &offset)) < 0)
        return r;
    *out = hand_at(s, offset);
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
static bool measure_run(struct mp__queue *s, mp__place head, mp__place tail, uint64_t *bytes,
                        uint32_t *items)
{
    uint64_t there = mp__place_bytes(head, tail), pos = mp__place_pos(head);
    uint32_t most = mp__place_items(head, tail) / 2;
    if (most > MP__HAND_ITEMS)
        most = MP__HAND_ITEMS;
    if (most == 0 || (s->max_items && s->max_items < 2UL * MP__HAND_ITEMS))
        most = 1;
    for (*bytes = 0, *items = 0; *items < most; ++*items) {
        uint64_t word;
        ring_read(s, pos + *bytes, &word, sizeof word);
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
    if (head != tail && !measure_run(s, head, tail, &bytes, &items))
        r = MP_EPROTO;
    if (r == 0 && items) {
        f->filling = mp__object_offset(s, h);
        ring_read(s, mp__place_pos(head), h->data, (size_t)bytes);
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
    for (uint64_t at = atomic_load(&s->fifo.hands); at; at = hand_at(s, at)->next) {
        struct mp__hand *h = hand_at(s, at);
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
    for (uint64_t at = atomic_load(&s->fifo.hands); at; at = hand_at(s, at)->next)
        if (left_in(hand_at(s, at)))
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
    for (uint64_t at = atomic_load(&f->hands); at; at = hand_at(q->shared, at)->next)
        n += left_in(hand_at(q->shared, at));
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
