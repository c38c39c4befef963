// SPDX-License-Identifier: MIT
//
// URLs as text, and what is wrong with them; then listeners, connections, keys and
// certificates as a user meets them: each mistake is an error that names the URL, what is
// wrong and what helps.
#include "base/clock.h"
#include "channel/url.h"
#include "urltest.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/queue.h>
#include <mp/wait.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

// ---- text ------------------------------------------------------------------------------

static void assert_wrong(const char *url, bool listen, const char *says)
{
    struct mp__url u;
    char text[MP__TEXT_MAX] = "";
    ck_assert_msg(mp__url_read(&u, url, listen, text) == MP_EINVAL, "%s is taken", url);
    ck_assert_msg(strstr(text, says) != NULL, "%s: \"%s\" does not say \"%s\"", url, text, says);
}

static void assert_read(const char *url, bool listen, const char *as, bool is_local)
{
    struct mp__url u;
    char text[MP__TEXT_MAX] = "";
    ck_assert_msg(mp__url_read(&u, url, listen, text) == 0, "%s: %s", url, text);
    ck_assert_str_eq(u.text, as);
    ck_assert_int_eq(u.local, is_local);
}

MP_TEST(urls_are_read)
{
    assert_read("tcp://127.0.0.1:5555", false, "tcp://127.0.0.1:5555", true);
    assert_read("tcp://127.1.2.3:0", true, "tcp://127.1.2.3:0", true);
    assert_read("tcp://*:0", true, "tcp://0.0.0.0:0", false);
    assert_read("tcp://:80", true, "tcp://0.0.0.0:80", false);
    assert_read("tcp://[::1]:80", false, "tcp://[::1]:80", true);
    assert_read("tcp://[2001:db8::1]:80", false, "tcp://[2001:db8::1]:80", false);
    assert_read("tls+tcp://a-b.example:443", false, "tls+tcp://a-b.example:443", false);
    assert_read("ws://localhost:80", false, "ws://localhost:80/", true);
    assert_read("ws://localhost:80/a/b", false, "ws://localhost:80/a/b", true);
    assert_read("ipc:///tmp/x", false, "ipc:///tmp/x", true);
    assert_read("ipc:///tmp/with a blank", false, "ipc:///tmp/with a blank", true);
}

MP_TEST(relative_paths_become_absolute)
{
    char want[400], cwd[300];
    ck_assert_ptr_nonnull(getcwd(cwd, sizeof cwd));
    snprintf(want, sizeof want, "ipc://%s/x", cwd);
    assert_read("ipc://x", true, want, true);
}

MP_TEST(what_makes_no_sense_is_told)
{
    char longer[200] = "ipc:///tmp/", host[500] = "tcp://";
    memset(longer + strlen(longer), 'x', 120);
    memset(host + strlen(host), 'h', 300);
    strcat(host, ":80");
    assert_wrong("", false, "scheme");
    assert_wrong("tcp", false, "scheme");
    assert_wrong("udp://127.0.0.1:5", false, "scheme");
    assert_wrong("TCP://127.0.0.1:5", false, "scheme");
    assert_wrong("wss://localhost:5/", false, "scheme");
    assert_wrong("tcp://", false, "port");
    assert_wrong("tcp://localhost", false, "port");
    assert_wrong("tcp://localhost:", false, "port");
    assert_wrong("tcp://localhost:x", false, "port");
    assert_wrong("tcp://localhost:-1", false, "port");
    assert_wrong("tcp://localhost:65536", false, "65535");
    assert_wrong("tcp://localhost:99999999999999999999", false, "65535");
    assert_wrong("tcp://localhost:0", false, "1 to 65535");
    assert_wrong("tcp://*:80", false, "host");
    assert_wrong("tcp://:80", false, "host");
    assert_wrong("tcp://a/b:80", false, "host");
    assert_wrong("tcp://[::1:80", false, "port");
    assert_wrong("tcp://[nonsense]:80", false, "host");
    assert_wrong("tcp://[]:80", false, "host");
    assert_wrong("tcp://::1:80", false, "host");
    assert_wrong("tcp://localhost:80/path", false, "follows");
    assert_wrong("tcp://local host:80", false, "blank");
    assert_wrong("tcp://localhost:80\n", false, "control");
    assert_wrong("ipc:///tmp/\x1b[2J", false, "control");
    assert_wrong("ipc://", false, "no path");
    assert_wrong("ipc:///tmp/", false, "slash");
    assert_wrong(longer, false, "107");
    assert_wrong(host, false, "port");
}

