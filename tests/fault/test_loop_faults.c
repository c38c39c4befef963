// SPDX-License-Identifier: MIT
//
// What goes wrong with loops and tasks: forks, callbacks and tasks that block, stacks that
// overflow, errors that nobody looks at.
#include "logged.h"
#include "mptest.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/async.h>
#include <mp/coro.h>
#include <mp/loop.h>
#include <mp/process.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

// The first loop of a process opens a pipe for signals that stays: before the tests count.
__attribute__((constructor)) static void open_signal_pipe(void)
{
    mp_loop *loop;
    if (mp_loop_new(&loop) == 0)
        mp_loop_free(loop);
}

static mp_loop *loop;
static int calls;

static void count(void *arg)
{
    (void)arg;
    calls++;
}

// ---- forks ----

static int nap(void *arg)
{
    (void)arg;
    return mp_coro_sleep(1);
}

static int use_inherited(void *arg)
{
    mp_watch *w = arg;
    mp_coro *t;
    mptest_require(mp_loop_call_soon(loop, count, NULL) == MP_EOWNER);
    mptest_require(mp_loop_call_soon_threadsafe(loop, count, NULL) == MP_EOWNER);
    mptest_require(mp_loop_call_later(loop, 0, count, NULL) == MP_EOWNER);
    mptest_require(mp_loop_add_timer(loop, &w, 0, NULL, NULL) == MP_EOWNER);
    mptest_require(mp_coro_start(&t, loop, nap, NULL, NULL) == MP_EOWNER);
    mptest_require(mp_loop_run(loop) == MP_EOWNER);
    mptest_require(mp_loop_close(loop) == MP_EOWNER);
    mptest_require(!mp_loop_is_running(loop));
    mptest_require(mp_loop_current() == NULL);
    mp_loop_stop(loop);
    mp_watch_close(arg);
    mp_loop_free(loop);
    mptest_require(mp_coro_run(nap, NULL, 0) == 0); // one of its own
    return 7;
}

static void end_of_pipe(mp_watch *w, int events, void *arg)
{
    char c;
    (void)events;
    if (read(*(int *)arg, &c, 1) == 0)
        mp_watch_close(w);
    else
        calls++;
}

MP_TEST(a_forked_child_may_not_use_it)
{
    int p[2];
    mp_watch *w;
    mp_assert_ok(mp_loop_new(&loop));
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    mp_assert_ok(mp_loop_add_fd(loop, &w, p[0], MP_LOOP_READ, end_of_pipe, &p[0]));
    ck_assert_int_eq(mptest_in_child(use_inherited, w), 7);
    // and did the parent's no harm
    ck_assert_int_eq(write(p[1], "x", 1), 1);
    close(p[1]);
    mp_assert_ok(mp_loop_run(loop));
    ck_assert_int_eq(calls, 1);
    close(p[0]);
    mp_loop_free(loop);
}

static int child_of_a_task(void *arg)
{
    mptest_require(mp_coro_sleep(1) == MP_EOWNER);
    mptest_require(mp_await(arg) == MP_EOWNER);
    mptest_require(mp_coro_current() == NULL);
    mptest_require(mp_coro_run(nap, NULL, 0) == 0);
    return 9;
}

static int fork_in_a_task(void *arg)
{
    mp_process *p;
    int code = -1;
    mp_coro *t;
    (void)arg;
    mp_assert_ok(mp_coro_promise(&t, NULL));
    mp_assert_ok(mp_process_start(&p, child_of_a_task, t, NULL));
    mp_assert_ok(mp_await_process(p, &code, MP_FOREVER));
    ck_assert_int_eq(code, 9);
    mp_process_free(p);
    mp_coro_free(t);
    return 0;
}

MP_TEST(a_child_of_a_task_has_no_task)
{
    mp_assert_ok(mp_coro_run(fork_in_a_task, NULL, 0));
}

static int fork_and_return(void *arg)
{
    pid_t *child = arg;
    *child = fork();
    return 1;
}

static int other_task(void *arg)
{
    calls++;
    (void)arg;
    return 0;
}

MP_TEST(a_child_that_comes_back_from_a_task)
{
    pid_t child = -1;
    int status;
    if (MPTEST_TSAN)
        mp_skip("the sanitizer loses count of stacks in a fork");
    mp_assert_ok(mp_loop_new(&loop));
    mp_assert_ok(mp_coro_start(NULL, loop, fork_and_return, &child, NULL));
    mp_assert_ok(mp_coro_start(NULL, loop, other_task, NULL, NULL)); // the parent's
    int r = mp_loop_run(loop);
    if (child == 0)
        _exit(r == MP_EOWNER && calls == 0 ? 3 : 4);
    mp_assert_ok(r);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(WEXITSTATUS(status), 3);
    mp_loop_free(loop);
}

// ---- what blocks ----

static char named[100];
static atomic_int told_running, told_over;

static void slow(const char *what, int64_t ms, bool running, void *arg)
{
    ck_assert_int_ge(ms, 20);
    ck_assert_ptr_eq(arg, &told_over);
    if (running) {
        strncpy(named, what, sizeof named - 1);
        atomic_store(&told_running, 1);
    } else {
        atomic_fetch_add(&told_over, 1);
    }
}

// Never yields, until it is named.
static int busy(void *arg)
{
    (void)arg;
    return mptest_eventually(atomic_load(&told_running), 10000) ? 0 : MP_ETIMEDOUT;
}

