// SPDX-License-Identifier: MIT
//
// The first bytes. A foreign peer must see nothing but the eight bytes of SP's hello, and two of
// libmp must find each other. What tells them apart is patience: every implementation of SP
// sends its whole hello at once. So who connects sends the first half, which is the same in any
// case. A foreign listener has sent its eight bytes by itself; one of libmp waits, and answers a
// half with a half. Then who connects knows, and completes its hello as SP's or as ours. Should
// a foreign listener's hello have come in two halves, it refuses ours, and we connect
// again with SP's.
//
// Over ws the subprotocol does this: we ask for "mp1.pair.sp.nanomsg.org", and again without
// "mp1." if that is refused. (link.c)
#include "link.h"

#include <errno.h>

enum { MORE, ON }; // what a step needs: more bytes, or to be called again

static void flush(struct link *l)
{
    if (!l->wire.sending && l->say_sent < l->say_len) {
        size_t n = l->say_len - l->say_sent;
        wire_send(&l->wire, l->say + l->say_sent, n, NULL, 0);
        l->say_sent += n;
    }
}

static void say(struct link *l, const void *bytes, size_t n)
{
    memcpy(l->say + l->say_len, bytes, n); // bounded by the protocol: less than 200 in all
    l->say_len += n;
    flush(l);
}

static void say_frame(struct link *l, enum mp__frame_kind kind, const void *bytes, size_t n)
{
    uint8_t frame[MP__FRAME + 64];
    mp__frame_write(frame, kind, n);
    memcpy(frame + MP__FRAME, bytes, n);
    say(l, frame, MP__FRAME + n);
}

// Takes over what came until there are `need` bytes.
static bool hear(struct link *l, size_t need)
{
    size_t n = need > l->heard_len ? need - l->heard_len : 0;
    if (n > l->wire.left)
        n = l->wire.left;
    if (n)
        memcpy(l->heard + l->heard_len, l->wire.at, n);
    wire_used(&l->wire, n);
    l->heard_len += n;
    return l->heard_len >= need;
}

static int ready(struct link *l)
{
    l->phase = READY;
    loop_post(&l->work);
    return MORE;
}

static int fail(struct link *l, int err, const char *text)
{
    link_fail(l, err, "%s", text);
    return MORE;
}

static int refuse(struct link *l, uint8_t reason)
{
    l->phase = REFUSING;
    l->reason = reason;
    loop_post(&l->work);
    return MORE;
}

void greet_refuse(struct link *l)
{
    l->refused = true;
    say_frame(l, MP__FRAME_REFUSE, &l->reason, 1);
}

// ---- hello -----------------------------------------------------------------------------

static void say_open(struct link *l)
{
    uint8_t bytes[MP__OPEN];
    l->mine = (struct mp__open){.version = MP__WIRE_VERSION,
                                .protocol = (uint16_t)l->protocol,
                                .flags = l->terms->key ? MP__OPEN_KEY : 0,
                                .max_size = l->terms->rings.max_size};
    auth_nonce(l->mine.nonce);
    mp__open_write(bytes, &l->mine);
    say_frame(l, MP__FRAME_OPEN, bytes, sizeof bytes);
}

static int begin_open(struct link *l)
{
    l->mp = true;
    l->phase = OPEN;
    l->heard_len = 0;
    if (!l->terms->listening)
        say_open(l);
    return ON;
}

// A peer of another library: there is no more to agree on.
static int begin_foreign(struct link *l)
{
    l->mp = false;
    if (l->protocol == MP__SP_QUEUE)
        return fail(l, MP_EPROTO, "what listens there is not a queue of libmp");
    if (l->terms->key)
        return fail(l, -EACCES,
                    "the other side is not of libmp and cannot show that it has the key");
    return ready(l);
}

