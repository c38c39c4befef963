// SPDX-License-Identifier: MIT
//
// A worker of a pool: waits for jobs, claims chunks, runs the function on them.
#ifndef MP_WORK_WORKER_H
#define MP_WORK_WORKER_H

#include "work/control.h"
#include "work/inner.h"

#include <mp/arena.h>
#include <signal.h>

// What the supervisor knows, and its workers inherit.
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
    int max_tasks, idle_ms;
    bool lines;
    struct mp__inner inner; // for the workers
};

// How many pools deep this process is: 0 outside of workers.
int mp__worker_depth(void);

// Says so in a process that did not inherit it.
void mp__worker_is_at(int deep);

// The life of a worker of that supervisor, in place `slot`. Ends with the process.
_Noreturn void mp__worker_run(const struct mp__supervisor *s, uint32_t slot);

// ---- several items as one task; chunk.c posts them ----

// The argument; the copy of ctx follows, then the items.
struct mp__chunk_call {
    _Alignas(16) mp_item_fn *fn;
    void *ctx;
    size_t ctx_size; // of the copy; 0: ctx is passed on as it is
    size_t n, in_size, out_size;
    uint64_t first; // number of the first item
    int retries;
};

static inline size_t mp__chunk_items_at(size_t ctx_size)
{
    return sizeof(struct mp__chunk_call) + (ctx_size + 15) / 16 * 16;
}
static inline size_t mp__chunk_results_at(size_t n)
{
    return (n * sizeof(int) + 15) / 16 * 16;
}
static inline size_t mp__chunk_result_size(size_t n, size_t out_size)
{
    return mp__chunk_results_at(n) + n * out_size;
}

int mp__chunk_run(mp_task *task, const void *arg, size_t size, void *ctx);

#endif