// ---- listeners -------------------------------------------------------------------------

MP_TEST_EACH_URL(a_listener_tells_its_real_address)
{
    mp_listener *l;
    mp_url_opts o = url_opts(t, true);
    url_assert_ok(mp_listen(&l, t->url, &o));
    ck_assert_str_ne(mp_listener_url(l), t->url);
    ck_assert_ptr_null(strstr(mp_listener_url(l), ":0/"));
    mp_listener_free(l);
}

// In many containers there is the protocol, but no address.
static bool has_ipv6(void)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof in) == 0;
    close(fd);
    return has;
}

static void over_ipv6(const struct transport *t, const char *url)
{
    mp_listener *l;
    mp_pipe *a, *b;
    mp_url_opts o = url_opts(t, true), c = url_opts(t, false);
    if (!has_ipv6())
        mp_skip("this machine has no IPv6");
    url_assert_ok(mp_listen(&l, url, &o));
    size_t host = (size_t)(strchr(url, ']') + 2 - url);
    ck_assert_int_eq(strncmp(mp_listener_url(l), url, host), 0);
    ck_assert_int_ne(mp_listener_url(l)[host], '0'); // the port that was found
    url_assert_ok(mp_connect(&a, mp_listener_url(l), &c));
    mp_assert_ok(mp_accept(l, &b, LONG_MS));
    mp_pipe_free(a);
    mp_pipe_free(b);
    mp_listener_free(l);
}

MP_TEST(ipv6_works_alike_tcp)
{
    over_ipv6(&tcp, "tcp://[::1]:0");
}

MP_TEST(ipv6_works_alike_tls)
{
    over_ipv6(&tls, "tls+tcp://[::1]:0");
}

// Whose only IPv6 address is ::1, as in many containers, has none for NNG when it compares the host
// that a WebSocket asks for with its own.
static bool has_more_than_loopback(void)
{
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_flags = AI_ADDRCONFIG | AI_NUMERICHOST,
                                   .ai_family = AF_INET6};
    bool has = getaddrinfo("::1", NULL, &hints, &found) == 0;
    if (has)
        freeaddrinfo(found);
    return has;
}

MP_TEST(ipv6_works_alike_ws)
{
    if (!has_more_than_loopback())
        mp_skip("this machine has no IPv6 but ::1, where NNG takes no WebSocket");
    over_ipv6(&ws, "ws://[::1]:0/pipe");
}

static int use_it(void *arg)
{
    mp_listener *l = arg;
    mp_pipe *p;
    bool told = mp_accept(l, &p, 0) == MP_EOWNER && mp_listener_fd(l) == MP_EOWNER;
    mp_listener_close(l);
    mp_listener_free(l);
    return told ? 0 : 1;
}

MP_TEST_EACH_URL(accepting_waits_has_an_end_and_can_be_waited_for)
{
    mp_listener *l;
    mp_pipe *a[3], *b[3];
    char byte;
    mp_url_opts o = url_opts(t, true), c = url_opts(t, false);
    url_assert_ok(mp_listen(&l, t->url, &o));
    mp_assert_err(mp_accept(l, &b[0], 0), MP_ETIMEDOUT);
    mp_assert_err(mp_accept(l, &b[0], 20), MP_ETIMEDOUT);
    mp_wait_item item = MP_WAIT_LISTENER(l);
    ck_assert_int_eq(mp_wait(&item, 1, 0), 0);
    for (int i = 0; i < 3; i++)
        url_assert_ok(mp_connect(&a[i], mp_listener_url(l), &c));
    ck_assert_int_eq(mp_wait(&item, 1, LONG_MS), 1);
    ck_assert_int_eq(mptest_in_child(use_it, l), 0); // a fork has it no longer
    for (int i = 0; i < 3; i++)
        mp_assert_ok(mp_accept(l, &b[i], LONG_MS));
    for (int i = 0; i < 3; i++) {
        mp_assert_ok(mp_pipe_send(b[i], "x", 1, LONG_MS));
        mp_assert_ok(mp_pipe_recv(a[i], &byte, 1, LONG_MS));
        mp_pipe_free(a[i]);
        mp_pipe_free(b[i]);
    }
    mp_listener_close(l);
    mp_listener_close(l);
    mp_assert_err(mp_accept(l, &b[0], LONG_MS), MP_ECLOSED);
    ck_assert_int_eq(mp_listener_fd(l), MP_ECLOSED);
    mp_listener_free(l);
}

