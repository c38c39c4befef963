// SPDX-License-Identifier: MIT
//
// What happens to a served queue when its clients, its server or the way between them are
// killed, stopped or gone mad. The longer forms need MP_TEST_LONG=1 in the environment.
#include "channel/pipe.h"
#include "channel/queue_talk.h"
#include "channel/remote.h"
#include "urltest.h"

#include <dirent.h>
#include <fcntl.h>
#include <mp/queue.h>
#include <mp/wait.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

static mp_url_opts serve_opts, connect_opts;
static mp_queue *queue;
static mp_listener *listener;

static void serve(const struct transport *t, const mp_queue_opts *o)
{
    mp_assert_ok(mp_queue_new(&queue, o));
    serve_opts = url_opts(t, true);
    url_assert_ok(mp_queue_serve(&listener, queue, t->url, &serve_opts));
}

static void stop_serving(void)
{
    mp_listener_free(listener);
    mp_queue_free(queue);
}

static mp_queue *reach(const struct transport *t)
{
    mp_queue *q;
    connect_opts = url_opts(t, false);
    url_assert_ok(mp_queue_connect(&q, mp_listener_url(listener), &connect_opts));
    return q;
}

// The queue is served as ever.
static void assert_serves(const struct transport *t)
{
    mp_queue *q = reach(t);
    int64_t n;
    char *data;
    mp_assert_ok(mp_queue_put(q, "served", 6, LONG_MS));
    do {
        mp_assert_ok(n = mp_queue_get_new(q, (void **)&data, LONG_MS));
        if (queue && n > 0)
            (void)mp_queue_task_done(q);
        free(data);
    } while (n != 6);
    mp_queue_free(q);
}

// ---- clients that are killed -----------------------------------------------------------

// Forks a client that does `what` and then waits to be killed. It is ready when this returns.
static pid_t client(const struct transport *t, void (*what)(mp_queue *q))
{
    int fds[2];
    char byte;
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        mp_queue *q;
        connect_opts = url_opts(t, false);
        mptest_require(mp_queue_connect(&q, mp_listener_url(listener), &connect_opts) == 0);
        what(q);
        mptest_require(write(fds[1], "", 1) == 1);
        for (;;)
            pause();
    }
    close(fds[1]);
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    return pid;
}

