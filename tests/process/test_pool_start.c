// SPDX-License-Identifier: MIT
//
// Pools by each start method: the same work, whatever the workers are forked from.
#include "crew.h"

#include "work/forkserver.h"

#include <mp/arena.h>
#include <mp/imap.h>
#include <mp/process.h>
#include <mp/random.h>
#include <mp/reduce.h>
#include <mp/starmap.h>
#include <mp/task.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE 15000

static const mp_start methods[] = {MP_START_FORK, MP_START_FORKSERVER, MP_START_SPAWN};

static mp_pool *make(const mp_pool_opts *opts)
{
    mp_pool *p;
    char *why;
    mp_pool_opts o = *opts;
    o.workers = o.workers ? o.workers : 2;
    o.error = &why;
    int r = mp_pool_new(&p, &o);
    ck_assert_msg(r == 0, "%s: %s (%s)", mp_start_name(o.start), mp_err_name(r), why ? why : "");
    return p;
}

static mp_pool *by(mp_start method)
{
    return make(&(mp_pool_opts){.start = method});
}

static int square(const void *in, void *out, void *ctx)
{
    int x = *(const int *)in;
    *(int *)out = x * x + (ctx ? *(int *)ctx : 0);
    return 0;
}
MP_TASK(square);

static int square_range(size_t begin, size_t end, const void *in, void *out, void *ctx)
{
    for (size_t i = 0; i < end - begin; i++)
        square((const int *)in + i, (int *)out + i, ctx);
    return 0;
}
MP_TASK(square_range);

MP_TEST(maps)
{
    enum { N = 100000 };
    int *in = malloc(N * sizeof *in), *out = malloc(N * sizeof *out), add = 5;
    for (int i = 0; i < N; i++)
        in[i] = i % 1000;
    for (size_t m = 0; m < 3; m++) {
        mp_pool *p = by(methods[m]);
        mp_map_opts o = {.ctx_size = sizeof add};
        mp_assert_ok(mp_pool_map(p, square, in, sizeof *in, out, sizeof *out, N, &add, &o));
        for (int i = 0; i < N; i++)
            ck_assert_int_eq(out[i], in[i] * in[i] + 5);
        mp_assert_ok(
            mp_pool_map_range(p, square_range, in, sizeof *in, out, sizeof *out, N, NULL, NULL));
        for (int i = 0; i < N; i++)
            ck_assert_int_eq(out[i], in[i] * in[i]);
        mp_pool_free(p);
    }
    free(in);
    free(out);
}

// An array in an arena is copied as well: such workers do not have it.
MP_TEST(maps_of_arenas)
{
    mp_arena *a;
    void *array;
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_ok(mp_arena_alloc(a, &array, 1000, sizeof(int)));
    int *x = array;
    for (size_t m = 0; m < 3; m++) {
        mp_pool *p = by(methods[m]);
        for (int i = 0; i < 1000; i++)
            x[i] = i;
        mp_assert_ok(mp_pool_map(p, square, x, sizeof *x, x, sizeof *x, 1000, NULL, NULL));
        for (int i = 0; i < 1000; i++)
            ck_assert_int_eq(x[i], i * i);
        mp_pool_free(p);
    }
    mp_arena_free(a, array);
    mp_arena_delete(a);
}

static int twice(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)ctx;
    char *both = malloc(2 * size + 1);
    memcpy(both, arg, size);
    memcpy(both + size, arg, size);
    int r = mp_task_result(task, both, 2 * size);
    free(both);
    return r;
}
MP_TASK(twice);

MP_TEST(tasks_of_any_size)
{
    const size_t sizes[] = {0, 5, 1000, 3 << 20};
    char *in = malloc(3 << 20), *out = malloc(6 << 20);
    memset(in, 'x', 3 << 20);
    for (size_t m = 0; m < 3; m++) {
        mp_pool *p = by(methods[m]);
        for (size_t i = 0; i < 4; i++) {
            memset(out, 0, 6 << 20);
            ck_assert_int_eq(mp_pool_apply(p, twice, in, sizes[i], out, 6 << 20, NULL),
                             2 * (int64_t)sizes[i]);
            ck_assert(sizes[i] == 0 || (out[0] == 'x' && out[2 * sizes[i] - 1] == 'x'));
        }
        mp_future *f;
        mp_assert_ok(mp_pool_apply_async(&f, p, twice, "ab", 2, NULL));
        ck_assert_int_eq(mp_future_result(f, out, 8, PATIENCE), 4);
        ck_assert_mem_eq(out, "abab", 4);
        mp_future_free(f);
        mp_pool_free(p);
    }
    free(in);
    free(out);
}

