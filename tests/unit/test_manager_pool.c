// SPDX-License-Identifier: MIT
//
// Pool, as the core has it: jobs and their results, who runs them, and what becomes of both when
// one of the two goes. The workers are a client of the test.
#include "mgr.h"

#define ASK(p, o, interface, name, ...) mgr_ask(p, MP__OP(interface, name), o, -1, __VA_ARGS__)
#define TRY(p, o, interface, name, ...) mgr_ask(p, MP__OP(interface, name), o, 0, __VA_ARGS__)

struct work {
    uint64_t ticket;
    char name[16];
    int64_t first; // of the arguments, if it is an integer
};

// A client that runs up to so many tasks at a time; it returns the request they come by.
static uint64_t serves(struct mgr_peer *w, int slots)
{
    ck_assert_int_eq(ASK(w, 0, MANAGER, serve_tasks, "i [ss]", slots, "f", "g"), 1);
    ck_assert(mgr_equals(w, "n"));
    return w->id;
}

// The next task that it was given; MGR_WAITS. MP_ECANCELED: one is not wanted.
static int next(struct mgr_peer *w, uint64_t by, struct work *t)
{
    const void *args;
    size_t size;
    *t = (struct work){0};
    int r = mgr_answer(w, by);
    if (r != 1)
        return r;
    if (mgr_value(w, "[U]", &t->ticket) == 0)
        return MP_ECANCELED;
    mp_assert_ok(mgr_value(w, "[U s b# _ _]", &t->ticket, t->name, sizeof t->name, &args, &size));
    (void)!mp_unpack(args, size, "I *", &t->first);
    return 0;
}

static void done(struct mgr_peer *w, uint64_t ticket, int64_t result)
{
    mp_buf b = {0};
    mp_assert_ok(mp_pack(&b, "I", result));
    mp_assert_ok(TRY(w, 0, MANAGER, task_done, "U i b#", ticket, 0, b.data, b.size));
    mp_buf_free(&b);
}

// Runs whatever there is: the result is the square of the first argument.
static int run_all(struct mgr_peer *w, uint64_t by)
{
    struct work t;
    int n = 0;
    for (; next(w, by, &t) == 0; n++)
        done(w, t.ticket, t.first * t.first);
    return n;
}

MP_TEST(jobs_and_their_results)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *w = mgr_peer_with(m, MP__SESSION_ADMIN), *c = mgr_peer(m);
    uint64_t by = serves(w, 4), p = mgr_create(c, "s", "Pool");
    ck_assert_int_eq(ASK(c, p, POOL, apply, "s i", "f", 7), MGR_WAITS);
    uint64_t apply = c->id;
    ck_assert_int_eq(ASK(c, p, POOL, map, "s [iii]", "f", 1, 2, 3), MGR_WAITS);
    uint64_t map = c->id;
    ck_assert_int_eq(ASK(c, p, POOL, starmap, "s [[ii][ii]]", "g", 4, 0, 5, 0), MGR_WAITS);
    uint64_t starmap = c->id;
    ck_assert_int_eq(run_all(w, by), 6);
    mp_assert_ok(mgr_answer(c, apply));
    ck_assert_int_eq(mgr_int(c), 49);
    mp_assert_ok(mgr_answer(c, map));
    ck_assert(mgr_equals(c, "[iii]", 1, 4, 9));
    mp_assert_ok(mgr_answer(c, starmap));
    ck_assert(mgr_equals(c, "[ii]", 16, 25));

    mp_assert_ok(ASK(c, p, POOL, map_async, "s [ii]", "f", 2, 3)); // later
    uint64_t job = (uint64_t)mgr_int(c);
    mp_assert_ok(ASK(c, p, POOL, ready, "U", job));
    ck_assert(!mgr_true(c));
    mp_assert_err(ASK(c, p, POOL, successful, "U", job), MP_ESTATE);
    mp_assert_err(TRY(c, p, POOL, get, "U", job), MP_EAGAIN);
    ck_assert_int_eq(ASK(c, p, POOL, wait, "U", job), MGR_WAITS);
    uint64_t wait = c->id;
    run_all(w, by);
    mp_assert_ok(mgr_answer(c, wait));
    mp_assert_ok(ASK(c, p, POOL, successful, "U", job));
    ck_assert(mgr_true(c));
    mp_assert_err(ASK(c, p, POOL, next, "U", job), MP_ETYPE);
    mp_assert_ok(TRY(c, p, POOL, get, "U", job));
    ck_assert(mgr_equals(c, "[ii]", 4, 9));
    mp_assert_err(TRY(c, p, POOL, get, "U", job), MP_ENOTFOUND); // it has been taken
    mp_assert_ok(ASK(c, p, POOL, map, "s []", "f"));
    ck_assert(mgr_equals(c, "[]"));
    mgr_gone(c);
    mgr_gone(w);
    mgr_free(m);
}

