// SPDX-License-Identifier: MIT
//
// What a pool promises while nobody dies. The faults are in fault/test_pool_faults.c.
#include "mptest.h"

#include <errno.h>
#include <mp/arena.h>
#include <mp/imap.h>
#include <mp/pool.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static mp_pool *new_pool(int workers)
{
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = workers}));
    return p;
}

static int square(const void *in, void *out, void *ctx)
{
    (void)ctx;
    long x = *(const long *)in;
    *(long *)out = x * x;
    return 0;
}

static int squares(size_t begin, size_t end, const void *in, void *out, void *ctx)
{
    for (size_t i = 0; i < end - begin; i++)
        square((const long *)in + i, (long *)out + i, ctx);
    return 0;
}

static int fail_some(const void *in, void *out, void *ctx)
{
    long x = *(const long *)in;
    (void)ctx;
    *(long *)out = x;
    return x % 10 == 7 ? (int)x : 0;
}

MP_TEST(map_gives_results_in_order)
{
    mp_pool *p = new_pool(4);
    long in[100], out[100] = {0};
    for (long i = 0; i < 100; i++)
        in[i] = i;
    mp_assert_ok(mp_pool_map(p, square, in, sizeof *in, out, sizeof *out, 100, NULL, NULL));
    for (long i = 0; i < 100; i++)
        ck_assert_int_eq(out[i], i * i);
    ck_assert_str_eq(mp_pool_error(p), "");
    ck_assert_int_eq(mp_pool_workers(p), 4);
    mp_assert_ok(mp_pool_close(p));
    mp_assert_ok(mp_pool_join(p, 15000));
    mp_pool_free(p);
}

// ---- many shapes ----

struct shape {
    size_t in_size, out_size;
};

// All bytes of an item count, so a task that got others shows.
static unsigned char mix(const unsigned char *in, size_t size)
{
    unsigned h = 17;
    for (size_t i = 0; i < size; i++)
        h = h * 31 + in[i];
    return (unsigned char)(h ^ h >> 8);
}

static int mix_item(const void *in, void *out, void *ctx)
{
    const struct shape *s = ctx;
    if (s->out_size)
        memset(out, mix(in, s->in_size), s->out_size);
    return 0;
}

static int mix_range(size_t begin, size_t end, const void *in, void *out, void *ctx)
{
    const struct shape *s = ctx;
    for (size_t i = 0; i < end - begin; i++) {
        const unsigned char *x = in ? (const unsigned char *)in + i * s->in_size : NULL;
        unsigned char *y = out ? (unsigned char *)out + i * s->out_size : NULL;
        mix_item(x, y, ctx);
    }
    return 0;
}

struct trial {
    mp_pool *pool; // NULL: mp_map()
    mp_arena *arena;
    size_t n, chunk;
    struct shape shape;
    bool range, in_arena, out_arena, same, status;
};

static unsigned char *new_array(const struct trial *t, bool in_arena, size_t bytes)
{
    void *p = NULL;
    if (bytes == 0)
        return NULL;
    if (!in_arena)
        p = malloc(bytes);
    else
        mp_assert_ok(mp_arena_alloc(t->arena, &p, bytes, 1));
    ck_assert_ptr_nonnull(p);
    return p;
}

static void free_array(const struct trial *t, bool in_arena, void *p)
{
    if (in_arena)
        mp_assert_ok(mp_arena_free(t->arena, p));
    else
        free(p);
}

static int call_map(const struct trial *t, unsigned char *in, unsigned char *out, int *status)
{
    struct shape s = t->shape;
    mp_map_opts o = {.chunk = t->chunk, .ctx_size = sizeof s, .status = status, .workers = 3};
    if (!t->pool && t->range)
        return mp_map_range(mix_range, in, s.in_size, out, s.out_size, t->n, &s, &o);
    if (!t->pool)
        return mp_map(mix_item, in, s.in_size, out, s.out_size, t->n, &s, &o);
    if (t->range)
        return mp_pool_map_range(t->pool, mix_range, in, s.in_size, out, s.out_size, t->n, &s, &o);
    return mp_pool_map(t->pool, mix_item, in, s.in_size, out, s.out_size, t->n, &s, &o);
}

