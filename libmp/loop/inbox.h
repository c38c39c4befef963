// SPDX-License-Identifier: MIT
//
// What other threads leave for a loop: a list that anybody pushes to with one
// compare-and-swap and that the loop takes whole. No lock, so a thread that is preempted
// keeps nobody waiting, and a signal handler may ring.
//
// The descriptor that wakes the loop is written only while the loop is asleep, or about
// to be: it raises `asleep`, then looks at the list once more; who pushes, pushes, then
// looks at `asleep`. With a fence between each pair one of the two sees the other.
//
// The inbox outlives its loop as long as somebody holds it, so a thread that comes too late
// finds it closed instead of freed.
#ifndef MP_LOOP_INBOX_H
#define MP_LOOP_INBOX_H

#include <mp/base.h>
#include <stdatomic.h>

// A message; part of something larger. run is called in the loop's thread, or with dropped
// in whichever thread closes the inbox.
struct note {
    struct note *next;
    void (*run)(struct note *n, bool dropped);
};

struct inbox {
    _Atomic(struct note *) head; // newest first
    atomic_bool asleep;
    atomic_uint holders;
    int bell; // an eventfd
};

// Makes one, held once. NULL: errno tells why.
struct inbox *mp__inbox_new(void);
struct inbox *mp__inbox_hold(struct inbox *box);
void mp__inbox_drop(struct inbox *box);

// Leaves a note, from any thread. MP_ECLOSED: it was not taken.
int mp__inbox_push(struct inbox *box, struct note *n);

// Wakes the loop if it sleeps. From any thread, and from signal handlers.
void mp__inbox_ring(struct inbox *box);

bool mp__inbox_is_closed(const struct inbox *box);
bool mp__inbox_is_empty(const struct inbox *box);

// For the loop: runs the notes that are there, the oldest first; tells that it goes to
// sleep, or is awake again; drops what is there and lets nothing in any more.
void mp__inbox_run(struct inbox *box);
void mp__inbox_doze(struct inbox *box, bool asleep);
void mp__inbox_close(struct inbox *box);

#endif
