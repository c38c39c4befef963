// SPDX-License-Identifier: MIT
//
// What the system and the program around it do to a pool: forks and calls that are refused,
// signals all the time, children that somebody else waits for, forks and execs at any moment.
#include "crew.h"

#include "work/forkserver.h"

#include <errno.h>
#include <mp/imap.h>
#include <mp/task.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PATIENCE_MS 10000

static const mp_start methods[] = {MP_START_FORK, MP_START_FORKSERVER, MP_START_SPAWN};

static int square(const void *in, void *out, void *ctx)
{
    (void)ctx;
    *(long *)out = *(const long *)in * *(const long *)in;
    return 0;
}
MP_TASK(square);

static bool squares_some(mp_pool *p)
{
    long in[300], out[300];
    for (long i = 0; i < 300; i++)
        in[i] = i;
    if (mp_pool_map(p, square, in, 8, out, 8, 300, NULL, &(mp_map_opts){.chunk = 3}) != 0)
        return false;
    for (long i = 0; i < 300; i++)
        if (out[i] != i * i)
            return false;
    return true;
}

static int echo(mp_task *task, const void *arg, size_t size, void *ctx)
{
    (void)ctx;
    return mp_task_result(task, arg, size);
}
MP_TASK(echo);

// ---- what is refused ----

// Each user has a limit of processes; root has not, so this becomes somebody whom nobody is.
static int with_few_processes(void *arg)
{
    uid_t nobody = 30000 + (uid_t)getpid() % 30000; // a container may have 65536
    mp_start method = *(mp_start *)arg;
    rlim_t all = method == MP_START_FORKSERVER ? 5 : 4; // this one, supervisor, server, and two
    mp_pool *p;
    mp_pool_stats s;
    if (setuid(nobody) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0) // else /proc/self is root's
        _exit(77);
    mptest_require(setrlimit(RLIMIT_NPROC, &(struct rlimit){all, all}) == 0);
    mptest_require(mp_pool_new(&p, &(mp_pool_opts){.workers = 5, .start = method}) == 0);
    for (int i = 0; i < 20; i++)
        mptest_require(squares_some(p));
    mptest_require(mptest_eventually(mp_pool_get_stats(p, &s) == 0 && s.alive == 2, PATIENCE_MS));
    mptest_require(s.workers == 5);
    mp_pool *other = NULL;
    mptest_require(mp_pool_new(&other, &(mp_pool_opts){.start = method}) == -EAGAIN && !other);
    mp_pool_free(p);
    mp__forkserver_leave();
    return 0;
}

MP_TEST(fewer_workers_when_the_system_gives_no_more)
{
    for (size_t m = 0; m < 3; m++) {
        int code = mptest_in_child(with_few_processes, (void *)(uintptr_t)&methods[m]);
        if (code == 77)
            mp_skip("needs the privilege to be a user without processes");
        ck_assert_int_eq(code, 0);
    }
}

struct refusal {
    long call;
    int error;
};

static int make_one(void *arg)
{
    const struct refusal *r = arg;
    mp_pool *p = (mp_pool *)arg;
    long x = 3, y;
    int fds = mptest_fd_count();
    if (!crew_refuse(r->call, r->error))
        _exit(77);
    for (size_t m = 0; m < 3; m++) {
        mp_pool_opts o = {.workers = 1, .start = methods[m]};
        mptest_require(mp_pool_new(&p, &o) == -r->error && !p);
    }
    mptest_require(mp_map(square, &x, 8, &y, 8, 1, NULL, NULL) == -r->error);
    mptest_require(mptest_fd_count() == fds);
    mptest_require(waitpid(-1, NULL, WNOHANG) < 0); // no children
    return 0;
}

MP_TEST(calls_that_the_kernel_lacks)
{
    struct refusal calls[] = {
        {SYS_pidfd_open, ENOSYS}, {SYS_memfd_create, ENOSYS}, {SYS_eventfd2, EPERM}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        int code = mptest_in_child(make_one, &calls[i]);
        if (code == 77)
            mp_skip("seccomp filters are not allowed here");
        ck_assert_int_eq(code, 0);
    }
}

// ---- the supervisor, at the worst moment ----

static pid_t first_child(void)
{
    char path[64];
    int pid = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%d", &pid) != 1)
        pid = 0;
    if (f)
        fclose(f);
    return pid;
}

// Workers that were being forked as it died find out; that none is left is seen to by the
// runner.
MP_TEST(the_supervisor_is_killed_while_it_forks)
{
    for (int i = 0; i < 60; i++) {
        mp_pool *p;
        mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 20}));
        pid_t supervisor = first_child();
        ck_assert_int_gt(supervisor, 0);
        usleep((unsigned)i * 50);
        kill(supervisor, SIGKILL);
        long x = 3, y = 0;
        ck_assert(mptest_eventually(
            mp_pool_map(p, square, &x, 8, &y, 8, 1, NULL, NULL) == MP_EBROKEN, PATIENCE_MS));
        mp_pool_free(p);
    }
}

// ---- signals ----

static int count_up(void *item, void *arg)
{
    long *i = arg;
    *(long *)item = *i;
    return (*i)++ < 200;
}

