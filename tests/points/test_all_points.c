// SPDX-License-Identifier: MIT
#include "points.h"

MP_TEST(every_point_is_tried_by_some_scenario)
{
    size_t n, missing = 0;
    const char *const *all = points_all(&n);
    for (size_t i = 0; i < n; i++) {
        if (!points_is_covered(all[i])) {
            fprintf(stderr, "no scenario kills at %s\n", all[i]);
            missing++;
        }
    }
    ck_assert_uint_eq(missing, 0);
    ck_assert_uint_ge(n, 40); // they are in the program at all
}
