// SPDX-License-Identifier: MIT
//
// The primitives of <mp/async.h>, on one thing: a line of tasks that wait. Since only one task
// runs at a time, and changes only where it waits, there is nothing else to protect.
//
// What is given up goes straight to the first in the line; it is never free in between, so
// nobody overtakes. Unparking tells whether that task takes it: one that has just run out of
// time, or was cancelled, does not, and the next one is asked.
#include <mp/async.h>

#include "loop/coro.h"

#include <errno.h>
#include <stdlib.h>

// A place in a line, on the stack of who waits.
struct mp__line {
    struct mp__line *next, *before;
    mp_async_line *line; // NULL: called up
    mp_coro *task;
    void *item; // of a queue: what it puts, or was given
};

static void leave_line(struct mp__line *w)
{
    if (!w->line)
        return;
    *(w->before ? &w->before->next : &w->line->mp__first) = w->next;
    *(w->next ? &w->next->before : &w->line->mp__last) = w->before;
    w->line->mp__n--;
    w->line = NULL;
}

// 0 when somebody called it up. item (may be NULL) goes into the line and comes out of it.
static int stand_in_line(mp_async_line *line, mp_coro *me, int timeout_ms, void **item)
{
    struct mp__line w = {.before = line->mp__last, .line = line, .task = me};
    w.item = item ? *item : NULL;
    *(w.before ? &w.before->next : &line->mp__first) = &w;
    line->mp__last = &w;
    line->mp__n++;
    int err = mp__coro_park(me, timeout_ms);
    leave_line(&w);
    if (item && !err)
        *item = w.item;
    return err;
}

// Calls up the first who still waits, with this result; NULL if nobody does. It runs later:
// until then its place can be written.
static struct mp__line *call_up_with(mp_async_line *line, int result)
{
    while (line->mp__first) {
        struct mp__line *w = line->mp__first;
        leave_line(w);
        if (mp__coro_unpark(w->task, result))
            return w;
    }
    return NULL;
}

// The task that goes on because of this; NULL if nobody waits.
static mp_coro *call_up(mp_async_line *line)
{
    struct mp__line *w = call_up_with(line, 0);
    return w ? w->task : NULL;
}

// ---- lock ----

static int lock_acquire(mp_async_lock *l, mp_coro *me, int timeout_ms)
{
    if (l->mp__holder == me)
        return MP_EHELD;
    if (l->mp__holder)
        return stand_in_line(&l->mp__line, me, timeout_ms, NULL);
    l->mp__holder = me;
    return 0;
}

int mp_async_lock_acquire(mp_async_lock *l, int timeout_ms)
{
    int err;
    mp_coro *me = mp__coro_may_await(timeout_ms, &err);
    if (!me)
        return err;
    return l ? lock_acquire(l, me, timeout_ms) : MP_EINVAL;
}

int mp_async_lock_release(mp_async_lock *l)
{
    mp_coro *me = mp__coro_here();
    if (!l)
        return MP_EINVAL;
    if (!me || l->mp__holder != me)
        return MP_ENOTHELD;
    l->mp__holder = call_up(&l->mp__line);
    return 0;
}

// ---- event ----

int mp_async_event_wait(mp_async_event *e, int timeout_ms)
{
    int err;
    mp_coro *me = mp__coro_may_await(timeout_ms, &err);
    if (!me)
        return err;
    if (!e)
        return MP_EINVAL;
    return e->mp__up ? 0 : stand_in_line(&e->mp__line, me, timeout_ms, NULL);
}

int mp_async_event_set(mp_async_event *e)
{
    if (!e)
        return MP_EINVAL;
    e->mp__up = true;
    while (call_up(&e->mp__line))
        ;
    return 0;
}

int mp_async_event_clear(mp_async_event *e)
{
    if (!e)
        return MP_EINVAL;
    e->mp__up = false;
    return 0;
}

bool mp_async_event_is_set(const mp_async_event *e)
{
    return e && e->mp__up;
}

// ---- semaphore ----

int mp_async_semaphore_acquire(mp_async_semaphore *s, int timeout_ms)
{
    int err;
    mp_coro *me = mp__coro_may_await(timeout_ms, &err);
    if (!me)
        return err;
    if (!s)
        return MP_EINVAL;
    if (s->value == 0)
        return stand_in_line(&s->mp__line, me, timeout_ms, NULL);
    s->value--;
    return 0;
}

int mp_async_semaphore_release(mp_async_semaphore *s)
{
    if (!s)
        return MP_EINVAL;
    if (s->value == SIZE_MAX)
        return MP_EOVERFLOW;
    if (!call_up(&s->mp__line))
        s->value++;
    return 0;
}

// ---- condition ----

int mp_async_condition_wait(mp_async_condition *c, mp_async_lock *l, int timeout_ms)
{
    int err;
    bool cancelled = false;
    mp_coro *me = mp__coro_may_await(timeout_ms, &err);
    if (!me)
        return err;
    if (!c || !l)
        return MP_EINVAL;
    err = mp_async_lock_release(l);
    if (err)
        return err;
    err = stand_in_line(&c->mp__line, me, timeout_ms, NULL);
    while (lock_acquire(l, me, MP_FOREVER) == MP_ECANCELED)
        cancelled = true; // told when the lock is ours
    return cancelled ? MP_ECANCELED : err;
}

