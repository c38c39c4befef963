// SPDX-License-Identifier: MIT
//
// The calls of a shared list; shm_list.h tells how it works. Reading tries without the lock:
// as in shm_dict_read.c.
#include "shm/shm_list.h"

#include <errno.h>
#include <stdlib.h>

#define TRIES 100

// ---- life ----

int mp_shm_list_new(mp_shm_list **out, const mp_shm_list_opts *opts)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    mp_shm_list_opts o = opts ? *opts : (mp_shm_list_opts){0};
    void *obj;
    int r = mp__object_new(&obj, o.arena, o.name, o.max, MP__SHM_LIST, MP__LIST_VERSION,
                           sizeof(mp_shm_list));
    if (r < 0)
        return r;
    mp_shm_list *l = obj;
    r = mp__mutex_init(&l->lock);
    if (r == 0)
        r = mp__object_publish(l);
    if (r < 0)
        mp__object_free(l, true);
    else
        *out = l;
    return r;
}

int mp_shm_list_attach(mp_shm_list **out, const char *name)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    void *obj;
    int r = mp__object_attach(&obj, name, MP__SHM_LIST, MP__LIST_VERSION, sizeof(mp_shm_list));
    if (r < 0)
        return r;
    mp_shm_list *l = obj;
    if (!mp__mutex_is_sound(&l->lock)) {
        mp__object_free(l, false);
        return MP_EFORMAT;
    }
    *out = l;
    return 0;
}

// Frees all that the list has. Returns whether nobody is inside: then its own memory can be
// used again. Who was killed inside counts for ever.
static bool empty(mp_shm_list *l)
{
    struct mp__list_view v;
    if (mp__list_lock(l, &v) == 0) {
        mp__list_clear(l, &v);
        l->closed = true;
        mp__list_unlock(l);
    }
    return atomic_load_explicit(&l->visitors, memory_order_acquire) == 0;
}

void mp_shm_list_free(mp_shm_list *l)
{
    if (mp__object_is(l, MP__SHM_LIST))
        mp__object_free(l, mp__object_is_mine(l) && empty(l));
}

// ---- reading ----

// The size of an item, which is copied to buf unless that is NULL.
static int64_t copy_item(const mp_shm_list *l, const struct mp__list_view *v, uint64_t i, void *buf,
                         size_t cap)
{
    struct mp__list_item *item;
    uint64_t size;
    int r = mp__list_item(l, v, i, &item, &size);
    if (r < 0)
        return r;
    if (buf && size > cap)
        return MP_EMSGSIZE;
    if (buf)
        mp__racing_copy(buf, item->words, size);
    return (int64_t)size;
}

static int64_t look(const mp_shm_list *l, int64_t index, void *buf, size_t cap)
{
    struct mp__list_view v;
    int r = mp__list_view(l, &v);
    if (r < 0)
        return r;
    int64_t i = mp__list_index(&v, index);
    return i < 0 ? i : copy_item(l, &v, (uint64_t)i, buf, cap);
}

static int64_t read_item(mp_shm_list *l, int64_t index, void *buf, size_t cap)
{
    if (!mp__object_is(l, MP__SHM_LIST))
        return MP_EINVAL;
    for (int i = 0; i < TRIES; i++) {
        uint64_t version = mp__version_of(&l->version);
        int64_t size = look(l, index, buf, cap);
        if (mp__version_is(&l->version, version))
            return mp__object_gone(l) ? MP_EINVAL : size;
    }
    struct mp__list_view v;
    int64_t r = mp__list_lock(l, &v);
    if (r < 0)
        return r;
    r = look(l, index, buf, cap);
    mp__list_unlock(l);
    return r;
}

int64_t mp_shm_list_get(mp_shm_list *l, int64_t index, void *buf, size_t cap)
{
    char none;
    if (!buf && cap)
        return MP_EINVAL;
    return read_item(l, index, buf ? buf : &none, cap);
}

int64_t mp_shm_list_size(mp_shm_list *l, int64_t index)
{
    return read_item(l, index, NULL, 0);
}

