// SPDX-License-Identifier: MIT
//
// Bytes that make no sense, from foreign peers to a served queue, in each transport's own way:
// before the peer has said who it is, and then as a PUSH or a PULL socket. Whoever
// sends them loses his connection at most; nothing of it becomes an item, and others
// are served. Over TLS openssl brings the bytes through.
#include "urltest.h"
#include "wire/frame.h"

#include <mp/queue.h>
#include <mp/spawn.h>
#include <signal.h>
#include <sys/wait.h>

#define ITEM_MAX 100000

static mp_queue *queue;
static mp_listener *listener;

static void serve(const struct transport *t)
{
    mp_url_opts o = url_opts(t, true);
    mp_assert_ok(mp_queue_new(&queue, &(mp_queue_opts){.max_bytes = ITEM_MAX}));
    url_assert_ok(mp_queue_serve(&listener, queue, t->url, &o));
}

static void stop_serving(void)
{
    mp_listener_free(listener);
    mp_queue_free(queue);
}

// A PULL socket does not acknowledge: while its end is not known, which over TLS may last a second,
// it may still be given an item. So there are several tries.
static void assert_serves(const struct transport *t)
{
    mp_queue *q;
    char got[4];
    int64_t r = MP_ETIMEDOUT;
    mp_url_opts o = url_opts(t, false);
    url_assert_ok(mp_queue_connect(&q, mp_listener_url(listener), &o));
    for (int ms = 0; ms < LONG_MS && r == MP_ETIMEDOUT; ms += LONG_MS / 20) {
        mp_assert_ok(mp_queue_put(q, "item", 4, LONG_MS));
        r = mp_queue_get(q, got, sizeof got, LONG_MS / 20);
    }
    do {
        ck_assert_int_eq(r, 4);
        ck_assert_int_eq(memcmp(got, "item", 4), 0); // and so it was the first
    } while ((r = mp_queue_get(q, got, sizeof got, 0)) != MP_ETIMEDOUT);
    mp_queue_free(q);
}

// ---- a peer of any transport -----------------------------------------------------------

struct peer {
    int fd;    // what is written here comes out of
    pid_t pid; // TLS that this process does; 0: nobody
};

static struct peer come_by_tls(const char *url)
{
    int sv[2];
    char address[32];
    struct peer p;
    mp_url_opts o = url_opts(&tls, false);
    (void)o;
    snprintf(address, sizeof address, "127.0.0.1%s", strrchr(url, ':'));
    char *argv[] = {(char[]){"openssl"},
                    (char[]){"s_client"},
                    (char[]){"-connect"},
                    address,
                    (char[]){"-quiet"},
                    (char[]){"-no_ign_eof"},
                    (char[]){"-nocommands"},
                    (char[]){"-verify_return_error"},
                    (char[]){"-CAfile"},
                    pki_ca,
                    (char[]){"-cert"},
                    pki_cert[0],
                    (char[]){"-key"},
                    pki_key[0],
                    NULL};
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
    int r =
        mp_spawn(&p.pid, NULL, argv, &(mp_spawn_opts){.fds = (int[]){sv[1], sv[1], MP_SPAWN_NULL}});
    close(sv[1]);
    p.fd = sv[0];
    if (r == -ENOENT) {
        close(sv[0]);
        mp_skip("openssl is not installed");
    }
    mp_assert_ok(r);
    return p;
}

static struct peer come(const struct transport *t)
{
    const char *url = mp_listener_url(listener);
    return t == &tls ? come_by_tls(url) : (struct peer){.fd = raw(url)};
}

// What a peer has to say may break off when the other side has had enough.
static void say(struct peer p, const void *bytes, size_t size)
{
    (void)!send(p.fd, bytes, size, MSG_NOSIGNAL);
}

static void go(struct peer p)
{
    close(p.fd);
    if (!p.pid)
        return;
    kill(p.pid, SIGKILL);
    waitpid(p.pid, NULL, 0);
}

// ---- what makes no sense ---------------------------------------------------------------

struct bytes {
    const char *bytes;
    size_t size;
    bool goes_on; // it may be the beginning of something: nobody is turned away
};
#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1, false                                                              \
    }
#define BEGINNING(text)                                                                            \
    {                                                                                              \
        text, sizeof(text) - 1, true                                                               \
    }

// Instead of a hello.
static const struct bytes no_hello[] = {
    BYTES("GET /etc/passwd HTTP/1.0\r\n\r\n"),
    BYTES("\0SQ\0\0\x50\0\0"),
    BYTES("\0SP\1\0\x50\0\0"),
    BYTES("\0SP\0\x12\x34\0\0"),
    BYTES("\0SP\0\0\x10\0\0"), // a PAIR
    BYTES("\0SP\0\0\x30\0\0"), // a REQ
    BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
    BEGINNING("\0SP"),
};

// Instead of an upgrade to ws.
static const struct bytes no_upgrade[] = {
    BYTES("\0SP\0\0\x50\0\0"),
    BYTES("\xff\xff\xff\xff\r\n\r\n"),
    // Answered with an error, and then it may try again.
    BEGINNING("GET /etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"),
    BEGINNING("POST /pipe HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"),
    BEGINNING("GET /pipe HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n"
              "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"),
    BEGINNING("GET /pipe HTT"),
};

