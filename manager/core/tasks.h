// SPDX-License-Identifier: MIT
//
// Tasks, between who has them (types/jobs.c) and who runs them: sessions that called serve_tasks.
// The core runs nothing; what a task gave comes as a call, task_done, like everything else.
#ifndef MP_MANAGER_TASKS_H
#define MP_MANAGER_TASKS_H

#include "core/type.h"

struct mp__job;
struct mp__workers;

enum mp__task_state { MP__TASK_WAITS, MP__TASK_RUNS, MP__TASK_ENDED };

struct mp__task {
    struct mp__job *job;
    struct mp__workers *workers; // that have it, while it runs
    uint64_t ticket;             // by which they know it
    enum mp__task_state state;
    int status;
    uint32_t args, args_size; // in the job's
    uint32_t next;            // that ended after it, + 1
    struct mp__value result;  // packed; of an error its text
};

// Somebody's tasks that nobody has begun, in the core's ring of those as long as there are some.
struct mp__task_source {
    struct mp__link ready;
    // The next one, which runs from now on, or NULL; the source enters the ring again by itself.
    struct mp__task *(*next)(struct mp__task_source *s);
};

// What a task is, for those who run it. (types/jobs.c)
struct mp__task_what {
    struct mp__slice name, args;
    uint64_t timeout_ms, retries;
};
struct mp__task_what mp__task_what(const struct mp__task *t);

// A task has ended, however: result is one packed value, or a text. (types/jobs.c)
void mp__task_ended(struct mp__task *t, int status, struct mp__slice result);

// It shall end now; its end is told as any other.
void mp__task_kill(struct mp__task *t);
// The same, and what comes of it is nobody's any more.
void mp__task_leave(struct mp__task *t);

// Whether there is somebody, or will be, who runs tasks; and those of that name.
bool mp__tasks_served(const struct mp__core *c);
bool mp__task_known(const struct mp__core *c, struct mp__slice name);
void mp__task_names_put(const struct mp__core *c, mp_buf *b); // an array

// A source has tasks: it comes to its turn.
void mp__source_ready(struct mp__core *c, struct mp__task_source *s);

#endif
