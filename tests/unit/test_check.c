// SPDX-License-Identifier: MIT
//
// The pre-scan, and what hostile messages come to: refused before anything is allocated,
// by the scan, by mp_unpack() and by mp_tree_new() alike.
#include "mptest.h"

#include "wire/check.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static const struct mp__wire_limits standard = {.depth = 16, .nodes = 65536, .ext = false};

// One message to all three; they must agree. Returns what they say.
static int refused(const void *data, size_t size)
{
    struct mp__wire_scan scan = {0};
    mp_tree *t;
    char *copy = malloc(size ? size : 1); // to its last byte, for AddressSanitizer
    memcpy(copy, data, size);
    int r = mp__wire_check(copy, size, &standard, &scan);
    if (r == 0 && scan.used != size)
        r = MP_EPROTO;
    int tree = mp_tree_new(&t, copy, size, NULL);
    int whole = mp_unpack_with(&(mp_unpack_opts){.nodes = 65536}, NULL, copy, size, "_");
    mp_tree_free(t);
    free(copy);
    ck_assert_int_eq(tree, r);
    ck_assert_msg(whole == r || (size == 0 && whole == MP_ENOTFOUND) ||
                      (r == MP_EPROTO && whole == MP_ETYPE),
                  "%s, but %s", mp_err_name(r), mp_err_name(whole));
    return r;
}

#define REFUSED(bytes) refused(bytes, sizeof bytes - 1)

// The numbers are those of the list of bad inputs that the manager must survive.
MP_TEST(known_attacks_are_refused)
{
    mp_assert_err(REFUSED(""), MP_EPROTO); // 1
    mp_assert_err(REFUSED("\xa3"
                          "ab"),
                  MP_EPROTO); // 3, a byte short
    mp_assert_err(REFUSED("\xa3"
                          "abcd"),
                  MP_EPROTO);                                      // 3, a byte long
    mp_assert_err(REFUSED("\xc1"), MP_EPROTO);                     // 8
    mp_assert_err(REFUSED("\x91\xc1"), MP_EPROTO);                 //
    mp_assert_err(REFUSED("\xdd\xff\xff\xff\xff"), MP_EPROTO);     // 9
    mp_assert_err(REFUSED("\xdd\x00\xff\xff\xff"), MP_EPROTO);     //
    mp_assert_err(REFUSED("\xdf\xff\xff\xff\xff"), MP_EPROTO);     // 10
    mp_assert_err(REFUSED("\xdf\x80\x00\x00\x00"), MP_EPROTO);     //
    mp_assert_err(REFUSED("\xdb\x00\x00\x00\x05half"), MP_EPROTO); // 13
    mp_assert_err(REFUSED("\xdb\xff\xff\xff\xff"), MP_EPROTO);
    mp_assert_err(REFUSED("\xc6\xff\xff\xff\xff"), MP_EPROTO);
    mp_assert_err(REFUSED("\xc7\x00\x01"), MP_EPROTO); // 14
    mp_assert_err(REFUSED("\xc9\xff\xff\xff\xff\x01"), MP_EPROTO);
    mp_assert_err(REFUSED("\xd6\xff\x00\x00\x00\x00"), MP_EPROTO); // 14, a timestamp
    mp_assert_err(REFUSED("\x01\x02"), MP_EPROTO);                 // 32
    mp_assert_ok(REFUSED("\x91\x01"));
}

// 28: keys that are no text, bytes or integer, and one of 500 KiB, which is only long.
MP_TEST(odd_keys_are_refused)
{
    mp_assert_err(REFUSED("\x81\xc0\x01"), MP_EPROTO);
    mp_assert_err(REFUSED("\x81\xc3\x01"), MP_EPROTO);
    mp_assert_err(REFUSED("\x81\x90\x01"), MP_EPROTO);
    mp_assert_err(REFUSED("\x81\x80\x01"), MP_EPROTO);
    mp_assert_err(REFUSED("\x81\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00\x01"), MP_EPROTO);
    mp_assert_err(REFUSED("\x82\x01\x02\xc0\x01"), MP_EPROTO); // the second key
    mp_assert_ok(REFUSED("\x83\x01\xc0\xa1k\x90\xc4\x01k\x80"));
    size_t size = 500 << 10;
    char *m = calloc(1, size + 7);
    memcpy(m, "\x81\xdb\x00\x07\xd0\x00", 6);
    mp_assert_ok(refused(m, size + 7));
    free(m);
}

// 12: as deep as allowed, and deeper.
MP_TEST(depth_is_limited)
{
    static char deep[100001];
    memset(deep, 0x91, sizeof deep);
    static const size_t depths[] = {15, 16, 17, 32, 33, 100000};
    for (size_t i = 0; i < 6; i++) {
        char saved = deep[depths[i]];
        deep[depths[i]] = (char)0xc0;
        mp_assert_err(refused(deep, depths[i] + 1), depths[i] <= 16 ? 0 : MP_EDEPTH);
        deep[depths[i]] = saved;
    }
    // An empty one counts, too; and maps as much as arrays.
    deep[16] = (char)0x90;
    mp_assert_err(refused(deep, 17), MP_EDEPTH);
    for (int i = 0; i < 17; i++)
        memcpy(deep + 2 * i, "\x81\x01", 2);
    deep[32] = (char)0xc0;
    mp_assert_ok(refused(deep, 33));
    deep[32] = (char)0x80;
    mp_assert_err(refused(deep, 33), MP_EDEPTH);
}

