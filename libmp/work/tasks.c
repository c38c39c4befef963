// SPDX-License-Identifier: MIT
//
// A task's way, as the caller sees it:
//
//   post      a slot, the argument into it, READY
//   ended     its bit is set: whoever of our threads is in a call takes the bit, and the
//             record is `finishing`, so that no other one finishes it as well
//   failed    and runs are left: READY again, at once or when its time has come
//   finished  done() is told, without a lock; then the slot is free
//
// What decides over retries is the caller's own memory, not the shared one.
#include "work/tasks.h"
#include "os/fork.h"
#include "work/future.h"
#include "work/pool.h"

#include <mp/arena.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define BACKOFF_MAX 60000 // ms
#define TICK_MAX    20    // ms between two looks at deadlines

struct mp__record {
    void (*done)(void *owner, const struct mp__outcome *o);
    void *owner;
    mp_future *future;
    bool used, finishing, unwanted;
    bool timed;
    int retries, backoff_ms;
    int64_t retry_at;
    uint32_t next; // in the list of free ones, or of those that wait, + 1
};

static struct mp__board *board(mp_pool *p)
{
    return &p->seg.ctl->board;
}

static struct mp__task_slot *slot(mp_pool *p, uint32_t i)
{
    return &board(p)->slot[i];
}

static struct mp__record *record(mp_pool *p, uint32_t i)
{
    return &p->tasks.record[i / MP__RECORDS][i % MP__RECORDS];
}

// ---- bytes in the slot, or in a block ----

static int put_bytes(mp_pool *p, struct mp__bytes *b, const void *data, size_t size)
{
    void *to = b->inside;
    b->block = NULL;
    b->size = size;
    if (size > sizeof b->inside) {
        int r = mp_arena_alloc(p->arena, &b->block, size, 1);
        if (r < 0)
            return r;
        to = b->block;
    }
    if (size)
        memcpy(to, data, size);
    return 0;
}

static void drop_bytes(mp_pool *p, struct mp__bytes *b)
{
    if (b->block)
        mp_arena_free(p->arena, b->block); // checks what it gets
    b->block = NULL;
}

// Where a result lies; NULL if a task wrote nonsense there.
static const void *find_bytes(mp_pool *p, const struct mp__bytes *b, size_t *size)
{
    const void *block = b->block;
    *size = b->size;
    if (!block)
        return *size <= sizeof b->inside ? b->inside : NULL;
    return mp_arena_contains(p->arena, block, *size) ? block : NULL;
}

// ---- slots ----

// Sees that slot i is there, with its record and its place on the heap.
static int hold_slot(mp_pool *p, uint32_t i)
{
    struct mp__record **piece = &p->tasks.record[i / MP__RECORDS];
    size_t n = ((size_t)i / MP__RECORDS + 1) * MP__RECORDS;
    if (!*piece && !(*piece = calloc(MP__RECORDS, sizeof **piece)))
        return -ENOMEM;
    int r = mp__segment_hold(&p->seg, &p->seg.heap, n * sizeof(struct mp__board_entry));
    return r < 0 ? r : mp__segment_hold(&p->seg, &p->seg.slots, n * sizeof(struct mp__task_slot));
}

// A slot for a new task. MP_EAGAIN: there is none. Locked.
static int take_slot(mp_pool *p, uint32_t *out)
{
    struct mp__tasks *t = &p->tasks;
    if (t->free) {
        *out = t->free - 1;
        t->free = record(p, *out)->next;
        return 0;
    }
    if (t->top == MP__BOARD_SLOTS)
        return MP_EAGAIN;
    int r = hold_slot(p, t->top);
    if (r < 0)
        return r;
    *out = t->top++;
    atomic_store(&board(p)->top, t->top);
    return 0;
}

static void give_slot(mp_pool *p, uint32_t i)
{
    struct mp__tasks *t = &p->tasks;
    atomic_store(&slot(p, i)->state, MP__TASK_FREE);
    *record(p, i) = (struct mp__record){.next = t->free};
    t->free = i + 1;
}

