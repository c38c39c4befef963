// SPDX-License-Identifier: MIT
//
// What mp/pack.h promises of formats, of reading and of trees. Damaged messages are in
// unit/test_check.c, pipes and Python's reading of ours in process/test_pack.c.
#include "mptest.h"

#include <errno.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <mp/pack.h>
#include <stdlib.h>
#include <string.h>

static void expect_bytes(mp_buf *b, const char *bytes, size_t size)
{
    ck_assert_uint_eq(b->size, size);
    ck_assert(size == 0 || memcmp(b->data, bytes, size) == 0);
    mp_buf_clear(b);
}

// Packs, and compares with the bytes that the msgpack specification gives.
#define packs(bytes, ...)                                                                          \
    do {                                                                                           \
        mp_buf packs_b = {0};                                                                      \
        mp_assert_ok(mp_pack(&packs_b, __VA_ARGS__));                                              \
        expect_bytes(&packs_b, "" bytes, sizeof bytes - 1);                                        \
        mp_buf_free(&packs_b);                                                                     \
    } while (0)

#define unpacks(bytes, ...) mp_unpack("" bytes, sizeof bytes - 1, __VA_ARGS__)

MP_TEST(every_type_has_the_bytes_of_the_specification)
{
    packs("", "");
    packs("\xc0", "n");
    packs("\xc2\xc3\xc3", "ttt", false, true, (bool)1);
    packs("\x00\x7f\xff\xe0", "iiii", 0, 127, -1, -32);
    packs("\xcc\x80\xcc\xff\xcd\x01\x00\xcd\xff\xff", "iiii", 128, 255, 256, 65535);
    packs("\xce\x00\x01\x00\x00\xce\x7f\xff\xff\xff", "ii", 65536, INT_MAX);
    packs("\xd0\xdf\xd0\x80\xd1\xff\x7f\xd1\x80\x00", "iiii", -33, -128, -129, -32768);
    packs("\xd2\xff\xff\x7f\xff\xd2\x80\x00\x00\x00", "ii", -32769, INT_MIN);
    packs("\xce\xff\xff\xff\xff", "u", UINT_MAX);
    packs("\xcf\x00\x00\x00\x01\x00\x00\x00\x00", "I", (int64_t)1 << 32);
    packs("\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "I", INT64_MIN);
    packs("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "U", UINT64_MAX);
    packs("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", "d", 1.5);
    packs("\xa2hi\xa1\x00\xa0", "s s# s#", "hi", "", (size_t)1, NULL, (size_t)0);
    packs("\xc4\x02\x00\xff\xc4\x00", "b#b#", "\x00\xff", (size_t)2, NULL, (size_t)0);
    packs("\x90\x93\x01\x02\x91\x03", "[] [i,i,[i]]", 1, 2, 3);
    packs("\x80\x82\xa1x\x01\x05\xa1y", "{} {s:i, i:s}", "x", 1, 5, "y");
    packs("\x83\xff\xc0\xc4\x01k\x90\xa1s\x80", "{I:n b#:[] s#:{}}", (int64_t)-1, "k", (size_t)1,
          "s", (size_t)1);
    packs("\xc0\xa1x\xc0\xc0\xc0", "?s?s?s#?b#?O#", (char *)NULL, "x", NULL, (size_t)0, NULL,
          (size_t)5, NULL, (size_t)0);
    packs("\x92\x01\x91\xc0", "[iO#]", 1, "\x91\xc0", (size_t)2);
}

MP_TEST(lengths_change_their_heads_where_they_must)
{
    static const struct {
        size_t n;
        const char *str, *bin, *array, *map;
        size_t str_head, bin_head, array_head;
    } at[] = {
        {15, "\xaf", "\xc4\x0f", "\x9f", "\x8f", 1, 2, 1},
        {16, "\xb0", "\xc4\x10", "\xdc\x00\x10", "\xde\x00\x10", 1, 2, 3},
        {31, "\xbf", "\xc4\x1f", "\xdc\x00\x1f", "\xde\x00\x1f", 1, 2, 3},
        {32, "\xd9\x20", "\xc4\x20", "\xdc\x00\x20", "\xde\x00\x20", 2, 2, 3},
        {255, "\xd9\xff", "\xc4\xff", "\xdc\x00\xff", "\xde\x00\xff", 2, 2, 3},
        {256, "\xda\x01\x00", "\xc5\x01\x00", "\xdc\x01\x00", "\xde\x01\x00", 3, 3, 3},
        {65535, "\xda\xff\xff", "\xc5\xff\xff", "\xdc\xff\xff", "\xde\xff\xff", 3, 3, 3},
        {65536, "\xdb\x00\x01\x00\x00", "\xc6\x00\x01\x00\x00", "\xdd\x00\x01\x00\x00",
         "\xdf\x00\x01\x00\x00", 5, 5, 5},
    };
    char *text = malloc(65536);
    memset(text, 'x', 65536);
    mp_buf b = {0};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        const char *s = NULL;
        size_t n = 0;
        mp_buf_clear(&b);
        mp_assert_ok(mp_pack(&b, "s#", text, at[i].n));
        ck_assert_uint_eq(b.size, at[i].str_head + at[i].n);
        ck_assert_mem_eq(b.data, at[i].str, at[i].str_head);
        mp_assert_ok(mp_unpack(b.data, b.size, "s#", &s, &n));
        ck_assert(n == at[i].n && memcmp(s, text, n) == 0);

        mp_buf_clear(&b);
        mp_assert_ok(mp_pack(&b, "b#", text, at[i].n));
        ck_assert_uint_eq(b.size, at[i].bin_head + at[i].n);
        ck_assert_mem_eq(b.data, at[i].bin, at[i].bin_head);
        mp_assert_ok(mp_unpack(b.data, b.size, "b#", &s, &n));
        ck_assert(n == at[i].n && memcmp(s, text, n) == 0);

        mp_buf_clear(&b);
        mp_assert_ok(mp_pack_array(&b, at[i].n));
        ck_assert_uint_eq(b.size, at[i].array_head);
        ck_assert_mem_eq(b.data, at[i].array, at[i].array_head);
        mp_buf_clear(&b);
        mp_assert_ok(mp_pack_map(&b, at[i].n));
        ck_assert_uint_eq(b.size, at[i].array_head);
        ck_assert_mem_eq(b.data, at[i].map, at[i].array_head);
    }
    mp_buf_free(&b);
    free(text);
}

MP_TEST(integers_come_back_or_do_not_fit)
{
    static const int64_t numbers[] = {0,
                                      1,
                                      -1,
                                      31,
                                      -32,
                                      -33,
                                      127,
                                      128,
                                      -128,
                                      -129,
                                      255,
                                      256,
                                      -32768,
                                      -32769,
                                      32767,
                                      32768,
                                      65535,
                                      65536,
                                      INT_MAX,
                                      (int64_t)INT_MAX + 1,
                                      INT_MIN,
                                      (int64_t)INT_MIN - 1,
                                      UINT_MAX,
                                      (int64_t)UINT_MAX + 1,
                                      INT64_MAX,
                                      INT64_MIN,
                                      INT64_MAX - 1,
                                      INT64_MIN + 1};
    mp_buf b = {0};
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
        int64_t n = numbers[k], I = 0;
        int i = 0;
        unsigned u = 0;
        uint64_t U = 0;
        mp_buf_clear(&b);
        mp_assert_ok(mp_pack(&b, "I", n));
        mp_assert_ok(mp_unpack(b.data, b.size, "I", &I));
        ck_assert_int_eq(I, n);
        bool fits_i = n >= INT_MIN && n <= INT_MAX, fits_u = n >= 0 && n <= UINT_MAX;
        mp_assert_err(mp_unpack(b.data, b.size, "i", &i), fits_i ? 0 : MP_EOVERFLOW);
        ck_assert_int_eq(i, fits_i ? n : 0);
        mp_assert_err(mp_unpack(b.data, b.size, "u", &u), fits_u ? 0 : MP_EOVERFLOW);
        ck_assert_uint_eq(u, fits_u ? n : 0);
        mp_assert_err(mp_unpack(b.data, b.size, "U", &U), n >= 0 ? 0 : MP_EOVERFLOW);
        ck_assert_uint_eq(U, n >= 0 ? (uint64_t)n : 0);
    }
    int64_t I;
    mp_buf_clear(&b);
    mp_assert_ok(mp_pack(&b, "U", (uint64_t)INT64_MAX + 1));
    mp_assert_err(mp_unpack(b.data, b.size, "I", &I), MP_EOVERFLOW);
    // Longer than they need be, and signed codes with numbers above 0.
    mp_assert_ok(unpacks("\xd3\x00\x00\x00\x00\x00\x00\x00\x07", "I", &I));
    ck_assert_int_eq(I, 7);
    mp_assert_ok(unpacks("\xd0\x7f", "I", &I));
    ck_assert_int_eq(I, 127);
    mp_buf_free(&b);
}

