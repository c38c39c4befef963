// SPDX-License-Identifier: MIT
//
// From the channel to the wire. What waits in the ring is gathered into one send, up to 64
// KiB: a system call and two wake-ups a message is what makes others slow. A long message
// is not copied: the kernel reads it from the ring, whose space goes back when it has.
#include "link.h"

#include "base/clock.h"

#define DIRECT_LEAST ((size_t)16 << 10) // of a message, to be sent from where it lies
#define DIRECT_MOST  ((size_t)256 << 10)

static size_t write_head(const struct link *l, uint8_t *p, uint64_t size)
{
    size_t n = 0;
    if (!l->mp && l->terms->transport == MP__IPC)
        p[n++] = 1;
    mp__put_be64(p + n, size); // a message of ours looks like one of SP's
    return n + 8;
}

static int end_message(struct link *l)
{
    l->out.inside = false;
    return mp__pump_end_message(&l->channel);
}

// Takes a piece of a long message where it lies. False: not worth it, or nothing there.
static bool take_direct(struct link *l)
{
    struct out *o = &l->out;
    if (o->left < DIRECT_LEAST || l->wire.messages)
        return false;
    size_t most = o->left < DIRECT_MOST ? (size_t)o->left : DIRECT_MOST;
    size_t n;
    const void *p = mp__pump_peek(&l->channel, most, &n);
    if (n < DIRECT_LEAST)
        return false;
    o->ring = p;
    o->ring_len = n;
    mp__pump_skip(&l->channel, n);
    o->left -= n;
    return true;
}

// Stages frames until the buffer is full or nothing is there. 0; MP_EOF when the user has
// closed; other errors when he broke off.
static int gather(struct link *l)
{
    struct out *o = &l->out;
    while (WIRE_BUFFER - o->len > 2 * (size_t)MP__FRAME) {
        if (!o->inside) {
            int r = mp__pump_next(&l->channel, &o->left);
            if (r <= 0)
                return r;
            o->inside = true;
            o->len += write_head(l, o->buffer + o->len, o->left);
        }
        bool direct = take_direct(l);
        if (!direct && o->left) {
            size_t room = WIRE_BUFFER - o->len;
            int64_t n = mp__pump_take(&l->channel, o->buffer + o->len,
                                      o->left < room ? (size_t)o->left : room);
            if (n <= 0)
                return (int)n;
            o->len += (size_t)n;
            o->left -= (uint64_t)n;
        }
        if (o->left == 0 && end_message(l) < 0)
            return MP_EPROTO;
        if (direct)
            return 0;
    }
    return 0;
}

// A foreign peer over ws: one message, as a whole. 1 when it is complete.
static int gather_whole(struct link *l)
{
    struct out *o = &l->out;
    if (!o->inside) {
        int r = mp__pump_next(&l->channel, &o->left);
        if (r <= 0)
            return r;
        if (o->left > l->channel.max_size || nng_msg_alloc(&o->message, (size_t)o->left) != 0)
            return MP_EPROTO;
        o->inside = true;
    }
    while (o->left) {
        uint8_t *end = (uint8_t *)nng_msg_body(o->message) + nng_msg_len(o->message);
        int64_t n = mp__pump_take(&l->channel, end - o->left, (size_t)o->left);
        if (n <= 0)
            return (int)n;
        o->left -= (uint64_t)n;
        mp__channel_give_back(&l->channel);
    }
    return end_message(l) < 0 ? MP_EPROTO : 1;
}

// What was staged is on its way.
static void staged_is_sent(struct link *l)
{
    struct out *o = &l->out;
    o->len = 0;
    if (o->ring) {
        o->ring = NULL;
        o->ring_len = 0;
        mp__channel_give_back(&l->channel);
    }
}

// The first at once, for its latency; what follows piles up meanwhile and is sent by NNG's
// threads, so that the main one has time for others.
static void send_staged(struct link *l, bool first)
{
    struct out *o = &l->out;
    if (!o->ring) // what was copied need not wait for the wire
        mp__channel_give_back(&l->channel);
    if (!first)
        wire_send(&l->wire, o->buffer, o->len, o->ring, o->ring_len);
    else if (wire_send_now(&l->wire, o->buffer, o->len, o->ring, o->ring_len))
        staged_is_sent(l);
}

// The user has closed, and everything of his is on the wire. The peer is told, if it
// understands it; then it closes. A foreign one is given a moment to take what was sent.
static void finish(struct link *l)
{
    struct out *o = &l->out;
    o->over = true;
    if (l->mp) {
        mp__frame_write(o->buffer, MP__FRAME_END, 0);
        wire_send(&l->wire, o->buffer, MP__FRAME, NULL, 0);
    }
    loop_post(&l->work);
}

// `first`: nothing was under way before.
static void run(struct link *l, bool first)
{
    struct out *o = &l->out;
    bool whole = l->wire.messages && !l->mp;
    while (l->phase == RUNNING && !l->wire.sending && !o->over && !o->failed) {
        int r = whole ? gather_whole(l) : gather(l);
        if (r < 0 && r != MP_EOF) { // inside a message: the peer shall see that it is cut off
            link_dead(l);
        } else if (whole && r == 1) {
            nng_msg *m = o->message;
            o->message = NULL;
            wire_send_message(&l->wire, m);
        } else if (o->len || o->ring) {
            send_staged(l, first);
            first = false;
        } else if (r == MP_EOF) {
            finish(l);
        } else {
            mp__channel_give_back(&l->channel);
            if (mp__pump_want_data(&l->channel))
                return;
        }
    }
}

void out_run(struct link *l)
{
    run(l, true);
}

void out_sent(struct link *l)
{
    staged_is_sent(l);
    run(l, false);
}

// The peer has closed, or the connection is lost. Which of them, and what it sent before,
// the other direction will tell.
void out_lost(struct link *l)
{
    l->out.failed = true;
    l->out.ring = NULL;
    mp__pump_refuse(&l->channel);
}
