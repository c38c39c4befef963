// SPDX-License-Identifier: MIT
//
// The limit for a lock between processes: the C library's mutex, robust or not.
//
//   sync_pthread c_robust|c_pthread_mutex uncontended|contended [SECONDS]
#include "sync_test.h"

#include "pthread_shared.h"

static pthread_mutex_t *mutex;

static inline void take(void)
{
    if (pthread_mutex_lock(mutex))
        die("pthread_mutex_lock");
}

static inline void give(void)
{
    pthread_mutex_unlock(mutex);
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4)
        die("usage: %s WHO TEST [SECONDS]", argv[0]);
    mutex = shared(sizeof *mutex);
    init_shared_mutex(mutex, strcmp(argv[1], "c_robust") == 0);
    sync_test(argv[1], argv[2], seconds_from(argv[3]));
    return 0;
}
