// SPDX-License-Identifier: MIT
//
// futex(2) on words in shared memory. Waits take an absolute deadline and may
// end for no reason: callers look again.
#ifndef MP_OS_FUTEX_H
#define MP_OS_FUTEX_H

#include "base/clock.h"
#include <mp/error.h>

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

// No sleep on shared memory is longer than this: who should have woken us, or whoever we
// wait for, may have been killed, and nobody is told. So each wait looks again so often.
#define MP__LOOK_NS INT64_C(50000000)

// Sleeps while *word is `seen`. 0: woken, changed, or interrupted; MP_ETIMEDOUT.
static inline int mp__futex_wait(_Atomic uint32_t *word, uint32_t seen, mp__deadline d)
{
    struct timespec t = {d / 1000000000, d % 1000000000};
    // WAIT_BITSET takes an absolute time, so that an interrupted wait is not prolonged.
    long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, d == MP__NEVER ? NULL : &t, NULL,
                     FUTEX_BITSET_MATCH_ANY);
    return r < 0 && errno == ETIMEDOUT ? MP_ETIMEDOUT : 0;
}

// Wakes up to n sleepers (INT_MAX: all); returns how many it woke.
static inline int mp__futex_wake(_Atomic uint32_t *word, int n)
{
    return (int)syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
}

#endif
