// SPDX-License-Identifier: MIT
//
// The pool, measured as the limit programs are: the same work, the same arrays, the
// same checks, lines of `metric <TAB> libmp <TAB> value <TAB> unit`.
//
//   pool_libmp tiny | range | item | tiny1 | cpu | large | inplace | start | apply | imap
//              [seconds]
//
// A test runs ten times untimed first, since an old answer in shared memory shows only
// when the input changes, and since fresh pages cost more than the work.
#include <mp/arena.h>
#include <mp/imap.h>
#include <mp/pool.h>
#include <mp/task.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define WORKERS 2
#define N_TINY  1000000
#define N_TINY1 100000
#define N_CPU   10000
#define ARRAYS  64
#define LENGTH  ((size_t)1 << 20)

static double seconds = 0.5;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void must(int r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "pool_libmp: %s: %s\n", what, mp_strerror(r));
    exit(1);
}

static void verify(bool ok, const char *test)
{
    if (ok)
        return;
    fprintf(stderr, "pool_libmp: %s: bad result\n", test);
    exit(1);
}

static void print(const char *metric, double value, const char *unit)
{
    printf("%s\tlibmp\t%.6g\t%s\n", metric, value, unit);
    fflush(stdout);
}

static mp_pool *make_pool(void)
{
    mp_pool *pool;
    must(mp_pool_new(&pool, &(mp_pool_opts){.workers = WORKERS}), "mp_pool_new");
    return pool;
}

// ---- a million squares ----

static int square(const void *in, void *out, void *ctx)
{
    (void)ctx;
    int64_t x = *(const int64_t *)in;
    *(int64_t *)out = x * x;
    return 0;
}

static int squares(size_t begin, size_t end, const void *in, void *out, void *ctx)
{
    (void)ctx;
    const int64_t *x = in;
    int64_t *y = out;
    for (size_t i = 0; i < end - begin; i++)
        y[i] = x[i] * x[i];
    return 0;
}

struct tiny {
    const char *name, *metric;
    size_t n, chunk;
    bool range, arena;
};

static void bench_tiny(const struct tiny *t)
{
    mp_arena *arena = NULL;
    size_t n = t->n;
    int64_t *in, *out;
    if (t->arena) {
        must(mp_arena_new(&arena, NULL), "mp_arena_new");
        must(mp_arena_alloc(arena, (void **)&in, n, 8), "mp_arena_alloc");
        must(mp_arena_alloc(arena, (void **)&out, n, 8), "mp_arena_alloc");
    } else {
        in = malloc(n * 8), out = malloc(n * 8);
        verify(in && out, "malloc");
    }
    mp_pool *pool = make_pool();
    for (size_t i = 0; i < n; i++)
        in[i] = (int64_t)i;
    mp_map_opts opts = {.chunk = t->chunk};
    double start = 0;
    int reps = 0;
    for (int i = 0; i < 10 || now() - start < seconds; i++, reps++) {
        if (i == 9)
            start = now(), reps = 0;
        int64_t x = i + 9;
        in[3] = in[n / 2] = in[n - 1] = x;
        must(t->range ? mp_pool_map_range(pool, squares, in, 8, out, 8, n, NULL, &opts)
                      : mp_pool_map(pool, square, in, 8, out, 8, n, NULL, &opts),
             "mp_pool_map");
        verify(out[3] == x * x && out[n / 2] == x * x && out[n - 1] == x * x, t->name);
    }
    double each = (now() - start) / reps;
    for (size_t i = 0; i < n; i++)
        verify(out[i] == in[i] * in[i], t->name);
    print(t->metric, (double)n / each, "tasks/s");
    mp_pool_free(pool);
    if (arena) {
        mp_arena_delete(arena);
    } else {
        free(in);
        free(out);
    }
}

// ---- tasks of 100 us ----

static long spin_iters = 50000;

static int compute(const void *in, void *out, void *ctx)
{
    uint64_t x = *(const uint64_t *)in + 1;
    long iters = *(const long *)ctx;
    for (long k = 0; k < iters; k++)
        x = x * 6364136223846793005u + 1442695040888963407u;
    *(uint64_t *)out = x;
    return 0;
}

static double compute_here(const uint64_t *in, uint64_t *out, size_t begin, size_t end)
{
    double start = now();
    for (size_t i = begin; i < end; i++)
        compute(&in[i], &out[i], &spin_iters);
    return now() - start;
}

