// SPDX-License-Identifier: MIT
//
// One task: waited for, or as a future.
#include "os/fork.h"
#include "work/pool.h"

#include <stdlib.h>
#include <string.h>

static mp_task_opts copy_opts(const mp_task_opts *opts)
{
    return opts ? *opts : (mp_task_opts){0};
}

static int post_numbered(mp_pool *pool, struct mp__posting *what)
{
    if (!pool)
        return MP_EINVAL;
    what->number = atomic_fetch_add_explicit(&pool->tasks.applied, 1, memory_order_relaxed);
    return mp__tasks_post(pool, what, MP__NEVER);
}

// ---- waiting ----

struct apply {
    mp_pool *pool;
    void *out;
    size_t cap;
    int *status;
    int64_t result;
    atomic_bool done;
};

static int64_t take_result(struct apply *a, const struct mp__outcome *o)
{
    if (a->status)
        *a->status = o->status;
    if (o->error)
        return o->error;
    if (o->size > a->cap)
        return MP_EMSGSIZE;
    if (o->size)
        memcpy(a->out, o->data, o->size);
    return (int64_t)o->size;
}

static void apply_done(void *owner, const struct mp__outcome *o)
{
    struct apply *a = owner;
    mp_pool *p = a->pool;
    a->result = take_result(a, o);
    atomic_store(&a->done, true); // a is gone
    mp__tasks_nudge(p);
}

static bool is_done(void *arg)
{
    struct apply *a = arg;
    return atomic_load(&a->done);
}

int64_t mp_pool_apply(mp_pool *pool, mp_task_fn *fn, const void *arg, size_t size, void *out,
                      size_t cap, const mp_task_opts *opts)
{
    if (!out && cap)
        return MP_EINVAL;
    struct apply a = {.pool = pool, .out = out, .cap = cap, .status = opts ? opts->status : NULL};
    if (a.status)
        *a.status = 0;
    struct mp__posting what = {.fn = fn,
                               .arg = arg,
                               .size = size,
                               .opts = copy_opts(opts),
                               .done = apply_done,
                               .owner = &a};
    int r = post_numbered(pool, &what);
    if (r == 0)
        r = mp__tasks_await(pool, is_done, &a, MP__NEVER);
    return r < 0 ? r : a.result;
}

// ---- a future ----

static void complete(mp_future *f, const struct mp__outcome *o, const char *told)
{
    int r = 0;
    if (o->error == 0)
        r = mp_future_set_result(f, o->data, o->size);
    if (o->error || r == -ENOMEM) {
        char text[400];
        struct mp__outcome failed = *o;
        failed.error = o->error ? o->error : r;
        mp__tasks_describe(&failed, text, sizeof text);
        (void)mp_future_set_error(f, failed.error, o->status, told ? told : text);
    }
    mp_future_free(f);
}

static void future_done(void *owner, const struct mp__outcome *o)
{
    complete(owner, o, NULL);
}

// What the task gave is in shared memory: it ends where it should, or is no text.
static void future_told(void *owner, const struct mp__outcome *o)
{
    bool told = o->error == MP_ETASK && o->data && o->size;
    char *text = told ? strndup(o->data, o->size) : NULL;
    complete(owner, o, text);
    free(text);
}

static int post_future(mp_future **out, mp_pool *pool, struct mp__posting *what)
{
    mp_future *f;
    int r = mp_future_new(&f, &(mp_future_opts){.source = pool->tasks.source});
    if (r < 0)
        return r;
    what->future = mp_future_hold(f);
    what->owner = f;
    r = post_numbered(pool, what);
    if (r == 0) {
        *out = f;
        return 0;
    }
    mp_future_free(f);
    mp_future_free(f);
    return r;
}

int mp_pool_apply_async(mp_future **out, mp_pool *pool, mp_task_fn *fn, const void *arg,
                        size_t size, const mp_task_opts *opts)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    if (!pool || (opts && opts->status))
        return MP_EINVAL;
    if (!mp__fork_is_mine(pool->owner))
        return MP_EOWNER;
    return post_future(
        out, pool,
        &(struct mp__posting){
            .fn = fn, .arg = arg, .size = size, .opts = copy_opts(opts), .done = future_done});
}

int mp__pool_submit(mp_future **out, mp_pool *pool, mp_task_fn *fn, const void *arg, size_t size)
{
    return post_future(
        out, pool, &(struct mp__posting){.fn = fn, .arg = arg, .size = size, .done = future_told});
}
