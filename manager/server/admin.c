// SPDX-License-Identifier: MIT
//
// The calls that are about the server, not about objects: who is connected, what is called,
// numbers for Prometheus, and the end.
#include "base/clock.h"
#include "logfmt.h"
#include "server.h"
#include "wire/calls.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// ---- clients -------------------------------------------------------------------------

static int pack_client(struct conn *c, int64_t now, mp_buf *b)
{
    const char *how = c->pipe ? (c->fd >= 0 ? "rings" : "remote") : c->req ? "req" : "socket";
    return mp_pack(b, "{s:U s:s s:i s:I s:s s:s s:I s:U s:U s:U s:U s:U}", "session",
                   mp__session_number(c->session), "name", mp__session_name(c->session), "pid",
                   (int)c->pid, "uid", (int64_t)(int32_t)c->uid, "from", c->from, "by", how,
                   "seconds", (now - c->since) / 1000000000, "calls", c->calls, "replies",
                   c->replies, "bytes_in", c->bytes_in, "bytes_out", c->bytes_out, "waiting",
                   (uint64_t)conn_waiting(c));
}

static int clients(struct server *s, mp_buf *b)
{
    size_t n = 0;
    int64_t now = mp__now();
    for (struct conn *c = s->conns; c; c = c->next)
        n += c->phase == GREETED;
    int r = mp_pack_array(b, n);
    for (struct conn *c = s->conns; c && r == 0; c = c->next)
        if (c->phase == GREETED)
            r = pack_client(c, now, b);
    return r;
}

// ---- monitor -------------------------------------------------------------------------

static int monitor(struct conn *c, uint64_t id, bool may_later)
{
    if (!may_later)
        return MP_ENOTSUP;
    if (!c->monitors)
        c->server->monitors++;
    c->monitors = true;
    c->monitor = id;
    return MP__LATER;
}

// Packs what the monitors are told: [session, method, object, arguments as bytes of packed
// values]. False: it is no request, which the core will say.
static bool describe(struct conn *from, const void *data, size_t size, mp_buf *b)
{
    uint64_t id, op, object;
    if (mp_unpack(data, size, "[UUU*]", &id, &op, &object) < 0)
        return false;
    char name[80];
    const struct mp__call_info *info = mp__call_by_op(op);
    if (info)
        snprintf(name, sizeof name, "%s.%s", mp__interface_name(mp__op_interface(op)), info->name);
    else
        snprintf(name, sizeof name, "%u.%u", mp__op_interface(op), (unsigned)(op & 0xff));
    return mp_pack(b, "[UsUU]", mp__session_number(from->session), name, object, (uint64_t)size) ==
           0;
}

void admin_mirror(struct conn *from, const void *data, size_t size)
{
    char small[256];
    mp_buf b = {.data = small, .capacity = sizeof small, .borrowed = true};
    if (describe(from, data, size, &b))
        for (struct conn *c = from->server->conns; c; c = c->next)
            if (c->monitors && c != from && c->phase == GREETED)
                mp__core_reply(c->server->core, c->session, c->monitor, 1, b.data, b.size);
    mp_buf_free(&b);
}

// ---- metrics -------------------------------------------------------------------------

struct text {
    char *data;
    size_t size, room;
};

MP_PRINTF(2, 3) static void add(struct text *t, const char *format, ...)
{
    va_list a;
    va_start(a, format);
    int n = vsnprintf(t->data + t->size, t->room - t->size, format, a);
    va_end(a);
    if (n > 0)
        t->size += (size_t)n < t->room - t->size ? (size_t)n : t->room - t->size - 1;
}

static void number(struct text *t, const char *name, const char *type, const char *help,
                   uint64_t value)
{
    add(t, "# HELP mp_manager_%s %s\n# TYPE mp_manager_%s %s\nmp_manager_%s %llu\n", name, help,
        name, type, name, (unsigned long long)value);
}

