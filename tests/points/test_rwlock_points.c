// SPDX-License-Identifier: MIT
#include "points.h"

#include <mp/arena.h>
#include <mp/rwlock.h>
#include <sys/wait.h>

// What the lock guards: two numbers that are equal whenever nobody writes.
struct guarded {
    mp_arena *arena;
    mp_rwlock *rw;
    volatile uint64_t a, b;
};

static void *make(void)
{
    mp_arena *arena;
    void *p;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_assert_ok(mp_arena_alloc(arena, &p, 1, sizeof(struct guarded)));
    struct guarded *g = p;
    g->arena = arena;
    mp_assert_ok(mp_rwlock_new(&g->rw, &(mp_rwlock_opts){.arena = arena}));
    return g;
}

static void write_both(struct guarded *g)
{
    int r = mp_rwlock_acquire_write(g->rw, MP_FOREVER);
    mptest_require(r == 0 || r == MP_EOWNERDEAD);
    if (r < 0) {
        g->a = g->b;
        mptest_require(mp_rwlock_consistent(g->rw) == 0);
    }
    mptest_require(g->a == g->b);
    g->a++;
    g->b++;
    mptest_require(mp_rwlock_release_write(g->rw) == 0);
}

static void read_and_write(void *arg)
{
    struct guarded *g = arg;
    pid_t pid = fork();
    if (pid == 0) { // one before us dies writing
        points_die_at(NULL);
        int r = mp_rwlock_acquire_write(g->rw, MP_FOREVER);
        g->a += r == 0;
        _exit(0);
    }
    int status;
    mptest_require(waitpid(pid, &status, 0) == pid);
    int r = mp_rwlock_acquire_read(g->rw, MP_FOREVER);
    mptest_require(r == 0 || r == MP_EOWNERDEAD);
    if (r < 0) {
        write_both(g);
        r = mp_rwlock_acquire_read(g->rw, 1);
    }
    if (r == 0) {
        mptest_require(g->a == g->b);
        // Tried while somebody reads, so that it is given up, too.
        mptest_require(mp_rwlock_acquire_write(g->rw, 0) < 0);
        mptest_require(mp_rwlock_release_read(g->rw) == 0);
    }
    write_both(g);
}

static void it_can_be_used(void *arg)
{
    struct guarded *g = arg;
    write_both(g);
    mp_assert_ok(mp_rwlock_acquire_read(g->rw, 0));
    ck_assert_uint_eq(g->a, g->b);
    mp_assert_ok(mp_rwlock_release_read(g->rw));
}

static void end(void *arg)
{
    struct guarded *g = arg;
    mp_rwlock_free(g->rw);
    mp_arena_delete(g->arena);
}

KILL_AT_POINTS(rwlock, .points = "rwlock.", .make = make, .round = read_and_write,
               .check = it_can_be_used, .end = end)
