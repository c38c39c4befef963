// SPDX-License-Identifier: MIT
//
// What each type of a manager does, call by call, as its clients see it. The invariants of the
// core are checked after each.
#include "mgr.h"

#define ASK(p, o, interface, name, ...) mgr_ask(p, MP__OP(interface, name), o, -1, __VA_ARGS__)
#define TRY(p, o, interface, name, ...) mgr_ask(p, MP__OP(interface, name), o, 0, __VA_ARGS__)

MP_TEST(list_is_pythons)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t l = mgr_create(p, "s [iii]", "list", 1, 2, 3);
    mp_assert_ok(ASK(p, l, LIST, append, "s", "x"));
    mp_assert_ok(ASK(p, l, LIST, extend, "[id]", 5, 6.5));
    mp_assert_ok(ASK(p, l, LIST, insert, "i i", -100, 0));
    mp_assert_ok(ASK(p, l, LIST, insert, "i i", 100, 9));
    mp_assert_ok(ASK(p, l, LIST, copy, ""));
    ck_assert(mgr_equals(p, "[iiii s i d i]", 0, 1, 2, 3, "x", 5, 6.5, 9));
    mp_assert_ok(ASK(p, l, LIST, get, "i", -1));
    ck_assert_int_eq(mgr_int(p), 9);
    mp_assert_err(ASK(p, l, LIST, get, "i", 8), MP_EINDEX);
    mp_assert_err(ASK(p, l, LIST, get, "i", -9), MP_EINDEX);
    mp_assert_err(ASK(p, l, LIST, get, "I", INT64_MIN), MP_EINDEX);
    mp_assert_ok(ASK(p, l, LIST, set, "i i", 4, 4));
    mp_assert_ok(ASK(p, l, LIST, index, "i", 4));
    ck_assert_int_eq(mgr_int(p), 4);
    mp_assert_err(ASK(p, l, LIST, index, "i i", 4, 5), MP_ENOTFOUND);
    mp_assert_ok(ASK(p, l, LIST, index, "i i i", 4, -5, -1));
    mp_assert_ok(ASK(p, l, LIST, pop, ""));
    ck_assert_int_eq(mgr_int(p), 9);
    mp_assert_ok(ASK(p, l, LIST, pop, "i", 0));
    ck_assert_int_eq(mgr_int(p), 0);
    mp_assert_ok(ASK(p, l, LIST, remove, "i", 2));
    mp_assert_err(ASK(p, l, LIST, remove, "i", 2), MP_ENOTFOUND);
    mp_assert_ok(ASK(p, l, LIST, contains, "i", 3));
    ck_assert(mgr_true(p));
    mp_assert_ok(ASK(p, l, LIST, reverse, ""));
    mp_assert_ok(ASK(p, l, LIST, copy, ""));
    ck_assert(mgr_equals(p, "[d iiii]", 6.5, 5, 4, 3, 1));
    mp_assert_ok(ASK(p, l, LIST, sort, ""));
    mp_assert_ok(ASK(p, l, LIST, copy, ""));
    ck_assert(mgr_equals(p, "[iiii d]", 1, 3, 4, 5, 6.5));
    mp_assert_ok(ASK(p, l, LIST, reversed, ""));
    ck_assert(mgr_equals(p, "[d iiii]", 6.5, 5, 4, 3, 1));
    mp_assert_ok(ASK(p, l, LIST, len, ""));
    ck_assert_int_eq(mgr_int(p), 5);
    mp_assert_ok(ASK(p, l, LIST, count, "i", 5));
    ck_assert_int_eq(mgr_int(p), 1);
    mp_assert_ok(ASK(p, l, LIST, del, "i", 0));
    mp_assert_ok(ASK(p, l, LIST, get_many, "[ii]", 0, -1));
    ck_assert(mgr_equals(p, "[i d]", 3, 6.5));
    mp_assert_ok(ASK(p, l, LIST, incr, "i i", 0, 10));
    ck_assert_int_eq(mgr_int(p), 13);
    mp_assert_ok(ASK(p, l, LIST, compare_and_set, "i i i", 0, 13, 14));
    ck_assert(mgr_true(p));
    mp_assert_ok(ASK(p, l, LIST, compare_and_set, "i i i", 0, 13, 15));
    ck_assert(!mgr_true(p));
    mp_assert_ok(ASK(p, l, LIST, clear, ""));
    mp_assert_err(ASK(p, l, LIST, pop, ""), MP_EINDEX);
    mgr_gone(p);
    mgr_free(m);
}

