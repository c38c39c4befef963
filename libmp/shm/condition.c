// SPDX-License-Identifier: MIT
//
// The condition. Each waiter has a node of its own in shared memory, with a word to sleep on,
// a ticket that tells who came first, and the life of its process. To notify is to
// change the words of the oldest living waiters: so exactly these wake, and the dead,
// whose nodes nobody frees, are passed over and their nodes used again.
//
//     FREE --wait--> WAITING --notify--> NOTIFIED --return--> FREE
//                       '--------timeout, return----------------^
//
// All of these happen under the lock, so they need no order among themselves but this:
// whoever holds the lock may die anywhere, and the next owner is told nothing about
// us. Therefore each change is one store to one word, and a node is found by looking at all.
// A timeout and a notification cannot miss each other either: who timed out gets
// the lock, and then looks what its node says.
//
// One thing happens without the lock. A waiter may be notified and die before it has the
// lock: then the notification was for nothing, and somebody else sleeps who should not. So
// sleepers look, every 50 ms, for a notified node whose process is dead, and take it over by
// putting their own life in it, one exchange: from then on it is theirs, to be freed
// when they return, or to be taken over from them. Only those may who waited already at the
// time of the notification (its `horizon`); as long as one of them is alive the node is left
// alone. If the taker is notified itself at the same time, it has one too many, and leaves
// the other's node to nobody (life 0): the next sleeper's to take.
#include "shm/condition.h"
#include "os/point.h"
#include "shm/arena.h"
#include "shm/life.h"

#define VERSION 1

#define FIRST  8  // nodes in the condition itself; then chunks of 8, 16, 32, ...
#define CHUNKS 17 // a million in all

enum { FREE, WAITING, NOTIFIED };

struct node {
    _Alignas(64) _Atomic uint32_t state;
    _Atomic uint64_t life;    // whose it is
    _Atomic uint64_t ticket;  // who waited already when this was ...
    _Atomic uint64_t horizon; // ... had a lower ticket than this
};

struct mp_condition {
    struct mp__object object;
    uint64_t lock;                  // offset of the lock
    uint64_t tickets;               // of the next one who waits. Guarded by the lock
    _Atomic uint64_t chunk[CHUNKS]; // offsets, 0 from the first on that is not there yet
    struct node first[FIRST];
    struct mp_lock own; // when no other was given
};

// One call of wait.
struct waiter {
    mp_condition *condition;
    struct node *node;
    struct node *taken; // over from a dead one, or NULL
    mp__life life;
};

// ---- nodes

static struct node *chunk_at(mp_condition *c, unsigned k)
{
    uint64_t offset = atomic_load(&c->chunk[k]);
    if (offset == 0 || offset % 64 ||
        !mp__object_holds(c, offset, sizeof(struct node) * FIRST << k))
        return NULL;
    return mp__object_at(c, offset);
}

// Goes through all nodes: `for (struct walk w = {c}; (n = next(&w));)`.
struct walk {
    mp_condition *condition;
    struct node *at;
    unsigned left, chunk;
};

static struct node *next(struct walk *w)
{
    if (w->left == 0 && !w->at) {
        w->at = w->condition->first;
        w->left = FIRST;
    } else if (w->left == 0) {
        struct node *chunk = w->chunk < CHUNKS ? chunk_at(w->condition, w->chunk) : NULL;
        if (!chunk)
            return NULL;
        w->at = chunk;
        w->left = FIRST << w->chunk++;
    }
    w->left--;
    return w->at++;
}

static bool is_over(mp_condition *c, const struct node *n)
{
    mp__life life = atomic_load(&n->life);
    return life == 0 || mp__life_over(c, life);
}

// Whether somebody may be about to take over the notification of a dead waiter.
static bool is_wanted(mp_condition *c, const struct node *dead)
{
    struct node *n;
    for (struct walk w = {.condition = c}; (n = next(&w));)
        if (n != dead && atomic_load(&n->state) != FREE &&
            atomic_load(&n->ticket) < atomic_load(&dead->horizon) && !is_over(c, n))
            return true;
    return false;
}