MP_TEST_EACH_URL(who_is_not_accepted_is_let_go_when_the_listener_closes)
{
    mp_listener *l;
    mp_pipe *a;
    char byte;
    mp_url_opts o = url_opts(t, true), c = url_opts(t, false);
    url_assert_ok(mp_listen(&l, t->url, &o));
    url_assert_ok(mp_connect(&a, mp_listener_url(l), &c));
    mp_listener_free(l);
    int64_t r = mp_pipe_recv(a, &byte, 1, LONG_MS); // the end, if it had been let in
    ck_assert_msg(r == MP_EOF || r == MP_EBROKEN, "%s", mp_err_name(r));
    mp_pipe_free(a);
}

MP_TEST_EACH_URL(an_address_can_be_used_again)
{
    mp_listener *l;
    char url[400];
    mp_url_opts o = url_opts(t, true);
    url_assert_ok(mp_listen(&l, t->url, &o));
    snprintf(url, sizeof url, "%s", mp_listener_url(l));
    mp_listener_free(l);
    int r = -EADDRINUSE;
    ck_assert(mptest_eventually((r = mp_listen(&l, url, &o)) != -EADDRINUSE, LONG_MS));
    url_assert_ok(r);
    ck_assert_str_eq(mp_listener_url(l), url);
    mp_listener_free(l);
}