static void try_shape(const struct trial *t)
{
    size_t in_bytes = t->n * t->shape.in_size, out_bytes = t->n * t->shape.out_size;
    unsigned char *in = new_array(t, t->in_arena, in_bytes);
    unsigned char *out = t->same ? in : new_array(t, t->out_arena, out_bytes);
    unsigned char *want = malloc(t->n);
    int *status = t->status ? malloc(t->n * sizeof *status) : NULL;
    for (size_t i = 0; i < in_bytes; i++)
        in[i] = (unsigned char)(i * 7 + i / 251 + t->n);
    for (size_t i = 0; i < t->n; i++)
        want[i] = mix(in ? in + i * t->shape.in_size : NULL, t->shape.in_size);
    mp_assert_ok(call_map(t, in, out, status));
    for (size_t i = 0; i < out_bytes; i++)
        if (out[i] != want[i / t->shape.out_size])
            ck_abort_msg("byte %zu: n %zu, chunk %zu, sizes %zu and %zu, range %d, arena %d and "
                         "%d, same %d",
                         i, t->n, t->chunk, t->shape.in_size, t->shape.out_size, t->range,
                         t->in_arena, t->out_arena, t->same);
    for (size_t i = 0; status && i < t->n; i++)
        if (status[i])
            ck_abort_msg("status %zu is %d", i, status[i]);
    free_array(t, t->in_arena, in);
    if (!t->same)
        free_array(t, t->out_arena, out);
    free(want);
    free(status);
}

static void try_shapes(int trials, int workers, size_t staging)
{
    static const size_t counts[] = {1, 2, 3, 5, 16, 100, 1000, 4097, 20000};
    static const size_t chunks[] = {0, 0, 1, 2, 7, 100, 5000, 1 << 30};
    static const size_t sizes[] = {0, 1, 3, 4, 8, 24, 100};
    struct trial t = {0};
    unsigned seed = (unsigned)workers + (unsigned)staging;
    mp_assert_ok(mp_arena_new(&t.arena, NULL));
    if (workers)
        mp_assert_ok(mp_pool_new(&t.pool, &(mp_pool_opts){.workers = workers, .staging = staging}));
    for (int i = 0; i < trials; i++) {
        t.n = counts[rand_r(&seed) % 9];
        t.chunk = chunks[rand_r(&seed) % 8];
        t.shape.in_size = sizes[rand_r(&seed) % 7];
        t.shape.out_size = sizes[rand_r(&seed) % 7];
        t.range = rand_r(&seed) % 2;
        t.in_arena = rand_r(&seed) % 4 == 0;
        t.out_arena = rand_r(&seed) % 4 == 0;
        t.status = rand_r(&seed) % 4 == 0;
        t.same = rand_r(&seed) % 3 == 0 && t.shape.in_size == 1;
        if (t.same) {
            t.shape.out_size = 1;
            t.out_arena = t.in_arena;
        }
        try_shape(&t);
    }
    mp_pool_free(t.pool);
    mp_arena_delete(t.arena);
}

MP_TEST_TIMEOUT(shapes_that_fit_the_staging_memory, 60)
{
    try_shapes(300, 2, 0);
}

MP_TEST_TIMEOUT(shapes_that_stream_through_a_little_of_it, 60)
{
    try_shapes(300, 3, 4096);
}

MP_TEST_TIMEOUT(shapes_with_a_byte_of_staging, 60)
{
    try_shapes(100, 2, 1);
}

MP_TEST_TIMEOUT(shapes_with_one_worker, 60)
{
    try_shapes(100, 1, 1000);
}

MP_TEST_TIMEOUT(shapes_with_many_workers, 60)
{
    try_shapes(60, 17, 100000);
}

MP_TEST_TIMEOUT(shapes_of_one_shot_maps, 60)
{
    try_shapes(100, 0, 0);
}

static int add_one(size_t begin, size_t end, const void *in, void *out, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < end - begin; i++)
        ((unsigned char *)out)[i] = (unsigned char)(((const unsigned char *)in)[i] + 1);
    return 0;
}

MP_TEST_TIMEOUT(more_chunks_than_a_pass_takes, 60)
{
    size_t n = ((size_t)1 << 24) + 1000;
    mp_arena *a;
    void *array;
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_ok(mp_arena_alloc(a, &array, n, 1));
    memset(array, 5, n);
    mp_pool *p = new_pool(2);
    mp_map_opts o = {.chunk = 1};
    mp_assert_ok(mp_pool_map_range(p, add_one, array, 1, array, 1, n, NULL, &o));
    for (size_t i = 0; i < n; i++)
        if (((unsigned char *)array)[i] != 6)
            ck_abort_msg("item %zu ran %d times", i, ((unsigned char *)array)[i] - 5);
    mp_pool_free(p);
    mp_arena_delete(a);
}

