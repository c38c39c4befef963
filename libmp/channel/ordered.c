// SPDX-License-Identifier: MIT
//
// The queues that are more than a stream: last in, first out; by priority; and every queue
// whose items are acknowledged. One robust lock, and the truth is a table of slots: a slot
// has the offset of an item, which is a block of its own, or 0. So an item comes and goes by
// one store. What is derived from the slots, a heap of those that can be taken, a stack of
// free slots, and counts, is built anew by who finds the lock's owner dead.
//
// An item that waits for its acknowledgement stays in its slot and says who has it. When that
// process is dead, whoever looks next gives the item to another; it keeps its number, so it
// is first in line again.
#include "channel/queue.h"
#include "os/point.h"

#include <errno.h>
#include <string.h>

#define SLOTS_MIN 64
#define SLOTS_MAX (1u << 28)

struct item {
    int64_t priority;
    uint64_t sequence;
    uint64_t size;
    mp__life holder; // who has it and did not acknowledge it yet; 0: it can be taken
    uint32_t attempts;
    uint32_t slot;
};

// Three arrays of `slots` follow: uint64_t of items, uint32_t of the heap, uint32_t of the
// stack of free slots.
struct table {
    uint32_t slots;
    uint32_t in_heap, free;
    uint32_t unused;
    uint64_t item[];
};

static size_t table_size(uint64_t slots)
{
    return sizeof(struct table) + (size_t)slots * (8 + 4 + 4);
}

// The table as it was found and checked when the lock was taken. What it says of places in
// itself and in the arena is checked where it is used.
struct view {
    struct mp__queue *s;
    struct mp__reach reach; // of the arena: all items lie in it
    struct table *t;
    uint32_t slots;
};

static int open_table(struct view *v, struct mp__queue *s, uint64_t offset)
{
    struct mp__reach reach = mp__object_reach(s);
    if (offset % _Alignof(struct table) || !mp__reaches(reach, offset, sizeof(struct table)))
        return MP_EPROTO;
    struct table *t = mp__object_at(s, offset);
    *v = (struct view){s, reach, t, __atomic_load_n(&t->slots, __ATOMIC_RELAXED)};
    return v->slots && mp__reaches(reach, offset, table_size(v->slots)) ? 0 : MP_EPROTO;
}

static int open_present(struct view *v, struct mp__queue *s)
{
    return open_table(v, s, atomic_load_explicit(&s->ordered.table, memory_order_relaxed));
}

static uint32_t *heap_of(const struct view *v)
{
    return (uint32_t *)(void *)(v->t->item + v->slots);
}

static uint32_t *free_of(const struct view *v)
{
    return heap_of(v) + v->slots;
}

// NULL: there is none in that slot, or what leads there makes no sense.
static struct item *item_in(const struct view *v, uint32_t slot)
{
    uint64_t offset = slot < v->slots ? v->t->item[slot] : 0;
    bool is =
        offset % _Alignof(struct item) == 0 && mp__reaches(v->reach, offset, sizeof(struct item));
    return is ? mp__object_at(v->s, offset) : NULL;
}

static size_t block_size(const struct item *i)
{
    return sizeof *i + (size_t)i->size;
}

size_t mp__ordered_overhead(void)
{
    return sizeof(struct item);
}

// ---- the heap, of numbers of slots ----

// What makes no sense (NULL) goes last.
static bool goes_before(const struct mp__queue *s, const struct item *a, const struct item *b)
{
    if (!a || !b)
        return a;
    if (s->kind == MP_LIFO)
        return a->sequence > b->sequence;
    return a->priority != b->priority ? a->priority < b->priority : a->sequence < b->sequence;
}

static void heap_push(const struct view *v, uint32_t slot)
{
    uint32_t *heap = heap_of(v), at = v->t->in_heap;
    const struct item *new = item_in(v, slot);
    if (at >= v->slots)
        return;
    v->t->in_heap = at + 1;
    while (at > 0 && goes_before(v->s, new, item_in(v, heap[(at - 1) / 2]))) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = slot;
}

static void heap_pop(const struct view *v)
{
    uint32_t *heap = heap_of(v), n = v->t->in_heap - 1, at = 0;
    if (n >= v->slots)
        return;
    v->t->in_heap = n;
    const struct item *last = item_in(v, heap[n]);
    for (uint32_t child; (child = 2 * at + 1) < n; at = child) {
        const struct item *first = item_in(v, heap[child]);
        const struct item *other = child + 1 < n ? item_in(v, heap[child + 1]) : NULL;
        if (goes_before(v->s, other, first)) {
            first = other;
            child++;
        }
        if (!goes_before(v->s, first, last))
            break;
        heap[at] = heap[child];
    }
    heap[at] = heap[n];
}

