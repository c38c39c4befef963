// SPDX-License-Identifier: MIT
//
// What a pipe means, over each transport the same. (Where the peer is a foreign one it is less:
// tests/interop.)
#include "base/clock.h"
#include "urltest.h"

#include <mp/handle.h>
#include <mp/pack.h>
#include <mp/process.h>
#include <mp/wait.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

static void end(mp_pipe *a, mp_pipe *b)
{
    mp_pipe_free(a);
    mp_pipe_free(b);
}

static int end_of(mp_process *p)
{
    int code = 12345;
    mp_assert_ok(mp_process_join(p, LONG_MS));
    mp_assert_ok(mp_process_exitcode(p, &code));
    mp_process_free(p);
    return code;
}

static mp_process *start(mp_process_fn *fn, mp_pipe *p)
{
    mp_process *process;
    mp_process_opts opts = {.give = (mp_pipe *[]){p, NULL}};
    mp_assert_ok(mp_process_start(&process, fn, p, &opts));
    return process;
}

static void fill(unsigned char *p, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        p[i] = (unsigned char)(seed + i * 7 + i / 251);
}

static int echo(void *arg)
{
    mp_pipe *p = arg;
    void *data;
    int64_t n;
    while ((n = mp_pipe_recv_new(p, &data, LONG_MS)) >= 0) {
        mptest_require(mp_pipe_send(p, data, (size_t)n, LONG_MS) == 0);
        free(data);
    }
    mp_pipe_free(p);
    return n == MP_EOF ? 0 : 1;
}

MP_TEST_EACH(messages_of_all_sizes_come_as_they_were_sent)
{
    static const size_t sizes[] = {0,    1,    7,     8,     9,     63,      64,     65,
                                   4095, 4096, 16383, 16384, 65535, 65536,   65537,  131072,
                                   99,   0,    0,     1,     5,     1 << 20, 3000001};
    enum { MOST = 3000001 };
    unsigned char *sent = malloc(MOST);
    mp_pipe *a, *b;
    void *got;
    pair(t, &a, &b);
    mp_process *p = start(echo, b);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fill(sent, sizes[i], (unsigned)i);
        mp_assert_ok(mp_pipe_send(a, sent, sizes[i], LONG_MS));
        ck_assert_int_eq(mp_pipe_recv_new(a, &got, LONG_MS), sizes[i]);
        ck_assert_int_eq(memcmp(got, sent, sizes[i]), 0);
        free(got);
    }
    mp_pipe_close(a);
    ck_assert_int_eq(end_of(p), 0);
    free(sent);
    end(a, b);
}

enum { STREAM = 100000 };

static int count_up(void *arg)
{
    mp_pipe *p = arg;
    unsigned char data[200];
    for (unsigned i = 0; i < STREAM; i++) {
        size_t size = sizeof i + i % 100;
        memset(data, (int)i, sizeof data);
        memcpy(data, &i, sizeof i);
        mptest_require(mp_pipe_send(p, data, size, LONG_MS) == 0);
    }
    mp_pipe_free(p);
    return 0;
}

MP_TEST_EACH(order_holds_and_the_end_comes_after_everything)
{
    mp_pipe *a, *b;
    unsigned char data[200];
    pair(t, &a, &b);
    mp_process *p = start(count_up, b);
    for (unsigned i = 0; i < STREAM; i++) {
        unsigned number;
        ck_assert_int_eq(mp_pipe_recv(a, data, sizeof data, LONG_MS), sizeof i + i % 100);
        memcpy(&number, data, sizeof number);
        ck_assert_uint_eq(number, i);
    }
    mp_assert_err(mp_pipe_recv(a, data, sizeof data, LONG_MS), MP_EOF);
    mp_assert_err(mp_pipe_recv(a, data, sizeof data, 0), MP_EOF);
    ck_assert_int_eq(mp_pipe_poll(a, 0), 1);
    mp_assert_err(mp_pipe_send(a, "x", 1, LONG_MS), MP_EPIPE);
    ck_assert_int_eq(end_of(p), 0);
    end(a, b);
}

