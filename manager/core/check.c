// SPDX-License-Identifier: MIT
//
// Every invariant there is, for the simulation and the fuzzers: counts that are kept in two
// places, references counted anew from all who may have them, and what each type says of its
// objects.
#include "core/state.h"

struct counting {
    struct mp__core *core;
    bool lost;
};

static int count_ref(void *arg, uint64_t id)
{
    struct counting *n = arg;
    struct mp__object *o = mp__object_find(n->core, id);
    if (o)
        o->mark++;
    else
        n->lost = true;
    return 0;
}

static void count_refs_in(struct mp__object *o, struct mp__slice s, void *arg)
{
    (void)o;
    mp__each_object(s, count_ref, arg);
}

static uint64_t length(const struct mp__link *head)
{
    uint64_t n = 0;
    for (const struct mp__link *l = head->next; l != head; l = l->next)
        n++;
    return n;
}

static const char *check_session(struct mp__session *s, uint64_t *waiting)
{
    struct counting n = {s->core, false};
    MP__TABLE_EACH(&s->refs, e)
    {
        uint64_t id;
        memcpy(&id, mp__value_data(&e->key), sizeof id);
        count_ref(&n, id);
    }
    for (struct mp__link *l = s->waiters.next; l != &s->waiters; l = l->next) {
        struct mp__waiter *w = MP__OF(l, struct mp__waiter, in_session);
        if (w->queue)
            w->call.object->mark++;
    }
    *waiting += s->waiting;
    if (n.lost)
        return "a session refers to an object that is gone";
    return s->waiting == length(&s->waiters) ? NULL : "waiting requests of a session";
}

static const char *check_counts(struct mp__core *c)
{
    struct mp__object *o;
    uint64_t objects = 0, bytes = 0, names = 0;
    for (size_t at = 0; (o = mp__object_next(c, &at)); objects++) {
        bytes += o->bytes;
        names += o->name != NULL;
        if (mp__object_find(c, o->id) != o)
            return "an object is not found";
    }
    if (objects != c->stats.objects || bytes != c->stats.bytes || names != c->stats.names ||
        names != c->names.count)
        return "numbers of objects, names or bytes";
    return mp__list_empty(&c->woken) && mp__list_empty(&c->doomed) ? NULL
                                                                   : "something is left over";
}

static const char *check_object(struct mp__object *o)
{
    if (o->mark + length(&o->stakes) + (o->name != NULL) != o->refs)
        return "references of an object";
    return o->type->check ? o->type->check(o) : NULL;
}

const char *mp__core_check(struct mp__core *c)
{
    struct counting n = {c, false};
    struct mp__object *o;
    uint64_t waiting = 0;
    const char *why = check_counts(c);
    for (size_t at = 0; (o = mp__object_next(c, &at));)
        o->mark = 0;
    for (struct mp__link *l = c->sessions.next; !why && l != &c->sessions; l = l->next)
        why = check_session(MP__OF(l, struct mp__session, in_core), &waiting);
    for (size_t at = 0; (o = mp__object_next(c, &at));)
        if (o->type->each)
            o->type->each(o, count_refs_in, &n);
    for (size_t at = 0; !why && (o = mp__object_next(c, &at));)
        why = check_object(o);
    if (!why && n.lost)
        why = "a value has an object that is gone";
    return !why && waiting != c->stats.waiting ? "waiting requests" : why;
}
