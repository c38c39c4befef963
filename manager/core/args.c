// SPDX-License-Identifier: MIT
//
// Arguments as methods want them: numbers, keys in their one form, indices and slices as Python
// has them. The types have been checked against the table before.
#include "core/state.h"

#include <sodium/crypto_shorthash.h>

static struct mp__head head_of(struct mp__slice s)
{
    struct mp__head head = {0};
    const uint8_t *at = s.data;
    (void)!mp__head_read(&at, s.data + s.size, &head); // was scanned before
    return head;
}

int64_t mp__arg_int(const struct mp__call *c, size_t i, int64_t otherwise)
{
    return mp__given(c, i) ? (int64_t)head_of(mp__arg(c, i)).n : otherwise;
}

uint64_t mp__arg_uint(const struct mp__call *c, size_t i, uint64_t otherwise)
{
    return mp__given(c, i) ? head_of(mp__arg(c, i)).n : otherwise;
}

bool mp__arg_bool(const struct mp__call *c, size_t i)
{
    return mp__given(c, i) && head_of(mp__arg(c, i)).n;
}

static struct mp__slice body_of(struct mp__slice s)
{
    size_t n = (size_t)head_of(s).n;
    return (struct mp__slice){s.data + s.size - n, n, false};
}

struct mp__slice mp__text_of(struct mp__slice s)
{
    mp_item_type type = head_of(s).type;
    bool text = type == MP_ITEM_STR || type == MP_ITEM_BIN;
    return text ? body_of(s) : (struct mp__slice){0};
}

struct mp__slice mp__arg_text(const struct mp__call *c, size_t i)
{
    return body_of(mp__arg(c, i));
}

// ---- numbers -------------------------------------------------------------------------

int mp__number_read(struct mp__slice s, struct mp__number *n)
{
    struct mp__head head = head_of(s);
    *n = (struct mp__number){.integer = head.type == MP_ITEM_INT, .i = (int64_t)head.n};
    if (n->integer)
        return !head.negative && head.n > INT64_MAX ? MP_EOVERFLOW : 0;
    memcpy(&n->d, &head.n, sizeof n->d);
    return head.type == MP_ITEM_DOUBLE ? 0 : MP_ETYPE;
}

void mp__number_put(mp_buf *b, struct mp__number n)
{
    if (n.integer)
        mp__put_int(b, n.i);
    else
        mp__put_double(b, n.d);
}

int mp__number_add(struct mp__number *n, struct mp__number by)
{
    if (n->integer && by.integer)
        return __builtin_add_overflow(n->i, by.i, &n->i) ? MP_EOVERFLOW : 0;
    n->d = (n->integer ? (double)n->i : n->d) + (by.integer ? (double)by.i : by.d);
    n->integer = false;
    return 0;
}

int mp__arg_number(const struct mp__call *c, size_t i, struct mp__number *n)
{
    *n = (struct mp__number){.integer = true, .i = 1};
    return mp__given(c, i) ? mp__number_read(mp__arg(c, i), n) : 0;
}

// ---- arrays and maps -----------------------------------------------------------------

struct mp__walk mp__walk(struct mp__slice s)
{
    struct mp__head head = {0};
    struct mp__walk w = {.at = s.data, .end = s.data + s.size, .objects = s.objects};
    (void)!mp__head_read(&w.at, w.end, &head);
    w.left = head.type == MP_ITEM_MAP ? 2 * head.n : head.type == MP_ITEM_ARRAY ? head.n : 0;
    return w;
}

bool mp__walk_next(struct mp__walk *w, struct mp__slice *element)
{
    if (w->left == 0)
        return false;
    w->left--;
    *element = (struct mp__slice){.data = w->at, .objects = w->objects};
    (void)!mp__wire_skip(&w->at, w->end);
    element->size = (size_t)(w->at - element->data);
    return true;
}

// ---- keys ----------------------------------------------------------------------------

