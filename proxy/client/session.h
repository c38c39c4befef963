// SPDX-License-Identifier: MIT
//
// The inside of a connection to a manager. In reading order:
//
//   link.c     bytes: a socket or a pipe, frames, and changing from the one to the other
//   place.c    finding, or starting, the manager
//   session.c  sessions begin and end; forks
//   request.c  requests and answers, threads that share them
//   object.c   proxies
//   call.c     calls by name and format; future.c those whose answer completes a future
#ifndef MP_PROXY_CLIENT_SESSION_H
#define MP_PROXY_CLIENT_SESSION_H

#include "base/clock.h"
#include "wire/buf.h"
#include "wire/calls.h"

#include <mp/future.h>
#include <mp/manager.h>
#include <mp/pipe.h>
#include <pthread.h>
#include <stdatomic.h>

// ---- link.c --------------------------------------------------------------------------

struct mp__link {
    int fd;        // the socket, or -1
    mp_pipe *pipe; // what is used instead, or NULL
    uint8_t *in;   // from the socket: [at, len) waits
    size_t at, len, room;
    uint64_t max_size; // the longest message the other side takes
    int fds[4];        // that came with what waits: the channel
    size_t n_fds;
};

void mp__link_init(struct mp__link *l);

// Says who is here and hears who is there. Takes the socket or the pipe. MP_EQUOTA,
// MP_EVERSION, MP_EPROTO, MP_ELOST, MP_ETIMEDOUT.
int mp__link_greet(struct mp__link *l, int fd, mp__deadline d);

// Sends a message that lies behind MP__FRAME free bytes at `frame`. MP_EAGAIN: there is no
// room, and nothing went out. Waits for room for the rest of what has begun; alone: nobody
// else reads meanwhile. MP_EMSGSIZE, MP_ELOST.
int mp__link_send(struct mp__link *l, uint8_t *frame, size_t size, bool alone);

// Waits for the next message and puts it into b. MP_ETIMEDOUT, MP_ELOST, -ENOMEM.
int mp__link_recv(struct mp__link *l, mp_buf *b, mp__deadline d);

// Asks for rings. Then messages that come go to `b`, and are 1; until 0: the answer came, and
// l->pipe is there, or is not.
int mp__link_ask_rings(struct mp__link *l);
int mp__link_await_rings(struct mp__link *l, mp_buf *b, mp__deadline d);

void mp__link_close(struct mp__link *l);   // wakes who waits on it
void mp__link_release(struct mp__link *l); // also in a forked child: lets go

// ---- place.c -------------------------------------------------------------------------

// Where a manager is, and how to get there, also from a forked child.
struct mp__whither {
    char *where; // a path or a URL
    char *name;  // for --name; NULL: the path
    bool is_url, start;
    int connect_ms;
    mp_url_opts url; // its texts are copies
};

int mp__whither_read(struct mp__whither *w, const char *where, const mp_manager_opts *opts);
void mp__whither_free(struct mp__whither *w);

// A link that has greeted. `text` says what is wrong.
int mp__whither_go(const struct mp__whither *w, struct mp__link *l, char *text, size_t size);

// ---- session.c -----------------------------------------------------------------------

enum { MP__TEXT_SIZE = 400 }; // of explanations

enum { MP__REQUESTS = 256, MP__REQUESTS_FREE = 250 };

enum mp__request_state {
    MP__FREE,
    MP__WAITS,    // for its answer
    MP__ANSWERED, // status and reply are there
    MP__FORGOTTEN // nobody wants the answer
};

struct mp__event {
    struct mp__event *next;
    size_t size;
    unsigned char data[];
};

struct mp__waiting {
    enum mp__request_state state;
    uint64_t id;
    int timeout_ms;
    int status;
    mp_buf reply;
    struct mp__event *first, *last; // replies of status 1
    mp_future *future;              // that the answer completes; or NULL
};

enum { MP__KNOWN = 8 };

struct mp_proxy {
    mp_manager *m;
    uint64_t number;
    uint64_t serial; // of the session that has the reference
    unsigned interface;
    char type[65];
    struct mp__methods *methods; // of a custom type, once it was asked
    _Atomic(const struct mp__call_info *)
        known[MP__KNOWN]; // that were called, by the name's address
};