static void kill_and_reap(pid_t pid)
{
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void get_three(mp_queue *q)
{
    char x[3];
    mp_queue_item item;
    for (int i = 0; i < 3; i++)
        mptest_require(mp_queue_get_item(q, x, 3, &item, LONG_MS) == 1 && x[0] == 'a' + i);
    mptest_require(mp_queue_ack(q, item.tag) == 0);
}

MP_TEST_EACH_URL(what_a_killed_consumer_had_goes_to_others)
{
    mp_queue_item item;
    char x;
    serve(t, &(mp_queue_opts){.ack = true});
    for (char c = 'a'; c <= 'd'; c++)
        mp_assert_ok(mp_queue_put(queue, &c, 1, 0));
    pid_t pid = client(t, get_three);
    ck_assert_int_eq(mp_queue_size(queue), 1);
    mp_queue *far = reach(t);
    kill_and_reap(pid);
    ck_assert(mptest_eventually(mp_queue_size(queue) == 3, LONG_MS));
    for (char c = 'a'; c <= 'd'; c++) {
        if (c == 'c')
            continue; // was acknowledged
        ck_assert_int_eq(mp_queue_get_item(far, &x, 1, &item, LONG_MS), 1);
        ck_assert(x == c && item.attempts == (c < 'c'));
        mp_assert_ok(mp_queue_task_done(far));
    }
    mp_assert_ok(mp_queue_join(queue, LONG_MS));
    mp_queue_free(far);
    stop_serving();
}

// Without acknowledgements the client's own word that it arrived is what counts.
MP_TEST_EACH_URL(an_item_that_did_not_arrive_goes_back)
{
    mp_pipe *p;
    unsigned char message[MP__TALK_HEAD], *got;
    struct mp__talk_head get = {.what = MP__TALK_GET, .ms = -1, .id = 1, .a = 2, .b = 100};
    serve(t, NULL);
    connect_opts = url_opts(t, false);
    url_assert_ok(mp__connect(&p, mp_listener_url(listener), &connect_opts, MP__SP_QUEUE));
    mp_assert_ok(mp_queue_put(queue, "one", 3, 0));
    mp_assert_ok(mp_queue_put(queue, "two", 3, 0));
    ck_assert_int_eq(mp_pipe_recv(p, message, sizeof message, LONG_MS), sizeof message);
    mp__talk_write(message, &get);
    mp_assert_ok(mp_pipe_send(p, message, sizeof message, LONG_MS));
    ck_assert_int_eq(mp_pipe_recv_new(p, (void **)&got, LONG_MS),
                     MP__TALK_HEAD + 2 * (MP__TALK_GOT + 3));
    ck_assert_int_eq(mp__talk_read(got).a, 2);
    free(got);
    ck_assert_int_eq(mp_queue_size(queue), 0);
    mp_pipe_free(p);
    ck_assert(mptest_eventually(mp_queue_size(queue) == 2, LONG_MS));
    mp_queue *far = reach(t);
    char x[3];
    ck_assert_int_eq(mp_queue_get(far, x, 3, LONG_MS), 3);
    ck_assert_int_eq(memcmp(x, "one", 3), 0);
    mp_queue_free(far); // this one arrived
    ck_assert(mptest_eventually(mp_queue_size(queue) == 1, LONG_MS));
    stop_serving();
}

// Puts an item and sends it to a client that does not say that it arrived.
static mp_pipe *on_its_way(const char *item, size_t size)
{
    mp_pipe *p;
    unsigned char message[MP__TALK_HEAD];
    void *got;
    connect_opts = url_opts(&tcp, false);
    url_assert_ok(mp__connect(&p, mp_listener_url(listener), &connect_opts, MP__SP_QUEUE));
    mp_assert_ok(mp_queue_put(queue, item, size, 0));
    ck_assert_int_eq(mp_pipe_recv(p, message, sizeof message, LONG_MS), sizeof message);
    mp__talk_write(message,
                   &(struct mp__talk_head){.what = MP__TALK_GET, .ms = -1, .a = 1, .b = size});
    mp_assert_ok(mp_pipe_send(p, message, sizeof message, LONG_MS));
    mp_assert_ok(mp_pipe_recv_new(p, &got, LONG_MS));
    free(got);
    return p;
}

// Nor is the end of a queue told to others as long as an item may come back.
MP_TEST(the_end_waits_for_what_is_on_its_way)
{
    char x;
    serve(&tcp, NULL);
    mp_queue *far = reach(&tcp);
    mp_pipe *p = on_its_way("x", 1);
    mp_assert_ok(mp_queue_shutdown(queue, MP_DRAIN));
    mp_assert_err(mp_queue_get(far, &x, 1, 20), MP_ETIMEDOUT);
    mp_pipe_free(p);
    ck_assert_int_eq(mp_queue_get(far, &x, 1, LONG_MS), 1);
    mp_assert_err(mp_queue_get(far, &x, 1, LONG_MS), MP_EOF);
    mp_queue_free(far);
    stop_serving();
}

// But what is thrown away stays so, whether it comes back before that or after it.
static void dropped_on_its_way(bool back_before)
{
    char x;
    serve(&tcp, NULL);
    mp_queue *far = reach(&tcp);
    mp_pipe *p = on_its_way("long", 4);
    mp_assert_ok(mp_queue_shutdown(queue, MP_DRAIN));
    if (back_before) {
        mp_pipe_free(p);
        mp_assert_err(mp_queue_get(far, &x, 1, LONG_MS), MP_EMSGSIZE); // it is back, and too long
        mp_assert_ok(mp_queue_shutdown(queue, MP_DROP));
    } else {
        mp_assert_ok(mp_queue_shutdown(queue, MP_DROP));
        mp_pipe_free(p);
    }
    for (int i = 0; i < 20; i++)
        mp_assert_err(mp_queue_get(far, &x, 1, 1), MP_EOF);
    ck_assert_int_eq(mp_queue_size(queue), 0);
    mp_queue_free(far);
    stop_serving();
}

MP_TEST(what_was_on_its_way_is_dropped_with_the_rest)
{
    dropped_on_its_way(true);
    dropped_on_its_way(false);
}

static int keep[2];

static void get_and_fork(mp_queue *q)
{
    char x;
    mptest_require(mp_queue_get(q, &x, 1, LONG_MS) == 1);
    close(keep[1]);
    if (fork() == 0)
        _exit((int)read(keep[0], &x, 1)); // lives until the test lets go
}

// A child that a client forked holds nothing of its connection.
MP_TEST(a_killed_consumers_child_keeps_nothing)
{
    char x;
    serve(&tcp, &(mp_queue_opts){.ack = true});
    mp_assert_ok(mp_queue_put(queue, "x", 1, 0));
    ck_assert_int_eq(pipe2(keep, O_CLOEXEC), 0);
    kill_and_reap(client(&tcp, get_and_fork));
    ck_assert_int_eq(mp_queue_get(queue, &x, 1, LONG_MS), 1);
    mp_assert_ok(mp_queue_task_done(queue));
    close(keep[0]);
    close(keep[1]);
    stop_serving();
}

static void wait_for_one(mp_queue *q)
{
    mp_wait_item w = MP_WAIT_QUEUE(q);
    (void)!mp_wait(&w, 1, 0);
    char byte;
    int64_t r = mp_queue_get(q, &byte, 1, 0);
    mptest_require(r == MP_ETIMEDOUT);
    if (fork() == 0)
        _exit(0); // and a fork of it changes nothing
}

MP_TEST_EACH_URL(who_waits_may_be_killed)
{
    char byte;
    serve(t, &(mp_queue_opts){.max_items = 1});
    for (int i = 0; i < 3; i++) {
        pid_t pid = client(t, wait_for_one);
        mp_assert_ok(mp_queue_put(queue, "x", 1, LONG_MS));
        kill_and_reap(pid);
        ck_assert_int_eq(mp_queue_get(queue, &byte, 1, LONG_MS), 1);
    }
    assert_serves(t);
    stop_serving();
}

// ---- the server is killed --------------------------------------------------------------

static int processes(const char *argument, pid_t *one)
{
    int n = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; (e = readdir(d));) {
        char path[300], line[64] = "";
        int pid = atoi(e->d_name), ppid = 0;
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *f = pid > 0 ? fopen(path, "re") : NULL;
        if (!f)
            continue;
        bool known = fscanf(f, "%*d (%*[^)]) %*c %d", &ppid) == 1 && ppid == getppid();
        fclose(f);
        snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
        f = known ? fopen(path, "re") : NULL;
        if (!f)
            continue;
        size_t size = fread(line, 1, sizeof line - 1, f);
        fclose(f);
        const char *second = line + strlen(line) + 1;
        if (second < line + size && strcmp(second, argument) == 0) {
            n++;
            *one = pid;
        }
    }
    closedir(d);
    return n;
}

