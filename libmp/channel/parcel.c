// SPDX-License-Identifier: MIT
//
// The reading side of the socket: space bytes and parcels, for two threads. (send.c posts.)
//
// A parcel is looked at first (MSG_PEEK), with all its descriptors, and only then taken
// out: the kernel drops descriptors for which this process has no room, and a parcel
// without them would be lost.
//
// Everything here is under the channel's socket lock; descriptors come into being, and the
// list of parcels changes, under the lock that a fork takes as well (channel.h), so that
// the child can close what it inherited.
#include "channel/parcel.h"

#include "channel/channel.h"
#include "os/futex.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEEP_FDS   64       // a sending thread that only wants to know of space keeps no more
#define KEEP_ARMS  32       // space bytes that may pile up: far from what fills the socket
#define WATCHER_NS 50000000 // what a sending thread that was woken has to come

_Static_assert(offsetof(struct mp__parcel, bytes) ==
                   offsetof(struct mp__parcel, head) + sizeof(struct mp__parcel_head),
               "head and bytes are sent in one piece");

struct mp__parcel *mp__parcel_new(void)
{
    struct mp__parcel *p = malloc(sizeof *p + MP__PARCEL_MAX);
    if (p) {
        p->next = NULL;
        p->head = (struct mp__parcel_head){.magic = MP__PARCEL_MAGIC};
    }
    return p;
}

void mp__parcel_drop(struct mp__parcel *p)
{
    for (uint32_t i = 0; p && i < p->head.n_fds; i++)
        close(p->fds[i]);
    free(p);
}

void mp__parcel_end(struct mp__parcel *p)
{
    for (uint32_t i = 0; i < p->head.n_fds; i++)
        if (p->spent[i])
            close(p->fds[i]);
    free(p);
}

static void append(struct mp__channel *c, struct mp__parcel *p)
{
    p->next = NULL;
    if (c->post.first)
        c->post.last->next = p;
    else
        c->post.first = p;
    c->post.last = p;
    c->post.n_fds += p->head.n_fds;
}

static struct mp__parcel *unlink_first(struct mp__channel *c)
{
    struct mp__parcel *p = c->post.first;
    if (p) {
        c->post.first = p->next;
        c->post.n_fds -= p->head.n_fds;
    }
    return p;
}

// Takes the parcel that `head` announces out of the socket. 1 or an error.
static int read_parcel(struct mp__channel *c, const struct mp__parcel_head *head)
{
    if (head->magic != MP__PARCEL_MAGIC || head->size > MP__PARCEL_MAX ||
        head->n_fds > MP__FDPASS_MAX)
        return MP_EPROTO;
    struct mp__parcel *p = malloc(sizeof *p + head->size);
    if (!p)
        return -ENOMEM;
    int size = (int)(sizeof p->head + head->size);
    size_t n = head->n_fds;
    mp__channels_lock();
    int r = mp__fds_peek(c->sock, p->fds, &n, &p->head, (size_t)size);
    if (r >= 0) {
        p->head.n_fds = (uint32_t)n;
        bool as_told = r == size && n == head->n_fds && p->head.size == head->size;
        // Out of the socket, into the same place: it is the same.
        r = as_told && recv(c->sock, &p->head, (size_t)size, MSG_DONTWAIT) == size ? 1 : MP_EPROTO;
    } else {
        p->head.n_fds = 0;
    }
    if (r > 0)
        append(c, p);
    else
        mp__parcel_drop(p);
    mp__channels_unlock();
    return r;
}

// Takes what is next in the socket: 1 something, 0 there is nothing, or an error and it
// stays.
static int read_next(struct mp__channel *c)
{
    union {
        struct mp__parcel_head head;
        char bytes[64];
    } next;
    ssize_t n = recv(c->sock, &next, sizeof next, MSG_PEEK | MSG_DONTWAIT);
    if (n <= 0)
        return 0;
    size_t space = 0;
    while (space < (size_t)n && next.bytes[space] == 0)
        space++;
    if (space == 0)
        return (size_t)n < sizeof next.head ? MP_EPROTO : read_parcel(c, &next.head);
    if (recv(c->sock, &next, space, MSG_DONTWAIT) < 0)
        return 0;
    c->post.arms = 0;
    return 1;
}

