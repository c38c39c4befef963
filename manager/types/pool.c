// SPDX-License-Identifier: MIT
//
// Pool: tasks that somebody else runs (core/tasks.h), for who cannot, or wants them where the
// manager is. Here is what can be asked of one; jobs.c says what a job is.
#include "types/jobs.h"

#include <stdio.h>
#include <stdlib.h>

// ---- results ---------------------------------------------------------------------------

static struct mp__job *find(struct mp__call *c, uint64_t number)
{
    struct mp__entry *e =
        mp__table_find(&mp__pool(c)->jobs, &number, sizeof number, mp__job_hash(number));
    struct mp__job *j = e ? mp__job_of(e) : NULL;
    return j && j->member->stake.session == c->session ? j : NULL;
}

static int find_arg(struct mp__call *c, struct mp__job **j)
{
    *j = find(c, mp__arg_uint(c, 0, 0));
    return *j ? 0 : mp__fail(c, MP_ENOTFOUND, "this session has no such job");
}

// The error of a task as that of the call.
static int fail_as(struct mp__call *c, const struct mp__task *t)
{
    struct mp__pool *p = t->job->pool;
    struct mp__slice text = mp__text_of(mp__value_slice(&t->result));
    int n = 0;
    if (t->job->kind != MP__JOB_ONE)
        n = snprintf(p->why, sizeof p->why, "task %u: ", (unsigned)(t - t->job->tasks));
    snprintf(p->why + n, sizeof p->why - (size_t)n, "%.*s", (int)text.size,
             text.size ? (const char *)text.data : "");
    return mp__fail(c, t->status, *p->why ? p->why : NULL);
}

static int put_results(struct mp__call *c, struct mp__job *j)
{
    for (uint32_t i = 0; i < j->count; i++)
        if (j->tasks[i].status < 0)
            return fail_as(c, &j->tasks[i]);
    if (j->kind != MP__JOB_ONE)
        mp__put_array(c->out, j->count);
    for (uint32_t i = 0; i < j->count; i++)
        mp__put_value(c, &j->tasks[i].result);
    return 0;
}

static int put_each(struct mp__call *c, struct mp__job *j)
{
    mp__put_array(c->out, j->count);
    for (uint32_t i = 0; i < j->count; i++) {
        mp__put_array(c->out, 2);
        mp__put_int(c->out, j->tasks[i].status);
        if (j->tasks[i].result.size)
            mp__put_value(c, &j->tasks[i].result);
        else
            mp__put_nil(c->out);
    }
    return 0;
}

static size_t results_size(const struct mp__job *j)
{
    size_t n = 16;
    for (uint32_t i = 0; i < j->count; i++)
        n += 8 + j->tasks[i].result.size;
    return n;
}

// The results of a job that has ended, which goes; one with too long ones stays, to be forgotten.
static int take(struct mp__call *c, struct mp__job *j,
                int (*put)(struct mp__call *, struct mp__job *))
{
    if (results_size(j) > mp__reply_limit(c->core))
        return mp__fail(c, MP_EMSGSIZE, "the results are too long for one reply: see imap");
    int r = put(c, j);
    mp__job_drop(j);
    return r;
}

static int wait_for(struct mp__call *c, struct mp__job *j)
{
    return j->ended == j->count ? 0 : mp__wait(c, &j->waiting);
}

// A call that begins a job and waits for it: its number is in c->data while it does.
static int run(struct mp__call *c, enum mp__job_kind kind, bool star)
{
    struct mp__job *j = NULL;
    int r = 0;
    if (c->waiter) {
        j = find(c, c->data);
        if (!j)
            return MP_ECANCELED;
    } else {
        r = mp__may_wait(c);
        if (r == 0)
            r = mp__job_begin(c, kind, star, &j);
        if (r != 0)
            return r;
        c->data = j->number;
    }
    r = wait_for(c, j);
    return r == 0 ? take(c, j, put_results) : r;
}

static bool gave_up(struct mp__waiter *w, enum mp__reason why)
{
    uint64_t op = w->call.info->op;
    (void)why;
    if (op != MP__OP(POOL, apply) && op != MP__OP(POOL, map) && op != MP__OP(POOL, starmap))
        return false;
    struct mp__job *j = find(&w->call, w->call.data);
    if (j)
        mp__job_drop(j);
    return false;
}

static int begin_async(struct mp__call *c, enum mp__job_kind kind, bool star)
{
    struct mp__job *j;
    int r = mp__job_begin(c, kind, star, &j);
    if (r == 0)
        mp__put_uint(c->out, j->number);
    return r;
}

static int call_apply(struct mp__call *c)
{
    return run(c, MP__JOB_ONE, false);
}

static int call_map(struct mp__call *c)
{
    return run(c, MP__JOB_MANY, false);
}

static int call_starmap(struct mp__call *c)
{
    return run(c, MP__JOB_MANY, true);
}

