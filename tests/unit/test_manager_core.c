// SPDX-License-Identifier: MIT
//
// What the core promises beside what its types do: one answer to each request, what becomes of a
// session's things when it ends, time, references, batches, watching, limits, types of one's own.
#include "mgr.h"

#define ASK(p, o, interface, name, ...) mgr_ask(p, MP__OP(interface, name), o, -1, __VA_ARGS__)
#define TRY(p, o, interface, name, ...) mgr_ask(p, MP__OP(interface, name), o, 0, __VA_ARGS__)

// ---- locks -----------------------------------------------------------------------------

MP_TEST(lock_goes_on_when_its_holder_dies)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *a = mgr_peer(m), *b = mgr_peer(m), *c = mgr_peer(m);
    uint64_t l = mgr_create(c, "s", "Lock");
    mp_assert_ok(ASK(a, l, LOCK, acquire, ""));
    int64_t first = mgr_int(a);
    ck_assert_int_eq(ASK(b, l, LOCK, acquire, ""), MGR_WAITS);
    ck_assert_int_eq(ASK(c, l, LOCK, acquire, ""), MGR_WAITS);
    uint64_t b_waits = b->id, c_waits = c->id;
    mgr_gone(a);
    mp_assert_err(mgr_answer(b, b_waits), MP_EOWNERDEAD); // the mark, and the token
    ck_assert_int_gt(mgr_int(b), first);
    ck_assert_int_eq(mgr_answer(c, c_waits), MGR_WAITS);
    mp_assert_ok(ASK(b, l, LOCK, release, ""));
    mp_assert_ok(mgr_answer(c, c_waits)); // the mark is told once
    mp_assert_ok(ASK(c, l, LOCK, holder, ""));
    ck_assert(mgr_equals(c, "[iiii]", 3, 0, 3, 1));
    mp_assert_ok(ASK(c, 0, MANAGER, locks, ""));
    ck_assert(mgr_equals(c, "[[U n i i i i]]", l, 3, 0, 3, 0));
    mp_assert_err(ASK(b, l, LOCK, release, ""), MP_ENOTHELD); // 21: another session's
    mp_assert_ok(ASK(c, l, LOCK, release, ""));
    mp_assert_err(ASK(c, l, LOCK, release, ""), MP_ENOTHELD); // 22
    mgr_gone(b);
    mgr_gone(c);
    mgr_free(m);
}

MP_TEST(owners_are_threads_of_a_session)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t l = mgr_create(p, "s", "Lock"), r = mgr_create(p, "s", "RLock");
    mp_assert_ok(ASK(p, l, LOCK, acquire, "u", 1u));
    mp_assert_err(ASK(p, l, LOCK, acquire, "u", 1u), MP_EHELD);
    mp_assert_err(TRY(p, l, LOCK, acquire, "u", 2u), MP_EAGAIN);
    mp_assert_err(ASK(p, l, LOCK, release, "u", 2u), MP_ENOTHELD);
    ck_assert_int_eq(ASK(p, l, LOCK, acquire, "u", 2u), MGR_WAITS);
    uint64_t waits = p->id;
    mp_assert_ok(ASK(p, l, LOCK, release, "u", 1u));
    mp_assert_ok(mgr_answer(p, waits));
    for (int i = 0; i < 3; i++)
        mp_assert_ok(ASK(p, r, LOCK, acquire, "u", 1u));
    mp_assert_err(TRY(p, r, LOCK, acquire, "u", 2u), MP_EAGAIN);
    for (int i = 0; i < 3; i++)
        mp_assert_ok(ASK(p, r, LOCK, release, "u", 1u));
    mp_assert_err(ASK(p, r, LOCK, release, "u", 1u), MP_ENOTHELD);
    mp_assert_ok(TRY(p, r, LOCK, acquire, "u", 2u));
    mgr_gone(p);
    mgr_free(m);
}

MP_TEST(lease_runs_out_and_the_token_tells)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *a = mgr_peer(m), *b = mgr_peer(m);
    uint64_t l = mgr_create(a, "s", "Lock");
    mp_assert_ok(ASK(a, l, LOCK, acquire, "i i", 0, 1000));
    uint64_t token = (uint64_t)mgr_int(a);
    ck_assert_int_eq(ASK(b, l, LOCK, acquire, ""), MGR_WAITS);
    uint64_t waits = b->id;
    mgr_tick(m, 900);
    mp_assert_ok(ASK(a, l, LOCK, renew, "U i", token, 1000));
    mgr_tick(m, 900);
    ck_assert_int_eq(mgr_answer(b, waits), MGR_WAITS);
    mp_assert_ok(ASK(a, l, LOCK, validate, "U", token));
    ck_assert(mgr_true(a));
    mgr_tick(m, 200);
    mp_assert_err(mgr_answer(b, waits), MP_EOWNERDEAD);
    ck_assert_int_gt(mgr_int(b), (int64_t)token);
    mp_assert_ok(ASK(a, l, LOCK, validate, "U", token));
    ck_assert(!mgr_true(a));
    mp_assert_err(ASK(a, l, LOCK, release, "i U", 0, token), MP_EFENCED);
    mp_assert_err(ASK(a, l, LOCK, renew, "U i", token, 1000), MP_EFENCED);
    mp_assert_err(ASK(a, l, LOCK, release, ""), MP_ENOTHELD);
    mgr_gone(a);
    mgr_gone(b);
    mgr_free(m);
}

