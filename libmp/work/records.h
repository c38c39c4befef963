// SPDX-License-Identifier: MIT
//
// What the caller's side of tasks has of each: a slot of the board, which the workers see, and a
// record, which decides over retries and is the caller's own memory. Both have the same number;
// both stay where they are until the pool ends. For tasks.c and withdraw.c.
#ifndef MP_WORK_RECORDS_H
#define MP_WORK_RECORDS_H

#include "work/pool.h"

struct mp__record {
    void (*done)(void *owner, const struct mp__outcome *o);
    void *owner;
    mp_future *future;
    bool used, finishing, unwanted;
    bool timed;
    int retries, backoff_ms;
    int64_t retry_at;
    uint32_t next; // in the list of free ones, or of those that wait, + 1
};

static inline struct mp__board *mp__tasks_board(mp_pool *p)
{
    return &p->seg.ctl->board;
}

static inline struct mp__task_slot *mp__tasks_slot(mp_pool *p, uint32_t i)
{
    return &mp__tasks_board(p)->slot[i];
}

static inline struct mp__record *mp__tasks_record(mp_pool *p, uint32_t i)
{
    return &p->tasks.record[i / MP__RECORDS][i % MP__RECORDS];
}

// ---- records.c ----

// Bytes of a task, inside of its slot or in a block of the pool's arena. -ENOMEM.
int mp__bytes_put(mp_pool *p, struct mp__bytes *b, const void *data, size_t size);
void mp__bytes_drop(mp_pool *p, struct mp__bytes *b);

// Where a result lies; NULL if a task wrote nonsense there.
const void *mp__bytes_find(mp_pool *p, const struct mp__bytes *b, size_t *size);

// A slot for a new task, and its end. Locked. MP_EAGAIN: there is none; -ENOMEM.
int mp__record_take(mp_pool *p, uint32_t *out);
void mp__record_give(mp_pool *p, uint32_t i);

// One more task has a time limit: the supervisor looks often enough. Locked.
void mp__record_timed(mp_pool *p, int timeout_ms);

// A task is over: its memory and its slot are free again.
void mp__record_release(mp_pool *p, uint32_t i);

// ---- between tasks.c and withdraw.c ----

// Tells the task's owner, and releases it. The record is `finishing`.
void mp__tasks_finish(mp_pool *p, uint32_t i, const struct mp__outcome *o);

// The future's task runs; it may have been running already, in an earlier run.
void mp__tasks_mark_running(mp_future *f);

// Takes back all that no worker has begun.
void mp__tasks_withdraw_all(mp_pool *p);

// The cancel() of the pool's source of futures.
int mp__tasks_cancel(void *pool, mp_future *f);

#endif
