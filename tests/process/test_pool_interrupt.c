// SPDX-License-Identifier: MIT
//
// Ctrl-C: once in order, twice at once. The signal is real, and comes while the pool works.
#include "mptest.h"

#include <mp/arena.h>
#include <mp/event.h>
#include <mp/imap.h>
#include <mp/pool.h>
#include <mp/task.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

static mp_pool *pool;
static mp_event *go, *heard;
static pid_t caller;

static void on_interrupt(int sig)
{
    (void)sig;
    (void)mp_pool_interrupt(pool);
    (void)mp_event_set(heard);
}

static void begin(int workers, size_t staging)
{
    caller = getpid();
    mp_assert_ok(mp_event_new(&go, NULL));
    mp_assert_ok(mp_event_new(&heard, NULL));
    mp_assert_ok(mp_pool_new(&pool, &(mp_pool_opts){.workers = workers, .staging = staging}));
    struct sigaction sa = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &sa, NULL);
}

static void end(void)
{
    signal(SIGINT, SIG_DFL);
    mp_pool_free(pool);
    mp_event_free(go);
    mp_event_free(heard);
}

// Item 20 presses Ctrl-C, and then again if ctx says so; those that come later wait for nothing.
static int press_at_twenty(const void *in, void *out, void *ctx)
{
    long x = *(const long *)in;
    *(long *)out = x + 1;
    if (x == 20) {
        kill(caller, SIGINT);
        // The others go on meanwhile. A second signal before the first is handled would be none.
        (void)!mp_event_wait(heard, MP_FOREVER);
    }
    if (x == 20 && ctx) {
        kill(caller, SIGINT);
        return mp_event_wait(go, MP_FOREVER); // never set
    }
    return 0;
}

static void interrupted_map(size_t staging, size_t n, size_t chunk)
{
    begin(2, staging);
    long *in = malloc(n * sizeof *in), *out = calloc(n, sizeof *out);
    int *status = malloc(n * sizeof *status);
    size_t done = 0, left = 0;
    for (size_t i = 0; i < n; i++)
        in[i] = (long)i;
    mp_map_opts o = {.status = status, .chunk = chunk};
    int r = mp_pool_map(pool, press_at_twenty, in, sizeof *in, out, sizeof *out, n, NULL, &o);
    for (size_t i = 0; i < n; i++) {
        if ((status[i] != 0 && status[i] != MP_ECANCELED) ||
            out[i] != (status[i] == 0 ? (long)i + 1 : 0)) // millions of them
            ck_abort_msg("item %zu: status %d, result %ld", i, status[i], out[i]);
        done += status[i] == 0;
        left += status[i] != 0;
    }
    ck_assert_uint_eq(done + left, n);
    ck_assert(status[20] == 0);
    ck_assert_int_eq(r, left ? MP_ECANCELED : 0);
    mp_assert_err(mp_pool_map(pool, press_at_twenty, in, sizeof *in, out, sizeof *out, n, NULL, &o),
                  MP_ECLOSED);
    mp_assert_ok(mp_pool_join(pool, MP_FOREVER));
    end();
    free(in);
    free(out);
    free(status);
}

MP_TEST(once_finishes_what_runs)
{
    interrupted_map(0, 3000000, 1);
    interrupted_map(0, 3000000, 50);
}

MP_TEST(once_in_a_stream)
{
    interrupted_map(4096, 300000, 10);
    interrupted_map(1, 100000, 1);
}

MP_TEST(twice_ends_at_once)
{
    long in[100], out[100];
    begin(2, 0);
    for (long i = 0; i < 100; i++)
        in[i] = i;
    mp_assert_err(
        mp_pool_map(pool, press_at_twenty, in, 8, out, 8, 100, go, &(mp_map_opts){.chunk = 1}),
        MP_ECANCELED);
    mp_assert_ok(mp_pool_join(pool, MP_FOREVER));
    end();
}

// ---- tasks ----

static int wait_task(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)task, (void)arg, (void)size;
    return mp_event_wait(ctx, MP_FOREVER);
}

MP_TEST(tasks_that_wait_are_cancelled)
{
    begin(1, 0);
    mp_future *f[3], *late;
    for (int i = 0; i < 3; i++)
        mp_assert_ok(
            mp_pool_apply_async(&f[i], pool, wait_task, NULL, 0, &(mp_task_opts){.ctx = go}));
    ck_assert(mptest_eventually(mp_future_running(f[0]), 10000));
    kill(caller, SIGINT);
    mp_assert_err(mp_pool_apply_async(&late, pool, wait_task, NULL, 0, NULL), MP_ECANCELED);
    for (int i = 1; i < 3; i++)
        mp_assert_err(mp_future_error(f[i], MP_FOREVER), MP_ECANCELED);
    mp_assert_err(mp_pool_join(pool, 1), MP_ETIMEDOUT); // the first one runs
    mp_assert_ok(mp_event_set(go));
    mp_assert_ok(mp_future_error(f[0], MP_FOREVER));
    mp_assert_ok(mp_pool_join(pool, MP_FOREVER));
    for (int i = 0; i < 3; i++)
        mp_future_free(f[i]);
    end();
}

MP_TEST(an_idle_pool_ends_as_well)
{
    begin(2, 0);
    kill(caller, SIGINT);
    mp_assert_ok(mp_pool_join(pool, MP_FOREVER));
    end();
    mp_assert_err(mp_pool_interrupt(NULL), MP_EINVAL);
}

static int endless(void *item, void *arg)
{
    long *next = arg;
    *(long *)item = (*next)++;
    return 1;
}

MP_TEST(a_stream_of_items_ends)
{
    begin(2, 0);
    long next = 0, out;
    int status;
    int64_t r;
    mp_imap *it;
    mp_assert_ok(mp_pool_imap(&it, pool, press_at_twenty, endless, &next, 8, 8, NULL));
    while ((r = mp_imap_next(it, &out, &status, MP_FOREVER)) >= 0)
        ck_assert(status == 0 ? out == r + 1 : status == MP_ECANCELED);
    mp_assert_err(r, MP_ECANCELED);
    mp_imap_free(it);
    mp_assert_ok(mp_pool_join(pool, MP_FOREVER));
    end();
}
