// SPDX-License-Identifier: MIT
//
// Awaiting: one task, a descriptor; with limits of time; groups. Several tasks: several.c.
//
// A cancel reaches what is awaited not from outside but from the task itself, which wakes up
// with MP_ECANCELED, cancels what it waited for, and waits once more: no recursion in the
// loop, however long the chain, and the clean-up below is done when the one above goes on.
#include "loop/coro.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

// ---- one ----

struct sleeper {
    struct waiter waiter;
    mp_coro *me;
};

static void wake(struct waiter *w, mp_coro *t)
{
    (void)t;
    mp__coro_unpark(((struct sleeper *)w)->me, 0);
}

int mp__coro_await_done(mp_coro *me, mp_coro *t, int timeout_ms)
{
    struct sleeper s = {.waiter.tell = wake, .me = me};
    if (t->done)
        return 0;
    mp__waiter_add(&s.waiter, t);
    int err = mp__coro_park(me, timeout_ms);
    mp__waiter_remove(&s.waiter);
    return err;
}

static mp_coro *may_await(mp_coro *t, int *err)
{
    mp_coro *me = mp__coro_may_await(MP_FOREVER, err);
    if (!me)
        return NULL;
    *err = !t || t->loop != me->loop ? MP_EINVAL : t == me ? MP_ESTATE : 0;
    return *err ? NULL : me;
}

int mp_await(mp_coro *t)
{
    int err;
    mp_coro *me = may_await(t, &err);
    if (!me)
        return err;
    mp_coro_share(t);
    err = mp__coro_await_done(me, t, MP_FOREVER);
    if (err == MP_ECANCELED) {
        mp_coro_cancel(t);
        mp__coro_await_done(me, t, MP_FOREVER); // its clean-up; a second cancel ends this, too
        t->seen = true;
    }
    if (!err)
        err = mp_coro_result(t, NULL);
    mp_coro_free(t);
    return err;
}

