// SPDX-License-Identifier: MIT
//
// Histories of eight clients that are killed and stopped in the middle, recorded through the real
// daemon: what they saw must be what a single object could have answered in some order.
#include "linear.h"
#include "managertest.h"

#include <stdatomic.h>
#include <sys/mman.h>

enum { CLIENTS = 8, CALLS = 24, KINDS = 4 };

struct record {
    _Atomic int count; // begun
    struct linear_op ops[CALLS + 1];
};

// Shared by a history's processes.
struct board {
    _Atomic int ready, go;
    struct record records[CLIENTS];
};

enum { COUNTER, VALUE, LOCK, QUEUE };
static const struct linear_model *const models[KINDS] = {&linear_counter, &linear_value,
                                                         &linear_lock, &linear_queue};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// ---- a call of each kind -------------------------------------------------------------

// What the next call will be.
static struct linear_op draw_call(int kind, int64_t client, int number, unsigned draw, bool held)
{
    static const int ops[] = {LINEAR_SET, LINEAR_GET, LINEAR_CAS, LINEAR_DEL};
    struct linear_op o = {.client = client, .returned = LINEAR_NEVER};
    if (kind == COUNTER) {
        o.op = draw % 3 ? LINEAR_ADD : LINEAR_GET;
        o.a = o.op == LINEAR_ADD ? 1 + draw % 5 : 0;
    } else if (kind == VALUE) {
        o.op = ops[draw % 4];
        o.a = draw / 4 % 3;
        o.b = draw / 16 % 3;
    } else if (kind == LOCK) {
        o.op = held ? LINEAR_RELEASE : LINEAR_TRY;
    } else {
        o.op = draw % 2 ? LINEAR_PUT : LINEAR_TAKE;
        o.a = client * 1000 + number;
    }
    return o;
}

static int64_t do_value(mp_proxy *p, const struct linear_op *o)
{
    bool done = false;
    int64_t got = 0;
    int r = o->op == LINEAR_SET   ? mp_dict_set(p, "k", "I", o->a)
            : o->op == LINEAR_GET ? mp_dict_get(p, NULL, "k", "I", &got)
            : o->op == LINEAR_CAS
                ? mp_call(p, NULL, 0, "compare_and_set", "s I I > t", "k", o->a, o->b, &done)
                : mp_dict_del(p, "k");
    mptest_require(r == 0 || r == MP_ENOTFOUND);
    if (o->op == LINEAR_GET)
        return r == 0 ? got : LINEAR_NONE;
    return o->op == LINEAR_CAS ? r == 0 && done : o->op == LINEAR_DEL ? r == 0 : 0;
}

static int64_t do_lock(mp_proxy *p, bool *held)
{
    int r = *held ? mp_remote_lock_release(p) : mp_remote_lock_acquire(p, 0, NULL);
    mptest_require(r == 0 || (!*held && (r == MP_EAGAIN || r == MP_EOWNERDEAD)));
    *held = !*held && r != MP_EAGAIN;
    return *held;
}

static int64_t do_queue(mp_proxy *p, const struct linear_op *o)
{
    int64_t got = 0;
    int r = o->op == LINEAR_PUT ? mp_remote_queue_put(p, 0, "I", o->a)
                                : mp_remote_queue_get(p, NULL, 0, "I", &got);
    mptest_require(r == 0 || r == MP_EAGAIN);
    if (o->op == LINEAR_PUT)
        return r == 0 ? 0 : -1;
    return r == 0 ? got : LINEAR_NONE;
}

static int64_t do_counter(mp_proxy *p, const struct linear_op *o)
{
    int64_t sum;
    mptest_require(mp_counter_add(p, o->a, &sum) == 0);
    return sum;
}

// What is asked for is written down before the call; how it ended, if it did, behind it.
static void one_call(struct record *rec, mp_proxy *p, int kind, int64_t client, unsigned draw,
                     bool *held)
{
    int i = atomic_load(&rec->count);
    struct linear_op *o = &rec->ops[i];
    *o = draw_call(kind, client, i, draw, *held);
    o->called = now_ns();
    atomic_store(&rec->count, i + 1);
    o->result = kind == COUNTER ? do_counter(p, o)
                : kind == VALUE ? do_value(p, o)
                : kind == LOCK  ? do_lock(p, held)
                                : do_queue(p, o);
    atomic_signal_fence(memory_order_seq_cst);
    o->returned = now_ns();
}

// ---- a history -----------------------------------------------------------------------