// What a and b sent before they closed is read by nobody, or by a late one.
MP_TEST_EACH(what_was_sent_before_the_end_can_be_read_later)
{
    mp_pipe *a, *b;
    char data[1000];
    pair(t, &a, &b);
    for (int i = 0; i < 40; i++)
        mp_assert_ok(mp_pipe_send(a, data, sizeof data, LONG_MS));
    mp_assert_ok(mp_pipe_send(b, data, sizeof data, LONG_MS)); // never read
    mp_pipe_free(a);
    mp_assert_ok(mp_pipe_poll(b, LONG_MS));
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(mp_pipe_recv(b, data, sizeof data, LONG_MS), sizeof data);
    mp_assert_err(mp_pipe_recv(b, data, sizeof data, LONG_MS), MP_EOF);
    end(NULL, b);
}

// The end that connected, or the one that was accepted.
static void pair_by_side(const struct transport *t, int side, mp_pipe **a, mp_pipe **b)
{
    if (side == 0)
        pair(t, a, b);
    else
        pair(t, b, a);
}

// Sends until that gives an error, and returns it.
static int send_until_error(mp_pipe *p)
{
    int r = 0;
    mp__deadline d = mp__now() + LONG_MS * INT64_C(1000000);
    while (r == 0 && mp__left_ns(d))
        r = mp_pipe_send(p, "xxxxxxxx", 8, LONG_MS);
    return r;
}

MP_TEST_EACH(who_sends_to_a_closed_end_is_told)
{
    for (int side = 0; side < 2; side++) {
        mp_pipe *a, *b;
        pair_by_side(t, side, &a, &b);
        mp_pipe_close(b);
        mp_assert_err(send_until_error(a), MP_EPIPE);
        mp_assert_err(mp_pipe_send(b, "x", 1, 0), MP_ECLOSED);
        end(a, b);
    }
}

static int send_and_die(void *arg)
{
    for (int i = 0; i < 100; i++)
        mptest_require(mp_pipe_send(arg, &i, sizeof i, LONG_MS) == 0);
    kill(getpid(), SIGKILL);
    return 0;
}

static void sender_killed(const struct transport *t, int side)
{
    mp_pipe *a, *b;
    int got;
    pair_by_side(t, side, &a, &b);
    mp_process *p = start(send_and_die, b);
    ck_assert_int_eq(end_of(p), -SIGKILL);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(mp_pipe_recv(a, &got, sizeof got, LONG_MS), sizeof got);
        ck_assert_int_eq(got, i);
    }
    mp_assert_err(mp_pipe_recv(a, &got, sizeof got, LONG_MS), MP_EOF);
    end(a, b);
}

MP_TEST_EACH(a_killed_sender_loses_nothing)
{
    sender_killed(t, 0);
    sender_killed(t, 1);
}

static int receive_and_die(void *arg)
{
    char byte;
    mptest_require(mp_pipe_recv(arg, &byte, 1, LONG_MS) == 1);
    kill(getpid(), SIGKILL);
    return 0;
}

static void reader_killed(const struct transport *t, int side)
{
    mp_pipe *a, *b;
    pair_by_side(t, side, &a, &b);
    mp_process *p = start(receive_and_die, b);
    mp_assert_ok(mp_pipe_send(a, "x", 1, LONG_MS));
    ck_assert_int_eq(end_of(p), -SIGKILL);
    mp_assert_err(send_until_error(a), MP_EPIPE);
    end(a, b);
}

static int send_too_much(void *arg)
{
    size_t size = 64 << 20; // nobody reads so much
    return mp_pipe_send(arg, calloc(1, size), size, LONG_MS);
}

MP_TEST_EACH(who_sends_to_a_killed_reader_is_told)
{
    reader_killed(t, 0);
    reader_killed(t, 1);
}

