// SPDX-License-Identifier: MIT
//
// Packed values in shared dicts and lists. Key and value are packed one behind the other, on
// the stack if they are small; what is read is copied into the caller's buffer, since pointers
// into it come back.
#include "wire/buf.h"
#include "wire/pack_part.h"

#include <mp/shm_pack.h>

#define SMALL 512

int mp_shm_dict_set_args(mp_shm_dict *d, const char *types, const char *format, ...)
{
    char small[SMALL];
    mp_buf b = {.data = small, .capacity = sizeof small, .borrowed = true};
    va_list args;
    if (!format)
        return MP_EINVAL;
    va_start(args, format);
    int r = mp__pack_key(&b, &types, &format, &args);
    size_t key = b.size;
    if (r == 0)
        r = mp_vpack(&b, types, format, args);
    va_end(args);
    if (r == 0 && b.size == key)
        r = MP_EINVAL; // nothing behind the colon
    if (r == 0)
        r = mp_shm_dict_set(d, b.data, key, (const char *)b.data + key, b.size - key);
    mp_buf_free(&b);
    return r;
}

// Copies the value of a key into b. Another process may set a longer one between the two
// calls, so this is tried until it fits.
static int fetch_value(mp_shm_dict *d, const mp_buf *key, mp_buf *b)
{
    b->size = 0;
    for (;;) {
        int64_t n = mp_shm_dict_get(d, key->data, key->size, b->data, b->capacity);
        if (n >= 0)
            b->size = (size_t)n;
        if (n != MP_EMSGSIZE)
            return n < 0 ? (int)n : 0;
        n = mp_shm_dict_size(d, key->data, key->size);
        if (n >= 0)
            n = mp__buf_reserve(b, (size_t)n);
        if (n < 0)
            return (int)n;
    }
}

int mp_shm_dict_get_args(mp_shm_dict *d, mp_buf *b, const char *types, const char *format, ...)
{
    char small[SMALL];
    mp_buf key = {.data = small, .capacity = sizeof small, .borrowed = true};
    va_list args;
    if (!b || !format)
        return MP_EINVAL;
    va_start(args, format);
    int r = mp__pack_key(&key, &types, &format, &args);
    if (r == 0)
        r = fetch_value(d, &key, b);
    if (r == 0)
        r = mp_vunpack(NULL, NULL, b->data, b->size, types, format, args);
    va_end(args);
    mp_buf_free(&key);
    return r;
}

int mp_shm_list_append_args(mp_shm_list *l, const char *types, const char *format, ...)
{
    char small[SMALL];
    mp_buf b = {.data = small, .capacity = sizeof small, .borrowed = true};
    va_list args;
    va_start(args, format);
    int r = mp_vpack(&b, types, format, args);
    va_end(args);
    if (r == 0)
        r = mp_shm_list_append(l, b.data, b.size);
    mp_buf_free(&b);
    return r;
}

// As fetch_value().
static int fetch_item(mp_shm_list *l, int64_t index, mp_buf *b)
{
    b->size = 0;
    for (;;) {
        int64_t n = mp_shm_list_get(l, index, b->data, b->capacity);
        if (n >= 0)
            b->size = (size_t)n;
        if (n != MP_EMSGSIZE)
            return n < 0 ? (int)n : 0;
        n = mp_shm_list_size(l, index);
        if (n >= 0)
            n = mp__buf_reserve(b, (size_t)n);
        if (n < 0)
            return (int)n;
    }
}

int mp_shm_list_get_args(mp_shm_list *l, int64_t index, mp_buf *b, const char *types,
                         const char *format, ...)
{
    if (!b || !format)
        return MP_EINVAL;
    int r = fetch_item(l, index, b);
    if (r < 0)
        return r;
    va_list args;
    va_start(args, format);
    r = mp_vunpack(NULL, NULL, b->data, b->size, types, format, args);
    va_end(args);
    return r;
}
