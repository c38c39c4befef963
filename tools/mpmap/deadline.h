// SPDX-License-Identifier: MIT
//
// --timeout and --term-seq: for how long a job may run, and how one is made to end.
#ifndef MPMAP_DEADLINE_H
#define MPMAP_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

enum { TERM_STEPS = 16, BUCKETS = 40 * 32 };

// Signals, each with the time to wait after it.
struct term_seq {
    int sig[TERM_STEPS], ms[TERM_STEPS];
    int len;
};

// "TERM,200,TERM,100,KILL,25". False: it is none.
bool term_seq_parse(struct term_seq *t, const char *s);

// The run times of jobs, roughly (to 3 %), in little memory.
struct times {
    long in[BUCKETS];
    long len;
};

void times_add(struct times *t, double seconds);
double times_median(const struct times *t); // 0 if there are none

// Seconds with a unit, if any: "1.5", "10s", "2m", "1h", "1d". In ms, or -1: it is none.
int64_t parse_duration(const char *s);

#endif
