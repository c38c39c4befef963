// SPDX-License-Identifier: MIT
//
// Requests go out, answers come in, and several threads share a session.
//
// Each request has a place in a table, and its id says which. Whoever waits for an answer and
// finds nobody reading becomes the reader: it reads without the lock, files what comes at its
// place, and goes when its own has come; then another of those who wait reads on. So there is
// no thread of ours, and one that waits for a lock keeps no other from its work. Sending is
// under the lock and short: only the rest of a message that has begun is waited for.
#include "session.h"

#include "wire/check.h"
#include "wire/format.h"
#include "wire/frame.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define BURST      100 // calls in a second: then rings are worth their memory
#define BURST_NS   1000000000
#define SLICE_NS   10000000           // a sender without room looks so often
#define REPLY_KEEP ((size_t)48 << 10) // a place keeps a buffer of no more
#define PREFIX     48 // before the arguments: the frame's head and that of the request

// ---- places --------------------------------------------------------------------------

void mp__event_drop(struct mp__waiting *w)
{
    struct mp__event *e = w->first;
    w->first = e->next;
    if (!w->first)
        w->last = NULL;
    free(e);
}

static void clear_place(struct mp__waiting *w)
{
    while (w->first)
        mp__event_drop(w);
    mp_future_free(w->future); // in a forked child: its parent's
    w->future = NULL;
    w->state = MP__FREE;
    if (w->reply.capacity > REPLY_KEEP)
        mp_buf_free(&w->reply);
}

void mp__requests_clear(mp_manager *m)
{
    for (int i = 0; i < MP__REQUESTS; i++) {
        clear_place(&m->requests[i]);
        mp_buf_free(&m->requests[i].reply);
    }
    m->in_flight = m->futures = 0;
}

// The lowest bits of an id are its place, the others make it new each time.
static struct mp__waiting *take_place(mp_manager *m)
{
    for (int i = 0; i < MP__REQUESTS; i++) {
        struct mp__waiting *w = &m->requests[m->next_free++ % MP__REQUESTS];
        if (w->state != MP__FREE)
            continue;
        m->numbered = (m->numbered + 1) & 0x3fffff;
        w->id = m->numbered * MP__REQUESTS + (uint64_t)(w - m->requests);
        w->state = MP__WAITS;
        m->in_flight++;
        return w;
    }
    return NULL;
}

void mp__request_done(mp_manager *m, struct mp__waiting *w)
{
    clear_place(w);
    m->in_flight--;
}

void mp__request_forget(mp_manager *m, struct mp__waiting *w)
{
    if (w->state == MP__ANSWERED || m->lost)
        mp__request_done(m, w);
    else
        w->state = MP__FORGOTTEN;
}

struct mp__waiting *mp__request_find(mp_manager *m, int64_t ticket)
{
    if (ticket <= 0)
        return NULL;
    struct mp__waiting *w = &m->requests[(uint64_t)ticket % MP__REQUESTS];
    bool known = w->id == (uint64_t)ticket && (w->state == MP__WAITS || w->state == MP__ANSWERED);
    return known ? w : NULL;
}

// ---- answers -------------------------------------------------------------------------

// [id, status, value]: what is before the value.
static int read_head(const mp_buf *b, uint64_t *id, int *status, const uint8_t **value)
{
    const uint8_t *at = b->data, *end = at + b->size;
    struct mp__head h;
    if (mp__head_read(&at, end, &h) < 0 || h.type != MP_ITEM_ARRAY || h.n != 3)
        return MP_EPROTO;
    if (mp__head_read(&at, end, &h) < 0 || h.type != MP_ITEM_INT || h.negative)
        return MP_EPROTO;
    *id = h.n;
    if (mp__head_read(&at, end, &h) < 0 || h.type != MP_ITEM_INT)
        return MP_EPROTO;
    *status = (int)(int64_t)h.n;
    *value = at;
    return 0;
}

static int keep_event(struct mp__waiting *w, const uint8_t *data, size_t size)
{
    struct mp__event *e = malloc(sizeof *e + size);
    if (!e)
        return -ENOMEM;
    e->next = NULL;
    e->size = size;
    memcpy(e->data, data, size);
    *(w->last ? &w->last->next : &w->first) = e;
    w->last = e;
    return 0;
}

// Files the message in m->in. The lock is held.
static int file(mp_manager *m)
{
    uint64_t id;
    int status;
    const uint8_t *value;
    if (read_head(&m->in, &id, &status, &value) < 0)
        return MP_ELOST;
    struct mp__waiting *w = &m->requests[id % MP__REQUESTS];
    size_t size = (size_t)((const uint8_t *)m->in.data + m->in.size - value);
    if (w->id != id || w->state == MP__FREE || w->state == MP__ANSWERED)
        return MP_ELOST; // nobody asked: the other side is mad
    if (status == 1)
        return w->state == MP__WAITS ? keep_event(w, value, size) : 0;
    if (w->state == MP__FORGOTTEN) {
        mp__request_done(m, w);
        return 0;
    }
    w->reply.size = 0;
    w->status = status;
    w->state = MP__ANSWERED;
    return mp__buf_append(&w->reply, value, size);
}

