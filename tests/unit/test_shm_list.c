// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <errno.h>
#include <mp/shm_list.h>
#include <stdlib.h>
#include <string.h>

static mp_arena *arena;

static mp_shm_list *new_list(void)
{
    mp_shm_list *l;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_shm_list_new(&l, &(mp_shm_list_opts){.arena = arena}));
    return l;
}

static size_t blocks(void)
{
    mp_arena_stats s;
    mp_assert_ok(mp_arena_get_stats(arena, &s));
    return s.blocks;
}

static void end_list(mp_shm_list *l)
{
    mp_shm_list_stats s;
    mp_assert_ok(mp_shm_list_get_stats(l, &s));
    ck_assert_uint_eq(blocks(), s.blocks);
    mp_shm_list_free(l);
    ck_assert_uint_eq(blocks(), 0);
    mp_arena_delete(arena);
}

// With strings, without their zeros.
static void append(mp_shm_list *l, const char *text)
{
    mp_assert_ok(mp_shm_list_append(l, text, strlen(text)));
}

// All items as one word each, with blanks between.
static void check(mp_shm_list *l, const char *want)
{
    char got[400] = "";
    mp_shm_list_item *items;
    int64_t n = mp_shm_list_copy(l, &items);
    mp_assert_ok(n);
    ck_assert_int_eq(mp_shm_list_len(l), n);
    for (int64_t i = 0; i < n; i++) {
        char buf[50] = "";
        ck_assert_int_eq(mp_shm_list_get(l, i, buf, sizeof buf), (int64_t)items[i].size);
        ck_assert_str_eq(buf, items[i].data);
        strcat(strcat(got, i ? " " : ""), items[i].data);
    }
    free(items);
    ck_assert_str_eq(got, want);
}

MP_TEST(append_insert_and_set)
{
    mp_shm_list *l = new_list();
    check(l, "");
    append(l, "b");
    append(l, "d");
    mp_assert_ok(mp_shm_list_insert(l, 0, "a", 1));
    mp_assert_ok(mp_shm_list_insert(l, 2, "c", 1));
    mp_assert_ok(mp_shm_list_insert(l, -1, "C", 1));
    check(l, "a b c C d");
    mp_assert_ok(mp_shm_list_insert(l, 99, "e", 1));
    mp_assert_ok(mp_shm_list_insert(l, -99, "0", 1));
    mp_assert_ok(mp_shm_list_insert(l, INT64_MIN, "-1", 2));
    mp_assert_ok(mp_shm_list_insert(l, INT64_MAX, "f", 1));
    check(l, "-1 0 a b c C d e f");
    mp_assert_ok(mp_shm_list_set(l, 0, "first", 5));
    mp_assert_ok(mp_shm_list_set(l, -1, "last", 4));
    mp_assert_ok(mp_shm_list_set(l, 5, "a longer one than before", 24));
    check(l, "first 0 a b c a longer one than before d e last");
    mp_assert_err(mp_shm_list_set(l, 9, "x", 1), MP_EINDEX);
    mp_assert_err(mp_shm_list_set(l, -10, "x", 1), MP_EINDEX);
    end_list(l);
}

MP_TEST(get_and_its_indices)
{
    mp_shm_list *l = new_list();
    char buf[8] = "";
    void *got = l;
    mp_assert_err(mp_shm_list_get(l, 0, buf, sizeof buf), MP_EINDEX);
    mp_assert_err(mp_shm_list_get(l, -1, buf, sizeof buf), MP_EINDEX);
    mp_assert_err(mp_shm_list_get_new(l, 0, &got), MP_EINDEX);
    ck_assert_ptr_null(got);
    append(l, "one");
    append(l, "");
    ck_assert_int_eq(mp_shm_list_get(l, -2, buf, sizeof buf), 3);
    ck_assert_str_eq(buf, "one");
    ck_assert_int_eq(mp_shm_list_get(l, 1, NULL, 0), 0);
    mp_assert_err(mp_shm_list_get(l, 0, buf, 2), MP_EMSGSIZE);
    ck_assert_int_eq(mp_shm_list_size(l, 0), 3);
    ck_assert_int_eq(mp_shm_list_get_new(l, 0, &got), 3);
    ck_assert_str_eq(got, "one");
    free(got);
    mp_assert_err(mp_shm_list_size(l, 2), MP_EINDEX);
    mp_assert_err(mp_shm_list_size(l, -3), MP_EINDEX);
    mp_assert_err(mp_shm_list_size(l, INT64_MIN), MP_EINDEX);
    mp_assert_err(mp_shm_list_size(l, INT64_MAX), MP_EINDEX);
    end_list(l);
}

