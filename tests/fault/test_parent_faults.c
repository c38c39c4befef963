// SPDX-License-Identifier: MIT
//
// Fault rows 11 and 12: the user's process is killed, at rest and in the middle of starting
// something. All below it are gone within 200 ms, under every start method: processes and theirs,
// pools at rest, at work and stopped, and what their workers have started.
#include "crew.h"

#include <mp/pipe.h>
#include <mp/pool.h>
#include <mp/process.h>
#include <mp/task.h>

#define PATIENCE 15000
#define TREE     4 // processes, one below the other

static const mp_start methods[] = {MP_START_FORK, MP_START_FORKSERVER, MP_START_SPAWN};

// What the process that will be killed tells, before it says nothing more.
struct below {
    int n;
    pid_t pid[TREE];
};

static int sleep_forever(void *arg)
{
    while (pause() < 0) // always
        ;
    return arg != NULL;
}
MP_TASK(sleep_forever);

// ---- processes -------------------------------------------------------------------

struct tree {
    mp_start method;
    int levels;
};

static void tell(const struct below *b)
{
    mp_pipe *up;
    mptest_require(mp_handle_take_pipe(mp_process_handle(0), &up) == 0);
    mptest_require(mp_pipe_send(up, b, sizeof *b, PATIENCE) == 0);
}

// Starts fn, and returns what it tells.
static struct below begin(mp_process **p, mp_pipe **from, mp_start method, mp_process_fn *fn,
                          void *arg, size_t size)
{
    mp_pipe *to;
    struct below b;
    mptest_require(mp_pipe_new(from, &to, NULL) == 0);
    mp_handle h = MP_HANDLE(to);
    mp_process_opts o = {.start = method, .arg_size = size, .handles = &h, .n_handles = 1};
    mptest_require(mp_process_start(p, fn, arg, &o) == 0);
    mptest_require(mp_pipe_recv(*from, &b, sizeof b, PATIENCE) == sizeof b);
    mp_pipe_free(to);
    return b;
}

static int grow(void *arg)
{
    struct tree t = *(struct tree *)arg;
    struct below b = {0};
    if (t.levels-- > 0) {
        mp_process *p;
        mp_pipe *from;
        b = begin(&p, &from, t.method, grow, &t, sizeof t);
    }
    b.pid[b.n++] = getpid();
    tell(&b);
    return sleep_forever(arg);
}
MP_TASK(grow);

// How long all of them outlive the one at the top.
static int64_t kill_top(mp_start method, mp_process_fn *fn, void *arg, size_t size)
{
    mp_process *p;
    mp_pipe *from;
    int fd[TREE], code = 0;
    struct below b = begin(&p, &from, method, fn, arg, size);
    for (int i = 0; i < b.n; i++)
        ck_assert_int_ge(fd[i] = mp__pidfd_open(b.pid[i]), 0);
    int64_t then = mp__now();
    mp_assert_ok(mp_process_kill(p));
    int64_t ms = crew_gone_after(then, fd, b.n);
    mp_assert_ok(mp_process_join(p, PATIENCE));
    mp_assert_ok(mp_process_exitcode(p, &code));
    ck_assert_int_eq(code, -SIGKILL);
    mp_process_free(p);
    mp_pipe_free(from);
    return ms;
}

MP_TEST(processes_go_with_who_started_them)
{
    for (size_t m = 0; m < 3; m++) {
        struct tree t = {methods[m], TREE - 1};
        ck_assert_int_le(crew_best(kill_top(methods[m], grow, &t, sizeof t)), CREW_DEATH_MS);
    }
}

// ---- pools -----------------------------------------------------------------------

enum at { AT_REST, AT_WORK, STOPPED, WITH_CHILDREN };

struct owner {
    mp_start method;
    enum at at;
};

static int report(mp_task *task, const void *arg, size_t size, void *ctx)
{
    struct owner o;
    struct below b = {2, {getpid(), getppid()}};
    mp_process *p;
    memcpy(&o, arg, sizeof o);
    (void)size, (void)ctx;
    if (o.at == WITH_CHILDREN) {
        int r = mp_process_start(&p, sleep_forever, NULL, &(mp_process_opts){.start = o.method});
        if (r < 0)
            return r;
        b.pid[b.n++] = mp_process_pid(p);
    }
    return mp_task_result(task, &b, sizeof b);
}
MP_TASK(report);

static int pause_at(const void *in, void *out, void *ctx)
{
    (void)in, (void)out, (void)ctx;
    return sleep_forever(NULL);
}
MP_TASK(pause_at);

static int own_pool(void *arg)
{
    struct owner o = *(struct owner *)arg;
    struct below b;
    mp_pool *p;
    mptest_require(mp_pool_new(&p, &(mp_pool_opts){.workers = 2, .start = o.method}) == 0);
    mptest_require(mp_pool_apply(p, report, &o, sizeof o, &b, sizeof b, NULL) == sizeof b);
    if (o.at == STOPPED)
        kill(b.pid[0], SIGSTOP);
    tell(&b);
    if (o.at == AT_WORK)
        (void)!mp_pool_map(p, pause_at, NULL, 0, NULL, 0, 100, NULL, NULL);
    return sleep_forever(arg);
}
MP_TASK(own_pool);

MP_TEST(pools_go_with_who_made_them)
{
    for (size_t m = 0; m < 3; m++)
        for (enum at at = AT_REST; at <= WITH_CHILDREN; at++) {
            struct owner o = {methods[m], at};
            ck_assert_int_le(crew_best(kill_top(MP_START_SPAWN, own_pool, &o, sizeof o)),
                             CREW_DEATH_MS);
        }
}

// ---- in the middle of a start ----------------------------------------------------

static int start_for_ever(void *arg)
{
    mp_start method = *(mp_start *)arg;
    tell(&(struct below){0});
    for (;;) {
        mp_process *p;
        mptest_require(
            mp_process_start(&p, sleep_forever, NULL, &(mp_process_opts){.start = method}) == 0);
    }
}
MP_TASK(start_for_ever);

static int make_pools_for_ever(void *arg)
{
    mp_start method = *(mp_start *)arg;
    tell(&(struct below){0});
    for (;;) {
        mp_pool *p;
        mptest_require(mp_pool_new(&p, &(mp_pool_opts){.workers = 3, .start = method}) == 0);
        mp_pool_free(p);
    }
}
MP_TASK(make_pools_for_ever);

// Killed at any moment of it. That none is left in the end is seen by the runner.
static void kill_in_a_start(mp_process_fn *fn, mp_start method, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        mp_process *p;
        mp_pipe *from;
        begin(&p, &from, MP_START_FORK, fn, &method, sizeof method);
        usleep((useconds_t)(i % 40 * (method == MP_START_FORK ? 70 : 700)));
        mp_assert_ok(mp_process_kill(p));
        mp_assert_ok(mp_process_join(p, PATIENCE));
        mp_process_free(p);
        mp_pipe_free(from);
    }
}

MP_TEST_TIMEOUT(killed_while_it_starts_processes, 60)
{
    for (size_t m = 0; m < 3; m++)
        kill_in_a_start(start_for_ever, methods[m], crew_times(40, 400));
}

MP_TEST_TIMEOUT(killed_while_it_makes_pools, 60)
{
    for (size_t m = 0; m < 3; m++)
        kill_in_a_start(make_pools_for_ever, methods[m], crew_times(40, 400));
}
