// SPDX-License-Identifier: MIT
//
// What the caller of a get wants of an item, wherever the queue is.
#ifndef MP_CHANNEL_WANT_H
#define MP_CHANNEL_WANT_H

#include <mp/queue.h>

// What a get wants: the item in buf; or *made in memory of its own; or, with neither, its size
// only, and it stays.
struct mp__want {
    void *buf;
    size_t cap; // the most bytes
    void **made;
    bool discard; // take it, and nothing of it
    mp_queue_item *item;
};

// Gives an item of size bytes at `from` to who wants it. 0, MP_EMSGSIZE, -ENOMEM.
int mp__want_take(const struct mp__want *w, const void *from, uint64_t size);

#endif
