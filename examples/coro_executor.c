// SPDX-License-Identifier: MIT
//
// mp_await_future(): what would block the loop is done by an executor, and the clock ticks on.
#include <mp/coro.h>
#include <mp/executor.h>
#include <stdio.h>

static int ticks;

static int count_primes(const void *in, void *out, void *ctx)
{
    int below = *(const int *)in, primes = 0;
    (void)ctx;
    for (int n = 2; n < below; n++) {
        int d = 2;
        while (d * d <= n && n % d)
            d++;
        primes += d * d > n;
    }
    *(int *)out = primes;
    return 0;
}

static int tick(void *arg)
{
    int r;
    (void)arg;
    while ((r = mp_coro_sleep(1)) == 0)
        ticks++;
    return r; // cancelled
}

static int run(void *executor)
{
    int below = 300000, primes = 0;
    mp_future *f;
    int r = mp_coro_start(NULL, NULL, tick, NULL, NULL);
    if (r == 0)
        r = mp_executor_submit(executor, &f, count_primes, &below, sizeof below, sizeof primes,
                               NULL);
    if (r < 0)
        return r;
    r = mp_await_future(f, MP_FOREVER);
    if (r == 0 && mp_future_result(f, &primes, sizeof primes, 0) > 0)
        printf("%d primes below %d, and the clock %s\n", primes, below,
               ticks ? "ticked" : "stood still");
    mp_future_free(f);
    return r;
}

int main(void)
{
    mp_executor *executor;
    int r = mp_executor_new_threads(&executor, NULL);
    if (r == 0)
        r = mp_coro_run(run, executor, 0);
    if (r < 0)
        fprintf(stderr, "coro_executor: %s\n", mp_strerror(r));
    mp_executor_free(executor);
    return r < 0;
}
