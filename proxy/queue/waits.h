// SPDX-License-Identifier: MIT
//
// Who waits for what, in the order of coming, and answers.
#ifndef MP_PROXY_WAITS_H
#define MP_PROXY_WAITS_H

#include "channel/queue_talk.h"
#include "session.h"

#include <mp/queue.h>

// A request that could not be answered at once.
struct wait {
    TAILQ_ENTRY(wait) link;
    struct waits *list;
    struct session *session;
    enum mp__talk what;
    uint64_t id, a, b;
    struct timer timer;
    unsigned char *message; // of a PUT, and
    mp_slice *items;        // what is in it, of which
    size_t n, done;         // so many are in the queue
};
TAILQ_HEAD(waits, wait);

extern struct waits getters, putters, joiners;

void send_head(struct session *s, const struct mp__talk_head *h);
void send_answer(struct session *s, uint64_t id, int64_t result);

// Enters a request at the end of a list. NULL: no memory, or too many of this client, whose
// session has ended then.
struct wait *wait_in(struct waits *list, struct session *s, const struct mp__talk_head *h);

// It gives up after ms: now with 0, never with less.
void wait_until(struct wait *w, int ms);

// Takes it out; and with its answer, if its client gets any.
void wait_stop(struct wait *w);
void wait_finish(struct wait *w, int64_t result);

void waits_drop(const struct session *s); // all of that session

// requests.c: somebody has to wait, so it looks when it may be time.
void requests_look_soon(void);

#endif
