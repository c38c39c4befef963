// SPDX-License-Identifier: MIT
//
// A queue that is somewhere else: a pipe to the process that serves it (proxy/queue/). Each call
// is a request and an answer; any number of threads have one under way, and whoever waits while
// nobody reads the pipe reads it for all.
//
// The server counts the timeouts, so that a queue behind a slow wire can be asked with timeout 0;
// here a call only gives up when the answer is late by opts.alive_ms. Then nobody knows what
// became of the request, so the connection is broken for good: the server drops what was under
// way, and gives what was not acknowledged to others.
#include "channel/queue_remote.h"

#include "channel/pipe.h"
#include "channel/remote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PUT_AT_ONCE ((size_t)256 << 10) // bytes in one message, if they are several items
#define PATIENCE_MS 60000               // as opts.alive_ms

// A request on its way.
struct call {
    struct call *next;
    uint64_t id;
    bool done;
    unsigned char *message; // the answer
    size_t size;
    struct mp__talk_head head; // of it
};

struct mp__far {
    mp_pipe *pipe;
    struct mp__talk_head welcome;
    int patience_ms;
    pthread_mutex_t sending; // one thread at a time writes to the pipe
    pthread_mutex_t lock;    // guards what follows
    pthread_cond_t moved;
    struct call *calls;
    uint64_t last_id, watch; // `watch`: of a request that waits for an item, or 0
    bool reading;            // a thread is at the pipe
    bool putting;            // a PUT is under way
    bool broken, ready;
    int bell, epoll; // readable while `ready`; over it and the pipe. -1: nobody asked for them
};

bool mp__far_acked(const struct mp__far *f)
{
    return f->welcome.flags & MP__TALK_ACKED;
}

mp_queue_kind mp__far_kind(const struct mp__far *f)
{
    return (mp_queue_kind)f->welcome.a;
}

uint64_t mp__far_most(const struct mp__far *f)
{
    return f->welcome.b;
}

// ---- reading ---------------------------------------------------------------------------

static void set_ready(struct mp__far *f, bool ready)
{
    uint64_t count = 1;
    f->ready = ready;
    if (f->bell >= 0) {
        ssize_t n = ready ? write(f->bell, &count, 8) : read(f->bell, &count, 8);
        (void)n; // it is so already
    }
}

// Nothing more can be asked. Locked.
static void break_off(struct mp__far *f)
{
    f->broken = true;
    set_ready(f, true);
    mp_pipe_close(f->pipe);
    pthread_cond_broadcast(&f->moved);
}

// Gives an answer to who waits for it. Locked. False: nobody does.
static bool deliver(struct mp__far *f, unsigned char *message, size_t size)
{
    struct mp__talk_head head = mp__talk_read(message);
    if (head.what != MP__TALK_ANSWER)
        return false;
    if (f->watch && head.id == f->watch) {
        f->watch = 0;
        set_ready(f, true);
        free(message);
        return true;
    }
    for (struct call **at = &f->calls; *at; at = &(*at)->next) {
        struct call *c = *at;
        if (c->id != head.id)
            continue;
        *at = c->next;
        c->message = message;
        c->size = size;
        c->head = head;
        c->done = true;
        return true;
    }
    return false;
}

// Takes the next message, waiting up to ms. Locked, but not while it waits. False: none came.
static bool take(struct mp__far *f, int ms)
{
    void *message = NULL;
    f->reading = true;
    pthread_mutex_unlock(&f->lock);
    int64_t n = mp_pipe_recv_new(f->pipe, &message, ms);
    pthread_mutex_lock(&f->lock);
    f->reading = false;
    bool taken = n >= MP__TALK_HEAD && deliver(f, message, (size_t)n);
    if (!taken) {
        free(message);
        if (n != MP_ETIMEDOUT)
            break_off(f);
    }
    pthread_cond_broadcast(&f->moved);
    return taken;
}

// Waits until somebody moved something. Locked. False: the time is over.
static bool wait_for_others(struct mp__far *f, mp__deadline d)
{
    struct timespec ts = {d / 1000000000, d % 1000000000};
    if (d == MP__NEVER)
        return pthread_cond_wait(&f->moved, &f->lock) == 0;
    return pthread_cond_timedwait(&f->moved, &f->lock, &ts) == 0;
}

static void forget(struct mp__far *f, struct call *c)
{
    for (struct call **at = &f->calls; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            return;
        }
}

