// SPDX-License-Identifier: MIT
//
// What goes wrong with pipes: processes that are killed, stopped or forked at any
// time, descriptors that run out, signals that come all the time, and a peer that
// writes nonsense into the memory both share.
//
// MP_TEST_LONG=1 does each ten times as often.
#include "mptest.h"

#include "channel/give.h"
#include "channel/pipe.h"
#include "os/fork.h"

#include <dirent.h>
#include <errno.h>
#include <mp/pipe.h>
#include <mp/process.h>
#include <mp/wait.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

#define LONG_MS 20000

static uint64_t seed = 88172645463325252u;

static uint32_t dice(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % n;
}

static int scaled(int n)
{
    return getenv("MP_TEST_LONG") ? n * 10 : n;
}

static void nap_us(unsigned us)
{
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&t, NULL);
}

// A process that owns p and runs fn(p).
static mp_process *start(mp_process_fn *fn, mp_pipe *p)
{
    mp_process *proc;
    mp_process_opts opts = {.give = (mp_pipe *[]){p, NULL}};
    mp_assert_ok(mp_process_start(&proc, fn, p, &opts));
    mp_pipe_free(p);
    return proc;
}

static int end_of(mp_process *p)
{
    int code = 12345;
    mp_assert_ok(mp_process_join(p, LONG_MS));
    mp_assert_ok(mp_process_exitcode(p, &code));
    mp_process_free(p);
    return code;
}

static void kill_and_free(mp_process *p)
{
    mp_assert_ok(mp_process_kill(p));
    ck_assert_int_eq(end_of(p), -SIGKILL);
}

// ---- killed writers ----------------------------------------------------------------

// Message i is i and then its low byte again and again.
static size_t size_of(uint64_t i)
{
    return i % 97 == 96 ? 20000 : 8 + i * 7 % 900;
}

static int write_on_and_on(void *arg)
{
    unsigned char buf[20000];
    for (uint64_t i = 0;; i++) {
        memset(buf, (int)(i & 255), sizeof buf);
        memcpy(buf, &i, sizeof i);
        if (mp_pipe_send(arg, buf, size_of(i), LONG_MS) < 0)
            return 1;
    }
}

// Everything up to the end, or up to `most` messages, is what was sent.
static int64_t read_prefix(mp_pipe *p, uint64_t from, uint64_t *count, uint64_t most)
{
    unsigned char buf[20000];
    int64_t n = 0;
    uint64_t i = from;
    for (; i - from < most && (n = mp_pipe_recv(p, buf, sizeof buf, LONG_MS)) >= 0; i++) {
        ck_assert_int_eq(memcmp(buf, &i, sizeof i), 0);
        ck_assert_int_eq(n, size_of(i));
        ck_assert(n == 8 || (buf[8] == (i & 255) && memcmp(buf + 8, buf + 9, (size_t)n - 9) == 0));
    }
    *count = i;
    return n;
}

MP_TEST_TIMEOUT(a_killed_writer_leaves_a_clean_prefix_and_an_end, 200)
{
    int truncated = 0, late = 0, rounds = scaled(MPTEST_ASAN || MPTEST_TSAN ? 100 : 300);
    for (int round = 0; round < rounds; round++) {
        mp_pipe *a, *b;
        mp_pipe_opts opts = {.ring_size = 4096u << dice(3), .no_spin = round & 1};
        mp_assert_ok(mp_pipe_new(&a, &b, &opts));
        mp_process *writer = start(write_on_and_on, b);
        uint64_t i = 0;
        ck_assert_int_ge(read_prefix(a, 0, &i, dice(300)), 0);
        nap_us(dice(300));
        mp_assert_ok(mp_process_kill(writer));
        int64_t killed = mp__now(), r = read_prefix(a, i, &i, UINT64_MAX);
        late += mp__now() - killed > 200 * 1000000;
        ck_assert_msg(r == MP_EOF || r == MP_ETRUNCATED, "%s", mp_err_name(r));
        truncated += r == MP_ETRUNCATED;
        mp_assert_err(mp_pipe_recv(a, NULL, 0, 0), r == MP_EOF ? MP_EOF : MP_EBROKEN);
        mp_assert_err(mp_pipe_send(a, "x", 1, 0), r == MP_EOF ? MP_EPIPE : MP_EBROKEN);
        mp_pipe_free(a);
        ck_assert_int_eq(end_of(writer), -SIGKILL);
    }
    ck_assert_int_le(late, rounds / 10);
    printf("%d killed, %d of them inside a message, %d ends later than 200 ms\n", rounds, truncated,
           late);
}

