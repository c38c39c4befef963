// SPDX-License-Identifier: MIT
//
// Requests that wait. One is a copy of the message, from which the call is made again: from the
// start, when the queue it waits in has been woken and it is the first there. A queue is served
// until its first has to wait again. So nobody overtakes who waited longer.
//
// Who waits holds a reference to the object; it ends by its call's success, by a timeout, by a
// cancel, or with its session. Some types want a word in the latter three.
#include "core/state.h"

#include <errno.h>
#include <stdlib.h>

void mp__queue_init(struct mp__queue *q, struct mp__object *o)
{
    mp__list_init(&q->waiters);
    mp__list_init(&q->woken);
    q->object = o;
    q->count = 0;
}

struct mp__waiter *mp__queue_first(const struct mp__queue *q)
{
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): one that was freed has left the list
    return q->count ? MP__OF(q->waiters.next, struct mp__waiter, in_queue) : NULL;
}

static int would_wait(struct mp__call *c, const struct mp__object *o)
{
    if (c->timeout == 0 || c->replay)
        return MP_EAGAIN;
    if (o->waiting >= c->core->limits.object_waiting)
        return mp__fail(c, MP_EQUOTA, "too many wait for it");
    return 0;
}

int mp__wait(struct mp__call *c, struct mp__queue *q)
{
    c->queue = q;
    int r = c->waiter ? 0 : would_wait(c, q->object);
    return r < 0 ? r : MP__WAITS;
}

void mp__wake(struct mp__queue *q)
{
    if (q->count > 0 && mp__list_empty(&q->woken))
        mp__list_add(&q->object->core->woken, &q->woken);
}

// ---- in and out ----------------------------------------------------------------------

static void join(struct mp__waiter *w, struct mp__queue *q)
{
    w->queue = q;
    q->count++;
    q->object->waiting++;
    mp__list_add(&q->waiters, &w->in_queue);
}

static void leave(struct mp__waiter *w)
{
    mp__list_remove(&w->in_queue);
    if (!w->queue)
        return;
    w->queue->count--;
    w->queue->object->waiting--;
    w->queue = NULL;
}

void mp__move(struct mp__waiter *w, struct mp__queue *q)
{
    mp__timer_cancel(w->call.core, &w->timer);
    leave(w);
    join(w, q);
}

static void timed_out(void *arg);

static int arm(struct mp__waiter *w)
{
    w->timer = -1;
    if (w->call.timeout < 0)
        return 0;
    w->timer =
        mp__timer_add(w->call.core, w->call.core->now + w->call.timeout * 1000000, timed_out, w);
    return w->timer < 0 ? -ENOMEM : 0;
}

static size_t copied(const struct mp__call *c)
{
    size_t from = c->count ? c->args[0].offset : 0;
    size_t end = c->count ? c->args[c->count - 1].offset + c->args[c->count - 1].size : 0;
    return sizeof(struct mp__waiter) + c->count * sizeof *c->args + (end - from);
}

// The call's elements and bytes behind the struct; what it had on the stack is forgotten.
static struct mp__waiter *copy_of(const struct mp__call *c)
{
    size_t elements = c->count * sizeof *c->args, from = c->count ? c->args[0].offset : 0;
    size_t end = c->count ? c->args[c->count - 1].offset + c->args[c->count - 1].size : 0;
    struct mp__waiter *w = malloc(copied(c));
    if (!w)
        return NULL;
    struct mp__wire_element *args = (struct mp__wire_element *)(w + 1);
    uint8_t *bytes = (uint8_t *)args + elements;
    *w = (struct mp__waiter){.call = *c};
    for (size_t i = 0; i < c->count; i++) {
        args[i] = c->args[i];
        args[i].offset -= from;
    }
    if (c->count)
        memcpy(bytes, c->message + from, end - from);
    w->call.args = args;
    w->call.message = bytes;
    w->call.waiter = w;
    w->call.out = &c->core->out;
    return w;
}

static int has_room(struct mp__call *c)
{
    if (c->session->waiting >= c->core->limits.waiting)
        return mp__fail(c, MP_EQUOTA, "too many requests of this session wait");
    if (c->core->waiting_bytes + copied(c) > c->core->limits.bytes)
        return mp__fail(c, MP_EQUOTA, "too many bytes wait");
    return 0;
}

int mp__may_wait(struct mp__call *c)
{
    int r = would_wait(c, c->object);
    return r < 0 ? r : has_room(c);
}

