// SPDX-License-Identifier: MIT
//
// The linearizability checker: small histories whose verdict is known; histories of a manager's
// core whose messages take their time, which are all right; and the same from a manager that
// errs on purpose now and then, which have to be found out.
#include "linear.h"
#include "mgr.h"

#define N(ops) (sizeof(ops) / sizeof *(ops))

static enum linear_verdict verdict(const struct linear_model *m, const struct linear_op *ops,
                                   size_t n)
{
    uint64_t bad;
    return linear_check(m, ops, n, &bad);
}

// {object, client, op, a, b, result, called, returned}
MP_TEST(known_verdicts)
{
    struct linear_op overlap[] = {{1, 1, LINEAR_SET, 5, 0, 0, 0, 10},
                                  {1, 2, LINEAR_GET, 0, 0, 5, 1, 2},
                                  {1, 3, LINEAR_GET, 0, 0, 5, 3, 12}};
    ck_assert_int_eq(verdict(&linear_value, overlap, N(overlap)), LINEAR_YES);
    overlap[2].result = LINEAR_NONE; // was seen before, and is not any more
    ck_assert_int_eq(verdict(&linear_value, overlap, N(overlap)), LINEAR_NO);
    overlap[2].object = 2; // of another object
    ck_assert_int_eq(verdict(&linear_value, overlap, N(overlap)), LINEAR_YES);

    struct linear_op stale[] = {{1, 1, LINEAR_SET, 1, 0, 0, 0, 1},
                                {1, 1, LINEAR_SET, 2, 0, 0, 2, 3},
                                {1, 2, LINEAR_GET, 0, 0, 1, 4, 5}};
    ck_assert_int_eq(verdict(&linear_value, stale, N(stale)), LINEAR_NO);
    stale[1].returned = LINEAR_NEVER; // its client was killed: it may not have been done
    ck_assert_int_eq(verdict(&linear_value, stale, N(stale)), LINEAR_YES);

    struct linear_op lost[] = {{1, 1, LINEAR_ADD, 1, 0, 1, 0, 5},
                               {1, 2, LINEAR_ADD, 1, 0, 1, 1, 6}};
    ck_assert_int_eq(verdict(&linear_counter, lost, N(lost)), LINEAR_NO);
    lost[0].result = 2;
    ck_assert_int_eq(verdict(&linear_counter, lost, N(lost)), LINEAR_YES);

    struct linear_op twice[] = {{1, 1, LINEAR_ACQUIRE, 0, 0, 0, 0, 1},
                                {1, 2, LINEAR_ACQUIRE, 0, 0, 0, 0, 3},
                                {1, 1, LINEAR_RELEASE, 0, 0, 0, 4, 5}};
    ck_assert_int_eq(verdict(&linear_lock, twice, N(twice)), LINEAR_NO);
    twice[2].called = 2;
    ck_assert_int_eq(verdict(&linear_lock, twice, N(twice)), LINEAR_YES);
    twice[2].op = LINEAR_DIED;
    twice[2].returned = LINEAR_NEVER;
    ck_assert_int_eq(verdict(&linear_lock, twice, N(twice)), LINEAR_YES);

    struct linear_op order[] = {{1, 1, LINEAR_PUT, 1, 0, 0, 0, 1},
                                {1, 1, LINEAR_PUT, 2, 0, 0, 2, 3},
                                {1, 2, LINEAR_TAKE, 0, 0, 2, 4, 5},
                                {1, 3, LINEAR_TAKE, 0, 0, 1, 4, 6}};
    ck_assert_int_eq(verdict(&linear_queue, order, N(order)), LINEAR_YES);
    order[3].called = 6;
    order[3].returned = 7;
    ck_assert_int_eq(verdict(&linear_queue, order, N(order)), LINEAR_NO);
}

// ---- histories of the core -----------------------------------------------------------------

enum { CLIENTS = 6, OPS = 400 };

struct client {
    struct mgr_peer *p;
    struct linear_op op; // under way
    uint64_t id;
    int stage; // 0: none; 1: on its way there; 2: waits there; 3: on its way back
    bool held; // the lock
};

struct run {
    struct mgr *m;
    uint64_t object, random;
    const struct linear_model *model;
    int64_t time;
    unsigned err_every; // the planted mistake; 0: none
    struct client clients[CLIENTS];
    struct linear_op done[OPS + 3 * CLIENTS];
    size_t count;
};

