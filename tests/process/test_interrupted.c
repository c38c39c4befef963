// SPDX-License-Identifier: MIT
//
// Waits under a storm of signals whose handler restarts nothing: none ends early, none
// takes longer than it may, and what is waited for is seen.
#include "crew.h"

#include <mp/barrier.h>
#include <mp/event.h>
#include <mp/rwlock.h>
#include <mp/semaphore.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <time.h>

#define SHORT 100   // ms: a wait in vain
#define MANY  15000 // ms: longer than any of this takes

static mp_semaphore *semaphore, *robust;
static mp_event *event;
static mp_barrier *barrier;
static mp_rwlock *rwlock;

static int wait_semaphore(int timeout_ms)
{
    return mp_semaphore_acquire(semaphore, timeout_ms);
}

static int wait_robust(int timeout_ms)
{
    return mp_semaphore_acquire(robust, timeout_ms);
}

static int wait_event(int timeout_ms)
{
    return mp_event_wait(event, timeout_ms);
}

static int wait_barrier(int timeout_ms)
{
    int r = mp_barrier_wait(barrier, timeout_ms);
    if (r == MP_ETIMEDOUT)
        mp_barrier_reset(barrier);
    return r;
}

static int wait_to_read(int timeout_ms)
{
    int r = mp_rwlock_acquire_read(rwlock, timeout_ms);
    return r < 0 ? r : mp_rwlock_release_read(rwlock);
}

static int wait_to_write(int timeout_ms)
{
    int r = mp_rwlock_acquire_write(rwlock, timeout_ms);
    return r < 0 ? r : mp_rwlock_release_write(rwlock);
}

static int (*const waits[])(int) = {wait_semaphore, wait_robust,  wait_event,
                                    wait_barrier,   wait_to_read, wait_to_write};
#define N_WAITS (sizeof waits / sizeof *waits)

static void make_all(void)
{
    mp_assert_ok(mp_semaphore_new(&semaphore, 0, NULL));
    mp_assert_ok(mp_semaphore_new(&robust, 0, &(mp_semaphore_opts){.robust = true}));
    mp_assert_ok(mp_event_new(&event, NULL));
    mp_assert_ok(mp_barrier_new(&barrier, 2, NULL));
    mp_assert_ok(mp_rwlock_new(&rwlock, NULL));
    mp_assert_ok(mp_rwlock_acquire_write(rwlock, 0)); // in the main process
}

static void release_all(void)
{
    mp_assert_ok(mp_semaphore_release(semaphore));
    mp_assert_ok(mp_semaphore_release(robust));
    mp_assert_ok(mp_event_set(event));
    ck_assert_int_ge(mp_barrier_wait(barrier, MANY), 0);
    mp_assert_ok(mp_rwlock_release_write(rwlock));
}

static void free_all(void)
{
    mp_semaphore_free(semaphore);
    mp_semaphore_free(robust);
    mp_event_free(event);
    mp_barrier_free(barrier);
    mp_rwlock_free(rwlock);
}

static _Atomic unsigned interruptions;

static void on_alarm(int sig)
{
    (void)sig;
    atomic_fetch_add(&interruptions, 1);
}

static void storm(void)
{
    struct sigaction sa = {.sa_handler = on_alarm}; // no SA_RESTART
    struct itimerval every = {{0, 200}, {0, 200}};
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void wait_in_vain(void *arg)
{
    int (*wait)(int) = *(int (*const *)(int))arg;
    storm();
    double from = seconds();
    mptest_require(wait(SHORT) == MP_ETIMEDOUT);
    double took = seconds() - from;
    mptest_require(took >= SHORT / 1e3 - 0.001 && took < 10);
    mptest_require(atomic_load(&interruptions) > 10);
}

MP_TEST(no_wait_ends_early_or_late)
{
    make_all();
    for (size_t i = 0; i < N_WAITS; i++)
        crew_must_end(crew_start(wait_in_vain, (void *)&waits[i]), 15000);
    free_all();
}

static void wait_for_it(void *arg)
{
    int (*wait)(int) = *(int (*const *)(int))arg;
    storm();
    mptest_require(wait(MANY) >= 0);
}

MP_TEST(what_is_waited_for_is_seen)
{
    pid_t pid[N_WAITS];
    make_all();
    for (size_t i = 0; i < N_WAITS; i++)
        pid[i] = crew_start(wait_for_it, (void *)&waits[i]);
    usleep(50000); // lets them be interrupted in their sleep
    release_all();
    for (size_t i = 0; i < N_WAITS; i++)
        crew_must_end(pid[i], 15000);
    free_all();
}