static void client(struct board *b, mp_manager *m, mp_proxy *p, int kind, int number, unsigned seed)
{
    bool held = false;
    for (int i = 0; seed % 2 && i < 250; i++) // through rings
        mptest_require(mp_call(mp_manager_self(m), NULL, 0, "ping", "") == 0);
    mptest_require(mp_call(p, NULL, 0, "debug", "") == 0); // has a session, and a reference
    atomic_fetch_add(&b->ready, 1);
    while (!atomic_load(&b->go))
        usleep(50);
    for (int i = 0; i < CALLS; i++)
        one_call(&b->records[number], p, kind, number, (unsigned)rand_r(&seed), &held);
    for (;;)
        pause(); // so that what it holds goes when it is killed, which is written down
}

static mp_proxy *make_object(mp_manager *m, int kind)
{
    mp_proxy *p;
    static const char *const types[KINDS] = {"counter", "dict", "Lock", "Queue"};
    if (kind == QUEUE)
        mp_assert_ok(mp_manager_create(m, &p, types[kind], "i", 4));
    else
        mp_assert_ok(mp_manager_create(m, &p, types[kind], ""));
    return p;
}

static bool is_over(const struct board *b, int number)
{
    const struct record *r = &b->records[number];
    return atomic_load(&r->count) == CALLS && r->ops[CALLS - 1].returned != LINEAR_NEVER;
}

// From this moment on its lock may go to another.
static void kill_client(struct board *b, const pid_t *pids, int victim)
{
    struct linear_op *died = &b->records[victim].ops[CALLS];
    if (died->op == 0) // or it was killed before
        *died = (struct linear_op){
            .client = victim, .op = LINEAR_DIED, .called = now_ns(), .returned = LINEAR_NEVER};
    kill(pids[victim], SIGKILL);
}

// Kills two of them in the middle, stops a third for a while.
static void disturb(struct board *b, const pid_t *pids, unsigned *seed)
{
    for (int i = 0; i < 2; i++) {
        usleep((unsigned)rand_r(seed) % 800);
        kill_client(b, pids, rand_r(seed) % CLIENTS);
    }
    int stopped = rand_r(seed) % CLIENTS;
    kill(pids[stopped], SIGSTOP);
    usleep((unsigned)rand_r(seed) % 2000);
    kill(pids[stopped], SIGCONT);
}

static void check_history(mp_manager *m, int number)
{
    unsigned seed = 1000u + (unsigned)number;
    int kind = number % KINDS, status;
    pid_t pids[CLIENTS];
    struct linear_op all[CLIENTS * (CALLS + 1)];
    size_t n = 0;
    uint64_t bad;
    struct board *b =
        mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(b, MAP_FAILED);
    mp_proxy *p = make_object(m, kind);
    for (int i = 0; i < CLIENTS; i++)
        if ((pids[i] = fork()) == 0)
            client(b, m, p, kind, i, seed + (unsigned)i * 100);
    bool ready = mptest_eventually(atomic_load(&b->ready) == CLIENTS, LONG_MS);
    ck_assert(ready);
    atomic_store(&b->go, 1);
    disturb(b, pids, &seed);
    for (int i = 0; i < CLIENTS; i++) {
        if (b->records[i].ops[CALLS].op == 0) {
            bool over = mptest_eventually(is_over(b, i), LONG_MS);
            ck_assert_msg(over, "client %d of history %d is stuck", i, number);
        }
        kill_client(b, pids, i);
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_int_eq(WTERMSIG(status), SIGKILL);
    }
    for (int i = 0; i < CLIENTS; i++) {
        struct record *r = &b->records[i];
        for (int k = 0; k < atomic_load(&r->count); k++)
            all[n++] = r->ops[k];
        if (kind == LOCK)
            all[n++] = r->ops[CALLS];
    }
    enum linear_verdict v = linear_check(models[kind], all, n, &bad);
    ck_assert_msg(v == LINEAR_YES, "history %d (%s, %zu calls): %s", number, models[kind]->name, n,
                  v == LINEAR_NO ? "not linearizable" : "too hard to check");
    mp_proxy_free(p);
    munmap(b, sizeof *b);
}

MP_TEST_TIMEOUT(histories_are_linearizable, 300)
{
    int n = getenv("MP_TEST_LONG") ? 200 : 40;
    manager_begin(NULL);
    mp_manager *m = manager_connect(NULL);
    for (int i = 0; i < n; i++)
        check_history(m, i);
    mp_manager_free(m);
    manager_end();
}
