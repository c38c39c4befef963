// SPDX-License-Identifier: MIT
#include "waiting.h"

#include <limits.h>

void waiting_add(struct job **list, struct job *j)
{
    while (*list && (*list)->due_ms <= j->due_ms)
        list = &(*list)->next;
    j->next = *list;
    *list = j;
}

struct job *waiting_take(struct job **list, int64_t now_ms)
{
    struct job *j = *list;
    if (!j || j->due_ms > now_ms)
        return NULL;
    *list = j->next;
    j->next = NULL;
    return j;
}

int waiting_due(const struct job *list, int64_t now_ms)
{
    if (!list)
        return -1;
    int64_t left = list->due_ms - now_ms;
    return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}
