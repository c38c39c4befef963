// SPDX-License-Identifier: MIT
//
// Two network namespaces, joined by a veth pair, stand for two machines: the listener is in
// one, who connects in the other, and the link between them goes down and up.
#include "urltest.h"

#include "managertest.h"

#include <errno.h>
#include <fcntl.h>
#include <mp/queue.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/wait.h>

#define HERE  "10.99.7.1"
#define THERE "10.99.7.2"

// More than fits into all buffers in between.
enum { MESSAGES = 40000, CUT_AT = 5000, SIZE = 1000 };

static void ip(const char *format, ...) MP_PRINTF(1, 2);
static void ip(const char *format, ...)
{
    char command[200] = "ip ";
    va_list a;
    va_start(a, format);
    vsnprintf(command + 3, sizeof command - 3, format, a);
    va_end(a);
    ck_assert_msg(system(command) == 0, "%s", command); // NOLINT(cert-env33-c)
}

static void write_key(void)
{
    int fd = open("key", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, "0123456789abcdef", 16), 16);
    close(fd);
}

static mp_url_opts opts(int alive_ms)
{
    return (mp_url_opts){.error = url_error,
                         .error_size = sizeof url_error,
                         .key_file = "key",
                         .alive_ms = alive_ms};
}

// What is tried: what the other machine does with the URL that it is told, and what this one does,
// which listens there.
struct scene {
    int (*there)(const char *url);
    void (*here)(int tell);
};

static void tell_url(int go, const char *url)
{
    ck_assert_int_gt(write(go, url, strlen(url) + 1), 0);
}

static void tell(int go, const mp_listener *l)
{
    tell_url(go, mp_listener_url(l));
}

static mp_pipe *meet(int go, int alive_ms)
{
    mp_listener *l;
    mp_pipe *p;
    mp_url_opts o = opts(alive_ms);
    url_assert_ok(mp_listen(&l, "tcp://" HERE ":0", &o));
    tell(go, l);
    mp_assert_ok(mp_accept(l, &p, 60000));
    mp_listener_free(l);
    return p;
}

static mp_pipe *reach(const char *url, int alive_ms)
{
    mp_pipe *p = NULL;
    mp_url_opts o = opts(alive_ms);
    if (!mptest_eventually(mp_connect(&p, url, &o) == 0, 60000))
        dprintf(2, "%s\n", url_error);
    mptest_require(p);
    return p;
}

// ---- a pipe, over a link that is down for a while --------------------------------------

static int send_numbers(const char *url)
{
    static int data[SIZE / sizeof(int)];
    char byte;
    mp_pipe *p = reach(url, 0);
    for (int i = 0; i < MESSAGES; i++) {
        data[0] = i;
        mptest_require(mp_pipe_send(p, data, SIZE, 60000) == 0);
    }
    mptest_require(mp_pipe_recv(p, &byte, 1, 60000) == 1);
    mptest_require(mp_pipe_recv(p, &byte, 1, 60000) == MP_EOF);
    mp_pipe_free(p);
    return 0;
}

static void receive_with_a_cut(int go)
{
    int got[SIZE / sizeof(int)];
    mp_pipe *p = meet(go, 0);
    for (int i = 0; i < MESSAGES; i++) {
        ck_assert_int_eq(mp_pipe_recv(p, got, SIZE, 60000), SIZE);
        ck_assert_int_eq(got[0], i);
        if (i == CUT_AT) {
            ip("link set here down");
            // What had come can still be read; then nothing comes, and nothing is wrong.
            while (mp_pipe_poll(p, 300)) {
                ck_assert_int_eq(mp_pipe_recv(p, got, SIZE, 0), SIZE);
                ck_assert_int_eq(got[0], ++i);
            }
            ck_assert_int_lt(i + 1, MESSAGES);
            ip("link set here up");
        }
    }
    mp_assert_ok(mp_pipe_send(p, "", 1, LONG_MS));
    mp_pipe_free(p);
}

// ---- a machine that is gone, and nobody there who could say so -------------------------

static int hear_nothing(const char *url)
{
    char byte;
    mp_pipe *p = reach(url, 2000);
    mptest_require(mp_pipe_recv(p, &byte, 1, 60000) == MP_EBROKEN);
    mp_pipe_free(p);
    return 0;
}

static void silence(int go)
{
    char byte;
    mp_pipe *p = meet(go, 2000);
    ip("link set here down");
    mp_assert_err(mp_pipe_recv(p, &byte, 1, 60000), MP_EBROKEN);
    ip("link set here up");
    mp_pipe_free(p);
}