// Row 52: the daemon was stopped for five seconds, and its clients perhaps as well.
MP_TEST(lease_is_not_lost_to_a_stop_of_the_manager)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *a = mgr_peer(m);
    uint64_t l = mgr_create(a, "s", "Lock");
    mp_assert_ok(ASK(a, l, LOCK, acquire, "i i", 0, 1000));
    uint64_t token = (uint64_t)mgr_int(a);
    mgr_tick(m, 5000);
    mp_assert_ok(ASK(a, l, LOCK, renew, "U i", token, 1000));
    mgr_tick(m, 5000); // once for each renewal
    mp_assert_ok(ASK(a, l, LOCK, validate, "U", token));
    ck_assert(mgr_true(a));
    mgr_tick(m, 1001);
    mp_assert_ok(ASK(a, l, LOCK, validate, "U", token));
    ck_assert(!mgr_true(a));
    mgr_gone(a);
    mgr_free(m);
}

// ---- time, and giving up -----------------------------------------------------------------

MP_TEST(timeout_and_cancel_end_a_request_once)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *a = mgr_peer(m), *b = mgr_peer(m);
    uint64_t l = mgr_create(a, "s", "Lock");
    mp_assert_ok(ASK(a, l, LOCK, acquire, ""));
    ck_assert_int_eq(mgr_ask(b, MP__OP(LOCK, acquire), l, 100, ""), MGR_WAITS);
    uint64_t timed = b->id;
    ck_assert_int_eq(ASK(b, l, LOCK, acquire, "i", 2), MGR_WAITS);
    uint64_t canceled = b->id;
    ck_assert_int_eq(mp__core_deadline(m->core), m->now + 100000000 - 1000);
    mgr_tick(m, 100);
    mp_assert_err(mgr_answer(b, timed), MP_ETIMEDOUT);
    ck_assert_int_eq(mp__core_deadline(m->core), INT64_MAX);
    size_t sent = b->sent;
    mp_assert_ok(ASK(b, 0, MANAGER, cancel, "U", canceled));
    ck_assert(mgr_true(b));
    ck_assert_uint_eq(b->sent, sent + 2);
    mp_assert_err(mgr_answer(b, canceled), MP_ECANCELED);
    mp_assert_ok(ASK(b, 0, MANAGER, cancel, "U", canceled)); // 20: finished
    ck_assert(!mgr_true(b));
    mp_assert_ok(ASK(a, 0, MANAGER, cancel, "U", (uint64_t)77)); // 20: unknown
    ck_assert(!mgr_true(a));
    ck_assert_int_eq(ASK(b, l, LOCK, acquire, ""), MGR_WAITS);
    mp_assert_ok(ASK(a, 0, MANAGER, cancel, "U", b->id)); // 20: another session's
    ck_assert(!mgr_true(a));
    mp_assert_ok(ASK(a, l, LOCK, release, ""));
    mp_assert_ok(mgr_answer(b, b->id)); // not lost
    mgr_gone(a);
    mgr_gone(b);
    mgr_free(m);
}

// 40, and row 40: a waiter that dies in the queue is not given anything.
MP_TEST(dead_waiters_are_passed_over)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *a = mgr_peer(m), *b = mgr_peer(m), *c = mgr_peer(m);
    uint64_t s = mgr_create(a, "s i", "Semaphore", 1);
    mp_assert_ok(ASK(a, s, SEMAPHORE, acquire, ""));
    ck_assert_int_eq(ASK(b, s, SEMAPHORE, acquire, "i", 5), MGR_WAITS);
    ck_assert_int_eq(ASK(c, s, SEMAPHORE, acquire, ""), MGR_WAITS);
    mp_assert_ok(ASK(a, s, SEMAPHORE, release, ""));
    ck_assert_int_eq(mgr_answer(c, c->id), MGR_WAITS); // nobody overtakes
    mgr_gone(b);
    mp_assert_ok(mgr_answer(c, c->id));
    mgr_gone(a);
    mgr_gone(c);
    mgr_free(m);
}

// ---- the other things to wait for ---------------------------------------------------------

