// SPDX-License-Identifier: MIT
//
// Workers killed between two certain instructions: in the windows of the claim
// protocol, which are nanoseconds wide and which random kills do not hit. The worker
// is compiled into this program with a kill at each of its points.
#include "mptest.h"

#include <mp/arena.h>
#include <mp/pool.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct board {
    _Atomic int countdown; // points still to be passed before the kill
    _Atomic int kills;     // still to be done
    _Atomic int done;
    char where[16];
    _Atomic uint16_t runs[1000];
};

static struct board *board;

static void pass_point(const char *where)
{
    if (!board || strcmp(where, board->where) != 0 || atomic_load(&board->kills) <= 0)
        return;
    if (atomic_fetch_sub(&board->countdown, 1) > 0 || atomic_fetch_sub(&board->kills, 1) <= 0)
        return;
    atomic_fetch_add(&board->done, 1);
    kill(getpid(), SIGKILL);
}

#define MP__POINT(where) pass_point(where)
#include "work/worker.c"

static int count_item(const void *in, void *out, void *ctx)
{
    long x = *(const long *)in;
    (void)ctx;
    atomic_fetch_add(&board->runs[x], 1);
    *(long *)out = x + 1;
    return 0;
}

static int count_range(size_t begin, size_t end, const void *in, void *out, void *ctx)
{
    for (size_t i = begin; i < end; i++) {
        mp_task_at(i);
        count_item((const long *)in + (i - begin), (long *)out + (i - begin), ctx);
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
    long in[1000], out[1000];
    int status[1000];
    mp_map_opts o = {.chunk = t->chunk, .status = status};
    for (size_t i = 0; i < t->n; i++) {
        in[i] = (long)i;
        out[i] = -1;
        board->runs[i] = 0;
    }
    board->countdown = t->countdown;
    board->done = 0;
    strcpy(board->where, t->where);
    board->kills = t->kills;
    int r = t->range ? mp_pool_map_range(p, count_range, in, 8, out, 8, t->n, NULL, &o)
                     : mp_pool_map(p, count_item, in, 8, out, 8, t->n, NULL, &o);
    board->kills = 0;
    *killed += board->done;
    int lost = 0;
    for (size_t i = 0; i < t->n; i++) {
        bool dead = status[i] == MP_EWORKERDIED;
        lost += dead;
        if (board->runs[i] != 1 - (dead && !board->runs[i]) || (status[i] && !dead) ||
            out[i] != (dead ? -1 : (long)i + 1))
            ck_abort_msg("killed %d x %s after %d: item %zu of %zu, chunk %zu: %d runs, status %d, "
                         "result %ld",
                         t->kills, t->where, t->countdown, i, t->n, t->chunk, board->runs[i],
                         status[i], out[i]);
    }
    mp_assert_err(r, lost ? MP_EWORKERDIED : 0);
    // Only a range that has not yet told where it is can be lost in these windows.
    ck_assert(lost == 0 || (t->range && strcmp(t->where, "recorded") == 0));
}

static void check_point(const char *where, size_t staging)
{
    static const size_t chunks[] = {0, 1, 7, 100};
    mp_arena *arena;
    void *room;
    int killed = 0;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_arena_alloc(arena, &room, 1, sizeof *board));
    board = room;
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 3, .staging = staging}));
    for (size_t c = 0; c < 4; c++) {
        for (int countdown = 0; countdown < 6; countdown++) {
            for (int kills = 1; kills <= 4; kills += 3) {
                struct plan t = {where, countdown, kills, countdown % 2, 100, chunks[c]};
                check_plan(p, &t, &killed);
                t.range = !t.range;
                t.n = 1 + (size_t)countdown * 3;
                check_plan(p, &t, &killed);
            }
        }
    }
    ck_assert_int_gt(killed, 10); // the point is passed at all
    mp_pool_free(p);
    mp_arena_delete(arena);
}

#define AT(point)                                                                                  \
    MP_TEST_TIMEOUT(killed_when_##point, 60)                                                       \
    {                                                                                              \
        check_point(#point, 0);                                                                    \
    }                                                                                              \
    MP_TEST_TIMEOUT(killed_in_a_stream_when_##point, 60)                                           \
    {                                                                                              \
        check_point(#point, 100);                                                                  \
    }

AT(joined)
AT(claimed)
AT(recorded)
AT(run)
AT(finished)
AT(done)
AT(entered)
AT(leaving)
AT(left)

MP_TEST_TIMEOUT(killed_in_a_stream_when_awaits, 60)
{
    check_point("awaits", 100);
}

MP_TEST_TIMEOUT(killed_in_a_stream_when_fed, 60)
{
    check_point("fed", 100);
}
