// SPDX-License-Identifier: MIT
//
// The inside of a task, and how tasks stop and go on.
//
// A task that cannot go on parks: it changes to the loop's stack. Whoever has what it waits for
// unparks it with a result, which puts its next step among the ready calls. Only the first
// unpark counts (what it waited for, a timeout, or a cancel), so whoever hands something over
// looks at what unpark says: false means that the task goes elsewhere and takes nothing. And a
// task that was handed something does not lose it to a cancel that comes before it runs: that
// cancel is for its next await.
#ifndef MP_LOOP_CORO_H
#define MP_LOOP_CORO_H

#include <mp/coro.h>

#include "loop/loop.h"

// Somebody who is told, in the loop's thread and at once, that a task is done.
struct waiter {
    struct waiter *next, **link; // link NULL: told, or never in a list
    void (*tell)(struct waiter *w, mp_coro *t);
    mp_coro *task;
};

struct mp_coro {
    mp_loop *loop;
    struct inbox *inbox; // outlives the loop
    atomic_uint holders;
    bool done, seen; // seen: somebody looked at the result
    int result;
    void *value;
    struct waiter *waiters, **waiters_end;

    // A promise that another thread keeps.
    struct note note;
    atomic_bool posted;
    int posted_result;
    void *posted_value;

    // A function; NULL for promises.
    mp_coro_fn *fn;
    void *arg;
    char name[32]; // empty: made of the number when asked for
    uint64_t number;
    mp_coro *next, **link; // in loop->tasks
    struct stack *stack;
    struct context context;
    bool parked, ended;
    int unparked; // with which result
    int cancels;  // how often it was cancelled
    bool cancel_pending;
    struct mp_group *group;
    mp_coro *sibling, **sibling_link;
};

static inline mp_coro *mp__coro_here(void)
{
    return mp__loop_here && *mp__loop_here->alive ? mp__loop_here->task : NULL;
}

// Stops the present task until somebody unparks it, and returns with which result;
// MP_ETIMEDOUT when timeout_ms is over (0: at once); MP_ECANCELED.
int mp__coro_park(mp_coro *me, int timeout_ms);

// True: it goes on with this result. False: it was going on already.
bool mp__coro_unpark(mp_coro *t, int result);

// Whether the present task may await; the task, or NULL and the error.
mp_coro *mp__coro_may_await(int timeout_ms, int *err);

// Until t is done: 0, MP_ETIMEDOUT, or MP_ECANCELED.
int mp__coro_await_done(mp_coro *me, mp_coro *t, int timeout_ms);

void mp__waiter_add(struct waiter *w, mp_coro *t);
void mp__waiter_remove(struct waiter *w);

// Takes back one cancel that was not for the task itself but for a part of its work.
void mp__coro_uncancel(mp_coro *t);

// A group hears of the end of one of its tasks.
void mp__group_ended(struct mp_group *g, mp_coro *t);

// A thread begins to run a loop: gives it an alternate stack, if overflows are explained.
void mp__coro_thread_enter(void);

#endif
