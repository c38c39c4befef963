// SPDX-License-Identifier: MIT
//
// Writing msgpack a value at a time, for who cannot afford a format: the same bytes that
// mp_pack() writes. A put that fails for want of memory is remembered in b->why, and so are
// those that follow; who is done asks mp__put_failed() once.
#ifndef MP_WIRE_PUT_H
#define MP_WIRE_PUT_H

#include "wire/buf.h"
#include "wire/calls.h"
#include "wire/frame.h"

static inline bool mp__put_failed(const mp_buf *b)
{
    return b->why != NULL;
}

// Values that are packed already.
static inline void mp__put_packed(mp_buf *b, const void *data, size_t size)
{
    if (mp__buf_append(b, data, size) < 0)
        b->why = "no memory";
}

// Room for size bytes, to be written at once; NULL without memory.
static inline uint8_t *mp__put_room(mp_buf *b, size_t size)
{
    if (b->capacity - b->size < size && mp__buf_reserve(b, size) < 0) {
        b->why = "no memory";
        return NULL;
    }
    uint8_t *p = (uint8_t *)b->data + b->size;
    b->size += size;
    return p;
}

static inline void mp__put_byte(mp_buf *b, uint8_t byte)
{
    uint8_t *p = mp__put_room(b, 1);
    if (p)
        *p = byte;
}

// A first byte, and a number of so many bytes.
static inline void mp__put_number(mp_buf *b, uint8_t first, uint64_t n, int bytes)
{
    uint8_t *p = mp__put_room(b, 1 + (size_t)bytes);
    if (!p)
        return;
    p[0] = first;
    mp__put_be(p + 1, n, bytes);
}

static inline void mp__put_nil(mp_buf *b)
{
    mp__put_byte(b, 0xc0);
}

static inline void mp__put_bool(mp_buf *b, bool truth)
{
    mp__put_byte(b, truth ? 0xc3 : 0xc2);
}

static inline void mp__put_uint(mp_buf *b, uint64_t n)
{
    if (n < 0x80)
        mp__put_byte(b, (uint8_t)n);
    else if (n <= UINT8_MAX)
        mp__put_number(b, 0xcc, n, 1);
    else if (n <= UINT16_MAX)
        mp__put_number(b, 0xcd, n, 2);
    else if (n <= UINT32_MAX)
        mp__put_number(b, 0xce, n, 4);
    else
        mp__put_number(b, 0xcf, n, 8);
}

static inline void mp__put_int(mp_buf *b, int64_t n)
{
    if (n >= 0)
        mp__put_uint(b, (uint64_t)n);
    else if (n >= -32)
        mp__put_byte(b, (uint8_t)n);
    else if (n >= INT8_MIN)
        mp__put_number(b, 0xd0, (uint64_t)n, 1);
    else if (n >= INT16_MIN)
        mp__put_number(b, 0xd1, (uint64_t)n, 2);
    else if (n >= INT32_MIN)
        mp__put_number(b, 0xd2, (uint64_t)n, 4);
    else
        mp__put_number(b, 0xd3, (uint64_t)n, 8);
}

static inline void mp__put_double(mp_buf *b, double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    mp__put_number(b, 0xcb, bits, 8);
}

// Heads of texts, arrays and maps; sizes above 32 bits cannot be and are not asked for.
static inline void mp__put_head(mp_buf *b, size_t n, uint8_t fix, size_t fix_max, uint8_t first16)
{
    if (n <= fix_max)
        mp__put_byte(b, (uint8_t)(fix | n));
    else if (n <= UINT16_MAX)
        mp__put_number(b, first16, n, 2);
    else
        mp__put_number(b, (uint8_t)(first16 + 1), n, 4);
}

static inline void mp__put_array(mp_buf *b, size_t count)
{
    mp__put_head(b, count, 0x90, 15, 0xdc);
}

static inline void mp__put_map(mp_buf *b, size_t count)
{
    mp__put_head(b, count, 0x80, 15, 0xde);
}

static inline void mp__put_text(mp_buf *b, const char *text, size_t size)
{
    if (size > 31 && size <= UINT8_MAX)
        mp__put_number(b, 0xd9, size, 1);
    else
        mp__put_head(b, size, 0xa0, 31, 0xda);
    mp__put_packed(b, text, size);
}

static inline void mp__put_bin(mp_buf *b, const void *data, size_t size)
{
    if (size <= UINT8_MAX)
        mp__put_number(b, 0xc4, size, 1);
    else if (size <= UINT16_MAX)
        mp__put_number(b, 0xc5, size, 2);
    else
        mp__put_number(b, 0xc6, size, 4);
    mp__put_packed(b, data, size);
}

static inline void mp__put_str(mp_buf *b, const char *text)
{
    mp__put_text(b, text, strlen(text));
}

// An object of a manager.
static inline void mp__put_object(mp_buf *b, uint64_t id)
{
    uint8_t *p = mp__put_room(b, 10);
    if (!p)
        return;
    p[0] = 0xd7; // fixext 8
    p[1] = MP__EXT_OBJECT;
    mp__put_be64(p + 2, id);
}

// A map of names and numbers.
struct mp__named_number {
    const char *name;
    uint64_t n;
};

static inline void mp__put_numbers(mp_buf *b, const struct mp__named_number *all, size_t count)
{
    mp__put_map(b, count);
    for (size_t i = 0; i < count; i++) {
        mp__put_str(b, all[i].name);
        mp__put_uint(b, all[i].n);
    }
}

#endif
