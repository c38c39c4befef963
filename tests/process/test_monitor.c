// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <mp/monitor.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define PATIENCE 15000

static int sleep_forever(void *arg)
{
    while (pause() < 0) // always
        ;
    return arg != NULL;
}

static int return_it(void *arg)
{
    return *(int *)arg;
}
MP_TASK(return_it);

static mp_process *start(mp_start method, int code)
{
    mp_process *p;
    mp_process_opts o = {.start = method, .arg_size = sizeof code};
    mp_assert_ok(mp_process_start(&p, return_it, &code, &o));
    return p;
}

MP_TEST(each_end_is_told_once)
{
    mp_monitor *m;
    mp_exit e;
    mp_process *p[4];
    bool told[4] = {false};
    mp_assert_ok(mp_monitor_new(&m));
    mp_assert_err(mp_monitor_wait(m, &e, MP_FOREVER), MP_EOF); // nothing to wait for
    const mp_start methods[] = {MP_START_FORK, MP_START_FORKSERVER, MP_START_SPAWN, MP_START_FORK};
    for (int i = 0; i < 4; i++) {
        p[i] = start(methods[i], i);
        mp_assert_ok(mp_monitor_add(m, p[i], &told[i]));
    }
    for (int i = 0; i < 4; i++) {
        mp_assert_ok(mp_monitor_wait(m, &e, PATIENCE));
        ck_assert_ptr_eq(e.process, p[e.code]);
        ck_assert_ptr_eq(e.arg, &told[e.code]);
        ck_assert_int_eq(e.pid, mp_process_pid(p[e.code]));
        ck_assert(!told[e.code]);
        told[e.code] = true;
    }
    mp_assert_err(mp_monitor_wait(m, &e, MP_FOREVER), MP_EOF);
    for (int i = 0; i < 4; i++)
        mp_process_free(p[i]);
    mp_monitor_free(m);
}

