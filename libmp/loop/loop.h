// SPDX-License-Identifier: MIT
//
// The inside of a loop, shared by the files of this folder. A round of the loop:
//
//   inbox    what other threads asked for                        inbox.c
//   ready    the calls and steps of tasks that were there when   ready.c
//            the round began
//   timers   those that are due                                  timers.c
//   look     at the kernel: descriptors and signals              watch.c
//
// libuv is only for the last of them. Asking the kernel costs as much as thirty calls, so
// while calls are waiting it is asked every LOOK_EVERY_NS only.
#ifndef MP_LOOP_LOOP_H
#define MP_LOOP_LOOP_H

#include <mp/loop.h>

#include "loop/inbox.h"
#include "loop/ready.h"
#include "loop/stack.h"
#include "loop/switch.h"
#include "loop/timers.h"

#include <stdatomic.h>
#include <uv.h>

struct mp_coro;
struct debug;
struct source_watch;
struct wrapped;

struct mp_loop {
    uv_loop_t uv;
    uv_poll_t poll;   // watches epfd
    uv_timer_t alarm; // the earliest of `timers`
    int epfd;
    size_t active; // descriptors, children and signals that are waited for
    mp_watch *watches, *closed_watches;

    const uint8_t *alive; // a page of its own: 1, and 0 in forked children
    bool closed;
    atomic_bool running, stopped;
    struct mp_coro *until; // the run ends when it is done

    struct ready ready;
    struct timers timers;
    struct inbox *inbox;
    int64_t looked; // when the kernel was asked last
    struct debug *debug;

    struct mp_coro *task;  // the one that runs now
    struct mp_coro *tasks; // all that have begun and not ended
    uint64_t numbered;
    struct wrapped *wrapped;      // futures that are waited for
    struct source_watch *sources; // theirs
    struct context home;          // what runs the loop
    struct stacks stacks;
};

// The loop that runs in this thread. It may be the parent's, in a forked child.
extern _Thread_local mp_loop *mp__loop_here __attribute__((tls_model("initial-exec")));

// May this thread use the loop now?
static inline int mp__loop_check(const mp_loop *loop)
{
    if (!loop)
        return MP_EINVAL;
    if (!*loop->alive)
        return MP_EOWNER;
    if (loop->closed)
        return MP_ECLOSED;
    if (atomic_load_explicit(&loop->running, memory_order_relaxed) && mp__loop_here != loop)
        return MP_ESTATE;
    return 0;
}

// Around each callback: tells the debugger, if there is one, what runs. `what` is a
// function, or NULL for the step of `task`.
void mp__debug_begin(struct debug *d, void *what, const char *task);
void mp__debug_end(struct debug *d);
void mp__debug_free(mp_loop *loop);

static inline void mp__loop_call(mp_loop *loop, mp_loop_call_fn *fn, void *arg)
{
    if (__builtin_expect(loop->debug != NULL, 0))
        mp__debug_begin(loop->debug, (void *)fn, NULL);
    fn(arg);
    if (__builtin_expect(loop->debug != NULL, 0))
        mp__debug_end(loop->debug);
}

// The kernel's side: sets it up; waits up to wait_ns (MP__NEVER) and tells what happened;
// frees watchers closed meanwhile; closes it all.
int mp__watch_open(mp_loop *loop);
void mp__watch_look(mp_loop *loop, int64_t wait_ns);
void mp__watch_free_closed(mp_loop *loop);
void mp__watch_shut(mp_loop *loop);

// Forgets the tasks that are left, with what they hold.
void mp__coro_drop_all(mp_loop *loop);
void mp__future_drop_all(mp_loop *loop);

#endif
