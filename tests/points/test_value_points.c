// SPDX-License-Identifier: MIT
//
// Deaths in values and arrays: before and behind each copy, with the lock held, and in
// between making one and telling of it.
#include "points.h"

#include <mp/array.h>
#include <mp/value.h>
#include <string.h>

#define ITEMS 40

// Two arrays whose items are the same, as long as everybody lives.
struct arrays {
    mp_arena *arena;
    mp_array *one, *two;
};

static void *make(void)
{
    mp_arena *arena;
    void *p;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_arena_alloc(arena, &p, 1, sizeof(struct arrays)));
    struct arrays *s = p;
    mp_array_opts o = {.arena = s->arena = arena};
    mp_assert_ok(mp_array_new(&s->one, MP_INT64, ITEMS, NULL, &o));
    mp_assert_ok(mp_array_new(&s->two, MP_INT64, ITEMS, NULL, &o));
    return s;
}

static bool is_uniform(mp_array *a)
{
    const int64_t *x = mp_array_ptr(a, int64_t);
    return memcmp(x, x + 1, (ITEMS - 1) * sizeof *x) == 0;
}

// The next to come is told of a death, mends, and finds everything in order.
static void mend(mp_array *a)
{
    int r = mp_rlock_acquire(mp_array_lock(a), 20000);
    mptest_require(r == 0 || r == MP_EOWNERDEAD);
    if (r == MP_EOWNERDEAD) {
        memset(mp_array_ptr(a, int64_t), 0, ITEMS * sizeof(int64_t));
        mptest_require(mp_rlock_consistent(mp_array_lock(a)) == 0);
    }
    mptest_require(is_uniform(a));
    mptest_require(mp_rlock_release(mp_array_lock(a)) == 0);
}

static bool went_well(int r)
{
    return r == 0 || r == MP_EOWNERDEAD;
}

static void one_round(void *arg)
{
    struct arrays *s = arg;
    int64_t x = getpid(), copy[ITEMS];
    mp_value *v;
    mend(s->one);
    mend(s->two);
    mptest_require(went_well(mp_array_fill(s->one, 0, ITEMS, &x, sizeof x, MP_FOREVER)));
    mptest_require(went_well(mp_array_copy(s->two, 0, s->one, 0, ITEMS, MP_FOREVER)));
    mptest_require(went_well(mp_array_read(s->two, 0, ITEMS, copy, sizeof x, MP_FOREVER)));
    mptest_require(went_well(mp_array_write(s->one, 0, ITEMS, copy, sizeof x, MP_FOREVER)));
    mptest_require(mp_value_new(&v, MP_INT64, &x, &(mp_value_opts){.arena = s->arena}) == 0);
    mptest_require(*mp_value_ptr(v, int64_t) == x);
    mp_value_free(v);
}

static void check(void *arg)
{
    struct arrays *s = arg;
    mend(s->one);
    mend(s->two);
}

static void end(void *arg)
{
    struct arrays *s = arg;
    mp_arena *arena = s->arena;
    mp_array_free(s->one);
    mp_array_free(s->two);
    mp_arena_delete(arena);
}

KILL_AT_POINTS(typed, .points = "typed.", .make = make, .round = one_round, .check = check,
               .end = end)