static int write_one_long(void *arg)
{
    static char buf[1 << 20];
    return mp_pipe_send(arg, buf, sizeof buf, LONG_MS) < 0;
}

MP_TEST(killed_inside_a_long_message_is_truncated)
{
    for (int through_fd = 0; through_fd < 2; through_fd++) {
        mp_pipe *a, *b;
        mp_pipe_opts opts = {.ring_size = 4096, .ring_max = 4096};
        void *data;
        mp_assert_ok(mp_pipe_new(&a, &b, &opts));
        mp_process *writer = start(write_one_long, b);
        if (through_fd)
            ck_assert_int_ge(mp_pipe_fd(a), 0);
        ck_assert_int_eq(mp_pipe_poll(a, LONG_MS), 1);
        kill_and_free(writer);
        ck_assert_int_eq(mp_pipe_next_size(a, 0), 1 << 20);
        mp_assert_err(mp_pipe_recv_new(a, &data, LONG_MS), MP_ETRUNCATED);
        ck_assert_ptr_null(data);
        for (int i = 0; i < 3; i++)
            mp_assert_err(mp_pipe_recv_new(a, &data, LONG_MS), MP_EBROKEN);
        if (through_fd) {
            struct pollfd p = {.fd = mp_pipe_fd(a), .events = POLLIN};
            ck_assert_int_eq(poll(&p, 1, 0), 1);
        }
        mp_pipe_free(a);
    }
}

// ---- killed readers ----------------------------------------------------------------

static int read_on_and_on(void *arg)
{
    static char buf[1 << 16];
    int64_t r;
    do
        r = mp_pipe_recv(arg, buf, sizeof buf, LONG_MS);
    while (r >= 0);
    return (int)-r;
}

static int send_until_error(mp_pipe *p, size_t size, int *count)
{
    static char buf[1 << 16];
    int r;
    for (*count = 0; (r = mp_pipe_send(p, buf, size, LONG_MS)) == 0;)
        ++*count;
    return r;
}

MP_TEST_TIMEOUT(a_killed_reader_breaks_the_pipe_soon, 200)
{
    int worst = 0, rounds = scaled(100);
    for (int round = 0; round < rounds; round++) {
        mp_pipe *a, *b;
        mp_pipe_opts opts = {.ring_size = 1 << 20, .no_spin = round & 1};
        mp_assert_ok(mp_pipe_new(&a, &b, &opts));
        mp_process *reader = start(read_on_and_on, b);
        for (int i = (int)dice(5000); i >= 0; i--)
            mp_assert_ok(mp_pipe_send(a, "0123456789", dice(10), LONG_MS));
        nap_us(dice(200));
        kill_and_free(reader);
        int count;
        size_t size = dice(3) ? 56 : dice(30000);
        mp_assert_err(send_until_error(a, size, &count), MP_EPIPE);
        // 64 KiB, and 64 messages more.
        ck_assert_int_le(count, 65536 / (int)(8 + size) + 64 + 1);
        worst = count > worst ? count : worst;
        mp_assert_err(mp_pipe_recv(a, NULL, 0, 0), MP_EOF);
        mp_pipe_free(a);
    }
    printf("%d killed, at most %d messages into nothing\n", rounds, worst);
}

// ---- death and close while blocked -----------------------------------------------------

static int die_soon(void *arg)
{
    (void)arg;
    nap_us(50000);
    return raise(SIGKILL);
}

static int close_soon(void *arg)
{
    nap_us(50000);
    mp_pipe_close(arg);
    nap_us(300000); // it is the close that has to be seen, not the end
    return 0;
}

static int64_t wait_by_recv(mp_pipe *p)
{
    return mp_pipe_recv(p, NULL, 0, MP_FOREVER);
}

static int64_t wait_by_recv_new(mp_pipe *p)
{
    void *data;
    return mp_pipe_recv_new(p, &data, LONG_MS);
}

static int64_t wait_by_size(mp_pipe *p)
{
    return mp_pipe_next_size(p, LONG_MS);
}

static int64_t wait_by_poll(mp_pipe *p)
{
    ck_assert_int_eq(mp_pipe_poll(p, MP_FOREVER), 1);
    return mp_pipe_recv(p, NULL, 0, 0);
}

static int64_t wait_by_wait(mp_pipe *p)
{
    mp_wait_item item = MP_WAIT_PIPE(p);
    ck_assert_int_eq(mp_wait(&item, 1, MP_FOREVER), 1);
    ck_assert(item.ready);
    return mp_pipe_recv(p, NULL, 0, 0);
}

