// SPDX-License-Identifier: MIT
//
// The calls that make a map: what they are given is checked, then map.c runs it; or it is given
// back with an error, and no worker was told of it.
#include "os/fork.h"
#include "os/trace.h"
#include "work/pool.h"

#include <stdlib.h>
#include <string.h>

// Arrays that are not given come with size 0, and the other way round; two may be the
// same, but not overlap otherwise.
static int check_arrays(const struct mp__call *c)
{
    size_t in, out;
    if ((!c->in && c->in_size) || (!c->out && c->out_size))
        return MP_EINVAL;
    if (__builtin_mul_overflow(c->n, c->in_size, &in) ||
        __builtin_mul_overflow(c->n, c->out_size, &out) || in > PTRDIFF_MAX || out > PTRDIFF_MAX)
        return MP_EOVERFLOW;
    if (c->in == c->out && c->in_size == c->out_size)
        return 0;
    uintptr_t a = (uintptr_t)c->in, b = (uintptr_t)c->out;
    return in && out && a < b + out && b < a + in ? MP_EINVAL : 0;
}

static int check_call(const mp_pool *p, const struct mp__call *c)
{
    void (*fn)(void) = c->item_fn ? (void (*)(void))c->item_fn : (void (*)(void))c->range_fn;
    if (!fn || (c->opts.ctx_size && !c->ctx))
        return MP_EINVAL;
    if (c->opts.status && c->n > PTRDIFF_MAX / sizeof(int))
        return MP_EOVERFLOW;
    int r = check_arrays(c);
    if (r < 0)
        return r;
    return p->one_shot || mp__image_has(p->image, fn) ? 0 : MP_ENOFUNC;
}

static int run_traced(mp_pool *p, const struct mp__call *call)
{
    void (*fn)(void) =
        call->item_fn ? (void (*)(void))call->item_fn : (void (*)(void))call->range_fn;
    MP__TRACE2(map_begin, call->n, fn);
    int r = mp__map_run(p, call);
    MP__TRACE3(map_end, call->n, fn, r);
    return r;
}

static int map(mp_pool *p, const struct mp__call *call)
{
    if (!p)
        return MP_EINVAL;
    if (!mp__fork_is_mine(p->owner))
        return MP_EOWNER;
    int r = check_call(p, call);
    if (r < 0)
        return r;
    pthread_mutex_lock(&p->lock);
    if (atomic_load(&p->terminated))
        r = MP_ECANCELED;
    else if (atomic_load(&p->closed))
        r = MP_ECLOSED;
    else
        r = run_traced(p, call);
    pthread_mutex_unlock(&p->lock);
    mp__pool_shut_if_closed(p);
    return r;
}

static mp_map_opts copy_opts(const mp_map_opts *opts)
{
    return opts ? *opts : (mp_map_opts){0};
}

int mp_pool_map(mp_pool *pool, mp_item_fn *fn, const void *in, size_t in_size, void *out,
                size_t out_size, size_t n, void *ctx, const mp_map_opts *opts)
{
    return map(pool,
               &(struct mp__call){fn, NULL, in, in_size, out, out_size, n, ctx, copy_opts(opts)});
}

int mp_pool_map_range(mp_pool *pool, mp_range_fn *fn, const void *in, size_t in_size, void *out,
                      size_t out_size, size_t n, void *ctx, const mp_map_opts *opts)
{
    return map(pool,
               &(struct mp__call){NULL, fn, in, in_size, out, out_size, n, ctx, copy_opts(opts)});
}

// ---- one map, and no pool to keep ----

static int map_once(const struct mp__call *call)
{
    mp_pool *p;
    char **error = call->opts.error;
    if (error)
        *error = NULL;
    const mp_pool one = {.one_shot = true};
    int r = check_call(&one, call);
    if (r < 0)
        return r;
    r = mp__pool_new(&p, &(mp_pool_opts){.workers = call->opts.workers, .start = MP_START_FORK},
                     true);
    if (r < 0)
        return r;
    r = map(p, call);
    if (r < 0 && error)
        *error = strdup(mp_pool_error(p));
    mp_pool_free(p);
    return r;
}

int mp_map(mp_item_fn *fn, const void *in, size_t in_size, void *out, size_t out_size, size_t n,
           void *ctx, const mp_map_opts *opts)
{
    return map_once(
        &(struct mp__call){fn, NULL, in, in_size, out, out_size, n, ctx, copy_opts(opts)});
}

int mp_map_range(mp_range_fn *fn, const void *in, size_t in_size, void *out, size_t out_size,
                 size_t n, void *ctx, const mp_map_opts *opts)
{
    return map_once(
        &(struct mp__call){NULL, fn, in, in_size, out, out_size, n, ctx, copy_opts(opts)});
}
