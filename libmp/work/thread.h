// SPDX-License-Identifier: MIT
//
// The part of threads that only the library uses; see <mp/thread.h>.
#ifndef MP_WORK_THREAD_H
#define MP_WORK_THREAD_H

#include <mp/thread.h>

// Waits for all threads of this process that are no daemons, but the calling one: at its end.
void mp__thread_await_all(void);

// The text of mp_thread_fail() in this thread since the last call; "" if there was none. Valid
// until the next one.
const char *mp__thread_failure(void);

#endif
