// SPDX-License-Identifier: MIT
//
// The table of calls: numbers that are there once, letters that mean something, and searches
// that find what they should.
#include "mptest.h"

#include "wire/calls.h"

#include <string.h>

MP_TEST(each_call_is_found_by_number_and_by_name)
{
    size_t n;
    const struct mp__call_info *calls = mp__calls(&n);
    ck_assert_uint_gt(n, 150);
    for (size_t i = 0; i < n; i++) {
        ck_assert_ptr_eq(mp__call_by_op(calls[i].op), &calls[i]);
        ck_assert_ptr_eq(
            mp__call_by_name(mp__op_interface(calls[i].op), calls[i].name, strlen(calls[i].name)),
            &calls[i]);
        ck_assert_ptr_nonnull(mp__interface_name(mp__op_interface(calls[i].op)));
    }
    ck_assert_ptr_eq(mp__call_by_op(MP__OP(DICT, get)), mp__call_by_name(MP__DICT, "get", 3));
}

MP_TEST(what_is_not_there_is_not_found)
{
    ck_assert_ptr_null(mp__call_by_op(0));
    ck_assert_ptr_null(mp__call_by_op(MP__DICT << 8));
    ck_assert_ptr_null(mp__call_by_op(MP__DICT << 8 | 255));
    ck_assert_ptr_null(mp__call_by_op(MP__INTERFACE_COUNT << 8 | 1));
    ck_assert_ptr_null(mp__call_by_op(UINT64_MAX));
    ck_assert_ptr_null(mp__call_by_op((UINT64_C(1) << 32) + MP__OP(DICT, get)));
    ck_assert_ptr_null(mp__call_by_name(MP__DICT, "get\0", 4));
    ck_assert_ptr_null(mp__call_by_name(MP__DICT, "ge", 2));
    ck_assert_ptr_null(mp__call_by_name(MP__LIST, "popitem", 7));
    ck_assert_ptr_null(mp__type_by_name("Dict", 4));
    ck_assert_ptr_null(mp__interface_name(MP__INTERFACE_COUNT));
}

MP_TEST(letters_are_those_of_the_legend)
{
    size_t n;
    const struct mp__call_info *calls = mp__calls(&n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_eq(strspn(calls[i].args, "kviutsdamo|*"), strlen(calls[i].args));
        ck_assert_uint_eq(strspn(calls[i].result, "kviutsdamon[]"), strlen(calls[i].result));
        ck_assert_uint_eq(strspn(calls[i].flags, "RWBKSPA"), strlen(calls[i].flags));
        ck_assert(!strchr(calls[i].flags, 'K') || strchr(calls[i].flags, 'W'));
    }
    const struct mp__type_info *types = mp__types(&n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_ptr_eq(mp__type_by_name(types[i].name, strlen(types[i].name)), &types[i]);
        ck_assert_uint_eq(strspn(types[i].args, "viutsdamo|"), strlen(types[i].args));
    }
}
