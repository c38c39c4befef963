// SPDX-License-Identifier: MIT
#include "mptest.h"

#include "base/clock.h"

#include <errno.h>
#include <mp/pipe.h>
#include <mp/process.h>
#include <mp/wait.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#define LONG_MS 20000

MP_TEST(bad_input_is_refused)
{
    mp_pipe *a, *b;
    mp_pipe_opts opts = {.oneway = true};
    mp_assert_ok(mp_pipe_new(&a, &b, &opts));
    mp_wait_item item = MP_WAIT_PIPE(a);
    mp_assert_err(mp_wait(NULL, 1, 0), MP_EINVAL);
    mp_assert_err(mp_wait(&item, 1, -2), MP_EINVAL);
    mp_assert_err(mp_wait(&item, SIZE_MAX, 0), MP_EINVAL);
    item = MP_WAIT_FD(-1);
    mp_assert_err(mp_wait(&item, 1, 0), MP_EINVAL);
    item = MP_WAIT_PIPE(b);
    mp_assert_err(mp_wait(&item, 1, 0), MP_ESTATE);
    mp_pipe_close(a);
    item = MP_WAIT_PIPE(a);
    mp_assert_err(mp_wait(&item, 1, 0), MP_ECLOSED);
    int fd = dup(0);
    close(fd);
    item = MP_WAIT_FD(fd);
    mp_assert_err(mp_wait(&item, 1, 0), -EBADF);
    mp_pipe_free(a);
    mp_pipe_free(b);
}

MP_TEST(nothing_to_wait_for_only_waits)
{
    int64_t begin = mp__now();
    ck_assert_int_eq(mp_wait(NULL, 0, 30), 0);
    ck_assert_int_ge(mp__now() - begin, 30000000);
    ck_assert_int_eq(mp_wait(NULL, 0, 0), 0);
}

MP_TEST(timeouts_are_kept_and_mark_nothing)
{
    mp_pipe *a, *b;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    int fd = eventfd(0, EFD_CLOEXEC);
    mp_wait_item items[] = {MP_WAIT_PIPE(a), MP_WAIT_FD(fd)};
    for (int ms = 0; ms <= 40; ms += 20) {
        items[0].ready = items[1].ready = true;
        int64_t begin = mp__now();
        ck_assert_int_eq(mp_wait(items, 2, ms), 0);
        ck_assert_int_ge(mp__now() - begin, ms * 1000000);
        ck_assert(!items[0].ready && !items[1].ready);
    }
    close(fd);
    mp_pipe_free(a);
    mp_pipe_free(b);
}

static int die_by_signal(void *arg)
{
    (void)arg;
    pause();
    return 0;
}

MP_TEST(each_kind_is_seen_and_stays_ready_until_taken)
{
    mp_pipe *a, *b, *c, *d;
    mp_process *p;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_assert_ok(mp_pipe_new(&c, &d, NULL));
    mp_assert_ok(mp_process_start(&p, die_by_signal, NULL, NULL));
    int fd = eventfd(0, EFD_CLOEXEC);
    mp_wait_item items[] = {MP_WAIT_PIPE(a), MP_WAIT_PIPE(c), MP_WAIT_FD(fd),
                            MP_WAIT_FD(mp_process_sentinel(p))};
    ck_assert_int_eq(mp_wait(items, 4, 0), 0);
    mp_assert_ok(mp_pipe_send(b, "x", 1, 0));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(mp_wait(items, 4, LONG_MS), 1);
        ck_assert(items[0].ready && !items[1].ready && !items[2].ready && !items[3].ready);
    }
    mp_pipe_close(d);
    eventfd_write(fd, 1);
    mp_assert_ok(mp_process_kill(p));
    mp_assert_ok(mp_process_join(p, LONG_MS));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(mp_wait(items, 4, LONG_MS), 4);
        ck_assert(items[0].ready && items[1].ready && items[2].ready && items[3].ready);
    }
    char buf[1];
    ck_assert_int_eq(mp_pipe_recv(a, buf, 1, 0), 1);
    ck_assert_int_eq(mp_wait(items, 4, 0), 3);
    ck_assert(!items[0].ready);
    close(fd);
    mp_process_free(p);
    mp_pipe_free(a), mp_pipe_free(b), mp_pipe_free(c), mp_pipe_free(d);
}

