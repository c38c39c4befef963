// SPDX-License-Identifier: MIT
//
// Awaiting a future of libmp, which threads or processes complete.
//
// The completion comes by way of a promise, in whatever thread it happens. Where the future
// has a source, somebody here must take in its news: the loop watches the source's descriptor,
// once for all tasks that await something from it.
#include "loop/coro.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

enum { LOOK_MS = 50 }; // a source may be silent when somebody died

struct source_watch {
    struct source_watch *next;
    mp_future_source *source;
    mp_watch *watch;
    size_t users;
};

static void news(mp_watch *w, int events, void *arg)
{
    (void)w, (void)events;
    mp_future_source_progress(arg, false);
    mp_future_source_progress(arg, true);
}

// The watch on a source, made at its first use. NULL: there is nothing to watch, or no room
// for it; then looking now and then must do.
static struct source_watch *watch_source(mp_loop *loop, mp_future_source *source)
{
    struct source_watch *s = loop->sources;
    while (s && s->source != source)
        s = s->next;
    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s || mp_loop_add_fd(loop, &s->watch, mp_future_source_fd(source), MP_LOOP_READ, news,
                                 source) < 0) {
            free(s);
            return NULL;
        }
        s->source = source;
        s->next = loop->sources;
        loop->sources = s;
    }
    s->users++;
    return s;
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
    free(s);
}

void mp__future_drop_all(mp_loop *loop)
{
    while (loop->sources) {
        struct source_watch *s = loop->sources;
        loop->sources = s->next;
        free(s); // its watcher is closed with all others
    }
}

// In whichever thread completes the future.
static int keep_promise(mp_future *f, void *arg)
{
    (void)f;
    mp_coro_set_threadsafe(arg, 0, NULL); // MP_ECLOSED: nobody waits any more
    mp_coro_free(arg);
    return 0;
}

static int await_with_source(mp_coro *me, mp_coro *promise, mp_future_source *source,
                             int timeout_ms)
{
    mp__deadline end = mp__deadline_in(timeout_ms);
    struct source_watch *s = watch_source(me->loop, source);
    int err;
    do {
        mp_future_source_progress(source, true);
        int64_t left = mp__left_ns(end);
        int ms = left < (int64_t)LOOK_MS * 1000000 ? mp__left_ms(end) : LOOK_MS;
        err = mp__coro_await_done(me, promise, ms);
    } while (err == MP_ETIMEDOUT && mp__left_ns(end) > 0);
    unwatch_source(me->loop, s);
    return err;
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
    err = mp_coro_promise(&promise, me->loop);
    if (err)
        return err;
    err = mp_future_add_done_callback(f, keep_promise, mp_coro_share(promise));
    if (err) {
        mp_coro_free(promise); // the callback's, which never comes
    } else {
        mp_future_source *source = mp_future_get_source(f);
        mp_future_hold(f); // and with it its source
        err = source ? await_with_source(me, promise, source, timeout_ms)
                     : mp__coro_await_done(me, promise, timeout_ms);
        mp_future_free(f);
    }
    mp_coro_free(promise);
    return err;
}
