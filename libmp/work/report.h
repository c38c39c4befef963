// SPDX-License-Identifier: MIT
//
// What went wrong in a map: counted while it runs, told in one sentence afterwards.
#ifndef MP_WORK_REPORT_H
#define MP_WORK_REPORT_H

#include "work/mortem.h"
#include "work/schedule.h"

struct mp__report {
    size_t n;                 // items of the map
    size_t failed;            // of them
    struct mp__range died;    // the lowest items that a death cost
    struct mp__mortem mortem; // whose
    size_t first_failed;      // the lowest item whose task failed, or SIZE_MAX
    int first_status;
};

void mp__report_init(struct mp__report *r, size_t n);

// The items were lost with the worker that ran them.
void mp__report_death(struct mp__report *r, struct mp__range items, const struct mp__mortem *m);

// `count` tasks failed; the lowest of them was `first`.
void mp__report_failures(struct mp__report *r, size_t count, size_t first, int status);

// 0, MP_EWORKERDIED or MP_ETASK.
int mp__report_result(const struct mp__report *r);

// Writes the sentence; "" when nothing failed.
void mp__report_text(const struct mp__report *r, char *buf, size_t size);

#endif
