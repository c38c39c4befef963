// SPDX-License-Identifier: MIT
//
// A stream: chunks in a list, in the order of their items. The thread that calls
// mp_imap_next() makes them and takes them off: the first, or, with `unordered`, the first that
// is settled. Whoever is in a call of the pool may be the one to settle them. When the stream
// is freed with chunks under way, the last one to be settled releases it.
#include "os/fork.h"
#include "work/chunk.h"
#include "work/pool.h"

#include <mp/imap.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_NS    300000 // that a chunk shall take
#define CHUNK_MOST  4096   // items
#define CHUNK_BYTES ((size_t)1 << 20)

struct part {
    struct mp__chunk chunk;
    mp_imap *it;
    struct part *next; // in the order of items, or of settling
    bool settled;      // guarded by the stream's lock
    size_t given;      // items that were fetched
    _Alignas(16) char memory[];
};

struct mp_imap {
    mp_pool *pool;
    uint64_t owner; // token of the process
    mp_item_fn *fn;
    mp_imap_fn *next;
    void *arg;
    size_t in_size, out_size;
    mp_imap_opts opts;
    // Of the thread that calls.
    uint64_t items;       // asked for so far
    size_t chunk;         // items in the next one
    size_t under_way;     // items
    int end;              // 1: the stream goes on; 0: it has ended; or the error it ended with
    struct part *present; // of which some items were given
    // Shared with who settles.
    pthread_mutex_t lock;
    struct part *parts, **last;
    size_t posted; // chunks that are not settled
    bool dropped;
};

