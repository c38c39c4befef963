// SPDX-License-Identifier: MIT
//
// One map, as the caller runs it: a few passes, each of them a job of the workers.
//
//   todo = {all items}
//   while there is something to do:
//       cut a pass from it, lay its arrays out, open the job
//       copy a little in and out, read death records, sleep, until all workers have left
//       settle: last results out, failures counted, what was lost goes back to todo
//
// Without deaths and with less than MP__MAX_CHUNKS chunks there is one pass. After a
// death, items that were not reached go back: behind the item that killed its worker,
// or a whole chunk that was claimed and never begun (see control.h). No item goes back
// that may have been started.
#include "os/fork.h"
#include "shm/arena.h"
#include "work/pool.h"
#include "work/report.h"
#include "work/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_NS   50000000            // between two looks at the supervisor
#define LEAVING_NS 1000000             // ... when only the last steps of a worker are missing
#define PARTS      8                   // chunks a worker in a pass of left-overs
#define NO_MORE    (UINT64_C(1) << 40) // as the next chunk: beyond all there can be

struct map {
    mp_pool *pool;
    struct mp__control *ctl;
    const struct mp__call *call;
    struct mp__feed feed;
    struct mp__report report;
    struct mp__stream stream;
    void *ctx; // as the tasks get it

    struct mp__range *todo; // a stack
    size_t n_todo, room_todo;
    bool no_memory; // a left-over could not be noted

    // The pass. The schedule is our own copy: the shared one may be written by a task
    // gone wild.
    struct mp__schedule schedule;
    uint32_t epoch;
    uint32_t called; // workers, for this pass
    uint32_t deaths; // in it
    bool stopped;    // the map was interrupted
};

// ---- what is to be done ----

static void push_todo(struct map *m, size_t begin, size_t end)
{
    if (begin == end)
        return;
    if (m->n_todo && m->todo[m->n_todo - 1].end == begin) {
        m->todo[m->n_todo - 1].end = end;
        return;
    }
    if (m->n_todo == m->room_todo) {
        size_t room = m->room_todo ? m->room_todo * 2 : 16;
        struct mp__range *more = realloc(m->todo, room * sizeof *more);
        if (!more) {
            m->no_memory = true;
            for (size_t i = begin; m->call->opts.status && i < end; i++)
                m->call->opts.status[i] = MP_ECANCELED;
            return;
        }
        m->todo = more;
        m->room_todo = room;
    }
    m->todo[m->n_todo++] = (struct mp__range){begin, end};
}

static size_t count_todo(const struct map *m)
{
    size_t items = 0;
    for (size_t i = 0; i < m->n_todo; i++)
        items += m->todo[i].end - m->todo[i].begin;
    return items;
}

// Moves as much as there is room for from todo to the schedule, in chunks of one size.
static void schedule_fixed(struct map *m, size_t chunk)
{
    while (m->n_todo) {
        struct mp__range *last = &m->todo[m->n_todo - 1];
        last->begin = mp__schedule_add(&m->schedule, last->begin, last->end, chunk);
        if (last->begin != last->end)
            break;
        m->n_todo--;
    }
}

// The next pass: its schedule and where its arrays lie.
static int plan_pass(struct map *m)
{
    struct mp__segment *seg = &m->pool->seg;
    size_t items = count_todo(m), chunk = m->call->opts.chunk;
    struct mp__range first = m->todo[0];
    mp__schedule_clear(&m->schedule);
    if (m->n_todo == 1 && mp__feed_fits(&m->feed, items)) {
        if (chunk) {
            schedule_fixed(m, chunk);
        } else {
            mp__schedule_guided(&m->schedule, first.begin, first.end, m->ctl->wanted,
                                mp__feed_most(&m->feed));
            m->n_todo = 0;
        }
        return mp__feed_whole(&m->feed, seg, first.begin, first.end);
    }
    if (chunk == 0)
        chunk = mp__feed_item_bytes(&m->feed) ? mp__feed_chunk(&m->feed, items)
                                              : items / m->ctl->wanted / PARTS + 1;
    schedule_fixed(m, chunk);
    if (mp__feed_item_bytes(&m->feed) == 0)
        return mp__feed_whole(&m->feed, seg, 0, 0);
    return mp__feed_window(&m->feed, seg, chunk < items ? chunk : items, m->schedule.chunks);
}

// ---- the job, opened and closed ----

static void reset_slots(struct map *m)
{
    for (uint32_t i = 0; i < m->ctl->workers; i++) {
        struct mp__slot *slot = &m->ctl->slot[i];
        if (slot->failed == 0 && slot->first_failed == MP__NOWHERE)
            continue;
        slot->failed = 0;
        slot->first_failed = MP__NOWHERE;
    }
}

