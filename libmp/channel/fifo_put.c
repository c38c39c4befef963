// SPDX-License-Identifier: MIT
//
// The queue that is first in, first out, as producers see it: room, for which the ring may grow;
// short items into it, long ones into blocks; what a producer leaves that dies. fifo.h says how
// the ring lies in memory.
#include "channel/fifo.h"
#include "os/point.h"
#include "shm/ring.h" // mp__prefetch_write()

#define AHEAD 1024 // bytes

int mp__fifo_lock_put(struct mp__queue *s, mp__deadline d)
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

// ---- room ----

static uint64_t ring_max(const struct mp__queue *s)
{
    uint64_t max = MP__FIFO_MIN;
    while (max < MP__FIFO_MAX && max * 2 <= s->max_bytes)
        max *= 2;
    return max;
}

// What is in a ring, to the same places of a larger one.
static void copy_ring(struct mp__queue *s, const struct mp__fifo_ring *from,
                      const struct mp__fifo_ring *to)
{
    mp__place head = atomic_load(&s->fifo.head), tail = atomic_load(&s->fifo.tail);
    uint64_t pos = mp__place_pos(head), left = mp__place_bytes(head, tail);
    left = left < from->cap ? left : from->cap;
    while (left > 0) {
        size_t at = (size_t)(pos & (to->cap - 1));
        size_t n = (size_t)(left < to->cap - at ? left : to->cap - at);
        mp__fifo_read(from, pos, to->data + at, n);
        pos += n;
        left -= n;
    }
}

// Makes the ring twice as large, with both locks; put is held. 0, -ENOMEM, MP_ETIMEDOUT,
// MP_EPROTO.
static int grow(mp_queue *q, struct mp__fifo_ring *ring, mp__deadline d)
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
    r = mp__object_holds(s, offset, cap) ? mp__fifo_lock_get(s, d) : MP_EPROTO;
    if (r < 0) {
        mp__object_release_from(s, &f->new_ring);
        return r;
    }
    copy_ring(s, ring, &(struct mp__fifo_ring){mp__object_at(s, offset), cap});
    MP__POINT("queue.copied");
    atomic_store(&f->ring, offset | (unsigned)__builtin_ctzll(cap));
    MP__POINT("queue.grown");
    mp__mutex_unlock(&f->get);
    atomic_store(&f->new_ring, f->old_ring);
    mp__object_release_from(s, &f->new_ring);
    return mp__fifo_open(q, ring);
}

static bool fits(struct mp__queue *s, const struct mp__fifo_ring *ring, uint64_t need)
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
static int make_room(mp_queue *q, struct mp__fifo_ring *ring, uint64_t need, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    struct mp__fifo *f = &s->fifo;
    if (fits(s, ring, need))
        return 1;
    f->seen_head = atomic_load_explicit(&f->head, memory_order_acquire);
    if (!mp__fifo_is_in(ring, f->seen_head, atomic_load_explicit(&f->tail, memory_order_relaxed)))
        return MP_EPROTO;
    while (!fits(s, ring, need)) {
        if (is_full_of_items(s) || ring->cap * 2 > ring_max(s) || grow(q, ring, d) < 0)
            return 0;
    }
    return 1;
}

// ---- short items ----

static void ring_write(const struct mp__fifo_ring *r, uint64_t pos, const void *from, size_t n)
{
    size_t at = (size_t)(pos & (r->cap - 1)), run = (size_t)r->cap - at;
    if (n <= run) {
        memcpy(r->data + at, from, n);
    } else {
        memcpy(r->data + at, from, run);
        memcpy(r->data, (const char *)from + run, n - run);
    }
}

// Asks early for the lines that the next items will be written to: they are in the consumers'
// caches, and the lock's release waits for each.
static inline void fetch_ahead(unsigned char *data, uint64_t cap, uint64_t pos)
{
    mp__prefetch_write(data + ((pos + AHEAD) & (cap - 1)));
    mp__prefetch_write(data + ((pos + AHEAD + 64) & (cap - 1)));
}

// Puts a word of length and n bytes; there is room.
static void append(struct mp__queue *s, const struct mp__fifo_ring *ring, uint64_t word,
                   const void *bytes, size_t n)
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
    atomic_store_explicit(&f->tail, mp__place_after(tail, sizeof word + mp__fifo_padded(n), 1),
                          memory_order_release);
    MP__POINT("queue.published");
}

// With the lock: as many short items as find room; or an error, and none.
static int64_t append_some(mp_queue *q, const mp_slice *items, size_t n, mp__deadline d)
{
    struct mp__fifo_ring ring;
    int64_t put = 0;
    int r = mp__queue_put_end(q->shared);
    if (r == 0)
        r = mp__fifo_open(q, &ring);
    if (r < 0)
        return r;
    while ((size_t)put < n && items[put].size <= MP__QUEUE_INLINE &&
           (r = make_room(q, &ring, 8 + mp__fifo_padded(items[put].size), d)) > 0) {
        append(q->shared, &ring, items[put].size, items[put].data, items[put].size);
        put++;
    }
    return put || r > 0 ? put : r;
}

// One attempt: as many as find room now; 0: none.
static int64_t put_short(mp_queue *q, const mp_slice *items, size_t n, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    int64_t put = mp__fifo_lock_put(s, d);
    if (put < 0)
        return put;
    put = append_some(q, items, n, d);
    mp__mutex_unlock_fence(&s->fifo.put);
    if (put > 0)
        mp__queue_came(q, mp__place_low(&s->fifo.tail), (uint64_t)put);
    return put;
}

// ---- long items ----

static int put_reference(mp_queue *q, const struct mp__fifo_block *ref, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    struct mp__fifo_ring ring;
    int put = mp__fifo_lock_put(s, d);
    if (put < 0)
        return put;
    if ((put = mp__queue_put_end(s)) == 0 && (put = mp__fifo_open(q, &ring)) == 0)
        put = make_room(q, &ring, 8 + sizeof *ref, d);
    if (put > 0)
        append(s, &ring, MP__FIFO_LONG | sizeof *ref, ref, sizeof *ref);
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
    struct mp__fifo_block ref = {.size = item->size};
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

// ---- putting ----

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

bool mp__fifo_full(mp_queue *q)
{
    struct mp__queue *s = q->shared;
    mp__place head = atomic_load(&s->fifo.head), tail = atomic_load(&s->fifo.tail);
    uint64_t bytes = mp__place_bytes(head, tail);
    return has_all_items(s) || bytes + 16 > ring_max(s) || atomic_load(&s->blocks) >= s->max_bytes;
}
