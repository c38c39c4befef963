// SPDX-License-Identifier: MIT
//
// Awaiting several tasks: so many of them, all of them, or one after the other as they end.
//
// Each task that is not done gets a waiter, which counts it when it ends and unparks whoever
// waits once there is enough. In between, the tasks are held.
#include "loop/coro.h"

#include <errno.h>
#include <stdlib.h>

// ---- so many ----

struct multi;

struct one {
    struct waiter waiter;
    struct multi *all;
};

// What a task that awaits several has on its stack.
struct multi {
    mp_coro *me;
    mp_coro *const *list;
    size_t n, done;
    int error; // of the first that failed
    mp_coro_when when;
    struct one *one;
};

static bool enough(const struct multi *m)
{
    return m->done == m->n || (m->when == MP_CORO_FIRST && m->done > 0) ||
           (m->when == MP_CORO_FIRST_ERROR && m->error);
}

static void count(struct multi *m, mp_coro *t)
{
    m->done++;
    if (t->result < 0 && !m->error)
        m->error = t->result;
}

static void one_done(struct waiter *w, mp_coro *t)
{
    struct multi *m = ((struct one *)w)->all;
    count(m, t);
    if (enough(m))
        mp__coro_unpark(m->me, 0);
}

static int multi_check(const struct multi *m)
{
    if (m->n && !m->list)
        return MP_EINVAL;
    for (size_t i = 0; i < m->n; i++) {
        if (!m->list[i] || m->list[i]->loop != m->me->loop)
            return MP_EINVAL;
        if (m->list[i] == m->me)
            return MP_ESTATE;
    }
    return 0;
}

// Awaits until there are enough. multi_end() after it, whatever it returns.
static int multi_await(struct multi *m, int timeout_ms)
{
    int err = multi_check(m);
    if (err)
        return err;
    for (size_t i = 0; i < m->n; i++)
        if (m->list[i]->done)
            count(m, m->list[i]);
    if (enough(m))
        return 0;
    m->one = calloc(m->n, sizeof *m->one);
    if (!m->one)
        return -ENOMEM;
    for (size_t i = 0; i < m->n; i++) {
        m->one[i] = (struct one){.waiter.tell = one_done, .all = m};
        mp_coro_share(m->list[i]);
        if (!m->list[i]->done)
            mp__waiter_add(&m->one[i].waiter, m->list[i]);
    }
    return mp__coro_park(m->me, timeout_ms);
}

static void multi_end(struct multi *m)
{
    for (size_t i = 0; m->one && i < m->n; i++) {
        mp__waiter_remove(&m->one[i].waiter);
        mp_coro_free(m->list[i]);
    }
    free(m->one);
}

int64_t mp_coro_wait(mp_coro *const *list, size_t n, mp_coro_when when, int timeout_ms)
{
    int err;
    mp_coro *me = mp__coro_may_await(timeout_ms, &err);
    if (err)
        return err;
    if (when > MP_CORO_FIRST_ERROR)
        return MP_EINVAL;
    struct multi m = {.me = me, .list = list, .n = n, .when = when};
    err = multi_await(&m, timeout_ms);
    multi_end(&m);
    return err < 0 && err != MP_ETIMEDOUT ? err : (int64_t)m.done;
}

// Cancels all and waits until they have ended, or the task is cancelled again.
static void cancel_list(mp_coro *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mp_coro_cancel(list[i]);
    if (mp_coro_wait(list, n, MP_CORO_ALL, MP_FOREVER) < 0)
        return;
}

int mp_coro_gather(mp_coro *const *list, size_t n)
{
    int err;
    mp_coro *me = mp__coro_may_await(MP_FOREVER, &err);
    if (err)
        return err;
    struct multi m = {.me = me, .list = list, .n = n, .when = MP_CORO_FIRST_ERROR};
    err = multi_await(&m, MP_FOREVER);
    multi_end(&m);
    if (err == MP_ECANCELED)
        cancel_list(list, n);
    return err ? err : m.error;
}

// ---- one after the other ----

struct part {
    struct waiter waiter;
    mp_coro_completed *all;
    struct part *next; // of those that are done and were not told
};

struct mp_coro_completed {
    mp_coro *waiting; // who is in mp_coro_completed_next()
    size_t n, told;
    struct part *first, **last;
    mp_coro **list; // held; behind the parts
    struct part part[];
};

static void part_done(struct waiter *w, mp_coro *t)
{
    struct part *p = (struct part *)w;
    mp_coro_completed *it = p->all;
    (void)t;
    p->next = NULL;
    *it->last = p;
    it->last = &p->next;
    if (it->waiting)
        mp__coro_unpark(it->waiting, 0);
}

int mp_coro_as_completed(mp_coro_completed **out, mp_coro *const *list, size_t n)
{
    int err;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    mp_coro *me = mp__coro_may_await(MP_FOREVER, &err);
    if (err)
        return err;
    err = multi_check(&(struct multi){.me = me, .list = list, .n = n});
    if (err)
        return err;
    mp_coro_completed *it = calloc(1, sizeof *it + n * (sizeof *it->part + sizeof(mp_coro *)));
    if (!it)
        return -ENOMEM;
    it->n = n;
    it->last = &it->first;
    it->list = (mp_coro **)&it->part[n];
    for (size_t i = 0; i < n; i++) {
        it->part[i] = (struct part){.waiter.tell = part_done, .all = it};
        it->list[i] = mp_coro_share(list[i]);
        if (list[i]->done)
            part_done(&it->part[i].waiter, list[i]);
        else
            mp__waiter_add(&it->part[i].waiter, list[i]);
    }
    *out = it;
    return 0;
}

int64_t mp_coro_completed_next(mp_coro_completed *it, mp_coro **t, int timeout_ms)
{
    int err;
    mp_coro *me = mp__coro_may_await(timeout_ms, &err);
    if (!me)
        return err;
    if (!it || (it->n && it->list[0]->loop != me->loop))
        return MP_EINVAL;
    if (it->waiting)
        return MP_ESTATE;
    if (it->told == it->n)
        return MP_EOF;
    while (!it->first) {
        it->waiting = me;
        err = mp__coro_park(me, timeout_ms);
        it->waiting = NULL;
        if (err)
            return err;
    }
    struct part *p = it->first;
    it->first = p->next;
    if (!p->next)
        it->last = &it->first;
    it->told++;
    if (t)
        *t = it->list[p - it->part];
    return p - it->part;
}

void mp_coro_completed_free(mp_coro_completed *it)
{
    if (!it)
        return;
    for (size_t i = 0; i < it->n; i++) {
        mp__waiter_remove(&it->part[i].waiter);
        mp_coro_free(it->list[i]);
    }
    free(it);
}
