// SPDX-License-Identifier: MIT
//
// The pool tests on a bare pool. Each checks all its results at the end and some of
// them on the way, with an input that changes, so that an old answer shows.
#include "pool_test.h"

#define TINY      ((size_t)1000000)
#define TINY1     ((size_t)100000)
#define BIG_CHUNK (TINY / (POOL_WORKERS * 4))
#define CPU_TASKS ((size_t)10000)
#define CPU_TASK  100e-6 // seconds
#define ARRAYS    64
#define ARRAY_LEN ((size_t)1 << 20)
#define ARRAY_MB  ((double)ARRAY_LEN * sizeof(double) / 1e6)
#define BATCH     4 // arrays under way at a time

static void run(const struct pool_engine *e, struct pool *p, task_fn *fn, void *ctx, size_t n,
                size_t chunk)
{
    e->begin(p, fn, ctx, n, chunk);
    e->wait(p);
}

// ---- tiny tasks ----

struct squares {
    int64_t *in, *out;
};

static void square(void *ctx, size_t begin, size_t end)
{
    struct squares *s = ctx;
    for (size_t i = begin; i < end; i++)
        s->out[i] = s->in[i] * s->in[i];
}

static struct squares *shared_squares(size_t n)
{
    struct squares *s = shared(sizeof *s);
    s->in = shared(n * sizeof *s->in);
    s->out = shared(n * sizeof *s->out);
    for (size_t i = 0; i < n; i++)
        s->in[i] = (int64_t)i;
    return s;
}

static void mark(int64_t *in, size_t n, int64_t round)
{
    in[3] = in[n / 2] = in[n - 1] = round + 9;
}

static void check_mark(const int64_t *out, size_t n, int64_t round)
{
    int64_t want = (round + 9) * (round + 9);
    if (out[3] != want || out[n / 2] != want || out[n - 1] != want)
        die("wrong result in round %lld", (long long)round);
}

static void check_all(const int64_t *out, const int64_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (out[i] != in[i] * in[i])
            die("wrong result for item %zu", i);
}

static void copied(const struct pool_engine *e, double seconds, size_t n, size_t chunk,
                   const char *metric)
{
    struct squares *s = shared_squares(n);
    int64_t *in = allocate(n * sizeof *in), *out = allocate(n * sizeof *out);
    struct pool *p = e->start();
    double start = now();
    int64_t round, first = 9; // rounds before it are the warm-up
    memcpy(in, s->in, n * sizeof *in);
    for (round = 0; round <= first || now() - start < seconds; round++) {
        if (round == first)
            start = now();
        mark(in, n, round);
        memcpy(s->in, in, n * sizeof *in);
        run(e, p, square, s, n, chunk);
        memcpy(out, s->out, n * sizeof *out);
        check_mark(out, n, round);
    }
    double each = (now() - start) / (double)(round - first);
    check_all(out, in, n);
    report(metric, e->who, (double)n / each, "tasks/s");
    e->stop(p);
}

static void test_tiny(const struct pool_engine *e, double seconds)
{
    copied(e, seconds, TINY, BIG_CHUNK, "pool_tiny_auto");
}

static void test_tiny1(const struct pool_engine *e, double seconds)
{
    copied(e, seconds, TINY1, 1, "pool_tiny_chunk1");
}

static void in_place(const struct pool_engine *e, double seconds, const char *metric)
{
    struct squares *s = shared_squares(TINY);
    struct pool *p = e->start();
    double start = now();
    int64_t round, first = 9;
    for (round = 0; round <= first || now() - start < seconds; round++) {
        if (round == first)
            start = now();
        mark(s->in, TINY, round);
        if (e->squares)
            e->squares(s->out, s->in, TINY);
        else
            run(e, p, square, s, TINY, BIG_CHUNK);
        check_mark(s->out, TINY, round);
    }
    double each = (now() - start) / (double)(round - first);
    check_all(s->out, s->in, TINY);
    report(metric, e->who, (double)TINY / each, "tasks/s");
    e->stop(p);
}

static void test_range(const struct pool_engine *e, double seconds)
{
    in_place(e, seconds, "pool_tiny_range");
}

static void test_item(const struct pool_engine *e, double seconds)
{
    in_place(e, seconds, "pool_tiny_item");
}