// ---- a queue: an item goes to a machine that is then cut off ---------------------------

static int take_and_be_cut_off(const char *url)
{
    mp_queue *q = NULL;
    mp_queue_item item;
    char x;
    mp_url_opts o = opts(2000);
    if (!mptest_eventually(mp_queue_connect(&q, url, &o) == 0, 60000))
        dprintf(2, "%s\n", url_error);
    mptest_require(q);
    mptest_require(mp_queue_get_item(q, &x, 1, &item, 60000) == 1 && x == 'a');
    mptest_require(mp_queue_ack(q, item.tag) == 0);
    int64_t n = mp_queue_get_item(q, &x, 1, &item, 60000);
    mptest_require((n == 1 && x == 'b') || n == MP_EBROKEN); // the cut may come before it does
    mptest_require(mp_queue_get_item(q, &x, 1, &item, 60000) == MP_EBROKEN);
    mptest_require(mp_queue_ack(q, item.tag) == MP_EBROKEN);
    mp_queue_free(q);
    return 0;
}

static void lose_nothing(int go)
{
    mp_queue *q;
    mp_listener *l;
    mp_queue_item item;
    char got;
    mp_url_opts o = opts(2000);
    mp_assert_ok(mp_queue_new(&q, &(mp_queue_opts){.ack = true}));
    mp_assert_ok(mp_queue_put(q, "a", 1, 0));
    mp_assert_ok(mp_queue_put(q, "b", 1, 0));
    url_assert_ok(mp_queue_serve(&l, q, "tcp://" HERE ":0", &o));
    tell(go, l);
    ck_assert(mptest_eventually(mp_queue_size(q) == 0, 60000)); // it has the second
    ip("link set here down");
    ck_assert_int_eq(mp_queue_get_item(q, &got, 1, &item, 60000), 1);
    ck_assert(got == 'b' && item.attempts == 1);
    mp_assert_ok(mp_queue_ack(q, item.tag));
    mp_assert_ok(mp_queue_join(q, 0));
    ip("link set here up");
    mp_listener_free(l);
    mp_queue_free(q);
}

// ---- a manager: locks of a machine that is cut off -------------------------------------

static mp_manager *join(const char *url)
{
    mp_manager *m = NULL;
    mp_url_opts o = opts(2000);
    const mp_manager_opts mo = {.url = &o, .patience_ms = 2000};
    if (!mptest_eventually(mp_connect_manager(&m, url, &mo) == 0, 60000))
        dprintf(2, "%s\n", url_error);
    mptest_require(m);
    return m;
}

// Holds two locks, one with a lease, is cut off, and comes back.
static int hold_and_be_cut_off(const char *url)
{
    mp_manager *m = join(url);
    mp_proxy *l, *leased, *e;
    uint64_t token, leased_token;
    mptest_require(mp_manager_open(m, &l, "l") == 0);
    mptest_require(mp_manager_open(m, &leased, "leased") == 0);
    mptest_require(mp_manager_open(m, &e, "back") == 0);
    mptest_require(mp_remote_lock_acquire_lease(leased, 0, 30000, &leased_token) == 0);
    mptest_require(mp_remote_lock_renew(leased, leased_token, 500) == 0);
    mptest_require(mp_remote_lock_acquire(l, 0, &token) == 0);
    mptest_require(
        mptest_eventually(mp_call(mp_manager_self(m), NULL, 0, "ping", "") == MP_ELOST, 60000));
    mptest_require(mp_remote_lock_validate(l, token) == MP_ELOST);
    mptest_require(mptest_eventually(mp_manager_reconnect(m) == 0, 60000));
    mptest_require(mp_remote_lock_validate(l, token) == 0);
    mptest_require(mp_remote_lock_validate(leased, leased_token) == 0);
    mptest_require(mp_remote_lock_release(l) == MP_ENOTHELD);
    mptest_require(mp_remote_event_set(e) == 0);
    mp_proxy_free(l);
    mp_proxy_free(leased);
    mp_proxy_free(e);
    mp_manager_free(m);
    return 0;
}

// Where it listens, as it says in its log.
static bool listens(char url[100])
{
    char line[500];
    bool found = false;
    FILE *f = fopen("log", "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        const char *at = strstr(line, "url=");
        found = at && sscanf(at, "url=%99s", url) == 1;
    }
    if (f)
        fclose(f);
    return found;
}

