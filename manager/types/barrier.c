// SPDX-License-Identifier: MIT
//
// Barrier. Its round ends for all who wait at once: each is marked with how, and then told.
#include "core/type.h"

struct barrier {
    struct mp__object o;
    struct mp__queue waiting;
    uint64_t parties, arrived; // that wait in this round
    int64_t timeout;           // ms, for who gives none; -1
    bool broken;
};

enum { WAITING, PASSED, BROKEN };

#define MOST 1048576

static struct barrier *barrier(struct mp__call *c)
{
    return (struct barrier *)c->object;
}

static void end_round(struct barrier *b, unsigned phase)
{
    for (struct mp__link *l = b->waiting.waiters.next; l != &b->waiting.waiters; l = l->next) {
        struct mp__waiter *w = MP__OF(l, struct mp__waiter, in_queue);
        if (w->phase == WAITING)
            w->phase = phase;
    }
    b->arrived = 0;
    mp__wake(&b->waiting);
}

static int wait_again(struct mp__call *c)
{
    if (c->waiter->phase == WAITING)
        return mp__wait(c, &barrier(c)->waiting);
    if (c->waiter->phase == BROKEN)
        return MP_EBARRIER;
    mp__put_uint(c->out, c->data);
    return 0;
}

static int call_wait(struct mp__call *c)
{
    struct barrier *b = barrier(c);
    if (c->waiter)
        return wait_again(c);
    if (b->broken)
        return MP_EBARRIER;
    if (b->arrived + 1 == b->parties) {
        end_round(b, PASSED);
        mp__put_uint(c->out, b->parties - 1);
        return 0;
    }
    c->data = b->arrived;
    if (c->timeout < 0)
        c->timeout = b->timeout;
    return mp__wait(c, &b->waiting);
}

static void parked(struct mp__waiter *w)
{
    ((struct barrier *)w->call.object)->arrived++;
}

static bool gave_up(struct mp__waiter *w, enum mp__reason why)
{
    struct barrier *b = (struct barrier *)w->call.object;
    (void)why;
    if (w->phase == WAITING) {
        b->broken = true;
        end_round(b, BROKEN);
    }
    return false;
}

static int call_reset(struct mp__call *c)
{
    barrier(c)->broken = false;
    end_round(barrier(c), BROKEN);
    return 0;
}

static int call_abort(struct mp__call *c)
{
    barrier(c)->broken = true;
    end_round(barrier(c), BROKEN);
    return 0;
}

static int call_parties(struct mp__call *c)
{
    mp__put_uint(c->out, barrier(c)->parties);
    return 0;
}

static int call_n_waiting(struct mp__call *c)
{
    mp__put_uint(c->out, barrier(c)->arrived);
    return 0;
}

static int call_broken(struct mp__call *c)
{
    mp__put_bool(c->out, barrier(c)->broken);
    return 0;
}

// ---- the type ------------------------------------------------------------------------

static int make(struct mp__call *c)
{
    struct barrier *b = barrier(c);
    uint64_t ms = mp__arg_uint(c, 1, UINT64_MAX);
    mp__queue_init(&b->waiting, &b->o);
    b->parties = mp__arg_uint(c, 0, 0);
    b->timeout = ms > INT64_MAX / 2000000 ? -1 : (int64_t)ms;
    return b->parties == 0 || b->parties > MOST
               ? mp__fail(c, MP_EINVAL, "no parties, or more than 1,048,576")
               : 0;
}

static int save_make(struct mp__object *o, mp_buf *args)
{
    const struct barrier *b = (struct barrier *)o;
    mp__put_uint(args, b->parties);
    if (b->timeout < 0)
        mp__put_nil(args);
    else
        mp__put_int(args, b->timeout);
    return 2;
}

static const char *check(struct mp__object *o)
{
    const struct barrier *b = (struct barrier *)o;
    if (b->arrived != b->waiting.count || b->arrived >= b->parties)
        return "who waits at a barrier";
    return b->broken && b->arrived ? "somebody waits at a broken barrier" : NULL;
}

static mp__method *const methods[] = {MP__CALLS_BARRIER(MP__METHOD)};

const struct mp__type mp__type_barrier = {.name = "Barrier",
                                          .interface = MP__BARRIER,
                                          .size = sizeof(struct barrier),
                                          .methods = methods,
                                          .make = make,
                                          .parked = parked,
                                          .gave_up = gave_up,
                                          .save_make = save_make,
                                          .check = check};
