// SPDX-License-Identifier: MIT
//
// A map as a future: all its chunks are posted at once, and the last one that is settled
// finishes the future. The chunks work on the user's arrays, a copy of each chunk travels.
#include "work/map_async.h"
#include "os/fork.h"
#include "work/chunk.h"
#include "work/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS_A_WORKER 8
#define CHUNKS_MOST     4096

struct async {
    mp_pool *pool;
    mp_future *future;
    mp_map_async_opts opts;
    size_t total, chunks, made;
    int *own_status; // when the user gave no room
    void *own_ctx;   // a copy of opts.ctx
    void *own_in;    // the array, when nobody else keeps it
    int64_t start;
    pthread_mutex_t lock; // guards what is below
    size_t left;          // chunks that are not settled, + 1 while they are being posted
    size_t done, failed;
    bool stopped;
    int error;
    size_t first_failed;
    char text[120];
    struct mp__chunk chunk[];
};

static void free_async(struct async *a)
{
    pthread_mutex_destroy(&a->lock);
    free(a->own_status);
    free(a->own_ctx);
    free(a->own_in);
    free(a);
}

static void finish(struct async *a)
{
    mp_future *f = a->future;
    char text[200];
    snprintf(text, sizeof text, "item %zu of %zu: %s; %zu failed", a->first_failed, a->total,
             a->text, a->failed);
    if (a->error)
        (void)mp_future_set_error(f, a->error, 0, text);
    else
        (void)mp_future_set_result(f, NULL, 0);
    mp_future_free(f);
    free_async(a);
}

static void leave(struct async *a)
{
    pthread_mutex_lock(&a->lock);
    bool last = --a->left == 0;
    pthread_mutex_unlock(&a->lock);
    if (last)
        finish(a);
}

static size_t first_item(const struct async *a, const struct mp__chunk *c)
{
    return (size_t)(c - a->chunk) * a->chunk[0].n;
}

// Locked.
static void count(struct async *a, const struct mp__chunk *c)
{
    a->done += c->n;
    a->failed += c->failed;
    if (!c->error)
        return;
    size_t first = first_item(a, c) + c->first_failed;
    if (a->error == 0 || first < a->first_failed) {
        a->first_failed = first;
        memcpy(a->text, c->text, sizeof a->text);
    }
    if (a->error == 0 || a->error == MP_ETASK || a->error == MP_ECANCELED)
        a->error = c->error;
}

static void skip(struct async *a, struct mp__chunk *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->status[i] = MP_ECANCELED;
    pthread_mutex_lock(&a->lock);
    a->done += c->n;
    a->failed += c->n;
    pthread_mutex_unlock(&a->lock);
    leave(a);
}

// Takes back what no worker has begun. `left` is above 0: the caller has not left.
static void stop(struct async *a)
{
    for (size_t i = 0; i < a->made; i++)
        if (mp__tasks_withdraw(a->pool, &a->chunk[i]))
            skip(a, &a->chunk[i]);
}

static void report(struct async *a, size_t done, size_t failed)
{
    double seconds = (double)(mp__now() - a->start) * 1e-9;
    mp_progress p = {done, failed, a->total, 0};
    if (!a->opts.progress)
        return;
    p.seconds_left = done ? seconds / (double)done * (double)(a->total - done) : 0;
    a->opts.progress(&p, a->opts.progress_arg);
}

static void chunk_settled(struct mp__chunk *c)
{
    struct async *a = c->settled_arg;
    pthread_mutex_lock(&a->lock);
    count(a, c);
    size_t done = a->done, failed = a->failed;
    bool stops = c->error && a->opts.stop && !a->stopped;
    a->stopped |= stops;
    pthread_mutex_unlock(&a->lock);
    if (stops)
        stop(a);
    report(a, done, failed);
    leave(a);
}

// ---- the beginning ----

static int check(mp_pool *p, const struct mp__map_async *w, const mp_map_async_opts *o)
{
    size_t bytes, out;
    if (!p || !w->fn || (!w->in && w->in_size) || (!w->to && w->out_size) || o->timeout_ms < 0 ||
        o->retries < 0 || (o->ctx_size && !o->ctx))
        return MP_EINVAL;
    if (!mp__fork_is_mine(p->owner))
        return MP_EOWNER;
    if (__builtin_mul_overflow(w->n, w->in_size, &bytes) || bytes > PTRDIFF_MAX / 2 ||
        __builtin_add_overflow(w->out_size, sizeof(int), &out) ||
        __builtin_mul_overflow(w->n, out, &bytes) || bytes > PTRDIFF_MAX / 2 ||
        o->ctx_size > PTRDIFF_MAX / 4)
        return MP_EOVERFLOW;
    return mp__image_has(p->image, (void (*)(void))w->fn) ? 0 : MP_ENOFUNC;
}

