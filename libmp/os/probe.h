// SPDX-License-Identifier: MIT
//
// Places where a test steps in: between two steps of a protocol it may lose time,
// and a step may be left out to see whether the tests notice. Lost wake-ups hide in
// windows of some nanoseconds; this is how they are opened. In the library these
// are nothing; tests/CMakeLists.txt builds the channel once more with
// MP_TEST_PROBES for the program that defines the two symbols.
#ifndef MP_OS_PROBE_H
#define MP_OS_PROBE_H

#include <stdbool.h>

enum mp__step {
    MP__NOTHING,
    MP__RECHECK,        // the second look, between raising the flag and sleeping
    MP__BELL,           // the bell after publishing
    MP__SPACE_BYTE,     // the byte after giving space back
    MP__SETTLE_RECHECK, // the second look of mp__channel_settle()
    MP__SETTLE_BELL,    // its bell for what was left behind
    MP__SLICES,         // a sleeping sender's looks without being rung
    MP__WATCH,          // leaving the socket to a sender that sleeps there
};

#ifdef MP_TEST_PROBES
void mp__probe(bool armed); // loses time; more when a flag was just raised
bool mp__probe_omits(enum mp__step step);
#define MP__PROBE()       mp__probe(false)
#define MP__PROBE_ARMED() mp__probe(true)
#define MP__OMITS(step)   mp__probe_omits(step)
#else
#define MP__PROBE()       ((void)0)
#define MP__PROBE_ARMED() ((void)0)
#define MP__OMITS(step)   false
#endif

#endif
