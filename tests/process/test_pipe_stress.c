// SPDX-License-Identifier: MIT
//
// Does a wake-up ever get lost? Streams do not tell: the next message repairs the
// loss. A strict exchange does: one message is under way at any time, so whoever is
// not woken stays asleep, and so does the other.
//
// This program has a build of the channel with probes (os/probe.h): between any two
// steps of the protocol it loses time at random, mostly between raising a flag and
// looking again. Half of the waits go through poll() and epoll on the pipe's own
// descriptor and through mp_wait(). And the probes can leave a step out, as a bug
// would: each such channel has to be caught, or this program finds nothing.
//
// MP_TEST_LONG=1 runs it twenty times as long.
#include "mptest.h"

#include "channel/pipe.h"
#include "os/probe.h"

#include <errno.h>
#include <mp/cpu.h>
#include <mp/handle.h>
#include <mp/pipe.h>
#include <mp/process.h>
#include <mp/wait.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { LOST = 77, WRONG = 78 }; // exit codes of who found out

// ---- random numbers, and lost time ---------------------------------------------------

static __thread uint64_t seed;
static enum mp__step omitted; // the step this process leaves out
static bool no_slices;        // and its sender looks only when rung
static bool jitter = true, one_cpu;

static uint32_t dice(uint32_t n)
{
    if (!seed)
        seed = (uint64_t)mp__now() * 2654435761u + (uint64_t)(uintptr_t)&seed + (uint64_t)getpid();
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % n;
}

static void dawdle(uint32_t n)
{
    for (uint32_t i = dice(n + 1); i; i--)
        mp__cpu_relax();
}

void mp__probe(bool armed)
{
    if (!jitter)
        return;
    if (one_cpu) { // the other one can only come in here
        if (dice(armed ? 2 : 6) == 0)
            sched_yield();
    } else if (armed) {
        if (dice(3))
            dawdle(dice(4) ? 300 : 3000);
    } else if (dice(4) == 0) {
        dawdle(dice(16) ? 100 : 1000);
    }
}

bool mp__probe_omits(enum mp__step step)
{
    return step == MP__SLICES ? no_slices : step == omitted;
}

// ---- what to do, and what to say when nothing moves ------------------------------------

struct plan {
    const char *name;
    bool one_cpu, no_spin;
    bool foreign;        // waits through the descriptor, too
    bool space;          // it is room that is waited for
    bool handles;        // some messages carry them
    enum mp__step omit;  // by both sides
    bool omit_in_sender; // or by the sender only
    int rounds;
    int bound_ms; // a wait that takes longer was not woken
};

static const struct plan *plan;
static const struct mp__ring *rings; // both, as long as this process lives
static const char *side;

static void show_ring(const char *name, const struct mp__ring *r)
{
    dprintf(2, "  %s: head %llu tail %llu cap %llu need %llu want_data %u want_space %u state %u\n",
            name, (unsigned long long)r->head, (unsigned long long)r->tail,
            (unsigned long long)r->cap, (unsigned long long)r->need, r->want_data, r->want_space,
            r->state);
}

// Ends this process, saying where both ends stand.
static _Noreturn void give_up(int code, const mp_pipe *p, long round, const char *what)
{
    if (plan->omit == MP__NOTHING) {
        dprintf(2, "%s, %s, round %ld: %s\n", plan->name, side, round, what);
        show_ring("a to b", &rings[0]);
        show_ring("b to a", &rings[1]);
        struct pollfd f[2] = {{.fd = p->channel.bell, .events = POLLIN},
                              {.fd = p->channel.sock, .events = POLLIN | POLLRDHUP}};
        poll(f, 2, 0);
        dprintf(2, "  here: sent %llu received %llu bell %x socket %x rung %d ended %u\n",
                (unsigned long long)p->channel.tx.ring.pos,
                (unsigned long long)p->channel.rx.ring.pos, (unsigned)f[0].revents,
                (unsigned)f[1].revents, p->channel.rx.rung, p->channel.ended);
    }
    _exit(code);
}

// ---- strict ping-pong ------------------------------------------------------------------