MP_TEST(handles_that_are_none)
{
    mp_pipe *p = NULL;
    mp_listener *l = NULL;
    mp_assert_err(mp_listen(NULL, "tcp://127.0.0.1:0", NULL), MP_EINVAL);
    mp_assert_err(mp_listen(&l, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_connect(NULL, "tcp://127.0.0.1:1", NULL), MP_EINVAL);
    mp_assert_err(mp_connect(&p, NULL, NULL), MP_EINVAL);
    mp_assert_err(mp_accept(NULL, &p, 0), MP_EINVAL);
    ck_assert_int_eq(mp_listener_fd(NULL), MP_EINVAL);
    ck_assert_ptr_null(mp_listener_url(NULL));
    mp_listener_close(NULL);
    mp_listener_free(NULL);
}

// ---- mistakes --------------------------------------------------------------------------

// The error is err, and its sentence has the URL and a word that helps.
static void assert_told(int r, int err, const char *url, const char *says)
{
    ck_assert_msg(r == err, "%s: %s, not %s: %s", url, mp_err_name(r), mp_err_name(err), url_error);
    ck_assert_msg(strstr(url_error, url) != NULL, "\"%s\" does not name %s", url_error, url);
    ck_assert_msg(strstr(url_error, says) != NULL, "\"%s\" does not say \"%s\"", url_error, says);
}

static void assert_no_listen(const char *url, const mp_url_opts *o, int err, const char *says)
{
    mp_listener *l;
    assert_told(mp_listen(&l, url, o), err, url, says);
    ck_assert_ptr_null(l);
}

static void assert_no_connect(const char *url, const mp_url_opts *o, int err, const char *says)
{
    mp_pipe *p;
    assert_told(mp_connect(&p, url, o), err, url, says);
    ck_assert_ptr_null(p);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(fchmod(fd, mode), 0);
    close(fd);
}

MP_TEST(mistakes_are_told_by_whoever_notices)
{
    mp_url_opts o = url_opts(&tcp, true), with;
    mp_pipe *p;
    mp_listener *l;
    assert_told(mp_listen(&l, NULL, &o), MP_EINVAL, "NULL", "no URL");
    assert_told(mp_connect(&p, NULL, &o), MP_EINVAL, "NULL", "no URL");
    assert_told(mp_queue_serve(&l, NULL, "tcp://127.0.0.1:0", &o), MP_EINVAL, "tcp://127.0.0.1:0",
                "not a queue");
    assert_no_listen("gopher://x", &o, MP_EINVAL, "scheme");
    assert_no_connect("tcp://localhost", &o, MP_EINVAL, "port");
    assert_no_connect("tcp://127.0.0.1:1", &o, -ECONNREFUSED, "nobody listens");
    assert_no_connect("ipc://nothing-here", &o, -ECONNREFUSED, "nobody listens");
    assert_no_listen("ipc:///nonexistent-dir/x", &o, -ENOENT, "No such file");
    assert_no_listen("tcp://192.0.2.1:0", &o, MP_EUNSAFE, "authentication");
    assert_no_listen("tcp://*:0", &o, MP_EUNSAFE, "opts.insecure");
    assert_no_listen("ws://0.0.0.0:0", &o, MP_EUNSAFE, "opts.key_file");
    with = o, with.insecure = true;
    assert_no_listen("tcp://192.0.2.1:0", &with, -EADDRNOTAVAIL, "no address of this machine");
    with = o, with.pipe.oneway = true;
    assert_no_listen("tcp://127.0.0.1:0", &with, MP_EINVAL, "both ways");
    with = o, with.pipe.ring_size = SIZE_MAX;
    assert_no_listen("tcp://127.0.0.1:0", &with, MP_EINVAL, "sizes");
    with = o, with.connect_ms = -2;
    assert_no_connect("tcp://127.0.0.1:1", &with, MP_EINVAL, "negative");
    with = o, with.tls_ca = "x";
    assert_no_listen("tcp://127.0.0.1:0", &with, MP_EINVAL, "tls+tcp://");
}

MP_TEST(an_open_door_can_be_wanted)
{
    mp_listener *l;
    mp_url_opts o = url_opts(&tcp, true);
    o.insecure = true;
    url_assert_ok(mp_listen(&l, "tcp://*:0", &o));
    mp_listener_free(l);
}

MP_TEST_EACH_URL(an_address_in_use_is_told)
{
    mp_listener *l;
    mp_url_opts o = url_opts(t, true);
    url_assert_ok(mp_listen(&l, t->url, &o));
    assert_no_listen(mp_listener_url(l), &o, -EADDRINUSE, "in use");
    mp_pipe *a, *b; // and the first goes on
    mp_url_opts c = url_opts(t, false);
    url_assert_ok(mp_connect(&a, mp_listener_url(l), &c));
    mp_assert_ok(mp_accept(l, &b, LONG_MS));
    mp_pipe_free(a);
    mp_pipe_free(b);
    mp_listener_free(l);
}

// ---- socket files ----------------------------------------------------------------------

static void dead_socket(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    close(fd);
}

MP_TEST(only_our_own_dead_socket_is_replaced)
{
    mp_listener *l;
    char text[10] = "";
    mp_url_opts o = url_opts(&ipc, true);
    write_file("file", "precious", 0600);
    assert_no_listen("ipc://file", &o, -EEXIST, "not removed");
    int fd = open("file", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(read(fd, text, sizeof text), 8);
    close(fd);
    ck_assert_int_eq(symlink("file", "link"), 0);
    assert_no_listen("ipc://link", &o, -EEXIST, "not removed");
    ck_assert_int_eq(mkdir("dir", 0700), 0);
    assert_no_listen("ipc://dir", &o, -EEXIST, "not removed");
    dead_socket("dead");
    url_assert_ok(mp_listen(&l, "ipc://dead", &o));
    mp_listener_free(l);
    ck_assert(mptest_eventually(access("dead", F_OK) < 0, LONG_MS)); // gone with its listener
    ck_assert_int_eq(unlink("file") + unlink("link") + rmdir("dir"), 0);
}

MP_TEST(another_users_dead_socket_stays)
{
    mp_url_opts o = url_opts(&ipc, true);
    dead_socket("theirs");
    if (chown("theirs", 12345, 12345) < 0)
        mp_skip("needs the privilege to make a file of another user");
    assert_no_listen("ipc://theirs", &o, -EEXIST, "another user");
    ck_assert_int_eq(unlink("theirs"), 0);
}

MP_TEST(a_file_put_in_the_sockets_place_stays_when_the_listener_goes)
{
    mp_listener *l;
    mp_url_opts o = url_opts(&ipc, true);
    url_assert_ok(mp_listen(&l, "ipc://s", &o));
    ck_assert_int_eq(unlink("s"), 0);
    write_file("s", "other", 0600);
    mp_listener_free(l);
    url_assert_ok(mp_listen(&l, "ipc://t", &o)); // the one before is through
    mp_listener_free(l);
    ck_assert(mptest_eventually(access("t", F_OK) < 0, LONG_MS));
    ck_assert_int_eq(access("s", F_OK), 0);
    ck_assert_int_eq(unlink("s"), 0);
}

MP_TEST(nobody_else_may_open_the_socket)
{
    mp_listener *l;
    struct stat st;
    mp_url_opts o = url_opts(&ipc, true);
    url_assert_ok(mp_listen(&l, "ipc://s", &o));
    ck_assert_int_eq(stat("s", &st), 0);
    ck_assert_uint_eq(st.st_mode & 077, 0);
    mp_listener_free(l);
    ck_assert(mptest_eventually(access("s", F_OK) < 0, LONG_MS));
}

// ---- keys ------------------------------------------------------------------------------

#define KEY   "0123456789abcdef"
#define OTHER "fedcba9876543210"

static void assert_talk(mp_listener *l, mp_pipe *a)
{
    mp_pipe *b;
    char byte;
    mp_assert_ok(mp_accept(l, &b, LONG_MS));
    mp_assert_ok(mp_pipe_send(a, "x", 1, LONG_MS));
    mp_assert_ok(mp_pipe_recv(b, &byte, 1, LONG_MS));
    mp_assert_ok(mp_pipe_send(b, "y", 1, LONG_MS));
    mp_assert_ok(mp_pipe_recv(a, &byte, 1, LONG_MS));
    mp_pipe_free(a);
    mp_pipe_free(b);
}

MP_TEST_EACH_URL(who_has_the_key_comes_in)
{
    mp_listener *l;
    mp_pipe *a, *b;
    char url[400];
    write_file("key", KEY "\n", 0600); // the newline does not count
    write_file("same", KEY, 0400);
    write_file("other", OTHER, 0600);
    mp_url_opts o = url_opts(t, true), c = url_opts(t, false);
    o.key_file = "key";
    url_assert_ok(mp_listen(&l, t->url, &o));
    snprintf(url, sizeof url, "%s", mp_listener_url(l));
    c.key_file = "same";
    url_assert_ok(mp_connect(&a, url, &c));
    assert_talk(l, a);

    // A wrong key and no key at all get the same answer, after a while.
    char first[sizeof url_error];
    int64_t asked = mp__now();
    c.key_file = "other";
    assert_no_connect(url, &c, -EACCES, "key");
    ck_assert_int_gt(mp__now() - asked, 500 * 1000000);
    snprintf(first, sizeof first, "%s", url_error);
    c.key_file = NULL;
    assert_no_connect(url, &c, -EACCES, "key");
    ck_assert_str_eq(url_error, first);
    mp_assert_err(mp_accept(l, &b, 0), MP_ETIMEDOUT); // nobody of them came in
    mp_listener_free(l);

    // A listener that has no key cannot pass for one that has.
    o.key_file = NULL;
    url_assert_ok(mp_listen(&l, t->url, &o));
    snprintf(url, sizeof url, "%s", mp_listener_url(l));
    c.key_file = "key";
    assert_no_connect(url, &c, -EACCES, "key");
    mp_listener_free(l);
    ck_assert_int_eq(unlink("key") + unlink("same") + unlink("other"), 0);
    ck_assert(mptest_eventually(strncmp(url, "ipc", 3) != 0 || access(url + 6, F_OK) < 0, LONG_MS));
}

MP_TEST(a_key_can_come_through_a_descriptor)
{
    mp_listener *l;
    mp_pipe *a;
    int fds[2][2];
    mp_url_opts o = url_opts(&tcp, true);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pipe2(fds[i], O_CLOEXEC), 0);
        ck_assert_int_eq(write(fds[i][1], KEY, 16), 16);
        close(fds[i][1]);
    }
    o.key_fd = fds[0][0];
    url_assert_ok(mp_listen(&l, "tcp://127.0.0.1:0", &o));
    o.key_fd = fds[1][0];
    url_assert_ok(mp_connect(&a, mp_listener_url(l), &o));
    assert_talk(l, a);
    close(fds[0][0]);
    close(fds[1][0]);
    mp_listener_free(l);
}

