// SPDX-License-Identifier: MIT
#include "shm/object.h"
#include "os/fork.h"
#include "os/point.h"
#include "shm/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

// Room in a named arena beyond what its object wants: for lives, and counts of holders.
#define NAMED_SPARE ((size_t)16 << 20)

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

static uint64_t checksum_of(const struct mp__object *o)
{
    size_t from = offsetof(struct mp__object, type);
    return mp__checksum((const char *)o + from, offsetof(struct mp__object, checksum) - from);
}

static struct mp__object *object_at(mp_arena *a, uint64_t offset)
{
    return (struct mp__object *)(void *)((char *)a->head + offset);
}

// ---- handles that hold references to an arena ----

static struct mp__handle *find_handle_locked(const mp_arena *a, uint64_t offset)
{
    for (size_t i = 0; i < a->handle_count; i++)
        if (a->handles[i].offset == offset)
            return &a->handles[i];
    return NULL;
}

static int add_handle(mp_arena *a, uint64_t offset)
{
    mp__arenas_lock();
    struct mp__handle *h = find_handle_locked(a, offset);
    if (!h) {
        h = realloc(a->handles, (a->handle_count + 1) * sizeof *h);
        if (h) {
            a->handles = h;
            h += a->handle_count++;
            *h = (struct mp__handle){offset, 0};
        }
    }
    if (h)
        h->count++;
    mp__arenas_unlock();
    return h ? 0 : -ENOMEM;
}

static bool has_handle(const mp_arena *a, uint64_t offset)
{
    mp__arenas_lock();
    bool has = find_handle_locked(a, offset);
    mp__arenas_unlock();
    return has;
}

static bool remove_handle(mp_arena *a, uint64_t offset)
{
    mp__arenas_lock();
    struct mp__handle *h = find_handle_locked(a, offset);
    if (h && --h->count == 0)
        *h = a->handles[--a->handle_count];
    mp__arenas_unlock();
    return h;
}

// ---- making ----

static void fill(struct mp__object *o, uint64_t offset, enum mp__type type, uint16_t version,
                 size_t size)
{
    o->type = (uint16_t)type;
    o->version = version;
    o->offset = offset;
    o->size = size;
    o->maker = self();
    o->checksum = checksum_of(o);
    MP__POINT("object.filled");
    atomic_store(&o->magic, MP__OBJECT_MAGIC);
}

static int make_in(void **out, mp_arena *a, enum mp__type type, uint16_t version, size_t size)
{
    uint64_t offset;
    int r = mp__arena_take(a, size, true, &offset);
    if (r < 0)
        return r;
    MP__POINT("object.allocated");
    fill(object_at(a, offset), offset, type, version, size);
    *out = object_at(a, offset);
    return 0;
}

// Makes a named arena for an object alone.
static int make_named(void **out, const char *name, size_t max, enum mp__type type,
                      uint16_t version, size_t size)
{
    mp_arena *a;
    if (max && __builtin_add_overflow(max, size + NAMED_SPARE, &max))
        return -ENOMEM;
    int r = mp__arena_make(&a, max, name, MP__OF_OBJECT);
    if (r < 0)
        return r;
    r = make_in(out, a, type, version, size);
    if (r == 0) {
        struct mp__object *o = *out;
        atomic_store(&a->head->root, o->offset);
        r = add_handle(a, o->offset);
    }
    if (r < 0) {
        *out = NULL;
        mp__arena_drop(a, false);
    }
    return r;
}

int mp__object_new(void **out, mp_arena *arena, const char *name, size_t max, enum mp__type type,
                   uint16_t version, size_t size)
{
    *out = NULL;
    if (arena && name)
        return MP_EINVAL;
    if (arena)
        return make_in(out, arena, type, version, size);
    if (name)
        return make_named(out, name, max, type, version, size);
    mp_arena *own;
    int r = mp__arena_own(&own);
    if (r < 0)
        return r;
    r = make_in(out, own, type, version, size);
    if (r < 0)
        mp__arena_drop(own, false);
    return r;
}

int mp__object_publish(void *obj)
{
    mp_arena *a = mp__arena_at(mp__object_base(obj));
    // In an arena of the user's, the name is the arena's.
    return a && a->head->sign.purpose == MP__OF_OBJECT ? mp__arena_publish(a) : 0;
}

// ---- attaching ----

