// SPDX-License-Identifier: MIT
//
// Producers and consumers killed between two stores. Items say what they are, so one that is
// torn, or made of two, is seen.
#include "points.h"

#include <mp/queue.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

struct stamped {
    uint32_t number, size, check;
};

// Items that were put, or died on the way; items that were got.
static struct {
    _Atomic uint64_t put, got;
} * tally;

static void put_stamped(mp_queue *q, size_t size)
{
    static unsigned char buf[8192];
    struct stamped s = {(uint32_t)rand(), (uint32_t)size, 0};
    s.check = s.number ^ s.size ^ 0x5bd1e995;
    memset(buf, (int)(s.number & 255), size);
    memcpy(buf, &s, sizeof s);
    atomic_fetch_add(&tally->put, 1);
    int r = mp_queue_put(q, buf, size, 0);
    mptest_require(r == 0 || r == MP_ETIMEDOUT);
    if (r < 0)
        atomic_fetch_sub(&tally->put, 1);
}

// Whether there was an item. What is got is whole.
static bool get_stamped(mp_queue *q)
{
    static unsigned char buf[8192];
    struct stamped s;
    int64_t n = mp_queue_get(q, buf, sizeof buf, 0);
    if (n == MP_ETIMEDOUT)
        return false;
    mptest_require(n >= (int64_t)sizeof s);
    memcpy(&s, buf, sizeof s);
    mptest_require(s.size == n && s.check == (s.number ^ s.size ^ 0x5bd1e995));
    for (int64_t i = sizeof s; i < n; i++)
        mptest_require(buf[i] == (s.number & 255));
    atomic_fetch_add(&tally->got, 1);
    return true;
}

static void start_tally(void)
{
    if (!tally)
        tally =
            mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(tally, MAP_FAILED);
    atomic_store(&tally->put, 0);
    atomic_store(&tally->got, 0);
}

static void *make_fifo(void)
{
    mp_queue *q;
    start_tally();
    mp_assert_ok(mp_queue_new(&q, &(mp_queue_opts){.max_bytes = 1 << 20}));
    return q;
}

static void *make_lifo(void)
{
    mp_queue *q;
    start_tally();
    mp_assert_ok(mp_queue_new(&q, &(mp_queue_opts){.kind = MP_LIFO, .max_bytes = 1 << 20}));
    return q;
}

static void *make_acked(void)
{
    mp_queue *q;
    start_tally();
    mp_assert_ok(mp_queue_new(&q, &(mp_queue_opts){.ack = true, .max_bytes = 1 << 20}));
    return q;
}

static void use(void *q)
{
    int n = rand() % 20 == 0 ? 400 : 10;
    mptest_require(mp_queue_fd(q) >= 0); // so that it is rung
    for (int i = 0; i < n; i++)
        put_stamped(q, i % 10 == 9 ? 5000 : 12 + (size_t)rand() % 300);
    for (int i = 0; i < n; i++)
        get_stamped(q);
}

// Acknowledges most of what it gets, gives some back, and keeps some until it ends.
static void use_acked(void *q)
{
    char buf[512];
    mp_queue_item item;
    for (int i = 0; i < 10; i++)
        put_stamped(q, 12 + (size_t)rand() % 300);
    for (int i = 0; i < 10; i++) {
        if (mp_queue_get_item(q, buf, sizeof buf, &item, 0) < 0)
            continue;
        int r = i == 3 ? mp_queue_return(q, item.tag) : i == 7 ? 0 : mp_queue_ack(q, item.tag);
        mptest_require(r == 0);
    }
}

static void drains_whole(void *q)
{
    while (get_stamped(q))
        continue;
    ck_assert_int_eq(mp_queue_size(q), 0);
    ck_assert_uint_le(atomic_load(&tally->got), atomic_load(&tally->put)); // none twice
    put_stamped(q, 100);
    ck_assert(get_stamped(q));
}

static bool is_drained(mp_queue *q)
{
    int64_t n;
    char buf[8192];
    while ((n = mp_queue_get(q, buf, sizeof buf, 100)) >= 0)
        mp_assert_ok(mp_queue_task_done(q));
    mp_assert_err(n, MP_ETIMEDOUT);
    return mp_queue_join(q, 0) == 0;
}

// Nobody lives but this process: all that others had comes back.
static void drains_acked(void *q)
{
    ck_assert(mptest_eventually(is_drained(q), 10000));
}

static void end(void *q)
{
    mp_queue_free(q);
}

KILL_AT_POINTS(fifo, .points = "queue.", .make = make_fifo, .round = use, .check = drains_whole,
               .end = end)
KILL_AT_POINTS(lifo, .points = "ordered.", .make = make_lifo, .round = use, .check = drains_whole,
               .end = end)
KILL_AT_POINTS(acked, .points = "acked.", .make = make_acked, .round = use_acked,
               .check = drains_acked, .end = end)

// Who dies before he rang leaves it to the next.
MP_TEST(killed_before_ringing)
{
    mp_queue *q;
    char x;
    mp_assert_ok(mp_queue_new(&q, NULL));
    struct pollfd p = {.fd = mp_queue_fd(q), .events = POLLIN};
    points_arm("queue.ringing", 0, 1);
    pid_t pid = fork();
    if (pid == 0) {
        points_mortal();
        _exit(mp_queue_put(q, "a", 1, 0));
    }
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert_int_eq(points_disarm(), 1);
    ck_assert_int_eq(poll(&p, 1, 0), 0);
    mp_assert_ok(mp_queue_put(q, "b", 1, 0));
    ck_assert_int_eq(poll(&p, 1, 0), 1);
    mp_assert_ok(mp_queue_get(q, &x, 1, 0));
    ck_assert_int_eq(x, 'a');
    mp_queue_free(q);
}