static uint64_t draw(struct run *r, uint64_t below)
{
    r->random = r->random * 6364136223846793005u + 1442695040888963407u;
    return (r->random >> 33) % below;
}

static void choose(struct run *r, struct client *c)
{
    struct linear_op *op = &c->op;
    *op = (struct linear_op){
        .object = 1, .client = c - r->clients, .called = r->time, .returned = LINEAR_NEVER};
    if (r->model == &linear_counter) {
        op->op = draw(r, 2) ? LINEAR_ADD : LINEAR_GET;
        op->a = 1;
    } else if (r->model == &linear_value) {
        static const int ops[] = {LINEAR_SET, LINEAR_GET, LINEAR_GET, LINEAR_CAS, LINEAR_DEL};
        op->op = ops[draw(r, 5)];
        op->a = (int64_t)draw(r, 3);
        op->b = (int64_t)draw(r, 3);
    } else if (r->model == &linear_lock) {
        op->op = c->held ? LINEAR_RELEASE : draw(r, 2) ? LINEAR_ACQUIRE : LINEAR_TRY;
    } else {
        op->op = draw(r, 2) ? LINEAR_PUT : LINEAR_TAKE;
        op->a = (int64_t)draw(r, 1000);
    }
    c->stage = 1;
}

static int ask(struct run *r, struct client *c)
{
    static const char *const key = "k";
    const struct linear_op *op = &c->op;
    uint64_t o = r->object;
    switch (op->op) {
    case LINEAR_ADD:
        return mgr_ask(c->p, MP__OP(COUNTER, add), o, -1, "I", op->a);
    case LINEAR_GET:
        return r->model == &linear_counter ? mgr_ask(c->p, MP__OP(COUNTER, get), o, -1, "")
                                           : mgr_ask(c->p, MP__OP(DICT, get), o, -1, "s", key);
    case LINEAR_SET:
        return mgr_ask(c->p, MP__OP(DICT, set), o, -1, "s I", key, op->a);
    case LINEAR_CAS:
        return mgr_ask(c->p, MP__OP(DICT, compare_and_set), o, -1, "s I I", key, op->a, op->b);
    case LINEAR_DEL:
        return mgr_ask(c->p, MP__OP(DICT, del), o, -1, "s", key);
    case LINEAR_ACQUIRE:
        return mgr_ask(c->p, MP__OP(LOCK, acquire), o, -1, "");
    case LINEAR_TRY:
        return mgr_ask(c->p, MP__OP(LOCK, acquire), o, 0, "");
    case LINEAR_RELEASE:
        return mgr_ask(c->p, MP__OP(LOCK, release), o, -1, "");
    case LINEAR_PUT:
        return mgr_ask(c->p, MP__OP(QUEUE, put), o, 0, "I", op->a);
    default:
        return mgr_ask(c->p, MP__OP(QUEUE, get), o, 0, "");
    }
}

// What the answer says, in the words of the model.
static void understand(struct client *c, int status)
{
    struct linear_op *op = &c->op;
    bool ok = status == 0 || status == MP_EOWNERDEAD;
    switch (op->op) {
    case LINEAR_ADD:
    case LINEAR_GET:
    case LINEAR_TAKE:
        op->result = ok ? mgr_int(c->p) : LINEAR_NONE;
        break;
    case LINEAR_CAS:
        op->result = ok && mgr_true(c->p);
        break;
    case LINEAR_PUT:
        op->result = ok ? 0 : -1; // full
        break;
    default:
        op->result = ok;
    }
    c->held = ok ? op->op == LINEAR_ACQUIRE || op->op == LINEAR_TRY : c->held;
    c->stage = 3;
}

static void finish(struct run *r, struct client *c)
{
    c->op.returned = r->time;
    r->done[r->count++] = c->op;
    c->stage = 0;
}

// A client is killed: what it asked for may be done or not, and its lock goes on.
static void die(struct run *r, struct client *c)
{
    if (c->stage != 0) {
        c->op.returned = LINEAR_NEVER;
        r->done[r->count++] = c->op;
    }
    if (r->model == &linear_lock)
        r->done[r->count++] = (struct linear_op){.object = 1,
                                                 .client = c - r->clients,
                                                 .op = LINEAR_DIED,
                                                 .called = r->time,
                                                 .returned = LINEAR_NEVER};
    mgr_gone(c->p);
    c->stage = -1;
}

