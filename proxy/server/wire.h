// SPDX-License-Identifier: MIT
//
// Bytes over an NNG stream, in both directions, one operation each at a time. Over ws a stream
// carries messages: then what is sent is one, and what comes is one at a time.
//
// NNG completes operations on threads of its own and calls `sent` and so on there. The
// owner calls everything else under a lock of its own, which those take.
#ifndef MP_PROXY_WIRE_H
#define MP_PROXY_WIRE_H

#include "channel/pump.h"
#include "channel/request.h"

#include <nng/nng.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_BUFFER ((size_t)64 << 10)

struct wire {
    void (*sent)(void *arg, int err);     // err of NNG, or 0
    void (*received)(void *arg, int err); // 0: `at` and `left` say what came
    void (*rested)(void *arg);            // now and then
    void *arg;
    nng_stream *stream;
    nng_aio *tx, *rx;
    bool messages; // ws
    bool layered;  // ws or TLS: see wire.c
    nng_aio *nap, *probe;
    nng_aio *quick; // tcp and ipc: for wire_send_now()
    int nap_ms;
    bool came;
    bool sending, receiving;
    bool closed;

    const uint8_t *at; // received, not used yet
    size_t left;
    size_t direct; // received, and already where it shall be
    size_t into;   // that much may come there
    uint8_t *buffer;
    nng_msg *message; // that `at` points into (ws)

    nng_iov iov[2]; // still to be sent
    unsigned niov;
};

// 0 or an error of NNG. The callbacks and arg are set by the caller.
int wire_init(struct wire *w);

// Takes the stream. 0, or an error of NNG.
int wire_attach(struct wire *w, nng_stream *stream, enum mp__transport transport);

// Sends what the two pieces hold, which must stay as they are until `sent`; b may be NULL.
void wire_send(struct wire *w, const void *a, size_t na, const void *b, size_t nb);

// The same, but tries to get rid of it at once. True: it is on its way, and `sent` does not
// come. It spares a wake-up of one of NNG's threads, which is a third of a round trip.
bool wire_send_now(struct wire *w, const void *a, size_t na, const void *b, size_t nb);
void wire_send_message(struct wire *w, nng_msg *m); // ws; takes m

// To be called first in `sent`, under the lock: false when a part is still to be sent, and
// then `sent` comes again.
bool wire_sent(struct wire *w, int *err);

// To be called first in `received`, under the lock.
void wire_came(struct wire *w, int *err);

// To be called in `rested`, under the lock.
void wire_look(struct wire *w);

// Asks for more, when `left` is 0. The first bytes go to the n pieces, if there are any, and
// `direct` says how many; what follows comes as ever, if `more`.
void wire_receive(struct wire *w);
void wire_receive_into(struct wire *w, const struct mp__piece *p, size_t n, bool more);

// Uses up n of what came.
void wire_used(struct wire *w, size_t n);

// Ends both directions: what is under way ends with an error, and nothing more is begun.
void wire_close(struct wire *w);

// Waits for the callbacks to end and frees all. Without the owner's lock.
void wire_fini(struct wire *w);

#endif