void mp__session_lose(mp_manager *m, int why)
{
    if (!m->lost)
        m->lost = why;
    mp__link_close(&m->link);
    if (m->waiters)
        pthread_cond_broadcast(&m->news);
}

// Reads one message without the lock, files it with it.
static int read_one(mp_manager *m, mp__deadline d)
{
    m->reading = true;
    pthread_mutex_unlock(&m->lock);
    int r = mp__link_recv(&m->link, &m->in, d);
    pthread_mutex_lock(&m->lock);
    m->reading = false;
    if (r == 0)
        r = file(m);
    if (m->closed)
        r = MP_ECLOSED;
    if (r < 0 && r != MP_ETIMEDOUT)
        mp__session_lose(m, r);
    if (m->waiters)
        pthread_cond_broadcast(&m->news);
    return r;
}

// Another thread reads: it tells.
static int wait_news(mp_manager *m, mp__deadline d)
{
    int r = 0;
    m->waiters++;
    if (d == MP__NEVER) {
        pthread_cond_wait(&m->news, &m->lock);
    } else {
        struct timespec t = {.tv_sec = d / 1000000000, .tv_nsec = d % 1000000000};
        r = pthread_cond_timedwait(&m->news, &m->lock, &t);
    }
    m->waiters--;
    return r == ETIMEDOUT ? MP_ETIMEDOUT : 0;
}

void mp__reader_await(mp_manager *m)
{
    while (m->reading)
        wait_news(m, MP__NEVER);
}

static int step(mp_manager *m, mp__deadline d)
{
    return m->reading ? wait_news(m, d) : read_one(m, d);
}

// A reconnect by another thread makes the place somebody else's.
int mp__request_wait(mp_manager *m, struct mp__waiting *w, mp__deadline d)
{
    uint64_t id = w->id;
    int r = 0;
    while (r == 0 && w->id == id && w->state == MP__WAITS)
        if ((r = m->lost) == 0)
            r = step(m, d);
    if (w->id != id || w->state == MP__FREE)
        return MP_ELOST;
    if (w->state == MP__ANSWERED)
        return 0;
    if (r == MP_ETIMEDOUT) { // the other side owes an answer and is silent
        mp__session_lose(m, MP_ELOST);
        r = MP_ELOST;
    }
    mp__request_forget(m, w);
    return r;
}

int mp__news_wait(mp_manager *m, struct mp__waiting *w, mp__deadline d)
{
    uint64_t id = w->id;
    int r = 0;
    while (r == 0 && w->id == id && w->state == MP__WAITS && !w->first)
        if ((r = m->lost) == 0)
            r = step(m, d);
    if (w->id != id || w->state == MP__FREE)
        return MP_ELOST;
    return w->first || w->state == MP__ANSWERED ? 0 : r;
}

mp__deadline mp__request_deadline(const mp_manager *m, const struct mp__waiting *w)
{
    if (m->patience_ms < 0 || w->timeout_ms < 0)
        return MP__NEVER;
    return mp__now() + ((int64_t)m->patience_ms + w->timeout_ms) * 1000000;
}

void mp__session_drain(mp_manager *m)
{
    while (!m->lost && !m->reading && read_one(m, 0) == 0)
        ;
}

// ---- requests ------------------------------------------------------------------------

// What comes meanwhile is taken in: the other side may have stopped reading until then.
static int make_way(mp_manager *m)
{
    int r = step(m, mp__now() + SLICE_NS);
    return r == MP_ETIMEDOUT ? 0 : r;
}

// After a burst of calls the session changes over to rings, if nobody is reading just now. The
// lock is held throughout: it takes as long as a call.
static int change_over(mp_manager *m)
{
    int64_t now = mp__now();
    bool burst = now - m->burst_at < BURST_NS;
    m->burst = 0;
    m->burst_at = now;
    if (!burst || m->reading || m->no_rings || m->link.pipe)
        return 0;
    int r = mp__link_ask_rings(&m->link);
    mp__deadline d = m->patience_ms < 0 ? MP__NEVER : now + (int64_t)m->patience_ms * 1000000;
    while (r == 0 && (r = mp__link_await_rings(&m->link, &m->in, d)) == 1)
        r = file(m);
    if (r < 0)
        mp__session_lose(m, MP_ELOST);
    return r < 0 ? MP_ELOST : 0;
}

