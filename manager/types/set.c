// SPDX-License-Identifier: MIT
//
// set: elements are values without objects in them, and equal when their packed bytes are. What
// is done with other sets takes them as arrays: a client reads the one and gives it to the other.
#include "types/keyed.h"

static int element(struct mp__call *c, struct mp__slice s, struct mp__slice *key)
{
    return mp__element(c, s, key);
}

static int find(struct mp__call *c, struct mp__entry **e)
{
    struct mp__slice key;
    int r = element(c, mp__arg(c, 0), &key);
    *e = r < 0 ? NULL : mp__keyed_find(c, key);
    return r;
}

static int call_add(struct mp__call *c)
{
    struct mp__slice key, none = {0};
    int r = element(c, mp__arg(c, 0), &key);
    if (r != 0)
        return r;
    bool new = !mp__keyed_find(c, key);
    if (new)
        r = mp__keyed_set(c, key, none);
    mp__put_bool(c->out, new);
    return r;
}

static int call_discard(struct mp__call *c)
{
    struct mp__entry *e;
    int r = find(c, &e);
    if (r != 0)
        return r;
    if (e)
        mp__keyed_remove(c->object, e);
    mp__put_bool(c->out, e != NULL);
    return 0;
}

static int call_remove(struct mp__call *c)
{
    struct mp__entry *e;
    int r = find(c, &e);
    if (r == 0 && !e)
        r = MP_ENOTFOUND;
    if (r == 0)
        mp__keyed_remove(c->object, e);
    return r;
}

static int call_contains(struct mp__call *c)
{
    struct mp__entry *e;
    int r = find(c, &e);
    mp__put_bool(c->out, e != NULL);
    return r;
}

static int call_len(struct mp__call *c)
{
    mp__put_uint(c->out, mp__keyed(c)->t.count);
    return 0;
}

static int call_pop(struct mp__call *c)
{
    struct mp__entry *e = mp__table_last(&mp__keyed(c)->t);
    if (!e)
        return MP_ENOTFOUND;
    mp__put_value(c, &e->key);
    mp__keyed_remove(c->object, e);
    return 0;
}

static int call_clear(struct mp__call *c)
{
    mp__keyed_clear(c->object);
    return 0;
}

static int call_copy(struct mp__call *c)
{
    mp__keyed_put_keys(c);
    return 0;
}

// ---- with arrays ---------------------------------------------------------------------

// The elements of all arrays that the call has, or the first of them in how many they are.
static int collect(struct mp__call *c, struct mp__table *t)
{
    *t = (struct mp__table){0};
    for (size_t i = 0; i < c->count; i++) {
        struct mp__walk w = mp__walk(mp__arg(c, i));
        struct mp__slice s, key;
        while (mp__walk_next(&w, &s)) {
            int r = element(c, s, &key);
            uint32_t hash = r != 0 ? 0 : mp__hash(c->core, key);
            struct mp__entry *e = r < 0 ? NULL : mp__table_find(t, key.data, key.size, hash);
            if (r == 0 && !e)
                r = mp__table_add(t, key.data, key.size, hash, &e) < 0 ? MP_EQUOTA : 0;
            if (r < 0) {
                mp__table_free(t);
                return r;
            }
            if (e->value.size == i) // once for each array
                e->value.size++;
        }
    }
    return 0;
}

static struct mp__entry *in(const struct mp__table *t, const struct mp__entry *e)
{
    return mp__table_find(t, mp__value_data(&e->key), e->key.size, e->hash);
}

// Whether an element of it stays, given the arrays, in the result of each operation.
typedef bool keep(const struct mp__entry *other, size_t arrays);

static bool in_none(const struct mp__entry *other, size_t arrays)
{
    (void)arrays;
    return !other;
}

static bool in_all(const struct mp__entry *other, size_t arrays)
{
    return arrays == 0 || (other && other->value.size == arrays);
}

static bool always(const struct mp__entry *other, size_t arrays)
{
    (void)other;
    (void)arrays;
    return true;
}

// Puts what stays, and with `more` what is in the arrays only.
static int put_result(struct mp__call *c, keep *stays, bool more)
{
    struct mp__table t, *own = &mp__keyed(c)->t;
    size_t n = 0;
    int r = collect(c, &t);
    if (r != 0)
        return r;
    MP__TABLE_EACH(own, e)
    n += stays(in(&t, e), c->count);
    MP__TABLE_EACH(&t, e)
    n += more && !in(own, e);
    mp__put_array(c->out, n);
    MP__TABLE_EACH(own, e)
    if (stays(in(&t, e), c->count))
        mp__put_value(c, &e->key);
    MP__TABLE_EACH(&t, e)
    if (more && !in(own, e))
        mp__put_value(c, &e->key);
    mp__table_free(&t);
    return 0;
}

