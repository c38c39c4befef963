// SPDX-License-Identifier: MIT
//
// Arenas from inside: what lies at the beginning of the shared memory (struct
// mp__arena_head), what a process keeps of it (struct mp_arena), and the list of all that
// this process has. shm/arena.c gives out memory; shm/arenas.c makes arenas, finds and
// drops them.
#ifndef MP_SHM_ARENA_H
#define MP_SHM_ARENA_H

#include "shm/mutex.h"

#include <mp/arena.h>
#include <stdatomic.h>

#define MP__ARENA_HEAD    4096 // bytes in front of the blocks
#define MP__ARENA_BITS    47   // of address space, at most
#define MP__CLASS_SHIFT   6    // the smallest capacity: 64
#define MP__CLASSES       ((MP__ARENA_BITS + 1 - MP__CLASS_SHIFT) * 8)
#define MP__PLACES_CHUNKS 14 // of 8, 16, 32, ... places: see mp__place_chunk()

// Who takes part in an arena: see shm/life.c.
struct mp__lives {
    _Atomic uint64_t chunk[MP__PLACES_CHUNKS]; // offsets
    _Atomic uint32_t next;                     // where to look for a free place first
};

struct mp__arena_head {
    struct mp__mutex lock; // guards the rest up to `free`, and the headers of blocks
    uint64_t top;          // offset of the first byte that is no block yet
    uint64_t held;         // bytes committed from offset 0 on
    uint64_t used, blocks;
    uint64_t free[MP__CLASSES]; // offset of the first free block
    struct mp__lives lives;
};
_Static_assert(sizeof(struct mp__arena_head) <= MP__ARENA_HEAD, "it fits in front of the blocks");

// What a process has of an arena. A child has a copy of it.
struct mp_arena {
    struct mp__arena_head *head; // also the base address
    size_t size;                 // of the mapping
    size_t max;                  // as told to the user
    int fd;
    uint64_t number; // in the order of their making
    // In the registry, and guarded by its lock:
    mp_arena *next;
    unsigned refs; // the user's handle, or the objects that keep it
    bool counted;  // no user has it: it goes with its objects
    bool in_use;   // something in it may still be used when all references are gone
    // The life of this process (shm/life.h), good if life_of is its fork token.
    _Atomic uint64_t life, life_of;
};

// ---- arenas of this process ----

// Over the registry and all that is said to be guarded by it. Held across a fork.
void mp__arenas_lock(void);
void mp__arenas_unlock(void);

// The arena that begins at `base`, or NULL. Some loads, when the thread asks again.
mp_arena *mp__arena_at(const void *base);

// This process's own arena with one more reference; made if there is none. The errors of
// mp_arena_new().
int mp__arena_own(mp_arena **out);

// Drops a reference; with the last, the arena is unmapped. `in_use` says that a part of it
// may still be used by a thread of this process.
void mp__arena_drop(mp_arena *a, bool in_use);

// The other side of life.h: gives the life of this process in it back.
void mp__life_leave(mp_arena *a);

// The number of the youngest arena of this process and its ancestors: those up to
// this number are inherited by what is forked now.
uint64_t mp__arena_youngest(void);

// Whether all of [ptr, ptr+size) lies in one arena that still exists here and is
// not younger than `youngest`.
bool mp__arena_shares(const void *ptr, size_t size, uint64_t youngest);

// ---- memory in one ----

// Makes the head in a fresh mapping whose first MP__ARENA_HEAD bytes are committed.
int mp__arena_init(mp_arena *a);

// As mp_arena_alloc() and mp_arena_free(), but zeroed, and told by offset.
int mp__arena_take(mp_arena *a, size_t size, uint64_t *offset);
int mp__arena_give(mp_arena *a, uint64_t offset);

// Whether [offset, offset+size) lies behind the head in memory that is committed.
bool mp__arena_holds(const mp_arena *a, uint64_t offset, uint64_t size);

// Where a place is that is numbered from 0, in chunks of 8, 16, 32, ... places: in chunk
// *chunk (which has 8 << chunk of them), at the returned index.
static inline uint32_t mp__place_chunk(uint32_t place, unsigned *chunk)
{
    *chunk = 28 - (unsigned)__builtin_clz(place + 8);
    return place + 8 - (8u << *chunk);
}

#endif