static int64_t wait_by_fd(mp_pipe *p)
{
    struct pollfd f = {.fd = mp_pipe_fd(p), .events = POLLIN};
    ck_assert_int_eq(poll(&f, 1, -1), 1);
    return mp_pipe_recv(p, NULL, 0, 0);
}

static int64_t wait_by_send(mp_pipe *p)
{
    char buf[1000] = "";
    int r;
    while ((r = mp_pipe_send(p, buf, sizeof buf, MP_FOREVER)) == 0)
        ;
    return r;
}

static int64_t wait_by_long_send(mp_pipe *p)
{
    static char buf[1 << 20];
    return mp_pipe_send(p, buf, sizeof buf, MP_FOREVER);
}

static const struct way {
    int64_t (*wait)(mp_pipe *p);
    bool sends;
} ways[] = {{wait_by_recv, false}, {wait_by_recv_new, false}, {wait_by_size, false},
            {wait_by_poll, false}, {wait_by_wait, false},     {wait_by_fd, false},
            {wait_by_send, true},  {wait_by_long_send, true}};
#define N_WAYS (sizeof ways / sizeof *ways)

static void new_small(mp_pipe **a, mp_pipe **b)
{
    mp_pipe_opts opts = {.ring_size = 4096, .ring_max = 8192};
    mp_assert_ok(mp_pipe_new(a, b, &opts));
}

MP_TEST_TIMEOUT(every_wait_sees_the_peer_end, 60)
{
    for (size_t i = 0; i < 2 * N_WAYS; i++) {
        const struct way *way = &ways[i / 2];
        mp_pipe *a, *b;
        new_small(&a, &b);
        mp_process *peer = start(i & 1 ? close_soon : die_soon, b);
        mp_assert_err(way->wait(a), way->sends ? MP_EPIPE : MP_EOF);
        ck_assert(!(i & 1) || mp_process_is_alive(peer));
        mp_pipe_free(a);
        end_of(peer);
    }
}

static void *close_from_thread(void *arg)
{
    nap_us(50000);
    mp_pipe_close(arg);
    return NULL;
}

MP_TEST_TIMEOUT(every_wait_sees_its_own_end_closed, 60)
{
    for (size_t i = 0; i < N_WAYS; i++) {
        mp_pipe *a, *b;
        pthread_t t;
        new_small(&a, &b);
        ck_assert_int_eq(pthread_create(&t, NULL, close_from_thread, a), 0);
        mp_assert_err(ways[i].wait(a), MP_ECLOSED);
        pthread_join(t, NULL);
        mp_pipe_free(a);
        mp_pipe_free(b);
    }
}

// ---- stopped peers -----------------------------------------------------------------------

static int echo(void *arg)
{
    char buf[100];
    int64_t n;
    while ((n = mp_pipe_recv(arg, buf, sizeof buf, LONG_MS)) >= 0)
        if (mp_pipe_send(arg, buf, (size_t)n, LONG_MS) < 0)
            return 1;
    return n == MP_EOF ? 0 : 2;
}

MP_TEST(a_stopped_peer_is_alive)
{
    mp_pipe *a, *b;
    char buf[100];
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_process *peer = start(echo, b);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(kill(mp_process_pid(peer), SIGSTOP), 0);
        int status;
        ck_assert_int_eq(waitpid(mp_process_pid(peer), &status, WUNTRACED), mp_process_pid(peer));
        mp_assert_ok(mp_pipe_send(a, &i, sizeof i, 0));
        mp_assert_err(mp_pipe_recv(a, buf, sizeof buf, 20), MP_ETIMEDOUT);
        ck_assert_int_eq(mp_pipe_poll(a, 0), 0);
        ck_assert_int_eq(kill(mp_process_pid(peer), SIGCONT), 0);
        ck_assert_int_eq(mp_pipe_recv(a, buf, sizeof buf, LONG_MS), sizeof i);
        ck_assert_int_eq(memcmp(buf, &i, sizeof i), 0);
    }
    mp_pipe_free(a);
    ck_assert_int_eq(end_of(peer), 0);
}

// ---- a pause in the middle of a message --------------------------------------------------