MP_TEST(doubles_come_back_bit_for_bit)
{
    static const double numbers[] = {0.0,     -0.0,         1.5,      -1e300,    DBL_MIN,
                                     DBL_MAX, DBL_TRUE_MIN, INFINITY, -INFINITY, (double)NAN};
    mp_buf b = {0};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        double d = 7;
        mp_buf_clear(&b);
        mp_assert_ok(mp_pack(&b, "d", numbers[i]));
        mp_assert_ok(mp_unpack(b.data, b.size, "d", &d));
        ck_assert_mem_eq(&d, &numbers[i], sizeof d);
    }
    mp_buf_free(&b);
    double d = 0;
    int i;
    mp_assert_ok(unpacks("\xca\x3f\xc0\x00\x00", "d", &d)); // a float
    ck_assert(d == 1.5);
    mp_assert_ok(unpacks("\xff", "d", &d)); // integers that a double can hold
    ck_assert(d == -1);
    mp_assert_ok(unpacks("\xcf\x80\x00\x00\x00\x00\x00\x00\x00", "d", &d));
    ck_assert(d == 9223372036854775808.0);
    mp_assert_ok(unpacks("\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "d", &d));
    ck_assert(d == -9223372036854775808.0);
    mp_assert_ok(unpacks("\xcf\x00\x20\x00\x00\x00\x00\x00\x00", "d", &d)); // 2^53
    ck_assert(d == 9007199254740992.0);
    mp_assert_err(unpacks("\xcf\x00\x20\x00\x00\x00\x00\x00\x01", "d", &d), MP_EOVERFLOW);
    mp_assert_err(unpacks("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "d", &d), MP_EOVERFLOW);
    mp_assert_err(unpacks("\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", "i", &i), MP_ETYPE);
}

MP_TEST(texts_are_borrowed_or_copied)
{
    static const char m[] = "\xa3one\xc4\x02\x00\x01\x93\x01\xa1x\xc0";
    const char *s;
    const void *bin, *raw;
    size_t s_size, bin_size, raw_size;
    mp_assert_ok(
        mp_unpack(m, sizeof m - 1, "s# b# O#", &s, &s_size, &bin, &bin_size, &raw, &raw_size));
    ck_assert(s == m + 1 && s_size == 3);
    ck_assert(bin == m + 6 && bin_size == 2);
    ck_assert(raw == m + 8 && raw_size == 5);

    char four[4], three[3];
    mp_assert_ok(unpacks("\xa3one", "s", four, sizeof four));
    ck_assert_str_eq(four, "one");
    mp_assert_err(unpacks("\xa3one", "s", three, sizeof three), MP_EMSGSIZE);
    mp_assert_err(unpacks("\xa0", "s", three, (size_t)0), MP_EMSGSIZE);
    mp_assert_ok(unpacks("\xa0", "s", three, (size_t)1));
    ck_assert_str_eq(three, "");
    mp_assert_err(unpacks("\xa2o\x00", "s", four, sizeof four), MP_ETYPE);
    mp_assert_err(unpacks("\xc4\x01x", "s", four, sizeof four), MP_ETYPE);
    mp_assert_err(unpacks("\xa1x", "b#", &bin, &bin_size), MP_ETYPE);
    mp_assert_err(unpacks("\xc4\x01x", "s#", &s, &s_size), MP_ETYPE);
}

MP_TEST(arrays_are_read_exactly_or_with_a_star)
{
    int a = 0, b = 0, c = 9;
    mp_assert_ok(unpacks("\x92\x01\x02", "[ii]", &a, &b));
    ck_assert(a == 1 && b == 2);
    mp_assert_err(unpacks("\x92\x01\x02", "[i]", &a), MP_ETYPE);
    mp_assert_err(unpacks("\x92\x01\x02", "[iii]", &a, &b, &c), MP_ENOTFOUND);
    mp_assert_ok(unpacks("\x92\x01\x02", "[ii?i]", &a, &b, &c));
    ck_assert_int_eq(c, 9);
    mp_assert_ok(unpacks("\x93\x01\x02\xc0", "[ii?i]", &a, &b, &c));
    ck_assert_int_eq(c, 9);
    mp_assert_ok(unpacks("\x94\x01\x92\x07\x08\x03\x04", "[i_i*]", &a, &b));
    ck_assert_int_eq(b, 3);
    mp_assert_ok(unpacks("\x91\x01", "[i*]", &a));
    mp_assert_ok(unpacks("\x90", "[*]"));
    mp_assert_ok(unpacks("\x90", "[]"));
    mp_assert_err(unpacks("\x91\xc0", "[]"), MP_ETYPE);
    mp_assert_err(unpacks("\x80", "[]"), MP_ETYPE);
    mp_assert_err(unpacks("\xc0", "[*]"), MP_ETYPE);
    // An array that may be absent takes its arguments with it.
    mp_assert_ok(unpacks("\x92\xc0\x05", "[?[i{s:i}] i]", &a, "k", &b, &c));
    ck_assert(a == 1 && b == 3 && c == 5);
}

MP_TEST(several_values_need_no_array)
{
    int a = 0, b = 0, c = 9;
    mp_assert_ok(unpacks("\x01\x02", "ii", &a, &b));
    ck_assert(a == 1 && b == 2);
    mp_assert_err(unpacks("\x01\x02", "i", &a), MP_ETYPE);
    mp_assert_ok(unpacks("\x01\x02", "i*", &a));
    mp_assert_ok(unpacks("\x01\x02", "ii?i", &a, &b, &c));
    ck_assert_int_eq(c, 9);
    mp_assert_err(unpacks("\x01\x02", "iii", &a, &b, &c), MP_ENOTFOUND);
    mp_assert_ok(unpacks("", ""));
    mp_assert_ok(unpacks("", "*"));
    mp_assert_ok(unpacks("", "?i", &c));
    mp_assert_err(unpacks("", "i", &a), MP_ENOTFOUND);
    mp_assert_ok(mp_unpack(NULL, 0, ""));
    mp_assert_err(unpacks("\x01\xc1", "i*", &a), MP_EPROTO);
}

MP_TEST(maps_are_read_in_any_order)
{
    static const char m[] = "\x84\xa1"
                            "a\x01\xa1"
                            "b\x92\x02\x03\x05\xa1x\xc4\x01k\x07";
    const char *s;
    size_t n;
    int a = 0, b = 0, c = 0, k = 0;
    mp_assert_ok(mp_unpack(m, sizeof m - 1, "{s:i s:[ii] i:s# b#:i}", "a", &a, "b", &b, &c, 5, &s,
                           &n, "k", (size_t)1, &k));
    ck_assert(a == 1 && b == 2 && c == 3 && n == 1 && *s == 'x' && k == 7);
    a = b = c = k = 0;
    mp_assert_ok(mp_unpack(m, sizeof m - 1, "{b#:i I:s# s#:[ii] s:i}", "k", (size_t)1, &k,
                           (int64_t)5, &s, &n, "b", (size_t)1, &b, &c, "a", &a));
    ck_assert(a == 1 && b == 2 && c == 3 && n == 1 && *s == 'x' && k == 7);
    mp_assert_ok(mp_unpack(m, sizeof m - 1, "{u:_ s:_ *}", 5u, "a"));
    mp_assert_ok(mp_unpack(m, sizeof m - 1, "{*}"));
    mp_assert_ok(mp_unpack(m, sizeof m - 1, "{U:?s# s:?i *}", (uint64_t)5, &s, &n, "zz", &a));
    mp_assert_err(mp_unpack(m, sizeof m - 1, "{s:i *}", "zz", &a), MP_ENOTFOUND);
    mp_assert_err(mp_unpack(m, sizeof m - 1, "{s:i *}", "5", &a), MP_ENOTFOUND);
    mp_assert_err(mp_unpack(m, sizeof m - 1, "{s:i s:_ i:_}", "a", &a, "b", 5), MP_ETYPE);
    mp_assert_err(mp_unpack(m, sizeof m - 1, "{}"), MP_ETYPE);
    mp_assert_ok(unpacks("\x80", "{}"));
    mp_assert_ok(unpacks("\x80", "{s:?i}", "a", &a));
    mp_assert_ok(unpacks("\x81\xff\x01", "{i:i}", -1, &a));
    mp_assert_ok(unpacks("\x81\xd3\xff\xff\xff\xff\xff\xff\xff\xff\x02", "{i:i}", -1, &a));
    ck_assert_int_eq(a, 2);
    mp_assert_err(unpacks("\x81\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x02", "{i:i}", -1, &a),
                  MP_ENOTFOUND);
}

MP_TEST(a_key_that_is_there_twice_is_refused)
{
    int a = 0, b = 0;
    mp_assert_err(unpacks("\x82\xa1"
                          "a\x01\xa1"
                          "a\x02",
                          "{s:i}", "a", &a),
                  MP_ETYPE);
    mp_assert_err(unpacks("\x82\xa1"
                          "a\x01\xa1"
                          "a\x02",
                          "{s:i *}", "a", &a),
                  MP_EPROTO);
    mp_assert_err(unpacks("\x83\xa1"
                          "a\x01\xa1"
                          "b\x02\xa1"
                          "a\x03",
                          "{s:i s:i *}", "b", &b, "a", &a),
                  MP_EPROTO);
    mp_assert_ok(unpacks("\x83\xa1"
                         "a\x01\xa1"
                         "b\x02\xa1"
                         "a\x03",
                         "{s:i *}", "b", &b));
}

MP_TEST(bad_formats_say_where)
{
    static const struct {
        const char *format;
        size_t at;
    } bad[] = {{"q", 0},      {" z", 1},  {"[", 1},  {"]", 0},  {"[}", 1}, {"{]", 1},  {"{n:n}", 1},
               {"{[]:n}", 1}, {"b", 0},   {"O", 0},  {"n:", 1}, {"#", 0},  {"nn?", 3}, {"?n", 1},
               {"*", 0},      {"[*]", 1}, {"[n", 2}, {"_", 0},  {"%d", 0}};
    mp_buf b = {0};
    mp_assert_ok(mp_pack(&b, "n"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mp_assert_err(mp_pack(&b, bad[i].format), MP_EINVAL);
        ck_assert_msg(b.at == bad[i].at, "%s: at %zu: %s", bad[i].format, b.at, b.why);
        ck_assert_ptr_nonnull(b.why);
    }
    mp_assert_err(mp_pack(&b, "{i:n", 1), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "{i n}", 1), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "{i:}", 1), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "{i}", 1), MP_EINVAL);
    expect_bytes(&b, "\xc0", 1);
    mp_assert_err(mp_pack(NULL, "n"), MP_EINVAL);
    mp_assert_err((mp_pack_args)(&b, NULL, NULL), MP_EINVAL);
    mp_buf_free(&b);

    mp_unpack_error e;
    mp_assert_err(mp_unpack_with(NULL, &e, "\xc0", 1, "nq"), MP_ENOTFOUND);
    mp_assert_err(mp_unpack_with(NULL, &e, "\xc0\xc0", 2, "nq"), MP_EINVAL);
    ck_assert_uint_eq(e.at, 1);
    mp_assert_err(mp_unpack_with(NULL, &e, "\x90", 1, "[*n]"), MP_EINVAL);
    ck_assert_uint_eq(e.at, 2);
    mp_assert_err(mp_unpack_with(NULL, &e, "\x80", 1, "{*i:n}", 1), MP_EINVAL);
    mp_assert_err(mp_unpack_with(NULL, &e, "\x91\x01", 2, "[_"), MP_EINVAL);
    mp_assert_err(mp_unpack_with(NULL, &e, NULL, 1, "n"), MP_EINVAL);
    mp_assert_err((mp_unpack_args)(NULL, &e, "\xc0", 1, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_unpack_with(&(mp_unpack_opts){.depth = 33}, &e, "\xc0", 1, "n"), MP_EINVAL);
}

// Each of these would read or write through an argument that is no such address.
MP_TEST(arguments_of_other_types_are_refused_untouched)
{
    mp_buf b = {0};
    int i = 1;
    int64_t I = 2;
    unsigned u = 3;
    size_t n = 4;
    double d = 5;
    char text[8] = "x";
    const char *s = NULL;
    mp_assert_err(mp_pack(&b, "s", 1), MP_EINVAL);
    ck_assert_str_eq(b.why, "the argument is of another type");
    mp_assert_err(mp_pack(&b, "i", "x"), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "i", (int64_t)1), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "I", 1), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "U", (int64_t)1), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "d", 1), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "s#", "x", 1), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "s", &i), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "b#", 1, n), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "ii", 1), MP_EINVAL);
    ck_assert_str_eq(b.why, "too few arguments");
    mp_assert_err(mp_pack(&b, "i", 1, 2), MP_EINVAL);
    ck_assert_str_eq(b.why, "too many arguments");
    mp_assert_err(mp_pack(&b, "n", 1), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "s", NULL), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "s#", NULL, (size_t)1), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "{s:n}", NULL), MP_EINVAL);
    ck_assert_uint_eq(b.size, 0);
    mp_assert_ok(mp_pack(&b, "b# b# s", &d, sizeof d, &i, sizeof i, (void *)text));
    mp_buf_free(&b);

    mp_assert_err(unpacks("\x01", "i", i), MP_EINVAL);
    mp_assert_err(unpacks("\x01", "i", &I), MP_EINVAL);
    mp_assert_err(unpacks("\x01", "i", &u), MP_EINVAL);
    mp_assert_err(unpacks("\x01", "I", &i), MP_EINVAL);
    mp_assert_err(unpacks("\x01", "U", &I), MP_EINVAL);
    mp_assert_err(unpacks("\x01", "d", &i), MP_EINVAL);
    mp_assert_err(unpacks("\x01", "i"), MP_EINVAL);
    mp_assert_err(unpacks("\x01", "i", &i, &i), MP_EINVAL);
    mp_assert_err(unpacks("\x01", "i", (int *)NULL), MP_EINVAL);
    mp_assert_err(unpacks("\xc3", "t", &i), MP_EINVAL);
    mp_assert_err(unpacks("\xa1x", "s", &s), MP_EINVAL);
    mp_assert_err(unpacks("\xa1x", "s", text, 8), MP_EINVAL);
    mp_assert_err(unpacks("\xa1x", "s#", text, &n), MP_EINVAL);
    mp_assert_err(unpacks("\xa1x", "s#", &s, n), MP_EINVAL);
    mp_assert_err(unpacks("\xa1x", "s#", &s, &i), MP_EINVAL);
    mp_assert_err(unpacks("\x81\xa1x\x01", "{s:i}", 1, &i), MP_EINVAL);
    mp_assert_err(unpacks("\x81\xa1x\x01", "{s:i}", &i, "x"), MP_EINVAL);
    ck_assert(I == 2 && u == 3 && d == 5 && !s);
}

