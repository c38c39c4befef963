// SPDX-License-Identifier: MIT
//
// What outlives the manager. A record is a call, [op, object, argument, ...], and to replay is
// to make it: there is one way in which an object changes. The log has each call that changed
// something, as it was done; a snapshot has those that make the objects as they are, first all of
// them, empty, then names, then what is in them, since they may be in one another.
//
// What belongs to sessions, who holds or waits for what, is not in it: they are gone when a log
// is replayed. Items that were taken and not acknowledged are in their queue again.
#include "core/state.h"

#include <errno.h>

// ---- the log -------------------------------------------------------------------------

static mp_buf *begin(mp_buf *b, uint64_t op, uint64_t object, size_t args)
{
    b->size = 0;
    b->why = NULL;
    mp__put_array(b, 2 + args);
    mp__put_uint(b, op);
    mp__put_uint(b, object);
    return b;
}

static void record(struct mp__core *c)
{
    bool failed = mp__put_failed(&c->log);
    if (!c->hooks.record || c->replaying)
        return;
    if (!c->batching || failed) {
        c->hooks.record(c->hooks.ctx, failed ? NULL : c->log.data, failed ? 0 : c->log.size);
        return;
    }
    mp__put_packed(&c->batch, c->log.data, c->log.size);
    c->batch_count++;
}

void mp__log_batch(struct mp__core *c, bool begins)
{
    c->batching = begins;
    if (!begins && c->batch_count > 0) {
        mp_buf *b = begin(&c->log, MP__OP(MANAGER, batch), 0, c->batch_count);
        mp__put_packed(b, c->batch.data, c->batch.size);
        if (mp__put_failed(&c->batch))
            b->why = c->batch.why;
        record(c);
    }
    mp_buf_clear(&c->batch);
    c->batch.why = NULL;
    c->batch_count = 0;
}

mp_buf *mp__log_call(struct mp__call *c, uint64_t op, uint64_t object, size_t args)
{
    c->logged = true;
    return begin(&c->core->log, op, object, args);
}

void mp__log_default(struct mp__call *c)
{
    struct mp__core *core = c->core;
    if (!core->hooks.record || core->replaying || c->unlogged)
        return;
    if (!c->logged) {
        mp_buf *b = begin(&core->log, c->info->op, c->object ? c->object->id : 0, c->count);
        for (size_t i = 0; i < c->count; i++)
            mp__put_packed(b, mp__arg(c, i).data, mp__arg(c, i).size);
    }
    c->logged = false;
    record(core);
}

void mp__log_gone(struct mp__object *o)
{
    struct mp__core *c = o->core;
    if (!c->hooks.record || c->replaying)
        return;
    begin(&c->log, MP__OP(MANAGER, decref), o->id, 0);
    record(c);
}

// ---- snapshots -----------------------------------------------------------------------

struct mp__saver {
    struct mp__core *core;
    int (*write)(void *ctx, const void *data, size_t size);
    void *ctx;
    mp_buf call, args;
};

mp_buf *mp__save_call(struct mp__saver *s, struct mp__object *o, uint64_t op, size_t args)
{
    return begin(&s->call, op, o->id, args);
}

int mp__saved(struct mp__saver *s)
{
    if (mp__put_failed(&s->call) || mp__put_failed(&s->args))
        return -ENOMEM;
    return s->write(s->ctx, s->call.data, s->call.size);
}

// The call that makes an object.
static int save_make(struct mp__saver *s, struct mp__object *o)
{
    const mp_manager_type *custom = o->type->custom;
    if (custom && !custom->save)
        return 0;
    s->args.size = 0;
    s->args.why = NULL;
    int n = o->type->save_make ? o->type->save_make(o, &s->args) : 0;
    if (n < 0)
        return n;
    mp_buf *b = mp__save_call(s, o, custom ? MP__OP(MANAGER, load) : MP__OP(MANAGER, create),
                              1 + (size_t)n);
    mp__put_str(b, o->type->name);
    mp__put_packed(b, s->args.data, s->args.size);
    return mp__saved(s);
}