static void count_timed(mp_pool *p, int timeout_ms)
{
    struct mp__board *b = board(p);
    uint32_t tick = (uint32_t)timeout_ms / 8, present = atomic_load(&b->tick_ms);
    tick = tick < 1 ? 1 : tick > TICK_MAX ? TICK_MAX : tick;
    p->tasks.timed++;
    if (present && present <= tick)
        return;
    atomic_store(&b->tick_ms, tick);
    mp__pool_wake_supervisor(p);
}

// A task is over: its memory and its slot are free again.
static void release(mp_pool *p, uint32_t i)
{
    struct mp__tasks *t = &p->tasks;
    drop_bytes(p, &slot(p, i)->arg);
    drop_bytes(p, &slot(p, i)->result);
    pthread_mutex_lock(&t->lock);
    if (record(p, i)->timed && --t->timed == 0)
        atomic_store(&board(p)->tick_ms, 0);
    give_slot(p, i);
    pthread_mutex_unlock(&t->lock);
    if (atomic_fetch_sub(&t->unfinished, 1) == 1)
        mp__pool_shut_if_closed(p);
}

// ---- posting ----

// The workers shall see it; place: one certain worker, + 1.
static void publish(mp_pool *p, uint32_t i, uint32_t place)
{
    if (place == 0) {
        mp__board_post(board(p), i);
        mp__pool_call(p, 1);
        return;
    }
    atomic_store(&slot(p, i)->state, MP__TASK_ERRAND);
    atomic_store(&p->seg.ctl->slot[place - 1].errand, i + 1);
    mp__pool_call(p, INT_MAX);
}

static int fill(mp_pool *p, uint32_t i, const struct mp__posting *what)
{
    struct mp__task_slot *s = slot(p, i);
    int r = put_bytes(p, &s->arg, what->arg, what->size);
    if (r < 0)
        return r;
    s->fn = what->fn;
    s->ctx = what->opts.ctx;
    s->number = what->number;
    s->priority = what->opts.priority;
    s->timeout_ms = what->opts.timeout_ms;
    s->watched = what->future != NULL;
    s->result.block = NULL;
    return 0;
}

static void enter(mp_pool *p, uint32_t i, const struct mp__posting *what)
{
    struct mp__tasks *t = &p->tasks;
    *record(p, i) = (struct mp__record){
        .done = what->done,
        .owner = what->owner,
        .future = what->future,
        .used = true,
        .timed = what->opts.timeout_ms > 0,
        .retries = what->opts.retries,
        .backoff_ms = what->opts.backoff_ms,
    };
    slot(p, i)->sequence = t->sequence++;
    if (what->opts.timeout_ms > 0)
        count_timed(p, what->opts.timeout_ms);
}

static int end_of_posting(mp_pool *p, bool again)
{
    if (atomic_load(&p->terminated) || atomic_load(&p->interrupted))
        return MP_ECANCELED;
    if (p->tasks.broken)
        return MP_EBROKEN;
    return !again && atomic_load(&p->closed) ? MP_ECLOSED : 0;
}

// MP_EAGAIN: there is no slot now.
static int try_post(mp_pool *p, const struct mp__posting *what)
{
    struct mp__tasks *t = &p->tasks;
    uint32_t i;
    atomic_fetch_add(&t->unfinished, 1); // first: who closes sees it, or we see that it is closed
    pthread_mutex_lock(&t->lock);
    int r = end_of_posting(p, what->again);
    if (r == 0)
        r = take_slot(p, &i);
    if (r == 0 && (r = fill(p, i, what)) < 0)
        give_slot(p, i);
    if (r == 0)
        enter(p, i, what);
    pthread_mutex_unlock(&t->lock);
    if (r == 0)
        publish(p, i, what->place);
    else if (atomic_fetch_sub(&t->unfinished, 1) == 1)
        mp__pool_shut_if_closed(p);
    return r;
}

