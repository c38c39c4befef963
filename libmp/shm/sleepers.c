// SPDX-License-Identifier: MIT
#include "shm/sleepers.h"
#include "os/futex.h"
#include "os/point.h"
#include "os/spin.h"

#include <errno.h>

#define COUNT_BITS 24
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)
#define TICK_BITS  20 // 2^20 ns, about a millisecond

static uint64_t tick(int64_t ns)
{
    return (uint64_t)ns >> TICK_BITS;
}

static void enter(struct mp__sleepers *s, int64_t until)
{
    uint64_t now = atomic_load(&s->counted), next, mine = tick(until) + 1;
    do {
        uint64_t latest = now >> COUNT_BITS;
        next = (mine > latest ? mine : latest) << COUNT_BITS | ((now & COUNT_MASK) + 1);
    } while (!atomic_compare_exchange_weak(&s->counted, &now, next));
}

static void leave(struct mp__sleepers *s)
{
    uint64_t now = atomic_load(&s->counted), next;
    do {
        uint64_t count = now & COUNT_MASK;
        if (count == 0)
            return;
        next = count == 1 ? 0 : now - 1;
    } while (!atomic_compare_exchange_weak(&s->counted, &now, next));
}

struct look {
    _Atomic uint32_t *word;
    uint32_t seen;
};

static bool changed(void *arg)
{
    struct look *l = arg;
    return atomic_load_explicit(l->word, memory_order_acquire) != l->seen;
}

int mp__sleepers_wait(struct mp__sleepers *s, _Atomic uint32_t *word, uint32_t seen, mp__deadline d)
{
    static _Thread_local struct mp__spin spin;
    if (d == 0)
        return MP_ETIMEDOUT;
    mp__spin_init();
    if (mp__spin_until(&spin, changed, &(struct look){word, seen}))
        return 0;
    mp__deadline look = mp__now() + MP__LOOK_NS, until = look < d ? look : d;
    enter(s, until);
    MP__POINT("sleepers.entered");
    int r = mp__futex_wait(word, seen, until);
    MP__POINT("sleepers.woken");
    leave(s);
    return r == MP_ETIMEDOUT && until < d ? 0 : r;
}

bool mp__sleepers_any_slow(struct mp__sleepers *s)
{
    uint64_t counted = atomic_load(&s->counted);
    if (counted == 0 || tick(mp__now()) <= counted >> COUNT_BITS)
        return counted != 0;
    return !atomic_compare_exchange_strong(&s->counted, &counted, 0) && counted != 0;
}

void mp__sleepers_wake_slow(_Atomic uint32_t *word, int n)
{
    int saved = errno; // a signal handler may be who wakes
    mp__futex_wake(word, n);
    errno = saved;
}
