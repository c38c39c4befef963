// SPDX-License-Identifier: MIT
#include "os/loader.h"
#include "os/fork.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void mp__loader_lock(void)
{
    pthread_mutex_lock(&lock);
}

void mp__loader_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

MP__FORK_HOOKS(MP__HOOKS_CODE) static void set_hooks(void)
{
    pthread_atfork(mp__loader_lock, mp__loader_unlock, mp__loader_unlock);
}
