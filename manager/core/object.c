// SPDX-License-Identifier: MIT
//
// Objects: found by number, counted by who refers to them, gone with the last. Numbers are not
// used again: the upper 24 bits are drawn for each start of a manager, the others count.
//
// Objects that are in one another keep each other; the collector finds them: it counts, for each
// object, the references from values of others, and what has no more than those, and cannot be
// reached from one that has, is garbage. It runs when enough objects have lost a reference,
// and not the last, that this may have happened.
#include "core/state.h"

#include <errno.h>
#include <stdlib.h>

#define SERIAL_BITS 40

// ---- by number -----------------------------------------------------------------------

static size_t place_of(const struct mp__core *c, uint64_t id)
{
    return (size_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> (64 - c->object_bits));
}

static size_t mask(const struct mp__core *c)
{
    return ((size_t)1 << c->object_bits) - 1;
}

struct mp__object *mp__object_find(struct mp__core *c, uint64_t id)
{
    if (c->stats.objects == 0)
        return NULL;
    for (size_t i = place_of(c, id);; i = (i + 1) & mask(c)) {
        struct mp__object *o = c->objects[i];
        if (!o || o->id == id)
            return o;
    }
}

static void enter(struct mp__core *c, struct mp__object *o)
{
    size_t i = place_of(c, o->id);
    while (c->objects[i])
        i = (i + 1) & mask(c);
    c->objects[i] = o;
}

static int grow(struct mp__core *c)
{
    struct mp__object **old = c->objects;
    size_t size = old ? mask(c) + 1 : 0;
    unsigned bits = old ? c->object_bits + 1 : 6;
    struct mp__object **new = calloc((size_t)1 << bits, sizeof(struct mp__object *));
    if (!new)
        return -ENOMEM;
    c->objects = new;
    c->object_bits = bits;
    for (size_t i = 0; i < size; i++)
        if (old[i])
            enter(c, old[i]);
    free(old);
    return 0;
}

// Those behind it move up, so that a search still finds them.
static void leave(struct mp__core *c, struct mp__object *o)
{
    size_t hole = place_of(c, o->id);
    while (c->objects[hole] != o)
        hole = (hole + 1) & mask(c);
    for (size_t i = (hole + 1) & mask(c); c->objects[i]; i = (i + 1) & mask(c)) {
        size_t home = place_of(c, c->objects[i]->id);
        if (((i - home) & mask(c)) >= ((i - hole) & mask(c))) {
            c->objects[hole] = c->objects[i];
            hole = i;
        }
    }
    c->objects[hole] = NULL;
}

struct mp__object *mp__object_next(const struct mp__core *c, size_t *at)
{
    while (c->objects && *at <= mask(c)) {
        struct mp__object *o = c->objects[(*at)++];
        if (o)
            return o;
    }
    return NULL;
}

// ---- life ----------------------------------------------------------------------------

static uint64_t next_id(struct mp__core *c)
{
    if (c->next_id == 0)
        c->next_id = (c->instance >> SERIAL_BITS ? c->instance >> SERIAL_BITS : 1) << SERIAL_BITS;
    return ++c->next_id;
}

static int may_make(struct mp__core *c)
{
    if (c->stats.objects >= c->limits.objects && !c->replaying)
        return MP_EQUOTA;
    bool full = !c->objects || c->stats.objects * 2 > mask(c);
    return full ? grow(c) : 0;
}

struct mp__object *mp__object_make(struct mp__call *call, const struct mp__type *type, uint64_t id,
                                   int *err)
{
    struct mp__core *c = call->core;
    *err = may_make(c);
    struct mp__object *o = *err < 0 ? NULL : calloc(1, type->size);
    if (!o) {
        *err = MP_EQUOTA;
        return NULL;
    }
    *o = (struct mp__object){.id = id ? id : next_id(c), .type = type, .core = c};
    mp__list_init(&o->doomed);
    mp__list_init(&o->watchers);
    mp__list_init(&o->stakes);
    enter(c, o);
    c->stats.objects++;
    mp__list_add(&c->doomed, &o->doomed); // unless it gets a reference
    struct mp__object *before = call->object;
    call->object = o;
    *err = type->make(call);
    call->object = before;
    if (*err >= 0)
        return o;
    mp__object_destroy(o);
    return NULL;
}

struct mp__object *mp__object_own(struct mp__core *c, const char *type)
{
    struct mp__call call = {.core = c};
    int err;
    return mp__object_make(&call, mp__type_find(c, type, strlen(type)), 0, &err);
}

void mp__object_ref(struct mp__object *o)
{
    o->refs++;
    mp__list_remove(&o->doomed);
}

void mp__object_unref(struct mp__object *o)
{
    struct mp__core *c = o->core;
    if (o->refs == 0) // garbage that refers to garbage
        return;
    if (--o->refs > 0) {
        c->suspects += o->inner > 0;
        return;
    }
    mp__list_remove(&o->doomed);
    mp__list_add(&c->doomed, &o->doomed);
}

void mp__object_destroy(struct mp__object *o)
{
    leave(o->core, o);
    o->core->stats.objects--;
    mp__list_remove(&o->doomed);
    free(o->name);
    free(o);
}

void mp__object_bury(struct mp__object *o)
{
    while (!mp__list_empty(&o->watchers))
        mp__waiter_finish(MP__OF(o->watchers.next, struct mp__waiter, in_queue), MP_ESTALE);
    mp__log_gone(o);
    if (o->type->end)
        o->type->end(o);
    mp__object_destroy(o);
}

// ---- bytes ---------------------------------------------------------------------------

