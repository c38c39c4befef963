// SPDX-License-Identifier: MIT
//
// From the wire to the channel: cuts what came into messages and puts them into the ring, as far
// as there is room. The length of a message is only ever compared, never allocated.
#include "link.h"

#include "base/log.h"

#include <mp/log.h>

#define DIRECT_LEAST ((size_t)16 << 10) // of a message, to be received where it shall lie

// The user is gone: what comes is read, so that the peer gets to its end, and dropped.
static bool dropping(struct link *l)
{
    return mp__pump_unread(&l->channel);
}

static int over(struct link *l, const char *why)
{
    mp_log(MP_LOG_WARN, "%s: %s", l->terms->url, why);
    mp__channel_publish(&l->channel); // what came before
    mp__channel_break(&l->channel, MP_EBROKEN);
    link_dead(l);
    return -1;
}

static int begin(struct link *l, uint64_t size)
{
    if (size > l->terms->rings.max_size)
        return over(l, "a message longer than opts.pipe.max_size came");
    l->in.inside = true;
    l->in.begun = false;
    l->in.left = size;
    return 1;
}

// The peer has sent all. It hears so by our closing: all of it was read.
static int ended(struct link *l)
{
    mp__channel_publish(&l->channel);
    mp__channel_close(&l->channel);
    link_dead(l);
    return -1;
}

static size_t head_size(const struct link *l)
{
    return !l->mp && l->terms->transport == MP__IPC ? MP__FRAME + 1 : MP__FRAME;
}

static int read_head(struct link *l)
{
    struct in *in = &l->in;
    size_t need = head_size(l), n = need - in->head_len;
    if (n > l->wire.left)
        n = l->wire.left;
    memcpy(in->head + in->head_len, l->wire.at, n);
    wire_used(&l->wire, n);
    in->head_len += n;
    if (in->head_len < need)
        return 1;
    in->head_len = 0;
    uint64_t head = mp__get_be64(in->head + need - MP__FRAME);
    if (!l->mp) {
        if (need > MP__FRAME && in->head[0] != 1)
            return over(l, "something came that is not SP");
        return begin(l, head);
    }
    if (mp__frame_kind(head) == MP__FRAME_MESSAGE)
        return begin(l, mp__frame_size(head));
    if (mp__frame_kind(head) == MP__FRAME_END && mp__frame_size(head) == 0)
        return ended(l);
    return over(l, "something came that makes no sense");
}

// One step: 1 it went on, 0 there is no room, -1 it is over.
static int step(struct link *l)
{
    struct in *in = &l->in;
    if (!in->inside) {
        bool whole = l->wire.messages && !l->mp;
        int r = whole ? begin(l, l->wire.left) : read_head(l);
        if (r < 0 || !in->inside)
            return r;
    }
    bool drop = dropping(l);
    if (!in->begun) {
        if (!drop && !mp__pump_begin(&l->channel, in->left))
            return 0;
        in->begun = true;
    }
    size_t n = in->left < l->wire.left ? (size_t)in->left : l->wire.left;
    int64_t put = drop || !n ? (int64_t)n : mp__pump_put(&l->channel, l->wire.at, n, in->left);
    if (put < 0)
        return over(l, "the user damaged his pipe");
    wire_used(&l->wire, (size_t)put);
    in->left -= (uint64_t)put;
    in->inside = in->left > 0;
    return put > 0 || n == 0;
}

// Asks the wire for more. The body of a long message goes straight into the ring, when there is
// room, which is asked for otherwise.
static void receive(struct link *l)
{
    struct in *in = &l->in;
    struct mp__piece pieces[2];
    mp__pump_publish_whole(&l->channel);
    bool large = l->channel.tx.ring.cap >= 4 * DIRECT_LEAST && !l->wire.messages;
    while (large && in->inside && in->left >= DIRECT_LEAST && !dropping(l)) {
        size_t n = mp__pump_space(&l->channel, in->left, pieces);
        if (n >= DIRECT_LEAST) {
            wire_receive_into(&l->wire, pieces, 2, n == in->left);
            return;
        }
        if (mp__pump_want_room(&l->channel, (size_t)l->channel.tx.ring.cap / 2))
            return;
    }
    wire_receive(&l->wire);
}

static void take_direct(struct link *l)
{
    struct in *in = &l->in;
    size_t n = l->wire.direct;
    l->wire.direct = 0;
    mp__pump_filled(&l->channel, n, in->left);
    in->left -= n;
    in->inside = in->left > 0;
}

void in_run(struct link *l)
{
    if (l->wire.receiving)
        return;
    if (l->wire.direct)
        take_direct(l);
    while (l->phase == RUNNING) {
        if (!l->wire.left && !l->wire.message) {
            receive(l);
            return;
        }
        int r = step(l);
        if (r == 0) {
            mp__pump_publish_whole(&l->channel);
            size_t want = l->in.left < l->wire.left ? (size_t)l->in.left : l->wire.left;
            if (mp__pump_want_room(&l->channel, want))
                return;
        }
    }
}

// Between two of libmp an end is announced; else something was lost. A foreign peer ends
// like this, also when it did not read all we sent.
void in_lost(struct link *l, int err)
{
    bool end = err == NNG_ECONNSHUT || err == NNG_ECLOSED || err == NNG_ECONNRESET ||
               err == NNG_ECONNREFUSED;        // so it calls the end of TLS
    bool inside = l->in.inside && l->in.begun; // the reader sees that it is cut off
    mp__channel_publish(&l->channel);
    if (inside || (l->mp ? l->out.over : end))
        mp__channel_close(&l->channel);
    else
        mp__channel_break(&l->channel, MP_EBROKEN);
    if (!l->mp || !l->out.over)
        mp_log(MP_LOG_INFO, "%s: the connection ended: %s", l->terms->url, nng_strerror(err));
    link_dead(l);
}
