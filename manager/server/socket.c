// SPDX-License-Identifier: MIT
//
// What comes in by a socket: the greeting, then frames. Reads go into one buffer of the
// server's and are handed over from there; only the beginning of a frame that has not come
// whole is kept, so an idle client has no buffer at all. Nothing is allocated for what a
// length promises, but for what has come.
#include "base/clock.h"
#include "server.h"
#include "wire/buf.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#define SP_REQ  0x30
#define SP_REP  0x31
#define SP_PAIR 0x10

#define GREETING_MAX 512 // bytes, before it is known who speaks

static void say(struct conn *c, const void *bytes, size_t n)
{
    if (mp__buf_append(&c->out, bytes, n) < 0)
        conn_die(c, "no memory");
    else
        conn_touch(c);
}

// Both halves of the hello, each when the client has said its own: one of libmp that does not
// know yet who is here says the first half only, and waits.
static size_t read_hello(struct conn *c, const uint8_t *at, size_t n)
{
    uint8_t hello[MP__HELLO];
    if (memcmp(at, "\0SP\0", n < MP__HELLO_COMMON ? n : MP__HELLO_COMMON) != 0) {
        conn_die(c, "it does not speak SP");
        return 0;
    }
    if (n < MP__HELLO_COMMON)
        return 0;
    int protocol = n >= MP__HELLO ? mp__hello_read(at) : SP_PAIR;
    mp__hello_write(hello, (uint16_t)(protocol == SP_REQ ? SP_REP : MP__PROTOCOL_MP));
    if (!c->half_said)
        say(c, hello, MP__HELLO_COMMON);
    c->half_said = true;
    if (n < MP__HELLO)
        return 0;
    if (protocol != SP_REQ && protocol != MP__PROTOCOL_MP) {
        conn_die(c, "it speaks neither MP nor REQ");
        return 0;
    }
    say(c, hello + MP__HELLO_COMMON, MP__HELLO - MP__HELLO_COMMON);
    c->req = protocol == SP_REQ;
    c->phase = OPEN;
    if (c->req && conn_greeted(c) < 0)
        conn_die(c, "there are too many clients");
    return MP__HELLO;
}

static void refuse(struct conn *c, uint8_t why, const char *reason)
{
    conn_frame(c, MP__FRAME_REFUSE, &why, 1);
    conn_die(c, reason);
}

static void answer_open(struct conn *c, const struct mp__open *theirs)
{
    uint8_t mine[MP__OPEN];
    struct mp__open o = {.version = MP__WIRE_VERSION,
                         .protocol = SP_PAIR,
                         .max_size = c->server->options->max_message};
    if (theirs->version != MP__WIRE_VERSION) {
        refuse(c, MP__REFUSE_VERSION, "it speaks another version");
    } else if (theirs->protocol != SP_PAIR) {
        refuse(c, MP__REFUSE_PROTOCOL, "it speaks another protocol");
    } else if (theirs->flags & MP__OPEN_KEY) {
        refuse(c, MP__REFUSE_KEY, "it wants to be shown a key");
    } else if (conn_greeted(c) < 0) {
        refuse(c, MP__REFUSE_FULL, "there are too many clients");
    } else {
        if (getrandom(o.nonce, sizeof o.nonce, GRND_NONBLOCK) != sizeof o.nonce)
            memset(o.nonce, 0, sizeof o.nonce); // nothing is proved with it here
        mp__open_write(mine, &o);
        conn_frame(c, MP__FRAME_OPEN, mine, sizeof mine);
    }
}

static size_t read_open(struct conn *c, const uint8_t *at, size_t n)
{
    if (n < MP__FRAME)
        return 0;
    if (mp__get_be64(at) != ((uint64_t)MP__FRAME_OPEN << 56 | MP__OPEN)) {
        conn_die(c, "it did not begin with OPEN");
        return 0;
    }
    if (n < MP__FRAME + MP__OPEN)
        return 0;
    struct mp__open theirs = mp__open_read(at + MP__FRAME);
    answer_open(c, &theirs);
    return MP__FRAME + MP__OPEN;
}

