// SPDX-License-Identifier: MIT
//
// Who watches an object has a request that stays open, and gets a reply of status 1 for each
// change: the call as it was done, and its result.
#include "core/state.h"

// The key that a change is about; NULL: maybe all of them.
static bool concerns(const struct mp__waiter *w, struct mp__call *c)
{
    struct mp__slice key;
    if (!w->key.data || !strchr(c->info->flags, 'K'))
        return true;
    if (mp__key(c, mp__arg(c, 0), &key) < 0)
        return true; // an element of a set
    return mp__slice_equal(w->key, key);
}

void mp__event_begin(mp_buf *b, const struct mp__waiter *w)
{
    mp_buf_clear(b);
    b->why = NULL;
    mp__put_array(b, 3);
    mp__put_uint(b, w->call.id);
    mp__put_uint(b, 1);
}

void mp__watch_begin(struct mp__waiter *w)
{
    struct mp__call begun = {
        .core = w->call.core, .session = w->call.session, .out = &w->call.core->event};
    w->call.core->stats.watching++;
    if (mp__given(&w->call, 0))
        w->key = mp__arg(&w->call, 0);
    mp__list_add(&w->call.object->watchers, &w->in_queue);
    mp__event_begin(begun.out, w);
    mp__put_nil(begun.out);
    mp__reply_send(&begun);
}

// [id, 1, [op, [arguments], result]]
static void pack_event(mp_buf *b, const struct mp__waiter *w, const struct mp__call *c,
                       size_t result)
{
    mp__event_begin(b, w);
    mp__put_array(b, 3);
    mp__put_uint(b, c->info->op);
    mp__put_array(b, c->count);
    for (size_t i = 0; i < c->count; i++)
        mp__put_packed(b, mp__arg(c, i).data, mp__arg(c, i).size);
    mp__put_packed(b, (const uint8_t *)c->out->data + result, c->out->size - result);
}

void mp__watchers_tell(struct mp__call *c, size_t result)
{
    if (!c->object)
        return;
    struct mp__link *head = &c->object->watchers;
    for (struct mp__link *l = head->next; l != head; l = l->next) {
        struct mp__waiter *w = MP__OF(l, struct mp__waiter, in_queue);
        struct mp__call event = {.core = c->core,
                                 .session = w->call.session,
                                 .out = &c->core->event,
                                 .objects_in = c->objects_in,
                                 .objects_out = c->objects_out};
        if (!concerns(w, c))
            continue;
        pack_event(event.out, w, c, result);
        if (!mp__put_failed(event.out))
            mp__reply_send(&event);
    }
}
