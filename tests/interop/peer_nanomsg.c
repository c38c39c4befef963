// SPDX-License-Identifier: MIT
//
// A foreign peer: nanomsg's sockets. Arguments and behaviour as peer_nng's.
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/ws.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int must(int result, const char *what)
{
    if (result >= 0)
        return result;
    fprintf(stderr, "peer_nanomsg: %s: %s\n", what, nn_strerror(nn_errno()));
    exit(1);
}

static void echo(int s)
{
    for (;;) {
        char *data;
        int n = must(nn_recv(s, &data, NN_MSG, 0), "nn_recv");
        if (n == 3 && memcmp(data, "end", 3) == 0) {
            nn_freemsg(data);
            return;
        }
        must(nn_send(s, &data, NN_MSG, 0), "nn_send");
    }
}

// See peer_nng.c: nanomsg does the same.
static void until_arrived(void)
{
    for (int i = 0; i < 20000 && access("arrived", F_OK) < 0; i++)
        usleep(1000);
}

static void send_all(int s)
{
    for (int i = 0; i < 100; i++) {
        char text[32];
        size_t n = (size_t)snprintf(text, sizeof text, "message %d", i);
        must(nn_send(s, text, n, 0), "nn_send");
    }
    until_arrived();
}

static void pull_all(int s)
{
    for (int i = 0; i < 100; i++) {
        char text[32], got[32];
        int want = snprintf(text, sizeof text, "message %d", i);
        if (must(nn_recv(s, got, sizeof got, 0), "nn_recv") != want ||
            memcmp(got, text, (size_t)want) != 0)
            must(-1, text);
    }
}

static int protocol_of(const char *what)
{
    if (strcmp(what, "push") == 0)
        return NN_PUSH;
    return strcmp(what, "pull") == 0 ? NN_PULL : NN_PAIR;
}

int main(int argc, char **argv)
{
    int limit = -1, ms = 20000, binary = NN_WS_MSG_TYPE_BINARY;
    if (argc != 4)
        return 2;
    int s = must(nn_socket(AF_SP, protocol_of(argv[3])), "nn_socket");
    must(nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVMAXSIZE, &limit, sizeof limit), "NN_RCVMAXSIZE");
    must(nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVTIMEO, &ms, sizeof ms), "NN_RCVTIMEO");
    must(nn_setsockopt(s, NN_SOL_SOCKET, NN_SNDTIMEO, &ms, sizeof ms), "NN_SNDTIMEO");
    must(nn_setsockopt(s, NN_WS, NN_WS_MSG_TYPE, &binary, sizeof binary), "NN_WS_MSG_TYPE");
    if (strncmp(argv[2], "ws:", 3) == 0 && strcmp(argv[1], "listen") == 0)
        argv[2][strlen(argv[2]) - 1] = '\0'; // it wants no path there, not even "/"
    if (strcmp(argv[1], "listen") == 0)
        must(nn_bind(s, argv[2]), "nn_bind");
    else
        must(nn_connect(s, argv[2]), "nn_connect");
    if (strcmp(argv[3], "echo") == 0)
        echo(s);
    else if (strcmp(argv[3], "pull") == 0)
        pull_all(s);
    else
        send_all(s);
    nn_close(s);
    return 0;
}