static int epoll_of(mp_pipe *p)
{
    int ep = epoll_create1(EPOLL_CLOEXEC), fd = mp_pipe_fd(p);
    struct epoll_event ev = {.events = EPOLLIN};
    mptest_require(ep >= 0 && fd >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
    return ep;
}

// Waits for a message in one of the ways, and takes it.
static int64_t take(mp_pipe *p, int ep, void *buf, size_t cap)
{
    int ms = plan->bound_ms;
    int64_t r;
    struct epoll_event ev;
    mp_wait_item item = MP_WAIT_PIPE(p);
    uint32_t way = dice(plan->foreign ? 8 : 4);
    // As event loops do: take what there is, and if that is nothing, wait. Only then
    // can a message come between the two looks of settle().
    if (way >= 4 && dice(2) && (r = mp_pipe_recv(p, buf, cap, 0)) != MP_ETIMEDOUT)
        return r;
    switch (way) {
    case 0:
        if (mp_wait(&item, 1, ms) != 1)
            return MP_ETIMEDOUT;
        break;
    case 1: // short timeouts
        for (mp__deadline d = mp__deadline_in(ms); mp__left_ns(d) > 0;)
            if ((r = mp_pipe_recv(p, buf, cap, (int)dice(2))) != MP_ETIMEDOUT)
                return r;
        return MP_ETIMEDOUT;
    case 2:
        if (mp_pipe_poll(p, ms) != 1)
            return MP_ETIMEDOUT;
        break;
    case 4:
    case 5: {
        struct pollfd f = {.fd = mp_pipe_fd(p), .events = POLLIN};
        if (poll(&f, 1, ms) != 1)
            return MP_ETIMEDOUT;
        break;
    }
    case 6:
    case 7:
        if (epoll_wait(ep, &ev, 1, ms) != 1)
            return MP_ETIMEDOUT;
        break;
    }
    return mp_pipe_recv(p, buf, cap, ms);
}

// A descriptor may be readable for nothing, when a bell comes late: wait again.
static void take_in_time(mp_pipe *p, int ep, uint64_t *got, long round)
{
    int64_t start = mp__now();
    int64_t r = take(p, ep, got, sizeof *got);
    // A timed wait looks once more in the end, and finds what it was not woken for.
    if (mp__now() - start > (int64_t)plan->bound_ms * 1000000 || r == MP_ETIMEDOUT)
        give_up(LOST, p, round, "was not woken");
    if (r == MP_EOF)
        _exit(LOST); // the other side gave up, and has said so
    if (r != sizeof *got)
        give_up(WRONG, p, round, mp_err_name(r));
}

static void ping_pong(mp_pipe *p, bool first)
{
    int ep = plan->foreign ? epoll_of(p) : -1;
    for (long i = 0; i < plan->rounds; i++) {
        uint64_t got = 0, mine = (uint64_t)i;
        if (!first)
            take_in_time(p, ep, &got, i);
        dawdle(300);
        int r = mp_pipe_send(p, &mine, sizeof mine, plan->bound_ms);
        if (r < 0 && r != MP_EPIPE)
            give_up(WRONG, p, i, mp_err_name(r));
        dawdle(300);
        if (first)
            take_in_time(p, ep, &got, i);
        if (got != mine)
            give_up(WRONG, p, i, "another message");
    }
    if (ep >= 0)
        close(ep);
}

// ---- strict exchange of space ----------------------------------------------------------

// The ring is 4 KiB and a message a quarter of it, so a sender that sleeps left four.
// The receiver goes on while it sees two or more in the memory; below that more than
// half is free, and the sender was rung, or nobody ever moves again. (Its regular
// looks without being rung are left out here.)
#define QUARTER (4096 / 4 - 8)

static void send_space(mp_pipe *p)
{
    char buf[QUARTER] = "";
    for (long i = 0; i < plan->rounds; i++) {
        int64_t start = mp__now();
        int r = mp_pipe_send(p, buf, sizeof buf, plan->bound_ms);
        if (r == MP_ETIMEDOUT || mp__now() - start > (int64_t)plan->bound_ms * 1000000)
            give_up(LOST, p, i, "was not woken");
        if (r < 0)
            give_up(WRONG, p, i, mp_err_name(r));
        dawdle(100);
    }
}

static void await_half(mp_pipe *p, long round)
{
    struct mp__channel *c = &p->channel;
    struct mp__ring_rx *x = &c->rx.ring;
    mp__deadline d = mp__deadline_in(2 * plan->bound_ms);
    while (x->ring->head - x->pos < 2048) {
        if (mp__left_ns(d) == 0 || x->ring->state || mp__channel_look_gone(c))
            give_up(LOST, p, round, "nothing comes any more");
        if (one_cpu || dice(8) == 0)
            sched_yield();
    }
}

static void take_space(mp_pipe *p)
{
    char buf[QUARTER];
    for (long i = 0; i < plan->rounds; i++) {
        if (plan->rounds - i >= 2)
            await_half(p, i);
        dawdle(dice(4) ? 300 : 3000);
        int64_t r = mp_pipe_recv(p, buf, sizeof buf, plan->bound_ms);
        if (r != QUARTER)
            give_up(WRONG, p, i, mp_err_name(r));
        dawdle(100);
    }
}

// ---- strict exchange of space, beside parcels ---------------------------------------------

// On one side a thread sends into a full ring, and another takes descriptors out of the
// socket that brings the first one's "space". The other side takes all that fits, says so,
// sends a descriptor right behind, and waits for as much again.

static void *send_quarters(void *arg)
{
    send_space(arg);
    return NULL;
}

static void take_beside_a_sender(mp_pipe *p)
{
    pthread_t t;
    mptest_require(pthread_create(&t, NULL, send_quarters, p) == 0);
    for (long i = 0; i < plan->rounds; i += 4) {
        int fd = mp_pipe_recv_fd(p, 2 * plan->bound_ms);
        if (fd < 0)
            give_up(fd == MP_EOF ? LOST : WRONG, p, i, mp_err_name(fd));
        close(fd);
    }
    mptest_require(pthread_join(t, NULL) == 0);
}

static void send_behind_space(mp_pipe *p)
{
    char buf[QUARTER];
    for (long i = 0; i < plan->rounds; i++) {
        int64_t r = mp_pipe_recv(p, buf, sizeof buf, plan->bound_ms);
        if (r == MP_ETIMEDOUT)
            give_up(LOST, p, i, "nothing comes any more");
        if (r != QUARTER)
            give_up(WRONG, p, i, mp_err_name(r));
        if (i % 4 != 3)
            continue;
        dawdle(100);
        if ((r = mp_pipe_send_fd(p, 0, plan->bound_ms)) < 0)
            give_up(WRONG, p, i, mp_err_name(r));
    }
}

// ---- running a plan --------------------------------------------------------------------

static void pin(int cpu)
{
    cpu_set_t have, want;
    CPU_ZERO(&want);
    mptest_require(sched_getaffinity(0, sizeof have, &have) == 0);
    for (int i = 0, k = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &have) && k++ == cpu)
            CPU_SET(i, &want);
    if (CPU_COUNT(&want))
        mptest_require(sched_setaffinity(0, sizeof want, &want) == 0);
}