static int count_items(size_t begin, size_t end, const void *in, void *out, void *ctx)
{
    atomic_fetch_add((_Atomic size_t *)ctx, in || out ? 0 : end - begin);
    return 0;
}

MP_TEST(no_arrays_at_all)
{
    mp_arena *a;
    void *sum;
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_ok(mp_arena_alloc(a, &sum, 1, sizeof(size_t)));
    mp_pool *p = new_pool(2);
    size_t n = SIZE_MAX / 2;
    mp_assert_ok(mp_pool_map_range(p, count_items, NULL, 0, NULL, 0, n, sum, NULL));
    ck_assert_uint_eq(*(_Atomic size_t *)sum, n);
    mp_pool_free(p);
    mp_arena_delete(a);
}

// ---- arenas ----

static int store_address(const void *in, void *out, void *ctx)
{
    (void)ctx;
    *(const void **)out = in;
    return 0;
}

MP_TEST(arrays_in_an_arena_are_used_where_they_are)
{
    mp_arena *before, *after;
    void *in, *out, *late;
    mp_assert_ok(mp_arena_new(&before, NULL));
    mp_pool *p = new_pool(2);
    mp_assert_ok(mp_arena_new(&after, NULL));
    mp_assert_ok(mp_arena_alloc(before, &in, 10, 8)); // after the pool, which is fine
    mp_assert_ok(mp_arena_alloc(before, &out, 10, sizeof(void *)));
    mp_assert_ok(mp_arena_alloc(after, &late, 10, 8));
    const void **seen = out;
    mp_assert_ok(mp_pool_map(p, store_address, in, 8, out, sizeof(void *), 10, NULL, NULL));
    for (size_t i = 0; i < 10; i++)
        ck_assert_ptr_eq(seen[i], (char *)in + i * 8);
    mp_assert_ok(mp_pool_map(p, store_address, late, 8, out, sizeof(void *), 10, NULL, NULL));
    for (size_t i = 0; i < 10; i++)
        ck_assert(seen[i] && !mp_arena_contains(after, seen[i], 8));
    mp_pool_free(p);
    mp_arena_delete(before);
    mp_arena_delete(after);
}

// ---- failures that tasks report ----

MP_TEST(a_task_that_fails_costs_its_item_only)
{
    mp_pool *p = new_pool(2);
    long in[100], out[100];
    int status[100];
    mp_map_opts o = {.status = status};
    for (long i = 0; i < 100; i++)
        in[i] = i, out[i] = -1, status[i] = 99;
    mp_assert_err(mp_pool_map(p, fail_some, in, 8, out, 8, 100, NULL, &o), MP_ETASK);
    for (long i = 0; i < 100; i++) {
        ck_assert_int_eq(out[i], i);
        ck_assert_int_eq(status[i], i % 10 == 7 ? i : 0);
    }
    ck_assert_str_eq(mp_pool_error(p),
                     "item 7 of 100: the task returned 7; 10 items failed, 90 done");
    mp_assert_ok(mp_pool_map(p, square, in, 8, out, 8, 100, NULL, &o)); // starts clean
    for (long i = 0; i < 100; i++)
        ck_assert_int_eq(status[i], 0);
    ck_assert_str_eq(mp_pool_error(p), "");
    mp_pool_free(p);
}

static int fail_range(size_t begin, size_t end, const void *in, void *out, void *ctx)
{
    (void)in;
    (void)out;
    (void)ctx;
    return begin <= 20 && 20 < end ? -5 : 0;
}

MP_TEST(a_range_that_fails_costs_the_range)
{
    mp_pool *p = new_pool(2);
    int status[100];
    mp_map_opts o = {.chunk = 8, .status = status};
    mp_assert_err(mp_pool_map_range(p, fail_range, NULL, 0, NULL, 0, 100, NULL, &o), MP_ETASK);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(status[i], i >= 16 && i < 24 ? -5 : 0);
    ck_assert_str_eq(mp_pool_error(p),
                     "item 16 of 100: the task returned -5; 8 items failed, 92 done");
    mp_pool_free(p);
}

