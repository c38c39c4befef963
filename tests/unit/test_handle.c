// SPDX-License-Identifier: MIT
//
// What mp/handle.h promises, with both ends in one process. Several processes are in
// process/test_handle_chain.c, death and enemies in fault/test_handle_faults.c.
#include "mptest.h"

#include "channel/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/event.h>
#include <mp/handle.h>
#include <mp/queue.h>
#include <mp/wait.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#define LONG_MS 20000

static mp_pipe *a, *b;

static void open_pair(void)
{
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
}

static void close_pair(void)
{
    mp_pipe_free(a);
    mp_pipe_free(b);
}

// An open file that can be told from others: its value is n.
static int token(unsigned n)
{
    int fd = eventfd(n, EFD_CLOEXEC | EFD_NONBLOCK);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static uint64_t value_of(int fd)
{
    uint64_t n = 0;
    ck_assert_int_eq(read(fd, &n, sizeof n), sizeof n);
    return n;
}

// Sends a token from a, which has no descriptor of it afterwards.
static void send_token(unsigned n)
{
    int fd = token(n);
    mp_assert_ok(mp_pipe_send_fd(a, fd, LONG_MS));
    close(fd);
}

static void recv_token(mp_pipe *p, unsigned n)
{
    int fd = mp_pipe_recv_fd(p, LONG_MS);
    mp_assert_ok(fd);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert_uint_eq(value_of(fd), n);
    close(fd);
}

MP_TEST(bad_arguments_are_refused)
{
    char buf[4];
    mp_pipe *end = (mp_pipe *)1;
    size_t n = 1;
    open_pair();
    mp_handle h = MP_HANDLE(0), none = {0}, unknown = {.kind = (mp_handle_kind)1000};
    mp_assert_err(mp_pipe_send_handles(NULL, "x", 1, &h, 1, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_send_handles(a, NULL, 1, &h, 1, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_send_handles(a, "x", 1, NULL, 1, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_send_handles(a, "x", 1, &h, 1, -2), MP_EINVAL);
    mp_assert_err(mp_pipe_send_handles(a, "x", 1, &none, 1, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_send_handles(a, "x", 1, &unknown, 1, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_send_handles(a, "x", SIZE_MAX, &h, 1, 0), MP_EMSGSIZE);
    mp_assert_err(mp_pipe_send_handles(a, "x", 1, &h, SIZE_MAX, 0), MP_EMSGSIZE);
    mp_assert_err(mp_pipe_send_fd(a, -1, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_send_fd(a, 99999, 0), -EBADF);
    mp_assert_err(mp_pipe_send_pipe(a, NULL, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_recv_handles(NULL, buf, 4, &h, &n, 0), MP_EINVAL);
    n = 1;
    mp_assert_err(mp_pipe_recv_handles(b, NULL, 4, &h, &n, 0), MP_EINVAL);
    n = 1;
    mp_assert_err(mp_pipe_recv_handles(b, buf, 4, NULL, &n, 0), MP_EINVAL);
    n = 1;
    mp_assert_err(mp_pipe_recv_handles(b, buf, 4, &h, &n, -2), MP_EINVAL);
    mp_assert_err(mp_pipe_recv_handles(b, buf, 4, NULL, NULL, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_pipe_recv_fd(b, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_pipe_recv_fd(b, -2), MP_EINVAL);
    mp_assert_err(mp_pipe_recv_pipe(b, NULL, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_recv_pipe(NULL, &end, 0), MP_EINVAL);
    ck_assert_ptr_null(end);
    mp_assert_err(mp_handle_take_fd(NULL), MP_EINVAL);
    mp_assert_err(mp_handle_take_pipe(NULL, &end), MP_EINVAL);
    mp_assert_err(mp_handle_take_pipe(&none, NULL), MP_EINVAL);
    mp_handle_close(NULL, 3);
    mp_handle_close(&none, 1);
    mp_handle_close(&unknown, 1);
    ck_assert_int_eq(mp_pipe_poll(b, 0), 0); // nothing came of any of them
    close_pair();
}

MP_TEST(bytes_and_handles_arrive_together_and_in_order)
{
    char buf[40], want[40];
    mp_handle h[3];
    open_pair();
    for (unsigned i = 0; i < 40; i++) {
        int n = snprintf(want, sizeof want, "message %u", i);
        for (unsigned k = 0; k < i % 4; k++)
            h[k] = MP_HANDLE(token(i * 4 + k + 1));
        mp_assert_ok(mp_pipe_send_handles(a, want, (size_t)n, h, i % 4, 0));
        for (unsigned k = 0; k < i % 4; k++)
            close(h[k].fd);
    }
    for (unsigned i = 0; i < 40; i++) {
        size_t n = 3;
        int64_t len = mp_pipe_recv_handles(b, buf, sizeof buf, h, &n, 0);
        ck_assert_int_eq(len, snprintf(want, sizeof want, "message %u", i));
        ck_assert_int_eq(memcmp(buf, want, (size_t)len), 0);
        ck_assert_uint_eq(n, i % 4);
        for (unsigned k = 0; k < n; k++) {
            int fd = mp_handle_take_fd(&h[k]);
            ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
            ck_assert_uint_eq(value_of(fd), i * 4 + k + 1);
            close(fd);
        }
    }
    close_pair();
}

MP_TEST(other_calls_leave_a_message_with_handles)
{
    char buf[10];
    void *data;
    open_pair();
    mp_handle h = MP_HANDLE(token(5));
    mp_assert_ok(mp_pipe_send_handles(a, "12345", 5, &h, 1, 0));
    close(h.fd);
    for (int i = 0; i < 3; i++) {
        size_t none = 0;
        mp_wait_item item = MP_WAIT_PIPE(b);
        mp_assert_err(mp_pipe_recv(b, buf, sizeof buf, 0), MP_ETYPE);
        mp_assert_err(mp_pipe_recv_new(b, &data, 0), MP_ETYPE);
        ck_assert_ptr_null(data);
        ck_assert_int_eq(mp_pipe_next_size(b, 0), 5);
        ck_assert_int_eq(mp_pipe_poll(b, 0), 1);
        ck_assert_int_eq(mp_wait(&item, 1, 0), 1);
        mp_assert_err(mp_pipe_recv_fd(b, 0), MP_ETYPE); // there are bytes
        mp_assert_err(mp_pipe_recv_handles(b, buf, 4, &h, &(size_t){1}, 0), MP_EMSGSIZE);
        mp_assert_err(mp_pipe_recv_handles(b, buf, 10, NULL, NULL, 0), MP_EMSGSIZE);
        mp_assert_err(mp_pipe_recv_handles(b, buf, 10, NULL, &none, 0), MP_EMSGSIZE);
        ck_assert_uint_eq(none, 1); // so many there are
    }
    size_t n = 1;
    ck_assert_int_eq(mp_pipe_recv_handles(b, buf, 10, &h, &n, 0), 5);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(value_of(h.fd), 5);
    mp_handle_close(&h, 1);

    // And the shortcuts leave what is not theirs.
    mp_pipe *x, *y, *end;
    mp_assert_ok(mp_pipe_new(&x, &y, NULL));
    mp_assert_ok(mp_pipe_send(a, NULL, 0, 0));
    send_token(6);
    mp_assert_ok(mp_pipe_send_pipe(a, y, 0));
    mp_assert_err(mp_pipe_recv_fd(b, 0), MP_ETYPE);
    mp_assert_err(mp_pipe_recv_pipe(b, &end, 0), MP_ETYPE);
    ck_assert_int_eq(mp_pipe_recv(b, buf, 10, 0), 0);
    mp_assert_err(mp_pipe_recv_pipe(b, &end, 0), MP_ETYPE);
    recv_token(b, 6);
    mp_assert_err(mp_pipe_recv_fd(b, 0), MP_ETYPE);
    mp_assert_ok(mp_pipe_recv_pipe(b, &end, 0));
    mp_pipe_free(end);
    mp_pipe_free(x);
    mp_pipe_free(y);
    close_pair();
}

MP_TEST(types_are_checked)
{
    mp_pipe *x, *y, *end = (mp_pipe *)1, *none = (mp_pipe *)1;
    mp_handle h[3];
    size_t n = 3;
    open_pair();
    mp_assert_ok(mp_pipe_new(&x, &y, NULL));
    h[0] = MP_HANDLE(token(1));
    h[1] = MP_HANDLE(y);
    mp_assert_ok(mp_pipe_send_handles(a, NULL, 0, h, 2, 0));
    close(h[0].fd);
    ck_assert_int_eq(mp_pipe_recv_handles(b, NULL, 0, h, &n, 0), 0);
    ck_assert_uint_eq(n, 2);
    mp_assert_err(mp_handle_take_pipe(&h[0], &end), MP_ETYPE);
    ck_assert_ptr_null(end);
    mp_assert_err(mp_handle_take_fd(&h[1]), MP_ETYPE);
    int fd = mp_handle_take_fd(&h[0]);
    ck_assert_uint_eq(value_of(fd), 1);
    close(fd);
    mp_assert_err(mp_handle_take_fd(&h[0]), MP_ETYPE); // taken
    mp_assert_ok(mp_handle_take_pipe(&h[1], &end));
    mp_assert_err(mp_handle_take_pipe(&h[1], &none), MP_ETYPE);
    ck_assert_ptr_null(none);
    mp_handle_close(h, 2); // what was taken stays
    mp_assert_ok(mp_pipe_send(end, "x", 1, 0));
    mp_pipe_free(end);
    mp_pipe_free(x);
    mp_pipe_free(y);
    close_pair();
}

static void limits(const mp_pipe_opts *opts)
{
    mp_handle h[MP_HANDLES_MAX + 1];
    mp_pipe *x[64], *y[64];
    mptest_need_fds(1000);
    mp_assert_ok(mp_pipe_new(&a, &b, opts));
    int fd = token(7);
    for (int i = 0; i <= MP_HANDLES_MAX; i++)
        h[i] = MP_HANDLE(fd);
    mp_assert_err(mp_pipe_send_handles(a, "x", 1, h, MP_HANDLES_MAX + 1, 0), MP_EMSGSIZE);
    mp_assert_ok(mp_pipe_send_handles(a, "x", 1, h, MP_HANDLES_MAX, 0));
    close(fd);
    size_t n = MP_HANDLES_MAX;
    char c;
    ck_assert_int_eq(mp_pipe_recv_handles(b, &c, 1, h, &n, 0), 1);
    ck_assert_uint_eq(n, MP_HANDLES_MAX);
    ck_assert_uint_eq(value_of(h[n - 1].fd), 7);
    mp_handle_close(h, n);

    for (int i = 0; i < 64; i++) {
        mp_assert_ok(mp_pipe_new(&x[i], &y[i], &(mp_pipe_opts){.ring_size = 4096}));
        h[i] = MP_HANDLE(y[i]);
    }
    mp_assert_err(mp_pipe_send_handles(a, "x", 1, h, 64, 0), MP_EMSGSIZE); // 256 descriptors
    mp_assert_ok(mp_pipe_send(y[0], "still here", 10, 0));
    mp_assert_ok(mp_pipe_send_handles(a, "x", 1, h, 63, 0));
    n = 64;
    ck_assert_int_eq(mp_pipe_recv_handles(b, &c, 1, h, &n, 0), 1);
    ck_assert_uint_eq(n, 63);
    for (int i = 0; i < 64; i++) {
        mp_assert_err(mp_pipe_send(y[i], &c, 1, 0), i < 63 ? MP_EOWNER : 0);
        mp_assert_ok(mp_pipe_send(i < 63 ? h[i].object : y[i], &i, sizeof i, 0));
        char text[10];
        if (i == 0)
            ck_assert_int_eq(mp_pipe_recv(x[0], text, 10, 0), 10);
        if (i == 63)
            ck_assert_int_eq(mp_pipe_recv(x[63], text, 10, 0), 1);
        int k = -1;
        ck_assert_int_eq(mp_pipe_recv(x[i], &k, sizeof k, 0), sizeof k);
        ck_assert_int_eq(k, i);
    }
    mp_handle_close(h, n);
    for (int i = 0; i < 64; i++) {
        if (i < 63)
            mp_assert_err(mp_pipe_recv(x[i], &c, 1, 0), MP_EOF);
        mp_pipe_free(x[i]);
        mp_pipe_free(y[i]);
    }
    close_pair();
}

MP_TEST(a_message_carries_253_descriptors_or_63_ends)
{
    limits(NULL);
    limits(&(mp_pipe_opts){.ring_size = 4096, .ring_max = 4096, .no_spin = true});
}

// ---- ends move -----------------------------------------------------------------------

MP_TEST(an_end_moves_with_what_was_not_read)
{
    mp_pipe *x, *y, *end;
    char buf[5000];
    open_pair();
    for (int way = 0; way < 8; way++) {
        mp_pipe_opts opts = {.ring_size = 4096, .ring_max = 8192, .max_size = 5000};
        mp_assert_ok(mp_pipe_new(&x, &y, &opts));
        if (way & 1) { // the other side
            end = x;
            x = y;
            y = end;
        }
        if (way & 2)
            mp_assert_ok(mp_pipe_fd(y));
        // Positions all over the ring, and unread messages both ways.
        for (int i = 0; i < 300; i++) {
            mp_assert_ok(mp_pipe_send(x, buf, (size_t)(i * 7 % 700), 0));
            mp_assert_ok(mp_pipe_recv(y, buf, sizeof buf, 0));
            mp_assert_ok(mp_pipe_send(y, buf, (size_t)(i * 5 % 700), 0));
            mp_assert_ok(mp_pipe_recv(x, buf, sizeof buf, 0));
        }
        for (int i = 0; i < 5; i++) {
            mp_assert_ok(mp_pipe_send(x, &i, sizeof i, 0));
            mp_assert_ok(mp_pipe_send(y, &i, sizeof i, 0));
        }
        int k;
        if (way & 4) // a view that is not used up
            mp_assert_ok(mp_pipe_recv(y, &k, sizeof k, 0));
        mp_assert_ok(mp_pipe_send_pipe(a, y, 0));
        mp_assert_err(mp_pipe_send(y, "x", 1, 0), MP_EOWNER);
        mp_assert_err(mp_pipe_recv(y, buf, 1, 0), MP_EOWNER);
        mp_assert_err(mp_pipe_fd(y), MP_EOWNER);
        mp_assert_err(mp_pipe_send_pipe(a, y, 0), MP_EOWNER);
        mp_pipe_free(y);
        int five = 5;
        mp_assert_ok(mp_pipe_send(x, &five, sizeof five, 0)); // while it is on its way
        mp_assert_ok(mp_pipe_recv_pipe(b, &end, 0));
        int fd = mp_pipe_fd(end);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        for (int i = way & 4 ? 1 : 0; i <= 5; i++) {
            ck_assert_int_eq(poll(&p, 1, 0), 1);
            ck_assert_int_eq(mp_pipe_recv(end, &k, sizeof k, 0), sizeof k);
            ck_assert_int_eq(k, i);
        }
        ck_assert_int_eq(poll(&p, 1, 0), 0);
        mp_assert_err(mp_pipe_send(end, buf, 5001, 0), MP_EMSGSIZE); // the limit moves, too
        for (int i = 0; i < 5; i++) {
            ck_assert_int_eq(mp_pipe_recv(x, &k, sizeof k, 0), sizeof k);
            ck_assert_int_eq(k, i);
        }
        for (int i = 0; i < 300; i++) { // and the rings go on
            mp_assert_ok(mp_pipe_send(x, buf, (size_t)(i * 7 % 700), 0));
            mp_assert_ok(mp_pipe_recv(end, buf, sizeof buf, 0));
            mp_assert_ok(mp_pipe_send(end, buf, (size_t)(i * 5 % 700), 0));
            mp_assert_ok(mp_pipe_recv(x, buf, sizeof buf, 0));
        }
        mp_pipe_free(end);
        mp_assert_err(mp_pipe_recv(x, buf, 1, 0), MP_EOF);
        mp_pipe_free(x);
    }
    close_pair();
}

MP_TEST(an_end_that_moves_while_full_goes_on)
{
    mp_pipe *x, *y;
    char buf[1000] = "";
    open_pair();
    mp_assert_ok(mp_pipe_new(&x, &y, &(mp_pipe_opts){.ring_size = 4096, .ring_max = 65536}));
    int sent = 0, got = 0;
    for (int round = 0; round < 10; round++) {
        while (mp_pipe_send(y, buf, sizeof buf, 0) == 0)
            sent++;
        mp_assert_ok(mp_pipe_send_pipe(a, y, 0)); // the sending end ...
        mp_pipe_free(y);
        mp_assert_ok(mp_pipe_recv_pipe(b, &y, 0));
        mp_assert_err(mp_pipe_send(y, buf, sizeof buf, 0), MP_ETIMEDOUT);
        mp_assert_ok(mp_pipe_send_pipe(a, x, 0)); // ... and the receiving one
        mp_pipe_free(x);
        mp_assert_ok(mp_pipe_recv_pipe(b, &x, 0));
        for (int i = 0; (i < 2 + round % 2 || round % 4 == 0) && got < sent; i++, got++)
            ck_assert_int_eq(mp_pipe_recv(x, buf, sizeof buf, 0), 1000);
    }
    while (mp_pipe_recv(x, buf, sizeof buf, 0) == 1000)
        got++;
    ck_assert_int_eq(got, sent);
    mp_pipe_free(x);
    mp_pipe_free(y);
    close_pair();
}

MP_TEST(a_oneway_end_stays_one)
{
    mp_pipe *x, *y, *end;
    char c;
    open_pair();
    for (int side = 0; side < 2; side++) {
        mp_assert_ok(mp_pipe_new(&x, &y, &(mp_pipe_opts){.oneway = true}));
        mp_assert_ok(mp_pipe_send_pipe(a, side ? y : x, 0));
        mp_assert_ok(mp_pipe_recv_pipe(b, &end, 0));
        mp_pipe *from = side ? end : y, *to = side ? x : end;
        mp_assert_ok(mp_pipe_send(from, "x", 1, 0));
        ck_assert_int_eq(mp_pipe_recv(to, &c, 1, 0), 1);
        mp_assert_err(mp_pipe_send(to, "x", 1, 0), MP_ESTATE);
        mp_assert_err(mp_pipe_recv(from, &c, 1, 0), MP_ESTATE);
        mp_assert_err(mp_pipe_recv_handles(from, &c, 1, NULL, NULL, 0), MP_ESTATE);
        mp_assert_err(mp_pipe_send_fd(to, 0, 0), MP_ESTATE);
        mp_pipe_free(end);
        mp_pipe_free(x);
        mp_pipe_free(y);
    }
    close_pair();
}

MP_TEST(an_end_whose_peer_is_gone_can_move)
{
    mp_pipe *x, *y, *end;
    char c;
    open_pair();
    mp_assert_ok(mp_pipe_new(&x, &y, NULL));
    mp_assert_ok(mp_pipe_send(x, "1", 1, 0));
    mp_pipe_free(x);
    mp_assert_ok(mp_pipe_send_pipe(a, y, 0));
    mp_assert_ok(mp_pipe_recv_pipe(b, &end, 0));
    ck_assert_int_eq(mp_pipe_recv(end, &c, 1, 0), 1);
    mp_assert_err(mp_pipe_recv(end, &c, 1, 0), MP_EOF);
    mp_assert_err(mp_pipe_send(end, &c, 1, 0), MP_EPIPE);
    mp_pipe_free(end);
    mp_pipe_free(y);
    // One that is closed here has nothing to give.
    mp_assert_ok(mp_pipe_new(&x, &y, NULL));
    mp_pipe_close(y);
    mp_assert_err(mp_pipe_send_pipe(a, y, 0), MP_ECLOSED);
    mp_pipe_free(x);
    mp_pipe_free(y);
    close_pair();
}

MP_TEST(an_end_does_not_go_through_its_own_pipe)
{
    mp_pipe *x, *y;
    open_pair();
    mp_assert_err(mp_pipe_send_pipe(a, a, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_send_pipe(a, b, 0), MP_EINVAL);
    mp_assert_ok(mp_pipe_new(&x, &y, NULL));
    mp_handle twice[] = {MP_HANDLE(y), MP_HANDLE(x), MP_HANDLE(y)};
    mp_assert_err(mp_pipe_send_handles(a, NULL, 0, twice, 3, 0), MP_EINVAL);
    mp_handle bad[] = {MP_HANDLE(y), MP_HANDLE(-1)};
    mp_assert_err(mp_pipe_send_handles(a, NULL, 0, bad, 2, 0), MP_EINVAL);
    bad[1] = MP_HANDLE(99999);
    mp_assert_err(mp_pipe_send_handles(a, NULL, 0, bad, 2, 0), -EBADF);
    ck_assert_int_eq(mp_pipe_poll(b, 0), 0);
    // All of it stayed, and can still be used, and sent.
    char c;
    mp_assert_ok(mp_pipe_send(y, "x", 1, 0));
    ck_assert_int_eq(mp_pipe_recv(x, &c, 1, 0), 1);
    mp_assert_ok(mp_pipe_send_handles(a, NULL, 0, twice, 2, 0)); // both ends of another
    mp_handle h[2];
    size_t n = 2;
    ck_assert_int_eq(mp_pipe_recv_handles(b, NULL, 0, h, &n, 0), 0);
    mp_assert_ok(mp_pipe_send(h[0].object, "x", 1, 0));
    ck_assert_int_eq(mp_pipe_recv(h[1].object, &c, 1, 0), 1);
    mp_handle_close(h, 2);
    mp_pipe_free(x);
    mp_pipe_free(y);
    close_pair();
}

// Received handles are sent on as they are; and an end that is sent brings along the
// handles that wait in it.
MP_TEST(what_waits_in_an_end_goes_with_it)
{
    mp_pipe *x, *y;
    open_pair();
    mp_assert_ok(mp_pipe_new(&x, &y, NULL));
    for (unsigned i = 1; i <= 20; i++) {
        int fd = token(i);
        mp_assert_ok(mp_pipe_send_fd(x, fd, 0));
        close(fd);
    }
    for (unsigned i = 1; i <= 20; i++) {
        struct mp__parcel *p;
        // As if a sending thread of y had come across them: fetched, not taken.
        if (i % 3 == 0) {
            ck_assert_int_eq(mp__parcel_fetch(&y->channel, &p), 0);
            mp__parcel_done(&y->channel, false);
            ck_assert_ptr_nonnull(y->channel.post.first);
        }
        mp_handle h = MP_HANDLE(y);
        size_t n = 1;
        mp_assert_ok(mp_pipe_send_handles(a, NULL, 0, &h, 1, 0));
        mp_pipe_free(y);
        ck_assert_int_eq(mp_pipe_recv_handles(b, NULL, 0, &h, &n, 0), 0);
        mp_assert_ok(mp_pipe_send_handles(b, NULL, 0, &h, 1, 0)); // on, as it came
        mp_pipe_free(h.object);
        mp_assert_ok(mp_pipe_recv_pipe(a, &y, 0));
        recv_token(y, i);
    }
    mp_pipe_free(y);
    mp_pipe_free(x);
    close_pair();
}

// ---- no room ---------------------------------------------------------------------------

MP_TEST(a_full_socket_times_out_and_goes_on)
{
    mptest_need_fds(1000);
    open_pair();
    for (int round = 0; round < 3; round++) {
        int got[1000], fd = token(1), before = mptest_fd_count(), sent = 0, r;
        while ((r = mp_pipe_send_fd(a, fd, 0)) == 0 && sent < 1000)
            sent++;
        mp_assert_err(r, MP_ETIMEDOUT);
        mp_assert_err(mp_pipe_send_fd(a, fd, 30), MP_ETIMEDOUT);
        mp_assert_ok(mp_pipe_send(a, "x", 1, 0)); // without handles there is room
        ck_assert_int_gt(sent, 100);
        for (int i = 0; i < sent; i++)
            mp_assert_ok(got[i] = mp_pipe_recv_fd(b, 0));
        ck_assert_int_eq(mptest_fd_count(), before + sent);
        ck_assert_int_eq(mp_pipe_recv(b, &(char){0}, 1, 0), 1);
        ck_assert_int_eq(mp_pipe_poll(b, 0), 0);
        for (int i = 0; i < sent; i++)
            close(got[i]);
        close(fd);
    }
    close_pair();
}

MP_TEST(a_full_ring_times_out_and_nothing_was_given)
{
    mp_pipe *x, *y;
    char buf[600] = "";
    mp_assert_ok(mp_pipe_new(&a, &b, &(mp_pipe_opts){.ring_size = 4096, .ring_max = 4096}));
    mp_assert_ok(mp_pipe_new(&x, &y, NULL));
    while (mp_pipe_send(a, buf, sizeof buf, 0) == 0)
        ;
    mp_handle h = MP_HANDLE(y);
    mp_assert_err(mp_pipe_send_handles(a, buf, sizeof buf, &h, 1, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_pipe_send_handles(a, buf, sizeof buf, &h, 1, 30), MP_ETIMEDOUT);
    mp_assert_ok(mp_pipe_send(y, "x", 1, 0));
    while (mp_pipe_recv(b, buf, sizeof buf, 0) > 0)
        ;
    mp_assert_ok(mp_pipe_send_handles(a, buf, sizeof buf, &h, 1, 0));
    mp_pipe_free(y);
    size_t n = 1;
    ck_assert_int_eq(mp_pipe_recv_handles(b, buf, sizeof buf, &h, &n, 0), sizeof buf);
    mp_assert_ok(mp_handle_take_pipe(&h, &y));
    mp_assert_ok(mp_pipe_send(y, "x", 1, 0));
    mp_pipe_free(x);
    mp_pipe_free(y);
    close_pair();
}

MP_TEST(without_room_for_descriptors_the_message_stays)
{
    mp_pipe *x, *y, *end;
    char buf[10];
    struct rlimit old, low;
    open_pair();
    mp_assert_ok(mp_pipe_new(&x, &y, NULL));
    int fd = token(3), before = mptest_fd_count();
    mp_handle h[8];
    for (int i = 0; i < 8; i++)
        h[i] = MP_HANDLE(fd);
    mp_assert_ok(mp_pipe_send_handles(a, "abc", 3, h, 8, 0));
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    int next = dup(0); // the lowest free number
    close(next);
    for (int room = 0; room < 8; room++) {
        size_t n = 8;
        low = (struct rlimit){(rlim_t)(next + room), old.rlim_max};
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
        mp_assert_err(mp_pipe_recv_handles(b, buf, 10, h, &n, 0), -EMFILE);
        ck_assert_uint_eq(n, 0);
        ck_assert_int_eq(mp_pipe_next_size(b, 0), 3);
        mp_assert_err(mp_pipe_recv(b, buf, 10, 0), MP_ETYPE);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
        ck_assert_int_eq(mptest_fd_count(), before);
    }
    size_t n = 8;
    low.rlim_cur = (rlim_t)(next + 8);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    ck_assert_int_eq(mp_pipe_recv_handles(b, buf, 10, h, &n, 0), 3);
    ck_assert_uint_eq(n, 8);
    mp_handle_close(h, n);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    ck_assert_int_eq(mptest_fd_count(), before);

    // An end as well.
    mp_assert_ok(mp_pipe_send_pipe(a, y, 0));
    mp_pipe_free(y);
    next = dup(0);
    close(next);
    low.rlim_cur = (rlim_t)(next + 3);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    mp_assert_err(mp_pipe_recv_pipe(b, &end, 0), -EMFILE);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    mp_assert_ok(mp_pipe_send(x, "x", 1, 0));
    mp_assert_ok(mp_pipe_recv_pipe(b, &end, 0));
    ck_assert_int_eq(mp_pipe_recv(end, buf, 10, 0), 1);
    mp_pipe_free(end);
    mp_pipe_free(x);
    close(fd);
    close_pair();
}

// The last descriptor is wanted when some of it was made: that is undone, and stays.
MP_TEST(without_room_for_objects_the_message_stays)
{
    mp_pipe *x, *y;
    mp_event *e, *same;
    mp_queue *q;
    struct rlimit old, low;
    open_pair();
    mp_assert_ok(mp_pipe_new(&x, &y, NULL));
    mp_assert_ok(mp_event_new(&e, NULL));
    mp_assert_ok(mp_queue_new(&q, NULL));
    mp_handle h[] = {MP_HANDLE(y), MP_HANDLE(q), MP_HANDLE(e)};
    mp_assert_ok(mp_pipe_send_handles(a, NULL, 0, h, 3, 0));
    mp_pipe_free(y);
    int before = mptest_fd_count(), next = dup(0), undone = 0;
    close(next);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    int64_t r = -EMFILE;
    size_t n;
    for (int room = 0; r == -EMFILE && room < 40; room++) {
        n = 3;
        low = (struct rlimit){(rlim_t)(next + room), old.rlim_max};
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
        r = mp_pipe_recv_handles(b, NULL, 0, h, &n, 0);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
        // What was fetched stays here, until it can be opened.
        int fetched = b->channel.post.first ? 7 : 0;
        if (r < 0)
            ck_assert_int_eq(mptest_fd_count(), before + fetched);
        undone += r < 0 && fetched;
    }
    mp_assert_ok(r);
    ck_assert_int_gt(undone, 0); // it wants one more while it is opened
    ck_assert_uint_eq(n, 3);
    mp_assert_ok(mp_handle_take_pipe(&h[0], &y));
    mp_assert_ok(mp_handle_take_event(&h[2], &same));
    ck_assert_ptr_eq(same, e);
    mp_handle_close(h, 3);
    mp_assert_ok(mp_pipe_send(y, "x", 1, 0));
    ck_assert_int_eq(mp_pipe_poll(x, 0), 1);
    mp_event_free(same);
    mp_event_free(e);
    mp_queue_free(q);
    mp_pipe_free(x);
    mp_pipe_free(y);
    close_pair();
}

// ---- nobody takes them --------------------------------------------------------------------

MP_TEST(handles_that_nobody_takes_are_closed)
{
    char c;
    for (int way = 0; way < 5; way++) {
        mp_pipe *x, *y;
        open_pair();
        mp_assert_ok(mp_pipe_new(&x, &y, NULL));
        mp_assert_ok(mp_pipe_send_pipe(a, y, 0));
        mp_pipe_free(y);
        mp_handle h = {0};
        size_t n = 1;
        struct mp__parcel *p;
        if (way == 1 || way == 2) { // fetched before
            ck_assert_int_eq(mp__parcel_fetch(&b->channel, &p), 0);
            mp__parcel_done(&b->channel, false);
        }
        ck_assert_int_eq(mp_pipe_poll(x, 0), 0);
        if (way == 3) {
            mp_assert_ok(mp_pipe_recv_handles(b, NULL, 0, &h, &n, 0));
            ck_assert_int_eq(mp_pipe_poll(x, 0), 0);
            mp_handle_close(&h, 1);
            mp_handle_close(&h, 1);
        } else if (way == 4) {
            mp_pipe_free(a); // the sender ends: they stay, as what was sent stays
            a = NULL;
            ck_assert_int_eq(mp_pipe_poll(x, 0), 0);
            mp_pipe_free(b);
            b = NULL;
        } else if (way & 1) {
            mp_pipe_close(b);
        } else {
            mp_pipe_free(b);
            b = NULL;
        }
        mp_assert_err(mp_pipe_recv(x, &c, 1, 0), MP_EOF);
        mp_pipe_free(x);
        close_pair();
    }
}

// ---- both threads of an end --------------------------------------------------------------

// A sending thread that waits for room reads the socket, too: what is not for it is kept.
static void *send_until_closed(void *arg)
{
    static char buf[1000];
    int r;
    do
        r = mp_pipe_send(arg, buf, sizeof buf, LONG_MS);
    while (r == 0);
    mptest_require(r == MP_EPIPE || r == MP_ECLOSED);
    return NULL;
}

MP_TEST(a_sender_that_waits_for_room_keeps_parcels)
{
    pthread_t t;
    char buf[1000];
    mp_pipe_opts opts = {.ring_size = 4096, .ring_max = 4096, .no_spin = true};
    mp_assert_ok(mp_pipe_new(&a, &b, &opts));
    ck_assert_int_eq(pthread_create(&t, NULL, send_until_closed, b), 0);
    for (unsigned i = 1; i <= 300; i++) {
        // It sleeps with a full ring: it is woken by a parcel, later by room.
        if (i % 3 == 0)
            ck_assert(mptest_eventually(atomic_load(&b->channel.post.watched), 15000));
        send_token(i);
        if (i % 5 == 0)
            ck_assert_int_eq(mp_pipe_recv(a, buf, sizeof buf, LONG_MS), 1000);
        recv_token(b, i);
    }
    mp_pipe_close(a);
    pthread_join(t, NULL);
    close_pair();
}

MP_TEST(a_sender_that_waits_keeps_only_so_many)
{
    pthread_t t;
    char buf[1000];
    mp_pipe_opts opts = {.ring_size = 4096, .ring_max = 4096, .no_spin = true};
    mp_assert_ok(mp_pipe_new(&a, &b, &opts));
    ck_assert_int_eq(pthread_create(&t, NULL, send_until_closed, b), 0);
    ck_assert(mptest_eventually(atomic_load(&b->channel.post.watched), 15000));
    int before = mptest_fd_count();
    for (unsigned i = 1; i <= 150; i++)
        send_token(i);
    ck_assert(mptest_eventually(mptest_fd_count() > before + 60, 15000));
    ck_assert_int_le(mptest_fd_count(), before + 70);
    // It goes on although it cannot read all that is in front of its wake-up.
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(mp_pipe_recv(a, buf, sizeof buf, LONG_MS), 1000);
    for (unsigned i = 1; i <= 150; i++)
        recv_token(b, i);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(mp_pipe_recv(a, buf, sizeof buf, LONG_MS), 1000);
    mp_pipe_close(a);
    pthread_join(t, NULL);
    close_pair();
}

// ---- the descriptor ------------------------------------------------------------------

MP_TEST(the_descriptor_is_truthful_with_handles)
{
    open_pair();
    int fd = mp_pipe_fd(b);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    mp_wait_item item = MP_WAIT_PIPE(b);
    for (unsigned round = 0; round < 50; round++) {
        unsigned n = 1 + round % 4;
        for (unsigned i = 0; i < n; i++)
            send_token(i + 1);
        for (unsigned i = 0; i < n; i++) {
            ck_assert_int_eq(poll(&p, 1, 0), 1);
            ck_assert_int_eq(mp_wait(&item, 1, 0), 1);
            mp_assert_err(mp_pipe_recv(b, &(char){0}, 1, 0), MP_ETYPE);
            ck_assert_int_eq(poll(&p, 1, 0), 1);
            recv_token(b, i + 1);
        }
        ck_assert_int_eq(poll(&p, 1, 0), 0);
        ck_assert_int_eq(mp_wait(&item, 1, 0), 0);
        mp_assert_err(mp_pipe_recv_fd(b, 0), MP_ETIMEDOUT);
        ck_assert_int_eq(poll(&p, 1, 0), 0);
    }
    close_pair();
}
