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

// The arguments of mp_executor_map(), as far as a kind of executor needs them.
struct mp__mapping {
    mp_item_fn *fn;
    const void *in;
    size_t in_size;
    void *out;
    size_t out_size, n;
    void *ctx;
    size_t chunk;
    int *status;
};

// The handle was checked before each of these is called.
struct mp__executor_ops {
    int (*submit)(mp_executor *e, mp_future **out, const struct mp__task *task);
    int (*map)(mp_executor *e, const struct mp__mapping *m); // without a timeout; NULL: by submit
    int (*shutdown)(mp_executor *e, mp_shutdown how);
    int (*join)(mp_executor *e, mp__deadline d);
    int (*signal_workers)(mp_executor *e, int sig); // NULL: MP_ENOTSUP
    void (*free)(mp_executor *e);                   // also in a process that does not own it
};

// The first member of each kind.
struct mp_executor {
    uint64_t owner; // token of the process
    const struct mp__executor_ops *ops;
    int workers;
};

#endif