// The mistake: an answer of another moment, or a lock that was not acquired.
static int err(struct run *r, struct client *c, int status)
{
    if (!r->err_every || draw(r, r->err_every) || status != 0)
        return status;
    mp_buf_clear(&c->p->value);
    mp_assert_ok(mp_pack(&c->p->value, "I", (int64_t)draw(r, 3)));
    return 0;
}

static void arrive(struct run *r, struct client *c)
{
    bool cheat = r->model == &linear_lock && r->err_every && c->op.op == LINEAR_TRY && !draw(r, 4);
    int status = cheat ? 0 : ask(r, c);
    c->id = c->p->id;
    c->stage = 2;
    if (status != MGR_WAITS)
        understand(c, c->op.op == LINEAR_GET || c->op.op == LINEAR_ADD || c->op.op == LINEAR_TAKE
                          ? err(r, c, status)
                          : status);
}

static void step(struct run *r)
{
    struct client *c = &r->clients[draw(r, CLIENTS)];
    r->time++;
    if (c->stage >= 0 && r->count > OPS / 2 && c != r->clients && !draw(r, 400)) {
        die(r, c);
        return;
    }
    switch (c->stage) {
    case 0:
        choose(r, c);
        return;
    case 1:
        arrive(r, c);
        return;
    case 2: {
        int status = mgr_answer(c->p, c->id);
        if (status != MGR_WAITS)
            understand(c, status);
        return;
    }
    case 3:
        finish(r, c);
    }
}

static bool stuck(const struct run *r)
{
    for (size_t i = 0; i < CLIENTS; i++)
        if (r->clients[i].stage >= 0 && r->clients[i].stage != 2)
            return false;
    return true;
}

// One history, and what the checker says of it.
static enum linear_verdict history(const struct linear_model *model, const char *type,
                                   uint64_t seed, unsigned err_every)
{
    struct run *r = calloc(1, sizeof *r);
    *r = (struct run){.m = mgr_new(), .model = model, .random = seed, .err_every = err_every};
    for (size_t i = 0; i < CLIENTS; i++)
        r->clients[i].p = mgr_peer(r->m);
    struct mgr_peer *owner = mgr_peer(r->m);
    if (model == &linear_counter)
        r->object = mgr_create(owner, "s i", type, 0);
    else if (model == &linear_queue)
        r->object = mgr_create(owner, "s i", type, 4); // long ones have too many orders
    else
        r->object = mgr_create(owner, "s", type);
    for (size_t steps = 0; r->count < OPS && steps < 20 * OPS && !(err_every && stuck(r)); steps++)
        step(r);
    for (size_t i = 0; i < CLIENTS; i++)
        if (r->clients[i].stage >= 0)
            die(r, &r->clients[i]);
    enum linear_verdict v = verdict(model, r->done, r->count);
    mgr_gone(owner);
    mgr_free(r->m);
    free(r);
    return v;
}

static void all_are_right(const struct linear_model *model, const char *type)
{
    uint64_t seeds = getenv("MP_TEST_LONG") ? 200 : 20;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        enum linear_verdict v = history(model, type, seed, 0);
        ck_assert_msg(v == LINEAR_YES, "%s, seed %d: %s", model->name, (int)seed,
                      v == LINEAR_NO ? "not linearizable" : "too hard");
    }
}

// Nearly all: a wrong answer can be right by chance.
static void mistakes_are_found(const struct linear_model *model, const char *type)
{
    int found = 0;
    for (uint64_t seed = 1; seed <= 10; seed++)
        found += history(model, type, seed, 20) == LINEAR_NO;
    ck_assert_msg(found >= 8, "%s: %d of 10", model->name, found);
}

#define BOTH(kind, type)                                                                           \
    MP_TEST_TIMEOUT(kind##_is_linearizable, 900)                                                   \
    {                                                                                              \
        all_are_right(&linear_##kind, type);                                                       \
    }                                                                                              \
    MP_TEST_TIMEOUT(mistakes_of_a_##kind##_are_found, 60)                                          \
    {                                                                                              \
        mistakes_are_found(&linear_##kind, type);                                                  \
    }

BOTH(counter, "counter")
BOTH(value, "dict")
BOTH(lock, "Lock")
BOTH(queue, "Queue")
