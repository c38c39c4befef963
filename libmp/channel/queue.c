// SPDX-License-Identifier: MIT
//
// The handle of a queue: making, putting, getting, ending; queue_wait.c is what its two engines
// stand on, queue_join.c says when everything is done. Queues of other machines take another way
// (queue_remote.c). A call first tries without a clock; only who has to wait reads one.
#include "channel/queue.h"
#include "channel/queue_remote.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define VERSION     1
#define DEFAULT_MAX (UINT64_C(256) << 20)
#define LEAST_MAX   4096

static int64_t get_now(mp_queue *q, const struct mp__want *w, mp__deadline d, bool patient)
{
    if (mp__queue_dropped(q->shared))
        return MP_EOF;
    return mp__queue_is_fifo(q->shared) ? mp__fifo_get(q, w, d, patient) : mp__ordered_get(q, w, d);
}

// Takes everything, and nothing of it.
static void drop_all(mp_queue *q)
{
    struct mp__want nothing = {.discard = true};
    while (get_now(q, &nothing, 0, false) >= 0)
        continue;
}

// ---- making and ending ----

static int make_handle(mp_queue **out, struct mp__queue *s, bool polled)
{
    uint64_t id = atomic_load(&s->id);
    mp_queue *q = id ? calloc(1, sizeof *q) : NULL;
    if (!q)
        return id ? -ENOMEM : MP_ENOTFOUND; // freed just now
    q->shared = s;
    q->id = id;
    q->eventfd = polled ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (polled && q->eventfd < 0) {
        int err = -errno;
        free(q);
        return err;
    }
    *out = q;
    return 0;
}

static int init_shared(struct mp__queue *s, const mp_queue_opts *o)
{
    atomic_store(&s->id, (uint64_t)mp__now()); // no two in one place at one time
    s->kind = o->kind;
    s->ack = o->ack;
    s->max_items = o->max_items;
    s->max_bytes = o->max_bytes ? o->max_bytes : DEFAULT_MAX;
    if (s->max_bytes < LEAST_MAX)
        s->max_bytes = LEAST_MAX;
    return mp__queue_is_fifo(s) ? mp__fifo_init(s) : mp__ordered_init(s);
}

static bool is_idle(struct mp__queue *s)
{
    return !mp__sleepers_any(&s->data_sleepers) && !mp__sleepers_any(&s->space_sleepers) &&
           !mp__sleepers_any(&s->done_sleepers) &&
           (mp__queue_is_fifo(s) ? mp__fifo_idle(s) : mp__ordered_idle(s));
}

static void release_parts(mp_queue *q)
{
    if (!mp__queue_is_fifo(q->shared)) {
        mp__ordered_release(q->shared);
        return;
    }
    if (atomic_load(&q->shared->blocks)) // of long items that are in it
        drop_all(q);
    mp__fifo_release(q->shared);
}

// Who waits is told first. Where somebody still sleeps or works, nothing is used again.
static void free_shared(mp_queue *q)
{
    struct mp__queue *s = q->shared;
    bool idle = false;
    if (mp__object_is_mine(s)) {
        atomic_store(&s->id, 0);
        idle = is_idle(s);
        mp__queue_wake_all(s);
    }
    if (idle)
        release_parts(q);
    mp__object_free(s, idle);
}

int mp_queue_new(mp_queue **out, const mp_queue_opts *opts)
{
    static const mp_queue_opts defaults;
    const mp_queue_opts *o = opts ? opts : &defaults;
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    if ((unsigned)o->kind > MP_PRIORITY)
        return MP_EINVAL;
    void *object;
    int r = mp__object_new(&object, NULL, o->name, 0, MP__QUEUE, VERSION, sizeof(struct mp__queue));
    if (r < 0)
        return r;
    r = init_shared(object, o);
    if (r == 0)
        r = make_handle(out, object, !o->name);
    if (r == 0 && (r = mp__object_publish(object)) < 0) {
        free(*out);
        *out = NULL;
    }
    if (r < 0)
        free_shared(&(mp_queue){.shared = object});
    return r;
}

int mp_queue_attach(mp_queue **out, const char *name)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    void *object;
    int r = mp__object_attach(&object, name, MP__QUEUE, VERSION, sizeof(struct mp__queue));
    if (r == 0 && (r = make_handle(out, object, false)) < 0)
        mp__object_free(object, false);
    return r;
}

int mp_queue_connect(mp_queue **out, const char *url, const mp_url_opts *opts)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    mp_queue *q = calloc(1, sizeof *q);
    int r = q ? mp__far_connect(&q->remote, url, opts) : -ENOMEM;
    if (r < 0) {
        free(q);
        return r;
    }
    q->eventfd = -1;
    *out = q;
    return 0;
}

