// SPDX-License-Identifier: MIT
//
// The condition from inside.
#ifndef MP_SHM_CONDITION_H
#define MP_SHM_CONDITION_H

#include "shm/lock.h"

#include <mp/condition.h>

// The lock that goes with a condition; NULL if c is none, or the lock was freed.
struct mp_lock *mp__condition_lock(const mp_condition *c);

#endif
