// SPDX-License-Identifier: MIT
#include "terms.h"

#include "wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEM_MAX   (1 << 20)
#define WHOLE_MAX ((size_t)64 << 20)

void answer_failure(struct mp__answer *a, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    a->magic = MP__REQUEST_MAGIC;
    a->err = err;
    vsnprintf(a->text, sizeof a->text, format, args);
    va_end(args);
}

// NNG does not tell these apart.
#define TLS_TEXT                                                                                   \
    "TLS could not agree: the other certificate is not of opts.tls_ca, has expired or is not "     \
    "for this host (opts.tls_name); or ours is refused; or that is no TLS 1.2"

// ---- errors of NNG ---------------------------------------------------------------------

static const struct {
    int nng, err;
    const char *text;
} errors[] = {
    {NNG_ENOMEM, -ENOMEM, "out of memory"},
    {NNG_ETIMEDOUT, MP_ETIMEDOUT, "no answer in time"},
    {NNG_ECONNREFUSED, -ECONNREFUSED, "nobody listens there"},
    {NNG_ECLOSED, MP_EPROTO, "the connection was closed before it was ready"},
    {NNG_ECONNSHUT, MP_EPROTO, "the connection was closed before it was ready"},
    {NNG_ECONNRESET, MP_EPROTO, "the connection was reset before it was ready"},
    {NNG_ECONNABORTED, MP_EPROTO, "the connection was broken off before it was ready"},
    {NNG_EADDRINUSE, -EADDRINUSE,
     "the address is in use: take another, or port 0 for one that is free"},
    {NNG_EADDRINVAL, -EADDRNOTAVAIL, "the host is not known, or no address of this machine"},
    {NNG_EPERM, -EACCES, "not permitted for this user"},
    {NNG_ENOENT, -ENOENT, "there is no such file"},
    {NNG_EUNREACHABLE, -EHOSTUNREACH, "the host cannot be reached"},
    {NNG_EPEERAUTH, -EACCES, TLS_TEXT},
    {NNG_ECRYPTO, -EACCES, TLS_TEXT},
    {NNG_EPROTO, MP_EPROTO, "it does not speak the protocol expected"},
    {NNG_ENOFILES, -EMFILE, "mpproxy has no descriptors left (ulimit -n)"},
    {NNG_EMSGSIZE, MP_EMSGSIZE, "a message was too long"},
};

int error_of_nng(int e)
{
    if (e & NNG_ESYSERR)
        return -(e & ~NNG_ESYSERR);
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].nng == e)
            return errors[i].err;
    return MP_EPROTO;
}

const char *text_of_nng(int e)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].nng == e)
            return errors[i].text;
    return nng_strerror(e);
}

// ---- reading ---------------------------------------------------------------------------

static char *read_pem(int fd)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > PEM_MAX)
        return NULL;
    char *text = calloc(1, (size_t)st.st_size + 1);
    if (text && pread(fd, text, (size_t)st.st_size, 0) != st.st_size) {
        free(text);
        text = NULL;
    }
    return text;
}

// The certificates and keys into t->tls. 0, or an error of NNG with *what it is about.
static int fill_tls(struct terms *t, const char *ca, const char *cert, const char *key,
                    bool any_client, const char *name, const char **what)
{
    int r = nng_tls_config_alloc(&t->tls, t->listening ? NNG_TLS_MODE_SERVER : NNG_TLS_MODE_CLIENT);
    *what = "TLS";
    if (r == 0 && ca) {
        *what = "opts.tls_ca is not a certificate in PEM";
        r = nng_tls_config_ca_chain(t->tls, ca, NULL);
    }
    if (r == 0 && cert) {
        *what = "opts.tls_cert and opts.tls_key are not a certificate and its key in PEM";
        r = nng_tls_config_own_cert(t->tls, cert, key ? key : cert, NULL);
    }
    if (r == 0)
        r = nng_tls_config_auth_mode(
            t->tls, t->listening && any_client
                        ? (ca ? NNG_TLS_AUTH_MODE_OPTIONAL : NNG_TLS_AUTH_MODE_NONE)
                        : NNG_TLS_AUTH_MODE_REQUIRED);
    if (r == 0 && !t->listening)
        r = nng_tls_config_server_name(t->tls, name);
    return r;
}

static int read_tls(struct terms *t, const struct mp__request *q, int ca_fd, int cert_fd,
                    int key_fd, struct mp__answer *answer)
{
    const char *what;
    char *ca = read_pem(ca_fd), *cert = read_pem(cert_fd), *key = read_pem(key_fd);
    int r = 0;
    if ((ca_fd >= 0 && !ca) || (cert_fd >= 0 && !cert) || (key_fd >= 0 && !key))
        answer_failure(answer, r = MP_EINVAL,
                       "a file of opts.tls_... cannot be read, is empty or too large");
    else if (fill_tls(t, ca, cert, key, q->any_client, q->tls_name, &what) != 0)
        answer_failure(answer, r = MP_EINVAL, "%s", what);
    free(ca);
    free(cert);
    if (key)
        explicit_bzero(key, strlen(key));
    free(key);
    return r;
}

// Finds the descriptor for `bit` among those that came.
static int fd_for(const struct mp__request *q, const int *keys, size_t n, uint32_t bit)
{
    size_t i = (size_t)__builtin_popcount(q->fds & (bit - 1));
    return (q->fds & bit) && i < n ? keys[i] : -1;
}

static int read_keys(struct terms *t, const struct mp__request *q, const int *keys, size_t n,
                     struct mp__answer *answer)
{
    int fd = fd_for(q, keys, n, MP__FD_KEY);
    if (fd >= 0 && !(t->key = auth_key_read(fd))) {
        answer_failure(answer, MP_EINVAL, "the key must have 16 to 4096 bytes");
        return MP_EINVAL;
    }
    if (t->transport != MP__TLS)
        return 0;
    return read_tls(t, q, fd_for(q, keys, n, MP__FD_CA), fd_for(q, keys, n, MP__FD_CERT),
                    fd_for(q, keys, n, MP__FD_CERT_KEY), answer);
}

struct terms *terms_read(const struct mp__request *q, const int *keys, size_t n,
                         struct mp__answer *answer)
{
    struct terms *t = calloc(1, sizeof *t);
    if (!t) {
        answer_failure(answer, -ENOMEM, "mpproxy is out of memory");
        return NULL;
    }
    t->refs = 1;
    t->listening = q->kind == MP__LISTEN;
    t->foreign = q->foreign;
    t->transport = (enum mp__transport)q->transport;
    t->protocol = (int)q->protocol;
    t->timeout_ms = q->timeout_ms;
    t->linger_ms = q->linger_ms;
    t->alive_ms = q->alive_ms;
    t->rings = q->rings;
    memcpy(t->url, q->url, sizeof t->url);
    t->url[sizeof t->url - 1] = '\0';
    if (read_keys(t, q, keys, n, answer) == 0)
        return t;
    terms_drop(t);
    return NULL;
}

size_t terms_whole_max(const struct terms *t)
{
    if (t->rings.max_size < 2 * WIRE_BUFFER) // what one of libmp sends at once
        return 2 * WIRE_BUFFER;
    return t->rings.max_size < WHOLE_MAX ? (size_t)t->rings.max_size : WHOLE_MAX;
}

struct terms *terms_hold(struct terms *t)
{
    t->refs++;
    return t;
}

void terms_drop(struct terms *t)
{
    if (!t || --t->refs)
        return;
    auth_key_free(t->key);
    if (t->tls)
        nng_tls_config_free(t->tls);
    free(t);
}
