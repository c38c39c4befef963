// SPDX-License-Identifier: MIT
//
// Handles between processes: many, in chains, while both threads of an end are busy, and
// in the event loops of others.
#include "mptest.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/arena.h>
#include <mp/handle.h>
#include <mp/process.h>
#include <mp/wait.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <uv.h>

#define LONG_MS 20000

// A process that owns p and runs fn(p).
static mp_process *start(mp_process_fn *fn, mp_pipe *p)
{
    mp_process *proc;
    mp_assert_ok(
        mp_process_start(&proc, fn, p, &(mp_process_opts){.give = (mp_pipe *[]){p, NULL}}));
    mp_pipe_free(p);
    return proc;
}

static void join(mp_process *p)
{
    int code = -1;
    mp_assert_ok(mp_process_join(p, LONG_MS));
    mp_assert_ok(mp_process_exitcode(p, &code));
    ck_assert_int_eq(code, 0);
    mp_process_free(p);
}

// A file that says n.
static int file_of(int n)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    mptest_require(fd >= 0 && pwrite(fd, &n, sizeof n, 0) == sizeof n);
    return fd;
}

static int number_in(int fd)
{
    int n = -1;
    return pread(fd, &n, sizeof n, 0) == sizeof n ? n : -1;
}

// ---- many ------------------------------------------------------------------------------

static int return_files(void *arg)
{
    int fd, before = mptest_fd_count();
    for (int i = 0; (fd = mp_pipe_recv_fd(arg, LONG_MS)) >= 0; i++) {
        int n = number_in(fd), twice = 2 * n;
        mptest_require(n == i && pwrite(fd, &twice, sizeof twice, 0) == sizeof twice);
        mptest_require(mp_pipe_send_fd(arg, fd, LONG_MS) == 0);
        close(fd);
    }
    mptest_require(mptest_fd_count() == before);
    return fd != MP_EOF;
}

MP_TEST_TIMEOUT(a_thousand_descriptors_one_after_another, 60)
{
    mp_pipe *a, *b;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_process *p = start(return_files, b);
    int before = mptest_fd_count();
    for (int i = 0; i < 1000; i++) {
        int fd = file_of(i);
        mp_assert_ok(mp_pipe_send_fd(a, fd, LONG_MS));
        int back = mp_pipe_recv_fd(a, LONG_MS);
        mp_assert_ok(back);
        ck_assert_int_eq(number_in(back), 2 * i);
        ck_assert_int_eq(number_in(fd), 2 * i); // the same file
        close(back);
        close(fd);
    }
    ck_assert_int_eq(mptest_fd_count(), before);
    mp_pipe_free(a);
    join(p);
}

static int send_files(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        int fd = file_of(i), r = mp_pipe_send_fd(arg, fd, LONG_MS);
        mptest_require(r == 0);
        close(fd);
    }
    return 0;
}

// More than the socket holds: the sender waits for the receiver.
MP_TEST_TIMEOUT(a_stream_of_descriptors, 60)
{
    mp_pipe *a, *b;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_process *p = start(send_files, b);
    ck_assert_int_eq(mp_pipe_poll(a, LONG_MS), 1);
    for (int i = 0; i < 1000; i++) {
        if (i % 300 == 0)
            usleep(20000);
        int fd = mp_pipe_recv_fd(a, LONG_MS);
        mp_assert_ok(fd);
        ck_assert_int_eq(number_in(fd), i);
        close(fd);
    }
    mp_assert_err(mp_pipe_recv_fd(a, LONG_MS), MP_EOF);
    mp_pipe_free(a);
    join(p);
}

// 253 in a message, with bytes that flow through the ring in pieces.
#define LONG_MESSAGE 3000001

static int send_many(void *arg)
{
    static char buf[LONG_MESSAGE];
    mp_handle h[MP_HANDLES_MAX];
    for (int round = 0; round < 5; round++) {
        memset(buf, 'a' + round, sizeof buf);
        for (int i = 0; i < MP_HANDLES_MAX; i++)
            h[i] = MP_HANDLE(file_of(round * 1000 + i));
        mptest_require(mp_pipe_send_handles(arg, buf, sizeof buf, h, MP_HANDLES_MAX, LONG_MS) == 0);
        mp_handle_close(h, MP_HANDLES_MAX);
    }
    return 0;
}