static int second_side(void *arg)
{
    side = "b";
    seed = 0;
    if (plan->omit_in_sender)
        omitted = MP__NOTHING;
    if (plan->space && plan->handles)
        send_behind_space(arg);
    else if (plan->space)
        take_space(arg);
    else
        ping_pong(arg, false);
    mp_pipe_free(arg);
    return 0;
}

// In a process of its own, which starts the other one: 0, LOST, WRONG.
static int run_plan(void *arg)
{
    plan = arg;
    side = "a";
    omitted = plan->omit;
    no_slices = plan->space;
    one_cpu = plan->one_cpu;
    if (one_cpu)
        pin(0);
    setenv("MP_SPIN", plan->no_spin ? "0" : "1", 1);

    mp_pipe *a, *b;
    mp_process *child;
    mp_pipe_opts opts = {.ring_size = 4096, .ring_max = 4096};
    mptest_require(mp_pipe_new(&a, &b, &opts) == 0);
    rings = mmap(NULL, 4096, PROT_READ, MAP_SHARED, a->channel.memfd, 0);
    mptest_require(rings != MAP_FAILED);
    mp_process_opts give = {.give = (mp_pipe *[]){b, NULL}};
    mptest_require(mp_process_start(&child, second_side, b, &give) == 0);
    if (plan->space && plan->handles)
        take_beside_a_sender(a);
    else if (plan->space)
        send_space(a);
    else
        ping_pong(a, true);
    int code = -1;
    mptest_require(mp_process_join(child, 60000) == 0 && mp_process_exitcode(child, &code) == 0);
    mp_process_free(child);
    mp_pipe_free(b);
    mp_pipe_free(a);
    munmap((void *)(uintptr_t)rings, 4096);
    return code;
}