MP_TEST(pop_and_remove)
{
    mp_shm_list *l = new_list();
    char buf[8] = "";
    for (char c = 'a'; c <= 'h'; c++)
        mp_assert_ok(mp_shm_list_append(l, &c, 1));
    ck_assert_int_eq(mp_shm_list_pop(l, 0, buf, sizeof buf), 1);
    ck_assert_str_eq(buf, "a");
    ck_assert_int_eq(mp_shm_list_pop(l, -1, buf, sizeof buf), 1);
    ck_assert_str_eq(buf, "h");
    ck_assert_int_eq(mp_shm_list_pop(l, 2, buf, sizeof buf), 1);
    ck_assert_str_eq(buf, "d");
    check(l, "b c e f g");
    append(l, "longer than it");
    mp_assert_err(mp_shm_list_pop(l, -1, buf, sizeof buf), MP_EMSGSIZE);
    ck_assert_int_eq(mp_shm_list_pop(l, -1, NULL, 0), 14);
    mp_assert_err(mp_shm_list_pop(l, 5, buf, sizeof buf), MP_EINDEX);
    append(l, "c");
    ck_assert_int_eq(mp_shm_list_index(l, "c", 1), 1);
    mp_assert_ok(mp_shm_list_remove(l, "c", 1));
    ck_assert_int_eq(mp_shm_list_index(l, "c", 1), 4);
    mp_assert_ok(mp_shm_list_remove(l, "c", 1));
    mp_assert_err(mp_shm_list_remove(l, "c", 1), MP_ENOTFOUND);
    mp_assert_err(mp_shm_list_index(l, "c", 1), MP_ENOTFOUND);
    check(l, "b e f g");
    while (mp_shm_list_len(l) > 0)
        mp_assert_ok(mp_shm_list_pop(l, 0, buf, sizeof buf));
    mp_assert_err(mp_shm_list_pop(l, 0, buf, sizeof buf), MP_EINDEX);
    end_list(l);
}

MP_TEST(extend_and_clear)
{
    mp_shm_list *l = new_list();
    mp_shm_list_item items[100];
    for (int i = 0; i < 100; i++)
        items[i] = (mp_shm_list_item){"0123456789", (size_t)i % 11};
    for (int round = 0; round < 3; round++) {
        mp_assert_ok(mp_shm_list_extend(l, items, 100));
        mp_assert_ok(mp_shm_list_extend(l, NULL, 0));
        for (int i = 0; i < 100; i++)
            ck_assert_int_eq(mp_shm_list_size(l, i), i % 11);
        ck_assert_int_eq(mp_shm_list_len(l), 100);
        mp_assert_ok(mp_shm_list_clear(l));
        ck_assert_int_eq(mp_shm_list_len(l), 0);
        ck_assert_uint_eq(blocks(), 1);
    }
    mp_assert_ok(mp_shm_list_clear(l));
    end_list(l);
}

// As a queue, forwards and backwards, and as a stack: it stays as small as it is.
MP_TEST(a_queue_does_not_grow)
{
    mp_shm_list *l = new_list();
    for (int way = 0; way < 3; way++) {
        for (int i = 0; i < 20000; i++) {
            if (way == 0)
                mp_assert_ok(mp_shm_list_append(l, &i, sizeof i));
            else
                mp_assert_ok(mp_shm_list_insert(l, 0, &i, sizeof i));
            int got, back = way == 2 ? 0 : 5;
            if (i < back)
                continue;
            mp_assert_ok(mp_shm_list_pop(l, way ? way == 2 ? 0 : -1 : 0, &got, sizeof got));
            ck_assert_int_eq(got, i - back);
        }
        mp_shm_list_stats s;
        mp_assert_ok(mp_shm_list_get_stats(l, &s));
        ck_assert_uint_le(s.slots, 40);
        mp_assert_ok(mp_shm_list_clear(l));
    }
    end_list(l);
}