MP_TEST(list_slices_are_pythons)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t l = mgr_create(p, "s [iiiiii]", "list", 0, 1, 2, 3, 4, 5);
    mp_assert_ok(ASK(p, l, LIST, slice, "i i", 1, -1));
    ck_assert(mgr_equals(p, "[iiii]", 1, 2, 3, 4));
    mp_assert_ok(ASK(p, l, LIST, slice, "n n i", -2));
    ck_assert(mgr_equals(p, "[iii]", 5, 3, 1));
    mp_assert_ok(ASK(p, l, LIST, slice, "I I I", INT64_MIN, INT64_MAX, INT64_MAX));
    ck_assert(mgr_equals(p, "[i]", 0));
    mp_assert_ok(ASK(p, l, LIST, slice, "I I I", INT64_MAX, INT64_MIN, INT64_MIN));
    ck_assert(mgr_equals(p, "[i]", 5));
    mp_assert_err(ASK(p, l, LIST, slice, "i i i", 0, 1, 0), MP_EINVAL);
    mp_assert_ok(ASK(p, l, LIST, set_slice, "i i [i]", 1, 3, 9));
    mp_assert_ok(ASK(p, l, LIST, copy, ""));
    ck_assert(mgr_equals(p, "[iiiii]", 0, 9, 3, 4, 5));
    mp_assert_err(ASK(p, l, LIST, set_slice, "i i [i] i", 0, 5, 9, 2), MP_EINVAL);
    mp_assert_ok(ASK(p, l, LIST, set_slice, "i i [iii] i", 0, 5, 7, 8, 9, 2));
    mp_assert_ok(ASK(p, l, LIST, copy, ""));
    ck_assert(mgr_equals(p, "[iiiii]", 7, 9, 8, 4, 9));
    mp_assert_ok(ASK(p, l, LIST, del_slice, "n n i", -2));
    mp_assert_ok(ASK(p, l, LIST, copy, ""));
    ck_assert(mgr_equals(p, "[ii]", 9, 4));
    mp_assert_ok(ASK(p, l, LIST, repeat, "i", 2));
    mp_assert_ok(ASK(p, l, LIST, concat, "[s]", "e"));
    ck_assert(mgr_equals(p, "[iiii s]", 9, 4, 9, 4, "e"));
    mp_assert_ok(ASK(p, l, LIST, repeated, "i", 0));
    ck_assert(mgr_equals(p, "[]"));
    mp_assert_err(ASK(p, l, LIST, repeated, "I", INT64_MAX), MP_EMSGSIZE);
    mp_assert_err(ASK(p, l, LIST, repeat, "I", (int64_t)1 << 28), MP_EQUOTA);
    mp_assert_ok(ASK(p, l, LIST, len, ""));
    ck_assert_int_eq(mgr_int(p), 4);
    mp_assert_ok(ASK(p, l, LIST, sort, "t", true));
    mp_assert_ok(ASK(p, l, LIST, copy, ""));
    ck_assert(mgr_equals(p, "[iiii]", 9, 9, 4, 4));
    mp_assert_ok(ASK(p, l, LIST, append, "s", "t"));
    mp_assert_err(ASK(p, l, LIST, sort, ""), MP_ETYPE);
    mgr_gone(p);
    mgr_free(m);
}

