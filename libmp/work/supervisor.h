// SPDX-License-Identifier: MIT
//
// The supervisor of a pool: a process that forks the workers, replaces those that
// die, tells the caller what they were at, and takes all of them with it when the
// caller ends or it ends itself. It computes nothing and waits for nothing else.
#ifndef MP_WORK_SUPERVISOR_H
#define MP_WORK_SUPERVISOR_H

#include "work/control.h"
#include "work/inner.h"

#include <mp/arena.h>
#include <signal.h>

struct mp__supervisor {
    struct mp__control *ctl;
    mp_arena *arena;       // of the tasks; NULL: there will be none
    int caller;            // pidfd of the process that made the pool
    int wake;              // eventfd: look at ctl->request
    int memory;            // the segment's memfd, which only the caller needs
    const char *name;      // of the processes
    sigset_t mask;         // of signals, for the workers; all are blocked now
    mp_pool_init_fn *init; // these three as in mp_pool_opts
    void *init_arg;
    int max_tasks;
    struct mp__inner inner; // for the workers
};

// The life of the supervisor. Ends with the process.
_Noreturn void mp__supervisor_run(const struct mp__supervisor *s);

#endif
