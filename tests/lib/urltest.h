// SPDX-License-Identifier: MIT
//
// What tests of URLs have in common: the transports, and pipes over each.
#ifndef URLTEST_H
#define URLTEST_H

#include "mptest.h"

#include <mp/pipe.h>
#include <mp/url.h>
#include <stdlib.h>
#include <string.h>

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

#endif