static void server_or_proxy_killed(const struct transport *t, const char *which)
{
    pid_t pid;
    char x;
    mp_queue_item item;
    serve(t, &(mp_queue_opts){.ack = true});
    mp_queue *far = reach(t);
    mp_assert_ok(mp_queue_put(far, "x", 1, LONG_MS));
    ck_assert_int_eq(mp_queue_get(far, &x, 1, LONG_MS), 1); // not acknowledged
    ck_assert_int_eq(processes(which, &pid), 1);
    kill(pid, SIGKILL);
    mp_assert_err(mp_queue_get(far, &x, 1, LONG_MS), MP_EBROKEN);
    mp_assert_err(mp_queue_put(far, &x, 1, LONG_MS), MP_EBROKEN);
    mp_wait_item w = MP_WAIT_LISTENER(listener);
    ck_assert_int_eq(mp_wait(&w, 1, LONG_MS), 1); // serving has ended
    ck_assert_int_eq(mp_queue_get_item(queue, &x, 1, &item, LONG_MS), 1);
    ck_assert_int_eq(item.attempts, 1);
    mp_assert_ok(mp_queue_ack(queue, item.tag));
    char *url = strdup(mp_listener_url(listener));
    mp_listener_free(listener);
    // Once more, and at the same address; who had the old connection does not get the new one.
    url_assert_ok(mp_queue_serve(&listener, queue, url, &serve_opts));
    free(url);
    mp_assert_err(mp_queue_size(far), MP_EBROKEN);
    mp_queue_free(far);
    assert_serves(t);
    stop_serving();
}

