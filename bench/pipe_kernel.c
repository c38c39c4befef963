// SPDX-License-Identifier: MIT
//
// What the kernel offers for messages between two processes:
//
//   c_seqpacket  an AF_UNIX socket that keeps messages apart; 64 KiB a fragment
//   c_stream     an AF_UNIX stream, 4 bytes of length before each message
//   c_pipe       two pipes, likewise; c_pipe_1m: with 1 MiB of buffer
//   c_posix_mq   two POSIX message queues (messages up to 8 KiB)
#include "pipe_test.h"

#include <fcntl.h>
#include <mqueue.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define FRAGMENT ((size_t)64 << 10)
#define WINDOW   ((size_t)256 << 10)

struct kernel_end {
    struct pipe_end end;
    int in, out;
    unsigned char *buffer;
    // A stream's reader reads ahead: bytes `begin` to `filled` are still to be parsed.
    unsigned char *window;
    size_t begin, filled;
};

static int ins[2], outs[2]; // [side]

static struct kernel_end *open_end(int side)
{
    struct kernel_end *k = allocate(sizeof *k);
    k->in = ins[side];
    k->out = outs[side];
    k->buffer = allocate(PIPE_TEST_MAX);
    k->window = allocate(WINDOW);
    return k;
}

// ---- SOCK_SEQPACKET ----

static void prepare_socket(long type)
{
    int fds[2];
    if (socketpair(AF_UNIX, (int)type, 0, fds))
        die("socketpair");
    for (int side = 0; side < 2; side++)
        ins[side] = outs[side] = fds[side];
}

static void packet_send(struct pipe_end *e, const void *data, size_t size)
{
    struct kernel_end *k = (struct kernel_end *)e;
    for (size_t done = 0; done < size;) {
        size_t n = size - done < FRAGMENT ? size - done : FRAGMENT;
        if (send(k->out, (const char *)data + done, n, 0) != (ssize_t)n)
            die("send");
        done += n;
    }
}

static const void *packet_recv(struct pipe_end *e, size_t expect, size_t *size)
{
    struct kernel_end *k = (struct kernel_end *)e;
    size_t got = 0;
    do {
        ssize_t n = recv(k->in, k->buffer + got, PIPE_TEST_MAX - got, 0);
        if (n <= 0)
            die("recv");
        got += (size_t)n;
    } while (got < expect && got % FRAGMENT == 0);
    *size = got;
    return k->buffer;
}

static struct pipe_end *packet_open(long arg, int side, pid_t other)
{
    (void)arg, (void)other;
    struct kernel_end *k = open_end(side);
    k->end = (struct pipe_end){.send = packet_send, .recv = packet_recv};
    return &k->end;
}

// ---- streams ----

static void prepare_pipes(long buffer_size)
{
    for (int side = 0; side < 2; side++) {
        int fds[2];
        if (pipe(fds))
            die("pipe");
        if (buffer_size && fcntl(fds[1], F_SETPIPE_SZ, (int)buffer_size) < 0)
            die("F_SETPIPE_SZ");
        outs[side] = fds[1];
        ins[!side] = fds[0];
    }
}

static void stream_send(struct pipe_end *e, const void *data, size_t size)
{
    struct kernel_end *k = (struct kernel_end *)e;
    uint32_t length = (uint32_t)size;
    struct iovec parts[2] = {{&length, sizeof length}, {(void *)(uintptr_t)data, size}};
    ssize_t n = writev(k->out, parts, 2);
    if (n < (ssize_t)sizeof length)
        die("writev");
    for (size_t done = (size_t)n - sizeof length; done < size; done += (size_t)n) {
        n = write(k->out, (const char *)data + done, size - done);
        if (n <= 0)
            die("write");
    }
}

static size_t read_some(struct kernel_end *k, unsigned char *to, size_t cap)
{
    ssize_t n = read(k->in, to, cap);
    if (n <= 0)
        die("read");
    return (size_t)n;
}

// What the window lacks of a long message goes straight to its place.
static void stream_finish(struct kernel_end *k, size_t length)
{
    size_t got = k->filled - k->begin;
    memcpy(k->buffer, k->window + k->begin, got);
    k->begin = k->filled = 0;
    while (got < length)
        got += read_some(k, k->buffer + got, length - got);
}

static const void *stream_recv(struct pipe_end *e, size_t expect, size_t *size)
{
    struct kernel_end *k = (struct kernel_end *)e;
    uint32_t length;
    (void)expect;
    for (;;) {
        size_t have = k->filled - k->begin;
        if (have >= sizeof length) {
            memcpy(&length, k->window + k->begin, sizeof length);
            *size = length;
            if (have >= sizeof length + length) { // used where it is
                k->begin += sizeof length + length;
                return k->window + k->begin - length;
            }
            if (length > WINDOW / 2) {
                k->begin += sizeof length;
                stream_finish(k, length);
                return k->buffer;
            }
        }
        memmove(k->window, k->window + k->begin, have);
        k->begin = 0;
        k->filled = have + read_some(k, k->window + have, WINDOW - have);
    }
}

static struct pipe_end *stream_open(long arg, int side, pid_t other)
{
    (void)arg, (void)other;
    struct kernel_end *k = open_end(side);
    k->end = (struct pipe_end){.send = stream_send, .recv = stream_recv};
    return &k->end;
}

// ---- POSIX message queues ----

static void prepare_queues(long arg)
{
    struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = 8192};
    char name[64];
    (void)arg;
    snprintf(name, sizeof name, "/mp-bench-%d", (int)getpid());
    for (int side = 0; side < 2; side++) {
        int q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
        if (q < 0)
            die("mq_open");
        mq_unlink(name);
        outs[side] = ins[!side] = q;
    }
}

static void queue_send(struct pipe_end *e, const void *data, size_t size)
{
    if (mq_send(((struct kernel_end *)e)->out, data, size, 0))
        die("mq_send");
}

static const void *queue_recv(struct pipe_end *e, size_t expect, size_t *size)
{
    struct kernel_end *k = (struct kernel_end *)e;
    (void)expect;
    ssize_t n = mq_receive(k->in, (char *)k->buffer, PIPE_TEST_MAX, NULL);
    if (n < 0)
        die("mq_receive");
    *size = (size_t)n;
    return k->buffer;
}

static struct pipe_end *queue_open(long arg, int side, pid_t other)
{
    (void)arg, (void)other;
    struct kernel_end *k = open_end(side);
    k->end = (struct pipe_end){.send = queue_send, .recv = queue_recv};
    return &k->end;
}

int main(int argc, char **argv)
{
    static const struct pipe_peer peers[] = {
        {"c_seqpacket", SOCK_SEQPACKET, prepare_socket, packet_open},
        {"c_stream", SOCK_STREAM, prepare_socket, stream_open},
        {"c_pipe", 0, prepare_pipes, stream_open},
        {"c_pipe_1m", 1 << 20, prepare_pipes, stream_open},
        {"c_posix_mq", 0, prepare_queues, queue_open},
        {0},
    };
    return pipe_peer_main(argc, argv, peers);
}
