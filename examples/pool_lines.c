// SPDX-License-Identifier: MIT
//
// Workers that print, each line whole, however it is put together.
#include <mp/pool.h>
#include <stdio.h>

static int print_row(const void *in, void *out, void *ctx)
{
    int row = *(const int *)in;
    (void)out;
    (void)ctx;
    printf("%2d:", row);
    for (int i = 1; i <= 10; i++)
        printf(" %3d", row * i);
    printf("\n");
    return 0;
}

int main(void)
{
    int rows[10];
    mp_pool *pool;
    for (int i = 0; i < 10; i++)
        rows[i] = i + 1;
    if (mp_pool_new(&pool, &(mp_pool_opts){.lines = true}) < 0)
        return 1;
    int r = mp_pool_map(pool, print_row, rows, sizeof *rows, NULL, 0, 10, NULL,
                        &(mp_map_opts){.chunk = 1});
    mp_pool_free(pool);
    return r < 0;
}