static uint64_t sessions(mp_manager *m)
{
    uint64_t n = 0;
    mp_assert_ok(mp_call(mp_manager_self(m), NULL, 0, "stats", "> {s:U *}", "sessions", &n));
    return n;
}

// The lease first, while the manager does not know yet that the machine is gone; then the lock.
static void take_their_locks(int go)
{
    char url[100];
    mp_proxy *l, *leased, *e;
    uint64_t before, leased_token, token;
    manager_begin((const char *const[]){"--listen=tcp://" HERE ":0", "--key-file=key",
                                        "--alive-time=2", "--log-file=log", "--log-level=info",
                                        NULL});
    mp_manager *m = manager_connect(NULL);
    mp_assert_ok(mp_manager_get(m, &l, "l", "Lock", ""));
    mp_assert_ok(mp_manager_get(m, &leased, "leased", "Lock", ""));
    mp_assert_ok(mp_manager_get(m, &e, "back", "Event", ""));
    ck_assert(mptest_eventually(listens(url), LONG_MS));
    mp_assert_ok(mp_remote_lock_acquire(l, 0, &before));
    mp_assert_ok(mp_remote_lock_release(l));
    tell_url(go, url);
    ck_assert(mptest_eventually(mp_call_number(l, "locked") == 1, 60000));
    ip("link set here down");
    mp_assert_err(mp_remote_lock_acquire(leased, 60000, &leased_token), MP_EOWNERDEAD);
    mp_assert_err(mp_remote_lock_acquire(l, 60000, &token), MP_EOWNERDEAD);
    ck_assert(token > leased_token && leased_token > before);
    ck_assert_uint_eq(sessions(m), 1);
    ip("link set here up");
    mp_assert_ok(mp_remote_event_wait(e, 60000));
    mp_assert_ok(mp_remote_lock_release(l)); // not theirs to release
    mp_proxy_free(l);
    mp_proxy_free(leased);
    mp_proxy_free(e);
    mp_manager_free(m);
    manager_end();
    unlink("log");
}

// ---- the machines ----------------------------------------------------------------------

static int be_there(int go, int ready, const struct scene *scene)
{
    char url[100];
    if (unshare(CLONE_NEWNET) < 0)
        return 77;
    mptest_require(write(ready, "", 1) == 1);
    mptest_require(read(go, url, 1) == 1); // the link is there
    if (system("ip addr add " THERE "/24 dev there && ip link set there up") != 0) // NOLINT
        return 98;
    mptest_require(read(go, url, sizeof url) > 0);
    int r = scene->there(url);
    (void)!read(go, url, 1); // its end of the link goes with it, and takes the other along
    return r;
}

static void be_here(int go, pid_t there, const struct scene *scene)
{
    ip("link add here type veth peer name there");
    ip("link set there netns %d", (int)there);
    ip("addr add " HERE "/24 dev here");
    ip("link set here up");
    ck_assert_int_eq(write(go, "", 1), 1);
    url_needs_proxy();
    scene->here(go);
}

static void two_machines(const struct scene *scene)
{
    int go[2], ready[2], status;
    char byte;
    if (unshare(CLONE_NEWNET) < 0)
        mp_skip("needs the privilege to make a network namespace");
    if (system("command -v ip >/dev/null && ip link set lo up") != 0) // NOLINT(cert-env33-c)
        mp_skip("the command ip is not installed (iproute2)");
    write_key();
    ck_assert_int_eq(pipe2(go, O_CLOEXEC) + pipe2(ready, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(go[1]);
        _exit(be_there(go[0], ready[1], scene));
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    be_here(go[1], pid, scene);
    ck_assert_int_eq(write(go[1], "", 1), 1);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(ready[i]);
    }
    unlink("key");
}

MP_TEST_TIMEOUT(a_link_may_go_down_and_up, 120)
{
    two_machines(&(struct scene){send_numbers, receive_with_a_cut});
}

MP_TEST_TIMEOUT(a_machine_that_falls_silent_is_given_up, 120)
{
    two_machines(&(struct scene){hear_nothing, silence});
}

MP_TEST_TIMEOUT(what_a_lost_machine_had_taken_goes_to_others, 120)
{
    two_machines(&(struct scene){take_and_be_cut_off, lose_nothing});
}

MP_TEST_TIMEOUT(locks_of_a_lost_machine_go_to_others, 120)
{
    two_machines(&(struct scene){hold_and_be_cut_off, take_their_locks});
}
