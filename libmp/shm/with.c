// SPDX-License-Identifier: MIT
//
// The scoped form. What it must not do is to swallow the death of an owner: the block cannot
// be told, so it does not run, and the lock goes back torn, as it came.
#include "shm/condition.h"
#include "shm/lock.h"

#include <mp/with.h>

static _Thread_local int last_error;

static struct mp_lock *lock_in(mp_with_kind kind, void *object)
{
    switch (kind) {
    case MP_WITH_LOCK:
        return mp__object_is(object, MP__LOCK) ? object : NULL;
    case MP_WITH_RLOCK:
        return mp__object_is(object, MP__RLOCK) ? object : NULL;
    case MP_WITH_CONDITION:
        return mp__condition_lock(object);
    case MP_WITH_SEMAPHORE:
        break;
    }
    return NULL;
}

static int acquire(struct mp_lock *l)
{
    if (!l)
        return MP_EINVAL;
    int r = mp__lock_enter(l, MP_FOREVER);
    if (r == MP_EOWNERDEAD)
        mp__lock_give_back(l);
    return r;
}

mp_with mp_with_begin(mp_with_kind kind, void *object)
{
    mp_with w = {.object = object, .kind = kind, .runs = true};
    if (kind == MP_WITH_SEMAPHORE) {
        last_error = mp_semaphore_acquire(object, MP_FOREVER);
    } else {
        w.object = lock_in(kind, object);
        last_error = acquire(w.object);
    }
    w.held = last_error == 0;
    return w;
}

void mp_with_end(mp_with *w)
{
    if (!w || !w->held)
        return;
    if (w->kind == MP_WITH_SEMAPHORE)
        mp_semaphore_release(w->object);
    else
        mp__lock_leave(w->object);
}

int mp_with_error(void)
{
    return last_error;
}
