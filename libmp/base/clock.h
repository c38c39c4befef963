// SPDX-License-Identifier: MIT
//
// Time inside the library: absolute deadlines on the monotonic clock, in
// nanoseconds. Relative milliseconds exist only in public signatures and are
// turned into a deadline once, on entry.
#ifndef MP_BASE_CLOCK_H
#define MP_BASE_CLOCK_H

#include <limits.h>
#include <stdint.h>
#include <time.h>

typedef int64_t mp__deadline;
#define MP__NEVER INT64_MAX

// Nanoseconds of CLOCK_MONOTONIC. 20 ns: keep it off the fast paths.
static inline int64_t mp__now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// From a timeout in ms (-1 = never, 0 = at once).
static inline mp__deadline mp__deadline_in(int timeout_ms)
{
    if (timeout_ms < 0)
        return MP__NEVER;
    return timeout_ms ? mp__now() + (int64_t)timeout_ms * 1000000 : 0;
}

static inline int64_t mp__left_ns(mp__deadline d)
{
    if (d == MP__NEVER)
        return INT64_MAX;
    int64_t left = d ? d - mp__now() : 0;
    return left > 0 ? left : 0;
}

// For poll(2): rounded up, so that a wait never ends early and then spins;
// cut at INT_MAX, so callers loop.
static inline int mp__left_ms(mp__deadline d)
{
    if (d == MP__NEVER)
        return -1;
    int64_t ms = (mp__left_ns(d) + 999999) / 1000000;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

#endif
