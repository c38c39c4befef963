// SPDX-License-Identifier: MIT
#include "mptest.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/loop.h>
#include <mp/spawn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

// The first loop of a process opens a pipe for signals that stays: before the tests count.
__attribute__((constructor)) static void open_signal_pipe(void)
{
    mp_loop *loop;
    if (mp_loop_new(&loop) == 0)
        mp_loop_free(loop);
}

static mp_loop *new_loop(void)
{
    mp_loop *loop = NULL;
    mp_assert_ok(mp_loop_new(&loop));
    ck_assert_ptr_nonnull(loop);
    return loop;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// What the callbacks below note.
static int calls, last;
static mp_loop *the_loop;

static void note_timer(mp_watch *w, void *arg)
{
    calls++;
    last = *(int *)arg;
    mp_watch_close(w);
}

static void read_byte(mp_watch *w, int events, void *arg)
{
    char c;
    int fd = *(int *)arg;
    calls++;
    last = events;
    if (read(fd, &c, 1) != 1)
        mp_watch_close(w);
}

MP_TEST(nothing_to_wait_for)
{
    mp_loop *loop = new_loop();
    mp_assert_ok(mp_loop_run(loop));
    mp_loop_free(loop);
    mp_loop_free(NULL);
    mp_watch_close(NULL);
    mp_loop_stop(NULL);
}

MP_TEST(bad_arguments)
{
    mp_loop *loop = new_loop();
    mp_watch *w = (mp_watch *)1;
    int fd = 0;
    mp_assert_err(mp_loop_new(NULL), MP_EINVAL);
    mp_assert_err(mp_loop_run(NULL), MP_EINVAL);
    mp_assert_err(mp_loop_add_fd(loop, &w, -1, MP_LOOP_READ, read_byte, &fd), -EBADF);
    ck_assert_ptr_null(w);
    mp_assert_err(mp_loop_add_fd(loop, &w, 0, 4, read_byte, &fd), MP_EINVAL);
    mp_assert_err(mp_loop_add_fd(loop, &w, 0, MP_LOOP_READ, NULL, &fd), MP_EINVAL);
    mp_assert_err(mp_loop_add_timer(loop, &w, -1, note_timer, &fd), MP_EINVAL);
    mp_assert_err(mp_loop_add_timer(NULL, &w, 1, note_timer, &fd), MP_EINVAL);
    mp_assert_err(mp_loop_add_signal(loop, &w, SIGKILL, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_loop_add_child(loop, &w, -1, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_watch_set_events(NULL, 0), MP_EINVAL);
    int file = open("file", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    mp_assert_err(mp_loop_add_fd(loop, &w, file, MP_LOOP_READ, read_byte, &file), -EPERM);
    close(file);
    unlink("file");
    mp_loop_free(loop);
}

MP_TEST(timers_come_in_time_and_order)
{
    static int one = 1, two = 2;
    mp_loop *loop = new_loop();
    mp_watch *a, *b;
    int64_t start = now_ms();
    mp_assert_ok(mp_loop_add_timer(loop, &b, 60, note_timer, &two));
    mp_assert_ok(mp_loop_add_timer(loop, &a, 20, note_timer, &one));
    mp_assert_ok(mp_loop_run(loop));
    ck_assert_int_eq(calls, 2);
    ck_assert_int_eq(last, 2);
    ck_assert_int_ge(now_ms() - start, 59);
    mp_loop_free(loop);
}

MP_TEST(closed_timer_does_not_come)
{
    static int one = 1;
    mp_loop *loop = new_loop();
    mp_watch *a;
    mp_assert_ok(mp_loop_add_timer(loop, &a, 100000, note_timer, &one));
    mp_watch_close(a);
    mp_assert_ok(mp_loop_run(loop));
    ck_assert_int_eq(calls, 0);
    mp_loop_free(loop);
}

MP_TEST(descriptor_is_watched_until_its_end)
{
    mp_loop *loop = new_loop();
    int p[2];
    mp_watch *w;
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    ck_assert_int_eq(write(p[1], "abc", 3), 3);
    close(p[1]);
    mp_assert_ok(mp_loop_add_fd(loop, &w, p[0], MP_LOOP_READ, read_byte, &p[0]));
    mp_assert_ok(mp_loop_run(loop)); // three bytes, and the end
    ck_assert_int_eq(calls, 4);
    ck_assert_int_eq(last, MP_LOOP_READ);
    ck_assert_int_eq(fcntl(p[0], F_GETFL) & O_NONBLOCK, 0);
    close(p[0]);
    mp_loop_free(loop);
}

static void rest(mp_watch *w, int events, void *arg)
{
    (void)events, (void)arg;
    calls++;
    mp_assert_ok(mp_watch_set_events(w, 0));
}

MP_TEST(resting_descriptor_is_quiet)
{
    static int one = 1;
    mp_loop *loop = new_loop();
    int p[2];
    mp_watch *w, *t;
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    close(p[1]); // a hang-up, which epoll would report for ever
    mp_assert_ok(mp_loop_add_fd(loop, &w, p[0], MP_LOOP_READ, rest, NULL));
    mp_assert_ok(mp_loop_add_timer(loop, &t, 50, note_timer, &one));
    mp_assert_ok(mp_loop_run(loop));
    ck_assert_int_eq(calls, 2); // the pipe once, the timer
    mp_assert_ok(mp_watch_set_events(w, MP_LOOP_READ));
    mp_assert_ok(mp_loop_run(loop));
    ck_assert_int_eq(calls, 3);
    close(p[0]);
    mp_loop_free(loop);
}

static void writable(mp_watch *w, int events, void *arg)
{
    (void)arg;
    calls++;
    last = events;
    mp_watch_close(w);
}

MP_TEST(room_to_write)
{
    mp_loop *loop = new_loop();
    int p[2];
    mp_watch *w;
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    mp_assert_ok(mp_loop_add_fd(loop, &w, p[1], MP_LOOP_WRITE, writable, NULL));
    mp_assert_ok(mp_loop_run(loop));
    ck_assert_int_eq(last, MP_LOOP_WRITE);
    close(p[0]);
    close(p[1]);
    mp_loop_free(loop);
}

// Two descriptors are ready in the same round; the first that is told closes both.
static mp_watch *pair[2];

static void close_both(mp_watch *w, int events, void *arg)
{
    (void)w, (void)events, (void)arg;
    calls++;
    mp_watch_close(pair[0]);
    mp_watch_close(pair[1]);
}

MP_TEST(closed_in_the_same_round)
{
    mp_loop *loop = new_loop();
    int p[2], q[2];
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(q, O_CLOEXEC), 0);
    ck_assert_int_eq(write(p[1], "x", 1), 1);
    ck_assert_int_eq(write(q[1], "x", 1), 1);
    mp_assert_ok(mp_loop_add_fd(loop, &pair[0], p[0], MP_LOOP_READ, close_both, NULL));
    mp_assert_ok(mp_loop_add_fd(loop, &pair[1], q[0], MP_LOOP_READ, close_both, NULL));
    mp_assert_err(mp_loop_add_fd(loop, &(mp_watch *){NULL}, q[0], MP_LOOP_READ, rest, NULL),
                  -EEXIST);
    mp_assert_ok(mp_loop_run(loop));
    ck_assert_int_eq(calls, 1);
    mp_loop_free(loop);
    close(p[0]), close(p[1]), close(q[0]), close(q[1]);
}

static void child_ended(mp_watch *w, int code, const struct rusage *usage, void *arg)
{
    calls++;
    *(int *)arg = code;
    ck_assert_int_gt(usage->ru_maxrss, 0);
    mp_watch_close(w);
}

static int start(const char *script)
{
    int pidfd;
    mp_assert_ok(
        mp_spawn(NULL, &pidfd, (char *[]){(char *)"sh", (char *)"-c", (char *)script, NULL}, NULL));
    return pidfd;
}

MP_TEST(ends_of_children)
{
    static const struct {
        const char *script;
        int code;
    } child[] = {{"exit 0", 0}, {"exit 255", 255}, {"kill -9 $$", -9}, {"sleep 0.05; exit 3", 3}};
    mp_loop *loop = new_loop();
    int pidfd[4], code[4];
    for (int i = 0; i < 4; i++) {
        mp_watch *w;
        pidfd[i] = start(child[i].script);
        mp_assert_ok(mp_loop_add_child(loop, &w, pidfd[i], child_ended, &code[i]));
    }
    mp_assert_ok(mp_loop_run(loop));
    ck_assert_int_eq(calls, 4);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(code[i], child[i].code);
        close(pidfd[i]);
    }
    mp_loop_free(loop);
}

static void child_stolen(mp_watch *w, int code, const struct rusage *usage, void *arg)
{
    (void)usage, (void)arg;
    last = code;
    mp_watch_close(w);
}

MP_TEST(child_whose_status_was_taken)
{
    mp_loop *loop = new_loop();
    mp_watch *w;
    signal(SIGCHLD, SIG_IGN);
    int pidfd = start("exit 5");
    mp_assert_ok(mp_loop_add_child(loop, &w, pidfd, child_stolen, NULL));
    mp_assert_ok(mp_loop_run(loop));
    mp_assert_err(last, MP_ESTATUS);
    close(pidfd);
    mp_loop_free(loop);
    signal(SIGCHLD, SIG_DFL);
}

static void on_signal(mp_watch *w, int sig, void *arg)
{
    (void)arg;
    calls++;
    last = sig;
    mp_watch_close(w);
}

MP_TEST(signals_are_told_in_the_loop)
{
    mp_loop *loop = new_loop();
    mp_watch *w;
    mp_assert_ok(mp_loop_add_signal(loop, &w, SIGUSR1, on_signal, NULL));
    raise(SIGUSR1);
    ck_assert_int_eq(calls, 0);
    mp_assert_ok(mp_loop_run(loop));
    ck_assert_int_eq(last, SIGUSR1);
    mp_loop_free(loop);
}

static void stop_loop(mp_watch *w, void *arg)
{
    (void)w, (void)arg;
    calls++;
    mp_assert_err(mp_loop_run(the_loop), MP_ESTATE);
    mp_loop_stop(the_loop);
}

MP_TEST(stop_ends_the_run_and_only_that)
{
    static int one = 1;
    mp_watch *a, *b;
    the_loop = new_loop();
    mp_assert_ok(mp_loop_add_timer(the_loop, &a, 1, stop_loop, NULL));
    mp_assert_ok(mp_loop_add_timer(the_loop, &b, 60, note_timer, &one));
    mp_assert_ok(mp_loop_run(the_loop));
    ck_assert_int_eq(calls, 1);
    mp_loop_stop(the_loop); // before the run: it returns at once
    mp_assert_ok(mp_loop_run(the_loop));
    ck_assert_int_eq(calls, 1);
    mp_watch_close(a);
    mp_assert_ok(mp_loop_run(the_loop));
    ck_assert_int_eq(calls, 2);
    mp_loop_free(the_loop);
}

MP_TEST(free_closes_what_is_left)
{
    static int one = 1;
    int before = mptest_fd_count();
    mp_loop *loop = new_loop();
    mp_watch *w;
    int p[2];
    ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
    mp_assert_ok(mp_loop_add_fd(loop, &w, p[0], MP_LOOP_READ, read_byte, &p[0]));
    mp_assert_ok(mp_loop_add_timer(loop, &w, 1000, note_timer, &one));
    mp_loop_free(loop);
    close(p[0]);
    close(p[1]);
    ck_assert_int_eq(mptest_fd_count(), before);
}
