// SPDX-License-Identifier: MIT
//
// Columns become tuples: an array of structs, as a C compiler would lay them out, which an
// ordinary map works on. Where the fields are, and the function with its ctx, travel as the
// ctx of that map.
#include <mp/function.h>
#include <mp/starmap.h>

#include "os/fork.h"
#include "work/map_async.h"
#include "work/pool.h"

#include <stdlib.h>
#include <string.h>

// The ctx of the map; a copy of the user's follows if it has a size.
struct star {
    _Alignas(16) mp_star_fn *fn;
    void *ctx;
    bool has_copy;
    int n;
    size_t offset[MP_STAR_MOST];
};

struct tuples {
    struct star *ctx;
    size_t ctx_size;
    char *array;
    size_t size; // of one
};

static int run(const void *in, void *out, void *ctx)
{
    struct star *s = ctx;
    const void *args[MP_STAR_MOST];
    for (int i = 0; i < s->n; i++)
        args[i] = (const char *)in + s->offset[i];
    mp_star_fn *fn = mp__image_here(s->fn);
    return fn(args, out, s->has_copy ? (void *)(s + 1) : s->ctx);
}
MP_TASK(run);

// The largest power of two that divides a size is all the alignment its type can want.
static size_t alignment(size_t size)
{
    size_t most = size & -size;
    return most < 16 ? most : 16;
}

static int check(mp_pool *p, mp_star_fn *fn, const mp_column *args, int n_args)
{
    if (!p || !fn || !args || n_args < 1 || n_args > MP_STAR_MOST)
        return MP_EINVAL;
    for (int i = 0; i < n_args; i++)
        if (!args[i].at || args[i].size == 0)
            return MP_EINVAL;
    if (!mp__fork_is_mine(p->owner))
        return MP_EOWNER;
    return mp__image_has(p->image, (void (*)(void))fn) ? 0 : MP_ENOFUNC;
}

// Where the fields of a tuple are, and its size.
static int lay_out(struct star *s, const mp_column *args, size_t *size)
{
    size_t at = 0, widest = 1;
    for (int i = 0; i < s->n; i++) {
        size_t align = alignment(args[i].size);
        widest = align > widest ? align : widest;
        at = (at + align - 1) / align * align;
        s->offset[i] = at;
        if (args[i].size > PTRDIFF_MAX / 2 || (at += args[i].size) > PTRDIFF_MAX / 2)
            return MP_EOVERFLOW;
    }
    *size = (at + widest - 1) / widest * widest;
    return 0;
}

static void pack(const struct star *s, const mp_column *args, char *to, size_t size, size_t n)
{
    for (size_t i = 0; i < n; i++, to += size)
        for (int k = 0; k < s->n; k++)
            memcpy(to + s->offset[k], (const char *)args[k].at + i * args[k].size, args[k].size);
}

static int new_tuples(struct tuples *t, mp_star_fn *fn, const mp_column *args, int n_args, size_t n,
                      void *ctx, size_t ctx_size)
{
    size_t bytes;
    if ((ctx_size && !ctx) || ctx_size > PTRDIFF_MAX / 2)
        return MP_EINVAL;
    *t = (struct tuples){.ctx_size = sizeof *t->ctx + ctx_size};
    t->ctx = calloc(1, (t->ctx_size + 15) / 16 * 16);
    if (!t->ctx)
        return -ENOMEM;
    *t->ctx = (struct star){.fn = fn, .ctx = ctx, .has_copy = ctx_size > 0, .n = n_args};
    if (ctx_size)
        memcpy(t->ctx + 1, ctx, ctx_size);
    int r = lay_out(t->ctx, args, &t->size);
    if (r == 0 && (__builtin_mul_overflow(n, t->size, &bytes) || bytes > PTRDIFF_MAX / 2))
        r = MP_EOVERFLOW;
    if (r == 0 && !(t->array = malloc(bytes + 1)))
        r = -ENOMEM;
    if (r == 0)
        pack(t->ctx, args, t->array, t->size, n);
    else
        free(t->ctx);
    return r;
}

int mp_pool_starmap(mp_pool *pool, mp_star_fn *fn, const mp_column *args, int n_args, void *out,
                    size_t out_size, size_t n, void *ctx, const mp_map_opts *opts)
{
    struct tuples t;
    mp_map_opts o = opts ? *opts : (mp_map_opts){0};
    int r = check(pool, fn, args, n_args);
    if (r == 0)
        r = new_tuples(&t, fn, args, n_args, n, ctx, o.ctx_size);
    if (r != 0)
        return r;
    o.ctx_size = t.ctx_size;
    r = mp_pool_map(pool, run, t.array, t.size, out, out_size, n, t.ctx, &o);
    free(t.array);
    free(t.ctx);
    return r;
}

int mp_pool_starmap_async(mp_future **out, mp_pool *pool, mp_star_fn *fn, const mp_column *args,
                          int n_args, void *to, size_t out_size, size_t n,
                          const mp_map_async_opts *opts)
{
    struct tuples t;
    mp_map_async_opts o = opts ? *opts : (mp_map_async_opts){0};
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    int r = check(pool, fn, args, n_args);
    if (r == 0)
        r = new_tuples(&t, fn, args, n_args, n, o.ctx, o.ctx_size);
    if (r != 0)
        return r;
    o.ctx = t.ctx;
    o.ctx_size = t.ctx_size;
    r = mp__map_async(out, pool,
                      &(struct mp__map_async){run, t.array, t.size, to, out_size, n, t.array}, &o);
    free(t.ctx);
    return r;
}
