// SPDX-License-Identifier: MIT
//
// Arenas from inside: what lies at the beginning of the shared memory (struct
// mp__arena_head), what a process keeps of it (struct mp_arena), and the list of all that
// this process has. shm/arena.c gives out memory; shm/arenas.c makes arenas, finds and
// drops them; shm/sign.c tells whether a file is one.
#ifndef MP_SHM_ARENA_H
#define MP_SHM_ARENA_H

#include "shm/mutex.h"
#include "shm/sign.h"

#include <mp/arena.h>
#include <stdatomic.h>
#include <sys/types.h>

#define MP__CLASS_SHIFT   6 // the smallest capacity: 64
#define MP__CLASSES       ((MP__ARENA_BITS + 1 - MP__CLASS_SHIFT) * 8)
#define MP__PLACES_CHUNKS 14 // of 8, 16, 32, ... places: see mp__place_chunk()

// Who takes part in an arena: see shm/life.c.
struct mp__lives {
    _Atomic uint64_t chunk[MP__PLACES_CHUNKS]; // offsets
    _Atomic uint32_t next;                     // where to look for a free place first
};

struct mp__arena_head {
    struct mp__sign sign;
    _Atomic uint64_t root; // offset, 0: none
    struct mp__lives lives;
    _Alignas(64) struct mp__mutex lock; // guards the rest, and the headers of blocks
    uint64_t top;                       // offset of the first byte that is no block yet
    uint64_t held;                      // bytes committed from offset 0 on
    uint64_t used, peak, blocks;
    uint64_t free[MP__CLASSES]; // offset of the first free block
    // A block on its way to or from a word elsewhere in the arena, which tells where it is:
    // see mp__arena_take_into(). Offsets; 0: none.
    uint64_t passing, passing_word;
};
_Static_assert(sizeof(struct mp__arena_head) <= MP__ARENA_HEAD, "it fits in front of the blocks");

// A name that an arena has, or will have.
#define MP__NAME_SIZE 65

// What a process has of an arena. A child has a copy of it.
struct mp_arena {
    struct mp__arena_head *head; // also the base address
    size_t size;                 // of the mapping
    size_t max;                  // as told to the user
    int fd;
    dev_t dev; // of the file
    ino_t ino;
    char name[MP__NAME_SIZE]; // that it will have when it is published, or ""
    uint64_t number;          // in the order of their making
    // In the registry, and guarded by its lock:
    mp_arena *next;
    unsigned refs; // the user's handles, and the objects that keep it
    bool own;      // made by mp__arena_own()
    bool in_use;   // something in it may still be used when all references are gone
    struct mp__handle {
        uint64_t offset;
        unsigned count;
    } * handles; // objects that hold references, each with how many (shm/object.c)
    size_t handle_count;
    // The life of this process (shm/life.h), good if life_of is its fork token.
    _Atomic uint64_t life, life_of;
};

// ---- arenas of this process ----

// Over the registry and all that is said to be guarded by it. Held across a fork.
void mp__arenas_lock(void);
void mp__arenas_unlock(void);

// Whether this is an arena of this process, and not one that was deleted: nothing is read
// where it points to. Some loads, when the thread asks again.
bool mp__arena_is(const mp_arena *a);

// The arena that begins at `base`, or NULL. Some loads, when the thread asks again.
mp_arena *mp__arena_at(const void *base);

// Makes an arena with one reference. max 0: the default. With a name, nobody finds it
// before mp__arena_publish(). The errors of mp_arena_new().
int mp__arena_make(mp_arena **out, size_t max, const char *name, enum mp__purpose purpose);

// One for objects, at an address that is likely free in other processes, too.
int mp__arena_make_apart(mp_arena **out);

// Gives it the name it was made for, if there is one. -EEXIST, and others of link(2).
int mp__arena_publish(mp_arena *a);

// This process's own arena with one more reference; made if there is none. The errors of
// mp_arena_new().
int mp__arena_own(mp_arena **out);

// The arena of a name, with one reference more. Errors of mp_arena_attach(), but MP_ETYPE.
int mp__arena_open(mp_arena **out, const char *name);

// The descriptor of an arena's file, to be sent to another process. It stays the arena's.
// Closing a copy of it drops the lock of this process's life (shm/life.c), and makes others
// look at /proc.
int mp__arena_fd(const mp_arena *a);

// The arena of a descriptor that came from another process, with one reference more. One
// that this process has is found again, at its address; another is checked and mapped. The
// descriptor is the arena's from now on, or closed, also after an error. MP_EUNSAFE,
// MP_EFORMAT, MP_EVERSION, -ENOMEM.
int mp__arena_adopt(int fd, mp_arena **out);

// The same at an address, if the process does not have it already; -EEXIST.
int mp__arena_adopt_at(int fd, void *at, mp_arena **out);

// Drops a reference; with the last, the arena is unmapped. `in_use` says that a part of it
// may still be used by a thread of this process.
void mp__arena_drop(mp_arena *a, bool in_use);

// The number of the youngest arena of this process and its ancestors: those up to
// this number are inherited by what is forked now.
uint64_t mp__arena_youngest(void);

// Whether all of [ptr, ptr+size) lies in one arena that still exists here and is
// not younger than `youngest`.
bool mp__arena_shares(const void *ptr, size_t size, uint64_t youngest);

// ---- the life of this process in one (shm/life.c) ----

// As mp__life_mine().
int mp__life_in(mp_arena *a, uint64_t *life);

// Gives it back.
void mp__life_leave(mp_arena *a);

// Takes its lock again, after a descriptor of the file was closed.
void mp__life_renew(mp_arena *a);

// ---- memory in one ----

// Makes the head in a fresh mapping whose first MP__ARENA_HEAD bytes are committed.
int mp__arena_init(mp_arena *a, enum mp__purpose purpose);

// Looks whether the head of an arena that others made can be used, whoever wrote it, and
// that all it says to hold is committed. MP_EFORMAT, -ENOMEM.
int mp__arena_check(mp_arena *a);

// As mp_arena_alloc() and mp_arena_free(), but told by offset, zeroed if wanted, and aligned
// to a pair of cache lines unless they are small.
int mp__arena_take(mp_arena *a, size_t size, bool zeroed, uint64_t *offset);
int mp__arena_give(mp_arena *a, uint64_t offset);

// The same with a word in the arena (so to speak, the owner) that has the offset of the block
// exactly as long as the block is in use, whoever is killed when: 0 before, and after. Not
// zeroed. Nobody else may change the word meanwhile. Giving 0 back does nothing.
int mp__arena_take_into(mp_arena *a, size_t size, _Atomic uint64_t *word);
void mp__arena_give_from(mp_arena *a, _Atomic uint64_t *word);

// As mp_arena_contains(), of what is an arena.
bool mp__arena_spans(const mp_arena *a, const void *ptr, size_t size);

// Whether [offset, offset+size) lies behind the head in memory that is committed.
bool mp__arena_holds(const mp_arena *a, uint64_t offset, uint64_t size);
uint64_t mp__arena_held(const mp_arena *a); // up to which offset it is

// Whether a block in use begins at this offset (of its data), with at least `size` bytes.
bool mp__arena_has_block(const mp_arena *a, uint64_t offset, uint64_t size);

// Where a place is that is numbered from 0, in chunks of 8, 16, 32, ... places: in chunk
// *chunk (which has 8 << chunk of them), at the returned index.
static inline uint32_t mp__place_chunk(uint32_t place, unsigned *chunk)
{
    *chunk = 28 - (unsigned)__builtin_clz(place + 8);
    return place + 8 - (8u << *chunk);
}

#endif
