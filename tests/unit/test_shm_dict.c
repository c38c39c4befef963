// SPDX-License-Identifier: MIT
#include "mptest.h"
#include "shm/shm_dict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static mp_arena *arena;

static mp_shm_dict *new_dict(size_t shards)
{
    mp_shm_dict *d;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_shm_dict_new(&d, &(mp_shm_dict_opts){.arena = arena, .shards = shards}));
    return d;
}

static size_t blocks(void)
{
    mp_arena_stats s;
    mp_assert_ok(mp_arena_get_stats(arena, &s));
    return s.blocks;
}

// The arena has in use what the dict says that it has, and nothing when it is freed.
static void end_dict(mp_shm_dict *d)
{
    mp_shm_dict_stats s;
    mp_assert_ok(mp_shm_dict_get_stats(d, &s));
    ck_assert_uint_eq(blocks(), s.blocks);
    mp_shm_dict_free(d);
    ck_assert_uint_eq(blocks(), 0);
    mp_arena_delete(arena);
}

// With strings, without their zeros.
static int set(mp_shm_dict *d, const char *key, const char *value)
{
    return mp_shm_dict_set(d, key, strlen(key), value, strlen(value));
}

static const char *get(mp_shm_dict *d, const char *key)
{
    static char buf[100];
    int64_t r = mp_shm_dict_get(d, key, strlen(key), buf, sizeof buf - 1);
    if (r < 0)
        return mp_err_name(r);
    buf[r] = 0;
    return buf;
}

MP_TEST(set_and_get)
{
    mp_shm_dict *d = new_dict(0);
    ck_assert_str_eq(get(d, "a"), "MP_ENOTFOUND");
    mp_assert_ok(set(d, "a", "one"));
    mp_assert_ok(set(d, "b", "a longer value than fits into one word"));
    ck_assert_str_eq(get(d, "a"), "one");
    ck_assert_str_eq(get(d, "b"), "a longer value than fits into one word");
    mp_assert_ok(set(d, "a", "two"));
    mp_assert_ok(set(d, "b", "short"));
    ck_assert_str_eq(get(d, "a"), "two");
    ck_assert_str_eq(get(d, "b"), "short");
    ck_assert_int_eq(mp_shm_dict_count(d), 2);
    ck_assert_int_eq(mp_shm_dict_contains(d, "a", 1), 1);
    ck_assert_int_eq(mp_shm_dict_contains(d, "c", 1), 0);
    end_dict(d);
}

MP_TEST(values_of_all_sizes)
{
    mp_shm_dict *d = new_dict(1);
    static unsigned char value[300], buf[300];
    for (int round = 0; round < 2; round++) // new, and over a larger or smaller one
        for (size_t n = 0; n < sizeof value; n++) {
            size_t key = round ? 299 - n : n, size = round ? 299 - key / 2 : n;
            memset(value, (int)size + round, size);
            mp_assert_ok(mp_shm_dict_set(d, &key, sizeof key, value, size));
            ck_assert_int_eq(mp_shm_dict_size(d, &key, sizeof key), (int64_t)size);
            ck_assert_int_eq(mp_shm_dict_get(d, &key, sizeof key, buf, sizeof buf), (int64_t)size);
            ck_assert_mem_eq(buf, value, size);
            if (size > 0)
                mp_assert_err(mp_shm_dict_get(d, &key, sizeof key, buf, size - 1), MP_EMSGSIZE);
        }
    end_dict(d);
}

MP_TEST(keys_of_all_sizes)
{
    mp_shm_dict *d = new_dict(0);
    static const char key[200];
    for (size_t n = 0; n < sizeof key; n++) // they differ in length only
        mp_assert_ok(mp_shm_dict_set(d, n ? key : NULL, n, &n, sizeof n));
    for (size_t n = 0; n < sizeof key; n++) {
        size_t got;
        ck_assert_int_eq(mp_shm_dict_get(d, key, n, &got, sizeof got), sizeof got);
        ck_assert_uint_eq(got, n);
    }
    ck_assert_int_eq(mp_shm_dict_count(d), sizeof key);
    end_dict(d);
}