static void copy_schedule(struct mp__schedule *to, const struct mp__schedule *from)
{
    to->chunks = from->chunks;
    to->rounds = from->rounds;
    memcpy(to->round, from->round, (from->rounds + 1) * sizeof from->round[0]);
}

// How many chunks a worker may finish before it enters them: the caller waits for each in
// a window, and for some in a stream.
static uint32_t hand(const struct map *m)
{
    uint32_t stride = m->stream.stride;
    if (m->feed.window)
        return 1;
    return stride && stride < MP__HAND ? stride : MP__HAND;
}

// Calls so many workers: first those that sleep in the job (the dead are counted, too), then
// others, each once.
static void call_workers(struct map *m, uint32_t n)
{
    uint32_t asleep = m->deaths ? 0 : atomic_load(&m->ctl->starving);
    uint32_t wanted = atomic_load(&m->ctl->wanted);
    uint32_t left = wanted > m->called ? wanted - m->called : 0;
    if (n)
        mp__feed_workers(m->ctl, (int)n);
    n = n > asleep ? n - asleep : 0;
    n = n < left ? n : left;
    m->called += n;
    if (n)
        mp__pool_call(m->pool, (int)n);
}

// While there is something to copy, a worker that cannot keep up has another called to its
// side: on few CPUs one more would only be in the caller's way. When all sleep, one shall not.
static void call_as_needed(struct map *m)
{
    uint32_t more = mp__stream_unclaimed(&m->stream);
    uint32_t asleep = atomic_load(&m->ctl->starving);
    if (more > m->stream.run)
        call_workers(m, more - m->stream.run);
    else if (more && asleep && asleep >= atomic_load(&m->ctl->active))
        call_workers(m, 1);
}

static int open_job(struct map *m)
{
    struct mp__control *ctl = m->ctl;
    struct mp__segment *seg = &m->pool->seg;
    uint32_t chunks = m->schedule.chunks;
    int r = mp__segment_hold(seg, &seg->done, chunks);
    if (r < 0)
        return r;
    memset(seg->done.base, MP__CHUNK_OPEN, chunks);
    reset_slots(m);
    mp__stream_begin(&m->stream);
    m->deaths = 0;
    atomic_store(&ctl->deaths_taken, atomic_load(&ctl->deaths)); // of no job that counts
    struct mp__job *job = &ctl->job;
    job->item_fn = m->call->item_fn;
    job->range_fn = m->call->range_fn;
    job->ctx = m->ctx;
    job->in = m->feed.in_side;
    job->out = m->feed.out_side;
    job->status = m->stream.noted;
    job->deaths = atomic_load(&ctl->deaths);
    job->stride = m->stream.stride;
    job->hand = hand(m);
    copy_schedule(&job->schedule, &m->schedule);
    atomic_store(&ctl->next, 0);
    atomic_store(&ctl->limit, 0);
    atomic_store(&ctl->starving, 0);
    atomic_store(&ctl->hungry, 0);
    atomic_store(&ctl->active, 0);
    m->epoch = atomic_load(&ctl->epoch) + 1;
    if (m->epoch == 0)
        m->epoch = 1;
    atomic_store(&ctl->epoch, m->epoch);
    m->called = 0;
    call_workers(m, m->stream.stride ? 1 : chunks);
    return 0;
}

// Whether no worker is in the job any more, and none can join it again.
static bool all_left(struct map *m)
{
    struct mp__control *ctl = m->ctl;
    if (atomic_load(&ctl->next) < m->schedule.chunks)
        return false;
    atomic_store(&ctl->closed, m->epoch);
    atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t i = 0; i < ctl->workers; i++)
        if (atomic_load(&ctl->slot[i].joined) == m->epoch)
            return false;
    return true;
}

// ---- deaths ----

static void set_chunk(struct map *m, uint32_t chunk, enum mp__chunk_state state)
{
    atomic_store_explicit(&m->ctl->done[chunk], (uint8_t)state, memory_order_relaxed);
}

static void mark_died(struct map *m, struct mp__range r, const struct mp__death *d)
{
    struct mp__mortem of = mp__mortem_find(&m->ctl->mortems, d->mortem, d->pid, d->code);
    mp__report_death(&m->report, r, &of);
    for (size_t i = r.begin; m->call->opts.status && i < r.end; i++)
        m->call->opts.status[i] = MP_EWORKERDIED;
}

