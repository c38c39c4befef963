// SPDX-License-Identifier: MIT
//
// What peers, users and the machine do to mpproxy: it goes on, and whoever did nothing wrong
// does not notice. With MP_TEST_LONG=1 in the environment ten times as many connections.
#include "channel/proxy.h"
#include "os/fdpass.h"
#include "urltest.h"
#include "wire/frame.h"

#include <dirent.h>
#include <fcntl.h>
#include <mp/process.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

// ---- raw peers -------------------------------------------------------------------------

static mp_listener *listen_at(const struct transport *t, mp_url_opts *o)
{
    mp_listener *l;
    *o = url_opts(t, true);
    url_assert_ok(mp_listen(&l, t->url, o));
    return l;
}

// A client that does all right is served.
static void assert_serves(const struct transport *t, mp_listener *l)
{
    mp_pipe *a, *b;
    char byte;
    mp_url_opts c = url_opts(t, false);
    url_assert_ok(mp_connect(&a, mp_listener_url(l), &c));
    mp_assert_ok(mp_accept(l, &b, LONG_MS));
    mp_assert_ok(mp_pipe_send(a, "x", 1, LONG_MS));
    mp_assert_ok(mp_pipe_recv(b, &byte, 1, LONG_MS));
    mp_pipe_free(a);
    mp_pipe_free(b);
}

static void connect_and_close(const struct transport *t)
{
    mp_url_opts o;
    mp_listener *l = listen_at(t, &o);
    int n = getenv("MP_TEST_LONG") ? 10000 : 1000;
    for (int i = 0; i < n; i++) {
        reset(raw(mp_listener_url(l)));
        // Now and then wait until they are through: a full backlog makes the kernel drop
        // connections, and try again a second later.
        if (i % 100 == 99)
            assert_serves(t, l);
    }
    mp_listener_free(l);
}

MP_TEST_TIMEOUT(connect_and_close_again_and_again_ipc, 120)
{
    connect_and_close(&ipc);
}

MP_TEST_TIMEOUT(connect_and_close_again_and_again_tcp, 120)
{
    connect_and_close(&tcp);
}

MP_TEST_TIMEOUT(connect_and_close_again_and_again_tls, 120)
{
    connect_and_close(&tls);
}

MP_TEST_TIMEOUT(connect_and_close_again_and_again_ws, 120)
{
    connect_and_close(&ws);
}

