// SPDX-License-Identifier: MIT
//
// The life of a connection: made and freed here, by the main thread; what happens in between
// comes from NNG's threads (the stream) and from the main thread (bells, timers).
#include "link.h"

#include "alive.h"
#include "base/clock.h"
#include "base/log.h"
#include "door.h"

#include <errno.h>
#include <mp/log.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define MS          INT64_C(1000000)
#define GREET_MS    5000 // who connects to us has so long to say who it is
#define REFUSE_MS   1000
#define WS_FIRST_MS 3000 // for the answer of one that may know our subprotocol
#define FOREIGN_MS  100  // to take what was sent last

static unsigned count;

unsigned link_count(void)
{
    return count;
}

void link_dead(struct link *l)
{
    l->phase = DEAD;
    wire_close(&l->wire);
    loop_post(&l->work);
}

void link_fail(struct link *l, int err, const char *format, ...)
{
    va_list a;
    va_start(a, format);
    vsnprintf(l->text, sizeof l->text, format, a);
    va_end(a);
    l->err = err;
    link_dead(l);
}

static void fail_nng(struct link *l, int err)
{
    link_fail(l, error_of_nng(err), "%s", text_of_nng(err));
}

// ---- from NNG's threads ------------------------------------------------------------------

static void on_sent(void *arg, int err)
{
    struct link *l = arg;
    pthread_mutex_lock(&l->lock);
    if (wire_sent(&l->wire, &err) && l->phase != DEAD) {
        atomic_store(&l->moved_at, mp__now());
        if (err && l->phase < RUNNING)
            fail_nng(l, err);
        else if (err)
            out_lost(l);
        else if (l->say_sent < l->say_len || l->phase < RUNNING)
            greet_said(l);
        else
            out_sent(l);
    }
    pthread_mutex_unlock(&l->lock);
}

static void on_received(void *arg, int err)
{
    struct link *l = arg;
    pthread_mutex_lock(&l->lock);
    wire_came(&l->wire, &err);
    if (l->phase != DEAD) {
        atomic_store(&l->moved_at, mp__now());
        if (err && l->phase < RUNNING)
            fail_nng(l, err);
        else if (err)
            in_lost(l, err);
        else if (l->phase < RUNNING)
            greet_heard(l);
        else
            in_run(l);
    }
    pthread_mutex_unlock(&l->lock);
}

static void on_rested(void *arg)
{
    struct link *l = arg;
    pthread_mutex_lock(&l->lock);
    if (l->phase != DEAD)
        wire_look(&l->wire);
    pthread_mutex_unlock(&l->lock);
}

static void on_dialed(void *arg)
{
    struct link *l = arg;
    pthread_mutex_lock(&l->lock);
    l->dialed = true;
    loop_post(&l->work);
    pthread_mutex_unlock(&l->lock);
}

// ---- from the channel --------------------------------------------------------------------

static void on_bell(struct source *s, uint32_t events)
{
    struct link *l = OWNER_OF(s, struct link, bell);
    (void)events; // edge-triggered: the count need not be read
    pthread_mutex_lock(&l->lock);
    out_run(l);
    pthread_mutex_unlock(&l->lock);
}

static void linger(struct link *l)
{
    atomic_store(&l->moved_at, mp__now());
    loop_set_timer(&l->timer, l->terms->linger_ms * MS);
}

static void on_sock(struct source *s, uint32_t events)
{
    struct link *l = OWNER_OF(s, struct link, sock);
    pthread_mutex_lock(&l->lock);
    mp__pump_hush(&l->channel);
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        atomic_fetch_or(&l->channel.ended, MP__GONE);
        if (!l->user_gone && l->phase == RUNNING)
            linger(l);
        l->user_gone = true;
        if (l->phase < RUNNING)
            link_fail(l, MP_ECANCELED, "the caller is gone");
    }
    out_run(l);
    if (l->phase == RUNNING)
        in_run(l);
    pthread_mutex_unlock(&l->lock);
}

// ---- making ------------------------------------------------------------------------------

static void do_work(struct work *w);
static void on_timer(struct timer *t);

static struct link *make(struct terms *t)
{
    struct link *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->wire.sent = on_sent;
    l->wire.received = on_received;
    l->wire.rested = on_rested;
    l->wire.arg = l;
    if (wire_init(&l->wire) != 0 || !(l->out.buffer = malloc(WIRE_BUFFER))) {
        wire_fini(&l->wire);
        free(l);
        return NULL;
    }
    pthread_mutex_init(&l->lock, NULL);
    l->terms = terms_hold(t);
    l->protocol = t->protocol;
    l->peer = mp__sp_peer(t->protocol);
    l->work.run = do_work;
    l->timer.ring = on_timer;
    l->bell.ready = on_bell;
    l->sock.ready = on_sock;
    count++;
    return l;
}

// Both ends of the channel are watched by edges: out_run() and in_run() look for themselves.
static int take_channel(struct link *l, const struct mp__channel *channel)
{
    l->channel = *channel;
    l->has_channel = true;
    int r = loop_watch(l->channel.bell, EPOLLIN | EPOLLET, &l->bell);
    if (r == 0)
        r = loop_watch(l->channel.sock, EPOLLIN | EPOLLRDHUP | EPOLLET, &l->sock);
    return r;
}