MP_TEST(it_grows_and_shrinks)
{
    mp_shm_list *l = new_list();
    for (int i = 0; i < 100000; i++)
        mp_assert_ok(mp_shm_list_append(l, &i, sizeof i));
    for (int i = 0; i < 100000; i += 7) {
        int got;
        ck_assert_int_eq(mp_shm_list_get(l, i, &got, sizeof got), sizeof got);
        ck_assert_int_eq(got, i);
        ck_assert_int_eq(mp_shm_list_get(l, i - 100000, &got, sizeof got), sizeof got);
        ck_assert_int_eq(got, i);
    }
    for (int i = 0; i < 99990; i++)
        mp_assert_ok(mp_shm_list_pop(l, i % 2 ? 0 : -1, NULL, 0));
    mp_shm_list_stats s;
    mp_assert_ok(mp_shm_list_get_stats(l, &s));
    ck_assert_uint_eq(s.len, 10);
    ck_assert_uint_le(s.slots, 128);
    end_list(l);
}

MP_TEST(an_item_of_a_mebibyte)
{
    mp_shm_list *l = new_list();
    size_t size = 1 << 20;
    char *big = malloc(size), *back = malloc(size);
    ck_assert(big && back);
    for (int i = 0; i < 20; i++) {
        memset(big, i, size);
        mp_assert_ok(mp_shm_list_append(l, big, size));
        ck_assert_int_eq(mp_shm_list_pop(l, 0, back, size), (int64_t)size);
        ck_assert(memcmp(big, back, size) == 0);
    }
    free(big);
    free(back);
    end_list(l);
}

