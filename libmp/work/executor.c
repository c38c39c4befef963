// SPDX-License-Identifier: MIT
//
// What all executors have in common: the checks, and the map, which stands on submit.
//
// A map, unless the kind of executor has a way of its own, submits chunks of items, a few at a
// time, and collects them in their order. A chunk is
// described by a small struct that travels as the item of its task. Without a timeout the
// tasks read and write the caller's arrays; with one they must not, since a task that still
// runs when the caller has been told "timed out" would write into memory that is gone. So the
// items travel with the struct then, and the results in the future.
#include "work/executor.h"
#include "os/fork.h"

#include <errno.h>
#include <mp/thread.h>
#include <signal.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static int usable(const mp_executor *e)
{
    if (!e)
        return MP_EINVAL;
    return mp__fork_is_mine(e->owner) ? 0 : MP_EOWNER;
}

int mp_executor_submit(mp_executor *e, mp_future **out, mp_item_fn *fn, const void *in,
                       size_t in_size, size_t out_size, void *ctx)
{
    mp_future *f = NULL;
    if (out)
        *out = NULL;
    int r = fn && (in || !in_size) ? usable(e) : MP_EINVAL;
    if (r < 0)
        return r;
    r = e->ops->submit(e, &f, &(struct mp__task){fn, in, in_size, out_size, ctx});
    if (r < 0)
        return r;
    if (out)
        *out = f;
    else
        mp_future_free(f);
    return 0;
}

int mp_executor_shutdown(mp_executor *e, mp_shutdown how)
{
    int r = how == MP_DRAIN || how == MP_DROP ? usable(e) : MP_EINVAL;
    return r < 0 ? r : e->ops->shutdown(e, how);
}

int mp_executor_join(mp_executor *e, int timeout_ms)
{
    int r = timeout_ms >= MP_FOREVER ? usable(e) : MP_EINVAL;
    return r < 0 ? r : e->ops->join(e, mp__deadline_in(timeout_ms));
}

static int signal_workers(mp_executor *e, int sig)
{
    int r = usable(e);
    if (r < 0)
        return r;
    return e->ops->signal_workers ? e->ops->signal_workers(e, sig) : MP_ENOTSUP;
}

int mp_executor_terminate_workers(mp_executor *e)
{
    return signal_workers(e, SIGTERM);
}

int mp_executor_kill_workers(mp_executor *e)
{
    return signal_workers(e, SIGKILL);
}

int mp_executor_workers(const mp_executor *e)
{
    return e ? e->workers : MP_EINVAL;
}

void mp_executor_free(mp_executor *e)
{
    if (e)
        e->ops->free(e);
}

// ---- map ---------------------------------------------------------------------------

// A run of items. Its result: an int for each, the status; then, if `out` is NULL and there
// are results, those.
struct chunk {
    alignas(max_align_t) mp_item_fn *fn; // so that what lies behind the struct is aligned
    const void *in;                      // NULL: the items lie there
    void *out;
    size_t in_size, out_size, n;
    void *ctx;
};

struct map {
    mp_executor *e;
    struct chunk call; // the whole array
    const mp_executor_map_opts *opts;
    mp__deadline deadline;
    bool copies;
    size_t chunk, buffer;
    mp_future **window; // those that are submitted: chunk i at i % buffer
    int result;
};

// Where the results lie behind n statuses.
static size_t results_at(size_t n)
{
    size_t align = alignof(max_align_t);
    return (n * sizeof(int) + align - 1) / align * align;
}

static int run_chunk(const void *in, void *out, void *ctx)
{
    const struct chunk *c = in;
    const char *items = c->in ? c->in : (const void *)(c + 1);
    char *results = c->out ? c->out : (char *)out + results_at(c->n);
    int *status = out;
    (void)ctx;
    for (size_t i = 0; i < c->n; i++)
        status[i] = c->fn(c->in_size ? items + i * c->in_size : NULL,
                          c->out_size ? results + i * c->out_size : NULL, c->ctx);
    return 0;
}

static size_t chunk_length(const struct map *m, size_t i)
{
    size_t left = m->call.n - i * m->chunk;
    return left < m->chunk ? left : m->chunk;
}

static int submit_chunk(struct map *m, size_t i)
{
    size_t n = chunk_length(m, i), at = i * m->chunk, travels = m->copies ? n * m->call.in_size : 0;
    struct chunk *c = malloc(sizeof *c + travels);
    if (!c)
        return -ENOMEM;
    *c = m->call;
    c->n = n;
    if (c->in)
        c->in = (const char *)c->in + at * c->in_size;
    if (c->out)
        c->out = (char *)c->out + at * c->out_size;
    if (m->copies) {
        if (travels && c->in)
            memcpy(c + 1, c->in, travels);
        c->in = c->out = NULL;
    }
    size_t result = results_at(n) + (m->copies ? n * c->out_size : 0);
    int r = mp_executor_submit(m->e, &m->window[i % m->buffer], run_chunk, c, sizeof *c + travels,
                               result, NULL);
    free(c);
    return r;
}

