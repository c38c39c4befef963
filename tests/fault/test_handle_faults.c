// SPDX-License-Identifier: MIT
//
// What goes wrong with handles on their way: processes killed at any time, descriptors
// that run out, forks of other threads, and a peer that puts nonsense into the socket.
// (Deaths between parcel and message are in points/test_pipe_points.c.)
//
// MP_TEST_LONG=1 does each ten times as often.
#include "mptest.h"

#include "base/clock.h"
#include "channel/handle.h"
#include "channel/pipe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mp/handle.h>
#include <mp/process.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
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

static mp_process *start(mp_process_fn *fn, mp_pipe *p)
{
    mp_process *proc;
    mp_process_opts opts = {.give = (mp_pipe *[]){p, NULL}};
    mp_assert_ok(mp_process_start(&proc, fn, p, &opts));
    mp_pipe_free(p);
    return proc;
}

static void kill_and_free(mp_process *p)
{
    int code = 0;
    mp_assert_ok(mp_process_kill(p));
    mp_assert_ok(mp_process_join(p, LONG_MS));
    mp_assert_ok(mp_process_exitcode(p, &code));
    ck_assert_int_eq(code, -SIGKILL);
    mp_process_free(p);
}

// ---- killed at any time -------------------------------------------------------------------

static int make_and_send_ends(void *arg)
{
    for (;;) {
        mp_pipe *x, *y;
        mptest_require(mp_pipe_new(&x, &y, &(mp_pipe_opts){.ring_size = 4096}) == 0);
        mp_handle h[] = {MP_HANDLE(x), MP_HANDLE(0), MP_HANDLE(y)};
        mptest_require(mp_pipe_send_handles(arg, "xy", 2, h, 3, LONG_MS) == 0);
        mp_pipe_free(x);
        mp_pipe_free(y);
    }
}

MP_TEST_TIMEOUT(a_killed_sender_leaves_whole_messages, 200)
{
    int rounds = scaled(MPTEST_ASAN || MPTEST_TSAN ? 40 : 100);
    int64_t got = 0;
    for (int round = 0; round < rounds; round++) {
        mp_pipe *a, *b;
        char buf[2];
        int64_t r;
        mp_assert_ok(mp_pipe_new(&a, &b, NULL));
        mp_process *p = start(make_and_send_ends, b);
        int before = mptest_fd_count();
        bool killed = false;
        for (uint32_t n = 0, most = dice(60);; n++) {
            mp_handle h[3];
            size_t room = 3;
            if (n == most && (killed = true)) {
                nap_us(dice(2000));
                mp_assert_ok(mp_process_kill(p));
            }
            r = mp_pipe_recv_handles(a, buf, 2, h, &room, LONG_MS);
            if (r < 0)
                break;
            ck_assert_int_eq(r, 2);
            ck_assert_uint_eq(room, 3);
            mp_assert_ok(mp_pipe_send(h[0].object, "z", 1, 0)); // whole: it works
            ck_assert_int_eq(mp_pipe_recv(h[2].object, buf, 1, 0), 1);
            mp_handle_close(h, 3);
            got++;
        }
        ck_assert(killed);
        mp_assert_err(r, MP_EOF);
        kill_and_free(p);
        ck_assert_int_eq(mptest_fd_count(), before - 2);
        mp_pipe_free(a);
    }
    ck_assert_int_gt(got, rounds);
}

static int recv_ends(void *arg)
{
    mp_pipe *end;
    while (mp_pipe_recv_pipe(arg, &end, LONG_MS) == 0) {
        mptest_require(mp_pipe_send(end, "got", 3, LONG_MS) == 0);
        nap_us(dice(100)); // not freed: gone when this process is
    }
    return 0;
}