int mp_await_for(mp_coro *t, int timeout_ms)
{
    mp_timeout scope;
    int err;
    if (timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (!may_await(t, &err))
        return err;
    if (t->done)
        return mp_coro_result(t, NULL);
    err = mp_timeout_enter(&scope, timeout_ms);
    if (!err)
        err = mp_await(t);
    return mp_timeout_leave(&scope, err);
}

int mp_await_shielded(mp_coro *t)
{
    int err;
    mp_coro *me = may_await(t, &err);
    if (!me)
        return err;
    mp_coro_share(t);
    err = mp__coro_await_done(me, t, MP_FOREVER);
    if (!err)
        err = mp_coro_result(t, NULL);
    mp_coro_free(t);
    return err;
}

// ---- what the kernel tells ----

static void fd_ready(mp_watch *w, int events, void *arg)
{
    mp_watch_set_events(w, 0);
    mp__coro_unpark(arg, events);
}

int mp_await_fd(int fd, int events, int timeout_ms)
{
    int err, own = -1;
    mp_watch *w;
    mp_coro *me = mp__coro_may_await(timeout_ms, &err);
    if (!me)
        return err;
    if (events == 0)
        return MP_EINVAL;
    err = mp_loop_add_fd(me->loop, &w, fd, events, fd_ready, me);
    if (err == -EEXIST) { // another task waits for it: the set takes a copy as something else
        own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        err = own < 0 ? -errno : mp_loop_add_fd(me->loop, &w, own, events, fd_ready, me);
    }
    if (!err) {
        err = mp__coro_park(me, timeout_ms);
        mp_watch_close(w);
    }
    if (own >= 0)
        close(own);
    return err;
}

static int await_readable(int fd, int timeout_ms)
{
    int r = fd < 0 ? fd : mp_await_fd(fd, MP_LOOP_READ, timeout_ms);
    return r > 0 ? 0 : r;
}

int mp_await_pipe(mp_pipe *pipe, int timeout_ms)
{
    int err;
    if (!mp__coro_may_await(timeout_ms, &err))
        return err;
    return pipe ? await_readable(mp_pipe_fd(pipe), timeout_ms) : MP_EINVAL;
}

int mp_await_queue(mp_queue *queue, int timeout_ms)
{
    int err;
    if (!mp__coro_may_await(timeout_ms, &err))
        return err;
    return queue ? await_readable(mp_queue_fd(queue), timeout_ms) : MP_EINVAL;
}

int mp_await_process(mp_process *p, int *code, int timeout_ms)
{
    int err, ignored;
    if (!mp__coro_may_await(timeout_ms, &err))
        return err;
    if (!p)
        return MP_EINVAL;
    if (mp_process_exitcode(p, code ? code : &ignored) == 0)
        return 0;
    err = await_readable(mp_process_sentinel(p), timeout_ms);
    return err ? err : mp_process_exitcode(p, code ? code : &ignored);
}

// ---- limits of time ----

static void scope_over(void *arg)
{
    mp_timeout *scope = arg;
    scope->mp__over = true;
    scope->mp__call = 0;
    mp_coro_cancel(scope->mp__coro);
}

int mp_timeout_enter(mp_timeout *scope, int ms)
{
    int err;
    if (!scope)
        return MP_EINVAL;
    *scope = (mp_timeout){0};
    mp_coro *me = mp__coro_may_await(ms, &err);
    if (!me)
        return err;
    scope->mp__before = me->cancels;
    if (ms != MP_FOREVER) {
        int64_t call = mp_loop_call_later(me->loop, ms, scope_over, scope);
        if (call < 0)
            return (int)call;
        scope->mp__call = call;
    }
    scope->mp__coro = me;
    return 0;
}

int mp_timeout_leave(mp_timeout *scope, int result)
{
    if (!scope || !scope->mp__coro)
        return result;
    mp_coro *me = scope->mp__coro;
    scope->mp__coro = NULL;
    if (scope->mp__call)
        mp_loop_cancel(me->loop, scope->mp__call);
    if (!scope->mp__over)
        return result;
    mp__coro_uncancel(me);
    // Somebody else cancelled it as well: that stays.
    return result == MP_ECANCELED && me->cancels <= scope->mp__before ? MP_ETIMEDOUT : result;
}

// ---- groups ----

struct mp_group {
    mp_coro *owner;
    mp_coro *first;
    size_t running;
    int error; // the first
    bool ending, failing;
    bool cancelled_owner;
};

int mp_group_new(mp_group **out)
{
    int err;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    mp_coro *me = mp__coro_may_await(MP_FOREVER, &err);
    if (!me)
        return err;
    mp_group *g = calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    g->owner = me;
    *out = g;
    return 0;
}

int mp_group_start(mp_group *g, mp_coro **out, mp_coro_fn *fn, void *arg, const mp_coro_opts *opts)
{
    mp_coro *t;
    if (out)
        *out = NULL;
    if (!g)
        return MP_EINVAL;
    if (g->failing)
        return MP_ECANCELED;
    int err = mp_coro_start(&t, g->owner->loop, fn, arg, opts);
    if (err)
        return err;
    t->group = g;
    t->seen = true; // the group looks
    t->sibling = g->first;
    t->sibling_link = &g->first;
    if (t->sibling)
        t->sibling->sibling_link = &t->sibling;
    g->first = t;
    g->running++;
    if (out)
        *out = t;
    else
        mp_coro_free(t);
    return 0;
}

static void cancel_members(mp_group *g)
{
    g->failing = true;
    for (mp_coro *t = g->first; t; t = t->sibling)
        mp_coro_cancel(t);
}

void mp__group_ended(mp_group *g, mp_coro *t)
{
    *t->sibling_link = t->sibling;
    if (t->sibling)
        t->sibling->sibling_link = t->sibling_link;
    t->group = NULL;
    g->running--;
    if (t->result < 0 && t->result != MP_ECANCELED && !g->error) {
        g->error = t->result;
        cancel_members(g);
        if (!g->ending) {
            g->cancelled_owner = true;
            mp_coro_cancel(g->owner);
        }
    }
    if (g->ending && g->running == 0)
        mp__coro_unpark(g->owner, 0);
}

int mp_group_end(mp_group *g)
{
    int err;
    bool cancelled = false;
    mp_coro *me = mp__coro_may_await(MP_FOREVER, &err);
    if (!me || !g || g->owner != me)
        return !me ? err : !g ? MP_EINVAL : MP_ESTATE;
    g->ending = true;
    if (g->cancelled_owner)
        mp__coro_uncancel(me);
    while (g->running > 0) { // nobody outlives the group, however often we are cancelled
        if (mp__coro_park(me, MP_FOREVER) == MP_ECANCELED) {
            cancelled = true;
            cancel_members(g);
        }
    }
    err = cancelled ? MP_ECANCELED : g->error;
    free(g);
    return err;
}
