// SPDX-License-Identifier: MIT
//
// The board: single tasks on their way from the caller to the workers and back, in the
// pool's shared memory. A task is a slot, and its state is one word:
//
//   FREE      the caller's
//   READY     on the heap, to be taken; or an ERRAND, to be taken by one certain worker
//   RUNNING   taken by the worker in `place`
//   DOOMED    that, and the supervisor shall kill the worker: out of time, or cancelled
//   ENDED     the caller's again, with how it ended beside it
//
// The worker takes a task by one compare-and-swap that also says who has it. So there is no
// instant at which a dead worker's task is unknown: the supervisor finds it by the word
// `task` in the worker's own place, written before, and held against the state. And a worker
// that is being killed because its task is out of time cannot have gone on to another one:
// it finds the task doomed when it wants to end it, and waits for its end.
//
// READY is entered and left under a robust lock, with the heap: the lowest priority number
// first, then first in, first out. The states are the truth; who finds the lock's owner dead
// builds the heap anew from them.
//
// News for the caller are bits: one set of those that began, one of those that ended. A
// worker that dies between ENDED and its bit is made up for by the supervisor.
#ifndef MP_WORK_BOARD_H
#define MP_WORK_BOARD_H

#include "shm/mutex.h"

#include <limits.h>
#include <mp/task.h>
#include <stdatomic.h>

#define MP__BOARD_SLOTS  16384
#define MP__BOARD_PLACES 1024 // of workers
#define MP__BOARD_INLINE 96   // bytes of an argument or a result that need no block

enum mp__task_state {
    MP__TASK_FREE,
    MP__TASK_READY,
    MP__TASK_RUNNING,
    MP__TASK_LATE,     // doomed: out of time
    MP__TASK_UNWANTED, // doomed: cancelled
    MP__TASK_ENDED,
    MP__TASK_ERRAND, // ready, for one certain worker: not on the heap
};

// How it ended.
enum mp__task_end {
    MP__END_RETURNED,
    MP__END_DIED,
    MP__END_LATE,
    MP__END_UNWANTED,
    MP__END_WILD, // it wrote over its own state
};

// Bytes in the slot, or in a block of the pool's arena.
struct mp__bytes {
    void *block; // NULL: inside
    size_t size;
    _Alignas(16) char inside[MP__BOARD_INLINE];
};

struct mp__task_slot {
    _Alignas(128) _Atomic uint32_t state; // enum mp__task_state | place << 8
    int32_t priority;
    uint64_t sequence;
    mp_task_fn *fn;
    void *ctx;
    int32_t timeout_ms;       // 0: none
    bool watched;             // the caller wants to know when it begins
    _Atomic int64_t deadline; // of the present run; 0: none
    // Set by the worker, or by the supervisor if that died.
    int32_t end, status; // enum mp__task_end; what it returned
    int32_t pid, code;   // exit code, or -signal, of a dead worker
    uint32_t mortem;     // its number: see mortem.h
    int64_t ns;          // that it ran
    _Atomic uint64_t at; // as of mp_task_at()
    uint64_t number;     // as of mp_task_number()
    struct mp__bytes arg, result;
};

// Who is dead.
struct mp__grave {
    int32_t pid, code;
    uint32_t mortem;
};

struct mp__board_entry {
    int32_t priority;
    uint32_t slot;
    uint64_t sequence;
};

struct mp__board {
    _Alignas(128) struct mp__mutex lock; // guards n and the heap, and who is READY
    uint32_t n;
    _Alignas(128) _Atomic uint32_t ready; // n, for those who only look
    _Atomic uint32_t top;                 // slots that were ever used; set by the caller
    _Atomic uint32_t tick_ms;             // the supervisor looks at deadlines so often; 0: none
    _Alignas(128) _Atomic uint32_t news;  // futex: changes when a task ended
    _Atomic uint32_t sleepers;            // threads of the caller that sleep on it
    _Atomic uint32_t armed;               // number of a wish to have the eventfd rung; 0: none
    _Atomic uint64_t begun[MP__BOARD_SLOTS / 64], ended[MP__BOARD_SLOTS / 64];
    // Two arrays of MP__BOARD_SLOTS, committed as they are needed.
    struct mp__task_slot *slot;
    struct mp__board_entry *heap;
    int bell; // eventfd, the same number in all processes of the pool
};

// 0 or -errno.
int mp__board_init(struct mp__board *b, struct mp__task_slot *slot, struct mp__board_entry *heap,
                   int bell);

static inline uint32_t mp__task_word(enum mp__task_state state, uint32_t place)
{
    return (uint32_t)state | place << 8;
}
static inline enum mp__task_state mp__task_state(uint32_t word)
{
    return (enum mp__task_state)(word & 0xff);
}

// ---- the caller ----

// A task that is the caller's becomes READY.
void mp__board_post(struct mp__board *b, uint32_t slot);

// Takes one back that nobody has begun: it is FREE then. False if it is not READY.
bool mp__board_withdraw(struct mp__board *b, uint32_t slot);

// ---- a worker ----

// Takes the first task: *held says which (slot + 1) before it is taken. NULL: there is none.
struct mp__task_slot *mp__board_take(struct mp__board *b, uint32_t place, _Atomic uint32_t *held);

// Takes the one that is for this worker alone, told by *errand (slot + 1). NULL: not any more.
struct mp__task_slot *mp__board_take_errand(struct mp__board *b, uint32_t place,
                                            _Atomic uint32_t *errand, _Atomic uint32_t *held);

// The present task has ended. False: it is doomed, or wrote over its state.
bool mp__board_end(struct mp__board *b, uint32_t place, _Atomic uint32_t *held);

// Whether it is doomed.
bool mp__board_is_doomed(const struct mp__board *b, uint32_t place, uint32_t held);

// ---- the supervisor ----

// Whether the worker in `place` shall be killed because of the task that it holds.
bool mp__board_dooms(struct mp__board *b, uint32_t place, uint32_t held, int64_t now);

// The worker in `place` is dead, with that in its hands. An errand that it had taken is no
// longer one.
void mp__board_bury(struct mp__board *b, uint32_t place, _Atomic uint32_t *errand, uint32_t held,
                    const struct mp__grave *grave);

// Tells the caller that there is news.
void mp__board_ring(struct mp__board *b);

#endif