// ---- tasks of 100 us ----

static long cpu_steps = 50000; // set before the workers start

static void burn(void *ctx, size_t begin, size_t end)
{
    uint64_t *out = ctx;
    for (size_t i = begin; i < end; i++) {
        uint64_t x = i + 1;
        for (long k = 0; k < cpu_steps; k++)
            x = x * 6364136223846793005u + 1442695040888963407u;
        out[i] = x;
    }
}

static double time_serial(uint64_t *out, size_t begin, size_t end)
{
    double start = now();
    burn(out, begin, end);
    return now() - start;
}

// The serial time is taken half before and half after the parallel run: the speed of
// a CPU drifts.
static void test_cpu(const struct pool_engine *e, double seconds)
{
    (void)seconds;
    uint64_t *parallel = shared(CPU_TASKS * sizeof *parallel);
    uint64_t *serial = allocate(CPU_TASKS * sizeof *serial);
    time_serial(serial, 0, 200);
    cpu_steps = (long)((double)cpu_steps * CPU_TASK / (time_serial(serial, 0, 500) / 500));

    double serial_time = time_serial(serial, 0, CPU_TASKS / 2);
    struct pool *p = e->start();
    run(e, p, burn, parallel, 100, 1);
    double start = now();
    run(e, p, burn, parallel, CPU_TASKS, 1);
    double wall = now() - start;
    serial_time += time_serial(serial, CPU_TASKS / 2, CPU_TASKS);

    if (memcmp(parallel, serial, CPU_TASKS * sizeof *serial) != 0)
        die("the results are not those of the serial run");
    report("pool_cpu_eff", e->who, serial_time / (POOL_WORKERS * wall) * 100, "%");
    e->stop(p);
}

// ---- large arrays ----

static double *source[ARRAYS], *result[ARRAYS]; // private to the caller

static void scale_in_place(void *ctx, size_t begin, size_t end)
{
    double **arrays = ctx;
    for (size_t i = begin; i < end; i++)
        for (size_t k = 0; k < ARRAY_LEN; k++)
            arrays[i][k] *= 2.0;
}

static void scale_into_result(void *ctx, size_t begin, size_t end)
{
    (void)ctx;
    for (size_t i = begin; i < end; i++)
        for (size_t k = 0; k < ARRAY_LEN; k++)
            result[i][k] = source[i][k] * 2.0;
}

static double value_at(size_t array, size_t k)
{
    return (double)(k + array);
}

static void fill(double **arrays, int map_flags)
{
    for (size_t i = 0; i < ARRAYS; i++) {
        arrays[i] = map_memory(ARRAY_LEN * sizeof **arrays, map_flags);
        for (size_t k = 0; k < ARRAY_LEN; k++)
            arrays[i][k] = value_at(i, k);
    }
}

static double **shared_arrays(void)
{
    double **arrays = shared(ARRAYS * sizeof *arrays);
    fill(arrays, MAP_SHARED);
    return arrays;
}

static void check_arrays(double *const *arrays, double factor)
{
    for (size_t i = 0; i < ARRAYS; i++)
        for (size_t k = 0; k < ARRAY_LEN; k++)
            if (arrays[i][k] != factor * value_at(i, k))
                die("wrong result in array %zu at %zu", i, k);
}

static void copy_arrays(double *const *to, double *const *from, size_t begin, size_t end)
{
    for (size_t i = begin; i < end && i < ARRAYS; i++)
        memcpy(to[i], from[i], ARRAY_LEN * sizeof **to);
}

// While the workers scale one batch, the caller copies the next in and the last out.
static double through_shared(const struct pool_engine *e, struct pool *p, double **slabs)
{
    double start = now();
    copy_arrays(slabs, source, 0, BATCH);
    for (size_t i = 0; i < ARRAYS; i += BATCH) {
        e->begin(p, scale_in_place, slabs + i, BATCH, 1);
        copy_arrays(slabs, source, i + BATCH, i + 2 * BATCH);
        if (i > 0)
            copy_arrays(result, slabs, i - BATCH, i);
        e->wait(p);
    }
    copy_arrays(result, slabs, ARRAYS - BATCH, ARRAYS);
    return now() - start;
}