// Items a chunk: no more chunks than there are slots, even if that is asked for.
static size_t chunk_size(const mp_pool *p, size_t n, const mp_map_async_opts *o)
{
    size_t least = n / CHUNKS_MOST + 1;
    size_t size = o->chunk ? o->chunk : n / CHUNKS_A_WORKER / p->seg.ctl->wanted + 1;
    if (o->timeout_ms)
        size = 1;
    else if (size < least)
        size = least;
    return size < n ? size : n;
}

static struct async *new_async(mp_pool *p, size_t n, size_t size, const mp_map_async_opts *o)
{
    size_t chunks = n ? (n + size - 1) / size : 0;
    struct async *a = calloc(1, sizeof *a + chunks * sizeof a->chunk[0]);
    if (!a)
        return NULL;
    *a = (struct async){
        .pool = p, .opts = *o, .total = n, .chunks = chunks, .left = 1, .start = mp__now()};
    pthread_mutex_init(&a->lock, NULL);
    if ((!o->status && n && !(a->own_status = malloc(n * sizeof(int)))) ||
        (o->ctx_size && !(a->own_ctx = malloc(o->ctx_size)))) {
        free_async(a);
        return NULL;
    }
    if (o->ctx_size)
        a->opts.ctx = memcpy(a->own_ctx, o->ctx, o->ctx_size);
    return a;
}

static int post(struct async *a, const struct mp__chunk *model, size_t size)
{
    struct mp__chunk *c = &a->chunk[a->made];
    size_t begin = a->made * size;
    *c = *model;
    c->n = a->total - begin < size ? a->total - begin : size;
    c->first = begin;
    c->in += begin * c->in_size;
    c->out += begin * c->out_size;
    c->status += begin;
    pthread_mutex_lock(&a->lock);
    a->left++;
    a->made++;
    bool stopped = a->stopped;
    pthread_mutex_unlock(&a->lock);
    int r = stopped ? 0 : mp__chunk_post(c);
    if (stopped)
        skip(a, c);
    return r;
}

// The map could not be posted as a whole: what was not is an error of each of its items.
static void fail_unposted(struct mp__chunk *c, int error)
{
    for (size_t i = 0; i < c->n; i++)
        c->status[i] = error;
    c->failed = c->n;
    c->error = error;
    snprintf(c->text, sizeof c->text, "%s", mp_strerror(error));
    chunk_settled(c);
}

static void post_all(struct async *a, const struct mp__chunk *model, size_t size)
{
    for (size_t i = 0; i < a->chunks; i++) {
        int r = post(a, model, size);
        if (r < 0)
            fail_unposted(&a->chunk[i], r);
    }
    leave(a);
}

static int refuse_if_closed(const mp_pool *p)
{
    if (atomic_load(&p->terminated))
        return MP_ECANCELED;
    return atomic_load(&p->closed) ? MP_ECLOSED : 0;
}

static mp_task_opts task_opts(const mp_map_async_opts *o)
{
    return (mp_task_opts){
        .ctx = o->ctx, .priority = o->priority, .timeout_ms = o->timeout_ms, .retries = o->retries};
}

static int begin(mp_future **out, mp_pool *pool, const struct mp__map_async *w,
                 const mp_map_async_opts *o, struct async **made)
{
    int r = check(pool, w, o);
    if (r < 0 || (r = refuse_if_closed(pool)) < 0)
        return r;
    struct async *a = new_async(pool, w->n, chunk_size(pool, w->n, o), o);
    if (!a)
        return -ENOMEM;
    r = mp_future_new(out, &(mp_future_opts){.source = pool->tasks.source});
    if (r < 0) {
        free_async(a);
        return r;
    }
    a->future = mp_future_hold(*out);
    a->own_in = w->owned;
    *made = a;
    return 0;
}

int mp__map_async(mp_future **out, mp_pool *pool, const struct mp__map_async *w,
                  const mp_map_async_opts *o)
{
    struct async *a;
    int r = begin(out, pool, w, o, &a);
    if (r < 0) {
        free(w->owned);
        return r;
    }
    if (o->status && w->n)
        memset(o->status, 0, w->n * sizeof(int));
    const struct mp__chunk model = {.pool = pool,
                                    .fn = w->fn,
                                    .in_size = w->in_size,
                                    .out_size = w->out_size,
                                    .opts = task_opts(&a->opts),
                                    .ctx_size = o->ctx_size,
                                    .settled = chunk_settled,
                                    .settled_arg = a,
                                    .in = w->in,
                                    .out = w->to,
                                    .status = o->status ? o->status : a->own_status};
    post_all(a, &model, chunk_size(pool, w->n, o));
    return 0;
}

int mp_pool_map_async(mp_future **out, mp_pool *pool, mp_item_fn *fn, const void *in,
                      size_t in_size, void *to, size_t out_size, size_t n,
                      const mp_map_async_opts *opts)
{
    static const mp_map_async_opts defaults;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    return mp__map_async(out, pool, &(struct mp__map_async){fn, in, in_size, to, out_size, n, NULL},
                         opts ? opts : &defaults);
}