MP_TEST(dict_is_pythons_and_more)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t d = mgr_create(p, "s {s:i}", "dict", "a", 1);
    mp_assert_ok(ASK(p, d, DICT, set, "s s", "b", "two"));
    mp_assert_ok(ASK(p, d, DICT, set, "i n", 3));
    mp_assert_ok(ASK(p, d, DICT, get, "s", "b"));
    ck_assert(mgr_equals(p, "s", "two"));
    mp_assert_err(ASK(p, d, DICT, get, "s", "c"), MP_ENOTFOUND);
    mp_assert_ok(ASK(p, d, DICT, get, "s i", "c", 5));
    ck_assert_int_eq(mgr_int(p), 5);
    mp_assert_ok(ASK(p, d, DICT, get, "s n", "c"));
    mp_assert_ok(ASK(p, d, DICT, contains, "i", 3));
    ck_assert(mgr_true(p));
    mp_assert_ok(ASK(p, d, DICT, keys, ""));
    ck_assert(mgr_equals(p, "[ssi]", "a", "b", 3));
    mp_assert_ok(ASK(p, d, DICT, values, ""));
    ck_assert(mgr_equals(p, "[isn]", 1, "two"));
    mp_assert_ok(ASK(p, d, DICT, items, ""));
    ck_assert(mgr_equals(p, "[[si][ss][in]]", "a", 1, "b", "two", 3));
    mp_assert_ok(ASK(p, d, DICT, popitem, ""));
    ck_assert(mgr_equals(p, "[in]", 3));
    mp_assert_ok(ASK(p, d, DICT, setdefault, "s i", "a", 9));
    ck_assert_int_eq(mgr_int(p), 1);
    mp_assert_ok(ASK(p, d, DICT, setdefault, "s i", "z", 9));
    ck_assert_int_eq(mgr_int(p), 9);
    mp_assert_ok(ASK(p, d, DICT, update, "{s:i s:i}", "z", 26, "y", 25));
    mp_assert_ok(ASK(p, d, DICT, copy, ""));
    ck_assert(mgr_equals(p, "{s:i s:s s:i s:i}", "a", 1, "b", "two", "z", 26, "y", 25));
    mp_assert_ok(ASK(p, d, DICT, reversed, ""));
    ck_assert(mgr_equals(p, "[ssss]", "y", "z", "b", "a"));
    mp_assert_ok(ASK(p, d, DICT, merged, "{s:i s:i}", "n", 0, "a", 2));
    ck_assert(mgr_equals(p, "{s:i s:s s:i s:i s:i}", "a", 2, "b", "two", "z", 26, "y", 25, "n", 0));
    mp_assert_ok(ASK(p, d, DICT, fromkeys, "[sss] i", "p", "q", "p", 7));
    ck_assert(mgr_equals(p, "{s:i s:i}", "p", 7, "q", 7));
    mp_assert_ok(ASK(p, d, DICT, incr, "s", "a"));
    ck_assert_int_eq(mgr_int(p), 2);
    mp_assert_ok(ASK(p, d, DICT, incr, "s I", "new", INT64_MAX));
    mp_assert_err(ASK(p, d, DICT, incr, "s", "new"), MP_EOVERFLOW); // 38
    mp_assert_err(ASK(p, d, DICT, incr, "s", "b"), MP_ETYPE);
    mp_assert_ok(ASK(p, d, DICT, compare_and_set, "s s s", "b", "two", "2"));
    ck_assert(mgr_true(p));
    mp_assert_ok(ASK(p, d, DICT, compare_and_set, "s s s", "b", "two", "3"));
    ck_assert(!mgr_true(p));
    mp_assert_err(ASK(p, d, DICT, compare_and_set, "s s s", "?", "two", "3"), MP_ENOTFOUND);
    mp_assert_ok(ASK(p, d, DICT, compare_and_del, "s s", "b", "2"));
    ck_assert(mgr_true(p));
    mp_assert_ok(ASK(p, d, DICT, get_many, "[sss]", "a", "b", "y"));
    ck_assert(mgr_equals(p, "[ini]", 2, 25));
    mp_assert_ok(ASK(p, d, DICT, del_many, "[sss]", "a", "b", "y"));
    ck_assert_int_eq(mgr_int(p), 2);
    mp_assert_ok(ASK(p, d, DICT, exchange, "s i", "z", 1));
    ck_assert_int_eq(mgr_int(p), 26);
    mp_assert_ok(ASK(p, d, DICT, pop, "s", "z"));
    mp_assert_err(ASK(p, d, DICT, pop, "s", "z"), MP_ENOTFOUND);
    mp_assert_ok(ASK(p, d, DICT, pop, "s s", "z", "dflt"));
    mp_assert_err(ASK(p, d, DICT, del, "s", "z"), MP_ENOTFOUND);
    mp_assert_ok(ASK(p, d, DICT, clear, ""));
    mp_assert_ok(ASK(p, d, DICT, len, ""));
    ck_assert_int_eq(mgr_int(p), 0);
    mp_assert_err(ASK(p, d, DICT, popitem, ""), MP_ENOTFOUND);
    mgr_gone(p);
    mgr_free(m);
}

