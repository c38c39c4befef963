// SPDX-License-Identifier: MIT
//
// Locks, events, semaphores, conditions, barriers and queues between the tasks of one loop. While
// one task waits, the others go on. Part of libmploop.
//
//  1. put one where all tasks see it; zeroed, it is ready (a semaphore with its value,
//     a barrier with its parties): `mp_async_lock lock = {0};`,
//     `mp_async_semaphore two = {.value = 2};`. A queue is made by mp_async_queue_new();
//  2. use it from tasks; what does not wait, from callbacks too;
//  3. there is nothing to free but the queue. Nobody waits in it any more then.
//
// Whoever has waited longest is next. They belong to one loop and one thread and know nothing
// of processes: for those are mp/semaphore.h, mp/event.h and mp/queue.h.
//
// Errors that every function which waits may give, beside its own: MP_EINVAL, MP_ESTATE (not in
// a task), MP_EOWNER (a forked child), MP_ETIMEDOUT, MP_ECANCELED (the task was cancelled; what
// it waited for it does not have). Timeouts are in milliseconds, 0 does not wait.
#ifndef MP_ASYNC_H
#define MP_ASYNC_H

#include <mp/base.h>
#include <mp/coro.h>
#include <mp/error.h>

#ifdef __cplusplus
extern "C" {
#endif

// Who waits, the one that has waited longest first, and how many. Inside the others.
struct mp__line;
typedef struct mp_async_line {
    struct mp__line *mp__first, *mp__last;
    size_t mp__n;
} mp_async_line;

// ---- lock ----

typedef struct mp_async_lock {
    mp_coro *mp__holder;
    mp_async_line mp__line;
} mp_async_lock;

// Waits until the lock is this task's. Errors: MP_EHELD (it is already). Since 0.1.
MP_API MP_NODISCARD int mp_async_lock_acquire(mp_async_lock *l, int timeout_ms);

// Gives it to the next one. Errors: MP_ENOTHELD, MP_EINVAL. Since 0.1.
MP_API int mp_async_lock_release(mp_async_lock *l);

// ---- event ----

typedef struct mp_async_event {
    bool mp__up;
    mp_async_line mp__line;
} mp_async_event;

// Waits until the flag is up; one that goes up and down again counts as well. Since 0.1.
MP_API MP_NODISCARD int mp_async_event_wait(mp_async_event *e, int timeout_ms);

// Raises the flag, takes it down, tells whether it is up. Errors: MP_EINVAL. Since 0.1.
MP_API int mp_async_event_set(mp_async_event *e);
MP_API int mp_async_event_clear(mp_async_event *e);
MP_API bool mp_async_event_is_set(const mp_async_event *e);

// ---- semaphore ----

typedef struct mp_async_semaphore {
    size_t value; // units that are free: set it at first
    mp_async_line mp__line;
} mp_async_semaphore;

// Takes a unit. Since 0.1.
MP_API MP_NODISCARD int mp_async_semaphore_acquire(mp_async_semaphore *s, int timeout_ms);

// Gives one back, whoever took it. Errors: MP_EINVAL, MP_EOVERFLOW. Since 0.1.
MP_API int mp_async_semaphore_release(mp_async_semaphore *s);

// ---- condition ----

typedef struct mp_async_condition {
    mp_async_line mp__line;
} mp_async_condition;

// Releases the lock, waits to be notified, and acquires it again, whatever happens: the lock
// is this task's in any case. Errors: MP_ENOTHELD. Since 0.1.
MP_API MP_NODISCARD int mp_async_condition_wait(mp_async_condition *c, mp_async_lock *l,
                                                int timeout_ms);

// Wakes n of those who wait; all for SIZE_MAX. Returns how many. Errors: MP_EINVAL. Since 0.1.
MP_API int64_t mp_async_condition_notify(mp_async_condition *c, size_t n);

// ---- barrier ----

typedef struct mp_async_barrier {
    int parties; // how many meet: set it at first
    bool mp__broken;
    mp_async_line mp__line;
} mp_async_barrier;

// Waits until all parties are there; then they go on, and the next round begins. Returns this
// task's index in the round: 0 for the first that came, parties - 1 for the last. One that runs
// out of time or is cancelled has not come; it breaks nothing, and the others wait for another.
// Errors: MP_EBARRIER (broken, or reset meanwhile), MP_EINVAL (parties < 1). Since 0.1.
MP_API MP_NODISCARD int mp_async_barrier_wait(mp_async_barrier *b, int timeout_ms);

// Breaks the barrier: who waits, and who comes, gets MP_EBARRIER, until a reset. Errors:
// MP_EINVAL. Since 0.1.
MP_API int mp_async_barrier_abort(mp_async_barrier *b);

// Makes it empty and whole: who waits gets MP_EBARRIER. Errors: MP_EINVAL. Since 0.1.
MP_API int mp_async_barrier_reset(mp_async_barrier *b);

// How many wait now; whether it is broken. 0 and true for NULL. Since 0.1.
MP_API size_t mp_async_barrier_n_waiting(const mp_async_barrier *b);
MP_API bool mp_async_barrier_broken(const mp_async_barrier *b);

// ---- queue ----

typedef struct mp_async_queue mp_async_queue;

// Makes a queue of pointers, for max of them (0: no limit but memory). Errors: MP_EINVAL, -ENOMEM.
// Since 0.1.
MP_API MP_NODISCARD int mp_async_queue_new(mp_async_queue **out, size_t max);

// Puts an item (NULL is one), waiting while the queue is full. With timeout 0 from callbacks,
// too. Errors: MP_ECLOSED, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_async_queue_put(mp_async_queue *q, void *item, int timeout_ms);

// Takes the oldest item, waiting while there is none. With timeout 0 from callbacks, too.
// Errors: MP_EOF (closed, and nothing is left). Since 0.1.
MP_API MP_NODISCARD int mp_async_queue_get(mp_async_queue *q, void **item, int timeout_ms);

// How many items are in it. Since 0.1.
MP_API size_t mp_async_queue_size(const mp_async_queue *q);

// Says that no more comes: those who wait to put get MP_ECLOSED, those who get the rest, then
// MP_EOF. Idempotent; NULL is fine. Since 0.1.
MP_API void mp_async_queue_close(mp_async_queue *q);

// Releases the queue and forgets what is in it. NULL is fine. Since 0.1.
MP_API void mp_async_queue_free(mp_async_queue *q);

#ifdef __cplusplus
}
#endif
#endif