static bool has_free_slot(void *arg)
{
    mp_pool *p = arg;
    pthread_mutex_lock(&p->tasks.lock);
    bool has = p->tasks.free || end_of_posting(p, true);
    pthread_mutex_unlock(&p->tasks.lock);
    return has;
}

static int check(mp_pool *p, const struct mp__posting *what)
{
    if (!p || !what->fn || (!what->arg && what->size) || what->opts.timeout_ms < 0 ||
        what->opts.retries < 0 || what->opts.backoff_ms < 0)
        return MP_EINVAL;
    if (!mp__fork_is_mine(p->owner))
        return MP_EOWNER;
    return mp__image_has(p->image, (void (*)(void))what->fn) ? 0 : MP_ENOFUNC;
}

int mp__tasks_post(mp_pool *p, const struct mp__posting *what, mp__deadline d)
{
    int r = check(p, what);
    while (r == 0) {
        r = try_post(p, what);
        if (r != MP_EAGAIN)
            return r;
        r = mp__tasks_await(p, has_free_slot, p, d);
    }
    return r;
}

// ---- taking in what ended ----

static struct mp__outcome outcome_of(mp_pool *p, const struct mp__task_slot *s)
{
    struct mp__outcome o = {.ns = s->ns, .at = atomic_load(&s->at)};
    switch (s->end) {
    case MP__END_RETURNED:
        o.status = s->status;
        o.error = o.status ? MP_ETASK : 0;
        break;
    case MP__END_LATE:
        o.error = MP_ETIMEDOUT;
        break;
    case MP__END_UNWANTED:
        o.error = MP_ECANCELED;
        break;
    case MP__END_WILD:
        o.error = MP_EPROTO;
        break;
    default:
        o.error = MP_EWORKERDIED;
        o.pid = s->pid;
        o.code = s->code;
        o.mortem = s->mortem;
        o.mortems = &p->seg.ctl->mortems;
    }
    o.data = find_bytes(p, &s->result, &o.size);
    if (o.error == 0 && !o.data)
        o.error = MP_EPROTO;
    return o;
}

// A worker whose task left nonsense is not to be trusted any more.
static void retire(mp_pool *p, const struct mp__task_slot *s)
{
    struct mp__control *ctl = p->seg.ctl;
    uint32_t place = atomic_load(&s->state) >> 8;
    if (s->end != MP__END_RETURNED || place >= atomic_load(&ctl->workers))
        return;
    atomic_store(&ctl->slot[place].retires, 1);
    mp__call_workers(ctl, INT_MAX);
}

// Another run, at once or later. Locked.
static void run_again(mp_pool *p, uint32_t i)
{
    struct mp__tasks *t = &p->tasks;
    struct mp__record *r = record(p, i);
    drop_bytes(p, &slot(p, i)->result);
    r->retries--;
    r->finishing = false;
    p->stats.retried++;
    if (r->backoff_ms == 0) {
        publish(p, i, 0);
        return;
    }
    atomic_store(&slot(p, i)->state, MP__TASK_FREE);
    r->retry_at = mp__now() + (int64_t)r->backoff_ms * 1000000;
    r->backoff_ms = r->backoff_ms > BACKOFF_MAX / 2 ? BACKOFF_MAX : r->backoff_ms * 2;
    r->next = t->waiting;
    t->waiting = i + 1;
}

static void finish(mp_pool *p, uint32_t i, const struct mp__outcome *o)
{
    struct mp__record *r = record(p, i);
    r->done(r->owner, o);
    release(p, i);
}

