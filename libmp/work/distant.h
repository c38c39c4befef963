// SPDX-License-Identifier: MIT
//
// A pool whose supervisor is not forked from its caller, but begins by forkserver or spawn.
#ifndef MP_WORK_DISTANT_H
#define MP_WORK_DISTANT_H

#include <mp/pool.h>

// Starts the supervisor of a pool whose memory lies apart, waits until it has found
// everything, and stores its pidfd in the pool. inner as in mp_pool_opts.inner_threads.
int mp__distant_start(mp_pool *p, const mp_pool_opts *o, int inner);

// Moves the descriptor to a number that is likely free in other processes.
int mp__distant_bell(int *fd);

#endif