MP_TEST(semaphores_of_the_dead)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *a = mgr_peer(m), *b = mgr_peer(m);
    uint64_t bounded = mgr_create(a, "s i", "BoundedSemaphore", 3),
             news = mgr_create(a, "s i", "Semaphore", 3),
             resource = mgr_create(a, "s i t", "Semaphore", 3, true);
    mp_assert_err(ASK(a, bounded, SEMAPHORE, release, ""), MP_EBOUND);
    mp_assert_err(ASK(a, bounded, SEMAPHORE, acquire, "i", 4), MP_EINVAL);
    mp_assert_err(ASK(a, bounded, SEMAPHORE, acquire, "i", 0), MP_EINVAL);
    mp_assert_err(ASK(a, news, SEMAPHORE, release, "U", UINT64_MAX), MP_EOVERFLOW);
    mp_assert_ok(ASK(b, bounded, SEMAPHORE, acquire, "i", 2));
    mp_assert_ok(ASK(b, news, SEMAPHORE, acquire, "i", 2));
    mp_assert_ok(ASK(b, resource, SEMAPHORE, acquire, "i", 2));
    ck_assert_int_eq(ASK(a, bounded, SEMAPHORE, acquire, "i", 3), MGR_WAITS);
    uint64_t waits = a->id;
    mgr_gone(b);
    mp_assert_ok(mgr_answer(a, waits));
    mp_assert_ok(ASK(a, news, SEMAPHORE, get_value, ""));
    ck_assert_int_eq(mgr_int(a), 1);
    mp_assert_ok(ASK(a, resource, SEMAPHORE, get_value, ""));
    ck_assert_int_eq(mgr_int(a), 3);
    mgr_gone(a);
    mgr_free(m);
}

MP_TEST(condition_wakes_and_gives_the_lock_back)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *a = mgr_peer(m), *b = mgr_peer(m), *c = mgr_peer(m);
    uint64_t l = mgr_create(a, "s", "Lock");
    struct mgr_ref ref = mgr_ref(l);
    uint64_t n = mgr_create(a, "s O#", "Condition", ref.bytes, sizeof ref.bytes);
    bool notified;
    uint64_t token;
    mp_assert_err(ASK(a, n, CONDITION, wait, ""), MP_ENOTHELD);
    mp_assert_err(ASK(a, n, CONDITION, notify, ""), MP_ENOTHELD);
    mp_assert_ok(ASK(a, n, CONDITION, acquire, ""));
    ck_assert_int_eq(ASK(a, n, CONDITION, wait, ""), MGR_WAITS);
    uint64_t a_waits = a->id;
    mp_assert_ok(ASK(b, n, CONDITION, acquire, "")); // free meanwhile
    ck_assert_int_eq(mgr_ask(b, MP__OP(CONDITION, wait), n, 50, ""), MGR_WAITS);
    uint64_t b_waits = b->id;
    mp_assert_ok(ASK(c, l, LOCK, acquire, ""));
    mp_assert_ok(ASK(c, n, CONDITION, waiters, ""));
    ck_assert_int_eq(mgr_int(c), 2);
    mp_assert_ok(ASK(c, n, CONDITION, notify, ""));
    ck_assert_int_eq(mgr_int(c), 1);
    ck_assert_int_eq(mgr_answer(a, a_waits), MGR_WAITS); // the lock is held
    mgr_tick(m, 60);                                     // b's time is over; it needs the lock, too
    ck_assert_int_eq(mgr_answer(b, b_waits), MGR_WAITS);
    mp_assert_ok(ASK(c, l, LOCK, release, ""));
    mp_assert_ok(mgr_answer(a, a_waits));
    mp_assert_ok(mgr_value(a, "[t U]", &notified, &token));
    ck_assert(notified);
    mp_assert_ok(ASK(a, l, LOCK, release, "i U", 0, token));
    mp_assert_ok(mgr_answer(b, b_waits));
    mp_assert_ok(mgr_value(b, "[t U]", &notified, &token));
    ck_assert(!notified);
    ck_assert_int_eq(ASK(b, n, CONDITION, wait, ""), MGR_WAITS);
    b_waits = b->id;
    mp_assert_ok(ASK(c, l, LOCK, acquire, ""));
    mp_assert_ok(ASK(b, 0, MANAGER, cancel, "U", b_waits));
    ck_assert_int_eq(mgr_answer(b, b_waits), MGR_WAITS);
    mgr_gone(c); // with the lock
    mp_assert_err(mgr_answer(b, b_waits), MP_EOWNERDEAD);
    mp_assert_ok(ASK(b, n, CONDITION, wait, "") == MGR_WAITS ? 0 : -1);
    mgr_gone(b); // waiting, without the lock
    mp_assert_ok(ASK(a, n, CONDITION, acquire, ""));
    mp_assert_ok(ASK(a, n, CONDITION, notify_all, ""));
    ck_assert_int_eq(mgr_int(a), 0);
    mgr_gone(a);
    mgr_free(m);
}