// The bit of slot i was set.
static void take_ended(mp_pool *p, uint32_t i)
{
    struct mp__tasks *t = &p->tasks;
    struct mp__record *r = record(p, i);
    struct mp__outcome o;
    pthread_mutex_lock(&t->lock);
    bool ended = r->used && !r->finishing &&
                 mp__task_state(atomic_load(&slot(p, i)->state)) == MP__TASK_ENDED;
    if (ended) {
        r->finishing = true;
        o = outcome_of(p, slot(p, i));
        if (o.error == MP_EPROTO)
            retire(p, slot(p, i));
        if (r->unwanted && o.error)
            o.error = MP_ECANCELED;
        if (o.error && r->retries > 0 && !r->unwanted && !atomic_load(&p->terminated)) {
            run_again(p, i);
            ended = false;
        } else {
            p->stats.done += o.error == 0;
            p->stats.failed += o.error != 0;
        }
    }
    pthread_mutex_unlock(&t->lock);
    if (ended)
        finish(p, i, &o);
}

// It may be running already, in a second run.
static void mark_running(mp_future *f)
{
    int r = mp_future_set_running(f);
    (void)r;
}

static void take_begun(mp_pool *p, uint32_t i)
{
    struct mp__record *r = record(p, i);
    pthread_mutex_lock(&p->tasks.lock);
    if (r->used && !r->finishing && r->future &&
        mp__task_state(atomic_load(&slot(p, i)->state)) >= MP__TASK_RUNNING)
        mark_running(r->future);
    pthread_mutex_unlock(&p->tasks.lock);
}

static void take_bits(mp_pool *p, _Atomic uint64_t *bits, void (*take)(mp_pool *p, uint32_t i))
{
    uint32_t words = (atomic_load(&p->tasks.top) + 63) / 64;
    for (uint32_t w = 0; w < words; w++) {
        if (!atomic_load_explicit(&bits[w], memory_order_relaxed))
            continue;
        for (uint64_t x = atomic_exchange(&bits[w], 0); x; x &= x - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(x);
            if (i < atomic_load(&p->tasks.top))
                take(p, i);
        }
    }
}

// Posts those whose time has come. Returns when the next one's comes.
static int64_t post_waiting(mp_pool *p)
{
    struct mp__tasks *t = &p->tasks;
    int64_t now = mp__now(), first = MP__NEVER;
    pthread_mutex_lock(&t->lock);
    for (uint32_t *at = &t->waiting; *at;) {
        uint32_t i = *at - 1;
        struct mp__record *r = record(p, i);
        if (r->retry_at > now) {
            first = r->retry_at < first ? r->retry_at : first;
            at = &r->next;
            continue;
        }
        *at = r->next;
        publish(p, i, 0);
    }
    pthread_mutex_unlock(&t->lock);
    return first;
}

// The pool is over: nothing will come any more.
static void give_up(mp_pool *p, int error)
{
    struct mp__tasks *t = &p->tasks;
    const struct mp__outcome o = {.error = error};
    pthread_mutex_lock(&t->lock);
    t->broken = true;
    t->waiting = 0;
    uint32_t top = atomic_load(&p->tasks.top);
    pthread_mutex_unlock(&t->lock);
    for (uint32_t i = 0; i < top; i++) {
        struct mp__record *r = record(p, i);
        pthread_mutex_lock(&t->lock);
        bool mine = r->used && !r->finishing;
        if (mine)
            r->finishing = true;
        pthread_mutex_unlock(&t->lock);
        if (mine)
            finish(p, i, &o);
    }
}

static void look_for_the_end(mp_pool *p)
{
    if (atomic_load(&p->terminated)) {
        mp__pool_await_end(p);
        give_up(p, MP_ECANCELED);
    } else if (mp__pool_ended(p)) {
        take_bits(p, board(p)->ended, take_ended);
        give_up(p, MP_EBROKEN);
    }
}

// ---- taking back ----

static bool unlist_waiting(mp_pool *p, uint32_t i)
{
    for (uint32_t *at = &p->tasks.waiting; *at; at = &record(p, *at - 1)->next) {
        if (*at == i + 1) {
            *at = record(p, i)->next;
            return true;
        }
    }
    return false;
}

