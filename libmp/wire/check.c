// SPDX-License-Identifier: MIT
//
// The pre-scan; see wire/check.h. A container is a counter of values still to come, on a
// stack of fixed size; a map counts both of a pair, so an odd counter asks for a value. A
// count above the bytes that are left is refused at once: each value has a byte at least.
#include "wire/check.h"

#include <endian.h>
#include <string.h>

// ---- heads -------------------------------------------------------------------------

// The bytes 0xc0 to 0xdf: what they begin, how many bytes of a number follow, and the
// number itself where none does.
static const struct lead {
    uint8_t type, bytes, fixed;
} leads[32] = {
    {MP_ITEM_NIL, 0, 0},   {MP_ITEM_NONE, 0, 0},  {MP_ITEM_BOOL, 0, 0},   {MP_ITEM_BOOL, 0, 1},
    {MP_ITEM_BIN, 1, 0},   {MP_ITEM_BIN, 2, 0},   {MP_ITEM_BIN, 4, 0},    {MP_ITEM_EXT, 1, 0},
    {MP_ITEM_EXT, 2, 0},   {MP_ITEM_EXT, 4, 0},   {MP_ITEM_DOUBLE, 4, 0}, {MP_ITEM_DOUBLE, 8, 0},
    {MP_ITEM_INT, 1, 0},   {MP_ITEM_INT, 2, 0},   {MP_ITEM_INT, 4, 0},    {MP_ITEM_INT, 8, 0},
    {MP_ITEM_INT, 1, 1},   {MP_ITEM_INT, 2, 1},   {MP_ITEM_INT, 4, 1},    {MP_ITEM_INT, 8, 1},
    {MP_ITEM_EXT, 0, 1},   {MP_ITEM_EXT, 0, 2},   {MP_ITEM_EXT, 0, 4},    {MP_ITEM_EXT, 0, 8},
    {MP_ITEM_EXT, 0, 16},  {MP_ITEM_STR, 1, 0},   {MP_ITEM_STR, 2, 0},    {MP_ITEM_STR, 4, 0},
    {MP_ITEM_ARRAY, 2, 0}, {MP_ITEM_ARRAY, 4, 0}, {MP_ITEM_MAP, 2, 0},    {MP_ITEM_MAP, 4, 0},
};

static uint64_t big_endian(const uint8_t *p, unsigned bytes)
{
    uint64_t n8;
    uint32_t n4;
    switch (bytes) {
    case 1:
        return p[0];
    case 2:
        return (uint64_t)p[0] << 8 | p[1];
    case 4:
        memcpy(&n4, p, sizeof n4);
        return be32toh(n4);
    default:
        memcpy(&n8, p, sizeof n8);
        return be64toh(n8);
    }
}

// A float that stands in the low 32 bits, as the bits of a double.
static uint64_t widened(uint64_t bits)
{
    union {
        uint32_t bits;
        float value;
    } f = {(uint32_t)bits};
    union {
        double value;
        uint64_t bits;
    } d = {f.value};
    return d.bits;
}

int mp__head_read_long(const uint8_t **at, const uint8_t *end, uint8_t first, struct mp__head *head)
{
    if (first >= 0xe0) {
        head->n = (uint64_t)(int64_t)(int8_t)first;
        head->negative = true;
        return 0;
    }
    const struct lead *lead = &leads[first - 0xc0];
    if (lead->type == MP_ITEM_NONE || (size_t)(end - *at) < lead->bytes)
        return MP_EPROTO;
    head->type = (mp_item_type)lead->type;
    head->n = lead->bytes ? big_endian(*at, lead->bytes) : lead->fixed;
    *at += lead->bytes;
    if (head->type == MP_ITEM_INT && lead->fixed) { // signed: the sign into all 64 bits
        unsigned unused = 64 - 8 * lead->bytes;
        head->n = (uint64_t)((int64_t)(head->n << unused) >> unused);
        head->negative = (int64_t)head->n < 0;
    } else if (first == 0xca) {
        head->n = widened(head->n);
    } else if (head->type == MP_ITEM_EXT) {
        if (*at == end)
            return MP_EPROTO;
        head->ext = (int8_t) * (*at)++;
    }
    return mp__head_has_body(head->type) && head->n > (size_t)(end - *at) ? MP_EPROTO : 0;
}

int mp__wire_skip(const uint8_t **at, const uint8_t *end)
{
    struct mp__head head;
    for (uint64_t left = 1; left > 0; left--) {
        int r = mp__head_read(at, end, &head);
        if (r < 0)
            return r;
        if (mp__head_has_body(head.type))
            *at += head.n;
        else if (head.type == MP_ITEM_ARRAY)
            left += head.n;
        else if (head.type == MP_ITEM_MAP)
            left += 2 * head.n;
    }
    return 0;
}

int mp__int_to_double(uint64_t n, bool negative, double *out)
{
    uint64_t magnitude = negative ? 0 - n : n;
    // Exact: 53 bits from the first 1 to the last.
    if (magnitude && 64 - __builtin_clzll(magnitude) - __builtin_ctzll(magnitude) > 53)
        return MP_EOVERFLOW;
    *out = negative ? -(double)magnitude : (double)magnitude;
    return 0;
}

