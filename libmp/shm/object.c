// SPDX-License-Identifier: MIT
#include "shm/object.h"
#include "os/fork.h"
#include "os/point.h"
#include "shm/arena.h"

#include <errno.h>
#include <sys/random.h>

// Who a process is, for the `maker` of objects: its fork token, which is its own among its
// ancestors and descendants, mixed with a number that no stranger has.
static uint64_t self(void)
{
    static _Atomic uint64_t family; // inherited by children
    uint64_t token = mp__fork_token(), mine = atomic_load(&family);
    if (!mine) {
        uint64_t fresh = 0, none = 0;
        if (getrandom(&fresh, sizeof fresh, GRND_NONBLOCK) != (ssize_t)sizeof fresh || !fresh)
            fresh = (uint64_t)mp__now() ^ token;
        atomic_compare_exchange_strong(&family, &none, fresh);
        mine = atomic_load(&family);
    }
    return token ^ mine;
}

static void fill(struct mp__object *o, uint64_t offset, enum mp__type type, uint16_t version,
                 size_t size)
{
    o->type = (uint16_t)type;
    o->version = version;
    o->offset = offset;
    o->size = size;
    o->maker = self();
    atomic_store(&o->magic, MP__OBJECT_MAGIC);
}

int mp__object_new(void **out, mp_arena *arena, const char *name, size_t max, enum mp__type type,
                   uint16_t version, size_t size)
{
    (void)max;
    *out = NULL;
    if (name)
        return arena ? MP_EINVAL : MP_ENOTSUP;
    mp_arena *a = arena;
    int r = a ? 0 : mp__arena_own(&a);
    if (r < 0)
        return r;
    uint64_t offset;
    r = mp__arena_take(a, size, &offset);
    if (r < 0) {
        if (!arena)
            mp__arena_drop(a, false);
        return r;
    }
    MP__POINT("object.allocated");
    struct mp__object *o = (struct mp__object *)(void *)((char *)a->head + offset);
    fill(o, offset, type, version, size);
    *out = o;
    return 0;
}

int mp__object_publish(void *obj)
{
    (void)obj;
    return 0;
}

int mp__object_attach(void **out, const char *name, enum mp__type type, uint16_t version,
                      size_t least)
{
    (void)name, (void)type, (void)version, (void)least;
    *out = NULL;
    return MP_ENOTSUP;
}

bool mp__object_is_mine(const void *obj)
{
    const struct mp__object *o = obj;
    return o->maker == self();
}

void mp__object_free(void *obj, bool idle)
{
    struct mp__object *o = obj;
    mp_arena *a = mp__arena_at(mp__object_base(o));
    if (!a || !mp__object_is_mine(o))
        return;
    uint32_t magic = MP__OBJECT_MAGIC;
    if (!atomic_compare_exchange_strong(&o->magic, &magic, MP__OBJECT_FREED))
        return; // another thread was first
    MP__POINT("object.marked");
    if (idle)
        mp__arena_give(a, o->offset);
    if (a->counted)
        mp__arena_drop(a, !idle);
}

int mp__object_alloc(void *obj, size_t size, uint64_t *offset)
{
    mp_arena *a = mp__arena_at(mp__object_base(obj));
    return a ? mp__arena_take(a, size, offset) : MP_EINVAL;
}

void mp__object_release(void *obj, uint64_t offset)
{
    mp_arena *a = mp__arena_at(mp__object_base(obj));
    if (a)
        mp__arena_give(a, offset);
}

bool mp__object_holds(const void *obj, uint64_t offset, uint64_t size)
{
    const mp_arena *a = mp__arena_at(mp__object_base(obj));
    return a && mp__arena_holds(a, offset, size);
}
