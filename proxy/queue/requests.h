// SPDX-License-Identifier: MIT
//
// What the clients of a served queue want, and who waits for what. The queue is asked with
// timeout 0 only; who has to wait is in a list here, in the order of coming, and is served when the
// queue's bell rings, or at the next look: nobody rings when a consumer dies, and nothing rings
// when there is room.
#ifndef MP_PROXY_REQUESTS_H
#define MP_PROXY_REQUESTS_H

#include <mp/queue.h>

// The queue to be served. 0 or the error.
int requests_init(mp_queue *q);

// The queue, or the way to the network, is no more: ends all.
void requests_over(void);

#endif
