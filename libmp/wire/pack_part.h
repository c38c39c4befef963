// SPDX-License-Identifier: MIT
//
// Packing a part of a format, for who has more to do with the rest.
#ifndef MP_WIRE_PACK_PART_H
#define MP_WIRE_PACK_PART_H

#include <mp/pack.h>

// Puts the key of "key:value" at the end of b. *format and *types are moved to the value's,
// behind the colon, and args to its arguments. Errors as mp_pack().
int mp__pack_key(mp_buf *b, const char **types, const char **format, va_list *args);

// Puts the values before a > at the end of b, or all if there is none, and tells how many those
// were. *format, *types and args are moved behind it. Errors as mp_pack().
int mp__pack_part(mp_buf *b, const char **types, const char **format, va_list *args, size_t *count);

#endif
