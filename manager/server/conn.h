// SPDX-License-Identifier: MIT
//
// A connection: what carries one session. Three kinds, alike from GREETED on:
//
//   local     a socket of this machine; after a client's first burst also a channel, through
//             which everything goes from then on
//   req       the same socket, spoken to as SP's REQ: one call at a time
//   remote    a channel whose other end mpproxy holds
//
//   HELLO     who speaks? eight bytes (local only)
//   OPEN      frame OPEN is due
//   GREETED   it has a session; messages flow
//   DEAD      its session ends, and it is freed, when the present round is over
//
// Nothing here blocks, and nobody waits for anybody: what a client does not take waits in
// `out`, up to a limit; while much waits, nothing more is read from it, so that it cannot ask
// for more than it takes; and who takes nothing for too long is cut off.
#ifndef MP_MANAGER_SERVER_CONN_H
#define MP_MANAGER_SERVER_CONN_H

#include "channel/pipe.h"
#include "channel/pump.h"
#include "wire/frame.h"

#include <mp/loop.h>
#include <mp/pack.h>

struct server;
struct mp__session;

enum phase { HELLO, OPEN, GREETED, DEAD };

struct conn {
    struct server *server;
    struct mp__session *session; // the core's, from GREETED on
    enum phase phase;
    uint64_t number; // 1, 2, ... for people
    pid_t pid;       // of a local client
    bool own;        // it is the daemon's: the watchdog, or the pool
    uid_t uid;
    const char *from;   // "local", or the URL it came to
    int64_t since;      // ns
    const char *reason; // why it is DEAD

    int fd; // the socket; -1
    mp_watch *watch;
    int events; // that are watched for
    int pidfd;  // of the client: it may be dead while a child of its holds the socket; -1
    mp_watch *death;

    mp_pipe *pipe; // the channel, or NULL
    mp_watch *bell, *sock;
    bool hot;         // looked at without being rung
    int64_t heard_at; // ns: when it last said something

    bool half_said; // of the hello
    bool req;       // speaks SP's REQ
    bool asked;     // ... and waits for an answer
    uint8_t id[4];  // ... to this request
    bool answered;  // ... or had one

    mp_buf in;        // the beginning of a message
    uint64_t in_left; // of a message from the ring: bytes to come
    bool in_message;
    bool unread; // more may wait to be read

    mp_buf out;        // frames that wait
    size_t out_at;     // sent before that
    uint64_t out_left; // ring: bytes of the present message that are to come
    bool out_begun;    // ring: its length is in there
    int64_t moved_at;  // ns: when something last went out

    uint64_t snapshot; // the request that waits for one
    bool snapshots;
    uint64_t monitor; // the request that is told of each call; with
    bool monitors;

    uint64_t calls, replies, bytes_in, bytes_out;

    bool dirty;
    struct conn *next, *prev;            // all of the server's
    struct conn *next_dirty, *next_dead; // to be flushed, to be freed
    struct conn *next_hot;
};

// Takes a fresh local socket. The caller has checked who it is. -ENOMEM: fd is closed.
int conn_local(struct server *s, int fd, pid_t pid, uid_t uid);

// Takes a pipe that came in at a URL, valid as long as the server.
int conn_remote(struct server *s, mp_pipe *pipe, const char *from);

// Sends a message: as much as goes at once when the round ends. Never fails: a client for which
// too much waits is cut off.
void conn_send(struct conn *c, const void *data, size_t size);

// Reads what is there, up to a fair share. From the socket; from the channel.
void conn_read_socket(struct conn *c);
bool conn_read_ring(struct conn *c); // true: it said something

// It has something to send when the round ends.
void conn_touch(struct conn *c);

// Sends a frame of another kind; sockets only.
void conn_frame(struct conn *c, enum mp__frame_kind kind, const void *data, size_t size);

// Sends what waits.
void conn_flush(struct conn *c);

// Nothing more comes or goes. It is freed when the round ends. Again: nothing.
void conn_die(struct conn *c, const char *reason);
void conn_free(struct conn *c);

// Bytes that wait to be sent.
static inline size_t conn_waiting(const struct conn *c)
{
    return c->out.size - c->out_at;
}

static inline struct mp__channel *conn_channel(const struct conn *c)
{
    return &c->pipe->channel;
}

// ---- between the files of a connection ----

// It has said who it is: it gets its session. MP_EQUOTA, -ENOMEM.
int conn_greeted(struct conn *c);

// Nothing is read from it now: it has too much to take first.
bool conn_is_blocked(const struct conn *c);

// Goes on with what was read before it was blocked. (socket.c)
void conn_resume(struct conn *c);

// A whole message has come.
void conn_message(struct conn *c, const void *data, size_t size);

// It wants a channel: gives it one, or says no. (rings.c)
void conn_offer_rings(struct conn *c);

// Watches a channel's bell and socket. (rings.c)
int conn_watch_channel(struct conn *c);

#endif
