// SPDX-License-Identifier: MIT
//
// For tests with many processes, some of which are killed.
#ifndef CREW_H
#define CREW_H

#include "mptest.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
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

#endif
