// SPDX-License-Identifier: MIT
//
// Messages that carry handles, as users see them. What becomes of a handle on its way is
// in handle_kinds.c, how it goes in channel/parcel.h.
#include "channel/handle.h"

#include "channel/pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// An end that arrived in its own pipe could never be received.
static int check_ways(const mp_pipe *p, const mp_handle *h, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const mp_pipe *end = h[i].kind == MP_HANDLE_PIPE ? h[i].object : NULL;
        if (h[i].kind == MP_HANDLE_PIPE && !end)
            return MP_EINVAL;
        int r = end ? mp__pipe_usable(end) : 0;
        if (r < 0)
            return r;
        if (end && mp__channel_same(&end->channel, &p->channel))
            return MP_EINVAL;
    }
    return 0;
}

int mp_pipe_send_handles(mp_pipe *p, const void *data, size_t size, const mp_handle *h, size_t n,
                         int timeout_ms)
{
    if (n == 0)
        return mp_pipe_send(p, data, size, timeout_ms);
    int r = mp__pipe_sendable(p);
    if (r < 0)
        return r;
    if ((!data && size) || !h || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (p->remote)
        return MP_ENOTSUP;
    if (n > MP_HANDLES_MAX)
        return MP_EMSGSIZE;
    if ((r = check_ways(p, h, n)) < 0)
        return r;
    struct mp__parcel *parcel = mp__parcel_new();
    if (!parcel)
        return -ENOMEM;
    r = mp__handles_pack(parcel, h, n);
    if (r == 0) {
        r = mp__channel_send_parcel(&p->channel, data, size, parcel, timeout_ms);
        mp__handles_packed(h, n, r == 0);
    }
    free(parcel);
    return r;
}

// What a receiver wants.
struct room {
    mp_handle *h;
    size_t n;
    mp_handle_kind only; // exactly one, of this kind; MP_HANDLE_NONE: any
    size_t came;
    bool opened;
};

static int open_parcel(void *arg, struct mp__parcel *p)
{
    struct room *room = arg;
    room->came = p->head.n_handles;
    if (room->only && (room->came != 1 || mp__handles_first(p) != room->only))
        return MP_ETYPE;
    if (room->came > room->n)
        return MP_EMSGSIZE;
    int r = mp__handles_open(p, room->h);
    room->opened = r == 0;
    return r;
}

static int64_t receive(mp_pipe *p, void *buf, size_t cap, struct room *room, int timeout_ms)
{
    int64_t len = mp__channel_recv_parcel(&p->channel, buf, cap, open_parcel, room, timeout_ms);
    if (room->opened)
        mp__handles_opened(room->h, room->came);
    if (len < 0 && room->opened) // the message did not come whole
        mp_handle_close(room->h, room->came);
    return len;
}

int64_t mp_pipe_recv_handles(mp_pipe *p, void *buf, size_t cap, mp_handle *h, size_t *n,
                             int timeout_ms)
{
    struct room room = {.h = h, .n = n ? *n : 0};
    if (n)
        *n = 0;
    int r = mp__pipe_receivable(p);
    if (r < 0)
        return r;
    if ((!buf && cap) || (!h && room.n) || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    int64_t len = receive(p, buf, cap, &room, timeout_ms);
    if (n && (len >= 0 || room.came > room.n))
        *n = room.came;
    return len;
}

int mp_handle_take_fd(mp_handle *h)
{
    if (!h)
        return MP_EINVAL;
    if (h->kind != MP_HANDLE_FD)
        return MP_ETYPE;
    int fd = h->fd;
    *h = (mp_handle){.fd = -1};
    return fd;
}

int mp_handle_take(mp_handle *h, mp_handle_kind kind, void **out)
{
    if (!h || !out)
        return MP_EINVAL;
    *out = NULL;
    if (h->kind != kind || kind == MP_HANDLE_NONE || kind == MP_HANDLE_FD)
        return MP_ETYPE;
    int r = h->error;
    *out = h->object;
    *h = (mp_handle){.fd = -1};
    return r;
}

// ---- one, and nothing else -------------------------------------------------------

static int receive_one(mp_pipe *p, mp_handle *h, mp_handle_kind kind, int timeout_ms)
{
    int r = mp__pipe_receivable(p);
    if (r < 0)
        return r;
    if (timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    r = mp__channel_carries(&p->channel, timeout_ms);
    if (r <= 0)
        return r < 0 ? r : MP_ETYPE;
    struct room room = {.h = h, .n = 1, .only = kind};
    int64_t len = receive(p, NULL, 0, &room, timeout_ms);
    return len == MP_EMSGSIZE ? MP_ETYPE : (int)len;
}

int mp_pipe_send_fd(mp_pipe *p, int fd, int timeout_ms)
{
    mp_handle h = mp_handle_fd(fd);
    return mp_pipe_send_handles(p, NULL, 0, &h, 1, timeout_ms);
}

int mp_pipe_recv_fd(mp_pipe *p, int timeout_ms)
{
    mp_handle h;
    int r = receive_one(p, &h, MP_HANDLE_FD, timeout_ms);
    return r < 0 ? r : mp_handle_take_fd(&h);
}

int mp_pipe_send_pipe(mp_pipe *p, mp_pipe *end, int timeout_ms)
{
    mp_handle h = mp_handle_pipe(end);
    return mp_pipe_send_handles(p, NULL, 0, &h, 1, timeout_ms);
}

int mp_pipe_recv_pipe(mp_pipe *p, mp_pipe **end, int timeout_ms)
{
    mp_handle h;
    if (end)
        *end = NULL;
    else
        return MP_EINVAL;
    int r = receive_one(p, &h, MP_HANDLE_PIPE, timeout_ms);
    return r < 0 ? r : mp_handle_take_pipe(&h, end);
}
