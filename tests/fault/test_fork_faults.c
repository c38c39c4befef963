// SPDX-License-Identifier: MIT
//
// Fault row 54: a user's fork() while other threads are in the middle of libmp. Whatever lock
// they hold, the child finds it free and what it guards in order, and makes new things of
// every kind.
#include "mptest.h"

#include <mp/mp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define FORKS    200
#define PATIENCE 10000 // in a child; alarm() ends what hangs

static atomic_bool over;

static int square(const void *in, void *out, void *ctx)
{
    (void)ctx;
    *(int *)out = *(const int *)in * *(const int *)in;
    return 0;
}
MP_TASK(square);

static int seven(void *arg)
{
    (void)arg;
    return 7;
}
MP_TASK(seven);

// ---- one thing of each kind, made, used and released ----

static bool use_objects(void)
{
    mp_lock *l;
    mp_event *e;
    mp_value *v;
    int64_t x = 0;
    bool ok = mp_lock_new(&l, NULL) == 0 && mp_lock_acquire(l, PATIENCE) == 0 &&
              mp_lock_release(l) == 0 && mp_event_new(&e, NULL) == 0 && mp_event_set(e) == 0 &&
              mp_value_new(&v, MP_INT32, NULL, NULL) == 0 && mp_value_set_int(v, 5) == 0 &&
              mp_value_get_int(v, &x) == 0 && x == 5;
    if (ok) {
        mp_lock_free(l);
        mp_event_free(e);
        mp_value_free(v);
    }
    return ok;
}

static bool use_queue(void)
{
    mp_queue *q;
    char got[8];
    bool ok = mp_queue_new(&q, NULL) == 0 && mp_queue_put(q, "abc", 3, PATIENCE) == 0 &&
              mp_queue_get(q, got, sizeof got, PATIENCE) == 3;
    mp_queue_free(ok ? q : NULL);
    return ok;
}

static bool use_pipe(void)
{
    mp_pipe *a, *b;
    char got[8];
    bool ok = mp_pipe_new(&a, &b, NULL) == 0 && mp_pipe_send(a, "abc", 3, PATIENCE) == 0 &&
              mp_pipe_recv(b, got, sizeof got, PATIENCE) == 3;
    if (ok) {
        mp_pipe_free(a);
        mp_pipe_free(b);
    }
    return ok;
}

static bool use_dict(void)
{
    mp_shm_dict *d;
    bool ok = mp_shm_dict_new(&d, NULL) == 0 && mp_shm_dict_set(d, "k", 1, "v", 1) >= 0;
    mp_shm_dict_free(ok ? d : NULL);
    return ok;
}

static bool start_one(mp_start method)
{
    mp_process *p;
    mp_monitor *m;
    mp_exit e = {0};
    char *why = NULL;
    mp_process_opts o = {.start = method, .error = &why};
    int r = mp_process_start(&p, seven, NULL, &o);
    if (r == 0)
        r = mp_monitor_new(&m);
    if (r == 0)
        r = mp_monitor_add(m, p, NULL);
    if (r == 0)
        r = mp_monitor_wait(m, &e, PATIENCE);
    if (r < 0 || e.code != 7) {
        dprintf(2, "%s: %s (%s), code %d\n", mp_start_name(method), mp_err_name(r), why ? why : "",
                e.code);
        return false;
    }
    mp_monitor_free(m);
    mp_process_free(p);
    return true;
}

static bool use_processes(void)
{
    return start_one(MP_START_FORK);
}

static bool use_spawn(void)
{
    return start_one(MP_START_SPAWN);
}

static bool use_forkserver(void)
{
    return start_one(MP_START_FORKSERVER);
}

static bool use_pool(void)
{
    mp_pool *p;
    int x[] = {1, 2, 3}, y[3];
    bool ok = mp_pool_new(&p, &(mp_pool_opts){.workers = 1}) == 0 &&
              mp_pool_map(p, square, x, sizeof *x, y, sizeof *y, 3, NULL, NULL) == 0 && y[2] == 9;
    mp_pool_free(ok ? p : NULL);
    return ok;
}

static int item_in_thread(const void *in, void *out, void *ctx)
{
    return square(in, out, ctx);
}

