// SPDX-License-Identifier: MIT
//
// Two network namespaces, joined by a veth pair, stand for two machines: the listener is in
// one, who connects in the other, and the link between them goes down and up.
#include "urltest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/wait.h>

#define HERE  "10.99.7.1"
#define THERE "10.99.7.2"

// More than fits into all buffers in between.
enum { MESSAGES = 40000, CUT_AT = 5000, SIZE = 1000 };

static void ip(const char *format, ...) MP_PRINTF(1, 2);
static void ip(const char *format, ...)
{
    char command[200] = "ip ";
    va_list a;
    va_start(a, format);
    vsnprintf(command + 3, sizeof command - 3, format, a);
    va_end(a);
    ck_assert_msg(system(command) == 0, "%s", command); // NOLINT(cert-env33-c)
}

static void write_key(void)
{
    int fd = open("key", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, "0123456789abcdef", 16), 16);
    close(fd);
}

// The other machine: sends numbered messages, and waits for an answer.
static int be_there(int go, int ready, bool to_its_end)
{
    char url[100], byte;
    mp_pipe *p;
    mp_url_opts o = {.error = url_error, .error_size = sizeof url_error, .key_file = "key"};
    o.alive_ms = to_its_end ? 0 : 2000;
    if (unshare(CLONE_NEWNET) < 0)
        return 77;
    mptest_require(write(ready, "", 1) == 1);
    ssize_t n = read(go, url, sizeof url);
    mptest_require(n > 0);
    if (system("ip addr add " THERE "/24 dev there && ip link set there up") != 0) // NOLINT
        return 98;
    int r = mp_connect(&p, url, &o);
    if (r < 0)
        dprintf(2, "%s\n", url_error);
    mptest_require(r == 0);
    static int data[SIZE / sizeof(int)];
    for (int i = 0; to_its_end && i < MESSAGES; i++) {
        data[0] = i;
        mptest_require(mp_pipe_send(p, data, SIZE, 60000) == 0);
    }
    if (to_its_end)
        mptest_require(mp_pipe_recv(p, &byte, 1, 60000) == 1);
    mptest_require(mp_pipe_recv(p, &byte, 1, 60000) == (to_its_end ? MP_EOF : MP_EBROKEN));
    mp_pipe_free(p);
    return 0;
}

static void receive_with_a_cut(mp_pipe *p)
{
    int got[SIZE / sizeof(int)];
    for (int i = 0; i < MESSAGES; i++) {
        ck_assert_int_eq(mp_pipe_recv(p, got, SIZE, 60000), SIZE);
        ck_assert_int_eq(got[0], i);
        if (i == CUT_AT) {
            ip("link set here down");
            // What had come can still be read; then nothing comes, and nothing is wrong.
            while (mp_pipe_poll(p, 300)) {
                ck_assert_int_eq(mp_pipe_recv(p, got, SIZE, 0), SIZE);
                ck_assert_int_eq(got[0], ++i);
            }
            ck_assert_int_lt(i + 1, MESSAGES);
            ip("link set here up");
        }
    }
}

// Its machine is gone, and there is nobody who could say so.
static void silence(mp_pipe *p)
{
    char byte;
    ip("link set here down");
    mp_assert_err(mp_pipe_recv(p, &byte, 1, 60000), MP_EBROKEN);
    ip("link set here up");
}

static void talk_over_the_link(int go, pid_t there, bool to_its_end)
{
    mp_listener *l;
    mp_pipe *p;
    mp_url_opts o = url_opts(&tcp, true);
    o.alive_ms = to_its_end ? 0 : 2000;
    ip("link add here type veth peer name there");
    ip("link set there netns %d", (int)there);
    ip("addr add " HERE "/24 dev here");
    ip("link set here up");
    o.key_file = "key";
    url_assert_ok(mp_listen(&l, "tcp://" HERE ":0", &o));
    ck_assert_int_gt(write(go, mp_listener_url(l), strlen(mp_listener_url(l)) + 1), 0);
    mp_assert_ok(mp_accept(l, &p, LONG_MS));
    if (to_its_end) {
        receive_with_a_cut(p);
        mp_assert_ok(mp_pipe_send(p, "", 1, LONG_MS));
    } else {
        silence(p);
    }
    mp_pipe_free(p);
    mp_listener_free(l);
}

static void two_machines(bool to_its_end)
{
    int go[2], ready[2], status;
    char byte;
    if (unshare(CLONE_NEWNET) < 0)
        mp_skip("needs the privilege to make a network namespace");
    if (system("command -v ip >/dev/null && ip link set lo up") != 0) // NOLINT(cert-env33-c)
        mp_skip("the command ip is not installed (iproute2)");
    write_key();
    ck_assert_int_eq(pipe2(go, O_CLOEXEC) + pipe2(ready, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(be_there(go[0], ready[1], to_its_end));
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    talk_over_the_link(go[1], pid, to_its_end);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(ready[i]);
    }
    unlink("key");
}

MP_TEST_TIMEOUT(a_link_may_go_down_and_up, 120)
{
    two_machines(true);
}

MP_TEST_TIMEOUT(a_machine_that_falls_silent_is_given_up, 120)
{
    two_machines(false);
}