// ---- the scan ------------------------------------------------------------------------

struct walk {
    const uint8_t *begin, *at, *end;
    size_t nodes;   // still allowed
    unsigned level; // containers we are in
    struct {
        uint64_t left;
        bool map;
    } open[MP__DEPTH_MAX + 1];
};

static int fail(struct mp__wire_scan *scan, int err, const char *why)
{
    scan->why = why;
    return err;
}

static bool can_be_key(mp_item_type type)
{
    return type == MP_ITEM_STR || type == MP_ITEM_INT || type == MP_ITEM_BIN;
}

static int enter(struct walk *w, const struct mp__head *head, const struct mp__wire_limits *limits,
                 struct mp__wire_scan *scan)
{
    bool map = head->type == MP_ITEM_MAP;
    uint64_t values = map ? 2 * head->n : head->n;
    if (values > (size_t)(w->end - w->at))
        return fail(scan, MP_EPROTO, "more elements than bytes are left");
    if (w->level >= limits->depth)
        return fail(scan, MP_EDEPTH, "nested too deeply");
    w->level++;
    if (w->level > scan->deepest)
        scan->deepest = w->level;
    w->open[w->level].left = values;
    w->open[w->level].map = map;
    return 0;
}

// The elements of the outermost array: each ends where the next begins, or the array.
static void end_element(size_t at, struct mp__wire_scan *scan)
{
    if (scan->count > 0 && scan->count <= scan->room) {
        struct mp__wire_element *last = &scan->elements[scan->count - 1];
        last->size = at - last->offset;
    }
}

static void note_element(size_t at, mp_item_type type, struct mp__wire_scan *scan)
{
    end_element(at, scan);
    if (scan->count < scan->room)
        scan->elements[scan->count] = (struct mp__wire_element){.type = type, .offset = at};
    scan->count++;
}

// One value; of a container its head.
static int step(struct walk *w, const struct mp__wire_limits *limits, struct mp__wire_scan *scan)
{
    bool key = w->open[w->level].map && w->open[w->level].left % 2 == 0;
    const uint8_t *start = w->at;
    struct mp__head head;
    w->open[w->level].left--;
    if (mp__head_read(&w->at, w->end, &head) < 0)
        return fail(scan, MP_EPROTO, "cut off, or not msgpack");
    if (w->nodes-- == 0)
        return fail(scan, MP_EMSGSIZE, "too many values");
    if (key && !can_be_key(head.type))
        return fail(scan, MP_EPROTO, "a key that is no text, bytes or integer");
    if (head.type == MP_ITEM_EXT && !limits->ext)
        return fail(scan, MP_EPROTO, "an ext value");
    scan->exts += head.type == MP_ITEM_EXT;
    if (w->level == 1 && !w->open[1].map)
        note_element((size_t)(start - w->begin), head.type, scan);
    if (head.type == MP_ITEM_ARRAY || head.type == MP_ITEM_MAP)
        return enter(w, &head, limits, scan);
    if (mp__head_has_body(head.type))
        w->at += head.n;
    return 0;
}

// Everything until the stack is empty. *value is where the last value began.
static int walk(struct walk *w, const uint8_t **value, const struct mp__wire_limits *limits,
                struct mp__wire_scan *scan)
{
    for (;;) {
        while (w->open[w->level].left == 0) {
            if (w->level == 0)
                return 0;
            w->level--;
        }
        *value = w->at;
        int r = step(w, limits, scan);
        if (r < 0)
            return r;
    }
}

int mp__wire_check(const void *data, size_t size, const struct mp__wire_limits *limits,
                   struct mp__wire_scan *scan)
{
    struct walk w; // a field at a time: most of the stack is never used
    const uint8_t *value;
    scan->count = scan->used = scan->exts = 0;
    scan->deepest = 0;
    scan->why = NULL;
    if (size == 0)
        return fail(scan, MP_EPROTO, "cut off, or not msgpack");
    w.begin = w.at = value = data;
    w.end = w.begin + size;
    w.nodes = limits->nodes;
    w.level = 0;
    w.open[0].left = 1;
    w.open[0].map = false;
    int r = walk(&w, &value, limits, scan);
    scan->nodes = limits->nodes - w.nodes;
    scan->used = (size_t)((r < 0 ? value : w.at) - w.begin);
    if (r == 0)
        end_element(scan->used, scan);
    return r;
}

int mp__wire_limits(const mp_unpack_opts *opts, size_t nodes, struct mp__wire_limits *limits)
{
    static const mp_unpack_opts defaults;
    opts = opts ? opts : &defaults;
    if (opts->depth > MP__DEPTH_MAX)
        return MP_EINVAL;
    limits->depth = opts->depth ? opts->depth : MP__DEPTH;
    limits->nodes = opts->nodes ? opts->nodes : nodes;
    limits->ext = opts->ext;
    return 0;
}