// Takes the task back if no worker has it: nobody else finishes it then. Locked.
static bool withdraw_locked(mp_pool *p, uint32_t i)
{
    struct mp__record *r = record(p, i);
    if (r->finishing || !(unlist_waiting(p, i) || mp__board_withdraw(board(p), i)))
        return false;
    r->finishing = true;
    return true;
}

// Takes back all that no worker has begun.
static void drop(mp_pool *p)
{
    const struct mp__outcome canceled = {.error = MP_ECANCELED};
    uint32_t top = atomic_load(&p->tasks.top);
    for (uint32_t i = 0; i < top; i++) {
        pthread_mutex_lock(&p->tasks.lock);
        mp_future *f = record(p, i)->used ? record(p, i)->future : NULL;
        bool back = record(p, i)->used && withdraw_locked(p, i);
        pthread_mutex_unlock(&p->tasks.lock);
        if (back && f) {
            release(p, i);
            (void)mp__future_withdrawn(f);
            mp_future_free(f); // the pool's reference
        } else if (back) {
            finish(p, i, &canceled);
        }
    }
}

// Returns when the next retry is due.
static int64_t progress(mp_pool *p, bool look)
{
    if (atomic_load(&p->tasks.unfinished) == 0)
        return MP__NEVER;
    if (atomic_load(&p->interrupted))
        drop(p);
    take_bits(p, board(p)->begun, take_begun);
    take_bits(p, board(p)->ended, take_ended);
    if (look || atomic_load(&p->terminated))
        look_for_the_end(p);
    return p->tasks.waiting ? post_waiting(p) : MP__NEVER;
}

void mp__tasks_drop(mp_pool *p)
{
    progress(p, false);
    drop(p);
}

void mp__tasks_progress(mp_pool *p, bool look)
{
    progress(p, look);
}

// ---- waiting ----

struct news {
    struct mp__board *board;
    uint32_t seen;
};

static bool is_new(void *arg)
{
    struct news *n = arg;
    return atomic_load_explicit(&n->board->news, memory_order_acquire) != n->seen;
}

static void arm_nothing(void *arg)
{
    (void)arg; // what is slept on is what is looked at
}

static int sleep_for_news(void *arg, mp__deadline d)
{
    struct news *n = arg;
    atomic_fetch_add(&n->board->sleepers, 1);
    int r = mp__futex_wait(&n->board->news, n->seen, d);
    atomic_fetch_sub(&n->board->sleepers, 1);
    return r;
}

int mp__tasks_await(mp_pool *p, bool (*over)(void *arg), void *arg, mp__deadline d)
{
    static const struct mp__waiter waiter = {is_new, arm_nothing, sleep_for_news};
    static _Thread_local struct mp__spin spin;
    bool look = false;
    for (;;) {
        struct news n = {board(p), atomic_load(&board(p)->news)};
        int64_t retry = progress(p, look);
        if (over(arg))
            return 0;
        int64_t now = mp__now(), until = now + MP__LOOK_NS;
        if (d <= now)
            return MP_ETIMEDOUT;
        until = retry < until ? retry : until;
        look = mp__wait_until(&spin, &waiter, &n, d < until ? d : until) < 0;
        if (look)
            mp__call_workers(p->seg.ctl, 1); // the one that was called may be stopped
    }
}

void mp__tasks_nudge(mp_pool *p)
{
    atomic_fetch_add(&board(p)->news, 1);
    if (atomic_load(&board(p)->sleepers))
        mp__futex_wake(&board(p)->news, INT_MAX);
}

// ---- the source of futures ----

static void source_progress(void *arg, bool arm)
{
    static _Atomic uint32_t wish;
    mp_pool *p = arg;
    if (arm) {
        uint64_t count;
        ssize_t n = read(board(p)->bell, &count, sizeof count);
        (void)n;
        uint32_t number = atomic_fetch_add(&wish, 1) + 1;
        atomic_store(&board(p)->armed, number ? number : 1);
        atomic_thread_fence(memory_order_seq_cst);
    }
    progress(p, arm);
}

