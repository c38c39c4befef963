// SPDX-License-Identifier: MIT
//
// Calls by name and format.
#include "session.h"

#include "wire/pack_part.h"

#include <errno.h>
#include <mp/manager_pool.h>

static const mp_unpack_opts with_objects = {.ext = true};

// What a call says before its arguments, and how its format is meant (mp/proxy.h).
struct lead {
    unsigned how;
    const char *key;
    int64_t index;
};
static const struct lead no_lead;

static int pack_lead(mp_buf *b, const struct lead *l)
{
    if (l->how & MP_LEAD_KEY)
        return mp_pack(b, "s", l->key);
    return l->how & MP_LEAD_INDEX ? mp_pack(b, "I", l->index) : 0;
}

static int pack_arguments(mp_buf *b, const struct lead *l, const char **types, const char **format,
                          va_list *args, size_t *count)
{
    int r = pack_lead(b, l);
    *count = 0;
    if (r == 0 && !(l->how & MP_LEAD_RESULT))
        r = mp__pack_part(b, types, format, args, count);
    *count += (l->how & (MP_LEAD_KEY | MP_LEAD_INDEX)) != 0;
    return r;
}

// Sends a call. The lock is held when it returns 0; *types, *format and args are what is left:
// the result.
static int begin(mp_proxy *p, struct mp__waiting **w, int timeout_ms, const char *method,
                 const struct lead *lead, const char **types, const char **format, va_list *args)
{
    mp_manager *m = p->m;
    uint64_t op;
    size_t count;
    bool waits;
    int r = mp__proxy_method(p, method, &op, &waits);
    if (r == 0)
        r = mp__request_begin(m);
    if (r < 0)
        return r;
    if (!mp__proxy_is_current(p)) {
        pthread_mutex_unlock(&m->lock);
        r = mp__proxy_renew(p);
        if (r == 0)
            r = mp__request_begin(m);
        if (r < 0)
            return r;
    }
    r = pack_arguments(&m->out, lead, types, format, args, &count);
    if (r < 0) {
        pthread_mutex_unlock(&m->lock);
        return r;
    }
    // Who need not wait owes the answer at once, however patient the caller is.
    return mp__request_send(m, w, op, p->number, waits ? timeout_ms : 0, count);
}

static int copy(mp_buf *b, const mp_buf *reply)
{
    b->size = 0;
    return mp__buf_append(b, reply->data, reply->size);
}

// The answer at w, which is used up: into b, and through the format. Lets the lock go.
static int finish(mp_manager *m, struct mp__waiting *w, mp_buf *b, const char *types,
                  const char *format, va_list args)
{
    int status = w->status;
    int r = b ? copy(b, &w->reply) : 0;
    bool result = status == 0 || status == MP_EOWNERDEAD;
    if (r == 0 && result && format && *format) {
        const mp_buf *from = b ? b : &w->reply;
        r = mp_vunpack(&with_objects, NULL, from->data, from->size, types, format, args);
    }
    mp__request_done(m, w);
    pthread_mutex_unlock(&m->lock);
    return status < 0 ? status : r;
}

// Pointers that a format gives would point into what is gone.
static bool needs_buffer(const char *format)
{
    for (; *format; format++)
        if (*format == '#')
            return true;
    return false;
}

static const char *result_of(const char *format)
{
    for (; *format; format++)
        if (*format == '>')
            return format + 1;
    return format;
}

