// SPDX-License-Identifier: MIT
//
// Reasons to wait before the next job is started: --delay, --load, --memfree, --pressure,
// --after.
#ifndef MPMAP_GATE_H
#define MPMAP_GATE_H

#include "args.h"
#include <mp/loop.h>

struct gate {
    const struct args *args;
    bool wanted; // there are such reasons
    mp_loop *loop;
    mp_watch *timer;
    int64_t started_ms, looked_ms; // the last start, the last look
    const char *seen;              // then: a reason of the system, or NULL
    const char *why;               // it is closed, for people
    int *pidfds;                   // of --after
    int pidfds_len;
    mp_watch *after;
    void (*on_open)(void *);
    void *arg;
};

// Has on_open(arg) called when a closed gate may be open again. 0 or an exit status after a
// message.
int gate_init(struct gate *g, const struct args *a, mp_loop *loop, void (*on_open)(void *),
              void *arg);

// Whether a job may be started now.
bool gate_is_open(struct gate *g);

// One was.
void gate_started(struct gate *g);

// Whether there is so little memory (half of --memfree) that a job has to go.
bool gate_is_short(const struct gate *g);

void gate_close(struct gate *g);

#endif