static void answer(struct link *l, int err)
{
    struct mp__answer a = {.magic = MP__REQUEST_MAGIC, .err = err};
    if (!l->has_channel)
        return;
    if (err)
        answer_failure(&a, err, "%s", l->text);
    else
        a.max_size = l->mp ? l->theirs.max_size : l->channel.max_size;
    if (mp__pump_begin(&l->channel, sizeof a) &&
        mp__pump_put(&l->channel, &a, sizeof a, sizeof a) == sizeof a)
        mp__channel_publish(&l->channel);
}

static void destroy(struct link *l)
{
    bool ready = l->phase == DEAD && !l->err;
    if (!ready && l->door)
        mp_log(MP_LOG_INFO, "%s: a peer was turned away: %s", l->terms->url, l->text);
    if (!ready && !l->door)
        answer(l, l->err);
    if (l->door)
        door_forget(l->door, l);
    loop_stop_timer(&l->timer);
    if (l->dial)
        nng_aio_stop(l->dial);
    nng_aio_free(l->dial);
    wire_fini(&l->wire);
    if (l->dialer)
        nng_stream_dialer_free(l->dialer);
    loop_cancel(&l->work);
    if (l->out.message)
        nng_msg_free(l->out.message);
    if (l->has_channel) {
        loop_unwatch(l->channel.bell);
        loop_unwatch(l->channel.sock);
        mp__channel_close(&l->channel);
        mp__channel_release(&l->channel);
    }
    pthread_mutex_destroy(&l->lock);
    terms_drop(l->terms);
    free(l->out.buffer);
    free(l);
    count--;
}

// ---- connecting --------------------------------------------------------------------------

static int set_ws(nng_stream_dialer *d, const struct terms *t, bool plain)
{
    char protocol[64];
    snprintf(protocol, sizeof protocol, "%s%s.sp.nanomsg.org", plain ? "" : "mp1.",
             mp__sp_name(mp__sp_peer(t->protocol)));
    int r = nng_stream_dialer_set_bool(d, "ws:msgmode", true);
    if (r == 0)
        r = nng_stream_dialer_set_string(d, NNG_OPT_WS_PROTOCOL, protocol);
    if (r == 0)
        r = nng_stream_dialer_set_size(d, NNG_OPT_RECVMAXSZ, terms_whole_max(t));
    if (r == 0)
        r = nng_stream_dialer_set_size(d, NNG_OPT_WS_RECVMAXFRAME, terms_whole_max(t));
    return r;
}

static void dial(struct link *l)
{
    struct terms *t = l->terms;
    if (l->dialer)
        nng_stream_dialer_free(l->dialer);
    l->dialer = NULL;
    int r = nng_stream_dialer_alloc(&l->dialer, t->url);
    if (r == 0 && t->transport == MP__WS)
        r = set_ws(l->dialer, t, l->plain);
    if (r == 0 && t->tls)
        r = nng_stream_dialer_set_ptr(l->dialer, NNG_OPT_TLS_CONFIG, t->tls);
    if (r == 0 && !l->dial)
        r = nng_aio_alloc(&l->dial, on_dialed, l);
    if (r) {
        fail_nng(l, r);
        return;
    }
    bool first = t->transport == MP__WS && !l->plain;
    nng_aio_set_timeout(l->dial, first ? WS_FIRST_MS : NNG_DURATION_INFINITE);
    nng_stream_dialer_dial(l->dialer, l->dial);
}

void link_connect(struct terms *t, struct mp__channel *channel)
{
    struct link *l = make(t);
    if (!l) {
        mp__channel_release(channel);
        return;
    }
    pthread_mutex_lock(&l->lock);
    int r = take_channel(l, channel);
    l->plain = t->foreign;
    if (r < 0)
        link_fail(l, r, "mpproxy cannot watch one more connection");
    else
        dial(l);
    pthread_mutex_unlock(&l->lock);
    if (t->timeout_ms >= 0)
        loop_set_timer(&l->timer, t->timeout_ms * MS);
}

static void set_tcp(nng_stream *s, int alive_ms)
{
    nng_stream_set_bool(s, NNG_OPT_TCP_NODELAY, true); // not all transports have them
    nng_stream_set_bool(s, NNG_OPT_TCP_KEEPALIVE, true);
    if (alive_ms > 0)
        alive_within(s, alive_ms);
}

// Who does not know our subprotocol says so, or falls silent, or closes.
static bool may_be_foreign(int err)
{
    return err == NNG_EPROTO || err == NNG_ETIMEDOUT || err == NNG_ECLOSED ||
           err == NNG_ECONNSHUT || err == NNG_ECONNRESET;
}

