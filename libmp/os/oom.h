// SPDX-License-Identifier: MIT
//
// The kernel's killing for want of memory, which is but a SIGKILL to who is killed.
#ifndef MP_OS_OOM_H
#define MP_OS_OOM_H

#include <stdint.h>

// How many processes it has killed so far on this machine, whatever the limit that was
// reached; -1 where it does not tell. Takes no lock and no memory.
int64_t mp__oom_kills(void);

#endif
