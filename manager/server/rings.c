// SPDX-License-Identifier: MIT
//
// Channels: looking at those that are in use without being rung, and giving a local client one
// when it asks.
//
// Waking a sleeper costs more than thirty calls. So a client that said something lately is on
// the hot list, and the server goes round that list, and waits for more with the library's one
// way to wait: it spins for a while, then asks all of them to ring, looks once more, and goes
// back to the loop. A client that says nothing for a while goes off the list by itself, so that
// a thousand that are idle cost the one that is busy nothing. The kernel gets its turn every
// ROUND_NS, and nobody more than FAIR messages before the next has his.
#include "base/clock.h"
#include "channel/give.h"
#include "os/fdpass.h"
#include "server.h"
#include "wire/buf.h"

#include <errno.h>
#include <string.h>

#define FAIR     64
#define ROUND_NS 100000
#define COLD_NS  2000000 // silent so long: off the list

#define RING_FIRST ((size_t)16 << 10)
#define RING_MAX   ((size_t)1 << 20)

// ---- messages from a channel ---------------------------------------------------------

static bool ring_ended(struct conn *c, int r)
{
    conn_die(c, r == MP_EOF ? "it closed" : "it broke its ring");
    return false;
}

// The message that is begun, as far as it is there. True: it was whole, and is handed over.
static bool take_message(struct conn *c)
{
    struct server *s = c->server;
    struct mp__channel *ch = conn_channel(c);
    size_t want = c->in_left < SERVER_SCRATCH ? (size_t)c->in_left : SERVER_SCRATCH;
    int64_t n = mp__pump_take(ch, s->scratch, want);
    if (n < 0)
        return ring_ended(c, (int)n);
    c->in_left -= (uint64_t)n;
    bool whole = c->in.size == 0 && c->in_left == 0;
    if (!whole && mp__buf_append(&c->in, s->scratch, (size_t)n) < 0)
        return ring_ended(c, -ENOMEM);
    if (c->in_left > 0) {
        mp__channel_give_back(ch);
        return n > 0; // there may be more
    }
    if (mp__pump_end_message(ch) < 0)
        return ring_ended(c, MP_EPROTO);
    c->in_message = false;
    if (whole)
        conn_message(c, s->scratch, (size_t)n);
    else
        conn_message(c, c->in.data, c->in.size);
    if (!whole)
        mp_buf_free(&c->in);
    return true;
}

static bool begin_message(struct conn *c)
{
    uint64_t size;
    int r = mp__pump_next(conn_channel(c), &size);
    if (r < 0)
        return ring_ended(c, r);
    if (r == 0)
        return false;
    c->in_message = true;
    c->in_left = size;
    c->bytes_in += size;
    c->server->total.bytes_in += size;
    return true;
}

// A message that has begun is always read to its end: its sender cannot do anything else
// before that. The next one waits while the client has to take what it asked for.
bool conn_read_ring(struct conn *c)
{
    int n = 0;
    for (; n < FAIR && c->phase == GREETED; n++) {
        if (!c->in_message && (conn_is_blocked(c) || !begin_message(c)))
            break;
        if (!take_message(c))
            break;
    }
    if (n && c->phase != DEAD)
        mp__channel_give_back(conn_channel(c));
    return n > 0;
}

// ---- the hot list --------------------------------------------------------------------

static void rings_run(void *arg);

static void schedule(struct server *s)
{
    if (!s->hot_due && s->hot)
        s->hot_due = mp_loop_call_soon(s->loop, rings_run, s) > 0;
}

void rings_heard(struct conn *c)
{
    struct server *s = c->server;
    if (!c->hot && c->phase == GREETED) {
        c->hot = true;
        c->next_hot = s->hot;
        s->hot = c;
        c->heard_at = mp__now();
    }
    schedule(s);
}

void rings_forget(struct conn *c)
{
    struct conn **p = &c->server->hot;
    while (c->hot && *p && *p != c)
        p = &(*p)->next_hot;
    if (c->hot && *p)
        *p = c->next_hot;
    c->hot = false;
}

static bool wants_reading(struct conn *c)
{
    return c->phase == GREETED && (c->in_message || !conn_is_blocked(c));
}

static bool somebody_speaks(void *arg)
{
    struct server *s = arg;
    for (struct conn *c = s->hot; c; c = c->next_hot)
        if (mp__channel_readable(conn_channel(c)))
            return true;
    return false;
}

// Once round the list. Who is not to be read now leaves it: conn_flush() brings it back.
static bool go_round(struct server *s, int64_t now)
{
    bool any = false;
    for (struct conn **p = &s->hot, *c; (c = *p);) {
        if (!wants_reading(c)) {
            *p = c->next_hot;
            c->hot = false;
            continue;
        }
        if (mp__channel_readable(conn_channel(c)) && conn_read_ring(c)) {
            c->heard_at = now;
            any = true;
            if (c->phase == GREETED && !c->pipe->remote)
                conn_flush(c); // at once: it waits for it
        }
        p = &c->next_hot;
    }
    return any;
}

