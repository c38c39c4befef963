// SPDX-License-Identifier: MIT
//
// mp_lock and mp_rlock, in the tests of sync_test.h.
//
//   sync_libmp libmp|libmp_rlock uncontended|contended [SECONDS]
#include "sync_test.h"

#include <mp/lock.h>

static mp_lock *lock;
static mp_rlock *rlock;

static inline void take(void)
{
    if ((lock ? mp_lock_acquire(lock, MP_FOREVER) : mp_rlock_acquire(rlock, MP_FOREVER)) < 0)
        die("acquire");
}

static inline void give(void)
{
    if ((lock ? mp_lock_release(lock) : mp_rlock_release(rlock)) < 0)
        die("release");
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4)
        die("usage: %s WHO TEST [SECONDS]", argv[0]);
    bool again = strcmp(argv[1], "libmp_rlock") == 0;
    if ((again ? mp_rlock_new(&rlock, NULL) : mp_lock_new(&lock, NULL)) < 0)
        die("no lock");
    sync_test(argv[1], argv[2], seconds_from(argv[3]));
    mp_lock_free(lock);
    mp_rlock_free(rlock);
    return 0;
}
