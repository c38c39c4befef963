// SPDX-License-Identifier: MIT
//
// The order of the stores in run_chunk() is what recovery rests on (see control.h).
// A kill takes effect between two instructions, with all earlier stores visible to
// those who learn of it, so only the compiler has to be kept from reordering them:
// that is all that in_order() does.
#include "work/worker.h"
#include "os/fork.h"
#include "os/point.h"
#include "os/spin.h"
#include "os/trace.h"
#include "work/image.h"
#include "work/lines.h"

#include <mp/function.h>
#include <mp/random.h>
#include <sched.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

static int depth;

// What this process runs. For mp_task_at(): the place of the range task, and which process
// this is, since what a task forks inherits the pointer. For mp_task_number(): the job, and
// the place of this worker, which tells the item; or the number itself.
static struct {
    _Atomic uint64_t *at;
    uint64_t owner;
    const struct mp__job *job;
    const struct mp__slot *slot;
    uint64_t number;
} present;

struct worker {
    const struct mp__supervisor *supervisor;
    struct mp__control *ctl;
    uint32_t place;
    struct mp__slot *slot;
    struct mp__spin spin_job, spin_limit;
    uint32_t seen;   // the last job it took part in, or missed
    uint32_t chunks; // of that job
    uint64_t tasks;  // and chunks that it has done
};

// A task as its function sees it.
struct mp_task {
    struct mp__task_slot *slot;
    mp_arena *arena;
};

