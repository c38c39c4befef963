// SPDX-License-Identifier: MIT
//
// Proxies. The manager counts how often it told this session of an object; each proxy stands for
// one of these references and gives it back, without waiting, when it is freed. In a forked
// child, and after a reconnect, the session is another: the proxy gets a reference there before
// its first call, and if the object is gone it is stale.
#include "session.h"

#include "os/fork.h"
#include "wire/format.h"
#include "wire/frame.h"
#include "wire/pack_part.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// What methods a custom type has.
struct mp__methods {
    unsigned count;
    struct {
        char name[65];
        uint64_t op;
    } row[];
};

// ---- finding methods -----------------------------------------------------------------

static int read_methods(const mp_item *rows, struct mp__methods **out)
{
    size_t n = mp_item_size(rows);
    struct mp__methods *m = calloc(1, sizeof *m + n * sizeof m->row[0]);
    if (!m)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const mp_item *row = mp_item_at(rows, i);
        const void *name;
        size_t size;
        if (mp_item_bytes(mp_item_at(row, 0), &name, &size) == 0 && size < sizeof m->row[0].name &&
            mp_item_uint(mp_item_at(row, 1), &m->row[m->count].op) == 0)
            memcpy(m->row[m->count++].name, name, size);
    }
    *out = m;
    return 0;
}

// Asks for the methods of a custom type.
static int ask_methods(mp_proxy *p)
{
    struct mp__waiting *w;
    mp_tree *tree = NULL;
    int r = mp__manager_ask(p->m, &w, MP__OP(MANAGER, methods), 0, "s", p->type);
    if (r < 0)
        return r;
    r = w->status < 0 ? w->status : mp_tree_new(&tree, w->reply.data, w->reply.size, NULL);
    if (r == 0 && !p->methods)
        r = read_methods(mp_item_at(mp_tree_root(tree), 1), &p->methods);
    mp_tree_free(tree);
    mp__request_done(p->m, w);
    pthread_mutex_unlock(&p->m->lock);
    return r;
}

static int custom_method(mp_proxy *p, const char *name, uint64_t *op)
{
    if (!p->methods) {
        int r = ask_methods(p);
        if (r < 0)
            return r;
    }
    for (unsigned i = 0; i < p->methods->count; i++) {
        if (strcmp(p->methods->row[i].name, name) == 0) {
            *op = p->methods->row[i].op;
            return 0;
        }
    }
    return MP_ENOFUNC;
}

// Names are literals, mostly: the address finds the row at once, and the name is compared
// since it may be another's by now. Threads that write here write what is true.
// A method of the type, or one that each object has ("watch", "debug", ...).
static const struct mp__call_info *find_method(const mp_proxy *p, const char *name)
{
    size_t size = strlen(name);
    const struct mp__call_info *info = mp__call_by_name(p->interface, name, size);
    return info ? info : mp__call_by_name(MP__MANAGER, name, size);
}

// Waits for somebody else, or stays open.
static bool may_wait(const struct mp__call_info *info)
{
    return strchr(info->flags, 'B') || strchr(info->flags, 'S') ||
           info->op == MP__OP(MANAGER, watch);
}

int mp__proxy_method(mp_proxy *p, const char *name, uint64_t *op, bool *waits)
{
    *waits = true;
    int r = p->interface >= MP__CUSTOM ? custom_method(p, name, op) : MP_ENOFUNC;
    if (r != MP_ENOFUNC)
        return r;
    _Atomic(const struct mp__call_info *) *known = &p->known[((uintptr_t)name >> 2) % MP__KNOWN];
    const struct mp__call_info *info = atomic_load_explicit(known, memory_order_relaxed);
    if (!info || strcmp(info->name, name) != 0) {
        info = find_method(p, name);
        if (!info)
            return MP_ENOFUNC;
        atomic_store_explicit(known, info, memory_order_relaxed);
    }
    *op = info->op;
    *waits = may_wait(info);
    return 0;
}

// ---- references ----------------------------------------------------------------------

bool mp__proxy_is_current(const mp_proxy *p)
{
    const mp_manager *m = p->m;
    return p->number == 0 || p->serial == m->serial;
}

