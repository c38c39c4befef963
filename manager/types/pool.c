// SPDX-License-Identifier: MIT
//
// Pool: tasks that somebody else runs (core/tasks.h), for who cannot, or wants them where the
// manager is. What a session begins is a job, of one task or of many, each with its own end:
//
//   waits -> runs -> ended      by its workers, or by their end
//   waits -> ended              by a cancel, or when there is nobody left to want it
//
// Nothing is kept without bound: a job is charged for, to the pool and to its session, from the
// arguments to the last result that was not taken; and a job whose results are taken is gone. Of
// a session that ends, what waits is taken back, and what runs is left to end, for nothing:
// only cancel and terminate kill.
//
// Sessions take turns in a pool as pools do in the core. A job is freed when the call is done,
// since it may be its own waiter who drops it (mp__jobs_free()).
#include "core/state.h"
#include "core/tasks.h"

#include <stdio.h>
#include <stdlib.h>

struct pool {
    struct mp__object o;
    struct mp__task_source source;
    struct mp__link turns;          // members with tasks that nobody has begun
    struct mp__link orphans;        // jobs that run, and nobody wants
    struct mp__queue joining, lost; // lost: of jobs that were dropped
    struct mp__table jobs;          // number -> job
    uint64_t last, most, timeout_ms, retries;
    uint64_t waiting, running, done, failed; // tasks
    bool closed;
    char why[256]; // of the error that was given last
};

// What a session has of a pool.
struct member {
    struct mp__stake stake;
    struct mp__link jobs, line; // all; those with tasks that nobody has begun
    struct mp__link turn;
};

enum kind { ONE, MANY, ORDERED, ANY };

struct mp__job {
    struct pool *pool;
    struct member *member; // NULL: nobody's
    struct mp__link in_member, in_line;
    struct mp__queue waiting;
    struct mp__job *next_dropped;
    uint64_t number;
    enum kind kind;
    uint32_t count, begun, ended, taken; // tasks
    uint32_t first_ended, last_ended;    // of ANY: the next to be taken, + 1
    size_t cost;                         // what is charged for
    struct mp__slice name;
    uint8_t *bytes; // name and arguments
    struct mp__task tasks[];
};

static struct pool *pool(struct mp__call *c)
{
    return (struct pool *)c->object;
}

