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

#define AT(object, point)                                                                          \
    static struct scenario object##_##point##_scenario = {.points = #object "." #point};           \
    __attribute__((constructor)) static void object##_##point##_enter(void)                        \
    {                                                                                              \
        points_register(&object##_##point##_scenario);                                             \
    }                                                                                              \
    MP_TEST_TIMEOUT(worker_killed_at_##object##_##point, 60)                                       \
    {                                                                                              \
        check_point(#object "." #point);                                                           \
    }

AT(board, taking)
AT(board, taken)
AT(board, ended)
AT(board, noted)
AT(worker, task_run)