static int scaled(int rounds)
{
    if (getenv("MP_TEST_LONG"))
        rounds *= 20;
    return MPTEST_ASAN || MPTEST_TSAN ? rounds / 4 : rounds;
}

static void run_all_ways(struct plan p, int rounds, int rounds_asleep)
{
    for (int way = 0; way < 4; way++) {
        char name[100];
        p.one_cpu = way & 1;
        p.no_spin = way & 2;
        p.rounds = scaled(p.no_spin ? rounds_asleep : rounds);
        p.bound_ms = 10000;
        snprintf(name, sizeof name, "%s, %s, %s", p.name, p.one_cpu ? "one CPU" : "all CPUs",
                 p.no_spin ? "not spinning" : "spinning");
        p.name = name;
        ck_assert_msg(mptest_in_child(run_plan, &p) == 0, "%s", name);
        p.name = "";
    }
}

MP_TEST_TIMEOUT(ping_pong_loses_no_wake_up, 600)
{
    run_all_ways((struct plan){.name = "ping-pong"}, 20000, 8000);
}

MP_TEST_TIMEOUT(ping_pong_through_the_descriptor_loses_no_wake_up, 600)
{
    run_all_ways((struct plan){.name = "ping-pong, foreign", .foreign = true}, 15000, 8000);
}

MP_TEST_TIMEOUT(waiting_for_space_loses_no_wake_up, 600)
{
    run_all_ways((struct plan){.name = "space", .space = true}, 40000, 20000);
}

MP_TEST_TIMEOUT(waiting_for_space_beside_parcels_loses_no_wake_up, 600)
{
    run_all_ways((struct plan){.name = "parcels", .space = true, .handles = true}, 20000, 10000);
}

// ---- streams both ways ------------------------------------------------------------------

// A thread sends and another receives on each end, messages of 0 bytes to three times
// the largest ring, while the rings grow; some carry descriptors, so that both threads
// read the socket for different things. Both sides know the messages by heart.

struct stream {
    mp_pipe *pipe;
    uint64_t out, in; // what the messages are made from
    int messages;
    bool foreign;
};

static uint64_t scramble(uint64_t x)
{
    x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
    return x ^ (x >> 32);
}

static size_t nth_size(uint64_t stream, int n)
{
    uint64_t x = scramble(stream + (uint64_t)n * 2);
    switch (x & 15) {
    case 0:
        return 0;
    case 1:
        return (x >> 8) % (3 * 65536);
    case 2:
    case 3:
        return (x >> 8) % (3 * 4096);
    default:
        return (x >> 8) % 200;
    }
}

static void nth_message(uint64_t stream, int n, unsigned char *buf, size_t size)
{
    uint64_t x = scramble(stream + (uint64_t)n * 2 + 1);
    for (size_t i = 0; i < size; i++)
        buf[i] = (unsigned char)((x >> (i % 8 * 8)) + i / 8);
}

static size_t nth_handles(uint64_t stream, int n)
{
    uint64_t x = scramble(stream + (uint64_t)n * 2 + 1);
    return plan->handles && (x >> 40) % 4 == 0 ? 1 + (x >> 50) % 3 : 0;
}

