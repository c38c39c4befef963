// SPDX-License-Identifier: MIT
//
// An array: items with a lock. What it does is in typed.c.
#include "shm/typed.h"

#include <mp/array.h>

static struct mp__typed *typed(const mp_array *a)
{
    return mp__object_is(a, MP__ARRAY) ? (struct mp__typed *)(uintptr_t)a : NULL;
}

int mp_array_new(mp_array **out, mp_type type, size_t n, const void *initial,
                 const mp_array_opts *opts)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    mp_array_opts o = opts ? *opts : (mp_array_opts){0};
    struct mp__typed_spec want = {.object = MP__ARRAY,
                                  .type = type,
                                  .item = o.item,
                                  .count = n,
                                  .initial = initial,
                                  .arena = o.arena,
                                  .name = o.name,
                                  .no_lock = o.no_lock};
    return mp__typed_new((struct mp__typed **)out, &want);
}

int mp_array_attach(mp_array **out, const char *name, mp_type type, size_t item)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    struct mp__typed_spec want = {.object = MP__ARRAY, .type = type, .item = item, .name = name};
    return mp__typed_attach((struct mp__typed **)out, &want);
}

void mp_array_free(mp_array *a)
{
    struct mp__typed *t = typed(a);
    if (t)
        mp__typed_free(t);
}

mp_type mp_array_type(const mp_array *a)
{
    const struct mp__typed *t = typed(a);
    return t ? (mp_type)t->type : (mp_type)0;
}

size_t mp_array_item(const mp_array *a)
{
    const struct mp__typed *t = typed(a);
    return t ? t->item : 0;
}

size_t mp_array_len(const mp_array *a)
{
    const struct mp__typed *t = typed(a);
    return t ? t->count : 0;
}

void *mp_array_data(mp_array *a, mp_type type, size_t item)
{
    struct mp__typed *t = typed(a);
    return t && t->type == (uint32_t)type && t->item == item ? t->data : NULL;
}

mp_rlock *mp_array_lock(mp_array *a)
{
    struct mp__typed *t = typed(a);
    return t ? mp__typed_lock(t) : NULL;
}

int mp_array_get_int(mp_array *a, size_t i, int64_t *out)
{
    const struct mp__typed *t = typed(a);
    return t ? mp__typed_get_int(t, i, out) : MP_EINVAL;
}

int mp_array_set_int(mp_array *a, size_t i, int64_t x)
{
    struct mp__typed *t = typed(a);
    return t ? mp__typed_set_int(t, i, x) : MP_EINVAL;
}

int mp_array_get_double(mp_array *a, size_t i, double *out)
{
    const struct mp__typed *t = typed(a);
    return t ? mp__typed_get_double(t, i, out) : MP_EINVAL;
}

int mp_array_set_double(mp_array *a, size_t i, double x)
{
    struct mp__typed *t = typed(a);
    return t ? mp__typed_set_double(t, i, x) : MP_EINVAL;
}

int mp_array_read(mp_array *a, size_t first, size_t n, void *out, size_t item, int timeout_ms)
{
    struct mp__typed *t = typed(a);
    return t ? mp__typed_read(t, first, n, out, item, timeout_ms) : MP_EINVAL;
}

int mp_array_write(mp_array *a, size_t first, size_t n, const void *in, size_t item, int timeout_ms)
{
    struct mp__typed *t = typed(a);
    return t ? mp__typed_write(t, first, n, in, item, timeout_ms) : MP_EINVAL;
}

int mp_array_fill(mp_array *a, size_t first, size_t n, const void *x, size_t item, int timeout_ms)
{
    struct mp__typed *t = typed(a);
    return t ? mp__typed_fill(t, first, n, x, item, timeout_ms) : MP_EINVAL;
}

int mp_array_copy(mp_array *to, size_t to_first, mp_array *from, size_t from_first, size_t n,
                  int timeout_ms)
{
    struct mp__typed *a = typed(to), *b = typed(from);
    return a && b ? mp__typed_copy(a, to_first, b, from_first, n, timeout_ms) : MP_EINVAL;
}
