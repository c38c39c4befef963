// SPDX-License-Identifier: MIT
//
// Finds what keeps the loop too long. The loop's thread notes what it begins and when; a
// thread of ours looks at that note, since a callback that never comes back can only be
// named by somebody else. It exists only where a program asked for it.
#include "loop/loop.h"

#include "base/clock.h"

#include <dlfcn.h>
#include <errno.h>
#include <mp/log.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct step {
    void *what; // a function, or NULL
    char task[32];
    int64_t began; // 0: nothing runs
    bool told;
};

struct debug {
    pthread_t thread;
    pthread_mutex_t lock; // what follows
    pthread_cond_t changed;
    struct step step;
    bool ending;
    int64_t slow_ns; // from here on nothing changes
    mp_loop_slow_fn *fn;
    void *arg;
};

static void describe(const struct step *s, char *text, size_t size)
{
    Dl_info info;
    if (!s->what)
        snprintf(text, size, "task '%s'", s->task);
    else if (dladdr(s->what, &info) && info.dli_sname && info.dli_saddr == s->what)
        snprintf(text, size, "%s", info.dli_sname);
    else if (info.dli_fname) // as addr2line wants it
        snprintf(text, size, "%s@%#tx", info.dli_fname, (char *)s->what - (char *)info.dli_fbase);
    else
        snprintf(text, size, "%p", s->what);
}

static void tell(struct debug *d, const struct step *s, int64_t took, bool running)
{
    char what[160];
    describe(s, what, sizeof what);
    long long ms = (long long)(took / 1000000);
    if (d->fn)
        d->fn(what, ms, running, d->arg);
    else if (running)
        mp_log(MP_LOG_WARN, "the loop is kept by %s, for %lld ms now", what, ms);
    else
        mp_log(MP_LOG_WARN, "the loop was kept by %s, for %lld ms", what, ms);
}

void mp__debug_begin(struct debug *d, void *what, const char *task)
{
    pthread_mutex_lock(&d->lock);
    d->step = (struct step){.what = what, .began = mp__now()};
    if (task)
        snprintf(d->step.task, sizeof d->step.task, "%s", task);
    pthread_mutex_unlock(&d->lock);
}

void mp__debug_end(struct debug *d)
{
    pthread_mutex_lock(&d->lock);
    struct step s = d->step;
    d->step.began = 0;
    pthread_mutex_unlock(&d->lock);
    int64_t took = mp__now() - s.began;
    if (took >= d->slow_ns)
        tell(d, &s, took, false);
}

// With the lock held: tells if it is time; returns when to look again.
static int64_t watch_once(struct debug *d)
{
    int64_t now = mp__now(), took = now - d->step.began;
    if (d->step.began == 0 || d->step.told)
        return now + d->slow_ns;
    if (took < d->slow_ns)
        return d->step.began + d->slow_ns;
    d->step.told = true;
    struct step s = d->step;
    pthread_mutex_unlock(&d->lock);
    tell(d, &s, took, true);
    pthread_mutex_lock(&d->lock);
    return now + d->slow_ns;
}

static void *watch(void *arg)
{
    struct debug *d = arg;
    pthread_setname_np(pthread_self(), "mp-loop-debug");
    pthread_mutex_lock(&d->lock);
    while (!d->ending) {
        int64_t next = watch_once(d);
        struct timespec t = {.tv_sec = next / 1000000000, .tv_nsec = next % 1000000000};
        if (!d->ending)
            pthread_cond_timedwait(&d->changed, &d->lock, &t);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static int start_watching(struct debug *d)
{
    sigset_t all, before;
    sigfillset(&all); // signals are for the program's own threads
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&d->thread, NULL, watch, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -err;
}

void mp__debug_free(mp_loop *loop)
{
    struct debug *d = loop->debug;
    if (!d)
        return;
    loop->debug = NULL;
    if (*loop->alive) { // a forked child has the memory only
        pthread_mutex_lock(&d->lock);
        d->ending = true;
        pthread_cond_signal(&d->changed);
        pthread_mutex_unlock(&d->lock);
        pthread_join(d->thread, NULL);
        pthread_mutex_destroy(&d->lock);
        pthread_cond_destroy(&d->changed);
    }
    free(d);
}

int mp_loop_debug(mp_loop *loop, int slow_ms, mp_loop_slow_fn *fn, void *arg)
{
    int err = mp__loop_check(loop);
    if (err || slow_ms < 0)
        return err ? err : MP_EINVAL;
    if (loop->running)
        return MP_ESTATE;
    mp__debug_free(loop);
    if (slow_ms == 0)
        return 0;
    struct debug *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&d->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&d->lock, NULL);
    d->slow_ns = (int64_t)slow_ms * 1000000;
    d->fn = fn;
    d->arg = arg;
    err = start_watching(d);
    if (err) {
        free(d);
        return err;
    }
    loop->debug = d;
    return 0;
}