MP_TEST(imap_gives_one_by_one)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *w = mgr_peer_with(m, MP__SESSION_ADMIN), *c = mgr_peer(m);
    uint64_t by = serves(w, 3), p = mgr_create(c, "s", "Pool");
    struct work t[3];
    for (int unordered = 0; unordered < 2; unordered++) {
        uint64_t op = unordered ? MP__OP(POOL, imap_unordered) : MP__OP(POOL, imap);
        mp_assert_ok(mgr_ask(c, op, p, 0, "s [iii]", "f", 1, 2, 3));
        uint64_t job = (uint64_t)mgr_int(c);
        for (int i = 0; i < 3; i++)
            mp_assert_ok(next(w, by, &t[i]));
        mp_assert_err(TRY(c, p, POOL, get, "U", job), MP_ETYPE);
        done(w, t[2].ticket, 30);
        if (unordered) {
            mp_assert_ok(TRY(c, p, POOL, next, "U", job));
            ck_assert_int_eq(mgr_int(c), 30);
        }
        ck_assert_int_eq(ASK(c, p, POOL, next, "U", job), MGR_WAITS);
        uint64_t waits = c->id;
        mp_assert_ok(TRY(w, 0, MANAGER, task_done, "U i s", t[0].ticket, MP_ETASK, "no luck"));
        mp_assert_err(mgr_answer(c, waits), MP_ETASK);
        ck_assert(mgr_equals(c, "s", "task 0: no luck"));
        done(w, t[1].ticket, 20);
        mp_assert_ok(TRY(c, p, POOL, next, "U", job));
        ck_assert_int_eq(mgr_int(c), 20);
        if (!unordered) {
            mp_assert_ok(TRY(c, p, POOL, next, "U", job));
            ck_assert_int_eq(mgr_int(c), 30);
        }
        mp_assert_err(TRY(c, p, POOL, next, "U", job), MP_EOF);
        mp_assert_err(TRY(c, p, POOL, next, "U", job), MP_ENOTFOUND);
    }
    mgr_gone(c);
    mgr_gone(w);
    mgr_free(m);
}

MP_TEST(a_failure_costs_its_task)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *w = mgr_peer_with(m, MP__SESSION_ADMIN), *c = mgr_peer(m);
    uint64_t by = serves(w, 3), p = mgr_create(c, "s", "Pool");
    struct work t[3];
    mp_assert_ok(TRY(c, p, POOL, map_async, "s [iii]", "f", 1, 2, 3));
    uint64_t job = (uint64_t)mgr_int(c);
    for (int i = 0; i < 3; i++)
        mp_assert_ok(next(w, by, &t[i]));
    done(w, t[0].ticket, 1);
    mp_assert_ok(TRY(w, 0, MANAGER, task_done, "U i b#", t[1].ticket, 0, "\xc1", (size_t)1));
    mp_assert_ok(
        TRY(w, 0, MANAGER, task_done, "U i s", t[2].ticket, MP_EWORKERDIED, "killed by signal 9"));
    mp_assert_ok(TRY(w, 0, MANAGER, task_done, "U i s", t[2].ticket, MP_ETASK, "once more"));
    mp_assert_ok(TRY(c, p, POOL, get_each, "U", job));
    ck_assert(mgr_equals(c, "[[i i] [i s] [i s]]", 0, 1, MP_EFORMAT, "its result is not one value",
                         MP_EWORKERDIED, "killed by signal 9"));
    mp_assert_ok(TRY(c, p, POOL, stats, ""));
    ck_assert(mgr_equals(c, "{s:i s:i s:i s:i s:i s:i}", "jobs", 0, "waiting", 0, "running", 0,
                         "done", 1, "failed", 2, "bytes", 0));
    mgr_gone(c);
    mgr_gone(w);
    mgr_free(m);
}

