// SPDX-License-Identifier: MIT
//
// A worker of a pool: waits for jobs, claims chunks, runs the function on them.
#ifndef MP_WORK_WORKER_H
#define MP_WORK_WORKER_H

#include "work/supervisor.h"

// How many pools deep this process is: 0 outside of workers.
int mp__worker_depth(void);

// Says so in a process that did not inherit it.
void mp__worker_is_at(int deep);

// The life of a worker of that supervisor, in place `slot`. Ends with the process.
_Noreturn void mp__worker_run(const struct mp__supervisor *s, uint32_t slot);

#endif
