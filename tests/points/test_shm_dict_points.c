// SPDX-License-Identifier: MIT
//
// Deaths while a shared dict is changed, and while the arena passes it a block: values stay
// whole, nothing is lost but the step that was under way, and no block at all.
#include "points.h"

#include <mp/shm_dict.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 40

static mp_arena *arena;

static void *make(void)
{
    mp_shm_dict *d;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_shm_dict_new(&d, &(mp_shm_dict_opts){.arena = arena, .shards = 1}));
    return d;
}

static void end(void *d)
{
    mp_shm_dict_free(d);
    mp_arena_delete(arena);
}

// A value that tells whether it is whole, of a size of its own.
static size_t fill(unsigned char *value, unsigned key, unsigned seed)
{
    size_t size = 2 + (key * 7 + seed * 13) % 200;
    memset(value, (int)(key + seed), size);
    value[0] = (unsigned char)key;
    value[1] = (unsigned char)seed;
    return size;
}

static bool is_whole(const unsigned char *value, size_t size, unsigned key)
{
    unsigned char want[300];
    return size >= 2 && value[0] == key && fill(want, key, value[1]) == size &&
           memcmp(value, want, size) == 0;
}

static void check_value(mp_shm_dict *d, unsigned key)
{
    unsigned char got[300];
    int64_t r = mp_shm_dict_get(d, &key, sizeof key, got, sizeof got);
    mptest_require(r == MP_ENOTFOUND || (r >= 0 && is_whole(got, (size_t)r, key)));
}

// Sets and replaces all keys, removes most, so that tables grow and shrink; clears.
static void all_changes(void *object)
{
    mp_shm_dict *d = object;
    static unsigned seed;
    unsigned char value[300];
    for (int pass = 0; pass < 2; pass++) {
        seed++;
        for (unsigned key = 0; key < KEYS; key++) {
            size_t size = fill(value, key, seed & 0xff);
            mptest_require(mp_shm_dict_set(d, &key, sizeof key, value, size) == 0);
            check_value(d, (key * 5) % KEYS);
        }
    }
    mptest_require(mp_shm_dict_incr(d, "n", 1, 1, NULL) == 0);
    for (unsigned key = 0; key < KEYS - 3; key++) {
        int r = mp_shm_dict_remove(d, &key, sizeof key);
        mptest_require(r == 0 || r == MP_ENOTFOUND);
        check_value(d, (key * 5) % KEYS);
    }
    mptest_require(seed % 8 || mp_shm_dict_clear(d) == 0);
}

static void nothing_is_torn_or_lost(void *object)
{
    mp_shm_dict *d = object;
    mp_shm_dict_stats s;
    mp_arena_stats as;
    mp_shm_dict_iter *it;
    mp_shm_dict_item item;
    size_t n = 0;
    mp_assert_ok(mp_shm_dict_get_stats(d, &s));
    mp_assert_ok(mp_arena_get_stats(arena, &as));
    ck_assert_uint_eq(as.blocks, s.blocks);
    mp_assert_ok(mp_shm_dict_iter_new(&it, d));
    for (; mp_shm_dict_iter_next(it, &item) == 1; n++)
        if (item.key_size == sizeof(unsigned))
            ck_assert(is_whole(item.value, item.size, *(const unsigned *)item.key));
    mp_shm_dict_iter_free(it);
    ck_assert_uint_eq(n, s.count);
    mp_assert_ok(mp_shm_dict_clear(d));
    mp_assert_ok(mp_arena_get_stats(arena, &as));
    ck_assert_uint_eq(as.blocks, 1);
}

KILL_AT_POINTS(dict, .points = "dict.", .make = make, .round = all_changes,
               .check = nothing_is_torn_or_lost, .end = end)

KILL_AT_POINTS(arena_for_a_dict, .points = "arena.", .make = make, .round = all_changes,
               .check = nothing_is_torn_or_lost, .end = end)

KILL_AT_POINTS(passing, .points = "passing.", .make = make, .round = all_changes,
               .check = nothing_is_torn_or_lost, .end = end)