// Who runs tasks goes: what it had has failed, what waits is for the next.
MP_TEST(workers_that_go)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *w = mgr_peer_with(m, MP__SESSION_ADMIN), *c = mgr_peer(m);
    uint64_t by = serves(w, 1), p = mgr_create(c, "s", "Pool");
    ck_assert_int_eq(ASK(c, p, POOL, apply, "s i", "f", 1), MGR_WAITS);
    uint64_t first = c->id;
    ck_assert_int_eq(ASK(c, p, POOL, apply, "s i", "f", 2), MGR_WAITS);
    uint64_t second = c->id;
    mgr_gone(w);
    mp_assert_err(mgr_answer(c, first), MP_EWORKERDIED);
    ck_assert_int_eq(mgr_answer(c, second), MGR_WAITS);
    w = mgr_peer_with(m, MP__SESSION_ADMIN);
    by = serves(w, 1);
    ck_assert_int_eq(run_all(w, by), 1);
    mp_assert_ok(mgr_answer(c, second));
    ck_assert_int_eq(mgr_int(c), 4);
    ck_assert_int_eq(ASK(c, p, POOL, apply, "s i", "f", 3), MGR_WAITS);
    first = c->id;
    mp_assert_ok(TRY(w, 0, MANAGER, cancel, "U", by)); // it serves no longer
    mp_assert_err(mgr_answer(c, first), MP_EWORKERDIED);
    mgr_gone(c);
    mgr_gone(w);
    mgr_free(m);
}

// Who wants a result goes: what waits is not run, and of what runs nothing is kept.
MP_TEST(clients_that_go)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *w = mgr_peer_with(m, MP__SESSION_ADMIN), *c = mgr_peer(m), *d = mgr_peer(m);
    uint64_t by = serves(w, 1), p = mgr_create(d, "s", "Pool");
    struct work t;
    for (int i = 0; i < 5; i++)
        mp_assert_ok(ASK(c, p, POOL, apply_async, "s i", "f", i));
    ck_assert_int_eq(ASK(c, p, POOL, apply, "s i", "f", 9), MGR_WAITS);
    mp_assert_ok(next(w, by, &t));
    mp_assert_err(ASK(d, p, POOL, get, "i", 1), MP_ENOTFOUND); // another's
    mgr_gone(c);
    ck_assert_int_eq(next(w, by, &t), MGR_WAITS);
    ck_assert_int_eq(ASK(d, p, POOL, apply, "s i", "f", 3), MGR_WAITS);
    done(w, 7777, 0); // no ticket of any task
    ck_assert_int_eq(next(w, by, &t), MGR_WAITS);
    mp_assert_ok(TRY(d, p, POOL, stats, ""));
    ck_assert(mgr_equals(d, "{s:i s:i s:i s:i s:i s:i}", "jobs", 1, "waiting", 1, "running", 1,
                         "done", 0, "failed", 5, "bytes", (int)mp__core_stats(m->core).bytes));
    mgr_gone(d); // and the pool: what runs is not wanted by anybody
    mp_assert_err(next(w, by, &t), MP_ECANCELED);
    ck_assert_uint_eq(mp__core_stats(m->core).objects, 0);
    done(w, t.ticket, 0);
    mgr_gone(w);
    mgr_free(m);
}

