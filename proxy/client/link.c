// SPDX-License-Identifier: MIT
//
// Messages to and from a manager, over whatever carries them: a local socket, with frames as
// between two of libmp (docs/protocol.md); the channel that a local manager gave for it; or the
// pipe of a URL. Sending never waits for anything but the rest of a message that has begun, and
// takes in what comes meanwhile: both sides may have much to say at once.
#include "session.h"

#include "channel/pipe.h"
#include "channel/pump.h"
#include "os/fdpass.h"
#include "wire/frame.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define SP_PAIR 0x10
#define CHUNK   ((size_t)64 << 10)
#define KEEP    ((size_t)256 << 10)

#define SLICE_MS 10 // who waits for room looks so often whether there is some

void mp__link_init(struct mp__link *l)
{
    *l = (struct mp__link){.fd = -1};
}

void mp__link_close(struct mp__link *l)
{
    mp_pipe_close(l->pipe);
    if (l->fd >= 0)
        shutdown(l->fd, SHUT_RDWR);
}

static void close_fds(struct mp__link *l)
{
    while (l->n_fds > 0)
        close(l->fds[--l->n_fds]);
}

void mp__link_release(struct mp__link *l)
{
    mp_pipe_free(l->pipe);
    close_fds(l);
    if (l->fd >= 0)
        close(l->fd);
    free(l->in);
    mp__link_init(l);
}

static int wait_fd(int fd, short events, mp__deadline d)
{
    struct pollfd p = {.fd = fd, .events = events};
    for (;;) {
        int n = poll(&p, 1, mp__left_ms(d));
        if (n > 0)
            return p.revents;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0 && mp__left_ns(d) == 0)
            return MP_ETIMEDOUT;
    }
}

// ---- what came by the socket ---------------------------------------------------------

static int make_room(struct mp__link *l)
{
    if (l->at > 0) {
        memmove(l->in, l->in + l->at, l->len - l->at);
        l->len -= l->at;
        l->at = 0;
    }
    if (l->room - l->len >= CHUNK || (l->room > 0 && l->len == 0))
        return 0;
    size_t room = l->room ? l->room * 2 : CHUNK;
    uint8_t *in = realloc(l->in, room);
    if (!in)
        return -ENOMEM;
    l->in = in;
    l->room = room;
    return 0;
}

// Reads what is there, without waiting. 0, MP_EAGAIN, MP_ELOST.
static int fill(struct mp__link *l)
{
    int r = make_room(l);
    if (r < 0)
        return r;
    ssize_t n = recv(l->fd, l->in + l->len, l->room - l->len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return MP_EAGAIN;
    if (n <= 0)
        return MP_ELOST;
    l->len += (size_t)n;
    return 0;
}

// The next whole frame, if it is there: its kind; -1 if it is not.
static int next_frame(struct mp__link *l, const uint8_t **data, size_t *size)
{
    if (l->len - l->at < MP__FRAME)
        return -1;
    uint64_t head = mp__get_be64(l->in + l->at), n = mp__frame_size(head);
    if (l->len - l->at - MP__FRAME < n)
        return -1;
    *data = l->in + l->at + MP__FRAME;
    *size = (size_t)n;
    l->at += MP__FRAME + (size_t)n;
    return mp__frame_kind(head);
}

static int put_message(struct mp__link *l, mp_buf *b, const uint8_t *data, size_t size)
{
    b->size = 0;
    int r = mp__buf_append(b, data, size);
    if (l->at == l->len) {
        l->at = l->len = 0;
        if (l->room > KEEP) {
            free(l->in);
            l->in = NULL;
            l->room = 0;
        }
    }
    return r;
}

static int await_frame(struct mp__link *l, const uint8_t **data, size_t *size, mp__deadline d)
{
    int kind;
    while ((kind = next_frame(l, data, size)) < 0) {
        int r = fill(l);
        if (r == MP_EAGAIN)
            r = wait_fd(l->fd, POLLIN, d);
        if (r < 0)
            return r;
    }
    return kind;
}

static int recv_socket(struct mp__link *l, mp_buf *b, mp__deadline d)
{
    const uint8_t *data;
    size_t size;
    int kind = await_frame(l, &data, &size, d);
    if (kind < 0)
        return kind;
    return kind == MP__FRAME_MESSAGE ? put_message(l, b, data, size) : MP_ELOST;
}

// ---- greeting ------------------------------------------------------------------------

static int send_all(int fd, const uint8_t *p, size_t n, mp__deadline d)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        int r = k >= 0 ? 0 : errno == EAGAIN || errno == EINTR ? wait_fd(fd, POLLOUT, d) : MP_ELOST;
        if (r < 0)
            return r;
        p += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    return 0;
}

