// SPDX-License-Identifier: MIT
//
// Waiting for futures, one or many, from any mixture of sources.
//
// A waiter hangs an observer into each future that is not done. Whoever completes one, on
// whatever thread, counts it in the waiter and rings if the waiter sleeps and has reason to
// get up. When no future has a source, the bell is a futex. When some have, their news come
// through descriptors, so the waiter sleeps in poll() on those, and its own bell is an
// eventfd among them, which is made when it is first needed. Before it sleeps it has every
// source raise its flag and look once more (arm); and it counts what has been completed since
// it entered the sources, so that it neither misses a bell nor keeps a source from ending.
//
// Sleeps are not longer than 50 ms where there are sources: the process that should ring may
// have been killed, which the source notices when it looks.
//
// Before it sleeps a waiter looks for a while, like all in libmp (os/spin.h): most results
// come soon.
#include "os/fork.h"
#include "os/futex.h"
#include "os/spin.h"
#include "work/future.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOK_MS 50 // as MP__LOOK_NS

struct waiter;

// One of the futures waited for.
struct place {
    struct mp__observer observer; // the first member
    struct waiter *waiter;
    mp_future *future;
    struct place *next; // among those that are done and were not told yet
};

struct waiter {
    mp_futures_until until;
    size_t n;
    struct place *places;
    mp_future_source **sources; // each once, held
    bool *entered;              // of the sources: not ended, while it sleeps
    struct pollfd *fds;
    size_t n_sources;
    struct mp__spin spin;

    pthread_mutex_t lock; // guards all below; taken inside that of a future
    size_t done, failed;
    struct place *first, **last; // done and not told yet, in that order
    bool asleep;
    int bell;                 // eventfd; -1: none
    _Atomic bool enough;      // what it waits for has come; also read without the lock
    _Atomic uint32_t counted; // completions, round and round: the futex

    // For one future, so that waiting for it needs no memory.
    struct place one_place;
    mp_future_source *one_source;
    bool one_entered;
    struct pollfd two_fds[2];
};

// ---- what completers do ------------------------------------------------------------

static bool enough_locked(const struct waiter *w)
{
    switch (w->until) {
    case MP_FIRST_DONE:
        return w->first != NULL;
    case MP_FIRST_ERROR:
        return w->failed > 0 || w->done == w->n;
    default:
        return w->done == w->n;
    }
}

static void ring_locked(struct waiter *w)
{
    uint64_t one = 1;
    if (w->n_sources == 0)
        mp__futex_wake(&w->counted, 1);
    else if (w->bell >= 0)
        (void)!write(w->bell, &one, sizeof one);
}

static void count(struct mp__observer *o, bool failed)
{
    struct place *p = (struct place *)o;
    struct waiter *w = p->waiter;
    pthread_mutex_lock(&w->lock);
    w->done++;
    w->failed += failed;
    p->next = NULL;
    *w->last = p;
    w->last = &p->next;
    w->enough = enough_locked(w);
    atomic_fetch_add(&w->counted, 1);
    // One that sleeps on sources gets up for each, since that source may be about to end.
    if (w->asleep && (w->enough || w->n_sources))
        ring_locked(w);
    pthread_mutex_unlock(&w->lock);
}

// ---- the life of a waiter ----------------------------------------------------------

