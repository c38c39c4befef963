// SPDX-License-Identifier: MIT
//
// Semaphore and BoundedSemaphore. What is taken from a semaphore that counts resources has to
// come back when its taker dies; what is taken from one that counts news must not. A
// BoundedSemaphore counts resources, a Semaphore does if told so.
#include "core/type.h"

#include <stdlib.h>

struct semaphore {
    struct mp__object o;
    struct mp__queue waiting;
    uint64_t value, initial;
    bool returns; // what a session has, when it ends
};

// What a session has of a semaphore.
struct units {
    struct mp__stake stake;
    uint64_t count;
};

static struct semaphore *semaphore(struct mp__call *c)
{
    return (struct semaphore *)c->object;
}

static bool bounded(const struct semaphore *s)
{
    return s->o.type == &mp__type_bounded_semaphore;
}

static struct units *find(struct mp__call *c)
{
    struct mp__link *head = &c->object->stakes;
    for (struct mp__link *l = head->next; l != head; l = l->next) {
        struct units *u = (struct units *)MP__OF(l, struct mp__stake, in_object);
        if (u->stake.session == c->session)
            return u;
    }
    return NULL;
}

static int note(struct mp__call *c, uint64_t n)
{
    struct units *u = find(c);
    if (!u) {
        u = calloc(1, sizeof *u);
        if (!u)
            return MP_EQUOTA;
        mp__stake_take(&u->stake, c->session, c->object);
    }
    u->count += n;
    return 0;
}

static void unnote(struct mp__call *c, uint64_t n)
{
    struct units *u = find(c);
    if (!u)
        return;
    u->count -= n < u->count ? n : u->count;
    if (u->count > 0)
        return;
    mp__stake_drop(&u->stake);
    free(u);
}

static int call_acquire(struct mp__call *c)
{
    struct semaphore *s = semaphore(c);
    uint64_t n = mp__arg_uint(c, 0, 1);
    if (n == 0 || (bounded(s) && n > s->initial))
        return mp__fail(c, MP_EINVAL, "none, or more than there ever are");
    if (s->value < n || mp__others_wait(c, &s->waiting))
        return mp__wait(c, &s->waiting);
    int r = s->returns ? note(c, n) : 0;
    if (r == 0)
        s->value -= n;
    return r;
}

static int call_release(struct mp__call *c)
{
    struct semaphore *s = semaphore(c);
    uint64_t n = mp__arg_uint(c, 0, 1);
    if (n == 0)
        return MP_EINVAL;
    if (bounded(s) && n > s->initial - s->value)
        return MP_EBOUND;
    if (n > INT64_MAX - s->value)
        return MP_EOVERFLOW;
    s->value += n;
    unnote(c, n);
    mp__wake(&s->waiting);
    return 0;
}

static int call_get_value(struct mp__call *c)
{
    mp__put_uint(c->out, semaphore(c)->value);
    return 0;
}

static int make(struct mp__call *c)
{
    struct semaphore *s = semaphore(c);
    mp__queue_init(&s->waiting, &s->o);
    s->value = s->initial = mp__arg_uint(c, 0, 1);
    s->returns = bounded(s) || mp__arg_bool(c, 1);
    return s->value > INT64_MAX ? mp__fail(c, MP_EINVAL, "too many") : 0;
}

static void gone(struct mp__stake *stake)
{
    struct units *u = (struct units *)stake;
    struct semaphore *s = (struct semaphore *)stake->object;
    uint64_t room = (bounded(s) ? s->initial : INT64_MAX) - s->value;
    s->value += u->count < room ? u->count : room;
    mp__core_counts(s->o.core)->owners_died++;
    mp__wake(&s->waiting);
    mp__stake_drop(stake);
    free(u);
}

static int save_make(struct mp__object *o, mp_buf *args)
{
    const struct semaphore *s = (struct semaphore *)o;
    mp__put_uint(args, s->initial);
    if (bounded(s))
        return 1;
    mp__put_bool(args, s->returns);
    return 2;
}

static const char *check(struct mp__object *o)
{
    const struct semaphore *s = (struct semaphore *)o;
    uint64_t out = 0;
    for (const struct mp__link *l = o->stakes.next; l != &o->stakes; l = l->next)
        out += ((const struct units *)MP__OF(l, struct mp__stake, in_object))->count;
    if (bounded(s) && s->value > s->initial)
        return "a BoundedSemaphore is above its bound";
    const struct mp__waiter *first = mp__queue_first(&s->waiting);
    if (first && s->value >= mp__arg_uint(&first->call, 0, 1))
        return "somebody waits for a semaphore that has enough";
    return s->returns && bounded(s) && s->value + out < s->initial ? "units are lost" : NULL;
}

static mp__method *const methods[] = {MP__CALLS_SEMAPHORE(MP__METHOD)};

#define TYPE(as)                                                                                   \
    {                                                                                              \
        .name = (as), .interface = MP__SEMAPHORE, .size = sizeof(struct semaphore),                \
        .methods = methods, .make = make, .gone = gone, .save_make = save_make, .check = check     \
    }

const struct mp__type mp__type_semaphore = TYPE("Semaphore"),
                      mp__type_bounded_semaphore = TYPE("BoundedSemaphore");
