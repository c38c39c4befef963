// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <limits.h>
#include <mp/atomic.h>
#include <mp/type.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

// One type after the other through all that its kind can do.
#define SCALAR(T, one, two)                                                                        \
    do {                                                                                           \
        T x = one, old = two;                                                                      \
        const T *seen = &x;                                                                        \
        ck_assert(mp_atomic_get(seen) == (T)(one));                                                \
        mp_atomic_set(&x, two);                                                                    \
        ck_assert(x == (T)(two));                                                                  \
        ck_assert(mp_atomic_exchange(&x, one) == (T)(two) && x == (T)(one));                       \
        ck_assert(!mp_atomic_cas(&x, &old, two) && old == (T)(one) && x == (T)(one));              \
        ck_assert(mp_atomic_cas(&x, &old, two) && x == (T)(two));                                  \
    } while (0)
#define NUMBER(T)                                                                                  \
    do {                                                                                           \
        SCALAR(T, 1, 2);                                                                           \
        T x = 10;                                                                                  \
        ck_assert(mp_atomic_add(&x, 5) == 15 && x == 15);                                          \
        ck_assert(mp_atomic_sub(&x, 3) == 12 && x == 12);                                          \
        ck_assert(mp_atomic_fetch_add(&x, 8) == 12 && x == 20);                                    \
        ck_assert(mp_atomic_fetch_sub(&x, 4) == 20 && x == 16);                                    \
        ck_assert(mp_atomic_fetch_min(&x, 17) == 16 && x == 16);                                   \
        ck_assert(mp_atomic_fetch_min(&x, 7) == 16 && x == 7);                                     \
        ck_assert(mp_atomic_fetch_max(&x, 6) == 7 && x == 7);                                      \
        ck_assert(mp_atomic_fetch_max(&x, 9) == 7 && x == 9);                                      \
    } while (0)
#define INTEGER(T)                                                                                 \
    do {                                                                                           \
        NUMBER(T);                                                                                 \
        T x = 12;                                                                                  \
        ck_assert(mp_atomic_fetch_and(&x, 10) == 12 && x == 8);                                    \
        ck_assert(mp_atomic_fetch_or(&x, 3) == 8 && x == 11);                                      \
        ck_assert(mp_atomic_fetch_xor(&x, 6) == 11 && x == 13);                                    \
    } while (0)

MP_TEST(every_integer_type)
{
    INTEGER(char);
    INTEGER(signed char);
    INTEGER(unsigned char);
    INTEGER(short);
    INTEGER(unsigned short);
    INTEGER(int);
    INTEGER(unsigned);
    INTEGER(long);
    INTEGER(unsigned long);
    INTEGER(long long);
    INTEGER(unsigned long long);
}

MP_TEST(floats_and_bool)
{
    NUMBER(float);
    NUMBER(double);
    SCALAR(bool, true, false);
}

MP_TEST(integers_wrap_and_signs_count)
{
    int64_t big = INT64_MAX;
    uint8_t small = 250;
    int8_t negative = -3;
    uint32_t all = UINT32_MAX;
    ck_assert_int_eq(mp_atomic_add(&big, 1), INT64_MIN);
    ck_assert_int_eq(mp_atomic_add(&small, 10), 4);
    mp_atomic_fetch_min(&negative, 2);
    ck_assert_int_eq(negative, -3);
    mp_atomic_fetch_max(&all, 1);
    ck_assert_uint_eq(all, UINT32_MAX);
}

struct counters {
    int64_t whole;
    double real;
    int32_t greatest;
    uint64_t bits;
};

static void count(struct counters *c, int who)
{
    for (int i = 0; i < 20000; i++) {
        mp_atomic_add(&c->whole, 3);
        mp_atomic_add(&c->real, 0.5);
        mp_atomic_fetch_max(&c->greatest, i * 4 + who);
        mp_atomic_fetch_xor(&c->bits, UINT64_C(1) << (i % 60));
    }
    mp_atomic_fetch_or(&c->bits, UINT64_C(1) << (60 + who));
    _exit(0);
}

MP_TEST(nothing_is_lost_between_processes)
{
    struct counters *c =
        mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(c, MAP_FAILED);
    for (int who = 0; who < 4; who++)
        if (fork() == 0)
            count(c, who);
    for (int status; wait(&status) > 0;)
        ck_assert_int_eq(status, 0);
    ck_assert_int_eq(c->whole, 4 * 20000 * 3);
    ck_assert(c->real == 4 * 20000 * 0.5);
    ck_assert_int_eq(c->greatest, 19999 * 4 + 3);
    ck_assert_uint_eq(c->bits, UINT64_C(15) << 60); // an even number of times each
    munmap(c, sizeof *c);
}

struct pair {
    int a, b;
};

MP_TEST(types_of_c)
{
    ck_assert_int_eq(mp_type_of(int8_t), MP_INT8);
    ck_assert_int_eq(mp_type_of(uint8_t), MP_UINT8);
    ck_assert_int_eq(mp_type_of(int16_t), MP_INT16);
    ck_assert_int_eq(mp_type_of(uint16_t), MP_UINT16);
    ck_assert_int_eq(mp_type_of(int32_t), MP_INT32);
    ck_assert_int_eq(mp_type_of(uint32_t), MP_UINT32);
    ck_assert_int_eq(mp_type_of(int64_t), MP_INT64);
    ck_assert_int_eq(mp_type_of(uint64_t), MP_UINT64);
    ck_assert_int_eq(mp_type_of(long long), MP_INT64);
    ck_assert_int_eq(mp_type_of(unsigned long long), MP_UINT64);
    ck_assert_int_eq(mp_type_of(size_t), sizeof(size_t) == 8 ? MP_UINT64 : MP_UINT32);
    ck_assert_int_eq(mp_type_of(char), MP_CHAR);
    ck_assert_int_eq(mp_type_of(bool), MP_BOOL);
    ck_assert_int_eq(mp_type_of(const float), MP_FLOAT);
    ck_assert_int_eq(mp_type_of(double), MP_DOUBLE);
    ck_assert_int_eq(mp_type_of(long double), MP_LONG_DOUBLE);
    ck_assert_int_eq(mp_type_of(struct pair), MP_STRUCT);
}

MP_TEST(sizes_of_types)
{
#define SIZE(T) ck_assert_uint_eq(mp_type_size(mp_type_of(T)), sizeof(T))
    SIZE(bool);
    SIZE(char);
    SIZE(int8_t);
    SIZE(short);
    SIZE(unsigned);
    SIZE(long);
    SIZE(float);
    SIZE(double);
    SIZE(long double);
    ck_assert_uint_eq(mp_type_size(MP_STRUCT), 0);
    ck_assert_uint_eq(mp_type_size((mp_type)0), 0);
    ck_assert_uint_eq(mp_type_size((mp_type)-1), 0);
    ck_assert_uint_eq(mp_type_size((mp_type)1000), 0);
}
