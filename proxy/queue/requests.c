// SPDX-License-Identifier: MIT
//
// An item on its way to a client is somebody's at any time. With acknowledgements the queue knows
// it as held by this process, and it is returned when its client's connection ends; should this
// process die, the queue finds that itself. Without, the message that it is in stays here until the
// client has said that it arrived, and else its items are put into the queue once more.
#include "requests.h"

#include "base/clock.h"
#include "base/log.h"
#include "channel/queue.h"
#include "channel/queue_talk.h"
#include "channel/request.h"
#include "serve.h"

#include <errno.h>
#include <mp/log.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define MS       INT64_C(1000000)
#define LOOK_MS  50
#define ROOM_MS  16                  // the longest pause between two looks for room
#define OUT_MOST ((size_t)256 << 10) // bytes of answers that a client may leave unread
#define WAITS    4096                // requests that a client may have under way
#define KEPT     4096                // answers of which it did not say that they arrived

// A request that could not be answered at once.
struct wait {
    TAILQ_ENTRY(wait) link;
    struct waits *list;
    struct session *session;
    enum mp__talk what;
    uint64_t id, a, b;
    struct timer timer;
    unsigned char *message; // of a PUT, and
    mp_slice *items;        // what is in it, of which
    size_t n, done;         // so many are in the queue
};
TAILQ_HEAD(waits, wait);

static mp_queue *queue;
static struct waits getters = TAILQ_HEAD_INITIALIZER(getters);
static struct waits putters = TAILQ_HEAD_INITIALIZER(putters);
static struct waits joiners = TAILQ_HEAD_INITIALIZER(joiners);
static struct messages back = TAILQ_HEAD_INITIALIZER(back); // items for which there was no room
static int room_ms = 1;

static void look(struct timer *t);
static struct timer looking = {.ring = look};

static bool is_raw(const struct session *s)
{
    return s->peer != MP__SP_QUEUE;
}

static bool is_acked(void)
{
    return queue->shared->ack;
}

// ---- answers -----------------------------------------------------------------------------

static void send_head(struct session *s, const struct mp__talk_head *h)
{
    struct message *m = message_new(MP__TALK_HEAD);
    if (!m) {
        session_end(s);
        return;
    }
    mp__talk_write(m->bytes, h);
    session_send(s, m);
}

static void answer(struct session *s, uint64_t id, int64_t result)
{
    send_head(s, &(struct mp__talk_head){.what = MP__TALK_ANSWER, .id = id, .a = (uint64_t)result});
}

// ---- waiting -----------------------------------------------------------------------------

static void stop_waiting(struct wait *w)
{
    TAILQ_REMOVE(w->list, w, link);
    loop_stop_timer(&w->timer);
    w->session->n_waits--;
    if (w->what == MP__TALK_PUT)
        w->session->putting = false;
    free(w->items);
    free(w->message);
    free(w);
}

// Ends a request with its answer, if its client gets any.
static void finish(struct wait *w, int64_t result)
{
    struct session *s = w->session;
    uint64_t id = w->id;
    stop_waiting(w);
    if (!is_raw(s))
        answer(s, id, result);
    else if (result < 0)
        session_end(s); // its connection says that there is no more
    else
        session_wake(s);
}

// A PUT that waited tells what it did.
static void on_time(struct timer *t)
{
    struct wait *w = OWNER_OF(t, struct wait, timer);
    finish(w, w->done ? (int64_t)w->done : MP_ETIMEDOUT);
}

// When to look next, without being told.
static void look_soon(void)
{
    int ms = 0;
    if (!TAILQ_EMPTY(&putters) || !TAILQ_EMPTY(&back))
        ms = room_ms;
    else if (!TAILQ_EMPTY(&joiners) || (!TAILQ_EMPTY(&getters) && queue->eventfd < 0))
        ms = LOOK_MS / 10;
    else if (!TAILQ_EMPTY(&getters))
        ms = LOOK_MS;
    if (ms)
        loop_set_timer(&looking, ms * MS);
}

static struct wait *wait_in(struct waits *list, struct session *s, const struct mp__talk_head *h)
{
    struct wait *w = s->n_waits < WAITS ? calloc(1, sizeof *w) : NULL;
    if (!w) {
        session_end(s);
        return NULL;
    }
    *w = (struct wait){.list = list,
                       .session = s,
                       .what = (enum mp__talk)h->what,
                       .id = h->id,
                       .a = h->a,
                       .b = h->b,
                       .timer = {.ring = on_time}};
    s->n_waits++;
    TAILQ_INSERT_TAIL(list, w, link);
    return w;
}