MP_TEST_EACH_URL(garbage_is_turned_away)
{
    static const char *const garbage[] = {
        "GET / HTTP/1.0\r\n\r\n", "\0SP\0\0\x10\0\x01",
        "\0SQ\0\0\x10\0\0",       "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "\0SP\0\x12\x34\0\0",     "\0SP"};
    static const size_t sizes[] = {18, 8, 8, 11, 8, 3};
    mp_url_opts o;
    mp_listener *l = listen_at(t, &o);
    for (int k = 0; k < 20; k++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            int fd = raw(mp_listener_url(l));
            ck_assert_int_eq(send(fd, garbage[i], sizes[i], MSG_NOSIGNAL), (ssize_t)sizes[i]);
            if (k & 1)
                shutdown(fd, SHUT_WR);
            close(fd);
        }
    assert_serves(t, l);
    mp_listener_free(l);
}

// Many who connect and say nothing keep nobody out, and are turned away in the end.
MP_TEST_EACH_URL(silent_peers_keep_nobody_out)
{
    enum { MANY = 300 };
    int fds[MANY];
    mp_url_opts o;
    mp_listener *l = listen_at(t, &o);
    for (int i = 0; i < MANY; i++) {
        fds[i] = raw(mp_listener_url(l));
        if (i % 100 == 99) // see connect_and_close()
            assert_serves(t, l);
    }
    if (t == &ipc) // the others do the same; NNG's own HTTP server is patient
        ck_assert(closes(fds[MANY - 1], LONG_MS));
    for (int i = 0; i < MANY; i++)
        reset(fds[i]);
    assert_serves(t, l);
    mp_listener_free(l);
}

static void say(int fd, const void *bytes, size_t n)
{
    ck_assert_int_eq(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

static void say_length(int fd, const struct transport *t, uint64_t size)
{
    uint8_t head[9] = {1};
    mp__put_be64(head + 1, size);
    say(fd, head + (t != &ipc), sizeof head - (t != &ipc));
}

static mp_pipe *foreign(const struct transport *t, mp_listener *l, int *fd)
{
    mp_pipe *p;
    *fd = raw(mp_listener_url(l));
    say(*fd, "\0SP\0\0\x10\0\0", 8);
    (void)t;
    mp_assert_ok(mp_accept(l, &p, LONG_MS));
    return p;
}

static void lengths_are_not_believed(const struct transport *t)
{
    static const uint64_t lengths[] = {UINT64_C(1) << 31, UINT64_C(1) << 40, UINT64_C(1) << 62,
                                       UINT64_C(1) << 63, UINT64_MAX,        UINT64_MAX - 7};
    mp_url_opts o = url_opts(t, true);
    mp_listener *l;
    int fd;
    void *data;
    o.pipe.max_size = 1 << 20;
    url_assert_ok(mp_listen(&l, t->url, &o));
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        mp_pipe *p = foreign(t, l, &fd);
        say_length(fd, t, 2);
        say(fd, "ok", 2);
        say_length(fd, t, lengths[i]);
        ck_assert_int_eq(mp_pipe_recv_new(p, &data, LONG_MS), 2);
        free(data);
        mp_assert_err(mp_pipe_recv_new(p, &data, LONG_MS), MP_EBROKEN);
        ck_assert(closes(fd, LONG_MS));
        close(fd);
        mp_pipe_free(p);
    }
    mp_listener_free(l);
}

MP_TEST(lengths_are_not_believed_ipc)
{
    lengths_are_not_believed(&ipc);
}

MP_TEST(lengths_are_not_believed_tcp)
{
    lengths_are_not_believed(&tcp);
}

// Without a limit a long message is begun, but no memory is taken for what never comes.
MP_TEST(a_message_that_never_comes_costs_nothing)
{
    mp_url_opts o;
    mp_listener *l = listen_at(&tcp, &o);
    int fd;
    void *data;
    mp_pipe *p = foreign(&tcp, l, &fd);
    say_length(fd, &tcp, UINT64_C(1) << 62);
    say(fd, "beginning", 9);
    ck_assert_int_eq(mp_pipe_next_size(p, LONG_MS), INT64_C(1) << 62);
    ck_assert_int_lt(mp_pipe_recv_new(p, &data, 0), 0); // -ENOMEM, here
    close(fd);
    mp_pipe_free(p);
    mp_listener_free(l);
}

// A conversation of two of libmp, as it goes over the wire.
static size_t conversation(uint8_t *p)
{
    struct mp__open open = {.version = 1, .protocol = 0x10, .max_size = 1 << 20};
    mp__hello_write(p, MP__PROTOCOL_MP);
    mp__frame_write(p + 8, MP__FRAME_OPEN, MP__OPEN);
    mp__open_write(p + 16, &open);
    mp__frame_write(p + 16 + MP__OPEN, MP__FRAME_MESSAGE, 5);
    memcpy(p + 24 + MP__OPEN, "hello", 5);
    mp__frame_write(p + 29 + MP__OPEN, MP__FRAME_END, 0);
    return 37 + MP__OPEN;
}

// Accepts and reads until the end, which must come.
static int64_t drain(mp_listener *l, int ms)
{
    mp_pipe *p;
    char buf[100];
    int64_t n = mp_accept(l, &p, ms);
    if (n < 0)
        return n;
    while ((n = mp_pipe_recv(p, buf, sizeof buf, LONG_MS)) >= 0)
        ;
    mp_pipe_free(p);
    return n;
}

MP_TEST_TIMEOUT(a_conversation_may_break_off_anywhere, 60)
{
    uint8_t bytes[200];
    size_t size = conversation(bytes);
    mp_url_opts o;
    mp_listener *l = listen_at(&ipc, &o);
    for (size_t cut = 0; cut <= size; cut++) {
        int fd = raw(mp_listener_url(l));
        // In two parts: the listener takes half a hello for something special.
        for (size_t i = 0; i < cut; i += 4)
            say(fd, bytes + i, cut - i < 4 ? cut - i : 4);
        shutdown(fd, SHUT_WR);
        bool in = cut >= 16 + MP__OPEN; // it said who it is
        int64_t n = in ? drain(l, LONG_MS) : MP_EOF;
        if (cut == size)
            mp_assert_err(n, MP_EOF);
        else
            ck_assert_msg(n == MP_EOF || n == MP_EBROKEN || n == MP_ETRUNCATED, "at %zu: %s", cut,
                          mp_err_name(n));
        close(fd);
    }
    assert_serves(&ipc, l);
    mp_listener_free(l);
}

MP_TEST_TIMEOUT(any_bit_may_be_wrong, 60)
{
    uint8_t bytes[200];
    size_t size = conversation(bytes);
    mp_url_opts o;
    mp_listener *l = listen_at(&ipc, &o);
    for (size_t bit = 0; bit < size * 8; bit += 3) {
        int fd = raw(mp_listener_url(l));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        say(fd, bytes, size);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        shutdown(fd, SHUT_WR);
        while (drain(l, 0) != MP_ETIMEDOUT)
            ;
        close(fd);
    }
    while (drain(l, 200) != MP_ETIMEDOUT)
        ;
    assert_serves(&ipc, l);
    mp_listener_free(l);
}

// ---- mpproxy's life --------------------------------------------------------------------

// The mpproxies that belong to this test: orphans go to the keeper. Their number, and one pid.
static int proxies(pid_t *one)
{
    int n = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; (e = readdir(d));) {
        char path[300], name[32];
        int pid = atoi(e->d_name), ppid;
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *f = pid > 0 ? fopen(path, "re") : NULL;
        if (!f)
            continue;
        if (fscanf(f, "%*d (%31[^)]) %*c %d", name, &ppid) == 2 && ppid == getppid() &&
            strcmp(name, "mpproxy") == 0) {
            n++;
            if (one)
                *one = pid;
        }
        fclose(f);
    }
    closedir(d);
    return n;
}

static long resident_kib(pid_t pid)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *f = fopen(path, "re");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%*d %ld", &pages), 1);
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

// One that never reads costs mpproxy no memory and the others nothing.
MP_TEST_EACH_URL(a_slow_reader_slows_its_sender_only)
{
    static char data[10000];
    mp_pipe *slow[2], *a, *b;
    char byte;
    pid_t pid;
    int sent = 0;
    pair(t, &slow[0], &slow[1]);
    ck_assert_int_eq(proxies(&pid), 1);
    long before = resident_kib(pid);
    while (mp_pipe_send(slow[0], data, sizeof data, 200) == 0)
        ck_assert_int_lt(sent++, 20000);
    ck_assert_int_gt(sent, 10);
    // The ring between it and its sender, up to 4 MiB each, is memory it sees as well.
    ck_assert_int_lt(resident_kib(pid) - before, 16 << 10);
    pair(t, &a, &b);
    for (int i = 0; i < 200; i++) {
        mp_assert_ok(mp_pipe_send(a, "x", 1, LONG_MS));
        mp_assert_ok(mp_pipe_recv(b, &byte, 1, LONG_MS));
    }
    mp_pipe_free(a);
    mp_pipe_free(b);
    for (int i = 0; i < sent; i++) // and nothing was lost
        ck_assert_int_eq(mp_pipe_recv(slow[1], data, sizeof data, LONG_MS), sizeof data);
    mp_pipe_free(slow[0]);
    mp_pipe_free(slow[1]);
}

MP_TEST_EACH_URL(a_killed_mpproxy_is_told_and_replaced)
{
    mp_pipe *a, *b;
    mp_listener *l, *again;
    pid_t pid;
    char byte;
    pair(t, &a, &b);
    mp_url_opts o = url_opts(t, true);
    url_assert_ok(mp_listen(&l, t->url, &o));
    ck_assert_int_eq(proxies(&pid), 1);
    kill(pid, SIGKILL);
    int64_t r = mp_pipe_recv(a, &byte, 1, LONG_MS);
    ck_assert_msg(r == MP_EOF || r == MP_EBROKEN, "%s", mp_err_name(r));
    signal(SIGPIPE, SIG_DFL); // and so it would end this process
    r = mp_pipe_send(a, "x", 1, LONG_MS);
    ck_assert_msg(r == MP_EPIPE || r == MP_EBROKEN, "%s", mp_err_name(r));
    mp_pipe_free(b);
    mp_assert_err(mp_accept(l, &b, LONG_MS), MP_EBROKEN);
    // Another takes its place, and that of its dead socket.
    url_assert_ok(mp_listen(&again, t == &ipc ? mp_listener_url(l) : t->url, &o));
    assert_serves(t, again);
    mp_pipe_free(a);
    mp_listener_free(l);
    mp_listener_free(again);
}

MP_TEST(a_stopped_mpproxy_is_told)
{
    mp_url_opts o;
    mp_pipe *p;
    pid_t pid;
    mp_listener *l = listen_at(&tcp, &o);
    ck_assert_int_eq(proxies(&pid), 1);
    kill(pid, SIGSTOP);
    o.connect_ms = 100;
    mp_assert_err(mp_connect(&p, mp_listener_url(l), &o), MP_ETIMEDOUT);
    ck_assert_ptr_nonnull(strstr(url_error, "mpproxy does not answer"));
    kill(pid, SIGCONT);
    drain(l, 200); // it may still have connected
    assert_serves(&tcp, l);
    mp_listener_free(l);
}

static int connect_and_count(void *arg)
{
    mp_pipe *p;
    mp_url_opts o = {.error = url_error, .error_size = sizeof url_error};
    if (mp_connect(&p, arg, &o) < 0) {
        dprintf(2, "%s\n", url_error);
        return 99;
    }
    return mp_pipe_send(p, "x", 1, LONG_MS) == 0 ? 0 : 98;
}

MP_TEST(descendants_share_one)
{
    mp_url_opts o;
    mp_listener *l = listen_at(&tcp, &o);
    char url[100];
    snprintf(url, sizeof url, "%s", mp_listener_url(l));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(mptest_in_child(connect_and_count, url), 0);
    ck_assert_int_eq(proxies(NULL), 1);
    mp_listener_free(l);
}

static int connect_elsewhere(void *arg)
{
    mp_pipe *p;
    mp_url_opts o = {0};
    if (unshare(CLONE_NEWNET) < 0)
        return 77;
    // There is no network there: nobody listens. With the parent's mpproxy somebody would.
    return mp_connect(&p, arg, &o) < 0 ? 0 : 1;
}

MP_TEST(another_network_has_its_own)
{
    mp_url_opts o;
    mp_listener *l = listen_at(&tcp, &o);
    char url[100];
    snprintf(url, sizeof url, "%s", mp_listener_url(l));
    int code = mptest_in_child(connect_elsewhere, url);
    mp_listener_free(l);
    if (code == 77)
        mp_skip("needs the privilege to make a network namespace");
    ck_assert_int_eq(code, 0);
}

static int connect_below_a_mount(void *arg)
{
    mp_pipe *p;
    mp_url_opts o = {0};
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", "place", "tmpfs", 0, NULL) < 0)
        return 77;
    // There is no such socket there. With the parent's mpproxy there would be.
    return mp_connect(&p, arg, &o) < 0 ? 0 : 1;
}

MP_TEST(another_tree_of_files_has_its_own)
{
    mp_listener *l;
    mp_url_opts o = url_opts(&ipc, true);
    char url[400];
    ck_assert_int_eq(mkdir("place", 0700), 0);
    url_assert_ok(mp_listen(&l, "ipc://place/socket", &o));
    snprintf(url, sizeof url, "%s", mp_listener_url(l));
    int code = mptest_in_child(connect_below_a_mount, url);
    assert_serves(&ipc, l);
    mp_listener_free(l);
    ck_assert(mptest_eventually(rmdir("place") == 0, LONG_MS));
    if (code == 77)
        mp_skip("needs the privilege to mount");
    ck_assert_int_eq(code, 0);
}

static int connect_as_other(void *arg)
{
    mp_pipe *p;
    mp_url_opts o = {.error = url_error, .error_size = sizeof url_error};
    if (setgid(12345) < 0 || setuid(12345) < 0)
        return 77;
    // Its mpproxy is its own, whom the listener's socket file does not let in.
    int r = mp_connect(&p, arg, &o);
    return r == -EACCES || r == -ENOENT ? 0 : 1;
}

MP_TEST(another_user_has_its_own)
{
    mp_url_opts o;
    mp_listener *l = listen_at(&ipc, &o);
    char url[200];
    snprintf(url, sizeof url, "%s", mp_listener_url(l));
    int code = mptest_in_child(connect_as_other, url);
    mp_listener_free(l);
    ck_assert(mptest_eventually(access(url + 6, F_OK) < 0, LONG_MS));
    if (code == 77)
        mp_skip("needs the privilege to become another user");
    ck_assert_int_eq(code, 0);
}

// A process that has become somebody else asks the mpproxy it inherited all the same: for a
// port, say, that it may not have itself.
static int misuse_inherited(void *arg)
{
    struct mp__request q = {.magic = MP__REQUEST_MAGIC,
                            .kind = MP__LISTEN,
                            .transport = MP__TCP,
                            .protocol = MP__SP_PAIR0,
                            .rings = {4096, 4096, 100},
                            .url = "tcp://127.0.0.1:0"};
    struct mp__answer a;
    int type, sv[2], asked = 0;
    socklen_t size = sizeof type;
    size_t none = 0;
    (void)arg;
    if (setgid(12345) < 0 || setuid(12345) < 0)
        return 77;
    for (int fd = 3; fd < 100; fd++) { // the control socket is one of those
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET)
            continue;
        mptest_require(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv) == 0);
        if (mp__fds_send(fd, &sv[1], 1, &q, sizeof q) == 0) {
            close(sv[1]);
            mptest_require(mp__fds_recv(sv[0], NULL, &none, &a, sizeof a) == sizeof a);
            mptest_require(a.err == MP_EUNSAFE);
            asked++;
        }
    }
    return asked == 1 ? 0 : 1;
}

