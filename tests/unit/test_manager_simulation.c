// SPDX-License-Identifier: MIT
//
// A manager's core through random histories: sessions come and go, ask for anything with any
// arguments, on objects of all types that are in one another, while time passes; and broken
// messages. After each event every invariant of the core is checked, and from outside:
//
//  - each request has one last answer, unless its session ended;
//  - a lock is one session's at a time, and its tokens grow;
//  - an item of a JoinableQueue is with one session at a time, is done once, and is not lost;
//  - who runs tasks is given no more than it said it takes;
//  - another core that replays the log has the same objects in the end.
//
// A seed is a history: SIM_SEED=n runs that one only. MP_TEST_LONG=1: a thousand seeds of 10,000
// events.
#include "core/state.h"
#include "mptest.h"
#include "wire/calls.h"
#include "wire/check.h"
#include "wire/put.h"

#include <stdlib.h>
#include <string.h>

enum { SERVES = 4, PEERS = 6, OBJECTS = 24, SPARE = 6, ASKED = 70, ITEMS = 4096 };

struct asked {
    uint64_t id, op, object, owner;
    bool watching; // has answers before the last
    bool leased;   // a lock, for a time only
};

struct peer {
    struct sim *sim;
    struct mp__session *session;
    uint64_t number, next_id;
    struct asked asked[ASKED]; // and not answered
    size_t count;
    uint64_t tickets[SERVES + 2]; // of tasks that it is at
    size_t ticket_count;
};

struct lock_model {
    uint64_t object, holder, owner, depth; // holder 0: free
    bool unsure;                           // it may be, since there was a lease
};

enum item_state { NOWHERE, QUEUED, TAKEN, DONE };

struct sim {
    struct mp__core *core;
    uint64_t random, seed, event, sessions, token;
    int64_t now;
    struct peer peers[PEERS];
    uint64_t objects[OBJECTS]; // numbers that are or were some
    struct lock_model locks[OBJECTS];
    size_t lock_count;
    uint64_t tasks; // a JoinableQueue that only the model uses
    struct {
        enum item_state state;
        uint64_t by, ticket;
    } items[ITEMS];
    uint64_t item_count;
    mp_buf message;
    mp_buf log; // sizes (8 bytes) and records
};

static const char *const types[] = {"list",          "dict",
                                    "Pool",          "set",
                                    "Namespace",     "Value",
                                    "Queue",         "LifoQueue",
                                    "PriorityQueue", "JoinableQueue",
                                    "Lock",          "RLock",
                                    "Semaphore",     "BoundedSemaphore",
                                    "Condition",     "Event",
                                    "Barrier",       "counter",
                                    "Array"};

static uint64_t all_tasks; // that were given to somebody, in all histories

static void require(struct sim *s, bool holds, const char *what)
{
    ck_assert_msg(holds, "seed %llu, event %llu: %s", (unsigned long long)s->seed,
                  (unsigned long long)s->event, what);
}

static uint64_t draw(struct sim *s, uint64_t below)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->random % below;
}

// ---- answers ---------------------------------------------------------------------------

static uint64_t read_uint(const uint8_t **at, const uint8_t *end, bool *negative)
{
    struct mp__head h = {0};
    ck_assert_int_eq(mp__head_read(at, end, &h), 0);
    if (negative)
        *negative = h.negative;
    return h.n;
}

static struct lock_model *lock_of(struct sim *s, uint64_t object)
{
    for (size_t i = 0; i < s->lock_count; i++)
        if (s->locks[i].object == object)
            return &s->locks[i];
    return NULL;
}

static void acquired(struct peer *p, const struct asked *a, uint64_t token)
{
    struct sim *s = p->sim;
    struct lock_model *l = lock_of(s, a->object);
    if (!l)
        return;
    if (token <= s->token) { // an RLock, once more
        require(s, l->holder == p->number && l->owner == a->owner, "an old token");
        l->depth++;
        l->unsure |= a->leased;
        return;
    }
    require(s, !l->holder || l->unsure, "a lock is given twice");
    s->token = token;
    *l = (struct lock_model){l->object, p->number, a->owner, 1, a->leased};
}

static void released(struct peer *p, const struct asked *a)
{
    struct lock_model *l = lock_of(p->sim, a->object);
    if (!l || l->unsure)
        return;
    require(p->sim, l->holder == p->number && l->owner == a->owner, "released by somebody else");
    if (--l->depth == 0)
        l->holder = 0;
}

