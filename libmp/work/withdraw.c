// SPDX-License-Identifier: MIT
//
// Taking tasks back: those that wait for a worker or for another run are withdrawn, and who did
// that finishes them; those that run are marked, and the supervisor ends their workers.
#include "os/fork.h"
#include "work/future.h"
#include "work/records.h"

static bool unlist_waiting(mp_pool *p, uint32_t i)
{
    for (uint32_t *at = &p->tasks.waiting; *at; at = &mp__tasks_record(p, *at - 1)->next) {
        if (*at == i + 1) {
            *at = mp__tasks_record(p, i)->next;
            return true;
        }
    }
    return false;
}

// Takes the task back if no worker has it: nobody else finishes it then. Locked.
static bool withdraw_locked(mp_pool *p, uint32_t i)
{
    struct mp__record *r = mp__tasks_record(p, i);
    if (r->finishing || !(unlist_waiting(p, i) || mp__board_withdraw(mp__tasks_board(p), i)))
        return false;
    r->finishing = true;
    return true;
}

void mp__tasks_withdraw_all(mp_pool *p)
{
    const struct mp__outcome canceled = {.error = MP_ECANCELED};
    uint32_t top = atomic_load(&p->tasks.top);
    for (uint32_t i = 0; i < top; i++) {
        pthread_mutex_lock(&p->tasks.lock);
        mp_future *f = mp__tasks_record(p, i)->used ? mp__tasks_record(p, i)->future : NULL;
        bool back = mp__tasks_record(p, i)->used && withdraw_locked(p, i);
        pthread_mutex_unlock(&p->tasks.lock);
        if (back && f) {
            mp__record_release(p, i);
            (void)mp__future_withdrawn(f);
            mp_future_free(f); // the pool's reference
        } else if (back) {
            mp__tasks_finish(p, i, &canceled);
        }
    }
}

void mp__tasks_drop(mp_pool *p)
{
    mp__tasks_progress(p, false);
    mp__tasks_withdraw_all(p);
}

// The task of a future: its slot, or MP_ENOTFOUND. Locked.
static int64_t find_locked(mp_pool *p, const mp_future *f)
{
    uint32_t top = atomic_load(&p->tasks.top);
    for (uint32_t i = 0; i < top; i++)
        if (mp__tasks_record(p, i)->used && mp__tasks_record(p, i)->future == f)
            return i;
    return MP_ENOTFOUND;
}

int mp__tasks_cancel(void *arg, mp_future *f)
{
    mp_pool *p = arg;
    pthread_mutex_lock(&p->tasks.lock);
    int64_t i = find_locked(p, f);
    bool back = i >= 0 && withdraw_locked(p, (uint32_t)i);
    if (i >= 0 && !back)
        mp__tasks_mark_running(f);
    pthread_mutex_unlock(&p->tasks.lock);
    if (!back)
        return MP_ESTATE;
    mp__record_release(p, (uint32_t)i);
    mp_future_free(f); // the pool's reference; the caller has one
    return 0;
}

bool mp__tasks_withdraw(mp_pool *p, const void *owner)
{
    uint32_t top = atomic_load(&p->tasks.top), i = 0;
    pthread_mutex_lock(&p->tasks.lock);
    while (i < top && !(mp__tasks_record(p, i)->used && mp__tasks_record(p, i)->owner == owner))
        i++;
    bool back = i < top && withdraw_locked(p, i);
    pthread_mutex_unlock(&p->tasks.lock);
    if (back)
        mp__record_release(p, i);
    return back;
}

int mp_pool_cancel(mp_pool *p, mp_future *f)
{
    if (!p || !f)
        return MP_EINVAL;
    if (!mp__fork_is_mine(p->owner))
        return MP_EOWNER;
    struct mp__tasks *t = &p->tasks;
    mp__tasks_progress(p, false);
    pthread_mutex_lock(&t->lock);
    int64_t i = find_locked(p, f);
    bool back = i >= 0 && withdraw_locked(p, (uint32_t)i);
    if (i >= 0 && !back) {
        struct mp__task_slot *s = mp__tasks_slot(p, (uint32_t)i);
        uint32_t seen = atomic_load(&s->state);
        mp__tasks_record(p, (uint32_t)i)->unwanted = true;
        if (mp__task_state(seen) == MP__TASK_RUNNING)
            atomic_compare_exchange_strong(&s->state, &seen,
                                           mp__task_word(MP__TASK_UNWANTED, seen >> 8));
    }
    pthread_mutex_unlock(&t->lock);
    if (i < 0 && mp_future_done(f))
        return mp_future_error(f, 0) == MP_ECANCELED ? 0 : MP_ESTATE;
    if (i < 0)
        return MP_ENOTFOUND;
    if (back)
        mp__tasks_finish(p, (uint32_t)i, &(struct mp__outcome){.error = MP_ECANCELED});
    else
        mp__pool_wake_supervisor(p);
    return 0;
}
