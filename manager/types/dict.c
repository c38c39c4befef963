// SPDX-License-Identifier: MIT
//
// dict: keys are text, bytes or integers; the order is that in which they were set, as in
// Python.
#include "types/keyed.h"

// Argument i as a key.
static int key_at(struct mp__call *c, size_t i, struct mp__slice *key)
{
    return mp__key(c, mp__arg(c, i), key);
}

// Its entry; MP_ENOTFOUND.
static int entry_at(struct mp__call *c, size_t i, struct mp__entry **e)
{
    struct mp__slice key;
    int r = key_at(c, i, &key);
    if (r != 0)
        return r;
    *e = mp__keyed_find(c, key);
    return *e ? 0 : MP_ENOTFOUND;
}

// Argument i as a result.
static void put_arg(struct mp__call *c, size_t i)
{
    mp__put_packed(c->out, mp__arg(c, i).data, mp__arg(c, i).size);
}

static int call_get(struct mp__call *c)
{
    struct mp__entry *e;
    int r = entry_at(c, 0, &e);
    if (r == MP_ENOTFOUND && c->count > 1) {
        put_arg(c, 1);
        return 0;
    }
    if (r == 0)
        mp__put_value(c, &e->value);
    return r;
}

static int call_set(struct mp__call *c)
{
    struct mp__slice key;
    int r = key_at(c, 0, &key);
    return r < 0 ? r : mp__keyed_set(c, key, mp__arg(c, 1));
}

static int call_del(struct mp__call *c)
{
    struct mp__entry *e;
    int r = entry_at(c, 0, &e);
    if (r == 0)
        mp__keyed_remove(c->object, e);
    return r;
}

static int call_contains(struct mp__call *c)
{
    struct mp__entry *e;
    int r = entry_at(c, 0, &e);
    if (r < 0 && r != MP_ENOTFOUND)
        return r;
    mp__put_bool(c->out, r == 0);
    return 0;
}

static int call_len(struct mp__call *c)
{
    mp__put_uint(c->out, mp__keyed(c)->t.count);
    return 0;
}

static int call_pop(struct mp__call *c)
{
    struct mp__entry *e;
    int r = entry_at(c, 0, &e);
    if (r == MP_ENOTFOUND && c->count > 1) {
        put_arg(c, 1);
        return 0;
    }
    if (r != 0)
        return r;
    mp__put_value(c, &e->value);
    mp__keyed_remove(c->object, e);
    return 0;
}

static int call_popitem(struct mp__call *c)
{
    struct mp__entry *e = mp__table_last(&mp__keyed(c)->t);
    if (!e)
        return MP_ENOTFOUND;
    mp__put_array(c->out, 2);
    mp__put_value(c, &e->key);
    mp__put_value(c, &e->value);
    mp__keyed_remove(c->object, e);
    return 0;
}

static int call_setdefault(struct mp__call *c)
{
    struct mp__slice key, nil = {(const uint8_t *)"\xc0", 1, false};
    struct mp__slice value = c->count > 1 ? mp__arg(c, 1) : nil;
    int r = key_at(c, 0, &key);
    if (r != 0)
        return r;
    struct mp__entry *e = mp__keyed_find(c, key);
    if (e)
        mp__put_value(c, &e->value);
    else
        r = mp__keyed_set(c, key, value);
    if (!e && r == 0)
        mp__put_packed(c->out, value.data, value.size);
    return r;
}

static int call_exchange(struct mp__call *c)
{
    struct mp__slice key;
    int r = key_at(c, 0, &key);
    if (r != 0)
        return r;
    struct mp__entry *e = mp__keyed_find(c, key);
    if (e)
        mp__put_value(c, &e->value);
    else
        mp__put_nil(c->out);
    return mp__keyed_set(c, key, mp__arg(c, 1));
}

static int call_update(struct mp__call *c)
{
    return mp__keyed_update(c, mp__arg(c, 0));
}

// ---- all of it -----------------------------------------------------------------------

static int call_keys(struct mp__call *c)
{
    mp__keyed_put_keys(c);
    return 0;
}

