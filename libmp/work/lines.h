// SPDX-License-Identifier: MIT
//
// What a worker prints, by whole lines.
#ifndef MP_WORK_LINES_H
#define MP_WORK_LINES_H

#include "shm/mutex.h"

// From now on stdout and stderr of this process write whole lines, each under that lock. 0 or
// -ENOMEM. Once in a process.
int mp__lines_begin(struct mp__mutex *lock);

// Writes what is left of both, as a line.
void mp__lines_end(void);

#endif
