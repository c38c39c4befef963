// SPDX-License-Identifier: MIT
#include "os/spin.h"

#include <mp/cpu.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#define FLOOR_NS      4000
#define MAX_NS        60000
#define DOUBT_MAX     65535
#define DOUBT_HIGH    (DOUBT_MAX / 2)
#define PROBE_FIRST   16
#define PROBE_LAST    1024
#define SLOW_YIELD_NS 100000
#define YIELD_REST    10000 // waits without a yield after a slow one
#define KEEN_SLOW_NS  1000000
#define KEEN_SLOW     4  // such a yield weighs as much as so many others
#define KEEN_TOO_SLOW 20 // a stranger has the CPU
#define KEEN_REST     64 // the first rest then; each further one is twice as long
#define KEEN_RESTS    9
#define LEASES_MAX    64

// Who spins beyond the floor holds a lease: a slot with the time at which it ends
// by itself, so that a killed spinner frees its own. One page for all processes
// forked from here on.
static _Atomic int64_t *leases;
static int n_leases;
static int cpus; // that may be used; 0: do not spin
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init(void)
{
    const char *off = getenv("MP_SPIN");
    if (off && off[0] == '0' && !off[1])
        return;
    cpus = mp_cpu_count();
    n_leases = cpus < LEASES_MAX ? cpus : LEASES_MAX;
    void *p = mmap(NULL, sizeof *leases * LEASES_MAX, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        n_leases = 0; // the floor only
    else
        leases = p;
}

void mp__spin_init(void)
{
    pthread_once(&once, init);
}

static int take_lease(int64_t now, int64_t end)
{
    for (int i = 0; i < n_leases; i++) {
        int64_t held = atomic_load_explicit(&leases[i], memory_order_relaxed);
        if (held < now && atomic_compare_exchange_strong(&leases[i], &held, end))
            return i;
    }
    return -1;
}

static bool long_spin_pays(const struct mp__spin *s)
{
    unsigned probe_at = s->probe_at ? s->probe_at : PROBE_FIRST;
    return s->keen || s->doubt < DOUBT_HIGH || (s->failures && s->failures % probe_at == 0);
}

bool mp__spin_begin(struct mp__spin *s, struct mp__spin_run *run)
{
    if (cpus == 0 || s->off)
        return false;
    *run = (struct mp__spin_run){.lease = -1};
    return true;
}

// Whether to give way again. To the others of a crowd it pays though it takes long: they work
// meanwhile, while eight that do not give way to each other spin most of the time. A stranger takes
// a whole time slice, and each time.
static void judge_yield(struct mp__spin *s, int64_t took)
{
    if (!s->keen) {
        if (took > SLOW_YIELD_NS)
            s->no_yield = YIELD_REST;
    } else if (took <= KEEN_SLOW_NS) {
        if (s->slow)
            s->slow--;
        else
            s->rests -= s->rests > 0;
    } else if ((s->slow += KEEN_SLOW) >= KEEN_TOO_SLOW) {
        s->slow = KEEN_TOO_SLOW - KEEN_SLOW;
        s->no_yield = (uint16_t)(KEEN_REST << s->rests);
        s->rests += s->rests < KEEN_RESTS;
    }
}

// Gives way to others that can run. False if that is not wanted now.
static bool yield(struct mp__spin *s, int64_t now)
{
    if (s->no_yield) {
        s->no_yield--;
        return false;
    }
    sched_yield();
    judge_yield(s, mp__now() - now);
    return true;
}

bool mp__spin_more(struct mp__spin *s, struct mp__spin_run *run)
{
    int64_t now = mp__now();
    if (cpus == 1) // the peer cannot run while we look: let it, a few times
        return ++run->polls <= 4 && yield(s, now);
    if (run->start == 0) { // the first looks needed no clock
        run->start = now;
        run->end = now + (long_spin_pays(s) ? MAX_NS : FLOOR_NS);
        return true;
    }
    if (now >= run->end)
        return false;
    if (now - run->start > FLOOR_NS) {
        if (run->lease < 0)
            run->lease = take_lease(now, run->end);
        if (run->lease < 0 && !s->keen)
            return false; // enough processes spin already
        if (!yield(s, now) && run->lease < 0)
            return false;
    }
    return true;
}

void mp__spin_end(struct mp__spin *s, struct mp__spin_run *run, bool success)
{
    if (run->lease >= 0) {
        int64_t mine = run->end;
        atomic_compare_exchange_strong(&leases[run->lease], &mine, 0);
    }
    if (success) {
        s->doubt -= s->doubt / 16;
        s->failures = 0;
        s->probe_at = 0;
        return;
    }
    unsigned probe_at = s->probe_at ? s->probe_at : PROBE_FIRST;
    if (s->failures && s->failures % probe_at == 0 && s->doubt >= DOUBT_HIGH) {
        s->probe_at = (uint16_t)(probe_at < PROBE_LAST ? probe_at * 2 : PROBE_LAST);
        s->failures = 0;
    }
    s->doubt += (uint16_t)((DOUBT_MAX - s->doubt) / 8);
    s->failures++;
}