static int read_hello(struct mp__link *l, mp__deadline d)
{
    while (l->len < MP__HELLO) {
        int r = fill(l);
        if (r == MP_EAGAIN)
            r = wait_fd(l->fd, POLLIN, d);
        if (r < 0)
            return r;
    }
    l->at = MP__HELLO;
    return mp__hello_read(l->in) == MP__PROTOCOL_MP ? 0 : MP_EPROTO;
}

static int refusal(const uint8_t *data, size_t size)
{
    if (size != 1)
        return MP_EPROTO;
    return data[0] == MP__REFUSE_FULL      ? MP_EQUOTA
           : data[0] == MP__REFUSE_VERSION ? MP_EVERSION
                                           : MP_EPROTO;
}

int mp__link_greet(struct mp__link *l, int fd, mp__deadline d)
{
    uint8_t say[MP__HELLO + MP__FRAME + MP__OPEN];
    struct mp__open o = {.version = MP__WIRE_VERSION, .protocol = SP_PAIR, .max_size = SIZE_MAX};
    const uint8_t *data = NULL;
    size_t size = 0;
    mp__link_init(l);
    l->fd = fd;
    if (getrandom(o.nonce, sizeof o.nonce, 0) != sizeof o.nonce)
        return -errno;
    mp__hello_write(say, MP__PROTOCOL_MP);
    mp__frame_write(say + MP__HELLO, MP__FRAME_OPEN, MP__OPEN);
    mp__open_write(say + MP__HELLO + MP__FRAME, &o);
    int r = send_all(fd, say, sizeof say, d);
    if (r == 0)
        r = read_hello(l, d);
    if (r == 0)
        r = await_frame(l, &data, &size, d);
    if (r == MP__FRAME_REFUSE)
        return refusal(data, size);
    if (r < 0)
        return r;
    if (r != MP__FRAME_OPEN || size != MP__OPEN)
        return MP_EPROTO;
    l->max_size = mp__open_read(data).max_size;
    return 0;
}

// ---- sending -------------------------------------------------------------------------

