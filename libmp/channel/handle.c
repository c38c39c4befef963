// SPDX-License-Identifier: MIT
//
// How each kind of handle goes into a parcel and comes out of it: a table, with a row a
// kind. In the parcel's bytes each handle is an entry: its kind, the size of what
// follows, and that; its descriptors are the next among the parcel's.
//
// While a parcel is opened its descriptors stay its own, and what is made of them only
// knows their numbers: so whatever fails, nothing has to be given back. A fork that comes
// in between closes some of them twice in the child, which harms nobody there. When all is
// made the parcel forgets them.
//
// A shared object goes by reference: its arena's descriptor, and where it is in there. Its
// type's own attach function takes it from there (shm/object.h), with all its checks.
#include "channel/handle.h"

#include "channel/give.h"
#include "channel/pipe.h"
#include "shm/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct entry {
    uint32_t kind, size;
};

// ---- bytes and descriptors in order ------------------------------------------------

static int put(struct mp__parcel *p, const void *data, size_t size)
{
    if (size > MP__PARCEL_MAX - p->head.size)
        return MP_EMSGSIZE;
    memcpy(p->bytes + p->head.size, data, size);
    p->head.size += (uint32_t)size;
    return 0;
}

static int put_fds(struct mp__parcel *p, const int *fds, size_t n)
{
    if (n > MP__FDPASS_MAX - p->head.n_fds)
        return MP_EMSGSIZE;
    memcpy(p->fds + p->head.n_fds, fds, n * sizeof *fds);
    p->head.n_fds += (uint32_t)n;
    return 0;
}

// What is left of a parcel, or of an entry.
struct reader {
    const unsigned char *at;
    size_t size;
    const int *fds;
    size_t n_fds;
};

static int get(struct reader *r, void *to, size_t size)
{
    if (size > r->size)
        return MP_EPROTO;
    memcpy(to, r->at, size);
    r->at += size;
    r->size -= size;
    return 0;
}

static int get_fds(struct reader *r, int *to, size_t n)
{
    if (n > r->n_fds)
        return MP_EPROTO;
    memcpy(to, r->fds, n * sizeof *to);
    r->fds += n;
    r->n_fds -= n;
    return 0;
}

// ---- descriptors -----------------------------------------------------------------

static int pack_fd(struct mp__parcel *p, const mp_handle *h)
{
    return h->fd < 0 ? MP_EINVAL : put_fds(p, &h->fd, 1);
}

static int open_fd(struct reader *r, mp_handle *h)
{
    return get_fds(r, &h->fd, 1);
}

static void forget_fd(mp_handle *h)
{
    h->fd = -1;
}

static void close_fd(mp_handle *h)
{
    close(h->fd);
}

// ---- pipe ends -------------------------------------------------------------------

// With the parcels that came for the end before it is sent on.
static int pack_waiting(struct mp__parcel *p, const struct mp__channel *c)
{
    int r = 0;
    for (const struct mp__parcel *w = c->post.first; w && r == 0; w = w->next) {
        r = put(p, &w->head, sizeof w->head + w->head.size);
        if (r == 0)
            r = put_fds(p, w->fds, w->head.n_fds);
    }
    return r;
}

static int pack_pipe(struct mp__parcel *p, const mp_handle *h)
{
    mp_pipe *end = h->object;
    struct mp__channel_state s;
    int fds[MP__CHANNEL_FDS];
    int r = mp__pipe_give_begin(end);
    if (r < 0)
        return r;
    mp__channel_describe(&end->channel, &s, fds);
    r = put(p, &s, sizeof s);
    if (r == 0)
        r = put_fds(p, fds, MP__CHANNEL_FDS);
    if (r == 0)
        r = pack_waiting(p, &end->channel);
    if (r < 0)
        mp__pipe_give_end(end, false);
    return r;
}

static void packed_pipe(const mp_handle *h, bool sent)
{
    mp__pipe_give_end(h->object, sent);
}

static int open_waiting(struct reader *r, struct mp__channel *c)
{
    struct mp__parcel_head head;
    int e = get(r, &head, sizeof head);
    if (e < 0)
        return e;
    if (head.magic != MP__PARCEL_MAGIC || head.size > r->size || head.n_fds > r->n_fds)
        return MP_EPROTO;
    struct mp__parcel *w = malloc(sizeof *w + head.size);
    if (!w)
        return -ENOMEM;
    w->head = head;
    get(r, w->bytes, head.size);
    get_fds(r, w->fds, head.n_fds);
    mp__parcels_add(c, w);
    return 0;
}

static int open_pipe(struct reader *r, mp_handle *h)
{
    struct mp__channel_state s;
    int fds[MP__CHANNEL_FDS];
    mp_pipe *end = NULL;
    int e = get(r, &s, sizeof s);
    if (e == 0)
        e = get_fds(r, fds, MP__CHANNEL_FDS);
    if (e == 0)
        e = mp__pipe_adopt(&end, &s, fds);
    while (e == 0 && r->size)
        e = open_waiting(r, &end->channel);
    h->object = end;
    if (e < 0 && end)
        mp__pipe_undo(end);
    return e;
}

static void forget_pipe(mp_handle *h)
{
    mp__pipe_undo(h->object);
}

static void close_pipe(mp_handle *h)
{
    mp_pipe_free(h->object);
}

// ---- arenas ------------------------------------------------------------------------

static int pack_arena(struct mp__parcel *p, const mp_handle *h)
{
    int fd = h->object ? mp__arena_fd(h->object) : -1;
    return fd < 0 ? MP_EINVAL : put_fds(p, &fd, 1);
}