// ---- items that come back ----------------------------------------------------------------

static int put_one(int64_t priority, const void *data, size_t size)
{
    if (queue->shared->kind == MP_PRIORITY)
        return mp_queue_put_priority(queue, priority, data, size, 0);
    return mp_queue_put(queue, data, size, 0);
}

// An item that nobody got. Without room, or in a queue that was shut down, it waits here.
static void give_back(int64_t priority, const void *data, size_t size)
{
    if (put_one(priority, data, size) == 0)
        return;
    struct message *m = message_new(size);
    if (!m)
        return; // no memory: this is all that can be done
    m->priority = priority;
    memcpy(m->bytes, data, size);
    TAILQ_INSERT_TAIL(&back, m, link);
}

static void give_all_back(const struct session *s, const struct message *m)
{
    const unsigned char *at = m->bytes + MP__TALK_HEAD, *end = m->bytes + m->size;
    struct mp__talk_item item;
    if (is_acked() || !m->items)
        return; // the tags tell
    if (is_raw(s)) {
        give_back(m->priority, m->bytes, m->size);
        return;
    }
    while (mp__talk_next(&at, end, MP__TALK_GOT, &item))
        give_back((int64_t)mp__talk_get64(item.before + 16), item.data, (size_t)item.size);
}

static void try_again(void)
{
    struct message *m;
    while ((m = TAILQ_FIRST(&back)) && put_one(m->priority, m->bytes, m->size) == 0) {
        TAILQ_REMOVE(&back, m, link);
        free(m);
    }
}

// ---- getting -----------------------------------------------------------------------------

static bool hold(struct session *s, uint64_t tag)
{
    if (s->n_held == s->held_room) {
        size_t room = s->held_room ? s->held_room * 2 : 16;
        uint64_t *held = realloc(s->held, room * sizeof *held);
        if (!held)
            return false;
        s->held = held;
        s->held_room = room;
    }
    s->held[s->n_held++] = tag;
    return true;
}

static bool let_go(struct session *s, uint64_t tag)
{
    for (size_t i = 0; i < s->n_held; i++)
        if (s->held[i] == tag) {
            memmove(s->held + i, s->held + i + 1, (s->n_held - i - 1) * sizeof *s->held);
            s->n_held--;
            return true;
        }
    return false;
}

// The next item, of cap bytes at most, into memory of its own.
static int64_t next_item(size_t cap, void **data, mp_queue_item *item)
{
    struct mp__want w = {.made = data, .cap = cap, .item = item};
    struct message *m = TAILQ_FIRST(&back);
    *item = (mp_queue_item){.tag = 0};
    if (!m)
        return mp__queue_get(queue, &w, 0);
    int r = mp__want_take(&w, m->bytes, m->size);
    if (r < 0)
        return r;
    int64_t size = (int64_t)m->size;
    item->priority = m->priority;
    TAILQ_REMOVE(&back, m, link);
    free(m);
    return size;
}

static void drop_item(const mp_queue_item *item, const void *data, size_t size)
{
    if (item->tag)
        mp_queue_return(queue, item->tag);
    else
        give_back(item->priority, data, size);
}

// Adds an item to a message that has room for `*room` bytes. False: no memory.
static bool append(struct message **m, size_t *room, const mp_queue_item *item, const void *data,
                   size_t size)
{
    size_t need = (*m ? (*m)->size : MP__TALK_HEAD) + MP__TALK_GOT + size;
    if (need > *room) {
        size_t more = *m ? 2 * need : need;
        struct message *larger = realloc(*m, sizeof **m + more);
        if (!larger)
            return false;
        if (!*m)
            *larger = (struct message){.items = true, .size = MP__TALK_HEAD};
        *m = larger;
        *room = more;
    }
    unsigned char *at = (*m)->bytes + (*m)->size;
    mp__talk_put64(at, size);
    mp__talk_put64(at + 8, item->tag);
    mp__talk_put64(at + 16, (uint64_t)item->priority);
    mp__talk_put64(at + 24, item->attempts);
    memcpy(at + MP__TALK_GOT, data, size);
    (*m)->size = need;
    return true;
}

