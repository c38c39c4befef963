// SPDX-License-Identifier: MIT
//
// The life of tasks and promises; see coro.h beside this file.
#include "loop/coro.h"

#include "base/clock.h"

#include <errno.h>
#include <mp/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- handles ----

mp_coro *mp_coro_share(mp_coro *t)
{
    if (t)
        atomic_fetch_add_explicit(&t->holders, 1, memory_order_relaxed);
    return t;
}

const char *mp_coro_name(mp_coro *t)
{
    if (!t)
        return NULL;
    if (!*t->name && t->fn)
        snprintf(t->name, sizeof t->name, "Task-%llu", (unsigned long long)t->number);
    return t->fn ? t->name : "promise";
}

bool mp_coro_done(const mp_coro *t)
{
    return t && t->done;
}

int mp_coro_result(mp_coro *t, void **value)
{
    if (!t)
        return MP_EINVAL;
    if (!t->done)
        return MP_ESTATE;
    t->seen = true;
    if (value)
        *value = t->value;
    return t->result;
}

mp_coro *mp_coro_current(void)
{
    return mp__coro_here();
}

// ---- who waits for it ----

void mp__waiter_add(struct waiter *w, mp_coro *t)
{
    w->next = NULL;
    w->link = t->waiters_end;
    *t->waiters_end = w;
    t->waiters_end = &w->next;
    w->task = t;
}

void mp__waiter_remove(struct waiter *w)
{
    if (!w->link)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    else
        w->task->waiters_end = w->link;
    w->link = NULL;
}

static void complete(mp_coro *t, int result, void *value)
{
    t->result = result;
    t->value = value;
    t->done = true;
    while (t->waiters) {
        struct waiter *w = t->waiters;
        mp__waiter_remove(w);
        w->tell(w, t);
    }
}

void mp_coro_free(mp_coro *t)
{
    if (!t || atomic_fetch_sub(&t->holders, 1) > 1)
        return;
    if (t->done && t->result < 0 && t->result != MP_ECANCELED && !t->seen)
        mp_log(MP_LOG_ERROR, "task '%s' failed and nobody looked: %s", mp_coro_name(t),
               mp_strerror(t->result));
    // What waits now are callbacks of a promise that nobody kept: all others hold the task.
    for (struct waiter *w = t->waiters, *next; w; w = next) {
        next = w->next;
        free(w);
    }
    mp__inbox_drop(t->inbox);
    free(t);
}

struct callback {
    struct waiter waiter;
    mp_loop *loop;
    mp_coro *task; // held
    mp_coro_done_fn *fn;
    void *arg;
};

static void run_callback(void *arg)
{
    struct callback c = *(struct callback *)arg;
    free(arg);
    c.fn(c.task, c.arg);
    mp_coro_free(c.task);
}

static void callback_tell(struct waiter *w, mp_coro *t)
{
    struct callback *c = (struct callback *)w;
    c->task = mp_coro_share(t);
    mp__ready_push_reserved(&c->loop->ready, run_callback, c);
}

// A promise's loop may be gone; the inbox knows.
static int check(const mp_coro *t)
{
    if (!t)
        return MP_EINVAL;
    return mp__inbox_is_closed(t->inbox) ? MP_ECLOSED : mp__loop_check(t->loop);
}

int mp_coro_on_done(mp_coro *t, mp_coro_done_fn *fn, void *arg)
{
    int err = check(t);
    if (err || !fn)
        return err ? err : MP_EINVAL;
    struct callback *c = calloc(1, sizeof *c);
    if (!c || mp__ready_reserve(&t->loop->ready) < 0) {
        free(c);
        return -ENOMEM;
    }
    c->waiter.tell = callback_tell;
    c->loop = t->loop;
    c->fn = fn;
    c->arg = arg;
    if (t->done)
        callback_tell(&c->waiter, t);
    else
        mp__waiter_add(&c->waiter, t);
    return 0;
}

// ---- promises ----

static mp_coro *task_new(mp_loop *loop)
{
    mp_coro *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->loop = loop;
    t->inbox = mp__inbox_hold(loop->inbox);
    t->holders = 1;
    t->waiters_end = &t->waiters;
    return t;
}