MP_TEST(a_value_of_a_mebibyte)
{
    mp_shm_dict *d = new_dict(0);
    size_t size = 1 << 20;
    char *big = malloc(size);
    ck_assert_ptr_nonnull(big);
    for (int round = 0; round < 20; round++) {
        memset(big, 'a' + round, size);
        mp_assert_ok(mp_shm_dict_set(d, "big", 3, big, size));
        void *got;
        ck_assert_int_eq(mp_shm_dict_get_new(d, "big", 3, &got), (int64_t)size);
        ck_assert(memcmp(got, big, size) == 0);
        ck_assert_int_eq(((char *)got)[size], 0);
        free(got);
    }
    free(big);
    mp_arena_stats s;
    mp_assert_ok(mp_arena_get_stats(arena, &s));
    ck_assert_uint_lt(s.held, (size_t)8 << 20); // old values were given back
    end_dict(d);
}

MP_TEST(get_new_and_default)
{
    mp_shm_dict *d = new_dict(0);
    void *got = d;
    char buf[8];
    mp_assert_err(mp_shm_dict_get_new(d, "k", 1, &got), MP_ENOTFOUND);
    ck_assert_ptr_null(got);
    mp_assert_ok(mp_shm_dict_set(d, "k", 1, NULL, 0));
    ck_assert_int_eq(mp_shm_dict_get_new(d, "k", 1, &got), 0);
    ck_assert_str_eq(got, "");
    free(got);
    ck_assert_int_eq(mp_shm_dict_get_default(d, "k", 1, buf, sizeof buf, "def", 3), 0);
    ck_assert_int_eq(mp_shm_dict_get_default(d, "l", 1, buf, sizeof buf, "def", 3), 3);
    ck_assert_mem_eq(buf, "def", 3);
    ck_assert_int_eq(mp_shm_dict_get_default(d, "l", 1, NULL, 0, NULL, 0), 0);
    mp_assert_err(mp_shm_dict_get_default(d, "l", 1, buf, 2, "def", 3), MP_EMSGSIZE);
    end_dict(d);
}

MP_TEST(remove_and_pop)
{
    mp_shm_dict *d = new_dict(0);
    char buf[8];
    mp_assert_ok(set(d, "a", "12345"));
    mp_assert_err(mp_shm_dict_remove(d, "b", 1), MP_ENOTFOUND);
    mp_assert_err(mp_shm_dict_pop(d, "b", 1, buf, sizeof buf), MP_ENOTFOUND);
    mp_assert_err(mp_shm_dict_pop(d, "a", 1, buf, 4), MP_EMSGSIZE);
    ck_assert_int_eq(mp_shm_dict_pop(d, "a", 1, buf, sizeof buf), 5);
    ck_assert_mem_eq(buf, "12345", 5);
    ck_assert_int_eq(mp_shm_dict_contains(d, "a", 1), 0);
    mp_assert_ok(set(d, "a", "again"));
    mp_assert_ok(mp_shm_dict_remove(d, "a", 1));
    mp_assert_err(mp_shm_dict_remove(d, "a", 1), MP_ENOTFOUND);
    ck_assert_int_eq(mp_shm_dict_count(d), 0);
    mp_assert_ok(mp_shm_dict_set(d, "a", 1, NULL, 0));
    ck_assert_int_eq(mp_shm_dict_pop(d, "a", 1, NULL, 0), 0);
    end_dict(d);
}

MP_TEST(setdefault_and_compare_set)
{
    mp_shm_dict *d = new_dict(0);
    mp_assert_err(mp_shm_dict_compare_set(d, "a", 1, "", 0, "x", 1), MP_ENOTFOUND);
    ck_assert_int_eq(mp_shm_dict_setdefault(d, "a", 1, "one", 3), 1);
    ck_assert_int_eq(mp_shm_dict_setdefault(d, "a", 1, "two", 3), 0);
    ck_assert_str_eq(get(d, "a"), "one");
    ck_assert_int_eq(mp_shm_dict_compare_set(d, "a", 1, "two", 3, "three", 5), 0);
    ck_assert_int_eq(mp_shm_dict_compare_set(d, "a", 1, "on", 2, "three", 5), 0);
    ck_assert_int_eq(mp_shm_dict_compare_set(d, "a", 1, "one", 3, "a much longer value", 19), 1);
    ck_assert_str_eq(get(d, "a"), "a much longer value");
    ck_assert_int_eq(mp_shm_dict_compare_set(d, "a", 1, "a much longer value", 19, NULL, 0), 1);
    ck_assert_int_eq(mp_shm_dict_compare_set(d, "a", 1, NULL, 0, "b", 1), 1);
    ck_assert_str_eq(get(d, "a"), "b");
    end_dict(d);
}

