// SPDX-License-Identifier: MIT
//
// The served queue, and items on their way between it and clients. An item that was taken from
// the queue is somebody's at any time. With acknowledgements the queue knows it as held by this
// process, and it is returned when its client's connection ends; should this process die, the
// queue finds that itself. Without, the message that it is in stays here until the client has said
// that it arrived, and else its items are put into the queue once more.
#ifndef MP_PROXY_ITEMS_H
#define MP_PROXY_ITEMS_H

#include "channel/queue.h"
#include "session.h"

extern mp_queue *the_queue;

bool is_raw(const struct session *s); // the peer is not of libmp
bool is_acked(void);

// Puts an item in now. As mp_queue_put() with timeout 0.
int item_put(int64_t priority, const void *data, size_t size);

// The next item, of cap bytes at most, into memory of its own; or, with data = NULL, its size only.
// As mp_queue_get_item() with timeout 0.
int64_t item_next(size_t cap, void **data, mp_queue_item *item);

// It was taken, and nobody got it.
void item_drop(const mp_queue_item *item, const void *data, size_t size);

// What a peer has by its tag. hold() is false without memory, let_go() when it has no such.
bool item_hold(struct session *s, uint64_t tag);
bool item_let_go(struct session *s, uint64_t tag);

// A message with items was made for a client; and is no more, having arrived or not.
void items_sent(struct message *m);
void items_settled(const struct session *s, const struct message *m, bool arrived);

// Items that found no room when they came back: whether there are any, and another try.
bool items_are_back(void);
void items_try_again(void);

#endif