// The same key however it is packed.
MP_TEST(keys_have_one_form)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t d = mgr_create(p, "s", "dict");
    mp_assert_ok(ASK(p, d, DICT, set, "O# i", "\xcd\x00\x05", (size_t)3, 1)); // 5
    mp_assert_ok(ASK(p, d, DICT, get, "i", 5));
    mp_assert_ok(ASK(p, d, DICT, set, "O# i", "\xda\x00\x01k", (size_t)4, 2)); // "k"
    mp_assert_ok(ASK(p, d, DICT, get, "s", "k"));
    mp_assert_ok(
        ASK(p, d, DICT, set, "O# i", "\xd3\xff\xff\xff\xff\xff\xff\xff\xff", (size_t)9, 3));
    mp_assert_ok(ASK(p, d, DICT, get, "i", -1));
    mp_assert_ok(ASK(p, d, DICT, set, "O# i", "\xc6\x00\x00\x00\x01k", (size_t)6, 4)); // bytes
    mp_assert_ok(ASK(p, d, DICT, get, "b#", "k", (size_t)1));
    ck_assert_int_eq(mgr_int(p), 4);
    mp_assert_ok(ASK(p, d, DICT, len, ""));
    ck_assert_int_eq(mgr_int(p), 4);
    char longest[300];
    memset(longest, 'x', sizeof longest);
    mp_assert_err(ASK(p, d, DICT, set, "s# i", longest, (size_t)300, 1), MP_EMSGSIZE);
    mp_assert_ok(ASK(p, d, DICT, set, "s# i", longest, (size_t)255, 1));
    mgr_gone(p);
    mgr_free(m);
}

// A key that is there all the time comes exactly once, while others come and go.
MP_TEST(scan_sees_each_key_once)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t d = mgr_create(p, "s", "dict"), cursor = 0;
    int seen[200] = {0};
    for (int i = 0; i < 200; i++)
        mp_assert_ok(ASK(p, d, DICT, set, "i i", i, i));
    do {
        const void *keys, *values;
        size_t n, n_values;
        mp_assert_ok(ASK(p, d, DICT, scan, "U u", cursor, 7u));
        mp_assert_ok(mgr_value(p, "[U O# O#]", &cursor, &keys, &n, &values, &n_values));
        mp_tree *t;
        mp_assert_ok(mp_tree_new(&t, keys, n, NULL));
        for (size_t i = 0; i < mp_item_size(mp_tree_root(t)); i++) {
            int64_t k;
            mp_assert_ok(mp_item_int(mp_item_at(mp_tree_root(t), i), &k));
            if (k < 200)
                seen[k]++;
            if (k % 2) // odd ones go, others come
                mp_assert_ok(ASK(p, d, DICT, del, "I", k));
            if (k % 2 && k < 200)
                mp_assert_ok(ASK(p, d, DICT, set, "I i", k + 1000, 0));
        }
        mp_tree_free(t);
    } while (cursor);
    for (int i = 0; i < 200; i++)
        ck_assert_int_eq(seen[i], 1);
    mgr_gone(p);
    mgr_free(m);
}