MP_TEST(bad_keys_are_told)
{
    const char *url = "tcp://127.0.0.1:0";
    mp_url_opts o = url_opts(&tcp, true);
    write_file("open", KEY, 0644);
    write_file("short", "0123456789", 0600);
    write_file("group", KEY, 0640);
    o.key_file = "open";
    assert_no_listen(url, &o, MP_EUNSAFE, "chmod 600");
    o.key_file = "group";
    assert_no_listen(url, &o, MP_EUNSAFE, "0640");
    o.key_file = "short";
    assert_no_listen(url, &o, MP_EINVAL, "16 to 4096");
    o.key_file = "missing";
    assert_no_listen(url, &o, -ENOENT, "missing: No such file");
    o.key_file = "/dev/null";
    assert_no_listen(url, &o, MP_EINVAL, "not a file");
    o.key_file = ".";
    assert_no_listen(url, &o, MP_EINVAL, "not a file");
    o.key_file = NULL;
    o.key_fd = open("short", O_RDONLY | O_CLOEXEC);
    assert_no_listen(url, &o, MP_EINVAL, "16 to 4096");
    o.key_file = "short";
    assert_no_listen(url, &o, MP_EINVAL, "both");
    close(o.key_fd);
    o.key_file = NULL;
    o.key_fd = 12345;
    assert_no_listen(url, &o, -EBADF, "key_fd");
    ck_assert_int_eq(unlink("open") + unlink("short") + unlink("group"), 0);
}