// Each end that it had, that it was just being given, or that still waited for it.
MP_TEST_TIMEOUT(a_killed_receiver_keeps_no_end_open, 200)
{
    enum { ENDS = 40 };
    int rounds = scaled(MPTEST_ASAN || MPTEST_TSAN ? 15 : 40), had = 0;
    for (int round = 0; round < rounds; round++) {
        mp_pipe *a, *b, *x[ENDS], *y[ENDS];
        char buf[3];
        mp_assert_ok(mp_pipe_new(&a, &b, NULL));
        seed += (uint64_t)round;
        mp_process *p = start(recv_ends, b);
        for (int i = 0; i < ENDS; i++) {
            mp_assert_ok(mp_pipe_new(&x[i], &y[i], &(mp_pipe_opts){.ring_size = 4096}));
            mp_assert_ok(mp_pipe_send_pipe(a, y[i], LONG_MS));
            mp_pipe_free(y[i]);
        }
        nap_us(dice(6000));
        kill_and_free(p);
        int64_t begin = mp__now();
        for (int i = 0; i < ENDS; i++) {
            int64_t r = mp_pipe_recv(x[i], buf, 3, LONG_MS);
            had += r == 3;
            if (r == 3)
                r = mp_pipe_recv(x[i], buf, 3, LONG_MS);
            mp_assert_err(r, MP_EOF);
            mp_assert_err(mp_pipe_send(x[i], "x", 1, 0), MP_EPIPE);
            mp_pipe_free(x[i]);
        }
        ck_assert_int_lt(mp__now() - begin, (int64_t)15 * 1000000000);
        mp_assert_err(mp_pipe_send_fd(a, 0, 0), MP_EPIPE);
        mp_pipe_free(a);
    }
    printf("%d of %d ends had arrived\n", had, rounds * ENDS);
    ck_assert(had > 0 && had < rounds * ENDS);
}

static int sleep_on(void *arg)
{
    (void)arg;
    pause();
    return 0;
}

// A sender that waits for a full socket is told that nobody will read it.
MP_TEST(a_waiting_sender_sees_the_receiver_die)
{
    mp_pipe *a, *b;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_process *p = start(sleep_on, b);
    int r, n = 0;
    while ((r = mp_pipe_send_fd(a, 0, 0)) == 0 && n < 100000)
        n++;
    mp_assert_err(r, MP_ETIMEDOUT);
    pid_t killer = fork();
    ck_assert_int_ge(killer, 0);
    if (killer == 0) {
        nap_us(50000);
        kill(mp_process_pid(p), SIGKILL);
        _exit(0);
    }
    mp_assert_err(mp_pipe_send_fd(a, 0, LONG_MS), MP_EPIPE);
    waitpid(killer, NULL, 0);
    kill_and_free(p);
    mp_pipe_free(a);
}

// ---- descriptors run out -------------------------------------------------------------------

// As another user, whom nobody else is, and who may have only so many under way.
static int send_beyond_the_limit(void *arg)
{
    mp_pipe *a, *b, *c, *d;
    uid_t nobody = 30000 + (uid_t)getpid() % 30000;
    (void)arg;
    struct rlimit low = {60, 60};
    mptest_require(mp_pipe_new(&a, &b, NULL) == 0 && mp_pipe_new(&c, &d, NULL) == 0);
    if (setrlimit(RLIMIT_NOFILE, &low) < 0 || setresgid(65534, 65534, 65534) < 0 ||
        setresuid(nobody, nobody, nobody) < 0)
        return 77;
    int r, sent = 0, fd;
    while ((r = mp_pipe_send_fd(a, 0, 0)) == 0 && sent < 200)
        sent++;
    mptest_require(r == MP_ETIMEDOUT && sent >= 30 && sent < 100); // it waits for b
    mptest_require(mp_pipe_send_fd(a, 0, 50) == MP_ETIMEDOUT);
    r = mp_pipe_send_fd(c, 0, LONG_MS); // none is under way to d: it would wait for ever
    mptest_require(r == -ETOOMANYREFS);
    mptest_require(mp_pipe_poll(d, 0) == 0);
    for (int i = 0; i < sent; i++) {
        mptest_require((fd = mp_pipe_recv_fd(b, 0)) >= 0);
        close(fd);
    }
    mptest_require(mp_pipe_send_fd(c, 0, 0) == 0 && (fd = mp_pipe_recv_fd(d, 0)) >= 0);
    close(fd);
    mp_pipe_free(a);
    mp_pipe_free(b);
    mp_pipe_free(c);
    mp_pipe_free(d);
    return 0;
}

MP_TEST(too_many_under_way_is_told)
{
    int r = mptest_in_child(send_beyond_the_limit, NULL);
    if (r == 77)
        mp_skip("needs the privilege to become another user");
    ck_assert_int_eq(r, 0);
}

struct slow {
    mp_pipe *to, *from;
    _Atomic int sent; // of which eight are a full ring
};

static bool sleeps_for_room(struct slow *s, int got)
{
    return atomic_load(&s->sent) - got == 8 && atomic_load(&s->to->channel.post.watched);
}

