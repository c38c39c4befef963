// SPDX-License-Identifier: MIT
//
// nng_pair0: NNG's pair sockets over ipc. Each process opens NNG after the fork,
// because NNG does not survive one.
#include "pipe_test.h"

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

struct nng_end {
    struct pipe_end end;
    nng_socket socket;
    nng_msg *held; // the message received last
    int side;
};

static char address[256];

static void must(int err, const char *what)
{
    if (err)
        die("%s: %s", what, nng_strerror(err));
}

static void prepare(long arg)
{
    const char *dir = getenv("BENCH_TMP");
    (void)arg;
    snprintf(address, sizeof address, "ipc://%s/nng-%d", dir ? dir : "/tmp", (int)getpid());
}

static void pair_send(struct pipe_end *e, const void *data, size_t size)
{
    nng_msg *m;
    must(nng_msg_alloc(&m, size), "nng_msg_alloc");
    memcpy(nng_msg_body(m), data, size);
    must(nng_sendmsg(((struct nng_end *)e)->socket, m, 0), "nng_sendmsg");
}

static const void *pair_recv(struct pipe_end *e, size_t expect, size_t *size)
{
    struct nng_end *n = (struct nng_end *)e;
    (void)expect;
    if (n->held)
        nng_msg_free(n->held);
    must(nng_recvmsg(n->socket, &n->held, 0), "nng_recvmsg");
    *size = nng_msg_len(n->held);
    return nng_msg_body(n->held);
}

// The server's last answer must have left before its process ends.
static void pair_close(struct pipe_end *e)
{
    struct nng_end *n = (struct nng_end *)e;
    if (n->side == 1)
        usleep(100000);
    nng_close(n->socket);
}

static struct pipe_end *pair_open(long arg, int side, pid_t other)
{
    struct nng_end *n = allocate(sizeof *n);
    int err;
    (void)arg, (void)other;
    n->side = side;
    must(nng_pair0_open(&n->socket), "nng_pair0_open");
    must(nng_socket_set_size(n->socket, NNG_OPT_RECVMAXSZ, 0), "NNG_OPT_RECVMAXSZ");
    must(nng_socket_set_int(n->socket, NNG_OPT_SENDBUF, 128), "NNG_OPT_SENDBUF");
    must(nng_socket_set_int(n->socket, NNG_OPT_RECVBUF, 128), "NNG_OPT_RECVBUF");
    if (side == 1) {
        must(nng_listen(n->socket, address, NULL, 0), "nng_listen");
    } else {
        for (int i = 0; (err = nng_dial(n->socket, address, NULL, 0)) != 0; i++) {
            if (i == 2000)
                must(err, "nng_dial");
            usleep(1000); // the other side does not listen yet
        }
    }
    n->end = (struct pipe_end){.send = pair_send, .recv = pair_recv, .close = pair_close};
    return &n->end;
}

int main(int argc, char **argv)
{
    static const struct pipe_peer peers[] = {{"nng_pair0", 0, prepare, pair_open}, {0}};
    return pipe_peer_main(argc, argv, peers);
}
