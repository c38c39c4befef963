// SPDX-License-Identifier: MIT
//
// Ten processes, and a lock that keeps their lines together. Nobody joins them: the end of the
// program does.
//
//   06_process_lock [SECONDS]
#include "seed.h"

#include <stdint.h>

static mp_lock *lock;
static double seconds;

static int greet(void *arg)
{
    int i = (int)(intptr_t)arg;
    pause_for(seconds);
    MP_WITH(lock) {
        printf("hello  %d\n", i);
        printf("world  %d\n", i);
        fflush(stdout); // before the next one has the lock
    }
    return mp_with_error() ? 1 : 0;
}

int main(int argc, char **argv)
{
    must(mp_runtime_init(), "runtime");
    seconds = argument(argc, argv, 1.0);
    must(mp_lock_new(&lock, NULL), "lock");
    for (intptr_t i = 0; i < 10; i++) {
        mp_process *process;
        must(mp_process_start(&process, greet, (void *)i, NULL), "process");
    }
    return 0;
}
