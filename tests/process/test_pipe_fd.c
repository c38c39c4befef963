// SPDX-License-Identifier: MIT
//
// The descriptor of a pipe in event loops that know nothing of libmp: poll, epoll both ways,
// libuv, over each transport. A callback takes all there is and returns; nothing may stay
// behind unseen, and the end is seen as well.
#include "urltest.h"

#include <mp/process.h>
#include <poll.h>
#include <sys/epoll.h>
#include <uv.h>

enum { COUNT = 3000 };

static int count_up(void *arg)
{
    for (int i = 0; i < COUNT; i++) {
        mptest_require(mp_pipe_send(arg, &i, sizeof i, LONG_MS) == 0);
        if (i % 100 == 0)
            usleep(1000);
    }
    return 0;
}

struct seen {
    mp_pipe *pipe;
    mp_process *sender;
    int next;
    int64_t end;
};

static void begin(struct seen *s, const struct transport *t)
{
    mp_pipe *b;
    *s = (struct seen){.end = MP_ETIMEDOUT};
    pair(t, &s->pipe, &b);
    mp_process_opts opts = {.give = (mp_pipe *[]){b, NULL}};
    mp_assert_ok(mp_process_start(&s->sender, count_up, b, &opts));
    mp_pipe_free(b);
}

// All that is there, as a loop's callback does.
static void drain(struct seen *s)
{
    int n;
    int64_t r;
    while ((r = mp_pipe_recv(s->pipe, &n, sizeof n, 0)) == sizeof n)
        ck_assert_int_eq(n, s->next++);
    ck_assert_msg(r == MP_ETIMEDOUT || r == MP_EOF, "%s", mp_err_name(r));
    s->end = r;
}

static void assert_all_came(struct seen *s)
{
    int code = -1;
    ck_assert_int_eq(s->next, COUNT);
    mp_assert_err(s->end, MP_EOF);
    mp_pipe_free(s->pipe);
    mp_assert_ok(mp_process_join(s->sender, LONG_MS));
    mp_assert_ok(mp_process_exitcode(s->sender, &code));
    ck_assert_int_eq(code, 0);
    mp_process_free(s->sender);
}

MP_TEST_EACH(poll_can_wait_for_it)
{
    struct seen s;
    begin(&s, t);
    struct pollfd p = {.fd = mp_pipe_fd(s.pipe), .events = POLLIN};
    while (s.end != MP_EOF) {
        ck_assert_int_eq(poll(&p, 1, LONG_MS), 1);
        drain(&s);
    }
    assert_all_came(&s);
}

static void with_epoll(const struct transport *t, uint32_t events)
{
    struct seen s;
    begin(&s, t);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = events};
    ck_assert_int_eq(epoll_ctl(ep, EPOLL_CTL_ADD, mp_pipe_fd(s.pipe), &ev), 0);
    while (s.end != MP_EOF) {
        ck_assert_int_eq(epoll_wait(ep, &ev, 1, LONG_MS), 1);
        drain(&s);
    }
    close(ep);
    assert_all_came(&s);
}

MP_TEST_EACH(epoll_can_wait_for_it)
{
    with_epoll(t, EPOLLIN);
}

MP_TEST_EACH(epoll_can_be_edge_triggered)
{
    with_epoll(t, EPOLLIN | EPOLLET);
}

static void on_readable(uv_poll_t *h, int status, int events)
{
    struct seen *s = h->data;
    ck_assert_int_eq(status, 0);
    ck_assert(events & UV_READABLE);
    drain(s);
    if (s->end == MP_EOF)
        uv_close((uv_handle_t *)h, NULL);
}

MP_TEST_EACH(libuv_can_wait_for_it)
{
    struct seen s;
    uv_loop_t loop;
    uv_poll_t h = {.data = &s};
    begin(&s, t);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(uv_poll_init(&loop, &h, mp_pipe_fd(s.pipe)), 0);
    ck_assert_int_eq(uv_poll_start(&h, UV_READABLE, on_readable), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    uv_library_shutdown();
    assert_all_came(&s);
}
