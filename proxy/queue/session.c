// SPDX-License-Identifier: MIT
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

static TAILQ_HEAD(, session) sessions = TAILQ_HEAD_INITIALIZER(sessions);

struct message *message_new(size_t size)
{
    struct message *m = calloc(1, sizeof *m + size);
    if (m)
        m->size = size;
    return m;
}

// ---- in ----------------------------------------------------------------------------------

// Begins the next message. 0: there is none yet; negative: there will be none.
static int begin_message(struct session *s)
{
    int r = mp__pump_next(&s->channel, &s->in_size);
    if (r <= 0)
        return r;
    // Its size is at most what the queue takes, and memory that nobody writes to costs nothing.
    s->in = malloc(s->in_size ? (size_t)s->in_size : 1);
    s->in_got = 0;
    s->inside = true;
    return s->in ? 1 : -ENOMEM;
}

// Takes what is there of it. 1: it is complete.
static int take_piece(struct session *s)
{
    int64_t n = mp__pump_take(&s->channel, s->in + s->in_got, (size_t)(s->in_size - s->in_got));
    if (n < 0)
        return (int)n;
    s->in_got += (uint64_t)n;
    if (s->in_got < s->in_size)
        return 0;
    s->inside = false;
    return mp__pump_end_message(&s->channel) < 0 ? MP_EPROTO : 1;
}

static void read_all(struct session *s)
{
    while (!s->over && !(s->stalled = !requests_wanted(s))) {
        int r = s->inside ? 1 : begin_message(s);
        if (r > 0)
            r = take_piece(s);
        mp__channel_give_back(&s->channel);
        if (r < 0) {
            session_end(s);
        } else if (r > 0) {
            unsigned char *message = s->in;
            s->in = NULL;
            request_came(s, message, (size_t)s->in_size);
        } else if (mp__pump_want_data(&s->channel)) {
            return;
        }
    }
}

// ---- out ---------------------------------------------------------------------------------

// Puts what fits of the first message into the ring. 1: all of it is there.
static int put_piece(struct session *s, struct message *m)
{
    if (!s->begun && !mp__pump_begin(&s->channel, m->size))
        return 0;
    if (!s->begun)
        s->out_at = 0;
    s->begun = true;
    size_t left = m->size - s->out_at;
    int64_t n = left ? mp__pump_put(&s->channel, m->bytes + s->out_at, left, left) : 0;
    if (n < 0)
        return (int)n;
    s->out_at += (size_t)n;
    return s->out_at == m->size;
}

static void write_all(struct session *s)
{
    struct message *m;
    while (!s->over && (m = TAILQ_FIRST(&s->out))) {
        int r = mp__pump_unread(&s->channel) ? MP_EPIPE : put_piece(s, m);
        if (r < 0) {
            session_end(s);
        } else if (r > 0) {
            TAILQ_REMOVE(&s->out, m, link);
            s->out_bytes -= m->size;
            s->begun = false;
            request_sent(s, m);
        } else {
            mp__channel_publish(&s->channel);
            if (mp__pump_want_room(&s->channel, m->size - s->out_at))
                return;
        }
    }
    if (!s->over)
        mp__channel_publish(&s->channel);
}

static void run(struct session *s)
{
    s->running = true;
    do {
        read_all(s);
        write_all(s);
    } while (!s->over && s->stalled && requests_wanted(s));
    s->running = false;
}

void session_wake(struct session *s)
{
    if (!s->running)
        loop_post(&s->work);
}

void session_send(struct session *s, struct message *m)
{
    TAILQ_INSERT_TAIL(&s->out, m, link);
    s->out_bytes += m->size;
    session_wake(s);
}

// ---- life --------------------------------------------------------------------------------

static void destroy(struct session *s)
{
    mp__channel_release(&s->channel);
    free(s->in);
    free(s);
}

static void do_work(struct work *w)
{
    struct session *s = OWNER_OF(w, struct session, work);
    if (s->over)
        destroy(s);
    else
        run(s);
}

static void on_bell(struct source *source, uint32_t events)
{
    struct session *s = OWNER_OF(source, struct session, bell);
    (void)events; // edge-triggered: the count need not be read
    if (!s->over)
        run(s);
}

static void on_sock(struct source *source, uint32_t events)
{
    struct session *s = OWNER_OF(source, struct session, sock);
    if (s->over)
        return;
    mp__pump_hush(&s->channel);
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        atomic_fetch_or(&s->channel.ended, MP__GONE);
    run(s);
}

void session_begin(struct mp__channel *channel, uint32_t peer)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s) {
        mp__channel_release(channel);
        return;
    }
    s->channel = *channel;
    s->peer = peer;
    s->bell.ready = on_bell;
    s->sock.ready = on_sock;
    s->work.run = do_work;
    TAILQ_INIT(&s->out);
    TAILQ_INIT(&s->kept);
    TAILQ_INSERT_TAIL(&sessions, s, link);
    requests_begin(s);
    if (loop_watch(s->channel.bell, EPOLLIN | EPOLLET, &s->bell) < 0 ||
        loop_watch(s->channel.sock, EPOLLIN | EPOLLRDHUP | EPOLLET, &s->sock) < 0)
        session_end(s);
    else
        session_wake(s);
}

void session_end(struct session *s)
{
    if (s->over)
        return;
    s->over = true;
    TAILQ_REMOVE(&sessions, s, link);
    loop_unwatch(s->channel.bell);
    loop_unwatch(s->channel.sock);
    mp__channel_close(&s->channel);
    requests_end(s);
    loop_post(&s->work);
}

void session_end_all(void)
{
    struct session *s;
    while ((s = TAILQ_FIRST(&sessions)))
        session_end(s);
}
