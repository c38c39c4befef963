// SPDX-License-Identifier: MIT
//
// For tests with many processes, some of which are killed.
#ifndef CREW_H
#define CREW_H

#include "mptest.h"

#include "base/clock.h"
#include "os/pidfd.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>

// How often to do a thing: `usual`, or `full` with MP_TEST_LONG=1 in the environment; less under
// sanitizers.
static inline int crew_times(int usual, int full)
{
    const char *l = getenv("MP_TEST_LONG");
    return l && *l == '1' ? full : MPTEST_ASAN || MPTEST_TSAN ? (usual + 3) / 4 : usual;
}

// Zeroed memory that all share who are started from here on.
static inline void *crew_share(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(p, MAP_FAILED);
    return p;
}

// A process that runs fn(arg) and ends with 0, unless something it requires does not hold.
static inline pid_t crew_start(void (*fn)(void *), void *arg)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        fn(arg);
        _exit(0);
    }
    return pid;
}

// Waits for its end: exit code, or -signal.
static inline int crew_end_of(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// Ends in time, and well.
static inline bool crew_ended(pid_t pid)
{
    siginfo_t si = {0};
    return waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid == pid;
}
#define crew_must_end(pid, ms)                                                                     \
    do {                                                                                           \
        pid_t crew_pid = (pid);                                                                    \
        ck_assert_msg(mptest_eventually(crew_ended(crew_pid), ms), "%s hangs", #pid);              \
        ck_assert_int_eq(crew_end_of(crew_pid), 0);                                                \
    } while (0)

static inline void crew_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    int end = crew_end_of(pid);
    ck_assert_msg(end == -SIGKILL || end == 0, "a process ended with %d before it was killed", end);
}

// Stopped with SIGSTOP, and known to be.
static inline void crew_stop(pid_t pid)
{
    int status;
    kill(pid, SIGSTOP);
    ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
    ck_assert(WIFSTOPPED(status));
}

// A signal every 100 us, whose handler restarts nothing.
static inline void crew_on_alarm(int sig)
{
    (void)sig;
}

static inline void crew_storm(bool on)
{
    struct sigaction sa = {.sa_handler = crew_on_alarm}; // no SA_RESTART
    struct itimerval every = {{0, on ? 100 : 0}, {0, on ? 100 : 0}};
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
}

// From here on the system call fails with that error.
static inline bool crew_refuse(long call, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Nothing outlives its parent by more than this. Where the machine has other work, that is seen
// by the best of many tries of an expression that gives ms.
#define CREW_DEATH_MS 200
#define crew_best(ms)                                                                              \
    ({                                                                                             \
        int64_t crew_least = INT64_MAX;                                                            \
        for (int crew_i = 0; crew_i < 30 && crew_least > CREW_DEATH_MS; crew_i++) {                \
            int64_t crew_ms = (ms);                                                                \
            crew_least = crew_ms < crew_least ? crew_ms : crew_least;                              \
        }                                                                                          \
        crew_least;                                                                                \
    })

// Waits until all of them are gone (pidfds, which it closes; -1: one that was gone already), and
// returns how many ms that was after `since`.
static inline int64_t crew_gone_after(int64_t since, int *fd, int n)
{
    for (int i = 0; i < n; i++) {
        if (fd[i] < 0)
            continue;
        ck_assert_msg(mp__pidfd_wait(fd[i], mp__deadline_in(15000)) == 0, "%d of %d lives on", i,
                      n);
        close(fd[i]);
    }
    return (mp__now() - since) / 1000000;
}

#endif
