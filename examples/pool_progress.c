// SPDX-License-Identifier: MIT
//
// A map that says how far it is, over arrays of two kinds: a starmap as a future.
#include <mp/starmap.h>
#include <stdio.h>
#include <unistd.h>

#define N 200

// The volume of a box, from a height and a side; there are none with a side of 0.
static int volume(const void *const args[], void *out, void *ctx)
{
    double height = *(const double *)args[0];
    int side = *(const int *)args[1];
    (void)ctx;
    usleep(1000);
    if (side == 0)
        return 1;
    *(double *)out = height * side * side;
    return 0;
}

static void tell(const mp_progress *p, void *arg)
{
    (void)arg;
    fprintf(stderr, "\r%zu of %zu, %zu failed, %.1f s left ", p->done, p->total, p->failed,
            p->seconds_left);
}

int main(void)
{
    double height[N], out[N];
    int side[N];
    for (int i = 0; i < N; i++) {
        height[i] = i * 0.5;
        side[i] = i % 50;
    }
    mp_pool *pool;
    mp_future *f;
    if (mp_pool_new(&pool, NULL) < 0)
        return 1;
    mp_column args[] = {MP_COLUMN(height), MP_COLUMN(side)};
    mp_map_async_opts o = {.progress = tell};
    if (mp_pool_starmap_async(&f, pool, volume, args, 2, out, sizeof *out, N, &o) < 0)
        return 1;
    int r = mp_future_error(f, MP_FOREVER); // whoever waits is told
    printf("\n%s\n", mp_future_error_text(f));
    printf("the last box: %.1f\n", out[N - 1]);
    mp_future_free(f);
    mp_pool_free(pool);
    return r != MP_ETASK;
}
