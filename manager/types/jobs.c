// SPDX-License-Identifier: MIT
//
// The life of jobs. What a session begins in a Pool is a job, of one task or of many, each with its
// own end:
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
#include "types/jobs.h"

#include <stdlib.h>

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

static struct mp__member *member_of(struct mp__call *c)
{
    for (struct mp__link *l = c->object->stakes.next; l != &c->object->stakes; l = l->next) {
        struct mp__member *m = (struct mp__member *)MP__OF(l, struct mp__stake, in_object);
        if (m->stake.session == c->session)
            return m;
    }
    struct mp__member *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    mp__list_init(&m->jobs);
    mp__list_init(&m->line);
    mp__list_init(&m->turn);
    mp__stake_take(&m->stake, c->session, c->object);
    return m;
}

static void leave_if_empty(struct mp__member *m)
{
    if (!mp__list_empty(&m->jobs))
        return;
    mp__stake_drop(&m->stake);
    free(m);
}

static void line_up(struct mp__pool *p)
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

struct mp__task *mp__pool_next(struct mp__task_source *s)
{
    struct mp__pool *p = MP__OF(s, struct mp__pool, source);
    if (mp__list_empty(&p->turns))
        return NULL;
    struct mp__member *m = MP__OF(p->turns.next, struct mp__member, turn);
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

void mp__job_drop_result(struct mp__job *j, struct mp__task *t)
{
    if (!t->result.size)
        return;
    discharge(j, t->result.size);
    mp__value_free(&t->result);
    t->result.size = 0;
}

// The job is nobody's: its memory goes when nothing of it runs, and the present call is done.
void mp__job_bury(struct mp__job *j)
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
    struct mp__pool *p = j->pool;
    mp__wake(&j->waiting);
    if (p->waiting + p->running == 0)
        mp__wake(&p->joining);
}

// Its number is not known any more; who waits for it will see that.
void mp__job_drop(struct mp__job *j)
{
    struct mp__pool *p = j->pool;
    struct mp__member *m = j->member;
    struct mp__entry *e =
        mp__table_find(&p->jobs, &j->number, sizeof j->number, mp__job_hash(j->number));
    struct mp__waiter *w;
    take_back(j, MP_ECANCELED);
    wake(j);
    mp__table_remove(&p->jobs, e);
    while ((w = mp__queue_first(&j->waiting)))
        mp__move(w, &p->lost);
    mp__list_remove(&j->waiting.woken);
    mp__wake(&p->lost);
    for (uint32_t i = 0; i < j->count; i++)
        mp__job_drop_result(j, &j->tasks[i]);
    mp__discharge_tasks(m->stake.session, j->cost);
    j->member = NULL;
    mp__list_remove(&j->in_member);
    if (j->ended == j->count)
        mp__job_bury(j);
    else
        mp__list_add(&p->orphans, &j->in_member);
    leave_if_empty(m);
}

void mp__task_ended(struct mp__task *t, int status, struct mp__slice result)
{
    struct mp__job *j = t->job;
    struct mp__pool *p = j->pool;
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
        mp__job_bury(j);
    line_up(p);
}

uint32_t mp__job_cancel(struct mp__job *j)
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
    if (j->kind == MP__JOB_ONE) { // all that follows the name, as it stands there
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
    if (mp__pool(c)->closed)
        return MP_ECLOSED;
    if (c->objects_in)
        return mp__fail(c, MP_ETYPE, "no objects in arguments of tasks");
    if (!mp__tasks_served(c->core))
        return mp__fail(c, MP_ENOTSUP, "nobody runs tasks here: see mpmanager --tasks");
    return mp__task_known(c->core, mp__arg_text(c, 0))
               ? 0
               : mp__fail(c, MP_ENOFUNC, "there is no such task");
}

static struct mp__job *allocate(struct mp__call *c, enum mp__job_kind kind)
{
    struct mp__slice name = mp__arg_text(c, 0);
    uint64_t count = kind == MP__JOB_ONE ? 1 : mp__walk(mp__arg(c, 1)).left;
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
    j->pool = mp__pool(c);
    j->kind = kind;
    j->count = (uint32_t)count;
    j->cost = sizeof *j + count * sizeof *j->tasks + bytes;
    mp__list_init(&j->in_member);
    mp__list_init(&j->in_line);
    mp__queue_init(&j->waiting, c->object);
    return j;
}

static int enter(struct mp__job *j, struct mp__call *c, struct mp__member *m)
{
    struct mp__pool *p = j->pool;
    struct mp__entry *e;
    size_t cost = j->cost;
    uint64_t number = p->last + 1;
    j->cost = 0;
    j->member = m;
    if (charge(j, cost) < 0)
        return mp__fail(c, MP_EQUOTA, "too many bytes of tasks and their results");
    if (mp__table_add(&p->jobs, &number, sizeof number, mp__job_hash(number), &e) < 0) {
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

int mp__job_begin(struct mp__call *c, enum mp__job_kind kind, bool star, struct mp__job **out)
{
    int r = may_begin(c);
    if (r < 0)
        return r;
    struct mp__job *j = allocate(c, kind);
    struct mp__member *m = j ? member_of(c) : NULL;
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
