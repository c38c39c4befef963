// SPDX-License-Identifier: MIT
#include "loop/ready.h"

#include <stdlib.h>

enum { FIRST_SIZE = 256 };

int mp__ready_init(struct ready *r)
{
    *r = (struct ready){.mask = FIRST_SIZE - 1, .head = 1, .tail = 1};
    r->ring = malloc(FIRST_SIZE * sizeof *r->ring);
    return r->ring ? 0 : -ENOMEM;
}

void mp__ready_free(struct ready *r)
{
    free(r->ring);
    r->ring = NULL;
}

int mp__ready_grow(struct ready *r)
{
    uint64_t size = (r->mask + 1) * 2;
    struct ready_call *ring = calloc(size, sizeof *ring);
    if (!ring)
        return -ENOMEM;
    for (uint64_t i = r->head; i != r->tail; i++)
        ring[i & (size - 1)] = r->ring[i & r->mask];
    free(r->ring);
    r->ring = ring;
    r->mask = size - 1;
    return 0;
}

int mp__ready_cancel(struct ready *r, uint64_t number)
{
    struct ready_call *c = &r->ring[number & r->mask];
    if (number < r->head || number >= r->tail || !c->fn)
        return MP_ENOTFOUND;
    c->fn = NULL;
    return 0;
}