// Frees a dead waiter's node, if it may be. Under the lock, as all that follows.
static bool reclaim(mp_condition *c, struct node *n)
{
    if (!is_over(c, n) || (atomic_load(&n->state) == NOTIFIED && is_wanted(c, n)))
        return false;
    atomic_store(&n->state, FREE);
    return true;
}

static int grow(mp_condition *c, struct node **out)
{
    unsigned k = 0;
    while (k < CHUNKS && atomic_load(&c->chunk[k]))
        k++;
    uint64_t offset;
    if (k == CHUNKS)
        return -ENOMEM;
    int r = mp__object_alloc(c, sizeof(struct node) * FIRST << k, &offset);
    if (r < 0)
        return r;
    MP__POINT("condition.grown");
    atomic_store(&c->chunk[k], offset);
    *out = mp__object_at(c, offset);
    return 0;
}

static int find_node(mp_condition *c, struct node **out)
{
    struct node *n;
    for (struct walk w = {.condition = c}; (n = next(&w));)
        if (atomic_load(&n->state) == FREE)
            return *out = n, 0;
    for (struct walk w = {.condition = c}; (n = next(&w));)
        if (reclaim(c, n))
            return *out = n, 0;
    return grow(c, out);
}

static struct node *oldest(mp_condition *c, uint64_t horizon)
{
    struct node *n, *best = NULL;
    uint64_t ticket = horizon;
    for (struct walk w = {.condition = c}; (n = next(&w));)
        if (atomic_load(&n->state) == WAITING && atomic_load(&n->ticket) < ticket) {
            best = n;
            ticket = atomic_load(&n->ticket);
        }
    return best;
}

// ---- waiting

static int enroll(struct waiter *w)
{
    mp_condition *c = w->condition;
    int r = mp__life_mine(c, &w->life);
    if (r == 0)
        r = find_node(c, &w->node);
    if (r < 0)
        return r;
    uint64_t ticket = c->tickets;
    c->tickets = ticket + 1;
    atomic_store(&w->node->life, w->life);
    atomic_store(&w->node->ticket, ticket);
    MP__POINT("condition.signed");
    atomic_store(&w->node->state, WAITING);
    MP__POINT("condition.waiting");
    return 0;
}

static bool take_over(struct waiter *w)
{
    struct node *n;
    uint64_t ticket = atomic_load(&w->node->ticket);
    for (struct walk k = {.condition = w->condition}; (n = next(&k));) {
        if (atomic_load(&n->state) != NOTIFIED || atomic_load(&n->horizon) <= ticket)
            continue;
        mp__life life = atomic_load(&n->life);
        if ((life == 0 || mp__life_over(w->condition, life)) &&
            atomic_compare_exchange_strong(&n->life, &life, w->life)) {
            w->taken = n;
            MP__POINT("bequest.taken");
            return true;
        }
    }
    return false;
}

static int sleep_until_notified(struct waiter *w, mp__deadline d)
{
    for (;;) {
        int r = mp__sleep_on(&w->node->state, WAITING, d);
        if (atomic_load(&w->node->state) != WAITING)
            return 0;
        if (mp__object_gone(w->condition))
            return MP_ECLOSED;
        if (!MP__BROKEN("condition.take_over") && take_over(w))
            return 0;
        if (r < 0)
            return r;
    }
}

// One notification too many: for the one who waits longest of those it may be for.
static void leave_taken(struct waiter *w)
{
    struct node *n = oldest(w->condition, atomic_load(&w->taken->horizon));
    atomic_store(&w->taken->life, 0);
    MP__POINT("bequest.left");
    if (n)
        mp__futex_wake(&n->state, 1);
}

// The lock is ours again. What the node says now decides.
static int leave(struct waiter *w, int r)
{
    bool notified = atomic_load(&w->node->state) == NOTIFIED;
    if (w->taken && notified)
        leave_taken(w);
    else if (w->taken)
        atomic_store(&w->taken->state, FREE);
    MP__POINT("condition.returning");
    atomic_store(&w->node->state, FREE);
    return w->taken || notified ? 0 : r;
}