MP_TEST(barrier_meets_and_breaks)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p[3] = {mgr_peer(m), mgr_peer(m), mgr_peer(m)};
    uint64_t b = mgr_create(p[0], "s i", "Barrier", 3);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(ASK(p[i], b, BARRIER, wait, ""), MGR_WAITS);
        mp_assert_ok(ASK(p[2], b, BARRIER, wait, ""));
        ck_assert_int_eq(mgr_int(p[2]), 2);
        for (int i = 0; i < 2; i++) {
            mp_assert_ok(mgr_answer(p[i], p[i]->id));
            ck_assert_int_eq(mgr_int(p[i]), i);
        }
    }
    mp_assert_err(TRY(p[0], b, BARRIER, wait, ""), MP_EAGAIN);
    ck_assert_int_eq(ASK(p[0], b, BARRIER, wait, ""), MGR_WAITS);
    ck_assert_int_eq(mgr_ask(p[1], MP__OP(BARRIER, wait), b, 10, ""), MGR_WAITS);
    mgr_tick(m, 10);
    mp_assert_err(mgr_answer(p[1], p[1]->id), MP_ETIMEDOUT);
    mp_assert_err(mgr_answer(p[0], p[0]->id), MP_EBARRIER);
    mp_assert_err(ASK(p[0], b, BARRIER, wait, ""), MP_EBARRIER);
    mp_assert_ok(ASK(p[0], b, BARRIER, reset, ""));
    ck_assert_int_eq(ASK(p[0], b, BARRIER, wait, ""), MGR_WAITS);
    uint64_t waits = p[0]->id;
    mp_assert_ok(ASK(p[1], b, BARRIER, reset, ""));
    mp_assert_err(mgr_answer(p[0], waits), MP_EBARRIER);
    ck_assert_int_eq(ASK(p[0], b, BARRIER, wait, ""), MGR_WAITS);
    ck_assert_int_eq(ASK(p[1], b, BARRIER, wait, ""), MGR_WAITS);
    mgr_gone(p[1]); // a party that dies
    mp_assert_err(mgr_answer(p[0], p[0]->id), MP_EBARRIER);
    mp_assert_ok(ASK(p[0], b, BARRIER, broken, ""));
    ck_assert(mgr_true(p[0]));
    uint64_t timed = mgr_create(p[0], "s i i", "Barrier", 2, 20);
    ck_assert_int_eq(ASK(p[0], timed, BARRIER, wait, ""), MGR_WAITS);
    mgr_tick(m, 20);
    mp_assert_err(mgr_answer(p[0], p[0]->id), MP_ETIMEDOUT);
    uint64_t one = mgr_create(p[0], "s i", "Barrier", 1);
    mp_assert_ok(ASK(p[0], one, BARRIER, wait, ""));
    static const int64_t bad[] = {0, -1, INT64_C(1) << 32}; // 25
    for (int i = 0; i < 3; i++)
        mp_assert_err(mgr_ask(p[0], MP__OP(MANAGER, create), 0, 0, "s I", "Barrier", bad[i]),
                      i == 1 ? MP_ETYPE : MP_EINVAL);
    mgr_gone(p[0]);
    mgr_gone(p[2]);
    mgr_free(m);
}

MP_TEST(event_lets_all_go)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *a = mgr_peer(m), *b = mgr_peer(m);
    uint64_t e = mgr_create(a, "s", "Event");
    mp_assert_err(TRY(a, e, EVENT, wait, ""), MP_EAGAIN);
    ck_assert_int_eq(ASK(a, e, EVENT, wait, ""), MGR_WAITS);
    uint64_t waits = a->id;
    // Set and cleared in one go: who waited goes on all the same.
    mp_assert_ok(ASK(b, 0, MANAGER, batch, "n [UU] [UU]", (uint64_t)MP__OP(EVENT, set), e,
                     (uint64_t)MP__OP(EVENT, clear), e));
    mp_assert_ok(mgr_answer(a, waits));
    mp_assert_ok(ASK(a, e, EVENT, is_set, ""));
    ck_assert(!mgr_true(a));
    mp_assert_ok(ASK(b, e, EVENT, set, ""));
    mp_assert_ok(ASK(a, e, EVENT, wait, ""));
    mgr_gone(a);
    mgr_gone(b);
    mgr_free(m);
}

// ---- objects ---------------------------------------------------------------------------

MP_TEST(nested_objects_change_for_everyone)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *a = mgr_peer(m), *b = mgr_peer(m);
    uint64_t l = mgr_create(a, "s", "list"), d = mgr_create(a, "s", "dict");
    struct mgr_ref ref = mgr_ref(d);
    mp_assert_ok(ASK(a, l, LIST, append, "O#", ref.bytes, sizeof ref.bytes));
    mp_assert_ok(ASK(a, d, MANAGER, decref, ""));
    mp_assert_ok(ASK(b, l, MANAGER, incref, ""));
    mp_assert_ok(ASK(b, l, LIST, get, "i", 0));
    uint64_t same = mgr_object_at(b->value.data);
    ck_assert_uint_eq(same, d);
    mp_assert_ok(ASK(b, same, DICT, set, "s i", "x", 1));
    mp_assert_ok(ASK(a, d, DICT, get, "s", "x"));
    mp_assert_ok(ASK(a, l, LIST, clear, "")); // b has it still
    mp_assert_ok(ASK(b, d, DICT, len, ""));
    mp_assert_ok(ASK(b, d, MANAGER, decref, ""));
    mp_assert_err(ASK(b, d, DICT, len, ""), MP_ESTALE);
    mp_assert_err(ASK(b, d, MANAGER, decref, ""), MP_ESTALE);
    mp_assert_err(ASK(a, l, LIST, append, "O#", ref.bytes, sizeof ref.bytes), MP_ESTALE);
    mp_assert_err(ASK(a, l, MANAGER, decref, "i", 2), MP_ENOTHELD);
    mp_assert_err(ASK(a, l, LIST, append, "O#", "\xd4\x07\x00", (size_t)3), MP_EPROTO); // 14
    mgr_gone(a);
    mgr_gone(b);
    mp_assert_ok(mp__core_stats(m->core).objects);
    ck_assert_uint_eq(mp__core_stats(m->core).objects, 0);
    ck_assert_uint_eq(mp__core_stats(m->core).bytes, 0);
    mgr_free(m);
}

