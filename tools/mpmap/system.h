// SPDX-License-Identifier: MIT
//
// How the system is, as the kernel tells: of our control group where it has figures of
// its own, else of all.
#ifndef MPMAP_SYSTEM_H
#define MPMAP_SYSTEM_H

enum { PRESSURE_CPU, PRESSURE_MEMORY, PRESSURE_IO, PRESSURES };

// The directory of our control group (version 2), or "".
const char *system_group(void);

// Threads that run or want to, without us.
long system_runnable(void);

// Bytes that new processes could have.
long system_memory_free(void);

// The share of the last ten seconds, in percent, in which something had to wait for it;
// 0 where the kernel does not tell.
double system_pressure(int which);

#endif
