// SPDX-License-Identifier: MIT
//
// How each kind of handle goes into a parcel and comes out of it. In the parcel's bytes each handle
// is an entry: its kind, the size of what follows, and that; its descriptors are the next among the
// parcel's.
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
#include "channel/queue.h"
#include "shm/arena.h"
#include "shm/object.h"
#include "shm/typed.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/barrier.h>
#include <mp/condition.h>
#include <mp/event.h>
#include <mp/lock.h>
#include <mp/rwlock.h>
#include <mp/semaphore.h>
#include <mp/shm_dict.h>
#include <mp/shm_list.h>
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
    bool *spent; // of each of them
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
    r->spent += n;
    r->n_fds -= n;
    return 0;
}

// One that is to be closed afterwards.
static int get_spent_fd(struct reader *r, int *to)
{
    int e = get_fds(r, to, 1);
    if (e == 0)
        r->spent[-1] = true;
    return e;
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
    s.remote = end->remote;
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

// The arena has a copy of the descriptor, so that this can be undone.
static int adopt(int fd, mp_arena **out)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return copy < 0 ? -errno : mp__arena_adopt(copy, out);
}

// An object that cannot be had now may be had later: then the message waits. It does not
// wait for what will never be: that is told when the handle is taken.
static int result(mp_handle *h, int e)
{
    if (e == -ENOMEM || e == -EMFILE || e == -ENFILE || e == MP_EPROTO)
        return e;
    h->error = e;
    return 0;
}

static int open_arena(struct reader *r, mp_handle *h)
{
    int fd;
    mp_arena *a = NULL;
    int e = get_spent_fd(r, &fd);
    if (e < 0)
        return e;
    e = adopt(fd, &a);
    h->object = a;
    return result(h, e);
}

static void close_arena(mp_handle *h)
{
    mp_arena_delete(h->object);
}

static mp_arena *same_arena(const mp_handle *h)
{
    return h->object;
}

// ---- objects in arenas ------------------------------------------------------------

// What types differ in.
struct type {
    enum mp__type type;
    int (*attach)(void **out, const char *name);
    void (*free)(void *handle);
    void *(*shared)(void *handle); // the object; NULL: the handle is its address
    int *(*bell)(void *handle);    // a descriptor that goes with it, -1 if not; NULL: none
};