// Reads half of what there is each time that the sender sleeps, until it sends the end.
static void *read_slowly(void *arg)
{
    struct slow *s = arg;
    char buf[500];
    int64_t n = 0;
    for (int got = 0; n != 3;) {
        (void)mptest_eventually(sleeps_for_room(s, got), 50);
        for (int i = 0; i < 4 && n != 3; i++, got++) {
            n = mp_pipe_recv(s->from, buf, sizeof buf, LONG_MS);
            mptest_require(n > 0);
        }
    }
    return NULL;
}

// A sender that waits reads the socket, for the receiving thread of its process as well. When it
// sleeps no more, nobody may wait for it: also if it waited first for all of the ring, to grow it.
MP_TEST(a_sender_that_was_woken_watches_nothing)
{
    struct slow s = {0};
    pthread_t t;
    char buf[500] = "";
    mp_pipe_opts opts = {.ring_size = 4096, .ring_max = 1 << 20, .no_spin = true};
    mp_assert_ok(mp_pipe_new(&s.to, &s.from, &opts));
    ck_assert_int_eq(pthread_create(&t, NULL, read_slowly, &s), 0);
    for (int i = 0; i < 100; i++) {
        mp_assert_ok(mp_pipe_send(s.to, buf, sizeof buf, LONG_MS));
        ck_assert(!atomic_load(&s.to->channel.post.watched));
        atomic_fetch_add(&s.sent, 1);
    }
    mp_assert_ok(mp_pipe_send(s.to, "end", 3, LONG_MS));
    pthread_join(t, NULL);
    mp_pipe_free(s.to);
    mp_pipe_free(s.from);
}

static void *send_quarters(void *arg)
{
    static char buf[1000];
    int r;
    do
        r = mp_pipe_send(arg, buf, sizeof buf, LONG_MS);
    while (r == 0);
    mptest_require(r == MP_EPIPE);
    return NULL;
}

// A sending thread cannot read past a parcel for which there are no descriptors: it goes
// on all the same, and so does the receiving one once there are.
MP_TEST(a_waiting_sender_gets_on_without_descriptors)
{
    mp_pipe *a, *b;
    pthread_t t;
    char buf[1000];
    struct rlimit old, low;
    mp_pipe_opts opts = {.ring_size = 4096, .ring_max = 4096, .no_spin = true};
    mp_assert_ok(mp_pipe_new(&a, &b, &opts));
    ck_assert_int_eq(pthread_create(&t, NULL, send_quarters, b), 0);
    ck_assert(mptest_eventually(atomic_load(&b->channel.post.watched), 15000));
    int before = mptest_fd_count(), next = dup(0);
    close(next);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = (struct rlimit){(rlim_t)next, old.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    int sent, got = -EMFILE;
    // Of an unprivileged user others may have so many under way for a moment.
    (void)mptest_eventually((sent = mp_pipe_send_fd(a, 0, LONG_MS)) != -ETOOMANYREFS, 15000);
    int64_t n = 1000;
    for (int i = 0; i < 20 && n == 1000; i++)
        n = mp_pipe_recv(a, buf, sizeof buf, LONG_MS);
    for (int i = 0; i < 5 && got == -EMFILE; i++)
        got = mp_pipe_recv_fd(b, 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    mp_assert_ok(sent);
    ck_assert_int_eq(n, 1000);
    mp_assert_err(got, -EMFILE);
    ck_assert_int_eq(mptest_fd_count(), before);
    mp_assert_ok(got = mp_pipe_recv_fd(b, 0));
    close(got);
    mp_pipe_close(a);
    pthread_join(t, NULL);
    mp_pipe_free(a);
    mp_pipe_free(b);
}

// ---- forks -----------------------------------------------------------------------------

static atomic_bool stop;

// Descriptors that are the library's: eventfds, sockets, and our memory.
static int library_fds(void)
{
    int n = 0;
    char path[64], to[64];
    DIR *d = opendir("/proc/self/fd");
    struct dirent *e;
    mptest_require(d != NULL);
    while ((e = readdir(d))) {
        snprintf(path, sizeof path, "/proc/self/fd/%.20s", e->d_name);
        ssize_t len = readlink(path, to, sizeof to - 1);
        to[len > 0 ? len : 0] = '\0';
        n += strstr(to, "eventfd") || strstr(to, "socket:") || strstr(to, "mp-channel");
    }
    closedir(d);
    return n;
}

static void *move_ends(void *arg)
{
    mp_pipe *a, *b;
    mptest_require(mp_pipe_new(&a, &b, NULL) == 0);
    while (!stop) {
        mp_pipe *x, *y, *end;
        mptest_require(mp_pipe_new(&x, &y, &(mp_pipe_opts){.ring_size = 4096}) == 0);
        mptest_require(mp_pipe_send_pipe(a, y, LONG_MS) == 0);
        mp_pipe_free(y);
        mptest_require(mp_pipe_recv_pipe(b, &end, LONG_MS) == 0);
        mp_pipe_free(end);
        mp_pipe_free(x);
    }
    mp_pipe_free(a);
    mp_pipe_free(b);
    return arg;
}

MP_TEST_TIMEOUT(forks_keep_no_end_on_its_way, 100)
{
    if (MPTEST_TSAN)
        mp_skip("forks of a program with threads are not for TSan");
    int before = library_fds(), leaks = 0, rounds = scaled(MPTEST_ASAN ? 300 : 1500);
    mp_pipe *a, *b;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL)); // the hook is set
    pthread_t t;
    stop = false;
    ck_assert_int_eq(pthread_create(&t, NULL, move_ends, NULL), 0);
    for (int i = 0; i < rounds; i++) {
        int status;
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
            _exit(library_fds() != before);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        leaks += status != 0;
    }
    stop = true;
    pthread_join(t, NULL);
    mp_pipe_free(a);
    mp_pipe_free(b);
    ck_assert_int_eq(leaks, 0);
}

