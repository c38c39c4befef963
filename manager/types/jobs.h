// SPDX-License-Identifier: MIT
//
// Pool: what it is made of. jobs.c is the life of jobs, pool.c what can be asked.
#ifndef MP_MANAGER_TYPES_JOBS_H
#define MP_MANAGER_TYPES_JOBS_H

#include "core/state.h"
#include "core/tasks.h"

struct mp__pool {
    struct mp__object o;
    struct mp__task_source source;
    struct mp__link turns;          // members with tasks that nobody has begun
    struct mp__link orphans;        // jobs that run, and nobody wants
    struct mp__queue joining, lost; // lost: of jobs that were dropped
    struct mp__table jobs;          // number -> job
    uint64_t last, most, timeout_ms, retries;
    uint64_t waiting, running, done, failed; // tasks
    bool closed;
    char why[256]; // of the error that was given last
};

// What a session has of a pool.
struct mp__member {
    struct mp__stake stake;
    struct mp__link jobs, line; // all; those with tasks that nobody has begun
    struct mp__link turn;
};

enum mp__job_kind { MP__JOB_ONE, MP__JOB_MANY, MP__JOB_ORDERED, MP__JOB_ANY };

struct mp__job {
    struct mp__pool *pool;
    struct mp__member *member; // NULL: nobody's
    struct mp__link in_member, in_line;
    struct mp__queue waiting;
    struct mp__job *next_dropped;
    uint64_t number;
    enum mp__job_kind kind;
    uint32_t count, begun, ended, taken; // tasks
    uint32_t first_ended, last_ended;    // of MP__JOB_ANY: the next to be taken, + 1
    size_t cost;                         // what is charged for
    struct mp__slice name;
    uint8_t *bytes; // name and arguments
    struct mp__task tasks[];
};

static inline struct mp__pool *mp__pool(struct mp__call *c)
{
    return (struct mp__pool *)c->object;
}

// That of an entry of the pool's table.
static inline struct mp__job *mp__job_of(const struct mp__entry *e)
{
    struct mp__job *j;
    memcpy(&j, e->value.small, sizeof(struct mp__job *));
    return j;
}

static inline uint32_t mp__job_hash(uint64_t number)
{
    return (uint32_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

// Begins a job: the first argument is the task's name, the second, unless it is of one task, the
// array. star: its elements are arrays of arguments. Errors: MP_ECLOSED, MP_ENOFUNC, MP_ETYPE,
// MP_EQUOTA.
int mp__job_begin(struct mp__call *c, enum mp__job_kind kind, bool star, struct mp__job **out);

// Its number is not known any more: what waits is not run, and of what runs nothing is kept.
void mp__job_drop(struct mp__job *j);

// Ends what has not ended; what runs is killed. How many there were.
uint32_t mp__job_cancel(struct mp__job *j);

// A result was taken.
void mp__job_drop_result(struct mp__job *j, struct mp__task *t);

// A job that is nobody's, and of which nothing runs, goes when the present call is done.
void mp__job_bury(struct mp__job *j);

// The next task of a pool that waits (of its source).
struct mp__task *mp__pool_next(struct mp__task_source *s);

#endif