static int wait_until(mp_condition *c, struct mp_lock *l, mp__deadline d)
{
    if (!mp__lock_is_mine(l))
        return MP_ENOTHELD;
    if (l->state == MP__LOCK_TORN)
        return MP_ESTATE;
    struct waiter w = {.condition = c};
    int r = enroll(&w);
    if (r < 0)
        return r;
    uint32_t again = l->again;
    mp__lock_give_back(l);
    MP__POINT("condition.released");
    r = sleep_until_notified(&w, d);
    MP__POINT("condition.awake");
    int taken = mp__lock_take_back(l, again);
    r = leave(&w, r);
    return taken < 0 ? taken : r;
}

// ---- notifying

// Wakes a waiter, if it lives.
static bool wake(mp_condition *c, struct node *n)
{
    if (is_over(c, n)) {
        atomic_store(&n->state, FREE);
        return false;
    }
    atomic_store(&n->horizon, c->tickets);
    MP__POINT("condition.chosen");
    atomic_store(&n->state, NOTIFIED);
    MP__POINT("condition.notified");
    mp__futex_wake(&n->state, 1);
    return true;
}

static int wake_some(mp_condition *c, size_t n)
{
    size_t woken = 0;
    struct node *at;
    while (woken < n && (at = oldest(c, UINT64_MAX)))
        woken += wake(c, at);
    return (int)woken;
}

static int wake_all(mp_condition *c)
{
    int woken = 0;
    struct node *n;
    for (struct walk w = {.condition = c}; (n = next(&w));)
        if (atomic_load(&n->state) == WAITING)
            woken += wake(c, n);
    return woken;
}

// ---- making and freeing

static inline bool is_condition(const mp_condition *c)
{
    return mp__object_is(c, MP__CONDITION);
}

struct mp_lock *mp__condition_lock(const mp_condition *c)
{
    uint64_t offset = is_condition(c) ? c->lock : 0;
    if (offset == 0 || offset % 64 || !mp__object_holds(c, offset, sizeof(struct mp_lock)))
        return NULL;
    struct mp_lock *l = mp__object_at(c, offset);
    return mp__object_is(l, MP__LOCK) || mp__object_is(l, MP__RLOCK) ? l : NULL;
}

static int init(mp_condition *c, const struct mp_lock *given)
{
    if (given) {
        c->lock = mp__object_offset(c, given);
        return mp__object_base(given) == mp__object_base(c) ? 0 : MP_EINVAL;
    }
    c->lock = mp__object_offset(c, &c->own);
    struct mp__object *o = &c->own.object;
    o->type = MP__RLOCK;
    o->version = c->object.version;
    o->offset = c->lock;
    o->size = sizeof c->own;
    atomic_store(&o->magic, MP__OBJECT_MAGIC);
    return mp__lock_init(&c->own);
}

// The lock of the options, which must be one.
static int given_lock(const mp_condition_opts *o, struct mp_lock **lock)
{
    *lock = o->lock ? o->lock : (struct mp_lock *)o->rlock;
    if (!*lock)
        return 0;
    bool is_lock = o->lock ? mp__object_is(o->lock, MP__LOCK) : mp__object_is(o->rlock, MP__RLOCK);
    return is_lock && !(o->lock && o->rlock) && !o->name ? 0 : MP_EINVAL;
}

// The user's arena that a lock lies in, or NULL: the own one.
static mp_arena *arena_of(const struct mp_lock *l)
{
    mp_arena *a = mp__arena_at(mp__object_base(l));
    return a && !a->own ? a : NULL;
}

