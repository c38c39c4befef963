// SPDX-License-Identifier: MIT
//
// Foreign peers, both ways: libnng, nanomsg, nngcat and a Python script on plain sockets, each
// over each transport it has in common with us.
//
// Their PAIR sockets at our pipes, and their PUSH and PULL sockets at our queues.
//
// What a foreign peer gets less than one of libmp: there is no end of data in SP. When it
// goes, we read what came and then MP_EOF; when we go, it sees a connection that closed.
#include "urltest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mp/queue.h>
#include <mp/spawn.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct peer {
    const char *name;
    const char *program; // NULL: was not built
    bool tls;            // can do TLS
};

static const struct peer libnng = {"libnng", MP_PEER_NNG, true};
static const struct peer nanomsg = {"nanomsg", MP_PEER_NANOMSG, false};
static const struct peer python = {"python3", MP_PEER_PYTHON, false};

// ---- starting a peer -------------------------------------------------------------------

struct started {
    pid_t pid;
    int pidfd;
};

static struct started start(char *const argv[])
{
    struct started s;
    int r = mp_spawn(&s.pid, &s.pidfd, argv, NULL);
    if (r == -ENOENT)
        mp_skip("a peer's program is not installed");
    mp_assert_ok(r);
    return s;
}

static void await(struct started s)
{
    struct pollfd p = {.fd = s.pidfd, .events = POLLIN};
    int status;
    ck_assert_int_eq(poll(&p, 1, LONG_MS), 1);
    ck_assert_int_eq(waitpid(s.pid, &status, 0), s.pid);
    ck_assert_int_eq(status, 0);
    close(s.pidfd);
}

// CERT and KEY in one file, as NNG wants them.
static void join_files(const char *to, const char *cert, const char *key)
{
    char command[1000];
    snprintf(command, sizeof command, "umask 077; cat %s %s > %s", cert, key, to);
    ck_assert_int_eq(system(command), 0); // NOLINT(cert-env33-c): paths of our own
}

static struct started start_peer(const struct peer *p, const struct transport *t, bool listen,
                                 const char *url, const char *what)
{
    char *argv[7] = {(char *)(uintptr_t)p->program,
                     listen ? (char[]){"listen"} : (char[]){"connect"}, (char *)(uintptr_t)url,
                     (char *)(uintptr_t)what, NULL};
    static char both[] = "both.pem";
    if (t == &tls) {
        mp_url_opts o = url_opts(t, listen);
        join_files(both, o.tls_cert, o.tls_key);
        argv[4] = pki_ca;
        argv[5] = both;
    }
    return start(argv);
}

// An address that is free now, for a peer to listen at.
static void free_url(const struct transport *t, char *url, size_t size)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof sa;
    char cwd[300];
    if (t == &ipc) {
        ck_assert_ptr_nonnull(getcwd(cwd, sizeof cwd));
        snprintf(url, size, "ipc://%s/peer", cwd);
        return;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    close(fd);
    snprintf(url, size, "%.*s127.0.0.1:%d%s", (int)(strstr(t->url, "://") + 3 - t->url), t->url,
             ntohs(sa.sin_port), t == &ws ? "/" : ""); // nanomsg takes no other path
}

// A connection to a peer that listens, or that connects to us.
static mp_pipe *connection(const struct peer *p, const struct transport *t, bool they_listen,
                           const char *what, struct started *s)
{
    char url[400];
    mp_listener *l;
    mp_pipe *pipe = NULL;
    mp_url_opts o = url_opts(t, !they_listen);
    if (!p->program)
        mp_skip("the peer was not built: its library is not installed");
    if (they_listen) {
        o.foreign = p == &nanomsg && t == &ws; // see mp/url.h
        free_url(t, url, sizeof url);
        *s = start_peer(p, t, true, url, what);
        ck_assert(mptest_eventually(mp_connect(&pipe, url, &o) == 0, LONG_MS));
        return pipe;
    }
    url_assert_ok(mp_listen(&l, t->url, &o));
    *s = start_peer(p, t, false, mp_listener_url(l), what);
    mp_assert_ok(mp_accept(l, &pipe, LONG_MS));
    mp_listener_free(l);
    return pipe;
}

