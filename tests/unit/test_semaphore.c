// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <limits.h>
#include <mp/event.h>
#include <mp/semaphore.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

static mp_semaphore *new_semaphore(unsigned value, unsigned bound, bool robust)
{
    mp_semaphore *s;
    mp_assert_ok(
        mp_semaphore_new(&s, value, &(mp_semaphore_opts){.bound = bound, .robust = robust}));
    return s;
}

static void count_down_and_up(bool robust)
{
    mp_semaphore *s = new_semaphore(2, 0, robust);
    ck_assert_int_eq(mp_semaphore_value(s), 2);
    mp_assert_ok(mp_semaphore_acquire(s, MP_FOREVER));
    ck_assert_int_eq(mp_semaphore_value(s), 1);
    mp_assert_ok(mp_semaphore_acquire(s, 0));
    ck_assert_int_eq(mp_semaphore_value(s), 0);
    mp_assert_err(mp_semaphore_acquire(s, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_semaphore_acquire(s, 1), MP_ETIMEDOUT);
    mp_assert_err(mp_semaphore_acquire(s, 120), MP_ETIMEDOUT); // two looks and a rest
    mp_assert_ok(mp_semaphore_release(s));
    ck_assert_int_eq(mp_semaphore_value(s), 1);
    mp_assert_ok(mp_semaphore_release_n(s, 5)); // more than were acquired: not bounded
    ck_assert_int_eq(mp_semaphore_value(s), 6);
    for (int i = 0; i < 6; i++)
        mp_assert_ok(mp_semaphore_acquire(s, INT_MAX));
    mp_assert_err(mp_semaphore_acquire(s, 0), MP_ETIMEDOUT);
    mp_semaphore_free(s);
}

MP_TEST(it_counts)
{
    count_down_and_up(false);
    count_down_and_up(true);
}

static void bounded(bool robust)
{
    mp_semaphore *s = new_semaphore(2, 3, robust);
    mp_assert_ok(mp_semaphore_release(s));
    mp_assert_err(mp_semaphore_release(s), MP_EBOUND);
    ck_assert_int_eq(mp_semaphore_value(s), 3);
    mp_assert_ok(mp_semaphore_acquire(s, 0));
    mp_assert_ok(mp_semaphore_acquire(s, 0));
    mp_assert_err(mp_semaphore_release_n(s, 3), MP_EBOUND); // all or none
    ck_assert_int_eq(mp_semaphore_value(s), 1);
    mp_assert_err(mp_semaphore_release_n(s, UINT_MAX), MP_EBOUND);
    mp_assert_ok(mp_semaphore_release_n(s, 2));
    mp_assert_err(mp_semaphore_release(s), MP_EBOUND);
    mp_semaphore_free(s);
}

MP_TEST(a_bound_is_kept)
{
    bounded(false);
    bounded(true);
}

static void huge(bool robust)
{
    mp_semaphore *s = new_semaphore(MP_SEMAPHORE_MAX, 0, robust);
    ck_assert_int_eq(mp_semaphore_value(s), INT_MAX);
    mp_assert_err(mp_semaphore_release(s), MP_EOVERFLOW);
    mp_assert_ok(mp_semaphore_acquire(s, 0));
    mp_assert_err(mp_semaphore_release_n(s, 2), MP_EOVERFLOW);
    mp_assert_ok(mp_semaphore_release(s));
    ck_assert_int_eq(mp_semaphore_value(s), INT_MAX);
    mp_semaphore_free(s);
    s = new_semaphore(0, 0, robust);
    mp_assert_ok(mp_semaphore_release_n(s, MP_SEMAPHORE_MAX));
    mp_assert_err(mp_semaphore_release_n(s, 1), MP_EOVERFLOW);
    mp_assert_err(mp_semaphore_release_n(s, UINT_MAX), MP_EOVERFLOW);
    ck_assert_int_eq(mp_semaphore_value(s), INT_MAX);
    mp_semaphore_free(s);
}

MP_TEST(values_do_not_overflow)
{
    mp_semaphore *s = (void *)&s;
    mp_assert_err(mp_semaphore_new(&s, MP_SEMAPHORE_MAX + 1, NULL), MP_EOVERFLOW);
    ck_assert_ptr_null(s);
    mp_assert_err(mp_semaphore_new(&s, 0, &(mp_semaphore_opts){.bound = UINT_MAX}), MP_EOVERFLOW);
    huge(false);
    huge(true);
}

MP_TEST(bad_arguments)
{
    mp_semaphore *s = (void *)&s;
    mp_semaphore_stats st;
    mp_event *e;
    mp_arena *a;
    mp_assert_err(mp_semaphore_new(NULL, 1, NULL), MP_EINVAL);
    mp_assert_err(mp_semaphore_new(&s, 2, &(mp_semaphore_opts){.bound = 1}), MP_EINVAL);
    ck_assert_ptr_null(s);
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_err(mp_semaphore_new(&s, 2, &(mp_semaphore_opts){.arena = a, .name = "x"}),
                  MP_EINVAL);
    mp_assert_ok(mp_event_new(&e, NULL));
    mp_semaphore *const wrong[] = {NULL, (mp_semaphore *)(void *)e};
    for (int i = 0; i < 2; i++) {
        mp_assert_err(mp_semaphore_acquire(wrong[i], 0), MP_EINVAL);
        mp_assert_err(mp_semaphore_release(wrong[i]), MP_EINVAL);
        mp_assert_err(mp_semaphore_release_n(wrong[i], 1), MP_EINVAL);
        mp_assert_err(mp_semaphore_value(wrong[i]), MP_EINVAL);
        mp_assert_err(mp_semaphore_get_stats(wrong[i], &st), MP_EINVAL);
        mp_semaphore_free(wrong[i]);
    }
    mp_assert_err(mp_semaphore_attach(NULL, "x"), MP_EINVAL);
    mp_assert_ok(mp_semaphore_new(&s, 1, &(mp_semaphore_opts){.arena = a}));
    mp_assert_err(mp_semaphore_acquire(s, -2), MP_EINVAL);
    mp_assert_err(mp_semaphore_acquire(s, INT_MIN), MP_EINVAL);
    mp_assert_err(mp_semaphore_release_n(s, 0), MP_EINVAL);
    mp_assert_err(mp_semaphore_get_stats(s, NULL), MP_EINVAL);
    ck_assert_int_eq(mp_semaphore_value(s), 1);
    mp_semaphore_free(s);
    mp_assert_err(mp_semaphore_acquire(s, 0), MP_EINVAL); // after free
    mp_semaphore_free(s);
    mp_event_free(e);
    mp_arena_delete(a);
}

static void *wait_for_unit(void *s)
{
    static int r;
    r = mp_semaphore_acquire(s, 15000);
    return &r;
}

MP_TEST(freed_under_a_waiter)
{
    mp_arena *a;
    mp_assert_ok(mp_arena_new(&a, NULL));
    for (int robust = 0; robust < 2; robust++) {
        mp_semaphore *s;
        pthread_t t;
        void *r;
        mp_assert_ok(mp_semaphore_new(&s, 0, &(mp_semaphore_opts){.arena = a, .robust = robust}));
        ck_assert_int_eq(pthread_create(&t, NULL, wait_for_unit, s), 0);
        usleep(20000); // lets it sleep: then, that it sleeps is known, and its block is kept
        mp_semaphore_free(s);
        pthread_join(t, &r);
        ck_assert_msg(*(int *)r == MP_ECLOSED || *(int *)r == MP_EINVAL, "%s",
                      mp_err_name(*(int *)r));
    }
    mp_arena_delete(a);
}

// At most k at a time, threads of several processes.

struct limit {
    mp_semaphore *s;
    _Atomic int inside, most, rounds;
};

static void *work(void *arg)
{
    struct limit *l = arg;
    for (int i = 0; i < 2000; i++) {
        mptest_require(mp_semaphore_acquire(l->s, MP_FOREVER) == 0);
        int n = atomic_fetch_add(&l->inside, 1) + 1, most = atomic_load(&l->most);
        while (n > most && !atomic_compare_exchange_weak(&l->most, &most, n))
            ;
        atomic_fetch_sub(&l->inside, 1);
        mptest_require(mp_semaphore_release(l->s) == 0);
        atomic_fetch_add(&l->rounds, 1);
    }
    return NULL;
}

static int work_in_threads(void *arg)
{
    pthread_t t[2];
    for (int i = 0; i < 2; i++)
        mptest_require(pthread_create(&t[i], NULL, work, arg) == 0);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    return 0;
}

static void check_limit(bool robust, int k)
{
    mp_arena *a;
    void *p;
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_ok(mp_arena_alloc(a, &p, 1, sizeof(struct limit)));
    struct limit *l = p;
    mp_assert_ok(
        mp_semaphore_new(&l->s, (unsigned)k,
                         &(mp_semaphore_opts){.arena = a, .bound = (unsigned)k, .robust = robust}));
    for (int i = 0; i < 3; i++)
        if (fork() == 0)
            _exit(work_in_threads(l));
    int status, failed = 0;
    while (wait(&status) > 0)
        failed += status != 0;
    ck_assert_int_eq(failed, 0);
    ck_assert_int_eq(l->rounds, 3 * 2 * 2000);
    ck_assert_int_le(l->most, k);
    ck_assert_int_eq(mp_semaphore_value(l->s), k);
    mp_semaphore_stats st;
    mp_assert_ok(mp_semaphore_get_stats(l->s, &st));
    ck_assert_uint_eq(st.held + st.lost + st.returned, 0);
    mp_semaphore_free(l->s);
    mp_arena_delete(a);
}

MP_TEST_TIMEOUT(not_more_than_k_at_a_time, 60)
{
    check_limit(false, 1);
    check_limit(false, 3);
    check_limit(true, 1);
    check_limit(true, 3);
}

static int ping(void *arg)
{
    mp_semaphore **s = arg;
    for (int i = 0; i < 1000; i++)
        if (mp_semaphore_acquire(s[0], 15000) < 0 || mp_semaphore_release(s[1]) < 0)
            return 1;
    return 0;
}

// Releasing what others acquire: as a signal.
MP_TEST(it_signals_between_processes)
{
    for (int robust = 0; robust < 2; robust++) {
        mp_semaphore *s[2] = {new_semaphore(0, 0, robust), new_semaphore(0, 0, robust)};
        pid_t pid = fork();
        if (pid == 0)
            _exit(ping(s));
        for (int i = 0; i < 1000; i++) {
            mp_assert_ok(mp_semaphore_release(s[0]));
            mp_assert_ok(mp_semaphore_acquire(s[1], 15000));
        }
        int status;
        waitpid(pid, &status, 0);
        ck_assert_int_eq(status, 0);
        mp_semaphore_free(s[0]);
        mp_semaphore_free(s[1]);
    }
}

static int acquire_two_and_exit(void *s)
{
    return mp_semaphore_acquire(s, 0) < 0 || mp_semaphore_acquire(s, 0) < 0;
}

MP_TEST(stats_tell_what_became_of_the_units)
{
    mp_semaphore_stats st;
    mp_semaphore *s = new_semaphore(5, 0, false);
    mp_assert_ok(mp_semaphore_acquire(s, 0));
    ck_assert_int_eq(mptest_in_child(acquire_two_and_exit, s), 0);
    mp_assert_ok(mp_semaphore_get_stats(s, &st));
    ck_assert_uint_eq(st.value, 2);
    ck_assert_uint_eq(st.held, 1);
    ck_assert_uint_eq(st.lost, 2);
    ck_assert_uint_eq(st.returned, 0);
    mp_assert_ok(mp_semaphore_release(s));
    mp_assert_ok(mp_semaphore_get_stats(s, &st));
    ck_assert_uint_eq(st.value, 3);
    ck_assert_uint_eq(st.held, 0);
    ck_assert_uint_eq(st.lost, 2); // told as often as asked
    mp_semaphore_free(s);
}

MP_TEST(robust_units_come_back)
{
    mp_semaphore_stats st;
    mp_semaphore *s = new_semaphore(3, 3, true);
    mp_assert_ok(mp_semaphore_acquire(s, 0));
    ck_assert_int_eq(mptest_in_child(acquire_two_and_exit, s), 0);
    mp_assert_ok(mp_semaphore_acquire(s, 0)); // at once: the dead one is reaped
    mp_assert_ok(mp_semaphore_get_stats(s, &st));
    ck_assert_uint_eq(st.value, 1);
    ck_assert_uint_eq(st.held, 2);
    ck_assert_uint_eq(st.lost, 0);
    ck_assert_uint_eq(st.returned, 2);
    mp_assert_ok(mp_semaphore_release_n(s, 2));
    mp_assert_err(mp_semaphore_release(s), MP_EBOUND);
    ck_assert_int_eq(mp_semaphore_value(s), 3);
    mp_semaphore_free(s);
}

static int release_one(void *s)
{
    return -mp_semaphore_release(s) == 0 ? 0 : 1;
}

// A robust bounded semaphore: who holds nothing has nothing to release, whatever is out.
MP_TEST(robust_release_by_one_that_holds_none)
{
    mp_semaphore *s = new_semaphore(1, 1, true);
    mp_assert_ok(mp_semaphore_acquire(s, 0));
    ck_assert_int_eq(mptest_in_child(release_one, s), 1);
    ck_assert_int_eq(mp_semaphore_value(s), 0);
    mp_assert_ok(mp_semaphore_release(s));
    mp_semaphore_free(s);
    s = new_semaphore(1, 0, true);
    mp_assert_ok(mp_semaphore_acquire(s, 0));
    ck_assert_int_eq(mptest_in_child(release_one, s), 0);
    ck_assert_int_eq(mp_semaphore_value(s), 1);
    mp_assert_ok(mp_semaphore_release(s));
    ck_assert_int_eq(mp_semaphore_value(s), 2);
    mp_semaphore_free(s);
}
