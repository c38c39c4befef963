// SPDX-License-Identifier: MIT
//
// The calls of the manager itself: objects made, named, found and let go; what there is to see.
#include "core/state.h"

static const struct mp__type *const types[] = {&mp__type_list,
                                               &mp__type_dict,
                                               &mp__type_set,
                                               &mp__type_namespace,
                                               &mp__type_value,
                                               &mp__type_array,
                                               &mp__type_queue,
                                               &mp__type_lifo_queue,
                                               &mp__type_priority_queue,
                                               &mp__type_joinable_queue,
                                               &mp__type_lock,
                                               &mp__type_rlock,
                                               &mp__type_semaphore,
                                               &mp__type_bounded_semaphore,
                                               &mp__type_condition,
                                               &mp__type_event,
                                               &mp__type_barrier,
                                               &mp__type_counter,
                                               &mp__type_pool,
                                               NULL};

const struct mp__type *mp__type_find(const struct mp__core *c, const void *name, size_t size)
{
    for (size_t i = 0; types[i]; i++)
        if (strlen(types[i]->name) == size && memcmp(types[i]->name, name, size) == 0)
            return types[i];
    for (unsigned i = 0; i < c->custom_count; i++) {
        const struct mp__type *t = &c->custom[i]->type;
        if (strlen(t->name) == size && memcmp(t->name, name, size) == 0)
            return t;
    }
    return NULL;
}

static const struct mp__type *type_arg(struct mp__call *c, size_t i)
{
    struct mp__slice name = mp__arg_text(c, i);
    const struct mp__type *t = mp__type_find(c->core, name.data, name.size);
    if (!t)
        c->why = "no such type";
    return t;
}

// ---- the session ---------------------------------------------------------------------

// Printable, so that it can be in a log.
static void set_name(struct mp__session *s, struct mp__slice name)
{
    size_t n = name.size < sizeof s->name - 1 ? name.size : sizeof s->name - 1;
    for (size_t i = 0; i < n; i++)
        s->name[i] = name.data[i] >= 0x20 && name.data[i] < 0x7f ? (char)name.data[i] : '?';
    s->name[n] = 0;
}

static int call_hello(struct mp__call *c)
{
    if (mp__arg_uint(c, 0, 0) != MP__MANAGER_VERSION)
        return mp__fail(c, MP_EVERSION, "this manager speaks version 1");
    if (mp__given(c, 1))
        set_name(c->session, mp__arg_text(c, 1));
    mp__put_array(c->out, 3);
    mp__put_uint(c->out, MP__MANAGER_VERSION);
    mp__put_uint(c->out, c->core->instance);
    mp__put_uint(c->out, c->session->number);
    return 0;
}

static int call_ping(struct mp__call *c)
{
    if (c->count > 0)
        mp__put_packed(c->out, mp__arg(c, 0).data, mp__arg(c, 0).size);
    return 0;
}

static int call_cancel(struct mp__call *c)
{
    mp__put_bool(c->out, mp__cancel(c->session, mp__arg_uint(c, 0, 0)));
    return 0;
}

static int call_batch(struct mp__call *c)
{
    return mp__batch(c);
}

// ---- objects -------------------------------------------------------------------------

struct mp__object *mp__create(struct mp__call *c, size_t type_at, int *err)
{
    const struct mp__type *type = type_arg(c, type_at);
    if (!type) {
        *err = MP_ENOTFOUND;
        return NULL;
    }
    if (!c->replay && c->session->refs.count >= c->core->limits.session_objects) {
        *err = mp__fail(c, MP_EQUOTA, "too many objects of this session");
        return NULL;
    }
    struct mp__call make = *c;
    make.args += type_at + 1;
    make.count -= type_at + 1;
    const struct mp__type_info *info =
        type->custom ? NULL : mp__type_by_name(type->name, strlen(type->name));
    *err = info ? mp__check_args(&make, info->args) : 0;
    struct mp__object *o =
        *err < 0 ? NULL : mp__object_make(&make, type, c->replay ? c->id : 0, err);
    c->why = make.why;
    if (!o)
        return NULL;
    size_t from = c->args[type_at].offset;
    const struct mp__wire_element *last = &c->args[c->count - 1];
    mp__put_packed(mp__log_call(c, MP__OP(MANAGER, create), o->id, c->count - type_at),
                   c->message + from, last->offset + last->size - from);
    return o;
}

static int call_create(struct mp__call *c)
{
    int err;
    struct mp__object *o = mp__create(c, 0, &err);
    if (!o)
        return err;
    c->objects_out = true;
    mp__put_object(c->out, o->id);
    return 0;
}

static int call_load(struct mp__call *c)
{
    const struct mp__type *type = type_arg(c, 0);
    int err;
    if (!type || !type->custom || !type->custom->load)
        return MP_EFORMAT;
    return mp__object_make(c, type, c->id, &err) ? 0 : err;
}

