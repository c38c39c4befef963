// SPDX-License-Identifier: MIT
//
// What a queue's client and its server say to one another, in messages of a pipe.
// docs/protocol.md has it byte by byte.
//
// Each message begins with a head. A request has a number, `id`, and is answered by one ANSWER
// with that number; requests may overtake one another, and a client has one PUT under way at a
// time. When the connection ends, what it had under way is dropped, and what it had
// not acknowledged goes to others.
#ifndef MP_CHANNEL_QUEUE_TALK_H
#define MP_CHANNEL_QUEUE_TALK_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MP__TALK_VERSION 1

enum mp__talk {
    // from the client                  a            b         then            answered by
    MP__TALK_PUT = 1,    // waits up to `ms` items   priority  the items       how many went in
    MP__TALK_GET = 2,    // likewise    most items   bytes                     how many, the items
    MP__TALK_PEEK = 3,   // likewise                                           size of the next
    MP__TALK_WATCH = 4,  //                                                    0, when one is there
    MP__TALK_ACK = 5,    //             tag                                    0
    MP__TALK_RETURN = 6, //             tag                                    0
    MP__TALK_DONE = 7,   // mp_queue_task_done() without acknowledgements      0
    MP__TALK_JOIN = 8,   // waits                                              0
    MP__TALK_SIZE = 9,   //                                                    items
    MP__TALK_FULL = 10,  //                                                    0 or 1
    MP__TALK_END = 11,   //             mp_shutdown                            0
    MP__TALK_TOOK = 12,  // `id` is the answer to a GET that has arrived: not answered
    // from the server
    MP__TALK_ANSWER = 0x80,  //         result, an error of mp/error.h if negative
    MP__TALK_WELCOME = 0x81, // first   kind         most bytes of an item; `ms` is the version
};

enum { MP__TALK_ACKED = 1 }; // flag of WELCOME: the queue has acknowledgements

struct mp__talk_head {
    uint8_t what, flags;
    int32_t ms; // -1: for ever
    uint64_t id, a, b;
};

enum {
    MP__TALK_HEAD = 32,   // what and flags, 2 bytes of 0, ms, id, a, b
    MP__TALK_SENT = 8,    // before each item of a PUT: its length
    MP__TALK_GOT = 32,    // before each item of an answer: length, tag, priority, attempts
    MP__TALK_ROOM = 4096, // more than what goes before one item
};

static inline void mp__talk_put64(unsigned char *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, 8);
}

static inline uint64_t mp__talk_get64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return be64toh(v);
}

static inline void mp__talk_write(unsigned char p[MP__TALK_HEAD], const struct mp__talk_head *h)
{
    uint32_t ms = htobe32((uint32_t)h->ms);
    memset(p, 0, MP__TALK_HEAD);
    p[0] = h->what;
    p[1] = h->flags;
    memcpy(p + 4, &ms, 4);
    mp__talk_put64(p + 8, h->id);
    mp__talk_put64(p + 16, h->a);
    mp__talk_put64(p + 24, h->b);
}

static inline struct mp__talk_head mp__talk_read(const unsigned char p[MP__TALK_HEAD])
{
    uint32_t ms;
    memcpy(&ms, p + 4, 4);
    return (struct mp__talk_head){.what = p[0],
                                  .flags = p[1],
                                  .ms = (int32_t)be32toh(ms),
                                  .id = mp__talk_get64(p + 8),
                                  .a = mp__talk_get64(p + 16),
                                  .b = mp__talk_get64(p + 24)};
}

// The next of the items in a message, which lie one behind the other, each with `before` bytes
// in front of which the first eight are its length. False: there is none, or it makes no sense.
struct mp__talk_item {
    const unsigned char *before, *data;
    uint64_t size;
};
static inline int mp__talk_next(const unsigned char **at, const unsigned char *end, size_t before,
                                struct mp__talk_item *item)
{
    if ((size_t)(end - *at) < before)
        return 0;
    item->before = *at;
    item->data = *at + before;
    item->size = mp__talk_get64(*at);
    if (item->size > (uint64_t)(end - item->data))
        return 0;
    *at = item->data + item->size;
    return 1;
}

#endif