// A worker died in a chunk: what it had done counts, what it was at is lost, the rest
// is to be done again.
static void settle_death(struct map *m, const struct mp__death *d)
{
    uint32_t chunk = (uint32_t)(d->claim - 1);
    if (d->epoch != m->epoch || d->claim == 0 || d->claim > m->schedule.chunks ||
        mp__stream_state(&m->stream, chunk) != MP__CHUNK_OPEN)
        return;
    struct mp__range r = mp__schedule_find(&m->schedule, chunk), died = r;
    if (d->at >= r.begin && d->at <= r.end) {
        died.begin = d->at;
        died.end = d->at < r.end ? d->at + 1 : r.end;
    } else if (m->call->item_fn) {
        return; // claimed, and no item begun: as if it had not been claimed
    }
    mp__feed_out(&m->feed, chunk, r.begin, (struct mp__range){r.begin, died.begin});
    mp__stream_take_status(&m->stream, r);
    if (died.begin < died.end)
        mark_died(m, died, d);
    for (size_t i = died.end; m->call->opts.status && i < r.end; i++)
        m->call->opts.status[i] = 0;
    push_todo(m, died.end, r.end);
    set_chunk(m, chunk, MP__CHUNK_DEAD);
}

static void take_deaths(struct map *m)
{
    struct mp__control *ctl = m->ctl;
    uint32_t n = atomic_load(&ctl->deaths);
    for (uint32_t i = atomic_load(&ctl->deaths_taken); i != n; i++) {
        struct mp__death d = ctl->death[i % MP__MAX_DEATHS];
        m->deaths++;
        settle_death(m, &d);
        atomic_store(&ctl->deaths_taken, i + 1);
    }
}

// The claimed chunks that nobody has: they go back to todo.
static void settle_lost(struct map *m, uint32_t claimed)
{
    for (uint32_t c = m->stream.returned; c < claimed; c++) {
        if (mp__stream_state(&m->stream, c) != MP__CHUNK_OPEN)
            continue;
        struct mp__range r = mp__schedule_find(&m->schedule, c);
        set_chunk(m, c, MP__CHUNK_LOST);
        push_todo(m, r.begin, r.end);
    }
}

// In a window the workers may all wait for room that a lost chunk takes up. When each of
// them is out, or waits with nothing claimed, nothing can move but us: what is claimed and
// not done is lost.
static void look_for_lost(struct map *m)
{
    struct mp__control *ctl = m->ctl;
    uint64_t claimed = atomic_load(&ctl->next);
    if (claimed > m->stream.fed)
        claimed = m->stream.fed;
    for (uint32_t i = 0; i < ctl->workers; i++) {
        const struct mp__slot *slot = &ctl->slot[i];
        if (atomic_load(&slot->joined) == m->epoch && !atomic_load(&slot->awaits))
            return;
    }
    take_deaths(m); // of those whose places were found empty
    settle_lost(m, (uint32_t)claimed);
}

// ---- waiting ----

struct bell {
    struct mp__control *ctl;
    uint32_t seen;
};

static bool has_rung(void *arg)
{
    struct bell *b = arg;
    return atomic_load_explicit(&b->ctl->bell, memory_order_acquire) != b->seen;
}

static void arm_bell(void *arg)
{
    struct bell *b = arg;
    atomic_store(&b->ctl->caller_sleeps, 1);
}

static int sleep_for_bell(void *arg, mp__deadline d)
{
    struct bell *b = arg;
    return mp__futex_wait(&b->ctl->bell, b->seen, d);
}

// Sleeps until the bell has rung since it was `seen`. Now and then it looks whether the
// supervisor lives; negative if the pool is over.
static int wait_for_bell(struct map *m, uint32_t seen)
{
    static const struct mp__waiter waiter = {has_rung, arm_bell, sleep_for_bell};
    struct mp__control *ctl = m->ctl;
    struct bell b = {ctl, seen};
    int64_t slice = atomic_load(&ctl->active) ? SLICE_NS : LEAVING_NS;
    int r = mp__wait_until(&m->pool->spin, &waiter, &b, mp__now() + slice);
    atomic_store(&ctl->caller_sleeps, 0);
    if (r < 0) {
        if (mp__pool_ended(m->pool))
            return atomic_load(&m->pool->terminated) ? MP_ECANCELED : MP_EBROKEN;
        // The worker that took our wake-up may be stopped.
        if (atomic_load(&ctl->next) < m->schedule.chunks)
            mp__call_workers(ctl, INT_MAX);
        mp__feed_workers(ctl, INT_MAX);
    }
    if (atomic_load(&m->pool->terminated)) {
        mp__pool_await_end(m->pool);
        return MP_ECANCELED;
    }
    return 0;
}

// ---- a pass ----

static void count_failures(struct map *m)
{
    for (uint32_t i = 0; i < m->ctl->workers; i++) {
        const struct mp__slot *slot = &m->ctl->slot[i];
        if (slot->failed)
            mp__report_failures(&m->report, slot->failed, slot->first_failed, slot->first_status);
    }
}

