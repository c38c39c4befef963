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

// The argument of the task; the items follow.
struct mp__chunk_call {
    _Alignas(16) mp_item_fn *fn;
    void *ctx;
    size_t n, in_size, out_size;
    int retries;
};

struct mp__chunk {
    mp_pool *pool;
    mp_item_fn *fn;
    size_t in_size, out_size;
    mp_task_opts opts;
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

static inline size_t mp__chunk_results_at(size_t n)
{
    return (n * sizeof(int) + 15) / 16 * 16;
}
static inline size_t mp__chunk_result_size(size_t n, size_t out_size)
{
    return mp__chunk_results_at(n) + n * out_size;
}

// Posts what is not settled of it; waits for a slot. 0, or errors of mp_pool_apply_async().
int mp__chunk_post(struct mp__chunk *c);

// The task.
int mp__chunk_run(mp_task *task, const void *arg, size_t size, void *ctx);

#endif