MP_TEST(incr_counts)
{
    mp_shm_dict *d = new_dict(0);
    int64_t sum = 7;
    mp_assert_ok(mp_shm_dict_incr(d, "n", 1, 5, &sum));
    ck_assert_int_eq(sum, 5);
    mp_assert_ok(mp_shm_dict_incr(d, "n", 1, -7, NULL));
    mp_assert_ok(mp_shm_dict_incr(d, "n", 1, 0, &sum));
    ck_assert_int_eq(sum, -2);
    int64_t value;
    ck_assert_int_eq(mp_shm_dict_get(d, "n", 1, &value, sizeof value), 8);
    ck_assert_int_eq(value, -2);
    mp_assert_ok(set(d, "s", "seven"));
    mp_assert_err(mp_shm_dict_incr(d, "s", 1, 1, &sum), MP_ETYPE);
    ck_assert_str_eq(get(d, "s"), "seven");
    value = INT64_MAX;
    mp_assert_ok(mp_shm_dict_set(d, "m", 1, &value, sizeof value));
    mp_assert_err(mp_shm_dict_incr(d, "m", 1, 1, &sum), MP_EOVERFLOW);
    mp_assert_ok(mp_shm_dict_incr(d, "m", 1, -1, &sum));
    ck_assert_int_eq(sum, INT64_MAX - 1);
    end_dict(d);
}

MP_TEST(update_sets_many)
{
    mp_shm_dict *d = new_dict(0);
    const mp_shm_dict_item items[] = {{"a", 1, "x", 1}, {"b", 1, "yy", 2}, {"a", 1, "zzz", 3}};
    mp_assert_ok(mp_shm_dict_update(d, items, 3));
    ck_assert_str_eq(get(d, "a"), "zzz");
    ck_assert_str_eq(get(d, "b"), "yy");
    mp_assert_ok(mp_shm_dict_update(d, NULL, 0));
    mp_assert_err(mp_shm_dict_update(d, NULL, 1), MP_EINVAL);
    end_dict(d);
}

MP_TEST_TIMEOUT(it_grows_and_shrinks, 60)
{
    mp_shm_dict *d = new_dict(8);
    const uint64_t n = 100000;
    for (uint64_t i = 0; i < n; i++)
        mp_assert_ok(mp_shm_dict_set(d, &i, sizeof i, &(uint64_t){i * i}, 8));
    ck_assert_int_eq(mp_shm_dict_count(d), (int64_t)n);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t got;
        ck_assert_int_eq(mp_shm_dict_get(d, &i, sizeof i, &got, sizeof got), 8);
        ck_assert_uint_eq(got, i * i);
    }
    uint64_t none = n;
    ck_assert_int_eq(mp_shm_dict_contains(d, &none, sizeof none), 0);
    mp_shm_dict_stats s;
    mp_assert_ok(mp_shm_dict_get_stats(d, &s));
    ck_assert_uint_eq(s.shards, 8);
    ck_assert_uint_ge(s.slots, n);
    for (uint64_t i = 10; i < n; i++)
        mp_assert_ok(mp_shm_dict_remove(d, &i, sizeof i));
    mp_assert_ok(mp_shm_dict_get_stats(d, &s));
    ck_assert_uint_eq(s.count, 10);
    ck_assert_uint_le(s.slots, 8 * 64);
    for (uint64_t i = 0; i < 20; i++)
        ck_assert_int_eq(mp_shm_dict_contains(d, &i, sizeof i), i < 10);
    end_dict(d);
}

// Keys that come and go leave no trace: the table stays as it is.
MP_TEST(churn_does_not_grow_it)
{
    mp_shm_dict *d = new_dict(1);
    for (uint64_t i = 0; i < 20000; i++) {
        mp_assert_ok(mp_shm_dict_set(d, &i, sizeof i, "some value or other", 19));
        uint64_t old = i - 5;
        if (i >= 5)
            mp_assert_ok(mp_shm_dict_remove(d, &old, sizeof old));
    }
    mp_shm_dict_stats s;
    mp_assert_ok(mp_shm_dict_get_stats(d, &s));
    ck_assert_uint_eq(s.count, 5);
    ck_assert_uint_le(s.slots, 32);
    mp_arena_stats as;
    mp_assert_ok(mp_arena_get_stats(arena, &as));
    ck_assert_uint_lt(as.used, 20000);
    end_dict(d);
}

