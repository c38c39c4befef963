// SPDX-License-Identifier: MIT
//
// A sender that dies between a parcel and its message, a receiver that dies between the
// parcel it opened and the message: nobody keeps what was in it.
#include "points.h"

#include <mp/handle.h>
#include <mp/process.h>
#include <signal.h>
#include <stdlib.h>

#define LONG_MS 20000

// ---- alone: everything in one process, over and over -----------------------------------

static void *make(void)
{
    return malloc(1);
}

static void send_an_end(void *object)
{
    mp_pipe *a, *b, *x, *y;
    char c = 0;
    (void)object;
    mptest_require(mp_pipe_new(&a, &b, NULL) == 0 && mp_pipe_new(&x, &y, NULL) == 0);
    mptest_require(mp_pipe_send_pipe(a, y, LONG_MS) == 0);
    mp_pipe_free(y);
    mptest_require(mp_pipe_recv_pipe(b, &y, LONG_MS) == 0);
    mptest_require(mp_pipe_send(y, "x", 1, LONG_MS) == 0);
    mptest_require(mp_pipe_recv(x, &c, 1, LONG_MS) == 1 && c == 'x');
    mp_pipe_free(a);
    mp_pipe_free(b);
    mp_pipe_free(x);
    mp_pipe_free(y);
}

KILL_AT_POINTS(pipe, .points = "pipe.", .make = make, .round = send_an_end, .end = free)

// ---- and with a survivor at the other end ------------------------------------------------

static mp_pipe *a, *b, *x, *y; // y goes from b to a

static int send_ends(void *arg)
{
    points_mortal();
    for (int i = 0; i < 5; i++) // descriptors before it
        mptest_require(mp_pipe_send_fd(b, 0, LONG_MS) == 0);
    mptest_require(mp_pipe_send_pipe(b, y, LONG_MS) == 0);
    return arg != NULL;
}

static int recv_ends(void *arg)
{
    points_mortal();
    for (int i = 0; i < 5; i++)
        mptest_require(mp_pipe_recv_fd(a, LONG_MS) >= 0);
    mptest_require(mp_pipe_recv_pipe(a, &y, LONG_MS) == 0);
    return arg != NULL;
}

static void dies(mp_process_fn *fn, mp_pipe *const *give)
{
    mp_process *p;
    int code = 0;
    mp_assert_ok(mp_process_start(&p, fn, NULL, &(mp_process_opts){.give = give}));
    mp_assert_ok(mp_process_join(p, LONG_MS));
    mp_assert_ok(mp_process_exitcode(p, &code));
    ck_assert_int_eq(code, -SIGKILL);
    ck_assert_int_eq(points_disarm(), 1);
    mp_process_free(p);
}

MP_TEST(a_sender_dies_between_parcel_and_message)
{
    char c;
    for (int i = 0; i < 6 * 5; i++) {
        mp_assert_ok(mp_pipe_new(&a, &b, NULL));
        mp_assert_ok(mp_pipe_new(&x, &y, NULL));
        int before = mptest_fd_count(), fd, got = 0;
        points_arm("pipe.parcel_posted", i % 6, 1);
        dies(send_ends, (mp_pipe *[]){b, y, NULL});
        while ((fd = mp_pipe_recv_fd(a, LONG_MS)) >= 0) {
            close(fd);
            got++;
        }
        mp_assert_err(fd, MP_EOF);
        ck_assert_int_eq(got, i % 6);
        // The end that it just sent, or still had, is gone with it.
        mp_assert_err(mp_pipe_recv(x, &c, 1, LONG_MS), MP_EOF);
        ck_assert_int_eq(mptest_fd_count(), before - 8); // b and y were given away
        mp_pipe_free(a);
        mp_pipe_free(b);
        mp_pipe_free(x);
        mp_pipe_free(y);
    }
}

MP_TEST(a_receiver_dies_with_a_parcel_in_its_hands)
{
    char c;
    for (int i = 0; i < 6 * 5; i++) {
        mp_assert_ok(mp_pipe_new(&a, &b, NULL));
        mp_assert_ok(mp_pipe_new(&x, &y, NULL));
        for (int k = 0; k < 5; k++)
            mp_assert_ok(mp_pipe_send_fd(b, 0, LONG_MS));
        mp_assert_ok(mp_pipe_send_pipe(b, y, LONG_MS));
        points_arm("pipe.parcel_opened", i % 6, 1);
        dies(recv_ends, (mp_pipe *[]){a, NULL});
        mp_assert_err(mp_pipe_recv(x, &c, 1, LONG_MS), MP_EOF);
        mp_assert_err(mp_pipe_send_fd(b, 0, LONG_MS), MP_EPIPE);
        mp_pipe_free(a);
        mp_pipe_free(b);
        mp_pipe_free(x);
        mp_pipe_free(y);
    }
}
