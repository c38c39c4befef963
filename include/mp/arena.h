// SPDX-License-Identifier: MIT
//
// An arena is memory that this process shares with all it forks: arrays that lie
// in one go through a pool without being copied.
//
//  1. mp_arena_new(), before the pool or process that shall share it;
//  2. mp_arena_alloc() and mp_arena_free() in any process that has it;
//  3. mp_arena_delete() in each process: the memory goes with the last.
//
// Addresses are the same in all processes. The arena survives a kill -9 of any
// process at any instruction; what a killed process was allocating is lost to
// the arena at worst. Memory comes from the kernel as it is needed, zeroed the
// first time, and stays with the arena, so that arrays used again cost no page
// faults.
#ifndef MP_ARENA_H
#define MP_ARENA_H

#include <mp/base.h>
#include <mp/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_arena mp_arena;

typedef struct mp_arena_opts {
    size_t max; // bytes it may hold in all; 0 = 64 GiB (address space, not memory)
} mp_arena_opts;

// Makes an arena. Errors: MP_EINVAL, -ENOMEM (address space), -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_arena_new(mp_arena **out, const mp_arena_opts *opts);

// Stores n x size bytes, aligned to 64, in *ptr. Not zeroed when used before.
// Room of 0 bytes is room all the same. Errors: MP_EINVAL, MP_EOVERFLOW,
// -ENOMEM (the arena's max is reached, or the system has no memory: its size is
// promised on return, so no later access fails). Since 0.1.
MP_API MP_NODISCARD int mp_arena_alloc(mp_arena *a, void **ptr, size_t n, size_t size);

// Gives a block back. NULL is fine. MP_EINVAL for what is not a block in use of
// this arena (also when it was freed before). Since 0.1.
MP_API int mp_arena_free(mp_arena *a, void *ptr);

// Whether all of size bytes at ptr lie in the arena. Since 0.1.
MP_API bool mp_arena_contains(const mp_arena *a, const void *ptr, size_t size);

typedef struct mp_arena_stats {
    size_t max;    // bytes it may hold
    size_t held;   // bytes taken from the system
    size_t used;   // bytes in blocks in use, rounded up as the arena rounds them
    size_t blocks; // blocks in use
} mp_arena_stats;

// Since 0.1.
MP_API int mp_arena_get_stats(mp_arena *a, mp_arena_stats *out);

// Unmaps the arena in this process; its pointers die with it. No pool made while
// it lived may be used with its arrays afterwards. NULL is fine. Since 0.1.
MP_API void mp_arena_delete(mp_arena *a);

#ifdef __cplusplus
}
#endif
#endif