// Those that have been silent since `since` are asked to ring, and leave unless they speak
// just now.
static void cool(struct server *s, int64_t since)
{
    for (struct conn *c = s->hot; c; c = c->next_hot)
        if (c->heard_at <= since)
            mp__channel_arm(conn_channel(c));
    atomic_thread_fence(memory_order_seq_cst);
    for (struct conn **p = &s->hot, *c; (c = *p);) {
        if (c->heard_at <= since && !mp__channel_readable(conn_channel(c))) {
            *p = c->next_hot;
            c->hot = false;
        } else {
            p = &c->next_hot;
        }
    }
}

static void rings_run(void *arg)
{
    struct server *s = arg;
    int64_t now = mp__now(), until = now + ROUND_NS;
    s->hot_due = false;
    cool(s, now - COLD_NS);
    for (unsigned i = 1; s->hot; i++) {
        if (go_round(s, now)) {
            server_settle(s);
        } else if (!mp__spin_until(&s->spin, somebody_speaks, s)) {
            cool(s, INT64_MAX);
            break;
        }
        if (i % 16 == 0 && (now = mp__now()) >= until)
            break;
    }
    server_settle(s);
    schedule(s);
}

// ---- bells ---------------------------------------------------------------------------

static void on_bell(mp_watch *w, int events, void *arg)
{
    struct conn *c = arg;
    (void)w;
    (void)events;
    mp__channel_woken(conn_channel(c), true, false);
    rings_heard(c);
}

// There is room again, or the other end is gone; then what it had sent is still read.
static void on_sock(mp_watch *w, int events, void *arg)
{
    struct conn *c = arg;
    (void)w;
    (void)events;
    mp__pump_hush(conn_channel(c));
    bool gone = mp__channel_look_gone(conn_channel(c));
    if (gone)
        mp_watch_set_events(c->sock, 0);
    if (conn_waiting(c))
        conn_flush(c);
    if (gone && !wants_reading(c))
        conn_die(c, "it closed");
    else
        rings_heard(c);
    server_settle(c->server);
}

int conn_watch_channel(struct conn *c)
{
    struct mp__channel *ch = conn_channel(c);
    mp_loop *loop = c->server->loop;
    int r = mp_loop_add_fd(loop, &c->bell, ch->bell, MP_LOOP_READ, on_bell, c);
    if (r == 0)
        r = mp_loop_add_fd(loop, &c->sock, ch->sock, MP_LOOP_READ, on_sock, c);
    return r;
}

// ---- giving a channel ----------------------------------------------------------------

// Sends the far end of a pipe, which is the client's from then on.
static int send_end(struct conn *c, mp_pipe *far, const struct mp__channel_opts *o)
{
    int fds[MP__CHANNEL_FDS];
    uint8_t frame[MP__FRAME + MP__RINGS];
    mp__frame_write(frame, MP__FRAME_RINGS, MP__RINGS);
    mp__put_be64(frame + MP__FRAME, o->ring_size);
    mp__put_be64(frame + MP__FRAME + 8, o->ring_max);
    mp__put_be64(frame + MP__FRAME + 16, o->max_size);
    mp__channel_export(&far->channel, fds);
    return mp__fds_send(c->fd, fds, MP__CHANNEL_FDS, frame, sizeof frame);
}

static int give(struct conn *c)
{
    const struct mp__channel_opts o = {
        .ring_size = RING_FIRST, .ring_max = RING_MAX, .max_size = c->server->options->max_message};
    mp_pipe *near, *far;
    int r = mp__pipe_new(&near, &far, &o);
    if (r < 0)
        return r;
    r = send_end(c, far, &o);
    mp__pipe_give_end(far, true);
    mp_pipe_free(far);
    if (r < 0) {
        mp_pipe_free(near);
        return r;
    }
    c->pipe = near;
    c->server->total.rings++;
    if (conn_watch_channel(c) < 0)
        conn_die(c, "no memory");
    else
        rings_heard(c);
    return 0;
}

// The answer goes through the socket, behind all that went before: the client reads nothing
// there any more after it. When something still waits there, it is to ask later.
void conn_offer_rings(struct conn *c)
{
    if (c->pipe || c->req)
        conn_die(c, "it asked for rings twice");
    if (c->phase == DEAD)
        return;
    conn_flush(c);
    if (c->phase != DEAD && (c->server->options->no_rings || conn_waiting(c) || give(c) < 0))
        conn_frame(c, MP__FRAME_RINGS, NULL, 0);
}
