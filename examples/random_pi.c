// SPDX-License-Identifier: MIT
//
// Pi, by throwing darts: a random stream for each task, so that the result is the same with
// one worker and with three.
#include <mp/pool.h>
#include <mp/random.h>
#include <stdio.h>
#include <string.h>

#define TASKS 200
#define DARTS 10000

// How many of its darts hit the quarter of a circle.
static int throw_darts(const void *in, void *out, void *ctx)
{
    (void)in;
    (void)ctx;
    mp_random r;
    long hits = 0;
    mp_task_random(&r, 2026); // the seed; the stream is that of the task
    for (int i = 0; i < DARTS; i++) {
        double x = mp_random_double(&r), y = mp_random_double(&r);
        hits += x * x + y * y < 1;
    }
    *(long *)out = hits;
    return 0;
}

int main(void)
{
    long one[TASKS], three[TASKS], hits = 0;
    mp_map_opts o = {.workers = 1};
    if (mp_map(throw_darts, NULL, 0, one, sizeof *one, TASKS, NULL, &o) < 0)
        return 1;
    o.workers = 3;
    if (mp_map(throw_darts, NULL, 0, three, sizeof *three, TASKS, NULL, &o) < 0)
        return 1;
    for (int i = 0; i < TASKS; i++)
        hits += one[i];
    printf("pi is about %.4f\n", 4.0 * (double)hits / TASKS / DARTS);
    printf("three workers throw %s\n", memcmp(one, three, sizeof one) ? "otherwise" : "the same");
    return memcmp(one, three, sizeof one) != 0;
}
