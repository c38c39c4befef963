// SPDX-License-Identifier: MIT
//
// Packing the key of "key:value" by itself, for who stores the two apart.
#ifndef MP_WIRE_PACK_KEY_H
#define MP_WIRE_PACK_KEY_H

#include <mp/pack.h>

// Puts the key at the end of b. *format and *types are moved to the value's, behind the
// colon, and args to its arguments. Errors as mp_pack().
int mp__pack_key(mp_buf *b, const char **types, const char **format, va_list *args);

#endif