MP_TEST_EACH_URL(a_killed_server_is_told_and_loses_nothing)
{
    server_or_proxy_killed(t, "--queue");
}

MP_TEST_EACH_URL(so_is_a_killed_mpproxy)
{
    server_or_proxy_killed(t, "--serve");
}

static void serve_in_child(const struct transport *t, int out)
{
    serve(t, NULL);
    const char *url = mp_listener_url(listener);
    mptest_require(write(out, url, strlen(url) + 1) > 0);
    for (;;)
        pause();
}

// Who has the queue is killed: nothing of it stays behind, and clients are told.
MP_TEST_EACH_URL(the_owner_may_be_killed)
{
    int fds[2];
    char url[400], x;
    mp_queue *far;
    connect_opts = url_opts(t, false);
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0)
        serve_in_child(t, fds[1]);
    close(fds[1]);
    ck_assert_int_gt(read(fds[0], url, sizeof url), 0);
    close(fds[0]);
    url_assert_ok(mp_queue_connect(&far, url, &connect_opts));
    kill_and_reap(pid);
    mp_assert_err(mp_queue_get(far, &x, 1, LONG_MS), MP_EBROKEN);
    mp_queue_free(far);
}

// ---- the stopped and the slow ----------------------------------------------------------

// A client that is stopped with a large item half received holds up nobody else.
MP_TEST_EACH_URL(a_stopped_client_holds_up_nobody)
{
    enum { LARGE = 32 << 20 };
    serve(t, &(mp_queue_opts){.ack = true});
    mp_pipe *stopped;
    unsigned char message[MP__TALK_HEAD];
    char *large = calloc(1, LARGE), small[1];
    connect_opts = url_opts(t, false);
    url_assert_ok(mp__connect(&stopped, mp_listener_url(listener), &connect_opts, MP__SP_QUEUE));
    ck_assert_int_eq(mp_pipe_recv(stopped, message, sizeof message, LONG_MS), sizeof message);
    mp__talk_write(message, &(struct mp__talk_head){
                                .what = MP__TALK_GET, .ms = -1, .id = 1, .a = 1, .b = LARGE});
    mp_assert_ok(mp_pipe_send(stopped, message, sizeof message, LONG_MS));
    mp_assert_ok(mp_queue_put(queue, large, LARGE, LONG_MS));
    ck_assert(mptest_eventually(mp_pipe_poll(stopped, 0) == 1, LONG_MS)); // its beginning is there
    mp_queue *far = reach(t);
    for (int i = 0; i < 20; i++) {
        mp_assert_ok(mp_queue_put(far, "x", 1, LONG_MS));
        ck_assert_int_eq(mp_queue_get(far, small, 1, LONG_MS), 1);
        mp_assert_ok(mp_queue_task_done(far));
    }
    mp_pipe_free(stopped);
    ck_assert_int_eq(mp_queue_get(far, large, LARGE, LONG_MS), LARGE); // it came back
    mp_assert_ok(mp_queue_task_done(far));
    mp_queue_free(far);
    stop_serving();
    free(large);
}

