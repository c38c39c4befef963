// SPDX-License-Identifier: MIT
//
// Clients of other machines. What faces the network is mpproxy, a process of this daemon's
// that owns no state: here each of them is a pipe that comes out of a listener, after it has
// shown its key or certificate. How long a machine may be silent is mpproxy's to watch, too.
#include "logfmt.h"
#include "server.h"

#include <errno.h>
#include <mp/url.h>
#include <stdlib.h>
#include <string.h>

#define FAIR 16

struct remote {
    struct server *server;
    mp_listener *listener;
    mp_watch *watch;
    const char *url; // as the options have it: connections keep it for longer than the listener
    struct remote *next;
};

static void on_arrival(mp_watch *w, int events, void *arg)
{
    struct remote *r = arg;
    mp_pipe *pipe;
    int err = 0;
    (void)events;
    for (int i = 0; i < FAIR && (err = mp_accept(r->listener, &pipe, 0)) == 0; i++)
        conn_remote(r->server, pipe, r->url);
    if (err == MP_EBROKEN || err == MP_ECLOSED) {
        logfmt(MP_LOG_ERROR, "listener_gone", "url=%s reason=\"mpproxy ended\"",
               mp_listener_url(r->listener));
        mp_watch_set_events(w, 0);
        remote_again(r->server);
    }
    server_settle(r->server);
}

static int open_one(struct server *s, const char *url, char *text, size_t size)
{
    const struct options *o = s->options;
    bool tls = strncmp(url, "tls+", 4) == 0; // the others shall listen as well
    mp_url_opts opts = {.key_file = o->key_file,
                        .tls_ca = tls ? o->tls_ca : NULL,
                        .tls_cert = tls ? o->tls_cert : NULL,
                        .tls_key = tls ? o->tls_key : NULL,
                        .tls_any_client = tls && o->tls_any_client,
                        .insecure = o->insecure,
                        .alive_ms = o->alive_ms ? (int)o->alive_ms : MP_FOREVER,
                        .pipe = {.max_size = o->max_message},
                        .error = text,
                        .error_size = size};
    struct remote *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->server = s;
    r->url = url;
    int err = mp_listen(&r->listener, url, &opts);
    if (err == 0)
        err = mp_loop_add_fd(s->loop, &r->watch, mp_listener_fd(r->listener), MP_LOOP_READ,
                             on_arrival, r);
    if (err < 0) {
        mp_listener_free(r->listener);
        free(r);
        return err;
    }
    r->next = s->remotes;
    s->remotes = r;
    logfmt(MP_LOG_INFO, "listening", "url=%s", mp_listener_url(r->listener));
    return 0;
}

int remote_open(struct server *s, char *text, size_t size)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < s->options->listen.count; i++)
        r = open_one(s, s->options->listen.items[i], text, size);
    return r;
}

void remote_close_all(struct server *s)
{
    while (s->remotes) {
        struct remote *r = s->remotes;
        s->remotes = r->next;
        mp_watch_close(r->watch);
        mp_listener_free(r->listener);
        free(r);
    }
}

// mpproxy ended: another one gets the listeners, a second later, and later again until it can.
static void again(void *arg)
{
    struct server *s = arg;
    char text[300] = "", quoted[LOGFMT_QUOTED];
    remote_close_all(s);
    if (s->stopping || remote_open(s, text, sizeof text) == 0)
        return;
    logfmt(MP_LOG_ERROR, "cannot_listen", "reason=%s", logfmt_quote(quoted, text));
    remote_again(s);
}

void remote_again(struct server *s)
{
    if (mp_loop_call_later(s->loop, 1000, again, s) < 0)
        logfmt(MP_LOG_ERROR, "cannot_listen", "reason=\"no memory\"");
}
