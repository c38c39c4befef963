// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <errno.h>
#include <limits.h>
#include <mp/barrier.h>
#include <mp/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define MANY 15000 // ms: longer than any of this takes

// What parties share with the test. Its counters are those of the test at hand.
struct shared {
    mp_barrier *b;
    _Atomic int count[4];
    _Atomic int per_round[1000];
};

static struct shared *sh;

static void make(unsigned parties)
{
    sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(sh, MAP_FAILED);
    mp_assert_ok(mp_barrier_new(&sh->b, parties, NULL));
}

static void end(void)
{
    mp_barrier_free(sh->b);
    munmap(sh, sizeof *sh);
}

static void start(int n, void (*party)(int))
{
    for (int i = 0; i < n; i++)
        if (fork() == 0) {
            party(i);
            _exit(0);
        }
}

static void reap_ok(void)
{
    int status, failed = 0;
    while (wait(&status) > 0)
        failed += status != 0;
    ck_assert_int_eq(failed, 0);
}

// Nobody goes on before all are there; each index comes once a round.
static void many_rounds(int i)
{
    (void)i;
    for (int round = 0; round < 500; round++) {
        atomic_fetch_add(&sh->per_round[round], 1);
        int index = mp_barrier_wait(sh->b, MANY);
        mptest_require(index >= 0 && index < 4);
        mptest_require(atomic_load(&sh->per_round[round]) == 4);
        atomic_fetch_add(&sh->count[index], 1);
    }
}

MP_TEST_TIMEOUT(all_wait_for_all_round_after_round, 60)
{
    make(4);
    start(4, many_rounds);
    reap_ok();
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(sh->count[i], 500);
    ck_assert_int_eq(mp_barrier_n_waiting(sh->b), 0);
    ck_assert(!mp_barrier_broken(sh->b));
    end();
}

static void *many_rounds_in_thread(void *arg)
{
    many_rounds(0);
    return arg;
}

static void two_threads(int i)
{
    pthread_t t;
    (void)i;
    mptest_require(pthread_create(&t, NULL, many_rounds_in_thread, NULL) == 0);
    many_rounds(0);
    pthread_join(t, NULL);
}

MP_TEST_TIMEOUT(threads_are_parties_too, 60)
{
    make(4);
    start(2, two_threads);
    reap_ok();
    ck_assert_int_eq(sh->count[0], 500);
    end();
}

// More than there are parties: rounds follow each other, and nobody is in two.
static void one_of_many(int i)
{
    (void)i;
    for (int index; (index = mp_barrier_wait(sh->b, MANY)) != MP_EBARRIER;) {
        mptest_require(index == 0 || index == 1);
        atomic_fetch_add(&sh->count[index], 1);
    }
}

MP_TEST_TIMEOUT(more_come_than_there_are_parties, 60)
{
    make(2);
    start(5, one_of_many);
    ck_assert(mptest_eventually(atomic_load(&sh->count[1]) >= 1000, 40000));
    mp_assert_ok(mp_barrier_abort(sh->b));
    reap_ok();
    // One that slept through many rounds until the abort cannot tell how its own ended.
    ck_assert_int_le(sh->count[0], sh->count[1]);
    ck_assert_int_le(sh->count[1] - sh->count[0], 5);
    end();
}

static int count_action(void *arg)
{
    mptest_require(mp_barrier_n_waiting(sh->b) == 4);
    int round = atomic_fetch_add((_Atomic int *)arg, 1);
    mptest_require(atomic_load(&sh->per_round[round]) == 4);
    usleep(100);
    atomic_fetch_add(&sh->count[1], 1);
    return 0;
}

static void rounds_with_action(int i)
{
    (void)i;
    for (int round = 0; round < 100; round++) {
        atomic_fetch_add(&sh->per_round[round], 1);
        mptest_require(mp_barrier_wait_action(sh->b, MANY, count_action, &sh->count[0]) >= 0);
        mptest_require(atomic_load(&sh->count[1]) > round); // it ended before anybody went on
    }
}

MP_TEST(the_action_runs_once_before_anybody_goes_on)
{
    make(4);
    start(4, rounds_with_action);
    reap_ok();
    ck_assert_int_eq(sh->count[0], 100);
    ck_assert_int_eq(sh->count[1], 100);
    end();
}

static int refuse(void *arg)
{
    (void)arg;
    return MP_ETASK;
}

