// SPDX-License-Identifier: MIT
//
// An executor over threads: one list of tasks under a lock, and workers that take from it. Who
// submits does not take the lock, which the workers fight for, but adds to an intake in one
// compare-and-swap; a worker that finds the list empty takes over what is there, oldest first.
//
// The task lies behind the result in the room of its future: one allocation for all. A worker
// without a task looks for a while (os/spin.h), then sleeps on the bell. Who submits rings only
// when nobody is looking and nobody has been rung who has not come yet; a worker that takes a
// task and sees more rings the next. So a burst of tasks costs a chain of wake-ups, not one
// for each task, and a stream of them mostly none.
#include "os/fork.h"
#include "os/futex.h"
#include "os/spin.h"
#include "work/executor.h"
#include "work/thread.h"

#include <limits.h>
#include <mp/cpu.h>
#include <mp/log.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS_MAX 1024

struct task {
    struct task *next;
    mp_future *future; // a reference of the executor's
    struct mp__task what;
    alignas(max_align_t) char item[]; // its copy
};

struct threads;

struct worker {
    struct worker *next; // of all there ever were
    struct threads *executor;
    mp_thread *thread;
    struct task *task; // that it is at
    struct mp__spin spin;
};

// What is contended has lines of its own. NOLINTNEXTLINE: so there is padding
struct threads {
    struct mp_executor base; // the first member
    char *name;
    int (*initializer)(void *arg);
    void *initializer_arg;
    int lookers; // at a time, at most

    // Tasks that nobody has looked at, the newest first; SHUT when there will be no more. Set to
    // NULL and SHUT under the lock only.
    alignas(64) _Atomic(struct task *) intake;

    alignas(64) pthread_mutex_t lock; // guards all below
    struct task *first, **last;
    size_t queued; // in the list
    // Also read without the lock, by who has added to the intake: workers without a task, and
    // whether one of the sleepers has been rung, who has not come yet.
    _Atomic int looking, sleeping;
    _Atomic bool rung;
    bool broken;
    struct worker *workers;
    int numbered;
    _Atomic bool news;     // a task or the end; also read without the lock
    _Atomic bool closed;   // likewise
    _Atomic uint32_t bell; // sleepers sleep on it
    _Atomic uint32_t alive;
};

static _Thread_local struct threads *working_for;

static struct threads *threads_of(mp_executor *e)
{
    return (void *)e; // its first member
}

// ---- the list of tasks -------------------------------------------------------------

static struct task shut_mark;
#define SHUT (&shut_mark)

// False: there are to be no more tasks.
static bool push(struct threads *x, struct task *t)
{
    struct task *head = atomic_load_explicit(&x->intake, memory_order_relaxed);
    do {
        if (head == SHUT)
            return false;
        t->next = head;
    } while (!atomic_compare_exchange_weak(&x->intake, &head, t));
    return true;
}

// Moves what is in the intake behind the list, and leaves `rest` there.
static void take_in_locked(struct threads *x, struct task *rest)
{
    struct task *t = atomic_load(&x->intake), *oldest = NULL, *newest;
    if (t == SHUT || (!t && !rest))
        return;
    newest = t = atomic_exchange(&x->intake, rest);
    for (struct task *next; t; t = next) {
        next = t->next;
        t->next = oldest;
        oldest = t;
        x->queued++;
    }
    *x->last = oldest;
    if (newest)
        x->last = &newest->next;
    x->news = x->first || x->closed;
}

// NULL: there is none.
static struct task *pop_locked(struct threads *x)
{
    if (!x->first)
        take_in_locked(x, NULL);
    struct task *t = x->first;
    if (!t)
        return NULL;
    x->first = t->next;
    if (!x->first) {
        x->last = &x->first;
        x->news = x->closed;
    }
    x->queued--;
    return t;
}

static struct task *take_all_locked(struct threads *x)
{
    struct task *all = x->first;
    x->first = NULL;
    x->last = &x->first;
    x->queued = 0;
    x->news = x->closed;
    return all;
}

