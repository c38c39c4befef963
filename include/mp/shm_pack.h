// SPDX-License-Identifier: MIT
//
// Packed values in shared dicts and lists: what mp/pack.h is for messages. A format for a
// dict is that of a key, a colon, and that of a value.
//
//  1. mp_shm_dict_set_packed(d, "s:[dd]", "lamp", 1.5, 20.0);
//  2. mp_buf b = {0}; mp_shm_dict_get_packed(d, &b, "s:[dd]", "lamp", &x, &y);
//  3. mp_buf_free(&b).
//
// Keys are packed as well: "s:..." with "7" and "i:..." with 7 are two keys, and neither is the
// key that mp_shm_dict_set() knows by the byte 7. i, I, u and U make the same key of the
// same number. For all else that mp/shm_dict.h and mp/shm_list.h offer, pack key or value
// with mp_pack() and give them b.data and b.size.
#ifndef MP_SHM_PACK_H
#define MP_SHM_PACK_H

#include <mp/pack.h>
#include <mp/shm_dict.h>
#include <mp/shm_list.h>

#ifdef __cplusplus
extern "C" {
#endif

// `int mp_shm_dict_set_packed(mp_shm_dict *d, const char *format, ...)` sets the value of a
// key. Errors: those of mp_pack() and of mp_shm_dict_set(). Since 0.1.
#define mp_shm_dict_set_packed(d, ...)                                                             \
    mp_shm_dict_set_args(d, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// `int mp_shm_dict_get_packed(mp_shm_dict *d, mp_buf *b, const char *format, ...)` copies the
// value of a key into b, in place of what b holds, and unpacks it: b is what the pointers of
// s#, b# and O# point into. A value that does not fit the format stays in b.
// Errors: those of mp_pack() for the key, of mp_shm_dict_get() (MP_ENOTFOUND: no such key,
// and b is empty; MP_EMSGSIZE: b is fixed and too small) and of mp_unpack(). Since 0.1.
#define mp_shm_dict_get_packed(d, b, ...)                                                          \
    mp_shm_dict_get_args(d, b, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// `int mp_shm_list_append_packed(mp_shm_list *l, const char *format, ...)` adds a value at
// the end. Errors: those of mp_pack() and of mp_shm_list_append(). Since 0.1.
#define mp_shm_list_append_packed(l, ...)                                                          \
    mp_shm_list_append_args(l, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// `int mp_shm_list_get_packed(mp_shm_list *l, int64_t index, mp_buf *b, const char *format,
// ...)` reads the item at index, as mp_shm_dict_get_packed() does. MP_EINDEX: there is none.
// Since 0.1.
#define mp_shm_list_get_packed(l, index, b, ...)                                                   \
    mp_shm_list_get_args(l, index, b, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// What these call; types as for mp_pack_args(). Since 0.1.
MP_API MP_NODISCARD int mp_shm_dict_set_args(mp_shm_dict *d, const char *types, const char *format,
                                             ...);
MP_API MP_NODISCARD int mp_shm_dict_get_args(mp_shm_dict *d, mp_buf *b, const char *types,
                                             const char *format, ...);
MP_API MP_NODISCARD int mp_shm_list_append_args(mp_shm_list *l, const char *types,
                                                const char *format, ...);
MP_API MP_NODISCARD int mp_shm_list_get_args(mp_shm_list *l, int64_t index, mp_buf *b,
                                             const char *types, const char *format, ...);

#ifdef __cplusplus
}
#endif
#endif
