// SPDX-License-Identifier: MIT
//
// What the system does to the start of a process, by every method. Fault rows 13 to 15: forks and
// calls that are refused, signals all the time.
#include "crew.h"

#include <errno.h>
#include <mp/process.h>
#include <sys/syscall.h>

#define PATIENCE 10000

static const mp_start methods[] = {MP_START_FORK, MP_START_FORKSERVER, MP_START_SPAWN};

static int five(void *arg)
{
    (void)arg;
    return 5;
}
MP_TASK(five);

struct refusal {
    long call;
    int error;
    mp_start method;
};

// Whoever is refused it, the new process or this one: that is the error, and nothing is left.
static int start_one(void *arg)
{
    const struct refusal *r = arg;
    mp_process *p = (mp_process *)arg;
    int fds = mptest_fd_count();
    if (!crew_refuse(r->call, r->error))
        return 77;
    for (int i = 0; i < 3; i++) {
        int result = mp_process_start(&p, five, NULL, &(mp_process_opts){.start = r->method});
        if (result != -r->error)
            dprintf(2, "%s: call %ld: %s\n", mp_start_name(r->method), r->call,
                    mp_err_name(result));
        mptest_require(result == -r->error && !p);
        mptest_require(mptest_fd_count() == fds);
        mptest_require(mp_process_active_children(NULL, 0) == 0);
        mptest_require(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    }
    return 0;
}

MP_TEST(a_start_that_is_refused_leaves_nothing)
{
    static const struct refusal calls[] = {{SYS_clone, EAGAIN, 0},
                                           {SYS_pidfd_open, ENOSYS, 0},
                                           {SYS_pidfd_open, EMFILE, 0},
                                           {SYS_pipe2, EMFILE, 0}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (size_t m = 0; m < 3; m++) {
            struct refusal r = calls[i];
            r.method = methods[m];
            int code = mptest_in_child(start_one, &r);
            if (code == 77)
                mp_skip("seccomp filters are not allowed here");
            ck_assert_int_eq(code, 0);
        }
}

MP_TEST(signals_all_the_time_disturb_no_start)
{
    crew_storm(true);
    for (size_t i = 0; i < 300; i++) {
        mp_process *p;
        int code = 0;
        mp_assert_ok(mp_process_start(&p, five, NULL, &(mp_process_opts){.start = methods[i % 3]}));
        mp_assert_ok(mp_process_join(p, PATIENCE));
        mp_assert_ok(mp_process_exitcode(p, &code));
        ck_assert_int_eq(code, 5);
        mp_process_free(p);
    }
    crew_storm(false);
}