static void dialed(struct link *l)
{
    int r = nng_aio_result(l->dial);
    bool ws = l->terms->transport == MP__WS;
    l->dialed = false;
    if (ws && !l->plain && may_be_foreign(r)) {
        l->plain = true;
        dial(l);
    } else if (r) {
        fail_nng(l, r);
    } else {
        nng_stream *s = nng_aio_get_output(l->dial, 0);
        set_tcp(s, l->terms->alive_ms);
        l->mp = ws && !l->plain;
        r = wire_attach(&l->wire, s, l->terms->transport);
        if (r)
            fail_nng(l, r);
        else
            greet_begin(l);
    }
}

// The peer did not understand our hello: once more, with SP's.
static void redial(struct link *l)
{
    l->redial = l->presumed = false;
    l->plain = true;
    l->heard_len = l->say_len = l->say_sent = 0;
    pthread_mutex_unlock(&l->lock);
    wire_fini(&l->wire);
    pthread_mutex_lock(&l->lock);
    if (wire_init(&l->wire) != 0)
        link_fail(l, -ENOMEM, "mpproxy is out of memory");
    else
        dial(l);
}

// ---- accepting ---------------------------------------------------------------------------

// Who connects over ws asks for what it wants us to be.
static void read_subprotocol(struct link *l, const char *name)
{
    l->mp = strncmp(name, "mp1.", 4) == 0;
    if (strncmp(name, "pull.", 5) == 0)
        greet_foreign(l, MP__SP_PUSH0);
    else if (strncmp(name, "push.", 5) == 0)
        greet_foreign(l, MP__SP_PULL0);
}

struct link *link_accept(struct door *d, struct terms *t, nng_stream *stream)
{
    char *protocol = NULL;
    struct link *l = make(t);
    if (!l) {
        nng_stream_free(stream);
        return NULL;
    }
    l->door = d;
    set_tcp(stream, t->alive_ms);
    if (t->transport == MP__WS &&
        nng_stream_get_string(stream, NNG_OPT_WS_REQUEST_HEADER "Sec-WebSocket-Protocol",
                              &protocol) == 0)
        read_subprotocol(l, protocol);
    nng_strfree(protocol);
    pthread_mutex_lock(&l->lock);
    int r = wire_attach(&l->wire, stream, t->transport);
    if (r)
        fail_nng(l, r);
    else
        greet_begin(l);
    pthread_mutex_unlock(&l->lock);
    loop_set_timer(&l->timer, GREET_MS * MS);
    return l;
}

void link_run(struct link *l, const struct mp__channel *channel)
{
    pthread_mutex_lock(&l->lock);
    int r = channel ? take_channel(l, channel) : 0;
    if (r < 0 || l->phase != READY) { // lost at the last moment: the user sees that it is closed
        l->err = channel ? 0 : l->err;
        link_dead(l);
    } else {
        loop_stop_timer(&l->timer);
        l->door = NULL;
        l->phase = RUNNING;
        if (l->wire.messages && !l->mp)
            l->channel.max_size = terms_whole_max(l->terms);
        if (!channel)
            answer(l, 0);
        out_run(l);
        in_run(l);
    }
    pthread_mutex_unlock(&l->lock);
}

bool link_is_ready(struct link *l)
{
    pthread_mutex_lock(&l->lock);
    bool ready = l->phase == READY;
    pthread_mutex_unlock(&l->lock);
    return ready;
}

// ---- ending ------------------------------------------------------------------------------

void link_drop(struct link *l)
{
    pthread_mutex_lock(&l->lock);
    if (l->phase != DEAD)
        link_fail(l, MP_ECANCELED, "the listener is closed, or has too many at its door");
    pthread_mutex_unlock(&l->lock);
}

// After its user's end a connection has its linger time from the last step on.
static void ring_running(struct link *l)
{
    int64_t rest = l->out.over && !l->mp ? FOREIGN_MS * MS : l->terms->linger_ms * MS;
    int64_t left = atomic_load(&l->moved_at) + rest - mp__now();
    if (left <= 0)
        link_dead(l);
    else
        loop_set_timer(&l->timer, left);
}

static void on_timer(struct timer *t)
{
    struct link *l = OWNER_OF(t, struct link, timer);
    pthread_mutex_lock(&l->lock);
    if (l->phase == REFUSING)
        greet_refuse(l);
    else if (l->phase == RUNNING)
        ring_running(l);
    else if (l->phase < READY)
        fail_nng(l, NNG_ETIMEDOUT);
    pthread_mutex_unlock(&l->lock);
}

static void do_work(struct work *w)
{
    struct link *l = OWNER_OF(w, struct link, work);
    pthread_mutex_lock(&l->lock);
    if (l->phase == DIALING && l->dialed)
        dialed(l);
    else if (l->phase == DIALING && l->redial)
        redial(l);
    enum phase phase = l->phase;
    if (phase == REFUSING)
        loop_set_timer(&l->timer, l->reason == MP__REFUSE_KEY ? REFUSE_MS * MS : 0);
    if (phase == RUNNING && l->out.over && !l->mp)
        ring_running(l);
    pthread_mutex_unlock(&l->lock);
    if (phase == DEAD)
        destroy(l);
    else if (phase == READY && l->door)
        door_ready(l->door, l);
    else if (phase == READY)
        link_run(l, NULL);
}