static uint32_t hash_of(uint64_t number)
{
    return (uint32_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

// ---- charges -------------------------------------------------------------------------

static int charge(struct mp__job *j, size_t bytes)
{
    if (j->member && mp__charge_tasks(j->member->stake.session, bytes) < 0)
        return MP_EQUOTA;
    if (mp__charge(&j->pool->o, bytes) < 0) {
        if (j->member)
            mp__discharge_tasks(j->member->stake.session, bytes);
        return MP_EQUOTA;
    }
    j->cost += bytes;
    return 0;
}

static void discharge(struct mp__job *j, size_t bytes)
{
    j->cost -= bytes;
    mp__discharge(&j->pool->o, bytes);
    if (j->member)
        mp__discharge_tasks(j->member->stake.session, bytes);
}

// ---- members and their turns -----------------------------------------------------------

static struct member *member_of(struct mp__call *c)
{
    for (struct mp__link *l = c->object->stakes.next; l != &c->object->stakes; l = l->next) {
        struct member *m = (struct member *)MP__OF(l, struct mp__stake, in_object);
        if (m->stake.session == c->session)
            return m;
    }
    struct member *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    mp__list_init(&m->jobs);
    mp__list_init(&m->line);
    mp__list_init(&m->turn);
    mp__stake_take(&m->stake, c->session, c->object);
    return m;
}

static void leave_if_empty(struct member *m)
{
    if (!mp__list_empty(&m->jobs))
        return;
    mp__stake_drop(&m->stake);
    free(m);
}

static void line_up(struct pool *p)
{
    if (!mp__list_empty(&p->turns) && (p->most == 0 || p->running < p->most))
        mp__source_ready(p->o.core, &p->source);
}

static void leave_line(struct mp__job *j)
{
    mp__list_remove(&j->in_line);
    if (j->member && mp__list_empty(&j->member->line))
        mp__list_remove(&j->member->turn);
    if (mp__list_empty(&j->pool->turns))
        mp__list_remove(&j->pool->source.ready);
}

static struct mp__task *next(struct mp__task_source *s)
{
    struct pool *p = MP__OF(s, struct pool, source);
    if (mp__list_empty(&p->turns))
        return NULL;
    struct member *m = MP__OF(p->turns.next, struct member, turn);
    struct mp__job *j = MP__OF(m->line.next, struct mp__job, in_line);
    struct mp__task *t = &j->tasks[j->begun++];
    t->state = MP__TASK_RUNS;
    p->waiting--;
    p->running++;
    mp__list_remove(&m->turn);
    if (j->begun == j->count)
        mp__list_remove(&j->in_line);
    if (!mp__list_empty(&m->line))
        mp__list_add(&p->turns, &m->turn);
    line_up(p);
    return t;
}

struct mp__task_what mp__task_what(const struct mp__task *t)
{
    const struct mp__job *j = t->job;
    return (struct mp__task_what){.name = j->name,
                                  .args = {j->bytes + t->args, t->args_size, false},
                                  .timeout_ms = j->pool->timeout_ms,
                                  .retries = j->pool->retries};
}

// ---- the end of tasks and jobs ---------------------------------------------------------

static void drop_result(struct mp__job *j, struct mp__task *t)
{
    if (!t->result.size)
        return;
    discharge(j, t->result.size);
    mp__value_free(&t->result);
    t->result.size = 0;
}

// The job is nobody's: its memory goes when nothing of it runs, and the present call is done.
static void bury(struct mp__job *j)
{
    struct mp__core *c = j->pool->o.core;
    discharge(j, j->cost);
    mp__list_remove(&j->in_member);
    j->next_dropped = c->dropped;
    c->dropped = j;
}

void mp__jobs_free(struct mp__core *c)
{
    while (c->dropped) {
        struct mp__job *j = c->dropped;
        c->dropped = j->next_dropped;
        for (uint32_t i = 0; i < j->count; i++)
            mp__value_free(&j->tasks[i].result);
        free(j->bytes);
        free(j);
    }
}

static void end_task(struct mp__task *t, int status)
{
    struct mp__job *j = t->job;
    uint32_t number = (uint32_t)(t - j->tasks) + 1;
    t->state = MP__TASK_ENDED;
    t->status = status;
    j->ended++;
    j->pool->done += status == 0;
    j->pool->failed += status != 0;
    if (j->last_ended)
        j->tasks[j->last_ended - 1].next = number;
    else
        j->first_ended = number;
    j->last_ended = number;
}

// What nobody has begun is not run.
static uint32_t take_back(struct mp__job *j, int status)
{
    uint32_t n = j->count - j->begun;
    if (n == 0)
        return 0;
    j->pool->waiting -= n;
    while (j->begun < j->count)
        end_task(&j->tasks[j->begun++], status);
    leave_line(j);
    return n;
}

static void wake(struct mp__job *j)
{
    struct pool *p = j->pool;
    mp__wake(&j->waiting);
    if (p->waiting + p->running == 0)
        mp__wake(&p->joining);
}

// Its number is not known any more; who waits for it will see that.
static void drop(struct mp__job *j)
{
    struct pool *p = j->pool;
    struct member *m = j->member;
    struct mp__entry *e =
        mp__table_find(&p->jobs, &j->number, sizeof j->number, hash_of(j->number));
    struct mp__waiter *w;
    take_back(j, MP_ECANCELED);
    wake(j);
    mp__table_remove(&p->jobs, e);
    while ((w = mp__queue_first(&j->waiting)))
        mp__move(w, &p->lost);
    mp__list_remove(&j->waiting.woken);
    mp__wake(&p->lost);
    for (uint32_t i = 0; i < j->count; i++)
        drop_result(j, &j->tasks[i]);
    mp__discharge_tasks(m->stake.session, j->cost);
    j->member = NULL;
    mp__list_remove(&j->in_member);
    if (j->ended == j->count)
        bury(j);
    else
        mp__list_add(&p->orphans, &j->in_member);
    leave_if_empty(m);
}

void mp__task_ended(struct mp__task *t, int status, struct mp__slice result)
{
    struct mp__job *j = t->job;
    struct pool *p = j->pool;
    mp_buf text = {0};
    p->running--;
    if (status < 0) {
        mp__put_text(&text, (const char *)result.data, result.size < 200 ? result.size : 200);
        result = (struct mp__slice){text.data, mp__put_failed(&text) ? 0 : text.size, false};
    }
    if (j->member && result.size) {
        int r = charge(j, result.size);
        if (r == 0 && mp__value_copy(&t->result, result.data, result.size) < 0) {
            discharge(j, result.size);
            t->result.size = 0;
            r = MP_EQUOTA;
        }
        status = r < 0 && status == 0 ? MP_EQUOTA : status;
    }
    mp_buf_free(&text);
    end_task(t, status);
    wake(j);
    if (!j->member && j->ended == j->count)
        bury(j);
    line_up(p);
}

static uint32_t cancel(struct mp__job *j)
{
    uint32_t n = j->count - j->ended;
    for (uint32_t i = 0; i < j->begun; i++)
        if (j->tasks[i].state == MP__TASK_RUNS)
            mp__task_kill(&j->tasks[i]);
    take_back(j, MP_ECANCELED);
    wake(j);
    return n;
}

// ---- beginning a job -------------------------------------------------------------------

// One element of map's array, or starmap's, as the arguments of a task.
static int set_args(struct mp__job *j, uint32_t i, struct mp__slice s, bool star, size_t *used)
{
    if (star) {
        struct mp__walk w = mp__walk(s);
        struct mp__head head;
        const uint8_t *at = s.data;
        if (mp__head_read(&at, s.data + s.size, &head) < 0 || head.type != MP_ITEM_ARRAY)
            return MP_ETYPE;
        s.size = (size_t)(w.end - w.at);
        s.data = w.at;
    }
    j->tasks[i] =
        (struct mp__task){.job = j, .args = (uint32_t)*used, .args_size = (uint32_t)s.size};
    if (s.size)
        memcpy(j->bytes + *used, s.data, s.size);
    *used += s.size;
    return 0;
}

static int fill(struct mp__job *j, struct mp__call *c, bool star)
{
    size_t used = j->name.size, end;
    if (j->kind == ONE) { // all that follows the name, as it stands there
        size_t from = c->count > 1 ? c->args[1].offset : 0;
        end = c->count > 1 ? c->args[c->count - 1].offset + c->args[c->count - 1].size : 0;
        return set_args(j, 0, (struct mp__slice){c->message + from, end - from, false}, false,
                        &used);
    }
    struct mp__walk w = mp__walk(mp__arg(c, 1));
    struct mp__slice s;
    for (uint32_t i = 0; mp__walk_next(&w, &s); i++)
        if (set_args(j, i, s, star, &used) < 0)
            return mp__fail(c, MP_ETYPE, "each element is to be an array of arguments");
    return 0;
}

static int may_begin(struct mp__call *c)
{
    if (pool(c)->closed)
        return MP_ECLOSED;
    if (c->objects_in)
        return mp__fail(c, MP_ETYPE, "no objects in arguments of tasks");
    if (c->replay)
        return MP_ENOTSUP;
    return mp__task_known(c->core, mp__arg_text(c, 0))
               ? 0
               : mp__fail(c, MP_ENOFUNC, "there is no such task");
}

static struct mp__job *allocate(struct mp__call *c, enum kind kind)
{
    struct mp__slice name = mp__arg_text(c, 0);
    uint64_t count = kind == ONE ? 1 : mp__walk(mp__arg(c, 1)).left;
    size_t from = c->args[0].offset;
    size_t bytes = c->args[c->count - 1].offset + c->args[c->count - 1].size - from;
    struct mp__job *j = calloc(1, sizeof *j + count * sizeof *j->tasks);
    uint8_t *data = j ? malloc(bytes) : NULL;
    if (!data) {
        free(j);
        return NULL;
    }
    memcpy(data, name.data, name.size);
    j->bytes = data;
    j->name = (struct mp__slice){data, name.size, false};
    j->pool = pool(c);
    j->kind = kind;
    j->count = (uint32_t)count;
    j->cost = sizeof *j + count * sizeof *j->tasks + bytes;
    mp__list_init(&j->in_member);
    mp__list_init(&j->in_line);
    mp__queue_init(&j->waiting, c->object);
    return j;
}

static int enter(struct mp__job *j, struct mp__call *c, struct member *m)
{
    struct pool *p = j->pool;
    struct mp__entry *e;
    size_t cost = j->cost;
    uint64_t number = p->last + 1;
    j->cost = 0;
    j->member = m;
    if (charge(j, cost) < 0)
        return mp__fail(c, MP_EQUOTA, "too many bytes of tasks and their results");
    if (mp__table_add(&p->jobs, &number, sizeof number, hash_of(number), &e) < 0) {
        discharge(j, cost);
        return MP_EQUOTA;
    }
    memcpy(e->value.small, &j, sizeof(struct mp__job *));
    j->number = p->last = number;
    mp__list_add(&m->jobs, &j->in_member);
    if (j->count == 0)
        return 0;
    p->waiting += j->count;
    mp__list_add(&m->line, &j->in_line);
    if (mp__list_empty(&m->turn))
        mp__list_add(&p->turns, &m->turn);
    line_up(p);
    return 0;
}

static int begin(struct mp__call *c, enum kind kind, bool star, struct mp__job **out)
{
    int r = may_begin(c);
    if (r < 0)
        return r;
    struct mp__job *j = allocate(c, kind);
    struct member *m = j ? member_of(c) : NULL;
    r = m ? fill(j, c, star) : MP_EQUOTA;
    if (r == 0)
        r = enter(j, c, m);
    if (r < 0) {
        if (m)
            leave_if_empty(m);
        if (j)
            free(j->bytes);
        free(j);
        return r;
    }
    *out = j;
    return 0;
}

static int begin_async(struct mp__call *c, enum kind kind, bool star)
{
    struct mp__job *j;
    int r = begin(c, kind, star, &j);
    if (r == 0)
        mp__put_uint(c->out, j->number);
    return r;
}

// ---- results ---------------------------------------------------------------------------

static struct mp__job *find(struct mp__call *c, uint64_t number)
{
    struct mp__entry *e = mp__table_find(&pool(c)->jobs, &number, sizeof number, hash_of(number));
    struct mp__job *j = NULL;
    if (e)
        memcpy(&j, e->value.small, sizeof j);
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
    struct pool *p = t->job->pool;
    struct mp__slice text = mp__text_of(mp__value_slice(&t->result));
    int n = 0;
    if (t->job->kind != ONE)
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
    if (j->kind != ONE)
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
    drop(j);
    return r;
}

static int wait_for(struct mp__call *c, struct mp__job *j)
{
    return j->ended == j->count ? 0 : mp__wait(c, &j->waiting);
}

// A call that begins a job and waits for it: its number is in c->data while it does.
static int run(struct mp__call *c, enum kind kind, bool star)
{
    struct mp__job *j;
    int r = 0;
    if (c->waiter) {
        j = find(c, c->data);
        if (!j)
            return MP_ECANCELED;
    } else {
        r = mp__may_wait(c);
        if (r == 0)
            r = begin(c, kind, star, &j);
        if (r < 0)
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
        drop(j);
    return false;
}

static int call_apply(struct mp__call *c)
{
    return run(c, ONE, false);
}

static int call_map(struct mp__call *c)
{
    return run(c, MANY, false);
}

static int call_starmap(struct mp__call *c)
{
    return run(c, MANY, true);
}

static int call_apply_async(struct mp__call *c)
{
    return begin_async(c, ONE, false);
}

static int call_map_async(struct mp__call *c)
{
    return begin_async(c, MANY, false);
}

static int call_starmap_async(struct mp__call *c)
{
    return begin_async(c, MANY, true);
}

static int call_imap(struct mp__call *c)
{
    return begin_async(c, ORDERED, false);
}

static int call_imap_unordered(struct mp__call *c)
{
    return begin_async(c, ANY, false);
}

static int take_all(struct mp__call *c, int (*put)(struct mp__call *, struct mp__job *))
{
    struct mp__job *j;
    int r = find_arg(c, &j);
    if (r == 0 && j->kind > MANY)
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
    if (j->kind == ANY)
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
    drop_result(j, t);
    j->taken++;
    if (j->kind == ANY)
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
    if (j->kind < ORDERED)
        return mp__fail(c, MP_ETYPE, "not of imap: see get");
    if (j->taken == j->count) {
        drop(j);
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
        mp__put_uint(c->out, cancel(j));
    return r;
}

static int call_forget(struct mp__call *c)
{
    struct mp__job *j;
    int r = find_arg(c, &j);
    if (r == 0)
        drop(j);
    return r;
}

// ---- the pool --------------------------------------------------------------------------

static int call_close(struct mp__call *c)
{
    pool(c)->closed = true;
    mp__wake(&pool(c)->joining);
    return 0;
}

static int call_terminate(struct mp__call *c)
{
    struct pool *p = pool(c);
    p->closed = true;
    MP__TABLE_EACH(&p->jobs, e)
    {
        struct mp__job *j;
        memcpy(&j, e->value.small, sizeof j);
        cancel(j);
    }
    for (struct mp__link *l = p->orphans.next; l != &p->orphans; l = l->next)
        cancel(MP__OF(l, struct mp__job, in_member));
    mp__wake(&p->joining);
    return 0;
}

static int call_join(struct mp__call *c)
{
    struct pool *p = pool(c);
    if (!p->closed)
        return mp__fail(c, MP_ESTATE, "it is not closed");
    return p->waiting + p->running == 0 ? 0 : mp__wait(c, &p->joining);
}

static int call_stats(struct mp__call *c)
{
    const struct pool *p = pool(c);
    const struct {
        const char *name;
        uint64_t n;
    } numbers[] = {{"jobs", p->jobs.count}, {"waiting", p->waiting}, {"running", p->running},
                   {"done", p->done},       {"failed", p->failed},   {"bytes", p->o.bytes}};
    mp__put_map(c->out, sizeof numbers / sizeof *numbers);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        mp__put_str(c->out, numbers[i].name);
        mp__put_uint(c->out, numbers[i].n);
    }
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
    struct pool *p = pool(c);
    if (!c->replay && !mp__tasks_served(c->core))
        return mp__fail(c, MP_ENOTSUP, "this manager has no tasks: see mpmanager --tasks");
    p->source.next = next;
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
    struct member *m = (struct member *)stake;
    struct mp__link *l = m->jobs.next, *after;
    for (bool last = false; !last; l = after) { // the last one takes the member along
        after = l->next;
        last = after == &m->jobs;
        drop(MP__OF(l, struct mp__job, in_member));
    }
}

// Nobody is a member any more: what is left are jobs that run, for nobody.
static void end(struct mp__object *o)
{
    struct pool *p = (struct pool *)o;
    while (!mp__list_empty(&p->orphans)) {
        struct mp__job *j = MP__OF(p->orphans.next, struct mp__job, in_member);
        for (uint32_t i = 0; i < j->count; i++)
            if (j->tasks[i].state == MP__TASK_RUNS)
                mp__task_leave(&j->tasks[i]);
        bury(j);
    }
    mp__list_remove(&p->source.ready);
    mp__table_free(&p->jobs);
}

static int save_make(struct mp__object *o, mp_buf *args)
{
    const struct pool *p = (struct pool *)o;
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
    struct pool *p = (struct pool *)o;
    uint64_t waiting = 0, running = 0;
    size_t cost = 0;
    const char *why = NULL;
    MP__TABLE_EACH(&p->jobs, e)
    {
        struct mp__job *j;
        memcpy(&j, e->value.small, sizeof j);
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

static mp__method *const methods[] = {
#define ROW(interface, name, number, args, result, flags, text) [number] = call_##name,
    MP__CALLS_POOL(ROW)
#undef ROW
};

const struct mp__type mp__type_pool = {.name = "Pool",
                                       .interface = MP__POOL,
                                       .size = sizeof(struct pool),
                                       .methods = methods,
                                       .make = make,
                                       .end = end,
                                       .gone = gone,
                                       .gave_up = gave_up,
                                       .save_make = save_make,
                                       .check = check};
