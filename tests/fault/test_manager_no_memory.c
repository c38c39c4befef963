// SPDX-License-Identifier: MIT
//
// A manager without memory: the same history again and again, while the Nth allocation of the
// core fails, and while all from the Nth on do, for all N there are. A request is refused then, or
// its connection closed; every invariant holds, and what was there can be used afterwards.
#include "mgr.h"

#include <errno.h>

#if !MPTEST_ASAN && !MPTEST_TSAN

#include "no_malloc.h"

static bool failed;

static void on_failure(void)
{
    failed = true;
}

static void count_answer(void *ctx, void *user, const void *data, size_t size)
{
    (void)ctx, (void)data, (void)size;
    ++*(int *)user;
}

static void count_record(void *ctx, const void *data, size_t size)
{
    (void)ctx, (void)data, (void)size;
}

struct said {
    int client;
    mp_buf message;
};
static struct said said[80];
static size_t count;

#define FIRST ((UINT64_C(0x77) << 40) + 1) // the number of the first object
#define POOL  (FIRST + 11)                 // behind a Condition and its lock

#define SAY(who, ...)                                                                              \
    do {                                                                                           \
        said[count].client = who;                                                                  \
        mp_assert_ok(mp_pack(&said[count++].message, __VA_ARGS__));                                \
    } while (0)

// Numbers of objects are those of a history in which nothing fails; else they are others, or none.
static void write_history(void)
{
    static const char *const types[] = {
        "list",  "dict",  "set",     "JoinableQueue", "Lock", "BoundedSemaphore",
        "Event", "Value", "counter", "Condition",     "Pool"};
    static const char text[] = "a text that is longer than eight bytes";
    struct mgr_ref ref = mgr_ref(FIRST + 1);
    int id = 1;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        SAY(0, "[iiiiss]", id++, MP__OP(MANAGER, get_or_create), 0, 0, types[i], types[i]);
    SAY(0, "[iiUis]", id++, MP__OP(LIST, append), FIRST, 0, text);
    SAY(0, "[iiUi[sis]]", id++, MP__OP(LIST, extend), FIRST, 0, text, 1, text);
    SAY(0, "[iiUiO#]", id++, MP__OP(LIST, append), FIRST, 0, ref.bytes, sizeof ref.bytes);
    SAY(0, "[iiUiii[ss]]", id++, MP__OP(LIST, set_slice), FIRST, 0, 0, 1, text, text);
    SAY(0, "[iiUii]", id++, MP__OP(LIST, repeat), FIRST, 0, 3);
    SAY(0, "[iiUiss]", id++, MP__OP(DICT, set), FIRST + 1, 0, text, text);
    SAY(0, "[iiUiss]", id++, MP__OP(DICT, set), FIRST + 1, 0, text,
        "another text, longer than eight");
    SAY(0, "[iiUi{s:s s:i}]", id++, MP__OP(DICT, update), FIRST + 1, 0, "x", text, text, 1);
    SAY(0, "[iiUi{s:s s:i}]", id++, MP__OP(DICT, merged), FIRST + 1, 0, "y", text, text, 1);
    SAY(0, "[iiUi[ssi]]", id++, MP__OP(SET, update), FIRST + 2, 0, text, "x", 1);
    SAY(0, "[iiUi[ssi]]", id++, MP__OP(SET, symmetric_difference_update), FIRST + 2, 0, "new", "x",
        1);
    SAY(0, "[iiUi[sss]]", id++, MP__OP(QUEUE, put_many), FIRST + 3, 0, text, text, text);
    SAY(1, "[iiUi]", id++, MP__OP(QUEUE, take), FIRST + 3, 0);
    SAY(2, "[iiUi]", id++, MP__OP(QUEUE, get), FIRST + 3, 0);
    SAY(0, "[iiUi]", id++, MP__OP(QUEUE, join), FIRST + 3, -1);
    SAY(0, "[iiUi]", id++, MP__OP(LOCK, acquire), FIRST + 4, 0);
    SAY(1, "[iiUiii]", id++, MP__OP(LOCK, acquire), FIRST + 4, 1000, 0, 50);
    SAY(2, "[iiUi]", id++, MP__OP(SEMAPHORE, acquire), FIRST + 5, 0);
    SAY(1, "[iiUi]", id++, MP__OP(SEMAPHORE, acquire), FIRST + 5, -1);
    SAY(1, "[iiUi]", id++, MP__OP(EVENT, wait), FIRST + 6, -1);
    SAY(0, "[iiUi]", id++, MP__OP(MANAGER, watch), FIRST + 1, 0);
    SAY(0, "[iiUi[ss]]", id++, MP__OP(VALUE, set), FIRST + 7, 0, text, text);
    SAY(2, "[iiUi]", id++, MP__OP(CONDITION, acquire), FIRST + 9, 0);
    SAY(2, "[iiUi]", id++, MP__OP(CONDITION, wait), FIRST + 9, -1);
    SAY(0, "[iiiin[iUss][iU][iUs]]", id++, MP__OP(MANAGER, batch), 0, 0, MP__OP(DICT, set),
        FIRST + 1, "k", text, MP__OP(EVENT, set), FIRST + 6, MP__OP(LIST, append), FIRST, text);
    SAY(0, "[iiUi]", id++, MP__OP(LOCK, release), FIRST + 4, 0);
    SAY(2, "[iiiii[ss]]", id++, MP__OP(MANAGER, serve_tasks), 0, -1, 2, "f", "g");
    SAY(0, "[iiUisi]", id++, MP__OP(POOL, apply), POOL, -1, "f", 1);
    SAY(0, "[iiUis[iiii]]", id++, MP__OP(POOL, map_async), POOL, 0, "g", 1, 2, 3, 4);
    SAY(2, "[iiiiiis#]", id++, MP__OP(MANAGER, task_done), 0, 0, 4096, 0, "\xa9nine char",
        (size_t)10);
    SAY(2, "[iiiiiis]", id++, MP__OP(MANAGER, task_done), 0, 0, 2 * 4096 + 1, MP_ETASK, text);
    SAY(1, "[iiUis[[is]]]", id++, MP__OP(POOL, starmap_async), POOL, 0, "g", 1, text);
    SAY(0, "[iiUii]", id++, MP__OP(POOL, get_each), POOL, 5000, 2);
    SAY(0, "[iiUii]", id++, MP__OP(POOL, cancel), POOL, 0, 2);
}