static int save_name(struct mp__saver *s, struct mp__object *o)
{
    if (!o->name || (o->type->custom && !o->type->custom->save))
        return 0;
    mp__put_str(mp__save_call(s, o, MP__OP(MANAGER, name), 1), o->name);
    return mp__saved(s);
}

static int save_content(struct mp__saver *s, struct mp__object *o)
{
    return o->type->save ? o->type->save(o, s) : 0;
}

// Conditions are made with their lock, so after it.
static int save_make_others(struct mp__saver *s, struct mp__object *o)
{
    return o->type->interface == MP__CONDITION ? 0 : save_make(s, o);
}

static int save_make_conditions(struct mp__saver *s, struct mp__object *o)
{
    return o->type->interface == MP__CONDITION ? save_make(s, o) : 0;
}

int mp__core_save(struct mp__core *c, int (*write)(void *ctx, const void *data, size_t size),
                  void *ctx)
{
    static int (*const passes[])(struct mp__saver *, struct mp__object *) = {
        save_make_others, save_make_conditions, save_name, save_content};
    struct mp__saver s = {.core = c, .write = write, .ctx = ctx};
    struct mp__object *o;
    int r = 0;
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
        for (size_t at = 0; r >= 0 && (o = mp__object_next(c, &at));)
            r = passes[i](&s, o);
    mp_buf_free(&s.call);
    mp_buf_free(&s.args);
    return r < 0 ? r : 0;
}

// ---- replay --------------------------------------------------------------------------

// Numbers that come are not those that were given, should two starts have drawn the same.
static void remember_id(struct mp__core *c, uint64_t id)
{
    if (id >> 40 == c->instance >> 40 && id > c->next_id)
        c->next_id = id;
}

static int replay_gone(struct mp__core *c, uint64_t id)
{
    struct mp__object *o = mp__object_find(c, id);
    if (o && o->refs == 0)
        mp__object_bury(o);
    return 0;
}

static int replay_call(struct mp__call *call, uint64_t op, uint64_t object)
{
    bool makes = op == MP__OP(MANAGER, create) || op == MP__OP(MANAGER, load);
    const struct mp__call_info *info = mp__call_by_op(op);
    if (op >> 8 < MP__CUSTOM && (!info || !strpbrk(info->flags, "WP")))
        return MP_EFORMAT;
    if (makes && (object == 0 || mp__object_find(call->core, object)))
        return MP_EFORMAT;
    if (makes) {
        call->id = object;
        remember_id(call->core, object);
    }
    return mp__call_do(call, op, makes ? 0 : object);
}

static int replay_one(struct mp__core *c, struct mp__slice s, bool in_batch);

static int replay_batch(struct mp__core *c, struct mp__slice s)
{
    struct mp__walk w = mp__walk(s);
    struct mp__slice one;
    int r = 0;
    for (size_t i = 0; r == 0 && mp__walk_next(&w, &one); i++)
        if (i >= 2) // behind op and object
            r = replay_one(c, one, true);
    return r;
}

static int replay_one(struct mp__core *c, struct mp__slice s, bool in_batch)
{
    struct mp__message m;
    uint64_t op, object;
    mp_buf out = {0};
    if (mp__parse(c, 0, s.data, s.size, &m) < 0 || m.count < 2 || mp__uint_read(&m, 0, &op) < 0 ||
        mp__uint_read(&m, 1, &object) < 0)
        return MP_EFORMAT;
    if (op == MP__OP(MANAGER, decref))
        return replay_gone(c, object);
    if (op == MP__OP(MANAGER, batch))
        return in_batch ? MP_EFORMAT : replay_batch(c, s);
    struct mp__call call = {.core = c,
                            .message = s.data,
                            .args = m.elements + 2,
                            .count = m.count - 2,
                            .out = &out,
                            .objects_in = m.objects,
                            .replay = true};
    int r = replay_call(&call, op, object);
    mp_buf_free(&out);
    return r < 0 && r != -ENOMEM && r != MP_EQUOTA ? MP_EFORMAT : r < 0 ? r : 0;
}

int mp__core_replay(struct mp__core *c, const void *data, size_t size)
{
    c->replaying = true;
    int r = replay_one(c, (struct mp__slice){data, size, true}, false);
    mp__settle(c);
    return r;
}