// The shortest form of text, bytes or an integer.
static void put_shortest(mp_buf *b, const struct mp__head *head, struct mp__slice body)
{
    if (head->type == MP_ITEM_INT && head->negative)
        mp__put_int(b, (int64_t)head->n);
    else if (head->type == MP_ITEM_INT)
        mp__put_uint(b, head->n);
    else if (head->type == MP_ITEM_STR)
        mp__put_text(b, (const char *)body.data, body.size);
    else
        mp__put_bin(b, body.data, body.size);
}

static int shortest(struct mp__call *c, struct mp__slice s, struct mp__slice *key)
{
    struct mp__head head = head_of(s);
    mp_buf *b = &c->core->key;
    mp_buf_clear(b);
    put_shortest(b, &head, head.type == MP_ITEM_INT ? s : body_of(s));
    if (mp__put_failed(b)) {
        b->why = NULL;
        return MP_EQUOTA;
    }
    *key = (struct mp__slice){b->data, b->size, false};
    return 0;
}

int mp__key(struct mp__call *c, struct mp__slice s, struct mp__slice *key)
{
    uint8_t first = s.data[0];
    if (s.size > c->core->limits.key + 5 && !c->replay)
        return mp__fail(c, MP_EMSGSIZE, "the key is too long");
    *key = (struct mp__slice){s.data, s.size, false};
    if (first < 0x80 || first >= 0xe0 || (first >= 0xa0 && first < 0xc0))
        return 0; // small integers and short texts: they have one form
    mp_item_type type = head_of(s).type;
    if (type != MP_ITEM_INT && type != MP_ITEM_STR && type != MP_ITEM_BIN)
        return mp__fail(c, MP_ETYPE, "a key is text, bytes or an integer");
    return shortest(c, s, key);
}

int mp__element(struct mp__call *c, struct mp__slice s, struct mp__slice *key)
{
    mp_item_type type = head_of(s).type;
    if (type == MP_ITEM_INT || type == MP_ITEM_STR || type == MP_ITEM_BIN)
        return mp__key(c, s, key);
    if (s.size > c->core->limits.key + 5 && !c->replay)
        return mp__fail(c, MP_EMSGSIZE, "the element is too long");
    *key = (struct mp__slice){s.data, s.size, false};
    if (s.objects || type == MP_ITEM_EXT)
        return mp__fail(c, MP_ETYPE, "no objects in a set");
    return 0;
}

uint32_t mp__hash(const struct mp__core *c, struct mp__slice key)
{
    uint64_t hash;
    crypto_shorthash((unsigned char *)&hash, key.data, key.size, c->seed);
    return (uint32_t)hash;
}

// ---- indices -------------------------------------------------------------------------

int mp__index(int64_t i, size_t size, size_t *out)
{
    if (i < 0)
        i += (int64_t)size;
    *out = (size_t)i;
    return i < 0 || (uint64_t)i >= size ? MP_EINDEX : 0;
}

// Start or stop: from the end when negative, never beyond what a slice can reach.
static int64_t bound(int64_t i, int64_t size, int64_t step)
{
    if (i < 0)
        i = i < -size ? -1 : i + size;
    if (step > 0)
        return i < 0 ? 0 : i > size ? size : i;
    return i < 0 ? -1 : i >= size ? size - 1 : i;
}

int mp__range(const struct mp__call *c, size_t start, size_t stop, size_t step, size_t size,
              struct mp__range *r)
{
    int64_t n = (int64_t)size, by = mp__arg_int(c, step, 1);
    if (by == 0)
        return MP_EINVAL;
    if (by < -n - 1 || by > n + 1) // the first only, in any case
        by = by < 0 ? -n - 1 : n + 1;
    int64_t from = mp__given(c, start) ? bound(mp__arg_int(c, start, 0), n, by)
                   : by > 0            ? 0
                                       : n - 1;
    int64_t to = mp__given(c, stop) ? bound(mp__arg_int(c, stop, 0), n, by) : by > 0 ? n : -1;
    int64_t count = by > 0 ? (to - from + by - 1) / by : (from - to - by - 1) / -by;
    *r = (struct mp__range){from, by, count > 0 ? (size_t)count : 0};
    return 0;
}
