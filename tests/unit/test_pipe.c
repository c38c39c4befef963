// SPDX-License-Identifier: MIT
//
// What mp/pipe.h promises. Death, forks and damage are in fault/test_pipe_faults.c,
// lost wake-ups in process/test_pipe_stress.c, foreign event loops in process/test_pipe_fd.c.
#include "mptest.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mp/pipe.h>
#include <mp/process.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define LONG_MS 20000

static void free_both(mp_pipe *a, mp_pipe *b)
{
    mp_pipe_free(a);
    mp_pipe_free(b);
}

MP_TEST(bad_arguments_are_refused)
{
    mp_pipe *a = (mp_pipe *)1, *b = (mp_pipe *)1;
    void *data = (void *)1;
    char c;
    mp_assert_err(mp_pipe_new(NULL, &b, NULL), MP_EINVAL);
    ck_assert_ptr_null(b);
    mp_assert_err(mp_pipe_new(&a, NULL, NULL), MP_EINVAL);
    ck_assert_ptr_null(a);
    mp_assert_err(mp_pipe_new(&a, &a, NULL), MP_EINVAL);

    mp_assert_err(mp_pipe_send(NULL, "x", 1, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_recv(NULL, &c, 1, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_recv_new(NULL, &data, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_next_size(NULL, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_poll(NULL, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_fd(NULL), MP_EINVAL);
    mp_pipe_close(NULL);
    mp_pipe_free(NULL);

    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    for (int ms = -2; ms > -10; ms -= 7) {
        mp_assert_err(mp_pipe_send(a, "x", 1, ms), MP_EINVAL);
        mp_assert_err(mp_pipe_recv(a, &c, 1, ms), MP_EINVAL);
        mp_assert_err(mp_pipe_recv_new(a, &data, ms), MP_EINVAL);
        mp_assert_err(mp_pipe_next_size(a, ms), MP_EINVAL);
        mp_assert_err(mp_pipe_poll(a, ms), MP_EINVAL);
    }
    mp_assert_err(mp_pipe_send(a, NULL, 1, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_recv(a, NULL, 1, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_recv_new(a, NULL, 0), MP_EINVAL);
    mp_assert_err(mp_pipe_send(a, "x", SIZE_MAX, 0), MP_EMSGSIZE);
    mp_assert_err(mp_pipe_send(a, "x", (size_t)PTRDIFF_MAX + 1, 0), MP_EMSGSIZE);
    ck_assert_int_eq(mp_pipe_poll(b, 0), 0);
    free_both(a, b);
}

MP_TEST(options_are_checked_and_rounded)
{
    mp_pipe *a, *b;
    const mp_pipe_opts bad[] = {{.ring_size = ((size_t)1 << 30) + 1},
                                {.ring_max = SIZE_MAX},
                                {.ring_size = SIZE_MAX},
                                {.ring_size = 8192, .ring_max = 4096}};
    for (int i = 0; i < 4; i++) {
        mp_assert_err(mp_pipe_new(&a, &b, &bad[i]), MP_EINVAL);
        ck_assert(!a && !b);
    }
    const mp_pipe_opts good[] = {{0},
                                 {.ring_size = 1},
                                 {.ring_max = 1},
                                 {.ring_size = 5000, .ring_max = 5000},
                                 {.ring_size = 2 << 20},
                                 {.no_spin = true, .oneway = true}};
    char buf[20000], out[20000];
    memset(buf, 'a', sizeof buf);
    for (int i = 0; i < 6; i++) {
        mp_assert_ok(mp_pipe_new(&a, &b, &good[i]));
        mp_assert_ok(mp_pipe_send(b, buf, 1000, 0));
        ck_assert_int_eq(mp_pipe_recv(a, out, sizeof out, 0), 1000);
        ck_assert_int_eq(memcmp(buf, out, 1000), 0);
        free_both(a, b);
    }
}

MP_TEST(messages_keep_their_bounds_and_order)
{
    mp_pipe *a, *b;
    char buf[200], want[200];
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    for (size_t size = 0; size < 200; size++) {
        memset(buf, (int)size, size);
        mp_assert_ok(mp_pipe_send(a, size ? buf : NULL, size, 0));
        mp_assert_ok(mp_pipe_send(b, buf, size, 0));
    }
    for (size_t size = 0; size < 200; size++) {
        memset(want, (int)size, size);
        ck_assert_int_eq(mp_pipe_next_size(a, 0), size);
        ck_assert_int_eq(mp_pipe_recv(a, size ? buf : NULL, size, 0), size);
        ck_assert_int_eq(memcmp(buf, want, size), 0);
        void *data;
        ck_assert_int_eq(mp_pipe_recv_new(b, &data, 0), size);
        ck_assert_ptr_nonnull(data);
        ck_assert_int_eq(memcmp(data, want, size), 0);
        free(data);
    }
    mp_assert_err(mp_pipe_recv(a, buf, sizeof buf, 0), MP_ETIMEDOUT);
    free_both(a, b);
}

MP_TEST(a_buffer_too_small_leaves_the_message)
{
    mp_pipe *a, *b;
    char buf[100];
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_assert_ok(mp_pipe_send(b, "0123456789", 10, 0));
    for (int i = 0; i < 3; i++) {
        memset(buf, '-', sizeof buf);
        mp_assert_err(mp_pipe_recv(a, buf, 9, 0), MP_EMSGSIZE);
        mp_assert_err(mp_pipe_recv(a, NULL, 0, 0), MP_EMSGSIZE);
        ck_assert_int_eq(buf[0], '-');
        ck_assert_int_eq(mp_pipe_next_size(a, 0), 10);
        ck_assert_int_eq(mp_pipe_poll(a, 0), 1);
    }
    ck_assert_int_eq(mp_pipe_recv(a, buf, 10, 0), 10);
    ck_assert_int_eq(memcmp(buf, "0123456789", 10), 0);
    free_both(a, b);
}

MP_TEST(the_longest_message_can_be_set)
{
    mp_pipe *a, *b;
    char buf[101] = "";
    mp_pipe_opts opts = {.max_size = 100};
    mp_assert_ok(mp_pipe_new(&a, &b, &opts));
    mp_assert_err(mp_pipe_send(a, buf, 101, 0), MP_EMSGSIZE);
    mp_assert_ok(mp_pipe_send(a, buf, 100, 0));
    ck_assert_int_eq(mp_pipe_recv(b, buf, sizeof buf, 0), 100);
    mp_assert_err(mp_pipe_recv(b, buf, sizeof buf, 0), MP_ETIMEDOUT);
    free_both(a, b);
}

MP_TEST(oneway_goes_one_way)
{
    mp_pipe *a, *b;
    char c;
    void *data;
    mp_pipe_opts opts = {.oneway = true};
    mp_assert_ok(mp_pipe_new(&a, &b, &opts));
    mp_assert_err(mp_pipe_send(a, "x", 1, 0), MP_ESTATE);
    mp_assert_err(mp_pipe_recv(b, &c, 1, 0), MP_ESTATE);
    mp_assert_err(mp_pipe_recv_new(b, &data, 0), MP_ESTATE);
    mp_assert_err(mp_pipe_next_size(b, 0), MP_ESTATE);
    mp_assert_err(mp_pipe_poll(b, 0), MP_ESTATE);
    mp_assert_err(mp_pipe_fd(b), MP_ESTATE);
    mp_assert_ok(mp_pipe_send(b, "x", 1, 0));
    ck_assert_int_eq(mp_pipe_recv(a, &c, 1, 0), 1);
    free_both(a, b);
}

MP_TEST(a_closed_end_says_so_and_the_peer_reads_the_rest)
{
    for (int with_fd = 0; with_fd < 2; with_fd++) {
        mp_pipe *a, *b;
        char c;
        mp_assert_ok(mp_pipe_new(&a, &b, NULL));
        if (with_fd)
            ck_assert_int_ge(mp_pipe_fd(b), 0);
        mp_assert_ok(mp_pipe_send(a, "1", 1, 0));
        mp_assert_ok(mp_pipe_send(b, "unread", 6, 0));
        mp_assert_ok(mp_pipe_send(a, "2", 1, 0));
        mp_pipe_close(a);
        mp_pipe_close(a);
        mp_assert_err(mp_pipe_send(a, &c, 1, 0), MP_ECLOSED);
        mp_assert_err(mp_pipe_recv(a, &c, 1, 0), MP_ECLOSED);
        mp_assert_err(mp_pipe_next_size(a, 0), MP_ECLOSED);
        mp_assert_err(mp_pipe_poll(a, 0), MP_ECLOSED);
        mp_assert_err(mp_pipe_fd(a), MP_ECLOSED);
        mp_assert_err(mp_pipe_send(b, &c, 1, MP_FOREVER), MP_EPIPE);
        for (char want = '1'; want <= '2'; want++) {
            ck_assert_int_eq(mp_pipe_recv(b, &c, 1, MP_FOREVER), 1);
            ck_assert_int_eq(c, want);
        }
        for (int i = 0; i < 3; i++) {
            mp_assert_err(mp_pipe_recv(b, &c, 1, MP_FOREVER), MP_EOF);
            ck_assert_int_eq(mp_pipe_poll(b, MP_FOREVER), 1);
        }
        free_both(a, b);
    }
}

MP_TEST(a_full_pipe_times_out_and_goes_on)
{
    mp_pipe *a, *b;
    char buf[500] = "";
    mp_pipe_opts opts = {.ring_size = 4096, .ring_max = 4096};
    mp_assert_ok(mp_pipe_new(&a, &b, &opts));
    int sent = 0, got = 0, r;
    for (int round = 0; round < 20; round++) {
        while ((r = mp_pipe_send(a, buf, sizeof buf, 0)) == 0)
            sent++;
        mp_assert_err(r, MP_ETIMEDOUT);
        int64_t begin = mp__now();
        mp_assert_err(mp_pipe_send(a, buf, sizeof buf, 5), MP_ETIMEDOUT);
        ck_assert_int_ge(mp__now() - begin, 5000000);
        for (int i = 0; i < 1 + round % 3; i++, got++)
            ck_assert_int_eq(mp_pipe_recv(b, buf, sizeof buf, 0), sizeof buf);
    }
    while (mp_pipe_recv(b, buf, sizeof buf, 0) == sizeof buf)
        got++;
    ck_assert_int_eq(sent, got);
    free_both(a, b);
}

// What was read one by one may not be given back yet, though nobody receives any more: three
// quarters of the ring are free all the same.
MP_TEST(a_receiver_keeps_a_quarter_at_most)
{
    mp_pipe *a, *b;
    char buf[1000] = "";
    mp_pipe_opts opts = {.ring_size = 4096, .ring_max = 4096};
    mp_assert_ok(mp_pipe_new(&a, &b, &opts));
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < round; i++) {
            size_t size = (size_t)(round + i) % 70;
            mp_assert_ok(mp_pipe_send(a, buf, size, 0));
            ck_assert_int_eq(mp_pipe_recv(b, buf, sizeof buf, 0), size);
        }
        for (int i = 0; i < 3; i++)
            mp_assert_ok(mp_pipe_send(a, buf, sizeof buf, 0));
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(mp_pipe_recv(b, buf, sizeof buf, 0), sizeof buf);
    }
    free_both(a, b);
}

MP_TEST(an_empty_pipe_times_out)
{
    mp_pipe *a, *b;
    char c;
    void *data;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    for (int ms = 0; ms <= 10; ms += 5) {
        int64_t begin = mp__now();
        mp_assert_err(mp_pipe_recv(a, &c, 1, ms), MP_ETIMEDOUT);
        mp_assert_err(mp_pipe_recv_new(a, &data, ms), MP_ETIMEDOUT);
        ck_assert_ptr_null(data);
        mp_assert_err(mp_pipe_next_size(a, ms), MP_ETIMEDOUT);
        ck_assert_int_eq(mp_pipe_poll(a, ms), 0);
        ck_assert_int_ge(mp__now() - begin, 4 * ms * (int64_t)1000000);
    }
    mp_assert_ok(mp_pipe_send(b, "x", 1, INT_MAX));
    ck_assert_int_eq(mp_pipe_recv(a, &c, 1, INT_MAX), 1);
    free_both(a, b);
}

MP_TEST(descriptors_are_closed_on_exec)
{
    mp_pipe *a, *b;
    bool before[100];
    for (int i = 0; i < 100; i++)
        before[i] = fcntl(i, F_GETFD) >= 0;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    int fd = mp_pipe_fd(a), ours = 0;
    ck_assert_int_eq(mp_pipe_fd(a), fd);
    for (int i = 0; i < 100; i++) {
        int flags = fcntl(i, F_GETFD);
        if (before[i] || flags < 0)
            continue;
        ck_assert(flags & FD_CLOEXEC);
        ours++;
    }
    ck_assert_int_eq(ours, 9); // four an end, and this one
    free_both(a, b);
}

// ---- the descriptor ------------------------------------------------------------------

static bool readable(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, ms) == 1;
}

MP_TEST(the_descriptor_is_truthful)
{
    mp_pipe *a, *b;
    char buf[10];
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_assert_ok(mp_pipe_send(b, "0", 1, 0)); // before there was a descriptor
    int fd = mp_pipe_fd(a);
    ck_assert_int_ge(fd, 0);
    ck_assert(readable(fd, 0));
    ck_assert_int_eq(mp_pipe_recv(a, buf, 10, 0), 1);
    ck_assert(!readable(fd, 0));
    for (int round = 0; round < 50; round++) {
        int n = 1 + round % 5;
        for (int i = 0; i < n; i++)
            mp_assert_ok(mp_pipe_send(b, "x", 1, 0));
        for (int i = 0; i < n; i++) {
            ck_assert(readable(fd, 0) && readable(fd, 0)); // level-triggered
            ck_assert_int_eq(mp_pipe_next_size(a, 0), 1);
            mp_assert_err(mp_pipe_recv(a, buf, 0, 0), MP_EMSGSIZE);
            ck_assert_int_eq(mp_pipe_poll(a, 0), 1);
            ck_assert(readable(fd, 0)); // looking took nothing
            ck_assert_int_eq(mp_pipe_recv(a, buf, 10, 0), 1);
        }
        ck_assert(!readable(fd, 0));
        mp_assert_err(mp_pipe_recv(a, buf, 10, 0), MP_ETIMEDOUT);
        ck_assert(!readable(fd, 0));
    }
    mp_pipe_close(b);
    ck_assert(readable(fd, 0));
    mp_assert_err(mp_pipe_recv(a, buf, 10, 0), MP_EOF);
    ck_assert(readable(fd, 0));
    free_both(a, b);
}

static mp_process *start(mp_process_fn *fn, mp_pipe *p)
{
    mp_process *proc;
    mp_process_opts opts = {.give = (mp_pipe *[]){p, NULL}};
    mp_assert_ok(mp_process_start(&proc, fn, p, &opts));
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

// ---- long messages -------------------------------------------------------------------

static const size_t long_sizes[] = {1015,  1016,  1017,   4095,    4096,          4097,   65535,
                                    65536, 65537, 200001, 1 << 20, (1 << 20) + 1, 5000003};
#define N_LONG (sizeof long_sizes / sizeof *long_sizes)

static int send_long(void *arg)
{
    unsigned char *buf = malloc(5000003);
    mptest_require(buf);
    for (size_t i = 0; i < N_LONG; i++) {
        for (size_t k = 0; k < long_sizes[i]; k++)
            buf[k] = (unsigned char)(k * 31 + (k >> 12) + i);
        if (mp_pipe_send(arg, buf, long_sizes[i], LONG_MS) < 0)
            return 1;
    }
    free(buf);
    return 0;
}

MP_TEST(messages_longer_than_the_ring_flow_through)
{
    mp_pipe *a, *b;
    mp_pipe_opts opts = {.ring_size = 4096};
    mp_assert_ok(mp_pipe_new(&a, &b, &opts));
    mp_process *p = start(send_long, b);
    for (size_t i = 0; i < N_LONG; i++) {
        void *data;
        ck_assert_int_eq(mp_pipe_recv_new(a, &data, LONG_MS), long_sizes[i]);
        const unsigned char *buf = data;
        size_t k = 0;
        while (k < long_sizes[i] && buf[k] == (unsigned char)(k * 31 + (k >> 12) + i))
            k++;
        ck_assert_int_eq(k, long_sizes[i]);
        free(data);
    }
    mp_pipe_free(a);
    join(p);
}

#define HUGE (((size_t)4 << 30) + 13)

static int send_huge(void *arg)
{
    // Zeros that need no memory, but for a mark at the end.
    char *p = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    mptest_require(p != MAP_FAILED);
    madvise(p, HUGE, MADV_HUGEPAGE);
    memcpy(p + HUGE - 5, "theen", 5);
    return mp_pipe_send(arg, p, HUGE, 60000);
}

static long available_mib(void)
{
    char line[200];
    long kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib / 1024;
}

MP_TEST_TIMEOUT(a_message_may_be_longer_than_4_gib, 120)
{
    if (MPTEST_ASAN || MPTEST_TSAN)
        mp_skip("4 GiB are too much for a sanitizer");
    if (available_mib() < 8192)
        mp_skip("less than 8 GiB of memory are available");
    mp_pipe *a, *b;
    void *data;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_process *p = start(send_huge, b);
    ck_assert_int_eq(mp_pipe_next_size(a, LONG_MS), HUGE);
    ck_assert_int_eq(mp_pipe_recv_new(a, &data, 60000), HUGE);
    const char *got = data;
    ck_assert_int_eq(memcmp(got + HUGE - 5, "theen", 5), 0);
    ck_assert(got[0] == 0 && memcmp(got, got + 1, HUGE - 6) == 0);
    free(data);
    mp_pipe_free(a);
    join(p);
}