// Whatever goes to an end that nobody has any more, messages, descriptors, or word that there is
// room again, with SIGPIPE as the system has it.
static int write_to_the_dead(void *arg)
{
    mp_pipe *a, *b;
    mp_handle h = mp_handle_fd(1);
    void *data;
    signal(SIGPIPE, SIG_DFL);
    pair(arg, &a, &b);
    mp_process *p = start(receive_and_die, b);
    mptest_require(mp_pipe_send(a, "x", 1, LONG_MS) == 0);
    mptest_require(end_of(p) == -SIGKILL);
    int r = mp_pipe_send_handles(a, "x", 1, &h, 1, 0);
    mptest_require(r == MP_EPIPE || r == MP_ENOTSUP);
    mptest_require(send_until_error(a) == MP_EPIPE);
    mptest_require(mp_pipe_send(a, "x", 1, LONG_MS) == MP_EPIPE);
    mp_pipe_free(a);

    pair(arg, &a, &b);
    p = start(send_too_much, b);
    mptest_require(mp_pipe_next_size(a, LONG_MS) == 64 << 20);
    mptest_require(mp_process_join(p, 50) == MP_ETIMEDOUT); // it waits for room
    mptest_require(mp_process_kill(p) == 0 && end_of(p) == -SIGKILL);
    mptest_require(mp_pipe_recv_new(a, &data, LONG_MS) == MP_ETRUNCATED);
    mp_pipe_free(a);
    return 0;
}

MP_TEST_EACH(writing_to_the_dead_is_an_error_and_no_sigpipe)
{
    if (t->url)
        (void)url_opts(t, true); // or skips
    ck_assert_int_eq(mptest_in_child(write_to_the_dead, (void *)(uintptr_t)t), 0);
}

MP_TEST_EACH(a_sender_killed_inside_a_message_is_told)
{
    mp_pipe *a, *b;
    void *data;
    pair(t, &a, &b);
    mp_process *p = start(send_too_much, b);
    ck_assert_int_eq(mp_pipe_next_size(a, LONG_MS), 64 << 20);
    mp_assert_err(mp_process_join(p, 50), MP_ETIMEDOUT); // it cannot get rid of it
    mp_assert_ok(mp_process_kill(p));
    ck_assert_int_eq(end_of(p), -SIGKILL);
    mp_assert_err(mp_pipe_recv_new(a, &data, LONG_MS), MP_ETRUNCATED);
    mp_assert_err(mp_pipe_recv_new(a, &data, LONG_MS), MP_EBROKEN);
    end(a, b);
}

MP_TEST_EACH(waiting_has_an_end_and_sees_what_comes)
{
    mp_pipe *a, *b;
    char byte;
    pair(t, &a, &b);
    mp_wait_item items[] = {MP_WAIT_PIPE(a), MP_WAIT_PIPE(b)};
    ck_assert_int_eq(mp_pipe_poll(a, 0), 0);
    mp_assert_err(mp_pipe_recv(a, &byte, 1, 0), MP_ETIMEDOUT);
    mp_assert_err(mp_pipe_recv(a, &byte, 1, 20), MP_ETIMEDOUT);
    ck_assert_int_eq(mp_wait(items, 2, 20), 0);
    mp_assert_ok(mp_pipe_send(b, "y", 1, LONG_MS));
    ck_assert_int_eq(mp_wait(items, 2, LONG_MS), 1);
    ck_assert(items[0].ready && !items[1].ready);
    mp_assert_err(mp_pipe_recv(a, &byte, 0, 0), MP_EMSGSIZE);
    ck_assert_int_eq(mp_pipe_recv(a, &byte, 1, 0), 1);
    mp_pipe_close(b);
    ck_assert_int_eq(mp_wait(items, 1, LONG_MS), 1);
    mp_assert_err(mp_pipe_recv(a, &byte, 1, 0), MP_EOF);
    end(a, b);
}

MP_TEST_EACH(the_descriptor_tells_the_truth)
{
    mp_pipe *a, *b;
    char byte;
    pair(t, &a, &b);
    int fd = mp_pipe_fd(a);
    mp_assert_ok(fd);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    for (int i = 0; i < 100; i++) {
        mp_assert_ok(mp_pipe_send(b, "z", 1, LONG_MS));
        ck_assert_int_eq(poll(&p, 1, LONG_MS), 1);
        while (mp_pipe_recv(a, &byte, 1, 0) != 1)
            ck_assert_int_eq(poll(&p, 1, LONG_MS), 1);
    }
    mp_pipe_close(b);
    do
        ck_assert_int_eq(poll(&p, 1, LONG_MS), 1);
    while (mp_pipe_recv(a, &byte, 1, 0) == MP_ETIMEDOUT);
    mp_assert_err(mp_pipe_recv(a, &byte, 1, 0), MP_EOF);
    end(a, b);
}

