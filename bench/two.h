// SPDX-License-Identifier: MIT
//
// The test of everything that processes may do to one shared word at the same time: a step
// that adds 1 to it, repeated by one process, or by two at once. Who runs it compares the sum
// with the number of steps.
#ifndef BENCH_TWO_H
#define BENCH_TWO_H

#include "common.h"

#define INLINED static inline __attribute__((always_inline))

// Inlined with its step, so that it costs each contestant the same.
INLINED uint64_t repeat(void (*step)(void), double seconds, double *elapsed)
{
    double start = now();
    uint64_t n = 0;
    do {
        for (int i = 0; i < 1000; i++)
            step();
        n += 1000;
        *elapsed = now() - start;
    } while (*elapsed < seconds);
    return n;
}

struct two {
    APART _Atomic uint32_t ready, go;
    APART struct {
        uint64_t steps;
        double elapsed;
    } did[2];
};

INLINED void run_one_of_two(struct two *t, int i, void (*step)(void), double seconds)
{
    atomic_fetch_add(&t->ready, 1);
    while (!atomic_load(&t->go))
        cpu_relax();
    t->did[i].steps = repeat(step, seconds, &t->did[i].elapsed);
}

// Steps a second of two processes together; *steps becomes how many they did.
INLINED double rate_of_two(void (*step)(void), double seconds, uint64_t *steps)
{
    struct two *t = shared(sizeof *t);
    pid_t pid[2];
    for (int i = 0; i < 2; i++) {
        pid[i] = fork_child();
        if (pid[i] == 0) {
            run_one_of_two(t, i, step, seconds);
            _exit(0);
        }
    }
    while (atomic_load(&t->ready) < 2)
        usleep(100);
    atomic_store(&t->go, 1);
    join_child(pid[0]);
    join_child(pid[1]);
    *steps = t->did[0].steps + t->did[1].steps;
    double elapsed = (t->did[0].elapsed + t->did[1].elapsed) / 2;
    munmap(t, sizeof *t);
    return (double)*steps / elapsed;
}

static inline void check_sum(const char *who, uint64_t sum, uint64_t steps)
{
    if (sum != steps)
        die("%s: %llu steps, and a sum of %llu", who, (unsigned long long)steps,
            (unsigned long long)sum);
}

#endif
