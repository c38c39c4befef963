// SPDX-License-Identifier: MIT
//
// mp_executor over threads or processes: submit a tiny task, take its result.
//
//   executor_libmp thread|process burst|single [SECONDS]
//
// burst: a thousand are submitted, then their results taken. single: one after the other,
// which is what it costs to hand something over and wait for it.
#include "common.h"

#include <mp/executor.h>

#define BURST 1000

static int add_one(const void *in, void *out, void *ctx)
{
    (void)ctx;
    *(int *)out = *(const int *)in + 1;
    return 0;
}

static mp_future *submit(mp_executor *e, int i)
{
    mp_future *f;
    if (mp_executor_submit(e, &f, add_one, &i, sizeof i, sizeof i, NULL) < 0)
        die("submit");
    return f;
}

static void take(mp_future *f, int i)
{
    int result;
    if (mp_future_result(f, &result, sizeof result, MP_FOREVER) != sizeof result || result != i + 1)
        die("a wrong result");
    mp_future_free(f);
}

static void run(mp_executor *e, int n)
{
    static mp_future *f[BURST];
    for (int i = 0; i < n; i++)
        f[i] = submit(e, i);
    for (int i = 0; i < n; i++)
        take(f[i], i);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        die("usage: %s thread|process burst|single [SECONDS]", argv[0]);
    bool threads = strcmp(argv[1], "thread") == 0;
    int n = strcmp(argv[2], "single") == 0 ? 1 : BURST;
    double seconds = seconds_from(argc > 3 ? argv[3] : NULL);
    char metric[64];
    mp_executor *e;
    if ((threads ? mp_executor_new_threads : mp_executor_new_processes)(&e, NULL) < 0)
        die("no executor");
    run(e, n); // starts the threads
    double begin = now(), took, tasks = 0;
    do {
        run(e, n);
        tasks += n;
    } while ((took = now() - begin) < seconds);
    mp_executor_free(e);
    snprintf(metric, sizeof metric, "executor_%s_%s", argv[1], argv[2]);
    report(metric, "libmp", tasks / took, "tasks/s");
    return 0;
}