MP_TEST(failures_in_a_stream)
{
    enum { N = 3000 };
    static long in[N], out[N];
    static int status[N];
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 2, .staging = 500}));
    for (long i = 0; i < N; i++)
        in[i] = i;
    for (size_t chunk = 0; chunk < 4; chunk++) {
        mp_map_opts o = {.chunk = chunk, .status = status};
        mp_assert_err(mp_pool_map(p, fail_some, in, 8, out, 8, N, NULL, &o), MP_ETASK);
        for (long i = 0; i < N; i++) {
            ck_assert_int_eq(out[i], i);
            ck_assert_int_eq(status[i], i % 10 == 7 ? i : 0);
        }
    }
    mp_pool_free(p);
}

// ---- the way tasks see the world ----

static int add_ctx(const void *in, void *out, void *ctx)
{
    *(long *)out = *(const long *)in + *(long *)ctx;
    return 0;
}

MP_TEST(ctx_is_copied_when_it_has_a_size)
{
    mp_pool *p = new_pool(2);
    for (long add = 0; add < 20; add++) {
        long in[3] = {1, 2, 3}, out[3];
        long *ctx = malloc(100000); // at an address the workers do not have
        *ctx = add;
        mp_map_opts o = {.ctx_size = 100000};
        mp_assert_ok(mp_pool_map(p, add_ctx, in, 8, out, 8, 3, ctx, &o));
        free(ctx);
        for (long i = 0; i < 3; i++)
            ck_assert_int_eq(out[i], i + 1 + add);
    }
    mp_pool_free(p);
}

MP_TEST(one_shot_sees_what_the_caller_sees)
{
    long *in = malloc(1000 * sizeof *in), ctx = 5, out[1000];
    for (long i = 0; i < 1000; i++)
        in[i] = i;
    const void *seen[3];
    mp_assert_ok(mp_map(add_ctx, in, 8, out, 8, 1000, &ctx, NULL));
    for (long i = 0; i < 1000; i++)
        ck_assert_int_eq(out[i], i + 5);
    mp_assert_ok(mp_map(store_address, in, 8, seen, sizeof *seen, 3, NULL, NULL));
    ck_assert_ptr_eq(seen[2], &in[2]); // not copied
    char *text = (char *)1;
    mp_map_opts o = {.error = &text, .workers = 2};
    mp_assert_err(mp_map(fail_some, in, 8, out, 8, 10, NULL, &o), MP_ETASK);
    ck_assert_str_eq(text, "item 7 of 10: the task returned 7; 1 item failed, 9 done");
    free(text);
    mp_assert_ok(mp_map(square, in, 8, in, 8, 10, NULL, &o)); // in place
    ck_assert_ptr_null(text);
    ck_assert_int_eq(in[9], 81);
    free(in);
}

static void on_signal(int sig)
{
    (void)sig;
    _exit(77);
}

struct setting {
    bool int_ignored, term_default, mask_kept;
    char name[16];
};

static int report_setting(const void *in, void *out, void *ctx)
{
    struct setting *s = out;
    struct sigaction sa;
    sigset_t mask;
    (void)in;
    (void)ctx;
    sigaction(SIGINT, NULL, &sa);
    s->int_ignored = sa.sa_handler == SIG_IGN;
    sigaction(SIGTERM, NULL, &sa);
    s->term_default = sa.sa_handler == SIG_DFL;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    s->mask_kept =
        sigismember(&mask, SIGUSR1) && !sigismember(&mask, SIGUSR2) && !sigismember(&mask, SIGCHLD);
    prctl(PR_GET_NAME, s->name);
    return 0;
}

MP_TEST(signals_and_names_in_workers)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    sigset_t usr, now;
    sigemptyset(&usr);
    sigaddset(&usr, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr, NULL);
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 1, .name = "hash-of-a-long-name"}));
    sigprocmask(SIG_SETMASK, NULL, &now);
    ck_assert(sigismember(&now, SIGUSR1) && !sigismember(&now, SIGTERM)); // ours is as before
    struct setting s;
    mp_assert_ok(mp_pool_map(p, report_setting, NULL, 0, &s, sizeof s, 1, NULL, NULL));
    ck_assert(s.int_ignored);
    ck_assert(s.term_default);
    ck_assert(s.mask_kept);
    ck_assert_str_eq(s.name, "hash-of-a-lon-1");
    mp_pool_free(p);
}

static int say(const void *in, void *out, void *ctx)
{
    (void)out;
    (void)ctx;
    printf("task %ld\n", *(const long *)in);
    return 0;
}