static int has_a_parcel(void *arg)
{
    mp_pipe *y;
    mptest_require(mp_pipe_recv_pipe(arg, &y, LONG_MS) == 0);
    return mp_pipe_send(y, "x", 1, 0);
}

// An end is given to a child with what had come for it.
MP_TEST(a_given_end_keeps_its_parcels)
{
    mp_pipe *a, *b, *x, *y;
    struct mp__parcel *p;
    mp_process *child;
    char c;
    int code = -1;
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    mp_assert_ok(mp_pipe_new(&x, &y, NULL));
    mp_assert_ok(mp_pipe_send_pipe(a, y, 0));
    mp_pipe_free(y);
    ck_assert_int_eq(mp__parcel_fetch(&b->channel, &p), 0);
    mp__parcel_done(&b->channel, false);
    mp_process_opts give = {.give = (mp_pipe *[]){b, NULL}};
    mp_assert_ok(mp_process_start(&child, has_a_parcel, b, &give));
    mp_pipe_free(b);
    ck_assert_int_eq(mp_pipe_recv(x, &c, 1, LONG_MS), 1);
    mp_assert_err(mp_pipe_recv(x, &c, 1, LONG_MS), MP_EOF);
    mp_assert_ok(mp_process_join(child, LONG_MS));
    mp_assert_ok(mp_process_exitcode(child, &code));
    ck_assert_int_eq(code, 0);
    mp_process_free(child);
    mp_pipe_free(a);
    mp_pipe_free(x);
}

// ---- an enemy ----------------------------------------------------------------------------

struct scene {
    mp_pipe *a, *b; // b is the enemy's
    struct mp__parcel *p;
};

static struct scene set_up(void)
{
    struct scene s;
    mp_assert_ok(mp_pipe_new(&s.a, &s.b, NULL));
    ck_assert_ptr_nonnull(s.p = mp__parcel_new());
    return s;
}

// Puts it into the socket as it is, and a message for it into the ring.
static void send_as_is(struct scene *s, size_t size)
{
    struct mp__ring_tx *t = &s->b->channel.tx.ring;
    uint64_t len = MP__CARRIES;
    size_t n = s->p->head.n_fds < MP__FDPASS_MAX ? s->p->head.n_fds : 1;
    mp_assert_ok(mp__fds_send(s->b->channel.sock, s->p->fds, n, &s->p->head, size));
    mp__ring_put(t, &len, sizeof len);
    mp__ring_publish(t);
}

static void tear_down(struct scene *s)
{
    free(s->p);
    mp_pipe_free(s->a);
    mp_pipe_free(s->b);
}

