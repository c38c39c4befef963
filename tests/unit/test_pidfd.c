// SPDX-License-Identifier: MIT
#include "mptest.h"
#include "os/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>

// A child that waits for the pipe's end, then exits with code.
static pid_t start(int code, int *gate)
{
    int p[2];
    char c;
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(p[1]);
        while (read(p[0], &c, 1) < 0)
            ;
        _exit(code);
    }
    close(p[0]);
    *gate = p[1];
    return pid;
}

MP_TEST(life_of_a_child)
{
    int gate, code = -1;
    struct rusage use = {0};
    int fd = mp__pidfd_open(start(42, &gate));
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert(!mp__pidfd_ended(fd));
    mp_assert_err(mp__pidfd_reap(fd, &code, NULL), MP_EAGAIN);
    mp_assert_err(mp__pidfd_wait(fd, mp__deadline_in(10)), MP_ETIMEDOUT);
    close(gate);
    mp_assert_ok(mp__pidfd_wait(fd, MP__NEVER));
    ck_assert(mp__pidfd_ended(fd));
    mp_assert_ok(mp__pidfd_reap(fd, &code, &use));
    ck_assert_int_eq(code, 42);
    ck_assert_int_gt(use.ru_maxrss, 0);
    // Once more: it is gone, and so is its status.
    ck_assert(mp__pidfd_ended(fd));
    mp_assert_err(mp__pidfd_reap(fd, &code, NULL), MP_ESTATUS);
    ck_assert_int_eq(mp__pidfd_kill(fd, SIGKILL), 0);
    close(fd);
}

MP_TEST(killed_children_have_negative_codes)
{
    int gate, code;
    int fd = mp__pidfd_open(start(0, &gate));
    ck_assert_int_eq(mp__pidfd_kill(fd, 9999), -EINVAL);
    ck_assert_int_eq(mp__pidfd_kill(fd, SIGTERM), 0);
    mp_assert_ok(mp__pidfd_wait(fd, mp__deadline_in(10000)));
    mp_assert_ok(mp__pidfd_reap(fd, &code, NULL));
    ck_assert_int_eq(code, -SIGTERM);
    close(fd);
    close(gate);
}

MP_TEST(ignored_sigchld_takes_the_status)
{
    int gate, code;
    signal(SIGCHLD, SIG_IGN);
    int fd = mp__pidfd_open(start(3, &gate));
    close(gate);
    mp_assert_ok(mp__pidfd_wait(fd, mp__deadline_in(10000)));
    mp_assert_err(mp__pidfd_reap(fd, &code, NULL), MP_ESTATUS);
    close(fd);
}

static void nothing(int sig)
{
    (void)sig;
}

MP_TEST(signals_do_not_end_the_wait)
{
    int gate;
    pid_t pid = start(0, &gate);
    int fd = mp__pidfd_open(pid);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = nothing}, NULL);
    struct itimerval every = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &every, NULL);
    int64_t start_time = mp__now();
    mp_assert_err(mp__pidfd_wait(fd, mp__deadline_in(50)), MP_ETIMEDOUT);
    ck_assert_int_ge(mp__now() - start_time, 50000000);
    setitimer(ITIMER_REAL, &off, NULL);
    close(gate);
    waitpid(pid, NULL, 0);
    close(fd);
}

MP_TEST(no_such_process)
{
    ck_assert_int_eq(mp__pidfd_open(-1), -EINVAL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    ck_assert_int_eq(mp__pidfd_open(pid), -ESRCH);
}