static int call_values(struct mp__call *c)
{
    mp__put_array(c->out, mp__keyed(c)->t.count);
    MP__TABLE_EACH(&mp__keyed(c)->t, e)
    mp__put_value(c, &e->value);
    return 0;
}

static int call_items(struct mp__call *c)
{
    mp__put_array(c->out, mp__keyed(c)->t.count);
    MP__TABLE_EACH(&mp__keyed(c)->t, e)
    {
        mp__put_array(c->out, 2);
        mp__put_value(c, &e->key);
        mp__put_value(c, &e->value);
    }
    return 0;
}

static int call_copy(struct mp__call *c)
{
    mp__keyed_put_map(c);
    return 0;
}

static int call_clear(struct mp__call *c)
{
    mp__keyed_clear(c->object);
    return 0;
}

static int call_reversed(struct mp__call *c)
{
    const struct mp__table *t = &mp__keyed(c)->t;
    mp__put_array(c->out, t->count);
    for (size_t i = t->used; i-- > 0;)
        if (t->entries[i].there)
            mp__put_value(c, &t->entries[i].key);
    return 0;
}

// The keys of a map, each once, with the last of its values, or those of an array: where these
// lie in the message. To be freed with mp__table_free().
static int collect(struct mp__call *c, struct mp__slice s, bool map, struct mp__table *t)
{
    struct mp__walk w = mp__walk(s);
    struct mp__slice key, value = {0};
    *t = (struct mp__table){0};
    while (mp__walk_next(&w, &key) && (!map || mp__walk_next(&w, &value))) {
        struct mp__entry *e;
        int r = mp__key(c, key, &key);
        uint32_t hash = r != 0 ? 0 : mp__hash(c->core, key);
        if (r == 0 && !(e = mp__table_find(t, key.data, key.size, hash)))
            r = mp__table_add(t, key.data, key.size, hash, &e) < 0 ? MP_EQUOTA : 0;
        if (r != 0) {
            mp__table_free(t);
            return r;
        }
        e->value.data = (uint8_t *)(uintptr_t)value.data; // nobody takes it for a stored one
        e->value.size = (uint32_t)value.size;
    }
    return 0;
}

static int call_merged(struct mp__call *c)
{
    struct mp__table t, *own = &mp__keyed(c)->t;
    int r = collect(c, mp__arg(c, 0), true, &t);
    size_t count = own->count + t.count;
    if (r != 0)
        return r;
    MP__TABLE_EACH(own, e)
    count -= mp__table_find(&t, mp__value_data(&e->key), e->key.size, e->hash) != NULL;
    mp__put_map(c->out, count);
    MP__TABLE_EACH(own, e)
    {
        struct mp__entry *o = mp__table_find(&t, mp__value_data(&e->key), e->key.size, e->hash);
        mp__put_value(c, &e->key);
        if (o)
            mp__put_packed(c->out, o->value.data, o->value.size);
        else
            mp__put_value(c, &e->value);
    }
    MP__TABLE_EACH(&t, e)
    if (!mp__table_find(own, mp__value_data(&e->key), e->key.size, e->hash)) {
        mp__put_value(c, &e->key);
        mp__put_packed(c->out, e->value.data, e->value.size);
    }
    mp__table_free(&t);
    return 0;
}

static int call_fromkeys(struct mp__call *c)
{
    struct mp__table t;
    int r = collect(c, mp__arg(c, 0), false, &t);
    if (r != 0)
        return r;
    mp__put_map(c->out, t.count);
    MP__TABLE_EACH(&t, e)
    {
        mp__put_value(c, &e->key);
        if (c->count > 1)
            put_arg(c, 1);
        else
            mp__put_nil(c->out);
    }
    mp__table_free(&t);
    return 0;
}

static int call_scan(struct mp__call *c)
{
    const struct mp__table *t = &mp__keyed(c)->t;
    uint64_t most = mp__arg_uint(c, 1, 100), n = 0, cursor = 0;
    struct mp__entry *first = mp__table_behind(t, mp__arg_uint(c, 0, 0)), *e = first;
    for (; e && n < most; e = mp__table_from(t, e + 1), n++)
        cursor = e->serial;
    mp__put_array(c->out, 3);
    mp__put_uint(c->out, e ? cursor : 0);
    mp__put_array(c->out, (size_t)n);
    e = first;
    for (uint64_t i = 0; i < n; i++, e = mp__table_from(t, e + 1))
        mp__put_value(c, &e->key);
    mp__put_array(c->out, (size_t)n);
    e = first;
    for (uint64_t i = 0; i < n; i++, e = mp__table_from(t, e + 1))
        mp__put_value(c, &e->value);
    return 0;
}

