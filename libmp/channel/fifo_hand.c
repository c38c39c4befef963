// SPDX-License-Identifier: MIT
//
// Hands: whose they are, how runs come into them from the ring, and how items leave them; what a
// consumer leaves that dies. fifo.h says why there are any.
#include "channel/fifo.h"
#include "os/fork.h"
#include "os/point.h"
#include "os/spin.h"

#include <errno.h>

#define PILE_FIRST 64 // pauses
#define PILE_GOOD  8  // items that a delay has to bring
#define PILE_SKIP  4096

// ---- the list of all ----

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

static inline uint32_t left_in(const struct mp__hand *h)
{
    return (uint32_t)atomic_load_explicit(&h->left, memory_order_acquire);
}

bool mp__hands_filled(struct mp__queue *s)
{
    struct walk w = all_hands(s);
    for (struct mp__hand *h; (h = next_hand(s, &w));)
        if (left_in(h))
            return true;
    return false;
}

int64_t mp__hands_size(struct mp__queue *s)
{
    struct walk w = all_hands(s);
    int64_t n = 0;
    for (struct mp__hand *h; (h = next_hand(s, &w));)
        n += left_in(h);
    return n;
}

void mp__hands_release(struct mp__queue *s)
{
    struct walk w = all_hands(s);
    for (struct mp__hand *h; (h = next_hand(s, &w));)
        mp__object_release(s, mp__object_offset(s, h));
}

// ---- locks, and what a dead owner left ----

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

int mp__fifo_lock_get(struct mp__queue *s, mp__deadline d)
{
    int r = mp__mutex_lock_patiently(&s->fifo.get, d);
    if (r != MP_EOWNERDEAD)
        return r;
    recover_get(s);
    return 0;
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
    if ((r = mp__fifo_lock_get(s, d)) < 0) {
        mp__mutex_unlock(&h->lock);
        return r;
    }
    mp__mutex_unlock(&s->fifo.get);
    h->unsure = false;
    return 0;
}

// ---- whose they are ----

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
    int r = mp__fifo_lock_get(s, d);
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

// ---- filling ----

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
static bool measure_run(struct mp__queue *s, const struct mp__fifo_ring *ring, mp__place head,
                        mp__place tail, uint64_t *bytes, uint32_t *items)
{
    uint64_t there = mp__place_bytes(head, tail), pos = mp__place_pos(head);
    uint32_t most = mp__place_items(head, tail) / 2;
    if (most > MP__HAND_ITEMS)
        most = MP__HAND_ITEMS;
    if (most == 0 || (s->max_items && s->max_items < 2UL * MP__HAND_ITEMS))
        most = 1;
    if (!mp__fifo_is_in(ring, head, tail))
        return false;
    for (*bytes = 0, *items = 0; *items < most; ++*items) {
        uint64_t word;
        mp__fifo_read(ring, pos + *bytes, &word, sizeof word);
        uint64_t need = sizeof word + mp__fifo_padded(word & ~MP__FIFO_LONG);
        if ((word & ~MP__FIFO_LONG) > MP__QUEUE_INLINE || *bytes + need > there)
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
    int r = mp__fifo_lock_get(s, d);
    if (r < 0)
        return r;
    mp__place head = atomic_load(&f->head), tail = atomic_load(&f->tail);
    uint64_t bytes = 0;
    uint32_t items = 0;
    struct mp__fifo_ring ring;
    if (head != tail && (r = mp__fifo_open(q, &ring)) == 0 &&
        !measure_run(s, &ring, head, tail, &bytes, &items))
        r = MP_EPROTO;
    if (r == 0 && items) {
        f->filling = mp__object_offset(s, h);
        mp__fifo_read(&ring, mp__place_pos(head), h->data, (size_t)bytes);
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

// ---- giving out ----

static int take_reference(struct mp__queue *s, const void *at, const struct mp__want *w,
                          struct mp__fifo_block *ref)
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
    struct mp__fifo_block ref = {0, 0};
    if (at + sizeof word > MP__HAND_BYTES)
        return MP_EPROTO;
    memcpy(&word, h->data + at, sizeof word);
    uint64_t size = word & ~MP__FIFO_LONG, after = at + sizeof word + mp__fifo_padded(size);
    if (size > MP__QUEUE_INLINE || after > MP__HAND_BYTES ||
        (word & MP__FIFO_LONG && size != sizeof ref))
        return MP_EPROTO;
    const void *bytes = h->data + at + sizeof word;
    int r =
        word & MP__FIFO_LONG ? take_reference(s, bytes, w, &ref) : mp__want_take(w, bytes, size);
    if (r < 0)
        return r;
    if (w->buf || w->made || w->discard) {
        MP__POINT("queue.copied_out");
        atomic_store_explicit(&h->left, after << 32 | (uint32_t)(left - 1), memory_order_release);
        MP__POINT("queue.given");
        if (word & MP__FIFO_LONG)
            mp__queue_unblock(s, ref.block, ref.size);
    }
    return (int64_t)(word & MP__FIFO_LONG ? ref.size : size);
}

int64_t mp__hand_get(mp_queue *q, const struct mp__want *w, mp__deadline d)
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

int64_t mp__hands_get(mp_queue *q, const struct mp__want *w)
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

bool mp__hand_filled(mp_queue *q)
{
    return mp__fork_is_mine(atomic_load_explicit(&q->token, memory_order_acquire)) &&
           left_in(atomic_load_explicit(&q->hand, memory_order_relaxed));
}
