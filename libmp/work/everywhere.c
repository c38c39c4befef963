// SPDX-License-Identifier: MIT
//
// A task in each worker: errands, one a place.
#include "os/fork.h"
#include "work/pool.h"

struct round {
    mp_pool *pool;
    _Atomic uint32_t left;
    _Atomic int error;
};

static void errand_done(void *owner, const struct mp__outcome *o)
{
    struct round *r = owner;
    mp_pool *p = r->pool;
    int none = 0;
    if (o->error)
        atomic_compare_exchange_strong(&r->error, &none, o->error);
    atomic_fetch_sub(&r->left, 1); // the last one's r is gone
    mp__tasks_nudge(p);
}

static bool all_done(void *arg)
{
    struct round *r = arg;
    return atomic_load(&r->left) == 0;
}

static int check(mp_pool *p, const mp_task_opts *o)
{
    if (!p || (o && (o->priority || o->timeout_ms || o->retries || o->backoff_ms || o->status)))
        return MP_EINVAL;
    return mp__fork_is_mine(p->owner) ? 0 : MP_EOWNER;
}

int mp_pool_everywhere(mp_pool *p, mp_task_fn *fn, const void *arg, size_t size,
                       const mp_task_opts *opts)
{
    int r = check(p, opts);
    if (r < 0)
        return r;
    struct round round = {.pool = p};
    struct mp__posting what = {.fn = fn,
                               .arg = arg,
                               .size = size,
                               .opts = opts ? *opts : (mp_task_opts){0},
                               .done = errand_done,
                               .owner = &round};
    pthread_mutex_lock(&p->errands);
    for (uint32_t i = 0; i < p->seg.ctl->wanted && r == 0; i++) {
        what.place = i + 1;
        atomic_fetch_add(&round.left, 1);
        r = mp__tasks_post(p, &what, MP__NEVER);
        if (r < 0)
            atomic_fetch_sub(&round.left, 1);
    }
    int waited = mp__tasks_await(p, all_done, &round, MP__NEVER);
    pthread_mutex_unlock(&p->errands);
    if (r == 0)
        r = waited;
    return r < 0 ? r : atomic_load(&round.error);
}
