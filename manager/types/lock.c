// SPDX-License-Identifier: MIT
//
// Lock and RLock. A session's threads are told apart by a number that they give themselves. Each
// time a lock is acquired anew there is a new token, larger than all before, so that whatever the
// lock guards can refuse who had it earlier and does not know that it lost it.
//
// A lease is a time after which the lock goes on without its holder. It is looked at when its
// time is over, by a timer; one that is found half a second late was not looked at because the
// manager or the machine stood still, and maybe the holder as well: it is given that time again,
// once.
#include "core/type.h"

#define LATE (500 * INT64_C(1000000))

struct lock {
    struct mp__object o;
    struct mp__stake holder;
    struct mp__queue waiting;
    uint64_t owner, token, depth;
    int64_t lease, until, timer; // ns, 0: none
    bool died;                   // who had it before did not release it
    bool forgiven;               // the lease was found late
};

static struct lock *lock(struct mp__call *c)
{
    return (struct lock *)c->object;
}

static bool recursive(const struct lock *l)
{
    return l->o.type == &mp__type_rlock;
}

bool mp__lock_held_by(struct mp__object *o, struct mp__session *s, uint64_t owner)
{
    const struct lock *l = (struct lock *)o;
    return l->holder.session && l->holder.session == s && l->owner == owner;
}

struct mp__queue *mp__lock_queue(struct mp__object *o)
{
    return &((struct lock *)o)->waiting;
}

uint64_t mp__lock_token(const struct mp__object *o)
{
    return ((const struct lock *)o)->token;
}

// ---- leases --------------------------------------------------------------------------

static void let_go(struct lock *l, bool died)
{
    mp__timer_cancel(l->o.core, &l->timer);
    l->died |= died;
    mp__stake_drop(&l->holder);
    mp__wake(&l->waiting);
}

static void lease_over(void *arg);

static int arm(struct lock *l, int64_t from, int64_t ns)
{
    mp__timer_cancel(l->o.core, &l->timer);
    l->until = from + ns;
    l->timer = mp__timer_add(l->o.core, l->until, lease_over, l);
    return l->timer < 0 ? MP_EQUOTA : 0;
}

static void lease_over(void *arg)
{
    struct lock *l = arg;
    int64_t now = mp__core_now(l->o.core), late = now - l->until;
    l->timer = -1;
    if (late > LATE && !l->forgiven) {
        l->forgiven = true;
        if (arm(l, now, late < l->lease ? late : l->lease) == 0)
            return;
    }
    mp__core_counts(l->o.core)->leases_expired++;
    let_go(l, true);
}

static int set_lease(struct lock *l, uint64_t ms)
{
    mp__timer_cancel(l->o.core, &l->timer);
    l->forgiven = false;
    if (ms == 0 || ms > INT64_MAX / 2000000)
        return 0;
    l->lease = (int64_t)ms * 1000000;
    return arm(l, mp__core_now(l->o.core), l->lease);
}

// ---- acquiring -----------------------------------------------------------------------

static int take(struct mp__call *c, struct lock *l, uint64_t owner, uint64_t lease_ms,
                uint64_t depth)
{
    bool died = l->died;
    int r = set_lease(l, lease_ms);
    if (r < 0)
        return r;
    mp__stake_take(&l->holder, c->session, &l->o);
    l->owner = owner;
    l->token = mp__token(c->core);
    l->depth = depth;
    l->died = false;
    return died ? MP_EOWNERDEAD : 0;
}

static int acquire_again(struct mp__call *c, struct lock *l, uint64_t lease_ms)
{
    if (!recursive(l))
        return mp__fail(c, MP_EHELD, "it would wait for itself");
    if (l->depth == UINT32_MAX)
        return MP_EOVERFLOW;
    int r = lease_ms ? set_lease(l, lease_ms) : 0;
    l->depth += r == 0;
    return r;
}

int mp__lock_acquire(struct mp__call *c, struct mp__object *o, uint64_t owner, uint64_t lease_ms)
{
    struct lock *l = (struct lock *)o;
    int r;
    if (mp__lock_held_by(o, c->session, owner))
        r = acquire_again(c, l, lease_ms);
    else if (l->holder.session || mp__others_wait(c, &l->waiting))
        return mp__wait(c, &l->waiting);
    else
        r = take(c, l, owner, lease_ms, 1);
    if (r == 0 || r == MP_EOWNERDEAD)
        mp__put_uint(c->out, l->token);
    return r;
}