static bool has_tasks_locked(struct threads *x)
{
    struct task *t = atomic_load(&x->intake);
    return x->first || (t && t != SHUT);
}

// Whether nobody is there who will look at the list soon, but some who can be woken.
static bool all_asleep(struct threads *x)
{
    return !atomic_load(&x->looking) && !atomic_load(&x->rung) && atomic_load(&x->sleeping);
}

// Whether somebody must be woken for the tasks there are; who is told so rings.
static bool needs_a_bell_locked(struct threads *x)
{
    if (!all_asleep(x) || !has_tasks_locked(x))
        return false;
    x->rung = true;
    atomic_fetch_add(&x->bell, 1);
    return true;
}

static bool has_news(void *arg)
{
    struct threads *x = arg;
    return atomic_load_explicit(&x->news, memory_order_relaxed) ||
           atomic_load_explicit(&x->intake, memory_order_relaxed);
}

// True: there may be news. No more look at a time than there are CPUs: the others would only take
// them from those who work.
static bool look_locked(struct threads *x, struct worker *w)
{
    if (x->looking >= x->lookers)
        return false;
    x->looking++;
    pthread_mutex_unlock(&x->lock);
    bool found = mp__spin_until(&w->spin, has_news, x);
    pthread_mutex_lock(&x->lock);
    x->looking--; // from here on who submits rings
    return found || x->news || atomic_load(&x->intake);
}

static void sleep_locked(struct threads *x)
{
    uint32_t seen = x->bell;
    x->sleeping++; // from here on who submits rings
    if (!atomic_load(&x->intake)) {
        pthread_mutex_unlock(&x->lock);
        mp__futex_wait(&x->bell, seen, MP__NEVER);
        pthread_mutex_lock(&x->lock);
    }
    x->sleeping--;
    x->rung = false;
}

// The next task; NULL: there will be no more.
static struct task *next_task(struct worker *w)
{
    struct threads *x = w->executor;
    struct task *t;
    pthread_mutex_lock(&x->lock);
    while (!(t = pop_locked(x)) && !x->closed)
        if (!look_locked(x, w))
            sleep_locked(x);
    bool ring = needs_a_bell_locked(x);
    pthread_mutex_unlock(&x->lock);
    if (ring)
        mp__futex_wake(&x->bell, 1);
    return t;
}

// ---- workers -----------------------------------------------------------------------

static void run_task(struct worker *w, struct task *t)
{
    mp_future *f = t->future;
    if (mp_future_set_running(f) == 0) {
        void *room = mp_future_room(f);
        w->task = t;
        mp__thread_failure(); // of earlier ones
        int r = t->what.fn(t->what.in, room, t->what.ctx);
        if (!mp__fork_is_mine(w->executor->base.owner))
            mp__fork_exit(r); // the task forked, and this is the child
        w->task = NULL;
        const char *text = r ? mp__thread_failure() : "";
        if (r == 0)
            mp_future_set_result(f, room, t->what.out_size);
        else
            mp_future_set_error(f, MP_ETASK, r, *text ? text : NULL);
    }
    mp_future_free(f);
}

static void fail_all(struct task *t, const char *text)
{
    for (struct task *next; t; t = next) {
        mp_future *f = t->future; // t lies in it
        next = t->next;
        mp_future_set_error(f, MP_EBROKEN, 0, text);
        mp_future_free(f);
    }
}

static bool initialize(struct threads *x)
{
    char text[320];
    int r = x->initializer ? x->initializer(x->initializer_arg) : 0;
    if (r == 0)
        return true;
    const char *why = mp__thread_failure();
    snprintf(text, sizeof text, "the initializer of the executor returned %d%s%s", r,
             *why ? ": " : "", why);
    pthread_mutex_lock(&x->lock);
    x->broken = true;
    take_in_locked(x, SHUT);
    struct task *all = take_all_locked(x);
    pthread_mutex_unlock(&x->lock);
    fail_all(all, text);
    return false;
}

static int start_worker(struct threads *x);

