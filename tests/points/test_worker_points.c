// SPDX-License-Identifier: MIT
//
// Workers killed between two certain instructions: in the windows of the claim
// protocol, which are nanoseconds wide and which random kills do not hit.
#include "points.h"

#include <mp/arena.h>
#include <mp/pool.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 100
#define SMALL sizeof(long)
#define LARGE ((size_t)64 << 10) // a hundred of them are many pieces: see work/stream.h

// How often each item ran.
static _Atomic uint16_t *runs;

static size_t item_size;
static char in[ITEMS * LARGE], out[ITEMS * LARGE];

static long *item(void *array, size_t i)
{
    return (long *)(void *)((char *)array + i * item_size);
}

static int count_item(const void *x, void *y, void *ctx)
{
    long i = *(const long *)x;
    (void)ctx;
    atomic_fetch_add(&runs[i], 1);
    *(long *)y = i + 1;
    return 0;
}

static int count_range(size_t begin, size_t end, const void *x, void *y, void *ctx)
{
    for (size_t i = begin; i < end; i++) {
        mp_task_at(i);
        count_item((const char *)x + (i - begin) * item_size, (char *)y + (i - begin) * item_size,
                   ctx);
    }
    mp_task_at(end);
    return 0;
}

struct plan {
    const char *where;
    int countdown, kills;
    bool range;
    size_t n, chunk;
};

static void check_plan(mp_pool *p, const struct plan *t, int *killed)
{
    int status[ITEMS];
    mp_map_opts o = {.chunk = t->chunk, .status = status};
    for (size_t i = 0; i < t->n; i++) {
        *item(in, i) = (long)i;
        *item(out, i) = -1;
        runs[i] = 0;
    }
    points_arm(t->where, t->countdown, t->kills);
    int r = t->range
                ? mp_pool_map_range(p, count_range, in, item_size, out, item_size, t->n, NULL, &o)
                : mp_pool_map(p, count_item, in, item_size, out, item_size, t->n, NULL, &o);
    *killed += points_disarm();
    int lost = 0;
    for (size_t i = 0; i < t->n; i++) {
        bool dead = status[i] == MP_EWORKERDIED;
        lost += dead;
        if (runs[i] != 1 - (dead && !runs[i]) || (status[i] && !dead) ||
            *item(out, i) != (dead ? -1 : (long)i + 1))
            ck_abort_msg("killed %d x %s after %d: item %zu of %zu, chunk %zu: %d runs, status %d, "
                         "result %ld",
                         t->kills, t->where, t->countdown, i, t->n, t->chunk, runs[i], status[i],
                         *item(out, i));
    }
    mp_assert_err(r, lost ? MP_EWORKERDIED : 0);
    // Only a range that has not yet told where it is can be lost in these windows.
    ck_assert(lost == 0 || (t->range && strcmp(t->where, "worker.recorded") == 0));
}

static void check_point(const char *where, size_t staging, size_t size)
{
    static const size_t chunks[] = {0, 1, 7, 100};
    mp_arena *arena;
    void *room;
    int killed = 0;
    size_t most = size == LARGE ? 2000 : 5000;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_arena_alloc(arena, &room, ITEMS, sizeof *runs));
    runs = room;
    item_size = size;
    points_mortal(); // only workers pass the points
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 3, .staging = staging}));
    for (size_t i = 0; i < 24 || (i < most && killed < 25); i++) {
        int countdown = (int)(i / 4 % (size == LARGE ? 3 : 6)); // a map may have few waits
        for (int kills = 1; kills <= 4; kills += 3) {
            struct plan t = {where, countdown, kills, countdown % 2, ITEMS, chunks[i % 4]};
            check_plan(p, &t, &killed);
            t.range = !t.range;
            t.n = 1 + (size_t)countdown * 3;
            check_plan(p, &t, &killed);
        }
    }
    // In a window workers have to wait; for a piece, only if the caller is not faster just now.
    ck_assert_int_ge(killed, size == LARGE ? 1 : 25);
    mp_pool_free(p);
    mp_arena_delete(arena);
}

#define AT(point, staging)                                                                         \
    static struct scenario point##_scenario = {.points = "worker." #point};                        \
    __attribute__((constructor)) static void point##_enter(void)                                   \
    {                                                                                              \
        points_register(&point##_scenario);                                                        \
    }                                                                                              \
    MP_TEST_TIMEOUT(worker_killed_when_##point, 60)                                                \
    {                                                                                              \
        check_point("worker." #point, staging, SMALL);                                             \
    }

#define AT_IN_STREAM(point)                                                                        \
    MP_TEST_TIMEOUT(worker_killed_in_a_window_when_##point, 60)                                    \
    {                                                                                              \
        check_point("worker." #point, 100, SMALL);                                                 \
    }                                                                                              \
    AT_IN_PIECES(point)

#define AT_IN_PIECES(point)                                                                        \
    MP_TEST_TIMEOUT(worker_killed_in_pieces_when_##point, 120)                                     \
    {                                                                                              \
        check_point("worker." #point, 0, LARGE);                                                   \
    }

AT(joined, 0)
AT_IN_STREAM(joined)
AT(claimed, 0)
AT_IN_STREAM(claimed)
AT(recorded, 0)
AT_IN_STREAM(recorded)
AT(run, 0)
AT_IN_STREAM(run)
AT(finished, 0)
AT_IN_STREAM(finished)
AT(done, 0)
AT_IN_STREAM(done)
AT(entered, 0)
AT_IN_STREAM(entered)
AT(leaving, 0)
AT_IN_STREAM(leaving)
AT(left, 0)
AT_IN_STREAM(left)
AT(awaits, 100)
AT_IN_PIECES(awaits)
AT(fed, 100)
AT_IN_PIECES(fed)
