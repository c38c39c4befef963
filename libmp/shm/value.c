// SPDX-License-Identifier: MIT
//
// A value: one item with a lock. What it does is in typed.c.
#include "shm/typed.h"

#include <mp/value.h>

static struct mp__typed *typed(const mp_value *v)
{
    return mp__object_is(v, MP__VALUE) ? (struct mp__typed *)(uintptr_t)v : NULL;
}

int mp_value_new(mp_value **out, mp_type type, const void *initial, const mp_value_opts *opts)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    mp_value_opts o = opts ? *opts : (mp_value_opts){0};
    struct mp__typed_spec want = {.object = MP__VALUE,
                                  .type = type,
                                  .item = o.size,
                                  .count = 1,
                                  .initial = initial,
                                  .arena = o.arena,
                                  .name = o.name,
                                  .no_lock = o.no_lock};
    return mp__typed_new((struct mp__typed **)out, &want);
}

int mp_value_attach(mp_value **out, const char *name, mp_type type, size_t size)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    struct mp__typed_spec want = {
        .object = MP__VALUE, .type = type, .item = size, .count = 1, .name = name};
    return mp__typed_attach((struct mp__typed **)out, &want);
}

void mp_value_free(mp_value *v)
{
    struct mp__typed *t = typed(v);
    if (t)
        mp__typed_free(t);
}

mp_type mp_value_type(const mp_value *v)
{
    const struct mp__typed *t = typed(v);
    return t ? (mp_type)t->type : (mp_type)0;
}

size_t mp_value_size(const mp_value *v)
{
    const struct mp__typed *t = typed(v);
    return t ? t->item : 0;
}

void *mp_value_data(mp_value *v, mp_type type, size_t size)
{
    struct mp__typed *t = typed(v);
    return t && t->type == (uint32_t)type && t->item == size ? t->data : NULL;
}

mp_rlock *mp_value_lock(mp_value *v)
{
    struct mp__typed *t = typed(v);
    return t ? mp__typed_lock(t) : NULL;
}

int mp_value_get_int(mp_value *v, int64_t *out)
{
    const struct mp__typed *t = typed(v);
    return t ? mp__typed_get_int(t, 0, out) : MP_EINVAL;
}

int mp_value_set_int(mp_value *v, int64_t x)
{
    struct mp__typed *t = typed(v);
    return t ? mp__typed_set_int(t, 0, x) : MP_EINVAL;
}

int mp_value_get_double(mp_value *v, double *out)
{
    const struct mp__typed *t = typed(v);
    return t ? mp__typed_get_double(t, 0, out) : MP_EINVAL;
}

int mp_value_set_double(mp_value *v, double x)
{
    struct mp__typed *t = typed(v);
    return t ? mp__typed_set_double(t, 0, x) : MP_EINVAL;
}

int mp_value_read(mp_value *v, void *out, size_t size, int timeout_ms)
{
    struct mp__typed *t = typed(v);
    return t ? mp__typed_read(t, 0, 1, out, size, timeout_ms) : MP_EINVAL;
}

int mp_value_write(mp_value *v, const void *in, size_t size, int timeout_ms)
{
    struct mp__typed *t = typed(v);
    return t ? mp__typed_write(t, 0, 1, in, size, timeout_ms) : MP_EINVAL;
}

int mp_value_copy(mp_value *to, mp_value *from, int timeout_ms)
{
    struct mp__typed *a = typed(to), *b = typed(from);
    return a && b ? mp__typed_copy(a, 0, b, 0, 1, timeout_ms) : MP_EINVAL;
}
