// SPDX-License-Identifier: MIT
//
// What msgpack-c does for libmp, and the only file that knows it: it writes all values
// (mp_pack), and takes values of unknown shape apart (mp_tree). Reading by a format needs
// no tree and is in wire/unpack.c.
//
// msgpack-c is given only what wire/check.h has let through, since it allocates what a
// message asks for; and only its one-shot reader is used: the streaming one has overflowed
// sizes, and our messages are whole. It writes into an mp_buf through a callback.
#include "wire/buf.h"
#include "wire/check.h"
#include "wire/format.h"
#include "wire/pack_part.h"

#include <errno.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

// ---- packing -------------------------------------------------------------------------

struct packing {
    struct mp__format f;
    mp_buf *b;
    msgpack_packer to;
    va_list args;
};

// For msgpack-c: 0 or an error of ours, which comes back from each msgpack_pack_...().
static int append(void *data, const char *bytes, size_t size)
{
    return mp__buf_append(data, bytes, size);
}

static int fail(struct packing *p, int err, const char *why)
{
    return mp__format_fail(&p->f, err, why);
}

static int pack_text(struct packing *p, const char *text, size_t size)
{
    if (size > UINT32_MAX)
        return fail(p, MP_EOVERFLOW, "4 GiB or more");
    return msgpack_pack_str_with_body(&p->to, text, size);
}

static int pack_bytes(struct packing *p, const void *data, size_t size)
{
    if (size > UINT32_MAX)
        return fail(p, MP_EOVERFLOW, "4 GiB or more");
    return msgpack_pack_bin_with_body(&p->to, data, size);
}

// A value that is packed already: it must be one, and not nested too deeply for its place.
static int pack_packed(struct packing *p, const void *data, size_t size, unsigned level)
{
    const struct mp__wire_limits limits = {
        .depth = MP__DEPTH - level, .nodes = SIZE_MAX, .ext = true};
    struct mp__wire_scan scan = {0};
    int r = mp__wire_check(data, size, &limits, &scan);
    if (r == MP_EDEPTH)
        return fail(p, r, scan.why);
    if (r < 0 || scan.used != size)
        return fail(p, MP_EINVAL, "not one packed value");
    return mp__buf_append(p->b, data, size);
}

// The codes that take an address. With ? before it, NULL is nil.
static int pack_address(struct packing *p, int code, bool optional, unsigned level)
{
    const char *types = code == 's' ? "s" : code == MP__TEXT ? "s" MP__SIZE : "p" MP__SIZE;
    int r = mp__format_args(&p->f, types);
    if (r < 0)
        return r;
    const void *data = va_arg(p->args, const void *);
    size_t size = code != 's' ? va_arg(p->args, size_t) : data ? strlen(data) : 1;
    if (!data && optional)
        return msgpack_pack_nil(&p->to);
    if (!data && size > 0)
        return fail(p, MP_EINVAL, "NULL");
    if (code == 'b')
        return pack_bytes(p, data, size);
    return code == 'O' ? pack_packed(p, data, size, level) : pack_text(p, data, size);
}

static int pack_number(struct packing *p, int code)
{
    int r = mp__format_args(&p->f, (const char[]){(char)code, 0});
    if (r < 0)
        return r;
    switch (code) {
    case 't':
        return va_arg(p->args, int) ? msgpack_pack_true(&p->to) : msgpack_pack_false(&p->to);
    case 'i':
        return msgpack_pack_int(&p->to, va_arg(p->args, int));
    case 'I':
        return msgpack_pack_int64(&p->to, va_arg(p->args, int64_t));
    case 'u':
        return msgpack_pack_unsigned_int(&p->to, va_arg(p->args, unsigned));
    case 'U':
        return msgpack_pack_uint64(&p->to, va_arg(p->args, uint64_t));
    default:
        return msgpack_pack_double(&p->to, va_arg(p->args, double));
    }
}

static int pack_value(struct packing *p, int code, unsigned level);

static int pack_list(struct packing *p, unsigned level)
{
    if (level == MP__DEPTH)
        return fail(p, MP_EDEPTH, "nested too deeply");
    int code, r = msgpack_pack_array(&p->to, mp__format_count(&p->f));
    while (r == 0 && (code = mp__format_next(&p->f)) != ']')
        r = pack_value(p, code, level + 1);
    return r;
}