// One more of those that a GET wants, of `left` bytes at most. Its size, or the error.
static int64_t add_item(struct session *s, struct message **m, size_t *room, size_t left)
{
    void *data;
    mp_queue_item item;
    int64_t size = next_item(left, &data, &item);
    if (size < 0)
        return size;
    bool held = !item.tag || hold(s, item.tag);
    if (!held || !append(m, room, &item, data, (size_t)size)) {
        if (held)
            let_go(s, item.tag);
        drop_item(&item, data, (size_t)size);
        size = -ENOMEM;
    }
    free(data);
    return size;
}

// Several items lie in the client's memory as mp_queue_get_many() says.
static bool try_get(struct wait *w)
{
    struct session *s = w->session;
    struct message *m = NULL;
    size_t room = 0, used = 0, n = 0;
    int64_t r = MP_ETIMEDOUT;
    while (n < w->a && used <= w->b && (!m || m->size < OUT_MOST)) {
        r = add_item(s, &m, &room, (size_t)w->b - used);
        if (r < 0)
            break;
        used += ((size_t)r + 7) & ~(size_t)7;
        n++;
    }
    if (!m && r == MP_ETIMEDOUT)
        return false;
    if (!m) {
        finish(w, r);
        return true;
    }
    m->id = w->id;
    mp__talk_write(m->bytes, &(struct mp__talk_head){.what = MP__TALK_ANSWER, .id = w->id, .a = n});
    stop_waiting(w);
    session_send(s, m);
    return true;
}

// For a foreign peer, which wants them all, one after the other.
static bool try_get_raw(struct wait *w)
{
    struct session *s = w->session;
    void *data;
    mp_queue_item item;
    int64_t size = next_item(SIZE_MAX, &data, &item);
    if (size == MP_ETIMEDOUT)
        return false;
    if (size < 0) {
        finish(w, size);
        return true;
    }
    struct message *m = message_new((size_t)size);
    if (m && (!item.tag || hold(s, item.tag))) {
        m->items = true;
        m->tag = item.tag;
        m->priority = item.priority;
        memcpy(m->bytes, data, (size_t)size);
        stop_waiting(w);
        session_send(s, m);
    } else {
        drop_item(&item, data, (size_t)size);
        free(m);
        session_end(s);
    }
    free(data);
    return true;
}

static bool try_look(struct wait *w)
{
    struct message *m = TAILQ_FIRST(&back);
    int64_t r = m ? (int64_t)m->size : mp__queue_get(queue, &(struct mp__want){0}, 0);
    if (r == MP_ETIMEDOUT)
        return false;
    finish(w, w->what == MP__TALK_WATCH ? 0 : r);
    return true;
}

static bool try_getter(struct wait *w)
{
    if (w->what != MP__TALK_GET)
        return try_look(w);
    return is_raw(w->session) ? try_get_raw(w) : try_get(w);
}

static void serve_getters(void)
{
    struct wait *w;
    while ((w = TAILQ_FIRST(&getters)) && try_getter(w))
        continue;
    look_soon();
}

// ---- putting -----------------------------------------------------------------------------

static int64_t put_some(struct wait *w)
{
    if (queue->shared->kind != MP_PRIORITY)
        return mp_queue_put_many(queue, w->items + w->done, w->n - w->done, 0);
    const mp_slice *item = &w->items[w->done];
    int r = mp_queue_put_priority(queue, (int64_t)w->b, item->data, item->size, 0);
    return r < 0 ? r : 1;
}

static bool try_put(struct wait *w)
{
    while (w->done < w->n) {
        int64_t r = put_some(w);
        if (r == MP_ETIMEDOUT)
            return false;
        if (r < 0) {
            finish(w, w->done ? (int64_t)w->done : r);
            return true;
        }
        w->done += (size_t)r;
        room_ms = 1;
    }
    finish(w, (int64_t)w->done);
    return true;
}

static void serve_putters(void)
{
    struct wait *w;
    while ((w = TAILQ_FIRST(&putters)) && try_put(w))
        continue;
    look_soon();
}