MP_TEST(a_failed_read_says_where)
{
    mp_buf b = {0};
    mp_unpack_error e;
    double x;
    int i;
    mp_assert_ok(mp_pack(&b, "{s:i s:{i:[d s]}}", "id", 7, "at", 3, 1.0, "two"));
    mp_assert_err(
        mp_unpack_with(NULL, &e, b.data, b.size, "{s:i s:{i:[dd]}}", "id", &i, "at", 3, &x, &x),
        MP_ETYPE);
    ck_assert_uint_eq(e.offset, 20);
    ck_assert_uint_eq(e.at, 12);
    ck_assert_str_eq(e.text, "in .at{3}[1], byte 20, format at 12: not a number");
    mp_assert_err(mp_unpack_with(NULL, &e, b.data, b.size, "{s:_ s:i}", "at", "nr", &i),
                  MP_ENOTFOUND);
    ck_assert_str_eq(e.text, "in .nr, byte 0, format at 5: the key is missing");
    mp_assert_err(mp_unpack_with(NULL, &e, b.data, b.size - 1, "_"), MP_EPROTO);
    ck_assert_uint_eq(e.offset, 20);
    // A key longer than the text is cut.
    char key[300] = "";
    memset(key, 'k', sizeof key - 1);
    mp_assert_err(mp_unpack_with(NULL, &e, b.data, b.size, "{s:i *}", key, &i), MP_ENOTFOUND);
    ck_assert_uint_lt(strlen(e.text), sizeof e.text);
    mp_assert_ok(mp_unpack_with(NULL, &e, b.data, b.size, "_"));
    ck_assert_str_eq(e.text, "");
    mp_buf_free(&b);
}

