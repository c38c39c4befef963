// SPDX-License-Identifier: MIT
//
// A connection to a served queue: messages as a whole, in and out, without ever blocking. What
// they mean is requests.c's. All runs in the one thread of the loop.
#ifndef MP_PROXY_SESSION_H
#define MP_PROXY_SESSION_H

#include "channel/pump.h"
#include "server/loop.h"

#include <sys/queue.h>

#define OUT_MOST ((size_t)256 << 10) // bytes of answers that a client may leave unread

// One to be sent.
struct message {
    TAILQ_ENTRY(message) link;
    uint64_t id;      // of the request that it answers
    bool items;       // there are items in it, which must not be lost with it
    uint64_t tag;     // raw: of the item that it is, with acknowledgements
    int64_t priority; // raw: of the item
    size_t size;
    unsigned char bytes[];
};
TAILQ_HEAD(messages, message);

struct session {
    TAILQ_ENTRY(session) link;
    struct source bell, sock;
    struct work work;
    struct mp__channel channel;
    uint32_t peer; // of MP__SP_*; PUSH and PULL are raw: an item is a message
    bool running;  // in session.c just now
    bool over;

    unsigned char *in; // the message that is coming
    uint64_t in_size, in_got;
    bool inside;
    bool stalled; // not reading, since requests.c does not want more

    struct messages out; // waiting to be sent
    size_t out_bytes;
    size_t out_at; // of the first; that much is in the ring
    bool begun;

    // requests.c
    struct messages kept; // without acknowledgements: sent, and not yet known to have arrived
    uint64_t *held;       // with: tags of what the peer has
    size_t n_held, held_room;
    unsigned n_kept, n_waits;
    bool putting; // a PUT waits for room
};

struct message *message_new(size_t size); // NULL: no memory

// Takes the channel over.
void session_begin(struct mp__channel *channel, uint32_t peer);
void session_end(struct session *s);
void session_end_all(void);

void session_send(struct session *s, struct message *m);

// Something changed for which it may read or write: in this round of the loop still.
void session_wake(struct session *s);

// ---- requests.c: what a session calls -----------------------------------------------------

void requests_begin(struct session *s);
void requests_end(struct session *s); // what it has goes to others

// A message came, whose memory is taken; one is in the ring, and is taken, too.
void request_came(struct session *s, unsigned char *message, size_t size);
void request_sent(struct session *s, struct message *m);

// Whether more shall be read from it.
bool requests_wanted(const struct session *s);

#endif
