// SPDX-License-Identifier: MIT
//
// Where futures come from that no thread of this process completes (see <mp/future.h>).
//
// A source ends while others may be about to call it, or asleep on its descriptor. So each
// enters before and leaves after; the end closes the door, and waits for the last one to
// leave. The door and the number inside are one word. Nobody stays long: the futures are
// done by then, and that rings whoever waits for them. The memory is counted, because futures
// and iterators may outlive the source.
#include "os/futex.h"
#include "work/future.h"

#include <limits.h>
#include <stdlib.h>

#define CLOSED 0x80000000u

struct mp_future_source {
    _Atomic uint32_t inside; // how many, and CLOSED
    atomic_uint refs;
    int fd;
    const mp_future_source_ops *ops;
    void *arg;
};

mp_future_source *mp__source_hold(mp_future_source *s)
{
    if (s)
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void mp__source_drop(mp_future_source *s)
{
    if (s && atomic_fetch_sub(&s->refs, 1) == 1)
        free(s);
}

bool mp__source_enter(mp_future_source *s)
{
    uint32_t seen = atomic_load(&s->inside);
    do
        if (seen & CLOSED)
            return false;
    while (!atomic_compare_exchange_weak(&s->inside, &seen, seen + 1));
    return true;
}

void mp__source_leave(mp_future_source *s)
{
    if (atomic_fetch_sub(&s->inside, 1) == (CLOSED | 1))
        mp__futex_wake(&s->inside, INT_MAX);
}

void mp__source_progress(mp_future_source *s, bool arm)
{
    s->ops->progress(s->arg, arm);
}

int mp__source_cancel(mp_future_source *s, mp_future *f)
{
    return s->ops->cancel ? s->ops->cancel(s->arg, f) : 0;
}

int mp_future_source_new(mp_future_source **out, int fd, const mp_future_source_ops *ops, void *arg)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    if (!ops || !ops->progress || fd < -1)
        return MP_EINVAL;
    struct mp_future_source *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->refs = 1;
    s->fd = fd;
    s->ops = ops;
    s->arg = arg;
    *out = s;
    return 0;
}

void mp_future_source_free(mp_future_source *s)
{
    if (!s)
        return;
    uint32_t seen = atomic_fetch_or(&s->inside, CLOSED) | CLOSED;
    while (seen != CLOSED) {
        mp__futex_wait(&s->inside, seen, MP__NEVER);
        seen = atomic_load(&s->inside);
    }
    mp__source_drop(s);
}

int mp_future_source_fd(mp_future_source *s)
{
    return s ? s->fd : -1;
}

void mp_future_source_progress(mp_future_source *s, bool arm)
{
    if (!s || !mp__source_enter(s))
        return;
    mp__source_progress(s, arm);
    mp__source_leave(s);
}