static int check_protocol(struct link *l, int protocol)
{
    if (protocol == l->peer)
        return 0;
    link_fail(l, MP_EPROTO, "the other side speaks %s of SP, not %s",
              mp__sp_name(protocol) ? mp__sp_name(protocol) : "another protocol",
              mp__sp_name(l->peer));
    return MP_EPROTO;
}

// At a queue's listener a foreign peer says what we are to it.
void greet_foreign(struct link *l, int peer)
{
    if (l->terms->protocol == MP__SP_QUEUE && (peer == MP__SP_PUSH0 || peer == MP__SP_PULL0)) {
        l->peer = peer;
        l->protocol = mp__sp_peer(peer);
    }
}

static int again_plain(struct link *l)
{
    l->redial = true;
    l->phase = DIALING;
    loop_post(&l->work);
    return MORE;
}

// Who connects, and has sent the first half.
static int hello_connecting(struct link *l)
{
    uint8_t hello[MP__HELLO];
    hear(l, MP__HELLO);
    if (l->heard_len < MP__HELLO_COMMON)
        return MORE;
    if (!mp__hello_begins(l->heard))
        return fail(l, MP_EPROTO, "what listens there does not speak SP");
    if (!l->plain && !l->presumed) {
        l->presumed = l->heard_len == MP__HELLO_COMMON;
        l->plain = !l->presumed;
        mp__hello_write(hello, l->presumed ? MP__PROTOCOL_MP : (uint16_t)l->protocol);
        say(l, hello + MP__HELLO_COMMON, MP__HELLO - MP__HELLO_COMMON);
    }
    if (l->heard_len < MP__HELLO)
        return MORE;
    int protocol = mp__hello_read(l->heard);
    if (l->presumed)
        return protocol == MP__PROTOCOL_MP ? begin_open(l) : again_plain(l);
    return check_protocol(l, protocol) < 0 ? MORE : begin_foreign(l);
}

// Who listens, and has said nothing.
static int hello_listening(struct link *l)
{
    uint8_t hello[MP__HELLO];
    hear(l, MP__HELLO);
    if (l->heard_len < MP__HELLO_COMMON)
        return MORE;
    if (!mp__hello_begins(l->heard))
        return fail(l, MP_EPROTO, "the peer does not speak SP");
    if (l->heard_len == MP__HELLO_COMMON && !l->half_said) {
        l->half_said = true;
        say(l, l->heard, MP__HELLO_COMMON);
    }
    if (l->heard_len < MP__HELLO)
        return MORE;
    int protocol = mp__hello_read(l->heard);
    bool mp = protocol == MP__PROTOCOL_MP;
    if (!mp)
        greet_foreign(l, protocol);
    if (!mp && check_protocol(l, protocol) < 0)
        return MORE;
    size_t skip = l->half_said ? MP__HELLO_COMMON : 0;
    mp__hello_write(hello, mp ? MP__PROTOCOL_MP : (uint16_t)l->protocol);
    if (mp || !l->terms->key)
        say(l, hello + skip, MP__HELLO - skip);
    return mp ? begin_open(l) : begin_foreign(l);
}

// ---- open and proof ----------------------------------------------------------------------

static int on_open(struct link *l, const uint8_t *bytes)
{
    bool listening = l->terms->listening, key = l->terms->key;
    l->theirs = mp__open_read(bytes);
    bool asked = l->theirs.flags & MP__OPEN_KEY;
    if (listening && l->theirs.version != MP__WIRE_VERSION)
        return refuse(l, MP__REFUSE_VERSION);
    if (listening && l->theirs.protocol != l->peer)
        return refuse(l, MP__REFUSE_PROTOCOL);
    if (listening && key != asked)
        return refuse(l, MP__REFUSE_KEY);
    if (listening)
        say_open(l);
    else if (check_protocol(l, l->theirs.protocol) < 0)
        return MORE;
    else if (key != asked)
        return fail(l, -EACCES, "the listener has no key, or we have none (opts.key_file)");
    if (memcmp(l->mine.nonce, l->theirs.nonce, MP__NONCE) == 0)
        return fail(l, MP_EPROTO, "the other side repeats what we say");
    if (!key)
        return ready(l);
    l->phase = PROOF;
    if (!listening) {
        uint8_t proof[MP__PROOF];
        auth_prove(proof, l->terms->key, true, &l->mine, &l->theirs);
        say_frame(l, MP__FRAME_PROOF, proof, sizeof proof);
    }
    return ON;
}

