// SPDX-License-Identifier: MIT
//
// What every shared object has in common: lock, semaphore, value, dict, queue and the rest.
//
// An object is a block in an arena, and its handle is its address: the same in all
// processes that inherited the arena by fork(). A process that got the arena otherwise
// (by name, through a pipe) may have it at another address, so whatever an object says of
// places in the arena is an offset from the arena's base, and never a pointer.
//
// Who makes an object says where: in an arena of the user's; under a name, in a named
// arena of its own whose root it is; or, by default, in the process's own arena, which is
// made with the first such object and goes with the last.
//
// Freeing: the process that made an object gives its memory back. In others (children,
// those who attached) freeing drops what they have of it and leaves the object to the rest.
// What has a name belongs to nobody: freeing it drops a handle everywhere, and the memory
// goes with the last when the name is unlinked. (No other thread of this process may be in a
// call on it then: it is unmapped.)
// The header is marked first, so that who still uses it is told (MP_EINVAL, or MP_ECLOSED
// in a wait); a block that somebody may be about to write to is marked and not used again.
#ifndef MP_SHM_OBJECT_H
#define MP_SHM_OBJECT_H

#include "base/clock.h"
#include "os/futex.h"

#include <mp/arena.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// Stable: they are in named memory. Never renumbered.
enum mp__type {
    MP__LOCK = 1,
    MP__RLOCK,
    MP__SEMAPHORE,
    MP__CONDITION,
    MP__EVENT,
    MP__BARRIER,
    MP__RWLOCK,
    MP__VALUE,
    MP__ARRAY,
    MP__SHM_DICT,
    MP__SHM_LIST,
    MP__QUEUE,
    MP__TYPES // so many, and one
};

// The first bytes of each object. Constant from mp__object_new() to mp__object_free(),
// which changes `magic`.
struct mp__object {
    _Atomic uint32_t magic;
    uint16_t type, version; // of the layout of this type
    uint64_t offset;        // of itself: this address - offset = the arena's base
    uint64_t size;          // bytes, with this header
    uint64_t maker;         // who made it: see mp__object_is_mine()
    uint64_t checksum;      // of type to maker
};

#define MP__OBJECT_MAGIC 0x6d706f31u // "mpo1"
#define MP__OBJECT_FREED 0x6d706f30u

// Whether obj is an object of this type and not freed. Cheap: at the top of each call.
static inline bool mp__object_is(const void *obj, enum mp__type type)
{
    const struct mp__object *o = obj;
    return o && o->type == type &&
           atomic_load_explicit(&o->magic, memory_order_relaxed) == MP__OBJECT_MAGIC;
}

// For waits: whether the object was freed meanwhile.
static inline bool mp__object_gone(const void *obj)
{
    const struct mp__object *o = obj;
    return atomic_load_explicit(&o->magic, memory_order_relaxed) != MP__OBJECT_MAGIC;
}

// Where the arena of an object begins in this process, and places in it.
static inline void *mp__object_base(const void *obj)
{
    const struct mp__object *o = obj;
    return (char *)(uintptr_t)o - o->offset;
}
static inline void *mp__object_at(const void *obj, uint64_t offset)
{
    return (char *)mp__object_base(obj) + offset;
}
static inline uint64_t mp__object_offset(const void *obj, const void *place)
{
    return (uint64_t)((const char *)place - (const char *)mp__object_base(obj));
}

// Allocates `size` zeroed bytes (header included), aligned to 128, and fills in the header.
// arena and name as in the options of every object: both NULL: the process's own arena; a
// name makes a named arena of at least `max` bytes (0: the arena's default) with this object
// as its root, which nobody finds before mp__object_publish(). Errors: MP_EINVAL (arena and
// name, a name that is not one), those of mp_arena_new() and mp_arena_alloc().
int mp__object_new(void **out, mp_arena *arena, const char *name, size_t max, enum mp__type type,
                   uint16_t version, size_t size);

// The object is complete: enters its name, if it has one. -EEXIST and others of open(2);
// the object is then still the caller's, to be freed. Does nothing without a name.
int mp__object_publish(void *obj);

// Attaches to the object of that name. MP_EINVAL (not a name), MP_ENOTFOUND, MP_ETYPE (an
// object of another type), MP_EVERSION, MP_EFORMAT, MP_EUNSAFE, -ENOMEM, -EMFILE. `least` is
// the least size that the type can have. What lies behind the header is not looked at: the
// type checks what it uses.
int mp__object_attach(void **out, const char *name, enum mp__type type, uint16_t version,
                      size_t least);

// The object at that offset of an arena that was adopted (shm/arena.h). Then the reference
// to the arena is the object's, and dropped when that is freed; after an error it is still
// the caller's. MP_ENOTFOUND (it was freed), MP_ETYPE, MP_EVERSION, MP_EFORMAT, -ENOMEM.
int mp__object_adopt(void **out, mp_arena *a, uint64_t offset, enum mp__type type, uint16_t version,
                     size_t least);

// A reference instead of a name, for one call of a type's attach function by this thread:
//
//   r = mp_lock_attach(&l, mp__object_refer(a, offset));
//   mp__object_referred();
//
// so that what came through a pipe is opened, and checked, by the same code as what has a
// name. The reference to the arena goes to the object, or is dropped.
const char *mp__object_refer(mp_arena *a, uint64_t offset);
void mp__object_referred(void);

// Whether mp__object_free() here will give the memory back: then, and only then, parts of
// the object are to be released before. False for what has a name, and in other processes
// than the maker: there the free of every type does nothing but call mp__object_free().
bool mp__object_is_mine(const void *obj);

// Frees an object that mp__object_is() holds for, as told above. `idle` says that nobody
// uses it, so that its block may be used again.
void mp__object_free(void *obj, bool idle);

// Memory for parts of an object, in its arena: the same blocks, zeroed, told by offset.
// A death between the two leaves a block that nobody knows: enter the offset in one store,
// or where recovery finds it, and soon.
int mp__object_alloc(void *obj, size_t size, uint64_t *offset);
int mp__object_alloc_unset(void *obj, size_t size, uint64_t *offset); // not zeroed
void mp__object_release(void *obj, uint64_t offset);

// The same for a word in the arena that leads to the part. It has the offset exactly as
// long as the block is in use, whoever is killed when; only its user may change it
// meanwhile. Not zeroed. Releasing 0 does nothing.
int mp__object_alloc_into(void *obj, size_t size, _Atomic uint64_t *word);
void mp__object_release_from(void *obj, _Atomic uint64_t *word);

// Whether [offset, offset+size) lies in memory that the arena holds: to be asked of every
// offset that came from shared memory which another process may have damaged.
bool mp__object_holds(const void *obj, uint64_t offset, uint64_t size);

// The same for many questions at a time: from where to where that memory reaches now. It may
// grow meanwhile, so what lies behind is asked for again before it is called damaged.
struct mp__reach {
    uint64_t begin, end;
};
struct mp__reach mp__object_reach(const void *obj);
static inline bool mp__reaches(struct mp__reach r, uint64_t offset, uint64_t size)
{
    return offset >= r.begin && offset <= r.end && size <= r.end - offset;
}

// Sleeps while *word is `seen`, at most MP__LOOK_NS. 0: look again; MP_ETIMEDOUT: d is over.
static inline int mp__sleep_on(_Atomic uint32_t *word, uint32_t seen, mp__deadline d)
{
    mp__deadline look = mp__now() + MP__LOOK_NS;
    int r = mp__futex_wait(word, seen, look < d ? look : d);
    return r == MP_ETIMEDOUT && look < d ? 0 : r;
}

#endif