// The items of a PUT. False: it makes no sense.
static bool read_items(struct wait *w, size_t size)
{
    const unsigned char *at = w->message + MP__TALK_HEAD, *end = w->message + size;
    struct mp__talk_item item;
    if (w->a == 0 || w->a > (size - MP__TALK_HEAD) / MP__TALK_SENT ||
        !(w->items = calloc((size_t)w->a, sizeof *w->items)))
        return false;
    while (w->n < w->a && mp__talk_next(&at, end, MP__TALK_SENT, &item))
        w->items[w->n++] = (mp_slice){item.data, (size_t)item.size};
    return w->n == w->a && at == end;
}

static bool read_raw_item(struct wait *w, size_t size)
{
    w->items = calloc(1, sizeof *w->items);
    if (!w->items)
        return false;
    w->items[0] = (mp_slice){w->message, size};
    w->n = 1;
    return true;
}

// Waits behind those who came before.
static void begin_put(struct session *s, const struct mp__talk_head *h, unsigned char *message,
                      size_t size)
{
    struct wait *w = s->putting ? NULL : wait_in(&putters, s, h);
    if (!w) {
        free(message);
        session_end(s);
        return;
    }
    s->putting = true;
    w->message = message;
    if (!(is_raw(s) ? read_raw_item(w, size) : read_items(w, size))) {
        session_end(s);
        return;
    }
    if (h->ms > 0)
        loop_set_timer(&w->timer, h->ms * MS);
    serve_putters();
    if (h->ms == 0 && s->putting)
        on_time(&w->timer);
}

// ---- the other requests ------------------------------------------------------------------

static void begin_get(struct session *s, const struct mp__talk_head *h)
{
    uint64_t id = h->id;
    if (h->what == MP__TALK_GET && h->a == 0 && !is_raw(s)) {
        answer(s, id, MP_EINVAL); // it would wait for ever, and others behind it
        return;
    }
    struct wait *w = wait_in(&getters, s, h);
    if (!w)
        return;
    serve_getters();
    if (h->ms < 0 || h->what == MP__TALK_WATCH)
        return;
    TAILQ_FOREACH(w, &getters, link) // it may have been answered
    if (w->session == s && w->id == id)
        break;
    if (w && h->ms == 0)
        on_time(&w->timer);
    else if (w)
        loop_set_timer(&w->timer, h->ms * MS);
}

static void begin_join(struct session *s, const struct mp__talk_head *h)
{
    int r = mp_queue_join(queue, 0);
    if (r != MP_ETIMEDOUT || h->ms == 0) {
        answer(s, h->id, r);
        return;
    }
    struct wait *w = wait_in(&joiners, s, h);
    if (w && h->ms > 0)
        loop_set_timer(&w->timer, h->ms * MS);
    look_soon();
}

static void serve_joiners(void)
{
    int r = TAILQ_EMPTY(&joiners) ? MP_ETIMEDOUT : mp_queue_join(queue, 0);
    while (r != MP_ETIMEDOUT && !TAILQ_EMPTY(&joiners))
        finish(TAILQ_FIRST(&joiners), r);
}

static int acknowledge(struct session *s, const struct mp__talk_head *h)
{
    if (!let_go(s, h->a))
        return MP_ENOTHELD;
    return h->what == MP__TALK_ACK ? mp_queue_ack(queue, h->a) : mp_queue_return(queue, h->a);
}

static void shut_down(struct session *s, const struct mp__talk_head *h)
{
    bool known = h->a == MP_DRAIN || h->a == MP_DROP;
    answer(s, h->id, known ? mp_queue_shutdown(queue, (mp_shutdown)h->a) : MP_EINVAL);
    serve_putters();
}

static void arrived(struct session *s, uint64_t id)
{
    struct message *m;
    TAILQ_FOREACH(m, &s->kept, link)
    if (m->id == id)
        break;
    if (!m)
        return;
    TAILQ_REMOVE(&s->kept, m, link);
    s->n_kept--;
    free(m);
}

// What needs neither patience nor memory. False: nobody knows that request.
static bool answer_at_once(struct session *s, const struct mp__talk_head *h)
{
    switch (h->what) {
    case MP__TALK_ACK:
    case MP__TALK_RETURN:
        answer(s, h->id, acknowledge(s, h));
        return true;
    case MP__TALK_DONE:
        answer(s, h->id, is_acked() ? MP_ESTATE : mp_queue_task_done(queue));
        return true;
    case MP__TALK_SIZE:
        answer(s, h->id, mp_queue_size(queue));
        return true;
    case MP__TALK_FULL:
        answer(s, h->id, mp_queue_full(queue));
        return true;
    case MP__TALK_END:
        shut_down(s, h);
        return true;
    case MP__TALK_TOOK:
        arrived(s, h->id);
        return true;
    case MP__TALK_JOIN:
        begin_join(s, h);
        return true;
    case MP__TALK_GET:
    case MP__TALK_PEEK:
    case MP__TALK_WATCH:
        begin_get(s, h);
        return true;
    default:
        return false;
    }
}

