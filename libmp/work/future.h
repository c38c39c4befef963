// SPDX-License-Identifier: MIT
//
// What the three files about futures know of each other: future.c (one future), source.c (who
// completes it), futures.c (waiting).
#ifndef MP_WORK_FUTURE_H
#define MP_WORK_FUTURE_H

#include <mp/future.h>

// Somebody who waits for a future. Lies in the waiter's memory, linked into the future.
struct mp__observer {
    // It is done. Called under the future's lock: it must not call back into futures.
    void (*done)(struct mp__observer *o, bool failed);
    struct mp__observer *next, **link; // link: where the list points to this one; NULL: nowhere
};

// 0, or MP_EINVAL, MP_EOWNER.
int mp__future_usable(const mp_future *f);

// Links o in, or, if f is done, calls o->done() at once.
void mp__future_observe(mp_future *f, struct mp__observer *o);

// After this, o->done() is not being called and never will be.
void mp__future_unobserve(mp_future *f, struct mp__observer *o);

// Done or not, without asking the source.
bool mp__future_is_done(const mp_future *f);

// Cancels it, if it is pending, without asking the source: who calls is the source, and has
// withdrawn the task. As mp_future_cancel().
int mp__future_withdrawn(mp_future *f);

// Takes in the source's news, if it has one.
void mp__future_look(mp_future *f);

// Sources are counted, so that one may end while futures and waiters still know it.
mp_future_source *mp__source_hold(mp_future_source *s);
void mp__source_drop(mp_future_source *s);

// Between these two the source does not end. False: it has ended.
bool mp__source_enter(mp_future_source *s);
void mp__source_leave(mp_future_source *s);

// Only for who has entered.
void mp__source_progress(mp_future_source *s, bool arm);
int mp__source_cancel(mp_future_source *s, mp_future *f);

#endif