// One history; what it leaves must hold, and be of use.
static void live_through(long n)
{
    struct mp__core *c;
    struct mp__session *clients[3];
    int answers[3] = {0};
    struct mp__core_opts o = {.hooks = {.send = count_answer, .record = count_record},
                              .tasks = true,
                              .instance = UINT64_C(0x77) << 40};
    mp_assert_ok(mp__core_new(&c, &o));
    for (int i = 0; i < 3; i++)
        mp_assert_ok(mp__session_begin(c, &clients[i], &answers[i], MP__SESSION_ADMIN));
    left = n;
    for (size_t i = 0; i < count; i++) {
        struct said *s = &said[i];
        int r = mp__core_feed(c, clients[s->client], s->message.data, s->message.size, (int64_t)i);
        long kept = left;
        left = -1; // Check wants memory
        ck_assert_msg(r == 0 || r == -ENOMEM, "%s", mp_err_name(r));
        const char *why = mp__core_check(c);
        ck_assert_msg(!why, "allocation %ld, message %zu: %s", n, i, why);
        left = kept;
    }
    mp__session_end(c, clients[2], 100);
    mp__core_tick(c, INT64_C(2000000000));
    left = -1;
    ck_assert_ptr_null(mp__core_check(c));
    if (!failed) { // it is the history that it is meant to be
        uint64_t calls, errors;
        mp__core_calls(c, MP__OP(POOL, cancel), &calls, &errors);
        ck_assert(calls == 1 && errors == 0);
    }
    for (size_t i = 0; i < 2; i++) {
        int before = answers[0];
        mp_buf again = {0};
        mp_assert_ok(mp_pack(&again, "[iiii]", 1000, MP__OP(MANAGER, stats), 0, 0));
        mp_assert_ok(mp__core_feed(c, clients[0], again.data, again.size, INT64_C(3000000000)));
        ck_assert_int_eq(answers[0], before + 1);
        mp_buf_free(&again);
    }
    mp__core_free(c);
}

MP_TEST(any_allocation_may_fail)
{
    write_history();
    for (int good = 0; good < 2; good++) {
        for_good = good;
        failed = true;
        long n = 0;
        for (; failed; n++) {
            ck_assert_int_lt(n, 1000);
            failed = false;
            live_through(n);
        }
        ck_assert_int_gt(n, 50);
    }
    for (size_t i = 0; i < count; i++)
        mp_buf_free(&said[i].message);
}

#else

MP_TEST(any_allocation_may_fail)
{
    mp_skip("the sanitizer has an allocator of its own");
}

#endif