// All that msgpack-c can do is 32, and the option goes up to there.
MP_TEST(depth_is_an_option)
{
    char deep[40];
    mp_tree *t;
    memset(deep, 0x91, sizeof deep);
    deep[32] = (char)0xc0;
    mp_assert_ok(mp_tree_new(&t, deep, 33, &(mp_unpack_opts){.depth = 32}));
    mp_tree_free(t);
    mp_assert_err(mp_tree_new(&t, deep, 33, &(mp_unpack_opts){.depth = 31}), MP_EDEPTH);
    mp_assert_err(mp_tree_new(&t, deep, 33, &(mp_unpack_opts){.depth = 33}), MP_EINVAL);
    mp_assert_err(mp_tree_new(&t, deep, 33, NULL), MP_EDEPTH);
    mp_assert_ok(mp_unpack_with(&(mp_unpack_opts){.depth = 1}, NULL, "\x91\xc0", 2, "[n]"));
    mp_assert_err(mp_unpack_with(&(mp_unpack_opts){.depth = 1}, NULL, "\x91\x90", 2, "[_]"),
                  MP_EDEPTH);
}

// 11: 31 arrays in one another that promise 2^20 elements each: 155 bytes, a GiB.
MP_TEST(promises_cost_no_memory)
{
    char m[155];
    mp_tree *t;
    for (int i = 0; i < 31; i++)
        memcpy(m + 5 * i, "\xdd\x00\x10\x00\x00", 5);
    mp_assert_err(refused(m, sizeof m), MP_EPROTO);
    mp_assert_err(mp_tree_new(&t, m, sizeof m, &(mp_unpack_opts){.depth = 32}), MP_EPROTO);

    // Counts that the bytes could just hold, if they were not counted twice.
    char *twice = malloc(1 << 20);
    memset(twice, 0xc0, 1 << 20);
    for (int i = 0; i < 15; i++)
        memcpy(twice + 5 * i, "\xdd\x00\x0f\xff\x00", 5);
    mp_assert_err(mp_tree_new(&t, twice, 1 << 20, &(mp_unpack_opts){.nodes = SIZE_MAX}), MP_EPROTO);
    free(twice);
}

MP_TEST(the_number_of_values_is_limited)
{
    enum { N = 65536 };
    char *m = malloc(N + 5);
    int *none = NULL;
    mp_tree *t;
    memset(m, 0xc0, N + 5);
    memcpy(m, "\xdd\x00\x00\xff\xff", 5); // with the array itself: 65,536
    mp_assert_ok(refused(m, 5 + N - 1));
    memcpy(m, "\xdd\x00\x01\x00\x00", 5);
    mp_assert_err(refused(m, 5 + N), MP_EMSGSIZE);
    mp_assert_ok(mp_unpack(m, 5 + N, "_"));
    mp_assert_ok(mp_tree_new(&t, m, 5 + N, &(mp_unpack_opts){.nodes = N + 1}));
#if !MPTEST_ASAN && !MPTEST_TSAN
    struct mallinfo2 with = mallinfo2();
    mp_tree_free(t);
    struct mallinfo2 without = mallinfo2();
    size_t bytes = with.uordblks + with.hblkhd - without.uordblks - without.hblkhd;
    ck_assert_msg(bytes <= 48 * (size_t)N + (64 << 10), "%zu bytes", bytes);
#else
    mp_tree_free(t);
#endif
    free(m);
    // Of several values beside one another the sum counts.
    mp_assert_ok(mp_unpack_with(&(mp_unpack_opts){.nodes = 2}, NULL, "\xc0\xc0", 2, "nn"));
    mp_assert_err(
        mp_unpack_with(&(mp_unpack_opts){.nodes = 2}, NULL, "\xc0\xc0\xc0", 3, "nn?i", none),
        MP_EMSGSIZE);
}

