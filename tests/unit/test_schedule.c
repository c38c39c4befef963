// SPDX-License-Identifier: MIT
#include "mptest.h"
#include "work/schedule.h"

#include <stdlib.h>

// Each item of [begin, end) is in exactly one chunk; chunks are not empty and not longer
// than `longest`.
static void check_cover(const struct mp__schedule *s, size_t begin, size_t end, size_t longest)
{
    const struct mp__round *cursor = s->round;
    size_t at = begin;
    for (uint32_t c = 0; c < s->chunks; c++) {
        struct mp__range r = mp__schedule_range(&cursor, c);
        struct mp__range again = mp__schedule_find(s, c);
        ck_assert_uint_eq(r.begin, at);
        ck_assert_uint_gt(r.end, r.begin);
        ck_assert_uint_le(r.end - r.begin, longest);
        ck_assert_uint_eq(again.begin, r.begin);
        ck_assert_uint_eq(again.end, r.end);
        at = r.end;
    }
    ck_assert_uint_eq(at, end);
}

MP_TEST(fixed_chunks_cover_all_items)
{
    struct mp__schedule s;
    for (size_t n = 1; n < 200; n++) {
        for (size_t size = 1; size < n + 3; size++) {
            mp__schedule_clear(&s);
            ck_assert_uint_eq(mp__schedule_add(&s, 7, 7 + n, size), 7 + n);
            ck_assert_uint_eq(s.chunks, (n + size - 1) / size);
            check_cover(&s, 7, 7 + n, size);
        }
    }
}

MP_TEST(guided_chunks_cover_all_items_and_shrink)
{
    struct mp__schedule s;
    static const size_t counts[] = {1, 2, 3, 7, 100, 1000, 99999, 1000000, (size_t)1 << 40};
    static const unsigned workers[] = {1, 2, 3, 64, 1024};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (size_t k = 0; k < sizeof workers / sizeof *workers; k++) {
            mp__schedule_clear(&s);
            mp__schedule_guided(&s, 5, 5 + counts[i], workers[k], SIZE_MAX);
            check_cover(&s, 5, 5 + counts[i], counts[i] / workers[k] / 4 + 1);
            for (uint32_t r = 1; r < s.rounds; r++)
                ck_assert_uint_le(s.round[r].size, s.round[r - 1].size);
            ck_assert_uint_le(s.chunks, 64 * workers[k]);
        }
    }
}

MP_TEST(guided_chunks_have_a_limit)
{
    struct mp__schedule s;
    static const size_t limits[] = {1, 2, 7, 1000, 12499, 12500, 12501, 1000000};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        mp__schedule_clear(&s);
        mp__schedule_guided(&s, 3, 3 + 100000, 2, limits[i]);
        // Those below a worker's part in 1024 would be too many.
        size_t longest = limits[i] < 48 ? 100000 / 8 : limits[i];
        check_cover(&s, 3, 3 + 100000, longest);
        ck_assert_uint_le(s.chunks, 2048 + 128);
        ck_assert_uint_le(s.round[s.rounds - 1].size, 48);
    }
}

MP_TEST(no_items_no_chunks)
{
    struct mp__schedule s;
    mp__schedule_clear(&s);
    ck_assert_uint_eq(mp__schedule_add(&s, 3, 3, 1), 3);
    mp__schedule_guided(&s, 9, 9, 4, SIZE_MAX);
    ck_assert_uint_eq(s.chunks, 0);
}

MP_TEST(more_chunks_than_fit_are_left_over)
{
    struct mp__schedule s;
    mp__schedule_clear(&s);
    size_t n = (size_t)MP__MAX_CHUNKS + 10;
    ck_assert_uint_eq(mp__schedule_add(&s, 0, n, 1), MP__MAX_CHUNKS);
    ck_assert_uint_eq(s.chunks, MP__MAX_CHUNKS);
    ck_assert_uint_eq(mp__schedule_add(&s, MP__MAX_CHUNKS, n, 1), MP__MAX_CHUNKS);
    ck_assert_uint_eq(mp__schedule_find(&s, MP__MAX_CHUNKS - 1).end, MP__MAX_CHUNKS);
}

MP_TEST(more_rounds_than_fit_are_left_over)
{
    struct mp__schedule s;
    mp__schedule_clear(&s);
    for (size_t i = 0; i < MP__MAX_ROUNDS; i++)
        ck_assert_uint_eq(mp__schedule_add(&s, i * 10, i * 10 + 3, 2), i * 10 + 3);
    ck_assert_uint_eq(mp__schedule_add(&s, 5000, 5003, 2), 5000);
    ck_assert_uint_eq(s.chunks, MP__MAX_ROUNDS * 2);
    struct mp__range r = mp__schedule_find(&s, 41);
    ck_assert_uint_eq(r.begin, 202);
    ck_assert_uint_eq(r.end, 203);
}

MP_TEST(huge_counts_do_not_overflow)
{
    struct mp__schedule s;
    mp__schedule_clear(&s);
    ck_assert_uint_eq(mp__schedule_add(&s, 0, SIZE_MAX, SIZE_MAX / 3), SIZE_MAX);
    check_cover(&s, 0, SIZE_MAX, SIZE_MAX / 3);
    mp__schedule_clear(&s);
    mp__schedule_guided(&s, 0, SIZE_MAX, 2, SIZE_MAX);
    check_cover(&s, 0, SIZE_MAX, SIZE_MAX / 8 + 1);
    mp__schedule_clear(&s);
    mp__schedule_guided(&s, 0, SIZE_MAX, 1024, SIZE_MAX / 1024 / 10);
    check_cover(&s, 0, SIZE_MAX, SIZE_MAX / 1024 / 10);
}