static int check(mp_future *const *list, size_t n)
{
    if (!list && n)
        return MP_EINVAL;
    for (size_t i = 0; i < n; i++) {
        int r = mp__future_usable(list[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int allocate(struct waiter *w, size_t n)
{
    if (n > SIZE_MAX / 1024)
        return -ENOMEM;
    if (n <= 1) {
        w->places = &w->one_place;
        w->sources = &w->one_source;
        w->entered = &w->one_entered;
        w->fds = w->two_fds;
        return 0;
    }
    w->places = calloc(n, sizeof *w->places);
    w->sources = calloc(n, sizeof(mp_future_source *));
    w->entered = calloc(n, sizeof *w->entered);
    w->fds = calloc(n + 1, sizeof *w->fds);
    return w->places && w->sources && w->entered && w->fds ? 0 : -ENOMEM;
}

static void release(struct waiter *w)
{
    for (size_t i = 0; i < w->n_sources; i++)
        mp__source_drop(w->sources[i]);
    if (w->bell >= 0)
        close(w->bell);
    if (w->places != &w->one_place) {
        free(w->places);
        free(w->sources);
        free(w->entered);
        free(w->fds);
    }
    pthread_mutex_destroy(&w->lock);
}

static void add_source(struct waiter *w, mp_future_source *s)
{
    if (!s)
        return;
    for (size_t i = w->n_sources; i > 0; i--) // mostly the one before
        if (w->sources[i - 1] == s)
            return;
    w->sources[w->n_sources++] = mp__source_hold(s);
}

// Begins to wait: sources first, since completers look whether there are some.
static int watch(struct waiter *w, mp_future *const *list, size_t n, mp_futures_until until)
{
    *w = (struct waiter){.until = until, .n = n, .bell = -1};
    w->last = &w->first;
    w->enough = n == 0;
    pthread_mutex_init(&w->lock, NULL);
    mp__spin_init();
    int r = allocate(w, n);
    if (r < 0) {
        release(w);
        return r;
    }
    for (size_t i = 0; i < n; i++)
        if (!mp__future_is_done(list[i]))
            add_source(w, mp_future_get_source(list[i]));
    for (size_t i = 0; i < n; i++) {
        struct place *p = &w->places[i];
        p->observer.done = count;
        p->waiter = w;
        p->future = list[i];
        mp__future_observe(list[i], &p->observer);
    }
    return 0;
}

static void unwatch(struct waiter *w)
{
    for (size_t i = 0; i < w->n; i++)
        mp__future_unobserve(w->places[i].future, &w->places[i].observer);
    release(w);
}

// ---- waiting -----------------------------------------------------------------------

static bool look(void *arg)
{
    struct waiter *w = arg;
    for (size_t i = 0; i < w->n_sources; i++)
        mp_future_source_progress(w->sources[i], false);
    return w->enough;
}

// Whether to sleep: nothing has come since `seen`. Whoever completes rings from then on.
static bool fall_asleep(struct waiter *w, uint32_t seen)
{
    pthread_mutex_lock(&w->lock);
    if (w->n_sources && w->bell < 0) // without one it sleeps 50 ms at most
        w->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->asleep = !w->enough && atomic_load(&w->counted) == seen;
    bool asleep = w->asleep;
    pthread_mutex_unlock(&w->lock);
    return asleep;
}

static void wake_up(struct waiter *w)
{
    uint64_t rung;
    pthread_mutex_lock(&w->lock);
    w->asleep = false;
    if (w->bell >= 0)
        (void)!read(w->bell, &rung, sizeof rung);
    pthread_mutex_unlock(&w->lock);
}

static void sleep_on_futex(struct waiter *w, mp__deadline d)
{
    uint32_t seen = atomic_load(&w->counted);
    if (fall_asleep(w, seen))
        mp__futex_wait(&w->counted, seen, d); // may end for nothing: the caller looks again
    wake_up(w);
}

static void sleep_on_sources(struct waiter *w, mp__deadline d)
{
    for (size_t i = 0; i < w->n_sources; i++)
        w->entered[i] = mp__source_enter(w->sources[i]);
    uint32_t seen = atomic_load(&w->counted);
    for (size_t i = 0; i < w->n_sources; i++)
        if (w->entered[i])
            mp__source_progress(w->sources[i], true);
    if (fall_asleep(w, seen)) {
        int ms = mp__left_ms(d);
        w->fds[0] = (struct pollfd){.fd = w->bell, .events = POLLIN};
        for (size_t i = 0; i < w->n_sources; i++)
            w->fds[i + 1] = (struct pollfd){
                .fd = w->entered[i] ? mp_future_source_fd(w->sources[i]) : -1, .events = POLLIN};
        poll(w->fds, w->n_sources + 1, ms < 0 || ms > LOOK_MS ? LOOK_MS : ms);
    }
    wake_up(w);
    for (size_t i = 0; i < w->n_sources; i++)
        if (w->entered[i])
            mp__source_leave(w->sources[i]);
}

// Until there is enough. 0 or MP_ETIMEDOUT.
static int await(struct waiter *w, mp__deadline d)
{
    while (!look(w)) {
        if (mp__left_ns(d) == 0)
            return MP_ETIMEDOUT;
        if (mp__spin_until(&w->spin, look, w))
            return 0;
        if (w->n_sources)
            sleep_on_sources(w, d);
        else
            sleep_on_futex(w, d);
    }
    return 0;
}

// ---- the public calls --------------------------------------------------------------

static bool is_done(void *arg)
{
    mp__future_look(arg);
    return mp__future_is_done(arg);
}

int mp_future_wait(mp_future *f, int timeout_ms)
{
    static _Thread_local struct mp__spin spin;
    int r = mp__future_usable(f);
    if (r < 0)
        return r;
    if (timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (is_done(f))
        return 0;
    if (timeout_ms == 0)
        return MP_ETIMEDOUT;
    mp__deadline d = mp__deadline_in(timeout_ms);
    mp__spin_init();
    if (mp__spin_until(&spin, is_done, f))
        return 0;
    struct waiter w;
    r = watch(&w, &f, 1, MP_ALL_DONE);
    if (r < 0)
        return r;
    w.spin.off = true; // that has just been done
    r = await(&w, d);
    unwatch(&w);
    return r;
}

int64_t mp_futures_wait(mp_future *const *list, size_t n, mp_futures_until until, int timeout_ms)
{
    if (timeout_ms < MP_FOREVER || (int)until < MP_ALL_DONE || until > MP_FIRST_ERROR)
        return MP_EINVAL;
    int r = check(list, n);
    if (r < 0)
        return r;
    struct waiter w;
    r = watch(&w, list, n, until);
    if (r < 0)
        return r;
    r = await(&w, mp__deadline_in(timeout_ms));
    unwatch(&w); // nobody counts any more
    return r < 0 ? r : (int64_t)w.done;
}

// ---- as completed ------------------------------------------------------------------

struct mp_completed {
    uint64_t owner;
    size_t told;
    struct waiter waiter; // one that stays
};

int mp_futures_as_completed(mp_completed **out, mp_future *const *list, size_t n)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    int r = check(list, n);
    if (r < 0)
        return r;
    struct mp_completed *it = calloc(1, sizeof *it);
    if (!it)
        return -ENOMEM;
    it->owner = mp__fork_token();
    r = watch(&it->waiter, list, n, MP_FIRST_DONE);
    if (r < 0) {
        free(it);
        return r;
    }
    for (size_t i = 0; i < n; i++)
        mp_future_hold(list[i]);
    *out = it;
    return 0;
}

static struct place *take(struct waiter *w)
{
    pthread_mutex_lock(&w->lock);
    struct place *p = w->first;
    w->first = p->next;
    if (!w->first)
        w->last = &w->first;
    w->enough = enough_locked(w);
    pthread_mutex_unlock(&w->lock);
    return p;
}

int64_t mp_completed_next(mp_completed *it, mp_future **f, int timeout_ms)
{
    if (f)
        *f = NULL;
    if (!it || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (!mp__fork_is_mine(it->owner))
        return MP_EOWNER;
    if (it->told == it->waiter.n)
        return MP_EOF;
    int r = await(&it->waiter, mp__deadline_in(timeout_ms));
    if (r < 0)
        return r;
    struct place *p = take(&it->waiter);
    it->told++;
    if (f)
        *f = p->future;
    return p - it->waiter.places;
}

void mp_completed_free(mp_completed *it)
{
    if (!it)
        return;
    // In a forked child the locks may be held for ever, and the futures are the parent's.
    if (mp__fork_is_mine(it->owner)) {
        for (size_t i = 0; i < it->waiter.n; i++)
            mp__future_unobserve(it->waiter.places[i].future, &it->waiter.places[i].observer);
        for (size_t i = 0; i < it->waiter.n; i++)
            mp_future_free(it->waiter.places[i].future);
        release(&it->waiter);
    }
    free(it);
}