static void took(struct peer *p, const uint8_t *at, const uint8_t *end)
{
    struct sim *s = p->sim;
    at++; // [ticket, n]
    uint64_t ticket = read_uint(&at, end, NULL), n = read_uint(&at, end, NULL);
    require(s, n < s->item_count && s->items[n].state == QUEUED, "an item that is not there");
    s->items[n].state = TAKEN;
    s->items[n].by = p->number;
    s->items[n].ticket = ticket;
}

// [ticket, name, arguments, time limit, retries]; or [ticket], of one that is not wanted.
static void given(struct peer *p, const uint8_t *at, const uint8_t *end)
{
    if (at == end || (*at & 0xf0) != 0x90)
        return;
    bool wanted = *at++ == 0x95;
    uint64_t ticket = read_uint(&at, end, NULL);
    if (!wanted)
        return;
    require(p->sim, p->ticket_count < SERVES + 2, "more tasks than were asked for");
    p->tickets[p->ticket_count++] = ticket;
    all_tasks++;
}

static void succeeded(struct peer *p, const struct asked *a, const uint8_t *at, const uint8_t *end)
{
    if (a->op == MP__OP(LOCK, acquire))
        acquired(p, a, read_uint(&at, end, NULL));
    else if (a->op == MP__OP(LOCK, release))
        released(p, a);
    else if (a->op == MP__OP(QUEUE, take) && a->object == p->sim->tasks)
        took(p, at, end);
    else if (a->op == MP__OP(QUEUE, task_done) && a->object == p->sim->tasks)
        p->sim->items[a->owner].state = DONE;
    else if (a->op == MP__OP(MANAGER, create)) // others may use it while it lives
        p->sim->objects[OBJECTS - 1 - draw(p->sim, SPARE)] = mp__get_be64(at + 2);
}

static void on_send(void *ctx, void *user, const void *data, size_t size)
{
    struct peer *p = user;
    const uint8_t *at = data, *end = at + size;
    struct mp__wire_limits limits = {.depth = 20, .nodes = 1 << 20, .ext = true};
    struct mp__wire_scan scan = {0};
    bool negative;
    (void)ctx;
    require(p->sim,
            mp__wire_check(data, size, &limits, &scan) == 0 && scan.used == size && *at++ == 0x93,
            "an answer that is none");
    uint64_t id = read_uint(&at, end, NULL), status = read_uint(&at, end, &negative);
    size_t i = 0;
    while (i < p->count && p->asked[i].id != id)
        i++;
    require(p->sim, i < p->count, "an answer that nobody waits for");
    struct asked a = p->asked[i];
    require(p->sim, status != 1 || a.watching, "an answer that is not the last");
    if (status == 1 && !negative) {
        if (a.op == MP__OP(MANAGER, serve_tasks))
            given(p, at, end);
        return;
    }
    if (a.op == MP__OP(MANAGER, serve_tasks) && a.watching)
        p->ticket_count = 0;
    p->asked[i] = p->asked[--p->count];
    if (!negative || (int64_t)status == MP_EOWNERDEAD)
        succeeded(p, &a, at, end);
}

// ---- requests ----------------------------------------------------------------------------

static uint64_t any_object(struct sim *s)
{
    return s->objects[draw(s, OBJECTS)];
}

static void put_value(struct sim *s, unsigned depth)
{
    static const char *const texts[] = {"", "a", "b", "a text that is longer than eight"};
    switch (draw(s, depth < 2 ? 9 : 6)) {
    case 0:
        mp__put_nil(&s->message);
        break;
    case 1:
        mp__put_double(&s->message, (double)draw(s, 100) / 4);
        break;
    case 2:
        mp__put_str(&s->message, texts[draw(s, 4)]);
        break;
    case 6:
        mp__put_object(&s->message, any_object(s));
        break;
    case 7:
        mp__put_array(&s->message, 2);
        put_value(s, depth + 1);
        put_value(s, depth + 1);
        break;
    case 8:
        mp__put_map(&s->message, 1);
        mp__put_uint(&s->message, draw(s, 5));
        put_value(s, depth + 1);
        break;
    default:
        mp__put_int(&s->message, (int64_t)draw(s, 20) - 5);
    }
}