static double in_threads(const struct pool_engine *e, struct pool *p, double **slabs)
{
    (void)slabs;
    double start = now();
    run(e, p, scale_into_result, NULL, ARRAYS, 1);
    return now() - start;
}

static void forget_results(void)
{
    for (size_t i = 0; i < ARRAYS; i++) {
        munmap(result[i], ARRAY_LEN * sizeof *result[i]);
        result[i] = map_memory(ARRAY_LEN * sizeof *result[i], MAP_PRIVATE);
    }
}

static void test_large(const struct pool_engine *e, double seconds)
{
    double (*once)(const struct pool_engine *, struct pool *, double **) =
        e->threads ? in_threads : through_shared;
    char who[64];
    fill(source, MAP_PRIVATE);
    fill(result, MAP_PRIVATE);
    double **slabs = e->threads ? NULL : shared_arrays();
    struct pool *p = e->start();
    double elapsed = 0;
    int rounds = 0;
    once(e, p, slabs);
    for (; elapsed < seconds; rounds++)
        elapsed += once(e, p, slabs);
    check_arrays(result, 2);
    snprintf(who, sizeof who, "%s", e->threads ? e->who : "c_fork_copyinout");
    report("pool_large", who, rounds * ARRAYS * ARRAY_MB / elapsed, "MB/s");
    if (!e->threads) {
        // Into memory never touched before, as when a pool returns new arrays.
        forget_results();
        elapsed = once(e, p, slabs);
        check_arrays(result, 2);
        report("pool_large", "c_fork_copyinout_fresh", ARRAYS * ARRAY_MB / elapsed, "MB/s");
    }
    e->stop(p);
}

static void test_inplace(const struct pool_engine *e, double seconds)
{
    double **arrays = shared_arrays();
    struct pool *p = e->start();
    double factor = 2, start;
    int rounds = 0;
    run(e, p, scale_in_place, arrays, ARRAYS, 1);
    start = now();
    // Doubles hold 2^1000, so that the rounds can all be checked at the end.
    for (; rounds < 900 && now() - start < seconds; rounds++, factor *= 2)
        run(e, p, scale_in_place, arrays, ARRAYS, 1);
    double elapsed = now() - start;
    check_arrays(arrays, factor);
    report("pool_large_inplace", e->threads ? e->who : "c_fork_shm_inplace",
           rounds * ARRAYS * ARRAY_MB / elapsed, "MB/s");
    e->stop(p);
}

// ---- start ----

static void start_map_stop(const struct pool_engine *e, struct squares *s)
{
    struct pool *p = e->start();
    run(e, p, square, s, 2, 1);
    e->stop(p);
}

static void start_once(const struct pool_engine *e, struct squares *s)
{
    s->in[0] = 3;
    s->in[1] = 4;
    s->out[0] = s->out[1] = 0;
    if (e->threads) {
        pid_t child = fork_child();
        if (child == 0) {
            start_map_stop(e, s);
            _exit(0);
        }
        join_child(child);
    } else {
        start_map_stop(e, s);
    }
    if (s->out[0] != 9 || s->out[1] != 16)
        die("wrong result");
}

static void test_start(const struct pool_engine *e, double seconds)
{
    struct squares *s = shared_squares(2);
    int rounds = 0;
    for (int i = 0; i < 19; i++)
        start_once(e, s);
    double start = now(), elapsed;
    do {
        start_once(e, s);
        rounds++;
        elapsed = now() - start;
    } while (elapsed < seconds);
    report("pool_start", e->who, elapsed / rounds * 1e3, "ms");
}

static const struct {
    const char *name;
    void (*run)(const struct pool_engine *e, double seconds);
} tests[] = {
    {"tiny", test_tiny}, {"tiny1", test_tiny1}, {"range", test_range},     {"item", test_item},
    {"cpu", test_cpu},   {"large", test_large}, {"inplace", test_inplace}, {"start", test_start},
};

int pool_test_main(int argc, char **argv, const struct pool_engine *engine)
{
    if (argc < 2 || argc > 3)
        die("usage: %s TEST [SECONDS]", argv[0]);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (strcmp(tests[i].name, argv[1]) == 0) {
            tests[i].run(engine, seconds_from(argv[2]));
            return 0;
        }
    }
    die("no test named %s", argv[1]);
}
