// SPDX-License-Identifier: MIT
//
// A manager of a program's own, with a type of the program's.
#include "managertest.h"

#include <errno.h>
#include <mp/loop.h>
#include <mp/manager_start.h>
#include <unistd.h>

struct account {
    int64_t sum;
};

static int account_new(mp_manager_call *call, void **state)
{
    int64_t sum;
    int r = mp_manager_args(call, "I", &sum);
    if (r < 0)
        return r;
    struct account *a = malloc(sizeof *a);
    if (!a)
        return -ENOMEM;
    a->sum = sum;
    *state = a;
    return 0;
}

static int add(mp_manager_call *call, void *state)
{
    struct account *a = state;
    int64_t by;
    int r = mp_manager_args(call, "I", &by);
    if (r < 0)
        return r;
    if (a->sum + by < 0) {
        mp_manager_error(call, "there is not so much");
        return MP_EINVAL;
    }
    a->sum += by;
    return mp_manager_result(call, "I", a->sum);
}

// Waits until there is enough.
static int take(mp_manager_call *call, void *state)
{
    struct account *a = state;
    int64_t want;
    int r = mp_manager_args(call, "I", &want);
    if (r < 0)
        return r;
    if (a->sum < want)
        return MP_MANAGER_WAIT;
    a->sum -= want;
    return mp_manager_result(call, "I", a->sum);
}

static const mp_manager_method methods[] = {
    {"add", MP_MANAGER_CHANGES, add, "by: the sum"},
    {"take", MP_MANAGER_CHANGES, take, "so much, when it is there: what is left"},
    {0},
};
static const mp_manager_type account = {MP_MANAGER_TYPE, "account", account_new, free,
                                        methods,         NULL,      NULL};
static const mp_manager_type *const types[] = {&account, NULL};

static mp_manager_process *begin(void)
{
    mp_manager_process *p;
    manager_place();
    int r = mp_manager_start(&p, &(mp_manager_start_opts){.types = types,
                                                          .error = manager_error,
                                                          .error_size = sizeof manager_error});
    ck_assert_msg(r == 0, "%s: %s", mp_err_name(r), manager_error);
    return p;
}

MP_TEST(types_of_the_program)
{
    mp_manager *m;
    mp_proxy *a, *same;
    int64_t n;
    int status;
    mp_buf b = {0};
    char text[40];
    mp_manager_process *p = begin();
    mp_assert_ok(mp_connect_manager(&m, mp_manager_process_path(p), NULL));
    mp_assert_ok(mp_manager_get(m, &a, "till", "account", "I", (int64_t)10));
    mp_assert_ok(mp_call(a, NULL, 0, "add", "I > I", (int64_t)5, &n));
    ck_assert_int_eq(n, 15);
    mp_assert_err(mp_call(a, &b, 0, "add", "I", (int64_t)-100), MP_EINVAL);
    mp_assert_ok(mp_unpack(b.data, b.size, "s", text, sizeof text));
    ck_assert_str_eq(text, "there is not so much");
    mp_assert_err(mp_call(a, NULL, 0, "fly", ""), MP_ENOFUNC);
    mp_assert_err(mp_call(a, NULL, 0, "take", "I", (int64_t)20), MP_EAGAIN);
    mp_assert_err(mp_call(a, NULL, 10, "take", "I", (int64_t)20), MP_ETIMEDOUT);
    pid_t pid = fork();
    if (pid == 0) {
        mptest_require(mp_manager_process_stop(p, 0) == MP_EOWNER);
        mptest_require(mp_manager_open(m, &same, "till") == 0);
        mptest_require(mp_call(same, NULL, LONG_MS, "take", "I > I", (int64_t)20, &n) == 0);
        mptest_require(n == 3);
        mp_proxy_free(same);
        mp_proxy_free(a);
        mp_manager_free(m);
        mp_manager_process_free(p);
        free(b.data);
        _exit(0);
    }
    mp_assert_ok(mp_call(a, NULL, 0, "add", "I", (int64_t)8));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    mp_buf_free(&b);
    mp_proxy_free(a);
    mp_assert_ok(mp_manager_process_stop(p, LONG_MS));
    mp_assert_ok(mp_manager_process_stop(p, 0));
    mp_assert_err(mp_call(mp_manager_self(m), NULL, 0, "ping", ""), MP_ELOST);
    mp_manager_free(m);
    mp_manager_process_free(p);
    manager_clean();
}

