// SPDX-License-Identifier: MIT
//
// From a message to a reply: the pre-scan leaves where each element is; the table says what the
// call is and what its arguments have to be; its method does it; then the log and those who
// watch are told, and the reply goes out of one buffer that is used again and again.
#include "core/state.h"

#include <errno.h>
#include <stdlib.h>

#define KEPT (1 << 20) // bytes of a buffer

// ---- reading -------------------------------------------------------------------------

static bool begins_array(const uint8_t *data, size_t size)
{
    return size > 0 && ((data[0] & 0xf0) == 0x90 || data[0] == 0xdc || data[0] == 0xdd);
}

static int more_elements(struct mp__core *c, int which, size_t count)
{
    struct mp__wire_element *new = realloc(c->elements[which], count * sizeof *new);
    if (!new)
        return -ENOMEM;
    c->elements[which] = new;
    c->room[which] = count;
    return 0;
}

int mp__parse(struct mp__core *c, int which, const void *data, size_t size, struct mp__message *m)
{
    const struct mp__wire_limits limits = {.depth =
                                               MP__DEPTH + 2, // values are in a call in a batch
                                           .nodes = c->replaying ? SIZE_MAX : c->limits.nodes,
                                           .ext = true};
    struct mp__wire_scan scan = {.elements = c->elements[which], .room = c->room[which]};
    if (size > c->limits.message && !c->replaying)
        return MP_EMSGSIZE;
    if (!begins_array(data, size))
        return MP_EPROTO;
    int r = mp__wire_check(data, size, &limits, &scan);
    if (r == 0 && scan.count > scan.room) { // rare: more arguments than ever before
        r = more_elements(c, which, scan.count);
        scan.elements = c->elements[which];
        scan.room = c->room[which];
        if (r == 0)
            r = mp__wire_check(data, size, &limits, &scan);
    }
    if (r == 0 && scan.used != size)
        r = MP_EPROTO;
    *m = (struct mp__message){data,       size,         c->elements[which],
                              scan.count, scan.deepest, scan.exts > 0};
    return r;
}

int mp__uint_read(const struct mp__message *m, size_t i, uint64_t *out)
{
    struct mp__head head;
    const uint8_t *at = (const uint8_t *)m->data + m->elements[i].offset;
    if (mp__head_read(&at, at + m->elements[i].size, &head) < 0 || head.type != MP_ITEM_INT ||
        head.negative)
        return MP_ETYPE;
    *out = head.n;
    return 0;
}

// ---- what the call is, and may be -----------------------------------------------------

static const struct mp__call_info *info_of(const struct mp__core *c, uint64_t op)
{
    uint64_t custom = (op >> 8) - MP__CUSTOM;
    if (op >> 8 < MP__CUSTOM)
        return mp__call_by_op(op);
    if (custom >= c->custom_count || !c->custom[custom]->info[op & 0xff].name)
        return NULL;
    return &c->custom[custom]->info[op & 0xff];
}

static bool flag(const struct mp__call_info *info, char f)
{
    return strchr(info->flags, f) != NULL;
}

static int permitted(const struct mp__call *c)
{
    const struct mp__call_info *info = c->info;
    if (c->replay)
        return 0;
    if (flag(info, 'P'))
        return MP_ENOFUNC;
    if (flag(info, 'R'))
        return 0;
    if (c->session->flags & MP__SESSION_READ_ONLY)
        return MP_EDENIED;
    if (c->session->flags & MP__SESSION_ADMIN)
        return 0;
    return flag(info, 'S') || flag(info, 'A') ? MP_EDENIED : 0;
}