MP_TEST(what_is_packed_can_be_read_again)
{
    mp_buf b = {0}, deep = {0};
    // 16 deep is read, so 17 deep is not packed, in whatever way it comes about.
    mp_assert_ok(mp_pack(&deep, "[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]"));
    mp_assert_ok(mp_pack(&b, "[O#]", deep.data, deep.size));
    mp_assert_ok(mp_unpack(b.data, b.size, "_"));
    mp_buf_clear(&b);
    mp_assert_err(mp_pack(&b, "[[O#]]", deep.data, deep.size), MP_EDEPTH);
    mp_assert_err(mp_pack(&b, "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]"), MP_EDEPTH);
    mp_assert_err(mp_pack(&b, "{i:[O#]}", 1, deep.data, deep.size), MP_EDEPTH);
    mp_assert_err(mp_pack(&b, "O#", "\xc1", (size_t)1), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "O#", "\x01\x02", (size_t)2), MP_EINVAL);
    mp_assert_err(mp_pack(&b, "O#", "", (size_t)0), MP_EINVAL);
    ck_assert_uint_eq(b.size, 0);
    mp_buf_free(&b);
    mp_buf_free(&deep);
}

MP_TEST(counts_that_the_format_cannot_know)
{
    mp_buf b = {0};
    int sum = 0;
    mp_tree *t;
    mp_assert_ok(mp_pack_map(&b, 1));
    mp_assert_ok(mp_pack(&b, "s", "n"));
    mp_assert_ok(mp_pack_array(&b, 1000));
    for (int i = 0; i < 1000; i++)
        mp_assert_ok(mp_pack(&b, "i", i));
    mp_assert_ok(mp_tree_new(&t, b.data, b.size, NULL));
    const mp_item *n = mp_item_get(mp_tree_root(t), "n");
    ck_assert_uint_eq(mp_item_size(n), 1000);
    for (size_t i = 0; i < mp_item_size(n); i++) {
        int64_t v;
        mp_assert_ok(mp_item_int(mp_item_at(n, i), &v));
        sum += (int)v;
    }
    ck_assert_int_eq(sum, 499500);
    mp_tree_free(t);
    mp_assert_err(mp_pack_array(&b, (size_t)1 << 32), MP_EOVERFLOW);
    mp_assert_err(mp_pack_map(&b, SIZE_MAX), MP_EOVERFLOW);
    mp_assert_err(mp_pack_array(NULL, 1), MP_EINVAL);
    mp_buf_free(&b);
}