static void put_text(struct sim *s)
{
    static const char *const texts[] = {"x", "y", "i", "d", "b", "name"};
    if (draw(s, 3))
        mp__put_str(&s->message, texts[draw(s, sizeof texts / sizeof *texts)]);
    else
        mp__put_str(&s->message, types[draw(s, sizeof types / sizeof *types)]);
}

static void put_arg(struct sim *s, char letter)
{
    switch (letter) {
    case 'i':
        mp__put_int(&s->message, (int64_t)draw(s, 20) - 8);
        break;
    case 'u':
        mp__put_uint(&s->message, draw(s, 6));
        break;
    case 't':
        mp__put_bool(&s->message, draw(s, 2));
        break;
    case 's':
        put_text(s);
        break;
    case 'd':
        mp__put_int(&s->message, (int64_t)draw(s, 9) - 4);
        break;
    case 'k':
        if (draw(s, 2))
            put_text(s);
        else
            mp__put_uint(&s->message, draw(s, 8));
        break;
    case 'a': {
        uint64_t n = draw(s, 4);
        mp__put_array(&s->message, n);
        while (n-- > 0)
            put_value(s, 1);
        break;
    }
    case 'm': {
        uint64_t n = draw(s, 4);
        mp__put_map(&s->message, n);
        for (; n > 0; n--) {
            put_text(s);
            put_value(s, 1);
        }
        break;
    }
    case 'o':
        mp__put_object(&s->message, any_object(s));
        break;
    default:
        put_value(s, 0);
    }
}

// How many arguments, for letters as in wire/calls.h.
static size_t put_args(struct sim *s, const char *letters)
{
    bool optional = false;
    size_t n = 0;
    for (; *letters; letters++) {
        if (*letters == '|') {
            optional = true;
        } else if (*letters == '*') {
            letters++;
            for (uint64_t many = draw(s, 3); many > 0; many--, n++)
                put_arg(s, *letters);
        } else if (optional && draw(s, 2)) {
            break;
        } else {
            put_arg(s, *letters);
            n++;
        }
    }
    return n;
}

// A request begins: how many arguments follow is put last, where there is a byte for it.
static void begin(struct peer *p, uint64_t op, uint64_t object)
{
    struct sim *s = p->sim;
    mp_buf_clear(&s->message);
    mp__put_byte(&s->message, 0x90);
    mp__put_uint(&s->message, ++p->next_id);
    mp__put_uint(&s->message, op);
    mp__put_uint(&s->message, object);
    uint64_t wait = draw(s, 4);
    mp__put_int(&s->message, wait == 0 ? 0 : wait == 1 ? -1 : (int64_t)draw(s, 40));
}

static int ask(struct peer *p, uint64_t op, uint64_t object, uint64_t owner, size_t args)
{
    struct sim *s = p->sim;
    ((uint8_t *)s->message.data)[0] = (uint8_t)(0x94 + args);
    p->asked[p->count++] = (struct asked){.id = p->next_id,
                                          .op = op,
                                          .object = object,
                                          .owner = owner,
                                          .watching = op == MP__OP(MANAGER, watch) ||
                                                      op == MP__OP(MANAGER, serve_tasks),
                                          .leased = op == MP__OP(LOCK, acquire) && args > 1};
    return mp__core_feed(s->core, p->session, s->message.data, s->message.size, s->now);
}

// Anything, of anything. What the model follows is asked by the functions below.
static void ask_anything(struct peer *p)
{
    struct sim *s = p->sim;
    size_t count;
    const struct mp__call_info *calls = mp__calls(&count), *c = &calls[draw(s, count)];
    if (mp__op_interface(c->op) == MP__LOCK)
        return;
    uint64_t object = mp__op_interface(c->op) || draw(s, 2) ? any_object(s) : 0;
    if (object == s->tasks)
        return;
    begin(p, c->op, object);
    size_t args = put_args(s, c->args);
    require(s, ask(p, c->op, object, 0, args) == 0, "a request is refused");
}

