// SPDX-License-Identifier: MIT
#include "base/clock.h"
#include "mptest.h"

MP_TEST(time_does_not_run_backwards)
{
    int64_t before = mp__now();
    for (int i = 0; i < 10000; i++) {
        int64_t now = mp__now();
        ck_assert_int_ge(now, before);
        before = now;
    }
}

MP_TEST(never_and_at_once)
{
    ck_assert(mp__deadline_in(-1) == MP__NEVER);
    ck_assert(mp__deadline_in(0) == 0);
    ck_assert(mp__left_ns(MP__NEVER) == INT64_MAX);
    ck_assert_int_eq(mp__left_ms(MP__NEVER), -1);
    ck_assert_int_eq(mp__left_ns(0), 0);
    ck_assert_int_eq(mp__left_ms(0), 0);
}

MP_TEST(deadlines_come_and_pass)
{
    mp__deadline d = mp__deadline_in(60000);
    ck_assert_int_gt(mp__left_ms(d), 50000);
    ck_assert_int_le(mp__left_ms(d), 60000);
    mp__deadline past = mp__now() - 1;
    ck_assert_int_eq(mp__left_ns(past), 0);
    ck_assert_int_eq(mp__left_ms(past), 0);
}

MP_TEST(part_of_a_millisecond_is_one_for_poll)
{
    // Rounded down, a wait would end early and its loop spin.
    mp__deadline d = mp__now() + 900000;
    int ms = mp__left_ms(d);
    ck_assert(ms == 1 || mp__left_ns(d) == 0);
}

MP_TEST(far_deadlines_fit_poll)
{
    ck_assert_int_eq(mp__left_ms(INT64_MAX - 1), INT_MAX);
    ck_assert_int_ge(mp__left_ms(mp__deadline_in(INT_MAX)), INT_MAX - 60000);
}