// ---- the table ----

// Makes all that is derived from the slots. One that leads nowhere is free again.
static void derive(const struct view *v)
{
    struct mp__ordered *o = &v->s->ordered;
    struct table *t = v->t;
    uint32_t held = 0;
    t->in_heap = t->free = 0;
    for (uint32_t i = v->slots; i-- > 0;) {
        struct item *it = item_in(v, i);
        if (!it) {
            t->item[i] = 0;
            free_of(v)[t->free++] = i;
            continue;
        }
        it->slot = i;
        if (it->sequence >= o->sequence)
            o->sequence = it->sequence + 1;
        held += it->holder != 0;
        if (!it->holder)
            heap_push(v, i);
    }
    atomic_store(&o->ready, t->in_heap);
    atomic_store(&o->held, held);
}

static int new_table(struct view *v, struct mp__queue *s, uint32_t slots, uint64_t *offset)
{
    int r = mp__object_alloc(s, table_size(slots), offset);
    if (r < 0)
        return r;
    ((struct table *)mp__object_at(s, *offset))->slots = slots;
    return open_table(v, s, *offset);
}

int mp__ordered_init(struct mp__queue *s)
{
    uint64_t offset = 0;
    struct view v;
    int r = mp__mutex_init(&s->ordered.lock);
    if (r == 0)
        r = new_table(&v, s, SLOTS_MIN, &offset);
    if (r < 0)
        return r;
    derive(&v);
    atomic_store(&s->ordered.table, offset);
    return 0;
}

bool mp__ordered_idle(struct mp__queue *s)
{
    return atomic_load(&s->ordered.lock.owner) == 0;
}

void mp__ordered_release(struct mp__queue *s)
{
    struct view v;
    if (open_present(&v, s) < 0)
        return;
    for (uint32_t i = 0; i < v.slots; i++)
        if (v.t->item[i])
            mp__object_release(s, v.t->item[i]);
    mp__object_release(s, mp__object_offset(s, v.t));
}

static void unlock(const struct view *v)
{
    mp__mutex_unlock(&v->s->ordered.lock);
}

static int lock(struct view *v, struct mp__queue *s, mp__deadline d)
{
    int r = mp__mutex_lock_patiently(&s->ordered.lock, d);
    if (r < 0 && r != MP_EOWNERDEAD)
        return r;
    int sound = open_present(v, s);
    if (r == MP_EOWNERDEAD) {
        if (sound == 0 && !MP__BROKEN("ordered.derive"))
            derive(v);
        mp__mutex_consistent(&s->ordered.lock);
    }
    if (sound < 0)
        mp__mutex_unlock(&s->ordered.lock);
    return sound;
}

static int grow(struct view *v)
{
    struct mp__queue *s = v->s;
    struct view more;
    uint64_t offset;
    if (v->slots >= SLOTS_MAX)
        return -ENOMEM;
    int r = new_table(&more, s, v->slots * 2, &offset);
    if (r < 0)
        return r;
    memcpy(more.t->item, v->t->item, v->slots * sizeof *v->t->item);
    derive(&more);
    MP__POINT("ordered.grown");
    atomic_store(&s->ordered.table, offset);
    mp__object_release(s, mp__object_offset(s, v->t));
    *v = more;
    return 0;
}

// ---- putting ----

static int enter(struct view *v, uint64_t offset)
{
    struct mp__ordered *o = &v->s->ordered;
    struct item *it = mp__object_at(v->s, offset);
    int r = v->t->free ? 0 : grow(v);
    if (r < 0)
        return r;
    struct table *t = v->t;
    uint32_t free = t->free - 1, slot = free < v->slots ? free_of(v)[free] : v->slots;
    if (slot >= v->slots || t->item[slot])
        return MP_EPROTO;
    it->slot = slot;
    it->sequence = o->sequence;
    MP__POINT("ordered.entering");
    __atomic_store_n(&t->item[slot], offset, __ATOMIC_RELEASE);
    MP__POINT("ordered.entered");
    __atomic_store_n(&o->sequence, o->sequence + 1, __ATOMIC_RELAXED); // read without the lock
    t->free = free;
    heap_push(v, slot);
    atomic_fetch_add(&o->ready, 1);
    return 0;
}

static bool has_all_items(struct mp__queue *s)
{
    return s->max_items && atomic_load(&s->ordered.ready) >= s->max_items;
}

