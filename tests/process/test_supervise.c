// SPDX-License-Identifier: MIT
#include "mptest.h"

#include "base/clock.h"

#include <mp/supervise.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#define PATIENCE 15000
#define MANY     8

// What children have done; shared with them.
static struct shared {
    _Atomic int starts[MANY], order[64], n;
    _Atomic pid_t pid[MANY];
} * sh;

static void make_shared(void)
{
    sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(sh, MAP_FAILED);
}

static void enter(int i)
{
    atomic_store(&sh->pid[i], getpid());
    atomic_store(&sh->order[atomic_fetch_add(&sh->n, 1) % 64], i);
    atomic_fetch_add(&sh->starts[i], 1);
}

static const int numbers[MANY] = {0, 1, 2, 3, 4, 5, 6, 7};

static int stay(void *arg)
{
    enter(*(int *)arg);
    while (pause() < 0) // always
        ;
    return 0;
}

static int end_well(void *arg)
{
    enter(*(int *)arg);
    return 0;
}

static int end_badly(void *arg)
{
    enter(*(int *)arg);
    return 3;
}

// Two times badly, then well.
static int mend(void *arg)
{
    int i = *(int *)arg;
    enter(i);
    if (atomic_load(&sh->starts[i]) == 2)
        raise(SIGKILL);
    return atomic_load(&sh->starts[i]) > 2 ? 0 : 1;
}

static int ignore_term(void *arg)
{
    signal(SIGTERM, SIG_IGN);
    return stay(arg);
}

static mp_supervised child(int i, mp_process_fn *fn, mp_restart restart)
{
    return (mp_supervised){.fn = fn, .arg = (void *)(uintptr_t)&numbers[i], .restart = restart};
}

static int starts(int i)
{
    return atomic_load(&sh->starts[i]);
}

// Kills child i, once it is there, and runs until there are so many starts of it.
static void kill_and_run(mp_supervisor *s, int i, int wanted)
{
    ck_assert(mptest_eventually(starts(i) == wanted - 1, PATIENCE));
    mp_assert_ok(mp_process_kill(mp_supervisor_process(s, (size_t)i)));
    for (int k = 0; k < PATIENCE / 10 && starts(i) < wanted; k++)
        mp_assert_err(mp_supervisor_run(s, 10), MP_ETIMEDOUT);
    ck_assert_int_eq(starts(i), wanted);
}

MP_TEST(all_that_end_well_end_it)
{
    mp_supervisor *s;
    make_shared();
    mp_supervised c[] = {child(0, end_well, MP_RESTART_NEVER),
                         child(1, end_well, MP_RESTART_ON_FAILURE),
                         child(2, end_badly, MP_RESTART_NEVER)};
    mp_assert_ok(mp_supervisor_new(&s, c, 3, NULL));
    mp_assert_ok(mp_supervisor_run(s, PATIENCE));
    mp_assert_ok(mp_supervisor_run(s, 0));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(starts(i), 1);
        ck_assert_ptr_null(mp_supervisor_process(s, (size_t)i));
    }
    ck_assert_uint_eq(mp_supervisor_restarts(s), 0);
    ck_assert_str_eq(mp_supervisor_error(s), "");
    mp_supervisor_free(s);
}

struct exits {
    int n;
    size_t child[8];
    int code[8];
};

static void note_exit(size_t i, int code, void *arg)
{
    struct exits *e = arg;
    e->child[e->n % 8] = i;
    e->code[e->n++ % 8] = code;
}

MP_TEST(a_failure_is_mended_by_a_restart)
{
    mp_supervisor *s;
    struct exits e = {0};
    make_shared();
    mp_supervised c = child(4, mend, MP_RESTART_ON_FAILURE);
    mp_supervisor_opts o = {.on_exit = note_exit, .arg = &e};
    mp_assert_ok(mp_supervisor_new(&s, &c, 1, &o));
    mp_assert_ok(mp_supervisor_run(s, PATIENCE));
    ck_assert_int_eq(starts(4), 3);
    ck_assert_int_eq(e.n, 3);
    ck_assert_int_eq(e.code[0], 1);
    ck_assert_int_eq(e.code[1], -SIGKILL);
    ck_assert_int_eq(e.code[2], 0);
    ck_assert_uint_eq(mp_supervisor_restarts(s), 2);
    mp_supervisor_free(s);
}

MP_TEST(one_for_one)
{
    mp_supervisor *s;
    make_shared();
    mp_supervised c[3];
    for (int i = 0; i < 3; i++)
        c[i] = child(i, stay, MP_RESTART_ALWAYS);
    mp_assert_ok(mp_supervisor_new(&s, c, 3, NULL));
    kill_and_run(s, 1, 2);
    ck_assert_int_eq(starts(0), 1);
    ck_assert(mptest_eventually(starts(2) == 1, PATIENCE));
    mp_supervisor_free(s);
}