MP_TEST(it_ends_with_its_owner)
{
    int fds[2], status;
    char path[200] = "";
    mp_manager *m;
    manager_place();
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        mp_manager_process *p = begin();
        const char *where = mp_manager_process_path(p);
        mptest_require(write(fds[1], where, strlen(where) + 1) > 0);
        for (;;)
            pause();
    }
    ck_assert_int_gt(read(fds[0], path, sizeof path), 0);
    mp_assert_ok(mp_connect_manager(&m, path, NULL));
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    bool ended =
        mptest_eventually(mp_call(mp_manager_self(m), NULL, 0, "ping", "") == MP_ELOST, LONG_MS);
    ck_assert(ended);
    bool gone = mptest_eventually(access(path, F_OK) != 0, LONG_MS);
    ck_assert(gone);
    mp_manager_free(m);
    close(fds[0]);
    close(fds[1]);
    manager_clean();
}

// Nobody waits for the end of a pipe that only the manager has.
MP_TEST(it_holds_nothing_of_its_owner)
{
    int fds[2];
    char c;
    ck_assert_int_eq(pipe(fds), 0);
    mp_manager_process *p = begin();
    close(fds[1]);
    ck_assert_int_eq(read(fds[0], &c, 1), 0);
    close(fds[0]);
    mp_manager_process_free(p);
    manager_clean();
}

MP_TEST(a_type_that_makes_no_sense)
{
    static const mp_manager_type bad = {MP_MANAGER_TYPE, "dict", account_new, free,
                                        methods,         NULL,   NULL};
    static const mp_manager_type *const bad_types[] = {&bad, NULL};
    mp_manager_process *p;
    manager_place();
    mp_manager_start_opts o = {
        .types = bad_types, .error = manager_error, .error_size = sizeof manager_error};
    mp_assert_err(mp_manager_start(&p, &o), MP_EINVAL);
    ck_assert_ptr_null(p);
    ck_assert_msg(strstr(manager_error, "type dict") != NULL, "%s", manager_error);
    mp_assert_err(mp_manager_start(NULL, NULL), MP_EINVAL);
    mp_manager_process_free(NULL);
    manager_clean();
}

static void stop_loop(mp_watch *w, int sig, void *arg)
{
    (void)w;
    (void)sig;
    mp_loop_stop(arg);
}

// What a loop has of its own in this process (libuv's pipe for signals, which stays open: so a
// process of its own) is not closed under it, there and in the manager.
static int have_a_loop(void)
{
    mp_loop *loop;
    mp_watch *w;
    mp_manager *m;
    mp_manager_process *p;
    mptest_require(mp_loop_new(&loop) == 0);
    mptest_require(mp_loop_add_signal(loop, &w, SIGUSR1, stop_loop, loop) == 0);
    raise(SIGUSR1);
    mptest_require(mp_loop_run_forever(loop) == 0);
    mptest_require(mp_manager_start(&p, NULL) == 0);
    mptest_require(mp_connect_manager(&m, mp_manager_process_path(p), NULL) == 0);
    mptest_require(mp_call(mp_manager_self(m), NULL, 0, "ping", "") == 0);
    mp_manager_free(m);
    mptest_require(mp_manager_process_stop(p, LONG_MS) == 0); // by a signal, in time:
    mptest_require(access(mp_manager_process_path(p), F_OK) < 0);
    mp_manager_process_free(p);
    raise(SIGUSR1);
    mptest_require(mp_loop_run_forever(loop) == 0);
    mp_loop_free(loop);
    return 0;
}

MP_TEST(a_program_that_has_a_loop)
{
    int status;
    manager_place();
    pid_t pid = fork();
    if (pid == 0)
        _exit(have_a_loop());
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    manager_clean();
}
