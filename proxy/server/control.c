// SPDX-License-Identifier: MIT
#include "control.h"

#include "base/log.h"
#include "door.h"
#include "os/fdpass.h"

#include <errno.h>
#include <mp/log.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IDLE_NS INT64_C(5000000000) // without a connection and a listener
#define LOOK_NS INT64_C(20000000)   // so often it looks whether the last is through

static int control = -1;
static bool leaving; // nobody can ask any more

static void hear(struct source *s, uint32_t events);
static void ring(struct timer *t);
static struct source source = {hear};
static struct timer timer = {.ring = ring};

static bool busy(void)
{
    return link_count() || door_count();
}

// ---- requests ----------------------------------------------------------------------------

static bool valid(const struct mp__request *q, size_t nfds)
{
    size_t keys = (size_t)__builtin_popcount(q->fds & 15);
    size_t first = q->kind == MP__CONNECT ? (size_t)MP__CHANNEL_FDS : 1;
    return q->magic == MP__REQUEST_MAGIC && (q->kind == MP__CONNECT || q->kind == MP__LISTEN) &&
           q->transport <= MP__WS && nfds == first + keys &&
           (q->protocol == MP__SP_PAIR0 || q->protocol == MP__SP_QUEUE) &&
           mp__rings_valid(&q->rings) && memchr(q->url, '\0', sizeof q->url) &&
           memchr(q->tls_name, '\0', sizeof q->tls_name);
}

static void answer_through(struct mp__channel *c, const struct mp__answer *a)
{
    if (mp__pump_begin(c, sizeof *a) && mp__pump_put(c, a, sizeof *a, sizeof *a) == sizeof *a)
        mp__channel_publish(c);
    mp__channel_close(c);
    mp__channel_release(c);
}

static void connect_for(const struct mp__request *q, const int *fds, size_t n, bool ours)
{
    struct mp__channel c;
    struct mp__channel_opts o = mp__rings_opts(&q->rings);
    struct mp__answer a = {.magic = MP__REQUEST_MAGIC};
    struct terms *t = NULL;
    int r = mp__channel_import(&c, fds, MP__PROXY_END, &o);
    if (r < 0)
        return;
    if (ours)
        t = terms_read(q, fds + MP__CHANNEL_FDS, n - MP__CHANNEL_FDS, &a);
    else
        answer_failure(&a, MP_EUNSAFE, "mpproxy works for another user");
    if (t)
        link_connect(t, &c);
    else
        answer_through(&c, &a);
    terms_drop(t);
}

static void listen_for(const struct mp__request *q, const int *fds, size_t n, bool ours)
{
    struct mp__answer a = {.magic = MP__REQUEST_MAGIC};
    struct terms *t = NULL;
    if (ours)
        t = terms_read(q, fds + 1, n - 1, &a);
    else
        answer_failure(&a, MP_EUNSAFE, "mpproxy works for another user");
    if (t) {
        door_open(t, fds[0]);
    } else {
        mp__fds_send(fds[0], NULL, 0, &a, sizeof a);
        close(fds[0]);
    }
    terms_drop(t);
}

static void close_all(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
}

static void serve(const struct mp__request *q, const int *fds, size_t n, bool ours)
{
    if (!valid(q, n)) {
        close_all(fds, n);
        return;
    }
    size_t first = q->kind == MP__CONNECT ? (size_t)MP__CHANNEL_FDS : 1;
    if (q->kind == MP__CONNECT)
        connect_for(q, fds, n, ours);
    else
        listen_for(q, fds, n, ours);
    close_all(fds + first, n - first);
}

// Takes what waits. False at the end.
static bool take_requests(void)
{
    for (;;) {
        struct mp__request q;
        struct ucred from;
        int fds[MP__CHANNEL_FDS + 4];
        size_t n = sizeof fds / sizeof *fds;
        int r = mp__fds_recv_from(control, fds, &n, &q, sizeof q, &from);
        if (r == MP_EAGAIN)
            return true;
        if (r == MP_EOF || r == MP_EPIPE)
            return false;
        if (r == sizeof q)
            serve(&q, fds, n, from.uid == geteuid());
        else if (r >= 0)
            close_all(fds, n);
        else
            mp_log(MP_LOG_ERROR, "a request was lost: %s", mp_strerror(r));
    }
}

// ---- the end -----------------------------------------------------------------------------

// What was asked until now is served; who asks from now on sees the socket broken.
static void leave(void)
{
    leaving = true;
    shutdown(control, SHUT_RD);
    take_requests();
    loop_unwatch(control);
    close(control);
}

static void ring(struct timer *t)
{
    if (!leaving && !busy())
        leave();
    if (leaving && !busy())
        loop_end();
    else
        loop_set_timer(t, leaving ? LOOK_NS : IDLE_NS);
}

static void hear(struct source *s, uint32_t events)
{
    (void)s;
    bool more = take_requests();
    if (!more || (events & EPOLLHUP)) {
        leave();
        loop_set_timer(&timer, 0);
    }
}

int control_init(int sock)
{
    struct mp__proxy_hello hello = {.magic = MP__REQUEST_MAGIC, .version = MP_VERSION};
    control = sock;
    int r = loop_watch(sock, EPOLLIN | EPOLLRDHUP, &source);
    if (r == 0)
        r = mp__fds_send(sock, NULL, 0, &hello, sizeof hello);
    loop_set_timer(&timer, IDLE_NS);
    return r;
}
