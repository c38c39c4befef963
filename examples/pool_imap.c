// SPDX-License-Identifier: MIT
//
// A stream through a pool: a million numbers, of which only some are in memory at a time. How
// many steps does it take from n to 1, halving even numbers and making odd ones 3n + 1?
#include <mp/imap.h>
#include <stdio.h>

#define N 1000000

static int next_number(void *item, void *arg)
{
    long *n = arg;
    if (*n == N)
        return 0;
    *(long *)item = ++*n;
    return 1;
}

static int count_steps(const void *in, void *out, void *ctx)
{
    int steps = 0;
    (void)ctx;
    for (long n = *(const long *)in; n != 1; n = n % 2 ? 3 * n + 1 : n / 2)
        steps++;
    *(int *)out = steps;
    return 0;
}

int main(void)
{
    mp_pool *pool;
    mp_imap *stream;
    long last = 0, longest = 0;
    int steps, most = 0;
    if (mp_pool_new(&pool, NULL) < 0 || mp_pool_imap(&stream, pool, count_steps, next_number, &last,
                                                     sizeof(long), sizeof(int), NULL) < 0)
        return 1;
    int64_t i;
    while ((i = mp_imap_next(stream, &steps, NULL, MP_FOREVER)) >= 0)
        if (steps > most)
            most = steps, longest = i + 1;
    if (i != MP_EOF)
        fprintf(stderr, "imap: %s\n", mp_strerror(i));
    mp_imap_free(stream);
    mp_pool_free(pool);
    printf("%ld takes %d steps\n", longest, most);
    return i == MP_EOF ? 0 : 1;
}