int mp__charge(struct mp__object *o, size_t bytes)
{
    struct mp__core *c = o->core;
    if (!c->replaying &&
        (bytes > c->limits.object_bytes - o->bytes || o->bytes > c->limits.object_bytes ||
         c->stats.bytes > c->limits.bytes || bytes > c->limits.bytes - c->stats.bytes))
        return MP_EQUOTA;
    o->bytes += bytes;
    c->stats.bytes += bytes;
    return 0;
}

void mp__discharge(struct mp__object *o, size_t bytes)
{
    o->bytes -= bytes;
    o->core->stats.bytes -= bytes;
}

int mp__charge_tasks(struct mp__session *s, size_t bytes)
{
    size_t limit = s->core->limits.session_tasks;
    if (bytes > limit || s->task_bytes > limit - bytes)
        return MP_EQUOTA;
    s->task_bytes += bytes;
    return 0;
}

void mp__discharge_tasks(struct mp__session *s, size_t bytes)
{
    s->task_bytes -= bytes;
}

// ---- references of sessions ----------------------------------------------------------

static struct mp__entry *ref_entry(const struct mp__session *s, uint64_t id)
{
    return mp__table_find(&s->refs, &id, sizeof id, (uint32_t)(id ^ id >> 32));
}

static uint64_t ref_count(const struct mp__entry *e)
{
    uint64_t n;
    memcpy(&n, e->value.small, sizeof n);
    return n;
}

int mp__session_ref(struct mp__session *s, struct mp__object *o, uint64_t count)
{
    uint64_t id = o->id, n = 0;
    struct mp__entry *e = ref_entry(s, id);
    if (e)
        n = ref_count(e);
    else if (mp__table_add(&s->refs, &id, sizeof id, (uint32_t)(id ^ id >> 32), &e) < 0)
        return MP_EQUOTA;
    if (__builtin_add_overflow(n, count, &n))
        return MP_EOVERFLOW;
    if (n == count)
        mp__object_ref(o); // one of the object's for all of the session's
    memcpy(e->value.small, &n, sizeof n);
    return 0;
}

int mp__session_unref(struct mp__session *s, struct mp__object *o, uint64_t count)
{
    struct mp__entry *e = ref_entry(s, o->id);
    if (!e || ref_count(e) < count)
        return MP_ENOTHELD;
    uint64_t n = ref_count(e) - count;
    memcpy(e->value.small, &n, sizeof n);
    if (n > 0)
        return 0;
    mp__table_remove(&s->refs, e);
    mp__object_unref(o);
    return 0;
}

void mp__session_unref_all(struct mp__session *s)
{
    MP__TABLE_EACH(&s->refs, e)
    {
        uint64_t id;
        memcpy(&id, mp__value_data(&e->key), sizeof id);
        mp__object_unref(mp__object_find(s->core, id));
    }
    mp__table_free(&s->refs);
}

// ---- stakes --------------------------------------------------------------------------

void mp__stake_take(struct mp__stake *s, struct mp__session *session, struct mp__object *o)
{
    s->session = session;
    s->object = o;
    mp__list_add(&session->stakes, &s->in_session);
    mp__list_add(&o->stakes, &s->in_object);
    mp__object_ref(o);
}

void mp__stake_drop(struct mp__stake *s)
{
    mp__list_remove(&s->in_session);
    mp__list_remove(&s->in_object);
    s->session = NULL;
    mp__object_unref(s->object);
}

// ---- the collector -------------------------------------------------------------------

#define REACHED UINT64_MAX

struct finding {
    struct mp__core *core;
    struct mp__object **stack;
    size_t depth;
};

static int count_in(void *arg, uint64_t id)
{
    struct finding *f = arg;
    struct mp__object *o = mp__object_find(f->core, id);
    if (o)
        o->mark++;
    return 0;
}

static int reach(void *arg, uint64_t id)
{
    struct finding *f = arg;
    struct mp__object *o = mp__object_find(f->core, id);
    if (o && o->mark != REACHED) {
        o->mark = REACHED;
        f->stack[f->depth++] = o;
    }
    return 0;
}

static void count_all_in(struct mp__object *o, struct mp__slice s, void *arg)
{
    (void)o;
    mp__each_object(s, count_in, arg);
}

static void reach_all_in(struct mp__object *o, struct mp__slice s, void *arg)
{
    (void)o;
    mp__each_object(s, reach, arg);
}

static void each(struct mp__object *o,
                 void (*fn)(struct mp__object *o, struct mp__slice s, void *arg), void *arg)
{
    if (o->inner > 0 && o->type->each)
        o->type->each(o, fn, arg);
}

// Objects are doomed although others, doomed as well, refer to them.
static void doom(struct mp__core *c)
{
    size_t at = 0;
    struct mp__object *o;
    while ((o = mp__object_next(c, &at)))
        if (o->mark != REACHED && o->refs > 0) {
            o->refs = 0;
            mp__list_remove(&o->doomed);
            mp__list_add(&c->doomed, &o->doomed);
        }
}

void mp__collect(struct mp__core *c)
{
    struct finding f = {c, malloc((c->stats.objects + 1) * sizeof(struct mp__object *)), 0};
    size_t at;
    struct mp__object *o;
    c->suspects = 0;
    if (!f.stack)
        return;
    for (at = 0; (o = mp__object_next(c, &at));)
        o->mark = 0;
    for (at = 0; (o = mp__object_next(c, &at));)
        each(o, count_all_in, &f);
    for (at = 0; (o = mp__object_next(c, &at));)
        if (o->mark != REACHED && o->refs > o->mark) {
            o->mark = REACHED;
            f.stack[f.depth++] = o;
            while (f.depth > 0)
                each(f.stack[--f.depth], reach_all_in, &f);
        }
    free(f.stack);
    doom(c);
}