MP_TEST_TIMEOUT(long_messages_with_253_descriptors, 60)
{
    static char buf[LONG_MESSAGE];
    mp_handle h[MP_HANDLES_MAX];
    mp_pipe *a, *b;
    mptest_need_fds(MP_HANDLES_MAX + 50);
    mp_assert_ok(mp_pipe_new(&a, &b, &(mp_pipe_opts){.ring_size = 4096}));
    mp_process *p = start(send_many, b);
    for (int round = 0; round < 5; round++) {
        size_t n = MP_HANDLES_MAX;
        ck_assert_int_eq(mp_pipe_recv_handles(a, buf, sizeof buf, h, &n, LONG_MS), LONG_MESSAGE);
        ck_assert(buf[0] == 'a' + round && memcmp(buf, buf + 1, sizeof buf - 1) == 0);
        ck_assert_uint_eq(n, MP_HANDLES_MAX);
        for (int i = 0; i < MP_HANDLES_MAX; i++)
            ck_assert_int_eq(number_in(h[i].fd), round * 1000 + i);
        mp_handle_close(h, n);
    }
    mp_pipe_free(a);
    join(p);
}

// ---- ends ------------------------------------------------------------------------------

static int echo(mp_pipe *p)
{
    char buf[100];
    int64_t n;
    while ((n = mp_pipe_recv(p, buf, sizeof buf, LONG_MS)) >= 0)
        mptest_require(mp_pipe_send(p, buf, (size_t)n, LONG_MS) == 0);
    mp_pipe_free(p);
    return n == MP_EOF ? 0 : 1;
}

static int echo_on_what_comes(void *arg)
{
    mp_pipe *end;
    int r, code = 0;
    while ((r = mp_pipe_recv_pipe(arg, &end, LONG_MS)) == 0)
        code |= echo(end);
    return code || r != MP_EOF;
}

static void talk(mp_pipe *x, int n)
{
    char buf[100], back[100];
    for (int i = 0; i < n; i++) {
        int size = snprintf(buf, sizeof buf, "message %d", i);
        mp_assert_ok(mp_pipe_send(x, buf, (size_t)size, LONG_MS));
        ck_assert_int_eq(mp_pipe_recv(x, back, sizeof back, LONG_MS), size);
        ck_assert_int_eq(memcmp(buf, back, (size_t)size), 0);
    }
}

MP_TEST_TIMEOUT(an_end_works_in_the_process_it_was_sent_to, 120)
{
    mp_pipe *a, *b, *x, *y;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_process *p = start(echo_on_what_comes, b);
    for (int i = 0; i < 50; i++) {
        mp_assert_ok(mp_pipe_new(&x, &y, &(mp_pipe_opts){.no_spin = i & 1}));
        if (i & 2)
            mp_assert_ok(mp_pipe_send(x, "before", 6, 0));
        mp_assert_ok(mp_pipe_send_pipe(a, y, LONG_MS));
        mp_pipe_free(y);
        char buf[10];
        if (i & 2)
            ck_assert_int_eq(mp_pipe_recv(x, buf, sizeof buf, LONG_MS), 6);
        talk(x, 20);
        mp_pipe_free(x);
    }
    mp_pipe_free(a);
    join(p);
}

static int take_one_and_die(void *arg)
{
    mp_pipe *end;
    char c;
    mptest_require(mp_pipe_recv_pipe(arg, &end, LONG_MS) == 0);
    mptest_require(mp_pipe_send(end, "ready", 5, LONG_MS) == 0);
    (void)!mp_pipe_recv(end, &c, 1, LONG_MS);
    _exit(9);
}