void mp_queue_free(mp_queue *q)
{
    if (!q)
        return;
    if (q->remote) {
        mp__far_free(q->remote);
    } else if (mp__queue_is_valid(q)) {
        if (mp__queue_is_fifo(q->shared))
            mp__fifo_leave(q);
        free_shared(q);
    }
    if (q->eventfd >= 0)
        close(q->eventfd);
    free(q);
}

// ---- putting ----

static int64_t put_some(mp_queue *q, int64_t priority, const mp_slice *items, size_t n,
                        mp__deadline d)
{
    if (mp__queue_is_fifo(q->shared))
        return mp__fifo_put(q, items, n, d);
    int r = mp__ordered_put(q, priority, items, d);
    return r < 0 ? r : 1;
}

static int64_t put(mp_queue *q, int64_t priority, const mp_slice *items, size_t n, int timeout_ms)
{
    size_t done = 0;
    mp__deadline d = 0;
    int64_t r = 0;
    if (q->remote)
        return mp__far_put(q->remote, priority, items, n, timeout_ms);
    while (done < n) {
        r = put_some(q, priority, items + done, n - done, d);
        if (r >= 0)
            done += (size_t)r;
        else if (r != MP_ETIMEDOUT || d != 0 || timeout_ms == 0)
            break;
        else
            d = mp__deadline_in(timeout_ms);
    }
    return done ? (int64_t)done : r;
}

uint64_t mp__queue_most(const mp_queue *q)
{
    if (q->remote)
        return mp__far_most(q->remote);
    return q->shared->max_bytes - (mp__queue_is_fifo(q->shared) ? 0 : mp__ordered_overhead());
}

bool mp__queue_is_acked(const mp_queue *q)
{
    return q->remote ? mp__far_acked(q->remote) : q->shared->ack;
}

static mp_queue_kind kind_of(const mp_queue *q)
{
    return q->remote ? mp__far_kind(q->remote) : (mp_queue_kind)q->shared->kind;
}