// A call of the interface that an object has, which is more to the point.
static void ask_fitting(struct peer *p)
{
    struct sim *s = p->sim;
    size_t count, i = draw(s, OBJECTS), kind = i % (sizeof types / sizeof *types);
    const struct mp__call_info *calls = mp__calls(&count);
    unsigned interface = mp__type_by_name(types[kind], strlen(types[kind]))->interface;
    if (interface == MP__LOCK)
        return;
    const struct mp__call_info *c;
    do
        c = &calls[draw(s, count)];
    while (mp__op_interface(c->op) != interface || strchr(c->flags, 'P'));
    begin(p, c->op, s->objects[i]);
    size_t args = put_args(s, c->args);
    require(s, ask(p, c->op, s->objects[i], 0, args) == 0, "a request is refused");
}

static void ask_lock(struct peer *p)
{
    struct sim *s = p->sim;
    struct lock_model *l = &s->locks[draw(s, s->lock_count)];
    bool acquire = draw(s, 2);
    uint64_t op = acquire ? MP__OP(LOCK, acquire) : MP__OP(LOCK, release), owner = draw(s, 2);
    uint64_t lease = acquire && draw(s, 4) == 0 ? 1 + draw(s, 60) : 0;
    begin(p, op, l->object);
    mp__put_uint(&s->message, owner);
    if (lease)
        mp__put_uint(&s->message, lease);
    require(s, ask(p, op, l->object, owner, 1 + (lease > 0)) == 0, "a request is refused");
}

static void ask_tasks(struct peer *p)
{
    struct sim *s = p->sim;
    uint64_t n = s->item_count;
    switch (draw(s, 3)) {
    case 0:
        if (n == ITEMS)
            return;
        begin(p, MP__OP(QUEUE, put), s->tasks);
        mp__put_uint(&s->message, n);
        s->items[s->item_count++].state = QUEUED;
        ask(p, MP__OP(QUEUE, put), s->tasks, 0, 1);
        return;
    case 1:
        begin(p, MP__OP(QUEUE, take), s->tasks);
        ask(p, MP__OP(QUEUE, take), s->tasks, 0, 0);
        return;
    default:
        for (n = 0; n < s->item_count; n++)
            if (s->items[n].state == TAKEN && s->items[n].by == p->number)
                break;
        if (n == s->item_count)
            return;
        uint64_t op = draw(s, 4) ? MP__OP(QUEUE, task_done) : MP__OP(QUEUE, give_back);
        begin(p, op, s->tasks);
        mp__put_uint(&s->message, s->items[n].ticket);
        if (op == MP__OP(QUEUE, give_back)) // may be taken before the answer comes
            s->items[n].state = QUEUED;
        ask(p, op, s->tasks, n, 1);
    }
}

// It begins to serve, or tells what became of a task. What it says of others is not heard.
static void ask_to_work(struct peer *p)
{
    struct sim *s = p->sim;
    static const char *const names[] = {"x", "y"};
    if (p->ticket_count == 0) {
        begin(p, MP__OP(MANAGER, serve_tasks), 0);
        mp__put_uint(&s->message, 1 + draw(s, SERVES));
        mp__put_array(&s->message, 2);
        mp__put_str(&s->message, names[0]);
        mp__put_str(&s->message, names[1]);
        ask(p, MP__OP(MANAGER, serve_tasks), 0, 0, 2);
        return;
    }
    size_t i = draw(s, p->ticket_count);
    bool good = draw(s, 3);
    begin(p, MP__OP(MANAGER, task_done), 0);
    mp__put_uint(&s->message, draw(s, 20) ? p->tickets[i] : draw(s, 50));
    mp__put_int(&s->message, good ? 0 : MP_ETASK);
    if (good)
        mp__put_bin(&s->message, "\xa9nine char", draw(s, 2) * 10);
    else
        mp__put_str(&s->message, "it went wrong");
    p->tickets[i] = p->tickets[--p->ticket_count];
    ask(p, MP__OP(MANAGER, task_done), 0, 0, 3);
}

static void ask_cancel(struct peer *p)
{
    struct sim *s = p->sim;
    uint64_t id = p->count ? p->asked[draw(s, p->count)].id : draw(s, p->next_id + 2);
    begin(p, MP__OP(MANAGER, cancel), 0);
    mp__put_uint(&s->message, id);
    ask(p, MP__OP(MANAGER, cancel), 0, 0, 1);
}

// What is no request, or one whose bytes have been changed: it may be refused, no more.
static bool ask_broken(struct peer *p)
{
    struct sim *s = p->sim;
    begin(p, MP__OP(DICT, set), any_object(s));
    put_value(s, 0);
    put_value(s, 0);
    ((uint8_t *)s->message.data)[0] = 0x96;
    size_t size = 1 + draw(s, s->message.size - 1);
    return mp__core_feed(s->core, p->session, s->message.data, size, s->now) < 0;
}

