// SPDX-License-Identifier: MIT
//
// Two kinds. The plain one is a number: acquiring takes one off, releasing adds, and nobody
// needs to know who did. Beside it each process counts in a line of its own what it took
// more than it gave, after the fact, so that it can be told what the dead took with them.
//
// In the robust one that count is the truth. A unit is either here or counted by one
// process, all under a lock; the number, on which others sleep, follows from the total and
// the counts. Each of these changes in one store, and what a dead process counted is taken
// over by whoever finds too little. So a death anywhere leaves something that recovery can
// compute: units there are = total - counts of the living.
//
// Nobody is woken in an order, and nobody has a unit before it took it. A sleeper that is
// killed when it was just woken for a unit leaves the unit where it is, and another one
// finds it at its next look.
#include "os/futex.h"
#include "os/point.h"
#include "shm/holders.h"
#include "shm/mutex.h"
#include "shm/object.h"
#include "shm/sleepers.h"

#include <mp/semaphore.h>

#define VERSION   1
#define COUNT_MAX UINT32_C(0x80000000) // what a process is counted for, at most

struct mp_semaphore { // NOLINT(clang-analyzer-optin.performance.Padding): lines apart
    struct mp__object object;
    uint32_t bound; // constant, as is the next
    bool robust;
    struct mp__mutex lock;    // robust: guards all below. Plain: the taking over of counts
    _Atomic uint32_t total;   // robust: units, those held included
    _Atomic uint64_t of_dead; // units taken over from the dead
    struct mp__holders holders;
    _Alignas(64) _Atomic uint32_t value; // units to be had
    struct mp__sleepers asleep;          // while value is 0
};

static void wake(mp_semaphore *s, uint32_t n)
{
    mp__sleepers_wake(&s->asleep, &s->value, n > INT_MAX ? INT_MAX : (int)n);
}

// ---- the lock ----

// Robust: units to be had follow from the rest.
static void count_anew(mp_semaphore *s)
{
    uint64_t held = mp__holders_sum(s, &s->holders);
    uint32_t total = atomic_load(&s->total);
    atomic_store(&s->value, total > held ? total - (uint32_t)held : 0);
}

// Adds what was taken over from the dead to where it belongs. Under the lock.
static void take_over(mp_semaphore *s, uint64_t units)
{
    if (units == 0)
        return;
    atomic_fetch_add(&s->of_dead, units);
    if (!s->robust)
        return;
    MP__POINT("semaphore.robust_found");
    count_anew(s);
    MP__POINT("semaphore.robust_found_counted");
    wake(s, INT_MAX);
}

// Looks for units of the dead. Under the lock.
static void collect(mp_semaphore *s)
{
    if (!MP__BROKEN("semaphore.collect"))
        take_over(s, mp__holders_reap(s, &s->holders));
}

static int lock(mp_semaphore *s, mp__deadline d)
{
    int r = mp__mutex_lock_patiently(&s->lock, d);
    if (r != MP_EOWNERDEAD)
        return r;
    collect(s);
    if (s->robust) {
        MP__POINT("semaphore.robust_collected");
        count_anew(s);
    }
    mp__mutex_consistent(&s->lock);
    return 0;
}

static void unlock(mp_semaphore *s)
{
    mp__mutex_unlock(&s->lock);
}

// ---- plain ----

static bool take_plain(mp_semaphore *s)
{
    uint32_t value = atomic_load_explicit(&s->value, memory_order_relaxed);
    while (value > 0)
        if (atomic_compare_exchange_weak(&s->value, &value, value - 1))
            return true;
    return false;
}

// The count of this process, or NULL: no memory for it, then it is not counted.
static mp__held *count_of(mp_semaphore *s)
{
    mp__held *mine;
    uint32_t left;
    if (mp__holders_mine(s, &s->holders, &mine, &left) < 0)
        return NULL;
    atomic_fetch_add(&s->of_dead, left);
    return mine;
}

static void note_taken(mp_semaphore *s)
{
    mp__held *mine = count_of(s);
    // A process that acquires what others release stops there.
    if (mine && mp__held_count(atomic_load_explicit(mine, memory_order_relaxed)) < COUNT_MAX)
        atomic_fetch_add_explicit(mine, 1, memory_order_relaxed);
}

static void note_given(mp_semaphore *s, uint32_t n)
{
    mp__held *mine = count_of(s);
    if (!mine)
        return;
    uint64_t held = atomic_load_explicit(mine, memory_order_relaxed), less;
    do {
        uint32_t count = mp__held_count(held);
        less = held - (n < count ? n : count);
    } while (less != held && !atomic_compare_exchange_weak(mine, &held, less));
}

static int release_plain(mp_semaphore *s, uint32_t n)
{
    uint32_t bound = s->bound, value = atomic_load_explicit(&s->value, memory_order_relaxed);
    do {
        if (value > bound || n > bound - value)
            return bound == MP_SEMAPHORE_MAX ? MP_EOVERFLOW : MP_EBOUND;
    } while (!atomic_compare_exchange_weak(&s->value, &value, value + n));
    MP__POINT("semaphore.plain_given");
    note_given(s, n);
    MP__POINT("semaphore.plain_noted");
    return 0;
}

// ---- robust ----

// Takes a unit, if there is one. Under the lock. 1, 0, or an error.
static int take_counted(mp_semaphore *s)
{
    mp__held *mine;
    uint32_t left;
    int r = mp__holders_mine(s, &s->holders, &mine, &left);
    if (r < 0)
        return r;
    take_over(s, left);
    if (atomic_load(&s->value) == 0)
        collect(s);
    uint32_t value = atomic_load(&s->value);
    if (value == 0)
        return 0;
    atomic_fetch_add(mine, 1);
    MP__POINT("semaphore.robust_counted");
    atomic_store(&s->value, value - 1);
    return 1;
}