MP_TEST(a_task_that_never_yields_is_named)
{
    mp_coro *t;
    mp_assert_ok(mp_loop_new(&loop));
    mp_assert_ok(mp_loop_debug(loop, 20, slow, &told_over));
    mp_assert_ok(mp_coro_start(&t, loop, busy, NULL, &(mp_coro_opts){.name = "greedy"}));
    mp_assert_ok(mp_loop_run_until_complete(loop, t));
    ck_assert_str_eq(named, "task 'greedy'");
    ck_assert_int_eq(told_over, 1);
    mp_coro_free(t);
    mp_loop_free(loop);
}

static void slow_callback(void *arg)
{
    ck_assert(mptest_eventually(atomic_load(&told_running), 10000));
    (void)arg;
}

MP_TEST(a_slow_callback_is_told)
{
    mp_assert_ok(mp_loop_new(&loop));
    mp_assert_ok(mp_loop_debug(loop, 20, slow, &told_over));
    mp_assert_ok(mp_loop_call_soon(loop, count, NULL));
    mp_assert_ok(mp_loop_call_soon(loop, slow_callback, NULL));
    mp_assert_ok(mp_loop_run(loop));
    ck_assert_int_eq(told_over, 1);
    ck_assert_int_gt(strlen(named), 0);
    mp_assert_ok(mp_loop_debug(loop, 0, NULL, NULL));
    mp_loop_free(loop);
}

// ---- the log ----

static int fail_soon(void *arg)
{
    (void)arg;
    return MP_EPIPE;
}

MP_TEST(an_error_nobody_looked_at_is_logged)
{
    open_log();
    mp_assert_ok(mp_loop_new(&loop));
    mp_assert_ok(mp_coro_start(NULL, loop, fail_soon, NULL, &(mp_coro_opts){.name = "lost"}));
    mp_assert_ok(mp_loop_run(loop));
    mp_loop_free(loop);
    check_log("'lost' failed");
}

static int sleep_hard(void *arg)
{
    (void)arg;
    usleep(60000);
    return 0;
}

MP_TEST(without_a_hook_the_log_is_told)
{
    open_log();
    mp_assert_ok(mp_coro_run(sleep_hard, NULL, 20));
    check_log("kept by task 'main'");
}

// ---- overflow ----

static int overflow(int n)
{
    volatile char frame[512];
    frame[n % 512] = 1;
    return n < 1000000 ? overflow(n + 1) + frame[n % 512] : 0;
}

static int overflow_task(void *arg)
{
    (void)arg;
    return overflow(0);
}

static int start_overflow(void *arg)
{
    mp_coro *t;
    (void)arg;
    mptest_require(mp_coro_start(&t, NULL, overflow_task, NULL, &(mp_coro_opts){.name = "deep"}) ==
                   0);
    return mp_await(t);
}

static int say_fd;

static int run_overflow(void *arg)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    dup2(say_fd, 2);
    if (arg)
        mptest_require(mp_coro_explain_overflow() == 0);
    return mp_coro_run(start_overflow, NULL, 0);
}

static void check_overflow(bool explained)
{
    char text[4000] = "";
    int p[2];
    if (MPTEST_ASAN || MPTEST_TSAN)
        mp_skip("the sanitizer has a handler of its own");
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    say_fd = p[1];
    ck_assert_int_eq(mptest_in_child(run_overflow, explained ? &say_fd : NULL), -SIGSEGV);
    close(p[1]);
    ssize_t n = read(p[0], text, sizeof text - 1);
    close(p[0]);
    if (explained)
        ck_assert_msg(n > 0 && strstr(text, "task 'deep' overflowed its stack of "), "%s", text);
    else
        ck_assert_int_eq(n, 0);
}

MP_TEST(an_overflow_hits_the_guard)
{
    check_overflow(false);
}

MP_TEST(an_overflow_is_explained)
{
    check_overflow(true);
}

static int crash(void *arg)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    dup2(say_fd, 2);
    mptest_require(mp_coro_explain_overflow() == 0);
    raise(SIGSEGV); // another fault: as ever, without a word
    (void)arg;
    return 0;
}

MP_TEST(other_faults_are_passed_on)
{
    char c;
    int p[2];
    if (MPTEST_ASAN || MPTEST_TSAN)
        mp_skip("the sanitizer has a handler of its own");
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    say_fd = p[1];
    ck_assert_int_eq(mptest_in_child(crash, NULL), -SIGSEGV);
    close(p[1]);
    ck_assert_int_eq(read(p[0], &c, 1), 0);
    close(p[0]);
}

// ---- memory ----

static int wait_for_ever(void *arg)
{
    return mp_async_event_wait(arg, MP_FOREVER);
}

static int too_many_tasks(void *arg)
{
    mp_async_event e = {0};
    int r, n = 0;
    (void)arg;
    setrlimit(RLIMIT_AS, &(struct rlimit){(rlim_t)256 << 20, (rlim_t)256 << 20});
    while ((r = mp_coro_start(NULL, NULL, wait_for_ever, &e, NULL)) == 0)
        n++;
    mptest_require(r == -ENOMEM && n > 100);
    mp_async_event_set(&e);
    mptest_require(mp_coro_sleep(0) == 0);
    mptest_require(mp_coro_sleep(0) == 0);
    mptest_require(mp_coro_start(NULL, NULL, nap, NULL, NULL) == 0); // there is room again
    return 5;
}

static int run_too_many(void *arg)
{
    return mp_coro_run(too_many_tasks, arg, 0);
}

MP_TEST(out_of_memory_is_an_error)
{
    if (MPTEST_ASAN || MPTEST_TSAN)
        mp_skip("the sanitizer needs the address space");
    ck_assert_int_eq(mptest_in_child(run_too_many, NULL), 5);
}