MP_TEST(buffers_grow_or_are_fixed)
{
    char room[8];
    mp_buf b = {.data = room, .capacity = sizeof room, .fixed = true}, big = {0};
    mp_assert_ok(mp_pack(&b, "s", "1234567"));
    mp_assert_err(mp_pack(&b, "n"), MP_EMSGSIZE);
    ck_assert_uint_eq(b.size, 8);
    mp_buf_clear(&b);
    mp_assert_err(mp_pack(&b, "s", "12345678"), MP_EMSGSIZE);
    ck_assert(b.size == 0 && b.data == room);
    mp_buf_free(&b); // nothing to release
    ck_assert_ptr_null(b.data);

    mp_buf moves = {.data = room, .capacity = sizeof room, .borrowed = true};
    mp_assert_ok(mp_pack(&moves, "s", "1234567"));
    ck_assert(moves.data == room && moves.borrowed);
    mp_assert_ok(mp_pack(&moves, "s", "8"));
    ck_assert(moves.data != room && !moves.borrowed);
    expect_bytes(&moves,
                 "\xa7"
                 "1234567\xa1"
                 "8",
                 10);
    mp_buf_free(&moves);
    moves = (mp_buf){.data = room, .capacity = sizeof room, .borrowed = true};
    mp_assert_ok(mp_pack(&moves, "n"));
    mp_buf_free(&moves); // nor here

    char *mega = calloc(1, 1 << 20);
    for (int i = 0; i < 3; i++)
        mp_assert_ok(mp_pack(&big, "b#", mega, (size_t)1 << 20));
    ck_assert_uint_eq(big.size, 3 * ((1 << 20) + 5));
    mp_assert_err(mp_pack(&big, "b#", mega, (size_t)1 << 32), MP_EOVERFLOW);
    mp_assert_err(mp_pack(&big, "s#", mega, SIZE_MAX), MP_EOVERFLOW);
    ck_assert_uint_eq(big.size, 3 * ((1 << 20) + 5));
    free(mega);
    mp_buf_free(&big);
    mp_buf_free(&big);
    mp_buf_free(NULL);
    mp_buf_clear(NULL);
}

