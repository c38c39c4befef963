// SPDX-License-Identifier: MIT
//
// Pipe handles: who owns an end, and what a fork does to it. The work is the
// channel's.
//
// An end has one owner. Every end this process owns is in a list, and a fork hook
// goes through it in the child: an end that is being given to this very child
// becomes its own, all others are let go, so that nobody keeps an end open by
// accident and the end of data comes when it should. Descriptors are made and closed
// under the lock of all channels, which a fork takes too: none is ever seen outside the
// list.
#include "channel/pipe.h"

#include "channel/give.h"
#include "channel/remote.h"
#include "os/fork.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RING_DEFAULT ((size_t)64 << 10)
// More than a core's own cache: what waits there is dear to fetch for the other core, and what
// was pushed out to the cache they share is not. A stream of 4 KiB messages is 1.8 x as fast
// as with 1 MiB.
#define RING_GROWS ((size_t)4 << 20)

static struct mp_pipe *owned; // guarded by the lock of all channels

static void list_add(struct mp_pipe *p)
{
    p->prev = NULL;
    p->next = owned;
    if (owned)
        owned->prev = p;
    owned = p;
}

static void list_remove(struct mp_pipe *p)
{
    if (p->prev)
        p->prev->next = p->next;
    else
        owned = p->next;
    if (p->next)
        p->next->prev = p->prev;
    p->next = p->prev = NULL;
}

static void before_fork(void)
{
    mp__channels_lock();
}

static void after_fork_parent(void)
{
    mp__channels_unlock();
}

static void after_fork_child(void)
{
    for (struct mp_pipe *p = owned, *next; p; p = next) {
        next = p->next;
        if (p->giving && pthread_equal(p->giver, pthread_self())) {
            p->giving = false;
            p->owner = mp__fork_token();
        } else {
            list_remove(p);
            mp__channel_release(&p->channel);
        }
    }
    mp__channels_unlock();
}

