// SPDX-License-Identifier: MIT
//
// Single tasks as the caller has them: what it remembers of each, and what is done when one
// has ended. The board (board.h) is what the workers see of it.
#ifndef MP_WORK_TASKS_H
#define MP_WORK_TASKS_H

#include "base/clock.h"
#include "work/board.h"
#include "work/mortem.h"

#include <mp/task.h>
#include <pthread.h>
#include <stdatomic.h>

// How a task ended, for who posted it. Data is valid during the call only.
struct mp__outcome {
    int error; // 0, or a negative error
    int status;
    int pid, code; // of a dead worker
    uint32_t mortem;
    const struct mp__mortems *mortems;
    const void *data; // after an error: what it had given before, or NULL
    size_t size;
    int64_t ns;
    uint64_t at; // of the last mp_task_at(); nowhere if there was none
};

// What is to be run. done() is called once, by any thread that is in a call of the pool, with
// no lock held.
struct mp__posting {
    mp_task_fn *fn;
    const void *arg;
    size_t size;
    mp_task_opts opts;
    mp_future *future; // of apply_async(), else NULL
    void (*done)(void *owner, const struct mp__outcome *o);
    void *owner;
    uint64_t number; // see mp_task_number()
    uint32_t place;  // 0: any worker; else that one, + 1: no retries, no time limit
    bool again;      // posted by a done(), which a closed pool does not refuse
};

struct mp__record;
#define MP__RECORDS 64 // in a piece

struct mp__tasks {
    pthread_mutex_t lock; // guards what is below, and which slots are the caller's
    // By slot, in pieces that are made with the slots, and then stay where they are.
    struct mp__record *record[MP__BOARD_SLOTS / MP__RECORDS];
    _Atomic uint32_t top;        // slots that were ever used
    uint32_t free;               // the first slot that can be used again, + 1
    uint32_t waiting;            // tasks that wait for another run: the first, + 1
    uint32_t timed;              // tasks with a time limit
    uint64_t sequence;           // of the next
    _Atomic uint64_t applied;    // tasks of apply() and its like, so far
    bool broken;                 // all were given up: the pool is over
    _Atomic uint32_t unfinished; // tasks
    mp_future_source *source;
};

// 0 or -errno; the board is there. And the end: every task is given up.
int mp__tasks_init(mp_pool *p);
void mp__tasks_free(mp_pool *p);

// Posts it; waits for a free slot up to d. 0, MP_ETIMEDOUT, or errors of mp_pool_apply_async().
int mp__tasks_post(mp_pool *p, const struct mp__posting *t, mp__deadline d);

// Takes back the task with that owner, if no worker has begun it: done() is not called then.
bool mp__tasks_withdraw(mp_pool *p, const void *owner);

// Cancels all tasks that no worker has begun.
void mp__tasks_drop(mp_pool *p);

// As mp_pool_apply_async(); what a task gave that failed is the text of its future's error.
int mp__pool_submit(mp_future **out, mp_pool *pool, mp_task_fn *fn, const void *arg, size_t size);

// Takes in the news: finishes what ended, posts retries. With `look`, also whether the pool is
// over.
void mp__tasks_progress(mp_pool *p, bool look);

// Progress until over(arg), or d: 0 or MP_ETIMEDOUT.
int mp__tasks_await(mp_pool *p, bool (*over)(void *arg), void *arg, mp__deadline d);

// What over() looks at has changed: threads in mp__tasks_await() look.
void mp__tasks_nudge(mp_pool *p);

// A text for an outcome that is an error.
void mp__tasks_describe(const struct mp__outcome *o, char *buf, size_t size);

#endif