MP_TEST(a_stopped_server_is_given_up)
{
    pid_t pid;
    char x;
    serve(&tcp, NULL);
    connect_opts = url_opts(&tcp, false);
    connect_opts.alive_ms = 300;
    mp_queue *far, *none;
    url_assert_ok(mp_queue_connect(&far, mp_listener_url(listener), &connect_opts));
    ck_assert_int_eq(processes("--queue", &pid), 1);
    kill(pid, SIGSTOP);
    mp_assert_err(mp_queue_get(far, &x, 1, 10), MP_EBROKEN);
    mp_assert_err(mp_queue_connect(&none, mp_listener_url(listener), &connect_opts), MP_ETIMEDOUT);
    ck_assert_ptr_nonnull(strstr(url_error, "does not answer"));
    kill(pid, SIGCONT);
    mp_queue_free(far);
    assert_serves(&tcp);
    stop_serving();
}

// ---- the mad ---------------------------------------------------------------------------

static mp_pipe *mad(void)
{
    mp_pipe *p;
    unsigned char message[MP__TALK_HEAD];
    connect_opts = url_opts(&ipc, false);
    url_assert_ok(mp__connect(&p, mp_listener_url(listener), &connect_opts, MP__SP_QUEUE));
    ck_assert_int_eq(mp_pipe_recv(p, message, sizeof message, LONG_MS), sizeof message);
    return p;
}

static void say_head(mp_pipe *p, struct mp__talk_head h)
{
    unsigned char message[MP__TALK_HEAD];
    mp__talk_write(message, &h);
    (void)!mp_pipe_send(p, message, sizeof message, LONG_MS);
}

static void assert_turned_away(mp_pipe *p)
{
    void *message;
    int64_t n;
    while ((n = mp_pipe_recv_new(p, &message, LONG_MS)) >= 0)
        free(message);
    ck_assert_msg(n == MP_EOF || n == MP_EBROKEN, "%s", mp_err_name(n));
    mp_pipe_free(p);
}

MP_TEST(what_makes_no_sense_ends_its_connection_only)
{
    unsigned char put[MP__TALK_HEAD + 2 * MP__TALK_SENT] = {0};
    serve(&ipc, &(mp_queue_opts){.max_items = 1});
    mp_queue *good = reach(&ipc);
    mp_pipe *p = mad();
    mp_assert_ok(mp_pipe_send(p, "short", 5, LONG_MS));
    assert_turned_away(p);
    static const int unknown[] = {0, 13, 0x80, 0x81, 255};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        p = mad();
        say_head(p, (struct mp__talk_head){.what = (uint8_t)unknown[i]});
        assert_turned_away(p);
    }
    // Numbers of items and lengths that are not so.
    static const uint64_t numbers[][3] = {
        {0, 0, 0},          {1, 0, 0},          {3, 0, 0},
        {UINT64_MAX, 0, 0}, {2, 1, 0},          {2, UINT64_C(1) << 63, 0},
        {2, UINT64_MAX, 0}, {2, 0, UINT64_MAX}, {UINT64_C(1) << 61, 0, 0}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        p = mad();
        mp__talk_write(put, &(struct mp__talk_head){.what = MP__TALK_PUT, .a = numbers[i][0]});
        mp__talk_put64(put + MP__TALK_HEAD, numbers[i][1]);
        mp__talk_put64(put + MP__TALK_HEAD + MP__TALK_SENT, numbers[i][2]);
        mp_assert_ok(mp_pipe_send(p, put, sizeof put, LONG_MS));
        assert_turned_away(p);
    }
    ck_assert_int_eq(mp_queue_size(queue), 0);
    // Two PUTs at once.
    mp_assert_ok(mp_queue_put(queue, "x", 1, 0));
    p = mad();
    mp__talk_write(put, &(struct mp__talk_head){.what = MP__TALK_PUT, .ms = -1, .a = 1});
    mp__talk_put64(put + MP__TALK_HEAD, MP__TALK_SENT);
    mp_assert_ok(mp_pipe_send(p, put, sizeof put, LONG_MS));
    (void)!mp_pipe_send(p, put, sizeof put, LONG_MS);
    assert_turned_away(p);
    char x;
    ck_assert_int_eq(mp_queue_get(good, &x, 1, LONG_MS), 1);
    mp_assert_err(mp_queue_get(good, &x, 1, 0), MP_ETIMEDOUT); // theirs never got in
    mp_queue_free(good);
    assert_serves(&ipc);
    stop_serving();
}

