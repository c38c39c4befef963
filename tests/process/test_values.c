// SPDX-License-Identifier: MIT
//
// Values and arrays between processes: forked, attached by name, in a pool.
#include "mptest.h"
#include "shm/arena.h"

#include <mp/array.h>
#include <mp/pool.h>
#include <mp/process.h>
#include <mp/value.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define PROCESSES 100

static void reap_all(int n)
{
    for (int i = 0; i < n; i++) {
        int status;
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
}

static int add_under_lock(void *arg)
{
    mp_value *v = arg;
    int64_t *n = mp_value_ptr(v, int64_t);
    for (int i = 0; i < 100; i++) {
        if (mp_rlock_acquire(mp_value_lock(v), MP_FOREVER) < 0)
            return 1;
        *n += 1;
        if (mp_rlock_release(mp_value_lock(v)) < 0)
            return 2;
    }
    return 0;
}

MP_TEST_TIMEOUT(a_hundred_processes_add_under_the_lock, 60)
{
    mp_value *v;
    mp_process *p[PROCESSES];
    mp_assert_ok(mp_value_new(&v, MP_INT64, NULL, NULL));
    for (int i = 0; i < PROCESSES; i++)
        mp_assert_ok(mp_process_start(&p[i], add_under_lock, v, NULL));
    for (int i = 0; i < PROCESSES; i++) {
        int code;
        mp_assert_ok(mp_process_join(p[i], MP_FOREVER));
        mp_assert_ok(mp_process_exitcode(p[i], &code));
        ck_assert_int_eq(code, 0);
        mp_process_free(p[i]);
    }
    ck_assert_int_eq(*mp_value_ptr(v, int64_t), PROCESSES * 100);
    mp_value_free(v);
}

MP_TEST_TIMEOUT(a_hundred_processes_add_atomically, 60)
{
    mp_value *n, *sum;
    mp_assert_ok(mp_value_new(&n, MP_INT32, NULL, &(mp_value_opts){.no_lock = true}));
    mp_assert_ok(mp_value_new(&sum, MP_DOUBLE, NULL, NULL));
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0) {
            for (int k = 0; k < 1000; k++) {
                mp_atomic_add(mp_value_ptr(n, int32_t), 1);
                mp_atomic_add(mp_value_ptr(sum, double), 0.25);
            }
            _exit(0);
        }
    reap_all(PROCESSES);
    ck_assert_int_eq(*mp_value_ptr(n, int32_t), PROCESSES * 1000);
    ck_assert(*mp_value_ptr(sum, double) == PROCESSES * 250);
    mp_value_free(n);
    mp_value_free(sum);
}

struct pair {
    uint64_t a[40], b[40]; // the same
};

static struct pair pair_of(uint64_t x)
{
    struct pair p;
    for (size_t i = 0; i < 40; i++)
        p.a[i] = p.b[i] = x + i;
    return p;
}

static bool is_whole(const struct pair *p)
{
    return memcmp(p->a, p->b, sizeof p->a) == 0 && p->a[39] == p->a[0] + 39;
}

// Whoever reads sees one write, and never parts of two.
MP_TEST_TIMEOUT(reads_and_writes_are_whole, 60)
{
    struct pair first = pair_of(0);
    mp_value *v;
    mp_assert_ok(mp_value_new(&v, MP_STRUCT, &first, &(mp_value_opts){.size = sizeof first}));
    for (int who = 0; who < 4; who++)
        if (fork() == 0) {
            for (uint64_t i = 0; i < 10000; i++) {
                struct pair p = pair_of(i * 4 + (uint64_t)who);
                if (who % 2 == 0)
                    mptest_require(mp_value_write(v, &p, sizeof p, MP_FOREVER) == 0);
                mptest_require(mp_value_read(v, &p, sizeof p, MP_FOREVER) == 0);
                mptest_require(is_whole(&p));
            }
            _exit(0);
        }
    reap_all(4);
    mp_value_free(v);
}

// Copying between two in both directions at once: no deadlock, nothing torn.
MP_TEST_TIMEOUT(copies_in_opposite_directions, 60)
{
    struct pair one = pair_of(1000), two = pair_of(2000), seen;
    mp_array_opts o = {.item = sizeof one};
    mp_array *a, *b;
    mp_assert_ok(mp_array_new(&a, MP_STRUCT, 1, &one, &o));
    mp_assert_ok(mp_array_new(&b, MP_STRUCT, 1, &two, &o));
    for (int who = 0; who < 4; who++)
        if (fork() == 0) {
            for (int i = 0; i < 5000; i++) {
                mp_array *to = who % 2 ? a : b, *from = who % 2 ? b : a;
                mptest_require(mp_array_copy(to, 0, from, 0, 1, MP_FOREVER) == 0);
                mptest_require(mp_array_read(to, 0, 1, &seen, sizeof seen, MP_FOREVER) == 0);
                mptest_require(is_whole(&seen));
            }
            _exit(0);
        }
    reap_all(4);
    mp_assert_ok(mp_array_read(a, 0, 1, &seen, sizeof seen, 0));
    ck_assert(is_whole(&seen));
    mp_array_free(a);
    mp_array_free(b);
}