int64_t mp_shm_list_get_new(mp_shm_list *l, int64_t index, void **data)
{
    if (!data)
        return MP_EINVAL;
    *data = NULL;
    for (;;) {
        int64_t size = mp_shm_list_size(l, index);
        if (size < 0)
            return size;
        char *buf = malloc((size_t)size + 1);
        if (!buf)
            return -ENOMEM;
        int64_t got = mp_shm_list_get(l, index, buf, (size_t)size);
        if (got >= 0) {
            buf[got] = 0;
            *data = buf;
            return got;
        }
        free(buf);
        if (got != MP_EMSGSIZE) // else it grew meanwhile
            return got;
    }
}

// The bounds are one word, in an array that may be another by now.
int64_t mp_shm_list_len(mp_shm_list *l)
{
    struct mp__list_view v;
    if (!mp__object_is(l, MP__SHM_LIST))
        return MP_EINVAL;
    for (int i = 0; i < TRIES; i++) {
        uint64_t version = mp__version_of(&l->version);
        int r = mp__list_view(l, &v);
        if (mp__version_is(&l->version, version))
            return r < 0 ? r : (int64_t)v.len;
    }
    int r = mp__list_lock(l, &v);
    if (r < 0)
        return r;
    mp__list_unlock(l);
    return (int64_t)v.len;
}

// ---- writing ----

static int begin(mp_shm_list *l, struct mp__list_view *v)
{
    return mp__object_is(l, MP__SHM_LIST) ? mp__list_lock(l, v) : MP_EINVAL;
}

int mp_shm_list_extend(mp_shm_list *l, const mp_shm_list_item *items, size_t n)
{
    struct mp__list_view v;
    if (!items && n)
        return MP_EINVAL;
    if (n > MP__LIST_MAX_LEN)
        return MP_EOVERFLOW;
    for (size_t i = 0; i < n; i++)
        if (!items[i].data && items[i].size)
            return MP_EINVAL;
    int r = begin(l, &v);
    if (r < 0)
        return r;
    r = mp__list_add_last(l, &v, items, n);
    mp__list_unlock(l);
    return r;
}

int mp_shm_list_append(mp_shm_list *l, const void *data, size_t size)
{
    return mp_shm_list_extend(l, &(mp_shm_list_item){data, size}, 1);
}

int mp_shm_list_insert(mp_shm_list *l, int64_t index, const void *data, size_t size)
{
    struct mp__list_view v;
    mp_shm_list_item item = {data, size};
    if (!data && size)
        return MP_EINVAL;
    int r = begin(l, &v);
    if (r < 0)
        return r;
    int64_t len = (int64_t)v.len, i = index < -len ? 0 : index < 0 ? index + len : index;
    r = mp__list_insert(l, &v, (uint64_t)(i < len ? i : len), &item);
    mp__list_unlock(l);
    return r;
}

int mp_shm_list_set(mp_shm_list *l, int64_t index, const void *data, size_t size)
{
    struct mp__list_view v;
    mp_shm_list_item item = {data, size};
    if (!data && size)
        return MP_EINVAL;
    int r = begin(l, &v);
    if (r < 0)
        return r;
    int64_t i = mp__list_index(&v, index);
    r = i < 0 ? (int)i : mp__list_set(l, &v, (uint64_t)i, &item);
    mp__list_unlock(l);
    return r;
}

int64_t mp_shm_list_pop(mp_shm_list *l, int64_t index, void *buf, size_t cap)
{
    struct mp__list_view v;
    if (!buf && cap)
        return MP_EINVAL;
    int64_t r = begin(l, &v);
    if (r < 0)
        return r;
    int64_t i = mp__list_index(&v, index);
    int64_t size = i < 0 ? i : copy_item(l, &v, (uint64_t)i, buf, cap);
    if (size >= 0) {
        r = mp__list_remove(l, &v, (uint64_t)i);
        size = r < 0 ? r : size;
    }
    mp__list_unlock(l);
    return size;
}

