// SPDX-License-Identifier: MIT
//
// The core as its server sees it: made and ended, sessions begun and ended, time passing.
#include "core/state.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

static size_t or_default(size_t n, size_t otherwise)
{
    return n ? n : otherwise;
}

void mp__core_set_limits(struct mp__core *c, const struct mp__core_limits *l)
{
    c->limits = (struct mp__core_limits){
        .message = or_default(l->message, 16 << 20),
        .nodes = or_default(l->nodes, 65536),
        .reply = or_default(l->reply, 16 << 20),
        .objects = or_default(l->objects, 10000),
        .session_objects = or_default(l->session_objects, 1000),
        .object_bytes = or_default(l->object_bytes, 64 << 20),
        .bytes = or_default(l->bytes, 512 << 20),
        .waiting = or_default(l->waiting, 64),
        .object_waiting = or_default(l->object_waiting, 1024),
        .name = or_default(l->name, 64),
        .key = or_default(l->key, 255),
        .session_tasks = or_default(l->session_tasks, 64 << 20),
    };
}

int mp__core_new(struct mp__core **out, const struct mp__core_opts *opts)
{
    *out = NULL;
    if (!opts || !opts->hooks.send || opts->instance == 0)
        return MP_EINVAL;
    struct mp__core *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->hooks = opts->hooks;
    c->instance = opts->instance;
    c->token = opts->token;
    memcpy(c->seed, opts->seed, sizeof c->seed);
    mp__core_set_limits(c, &opts->limits);
    mp__list_init(&c->sessions);
    mp__list_init(&c->woken);
    mp__list_init(&c->doomed);
    mp__list_init(&c->workers);
    mp__list_init(&c->ready);
    c->tasks = opts->tasks;
    mp__timers_init(&c->timers);
    *out = c;
    return 0;
}

static void send_nothing(void *ctx, void *user, const void *data, size_t size)
{
    (void)ctx;
    (void)user;
    (void)data;
    (void)size;
}

// Names first, so that most go as they do in life; what is left are rings of objects.
static void free_objects(struct mp__core *c)
{
    struct mp__object *o;
    size_t at;
    for (at = 0; (o = mp__object_next(c, &at));)
        mp__name_clear(o);
    c->replaying = false;
    mp__settle(c);
    for (at = 0; (o = mp__object_next(c, &at)); at = 0)
        mp__object_bury(o);
}

void mp__core_free(struct mp__core *c)
{
    if (!c)
        return;
    c->hooks = (struct mp__core_hooks){.send = send_nothing};
    while (!mp__list_empty(&c->sessions))
        mp__session_end(c, MP__OF(c->sessions.next, struct mp__session, in_core), c->now);
    free_objects(c);
    mp__table_free(&c->names);
    mp__timers_free(&c->timers);
    for (unsigned i = 0; i < c->custom_count; i++)
        free(c->custom[i]);
    free(c->custom);
    free(c->objects);
    free(c->elements[0]);
    free(c->elements[1]);
    mp_buf_free(&c->out);
    mp_buf_free(&c->event);
    mp_buf_free(&c->log);
    mp_buf_free(&c->batch);
    mp_buf_free(&c->key);
    free(c);
}

// ---- sessions ------------------------------------------------------------------------

int mp__session_begin(struct mp__core *c, struct mp__session **out, void *user, unsigned flags)
{
    struct mp__session *s = calloc(1, sizeof *s);
    *out = s;
    if (!s)
        return -ENOMEM;
    s->core = c;
    s->user = user;
    s->flags = flags;
    s->number = ++c->stats.sessions_ever;
    mp__list_init(&s->waiters);
    mp__list_init(&s->stakes);
    mp__list_add(&c->sessions, &s->in_core);
    c->stats.sessions++;
    if (c->replaying) { // the log is at its end: what nobody refers to goes, rings as well
        c->replaying = false;
        mp__collect(c);
        mp__settle(c);
    }
    return 0;
}

static void forget_waiters(struct mp__session *s)
{
    while (!mp__list_empty(&s->waiters)) {
        struct mp__waiter *w = MP__OF(s->waiters.next, struct mp__waiter, in_session);
        if (w->queue && w->call.object->type->gave_up)
            w->call.object->type->gave_up(w, MP__GONE);
        mp__waiter_give_up(w);
    }
}

void mp__session_end(struct mp__core *c, struct mp__session *s, int64_t now)
{
    if (!s)
        return;
    c->now = now;
    s->ending = true;
    forget_waiters(s);
    while (!mp__list_empty(&s->stakes)) {
        struct mp__stake *stake = MP__OF(s->stakes.prev, struct mp__stake, in_session);
        stake->object->type->gone(stake);
    }
    mp__session_unref_all(s);
    mp__settle(c);
    mp__list_remove(&s->in_core);
    c->stats.sessions--;
    free(s);
}

uint64_t mp__session_number(const struct mp__session *s)
{
    return s->number;
}

const char *mp__session_name(const struct mp__session *s)
{
    return s->name;
}

void mp__core_reply(struct mp__core *c, struct mp__session *s, uint64_t id, int status,
                    const void *value, size_t size)
{
    struct mp__waiter *w = mp__waiter_find(s, id);
    if (!w || !strchr(w->call.info->flags, 'S'))
        return;
    struct mp__call call = w->call;
    call.out = &c->out;
    size_t at = mp__reply_begin(&call);
    if (status == 1 || status < 0) { // as it is, with the value
        call.out->size = at;
        mp__put_int(call.out, status);
    }
    if (value)
        mp__put_packed(call.out, value, size);
    else
        mp__put_nil(call.out);
    if (status != 1)
        mp__waiter_end(w);
    mp__reply_send(&call);
}

// ---- time ----------------------------------------------------------------------------

int64_t mp__core_now(const struct mp__core *c)
{
    return c->now;
}

int64_t mp__core_deadline(const struct mp__core *c)
{
    return mp__timers_next(&c->timers);
}

void mp__core_tick(struct mp__core *c, int64_t now)
{
    mp_loop_call_fn *fn;
    void *arg;
    uint32_t before = c->timers.order;
    c->now = now;
    while (mp__timers_take(&c->timers, now, before, &fn, &arg))
        fn(arg);
    mp__settle(c);
}

int64_t mp__timer_add(struct mp__core *c, int64_t when, void (*fn)(void *arg), void *arg)
{
    return mp__timers_add(&c->timers, when, fn, arg);
}

void mp__timer_cancel(struct mp__core *c, int64_t *timer)
{
    if (*timer >= 0)
        mp__timers_cancel(&c->timers, *timer);
    *timer = -1;
}

uint64_t mp__token(struct mp__core *c)
{
    return ++c->token;
}

size_t mp__reply_limit(const struct mp__core *c)
{
    return c->limits.reply;
}

// ---- numbers -------------------------------------------------------------------------

struct mp__core_stats *mp__core_counts(struct mp__core *c)
{
    return &c->stats;
}

struct mp__core_stats mp__core_stats(const struct mp__core *c)
{
    return c->stats;
}

void mp__core_calls(const struct mp__core *c, uint64_t op, uint64_t *calls, uint64_t *errors)
{
    uint64_t interface = op >> 8, number = op & 0xff;
    const uint64_t *n = NULL;
    if (interface < MP__INTERFACE_COUNT && number < 32)
        n = c->calls[interface][number];
    else if (interface - MP__CUSTOM < c->custom_count)
        n = c->custom[interface - MP__CUSTOM]->calls[number];
    *calls = n ? n[0] : 0;
    *errors = n ? n[1] : 0;
}