static int call(mp_proxy *p, mp_buf *b, int timeout_ms, const char *method, const struct lead *lead,
                const char *types, const char *format, va_list *args)
{
    struct mp__waiting *w;
    if (!p || !method || !format || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    const char *result = lead->how & MP_LEAD_RESULT ? format : result_of(format);
    if ((!b && needs_buffer(result)) || ((lead->how & MP_LEAD_KEY) && !lead->key))
        return MP_EINVAL;
    int r = begin(p, &w, timeout_ms, method, lead, &types, &format, args);
    if (r < 0)
        return r;
    r = mp__request_wait(p->m, w, mp__request_deadline(p->m, w));
    if (r == 0)
        return finish(p->m, w, b, types, format, *args);
    pthread_mutex_unlock(&p->m->lock);
    return r;
}

int mp_call_args(mp_proxy *p, mp_buf *b, int timeout_ms, const char *method, const char *types,
                 const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int r = call(p, b, timeout_ms, method, &no_lead, types, format, &args);
    va_end(args);
    return r;
}

int mp_call_lead_args(mp_proxy *p, mp_buf *b, int timeout_ms, const char *method, unsigned how,
                      const char *key, int64_t index, const char *types, const char *format, ...)
{
    const struct lead lead = {how, key, index};
    va_list args;
    va_start(args, format);
    int r = call(p, b, timeout_ms, method, &lead, types, format, &args);
    va_end(args);
    return r;
}

int64_t mp_remote_pool_begin_args(mp_proxy *p, const char *method, const char *task,
                                  const char *types, const char *format, ...)
{
    const struct lead lead = {MP_LEAD_KEY, task, 0};
    uint8_t room[16];
    mp_buf b = {.data = room, .capacity = sizeof room, .borrowed = true};
    int64_t job = 0;
    va_list args;
    if (format && *result_of(format))
        return MP_EINVAL;
    va_start(args, format);
    int r = call(p, &b, MP_FOREVER, method, &lead, types, format, &args);
    va_end(args);
    if (r == 0)
        r = mp_unpack(b.data, b.size, "I", &job);
    mp_buf_free(&b);
    return r < 0 ? r : job;
}

int mp__call_begin(mp_proxy *p, struct mp__waiting **w, int timeout_ms, const char *method,
                   const char *types, const char *format, va_list *args)
{
    if (!p || !method || !format || timeout_ms < MP_FOREVER || *result_of(format))
        return MP_EINVAL;
    return begin(p, w, timeout_ms, method, &no_lead, &types, &format, args);
}

int64_t mp_call_begin_args(mp_proxy *p, int timeout_ms, const char *method, const char *types,
                           const char *format, ...)
{
    struct mp__waiting *w;
    va_list args;
    va_start(args, format);
    int r = mp__call_begin(p, &w, timeout_ms, method, types, format, &args);
    va_end(args);
    if (r < 0)
        return r;
    int64_t ticket = (int64_t)w->id;
    pthread_mutex_unlock(&p->m->lock);
    return ticket;
}

int mp_call_end_args(mp_manager *m, mp_buf *b, int64_t ticket, const char *types,
                     const char *format, ...)
{
    va_list args;
    if (!m || (!b && format && needs_buffer(format)))
        return MP_EINVAL;
    pthread_mutex_lock(&m->lock);
    struct mp__waiting *w = mp__request_find(m, ticket);
    int r = w ? mp__request_wait(m, w, mp__request_deadline(m, w)) : MP_EINVAL;
    if (r < 0) {
        pthread_mutex_unlock(&m->lock);
        return r;
    }
    va_start(args, format);
    r = finish(m, w, b, types, format, args);
    va_end(args);
    return r;
}

int mp_call_poll(mp_manager *m, int64_t ticket, int timeout_ms)
{
    if (!m || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    pthread_mutex_lock(&m->lock);
    struct mp__waiting *w = mp__request_find(m, ticket);
    int r = MP_EINVAL;
    if (w) {
        r = mp__news_wait(m, w, mp__deadline_in(timeout_ms));
        r = r != MP_ETIMEDOUT; // an error is to be had from the end as well
    }
    pthread_mutex_unlock(&m->lock);
    return r;
}

int mp_call_cancel(mp_manager *m, int64_t ticket)
{
    struct mp__waiting *w;
    if (!m)
        return MP_EINVAL;
    int r = mp__request_begin(m);
    if (r < 0)
        return r;
    r = mp__request_find(m, ticket) ? mp_pack(&m->out, "U", (uint64_t)ticket) : MP_EINVAL;
    if (r < 0) {
        pthread_mutex_unlock(&m->lock);
        return r;
    }
    r = mp__request_send(m, &w, MP__OP(MANAGER, cancel), 0, 0, 1);
    if (r < 0)
        return r;
    mp__request_forget(m, w);
    pthread_mutex_unlock(&m->lock);
    return 0;
}

int mp_call_next(mp_manager *m, int64_t ticket, mp_buf *b, int timeout_ms)
{
    if (!m || !b || timeout_ms < MP_FOREVER)
        return MP_EINVAL;
    pthread_mutex_lock(&m->lock);
    struct mp__waiting *w = mp__request_find(m, ticket);
    int r = w ? mp__news_wait(m, w, mp__deadline_in(timeout_ms)) : MP_EINVAL;
    if (r == 0 && w->first) {
        b->size = 0;
        r = mp__buf_append(b, w->first->data, w->first->size);
        if (r == 0) {
            mp__event_drop(w);
            r = 1;
        }
    } else if (r == 0) {
        r = w->status < 0 ? w->status : MP_ECLOSED; // the call has ended
    }
    pthread_mutex_unlock(&m->lock);
    return r;
}
