// SPDX-License-Identifier: MIT
//
// How many workers there are: as many as are wanted, less those that rest.
//
// Places are numbered; the supervisor keeps the places below `wanted` filled, and a worker in
// one above ends when it has done what it is at. Places are never given back, so whoever looks
// at all of them may miss none.
//
// A worker that rests says so in its place, then looks once more whether there is work, then
// ends; who has work posts it, then looks whether anybody rests. So one of the two sees the
// other. A place that rests is not filled until somebody clears the mark.
#include "os/fork.h"
#include "work/pool.h"

// Clears up to n marks; whether there were so many.
static bool wake_places(struct mp__control *ctl, int n)
{
    uint32_t places = atomic_load(&ctl->wanted);
    for (uint32_t i = 0; i < places && n > 0; i++)
        n -= atomic_load(&ctl->slot[i].rests) && atomic_exchange(&ctl->slot[i].rests, 0);
    return n == 0;
}

static bool anybody_rests(const struct mp__control *ctl)
{
    uint32_t places = atomic_load(&ctl->wanted);
    for (uint32_t i = 0; i < places; i++)
        if (atomic_load(&ctl->slot[i].rests))
            return true;
    return false;
}

void mp__pool_call(mp_pool *p, int n)
{
    struct mp__control *ctl = p->seg.ctl;
    mp__call_workers(ctl, n);
    if (!p->shrinks)
        return;
    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load(&ctl->resting))
        return;
    if (!wake_places(ctl, n)) {
        atomic_store(&ctl->resting, 0);
        if (anybody_rests(ctl))
            atomic_store(&ctl->resting, 1);
    }
    mp__pool_wake_supervisor(p);
}

// New places: at rest in no sense, and with no failures.
static int add_places(mp_pool *p, uint32_t n)
{
    struct mp__control *ctl = p->seg.ctl;
    uint32_t had = atomic_load(&ctl->workers);
    int r = n > had ? mp__segment_hold_places(&p->seg, n) : 0;
    for (uint32_t i = had; r == 0 && i < n; i++)
        ctl->slot[i].first_failed = MP__NOWHERE;
    if (r == 0 && n > had)
        atomic_store(&ctl->workers, n);
    return r;
}

static int refusal(mp_pool *p)
{
    if (atomic_load(&p->terminated))
        return MP_ECANCELED;
    return atomic_load(&p->closed) ? MP_ECLOSED : 0;
}

int mp_pool_resize(mp_pool *p, int workers)
{
    if (!p || workers < 1 || workers > MP__MAX_WORKERS)
        return MP_EINVAL;
    if (!mp__fork_is_mine(p->owner))
        return MP_EOWNER;
    struct mp__control *ctl = p->seg.ctl;
    uint32_t n = (uint32_t)workers;
    pthread_mutex_lock(&p->errands); // an errand in a place that is given up would never be run
    int r = refusal(p);
    if (r == 0)
        r = add_places(p, n);
    if (r == 0) {
        for (uint32_t i = atomic_load(&ctl->wanted); i < n; i++)
            atomic_store(&ctl->slot[i].rests, 0);
        atomic_store(&ctl->wanted, n);
        mp__call_workers(ctl, INT_MAX);
        mp__pool_wake_supervisor(p);
    }
    pthread_mutex_unlock(&p->errands);
    return r;
}
