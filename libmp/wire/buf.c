// SPDX-License-Identifier: MIT
//
// A buffer that grows by doubling, so that a value of n bytes costs O(n) however small its
// pieces are; or one that stays what its owner made it. One that begins in the caller's memory
// leaves it when it has to grow.
#include "wire/buf.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST 256

int mp__buf_reserve(mp_buf *b, size_t size)
{
    if (b->capacity - b->size >= size)
        return 0;
    if (b->fixed)
        return MP_EMSGSIZE;
    size_t need, capacity = b->capacity ? b->capacity : FIRST;
    if (__builtin_add_overflow(b->size, size, &need) || need > PTRDIFF_MAX)
        return -ENOMEM;
    while (capacity < need)
        capacity *= 2;
    void *data = realloc(b->borrowed ? NULL : b->data, capacity);
    if (!data)
        return -ENOMEM;
    if (b->borrowed && b->size > 0)
        memcpy(data, b->data, b->size);
    b->borrowed = false;
    b->data = data;
    b->capacity = capacity;
    return 0;
}

void mp_buf_clear(mp_buf *b)
{
    if (b)
        b->size = 0;
}

void mp_buf_free(mp_buf *b)
{
    if (!b)
        return;
    if (!b->fixed && !b->borrowed)
        free(b->data);
    *b = (mp_buf){0};
}
