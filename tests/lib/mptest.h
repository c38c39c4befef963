// SPDX-License-Identifier: MIT
//
// What every test program is made of. A program is one file, test_<concept>.c, in
// tests/unit, tests/process or tests/fault; main() comes from here, and a test is
// registered by being written:
//
//     #include "mptest.h"
//
//     MP_TEST(new_pipe_is_empty)
//     {
//         ...
//         ck_assert_int_eq(mp_pipe_poll(a, 0), 0);
//     }
//
// Each test runs in a process of its own, in an empty directory that is its TMPDIR,
// with a timeout. Afterwards descriptors, threads, children, /dev/shm and TMPDIR must
// be as before, and no descendant may be alive; what is left is named.
//
// A failing assertion in a process that the test forked does not fail the test by
// itself: use mptest_require() there, and look at the exit code.
//
// CK_RUN_CASE=name (or the name as argument) runs one test. CK_FORK=no, or a debugger,
// runs tests in the program itself, without timeouts and without the checks above.
#ifndef MPTEST_H
#define MPTEST_H

#include <check.h>
#include <mp/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#define MPTEST_TIMEOUT 20 // seconds; thrice as many for busy machines, eight times under sanitizers

struct mptest {
    TTest check; // name, place, and what Check calls
    void (*body)(void);
    int timeout_s;
    int number;
    struct mptest *next;
};

void mptest_register(struct mptest *t);
void mptest_run(const struct mptest *t);

#define MP_TEST(name) MP_TEST_TIMEOUT(name, MPTEST_TIMEOUT)

#define MP_TEST_TIMEOUT(name, seconds)                                                             \
    static void name(void);                                                                        \
    static void name##_run(int i);                                                                 \
    static struct mptest name##_test = {                                                           \
        {#name, name##_run, __FILE__, __LINE__}, name, (seconds), 0, NULL};                        \
    static void name##_run(int i)                                                                  \
    {                                                                                              \
        (void)i;                                                                                   \
        mptest_run(&name##_test);                                                                  \
    }                                                                                              \
    __attribute__((constructor)) static void name##_register(void)                                 \
    {                                                                                              \
        mptest_register(&name##_test);                                                             \
    }                                                                                              \
    static void name(void)

// Ends the test as skipped: says so on the output, and makes the program exit with 77
// when it skipped all it had. What the test has open by then, and its files, are no leak.
_Noreturn void mp_skip(const char *reason);

// Results of libmp, with their names in the message.
#define mp_assert_ok(call)                                                                         \
    do {                                                                                           \
        int64_t mptest_r = (call);                                                                 \
        ck_assert_msg(mptest_r >= 0, "%s: %s (%s)", #call, mp_err_name(mptest_r),                  \
                      mp_strerror(mptest_r));                                                      \
    } while (0)
#define mp_assert_err(call, want)                                                                  \
    do {                                                                                           \
        int64_t mptest_r = (call);                                                                 \
        ck_assert_msg(mptest_r == (want), "%s: %s (%lld), not %s", #call, mp_err_name(mptest_r),   \
                      (long long)mptest_r, mp_err_name(want));                                     \
    } while (0)

// Waits for a condition that comes by itself; false if it did not within ms, nor in a hundredth as
// many looks: a machine that starves this process may starve the one that it waits for. For what
// has no descriptor to wait on.
#define mptest_eventually(condition, ms)                                                           \
    ({                                                                                             \
        bool mptest_ok;                                                                            \
        int64_t mptest_end = mptest_ms() + (ms);                                                   \
        for (int mptest_i = 0;                                                                     \
             !(mptest_ok = (condition)) && (mptest_ms() < mptest_end || mptest_i < (ms) / 100);    \
             mptest_i++)                                                                           \
            usleep(1000);                                                                          \
        mptest_ok;                                                                                 \
    })

// Milliseconds of the clock that runs on.
int64_t mptest_ms(void);

// In a forked process: prints what does not hold, and exits with 99.
#define mptest_require(condition)                                                                  \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            dprintf(2, "%s:%d: in a child: %s\n", __FILE__, __LINE__, #condition);                 \
            _exit(99);                                                                             \
        }                                                                                          \
    } while (0)

// Runs fn(arg) in a plain fork and waits: its exit code, or -signal.
int mptest_in_child(int (*fn)(void *), void *arg);

// `what`, with something of this program's own behind it: a name for what lies in /dev/shm, where
// others may run the same test. The same for a fork; at most 16 different ones.
const char *mptest_name(const char *what);

// Descriptors this process has open.
int mptest_fd_count(void);

// Raises the limit for them as far as the system lets, and skips the test if n are more than that.
void mptest_need_fds(int n);

// Compiled with a sanitizer: for tests that it cannot run, or that would take too long.
#if defined(__SANITIZE_THREAD__)
#define MPTEST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MPTEST_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define MPTEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MPTEST_ASAN 1
#endif
#endif
#ifndef MPTEST_TSAN
#define MPTEST_TSAN 0
#endif
#ifndef MPTEST_ASAN
#define MPTEST_ASAN 0
#endif

#endif
