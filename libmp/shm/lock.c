// SPDX-License-Identifier: MIT
//
// The lock: the C library's robust mutex, and what Python adds to it.
//
// The kernel makes the mutex of a dead owner free and tells the next one. All the rest is
// ours. The owner's pid and thread id lie beside the mutex: the pid, since the kernel wipes
// its own with the owner; the thread, so that releasing what is not held is an error, an
// rlock knows its owner, and a thread is told instead of waiting for itself.
//
// The mutex is declared in order as soon as the death has been noted in `state`. Therefore
// it never is "not recoverable", a state in which the C library has hung before, and what
// the user must mend is our business: torn until mp_lock_consistent(), broken when released
// without. Whoever acquires a lock looks at the state, under the lock.
//
// The fast path has no clock and no loop: it tries once. Nothing spins here: two processes that
// fight for a lock get the most done when one of them sleeps for a while. So who finds the lock
// held naps twice before it takes a place in the queue, which would cost the owner a system call
// each time: measured, that is twice what the robust mutex does.
//
// A sleeper looks every 50 ms, as in shm/mutex.c, and because the lock may have been freed.
#include "shm/lock.h"
#include "os/fork.h"
#include "os/futex.h"
#include "os/point.h"
#include "shm/mutex.h"

#include <errno.h>
#include <limits.h>

#define VERSION 1
#define NAPS    2 // before a place in the queue of sleepers

// ---- who am I

// The calling thread, as an owner is told, and the process in which that was true.
struct self {
    uint64_t token, id;
};
static _Thread_local struct self me __attribute__((tls_model("initial-exec"))) = {
    .token = 1, // no process's
};

static __attribute__((noinline)) uint64_t learn_self(void)
{
    uint64_t id = (uint64_t)(uint32_t)getpid() << 32 | (uint32_t)gettid();
    uint64_t token = mp__fork_token();
    if (token)
        me = (struct self){token, id}; // without a page to tell forks by, not kept
    return id;
}

static inline uint64_t self(void)
{
    if (__builtin_expect(me.token == mp__fork_present(), 1))
        return me.id;
    return learn_self();
}

static inline uint64_t owner_of(const struct mp_lock *l)
{
    return atomic_load_explicit(&l->owner, memory_order_relaxed);
}

bool mp__lock_is_mine(const struct mp_lock *l)
{
    return owner_of(l) == self();
}

// ---- taking and giving

int mp__lock_init(struct mp_lock *l)
{
    // The kind costs nothing, since it is looked at when the mutex is not free.
    return mp__robust_init(&l->mutex, PTHREAD_MUTEX_ERRORCHECK);
}

// The result is 0: the mutex is ours. But a call at the end costs nothing on the way back.
static inline int unlock(struct mp_lock *l)
{
    atomic_store_explicit(&l->owner, 0, memory_order_relaxed);
    MP__POINT("lock.unsigned");
    return pthread_mutex_unlock(&l->mutex);
}

// A nap is some 50 us, what the kernel allows itself for a timer. The owner does not know of
// it: it can go on taking and giving the lock without a system call, and that is what two
// processes get the most done with, who fight for one lock.
static int nap(struct mp_lock *l)
{
    const struct timespec shortest = {0, 1};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &shortest, NULL);
    return pthread_mutex_trylock(&l->mutex);
}

static int sleep_for(struct mp_lock *l, int naps, mp__deadline d)
{
    int err = EBUSY;
    bool last = false;
    atomic_fetch_add(&l->waiting, 1); // naps, too, end in memory that must be the lock's
    for (int i = 0; i < naps && err == EBUSY && !mp__object_gone(l); i++)
        err = nap(l);
    while ((err == EBUSY || err == ETIMEDOUT) && !last && !mp__object_gone(l)) {
        mp__deadline look = mp__now() + MP__LOOK_NS;
        last = look >= d;
        err = mp__robust_lock(&l->mutex, last ? d : look);
    }
    atomic_fetch_sub(&l->waiting, 1);
    return err;
}

// The mutex is ours, and its owner died with it. If we die before all of this is done, the
// next one does it again.
static void note_death(struct mp_lock *l)
{
    l->dead = (pid_t)(owner_of(l) >> 32);
    l->again = 0;
    if (l->state == MP__LOCK_SOUND && !MP__BROKEN("lock.tell"))
        l->state = MP__LOCK_TORN;
    MP__POINT("lock.death_noted");
    pthread_mutex_consistent(&l->mutex);
}