static int add_up(void *acc, const void *items, size_t n, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < n; i++)
        *(int64_t *)acc += ((const int *)items)[i];
    return 0;
}
MP_TASK(add_up);

static int join_sums(void *acc, const void *other, void *ctx)
{
    (void)ctx;
    *(int64_t *)acc += *(const int64_t *)other;
    return 0;
}

static int give_next(void *item, void *arg)
{
    int *n = arg;
    if (*n == 1000)
        return 0;
    *(int *)item = (*n)++;
    return 1;
}

MP_TEST(streams_and_reductions)
{
    int in[1000];
    for (int i = 0; i < 1000; i++)
        in[i] = i;
    for (size_t m = 0; m < 3; m++) {
        mp_pool *p = by(methods[m]);
        int64_t sum = 0;
        mp_assert_ok(
            mp_pool_reduce(p, add_up, join_sums, in, sizeof *in, 1000, &sum, sizeof sum, NULL));
        ck_assert_int_eq(sum, 499500);
        mp_imap *it;
        int n = 0, out, i = 0;
        int64_t r;
        mp_assert_ok(mp_pool_imap(&it, p, square, give_next, &n, sizeof(int), sizeof(int), NULL));
        while ((r = mp_imap_next(it, &out, NULL, PATIENCE)) >= 0) {
            ck_assert_int_eq(out, i * i);
            i++;
        }
        mp_assert_err(r, MP_EOF);
        ck_assert_int_eq(i, 1000);
        mp_imap_free(it);
        mp_pool_free(p);
    }
}

static int told; // by init, in workers

static int remember(void *arg)
{
    told = arg ? *(int *)arg : -1;
    return told == 99 ? 1 : 0;
}
MP_TASK(remember);

static int tell(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)arg, (void)size, (void)ctx;
    return mp_task_result(task, &told, sizeof told);
}
MP_TASK(tell);

static int product(const void *const args[], void *out, void *ctx)
{
    *(int *)out = *(const int *)args[0] * *(const short *)args[1] + (ctx ? *(int *)ctx : 0);
    return 0;
}
MP_TASK(product);

static int draw(const void *in, void *out, void *ctx)
{
    mp_random r;
    (void)in, (void)ctx;
    mp_task_random(&r, 42);
    *(uint64_t *)out = mp_random_next(&r);
    return 0;
}
MP_TASK(draw);

// Several arguments, arguments of the program's own functions, and streams of random numbers,
// which are the same wherever they are drawn.
MP_TEST(starmaps_and_random_numbers)
{
    int a[100], out[100];
    short b[100];
    uint64_t first[100], drawn[100];
    for (int i = 0; i < 100; i++) {
        a[i] = i;
        b[i] = (short)(2 * i);
    }
    for (size_t m = 0; m < 3; m++) {
        mp_pool *p = by(methods[m]);
        mp_future *f;
        int add = 7;
        mp_assert_ok(mp_pool_starmap_async(
            &f, p, product, (mp_column[]){MP_COLUMN(a), MP_COLUMN(b)}, 2, out, sizeof *out, 100,
            &(mp_map_async_opts){.ctx = &add, .ctx_size = sizeof add}));
        mp_assert_ok(mp_future_error(f, PATIENCE));
        mp_future_free(f);
        for (int i = 0; i < 100; i++)
            ck_assert_int_eq(out[i], 2 * i * i + 7);
        mp_assert_ok(mp_pool_map(p, draw, NULL, 0, drawn, sizeof *drawn, 100, NULL, NULL));
        if (m == 0)
            memcpy(first, drawn, sizeof first);
        ck_assert_mem_eq(first, drawn, sizeof first);
        mp_pool_free(p);
    }
}

static int counted; // in this worker

static int count_me(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)arg, (void)size, (void)ctx;
    counted++;
    return mp_task_result(task, &counted, sizeof counted);
}
MP_TASK(count_me);

static int tell_count(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)arg, (void)size, (void)ctx;
    return mp_task_result(task, &counted, sizeof counted);
}
MP_TASK(tell_count);

static bool has_workers(mp_pool *p, int n)
{
    mp_pool_stats s;
    mp_assert_ok(mp_pool_get_stats(p, &s));
    return s.alive == n;
}

