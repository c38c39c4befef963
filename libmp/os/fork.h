// SPDX-License-Identifier: MIT
//
// Which process is this? Handles belong to the process that made them or was
// given them. Each handle keeps the token of its owner, and comparing it with
// the present one is a load and a compare: the token lies in a page that the
// kernel wipes in every child, however it was forked.
#ifndef MP_OS_FORK_H
#define MP_OS_FORK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// The page: 0 in a process that has no token yet. Use the functions.
extern const uint64_t *mp__fork_page;

// This process's token, made at the first call; never 0. 0 if the system has no
// memory for the page.
uint64_t mp__fork_token(void);

// This process's token, or 0 if it has none yet: two loads.
static inline uint64_t mp__fork_present(void)
{
    const uint64_t *p = __atomic_load_n(&mp__fork_page, __ATOMIC_ACQUIRE);
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

// Whether `token` is this process's.
static inline bool mp__fork_is_mine(uint64_t token)
{
    return token != 0 && mp__fork_present() == token;
}

// Fork hooks are set when the program, or the library, is loaded: one that came with the first
// use could come in the middle of another thread's fork, which would then run a half of it. They
// are run in the reverse order before a fork, so that locks are taken as they are nested:
// what may be called under a lock has a lower number.
#define MP__FORK_HOOKS(order) __attribute__((constructor(200 + (order))))
enum {
    MP__HOOKS_CODE,
    MP__HOOKS_ARENAS,
    MP__HOOKS_PIPES,
    MP__HOOKS_PROXY,
    MP__HOOKS_LISTENERS,
    MP__HOOKS_FAMILY,
    MP__HOOKS_FUNCTIONS,
    MP__HOOKS_THREADS,
    MP__HOOKS_POOLS,
    MP__HOOKS_MONITORS,
    MP__HOOKS_FORKSERVER,
    MP__HOOKS_SESSIONS, // with a manager: those above libmp
    MP__HOOKS_MANAGER,
};

// fork() with stdout and stderr flushed before, so that what waits in their
// buffers is not written twice. The child gets a token of its own. Returns the
// pid, 0 in the child, or -errno.
pid_t mp__fork(void);

// The end of a forked child: flushes stdout and stderr, then _exit().
_Noreturn void mp__fork_exit(int code);

#endif
