// SPDX-License-Identifier: MIT
//
// zmq_pushpull: ZeroMQ's push and pull sockets over ipc. Each producer binds an address, each
// consumer connects to all of them.
#include "queue_test.h"

#include <zmq.h>

static char address[QUEUE_PARTIES][128];
static int n_producers;
static void *context, *socket_here;

static void make(int producers, int consumers)
{
    const char *dir = getenv("BENCH_TMP");
    (void)consumers;
    n_producers = producers;
    for (int i = 0; i < producers; i++)
        snprintf(address[i], sizeof address[i], "ipc://%s/zmq-%d-%d", dir ? dir : "/tmp",
                 (int)getpid(), i);
}

static void open_socket(int side, int index)
{
    int most = QUEUE_MAX;
    context = zmq_ctx_new();
    socket_here = zmq_socket(context, side == 0 ? ZMQ_PUSH : ZMQ_PULL);
    zmq_setsockopt(socket_here, side == 0 ? ZMQ_SNDHWM : ZMQ_RCVHWM, &most, sizeof most);
    if (side == 0 && zmq_bind(socket_here, address[index]))
        die("%s", address[index]);
    for (int i = 0; side == 1 && i < n_producers; i++)
        if (zmq_connect(socket_here, address[i]))
            die("%s", address[i]);
}

static void put(const void *item)
{
    if (zmq_send(socket_here, item, QUEUE_ITEM, 0) != QUEUE_ITEM)
        die("zmq_send");
}

static void get(void *item)
{
    if (zmq_recv(socket_here, item, QUEUE_ITEM, 0) != QUEUE_ITEM)
        die("zmq_recv");
}

// What was sent last still waits in the memory of this process.
static void flush(void)
{
    zmq_close(socket_here);
    zmq_ctx_term(context);
}

static void unmake(void)
{
    for (int i = 0; i < n_producers; i++)
        unlink(address[i] + strlen("ipc://"));
}

int main(int argc, char **argv)
{
    static const struct queue_engine engine = {"zmq_pushpull", "queue", make, open_socket, put, get,
                                               flush,          unmake};
    return queue_test_main(argc, argv, &engine);
}