MP_TEST(set_is_pythons)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t s = mgr_create(p, "s [iiid]", "set", 1, 2, 2, 0.5);
    mp_assert_ok(ASK(p, s, SET, len, ""));
    ck_assert_int_eq(mgr_int(p), 3);
    mp_assert_ok(ASK(p, s, SET, add, "[ii]", 1, 2));
    ck_assert(mgr_true(p));
    mp_assert_ok(ASK(p, s, SET, add, "i", 1));
    ck_assert(!mgr_true(p));
    mp_assert_ok(ASK(p, s, SET, discard, "d", 0.5));
    ck_assert(mgr_true(p));
    mp_assert_err(ASK(p, s, SET, remove, "d", 0.5), MP_ENOTFOUND);
    mp_assert_ok(ASK(p, s, SET, pop, ""));
    ck_assert(mgr_equals(p, "[ii]", 1, 2));
    mp_assert_ok(ASK(p, s, SET, union, "[ii] [i]", 2, 3, 4));
    ck_assert(mgr_equals(p, "[iiii]", 1, 2, 3, 4));
    mp_assert_ok(ASK(p, s, SET, intersection, "[ii] [ii]", 2, 3, 2, 2));
    ck_assert(mgr_equals(p, "[i]", 2));
    mp_assert_ok(ASK(p, s, SET, difference, "[ii]", 2, 3));
    ck_assert(mgr_equals(p, "[i]", 1));
    mp_assert_ok(ASK(p, s, SET, symmetric_difference, "[ii]", 2, 3));
    ck_assert(mgr_equals(p, "[ii]", 1, 3));
    mp_assert_ok(ASK(p, s, SET, issubset, "[iii]", 1, 2, 3));
    ck_assert(mgr_true(p));
    mp_assert_ok(ASK(p, s, SET, issuperset, "[iii]", 1, 2, 3));
    ck_assert(!mgr_true(p));
    mp_assert_ok(ASK(p, s, SET, isdisjoint, "[i]", 7));
    ck_assert(mgr_true(p));
    mp_assert_ok(ASK(p, s, SET, update, "[ii]", 3, 4));
    mp_assert_ok(ASK(p, s, SET, symmetric_difference_update, "[ii]", 4, 5));
    mp_assert_ok(ASK(p, s, SET, copy, ""));
    ck_assert(mgr_equals(p, "[iiii]", 1, 2, 3, 5));
    mp_assert_ok(ASK(p, s, SET, intersection_update, "[iii]", 1, 2, 3));
    mp_assert_ok(ASK(p, s, SET, difference_update, "[i]", 1));
    mp_assert_ok(ASK(p, s, SET, copy, ""));
    ck_assert(mgr_equals(p, "[ii]", 2, 3));
    mp_assert_ok(ASK(p, s, SET, contains, "i", 3));
    ck_assert(mgr_true(p));
    mp_assert_ok(ASK(p, s, SET, clear, ""));
    mp_assert_err(ASK(p, s, SET, pop, ""), MP_ENOTFOUND);
    struct mgr_ref r = mgr_ref(s);
    mp_assert_err(ASK(p, s, SET, add, "O#", r.bytes, sizeof r.bytes), MP_ETYPE);
    mgr_gone(p);
    mgr_free(m);
}

