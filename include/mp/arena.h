// SPDX-License-Identifier: MIT
//
// An arena is memory that this process shares with all it forks, and, if it has a name,
// with every process of the same user: arrays that lie in one go through a pool without
// being copied, and structures in one are seen by all.
//
//  1. mp_arena_new(), before the pool or process that shall share it; or with a name,
//     and mp_arena_attach() in the other processes;
//  2. mp_arena_alloc() and mp_arena_free() in any process that has it;
//  3. mp_arena_delete() in each process: the memory goes with the last, and with
//     mp_shm_unlink(), if it has a name.
//
// Addresses are the same in all processes that got the arena by fork. A process that
// attached has it elsewhere: put offsets into shared structures, and no pointers, if there
// are such processes.
//
// The arena survives a kill -9 of any process at any instruction; what a killed process
// was allocating is lost to the arena at worst. Memory comes from the kernel as it is
// needed, zeroed the first time, and stays with the arena, so that arrays used again cost
// no page faults.
//
// Processes that share an arena trust each other with what is in it. What is checked is
// what they may get hold of by mistake or malice: files of other users, of other versions
// of libmp, cut off or damaged ones. Processes of the same user can always do harm.
#ifndef MP_ARENA_H
#define MP_ARENA_H

#include <mp/base.h>
#include <mp/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_arena mp_arena;

typedef struct mp_arena_opts {
    size_t max;       // bytes it may hold in all; 0 = 64 GiB (address space, not memory)
    const char *name; // for mp_arena_attach(): 1 to 64 of A-Z a-z 0-9 . _ -, not beginning
                      // with a dot; NULL = none
} mp_arena_opts;

// Makes an arena. One with a name is the file /dev/shm/mp-UID-NAME, which only this user
// may open; it appears when it is complete, and stays until mp_shm_unlink().
// Errors: MP_EINVAL, -EEXIST (the name is taken), -ENOMEM (address space), -EMFILE,
// -ENOSPC (/dev/shm is full), -EFBIG (RLIMIT_FSIZE). Since 0.1.
MP_API MP_NODISCARD int mp_arena_new(mp_arena **out, const mp_arena_opts *opts);

// Attaches to the arena of that name. A process that has it already gets the same handle,
// to be deleted once more. Errors: MP_EINVAL, MP_ENOTFOUND (no such name), MP_ETYPE (the
// name of an object), MP_EUNSAFE (the file belongs to another user, others may write it,
// or it is no plain file), MP_EVERSION (of another version of libmp, or another machine),
// MP_EFORMAT (no arena, cut off or damaged), -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_arena_attach(mp_arena **out, const char *name);

// Removes the name of an arena, or of any other object of libmp that was made with one.
// Who has it keeps it; the memory goes with the last. Errors: MP_EINVAL, MP_ENOTFOUND,
// MP_EUNSAFE (the file is not yours). Since 0.1.
MP_API int mp_shm_unlink(const char *name);

// Stores n x size bytes, aligned to 64, in *ptr. Not zeroed when used before.
// Room of 0 bytes is room all the same. Errors: MP_EINVAL, MP_EOVERFLOW,
// -ENOMEM (the arena's max is reached, or the system has no memory: its size is
// promised on return, so no later access fails). Since 0.1.
MP_API MP_NODISCARD int mp_arena_alloc(mp_arena *a, void **ptr, size_t n, size_t size);

// The same, aligned to a power of two up to the size of a page (else MP_EINVAL).
// Since 0.1.
MP_API MP_NODISCARD int mp_arena_alloc_aligned(mp_arena *a, void **ptr, size_t n, size_t size,
                                               size_t align);

// Gives a block back. NULL is fine. MP_EINVAL for what is not a block in use of
// this arena (also when it was freed before). Since 0.1.
MP_API int mp_arena_free(mp_arena *a, void *ptr);

// Whether all of size bytes at ptr lie in the arena. Since 0.1.
MP_API bool mp_arena_contains(const mp_arena *a, const void *ptr, size_t size);

// Returns where ptr lies in the arena, which is the same in every process; 0 if it is
// NULL or does not lie in it. Since 0.1.
MP_API uint64_t mp_arena_offset(const mp_arena *a, const void *ptr);

// Returns the place of an offset in this process: NULL for 0, and unless `size` bytes from
// there on lie in memory that the arena has. So offsets that another process wrote may be
// given to it as they are. Since 0.1.
MP_API void *mp_arena_at(const mp_arena *a, uint64_t offset, size_t size);

// The root is the place in the arena where those who attach begin to look; NULL at first.
// Set it, in one store, when what lies there is complete. mp_arena_root() returns it as
// mp_arena_at() does. MP_EINVAL: ptr does not lie in the arena. Since 0.1.
MP_API int mp_arena_set_root(mp_arena *a, const void *ptr);
MP_API void *mp_arena_root(const mp_arena *a, size_t size);

typedef struct mp_arena_stats {
    size_t max;    // bytes it may hold
    size_t held;   // bytes taken from the system
    size_t used;   // bytes in blocks in use, rounded up as the arena rounds them
    size_t peak;   // the most that was in use at a time
    size_t blocks; // blocks in use
} mp_arena_stats;

// Since 0.1.
MP_API int mp_arena_get_stats(mp_arena *a, mp_arena_stats *out);

// Unmaps the arena in this process; its pointers die with it, and the objects that were
// made in it. (Where an object was received through a pipe, the arena stays until that is
// freed.) No pool made while it lived may be used with its arrays afterwards. The name of
// a named one stays. No other thread of this process may use the arena meanwhile, or what is in
// it. Then the handle is none any more: calls with it are MP_EINVAL, false or
// NULL, until another arena comes to have its place. NULL is fine. Since 0.1.
MP_API void mp_arena_delete(mp_arena *a);

#ifdef __cplusplus
}
#endif
#endif