MP_TEST(the_end_of_who_has_it_is_the_end_of_the_pipe)
{
    mp_pipe *a, *b, *x, *y;
    char buf[10];
    int code;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_assert_ok(mp_pipe_new(&x, &y, NULL));
    mp_process *p = start(take_one_and_die, b);
    mp_assert_ok(mp_pipe_send_pipe(a, y, LONG_MS));
    ck_assert_int_eq(mp_pipe_recv(x, buf, 10, LONG_MS), 5);
    mp_assert_ok(mp_process_kill(p));
    int64_t begin = mp__now();
    mp_assert_err(mp_pipe_recv(x, buf, 10, LONG_MS), MP_EOF);
    ck_assert_int_lt(mp__now() - begin, (int64_t)15 * 1000000000);
    mp_assert_ok(mp_process_join(p, LONG_MS));
    mp_assert_ok(mp_process_exitcode(p, &code));
    mp_process_free(p);
    mp_pipe_free(x);
    mp_pipe_free(y);
    mp_pipe_free(a);
}

// Hands on whatever comes, as it came, to the next in the row.
struct link {
    mp_pipe *from, *to;
};

static int hand_on(void *arg)
{
    struct link *l = arg;
    char buf[100];
    mp_handle h[4];
    int64_t len;
    size_t n = 4;
    while ((len = mp_pipe_recv_handles(l->from, buf, sizeof buf, h, &n, LONG_MS)) >= 0) {
        mptest_require(mp_pipe_send_handles(l->to, buf, (size_t)len, h, n, LONG_MS) == 0);
        mp_handle_close(h, n); // of an end only the handle is left
        n = 4;
    }
    return len != MP_EOF;
}

static int last_of_the_row(void *arg)
{
    mp_handle h[4];
    mp_pipe *end;
    char text[20];
    size_t n = 4;
    mptest_require(mp_pipe_recv_handles(arg, text, sizeof text, h, &n, LONG_MS) == 6);
    mptest_require(n == 3 && memcmp(text, "in all", 6) == 0);
    mptest_require(number_in(h[0].fd) == 77 && number_in(h[2].fd) == 78);
    mptest_require(mp_handle_take_pipe(&h[1], &end) == 0);
    int code = echo(end);
    mp_handle_close(h, n);
    return code;
}

MP_TEST_TIMEOUT(a_chain_of_processes, 60)
{
    enum { LINKS = 3 };
    mp_pipe *from[LINKS + 1], *to[LINKS + 1], *x, *y;
    mp_process *p[LINKS + 1];
    for (int i = 0; i <= LINKS; i++)
        mp_assert_ok(mp_pipe_new(&to[i], &from[i], NULL));
    for (int i = 0; i < LINKS; i++) {
        struct link l = {from[i], to[i + 1]};
        mp_process_opts opts = {.give = (mp_pipe *[]){from[i], to[i + 1], NULL}};
        mp_assert_ok(mp_process_start(&p[i], hand_on, &l, &opts));
        mp_pipe_free(from[i]);
        mp_pipe_free(to[i + 1]);
    }
    p[LINKS] = start(last_of_the_row, from[LINKS]);
    mp_assert_ok(mp_pipe_new(&x, &y, NULL));
    mp_handle h[] = {MP_HANDLE(file_of(77)), MP_HANDLE(y), MP_HANDLE(file_of(78))};
    mp_assert_ok(mp_pipe_send_handles(to[0], "in all", 6, h, 3, LONG_MS));
    mp_handle_close(h, 3);
    talk(x, 200);
    mp_pipe_free(x);
    mp_pipe_free(to[0]);
    for (int i = 0; i <= LINKS; i++)
        join(p[i]);
}

// ---- arenas ------------------------------------------------------------------------------

// Counts up in an arena that comes, until the pipe ends.
static int count_in_arena(void *arg)
{
    mp_handle h;
    size_t n = 1, offset = 0;
    while (mp_pipe_recv_handles(arg, &offset, sizeof offset, &h, &n, LONG_MS) == sizeof offset) {
        mp_arena *a, *same;
        mptest_require(n == 1 && mp_handle_take_arena(&h, &a) == 0);
        int *x = mp_arena_root(a, sizeof *x);
        mptest_require(mp_arena_contains(a, x, sizeof *x));
        *x += 1;
        // It comes once more: the same one.
        mptest_require(mp_pipe_send(arg, "again", 5, LONG_MS) == 0);
        n = 1;
        mptest_require(mp_pipe_recv_handles(arg, NULL, 0, &h, &n, LONG_MS) == 0);
        mptest_require(n == 1 && mp_handle_take_arena(&h, &same) == 0 && same == a);
        mp_arena_delete(same);
        *x += 1;
        mp_arena_delete(a);
        mptest_require(mp_pipe_send(arg, "done", 4, LONG_MS) == 0);
    }
    return 0;
}

