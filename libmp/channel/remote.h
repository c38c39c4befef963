// SPDX-License-Identifier: MIT
//
// From mp_url_opts to a request that mpproxy understands: what mp_connect() and mp_listen()
// have in common.
#ifndef MP_CHANNEL_REMOTE_H
#define MP_CHANNEL_REMOTE_H

#include "channel/proxy.h"
#include "channel/url.h"
#include <mp/url.h>

// A request in the making, and the descriptors of keys that go with it.
struct mp__remote {
    struct mp__request request;
    struct mp__url url;
    struct mp__channel_opts channel;
    int keys[4];
    size_t nkeys;
    char text[MP__TEXT_MAX]; // what is wrong
};

// Reads url and opts (never NULL), for what `protocol` (MP__SP_*) says. What was opened is closed
// by mp__remote_drop(), also after a failure.
int mp__remote_prepare(struct mp__remote *r, const char *url, const mp_url_opts *opts, bool listen,
                       uint32_t protocol);
void mp__remote_drop(struct mp__remote *r);

// Waits at a descriptor for the answer: MP_ETIMEDOUT, or 0 when there is something to read.
int mp__remote_wait(int fd, mp__deadline d);

// Puts "<what> <url>: <text>" where the caller wants it. Returns err.
int mp__remote_fail(const mp_url_opts *opts, const char *what, const char *url, const char *text,
                    int err);

// As mp_connect() and mp_listen(), for what `protocol` says.
int mp__connect(mp_pipe **out, const char *url, const mp_url_opts *opts, uint32_t protocol);
int mp__listen(mp_listener **out, const char *url, const mp_url_opts *opts, uint32_t protocol);

// Takes the next connection from a listener's socket: this end of its channel, and what mpproxy
// says of it. MP_EAGAIN: there is none; MP_EOF and others: mpproxy is gone; MP_EPROTO, -ENOMEM,
// -EMFILE.
int mp__arrival_take(int sock, struct mp__arrival *a, struct mp__channel *c);

// The socket at which connections arrive; and then: somebody else takes them, who does so until
// nobody holds the other end of `keeper`. That is the listener's from now on.
int mp__listener_socket(const mp_listener *l);
void mp__listener_is_served(mp_listener *l, int keeper);

// What mp_pipe_new() does with MP_TRANSPORT=nng: two ends that are connected through mpproxy.
int mp__listener_pair(mp_pipe **a, mp_pipe **b, const mp_pipe_opts *sizes);

#endif