int mp__proxy_renew(mp_proxy *p)
{
    mp_manager *m = p->m;
    struct mp__waiting *w;
    int r = mp__manager_ask(m, &w, MP__OP(MANAGER, incref), p->number, "");
    if (r < 0)
        return r;
    r = w->status;
    mp__request_done(m, w);
    if (r == 0)
        p->serial = m->serial;
    pthread_mutex_unlock(&m->lock);
    return r;
}

static int make(mp_manager *m, mp_proxy **out, uint64_t number, const char *type, size_t size,
                unsigned interface)
{
    mp_proxy *p = calloc(1, sizeof *p);
    if (!p || size >= sizeof p->type) {
        free(p);
        return p ? MP_EPROTO : -ENOMEM;
    }
    *p = (mp_proxy){.m = m, .number = number, .serial = m->serial, .interface = interface};
    memcpy(p->type, type, size);
    m->refs++;
    *out = p;
    return 0;
}

static int read_object(const void *data, size_t size, uint64_t *number)
{
    const uint8_t *p = data;
    if (size != 10 || p[0] != 0xd7 || p[1] != MP__EXT_OBJECT)
        return MP_ETYPE;
    *number = mp__get_be64(p + 2);
    return 0;
}

// From [object, type, interface, ...], the answer to open and get_or_create.
static int make_from_answer(mp_manager *m, mp_proxy **out, const mp_buf *answer)
{
    static const mp_unpack_opts opts = {.ext = true};
    const void *object;
    const char *type;
    size_t object_size, type_size;
    uint64_t number = 0;
    unsigned interface;
    int r = mp_unpack_with(&opts, NULL, answer->data, answer->size, "[O# s# u *]", &object,
                           &object_size, &type, &type_size, &interface);
    if (r == 0)
        r = read_object(object, object_size, &number);
    return r < 0 ? r : make(m, out, number, type, type_size, interface);
}

// An answer that was waited for: its error, or a proxy of what it tells.
static int finish(mp_manager *m, mp_proxy **out, struct mp__waiting *w)
{
    int r = w->status < 0 ? w->status : make_from_answer(m, out, &w->reply);
    mp__request_done(m, w);
    pthread_mutex_unlock(&m->lock);
    return r;
}

int mp_manager_open(mp_manager *m, mp_proxy **out, const char *name)
{
    struct mp__waiting *w;
    if (out)
        *out = NULL;
    if (!m || !out || !name)
        return MP_EINVAL;
    int r = mp__manager_ask(m, &w, MP__OP(MANAGER, open), 0, "s", name);
    return r < 0 ? r : finish(m, out, w);
}

int mp_proxy_new(mp_manager *m, mp_proxy **out, const void *data, size_t size)
{
    struct mp__waiting *w;
    const char *type;
    size_t type_size;
    uint64_t number = 0;
    unsigned interface;
    if (out)
        *out = NULL;
    if (!m || !out || !data)
        return MP_EINVAL;
    int r = read_object(data, size, &number);
    if (r == 0)
        r = mp__manager_ask(m, &w, MP__OP(MANAGER, type), number, "");
    if (r < 0)
        return r;
    r = w->status;
    if (r == 0)
        r = mp_unpack(w->reply.data, w->reply.size, "[s# u]", &type, &type_size, &interface);
    if (r == 0)
        r = make(m, out, number, type, type_size, interface);
    mp__request_done(m, w);
    pthread_mutex_unlock(&m->lock);
    return r;
}

int mp_proxy_pack(const mp_proxy *p, mp_buf *b)
{
    uint8_t ext[10] = {0xd7, MP__EXT_OBJECT};
    if (!p || !b || p->number == 0)
        return MP_EINVAL;
    mp__put_be64(ext + 2, p->number);
    return mp__buf_append(b, ext, sizeof ext);
}

