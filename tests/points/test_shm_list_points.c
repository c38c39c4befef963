// SPDX-License-Identifier: MIT
//
// Deaths while a shared list is changed: items stay whole, a change is there or is not, and
// no block is lost.
#include "points.h"

#include <mp/shm_list.h>
#include <stdlib.h>
#include <string.h>

static mp_arena *arena;

static void *make(void)
{
    mp_shm_list *l;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_shm_list_new(&l, &(mp_shm_list_opts){.arena = arena}));
    return l;
}

static void end(void *l)
{
    mp_shm_list_free(l);
    mp_arena_delete(arena);
}

static size_t fill(unsigned char *item, unsigned seed)
{
    size_t size = 1 + (seed & 0xff) * 3 % 200;
    memset(item, (int)seed, size);
    return size;
}

static bool is_whole(const unsigned char *item, size_t size)
{
    unsigned char want[300];
    return size >= 1 && fill(want, item[0]) == size && memcmp(item, want, size) == 0;
}

static void check_item(mp_shm_list *l, int64_t index)
{
    unsigned char got[300];
    int64_t r = mp_shm_list_get(l, index, got, sizeof got);
    mptest_require(r == MP_EINDEX || (r > 0 && is_whole(got, (size_t)r)));
}

static bool fine(int64_t r)
{
    return r >= 0 || r == MP_EINDEX;
}

static void all_changes(void *object)
{
    mp_shm_list *l = object;
    static unsigned seed;
    unsigned char item[300], other[300];
    for (int i = 0; i < 12; i++) {
        size_t size = fill(item, ++seed), size2 = fill(other, seed * 3);
        const mp_shm_list_item two[] = {{item, size}, {other, size2}};
        mptest_require(mp_shm_list_append(l, item, size) == 0);
        mptest_require(mp_shm_list_extend(l, two, 2) == 0);
        mptest_require(mp_shm_list_insert(l, 0, other, size2) == 0);
        mptest_require(mp_shm_list_insert(l, 2, item, size) == 0);
        mptest_require(fine(mp_shm_list_set(l, i, other, size2)));
        check_item(l, i);
        check_item(l, -i);
        mptest_require(fine(mp_shm_list_pop(l, 3, item, sizeof item)));
    }
    for (int i = 0; i < 24; i++) {
        mptest_require(fine(mp_shm_list_pop(l, i % 2 - 1, item, sizeof item)));
        check_item(l, i / 2);
    }
    if (mp_shm_list_len(l) > 100 || seed % 48 == 0)
        mptest_require(mp_shm_list_clear(l) == 0);
}

static void nothing_is_torn_or_lost(void *object)
{
    mp_shm_list *l = object;
    mp_shm_list_stats s;
    mp_arena_stats as;
    mp_shm_list_item *items;
    mp_assert_ok(mp_shm_list_get_stats(l, &s));
    mp_assert_ok(mp_arena_get_stats(arena, &as));
    ck_assert_uint_eq(as.blocks, s.blocks);
    ck_assert_int_eq(mp_shm_list_copy(l, &items), (int64_t)s.len);
    for (size_t i = 0; i < s.len; i++)
        ck_assert(is_whole(items[i].data, items[i].size));
    free(items);
    mp_assert_ok(mp_shm_list_clear(l));
    mp_assert_ok(mp_arena_get_stats(arena, &as));
    ck_assert_uint_eq(as.blocks, 1);
}

KILL_AT_POINTS(list, .points = "list.", .make = make, .round = all_changes,
               .check = nothing_is_torn_or_lost, .end = end)