// After a hello, over tcp and tls, lengths first; over ipc behind a byte that is 1.
static const struct bytes no_item[] = {
    BYTES("\x80\0\0\0\0\0\0\0"),
    BYTES("\x7f\xff\xff\xff\xff\xff\xff\xff"),
    BYTES("\xff\xff\xff\xff\xff\xff\xff\xff"),
    BYTES("\0\0\0\0\0\2\0\0xxxx"), // 128 KiB
    BYTES("GET / HTTP/1.0\r\n\r\n"),
    BEGINNING("\0\0\0\0\0\0"),
    BEGINNING("\0\0\0\0\0\0\0\x0ahalf"),
};

// After an upgrade.
static const struct bytes no_frame[] = {
    BYTES("\x82\xff\x80\0\0\0\0\0\0\0mask"), // 2^63 bytes
    BYTES("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffmask"),
    BYTES("\x82\xff\0\0\0\0\0\x10\0\0mask"), // 1 MiB
    BYTES("\x82\1x"),                        // no mask
    BYTES("\xf2\x81mask!"),                  // bits that mean nothing
    BYTES("\x83\x81mask!"),                  // of no known kind
    BYTES("\x80\x81mask!"),                  // goes on with what was never begun
    BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
    BEGINNING("\x82"),
    BEGINNING("\x89\xfe\1\0mask"), // a ping that is too long
    BEGINNING("\x82\x8amaskhalf"),
    BEGINNING("\x02\x81mask!"), // a piece, and no more
};

static void upgrade(struct peer p, bool pull)
{
    char text[400];
    int n = snprintf(text, sizeof text,
                     "GET /pipe HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                     "Sec-WebSocket-Protocol: %s.sp.nanomsg.org\r\n\r\n",
                     pull ? "push" : "pull");
    say(p, text, (size_t)n);
    size_t at = 0; // up to the end of the answer, and not a byte more
    while (at < 4 || memcmp(text + at - 4, "\r\n\r\n", 4) != 0) {
        ck_assert_uint_lt(at, sizeof text);
        ck_assert_int_eq(recv(p.fd, text + at++, 1, 0), 1);
    }
    ck_assert_int_eq(memcmp(text, "HTTP/1.1 101", 12), 0);
}

static void hello(struct peer p, bool pull)
{
    char theirs[8];
    say(p, pull ? "\0SP\0\0\x51\0\0" : "\0SP\0\0\x50\0\0", 8);
    ck_assert_int_eq(recv(p.fd, theirs, sizeof theirs, MSG_WAITALL), 8);
    ck_assert_int_eq(theirs[5], pull ? 0x50 : 0x51);
}

// `b` instead of who the peer is; or, after that, instead of an item.
static void try(const struct transport *t, const struct bytes *b, bool introduced, bool pull)
{
    struct peer p = come(t);
    if (introduced && t == &ws)
        upgrade(p, pull);
    else if (introduced)
        hello(p, pull);
    if (introduced && t == &ipc)
        say(p, "\1", 1);
    say(p, b->bytes, b->size);
    if (!b->goes_on)
        ck_assert_msg(closes(p.fd, LONG_MS), "\"%.20s\" is listened to", b->bytes);
    go(p);
}

MP_TEST_EACH_URL(garbage_is_no_item)
{
    bool is_ws = t == &ws;
    const struct bytes *before = is_ws ? no_upgrade : no_hello, *after = is_ws ? no_frame : no_item;
    size_t n_before =
               is_ws ? sizeof no_upgrade / sizeof *no_upgrade : sizeof no_hello / sizeof *no_hello,
           n_after = is_ws ? sizeof no_frame / sizeof *no_frame : sizeof no_item / sizeof *no_item;
    serve(t);
    for (size_t i = 0; i < n_before; i++)
        try(t, &before[i], false, false);
    assert_serves(t);
    for (size_t i = 0; i < n_after; i++)
        for (int pull = 0; pull < 2; pull++) // which has nothing to say at all
            try(t, &after[i], true, pull);
    assert_serves(t);
    ck_assert_int_eq(mp_queue_size(queue), 0);
    stop_serving();
}

// Whole, and longer than an item may be.
MP_TEST_EACH_URL(a_message_above_the_limit_is_no_item)
{
    enum { LONGER = ITEM_MAX + 20000 };
    static char bytes[LONGER];
    unsigned char head[14] = {0x82, 0xff}; // for ws: and a mask that changes nothing
    serve(t);
    struct peer p = come(t);
    if (t == &ws)
        upgrade(p, false);
    else
        hello(p, false);
    if (t == &ipc)
        say(p, "\1", 1);
    mp__put_be64(head + 2, LONGER);
    say(p, t == &ws ? head : head + 2, t == &ws ? 14 : 8);
    say(p, bytes, sizeof bytes);
    ck_assert(closes(p.fd, LONG_MS));
    go(p);
    ck_assert_int_eq(mp_queue_size(queue), 0);
    assert_serves(t);
    stop_serving();
}

// The byte before a length, which only ipc has.
MP_TEST(a_message_of_no_known_kind_is_no_item)
{
    serve(&ipc);
    for (int kind = 0; kind < 256; kind += kind ? 51 : 2) {
        struct peer p = come(&ipc);
        hello(p, false);
        say(p, &(char){(char)kind}, 1);
        say(p, "\0\0\0\0\0\0\0\4item", 12);
        ck_assert(closes(p.fd, LONG_MS));
        go(p);
    }
    ck_assert_int_eq(mp_queue_size(queue), 0);
    assert_serves(&ipc);
    stop_serving();
}