static void is_refused(struct scene *s)
{
    mp_handle h[4];
    size_t n = 4;
    mp_assert_err(mp_pipe_recv_handles(s->a, NULL, 0, h, &n, 0), MP_EPROTO);
    ck_assert_uint_eq(n, 0);
    mp_assert_err(mp_pipe_recv_handles(s->a, NULL, 0, h, NULL, 0), MP_EBROKEN);
    mp_assert_err(mp_pipe_send_fd(s->a, 0, 0), MP_EBROKEN);
    mp_assert_err(mp_pipe_recv(s->b, NULL, 0, 0), MP_EBROKEN);
    tear_down(s);
}

static size_t pack_one_fd(struct scene *s)
{
    mp_handle h = MP_HANDLE(0);
    ck_assert_int_eq(mp__handles_pack(s->p, &h, 1), 0);
    return sizeof s->p->head + s->p->head.size;
}

MP_TEST(a_head_that_makes_no_sense_breaks_the_pipe)
{
    for (int way = 0; way < 11; way++) {
        struct scene s = set_up();
        size_t size = pack_one_fd(&s);
        switch (way) {
        case 0:
            s.p->head.magic ^= 1;
            break;
        case 1:
            s.p->head.size++;
            break;
        case 2:
            s.p->head.size = UINT32_MAX;
            break;
        case 3:
            s.p->head.size = 0;
            break;
        case 4:
            s.p->head.number = 1;
            break;
        case 5:
            s.p->head.n_handles = 2;
            break;
        case 6:
            s.p->head.n_handles = 0;
            break;
        case 7:
            size = 5;
            break;
        case 8: // more descriptors than told
            s.p->fds[1] = 0;
            s.p->head.n_fds = 1;
            mp_assert_ok(mp__fds_send(s.b->channel.sock, (int[]){0, 0, 0}, 3, &s.p->head, size));
            size = 1;
            break;
        case 9: // fewer
            s.p->head.n_fds = 2;
            mp_assert_ok(mp__fds_send(s.b->channel.sock, (int[]){0}, 1, &s.p->head, size));
            s.p->head.n_fds = 0;
            size = 1;
            break;
        case 10:
            s.p->head.n_fds = 1000;
            break;
        }
        send_as_is(&s, size);
        is_refused(&s);
    }
}

MP_TEST(an_entry_that_makes_no_sense_breaks_the_pipe)
{
    const uint32_t kinds[] = {0, MP_HANDLE_PIPE, 100, UINT32_MAX};
    for (int way = 0; way < 8; way++) {
        struct scene s = set_up();
        pack_one_fd(&s);
        uint32_t *entry = (uint32_t *)(void *)s.p->bytes; // kind, size
        if (way < 4)
            entry[0] = kinds[way];
        else if (way == 4)
            entry[1] = 8;
        else if (way == 5)
            entry[1] = UINT32_MAX;
        else if (way == 6) // more than its kind needs
            entry[1] = 8, s.p->head.size += 8;
        else
            s.p->head.size += 8;
        send_as_is(&s, sizeof s.p->head + s.p->head.size);
        is_refused(&s);
    }
}

// Each word of an end's description, wrong in many ways: refused, or it does no harm.
MP_TEST_TIMEOUT(an_end_that_makes_no_sense_harms_nobody, 60)
{
    const uint64_t bad[] = {1,
                            2,
                            3,
                            7,
                            8,
                            4095,
                            4096,
                            8192,
                            65536,
                            1 << 20,
                            1 << 30,
                            1ull << 31,
                            UINT32_MAX,
                            1ull << 40,
                            1ull << 63,
                            UINT64_MAX,
                            UINT64_MAX - 7};
    enum { WORDS = sizeof(struct mp__channel_state) / 8, BAD = sizeof bad / sizeof *bad };
    int refused = 0;
    for (int i = 0; i < WORDS * BAD; i++) {
        struct scene s = set_up();
        mp_pipe *x, *y;
        char buf[300] = "";
        mp_assert_ok(mp_pipe_new(&x, &y, &(mp_pipe_opts){.ring_size = 4096, .ring_max = 8192}));
        for (int k = 0; k < 20; k++) {
            mp_assert_ok(mp_pipe_send(x, buf, sizeof buf, 0));
            mp_assert_ok(mp_pipe_recv(y, buf, sizeof buf, 0));
        }
        mp_assert_ok(mp_pipe_send(x, buf, 5, 0));
        mp_handle h = MP_HANDLE(y);
        ck_assert_int_eq(mp__handles_pack(s.p, &h, 1), 0);
        memcpy(s.p->bytes + 8 + 8 * (i / BAD), &bad[i % BAD], 8);
        send_as_is(&s, sizeof s.p->head + s.p->head.size);
        mp__handles_packed(&h, 1, true);
        mp_pipe_free(y);
        size_t n = 1;
        int64_t r = mp_pipe_recv_handles(s.a, NULL, 0, &h, &n, 0);
        ck_assert_msg(r == 0 || r == MP_EPROTO || r == -ENOMEM || r == -ENOSPC, "%s",
                      mp_err_name(r));
        refused += r < 0;
        if (r == 0) { // whatever comes of it, it comes to an end
            for (int k = 0; k < 100; k++) {
                (void)!mp_pipe_send(h.object, buf, sizeof buf, 0);
                (void)!mp_pipe_recv(h.object, buf, sizeof buf, 0);
                (void)!mp_pipe_recv(x, buf, sizeof buf, 0);
            }
            mp_handle_close(&h, 1);
        }
        mp_pipe_free(x);
        tear_down(&s);
    }
    ck_assert_int_gt(refused, WORDS * BAD / 3);
}

