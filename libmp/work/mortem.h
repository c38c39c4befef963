// SPDX-License-Identifier: MIT
//
// What is known of the end of a worker, beside its exit code: what its crash looked like from
// inside, how much memory it had, whether the kernel was killing for want of memory.
//
// A worker that crashes writes down signal, address and the calls that led there, by a signal
// handler of its own (workers only; a handler that a task installs takes its place), and dies
// of the signal all the same. The supervisor adds what it sees from outside. Both write
// numbers; names are found, and sentences made, in the caller, whose code lies at the same
// addresses.
#ifndef MP_WORK_MORTEM_H
#define MP_WORK_MORTEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP__FRAMES     24
#define MP__NO_ADDRESS UINT64_MAX

// In a worker's place: of the present worker. Also what a task gone wild may write to.
struct mp__crash {
    _Atomic int32_t signal; // 0: none
    _Atomic uint32_t frames;
    uint64_t address; // that it meant; MP__NO_ADDRESS where the signal does not tell
    uintptr_t frame[MP__FRAMES];
};

struct mp__mortem {
    int32_t pid, code; // exit code, or -signal
    uint64_t peak;     // bytes of memory that it had at most; 0: not known
    bool oom;          // the kernel killed for want of memory meanwhile
    struct mp__crash crash;
};

#define MP__MORTEMS 64 // the last ones, in the memory of the pool

struct mp__mortems {
    _Atomic uint32_t count; // number n, counted from 1, is at n % MP__MORTEMS
    struct {
        _Atomic uint32_t number;
        struct mp__mortem of;
    } entry[MP__MORTEMS];
};

// ---- a worker ----

// From here on a crash of this process is written there.
void mp__crash_watch(struct mp__crash *c);

// ---- the supervisor ----

// Enters one, and returns its number. A crash that the worker had begun to write down tells
// the true signal.
uint32_t mp__mortem_enter(struct mp__mortems *all, const struct mp__mortem *m);

// ---- the caller ----

// Copies number n; if that is gone, pid and code are all that is known.
struct mp__mortem mp__mortem_find(const struct mp__mortems *all, uint32_t n, int pid, int code);

// "worker 12 was killed by signal 9 (Killed), had 3.1 MiB at most". Returns its length.
int mp__mortem_text(const struct mp__mortem *m, char *buf, size_t size);

// Once in a process that will fork workers: what finding the calls of a crash needs is loaded
// before, and not in the crash.
void mp__mortem_prepare(void);

#endif