static int check_items(mp_queue *q, const mp_slice *items, size_t n, int timeout_ms)
{
    if (!mp__queue_is_valid(q) || (!items && n) || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    uint64_t most = mp__queue_most(q);
    for (size_t i = 0; i < n; i++) {
        if (!items[i].data && items[i].size)
            return MP_EINVAL;
        if (items[i].size > most)
            return MP_EMSGSIZE;
    }
    return q->remote ? 0 : mp__queue_put_end(q->shared);
}

int mp_queue_put(mp_queue *q, const void *data, size_t size, int timeout_ms)
{
    mp_slice item = {data, size};
    int r = check_items(q, &item, 1, timeout_ms);
    if (r < 0)
        return r;
    int64_t n = put(q, 0, &item, 1, timeout_ms);
    return n < 0 ? (int)n : 0;
}

int mp_queue_put_priority(mp_queue *q, int64_t priority, const void *data, size_t size,
                          int timeout_ms)
{
    mp_slice item = {data, size};
    int r = check_items(q, &item, 1, timeout_ms);
    if (r == 0 && kind_of(q) != MP_PRIORITY)
        r = MP_ESTATE;
    if (r < 0)
        return r;
    int64_t n = put(q, priority, &item, 1, timeout_ms);
    return n < 0 ? (int)n : 0;
}

int64_t mp_queue_put_many(mp_queue *q, const mp_slice *items, size_t n, int timeout_ms)
{
    int r = check_items(q, items, n, timeout_ms);
    return r < 0 ? r : put(q, 0, items, n, timeout_ms);
}

// ---- getting ----

// A remote queue is asked once more to tell of the next item.
static int64_t get_far(mp_queue *q, const struct mp__want *w, int timeout_ms)
{
    mp_queue_item item = {.tag = 0};
    struct mp__want all = *w;
    if (!all.item)
        all.item = &item;
    int64_t r = mp__far_get(q->remote, &all, timeout_ms);
    if (r >= 0 && all.item->tag)
        atomic_store(&q->last_tag, all.item->tag);
    if (atomic_load_explicit(&q->fd_given, memory_order_relaxed))
        mp__far_ready(q->remote);
    return r;
}

int64_t mp__queue_get(mp_queue *q, const struct mp__want *w, int timeout_ms)
{
    if (!mp__queue_is_valid(q) || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (q->remote)
        return get_far(q, w, timeout_ms);
    int64_t r = get_now(q, w, 0, timeout_ms != 0);
    if (r == MP_ETIMEDOUT && timeout_ms != 0)
        r = get_now(q, w, mp__deadline_in(timeout_ms), true);
    if (atomic_load_explicit(&q->fd_given, memory_order_relaxed))
        mp__queue_ring_again(q);
    return r;
}

int64_t mp_queue_get(mp_queue *q, void *buf, size_t cap, int timeout_ms)
{
    static char nothing;
    if (!buf && cap)
        return MP_EINVAL;
    return mp__queue_get(q, &(struct mp__want){.buf = buf ? buf : &nothing, .cap = cap},
                         timeout_ms);
}

int64_t mp_queue_get_new(mp_queue *q, void **data, int timeout_ms)
{
    if (!data)
        return MP_EINVAL;
    *data = NULL;
    return mp__queue_get(q, &(struct mp__want){.made = data, .cap = SIZE_MAX}, timeout_ms);
}

static int64_t many_from_afar(mp_queue *q, void *buf, size_t cap, mp_slice *items, size_t n,
                              int timeout_ms)
{
    if (timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    int64_t r = mp__far_get_many(q->remote, buf, cap, items, n, timeout_ms);
    if (atomic_load_explicit(&q->fd_given, memory_order_relaxed))
        mp__far_ready(q->remote);
    return r;
}

int64_t mp_queue_get_many(mp_queue *q, void *buf, size_t cap, mp_slice *items, size_t n,
                          int timeout_ms)
{
    if (!mp__queue_is_valid(q) || !buf || !items || n == 0)
        return MP_EINVAL;
    if (mp__queue_is_acked(q))
        n = 1; // the tags of others would be lost
    if (q->remote && n > 1)
        return many_from_afar(q, buf, cap, items, n, timeout_ms);
    size_t at = 0, got = 0;
    int64_t r = 0;
    while (got < n && at <= cap) {
        struct mp__want w = {.buf = (char *)buf + at, .cap = cap - at};
        r = mp__queue_get(q, &w, got ? 0 : timeout_ms);
        if (r < 0)
            break;
        items[got++] = (mp_slice){(char *)buf + at, (size_t)r};
        at += ((size_t)r + 7) & ~(size_t)7;
    }
    return got ? (int64_t)got : r;
}

int64_t mp_queue_next_size(mp_queue *q, int timeout_ms)
{
    return mp__queue_get(q, &(struct mp__want){0}, timeout_ms);
}

int64_t mp_queue_get_item(mp_queue *q, void *buf, size_t cap, mp_queue_item *item, int timeout_ms)
{
    static char nothing;
    if (!mp__queue_is_valid(q) || (!buf && cap) || !item)
        return MP_EINVAL;
    if (!mp__queue_is_acked(q))
        return MP_ESTATE;
    struct mp__want w = {.buf = buf ? buf : &nothing, .cap = cap, .item = item};
    return mp__queue_get(q, &w, timeout_ms);
}

// ---- looking, ending ----

int64_t mp_queue_size(mp_queue *q)
{
    if (!mp__queue_is_valid(q))
        return MP_EINVAL;
    if (q->remote)
        return mp__far_ask(q->remote, MP__TALK_SIZE, 0, 0);
    if (mp__queue_dropped(q->shared))
        return 0;
    return mp__queue_is_fifo(q->shared) ? mp__fifo_size(q) : mp__ordered_size(q);
}

bool mp_queue_empty(mp_queue *q)
{
    return mp_queue_size(q) == 0;
}

bool mp_queue_full(mp_queue *q)
{
    if (!mp__queue_is_valid(q))
        return false;
    if (q->remote)
        return mp__far_ask(q->remote, MP__TALK_FULL, 0, 0) > 0;
    return (mp__queue_is_fifo(q->shared) ? mp__fifo_full(q) : mp__ordered_full(q));
}

int mp_queue_shutdown(mp_queue *q, mp_shutdown how)
{
    if (!mp__queue_is_valid(q) || (how != MP_DRAIN && how != MP_DROP))
        return MP_EINVAL;
    if (q->remote)
        return (int)mp__far_ask(q->remote, MP__TALK_END, how, 0);
    struct mp__queue *s = q->shared;
    uint32_t open = 0;
    atomic_compare_exchange_strong(&s->ended, &open, 1 + MP_DRAIN);
    if (how == MP_DROP) {
        drop_all(q);
        atomic_store(&s->ended, 1 + MP_DROP);
        mp__queue_tell_joiners(s);
    }
    mp__queue_wake_all(s);
    mp__queue_came(q, mp__queue_data_word(s), INT_MAX);
    return 0;
}
