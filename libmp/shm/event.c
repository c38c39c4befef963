// SPDX-License-Identifier: MIT
//
// An event is a number: odd while the flag is up. So who waited for an even one and finds
// another, whatever it is, knows that the flag was up, and a flag that is taken down at
// once is missed by nobody. It changes in one store, without a lock: a signal handler may
// do that, whatever it interrupted.
#include "os/futex.h"
#include "os/point.h"
#include "shm/object.h"
#include "shm/sleepers.h"

#include <mp/event.h>

#define VERSION 1

struct mp_event {
    struct mp__object object;
    _Atomic uint32_t flag; // odd: up
    struct mp__sleepers asleep;
};

int mp_event_new(mp_event **out, const mp_event_opts *opts)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    const mp_event_opts o = opts ? *opts : (mp_event_opts){0};
    void *e;
    int r = mp__object_new(&e, o.arena, o.name, 0, MP__EVENT, VERSION, sizeof(mp_event));
    if (r < 0)
        return r;
    r = mp__object_publish(e);
    if (r < 0)
        mp__object_free(e, true);
    else
        *out = e;
    return r;
}

int mp_event_attach(mp_event **out, const char *name)
{
    if (!out)
        return MP_EINVAL;
    void *e = NULL;
    int r = mp__object_attach(&e, name, MP__EVENT, VERSION, sizeof(mp_event));
    *out = r < 0 ? NULL : e;
    return r;
}

// Makes the flag's number odd or even. True if it changed.
static bool turn(mp_event *e, uint32_t up)
{
    uint32_t flag = atomic_load(&e->flag);
    while (flag % 2 != up)
        if (atomic_compare_exchange_weak(&e->flag, &flag, flag + 1))
            return true;
    return false;
}

int mp_event_set(mp_event *e)
{
    if (!mp__object_is(e, MP__EVENT))
        return MP_EINVAL;
    turn(e, 1);
    MP__POINT("event.set");
    // Also when it was up: who raised it may have been killed here.
    mp__sleepers_wake(&e->asleep, &e->flag, INT_MAX);
    return 0;
}

int mp_event_clear(mp_event *e)
{
    if (!mp__object_is(e, MP__EVENT))
        return MP_EINVAL;
    turn(e, 0);
    MP__POINT("event.cleared");
    return 0;
}

bool mp_event_is_set(const mp_event *e)
{
    return mp__object_is(e, MP__EVENT) && atomic_load(&e->flag) % 2;
}

int mp_event_wait(mp_event *e, int timeout_ms)
{
    if (!mp__object_is(e, MP__EVENT) || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    uint32_t flag = atomic_load(&e->flag);
    if (flag % 2)
        return 0;
    mp__deadline d = mp__deadline_in(timeout_ms);
    int r = 0;
    while (r == 0 && atomic_load(&e->flag) == flag)
        r = mp__object_gone(e) ? MP_ECLOSED : mp__sleepers_wait(&e->asleep, &e->flag, flag, d);
    return atomic_load(&e->flag) != flag ? 0 : r;
}

void mp_event_free(mp_event *e)
{
    if (mp__object_is(e, MP__EVENT))
        mp__object_free(e, !mp__sleepers_any(&e->asleep));
}