static bool fits(const struct mp__call *c, size_t i, char letter)
{
    struct mp__head head;
    mp_item_type type = c->args[i].type;
    switch (letter) {
    case 'v':
        return true;
    case 'k':
        return type == MP_ITEM_STR || type == MP_ITEM_INT || type == MP_ITEM_BIN;
    case 's':
        return type == MP_ITEM_STR;
    case 't':
        return type == MP_ITEM_BOOL;
    case 'a':
        return type == MP_ITEM_ARRAY;
    case 'm':
        return type == MP_ITEM_MAP;
    case 'o':
        return type == MP_ITEM_EXT;
    case 'd':
        return type == MP_ITEM_INT || type == MP_ITEM_DOUBLE;
    default: {
        const uint8_t *at = c->message + c->args[i].offset;
        if (type != MP_ITEM_INT || mp__head_read(&at, at + c->args[i].size, &head) < 0)
            return false;
        return letter == 'u' ? !head.negative : head.negative || head.n <= INT64_MAX;
    }
    }
}

int mp__check_args(struct mp__call *c, const char *letters)
{
    bool optional = false, many = false;
    size_t i = 0;
    for (; *letters; letters++) {
        if (*letters == '|') {
            optional = true;
            continue;
        }
        if (*letters == '*') {
            many = true;
            letters++;
        }
        do {
            if (i >= c->count)
                return optional || many ? 0 : mp__fail(c, MP_EINVAL, "an argument is missing");
            if (!fits(c, i, *letters) && !(optional && c->args[i].type == MP_ITEM_NIL))
                return mp__fail(c, MP_ETYPE, "an argument of another type");
            i++;
        } while (many);
    }
    return i < c->count ? mp__fail(c, MP_EINVAL, "too many arguments") : 0;
}

// Calls of the manager may be about an object; all others are.
static int find_object(struct mp__call *c, uint64_t id)
{
    c->object = id ? mp__object_find(c->core, id) : NULL;
    if (id && !c->object)
        return MP_ESTALE;
    if (mp__op_interface(c->info->op) == MP__MANAGER)
        return 0;
    if (!c->object)
        return mp__fail(c, MP_EINVAL, "no object");
    return c->object->type->interface == mp__op_interface(c->info->op)
               ? 0
               : mp__fail(c, MP_ETYPE, "the object has another interface");
}

// ---- doing it ------------------------------------------------------------------------

static int control(struct mp__call *c)
{
    const struct mp__core_hooks *h = &c->core->hooks;
    size_t begin = c->count ? c->args[0].offset : 0;
    size_t end = c->count ? c->args[c->count - 1].offset + c->args[c->count - 1].size : 0;
    if (!h->control || !c->session)
        return MP_ENOTSUP;
    struct mp__control k = {c->info->op,        c->id,       !c->batched,
                            c->message + begin, end - begin, &c->why};
    size_t before = c->out->size;
    int r = h->control(h->ctx, c->session->user, &k, c->out);
    if (r != MP__LATER)
        return r;
    c->out->size = before;
    return c->batched ? MP_EBUG : MP__WAITS;
}

static int method(struct mp__call *c)
{
    unsigned interface = mp__op_interface(c->info->op), number = c->info->op & 0xff;
    if (flag(c->info, 'S'))
        return control(c);
    mp__method *const *methods =
        interface == MP__MANAGER ? mp__manager_methods : c->object->type->methods;
    return methods[number](c);
}

static void count(struct mp__call *c, int r)
{
    unsigned interface = mp__op_interface(c->info->op), number = c->info->op & 0xff;
    uint64_t *n = interface < MP__CUSTOM ? c->core->calls[interface][number]
                                         : c->core->custom[interface - MP__CUSTOM]->calls[number];
    n[0] += !c->waiter; // it was counted when it began to wait
    n[1] += r < 0;
    c->core->stats.calls += !c->waiter;
    c->core->stats.errors += r < 0;
}

// The result is there: what goes wrong from here on, the call has been done.
static int finish(struct mp__call *c, size_t result, int r)
{
    if (r == 0 && c->out->size == result)
        mp__put_nil(c->out);
    if (mp__put_failed(c->out))
        return mp__fail(c, MP_EQUOTA, "no memory for the result");
    if ((r == 0 || r == MP_EOWNERDEAD) && flag(c->info, 'W')) {
        mp__log_default(c);
        mp__watchers_tell(c, result);
    }
    if (c->out->size > c->core->limits.reply && r == 0 && !c->replay)
        return mp__fail(c, MP_EMSGSIZE, "the result is too large for a reply");
    return r;
}