// The end of a worker, also when a task ended it: then another must do the rest.
static void leave(void *arg)
{
    struct worker *w = arg;
    struct threads *x = w->executor;
    if (w->task) {
        mp_future *f = w->task->future;
        mp_future_set_error(f, MP_EWORKERDIED, 0, "the task ended its thread");
        mp_future_free(f);
    }
    pthread_mutex_lock(&x->lock);
    bool replace = w->task && has_tasks_locked(x);
    x->alive += replace;
    pthread_mutex_unlock(&x->lock);
    int r = replace ? start_worker(x) : 0;
    if (r < 0)
        mp_log(MP_LOG_ERROR, "no thread to replace one that ended: %s", mp_strerror(r));
    if (atomic_fetch_sub(&x->alive, 1) == 1)
        mp__futex_wake(&x->alive, INT_MAX);
}

static int work(void *arg)
{
    struct worker *w = arg;
    struct task *t;
    working_for = w->executor;
    pthread_cleanup_push(leave, w);
    if (initialize(w->executor))
        while ((t = next_task(w)))
            run_task(w, t);
    pthread_cleanup_pop(1);
    return 0;
}

// Signals are for the user's threads.
static int start_thread(struct worker *w, const char *name)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = mp_thread_start(&w->thread, work, w, &(mp_thread_opts){.name = name, .daemon = true});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

static int begin_worker(struct threads *x)
{
    char name[128];
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->executor = x;
    pthread_mutex_lock(&x->lock);
    snprintf(name, sizeof name, "%.100s-%d", x->name, ++x->numbered);
    pthread_mutex_unlock(&x->lock);
    int r = start_thread(w, name);
    if (r < 0) {
        free(w);
        return r;
    }
    pthread_mutex_lock(&x->lock);
    w->next = x->workers;
    x->workers = w;
    pthread_mutex_unlock(&x->lock);
    return 0;
}

// Starts one that was counted as alive already, so that there are never too many.
static int start_worker(struct threads *x)
{
    int r = begin_worker(x);
    if (r < 0 && atomic_fetch_sub(&x->alive, 1) == 1)
        mp__futex_wake(&x->alive, INT_MAX);
    return r;
}

// ---- operations --------------------------------------------------------------------

static int make_task(struct task **out, const struct mp__task *what)
{
    size_t align = alignof(max_align_t);
    if (what->out_size > PTRDIFF_MAX / 2 || what->in_size > PTRDIFF_MAX / 2 - 4096)
        return MP_EOVERFLOW;
    size_t at = (what->out_size + align - 1) / align * align;
    mp_future *f;
    int r = mp_future_new(&f, &(mp_future_opts){.room = at + sizeof(struct task) + what->in_size});
    if (r < 0)
        return r;
    void *place = (char *)mp_future_room(f) + at;
    struct task *t = place;
    t->future = f;
    t->what = *what;
    if (what->in_size) {
        memcpy(t->item, what->in, what->in_size);
        t->what.in = t->item;
    }
    *out = t;
    return 0;
}

// One more worker, if none is free and there may be more. Tasks wait for those there are when
// it cannot be started.
static int grow(struct threads *x)
{
    pthread_mutex_lock(&x->lock);
    take_in_locked(x, NULL);
    bool wanted = x->queued >= (size_t)x->looking + (size_t)x->sleeping &&
                  x->alive < (uint32_t)x->base.workers;
    x->alive += wanted;
    pthread_mutex_unlock(&x->lock);
    int r = wanted ? start_worker(x) : 0;
    return r < 0 && x->alive == 0 ? r : 0;
}

static int why_shut(struct threads *x)
{
    pthread_mutex_lock(&x->lock);
    int r = x->broken ? MP_EBROKEN : MP_ECLOSED;
    pthread_mutex_unlock(&x->lock);
    return r;
}

static void ring_for_tasks(struct threads *x)
{
    pthread_mutex_lock(&x->lock);
    bool ring = needs_a_bell_locked(x);
    pthread_mutex_unlock(&x->lock);
    if (ring)
        mp__futex_wake(&x->bell, 1);
}