static void release_imap(mp_imap *it)
{
    for (struct part *p = it->parts, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    pthread_mutex_destroy(&it->lock);
    if (it->opts.ctx_size)
        free(it->opts.ctx); // our copy
    free(it);
}

static void part_settled(struct mp__chunk *c)
{
    struct part *p = c->settled_arg;
    mp_imap *it = p->it;
    mp_pool *pool = it->pool;
    pthread_mutex_lock(&it->lock);
    p->settled = true;
    bool last = --it->posted == 0 && it->dropped;
    pthread_mutex_unlock(&it->lock);
    if (last)
        release_imap(it);
    else
        mp__tasks_nudge(pool);
}

// ---- what goes in ----

static struct part *new_part(mp_imap *it, size_t n)
{
    size_t in = (n * it->in_size + 15) / 16 * 16, out = (n * it->out_size + 15) / 16 * 16;
    struct part *p = malloc(sizeof *p + in + out + n * sizeof(int));
    if (!p)
        return NULL;
    *p = (struct part){.it = it};
    p->chunk = (struct mp__chunk){
        .pool = it->pool,
        .fn = it->fn,
        .in_size = it->in_size,
        .out_size = it->out_size,
        .opts = {.ctx = it->opts.ctx,
                 .priority = it->opts.priority,
                 .timeout_ms = it->opts.timeout_ms,
                 .retries = it->opts.retries},
        .ctx_size = it->opts.ctx_size,
        .first = it->items,
        .settled = part_settled,
        .settled_arg = p,
        .in = p->memory,
        .out = p->memory + in,
        .status = (int *)(void *)(p->memory + in + out),
    };
    return p;
}

// Asks for up to n items.
static void ask(mp_imap *it, struct part *p, size_t n)
{
    while (p->chunk.n < n && it->end == 1) {
        int r = it->next(p->memory + p->chunk.n * it->in_size, it->arg);
        if (r > 0)
            p->chunk.n++;
        else
            it->end = r;
    }
    it->items += p->chunk.n;
}

static int post_part(mp_imap *it, size_t n)
{
    struct part *p = new_part(it, n);
    if (!p)
        return -ENOMEM;
    ask(it, p, n);
    if (p->chunk.n == 0) {
        free(p);
        return 0;
    }
    pthread_mutex_lock(&it->lock);
    it->posted++;
    *it->last = p;
    it->last = &p->next;
    pthread_mutex_unlock(&it->lock);
    it->under_way += p->chunk.n;
    int r = mp__chunk_post(&p->chunk);
    for (size_t i = 0; r < 0 && i < p->chunk.n; i++)
        p->chunk.status[i] = r;
    if (r < 0) {
        it->end = r; // after what there is
        p->chunk.error = r;
        part_settled(&p->chunk);
    }
    return 0;
}

static size_t window(const mp_imap *it)
{
    return it->opts.window ? it->opts.window : (size_t)4 * it->pool->seg.ctl->wanted * it->chunk;
}

static int fill(mp_imap *it)
{
    int r = 0;
    while (r == 0 && it->end == 1 && it->under_way < window(it)) {
        size_t room = window(it) - it->under_way;
        r = post_part(it, it->chunk < room ? it->chunk : room);
    }
    return r;
}

// The next chunks shall take as long as they should: at most four times as many items.
static void learn(mp_imap *it, const struct part *p)
{
    if (it->opts.chunk || it->opts.timeout_ms || !p->chunk.ns)
        return;
    size_t most = it->chunk * 4, bytes = it->in_size + it->out_size;
    size_t n = (size_t)(CHUNK_NS * (double)p->chunk.n / (double)p->chunk.ns) + 1;
    n = n < most ? n : most;
    n = n < CHUNK_MOST ? n : CHUNK_MOST;
    size_t share = it->opts.window / it->pool->seg.ctl->wanted / 2 + 1;
    n = it->opts.window && n > share ? share : n;
    it->chunk = bytes && n > CHUNK_BYTES / bytes + 1 ? CHUNK_BYTES / bytes + 1 : n;
}

// ---- what comes out ----

// The chunk to give from next, or NULL.
static struct part *front(mp_imap *it)
{
    if (it->present)
        return it->present;
    pthread_mutex_lock(&it->lock);
    struct part *p = it->parts;
    while (it->opts.unordered && p && !p->settled)
        p = p->next;
    bool ready = p && p->settled;
    pthread_mutex_unlock(&it->lock);
    return ready ? p : NULL;
}

static bool has_front(void *arg)
{
    return front(arg) != NULL;
}

static void finish_part(mp_imap *it, struct part *p)
{
    struct part **at = &it->parts;
    pthread_mutex_lock(&it->lock);
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    if (!p->next)
        it->last = at;
    pthread_mutex_unlock(&it->lock);
    it->present = NULL;
    it->under_way -= p->chunk.n;
    learn(it, p);
    free(p);
}

static int64_t give(mp_imap *it, struct part *p, void *out, int *status)
{
    size_t i = p->given++;
    int64_t r = (int64_t)(p->chunk.first + i);
    int failure = p->chunk.status[i];
    if (status)
        *status = failure;
    if (failure == 0 && it->out_size)
        memcpy(out, p->chunk.out + i * it->out_size, it->out_size);
    if (failure && !status)
        r = failure == MP_EWORKERDIED || failure == MP_ETIMEDOUT ? failure : MP_ETASK;
    it->present = p;
    if (p->given == p->chunk.n)
        finish_part(it, p);
    return r;
}

// Items that were never posted, or lost with the pool, are no results.
static int end_of(const struct part *p)
{
    int e = p->chunk.error;
    return e == MP_ETASK || e == MP_EWORKERDIED || e == MP_ETIMEDOUT ? 0 : e;
}

int64_t mp_imap_next(mp_imap *it, void *out, int *status, int timeout_ms)
{
    if (!it || (!out && it->out_size) || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (!mp__fork_is_mine(it->owner))
        return MP_EOWNER;
    mp__deadline d = mp__deadline_in(timeout_ms);
    struct part *p = it->present;
    if (!p) {
        int r = fill(it);
        if (r < 0)
            return r;
        if (it->under_way == 0)
            return it->end == 0 ? MP_EOF : it->end;
        r = mp__tasks_await(it->pool, has_front, it, d);
        if (r < 0)
            return r;
        p = front(it);
    }
    return end_of(p) ? end_of(p) : give(it, p, out, status);
}

// ---- life ----

static int check(mp_pool *pool, mp_item_fn *fn, size_t in_size, size_t out_size)
{
    if (!pool || !fn)
        return MP_EINVAL;
    if (!mp__fork_is_mine(pool->owner))
        return MP_EOWNER;
    if (in_size > PTRDIFF_MAX / 4 / CHUNK_MOST || out_size > PTRDIFF_MAX / 4 / CHUNK_MOST)
        return MP_EOVERFLOW;
    return mp__image_has(pool->image, (void (*)(void))fn) ? 0 : MP_ENOFUNC;
}

int mp_pool_imap(mp_imap **out, mp_pool *pool, mp_item_fn *fn, mp_imap_fn *next, void *arg,
                 size_t in_size, size_t out_size, const mp_imap_opts *opts)
{
    static const mp_imap_opts defaults;
    const mp_imap_opts *o = opts ? opts : &defaults;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    if (!next || o->timeout_ms < 0 || o->retries < 0 || (o->ctx_size && !o->ctx))
        return MP_EINVAL;
    int r = check(pool, fn, in_size, out_size);
    void *ctx = r == 0 && o->ctx_size ? malloc(o->ctx_size) : NULL;
    mp_imap *it = r == 0 && (ctx || !o->ctx_size) ? malloc(sizeof *it) : NULL;
    if (!it) {
        free(ctx);
        return r < 0 ? r : -ENOMEM;
    }
    *it = (mp_imap){.pool = pool,
                    .owner = pool->owner,
                    .fn = fn,
                    .next = next,
                    .arg = arg,
                    .in_size = in_size,
                    .out_size = out_size,
                    .opts = *o,
                    .end = 1};
    if (ctx)
        it->opts.ctx = memcpy(ctx, o->ctx, o->ctx_size);
    it->chunk = o->chunk && !o->timeout_ms ? o->chunk : 1;
    if (it->chunk > CHUNK_MOST)
        it->chunk = CHUNK_MOST;
    it->last = &it->parts;
    pthread_mutex_init(&it->lock, NULL);
    *out = it;
    return 0;
}

void mp_imap_free(mp_imap *it)
{
    if (!it || !mp__fork_is_mine(it->owner))
        return;
    pthread_mutex_lock(&it->lock);
    it->dropped = true;
    for (struct part *p = it->parts; p; p = p->next)
        if (!p->settled && mp__tasks_withdraw(it->pool, &p->chunk))
            it->posted--;
    bool last = it->posted == 0;
    pthread_mutex_unlock(&it->lock);
    if (last)
        release_imap(it);
}