// ---- several, and what depends on what there is ------------------------------------------

static int call_get_many(struct mp__call *c)
{
    struct mp__walk w = mp__walk(mp__arg(c, 0));
    struct mp__slice key;
    mp__put_array(c->out, (size_t)w.left);
    while (mp__walk_next(&w, &key)) {
        int r = mp__key(c, key, &key);
        if (r != 0)
            return r;
        struct mp__entry *e = mp__keyed_find(c, key);
        if (e)
            mp__put_value(c, &e->value);
        else
            mp__put_nil(c->out);
    }
    return 0;
}

static int call_del_many(struct mp__call *c)
{
    uint64_t n = 0;
    for (int pass = 0; pass < 2; pass++) { // all keys are looked at before one is removed
        struct mp__walk w = mp__walk(mp__arg(c, 0));
        struct mp__slice key;
        while (mp__walk_next(&w, &key)) {
            int r = mp__key(c, key, &key);
            if (r != 0)
                return r;
            struct mp__entry *e = pass ? mp__keyed_find(c, key) : NULL;
            if (e)
                mp__keyed_remove(c->object, e);
            n += e != NULL;
        }
    }
    mp__put_uint(c->out, n);
    return 0;
}

static int call_incr(struct mp__call *c)
{
    struct mp__number n = {.integer = true}, by;
    struct mp__slice key;
    uint8_t small[16];
    mp_buf b = {.data = small, .capacity = sizeof small, .borrowed = true, .fixed = true};
    int r = mp__arg_number(c, 1, &by);
    if (r == 0)
        r = key_at(c, 0, &key);
    if (r != 0)
        return r;
    struct mp__entry *e = mp__keyed_find(c, key);
    if (e)
        r = mp__number_read(mp__value_slice(&e->value), &n);
    if (r == 0)
        r = mp__number_add(&n, by);
    if (r != 0)
        return r;
    mp__number_put(&b, n);
    mp__number_put(c->out, n);
    return mp__keyed_set(c, key, (struct mp__slice){small, b.size, false});
}

static int call_compare_and_set(struct mp__call *c)
{
    struct mp__entry *e;
    int r = entry_at(c, 0, &e);
    if (r != 0)
        return r;
    bool same = mp__slice_equal(mp__value_slice(&e->value), mp__arg(c, 1));
    if (same)
        r = mp__value_replace(c->object, &e->value, mp__arg(c, 2));
    mp__put_bool(c->out, same);
    return r;
}

static int call_compare_and_del(struct mp__call *c)
{
    struct mp__entry *e;
    int r = entry_at(c, 0, &e);
    if (r != 0)
        return r;
    bool same = mp__slice_equal(mp__value_slice(&e->value), mp__arg(c, 1));
    if (same)
        mp__keyed_remove(c->object, e);
    mp__put_bool(c->out, same);
    return 0;
}

// ---- the type ------------------------------------------------------------------------

static int make(struct mp__call *c)
{
    int r = mp__given(c, 0) ? mp__keyed_update(c, mp__arg(c, 0)) : 0;
    if (r < 0)
        mp__keyed_clear(c->object);
    return r;
}

static int save(struct mp__object *o, struct mp__saver *s)
{
    return mp__keyed_save(o, s, MP__OP(DICT, set));
}

static mp__method *const methods[] = {MP__CALLS_DICT(MP__METHOD)};

const struct mp__type mp__type_dict = {.name = "dict",
                                       .interface = MP__DICT,
                                       .size = sizeof(struct mp__keyed),
                                       .methods = methods,
                                       .make = make,
                                       .end = mp__keyed_clear,
                                       .each = mp__keyed_each,
                                       .save = save,
                                       .check = mp__keyed_check};