static void failing(int i)
{
    (void)i;
    int r = mp_barrier_wait_action(sh->b, MANY, refuse, NULL);
    mptest_require(r == MP_ETASK || r == MP_EBARRIER);
    atomic_fetch_add(&sh->count[r == MP_ETASK], 1);
}

MP_TEST(a_failing_action_breaks_it)
{
    make(3);
    start(3, failing);
    reap_ok();
    ck_assert_int_eq(sh->count[0], 2);
    ck_assert_int_eq(sh->count[1], 1);
    ck_assert(mp_barrier_broken(sh->b));
    mp_assert_err(mp_barrier_wait(sh->b, 0), MP_EBARRIER);
    mp_assert_ok(mp_barrier_reset(sh->b));
    ck_assert(!mp_barrier_broken(sh->b));
    end();
}

static int abort_it(void *arg)
{
    (void)arg;
    return mp_barrier_abort(sh->b);
}

MP_TEST(one_party_alone)
{
    make(1);
    for (int i = 0; i < 1000; i++)
        mp_assert_err(mp_barrier_wait(sh->b, 0), 0);
    ck_assert_int_eq(mp_barrier_parties(sh->b), 1);
    mp_assert_err(mp_barrier_wait_action(sh->b, 0, refuse, NULL), MP_ETASK);
    mp_assert_err(mp_barrier_wait(sh->b, 0), MP_EBARRIER);
    mp_assert_ok(mp_barrier_reset(sh->b));
    mp_assert_err(mp_barrier_wait_action(sh->b, 0, abort_it, NULL), MP_EBARRIER);
    mp_assert_ok(mp_barrier_reset(sh->b));
    mp_assert_err(mp_barrier_wait(sh->b, 0), 0);
    end();
}

static void wait_for_break(int i)
{
    (void)i;
    mptest_require(mp_barrier_wait(sh->b, MANY) == MP_EBARRIER);
    atomic_fetch_add(&sh->count[0], 1);
}

static void pass(int i)
{
    (void)i;
    mptest_require(mp_barrier_wait(sh->b, MANY) >= 0);
    atomic_fetch_add(&sh->count[1], 1);
}

MP_TEST(abort_breaks_it_for_all)
{
    make(5);
    start(4, wait_for_break);
    ck_assert(mptest_eventually(mp_barrier_n_waiting(sh->b) == 4, 10000));
    mp_assert_ok(mp_barrier_abort(sh->b));
    ck_assert(mp_barrier_broken(sh->b));
    mp_assert_ok(mp_barrier_abort(sh->b));
    reap_ok();
    ck_assert_int_eq(sh->count[0], 4);
    ck_assert_int_eq(mp_barrier_n_waiting(sh->b), 0);
    mp_assert_err(mp_barrier_wait(sh->b, MANY), MP_EBARRIER);
    mp_assert_ok(mp_barrier_reset(sh->b));
    start(5, pass);
    reap_ok();
    end();
}

// Those who wait are told, and the barrier is as new, also for who comes before they woke.
MP_TEST(reset_sends_away_who_waits)
{
    make(3);
    for (int i = 0; i < 20; i++) {
        start(2, wait_for_break);
        ck_assert(mptest_eventually(mp_barrier_n_waiting(sh->b) == 2, 10000));
        mp_assert_ok(mp_barrier_reset(sh->b));
        ck_assert_int_eq(mp_barrier_n_waiting(sh->b), 0);
        ck_assert(!mp_barrier_broken(sh->b));
        reap_ok();
    }
    ck_assert_int_eq(sh->count[0], 40);
    mp_assert_ok(mp_barrier_reset(sh->b)); // of an empty one: nothing
    end();
}

// A round that tripped, then one that broke, before the first round's parties looked.
MP_TEST(each_is_told_of_its_own_round)
{
    make(2);
    for (int i = 0; i < 200; i++) {
        start(1, pass);
        ck_assert(mptest_eventually(mp_barrier_n_waiting(sh->b) == 1, 10000));
        mp_assert_err(mp_barrier_wait(sh->b, MANY), 1);
        mp_assert_ok(mp_barrier_abort(sh->b));
        mp_assert_ok(mp_barrier_reset(sh->b));
        mp_assert_err(mp_barrier_wait(sh->b, 0), MP_ETIMEDOUT);
        mp_assert_ok(mp_barrier_reset(sh->b));
        reap_ok();
    }
    ck_assert_int_eq(sh->count[1], 200);
    end();
}