static inline void in_order(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void put(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

int mp__worker_depth(void)
{
    return depth;
}

void mp__worker_is_at(int deep)
{
    depth = deep;
}

void mp_task_at(size_t i)
{
    if (present.at && mp__fork_is_mine(present.owner))
        put(present.at, i);
}

uint64_t mp_task_number(void)
{
    if (!present.job)
        return present.number;
    uint64_t item = atomic_load(&present.slot->at), claim = atomic_load(&present.slot->claim);
    if (item != MP__NOWHERE)
        return item;
    return mp__schedule_find(&present.job->schedule, (uint32_t)(claim - 1)).begin;
}

void mp_task_random(mp_random *r, uint64_t seed)
{
    mp_random_init(r, seed, mp_task_number());
}

static void note_failure(struct mp__slot *slot, size_t item, size_t count, int status)
{
    if (item < slot->first_failed) {
        slot->first_status = status;
        slot->first_failed = item;
    }
    slot->failed += count;
}

// A task may have forked, and its child returned from it as well: that one is no worker,
// and must not go on as if it were.
static inline void end_forks(void)
{
    if (__builtin_expect(!mp__fork_is_mine(present.owner), 0))
        _exit(0);
}

// Both forms return whether all went well.
static bool run_items(const struct mp__job *job, struct mp__slot *slot, uint32_t chunk,
                      struct mp__range r)
{
    mp_item_fn *fn = mp__image_here(job->item_fn);
    void *ctx = job->ctx;
    const char *in = mp__side_at(&job->in, chunk, r.begin);
    char *out = mp__side_at(&job->out, chunk, r.begin);
    size_t in_size = job->in.size, out_size = job->out.size;
    bool ok = true;
    for (size_t i = r.begin; i < r.end; i++) {
        put(&slot->at, i);
        in_order();
        int status = fn(in, out, ctx);
        end_forks();
        if (__builtin_expect(status != 0, 0)) {
            note_failure(slot, i, 1, status);
            if (job->status)
                job->status[i] = status;
            ok = false;
        }
        in += in_size;
        out += out_size;
    }
    in_order();
    put(&slot->at, r.end);
    return ok;
}

static bool run_range(const struct mp__job *job, struct mp__slot *slot, uint32_t chunk,
                      struct mp__range r)
{
    mp_range_fn *fn = mp__image_here(job->range_fn);
    int status = fn(r.begin, r.end, mp__side_at(&job->in, chunk, r.begin),
                    mp__side_at(&job->out, chunk, r.begin), job->ctx);
    end_forks();
    if (status == 0)
        return true;
    note_failure(slot, r.begin, r.end - r.begin, status);
    for (size_t i = r.begin; job->status && i < r.end; i++)
        job->status[i] = status;
    return false;
}

// Enters a chunk in done[], sooner or later.
static inline void finish_chunk(struct worker *w, uint32_t chunk, bool ok, uint32_t hand)
{
    struct mp__slot *slot = w->slot;
    if (!ok) {
        atomic_store_explicit(&w->ctl->done[chunk], MP__CHUNK_FAILED, memory_order_release);
        return;
    }
    uint32_t n = atomic_load_explicit(&slot->n_finished, memory_order_relaxed);
    slot->finished[n] = chunk;
    in_order();
    atomic_store_explicit(&slot->n_finished, n + 1, memory_order_relaxed);
    in_order();
    MP__POINT("worker.finished");
    if (n + 1 >= hand)
        mp__enter_finished(w->ctl, slot);
}

static inline void run_chunk(struct worker *w, const struct mp__job *job, uint32_t chunk,
                             struct mp__range r)
{
    struct mp__slot *slot = w->slot;
    put(&slot->at, MP__NOWHERE);
    in_order();
    put(&slot->claim, (uint64_t)chunk + 1);
    in_order();
    MP__POINT("worker.recorded");
    MP__TRACE3(chunk_begin, w->place, r.begin, r.end);
    bool ok = job->item_fn ? run_items(job, slot, chunk, r) : run_range(job, slot, chunk, r);
    in_order();
    MP__TRACE3(chunk_end, w->place, r.begin, r.end);
    MP__POINT("worker.run");
    finish_chunk(w, chunk, ok, job->hand);
}

static bool fed(void *arg)
{
    struct worker *w = arg;
    uint32_t limit = atomic_load_explicit(&w->ctl->limit, memory_order_acquire);
    if (limit >= w->chunks)
        return true;
    uint64_t next = atomic_load_explicit(&w->ctl->next, memory_order_relaxed);
    return next < limit || next >= w->chunks; // or there will be none
}

static void arm_nothing(void *arg)
{
    (void)arg; // who sleeps counts itself before it looks once more
}

static int sleep_for_limit(void *arg, mp__deadline d)
{
    struct worker *w = arg;
    atomic_fetch_add(&w->ctl->starving, 1);
    uint32_t food = atomic_load(&w->ctl->food);
    atomic_thread_fence(memory_order_seq_cst);
    if (!fed(w))
        mp__futex_wait(&w->ctl->food, food, d);
    atomic_fetch_sub(&w->ctl->starving, 1);
    return 0;
}

// In a stream: until the caller has copied a chunk in that nobody has claimed, or there will be
// none. It is told first what this worker has done, since it may wait for that. When another
// waits already the caller is slower than the workers, and this one had better sleep than be in
// its way.
static void wait_for_food(struct worker *w)
{
    static const struct mp__waiter waiter = {fed, arm_nothing, sleep_for_limit};
    if (fed(w))
        return;
    mp__enter_finished(w->ctl, w->slot);
    atomic_store(&w->slot->awaits, 1);
    MP__POINT("worker.awaits");
    w->spin_limit.off = atomic_fetch_add(&w->ctl->hungry, 1) > 0;
    mp__ring_caller(w->ctl);
    mp__wait_until(&w->spin_limit, &waiter, w, MP__NEVER);
    atomic_fetch_sub(&w->ctl->hungry, 1);
    MP__POINT("worker.fed");
    atomic_store(&w->slot->awaits, 0);
}

// The next chunk of a stream, which is copied in already: who had claimed one that is not
// would have to be woken for it, and nobody else could run it meanwhile.
static uint64_t claim_fed(struct worker *w)
{
    for (;;) {
        wait_for_food(w);
        uint64_t next = atomic_load(&w->ctl->next);
        if (next >= w->chunks || (next < atomic_load(&w->ctl->limit) &&
                                  atomic_compare_exchange_weak(&w->ctl->next, &next, next + 1)))
            return next;
    }
}

static void run_job(struct worker *w)
{
    struct mp__control *ctl = w->ctl;
    const struct mp__job *job = &ctl->job;
    const struct mp__round *cursor = job->schedule.round;
    uint32_t chunks = job->schedule.chunks, stride = job->stride;
    present.at = job->range_fn ? &w->slot->at : NULL;
    present.job = job;
    present.slot = w->slot;
    w->chunks = chunks;
    for (;;) {
        uint64_t next = stride ? claim_fed(w) : atomic_fetch_add(&ctl->next, 1);
        if (next >= chunks)
            break;
        uint32_t chunk = (uint32_t)next;
        MP__POINT("worker.claimed");
        run_chunk(w, job, chunk, mp__schedule_range(&cursor, chunk));
        w->tasks++;
        MP__POINT("worker.done");
        if (stride && chunk % stride == stride - 1)
            mp__ring_caller(ctl);
    }
    present.at = NULL;
    present.job = NULL;
}

// What was printed shall be there when the result is.
static void flush_streams(void)
{
    if (__fpending(stdout))
        fflush(stdout);
    if (__fpending(stderr))
        fflush(stderr);
}

// Takes part in job `epoch`, if it is still open.
static void join_job(struct worker *w, uint32_t epoch)
{
    struct mp__control *ctl = w->ctl;
    atomic_store(&w->slot->joined, epoch);
    atomic_thread_fence(memory_order_seq_cst);
    MP__POINT("worker.joined");
    if (mp__job_closed(ctl, epoch)) {
        atomic_store(&w->slot->joined, 0);
        return;
    }
    uint32_t deaths = ctl->job.deaths;
    atomic_fetch_add(&ctl->active, 1);
    run_job(w);
    flush_streams();
    mp__enter_finished(ctl, w->slot);
    MP__POINT("worker.entered");
    atomic_store(&w->slot->claim, 0);
    bool last = atomic_fetch_sub(&ctl->active, 1) == 1;
    MP__POINT("worker.leaving");
    atomic_store(&w->slot->joined, 0);
    MP__POINT("worker.left");
    // The dead are still counted as active: after a death everyone rings.
    if (last || deaths != atomic_load(&ctl->deaths)) {
        mp__ring_caller(ctl);
        sched_yield(); // it may have been put behind us
    }
}

// ---- single tasks ----

static void drop_result(mp_task *task)
{
    void *block = task->slot->result.block;
    task->slot->result.block = NULL;
    if (block)
        mp_arena_free(task->arena, block);
}

// Room for a result.
static int new_result(mp_task *task, size_t size, void **room)
{
    struct mp__bytes *b = &task->slot->result;
    *room = b->inside;
    drop_result(task);
    b->size = 0;
    if (size > sizeof b->inside) {
        int r = mp_arena_alloc(task->arena, &b->block, size, 1);
        if (r < 0)
            return r;
        *room = b->block;
    }
    b->size = size;
    return 0;
}

int mp_task_result(mp_task *task, const void *data, size_t size)
{
    void *room;
    if (!task || (!data && size))
        return MP_EINVAL;
    int r = new_result(task, size, &room);
    if (r == 0 && size)
        memcpy(room, data, size);
    return r;
}

// One item, as often as it may be tried.
static int run_item(const struct mp__chunk_call *call, const void *in, void *out, void *ctx)
{
    mp_item_fn *fn = mp__image_here(call->fn);
    int status = 0;
    for (int i = 0; i <= call->retries; i++) {
        status = fn(in, out, ctx);
        end_forks();
        if (status == 0)
            break;
    }
    return status;
}

// The result is the states of the items, then their results, written as they come: what a
// dead worker had done by then counts.
int mp__chunk_run(mp_task *task, const void *arg, size_t size, void *ctx)
{
    const struct mp__chunk_call *call = arg;
    const char *in = (const char *)call + mp__chunk_items_at(call->ctx_size);
    void *room;
    (void)size;
    ctx = call->ctx_size ? (void *)(uintptr_t)(call + 1) : call->ctx;
    int r = new_result(task, mp__chunk_result_size(call->n, call->out_size), &room);
    if (r < 0)
        return r;
    int *status = room;
    char *out = (char *)room + mp__chunk_results_at(call->n);
    for (size_t i = 0; i < call->n; i++) {
        put(&task->slot->at, i);
        in_order();
        present.number = call->first + i;
        status[i] = run_item(call, in + i * call->in_size, out + i * call->out_size, ctx);
        in_order();
    }
    return 0;
}

MP_TASK(mp__chunk_run);

// The next task: an errand first.
static struct mp__task_slot *take_task(struct worker *w)
{
    struct mp__board *b = &w->ctl->board;
    struct mp__task_slot *t = NULL;
    if (atomic_load(&w->slot->errand))
        t = mp__board_take_errand(b, w->place, &w->slot->errand, &w->slot->task);
    return t ? t : mp__board_take(b, w->place, &w->slot->task);
}

static void count(_Atomic uint64_t *n, uint64_t more)
{
    put(n, atomic_load_explicit(n, memory_order_relaxed) + more);
}

static void run_task(struct worker *w)
{
    struct mp__board *b = &w->ctl->board;
    struct mp__task_slot *t = take_task(w);
    if (!t)
        return;
    mp_task task = {t, w->supervisor->arena};
    const void *arg = t->arg.block ? t->arg.block : t->arg.inside;
    t->result.size = 0;
    put(&t->at, MP__NOWHERE);
    mp_task_fn *fn = mp__image_here(t->fn);
    present.at = fn == mp__chunk_run ? NULL : &t->at; // it tells its place itself
    present.number = t->number;
    int64_t start = mp__now();
    MP__TRACE2(task_begin, w->place, fn);
    int status = fn(&task, arg, t->arg.size, t->ctx);
    end_forks();
    present.at = NULL;
    present.number = 0;
    flush_streams();
    t->ns = mp__now() - start;
    MP__TRACE3(task_end, w->place, status, t->ns);
    t->status = status;
    t->end = MP__END_RETURNED;
    MP__POINT("worker.task_run");
    w->tasks++;
    count(&w->slot->tasks, 1);
    count(&w->slot->busy_ns, (uint64_t)t->ns);
    if (mp__board_end(b, w->place, &w->slot->task))
        return;
    while (mp__board_is_doomed(b, w->place, atomic_load(&w->slot->task)))
        pause();                 // out of time, or cancelled: the supervisor is on its way
    mp__fork_exit(EXIT_FAILURE); // the task wrote over its state: who knows over what else
}

// ---- the life of a worker ----

static bool job_is_new(struct worker *w)
{
    return atomic_load_explicit(&w->ctl->epoch, memory_order_acquire) != w->seen;
}

static bool task_is_ready(struct worker *w)
{
    return atomic_load_explicit(&w->ctl->board.ready, memory_order_acquire) > 0 ||
           atomic_load_explicit(&w->slot->errand, memory_order_relaxed) != 0;
}

static bool has_work(void *arg)
{
    return job_is_new(arg) || task_is_ready(arg);
}

// The pool has become smaller, or does not trust this worker any more.
static bool is_dismissed(const struct worker *w)
{
    return atomic_load_explicit(&w->ctl->wanted, memory_order_acquire) <= w->place ||
           atomic_load_explicit(&w->slot->retires, memory_order_relaxed);
}

static bool has_news(void *arg)
{
    return has_work(arg) || is_dismissed(arg);
}

static int sleep_for_work(void *arg, mp__deadline d)
{
    struct worker *w = arg;
    atomic_fetch_add(&w->ctl->dozing, 1);
    uint32_t call = atomic_load(&w->ctl->call);
    int r = has_news(w) ? 0 : mp__futex_wait(&w->ctl->call, call, d);
    atomic_fetch_sub(&w->ctl->dozing, 1);
    return r;
}

static void begin(struct worker *w)
{
    const struct mp__supervisor *s = w->supervisor;
    depth++;
    present.owner = mp__fork_token();
    atomic_store(&w->slot->pid, getpid());
    if (s->lines && mp__lines_begin(&w->ctl->output) < 0)
        mp__fork_exit(EXIT_FAILURE);
    mp__crash_watch(&w->slot->crash);
    int status = s->init ? s->init(s->init_arg) : 0;
    end_forks();
    if (status != 0)
        mp__fork_exit(status & 0xff ? status & 0xff : 1);
    atomic_store(&w->slot->up, 1);
}

static bool has_done_enough(const struct worker *w)
{
    int most = w->supervisor->max_tasks;
    return most && w->tasks >= (uint64_t)most;
}

// There has been nothing to do for a while: whether to end. See resize.c for the order.
static bool may_rest(struct worker *w)
{
    atomic_store(&w->slot->rests, 1);
    atomic_store(&w->ctl->resting, 1);
    MP__POINT("worker.resting");
    atomic_thread_fence(memory_order_seq_cst);
    if (!has_work(w))
        return true;
    atomic_store(&w->slot->rests, 0);
    return false;
}

_Noreturn void mp__worker_run(const struct mp__supervisor *s, uint32_t place)
{
    static const struct mp__waiter waiter = {has_news, arm_nothing, sleep_for_work};
    struct mp__control *ctl = s->ctl;
    struct worker w = {.supervisor = s, .ctl = ctl, .place = place, .slot = &ctl->slot[place]};
    begin(&w);
    while (!has_done_enough(&w) && !is_dismissed(&w)) {
        mp__deadline rest = s->idle_ms ? mp__deadline_in(s->idle_ms) : MP__NEVER;
        if (mp__wait_until(&w.spin_job, &waiter, &w, rest) < 0) {
            if (may_rest(&w))
                break;
            continue;
        }
        uint32_t epoch = atomic_load(&ctl->epoch);
        if (atomic_load(&ctl->request) != MP__RUN)
            break;
        if (job_is_new(&w)) {
            join_job(&w, epoch);
            w.seen = epoch;
        } else {
            run_task(&w);
        }
    }
    if (s->lines)
        mp__lines_end();
    mp__fork_exit(0);
}