// The worst that happened so far is what the map returns.
static void note(struct map *m, int error)
{
    static const int order[] = {0, MP_ETASK, MP_EWORKERDIED}; // then all others; first come
    size_t now = 0, then = 0;
    while (now < 3 && order[now] != error)
        now++;
    while (then < 3 && order[then] != m->result)
        then++;
    if (now > then)
        m->result = error;
}

static void set_status(struct map *m, size_t at, size_t n, int status)
{
    for (size_t i = 0; m->opts->status && i < n; i++)
        m->opts->status[at + i] = status;
}

// Takes in a chunk: waits for it, or, once the map has come to its end, cancels it.
static void collect(struct map *m, size_t i)
{
    mp_future **f = &m->window[i % m->buffer];
    size_t n = chunk_length(m, i), at = i * m->chunk;
    if (m->result == MP_ETIMEDOUT)
        mp_future_cancel(*f);
    int r = mp_future_error(*f, m->copies ? mp__left_ms(m->deadline) : MP_FOREVER);
    if (r == MP_ETIMEDOUT)
        mp_future_cancel(*f);
    if (r < 0) {
        note(m, r);
        set_status(m, at, n, r == MP_ETIMEDOUT ? MP_ECANCELED : r);
    } else {
        const int *status = mp_future_data(*f, NULL);
        for (size_t k = 0; k < n; k++)
            if (status[k])
                note(m, MP_ETASK);
        if (m->opts->status)
            memcpy(m->opts->status + at, status, n * sizeof(int));
        if (m->copies && m->call.out_size)
            memcpy((char *)m->call.out + at * m->call.out_size,
                   (const char *)status + results_at(n), n * m->call.out_size);
    }
    mp_future_free(*f);
    *f = NULL;
}

static bool goes_on(const struct map *m)
{
    return m->result == 0 || m->result == MP_ETASK || m->result == MP_EWORKERDIED;
}

static int run_map(struct map *m)
{
    size_t chunks = (m->call.n - 1) / m->chunk + 1, submitted = 0, collected = 0;
    set_status(m, 0, m->call.n, MP_ECANCELED);
    while (goes_on(m) && collected < chunks) {
        while (goes_on(m) && submitted < chunks && submitted - collected < m->buffer) {
            int r = submit_chunk(m, submitted);
            if (r < 0)
                note(m, r);
            else
                submitted++;
        }
        if (collected < submitted)
            collect(m, collected++);
    }
    while (collected < submitted)
        collect(m, collected++);
    return m->result;
}

static int check_map(const struct map *m)
{
    const struct chunk *c = &m->call;
    if (!c->fn || (!c->in && c->in_size && c->n) || (!c->out && c->out_size && c->n))
        return MP_EINVAL;
    size_t most = c->in_size > c->out_size ? c->in_size : c->out_size, bytes;
    if (__builtin_add_overflow(most, sizeof(int), &most) ||
        __builtin_mul_overflow(c->n, most, &bytes) || bytes > PTRDIFF_MAX / 2)
        return MP_EOVERFLOW;
    return 0;
}

int mp_executor_map(mp_executor *e, mp_item_fn *fn, const void *in, size_t in_size, void *out,
                    size_t out_size, size_t n, void *ctx, const mp_executor_map_opts *opts,
                    int timeout_ms)
{
    static const mp_executor_map_opts defaults;
    int r = timeout_ms >= MP_FOREVER ? usable(e) : MP_EINVAL;
    if (r < 0)
        return r;
    struct map m = {.e = e, .opts = opts ? opts : &defaults, .copies = timeout_ms != MP_FOREVER};
    m.call = (struct chunk){fn, in, out, in_size, out_size, n, ctx};
    m.deadline = mp__deadline_in(timeout_ms);
    r = check_map(&m);
    if (r < 0 || n == 0)
        return r;
    if (e->ops->map && !m.copies)
        return e->ops->map(e, &(struct mp__mapping){fn, in, in_size, out, out_size, n, ctx,
                                                    m.opts->chunk, m.opts->status});
    size_t workers = (size_t)e->workers;
    m.chunk = m.opts->chunk ? m.opts->chunk : n / (4 * workers) + 1;
    m.chunk = m.chunk < n ? m.chunk : n;
    m.buffer = m.opts->buffer ? m.opts->buffer : 4 * workers;
    size_t chunks = (n - 1) / m.chunk + 1;
    m.buffer = m.buffer < chunks ? m.buffer : chunks;
    m.window = calloc(m.buffer, sizeof(mp_future *));
    if (!m.window)
        return -ENOMEM;
    r = run_map(&m);
    free(m.window);
    return r;
}
