// SPDX-License-Identifier: MIT
//
// What tests of URLs have in common: the transports, and pipes over each.
#ifndef URLTEST_H
#define URLTEST_H

#include "mptest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <mp/pipe.h>
#include <mp/url.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LONG_MS 20000

struct transport {
    const char *name;
    const char *url; // NULL: no URL, a local pipe
};

static const struct transport local = {"local", NULL};
static const struct transport ipc = {"ipc", "ipc://"};
static const struct transport tcp = {"tcp", "tcp://127.0.0.1:0"};
static const struct transport tls = {"tls", "tls+tcp://127.0.0.1:0"};
static const struct transport ws = {"ws", "ws://127.0.0.1:0/pipe"};

// A test for each transport: MP_TEST name_local, name_ipc, ... of a function that takes one.
#define MP_TEST_EACH(name)                                                                         \
    static void name(const struct transport *t);                                                   \
    MP_TEST(name##_local)                                                                          \
    {                                                                                              \
        name(&local);                                                                              \
    }                                                                                              \
    MP_TEST_EACH_URL(name)

#define MP_TEST_EACH_URL(name)                                                                     \
    static void name(const struct transport *t);                                                   \
    MP_TEST(name##_ipc)                                                                            \
    {                                                                                              \
        name(&ipc);                                                                                \
    }                                                                                              \
    MP_TEST(name##_tcp)                                                                            \
    {                                                                                              \
        name(&tcp);                                                                                \
    }                                                                                              \
    MP_TEST(name##_tls)                                                                            \
    {                                                                                              \
        name(&tls);                                                                                \
    }                                                                                              \
    MP_TEST(name##_ws)                                                                             \
    {                                                                                              \
        name(&ws);                                                                                 \
    }                                                                                              \
    static void name(const struct transport *t)

static char url_error[400];
static char pki_ca[300], pki_cert[2][300], pki_key[2][300];

// The path of a file that tests/lib/pki.sh made.
__attribute__((unused)) static const char *pki(char *path, size_t size, const char *name)
{
    const char *dir = getenv("MP_TEST_PKI");
    snprintf(path, size, "%s/%s", dir ? dir : "", name);
    if (!dir || access(path, R_OK) != 0)
        mp_skip("no certificates: openssl is not installed");
    return path;
}

__attribute__((unused)) static void url_needs_proxy(void)
{
    if (!getenv("MP_PROXY"))
        mp_skip("mpproxy was not built: libnng-dev or libsodium-dev is not installed");
}

// Options for one side of a transport.
__attribute__((unused)) static mp_url_opts url_opts(const struct transport *t, bool listen)
{
    mp_url_opts o = {.error = url_error, .error_size = sizeof url_error};
    url_error[0] = '\0';
    url_needs_proxy();
    if (t == &tls) {
        o.tls_ca = pki(pki_ca, sizeof pki_ca, "ca.pem");
        o.tls_cert =
            pki(pki_cert[listen], sizeof pki_cert[0], listen ? "listener.pem" : "client.pem");
        o.tls_key = pki(pki_key[listen], sizeof pki_key[0], listen ? "listener.key" : "client.key");
        o.tls_name = listen ? NULL : "localhost";
    }
    return o;
}

#define url_assert_ok(call)                                                                        \
    do {                                                                                           \
        int64_t url_r = (call);                                                                    \
        ck_assert_msg(url_r >= 0, "%s: %s: %s", #call, mp_err_name(url_r), url_error);             \
    } while (0)

// A pipe over t with the given sizes: a connected, b was accepted.
__attribute__((unused)) static void pair_with(const struct transport *t, mp_pipe **a, mp_pipe **b,
                                              const mp_pipe_opts *sizes)
{
    mp_listener *l;
    if (!t->url) {
        mp_assert_ok(mp_pipe_new(a, b, sizes));
        return;
    }
    mp_url_opts listen = url_opts(t, true);
    listen.pipe = sizes ? *sizes : listen.pipe;
    url_assert_ok(mp_listen(&l, t->url, &listen));
    mp_url_opts connect = url_opts(t, false);
    connect.pipe = listen.pipe;
    url_assert_ok(mp_connect(a, mp_listener_url(l), &connect));
    mp_assert_ok(mp_accept(l, b, LONG_MS));
    mp_listener_free(l); // the pipe stays
}

__attribute__((unused)) static void pair(const struct transport *t, mp_pipe **a, mp_pipe **b)
{
    pair_with(t, a, b, NULL);
}

// A plain socket to a listener's URL, for peers that say what they like.
__attribute__((unused)) static int raw(const char *url)
{
    const char *p = strstr(url, "://") + 3;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    bool path = *p == '/';
    int fd = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(un.sun_path, sizeof un.sun_path, "%s", p);
    if (!path)
        in.sin_port = htons((uint16_t)atoi(strchr(p, ':') + 1));
    int r = path ? connect(fd, (struct sockaddr *)&un, sizeof un)
                 : connect(fd, (struct sockaddr *)&in, sizeof in);
    ck_assert_msg(r == 0, "%s: %s", url, strerror(errno));
    return fd;
}

// With its last close the kernel sends a reset and keeps no port busy.
__attribute__((unused)) static void reset(int fd)
{
    struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

// Whether the other side closes within ms; what it says meanwhile is dropped.
__attribute__((unused)) static bool closes(int fd, int ms)
{
    char bytes[1000];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, ms) > 0)
        if (recv(fd, bytes, sizeof bytes, 0) <= 0)
            return true;
    return false;
}

#endif