MP_TEST(a_sender_that_stalls_inside_a_message_breaks_the_pipe)
{
    mp_pipe *a, *b;
    void *data;
    new_small(&a, &b);
    mp_process *writer = start(write_one_long, b);
    ck_assert_int_eq(mp_pipe_poll(a, LONG_MS), 1);
    ck_assert_int_eq(kill(mp_process_pid(writer), SIGSTOP), 0);
    ck_assert_int_eq(waitpid(mp_process_pid(writer), NULL, WUNTRACED), mp_process_pid(writer));
    mp_assert_err(mp_pipe_recv_new(a, &data, 10), MP_EBROKEN);
    // It goes on, and what it still writes is no message.
    ck_assert_int_eq(kill(mp_process_pid(writer), SIGCONT), 0);
    for (int i = 0; i < 50; i++) {
        mp_assert_err(mp_pipe_recv_new(a, &data, 0), MP_EBROKEN);
        nap_us(1000);
    }
    mp_assert_err(mp_pipe_next_size(a, 0), MP_EBROKEN);
    mp_pipe_free(a);
    ck_assert_int_eq(end_of(writer), 1);
}

MP_TEST(a_receiver_that_stalls_inside_a_message_breaks_the_pipe)
{
    mp_pipe *a, *b;
    char buf[100], big[30000] = "";
    new_small(&a, &b);
    mp_assert_ok(mp_pipe_send(b, "first", 5, 0));
    mp_assert_err(mp_pipe_send(b, big, sizeof big, 0), MP_EBROKEN);
    mp_assert_err(mp_pipe_send(b, "x", 1, 0), MP_EBROKEN);
    mp_assert_err(mp_pipe_recv(b, buf, sizeof buf, 0), MP_EBROKEN);
    // What was whole is still there.
    ck_assert_int_eq(mp_pipe_recv(a, buf, sizeof buf, 0), 5);
    mp_assert_err(mp_pipe_recv(a, big, sizeof big, LONG_MS), MP_EBROKEN);
    mp_assert_err(mp_pipe_recv(a, big, sizeof big, LONG_MS), MP_EBROKEN);
    mp_assert_err(mp_pipe_send(a, "x", 1, 0), MP_EBROKEN);
    mp_pipe_free(a);
    mp_pipe_free(b);
}

// ---- forks -------------------------------------------------------------------------------

// Descriptors that the library made: none of them may be in a foreign child.
static int library_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    mptest_require(d);
    for (struct dirent *e; (e = readdir(d));) {
        char target[100];
        ssize_t len = readlinkat(dirfd(d), e->d_name, target, sizeof target - 1);
        target[len > 0 ? len : 0] = '\0';
        n += strstr(target, "mp-channel") || strstr(target, "eventfd") ||
             strstr(target, "eventpoll") || strstr(target, "socket:");
    }
    closedir(d);
    return n;
}

static int look_around(void *arg)
{
    mp_pipe *p = arg;
    void *data;
    mp_wait_item item = MP_WAIT_PIPE(p);
    mptest_require(mp_pipe_send(p, "x", 1, 0) == MP_EOWNER);
    mptest_require(mp_pipe_recv(p, NULL, 0, 0) == MP_EOWNER);
    mptest_require(mp_pipe_recv_new(p, &data, 0) == MP_EOWNER);
    mptest_require(mp_pipe_next_size(p, 0) == MP_EOWNER);
    mptest_require(mp_pipe_poll(p, 0) == MP_EOWNER);
    mptest_require(mp_pipe_fd(p) == MP_EOWNER);
    mptest_require(mp_wait(&item, 1, 0) == MP_EOWNER);
    mptest_require(mp__pipe_give_begin(p) == MP_EOWNER);
    mp_pipe_close(p);
    mp_pipe_free(p);
    return 0;
}