MP_TEST(clear_gives_all_back)
{
    mp_shm_dict *d = new_dict(0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++)
            mp_assert_ok(mp_shm_dict_set(d, &i, sizeof i, "0123456789", 10));
        mp_assert_ok(mp_shm_dict_clear(d));
        ck_assert_int_eq(mp_shm_dict_count(d), 0);
        ck_assert_uint_eq(blocks(), 1);
        int key = 5;
        ck_assert_int_eq(mp_shm_dict_contains(d, &key, sizeof key), 0);
    }
    end_dict(d);
}

MP_TEST(iteration_gives_each_once)
{
    mp_shm_dict *d = new_dict(4);
    mp_shm_dict_iter *it;
    mp_shm_dict_item item;
    static int seen[5000];
    mp_assert_ok(mp_shm_dict_iter_new(&it, d));
    ck_assert_int_eq(mp_shm_dict_iter_next(it, &item), 0);
    mp_shm_dict_iter_free(it);
    for (int i = 0; i < 5000; i++)
        mp_assert_ok(mp_shm_dict_set(d, &i, sizeof i, "0123456789abcdef", (size_t)i % 17));
    mp_assert_ok(mp_shm_dict_iter_new(&it, d));
    while (mp_shm_dict_iter_next(it, &item) == 1) {
        int key;
        ck_assert_uint_eq(item.key_size, sizeof key);
        memcpy(&key, item.key, sizeof key);
        seen[key]++;
        ck_assert_uint_eq(item.size, (size_t)key % 17);
        ck_assert_int_eq(strncmp(item.value, "0123456789abcdef", item.size), 0);
        ck_assert_uint_eq(strlen(item.value), item.size);
    }
    ck_assert_int_eq(mp_shm_dict_iter_next(it, &item), 0);
    mp_shm_dict_iter_free(it);
    for (int i = 0; i < 5000; i++)
        ck_assert_int_eq(seen[i], 1);
    end_dict(d);
}

// Others come and go meanwhile, so that the table grows and shrinks several times.
MP_TEST(iteration_while_it_changes)
{
    mp_shm_dict *d = new_dict(1);
    for (int round = 0; round < 6; round++) {
        static int seen[40000];
        memset(seen, 0, sizeof seen);
        for (int i = 0; i < 300; i++) // those that stay
            mp_assert_ok(mp_shm_dict_set(d, &i, sizeof i, "stays", 5));
        for (int i = 300; i < 40000; i++) // all before, or all later
            if (round % 2)
                mp_assert_ok(mp_shm_dict_set(d, &i, sizeof i, "comes", 5));
        mp_shm_dict_iter *it;
        mp_shm_dict_item item;
        mp_assert_ok(mp_shm_dict_iter_new(&it, d));
        int other = 300;
        while (mp_shm_dict_iter_next(it, &item) == 1) {
            int key;
            memcpy(&key, item.key, sizeof key);
            seen[key]++;
            for (int n = 0; n < (round < 4 ? 200 : 3) && other < 40000; n++, other++) {
                if (round % 2)
                    mp_assert_ok(mp_shm_dict_remove(d, &other, sizeof other));
                else
                    mp_assert_ok(mp_shm_dict_set(d, &other, sizeof other, "comes", 5));
            }
        }
        mp_shm_dict_iter_free(it);
        for (int i = 0; i < 40000; i++)
            ck_assert_msg(i < 300 ? seen[i] == 1 : seen[i] <= 1, "%d came %d times", i, seen[i]);
        mp_assert_ok(mp_shm_dict_clear(d));
    }
    end_dict(d);
}

MP_TEST(iteration_over_large_values)
{
    mp_shm_dict *d = new_dict(1);
    size_t size = 300000, n = 0;
    char *big = calloc(1, size);
    for (int i = 0; i < 40; i++)
        mp_assert_ok(mp_shm_dict_set(d, &i, sizeof i, big, size));
    free(big);
    mp_shm_dict_iter *it;
    mp_shm_dict_item item;
    mp_assert_ok(mp_shm_dict_iter_new(&it, d));
    for (; mp_shm_dict_iter_next(it, &item) == 1; n++)
        ck_assert_uint_eq(item.size, size);
    mp_shm_dict_iter_free(it);
    ck_assert_uint_eq(n, 40);
    end_dict(d);
}

