// SPDX-License-Identifier: MIT
//
// Names of objects: letters, digits, dot, underscore and dash, so that they can be in a log, a
// file name or a URL as they are. A name is a reference.
#include "core/state.h"

#include <errno.h>
#include <stdlib.h>

bool mp__name_valid(const struct mp__core *c, struct mp__slice name)
{
    if (name.size == 0 || (name.size > c->limits.name && !c->replaying))
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t b = name.data[i];
        bool letter = (b | 0x20) >= 'a' && (b | 0x20) <= 'z';
        if (!letter && !(b >= '0' && b <= '9') && b != '.' && b != '_' && b != '-')
            return false;
    }
    return true;
}

struct mp__object *mp__named(const struct mp__entry *e)
{
    return (struct mp__object *)(void *)e->value.data;
}

struct mp__object *mp__name_find(const struct mp__core *c, struct mp__slice name)
{
    struct mp__entry *e = mp__table_find(&c->names, name.data, name.size, mp__hash(c, name));
    return e ? mp__named(e) : NULL;
}

int mp__name_set(struct mp__object *o, struct mp__slice name)
{
    struct mp__entry *e;
    char *copy = strndup((const char *)name.data, name.size);
    int r = copy ? mp__table_add(&o->core->names, name.data, name.size, mp__hash(o->core, name), &e)
                 : -ENOMEM;
    if (r < 0) {
        free(copy);
        return r;
    }
    e->value.data = (uint8_t *)o; // of size 0: nobody frees it
    o->name = copy;
    o->core->stats.names++;
    mp__object_ref(o);
    return 0;
}

void mp__name_clear(struct mp__object *o)
{
    if (!o->name)
        return;
    struct mp__slice name = {(const uint8_t *)o->name, strlen(o->name), false};
    mp__table_remove(&o->core->names, mp__table_find(&o->core->names, name.data, name.size,
                                                     mp__hash(o->core, name)));
    free(o->name);
    o->name = NULL;
    o->core->stats.names--;
    mp__object_unref(o);
}
