// SPDX-License-Identifier: MIT
//
// The test of processes: one is started, runs nothing, and is joined, over and over; with
// "large", while this process has 256 MiB of memory of its own. The includer defines how, and
// calls process_test().
#ifndef BENCH_PROCESS_TEST_H
#define BENCH_PROCESS_TEST_H

#include "common.h"

#define LARGE ((size_t)256 << 20)

static void start_and_join(void);

static void process_test(const char *who, const char *metric, bool large, double seconds)
{
    char *memory = large ? malloc(LARGE) : NULL;
    if (large && !memory)
        die("malloc");
    for (size_t i = 0; large && i < LARGE; i += 4096)
        memory[i] = (char)(i >> 12 | 1);
    start_and_join(); // warms up, and starts what is needed once
    double begin = now(), elapsed;
    unsigned rounds = 0;
    do {
        start_and_join();
        rounds++;
        elapsed = now() - begin;
    } while (elapsed < seconds);
    report(metric, who, elapsed / rounds * 1e6, "us");
    free(memory);
}

#endif
