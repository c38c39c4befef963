// SPDX-License-Identifier: MIT
#include "door.h"

#include "base/log.h"
#include "os/fdpass.h"
#include "place.h"

#include <errno.h>
#include <mp/log.h>
#include <nng/supplemental/tls/tls.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTORS 16                // at once: many may come in a moment
#define AT_DOOR   64                // who may be there without having said who it is
#define NOT_TAKEN 32                // connections that the user has not accepted
#define RETRY_NS  INT64_C(50000000) // where a descriptor could not be had, or not be sent

// One accept: under way, done, or resting.
struct acceptor {
    struct door *door;
    nng_aio *aio;
    bool busy;         // under way, or its result not looked at
    _Atomic bool done; // there is a result
};

struct door {
    struct source source; // at `sock`
    struct work work;
    struct timer timer;
    struct terms *terms;
    int sock;
    nng_stream_listener *listener;
    struct acceptor acceptors[ACCEPTORS];
    bool closed;
    struct place place;
    struct link *first, **last; // at the door and ready ones, oldest first
    unsigned links;
    unsigned not_taken;
};

static unsigned count;

unsigned door_count(void)
{
    return count;
}

// ---- who comes ---------------------------------------------------------------------------

static void on_accepted(void *arg)
{
    struct acceptor *a = arg;
    a->done = true;
    loop_post(&a->door->work);
}

static void accept_more(struct door *d)
{
    for (int i = 0; i < ACCEPTORS; i++) {
        struct acceptor *a = &d->acceptors[i];
        if (a->busy || d->closed || d->not_taken >= NOT_TAKEN)
            continue;
        a->busy = true;
        nng_stream_listener_accept(d->listener, a->aio);
    }
}

static void append(struct door *d, struct link *l)
{
    l->door_next = NULL;
    *d->last = l;
    d->last = &l->door_next;
    d->links++;
}

void door_forget(struct door *d, struct link *l)
{
    for (struct link **at = &d->first; *at; at = &(*at)->door_next)
        if (*at == l) {
            *at = l->door_next;
            if (!*at)
                d->last = at;
            d->links--;
            break;
        }
    l->door = NULL;
}

// Only processes of this user, and root, may use a socket file.
static bool may_enter(struct door *d, nng_stream *s)
{
    uint64_t uid;
    if (d->terms->transport != MP__IPC)
        return true;
    return nng_stream_get_uint64(s, NNG_OPT_IPC_PEER_UID, &uid) == 0 &&
           (uid == geteuid() || uid == 0);
}

// The one that has stood longest without saying who it is.
static void drop_oldest(struct door *d)
{
    struct link *l = d->first;
    while (l && link_is_ready(l))
        l = l->door_next;
    if (l)
        link_drop(l);
}

static void take_stream(struct door *d, nng_stream *s)
{
    if (!may_enter(d, s)) {
        nng_stream_free(s);
        return;
    }
    struct link *l = link_accept(d, d->terms, s);
    if (!l)
        return;
    append(d, l);
    if (d->links > AT_DOOR)
        drop_oldest(d);
}

// Returns whether another accept makes sense now.
static bool take_result(struct door *d, nng_aio *aio)
{
    int err = nng_aio_result(aio);
    if (err == 0)
        take_stream(d, nng_aio_get_output(aio, 0));
    if (err != NNG_ENOFILES && err != NNG_ENOMEM)
        return err != NNG_ECLOSED;
    mp_log(MP_LOG_WARN, "%s: cannot accept: %s", d->terms->url, nng_strerror(err));
    loop_set_timer(&d->timer, RETRY_NS);
    return false;
}

static void take_accepted(struct door *d)
{
    bool more = true;
    for (int i = 0; i < ACCEPTORS; i++) {
        struct acceptor *a = &d->acceptors[i];
        if (!a->done)
            continue;
        a->done = a->busy = false;
        more = take_result(d, a->aio) && more;
    }
    if (more)
        accept_more(d);
}

// ---- who is let in -----------------------------------------------------------------------