// Each worker is told once; others come, go, rest, and retire after their tasks.
MP_TEST(workers_come_and_go)
{
    for (size_t m = 0; m < 3; m++) {
        int x = 3;
        mp_worker_stats w;
        mp_pool *p = by(methods[m]);
        mp_assert_ok(mp_pool_everywhere(p, count_me, NULL, 0, NULL));
        for (int i = 0; i < 10; i++) {
            ck_assert_int_eq(mp_pool_apply(p, tell_count, NULL, 0, &x, sizeof x, NULL), sizeof x);
            ck_assert_int_eq(x, 1);
        }
        mp_assert_ok(mp_pool_resize(p, 4));
        ck_assert(mptest_eventually(has_workers(p, 4), PATIENCE));
        mp_assert_ok(mp_pool_resize(p, 1));
        ck_assert(mptest_eventually(has_workers(p, 1), PATIENCE));
        mp_assert_ok(mp_pool_get_worker_stats(p, 0, &w));
        ck_assert(w.pid > 0 && w.resident > 0);
        mp_pool_free(p);
        p = make(&(mp_pool_opts){.start = methods[m], .workers = 1, .max_tasks = 1});
        for (int i = 0; i < 5; i++) {
            ck_assert_int_eq(mp_pool_apply(p, count_me, NULL, 0, &x, sizeof x, NULL), sizeof x);
            ck_assert_int_eq(x, 1); // the first task of each
        }
        mp_pool_free(p);
        p = make(&(mp_pool_opts){.start = methods[m], .idle_ms = 1});
        ck_assert(mptest_eventually(has_workers(p, 0), PATIENCE));
        ck_assert_int_eq(mp_pool_apply(p, count_me, NULL, 0, &x, sizeof x, NULL), sizeof x);
        mp_pool_free(p);
    }
}

// An item that is a pid interrupts that process.
static int wait_a_little(const void *in, void *out, void *ctx)
{
    int pid = *(const int *)in;
    (void)ctx;
    usleep(1000);
    *(int *)out = 0;
    return pid ? kill(pid, SIGALRM) : 0;
}
MP_TASK(wait_a_little);

static mp_pool *to_interrupt;

static void on_interrupt(int sig)
{
    (void)sig;
    mp_pool_interrupt(to_interrupt);
}

// Fault row 57, once: what runs is finished, the rest is cancelled.
MP_TEST(an_interrupt_ends_it_in_order)
{
    enum { N = 20000 };
    int *x = calloc(N, sizeof *x), *status = calloc(N, sizeof *status);
    signal(SIGALRM, on_interrupt);
    for (size_t m = 0; m < 3; m++) {
        to_interrupt = by(methods[m]);
        x[20] = getpid();
        mp_assert_err(mp_pool_map(to_interrupt, wait_a_little, x, sizeof *x, x, sizeof *x, N, NULL,
                                  &(mp_map_opts){.status = status, .chunk = 1}),
                      MP_ECANCELED);
        ck_assert_int_eq(status[0], 0);
        ck_assert_int_eq(status[N - 1], MP_ECANCELED);
        mp_assert_ok(mp_pool_join(to_interrupt, PATIENCE));
        mp_pool_free(to_interrupt);
    }
    signal(SIGALRM, SIG_DFL);
    free(x);
    free(status);
}

static int die(const void *in, void *out, void *ctx)
{
    if (*(const int *)in == 7)
        raise(SIGKILL);
    return square(in, out, ctx);
}
MP_TASK(die);

// Fault rows 1 and 11, for workers that were not forked from the caller.
MP_TEST(a_dead_worker_costs_its_item)
{
    for (size_t m = 0; m < 3; m++) {
        int in[20], out[20], status[20];
        for (int i = 0; i < 20; i++)
            in[i] = i;
        mp_pool *p = by(methods[m]);
        for (int round = 0; round < 2; round++) {
            mp_map_opts o = {.status = status};
            mp_assert_err(mp_pool_map(p, die, in, sizeof *in, out, sizeof *out, 20, NULL, &o),
                          MP_EWORKERDIED);
            for (int i = 0; i < 20; i++)
                ck_assert_int_eq(status[i], i == 7 ? MP_EWORKERDIED : 0);
            ck_assert_ptr_nonnull(strstr(mp_pool_error(p), "signal 9"));
        }
        mp_pool_free(p);
    }
}

static int crash_here(const void *in, void *out, void *ctx)
{
    (void)out;
    (void)ctx;
    signal(SIGSEGV, SIG_DFL);
    raise(*(const int *)in);
    return 0;
}
MP_TASK(crash_here);