// ---- sessions ----------------------------------------------------------------------------

static void come(struct sim *s, struct peer *p)
{
    *p = (struct peer){.sim = s};
    unsigned flags = p < &s->peers[PEERS / 2] ? MP__SESSION_ADMIN : 0;
    mp_assert_ok(mp__session_begin(s->core, &p->session, p, flags));
    p->number = ++s->sessions;
}

static void go(struct peer *p)
{
    struct sim *s = p->sim;
    for (size_t i = 0; i < s->lock_count; i++)
        if (s->locks[i].holder == p->number)
            s->locks[i].holder = 0;
    for (uint64_t n = 0; n < s->item_count; n++)
        if (s->items[n].state == TAKEN && s->items[n].by == p->number)
            s->items[n].state = QUEUED;
    struct mp__session *session = p->session;
    p->session = NULL;
    mp__session_end(s->core, session, s->now);
}

// ---- a history ----------------------------------------------------------------------------

static void make(struct sim *s, const char *type, const char *name)
{
    struct peer *p = &s->peers[0];
    struct mp__core_stats before = mp__core_stats(s->core);
    mp_buf_clear(&s->message);
    mp_assert_ok(mp_pack(&s->message, "[U i i i s s]", ++p->next_id, MP__OP(MANAGER, get_or_create),
                         0, 0, name, type));
    const uint64_t args = strcmp(type, "Barrier") == 0 ? 1 : strcmp(type, "Array") == 0 ? 2 : 0;
    if (args == 2)
        mp__put_str(&s->message, "i");
    if (args)
        mp__put_uint(&s->message, 3);
    ask(p, MP__OP(MANAGER, get_or_create), 0, 0, 2 + args);
    require(s, mp__core_stats(s->core).objects > before.objects, "nothing is made");
}

// Numbers count up from the instance's; a Condition makes its lock in between.
static void populate(struct sim *s)
{
    uint64_t next = (UINT64_C(0x77) << 40) + 1;
    char name[16];
    for (size_t i = 0; i < OBJECTS; i++) {
        const char *type = types[i % (sizeof types / sizeof *types)];
        snprintf(name, sizeof name, "o%zu", i);
        make(s, type, name);
        s->objects[i] = next;
        if (strcmp(type, "Lock") == 0 || strcmp(type, "RLock") == 0)
            s->locks[s->lock_count++] = (struct lock_model){.object = next};
        next += strcmp(type, "Condition") == 0 ? 2 : 1;
    }
    make(s, "JoinableQueue", "tasks");
    s->tasks = next;
}

static void step(struct sim *s)
{
    struct peer *p = &s->peers[draw(s, PEERS)];
    uint64_t what = draw(s, 100);
    s->now += (int64_t)draw(s, 3000000);
    if (!p->session) {
        come(s, p);
    } else if (what < 2) {
        go(p);
    } else if (what < 10) {
        s->now += (int64_t)draw(s, 40000000);
        mp__core_tick(s->core, s->now);
    } else if (p->count >= ASKED - 1 || what < 16) {
        ask_cancel(p);
    } else if (what < 18) {
        if (ask_broken(p))
            go(p);
    } else if (what < 35) {
        ask_lock(p);
    } else if (what < 55) {
        ask_tasks(p);
    } else if (what < 60) {
        ask_to_work(p);
    } else if (what < 68) {
        ask_anything(p);
    } else {
        ask_fitting(p);
    }
    const char *why = mp__core_check(s->core);
    require(s, !why, why ? why : "");
    s->event++;
}

// What is left of the tasks is what nobody has done.
static void drain(struct sim *s)
{
    for (size_t i = 0; i < PEERS; i++)
        if (s->peers[i].session)
            go(&s->peers[i]);
    struct peer *p = &s->peers[0];
    come(s, p);
    uint64_t left = 0;
    for (uint64_t n = 0; n < s->item_count; n++)
        left += s->items[n].state == QUEUED;
    for (; left > 0; left--) {
        begin(p, MP__OP(QUEUE, take), s->tasks);
        ask(p, MP__OP(QUEUE, take), s->tasks, 0, 0);
        require(s, p->count == 0, "an item is lost");
    }
    for (uint64_t n = 0; n < s->item_count; n++)
        require(s, s->items[n].state == TAKEN || s->items[n].state == DONE, "an item is lost");
    go(p);
}

