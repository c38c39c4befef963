// SPDX-License-Identifier: MIT
//
// The C library's robust mutex, which has been right for long, and beside it the owner's
// pid, since the kernel wipes the one inside the mutex when the owner dies.
#include "shm/mutex.h"
#include "os/fork.h"
#include "os/futex.h"

#include <errno.h>
#include <mp/error.h>
#include <time.h>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

int mp__robust_init(pthread_mutex_t *m, int type)
{
    pthread_mutexattr_t a;
    int err = pthread_mutexattr_init(&a);
    if (err)
        return -err;
    err = pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    if (!err)
        err = pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    if (!err)
        err = pthread_mutexattr_settype(&a, type);
    if (!err)
        err = pthread_mutex_init(m, &a);
    pthread_mutexattr_destroy(&a);
    return -err;
}

int mp__mutex_init(struct mp__mutex *m)
{
    atomic_init(&m->owner, 0);
    return mp__robust_init(&m->lock, PTHREAD_MUTEX_NORMAL);
}

// The kind of a mutex is in a field of the C library's own. It never changes.
bool mp__mutex_is_sound(const struct mp__mutex *m)
{
    struct mp__mutex fresh = {0};
    return mp__mutex_init(&fresh) == 0 && m->lock.__data.__kind == fresh.lock.__data.__kind;
}

// Our pid, from the lower half of the process's token: no system call.
static pid_t self(void)
{
    uint64_t token = mp__fork_present();
    return (pid_t)(uint32_t)(token ? token : mp__fork_token());
}

// ThreadSanitizer sees pthread_mutex_lock(), but not yet the one with a clock.
static void tell_tsan(pthread_mutex_t *lock)
{
#ifdef __SANITIZE_THREAD__
    __tsan_mutex_pre_lock(lock, __tsan_mutex_try_lock);
    __tsan_mutex_post_lock(lock, __tsan_mutex_try_lock, 0);
#else
    (void)lock;
#endif
}

int mp__robust_lock(pthread_mutex_t *m, mp__deadline d)
{
    struct timespec t = {d / 1000000000, d % 1000000000};
    int err = pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &t);
    if (err == 0 || err == EOWNERDEAD)
        tell_tsan(m);
    return err;
}

// No pthread_mutex_trylock(): on a mutex that is not recoverable, glibc's takes the lock,
// says ENOTRECOVERABLE and keeps it, and everybody else hangs (seen with 2.36). A time
// long past does the same job.
//
// A sleeper looks again now and then, since it may be forgotten: the owner gives the mutex
// back and is killed before it wakes anybody, and a third party that never slept has taken
// it when the kernel would have done that. A mutex that seems free needs no clock.
static int acquire(struct mp__mutex *m, mp__deadline d)
{
    int err = ETIMEDOUT;
    if (d == 0 || atomic_load_explicit(&m->owner, memory_order_relaxed) == 0)
        err = mp__robust_lock(&m->lock, 0);
    while (err == ETIMEDOUT && d != 0) {
        mp__deadline look = mp__now() + MP__LOOK_NS;
        err = mp__robust_lock(&m->lock, look < d ? look : d);
        if (look >= d)
            break;
    }
    return err;
}

int mp__mutex_lock(struct mp__mutex *m, mp__deadline d)
{
    int err = acquire(m, d);
    switch (err) {
    case 0:
    case EOWNERDEAD:
        break;
    case ETIMEDOUT:
        return MP_ETIMEDOUT;
    case ENOTRECOVERABLE:
        return MP_EBROKEN;
    default:
        return -err;
    }
    atomic_store_explicit(&m->owner, self(), memory_order_relaxed);
    return err ? MP_EOWNERDEAD : 0;
}

int mp__mutex_lock_patiently(struct mp__mutex *m, mp__deadline d)
{
    int r = MP_ETIMEDOUT;
    if (d == MP__NEVER || atomic_load_explicit(&m->owner, memory_order_relaxed) == 0)
        r = mp__mutex_lock(m, d == MP__NEVER ? d : 0);
    if (r == MP_ETIMEDOUT) {
        mp__deadline least = mp__now() + MP__LOOK_NS;
        r = mp__mutex_lock(m, d > least ? d : least);
    }
    return r;
}

void mp__mutex_unlock(struct mp__mutex *m)
{
    atomic_store_explicit(&m->owner, 0, memory_order_relaxed);
    pthread_mutex_unlock(&m->lock);
}

void mp__mutex_consistent(struct mp__mutex *m)
{
    pthread_mutex_consistent(&m->lock);
}