MP_TEST(a_forked_child_holds_and_may_do_nothing)
{
    int before = library_fds();
    mp_pipe *a, *b;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    ck_assert_int_ge(mp_pipe_fd(a), 0);
    pid_t pid = fork();
    if (pid == 0) {
        mptest_require(library_fds() == before);
        look_around(a);
        // It can make pipes of its own.
        mp_pipe *x, *y;
        mptest_require(mp_pipe_new(&x, &y, NULL) == 0 && mp_pipe_send(x, "x", 1, 0) == 0);
        mptest_require(mp_pipe_poll(y, 0) == 1);
        mp_pipe_free(x);
        mp_pipe_free(y);
        pause();
    }
    ck_assert_int_eq(system("test $(ls -l /proc/self/fd | grep -c mp-channel) = 0"), 0);
    // The child neither keeps the end away, nor did its free() tell of one.
    ck_assert_int_eq(mp_pipe_poll(a, 50), 0);
    mp_assert_ok(mp_pipe_send(b, "x", 1, 0));
    mp_pipe_free(b);
    char c;
    ck_assert_int_eq(mp_pipe_recv(a, &c, 1, LONG_MS), 1);
    mp_assert_err(mp_pipe_recv(a, &c, 1, LONG_MS), MP_EOF);
    mp_pipe_free(a);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static atomic_bool stop;

// Makes, asks for the descriptor, gives (to nobody: the fork "failed", or as if it had
// not), frees.
static void *make_and_free(void *arg)
{
    while (!stop) {
        mp_pipe *a, *b;
        mp_pipe_opts opts = {.ring_size = 4096, .ring_max = 4096};
        mptest_require(mp_pipe_new(&a, &b, &opts) == 0);
        mptest_require(mp_pipe_fd(a) >= 0);
        mptest_require(mp__pipe_give_begin(a) == 0 && mp__pipe_give_begin(b) == 0);
        mp__pipe_give_end(a, false);
        mp__pipe_give_end(b, true);
        mp_pipe_free(b);
        mp_pipe_free(a);
    }
    return arg;
}

MP_TEST_TIMEOUT(forks_meet_no_end_on_its_way, 100)
{
    if (MPTEST_TSAN)
        mp_skip("forks of a program with threads are not for TSan");
    int before = library_fds();
    pthread_t t;
    mp_pipe *a, *b;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL)); // the hook is set
    stop = false;
    ck_assert_int_eq(pthread_create(&t, NULL, make_and_free, NULL), 0);
    int leaks = 0, rounds = scaled(MPTEST_ASAN ? 300 : 1500);
    for (int i = 0; i < rounds; i++) {
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
            _exit(library_fds() != before);
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        leaks += status != 0;
    }
    stop = true;
    pthread_join(t, NULL);
    mp_pipe_free(a);
    mp_pipe_free(b);
    ck_assert_int_eq(leaks, 0);
}

static int answer_once(void *arg)
{
    char c;
    return mp_pipe_recv(arg, &c, 1, LONG_MS) != 1;
}

static void *fork_on_and_on(void *arg)
{
    while (!stop) {
        pid_t pid = fork();
        mptest_require(pid >= 0);
        if (pid == 0) {
            nap_us(200000); // keeps what it got
            _exit(0);
        }
        nap_us(500);
    }
    return arg;
}