static int take_robust(mp_semaphore *s, mp__deadline d)
{
    int r = lock(s, d);
    if (r < 0)
        return r;
    r = take_counted(s);
    MP__POINT("semaphore.robust_taken");
    unlock(s);
    return r;
}

// Adds first what is not ours: killed in between, we have given what we said we would,
// since what we are counted for goes back too.
static int give_counted(mp_semaphore *s, uint32_t n)
{
    mp__held *mine;
    uint32_t left;
    int r = mp__holders_mine(s, &s->holders, &mine, &left);
    if (r < 0)
        return r;
    take_over(s, left);
    uint32_t count = mp__held_count(atomic_load(mine)), own = n < count ? n : count;
    uint32_t bound = s->bound, total = atomic_load(&s->total);
    if (total > bound || n - own > bound - total)
        return bound == MP_SEMAPHORE_MAX ? MP_EOVERFLOW : MP_EBOUND;
    atomic_store(&s->total, total + (n - own));
    MP__POINT("semaphore.robust_added");
    atomic_fetch_sub(mine, own);
    MP__POINT("semaphore.robust_uncounted");
    atomic_store(&s->value, atomic_load(&s->value) + n);
    return 0;
}

static int release_robust(mp_semaphore *s, uint32_t n)
{
    int r = lock(s, MP__NEVER);
    if (r < 0)
        return r;
    r = give_counted(s, n);
    MP__POINT("semaphore.robust_given");
    unlock(s);
    MP__POINT("semaphore.robust_unlocked");
    return r;
}

// ---- the interface ----

static int init(mp_semaphore *s, unsigned value, const mp_semaphore_opts *o)
{
    s->bound = o->bound ? o->bound : MP_SEMAPHORE_MAX;
    s->robust = o->robust;
    s->total = value;
    s->value = value;
    int r = mp__mutex_init(&s->lock);
    return r < 0 ? r : mp__object_publish(s);
}

int mp_semaphore_new(mp_semaphore **out, unsigned value, const mp_semaphore_opts *opts)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    const mp_semaphore_opts o = opts ? *opts : (mp_semaphore_opts){0};
    if (value > MP_SEMAPHORE_MAX || o.bound > MP_SEMAPHORE_MAX)
        return MP_EOVERFLOW;
    if (o.bound && value > o.bound)
        return MP_EINVAL;
    void *s;
    int r = mp__object_new(&s, o.arena, o.name, 0, MP__SEMAPHORE, VERSION, sizeof(mp_semaphore));
    if (r < 0)
        return r;
    r = init(s, value, &o);
    if (r < 0)
        mp__object_free(s, true);
    else
        *out = s;
    return r;
}

int mp_semaphore_attach(mp_semaphore **out, const char *name)
{
    if (!out)
        return MP_EINVAL;
    void *s = NULL;
    int r = mp__object_attach(&s, name, MP__SEMAPHORE, VERSION, sizeof(mp_semaphore));
    *out = r < 0 ? NULL : s;
    return r;
}

// Takes a unit if it can: 1, or 0 for none.
static int take(mp_semaphore *s, mp__deadline d)
{
    if (s->robust)
        return take_robust(s, d);
    if (!take_plain(s))
        return 0;
    MP__POINT("semaphore.plain_taken");
    note_taken(s);
    return 1;
}

int mp_semaphore_acquire(mp_semaphore *s, int timeout_ms)
{
    if (!mp__object_is(s, MP__SEMAPHORE) || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    mp__deadline d = mp__deadline_in(timeout_ms);
    int r = 0, taken;
    while ((taken = take(s, d)) == 0 && r == 0)
        r = mp__object_gone(s) ? MP_ECLOSED : mp__sleepers_wait(&s->asleep, &s->value, 0, d);
    return taken > 0 ? 0 : taken < 0 ? taken : r;
}

int mp_semaphore_release(mp_semaphore *s)
{
    return mp_semaphore_release_n(s, 1);
}

int mp_semaphore_release_n(mp_semaphore *s, unsigned n)
{
    if (!mp__object_is(s, MP__SEMAPHORE) || n == 0)
        return MP_EINVAL;
    int r = s->robust ? release_robust(s, n) : release_plain(s, n);
    if (r == 0)
        wake(s, n);
    return r;
}

int mp_semaphore_value(mp_semaphore *s)
{
    mp_semaphore_stats stats;
    if (!mp__object_is(s, MP__SEMAPHORE))
        return MP_EINVAL;
    if (!s->robust)
        return (int)atomic_load(&s->value);
    int r = mp_semaphore_get_stats(s, &stats);
    return r < 0 ? r : (int)stats.value;
}

int mp_semaphore_get_stats(mp_semaphore *s, mp_semaphore_stats *out)
{
    if (!mp__object_is(s, MP__SEMAPHORE) || !out)
        return MP_EINVAL;
    int r = lock(s, MP__NEVER);
    if (r < 0)
        return r;
    collect(s);
    uint64_t of_dead = atomic_load(&s->of_dead);
    *out = (mp_semaphore_stats){
        .value = atomic_load(&s->value),
        .held = mp__holders_sum(s, &s->holders),
        .lost = s->robust ? 0 : of_dead,
        .returned = s->robust ? of_dead : 0,
    };
    unlock(s);
    return 0;
}

void mp_semaphore_free(mp_semaphore *s)
{
    if (!mp__object_is(s, MP__SEMAPHORE))
        return;
    bool idle = !mp__sleepers_any(&s->asleep);
    if (idle && mp__object_is_mine(s))
        mp__holders_release(s, &s->holders);
    mp__object_free(s, idle);
}
