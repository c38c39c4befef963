// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <mp/with.h>

static mp_lock *l;
static mp_rlock *r;
static mp_condition *c;

static void make(void)
{
    mp_assert_ok(mp_lock_new(&l, NULL));
    mp_assert_ok(mp_rlock_new(&r, NULL));
    mp_assert_ok(mp_condition_new(&c, NULL));
}

static void drop(void)
{
    mp_lock_free(l);
    mp_rlock_free(r);
    mp_condition_free(c);
}

MP_TEST(it_holds_the_lock_inside_and_not_behind)
{
    make();
    int ran = 0;
    MP_WITH(l) {
        mp_assert_err(mp_lock_acquire(l, 0), MP_EHELD);
        ran++;
    }
    ck_assert(!mp_lock_locked(l));
    MP_WITH(r) {
        MP_WITH(r) { // again
            ck_assert(mp_rlock_locked(r));
            ran++;
        }
        ck_assert(mp_rlock_locked(r));
    }
    ck_assert(!mp_rlock_locked(r));
    MP_WITH(c) {
        mp_assert_err(mp_condition_wait(c, 0), MP_ETIMEDOUT);
        ran++;
    }
    mp_assert_err(mp_condition_notify(c, 1), MP_ENOTHELD);
    ck_assert_int_eq(ran, 3);
    drop();
}

MP_TEST(a_unit_of_a_semaphore)
{
    mp_semaphore *s;
    mp_assert_ok(mp_semaphore_new(&s, 2, NULL));
    for (int i = 0; i < 3; i++) {
        MP_WITH(s) {
            ck_assert_int_eq(mp_semaphore_value(s), 1);
            if (i == 1)
                break;
        }
        ck_assert_int_eq(mp_semaphore_value(s), 2);
    }
    mp_semaphore_free(s);
}

static int leave_by_return(int n)
{
    MP_WITH(l) {
        if (n == 1)
            return 10;
        MP_WITH(r) {
            if (n == 2)
                return 20;
        }
    }
    return 30;
}

static int leave_by_goto(void)
{
    MP_WITH(l) {
        goto out;
    }
    return 0;
out:
    return 1;
}

MP_TEST(released_however_it_is_left)
{
    make();
    int ran = 0;
    ck_assert_int_eq(leave_by_return(1), 10);
    ck_assert(!mp_lock_locked(l));
    ck_assert_int_eq(leave_by_return(2), 20);
    ck_assert(!mp_lock_locked(l) && !mp_rlock_locked(r));
    ck_assert_int_eq(leave_by_return(3), 30);
    ck_assert_int_eq(leave_by_goto(), 1);
    ck_assert(!mp_lock_locked(l));
    for (int i = 0; i < 3; i++) {
        MP_WITH(l) {
            if (i == 0)
                continue; // ends the block, not the loop around it
            if (i == 1)
                break;
            ran++;
        }
        ck_assert(!mp_lock_locked(l));
        ran += 10;
    }
    ck_assert_int_eq(ran, 31);
    MP_WITH(l) {
        mp_assert_ok(mp_lock_release(l)); // early: nothing is released behind
    }
    ck_assert(!mp_lock_locked(l));
    drop();
}

MP_TEST(the_else_part_tells_why)
{
    make();
    int otherwise = 0;
    mp_assert_ok(mp_lock_acquire(l, 0));
    MP_WITH(l) {
        ck_abort_msg("the block ran");
    } else {
        mp_assert_err(mp_with_error(), MP_EHELD);
        otherwise++;
    }
    ck_assert(mp_lock_locked(l)); // by us, as before
    mp_assert_ok(mp_lock_release(l));
    MP_WITH((mp_condition *)NULL) {
        ck_abort_msg("the block ran");
    } else {
        mp_assert_err(mp_with_error(), MP_EINVAL);
        otherwise++;
    }
    MP_WITH((mp_lock *)r) {
        ck_abort_msg("the block ran");
    }
    MP_WITH(l) {
        mp_assert_ok(mp_with_error());
    } else {
        ck_abort_msg("the else part ran");
    }
    ck_assert_int_eq(otherwise, 2);
    mp_with_end(NULL);
    drop();
}

static int calls;

static mp_lock *which(void)
{
    calls++;
    return l;
}

MP_TEST(its_argument_is_computed_once)
{
    make();
    MP_WITH(which()) {
        ck_assert_int_eq(calls, 1);
    }
    ck_assert_int_eq(calls, 1);
    drop();
}
