// SPDX-License-Identifier: MIT
//
// A connection, from the first byte to the last: a stream on one side, the channel of a user
// on the other.
//
//   DIALING   we connect
//   HELLO     who speaks? (greet.c)
//   OPEN      both are libmp: versions, random bytes
//   PROOF     both show that they have the key
//   REFUSING  it has not: the answer waits a second, so that guessing takes its time
//   READY     the user is told
//   RUNNING   messages flow: out.c from the channel to the wire, in.c back
//   DEAD      to be freed by the main thread
//
// NNG's threads and the main thread meet under `lock`; what makes and frees is the main
// thread's. Nothing in here blocks: a direction that cannot go on asks to be called again, by the
// wire or by a bell, and holds at most one buffer. So a slow reader holds up its sender and nobody
// else.
#ifndef MP_PROXY_LINK_H
#define MP_PROXY_LINK_H

#include "channel/pump.h"
#include "loop.h"
#include "terms.h"
#include "wire.h"

#include <pthread.h>

enum phase { DIALING, HELLO, OPEN, PROOF, REFUSING, READY, RUNNING, DEAD };

struct door;

// From the channel to the wire.
struct out {
    uint8_t *buffer; // WIRE_BUFFER: frames that wait to be sent, together
    size_t len;
    const void *ring; // a piece of a long message, sent from where it lies
    size_t ring_len;
    bool inside; // a message, of which ...
    uint64_t left;
    bool over;        // the user has closed, and all of his is on the wire; or
    bool failed;      // nothing more gets there
    nng_msg *message; // ws, foreign: being filled
};

// From the wire to the channel.
struct in {
    uint8_t head[MP__FRAME + 1];
    size_t head_len;
    bool inside; // a message, of which ...
    bool begun;  // ... the length is in the ring, and
    uint64_t left;
};

struct link {
    pthread_mutex_t lock;
    enum phase phase;
    struct wire wire;
    struct terms *terms;
    struct mp__channel channel;
    bool has_channel;
    int protocol, peer; // of SP: what we are here, and the other side
    bool mp;            // the peer is libmp
    bool plain;         // it is not: greet it as SP does
    struct out out;
    struct in in;
    _Atomic int64_t moved_at; // last time that something got through
    bool user_gone;           // main thread

    // greeting
    uint8_t heard[MP__FRAME + 64];
    size_t heard_len;
    uint8_t say[512]; // all that this side says, in order
    size_t say_len, say_sent;
    bool half_said, presumed;
    struct mp__open mine, theirs;
    uint8_t reason; // for refusing
    bool refused;
    bool redial;
    int err; // why it is dead before it was ready
    char text[MP__TEXT_MAX];

    // main thread
    struct work work;
    struct timer timer;
    struct source bell, sock;
    nng_stream_dialer *dialer;
    nng_aio *dial;
    bool dialed;
    struct door *door; // that let it in
    struct link *door_next;
};

// Connects as a request wants it; the channel is taken, terms too. The answer goes through it.
void link_connect(struct terms *t, struct mp__channel *channel);

// Takes a stream that came in at a door. NULL: no memory, and the stream is freed.
struct link *link_accept(struct door *d, struct terms *t, nng_stream *stream);

bool link_is_ready(struct link *l);

// Lets a ready one run. One that came in gets its channel, of which the user was told.
void link_run(struct link *l, const struct mp__channel *channel);

// Ends it, with its door or without reason. Main thread.
void link_drop(struct link *l);

// How many there are.
unsigned link_count(void);

// ---- between link.c, greet.c, out.c and in.c; under the lock ----

// Before RUNNING: it came to nothing.
void link_fail(struct link *l, int err, const char *format, ...) MP_PRINTF(3, 4);
void link_dead(struct link *l);

void greet_begin(struct link *l);
void greet_heard(struct link *l); // something came
void greet_said(struct link *l);  // something was sent
void greet_refuse(struct link *l);
void greet_foreign(struct link *l, int peer); // it is not of libmp, and says what it is

void out_run(struct link *l);  // sends what waits, if nothing is under way
void out_sent(struct link *l); // it is on its way
void out_lost(struct link *l); // it could not be sent

void in_run(struct link *l);           // delivers what came, as far as there is room
void in_lost(struct link *l, int err); // the stream ended

#endif
