// SPDX-License-Identifier: MIT
//
// What values and arrays promise when somebody dies, and when there is no memory.
#include "mptest.h"
#include "shm/typed.h"

#include <errno.h>
#include <mp/array.h>
#include <mp/value.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

// Runs fn in a child until it has entered the lock, and kills it there.
static pid_t kill_in_lock(mp_rlock *lock, void (*fn)(void *), void *arg)
{
    pid_t pid = fork();
    if (pid == 0) {
        mptest_require(mp_rlock_acquire(lock, MP_FOREVER) == 0);
        fn(arg);
        kill(getpid(), SIGKILL);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return pid;
}

static void write_half(void *arg)
{
    mp_array *a = arg;
    mp_array_ptr(a, int64_t)[0] = 99;
}

static void add_one(void *arg)
{
    mp_atomic_add(mp_value_ptr((mp_value *)arg, int64_t), 1);
}

MP_TEST(a_holder_dies_and_everybody_is_told)
{
    mp_value *v, *other;
    int64_t x = 7;
    mp_assert_ok(mp_value_new(&v, MP_INT64, NULL, NULL));
    mp_assert_ok(mp_value_new(&other, MP_INT64, NULL, NULL));
    pid_t dead = kill_in_lock(mp_value_lock(v), add_one, v);
    for (int i = 0; i < 3; i++) { // told again and again, and nothing is copied
        mp_assert_err(mp_value_read(v, &x, sizeof x, MP_FOREVER), MP_EOWNERDEAD);
        mp_assert_err(mp_value_write(v, &x, sizeof x, 100), MP_EOWNERDEAD);
        mp_assert_err(mp_value_copy(other, v, 100), MP_EOWNERDEAD);
        mp_assert_err(mp_value_copy(v, other, 100), MP_EOWNERDEAD);
    }
    ck_assert_int_eq(x, 7);
    ck_assert_int_eq(*mp_value_ptr(v, int64_t), 1);
    ck_assert(!mp_rlock_locked(mp_value_lock(other)));
    mp_assert_ok(mp_value_get_int(v, &x)); // asks no lock
    ck_assert_int_eq(x, 1);

    mp_assert_err(mp_rlock_acquire(mp_value_lock(v), 0), MP_EOWNERDEAD);
    ck_assert_int_eq(mp_rlock_dead_owner(mp_value_lock(v)), dead);
    x = 0;
    mp_assert_ok(mp_value_write(v, &x, sizeof x, 0)); // the repair
    mp_assert_ok(mp_rlock_consistent(mp_value_lock(v)));
    mp_assert_ok(mp_rlock_release(mp_value_lock(v)));
    mp_assert_ok(mp_value_read(v, &x, sizeof x, 0));
    ck_assert_int_eq(x, 0);
    mp_value_free(v);
    mp_value_free(other);
}

MP_TEST(released_without_repair_it_is_broken)
{
    mp_array *a;
    int64_t x[2] = {0};
    mp_assert_ok(mp_array_new(&a, MP_INT64, 2, NULL, NULL));
    kill_in_lock(mp_array_lock(a), write_half, a);
    mp_assert_err(mp_array_fill(a, 0, 2, x, sizeof *x, 0), MP_EOWNERDEAD);
    mp_assert_err(mp_rlock_acquire(mp_array_lock(a), 0), MP_EOWNERDEAD);
    mp_assert_ok(mp_rlock_release(mp_array_lock(a)));
    mp_assert_err(mp_array_read(a, 0, 2, x, sizeof *x, 0), MP_EBROKEN);
    mp_assert_err(mp_array_write(a, 0, 2, x, sizeof *x, 0), MP_EBROKEN);
    mp_assert_err(mp_array_copy(a, 0, a, 1, 1, 0), MP_EBROKEN);
    ck_assert_int_eq(mp_array_ptr(a, int64_t)[0], 99); // to be looked at all the same
    mp_array_free(a);
}

// A blocked reader is told, too.
MP_TEST(who_waits_for_a_holder_that_dies)
{
    mp_value *v;
    mp_assert_ok(mp_value_new(&v, MP_INT64, NULL, NULL));
    int64_t *up = mp_value_ptr(v, int64_t), x;
    pid_t holder = fork();
    if (holder == 0) {
        mptest_require(mp_rlock_acquire(mp_value_lock(v), 0) == 0);
        mp_atomic_set(up, 1);
        for (;;)
            pause();
    }
    ck_assert(mptest_eventually(mp_atomic_get(up) == 1, 10000));
    pid_t waiter = fork();
    if (waiter == 0) {
        mp_atomic_set(up, 2);
        _exit(mp_value_read(v, &x, sizeof x, MP_FOREVER) == MP_EOWNERDEAD ? 0 : 1);
    }
    ck_assert(mptest_eventually(mp_atomic_get(up) == 2, 10000));
    usleep(5000); // lets it block; right also if it did not yet
    kill(holder, SIGKILL);
    int status;
    ck_assert_int_eq(waitpid(waiter, &status, 0), waiter);
    ck_assert_int_eq(status, 0);
    waitpid(holder, NULL, 0);
    mp_value_free(v);
}

// ---- killed at any instruction

struct pair {
    uint64_t a[60], b[60];
};

static void churn(mp_value *v, mp_array *kept, unsigned seed)
{
    struct pair p;
    for (uint64_t i = 0;; i++) {
        for (size_t k = 0; k < 60; k++)
            p.a[k] = p.b[k] = i + k;
        int r = mp_value_write(v, &p, sizeof p, MP_FOREVER);
        mptest_require(r == 0 || r == MP_EOWNERDEAD);
        mp_value *mine;
        if (mp_value_new(&mine, MP_INT32, NULL, NULL) == 0 && rand_r(&seed) % 2)
            mp_value_free(mine);
        mp_atomic_add(mp_array_ptr(kept, int64_t), 1);
    }
}

// Takes it, mends it if it is torn, and leaves it in order. Returns whether it was torn.
static bool mend(mp_value *v)
{
    struct pair *p = mp_value_ptr(v, struct pair);
    int r = mp_rlock_acquire(mp_value_lock(v), 10000);
    ck_assert(r == 0 || r == MP_EOWNERDEAD);
    if (r == MP_EOWNERDEAD) {
        memset(p, 0, sizeof *p);
        mp_assert_ok(mp_rlock_consistent(mp_value_lock(v)));
    } else {
        ck_assert_int_eq(memcmp(p->a, p->b, sizeof p->a), 0);
    }
    mp_assert_ok(mp_rlock_release(mp_value_lock(v)));
    return r == MP_EOWNERDEAD;
}

MP_TEST_TIMEOUT(killed_at_any_instruction, 60)
{
    mp_value *v;
    mp_array *kept;
    mp_assert_ok(mp_value_new(&v, MP_STRUCT, NULL, &(mp_value_opts){.size = sizeof(struct pair)}));
    mp_assert_ok(mp_array_new(&kept, MP_INT64, 1, NULL, NULL));
    unsigned seed = 5;
    for (int i = 0; i < 200; i++) {
        pid_t pids[2];
        int64_t before = mp_atomic_get(mp_array_ptr(kept, int64_t));
        for (int k = 0; k < 2; k++)
            if ((pids[k] = fork()) == 0)
                churn(v, kept, (unsigned)(2 * i + k));
        ck_assert(mptest_eventually(mp_atomic_get(mp_array_ptr(kept, int64_t)) != before, 10000));
        usleep((unsigned)rand_r(&seed) % 1000);
        for (int k = 0; k < 2; k++) {
            int status;
            kill(pids[k], SIGKILL);
            ck_assert_int_eq(waitpid(pids[k], &status, 0), pids[k]);
            ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        }
        mend(v);
        ck_assert(!mend(v)); // told once
    }
    mp_value_free(v);
    mp_array_free(kept);
}

// ---- no memory

MP_TEST(no_room_under_a_file_size_limit)
{
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit lim = {1 << 20, 1 << 20};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
    mp_array *a;
    for (int named = 0; named < 2; named++) {
        mp_array_opts o = {.name = named ? mptest_name("no-room") : NULL};
        int r = mp_array_new(&a, MP_INT64, 1 << 20, NULL, &o);
        ck_assert_msg(r == -ENOMEM || r == -EFBIG || r == -ENOSPC, "%s", mp_err_name(r));
        ck_assert_ptr_null(a);
    }
    mp_assert_ok(mp_array_new(&a, MP_INT64, 1000, NULL, NULL)); // so much there is
    memset(mp_array_ptr(a, int64_t), 1, 8000);
    mp_array_free(a);
}

// ---- damaged and hostile memory

static int attach(const char *name)
{
    mp_array *a;
    int r = mp_array_attach(&a, name, MP_INT64, 0);
    if (r == 0 && mp_array_len(a) != 100)
        r = 1;
    mp_array_free(a);
    return r;
}

// Row 88 of the bad inputs: what says one thing and is another.
MP_TEST(what_does_not_fit_is_refused)
{
    const char *name = mptest_name("damaged");
    mp_array *a;
    mp_assert_ok(mp_array_new(&a, MP_INT64, 100, NULL, &(mp_array_opts){.name = name}));
    struct mp__typed *t = (struct mp__typed *)a, sound = *t;
    mp_assert_ok(attach(name));
    static const uint64_t counts[] = {101 + (1 << 20), UINT64_MAX, UINT64_MAX / 8,
                                      UINT64_C(1) << 40};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        t->count = counts[i];
        mp_assert_err(attach(name), MP_EFORMAT);
    }
    t->count = sound.count;
    t->lock.lock.object.type = MP__LOCK;
    mp_assert_err(attach(name), MP_EFORMAT);
    t->lock.lock.object.type = MP__RLOCK;
    t->lock.lock.object.offset += 64;
    mp_assert_err(attach(name), MP_EFORMAT);
    t->lock.lock.object.offset -= 64;
    t->item = 4;
    mp_assert_err(attach(name), MP_ETYPE);
    t->item = 8;
    t->type = MP_UINT64;
    mp_assert_err(attach(name), MP_ETYPE);
    t->type = MP_INT64;
    mp_assert_ok(attach(name));
    mp_array_free(a);
    mp_assert_ok(mp_shm_unlink(name));
}
