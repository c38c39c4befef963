// SPDX-License-Identifier: MIT
//
// For random programs: who takes part, what each is in the middle of, and what became of
// what was handed on.
//
// A participant is a thread that has a seat in memory that all share. It notes the call that it
// makes there, so that one that never returns has a name; and what it would take along if it were
// killed now, so that a loss can be told from an accident. What is handed on by queues and
// lists carries a ticket, and the world notes what became of each.
#ifndef HOSTILE_H
#define HOSTILE_H

#include "crew.h"

#include <errno.h>
#include <limits.h>
#include <mp/mp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define TICKETS (1u << 20)

// ThreadSanitizer sees what threads do to each other, and not what other processes do in
// between: for it, one process of threads.
#define CREW    (MPTEST_TSAN ? 1 : 4)
#define THREADS (MPTEST_TSAN ? 4 : 2)
#define SEATS   (CREW * THREADS + 1) // and one for the test itself

// What is known of a ticket, as bits.
enum { PUT = 1, GOT = 2, ACKED = 4, REFUSED = 8 };

struct seat {
    const char *_Atomic call; // that it is in; NULL: in none
    _Atomic int64_t since;    // ms
    _Atomic uint32_t holds;   // tickets that nobody sees if it is killed now << 8 | where
    _Atomic uint32_t calls;
};

struct world {
    uint64_t seed;
    _Atomic bool over;
    _Atomic bool ending; // queues may be shut down
    _Atomic uint32_t tickets;
    _Atomic uint8_t fate[TICKETS];
    _Atomic uint8_t where[TICKETS]; // it was put
};

static struct world *world;
static _Thread_local struct seat *my_seat;
static _Thread_local mp_random my_random;
static _Thread_local bool alone; // the only thread of its process

// ---- chance ----

static inline uint32_t below(uint32_t n)
{
    return (uint32_t)mp_random_below(&my_random, n);
}

static inline bool one_in(uint32_t n)
{
    return below(n) == 0;
}

// Never so long that a stopped neighbour looks like a hang.
static inline int some_ms(void)
{
    static const int ms[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 5};
    return ms[below(sizeof ms / sizeof *ms)];
}

static inline int no_timeout(void)
{
    static const int ms[] = {-2, -1000, INT32_MIN};
    return ms[below(3)];
}

// ---- calls ----

// Says what is wrong, and by which seed, and ends the process; the test sees that.
#define hostile_fail(...)                                                                          \
    do {                                                                                           \
        dprintf(2, "%s:%d: MP_TEST_SEED=%llu: ", __FILE__, __LINE__,                               \
                (unsigned long long)world->seed);                                                  \
        dprintf(2, __VA_ARGS__);                                                                   \
        dprintf(2, "\n");                                                                          \
        _exit(99);                                                                                 \
    } while (0)
#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            hostile_fail("%s", #condition);                                                        \
    } while (0)

static inline void enter(const char *call)
{
    atomic_store_explicit(&my_seat->since, mptest_ms(), memory_order_relaxed);
    atomic_store_explicit(&my_seat->call, call, memory_order_relaxed);
    atomic_fetch_add_explicit(&my_seat->calls, 1, memory_order_relaxed);
}

static inline void leave(void)
{
    atomic_store_explicit(&my_seat->call, NULL, memory_order_relaxed);
}

// What nobody may be told who did nothing but calls: memory that is damaged, our own bugs,
// the system's complaints about our arguments.
static inline bool is_wrong(int64_t r)
{
    return r < 0 && (r == MP_EBUG || r == MP_EFORMAT || r == MP_EPROTO || r == -EINVAL ||
                     r == -EFAULT || r == -EBADF || strcmp(mp_err_name(r), "unknown") == 0);
}

