// SPDX-License-Identifier: MIT
//
// Atomic operations on plain numbers in memory that processes or threads share: on what
// mp_value_ptr() and mp_array_ptr() give, or any other aligned number.
//
//     int64_t *n = mp_value_ptr(v, int64_t);
//     mp_atomic_add(n, 1);
//
// They take a pointer to any integer type of C, to float or double; the first four also
// to bool. All are inline, lock-free, never block, and are one instruction where the CPU
// has it; min, max and the floating add repeat a compare-and-swap. A process killed at any
// instruction has done an operation wholly or not at all.
//
// All are sequentially consistent: who sees the new value also sees what was written
// before it. Integers wrap around. Where a lock guards the number, too, an atomic
// operation does not wait for it.
//
//     T    mp_atomic_get(const T *p)            the value
//     void mp_atomic_set(T *p, T x)             x from now on
//     T    mp_atomic_exchange(T *p, T x)        the same; returns what was there
//     bool mp_atomic_cas(T *p, T *old, T x)     compare and swap: x, if *old is there; else
//                                               stores what is there in *old, returns false.
//                                               Floating numbers are compared bit by bit.
//     T    mp_atomic_add(T *p, T x)             adds, subtracts: returns the new value
//     T    mp_atomic_sub(T *p, T x)
//     T    mp_atomic_fetch_add(T *p, T x)       the same; returns what was there
//     T    mp_atomic_fetch_sub(T *p, T x)
//     T    mp_atomic_fetch_min(T *p, T x)       the smaller, the larger of both from now on;
//     T    mp_atomic_fetch_max(T *p, T x)       returns what was there
//     T    mp_atomic_fetch_and(T *p, T x)       bits; integers only; returns what was there
//     T    mp_atomic_fetch_or(T *p, T x)
//     T    mp_atomic_fetch_xor(T *p, T x)
//
// Since 0.1. In C they are macros that select a function by the type of *p, in C++
// overloaded functions; a pointer to another type does not compile.
#ifndef MP_ATOMIC_H
#define MP_ATOMIC_H

#include <mp/base.h>

// Inside: a function for each operation and type, made by macros; then, in C, their choice.
#ifdef __cplusplus
#define MP__ATOMIC(op, tag) mp_atomic_##op
#else
#define MP__ATOMIC(op, tag) mp__atomic_##op##_##tag
#endif

#define MP__ATOMIC_SCALAR(tag, T)                                                                  \
    static inline T MP__ATOMIC(get, tag)(const volatile T *p)                                      \
    {                                                                                              \
        T x;                                                                                       \
        __atomic_load(p, &x, __ATOMIC_SEQ_CST);                                                    \
        return x;                                                                                  \
    }                                                                                              \
    static inline void MP__ATOMIC(set, tag)(volatile T * p, T x)                                   \
    {                                                                                              \
        __atomic_store(p, &x, __ATOMIC_SEQ_CST);                                                   \
    }                                                                                              \
    static inline T MP__ATOMIC(exchange, tag)(volatile T * p, T x)                                 \
    {                                                                                              \
        T old;                                                                                     \
        __atomic_exchange(p, &x, &old, __ATOMIC_SEQ_CST);                                          \
        return old;                                                                                \
    }                                                                                              \
    static inline bool MP__ATOMIC(cas, tag)(volatile T * p, T * old, T x)                          \
    {                                                                                              \
        return __atomic_compare_exchange(p, old, &x, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);   \
    }

// What has no instruction: tries until nobody came in between.
#define MP__ATOMIC_LOOP(op, tag, T, result)                                                        \
    static inline T MP__ATOMIC(op, tag)(volatile T * p, T x)                                       \
    {                                                                                              \
        T old = MP__ATOMIC(get, tag)(p);                                                           \
        while (!MP__ATOMIC(cas, tag)(p, &old, result)) {                                           \
        }                                                                                          \
        return old;                                                                                \
    }
#define MP__ATOMIC_MIN_MAX(tag, T)                                                                 \
    MP__ATOMIC_LOOP(fetch_min, tag, T, x < old ? x : old)                                          \
    MP__ATOMIC_LOOP(fetch_max, tag, T, x > old ? x : old)

#define MP__ATOMIC_BUILTIN(op, tag, T, builtin)                                                    \
    static inline T MP__ATOMIC(op, tag)(volatile T * p, T x)                                       \
    {                                                                                              \
        return builtin(p, x, __ATOMIC_SEQ_CST);                                                    \
    }
#define MP__ATOMIC_INTEGER(tag, T)                                                                 \
    MP__ATOMIC_SCALAR(tag, T)                                                                      \
    MP__ATOMIC_MIN_MAX(tag, T)                                                                     \
    MP__ATOMIC_BUILTIN(add, tag, T, __atomic_add_fetch)                                            \
    MP__ATOMIC_BUILTIN(sub, tag, T, __atomic_sub_fetch)                                            \
    MP__ATOMIC_BUILTIN(fetch_add, tag, T, __atomic_fetch_add)                                      \
    MP__ATOMIC_BUILTIN(fetch_sub, tag, T, __atomic_fetch_sub)                                      \
    MP__ATOMIC_BUILTIN(fetch_and, tag, T, __atomic_fetch_and)                                      \
    MP__ATOMIC_BUILTIN(fetch_or, tag, T, __atomic_fetch_or)                                        \
    MP__ATOMIC_BUILTIN(fetch_xor, tag, T, __atomic_fetch_xor)

