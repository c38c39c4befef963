// SPDX-License-Identifier: MIT
//
// Who sleeps on a word in shared memory? A waker wants to know, since a wake-up is a system
// call and mostly there is nobody to wake. A plain count does not do: one who is killed in
// its sleep is never taken off, and every wake-up from then on is paid for nobody. But no
// sleep is longer than MP__LOOK_NS, so the count goes with the time at which the last of
// those it counts looks again, both in one word. When that is past, who is still counted is
// dead, and the count is void.
//
// One that overslept, for it had no CPU, may find its count void and take another's off,
// who then is not woken. As after every other accident, that one looks by itself.
#ifndef MP_SHM_SLEEPERS_H
#define MP_SHM_SLEEPERS_H

#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// Part of an object; zeroed is nobody.
struct mp__sleepers {
    _Atomic uint64_t counted; // time << 24 | count; 0: nobody
};

// Waits while *word is `seen`: spins, then sleeps, at most MP__LOOK_NS. 0: look again;
// MP_ETIMEDOUT: d is over.
int mp__sleepers_wait(struct mp__sleepers *s, _Atomic uint32_t *word, uint32_t seen,
                      mp__deadline d);

// Whether anybody may be asleep. Between the change of the word and this there is a full
// fence, or the change is itself sequentially consistent.
bool mp__sleepers_any_slow(struct mp__sleepers *s);
static inline bool mp__sleepers_any(struct mp__sleepers *s)
{
    return atomic_load(&s->counted) != 0 && mp__sleepers_any_slow(s);
}

// Wakes up to n of those who sleep on the word, after such a change.
void mp__sleepers_wake_slow(_Atomic uint32_t *word, int n);
static inline void mp__sleepers_wake(struct mp__sleepers *s, _Atomic uint32_t *word, int n)
{
    if (mp__sleepers_any(s))
        mp__sleepers_wake_slow(word, n);
}

#endif