static void core_numbers(struct text *t, const struct mp__core_stats *s)
{
    number(t, "sessions", "gauge", "Clients that are connected.", s->sessions);
    number(t, "objects", "gauge", "Objects.", s->objects);
    number(t, "names", "gauge", "Objects that have a name.", s->names);
    number(t, "value_bytes", "gauge", "Bytes of values in objects.", s->bytes);
    number(t, "waiting", "gauge", "Calls that wait.", s->waiting);
    number(t, "watching", "gauge", "Watches.", s->watching);
    number(t, "errors_total", "counter", "Calls that failed.", s->errors);
    number(t, "timeouts_total", "counter", "Calls that waited for too long.", s->timeouts);
    number(t, "cancels_total", "counter", "Calls that were cancelled.", s->cancels);
    number(t, "owners_died_total", "counter", "Locks whose owner died.", s->owners_died);
    number(t, "items_returned_total", "counter", "Items of queues that came back.",
           s->items_returned);
    number(t, "leases_expired_total", "counter", "Leases that ran out.", s->leases_expired);
}

static void server_numbers(struct text *t, const struct server *s)
{
    number(t, "start_time_seconds", "gauge", "When it was started, since 1970.",
           (uint64_t)s->began_wall);
    number(t, "connections_total", "counter", "Connections.", s->total.connections);
    number(t, "refused_total", "counter", "Connections that were refused.", s->total.refused);
    number(t, "cut_total", "counter", "Clients cut off for being slow.", s->total.cut);
    number(t, "rings_total", "counter", "Clients that were given shared memory.", s->total.rings);
    number(t, "received_bytes_total", "counter", "Bytes of requests.", s->total.bytes_in);
    number(t, "sent_bytes_total", "counter", "Bytes of replies.", s->total.bytes_out);
    number(t, "replies_total", "counter", "Replies, and events.", s->total.replies);
}

static void call_numbers(struct text *t, const struct mp__core *core)
{
    size_t n;
    const struct mp__call_info *table = mp__calls(&n);
    add(t, "# HELP mp_manager_calls_total Calls by method.\n"
           "# TYPE mp_manager_calls_total counter\n");
    for (size_t i = 0; i < n; i++) {
        uint64_t calls, errors;
        mp__core_calls(core, table[i].op, &calls, &errors);
        if (calls)
            add(t, "mp_manager_calls_total{method=\"%s.%s\"} %llu\n",
                mp__interface_name(mp__op_interface(table[i].op)), table[i].name,
                (unsigned long long)calls);
    }
}

size_t admin_metrics(const struct server *s, char *out, size_t size)
{
    struct text t = {out, 0, size};
    struct mp__core_stats stats = mp__core_stats(s->core);
    core_numbers(&t, &stats);
    server_numbers(&t, s);
    call_numbers(&t, s->core);
    return t.size;
}

// ---- the table -----------------------------------------------------------------------

static int shut_down(struct server *s, const struct mp__control *call)
{
    bool now = false;
    int r = call->size ? mp_unpack(call->args, call->size, "t", &now) : 0;
    if (r == 0)
        server_stop(s, now);
    return r;
}

static int reload(struct server *s, const char **why)
{
    static char text[400]; // until it was answered
    *text = '\0';
    int r = s->reload ? s->reload(s->reload_arg, text, sizeof text) : MP_ENOTSUP;
    if (r < 0 && *text)
        *why = text;
    return r;
}

static int metrics(struct server *s, mp_buf *result)
{
    static char text[32768];
    admin_metrics(s, text, sizeof text);
    return mp_pack(result, "s", text);
}

int admin_control(void *ctx, void *user, const struct mp__control *call, mp_buf *result)
{
    struct server *s = ctx;
    switch (call->op) {
    case MP__OP(MANAGER, clients):
        return clients(s, result);
    case MP__OP(MANAGER, monitor):
        return monitor(user, call->id, call->may_later);
    case MP__OP(MANAGER, snapshot):
        return store_snapshot(s, user, call->id, call->may_later);
    case MP__OP(MANAGER, metrics):
        return metrics(s, result);
    case MP__OP(MANAGER, shutdown):
        return shut_down(s, call);
    case MP__OP(MANAGER, reload):
        return reload(s, call->why);
    default:
        return MP_ENOTSUP;
    }
}
