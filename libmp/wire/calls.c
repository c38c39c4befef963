// SPDX-License-Identifier: MIT
//
// The table of calls as arrays: one by number, for each interface, which is what each message
// needs; the searches by name are for who asks once and keeps the answer.
#include "wire/calls.h"

#include <string.h>

static const struct mp__call_info calls[] = {
#define ROW(interface, name, number, args, result, flags, text)                                    \
    {MP__OP(interface, name), #name, args, result, flags, text},
    MP__CALLS(ROW)
#undef ROW
};

static const struct mp__type_info types[] = {
#define ROW(name, interface, args, text) {#name, MP__##interface, args, text},
    MP__TYPES(ROW)
#undef ROW
};

// Where each call is in the table.
enum {
#define ROW(interface, name, number, args, result, flags, text) PLACE_##interface##_##name,
    MP__CALLS(ROW)
#undef ROW
};

// The same by interface and number, from 1 on: 0 is none.
enum { NUMBERS = 32 };
static const uint8_t place[MP__INTERFACE_COUNT][NUMBERS] = {
#define ROW(interface, name, number, args, result, flags, text)                                    \
    [MP__##interface][number] = 1 + PLACE_##interface##_##name,
    MP__CALLS(ROW)
#undef ROW
};

const struct mp__call_info *mp__calls(size_t *count)
{
    *count = sizeof calls / sizeof *calls;
    return calls;
}

const struct mp__type_info *mp__types(size_t *count)
{
    *count = sizeof types / sizeof *types;
    return types;
}

const struct mp__call_info *mp__call_by_op(uint64_t op)
{
    uint64_t interface = op >> 8, number = op & 0xff;
    if (interface >= MP__INTERFACE_COUNT || number >= NUMBERS || !place[interface][number])
        return NULL;
    return &calls[place[interface][number] - 1];
}

static bool named(const char *name, const char *wanted, size_t size)
{
    return strlen(name) == size && memcmp(name, wanted, size) == 0;
}

const struct mp__call_info *mp__call_by_name(unsigned interface, const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (mp__op_interface(calls[i].op) == interface && named(calls[i].name, name, size))
            return &calls[i];
    return NULL;
}

const struct mp__type_info *mp__type_by_name(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (named(types[i].name, name, size))
            return &types[i];
    return NULL;
}

const char *mp__interface_name(unsigned interface)
{
    static const char *const names[] = {
#define ROW(name, number) [number] = #name,
        MP__INTERFACES(ROW)
#undef ROW
    };
    return interface < MP__INTERFACE_COUNT ? names[interface] : NULL;
}
