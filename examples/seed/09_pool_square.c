// SPDX-License-Identifier: MIT
//
// A pool of four workers squares the numbers 0 to 99: results in order.
#include <mp/pool.h>
#include <stdio.h>

#define N 100

static int square(const void *in, void *out, void *ctx)
{
    (void)ctx;
    int x = *(const int *)in;
    *(int *)out = x * x;
    return 0;
}

int main(void)
{
    int in[N], out[N];
    for (int i = 0; i < N; i++)
        in[i] = i;

    mp_pool *pool;
    int r = mp_pool_new(&pool, &(mp_pool_opts){.workers = 4});
    if (r < 0)
        return fprintf(stderr, "pool: %s\n", mp_strerror(r)), 1;
    r = mp_pool_map(pool, square, in, sizeof *in, out, sizeof *out, N, NULL, NULL);
    if (r < 0)
        fprintf(stderr, "map: %s: %s\n", mp_strerror(r), mp_pool_error(pool));
    mp_pool_close(pool);
    if (mp_pool_join(pool, 10000) < 0)
        fprintf(stderr, "the workers do not end\n");
    mp_pool_free(pool);
    if (r < 0)
        return 1;

    printf("Pool    : [");
    for (int i = 0; i < N; i++)
        printf("%s%d", i ? ", " : "", out[i]);
    printf("]\n");
    return 0;
}
