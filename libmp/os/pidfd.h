// SPDX-License-Identifier: MIT
//
// Processes by descriptor: never the wrong process, and their end can be waited
// for beside anything else.
#ifndef MP_OS_PIDFD_H
#define MP_OS_PIDFD_H

#include "base/clock.h"

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

// A close-on-exec pidfd of pid, or -errno.
int mp__pidfd_open(pid_t pid);

// Sends sig. 0, also when the process has ended; -EPERM, -EINVAL.
int mp__pidfd_kill(int pidfd, int sig);

// Waits for its end (not only of children): 0 or MP_ETIMEDOUT.
int mp__pidfd_wait(int pidfd, mp__deadline d);

// Whether it has ended, without blocking.
bool mp__pidfd_ended(int pidfd);

// Takes the status of a child that has ended: 0 with *code = exit code or -signal
// and, if usage is not NULL, its use of resources. MP_EAGAIN: it still runs.
// MP_ESTATUS: somebody else took it.
int mp__pidfd_reap(int pidfd, int *code, struct rusage *usage);

#endif