// Memory that is not what it should be: too small, or it could be made so.
MP_TEST(memory_that_could_shrink_is_refused)
{
    for (int way = 0; way < 4; way++) {
        struct scene s = set_up();
        mp_pipe *x, *y;
        mp_assert_ok(mp_pipe_new(&x, &y, &(mp_pipe_opts){.ring_size = 4096, .ring_max = 4096}));
        mp_handle h = MP_HANDLE(y);
        ck_assert_int_eq(mp__handles_pack(s.p, &h, 1), 0);
        int fd = memfd_create("enemy", MFD_CLOEXEC | (way ? MFD_ALLOW_SEALING : 0));
        ck_assert_int_eq(ftruncate(fd, 3 * 4096 - (way == 2)), 0);
        if (way >= 2)
            ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, way == 3 ? F_SEAL_GROW : F_SEAL_SHRINK), 0);
        s.p->fds[3] = way ? fd : 0;
        send_as_is(&s, sizeof s.p->head + s.p->head.size);
        mp__handles_packed(&h, 1, true);
        mp_pipe_free(y);
        mp_pipe_free(x);
        close(fd);
        is_refused(&s);
    }
}

MP_TEST_TIMEOUT(garbage_in_the_socket_harms_nobody, 60)
{
    int broken = 0;
    for (int i = 0; i < scaled(2000); i++) {
        struct scene s = set_up();
        size_t size = pack_one_fd(&s);
        unsigned char *bytes = (unsigned char *)&s.p->head;
        for (uint32_t k = 1 + dice(3); k; k--)
            bytes[dice((uint32_t)size)] = (unsigned char)dice(256);
        int fd = s.p->fds[0];
        mp_assert_ok(mp__fds_send(s.b->channel.sock, &fd, 1, &s.p->head, size - dice(2)));
        uint64_t len = MP__CARRIES;
        mp__ring_put(&s.b->channel.tx.ring, &len, sizeof len);
        mp__ring_publish(&s.b->channel.tx.ring);
        mp_handle h[4];
        size_t n = 4;
        int64_t r = mp_pipe_recv_handles(s.a, NULL, 0, h, &n, 0);
        ck_assert(r == 0 || r == MP_EPROTO || r == MP_EMSGSIZE);
        if (r == 0)
            mp_handle_close(h, n);
        broken += r == MP_EPROTO;
        tear_down(&s);
    }
    ck_assert_int_gt(broken, 0);
}

// More bytes for "space" than anybody asked for, before and between.
MP_TEST(needless_space_is_read_over)
{
    mp_pipe *a, *b;
    char zeros[200] = "";
    mp_assert_ok(mp_pipe_new(&a, &b, NULL));
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < i; k++)
            ck_assert_int_eq(send(b->channel.sock, zeros, (size_t)k * 3 + 1, MSG_DONTWAIT),
                             k * 3 + 1);
        mp_assert_ok(mp_pipe_send_fd(b, 0, 0));
    }
    for (int i = 0; i < 20; i++) {
        int fd = mp_pipe_recv_fd(a, 0);
        mp_assert_ok(fd);
        close(fd);
    }
    mp_pipe_free(a);
    mp_pipe_free(b);
}
