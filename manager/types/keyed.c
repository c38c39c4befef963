// SPDX-License-Identifier: MIT
#include "types/keyed.h"

#define COST(key_size) (MP__ENTRY_COST + (key_size))

struct mp__entry *mp__keyed_find(struct mp__call *c, struct mp__slice key)
{
    return mp__table_find(&mp__keyed(c)->t, key.data, key.size, mp__hash(c->core, key));
}

static int add(struct mp__call *c, struct mp__slice key, struct mp__slice value)
{
    struct mp__object *o = c->object;
    struct mp__value v = {0};
    struct mp__entry *e;
    int r = value.data ? mp__value_store(o, &v, value) : 0;
    if (r != 0)
        return r;
    r = mp__charge(o, COST(key.size));
    if (r == 0 &&
        mp__table_add(&mp__keyed(c)->t, key.data, key.size, mp__hash(c->core, key), &e) < 0) {
        mp__discharge(o, COST(key.size));
        r = MP_EQUOTA;
    }
    if (r != 0)
        mp__value_drop(o, &v);
    else
        e->value = v;
    return r;
}

int mp__keyed_set(struct mp__call *c, struct mp__slice key, struct mp__slice value)
{
    struct mp__entry *e = mp__keyed_find(c, key);
    if (!e)
        return add(c, key, value);
    return value.data ? mp__value_replace(c->object, &e->value, value) : 0;
}

void mp__keyed_remove(struct mp__object *o, struct mp__entry *e)
{
    mp__discharge(o, COST(e->key.size));
    mp__value_drop(o, &e->value);
    mp__table_remove(&((struct mp__keyed *)o)->t, e);
}

void mp__keyed_clear(struct mp__object *o)
{
    struct mp__table *t = &((struct mp__keyed *)o)->t;
    MP__TABLE_EACH(t, e)
    {
        mp__discharge(o, COST(e->key.size));
        mp__value_drop(o, &e->value);
    }
    mp__table_free(t);
}

void mp__keyed_each(struct mp__object *o,
                    void (*fn)(struct mp__object *o, struct mp__slice s, void *arg), void *arg)
{
    MP__TABLE_EACH(&((struct mp__keyed *)o)->t, e)
    if (e->value.objects)
        fn(o, mp__value_slice(&e->value), arg);
}

const char *mp__keyed_check(struct mp__object *o)
{
    uint64_t bytes = 0, objects = 0, n = 0, serial = 0;
    const struct mp__table *t = &((struct mp__keyed *)o)->t;
    MP__TABLE_EACH(t, e)
    {
        bytes += COST(e->key.size) + e->value.size;
        objects += e->value.objects;
        n++;
        if (e->serial <= serial ||
            mp__table_find(t, mp__value_data(&e->key), e->key.size, e->hash) != e)
            return "an entry of a table is not found, or not in order";
        serial = e->serial;
    }
    return bytes == o->bytes && objects == o->inner && n == t->count ? NULL
                                                                     : "bytes, objects or "
                                                                       "count of a table";
}

void mp__keyed_put_map(struct mp__call *c)
{
    mp__put_map(c->out, mp__keyed(c)->t.count);
    MP__TABLE_EACH(&mp__keyed(c)->t, e)
    {
        mp__put_value(c, &e->key);
        mp__put_value(c, &e->value);
    }
}

void mp__keyed_put_keys(struct mp__call *c)
{
    mp__put_array(c->out, mp__keyed(c)->t.count);
    MP__TABLE_EACH(&mp__keyed(c)->t, e)
    mp__put_value(c, &e->key);
}

// What can be wrong with a value before there is a place for it.
static int check_object(void *arg, uint64_t id)
{
    return mp__object_find(arg, id) ? 0 : MP_ESTALE;
}

static int check_all(struct mp__call *c, struct mp__slice map)
{
    struct mp__walk w = mp__walk(map);
    struct mp__slice key, value;
    int r = map.objects ? mp__each_object(map, check_object, c->core) : 0;
    while (r == 0 && mp__walk_next(&w, &key) && mp__walk_next(&w, &value))
        r = mp__key(c, key, &key);
    return r;
}

int mp__keyed_update(struct mp__call *c, struct mp__slice map)
{
    struct mp__walk w = mp__walk(map);
    struct mp__slice key, value;
    int r = check_all(c, map);
    while (r == 0 && mp__walk_next(&w, &key) && mp__walk_next(&w, &value)) {
        r = mp__key(c, key, &key);
        if (r == 0)
            r = mp__keyed_set(c, key, value);
    }
    return r;
}

int mp__keyed_save(struct mp__object *o, struct mp__saver *s, uint64_t op)
{
    int r = 0;
    MP__TABLE_EACH(&((struct mp__keyed *)o)->t, e)
    {
        mp_buf *b = mp__save_call(s, o, op, 2);
        mp__put_packed(b, mp__value_data(&e->key), e->key.size);
        mp__put_packed(b, mp__value_data(&e->value), e->value.size);
        r = mp__saved(s);
        if (r < 0)
            break;
    }
    return r;
}