static int await(struct mp__far *f, struct call *c, mp__deadline d)
{
    pthread_mutex_lock(&f->lock);
    while (!c->done && !f->broken) {
        if (f->reading)
            wait_for_others(f, d);
        else
            take(f, mp__left_ms(d));
        if (!c->done && mp__left_ns(d) == 0)
            break_off(f);
    }
    if (!c->done)
        forget(f, c);
    pthread_mutex_unlock(&f->lock);
    return c->done ? 0 : MP_EBROKEN;
}

// ---- asking ----------------------------------------------------------------------------

static int send_message(struct mp__far *f, const unsigned char *message, size_t size)
{
    pthread_mutex_lock(&f->sending);
    int r = mp_pipe_send(f->pipe, message, size, f->patience_ms);
    pthread_mutex_unlock(&f->sending);
    if (r == 0 || r == MP_EMSGSIZE)
        return r;
    pthread_mutex_lock(&f->lock);
    break_off(f);
    pthread_mutex_unlock(&f->lock);
    return MP_EBROKEN;
}

static mp__deadline patience(const struct mp__far *f, int timeout_ms)
{
    if (timeout_ms < 0 || f->patience_ms < 0)
        return MP__NEVER;
    return mp__now() + ((int64_t)timeout_ms + f->patience_ms) * 1000000;
}

// Numbers the request and sends the message, which has room for the head in front.
static int ask(struct mp__far *f, struct call *c, struct mp__talk_head *h, unsigned char *message,
               size_t size)
{
    *c = (struct call){.next = NULL};
    int r = mp__pipe_usable(f->pipe);
    if (r == MP_EOWNER)
        return r;
    pthread_mutex_lock(&f->lock);
    r = f->broken ? MP_EBROKEN : 0;
    if (r == 0) {
        h->id = c->id = ++f->last_id;
        c->next = f->calls;
        f->calls = c;
    }
    pthread_mutex_unlock(&f->lock);
    if (r < 0)
        return r;
    mp__talk_write(message, h);
    if ((r = send_message(f, message, size)) < 0) {
        pthread_mutex_lock(&f->lock);
        forget(f, c);
        pthread_mutex_unlock(&f->lock);
    }
    return r;
}

// The answer's number; its message is the caller's to free.
static int64_t exchange(struct mp__far *f, struct call *c, struct mp__talk_head h,
                        unsigned char *message, size_t size)
{
    unsigned char small[MP__TALK_HEAD];
    int r = ask(f, c, &h, message ? message : small, message ? size : sizeof small);
    if (r == 0)
        r = await(f, c, patience(f, h.ms));
    return r < 0 ? r : (int64_t)c->head.a;
}

int64_t mp__far_ask(struct mp__far *f, enum mp__talk what, uint64_t number, int timeout_ms)
{
    struct call c;
    struct mp__talk_head h = {.what = (uint8_t)what, .ms = timeout_ms, .a = number};
    int64_t r = exchange(f, &c, h, NULL, 0);
    free(c.message);
    return r;
}

// ---- putting ---------------------------------------------------------------------------

// The first of n items that go into one message: how many, and of what size.
static size_t measure(const mp_slice *items, size_t n, size_t *size)
{
    size_t k = 0;
    *size = MP__TALK_HEAD;
    while (k < n && (k == 0 || *size + MP__TALK_SENT + items[k].size <= PUT_AT_ONCE)) {
        *size += MP__TALK_SENT + items[k].size;
        k++;
    }
    return k;
}

static int64_t put_some(struct mp__far *f, int64_t priority, const mp_slice *items, size_t n,
                        int ms)
{
    size_t size;
    struct call c;
    size_t k = measure(items, n, &size);
    unsigned char *message = malloc(size), *at = message + MP__TALK_HEAD;
    if (!message)
        return -ENOMEM;
    for (size_t i = 0; i < k; i++) {
        mp__talk_put64(at, items[i].size);
        if (items[i].size)
            memcpy(at + MP__TALK_SENT, items[i].data, items[i].size);
        at += MP__TALK_SENT + items[i].size;
    }
    struct mp__talk_head h = {.what = MP__TALK_PUT, .ms = ms, .a = k, .b = (uint64_t)priority};
    int64_t r = exchange(f, &c, h, message, size);
    free(message);
    free(c.message);
    return r;
}

// One at a time: who waits for room holds up only those who would wait as well.
static int begin_put(struct mp__far *f, mp__deadline d)
{
    int r = mp__pipe_usable(f->pipe);
    if (r == MP_EOWNER)
        return r;
    pthread_mutex_lock(&f->lock);
    for (r = 0; f->putting && !f->broken && r == 0;)
        r = wait_for_others(f, d) || mp__left_ns(d) ? 0 : MP_ETIMEDOUT;
    if (f->broken)
        r = MP_EBROKEN;
    if (r == 0)
        f->putting = true;
    pthread_mutex_unlock(&f->lock);
    return r;
}