// ---- TLS -------------------------------------------------------------------------------

static mp_listener *tls_listener(mp_url_opts *o, char *url, size_t size)
{
    mp_listener *l;
    *o = url_opts(&tls, true);
    url_assert_ok(mp_listen(&l, tls.url, o));
    snprintf(url, size, "%s", mp_listener_url(l));
    return l;
}

MP_TEST(bad_certificates_are_told)
{
    mp_listener *l;
    mp_pipe *p;
    char url[400], path[300], key[300];
    mp_url_opts o, c;
    l = tls_listener(&o, url, sizeof url);
    c = url_opts(&tls, false);
    c.tls_name = "somebody.else";
    assert_no_connect(url, &c, -EACCES, "opts.tls_name");
    c = url_opts(&tls, false);
    c.tls_ca = pki(path, sizeof path, "other_ca.pem");
    assert_no_connect(url, &c, -EACCES, "opts.tls_ca");
    // The listener turns these away.
    c = url_opts(&tls, false);
    c.tls_cert = c.tls_key = NULL;
    ck_assert_int_lt(mp_connect(&p, url, &c), 0);
    c = url_opts(&tls, false);
    c.tls_cert = pki(path, sizeof path, "other.pem");
    c.tls_key = pki(key, sizeof key, "other.key");
    ck_assert_int_lt(mp_connect(&p, url, &c), 0);
    ck_assert_ptr_nonnull(strstr(url_error, url));
    // No TLS, towards one that wants it, and the other way round.
    char plain[400];
    snprintf(plain, sizeof plain, "tcp://127.0.0.1%s", strrchr(url, ':'));
    mp_url_opts none = url_opts(&tcp, false);
    none.connect_ms = 2000;
    ck_assert_int_lt(mp_connect(&p, plain, &none), 0);
    ck_assert_ptr_nonnull(strstr(url_error, plain));
    mp_assert_err(mp_accept(l, &p, 0), MP_ETIMEDOUT);
    // And it goes on.
    c = url_opts(&tls, false);
    url_assert_ok(mp_connect(&p, url, &c));
    assert_talk(l, p);
    mp_listener_free(l);
}

