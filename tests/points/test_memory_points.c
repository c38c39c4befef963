// SPDX-License-Identifier: MIT
//
// Deaths while objects are made and freed, lives are taken and given back, and counts are
// taken over.
#include "points.h"
#include "shm/arena.h"
#include "shm/holders.h"
#include "shm/object.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define LOST 8 // blocks that a few deaths may cost

static mp_arena *arena;

struct thing {
    struct mp__object object;
    struct mp__holders holders;
    uint64_t text[100];
};

static struct thing *new_thing(void)
{
    void *p;
    mptest_require(mp__object_new(&p, arena, NULL, 0, MP__VALUE, 1, sizeof(struct thing)) == 0);
    return p;
}

static void *make(void)
{
    mp_assert_ok(mp_arena_new(&arena, NULL));
    return new_thing();
}

static void end(void *object)
{
    mp__object_free(object, true);
    mp_arena_delete(arena);
}

static void few_blocks_are_lost(void *object)
{
    mp_arena_stats s;
    ck_assert(mp__object_is(object, MP__VALUE));
    mp_assert_ok(mp_arena_get_stats(arena, &s));
    ck_assert_uint_le(s.blocks, LOST);
}

static void make_and_free(void *object)
{
    struct thing *t = new_thing();
    for (size_t i = 0; i < 100; i++) {
        mptest_require(t->text[i] == 0);
        t->text[i] = i;
    }
    mptest_require(mp__object_is(t, MP__VALUE) && mp__object_is(object, MP__VALUE));
    mp__object_free(t, true);
}

KILL_AT_POINTS(objects, .points = "object.", .make = make, .round = make_and_free,
               .check = few_blocks_are_lost, .end = end)

// Takes a life in the arena of an object; whoever had that place is over.
static void take_life(void *object)
{
    mp__life life;
    mptest_require(mp__life_mine(object, &life) == 0);
    mptest_require(mp__life_number(life) != 0 && !mp__life_over(object, life));
    mptest_require(!mp__life_over(object, life));
}

static void live_twice(void *object)
{
    take_life(object);
    mp__life_leave(arena);
    take_life(object);
    mp__life_leave(arena);
    void *private; // an arena where nobody lived before
    mptest_require(mp__object_new(&private, NULL, NULL, 0, MP__VALUE, 1, 64) == 0);
    take_life(private);
    mp__object_free(private, true);
}

KILL_AT_POINTS(lives, .points = "life.", .make = make, .round = live_twice,
               .check = few_blocks_are_lost, .end = end)

// Holds for a while; then clears up after a process that died with it.
static void hold_and_reap(void *object)
{
    struct thing *t = new_thing();
    mp__held *mine;
    uint32_t left;
    mptest_require(mp__holders_mine(t, &t->holders, &mine, &left) == 0);
    mptest_require(left == 0);
    atomic_fetch_add(mine, 1);
    pid_t pid = fork();
    if (pid == 0) {
        mptest_require(mp__holders_mine(t, &t->holders, &mine, &left) == 0);
        atomic_fetch_add(mine, 3);
        _exit(0);
    }
    int status;
    mptest_require(waitpid(pid, &status, 0) == pid && status == 0);
    mptest_require(mp__holders_sum(t, &t->holders) == 4);
    mptest_require(mp__holders_any(t, &t->holders));
    mptest_require(mp__holders_reap(t, &t->holders) == 3);
    atomic_fetch_sub(mine, 1);
    mptest_require(!mp__holders_any(t, &t->holders));
    mp__holders_release(t, &t->holders);
    mp__object_free(t, true);
    mptest_require(mp__object_is(object, MP__VALUE));
}

KILL_AT_POINTS(holders, .points = "holders.", .make = make, .round = hold_and_reap,
               .check = few_blocks_are_lost, .end = end)

// ---- the arena itself ----

static void *make_arena(void)
{
    mp_assert_ok(mp_arena_new(&arena, NULL));
    return arena;
}

static void end_arena(void *object)
{
    mp_arena_delete(object);
}

// Blocks of all sizes and alignments, each full of a mark of its own.
static void alloc_and_free(void *object)
{
    static unsigned seed;
    unsigned char *block[6];
    size_t size[6];
    for (size_t i = 0; i < 6; i++) {
        void *p;
        size[i] = (size_t)rand_r(&seed) % 5000;
        size_t align = (size_t)1 << (rand_r(&seed) % 13);
        mptest_require(mp_arena_alloc_aligned(object, &p, size[i], 1, align) == 0);
        mptest_require((uintptr_t)p % align == 0);
        block[i] = memset(p, (int)(seed + i), size[i]);
        for (size_t k = 0; k <= i; k++)
            for (size_t b = 0; b < size[k]; b += 7)
                mptest_require(block[k][b] == (unsigned char)block[k][0]);
    }
    for (size_t i = 0; i < 6; i++)
        mptest_require(mp_arena_free(object, block[i]) == 0);
    void *part; // what was never used is zero, whoever died there
    mp_arena_stats s;
    uint64_t offset;
    mptest_require(mp__arena_take(object, 70000, true, &offset) == 0);
    part = mp_arena_at(object, offset, 70000);
    for (size_t i = 0; i < 70000; i += 8)
        mptest_require(*(uint64_t *)(void *)((char *)part + i) == 0);
    mptest_require(mp_arena_free(object, part) == 0);
    mptest_require(mp_arena_get_stats(object, &s) == 0 && s.held < (4 << 20));
}

static void all_but_few_are_free(void *object)
{
    mp_arena_stats s;
    mp_assert_ok(mp_arena_get_stats(object, &s));
    ck_assert_uint_le(s.blocks, 2 * LOST);
    ck_assert_uint_le(s.used, s.held);
}

KILL_AT_POINTS(arenas, .points = "arena.", .make = make_arena, .round = alloc_and_free,
               .check = all_but_few_are_free, .end = end_arena)
