// SPDX-License-Identifier: MIT
//
// Items of queues: values with a priority and a ticket, which counts what is put. In a heap the
// lowest priority is first, and among equals the lowest ticket, or the highest.
#ifndef MP_MANAGER_ITEMS_H
#define MP_MANAGER_ITEMS_H

#include "core/type.h"

struct mp__item {
    int64_t priority;
    uint64_t ticket;
    struct mp__value value;
};

struct mp__items {
    struct mp__item *item;
    size_t count, room;
    bool last_first; // the highest ticket
};

// Room for n more: MP_EQUOTA.
int mp__items_reserve(struct mp__items *i, size_t n);

// Whether a comes before b.
bool mp__items_before(const struct mp__items *h, const struct mp__item *a,
                      const struct mp__item *b);

// As a heap. There is room; there is an item.
void mp__items_push(struct mp__items *h, struct mp__item new);
struct mp__item mp__items_pop(struct mp__items *h);

// Takes out the one at that place.
struct mp__item mp__items_take(struct mp__items *h, size_t at);

#endif
