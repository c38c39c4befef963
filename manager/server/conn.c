// SPDX-License-Identifier: MIT
//
// The life of a connection, and messages out. What comes in is in socket.c (sockets) and
// rings.c (channels).
#include "conn.h"

#include "base/clock.h"
#include "server.h"
#include "wire/buf.h"
#include "wire/frame.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEEP ((size_t)64 << 10) // an empty buffer larger than this is given back

// ---- making --------------------------------------------------------------------------

static struct conn *new_conn(struct server *s)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->server = s;
    c->fd = c->pidfd = -1;
    c->number = ++s->numbered;
    c->since = c->moved_at = mp__now();
    c->next = s->conns;
    if (s->conns)
        s->conns->prev = c;
    s->conns = c;
    s->count++;
    s->greeting++;
    s->total.connections++;
    return c;
}

// A process that ended is a session that ended, even if a child of its has the socket still.
static void on_death(mp_watch *w, int events, void *arg)
{
    struct conn *c = arg;
    (void)w;
    (void)events;
    conn_die(c, "its process ended");
    server_settle(c->server);
}

static int watch_process(struct conn *c)
{
    c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    if (c->pidfd < 0) // 0: of another pid namespace, which the socket alone must tell of
        return c->pid > 0 && errno == ESRCH ? MP_EOF : 0;
    return mp_loop_add_fd(c->server->loop, &c->death, c->pidfd, MP_LOOP_READ, on_death, c);
}

static void on_socket(mp_watch *w, int events, void *arg)
{
    struct conn *c = arg;
    (void)w;
    if ((events & MP_LOOP_WRITE) && conn_waiting(c)) {
        conn_flush(c);
        conn_resume(c);
    }
    if ((events & MP_LOOP_READ) && c->phase != DEAD)
        conn_read_socket(c);
    server_settle(c->server);
}

int conn_local(struct server *s, int fd, pid_t pid, uid_t uid)
{
    struct conn *c = new_conn(s);
    if (!c) {
        close(fd);
        return -ENOMEM;
    }
    c->fd = fd;
    c->pid = pid;
    c->uid = uid;
    c->own = pid == getpid() || pool_is(s, pid);
    s->own += c->own;
    c->from = "local";
    c->events = MP_LOOP_READ;
    int r = watch_process(c);
    if (r == 0)
        r = mp_loop_add_fd(s->loop, &c->watch, fd, c->events, on_socket, c);
    if (r < 0)
        conn_die(c, mp_strerror(r));
    else
        conn_read_socket(c); // its hello is there already, mostly
    server_watch_time(s);
    return r;
}

int conn_remote(struct server *s, mp_pipe *pipe, const char *from)
{
    struct conn *c = new_conn(s);
    if (!c) {
        mp_pipe_free(pipe);
        return -ENOMEM;
    }
    c->pipe = pipe;
    c->from = from;
    c->uid = (uid_t)-1;
    int r = conn_watch_channel(c);
    if (r == 0)
        r = conn_greeted(c);
    if (r < 0)
        conn_die(c, mp_strerror(r));
    else
        rings_heard(c);
    return r;
}

int conn_greeted(struct conn *c)
{
    struct server *s = c->server;
    bool full = s->count - s->own > s->options->max_clients && !c->own;
    if (s->stopping || full) {
        s->total.refused++;
        return MP_EQUOTA;
    }
    unsigned flags = c->fd >= 0 ? MP__SESSION_ADMIN : 0;
    int r =
        mp__session_begin(s->core, &c->session, c, flags | (c->req ? MP__SESSION_ONE_REPLY : 0));
    if (r < 0)
        return r;
    c->phase = GREETED;
    s->greeting--;
    return 0;
}

// ---- dying ---------------------------------------------------------------------------

void conn_die(struct conn *c, const char *reason)
{
    struct server *s = c->server;
    if (c->phase == DEAD)
        return;
    if (c->phase != GREETED)
        s->greeting--;
    c->phase = DEAD;
    c->reason = reason;
    c->next_dead = s->dead;
    s->dead = c;
}

// ---- messages in ---------------------------------------------------------------------

void conn_message(struct conn *c, const void *data, size_t size)
{
    c->calls++;
    c->server->total.calls++;
    if (c->server->monitors)
        admin_mirror(c, data, size);
    int r = mp__core_feed(c->server->core, c->session, data, size, mp__now());
    if (r < 0)
        conn_die(c, "it sent what is no request");
}

bool conn_is_blocked(const struct conn *c)
{
    return conn_waiting(c) > c->server->options->slow_out || (c->req && c->asked);
}

// ---- messages out --------------------------------------------------------------------

void conn_touch(struct conn *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    c->next_dirty = c->server->dirty;
    c->server->dirty = c;
}

// As much of a message as the ring has room for; false if something is left, which c->out_left
// tells.
static bool put_begun(struct conn *c, const void *data, size_t size)
{
    struct mp__channel *ch = conn_channel(c);
    int64_t n = mp__pump_put(ch, data, size, c->out_left);
    if (n < 0) {
        conn_die(c, "it damaged its ring");
        return false;
    }
    c->out_left -= (uint64_t)n;
    c->out_begun = c->out_left > 0;
    return !c->out_begun;
}

// The common case: a message that fits, and nothing before it.
static bool put_at_once(struct conn *c, const void *data, size_t size, size_t *done)
{
    *done = 0;
    if (conn_waiting(c) || !mp__pump_begin(conn_channel(c), size))
        return false;
    c->out_left = size;
    c->out_begun = size > 0;
    if (size == 0) // mp__pump_put() of nothing completes it
        return mp__pump_put(conn_channel(c), data, 0, 0) == 0;
    bool all = put_begun(c, data, size);
    *done = size - (size_t)c->out_left;
    return all;
}