static void put_opened(struct mp__call *c, const struct mp__object *o, size_t count)
{
    c->objects_out = true;
    mp__put_array(c->out, count);
    mp__put_object(c->out, o->id);
    mp__put_str(c->out, o->type->name);
    mp__put_uint(c->out, o->type->interface);
}

// The object of the name in argument 0, and of the type in argument 1 if that is there.
static int find_named(struct mp__call *c, struct mp__object **o)
{
    struct mp__slice name = mp__arg_text(c, 0);
    if (!mp__name_valid(c->core, name))
        return mp__fail(c, MP_EINVAL, "not a name: letters, digits, '.', '_' and '-'");
    *o = mp__name_find(c->core, name);
    if (!*o)
        return MP_ENOTFOUND;
    if (mp__given(c, 1)) {
        const struct mp__type *type = type_arg(c, 1);
        if (type != (*o)->type)
            return mp__fail(c, MP_ETYPE, "it is of another type");
    }
    return 0;
}

static int call_open(struct mp__call *c)
{
    struct mp__object *o;
    int r = find_named(c, &o);
    if (r == 0)
        put_opened(c, o, 3);
    return r;
}

// In the log it is a create and a name, or nothing.
static int create_named(struct mp__call *c, struct mp__object **o)
{
    int err;
    *o = mp__create(c, 1, &err);
    if (!*o)
        return err;
    if (mp__name_set(*o, mp__arg_text(c, 0)) < 0)
        return MP_EQUOTA; // and the object goes
    mp__log_default(c);
    struct mp__slice name = mp__arg_text(c, 0);
    mp__put_text(mp__log_call(c, MP__OP(MANAGER, name), (*o)->id, 1), (const char *)name.data,
                 name.size);
    return 0;
}

static int call_get_or_create(struct mp__call *c)
{
    struct mp__object *o;
    int r = find_named(c, &o);
    bool made = r == MP_ENOTFOUND;
    c->unlogged = !made;
    if (made)
        r = create_named(c, &o);
    if (r < 0)
        return r;
    put_opened(c, o, 4);
    mp__put_bool(c->out, made);
    return 0;
}

static int call_name(struct mp__call *c)
{
    struct mp__slice name = mp__arg_text(c, 0);
    if (!c->object || !mp__name_valid(c->core, name))
        return mp__fail(c, MP_EINVAL, c->object ? "not a name" : "no object");
    if (c->object->name)
        return mp__fail(c, MP_ESTATE, "it has a name");
    if (mp__name_find(c->core, name))
        return mp__fail(c, MP_ESTATE, "the name is taken");
    return mp__name_set(c->object, name) < 0 ? MP_EQUOTA : 0;
}

static int call_delete(struct mp__call *c)
{
    struct mp__object *o = mp__name_find(c->core, mp__arg_text(c, 0));
    c->unlogged = !o;
    if (o)
        mp__name_clear(o);
    mp__put_bool(c->out, o != NULL);
    return 0;
}

static int call_incref(struct mp__call *c)
{
    uint64_t n = mp__arg_uint(c, 0, 1);
    if (!c->object || n == 0)
        return MP_EINVAL;
    return mp__session_ref(c->session, c->object, n);
}

static int call_decref(struct mp__call *c)
{
    uint64_t n = mp__arg_uint(c, 0, 1);
    if (!c->object || n == 0)
        return MP_EINVAL;
    return mp__session_unref(c->session, c->object, n);
}

// The rest of watching is in watch.c, when this request has a place to wait.
static int call_watch(struct mp__call *c)
{
    struct mp__slice key;
    if (!c->object || c->batched)
        return mp__fail(c, MP_EINVAL, c->object ? "not in a batch" : "no object");
    if (c->session->flags & MP__SESSION_ONE_REPLY)
        return MP_ENOTSUP;
    int r = mp__given(c, 0) ? mp__key(c, mp__arg(c, 0), &key) : 0;
    if (r == 0 && mp__given(c, 0) && !mp__slice_equal(key, mp__arg(c, 0)))
        r = mp__fail(c, MP_EINVAL, "the key is not in its shortest form");
    c->timeout = -1;
    return r < 0 ? r : MP__WAITS;
}

// ---- what there is -------------------------------------------------------------------

static bool begins(const struct mp__object *o, struct mp__slice with)
{
    return o->name && strlen(o->name) >= with.size && memcmp(o->name, with.data, with.size) == 0;
}

static int call_list(struct mp__call *c)
{
    struct mp__slice with = {(const uint8_t *)"", 0, false};
    size_t n = 0;
    if (mp__given(c, 0))
        with = mp__arg_text(c, 0);
    MP__TABLE_EACH(&c->core->names, e)
    n += begins(mp__named(e), with);
    mp__put_array(c->out, n);
    MP__TABLE_EACH(&c->core->names, e)
    {
        const struct mp__object *o = mp__named(e);
        if (!begins(o, with))
            continue;
        mp__put_array(c->out, 3);
        mp__put_str(c->out, o->name);
        mp__put_str(c->out, o->type->name);
        mp__put_uint(c->out, o->id);
    }
    return 0;
}