// The references are weak: a program that is linked with libmp.a has the types that it uses itself.
// (Each page of code and each library it has would make its forks slower.)
#define ATTACH_AND_FREE(name)                                                                      \
    extern __typeof(mp_##name##_attach) mp_##name##_attach __attribute__((weak));                  \
    extern __typeof(mp_##name##_free) mp_##name##_free __attribute__((weak));                      \
    static int attach_##name(void **out, const char *reference)                                    \
    {                                                                                              \
        mp_##name *it = NULL;                                                                      \
        int r = mp_##name##_attach ? mp_##name##_attach(&it, reference) : MP_ENOTSUP;              \
        *out = it;                                                                                 \
        return r;                                                                                  \
    }                                                                                              \
    static void free_##name(void *it)                                                              \
    {                                                                                              \
        if (it)                                                                                    \
            mp_##name##_free(it);                                                                  \
    }
ATTACH_AND_FREE(barrier)
ATTACH_AND_FREE(condition)
ATTACH_AND_FREE(event)
ATTACH_AND_FREE(lock)
ATTACH_AND_FREE(queue)
ATTACH_AND_FREE(rlock)
ATTACH_AND_FREE(rwlock)
ATTACH_AND_FREE(semaphore)
ATTACH_AND_FREE(shm_dict)
ATTACH_AND_FREE(shm_list)

// Of whatever type it is: a name is looked up to find something, this was sent.
static int attach_typed(void **out, const char *reference, enum mp__type type, size_t count)
{
    struct mp__typed *t = NULL;
    struct mp__typed_spec any = {.object = type, .count = count, .name = reference};
    int r = mp__typed_attach(&t, &any);
    *out = t;
    return r;
}

static int attach_value(void **out, const char *reference)
{
    return attach_typed(out, reference, MP__VALUE, 1);
}

static int attach_array(void **out, const char *reference)
{
    return attach_typed(out, reference, MP__ARRAY, 0);
}

static void free_typed(void *it)
{
    mp__typed_free(it);
}

static void *shared_queue(void *handle)
{
    mp_queue *q = handle;
    return q->shared;
}

static int *bell_of_queue(void *handle)
{
    mp_queue *q = handle;
    return &q->eventfd;
}

static const struct type types[] = {
    [MP_HANDLE_QUEUE] = {MP__QUEUE, attach_queue, free_queue, shared_queue, bell_of_queue},
    [MP_HANDLE_LOCK] = {MP__LOCK, attach_lock, free_lock, NULL, NULL},
    [MP_HANDLE_RLOCK] = {MP__RLOCK, attach_rlock, free_rlock, NULL, NULL},
    [MP_HANDLE_SEMAPHORE] = {MP__SEMAPHORE, attach_semaphore, free_semaphore, NULL, NULL},
    [MP_HANDLE_CONDITION] = {MP__CONDITION, attach_condition, free_condition, NULL, NULL},
    [MP_HANDLE_EVENT] = {MP__EVENT, attach_event, free_event, NULL, NULL},
    [MP_HANDLE_BARRIER] = {MP__BARRIER, attach_barrier, free_barrier, NULL, NULL},
    [MP_HANDLE_RWLOCK] = {MP__RWLOCK, attach_rwlock, free_rwlock, NULL, NULL},
    [MP_HANDLE_VALUE] = {MP__VALUE, attach_value, free_typed, NULL, NULL},
    [MP_HANDLE_ARRAY] = {MP__ARRAY, attach_array, free_typed, NULL, NULL},
    [MP_HANDLE_SHM_DICT] = {MP__SHM_DICT, attach_shm_dict, free_shm_dict, NULL, NULL},
    [MP_HANDLE_SHM_LIST] = {MP__SHM_LIST, attach_shm_list, free_shm_list, NULL, NULL},
};

static void *shared(const struct type *t, void *handle)
{
    return handle && t->shared ? t->shared(handle) : handle;
}

// Its place in the arena; the descriptors of the arena, and of its bell.
static int pack_object(struct mp__parcel *p, const mp_handle *h)
{
    const struct type *t = &types[h->kind];
    if (h->kind == MP_HANDLE_QUEUE && h->object && ((mp_queue *)h->object)->remote)
        return MP_ENOTSUP;
    void *object = shared(t, h->object);
    mp_arena *a = mp__object_is(object, t->type) ? mp__arena_at(mp__object_base(object)) : NULL;
    // A part of another object, as the lock of a value, cannot go without it.
    if (!a || !mp__arena_has_block(a, mp__object_offset(object, object), 1))
        return MP_EINVAL;
    int fds[2] = {mp__arena_fd(a), t->bell ? *t->bell(h->object) : -1};
    uint64_t words[2] = {mp__object_offset(object, object), fds[1] >= 0};
    int r = put_fds(p, fds, 1 + words[1]);
    return r < 0 ? r : put(p, words, sizeof words);
}

static int open_object(struct reader *r, mp_handle *h)
{
    const struct type *t = &types[h->kind];
    mp_arena *a = NULL;
    uint64_t words[2];
    int fd, bell = -1, e = get(r, words, sizeof words);
    if (e == 0)
        e = get_spent_fd(r, &fd);
    if (e == 0 && words[1])
        e = get_fds(r, &bell, 1);
    if (e < 0)
        return e;
    if ((e = adopt(fd, &a)) == 0) {
        e = t->attach(&h->object, mp__object_refer(a, words[0]));
        mp__object_referred();
    }
    if (h->object && t->bell)
        *t->bell(h->object) = bell;
    else if (bell >= 0)
        r->spent[-1] = true;
    return result(h, e);
}

// The bell belongs to the parcel.
static void forget_object(mp_handle *h)
{
    const struct type *t = &types[h->kind];
    if (h->object && t->bell)
        *t->bell(h->object) = -1;
    t->free(h->object);
}

static mp_arena *arena_of_object(const mp_handle *h)
{
    void *object = shared(&types[h->kind], h->object);
    return object ? mp__arena_at(mp__object_base(object)) : NULL;
}

static void close_object(mp_handle *h)
{
    types[h->kind].free(h->object);
}

// ---- all kinds -------------------------------------------------------------------

struct kind {
    int (*pack)(struct mp__parcel *p, const mp_handle *h); // on failure nothing changed
    void (*packed)(const mp_handle *h, bool sent);         // NULL: nothing to do
    int (*open)(struct reader *r, mp_handle *h);           // on failure nothing was made
    void (*forget)(mp_handle *h);                          // all that open() did
    mp_arena *(*arena)(const mp_handle *h);                // that it is in, or NULL: none
    void (*close)(mp_handle *h);
};

static const struct kind fds = {pack_fd, NULL, open_fd, forget_fd, NULL, close_fd};
static const struct kind pipes = {pack_pipe, packed_pipe, open_pipe, forget_pipe, NULL, close_pipe};
static const struct kind arenas = {pack_arena,  NULL,       open_arena,
                                   close_arena, same_arena, close_arena};
static const struct kind objects = {pack_object,     NULL,        open_object, forget_object,
                                    arena_of_object, close_object};

static const struct kind *kind_of(uint32_t kind)
{
    switch (kind) {
    case MP_HANDLE_FD:
        return &fds;
    case MP_HANDLE_PIPE:
        return &pipes;
    case MP_HANDLE_ARENA:
        return &arenas;
    }
    return kind < sizeof types / sizeof *types && types[kind].attach ? &objects : NULL;
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
    struct reader one = {all->at, e.size, all->fds, all->spent, all->n_fds};
    *h = (mp_handle){.kind = (mp_handle_kind)e.kind, .fd = -1};
    r = k->open(&one, h);
    if (r == 0 && one.size) {
        k->forget(h);
        r = MP_EPROTO;
    }
    all->at += e.size;
    all->size -= e.size;
    all->fds = one.fds;
    all->spent = one.spent;
    all->n_fds = one.n_fds;
    return r;
}

int mp__handles_open(struct mp__parcel *p, mp_handle *h)
{
    struct reader all = {p->bytes, p->head.size, p->fds, p->spent, p->head.n_fds};
    size_t i;
    int r = 0;
    memset(p->spent, 0, sizeof p->spent);
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

// To close a descriptor of an arena's file cost this process the lock which says that it
// takes part in it.
void mp__handles_opened(const mp_handle *h, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct kind *k = kind_of(h[i].kind);
        mp_arena *a = k->arena ? k->arena(&h[i]) : NULL;
        if (a)
            mp__life_renew(a);
    }
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

uint32_t mp__handles_first(const struct mp__parcel *p)
{
    struct entry first = {MP_HANDLE_NONE, 0};
    if (p->head.size >= sizeof first)
        memcpy(&first, p->bytes, sizeof first);
    return first.kind;
}
