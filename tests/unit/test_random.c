// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <mp/random.h>
#include <string.h>

// A block of the generator, as its authors write it down.
struct vector {
    uint64_t block, stream, seed;
    uint64_t first, second;
};

// From kat_vectors of Random123, philox4x32 10: counter and key all 0, all 1, and the digits of pi.
static const struct vector vectors[] = {
    {0, 0, 0, 0xe169c58d6627e8d5, 0x9b00dbd8bc57ac4c},
    {UINT64_MAX, UINT64_MAX, UINT64_MAX, 0x41c83b0e408f276d, 0x6d5451fda20bc7c6},
    {0x85a308d3243f6a88, 0x0370734413198a2e, 0x299f31d0a4093822, 0x94fdccebd16cfe09,
     0x24126ea15001e420},
};

MP_TEST(known_answers)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        mp_random r;
        mp_random_init(&r, vectors[i].seed, vectors[i].stream);
        r.block = vectors[i].block;
        ck_assert_uint_eq(mp_random_next(&r), vectors[i].first);
        ck_assert_uint_eq(mp_random_next(&r), vectors[i].second);
    }
}

MP_TEST(streams_and_seeds_differ_and_come_again)
{
    mp_random a, b, c, again;
    mp_random_init(&a, 1, 1);
    mp_random_init(&b, 1, 2);
    mp_random_init(&c, 2, 1);
    mp_random_init(&again, 1, 1);
    for (int i = 0; i < 1000; i++) {
        uint64_t x = mp_random_next(&a);
        ck_assert_uint_ne(x, mp_random_next(&b));
        ck_assert_uint_ne(x, mp_random_next(&c));
        ck_assert_uint_eq(x, mp_random_next(&again));
    }
    mp_random copy = a;
    ck_assert_uint_eq(mp_random_next(&a), mp_random_next(&copy));
}

MP_TEST(doubles_fill_the_interval)
{
    mp_random r;
    double sum = 0, least = 1, most = 0;
    mp_random_init(&r, 7, 0);
    for (int i = 0; i < 100000; i++) {
        double x = mp_random_double(&r);
        ck_assert(x >= 0 && x < 1);
        sum += x;
        least = x < least ? x : least;
        most = x > most ? x : most;
    }
    ck_assert(sum / 100000 > 0.49 && sum / 100000 < 0.51); // 11 standard deviations
    ck_assert(least < 0.001 && most > 0.999);
}

MP_TEST(each_number_below_is_as_likely)
{
    int count[6] = {0};
    mp_random r;
    mp_random_init(&r, 7, 1);
    for (int i = 0; i < 60000; i++)
        count[mp_random_below(&r, 6)]++;
    for (int i = 0; i < 6; i++)
        ck_assert(count[i] > 9300 && count[i] < 10700); // 7 standard deviations
    ck_assert_uint_eq(mp_random_below(&r, 0), 0);
    ck_assert_uint_eq(mp_random_below(&r, 1), 0);
    for (int i = 0; i < 1000; i++) // three quarters of all are drawn again with a naive method
        ck_assert(mp_random_below(&r, (UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
}
