// SPDX-License-Identifier: MIT
#include "waits.h"

#include "items.h"

#include <stdlib.h>

#define MS    INT64_C(1000000)
#define WAITS 4096 // requests that a client may have under way

struct waits getters = TAILQ_HEAD_INITIALIZER(getters);
struct waits putters = TAILQ_HEAD_INITIALIZER(putters);
struct waits joiners = TAILQ_HEAD_INITIALIZER(joiners);

// ---- answers -----------------------------------------------------------------------------

void send_head(struct session *s, const struct mp__talk_head *h)
{
    struct message *m = message_new(MP__TALK_HEAD);
    if (!m) {
        session_end(s);
        return;
    }
    mp__talk_write(m->bytes, h);
    session_send(s, m);
}

void send_answer(struct session *s, uint64_t id, int64_t result)
{
    send_head(s, &(struct mp__talk_head){.what = MP__TALK_ANSWER, .id = id, .a = (uint64_t)result});
}

// ---- waiting -----------------------------------------------------------------------------

void wait_stop(struct wait *w)
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
void wait_finish(struct wait *w, int64_t result)
{
    struct session *s = w->session;
    uint64_t id = w->id;
    wait_stop(w);
    if (!is_raw(s))
        send_answer(s, id, result);
    else if (result < 0)
        session_end(s); // its connection says that there is no more
    else
        session_wake(s);
}

// A PUT that waited tells what it did.
static void on_time(struct timer *t)
{
    struct wait *w = OWNER_OF(t, struct wait, timer);
    wait_finish(w, w->done ? (int64_t)w->done : MP_ETIMEDOUT);
}

struct wait *wait_in(struct waits *list, struct session *s, const struct mp__talk_head *h)
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

void wait_until(struct wait *w, int ms)
{
    if (ms == 0)
        on_time(&w->timer);
    else if (ms > 0)
        loop_set_timer(&w->timer, ms * MS);
}

static void drop(const struct session *s, struct waits *list)
{
    struct wait *w, *next;
    for (w = TAILQ_FIRST(list); w; w = next) {
        next = TAILQ_NEXT(w, link);
        if (w->session == s)
            wait_stop(w);
    }
}

void waits_drop(const struct session *s)
{
    drop(s, &getters);
    drop(s, &putters);
    drop(s, &joiners);
}
