// SPDX-License-Identifier: MIT
//
// A read-write lock: many may read what it guards at a time, or one may write it. For what
// is read often and seldom written: a reader touches no memory that other readers touch,
// so that reading grows with the number of CPUs.
//
//  1. mp_rwlock_new(), before the processes that shall share it;
//  2. mp_rwlock_acquire_read() ... mp_rwlock_release_read(), or
//     mp_rwlock_acquire_write() ... mp_rwlock_release_write(), in any thread of any process
//     that has it: by fork(), through a pipe, or by its name (mp_rwlock_attach());
//  3. mp_rwlock_free() in each process that is done with it. The memory is given back by
//     the process that made it; what has a name stays until mp_shm_unlink().
//
// Writers come first: while one waits, new readers wait too. Between two writers those
// readers have a chance, so neither side starves. A lock held for reading cannot be turned
// into one for writing; and a thread that reads must not acquire once more, since it would
// wait for a writer who waits for it.
//
// A reader that is killed is not missed: a writer gets in within 50 ms. When a writer is
// killed while it writes, what it guarded may be half written, so everybody is told:
//  - the next writer gets the lock and MP_EOWNERDEAD. It puts the data in order and calls
//    mp_rwlock_consistent(). If it releases without that, the lock is broken for good:
//    MP_EBROKEN for everybody;
//  - readers get MP_EOWNERDEAD, and not the lock, until that is done.
// A process that is stopped (SIGSTOP) is alive and keeps what it holds.
#ifndef MP_RWLOCK_H
#define MP_RWLOCK_H

#include <mp/arena.h>
#include <mp/base.h>
#include <mp/error.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_rwlock mp_rwlock;

typedef struct mp_rwlock_opts {
    mp_arena *arena;  // where it lies; NULL = the process's own shared memory
    const char *name; // to attach to it by; NULL = none. Not with an arena
} mp_rwlock_opts;

// Makes a lock that nobody holds. Errors: MP_EINVAL (a name that is not one; arena and
// name), -EEXIST (the name), -ENOMEM, -EMFILE, -ENOSPC, -EFBIG. Since 0.1.
MP_API MP_NODISCARD int mp_rwlock_new(mp_rwlock **out, const mp_rwlock_opts *opts);

// Attaches to the lock of that name, in a process that did not inherit it. Errors:
// MP_EINVAL, MP_ENOTFOUND, MP_ETYPE (something else has that name), MP_EVERSION, MP_EFORMAT,
// MP_EUNSAFE (somebody else's), -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_rwlock_attach(mp_rwlock **out, const char *name);

// Acquires it for reading; waits up to timeout_ms while a writer has it or waits for it; 0
// only tries. Interrupted by a signal it goes on waiting.
// Errors, none with the lock held: MP_ETIMEDOUT, MP_EOWNERDEAD (a writer died, and no other
// has put things in order), MP_EBROKEN, MP_EHELD (this thread writes), MP_EINVAL,
// MP_ECLOSED (it was freed meanwhile), MP_EOVERFLOW (two thousand million reads by this
// process), -ENOMEM and -EAGAIN (no room to note who reads). Since 0.1.
MP_API MP_NODISCARD int mp_rwlock_acquire_read(mp_rwlock *rw, int timeout_ms);

// Acquires it for writing; waits up to timeout_ms until no other writes or reads; 0 only
// tries. MP_EOWNERDEAD: acquired all the same, and to be put in order, as told above.
// Errors without the lock: MP_ETIMEDOUT, MP_EBROKEN, MP_EHELD (this thread writes already),
// MP_EINVAL, MP_ECLOSED, -ENOMEM and -EAGAIN (as for reading). Since 0.1.
MP_API MP_NODISCARD int mp_rwlock_acquire_write(mp_rwlock *rw, int timeout_ms);

// Ends reading. Reads are counted for each process, so any thread of it may. Errors:
// MP_ENOTHELD (this process does not read), MP_EINVAL. Since 0.1.
MP_API int mp_rwlock_release_read(mp_rwlock *rw);

// Ends writing, in the thread that acquired. Errors: MP_ENOTHELD, MP_EINVAL. Since 0.1.
MP_API int mp_rwlock_release_write(mp_rwlock *rw);

// After MP_EOWNERDEAD, by the thread that holds it for writing: what it guards is in order
// again. Errors: MP_ENOTHELD, MP_ESTATE (nobody died), MP_EINVAL. Since 0.1.
MP_API int mp_rwlock_consistent(mp_rwlock *rw);

// Returns the pid of the writer that died last while it wrote, 0 if none did. Errors:
// MP_EINVAL. Since 0.1.
MP_API pid_t mp_rwlock_dead_owner(const mp_rwlock *rw);

// Frees it in the process that made it: who still waits gets MP_ECLOSED. Elsewhere, and if
// it has a name, drops what this process has of it. No other thread of this process may
// use it meanwhile. NULL is fine. Since 0.1.
MP_API void mp_rwlock_free(mp_rwlock *rw);

#ifdef __cplusplus
}
#endif
#endif
