// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static const int codes[] = {
#define CODE(name, code, kind, text) code,
    MP_ERROR_TABLE(CODE)
#undef CODE
};

MP_TEST(every_code_has_its_name_text_and_kind)
{
#define LOOK(name, code, kind, text)                                                               \
    ck_assert_int_eq(name, code);                                                                  \
    ck_assert_str_eq(mp_err_name(name), #name);                                                    \
    ck_assert_str_eq(mp_strerror(name), text);                                                     \
    ck_assert_int_eq(mp_err_kind(name), MP_KIND_##kind);
    MP_ERROR_TABLE(LOOK)
#undef LOOK
}

MP_TEST(no_code_is_used_twice_or_is_an_errno)
{
    size_t n = sizeof codes / sizeof *codes;
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_lt(codes[i], -1000);
        for (size_t j = 0; j < i; j++)
            ck_assert_int_ne(codes[i], codes[j]);
    }
}

MP_TEST(system_errors_keep_their_names)
{
    ck_assert_str_eq(mp_err_name(-ENOMEM), "ENOMEM");
    ck_assert_str_eq(mp_strerror(-ENOMEM), strerror(ENOMEM));
    ck_assert_int_eq(mp_err_kind(-EMFILE), MP_KIND_SYSTEM);
}

MP_TEST(success_is_zero_and_above)
{
    const int64_t good[] = {0, 1, INT_MAX, INT64_MAX};
    for (int i = 0; i < 4; i++) {
        ck_assert_str_eq(mp_err_name(good[i]), "OK");
        ck_assert_str_eq(mp_strerror(good[i]), "success");
        ck_assert_int_eq(mp_err_kind(good[i]), MP_KIND_OK);
    }
}

MP_TEST(numbers_that_are_no_error_are_unknown)
{
    // Also those that an int64_t cut to an int would make known.
    const int64_t bad[] = {-999, -1000, -5000, INT_MIN, INT64_MIN, -4294967295};
    for (int i = 0; i < 6; i++) {
        ck_assert_str_eq(mp_err_name(bad[i]), "unknown");
        ck_assert_str_eq(mp_strerror(bad[i]), "unknown error");
        ck_assert_int_eq(mp_err_kind(bad[i]), MP_KIND_BUG);
    }
}

MP_TEST(version_is_that_of_the_header)
{
    ck_assert_str_eq(mp_version(), MP_VERSION);
}
