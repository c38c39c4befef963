// SPDX-License-Identifier: MIT
//
// What libmp and mpproxy say to one another. Both are of one version and on one machine, so
// these are plain structs; the first word of each tells when they are not.
//
//  - mpproxy, when it is ready, sends a struct mp__proxy_hello.
//  - A request is one message on the control socket: a struct mp__request and the descriptors
//    that `fds` lists, in that order. Nothing is ever answered there, so that any number of
//    processes may share the socket.
//  - For MP__CONNECT the descriptors begin with an end of a fresh channel, which is the
//    connection; the first message that comes through it is a struct mp__answer.
//  - For MP__LISTEN they begin with a SEQPACKET socket, which is the listener: the first
//    message there is a struct mp__answer; each later one a struct mp__arrival with an end of a
//    channel. For each of those the listener sends a byte back when it has been accepted.
//
// Key material comes as open descriptors: mpproxy never opens a file that a request names.
#ifndef MP_CHANNEL_REQUEST_H
#define MP_CHANNEL_REQUEST_H

#include "channel/channel.h"

#include <stdint.h>

#define MP__REQUEST_MAGIC 0x32505850u // "PXP2": to be changed with the structs below

enum { MP__URL_MAX = 320, MP__TEXT_MAX = 400, MP__NAME_MAX = 256, MP__KEY_MIN = 16 };

enum mp__transport { MP__IPC, MP__TCP, MP__TLS, MP__WS };

enum { MP__CONNECT = 1, MP__LISTEN = 2 };

// Which descriptors come, lowest bit first.
enum {
    MP__FD_KEY = 1, // the shared secret
    MP__FD_CA = 2,  // PEM
    MP__FD_CERT = 4,
    MP__FD_CERT_KEY = 8,
};

// Numbers in the hello of SP that peers of other libraries know, and one of ours: at a queue's
// listener PUSH puts, PULL gets, and our own clients do both.
enum { MP__SP_PAIR0 = 0x10, MP__SP_PUSH0 = 0x50, MP__SP_PULL0 = 0x51, MP__SP_QUEUE = 0x4d51 };

struct mp__proxy_hello {
    uint32_t magic;
    char version[28];
};

struct mp__rings {
    uint64_t size, max, max_size;
};

struct mp__request {
    uint32_t magic;
    uint32_t kind;
    uint32_t transport;
    uint32_t fds;      // of MP__FD_*: these follow the channel or the socket
    uint32_t protocol; // of MP__SP_*: what this side is
    int32_t timeout_ms;
    int32_t linger_ms;
    int32_t alive_ms;    // -1: as long as the system believes
    uint32_t foreign;    // do not ask whether the listener is of libmp
    uint32_t any_client; // TLS listener: let clients in that show no certificate
    struct mp__rings rings;
    char url[MP__URL_MAX];
    char tls_name[MP__NAME_MAX]; // that the listener's certificate must carry
};

struct mp__answer {
    uint32_t magic;
    int32_t err;
    uint64_t max_size;       // what the other side takes, if it said
    char url[MP__URL_MAX];   // listener: the real address
    char text[MP__TEXT_MAX]; // on failure: a sentence
};

struct mp__arrival {
    uint32_t magic;
    uint32_t peer; // of MP__SP_*: what the other side is
    struct mp__rings rings;
    uint64_t send_max; // what the other side takes, if it said
};

// How mpproxy begins to serve a queue (channel/serve.c): after its hello one message comes, with
// this, the socket of a listener, and then the queue as a parcel, whose bytes follow.
struct mp__serving {
    uint32_t magic;
    uint32_t size;  // of the parcel
    uint32_t n_fds; // of the parcel
};

// The channel of a connection: the user's end is 0, mpproxy's 1.
enum { MP__USER_END = 0, MP__PROXY_END = 1 };

static inline struct mp__channel_opts mp__rings_opts(const struct mp__rings *r)
{
    return (struct mp__channel_opts){.ring_size = (size_t)r->size,
                                     .ring_max = (size_t)r->max,
                                     .max_size = (size_t)r->max_size,
                                     .no_spin = true};
}

// Sizes that a channel may have: they come from another process.
static inline bool mp__rings_valid(const struct mp__rings *r)
{
    return r->size >= 4096 && r->max <= (1u << 30) && r->size <= r->max &&
           !(r->size & (r->size - 1)) && !(r->max & (r->max - 1)) && r->max_size <= PTRDIFF_MAX;
}

#endif
