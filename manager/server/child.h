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

// Forks: 0 in the child, with the descriptor that its report goes to in *fd; or its pid, and where
// the report comes from; or -errno. The child has nothing else open that it inherited.
pid_t child_begin(int *fd);

// Takes the report, waiting for it up to ms. 0: it is ready; or what it reported; MP_ETIMEDOUT,
// MP_EBROKEN (it ended without one).
int child_hear(int fd, int ms, struct child_report *report);

// Both: the pid, once it is ready; or an error, and it has ended.
pid_t child_fork(int *fd, struct child_report *report);

#define CHILD_READY_MS 20000

// In the child: tells. False: nobody is there to hear it.
bool child_tell(int fd, const struct child_report *report);

#endif