// The result of a call.
#define CALL(expression)                                                                           \
    ({                                                                                             \
        enter(#expression);                                                                        \
        int64_t call_r = (expression);                                                             \
        leave();                                                                                   \
        if (is_wrong(call_r))                                                                      \
            hostile_fail("%s: %s", #expression, mp_err_name(call_r));                              \
        call_r;                                                                                    \
    })
#define CALL_VOID(expression)                                                                      \
    do {                                                                                           \
        enter(#expression);                                                                        \
        expression;                                                                                \
        leave();                                                                                   \
    } while (0)
// One whose result is certain.
#define EXPECT(expression, want)                                                                   \
    do {                                                                                           \
        int64_t expect_r = CALL(expression);                                                       \
        if (expect_r != (want))                                                                    \
            hostile_fail("%s: %s (%lld), not %s", #expression, mp_err_name(expect_r),              \
                         (long long)expect_r, #want);                                              \
    } while (0)

// ---- tickets ----

struct item {
    uint32_t ticket, size;
    unsigned char fill[];
};

#define ITEM_MAX 24000

// A new ticket in buf, of a size by chance; 0: there are no more. Its size is at least 8.
static inline uint32_t item_make(void *buf, uint8_t where)
{
    uint32_t t = atomic_fetch_add(&world->tickets, 1) + 1;
    if (t >= TICKETS)
        return 0;
    uint32_t size = one_in(64) ? 8 + below(ITEM_MAX - 8) : 8 + below(one_in(8) ? 3000 : 100);
    struct item *i = buf;
    *i = (struct item){t, size};
    memset(i->fill, (int)t, size - 8);
    atomic_store(&world->where[t], where);
    return t;
}

static inline void item_was(uint32_t t, uint8_t fate)
{
    atomic_fetch_or(&world->fate[t], fate);
}

// What came is what was put. Returns its ticket.
static inline uint32_t item_check(const void *buf, int64_t size, uint8_t where)
{
    const unsigned char *at = buf;
    struct item i;
    must(size >= 8);
    memcpy(&i, buf, sizeof i);
    must(size == i.size && i.ticket > 0 && i.ticket < TICKETS);
    for (uint32_t k = sizeof i; k < i.size; k++)
        must(at[k] == (unsigned char)i.ticket);
    must(atomic_load(&world->where[i.ticket]) == where);
    must(!(atomic_load(&world->fate[i.ticket]) & REFUSED));
    return i.ticket;
}

// It came, for good.
static inline void item_came(const void *buf, int64_t size, uint8_t where)
{
    uint32_t t = item_check(buf, size, where);
    uint8_t was = atomic_fetch_or(&world->fate[t], GOT);
    if (was & GOT)
        hostile_fail("ticket %u of %u came twice", t, where);
}

// How many were put there and have not become `wanted`.
static inline uint32_t items_lost(uint8_t where, uint8_t wanted)
{
    uint32_t lost = 0, n = atomic_load(&world->tickets) + 1;
    for (uint32_t t = 1; t < n && t < TICKETS; t++) {
        uint8_t fate = atomic_load(&world->fate[t]);
        lost += atomic_load(&world->where[t]) == where && fate & PUT && !(fate & wanted);
    }
    return lost;
}

// ---- what all share ----

#define QUEUES 8
enum { AT_LIST = QUEUES, PLACES };

static const mp_queue_opts queue_kinds[QUEUES] = {
    {.max_items = 8},
    {.max_bytes = 100000},
    {.max_items = 200},
    {.kind = MP_LIFO, .max_items = 20},
    {.kind = MP_PRIORITY},
    {.ack = true, .max_items = 30},
    {.kind = MP_PRIORITY, .ack = true},
    {.max_items = 1},
};

// Who is inside what only one may be in, and a count with its bounds.
enum { BY_LOCK, BY_RLOCK, BY_CONDITION, BY_WRITE, BY_VALUE, GUARDS };

struct count {
    _Atomic int64_t begun, done;
};

static struct stage {
    struct world world;
    struct seat seat[SEATS];
    _Atomic uint32_t guard[GUARDS];
    uint64_t written[2]; // under the rwlock: equal
    struct count atomic_adds, dict_adds;
} * stage;

static struct {
    mp_arena *arena;
    mp_lock *lock;
    mp_rlock *rlock;
    mp_semaphore *semaphore, *robust;
    mp_condition *condition, *on_lock, *on_rlock; // one with a lock of its own
    mp_event *event;
    mp_barrier *barrier;
    mp_rwlock *rwlock;
    mp_value *number, *pair;
    mp_array *array;
    mp_shm_dict *counts, *dict;
    mp_shm_list *list;
    mp_queue *queue[QUEUES];
} all;

#define UNITS 3
#define CELLS 100

// Room for what is put, and for what comes.
static _Alignas(8) _Thread_local unsigned char big[8 * ITEM_MAX];

static mp_pipe *home; // to the test, in those that were given it
static char names[6][65];

#endif
