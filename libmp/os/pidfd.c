// SPDX-License-Identifier: MIT
#include "os/pidfd.h"

#include <errno.h>
#include <mp/error.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int mp__pidfd_open(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

int mp__pidfd_kill(int pidfd, int sig)
{
    if (syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0 && errno != ESRCH)
        return -errno;
    return 0;
}

int mp__pidfd_wait(int pidfd, mp__deadline d)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    for (;;) {
        int ms = mp__left_ms(d);
        int n = poll(&p, 1, ms);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0 && mp__left_ns(d) == 0)
            return MP_ETIMEDOUT;
    }
}

bool mp__pidfd_ended(int pidfd)
{
    return mp__pidfd_wait(pidfd, 0) == 0;
}

int mp__pidfd_reap(int pidfd, int *code, struct rusage *usage)
{
    siginfo_t si = {0};
    // The raw call: waitid(3) has no room for the rusage.
    long r;
    do
        r = syscall(SYS_waitid, P_PIDFD, pidfd, &si, WEXITED | WNOHANG, usage);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return errno == ECHILD ? MP_ESTATUS : -errno;
    if (si.si_pid == 0)
        return MP_EAGAIN;
    *code = si.si_code == CLD_EXITED ? si.si_status : -si.si_status;
    return 0;
}
