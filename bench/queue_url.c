// SPDX-License-Identifier: MIT
//
// Items over tcp on this machine: NNG's push and pull sockets, and a queue that the consumer
// serves and the producer reaches. In both an item goes over the wire once. NNG's push has
// sent when an item is in its buffer; our put has when it is in the queue over there, so
// there are two of ours: `libmp` puts 64 at a time, `libmp_each` one.
#include "queue_test.h"

#include <arpa/inet.h>
#include <mp/queue.h>
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <sys/socket.h>

enum { BATCH = 64, PATIENCE = 2000 };

static char address[64];

// A port that is free now.
static void make(int producers, int consumers)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (consumers != 1 || producers < 1)
        die("one consumer: it listens");
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, size) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &size) < 0)
        die("no port: %s", strerror(errno));
    close(fd);
    snprintf(address, sizeof address, "tcp://127.0.0.1:%d", ntohs(sa.sin_port));
}

// ---- NNG -------------------------------------------------------------------------------

static nng_socket nng_here;

static void must_nng(int err, const char *what)
{
    if (err)
        die("%s: %s", what, nng_strerror(err));
}

static void nng_open(int side, int index)
{
    int err;
    (void)index;
    must_nng(side ? nng_pull0_open(&nng_here) : nng_push0_open(&nng_here), "nng_open");
    if (side)
        must_nng(nng_socket_set_int(nng_here, NNG_OPT_RECVBUF, QUEUE_MAX), "NNG_OPT_RECVBUF");
    else
        must_nng(nng_socket_set_int(nng_here, NNG_OPT_SENDBUF, QUEUE_MAX), "NNG_OPT_SENDBUF");
    if (side)
        must_nng(nng_listen(nng_here, address, NULL, 0), "nng_listen");
    for (int i = 0; !side && (err = nng_dial(nng_here, address, NULL, 0)) != 0; i++) {
        if (i == PATIENCE)
            must_nng(err, "nng_dial");
        usleep(1000); // the other side does not listen yet
    }
}

static void nng_put(const void *item)
{
    must_nng(nng_send(nng_here, (void *)(uintptr_t)item, QUEUE_ITEM, 0), "nng_send");
}

static void nng_get(void *item)
{
    size_t size = QUEUE_ITEM;
    must_nng(nng_recv(nng_here, item, &size, 0), "nng_recv");
}

// It drops what it has not sent.
static void nng_flush(void)
{
    usleep(200000);
}

// ---- libmp -----------------------------------------------------------------------------

static mp_queue *queue;
static char error[300], waiting[BATCH][QUEUE_ITEM];
static int n_waiting;

static void must(int64_t r, const char *what)
{
    if (r < 0)
        die("%s: %s %s", what, mp_strerror(r), error);
}

static void libmp_open(int side, int index)
{
    mp_url_opts o = {.error = error, .error_size = sizeof error};
    mp_listener *l;
    int r = -ECONNREFUSED;
    (void)index;
    if (side) {
        must(mp_queue_new(&queue, &(mp_queue_opts){.max_items = QUEUE_MAX}), "mp_queue_new");
        must(mp_queue_serve(&l, queue, address, &o), "mp_queue_serve");
    }
    for (int i = 0; !side && r == -ECONNREFUSED && i < PATIENCE; i++)
        if ((r = mp_queue_connect(&queue, address, &o)) == -ECONNREFUSED)
            usleep(1000);
    if (!side)
        must(r, "mp_queue_connect");
}

static void libmp_put_each(const void *item)
{
    must(mp_queue_put(queue, item, QUEUE_ITEM, MP_FOREVER), "mp_queue_put");
}

static void libmp_flush(void)
{
    mp_slice items[BATCH];
    for (int i = 0; i < n_waiting; i++)
        items[i] = (mp_slice){waiting[i], QUEUE_ITEM};
    must(mp_queue_put_many(queue, items, (size_t)n_waiting, MP_FOREVER), "mp_queue_put_many");
    n_waiting = 0;
}

static void libmp_put(const void *item)
{
    memcpy(waiting[n_waiting++], item, QUEUE_ITEM);
    if (n_waiting == BATCH)
        libmp_flush();
}

static void libmp_get(void *item)
{
    must(mp_queue_get(queue, item, QUEUE_ITEM, MP_FOREVER), "mp_queue_get");
}

int main(int argc, char **argv)
{
    static const struct queue_engine engines[] = {
        {"nng_pushpull", "tcp_queue", make, nng_open, nng_put, nng_get, nng_flush, NULL},
        {"libmp", "tcp_queue", make, libmp_open, libmp_put, libmp_get, libmp_flush, NULL},
        {"libmp_each", "tcp_queue", make, libmp_open, libmp_put_each, libmp_get, NULL, NULL}};
    for (size_t i = 0; argc > 1 && i < sizeof engines / sizeof *engines; i++)
        if (strcmp(argv[1], engines[i].who) == 0)
            return queue_test_main(argc - 1, argv + 1, &engines[i]);
    die("usage: %s nng_pushpull|libmp|libmp_each PRODUCERS 1 [SECONDS]", argv[0]);
}
