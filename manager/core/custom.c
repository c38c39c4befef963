// SPDX-License-Identifier: MIT
//
// Types of somebody else's: include/mp/manager_type.h. Such an object has one queue, and after
// each call that changes it all who wait there are tried again.
#include "core/state.h"

#include <errno.h>
#include <stdlib.h>

struct custom {
    struct mp__object o;
    void *state;
    struct mp__queue waiting;
};

// What methods get: a call, and no more of it than they may know.
struct mp_manager_call {
    struct mp__call *c;
    size_t result; // where it begins
};

int mp_manager_args_typed(mp_manager_call *call, const char *types, const char *format, ...)
{
    const struct mp__call *c = call->c;
    size_t from = c->count ? c->args[0].offset : 0;
    size_t end = c->count ? c->args[c->count - 1].offset + c->args[c->count - 1].size : 0;
    const mp_unpack_opts opts = {.ext = true};
    va_list args;
    va_start(args, format);
    int r = mp_vunpack(&opts, NULL, c->message + from, end - from, types, format, args);
    va_end(args);
    return r;
}

int mp_manager_result_typed(mp_manager_call *call, const char *types, const char *format, ...)
{
    struct mp__wire_limits limits;
    struct mp__wire_scan scan = {0};
    mp_buf *b = call->c->out;
    va_list args;
    b->size = call->result;
    va_start(args, format);
    int r = mp_vpack(b, types, format, args);
    va_end(args);
    if (r < 0) {
        b->why = NULL;
        return r;
    }
    limits = (struct mp__wire_limits){.depth = MP__DEPTH, .nodes = SIZE_MAX, .ext = true};
    r = mp__wire_check((char *)b->data + call->result, b->size - call->result, &limits, &scan);
    if (r == 0 && scan.used == b->size - call->result)
        return 0;
    b->size = call->result;
    return MP_EINVAL;
}

void mp_manager_error(mp_manager_call *call, const char *text)
{
    call->c->why = text;
}

uint64_t mp_manager_session(const mp_manager_call *call)
{
    return call->c->session ? call->c->session->number : 0;
}

int64_t mp_manager_now(const mp_manager_call *call)
{
    return call->c->core->now;
}

// ---- as a type -----------------------------------------------------------------------

static int custom_call(struct mp__call *c)
{
    struct custom *u = (struct custom *)c->object;
    mp_manager_call call = {c, c->out->size};
    const mp_manager_method *m = &c->object->type->custom->methods[(c->info->op & 0xff) - 1];
    if (c->objects_in)
        return mp__fail(c, MP_ETYPE, "no objects in calls of this type");
    int r = m->fn(&call, u->state);
    if (r == MP_MANAGER_WAIT) {
        c->out->size = call.result;
        return mp__wait(c, &u->waiting);
    }
    if (m->flags & MP_MANAGER_CHANGES)
        mp__wake(&u->waiting);
    return r < 0 ? r : 0;
}

static int custom_make(struct mp__call *c)
{
    struct custom *u = (struct custom *)c->object;
    const mp_manager_type *t = c->object->type->custom;
    mp_manager_call call = {c, c->out->size};
    mp__queue_init(&u->waiting, &u->o);
    if (c->info->op == MP__OP(MANAGER, load)) {
        struct mp__slice state = mp__arg(c, 1);
        return t->load(&u->state, state.data, state.size);
    }
    int r = t->make(&call, &u->state);
    c->out->size = call.result;
    return r < 0 ? r : 0;
}

static void custom_end(struct mp__object *o)
{
    if (o->type->custom->end)
        o->type->custom->end(((struct custom *)o)->state);
}

static int custom_save_make(struct mp__object *o, mp_buf *args)
{
    int r = o->type->custom->save(((struct custom *)o)->state, args);
    return r < 0 ? r : 1;
}

// ---- adding one ----------------------------------------------------------------------

static const char *flags_of(const mp_manager_method *m)
{
    static const char *const flags[] = {"B", "RB", "WB", "RWB"};
    return flags[m->flags & 3];
}

static bool valid(const struct mp__core *c, const mp_manager_type *t)
{
    if (!t || t->version != MP_MANAGER_TYPE || !t->name || !t->make || !t->methods ||
        !t->methods[0].name || !t->save != !t->load ||
        c->custom_count >= MP__INTERFACE_MAX - MP__CUSTOM)
        return false;
    struct mp__slice name = {(const uint8_t *)t->name, strlen(t->name), false};
    if (!mp__name_valid(c, name) || mp__type_find(c, name.data, name.size))
        return false;
    size_t n = 0;
    while (t->methods[n].name)
        if (!t->methods[n].fn || ++n > 255)
            return false;
    return true;
}

static mp__method *const methods[256] = {[1 ... 255] = custom_call};

static void fill(struct mp__custom *u, const mp_manager_type *t, unsigned interface)
{
    u->type = (struct mp__type){.name = t->name,
                                .interface = interface,
                                .size = sizeof(struct custom),
                                .methods = methods,
                                .make = custom_make,
                                .end = custom_end,
                                .save_make = t->save ? custom_save_make : NULL,
                                .custom = t};
    for (unsigned i = 0; t->methods[i].name; i++)
        u->info[i + 1] =
            (struct mp__call_info){.op = (uint16_t)(interface << 8 | (i + 1)),
                                   .name = t->methods[i].name,
                                   .args = "*v",
                                   .result = "v",
                                   .flags = flags_of(&t->methods[i]),
                                   .text = t->methods[i].text ? t->methods[i].text : ""};
}

int mp__core_add_type(struct mp__core *c, const mp_manager_type *type)
{
    if (!valid(c, type) || (c->hooks.record && !type->save))
        return MP_EINVAL;
    struct mp__custom **all =
        realloc(c->custom, (c->custom_count + 1) * sizeof(struct mp__custom *));
    if (!all)
        return -ENOMEM;
    c->custom = all;
    struct mp__custom *u = calloc(1, sizeof *u);
    if (!u)
        return -ENOMEM;
    fill(u, type, MP__CUSTOM + c->custom_count);
    c->custom[c->custom_count++] = u;
    return 0;
}