int mp__lock_release(struct mp__call *c, struct mp__object *o, uint64_t owner, uint64_t token)
{
    struct lock *l = (struct lock *)o;
    if (token && (!l->holder.session || l->token != token))
        return MP_EFENCED;
    if (!mp__lock_held_by(o, c->session, owner))
        return MP_ENOTHELD;
    if (--l->depth == 0)
        let_go(l, false);
    return 0;
}

uint64_t mp__lock_give_up(struct mp__object *o)
{
    struct lock *l = (struct lock *)o;
    uint64_t depth = l->depth;
    let_go(l, false);
    return depth;
}

int mp__lock_reacquire(struct mp__call *c, struct mp__object *o, uint64_t owner, uint64_t depth)
{
    struct lock *l = (struct lock *)o;
    if (l->holder.session || mp__others_wait(c, &l->waiting))
        return mp__wait(c, &l->waiting);
    return take(c, l, owner, 0, depth);
}

// ---- calls ---------------------------------------------------------------------------

static int call_acquire(struct mp__call *c)
{
    return mp__lock_acquire(c, c->object, mp__arg_uint(c, 0, 0), mp__arg_uint(c, 1, 0));
}

static int call_release(struct mp__call *c)
{
    return mp__lock_release(c, c->object, mp__arg_uint(c, 0, 0), mp__arg_uint(c, 1, 0));
}

static int call_validate(struct mp__call *c)
{
    const struct lock *l = lock(c);
    mp__put_bool(c->out, l->holder.session && l->token == mp__arg_uint(c, 0, 0));
    return 0;
}

static int call_renew(struct mp__call *c)
{
    struct lock *l = lock(c);
    if (!l->holder.session || l->token != mp__arg_uint(c, 0, 0))
        return MP_EFENCED;
    if (l->holder.session != c->session)
        return MP_ENOTHELD;
    return set_lease(l, mp__arg_uint(c, 1, 0));
}

static int call_locked(struct mp__call *c)
{
    mp__put_bool(c->out, lock(c)->holder.session != NULL);
    return 0;
}

static int call_holder(struct mp__call *c)
{
    const struct lock *l = lock(c);
    if (!l->holder.session)
        return 0;
    mp__put_array(c->out, 4);
    mp__put_uint(c->out, mp__session_number(l->holder.session));
    mp__put_uint(c->out, l->owner);
    mp__put_uint(c->out, l->token);
    mp__put_uint(c->out, l->depth);
    return 0;
}

bool mp__lock_held(struct mp__object *o, mp_buf *b)
{
    const struct lock *l = (struct lock *)o;
    if (!l->holder.session || !b)
        return l->holder.session;
    mp__put_array(b, 6);
    mp__put_uint(b, o->id);
    if (o->name)
        mp__put_str(b, o->name);
    else
        mp__put_nil(b);
    mp__put_uint(b, mp__session_number(l->holder.session));
    mp__put_uint(b, l->owner);
    mp__put_uint(b, l->token);
    mp__put_uint(b, l->waiting.count);
    return true;
}

// ---- the types -----------------------------------------------------------------------

static int make(struct mp__call *c)
{
    struct lock *l = lock(c);
    mp__queue_init(&l->waiting, &l->o);
    l->timer = -1;
    return 0;
}

static void gone(struct mp__stake *s)
{
    mp__core_counts(s->object->core)->owners_died++;
    let_go(MP__OF(s, struct lock, holder), true);
}

static const char *check(struct mp__object *o)
{
    const struct lock *l = (struct lock *)o;
    if (!l->holder.session && l->waiting.count)
        return "somebody waits for a lock that is free";
    return l->holder.session && l->depth == 0 ? "a lock that is held no times" : NULL;
}

static mp__method *const methods[] = {MP__CALLS_LOCK(MP__METHOD)};

#define TYPE(as)                                                                                   \
    {                                                                                              \
        .name = (as), .interface = MP__LOCK, .size = sizeof(struct lock), .methods = methods,      \
        .make = make, .gone = gone, .check = check                                                 \
    }

const struct mp__type mp__type_lock = TYPE("Lock"), mp__type_rlock = TYPE("RLock");