static bool reap_all(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

MP_TEST_TIMEOUT(ends_given_while_another_thread_forks_arrive_once, 100)
{
    if (MPTEST_TSAN)
        mp_skip("forks of a program with threads are not for TSan");
    pthread_t t;
    stop = false;
    ck_assert_int_eq(pthread_create(&t, NULL, fork_on_and_on, NULL), 0);
    for (int i = 0; i < scaled(60); i++) {
        mp_pipe *a, *b;
        char c;
        mp_assert_ok(mp_pipe_new(&a, &b, NULL));
        mp_process *p = start(answer_once, b);
        mp_assert_ok(mp_pipe_send(a, "x", 1, LONG_MS));
        // The end of the child is the end of the pipe: no other fork holds it.
        int64_t begin = mp__now();
        mp_assert_err(mp_pipe_recv(a, &c, 1, LONG_MS), MP_EOF);
        ck_assert_int_lt(mp__now() - begin, (int64_t)15 * 1000000000);
        ck_assert_int_eq(end_of(p), 0);
        mp_pipe_free(a);
    }
    stop = true;
    pthread_join(t, NULL);
    ck_assert(mptest_eventually(reap_all(), 15000));
}

// ---- descriptors run out -----------------------------------------------------------------

MP_TEST(running_out_of_descriptors_is_an_error_and_leaks_nothing)
{
    mp_pipe *a, *b;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    int before = mptest_fd_count();
    struct rlimit old, low;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    int next = dup(0); // the lowest free number
    close(next);
    bool made = false, had_fd = false;
    for (int room = 0; room < 12; room++) {
        mp_pipe *x, *y;
        low = (struct rlimit){(rlim_t)(next + room), old.rlim_max};
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
        int r = mp_pipe_new(&x, &y, NULL);
        if (r < 0) {
            mp_assert_err(r, -EMFILE);
            ck_assert(!x && !y);
        } else {
            made = true;
            int fd = mp_pipe_fd(x);
            if (fd >= 0)
                had_fd = true;
            else
                mp_assert_err(fd, -EMFILE);
            mp_assert_ok(mp_pipe_send(y, "x", 1, 0));
            ck_assert_int_eq(mp_pipe_poll(x, 0), 1);
        }
        mp_pipe_free(x);
        mp_pipe_free(y);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
        ck_assert_int_eq(mptest_fd_count(), before);
    }
    ck_assert(made && had_fd);
    mp_pipe_free(a);
    mp_pipe_free(b);
}

// ---- signals ---------------------------------------------------------------------------

static volatile sig_atomic_t ticks;

static void tick(int sig)
{
    (void)sig;
    ticks = ticks + 1;
}

static void storm(bool on)
{
    struct sigaction sa = {.sa_handler = tick}; // no SA_RESTART
    sigaction(SIGALRM, &sa, NULL);
    struct itimerval it = {{0, on ? 1000 : 0}, {0, on ? 1000 : 0}};
    ck_assert_int_eq(setitimer(ITIMER_REAL, &it, NULL), 0);
}

static int slow_echo(void *arg)
{
    char buf[3000];
    int64_t n;
    nap_us(30000);
    while ((n = mp_pipe_recv(arg, buf, sizeof buf, LONG_MS)) >= 0) {
        nap_us(3000);
        if (mp_pipe_send(arg, buf, (size_t)n, LONG_MS) < 0)
            return 1;
    }
    return n == MP_EOF ? 0 : 2;
}

MP_TEST_TIMEOUT(interrupted_waits_go_on, 60)
{
    char buf[3000] = "";
    mp_pipe *a, *b;
    new_small(&a, &b);
    mp_process *peer = start(slow_echo, b);
    storm(true);
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 2; k++)
            mp_assert_ok(mp_pipe_send(a, buf, sizeof buf, LONG_MS));
        mp_wait_item item = MP_WAIT_PIPE(a);
        ck_assert_int_eq(mp_wait(&item, 1, LONG_MS), 1);
        ck_assert_int_eq(mp_pipe_recv(a, buf, sizeof buf, MP_FOREVER), sizeof buf);
        ck_assert_int_eq(mp_pipe_poll(a, LONG_MS), 1);
        ck_assert_int_eq(mp_pipe_recv(a, buf, sizeof buf, MP_FOREVER), sizeof buf);
    }
    // And timeouts neither end early nor start again with each signal.
    int64_t begin = mp__now();
    mp_assert_err(mp_pipe_recv(a, buf, sizeof buf, 60), MP_ETIMEDOUT);
    mp_wait_item item = MP_WAIT_PIPE(a);
    ck_assert_int_eq(mp_wait(&item, 1, 60), 0);
    ck_assert_int_eq(mp_pipe_poll(a, 60), 0);
    ck_assert_int_ge(mp__now() - begin, 180 * 1000000);
    storm(false);
    ck_assert_int_gt(ticks, 50);
    mp_pipe_free(a);
    ck_assert_int_eq(end_of(peer), 0);
}

// ---- nonsense in the shared words ---------------------------------------------------------

// Both ends in one process, and the words set by hand.
struct bench {
    mp_pipe *a, *b;
    struct mp__ring *ring; // from b to a
};

static struct bench set_up(bool fd)
{
    struct bench s;
    new_small(&s.a, &s.b);
    s.ring = s.b->channel.tx.ring.ring;
    if (fd)
        ck_assert_int_ge(mp_pipe_fd(s.a), 0);
    mp_assert_ok(mp_pipe_send(s.b, "hello", 5, 0));
    return s;
}

static void tear_down(struct bench *s)
{
    mp_pipe_free(s->a);
    mp_pipe_free(s->b);
}

static void receiver_gets(struct bench *s, int64_t want)
{
    char buf[100];
    void *data;
    mp_assert_err(mp_pipe_recv(s->a, buf, sizeof buf, 100), want);
    for (int i = 0; i < 3; i++) {
        mp_assert_err(mp_pipe_recv(s->a, buf, sizeof buf, 100), MP_EBROKEN);
        mp_assert_err(mp_pipe_recv_new(s->a, &data, 100), MP_EBROKEN);
        ck_assert_int_eq(mp_pipe_poll(s->a, 0), 1);
        mp_assert_err(mp_pipe_send(s->a, "x", 1, 100), MP_EBROKEN);
    }
    tear_down(s);
}

MP_TEST(a_head_that_makes_no_sense_is_told)
{
    const uint64_t bad[] = {4096 + 1, 8192 + 8, UINT64_MAX, 1u << 31, 3};
    for (size_t i = 0; i < 2 * sizeof bad / sizeof *bad; i++) {
        struct bench s = set_up(i & 1);
        s.ring->head = bad[i / 2];
        receiver_gets(&s, MP_EPROTO);
    }
}

