// SPDX-License-Identifier: MIT
#ifndef MP_OS_SPAWN_H
#define MP_OS_SPAWN_H

#include <mp/spawn.h>

// As mp_spawn(); the program also gets `keep` (from 3 on; -1: none) under the same number.
int mp__spawn_keeping(pid_t *pid, int *pidfd, char *const argv[], const mp_spawn_opts *opts,
                      int keep);

#endif
