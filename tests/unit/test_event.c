// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <limits.h>
#include <mp/event.h>
#include <mp/semaphore.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

static mp_event *new_event(void)
{
    mp_event *e;
    mp_assert_ok(mp_event_new(&e, NULL));
    return e;
}

MP_TEST(set_and_clear)
{
    mp_event *e = new_event();
    ck_assert(!mp_event_is_set(e));
    mp_assert_err(mp_event_wait(e, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_event_wait(e, 120), MP_ETIMEDOUT);
    for (int i = 0; i < 2; i++) { // setting what is set changes nothing
        mp_assert_ok(mp_event_set(e));
        ck_assert(mp_event_is_set(e));
        mp_assert_ok(mp_event_wait(e, 0));
        mp_assert_ok(mp_event_wait(e, MP_FOREVER));
    }
    for (int i = 0; i < 2; i++) {
        mp_assert_ok(mp_event_clear(e));
        ck_assert(!mp_event_is_set(e));
        mp_assert_err(mp_event_wait(e, 0), MP_ETIMEDOUT);
    }
    mp_event_free(e);
}

MP_TEST(bad_arguments)
{
    mp_event *e = (void *)&e;
    mp_semaphore *s;
    mp_arena *a;
    mp_assert_err(mp_event_new(NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_event_attach(NULL, "x"), MP_EINVAL);
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_err(mp_event_new(&e, &(mp_event_opts){.arena = a, .name = "x"}), MP_EINVAL);
    ck_assert_ptr_null(e);
    mp_assert_ok(mp_semaphore_new(&s, 1, NULL));
    mp_event *const wrong[] = {NULL, (mp_event *)(void *)s};
    for (int i = 0; i < 2; i++) {
        mp_assert_err(mp_event_set(wrong[i]), MP_EINVAL);
        mp_assert_err(mp_event_clear(wrong[i]), MP_EINVAL);
        mp_assert_err(mp_event_wait(wrong[i], 0), MP_EINVAL);
        ck_assert(!mp_event_is_set(wrong[i]));
        mp_event_free(wrong[i]);
    }
    ck_assert_int_eq(mp_semaphore_value(s), 1);
    mp_assert_ok(mp_event_new(&e, &(mp_event_opts){.arena = a}));
    mp_assert_err(mp_event_wait(e, -2), MP_EINVAL);
    mp_assert_err(mp_event_wait(e, INT_MIN), MP_EINVAL);
    mp_event_free(e);
    mp_assert_err(mp_event_set(e), MP_EINVAL); // after free
    mp_assert_err(mp_event_wait(e, 0), MP_EINVAL);
    mp_event_free(e);
    mp_semaphore_free(s);
    mp_arena_delete(a);
}

static void *wait_long(void *e)
{
    static int r;
    r = mp_event_wait(e, 15000);
    return &r;
}

MP_TEST(freed_under_a_waiter)
{
    mp_arena *a;
    mp_event *e;
    pthread_t t;
    void *r;
    mp_assert_ok(mp_arena_new(&a, NULL));
    mp_assert_ok(mp_event_new(&e, &(mp_event_opts){.arena = a}));
    ck_assert_int_eq(pthread_create(&t, NULL, wait_long, e), 0);
    usleep(20000); // lets it sleep
    mp_event_free(e);
    pthread_join(t, &r);
    ck_assert_msg(*(int *)r == MP_ECLOSED || *(int *)r == MP_EINVAL, "%s", mp_err_name(*(int *)r));
    mp_arena_delete(a);
}

struct start {
    mp_event *e;
    _Atomic int waiting, gone;
};

static void *wait_for_start(void *arg)
{
    struct start *s = arg;
    atomic_fetch_add(&s->waiting, 1);
    mptest_require(mp_event_wait(s->e, 15000) == 0);
    atomic_fetch_add(&s->gone, 1);
    return NULL;
}

static int wait_in_threads(struct start *s)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        mptest_require(pthread_create(&t[i], NULL, wait_for_start, s) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    return 0;
}

static struct start *new_start(void)
{
    struct start *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(s, MAP_FAILED);
    s->e = new_event();
    return s;
}

static void end_start(struct start *s, int n)
{
    int status, failed = 0;
    while (wait(&status) > 0)
        failed += status != 0;
    ck_assert_int_eq(failed, 0);
    ck_assert_int_eq(atomic_load(&s->gone), n);
    mp_event_free(s->e);
    munmap(s, sizeof *s);
}

MP_TEST(all_go_at_once)
{
    struct start *s = new_start();
    for (int i = 0; i < 4; i++)
        if (fork() == 0)
            _exit(wait_in_threads(s));
    ck_assert(mptest_eventually(atomic_load(&s->waiting) == 16, 10000));
    ck_assert_int_eq(atomic_load(&s->gone), 0);
    mp_assert_ok(mp_event_set(s->e));
    end_start(s, 16);
}

static bool all_asleep(struct start *s, int n)
{
    if (atomic_load(&s->waiting) != n)
        return false;
    usleep(10000); // from the count to the wait are some instructions; right also if not
    return true;
}

// Python's own: a flag that goes up and down at once is missed by those who slept.
MP_TEST(a_short_pulse_reaches_all_who_wait)
{
    struct start *s = new_start();
    for (int i = 0; i < 2; i++)
        if (fork() == 0)
            _exit(wait_in_threads(s));
    ck_assert(mptest_eventually(all_asleep(s, 8), 10000));
    // Who had not come to waiting yet is served by the next. To see the flag itself they
    // would have to look within some nanoseconds.
    for (int i = 0; i < 10 && atomic_load(&s->gone) < 8; i++) {
        mp_assert_ok(mp_event_set(s->e));
        mp_assert_ok(mp_event_clear(s->e));
        mptest_eventually(atomic_load(&s->gone) == 8, 500);
    }
    end_start(s, 8);
}

static mp_event *stop;

static void on_signal(int sig)
{
    (void)sig;
    mp_event_set(stop);
}

MP_TEST(a_signal_handler_may_set_it)
{
    stop = new_event();
    struct sigaction sa = {.sa_handler = on_signal}; // no SA_RESTART
    sigaction(SIGUSR1, &sa, NULL);
    for (int i = 0; i < 50; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(kill(getppid(), SIGUSR1) != 0);
        // The signal comes before, in, or after the sleep.
        mp_assert_ok(mp_event_wait(stop, 15000));
        ck_assert(mp_event_is_set(stop));
        waitpid(pid, NULL, 0);
        mp_assert_ok(mp_event_clear(stop));
    }
    mp_event_free(stop);
}

static int wait_and_answer(void *arg)
{
    mp_event **e = arg;
    for (int i = 0; i < 500; i++) {
        if (mp_event_wait(e[0], 15000) < 0 || mp_event_clear(e[0]) < 0 || mp_event_set(e[1]) < 0)
            return 1;
    }
    return 0;
}

MP_TEST(to_and_fro)
{
    mp_event *e[2] = {new_event(), new_event()};
    pid_t pid = fork();
    if (pid == 0)
        _exit(wait_and_answer(e));
    for (int i = 0; i < 500; i++) {
        mp_assert_ok(mp_event_set(e[0]));
        mp_assert_ok(mp_event_wait(e[1], 15000));
        mp_assert_ok(mp_event_clear(e[1]));
    }
    int status;
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    mp_event_free(e[0]);
    mp_event_free(e[1]);
}
