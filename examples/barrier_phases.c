// SPDX-License-Identifier: MIT
//
// mp_barrier_wait_action(): work in phases. Each of three processes fills its part of an
// array; when all have, the last to come adds it up; then all begin the next phase.
#include <mp/mp.h>
#include <stdio.h>

#define PARTS 3

static struct {
    mp_barrier *barrier;
    mp_arena *arena;
    long *part; // in the arena: PARTS numbers and their sum
} shared;

static int add_up(void *arg)
{
    long *part = arg;
    part[PARTS] = 0;
    for (int i = 0; i < PARTS; i++)
        part[PARTS] += part[i];
    return 0;
}

static int work(void *arg)
{
    int me = *(const int *)arg;
    shared.part[me] = me + 1;
    for (int phase = 0; phase < 3; phase++) {
        int r = mp_barrier_wait_action(shared.barrier, 10000, add_up, shared.part);
        if (r < 0) // broken: somebody died, or took too long
            return 1;
        shared.part[me] += shared.part[PARTS]; // as all see it
        if (mp_barrier_wait(shared.barrier, 10000) < 0)
            return 1;
    }
    return 0;
}

int main(void)
{
    static int number[PARTS] = {0, 1, 2};
    mp_process *p[PARTS] = {NULL};
    void *part = NULL;
    int r = mp_arena_new(&shared.arena, NULL);
    if (r == 0)
        r = mp_arena_alloc(shared.arena, &part, PARTS + 1, sizeof(long));
    shared.part = part;
    if (r == 0)
        r = mp_barrier_new(&shared.barrier, PARTS, NULL);
    for (int i = 0; r == 0 && i < PARTS; i++)
        r = mp_process_start(&p[i], work, &number[i], NULL);
    for (int i = 0; i < PARTS; i++) {
        if (r == 0)
            r = mp_process_join(p[i], MP_FOREVER);
        mp_process_free(p[i]);
    }
    long sum = r == 0 ? shared.part[PARTS] : 0;
    if (r < 0)
        fprintf(stderr, "barrier_phases: %s\n", mp_strerror(r));
    else
        printf("the sum of the last phase is %ld\n", sum); // 6, 24, 96
    mp_barrier_free(shared.barrier);
    mp_arena_delete(shared.arena);
    return sum == 96 ? 0 : 1;
}