MP_TEST(cancel_forget_and_a_timeout)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *w = mgr_peer_with(m, MP__SESSION_ADMIN), *c = mgr_peer(m);
    uint64_t by = serves(w, 1), p = mgr_create(c, "s", "Pool");
    struct work t, u;
    mp_assert_ok(TRY(c, p, POOL, map_async, "s [iii]", "f", 1, 2, 3));
    uint64_t job = (uint64_t)mgr_int(c);
    ck_assert_int_eq(ASK(c, p, POOL, get, "U", job), MGR_WAITS);
    uint64_t get = c->id;
    mp_assert_ok(next(w, by, &t));
    mp_assert_ok(TRY(c, p, POOL, cancel, "U", job));
    ck_assert_int_eq(mgr_int(c), 3);
    mp_assert_err(next(w, by, &u), MP_ECANCELED); // it is asked to end it
    ck_assert_uint_eq(u.ticket, t.ticket);
    ck_assert_int_eq(mgr_answer(c, get), MGR_WAITS);
    mp_assert_ok(TRY(w, 0, MANAGER, task_done, "U i s", t.ticket, MP_ECANCELED, ""));
    mp_assert_err(mgr_answer(c, get), MP_ECANCELED);

    ck_assert_int_eq(mgr_ask(c, MP__OP(POOL, map), p, 50, "s [ii]", "f", 1, 2), MGR_WAITS);
    uint64_t map = c->id;
    mp_assert_ok(next(w, by, &t));
    mgr_tick(m, 60);
    mp_assert_err(mgr_answer(c, map), MP_ETIMEDOUT);
    ck_assert_int_eq(next(w, by, &u), MGR_WAITS); // is not killed, and the other is not run
    done(w, t.ticket, 1);
    ck_assert_int_eq(next(w, by, &u), MGR_WAITS);

    mp_assert_ok(TRY(c, p, POOL, apply_async, "s i", "f", 1));
    job = (uint64_t)mgr_int(c);
    ck_assert_int_eq(ASK(c, p, POOL, get, "U", job), MGR_WAITS);
    get = c->id;
    mp_assert_ok(TRY(c, p, POOL, forget, "U", job));
    mp_assert_err(mgr_answer(c, get), MP_ENOTFOUND);
    mp_assert_ok(next(w, by, &t));
    done(w, t.ticket, 1);
    mp_assert_err(TRY(c, p, POOL, forget, "U", job), MP_ENOTFOUND);
    mgr_gone(c);
    mgr_gone(w);
    mgr_free(m);
}

MP_TEST(close_terminate_join)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *w = mgr_peer_with(m, MP__SESSION_ADMIN), *c = mgr_peer(m), *d = mgr_peer(m);
    uint64_t by = serves(w, 1), p = mgr_create(c, "s", "Pool");
    struct work t;
    mp_assert_err(TRY(c, p, POOL, join, ""), MP_ESTATE);
    mp_assert_ok(TRY(c, p, POOL, map_async, "s [ii]", "f", 1, 2));
    uint64_t job = (uint64_t)mgr_int(c);
    mp_assert_ok(TRY(d, p, POOL, close, ""));
    mp_assert_err(TRY(c, p, POOL, apply_async, "s i", "f", 1), MP_ECLOSED);
    mp_assert_err(ASK(d, p, POOL, apply, "s i", "f", 1), MP_ECLOSED);
    ck_assert_int_eq(ASK(d, p, POOL, join, ""), MGR_WAITS);
    uint64_t join = d->id;
    mp_assert_ok(next(w, by, &t));
    mp_assert_ok(TRY(d, p, POOL, terminate, ""));
    mp_assert_err(next(w, by, &t), MP_ECANCELED);
    ck_assert_int_eq(mgr_answer(d, join), MGR_WAITS);
    mp_assert_ok(TRY(w, 0, MANAGER, task_done, "U i s", t.ticket, MP_ECANCELED, "killed"));
    mp_assert_ok(mgr_answer(d, join));
    mp_assert_err(TRY(c, p, POOL, get, "U", job), MP_ECANCELED);
    mgr_gone(c);
    mgr_gone(d);
    mgr_gone(w);
    mgr_free(m);
}

