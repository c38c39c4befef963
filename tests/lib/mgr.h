// SPDX-License-Identifier: MIT
//
// A manager's core and its clients in one process, without a server: a client asks, and its
// answer is there when the call returns, or comes while others ask or time passes.
#ifndef MGR_H
#define MGR_H

#include "core/core.h"
#include "mptest.h"
#include "wire/calls.h"
#include "wire/check.h"
#include "wire/put.h"

#include <stdlib.h>
#include <string.h>

#define MGR_WAITS 100000 // no answer yet

struct mgr_reply {
    uint64_t id;
    int status;
    mp_buf value;
};

struct mgr {
    struct mp__core *core;
    int64_t now;
    mp_buf record; // of the log: size, bytes, ...
    int controls;
};

struct mgr_peer {
    struct mgr *m;
    struct mp__session *session;
    uint64_t id;    // of the last request
    mp_buf message; // the last request
    mp_buf value;   // of the answer that was looked at last
    struct mgr_reply replies[256];
    size_t count; // that came and were not looked at
    size_t sent;  // that ever came
};

static inline void mgr__send(void *ctx, void *user, const void *data, size_t size)
{
    struct mgr_peer *p = user;
    (void)ctx;
    ck_assert_uint_lt(p->count, 256);
    struct mgr_reply *r = &p->replies[p->count++];
    const void *value;
    size_t n;
    mp_unpack_opts opts = {.depth = 32, .ext = true};
    *r = (struct mgr_reply){0};
    mp_assert_ok(
        mp_unpack_with(&opts, NULL, data, size, "[U i O#]", &r->id, &r->status, &value, &n));
    mp__put_packed(&r->value, value, n);
    p->sent++;
}

static inline void mgr__record(void *ctx, const void *data, size_t size)
{
    struct mgr *m = ctx;
    mp_assert_ok(mp_pack(&m->record, "b#", data, size));
}

// A manager of this instance number has nobody who runs tasks.
#define MGR_NO_TASKS 0x70a5c

static inline struct mgr *mgr_new_with(const struct mp__core_limits *limits, uint64_t instance)
{
    struct mgr *m = calloc(1, sizeof *m);
    struct mp__core_opts o = {.hooks = {.ctx = m, .send = mgr__send, .record = mgr__record},
                              .seed = {1, 2, 3},
                              .tasks = instance != MGR_NO_TASKS,
                              .instance = instance};
    if (limits)
        o.limits = *limits;
    m->now = 1000000000;
    mp_assert_ok(mp__core_new(&m->core, &o));
    return m;
}

static inline struct mgr *mgr_new(void)
{
    return mgr_new_with(NULL, UINT64_C(0x123456789abcdef0));
}

static inline void mgr_free(struct mgr *m)
{
    mp__core_free(m->core);
    mp_buf_free(&m->record);
    free(m);
}

static inline struct mgr_peer *mgr_peer_with(struct mgr *m, unsigned flags)
{
    struct mgr_peer *p = calloc(1, sizeof *p);
    p->m = m;
    mp_assert_ok(mp__session_begin(m->core, &p->session, p, flags));
    return p;
}

static inline struct mgr_peer *mgr_peer(struct mgr *m)
{
    return mgr_peer_with(m, 0);
}

static inline void mgr_check(struct mgr *m)
{
    const char *why = mp__core_check(m->core);
    ck_assert_msg(!why, "%s", why);
}

// The client is gone; what it was sent is forgotten.
static inline void mgr_gone(struct mgr_peer *p)
{
    mp__session_end(p->m->core, p->session, p->m->now);
    mgr_check(p->m);
    for (size_t i = 0; i < p->count; i++)
        mp_buf_free(&p->replies[i].value);
    mp_buf_free(&p->message);
    mp_buf_free(&p->value);
    free(p);
}

// The answer to a request: its status, and the value in p->value; MGR_WAITS.
static inline int mgr_answer(struct mgr_peer *p, uint64_t id)
{
    for (size_t i = 0; i < p->count; i++) {
        struct mgr_reply r = p->replies[i];
        if (r.id != id)
            continue;
        memmove(&p->replies[i], &p->replies[i + 1], (--p->count - i) * sizeof r);
        mp_buf_free(&p->value);
        p->value = r.value;
        return r.status;
    }
    return MGR_WAITS;
}

