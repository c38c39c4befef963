// SPDX-License-Identifier: MIT
//
// The one way to wait in libmp: spin, arm, look, sleep.
//
// Waking a sleeping process on another CPU costs some 25 us, a look at a word in
// shared memory 1 ns; so a waiter first looks for a while. How long decides
// everything, and is decided here for channels, pools and locks alike:
//
//  - a floor of 4 us, always, when more than one CPU may be used;
//  - up to 60 us (two wake-ups) while spinning pays: a score rises by 1/16 of the
//    rest with each success and falls by 1/8 with each failure. A budget that
//    only shrinks on failure is bistable: both peers learn that spinning does not
//    pay because the other one sleeps;
//  - after failures a long spin is tried again now and then, ever more seldom;
//  - by the clock, never by loop count: a pause is 4 to 140 cycles;
//  - beyond the floor it gives way (sched_yield) now and then, but not on a
//    machine where that cost a whole time slice lately;
//  - the processes of one family never spin on more CPUs than they may use;
//  - MP_SPIN=0 in the environment turns it all off.
#ifndef MP_OS_SPIN_H
#define MP_OS_SPIN_H

#include "base/clock.h"
#include "os/probe.h"
#include <mp/error.h>

#include <stdatomic.h>
#include <stdbool.h>

// The memory of one waiting place (an end of a channel, a worker). Private to
// its thread; zeroed is a good start.
struct mp__spin {
    uint16_t doubt;    // 0..65535: how badly spinning paid lately
    uint16_t failures; // in a row
    uint16_t probe_at; // failures at which the next long spin is tried
    uint16_t no_yield; // waits for which not to yield
    uint8_t slow;      // a keen one's: how many of its yields took very long lately
    uint8_t rests;     // how often that was too many
    bool off;          // never spin here
    // Always spin for long, and giving way also when enough others spin, and when that takes some
    // time: for the clients of one server, and the server. A client of eight would learn that
    // spinning does not pay, since the server is busy waking those that learnt it before.
    bool keen;
};

static inline void mp__cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

// Prepares spinning in this process and all it forks: to be called where waiting
// places are made. Cheap when done before.
void mp__spin_init(void);

// The slow parts of mp__spin_until(), by the clock.
struct mp__spin_run {
    int64_t start, end; // 0: the clock was not needed yet
    unsigned polls;
    int lease;
};
bool mp__spin_begin(struct mp__spin *s, struct mp__spin_run *run); // false: do not spin
bool mp__spin_more(struct mp__spin *s, struct mp__spin_run *run);  // false: enough
void mp__spin_end(struct mp__spin *s, struct mp__spin_run *run, bool success);

// Looks at ready(arg) for a while. Inlined with its condition, since the first
// look decides the latency.
static inline __attribute__((always_inline)) bool mp__spin_until(struct mp__spin *s,
                                                                 bool (*ready)(void *), void *arg)
{
    struct mp__spin_run run;
    if (!mp__spin_begin(s, &run))
        return ready(arg);
    bool ok = false;
    do {
        for (int i = 0; i < 32 && !(ok = ready(arg)); i++)
            mp__cpu_relax(); // 20 ns: not once after the success
    } while (!ok && mp__spin_more(s, &run));
    mp__spin_end(s, &run, ok);
    return ok;
}

// What a kind of waiting place adds: how to ask for a wake-up, how to sleep.
struct mp__waiter {
    bool (*ready)(void *arg);                // look; no side effects
    void (*arm)(void *arg);                  // raise the flag that makes the peer ring
    int (*sleep)(void *arg, mp__deadline d); // until rung, or 0 for no reason; < 0 ends the wait
};

// Spins, then: arm, full fence, look again, sleep; until ready. 0, MP_ETIMEDOUT, or
// what sleep gave. The flag stays up when the second look finds something: that
// costs a bell, and loses none.
static inline __attribute__((always_inline)) int
mp__wait_until(struct mp__spin *s, const struct mp__waiter *w, void *arg, mp__deadline d)
{
    for (;;) {
        if (w->ready(arg))
            return 0;
        if (d == 0)
            return MP_ETIMEDOUT;
        if (mp__spin_until(s, w->ready, arg))
            return 0;
        w->arm(arg);
        MP__PROBE_ARMED();
        atomic_thread_fence(memory_order_seq_cst);
        if (!MP__OMITS(MP__RECHECK) && w->ready(arg))
            return 0;
        MP__PROBE();
        int r = w->sleep(arg, d);
        if (r < 0)
            return w->ready(arg) ? 0 : r;
    }
}

#endif
