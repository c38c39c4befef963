// SPDX-License-Identifier: MIT
//
// Whoever listens in between on a connection with a key, and says again what he heard: a proof
// is good for one connection and one role only (docs/protocol.md, section 3).
#include "urltest.h"
#include "wire/frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define KEY     "a key that nobody tells"
#define OPENING (MP__HELLO + MP__FRAME + MP__OPEN) // what each side says before its proof
#define PROOF   (MP__FRAME + MP__PROOF)

static void write_key(void)
{
    int fd = open("key", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, KEY, sizeof KEY - 1), sizeof KEY - 1);
    close(fd);
}

static mp_url_opts with_key(bool listen)
{
    mp_url_opts o = url_opts(&tcp, listen);
    o.key_file = "key";
    return o;
}

static int connect_to(const char *url)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    sa.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

// A socket of our own that listens, and its URL.
static int listen_between(char *url, size_t size)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(fd, 1) == 0);
    getsockname(fd, (struct sockaddr *)&sa, &len);
    snprintf(url, size, "tcp://127.0.0.1:%d", ntohs(sa.sin_port));
    return fd;
}

static void send_all(int fd, const uint8_t *bytes, size_t n)
{
    ck_assert_int_eq(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

// As many bytes as there are, up to n, until the other side closes.
static size_t recv_all(int fd, uint8_t *bytes, size_t n)
{
    size_t got = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    for (ssize_t r; got < n && poll(&p, 1, LONG_MS) > 0; got += (size_t)r)
        if ((r = recv(fd, bytes + got, n - got, 0)) <= 0)
            break;
    return got;
}

static pid_t connect_in_child(const char *url, int want)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        mp_pipe *p;
        mp_url_opts o = with_key(false);
        int r = mp_connect(&p, url, &o);
        if (r == 0)
            mp_pipe_free(p);
        if (r != want)
            dprintf(2, "connect: %s: %s\n", mp_err_name(r), url_error);
        _exit(r == want ? 0 : 1);
    }
    return pid;
}

static int end_of(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Whether a listener turns that away: REFUSE at the most, and then the end.
static void assert_turned_away(int fd)
{
    uint8_t answer[256];
    size_t n = recv_all(fd, answer, sizeof answer);
    if (n) {
        ck_assert_uint_eq(n, MP__FRAME + 1);
        ck_assert_int_eq(mp__frame_kind(mp__get_be64(answer)), MP__FRAME_REFUSE);
    }
    close(fd);
}

// Hands on what one says; what goes into `keep` is kept. Returns how much that was.
static size_t hand_on(int from, int to, uint8_t *keep, size_t room)
{
    uint8_t bytes[512];
    ssize_t n = recv(from, bytes, sizeof bytes, 0);
    ck_assert_int_gt(n, 0);
    send_all(to, bytes, (size_t)n);
    size_t kept = (size_t)n < room ? (size_t)n : room;
    memcpy(keep, bytes, kept);
    return kept;
}

// Hands bytes to and fro until both have proved that they have the key.
static void stand_between(int between, mp_listener *l, uint8_t said[OPENING + PROOF])
{
    enum { ALL = OPENING + PROOF };
    uint8_t answer[ALL];
    int client = accept4(between, NULL, NULL, SOCK_CLOEXEC);
    int server = connect_to(mp_listener_url(l));
    struct pollfd p[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    for (size_t c = 0, s = 0; c < ALL || s < ALL;) {
        ck_assert_int_gt(poll(p, 2, LONG_MS), 0);
        if (p[0].revents)
            c += hand_on(client, server, said + c, ALL - c);
        if (p[1].revents)
            s += hand_on(server, client, answer + s, ALL - s);
    }
    ck_assert_int_eq(mp__frame_kind(mp__get_be64(said + OPENING)), MP__FRAME_PROOF);
    ck_assert_int_eq(mp__frame_kind(mp__get_be64(answer + OPENING)), MP__FRAME_PROOF);
    close(client);
    close(server);
}

MP_TEST(a_proof_is_not_good_for_another_connection)
{
    char url[64];
    uint8_t said[OPENING + PROOF], answer[OPENING];
    mp_listener *l;
    mp_pipe *p;
    write_key();
    mp_url_opts o = with_key(true);
    url_assert_ok(mp_listen(&l, tcp.url, &o));
    int between = listen_between(url, sizeof url);
    pid_t client = connect_in_child(url, 0);
    stand_between(between, l, said);
    ck_assert_int_eq(end_of(client), 0);
    mp_assert_ok(mp_accept(l, &p, LONG_MS)); // who was overheard came in
    mp_pipe_free(p);

    int fd = connect_to(mp_listener_url(l));
    send_all(fd, said, OPENING);
    ck_assert_uint_eq(recv_all(fd, answer, OPENING), OPENING);
    send_all(fd, said + OPENING, PROOF);
    assert_turned_away(fd);
    mp_assert_err(mp_accept(l, &p, 0), MP_ETIMEDOUT);
    mp_listener_free(l);
    unlink("key");
    close(between);
}

// The proof is wanted, or not, by who connects: he does not get in by not offering one.
MP_TEST(nobody_comes_in_without_being_asked)
{
    uint8_t said[OPENING];
    struct mp__open open = {.version = 1, .protocol = 0x10, .max_size = 1 << 20};
    mp_listener *l;
    mp_pipe *p;
    write_key();
    mp_url_opts o = with_key(true);
    url_assert_ok(mp_listen(&l, tcp.url, &o));
    mp__hello_write(said, MP__PROTOCOL_MP);
    mp__frame_write(said + MP__HELLO, MP__FRAME_OPEN, MP__OPEN);
    mp__open_write(said + MP__HELLO + MP__FRAME, &open);
    int fd = connect_to(mp_listener_url(l));
    uint8_t hello[MP__HELLO];
    send_all(fd, said, sizeof said);
    ck_assert_uint_eq(recv_all(fd, hello, sizeof hello), sizeof hello);
    assert_turned_away(fd);
    mp_assert_err(mp_accept(l, &p, 0), MP_ETIMEDOUT);
    mp_listener_free(l);
    unlink("key");
}

// Who listens without the key gives everything back: the hello, the terms, the proof.
MP_TEST(a_mirror_has_no_key)
{
    char url[64];
    uint8_t byte[1];
    write_key();
    int between = listen_between(url, sizeof url);
    pid_t client = connect_in_child(url, MP_EPROTO);
    int fd = accept4(between, NULL, NULL, SOCK_CLOEXEC);
    size_t n = 0;
    while (n < OPENING + PROOF && recv_all(fd, byte, 1) == 1 &&
           send(fd, byte, 1, MSG_NOSIGNAL) == 1)
        n++;
    ck_assert_uint_ge(n, OPENING);
    close(fd);
    ck_assert_int_eq(end_of(client), 0);
    close(between);
    unlink("key");
}