// The task of a future: its slot, or MP_ENOTFOUND. Locked.
static int64_t find_locked(mp_pool *p, const mp_future *f)
{
    uint32_t top = atomic_load(&p->tasks.top);
    for (uint32_t i = 0; i < top; i++)
        if (record(p, i)->used && record(p, i)->future == f)
            return i;
    return MP_ENOTFOUND;
}

static int source_cancel(void *arg, mp_future *f)
{
    mp_pool *p = arg;
    pthread_mutex_lock(&p->tasks.lock);
    int64_t i = find_locked(p, f);
    bool back = i >= 0 && withdraw_locked(p, (uint32_t)i);
    if (i >= 0 && !back)
        mark_running(f);
    pthread_mutex_unlock(&p->tasks.lock);
    if (!back)
        return MP_ESTATE;
    release(p, (uint32_t)i);
    mp_future_free(f); // the pool's reference; the caller has one
    return 0;
}

bool mp__tasks_withdraw(mp_pool *p, const void *owner)
{
    uint32_t top = atomic_load(&p->tasks.top), i = 0;
    pthread_mutex_lock(&p->tasks.lock);
    while (i < top && !(record(p, i)->used && record(p, i)->owner == owner))
        i++;
    bool back = i < top && withdraw_locked(p, i);
    pthread_mutex_unlock(&p->tasks.lock);
    if (back)
        release(p, i);
    return back;
}

int mp_pool_cancel(mp_pool *p, mp_future *f)
{
    if (!p || !f)
        return MP_EINVAL;
    if (!mp__fork_is_mine(p->owner))
        return MP_EOWNER;
    struct mp__tasks *t = &p->tasks;
    progress(p, false);
    pthread_mutex_lock(&t->lock);
    int64_t i = find_locked(p, f);
    bool back = i >= 0 && withdraw_locked(p, (uint32_t)i);
    if (i >= 0 && !back) {
        struct mp__task_slot *s = slot(p, (uint32_t)i);
        uint32_t seen = atomic_load(&s->state);
        record(p, (uint32_t)i)->unwanted = true;
        if (mp__task_state(seen) == MP__TASK_RUNNING)
            atomic_compare_exchange_strong(&s->state, &seen,
                                           mp__task_word(MP__TASK_UNWANTED, seen >> 8));
    }
    pthread_mutex_unlock(&t->lock);
    if (i < 0 && mp_future_done(f))
        return mp_future_error(f, 0) == MP_ECANCELED ? 0 : MP_ESTATE;
    if (i < 0)
        return MP_ENOTFOUND;
    if (back)
        finish(p, (uint32_t)i, &(struct mp__outcome){.error = MP_ECANCELED});
    else
        mp__pool_wake_supervisor(p);
    return 0;
}

// ---- life ----

int mp__tasks_init(mp_pool *p)
{
    static const mp_future_source_ops ops = {source_progress, source_cancel};
    return mp_future_source_new(&p->tasks.source, board(p)->bell, &ops, p);
}

void mp__tasks_free(mp_pool *p)
{
    if (p->tasks.source)
        give_up(p, MP_ECANCELED);
    mp_future_source_free(p->tasks.source);
    for (size_t i = 0; i < sizeof p->tasks.record / sizeof p->tasks.record[0]; i++)
        free(p->tasks.record[i]);
}

void mp__tasks_describe(const struct mp__outcome *o, char *buf, size_t size)
{
    if (o->error == MP_ETASK)
        snprintf(buf, size, "the task returned %d", o->status);
    else if (o->error != MP_EWORKERDIED)
        snprintf(buf, size, "%s", mp_strerror(o->error));
    else {
        struct mp__mortem m = mp__mortem_find(o->mortems, o->mortem, o->pid, o->code);
        mp__mortem_text(&m, buf, size);
    }
}