static int on_proof(struct link *l, const uint8_t *bytes)
{
    uint8_t proof[MP__PROOF];
    bool listening = l->terms->listening;
    const struct mp__open *connect = listening ? &l->theirs : &l->mine;
    const struct mp__open *listen = listening ? &l->mine : &l->theirs;
    auth_prove(proof, l->terms->key, listening, connect, listen);
    if (!auth_equal(proof, bytes))
        return listening ? refuse(l, MP__REFUSE_KEY)
                         : fail(l, -EACCES, "the listener does not have the key");
    if (listening) {
        auth_prove(proof, l->terms->key, false, connect, listen);
        say_frame(l, MP__FRAME_PROOF, proof, sizeof proof);
    }
    return ready(l);
}

static int on_refuse(struct link *l, uint8_t reason)
{
    if (reason == MP__REFUSE_VERSION)
        return fail(l, MP_EVERSION, "the listener is of another version of libmp");
    if (reason == MP__REFUSE_PROTOCOL)
        return fail(l, MP_EPROTO,
                    l->protocol == MP__SP_QUEUE ? "what listens there is not a queue"
                                                : "what listens there is not for pipes");
    return fail(l, -EACCES,
                "the listener refused us: it wants a key, or another key (opts.key_file)");
}

static int on_frame(struct link *l)
{
    if (!hear(l, MP__FRAME))
        return MORE;
    uint64_t head = mp__get_be64(l->heard), size = mp__frame_size(head);
    int kind = mp__frame_kind(head);
    if (size > sizeof l->heard - MP__FRAME)
        return fail(l, MP_EPROTO, "the other side says something that makes no sense");
    if (!hear(l, MP__FRAME + (size_t)size))
        return MORE;
    l->heard_len = 0;
    if (kind == MP__FRAME_OPEN && l->phase == OPEN && size == MP__OPEN)
        return on_open(l, l->heard + MP__FRAME);
    if (kind == MP__FRAME_PROOF && l->phase == PROOF && size == MP__PROOF)
        return on_proof(l, l->heard + MP__FRAME);
    if (kind == MP__FRAME_REFUSE && !l->terms->listening && size >= 1)
        return on_refuse(l, l->heard[MP__FRAME]);
    return fail(l, MP_EPROTO, "the other side says something that makes no sense");
}

// ---- the way through ---------------------------------------------------------------------

static int step(struct link *l)
{
    switch (l->phase) {
    case HELLO:
        return l->terms->listening ? hello_listening(l) : hello_connecting(l);
    case OPEN:
    case PROOF:
        return on_frame(l);
    default:
        return MORE;
    }
}

void greet_heard(struct link *l)
{
    while (step(l) == ON)
        ;
    if (l->phase < REFUSING && l->phase > DIALING && l->wire.left == 0) {
        wire_used(&l->wire, 0); // ws: an empty message
        wire_receive(&l->wire);
    }
}

void greet_said(struct link *l)
{
    flush(l);
    if (l->refused && !l->wire.sending)
        link_dead(l);
}

void greet_begin(struct link *l)
{
    if (l->wire.messages) {
        if ((l->mp ? begin_open(l) : begin_foreign(l)) == ON)
            greet_heard(l);
        return;
    }
    l->phase = HELLO;
    if (!l->terms->listening) {
        uint8_t hello[MP__HELLO];
        mp__hello_write(hello, (uint16_t)l->protocol);
        say(l, hello, l->plain ? MP__HELLO : MP__HELLO_COMMON);
    }
    wire_receive(&l->wire);
}