// Interrupted: no more claims. What is claimed is still run.
static void stop_claims(struct map *m)
{
    uint64_t claimed = atomic_exchange(&m->ctl->next, NO_MORE);
    m->stopped = true;
    if (claimed < m->stream.end)
        m->stream.end = (uint32_t)claimed;
    mp__feed_workers(m->ctl, INT_MAX); // there will be no more
}

static int run_pass(struct map *m)
{
    int r = plan_pass(m);
    if (r < 0)
        return r;
    r = open_job(m);
    while (r == 0) {
        uint32_t seen = atomic_load(&m->ctl->bell);
        take_deaths(m);
        if (atomic_load(&m->pool->interrupted) && !m->stopped)
            stop_claims(m);
        if (m->deaths && m->feed.window)
            look_for_lost(m);
        if (m->stream.stride && mp__stream_move(&m->stream)) {
            call_as_needed(m);
            continue;
        }
        if (all_left(m))
            break;
        if (m->stream.stride)
            call_workers(m, mp__stream_unclaimed(&m->stream));
        r = wait_for_bell(m, seen);
    }
    if (r < 0)
        return r;
    take_deaths(m);
    count_failures(m);
    if (m->deaths || m->stopped)
        settle_lost(m, m->schedule.chunks);
    mp__stream_finish(&m->stream, m->report.failed != 0);
    return 0;
}

// ---- the map ----

static bool workers_see(struct map *m, const void *array, size_t size)
{
    return mp__arena_shares(array, size * m->call->n, m->pool->arenas);
}

// Where the arrays are and where ctx goes. Overflow has been ruled out.
static int plan_arrays(struct map *m)
{
    const struct mp__call *call = m->call;
    struct mp__segment *seg = &m->pool->seg;
    struct mp__feed *f = &m->feed;
    f->workers = m->ctl->wanted;
    f->staging = m->pool->staging;
    if (call->in_size)
        f->in = (struct mp__array){(char *)(uintptr_t)call->in, call->in_size,
                                   !m->pool->one_shot && !workers_see(m, call->in, call->in_size)};
    if (call->out_size)
        f->out = (struct mp__array){call->out, call->out_size,
                                    !workers_see(m, call->out, call->out_size)};
    f->in_place = f->in.staged && f->out.staged && call->in == call->out;
    m->ctx = call->ctx;
    if (call->opts.ctx_size) {
        int r = mp__segment_hold(seg, &seg->data, call->opts.ctx_size);
        if (r < 0)
            return r;
        m->ctx = memcpy(seg->data.base, call->ctx, call->opts.ctx_size);
        f->offset = (call->opts.ctx_size + 63) / 64 * 64;
    }
    if (call->opts.status) {
        int r = mp__segment_hold(seg, &seg->status, call->n * sizeof(int));
        if (r < 0)
            return r;
        m->stream.noted = (int *)(void *)seg->status.base;
    }
    return 0;
}

// Interrupted: what is still to be done is not.
static int leave_rest(struct map *m)
{
    for (size_t t = 0; t < m->n_todo; t++)
        for (size_t i = m->todo[t].begin; m->call->opts.status && i < m->todo[t].end; i++)
            m->call->opts.status[i] = MP_ECANCELED;
    return m->n_todo ? MP_ECANCELED : 0;
}

static int run_passes(struct map *m)
{
    int r = plan_arrays(m);
    if (r < 0)
        return r;
    if (m->call->opts.status)
        memset(m->call->opts.status, 0, m->call->n * sizeof(int));
    push_todo(m, 0, m->call->n);
    while (m->n_todo && r == 0 && !m->no_memory && !m->stopped)
        r = run_pass(m);
    if (r == 0 && m->stopped)
        return leave_rest(m);
    if (r == 0 && m->no_memory)
        r = -ENOMEM;
    for (size_t i = 0; r < 0 && m->call->opts.status && i < m->call->n; i++)
        m->call->opts.status[i] = MP_ECANCELED; // nothing is known of them
    return r;
}

int mp__map_run(mp_pool *pool, const struct mp__call *call)
{
    pool->error[0] = 0;
    if (call->n == 0)
        return 0;
    struct map m = {.pool = pool, .ctl = pool->seg.ctl, .call = call};
    m.stream = (struct mp__stream){
        .ctl = m.ctl, .feed = &m.feed, .schedule = &m.schedule, .status = call->opts.status};
    mp__report_init(&m.report, call->n);
    int r = mp__pool_ended(pool) ? MP_EBROKEN : run_passes(&m);
    free(m.todo);
    if (r < 0) {
        snprintf(pool->error, sizeof pool->error, "%s", mp_strerror(r));
        return r;
    }
    mp__report_text(&m.report, pool->error, sizeof pool->error);
    return mp__report_result(&m.report);
}
