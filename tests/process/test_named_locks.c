// SPDX-License-Identifier: MIT
//
// A lock and a condition under names, between processes that have them at other addresses.
#include "mptest.h"
#include "shm/lock.h"

#include <errno.h>
#include <mp/condition.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

static const char *lock_name, *rlock_name, *condition_name;

static void choose_names(void)
{
    lock_name = mptest_name("lock");
    rlock_name = mptest_name("rlock");
    condition_name = mptest_name("condition");
}

// A process that was forked before, has its address space laid out otherwise, and does the
// next step each time it is told to.
struct other {
    pid_t pid;
    int socket;
};

static bool next(int socket)
{
    char c;
    return read(socket, &c, 1) == 1;
}

static void done(int socket)
{
    mptest_require(write(socket, "", 1) == 1);
}

static struct other start_other(int (*run)(int socket))
{
    int s[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(s[0]);
        void *hole = mmap(NULL, (size_t)1 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mptest_require(hole != MAP_FAILED);
        _exit(next(s[1]) ? run(s[1]) : 0);
    }
    close(s[1]);
    return (struct other){pid, s[0]};
}

// Tells it to go on, and waits until it has.
static void step(struct other o)
{
    char c;
    ck_assert_int_eq(write(o.socket, "", 1), 1);
    ck_assert_int_eq(read(o.socket, &c, 1), 1);
}

static int lock_there(int socket)
{
    mp_lock *l;
    mp_rlock *r;
    mp_condition *c;
    mptest_require(mp_lock_attach(&l, lock_name) == 0);
    mptest_require(mp_rlock_attach(&r, lock_name) == MP_ETYPE && !r);
    mptest_require(mp_condition_attach(&c, lock_name) == MP_ETYPE && !c);
    mptest_require(mp_rlock_attach(&r, rlock_name) == 0);
    mptest_require(mp_lock_acquire(l, 0) == MP_ETIMEDOUT);
    done(socket);
    next(socket);
    mptest_require(mp_lock_acquire(l, MP_FOREVER) == 0);
    mptest_require(mp_rlock_acquire(r, MP_FOREVER) == 0);
    mptest_require(mp_rlock_acquire(r, MP_FOREVER) == 0);
    done(socket);
    next(socket);
    mptest_require(mp_lock_release(l) == 0);
    mp_rlock_free(r); // held: goes back
    done(socket);
    next(socket);
    mptest_require(mp_lock_acquire(l, MP_FOREVER) == 0);
    done(socket);
    for (;;)
        pause();
}

MP_TEST(locks)
{
    mp_lock *l, *again;
    mp_rlock *r;
    choose_names();
    struct other o = start_other(lock_there);
    mp_assert_err(mp_lock_attach(&l, lock_name), MP_ENOTFOUND);
    mp_assert_ok(mp_lock_new(&l, &(mp_lock_opts){.name = lock_name}));
    mp_assert_err(mp_lock_new(&again, &(mp_lock_opts){.name = lock_name}), -EEXIST);
    ck_assert_ptr_null(again);
    mp_assert_ok(mp_rlock_new(&r, &(mp_lock_opts){.name = rlock_name}));
    mp_assert_ok(mp_lock_acquire(l, 0));
    step(o);
    mp_assert_ok(mp_lock_release(l));
    step(o);
    ck_assert(mp_lock_locked(l));
    mp_assert_err(mp_lock_acquire(l, 1), MP_ETIMEDOUT);
    mp_assert_err(mp_lock_release(l), MP_ENOTHELD);
    mp_assert_err(mp_rlock_acquire(r, 0), MP_ETIMEDOUT);
    step(o);
    mp_assert_ok(mp_lock_acquire(l, 0));
    mp_assert_ok(mp_lock_release(l));
    mp_assert_ok(mp_rlock_acquire(r, 0));
    step(o);
    kill(o.pid, SIGKILL);
    mp_assert_err(mp_lock_acquire(l, MP_FOREVER), MP_EOWNERDEAD);
    ck_assert_int_eq(mp_lock_dead_owner(l), o.pid);
    waitpid(o.pid, NULL, 0);
    mp_assert_ok(mp_lock_consistent(l));
    mp_lock_free(l); // both held
    mp_rlock_free(r);
    mp_assert_ok(mp_lock_attach(&l, lock_name)); // it is still there
    mp_assert_ok(mp_lock_acquire(l, 0));
    mp_assert_ok(mp_lock_release(l));
    mp_lock_free(l);
    mp_assert_ok(mp_shm_unlink(lock_name));
    mp_assert_ok(mp_shm_unlink(rlock_name));
    close(o.socket);
}

static int wait_there(int socket)
{
    mp_condition *c;
    mptest_require(mp_condition_attach(&c, condition_name) == 0);
    mptest_require(mp_condition_acquire(c, MP_FOREVER) == 0);
    done(socket);
    mptest_require(mp_condition_wait(c, MP_FOREVER) == 0);
    mptest_require(mp_condition_release(c) == 0);
    mp_condition_free(c);
    return 0;
}

MP_TEST(conditions)
{
    mp_condition *c;
    choose_names();
    struct other o[12]; // more than it has places at first
    for (int i = 0; i < 12; i++)
        o[i] = start_other(wait_there);
    mp_assert_ok(mp_condition_new(&c, &(mp_condition_opts){.name = condition_name}));
    for (int i = 0; i < 12; i++)
        step(o[i]);
    mp_assert_ok(mp_condition_acquire(c, MP_FOREVER));
    ck_assert_int_eq(mp_condition_notify(c, 2), 2);
    ck_assert_int_eq(mp_condition_notify_all(c), 10);
    mp_assert_ok(mp_condition_release(c));
    for (int i = 0; i < 12; i++) {
        int status;
        ck_assert_int_eq(waitpid(o[i].pid, &status, 0), o[i].pid);
        ck_assert_int_eq(status, 0);
        close(o[i].socket);
    }
    mp_condition_free(c);
    mp_assert_ok(mp_shm_unlink(condition_name));
}