// The mutex is ours: are we to keep it?
static int judge(struct mp_lock *l)
{
    if (l->state == MP__LOCK_BROKEN || mp__object_gone(l)) {
        int r = l->state == MP__LOCK_BROKEN ? MP_EBROKEN : MP_ECLOSED;
        unlock(l);
        return r;
    }
    return l->state == MP__LOCK_TORN ? MP_EOWNERDEAD : 0;
}

static __attribute__((noinline)) int take_slowly(struct mp_lock *l, int err, int naps,
                                                 int timeout_ms)
{
    if (err == EBUSY && timeout_ms != 0)
        err = sleep_for(l, naps, mp__deadline_in(timeout_ms));
    switch (err) {
    case 0:
        break;
    case EOWNERDEAD:
        note_death(l);
        break;
    case EDEADLK:
        return MP_EHELD;
    case EBUSY:
    case ETIMEDOUT:
        return mp__object_gone(l) ? MP_ECLOSED : MP_ETIMEDOUT;
    case ENOTRECOVERABLE: // never by us
        return MP_EBROKEN;
    default:
        return -err;
    }
    MP__POINT("lock.taken");
    atomic_store_explicit(&l->owner, self(), memory_order_relaxed);
    return judge(l);
}

// The fast path, inlined. pthread_mutex_trylock() is wrong on a robust mutex that may be
// not recoverable (shm/mutex.c), which this one never is.
static inline __attribute__((always_inline)) int take(struct mp_lock *l, int naps, int timeout_ms)
{
    int err = pthread_mutex_trylock(&l->mutex);
    if (__builtin_expect(err == 0 && l->state == MP__LOCK_SOUND, 1)) {
        MP__POINT("lock.taken");
        atomic_store_explicit(&l->owner, self(), memory_order_relaxed);
        return 0;
    }
    return take_slowly(l, err, naps, timeout_ms);
}

static int why_not_mine(const struct mp_lock *l)
{
    return mp__object_gone(l) ? MP_EINVAL : MP_ENOTHELD;
}

// An rlock is acquired `again` times beyond the first; 0 whenever its owner changes.
static inline __attribute__((always_inline)) int take_r(struct mp_lock *l, int timeout_ms)
{
    int r = take(l, NAPS, timeout_ms);
    if (__builtin_expect(r != MP_EHELD, 1))
        return r;
    if (l->again == MP__LOCK_MAX_AGAIN)
        return MP_EOVERFLOW;
    l->again++;
    return 0;
}

static inline __attribute__((always_inline)) int give(struct mp_lock *l, bool recursive)
{
    if (__builtin_expect(owner_of(l) != self(), 0))
        return why_not_mine(l);
    if (recursive && l->again) {
        l->again--;
        return 0;
    }
    if (__builtin_expect(l->state != MP__LOCK_SOUND, 0))
        l->state = MP__LOCK_BROKEN;
    return unlock(l);
}

int mp__lock_enter(struct mp_lock *l, int timeout_ms)
{
    return l->object.type == MP__RLOCK ? take_r(l, timeout_ms) : take(l, NAPS, timeout_ms);
}

int mp__lock_leave(struct mp_lock *l)
{
    return give(l, l->object.type == MP__RLOCK);
}

void mp__lock_give_back(struct mp_lock *l)
{
    l->again = 0;
    unlock(l);
}

int mp__lock_take_back(struct mp_lock *l, uint32_t again)
{
    int r = take(l, 0, MP_FOREVER); // who notified us is about to give it back
    if (r == 0 && mp__object_gone(l))
        r = judge(l); // freed while nobody had it
    if (r == 0 || r == MP_EOWNERDEAD)
        l->again = again;
    return r;
}

int mp__lock_consistent(struct mp_lock *l)
{
    if (!mp__lock_is_mine(l))
        return why_not_mine(l);
    if (l->state != MP__LOCK_TORN)
        return MP_ESTATE;
    l->state = MP__LOCK_SOUND;
    return 0;
}

pid_t mp__lock_dead_owner(const struct mp_lock *l)
{
    return mp__lock_is_mine(l) ? l->dead : why_not_mine(l);
}

// ---- making and freeing, for both

