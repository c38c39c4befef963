// SPDX-License-Identifier: MIT
//
// Queue, LifoQueue, PriorityQueue and JoinableQueue: a heap of items. An item that is taken from a
// JoinableQueue is in the session's hand until it says that it is done; when the session ends
// before, it goes back, with its ticket, and so to where it was.
#include "types/items.h"

#include <stdlib.h>

struct queue {
    struct mp__object o;
    struct mp__queue getters, putters, joiners;
    struct mp__items heap;
    uint64_t most;   // items; 0: no bound
    uint64_t ticket; // of the last one put
    uint64_t taken;  // in hands
    bool shut, drained;
};

// What a session took and did not acknowledge, in that order.
struct hand {
    struct mp__stake stake;
    struct mp__items items;
};

static struct queue *queue(struct mp__call *c)
{
    return (struct queue *)c->object;
}

static bool joinable(const struct queue *q)
{
    return q->o.type == &mp__type_joinable_queue;
}

static void drop(struct queue *q, struct mp__item *i)
{
    mp__value_drop(&q->o, &i->value);
    mp__discharge(&q->o, sizeof *i);
}

static void drop_all(struct queue *q)
{
    for (size_t i = 0; i < q->heap.count; i++)
        drop(q, &q->heap.item[i]);
    free(q->heap.item);
    q->heap = (struct mp__items){.last_first = q->heap.last_first};
}

// ---- putting -------------------------------------------------------------------------

static bool has_room(const struct queue *q, uint64_t n)
{
    return q->most == 0 || (q->heap.count < q->most && n <= q->most - q->heap.count);
}

static int make_item(struct mp__call *c, struct mp__slice s, int64_t priority, struct mp__item *i)
{
    *i = (struct mp__item){.priority = priority};
    int r = mp__charge(c->object, sizeof *i);
    if (r != 0)
        return r;
    r = mp__value_store(c->object, &i->value, s);
    if (r < 0)
        mp__discharge(c->object, sizeof *i);
    return r;
}

static int put(struct mp__call *c, struct mp__slice s, int64_t priority)
{
    struct queue *q = queue(c);
    struct mp__item i;
    int r = mp__items_reserve(&q->heap, (size_t)q->taken + 1); // what is taken can always come back
    if (r == 0)
        r = make_item(c, s, priority, &i);
    if (r != 0)
        return r;
    i.ticket = ++q->ticket;
    mp__items_push(&q->heap, i);
    mp__wake(&q->getters);
    return 0;
}

static int call_put(struct mp__call *c)
{
    struct queue *q = queue(c);
    if (mp__given(c, 1) && q->o.type != &mp__type_priority_queue)
        return mp__fail(c, MP_ENOTSUP, "only a PriorityQueue has priorities");
    if (q->shut)
        return MP_ECLOSED;
    if (!c->replay && (!has_room(q, 1) || mp__others_wait(c, &q->putters)))
        return mp__wait(c, &q->putters);
    return put(c, mp__arg(c, 0), mp__arg_int(c, 1, 0));
}

// All or none: what was put last is taken out again.
static int put_all(struct mp__call *c, struct mp__slice array)
{
    struct queue *q = queue(c);
    struct mp__walk w = mp__walk(array);
    struct mp__items new = {0};
    struct mp__slice s;
    int r = mp__items_reserve(&q->heap, (size_t)(q->taken + w.left));
    if (r == 0)
        r = mp__items_reserve(&new, (size_t)w.left);
    while (r == 0 && mp__walk_next(&w, &s)) {
        r = make_item(c, s, 0, &new.item[new.count]);
        new.count += r == 0;
    }
    for (size_t i = 0; i < new.count; i++) {
        new.item[i].ticket = q->ticket + 1 + i;
        if (r == 0)
            mp__items_push(&q->heap, new.item[i]);
        else
            drop(q, &new.item[i]);
    }
    if (r == 0)
        q->ticket += new.count;
    free(new.item);
    mp__wake(&q->getters);
    return r;
}

static int call_put_many(struct mp__call *c)
{
    struct queue *q = queue(c);
    uint64_t n = mp__walk(mp__arg(c, 0)).left;
    if (q->shut)
        return MP_ECLOSED;
    if (q->most && n > q->most)
        return mp__fail(c, MP_EINVAL, "more than there is ever room for");
    if (!c->replay && (!has_room(q, n) || mp__others_wait(c, &q->putters)))
        return mp__wait(c, &q->putters);
    return put_all(c, mp__arg(c, 0));
}

