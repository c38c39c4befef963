// SPDX-License-Identifier: MIT
//
// One thing in NNG 1.5.2 has to be worked round. Its TLS and ws read ahead, and when they find the
// end while nobody waits to receive, they forget to tell who asks later. So we look now and
// then whether a stream from which nothing comes has ended already: soon after something came, as
// the end is likely to be behind it, and ever more rarely while nothing does. Over ws a send that
// must not wait tells: it is refused as closed before it is refused as late. TLS has closed its
// socket then, which has no peer any more.
#include "wire.h"

#include <stdlib.h>
#include <string.h>

#define NAP_LEAST_MS 20
#define NAP_MOST_MS  1000

static void start_send(struct wire *w)
{
    nng_aio_set_iov(w->tx, w->niov, w->iov);
    nng_stream_send(w->stream, w->tx);
}

// Drops n bytes from the front of what is to be sent.
static void advance(struct wire *w, size_t n)
{
    while (w->niov && n >= w->iov[0].iov_len) {
        n -= w->iov[0].iov_len;
        w->iov[0] = w->iov[1];
        w->niov--;
    }
    if (w->niov) {
        w->iov[0].iov_buf = (char *)w->iov[0].iov_buf + n;
        w->iov[0].iov_len -= n;
    }
}

static void tx_done(void *arg)
{
    struct wire *w = arg;
    w->sent(w->arg, nng_aio_result(w->tx));
}

static void rx_done(void *arg)
{
    struct wire *w = arg;
    w->received(w->arg, nng_aio_result(w->rx));
}

static void nap_done(void *arg)
{
    struct wire *w = arg;
    w->rested(w->arg);
}

int wire_init(struct wire *w)
{
    int r = nng_aio_alloc(&w->tx, tx_done, w);
    if (r == 0)
        r = nng_aio_alloc(&w->rx, rx_done, w);
    if (r == 0 && !(w->buffer = malloc(WIRE_BUFFER)))
        r = NNG_ENOMEM;
    if (r)
        wire_fini(w);
    return r;
}

int wire_attach(struct wire *w, nng_stream *stream, enum mp__transport transport)
{
    w->stream = stream;
    w->messages = transport == MP__WS;
    w->layered = transport == MP__WS || transport == MP__TLS;
    if (!w->layered)
        return nng_aio_alloc(&w->quick, NULL, NULL);
    int r = nng_aio_alloc(&w->probe, NULL, NULL);
    if (r == 0)
        r = nng_aio_alloc(&w->nap, nap_done, w);
    if (r == 0) {
        nng_aio_set_timeout(w->probe, NNG_DURATION_ZERO);
        nng_sleep_aio(w->nap_ms = NAP_LEAST_MS, w->nap);
    }
    return r;
}

static void set_pieces(struct wire *w, const void *a, size_t na, const void *b, size_t nb)
{
    w->niov = 0;
    if (na)
        w->iov[w->niov++] = (nng_iov){(void *)(uintptr_t)a, na};
    if (nb)
        w->iov[w->niov++] = (nng_iov){(void *)(uintptr_t)b, nb};
}

// NNG writes to a socket that takes it before nng_stream_send() returns. What did not get
// through like this is taken back, and sent in the ordinary way.
bool wire_send_now(struct wire *w, const void *a, size_t na, const void *b, size_t nb)
{
    if (!w->quick || w->closed) {
        wire_send(w, a, na, b, nb);
        return false;
    }
    set_pieces(w, a, na, b, nb);
    nng_aio_set_iov(w->quick, w->niov, w->iov);
    nng_stream_send(w->stream, w->quick);
    if (nng_aio_count(w->quick) == 0 && nng_aio_result(w->quick) == 0)
        nng_aio_cancel(w->quick);
    nng_aio_wait(w->quick);
    advance(w, nng_aio_result(w->quick) == 0 ? nng_aio_count(w->quick) : 0);
    if (!w->niov)
        return true;
    w->sending = true;
    start_send(w);
    return false;
}

void wire_send(struct wire *w, const void *a, size_t na, const void *b, size_t nb)
{
    nng_msg *m;
    if (w->closed)
        return;
    w->sending = true;
    if (w->messages && nng_msg_alloc(&m, 0) == 0) {
        if (nng_msg_append(m, a, na) == 0 && (!nb || nng_msg_append(m, b, nb) == 0)) {
            wire_send_message(w, m);
            return;
        }
        nng_msg_free(m);
    }
    set_pieces(w, a, na, b, nb);
    start_send(w); // without memory for a message, ws says so
}