MP__FORK_HOOKS(MP__HOOKS_PIPES) static void set_hooks(void)
{
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

static bool mine(const mp_pipe *p)
{
    return mp__fork_is_mine(p->owner);
}

// What every call asks first.
int mp__pipe_usable(const mp_pipe *p)
{
    if (!p)
        return MP_EINVAL;
    if (!mine(p))
        return MP_EOWNER;
    if (atomic_load_explicit(&p->channel.ended, memory_order_relaxed) & MP__CLOSING)
        return MP_ECLOSED;
    return 0;
}

int mp__pipe_receivable(const mp_pipe *p)
{
    int r = mp__pipe_usable(p);
    return r == 0 && !p->channel.can_recv ? MP_ESTATE : r;
}

int mp__pipe_sendable(const mp_pipe *p)
{
    int r = mp__pipe_usable(p);
    return r == 0 && !p->channel.can_send ? MP_ESTATE : r;
}

// ---- handing over --------------------------------------------------------------

int mp__pipe_give_begin(mp_pipe *p)
{
    int r = mp__pipe_usable(p);
    if (r < 0)
        return r;
    mp__channels_lock();
    if (p->giving) {
        r = MP_EINVAL;
    } else {
        p->giving = true;
        p->giver = pthread_self();
    }
    mp__channels_unlock();
    return r;
}

void mp__pipe_give_end(mp_pipe *p, bool given)
{
    mp__channels_lock();
    p->giving = false;
    if (given) {
        list_remove(p);
        p->owner = 0; // nobody's here
        mp__channel_release(&p->channel);
    }
    mp__channels_unlock();
}

// ---- the public calls ------------------------------------------------------------

static size_t round_size(size_t size, size_t fallback)
{
    if (size == 0)
        return fallback;
    size_t p = MP__RING_MIN;
    while (p < size)
        p *= 2;
    return p;
}

int mp__pipe_read_opts(const mp_pipe_opts *opts, struct mp__channel_opts *o)
{
    static const mp_pipe_opts defaults;
    opts = opts ? opts : &defaults;
    if (opts->ring_size > MP__RING_LIMIT || opts->ring_max > MP__RING_LIMIT)
        return MP_EINVAL;
    if (opts->ring_max && opts->ring_size > opts->ring_max)
        return MP_EINVAL;
    o->ring_max = round_size(opts->ring_max, RING_GROWS);
    o->ring_size = round_size(opts->ring_size, RING_DEFAULT);
    if (!opts->ring_size && o->ring_size > o->ring_max)
        o->ring_size = o->ring_max;
    if (o->ring_max < o->ring_size)
        o->ring_max = o->ring_size;
    o->max_size = opts->max_size && opts->max_size < PTRDIFF_MAX ? opts->max_size : PTRDIFF_MAX;
    o->oneway = opts->oneway;
    o->no_spin = opts->no_spin;
    return 0;
}

// The sending and the receiving half have cache lines of their own.
static mp_pipe *alloc_end(void)
{
    return aligned_alloc(_Alignof(struct mp_pipe), sizeof(struct mp_pipe));
}

static int make_ends(mp_pipe *x, mp_pipe *y, uint64_t token, const struct mp__channel_opts *o)
{
    x->owner = y->owner = token;
    x->giving = y->giving = false;
    x->remote = y->remote = false;
    mp__channels_lock();
    int r = mp__channel_pair(&x->channel, &y->channel, o);
    if (r == 0) {
        list_add(x);
        list_add(y);
    }
    mp__channels_unlock();
    return r;
}

int mp__pipe_adopt(mp_pipe **out, const struct mp__channel_state *s, const int fds[MP__CHANNEL_FDS])
{
    mp_pipe *p = alloc_end();
    *out = NULL;
    if (!p)
        return -ENOMEM;
    p->owner = mp__fork_token();
    p->giving = false;
    p->remote = s->remote;
    mp__channels_lock();
    int r = p->owner ? mp__channel_rebuild(&p->channel, s, fds) : -ENOMEM;
    if (r == 0)
        list_add(p);
    mp__channels_unlock();
    if (r < 0)
        free(p);
    else
        *out = p;
    return r;
}

void mp__pipe_undo(mp_pipe *p)
{
    mp__channels_lock();
    list_remove(p);
    mp__channel_abandon(&p->channel);
    mp__channels_unlock();
    free(p);
}

int mp__pipe_new(mp_pipe **a, mp_pipe **b, const struct mp__channel_opts *o)
{
    uint64_t token = mp__fork_token();
    mp_pipe *x = alloc_end(), *y = alloc_end();
    int r = token && x && y ? make_ends(x, y, token, o) : -ENOMEM;
    if (r < 0) {
        free(x);
        free(y);
        return r;
    }
    *a = x;
    *b = y;
    return 0;
}

int mp__pipe_adopt_remote(mp_pipe **out, int (*take)(void *arg, struct mp__channel *c), void *arg)
{
    uint64_t token = mp__fork_token();
    mp_pipe *p = alloc_end();
    if (!p || !token) {
        free(p);
        return -ENOMEM;
    }
    p->owner = token;
    p->giving = false;
    p->remote = true;
    mp__channels_lock();
    int r = take(arg, &p->channel);
    if (r == 0)
        list_add(p);
    mp__channels_unlock();
    if (r < 0)
        free(p);
    else
        *out = p;
    return r;
}

void mp__pipe_made_remote(mp_pipe *p, uint64_t max_size)
{
    p->remote = true;
    p->channel.pause_ms = MP__PAUSE_REMOTE_MS;
    if (max_size && max_size < p->channel.send_max)
        p->channel.send_max = (size_t)max_size;
}

int mp_pipe_new(mp_pipe **a, mp_pipe **b, const mp_pipe_opts *opts)
{
    if (a)
        *a = NULL;
    if (b)
        *b = NULL;
    if (!a || !b || a == b)
        return MP_EINVAL;
    static const mp_pipe_opts defaults;
    struct mp__channel_opts o;
    const char *transport = getenv("MP_TRANSPORT");
    int r = mp__pipe_read_opts(opts, &o);
    if (r < 0)
        return r;
    if (transport && strcmp(transport, "nng") == 0)
        return mp__listener_pair(a, b, opts ? opts : &defaults);
    return mp__pipe_new(a, b, &o);
}

int mp_pipe_send(mp_pipe *p, const void *data, size_t size, int timeout_ms)
{
    int r = mp__pipe_usable(p);
    if (r < 0)
        return r;
    if ((!data && size) || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (!p->channel.can_send)
        return MP_ESTATE;
    return mp__channel_send(&p->channel, data, size, timeout_ms);
}

int64_t mp_pipe_recv(mp_pipe *p, void *buf, size_t cap, int timeout_ms)
{
    int r = mp__pipe_receivable(p);
    if (r < 0)
        return r;
    if ((!buf && cap) || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    return mp__channel_recv(&p->channel, buf, cap, timeout_ms);
}

int64_t mp_pipe_recv_new(mp_pipe *p, void **data, int timeout_ms)
{
    if (data)
        *data = NULL;
    int r = mp__pipe_receivable(p);
    if (r < 0)
        return r;
    if (!data || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    return mp__channel_recv_new(&p->channel, data, timeout_ms);
}

int64_t mp_pipe_next_size(mp_pipe *p, int timeout_ms)
{
    int r = mp__pipe_receivable(p);
    if (r < 0)
        return r;
    return timeout_ms < MP_FOREVER ? MP_EINVAL : mp__channel_next_size(&p->channel, timeout_ms);
}

int mp_pipe_poll(mp_pipe *p, int timeout_ms)
{
    int r = mp__pipe_receivable(p);
    if (r < 0)
        return r;
    return timeout_ms < MP_FOREVER ? MP_EINVAL : mp__channel_poll(&p->channel, timeout_ms);
}

int mp_pipe_fd(mp_pipe *p)
{
    int r = mp__pipe_receivable(p);
    if (r < 0)
        return r;
    if (p->channel.epoll >= 0)
        return p->channel.epoll;
    mp__channels_lock();
    r = mp__channel_fd(&p->channel);
    mp__channels_unlock();
    return r;
}

void mp_pipe_close(mp_pipe *p)
{
    if (p && mine(p))
        mp__channel_close(&p->channel);
}

void mp_pipe_free(mp_pipe *p)
{
    if (!p)
        return;
    if (mine(p)) {
        mp__channel_close(&p->channel);
        mp__channels_lock();
        list_remove(p);
        mp__channel_release(&p->channel);
        mp__channels_unlock();
    }
    free(p);
}
