// SPDX-License-Identifier: MIT
//
// Who is alive? The kernel tells the next owner of a robust mutex that the last one died,
// but nobody that a waiter, a reader or the holder of a semaphore's unit did. So each
// process that others depend on holds a life in the arena: a place, and a lock that the
// kernel drops when the process ends. Others look at it, and see when its owner is gone.
//
// A life belongs to the process, not to a thread. A process can lose the lock while it
// lives (shm/life.c); so death is believed only when the process itself (pid and start
// time) is gone, too. A process that drops the arena gives its life back: it counts as dead.
//
// Lives are numbered; a place that a dead process had gets a new number for its next
// owner, so a number never comes to mean another process.
#ifndef MP_SHM_LIFE_H
#define MP_SHM_LIFE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// place << 32 | number; 0 is nobody.
typedef uint64_t mp__life;

#define MP__LIFE_PLACES 65536 // processes that can take part in an arena at a time

static inline uint32_t mp__life_place(mp__life life)
{
    return (uint32_t)(life >> 32);
}
static inline uint32_t mp__life_number(mp__life life)
{
    return (uint32_t)life;
}

// This process's life in the arena of obj (any object in it); taken at the first call,
// some loads from then on. After a fork the child has one of its own. 0 or an error:
// -ENOMEM, -EAGAIN (all places are taken).
int mp__life_mine(void *obj, mp__life *life);

// Whether that process is known to be dead. Some loads if the life is one's own or the place
// has another number; half a microsecond while its lock is held; else a look at /proc. False for a
// process that just ends: look again (MP__LOOK_NS). True for a number that its place has no more.
bool mp__life_over(void *obj, mp__life life);

#endif