MP_TEST(one_for_all)
{
    mp_supervisor *s;
    make_shared();
    mp_supervised c[] = {child(0, stay, MP_RESTART_ALWAYS), child(1, stay, MP_RESTART_ALWAYS),
                         child(2, end_well, MP_RESTART_NEVER), child(3, stay, MP_RESTART_ALWAYS)};
    mp_assert_ok(mp_supervisor_new(&s, c, 4, &(mp_supervisor_opts){.strategy = MP_ONE_FOR_ALL}));
    ck_assert(mptest_eventually(starts(0) + starts(1) + starts(2) + starts(3) == 4, PATIENCE));
    pid_t first = atomic_load(&sh->pid[0]);
    while (mp_supervisor_process(s, 2)) // it has ended for good
        mp_assert_err(mp_supervisor_run(s, 10), MP_ETIMEDOUT);
    kill_and_run(s, 1, 2);
    ck_assert(mptest_eventually(starts(0) == 2 && starts(3) == 2, PATIENCE));
    ck_assert_int_eq(starts(2), 1);
    ck_assert_int_ne(mp_process_pid(mp_supervisor_process(s, 0)), first);
    ck_assert_uint_eq(mp_supervisor_restarts(s), 1); // of one cause
    mp_supervisor_free(s);
}

MP_TEST(rest_for_one)
{
    mp_supervisor *s;
    make_shared();
    mp_supervised c[3];
    for (int i = 0; i < 3; i++)
        c[i] = child(i, stay, MP_RESTART_ALWAYS);
    mp_assert_ok(mp_supervisor_new(&s, c, 3, &(mp_supervisor_opts){.strategy = MP_REST_FOR_ONE}));
    ck_assert(mptest_eventually(starts(0) == 1 && starts(2) == 1, PATIENCE));
    kill_and_run(s, 1, 2);
    ck_assert(mptest_eventually(starts(2) == 2, PATIENCE));
    ck_assert_int_eq(starts(0), 1);
    mp_supervisor_free(s);
}

MP_TEST(it_gives_up_and_says_so)
{
    mp_supervisor *s;
    make_shared();
    mp_supervised c[] = {child(0, stay, MP_RESTART_ALWAYS), child(1, end_badly, MP_RESTART_ALWAYS)};
    mp_supervisor_opts o = {.restarts = 4, .within_ms = 600000};
    mp_assert_ok(mp_supervisor_new(&s, c, 2, &o));
    mp_assert_err(mp_supervisor_run(s, PATIENCE), MP_EBROKEN);
    ck_assert_int_eq(starts(1), 5);
    ck_assert_uint_eq(mp_supervisor_restarts(s), 4);
    ck_assert_str_eq(mp_supervisor_error(s), "4 restarts in 600000 ms, then child 1 ended with 3");
    ck_assert_ptr_null(mp_supervisor_process(s, 0)); // all are ended
    ck_assert_int_lt(kill(atomic_load(&sh->pid[1]), 0), 0);
    mp_assert_err(mp_supervisor_run(s, PATIENCE), MP_EBROKEN);
    mp_supervisor_free(s);
}

// Restarts that are further apart than the window do not add up.
MP_TEST(the_limit_is_one_of_intensity)
{
    mp_supervisor *s;
    make_shared();
    mp_supervised c = child(0, stay, MP_RESTART_ALWAYS);
    mp_supervisor_opts o = {.restarts = 1, .within_ms = 1};
    mp_assert_ok(mp_supervisor_new(&s, &c, 1, &o));
    for (int i = 0; i < 4; i++) {
        mp__deadline d = mp__deadline_in(2);
        while (mp__left_ns(d) > 0)
            ;
        kill_and_run(s, 0, i + 2);
    }
    ck_assert_uint_eq(mp_supervisor_restarts(s), 4);
    mp_supervisor_free(s);
}

MP_TEST(children_that_ignore_sigterm_are_killed)
{
    mp_supervisor *s;
    make_shared();
    mp_supervised c[] = {child(0, ignore_term, MP_RESTART_ALWAYS),
                         child(1, ignore_term, MP_RESTART_ALWAYS)};
    c[0].stop_ms = 20;
    c[1].stop_ms = -1;
    mp_assert_ok(mp_supervisor_new(&s, c, 2, NULL));
    ck_assert(mptest_eventually(starts(0) == 1 && starts(1) == 1, PATIENCE));
    mp_assert_ok(mp_supervisor_stop(s));
    mp_assert_ok(mp_supervisor_stop(s));
    mp_assert_ok(mp_supervisor_run(s, MP_FOREVER));
    ck_assert_int_lt(kill(atomic_load(&sh->pid[0]), 0), 0);
    mp_supervisor_free(s);
}

