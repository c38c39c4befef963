// SPDX-License-Identifier: MIT
//
// What the rest of the library does with an mp_buf; see <mp/pack.h>.
#ifndef MP_WIRE_BUF_H
#define MP_WIRE_BUF_H

#include <mp/pack.h>
#include <string.h>

// Makes room for size more bytes. MP_EMSGSIZE when the buffer is fixed and too small.
int mp__buf_reserve(mp_buf *b, size_t size);

// Puts size bytes at the end. Errors as above.
static inline int mp__buf_append(mp_buf *b, const void *data, size_t size)
{
    if (b->capacity - b->size < size) {
        int r = mp__buf_reserve(b, size);
        if (r < 0)
            return r;
    }
    if (size > 0) // data may be NULL
        memcpy((char *)b->data + b->size, data, size);
    b->size += size;
    return 0;
}

#endif