// Who has sent may go.
static void arrived(void)
{
    ck_assert_int_eq(close(open("arrived", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
}

static void clean_up(void)
{
    unlink("arrived");
    unlink("both.pem");
    unlink("peer"); // some leave their socket behind
}

// ---- what is tried ---------------------------------------------------------------------

static void echo(const struct peer *p, const struct transport *t, bool they_listen)
{
    static const size_t sizes[] = {1, 0, 8, 100, 4096, 65535, 65536, 70000, 1000001};
    struct started s;
    mp_pipe *pipe = connection(p, t, they_listen, "echo", &s);
    unsigned char *data = malloc(1000001);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *got;
        memset(data, (int)i + 1, sizes[i]);
        mp_assert_ok(mp_pipe_send(pipe, data, sizes[i], LONG_MS));
        ck_assert_int_eq(mp_pipe_recv_new(pipe, &got, LONG_MS), sizes[i]);
        ck_assert_int_eq(memcmp(got, data, sizes[i]), 0);
        free(got);
    }
    free(data);
    for (int i = 0; i < 2000; i++) // many at once
        mp_assert_ok(mp_pipe_send(pipe, &i, sizeof i, LONG_MS));
    for (int i = 0, got; i < 2000; i++) {
        ck_assert_int_eq(mp_pipe_recv(pipe, &got, sizeof got, LONG_MS), sizeof got);
        ck_assert_int_eq(got, i);
    }
    mp_assert_ok(mp_pipe_send(pipe, "end", 3, LONG_MS));
    mp_pipe_free(pipe); // what was sent last arrives nevertheless
    await(s);
    clean_up();
}

static void receive(const struct peer *p, const struct transport *t, bool they_listen)
{
    struct started s;
    mp_pipe *pipe = connection(p, t, they_listen, "send", &s);
    char got[100], want[100];
    for (int i = 0; i < 100; i++) {
        int64_t n = mp_pipe_recv(pipe, got, sizeof got, LONG_MS);
        ck_assert_int_eq(n, snprintf(want, sizeof want, "message %d", i));
        ck_assert_int_eq(memcmp(got, want, (size_t)n), 0);
    }
    arrived();
    mp_assert_err(mp_pipe_recv(pipe, got, sizeof got, LONG_MS), MP_EOF);
    mp_pipe_free(pipe);
    await(s);
    clean_up();
}

#define INTEROP(peer, transport)                                                                   \
    MP_TEST(peer##_over_##transport##_connects)                                                    \
    {                                                                                              \
        echo(&(peer), &(transport), false);                                                        \
        receive(&(peer), &(transport), false);                                                     \
    }                                                                                              \
    MP_TEST(peer##_over_##transport##_listens)                                                     \
    {                                                                                              \
        echo(&(peer), &(transport), true);                                                         \
        receive(&(peer), &(transport), true);                                                      \
    }

INTEROP(libnng, ipc)
INTEROP(libnng, tcp)
INTEROP(libnng, tls)
INTEROP(libnng, ws)
INTEROP(nanomsg, ipc)
INTEROP(nanomsg, tcp)
INTEROP(nanomsg, ws)
INTEROP(python, ipc)
INTEROP(python, tcp)

// ---- nngcat ----------------------------------------------------------------------------

// It sends one message if it has `data`, and writes what it receives as it came.
static struct started start_nngcat(const struct transport *t, const char *socket, const char *how,
                                   const char *url, const char *data, int *out)
{
    int fds[2];
    struct started s;
    bool push = strcmp(socket, "--push0") == 0; // receives nothing, and wants no format for it
    char *argv[14] = {(char[]){"nngcat"}, (char *)(uintptr_t)socket, (char *)(uintptr_t)how,
                      (char *)(uintptr_t)url};
    int n = 4;
    static char raw[] = "--raw", with_data[] = "--data";
    if (!push)
        argv[n++] = raw;
    if (data) {
        argv[n++] = with_data;
        argv[n++] = (char *)(uintptr_t)data;
    }
    static char ca[] = "--cacert", cert[] = "--cert", key[] = "--key", insecure[] = "--insecure";
    if (t == &tls) {
        int side = strcmp(how, "--listen") == 0;
        (void)url_opts(t, side);
        if (side)
            argv[n++] = ca, argv[n++] = pki_ca;
        else // it has no way to say that 127.0.0.1 is localhost
            argv[n++] = insecure;
        argv[n++] = cert, argv[n++] = pki_cert[side];
        argv[n++] = key, argv[n++] = pki_key[side];
    }
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    int r = mp_spawn(&s.pid, &s.pidfd, argv,
                     &(mp_spawn_opts){.fds = (int[]){MP_SPAWN_NULL, fds[1], MP_SPAWN_INHERIT}});
    close(fds[1]);
    *out = fds[0];
    if (r == -ENOENT) {
        close(fds[0]);
        mp_skip("nngcat is not installed (nng-utils)");
    }
    mp_assert_ok(r);
    return s;
}

static void talk_to_nngcat(mp_pipe *p, struct started s, int out)
{
    char got[100];
    ck_assert_int_eq(mp_pipe_recv(p, got, sizeof got, LONG_MS), 11);
    ck_assert_int_eq(memcmp(got, "from nngcat", 11), 0);
    mp_assert_ok(mp_pipe_send(p, "to nngcat", 9, LONG_MS));
    for (size_t n = 0; n < 9;) {
        ssize_t k = read(out, got + n, 9 - n);
        ck_assert_int_gt(k, 0);
        n += (size_t)k;
    }
    ck_assert_int_eq(memcmp(got, "to nngcat", 9), 0);
    kill(s.pid, SIGKILL);
    mp_assert_err(mp_pipe_recv(p, got, sizeof got, LONG_MS), MP_EOF);
    waitpid(s.pid, NULL, 0);
    close(s.pidfd);
    close(out);
    mp_pipe_free(p);
}

static void nngcat(const struct transport *t)
{
    char url[400];
    mp_listener *l;
    mp_pipe *p;
    int out;
    mp_url_opts o = url_opts(t, true);
    url_assert_ok(mp_listen(&l, t->url, &o));
    struct started s =
        start_nngcat(t, "--pair0", "--dial", mp_listener_url(l), "from nngcat", &out);
    mp_assert_ok(mp_accept(l, &p, LONG_MS));
    talk_to_nngcat(p, s, out);
    mp_listener_free(l);

    free_url(t, url, sizeof url);
    s = start_nngcat(t, "--pair0", "--listen", url, "from nngcat", &out);
    o = url_opts(t, false);
    ck_assert(mptest_eventually(mp_connect(&p, url, &o) == 0, LONG_MS));
    talk_to_nngcat(p, s, out);
    clean_up();
}

MP_TEST(nngcat_over_ipc)
{
    nngcat(&ipc);
}

MP_TEST(nngcat_over_tcp)
{
    nngcat(&tcp);
}

MP_TEST(nngcat_over_tls)
{
    nngcat(&tls);
}

MP_TEST(nngcat_over_ws)
{
    nngcat(&ws);
}

// ---- queues ----------------------------------------------------------------------------

static mp_listener *serve(const struct transport *t, mp_queue *q)
{
    mp_listener *l;
    mp_url_opts o = url_opts(t, true);
    url_assert_ok(mp_queue_serve(&l, q, t->url, &o));
    return l;
}

// Their PUSH puts, their PULL gets, in order.
static void pipeline(const struct peer *p, const struct transport *t, const mp_queue_opts *opts)
{
    mp_queue *q;
    char text[32], got[32];
    if (!p->program)
        mp_skip("the peer was not built: its library is not installed");
    mp_assert_ok(mp_queue_new(&q, opts));
    mp_listener *l = serve(t, q);
    struct started s = start_peer(p, t, false, mp_listener_url(l), "push");
    for (int i = 0; i < 100; i++) {
        int n = snprintf(text, sizeof text, "message %d", i);
        ck_assert_int_eq(mp_queue_get(q, got, sizeof got, LONG_MS), n);
        ck_assert_int_eq(memcmp(got, text, (size_t)n), 0);
        if (opts->ack)
            mp_assert_ok(mp_queue_task_done(q));
    }
    arrived();
    await(s);
    s = start_peer(p, t, false, mp_listener_url(l), "pull");
    for (int i = 0; i < 100; i++) {
        int n = snprintf(text, sizeof text, "message %d", i);
        mp_assert_ok(mp_queue_put(q, text, (size_t)n, LONG_MS));
    }
    await(s);
    if (opts->ack)
        mp_assert_ok(mp_queue_join(q, LONG_MS)); // on its way is acknowledged
    mp_listener_free(l);
    mp_queue_free(q);
    clean_up();
}

#define PIPELINE(peer, transport)                                                                  \
    MP_TEST(peer##_over_##transport##_uses_a_queue)                                                \
    {                                                                                              \
        pipeline(&(peer), &(transport), &(mp_queue_opts){.max_items = 5});                         \
        if (&(transport) == &tcp)                                                                  \
            pipeline(&(peer), &(transport), &(mp_queue_opts){.ack = true});                        \
    }

PIPELINE(libnng, ipc)
PIPELINE(libnng, tcp)
PIPELINE(libnng, tls)
PIPELINE(libnng, ws)
PIPELINE(nanomsg, ipc)
PIPELINE(nanomsg, tcp)
PIPELINE(nanomsg, ws)
PIPELINE(python, ipc)
PIPELINE(python, tcp)

static void nngcat_queue(const struct transport *t)
{
    mp_queue *q;
    char got[100];
    int out;
    mp_assert_ok(mp_queue_new(&q, NULL));
    mp_listener *l = serve(t, q);
    struct started s =
        start_nngcat(t, "--push0", "--dial", mp_listener_url(l), "from nngcat", &out);
    ck_assert_int_eq(mp_queue_get(q, got, sizeof got, LONG_MS), 11);
    ck_assert_int_eq(memcmp(got, "from nngcat", 11), 0);
    close(out);
    await(s);
    s = start_nngcat(t, "--pull0", "--dial", mp_listener_url(l), NULL, &out);
    mp_assert_ok(mp_queue_put(q, "to nngcat", 9, LONG_MS));
    for (size_t n = 0; n < 9;) {
        ssize_t k = read(out, got + n, 9 - n);
        ck_assert_int_gt(k, 0);
        n += (size_t)k;
    }
    ck_assert_int_eq(memcmp(got, "to nngcat", 9), 0);
    close(out);
    kill(s.pid, SIGKILL);
    waitpid(s.pid, NULL, 0);
    close(s.pidfd);
    mp_listener_free(l);
    mp_queue_free(q);
}

MP_TEST(nngcat_uses_a_queue_over_ipc)
{
    nngcat_queue(&ipc);
}

MP_TEST(nngcat_uses_a_queue_over_tcp)
{
    nngcat_queue(&tcp);
}

MP_TEST(nngcat_uses_a_queue_over_tls)
{
    nngcat_queue(&tls);
}

MP_TEST(nngcat_uses_a_queue_over_ws)
{
    nngcat_queue(&ws);
}

// What the end of a queue, or of its room, looks like from outside.
MP_TEST(a_shut_down_queue_closes_on_foreign_peers)
{
    mp_queue *q;
    char text[8];
    mp_assert_ok(mp_queue_new(&q, NULL));
    mp_listener *l = serve(&tcp, q);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    sa.sin_port = htons((uint16_t)atoi(strrchr(mp_listener_url(l), ':') + 1));
    for (int pull = 0; pull < 2; pull++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
        ck_assert_int_eq(send(fd, pull ? "\0SP\0\0\x51\0\0" : "\0SP\0\0\x50\0\0", 8, MSG_NOSIGNAL),
                         8);
        ck_assert_int_eq(recv(fd, text, 8, MSG_WAITALL), 8);
        ck_assert_int_eq(text[5], pull ? 0x50 : 0x51);
        mp_assert_ok(mp_queue_shutdown(q, MP_DRAIN));
        if (!pull) // it is told when it tries
            ck_assert_int_eq(send(fd, "\0\0\0\0\0\0\0\1x", 9, MSG_NOSIGNAL), 9);
        ck_assert_int_le(recv(fd, text, 1, 0), 0);
        close(fd);
    }
    mp_listener_free(l);
    mp_queue_free(q);
}

// ---- what a foreign peer gets less -----------------------------------------------------

MP_TEST(a_peer_of_another_protocol_is_turned_away)
{
    mp_listener *l;
    mp_pipe *p;
    char bytes[8];
    mp_url_opts o = url_opts(&tcp, true);
    url_assert_ok(mp_listen(&l, tcp.url, &o));
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    sa.sin_port = htons((uint16_t)atoi(strrchr(mp_listener_url(l), ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    ck_assert_int_eq(send(fd, "\0SP\0\0\x31\0\0", 8, MSG_NOSIGNAL), 8); // REP
    ck_assert_int_eq(recv(fd, bytes, sizeof bytes, 0), 0);
    close(fd);
    mp_assert_err(mp_accept(l, &p, 0), MP_ETIMEDOUT);
    mp_listener_free(l);
}

MP_TEST(a_foreign_peer_has_no_key)
{
    mp_listener *l;
    mp_pipe *p;
    int fd = open("key", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, "0123456789abcdef", 16), 16);
    close(fd);
    mp_url_opts o = url_opts(&tcp, true);
    o.key_file = "key";
    url_assert_ok(mp_listen(&l, tcp.url, &o));
    if (!libnng.program)
        mp_skip("libnng is not installed");
    struct started s = start_peer(&libnng, &tcp, false, mp_listener_url(l), "echo");
    mp_assert_err(mp_accept(l, &p, 500), MP_ETIMEDOUT);
    kill(s.pid, SIGKILL);
    waitpid(s.pid, NULL, 0);
    close(s.pidfd);
    mp_listener_free(l);

    // Nor can we be sure of a foreign listener.
    char url[400];
    free_url(&tcp, url, sizeof url);
    s = start_peer(&libnng, &tcp, true, url, "echo");
    int r = -ECONNREFUSED;
    ck_assert(mptest_eventually((r = mp_connect(&p, url, &o)) != -ECONNREFUSED, LONG_MS));
    mp_assert_err(r, -EACCES);
    ck_assert_ptr_nonnull(strstr(url_error, "not of libmp"));
    kill(s.pid, SIGKILL);
    waitpid(s.pid, NULL, 0);
    close(s.pidfd);
    unlink("key");
}

// NULL: a PAIR0 listener sends the second of two peers away, and may not have seen yet that the
// first, which only looked, is gone.
static mp_pipe *connect_and_echo(const char *url, const mp_url_opts *o)
{
    mp_pipe *p;
    char got[8];
    url_assert_ok(mp_connect(&p, url, o));
    if (mp_pipe_send(p, "still?", 6, LONG_MS) == 0 &&
        mp_pipe_recv(p, got, sizeof got, LONG_MS) == 6)
        return p;
    mp_pipe_free(p);
    return NULL;
}

// A stray look at a foreign ipc listener of NNG 1.5.2 must not stop it: it would listen no more.
MP_TEST(looking_at_a_foreign_listener_does_it_no_harm)
{
    char url[400];
    mp_listener *l;
    mp_pipe *p;
    mp_url_opts o = url_opts(&ipc, true);
    if (!libnng.program)
        mp_skip("libnng is not installed");
    free_url(&ipc, url, sizeof url);
    struct started s = start_peer(&libnng, &ipc, true, url, "echo");
    ck_assert(mptest_eventually(access("peer", F_OK) == 0, LONG_MS));
    for (int i = 0; i < 5; i++)
        mp_assert_err(mp_listen(&l, url, &o), -EADDRINUSE);
    ck_assert(mptest_eventually((p = connect_and_echo(url, &o)) != NULL, LONG_MS));
    mp_assert_ok(mp_pipe_send(p, "end", 3, LONG_MS));
    mp_pipe_free(p);
    await(s);
    clean_up();
}