// One with a thousand tasks does not keep another from running one; nor a pool another pool.
MP_TEST(clients_and_pools_take_turns)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *w = mgr_peer_with(m, MP__SESSION_ADMIN), *c = mgr_peer(m), *d = mgr_peer(m);
    uint64_t by = serves(w, 1), p = mgr_create(c, "s", "Pool"), q = mgr_create(d, "s", "Pool");
    struct work t;
    for (int i = 0; i < 1000; i++)
        mp_assert_ok(TRY(c, p, POOL, apply_async, "s i", "f", 1));
    for (int i = 0; i < 3; i++) {
        mp_assert_ok(TRY(d, p, POOL, apply_async, "s i", "f", 2));
        mp_assert_ok(TRY(d, q, POOL, apply_async, "s i", "f", 3));
    }
    int when[4] = {0};
    for (int i = 1; when[2] < 3 || when[3] < 3; i++) {
        ck_assert_int_le(i, 12 + 1);
        mp_assert_ok(next(w, by, &t));
        when[t.first]++;
        done(w, t.ticket, 0);
    }
    mgr_gone(c);
    mgr_gone(d);
    mgr_gone(w);
    mgr_free(m);
}

// Of a pool that may have two at a time, a third waits, whoever is free.
MP_TEST(a_pool_has_its_number_of_workers)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *w = mgr_peer_with(m, MP__SESSION_ADMIN), *c = mgr_peer(m);
    uint64_t by = serves(w, 8), p = mgr_create(c, "s i i i", "Pool", 2, 1500, 3);
    struct work t, u;
    int64_t limit, retries;
    mp_assert_ok(TRY(c, p, POOL, map_async, "s [iiii]", "f", 1, 2, 3, 4));
    mp_assert_ok(next(w, by, &t));
    mp_assert_ok(mgr_value(w, "[_ _ _ I I]", &limit, &retries));
    ck_assert(limit == 1500 && retries == 3);
    mp_assert_ok(next(w, by, &u));
    ck_assert_int_eq(next(w, by, &u), MGR_WAITS);
    done(w, t.ticket, 0);
    mp_assert_ok(next(w, by, &u));
    ck_assert_int_eq(next(w, by, &u), MGR_WAITS);
    mgr_gone(c);
    mgr_gone(w);
    mgr_free(m);
}

MP_TEST(what_a_client_has_in_tasks_is_limited)
{
    struct mp__core_limits limits = {.session_tasks = 20000};
    struct mgr *m = mgr_new_with(&limits, 1);
    struct mgr_peer *w = mgr_peer_with(m, MP__SESSION_ADMIN), *c = mgr_peer(m), *d = mgr_peer(m);
    uint64_t by = serves(w, 8), p = mgr_create(c, "s", "Pool");
    static const char big[15000];
    uint8_t packed[15003] = {0xc5, 15000 >> 8, 15000 & 0xff};
    struct work t;
    mp_assert_err(TRY(c, p, POOL, apply_async, "s b# b#", "f", big, sizeof big, big, sizeof big),
                  MP_EQUOTA);
    mp_assert_ok(TRY(c, p, POOL, apply_async, "s b#", "f", big, sizeof big));
    uint64_t job = (uint64_t)mgr_int(c);
    mp_assert_err(TRY(c, p, POOL, apply_async, "s b#", "f", big, sizeof big), MP_EQUOTA);
    mp_assert_ok(TRY(d, p, POOL, apply_async, "s b#", "f", big, sizeof big)); // not another's
    mp_assert_ok(next(w, by, &t));
    mp_assert_ok(
        TRY(w, 0, MANAGER, task_done, "U i b#", t.ticket, 0, packed, sizeof packed)); // too much
    mp_assert_err(TRY(c, p, POOL, get, "U", job), MP_EQUOTA);
    mp_assert_ok(TRY(c, p, POOL, apply_async, "s b#", "f", big, sizeof big)); // given back
    mgr_gone(c);
    mgr_gone(d);
    mgr_gone(w);
    mgr_free(m);
}