// 39: rings of objects are collected when nobody outside has one of them.
MP_TEST(rings_of_objects_are_collected)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *a = mgr_peer(m);
    uint64_t keep = mgr_create(a, "s", "list");
    mp_assert_ok(ASK(a, keep, MANAGER, name, "s", "keep"));
    for (int i = 0; i < 200; i++) {
        uint64_t x = mgr_create(a, "s", "list"), y = mgr_create(a, "s", "dict");
        struct mgr_ref rx = mgr_ref(x), ry = mgr_ref(y);
        mp_assert_ok(ASK(a, x, LIST, append, "O#", ry.bytes, sizeof ry.bytes));
        mp_assert_ok(ASK(a, y, DICT, set, "s O#", "x", rx.bytes, sizeof rx.bytes));
        mp_assert_ok(ASK(a, y, DICT, set, "s O#", "self", ry.bytes, sizeof ry.bytes));
        if (i == 0) // this ring is in an object that has a name
            mp_assert_ok(ASK(a, keep, LIST, append, "O#", rx.bytes, sizeof rx.bytes));
        mp_assert_ok(ASK(a, x, MANAGER, decref, ""));
        mp_assert_ok(ASK(a, y, MANAGER, decref, ""));
    }
    ck_assert_uint_lt(mp__core_stats(m->core).objects, 200); // of 401
    mp_assert_ok(ASK(a, keep, LIST, get, "i", 0));
    mp_assert_ok(ASK(a, mgr_object_at(a->value.data), LIST, len, ""));
    mgr_gone(a);
    mgr_free(m);
}

MP_TEST(names_keep_objects)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *a = mgr_peer(m), *b = mgr_peer(m);
    mp_assert_ok(ASK(a, 0, MANAGER, get_or_create, "s s {s:i}", "d", "dict", "k", 1));
    uint64_t d = mgr_object_at((char *)a->value.data + 1);
    mp_assert_err(ASK(a, 0, MANAGER, open, "s", "none"), MP_ENOTFOUND);
    mp_assert_err(ASK(a, 0, MANAGER, open, "s s", "d", "list"), MP_ETYPE);
    mp_assert_err(ASK(a, 0, MANAGER, get_or_create, "s s", "d", "list"), MP_ETYPE);
    mp_assert_err(ASK(a, 0, MANAGER, create, "s", "nonsense"), MP_ENOTFOUND);
    mp_assert_err(ASK(a, 0, MANAGER, create, "s i", "dict", 1), MP_ETYPE);
    mp_assert_err(ASK(a, 0, MANAGER, create, "s {} i", "dict", 1), MP_EINVAL);
    mp_assert_err(ASK(a, d, MANAGER, name, "s", "e"), MP_ESTATE);
    mgr_gone(a);
    mp_assert_ok(ASK(b, 0, MANAGER, open, "s s", "d", "dict"));
    ck_assert_uint_eq(mgr_object_at((char *)b->value.data + 1), d);
    mp_assert_ok(ASK(b, 0, MANAGER, list, ""));
    ck_assert(mgr_equals(b, "[[s s U]]", "d", "dict", d));
    mp_assert_ok(ASK(b, 0, MANAGER, list, "s", "x"));
    ck_assert(mgr_equals(b, "[]"));
    mp_assert_ok(ASK(b, 0, MANAGER, delete, "s", "d"));
    ck_assert(mgr_true(b));
    mp_assert_ok(ASK(b, 0, MANAGER, delete, "s", "d"));
    ck_assert(!mgr_true(b));
    mp_assert_ok(ASK(b, d, DICT, len, "")); // a reference is left
    mp_assert_ok(ASK(b, d, MANAGER, decref, ""));
    mp_assert_err(ASK(b, d, DICT, len, ""), MP_ESTALE);
    static const char *const bad[] = {"", "../x", "a b", "x\x1b[0m", "\xff\xfe", "a/b"}; // 26
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        mp_assert_err(ASK(b, 0, MANAGER, get_or_create, "s s", bad[i], "dict"), MP_EINVAL);
    mp_assert_err(ASK(b, 0, MANAGER, get_or_create, "s# s", "a\0b", (size_t)3, "dict"), MP_EINVAL);
    char name[66];
    memset(name, 'n', 65);
    name[65] = 0;
    mp_assert_err(ASK(b, 0, MANAGER, get_or_create, "s s", name, "dict"), MP_EINVAL);
    mp_assert_ok(ASK(b, 0, MANAGER, get_or_create, "s s", name + 1, "dict"));
    mgr_gone(b);
    mgr_free(m);
}