MP_TEST(nonsense)
{
    mp_shm_list *l = new_list(), *none = NULL;
    mp_shm_list_item *items, bad[] = {{"a", 1}, {NULL, 1}};
    mp_shm_list_stats s;
    void *got;
    char buf[8];
    mp_assert_err(mp_shm_list_new(NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_shm_list_new(&none, &(mp_shm_list_opts){.arena = arena, .name = "x"}),
                  MP_EINVAL);
    mp_assert_err(mp_shm_list_attach(NULL, "x"), MP_EINVAL);
    mp_assert_err(mp_shm_list_append(NULL, "a", 1), MP_EINVAL);
    mp_assert_err(mp_shm_list_append(l, NULL, 1), MP_EINVAL);
    mp_assert_err(mp_shm_list_append(l, "a", SIZE_MAX), -ENOMEM);
    mp_assert_err(mp_shm_list_extend(NULL, bad, 1), MP_EINVAL);
    mp_assert_err(mp_shm_list_extend(l, NULL, 1), MP_EINVAL);
    mp_assert_err(mp_shm_list_extend(l, bad, 2), MP_EINVAL);
    mp_assert_err(mp_shm_list_insert(NULL, 0, "a", 1), MP_EINVAL);
    mp_assert_err(mp_shm_list_insert(l, 0, NULL, 1), MP_EINVAL);
    mp_assert_err(mp_shm_list_get(NULL, 0, buf, 8), MP_EINVAL);
    mp_assert_err(mp_shm_list_get(l, 0, NULL, 8), MP_EINVAL);
    mp_assert_err(mp_shm_list_get_new(NULL, 0, &got), MP_EINVAL);
    mp_assert_err(mp_shm_list_get_new(l, 0, NULL), MP_EINVAL);
    mp_assert_err(mp_shm_list_size(NULL, 0), MP_EINVAL);
    mp_assert_err(mp_shm_list_set(NULL, 0, "a", 1), MP_EINVAL);
    mp_assert_err(mp_shm_list_set(l, 0, NULL, 1), MP_EINVAL);
    mp_assert_err(mp_shm_list_pop(NULL, 0, buf, 8), MP_EINVAL);
    mp_assert_err(mp_shm_list_pop(l, 0, NULL, 8), MP_EINVAL);
    mp_assert_err(mp_shm_list_index(NULL, "a", 1), MP_EINVAL);
    mp_assert_err(mp_shm_list_index(l, NULL, 1), MP_EINVAL);
    mp_assert_err(mp_shm_list_remove(NULL, "a", 1), MP_EINVAL);
    mp_assert_err(mp_shm_list_remove(l, NULL, 1), MP_EINVAL);
    mp_assert_err(mp_shm_list_len(NULL), MP_EINVAL);
    mp_assert_err(mp_shm_list_clear(NULL), MP_EINVAL);
    mp_assert_err(mp_shm_list_copy(NULL, &items), MP_EINVAL);
    mp_assert_err(mp_shm_list_copy(l, NULL), MP_EINVAL);
    mp_assert_err(mp_shm_list_get_stats(NULL, &s), MP_EINVAL);
    mp_assert_err(mp_shm_list_get_stats(l, NULL), MP_EINVAL);
    mp_shm_list_free(NULL);
    ck_assert_int_eq(mp_shm_list_len(l), 0);
    end_list(l);
}

MP_TEST(use_after_free_is_an_error)
{
    mp_shm_list *l = new_list();
    char buf[8];
    append(l, "a");
    mp_shm_list_free(l);
    mp_assert_err(mp_shm_list_append(l, "a", 1), MP_EINVAL);
    mp_assert_err(mp_shm_list_get(l, 0, buf, 8), MP_EINVAL);
    mp_assert_err(mp_shm_list_len(l), MP_EINVAL);
    mp_shm_list_free(l);
    ck_assert_uint_eq(blocks(), 0);
    mp_arena_delete(arena);
}

static int use_and_free(void *arg)
{
    mp_shm_list *l = arg;
    mptest_require(mp_shm_list_append(l, "was here", 8) == 0);
    mp_shm_list_free(l); // leaves it to its maker
    return 0;
}

MP_TEST(a_child_shares_it_and_its_maker_frees_it)
{
    mp_shm_list *l;
    mp_assert_ok(mp_shm_list_new(&l, NULL)); // in the process's own arena
    ck_assert_int_eq(mptest_in_child(use_and_free, l), 0);
    check(l, "was here");
    mp_shm_list_free(l);
}

MP_TEST(full)
{
    mp_shm_list *l;
    mp_assert_ok(mp_arena_new(&arena, &(mp_arena_opts){.max = 1 << 18}));
    mp_assert_ok(mp_shm_list_new(&l, &(mp_shm_list_opts){.arena = arena}));
    static char item[1000];
    mp_shm_list_item many[300];
    int n = 0;
    while (mp_shm_list_append(l, item, sizeof item) == 0)
        n++;
    ck_assert_int_gt(n, 100);
    mp_assert_err(mp_shm_list_append(l, item, sizeof item), -ENOMEM);
    mp_assert_err(mp_shm_list_insert(l, 0, item, sizeof item), -ENOMEM);
    mp_assert_err(mp_shm_list_insert(l, 3, item, sizeof item), -ENOMEM);
    mp_assert_err(mp_shm_list_set(l, 3, item, sizeof item), -ENOMEM);
    ck_assert_int_eq(mp_shm_list_len(l), n);
    while (mp_shm_list_len(l) > 10)
        mp_assert_ok(mp_shm_list_pop(l, -1, NULL, 0));
    for (int i = 0; i < 300; i++)
        many[i] = (mp_shm_list_item){item, sizeof item};
    size_t before = blocks();
    mp_assert_err(mp_shm_list_extend(l, many, 300), -ENOMEM); // none of them
    ck_assert_int_eq(mp_shm_list_len(l), 10);
    ck_assert_uint_eq(blocks(), before);
    mp_assert_ok(mp_shm_list_extend(l, many, 20));
    ck_assert_int_eq(mp_shm_list_len(l), 30);
    end_list(l);
}