MP_TEST(another_user_is_refused)
{
    mp_url_opts o;
    mp_listener *l = listen_at(&tcp, &o);
    int code = mptest_in_child(misuse_inherited, NULL);
    mp_listener_free(l);
    if (code == 77)
        mp_skip("needs the privilege to become another user");
    ck_assert_int_eq(code, 0);
}

// Nonsense on the control socket harms nobody.
MP_TEST(requests_that_make_no_sense_are_dropped)
{
    mp_url_opts o;
    mp_listener *l = listen_at(&tcp, &o);
    struct mp__request q;
    int type, fds[2];
    socklen_t size = sizeof type;
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    for (int fd = 3; fd < 100; fd++) {
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET ||
            fd == mp_listener_fd(l))
            continue;
        for (int i = 0; i < 200; i++) {
            memset(&q, i, sizeof q);
            q.magic = i & 1 ? MP__REQUEST_MAGIC : 0;
            q.kind = (uint32_t)(i >> 1 & 3);
            q.rings = (struct mp__rings){4096, 4096, 100};
            mp_assert_ok(mp__fds_send(fd, fds, (size_t)(i % 3), &q, i & 4 ? sizeof q : 7));
        }
    }
    assert_serves(&tcp, l);
    mp_listener_free(l);
    close(fds[0]);
    close(fds[1]);
}