static bool use_threads(void)
{
    mp_executor *e;
    mp_future *f;
    int x = 3, y = 0;
    bool ok = mp_executor_new_threads(&e, &(mp_executor_opts){.workers = 1}) == 0 &&
              mp_executor_submit(e, &f, item_in_thread, &x, sizeof x, sizeof y, NULL) == 0 &&
              mp_future_result(f, &y, sizeof y, PATIENCE) == sizeof y && y == 9;
    if (ok) {
        mp_future_free(f);
        mp_executor_free(e);
    }
    return ok;
}

static bool (*const uses[])(void) = {use_objects,    use_queue,     use_pipe,
                                     use_dict,       use_processes, use_spawn,
                                     use_forkserver, use_pool,      use_threads};
#define USES (sizeof uses / sizeof *uses)

static void *use_again_and_again(void *arg)
{
    bool (*const *use)(void) = arg;
    while (!atomic_load(&over))
        if (!(*use)())
            return arg;
    return NULL;
}

// While one thread does `busy` all the time, this one forks, and the child does `mine`.
static void fork_beside(size_t busy, size_t mine, int forks)
{
    pthread_t t;
    void *failed;
    atomic_store(&over, false);
    ck_assert_int_eq(pthread_create(&t, NULL, use_again_and_again, (void *)(uintptr_t)&uses[busy]),
                     0);
    for (int i = 0; i < forks; i++) {
        usleep((useconds_t)(i % 7 * 40)); // anywhere in what the other does
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            alarm(60);
            _exit(uses[mine]() ? 0 : 1);
        }
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(status == 0, "%zu beside %zu: status %x", mine, busy, (unsigned)status);
    }
    atomic_store(&over, true);
    pthread_join(t, &failed);
    ck_assert_ptr_null(failed);
}

static void *use_once(void *made)
{
    *(void **)made = use_pool() ? made : NULL;
    return NULL;
}

static int use_pool_in_a_child(void *arg)
{
    (void)arg;
    return use_pool() ? 0 : 1;
}

// In a process that has made no pool yet: what a thread's first one loads is half loaded when
// this one forks.
static int fork_beside_a_first_pool(void *arg)
{
    pthread_t t;
    void *made = NULL;
    alarm(60);
    mptest_require(pthread_create(&t, NULL, use_once, &made) == 0);
    usleep((useconds_t)(uintptr_t)arg);
    int end = mptest_in_child(use_pool_in_a_child, NULL);
    pthread_join(t, NULL);
    return made ? end : 98;
}

static void skip_under_sanitizers(void)
{
    if (MPTEST_ASAN || MPTEST_TSAN)
        mp_skip("the sanitizer's allocator does not let go of its own lock in a fork");
}

MP_TEST(beside_a_thread_that_does_the_same)
{
    skip_under_sanitizers();
    for (size_t i = 0; i < USES; i++)
        fork_beside(i, i, i < 4 ? FORKS : FORKS / 10);
}

MP_TEST(beside_a_thread_that_starts_processes)
{
    skip_under_sanitizers();
    for (size_t i = 0; i < USES; i++)
        fork_beside(4 + i % 5, i, FORKS / 10);
}

// Also of threads that do something for the first time just then.
MP_TEST(a_child_of_libmp_beside_threads)
{
    skip_under_sanitizers();
    pthread_t t[USES];
    void *failed;
    atomic_store(&over, false);
    for (size_t i = 0; i < USES; i++)
        ck_assert_int_eq(
            pthread_create(&t[i], NULL, use_again_and_again, (void *)(uintptr_t)&uses[i]), 0);
    for (int i = 0; i < 10; i++)
        for (int m = MP_START_FORK; m <= MP_START_SPAWN; m++)
            ck_assert(start_one((mp_start)m));
    atomic_store(&over, true);
    for (size_t i = 0; i < USES; i++) {
        pthread_join(t[i], &failed);
        ck_assert_ptr_null(failed);
    }
}

MP_TEST(beside_the_first_pool_of_a_thread)
{
    skip_under_sanitizers();
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(
            mptest_in_child(fork_beside_a_first_pool, (void *)(uintptr_t)(i % 50 * 20)), 0);
}
