// SPDX-License-Identifier: MIT
//
// mp_executor_new_processes(): tasks in other processes. One that crashes costs its own future,
// and no other.
#include <mp/executor.h>
#include <stdio.h>
#include <stdlib.h>

#define TASKS 8

static int divide(const void *in, void *out, void *ctx)
{
    int by = *(const int *)in;
    (void)ctx;
    if (by == 0)
        abort();
    *(int *)out = 840 / by;
    return 0;
}

int main(void)
{
    mp_executor *executor;
    mp_future *future[TASKS] = {0};
    int r = mp_executor_new_processes(&executor, &(mp_executor_opts){.workers = 2}), crashed = 0;
    for (int i = 0; i < TASKS && r == 0; i++)
        r = mp_executor_submit(executor, &future[i], divide, &i, sizeof i, sizeof(int), NULL);
    for (int i = 0; i < TASKS && r == 0; i++) {
        int result;
        int64_t n = mp_future_result(future[i], &result, sizeof result, MP_FOREVER);
        if (n >= 0)
            printf("840 / %d = %d\n", i, result);
        else if (n == MP_EWORKERDIED && ++crashed)
            printf("840 / %d: %s\n", i, mp_future_error_text(future[i]));
        else
            r = (int)n;
    }
    if (r < 0)
        fprintf(stderr, "executor_crash: %s\n", mp_strerror(r));
    for (int i = 0; i < TASKS; i++)
        mp_future_free(future[i]);
    mp_executor_free(executor);
    return r == 0 && crashed == 1 ? 0 : 1;
}