MP_TEST(a_length_that_makes_no_sense_is_told)
{
    const uint64_t bad[] = {UINT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX - 7, 1001};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bench s;
        mp_pipe_opts opts = {.max_size = 1000};
        mp_assert_ok(mp_pipe_new(&s.a, &s.b, i == 3 ? &opts : NULL));
        mp_assert_ok(mp_pipe_send(s.b, "hello", 5, 0));
        memcpy(s.b->channel.tx.ring.data, &bad[i], 8);
        receiver_gets(&s, MP_EPROTO);
    }
}

MP_TEST(a_length_that_nobody_has_memory_for_keeps_the_message)
{
    struct bench s = set_up(false);
    uint64_t huge = INT64_MAX;
    void *data;
    memcpy(s.b->channel.tx.ring.data, &huge, 8);
    for (int i = 0; i < 2; i++)
        mp_assert_err(mp_pipe_recv_new(s.a, &data, 0), -ENOMEM);
    mp_assert_err(mp_pipe_recv(s.a, NULL, 0, 0), MP_EMSGSIZE);
    ck_assert_int_eq(mp_pipe_next_size(s.a, 0), INT64_MAX);
    tear_down(&s);
}

MP_TEST(a_capacity_that_makes_no_sense_is_told)
{
    const uint64_t bad[] = {0, 1, 2048, 5000, 16384, UINT64_MAX, (uint64_t)1 << 63};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bench s = set_up(i & 1);
        s.ring->cap = bad[i];
        receiver_gets(&s, MP_EPROTO);
    }
}

MP_TEST(a_tail_that_makes_no_sense_is_told)
{
    // Ahead of what was sent, behind what was given back before.
    for (int i = 0; i < 2; i++) {
        struct bench s = set_up(false);
        char buf[500] = "";
        while (mp_pipe_send(s.b, buf, sizeof buf, 0) == 0)
            ;
        ck_assert_int_eq(mp_pipe_recv(s.a, buf, sizeof buf, 0), 5);
        while (mp_pipe_recv(s.a, buf, sizeof buf, 0) > 0)
            ;
        for (int k = 0; k < 4; k++)
            mp_assert_ok(mp_pipe_send(s.b, buf, sizeof buf, 0));
        s.ring->tail = i ? s.ring->head + 65536 : 8;
        int r, k = 0;
        do
            r = mp_pipe_send(s.b, buf, sizeof buf, 50);
        while (r == 0 && ++k < 100);
        mp_assert_err(r, MP_EPROTO);
        mp_assert_err(mp_pipe_send(s.b, buf, 1, 50), MP_EBROKEN);
        mp_assert_err(mp_pipe_recv(s.b, buf, 1, 50), MP_EBROKEN);
        tear_down(&s);
    }
}

MP_TEST(a_state_that_makes_no_sense_is_told)
{
    for (int i = 0; i < 3; i++) {
        struct bench s = set_up(false);
        char buf[30000] = "";
        // Bits that only this side may set, and such that do not exist.
        const uint32_t tx[] = {MP__TX_CLOSED, 16, 1u << 31}, rx[] = {MP__RX_CLOSED, 16, 1u << 31};
        s.ring->state = tx[i];
        mp_assert_err(mp_pipe_send(s.b, "x", 1, 50), MP_EPROTO);
        mp_assert_err(mp_pipe_send(s.b, "x", 1, 50), MP_EBROKEN);
        tear_down(&s);

        s = set_up(false); // received what was sent, then told
        s.ring->state = rx[i];
        ck_assert_int_eq(mp_pipe_recv(s.a, buf, sizeof buf, 50), 5);
        receiver_gets(&s, MP_EPROTO);

        s = set_up(false); // inside a message
        ck_assert_int_eq(mp_pipe_recv(s.a, buf, sizeof buf, 50), 5);
        uint64_t len = 20000;
        mp_assert_ok(mp_pipe_send(s.b, "hello", 5, 0));
        memcpy(s.b->channel.tx.ring.data + 16, &len, 8);
        s.ring->state = rx[i];
        mp_assert_err(mp_pipe_recv(s.a, buf, sizeof buf, 50), MP_EPROTO);
        receiver_gets(&s, MP_EBROKEN);
    }
}

