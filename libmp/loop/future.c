// SPDX-License-Identifier: MIT
//
// Futures of libmp, which threads or processes complete, as promises of a loop.
//
// The completion comes by way of the promise, in whatever thread it happens. Where the future
// has a source, somebody here must take in its news: the loop watches the source's descriptor,
// once for all its futures, and looks now and then, since a source may be silent when somebody
// died. All that ends with the promise, whether it was kept or cancelled.
#include "loop/coro.h"

#include <errno.h>
#include <stdlib.h>

enum { LOOK_MS = 50 };

struct source_watch {
    struct source_watch *next;
    mp_future *future; // one of the source's: while it is held, there is the source
    mp_watch *watch;   // NULL: it has no descriptor
    int64_t look;      // the call
    size_t users;
};

struct wrapped {
    struct waiter waiter;         // for the end of the promise
    struct wrapped *next, **link; // in loop->wrapped
    mp_loop *loop;
    mp_coro *promise;          // held
    mp_future *future;         // held
    struct source_watch *news; // NULL: a thread completes it
};

// ---- sources ----

// In here a callback of the user may end the watch.
static void take_news(struct source_watch *s)
{
    mp_future *future = mp_future_hold(s->future);
    mp_future_source *source = mp_future_get_source(future);
    mp_future_source_progress(source, false);
    mp_future_source_progress(source, true);
    mp_future_free(future);
}

static void on_news(mp_watch *w, int events, void *arg)
{
    (void)w, (void)events;
    take_news(arg);
}

static int look_later(mp_loop *loop, struct source_watch *s);

static void on_look(void *arg)
{
    struct source_watch *s = arg;
    if (look_later(mp__loop_here, s) < 0)
        s->look = 0; // no memory: the descriptor must do
    take_news(s);
}

static int look_later(mp_loop *loop, struct source_watch *s)
{
    s->look = mp_loop_call_later(loop, LOOK_MS, on_look, s);
    return s->look < 0 ? (int)s->look : 0;
}

static void free_source_watch(struct source_watch *s)
{
    mp_future_free(s->future);
    free(s);
}

// Makes the watch on the source of a future.
static int new_source_watch(struct source_watch **out, mp_loop *loop, mp_future *f)
{
    int fd = mp_future_source_fd(mp_future_get_source(f));
    struct source_watch *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->future = mp_future_hold(f);
    int err = look_later(loop, s);
    if (!err && fd >= 0) {
        err = mp_loop_add_fd(loop, &s->watch, fd, MP_LOOP_READ, on_news, s);
        if (err)
            mp_loop_cancel(loop, s->look);
    }
    if (err) {
        free_source_watch(s);
        return err;
    }
    s->next = loop->sources;
    loop->sources = s;
    *out = s;
    return 0;
}

// The watch on its source, made when it is first needed.
static int watch_source(struct source_watch **out, mp_loop *loop, mp_future *f)
{
    struct source_watch *s = loop->sources;
    while (s && mp_future_get_source(s->future) != mp_future_get_source(f))
        s = s->next;
    int err = s ? 0 : new_source_watch(&s, loop, f);
    if (err)
        return err;
    s->users++;
    *out = s;
    return 0;
}

static void unwatch_source(mp_loop *loop, struct source_watch *s)
{
    if (!s || --s->users > 0)
        return;
    struct source_watch **at = &loop->sources;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    mp_watch_close(s->watch);
    if (s->look)
        mp_loop_cancel(loop, s->look);
    free_source_watch(s);
}

// ---- wrapping ----

static void free_wrapped(struct wrapped *w)
{
    mp_future_free(w->future);
    mp_coro_free(w->promise);
    free(w);
}

static void promise_done(struct waiter *waiter, mp_coro *t)
{
    struct wrapped *w = (struct wrapped *)waiter;
    (void)t;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    unwatch_source(w->loop, w->news);
    free_wrapped(w);
}

static void link_wrapped(struct wrapped *w)
{
    w->next = w->loop->wrapped;
    w->link = &w->loop->wrapped;
    if (w->next)
        w->next->link = &w->next;
    w->loop->wrapped = w;
    w->waiter.tell = promise_done;
    mp__waiter_add(&w->waiter, w->promise);
}

// Both in whichever thread completes the future. MP_ECLOSED: nobody waits any more.
static int keep_promise(mp_future *f, void *arg)
{
    (void)f;
    mp_coro_set_threadsafe(arg, 0, NULL);
    mp_coro_free(arg);
    return 0;
}

static int keep_with_outcome(mp_future *f, void *arg)
{
    mp_coro_set_threadsafe(arg, mp_future_error(f, 0), NULL);
    mp_coro_free(arg);
    return 0;
}

// Makes a promise that `keep` keeps.
static int wrap(mp_coro **out, mp_loop *loop, mp_future *f, mp_future_fn *keep)
{
    mp_future_source *source = mp_future_get_source(f);
    struct wrapped *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->loop = loop;
    w->future = mp_future_hold(f);
    int err = mp_coro_promise(&w->promise, loop);
    if (!err && source)
        err = watch_source(&w->news, loop, f);
    if (!err) {
        err = mp_future_add_done_callback(f, keep, mp_coro_share(w->promise));
        if (err)
            mp_coro_free(w->promise); // the callback's, which never comes
    }
    if (err) {
        unwatch_source(loop, w->news);
        free_wrapped(w);
        return err;
    }
    *out = mp_coro_share(w->promise);
    link_wrapped(w);
    mp_future_source_progress(source, true);
    return 0;
}

int mp_coro_wrap_future(mp_coro **out, mp_loop *loop, mp_future *f)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    if (!loop)
        loop = mp_loop_current();
    int err = loop ? mp__loop_check(loop) : MP_ESTATE;
    if (err)
        return err;
    return f ? wrap(out, loop, f, keep_with_outcome) : MP_EINVAL;
}

int mp_await_future(mp_future *f, int timeout_ms)
{
    int err;
    mp_coro *promise, *me = mp__coro_may_await(timeout_ms, &err);
    if (!me)
        return err;
    if (!f)
        return MP_EINVAL;
    if (mp_future_done(f))
        return 0;
    err = wrap(&promise, me->loop, f, keep_promise);
    if (err)
        return err;
    err = mp__coro_await_done(me, promise, timeout_ms);
    if (err)
        mp_coro_cancel(promise); // nobody waits for it any more
    mp_coro_free(promise);
    return err;
}

void mp__future_drop_all(mp_loop *loop)
{
    while (loop->wrapped) {
        struct wrapped *w = loop->wrapped;
        loop->wrapped = w->next;
        mp__waiter_remove(&w->waiter);
        free_wrapped(w);
    }
    while (loop->sources) {
        struct source_watch *s = loop->sources;
        loop->sources = s->next;
        free_source_watch(s); // its watcher and its call go with all others
    }
}