// Numbers out of nowhere: answered, or not, but never believed.
MP_TEST(strange_numbers_are_answered)
{
    static const uint64_t odd[] = {0, 1, 2, UINT64_C(1) << 36, UINT64_MAX, UINT64_C(1) << 63};
    serve(&ipc, &(mp_queue_opts){.ack = true});
    mp_assert_ok(mp_queue_put(queue, "item", 4, 0));
    for (uint8_t what = MP__TALK_GET; what <= MP__TALK_TOOK; what++) {
        if (what == MP__TALK_END)
            continue;
        mp_pipe *p = mad();
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
            for (size_t k = 0; k < sizeof odd / sizeof *odd; k++)
                say_head(p, (struct mp__talk_head){.what = what,
                                                   .flags = (uint8_t)odd[k],
                                                   .ms = (int32_t)odd[i],
                                                   .id = odd[k],
                                                   .a = odd[i],
                                                   .b = odd[k]});
        mp_pipe_free(p);
    }
    assert_serves(&ipc);
    stop_serving();
}

// Who asks and asks, and never reads, is not read from any more, and costs a bounded amount.
MP_TEST(who_never_reads_answers_is_held_up)
{
    serve(&ipc, NULL);
    mp_pipe *p = mad();
    unsigned char message[MP__TALK_HEAD];
    int sent = 0, r = 0;
    mp__talk_write(message, &(struct mp__talk_head){.what = MP__TALK_SIZE});
    while (sent < 5000000 && r != MP_ETIMEDOUT) {
        r = mp_pipe_send(p, message, sizeof message, 500);
        sent++;
    }
    mp_assert_err(r, MP_ETIMEDOUT);
    assert_serves(&ipc);
    mp_pipe_free(p);
    stop_serving();
}

// Each byte of a conversation wrong in turn.
MP_TEST_TIMEOUT(any_byte_may_be_wrong, 60)
{
    unsigned char bytes[2 * MP__TALK_HEAD + MP__TALK_SENT + 3];
    serve(&ipc, &(mp_queue_opts){.max_items = 100});
    for (size_t at = 0; at < sizeof bytes; at++) {
        mp_pipe *p = mad();
        mp__talk_write(bytes, &(struct mp__talk_head){.what = MP__TALK_PUT, .id = 1, .a = 1});
        mp__talk_put64(bytes + MP__TALK_HEAD, 3);
        memcpy(bytes + MP__TALK_HEAD + MP__TALK_SENT, "abc", 3);
        mp__talk_write(bytes + MP__TALK_HEAD + MP__TALK_SENT + 3,
                       &(struct mp__talk_head){.what = MP__TALK_GET, .id = 2, .a = 1, .b = 3});
        bytes[at] ^= 0xff;
        (void)!mp_pipe_send(p, bytes, MP__TALK_HEAD + MP__TALK_SENT + 3, LONG_MS);
        (void)!mp_pipe_send(p, bytes + MP__TALK_HEAD + MP__TALK_SENT + 3, MP__TALK_HEAD, LONG_MS);
        mp_pipe_free(p);
    }
    if (mp_queue_shutdown(queue, MP_DRAIN) < 0 || mp_queue_shutdown(queue, MP_DROP) < 0)
        ck_abort_msg("it cannot be shut down");
    mp_queue *far = reach(&ipc);
    char x;
    mp_assert_err(mp_queue_get(far, &x, 1, LONG_MS), MP_EOF);
    mp_queue_free(far);
    stop_serving();
}

// ---- many, and no descriptors ----------------------------------------------------------