// A receiver that broke off inside a message stays there, whatever is written on.
MP_TEST(after_a_break_nothing_is_taken_for_a_message)
{
    struct bench s = set_up(false);
    struct mp__ring_tx *t = &s.b->channel.tx.ring;
    char buf[3000] = "";
    uint64_t len = sizeof buf;
    ck_assert_int_eq(mp_pipe_recv(s.a, buf, sizeof buf, 0), 5);
    mp__ring_put(t, &len, sizeof len);
    mp__ring_put(t, buf, 800);
    mp__ring_publish(t);
    mp_assert_err(mp_pipe_recv(s.a, buf, sizeof buf, 0), MP_EBROKEN);
    mp__ring_put(t, buf, 800); // zeros: messages of 0 bytes
    mp__ring_publish(t);
    s.ring->state = 0;
    s.a->channel.tx.ring.ring->state = 0;
    receiver_gets(&s, MP_EBROKEN);
}

// A peer that writes random things to all that is shared, for a while.
static int scribble(void *arg)
{
    struct mp__channel *c = &((mp_pipe *)arg)->channel;
    _Atomic uint64_t *words = c->map;
    seed ^= (uint64_t)getpid() << 17;
    mp__deadline d = mp__deadline_in(5 + (int)dice(20));
    uint32_t style = dice(4);
    struct mp__ring *out = c->tx.ring.ring, *in = c->rx.ring.ring;
    do {
        uint64_t x = ((uint64_t)dice(UINT32_MAX) << 32 | dice(UINT32_MAX)) >> dice(64);
        switch (dice(10)) {
        case 0:
            words[dice(2 * sizeof(struct mp__ring) / 8)] = style ? x : 0;
            break;
        case 1:
            in->tail = in->head - dice(5000);
            break;
        case 2:
            in->want_data = x & 1;
            break;
        case 3:
            if (style == 1)
                out->state = in->state = (uint32_t)x;
            break;
        case 4:
            out->cap = 4096u << dice(3);
            break;
        case 5:
        case 6: // a length
            x = dice(4) ? dice(20000) : x;
            memcpy(c->tx.ring.data + (out->head & 4088), &x, 8);
            out->head += dice(600) * 8;
            break;
        case 7:
            out->head = in->head + dice(8192);
            break;
        default:
            mp__channel_ring(dice(2) ? c->peer_bell : c->bell);
        }
        for (uint32_t i = dice(300); i; i--)
            mp__cpu_relax();
    } while (mp__left_ns(d) > 0);
    _exit(0); // no orderly end
}

static bool plausible(int64_t r)
{
    return r >= 0 || r == MP_ETIMEDOUT || r == MP_EPROTO || r == MP_EBROKEN || r == MP_EPIPE ||
           r == MP_EOF || r == MP_ETRUNCATED || r == MP_EMSGSIZE || r == -ENOMEM;
}

static bool is_over(int64_t r)
{
    // A message that nobody has room for stays, for good.
    return r == MP_EBROKEN || r == MP_EPIPE || r == MP_EOF || r == MP_EMSGSIZE || r == -ENOMEM;
}

MP_TEST_TIMEOUT(a_scribbling_peer_hurts_only_itself, 200)
{
    static char buf[20000];
    int protocol = 0, rounds = scaled(MPTEST_ASAN || MPTEST_TSAN ? 100 : 250);
    for (int round = 0; round < rounds; round++) {
        mp_pipe *a, *b;
        new_small(&a, &b);
        if (round & 1)
            ck_assert_int_ge(mp_pipe_fd(a), 0);
        mp_process *peer = start(scribble, b);
        int64_t s, r;
        do {
            int64_t begin = mp__now();
            void *data = NULL;
            mp_wait_item item = MP_WAIT_PIPE(a);
            s = mp_pipe_send(a, buf, dice(8) ? dice(300) : dice(sizeof buf), (int)dice(3));
            ck_assert_int_ge(mp_wait(&item, 1, (int)dice(3)), 0);
            r = dice(2) ? mp_pipe_recv(a, buf, sizeof buf, (int)dice(3))
                        : mp_pipe_recv_new(a, &data, (int)dice(3));
            free(data);
            ck_assert_msg(plausible(s) && plausible(r), "%s, %s", mp_err_name(s), mp_err_name(r));
            protocol += s == MP_EPROTO || r == MP_EPROTO;
            // Progress that the peer pretends cannot last: it ends.
            ck_assert_int_lt(mp__now() - begin, (int64_t)15 * 1000000000);
        } while (!is_over(s) || !is_over(r));
        mp_pipe_free(a);
        ck_assert_int_eq(end_of(peer), 0);
    }
    ck_assert_int_gt(protocol, 0);
    printf("%d scribblers, %d times nonsense was seen\n", rounds, protocol);
}