// ---- trees ----------------------------------------------------------------------------

MP_TEST(a_tree_has_all_that_is_in_the_message)
{
    static const char m[] =
        "\x98\xc0\xc3\x05\xff\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xa2hi\xc4\x01z"
        "\x82\xa1k\x91\x07\x09\xcf\xff\xff\xff\xff\xff\xff\xff\xff";
    static const mp_item_type types[] = {MP_ITEM_NIL,    MP_ITEM_BOOL, MP_ITEM_INT, MP_ITEM_INT,
                                         MP_ITEM_DOUBLE, MP_ITEM_STR,  MP_ITEM_BIN, MP_ITEM_MAP};
    mp_tree *t;
    bool truth = false;
    int64_t i = 0;
    uint64_t u = 0;
    double d = 0;
    const void *data;
    size_t size;
    mp_assert_ok(mp_tree_new(&t, m, sizeof m - 1, NULL));
    const mp_item *root = mp_tree_root(t);
    ck_assert_int_eq(mp_item_typeof(root), MP_ITEM_ARRAY);
    ck_assert_uint_eq(mp_item_size(root), 8);
    for (size_t k = 0; k < 8; k++)
        ck_assert_int_eq(mp_item_typeof(mp_item_at(root, k)), types[k]);
    mp_assert_ok(mp_item_bool(mp_item_at(root, 1), &truth));
    ck_assert(truth);
    mp_assert_ok(mp_item_int(mp_item_at(root, 3), &i));
    ck_assert_int_eq(i, -1);
    mp_assert_err(mp_item_uint(mp_item_at(root, 3), &u), MP_EOVERFLOW);
    mp_assert_ok(mp_item_double(mp_item_at(root, 3), &d));
    ck_assert(d == -1);
    mp_assert_ok(mp_item_double(mp_item_at(root, 4), &d));
    ck_assert(d == 1.5);
    mp_assert_ok(mp_item_bytes(mp_item_at(root, 5), &data, &size));
    ck_assert(size == 2 && memcmp(data, "hi", 2) == 0 && (const char *)data > m);
    mp_assert_ok(mp_item_bytes(mp_item_at(root, 6), &data, &size));
    ck_assert(size == 1 && mp_item_size(mp_item_at(root, 6)) == 1);
    const mp_item *map = mp_item_at(root, 7);
    mp_assert_ok(mp_item_int(mp_item_at(mp_item_get(map, "k"), 0), &i));
    ck_assert_int_eq(i, 7);
    mp_assert_ok(mp_item_int(mp_item_key(map, 1), &i));
    ck_assert_int_eq(i, 9);
    mp_assert_ok(mp_item_uint(mp_item_at(map, 1), &u));
    ck_assert_uint_eq(u, UINT64_MAX);
    mp_assert_err(mp_item_int(mp_item_at(map, 1), &i), MP_EOVERFLOW);
    mp_assert_err(mp_item_double(mp_item_at(map, 1), &d), MP_EOVERFLOW);

    mp_tree *empty; // texts of no bytes have an address, too, and can be keys
    mp_assert_ok(mp_tree_new(&empty, "\x82\xa0\xc4\x00\x01\xa0", 6, NULL));
    const mp_item *nothing = mp_item_get(mp_tree_root(empty), "");
    mp_assert_ok(mp_item_bytes(nothing, &data, &size));
    ck_assert(data && size == 0 && mp_item_typeof(nothing) == MP_ITEM_BIN);
    mp_tree_free(empty);

    mp_buf b = {0}; // and gives it back
    mp_assert_ok(mp_item_pack(root, &b));
    expect_bytes(&b, m, sizeof m - 1);
    mp_buf_free(&b);
    mp_tree_free(t);
}

