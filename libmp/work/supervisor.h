// SPDX-License-Identifier: MIT
//
// The supervisor of a pool: a process that forks the workers, replaces those that
// die, tells the caller what they were at, and takes all of them with it when the
// caller ends or it ends itself. It computes nothing and waits for nothing else.
#ifndef MP_WORK_SUPERVISOR_H
#define MP_WORK_SUPERVISOR_H

#include "work/worker.h"

// The life of the supervisor. Ends with the process.
_Noreturn void mp__supervisor_run(const struct mp__supervisor *s);

#endif
