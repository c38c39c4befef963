// SPDX-License-Identifier: MIT
//
// Pipe ends that go to a child when it starts.
#include "mptest.h"

#include <errno.h>
#include <mp/pipe.h>
#include <mp/process.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#define LONG_MS 15000

static int end_of(mp_process *p)
{
    int code = 12345;
    mp_assert_ok(mp_process_join(p, LONG_MS));
    mp_assert_ok(mp_process_exitcode(p, &code));
    mp_process_free(p);
    return code;
}

static int answer(void *arg)
{
    mp_pipe *p = arg;
    char buf[64];
    int64_t n;
    while ((n = mp_pipe_recv(p, buf, sizeof buf, LONG_MS)) >= 0)
        mptest_require(mp_pipe_send(p, buf, (size_t)n, LONG_MS) == 0);
    mp_pipe_free(p);
    return n == MP_EOF ? 0 : 1;
}

MP_TEST(the_child_owns_what_it_was_given)
{
    mp_pipe *a, *b;
    mp_process *p;
    char buf[64];
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_process_opts opts = {.give = (mp_pipe *[]){b, NULL}};
    mp_assert_ok(mp_process_start(&p, answer, b, &opts));
    mp_assert_err(mp_pipe_send(b, "x", 1, 0), MP_EOWNER);
    mp_pipe_free(b);
    for (int i = 0; i < 100; i++) {
        mp_assert_ok(mp_pipe_send(a, &i, sizeof i, LONG_MS));
        ck_assert_int_eq(mp_pipe_recv(a, buf, sizeof buf, LONG_MS), sizeof i);
        ck_assert_int_eq(memcmp(buf, &i, sizeof i), 0);
    }
    mp_pipe_close(a);
    ck_assert_int_eq(end_of(p), 0);
    mp_pipe_free(a);
}

MP_TEST(its_death_is_the_end_of_the_pipe)
{
    mp_pipe *a, *b;
    mp_process *p;
    char c;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_process_opts opts = {.give = (mp_pipe *[]){b, NULL}};
    mp_assert_ok(mp_process_start(&p, answer, b, &opts));
    mp_pipe_free(b);
    mp_process_kill(p);
    mp_assert_err(mp_pipe_recv(a, &c, 1, LONG_MS), MP_EOF);
    mp_assert_err(mp_pipe_send(a, "x", 1, LONG_MS), MP_EPIPE);
    ck_assert_int_eq(end_of(p), -SIGKILL);
    mp_pipe_free(a);
}

struct two {
    mp_pipe *in, *out;
};

static int relay(void *arg)
{
    struct two *t = arg;
    char buf[64];
    int64_t n;
    while ((n = mp_pipe_recv(t->in, buf, sizeof buf, LONG_MS)) >= 0)
        mptest_require(mp_pipe_send(t->out, buf, (size_t)n, LONG_MS) == 0);
    return n == MP_EOF ? 0 : 1;
}

// Four children in a row. Each end is in one process only, so that the end of data runs
// through all of them.
MP_TEST(a_row_of_children)
{
    mp_pipe *r[5], *w[5];
    mp_process *p[4];
    char buf[64] = "";
    mp_pipe_opts oneway = {.oneway = true};
    for (int i = 0; i < 5; i++)
        mp_assert_ok(mp_pipe_new(&r[i], &w[i], &oneway));
    for (int i = 0; i < 4; i++) {
        struct two t = {r[i], w[i + 1]};
        mp_process_opts opts = {.give = (mp_pipe *[]){r[i], w[i + 1], NULL}};
        mp_assert_ok(mp_process_start(&p[i], relay, &t, &opts));
    }
    mp_assert_ok(mp_pipe_send(w[0], "hello", 6, LONG_MS));
    ck_assert_int_eq(mp_pipe_recv(r[4], buf, sizeof buf, LONG_MS), 6);
    ck_assert_str_eq(buf, "hello");
    mp_pipe_close(w[0]);
    mp_assert_err(mp_pipe_recv(r[4], buf, sizeof buf, LONG_MS), MP_EOF);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(end_of(p[i]), 0);
    for (int i = 0; i < 5; i++) {
        mp_pipe_free(r[i]);
        mp_pipe_free(w[i]);
    }
}

static int return_zero(void *arg)
{
    (void)arg;
    return 0;
}

MP_TEST(a_failed_start_gives_nothing_away)
{
    mp_pipe *a, *b, *closed, *other;
    mp_process *p;
    char c = 0;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_assert_ok(mp_pipe_new(&closed, &other, NULL));
    mp_pipe_close(closed);
    mp_process_opts opts = {.give = (mp_pipe *[]){b, closed, NULL}};
    mp_assert_err(mp_process_start(&p, return_zero, NULL, &opts), MP_ECLOSED);
    opts.give = (mp_pipe *[]){b, b, NULL};
    mp_assert_err(mp_process_start(&p, return_zero, NULL, &opts), MP_EINVAL);

    // Without descriptors: before the fork, and after it, when there is one too few.
    opts.give = (mp_pipe *[]){b, NULL};
    struct rlimit old, l;
    getrlimit(RLIMIT_NOFILE, &old);
    int top = dup(0);
    close(top);
    for (int room = 0; room < 3; room++) {
        l = (struct rlimit){(rlim_t)(top + room), old.rlim_max};
        setrlimit(RLIMIT_NOFILE, &l);
        int r = mp_process_start(&p, return_zero, NULL, &opts);
        setrlimit(RLIMIT_NOFILE, &old);
        mp_assert_err(r, -EMFILE);
    }
    mp_assert_ok(mp_pipe_send(b, "x", 1, LONG_MS));
    ck_assert_int_eq(mp_pipe_recv(a, &c, 1, LONG_MS), 1);
    mp_assert_ok(mp_pipe_send(a, "y", 1, LONG_MS));
    ck_assert_int_eq(mp_pipe_recv(b, &c, 1, LONG_MS), 1);

    // And it can still be given.
    mp_assert_ok(mp_process_start(&p, answer, b, &opts));
    mp_assert_err(mp_process_start(&(mp_process *){NULL}, answer, b, &opts), MP_EOWNER);
    mp_pipe_free(a);
    ck_assert_int_eq(end_of(p), 0);
    mp_pipe_free(b);
    mp_pipe_free(closed);
    mp_pipe_free(other);
}
