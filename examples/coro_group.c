// SPDX-License-Identifier: MIT
//
// mp_coro_run(), mp_coro_start(), mp_await_process(): three commands at a time, in one thread,
// with a limit of time for each; and a group that ends together.
#include <mp/async.h>
#include <mp/coro.h>
#include <stdio.h>
#include <unistd.h>

enum { JOBS = 6, AT_A_TIME = 3, LIMIT_MS = 200 };

static mp_async_semaphore slots = {.value = AT_A_TIME};

static int nap(void *arg)
{
    usleep(1000 * *(unsigned *)arg); // a process: it may block
    return 0;
}

static int watch_one(void *arg)
{
    mp_process *p;
    int r = mp_async_semaphore_acquire(&slots, MP_FOREVER);
    if (r < 0)
        return r;
    r = mp_process_start(&p, nap, arg, NULL);
    if (r == 0) {
        r = mp_await_process(p, NULL, LIMIT_MS);
        if (r < 0)
            mp_process_kill(p);
        printf("%5u ms: %s\n", *(unsigned *)arg, r < 0 ? mp_strerror(r) : "done");
        mp_process_free(p);
    }
    mp_async_semaphore_release(&slots);
    return r == MP_ETIMEDOUT ? 0 : r;
}

static int watch_all(void *arg)
{
    static unsigned naps[JOBS] = {20, 10, 10000, 40, 30, 1};
    mp_group *g;
    (void)arg;
    int r = mp_group_new(&g);
    if (r < 0)
        return r;
    for (int i = 0; i < JOBS && r == 0; i++)
        r = mp_group_start(g, NULL, watch_one, &naps[i], NULL);
    int end = mp_group_end(g); // waits for all; an error of one cancels the others
    return r ? r : end;
}

int main(void)
{
    int r = mp_coro_run(watch_all, NULL, 0);
    if (r < 0)
        fprintf(stderr, "coro_group: %s\n", mp_strerror(r));
    return r < 0;
}
