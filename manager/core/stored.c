// SPDX-License-Identifier: MIT
//
// Values that objects store; see core/value.h.
#include "core/value.h"

#include "core/state.h"

#include <errno.h>
#include <stdlib.h>

int mp__value_copy(struct mp__value *v, const void *data, size_t size)
{
    *v = (struct mp__value){.size = (uint32_t)size};
    if (size > UINT32_MAX)
        return MP_EQUOTA;
    if (size > sizeof v->small) {
        v->data = malloc(size);
        if (!v->data)
            return -ENOMEM;
    }
    memcpy(size > sizeof v->small ? v->data : v->small, data, size);
    return 0;
}

void mp__value_free(struct mp__value *v)
{
    if (v->size > sizeof v->small)
        free(v->data);
    v->size = v->objects = 0;
}

int mp__each_object(struct mp__slice s, int (*fn)(void *arg, uint64_t id), void *arg)
{
    const uint8_t *at = s.data, *end = s.data + s.size;
    struct mp__head head;
    int r = 0;
    while (r == 0 && at < end) {
        r = mp__head_read(&at, end, &head);
        if (r < 0)
            return r;
        if (head.type == MP_ITEM_EXT) {
            if (head.ext != MP__EXT_OBJECT || head.n != 8)
                return MP_EPROTO;
            r = fn(arg, mp__get_be64(at));
        }
        if (mp__head_has_body(head.type))
            at += head.n;
    }
    return r;
}

static int count_object(void *arg, uint64_t id)
{
    struct mp__object *o = ((void **)arg)[0];
    if (!mp__object_find(o->core, id))
        return MP_ESTALE;
    ++*(uint32_t *)((void **)arg)[1];
    return 0;
}

static int ref_object(void *arg, uint64_t id)
{
    struct mp__object *o = arg;
    mp__object_ref(mp__object_find(o->core, id));
    o->inner++;
    return 0;
}

static int unref_object(void *arg, uint64_t id)
{
    struct mp__object *o = arg, *in = mp__object_find(o->core, id);
    o->inner--;
    if (in) // not while everything is freed
        mp__object_unref(in);
    return 0;
}

int mp__value_store(struct mp__object *o, struct mp__value *v, struct mp__slice s)
{
    uint32_t objects = 0;
    int r = s.objects ? mp__each_object(s, count_object, (void *[]){o, &objects}) : 0;
    if (r == 0)
        r = mp__charge(o, s.size);
    if (r < 0)
        return r;
    r = mp__value_copy(v, s.data, s.size);
    if (r < 0) {
        v->size = 0;
        mp__discharge(o, s.size);
        return MP_EQUOTA;
    }
    v->objects = objects;
    if (objects)
        mp__each_object(s, ref_object, o);
    return 0;
}

int mp__value_replace(struct mp__object *o, struct mp__value *v, struct mp__slice s)
{
    if (!s.objects && !v->objects && v->size == s.size) { // what happens most
        memcpy(v->size > sizeof v->small ? v->data : v->small, s.data, s.size);
        return 0;
    }
    struct mp__value new;
    int r = mp__value_store(o, &new, s);
    if (r < 0)
        return r;
    mp__value_drop(o, v);
    *v = new;
    return 0;
}

void mp__value_drop(struct mp__object *o, struct mp__value *v)
{
    if (v->objects)
        mp__each_object(mp__value_slice(v), unref_object, o);
    mp__discharge(o, v->size);
    mp__value_free(v);
}