// What happened in all histories: it should have been something of everything.
static struct mp__core_stats all;

static void add_up(struct mp__core_stats s)
{
    all.calls += s.calls;
    all.errors += s.errors;
    all.timeouts += s.timeouts;
    all.cancels += s.cancels;
    all.owners_died += s.owners_died;
    all.items_returned += s.items_returned;
    all.leases_expired += s.leases_expired;
}

// ---- the log -----------------------------------------------------------------------------

static void on_record(void *ctx, const void *data, size_t size)
{
    struct sim *s = ctx;
    mp__put_packed(&s->log, &size, sizeof size);
    mp__put_packed(&s->log, data, size);
}

// A sum of all that is saved, whatever its order.
static int add_record(void *ctx, const void *data, size_t size)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ ((const uint8_t *)data)[i]) * 1099511628211u;
    *(uint64_t *)ctx += h;
    return 0;
}

// Sessions are gone: another core that replays the log has the same.
static void replay(struct sim *s, const struct mp__core_opts *o)
{
    struct mp__core *again;
    struct mp__session *session;
    struct mp__core_opts opts = {
        .hooks = {.send = on_send}, .limits = o->limits, .instance = o->instance};
    uint64_t sum = 0, sum_again = 0;
    size_t size;
    mp_assert_ok(mp__core_new(&again, &opts));
    for (const char *at = s->log.data, *end = at + s->log.size; at < end; at += size) {
        memcpy(&size, at, sizeof size);
        at += sizeof size;
        require(s, mp__core_replay(again, at, size) == 0, "a record is not taken");
    }
    mp_assert_ok(mp__session_begin(again, &session, NULL, 0));
    const char *why = mp__core_check(again);
    require(s, !why, why ? why : "");
    mp__collect(s->core); // as the other has
    mp__settle(s->core);
    mp_assert_ok(mp__core_save(s->core, add_record, &sum));
    mp_assert_ok(mp__core_save(again, add_record, &sum_again));
    require(s, sum == sum_again, "the log gives another state");
    mp__core_free(again);
}

static void history(uint64_t seed, uint64_t events)
{
    struct sim *s = calloc(1, sizeof *s);
    struct mp__core_opts o = {.hooks = {.ctx = s, .send = on_send, .record = on_record},
                              .limits = {.objects = 60, .object_bytes = 20000, .bytes = 100000},
                              .seed = {(uint8_t)seed},
                              .tasks = true,
                              .instance = UINT64_C(0x77) << 40};
    s->seed = seed;
    s->random = seed * 0x9e3779b97f4a7c15u + 1;
    mp_assert_ok(mp__core_new(&s->core, &o));
    for (size_t i = 0; i < PEERS; i++)
        come(s, &s->peers[i]);
    populate(s);
    while (s->event < events)
        step(s);
    drain(s);
    replay(s, &o);
    add_up(mp__core_stats(s->core));
    mp__core_free(s->core);
    mp_buf_free(&s->message);
    mp_buf_free(&s->log);
    free(s);
}

MP_TEST_TIMEOUT(any_history_keeps_what_is_promised, 3600)
{
    const char *one = getenv("SIM_SEED");
    bool many = getenv("MP_TEST_LONG") != NULL;
    uint64_t events = many ? 10000 : 2000, seeds = many                         ? 1000
                                                   : MPTEST_ASAN || MPTEST_TSAN ? 20
                                                                                : 100;
    if (one) {
        history(strtoull(one, NULL, 10), 10000);
        return;
    }
    for (uint64_t seed = 1; seed <= seeds; seed++)
        history(seed, events);
    ck_assert_uint_gt(all.calls - all.errors, seeds * events / 3);
    ck_assert_uint_gt(all.timeouts, seeds * 10);
    ck_assert_uint_gt(all.cancels, seeds * 10);
    ck_assert_uint_gt(all.owners_died, seeds);
    ck_assert_uint_gt(all.items_returned, seeds);
    ck_assert_uint_gt(all.leases_expired, seeds);
    ck_assert_uint_gt(all_tasks, seeds);
}