// Who sent and is gone has sent: mpproxy stays until it is through.
static int send_and_go(void *arg)
{
    mp_pipe *p;
    mp_url_opts o = {.error = url_error, .error_size = sizeof url_error};
    static char data[1 << 20];
    if (mp_connect(&p, arg, &o) < 0)
        return 99;
    for (int i = 0; i < 4; i++)
        if (mp_pipe_send(p, data, sizeof data, LONG_MS) < 0)
            return 98;
    _exit(0); // no close, no free
}

MP_TEST(what_was_sent_before_the_end_of_a_process_arrives)
{
    mp_url_opts o;
    mp_pipe *p;
    mp_listener *l = listen_at(&tcp, &o);
    char url[100];
    void *data;
    snprintf(url, sizeof url, "%s", mp_listener_url(l));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        mp__proxy_leave(); // one of its own, that must not go with it
        send_and_go(url);
        _exit(97);
    }
    mp_assert_ok(mp_accept(l, &p, LONG_MS));
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(mp_pipe_recv_new(p, &data, LONG_MS), 1 << 20);
        free(data);
        if (i == 0) {
            int status;
            ck_assert_int_eq(waitpid(pid, &status, 0), pid);
            ck_assert_int_eq(status, 0);
        }
    }
    mp_assert_err(mp_pipe_recv_new(p, &data, LONG_MS), MP_EOF);
    mp_pipe_free(p);
    mp_listener_free(l);
}

