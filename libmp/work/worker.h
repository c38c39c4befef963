// SPDX-License-Identifier: MIT
//
// A worker of a pool: waits for jobs, claims chunks, runs the function on them.
#ifndef MP_WORK_WORKER_H
#define MP_WORK_WORKER_H

#include "work/control.h"

// How many pools deep this process is: 0 outside of workers.
int mp__worker_depth(void);

// The life of a worker, in place `slot`. Ends with the process.
_Noreturn void mp__worker_run(struct mp__control *ctl, uint32_t slot);

#endif
