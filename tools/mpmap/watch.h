// SPDX-License-Identifier: MIT
//
// Seeing a run: the status line on a terminal (--bar, --eta), lines of the jobs above it
// (--latest-line), the same as JSON lines
// (--progress-fd), the state at SIGUSR1, the summary at its end.
#ifndef MPMAP_WATCH_H
#define MPMAP_WATCH_H

#include "args.h"
#include "job.h"

#include <stdbool.h>

// Where the run is.
struct progress {
    long done, failed;
    int running;
    const struct job *live; // those that run, the youngest first
    long total;             // -1: not known
    bool sure;              // else an estimate
    const char *waits;      // why no job is started, or NULL
};

enum { SLOWEST = 5 };

struct slow_job {
    double runtime;
    long seq;
    char label[SHOWN];
};

struct watch {
    const struct args *args;
    mp_loop *loop;
    mp_watch *timer;
    int64_t begin_ms;
    void (*look)(void *run, struct progress *p);
    void *run;
    // for the summary
    double busy, cpu;
    long memory; // KiB, the most of a job
    struct slow_job slowest[SLOWEST];
    int slowest_len;
};

// look(run, ...) tells where the run is. 0 or an error of the loop's.
int watch_init(struct watch *w, const struct args *a, mp_loop *loop,
               void (*look)(void *run, struct progress *p), void *run);

void watch_count(struct watch *w, const struct job *j); // one that has ended
void watch_state(struct watch *w, const struct job *live);
void watch_end(struct watch *w);

#endif
