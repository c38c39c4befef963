// SPDX-License-Identifier: MIT
//
// Each piece is a task: the accumulator goes there with the items, and comes back.
#include "os/fork.h"
#include "work/pool.h"

#include <errno.h>
#include <mp/function.h>
#include <mp/reduce.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_A_WORKER 8
#define PIECES_MOST     4096

struct reduce {
    mp_pool *pool;
    char *acc; // of all pieces
    size_t acc_size;
    _Atomic size_t left;
    _Atomic int error;
};

struct piece {
    struct reduce *reduce;
    char *acc;
};

// The argument: the accumulator follows, then the items.
struct call {
    _Alignas(16) mp_fold_fn *fold;
    void *ctx;
    size_t n, acc_size;
};

static size_t aligned(size_t size)
{
    return (size + 15) / 16 * 16;
}

static int run_piece(mp_task *task, const void *arg, size_t size, void *ctx)
{
    const struct call *call = arg;
    const char *start = (const char *)(call + 1);
    char *acc = malloc(aligned(call->acc_size) + 1);
    (void)size;
    (void)ctx;
    if (!acc)
        return -ENOMEM;
    memcpy(acc, start, call->acc_size);
    mp_fold_fn *fold = mp__image_here(call->fold);
    int r = fold(acc, start + aligned(call->acc_size), call->n, call->ctx);
    if (r == 0)
        r = mp_task_result(task, acc, call->acc_size);
    free(acc);
    return r;
}

MP_TASK(run_piece);

static void piece_done(void *owner, const struct mp__outcome *o)
{
    struct piece *piece = owner;
    struct reduce *r = piece->reduce;
    mp_pool *pool = r->pool;
    int none = 0, error = o->error;
    if (error == 0 && o->size != r->acc_size)
        error = MP_EPROTO;
    if (error == 0)
        memcpy(piece->acc, o->data, r->acc_size);
    else
        atomic_compare_exchange_strong(&r->error, &none, error);
    atomic_fetch_sub(&r->left, 1); // after the last one r is gone
    mp__tasks_nudge(pool);
}

static bool all_done(void *arg)
{
    struct reduce *r = arg;
    return atomic_load(&r->left) == 0;
}

static int post(struct piece *piece, const struct call *model, const void *items, size_t in_size,
                uint64_t first, const mp_reduce_opts *o)
{
    struct reduce *r = piece->reduce;
    size_t head = sizeof *model + aligned(r->acc_size), size = head + model->n * in_size;
    char *arg = malloc(size);
    if (!arg)
        return -ENOMEM;
    memcpy(arg, model, sizeof *model);
    memcpy(arg + sizeof *model, piece->acc, r->acc_size);
    memcpy(arg + head, items, model->n * in_size);
    struct mp__posting what = {
        .fn = run_piece,
        .arg = arg,
        .size = size,
        .opts = {.priority = o->priority, .timeout_ms = o->timeout_ms, .retries = o->retries},
        .done = piece_done,
        .owner = piece,
        .number = first,
    };
    atomic_fetch_add(&r->left, 1);
    int e = mp__tasks_post(r->pool, &what, MP__NEVER);
    if (e < 0)
        atomic_fetch_sub(&r->left, 1);
    free(arg);
    return e;
}

static int check(mp_pool *p, mp_fold_fn *fold, mp_combine_fn *combine, const void *in,
                 size_t in_size, size_t n, const void *acc, size_t acc_size,
                 const mp_reduce_opts *o)
{
    size_t bytes;
    if (!p || !fold || !combine || !in || in_size == 0 || !acc || acc_size == 0 ||
        o->timeout_ms < 0 || o->retries < 0)
        return MP_EINVAL;
    if (!mp__fork_is_mine(p->owner))
        return MP_EOWNER;
    if (__builtin_mul_overflow(n, in_size, &bytes) || bytes > PTRDIFF_MAX / 2 ||
        acc_size > PTRDIFF_MAX / 2 / PIECES_MOST)
        return MP_EOVERFLOW;
    return mp__image_has(p->image, (void (*)(void))fold) ? 0 : MP_ENOFUNC;
}

static size_t piece_size(const mp_pool *p, size_t n, size_t chunk)
{
    size_t least = n / PIECES_MOST + 1;
    size_t size = chunk ? chunk : n / PIECES_A_WORKER / p->seg.ctl->wanted + 1;
    return size > least ? size : least;
}

// Combined in a copy, so that an error leaves acc alone.
static int combine_all(struct reduce *r, size_t pieces, mp_combine_fn *combine, void *acc,
                       void *ctx)
{
    for (size_t i = 1; i < pieces; i++)
        if (combine(r->acc, r->acc + i * aligned(r->acc_size), ctx) != 0)
            return MP_ETASK;
    memcpy(acc, r->acc, r->acc_size);
    return 0;
}

int mp_pool_reduce(mp_pool *p, mp_fold_fn *fold, mp_combine_fn *combine, const void *in,
                   size_t in_size, size_t n, void *acc, size_t acc_size, const mp_reduce_opts *opts)
{
    static const mp_reduce_opts defaults;
    const mp_reduce_opts *o = opts ? opts : &defaults;
    int e = check(p, fold, combine, in, in_size, n, acc, acc_size, o);
    if (e < 0 || n == 0)
        return e;
    size_t size = piece_size(p, n, o->chunk), pieces = (n - 1) / size + 1;
    struct piece *piece = calloc(pieces, sizeof *piece);
    struct reduce r = {.pool = p, .acc_size = acc_size, .acc = calloc(pieces, aligned(acc_size))};
    if (!piece || !r.acc)
        e = -ENOMEM;
    for (size_t i = 0; i < pieces && e == 0; i++) {
        size_t begin = i * size, count = n - begin < size ? n - begin : size;
        struct call call = {fold, o->ctx, count, acc_size};
        piece[i] = (struct piece){&r, r.acc + i * aligned(acc_size)};
        memcpy(piece[i].acc, acc, acc_size);
        e = post(&piece[i], &call, (const char *)in + begin * in_size, in_size, begin, o);
    }
    int waited = mp__tasks_await(p, all_done, &r, MP__NEVER);
    if (e == 0 && (e = waited) == 0 && (e = atomic_load(&r.error)) == 0)
        e = combine_all(&r, pieces, combine, acc, o->ctx);
    free(r.acc);
    free(piece);
    return e;
}
