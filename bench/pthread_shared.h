// SPDX-License-Identifier: MIT
//
// A mutex of the C library's that processes share.
#ifndef BENCH_PTHREAD_SHARED_H
#define BENCH_PTHREAD_SHARED_H

#include "common.h"

#include <pthread.h>

static inline void init_shared_mutex(pthread_mutex_t *mutex, bool robust)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    if (robust)
        pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    if (pthread_mutex_init(mutex, &a))
        die("pthread_mutex_init");
    pthread_mutexattr_destroy(&a);
}

#endif