MP_TEST(another_instance_has_other_objects)
{
    struct mgr *one = mgr_new(), *two = mgr_new_with(NULL, UINT64_C(0xfedcba9876543210));
    struct mgr_peer *a = mgr_peer(one), *b = mgr_peer(two);
    uint64_t d = mgr_create(a, "s", "dict");
    mgr_create(b, "s", "dict");
    mp_assert_err(ASK(b, d, DICT, len, ""), MP_ESTALE);
    mgr_gone(a);
    mgr_gone(b);
    mgr_free(one);
    mgr_free(two);
}

// ---- batches and watching ----------------------------------------------------------------

MP_TEST(batch_is_one_step)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    uint64_t d = mgr_create(p, "s", "dict"), l = mgr_create(p, "s", "Lock"),
             q = mgr_create(p, "s", "Queue");
    uint64_t set = MP__OP(DICT, set), get = MP__OP(DICT, get), take = MP__OP(QUEUE, get),
             acquire = MP__OP(LOCK, acquire), batch = MP__OP(MANAGER, batch);
    mp_assert_ok(ASK(p, 0, MANAGER, batch, "n [UUsi] [UUs] [UUs] [UU] [UU]", set, d, "a", 1, get, d,
                     "a", get, d, "b", take, q, acquire, l));
    ck_assert(mgr_equals(p, "[[in][ii][in][in][ii]]", 0, 0, 1, MP_ENOTFOUND, MP_EAGAIN, 0, 1));
    mp_assert_ok(ASK(p, 0, MANAGER, batch, "t [UUs] [UUsi]", true, get, d, "b", set, d, "b", 2));
    ck_assert(mgr_equals(p, "[[in][in]]", MP_ENOTFOUND, MP_ECANCELED));
    mp_assert_err(ASK(p, d, DICT, get, "s", "b"), MP_ENOTFOUND);
    mp_assert_ok(ASK(p, 0, MANAGER, batch, "n [UU] [] [i] [s i]", batch, (uint64_t)0, 1, "x", 1));
    const uint8_t *v = p->value.data; // each its own error
    ck_assert_uint_eq(v[0], 0x94);
    mp_assert_ok(ASK(p, 0, MANAGER, batch, ""));
    ck_assert(mgr_equals(p, "[]"));
    mp_assert_err(ASK(p, 0, MANAGER, batch, "n i", 1), MP_ETYPE);
    // What is created in one is the session's.
    mp_assert_ok(ASK(p, 0, MANAGER, batch, "n [UUs]", (uint64_t)MP__OP(MANAGER, create),
                     (uint64_t)0, "dict"));
    mp_assert_ok(ASK(p, mgr_object_at((char *)p->value.data + 3), DICT, len, ""));
    mgr_gone(p);
    mgr_free(m);
}

MP_TEST(watch_tells_each_change)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *a = mgr_peer(m), *b = mgr_peer(m),
                    *one = mgr_peer_with(m, MP__SESSION_ONE_REPLY);
    uint64_t d = mgr_create(b, "s", "dict");
    ck_assert_int_eq(ASK(a, d, MANAGER, watch, "s", "k"), 1);
    uint64_t key = a->id;
    ck_assert(mgr_equals(a, "n"));
    ck_assert_int_eq(ASK(a, d, MANAGER, watch, ""), 1);
    uint64_t all = a->id;
    mp_assert_err(ASK(one, d, MANAGER, watch, ""), MP_ENOTSUP);
    mp_assert_ok(ASK(b, d, DICT, set, "s i", "k", 1));
    ck_assert_int_eq(mgr_answer(a, key), 1);
    ck_assert(mgr_equals(a, "[i [s i] n]", MP__OP(DICT, set), "k", 1));
    ck_assert_int_eq(mgr_answer(a, all), 1);
    mp_assert_ok(ASK(b, d, DICT, incr, "s", "other"));
    ck_assert_int_eq(mgr_answer(a, key), MGR_WAITS);
    ck_assert_int_eq(mgr_answer(a, all), 1);
    ck_assert(mgr_equals(a, "[i [s] i]", MP__OP(DICT, incr), "other", 1));
    mp_assert_ok(ASK(b, d, DICT, get, "s", "k")); // no change
    mp_assert_err(ASK(b, d, DICT, del, "s", "?"), MP_ENOTFOUND);
    ck_assert_int_eq(mgr_answer(a, all), MGR_WAITS);
    mp_assert_ok(ASK(b, d, DICT, clear, "")); // may be about any key
    ck_assert_int_eq(mgr_answer(a, key), 1);
    ck_assert_int_eq(mgr_answer(a, all), 1);
    mp_assert_ok(ASK(a, 0, MANAGER, cancel, "U", all));
    mp_assert_err(mgr_answer(a, all), MP_ECANCELED);
    mp_assert_ok(ASK(b, d, MANAGER, decref, "")); // watching does not keep it
    mp_assert_err(mgr_answer(a, key), MP_ESTALE);
    mgr_gone(a);
    mgr_gone(b);
    mgr_gone(one);
    mgr_free(m);
}

// ---- limits, and who may what ---------------------------------------------------------------