// 24: what a timeout may be, if it comes in a message.
MP_TEST(numbers_that_are_no_timeouts_are_refused)
{
    int ms;
    mp_assert_err(mp_unpack("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", 9, "i", &ms), MP_ETYPE);
    mp_assert_err(mp_unpack("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", 9, "i", &ms), MP_ETYPE);
    mp_assert_err(mp_unpack("\xcf\x00\x20\x00\x00\x00\x00\x00\x01", 9, "i", &ms), MP_EOVERFLOW);
    mp_assert_err(mp_unpack("\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9, "i", &ms), MP_EOVERFLOW);
    mp_assert_err(mp_unpack("\xff", 1, "u", (unsigned *)&(unsigned){0}), MP_EOVERFLOW);
}

MP_TEST(elements_are_found_without_reading_them)
{
    static const char m[] =
        "\x95\x01\xa2hi\x92\x01\x02\x81\xa1k\x90\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00";
    static const struct mp__wire_element want[] = {{MP_ITEM_INT, 1, 1},
                                                   {MP_ITEM_STR, 2, 3},
                                                   {MP_ITEM_ARRAY, 5, 3},
                                                   {MP_ITEM_MAP, 8, 4},
                                                   {MP_ITEM_DOUBLE, 12, 9}};
    for (size_t room = 0; room <= 6; room++) {
        struct mp__wire_element e[6] = {{0}};
        struct mp__wire_scan scan = {.elements = e, .room = room};
        mp_assert_ok(mp__wire_check(m, sizeof m - 1, &standard, &scan));
        ck_assert_uint_eq(scan.count, 5);
        ck_assert_uint_eq(scan.used, sizeof m - 1);
        ck_assert_uint_eq(scan.nodes, 10);
        for (size_t i = 0; i < 5; i++) {
            ck_assert_uint_eq(e[i].size, i < room ? want[i].size : 0);
            if (i < room)
                ck_assert(e[i].type == want[i].type && e[i].offset == want[i].offset);
        }
    }
    struct mp__wire_scan scan = {0}; // no array: no elements
    mp_assert_ok(mp__wire_check("\x81\x01\x02", 3, &standard, &scan));
    ck_assert_uint_eq(scan.count, 0);
    mp_assert_ok(mp__wire_check("\x90\xff", 2, &standard, &scan));
    ck_assert(scan.count == 0 && scan.used == 1);
}

// ---- a message of 200 bytes, damaged in every way -------------------------------------------

static void make_message(mp_buf *b)
{
    static const char blob[60] = "\x00\xff\xc1\xdd";
    mp_assert_ok(mp_pack(b, "{s:i s:[d,d,d] s:s s:b# s:{i:I,i:U} s:[ntt[u[]]] s:s}", "id", 70000,
                         "at", 1.5, -2.5, 1e300, "name", "a name that is long enough for str8",
                         "blob", blob, sizeof blob, "map", 1, INT64_MIN, 2, UINT64_MAX, "list",
                         true, false, 77u, "end", "0123456789"));
    ck_assert_uint_ge(b->size, 200);
}

// Reads it in every way there is. Any answer will do, but not a byte outside.
static int read_message(const void *data, size_t size)
{
    int id;
    double x, y, z;
    char name[64];
    const void *blob;
    const char *end;
    size_t blob_size, end_size;
    int64_t I;
    uint64_t U;
    bool t, f;
    unsigned u;
    mp_unpack_error e;
    int r =
        mp_unpack_with(NULL, &e, data, size, "{s:i s:[ddd] s:s s:b# s:{i:I,i:U} s:[ntt[u[]]] s:s#}",
                       "id", &id, "at", &x, &y, &z, "name", name, sizeof name, "blob", &blob,
                       &blob_size, "map", 1, &I, 2, &U, "list", &t, &f, &u, "end", &end, &end_size);
    if (r == 0) {
        const char *last = (const char *)data + size;
        ck_assert((const char *)blob + blob_size <= last && end + end_size <= last);
    }
    ck_assert(r == 0 || e.text[0]);
    return r;
}

// From memory of exactly its size, so that AddressSanitizer sees a byte too far.
static int read_copy(const char *data, size_t size, bool *well_formed)
{
    char *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    int r = read_message(copy, size);
    mp_tree *t;
    int tree = mp_tree_new(&t, copy, size, NULL);
    ck_assert_int_ne(tree, MP_EBUG); // what the scan lets through, msgpack-c takes
    *well_formed = tree == 0;
    mp_tree_free(t);
    free(copy);
    return r;
}

MP_TEST(a_message_cut_anywhere_is_refused)
{
    mp_buf b = {0};
    bool well_formed;
    make_message(&b);
    mp_assert_ok(read_copy(b.data, b.size, &well_formed));
    ck_assert(well_formed);
    for (size_t size = 1; size < b.size; size++) {
        mp_assert_err(read_copy(b.data, size, &well_formed), MP_EPROTO);
        ck_assert(!well_formed);
    }
    mp_assert_err(read_copy(b.data, 0, &well_formed), MP_ENOTFOUND);
    mp_buf_free(&b);
}

MP_TEST(every_bit_may_flip)
{
    mp_buf b = {0};
    bool well_formed;
    int good = 0, bad = 0;
    make_message(&b);
    for (size_t bit = 0; bit < 8 * b.size; bit++) {
        char *byte = (char *)b.data + bit / 8, saved = *byte;
        *byte = (char)(saved ^ 1 << bit % 8);
        int r = read_copy(b.data, b.size, &well_formed);
        ck_assert(well_formed || r < 0);
        r == 0 ? good++ : bad++;
        *byte = saved;
    }
    // Most bits are in values, which may be anything; the others must be noticed.
    ck_assert_msg(good > 200 && bad > 200, "%d good, %d bad", good, bad);
    mp_buf_free(&b);
}
