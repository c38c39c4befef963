// SPDX-License-Identifier: MIT
//
// The two halves of the pipe tests, and the main() of forked contestants.
#include "pipe_test.h"

#define PIPE_TEST_END UINT64_MAX

static const struct {
    const char *name;
    struct pipe_test test;
} tests[] = {
    {"rtt", {.metric = "pipe_rtt", .size = 64, .echo = true}},
    {"tp64", {.metric = "pipe_tp64", .size = 64}},
    {"tp4k", {.metric = "pipe_tp4k", .size = 4096}},
    {"tp1m", {.metric = "pipe_tp1m", .size = PIPE_TEST_MAX}},
    {"tcp_rtt", {.metric = "tcp_rtt", .size = 64, .echo = true}},
    {"tcp_tp64", {.metric = "tcp_tp64", .size = 64}},
    {"tcp_tp1m", {.metric = "tcp_tp1m", .size = PIPE_TEST_MAX}},
};

struct pipe_test pipe_test_named(const char *name, const char *seconds)
{
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (strcmp(tests[i].name, name) == 0) {
            struct pipe_test t = tests[i].test;
            t.seconds = seconds_from(seconds);
            return t;
        }
    }
    die("no test named %s: rtt, tp64, tp4k, tp1m, tcp_rtt, tcp_tp64 or tcp_tp1m", name);
}

// ---- messages ----

static void stamp(unsigned char *message, size_t size, uint64_t number)
{
    memcpy(message, &number, sizeof number);
    memcpy(message + size - sizeof number, &number, sizeof number);
}

// Returns its number: the expected one, or PIPE_TEST_END.
static uint64_t check(const void *message, size_t size, size_t want_size, uint64_t want)
{
    uint64_t first, last;
    if (size != want_size)
        die("message %llu has %zu bytes, not %zu", (unsigned long long)want, size, want_size);
    memcpy(&first, message, sizeof first);
    memcpy(&last, (const char *)message + size - sizeof last, sizeof last);
    if (first != last || (first != want && first != PIPE_TEST_END))
        die("message %llu is damaged: %llx ... %llx", (unsigned long long)want,
            (unsigned long long)first, (unsigned long long)last);
    return first;
}

// ---- the receiving half ----

static void serve_echo(const struct pipe_test *t, struct pipe_end *e)
{
    size_t size;
    for (uint64_t i = 0;; i++) {
        const void *message = e->recv(e, t->size, &size);
        uint64_t number = check(message, size, t->size, i);
        e->send(e, message, size);
        if (number == PIPE_TEST_END)
            return;
    }
}

static void serve_stream(const struct pipe_test *t, struct pipe_end *e)
{
    unsigned char ack[PIPE_TEST_ACK] = {0};
    uint64_t i = 0;
    size_t size;
    for (;; i++) {
        const void *message = e->recv(e, t->size, &size);
        if (check(message, size, t->size, i) == PIPE_TEST_END)
            break;
    }
    stamp(ack, sizeof ack, i);
    e->send(e, ack, sizeof ack);
}

void pipe_test_serve(const struct pipe_test *t, struct pipe_end *e)
{
    // Twice: the first is the warm-up.
    for (int phase = 0; phase < 2; phase++) {
        if (t->echo)
            serve_echo(t, e);
        else
            serve_stream(t, e);
    }
}

// ---- the sending half ----

// Returns the seconds a round trip took.
static double drive_echo(const struct pipe_test *t, struct pipe_end *e, unsigned char *message,
                         double seconds)
{
    double start = now(), elapsed;
    uint64_t i = 0;
    size_t size;
    do {
        for (int k = 0; k < 32; k++, i++) { // the clock costs 20 ns: seldom
            stamp(message, t->size, i);
            e->send(e, message, t->size);
            const void *answer = e->recv(e, t->size, &size);
            if (check(answer, size, t->size, i) != i)
                die("the stream ended early");
        }
        elapsed = now() - start;
    } while (elapsed < seconds);
    stamp(message, t->size, PIPE_TEST_END);
    e->send(e, message, t->size);
    check(e->recv(e, t->size, &size), size, t->size, PIPE_TEST_END);
    return elapsed / (double)i;
}

// Returns messages per second, until the receiver has said that it got the last.
static double drive_stream(const struct pipe_test *t, struct pipe_end *e, unsigned char *message,
                           double seconds)
{
    double start = now();
    uint64_t i = 0, burst = t->size > 4096 ? 1 : 64;
    size_t size;
    do {
        for (uint64_t k = 0; k < burst; k++, i++) {
            stamp(message, t->size, i);
            e->send(e, message, t->size);
        }
    } while (now() - start < seconds);
    stamp(message, t->size, PIPE_TEST_END);
    e->send(e, message, t->size);
    const void *ack = e->recv(e, PIPE_TEST_ACK, &size);
    if (check(ack, size, PIPE_TEST_ACK, i) != i)
        die("messages were lost");
    return (double)i / (now() - start);
}

void pipe_test_drive(const struct pipe_test *t, struct pipe_end *e, const char *who)
{
    unsigned char *message = allocate(t->size);
    memset(message, 0x5a, t->size);
    if (t->echo) {
        drive_echo(t, e, message, t->seconds / 3);
        report(t->metric, who, drive_echo(t, e, message, t->seconds) * 1e6, "us");
    } else {
        drive_stream(t, e, message, t->seconds / 4);
        double rate = drive_stream(t, e, message, t->seconds);
        if (t->size <= 4096)
            report(t->metric, who, rate, "msg/s");
        else
            report(t->metric, who, rate * (double)t->size / 1e6, "MB/s");
    }
    free(message);
}

// ---- contestants that fork ----

static const struct pipe_peer *peer_named(const struct pipe_peer *peers, const char *name)
{
    while (peers->name && strcmp(peers->name, name) != 0)
        peers++;
    if (!peers->name)
        die("no peer named %s", name);
    return peers;
}

int pipe_peer_main(int argc, char **argv, const struct pipe_peer *peers)
{
    if (argc < 3 || argc > 4)
        die("usage: %s PEER rtt|tp64|tp4k|tp1m [SECONDS]", argv[0]);
    const struct pipe_peer *peer = peer_named(peers, argv[1]);
    struct pipe_test t = pipe_test_named(argv[2], argv[3]);
    if (peer->prepare)
        peer->prepare(peer->arg);
    pid_t parent = getpid(), child = fork_child();
    struct pipe_end *e = peer->open(peer->arg, child == 0, child ? child : parent);
    if (child == 0)
        pipe_test_serve(&t, e);
    else
        pipe_test_drive(&t, e, peer->name);
    if (e->close)
        e->close(e);
    if (child == 0)
        _exit(0);
    join_child(child);
    return 0;
}
