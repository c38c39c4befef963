// SPDX-License-Identifier: MIT
#include "types/items.h"

#include <stdlib.h>

int mp__items_reserve(struct mp__items *i, size_t n)
{
    if (i->room - i->count >= n)
        return 0;
    size_t room = i->count + n + (i->count + n) / 2;
    struct mp__item *new = realloc(i->item, room * sizeof *new);
    if (!new)
        return MP_EQUOTA;
    i->item = new;
    i->room = room;
    return 0;
}

bool mp__items_before(const struct mp__items *h, const struct mp__item *a, const struct mp__item *b)
{
    if (a->priority != b->priority)
        return a->priority < b->priority;
    return h->last_first ? a->ticket > b->ticket : a->ticket < b->ticket;
}

// Puts an item where there is a hole, or above.
static void sift_up(struct mp__items *h, size_t at, struct mp__item new)
{
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!mp__items_before(h, &new, &h->item[parent]))
            break;
        h->item[at] = h->item[parent];
        at = parent;
    }
    h->item[at] = new;
}

// Or below.
static void sift_down(struct mp__items *h, size_t at, struct mp__item new)
{
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && mp__items_before(h, &h->item[child + 1], &h->item[child]))
            child++;
        if (!mp__items_before(h, &h->item[child], &new))
            break;
        h->item[at] = h->item[child];
        at = child;
    }
    h->item[at] = new;
}

void mp__items_push(struct mp__items *h, struct mp__item new)
{
    sift_up(h, h->count++, new);
}

struct mp__item mp__items_take(struct mp__items *h, size_t at)
{
    struct mp__item taken = h->item[at], last = h->item[--h->count];
    if (at < h->count) {
        sift_down(h, at, last);
        sift_up(h, at, h->item[at]);
    }
    return taken;
}

struct mp__item mp__items_pop(struct mp__items *h)
{
    return mp__items_take(h, 0);
}
