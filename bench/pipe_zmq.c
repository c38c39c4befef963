// SPDX-License-Identifier: MIT
//
// zmq_pair: ZeroMQ's pair sockets over ipc, one context a process.
#include "pipe_test.h"

#include <zmq.h>

struct zmq_end {
    struct pipe_end end;
    void *context, *socket;
    zmq_msg_t held; // the message received last
};

static char address[256];

static void prepare(long arg)
{
    const char *dir = getenv("BENCH_TMP");
    (void)arg;
    snprintf(address, sizeof address, "ipc://%s/zmq-%d", dir ? dir : "/tmp", (int)getpid());
}

static void pair_send(struct pipe_end *e, const void *data, size_t size)
{
    if (zmq_send(((struct zmq_end *)e)->socket, data, size, 0) != (int)size)
        die("zmq_send");
}

static const void *pair_recv(struct pipe_end *e, size_t expect, size_t *size)
{
    struct zmq_end *z = (struct zmq_end *)e;
    (void)expect;
    if (zmq_msg_recv(&z->held, z->socket, 0) < 0)
        die("zmq_msg_recv");
    *size = zmq_msg_size(&z->held);
    return zmq_msg_data(&z->held);
}

static void pair_close(struct pipe_end *e)
{
    struct zmq_end *z = (struct zmq_end *)e;
    zmq_msg_close(&z->held);
    zmq_close(z->socket);
    zmq_ctx_term(z->context);
}

static struct pipe_end *pair_open(long arg, int side, pid_t other)
{
    struct zmq_end *z = allocate(sizeof *z);
    (void)arg, (void)other;
    z->context = zmq_ctx_new();
    z->socket = zmq_socket(z->context, ZMQ_PAIR);
    if (side == 1 ? zmq_bind(z->socket, address) : zmq_connect(z->socket, address))
        die("%s", address);
    zmq_msg_init(&z->held);
    z->end = (struct pipe_end){.send = pair_send, .recv = pair_recv, .close = pair_close};
    return &z->end;
}

int main(int argc, char **argv)
{
    static const struct pipe_peer peers[] = {{"zmq_pair", 0, prepare, pair_open}, {0}};
    return pipe_peer_main(argc, argv, peers);
}
