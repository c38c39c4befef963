// SPDX-License-Identifier: MIT
//
// Files of keys and certificates are opened here, with the rights of the caller, and go to
// mpproxy as descriptors. A key must be a file that nobody else can read, as ssh wants it.
#include "channel/remote.h"

#include "base/log.h"
#include "channel/give.h"
#include "channel/pipe.h"
#include "os/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/log.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNECT_MS 10000
#define LINGER_MS  5000
#define ALIVE_MS   60000
#define KEY_MAX    4096
#define RING_MAX   ((size_t)4 << 20)

MP_PRINTF(3, 4) static int wrong(struct mp__remote *r, int err, const char *format, ...)
{
    va_list a;
    va_start(a, format);
    vsnprintf(r->text, sizeof r->text, format, a);
    va_end(a);
    return err;
}

int mp__remote_fail(const mp_url_opts *opts, const char *what, const char *url, const char *text,
                    int err)
{
    mp_log(MP_LOG_INFO, "%s %s: %s", what, url ? url : "NULL", text);
    if (opts && opts->error && opts->error_size)
        snprintf(opts->error, opts->error_size, "%s %s: %s", what, url ? url : "NULL", text);
    return err;
}

// ---- key material --------------------------------------------------------------------

static void add_fd(struct mp__remote *r, int bit, int fd)
{
    r->request.fds |= (uint32_t)bit;
    r->keys[r->nkeys++] = fd;
}

// Opens a file; a secret one must be nobody else's to read.
static int open_file(struct mp__remote *r, int bit, const char *path, bool secret)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        int err = -errno;
        return wrong(r, err, "%.300s: %s", path, strerror(-err));
    }
    int err = fstat(fd, &st) < 0 ? -errno : 0;
    if (!err && !S_ISREG(st.st_mode)) {
        err = wrong(r, MP_EINVAL, "%.300s is not a file", path);
    } else if (!err && secret && (st.st_mode & (S_IRWXG | S_IRWXO))) {
        err = wrong(r, MP_EUNSAFE, "%.300s can be read by others (mode %04o): chmod 600", path,
                    (unsigned)st.st_mode & 07777);
    } else if (!err && secret && st.st_uid != geteuid() && st.st_uid != 0) {
        err = wrong(r, MP_EUNSAFE, "%.300s belongs to another user", path);
    }
    if (err)
        close(fd);
    else
        add_fd(r, bit, fd);
    return err;
}