// Foreign peers that come in as PUSH or PULL, some with half a message, and go.
static void come_and_go(const struct transport *t, int n)
{
    serve(t, &(mp_queue_opts){.max_items = 10});
    for (int i = 0; i < n; i++) {
        static const char hello[2][9] = {"\0SP\0\0\x50\0\0", "\0SP\0\0\x51\0\0"};
        int fd = raw(mp_listener_url(listener));
        if (t == &ipc || t == &tcp) {
            (void)!send(fd, hello[i & 1], 8, MSG_NOSIGNAL);
            if (i & 2) // a length of 2^63, or its beginning
                (void)!send(fd, "\x01\x80\0\0\0\0\0\0\0", (size_t)(i % 10), MSG_NOSIGNAL);
        }
        reset(fd);
        if (i % 100 == 99)
            assert_serves(t);
    }
    stop_serving();
}

static void come_and_go_often(const struct transport *t)
{
    come_and_go(t, getenv("MP_TEST_LONG") ? 10000 : 200);
}

MP_TEST_TIMEOUT(peers_come_and_go_ipc, 120)
{
    come_and_go_often(&ipc);
}

MP_TEST_TIMEOUT(peers_come_and_go_tcp, 120)
{
    come_and_go_often(&tcp);
}

MP_TEST_TIMEOUT(peers_come_and_go_tls, 120)
{
    come_and_go_often(&tls);
}

MP_TEST_TIMEOUT(peers_come_and_go_ws, 120)
{
    come_and_go_often(&ws);
}

MP_TEST_TIMEOUT(without_descriptors_the_others_are_served, 60)
{
    enum { MOST = 40 };
    struct rlimit few = {48, 48};
    mp_queue *far[MOST], *first;
    pid_t pid;
    char x;
    int n = 0;
    serve(&tcp, NULL);
    ck_assert_int_eq(processes("--queue", &pid), 1);
    ck_assert_int_eq(prlimit(pid, RLIMIT_NOFILE, &few, NULL), 0);
    first = reach(&tcp);
    connect_opts = url_opts(&tcp, false);
    connect_opts.alive_ms = 500; // how long to wait for the server's welcome
    while (n < MOST && mp_queue_connect(&far[n], mp_listener_url(listener), &connect_opts) == 0)
        n++;
    ck_assert_int_lt(n, MOST);
    ck_assert_ptr_nonnull(strstr(url_error, "serves the queue"));
    mp_assert_ok(mp_queue_put(first, "x", 1, LONG_MS)); // undisturbed
    ck_assert_int_eq(mp_queue_get(first, &x, 1, LONG_MS), 1);
    while (n > 0)
        mp_queue_free(far[--n]);
    // Those who were turned away took nobody's place: many more come in, one after the other.
    connect_opts.alive_ms = 0;
    for (int i = 0; i < MOST; i++) {
        ck_assert(mptest_eventually(
            mp_queue_connect(&far[0], mp_listener_url(listener), &connect_opts) == 0, LONG_MS));
        mp_queue_free(far[0]);
    }
    mp_queue_free(first);
    stop_serving();
}

// What the caller has no descriptors for is told, and nothing is left of the attempt.
static int serve_with_few(void *arg)
{
    const struct transport *t = arg;
    struct rlimit all, few;
    mp_listener *l;
    mp_queue *far;
    int failed = 0;
    getrlimit(RLIMIT_NOFILE, &all);
    serve(t, NULL); // and so mpproxy is there
    int before = mptest_fd_count();
    for (int n = 0; n < 24; n++) {
        few = (struct rlimit){(rlim_t)(before + n), all.rlim_max};
        mp_url_opts o = url_opts(t, true);
        setrlimit(RLIMIT_NOFILE, &few);
        int r = mp_queue_serve(&l, queue, t->url, &o);
        mp_listener_free(l);
        o = url_opts(t, false);
        int c = mp_queue_connect(&far, mp_listener_url(listener), &o);
        mp_queue_free(far);
        setrlimit(RLIMIT_NOFILE, &all);
        mptest_require(r == 0 || *url_error || c == 0);
        mptest_require(mptest_fd_count() == before);
        failed += (r < 0) + (c < 0);
    }
    mptest_require(failed > 2);
    stop_serving();
    return 0;
}