static int call_apply_async(struct mp__call *c)
{
    return begin_async(c, MP__JOB_ONE, false);
}

static int call_map_async(struct mp__call *c)
{
    return begin_async(c, MP__JOB_MANY, false);
}

static int call_starmap_async(struct mp__call *c)
{
    return begin_async(c, MP__JOB_MANY, true);
}

static int call_imap(struct mp__call *c)
{
    return begin_async(c, MP__JOB_ORDERED, false);
}

static int call_imap_unordered(struct mp__call *c)
{
    return begin_async(c, MP__JOB_ANY, false);
}

static int take_all(struct mp__call *c, int (*put)(struct mp__call *, struct mp__job *))
{
    struct mp__job *j;
    int r = find_arg(c, &j);
    if (r == 0 && j->kind > MP__JOB_MANY)
        r = mp__fail(c, MP_ETYPE, "the results of imap come by next");
    if (r == 0)
        r = wait_for(c, j);
    return r == 0 ? take(c, j, put) : r;
}

static int call_get(struct mp__call *c)
{
    return take_all(c, put_results);
}

static int call_get_each(struct mp__call *c)
{
    return take_all(c, put_each);
}

// The next one, in order; or that ended next.
static struct mp__task *next_ended(struct mp__job *j)
{
    struct mp__task *t = &j->tasks[j->taken];
    if (j->kind == MP__JOB_ANY)
        return j->first_ended ? &j->tasks[j->first_ended - 1] : NULL;
    return t->state == MP__TASK_ENDED ? t : NULL;
}

static int take_next(struct mp__call *c, struct mp__job *j, struct mp__task *t)
{
    int r = 0;
    if (t->status < 0)
        r = fail_as(c, t);
    else
        mp__put_value(c, &t->result);
    mp__job_drop_result(j, t);
    j->taken++;
    if (j->kind == MP__JOB_ANY)
        j->first_ended = t->next;
    if (j->first_ended == 0)
        j->last_ended = 0;
    return r;
}

static int call_next(struct mp__call *c)
{
    struct mp__job *j;
    int r = find_arg(c, &j);
    if (r < 0)
        return r;
    if (j->kind < MP__JOB_ORDERED)
        return mp__fail(c, MP_ETYPE, "not of imap: see get");
    if (j->taken == j->count) {
        mp__job_drop(j);
        return MP_EOF;
    }
    struct mp__task *t = next_ended(j);
    return t ? take_next(c, j, t) : mp__wait(c, &j->waiting);
}

static int call_wait(struct mp__call *c)
{
    struct mp__job *j;
    int r = find_arg(c, &j);
    return r < 0 ? r : wait_for(c, j);
}

static int call_ready(struct mp__call *c)
{
    struct mp__job *j;
    int r = find_arg(c, &j);
    if (r == 0)
        mp__put_bool(c->out, j->ended == j->count);
    return r;
}

static int call_successful(struct mp__call *c)
{
    struct mp__job *j;
    bool good = true;
    int r = find_arg(c, &j);
    if (r < 0)
        return r;
    if (j->ended < j->count)
        return MP_ESTATE;
    for (uint32_t i = 0; i < j->count; i++)
        good = good && j->tasks[i].status == 0;
    mp__put_bool(c->out, good);
    return 0;
}

static int call_cancel(struct mp__call *c)
{
    struct mp__job *j;
    int r = find_arg(c, &j);
    if (r == 0)
        mp__put_uint(c->out, mp__job_cancel(j));
    return r;
}

static int call_forget(struct mp__call *c)
{
    struct mp__job *j;
    int r = find_arg(c, &j);
    if (r == 0)
        mp__job_drop(j);
    return r;
}

// ---- the pool --------------------------------------------------------------------------

static int call_close(struct mp__call *c)
{
    mp__pool(c)->closed = true;
    mp__wake(&mp__pool(c)->joining);
    return 0;
}

static int call_terminate(struct mp__call *c)
{
    struct mp__pool *p = mp__pool(c);
    p->closed = true;
    MP__TABLE_EACH(&p->jobs, e)
    {
        mp__job_cancel(mp__job_of(e));
    }
    for (struct mp__link *l = p->orphans.next; l != &p->orphans; l = l->next)
        mp__job_cancel(MP__OF(l, struct mp__job, in_member));
    mp__wake(&p->joining);
    return 0;
}

static int call_join(struct mp__call *c)
{
    struct mp__pool *p = mp__pool(c);
    if (!p->closed)
        return mp__fail(c, MP_ESTATE, "it is not closed");
    return p->waiting + p->running == 0 ? 0 : mp__wait(c, &p->joining);
}

static int call_stats(struct mp__call *c)
{
    const struct mp__pool *p = mp__pool(c);
    const struct mp__named_number numbers[] = {{"jobs", p->jobs.count}, {"waiting", p->waiting},
                                               {"running", p->running}, {"done", p->done},
                                               {"failed", p->failed},   {"bytes", p->o.bytes}};
    mp__put_numbers(c->out, numbers, sizeof numbers / sizeof *numbers);
    return 0;
}

