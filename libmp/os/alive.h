// SPDX-License-Identifier: MIT
//
// Whether a process that is no child of ours is still there, without a descriptor of it.
// A pid comes again; a pid with the time of its start does not.
#ifndef MP_OS_ALIVE_H
#define MP_OS_ALIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// When that process was started, in the kernel's ticks; 0 if it is not known.
uint64_t mp__process_start_of(pid_t pid);

// Whether the process `pid` that was started at `start` (0: not known) has certainly ended;
// a zombie has. False when it cannot be told, as without descriptors. About 8 us.
bool mp__process_is_gone(pid_t pid, uint64_t start);

// How many threads this process has; 0 if it is not known.
long mp__process_threads(void);

#endif
