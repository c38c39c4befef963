// SPDX-License-Identifier: MIT
//
// Answers that complete futures. The connection is their source: whoever waits for one of them
// takes in what has come, files it as any other reader does, and completes those whose answers are
// there. A connection that is lost completes all of them.
#include "session.h"

#include "os/fork.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// A request with a future whose answer is there, or will not come. The lock is held.
static struct mp__waiting *next_settled(mp_manager *m)
{
    for (int i = 0; m->futures && i < MP__REQUESTS; i++) {
        struct mp__waiting *w = &m->requests[i];
        if (w->future && (w->state == MP__ANSWERED || (w->state == MP__WAITS && m->lost)))
            return w;
    }
    return NULL;
}

static void complete(mp_future *f, int status, const mp_buf *reply)
{
    const char *text = NULL;
    char why[200] = "";
    size_t size;
    if (status == 0 || status == MP_EOWNERDEAD) {
        mp_future_set_result(f, reply->data, reply->size);
        return;
    }
    if (mp_unpack(reply->data, reply->size, "s#", &text, &size) == 0 && size < sizeof why)
        memcpy(why, text, size);
    mp_future_set_error(f, status, 0, *why ? why : NULL);
}

void mp__futures_settle(mp_manager *m)
{
    struct mp__waiting *w;
    pthread_mutex_lock(&m->lock);
    while (mp__fork_is_mine(m->owner) && (w = next_settled(m))) {
        mp_future *f = w->future;
        mp_buf reply = w->reply;
        int status = w->state == MP__ANSWERED ? w->status : m->lost;
        w->future = NULL;
        w->reply = (mp_buf){0};
        m->futures--;
        mp__request_done(m, w);
        pthread_mutex_unlock(&m->lock); // callbacks may call us
        complete(f, status, &reply);
        mp_future_free(f);
        mp_buf_free(&reply);
        pthread_mutex_lock(&m->lock);
    }
    pthread_mutex_unlock(&m->lock);
}

static void progress(void *arg, bool arm)
{
    mp_manager *m = arg;
    (void)arm; // the descriptor tells by itself
    pthread_mutex_lock(&m->lock);
    if (mp__fork_is_mine(m->owner))
        mp__session_drain(m);
    pthread_mutex_unlock(&m->lock);
    mp__futures_settle(m);
}

// A call that is under way will be done.
static int cancel(void *arg, mp_future *f)
{
    (void)arg;
    (void)f;
    return MP_ESTATE;
}

static const mp_future_source_ops ops = {progress, cancel};

// The source is made with the first future; after a reconnect the descriptor is another.
static int make_future(mp_manager *m, mp_future **out)
{
    int fd = mp_manager_fd(m), r = fd < 0 ? fd : 0;
    pthread_mutex_lock(&m->lock);
    bool stale = m->source && mp_future_source_fd(m->source) != fd && m->futures == 0;
    mp_future_source *old = stale ? m->source : NULL;
    if (stale)
        m->source = NULL;
    if (r == 0 && !m->source)
        r = mp_future_source_new(&m->source, fd, &ops, m);
    mp_future_opts o = {.source = m->source};
    if (r == 0)
        r = mp_future_new(out, &o);
    pthread_mutex_unlock(&m->lock);
    mp_future_source_free(old);
    return r;
}

int mp_call_future_args(mp_proxy *p, mp_future **out, int timeout_ms, const char *method,
                        const char *types, const char *format, ...)
{
    struct mp__waiting *w;
    mp_future *f = NULL;
    va_list args;
    if (out)
        *out = NULL;
    if (!p || !out)
        return MP_EINVAL;
    int r = make_future(p->m, &f);
    if (r < 0)
        return r;
    va_start(args, format);
    r = mp__call_begin(p, &w, timeout_ms, method, types, format, &args);
    va_end(args);
    if (r < 0) {
        mp_future_set_error(f, r, 0, NULL);
        (void)!mp_future_error(f, 0); // looked at
        mp_future_free(f);
        return r;
    }
    w->future = mp_future_hold(f);
    p->m->futures++;
    pthread_mutex_unlock(&p->m->lock);
    *out = f;
    return 0;
}
