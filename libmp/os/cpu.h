// SPDX-License-Identifier: MIT
//
// The parts of mp_cpu_count() that can be tried on a made-up machine.
#ifndef MP_OS_CPU_H
#define MP_OS_CPU_H

// CPUs of this process's affinity mask, whatever its size; at least 1.
int mp__cpu_affinity(void);

// The lowest CPU quota among this process's control group and those above it, in
// CPUs, rounded up; 0 when there is none. Files are looked for below `root`: "" for
// the real ones.
int mp__cpu_quota(const char *root);

#endif
