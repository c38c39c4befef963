// SPDX-License-Identifier: MIT
//
// mp_queue_serve(): puts a queue on the network. Who serves it? Not this process: it would need a
// thread, or the user's patience. Not the mpproxy that faces the network: it shall have nothing
// that is worth anything. So a process between the two: the program mpproxy once more, in
// another role (proxy/queue/), without NNG. It gets the socket of a listener, at which mpproxy
// hands over connections, and the queue as a handle, and it moves items between them. It is started
// as a program, since a fork would keep a copy of this process's memory and its threads' locks.
//
// It has no state that would be missed: items that are out for acknowledgement are its own, so
// they go back when it dies, as with any consumer. It ends when this process lets go of it.
#include "channel/handle.h"
#include "channel/queue.h"
#include "channel/queue_talk.h"
#include "channel/remote.h"
#include "os/fdpass.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// What the server needs, in one message.
static int hand_over(int keeper, mp_listener *l, mp_queue *q, struct mp__parcel *p)
{
    mp_handle h = mp_handle_queue(q);
    struct {
        struct mp__serving head;
        unsigned char bytes[MP__PARCEL_MAX];
    } m = {.head = {.magic = MP__REQUEST_MAGIC}};
    int fds[MP__FDPASS_MAX];
    int r = mp__handles_pack(p, &h, 1);
    if (r < 0)
        return r;
    m.head.size = p->head.size;
    m.head.n_fds = p->head.n_fds;
    memcpy(m.bytes, p->bytes, p->head.size);
    fds[0] = mp__listener_socket(l);
    memcpy(fds + 1, p->fds, p->head.n_fds * sizeof *fds);
    r = mp__fds_send(keeper, fds, 1 + p->head.n_fds, &m, sizeof m.head + p->head.size);
    mp__handles_packed(&h, 1, r == 0);
    return r;
}

// The server says when it has the queue: an int, 0 or what is wrong.
static int await_serving(int keeper)
{
    int answer;
    size_t none = 0;
    int r = mp__remote_wait(keeper, mp__now() + INT64_C(20000000000));
    if (r < 0)
        return r;
    r = mp__fds_recv(keeper, NULL, &none, &answer, sizeof answer);
    return r == sizeof answer ? answer : MP_EBROKEN;
}

static int start_server(mp_listener *l, mp_queue *q, char text[MP__TEXT_MAX])
{
    int keeper;
    struct mp__parcel *p = mp__parcel_new();
    int r = p ? mp__proxy_start("--queue", &keeper, text) : -ENOMEM;
    if (r == 0) {
        r = hand_over(keeper, l, q, p);
        if (r == 0)
            r = await_serving(keeper);
        if (r == 0)
            mp__listener_is_served(l, keeper);
        else
            close(keeper);
    }
    free(p);
    if (r < 0 && !*text)
        snprintf(text, MP__TEXT_MAX, "the queue cannot be served: %s", mp_strerror(r));
    return r;
}

static int check(mp_queue *q, const char *url, const mp_url_opts *o)
{
    if (!mp__queue_is_valid(q))
        return mp__remote_fail(o, "cannot serve a queue at", url, "that is not a queue", MP_EINVAL);
    if (q->remote)
        return mp__remote_fail(o, "cannot serve a queue at", url,
                               "it is one of another machine: serve it there", MP_ENOTSUP);
    return 0;
}

int mp_queue_serve(mp_listener **out, mp_queue *q, const char *url, const mp_url_opts *opts)
{
    char text[MP__TEXT_MAX] = "";
    mp_url_opts o = opts ? *opts : (mp_url_opts){0};
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    int r = check(q, url, &o);
    if (r < 0)
        return r;
    if (!o.pipe.max_size) // of a message: as long as an item may be, and what goes before it
        o.pipe.max_size = (size_t)q->shared->max_bytes + MP__TALK_ROOM;
    r = mp__listen(out, url, &o, MP__SP_QUEUE);
    if (r < 0)
        return r;
    r = start_server(*out, q, text);
    if (r == 0)
        return 0;
    mp_listener_free(*out);
    *out = NULL;
    return mp__remote_fail(&o, "cannot serve a queue at", url, text, r);
}
