// SPDX-License-Identifier: MIT
//
// Much of everything: a million tasks, a stream of a million items, arguments and results of
// many bytes. The memory of the caller and of the workers must stay what it was after the
// first part. MP_TEST_LONG=1 does all of it; without, a tenth or less.
#include "mptest.h"

#include <mp/imap.h>
#include <mp/task.h>
#include <stdlib.h>
#include <string.h>

static bool thorough(void)
{
    return getenv("MP_TEST_LONG") != NULL;
}

// Of a process, with what it shares, in KiB.
static long resident(int pid)
{
    char name[40];
    long pages = 0;
    snprintf(name, sizeof name, "/proc/%d/statm", pid);
    FILE *f = fopen(name, "r");
    if (f && fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

// The caller and two workers.
static long memory_of(mp_pool *p)
{
    long sum = resident(getpid());
    for (int i = 0; i < 2; i++) {
        mp_worker_stats w;
        mp_assert_ok(mp_pool_get_worker_stats(p, i, &w));
        sum += (long)(w.resident / 1024);
    }
    return sum;
}

static void check_memory(const char *what, mp_pool *p, long before)
{
    long now = memory_of(p);
    if (thorough())
        fprintf(stderr, "%s: %ld KiB after a part, %ld KiB at the end\n", what, before, now);
    if (!MPTEST_ASAN && !MPTEST_TSAN) // they keep what was freed
        ck_assert_msg(now < before + 1024, "%s: %ld KiB, then %ld KiB", what, before, now);
}

static mp_pool *new_pool(void)
{
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 2}));
    return p;
}

static int echo(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)ctx;
    return mp_task_result(task, arg, size);
}

MP_TEST_TIMEOUT(memory_is_flat_over_a_million_tasks, 300)
{
    enum { BATCH = 1000, BYTES = 300 }; // too many to lie in the task's place
    int batches = thorough() ? 1000 : 40;
    mp_pool *p = new_pool();
    mp_future *f[BATCH];
    char arg[BYTES] = "x";
    long before = 0;
    for (int b = 0; b < batches; b++) {
        for (int i = 0; i < BATCH; i++)
            mp_assert_ok(mp_pool_apply_async(&f[i], p, echo, arg, (size_t)(i % BYTES), NULL));
        ck_assert_int_eq(mp_futures_wait(f, BATCH, MP_ALL_DONE, 60000), BATCH);
        for (int i = 0; i < BATCH; i++)
            mp_future_free(f[i]);
        if (b == batches / 10)
            before = memory_of(p);
    }
    check_memory("tasks", p, before);
    mp_pool_free(p);
}

struct generator {
    long next, n;
};

static int generate(void *item, void *arg)
{
    struct generator *g = arg;
    *(long *)item = g->next;
    return g->next++ < g->n;
}

static int square(const void *in, void *out, void *ctx)
{
    (void)ctx;
    *(long *)out = *(const long *)in * *(const long *)in;
    return 0;
}

MP_TEST_TIMEOUT(memory_is_flat_over_a_million_items, 300)
{
    struct generator g = {.n = thorough() ? 1000000 : 100000};
    mp_pool *p = new_pool();
    mp_imap *it;
    long before = 0, most = 0, x;
    mp_assert_ok(mp_pool_imap(&it, p, square, generate, &g, sizeof x, sizeof x, NULL));
    for (long i = 0; i < g.n; i++) {
        if (mp_imap_next(it, &x, NULL, 60000) != i || x != i * i)
            ck_abort_msg("item %ld: %ld", i, x);
        most = g.next - i > most ? g.next - i : most;
        if (i == g.n / 2) // chunks have grown by then, however busy the machine is
            before = memory_of(p);
    }
    mp_assert_err(mp_imap_next(it, &x, NULL, 60000), MP_EOF);
    check_memory("items", p, before);
    ck_assert_int_le(most, 4 * 2 * 4096 + 4096); // asked for and not given yet: the window
    mp_imap_free(it);
    mp_pool_free(p);
}

// ---- large ones ----

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 31 + i / 4096);
}

static void round_trip(mp_pool *p, size_t size)
{
    unsigned char *data = malloc(size);
    if (!data)
        mp_skip("not enough memory");
    for (size_t i = 0; i < size; i++)
        data[i] = pattern(i);
    mp_future *f;
    mp_assert_ok(mp_pool_apply_async(&f, p, echo, data, size, NULL));
    memset(data, 0, size);
    ck_assert_int_eq(mp_future_result(f, data, size, 200000), (int64_t)size);
    mp_future_free(f);
    for (size_t i = 0; i < size; i++)
        if (data[i] != pattern(i))
            ck_abort_msg("byte %zu of %zu is %d", i, size, data[i]);
    free(data);
}

MP_TEST_TIMEOUT(large_arguments_and_results, 300)
{
    mp_pool *p = new_pool();
    round_trip(p, (size_t)64 << 20);
    mp_pool_free(p);
}

// What a machine has that nobody uses, in bytes.
static size_t free_memory(void)
{
    char line[200];
    unsigned long kib = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %lu", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return (size_t)kib * 1024;
}

MP_TEST_TIMEOUT(beyond_four_gib, 600)
{
    size_t size = ((size_t)4 << 30) + 12345;
    if (!thorough())
        mp_skip("MP_TEST_LONG is not set");
    if (free_memory() < 5 * size)
        mp_skip("needs 20 GiB of memory"); // here, there, on the way, and with the future
    mp_pool *p = new_pool();
    round_trip(p, size);
    mp_pool_free(p);
}

// Items in and out, more than 4 GiB of each; the array is worked on in place, through a window.
static int add_one(size_t begin, size_t end, const void *in, void *out, void *ctx)
{
    const uint64_t *x = in;
    uint64_t *y = out;
    (void)ctx;
    for (size_t i = 0; i < end - begin; i++)
        y[i] = x[i] + 1;
    return 0;
}

MP_TEST_TIMEOUT(a_map_beyond_four_gib, 600)
{
    size_t n = ((size_t)5 << 30) / 8;
    if (!thorough())
        mp_skip("MP_TEST_LONG is not set");
    if (free_memory() < n * 8 + ((size_t)1 << 30))
        mp_skip("needs 6 GiB of memory");
    mp_pool *p = new_pool();
    uint64_t *x = malloc(n * 8);
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < n; i++)
        x[i] = i;
    mp_assert_ok(mp_pool_map_range(p, add_one, x, 8, x, 8, n, NULL, NULL));
    for (size_t i = 0; i < n; i++)
        if (x[i] != i + 1)
            ck_abort_msg("item %zu is %lu", i, (unsigned long)x[i]);
    free(x);
    mp_pool_free(p);
}