MP_TEST(who_waits_for_the_lock_gives_up_in_time)
{
    int64_t x = 1;
    mp_value *v, *to;
    mp_assert_ok(mp_value_new(&v, MP_INT64, NULL, NULL));
    mp_assert_ok(mp_value_new(&to, MP_INT64, NULL, NULL));
    mp_assert_ok(mp_rlock_acquire(mp_value_lock(v), 0));
    if (fork() == 0) {
        mptest_require(mp_value_read(v, &x, sizeof x, 0) == MP_ETIMEDOUT);
        mptest_require(mp_value_write(v, &x, sizeof x, 30) == MP_ETIMEDOUT);
        mptest_require(mp_value_copy(to, v, 0) == MP_ETIMEDOUT);
        mptest_require(mp_value_copy(to, v, 30) == MP_ETIMEDOUT);
        mptest_require(mp_value_copy(v, to, 30) == MP_ETIMEDOUT);
        mptest_require(!mp_rlock_locked(mp_value_lock(to)));
        mptest_require(mp_value_set_int(v, 5) == 0); // does not wait
        _exit(0);
    }
    reap_all(1);
    mp_assert_ok(mp_rlock_release(mp_value_lock(v)));
    mp_assert_ok(mp_value_get_int(v, &x));
    ck_assert_int_eq(x, 5);
    mp_value_free(v);
    mp_value_free(to);
}

// ---- by name

MP_TEST(strangers_attach_by_name)
{
    const char *name = mptest_name("values");
    if (fork() == 0) { // made by one child, used by another: neither has it from its parent
        mp_array *a;
        mptest_require(mp_array_new(&a, MP_DOUBLE, 1000, NULL, &(mp_array_opts){.name = name}) ==
                       0);
        while (mp_atomic_get(mp_array_ptr(a, double)) == 0)
            usleep(1000);
        double x;
        mptest_require(mp_array_read(a, 999, 1, &x, sizeof x, MP_FOREVER) == 0 && x == 999.5);
        mp_array_free(a);
        mptest_require(mp_shm_unlink(name) == 0);
        _exit(0);
    }
    if (fork() == 0) {
        mp_array *a;
        int r;
        while ((r = mp_array_attach(&a, name, MP_DOUBLE, 0)) == MP_ENOTFOUND)
            usleep(1000);
        mptest_require(r == 0 && mp_array_len(a) == 1000);
        mptest_require(mp_array_set_double(a, 999, 999.5) == 0);
        mp_atomic_set(mp_array_ptr(a, double), 1.0);
        mp_array_free(a);
        _exit(0);
    }
    reap_all(2);
}

// ---- in a pool

static int times_two(const void *in, void *out, void *ctx)
{
    (void)ctx;
    *(double *)out = *(const double *)in * 2;
    return 0;
}

// Where the worker found its item.
static int own_address(const void *in, void *out, void *ctx)
{
    (void)ctx;
    *(uintptr_t *)out = (uintptr_t)in;
    return 0;
}

static void check_pool_sees(mp_arena *arena)
{
    mp_array *x, *at;
    mp_pool *pool;
    mp_assert_ok(mp_array_new(&x, MP_DOUBLE, 1000, NULL, &(mp_array_opts){.arena = arena}));
    mp_assert_ok(mp_array_new(&at, MP_UINT64, 1000, NULL, &(mp_array_opts){.arena = arena}));
    mp_assert_ok(mp_pool_new(&pool, &(mp_pool_opts){.workers = 2}));
    double *items = mp_array_ptr(x, double);
    uint64_t *found = mp_array_ptr(at, uint64_t);
    ck_assert(mp__arena_shares(items, 8000, mp__arena_youngest()));
    for (size_t i = 0; i < 1000; i++)
        items[i] = (double)i;
    mp_assert_ok(mp_pool_map(pool, own_address, items, 8, found, 8, 1000, NULL, NULL));
    for (size_t i = 0; i < 1000; i++)
        ck_assert_uint_eq(found[i], (uintptr_t)&items[i]); // not copied
    mp_assert_ok(mp_pool_map(pool, times_two, items, 8, items, 8, 1000, NULL, NULL));
    for (size_t i = 0; i < 1000; i++)
        ck_assert(items[i] == 2.0 * (double)i);
    mp_pool_free(pool);
    mp_array_free(x);
    mp_array_free(at);
}

MP_TEST(a_pool_maps_over_arrays_where_they_are)
{
    mp_arena *arena;
    mp_assert_ok(mp_arena_new(&arena, NULL));
    check_pool_sees(arena);
    mp_arena_delete(arena);
    check_pool_sees(NULL); // the process's own
}
