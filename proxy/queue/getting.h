// SPDX-License-Identifier: MIT
//
// Items out of the queue: to clients that ask, and to foreign peers that want them all.
#ifndef MP_PROXY_GETTING_H
#define MP_PROXY_GETTING_H

#include "waits.h"

// Those who wait get what there is, in the order of coming.
void serve_getters(void);

// A GET, PEEK or WATCH came.
void begin_get(struct session *s, const struct mp__talk_head *h);

// A foreign peer is ready for its next item.
void want_next(struct session *s);

#endif