MP_TEST(namespace_value_array_counter)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t n = mgr_create(p, "s {s:i}", "Namespace", "x", 1);
    mp_assert_ok(ASK(p, n, NAMESPACE, set, "s d", "y", 2.5));
    mp_assert_ok(ASK(p, n, NAMESPACE, get, "s", "x"));
    mp_assert_ok(ASK(p, n, NAMESPACE, del, "s", "x"));
    mp_assert_err(ASK(p, n, NAMESPACE, get, "s", "x"), MP_ENOTFOUND);
    mp_assert_err(ASK(p, n, NAMESPACE, set, "i i", 1, 1), MP_ETYPE);
    mp_assert_ok(ASK(p, n, NAMESPACE, dir, ""));
    ck_assert(mgr_equals(p, "[s]", "y"));
    mp_assert_ok(ASK(p, n, NAMESPACE, copy, ""));
    ck_assert(mgr_equals(p, "{s:d}", "y", 2.5));

    uint64_t v = mgr_create(p, "s s i", "Value", "b", 127);
    mp_assert_err(ASK(p, v, VALUE, incr, ""), MP_EOVERFLOW);
    mp_assert_err(ASK(p, v, VALUE, set, "d", 1.5), MP_ETYPE);
    mp_assert_ok(ASK(p, v, VALUE, incr, "i", -1));
    ck_assert_int_eq(mgr_int(p), 126);
    mp_assert_ok(ASK(p, v, VALUE, exchange, "i", 5));
    ck_assert_int_eq(mgr_int(p), 126);
    mp_assert_ok(ASK(p, v, VALUE, compare_and_set, "i i", 5, 6));
    ck_assert(mgr_true(p));
    uint64_t any = mgr_create(p, "s", "Value");
    mp_assert_ok(ASK(p, any, VALUE, set, "{s:[i]}", "k", 1));
    mp_assert_ok(ASK(p, any, VALUE, get, ""));
    ck_assert(mgr_equals(p, "{s:[i]}", "k", 1));

    uint64_t a = mgr_create(p, "s s i", "Array", "i", 4);
    mp_assert_ok(ASK(p, a, ARRAY, set, "i i", -1, 7));
    mp_assert_err(ASK(p, a, ARRAY, set, "i I", 0, (int64_t)1 << 31), MP_EOVERFLOW);
    mp_assert_err(ASK(p, a, ARRAY, set, "i i", 4, 7), MP_EINDEX);
    mp_assert_ok(ASK(p, a, ARRAY, set_slice, "i i [ii]", 0, 2, 1, 2));
    mp_assert_err(ASK(p, a, ARRAY, set_slice, "i i [ii]", 0, 1, 1, 2), MP_EINVAL);
    mp_assert_ok(ASK(p, a, ARRAY, incr, "i i", 1, 5));
    mp_assert_ok(ASK(p, a, ARRAY, copy, ""));
    ck_assert(mgr_equals(p, "[iiii]", 1, 7, 0, 7));
    mp_assert_ok(ASK(p, a, ARRAY, slice, "n n i", 2));
    ck_assert(mgr_equals(p, "[ii]", 1, 0));
    mp_assert_ok(ASK(p, a, ARRAY, compare_and_set, "i i i", 0, 1, 2));
    ck_assert(mgr_true(p));
    mp_assert_ok(ASK(p, a, ARRAY, len, ""));
    mp_assert_ok(ASK(p, a, ARRAY, type, ""));
    ck_assert(mgr_equals(p, "s", "i"));
    mp_assert_err(
        mgr_ask(p, MP__OP(MANAGER, create), 0, 0, "s s I", "Array", "d", (int64_t)1 << 40),
        MP_EQUOTA);
    mp_assert_err(mgr_ask(p, MP__OP(MANAGER, create), 0, 0, "s s i", "Array", "d", -1), MP_EINVAL);
    mp_assert_err(mgr_ask(p, MP__OP(MANAGER, create), 0, 0, "s s [s]", "Array", "d", "x"),
                  MP_ETYPE);

    uint64_t c = mgr_create(p, "s i", "counter", 40);
    mp_assert_ok(ASK(p, c, COUNTER, add, "i", 2));
    ck_assert_int_eq(mgr_int(p), 42);
    mp_assert_err(ASK(p, c, COUNTER, add, "I", INT64_MAX), MP_EOVERFLOW);
    mp_assert_ok(ASK(p, c, COUNTER, compare_and_set, "i i", 42, 1));
    mp_assert_ok(ASK(p, c, COUNTER, exchange, "i", 9));
    ck_assert_int_eq(mgr_int(p), 1);
    mp_assert_ok(ASK(p, c, COUNTER, set, "i", 0));
    mp_assert_ok(ASK(p, c, COUNTER, get, ""));
    ck_assert_int_eq(mgr_int(p), 0);
    mgr_gone(p);
    mgr_free(m);
}