// ---- hands ---------------------------------------------------------------------------

static struct hand *find_hand(struct mp__call *c)
{
    struct mp__link *head = &c->object->stakes;
    for (struct mp__link *l = head->next; l != head; l = l->next) {
        struct hand *h = (struct hand *)MP__OF(l, struct mp__stake, in_object);
        if (h->stake.session == c->session)
            return h;
    }
    return NULL;
}

// A hand with room for n more; NULL: no memory.
static struct hand *hand_for(struct mp__call *c, size_t n)
{
    struct hand *h = find_hand(c);
    if (!h) {
        h = calloc(1, sizeof *h);
        if (!h)
            return NULL;
        mp__stake_take(&h->stake, c->session, c->object);
    }
    return mp__items_reserve(&h->items, n) < 0 ? NULL : h;
}

static void hand_end(struct hand *h)
{
    mp__stake_drop(&h->stake);
    free(h->items.item);
    free(h);
}

// The item of a ticket in the session's hand, or its first; MP_ENOTHELD.
static int find_taken(struct mp__call *c, struct hand **hand, size_t *at)
{
    struct hand *h = find_hand(c);
    uint64_t ticket = mp__arg_uint(c, 0, 0);
    for (size_t i = 0; h && i < h->items.count; i++)
        if (!ticket || h->items.item[i].ticket == ticket) {
            *hand = h;
            *at = i;
            return 0;
        }
    return MP_ENOTHELD;
}

static struct mp__item hand_take(struct queue *q, struct hand *h, size_t at)
{
    struct mp__item i = h->items.item[at];
    memmove(&h->items.item[at], &h->items.item[at + 1],
            (--h->items.count - at) * sizeof *h->items.item);
    q->taken--;
    if (h->items.count == 0)
        hand_end(h);
    return i;
}

static bool all_done(const struct queue *q)
{
    return q->heap.count + q->taken == 0;
}

// ---- getting -------------------------------------------------------------------------

// Whether there is something for this call; or what it returns.
static int may_get(struct mp__call *c)
{
    struct queue *q = queue(c);
    if (q->heap.count == 0 && q->shut)
        return MP_ECLOSED;
    if (q->heap.count == 0 || mp__others_wait(c, &q->getters))
        return mp__wait(c, &q->getters);
    return 0;
}

// Takes n items, which are there; before puts an array of them.
static int get(struct mp__call *c, size_t n, bool array, bool tickets)
{
    struct queue *q = queue(c);
    struct hand *h = joinable(q) ? hand_for(c, n) : NULL;
    if (joinable(q) && !h)
        return MP_EQUOTA;
    c->unlogged = joinable(q); // it is there until it is done
    if (array)
        mp__put_array(c->out, n);
    for (; n > 0; n--) {
        struct mp__item i = mp__items_pop(&q->heap);
        if (tickets) {
            mp__put_array(c->out, 2);
            mp__put_uint(c->out, i.ticket);
        }
        mp__put_value(c, &i.value);
        if (h)
            h->items.item[h->items.count++] = i;
        else
            drop(q, &i);
        q->taken += h != NULL;
    }
    mp__wake(&q->putters);
    return 0;
}

static int call_get(struct mp__call *c)
{
    int r = may_get(c);
    return r ? r : get(c, 1, false, false);
}

static int call_get_many(struct mp__call *c)
{
    uint64_t n = mp__arg_uint(c, 0, 0);
    int r = n ? may_get(c) : MP_EINVAL;
    if (r)
        return r;
    return get(c, n < queue(c)->heap.count ? (size_t)n : queue(c)->heap.count, true, false);
}

static int not_joinable(struct mp__call *c)
{
    return mp__fail(c, MP_ENOTSUP, "only a JoinableQueue can do that");
}

// Takes the item that a call names out of the hand of its session.
static int take_back(struct mp__call *c, struct mp__item *i)
{
    struct hand *h;
    size_t at;
    if (!joinable(queue(c)))
        return not_joinable(c);
    int r = find_taken(c, &h, &at);
    if (r == 0)
        *i = hand_take(queue(c), h, at);
    return r;
}

