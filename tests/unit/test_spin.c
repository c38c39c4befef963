// SPDX-License-Identifier: MIT
#include "mptest.h"

#include "os/spin.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

// A place that is ready after so many looks, and counts what was done to it.
struct place {
    int ready_at; // looks; -1: never
    int ready_after_arm, looks, arms, sleeps;
    int sleep_gives;
};

static bool look(void *arg)
{
    struct place *p = arg;
    p->looks++;
    return (p->ready_at >= 0 && p->looks > p->ready_at) ||
           (p->ready_after_arm && p->arms >= p->ready_after_arm);
}

static void arm(void *arg)
{
    ((struct place *)arg)->arms++;
}

static int do_sleep(void *arg, mp__deadline d)
{
    struct place *p = arg;
    p->sleeps++;
    return p->sleep_gives ? p->sleep_gives : d != MP__NEVER ? MP_ETIMEDOUT : 0;
}

static const struct mp__waiter waiter = {look, arm, do_sleep};

MP_TEST(what_is_ready_needs_no_wait)
{
    struct place p = {0};
    struct mp__spin s = {0};
    mp__spin_init();
    mp_assert_ok(mp__wait_until(&s, &waiter, &p, MP__NEVER));
    ck_assert(p.looks == 1 && p.arms == 0 && p.sleeps == 0);
}

MP_TEST(a_deadline_of_zero_neither_spins_nor_sleeps)
{
    struct place p = {.ready_at = -1};
    struct mp__spin s = {0};
    mp__spin_init();
    mp_assert_err(mp__wait_until(&s, &waiter, &p, 0), MP_ETIMEDOUT);
    ck_assert(p.looks == 1 && p.arms == 0 && p.sleeps == 0);
}

MP_TEST(it_looks_between_arming_and_sleeping)
{
    struct place p = {.ready_at = -1, .ready_after_arm = 1};
    struct mp__spin s = {.off = true};
    mp__spin_init();
    mp_assert_ok(mp__wait_until(&s, &waiter, &p, MP__NEVER));
    ck_assert(p.arms == 1 && p.sleeps == 0);
}

MP_TEST(it_arms_again_before_each_sleep)
{
    struct place p = {.ready_at = -1, .ready_after_arm = 4};
    struct mp__spin s = {.off = true};
    mp__spin_init();
    mp_assert_ok(mp__wait_until(&s, &waiter, &p, MP__NEVER));
    ck_assert(p.arms == 4 && p.sleeps == 3);
}

MP_TEST(what_ends_the_sleep_is_returned_unless_it_is_ready)
{
    struct place p = {.ready_at = -1, .sleep_gives = MP_EBROKEN};
    struct mp__spin s = {.off = true};
    mp__spin_init();
    mp_assert_err(mp__wait_until(&s, &waiter, &p, MP__NEVER), MP_EBROKEN);
    // Looks before the sleep: three. The one after it finds something.
    p = (struct place){.ready_at = 3, .sleep_gives = MP_ETIMEDOUT};
    mp_assert_ok(mp__wait_until(&s, &waiter, &p, mp__deadline_in(1000)));
    ck_assert_int_eq(p.sleeps, 1);
}

static void use_cpus(const char *n)
{
    setenv("MP_CPUS", n, 1);
    mp__spin_init();
}

static int64_t failing_spin(struct mp__spin *s)
{
    struct place p = {.ready_at = -1};
    int64_t begin = mp__now();
    ck_assert(!mp__spin_until(s, look, &p));
    return mp__now() - begin;
}

// Spans of time are only asserted from below: above is the machine's affair.
MP_TEST(spinning_that_never_pays_shrinks_to_the_floor_and_is_tried_again)
{
    struct mp__spin s = {0};
    use_cpus("2");
    ck_assert_int_ge(failing_spin(&s), 30000); // it begins with trust
    for (int i = 0; i < 15; i++)
        failing_spin(&s);
    int longer = 0;
    for (int i = 0; i < 400; i++)
        longer += failing_spin(&s) > 50000;
    // 16, 32, 64, 128 failures later, and what the machine delayed.
    ck_assert_int_ge(longer, 3);
    ck_assert_int_lt(longer, 200);
    ck_assert_int_ge(s.doubt, 60000);
}

MP_TEST(success_brings_trust_back)
{
    struct mp__spin s = {0};
    use_cpus("2");
    for (int i = 0; i < 40; i++)
        failing_spin(&s);
    ck_assert_int_ge(s.doubt, 60000);
    for (int i = 0; i < 100; i++) {
        struct place p = {.ready_at = 10};
        ck_assert(mp__spin_until(&s, look, &p));
    }
    ck_assert_int_lt(s.doubt, 1000);
    ck_assert_int_ge(failing_spin(&s), 30000);
}

MP_TEST(off_means_one_look)
{
    struct mp__spin s = {.off = true};
    struct place p = {.ready_at = -1};
    mp__spin_init();
    ck_assert(!mp__spin_until(&s, look, &p));
    ck_assert_int_eq(p.looks, 1);
}

MP_TEST(the_environment_turns_it_off)
{
    struct mp__spin s = {0};
    struct place p = {.ready_at = -1};
    setenv("MP_SPIN", "0", 1);
    use_cpus("8");
    ck_assert(!mp__spin_until(&s, look, &p));
    ck_assert_int_eq(p.looks, 1);
}

MP_TEST(one_cpu_gives_way_instead)
{
    struct mp__spin s = {0};
    struct place p = {.ready_at = -1};
    use_cpus("1");
    ck_assert(!mp__spin_until(&s, look, &p));
    ck_assert_int_le(p.looks, 5 * 32);
}

// One that was killed
// while it spun is in nobody's way.
struct shared {
    _Atomic int spinning;
};

// Spins beyond the floor, where it takes a lease. The machine may take the CPU away
// for longer than that lasts: then again.
static void spin_with_lease(struct mp__spin_run *run)
{
    struct mp__spin s = {0};
    for (int i = 0; i < 1000; i++) {
        ck_assert(mp__spin_begin(&s, run));
        int64_t begin = mp__now();
        mp__spin_more(&s, run);
        while (mp__now() - begin < 5000)
            ;
        if (mp__spin_more(&s, run) && run->lease >= 0)
            return;
    }
    ck_abort_msg("no lease in 1000 spins");
}

MP_TEST(leases_of_the_dead_end_by_themselves)
{
    struct shared *sh =
        mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct mp__spin_run run;
    ck_assert_ptr_ne(sh, MAP_FAILED);
    use_cpus("2");
    for (int i = 0; i < 10; i++) { // more than there are leases
        pid_t pid = fork();
        if (pid == 0) {
            spin_with_lease(&run);
            atomic_fetch_add(&sh->spinning, 1);
            for (;;)
                pause();
        }
        ck_assert(mptest_eventually(sh->spinning > i, 15000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    spin_with_lease(&run);
    munmap(sh, sizeof *sh);
}