static int look_at_both(void *arg)
{
    mp_pipe **ends = arg;
    char byte;
    return mp_pipe_recv(ends[0], &byte, 1, 0) == MP_EOWNER &&
                   mp_pipe_send(ends[1], "x", 1, 0) == MP_EOWNER
               ? 0
               : 1;
}

MP_TEST_EACH(a_plain_fork_takes_nothing_along)
{
    mp_pipe *a, *b;
    char byte;
    pair(t, &a, &b);
    mp_pipe *ends[] = {a, b};
    ck_assert_int_eq(mptest_in_child(look_at_both, ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        pause(); // holds all it inherited
        _exit(0);
    }
    mp_pipe_free(b);
    mp_assert_err(mp_pipe_recv(a, &byte, 1, LONG_MS), MP_EOF);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    end(a, NULL);
}

// A reader that does not read holds its sender up, in little memory, and loses nothing.
MP_TEST_EACH(a_sender_waits_for_a_slow_reader)
{
    mp_pipe *a, *b;
    enum { SIZE = 10000 };
    unsigned char data[SIZE];
    int sent = 0, r;
    pair(t, &a, &b);
    // Into the buffers of both sides, and of the kernel between them; never so many.
    for (r = 0; r == 0 && sent < 20000; sent += r == 0) {
        fill(data, SIZE, (unsigned)sent);
        r = mp_pipe_send(a, data, SIZE, 300);
    }
    mp_assert_err(r, MP_ETIMEDOUT);
    for (int i = 0; i < sent; i++) {
        unsigned char want[SIZE];
        fill(want, SIZE, (unsigned)i);
        ck_assert_int_eq(mp_pipe_recv(b, data, SIZE, LONG_MS), SIZE);
        ck_assert_int_eq(memcmp(data, want, SIZE), 0);
    }
    ck_assert_int_eq(mp_pipe_poll(b, 0), 0);
    mp_assert_ok(mp_pipe_send(a, "on", 2, LONG_MS));
    ck_assert_int_eq(mp_pipe_recv(b, data, SIZE, LONG_MS), 2);
    end(a, b);
}

MP_TEST_EACH(both_directions_flow_at_once)
{
    mp_pipe *a, *b;
    unsigned char data[3000];
    pair(t, &a, &b);
    mp_process *p = start(echo, b);
    int sent = 0, got = 0;
    while (got < 3000) {
        fill(data, sizeof data, (unsigned)sent);
        if (sent < 3000 && sent - got < 10) {
            mp_assert_ok(mp_pipe_send(a, data, (size_t)sent, LONG_MS));
            sent++;
            continue;
        }
        unsigned char want[3000];
        fill(want, sizeof want, (unsigned)got);
        ck_assert_int_eq(mp_pipe_recv(a, data, sizeof data, LONG_MS), got);
        ck_assert_int_eq(memcmp(data, want, (size_t)got), 0);
        got++;
    }
    mp_pipe_close(a);
    ck_assert_int_eq(end_of(p), 0);
    end(a, b);
}

MP_TEST_EACH(a_message_above_the_limit_is_refused)
{
    mp_pipe *a, *b;
    char data[101];
    pair_with(t, &a, &b, &(mp_pipe_opts){.max_size = 100});
    mp_assert_err(mp_pipe_send(a, data, 101, LONG_MS), MP_EMSGSIZE);
    mp_assert_ok(mp_pipe_send(a, data, 100, LONG_MS));
    ck_assert_int_eq(mp_pipe_recv(b, data, sizeof data, LONG_MS), 100);
    mp_assert_err(mp_pipe_send(b, data, 101, LONG_MS), MP_EMSGSIZE);
    end(a, b);
}

MP_TEST_EACH(a_buffer_too_small_leaves_the_message)
{
    mp_pipe *a, *b;
    char data[100] = "";
    void *got;
    pair(t, &a, &b);
    for (int i = 0; i < 3; i++) {
        mp_assert_ok(mp_pipe_send(b, "0123456789", 10, LONG_MS));
        mp_assert_err(mp_pipe_recv(a, data, 9, LONG_MS), MP_EMSGSIZE);
        ck_assert_int_eq(mp_pipe_next_size(a, LONG_MS), 10);
        mp_assert_err(mp_pipe_recv(a, data, 0, 0), MP_EMSGSIZE);
        ck_assert_int_eq(
            i & 1 ? mp_pipe_recv_new(a, &got, 0) : mp_pipe_recv(a, got = data, sizeof data, 0), 10);
        ck_assert_int_eq(memcmp(got, "0123456789", 10), 0);
        if (i & 1)
            free(got);
    }
    end(a, b);
}

MP_TEST_EACH(packed_values_travel)
{
    mp_pipe *a, *b;
    mp_buf buf = {0};
    char text[16], room[4];
    int i = 0;
    double x = 0;
    mp_buf fixed = {.data = room, .capacity = sizeof room, .fixed = true};
    pair(t, &a, &b);
    mp_assert_ok(mp_pipe_send_packed(b, LONG_MS, "{s:i s:[d]}", "n", 5, "x", 2.5));
    mp_assert_ok(mp_pipe_recv_packed(a, &buf, LONG_MS, "{s:i s:[d]}", "n", &i, "x", &x));
    ck_assert(i == 5 && x == 2.5);
    mp_assert_ok(mp_pipe_send_packed(b, LONG_MS, "s", "longer"));
    mp_assert_err(mp_pipe_recv_packed(a, &fixed, LONG_MS, "s", text, sizeof text), MP_EMSGSIZE);
    mp_assert_err(mp_pipe_recv_packed(a, &buf, LONG_MS, "i", &i), MP_ETYPE);
    mp_assert_ok(mp_unpack(buf.data, buf.size, "s", text, sizeof text));
    ck_assert_str_eq(text, "longer");
    mp_assert_ok(mp_pipe_send(b, "\xdd\xff\xff\xff\xff", 5, LONG_MS));
    mp_assert_err(mp_pipe_recv_packed(a, &buf, LONG_MS, "_"), MP_EPROTO);
    mp_buf_free(&buf);
    end(a, b);
}

// Both ends of one process: with MP_TRANSPORT=nng over NNG as well.
MP_TEST(oneway_goes_one_way)
{
    mp_pipe *a, *b;
    char byte;
    mp_assert_ok(mp_pipe_new(&a, &b, &(mp_pipe_opts){.oneway = true}));
    mp_assert_err(mp_pipe_send(a, "x", 1, 0), MP_ESTATE);
    mp_assert_err(mp_pipe_recv(b, &byte, 1, 0), MP_ESTATE);
    mp_assert_err(mp_pipe_poll(b, 0), MP_ESTATE);
    mp_assert_err(mp_pipe_fd(b), MP_ESTATE);
    mp_assert_ok(mp_pipe_send(b, "x", 1, LONG_MS));
    ck_assert_int_eq(mp_pipe_recv(a, &byte, 1, LONG_MS), 1);
    mp_pipe_close(b);
    mp_assert_err(mp_pipe_recv(a, &byte, 1, LONG_MS), MP_EOF);
    end(a, b);
}

MP_TEST_EACH(descriptors_travel_within_a_machine_only)
{
    mp_pipe *a, *b;
    mp_handle h = mp_handle_fd(1), got;
    char byte;
    size_t n = 1;
    bool remote = t->url || getenv("MP_TRANSPORT");
    pair(t, &a, &b);
    mp_assert_err(mp_pipe_send_handles(a, "x", 1, &h, 1, LONG_MS), remote ? MP_ENOTSUP : 0);
    if (!remote) {
        ck_assert_int_eq(mp_pipe_recv_handles(b, &byte, 1, &got, &n, LONG_MS), 1);
        ck_assert_uint_eq(n, 1);
        mp_handle_close(&got, n);
    }
    mp_assert_ok(mp_pipe_send(a, "y", 1, LONG_MS)); // and the pipe is as good as before
    ck_assert_int_eq(mp_pipe_recv(b, &byte, 1, LONG_MS), 1);
    end(a, b);
}