static int call_tasks(struct mp__call *c)
{
    mp__task_names_put(c->core, c->out);
    return 0;
}

// ---- the type --------------------------------------------------------------------------

static int make(struct mp__call *c)
{
    struct mp__pool *p = mp__pool(c);
    if (!c->replay && !mp__tasks_served(c->core))
        return mp__fail(c, MP_ENOTSUP, "nobody runs tasks here: see mpmanager --tasks");
    p->source.next = mp__pool_next;
    p->most = mp__arg_uint(c, 0, 0);
    p->timeout_ms = mp__arg_uint(c, 1, 0);
    p->retries = mp__arg_uint(c, 2, 0);
    mp__list_init(&p->source.ready);
    mp__list_init(&p->turns);
    mp__list_init(&p->orphans);
    mp__queue_init(&p->joining, &p->o);
    mp__queue_init(&p->lost, &p->o);
    return p->timeout_ms > INT32_MAX || p->retries > INT32_MAX
               ? mp__fail(c, MP_EINVAL, "a time limit or number of retries that is too large")
               : 0;
}

static void gone(struct mp__stake *stake)
{
    struct mp__member *m = (struct mp__member *)stake;
    struct mp__link *l = m->jobs.next, *after;
    for (bool last = false; !last; l = after) { // the last one takes the member along
        after = l->next;
        last = after == &m->jobs;
        mp__job_drop(MP__OF(l, struct mp__job, in_member));
    }
}

// Nobody is a member any more: what is left are jobs that run, for nobody.
static void end(struct mp__object *o)
{
    struct mp__pool *p = (struct mp__pool *)o;
    while (!mp__list_empty(&p->orphans)) {
        struct mp__job *j = MP__OF(p->orphans.next, struct mp__job, in_member);
        for (uint32_t i = 0; i < j->count; i++)
            if (j->tasks[i].state == MP__TASK_RUNS)
                mp__task_leave(&j->tasks[i]);
        mp__job_bury(j);
    }
    mp__list_remove(&p->source.ready);
    mp__table_free(&p->jobs);
}

static int save_make(struct mp__object *o, mp_buf *args)
{
    const struct mp__pool *p = (struct mp__pool *)o;
    mp__put_uint(args, p->most);
    mp__put_uint(args, p->timeout_ms);
    mp__put_uint(args, p->retries);
    return 3;
}

static const char *check_job(const struct mp__job *j, uint64_t *waiting, uint64_t *running,
                             size_t *cost)
{
    uint32_t ended = 0, runs = 0;
    for (uint32_t i = 0; i < j->count; i++) {
        ended += j->tasks[i].state == MP__TASK_ENDED;
        runs += j->tasks[i].state == MP__TASK_RUNS;
        if ((j->tasks[i].state == MP__TASK_RUNS) != (j->tasks[i].workers != NULL))
            return "a task that runs nowhere";
        if ((j->tasks[i].state == MP__TASK_WAITS) != (i >= j->begun))
            return "tasks of a job out of order";
    }
    *waiting += j->count - j->begun;
    *running += runs;
    *cost += j->cost;
    if (mp__list_empty(&j->in_line) != (j->begun == j->count))
        return "a job is not in line";
    return ended == j->ended && ended + runs == j->begun ? NULL : "tasks of a job";
}

static const char *check(struct mp__object *o)
{
    struct mp__pool *p = (struct mp__pool *)o;
    uint64_t waiting = 0, running = 0;
    size_t cost = 0;
    const char *why = NULL;
    MP__TABLE_EACH(&p->jobs, e)
    {
        struct mp__job *j = mp__job_of(e);
        why = why ? why : check_job(j, &waiting, &running, &cost);
        if (j->member->stake.object != o || (j->waiting.count && j->ended == j->count))
            return "somebody waits for a job that has ended";
    }
    for (struct mp__link *l = p->orphans.next; !why && l != &p->orphans; l = l->next)
        why = check_job(MP__OF(l, struct mp__job, in_member), &waiting, &running, &cost);
    if (!why && (waiting != p->waiting || running != p->running || cost != o->bytes))
        why = "tasks or bytes of a pool";
    bool may = !mp__list_empty(&p->turns) && (p->most == 0 || p->running < p->most);
    if (!why && (waiting > 0) == mp__list_empty(&p->turns))
        why = "turns of a pool";
    return why || may == !mp__list_empty(&p->source.ready) ? why : "a pool misses its turn";
}

static mp__method *const methods[] = {MP__CALLS_POOL(MP__METHOD)};

const struct mp__type mp__type_pool = {.name = "Pool",
                                       .interface = MP__POOL,
                                       .size = sizeof(struct mp__pool),
                                       .methods = methods,
                                       .make = make,
                                       .end = end,
                                       .gone = gone,
                                       .gave_up = gave_up,
                                       .save_make = save_make,
                                       .check = check};