// 0 or 1, how many were put; or an error.
static int put_block(mp_queue *q, uint64_t offset, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    struct view v;
    int r = lock(&v, s, d);
    if (r < 0)
        return r;
    bool full = has_all_items(s);
    r = mp__queue_put_end(s);
    if (r == 0 && !full && (r = enter(&v, offset)) == 0) {
        atomic_fetch_add(&s->ordered.came, 1);
        r = 1;
    }
    unlock(&v);
    if (r > 0)
        mp__queue_came(q, &s->ordered.came, 1);
    return r;
}

// One attempt. Who waits for room has no block: he may be killed, and it would be lost.
static int try_put(mp_queue *q, int64_t priority, const mp_slice *item, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    struct item head = {.priority = priority, .size = item->size};
    uint64_t offset;
    if (has_all_items(s))
        return mp__queue_put_end(s);
    int r = mp__queue_block(q, block_size(&head), d, &offset);
    if (r < 0)
        return r;
    struct item *it = mp__object_at(s, offset);
    *it = head;
    if (item->size)
        memcpy(it + 1, item->data, item->size);
    r = put_block(q, offset, d);
    if (r <= 0)
        mp__queue_unblock(s, offset, block_size(&head));
    return r;
}

int mp__ordered_put(mp_queue *q, int64_t priority, const mp_slice *item, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    for (;;) {
        uint32_t seen = atomic_load(&s->ordered.left);
        int r = try_put(q, priority, item, d);
        if (r == 0)
            r = mp__queue_wait(q, &s->space_sleepers, &s->ordered.left, seen, d);
        else
            return r < 0 ? r : 0;
        if (r < 0)
            return r;
    }
}

// ---- taking ----

#define TAG_SLOT   36                  // where the slot begins
#define TAG_IS_ONE (UINT64_C(1) << 35) // so that none is 0
#define TAG_TIMES  28                  // where the number of the delivery begins

// Names a delivery: a later one of the same item has another.
static uint64_t tag_of(const struct item *it)
{
    return (uint64_t)it->slot << TAG_SLOT | TAG_IS_ONE |
           (uint64_t)(it->attempts & 127) << TAG_TIMES |
           (it->sequence & ((UINT64_C(1) << TAG_TIMES) - 1));
}

// Forgets an item that is in no heap. Locked; the block is released later.
static uint64_t forget(const struct view *v, uint32_t slot)
{
    struct table *t = v->t;
    uint64_t offset = t->item[slot];
    MP__POINT("ordered.leaving");
    __atomic_store_n(&t->item[slot], 0, __ATOMIC_RELEASE);
    MP__POINT("ordered.left");
    if (t->free < v->slots)
        free_of(v)[t->free++] = slot;
    atomic_fetch_add(&v->s->ordered.left, 1);
    return offset;
}

static void give_back(const struct view *v, uint32_t slot, struct item *it)
{
    struct mp__ordered *o = &v->s->ordered;
    it->holder = 0;
    MP__POINT("acked.given_back");
    heap_push(v, slot);
    atomic_fetch_add(&o->ready, 1);
    atomic_fetch_sub(&o->held, 1);
    atomic_fetch_add(&o->came, 1);
}

// What the dead hold can be taken again. Looks now and then. Locked.
static uint32_t reclaim(const struct view *v)
{
    struct mp__ordered *o = &v->s->ordered;
    int64_t now = atomic_load(&o->held) ? mp__now() : 0;
    uint32_t n = 0;
    if (now - o->looked_at < MP__LOOK_NS / 2)
        return 0;
    o->looked_at = now;
    for (uint32_t i = 0; i < v->slots; i++) {
        struct item *it = item_in(v, i);
        if (it && it->holder && mp__life_over(v->s, it->holder)) {
            give_back(v, i, it);
            n++;
        }
    }
    return n;
}

static void hold(mp_queue *q, const struct view *v, struct item *it, mp__life mine,
                 mp_queue_item *told)
{
    struct mp__ordered *o = &v->s->ordered;
    uint32_t attempts = it->attempts++;
    it->holder = mine;
    MP__POINT("acked.held");
    heap_pop(v);
    atomic_fetch_add(&o->held, 1);
    atomic_fetch_sub(&o->ready, 1);
    atomic_fetch_add(&o->left, 1); // room for another
    atomic_store(&q->last_tag, tag_of(it));
    if (told)
        *told = (mp_queue_item){tag_of(it), it->priority, attempts};
}

