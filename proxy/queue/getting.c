// SPDX-License-Identifier: MIT
#include "getting.h"

#include "items.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Adds an item to a message that has room for `*room` bytes. False: no memory.
static bool append(struct message **m, size_t *room, const mp_queue_item *item, const void *data,
                   size_t size)
{
    size_t need = (*m ? (*m)->size : MP__TALK_HEAD) + MP__TALK_GOT + size;
    if (!*m || need > *room) {
        size_t more = *m ? 2 * need : need;
        struct message *larger = realloc(*m, sizeof **m + more);
        if (!larger)
            return false;
        if (!*m)
            *larger = (struct message){.size = MP__TALK_HEAD};
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
    int64_t size = item_next(left, &data, &item);
    if (size < 0)
        return size;
    bool held = !item.tag || item_hold(s, item.tag);
    if (!held || !append(m, room, &item, data, (size_t)size)) {
        if (held)
            item_let_go(s, item.tag);
        item_drop(&item, data, (size_t)size);
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
        wait_finish(w, r);
        return true;
    }
    m->id = w->id;
    items_sent(m);
    mp__talk_write(m->bytes, &(struct mp__talk_head){.what = MP__TALK_ANSWER, .id = w->id, .a = n});
    wait_stop(w);
    session_send(s, m);
    return true;
}

// For a foreign peer, which wants them all, one after the other.
static bool try_get_raw(struct wait *w)
{
    struct session *s = w->session;
    void *data;
    mp_queue_item item;
    int64_t size = item_next(SIZE_MAX, &data, &item);
    if (size == MP_ETIMEDOUT)
        return false;
    if (size < 0) {
        wait_finish(w, size);
        return true;
    }
    struct message *m = message_new((size_t)size);
    if (m && (!item.tag || item_hold(s, item.tag))) {
        items_sent(m);
        m->tag = item.tag;
        m->priority = item.priority;
        memcpy(m->bytes, data, (size_t)size);
        wait_stop(w);
        session_send(s, m);
    } else {
        item_drop(&item, data, (size_t)size);
        free(m);
        session_end(s);
    }
    free(data);
    return true;
}

static bool try_look(struct wait *w)
{
    int64_t r = item_next(0, NULL, NULL);
    if (r == MP_ETIMEDOUT)
        return false;
    wait_finish(w, w->what == MP__TALK_WATCH ? 0 : r);
    return true;
}

static bool try_getter(struct wait *w)
{
    if (w->what != MP__TALK_GET)
        return try_look(w);
    return is_raw(w->session) ? try_get_raw(w) : try_get(w);
}

void serve_getters(void)
{
    struct wait *w;
    while ((w = TAILQ_FIRST(&getters)) && try_getter(w))
        continue;
    requests_look_soon();
}

void begin_get(struct session *s, const struct mp__talk_head *h)
{
    uint64_t id = h->id;
    if (h->what == MP__TALK_GET && h->a == 0 && !is_raw(s)) {
        send_answer(s, id, MP_EINVAL); // it would wait for ever, and others behind it
        return;
    }
    struct wait *w = wait_in(&getters, s, h);
    if (!w)
        return;
    serve_getters();
    for (w = TAILQ_FIRST(&getters); w && !(w->session == s && w->id == id);)
        w = TAILQ_NEXT(w, link); // it may have been answered
    if (w)
        wait_until(w, h->what == MP__TALK_WATCH ? -1 : h->ms);
}

void want_next(struct session *s)
{
    begin_get(s, &(struct mp__talk_head){.what = MP__TALK_GET, .ms = -1});
}
