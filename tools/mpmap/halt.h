// SPDX-License-Identifier: MIT
//
// --halt: when enough jobs have failed, succeeded or ended.
#ifndef MPMAP_HALT_H
#define MPMAP_HALT_H

#include <stdbool.h>

struct halt {
    enum { HALT_NEVER, HALT_SOON, HALT_NOW } when;
    enum { ON_FAIL, ON_SUCCESS, ON_DONE } what;
    long number;
    bool percent;
    long failed, succeeded; // so far
};

// "now,fail=1", "soon,success=3", "never", "now,done=10%", or GNU parallel's old 0, 1, 2,
// 10%, -1, -2. False: it is none.
bool halt_parse(struct halt *h, const char *s);

// Counts a job that ended, one of so many, which matters to a percentage only; whether to
// halt now.
bool halt_count(struct halt *h, bool failed, long jobs);

#endif