static int new_lock(void **out, enum mp__type type, const mp_lock_opts *opts)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    mp_lock_opts o = opts ? *opts : (mp_lock_opts){0};
    void *l;
    int r = mp__object_new(&l, o.arena, o.name, 0, type, VERSION, sizeof(struct mp_lock));
    if (r < 0)
        return r;
    r = mp__lock_init(l);
    if (r == 0)
        r = mp__object_publish(l);
    if (r < 0)
        mp__object_free(l, true);
    else
        *out = l;
    return r;
}

static int attach(void **out, const char *name, enum mp__type type)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    return mp__object_attach(out, name, type, VERSION, sizeof(struct mp_lock));
}

// Marks the lock while nobody can get it, so that those who wait find the mark when they do.
// The memory of one that somebody may yet touch is not used again.
void mp__lock_free(struct mp_lock *l, void *whole, bool idle)
{
    if (!mp__object_is_mine(whole)) {
        if (mp__lock_is_mine(l)) // or this thread's list of robust mutexes had a hole
            mp__lock_give_back(l);
        mp__object_free(whole, idle);
        return;
    }
    int r = take(l, 0, 0);
    bool held = r == 0 || r == MP_EOWNERDEAD || r == MP_EHELD;
    idle &= r != MP_ETIMEDOUT && atomic_load(&l->waiting) == 0;
    if (held && idle)
        mp__lock_give_back(l);
    if (whole != l)
        atomic_store(&l->object.magic, MP__OBJECT_FREED);
    mp__object_free(whole, idle);
    if (held && !idle)
        mp__lock_give_back(l);
}

// ---- lock

static inline bool is_lock(const mp_lock *l)
{
    return mp__object_is(l, MP__LOCK);
}

int mp_lock_new(mp_lock **out, const mp_lock_opts *opts)
{
    return new_lock((void **)out, MP__LOCK, opts);
}

int mp_lock_attach(mp_lock **out, const char *name)
{
    return attach((void **)out, name, MP__LOCK);
}

int mp_lock_acquire(mp_lock *l, int timeout_ms)
{
    if (__builtin_expect(!is_lock(l) || timeout_ms < MP_FOREVER, 0))
        return MP_EINVAL;
    return take(l, NAPS, timeout_ms);
}

// Also of a lock that was freed meanwhile: its owner still holds the mutex.
int mp_lock_release(mp_lock *l)
{
    if (__builtin_expect(!l || l->object.type != MP__LOCK, 0))
        return MP_EINVAL;
    return give(l, false);
}

int mp_lock_consistent(mp_lock *l)
{
    return is_lock(l) ? mp__lock_consistent(l) : MP_EINVAL;
}

pid_t mp_lock_dead_owner(const mp_lock *l)
{
    return is_lock(l) ? mp__lock_dead_owner(l) : MP_EINVAL;
}

bool mp_lock_locked(const mp_lock *l)
{
    return is_lock(l) && owner_of(l) != 0;
}

void mp_lock_free(mp_lock *l)
{
    if (is_lock(l))
        mp__lock_free(l, l, true);
}

// ---- rlock

static inline bool is_rlock(const mp_rlock *l)
{
    return mp__object_is(l, MP__RLOCK);
}

int mp_rlock_new(mp_rlock **out, const mp_lock_opts *opts)
{
    return new_lock((void **)out, MP__RLOCK, opts);
}

int mp_rlock_attach(mp_rlock **out, const char *name)
{
    return attach((void **)out, name, MP__RLOCK);
}

int mp_rlock_acquire(mp_rlock *l, int timeout_ms)
{
    if (__builtin_expect(!is_rlock(l) || timeout_ms < MP_FOREVER, 0))
        return MP_EINVAL;
    return take_r(&l->lock, timeout_ms);
}

int mp_rlock_release(mp_rlock *l)
{
    if (__builtin_expect(!l || l->lock.object.type != MP__RLOCK, 0))
        return MP_EINVAL;
    return give(&l->lock, true);
}

int mp_rlock_consistent(mp_rlock *l)
{
    return is_rlock(l) ? mp__lock_consistent(&l->lock) : MP_EINVAL;
}

pid_t mp_rlock_dead_owner(const mp_rlock *l)
{
    return is_rlock(l) ? mp__lock_dead_owner(&l->lock) : MP_EINVAL;
}

bool mp_rlock_locked(const mp_rlock *l)
{
    return is_rlock(l) && owner_of(&l->lock) != 0;
}

void mp_rlock_free(mp_rlock *l)
{
    if (is_rlock(l))
        mp__lock_free(&l->lock, l, true);
}