static int check_new(mp_coro **out, mp_loop **loop)
{
    if (out)
        *out = NULL;
    if (!*loop)
        *loop = mp_loop_current();
    return *loop ? mp__loop_check(*loop) : MP_ESTATE;
}

int mp_coro_promise(mp_coro **out, mp_loop *loop)
{
    int err = check_new(out, &loop);
    if (err || !out)
        return err ? err : MP_EINVAL;
    *out = task_new(loop);
    return *out ? 0 : -ENOMEM;
}

int mp_coro_set(mp_coro *promise, int result, void *value)
{
    int err = check(promise);
    if (err)
        return err;
    if (promise->done || promise->fn)
        return MP_ESTATE;
    complete(promise, result, value);
    return 0;
}

static void take_posted(struct note *n, bool dropped)
{
    mp_coro *t = (void *)((char *)n - offsetof(mp_coro, note));
    if (!dropped && !t->done)
        complete(t, t->posted_result, t->posted_value);
    mp_coro_free(t);
}

int mp_coro_set_threadsafe(mp_coro *promise, int result, void *value)
{
    if (!promise)
        return MP_EINVAL;
    if (promise->fn || atomic_exchange(&promise->posted, true))
        return MP_ESTATE;
    promise->posted_result = result;
    promise->posted_value = value;
    promise->note.run = take_posted;
    mp_coro_share(promise);
    int err = mp__inbox_push(promise->inbox, &promise->note);
    if (err)
        mp_coro_free(promise);
    return err;
}

// ---- tasks ----

static void link_task(mp_loop *loop, mp_coro *t)
{
    t->next = loop->tasks;
    t->link = &loop->tasks;
    if (t->next)
        t->next->link = &t->next;
    loop->tasks = t;
}

static void unlink_task(mp_coro *t)
{
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
}

// The bottom of each stack.
static void body(void *arg)
{
    mp_coro *t = arg;
    mp__context_begin(&t->loop->home);
    t->unparked = t->fn(t->arg);
    t->ended = true;
    mp__context_switch(&t->context, &t->loop->home, 1);
    __builtin_unreachable();
}

static void end(mp_coro *t)
{
    mp_loop *loop = t->loop;
    mp__context_end(&t->context);
    mp__stack_put(&loop->stacks, t->stack);
    t->stack = NULL;
    unlink_task(t);
    mp__ready_unreserve(&loop->ready);
    complete(t, t->unparked, t->value);
    if (t->group)
        mp__group_ended(t->group, t);
    mp_coro_free(t);
}

static void step(void *arg)
{
    mp_coro *t = arg;
    mp_loop *loop = t->loop;
    mp__ready_keep(&loop->ready);
    if (loop->debug)
        mp__debug_begin(loop->debug, NULL, mp_coro_name(t));
    loop->task = t;
    mp__context_switch(&loop->home, &t->context, 0);
    mp__stack_check(t->stack); // while it can be named
    loop->task = NULL;
    if (t->ended)
        end(t);
}

int mp_coro_start(mp_coro **out, mp_loop *loop, mp_coro_fn *fn, void *arg, const mp_coro_opts *opts)
{
    int err = check_new(out, &loop);
    if (err || !fn)
        return err ? err : MP_EINVAL;
    mp_coro *t = task_new(loop);
    if (!t)
        return -ENOMEM;
    t->stack = mp__stack_get(&loop->stacks, opts ? opts->stack_size : 0);
    if (!t->stack || mp__ready_reserve(&loop->ready) < 0)
        goto fail;
    t->fn = fn;
    t->arg = arg;
    t->number = ++loop->numbered;
    if (opts && opts->name)
        snprintf(t->name, sizeof t->name, "%s", opts->name);
    // Not all tops in the same sets of the cache.
    size_t shift = t->number % 8 * 128;
    mp__context_make(&t->context, t->stack->low, t->stack->size - shift, body, t);
    link_task(loop, t);
    mp__ready_push_reserved(&loop->ready, step, t);
    if (out)
        *out = mp_coro_share(t);
    return 0;
fail:
    if (t->stack)
        mp__stack_put(&loop->stacks, t->stack);
    mp_coro_free(t);
    return -ENOMEM;
}