// Reads all there is, as far as this process should keep it. False if something is left:
// a sending thread must not sleep until the socket is readable, since it is.
static bool read_all(struct mp__channel *c)
{
    int r;
    do {
        if (c->post.n_fds > KEEP_FDS)
            return false;
        r = read_next(c);
    } while (r > 0);
    return r == 0;
}

// Ends the watch; who waited for its end looks again.
static void unwatch(struct mp__channel *c)
{
    atomic_store(&c->post.watched, 0);
    if (c->post.wanted)
        mp__futex_wake(&c->post.watched, INT_MAX);
}

bool mp__socket_watch(struct mp__channel *c)
{
    pthread_mutex_lock(&c->post.lock);
    // A peer may ring although nobody came to sleep: not for ever, else the socket fills.
    if (c->post.stuck || ++c->post.arms > KEEP_ARMS)
        c->post.stuck = !read_all(c);
    bool watched = !c->post.stuck;
    atomic_store(&c->post.watched, watched);
    pthread_mutex_unlock(&c->post.lock);
    return watched;
}

void mp__socket_read(struct mp__channel *c)
{
    pthread_mutex_lock(&c->post.lock);
    c->post.stuck = !read_all(c);
    unwatch(c);
    pthread_mutex_unlock(&c->post.lock);
}

void mp__socket_leave(struct mp__channel *c)
{
    pthread_mutex_lock(&c->post.lock);
    unwatch(c);
    pthread_mutex_unlock(&c->post.lock);
}

// Lets the sending thread read what is there: it was woken by it. Should it not come,
// its regular looks make up for a space byte that we take from it.
static void let_watcher_read(struct mp__channel *c)
{
    c->post.wanted = true;
    pthread_mutex_unlock(&c->post.lock);
    // Without those looks it has to come.
    mp__deadline d = MP__OMITS(MP__SLICES) ? MP__NEVER : mp__now() + WATCHER_NS;
    mp__futex_wait(&c->post.watched, 1, d);
    pthread_mutex_lock(&c->post.lock);
    c->post.wanted = false;
}

int mp__parcel_fetch(struct mp__channel *c, struct mp__parcel **out)
{
    int r = 1;
    pthread_mutex_lock(&c->post.lock);
    if (!c->post.first && atomic_load(&c->post.watched) && !MP__OMITS(MP__WATCH))
        let_watcher_read(c);
    while (!c->post.first && r > 0)
        r = read_next(c);
    *out = c->post.first;
    if (*out && (*out)->head.number == c->post.taken)
        return 0;
    pthread_mutex_unlock(&c->post.lock);
    return r < 0 ? r : MP_EPROTO;
}

void mp__parcel_done(struct mp__channel *c, bool taken)
{
    if (taken) {
        mp__channels_lock();
        mp__parcel_end(unlink_first(c));
        mp__channels_unlock();
        c->post.taken++;
    }
    pthread_mutex_unlock(&c->post.lock);
}

void mp__parcels_add(struct mp__channel *c, struct mp__parcel *p)
{
    mp__channels_lock();
    append(c, p);
    mp__channels_unlock();
}

void mp__parcels_forget(struct mp__channel *c)
{
    while (c->post.first)
        mp__parcel_drop(unlink_first(c));
}

void mp__parcels_clear(struct mp__channel *c)
{
    char bytes[1024];
    pthread_mutex_lock(&c->post.lock);
    mp__channels_lock();
    mp__parcels_forget(c);
    mp__channels_unlock();
    while (recv(c->sock, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ; // read without descriptors, they are closed
    pthread_mutex_unlock(&c->post.lock);
}