// Descriptors that tell which message they belong to.
static void nth_open(int n, mp_handle *h, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int fd = eventfd((unsigned)(n * 4 + 1) + (unsigned)i, EFD_CLOEXEC | EFD_NONBLOCK);
        mptest_require(fd >= 0);
        h[i] = MP_HANDLE(fd);
    }
}

static bool are_nth(int n, mp_handle *h, size_t count)
{
    bool ok = true;
    for (size_t i = 0; i < count; i++) {
        uint64_t x = 0;
        int fd = mp_handle_take_fd(&h[i]);
        ok = ok && read(fd, &x, sizeof x) == sizeof x && x == (uint64_t)n * 4 + 1 + i;
        close(fd);
    }
    return ok;
}

static void *send_stream(void *arg)
{
    struct stream *s = arg;
    unsigned char *buf = malloc(3 * 65536);
    mptest_require(buf);
    for (int i = 0; i < s->messages; i++) {
        size_t size = nth_size(s->out, i);
        nth_message(s->out, i, buf, size);
        mp_handle h[3];
        size_t n = nth_handles(s->out, i);
        nth_open(i, h, n);
        int r;
        do
            r = mp_pipe_send_handles(s->pipe, buf, size, h, n,
                                     dice(2) ? plan->bound_ms : (int)dice(2));
        while (r == MP_ETIMEDOUT);
        if (r < 0)
            give_up(WRONG, s->pipe, i, mp_err_name(r));
        mp_handle_close(h, n);
    }
    free(buf);
    return NULL;
}

static void take_stream(struct stream *s)
{
    unsigned char *buf = malloc(3 * 65536), *want = malloc(3 * 65536);
    mptest_require(buf && want);
    int fd = s->foreign ? mp_pipe_fd(s->pipe) : -1;
    for (int i = 0; i < s->messages; i++) {
        void *got = buf;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (s->foreign && dice(2) && poll(&p, 1, plan->bound_ms) != 1)
            give_up(LOST, s->pipe, i, "was not woken");
        int64_t r = dice(8) ? mp_pipe_recv(s->pipe, buf, 3 * 65536, plan->bound_ms)
                            : mp_pipe_recv_new(s->pipe, &got, plan->bound_ms);
        mp_handle h[3];
        size_t n = 3, carried = nth_handles(s->in, i);
        if (carried && r == MP_ETYPE) {
            got = buf;
            r = mp_pipe_recv_handles(s->pipe, buf, 3 * 65536, h, &n, plan->bound_ms);
            if (r >= 0 && (n != carried || !are_nth(i, h, n)))
                give_up(WRONG, s->pipe, i, "other handles");
        } else if (carried) {
            give_up(WRONG, s->pipe, i, "no handles");
        }
        if (r < 0)
            give_up(WRONG, s->pipe, i, mp_err_name(r));
        nth_message(s->in, i, want, (size_t)r);
        if ((size_t)r != nth_size(s->in, i) || memcmp(got, want, (size_t)r) != 0)
            give_up(WRONG, s->pipe, i, "another message");
        if (got != buf)
            free(got);
    }
    free(buf);
    free(want);
}

static int stream_side(struct stream *s)
{
    pthread_t t;
    mptest_require(pthread_create(&t, NULL, send_stream, s) == 0);
    take_stream(s);
    mptest_require(pthread_join(t, NULL) == 0);
    return 0;
}

static int far_side(void *arg)
{
    struct stream *s = arg;
    side = "b";
    return stream_side(&(struct stream){s->pipe, s->in, s->out, s->messages, !s->foreign});
}