static int call_take(struct mp__call *c)
{
    if (!joinable(queue(c)))
        return not_joinable(c);
    int r = may_get(c);
    return r ? r : get(c, 1, false, true);
}

static int call_task_done(struct mp__call *c)
{
    struct queue *q = queue(c);
    struct mp__item i;
    int r = take_back(c, &i);
    if (r != 0)
        return r;
    mp__put_uint(mp__log_call(c, MP__OP(QUEUE, restore_done), q->o.id, 1), i.ticket);
    drop(q, &i);
    if (all_done(q))
        mp__wake(&q->joiners);
    return 0;
}

// An item comes back, for which there is room; to a queue that was drained it does not.
static void come_back(struct queue *q, struct mp__item *i)
{
    if (!q->drained)
        mp__items_push(&q->heap, *i);
    else
        drop(q, i);
    mp__wake(&q->getters);
    if (all_done(q))
        mp__wake(&q->joiners);
}

static int call_give_back(struct mp__call *c)
{
    struct queue *q = queue(c);
    struct mp__item i;
    int r = take_back(c, &i);
    if (r != 0)
        return r;
    c->unlogged = true;
    come_back(q, &i);
    return 0;
}

static void gone(struct mp__stake *s)
{
    struct hand *h = (struct hand *)s;
    struct queue *q = (struct queue *)s->object;
    q->taken -= h->items.count;
    mp__core_counts(q->o.core)->items_returned += h->items.count;
    for (size_t i = 0; i < h->items.count; i++)
        come_back(q, &h->items.item[i]);
    hand_end(h);
}

// ---- the rest ------------------------------------------------------------------------

static int call_join(struct mp__call *c)
{
    if (!joinable(queue(c)))
        return not_joinable(c);
    return all_done(queue(c)) ? 0 : mp__wait(c, &queue(c)->joiners);
}

static int call_qsize(struct mp__call *c)
{
    mp__put_uint(c->out, queue(c)->heap.count);
    return 0;
}

static int call_empty(struct mp__call *c)
{
    mp__put_bool(c->out, queue(c)->heap.count == 0);
    return 0;
}

static int call_full(struct mp__call *c)
{
    mp__put_bool(c->out, !has_room(queue(c), 1));
    return 0;
}

static int call_shutdown(struct mp__call *c)
{
    struct queue *q = queue(c);
    q->shut = true;
    if (mp__arg_bool(c, 0)) {
        q->drained = true;
        drop_all(q);
    }
    mp__wake(&q->getters);
    mp__wake(&q->putters);
    if (all_done(q))
        mp__wake(&q->joiners);
    return 0;
}

static int call_unfinished(struct mp__call *c)
{
    if (!joinable(queue(c)))
        return not_joinable(c);
    mp__put_uint(c->out, queue(c)->heap.count + queue(c)->taken);
    return 0;
}

// ---- from the log --------------------------------------------------------------------

static int call_restore(struct mp__call *c)
{
    queue(c)->ticket = mp__arg_uint(c, 0, 0);
    queue(c)->shut = mp__arg_bool(c, 1);
    return 0;
}

static int call_restore_item(struct mp__call *c)
{
    struct queue *q = queue(c);
    struct mp__item i;
    int r = mp__items_reserve(&q->heap, 1);
    if (r == 0)
        r = make_item(c, mp__arg(c, 2), mp__arg_int(c, 1, 0), &i);
    if (r != 0)
        return r;
    i.ticket = mp__arg_uint(c, 0, 0);
    mp__items_push(&q->heap, i);
    return 0;
}

// It is mostly the first. One that is not there went when the queue was drained.
static int call_restore_done(struct mp__call *c)
{
    struct queue *q = queue(c);
    for (size_t i = 0; i < q->heap.count; i++)
        if (q->heap.item[i].ticket == mp__arg_uint(c, 0, 0)) {
            struct mp__item done = mp__items_take(&q->heap, i);
            drop(q, &done);
            return 0;
        }
    return 0;
}

static int save_item(struct mp__saver *s, struct queue *q, const struct mp__item *i)
{
    mp_buf *b = mp__save_call(s, &q->o, MP__OP(QUEUE, restore_item), 3);
    mp__put_uint(b, i->ticket);
    mp__put_int(b, i->priority);
    mp__put_packed(b, mp__value_data(&i->value), i->value.size);
    return mp__saved(s);
}