MP_TEST(an_expired_certificate_is_refused)
{
    mp_listener *l;
    char path[300], key[300];
    mp_url_opts o = url_opts(&tls, true), c = url_opts(&tls, false);
    o.tls_cert = pki(path, sizeof path, "expired.pem");
    o.tls_key = pki(key, sizeof key, "expired.key");
    url_assert_ok(mp_listen(&l, tls.url, &o));
    assert_no_connect(mp_listener_url(l), &c, -EACCES, "certificate");
    mp_listener_free(l);
}

MP_TEST(clients_without_certificate_can_be_let_in)
{
    mp_listener *l;
    mp_pipe *a;
    mp_url_opts o = url_opts(&tls, true), c = url_opts(&tls, false);
    o.tls_any_client = true;
    o.tls_ca = NULL;
    url_assert_ok(mp_listen(&l, tls.url, &o));
    c.tls_cert = c.tls_key = NULL;
    url_assert_ok(mp_connect(&a, mp_listener_url(l), &c));
    assert_talk(l, a);
    mp_listener_free(l);
}

MP_TEST(bad_tls_options_are_told)
{
    mp_url_opts o = url_opts(&tls, true), with;
    with = o, with.tls_ca = NULL;
    assert_no_listen(tls.url, &with, MP_EINVAL, "opts.tls_ca is missing");
    with = o, with.tls_cert = NULL;
    assert_no_listen(tls.url, &with, MP_EINVAL, "no opts.tls_cert");
    with.tls_key = NULL;
    assert_no_listen(tls.url, &with, MP_EINVAL, "opts.tls_cert is missing");
    with = o, with.tls_cert = "missing.pem";
    assert_no_listen(tls.url, &with, -ENOENT, "missing.pem");
    write_file("not.pem", "hello\n", 0600);
    with = o, with.tls_ca = "not.pem";
    assert_no_listen(tls.url, &with, MP_EINVAL, "opts.tls_ca is not");
    with = o, with.tls_cert = "not.pem";
    assert_no_listen(tls.url, &with, MP_EINVAL, "not a certificate and its key");
    ck_assert_int_eq(chmod("not.pem", 0644), 0);
    with = o, with.tls_key = "not.pem";
    assert_no_listen(tls.url, &with, MP_EUNSAFE, "chmod 600");
    with = o, with.tls_any_client = true;
    assert_no_listen("tls+tcp://*:0", &with, MP_EUNSAFE, "authentication");
    ck_assert_int_eq(unlink("not.pem"), 0);
}

// ---- mpproxy itself --------------------------------------------------------------------

static void put_program(const char *name, const char *text)
{
    char path[400], cwd[300];
    write_file(name, text, 0700);
    ck_assert_ptr_nonnull(getcwd(cwd, sizeof cwd));
    snprintf(path, sizeof path, "%s/%s", cwd, name);
    ck_assert_int_eq(setenv("MP_PROXY", path, 1), 0);
}

MP_TEST(a_missing_mpproxy_is_told)
{
    mp_url_opts o = url_opts(&tcp, true);
    ck_assert_int_eq(setenv("MP_PROXY", "/nonexistent/mpproxy", 1), 0);
    assert_no_listen(tcp.url, &o, -ENOENT, "/nonexistent/mpproxy");
    put_program("ends", "#!/bin/sh\nexit 3\n");
    assert_no_listen(tcp.url, &o, MP_EBROKEN, "ended when it was started");
    put_program("no_program", "hello\n");
    assert_no_listen(tcp.url, &o, -ENOEXEC, "cannot be started");
    ck_assert_int_eq(unlink("ends") + unlink("no_program"), 0);
}

MP_TEST(an_mpproxy_of_another_version_is_told)
{
    mp_url_opts o = url_opts(&tcp, true);
    if (access("/usr/bin/python3", X_OK) != 0)
        mp_skip("python3 is not installed");
    put_program("other", "#!/usr/bin/python3\n"
                         "import os, struct\n"
                         "os.write(0, struct.pack('I28s', 0x31505850, b'9.8.7'))\n");
    assert_no_listen(tcp.url, &o, MP_EVERSION, "9.8.7");
    ck_assert_int_eq(unlink("other"), 0);
}
