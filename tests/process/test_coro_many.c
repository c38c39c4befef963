// SPDX-License-Identifier: MIT
//
// A hundred thousand tasks at once: each has its stack, and all of them fit into 1 GiB.
#include "mptest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <mp/async.h>
#include <mp/coro.h>
#include <mp/loop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

// Sanitizers put more on a stack, and keep books of each.
enum { TASKS = MPTEST_TSAN ? 1000 : MPTEST_ASAN ? 10000 : 100000 };
enum { GIB_IN_KB = 1 << 20, GUARD_INSTALL = 102, NO_FILTER = 9 };

static mp_async_event go;
static size_t inside, most;

static int wait_for_all(void *arg)
{
    (void)arg;
    if (++inside > most)
        most = inside;
    int r = mp_async_event_wait(&go, MP_FOREVER);
    inside--;
    return r;
}

// A number of /proc/self/status, in KiB.
static long status_kb(const char *key)
{
    char line[200];
    long kb = -1;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && kb < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            kb = atol(line + strlen(key));
    if (f)
        fclose(f);
    return kb;
}

static int all_at_once(void *arg)
{
    mp_coro **t = arg;
    for (int i = 0; i < TASKS; i++)
        mptest_require(mp_coro_start(&t[i], NULL, wait_for_all, NULL, NULL) == 0);
    mptest_require(mp_coro_sleep(0) == 0);
    mptest_require(most == TASKS && inside == TASKS);
    if (TASKS == 100000)
        mptest_require(status_kb("VmRSS:") + status_kb("VmPTE:") < GIB_IN_KB);
    mptest_require(mp_async_event_set(&go) == 0);
    mptest_require(mp_coro_gather(t, TASKS) == 0);
    for (int i = 0; i < TASKS; i++)
        mp_coro_free(t[i]);
    return inside == 0 ? 0 : 1;
}

static int run_all(void *arg)
{
    return mp_coro_run(all_at_once, arg, 0);
}

// From here on guards are what they were before Linux 6.13, and not for each stack.
static bool forget_guard_install(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GUARD_INSTALL, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int run_all_on_an_older_kernel(void *arg)
{
    return forget_guard_install() ? run_all(arg) : NO_FILTER;
}

// ---- an overflow there ----

enum { MANY = 20000 }; // more than guards

static int say_fd;

static int overflow(void *arg)
{
    volatile char frame[57 << 10]; // of 56
    (void)arg;
    for (size_t i = sizeof frame; i-- > 0;)
        frame[i] = 1;
    return mp_coro_sleep(0) + frame[0];
}

static int overflow_after_many(void *arg)
{
    mp_coro *t;
    (void)arg;
    for (int i = 0; i < MANY; i++)
        mptest_require(mp_coro_start(NULL, NULL, wait_for_all, NULL, NULL) == 0);
    mptest_require(mp_coro_start(&t, NULL, overflow, NULL, &(mp_coro_opts){.name = "wide"}) == 0);
    return mp_await(t);
}

static int run_overflow_on_an_older_kernel(void *arg)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    dup2(say_fd, 2);
    mptest_require(mp_coro_explain_overflow() == 0);
    return forget_guard_install() ? mp_coro_run(overflow_after_many, arg, 0) : NO_FILTER;
}

MP_TEST(an_overflow_is_explained_without_a_guard)
{
    char text[400] = "";
    int p[2];
    if (MPTEST_ASAN || MPTEST_TSAN)
        mp_skip("the sanitizer has a handler of its own");
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    say_fd = p[1];
    int code = mptest_in_child(run_overflow_on_an_older_kernel, NULL);
    close(p[1]);
    ssize_t n = read(p[0], text, sizeof text - 1);
    close(p[0]);
    if (code == NO_FILTER)
        mp_skip("no seccomp filters here");
    ck_assert_int_eq(code, -SIGSEGV);
    ck_assert_msg(n > 0 && strstr(text, "task 'wide' overflowed its stack of "), "%s", text);
}

// ---- all of them ----

static int run_in_child(int (*fn)(void *))
{
    mp_coro **t = calloc(TASKS, sizeof(mp_coro *));
    int code = mptest_in_child(fn, t);
    free(t);
    return code;
}

MP_TEST_TIMEOUT(a_hundred_thousand_tasks_in_a_gibibyte, 60)
{
    ck_assert_int_eq(run_in_child(run_all), 0);
}

MP_TEST_TIMEOUT(also_where_guards_are_scarce, 60)
{
    int code = run_in_child(run_all_on_an_older_kernel);
    if (code == NO_FILTER)
        mp_skip("no seccomp filters here");
    ck_assert_int_eq(code, 0);
}