MP_TEST(the_initializer_gets_its_bytes)
{
    for (size_t m = 0; m < 3; m++) {
        int x = 42, got = 0;
        mp_pool *p = make(&(mp_pool_opts){
            .start = methods[m], .init = remember, .init_arg = &x, .init_arg_size = sizeof x});
        ck_assert_int_eq(mp_pool_apply(p, tell, NULL, 0, &got, sizeof got, NULL), sizeof got);
        ck_assert_int_eq(got, 42);
        mp_pool_free(p);
        p = make(&(mp_pool_opts){.start = methods[m], .init = remember});
        ck_assert_int_eq(mp_pool_apply(p, tell, NULL, 0, &got, sizeof got, NULL), sizeof got);
        ck_assert_int_eq(got, -1);
        mp_pool_free(p);
        ck_assert_int_eq(told, 0);
    }
}

// Fault row 6: workers that cannot start break the pool, and there is no storm of forks.
MP_TEST(workers_that_cannot_start_break_it)
{
    for (size_t m = 0; m < 3; m++) {
        int x = 99, y = 1;
        mp_pool *p = make(&(mp_pool_opts){
            .start = methods[m], .init = remember, .init_arg = &x, .init_arg_size = sizeof x});
        mp_assert_err(mp_pool_map(p, square, &y, sizeof y, &y, sizeof y, 1, NULL, NULL),
                      MP_EBROKEN);
        mp_pool_free(p);
    }
}

static int not_registered(const void *in, void *out, void *ctx)
{
    return square(in, out, ctx);
}

static int not_registered_task(mp_task *task, const void *arg, size_t size, void *ctx)
{
    return twice(task, arg, size, ctx);
}

static int not_registered_init(void *arg)
{
    return arg != NULL;
}

MP_TEST(functions_that_would_not_hold_are_refused)
{
    int x = 2;
    mp_pool *p;
    char *why;
    for (size_t m = 1; m < 3; m++) {
        p = by(methods[m]);
        mp_assert_err(mp_pool_map(p, not_registered, &x, sizeof x, &x, sizeof x, 1, NULL, NULL),
                      MP_ENOFUNC);
        mp_assert_err(mp_pool_apply(p, not_registered_task, &x, sizeof x, &x, sizeof x, NULL),
                      MP_ENOFUNC);
        mp_pool_free(p);
        mp_pool_opts o = {.start = methods[m], .init = not_registered_init, .error = &why};
        mp_assert_err(mp_pool_new(&p, &o), MP_ENOFUNC);
        ck_assert_ptr_nonnull(strstr(why, "MP_TASK"));
        free(why);
        o = (mp_pool_opts){.start = methods[m], .init = remember, .init_arg = &x, .error = &why};
        mp_assert_err(mp_pool_new(&p, &o), MP_EINVAL);
        ck_assert_ptr_nonnull(strstr(why, "init_arg_size"));
        free(why);
    }
    mp_assert_err(mp_pool_new(&p, &(mp_pool_opts){.start = (mp_start)9}), MP_EINVAL);
    mp_assert_err(mp_pool_new(&p, &(mp_pool_opts){.init_arg_size = 1}), MP_EINVAL);
}

// The server that mp_runtime_init() forks has the code where the program has it.
static void preload(void)
{
    told = 7;
}
MP_FORKSERVER(preload);

MP_TEST(the_early_forkserver_knows_pointers)
{
    mp_assert_ok(mp_runtime_init());
    int x = 3, got = 0;
    mp_pool *p = by(MP_START_FORKSERVER);
    mp_assert_ok(mp_pool_map(p, not_registered, &x, sizeof x, &x, sizeof x, 1, NULL, NULL));
    ck_assert_int_eq(x, 9);
    ck_assert_int_eq(mp_pool_apply(p, tell, NULL, 0, &got, sizeof got, NULL), sizeof got);
    ck_assert_int_eq(got, 7); // what the hook did
    mp_pool_free(p);
}

MP_TEST(a_pool_in_a_context)
{
    static const mp_context library = {MP_START_SPAWN, "library"};
    int x = 3;
    mp_pool *p = make(&(mp_pool_opts){.context = &library});
    mp_assert_err(mp_pool_map(p, not_registered, &x, sizeof x, &x, sizeof x, 1, NULL, NULL),
                  MP_ENOFUNC);
    mp_assert_ok(mp_pool_map(p, square, &x, sizeof x, &x, sizeof x, 1, NULL, NULL));
    mp_pool_free(p);
    ck_assert_uint_eq(mp_process_active_children(NULL, 0), 0);
}