MP_TEST(wrong_questions_to_items_have_answers)
{
    mp_tree *t = (mp_tree *)1;
    const mp_item *none = NULL;
    bool truth;
    int64_t i;
    uint64_t u;
    double d;
    int8_t ext;
    const void *data;
    size_t size;
    mp_buf b = {0};
    mp_assert_err(mp_tree_new(NULL, "\xc0", 1, NULL), MP_EINVAL);
    mp_assert_err(mp_tree_new(&t, NULL, 1, NULL), MP_EINVAL);
    ck_assert_ptr_null(t);
    mp_assert_err(mp_tree_new(&t, "", 0, NULL), MP_EPROTO);
    mp_assert_err(mp_tree_new(&t, "\xc0\xc0", 2, NULL), MP_EPROTO);
    mp_tree_free(NULL);
    ck_assert_ptr_null(mp_tree_root(NULL));
    ck_assert_int_eq(mp_item_typeof(none), MP_ITEM_NONE);
    ck_assert_uint_eq(mp_item_size(none), 0);
    ck_assert(!mp_item_at(none, 0) && !mp_item_key(none, 0) && !mp_item_get(none, "a"));
    mp_assert_err(mp_item_bool(none, &truth), MP_ENOTFOUND);
    mp_assert_err(mp_item_int(none, &i), MP_ENOTFOUND);
    mp_assert_err(mp_item_uint(none, &u), MP_ENOTFOUND);
    mp_assert_err(mp_item_double(none, &d), MP_ENOTFOUND);
    mp_assert_err(mp_item_bytes(none, &data, &size), MP_ENOTFOUND);
    mp_assert_err(mp_item_ext(none, &ext), MP_ENOTFOUND);
    mp_assert_err(mp_item_pack(none, &b), MP_EINVAL);

    mp_assert_ok(mp_tree_new(&t, "\x92\xa1x\x81\xa1k\x01", 7, NULL));
    const mp_item *root = mp_tree_root(t), *text = mp_item_at(root, 0), *map = mp_item_at(root, 1);
    ck_assert(!mp_item_at(root, 2) && !mp_item_at(text, 0) && !mp_item_key(root, 0));
    ck_assert(!mp_item_key(map, 1) && !mp_item_get(map, "l") && !mp_item_get(map, NULL));
    ck_assert_ptr_null(mp_item_get(root, "x"));
    mp_assert_err(mp_item_int(text, &i), MP_ETYPE);
    mp_assert_err(mp_item_bool(text, &truth), MP_ETYPE);
    mp_assert_err(mp_item_double(text, &d), MP_ETYPE);
    mp_assert_err(mp_item_bytes(root, &data, &size), MP_ETYPE);
    mp_assert_err(mp_item_ext(text, &ext), MP_ETYPE);
    mp_assert_err(mp_item_int(text, NULL), MP_EINVAL);
    mp_assert_err(mp_item_bytes(text, &data, NULL), MP_EINVAL);
    mp_assert_err(mp_item_double(mp_item_at(map, 0), NULL), MP_EINVAL);
    mp_assert_err(mp_item_pack(text, NULL), MP_EINVAL);
    mp_tree_free(t);
}