static int pack_key(struct packing *p, int code)
{
    if (!mp__format_is_key(code))
        return fail(p, MP_EINVAL, "a key must be s, s#, b#, i, I, u or U");
    bool number = code != 's' && code != MP__TEXT && code != 'b';
    int r = number ? pack_number(p, code) : pack_address(p, code, false, 0);
    if (r == 0 && mp__format_next(&p->f) != ':')
        return fail(p, MP_EINVAL, "a key needs a : behind it");
    return r;
}

static int pack_pairs(struct packing *p, unsigned level)
{
    if (level == MP__DEPTH)
        return fail(p, MP_EDEPTH, "nested too deeply");
    int code, r = msgpack_pack_map(&p->to, mp__format_count(&p->f) / 2);
    while (r == 0 && (code = mp__format_next(&p->f)) != '}') {
        r = pack_key(p, code);
        if (r == 0)
            r = pack_value(p, mp__format_next(&p->f), level + 1);
    }
    return r;
}

static int pack_value(struct packing *p, int code, unsigned level)
{
    bool optional = code == '?';
    if (optional)
        code = mp__format_next(&p->f);
    if (code == 's' || code == MP__TEXT || code == 'b' || code == 'O')
        return pack_address(p, code, optional, level);
    if (optional)
        return fail(p, MP_EINVAL, "? goes before s, s#, b# and O# only");
    switch (code) {
    case 't':
    case 'i':
    case 'I':
    case 'u':
    case 'U':
    case 'd':
        return pack_number(p, code);
    case '[':
        return pack_list(p, level);
    case '{':
        return pack_pairs(p, level);
    case 'n':
        return msgpack_pack_nil(&p->to);
    default:
        return mp__format_unknown(&p->f, code);
    }
}

// On failure the buffer is as it was, and says why.
static int finish(struct packing *p, size_t before, int r)
{
    if (r < 0) {
        p->b->size = before;
        p->b->why = p->f.why ? p->f.why : mp_strerror(r);
        p->b->at = mp__format_where(&p->f);
    }
    return r;
}

static void start(struct packing *p, mp_buf *b, const char *types, const char *format)
{
    p->b = b;
    mp__format_init(&p->f, format, types);
    msgpack_packer_init(&p->to, b, append);
}

int mp_vpack(mp_buf *b, const char *types, const char *format, va_list args)
{
    if (!b || !format)
        return MP_EINVAL;
    struct packing p;
    size_t before = b->size;
    int code, r = 0;
    start(&p, b, types, format);
    va_copy(p.args, args);
    while (r == 0 && (code = mp__format_next(&p.f)) != 0)
        r = pack_value(&p, code, 0);
    va_end(p.args);
    if (r == 0)
        r = mp__format_end(&p.f);
    return finish(&p, before, r);
}

// What a part of a format was packed by: the caller's are moved behind it.
static void hand_back(struct packing *p, const char **types, const char **format, va_list *args)
{
    va_end(*args);
    va_copy(*args, p->args);
    va_end(p->args);
    *types = p->f.types;
    *format = p->f.at;
}

int mp__pack_key(mp_buf *b, const char **types, const char **format, va_list *args)
{
    struct packing p;
    size_t before = b->size;
    start(&p, b, *types, *format);
    va_copy(p.args, *args);
    int r = pack_key(&p, mp__format_next(&p.f));
    hand_back(&p, types, format, args);
    return finish(&p, before, r);
}

int mp__pack_part(mp_buf *b, const char **types, const char **format, va_list *args, size_t *count)
{
    struct packing p;
    size_t before = b->size;
    int code, r = 0;
    start(&p, b, *types, *format);
    va_copy(p.args, *args);
    for (*count = 0; r == 0 && (code = mp__format_next(&p.f)) != 0 && code != '>'; ++*count)
        r = pack_value(&p, code, 0);
    if (r == 0 && code == 0)
        r = mp__format_end(&p.f);
    hand_back(&p, types, format, args);
    return finish(&p, before, r);
}