void request_came(struct session *s, unsigned char *message, size_t size)
{
    struct mp__talk_head h = {.what = MP__TALK_PUT, .ms = -1};
    if (!mp__queue_is_valid(queue)) {
        free(message);
        serve_end();
        return;
    }
    if (!is_raw(s) && size >= MP__TALK_HEAD)
        h = mp__talk_read(message);
    if (s->peer == MP__SP_PULL0 || (!is_raw(s) && size < MP__TALK_HEAD)) {
        free(message);
        session_end(s); // says what makes no sense
    } else if (h.what == MP__TALK_PUT) {
        begin_put(s, &h, message, size);
    } else {
        if (!answer_at_once(s, &h))
            session_end(s);
        free(message);
    }
}

// ---- sessions ----------------------------------------------------------------------------

static void want_next(struct session *s)
{
    begin_get(s, &(struct mp__talk_head){.what = MP__TALK_GET, .ms = -1});
}

void requests_begin(struct session *s)
{
    if (s->peer == MP__SP_PULL0)
        want_next(s);
    else if (!is_raw(s))
        send_head(s, &(struct mp__talk_head){.what = MP__TALK_WELCOME,
                                             .flags = is_acked() ? MP__TALK_ACKED : 0,
                                             .ms = MP__TALK_VERSION,
                                             .a = queue->shared->kind,
                                             .b = mp__queue_most(queue)});
}

bool requests_wanted(const struct session *s)
{
    return s->out_bytes < OUT_MOST && !(is_raw(s) && s->putting) && s->n_kept < KEPT;
}

void request_sent(struct session *s, struct message *m)
{
    if (is_raw(s)) { // it never says that it has it
        if (m->tag && let_go(s, m->tag))
            mp_queue_ack(queue, m->tag);
        free(m);
        want_next(s);
    } else if (m->items && !is_acked()) {
        TAILQ_INSERT_TAIL(&s->kept, m, link);
        s->n_kept++;
    } else {
        free(m);
    }
}

static void drop_messages(const struct session *s, struct messages *list)
{
    struct message *m;
    while ((m = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, m, link);
        give_all_back(s, m);
        free(m);
    }
}

static void drop_waits(struct session *s, struct waits *list)
{
    struct wait *w, *next;
    for (w = TAILQ_FIRST(list); w; w = next) {
        next = TAILQ_NEXT(w, link);
        if (w->session == s)
            stop_waiting(w);
    }
}

void requests_end(struct session *s)
{
    drop_waits(s, &getters);
    drop_waits(s, &putters);
    drop_waits(s, &joiners);
    for (size_t i = 0; i < s->n_held; i++)
        mp_queue_return(queue, s->held[i]);
    free(s->held);
    s->held = NULL;
    s->n_held = 0;
    drop_messages(s, &s->kept);
    drop_messages(s, &s->out);
    loop_set_timer(&looking, 0); // there may be something for others
}

// ---- looking -----------------------------------------------------------------------------

static void look(struct timer *t)
{
    (void)t;
    if (!mp__queue_is_valid(queue)) {
        serve_end();
        return;
    }
    room_ms = room_ms * 2 < ROOM_MS ? room_ms * 2 : ROOM_MS;
    try_again();
    serve_putters();
    serve_getters();
    serve_joiners();
    look_soon();
}

static void on_bell(struct source *s, uint32_t events)
{
    (void)s, (void)events;
    if (mp__queue_is_valid(queue))
        serve_getters();
    else
        serve_end();
}

static struct source bell = {on_bell};

int requests_init(mp_queue *q)
{
    queue = q;
    int fd = mp_queue_fd(q);
    if (fd == MP_ENOTSUP)
        return 0; // it has a name: then it is looked at
    return fd < 0 ? fd : loop_watch(fd, EPOLLIN | EPOLLET, &bell);
}
