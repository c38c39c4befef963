// SPDX-License-Identifier: MIT
//
// A process forked from here that begins something, and says when it is ready, or is not.
#ifndef MP_MANAGER_SERVER_CHILD_H
#define MP_MANAGER_SERVER_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct child_report {
    int err;
    char text[300];
};

// Forks: 0 in the child, with the descriptor that its report goes to; its pid, once it is
// ready; or -errno, or what it reported, with *report. The child has nothing else open that it
// inherited.
pid_t child_fork(int *fd, struct child_report *report);

// In the child: tells. False: nobody is there to hear it.
bool child_tell(int fd, const struct child_report *report);

#endif
