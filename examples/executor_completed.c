// SPDX-License-Identifier: MIT
//
// mp_executor_submit() and mp_futures_as_completed(): tasks on threads, results as they come.
#include <mp/executor.h>
#include <stdio.h>

#define TASKS 8

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

// Prints the results in the order in which they are done. Returns how many there were.
static int print_all(mp_future *const *futures, const int *below)
{
    mp_completed *completed;
    mp_future *f;
    int64_t i;
    int n = 0, primes;
    if (mp_futures_as_completed(&completed, futures, TASKS) < 0)
        return 0;
    while ((i = mp_completed_next(completed, &f, MP_FOREVER)) >= 0)
        if (mp_future_result(f, &primes, sizeof primes, 0) >= 0 && ++n)
            printf("%d primes below %d\n", primes, below[i]);
    mp_completed_free(completed);
    return n;
}

int main(void)
{
    int below[TASKS], r;
    mp_future *futures[TASKS] = {0};
    mp_executor *executor;
    r = mp_executor_new_threads(&executor, NULL);
    for (int i = 0; i < TASKS && r == 0; i++) {
        below[i] = 10000 * (TASKS - i);
        r = mp_executor_submit(executor, &futures[i], count_primes, &below[i], sizeof below[i],
                               sizeof(int), NULL);
    }
    if (r < 0)
        fprintf(stderr, "executor_completed: %s\n", mp_strerror(r));
    int n = r < 0 ? 0 : print_all(futures, below);
    for (int i = 0; i < TASKS; i++)
        mp_future_free(futures[i]);
    mp_executor_free(executor);
    return n == TASKS ? 0 : 1;
}
