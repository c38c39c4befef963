// SPDX-License-Identifier: MIT
//
// Some items of an array or a stream as one task. A task costs half a microsecond and a
// system call now and then, an item may cost a nanosecond: so they travel together.
//
// A chunk remembers its items until all are settled. When its worker dies, or runs out of
// time, the task says at which item: those before it are done, that one is lost or tried
// again, and those behind it are posted once more.
#ifndef MP_WORK_CHUNK_H
#define MP_WORK_CHUNK_H

#include "work/tasks.h"
#include "work/worker.h"

struct mp__chunk {
    mp_pool *pool;
    mp_item_fn *fn;
    size_t in_size, out_size;
    mp_task_opts opts;
    size_t ctx_size; // of opts.ctx, to be copied; 0: pass it on
    uint64_t first;  // number of the first item
    // Called once, when each item is settled, by any thread.
    void (*settled)(struct mp__chunk *c);
    void *settled_arg;

    size_t n;
    const char *in; // these three are arrays of n
    char *out;
    int *status; // 0, what the task returned, or a negative error
    size_t failed;
    int64_t ns; // that its items ran
    int error;  // the worst: MP_ETASK, MP_EWORKERDIED, ...
    // Of the first failure.
    size_t first_failed;
    char text[400];

    size_t base; // items settled
    int tries;   // deaths of the item at base
};

// Posts what is not settled of it; waits for a slot. 0, or errors of mp_pool_apply_async().
int mp__chunk_post(struct mp__chunk *c);

#endif
