// SPDX-License-Identifier: MIT
//
// A ring of links through structs: whoever is in it can leave without knowing the others.
#ifndef MP_MANAGER_LIST_H
#define MP_MANAGER_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct mp__link {
    struct mp__link *next, *prev;
};

static inline void mp__list_init(struct mp__link *head)
{
    head->next = head->prev = head;
}

static inline bool mp__list_empty(const struct mp__link *head)
{
    return head->next == head;
}

static inline void mp__list_add(struct mp__link *head, struct mp__link *l)
{
    l->next = head;
    l->prev = head->prev;
    head->prev->next = l;
    head->prev = l;
}

// Of a link that is in no list any more: may be called again.
static inline void mp__list_remove(struct mp__link *l)
{
    l->next->prev = l->prev;
    l->prev->next = l->next;
    mp__list_init(l);
}

// The struct that a link is in.
#define MP__OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

#endif
