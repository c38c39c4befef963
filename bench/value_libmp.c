// SPDX-License-Identifier: MIT
//
// mp_value, in the tests of value_test.h.
//
//   value_libmp locked|atomic|100procs [SECONDS]
#include "value_test.h"

#include <mp/process.h>
#include <mp/value.h>

#ifndef WHO
#define WHO "libmp"
#endif

static mp_value *value;
static mp_rlock *lock;
static uint64_t *number;

static inline void add_locked(void)
{
    if (mp_rlock_acquire(lock, MP_FOREVER) < 0)
        die("acquire");
    *number += 1;
    mp_rlock_release(lock);
}

static inline void add_atomic(void)
{
    mp_atomic_add(number, 1);
}

static uint64_t sum(void)
{
    return *number;
}

static int add_one(void *arg)
{
    (void)arg;
    add_locked();
    return 0;
}

static void start(struct child *c)
{
    mp_process *p;
    if (mp_process_start(&p, add_one, NULL, NULL) < 0)
        die("mp_process_start");
    c->handle = p;
}

static void join(struct child *c)
{
    int code;
    if (mp_process_join(c->handle, MP_FOREVER) < 0 || mp_process_exitcode(c->handle, &code) < 0 ||
        code)
        die("mp_process_join");
    mp_process_free(c->handle);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3)
        die("usage: %s TEST [SECONDS]", argv[0]);
    if (mp_value_new(&value, MP_UINT64, NULL, NULL) < 0)
        die("mp_value_new");
    lock = mp_value_lock(value);
    number = mp_value_ptr(value, uint64_t);
    value_test(WHO, argv[1], seconds_from(argv[2]));
    mp_value_free(value);
    return 0;
}