MP_TEST(limits_are_answers)
{
    struct mp__core_limits limits = {.objects = 8,
                                     .session_objects = 4,
                                     .object_bytes = 1000,
                                     .bytes = 1500,
                                     .waiting = 3,
                                     .object_waiting = 4,
                                     .message = 600,
                                     .reply = 300};
    struct mgr *m = mgr_new_with(&limits, 1);
    struct mgr_peer *a = mgr_peer(m), *b = mgr_peer(m);
    uint64_t l = mgr_create(a, "s", "list"), lock = mgr_create(a, "s", "Lock");
    char bytes[500] = {0};
    mgr_create(a, "s", "dict");
    mgr_create(a, "s", "dict");
    mp_assert_err(ASK(a, 0, MANAGER, create, "s", "dict"), MP_EQUOTA); // 4 of this session
    mp_assert_ok(ASK(a, l, LIST, append, "b#", bytes, sizeof bytes));
    mp_assert_err(ASK(a, l, LIST, append, "b#", bytes, sizeof bytes), MP_EQUOTA); // 29
    mp_assert_ok(ASK(a, l, LIST, append, "b#", bytes, (size_t)1000 - 16 - 503 - 16 - 3));
    mp_assert_err(ASK(a, l, LIST, append, "i", 1), MP_EQUOTA); // to the byte
    mp_assert_err(ASK(a, l, LIST, get, "i", 0), MP_EMSGSIZE);
    uint64_t other = mgr_create(b, "s", "list");
    mp_assert_err(ASK(b, other, LIST, append, "b#", bytes, sizeof bytes), MP_EQUOTA); // in all
    mp_assert_ok(ASK(b, lock, LOCK, acquire, ""));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(ASK(a, lock, LOCK, acquire, "i", i), MGR_WAITS);
    mp_assert_err(ASK(a, lock, LOCK, acquire, "i", 9), MP_EQUOTA);
    ck_assert_int_eq(ASK(b, lock, LOCK, acquire, "i", 9), MGR_WAITS);
    mp_assert_err(ASK(b, lock, LOCK, acquire, "i", 8), MP_EQUOTA); // 40
    for (int i = 0; i < 3; i++)
        mgr_create(b, "s", "dict");
    struct mgr_peer *c = mgr_peer(m);
    mp_assert_err(ASK(c, 0, MANAGER, create, "s", "dict"), MP_EQUOTA); // 8 in all
    mp_assert_err(mp__core_feed(m->core, c->session, bytes, 601, m->now), MP_EMSGSIZE);
    mgr_gone(a);
    mgr_gone(b);
    mgr_gone(c);
    ck_assert_uint_eq(mp__core_stats(m->core).bytes, 0);
    mgr_free(m);
}

MP_TEST(rights_of_sessions)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *a = mgr_peer(m), *reader = mgr_peer_with(m, MP__SESSION_READ_ONLY);
    uint64_t d = mgr_create(a, "s", "dict");
    mp_assert_err(ASK(reader, d, DICT, set, "s i", "k", 1), MP_EDENIED);
    mp_assert_err(ASK(reader, 0, MANAGER, create, "s", "dict"), MP_EDENIED);
    mp_assert_ok(ASK(reader, d, DICT, len, ""));
    mp_assert_err(ASK(a, 0, MANAGER, shutdown, ""), MP_EDENIED); // 37
    mp_assert_err(ASK(a, 0, MANAGER, clients, ""), MP_ENOTSUP);  // no server
    mp_assert_ok(
        ASK(reader, 0, MANAGER, batch, "n [UUsi]", (uint64_t)MP__OP(DICT, set), d, "k", 1));
    mp_assert_ok(ASK(a, d, DICT, len, ""));
    ck_assert_int_eq(mgr_int(a), 0);
    mp_assert_err(ASK(a, d, QUEUE, restore_done, "i", 1), MP_ENOFUNC); // of the log only
    mgr_gone(a);
    mgr_gone(reader);
    mgr_free(m);
}

MP_TEST(manager_tells_what_there_is)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *p = mgr_peer(m);
    mp_assert_err(ASK(p, 0, MANAGER, hello, "i", 0), MP_EVERSION); // 18
    mp_assert_err(ASK(p, 0, MANAGER, hello, "i", 255), MP_EVERSION);
    mp_assert_ok(ASK(p, 0, MANAGER, hello, "i s", 1, "me\x1b"));
    ck_assert(mgr_equals(p, "[i U i]", 1, UINT64_C(0x123456789abcdef0), 1));
    ck_assert_str_eq(mp__session_name(p->session), "me?");
    mp_assert_ok(ASK(p, 0, MANAGER, ping, "s", "pong"));
    ck_assert(mgr_equals(p, "s", "pong"));
    mp_assert_ok(ASK(p, 0, MANAGER, types, ""));
    mp_assert_ok(ASK(p, 0, MANAGER, methods, "s", "dict"));
    mp_assert_ok(ASK(p, 0, MANAGER, stats, ""));
    mp_assert_ok(ASK(p, 0, MANAGER, number_of_objects, ""));
    ck_assert_int_eq(mgr_int(p), 0);
    uint64_t d = mgr_create(p, "s", "dict");
    mp_assert_ok(ASK(p, d, MANAGER, type, ""));
    ck_assert(mgr_equals(p, "[s i]", "dict", MP__DICT));
    mp_assert_ok(ASK(p, d, MANAGER, debug, ""));
    mp_assert_err(ASK(p, 0, MANAGER, debug, ""), MP_EINVAL);
    mgr_gone(p);
    mgr_free(m);
}

