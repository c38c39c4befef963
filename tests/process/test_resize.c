// SPDX-License-Identifier: MIT
//
// Pools that become larger and smaller: when told to, and by themselves.
#include "mptest.h"

#include <mp/imap.h>
#include <mp/task.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PATIENCE_MS 10000

static _Atomic int *shared_page(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(page != MAP_FAILED);
    return page;
}

static int alive(mp_pool *p)
{
    mp_pool_stats s;
    mp_assert_ok(mp_pool_get_stats(p, &s));
    return s.alive;
}

static bool has_alive(mp_pool *p, int n)
{
    return mptest_eventually(alive(p) == n, PATIENCE_MS);
}

// page[0]: how many are in it at once; page[1]: go on.
static int meet(const void *in, void *out, void *ctx)
{
    _Atomic int *page = ctx;
    (void)in;
    (void)out;
    atomic_fetch_add(&page[0], 1);
    while (!atomic_load(&page[1]))
        usleep(500);
    return 0;
}

static int meet_as_task(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)task;
    (void)size;
    return meet(arg, NULL, ctx);
}

static int square(const void *in, void *out, void *ctx)
{
    (void)ctx;
    *(long *)out = *(const long *)in * *(const long *)in;
    return 0;
}

static void square_some(mp_pool *p)
{
    long in[500], out[500];
    for (long i = 0; i < 500; i++)
        in[i] = i;
    mp_assert_ok(mp_pool_map(p, square, in, 8, out, 8, 500, NULL, NULL));
    for (long i = 0; i < 500; i++)
        ck_assert_int_eq(out[i], i * i);
}

MP_TEST(a_pool_grows_and_shrinks_when_told_to)
{
    static const int sizes[] = {2, 5, 1, 40, 3, 3};
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 2}));
    for (int i = 0; i < 6; i++) {
        mp_assert_ok(mp_pool_resize(p, sizes[i]));
        ck_assert_int_eq(mp_pool_workers(p), sizes[i]);
        square_some(p);
        ck_assert(has_alive(p, sizes[i]));
        square_some(p);
    }
    mp_pool_free(p);
}

MP_TEST(new_workers_take_part_in_what_runs)
{
    _Atomic int *page = shared_page();
    mp_pool *p;
    mp_future *f[4];
    mp_task_opts o = {.ctx = (void *)page};
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 1}));
    for (int i = 0; i < 4; i++)
        mp_assert_ok(mp_pool_apply_async(&f[i], p, meet_as_task, NULL, 0, &o));
    mp_assert_ok(mp_pool_resize(p, 4));
    ck_assert(mptest_eventually(atomic_load(page) == 4, PATIENCE_MS));
    // Smaller: nobody is taken from its work.
    mp_assert_ok(mp_pool_resize(p, 1));
    atomic_store(&page[1], 1);
    for (int i = 0; i < 4; i++) {
        mp_assert_ok(mp_future_error(f[i], PATIENCE_MS));
        mp_future_free(f[i]);
    }
    ck_assert(has_alive(p, 1));
    mp_pool_free(p);
    munmap((void *)page, 4096);
}

struct mapper {
    mp_pool *pool;
    _Atomic int *page;
    int result;
};

static void *map_meeting(void *arg)
{
    struct mapper *m = arg;
    m->result = mp_pool_map(m->pool, meet, NULL, 0, NULL, 0, 3, (void *)m->page,
                            &(mp_map_opts){.chunk = 1});
    return NULL;
}

MP_TEST(new_workers_join_a_map_that_runs)
{
    struct mapper m = {.page = shared_page()};
    pthread_t thread;
    mp_assert_ok(mp_pool_new(&m.pool, &(mp_pool_opts){.workers = 1}));
    ck_assert_int_eq(pthread_create(&thread, NULL, map_meeting, &m), 0);
    ck_assert(mptest_eventually(atomic_load(m.page) == 1, PATIENCE_MS));
    mp_assert_ok(mp_pool_resize(m.pool, 3));
    ck_assert(mptest_eventually(atomic_load(m.page) == 3, PATIENCE_MS));
    atomic_store(&m.page[1], 1);
    pthread_join(thread, NULL);
    mp_assert_ok(m.result);
    mp_pool_free(m.pool);
    munmap((void *)m.page, 4096);
}

MP_TEST(idle_workers_go_and_come_again)
{
    _Atomic int *page = shared_page();
    mp_pool *p;
    mp_future *f[3];
    mp_task_opts o = {.ctx = (void *)page};
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 3, .idle_ms = 20}));
    for (int round = 0; round < 3; round++) {
        ck_assert(has_alive(p, 0));
        ck_assert_int_eq(mp_pool_workers(p), 3);
        square_some(p);
        ck_assert(has_alive(p, 0));
        atomic_store(&page[0], 0);
        atomic_store(&page[1], 0);
        for (int i = 0; i < 3; i++) // each needs a worker of its own
            mp_assert_ok(mp_pool_apply_async(&f[i], p, meet_as_task, NULL, 0, &o));
        ck_assert(mptest_eventually(atomic_load(page) == 3, PATIENCE_MS));
        atomic_store(&page[1], 1);
        for (int i = 0; i < 3; i++) {
            mp_assert_ok(mp_future_error(f[i], PATIENCE_MS));
            mp_future_free(f[i]);
        }
        mp_assert_ok(mp_pool_everywhere(p, meet_as_task, NULL, 0, &o));
        ck_assert_int_eq(atomic_load(page), 6);
    }
    ck_assert(has_alive(p, 0));
    mp_assert_ok(mp_pool_close(p)); // with nobody there
    mp_assert_ok(mp_pool_join(p, PATIENCE_MS));
    mp_pool_free(p);
    munmap((void *)page, 4096);
}