// SP's REQ: a byte 01, the length, four bytes that the answer must begin with, the message.
static size_t read_request(struct conn *c, const uint8_t *at, size_t n)
{
    enum { HEAD = 1 + MP__FRAME + 4 };
    if (at[0] != 1) {
        conn_die(c, "a frame of an unknown kind");
        return 0;
    }
    if (n < 1 + MP__FRAME)
        return 0;
    uint64_t size = mp__get_be64(at + 1);
    if (size < 4 || size - 4 > c->server->options->max_message) {
        conn_die(c, "a message of a forbidden length");
        return 0;
    }
    if (n < 1 + MP__FRAME + size)
        return 0;
    const uint8_t *id = at + 1 + MP__FRAME;
    if (!(id[0] & 0x80)) {
        conn_die(c, "a request that came over a device");
        return 0;
    }
    bool again = c->answered && memcmp(id, c->id, sizeof c->id) == 0;
    if (!again) { // REQ repeats a request that takes its time
        memcpy(c->id, id, sizeof c->id);
        c->asked = true;
        conn_message(c, at + HEAD, (size_t)size - 4);
    }
    return 1 + MP__FRAME + (size_t)size;
}

static size_t read_frame(struct conn *c, const uint8_t *at, size_t n)
{
    if (n < MP__FRAME)
        return 0;
    uint64_t head = mp__get_be64(at), size = mp__frame_size(head);
    int kind = mp__frame_kind(head);
    if (kind == MP__FRAME_END || (kind != MP__FRAME_MESSAGE && kind != MP__FRAME_RINGS)) {
        conn_die(c, kind == MP__FRAME_END ? "it closed" : "a frame of an unknown kind");
        return 0;
    }
    if (size > (kind == MP__FRAME_RINGS ? 0 : c->server->options->max_message)) {
        conn_die(c, "a message of a forbidden length");
        return 0;
    }
    if (n - MP__FRAME < size)
        return 0;
    if (kind == MP__FRAME_RINGS)
        conn_offer_rings(c);
    else
        conn_message(c, at + MP__FRAME, (size_t)size);
    return MP__FRAME + (size_t)size;
}

static size_t read_one(struct conn *c, const uint8_t *at, size_t n)
{
    if (c->phase == HELLO)
        return read_hello(c, at, n);
    if (c->phase == OPEN)
        return read_open(c, at, n);
    return c->req ? read_request(c, at, n) : read_frame(c, at, n);
}

// Hands over what is whole; returns how much that was.
static size_t take_apart(struct conn *c, const uint8_t *at, size_t n)
{
    size_t done = 0;
    c->unread = false;
    while (done < n && c->phase != DEAD) {
        if (conn_is_blocked(c)) {
            c->unread = true;
            break;
        }
        if (c->pipe) {
            conn_die(c, "it spoke beside its ring");
            break;
        }
        size_t used = read_one(c, at + done, n - done);
        if (used == 0)
            break;
        done += used;
    }
    if (c->phase < GREETED && n - done > GREETING_MAX)
        conn_die(c, "it greets for too long");
    return done;
}

// From c->in, whose beginning goes.
static void take_apart_kept(struct conn *c)
{
    size_t done = take_apart(c, c->in.data, c->in.size);
    if (done == c->in.size) {
        mp_buf_free(&c->in);
    } else if (done) {
        c->in.size -= done;
        memmove(c->in.data, (char *)c->in.data + done, c->in.size);
    }
}

void conn_resume(struct conn *c)
{
    if (c->unread && c->phase != DEAD && !conn_is_blocked(c) && c->in.size)
        take_apart_kept(c);
}

void conn_read_socket(struct conn *c)
{
    struct server *s = c->server;
    ssize_t n = recv(c->fd, s->scratch, sizeof s->scratch, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_die(c, n == 0 ? "it closed" : "its socket broke");
        return;
    }
    c->bytes_in += (uint64_t)n;
    s->total.bytes_in += (uint64_t)n;
    if (c->in.size == 0) {
        size_t done = take_apart(c, s->scratch, (size_t)n);
        if ((size_t)n > done && mp__buf_append(&c->in, s->scratch + done, (size_t)n - done) < 0)
            conn_die(c, "no memory");
    } else if (mp__buf_append(&c->in, s->scratch, (size_t)n) < 0) {
        conn_die(c, "no memory");
    } else {
        take_apart_kept(c);
    }
}