// ---- types of one's own ------------------------------------------------------------------

struct account {
    int64_t sum;
};
static int accounts;

static int account_make(mp_manager_call *call, void **state)
{
    struct account *a = calloc(1, sizeof *a);
    *state = a;
    accounts++;
    int r = mp_manager_args(call, "?I", &a->sum);
    if (r == 0)
        return 0;
    free(a);
    accounts--;
    return r;
}

static void account_end(void *state)
{
    free(state);
    accounts--;
}

static int account_add(mp_manager_call *call, void *state)
{
    struct account *a = state;
    int64_t by;
    int r = mp_manager_args(call, "I", &by);
    if (r < 0)
        return r;
    a->sum += by;
    return mp_manager_result(call, "I", a->sum);
}

static int account_take(mp_manager_call *call, void *state)
{
    struct account *a = state;
    int64_t n;
    int r = mp_manager_args(call, "I", &n);
    if (r < 0)
        return r;
    if (a->sum < n)
        return MP_MANAGER_WAIT;
    a->sum -= n;
    return 0;
}

static int account_fail(mp_manager_call *call, void *state)
{
    (void)state;
    (void)mp_manager_session(call);
    (void)mp_manager_now(call);
    mp_manager_error(call, "as asked");
    return MP_ETASK;
}

static int account_save(void *state, mp_buf *b)
{
    return mp_pack(b, "I", ((struct account *)state)->sum);
}

static int account_load(void **state, const void *data, size_t size)
{
    struct account *a = calloc(1, sizeof *a);
    *state = a;
    accounts++;
    return mp_unpack(data, size, "I", &a->sum);
}

static const mp_manager_method account_methods[] = {
    {"add", MP_MANAGER_CHANGES, account_add, "by: the sum"},
    {"take", MP_MANAGER_CHANGES, account_take, "waits until there is as much"},
    {"fail", MP_MANAGER_READS, account_fail, NULL},
    {0},
};
static const mp_manager_type account = {MP_MANAGER_TYPE, "account",    account_make, account_end,
                                        account_methods, account_save, account_load};

static int collect(void *ctx, const void *data, size_t size)
{
    return mp_pack((mp_buf *)ctx, "b#", data, size);
}

MP_TEST(types_of_ones_own)
{
    struct mgr *m = mgr_new(), *again = mgr_new();
    mp_assert_ok(mp__core_add_type(m->core, &account));
    mp_assert_ok(mp__core_add_type(again->core, &account));
    mp_assert_err(mp__core_add_type(m->core, &account), MP_EINVAL); // the name is taken
    struct mgr_peer *a = mgr_peer(m), *b = mgr_peer(m);
    uint64_t op = MP__CUSTOM << 8, x = mgr_create(a, "s i", "account", 5);
    mp_assert_ok(ASK(a, x, MANAGER, name, "s", "x"));
    mp_assert_ok(mgr_ask(a, op | 1, x, -1, "i", 2));
    ck_assert_int_eq(mgr_int(a), 7);
    mp_assert_err(mgr_ask(a, op | 1, x, -1, "s", "2"), MP_ETYPE);
    mp_assert_err(mgr_ask(a, op | 4, x, -1, ""), MP_ENOFUNC);
    mp_assert_err(mgr_ask(a, op | 3, x, -1, ""), MP_ETASK);
    ck_assert(mgr_equals(a, "s", "as asked"));
    ck_assert_int_eq(mgr_ask(a, op | 2, x, -1, "i", 100), MGR_WAITS);
    uint64_t much = a->id;
    ck_assert_int_eq(mgr_ask(a, op | 2, x, -1, "i", 9), MGR_WAITS);
    uint64_t little = a->id;
    mp_assert_ok(mgr_ask(b, op | 1, x, -1, "i", 3)); // 10: enough for the second
    mp_assert_ok(mgr_answer(a, little));
    ck_assert_int_eq(mgr_answer(a, much), MGR_WAITS);
    mp_assert_ok(ASK(a, 0, MANAGER, methods, "s", "account"));
    mp_buf records = {0};
    mp_assert_ok(mp__core_save(m->core, collect, &records));
    const uint8_t *at = records.data, *end = at + records.size;
    struct mp__head head;
    for (; at < end; at += head.n) {
        mp_assert_ok(mp__head_read(&at, end, &head));
        mp_assert_ok(mp__core_replay(again->core, at, (size_t)head.n));
    }
    struct mgr_peer *c = mgr_peer(again);
    mp_assert_ok(mgr_ask(c, op | 1, x, -1, "i", 0));
    ck_assert_int_eq(mgr_int(c), 1);
    mp_buf_free(&records);
    mgr_gone(a);
    mgr_gone(b);
    mgr_gone(c);
    mgr_free(m);
    mgr_free(again);
    ck_assert_int_eq(accounts, 0);
}