static void bench_cpu(void)
{
    mp_arena *arena;
    uint64_t *in, *out, *here = calloc(N_CPU, 8);
    must(mp_arena_new(&arena, NULL), "mp_arena_new");
    must(mp_arena_alloc(arena, (void **)&in, N_CPU, 8), "mp_arena_alloc");
    must(mp_arena_alloc(arena, (void **)&out, N_CPU, 8), "mp_arena_alloc");
    verify(here, "malloc");
    for (size_t i = 0; i < N_CPU; i++)
        in[i] = i;
    compute_here(in, here, 0, 200);
    spin_iters = (long)(50000 * 100e-6 / (compute_here(in, here, 0, 500) / 500));
    double serial = compute_here(in, here, 0, N_CPU / 2); // half before, half after: drift
    mp_pool *pool = make_pool();
    mp_map_opts opts = {.chunk = 1, .ctx_size = sizeof spin_iters};
    must(mp_pool_map(pool, compute, in, 8, out, 8, 100, &spin_iters, &opts), "mp_pool_map");
    double start = now();
    must(mp_pool_map(pool, compute, in, 8, out, 8, N_CPU, &spin_iters, &opts), "mp_pool_map");
    double wall = now() - start;
    serial += compute_here(in, here, N_CPU / 2, N_CPU);
    verify(memcmp(out, here, N_CPU * 8) == 0, "cpu");
    print("pool_cpu_eff", serial / (WORKERS * wall) * 100, "%");
    mp_pool_free(pool);
    mp_arena_delete(arena);
    free(here);
}

// ---- 64 arrays of 8 MiB ----

static int scale(const void *in, void *out, void *ctx)
{
    (void)ctx;
    const double *restrict x = in;
    double *restrict y = out;
    for (size_t k = 0; k < LENGTH; k++)
        y[k] = x[k] * 2.0;
    return 0;
}

static int scale_in_place(const void *in, void *out, void *ctx)
{
    (void)in;
    (void)ctx;
    double *x = out;
    for (size_t k = 0; k < LENGTH; k++)
        x[k] *= 2.0;
    return 0;
}

