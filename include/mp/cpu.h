// SPDX-License-Identifier: MIT
//
// How many CPUs this process may use.
#ifndef MP_CPU_H
#define MP_CPU_H

#include <mp/base.h>

#ifdef __cplusplus
extern "C" {
#endif

// The CPUs this process may use: those of its affinity mask, less where the CPU
// quota of its control group (v1 or v2, its own and those above it) is lower,
// rounded up; at least 1. MP_CPUS=n in the environment overrides it. Looked up
// anew at each call, in several files: about 0.1 ms. Since 0.1.
MP_API int mp_cpu_count(void);

#ifdef __cplusplus
}
#endif
#endif