int mp_pack_args(mp_buf *b, const char *types, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int r = mp_vpack(b, types, format, args);
    va_end(args);
    return r;
}

static int begin(mp_buf *b, size_t count, int (*pack)(msgpack_packer *, size_t))
{
    msgpack_packer to;
    if (!b)
        return MP_EINVAL;
    if (count > UINT32_MAX)
        return MP_EOVERFLOW;
    msgpack_packer_init(&to, b, append);
    return pack(&to, count);
}

int mp_pack_array(mp_buf *b, size_t count)
{
    return begin(b, count, msgpack_pack_array);
}

int mp_pack_map(mp_buf *b, size_t count)
{
    return begin(b, count, msgpack_pack_map);
}

// ---- values of any shape ---------------------------------------------------------------

#define TREE_NODES 65536

struct mp_tree {
    msgpack_unpacked unpacked;
};

// An item is an object of msgpack-c under another name.
static const msgpack_object *object(const mp_item *item)
{
    return (const msgpack_object *)(const void *)item;
}

static const mp_item *as_item(const msgpack_object *o)
{
    return (const mp_item *)(const void *)o;
}

// What the pre-scan let through msgpack-c must take as well, if it has the memory.
static int parse(mp_tree *t, const void *data, size_t size)
{
    size_t used = 0;
    msgpack_unpacked_init(&t->unpacked);
    switch (msgpack_unpack_next(&t->unpacked, data, size, &used)) {
    case MSGPACK_UNPACK_SUCCESS:
        return used == size ? 0 : MP_EBUG;
    case MSGPACK_UNPACK_NOMEM_ERROR:
        return -ENOMEM;
    default:
        return MP_EBUG;
    }
}

int mp_tree_new(mp_tree **out, const void *data, size_t size, const mp_unpack_opts *opts)
{
    if (out)
        *out = NULL;
    if (!out || (!data && size))
        return MP_EINVAL;
    struct mp__wire_limits limits;
    struct mp__wire_scan scan = {0};
    int r = mp__wire_limits(opts, TREE_NODES, &limits);
    if (r == 0)
        r = mp__wire_check(data, size, &limits, &scan);
    if (r == 0 && scan.used != size)
        r = MP_EPROTO;
    if (r < 0)
        return r;
    mp_tree *t = malloc(sizeof *t);
    if (!t)
        return -ENOMEM;
    r = parse(t, data, size);
    if (r < 0)
        mp_tree_free(t);
    else
        *out = t;
    return r;
}

const mp_item *mp_tree_root(const mp_tree *t)
{
    return t ? as_item(&t->unpacked.data) : NULL;
}

void mp_tree_free(mp_tree *t)
{
    if (t)
        msgpack_unpacked_destroy(&t->unpacked);
    free(t);
}

mp_item_type mp_item_typeof(const mp_item *item)
{
    if (!item)
        return MP_ITEM_NONE;
    switch (object(item)->type) {
    case MSGPACK_OBJECT_NIL:
        return MP_ITEM_NIL;
    case MSGPACK_OBJECT_BOOLEAN:
        return MP_ITEM_BOOL;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return MP_ITEM_INT;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return MP_ITEM_DOUBLE;
    case MSGPACK_OBJECT_STR:
        return MP_ITEM_STR;
    case MSGPACK_OBJECT_BIN:
        return MP_ITEM_BIN;
    case MSGPACK_OBJECT_ARRAY:
        return MP_ITEM_ARRAY;
    case MSGPACK_OBJECT_MAP:
        return MP_ITEM_MAP;
    case MSGPACK_OBJECT_EXT:
        return MP_ITEM_EXT;
    }
    return MP_ITEM_NONE;
}

size_t mp_item_size(const mp_item *item)
{
    switch (mp_item_typeof(item)) {
    case MP_ITEM_ARRAY:
        return object(item)->via.array.size;
    case MP_ITEM_MAP:
        return object(item)->via.map.size;
    case MP_ITEM_STR:
        return object(item)->via.str.size;
    case MP_ITEM_BIN:
        return object(item)->via.bin.size;
    case MP_ITEM_EXT:
        return object(item)->via.ext.size;
    default:
        return 0;
    }
}