static double *fresh(void)
{
    double *p =
        mmap(NULL, ARRAYS * LENGTH * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    verify(p != MAP_FAILED, "mmap");
    return p;
}

static void scale_all(mp_pool *pool, const double *in, double *out)
{
    mp_map_opts opts = {.chunk = 1};
    must(mp_pool_map(pool, in == out ? scale_in_place : scale, in, LENGTH * 8, out, LENGTH * 8,
                     ARRAYS, NULL, &opts),
         "mp_pool_map");
}

static void print_rate(const char *metric, int rounds, double elapsed)
{
    print(metric, rounds * (double)(ARRAYS * LENGTH * 8) / 1e6 / elapsed, "MB/s");
}

static double value_at(size_t i)
{
    return (double)(i % LENGTH + i / LENGTH);
}

static void bench_large(void)
{
    double *in = fresh(), *out = fresh();
    for (size_t i = 0; i < ARRAYS * LENGTH; i++)
        in[i] = value_at(i), out[i] = 0;
    mp_pool *pool = make_pool();
    scale_all(pool, in, out);
    int rounds = 0;
    double start = now();
    for (; now() - start < seconds; rounds++)
        scale_all(pool, in, out);
    print_rate("pool_large", rounds, now() - start);
    for (size_t i = 0; i < ARRAYS * LENGTH; i++)
        verify(out[i] == 2.0 * value_at(i), "large");
    mp_pool_free(pool);
    munmap(in, ARRAYS * LENGTH * 8);
    munmap(out, ARRAYS * LENGTH * 8);
}

static void bench_inplace(void)
{
    double *arrays, factor = 2;
    mp_arena *arena;
    must(mp_arena_new(&arena, NULL), "mp_arena_new");
    must(mp_arena_alloc(arena, (void **)&arrays, ARRAYS * LENGTH, 8), "mp_arena_alloc");
    for (size_t i = 0; i < ARRAYS * LENGTH; i++)
        arrays[i] = value_at(i);
    mp_pool *pool = make_pool();
    scale_all(pool, arrays, arrays);
    int rounds = 0;
    double start = now(); // doubles hold 2^1000, so that all rounds can be checked at the end
    for (; rounds < 900 && now() - start < seconds; rounds++, factor *= 2)
        scale_all(pool, arrays, arrays);
    print_rate("pool_large_inplace", rounds, now() - start);
    for (size_t i = 0; i < ARRAYS * LENGTH; i++)
        verify(arrays[i] == factor * value_at(i), "inplace");
    mp_pool_free(pool);
    mp_arena_delete(arena);
}

// ---- start, one map, end ----

static void bench_start(void)
{
    double start = 0;
    int reps = 0;
    for (int i = 0; i < 20 || now() - start < seconds; i++, reps++) {
        if (i == 19)
            start = now(), reps = 0;
        int64_t in[2] = {3, 4}, out[2] = {0, 0};
        mp_pool *pool = make_pool();
        must(mp_pool_map(pool, square, in, 8, out, 8, 2, NULL, &(mp_map_opts){.chunk = 1}),
             "mp_pool_map");
        verify(out[0] == 9 && out[1] == 16, "start");
        mp_pool_free(pool);
    }
    print("pool_start", (now() - start) / reps * 1e3, "ms");
}

// ---- tasks, one after another ----

static int square_task(mp_task *task, const void *arg, size_t size, void *ctx)
{
    int64_t y;
    (void)size;
    square(arg, &y, ctx);
    return mp_task_result(task, &y, sizeof y);
}

static void bench_apply(void)
{
    mp_pool *pool = make_pool();
    double start = 0;
    int reps = 0;
    for (int64_t i = 0; i < 1000 || now() - start < seconds; i++, reps++) {
        if (i == 999)
            start = now(), reps = 0;
        int64_t y = 0;
        must((int)mp_pool_apply(pool, square_task, &i, sizeof i, &y, sizeof y, NULL), "apply");
        verify(y == i * i, "apply");
    }
    print("pool_apply", (now() - start) / reps * 1e6, "us");
    mp_pool_free(pool);
}

// ---- a stream of squares ----

static int next_number(void *item, void *arg)
{
    int64_t *n = arg;
    if (*n == N_TINY1)
        return 0;
    *(int64_t *)item = (*n)++;
    return 1;
}

static void stream_squares(mp_pool *pool)
{
    mp_imap *it;
    int64_t n = 0, y = 0;
    must(mp_pool_imap(&it, pool, square, next_number, &n, sizeof n, sizeof y, NULL), "imap");
    for (int64_t i = 0; i < N_TINY1; i++)
        verify(mp_imap_next(it, &y, NULL, MP_FOREVER) == i && y == i * i, "imap");
    mp_imap_free(it);
}

static void bench_imap(void)
{
    mp_pool *pool = make_pool();
    stream_squares(pool);
    double start = now();
    int reps = 0;
    for (; now() - start < seconds; reps++)
        stream_squares(pool);
    print("pool_imap", (double)N_TINY1 * reps / (now() - start), "tasks/s");
    mp_pool_free(pool);
}

int main(int argc, char **argv)
{
    static const struct tiny tiny[] = {
        {"tiny", "pool_tiny_auto", N_TINY, 0, true, false},
        {"range", "pool_tiny_range", N_TINY, 0, true, true},
        {"item", "pool_tiny_item", N_TINY, 0, false, true},
        {"tiny1", "pool_tiny_chunk1", N_TINY1, 1, true, false},
    };
    const char *test = argc > 1 ? argv[1] : "";
    if (argc > 2)
        seconds = atof(argv[2]);
    for (size_t i = 0; i < sizeof tiny / sizeof *tiny; i++) {
        if (strcmp(test, tiny[i].name) == 0) {
            bench_tiny(&tiny[i]);
            return 0;
        }
    }
    if (strcmp(test, "cpu") == 0)
        bench_cpu();
    else if (strcmp(test, "large") == 0)
        bench_large();
    else if (strcmp(test, "inplace") == 0)
        bench_inplace();
    else if (strcmp(test, "start") == 0)
        bench_start();
    else if (strcmp(test, "apply") == 0)
        bench_apply();
    else if (strcmp(test, "imap") == 0)
        bench_imap();
    else
        return fprintf(stderr, "usage: pool_libmp TEST [seconds]\n"), 2;
    return 0;
}
