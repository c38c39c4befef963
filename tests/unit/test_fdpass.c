// SPDX-License-Identifier: MIT
#include "mptest.h"
#include "os/fdpass.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int s[2];

static void open_pair(int type)
{
    ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, s), 0);
}

static void close_pair(void)
{
    close(s[0]);
    close(s[1]);
}

static bool same_file(int a, int b)
{
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

static void all_types(void (*test)(void))
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    for (int i = 0; i < 3; i++) {
        open_pair(types[i]);
        test();
        close_pair();
    }
}

static void pass_three(void)
{
    int pipe_fds[2], out[3] = {0, 0, 0}, in[5];
    size_t n = 5;
    char text[20];
    ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
    out[0] = pipe_fds[0], out[1] = pipe_fds[1];
    mp_assert_ok(mp__fds_send(s[0], out, 3, "hello", 6));
    ck_assert_int_eq(mp__fds_recv(s[1], in, &n, text, sizeof text), 6);
    ck_assert_str_eq(text, "hello");
    ck_assert_uint_eq(n, 3);
    for (int i = 0; i < 3; i++) {
        ck_assert(same_file(in[i], out[i]));
        ck_assert_int_eq(fcntl(in[i], F_GETFD), FD_CLOEXEC);
        close(in[i]);
    }
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

MP_TEST(descriptors_travel_with_bytes)
{
    all_types(pass_three);
}

static void pass_none(void)
{
    size_t n = 0;
    char c;
    mp_assert_ok(mp__fds_send(s[0], NULL, 0, "x", 1));
    ck_assert_int_eq(mp__fds_recv(s[1], NULL, &n, &c, 1), 1);
    ck_assert_int_eq(c, 'x');
    int fd;
    n = 1;
    mp_assert_ok(mp__fds_send(s[0], NULL, 0, "y", 1));
    ck_assert_int_eq(mp__fds_recv(s[1], &fd, &n, &c, 1), 1);
    ck_assert_uint_eq(n, 0);
}

MP_TEST(bytes_may_travel_alone)
{
    all_types(pass_none);
}

MP_TEST(as_many_as_the_kernel_takes)
{
    int out[MP__FDPASS_MAX + 1] = {0}, in[MP__FDPASS_MAX];
    size_t n = MP__FDPASS_MAX;
    char c;
    mptest_need_fds(MP__FDPASS_MAX + 50);
    open_pair(SOCK_STREAM);
    mp_assert_ok(mp__fds_send(s[0], out, MP__FDPASS_MAX, "x", 1));
    ck_assert_int_eq(mp__fds_recv(s[1], in, &n, &c, 1), 1);
    ck_assert_uint_eq(n, MP__FDPASS_MAX);
    for (size_t i = 0; i < n; i++)
        close(in[i]);
    mp_assert_err(mp__fds_send(s[0], out, MP__FDPASS_MAX + 1, "x", 1), MP_EINVAL);
    close_pair();
}

// More than wanted, by one (which the rounding of the control buffer lets through), by
// many, and where none is wanted: an error, and nothing stays open.
static void pass_too_many(void)
{
    int out[9] = {0}, in[9], before = mptest_fd_count();
    char c;
    for (size_t room = 0; room < 9; room++)
        for (size_t sent = room + 1; sent <= 9; sent++) {
            size_t n = room;
            mp_assert_ok(mp__fds_send(s[0], out, sent, "x", 1));
            mp_assert_err(mp__fds_recv(s[1], in, &n, &c, 1), MP_EPROTO);
            ck_assert_uint_eq(n, 0);
        }
    ck_assert_int_eq(mptest_fd_count(), before);
}

MP_TEST(too_many_descriptors_are_closed)
{
    all_types(pass_too_many);
}

MP_TEST(a_full_table_is_an_error)
{
    int out[8] = {0}, in[8], before;
    size_t n = 8;
    char c;
    struct rlimit old, l;
    open_pair(SOCK_STREAM);
    mp_assert_ok(mp__fds_send(s[0], out, 8, "x", 1));
    before = mptest_fd_count();
    getrlimit(RLIMIT_NOFILE, &old);
    l = old;
    l.rlim_cur = (rlim_t)s[1] + 4; // room for three
    setrlimit(RLIMIT_NOFILE, &l);
    int err = mp__fds_recv(s[1], in, &n, &c, 1);
    setrlimit(RLIMIT_NOFILE, &old);
    ck_assert_int_eq(err, -EMFILE);
    ck_assert_int_eq(mptest_fd_count(), before);
    close_pair();
}

MP_TEST(a_long_datagram_is_an_error)
{
    int in[2], fd = 0;
    size_t n = 2;
    char buf[3];
    open_pair(SOCK_SEQPACKET);
    mp_assert_ok(mp__fds_send(s[0], &fd, 1, "longer", 6));
    mp_assert_err(mp__fds_recv(s[1], in, &n, buf, 3), MP_EPROTO);
    close_pair(); // the runner looks for the descriptor
}

MP_TEST(ends_and_full_sockets)
{
    int fd = 0, r, in;
    size_t n = 1;
    char big[4096] = "", c;
    open_pair(SOCK_STREAM);
    fcntl(s[0], F_SETFL, O_NONBLOCK);
    mp_assert_err(mp__fds_recv(s[0], &in, &n, &c, 1), MP_EAGAIN);
    while ((r = mp__fds_send(s[0], &fd, 1, big, sizeof big)) == 0)
        ;
    // Either the socket or the number of descriptors in flight is full.
    ck_assert_msg(r == MP_EAGAIN || r == -ETOOMANYREFS, "%s", mp_err_name(r));
    close_pair();

    open_pair(SOCK_STREAM);
    close(s[1]);
    mp_assert_err(mp__fds_send(s[0], &fd, 1, "x", 1), MP_EPIPE); // and no SIGPIPE
    n = 1;
    mp_assert_err(mp__fds_recv(s[0], &in, &n, &c, 1), MP_EOF);
    close(s[0]);
}

MP_TEST(bad_arguments)
{
    int fd = 0;
    size_t n = 1, many = MP__FDPASS_MAX + 1;
    char c;
    open_pair(SOCK_STREAM);
    mp_assert_err(mp__fds_send(s[0], &fd, 1, "x", 0), MP_EINVAL);
    mp_assert_err(mp__fds_send(s[0], &fd, 1, NULL, 1), MP_EINVAL);
    mp_assert_err(mp__fds_send(s[0], NULL, 1, "x", 1), MP_EINVAL);
    mp_assert_err(mp__fds_recv(s[0], &fd, NULL, &c, 1), MP_EINVAL);
    mp_assert_err(mp__fds_recv(s[0], NULL, &n, &c, 1), MP_EINVAL);
    mp_assert_err(mp__fds_recv(s[0], &fd, &n, NULL, 1), MP_EINVAL);
    mp_assert_err(mp__fds_recv(s[0], &fd, &many, &c, 1), MP_EINVAL);
    ck_assert_int_eq(mp__fds_send(-1, &fd, 1, "x", 1), -EBADF);
    fd = 9999;
    ck_assert_int_eq(mp__fds_send(s[0], &fd, 1, "x", 1), -EBADF);
    close_pair();
}