// ---- queues ----------------------------------------------------------------------------

MP_TEST(queues_keep_their_order)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t fifo = mgr_create(p, "s", "Queue"), lifo = mgr_create(p, "s", "LifoQueue"),
             priority = mgr_create(p, "s", "PriorityQueue");
    for (int i = 0; i < 50; i++) {
        mp_assert_ok(TRY(p, fifo, QUEUE, put, "i", i));
        mp_assert_ok(TRY(p, lifo, QUEUE, put, "i", i));
        mp_assert_ok(TRY(p, priority, QUEUE, put, "i i", i, i * 7 % 5));
    }
    int last = -1, last_priority = -1;
    for (int i = 0; i < 50; i++) {
        mp_assert_ok(TRY(p, fifo, QUEUE, get, ""));
        ck_assert_int_eq(mgr_int(p), i);
        mp_assert_ok(TRY(p, lifo, QUEUE, get, ""));
        ck_assert_int_eq(mgr_int(p), 49 - i);
        mp_assert_ok(TRY(p, priority, QUEUE, get, ""));
        int n = (int)mgr_int(p), of = n * 7 % 5;
        ck_assert(of > last_priority || (of == last_priority && n > last));
        last = n;
        last_priority = of;
    }
    mp_assert_err(TRY(p, fifo, QUEUE, get, ""), MP_EAGAIN);
    mp_assert_err(TRY(p, fifo, QUEUE, put, "i i", 1, 1), MP_ENOTSUP);
    mp_assert_err(TRY(p, fifo, QUEUE, task_done, ""), MP_ENOTSUP);
    mgr_gone(p);
    mgr_free(m);
}