static int run_streams(void *arg)
{
    plan = arg;
    side = "a";
    no_slices = plan->handles;
    one_cpu = plan->one_cpu;
    if (one_cpu)
        pin(0);
    setenv("MP_SPIN", plan->no_spin ? "0" : "1", 1);
    mp_pipe *a, *b;
    mp_process *child;
    mp_pipe_opts opts = {.ring_size = 4096, .ring_max = 65536};
    mptest_require(mp_pipe_new(&a, &b, &opts) == 0);
    rings = mmap(NULL, 4096, PROT_READ, MAP_SHARED, a->channel.memfd, 0);
    mptest_require(rings != MAP_FAILED);
    struct stream s = {b, dice(1u << 30), dice(1u << 30), plan->rounds, plan->foreign};
    mp_process_opts give = {.give = (mp_pipe *[]){b, NULL}};
    mptest_require(mp_process_start(&child, far_side, &s, &give) == 0);
    s.pipe = a;
    stream_side(&s);
    int code = -1;
    mptest_require(mp_process_join(child, 60000) == 0 && mp_process_exitcode(child, &code) == 0);
    mptest_require(rings[0].cap > 4096 && rings[1].cap > 4096); // both grew
    mp_process_free(child);
    mp_pipe_free(b);
    mp_pipe_free(a);
    munmap((void *)(uintptr_t)rings, 4096);
    return code;
}

MP_TEST_TIMEOUT(streams_both_ways_arrive_as_they_were_sent, 300)
{
    for (int way = 0; way < 4; way++) {
        struct plan p = {.name = way & 2 ? "streams, foreign" : "streams",
                         .one_cpu = way & 1,
                         .no_spin = way == 1 || way == 2,
                         .foreign = way & 2,
                         .rounds = scaled(20000),
                         .bound_ms = 20000};
        ck_assert_int_eq(mptest_in_child(run_streams, &p), 0);
    }
}

// Here a sender sleeps until it is rung, and the thread beside it must not take that away.
MP_TEST_TIMEOUT(streams_with_handles_arrive_as_they_were_sent, 300)
{
    for (int way = 0; way < 4; way++) {
        struct plan p = {.name = way & 2 ? "handles, foreign" : "handles",
                         .one_cpu = way & 1,
                         .no_spin = way == 1 || way == 2,
                         .foreign = way & 2,
                         .handles = true,
                         .rounds = scaled(8000),
                         .bound_ms = 20000};
        ck_assert_int_eq(mptest_in_child(run_streams, &p), 0);
    }
}

// ---- is a broken channel caught? ---------------------------------------------------------

static void must_catch(const char *what, struct plan p)
{
    int caught = 0;
    p.name = what;
    p.bound_ms = 300;
    p.no_spin = true; // asleep as often as can be
    // Not spinning, one side on its way to sleep meets the other within some thousand
    // rounds. On one CPU it has to let the other in there: to lose time is of no use.
    for (int way = mp_cpu_count() < 2; way < 2 && !caught; way++) {
        p.one_cpu = way;
        p.rounds = 2000000;
        caught = mptest_in_child(run_plan, &p);
    }
    ck_assert_msg(caught == LOST, "a channel %s passes: %d", what, caught);
}

MP_TEST_TIMEOUT(no_second_look_is_caught, 200)
{
    must_catch("without the second look", (struct plan){.omit = MP__RECHECK});
}

MP_TEST_TIMEOUT(no_bell_is_caught, 200)
{
    must_catch("that rings no bell", (struct plan){.omit = MP__BELL});
}

MP_TEST_TIMEOUT(no_second_look_of_settle_is_caught, 200)
{
    must_catch("whose settle does not look again",
               (struct plan){.omit = MP__SETTLE_RECHECK, .foreign = true});
}

MP_TEST_TIMEOUT(no_bell_of_settle_is_caught, 200)
{
    must_catch("whose settle rings no bell",
               (struct plan){.omit = MP__SETTLE_BELL, .foreign = true});
}

MP_TEST_TIMEOUT(no_second_look_for_space_is_caught, 200)
{
    must_catch("without the second look for space",
               (struct plan){.omit = MP__RECHECK, .omit_in_sender = true, .space = true});
}

MP_TEST_TIMEOUT(taking_the_space_of_a_sleeper_is_caught, 200)
{
    must_catch("that takes the space byte of its own sender",
               (struct plan){.space = true, .handles = true, .omit = MP__WATCH});
}

MP_TEST_TIMEOUT(no_space_byte_is_caught, 200)
{
    must_catch("that does not tell of space", (struct plan){.omit = MP__SPACE_BYTE, .space = true});
}