MP_TEST(what_tasks_print_is_there_after_the_map_and_once)
{
    int saved = dup(1);
    ck_assert_ptr_nonnull(freopen("output", "w", stdout)); // a file: fully buffered
    printf("before\n");
    mp_pool *p = new_pool(2);
    long in[50];
    for (long i = 0; i < 50; i++)
        in[i] = i;
    mp_assert_ok(mp_pool_map(p, say, in, 8, NULL, 0, 50, NULL, NULL));
    FILE *r = fopen("output", "r");
    char line[100];
    int before = 0, tasks = 0;
    while (fgets(line, sizeof line, r)) {
        before += strcmp(line, "before\n") == 0;
        tasks += strncmp(line, "task ", 5) == 0;
    }
    fclose(r);
    ck_assert_int_eq(before, 1);
    ck_assert_int_eq(tasks, 50);
    mp_pool_free(p);
    fflush(stdout);
    dup2(saved, 1);
    close(saved);
    remove("output");
}

static int count_fds(const void *in, void *out, void *ctx)
{
    (void)in;
    (void)ctx;
    *(int *)out = mptest_fd_count();
    return 0;
}

static int fds_in_fork(void *before)
{
    return mptest_fd_count() != *(int *)before;
}

MP_TEST(descriptors_do_not_pile_up)
{
    int before = mptest_fd_count(), there = -1;
    mp_pool *p = new_pool(2), *q = new_pool(2);
    ck_assert_int_eq(mptest_fd_count(), before + 9); // four a pool, and the arena
    mp_assert_ok(mp_pool_map(p, count_fds, NULL, 0, &there, sizeof there, 1, NULL, NULL));
    ck_assert_int_eq(there, before + 2); // the arena, and the bell
    mp_assert_ok(mp_pool_map(q, count_fds, NULL, 0, &there, sizeof there, 1, NULL, NULL));
    ck_assert_int_eq(there, before + 2); // nothing of p
    int inherited = before + 1;          // the arena
    ck_assert_int_eq(mptest_in_child(fds_in_fork, &inherited), 0);
    mp_pool_free(p);
    mp_pool_free(q);
    ck_assert_int_eq(mptest_fd_count(), before);
}

// ---- nesting and ownership ----

static mp_pool *global_pool;

static int use_in_worker(const void *in, void *out, void *ctx)
{
    long x = 3, y;
    (void)in;
    (void)ctx;
    *(int *)out = mp_pool_map(global_pool, square, &x, sizeof x, &y, sizeof y, 1, NULL, NULL);
    if (mp_pool_close(global_pool) != MP_EOWNER || mp_pool_terminate(global_pool) != MP_EOWNER ||
        mp_pool_join(global_pool, 0) != MP_EOWNER)
        return 1;
    mp_pool_free(global_pool);
    global_pool = NULL;
    return 0;
}

MP_TEST(a_worker_does_not_own_its_pool)
{
    mp_assert_ok(mp_pool_new(&global_pool, &(mp_pool_opts){.workers = 1}));
    int r = 0;
    mp_assert_ok(mp_pool_map(global_pool, use_in_worker, NULL, 0, &r, sizeof r, 1, NULL, NULL));
    ck_assert_int_eq(r, MP_EOWNER);
    long x = 3, y = 0;
    mp_assert_ok(mp_pool_map(global_pool, square, &x, 8, &y, 8, 1, NULL, NULL));
    ck_assert_int_eq(y, 9);
    mp_pool_free(global_pool);
}

static int nested_square(const void *in, void *out, void *ctx)
{
    mp_map_opts o = {.workers = 1};
    return mp_map(square, in, 8, out, 8, 1, ctx, &o);
}

MP_TEST(maps_nest)
{
    mp_pool *p = new_pool(2);
    long in[10], out[10];
    for (long i = 0; i < 10; i++)
        in[i] = i;
    mp_assert_ok(mp_pool_map(p, nested_square, in, 8, out, 8, 10, NULL, NULL));
    for (long i = 0; i < 10; i++)
        ck_assert_int_eq(out[i], i * i);
    mp_pool_free(p);
}

static int dig(const void *in, void *out, void *ctx)
{
    int depth = *(const int *)in + 1, deepest = depth;
    mp_map_opts o = {.workers = 1};
    int r = mp_map(dig, &depth, sizeof depth, &deepest, sizeof deepest, 1, ctx, &o);
    if (r < 0 && r != MP_EDEPTH)
        return r;
    *(int *)out = deepest;
    return 0;
}