// ---- two hundred of three kinds ----------------------------------------------------

#define EACH 66

static int send_back(void *arg)
{
    int n;
    while (mp_pipe_recv(arg, &n, sizeof n, LONG_MS) == sizeof n)
        if (mp_pipe_send(arg, &n, sizeof n, LONG_MS) < 0)
            return 1;
    return 0;
}

// Which of the items are ready, as bits of a small set.
static size_t only(const mp_wait_item *items, size_t n)
{
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        if (items[i].ready) {
            ck_assert_msg(found == SIZE_MAX, "%zu and %zu", found, i);
            found = i;
        }
    return found;
}

static mp_pipe *pipes[EACH];
static mp_process *procs[EACH];
static int timers[EACH];

static void start_all(mp_wait_item *items)
{
    for (size_t i = 0; i < EACH; i++) {
        mp_pipe *far;
        mp_pipe_opts opts = {.ring_size = 4096, .ring_max = 4096};
        mp_assert_ok(mp_pipe_new(&pipes[i], &far, &opts));
        mp_process_opts give = {.give = (mp_pipe *[]){far, NULL}};
        mp_assert_ok(mp_process_start(&procs[i], send_back, far, &give));
        mp_pipe_free(far);
        timers[i] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        ck_assert_int_ge(timers[i], 0);
        items[3 * i] = MP_WAIT_PIPE(pipes[i]);
        items[3 * i + 1] = MP_WAIT_FD(mp_process_sentinel(procs[i]));
        items[3 * i + 2] = MP_WAIT_FD(timers[i]);
    }
}

MP_TEST_TIMEOUT(two_hundred_of_three_kinds_are_told_apart, 60)
{
    mp_wait_item items[3 * EACH];
    mptest_need_fds(1000);
    start_all(items);
    for (size_t k = 0; k < 10 * EACH; k++) {
        size_t i = k * 29 % EACH;
        int n = (int)k;
        if (k & 1) {
            mp_assert_ok(mp_pipe_send(pipes[i], &n, sizeof n, LONG_MS));
            ck_assert_int_eq(mp_wait(items, 3 * EACH, LONG_MS), 1);
            ck_assert_int_eq(only(items, 3 * EACH), 3 * i);
            ck_assert_int_eq(mp_pipe_recv(pipes[i], &n, sizeof n, 0), sizeof n);
            ck_assert_int_eq(n, k);
        } else {
            struct itimerspec soon = {.it_value = {0, 100000}};
            uint64_t count;
            timerfd_settime(timers[i], 0, &soon, NULL);
            ck_assert_int_eq(mp_wait(items, 3 * EACH, LONG_MS), 1);
            ck_assert_int_eq(only(items, 3 * EACH), 3 * i + 2);
            ck_assert_int_eq(read(timers[i], &count, sizeof count), sizeof count);
        }
    }
    // A killed one is seen twice: its pipe and its sentinel.
    for (size_t i = 0; i < EACH; i++) {
        mp_assert_ok(mp_process_kill(procs[i]));
        ck_assert(mptest_eventually(mp_wait(items, 3 * EACH, LONG_MS) == 2, 10000));
        ck_assert(items[3 * i].ready && items[3 * i + 1].ready);
        mp_assert_err(mp_pipe_recv(pipes[i], NULL, 0, 0), MP_EOF);
        mp_assert_ok(mp_process_join(procs[i], LONG_MS));
        items[3 * i] = items[3 * i + 1] = items[3 * i + 2];
        mp_process_free(procs[i]);
        mp_pipe_free(pipes[i]);
    }
    for (size_t i = 0; i < EACH; i++)
        close(timers[i]);
}

MP_TEST(the_same_item_twice_is_ready_twice)
{
    mp_pipe *a, *b;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_wait_item items[] = {MP_WAIT_PIPE(a), MP_WAIT_PIPE(a), MP_WAIT_PIPE(b)};
    mp_assert_ok(mp_pipe_send(b, "x", 1, 0));
    ck_assert_int_eq(mp_wait(items, 3, 0), 2);
    ck_assert(items[0].ready && items[1].ready && !items[2].ready);
    mp_pipe_free(a);
    mp_pipe_free(b);
}