// Takes the first item; locked, and there is one. Returns its size; *gone is a block that is
// to be released.
static int64_t take(mp_queue *q, const struct view *v, const struct mp__want *w, mp__life mine,
                    uint64_t *gone)
{
    struct mp__queue *s = v->s;
    uint32_t slot = v->t->in_heap ? heap_of(v)[0] : v->slots;
    struct item *it = item_in(v, slot);
    uint64_t size = it ? it->size : 0;
    if (!it || !mp__reaches(v->reach, mp__object_offset(s, it + 1), size))
        return MP_EPROTO;
    int r = mp__want_take(w, it + 1, size);
    if (r < 0 || (!w->buf && !w->made && !w->discard))
        return r < 0 ? r : (int64_t)size;
    if (s->ack && !w->discard) {
        hold(q, v, it, mine, w->item);
    } else {
        heap_pop(v);
        *gone = forget(v, slot);
        atomic_fetch_sub(&s->ordered.ready, 1);
    }
    return (int64_t)size;
}

// One attempt. MP_ETIMEDOUT: there is nothing; MP_EOF: and there will be nothing.
static int64_t try_take(mp_queue *q, const struct mp__want *w, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    struct mp__ordered *o = &s->ordered;
    struct view v;
    mp__life mine = 0;
    uint64_t gone = 0;
    int64_t r = s->ack ? mp__life_mine(s, &mine) : 0;
    if (r < 0 || (r = lock(&v, s, d)) < 0)
        return r;
    uint32_t back = reclaim(&v);
    if (atomic_load(&o->ready))
        r = take(q, &v, w, mine, &gone);
    else if (mp__queue_get_end(s) && (!s->ack || atomic_load(&o->held) == 0))
        r = MP_EOF;
    else
        r = MP_ETIMEDOUT;
    bool left = r >= 0 && (gone || s->ack);
    unlock(&v);
    if (gone)
        mp__queue_unblock(s, gone, sizeof(struct item) + (uint64_t)r);
    if (left)
        mp__queue_left(s, &o->left, 1);
    if (back > 1)
        mp__queue_came(q, &o->came, back - 1);
    return r;
}

int64_t mp__ordered_get(mp_queue *q, const struct mp__want *w, mp__deadline d)
{
    struct mp__queue *s = q->shared;
    for (;;) {
        uint32_t seen = atomic_load(&s->ordered.came);
        int64_t r = try_take(q, w, d);
        if (r != MP_ETIMEDOUT || d == 0)
            return r;
        if ((r = mp__queue_wait(q, &s->data_sleepers, &s->ordered.came, seen, d)) < 0)
            return r;
    }
}

// ---- acknowledging ----

int mp__ordered_ack(mp_queue *q, uint64_t tag, bool back)
{
    struct mp__queue *s = q->shared;
    struct view v;
    mp__life mine;
    int r = mp__life_mine(s, &mine);
    if (r < 0 || (r = lock(&v, s, MP__NEVER)) < 0)
        return r;
    uint32_t slot = (uint32_t)(tag >> TAG_SLOT);
    struct item *it = item_in(&v, slot);
    uint64_t gone = 0, size = 0;
    if (!it || tag_of(it) != tag || it->holder != mine) {
        r = MP_ENOTHELD;
    } else if (back) {
        give_back(&v, slot, it);
    } else {
        size = block_size(it);
        gone = forget(&v, slot);
        atomic_fetch_sub(&s->ordered.held, 1);
    }
    unlock(&v);
    if (gone)
        mp__queue_unblock(s, gone, size);
    if (r == 0 && (back || mp__queue_get_end(s)))
        mp__queue_came(q, &s->ordered.came, back ? 1 : INT32_MAX);
    return r;
}

// ---- looking ----

bool mp__ordered_ready(mp_queue *q)
{
    struct mp__queue *s = q->shared;
    if (atomic_load(&s->ordered.ready))
        return true;
    struct view v;
    if (atomic_load(&s->ordered.held) == 0 || lock(&v, s, 0) < 0)
        return false;
    bool back = reclaim(&v) > 0;
    unlock(&v);
    return back;
}

int64_t mp__ordered_size(mp_queue *q)
{
    return atomic_load(&q->shared->ordered.ready);
}

bool mp__ordered_full(mp_queue *q)
{
    struct mp__queue *s = q->shared;
    return has_all_items(s) || atomic_load(&s->blocks) + sizeof(struct item) > s->max_bytes;
}

uint32_t mp__ordered_puts(struct mp__queue *s)
{
    return (uint32_t)(__atomic_load_n(&s->ordered.sequence, __ATOMIC_RELAXED) & MP__PLACE_COUNT);
}

// An item goes to and fro between the two counts: none is believed only with the lock.
uint32_t mp__ordered_unreported(struct mp__queue *s)
{
    struct mp__ordered *o = &s->ordered;
    uint32_t n = atomic_load(&o->ready) + atomic_load(&o->held);
    if (n)
        return n;
    struct view v;
    if (lock(&v, s, 0) < 0)
        return 1; // as far as can be told
    n = atomic_load(&o->ready) + atomic_load(&o->held);
    unlock(&v);
    return n;
}