static int echo(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)ctx;
    return mp_task_result(task, arg, size);
}

// The moment at which a worker goes to rest is the moment at which work comes.
MP_TEST(work_that_comes_as_workers_go_is_done)
{
    mp_pool *p;
    mp_pool_stats s;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 2, .idle_ms = 1}));
    for (int i = 0; i < 300; i++) {
        int n = -1;
        usleep((unsigned)(800 + i % 50 * 10));
        mp_assert_ok(mp_pool_apply(p, echo, &i, sizeof i, &n, sizeof n, NULL));
        ck_assert_int_eq(n, i);
    }
    mp_assert_ok(mp_pool_get_stats(p, &s));
    ck_assert_uint_gt(s.ended_workers, 0);
    mp_pool_free(p);
}

static void *resize_all_the_time(void *arg)
{
    struct mapper *m = arg;
    for (unsigned n = 1; !atomic_load(m->page); n = n * 1103515245 + 12345) {
        if (mp_pool_resize(m->pool, (int)(n / 65536 % 4) + 1) < 0)
            return m;
        usleep(500);
    }
    return NULL;
}

MP_TEST(resizing_disturbs_nobody)
{
    struct mapper m = {.page = shared_page()};
    pthread_t thread;
    void *failed;
    mp_assert_ok(mp_pool_new(&m.pool, &(mp_pool_opts){.workers = 2, .idle_ms = 3}));
    ck_assert_int_eq(pthread_create(&thread, NULL, resize_all_the_time, &m), 0);
    for (int i = 0; i < 100; i++) {
        int n = 0;
        square_some(m.pool);
        mp_assert_ok(mp_pool_apply(m.pool, echo, &i, sizeof i, &n, sizeof n, NULL));
        ck_assert_int_eq(n, i);
        if (i % 10 == 0)
            mp_assert_ok(mp_pool_everywhere(m.pool, echo, NULL, 0, NULL));
    }
    atomic_store(m.page, 1);
    pthread_join(thread, &failed);
    ck_assert_ptr_null(failed);
    mp_pool_free(m.pool);
    munmap((void *)m.page, 4096);
}

MP_TEST(the_state_of_workers_is_told)
{
    _Atomic int *page = shared_page();
    mp_pool *p;
    mp_future *f;
    mp_worker_stats w[2];
    mp_task_opts o = {.ctx = (void *)page};
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 2}));
    mp_assert_ok(mp_pool_apply_async(&f, p, meet_as_task, NULL, 0, &o));
    ck_assert(mptest_eventually(atomic_load(page) == 1, PATIENCE_MS));
    for (int i = 0; i < 2; i++)
        mp_assert_ok(mp_pool_get_worker_stats(p, i, &w[i]));
    ck_assert_int_eq((w[0].state == MP_WORKER_BUSY) + (w[1].state == MP_WORKER_BUSY), 1);
    atomic_store(&page[1], 1);
    mp_assert_ok(mp_future_error(f, PATIENCE_MS));
    mp_future_free(f);
    for (int i = 0; i < 2; i++)
        ck_assert(mptest_eventually(mp_pool_get_worker_stats(p, i, &w[i]) == 0 &&
                                        w[i].state == MP_WORKER_IDLE,
                                    PATIENCE_MS));
    mp_assert_ok(mp_pool_resize(p, 1));
    ck_assert(mptest_eventually(
        mp_pool_get_worker_stats(p, 1, &w[1]) == 0 && w[1].state == MP_WORKER_NONE, PATIENCE_MS));
    ck_assert_int_eq(w[1].pid, 0);
    mp_pool_free(p);
    munmap((void *)page, 4096);
}

MP_TEST(nonsense_is_refused)
{
    mp_pool *p;
    mp_assert_err(mp_pool_new(&p, &(mp_pool_opts){.idle_ms = -1}), MP_EINVAL);
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 1}));
    mp_assert_err(mp_pool_resize(NULL, 1), MP_EINVAL);
    mp_assert_err(mp_pool_resize(p, 0), MP_EINVAL);
    mp_assert_err(mp_pool_resize(p, 1025), MP_EINVAL);
    mp_assert_ok(mp_pool_close(p));
    mp_assert_err(mp_pool_resize(p, 2), MP_ECLOSED);
    mp_assert_ok(mp_pool_terminate(p));
    mp_assert_err(mp_pool_resize(p, 2), MP_ECANCELED);
    mp_pool_free(p);
}
