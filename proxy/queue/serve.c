// SPDX-License-Identifier: MIT
#include "serve.h"

#include "base/log.h"
#include "channel/handle.h"
#include "channel/remote.h"
#include "os/fdpass.h"
#include "requests.h"
#include "server/loop.h"
#include "session.h"

#include <errno.h>
#include <mp/log.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define HAND_OVER_MS 20000
#define RETRY_NS     INT64_C(50000000) // after a connection for which there was no descriptor

static int listener = -1;

// ---- connections -------------------------------------------------------------------------

static int take_connection(void)
{
    struct mp__arrival a;
    struct mp__channel c;
    int r = mp__arrival_take(listener, &a, &c);
    if (r < 0)
        return r;
    if (a.send_max && a.send_max < c.send_max)
        c.send_max = (size_t)a.send_max;
    session_begin(&c, a.peer);
    return 0;
}

static void retry(struct timer *t);
static struct timer timer = {.ring = retry};

static void take_connections(void)
{
    int r;
    while ((r = take_connection()) == 0)
        continue;
    if (r == -EMFILE || r == -ENFILE || r == -ENOMEM) {
        mp_log(MP_LOG_WARN, "a queue's client was turned away: %s", mp_strerror(r));
        loop_set_timer(&timer, RETRY_NS);
    } else if (r != MP_EAGAIN) {
        requests_over(); // mpproxy is gone
    }
}

static void retry(struct timer *t)
{
    (void)t;
    take_connections();
}

static void on_listener(struct source *s, uint32_t events)
{
    (void)s, (void)events;
    take_connections();
}

// ---- beginning and end -------------------------------------------------------------------

static void on_control(struct source *s, uint32_t events)
{
    (void)s, (void)events; // nothing comes but its end
    requests_over();
}

static struct source at_listener = {on_listener}, at_control = {on_control};

// The queue out of the message that libmp sends first.
static int take_queue(int control, mp_queue **out)
{
    struct {
        struct mp__serving head;
        unsigned char bytes[MP__PARCEL_MAX];
    } m;
    struct pollfd p = {.fd = control, .events = POLLIN};
    int fds[MP__FDPASS_MAX];
    size_t n = MP__FDPASS_MAX;
    mp_handle h;
    if (poll(&p, 1, HAND_OVER_MS) <= 0)
        return MP_ETIMEDOUT;
    int r = mp__fds_recv(control, fds, &n, &m, sizeof m);
    if (r < 0)
        return r;
    struct mp__parcel *parcel = mp__parcel_new();
    if (!parcel)
        return -ENOMEM;
    if (r < (int)sizeof m.head || m.head.magic != MP__REQUEST_MAGIC || n < 1 ||
        m.head.n_fds != n - 1 || m.head.size != (size_t)r - sizeof m.head)
        return MP_EPROTO;
    listener = fds[0];
    memcpy(parcel->fds, fds + 1, (n - 1) * sizeof *fds);
    memcpy(parcel->bytes, m.bytes, m.head.size);
    parcel->head.size = m.head.size;
    parcel->head.n_fds = m.head.n_fds;
    parcel->head.n_handles = 1;
    if ((r = mp__handles_open(parcel, &h)) < 0)
        return r;
    mp__parcel_end(parcel);
    mp__handles_opened(&h, 1);
    return mp_handle_take_queue(&h, out);
}

int serve_init(int control)
{
    struct mp__proxy_hello hello = {.magic = MP__REQUEST_MAGIC, .version = MP_VERSION};
    mp_queue *q;
    int r = mp__fds_send(control, NULL, 0, &hello, sizeof hello);
    if (r == 0)
        r = take_queue(control, &q);
    if (r == 0)
        r = requests_init(q);
    if (r == 0)
        r = loop_watch(listener, EPOLLIN | EPOLLRDHUP, &at_listener);
    if (r == 0)
        r = loop_watch(control, EPOLLIN | EPOLLRDHUP, &at_control);
    mp__fds_send(control, NULL, 0, &r, sizeof r);
    return r;
}
