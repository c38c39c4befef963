// SPDX-License-Identifier: MIT
//
// A lock, a reentrant lock, a condition and a semaphore, each acquired by one thread as a block
// (MP_WITH) and by another one directly.
#include "seed.h"

static mp_lock *lock;
static mp_rlock *rlock;
static mp_condition *condition;
static mp_semaphore *semaphore;

static void say(const char *what, const char *how)
{
    printf("(%s) %s acquired %s\n", mp_thread_name(mp_thread_current()), what, how);
}

static int lock_by_with(void *arg)
{
    (void)arg;
    MP_WITH(lock) {
        say("lock", "via with");
    }
    return mp_with_error();
}

static int lock_directly(void *arg)
{
    (void)arg;
    must(mp_lock_acquire(lock, MP_FOREVER), "lock");
    say("lock", "directly");
    return mp_lock_release(lock);
}

static int rlock_by_with(void *arg)
{
    (void)arg;
    MP_WITH(rlock) {
        say("rlock", "via with");
    }
    return mp_with_error();
}

static int rlock_directly(void *arg)
{
    (void)arg;
    must(mp_rlock_acquire(rlock, MP_FOREVER), "rlock");
    say("rlock", "directly");
    return mp_rlock_release(rlock);
}

static int condition_by_with(void *arg)
{
    (void)arg;
    MP_WITH(condition) {
        say("condition", "via with");
    }
    return mp_with_error();
}

static int condition_directly(void *arg)
{
    (void)arg;
    must(mp_condition_acquire(condition, MP_FOREVER), "condition");
    say("condition", "directly");
    return mp_condition_release(condition);
}

static int semaphore_by_with(void *arg)
{
    (void)arg;
    MP_WITH(semaphore) {
        say("semaphore", "via with");
    }
    return mp_with_error();
}

static int semaphore_directly(void *arg)
{
    (void)arg;
    must(mp_semaphore_acquire(semaphore, MP_FOREVER), "semaphore");
    say("semaphore", "directly");
    return mp_semaphore_release(semaphore);
}

int main(void)
{
    mp_thread_fn *const fn[] = {
        lock_by_with,      lock_directly,      rlock_by_with,     rlock_directly,
        condition_by_with, condition_directly, semaphore_by_with, semaphore_directly,
    };
    mp_thread *thread[8];
    must(mp_lock_new(&lock, NULL), "lock");
    must(mp_rlock_new(&rlock, NULL), "rlock");
    must(mp_condition_new(&condition, NULL), "condition");
    must(mp_semaphore_new(&semaphore, 1, NULL), "semaphore");
    for (int i = 0; i < 8; i++)
        must(mp_thread_start(&thread[i], fn[i], NULL, NULL), "thread");
    for (int i = 0; i < 8; i++) {
        must(mp_thread_join(thread[i], MP_FOREVER), "join");
        mp_thread_free(thread[i]);
    }
    mp_semaphore_free(semaphore);
    mp_condition_free(condition);
    mp_rlock_free(rlock);
    mp_lock_free(lock);
    return 0;
}
