// SPDX-License-Identifier: MIT
//
// Ten long counts: one after the other, on five threads, on five processes. In C threads count
// in parallel as well as processes do.
//
//   10_executors [COUNT]
#include "seed.h"

#define ITEMS   10
#define WORKERS 5

static long count; // before the processes are made, which see it

static int evaluate(const void *in, void *out, void *ctx)
{
    const int *item = in;
    volatile long i = 0; // or the compiler knows the answer
    (void)ctx;
    while (i < count)
        i++;
    *(long *)out = i * *item;
    printf("item %d result %ld\n", *item, *(long *)out);
    fflush(stdout);
    return 0;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void in_sequence(const int *items)
{
    long result;
    for (int i = 0; i < ITEMS; i++)
        evaluate(&items[i], &result, NULL);
}

static void submit_all(mp_executor *executor, const int *items)
{
    for (int i = 0; i < ITEMS; i++)
        must(mp_executor_submit(executor, NULL, evaluate, &items[i], sizeof items[i], sizeof(long),
                                NULL),
             "submit");
    mp_executor_free(executor); // waits for all
}

static void on_threads(const int *items)
{
    mp_executor *executor;
    must(mp_executor_new_threads(&executor, &(mp_executor_opts){.workers = WORKERS}), "threads");
    submit_all(executor, items);
}

static void on_processes(const int *items)
{
    mp_executor *executor;
    must(mp_executor_new_processes(&executor, &(mp_executor_opts){.workers = WORKERS}),
         "processes");
    submit_all(executor, items);
}

int main(int argc, char **argv)
{
    int items[ITEMS];
    for (int i = 0; i < ITEMS; i++)
        items[i] = i + 1;
    count = (long)argument(argc, argv, 10000000);
    double start = now();
    in_sequence(items);
    printf("Sequential execution in %.6f seconds\n", now() - start);
    start = now();
    on_threads(items);
    printf("Thread pool execution in %.6f seconds\n", now() - start);
    start = now();
    on_processes(items);
    printf("Process pool execution in %.6f seconds\n", now() - start);
    return 0;
}