static void end_put(struct mp__far *f)
{
    pthread_mutex_lock(&f->lock);
    f->putting = false;
    pthread_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
}

int64_t mp__far_put(struct mp__far *f, int64_t priority, const mp_slice *items, size_t n,
                    int timeout_ms)
{
    mp__deadline d = mp__deadline_in(timeout_ms);
    size_t done = 0, size;
    int64_t r = begin_put(f, d);
    if (r < 0)
        return r;
    while (done < n) {
        size_t k = measure(items + done, n - done, &size);
        r = put_some(f, priority, items + done, n - done, mp__left_ms(d));
        if (r > 0)
            done += (size_t)r;
        if (r < (int64_t)k)
            break;
    }
    end_put(f);
    return done ? (int64_t)done : r;
}

// ---- getting ---------------------------------------------------------------------------

// Without acknowledgements the server keeps what it sent until this says that it arrived.
static void took(struct mp__far *f, uint64_t id)
{
    unsigned char message[MP__TALK_HEAD];
    if (mp__far_acked(f))
        return;
    mp__talk_write(message, &(struct mp__talk_head){.what = MP__TALK_TOOK, .id = id});
    send_message(f, message, sizeof message);
}

// The answer to a GET says how many items follow. What does not fit was not asked for.
static int64_t nonsense(struct mp__far *f, struct call *c)
{
    free(c->message);
    c->message = NULL;
    pthread_mutex_lock(&f->lock);
    break_off(f);
    pthread_mutex_unlock(&f->lock);
    return MP_EPROTO;
}

static int64_t get(struct mp__far *f, struct call *c, uint64_t n, uint64_t cap, int ms)
{
    struct mp__talk_head h = {.what = MP__TALK_GET, .ms = ms, .a = n, .b = cap};
    int64_t r = exchange(f, c, h, NULL, 0);
    pthread_mutex_lock(&f->lock);
    if (!f->broken)
        set_ready(f, false);
    pthread_mutex_unlock(&f->lock);
    return r == 0 || r > (int64_t)n ? nonsense(f, c) : r;
}

int64_t mp__far_get(struct mp__far *f, const struct mp__want *w, int timeout_ms)
{
    struct call c;
    struct mp__talk_item item;
    if (!w->buf && !w->made)
        return mp__far_ask(f, MP__TALK_PEEK, 0, timeout_ms);
    int64_t r = get(f, &c, 1, w->cap, timeout_ms);
    if (r < 0) {
        free(c.message);
        return r;
    }
    const unsigned char *at = c.message + MP__TALK_HEAD;
    if (!mp__talk_next(&at, c.message + c.size, MP__TALK_GOT, &item) || item.size > w->cap)
        return nonsense(f, &c);
    if (w->item)
        *w->item = (mp_queue_item){.tag = mp__talk_get64(item.before + 8),
                                   .priority = (int64_t)mp__talk_get64(item.before + 16),
                                   .attempts = (uint32_t)mp__talk_get64(item.before + 24)};
    if (w->made) // the message itself: no memory can be missing now
        *w->made = memmove(c.message, item.data, (size_t)item.size);
    else
        memcpy(w->buf, item.data, (size_t)item.size);
    took(f, c.id);
    if (!w->made)
        free(c.message);
    return (int64_t)item.size;
}

int64_t mp__far_get_many(struct mp__far *f, void *buf, size_t cap, mp_slice *items, size_t n,
                         int timeout_ms)
{
    struct call c;
    struct mp__talk_item item;
    size_t done = 0;
    int64_t r = get(f, &c, n, cap, timeout_ms);
    if (r < 0) {
        free(c.message);
        return r;
    }
    const unsigned char *at = c.message + MP__TALK_HEAD;
    for (int64_t i = 0; i < r; i++) {
        if (!mp__talk_next(&at, c.message + c.size, MP__TALK_GOT, &item) || done > cap ||
            item.size > cap - done)
            return nonsense(f, &c);
        items[i] =
            (mp_slice){memcpy((char *)buf + done, item.data, (size_t)item.size), (size_t)item.size};
        done += ((size_t)item.size + 7) & ~(size_t)7;
    }
    took(f, c.id);
    free(c.message);
    return r;
}

// ---- waiting with others ---------------------------------------------------------------