MP_TEST(what_cannot_be_asked)
{
    struct mgr *m = mgr_new();
    struct mgr_peer *w = mgr_peer_with(m, MP__SESSION_ADMIN), *c = mgr_peer(m);
    struct mgr_peer *reader = mgr_peer_with(m, MP__SESSION_READ_ONLY);
    uint64_t p = mgr_create(c, "s", "Pool");
    struct mgr_ref self = mgr_ref(p);
    mp_assert_ok(TRY(c, p, POOL, apply_async, "s", "anything")); // nobody knows yet
    uint64_t by = serves(w, 1);
    struct work t;
    mp_assert_ok(next(w, by, &t));
    ck_assert_str_eq(t.name, "anything");
    mp_assert_err(TRY(c, p, POOL, apply_async, "s", "anything"), MP_ENOFUNC);
    mp_assert_err(TRY(c, p, POOL, apply, "s", "f"), MP_EAGAIN); // it would have to wait
    mp_assert_err(TRY(c, p, POOL, starmap_async, "s [i]", "f", 1), MP_ETYPE);
    mp_assert_err(TRY(c, p, POOL, map_async, "s i", "f", 1), MP_ETYPE);
    mp_assert_err(TRY(c, p, POOL, apply_async, "s O#", "f", self.bytes, sizeof self.bytes),
                  MP_ETYPE);
    mp_assert_err(TRY(reader, p, POOL, apply_async, "s", "f"), MP_EDENIED);
    mp_assert_err(TRY(c, 0, MANAGER, serve_tasks, "i [s]", 1, "f"), MP_EDENIED);
    mp_assert_err(TRY(c, 0, MANAGER, task_done, "i i n", 1, 0), MP_EDENIED);
    mp_assert_err(TRY(w, 0, MANAGER, serve_tasks, "i [s]", 1, "f"), MP_ESTATE); // does already
    struct mgr_peer *x = mgr_peer_with(m, MP__SESSION_ADMIN);
    mp_assert_err(TRY(x, 0, MANAGER, serve_tasks, "i [s]", 0, "f"), MP_EINVAL);
    mp_assert_err(TRY(x, 0, MANAGER, serve_tasks, "i [s]", 5000, "f"), MP_EINVAL);
    mp_assert_err(TRY(x, 0, MANAGER, serve_tasks, "i [i]", 1, 1), MP_ETYPE);
    mp_assert_err(TRY(x, 0, MANAGER, task_done, "i i n", 1, 0), MP_ESTATE);
    mp_assert_err(TRY(w, 0, MANAGER, task_done, "i i n", 1, 1), MP_EINVAL);
    mgr_gone(x);
    mgr_gone(reader);
    mgr_gone(c);
    mgr_gone(w);
    mgr_free(m);
}

// Where nobody will ever come to run them, tasks do not wait; and a ticket is good for once, also
// for who serves again.
MP_TEST(without_anybody_who_runs_tasks)
{
    struct mgr *m = mgr_new_with(NULL, MGR_NO_TASKS);
    struct mgr_peer *w = mgr_peer_with(m, MP__SESSION_ADMIN), *c = mgr_peer(m);
    struct work old, t;
    mp_assert_err(TRY(c, 0, MANAGER, create, "s", "Pool"), MP_ENOTSUP);
    uint64_t by = serves(w, 3), p = mgr_create(c, "s", "Pool");
    mp_assert_ok(TRY(c, p, POOL, apply_async, "s i", "f", 1));
    mp_assert_ok(next(w, by, &old));
    mp_assert_ok(TRY(w, 0, MANAGER, cancel, "U", by));
    mp_assert_err(TRY(c, p, POOL, apply_async, "s i", "f", 2), MP_ENOTSUP);
    by = serves(w, 3);
    mp_assert_ok(TRY(c, p, POOL, apply_async, "s i", "f", 3));
    uint64_t job = (uint64_t)mgr_int(c);
    mp_assert_ok(next(w, by, &t));
    done(w, old.ticket, 1);
    mp_assert_err(TRY(c, p, POOL, get, "U", job), MP_EAGAIN);
    done(w, t.ticket, 9);
    mp_assert_ok(TRY(c, p, POOL, get, "U", job));
    mgr_gone(c);
    mgr_gone(w);
    mgr_free(m);
}