int mp__park(struct mp__call *c, struct mp__waiter **out)
{
    struct mp__session *s = c->session;
    int r = has_room(c);
    if (r < 0)
        return r;
    struct mp__waiter *w = copy_of(c);
    if (!w || arm(w) < 0) {
        free(w);
        return MP_EQUOTA;
    }
    mp__list_init(&w->in_queue);
    mp__list_add(&s->waiters, &w->in_session);
    s->waiting++;
    c->core->stats.waiting++;
    c->core->waiting_bytes += copied(c);
    *out = w;
    if (!c->queue)
        return 0;
    join(w, c->queue);
    mp__object_ref(c->object);
    if (c->object->type->parked)
        c->object->type->parked(w);
    return 0;
}

void mp__waiter_end(struct mp__waiter *w)
{
    struct mp__core *c = w->call.core;
    bool queued = w->queue != NULL;
    mp__timer_cancel(c, &w->timer);
    leave(w);
    mp__list_remove(&w->in_session);
    w->call.session->waiting--;
    c->stats.waiting--;
    c->waiting_bytes -= copied(&w->call);
    if (queued)
        mp__object_unref(w->call.object);
    else if (w->call.info->op == MP__OP(MANAGER, watch))
        c->stats.watching--;
    else if (w->call.info->op == MP__OP(MANAGER, serve_tasks))
        mp__workers_end(w);
    free(w);
}

void mp__waiter_give_up(struct mp__waiter *w)
{
    struct mp__queue *q = w->queue;
    mp__waiter_end(w);
    if (q)
        mp__wake(q); // those behind it may want less
}

void mp__waiter_finish(struct mp__waiter *w, int err)
{
    struct mp__call c = w->call;
    mp_buf own = {0}; // may be in the middle of another reply
    c.out = &own;
    c.why = NULL;
    c.objects_in = c.objects_out = false;
    mp__waiter_give_up(w);
    mp__reply_status(&c, mp__reply_begin(&c), err);
    mp__reply_send(&c);
    mp_buf_free(&own);
}

// ---- going on ------------------------------------------------------------------------

// Whether it is out of the queue.
static bool retry(struct mp__waiter *w)
{
    struct mp__call c = w->call;
    struct mp__queue *q = w->queue;
    c.queue = NULL;
    size_t at = mp__reply_begin(&c);
    int r = mp__call_do(&c, c.info->op, 0);
    if (r == MP__WAITS) {
        if (c.queue != q)
            mp__move(w, c.queue);
        return c.queue != q;
    }
    mp__reply_status(&c, at, r);
    mp__reply_send(&c);
    mp__waiter_end(w);
    return true;
}

static void serve(struct mp__queue *q)
{
    mp__list_remove(&q->woken);
    if (!q->object->type->custom) {
        while (q->count > 0 && retry(mp__queue_first(q)))
            continue;
        return;
    }
    // What a custom method waits for nobody knows: each of them is tried once.
    struct mp__link *l = q->waiters.next, *next;
    for (uint32_t n = q->count; n > 0 && l != &q->waiters; n--, l = next) {
        next = l->next; // NOLINT(clang-analyzer-unix.Malloc): likewise
        retry(MP__OF(l, struct mp__waiter, in_queue));
    }
}

void mp__settle(struct mp__core *c)
{
    bool full = c->stats.objects >= c->limits.objects;
    if (c->suspects > 0 && (full || c->suspects > 16 + c->stats.objects / 2))
        mp__collect(c);
    for (;;) {
        if (!mp__list_empty(&c->woken)) {
            serve(MP__OF(c->woken.next, struct mp__queue, woken));
        } else if (!mp__list_empty(&c->doomed) && !c->replaying) {
            mp__object_bury(MP__OF(c->doomed.next, struct mp__object, doomed));
        } else if (mp__list_empty(&c->ready) || !mp__tasks_deal(c)) {
            break;
        }
    }
    if (c->dropped)
        mp__jobs_free(c);
}

// ---- giving up -----------------------------------------------------------------------

static bool type_keeps(struct mp__waiter *w, enum mp__reason why)
{
    return w->queue && w->call.object->type->gave_up && w->call.object->type->gave_up(w, why);
}

static void timed_out(void *arg)
{
    struct mp__waiter *w = arg;
    w->timer = -1;
    w->call.core->stats.timeouts++;
    if (!type_keeps(w, MP__TIMED_OUT))
        mp__waiter_finish(w, MP_ETIMEDOUT);
}

struct mp__waiter *mp__waiter_find(struct mp__session *s, uint64_t id)
{
    for (struct mp__link *l = s->waiters.next; l != &s->waiters; l = l->next) {
        struct mp__waiter *w = MP__OF(l, struct mp__waiter, in_session);
        if (w->call.id == id)
            return w;
    }
    return NULL;
}

bool mp__cancel(struct mp__session *s, uint64_t id)
{
    struct mp__waiter *w = mp__waiter_find(s, id);
    if (!w)
        return false;
    s->core->stats.cancels++;
    if (!type_keeps(w, MP__CANCELED))
        mp__waiter_finish(w, MP_ECANCELED);
    return true;
}