MP_TEST(nobody_waits_for_a_peer_that_never_reads)
{
    mp_url_opts o = url_opts(&tcp, true);
    mp_listener *l;
    int fd;
    static char data[1000]; // whole messages: half a one would be waited for
    o.linger_ms = 100;
    url_assert_ok(mp_listen(&l, tcp.url, &o));
    mp_pipe *p = foreign(&tcp, l, &fd);
    while (mp_pipe_send(p, data, sizeof data, 0) == 0)
        ;
    mp_pipe_free(p);
    ck_assert(closes(fd, LONG_MS));
    close(fd);
    mp_listener_free(l);
}

// ---- no descriptors --------------------------------------------------------------------

// Seconds of a CPU that it has used.
static double cpu_of(pid_t pid)
{
    char path[64];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                            &user, &system),
                     2);
    fclose(f);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

// What others give back is there again a moment later: until then who connects may be let in
// and find that there is nothing for him.
static bool connect_and_accept(mp_listener *l, const mp_url_opts *o, mp_pipe **a, mp_pipe **b)
{
    if (mp_connect(a, mp_listener_url(l), o) < 0)
        return false;
    if (mp_accept(l, b, 1000) == 0)
        return true;
    mp_pipe_free(*a);
    return false;
}

MP_TEST_TIMEOUT(without_descriptors_the_others_go_on, 60)
{
    enum { MOST = 40 };
    struct rlimit few = {60, 60};
    mp_listener *l;
    mp_pipe *pipes[MOST], *a, *b, *first[2];
    mp_url_opts o = url_opts(&tcp, true);
    int n = 0, r = 0;
    pid_t pid;
    char byte;
    url_assert_ok(mp_listen(&l, tcp.url, &o));
    ck_assert_int_eq(proxies(&pid), 1);
    ck_assert_int_eq(prlimit(pid, RLIMIT_NOFILE, &few, NULL), 0);
    url_assert_ok(mp_connect(&first[0], mp_listener_url(l), &o));
    mp_assert_ok(mp_accept(l, &first[1], LONG_MS));
    o.connect_ms = 2000;
    while (n < MOST && (r = mp_connect(&pipes[n], mp_listener_url(l), &o)) == 0)
        n++;
    // Whoever did not get in was told, at once or by the end of his pipe.
    int told = r < 0;
    for (int i = 0; i < n; i++)
        told += mp_pipe_recv(pipes[i], &byte, 1, 50) == MP_EBROKEN;
    ck_assert_int_gt(told, 0);
    // One more knocks all the time, and it does not run in circles for that.
    int knocking = raw(mp_listener_url(l));
    double cpu = cpu_of(pid);
    usleep(500000);
    ck_assert(cpu_of(pid) - cpu < 0.25);
    close(knocking);
    mp_assert_ok(mp_pipe_send(first[0], "x", 1, LONG_MS)); // undisturbed
    mp_assert_ok(mp_pipe_recv(first[1], &byte, 1, LONG_MS));
    while (n > 0)
        mp_pipe_free(pipes[--n]);
    while (mp_accept(l, &b, 200) == 0)
        mp_pipe_free(b);
    o.connect_ms = 0;
    ck_assert(mptest_eventually(connect_and_accept(l, &o, &a, &b), LONG_MS));
    mp_pipe_free(a);
    mp_pipe_free(b);
    mp_pipe_free(first[0]);
    mp_pipe_free(first[1]);
    mp_listener_free(l);
}