static int submit(mp_executor *e, mp_future **out, const struct mp__task *what)
{
    struct threads *x = threads_of(e);
    struct task *t;
    int r = x->closed ? MP_ECLOSED : make_task(&t, what);
    if (r < 0)
        return r;
    mp_future *f = mp_future_hold(t->future);
    r = x->alive < (uint32_t)x->base.workers ? grow(x) : 0;
    if (r == 0 && !push(x, t))
        r = why_shut(x);
    if (r == 0) {
        if (all_asleep(x))
            ring_for_tasks(x);
        *out = f;
    } else {
        mp_future_free(f);
        mp_future_free(f); // the executor's
    }
    return r;
}

static void cancel_all(struct task *t)
{
    for (struct task *next; t; t = next) {
        mp_future *f = t->future; // t lies in it
        next = t->next;
        mp_future_cancel(f);
        mp_future_free(f);
    }
}

static int shut(mp_executor *e, mp_shutdown how)
{
    struct threads *x = threads_of(e);
    pthread_mutex_lock(&x->lock);
    x->closed = true;
    x->news = true;
    take_in_locked(x, SHUT);
    atomic_fetch_add(&x->bell, 1);
    struct task *dropped = how == MP_DROP ? take_all_locked(x) : NULL;
    pthread_mutex_unlock(&x->lock);
    mp__futex_wake(&x->bell, INT_MAX);
    cancel_all(dropped);
    return 0;
}

static void join_workers(struct threads *x)
{
    pthread_mutex_lock(&x->lock);
    struct worker *w = x->workers;
    x->workers = NULL;
    pthread_mutex_unlock(&x->lock);
    for (struct worker *next; w; w = next) {
        next = w->next;
        (void)!mp_thread_join(w->thread, MP_FOREVER);
        mp_thread_free(w->thread);
        free(w);
    }
}

static int join(mp_executor *e, mp__deadline d)
{
    struct threads *x = threads_of(e);
    if (!x->closed || working_for == x)
        return MP_ESTATE;
    for (uint32_t alive; (alive = atomic_load(&x->alive)) > 0;)
        if (mp__left_ns(d) == 0)
            return MP_ETIMEDOUT;
        else
            mp__futex_wait(&x->alive, alive, d);
    join_workers(x);
    return 0;
}

static void release(mp_executor *e)
{
    struct threads *x = threads_of(e);
    if (mp__fork_is_mine(e->owner)) {
        shut(e, MP_DRAIN);
        if (join(e, MP__NEVER) < 0) {
            mp_log(MP_LOG_ERROR, "an executor cannot be freed by one of its own tasks");
            return;
        }
        pthread_mutex_destroy(&x->lock);
    }
    free(x->name);
    free(x);
}

static const struct mp__executor_ops ops = {
    .submit = submit,
    .shutdown = shut,
    .join = join,
    .free = release,
};

// Held for so short a time that to look again is cheaper than to sleep.
static void init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

int mp_executor_new_threads(mp_executor **out, const mp_executor_opts *opts)
{
    static const mp_executor_opts defaults;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    opts = opts ? opts : &defaults;
    if (opts->workers < 0 || opts->workers > WORKERS_MAX)
        return MP_EINVAL;
    int cpus = mp_cpu_count();
    struct threads *x = aligned_alloc(alignof(struct threads), sizeof *x);
    if (!x)
        return -ENOMEM;
    memset(x, 0, sizeof *x);
    x->base.owner = mp__fork_token();
    x->base.ops = &ops;
    x->base.workers = opts->workers ? opts->workers : cpus + 4 < 32 ? cpus + 4 : 32;
    x->lookers = cpus;
    x->initializer = opts->initializer;
    x->initializer_arg = opts->initializer_arg;
    x->last = &x->first;
    x->name = strdup(opts->name ? opts->name : "Executor");
    if (!x->name || !x->base.owner) {
        free(x->name);
        free(x);
        return -ENOMEM;
    }
    init_lock(&x->lock);
    mp__spin_init();
    *out = &x->base;
    return 0;
}