// Whether there is an object of this type in memory that anybody may have written.
static int check(mp_arena *a, uint64_t offset, enum mp__type type, uint16_t version, size_t least)
{
    if (offset % 64 || !mp__arena_holds(a, offset, sizeof(struct mp__object)))
        return MP_EFORMAT;
    const struct mp__object *o = object_at(a, offset);
    uint32_t magic = atomic_load(&o->magic);
    struct mp__object is;
    memcpy(&is, o, sizeof is);
    if (magic != MP__OBJECT_MAGIC)
        return magic == MP__OBJECT_FREED ? MP_ENOTFOUND : MP_EFORMAT;
    if (is.checksum != checksum_of(&is) || is.offset != offset || is.type == 0 ||
        is.type >= MP__TYPES)
        return MP_EFORMAT;
    if (is.type != type)
        return MP_ETYPE;
    if (is.version != version)
        return MP_EVERSION;
    return is.size >= least && mp__arena_has_block(a, offset, is.size) ? 0 : MP_EFORMAT;
}

int mp__object_adopt(void **out, mp_arena *a, uint64_t offset, enum mp__type type, uint16_t version,
                     size_t least)
{
    *out = NULL;
    int r = check(a, offset, type, version, least);
    if (r == 0)
        r = add_handle(a, offset);
    if (r == 0)
        *out = object_at(a, offset);
    return r;
}

// ---- by reference ----

static const char reference[1]; // the name that says so, by its address
static __thread struct {
    mp_arena *arena; // NULL: used
    uint64_t offset;
} referred;

const char *mp__object_refer(mp_arena *a, uint64_t offset)
{
    referred.arena = a;
    referred.offset = offset;
    return reference;
}

void mp__object_referred(void)
{
    if (referred.arena)
        mp__arena_drop(referred.arena, false);
    referred.arena = NULL;
}

static int attach_referred(void **out, enum mp__type type, uint16_t version, size_t least)
{
    int r = referred.arena
                ? mp__object_adopt(out, referred.arena, referred.offset, type, version, least)
                : MP_EINVAL;
    if (r == 0)
        referred.arena = NULL;
    return r;
}

int mp__object_attach(void **out, const char *name, enum mp__type type, uint16_t version,
                      size_t least)
{
    mp_arena *a;
    *out = NULL;
    if (name == reference)
        return attach_referred(out, type, version, least);
    int r = mp__arena_open(&a, name);
    if (!a)
        return r;
    r = a->head->sign.purpose != MP__OF_OBJECT
            ? MP_ETYPE
            : mp__object_adopt(out, a, atomic_load(&a->head->root), type, version, least);
    if (r < 0)
        mp__arena_drop(a, false);
    return r;
}

// ---- the end ----

bool mp__object_is_mine(const void *obj)
{
    const struct mp__object *o = obj;
    const mp_arena *a = mp__arena_at(mp__object_base(o));
    return a && o->maker == self() && !has_handle(a, o->offset);
}

void mp__object_free(void *obj, bool idle)
{
    struct mp__object *o = obj;
    mp_arena *a = mp__arena_at(mp__object_base(o));
    if (!a)
        return;
    if (remove_handle(a, o->offset)) {
        mp__arena_drop(a, false); // whatever others do with it, in mappings of their own
        return;
    }
    uint32_t magic = MP__OBJECT_MAGIC;
    if (o->maker != self() || !atomic_compare_exchange_strong(&o->magic, &magic, MP__OBJECT_FREED))
        return; // inherited, or another thread was first
    MP__POINT("object.marked");
    if (idle)
        mp__arena_give(a, o->offset);
    if (a->own)
        mp__arena_drop(a, !idle);
}

int mp__object_alloc(void *obj, size_t size, uint64_t *offset)
{
    mp_arena *a = mp__arena_at(mp__object_base(obj));
    return a ? mp__arena_take(a, size, true, offset) : MP_EINVAL;
}

int mp__object_alloc_unset(void *obj, size_t size, uint64_t *offset)
{
    mp_arena *a = mp__arena_at(mp__object_base(obj));
    return a ? mp__arena_take(a, size, false, offset) : MP_EINVAL;
}

void mp__object_release(void *obj, uint64_t offset)
{
    mp_arena *a = mp__arena_at(mp__object_base(obj));
    if (a)
        mp__arena_give(a, offset);
}

int mp__object_alloc_into(void *obj, size_t size, _Atomic uint64_t *word)
{
    mp_arena *a = mp__arena_at(mp__object_base(obj));
    return a ? mp__arena_take_into(a, size, word) : MP_EINVAL;
}

void mp__object_release_from(void *obj, _Atomic uint64_t *word)
{
    mp_arena *a = mp__arena_at(mp__object_base(obj));
    if (a)
        mp__arena_give_from(a, word);
}

bool mp__object_holds(const void *obj, uint64_t offset, uint64_t size)
{
    const mp_arena *a = mp__arena_at(mp__object_base(obj));
    return a && mp__arena_holds(a, offset, size);
}

struct mp__reach mp__object_reach(const void *obj)
{
    const mp_arena *a = mp__arena_at(mp__object_base(obj));
    return a ? (struct mp__reach){MP__ARENA_HEAD, mp__arena_held(a)} : (struct mp__reach){0, 0};
}