static ssize_t read_all(int fd, char *buf, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(fd, buf + got, size - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

// A key from a descriptor, which may be a pipe: read here, so that mpproxy never waits.
static int copy_key(struct mp__remote *r, int from)
{
    char key[KEY_MAX + 1];
    ssize_t n = read_all(from, key, sizeof key);
    int fd = n < 0 ? (int)n : MP_EINVAL;
    if (n >= MP__KEY_MIN && n <= KEY_MAX)
        fd = mp__memfd_new("mp-key", (size_t)n);
    if (fd >= 0 && pwrite(fd, key, (size_t)n, 0) != n) {
        close(fd);
        fd = -EIO;
    }
    explicit_bzero(key, sizeof key);
    if (fd == MP_EINVAL)
        return wrong(r, fd, "the key in opts.key_fd must have 16 to 4096 bytes");
    if (fd < 0)
        return wrong(r, fd, "opts.key_fd cannot be read: %s", mp_strerror(fd));
    add_fd(r, MP__FD_KEY, fd);
    return 0;
}

static int open_key(struct mp__remote *r, const mp_url_opts *o)
{
    struct stat st;
    if (o->key_file && o->key_fd)
        return wrong(r, MP_EINVAL, "there are both opts.key_file and opts.key_fd");
    if (!o->key_file)
        return copy_key(r, o->key_fd);
    int err = open_file(r, MP__FD_KEY, o->key_file, true);
    if (err)
        return err;
    if (fstat(r->keys[r->nkeys - 1], &st) < 0)
        return -errno;
    if (st.st_size < MP__KEY_MIN || st.st_size > KEY_MAX)
        return wrong(r, MP_EINVAL, "the key in %.300s must have 16 to 4096 bytes", o->key_file);
    return 0;
}

static int open_tls(struct mp__remote *r, const mp_url_opts *o, bool listen)
{
    if (r->url.transport != MP__TLS) {
        if (o->tls_ca || o->tls_cert || o->tls_key || o->tls_name || o->tls_any_client)
            return wrong(r, MP_EINVAL, "opts.tls_... is only for tls+tcp://");
        return 0;
    }
    if (o->tls_key && !o->tls_cert)
        return wrong(r, MP_EINVAL, "there is opts.tls_key, but no opts.tls_cert");
    if (!o->tls_ca && !(listen && o->tls_any_client))
        return wrong(r, MP_EINVAL,
                     "opts.tls_ca is missing: the authority that the other side must be of");
    if (listen && !o->tls_cert)
        return wrong(r, MP_EINVAL, "opts.tls_cert is missing: a listener needs one");
    int err = o->tls_ca ? open_file(r, MP__FD_CA, o->tls_ca, false) : 0;
    if (!err && o->tls_cert)
        err = open_file(r, MP__FD_CERT, o->tls_cert, !o->tls_key);
    if (!err && o->tls_key)
        err = open_file(r, MP__FD_CERT_KEY, o->tls_key, true);
    const char *name = o->tls_name ? o->tls_name : r->url.host;
    if (!err && strlen(name) >= sizeof r->request.tls_name)
        err = wrong(r, MP_EINVAL, "opts.tls_name is too long");
    if (!err)
        snprintf(r->request.tls_name, sizeof r->request.tls_name, "%s", name);
    r->request.any_client = o->tls_any_client;
    return err;
}

// ---- the request ---------------------------------------------------------------------

static int read_sizes(struct mp__remote *r, const mp_url_opts *o)
{
    if (o->pipe.oneway)
        return wrong(r, MP_EINVAL, "opts.pipe.oneway: a pipe of a URL goes both ways");
    mp_pipe_opts sizes = o->pipe;
    if (!sizes.ring_max) // whoever sleeps at the other end of a wire shall not be woken often
        sizes.ring_max = sizes.ring_size > RING_MAX ? sizes.ring_size : RING_MAX;
    if (mp__pipe_read_opts(&sizes, &r->channel) < 0)
        return wrong(r, MP_EINVAL, "opts.pipe: these sizes make no sense");
    r->channel.no_spin = true;
    r->request.rings =
        (struct mp__rings){r->channel.ring_size, r->channel.ring_max, r->channel.max_size};
    return 0;
}

// Others reach it, and nothing tells who they are.
static bool is_open_door(const struct mp__remote *r, const mp_url_opts *o)
{
    bool known = r->request.fds & MP__FD_KEY || (r->url.transport == MP__TLS && !o->tls_any_client);
    return !r->url.local && !known && !o->insecure;
}

int mp__remote_prepare(struct mp__remote *r, const char *url, const mp_url_opts *o, bool listen,
                       uint32_t protocol)
{
    memset(r, 0, sizeof *r);
    if (!url)
        return wrong(r, MP_EINVAL, "there is no URL");
    int err = mp__url_read(&r->url, url, listen, r->text);
    if (!err && (o->connect_ms < MP_FOREVER || o->alive_ms < MP_FOREVER || o->linger_ms < 0))
        err = wrong(r, MP_EINVAL, "one of opts.connect_ms, .linger_ms and .alive_ms is negative");
    if (!err)
        err = read_sizes(r, o);
    if (!err && (o->key_file || o->key_fd))
        err = open_key(r, o);
    if (!err)
        err = open_tls(r, o, listen);
    if (!err && listen && is_open_door(r, o))
        err = wrong(r, MP_EUNSAFE,
                    "others could connect from the network without any authentication: give "
                    "opts.key_file or TLS, listen at 127.0.0.1, or set opts.insecure");
    struct mp__request *q = &r->request;
    q->magic = MP__REQUEST_MAGIC;
    q->kind = listen ? MP__LISTEN : MP__CONNECT;
    q->transport = r->url.transport;
    q->protocol = protocol;
    q->foreign = o->foreign;
    q->timeout_ms = o->connect_ms ? o->connect_ms : CONNECT_MS;
    q->alive_ms = o->alive_ms ? o->alive_ms : ALIVE_MS;
    q->linger_ms = o->linger_ms ? o->linger_ms : LINGER_MS;
    memcpy(q->url, r->url.text, sizeof q->url);
    return err;
}

void mp__remote_drop(struct mp__remote *r)
{
    for (size_t i = 0; i < r->nkeys; i++)
        close(r->keys[i]);
    r->nkeys = 0;
}

int mp__remote_wait(int fd, mp__deadline d)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    for (;;) {
        int n = poll(&p, 1, mp__left_ms(d));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (mp__left_ns(d) == 0)
            return MP_ETIMEDOUT;
    }
}

// ---- connecting ----------------------------------------------------------------------

// Sends the request with the far end of a new pipe, which is mpproxy's from then on.
static int ask(struct mp__remote *r, mp_pipe **near, bool *started)
{
    mp_pipe *far = NULL;
    int fds[MP__CHANNEL_FDS + 4];
    int err = mp__pipe_new(near, &far, &r->channel);
    if (err < 0)
        return wrong(r, err, "no pipe for it: %s", mp_strerror(err));
    mp__channel_export(&far->channel, fds);
    memcpy(fds + MP__CHANNEL_FDS, r->keys, sizeof r->keys);
    (*near)->channel.max_size = PTRDIFF_MAX; // for the answer
    err = mp__proxy_ask(&r->request, fds, MP__CHANNEL_FDS + r->nkeys, started, r->text);
    mp__pipe_give_end(far, true);
    mp_pipe_free(far);
    if (err < 0) {
        mp_pipe_free(*near);
        *near = NULL;
    }
    return err;
}

// The answer is the first message. MP_EOF: mpproxy ended before it gave one.
static int await_answer(struct mp__remote *r, mp_pipe *p)
{
    struct mp__answer a;
    int ms = r->request.timeout_ms;
    // mpproxy keeps to the time; this is for one that is stopped.
    int64_t n = mp_pipe_recv(p, &a, sizeof a, ms < 0 || ms > INT32_MAX / 2 ? ms : ms + 5000);
    if (n == MP_ETIMEDOUT)
        return wrong(r, MP_ETIMEDOUT, "mpproxy does not answer");
    if (n < 0 && n != MP_ECLOSED && n != MP_EPROTO && n != MP_EOWNER)
        return MP_EOF;
    if (n != sizeof a || a.magic != MP__REQUEST_MAGIC)
        return wrong(r, MP_EPROTO, "mpproxy gives an answer that makes no sense");
    if (a.err < 0) {
        snprintf(r->text, sizeof r->text, "%.*s", (int)sizeof a.text - 1, a.text);
        return a.err;
    }
    p->channel.max_size = r->channel.max_size;
    mp__pipe_made_remote(p, a.max_size);
    return 0;
}

// An mpproxy that had nothing to do may just have ended: then a new one is asked, once.
static int ask_and_wait(struct mp__remote *r, mp_pipe **p)
{
    bool started = false;
    for (int attempt = 0; attempt < 2 && !started; attempt++) {
        int err = ask(r, p, &started);
        if (err < 0)
            return err;
        err = await_answer(r, *p);
        if (err == 0)
            return 0;
        mp_pipe_free(*p);
        *p = NULL;
        if (err != MP_EOF)
            return err;
    }
    return wrong(r, MP_EBROKEN, "%s",
                 "mpproxy ended, or had no descriptors left for one more connection");
}

int mp__connect(mp_pipe **out, const char *url, const mp_url_opts *opts, uint32_t protocol)
{
    static const mp_url_opts defaults;
    struct mp__remote r;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    opts = opts ? opts : &defaults;
    int err = mp__remote_prepare(&r, url, opts, false, protocol);
    if (err == 0)
        err = ask_and_wait(&r, out);
    mp__remote_drop(&r);
    return err < 0 ? mp__remote_fail(opts, "cannot connect to", url, r.text, err) : 0;
}

int mp_connect(mp_pipe **out, const char *url, const mp_url_opts *opts)
{
    return mp__connect(out, url, opts, MP__SP_PAIR0);
}
