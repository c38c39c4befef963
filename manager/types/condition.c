// SPDX-License-Identifier: MIT
//
// Condition. A call of wait goes through two queues: that of the condition, until it is notified,
// its time is over or it is cancelled, and then that of the lock, since it returns with the
// lock held, whatever happened. A notification goes to who waits longest, and a dead session's
// requests do not wait.
#include "core/type.h"

struct condition {
    struct mp__object o;
    struct mp__queue waiting;
    struct mp__value lock_value; // a reference to
    struct mp__object *lock;
};

enum { WAITING, NOTIFIED, TOO_LATE, CANCELED };

static struct condition *condition(struct mp__call *c)
{
    return (struct condition *)c->object;
}

static int call_acquire(struct mp__call *c)
{
    return mp__lock_acquire(c, condition(c)->lock, mp__arg_uint(c, 0, 0), mp__arg_uint(c, 1, 0));
}

static int call_release(struct mp__call *c)
{
    return mp__lock_release(c, condition(c)->lock, mp__arg_uint(c, 0, 0), mp__arg_uint(c, 1, 0));
}

static void put_result(struct mp__call *c, bool notified)
{
    mp__put_array(c->out, 2);
    mp__put_bool(c->out, notified);
    mp__put_uint(c->out, mp__lock_token(condition(c)->lock));
}

static int wait_again(struct mp__call *c)
{
    unsigned phase = c->waiter->phase;
    if (phase == WAITING)
        return mp__wait(c, &condition(c)->waiting);
    int r = mp__lock_reacquire(c, condition(c)->lock, mp__arg_uint(c, 0, 0), c->data);
    if (r == 0 || r == MP_EOWNERDEAD)
        put_result(c, phase == NOTIFIED);
    return r == 0 && phase == CANCELED ? MP_ECANCELED : r;
}

static int call_wait(struct mp__call *c)
{
    if (c->waiter)
        return wait_again(c);
    if (!mp__lock_held_by(condition(c)->lock, c->session, mp__arg_uint(c, 0, 0)))
        return MP_ENOTHELD;
    if (c->timeout != 0)
        return mp__wait(c, &condition(c)->waiting);
    put_result(c, false); // nobody can notify it meanwhile
    return 0;
}

// It has a place: now the lock can go.
static void parked(struct mp__waiter *w)
{
    struct condition *n = (struct condition *)w->call.object;
    if (w->queue == &n->waiting)
        w->call.data = mp__lock_give_up(n->lock);
}

static void go_on(struct condition *n, struct mp__waiter *w, unsigned phase)
{
    w->phase = phase;
    mp__move(w, mp__lock_queue(n->lock));
    mp__wake(mp__lock_queue(n->lock));
}

static bool gave_up(struct mp__waiter *w, enum mp__reason why)
{
    struct condition *n = (struct condition *)w->call.object;
    if (why == MP__GONE || w->call.info->op != MP__OP(CONDITION, wait))
        return false;
    if (w->phase == WAITING)
        go_on(n, w, why == MP__TIMED_OUT ? TOO_LATE : CANCELED);
    return true;
}

static int notify(struct mp__call *c, uint64_t n, uint64_t owner)
{
    struct condition *d = condition(c);
    uint64_t woken = 0;
    if (!mp__lock_held_by(d->lock, c->session, owner))
        return MP_ENOTHELD;
    for (; woken < n && d->waiting.count > 0; woken++)
        go_on(d, mp__queue_first(&d->waiting), NOTIFIED);
    mp__put_uint(c->out, woken);
    return 0;
}

static int call_notify(struct mp__call *c)
{
    return notify(c, mp__arg_uint(c, 0, 1), mp__arg_uint(c, 1, 0));
}

static int call_notify_all(struct mp__call *c)
{
    return notify(c, UINT64_MAX, mp__arg_uint(c, 0, 0));
}

static int call_waiters(struct mp__call *c)
{
    mp__put_uint(c->out, condition(c)->waiting.count);
    return 0;
}

// ---- the type ------------------------------------------------------------------------

static int find_lock(void *arg, uint64_t id)
{
    struct condition *n = arg;
    n->lock = mp__object_find(n->o.core, id);
    return 0;
}

static int make(struct mp__call *c)
{
    struct condition *n = condition(c);
    uint8_t small[16];
    mp_buf b = {.data = small, .capacity = sizeof small, .borrowed = true, .fixed = true};
    struct mp__slice s;
    mp__queue_init(&n->waiting, &n->o);
    if (mp__given(c, 0)) {
        s = mp__arg(c, 0);
    } else {
        struct mp__object *own = mp__object_own(c->core, "RLock");
        if (!own)
            return MP_EQUOTA;
        mp__put_object(&b, own->id);
        s = (struct mp__slice){small, b.size, true};
    }
    int r = mp__each_object(s, find_lock, n);
    if (r == 0 && !n->lock)
        r = MP_ESTALE;
    if (r == 0 && n->lock->type->interface != MP__LOCK)
        r = mp__fail(c, MP_ETYPE, "not a lock");
    return r < 0 ? r : mp__value_store(c->object, &n->lock_value, s);
}

static void end(struct mp__object *o)
{
    mp__value_drop(o, &((struct condition *)o)->lock_value);
}

static void each(struct mp__object *o,
                 void (*fn)(struct mp__object *o, struct mp__slice s, void *arg), void *arg)
{
    fn(o, mp__value_slice(&((struct condition *)o)->lock_value), arg);
}

static int save_make(struct mp__object *o, mp_buf *args)
{
    mp__put_object(args, ((struct condition *)o)->lock->id);
    return 1;
}

static mp__method *const methods[] = {MP__CALLS_CONDITION(MP__METHOD)};

const struct mp__type mp__type_condition = {.name = "Condition",
                                            .interface = MP__CONDITION,
                                            .size = sizeof(struct condition),
                                            .methods = methods,
                                            .make = make,
                                            .end = end,
                                            .parked = parked,
                                            .gave_up = gave_up,
                                            .each = each,
                                            .save_make = save_make};