int64_t mp_async_condition_notify(mp_async_condition *c, size_t n)
{
    if (!c)
        return MP_EINVAL;
    int64_t woken = 0;
    while (n-- > 0 && call_up(&c->mp__line))
        woken++;
    return woken;
}

// ---- barrier ----

// Those in the line who have not just been told that they run out of time, or are cancelled.
static size_t still_waiting(const mp_async_line *line)
{
    size_t n = 0;
    for (const struct mp__line *w = line->mp__first; w; w = w->next)
        n += w->task->parked;
    return n;
}

int mp_async_barrier_wait(mp_async_barrier *b, int timeout_ms)
{
    int err, index = 0;
    mp_coro *me = mp__coro_may_await(timeout_ms, &err);
    if (!me)
        return err;
    if (!b || b->parties < 1)
        return MP_EINVAL;
    if (b->mp__broken)
        return MP_EBARRIER;
    size_t others = (size_t)b->parties - 1;
    if (b->mp__line.mp__n < others || still_waiting(&b->mp__line) < others)
        return stand_in_line(&b->mp__line, me, timeout_ms, NULL);
    while (call_up_with(&b->mp__line, index))
        index++;
    return index;
}

static void send_away(mp_async_barrier *b)
{
    while (call_up_with(&b->mp__line, MP_EBARRIER))
        ;
}

int mp_async_barrier_abort(mp_async_barrier *b)
{
    if (!b)
        return MP_EINVAL;
    b->mp__broken = true;
    send_away(b);
    return 0;
}

int mp_async_barrier_reset(mp_async_barrier *b)
{
    if (!b)
        return MP_EINVAL;
    b->mp__broken = false;
    send_away(b);
    return 0;
}

size_t mp_async_barrier_n_waiting(const mp_async_barrier *b)
{
    return b ? still_waiting(&b->mp__line) : 0;
}

bool mp_async_barrier_broken(const mp_async_barrier *b)
{
    return !b || b->mp__broken;
}

// ---- queue ----

// Getters wait only while it is empty, putters only while it is full: an item goes from hand
// to hand then, in the order of both lines.
struct mp_async_queue {
    void **ring;
    size_t size, first, count, max;
    bool closed;
    mp_async_line getters, putters;
};

int mp_async_queue_new(mp_async_queue **out, size_t max)
{
    if (!out)
        return MP_EINVAL;
    *out = calloc(1, sizeof **out);
    if (!*out)
        return -ENOMEM;
    (*out)->max = max ? max : SIZE_MAX;
    return 0;
}

static int grow(mp_async_queue *q)
{
    size_t size = q->size ? q->size * 2 : 16;
    void **ring = calloc(size, sizeof *ring);
    if (!ring)
        return -ENOMEM;
    for (size_t i = 0; i < q->count; i++)
        ring[i] = q->ring[(q->first + i) % q->size];
    free(q->ring);
    q->ring = ring;
    q->size = size;
    q->first = 0;
    return 0;
}

static void append(mp_async_queue *q, void *item)
{
    q->ring[(q->first + q->count++) % q->size] = item;
}

// Waits in a line of the queue, unless that is not wanted.
static int queue_wait(mp_async_line *line, void **item, int timeout_ms)
{
    int err;
    if (timeout_ms == 0)
        return MP_ETIMEDOUT;
    mp_coro *me = mp__coro_may_await(timeout_ms, &err);
    return me ? stand_in_line(line, me, timeout_ms, item) : err;
}

int mp_async_queue_put(mp_async_queue *q, void *item, int timeout_ms)
{
    if (!q || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (q->closed)
        return MP_ECLOSED;
    struct mp__line *getter = call_up_with(&q->getters, 0);
    if (getter) {
        getter->item = item;
        return 0;
    }
    if (q->count == q->max)
        return queue_wait(&q->putters, &item, timeout_ms);
    if (q->count == q->size && grow(q) < 0)
        return -ENOMEM;
    append(q, item);
    return 0;
}

int mp_async_queue_get(mp_async_queue *q, void **item, int timeout_ms)
{
    if (!q || !item || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (q->count == 0) {
        void *got = NULL;
        int err = q->closed ? MP_EOF : queue_wait(&q->getters, &got, timeout_ms);
        if (!err)
            *item = got;
        return err;
    }
    *item = q->ring[q->first];
    q->first = (q->first + 1) % q->size;
    q->count--;
    struct mp__line *putter = call_up_with(&q->putters, 0);
    if (putter)
        append(q, putter->item);
    return 0;
}

size_t mp_async_queue_size(const mp_async_queue *q)
{
    return q ? q->count : 0;
}

void mp_async_queue_close(mp_async_queue *q)
{
    if (!q || q->closed)
        return;
    q->closed = true;
    while (call_up_with(&q->getters, MP_EOF))
        ;
    while (call_up_with(&q->putters, MP_ECLOSED))
        ;
}

void mp_async_queue_free(mp_async_queue *q)
{
    if (!q)
        return;
    free(q->ring);
    free(q);
}