// An unprivileged user who has as many descriptors under way as he may: who connects meanwhile
// comes in when there are fewer.
static int accept_late(void *arg)
{
    uid_t nobody = 30000 + (uid_t)getpid() % 30000;
    struct rlimit low = {60, 60};
    mp_url_opts o = url_opts(&tcp, true);
    mp_listener *l;
    mp_pipe *p, *a, *b;
    int n = 0, got;
    (void)arg;
    if (setrlimit(RLIMIT_NOFILE, &low) < 0 || setresgid(65534, 65534, 65534) < 0 ||
        setresuid(nobody, nobody, nobody) < 0)
        return 77;
    mptest_require(mp_listen(&l, tcp.url, &o) == 0 && mp_pipe_new(&a, &b, NULL) == 0);
    while (n < 200 && mp_pipe_send_fd(a, 0, 0) == 0)
        n++;
    mptest_require(n < 200);
    int peer = raw(mp_listener_url(l));
    say(peer, "\0SP\0\0\x10\0\0", 8);
    mptest_require(mp_accept(l, &p, 300) == MP_ETIMEDOUT);
    for (; n > 0; n--) {
        mptest_require((got = mp_pipe_recv_fd(b, LONG_MS)) >= 0);
        close(got);
    }
    mptest_require(mp_accept(l, &p, LONG_MS) == 0);
    close(peer);
    mp_pipe_free(p);
    mp_pipe_free(a);
    mp_pipe_free(b);
    mp_listener_free(l);
    return 0;
}

