// SPDX-License-Identifier: MIT
//
// A foreign peer: libnng's own sockets.
//   peer_nng listen|connect URL echo|send|push|pull [CA CERT_AND_KEY]
// echo: sends back what comes, until "end". send: sends "message 0" to "message 99". Both are
// PAIR. push does as send, and pull takes what that sends, and checks it.
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(int err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "peer_nng: %s: %s\n", what, nng_strerror(err));
    exit(1);
}

static void echo(nng_socket s)
{
    for (;;) {
        nng_msg *m;
        must(nng_recvmsg(s, &m, 0), "nng_recvmsg");
        if (nng_msg_len(m) == 3 && memcmp(nng_msg_body(m), "end", 3) == 0) {
            nng_msg_free(m);
            return;
        }
        must(nng_sendmsg(s, m, 0), "nng_sendmsg");
    }
}

// NNG drops what it has not sent: so it stays until the other side has it all, and makes a file.
static void until_arrived(void)
{
    for (int i = 0; i < 20000 && access("arrived", F_OK) < 0; i++)
        usleep(1000);
}

static void send_all(nng_socket s)
{
    for (int i = 0; i < 100; i++) {
        char text[32];
        size_t n = (size_t)snprintf(text, sizeof text, "message %d", i);
        must(nng_send(s, text, n, 0), "nng_send");
    }
    until_arrived();
}

static void pull_all(nng_socket s)
{
    for (int i = 0; i < 100; i++) {
        char text[32], got[32];
        size_t n = sizeof got, want = (size_t)snprintf(text, sizeof text, "message %d", i);
        must(nng_recv(s, got, &n, 0), "nng_recv");
        if (n != want || memcmp(got, text, n) != 0)
            must(NNG_EPROTO, text);
    }
}

static void open_socket(nng_socket *s, const char *what)
{
    if (strcmp(what, "push") == 0)
        must(nng_push0_open(s), "nng_push0_open");
    else if (strcmp(what, "pull") == 0)
        must(nng_pull0_open(s), "nng_pull0_open");
    else
        must(nng_pair0_open(s), "nng_pair0_open");
}

static void listen_at(nng_socket s, char **argv)
{
    nng_listener l;
    must(nng_listener_create(&l, s, argv[2]), "nng_listener_create");
    if (argv[4]) {
        must(nng_listener_set_string(l, NNG_OPT_TLS_CA_FILE, argv[4]), "CA");
        must(nng_listener_set_string(l, NNG_OPT_TLS_CERT_KEY_FILE, argv[5]), "certificate");
    }
    must(nng_listener_start(l, 0), "nng_listener_start");
}

static void connect_to(nng_socket s, char **argv)
{
    nng_dialer d;
    must(nng_dialer_create(&d, s, argv[2]), "nng_dialer_create");
    if (argv[4]) {
        must(nng_dialer_set_string(d, NNG_OPT_TLS_CA_FILE, argv[4]), "CA");
        must(nng_dialer_set_string(d, NNG_OPT_TLS_CERT_KEY_FILE, argv[5]), "certificate");
        must(nng_dialer_set_string(d, NNG_OPT_TLS_SERVER_NAME, "localhost"), "name");
    }
    must(nng_dialer_start(d, 0), "nng_dialer_start");
}

int main(int argc, char **argv)
{
    nng_socket s;
    if (argc != 4 && argc != 6)
        return 2;
    open_socket(&s, argv[3]);
    must(nng_socket_set_size(s, NNG_OPT_RECVMAXSZ, 0), "NNG_OPT_RECVMAXSZ");
    must(nng_socket_set_ms(s, NNG_OPT_RECVTIMEO, 20000), "NNG_OPT_RECVTIMEO");
    must(nng_socket_set_ms(s, NNG_OPT_SENDTIMEO, 20000), "NNG_OPT_SENDTIMEO");
    if (strcmp(argv[1], "listen") == 0)
        listen_at(s, argv);
    else
        connect_to(s, argv);
    if (strcmp(argv[3], "echo") == 0)
        echo(s);
    else if (strcmp(argv[3], "pull") == 0)
        pull_all(s);
    else
        send_all(s);
    nng_close(s);
    return 0;
}
