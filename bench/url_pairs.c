// SPDX-License-Identifier: MIT
//
// Over tcp on this machine: NNG's own pair sockets, ours with an mpproxy for each end, and
// ours with a peer that is NNG's. Each process starts what it needs after the fork.
#include "pipe_test.h"

#include <arpa/inet.h>
#include <mp/url.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <sys/socket.h>

enum { NNG_BOTH, LIBMP_BOTH, LIBMP_TO_NNG };

static char address[64];

// ---- NNG -------------------------------------------------------------------------------

struct nng_end {
    struct pipe_end end;
    nng_socket socket;
    nng_msg *held; // the message received last
    int side;
};

static void must_nng(int err, const char *what)
{
    if (err)
        die("%s: %s", what, nng_strerror(err));
}

static void nng_end_send(struct pipe_end *e, const void *data, size_t size)
{
    nng_msg *m;
    must_nng(nng_msg_alloc(&m, size), "nng_msg_alloc");
    memcpy(nng_msg_body(m), data, size);
    must_nng(nng_sendmsg(((struct nng_end *)e)->socket, m, 0), "nng_sendmsg");
}

static const void *nng_end_recv(struct pipe_end *e, size_t expect, size_t *size)
{
    struct nng_end *n = (struct nng_end *)e;
    (void)expect;
    if (n->held)
        nng_msg_free(n->held);
    must_nng(nng_recvmsg(n->socket, &n->held, 0), "nng_recvmsg");
    *size = nng_msg_len(n->held);
    return nng_msg_body(n->held);
}

// The server's last answer must have left before its process ends.
static void nng_end_close(struct pipe_end *e)
{
    struct nng_end *n = (struct nng_end *)e;
    if (n->side == 1)
        usleep(100000);
    nng_close(n->socket);
}

static struct pipe_end *open_nng(int side)
{
    struct nng_end *n = allocate(sizeof *n);
    int err;
    n->side = side;
    must_nng(nng_pair0_open(&n->socket), "nng_pair0_open");
    must_nng(nng_socket_set_size(n->socket, NNG_OPT_RECVMAXSZ, 0), "NNG_OPT_RECVMAXSZ");
    must_nng(nng_socket_set_int(n->socket, NNG_OPT_SENDBUF, 128), "NNG_OPT_SENDBUF");
    must_nng(nng_socket_set_int(n->socket, NNG_OPT_RECVBUF, 128), "NNG_OPT_RECVBUF");
    if (side == 1) {
        must_nng(nng_listen(n->socket, address, NULL, 0), "nng_listen");
    } else {
        for (int i = 0; (err = nng_dial(n->socket, address, NULL, 0)) != 0; i++) {
            if (i == 2000)
                must_nng(err, "nng_dial");
            usleep(1000); // the other side does not listen yet
        }
    }
    n->end = (struct pipe_end){.send = nng_end_send, .recv = nng_end_recv, .close = nng_end_close};
    return &n->end;
}

// ---- libmp -----------------------------------------------------------------------------

struct libmp_end {
    struct pipe_end end;
    mp_pipe *pipe;
    unsigned char *buffer;
};

static void libmp_send(struct pipe_end *e, const void *data, size_t size)
{
    int r = mp_pipe_send(((struct libmp_end *)e)->pipe, data, size, MP_FOREVER);
    if (r < 0)
        die("mp_pipe_send: %s", mp_strerror(r));
}

static const void *libmp_recv(struct pipe_end *e, size_t expect, size_t *size)
{
    struct libmp_end *l = (struct libmp_end *)e;
    (void)expect;
    int64_t n = mp_pipe_recv(l->pipe, l->buffer, PIPE_TEST_MAX, MP_FOREVER);
    if (n < 0)
        die("mp_pipe_recv: %s", mp_strerror(n));
    *size = (size_t)n;
    return l->buffer;
}

static void libmp_close(struct pipe_end *e)
{
    mp_pipe_free(((struct libmp_end *)e)->pipe);
}

static mp_pipe *connect_or_accept(int side)
{
    char error[300];
    mp_url_opts o = {.error = error, .error_size = sizeof error};
    mp_listener *l;
    mp_pipe *p = NULL;
    int r = -ECONNREFUSED;
    if (side == 1) {
        if ((r = mp_listen(&l, address, &o)) == 0) {
            r = mp_accept(l, &p, 10000);
            mp_listener_free(l);
        }
    }
    for (int i = 0; side == 0 && r == -ECONNREFUSED && i < 2000; i++) {
        r = mp_connect(&p, address, &o);
        if (r == -ECONNREFUSED)
            usleep(1000);
    }
    if (r < 0)
        die("%s", error);
    return p;
}

static struct pipe_end *open_libmp(int side)
{
    struct libmp_end *l = allocate(sizeof *l);
    l->end = (struct pipe_end){.send = libmp_send, .recv = libmp_recv, .close = libmp_close};
    l->pipe = connect_or_accept(side);
    l->buffer = allocate(PIPE_TEST_MAX);
    return &l->end;
}

// ---- who is who ------------------------------------------------------------------------

// A port that is free now.
static void prepare(long arg)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)arg;
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, size) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &size) < 0)
        die("no port: %s", strerror(errno));
    close(fd);
    snprintf(address, sizeof address, "tcp://127.0.0.1:%d", ntohs(sa.sin_port));
}

static struct pipe_end *open_side(long who, int side, pid_t other)
{
    (void)other;
    bool nng = who == NNG_BOTH || (who == LIBMP_TO_NNG && side == 1);
    return nng ? open_nng(side) : open_libmp(side);
}

int main(int argc, char **argv)
{
    static const struct pipe_peer peers[] = {{"nng_pair0", NNG_BOTH, prepare, open_side},
                                             {"libmp", LIBMP_BOTH, prepare, open_side},
                                             {"libmp_to_nng", LIBMP_TO_NNG, prepare, open_side},
                                             {0}};
    return pipe_peer_main(argc, argv, peers);
}
