// SPDX-License-Identifier: MIT
#include "mptest.h"
#include "os/futex.h"

#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

static _Atomic uint32_t *shared_words(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(p, MAP_FAILED);
    return p;
}

MP_TEST(a_changed_word_does_not_wait)
{
    _Atomic uint32_t word = 1;
    ck_assert_int_eq(mp__futex_wait(&word, 0, MP__NEVER), 0);
}

MP_TEST(deadline_passes)
{
    _Atomic uint32_t word = 0;
    int64_t start = mp__now();
    ck_assert_int_eq(mp__futex_wait(&word, 0, mp__deadline_in(20)), MP_ETIMEDOUT);
    ck_assert_int_ge(mp__now() - start, 20000000);
    ck_assert_int_eq(mp__futex_wait(&word, 0, 0), MP_ETIMEDOUT);
    ck_assert_int_eq(mp__futex_wait(&word, 0, mp__now() - 1), MP_ETIMEDOUT);
}

MP_TEST(waking_reaches_another_process)
{
    _Atomic uint32_t *w = shared_words();
    for (int i = 0; i < 3; i++)
        if (fork() == 0) {
            atomic_fetch_add(&w[1], 1);
            while (!atomic_load(&w[0]))
                mptest_require(mp__futex_wait(&w[0], 0, mp__deadline_in(15000)) == 0);
            _exit(0);
        }
    ck_assert(mptest_eventually(atomic_load(&w[1]) == 3, 10000));
    atomic_store(&w[0], 1);
    mp__futex_wake(&w[0], INT_MAX);
    for (int i = 0; i < 3; i++) {
        int status;
        wait(&status);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_int_eq(mp__futex_wake(&w[0], INT_MAX), 0); // nobody is left
    munmap(w, 4096);
}

static void nothing(int sig)
{
    (void)sig;
}

MP_TEST(a_signal_ends_the_wait_without_an_error)
{
    _Atomic uint32_t word = 0;
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = nothing}, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 10000}, NULL);
    ck_assert_int_eq(mp__futex_wait(&word, 0, MP__NEVER), 0);
}
