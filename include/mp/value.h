// SPDX-License-Identifier: MIT
//
// A value is one number or struct in shared memory, with a lock beside it.
//
//  1. mp_value_new(), before the processes that shall share it; or mp_value_attach() in
//     any process of the same user, by the name that it was given;
//  2. mp_value_ptr() gives its address: atomic operations (mp/atomic.h) on numbers, or
//     anything at all while the lock is held;
//  3. mp_value_free() in each process; mp_shm_unlink(), if it has a name.
//
//     mp_value *v;
//     int r = mp_value_new(&v, MP_INT64, NULL, NULL); // 0
//     int64_t *n = mp_value_ptr(v, int64_t);
//     mp_atomic_add(n, 1); // in any process, or:
//     MP_WITH(mp_value_lock(v)) { // mp/with.h
//         *n = *n * 2 + 1;
//     }
//
// Handle and address are the same in all processes that were forked since. The lock is an
// rlock (mp/lock.h): who holds it may take it again, as the functions below do.
//
// What mp_value_get_int() and its sisters do is one atomic access. It does not wait for
// the lock, so a set between another's read and write under the lock is lost.
// mp_value_read(), mp_value_write() and mp_value_copy() hold the lock while they copy.
//
// A process that dies with the lock held may leave the value half written. From then on
// read, write and copy change nothing and give MP_EOWNERDEAD, until somebody acquires the
// lock (and is told, too), puts the value in order, and calls mp_rlock_consistent().
#ifndef MP_VALUE_H
#define MP_VALUE_H

#include <mp/arena.h>
#include <mp/atomic.h>
#include <mp/base.h>
#include <mp/error.h>
#include <mp/lock.h>
#include <mp/type.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_value mp_value;

typedef struct mp_value_opts {
    mp_arena *arena;  // where it lies; NULL = in the process's own arena
    const char *name; // puts it under a name, in memory of its own; not with arena
    size_t size;      // of MP_STRUCT, which needs it; 0 or the type's own for the others
    bool no_lock;     // without its lock
} mp_value_opts;

// Makes a value of a type, with a copy of what initial points to; zero if that is NULL.
// A struct is aligned to 64 bytes. name: as for an arena, see mp_arena_new().
// Errors: MP_EINVAL (type, size, name; arena and name), MP_EOVERFLOW (size), -ENOMEM,
// -EMFILE; with a name also -EEXIST (it is taken), -ENOSPC, -EFBIG. Since 0.1.
MP_API MP_NODISCARD int mp_value_new(mp_value **out, mp_type type, const void *initial,
                                     const mp_value_opts *opts);

// Attaches to the value of that name. size is for MP_STRUCT, and 0 or the type's own for
// the others. Errors: MP_EINVAL, MP_ENOTFOUND, MP_ETYPE (it is no value, or of another type
// or size), MP_EVERSION, MP_EFORMAT, MP_EUNSAFE, -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_value_attach(mp_value **out, const char *name, mp_type type,
                                        size_t size);

// In the process that made it: gives its memory back. Who uses the handle afterwards gets
// MP_EINVAL, who waits for the lock MP_ECLOSED; addresses got before must not be used any
// more. (Memory whose lock is held is not given out again.) In children: does nothing. With
// a name: drops a handle, and the memory goes with the last when the name was removed by
// mp_shm_unlink(). No other thread of this process may use it meanwhile, but to wait for the
// lock, and that not if it has a name. NULL is fine. Since 0.1.
MP_API void mp_value_free(mp_value *v);

// Its type and its size in bytes; 0 for what is no value. Since 0.1.
MP_API mp_type mp_value_type(const mp_value *v);
MP_API size_t mp_value_size(const mp_value *v);

// Returns the address of the value, which stays the same; NULL if it is not of this type
// and size, or no value. mp_value_ptr(v, T): the same as a T *. Since 0.1.
MP_API void *mp_value_data(mp_value *v, mp_type type, size_t size);
#define mp_value_ptr(v, T) ((T *)mp_value_data((v), mp_type_of(T), sizeof(T)))

// Returns its lock, to be acquired and released by who wants to; not to be freed. NULL
// if it has none, or v is no value. Since 0.1.
MP_API mp_rlock *mp_value_lock(mp_value *v);

// Get and set any number but a long double, converted; one atomic access, never block.
// A floating number takes the nearest that it can hold. Errors: MP_EINVAL, MP_ETYPE (a
// struct, a long double), -ERANGE (it does not fit: out of range, or not an integer; the
// value stays as it was). Since 0.1.
MP_API MP_NODISCARD int mp_value_get_int(mp_value *v, int64_t *out);
MP_API MP_NODISCARD int mp_value_set_int(mp_value *v, int64_t x);
MP_API MP_NODISCARD int mp_value_get_double(mp_value *v, double *out);
MP_API MP_NODISCARD int mp_value_set_double(mp_value *v, double x);

// Copy the whole value to and from memory of the caller's, under the lock; without one
// they just copy. size must be the value's: MP_ETYPE. Other errors: MP_EINVAL,
// MP_ETIMEDOUT (the lock), MP_EOWNERDEAD (told above), MP_EBROKEN (the lock), MP_ECLOSED
// (freed meanwhile). Since 0.1.
MP_API MP_NODISCARD int mp_value_read(mp_value *v, void *out, size_t size, int timeout_ms);
MP_API MP_NODISCARD int mp_value_write(mp_value *v, const void *in, size_t size, int timeout_ms);

// Copies one value to another of the same type and size (MP_ETYPE), under both locks, so
// that both are whole. Two processes that copy between the same values in opposite
// directions do not block each other. Else as mp_value_write(). Since 0.1.
MP_API MP_NODISCARD int mp_value_copy(mp_value *to, mp_value *from, int timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