// The two that make objects: name is NULL without one.
static int get(mp_manager *m, mp_proxy **out, const char *name, const char *type, const char *types,
               const char *format, va_list args)
{
    struct mp__waiting *w;
    size_t count = 0;
    bool made = true;
    uint64_t number = 0;
    va_list rest;
    int r = mp__request_begin(m);
    if (r < 0)
        return r;
    r = name ? mp_pack(&m->out, "ss", name, type) : mp_pack(&m->out, "s", type);
    va_copy(rest, args);
    if (r == 0)
        r = mp__pack_part(&m->out, &types, &format, &rest, &count);
    va_end(rest);
    if (r < 0) {
        pthread_mutex_unlock(&m->lock);
        return r;
    }
    uint64_t op = name ? MP__OP(MANAGER, get_or_create) : MP__OP(MANAGER, create);
    r = mp__request_send(m, &w, op, 0, 0, count + (name ? 2 : 1));
    if (r < 0)
        return r;
    r = mp__request_wait(m, w, mp__request_deadline(m, w));
    if (r < 0) {
        pthread_mutex_unlock(&m->lock);
        return r;
    }
    r = w->status;
    if (r == 0 && name) {
        static const mp_unpack_opts opts = {.ext = true};
        r = make_from_answer(m, out, &w->reply);
        if (r == 0 &&
            mp_unpack_with(&opts, NULL, w->reply.data, w->reply.size, "[_ _ _ t *]", &made) < 0)
            made = false;
    } else if (r == 0 && (r = read_object(w->reply.data, w->reply.size, &number)) == 0) {
        const struct mp__type_info *info = mp__type_by_name(type, strlen(type));
        r = make(m, out, number, type, strlen(type), info ? info->interface : MP__CUSTOM);
    }
    mp__request_done(m, w);
    pthread_mutex_unlock(&m->lock);
    return r < 0 ? r : name && made;
}

int mp_manager_create_args(mp_manager *m, mp_proxy **out, const char *type, const char *types,
                           const char *format, ...)
{
    va_list args;
    if (out)
        *out = NULL;
    if (!m || !out || !type || !format)
        return MP_EINVAL;
    va_start(args, format);
    int r = get(m, out, NULL, type, types, format, args);
    va_end(args);
    return r;
}

int mp_manager_get_args(mp_manager *m, mp_proxy **out, const char *name, const char *type,
                        const char *types, const char *format, ...)
{
    va_list args;
    if (out)
        *out = NULL;
    if (!m || !out || !name || !type || !format)
        return MP_EINVAL;
    va_start(args, format);
    int r = get(m, out, name, type, types, format, args);
    va_end(args);
    return r;
}

int mp_manager_delete(mp_manager *m, const char *name)
{
    struct mp__waiting *w;
    bool there = false;
    if (!m || !name)
        return MP_EINVAL;
    int r = mp__manager_ask(m, &w, MP__OP(MANAGER, delete), 0, "s", name);
    if (r < 0)
        return r;
    r = w->status < 0 ? w->status : mp_unpack(w->reply.data, w->reply.size, "t", &there);
    mp__request_done(m, w);
    pthread_mutex_unlock(&m->lock);
    return r < 0 ? r : there ? 0 : MP_ENOTFOUND;
}

int mp_proxy_name(mp_proxy *p, const char *name)
{
    return name ? mp_call(p, NULL, 0, "name", "s", name) : MP_EINVAL;
}

const char *mp_proxy_type(const mp_proxy *p)
{
    return p ? p->type : NULL;
}

uint64_t mp_proxy_number(const mp_proxy *p)
{
    return p ? p->number : 0;
}

// Only where the reference is: not in a child that never used the proxy.
static void give_back(mp_proxy *p)
{
    mp_manager *m = p->m;
    struct mp__waiting *w;
    pthread_mutex_lock(&m->lock);
    bool ours = !m->closed && !m->lost && mp__fork_is_mine(m->owner) && p->serial == m->serial;
    pthread_mutex_unlock(&m->lock);
    if (!ours || mp__request_begin(m) < 0)
        return;
    if (mp__request_send(m, &w, MP__OP(MANAGER, decref), p->number, 0, 0) < 0)
        return;
    mp__request_forget(m, w);
    pthread_mutex_unlock(&m->lock);
}

void mp_proxy_free(mp_proxy *p)
{
    if (!p || p == &p->m->self)
        return;
    give_back(p);
    mp__manager_drop(p->m);
    free(p->methods);
    free(p);
}
