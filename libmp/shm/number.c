// SPDX-License-Identifier: MIT
#include "shm/number.h"

#include <errno.h>
#include <float.h>
#include <limits.h>
#include <mp/atomic.h>

_Static_assert(LDBL_MANT_DIG >= 64, "a long double holds all integers of 64 bits");

size_t mp_type_size(mp_type type)
{
    static const unsigned char sizes[] = {
        [MP_BOOL] = sizeof(bool),
        [MP_CHAR] = 1,
        [MP_INT8] = 1,
        [MP_UINT8] = 1,
        [MP_INT16] = 2,
        [MP_UINT16] = 2,
        [MP_INT32] = 4,
        [MP_UINT32] = 4,
        [MP_INT64] = 8,
        [MP_UINT64] = 8,
        [MP_FLOAT] = sizeof(float),
        [MP_DOUBLE] = sizeof(double),
        [MP_LONG_DOUBLE] = sizeof(long double),
    };
    return (unsigned)type < sizeof sizes ? sizes[type] : 0;
}

// X(type, the C type, its least and greatest)
#define INTEGERS(X)                                                                                \
    X(MP_BOOL, bool, 0, 1)                                                                         \
    X(MP_CHAR, char, CHAR_MIN, CHAR_MAX)                                                           \
    X(MP_INT8, int8_t, INT8_MIN, INT8_MAX)                                                         \
    X(MP_UINT8, uint8_t, 0, UINT8_MAX)                                                             \
    X(MP_INT16, int16_t, INT16_MIN, INT16_MAX)                                                     \
    X(MP_UINT16, uint16_t, 0, UINT16_MAX)                                                          \
    X(MP_INT32, int32_t, INT32_MIN, INT32_MAX)                                                     \
    X(MP_UINT32, uint32_t, 0, UINT32_MAX)                                                          \
    X(MP_INT64, int64_t, INT64_MIN, INT64_MAX)                                                     \
    X(MP_UINT64, uint64_t, 0, UINT64_MAX)
#define FLOATING(X)                                                                                \
    X(MP_FLOAT, float)                                                                             \
    X(MP_DOUBLE, double)

int mp__number_load(const void *p, mp_type type, long double *out)
{
    switch (type) {
#define LOAD(type, T, ...)                                                                         \
    case type:                                                                                     \
        *out = mp_atomic_get((const T *)p);                                                        \
        return 0;
        INTEGERS(LOAD)
        FLOATING(LOAD)
#undef LOAD
    default:
        return MP_ETYPE;
    }
}

// x is within [least, greatest] and an integer. False for what is not a number, too.
static bool fits(long double x, long double least, long double greatest)
{
    if (!(x >= least && x <= greatest))
        return false;
    return x < 0 ? (long double)(int64_t)x == x : (long double)(uint64_t)x == x;
}

static bool is_finite(long double x)
{
    return x >= -LDBL_MAX && x <= LDBL_MAX;
}

int mp__number_store(void *p, mp_type type, long double x)
{
    switch (type) {
#define STORE_INTEGER(type, T, least, greatest)                                                    \
    case type:                                                                                     \
        if (!fits(x, least, (long double)(greatest)))                                              \
            return -ERANGE;                                                                        \
        mp_atomic_set((T *)p, (T)x);                                                               \
        return 0;
#define STORE_FLOATING(type, T)                                                                    \
    case type:                                                                                     \
        if (is_finite(x) && !is_finite((T)x))                                                      \
            return -ERANGE;                                                                        \
        mp_atomic_set((T *)p, (T)x);                                                               \
        return 0;
        INTEGERS(STORE_INTEGER)
        FLOATING(STORE_FLOATING)
    default:
        return MP_ETYPE;
    }
}

int mp__number_to_int(long double x, int64_t *out)
{
    if (!fits(x, INT64_MIN, INT64_MAX))
        return -ERANGE;
    *out = (int64_t)x;
    return 0;
}