MP_TEST(nesting_ends_at_eight)
{
    int depth = 0, deepest = 0;
    mp_map_opts o = {.workers = 1};
    mp_assert_ok(mp_map(dig, &depth, sizeof depth, &deepest, sizeof deepest, 1, NULL, &o));
    ck_assert_int_eq(deepest, 8);
}

// ---- the end of a pool ----

MP_TEST(after_close_no_more_maps)
{
    mp_pool *p = new_pool(2);
    long in = 1, out;
    mp_assert_err(mp_pool_join(p, 0), MP_ESTATE);
    mp_assert_ok(mp_pool_close(p));
    mp_assert_ok(mp_pool_close(p));
    mp_assert_err(mp_pool_map(p, square, &in, 8, &out, 8, 1, NULL, NULL), MP_ECLOSED);
    mp_assert_ok(mp_pool_join(p, MP_FOREVER));
    mp_assert_ok(mp_pool_join(p, 0));
    mp_assert_err(mp_pool_map(p, square, &in, 8, &out, 8, 1, NULL, NULL), MP_ECLOSED);
    mp_assert_ok(mp_pool_terminate(p));
    mp_pool_free(p);
}

struct waiting {
    mp_pool *pool;
    pthread_t thread;
    int result;
    _Atomic int *flag; // 0: go on, 1: a task runs
};

static int wait_for_flag(const void *in, void *out, void *ctx)
{
    (void)in;
    (void)out;
    _Atomic int *flag = ctx;
    flag[1] = 1;
    while (!flag[0])
        usleep(1000);
    return 0;
}

static void *run_waiting(void *arg)
{
    struct waiting *w = arg;
    w->result = mp_pool_map(w->pool, wait_for_flag, NULL, 0, NULL, 0, 3, (void *)w->flag, NULL);
    return NULL;
}

static void start_waiting(mp_arena *a, struct waiting *w)
{
    void *flag;
    mp_assert_ok(mp_arena_alloc(a, &flag, 2, sizeof(int)));
    w->flag = flag;
    w->pool = new_pool(2);
    ck_assert_int_eq(pthread_create(&w->thread, NULL, run_waiting, w), 0);
    ck_assert(mptest_eventually(w->flag[1], 15000));
}

MP_TEST(close_lets_a_running_map_finish)
{
    mp_arena *a;
    struct waiting w;
    mp_assert_ok(mp_arena_new(&a, NULL));
    start_waiting(a, &w);
    mp_assert_ok(mp_pool_close(w.pool));
    mp_assert_err(mp_pool_join(w.pool, 50), MP_ETIMEDOUT);
    w.flag[0] = 1;
    pthread_join(w.thread, NULL);
    mp_assert_ok(w.result);
    mp_assert_ok(mp_pool_join(w.pool, 15000));
    mp_pool_free(w.pool);
    mp_arena_delete(a);
}

MP_TEST(terminate_ends_a_running_map)
{
    mp_arena *a;
    struct waiting w;
    mp_assert_ok(mp_arena_new(&a, NULL));
    start_waiting(a, &w);
    mp_assert_ok(mp_pool_terminate(w.pool));
    pthread_join(w.thread, NULL);
    mp_assert_err(w.result, MP_ECANCELED);
    mp_assert_ok(mp_pool_join(w.pool, 15000));
    mp_assert_ok(mp_pool_terminate(w.pool));
    mp_pool_free(w.pool);
    mp_arena_delete(a);
}

MP_TEST(free_alone_ends_a_pool)
{
    for (int i = 0; i < 20; i++)
        mp_pool_free(new_pool(i % 4 + 1));
    mp_pool_free(NULL);
}

struct turns {
    pthread_t thread;
    mp_pool *pool;
    long base, bad;
};

static void *take_turns(void *arg)
{
    struct turns *t = arg;
    for (long round = 0; round < 50; round++) {
        long in[40], out[40];
        for (long i = 0; i < 40; i++)
            in[i] = t->base + round + i;
        t->bad += mp_pool_map(t->pool, square, in, 8, out, 8, 40, NULL, NULL) != 0;
        for (long i = 0; i < 40; i++)
            t->bad += out[i] != in[i] * in[i];
    }
    return NULL;
}

