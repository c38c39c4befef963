// SPDX-License-Identifier: MIT
//
// What the clients of a served queue want, and who waits for what. The queue is asked with
// timeout 0 only; who has to wait is in a list here, in the order of coming, and is served when the
// queue's bell rings, or at the next look: nobody rings when a consumer dies, and nothing rings
// when there is room.
#ifndef MP_PROXY_REQUESTS_H
#define MP_PROXY_REQUESTS_H

#include "session.h"

#define OUT_MOST ((size_t)256 << 10) // bytes of answers that a client may leave unread

#include <mp/queue.h>

// The queue to be served. 0 or the error.
int requests_init(mp_queue *q);

void requests_begin(struct session *s);
void requests_end(struct session *s); // what it has goes to others

// A message came, whose memory is taken; one is in the ring, and is taken, too.
void request_came(struct session *s, unsigned char *message, size_t size);
void request_sent(struct session *s, struct message *m);

// Whether more shall be read from it.
bool requests_wanted(const struct session *s);

// Somebody has to wait: looks when it may be time.
void requests_look_soon(void);

#endif
