// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <limits.h>
#include <mp/event.h>
#include <mp/rwlock.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define MANY 15000 // ms: longer than any of this takes

// What the lock guards: two numbers that are equal whenever nobody writes.
struct guarded {
    mp_rwlock *rw;
    volatile uint64_t a, b;
    _Atomic int readers, most_readers, steps;
};

static struct guarded *g;

static void make(void)
{
    g = mmap(NULL, sizeof *g, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(g, MAP_FAILED);
    mp_assert_ok(mp_rwlock_new(&g->rw, NULL));
}

static void end(void)
{
    mp_rwlock_free(g->rw);
    munmap(g, sizeof *g);
}

static void reap_ok(void)
{
    int status, failed = 0;
    while (wait(&status) > 0)
        failed += status != 0;
    ck_assert_int_eq(failed, 0);
}

static int try_both(void *arg)
{
    int *want = arg;
    int r = mp_rwlock_acquire_read(g->rw, 0), w;
    if (r == 0)
        mp_rwlock_release_read(g->rw);
    w = mp_rwlock_acquire_write(g->rw, 0);
    if (w == 0)
        mp_rwlock_release_write(g->rw);
    if (r != want[0] || w != want[1])
        dprintf(2, "read: %s, write: %s\n", mp_err_name(r), mp_err_name(w));
    return r != want[0] || w != want[1];
}

// What another process gets that tries.
static void others_get(int read, int write)
{
    ck_assert_int_eq(mptest_in_child(try_both, (int[]){read, write}), 0);
}

MP_TEST(many_read_or_one_writes)
{
    make();
    others_get(0, 0);
    mp_assert_ok(mp_rwlock_acquire_read(g->rw, 0));
    others_get(0, MP_ETIMEDOUT);
    mp_assert_ok(mp_rwlock_acquire_read(g->rw, MP_FOREVER)); // nobody waits to write
    mp_assert_ok(mp_rwlock_release_read(g->rw));
    others_get(0, MP_ETIMEDOUT);
    mp_assert_err(mp_rwlock_acquire_write(g->rw, 60), MP_ETIMEDOUT); // no upgrade
    others_get(0, MP_ETIMEDOUT); // the readers were let in again
    mp_assert_ok(mp_rwlock_release_read(g->rw));
    mp_assert_ok(mp_rwlock_acquire_write(g->rw, MP_FOREVER));
    others_get(MP_ETIMEDOUT, MP_ETIMEDOUT);
    mp_assert_ok(mp_rwlock_release_write(g->rw));
    others_get(0, 0);
    end();
}

static int release_what_is_not_held(void *arg)
{
    (void)arg;
    return mp_rwlock_release_write(g->rw) != MP_ENOTHELD ||
           mp_rwlock_release_read(g->rw) != MP_ENOTHELD;
}

static void *release_in_thread(void *arg)
{
    _Atomic int *r = arg;
    atomic_store(r, mp_rwlock_release_write(g->rw));
    return NULL;
}

MP_TEST(release_by_who_does_not_hold)
{
    make();
    pthread_t t;
    _Atomic int r;
    mp_assert_err(mp_rwlock_release_read(g->rw), MP_ENOTHELD);
    mp_assert_err(mp_rwlock_release_write(g->rw), MP_ENOTHELD);
    mp_assert_err(mp_rwlock_consistent(g->rw), MP_ENOTHELD);
    mp_assert_ok(mp_rwlock_acquire_read(g->rw, 0));
    mp_assert_err(mp_rwlock_release_write(g->rw), MP_ENOTHELD);
    ck_assert_int_eq(mptest_in_child(release_what_is_not_held, NULL), 0);
    mp_assert_ok(mp_rwlock_release_read(g->rw));
    mp_assert_err(mp_rwlock_release_read(g->rw), MP_ENOTHELD);
    mp_assert_ok(mp_rwlock_acquire_write(g->rw, 0));
    mp_assert_err(mp_rwlock_release_read(g->rw), MP_ENOTHELD);
    ck_assert_int_eq(mptest_in_child(release_what_is_not_held, NULL), 0);
    ck_assert_int_eq(pthread_create(&t, NULL, release_in_thread, (void *)&r), 0);
    pthread_join(t, NULL);
    mp_assert_err(atomic_load(&r), MP_ENOTHELD); // another thread of the same process
    mp_assert_err(mp_rwlock_acquire_write(g->rw, MP_FOREVER), MP_EHELD);
    mp_assert_err(mp_rwlock_acquire_read(g->rw, MP_FOREVER), MP_EHELD);
    mp_assert_err(mp_rwlock_consistent(g->rw), MP_ESTATE); // nobody died
    mp_assert_ok(mp_rwlock_release_write(g->rw));
    others_get(0, 0);
    end();
}

MP_TEST(bad_arguments)
{
    mp_rwlock *rw = (void *)&rw;
    mp_event *e;
    mp_arena *a;
    mp_assert_err(mp_rwlock_new(NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_rwlock_attach(NULL, "x"), MP_EINVAL);
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_err(mp_rwlock_new(&rw, &(mp_rwlock_opts){.arena = a, .name = "x"}), MP_EINVAL);
    ck_assert_ptr_null(rw);
    mp_assert_ok(mp_event_new(&e, NULL));
    mp_rwlock *const wrong[] = {NULL, (mp_rwlock *)(void *)e};
    for (int i = 0; i < 2; i++) {
        mp_assert_err(mp_rwlock_acquire_read(wrong[i], 0), MP_EINVAL);
        mp_assert_err(mp_rwlock_acquire_write(wrong[i], 0), MP_EINVAL);
        mp_assert_err(mp_rwlock_release_read(wrong[i]), MP_EINVAL);
        mp_assert_err(mp_rwlock_release_write(wrong[i]), MP_EINVAL);
        mp_assert_err(mp_rwlock_consistent(wrong[i]), MP_EINVAL);
        mp_assert_err(mp_rwlock_dead_owner(wrong[i]), MP_EINVAL);
        mp_rwlock_free(wrong[i]);
    }
    mp_assert_ok(mp_rwlock_new(&rw, &(mp_rwlock_opts){.arena = a}));
    static const int negative[] = {-2, INT_MIN};
    for (int i = 0; i < 2; i++) {
        mp_assert_err(mp_rwlock_acquire_read(rw, negative[i]), MP_EINVAL);
        mp_assert_err(mp_rwlock_acquire_write(rw, negative[i]), MP_EINVAL);
    }
    ck_assert_int_eq(mp_rwlock_dead_owner(rw), 0);
    mp_rwlock_free(rw);
    mp_assert_err(mp_rwlock_acquire_read(rw, 0), MP_EINVAL); // after free
    mp_rwlock_free(rw);
    mp_event_free(e);
    mp_arena_delete(a);
}

static void read_some(void)
{
    for (int i = 0; i < 3000; i++) {
        mptest_require(mp_rwlock_acquire_read(g->rw, MANY) == 0);
        int n = atomic_fetch_add(&g->readers, 1) + 1, most = atomic_load(&g->most_readers);
        while (n > most && !atomic_compare_exchange_weak(&g->most_readers, &most, n))
            ;
        uint64_t a = g->a;
        mptest_require(a == g->b);
        atomic_fetch_sub(&g->readers, 1);
        mptest_require(mp_rwlock_release_read(g->rw) == 0);
    }
}

static void write_some(void)
{
    for (int i = 0; i < 1000; i++) {
        mptest_require(mp_rwlock_acquire_write(g->rw, MANY) == 0);
        mptest_require(atomic_load(&g->readers) == 0);
        g->a++;
        mptest_require(g->b + 1 == g->a);
        g->b++;
        mptest_require(mp_rwlock_release_write(g->rw) == 0);
    }
}

static void *reader_thread(void *arg)
{
    read_some();
    return arg;
}

static void mixed(int i)
{
    pthread_t t;
    mptest_require(pthread_create(&t, NULL, reader_thread, NULL) == 0);
    if (i % 2)
        write_some();
    else
        read_some();
    pthread_join(t, NULL);
}

MP_TEST_TIMEOUT(readers_and_writers_in_processes_and_threads, 60)
{
    make();
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            mixed(i);
            _exit(0);
        }
    reap_ok();
    ck_assert_uint_eq(g->a, 2000);
    ck_assert_uint_eq(g->b, 2000);
    end();
}

static int reader_gets(void *want)
{
    return mp_rwlock_acquire_read(g->rw, 0) != *(int *)want;
}

// While a writer waits, new readers do too; so a stream of readers does not keep it out.
MP_TEST(writers_come_first)
{
    make();
    mp_assert_ok(mp_rwlock_acquire_read(g->rw, 0));
    pid_t writer = fork();
    if (writer == 0) {
        mptest_require(mp_rwlock_acquire_write(g->rw, MANY) == 0);
        atomic_store(&g->steps, 1);
        mptest_require(mp_rwlock_release_write(g->rw) == 0);
        _exit(0);
    }
    ck_assert(mptest_eventually(mptest_in_child(reader_gets, &(int){MP_ETIMEDOUT}) == 0, 10000));
    ck_assert_int_eq(atomic_load(&g->steps), 0);
    mp_assert_ok(mp_rwlock_release_read(g->rw));
    mp_assert_ok(mp_rwlock_acquire_read(g->rw, MANY));
    ck_assert_int_eq(atomic_load(&g->steps), 1);
    mp_assert_ok(mp_rwlock_release_read(g->rw));
    reap_ok();
    end();
}

static void *wait_to_write(void *rw)
{
    static int r;
    r = mp_rwlock_acquire_write(rw, MANY);
    return &r;
}

MP_TEST(freed_under_a_waiter)
{
    mp_arena *a;
    mp_rwlock *rw;
    pthread_t t;
    void *r;
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_ok(mp_rwlock_new(&rw, &(mp_rwlock_opts){.arena = a}));
    mp_assert_ok(mp_rwlock_acquire_read(rw, 0));
    ck_assert_int_eq(pthread_create(&t, NULL, wait_to_write, rw), 0);
    usleep(20000); // lets it wait
    mp_rwlock_free(rw);
    pthread_join(t, &r);
    ck_assert_msg(*(int *)r == MP_ECLOSED || *(int *)r == MP_EINVAL, "%s", mp_err_name(*(int *)r));
    mp_arena_delete(a);
}
