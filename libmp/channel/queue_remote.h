// SPDX-License-Identifier: MIT
//
// The queue of another machine, as its client sees it (queue_remote.c). queue.c decides which
// queues are such, and has checked arguments.
#ifndef MP_CHANNEL_QUEUE_REMOTE_H
#define MP_CHANNEL_QUEUE_REMOTE_H

#include "channel/queue_talk.h"
#include "channel/want.h"

#include <mp/url.h>

struct mp__far;

int mp__far_connect(struct mp__far **out, const char *url, const mp_url_opts *opts);
void mp__far_free(struct mp__far *f);

bool mp__far_acked(const struct mp__far *f);
mp_queue_kind mp__far_kind(const struct mp__far *f);
uint64_t mp__far_most(const struct mp__far *f); // bytes of an item

// As the calls of mp/queue.h.
int64_t mp__far_put(struct mp__far *f, int64_t priority, const mp_slice *items, size_t n,
                    int timeout_ms);
int64_t mp__far_get(struct mp__far *f, const struct mp__want *w, int timeout_ms);
int64_t mp__far_get_many(struct mp__far *f, void *buf, size_t cap, mp_slice *items, size_t n,
                         int timeout_ms);

// What is asked with a number, or none, and answered by one.
int64_t mp__far_ask(struct mp__far *f, enum mp__talk what, uint64_t number, int timeout_ms);

// Whether a get would not block, as far as is known: asks, and does not wait for the answer.
// And a descriptor that becomes readable with the answer.
bool mp__far_ready(struct mp__far *f);
int mp__far_fd(struct mp__far *f);

#endif