MP_TEST(signals_are_told)
{
    mp_monitor *m;
    mp_exit e;
    mp_process *p;
    mp_assert_ok(mp_monitor_new(&m));
    mp_assert_ok(mp_process_start(&p, sleep_forever, NULL, NULL));
    mp_assert_ok(mp_monitor_add(m, p, NULL));
    mp_assert_err(mp_monitor_wait(m, &e, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_monitor_wait(m, &e, 10), MP_ETIMEDOUT);
    struct pollfd f = {.fd = mp_monitor_fd(m), .events = POLLIN};
    ck_assert_int_eq(poll(&f, 1, 0), 0);
    mp_assert_ok(mp_process_kill(p));
    ck_assert_int_eq(poll(&f, 1, PATIENCE), 1);
    mp_assert_ok(mp_monitor_wait(m, &e, 0));
    ck_assert_int_eq(e.code, -SIGKILL);
    ck_assert_int_eq(poll(&f, 1, 0), 0);
    mp_process_free(p);
    mp_monitor_free(m);
}

// As Erlang's: who asks too late is told as well.
MP_TEST(one_that_is_dead_already)
{
    mp_monitor *m, *other;
    mp_exit e;
    mp_assert_ok(mp_monitor_new(&m));
    mp_assert_ok(mp_monitor_new(&other));
    mp_process *p = start(MP_START_FORK, 5);
    mp_assert_ok(mp_process_join(p, PATIENCE));
    mp_assert_ok(mp_monitor_add(m, p, NULL));
    mp_assert_ok(mp_monitor_add(other, p, NULL)); // each monitor is told
    mp_assert_ok(mp_monitor_wait(m, &e, 0));
    ck_assert_int_eq(e.code, 5);
    mp_assert_err(mp_monitor_wait(m, &e, 0), MP_EOF);
    mp_assert_ok(mp_monitor_wait(other, &e, 0));
    mp_assert_ok(mp_monitor_add(m, p, NULL)); // and who asks again, again
    mp_assert_ok(mp_monitor_wait(m, &e, 0));
    mp_process_free(p);
    mp_monitor_free(m);
    mp_monitor_free(other);
}

MP_TEST(one_that_is_removed_is_not_told)
{
    mp_monitor *m;
    mp_exit e;
    mp_assert_ok(mp_monitor_new(&m));
    mp_process *p = start(MP_START_FORK, 1), *q = start(MP_START_FORK, 2);
    mp_assert_ok(mp_monitor_add(m, p, NULL));
    mp_assert_ok(mp_monitor_add(m, q, NULL));
    mp_assert_err(mp_monitor_add(m, q, NULL), MP_EINVAL);
    mp_assert_ok(mp_process_join(p, PATIENCE));
    mp_assert_ok(mp_monitor_remove(m, p));
    mp_assert_err(mp_monitor_remove(m, p), MP_ENOTFOUND);
    mp_assert_ok(mp_monitor_wait(m, &e, PATIENCE));
    ck_assert_int_eq(e.code, 2);
    mp_assert_err(mp_monitor_wait(m, &e, 0), MP_EOF);
    mp_process_free(p);
    mp_process_free(q);
    mp_monitor_free(m);
}

// Fault row 16.
MP_TEST(a_status_that_somebody_took)
{
    mp_monitor *m;
    mp_exit e;
    signal(SIGCHLD, SIG_IGN);
    mp_assert_ok(mp_monitor_new(&m));
    mp_process *p = start(MP_START_FORK, 1);
    mp_assert_ok(mp_monitor_add(m, p, NULL));
    mp_assert_ok(mp_monitor_wait(m, &e, PATIENCE));
    ck_assert_int_eq(e.code, MP_ESTATUS);
    mp_process_free(p);
    mp_monitor_free(m);
}

static mp_monitor *shared;
static atomic_int told;

static void *tell(void *arg)
{
    mp_exit e;
    int r;
    while ((r = mp_monitor_wait(shared, &e, PATIENCE)) == 0)
        atomic_fetch_add(&told, 1);
    return r == MP_EOF ? NULL : arg;
}

MP_TEST(threads_share_it)
{
    mp_process *p[20];
    pthread_t t[3];
    void *failed;
    mp_assert_ok(mp_monitor_new(&shared));
    for (int i = 0; i < 20; i++) {
        p[i] = start(MP_START_FORK, i);
        mp_assert_ok(mp_monitor_add(shared, p[i], NULL));
    }
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, tell, &told), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], &failed);
        ck_assert_ptr_null(failed);
    }
    ck_assert_int_eq(told, 20);
    for (int i = 0; i < 20; i++)
        mp_process_free(p[i]);
    mp_monitor_free(shared);
}

static int use_inherited(void *arg)
{
    mp_exit e;
    mptest_require(mp_monitor_wait(arg, &e, 0) == MP_EOWNER);
    mptest_require(mp_monitor_fd(arg) == MP_EOWNER);
    mp_monitor_free(arg);
    return 0;
}

MP_TEST(misuse)
{
    mp_monitor *m;
    mp_exit e;
    mp_assert_err(mp_monitor_new(NULL), MP_EINVAL);
    mp_assert_ok(mp_monitor_new(&m));
    mp_assert_err(mp_monitor_add(m, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_monitor_add(NULL, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_monitor_remove(m, NULL), MP_EINVAL);
    mp_assert_err(mp_monitor_wait(m, NULL, 0), MP_EINVAL);
    mp_assert_err(mp_monitor_wait(m, &e, -2), MP_EINVAL);
    mp_assert_err(mp_monitor_wait(NULL, &e, 0), MP_EINVAL);
    mp_assert_err(mp_monitor_fd(NULL), MP_EINVAL);
    ck_assert_int_eq(mptest_in_child(use_inherited, m), 0);
    mp_monitor_free(NULL);
    mp_monitor_free(m);
}