MP_TEST(a_timeout_breaks_it_for_all)
{
    make(4);
    start(2, wait_for_break);
    ck_assert(mptest_eventually(mp_barrier_n_waiting(sh->b) == 2, 10000));
    mp_assert_err(mp_barrier_wait(sh->b, 60), MP_ETIMEDOUT);
    reap_ok();
    ck_assert(mp_barrier_broken(sh->b));
    mp_assert_ok(mp_barrier_reset(sh->b));
    mp_assert_err(mp_barrier_wait(sh->b, 0), MP_ETIMEDOUT); // as in Python: it breaks, too
    mp_assert_err(mp_barrier_wait(sh->b, 0), MP_EBARRIER);
    end();
}

MP_TEST(bad_arguments)
{
    mp_barrier *b = (void *)&b;
    mp_event *e;
    mp_arena *a;
    mp_assert_err(mp_barrier_new(NULL, 1, NULL), MP_EINVAL);
    mp_assert_err(mp_barrier_new(&b, 0, NULL), MP_EINVAL);
    ck_assert_ptr_null(b);
    mp_assert_err(mp_barrier_new(&b, MP_BARRIER_MAX + 1, NULL), MP_EOVERFLOW);
    mp_assert_err(mp_barrier_new(&b, UINT_MAX, NULL), MP_EOVERFLOW);
    mp_assert_err(mp_barrier_attach(NULL, "x"), MP_EINVAL);
    mp_assert_ok(mp_arena_new(&a, &(mp_arena_opts){.max = 1 << 20}));
    mp_assert_err(mp_barrier_new(&b, 1, &(mp_barrier_opts){.arena = a, .name = "x"}), MP_EINVAL);
    mp_assert_err(mp_barrier_new(&b, MP_BARRIER_MAX, &(mp_barrier_opts){.arena = a}), -ENOMEM);
    mp_assert_ok(mp_event_new(&e, NULL));
    mp_barrier *const wrong[] = {NULL, (mp_barrier *)(void *)e};
    for (int i = 0; i < 2; i++) {
        mp_assert_err(mp_barrier_wait(wrong[i], 0), MP_EINVAL);
        mp_assert_err(mp_barrier_wait_action(wrong[i], 0, refuse, NULL), MP_EINVAL);
        mp_assert_err(mp_barrier_abort(wrong[i]), MP_EINVAL);
        mp_assert_err(mp_barrier_reset(wrong[i]), MP_EINVAL);
        mp_assert_err(mp_barrier_parties(wrong[i]), MP_EINVAL);
        mp_assert_err(mp_barrier_n_waiting(wrong[i]), MP_EINVAL);
        ck_assert(mp_barrier_broken(wrong[i]));
        mp_barrier_free(wrong[i]);
    }
    mp_assert_ok(mp_barrier_new(&b, 1, &(mp_barrier_opts){.arena = a}));
    mp_assert_err(mp_barrier_wait(b, -2), MP_EINVAL);
    mp_assert_err(mp_barrier_wait(b, INT_MIN), MP_EINVAL);
    ck_assert(!mp_barrier_broken(b));
    mp_barrier_free(b);
    mp_assert_err(mp_barrier_wait(b, 0), MP_EINVAL); // after free
    mp_barrier_free(b);
    mp_event_free(e);
    mp_arena_delete(a);
}

static void *wait_long(void *b)
{
    static int r;
    r = mp_barrier_wait(b, MANY);
    return &r;
}

MP_TEST(freed_under_a_waiter)
{
    mp_arena *a;
    mp_barrier *b;
    pthread_t t;
    void *r;
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_ok(mp_barrier_new(&b, 2, &(mp_barrier_opts){.arena = a}));
    ck_assert_int_eq(pthread_create(&t, NULL, wait_long, b), 0);
    ck_assert(mptest_eventually(mp_barrier_n_waiting(b) == 1, 10000));
    mp_barrier_free(b);
    pthread_join(t, &r);
    mp_assert_err(*(int *)r, MP_ECLOSED);
    mp_arena_delete(a);
}

// A number of parties that another process damaged is not believed.
MP_TEST(damaged_memory)
{
    make(2);
    uint32_t *words = (void *)sh->b;
    size_t at = 0;
    while (words[at] != 2 || at < 8) // behind the header
        at++;
    words[at] = 0x7fffffff;
    mp_assert_err(mp_barrier_wait(sh->b, 0), MP_EFORMAT);
    words[at] = 2;
    start(2, pass);
    reap_ok();
    end();
}
