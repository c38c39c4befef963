// SPDX-License-Identifier: MIT
//
// Pipes between programs and machines, by URL. What comes out is an ordinary mp_pipe: the same
// calls, end of data after everything was read, MP_EPIPE when nobody reads any more.
//
//  1. mp_listen() opens an address, mp_listener_url() tells the real one;
//  2. mp_connect() in the other program gives its end, mp_accept() this one's;
//  3. send, receive, wait, close, free as with any pipe;
//  4. mp_listener_close(), mp_listener_free().
//
//     ipc:///run/me/name        a socket file; "ipc://" finds a name by itself
//     tcp://127.0.0.1:5555      IPv4, IPv6 as tcp://[::1]:5555, or a name; port 0 finds a
//     tls+tcp://host:5555       free one; a listener's host may be * for all addresses
//     ws://host:5555/path       in IPv6 where the machine has more of it than ::1
//
// The network is spoken to by mpproxy, a program that the first use of a URL starts, and which
// the processes forked from it share; no thread and no library for it enters this process. It
// ends with the last who uses it, not before what was sent is through (opts.linger_ms).
//
// The peer may be any program that speaks nanomsg's PAIR protocol, version 0: libnng, nanomsg,
// nngcat. Between two of libmp the end of data is certain. A foreign peer has no way to say it:
// there the end of the connection between two messages counts as such, a lost connection
// may be among them, and what was sent last may be lost when it closes early.
//
// A send has succeeded when the message is on its way, not when it has arrived. When a
// connection is lost, both ends give MP_EBROKEN after what had come. Descriptors, pipes and
// shared objects cannot be sent over a URL: MP_ENOTSUP. A pipe of a URL never spins.
//
// Who may connect: with a key (opts.key_file, the same on both sides) only who has it, and each
// side proves it to the other without showing it; with TLS only who has a certificate of the
// same authority; to a socket file only processes of the same user, and root. A key does not
// encrypt: TLS does. An address that other machines reach needs one of them, or opts.insecure.
#ifndef MP_URL_H
#define MP_URL_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/pipe.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mp_listener mp_listener;

typedef struct mp_url_opts {
    // A secret that both sides have, 16 to 4096 bytes; a newline at its end does not count.
    const char *key_file; // a file of this user's that nobody else can read
    int key_fd;           // or a descriptor, read to its end; stays the caller's. 0: none

    // TLS, version 1.2 (older ones are refused): PEM files.
    const char *tls_ca;   // the authority that the other side's certificate must be of
    const char *tls_cert; // our own certificate, and
    const char *tls_key;  // its key, a file nobody else can read; NULL: it is in tls_cert
    const char *tls_name; // connect: what the listener's certificate must be for; NULL: the
                          // host in the URL. An address is matched as a name
    bool tls_any_client;  // listen: let clients in that show no certificate

    bool foreign;   // connect: the listener is not of libmp. It is found out without this, but
                    // nanomsg over ws loses messages while it is asked
    bool insecure;  // listen where others reach it without key or TLS
    int connect_ms; // connect: how long to try; 0 = 10 s, MP_FOREVER
    int linger_ms;  // after the end: how long to go on without progress until what was sent is
                    // given up; 0 = 5 s

    int alive_ms; // how long the machine at the other end may be silent until the connection
                  // is given up (MP_EBROKEN); 0 = 60 s, MP_FOREVER: as long as the system
                  // believes in it, often hours. Not for ipc, where there is no other machine

    mp_pipe_opts pipe; // sizes, as for mp_pipe_new(); ring_max: 0 = 4 MiB. A message longer than
                       // max_size is never received, and refused to a sender of libmp: MP_EMSGSIZE
    char *error;       // where a failing call puts a sentence that names the URL, what is wrong
    size_t error_size; // and what helps: 300 bytes will do. Cut if longer
} mp_url_opts;

// Opens url for connections. Blocks until that is done: a name may have to be resolved, and
// the first use of a URL starts mpproxy (some ms). A file at an ipc path is only ever replaced when
// it is a socket of this user that nobody listens on.
// Errors: MP_EINVAL (a URL that makes no sense, an unknown scheme, a path of more than 107
// bytes, opts that contradict it), -EADDRINUSE, -EEXIST (a file that is no socket), -EACCES,
// -ENOENT (no such directory, key or certificate file; or no mpproxy), -EADDRNOTAVAIL (the host is
// not this machine, or not known), MP_EUNSAFE (a key others can read; an address others reach
// without authentication), MP_EVERSION (an mpproxy of another version), MP_EBROKEN (mpproxy ended),
// -ENOMEM, -EMFILE. Since 0.1.
MP_API MP_NODISCARD int mp_listen(mp_listener **out, const char *url, const mp_url_opts *opts);

// Its real address, with the port or path that was found. As long as the handle. NULL for
// NULL. Since 0.1.
MP_API const char *mp_listener_url(const mp_listener *l);

// Takes the next connection, waits for one up to timeout_ms. The pipe is the caller's. Only
// peers come that have passed authentication.
// Errors: MP_ETIMEDOUT, MP_EOWNER (made by another process: a fork has it no longer),
// MP_ECLOSED, MP_EBROKEN (mpproxy is gone), MP_ENOTSUP (of mp_queue_serve()), MP_EINVAL; -ENOMEM
// and -EMFILE, and then that connection is lost. Since 0.1.
MP_API MP_NODISCARD int mp_accept(mp_listener *l, mp_pipe **out, int timeout_ms);

// A descriptor that is readable while a connection waits, level-triggered, for poll() and event
// loops; it stays the listener's. mp_wait() takes it as MP_WAIT_LISTENER(l). Errors: MP_EINVAL,
// MP_EOWNER, MP_ECLOSED. Since 0.1.
MP_API int mp_listener_fd(const mp_listener *l);
#define MP_WAIT_LISTENER(l) MP_WAIT_FD(mp_listener_fd(l))

// Refuses further connections, and those that were not accepted; an ipc path is removed. The
// pipes stay. Idempotent, never blocks; NULL is fine. Since 0.1.
MP_API void mp_listener_close(mp_listener *l);

// Closes and releases the handle. NULL is fine; in a process that did not make it only
// the memory goes. Since 0.1.
MP_API void mp_listener_free(mp_listener *l);

// Connects to url and gives the pipe. Blocks until the other side has answered, up to
// opts.connect_ms.
// Errors: as mp_listen(), and -ECONNREFUSED (nobody listens there), -EHOSTUNREACH,
// MP_ETIMEDOUT, -EACCES (wrong key, none, or the wrong certificate; also: this user may not
// connect), MP_EPROTO (what listens there does not speak SP, or not PAIR). Since 0.1.
MP_API MP_NODISCARD int mp_connect(mp_pipe **out, const char *url, const mp_url_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