static int again(struct mp__call *c)
{
    size_t result = c->out->size;
    int r = method(c);
    if (r != MP__WAITS)
        r = finish(c, result, r);
    count(c, r);
    return r;
}

int mp__call_do(struct mp__call *c, uint64_t op, uint64_t object)
{
    if (c->waiter)
        return again(c);
    c->info = info_of(c->core, op);
    if (!c->info) {
        c->core->stats.calls++;
        c->core->stats.errors++;
        return mp__fail(c, MP_ENOFUNC, "no such call");
    }
    int r = permitted(c);
    if (r == 0)
        r = find_object(c, object);
    if (r == 0)
        r = mp__check_args(c, c->info->args);
    if (r == 0)
        return again(c);
    count(c, r);
    return r;
}

// ---- replies -------------------------------------------------------------------------

size_t mp__reply_begin(struct mp__call *c)
{
    mp_buf *b = c->out;
    b->size = 0;
    b->why = NULL;
    mp__put_array(b, 3);
    mp__put_uint(b, c->id);
    size_t at = b->size;
    mp__put_byte(b, 0);
    return at;
}

int mp__reply_status(struct mp__call *c, size_t at, int status)
{
    mp_buf *b = c->out;
    if (status == 0)
        return 0;
    if (status == MP_EOWNERDEAD && !mp__put_failed(b)) { // the one with a result
        uint8_t value[16];
        size_t size = b->size - at - 1;
        memcpy(value, (uint8_t *)b->data + at + 1, size < sizeof value ? size : sizeof value);
        b->size = at;
        mp__put_int(b, status);
        mp__put_packed(b, value, size);
        return 0;
    }
    b->size = at;
    b->why = NULL;
    mp__put_int(b, status == -ENOMEM ? MP_EQUOTA : status);
    if (c->why)
        mp__put_str(b, c->why);
    else
        mp__put_nil(b);
    return mp__put_failed(b) ? -ENOMEM : 0;
}

static int give(void *arg, uint64_t id)
{
    struct mp__call *c = arg;
    struct mp__object *o = mp__object_find(c->core, id);
    return o ? mp__session_ref(c->session, o, 1) : 0;
}

// The session has a reference to each object that it is sent.
void mp__reply_send(struct mp__call *c)
{
    struct mp__core *core = c->core;
    struct mp__slice s = {c->out->data, c->out->size, true};
    if (!c->session || c->session->ending)
        return;
    if (c->objects_in || c->objects_out)
        (void)!mp__each_object(s, give, c);
    core->hooks.send(core->hooks.ctx, c->session->user, s.data, s.size);
}

static void answer(struct mp__call *c, uint64_t op, uint64_t object)
{
    size_t at = mp__reply_begin(c);
    int r = mp__call_do(c, op, object);
    if (r == MP__WAITS) {
        struct mp__waiter *w;
        r = mp__park(c, &w);
        if (r == 0 && op == MP__OP(MANAGER, watch))
            mp__watch_begin(w);
        if (r == 0 && op == MP__OP(MANAGER, serve_tasks))
            r = mp__workers_begin(w);
        if (r == 0)
            return;
    }
    mp__reply_status(c, at, r);
    mp__reply_send(c);
}

// ---- batches -------------------------------------------------------------------------

static int one_of_batch(struct mp__call *c, struct mp__slice s)
{
    struct mp__message m;
    struct mp__call sub = {.core = c->core, .session = c->session, .out = c->out, .batched = true};
    uint64_t op, object;
    mp__put_array(c->out, 2);
    size_t at = c->out->size;
    mp__put_byte(c->out, 0);
    int r = mp__parse(c->core, 1, s.data, s.size, &m);
    if (r == 0)
        r = m.count < 2 ? MP_EINVAL : mp__uint_read(&m, 0, &op);
    if (r == 0)
        r = mp__uint_read(&m, 1, &object);
    if (r == 0 && op == MP__OP(MANAGER, batch))
        r = mp__fail(&sub, MP_EINVAL, "a batch in a batch");
    if (r == 0) {
        sub.message = s.data;
        sub.args = m.elements + 2;
        sub.count = m.count - 2;
        sub.objects_in = m.objects;
        r = mp__call_do(&sub, op, object);
    }
    c->objects_out |= sub.objects_out;
    mp__reply_status(&sub, at, r);
    return r;
}