MP_TEST(an_arena_is_shared_with_who_gets_it)
{
    mp_pipe *a, *b;
    mp_arena *arena, *back;
    void *x;
    char buf[10];
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_process *p = start(count_in_arena, b); // before there is an arena
    for (int i = 0; i < 5; i++) {
        size_t offset = 0;
        mp_assert_ok(mp_arena_new(&arena, &(mp_arena_opts){.max = 1 << 20}));
        mp_assert_ok(mp_arena_alloc(arena, &x, 1, sizeof(int)));
        mp_assert_ok(mp_arena_set_root(arena, x));
        *(int *)x = i;
        mp_handle h = MP_HANDLE(arena);
        mp_assert_ok(mp_pipe_send_handles(a, &offset, sizeof offset, &h, 1, LONG_MS));
        ck_assert_int_eq(mp_pipe_recv(a, buf, sizeof buf, LONG_MS), 5);
        ck_assert_int_eq(*(int *)x, i + 1);
        mp_assert_ok(mp_pipe_send_handles(a, NULL, 0, &h, 1, LONG_MS));
        ck_assert_int_eq(mp_pipe_recv(a, buf, sizeof buf, LONG_MS), 4);
        ck_assert_int_eq(*(int *)x, i + 2);
        mp_arena_delete(arena);
    }
    mp_pipe_free(a);
    join(p);

    // To oneself: the same, and freed as often as it was taken.
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_assert_ok(mp_arena_new(&arena, NULL));
    mp_handle h[2] = {MP_HANDLE(arena), MP_HANDLE(arena)};
    size_t n = 2;
    mp_assert_ok(mp_pipe_send_handles(a, NULL, 0, h, 2, LONG_MS));
    ck_assert_int_eq(mp_pipe_recv_handles(b, NULL, 0, h, &n, LONG_MS), 0);
    mp_assert_ok(mp_handle_take_arena(&h[0], &back));
    ck_assert_ptr_eq(back, arena);
    mp_handle_close(h, 2);
    mp_arena_delete(arena);
    mp_assert_ok(mp_arena_alloc(back, &x, 1, 100));
    mp_arena_delete(back);
    mp_handle none = MP_HANDLE((mp_arena *)NULL);
    mp_assert_err(mp_pipe_send_handles(a, NULL, 0, &none, 1, 0), MP_EINVAL);
    mp_pipe_free(a);
    mp_pipe_free(b);
}

// ---- event loops of others -----------------------------------------------------------------

// Messages with and without descriptors, with pauses.
#define MESSAGES 600

static int send_mixed(void *arg)
{
    for (int i = 0; i < MESSAGES; i++) {
        mp_handle h = MP_HANDLE(file_of(i));
        mptest_require(mp_pipe_send_handles(arg, &i, sizeof i, &h, i % 3 == 0, LONG_MS) == 0);
        mp_handle_close(&h, 1);
        if (i % 50 == 0)
            usleep(1000);
    }
    return 0;
}

struct seen {
    mp_pipe *pipe;
    int next;
    int64_t end;
};

// All that is there, as a loop's callback does it.
static void take_all(struct seen *s)
{
    int i;
    mp_handle h;
    size_t n = 1;
    while ((s->end = mp_pipe_recv_handles(s->pipe, &i, sizeof i, &h, &n, 0)) == sizeof i) {
        ck_assert_int_eq(i, s->next++);
        ck_assert_uint_eq(n, i % 3 == 0);
        if (n)
            ck_assert_int_eq(number_in(h.fd), i);
        mp_handle_close(&h, n);
        n = 1;
    }
    ck_assert(s->end == MP_ETIMEDOUT || s->end == MP_EOF);
}

static void with_loop(void (*loop)(struct seen *s))
{
    mp_pipe *a, *b;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_process *p = start(send_mixed, b);
    struct seen s = {.pipe = a};
    loop(&s);
    mp_assert_err(s.end, MP_EOF);
    ck_assert_int_eq(s.next, MESSAGES);
    mp_pipe_free(a);
    join(p);
}