// With the lock.
static int64_t find(const mp_shm_list *l, const struct mp__list_view *v, const void *data,
                    size_t size)
{
    for (uint64_t i = 0; i < v->len; i++) {
        struct mp__list_item *item;
        uint64_t its;
        if (mp__list_item(l, v, i, &item, &its) < 0)
            return MP_EFORMAT;
        if (its == size && mp__racing_equal(item->words, data, size))
            return (int64_t)i;
    }
    return MP_ENOTFOUND;
}

int64_t mp_shm_list_index(mp_shm_list *l, const void *data, size_t size)
{
    struct mp__list_view v;
    if (!data && size)
        return MP_EINVAL;
    int64_t r = begin(l, &v);
    if (r < 0)
        return r;
    r = find(l, &v, data, size);
    mp__list_unlock(l);
    return r;
}

int mp_shm_list_remove(mp_shm_list *l, const void *data, size_t size)
{
    struct mp__list_view v;
    if (!data && size)
        return MP_EINVAL;
    int r = begin(l, &v);
    if (r < 0)
        return r;
    int64_t i = find(l, &v, data, size);
    r = i < 0 ? (int)i : mp__list_remove(l, &v, (uint64_t)i);
    mp__list_unlock(l);
    return r;
}

int mp_shm_list_clear(mp_shm_list *l)
{
    struct mp__list_view v;
    int r = begin(l, &v);
    if (r < 0)
        return r;
    mp__list_clear(l, &v);
    mp__list_unlock(l);
    return 0;
}

// ---- all of it ----

static int measure(const mp_shm_list *l, const struct mp__list_view *v, uint64_t *bytes)
{
    *bytes = 0;
    for (uint64_t i = 0; i < v->len; i++) {
        struct mp__list_item *item;
        uint64_t size;
        if (mp__list_item(l, v, i, &item, &size) < 0)
            return MP_EFORMAT;
        *bytes += size + 1;
    }
    return 0;
}

// Copies to items, and the bytes of all to `to`, which has room for `left`.
static int copy_all(const mp_shm_list *l, const struct mp__list_view *v, mp_shm_list_item *items,
                    char *to, uint64_t left)
{
    for (uint64_t i = 0; i < v->len; i++) {
        int64_t size = left ? copy_item(l, v, i, to, left - 1) : MP_EFORMAT;
        if (size < 0) // changed by somebody without the lock
            return MP_EFORMAT;
        to[size] = 0;
        items[i] = (mp_shm_list_item){to, (size_t)size};
        to += size + 1;
        left -= (uint64_t)size + 1;
    }
    return 0;
}

static int copy_list(const mp_shm_list *l, const struct mp__list_view *v, mp_shm_list_item **items)
{
    uint64_t bytes;
    int r = measure(l, v, &bytes);
    if (r < 0 || v->len == 0)
        return r;
    mp_shm_list_item *copy = malloc(v->len * sizeof *copy + bytes);
    if (!copy)
        return -ENOMEM;
    r = copy_all(l, v, copy, (char *)(copy + v->len), bytes);
    if (r == 0)
        *items = copy;
    else
        free(copy);
    return r;
}

int64_t mp_shm_list_copy(mp_shm_list *l, mp_shm_list_item **items)
{
    struct mp__list_view v;
    if (!items)
        return MP_EINVAL;
    *items = NULL;
    int r = begin(l, &v);
    if (r < 0)
        return r;
    r = copy_list(l, &v, items);
    mp__list_unlock(l);
    return r < 0 ? r : (int64_t)v.len;
}

int mp_shm_list_get_stats(mp_shm_list *l, mp_shm_list_stats *out)
{
    struct mp__list_view v;
    if (!out)
        return MP_EINVAL;
    int r = begin(l, &v);
    if (r < 0)
        return r;
    *out = (mp_shm_list_stats){v.len, v.capacity, 1 + (v.array != NULL) + v.len, l->recovered};
    mp__list_unlock(l);
    return 0;
}