const mp_item *mp_item_at(const mp_item *item, size_t i)
{
    mp_item_type type = mp_item_typeof(item);
    if (i >= mp_item_size(item))
        return NULL;
    if (type == MP_ITEM_ARRAY)
        return as_item(&object(item)->via.array.ptr[i]);
    return type == MP_ITEM_MAP ? as_item(&object(item)->via.map.ptr[i].val) : NULL;
}

const mp_item *mp_item_key(const mp_item *item, size_t i)
{
    if (mp_item_typeof(item) != MP_ITEM_MAP || i >= mp_item_size(item))
        return NULL;
    return as_item(&object(item)->via.map.ptr[i].key);
}

const mp_item *mp_item_get(const mp_item *item, const char *key)
{
    if (mp_item_typeof(item) != MP_ITEM_MAP || !key)
        return NULL;
    size_t size = strlen(key);
    for (size_t i = 0; i < mp_item_size(item); i++) {
        const msgpack_object *k = &object(item)->via.map.ptr[i].key;
        if (k->type == MSGPACK_OBJECT_STR && k->via.str.size == size &&
            (size == 0 || memcmp(k->via.str.ptr, key, size) == 0))
            return mp_item_at(item, i);
    }
    return NULL;
}

// What all calls that store a value ask first.
static int expect(const mp_item *item, const void *out, mp_item_type type)
{
    if (!out)
        return MP_EINVAL;
    if (!item)
        return MP_ENOTFOUND;
    return mp_item_typeof(item) == type ? 0 : MP_ETYPE;
}

static bool negative(const mp_item *item)
{
    return object(item)->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
}

int mp_item_bool(const mp_item *item, bool *out)
{
    int r = expect(item, out, MP_ITEM_BOOL);
    if (r == 0)
        *out = object(item)->via.boolean;
    return r;
}

int mp_item_int(const mp_item *item, int64_t *out)
{
    int r = expect(item, out, MP_ITEM_INT);
    if (r == 0 && !negative(item) && object(item)->via.u64 > INT64_MAX)
        r = MP_EOVERFLOW;
    if (r == 0)
        *out = object(item)->via.i64;
    return r;
}

int mp_item_uint(const mp_item *item, uint64_t *out)
{
    int r = expect(item, out, MP_ITEM_INT);
    if (r == 0 && negative(item))
        r = MP_EOVERFLOW;
    if (r == 0)
        *out = object(item)->via.u64;
    return r;
}

int mp_item_double(const mp_item *item, double *out)
{
    int r = expect(item, out, MP_ITEM_DOUBLE);
    if (r == 0) {
        *out = object(item)->via.f64;
    } else if (mp_item_typeof(item) == MP_ITEM_INT && out) {
        r = mp__int_to_double(object(item)->via.u64, negative(item), out);
    }
    return r;
}

int mp_item_bytes(const mp_item *item, const void **data, size_t *size)
{
    mp_item_type type = mp_item_typeof(item);
    bool bytes = type == MP_ITEM_STR || type == MP_ITEM_BIN || type == MP_ITEM_EXT;
    int r = expect(item, data, bytes ? type : MP_ITEM_STR);
    if (r < 0)
        return r;
    if (!size)
        return MP_EINVAL;
    *size = mp_item_size(item);
    if (*size == 0) // msgpack-c has no address for it, or an old one
        *data = "";
    else
        *data = type == MP_ITEM_STR   ? object(item)->via.str.ptr
                : type == MP_ITEM_BIN ? object(item)->via.bin.ptr
                                      : object(item)->via.ext.ptr;
    return 0;
}

int mp_item_ext(const mp_item *item, int8_t *type)
{
    int r = expect(item, type, MP_ITEM_EXT);
    if (r == 0)
        *type = object(item)->via.ext.type;
    return r;
}

int mp_item_pack(const mp_item *item, mp_buf *b)
{
    if (!item || !b)
        return MP_EINVAL;
    msgpack_packer to;
    size_t before = b->size;
    msgpack_packer_init(&to, b, append);
    int r = msgpack_pack_object(&to, *object(item));
    if (r < 0)
        b->size = before;
    return r;
}