// The arena of the next descriptor, of which it takes a copy. h keeps the descriptor
// itself, which is of no more use when all is done.
static int open_its_arena(struct reader *r, mp_handle *h, mp_arena **out)
{
    int e = get_fds(r, &h->fd, 1);
    if (e < 0)
        return e;
    int fd = fcntl(h->fd, F_DUPFD_CLOEXEC, 0);
    return fd < 0 ? -errno : mp__arena_adopt(fd, out);
}

// Whether it may be had later; if not, the message must not wait for it.
static bool is_short(int e)
{
    return e == -ENOMEM || e == -EMFILE || e == -ENFILE || e == MP_EPROTO;
}

static int open_arena(struct reader *r, mp_handle *h)
{
    mp_arena *a = NULL;
    int e = open_its_arena(r, h, &a);
    if (e < 0 && is_short(e))
        return e;
    h->error = e;
    h->object = a;
    return 0;
}

static void close_arena(mp_handle *h)
{
    mp_arena_delete(h->object);
}

// Closing a descriptor of an arena's file costs this process the lock that says it is alive.
static void opened_arena(mp_handle *h)
{
    close(h->fd);
    h->fd = -1;
    if (h->object)
        mp__life_renew(h->object);
}

// ---- all kinds -------------------------------------------------------------------

static const struct kind {
    int (*pack)(struct mp__parcel *p, const mp_handle *h); // on failure nothing changed
    void (*packed)(const mp_handle *h, bool sent);         // NULL: nothing to do
    int (*open)(struct reader *r, mp_handle *h);           // on failure nothing was made
    void (*forget)(mp_handle *h);                          // all that open() did
    void (*opened)(mp_handle *h);                          // NULL: nothing more to do
    void (*close)(mp_handle *h);
} kinds[] = {
    [MP_HANDLE_FD] = {pack_fd, NULL, open_fd, forget_fd, NULL, close_fd},
    [MP_HANDLE_PIPE] = {pack_pipe, packed_pipe, open_pipe, forget_pipe, NULL, close_pipe},
    [MP_HANDLE_ARENA] = {pack_arena, NULL, open_arena, close_arena, opened_arena, close_arena},
};

static const struct kind *kind_of(uint32_t kind)
{
    bool known = kind < sizeof kinds / sizeof *kinds && kinds[kind].pack;
    return known ? &kinds[kind] : NULL;
}

static int pack_one(struct mp__parcel *p, const mp_handle *h)
{
    const struct kind *k = kind_of(h->kind);
    struct entry e = {h->kind, 0};
    uint32_t at = p->head.size;
    int r = k ? put(p, &e, sizeof e) : MP_EINVAL;
    if (r == 0)
        r = k->pack(p, h);
    if (r < 0)
        return r;
    e.size = p->head.size - at - (uint32_t)sizeof e;
    memcpy(p->bytes + at, &e, sizeof e);
    return 0;
}

void mp__handles_packed(const mp_handle *h, size_t n, bool sent)
{
    for (size_t i = 0; i < n; i++) {
        const struct kind *k = kind_of(h[i].kind);
        if (k->packed)
            k->packed(&h[i], sent);
    }
}

int mp__handles_pack(struct mp__parcel *p, const mp_handle *h, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int r = pack_one(p, &h[i]);
        if (r < 0) {
            mp__handles_packed(h, i, false);
            return r;
        }
    }
    p->head.n_handles = (uint32_t)n;
    return 0;
}

// An entry is read as a parcel of its own that ends where it ends.
static int open_one(struct reader *all, mp_handle *h)
{
    struct entry e;
    int r = get(all, &e, sizeof e);
    if (r < 0)
        return r;
    const struct kind *k = kind_of(e.kind);
    if (!k || e.size > all->size)
        return MP_EPROTO;
    struct reader one = {all->at, e.size, all->fds, all->n_fds};
    *h = (mp_handle){.kind = (mp_handle_kind)e.kind, .fd = -1};
    r = k->open(&one, h);
    if (r == 0 && one.size) {
        k->forget(h);
        r = MP_EPROTO;
    }
    all->at += e.size;
    all->size -= e.size;
    all->fds = one.fds;
    all->n_fds = one.n_fds;
    return r;
}

int mp__handles_open(const struct mp__parcel *p, mp_handle *h)
{
    struct reader all = {p->bytes, p->head.size, p->fds, p->head.n_fds};
    size_t i;
    int r = 0;
    for (i = 0; i < p->head.n_handles && r == 0; i++)
        r = open_one(&all, &h[i]);
    if (r == 0 && !all.size && !all.n_fds)
        return 0;
    for (i = r < 0 ? i - 1 : i; i > 0; i--) {
        kind_of(h[i - 1].kind)->forget(&h[i - 1]);
        h[i - 1] = (mp_handle){.fd = -1};
    }
    return r < 0 ? r : MP_EPROTO;
}

void mp__handles_opened(mp_handle *h, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct kind *k = kind_of(h[i].kind);
        if (k->opened)
            k->opened(&h[i]);
    }
}

// ---- the public calls ------------------------------------------------------------

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
    struct entry first;
    room->came = p->head.n_handles;
    if (room->only) {
        if (room->came != 1 || p->head.size < sizeof first)
            return MP_ETYPE;
        memcpy(&first, p->bytes, sizeof first);
        if (first.kind != room->only)
            return MP_ETYPE;
    }
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

void mp_handle_close(mp_handle *h, size_t n)
{
    for (size_t i = 0; h && i < n; i++) {
        const struct kind *k = kind_of(h[i].kind);
        if (k && !h[i].error)
            k->close(&h[i]);
        h[i] = (mp_handle){.fd = -1};
    }
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
