// SPDX-License-Identifier: MIT
//
// mp_map(): a function over an array, on all cores, in one call. Items that fail are told
// apart from those that succeed.
#include <mp/mp.h>
#include <stdio.h>

enum { N = 8 };

static int root(const void *in, void *out, void *ctx)
{
    (void)ctx;
    double x = *(const double *)in;
    if (x < 0)
        return 33; // the item's status
    double y = x;
    for (int i = 0; i < 60; i++)
        y = x > 0 ? (y + x / y) / 2 : 0;
    *(double *)out = y;
    return 0;
}

int main(void)
{
    double in[N] = {0, 1, 4, -1, 16, 25, 36, 49}, out[N];
    int status[N];
    int r =
        mp_map(root, in, sizeof *in, out, sizeof *out, N, NULL, &(mp_map_opts){.status = status});
    if (r < 0 && r != MP_ETASK) {
        fprintf(stderr, "map_once: %s\n", mp_strerror(r));
        return 1;
    }
    for (int i = 0; i < N; i++)
        if (status[i] == 0)
            printf("the root of %g is %g\n", in[i], out[i]);
        else
            printf("the root of %g: failed with %d\n", in[i], status[i]);
    return 0;
}