static int call_type(struct mp__call *c)
{
    if (!c->object)
        return mp__fail(c, MP_EINVAL, "no object");
    mp__put_array(c->out, 2);
    mp__put_str(c->out, c->object->type->name);
    mp__put_uint(c->out, c->object->type->interface);
    return 0;
}

static void put_info(mp_buf *b, const struct mp__call_info *i)
{
    mp__put_array(b, 6);
    mp__put_str(b, i->name);
    mp__put_uint(b, i->op);
    mp__put_str(b, i->args);
    mp__put_str(b, i->result);
    mp__put_str(b, i->flags);
    mp__put_str(b, i->text);
}

static int call_methods(struct mp__call *c)
{
    const struct mp__type *type = type_arg(c, 0);
    const struct mp__call_info *all;
    size_t count = 256, n = 0;
    if (!type)
        return MP_ENOTFOUND;
    unsigned interface = type->interface;
    all = type->custom ? c->core->custom[interface - MP__CUSTOM]->info : mp__calls(&count);
    for (size_t i = 0; i < count; i++)
        n += all[i].name && mp__op_interface(all[i].op) == interface;
    mp__put_array(c->out, 2);
    mp__put_uint(c->out, interface);
    mp__put_array(c->out, n);
    for (size_t i = 0; i < count; i++)
        if (all[i].name && mp__op_interface(all[i].op) == interface)
            put_info(c->out, &all[i]);
    return 0;
}

static void put_type(mp_buf *b, const char *name, unsigned interface, const char *args,
                     const char *text)
{
    mp__put_array(b, 4);
    mp__put_str(b, name);
    mp__put_uint(b, interface);
    mp__put_str(b, args);
    mp__put_str(b, text);
}

static int call_types(struct mp__call *c)
{
    size_t n;
    const struct mp__type_info *t = mp__types(&n);
    mp__put_array(c->out, n + c->core->custom_count);
    for (size_t i = 0; i < n; i++)
        put_type(c->out, t[i].name, t[i].interface, t[i].args, t[i].text);
    for (unsigned i = 0; i < c->core->custom_count; i++)
        put_type(c->out, c->core->custom[i]->type.name, MP__CUSTOM + i, "*v", "");
    return 0;
}

static int call_stats(struct mp__call *c)
{
    const struct mp__core_stats *s = &c->core->stats;
    const struct mp__named_number all[] = {
        {"calls", s->calls},
        {"errors", s->errors},
        {"sessions", s->sessions},
        {"sessions_ever", s->sessions_ever},
        {"objects", s->objects},
        {"names", s->names},
        {"waiting", s->waiting},
        {"watching", s->watching},
        {"bytes", s->bytes},
        {"timeouts", s->timeouts},
        {"cancels", s->cancels},
        {"owners_died", s->owners_died},
        {"items_returned", s->items_returned},
        {"leases_expired", s->leases_expired},
    };
    mp__put_numbers(c->out, all, sizeof all / sizeof *all);
    return 0;
}

static int call_debug(struct mp__call *c)
{
    const struct mp__object *o = c->object;
    uint64_t watchers = 0;
    if (!o)
        return mp__fail(c, MP_EINVAL, "no object");
    for (const struct mp__link *l = o->watchers.next; l != &o->watchers; l = l->next)
        watchers++;
    mp__put_map(c->out, 7);
    mp__put_str(c->out, "type");
    mp__put_str(c->out, o->type->name);
    mp__put_str(c->out, "name");
    o->name ? mp__put_str(c->out, o->name) : mp__put_nil(c->out);
    mp__put_str(c->out, "references");
    mp__put_uint(c->out, o->refs);
    mp__put_str(c->out, "objects_inside");
    mp__put_uint(c->out, o->inner);
    mp__put_str(c->out, "waiting");
    mp__put_uint(c->out, o->waiting);
    mp__put_str(c->out, "watching");
    mp__put_uint(c->out, watchers);
    mp__put_str(c->out, "bytes");
    mp__put_uint(c->out, o->bytes);
    return 0;
}

static int call_number_of_objects(struct mp__call *c)
{
    mp__put_uint(c->out, c->core->stats.objects);
    return 0;
}

static int call_locks(struct mp__call *c)
{
    struct mp__object *o;
    size_t at, n = 0;
    for (at = 0; (o = mp__object_next(c->core, &at));)
        n += o->type->interface == MP__LOCK && mp__lock_held(o, NULL);
    mp__put_array(c->out, n);
    for (at = 0; (o = mp__object_next(c->core, &at));)
        if (o->type->interface == MP__LOCK)
            mp__lock_held(o, c->out);
    return 0;
}

// These the server does.
#define call_clients     NULL
#define call_serve_tasks mp__serve_tasks
#define call_task_done   mp__task_done
#define call_snapshot    NULL
#define call_shutdown    NULL
#define call_monitor     NULL
#define call_metrics     NULL
#define call_reload      NULL

mp__method *const mp__manager_methods[32] = {MP__CALLS_MANAGER(MP__METHOD)};