int mp__batch(struct mp__call *c)
{
    bool stop = mp__arg_bool(c, 0), stopped = false;
    size_t calls = c->count ? c->count - 1 : 0;
    mp__put_array(c->out, calls);
    mp__log_batch(c->core, true);
    for (size_t i = 0; i < calls; i++) {
        if (stopped) {
            mp__put_array(c->out, 2);
            mp__put_int(c->out, MP_ECANCELED);
            mp__put_nil(c->out);
        } else if (one_of_batch(c, mp__arg(c, i + 1)) < 0) {
            stopped = stop;
        }
    }
    mp__log_batch(c->core, false);
    return 0;
}

// ---- the way in ----------------------------------------------------------------------

// Waits at most so long: nil and -1 for ever.
static int read_timeout(const struct mp__message *m, int64_t *ms)
{
    struct mp__head head;
    const uint8_t *at = (const uint8_t *)m->data + m->elements[3].offset;
    *ms = -1;
    if (m->elements[3].type == MP_ITEM_NIL)
        return 0;
    if (mp__head_read(&at, at + m->elements[3].size, &head) < 0 || head.type != MP_ITEM_INT)
        return MP_ETYPE;
    if (head.negative)
        return (int64_t)head.n == -1 ? 0 : MP_EINVAL;
    *ms = head.n > INT64_MAX / 2000000 ? -1 : (int64_t)head.n; // in 146 years
    return 0;
}

// Buffers are kept from call to call, but not what one large value made of them.
static void trim(struct mp__core *c)
{
    mp_buf *const buffers[] = {&c->out, &c->event, &c->log, &c->batch};
    for (size_t i = 0; i < 4; i++)
        if (buffers[i]->capacity > KEPT)
            mp_buf_free(buffers[i]);
}

static int any_number(void *arg, uint64_t id)
{
    (void)arg;
    (void)id;
    return 0;
}

// Whether all exts in a message are objects', if not objects.
static int check_exts(const struct mp__message *m)
{
    struct mp__slice s = {m->data, m->size, true};
    return m->objects ? mp__each_object(s, any_number, NULL) : 0;
}

int mp__core_feed(struct mp__core *c, struct mp__session *s, const void *data, size_t size,
                  int64_t now)
{
    struct mp__message m;
    struct mp__call call = {.core = c, .session = s, .out = &c->out};
    uint64_t op = 0, object = 0;
    c->now = now;
    int r = mp__parse(c, 0, data, size, &m);
    if (r == 0)
        r = m.count < 4 || mp__uint_read(&m, 0, &call.id) < 0 ? MP_EPROTO : 0;
    if (r == 0 && mp__waiter_find(s, call.id))
        r = MP_EINVAL;
    if (r < 0)
        return r;
    r = mp__uint_read(&m, 1, &op);
    if (r == 0)
        r = mp__uint_read(&m, 2, &object);
    if (r == 0)
        r = read_timeout(&m, &call.timeout);
    if (r == 0 && m.deepest > MP__DEPTH + 1 + (op == MP__OP(MANAGER, batch)))
        r = MP_EDEPTH;
    if (r == 0)
        r = check_exts(&m);
    if (r < 0) {
        call.why = r == MP_EDEPTH   ? "nested too deeply"
                   : r == MP_EPROTO ? "an ext that is no object"
                                    : "op, object or timeout is none";
        mp__reply_status(&call, mp__reply_begin(&call), r);
        mp__reply_send(&call);
        return 0;
    }
    call.message = data;
    call.args = m.elements + 4;
    call.count = m.count - 4;
    call.objects_in = m.objects;
    answer(&call, op, object);
    mp__settle(c);
    trim(c);
    return 0;
}
