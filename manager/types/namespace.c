// SPDX-License-Identifier: MIT
//
// Namespace: attributes by name.
#include "types/keyed.h"

static int find(struct mp__call *c, struct mp__entry **e)
{
    struct mp__slice key;
    int r = mp__key(c, mp__arg(c, 0), &key);
    if (r < 0)
        return r;
    *e = mp__keyed_find(c, key);
    return *e ? 0 : MP_ENOTFOUND;
}

static int call_get(struct mp__call *c)
{
    struct mp__entry *e;
    int r = find(c, &e);
    if (r == 0)
        mp__put_value(c, &e->value);
    return r;
}

static int call_set(struct mp__call *c)
{
    struct mp__slice key;
    int r = mp__key(c, mp__arg(c, 0), &key);
    return r < 0 ? r : mp__keyed_set(c, key, mp__arg(c, 1));
}

static int call_del(struct mp__call *c)
{
    struct mp__entry *e;
    int r = find(c, &e);
    if (r == 0)
        mp__keyed_remove(c->object, e);
    return r;
}

static int call_dir(struct mp__call *c)
{
    mp__keyed_put_keys(c);
    return 0;
}

static int call_copy(struct mp__call *c)
{
    mp__keyed_put_map(c);
    return 0;
}

// Names only, which a map need not have as keys.
static int make(struct mp__call *c)
{
    struct mp__walk w;
    struct mp__slice key, value;
    if (!mp__given(c, 0))
        return 0;
    w = mp__walk(mp__arg(c, 0));
    while (mp__walk_next(&w, &key) && mp__walk_next(&w, &value))
        if (!(key.data[0] >= 0xa0 && key.data[0] < 0xc0) &&
            !(key.data[0] >= 0xd9 && key.data[0] <= 0xdb))
            return mp__fail(c, MP_ETYPE, "an attribute's name is text");
    int r = mp__keyed_update(c, mp__arg(c, 0));
    if (r < 0)
        mp__keyed_clear(c->object);
    return r;
}

static int save(struct mp__object *o, struct mp__saver *s)
{
    return mp__keyed_save(o, s, MP__OP(NAMESPACE, set));
}

static mp__method *const methods[] = {MP__CALLS_NAMESPACE(MP__METHOD)};

const struct mp__type mp__type_namespace = {.name = "Namespace",
                                            .interface = MP__NAMESPACE,
                                            .size = sizeof(struct mp__keyed),
                                            .methods = methods,
                                            .make = make,
                                            .end = mp__keyed_clear,
                                            .each = mp__keyed_each,
                                            .save = save,
                                            .check = mp__keyed_check};