MP_TEST(who_has_no_descriptors_is_told)
{
    url_needs_proxy();
    ck_assert_int_eq(mptest_in_child(serve_with_few, (void *)(uintptr_t)&tcp), 0);
}

MP_TEST_EACH_URL(an_address_that_is_served_is_in_use)
{
    mp_listener *second;
    serve(t, NULL);
    mp_assert_err(mp_queue_serve(&second, queue, mp_listener_url(listener), &serve_opts),
                  -EADDRINUSE);
    ck_assert_ptr_nonnull(strstr(url_error, mp_listener_url(listener)));
    assert_serves(t);
    stop_serving();
}

// ---- a flow with deaths ----------------------------------------------------------------

enum { PRODUCERS = 2, CONSUMERS = 3 };

static struct board {
    _Atomic uint64_t got;
    _Atomic uint8_t seen[];
} * board;
static uint32_t n_items;

static void produce(mp_queue *q, uint32_t from)
{
    for (uint32_t i = from; i < n_items; i += PRODUCERS)
        mptest_require(mp_queue_put(q, &i, sizeof i, 60000) == 0);
}

static void consume(mp_queue *q, uint32_t unused)
{
    uint32_t i;
    int64_t n;
    (void)unused;
    while ((n = mp_queue_get(q, &i, sizeof i, MP_FOREVER)) == sizeof i) {
        mptest_require(i < n_items);
        atomic_fetch_add(&board->seen[i], 1);
        atomic_fetch_add(&board->got, 1);
        mptest_require(mp_queue_task_done(q) == 0);
    }
    mptest_require(n == MP_EOF);
}

static pid_t start(const struct transport *t, void (*what)(mp_queue *, uint32_t), uint32_t from)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        mp_queue *q;
        connect_opts = url_opts(t, false);
        mptest_require(mp_queue_connect(&q, mp_listener_url(listener), &connect_opts) == 0);
        what(q, from);
        mp_queue_free(q);
        _exit(0);
    }
    return pid;
}

static void await(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

static void flow(const struct transport *t)
{
    bool all = getenv("MP_TEST_LONG");
    int kills = all ? 200 : 5;
    pid_t producers[PRODUCERS], consumers[CONSUMERS];
    n_items = all ? 100000 : 1000;
    board = mmap(NULL, sizeof *board + n_items, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                 -1, 0);
    ck_assert_ptr_ne(board, MAP_FAILED);
    serve(t, &(mp_queue_opts){.ack = true, .max_items = 100});
    for (uint32_t i = 0; i < CONSUMERS; i++)
        consumers[i] = start(t, consume, i);
    for (uint32_t i = 0; i < PRODUCERS; i++)
        producers[i] = start(t, produce, i);
    for (int k = 0; k < kills; k++) {
        uint64_t aim = n_items / (unsigned)kills * (unsigned)k / 2;
        ck_assert(mptest_eventually(atomic_load(&board->got) >= aim, 60000));
        kill_and_reap(consumers[k % CONSUMERS]);
        consumers[k % CONSUMERS] = start(t, consume, 0);
    }
    for (int i = 0; i < PRODUCERS; i++)
        await(producers[i]);
    mp_assert_ok(mp_queue_shutdown(queue, MP_DRAIN));
    for (int i = 0; i < CONSUMERS; i++)
        await(consumers[i]);
    int lost = 0, again = 0;
    for (uint32_t i = 0; i < n_items; i++) {
        lost += board->seen[i] == 0;
        again += board->seen[i] > 1;
    }
    ck_assert_int_eq(lost, 0);
    ck_assert_int_le(again, kills); // delivered to one that died before it said so
    mp_assert_ok(mp_queue_join(queue, 0));
    munmap(board, sizeof *board + n_items);
    stop_serving();
}

MP_TEST_TIMEOUT(nothing_is_lost_when_consumers_are_killed_ipc, 200)
{
    flow(&ipc);
}

MP_TEST_TIMEOUT(nothing_is_lost_when_consumers_are_killed_tcp, 200)
{
    flow(&tcp);
}