#define MP__ATOMIC_FLOATING(tag, T)                                                                \
    MP__ATOMIC_SCALAR(tag, T)                                                                      \
    MP__ATOMIC_MIN_MAX(tag, T)                                                                     \
    MP__ATOMIC_LOOP(fetch_add, tag, T, old + x)                                                    \
    MP__ATOMIC_LOOP(fetch_sub, tag, T, old - x)                                                    \
    static inline T MP__ATOMIC(add, tag)(volatile T * p, T x)                                      \
    {                                                                                              \
        return MP__ATOMIC(fetch_add, tag)(p, x) + x;                                               \
    }                                                                                              \
    static inline T MP__ATOMIC(sub, tag)(volatile T * p, T x)                                      \
    {                                                                                              \
        return MP__ATOMIC(fetch_sub, tag)(p, x) - x;                                               \
    }

MP__ATOMIC_SCALAR(boolean, bool)
MP__ATOMIC_INTEGER(char, char)
MP__ATOMIC_INTEGER(schar, signed char)
MP__ATOMIC_INTEGER(uchar, unsigned char)
MP__ATOMIC_INTEGER(short, short)
MP__ATOMIC_INTEGER(ushort, unsigned short)
MP__ATOMIC_INTEGER(int, int)
MP__ATOMIC_INTEGER(uint, unsigned)
MP__ATOMIC_INTEGER(long, long)
MP__ATOMIC_INTEGER(ulong, unsigned long)
MP__ATOMIC_INTEGER(llong, long long)
MP__ATOMIC_INTEGER(ullong, unsigned long long)
MP__ATOMIC_FLOATING(float, float)
MP__ATOMIC_FLOATING(double, double)

#undef MP__ATOMIC_SCALAR
#undef MP__ATOMIC_LOOP
#undef MP__ATOMIC_MIN_MAX
#undef MP__ATOMIC_BUILTIN
#undef MP__ATOMIC_INTEGER
#undef MP__ATOMIC_FLOATING

#ifndef __cplusplus
// clang-format off
#define MP__ATOMIC_INTEGERS(op)                                                                    \
    char: mp__atomic_##op##_char,                                                                  \
    signed char: mp__atomic_##op##_schar,                                                          \
    unsigned char: mp__atomic_##op##_uchar,                                                        \
    short: mp__atomic_##op##_short,                                                                \
    unsigned short: mp__atomic_##op##_ushort,                                                      \
    int: mp__atomic_##op##_int,                                                                    \
    unsigned: mp__atomic_##op##_uint,                                                              \
    long: mp__atomic_##op##_long,                                                                  \
    unsigned long: mp__atomic_##op##_ulong,                                                        \
    long long: mp__atomic_##op##_llong,                                                            \
    unsigned long long: mp__atomic_##op##_ullong
#define MP__ATOMIC_NUMBERS(op)                                                                     \
    MP__ATOMIC_INTEGERS(op),                                                                       \
    float: mp__atomic_##op##_float,                                                                \
    double: mp__atomic_##op##_double
#define MP__ATOMIC_SCALARS(op)                                                                     \
    MP__ATOMIC_NUMBERS(op),                                                                        \
    bool: mp__atomic_##op##_boolean
// clang-format on

#define mp_atomic_get(p)          _Generic(*(p), MP__ATOMIC_SCALARS(get))(p)
#define mp_atomic_set(p, x)       _Generic(*(p), MP__ATOMIC_SCALARS(set))((p), (x))
#define mp_atomic_exchange(p, x)  _Generic(*(p), MP__ATOMIC_SCALARS(exchange))((p), (x))
#define mp_atomic_cas(p, old, x)  _Generic(*(p), MP__ATOMIC_SCALARS(cas))((p), (old), (x))
#define mp_atomic_add(p, x)       _Generic(*(p), MP__ATOMIC_NUMBERS(add))((p), (x))
#define mp_atomic_sub(p, x)       _Generic(*(p), MP__ATOMIC_NUMBERS(sub))((p), (x))
#define mp_atomic_fetch_add(p, x) _Generic(*(p), MP__ATOMIC_NUMBERS(fetch_add))((p), (x))
#define mp_atomic_fetch_sub(p, x) _Generic(*(p), MP__ATOMIC_NUMBERS(fetch_sub))((p), (x))
#define mp_atomic_fetch_min(p, x) _Generic(*(p), MP__ATOMIC_NUMBERS(fetch_min))((p), (x))
#define mp_atomic_fetch_max(p, x) _Generic(*(p), MP__ATOMIC_NUMBERS(fetch_max))((p), (x))
#define mp_atomic_fetch_and(p, x) _Generic(*(p), MP__ATOMIC_INTEGERS(fetch_and))((p), (x))
#define mp_atomic_fetch_or(p, x)  _Generic(*(p), MP__ATOMIC_INTEGERS(fetch_or))((p), (x))
#define mp_atomic_fetch_xor(p, x) _Generic(*(p), MP__ATOMIC_INTEGERS(fetch_xor))((p), (x))
#endif

#endif
