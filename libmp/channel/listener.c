// SPDX-License-Identifier: MIT
//
// A listener is a socket to mpproxy, at which the ends of new pipes arrive. So it is a plain
// descriptor that is readable while one waits, and mpproxy sees when it is closed, however
// this process ended.
//
// It belongs to the process that made it: the fork hook closes it in others, which would keep
// the address open.
#include "channel/pipe.h"
#include "channel/remote.h"

#include "os/fdpass.h"
#include "os/fork.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIR_MS 10000 // for a connection that is there already

struct mp_listener {
    uint64_t owner;
    int sock;    // -1 in processes that inherited the handle
    int far;     // mpproxy's end, while the request is on its way
    bool served; // a process of its own takes what comes: `sock` leads to that
    _Atomic bool closed;
    char url[MP__URL_MAX];
    struct mp_listener *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards the list, and forks
static struct mp_listener *owned;

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork_parent(void)
{
    pthread_mutex_unlock(&lock);
}

static void after_fork_child(void)
{
    for (struct mp_listener *l = owned; l; l = l->next) {
        close_fd(&l->sock);
        close_fd(&l->far);
    }
    owned = NULL;
    pthread_mutex_unlock(&lock);
}

MP__FORK_HOOKS(MP__HOOKS_LISTENERS) static void set_hooks(void)
{
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

static int usable(const mp_listener *l)
{
    if (!l)
        return MP_EINVAL;
    if (!mp__fork_is_mine(l->owner))
        return MP_EOWNER;
    return atomic_load(&l->closed) ? MP_ECLOSED : 0;
}

// ---- listening -----------------------------------------------------------------------

// A socket pair that is in the list from the beginning.
static int make_sockets(mp_listener *l)
{
    int sv[2];
    pthread_mutex_lock(&lock);
    int r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv);
    int err = r < 0 ? -errno : 0;
    if (r == 0) {
        l->sock = sv[0];
        l->far = sv[1];
        l->next = owned;
        owned = l;
    }
    pthread_mutex_unlock(&lock);
    return err;
}

static void drop_socket(mp_listener *l)
{
    pthread_mutex_lock(&lock);
    for (struct mp_listener **at = &owned; *at; at = &(*at)->next)
        if (*at == l) {
            *at = l->next;
            break;
        }
    close_fd(&l->sock);
    close_fd(&l->far);
    pthread_mutex_unlock(&lock);
}

// The answer is the first message. MP_EOF: mpproxy ended before it gave one.
static int await_answer(struct mp__remote *r, mp_listener *l)
{
    struct mp__answer a;
    size_t none = 0;
    int err = mp__remote_wait(l->sock, mp__now() + INT64_C(60000000000));
    if (err < 0) {
        snprintf(r->text, sizeof r->text, "mpproxy does not answer");
        return err;
    }
    int n = mp__fds_recv(l->sock, NULL, &none, &a, sizeof a);
    if (n == MP_EOF || n == MP_EPIPE)
        return MP_EOF;
    if (n != sizeof a || a.magic != MP__REQUEST_MAGIC) {
        snprintf(r->text, sizeof r->text, "mpproxy gives an answer that makes no sense");
        return MP_EPROTO;
    }
    if (a.err < 0)
        snprintf(r->text, sizeof r->text, "%.*s", (int)sizeof a.text - 1, a.text);
    else
        snprintf(l->url, sizeof l->url, "%.*s", (int)sizeof a.url - 1, a.url);
    return a.err;
}

static int ask(struct mp__remote *r, mp_listener *l, bool *started)
{
    int fds[5];
    int err = make_sockets(l);
    if (err < 0) {
        snprintf(r->text, sizeof r->text, "no socket for it: %s", mp_strerror(err));
        return err;
    }
    fds[0] = l->far;
    memcpy(fds + 1, r->keys, sizeof r->keys);
    err = mp__proxy_ask(&r->request, fds, 1 + r->nkeys, started, r->text);
    pthread_mutex_lock(&lock);
    close_fd(&l->far);
    pthread_mutex_unlock(&lock);
    return err < 0 ? err : await_answer(r, l);
}

static int open_listener(struct mp__remote *r, mp_listener *l)
{
    bool started = false;
    for (int attempt = 0; attempt < 2 && !started; attempt++) {
        int err = ask(r, l, &started);
        if (err == 0)
            return 0;
        drop_socket(l);
        if (err != MP_EOF)
            return err;
    }
    snprintf(r->text, sizeof r->text, "mpproxy ended, or had no descriptors left for a listener");
    return MP_EBROKEN;
}

int mp__listen(mp_listener **out, const char *url, const mp_url_opts *opts, uint32_t protocol)
{
    static const mp_url_opts defaults;
    struct mp__remote r;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    opts = opts ? opts : &defaults;
    mp_listener *l = calloc(1, sizeof *l);
    uint64_t token = mp__fork_token();
    int err = mp__remote_prepare(&r, url, opts, true, protocol);
    if (err == 0 && (!l || !token))
        err = -ENOMEM;
    if (err == 0) {
        l->owner = token;
        l->sock = l->far = -1;
        err = open_listener(&r, l);
    }
    mp__remote_drop(&r);
    if (err == 0) {
        *out = l;
        return 0;
    }
    free(l);
    return mp__remote_fail(opts, "cannot listen at", url, r.text, err);
}

int mp_listen(mp_listener **out, const char *url, const mp_url_opts *opts)
{
    return mp__listen(out, url, opts, MP__SP_PAIR0);
}

int mp__listener_socket(const mp_listener *l)
{
    return l->sock;
}

void mp__listener_is_served(mp_listener *l, int keeper)
{
    pthread_mutex_lock(&lock);
    close_fd(&l->sock);
    l->sock = keeper;
    l->served = true;
    pthread_mutex_unlock(&lock);
}

const char *mp_listener_url(const mp_listener *l)
{
    return l ? l->url : NULL;
}

int mp_listener_fd(const mp_listener *l)
{
    int r = usable(l);
    return r < 0 ? r : l->sock;
}

// ---- accepting -----------------------------------------------------------------------

struct taking {
    int sock;
    struct mp__arrival arrival;
};

int mp__arrival_take(int sock, struct mp__arrival *a, struct mp__channel *c)
{
    int fds[MP__CHANNEL_FDS];
    size_t n = MP__CHANNEL_FDS;
    int r = mp__fds_recv(sock, fds, &n, a, sizeof *a);
    if (r >= 0 || r == -EMFILE || r == MP_EPROTO) {
        // One was taken, if only to be lost: one more may come. If this cannot be said, the
        // hang-up is seen next time.
        ssize_t sent = send(sock, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)sent;
    }
    if (r < 0)
        return r;
    if (r != sizeof *a || n != MP__CHANNEL_FDS || a->magic != MP__REQUEST_MAGIC ||
        !mp__rings_valid(&a->rings)) {
        for (size_t i = 0; i < n; i++)
            close(fds[i]);
        return MP_EPROTO;
    }
    struct mp__channel_opts o = mp__rings_opts(&a->rings);
    return mp__channel_import(c, fds, MP__USER_END, &o);
}

static int take(void *arg, struct mp__channel *c)
{
    struct taking *t = arg;
    return mp__arrival_take(t->sock, &t->arrival, c);
}

static int accept_one(mp_listener *l, mp_pipe **out)
{
    struct taking t = {.sock = l->sock};
    int r = mp__pipe_adopt_remote(out, take, &t);
    if (r == MP_EOF || r == MP_EPIPE || r == -ECONNRESET)
        return atomic_load(&l->closed) ? MP_ECLOSED : MP_EBROKEN;
    if (r == 0)
        mp__pipe_made_remote(*out, t.arrival.send_max);
    return r;
}

int mp_accept(mp_listener *l, mp_pipe **out, int timeout_ms)
{
    if (out)
        *out = NULL;
    int r = usable(l);
    if (r < 0)
        return r;
    if (!out || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (l->served)
        return MP_ENOTSUP;
    mp__deadline d = mp__deadline_in(timeout_ms);
    for (;;) {
        r = accept_one(l, out);
        if (r != MP_EAGAIN)
            return r;
        r = mp__remote_wait(l->sock, d);
        if (r < 0)
            return atomic_load(&l->closed) ? MP_ECLOSED : r;
    }
}

void mp_listener_close(mp_listener *l)
{
    if (l && mp__fork_is_mine(l->owner) && !atomic_exchange(&l->closed, true))
        shutdown(l->sock, SHUT_RDWR);
}

void mp_listener_free(mp_listener *l)
{
    if (!l)
        return;
    mp_listener_close(l);
    if (mp__fork_is_mine(l->owner))
        drop_socket(l);
    free(l);
}

int mp__listener_pair(mp_pipe **a, mp_pipe **b, const mp_pipe_opts *sizes)
{
    mp_listener *l;
    mp_url_opts o = {.pipe = *sizes};
    o.pipe.oneway = false;
    int r = mp_listen(&l, "ipc://", &o);
    if (r < 0)
        return r;
    r = mp_connect(a, l->url, &o);
    if (r == 0)
        r = mp_accept(l, b, PAIR_MS);
    mp_listener_free(l);
    if (r < 0) {
        mp_pipe_free(*a);
        *a = NULL;
        return r;
    }
    if (sizes->oneway) {
        (*a)->channel.can_send = false;
        (*b)->channel.can_recv = false;
    }
    return 0;
}