// They share the part of the address space that is free in a new process.
MP_TEST(many_at_the_same_time)
{
    mp_pool *p[80];
    int n = MPTEST_ASAN || MPTEST_TSAN ? 20 : 80;
    mptest_need_fds(1000);
    for (int i = 0; i < n; i++) {
        p[i] = make(&(mp_pool_opts){.start = MP_START_FORKSERVER, .workers = 1});
        int x = i;
        mp_assert_ok(mp_pool_map(p[i], square, &x, sizeof x, &x, sizeof x, 1, NULL, NULL));
        ck_assert_int_eq(x, i * i);
    }
    for (int i = 0; i < n; i++)
        mp_pool_free(p[i]);
}

MP_TEST(close_and_join)
{
    for (size_t m = 0; m < 3; m++) {
        mp_pool *p = by(methods[m]);
        mp_future *f;
        char out[4];
        mp_assert_ok(mp_pool_apply_async(&f, p, twice, "ab", 2, NULL));
        mp_assert_ok(mp_pool_close(p));
        mp_assert_ok(mp_pool_join(p, PATIENCE));
        ck_assert_int_eq(mp_future_result(f, out, 4, 0), 4);
        mp_future_free(f);
        mp_pool_free(p);
    }
}

// ---- ends ----

struct pids {
    pid_t worker, supervisor;
};

static int tell_pids(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)arg, (void)size, (void)ctx;
    struct pids p = {getpid(), getppid()};
    return mp_task_result(task, &p, sizeof p);
}
MP_TASK(tell_pids);

// Kills it, and returns how many ms the worker outlived it.
static int64_t kill_supervisor(mp_start method)
{
    struct pids pids;
    int x = 1;
    mp_pool *p = by(method);
    ck_assert_int_eq(mp_pool_apply(p, tell_pids, NULL, 0, &pids, sizeof pids, NULL), sizeof pids);
    int fd[] = {mp__pidfd_open(pids.worker), mp__pidfd_open(pids.supervisor)};
    int64_t then = mp__now();
    kill(pids.supervisor, SIGKILL);
    int64_t ms = crew_gone_after(then, fd, 2);
    mp_assert_err(mp_pool_map(p, square, &x, sizeof x, &x, sizeof x, 1, NULL, NULL), MP_EBROKEN);
    mp_pool_free(p);
    return ms;
}

MP_TEST(a_killed_supervisor_breaks_it)
{
    for (size_t m = 0; m < 3; m++)
        ck_assert_int_le(crew_best(kill_supervisor(methods[m])), CREW_DEATH_MS);
}

// Fault row 56: the depth counts through every method.
static int nest(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)size, (void)ctx;
    int levels[2];
    memcpy(levels, arg, sizeof levels);
    mp_pool *p;
    int r = mp_pool_new(&p, &(mp_pool_opts){.workers = 1, .start = methods[levels[1] % 3]});
    if (r == 0) {
        levels[1]++;
        int got = 0;
        int64_t n = mp_pool_apply(p, nest, levels, sizeof levels, &got, sizeof got, NULL);
        r = n == sizeof got ? got + 1 : (int)n;
        mp_pool_free(p);
    } else {
        r = r == MP_EDEPTH ? 0 : r;
    }
    return mp_task_result(task, &r, sizeof r);
}
MP_TASK(nest);

MP_TEST(nested_pools_have_a_limit)
{
    int levels[2] = {0, 0}, got = 0;
    mp_pool *p = make(&(mp_pool_opts){.workers = 1, .start = MP_START_SPAWN});
    ck_assert_int_eq(mp_pool_apply(p, nest, levels, sizeof levels, &got, sizeof got, NULL),
                     sizeof got);
    ck_assert_int_eq(got, 7); // with the first one, 8 deep
    mp_pool_free(p);
}

static int crash_deep(const void *in, void *out, void *ctx)
{
    (void)out;
    (void)ctx;
    *(volatile int *)(uintptr_t) * (const int *)in = 1;
    return 0;
}
MP_TASK(crash_deep);

// The calls of a crash are named right although they lay elsewhere in the worker.
MP_TEST(a_crash_is_told)
{
    for (size_t m = 0; m < 3; m++) {
        int x = 8;
        mp_pool *p = by(methods[m]);
        mp_assert_err(mp_pool_map(p, crash_deep, &x, sizeof x, NULL, 0, 1, NULL, NULL),
                      MP_EWORKERDIED);
        ck_assert_ptr_nonnull(strstr(mp_pool_error(p), "signal 11"));
        mp_pool_free(p);
        p = by(methods[m]);
        x = SIGABRT;
        mp_assert_err(mp_pool_map(p, crash_here, &x, sizeof x, NULL, 0, 1, NULL, NULL),
                      MP_EWORKERDIED);
        mp_pool_free(p);
    }
}