MP_TEST(keys_differ_in_each_dict)
{
    mp_shm_dict *d[8];
    mp_assert_ok(mp_arena_new(&arena, NULL));
    for (int i = 0; i < 8; i++) {
        mp_assert_ok(mp_shm_dict_new(&d[i], &(mp_shm_dict_opts){.arena = arena}));
        for (int k = 0; k < i; k++)
            ck_assert(memcmp(d[i]->key, d[k]->key, sizeof d[i]->key) != 0);
        struct mp__key first, other;
        mp_assert_ok(mp__dict_key(d[0], "key", 3, &first));
        mp_assert_ok(mp__dict_key(d[i], "key", 3, &other));
        ck_assert(i == 0 || first.hash != other.hash);
    }
    for (int i = 0; i < 8; i++)
        mp_shm_dict_free(d[i]);
    ck_assert_uint_eq(blocks(), 0);
    mp_arena_delete(arena);
}

// Longer than what an address space holds: nobody may begin to read it.
MP_TEST(sizes_beyond_reason)
{
    mp_shm_dict *d = new_dict(0);
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX / 2, (size_t)1 << 48};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        mp_assert_err(mp_shm_dict_set(d, "k", sizes[i], "v", 1), MP_EINVAL);
        mp_assert_err(mp_shm_dict_get(d, "k", sizes[i], NULL, 0), MP_EINVAL);
        mp_assert_err(mp_shm_dict_remove(d, "k", sizes[i]), MP_EINVAL);
        mp_assert_err(mp_shm_dict_set(d, "k", 1, "v", sizes[i]), -ENOMEM);
    }
    ck_assert_int_eq(mp_shm_dict_count(d), 0);
    mp_shm_dict_free(d);
    mp_arena_delete(arena);
}

