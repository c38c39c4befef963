// SPDX-License-Identifier: MIT
//
// The types that values and arrays in shared memory can have: the integers and floating
// types of C by what they are made of, and structs, of which only the size is known.
//
// mp_type_of(T) is the mp_type of a C type, a constant:
//
//     mp_type_of(long)          // MP_INT64, where long has 64 bits
//     mp_type_of(struct point)  // MP_STRUCT
//
// An enum is the integer that the compiler made of it (in C++: MP_STRUCT).
#ifndef MP_TYPE_H
#define MP_TYPE_H

#include <mp/base.h>

#ifdef __cplusplus
extern "C" {
#endif

// Stable: they are in named memory. Never renumbered.
typedef enum mp_type {
    MP_BOOL = 1,
    MP_CHAR, // of text; int8_t and uint8_t are MP_INT8 and MP_UINT8
    MP_INT8,
    MP_UINT8,
    MP_INT16,
    MP_UINT16,
    MP_INT32,
    MP_UINT32,
    MP_INT64,
    MP_UINT64,
    MP_FLOAT,
    MP_DOUBLE,
    MP_LONG_DOUBLE,
    MP_STRUCT, // bytes of a given size
} mp_type;

// Returns the size of a type in bytes; 0 for MP_STRUCT, and for a number that is no type.
// Since 0.1.
MP_API size_t mp_type_size(mp_type type);

#ifdef __cplusplus
}
#endif

// Inside: mp_type_of().
#define MP__LONG  (sizeof(long) == 8 ? MP_INT64 : MP_INT32)
#define MP__ULONG (sizeof(long) == 8 ? MP_UINT64 : MP_UINT32)
#ifndef __cplusplus
// clang-format off
#define mp_type_of(T)                                                                              \
    _Generic(*(T *)0,                                                                              \
        bool: MP_BOOL,                                                                             \
        char: MP_CHAR,                                                                             \
        signed char: MP_INT8,                                                                      \
        unsigned char: MP_UINT8,                                                                   \
        short: MP_INT16,                                                                           \
        unsigned short: MP_UINT16,                                                                 \
        int: MP_INT32,                                                                             \
        unsigned: MP_UINT32,                                                                       \
        long: MP__LONG,                                                                            \
        unsigned long: MP__ULONG,                                                                  \
        long long: MP_INT64,                                                                       \
        unsigned long long: MP_UINT64,                                                             \
        float: MP_FLOAT,                                                                           \
        double: MP_DOUBLE,                                                                         \
        long double: MP_LONG_DOUBLE,                                                               \
        default: MP_STRUCT)
// clang-format on
#else
#define mp_type_of(T) mp__type_of(static_cast<T *>(nullptr))
#define MP__TYPE_OF(T, type)                                                                       \
    static constexpr mp_type mp__type_of(const volatile T *)                                       \
    {                                                                                              \
        return type;                                                                               \
    }
MP__TYPE_OF(void, MP_STRUCT)
MP__TYPE_OF(bool, MP_BOOL)
MP__TYPE_OF(char, MP_CHAR)
MP__TYPE_OF(signed char, MP_INT8)
MP__TYPE_OF(unsigned char, MP_UINT8)
MP__TYPE_OF(short, MP_INT16)
MP__TYPE_OF(unsigned short, MP_UINT16)
MP__TYPE_OF(int, MP_INT32)
MP__TYPE_OF(unsigned, MP_UINT32)
MP__TYPE_OF(long, MP__LONG)
MP__TYPE_OF(unsigned long, MP__ULONG)
MP__TYPE_OF(long long, MP_INT64)
MP__TYPE_OF(unsigned long long, MP_UINT64)
MP__TYPE_OF(float, MP_FLOAT)
MP__TYPE_OF(double, MP_DOUBLE)
MP__TYPE_OF(long double, MP_LONG_DOUBLE)
#undef MP__TYPE_OF
#endif

#endif
