// SPDX-License-Identifier: MIT
//
// Who runs tasks: a session with a request that stays open, serve_tasks, by which it is sent as
// many as it said it runs at a time. It tells by task_done what became of each. When the request
// ends, with its session or by a cancel, what it had not told has failed: nobody knows how far
// it was, so it is not given to another.
//
// Sources take turns, so that one with a million tasks does not keep another from running one.
#include "core/tasks.h"
#include "core/state.h"

#include <errno.h>
#include <stdlib.h>

enum { MOST_SLOTS = 4096 }; // a ticket is a serial number and the place of its task

struct mp__workers {
    struct mp__link in_core;
    struct mp__waiter *waiter; // the request
    uint32_t slots, busy;
    uint32_t *free;          // slots - busy places
    struct mp__task *task[]; // by place; NULL
};

static struct mp__slice text_slice(const char *text)
{
    return (struct mp__slice){(const uint8_t *)text, strlen(text), false};
}

// ---- beginning and end ---------------------------------------------------------------

static struct mp__workers *workers_of(const struct mp__session *s)
{
    for (struct mp__link *l = s->core->workers.next; l != &s->core->workers; l = l->next) {
        struct mp__workers *w = MP__OF(l, struct mp__workers, in_core);
        if (w->waiter->call.session == s)
            return w;
    }
    return NULL;
}

int mp__serve_tasks(struct mp__call *c)
{
    uint64_t slots = mp__arg_uint(c, 0, 0);
    if (c->batched || (c->session->flags & MP__SESSION_ONE_REPLY))
        return MP_ENOTSUP;
    if (slots < 1 || slots > MOST_SLOTS)
        return mp__fail(c, MP_EINVAL, "1 to 4096 tasks at a time");
    if (workers_of(c->session))
        return mp__fail(c, MP_ESTATE, "this session serves already");
    struct mp__walk names = mp__walk(mp__arg(c, 1));
    for (struct mp__slice s; mp__walk_next(&names, &s);)
        if (mp__text_of(s).size == 0)
            return mp__fail(c, MP_ETYPE, "names of tasks are texts");
    c->timeout = -1;
    return MP__WAITS;
}

int mp__workers_begin(struct mp__waiter *waiter)
{
    struct mp__core *c = waiter->call.core;
    uint32_t slots = (uint32_t)mp__arg_uint(&waiter->call, 0, 0);
    struct mp__workers *w =
        calloc(1, sizeof *w + slots * (sizeof(struct mp__task *) + sizeof *w->free));
    if (!w) {
        mp__waiter_end(waiter);
        return MP_EQUOTA;
    }
    w->waiter = waiter;
    w->slots = slots;
    w->free = (uint32_t *)&w->task[slots];
    for (uint32_t i = 0; i < slots; i++)
        w->free[i] = slots - 1 - i;
    waiter->call.data = (uintptr_t)w;
    mp__list_add(&c->workers, &w->in_core);
    struct mp__call begun = {.core = c, .session = waiter->call.session, .out = &c->event};
    mp__event_begin(begun.out, waiter);
    mp__put_nil(begun.out);
    mp__reply_send(&begun);
    return 0;
}

static void take_back(struct mp__task *t)
{
    struct mp__workers *w = t->workers;
    uint32_t place = (uint32_t)(t->ticket % MOST_SLOTS);
    w->task[place] = NULL;
    w->free[w->slots - w->busy--] = place;
    t->workers = NULL;
}

void mp__workers_end(struct mp__waiter *waiter)
{
    struct mp__workers *w = (struct mp__workers *)(uintptr_t)waiter->call.data;
    if (!w)
        return;
    mp__list_remove(&w->in_core);
    for (uint32_t i = 0; i < w->slots; i++) {
        struct mp__task *t = w->task[i];
        if (!t)
            continue;
        take_back(t);
        mp__task_ended(t, MP_EWORKERDIED, text_slice("those who ran it have gone"));
    }
    free(w);
}

// ---- what is known -------------------------------------------------------------------

bool mp__tasks_served(const struct mp__core *c)
{
    return c->tasks || !mp__list_empty(&c->workers);
}

bool mp__task_known(const struct mp__core *c, struct mp__slice name)
{
    for (struct mp__link *l = c->workers.next; l != &c->workers; l = l->next) {
        const struct mp__workers *w = MP__OF(l, struct mp__workers, in_core);
        struct mp__walk names = mp__walk(mp__arg(&w->waiter->call, 1));
        for (struct mp__slice s; mp__walk_next(&names, &s);)
            if (mp__slice_equal(mp__text_of(s), name))
                return true;
    }
    return mp__list_empty(&c->workers); // who comes will know
}

