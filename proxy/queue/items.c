// SPDX-License-Identifier: MIT
#include "items.h"

#include "channel/queue_talk.h"
#include "channel/request.h"

#include <stdlib.h>
#include <string.h>

mp_queue *the_queue;
static struct messages back = TAILQ_HEAD_INITIALIZER(back); // items for which there was no room
static size_t under_way;                                    // messages with items in them

bool is_raw(const struct session *s)
{
    return s->peer != MP__SP_QUEUE;
}

bool is_acked(void)
{
    return the_queue->shared->ack;
}

// ---- items that come back ----------------------------------------------------------------

int item_put(int64_t priority, const void *data, size_t size)
{
    if (the_queue->shared->kind == MP_PRIORITY)
        return mp_queue_put_priority(the_queue, priority, data, size, 0);
    return mp_queue_put(the_queue, data, size, 0);
}

static bool is_dropped(void)
{
    return mp__queue_dropped(the_queue->shared);
}

// An item that nobody got. Without room, or in a queue that was shut down, it waits here; if what
// was in it was thrown away, so is this.
static void give_back(int64_t priority, const void *data, size_t size)
{
    if (item_put(priority, data, size) == 0 || is_dropped())
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
    if (is_raw(s)) {
        give_back(m->priority, m->bytes, m->size);
        return;
    }
    while (mp__talk_next(&at, end, MP__TALK_GOT, &item))
        give_back((int64_t)mp__talk_get64(item.before + 16), item.data, (size_t)item.size);
}

bool items_are_back(void)
{
    return !TAILQ_EMPTY(&back);
}

void items_try_again(void)
{
    struct message *m;
    while ((m = TAILQ_FIRST(&back)) &&
           (is_dropped() || item_put(m->priority, m->bytes, m->size) == 0)) {
        TAILQ_REMOVE(&back, m, link);
        free(m);
    }
}

// ---- taking ------------------------------------------------------------------------------

bool item_hold(struct session *s, uint64_t tag)
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

bool item_let_go(struct session *s, uint64_t tag)
{
    for (size_t i = 0; i < s->n_held; i++)
        if (s->held[i] == tag) {
            memmove(s->held + i, s->held + i + 1, (s->n_held - i - 1) * sizeof *s->held);
            s->n_held--;
            return true;
        }
    return false;
}

static int64_t take_back(struct message *m, const struct mp__want *w)
{
    int64_t size = (int64_t)m->size;
    int r = mp__want_take(w, m->bytes, m->size);
    if (r < 0 || !w->made)
        return r < 0 ? r : size;
    w->item->priority = m->priority;
    TAILQ_REMOVE(&back, m, link);
    free(m);
    return size;
}

// What is under way may come back, so the end waits for it.
int64_t item_next(size_t cap, void **data, mp_queue_item *item)
{
    struct mp__want w = {.made = data, .cap = cap, .item = item};
    struct message *m = is_dropped() ? NULL : TAILQ_FIRST(&back);
    if (item)
        *item = (mp_queue_item){.tag = 0};
    int64_t r = m ? take_back(m, &w) : mp__queue_get(the_queue, &w, 0);
    return r == MP_EOF && under_way && !is_dropped() ? MP_ETIMEDOUT : r;
}

void item_drop(const mp_queue_item *item, const void *data, size_t size)
{
    if (item->tag)
        mp_queue_return(the_queue, item->tag);
    else
        give_back(item->priority, data, size);
}

// ---- on their way ------------------------------------------------------------------------

void items_sent(struct message *m)
{
    m->items = true;
    under_way++;
}

void items_settled(const struct session *s, const struct message *m, bool arrived)
{
    under_way -= m->items;
    if (m->items && !arrived && !is_acked()) // else the tags tell
        give_all_back(s, m);
}