static inline void mgr_tick(struct mgr *m, int64_t ms)
{
    m->now += ms * 1000000;
    mp__core_tick(m->core, m->now);
    mgr_check(m);
}

// As mgr_ask() below.
static inline int mgr_vask(struct mgr_peer *p, uint64_t op, uint64_t object, int64_t timeout,
                           const char *types, const char *format, va_list args)
{
    mp_buf_clear(&p->message);
    mp_buf packed = {0};
    size_t count = 0;
    mp_assert_ok(mp_vpack(&packed, types, format, args));
    const uint8_t *at = packed.data, *end = at + packed.size;
    for (; at < end; count++)
        (void)!mp__wire_skip(&at, end);
    mp_assert_ok(mp_pack_array(&p->message, 4 + count));
    mp_assert_ok(mp_pack(&p->message, "U U U I", ++p->id, op, object, timeout));
    if (packed.size)
        memcpy(mp__put_room(&p->message, packed.size), packed.data, packed.size);
    mp_buf_free(&packed);
    p->m->now += 1000;
    mp_assert_ok(
        mp__core_feed(p->m->core, p->session, p->message.data, p->message.size, p->m->now));
    mgr_check(p->m);
    return mgr_answer(p, p->id);
}

static inline int mgr_ask_args(struct mgr_peer *p, uint64_t op, uint64_t object, int64_t timeout,
                               const char *types, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int r = mgr_vask(p, op, object, timeout, types, format, args);
    va_end(args);
    return r;
}

// Asks, with the arguments packed by a format: the status of the answer, or MGR_WAITS.
#define mgr_ask(p, op, object, timeout, ...)                                                       \
    mgr_ask_args(p, op, object, timeout, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// The value of the last answer.
#define mgr_value(p, ...)                                                                          \
    mp_unpack_with(&(mp_unpack_opts){.ext = true}, NULL, (p)->value.data, (p)->value.size,         \
                   __VA_ARGS__)

static inline int64_t mgr_int(struct mgr_peer *p)
{
    int64_t n = INT64_MIN;
    mp_assert_ok(mgr_value(p, "I", &n));
    return n;
}

static inline bool mgr_true(struct mgr_peer *p)
{
    bool t = false;
    mp_assert_ok(mgr_value(p, "t", &t));
    return t;
}

// The value as packed text in hexadecimal, for values that are written out in a test.
static inline bool mgr_is(struct mgr_peer *p, const char *packed, size_t size)
{
    return p->value.size == size && memcmp(p->value.data, packed, size) == 0;
}

#define mgr_equals(p, ...)                                                                         \
    ({                                                                                             \
        mp_buf mgr_b = {0};                                                                        \
        mp_assert_ok(mp_pack(&mgr_b, __VA_ARGS__));                                                \
        bool mgr_same = mgr_is(p, mgr_b.data, mgr_b.size);                                         \
        mp_buf_free(&mgr_b);                                                                       \
        mgr_same;                                                                                  \
    })

// A reference in packed bytes as the object's number.
static inline uint64_t mgr_object_at(const void *data)
{
    const uint8_t *b = data;
    ck_assert(b[0] == 0xd7 && b[1] == MP__EXT_OBJECT);
    return mp__get_be64(b + 2);
}

#define mgr_create(p, ...)                                                                         \
    ({                                                                                             \
        mp_assert_ok(mgr_ask(p, MP__OP(MANAGER, create), 0, 0, __VA_ARGS__));                      \
        mgr_object_at((p)->value.data);                                                            \
    })

// The reference to an object, packed, as an argument for O#.
struct mgr_ref {
    uint8_t bytes[10];
};
static inline struct mgr_ref mgr_ref(uint64_t id)
{
    struct mgr_ref r = {{0xd7, MP__EXT_OBJECT}};
    mp__put_be64(r.bytes + 2, id);
    return r;
}

#endif
