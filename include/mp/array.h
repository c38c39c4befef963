// SPDX-License-Identifier: MIT
//
// An array of numbers or structs in shared memory, with a lock beside it.
//
//  1. mp_array_new(), before the processes that shall share it; or mp_array_attach() in
//     any process of the same user, by the name that it was given;
//  2. mp_array_ptr() gives the items themselves; mp_array_read(), mp_array_write() and
//     others go through checks and the lock;
//  3. mp_array_free() in each process; mp_shm_unlink(), if it has a name.
//
//     mp_array *a;
//     int r = mp_array_new(&a, MP_DOUBLE, 1000, NULL, NULL);  // zeros
//     double *x = mp_array_ptr(a, double);
//     r = mp_pool_map(pool, fn, x, sizeof *x, x, sizeof *x, mp_array_len(a), NULL, NULL);
//
// The items lie one after the other, aligned to 64 bytes, in an arena, so a pool made after
// that arena works on them without copying; opts.arena tells which one. Handle and address
// are the same in all processes that were forked since. The lock is an rlock (mp/lock.h):
// who holds it may take it again, as the functions below do.
//
// The size is fixed, and all of its memory is promised when it is made: too much is an
// error there, and no access fails later.
//
// A process that dies with the lock held may leave items half written. From then on read,
// write, fill and copy change nothing and give MP_EOWNERDEAD, until somebody acquires the
// lock (and is told, too), puts the items in order, and calls mp_rlock_consistent().
#ifndef MP_ARRAY_H
#define MP_ARRAY_H

#include <mp/arena.h>
#include <mp/atomic.h>
#include <mp/base.h>
#include <mp/error.h>
#include <mp/lock.h>
#include <mp/type.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_array mp_array;

typedef struct mp_array_opts {
    mp_arena *arena;  // where it lies; NULL = in the process's own arena
    const char *name; // puts it under a name, in memory of its own; not with arena
    size_t item;      // bytes of an item of MP_STRUCT, which needs it; 0 for the others
    bool no_lock;     // without its lock
} mp_array_opts;

// Makes an array of n items of a type, copied from initial; zeros if that is NULL. n may
// be 0. name: as for an arena, see mp_arena_new(). Errors: MP_EINVAL (type, item,
// name; arena and name), MP_EOVERFLOW (n x item), -ENOMEM (more than the arena or the system
// has), -EMFILE; with a name also -EEXIST (it is taken), -ENOSPC, -EFBIG. Since 0.1.
MP_API MP_NODISCARD int mp_array_new(mp_array **out, mp_type type, size_t n, const void *initial,
                                     const mp_array_opts *opts);

// Attaches to the array of that name, of any length. item is for MP_STRUCT, and 0 or the
// type's own for the others. Errors: MP_EINVAL, MP_ENOTFOUND, MP_ETYPE (it is no array, or of
// another type or item size), MP_EVERSION, MP_EFORMAT, MP_EUNSAFE, -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_array_attach(mp_array **out, const char *name, mp_type type,
                                        size_t item);

// In the process that made it: gives its memory back. Who uses the handle afterwards gets
// MP_EINVAL, who waits for the lock MP_ECLOSED; addresses got before must not be used any
// more. (Memory whose lock is held is not given out again.) In children: does nothing. With
// a name: drops a handle, and the memory goes with the last when the name was removed by
// mp_shm_unlink(). No other thread of this process may use it meanwhile, but to wait for the
// lock, and that not if it has a name. NULL is fine. Since 0.1.
MP_API void mp_array_free(mp_array *a);

// The type of its items, the bytes of one, and how many there are; 0 for what is no
// array. Since 0.1.
MP_API mp_type mp_array_type(const mp_array *a);
MP_API size_t mp_array_item(const mp_array *a);
MP_API size_t mp_array_len(const mp_array *a);

// Returns the address of the first item, which stays the same; NULL if items are not of
// this type and size, or a is no array. mp_array_ptr(a, T): the same as a T *. Since 0.1.
MP_API void *mp_array_data(mp_array *a, mp_type type, size_t item);
#define mp_array_ptr(a, T) ((T *)mp_array_data((a), mp_type_of(T), sizeof(T)))

// Returns its lock, to be acquired and released by who wants to; not to be freed. NULL
// if it has none, or a is no array. Since 0.1.
MP_API mp_rlock *mp_array_lock(mp_array *a);

// Get and set item i of numbers of any type but long double, converted; one atomic access
// that does not wait for the lock, never block. A floating number takes the nearest that it
// can hold. Errors: MP_EINDEX (there is no item i), MP_EINVAL, MP_ETYPE (structs, long
// double), -ERANGE (it does not fit: out of range, or not an integer; the item stays as it
// was). Since 0.1.
MP_API MP_NODISCARD int mp_array_get_int(mp_array *a, size_t i, int64_t *out);
MP_API MP_NODISCARD int mp_array_set_int(mp_array *a, size_t i, int64_t x);
MP_API MP_NODISCARD int mp_array_get_double(mp_array *a, size_t i, double *out);
MP_API MP_NODISCARD int mp_array_set_double(mp_array *a, size_t i, double x);

// Copy the n items from `first` on to and from memory of the caller's, which may be the
// array itself, under the lock; without one they just copy. item is the size of what out
// and in point to: MP_ETYPE if the array's items are of another. All n, or none: MP_EINDEX
// (some are not in the array). Other errors: MP_EINVAL, MP_ETIMEDOUT (the lock),
// MP_EOWNERDEAD (told above), MP_EBROKEN (the lock), MP_ECLOSED (freed meanwhile). Since 0.1.
MP_API MP_NODISCARD int mp_array_read(mp_array *a, size_t first, size_t n, void *out, size_t item,
                                      int timeout_ms);
MP_API MP_NODISCARD int mp_array_write(mp_array *a, size_t first, size_t n, const void *in,
                                       size_t item, int timeout_ms);

// Sets the n items from `first` on to copies of the one at x. Else as mp_array_write().
// Since 0.1.
MP_API MP_NODISCARD int mp_array_fill(mp_array *a, size_t first, size_t n, const void *x,
                                      size_t item, int timeout_ms);

// Copies n items of one array to another of the same type and item size (MP_ETYPE), or
// within one, where they may overlap; under both locks, so that both are whole. Two
// processes that copy in opposite directions do not block each other. Else as
// mp_array_write(). Since 0.1.
MP_API MP_NODISCARD int mp_array_copy(mp_array *to, size_t to_first, mp_array *from,
                                      size_t from_first, size_t n, int timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
