// SPDX-License-Identifier: MIT
//
// mp_coro_as_completed(), mp_coro_wrap_future(): whichever ends first, a task of the loop or
// something on a thread.
#include <mp/coro.h>
#include <mp/executor.h>
#include <stdio.h>
#include <unistd.h>

enum { N = 4 };

static int nap(void *arg)
{
    return mp_coro_sleep(*(int *)arg);
}

static int nap_on_a_thread(const void *in, void *out, void *ctx)
{
    (void)out, (void)ctx;
    usleep(1000 * *(const unsigned *)in); // would block the loop
    return 0;
}

static int on_a_thread(mp_executor *executor, mp_coro **out, const unsigned *ms)
{
    mp_future *f;
    int r = mp_executor_submit(executor, &f, nap_on_a_thread, ms, sizeof *ms, 0, NULL);
    if (r < 0)
        return r;
    r = mp_coro_wrap_future(out, NULL, f);
    mp_future_free(f); // the promise has it
    return r;
}

static int print_as_they_end(mp_coro *const *list, const unsigned *ms)
{
    mp_coro_completed *it;
    int64_t i;
    int r = mp_coro_as_completed(&it, list, N);
    if (r < 0)
        return r;
    while ((i = mp_coro_completed_next(it, NULL, MP_FOREVER)) >= 0)
        printf("%s of %u ms\n", i % 2 ? "thread" : "task", ms[i]);
    mp_coro_completed_free(it);
    return i == MP_EOF ? 0 : (int)i;
}

static int run(void *executor)
{
    static unsigned ms[N] = {150, 100, 50, 1};
    mp_coro *list[N] = {0};
    int r = 0;
    for (int i = 0; i < N && r == 0; i++)
        r = i % 2 ? on_a_thread(executor, &list[i], &ms[i])
                  : mp_coro_start(&list[i], NULL, nap, &ms[i], NULL);
    if (r == 0)
        r = print_as_they_end(list, ms);
    for (int i = 0; i < N; i++)
        mp_coro_free(list[i]);
    return r;
}

int main(void)
{
    mp_executor *executor;
    int r = mp_executor_new_threads(&executor, NULL);
    if (r == 0)
        r = mp_coro_run(run, executor, 0);
    if (r < 0)
        fprintf(stderr, "coro_completed: %s\n", mp_strerror(r));
    mp_executor_free(executor);
    return r < 0;
}