// Puts a frame, or what is left of a message that is begun, behind what waits.
static int queue(struct conn *c, const uint8_t *head, size_t head_size, const void *data,
                 size_t size)
{
    if (!conn_waiting(c))
        c->moved_at = mp__now();
    int r = mp__buf_append(&c->out, head, head_size);
    if (r == 0)
        r = mp__buf_append(&c->out, data, size);
    return r;
}

static void send_framed(struct conn *c, enum mp__frame_kind kind, const void *data, size_t size)
{
    uint8_t head[1 + MP__FRAME + sizeof c->id];
    size_t n = MP__FRAME;
    if (c->req && kind == MP__FRAME_MESSAGE) {
        head[0] = 1;
        mp__put_be64(head + 1, size + sizeof c->id);
        memcpy(head + 1 + MP__FRAME, c->id, sizeof c->id);
        n = sizeof head;
    } else {
        mp__frame_write(head, kind, size);
    }
    if (queue(c, head, n, data, size) < 0)
        conn_die(c, "no memory");
}

void conn_frame(struct conn *c, enum mp__frame_kind kind, const void *data, size_t size)
{
    send_framed(c, kind, data, size);
    conn_touch(c);
}

void conn_send(struct conn *c, const void *data, size_t size)
{
    const struct options *o = c->server->options;
    size_t done = 0;
    if (c->phase != GREETED || (c->req && !c->asked))
        return;
    c->replies++;
    c->server->total.replies++;
    conn_touch(c);
    if (c->pipe && put_at_once(c, data, size, &done))
        return;
    if (conn_waiting(c) > o->max_out && !c->own) {
        c->server->total.cut++;
        conn_die(c, "it takes too little of what it asked for");
    } else if (c->out_begun && !conn_waiting(c)) { // a part of this very message went in
        if (queue(c, NULL, 0, (const char *)data + done, (size_t)c->out_left) < 0)
            conn_die(c, "no memory");
    } else {
        send_framed(c, MP__FRAME_MESSAGE, data, size);
    }
    if (c->req) {
        c->asked = false;
        c->answered = c->unread = true;
    }
    if (conn_waiting(c) > o->slow_out)
        server_watch_time(c->server);
}

static void sent(struct conn *c, size_t n)
{
    c->out_at += n;
    c->bytes_out += n;
    c->server->total.bytes_out += n;
    c->moved_at = mp__now();
    if (c->out_at < c->out.size)
        return;
    c->out_at = c->out.size = 0;
    if (c->out.capacity > KEEP)
        mp_buf_free(&c->out);
}

static void watch_socket(struct conn *c)
{
    int events =
        (conn_is_blocked(c) ? 0 : MP_LOOP_READ) | (conn_waiting(c) && !c->pipe ? MP_LOOP_WRITE : 0);
    if (events != c->events && mp_watch_set_events(c->watch, events) == 0)
        c->events = events;
}

static void flush_socket(struct conn *c)
{
    while (conn_waiting(c)) {
        ssize_t n = send(c->fd, (char *)c->out.data + c->out_at, conn_waiting(c),
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            conn_die(c, "its end is closed");
            return;
        }
        if (n < 0)
            break;
        sent(c, (size_t)n);
    }
}

// One step of what waits into the ring. False: there is no room.
static bool step_ring(struct conn *c)
{
    const uint8_t *at = (const uint8_t *)c->out.data + c->out_at;
    if (!c->out_begun) {
        uint64_t size = mp__frame_size(mp__get_be64(at));
        if (!mp__pump_begin(conn_channel(c), size))
            return false;
        c->out_left = size;
        c->out_begun = size > 0;
        sent(c, MP__FRAME);
        if (size == 0)
            return mp__pump_put(conn_channel(c), NULL, 0, 0) == 0;
        at = (const uint8_t *)c->out.data + c->out_at;
    }
    uint64_t before = c->out_left;
    put_begun(c, at, (size_t)before);
    sent(c, (size_t)(before - c->out_left));
    return before != c->out_left;
}

static void flush_ring(struct conn *c)
{
    struct mp__channel *ch = conn_channel(c);
    while (c->phase != DEAD && conn_waiting(c)) {
        if (step_ring(c))
            continue;
        mp__channel_publish(ch);
        if (mp__pump_unread(ch)) {
            conn_die(c, "its end is closed");
            return;
        }
        if (mp__pump_want_room(ch, (size_t)(c->out_begun ? c->out_left : MP__FRAME)))
            return; // a byte will come through its socket
    }
    mp__channel_publish(ch);
}

void conn_flush(struct conn *c)
{
    if (c->phase == DEAD)
        return;
    if (c->pipe) {
        flush_ring(c);
        return;
    }
    flush_socket(c);
    if (c->phase != DEAD)
        watch_socket(c);
}

// ---- the end -------------------------------------------------------------------------

static void unlink_conn(struct conn *c)
{
    struct server *s = c->server;
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        s->conns = c->next;
    s->count--;
    s->own -= c->own;
}

void conn_free(struct conn *c)
{
    c->server->monitors -= c->monitors;
    if (c->fd >= 0 && !c->pipe && conn_waiting(c))
        flush_socket(c); // last words
    rings_forget(c);
    unlink_conn(c);
    mp_watch_close(c->watch);
    mp_watch_close(c->death);
    mp_watch_close(c->bell);
    mp_watch_close(c->sock);
    mp_pipe_free(c->pipe);
    if (c->fd >= 0)
        close(c->fd);
    if (c->pidfd >= 0)
        close(c->pidfd);
    mp_buf_free(&c->in);
    mp_buf_free(&c->out);
    free(c);
}