static void poll_loop(struct seen *s)
{
    struct pollfd p = {.fd = mp_pipe_fd(s->pipe), .events = POLLIN};
    while (s->end != MP_EOF) {
        ck_assert_int_eq(poll(&p, 1, LONG_MS), 1);
        take_all(s);
    }
}

static void epoll_loop_of(struct seen *s, uint32_t events)
{
    struct epoll_event ev = {.events = events};
    int ep = epoll_create1(EPOLL_CLOEXEC);
    ck_assert_int_eq(epoll_ctl(ep, EPOLL_CTL_ADD, mp_pipe_fd(s->pipe), &ev), 0);
    while (s->end != MP_EOF) {
        ck_assert_int_eq(epoll_wait(ep, &ev, 1, LONG_MS), 1);
        take_all(s);
    }
    close(ep);
}

static void epoll_loop(struct seen *s)
{
    epoll_loop_of(s, EPOLLIN);
}

static void edge_loop(struct seen *s)
{
    epoll_loop_of(s, EPOLLIN | EPOLLET);
}

static void wait_loop(struct seen *s)
{
    mp_wait_item item = MP_WAIT_PIPE(s->pipe);
    while (s->end != MP_EOF) {
        ck_assert_int_eq(mp_wait(&item, 1, LONG_MS), 1);
        take_all(s);
    }
}

static void on_readable(uv_poll_t *h, int status, int events)
{
    ck_assert_int_eq(status, 0);
    ck_assert(events & UV_READABLE);
    struct seen *s = h->data;
    take_all(s);
    if (s->end == MP_EOF)
        uv_close((uv_handle_t *)h, NULL);
}

static void uv_loop(struct seen *s)
{
    uv_loop_t loop;
    uv_poll_t h;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(uv_poll_init(&loop, &h, mp_pipe_fd(s->pipe)), 0);
    h.data = s;
    ck_assert_int_eq(uv_poll_start(&h, UV_READABLE, on_readable), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    uv_library_shutdown();
}

MP_TEST(poll_sees_messages_with_handles)
{
    with_loop(poll_loop);
}

MP_TEST(epoll_sees_messages_with_handles)
{
    with_loop(epoll_loop);
    with_loop(edge_loop);
}

MP_TEST(mp_wait_sees_messages_with_handles)
{
    with_loop(wait_loop);
}

MP_TEST(libuv_sees_messages_with_handles)
{
    with_loop(uv_loop);
}

// ---- both threads of both ends ----------------------------------------------------------------

static void *send_on(void *arg)
{
    struct link *l = arg;
    for (int i = 0; i < 2000; i++) {
        mp_handle h = MP_HANDLE(i % 2 ? file_of(i) : -1);
        mptest_require(mp_pipe_send_handles(l->to, &i, sizeof i, &h, i % 2, LONG_MS) == 0);
        if (i % 2)
            mp_handle_close(&h, 1);
    }
    return NULL;
}

static int send_and_receive(void *arg)
{
    struct link l = {arg, arg};
    pthread_t t;
    mptest_require(pthread_create(&t, NULL, send_on, &l) == 0);
    for (int i = 0; i < 2000; i++) {
        int k = -1;
        mp_handle h = {0};
        size_t n = 1;
        mptest_require(mp_pipe_recv_handles(arg, &k, sizeof k, &h, &n, LONG_MS) == sizeof k);
        mptest_require(k == i && n == (size_t)(i % 2) && (n == 0 || number_in(h.fd) == i));
        mp_handle_close(&h, n);
    }
    return pthread_join(t, NULL);
}

MP_TEST_TIMEOUT(both_threads_of_both_ends, 120)
{
    for (int way = 0; way < 4; way++) {
        mp_pipe *a, *b;
        mp_pipe_opts opts = {.ring_size = 4096, .ring_max = 4096u << way, .no_spin = way & 1};
        mp_assert_ok(mp_pipe_new(&a, &b, &opts));
        mp_process *p = start(send_and_receive, b);
        ck_assert_int_eq(send_and_receive(a), 0);
        // It may have much to read still, and one CPU for all.
        mp_assert_err(mp_pipe_recv_fd(a, 3 * LONG_MS), MP_EOF);
        mp_pipe_free(a);
        join(p);
    }
}