static int return_7(void *arg)
{
    return arg ? *(int *)arg : 7;
}
MP_TASK(return_7);

MP_TEST(by_other_start_methods)
{
    mp_supervisor *s;
    int eight = 8;
    mp_supervised c[] = {{.fn = return_7, .opts = {.start = MP_START_SPAWN}},
                         {.fn = return_7,
                          .arg = &eight,
                          .opts = {.start = MP_START_FORKSERVER, .arg_size = sizeof eight}}};
    mp_supervisor_opts o = {.restarts = 3, .within_ms = 600000};
    mp_assert_ok(mp_supervisor_new(&s, c, 2, &o));
    mp_assert_err(mp_supervisor_run(s, PATIENCE), MP_EBROKEN);
    ck_assert(strstr(mp_supervisor_error(s), "ended with 7") ||
              strstr(mp_supervisor_error(s), "ended with 8"));
    mp_supervisor_free(s);
}

MP_TEST(its_descriptor_tells_when_to_run)
{
    mp_supervisor *s;
    make_shared();
    mp_supervised c = child(0, stay, MP_RESTART_ALWAYS);
    mp_assert_ok(mp_supervisor_new(&s, &c, 1, NULL));
    struct pollfd f = {.fd = mp_supervisor_fd(s), .events = POLLIN};
    ck_assert_int_eq(poll(&f, 1, 0), 0);
    mp_assert_ok(mp_process_kill(mp_supervisor_process(s, 0)));
    ck_assert_int_eq(poll(&f, 1, PATIENCE), 1);
    mp_assert_err(mp_supervisor_run(s, 0), MP_ETIMEDOUT);
    ck_assert_uint_eq(mp_supervisor_restarts(s), 1);
    mp_supervisor_free(s);
}

static int use_inherited(void *arg)
{
    mptest_require(mp_supervisor_run(arg, 0) == MP_EOWNER);
    mptest_require(mp_supervisor_stop(arg) == MP_EOWNER);
    mptest_require(mp_supervisor_process(arg, 0) == NULL);
    mp_supervisor_free(arg);
    return 0;
}

MP_TEST(misuse)
{
    mp_supervisor *s;
    mp_pipe *a, *b, *give[] = {NULL, NULL};
    make_shared();
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_handle h = MP_HANDLE(a);
    mp_supervised ok = child(0, stay, MP_RESTART_ALWAYS), bad = ok;
    mp_assert_err(mp_supervisor_new(NULL, &ok, 1, NULL), MP_EINVAL);
    mp_assert_err(mp_supervisor_new(&s, NULL, 1, NULL), MP_EINVAL);
    mp_assert_err(mp_supervisor_new(&s, &ok, 0, NULL), MP_EINVAL);
    mp_assert_err(mp_supervisor_new(&s, &ok, SIZE_MAX, NULL), MP_EINVAL);
    mp_assert_err(mp_supervisor_new(&s, &ok, 1, &(mp_supervisor_opts){.restarts = -1}), MP_EINVAL);
    mp_assert_err(mp_supervisor_new(&s, &ok, 1, &(mp_supervisor_opts){.strategy = 3}), MP_EINVAL);
    bad.fn = NULL;
    mp_assert_err(mp_supervisor_new(&s, &bad, 1, NULL), MP_EINVAL);
    bad = ok;
    bad.stop_ms = -2;
    mp_assert_err(mp_supervisor_new(&s, &bad, 1, NULL), MP_EINVAL);
    bad = ok;
    bad.opts.handles = &h;
    bad.opts.n_handles = 1;
    mp_assert_err(mp_supervisor_new(&s, &bad, 1, NULL), MP_EINVAL);
    bad = ok;
    give[0] = a;
    bad.opts.give = give;
    mp_assert_err(mp_supervisor_new(&s, &bad, 1, NULL), MP_EINVAL);
    // A child that cannot be started takes the others with it.
    mp_supervised two[] = {ok, {.fn = stay, .opts = {.start = MP_START_SPAWN}}};
    mp_assert_err(mp_supervisor_new(&s, two, 2, NULL), MP_ENOFUNC);
    ck_assert_ptr_null(s);
    mp_assert_err(mp_supervisor_run(NULL, 0), MP_EINVAL);
    mp_assert_err(mp_supervisor_stop(NULL), MP_EINVAL);
    mp_assert_err(mp_supervisor_fd(NULL), MP_EINVAL);
    mp_assert_ok(mp_supervisor_new(&s, &ok, 1, NULL));
    mp_assert_err(mp_supervisor_run(s, -2), MP_EINVAL);
    ck_assert_ptr_null(mp_supervisor_process(s, 1));
    ck_assert_int_eq(mptest_in_child(use_inherited, s), 0);
    mp_supervisor_free(s);
    mp_supervisor_free(NULL);
    mp_pipe_free(a);
    mp_pipe_free(b);
}
