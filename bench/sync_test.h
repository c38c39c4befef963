// SPDX-License-Identifier: MIT
//
// The tests of a lock: acquire and release it, alone; acquire, add 1 to a number, release,
// by two processes as fast as they can. The includer defines take() and give(), and calls
// sync_test().
#ifndef BENCH_SYNC_TEST_H
#define BENCH_SYNC_TEST_H

#include "two.h"

static inline void take(void);
static inline void give(void);

static struct guarded {
    APART uint64_t count;
} * guarded;

static inline void step(void)
{
    take();
    guarded->count++;
    give();
}

static void sync_test(const char *who, const char *test, double seconds)
{
    double elapsed;
    guarded = shared(sizeof *guarded);
    uint64_t steps = repeat(step, seconds / 4, &elapsed);
    if (strcmp(test, "uncontended") == 0) {
        uint64_t n = repeat(step, seconds, &elapsed);
        check_sum(who, guarded->count, steps + n);
        report("sync_uncontended", who, elapsed / (double)n * 1e9, "ns");
    } else if (strcmp(test, "contended") == 0) {
        guarded->count = 0;
        double rate = rate_of_two(step, seconds, &steps);
        check_sum(who, guarded->count, steps);
        report("sync_contended_2p", who, rate, "ops/s");
    } else {
        die("no test named %s", test);
    }
}

#endif
