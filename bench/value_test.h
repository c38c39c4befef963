// SPDX-License-Identifier: MIT
//
// The tests of a shared value: 1 is added under its lock, or atomically, by two processes as
// fast as they can; and by 100 processes that are started for it and then joined. The
// includer defines how, and calls value_test().
#ifndef BENCH_VALUE_TEST_H
#define BENCH_VALUE_TEST_H

#include "two.h"

#define CHILDREN 100

struct child {
    pid_t pid;    // one of these
    void *handle; // is used
};

static inline void add_locked(void);
static inline void add_atomic(void);
static uint64_t sum(void);              // of all that was added
static void start(struct child *child); // a process that calls add_locked() once
static void join(struct child *child);

static void start_and_join_all(void)
{
    struct child children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++)
        start(&children[i]);
    for (int i = 0; i < CHILDREN; i++)
        join(&children[i]);
}

static void test_100procs(const char *who, double seconds)
{
    start_and_join_all(); // warms up
    double begin = now(), elapsed;
    uint64_t rounds = 0;
    do {
        start_and_join_all();
        rounds++;
        elapsed = now() - begin;
    } while (elapsed < seconds);
    check_sum(who, sum(), (rounds + 1) * CHILDREN);
    report("value_100procs", who, elapsed / (double)rounds * 1e3, "ms");
}

static void value_test(const char *who, const char *test, double seconds)
{
    uint64_t steps;
    double rate;
    if (strcmp(test, "100procs") == 0) {
        test_100procs(who, seconds);
    } else if (strcmp(test, "locked") == 0) {
        rate = rate_of_two(add_locked, seconds, &steps);
        check_sum(who, sum(), steps);
        report("value_2p_locked_inc", who, rate, "ops/s");
    } else if (strcmp(test, "atomic") == 0) {
        rate = rate_of_two(add_atomic, seconds, &steps);
        check_sum(who, sum(), steps);
        report("value_2p_atomic_add", who, rate, "ops/s");
    } else {
        die("no test named %s", test);
    }
}

#endif
