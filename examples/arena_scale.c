// SPDX-License-Identifier: MIT
//
// mp_arena_new() and mp_pool_map_range(): a large array that no one copies, in a pool that
// is used several times. Each task gets a range, so that the compiler can make the most of
// its loop.
#include <mp/mp.h>
#include <stdio.h>

static int scale(size_t begin, size_t end, const void *in, void *out, void *ctx)
{
    const double *x = in, factor = *(const double *)ctx;
    double *y = out;
    for (size_t i = 0; i < end - begin; i++) // x[0] is item `begin`
        y[i] = x[i] * factor;
    return 0;
}

int main(void)
{
    const size_t n = 1000000;
    mp_arena *arena = NULL;
    mp_pool *pool = NULL;
    void *array = NULL;
    int r = mp_arena_new(&arena, NULL); // before the pool, so that its workers have it
    if (r == 0)
        r = mp_arena_alloc(arena, &array, n, sizeof(double));
    if (r == 0)
        r = mp_pool_new(&pool, NULL);
    double *x = array;
    for (size_t i = 0; r == 0 && i < n; i++)
        x[i] = (double)i;
    for (double factor = 2; r == 0 && factor <= 8; factor *= 2) // 2, 4, 8: in place
        r = mp_pool_map_range(pool, scale, x, sizeof *x, x, sizeof *x, n, &factor,
                              &(mp_map_opts){.ctx_size = sizeof factor});
    if (r < 0)
        fprintf(stderr, "arena_scale: %s %s\n", mp_strerror(r), mp_pool_error(pool));
    else
        printf("%.0f times 64 is %.0f\n", 999999.0, x[n - 1]);
    bool right = r == 0 && x[n - 1] == 999999.0 * 64;
    mp_pool_free(pool);
    mp_arena_delete(arena);
    return right ? 0 : 1;
}