MP_TEST(threads_take_turns)
{
    struct turns t[4];
    mp_pool *p = new_pool(2);
    for (long i = 0; i < 4; i++) {
        t[i] = (struct turns){.pool = p, .base = i * 1000};
        ck_assert_int_eq(pthread_create(&t[i].thread, NULL, take_turns, &t[i]), 0);
    }
    for (long i = 0; i < 4; i++) {
        pthread_join(t[i].thread, NULL);
        ck_assert_int_eq(t[i].bad, 0);
    }
    mp_pool_free(p);
}

static void *make_pool(void *out)
{
    *(mp_pool **)out = new_pool(2);
    return NULL;
}

MP_TEST(a_pool_outlives_the_thread_that_made_it)
{
    pthread_t thread;
    mp_pool *p;
    ck_assert_int_eq(pthread_create(&thread, NULL, make_pool, &p), 0);
    pthread_join(thread, NULL);
    long in = 5, out = 0;
    for (int i = 0; i < 5; i++) {
        usleep(10000);
        mp_assert_ok(mp_pool_map(p, square, &in, 8, &out, 8, 1, NULL, NULL));
    }
    ck_assert_int_eq(out, 25);
    mp_pool_free(p);
}

// ---- wrong calls ----

MP_TEST(chunks_of_any_size)
{
    static const size_t chunks[] = {0, 1, 999, 1000, 1001, SIZE_MAX / 2, SIZE_MAX};
    mp_pool *p = new_pool(2);
    long in[1000], out[1000];
    mp_future *f;
    for (long i = 0; i < 1000; i++)
        in[i] = i;
    for (size_t c = 0; c < 7; c++) {
        memset(out, 0, sizeof out);
        mp_assert_ok(
            mp_pool_map(p, square, in, 8, out, 8, 1000, NULL, &(mp_map_opts){.chunk = chunks[c]}));
        for (long i = 0; i < 1000; i++)
            ck_assert_int_eq(out[i], i * i);
        mp_assert_ok(mp_pool_map_async(&f, p, square, in, 8, out, 8, 1000,
                                       &(mp_map_async_opts){.chunk = chunks[c]}));
        mp_assert_ok(mp_future_error(f, 10000));
        mp_future_free(f);
        for (long i = 0; i < 1000; i++)
            ck_assert_int_eq(out[i], i * i);
    }
    mp_pool_free(p);
}

