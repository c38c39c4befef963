// SPDX-License-Identifier: MIT
//
// Threads of OpenMP and BLAS in workers. The libraries need not be there: what they would be
// told is looked at, and a function of the same name stands for one that is loaded.
#include "mptest.h"

#include "work/forkserver.h"

#include <mp/cpu.h>
#include <mp/pool.h>
#include <stdlib.h>
#include <string.h>

static int told;

__attribute__((visibility("default"))) void openblas_set_num_threads(int n);
void openblas_set_num_threads(int n)
{
    told = n;
}

struct seen {
    int called;
    char omp[16], mkl[16];
};

static void copy(char *to, const char *from)
{
    snprintf(to, 16, "%s", from ? from : "none");
}

static int look(const void *in, void *out, void *ctx)
{
    struct seen *s = out;
    (void)in, (void)ctx;
    s->called = told;
    copy(s->omp, getenv("OMP_NUM_THREADS"));
    copy(s->mkl, getenv("MKL_NUM_THREADS"));
    return 0;
}
MP_TASK(look);

static mp_start method;

static struct seen in_a_worker(int workers, int threads)
{
    struct seen s;
    mp_pool *p;
    mp_pool_opts o = {.workers = workers, .inner_threads = threads, .start = method};
    mp_assert_ok(mp_pool_new(&p, &o));
    mp_assert_ok(mp_pool_map(p, look, NULL, 0, &s, sizeof s, 1, NULL, NULL));
    mp_pool_free(p);
    return s;
}

static void check_division(void)
{
    char share[16];
    unsetenv("OMP_NUM_THREADS");
    unsetenv("MKL_NUM_THREADS");
    unsetenv("OPENBLAS_NUM_THREADS");
    snprintf(share, sizeof share, "%d", mp_cpu_count() > 1 ? mp_cpu_count() : 1);
    struct seen one = in_a_worker(1, 0), many = in_a_worker(2 * mp_cpu_count(), 0);
    ck_assert_str_eq(one.omp, share);
    ck_assert_str_eq(one.mkl, share);
    ck_assert_int_eq(one.called, atoi(share));
    ck_assert_str_eq(many.omp, "1");
    ck_assert_int_eq(many.called, 1);
    ck_assert_ptr_null(getenv("OMP_NUM_THREADS")); // the caller's stays as it was
    ck_assert_int_eq(told, 0);
}

static void check_the_users_word(void)
{
    unsetenv("MKL_NUM_THREADS");
    setenv("OMP_NUM_THREADS", "7", 1);
    setenv("OPENBLAS_NUM_THREADS", "6", 1);
    struct seen s = in_a_worker(2, 3);
    ck_assert_str_eq(s.omp, "7");
    ck_assert_str_eq(s.mkl, "3");
    ck_assert_int_eq(s.called, 0);
    s = in_a_worker(2, -1);
    ck_assert_str_eq(s.mkl, "none");
}

MP_TEST(the_cpus_are_divided)
{
    for (method = MP_START_FORK; method <= MP_START_SPAWN; method++)
        check_division();
}

MP_TEST(the_user_has_the_last_word)
{
    for (method = MP_START_FORK; method <= MP_START_SPAWN; method++) {
        mp__forkserver_leave(); // its environment is that of its beginning
        check_the_users_word();
    }
}
