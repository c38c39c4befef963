// SPDX-License-Identifier: MIT
//
// A table of keys with values that an object is charged for: dict, set, Namespace.
#ifndef MP_MANAGER_KEYED_H
#define MP_MANAGER_KEYED_H

#include "core/table.h"
#include "core/type.h"

struct mp__keyed {
    struct mp__object o; // so that it is the object of each of these types
    struct mp__table t;
};

static inline struct mp__keyed *mp__keyed(struct mp__call *c)
{
    return (struct mp__keyed *)c->object;
}

// The entry of a key that mp__key() made; NULL.
struct mp__entry *mp__keyed_find(struct mp__call *c, struct mp__slice key);

// Sets a key's value: MP_EQUOTA, MP_ESTALE; then nothing has changed. Without data: no value.
int mp__keyed_set(struct mp__call *c, struct mp__slice key, struct mp__slice value);

void mp__keyed_remove(struct mp__object *o, struct mp__entry *e);
void mp__keyed_clear(struct mp__object *o);

// For struct mp__type: all values that have objects in them; whether it adds up.
void mp__keyed_each(struct mp__object *o,
                    void (*fn)(struct mp__object *o, struct mp__slice s, void *arg), void *arg);
const char *mp__keyed_check(struct mp__object *o);

// For the save() of a type: each key with its value, as a call of `op`.
int mp__keyed_save(struct mp__object *o, struct mp__saver *s, uint64_t op);

// All of it, as a map or as arrays.
void mp__keyed_put_map(struct mp__call *c);
void mp__keyed_put_keys(struct mp__call *c);

// Sets what a map has: all of it or nothing, but for what was set before it is over a quota.
int mp__keyed_update(struct mp__call *c, struct mp__slice map);

#endif