struct mp_manager {
    pthread_mutex_t lock; // of all that follows
    pthread_cond_t news;
    struct mp_manager *next, *prev; // all of this process, for the fork hook
    unsigned refs;

    struct mp__whither whither;
    char *client;
    bool no_rings;
    int patience_ms;

    struct mp__link link;
    uint64_t owner;  // whose session it is
    uint64_t serial; // of the session: counts those of this handle
    uint64_t instance, session;
    int lost; // why there is no session; 0: there is one
    bool closed;
    bool reading;     // a thread waits at the link
    unsigned waiters; // threads that wait for news
    unsigned burst;   // calls since burst_at
    int64_t burst_at;

    uint64_t numbered;
    unsigned in_flight;
    struct mp__waiting *requests; // MP__REQUESTS of them
    mp_future_source *source;     // of futures, once there is one
    unsigned futures;             // requests that have one
    uint16_t next_free;
    mp_buf out, in;
    struct mp_proxy self;
};

// 0 when there is a session, which a forked child gets here; the error. With the lock held.
int mp__session_ready(mp_manager *m);

void mp__manager_hold(mp_manager *m);
void mp__manager_drop(mp_manager *m);

// ---- request.c -----------------------------------------------------------------------

// Says hello on a link that nobody else knows yet. 0; what the manager says; or an error.
int mp__request_hello(mp_manager *m, mp__deadline d);

// All places are free. A new session begins, or the last has ended.
void mp__requests_clear(mp_manager *m);

// There is no session any more: everybody who waits is told why. With the lock held.
void mp__session_lose(mp_manager *m, int why);

// Waits until no thread reads. With the lock held.
void mp__reader_await(mp_manager *m);

// A request: begin, put arguments into m->out, send. Between the two the lock is held; it is
// let go when either fails. *w is the place of the answer.
int mp__request_begin(mp_manager *m);
int mp__request_send(mp_manager *m, struct mp__waiting **w, uint64_t op, uint64_t object,
                     int timeout_ms, size_t args);

// Waits for the answer to w until d, when the connection is given up; the lock is held before and
// after. 0; or why there will be none, and then w is nobody's any more.
int mp__request_wait(mp_manager *m, struct mp__waiting *w, mp__deadline d);

// Waits for an event of w, or its answer. 0; MP_ETIMEDOUT and others, and w stays.
int mp__news_wait(mp_manager *m, struct mp__waiting *w, mp__deadline d);

// Drops the first event of w.
void mp__event_drop(struct mp__waiting *w);

// How long an answer may take.
mp__deadline mp__request_deadline(const mp_manager *m, const struct mp__waiting *w);

// The place is free again, its answer gone; or nobody wants the answer.
void mp__request_done(mp_manager *m, struct mp__waiting *w);
void mp__request_forget(mp_manager *m, struct mp__waiting *w);

// The request of that ticket, or NULL.
struct mp__waiting *mp__request_find(mp_manager *m, int64_t ticket);

// Takes in what is there, without waiting.
void mp__session_drain(mp_manager *m);

// Completes the futures of all answers that are there, or will never come. Without the lock.
void mp__futures_settle(mp_manager *m);

// A call without a proxy: packs, sends, waits. The lock is held when it returns 0 and w->status
// and w->reply are there; mp__request_done() and unlock are the caller's.
int mp__manager_ask(mp_manager *m, struct mp__waiting **w, uint64_t op, uint64_t object,
                    const char *format, ...);

// ---- object.c ------------------------------------------------------------------------

// Whether the session has a reference to the object. With the lock held.
bool mp__proxy_is_current(const mp_proxy *p);

// Gets it one: MP_ESTALE, or why not. Without the lock.
int mp__proxy_renew(mp_proxy *p);

// The method of that name, and whether it may have to wait. MP_ENOFUNC.
int mp__proxy_method(mp_proxy *p, const char *name, uint64_t *op, bool *waits);

// ---- call.c --------------------------------------------------------------------------

// Sends a call, with arguments only. The lock is held when it returns 0.
int mp__call_begin(mp_proxy *p, struct mp__waiting **w, int timeout_ms, const char *method,
                   const char *types, const char *format, va_list *args);

#endif