static void use_everything(mp_pool *p)
{
    long i = 0, x;
    mp_future *f;
    mp_imap *it;
    ck_assert(squares_some(p));
    for (long k = 0; k < 20; k++)
        ck_assert_int_eq(mp_pool_apply(p, echo, &k, sizeof k, &x, sizeof x, NULL), sizeof x);
    mp_assert_ok(mp_pool_apply_async(&f, p, echo, &i, sizeof i, NULL));
    ck_assert_int_eq(mp_future_result(f, &x, sizeof x, PATIENCE_MS), sizeof x);
    mp_future_free(f);
    mp_assert_ok(mp_pool_imap(&it, p, square, count_up, &i, 8, 8, NULL));
    for (int64_t k = 0; k < 200; k++)
        ck_assert_int_eq(mp_imap_next(it, &x, NULL, PATIENCE_MS), k);
    mp_assert_err(mp_imap_next(it, &x, NULL, PATIENCE_MS), MP_EOF);
    mp_imap_free(it);
    mp_assert_ok(mp_pool_everywhere(p, echo, NULL, 0, NULL));
}

MP_TEST(signals_all_the_time_disturb_nothing)
{
    crew_storm(true);
    for (size_t i = 0; i < 12; i++) {
        mp_pool *p;
        mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 2, .start = methods[i % 3]}));
        use_everything(p);
        mp_assert_ok(mp_pool_close(p));
        mp_assert_ok(mp_pool_join(p, PATIENCE_MS));
        mp_pool_free(p);
    }
    crew_storm(false);
}

// The program has its children waited for by the kernel, or by a thread of its own.
static void *wait_for_any(void *arg)
{
    atomic_bool *stop = arg;
    while (!atomic_load(stop))
        if (waitpid(-1, NULL, WNOHANG) <= 0)
            usleep(200);
    return NULL;
}

static void use_and_break(void)
{
    mp_pool *p;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 2}));
    use_everything(p);
    mp_assert_ok(mp_pool_close(p));
    mp_assert_ok(mp_pool_join(p, PATIENCE_MS));
    mp_pool_free(p);
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 2}));
    ck_assert(squares_some(p));
    kill(first_child(), SIGKILL);
    ck_assert(mptest_eventually(mp_pool_apply(p, echo, NULL, 0, NULL, 0, NULL) == MP_EBROKEN,
                                PATIENCE_MS));
    mp_pool_free(p);
}

MP_TEST(somebody_else_waits_for_the_supervisor)
{
    pthread_t thread;
    atomic_bool stop = false;
    signal(SIGCHLD, SIG_IGN);
    use_and_break();
    signal(SIGCHLD, SIG_DFL);
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_any, &stop), 0);
    for (int i = 0; i < 5; i++)
        use_and_break();
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
}

// ---- forks and execs of the program ----

struct busy {
    mp_pool *pool;
    atomic_bool stop;
    bool failed;
};

static void *keep_busy(void *arg)
{
    struct busy *b = arg;
    while (!atomic_load(&b->stop)) {
        int x = 5, y;
        b->failed |= !squares_some(b->pool);
        b->failed |= mp_pool_apply(b->pool, echo, &x, sizeof x, &y, sizeof y, NULL) != sizeof y;
    }
    return NULL;
}

static int use_as_a_stranger(void *arg)
{
    mp_pool *p = arg;
    mp_future *f;
    mp_pool_stats s;
    long x = 3, y;
    mptest_require(mp_pool_map(p, square, &x, 8, &y, 8, 1, NULL, NULL) == MP_EOWNER);
    mptest_require(mp_pool_apply_async(&f, p, echo, &x, 8, NULL) == MP_EOWNER);
    mptest_require(mp_pool_get_stats(p, &s) == MP_EOWNER);
    mptest_require(mp_pool_resize(p, 3) == MP_EOWNER);
    mptest_require(mp_pool_close(p) == MP_EOWNER && mp_pool_terminate(p) == MP_EOWNER);
    mptest_require(mp_pool_join(p, 0) == MP_EOWNER);
    mptest_require(mp_map(square, &x, 8, &y, 8, 1, NULL, &(mp_map_opts){.workers = 1}) == 0);
    mptest_require(y == 9);
    mp_pool_free(p);
    return 0;
}

MP_TEST(forks_of_the_program_while_a_thread_works)
{
    struct busy b = {0};
    pthread_t thread;
    mp_assert_ok(mp_pool_new(&b.pool, &(mp_pool_opts){.workers = 2}));
    ck_assert_int_eq(pthread_create(&thread, NULL, keep_busy, &b), 0);
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(mptest_in_child(use_as_a_stranger, b.pool), 0);
    atomic_store(&b.stop, true);
    pthread_join(thread, NULL);
    ck_assert(!b.failed);
    mp_pool_free(b.pool);
}

// How many descriptors a program finds when it is started here.
static int fds_of_a_program(void)
{
    int n = -1;
    FILE *f = popen("ls /proc/self/fd | wc -l", "re");
    if (f && fscanf(f, "%d", &n) != 1)
        n = -1;
    if (f)
        pclose(f);
    return n;
}

static int count_fds(mp_task *task, const void *arg, size_t size, void *ctx)
{
    int n = fds_of_a_program();
    (void)arg;
    (void)size;
    (void)ctx;
    return mp_task_result(task, &n, sizeof n);
}

MP_TEST(programs_that_tasks_start_inherit_nothing)
{
    mp_pool *p;
    int before = fds_of_a_program(), n = 0;
    mp_assert_ok(mp_pool_new(&p, &(mp_pool_opts){.workers = 2}));
    ck_assert_int_gt(before, 0);
    ck_assert_int_eq(fds_of_a_program(), before);
    mp_assert_ok(mp_pool_apply(p, count_fds, NULL, 0, &n, sizeof n, NULL));
    ck_assert_int_eq(n, before);
    mp_pool_free(p);
}