MP_TEST(bad_arguments)
{
    mp_pool *p = new_pool(2), *none = p;
    long in[4] = {1, 2, 3, 4}, out[4];
    mp_map_opts ctx = {.ctx_size = 8}, minus = {.workers = -3}, chunk = {.chunk = SIZE_MAX};
    mp_assert_err(mp_pool_new(NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_new(&none, &(mp_pool_opts){.workers = -1}), MP_EINVAL);
    ck_assert_ptr_null(none);
    mp_assert_err(mp_pool_new(&none, &(mp_pool_opts){.workers = 1025}), MP_EINVAL);
    mp_assert_err(mp_pool_map(NULL, square, in, 8, out, 8, 4, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_map(p, NULL, in, 8, out, 8, 4, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_map_range(p, NULL, in, 8, out, 8, 4, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_map(p, square, NULL, 8, out, 8, 4, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_map(p, square, in, 8, NULL, 8, 4, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_map(p, square, in, 8, out, 8, SIZE_MAX / 4, NULL, NULL), MP_EOVERFLOW);
    mp_assert_err(mp_pool_map(p, square, in, 8, out, SIZE_MAX, 2, NULL, NULL), MP_EOVERFLOW);
    mp_assert_err(mp_pool_map(p, square, in, 8, in + 1, 8, 3, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_map(p, square, in, 8, in, 4, 4, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_pool_map(p, square, in, 8, out, 8, 4, NULL, &ctx), MP_EINVAL);
    mp_assert_err(mp_pool_join(NULL, 0), MP_EINVAL);
    mp_assert_err(mp_pool_join(p, -2), MP_EINVAL);
    mp_assert_err(mp_pool_close(NULL), MP_EINVAL);
    mp_assert_err(mp_pool_terminate(NULL), MP_EINVAL);
    mp_assert_err(mp_pool_workers(NULL), MP_EINVAL);
    ck_assert_str_eq(mp_pool_error(NULL), "");
    mp_assert_err(mp_map(NULL, in, 8, out, 8, 4, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_map(square, in, 8, out, 8, 4, NULL, &minus), MP_EINVAL);
    mp_assert_err(mp_map_range(squares, in, 8, out, 8, SIZE_MAX / 2, NULL, NULL), MP_EOVERFLOW);
    // None of them did harm.
    mp_assert_ok(mp_pool_map(p, square, in, 8, out, 8, 0, NULL, NULL));
    mp_assert_ok(mp_pool_map_range(p, squares, in, 8, out, 8, 4, NULL, &chunk));
    ck_assert_int_eq(out[3], 16);
    mp_pool_free(p);
}

MP_TEST(results_that_do_not_fit_into_memory)
{
    size_t size = (size_t)1 << 42;
    void *out = mmap(NULL, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (out == MAP_FAILED)
        mp_skip("no address space");
    mp_pool *p = new_pool(2);
    long x = 4, y = 0;
    mp_assert_err(mp_pool_map(p, square, &x, 8, out, size, 1, NULL, NULL), -ENOMEM);
    ck_assert_str_eq(mp_pool_error(p), mp_strerror(-ENOMEM));
    munmap(out, size);
    mp_assert_ok(mp_pool_map(p, square, &x, 8, &y, 8, 1, NULL, NULL));
    ck_assert_int_eq(y, 16);
    mp_pool_free(p);
}

MP_TEST(code_that_came_after_the_pool_is_not_known)
{
    mp_pool *p = new_pool(1);
    int prot = PROT_READ | PROT_WRITE | PROT_EXEC;
    void *code = mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(code, MAP_FAILED);
    mp_item_fn *fn;
    memcpy(&fn, &code, sizeof fn);
    mp_assert_err(mp_pool_map(p, fn, NULL, 0, NULL, 0, 1, NULL, NULL), MP_ENOFUNC);
    munmap(code, 4096);
    long data = 0;
    code = &data;
    memcpy(&fn, &code, sizeof fn);
    mp_assert_err(mp_pool_map(p, fn, NULL, 0, NULL, 0, 1, NULL, NULL), MP_ENOFUNC);
    mp_pool_free(p);
}

MP_TEST(task_at_outside_of_a_range_does_nothing)
{
    mp_task_at(0);
    mp_task_at(SIZE_MAX);
    mp_pool *p = new_pool(1);
    mp_task_at(3);
    long in = 2, out = 0;
    mp_assert_ok(mp_pool_map(p, square, &in, 8, &out, 8, 1, NULL, NULL));
    ck_assert_int_eq(out, 4);
    mp_pool_free(p);
}

MP_TEST(too_few_descriptors)
{
    int used = mptest_fd_count(), made = 0;
    for (int room = 0; room < 6; room++) {
        int low = dup(0); // the lowest that is free: the limit counts from 0
        close(low);
        struct rlimit lim, few;
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &lim), 0);
        few = (struct rlimit){(rlim_t)(low + room), lim.rlim_max};
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
        mp_pool *p = NULL;
        long x = 3, y = 0;
        int r = mp_pool_new(&p, &(mp_pool_opts){.workers = 2});
        if (r == 0) {
            made++;
            mp_assert_ok(mp_pool_map(p, square, &x, 8, &y, 8, 1, NULL, NULL));
            ck_assert_int_eq(y, 9);
            mp_pool_free(p);
        } else {
            mp_assert_err(r, -EMFILE);
            ck_assert_ptr_null(p);
        }
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &lim), 0);
        ck_assert_int_eq(mptest_fd_count(), used);
    }
    ck_assert(made > 0 && made < 6);
}

MP_TEST(a_pool_under_limits)
{
    if (MPTEST_ASAN || MPTEST_TSAN)
        mp_skip("sanitizers need address space");
    struct rlimit space = {(rlim_t)2 << 30, (rlim_t)2 << 30};
    struct rlimit file = {(rlim_t)256 << 20, (rlim_t)256 << 20};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &space), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &file), 0);
    mp_pool *p = new_pool(2);
    size_t n = 20 << 20; // a stream
    long *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (long)i;
    mp_assert_ok(mp_pool_map_range(p, squares, x, 8, x, 8, n, NULL, NULL));
    for (size_t i = 0; i < n; i++)
        if (x[i] != (long)(i * i))
            ck_abort_msg("item %zu is %ld", i, x[i]);
    free(x);
    mp_pool_free(p);
}