int mp_condition_new(mp_condition **out, const mp_condition_opts *opts)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    mp_condition_opts o = opts ? *opts : (mp_condition_opts){0};
    struct mp_lock *lock;
    int r = given_lock(&o, &lock);
    if (r < 0)
        return r;
    if (lock && !o.arena)
        o.arena = arena_of(lock);
    void *c;
    r = mp__object_new(&c, o.arena, o.name, 0, MP__CONDITION, VERSION, sizeof(mp_condition));
    if (r < 0)
        return r;
    r = init(c, lock);
    if (r == 0)
        r = mp__object_publish(c);
    if (r < 0)
        mp__object_free(c, true);
    else
        *out = c;
    return r;
}

int mp_condition_attach(mp_condition **out, const char *name)
{
    if (!out)
        return MP_EINVAL;
    *out = NULL;
    return mp__object_attach((void **)out, name, MP__CONDITION, VERSION, sizeof(mp_condition));
}

static bool anybody_waits(mp_condition *c)
{
    struct node *n;
    for (struct walk w = {.condition = c}; (n = next(&w));)
        if (atomic_load(&n->state) != FREE && !is_over(c, n))
            return true;
    return false;
}

static void wake_for_the_end(mp_condition *c)
{
    struct node *n;
    for (struct walk w = {.condition = c}; (n = next(&w));)
        mp__futex_wake(&n->state, 1);
}

static void release_nodes(mp_condition *c)
{
    for (unsigned k = 0; k < CHUNKS && atomic_load(&c->chunk[k]); k++)
        mp__object_release(c, atomic_load(&c->chunk[k]));
}

void mp_condition_free(mp_condition *c)
{
    if (!is_condition(c))
        return;
    bool mine = mp__object_is_mine(c);
    bool idle = !mine || !anybody_waits(c);
    if (mine && idle)
        release_nodes(c);
    if (mp__condition_lock(c) == &c->own)
        mp__lock_free(&c->own, c, idle);
    else
        mp__object_free(c, idle);
    if (!idle)
        wake_for_the_end(c);
}

// ---- the calls

int mp_condition_acquire(mp_condition *c, int timeout_ms)
{
    struct mp_lock *l = mp__condition_lock(c);
    return l && timeout_ms >= MP_FOREVER ? mp__lock_enter(l, timeout_ms) : MP_EINVAL;
}

int mp_condition_release(mp_condition *c)
{
    struct mp_lock *l = mp__condition_lock(c);
    return l ? mp__lock_leave(l) : MP_EINVAL;
}

int mp_condition_consistent(mp_condition *c)
{
    struct mp_lock *l = mp__condition_lock(c);
    return l ? mp__lock_consistent(l) : MP_EINVAL;
}

pid_t mp_condition_dead_owner(const mp_condition *c)
{
    struct mp_lock *l = mp__condition_lock(c);
    return l ? mp__lock_dead_owner(l) : MP_EINVAL;
}

int mp_condition_wait(mp_condition *c, int timeout_ms)
{
    struct mp_lock *l = mp__condition_lock(c);
    if (!l || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    return wait_until(c, l, mp__deadline_in(timeout_ms));
}

int mp_condition_wait_for(mp_condition *c, bool (*predicate)(void *arg), void *arg, int timeout_ms)
{
    struct mp_lock *l = mp__condition_lock(c);
    if (!l || !predicate || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    if (!mp__lock_is_mine(l))
        return MP_ENOTHELD;
    mp__deadline d = mp__deadline_in(timeout_ms);
    int r = 0;
    while (!predicate(arg)) {
        if (r < 0)
            return r;
        r = wait_until(c, l, d);
        if (r < 0 && r != MP_ETIMEDOUT)
            return r;
    }
    return 0;
}

int mp_condition_notify(mp_condition *c, size_t n)
{
    struct mp_lock *l = mp__condition_lock(c);
    if (!l)
        return MP_EINVAL;
    return mp__lock_is_mine(l) ? wake_some(c, n) : MP_ENOTHELD;
}

int mp_condition_notify_all(mp_condition *c)
{
    struct mp_lock *l = mp__condition_lock(c);
    if (!l)
        return MP_EINVAL;
    return mp__lock_is_mine(l) ? wake_all(c) : MP_ENOTHELD;
}
