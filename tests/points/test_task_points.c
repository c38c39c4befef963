// SPDX-License-Identifier: MIT
//
// Workers killed while they take a task from the board, run it, or give it back.
#include "points.h"

#include <mp/task.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#define N 40

// How often each task ran.
static _Atomic int *runs;

static int count(mp_task *task, const void *arg, size_t size, void *ctx)
{
    int i = *(const int *)arg;
    char big[300];
    (void)size;
    (void)ctx;
    atomic_fetch_add(&runs[i], 1);
    memset(big, i, sizeof big);
    return mp_task_result(task, big, i % 2 ? sizeof big : 4);
}

// What must have become of a task: done, or lost with its worker.
static void check_task(mp_future *f, int i, const char *where, bool retried)
{
    size_t size;
    int r = mp_future_error(f, 20000);
    const char *data = mp_future_data(f, &size);
    bool may_die =
        !retried && (strcmp(where, "board.taken") == 0 || strcmp(where, "worker.task_run") == 0);
    if (r == MP_EWORKERDIED && may_die) {
        ck_assert_ptr_nonnull(strstr(mp_future_error_text(f), "killed by signal 9"));
        ck_assert_int_eq(runs[i], strcmp(where, "worker.task_run") == 0);
        return;
    }
    ck_assert_msg(r == 0, "%s: task %d: %s", where, i, mp_err_name(r));
    ck_assert(runs[i] == 1 || (retried && runs[i] > 1));
    ck_assert_uint_eq(size, i % 2 ? 300 : 4);
    ck_assert_int_eq(data[3], i);
}

static int check_round(mp_pool *p, const char *where, int round)
{
    mp_future *f[N];
    mp_task_opts o = {.retries = round % 2 ? 1000 : 0};
    for (int i = 0; i < N; i++)
        runs[i] = 0;
    points_arm(where, round % 7, round % 3 + 1);
    for (int i = 0; i < N; i++)
        mp_assert_ok(mp_pool_apply_async(&f[i], p, count, &i, sizeof i, &o));
    for (int i = 0; i < N; i++) {
        check_task(f[i], i, where, round % 2);
        mp_future_free(f[i]);
    }
    return points_disarm();
}

static void check_point(const char *where)
{
    int killed = 0;
    runs = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    points_mortal(); // only workers pass the points
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 3}));
    for (int round = 0; round < 20 || (round < 200 && killed < 25); round++)
        killed += check_round(p, where, round);
    ck_assert_int_ge(killed, 25);
    mp_pool_free(p);
    munmap((void *)runs, 4096);
}

static int count_everywhere(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)task;
    (void)arg;
    (void)size;
    (void)ctx;
    atomic_fetch_add(runs, 1);
    return 0;
}

static void check_errands(const char *where)
{
    int killed = 0;
    bool begun = strcmp(where, "errand.taken") == 0;
    runs = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    points_mortal();
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 3}));
    for (int round = 0; round < 40 || (round < 200 && killed < 25); round++) {
        *runs = 0;
        points_arm(where, round % 3, round % 2 + 1);
        int r = mp_pool_everywhere(p, count_everywhere, NULL, 0, NULL);
        int died = points_disarm();
        mp_assert_err(r, begun && died ? MP_EWORKERDIED : 0);
        ck_assert_int_eq(*runs, begun ? 3 - died : 3);
        killed += died;
        *runs = 0;
        mp_assert_ok(mp_pool_everywhere(p, count_everywhere, NULL, 0, NULL));
        ck_assert_int_eq(*runs, 3);
    }
    ck_assert_int_ge(killed, 25);
    mp_pool_free(p);
    munmap((void *)runs, 4096);
}

// Killed as they go to rest: their places are filled when there is work.
static void check_rest(const char *where)
{
    int killed = 0;
    runs = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    points_mortal();
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 3, .idle_ms = 1}));
    for (int round = 0; round < 200 && killed < 25; round++) {
        int i = 0;
        *runs = 0;
        points_arm(where, 0, round % 3 + 1);
        usleep(3000);
        mp_assert_err(mp_pool_apply(p, count, &i, sizeof i, NULL, 0, NULL), MP_EMSGSIZE);
        ck_assert_int_eq(*runs, 1);
        killed += points_disarm();
    }
    ck_assert_int_ge(killed, 25);
    mp_pool_free(p);
    munmap((void *)runs, 4096);
}

#define AT(object, point, check)                                                                   \
    static struct scenario object##_##point##_scenario = {.points = #object "." #point};           \
    __attribute__((constructor)) static void object##_##point##_enter(void)                        \
    {                                                                                              \
        points_register(&object##_##point##_scenario);                                             \
    }                                                                                              \
    MP_TEST_TIMEOUT(worker_killed_at_##object##_##point, 60)                                       \
    {                                                                                              \
        check(#object "." #point);                                                                 \
    }

AT(board, taking, check_point)
AT(board, taken, check_point)
AT(board, ended, check_point)
AT(board, noted, check_point)
AT(worker, task_run, check_point)
AT(worker, resting, check_rest)
AT(errand, taking, check_errands)
AT(errand, taken, check_errands)