void wire_send_message(struct wire *w, nng_msg *m)
{
    if (w->closed) {
        nng_msg_free(m);
        return;
    }
    w->sending = true;
    w->niov = 0;
    nng_aio_set_msg(w->tx, m);
    nng_stream_send(w->stream, w->tx);
}

bool wire_sent(struct wire *w, int *err)
{
    if (w->messages) {
        nng_msg *m = *err ? nng_aio_get_msg(w->tx) : NULL;
        if (m)
            nng_msg_free(m);
        nng_aio_set_msg(w->tx, NULL);
        w->niov = 0;
    } else if (!*err) {
        advance(w, nng_aio_count(w->tx));
        if (w->niov && !w->closed) { // TLS would take it after the end, and never give it back
            start_send(w);
            return false;
        }
    }
    w->sending = false;
    return true;
}

static bool ws_has_ended(struct wire *w)
{
    nng_msg *m;
    if (nng_msg_alloc(&m, 0) != 0)
        return false;
    nng_aio_set_msg(w->probe, m);
    nng_stream_send(w->stream, w->probe);
    nng_aio_wait(w->probe); // it does not: it is over already
    nng_msg_free(m);
    return nng_aio_result(w->probe) == NNG_ECLOSED;
}

static bool tls_has_ended(struct wire *w)
{
    nng_sockaddr peer;
    return nng_stream_get_addr(w->stream, NNG_OPT_REMADDR, &peer) != 0;
}

void wire_look(struct wire *w)
{
    bool came = w->came;
    w->came = false;
    if (w->closed)
        return;
    if (!came && w->receiving && (w->messages ? ws_has_ended(w) : tls_has_ended(w))) {
        wire_close(w);
        return;
    }
    w->nap_ms = came ? NAP_LEAST_MS : w->nap_ms * 2;
    if (w->nap_ms > NAP_MOST_MS)
        w->nap_ms = NAP_MOST_MS;
    nng_sleep_aio(w->nap_ms, w->nap);
}

void wire_came(struct wire *w, int *err)
{
    w->receiving = false;
    if (w->nap && !w->came && w->nap_ms > NAP_LEAST_MS)
        nng_aio_cancel(w->nap);
    w->came = true;
    if (*err)
        return;
    if (w->messages) {
        w->message = nng_aio_get_msg(w->rx);
        nng_aio_set_msg(w->rx, NULL);
        w->at = nng_msg_body(w->message);
        w->left = nng_msg_len(w->message);
    } else {
        size_t n = nng_aio_count(w->rx);
        w->direct = n < w->into ? n : w->into;
        w->at = w->buffer;
        w->left = n - w->direct;
    }
}

void wire_receive_into(struct wire *w, const struct mp__piece *p, size_t n, bool more)
{
    nng_iov iov[3];
    unsigned k = 0;
    if (w->receiving || w->closed)
        return;
    w->receiving = true;
    w->into = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i].size)
            iov[k++] = (nng_iov){p[i].at, p[i].size};
        w->into += p[i].size;
    }
    if (more)
        iov[k++] = (nng_iov){w->buffer, WIRE_BUFFER};
    if (!w->messages)
        nng_aio_set_iov(w->rx, k, iov);
    nng_stream_recv(w->stream, w->rx);
}

void wire_receive(struct wire *w)
{
    wire_receive_into(w, NULL, 0, true);
}

void wire_used(struct wire *w, size_t n)
{
    w->at += n;
    w->left -= n;
    if (w->left == 0 && w->message) {
        nng_msg_free(w->message);
        w->message = NULL;
    }
}

void wire_close(struct wire *w)
{
    w->closed = true;
    if (w->stream)
        nng_stream_close(w->stream);
}

void wire_fini(struct wire *w)
{
    nng_aio *aios[] = {w->nap, w->tx, w->rx, w->probe, w->quick};
    wire_close(w);
    for (size_t i = 0; i < sizeof aios / sizeof *aios; i++)
        if (aios[i])
            nng_aio_stop(aios[i]);
    for (size_t i = 0; i < sizeof aios / sizeof *aios; i++)
        nng_aio_free(aios[i]);
    if (w->stream)
        nng_stream_free(w->stream);
    if (w->message)
        nng_msg_free(w->message);
    free(w->buffer);
    w->nap = w->tx = w->rx = w->probe = w->quick = NULL;
    w->stream = NULL;
    w->message = NULL;
    w->buffer = NULL;
    w->sending = w->receiving = w->closed = false;
    w->left = 0;
}