MP_TEST(who_cannot_be_handed_over_yet_waits)
{
    url_needs_proxy();
    int r = mptest_in_child(accept_late, NULL);
    if (r == 77)
        mp_skip("needs the privilege to become another user");
    ck_assert_int_eq(r, 0);
}

// A connection for which the accepting process has no descriptors is lost, and no more.
MP_TEST(accepting_without_descriptors)
{
    struct rlimit all, few;
    mp_pipe *a, *b;
    char byte;
    mp_url_opts o;
    mp_listener *l = listen_at(&tcp, &o);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
    for (int i = 0; i < 40; i++) {
        url_assert_ok(mp_connect(&a, mp_listener_url(l), &o));
        few = (struct rlimit){(rlim_t)mptest_fd_count() + 2, all.rlim_max};
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
        int r = mp_accept(l, &b, LONG_MS);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
        mp_assert_err(r, -EMFILE);
        int64_t n = mp_pipe_recv(a, &byte, 1, LONG_MS);
        ck_assert_msg(n == MP_EOF || n == MP_EBROKEN, "%s", mp_err_name(n));
        mp_pipe_free(a);
    }
    assert_serves(&tcp, l);
    mp_listener_free(l);
}

// ---- nothing to do ---------------------------------------------------------------------

MP_TEST_TIMEOUT(an_idle_mpproxy_ends_and_comes_back, 60)
{
    mp_pipe *a, *b;
    char byte;
    pair(&tcp, &a, &b);
    mp_pipe_free(a);
    mp_pipe_free(b);
    ck_assert(mptest_eventually(proxies(NULL) == 0, 30000));
    pair(&tcp, &a, &b);
    mp_assert_ok(mp_pipe_send(a, "x", 1, LONG_MS));
    mp_assert_ok(mp_pipe_recv(b, &byte, 1, LONG_MS));
    mp_pipe_free(a);
    mp_pipe_free(b);
}
