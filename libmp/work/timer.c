// SPDX-License-Identifier: MIT
//
// A timer: a thread that sleeps on one word until its time has come or somebody changed it.
// Firing and cancelling are one exchange of that word, so exactly one of them happens. The
// record belongs to the handle and to the thread, and goes with the last.
#include "os/fork.h"
#include "os/futex.h"

#include <errno.h>
#include <mp/timer.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { WAITS, FIRED, CANCELLED };

struct mp_timer {
    uint64_t owner;
    atomic_uint refs;
    _Atomic uint32_t state;
    mp__deadline at;
    mp_thread_fn *fn;
    void *arg;
    mp_thread *thread;
};

static void drop(mp_timer *t)
{
    if (atomic_fetch_sub(&t->refs, 1) == 1)
        free(t);
}

static bool leave(mp_timer *t, uint32_t state)
{
    uint32_t waits = WAITS;
    return atomic_compare_exchange_strong(&t->state, &waits, state);
}

static int wait_and_fire(void *arg)
{
    mp_timer *t = arg;
    while (t->state == WAITS && mp__left_ns(t->at) > 0)
        mp__futex_wait(&t->state, WAITS, t->at);
    int r = leave(t, FIRED) ? t->fn(t->arg) : 0;
    drop(t);
    return r;
}

int mp_timer_start(mp_timer **out, int delay_ms, mp_thread_fn *fn, void *arg,
                   const mp_thread_opts *opts)
{
    static atomic_uint named;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    if (!fn || delay_ms < 0)
        return MP_EINVAL;
    mp_timer *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    *t = (mp_timer){.owner = mp__fork_token(), .at = mp__deadline_in(delay_ms), .fn = fn};
    t->refs = 2;
    t->arg = arg;
    char name[32];
    mp_thread_opts with_name = opts ? *opts : (mp_thread_opts){0};
    if (!with_name.name) {
        snprintf(name, sizeof name, "Timer-%u", ++named);
        with_name.name = name;
    }
    int r = mp_thread_start(&t->thread, wait_and_fire, t, &with_name);
    if (r < 0) {
        free(t);
        return r;
    }
    *out = t;
    return 0;
}

static int usable(const mp_timer *t)
{
    if (!t)
        return MP_EINVAL;
    return mp__fork_is_mine(t->owner) ? 0 : MP_EOWNER;
}

int mp_timer_cancel(mp_timer *t)
{
    int r = usable(t);
    if (r < 0)
        return r;
    if (leave(t, CANCELLED)) {
        mp__futex_wake(&t->state, 1);
        return 0;
    }
    return t->state == CANCELLED ? 0 : MP_ESTATE;
}

int mp_timer_join(mp_timer *t, int timeout_ms)
{
    int r = usable(t);
    return r < 0 ? r : mp_thread_join(t->thread, timeout_ms);
}

void mp_timer_free(mp_timer *t)
{
    if (!t)
        return;
    mp_thread_free(t->thread);
    drop(t);
}
