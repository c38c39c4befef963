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
// records.c has what belongs to each, withdraw.c takes tasks back.
#include "work/tasks.h"
#include "os/fork.h"
#include "work/future.h"
#include "work/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define BACKOFF_MAX 60000 // ms

// ---- posting ----

// The workers shall see it; place: one certain worker, + 1.
static void publish(mp_pool *p, uint32_t i, uint32_t place)
{
    if (place == 0) {
        mp__board_post(mp__tasks_board(p), i);
        mp__pool_call(p, 1);
        return;
    }
    atomic_store(&mp__tasks_slot(p, i)->state, MP__TASK_ERRAND);
    atomic_store(&p->seg.ctl->slot[place - 1].errand, i + 1);
    mp__pool_call(p, INT_MAX);
}

static int fill(mp_pool *p, uint32_t i, const struct mp__posting *what)
{
    struct mp__task_slot *s = mp__tasks_slot(p, i);
    int r = mp__bytes_put(p, &s->arg, what->arg, what->size);
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
    *mp__tasks_record(p, i) = (struct mp__record){
        .done = what->done,
        .owner = what->owner,
        .future = what->future,
        .used = true,
        .timed = what->opts.timeout_ms > 0,
        .retries = what->opts.retries,
        .backoff_ms = what->opts.backoff_ms,
    };
    mp__tasks_slot(p, i)->sequence = t->sequence++;
    if (what->opts.timeout_ms > 0)
        mp__record_timed(p, what->opts.timeout_ms);
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
        r = mp__record_take(p, &i);
    if (r == 0 && (r = fill(p, i, what)) < 0)
        mp__record_give(p, i);
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
    o.data = mp__bytes_find(p, &s->result, &o.size);
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
    struct mp__record *r = mp__tasks_record(p, i);
    mp__bytes_drop(p, &mp__tasks_slot(p, i)->result);
    r->retries--;
    r->finishing = false;
    p->stats.retried++;
    if (r->backoff_ms == 0) {
        publish(p, i, 0);
        return;
    }
    atomic_store(&mp__tasks_slot(p, i)->state, MP__TASK_FREE);
    r->retry_at = mp__now() + (int64_t)r->backoff_ms * 1000000;
    r->backoff_ms = r->backoff_ms > BACKOFF_MAX / 2 ? BACKOFF_MAX : r->backoff_ms * 2;
    r->next = t->waiting;
    t->waiting = i + 1;
}

void mp__tasks_finish(mp_pool *p, uint32_t i, const struct mp__outcome *o)
{
    struct mp__record *r = mp__tasks_record(p, i);
    r->done(r->owner, o);
    mp__record_release(p, i);
}

// The bit of slot i was set.
static void take_ended(mp_pool *p, uint32_t i)
{
    struct mp__tasks *t = &p->tasks;
    struct mp__record *r = mp__tasks_record(p, i);
    struct mp__outcome o;
    pthread_mutex_lock(&t->lock);
    bool ended = r->used && !r->finishing &&
                 mp__task_state(atomic_load(&mp__tasks_slot(p, i)->state)) == MP__TASK_ENDED;
    if (ended) {
        r->finishing = true;
        o = outcome_of(p, mp__tasks_slot(p, i));
        if (o.error == MP_EPROTO)
            retire(p, mp__tasks_slot(p, i));
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
        mp__tasks_finish(p, i, &o);
}

void mp__tasks_mark_running(mp_future *f)
{
    int r = mp_future_set_running(f);
    (void)r;
}

static void take_begun(mp_pool *p, uint32_t i)
{
    struct mp__record *r = mp__tasks_record(p, i);
    pthread_mutex_lock(&p->tasks.lock);
    if (r->used && !r->finishing && r->future &&
        mp__task_state(atomic_load(&mp__tasks_slot(p, i)->state)) >= MP__TASK_RUNNING)
        mp__tasks_mark_running(r->future);
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
        struct mp__record *r = mp__tasks_record(p, i);
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
        struct mp__record *r = mp__tasks_record(p, i);
        pthread_mutex_lock(&t->lock);
        bool mine = r->used && !r->finishing;
        if (mine)
            r->finishing = true;
        pthread_mutex_unlock(&t->lock);
        if (mine)
            mp__tasks_finish(p, i, &o);
    }
}

static void look_for_the_end(mp_pool *p)
{
    if (atomic_load(&p->terminated)) {
        mp__pool_await_end(p);
        give_up(p, MP_ECANCELED);
    } else if (mp__pool_ended(p)) {
        take_bits(p, mp__tasks_board(p)->ended, take_ended);
        give_up(p, MP_EBROKEN);
    }
}

// Returns when the next retry is due.
static int64_t progress(mp_pool *p, bool look)
{
    if (atomic_load(&p->tasks.unfinished) == 0)
        return MP__NEVER;
    if (atomic_load(&p->interrupted))
        mp__tasks_withdraw_all(p);
    take_bits(p, mp__tasks_board(p)->begun, take_begun);
    take_bits(p, mp__tasks_board(p)->ended, take_ended);
    if (look || atomic_load(&p->terminated))
        look_for_the_end(p);
    return p->tasks.waiting ? post_waiting(p) : MP__NEVER;
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
        struct news n = {mp__tasks_board(p), atomic_load(&mp__tasks_board(p)->news)};
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
    atomic_fetch_add(&mp__tasks_board(p)->news, 1);
    if (atomic_load(&mp__tasks_board(p)->sleepers))
        mp__futex_wake(&mp__tasks_board(p)->news, INT_MAX);
}

// ---- the source of futures ----

static void source_progress(void *arg, bool arm)
{
    static _Atomic uint32_t wish;
    mp_pool *p = arg;
    if (arm) {
        uint64_t count;
        ssize_t n = read(mp__tasks_board(p)->bell, &count, sizeof count);
        (void)n;
        uint32_t number = atomic_fetch_add(&wish, 1) + 1;
        atomic_store(&mp__tasks_board(p)->armed, number ? number : 1);
        atomic_thread_fence(memory_order_seq_cst);
    }
    progress(p, arm);
}

// ---- life ----

int mp__tasks_init(mp_pool *p)
{
    static const mp_future_source_ops ops = {source_progress, mp__tasks_cancel};
    return mp_future_source_new(&p->tasks.source, mp__tasks_board(p)->bell, &ops, p);
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