void mp__coro_drop_all(mp_loop *loop)
{
    while (loop->tasks) {
        mp_coro *t = loop->tasks;
        unlink_task(t);
        t->next = NULL;
        mp__context_end(&t->context);
        mp__stack_put(&loop->stacks, t->stack);
        t->stack = NULL;
        mp_coro_free(t);
    }
    mp__stacks_free(&loop->stacks);
}

// ---- stopping and going on ----

static void on_timeout(void *arg)
{
    mp__coro_unpark(arg, MP_ETIMEDOUT);
}

int mp__coro_park(mp_coro *me, int timeout_ms)
{
    if (me->cancel_pending) {
        me->cancel_pending = false;
        return MP_ECANCELED;
    }
    if (timeout_ms == 0)
        return MP_ETIMEDOUT;
    struct timers *timers = &me->loop->timers;
    int64_t timer = 0;
    if (timeout_ms > 0) {
        timer = mp__timers_add(timers, mp__deadline_in(timeout_ms), on_timeout, me);
        if (timer < 0)
            return -ENOMEM;
    }
    me->parked = true;
    mp__context_switch(&me->context, &me->loop->home, 0);
    if (timer && me->unparked != MP_ETIMEDOUT)
        mp__timers_cancel(timers, timer);
    return me->unparked;
}

bool mp__coro_unpark(mp_coro *t, int result)
{
    if (!t->parked)
        return false;
    t->parked = false;
    t->unparked = result;
    mp__ready_push_reserved(&t->loop->ready, step, t);
    return true;
}

mp_coro *mp__coro_may_await(int timeout_ms, int *err)
{
    mp_loop *loop = mp__loop_here;
    mp_coro *me = mp__coro_here();
    *err = timeout_ms < MP_FOREVER ? MP_EINVAL
           : loop && !*loop->alive ? MP_EOWNER
           : !me                   ? MP_ESTATE
                                   : 0;
    return *err ? NULL : me;
}

int mp_coro_sleep(int ms)
{
    int err;
    mp_coro *me = mp__coro_may_await(ms < 0 ? -2 : ms, &err);
    if (!me)
        return err;
    if (ms == 0 && !me->cancel_pending) {
        me->parked = true;
        mp__coro_unpark(me, 0);
        mp__context_switch(&me->context, &me->loop->home, 0);
        return me->unparked;
    }
    err = mp__coro_park(me, ms);
    return err == MP_ETIMEDOUT ? 0 : err;
}

int mp_coro_cancel(mp_coro *t)
{
    int err = check(t);
    if (err)
        return err;
    if (t->done || t->ended)
        return MP_ESTATE;
    if (!t->fn) {
        complete(t, MP_ECANCELED, NULL);
        return 0;
    }
    t->cancels++;
    if (!mp__coro_unpark(t, MP_ECANCELED))
        t->cancel_pending = true;
    return 0;
}

void mp__coro_uncancel(mp_coro *t)
{
    if (--t->cancels == 0)
        t->cancel_pending = false;
}

int mp_coro_cancelling(void)
{
    mp_coro *me = mp__coro_here();
    return me ? me->cancels : 0;
}

// ---- a program that is a task ----

static void cancel_all(mp_loop *loop)
{
    for (mp_coro *t = loop->tasks; t; t = t->next)
        mp_coro_cancel(t);
}

// Cancels what is left, and runs until it has ended; not in a child that was forked by a task.
static void wind_up(mp_loop *loop)
{
    cancel_all(loop);
    while (*loop->alive && loop->tasks)
        if (mp_loop_run_until_complete(loop, loop->tasks) < 0)
            continue; // one that failed, like any other
}

int mp_coro_run(mp_coro_fn *fn, void *arg, int slow_ms)
{
    mp_loop *loop;
    mp_coro *main_task = NULL;
    if (mp_loop_current())
        return MP_ESTATE;
    int err = mp_loop_new(&loop);
    if (err)
        return err;
    err = slow_ms ? mp_loop_debug(loop, slow_ms, NULL, NULL) : 0;
    if (!err)
        err = mp_coro_start(&main_task, loop, fn, arg, &(mp_coro_opts){.name = "main"});
    if (!err)
        err = mp_loop_run_until_complete(loop, main_task);
    wind_up(loop);
    mp_coro_free(main_task);
    mp_loop_free(loop);
    return err;
}