// Hands the user his end of a new channel. MP_EAGAIN: he has enough that he did not take.
static int hand_over(struct door *d, struct link *l)
{
    struct mp__channel theirs, ours;
    int fds[MP__CHANNEL_FDS];
    struct mp__arrival a = {
        .magic = MP__REQUEST_MAGIC, .peer = (uint32_t)l->peer, .rings = d->terms->rings};
    struct mp__channel_opts o = mp__rings_opts(&a.rings);
    if (d->not_taken >= NOT_TAKEN)
        return MP_EAGAIN;
    int r = mp__channel_pair(&theirs, &ours, &o);
    if (r < 0)
        return r;
    a.send_max = l->mp ? l->theirs.max_size : l->wire.messages ? terms_whole_max(d->terms) : 0;
    mp__channel_export(&theirs, fds);
    r = mp__fds_send(d->sock, fds, MP__CHANNEL_FDS, &a, sizeof a);
    mp__channel_release(&theirs);
    if (r < 0) {
        mp__channel_release(&ours);
        return r;
    }
    d->not_taken++;
    door_forget(d, l);
    link_run(l, &ours);
    return 0;
}

void door_ready(struct door *d, struct link *l)
{
    int r = d->closed ? MP_ECLOSED : hand_over(d, l);
    if (r == 0 || r == MP_EAGAIN)
        return;
    if (r == -ETOOMANYREFS) { // this user has others under way, just now
        loop_set_timer(&d->timer, RETRY_NS);
        return;
    }
    mp_log(MP_LOG_WARN, "%s: a connection cannot be handed over: %s", d->terms->url,
           mp_strerror(r));
    link_drop(l);
}

// ---- its end -----------------------------------------------------------------------------

static void close_door(struct door *d)
{
    if (d->closed)
        return;
    d->closed = true;
    place_leave(&d->place);
    if (d->listener)
        nng_stream_listener_close(d->listener);
    for (struct link *l = d->first; l; l = l->door_next)
        link_drop(l);
    loop_post(&d->work);
}

static void destroy(struct door *d)
{
    loop_stop_timer(&d->timer);
    for (int i = 0; i < ACCEPTORS; i++) {
        struct acceptor *a = &d->acceptors[i];
        if (a->aio)
            nng_aio_stop(a->aio);
        if (a->done && nng_aio_result(a->aio) == 0)
            nng_stream_free(nng_aio_get_output(a->aio, 0));
        nng_aio_free(a->aio);
    }
    if (d->listener)
        nng_stream_listener_free(d->listener);
    loop_cancel(&d->work);
    loop_unwatch(d->sock);
    close(d->sock);
    terms_drop(d->terms);
    free(d);
    count--;
}

static void do_work(struct work *w)
{
    struct door *d = OWNER_OF(w, struct door, work);
    if (!d->closed) {
        take_accepted(d);
        return;
    }
    if (d->links)
        loop_set_timer(&d->timer, RETRY_NS); // until they are gone
    else
        destroy(d);
}

// Those who are ready go in, as far as the user wants them, and more may come.
static void let_in(struct door *d)
{
    for (struct link *l = d->first, *next; l && d->not_taken < NOT_TAKEN; l = next) {
        next = l->door_next;
        if (link_is_ready(l))
            door_ready(d, l);
    }
    accept_more(d);
}

static void on_timer(struct timer *t)
{
    struct door *d = OWNER_OF(t, struct door, timer);
    if (d->closed)
        loop_post(&d->work);
    else
        let_in(d);
}

// The user took some, or is gone.
static void on_sock(struct source *s, uint32_t events)
{
    struct door *d = (struct door *)s;
    char byte;
    ssize_t n;
    while ((n = recv(d->sock, &byte, 1, MSG_DONTWAIT)) > 0 && d->not_taken)
        d->not_taken--;
    if (n == 0 || (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))) {
        close_door(d);
        return;
    }
    let_in(d);
}

// ---- opening -----------------------------------------------------------------------------

