// SPDX-License-Identifier: MIT
//
// What an executor is made of: a kind of workers, behind a table of operations.
#ifndef MP_WORK_EXECUTOR_H
#define MP_WORK_EXECUTOR_H

#include "base/clock.h"
#include <mp/executor.h>

// The arguments of mp_executor_submit().
struct mp__task {
    mp_item_fn *fn;
    const void *in;
    size_t in_size, out_size;
    void *ctx;
};

// The handle was checked before each of these is called. A NULL is MP_ENOTSUP.
struct mp__executor_ops {
    int (*submit)(mp_executor *e, mp_future **out, const struct mp__task *task);
    int (*shutdown)(mp_executor *e, mp_shutdown how);
    int (*join)(mp_executor *e, mp__deadline d);
    int (*signal_workers)(mp_executor *e, int sig);
    void (*free)(mp_executor *e); // also in a process that does not own it
};

// The first member of each kind.
struct mp_executor {
    uint64_t owner; // token of the process
    const struct mp__executor_ops *ops;
    int workers;
};

#endif