void mp__task_names_put(const struct mp__core *c, mp_buf *b)
{
    if (mp__list_empty(&c->workers)) {
        mp__put_array(b, 0);
        return;
    }
    const struct mp__workers *w = MP__OF(c->workers.next, struct mp__workers, in_core);
    struct mp__slice names = mp__arg(&w->waiter->call, 1);
    mp__put_packed(b, names.data, names.size);
}

// ---- giving --------------------------------------------------------------------------

static void put_task(mp_buf *b, const struct mp__task *t)
{
    const struct mp__task_what what = mp__task_what(t);
    mp__put_array(b, 5);
    mp__put_uint(b, t->ticket);
    mp__put_text(b, (const char *)what.name.data, what.name.size);
    mp__put_bin(b, what.args.data, what.args.size);
    mp__put_uint(b, what.timeout_ms);
    mp__put_uint(b, what.retries);
}

static bool tell(struct mp__workers *w, const struct mp__task *t, bool unwanted)
{
    struct mp__core *c = w->waiter->call.core;
    struct mp__call event = {.core = c, .session = w->waiter->call.session, .out = &c->event};
    mp__event_begin(event.out, w->waiter);
    if (unwanted) {
        mp__put_array(event.out, 1);
        mp__put_uint(event.out, t->ticket);
    } else {
        put_task(event.out, t);
    }
    if (mp__put_failed(event.out))
        return false;
    mp__reply_send(&event);
    return true;
}

static struct mp__workers *idle_workers(const struct mp__core *c)
{
    for (struct mp__link *l = c->workers.next; l != &c->workers; l = l->next) {
        struct mp__workers *w = MP__OF(l, struct mp__workers, in_core);
        if (w->busy < w->slots && !w->waiter->call.session->ending)
            return w;
    }
    return NULL;
}

void mp__source_ready(struct mp__core *c, struct mp__task_source *s)
{
    if (mp__list_empty(&s->ready))
        mp__list_add(&c->ready, &s->ready);
}

// False: a task has ended at once.
static bool give(struct mp__workers *w, struct mp__task *t)
{
    uint32_t place = w->free[w->slots - ++w->busy];
    t->workers = w;
    t->ticket = ++w->waiter->call.core->task_serial * MOST_SLOTS + place;
    w->task[place] = t;
    if (tell(w, t, false))
        return true;
    take_back(t);
    mp__task_ended(t, MP_EQUOTA, text_slice("the manager has no memory"));
    return false;
}

bool mp__tasks_deal(struct mp__core *c)
{
    struct mp__workers *w;
    while (!mp__list_empty(&c->ready) && (w = idle_workers(c))) {
        struct mp__task_source *s = MP__OF(c->ready.next, struct mp__task_source, ready);
        mp__list_remove(&s->ready);
        struct mp__task *t = s->next(s);
        if (t && !give(w, t))
            return true;
    }
    return false;
}

void mp__task_kill(struct mp__task *t)
{
    if (t->workers && !t->workers->waiter->call.session->ending)
        (void)tell(t->workers, t, true);
}

void mp__task_leave(struct mp__task *t)
{
    mp__task_kill(t);
    if (t->workers)
        take_back(t);
}

// ---- what came of it -----------------------------------------------------------------

// One value without objects, nil for nothing, as the core's limits have it.
static bool check_result(const struct mp__core *c, struct mp__slice *s)
{
    static const uint8_t nil = 0xc0;
    struct mp__wire_limits limits = {.depth = MP__DEPTH - 1, .nodes = c->limits.nodes};
    struct mp__wire_scan scan = {0};
    if (s->size == 0)
        *s = (struct mp__slice){&nil, 1, false};
    return mp__wire_check(s->data, s->size, &limits, &scan) == 0 && scan.used == s->size;
}

int mp__task_done(struct mp__call *c)
{
    struct mp__workers *w = workers_of(c->session);
    uint64_t ticket = mp__arg_uint(c, 0, 0);
    int64_t status = mp__arg_int(c, 1, 0);
    struct mp__slice body = mp__text_of(mp__arg(c, 2));
    if (!w)
        return mp__fail(c, MP_ESTATE, "this session does not serve tasks");
    if (status > 0 || status < INT16_MIN)
        return mp__fail(c, MP_EINVAL, "no status");
    uint64_t place = ticket % MOST_SLOTS;
    struct mp__task *t = place < w->slots ? w->task[place] : NULL;
    if (!t || t->ticket != ticket)
        return 0; // nobody wants it any more
    if (status == 0 && !check_result(c->core, &body)) {
        status = MP_EFORMAT;
        body = text_slice("its result is not one value");
    }
    take_back(t);
    mp__task_ended(t, (int)status, body);
    return 0;
}
