// SPDX-License-Identifier: MIT
//
// A child closes all that it inherited, so that nobody waits for the end of something that only
// it has open still; but for the three that everybody has.
#include "child.h"

#include "os/fork.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mp/error.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_MS 20000

static int await_report(int fd, struct child_report *report)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;
    do
        n = poll(&p, 1, READY_MS);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return MP_ETIMEDOUT;
    if (read(fd, report, sizeof *report) != sizeof *report)
        return MP_EBROKEN;
    report->text[sizeof report->text - 1] = '\0';
    return report->err;
}

void child_leave_descriptors(int keep)
{
    if (keep > 3)
        syscall(SYS_close_range, 3, keep - 1, 0);
    syscall(SYS_close_range, keep + 1, INT_MAX, 0);
}

pid_t child_fork(int *fd, struct child_report *report)
{
    int fds[2];
    *report = (struct child_report){0};
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = mp__fork();
    if (pid == 0) {
        close(fds[0]);
        *fd = fds[1];
        return 0;
    }
    close(fds[1]);
    int r = pid < 0 ? (int)pid : await_report(fds[0], report);
    close(fds[0]);
    if (pid > 0 && r < 0) { // it ends by itself, or is stuck
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return r < 0 ? r : pid;
}

bool child_tell(int fd, const struct child_report *report)
{
    bool told = write(fd, report, sizeof *report) == sizeof *report;
    close(fd);
    return told;
}
