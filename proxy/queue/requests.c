// SPDX-License-Identifier: MIT
#include "requests.h"

#include "base/log.h"
#include "channel/queue_talk.h"
#include "channel/request.h"
#include "getting.h"
#include "items.h"
#include "waits.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define MS      INT64_C(1000000)
#define LOOK_MS 50
#define ROOM_MS 16   // the longest pause between two looks for room
#define KEPT    4096 // answers of which a client did not say that they arrived

static int room_ms = 1;

static void look(struct timer *t);
static struct timer looking = {.ring = look};

// ---- putting -----------------------------------------------------------------------------

static int64_t put_some(struct wait *w)
{
    if (the_queue->shared->kind != MP_PRIORITY)
        return mp_queue_put_many(the_queue, w->items + w->done, w->n - w->done, 0);
    const mp_slice *item = &w->items[w->done];
    int r = mp_queue_put_priority(the_queue, (int64_t)w->b, item->data, item->size, 0);
    return r < 0 ? r : 1;
}

static bool try_put(struct wait *w)
{
    while (w->done < w->n) {
        int64_t r = put_some(w);
        if (r == MP_ETIMEDOUT)
            return false;
        if (r < 0) {
            wait_finish(w, w->done ? (int64_t)w->done : r);
            return true;
        }
        w->done += (size_t)r;
        room_ms = 1;
    }
    wait_finish(w, (int64_t)w->done);
    return true;
}

static void serve_putters(void)
{
    struct wait *w;
    while ((w = TAILQ_FIRST(&putters)) && try_put(w))
        continue;
    requests_look_soon();
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
    serve_putters();
    if (s->putting) // it is not through
        wait_until(w, h->ms);
}

// ---- the other requests ------------------------------------------------------------------

static void begin_join(struct session *s, const struct mp__talk_head *h)
{
    int r = mp_queue_join(the_queue, 0);
    if (r != MP_ETIMEDOUT || h->ms == 0) {
        send_answer(s, h->id, r);
        return;
    }
    struct wait *w = wait_in(&joiners, s, h);
    if (w)
        wait_until(w, h->ms);
    requests_look_soon();
}

static void serve_joiners(void)
{
    int r = TAILQ_EMPTY(&joiners) ? MP_ETIMEDOUT : mp_queue_join(the_queue, 0);
    while (r != MP_ETIMEDOUT && !TAILQ_EMPTY(&joiners))
        wait_finish(TAILQ_FIRST(&joiners), r);
}

static int acknowledge(struct session *s, const struct mp__talk_head *h)
{
    if (!item_let_go(s, h->a))
        return MP_ENOTHELD;
    return h->what == MP__TALK_ACK ? mp_queue_ack(the_queue, h->a)
                                   : mp_queue_return(the_queue, h->a);
}

static void shut_down(struct session *s, const struct mp__talk_head *h)
{
    bool known = h->a == MP_DRAIN || h->a == MP_DROP;
    send_answer(s, h->id, known ? mp_queue_shutdown(the_queue, (mp_shutdown)h->a) : MP_EINVAL);
    serve_putters();
}

static void arrived(struct session *s, uint64_t id)
{
    struct message *m;
    for (m = TAILQ_FIRST(&s->kept); m && m->id != id; m = TAILQ_NEXT(m, link))
        continue;
    if (!m)
        return;
    TAILQ_REMOVE(&s->kept, m, link);
    s->n_kept--;
    items_settled(s, m, true);
    free(m);
}

// What needs neither patience nor memory. False: nobody knows that request.
static bool answer_at_once(struct session *s, const struct mp__talk_head *h)
{
    switch (h->what) {
    case MP__TALK_ACK:
    case MP__TALK_RETURN:
        send_answer(s, h->id, acknowledge(s, h));
        return true;
    case MP__TALK_DONE:
        send_answer(s, h->id, is_acked() ? MP_ESTATE : mp_queue_task_done(the_queue));
        return true;
    case MP__TALK_SIZE:
        send_answer(s, h->id, mp_queue_size(the_queue));
        return true;
    case MP__TALK_FULL:
        send_answer(s, h->id, mp_queue_full(the_queue));
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

void requests_over(void)
{
    session_end_all();
    loop_end();
}

void request_came(struct session *s, unsigned char *message, size_t size)
{
    struct mp__talk_head h = {.what = MP__TALK_PUT, .ms = -1};
    if (!mp__queue_is_valid(the_queue)) {
        free(message);
        requests_over();
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

void requests_begin(struct session *s)
{
    if (s->peer == MP__SP_PULL0)
        want_next(s);
    else if (!is_raw(s))
        send_head(s, &(struct mp__talk_head){.what = MP__TALK_WELCOME,
                                             .flags = is_acked() ? MP__TALK_ACKED : 0,
                                             .ms = MP__TALK_VERSION,
                                             .a = the_queue->shared->kind,
                                             .b = mp__queue_most(the_queue)});
}

bool requests_wanted(const struct session *s)
{
    return s->out_bytes < OUT_MOST && !(is_raw(s) && s->putting) && s->n_kept < KEPT;
}

void request_sent(struct session *s, struct message *m)
{
    if (is_raw(s)) { // it never says that it has it
        if (m->tag && item_let_go(s, m->tag))
            mp_queue_ack(the_queue, m->tag);
        items_settled(s, m, true);
        free(m);
        want_next(s);
    } else if (m->items && !is_acked()) {
        TAILQ_INSERT_TAIL(&s->kept, m, link);
        s->n_kept++;
    } else {
        items_settled(s, m, true);
        free(m);
    }
}

static void drop_messages(const struct session *s, struct messages *list)
{
    struct message *m;
    while ((m = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, m, link);
        items_settled(s, m, false);
        free(m);
    }
}

void requests_end(struct session *s)
{
    waits_drop(s);
    for (size_t i = 0; i < s->n_held; i++)
        mp_queue_return(the_queue, s->held[i]);
    free(s->held);
    s->held = NULL;
    s->n_held = 0;
    drop_messages(s, &s->kept);
    drop_messages(s, &s->out);
    loop_set_timer(&looking, 0); // there may be something for others
}

// ---- looking -----------------------------------------------------------------------------

// When to look next, without being told.
void requests_look_soon(void)
{
    int ms = 0;
    if (!TAILQ_EMPTY(&putters))
        ms = room_ms;
    else if (!TAILQ_EMPTY(&joiners) || (!TAILQ_EMPTY(&getters) && the_queue->eventfd < 0))
        ms = LOOK_MS / 10;
    else if (!TAILQ_EMPTY(&getters) || items_are_back())
        ms = LOOK_MS;
    if (ms)
        loop_set_timer(&looking, ms * MS);
}

static void look(struct timer *t)
{
    (void)t;
    if (!mp__queue_is_valid(the_queue)) {
        requests_over();
        return;
    }
    room_ms = room_ms * 2 < ROOM_MS ? room_ms * 2 : ROOM_MS;
    items_try_again();
    serve_putters();
    serve_getters();
    serve_joiners();
    requests_look_soon();
}

static void on_bell(struct source *s, uint32_t events)
{
    (void)s, (void)events;
    if (mp__queue_is_valid(the_queue))
        serve_getters();
    else
        requests_over();
}

static struct source bell = {on_bell};

int requests_init(mp_queue *q)
{
    the_queue = q;
    int fd = mp_queue_fd(q);
    if (fd == MP_ENOTSUP)
        return 0; // it has a name: then it is looked at
    return fd < 0 ? fd : loop_watch(fd, EPOLLIN | EPOLLET, &bell);
}