static int add_all(struct mp__call *c, const struct mp__table *t)
{
    struct mp__slice none = {0};
    int r = 0;
    MP__TABLE_EACH(t, e)
    if (r == 0)
        r = mp__keyed_set(c, (struct mp__slice){mp__value_data(&e->key), e->key.size, false}, none);
    return r;
}

// The same in the set itself. What is both in it and in the arrays goes before what is new comes.
static int change(struct mp__call *c, keep *stays, bool more)
{
    struct mp__table t, new = {0}, *own = &mp__keyed(c)->t;
    int r = collect(c, &t);
    if (r != 0)
        return r;
    MP__TABLE_EACH(&t, e)
    {
        struct mp__entry *copy;
        if (more && r == 0 && !in(own, e))
            r = mp__table_add(&new, mp__value_data(&e->key), e->key.size, e->hash, &copy);
    }
    for (struct mp__entry *e = mp__table_from(own, own->entries), *next; r == 0 && e; e = next) {
        bool last = e == mp__table_last(own);
        next = last ? NULL : mp__table_from(own, e + 1);
        if (!stays(in(&t, e), c->count))
            mp__keyed_remove(c->object, e);
    }
    if (r == 0)
        r = add_all(c, &new);
    mp__table_free(&new);
    mp__table_free(&t);
    return r == 0 ? 0 : MP_EQUOTA;
}

static int call_update(struct mp__call *c)
{
    return change(c, always, true);
}

static int call_difference_update(struct mp__call *c)
{
    return change(c, in_none, false);
}

static int call_intersection_update(struct mp__call *c)
{
    return change(c, in_all, false);
}

static int call_symmetric_difference_update(struct mp__call *c)
{
    return change(c, in_none, true);
}

static int call_union(struct mp__call *c)
{
    return put_result(c, always, true);
}

static int call_difference(struct mp__call *c)
{
    return put_result(c, in_none, false);
}

static int call_intersection(struct mp__call *c)
{
    return put_result(c, in_all, false);
}

static int call_symmetric_difference(struct mp__call *c)
{
    return put_result(c, in_none, true);
}

// How many elements the two have in common, and how many the array has.
static int compare(struct mp__call *c, size_t *common, size_t *others)
{
    struct mp__table t;
    int r = collect(c, &t);
    if (r != 0)
        return r;
    *common = 0;
    *others = t.count;
    MP__TABLE_EACH(&t, e)
    *common += in(&mp__keyed(c)->t, e) != NULL;
    mp__table_free(&t);
    return 0;
}

static int call_isdisjoint(struct mp__call *c)
{
    size_t common = 0, others;
    int r = compare(c, &common, &others);
    mp__put_bool(c->out, common == 0);
    return r;
}

static int call_issubset(struct mp__call *c)
{
    size_t common = 0, others;
    int r = compare(c, &common, &others);
    mp__put_bool(c->out, common == mp__keyed(c)->t.count);
    return r;
}

static int call_issuperset(struct mp__call *c)
{
    size_t common = 0, others = 0;
    int r = compare(c, &common, &others);
    mp__put_bool(c->out, common == others);
    return r;
}

// ---- the type ------------------------------------------------------------------------

static int make(struct mp__call *c)
{
    int r = mp__given(c, 0) ? change(c, always, true) : 0;
    if (r < 0)
        mp__keyed_clear(c->object);
    return r;
}

static int save(struct mp__object *o, struct mp__saver *s)
{
    int r = 0;
    MP__TABLE_EACH(&((struct mp__keyed *)o)->t, e)
    {
        mp__put_packed(mp__save_call(s, o, MP__OP(SET, add), 1), mp__value_data(&e->key),
                       e->key.size);
        r = mp__saved(s);
        if (r < 0)
            break;
    }
    return r;
}

static mp__method *const methods[] = {MP__CALLS_SET(MP__METHOD)};

const struct mp__type mp__type_set = {.name = "set",
                                      .interface = MP__SET,
                                      .size = sizeof(struct mp__keyed),
                                      .methods = methods,
                                      .make = make,
                                      .end = mp__keyed_clear,
                                      .save = save,
                                      .check = mp__keyed_check};