// The rest of a frame. Nobody else reads: then what comes meanwhile is kept, since the other
// side may be waiting for us to take it.
static int send_rest(struct mp__link *l, const uint8_t *p, size_t n, bool alone)
{
    while (n > 0) {
        int r = wait_fd(l->fd, POLLOUT | (alone ? POLLIN : 0), MP__NEVER);
        if (r < 0)
            return r;
        if ((r & POLLIN) && alone && (r = fill(l)) < 0 && r != MP_EAGAIN)
            return r;
        ssize_t k = send(l->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (k < 0 && errno != EAGAIN && errno != EINTR)
            return MP_ELOST;
        p += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    return 0;
}

static int send_socket(struct mp__link *l, uint8_t *frame, size_t size, bool alone)
{
    if (size > l->max_size)
        return MP_EMSGSIZE;
    mp__frame_write(frame, MP__FRAME_MESSAGE, size);
    size_t n = MP__FRAME + size;
    ssize_t k = send(l->fd, frame, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (k < 0)
        return errno == EAGAIN || errno == EINTR ? MP_EAGAIN : MP_ELOST;
    return (size_t)k < n ? send_rest(l, frame + k, n - (size_t)k, alone) : 0;
}

// ---- the same through a channel ------------------------------------------------------

static struct mp__channel *channel(const struct mp__link *l)
{
    return &l->pipe->channel;
}

static int recv_pipe(struct mp__link *l, mp_buf *b, mp__deadline d)
{
    int timeout = d == 0 ? 0 : mp__left_ms(d);
    b->size = 0;
    int64_t n = mp_pipe_recv(l->pipe, b->data, b->capacity, timeout);
    if (n == MP_EMSGSIZE) {
        n = mp_pipe_next_size(l->pipe, timeout);
        if (n >= 0)
            n = mp__buf_reserve(b, (size_t)n);
        if (n >= 0)
            n = mp_pipe_recv(l->pipe, b->data, b->capacity, timeout);
    }
    if (n < 0)
        return n == MP_ETIMEDOUT || n == -ENOMEM ? (int)n : MP_ELOST;
    b->size = (size_t)n;
    return 0;
}

// Keeps a message that came while one was sent, as a frame.
static int keep(struct mp__link *l, const mp_buf *b)
{
    size_t need = l->len + MP__FRAME + b->size;
    if (need > l->room) {
        uint8_t *in = realloc(l->in, need * 2);
        if (!in)
            return -ENOMEM;
        l->in = in;
        l->room = need * 2;
    }
    mp__frame_write(l->in + l->len, MP__FRAME_MESSAGE, b->size);
    if (b->data)
        memcpy(l->in + l->len + MP__FRAME, b->data, b->size);
    l->len = need;
    return 0;
}

static int keep_what_came(struct mp__link *l)
{
    mp_buf b = {0};
    int r = 0;
    while (r == 0 && mp__channel_readable(channel(l)))
        if ((r = recv_pipe(l, &b, 0)) == 0)
            r = keep(l, &b);
    mp_buf_free(&b);
    return r == MP_ETIMEDOUT ? 0 : r;
}

struct room {
    struct mp__channel *c;
    bool alone;
};

static bool room_or_news(void *arg)
{
    const struct room *r = arg;
    const struct mp__ring_tx *t = &r->c->tx.ring;
    uint64_t tail = atomic_load_explicit(&t->ring->tail, memory_order_acquire);
    return t->cap - (t->pos - tail) > 2 * (uint64_t)MP__WORD || mp__pump_unread(r->c) ||
           (r->alone && mp__channel_readable(r->c));
}

// Waits for room for more of a message, or for news, which are kept if nobody else reads.
static int wait_room(struct mp__link *l, size_t left, bool alone)
{
    struct mp__channel *c = channel(l);
    struct room room = {c, alone};
    if (!mp__spin_until(&c->tx.spin, room_or_news, &room) && mp__pump_want_room(c, left)) {
        struct pollfd p[2] = {{.fd = c->sock, .events = POLLIN | POLLRDHUP},
                              {.fd = c->bell, .events = POLLIN}};
        bool quiet = !alone || mp__pump_want_data(c);
        int n = quiet ? poll(p, alone ? 2 : 1, SLICE_MS) : 0;
        if (n > 0 && p[0].revents) {
            mp__pump_hush(c);
            mp__channel_look_gone(c);
        }
        if (n > 0 && alone && p[1].revents)
            mp__channel_woken(c, true, false);
    }
    if (mp__pump_unread(c))
        return MP_ELOST;
    return alone ? keep_what_came(l) : 0;
}

static int send_pipe(struct mp__link *l, const uint8_t *p, size_t size, bool alone)
{
    struct mp__channel *c = channel(l);
    if (size > c->send_max)
        return MP_EMSGSIZE;
    if (!mp__pump_begin(c, size))
        return mp__pump_unread(c) ? MP_ELOST : MP_EAGAIN;
    for (size_t left = size;;) {
        int64_t n = mp__pump_put(c, p, left, left);
        if (n < 0)
            return MP_ELOST;
        p += n;
        left -= (size_t)n;
        mp__channel_publish(c);
        if (left == 0)
            return 0;
        int r = wait_room(l, left, alone);
        if (r < 0)
            return r;
    }
}

// ---- either --------------------------------------------------------------------------

int mp__link_send(struct mp__link *l, uint8_t *frame, size_t size, bool alone)
{
    return l->pipe ? send_pipe(l, frame + MP__FRAME, size, alone)
                   : send_socket(l, frame, size, alone);
}

int mp__link_recv(struct mp__link *l, mp_buf *b, mp__deadline d)
{
    if (!l->pipe || l->at < l->len)
        return recv_socket(l, b, d);
    return recv_pipe(l, b, d);
}

// ---- rings ---------------------------------------------------------------------------

int mp__link_ask_rings(struct mp__link *l)
{
    uint8_t frame[MP__FRAME];
    mp__frame_write(frame, MP__FRAME_RINGS, 0);
    return send_all(l->fd, frame, sizeof frame, MP__NEVER);
}

_Static_assert(MP__CHANNEL_FDS == 4, "as many as a link has room for");

struct offer {
    const int *fds;
    struct mp__channel_opts opts;
};

static int take_end(void *arg, struct mp__channel *c)
{
    struct offer *o = arg;
    int r = mp__channel_import(c, o->fds, 1, &o->opts);
    if (r == 0)
        c->rx.spin.keen = c->tx.spin.keen = true;
    return r;
}

static bool is_power_of_two(uint64_t n)
{
    return n >= MP__RING_MIN && n <= MP__RING_LIMIT && (n & (n - 1)) == 0;
}

static int take_offer(struct mp__link *l, const uint8_t *data, size_t size)
{
    if (size == 0 && l->n_fds == 0)
        return 0;
    if (size == MP__RINGS && l->n_fds == MP__CHANNEL_FDS) {
        uint64_t first = mp__get_be64(data), max = mp__get_be64(data + 8);
        struct offer o = {l->fds,
                          {.ring_size = (size_t)first,
                           .ring_max = (size_t)max,
                           .max_size = (size_t)mp__get_be64(data + 16)}};
        if (is_power_of_two(first) && is_power_of_two(max) && first <= max) {
            l->n_fds = 0; // the channel's, whatever happens
            return mp__pipe_adopt_remote(&l->pipe, take_end, &o);
        }
    }
    close_fds(l);
    return MP_EPROTO;
}

// Reads by the one call that does not lose descriptors. They may come together with messages that
// were sent before.
static int fill_with_fds(struct mp__link *l, mp__deadline d)
{
    int fds[MP__CHANNEL_FDS];
    size_t n = MP__CHANNEL_FDS;
    int r = make_room(l);
    if (r == 0)
        r = wait_fd(l->fd, POLLIN, d);
    if (r < 0)
        return r;
    r = mp__fds_recv(l->fd, fds, &n, l->in + l->len, (int)(l->room - l->len));
    if (r < 0)
        return r == MP_EAGAIN ? 0 : MP_ELOST;
    l->len += (size_t)r;
    if (n == 0)
        return 0;
    close_fds(l);
    memcpy(l->fds, fds, n * sizeof *fds);
    l->n_fds = n;
    return 0;
}

int mp__link_await_rings(struct mp__link *l, mp_buf *b, mp__deadline d)
{
    size_t size;
    const uint8_t *data;
    int kind;
    while ((kind = next_frame(l, &data, &size)) < 0) {
        int r = fill_with_fds(l, d);
        if (r < 0)
            return r;
    }
    if (kind == MP__FRAME_MESSAGE)
        return put_message(l, b, data, size) < 0 ? -ENOMEM : 1;
    return kind == MP__FRAME_RINGS && take_offer(l, data, size) == 0 ? 0 : MP_ELOST;
}