// Asks to be told when there is an item. Locked.
static void watch(struct mp__far *f)
{
    unsigned char message[MP__TALK_HEAD];
    uint64_t id = ++f->last_id;
    mp__talk_write(message, &(struct mp__talk_head){.what = MP__TALK_WATCH, .id = id});
    if (pthread_mutex_trylock(&f->sending) != 0)
        return; // the next look does it
    if (mp_pipe_send(f->pipe, message, sizeof message, 0) == 0)
        f->watch = id;
    pthread_mutex_unlock(&f->sending);
}

bool mp__far_ready(struct mp__far *f)
{
    if (mp__pipe_usable(f->pipe) < 0)
        return true; // a get tells why
    pthread_mutex_lock(&f->lock);
    while (!f->broken && !f->reading && take(f, 0))
        continue;
    if (!f->ready && !f->watch)
        watch(f);
    bool ready = f->ready;
    pthread_mutex_unlock(&f->lock);
    return ready;
}

static int make_fd(struct mp__far *f, int pipe)
{
    struct epoll_event e = {.events = EPOLLIN};
    int bell = eventfd(f->ready, EFD_CLOEXEC | EFD_NONBLOCK), epoll = epoll_create1(EPOLL_CLOEXEC);
    if (bell < 0 || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, bell, &e) < 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, pipe, &e) < 0) {
        int err = -errno;
        if (bell >= 0)
            close(bell);
        if (epoll >= 0)
            close(epoll);
        return err;
    }
    f->bell = bell;
    f->epoll = epoll;
    return 0;
}

int mp__far_fd(struct mp__far *f)
{
    int pipe = mp_pipe_fd(f->pipe), r = pipe;
    if (pipe == MP_ECLOSED)
        return MP_EBROKEN;
    if (pipe < 0)
        return pipe;
    pthread_mutex_lock(&f->lock);
    r = f->epoll < 0 ? make_fd(f, pipe) : 0;
    pthread_mutex_unlock(&f->lock);
    return r < 0 ? r : f->epoll;
}

// ---- the connection --------------------------------------------------------------------

static struct mp__far *make(mp_pipe *pipe, const mp_url_opts *opts)
{
    struct mp__far *f = calloc(1, sizeof *f);
    pthread_condattr_t a;
    if (!f)
        return NULL;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&f->moved, &a);
    pthread_condattr_destroy(&a);
    pthread_mutex_init(&f->lock, NULL);
    pthread_mutex_init(&f->sending, NULL);
    f->pipe = pipe;
    f->bell = f->epoll = -1;
    f->patience_ms = opts->alive_ms ? opts->alive_ms : PATIENCE_MS;
    return f;
}

static int await_welcome(struct mp__far *f, const char **text)
{
    unsigned char message[MP__TALK_HEAD];
    int64_t n = mp_pipe_recv(f->pipe, message, sizeof message, f->patience_ms);
    *text = "the process that serves the queue does not answer";
    if (n == MP_ETIMEDOUT)
        return MP_ETIMEDOUT;
    *text = "the process that serves the queue ended, or had no descriptors left (ulimit -n)";
    if (n == MP_EOF || n == MP_EBROKEN)
        return MP_EBROKEN;
    *text = "what it says makes no sense";
    if (n != sizeof message)
        return MP_EPROTO;
    f->welcome = mp__talk_read(message);
    if (f->welcome.what != MP__TALK_WELCOME || f->welcome.a > MP_PRIORITY)
        return MP_EPROTO;
    *text = "the process that serves the queue is of another version of libmp";
    return f->welcome.ms == MP__TALK_VERSION ? 0 : MP_EVERSION;
}

int mp__far_connect(struct mp__far **out, const char *url, const mp_url_opts *opts)
{
    static const mp_url_opts defaults;
    mp_pipe *pipe;
    const char *text = "out of memory";
    opts = opts ? opts : &defaults;
    if (opts->foreign)
        return mp__remote_fail(opts, "cannot connect to", url,
                               "opts.foreign is only for pipes: a queue is served by libmp",
                               MP_EINVAL);
    int r = mp__connect(&pipe, url, opts, MP__SP_QUEUE);
    if (r < 0)
        return r;
    struct mp__far *f = make(pipe, opts);
    r = f ? await_welcome(f, &text) : -ENOMEM;
    if (r == 0) {
        *out = f;
        return 0;
    }
    if (f)
        mp__far_free(f);
    else
        mp_pipe_free(pipe);
    return mp__remote_fail(opts, "cannot connect to", url, text, r);
}

void mp__far_free(struct mp__far *f)
{
    mp_pipe_free(f->pipe);
    if (f->epoll >= 0) {
        close(f->epoll);
        close(f->bell);
    }
    pthread_cond_destroy(&f->moved);
    pthread_mutex_destroy(&f->lock);
    pthread_mutex_destroy(&f->sending);
    free(f);
}