MP_TEST(ext_values_are_for_those_who_ask)
{
    static const char m[] = "\x92\xd4\x05z\xc7\x00\xff";
    static const mp_unpack_opts with = {.ext = true};
    mp_tree *t;
    const void *data;
    size_t size;
    int8_t type = 0;
    mp_assert_err(mp_tree_new(&t, m, sizeof m - 1, NULL), MP_EPROTO);
    mp_assert_err(mp_unpack(m, sizeof m - 1, "_"), MP_EPROTO);
    mp_assert_ok(mp_unpack_with(&with, NULL, m, sizeof m - 1, "[O#*]", &data, &size));
    ck_assert(size == 3 && data == m + 1);
    mp_assert_ok(mp_tree_new(&t, m, sizeof m - 1, &with));
    mp_assert_ok(mp_item_ext(mp_item_at(mp_tree_root(t), 0), &type));
    ck_assert_int_eq(type, 5);
    mp_assert_ok(mp_item_ext(mp_item_at(mp_tree_root(t), 1), &type));
    ck_assert_int_eq(type, -1);
    mp_assert_ok(mp_item_bytes(mp_item_at(mp_tree_root(t), 0), &data, &size));
    ck_assert(size == 1 && *(const char *)data == 'z');
    mp_tree_free(t);
}

MP_TEST(a_call_may_have_32_arguments)
{
    mp_buf b = {0};
    int v[32];
    mp_assert_ok(mp_pack(&b, "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
                         11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
                         30, 31));
    mp_assert_ok(mp_unpack(b.data, b.size, "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii", v, v + 1, v + 2,
                           v + 3, v + 4, v + 5, v + 6, v + 7, v + 8, v + 9, v + 10, v + 11, v + 12,
                           v + 13, v + 14, v + 15, v + 16, v + 17, v + 18, v + 19, v + 20, v + 21,
                           v + 22, v + 23, v + 24, v + 25, v + 26, v + 27, v + 28, v + 29, v + 30,
                           v + 31));
    for (int i = 0; i < 32; i++)
        ck_assert_int_eq(v[i], i);
    mp_buf_free(&b);
}