int mp__request_begin(mp_manager *m)
{
    pthread_mutex_lock(&m->lock);
    int r = mp__session_ready(m);
    if (r == 0 && ++m->burst >= BURST)
        r = change_over(m);
    while (r == 0 && m->in_flight >= MP__REQUESTS_FREE)
        r = make_way(m);
    if (r == 0) {
        m->out.size = 0;
        r = mp__buf_reserve(&m->out, PREFIX);
        m->out.size = PREFIX;
    }
    if (r < 0)
        pthread_mutex_unlock(&m->lock);
    return r;
}

static uint8_t *put_head(uint8_t *p, uint64_t n)
{
    if (n < 0x80) {
        *p++ = (uint8_t)n;
    } else if (n <= 0xffff) {
        *p++ = 0xcd;
        mp__put_be(p, n, 2);
        p += 2;
    } else if (n <= 0xffffffff) {
        *p++ = 0xce;
        mp__put_be(p, n, 4);
        p += 4;
    } else {
        *p++ = 0xcf;
        mp__put_be64(p, n);
        p += 8;
    }
    return p;
}

// Writes the request's head right before its arguments; returns where it begins.
static uint8_t *write_head(mp_manager *m, const struct mp__waiting *w, uint64_t op, uint64_t object,
                           size_t args)
{
    uint8_t head[PREFIX], *p = head;
    if (args + 4 < 16) {
        *p++ = (uint8_t)(0x90 | (args + 4));
    } else {
        *p++ = 0xdc;
        mp__put_be(p, args + 4, 2);
        p += 2;
    }
    p = put_head(p, w->id);
    p = put_head(p, op);
    p = put_head(p, object);
    if (w->timeout_ms < 0)
        *p++ = 0xff; // -1
    else
        p = put_head(p, (uint64_t)w->timeout_ms);
    size_t n = (size_t)(p - head);
    uint8_t *begin = (uint8_t *)m->out.data + PREFIX - n;
    memcpy(begin, head, n);
    return begin;
}

int mp__request_send(mp_manager *m, struct mp__waiting **out, uint64_t op, uint64_t object,
                     int timeout_ms, size_t args)
{
    struct mp__waiting *w = take_place(m);
    int r = w ? 0 : MP_EQUOTA;
    if (w) {
        w->timeout_ms = timeout_ms;
        uint8_t *begin = write_head(m, w, op, object, args);
        size_t size = (size_t)((uint8_t *)m->out.data + m->out.size - begin);
        while ((r = mp__link_send(&m->link, begin - MP__FRAME, size, !m->reading)) == MP_EAGAIN)
            if ((r = m->lost ? m->lost : make_way(m)) < 0)
                break;
        if (r < 0 && r != MP_EMSGSIZE)
            mp__session_lose(m, r);
        if (r < 0)
            mp__request_done(m, w);
    }
    if (r < 0)
        pthread_mutex_unlock(&m->lock);
    *out = w;
    return r;
}

int mp__manager_ask(mp_manager *m, struct mp__waiting **w, uint64_t op, uint64_t object,
                    const char *format, ...)
{
    va_list args;
    int r = mp__request_begin(m);
    if (r < 0)
        return r;
    va_start(args, format);
    r = mp_vpack(&m->out, NULL, format, args);
    va_end(args);
    if (r < 0) {
        pthread_mutex_unlock(&m->lock);
        return r;
    }
    struct mp__format f;
    mp__format_init(&f, format, NULL);
    r = mp__request_send(m, w, op, object, 0, mp__format_count(&f));
    if (r == 0 && (r = mp__request_wait(m, *w, mp__request_deadline(m, *w))) < 0)
        pthread_mutex_unlock(&m->lock);
    return r;
}

int mp__request_hello(mp_manager *m, mp__deadline d)
{
    uint64_t version;
    struct mp__waiting *w = take_place(m);
    m->out.size = 0;
    int r = mp__buf_reserve(&m->out, PREFIX);
    m->out.size = PREFIX;
    if (r == 0)
        r = mp_pack(&m->out, "is", MP__MANAGER_VERSION, m->client);
    if (r == 0) {
        w->timeout_ms = 0;
        uint8_t *begin = write_head(m, w, MP__OP(MANAGER, hello), 0, 2);
        size_t size = (size_t)((uint8_t *)m->out.data + m->out.size - begin);
        r = mp__link_send(&m->link, begin - MP__FRAME, size, true);
    }
    while (r == 0 && w->state == MP__WAITS)
        if ((r = mp__link_recv(&m->link, &m->in, d)) == 0)
            r = file(m);
    if (r == 0 && (r = w->status) == 0)
        r = mp_unpack(w->reply.data, w->reply.size, "[UUU]", &version, &m->instance, &m->session);
    mp__request_done(m, w);
    return r;
}