static int set_ws(nng_stream_listener *l, const struct terms *t)
{
    bool queue = t->protocol == MP__SP_QUEUE;
    const char *protocols =
        queue ? "push.sp.nanomsg.org, pull.sp.nanomsg.org, mp1.queue.sp.nanomsg.org"
              : "pair.sp.nanomsg.org, mp1.pair.sp.nanomsg.org";
    int r = nng_stream_listener_set_bool(l, "ws:msgmode", true);
    if (r == 0)
        r = nng_stream_listener_set_string(l, NNG_OPT_WS_PROTOCOL, protocols);
    if (r == 0)
        r = nng_stream_listener_set_size(l, NNG_OPT_RECVMAXSZ, terms_whole_max(t));
    if (r == 0)
        r = nng_stream_listener_set_size(l, NNG_OPT_WS_RECVMAXFRAME, terms_whole_max(t));
    return r;
}

static int listen_at(struct door *d, const char *url)
{
    struct terms *t = d->terms;
    int r = nng_stream_listener_alloc(&d->listener, url);
    if (r == 0 && t->transport == MP__WS)
        r = set_ws(d->listener, t);
    if (r == 0 && t->tls)
        r = nng_stream_listener_set_ptr(d->listener, NNG_OPT_TLS_CONFIG, t->tls);
    for (int i = 0; i < ACCEPTORS && r == 0; i++) {
        d->acceptors[i].door = d;
        r = nng_aio_alloc(&d->acceptors[i].aio, on_accepted, &d->acceptors[i]);
    }
    return r ? r : nng_stream_listener_listen(d->listener);
}

static int listen_at_path(struct door *d, struct mp__answer *a)
{
    char url[128];
    int err = place_prepare(&d->place, d->terms->url + strlen("ipc://"), a->text, sizeof a->text);
    if (err)
        return err;
    snprintf(url, sizeof url, "ipc://%s", d->place.temporary);
    int r = listen_at(d, url);
    if (r) {
        answer_failure(a, error_of_nng(r), "%s", text_of_nng(r));
        return a->err;
    }
    return place_take(&d->place, a->text, sizeof a->text);
}

// Puts the port that was found where the URL says 0.
static void tell_port(struct door *d)
{
    char url[MP__URL_MAX], *host = strstr(d->terms->url, "://") + 3;
    char *bracket = strchr(host, ']'), *colon = strchr(bracket ? bracket : host, ':');
    int port;
    if (!colon || nng_stream_listener_get_int(d->listener, NNG_OPT_TCP_BOUND_PORT, &port) != 0)
        return;
    const char *rest = colon + 1 + strspn(colon + 1, "0123456789");
    snprintf(url, sizeof url, "%.*s:%d%s", (int)(colon - d->terms->url), d->terms->url, port, rest);
    memcpy(d->terms->url, url, sizeof url);
}

static int listen_as_asked(struct door *d, struct mp__answer *a)
{
    if (d->terms->transport == MP__IPC)
        return listen_at_path(d, a);
    int r = listen_at(d, d->terms->url);
    if (r)
        answer_failure(a, error_of_nng(r), "%s", text_of_nng(r));
    else
        tell_port(d);
    return r ? a->err : 0;
}

void door_open(struct terms *t, int sock)
{
    struct mp__answer a = {.magic = MP__REQUEST_MAGIC};
    struct door *d = calloc(1, sizeof *d);
    if (!d) {
        close(sock); // he sees that it is gone
        return;
    }
    count++;
    d->terms = terms_hold(t);
    d->sock = sock;
    d->source.ready = on_sock;
    d->work.run = do_work;
    d->timer.ring = on_timer;
    d->last = &d->first;
    a.err = listen_as_asked(d, &a);
    if (!a.err)
        a.err = loop_watch(sock, EPOLLIN | EPOLLRDHUP, &d->source);
    memcpy(a.url, d->terms->url, sizeof a.url);
    mp__fds_send(sock, NULL, 0, &a, sizeof a);
    if (a.err)
        close_door(d);
    else
        accept_more(d);
}