MP_TEST(nonsense)
{
    mp_shm_dict *d = new_dict(0), *none = (mp_shm_dict *)arena;
    mp_shm_dict_iter *it;
    mp_shm_dict_item item;
    mp_shm_dict_stats stats;
    void *got;
    char buf[8];
    int64_t sum;
    mp_assert_err(mp_shm_dict_new(NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_shm_dict_new(&none, &(mp_shm_dict_opts){.shards = 4097}), MP_EINVAL);
    ck_assert_ptr_null(none);
    mp_assert_err(mp_shm_dict_new(&none, &(mp_shm_dict_opts){.arena = arena, .name = "x"}),
                  MP_EINVAL);
    mp_assert_err(mp_shm_dict_attach(NULL, "x"), MP_EINVAL);
    for (int i = 0; i < 2; i++) { // NULL for the dict, then for the key
        mp_shm_dict *at = i ? d : NULL;
        const char *key = i ? NULL : "k";
        mp_assert_err(mp_shm_dict_set(at, key, 1, "v", 1), MP_EINVAL);
        mp_assert_err(mp_shm_dict_get(at, key, 1, buf, 8), MP_EINVAL);
        mp_assert_err(mp_shm_dict_get_new(at, key, 1, &got), MP_EINVAL);
        mp_assert_err(mp_shm_dict_get_default(at, key, 1, buf, 8, "d", 1), MP_EINVAL);
        mp_assert_err(mp_shm_dict_size(at, key, 1), MP_EINVAL);
        mp_assert_err(mp_shm_dict_contains(at, key, 1), MP_EINVAL);
        mp_assert_err(mp_shm_dict_remove(at, key, 1), MP_EINVAL);
        mp_assert_err(mp_shm_dict_pop(at, key, 1, buf, 8), MP_EINVAL);
        mp_assert_err(mp_shm_dict_setdefault(at, key, 1, "v", 1), MP_EINVAL);
        mp_assert_err(mp_shm_dict_compare_set(at, key, 1, "v", 1, "w", 1), MP_EINVAL);
        mp_assert_err(mp_shm_dict_incr(at, key, 1, 1, &sum), MP_EINVAL);
    }
    mp_assert_err(mp_shm_dict_set(d, "k", 1, NULL, 1), MP_EINVAL);
    mp_assert_err(mp_shm_dict_get(d, "k", 1, NULL, 1), MP_EINVAL);
    mp_assert_err(mp_shm_dict_get_new(d, "k", 1, NULL), MP_EINVAL);
    mp_assert_err(mp_shm_dict_pop(d, "k", 1, NULL, 1), MP_EINVAL);
    mp_assert_err(mp_shm_dict_setdefault(d, "k", 1, NULL, 1), MP_EINVAL);
    mp_assert_err(mp_shm_dict_compare_set(d, "k", 1, NULL, 1, "w", 1), MP_EINVAL);
    mp_assert_err(mp_shm_dict_compare_set(d, "k", 1, "v", 1, NULL, 1), MP_EINVAL);
    mp_assert_err(mp_shm_dict_count(NULL), MP_EINVAL);
    mp_assert_err(mp_shm_dict_clear(NULL), MP_EINVAL);
    mp_assert_err(mp_shm_dict_get_stats(d, NULL), MP_EINVAL);
    mp_assert_err(mp_shm_dict_get_stats(NULL, &stats), MP_EINVAL);
    mp_assert_err(mp_shm_dict_iter_new(NULL, d), MP_EINVAL);
    mp_assert_err(mp_shm_dict_iter_new(&it, NULL), MP_EINVAL);
    mp_assert_err(mp_shm_dict_iter_next(NULL, &item), MP_EINVAL);
    mp_assert_err(mp_shm_dict_set(d, "k", 1, "v", SIZE_MAX), -ENOMEM);
    mp_assert_err(mp_shm_dict_set(d, "k", 1, "v", SIZE_MAX / 2), -ENOMEM);
    mp_assert_ok(mp_shm_dict_iter_new(&it, d));
    mp_assert_err(mp_shm_dict_iter_next(it, NULL), MP_EINVAL);
    mp_shm_dict_iter_free(it);
    mp_shm_dict_iter_free(NULL);
    mp_shm_dict_free(NULL);
    end_dict(d);
}

MP_TEST(use_after_free_is_an_error)
{
    mp_shm_dict *d = new_dict(0);
    mp_shm_dict_iter *it;
    mp_shm_dict_item item;
    mp_assert_ok(set(d, "a", "one"));
    mp_assert_ok(mp_shm_dict_iter_new(&it, d));
    mp_shm_dict_free(d);
    mp_assert_err(set(d, "a", "two"), MP_EINVAL);
    ck_assert_str_eq(get(d, "a"), "MP_EINVAL");
    mp_assert_err(mp_shm_dict_count(d), MP_EINVAL);
    mp_assert_err(mp_shm_dict_iter_next(it, &item), MP_EINVAL);
    mp_shm_dict_iter_free(it);
    mp_shm_dict_free(d);
    ck_assert_uint_eq(blocks(), 0);
    mp_arena_delete(arena);
}

static int use_and_free(void *arg)
{
    mp_shm_dict *d = arg;
    mptest_require(set(d, "child", "was here") == 0);
    mp_shm_dict_free(d); // leaves it to its maker
    return 0;
}

MP_TEST(a_child_shares_it_and_its_maker_frees_it)
{
    mp_shm_dict *d;
    mp_assert_ok(mp_shm_dict_new(&d, NULL)); // in the process's own arena
    ck_assert_int_eq(mptest_in_child(use_and_free, d), 0);
    ck_assert_str_eq(get(d, "child"), "was here");
    mp_shm_dict_free(d);
}

// A full arena leaves what was there, and what there was can be removed.
MP_TEST(full)
{
    mp_shm_dict *d;
    mp_assert_ok(mp_arena_new(&arena, &(mp_arena_opts){.max = 1 << 18}));
    mp_assert_ok(mp_shm_dict_new(&d, &(mp_shm_dict_opts){.arena = arena, .shards = 2}));
    static char value[1000], buf[1000];
    int n = 0, r;
    for (;; n++) {
        memset(value, n, sizeof value);
        r = mp_shm_dict_set(d, &n, sizeof n, value, sizeof value);
        if (r < 0)
            break;
    }
    mp_assert_err(r, -ENOMEM);
    ck_assert_int_gt(n, 100);
    ck_assert_int_eq(mp_shm_dict_count(d), n);
    ck_assert_int_eq(mp_shm_dict_contains(d, &n, sizeof n), 0);
    for (int i = 0; i < n; i++) {
        static char large[20000];
        mp_assert_err(mp_shm_dict_set(d, &i, sizeof i, large, sizeof large), -ENOMEM);
        ck_assert_int_eq(mp_shm_dict_get(d, &i, sizeof i, buf, sizeof buf), sizeof buf);
        memset(value, i, sizeof value);
        ck_assert_mem_eq(buf, value, sizeof buf);
    }
    for (int i = 0; i < n; i++)
        mp_assert_ok(mp_shm_dict_remove(d, &i, sizeof i));
    mp_assert_ok(mp_shm_dict_set(d, &n, sizeof n, value, sizeof value));
    end_dict(d);
}