static int save_items(struct mp__saver *s, struct queue *q, const struct mp__items *items)
{
    int r = 0;
    for (size_t i = 0; i < items->count && r >= 0; i++)
        r = save_item(s, q, &items->item[i]);
    return r;
}

static int save(struct mp__object *o, struct mp__saver *s)
{
    struct queue *q = (struct queue *)o;
    mp_buf *b = mp__save_call(s, o, MP__OP(QUEUE, restore), 2);
    mp__put_uint(b, q->ticket);
    mp__put_bool(b, q->shut);
    int r = mp__saved(s);
    if (r >= 0)
        r = save_items(s, q, &q->heap);
    for (struct mp__link *l = o->stakes.next; l != &o->stakes && r >= 0; l = l->next)
        r = save_items(s, q, &((struct hand *)MP__OF(l, struct mp__stake, in_object))->items);
    return r;
}

static int save_make(struct mp__object *o, mp_buf *args)
{
    mp__put_uint(args, ((struct queue *)o)->most);
    return 1;
}

// ---- the types -----------------------------------------------------------------------

static int make(struct mp__call *c)
{
    struct queue *q = queue(c);
    mp__queue_init(&q->getters, &q->o);
    mp__queue_init(&q->putters, &q->o);
    mp__queue_init(&q->joiners, &q->o);
    q->heap.last_first = q->o.type == &mp__type_lifo_queue;
    q->most = mp__arg_uint(c, 0, 0);
    return 0;
}

static void end(struct mp__object *o)
{
    drop_all((struct queue *)o);
}

static void each_in(struct mp__object *o, const struct mp__items *items,
                    void (*fn)(struct mp__object *o, struct mp__slice s, void *arg), void *arg)
{
    for (size_t i = 0; i < items->count; i++)
        if (items->item[i].value.objects)
            fn(o, mp__value_slice(&items->item[i].value), arg);
}

static void each(struct mp__object *o,
                 void (*fn)(struct mp__object *o, struct mp__slice s, void *arg), void *arg)
{
    each_in(o, &((struct queue *)o)->heap, fn, arg);
    for (struct mp__link *l = o->stakes.next; l != &o->stakes; l = l->next)
        each_in(o, &((struct hand *)MP__OF(l, struct mp__stake, in_object))->items, fn, arg);
}

static void add_up(const struct mp__items *items, uint64_t *bytes, uint64_t *count)
{
    for (size_t i = 0; i < items->count; i++)
        *bytes += sizeof *items->item + items->item[i].value.size;
    *count += items->count;
}

static const char *check(struct mp__object *o)
{
    const struct queue *q = (struct queue *)o;
    uint64_t bytes = 0, in_heap = 0, taken = 0;
    add_up(&q->heap, &bytes, &in_heap);
    for (struct mp__link *l = o->stakes.next; l != &o->stakes; l = l->next)
        add_up(&((struct hand *)MP__OF(l, struct mp__stake, in_object))->items, &bytes, &taken);
    if (bytes != o->bytes || taken != q->taken)
        return "bytes or items of a queue";
    for (size_t i = 1; i < q->heap.count; i++)
        if (mp__items_before(&q->heap, &q->heap.item[i], &q->heap.item[(i - 1) / 2]))
            return "the order of a queue";
    if (q->getters.count && (q->heap.count || q->shut))
        return "somebody waits for an item that is there";
    if (q->joiners.count && all_done(q))
        return "somebody waits for what is done";
    const struct mp__waiter *w = mp__queue_first(&q->putters);
    if (w && (q->shut || (w->call.info->op == MP__OP(QUEUE, put) && has_room(q, 1))))
        return "somebody waits for room that is there";
    return NULL;
}

static mp__method *const methods[] = {MP__CALLS_QUEUE(MP__METHOD)};

#define TYPE(as)                                                                                   \
    {                                                                                              \
        .name = (as), .interface = MP__QUEUE, .size = sizeof(struct queue), .methods = methods,    \
        .make = make, .end = end, .gone = gone, .each = each, .save_make = save_make,              \
        .save = save, .check = check                                                               \
    }

const struct mp__type mp__type_queue = TYPE("Queue"), mp__type_lifo_queue = TYPE("LifoQueue"),
                      mp__type_priority_queue = TYPE("PriorityQueue"),
                      mp__type_joinable_queue = TYPE("JoinableQueue");