MP_TEST(queue_blocks_wakes_and_shuts_down)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *a = mgr_peer(m), *b = mgr_peer(m);
    uint64_t q = mgr_create(a, "s i", "Queue", 2);
    ck_assert_int_eq(ASK(a, q, QUEUE, get, ""), MGR_WAITS);
    uint64_t waiting = a->id;
    mp_assert_ok(ASK(b, q, QUEUE, put, "i", 1));
    mp_assert_ok(mgr_answer(a, waiting));
    ck_assert_int_eq(mgr_int(a), 1);
    mp_assert_ok(ASK(b, q, QUEUE, put_many, "[ii]", 2, 3));
    mp_assert_err(TRY(b, q, QUEUE, put, "i", 4), MP_EAGAIN);
    mp_assert_err(ASK(b, q, QUEUE, put_many, "[iii]", 2, 3, 4), MP_EINVAL);
    mp_assert_ok(ASK(b, q, QUEUE, full, ""));
    ck_assert(mgr_true(b));
    ck_assert_int_eq(mgr_ask(b, MP__OP(QUEUE, put), q, 50, "i", 4), MGR_WAITS);
    mgr_tick(m, 49);
    ck_assert_int_eq(mgr_answer(b, b->id), MGR_WAITS);
    mgr_tick(m, 2);
    mp_assert_err(mgr_answer(b, b->id), MP_ETIMEDOUT);
    ck_assert_int_eq(ASK(b, q, QUEUE, put, "i", 5), MGR_WAITS);
    waiting = b->id;
    mp_assert_ok(ASK(a, q, QUEUE, get, ""));
    ck_assert_int_eq(mgr_int(a), 2);
    mp_assert_ok(mgr_answer(b, waiting));
    mp_assert_ok(ASK(a, q, QUEUE, get_many, "i", 10));
    ck_assert(mgr_equals(a, "[ii]", 3, 5));
    mp_assert_ok(ASK(a, q, QUEUE, put, "i", 6));
    mp_assert_ok(ASK(a, q, QUEUE, shutdown, ""));
    mp_assert_err(ASK(a, q, QUEUE, put, "i", 7), MP_ECLOSED);
    mp_assert_ok(ASK(a, q, QUEUE, get, ""));
    mp_assert_err(ASK(a, q, QUEUE, get, ""), MP_ECLOSED);
    mp_assert_ok(ASK(a, q, QUEUE, qsize, ""));
    mp_assert_ok(ASK(a, q, QUEUE, empty, ""));
    ck_assert(mgr_true(a));
    uint64_t r = mgr_create(a, "s", "Queue");
    ck_assert_int_eq(ASK(b, r, QUEUE, get, ""), MGR_WAITS);
    waiting = b->id;
    mp_assert_ok(ASK(a, r, QUEUE, shutdown, "t", true));
    mp_assert_err(mgr_answer(b, waiting), MP_ECLOSED);
    mgr_gone(a);
    mgr_gone(b);
    mgr_free(m);
}

MP_TEST(items_of_the_dead_return)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *a = mgr_peer(m), *b = mgr_peer(m);
    uint64_t q = mgr_create(a, "s", "JoinableQueue"), ticket;
    int n;
    for (int i = 0; i < 4; i++)
        mp_assert_ok(ASK(a, q, QUEUE, put, "i", i));
    mp_assert_ok(ASK(b, q, QUEUE, get, ""));
    mp_assert_ok(ASK(b, q, QUEUE, get, ""));
    mp_assert_ok(ASK(b, q, QUEUE, take, ""));
    mp_assert_ok(mgr_value(b, "[U i]", &ticket, &n));
    ck_assert_int_eq(n, 2);
    mp_assert_ok(ASK(b, q, QUEUE, task_done, "U", ticket));
    mp_assert_err(ASK(b, q, QUEUE, task_done, "U", ticket), MP_ENOTHELD);
    mp_assert_err(ASK(a, q, QUEUE, task_done, ""), MP_ENOTHELD);
    mp_assert_ok(ASK(b, q, QUEUE, task_done, "")); // 0, which it took first
    ck_assert_int_eq(ASK(a, q, QUEUE, join, ""), MGR_WAITS);
    uint64_t joining = a->id;
    mp_assert_ok(ASK(a, q, QUEUE, unfinished, ""));
    ck_assert_int_eq(mgr_int(a), 2);
    mgr_gone(b); // with 1
    mp_assert_ok(ASK(a, q, QUEUE, get_many, "i", 5));
    ck_assert(mgr_equals(a, "[ii]", 1, 3));
    mp_assert_ok(ASK(a, q, QUEUE, task_done, ""));
    ck_assert_int_eq(mgr_answer(a, joining), MGR_WAITS);
    mp_assert_ok(ASK(a, q, QUEUE, give_back, "U", (uint64_t)4));
    mp_assert_ok(ASK(a, q, QUEUE, get, ""));
    ck_assert_int_eq(mgr_int(a), 3);
    mp_assert_ok(ASK(a, q, QUEUE, task_done, ""));
    mp_assert_ok(mgr_answer(a, joining));
    mgr_gone(a);
    mgr_free(m);
}
