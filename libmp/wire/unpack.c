// SPDX-License-Identifier: MIT
//
// Reading a message by a format. The format leads: for each code the arguments are taken
// and their types compared, then the value is read where the message has it. No tree is
// built: msgpack-c's costs an allocation and more time than all the rest.
//
// The message has passed the pre-scan, so most errors of form are found before anything is
// stored. Each head is checked against the end once more all the same: the bytes may lie in
// memory that others can write, and may have changed since.
//
// A map is searched from behind the pair found last, and around: keys that are asked for in
// the order in which they were packed cost one look each.
#include "wire/check.h"
#include "wire/format.h"

#include <stdio.h>
#include <string.h>

// A key that the caller looks for; a number when type is MP_ITEM_INT.
struct key {
    mp_item_type type;
    bool negative;
    uint64_t n; // the number, or the bytes at data
    const void *data;
};

// Where we are, for messages: one step for each array or map that is open.
struct place {
    bool is_map;
    size_t index;
    struct key key;
};

struct reading {
    struct mp__format f;
    va_list args;
    const uint8_t *begin, *at, *end;
    const uint8_t *value; // where the value began that is being read
    unsigned level;
    struct place path[MP__DEPTH_MAX];
};

static int fail(struct reading *u, int err, const char *why)
{
    return mp__format_fail(&u->f, err, why);
}

// `absent`, below: the value is missing, or nil where ? allows it. The arguments are taken,
// and nothing is stored.

// ---- what is stored ----------------------------------------------------------------------

static int read_head(struct reading *u, struct mp__head *head)
{
    u->value = u->at;
    return mp__head_read(&u->at, u->end, head) < 0
               ? fail(u, MP_EPROTO, "the message changed while it was read")
               : 0;
}

static int want(struct reading *u, struct mp__head *head, mp_item_type type)
{
    static const char *const why[] = {
        [MP_ITEM_NIL] = "not nil",        [MP_ITEM_BOOL] = "not a truth value",
        [MP_ITEM_INT] = "not an integer", [MP_ITEM_STR] = "not a text",
        [MP_ITEM_BIN] = "not bytes",      [MP_ITEM_ARRAY] = "not an array",
        [MP_ITEM_MAP] = "not a map",
    };
    int r = read_head(u, head);
    return r < 0 || head->type == type ? r : fail(u, MP_ETYPE, why[type]);
}

static int read_signed(struct reading *u, int64_t *out, int64_t min, int64_t max)
{
    struct mp__head head;
    int r = want(u, &head, MP_ITEM_INT);
    if (r < 0)
        return r;
    int64_t n = (int64_t)head.n;
    if ((!head.negative && head.n > INT64_MAX) || n < min || n > max)
        return fail(u, MP_EOVERFLOW, "the integer does not fit");
    *out = n;
    return 0;
}

static int read_unsigned(struct reading *u, uint64_t *out, uint64_t max)
{
    struct mp__head head;
    int r = want(u, &head, MP_ITEM_INT);
    if (r < 0)
        return r;
    if (head.negative || head.n > max)
        return fail(u, MP_EOVERFLOW, "the integer does not fit");
    *out = head.n;
    return 0;
}

static int read_double(struct reading *u, double *out)
{
    struct mp__head head;
    int r = read_head(u, &head);
    if (r < 0)
        return r;
    if (head.type == MP_ITEM_DOUBLE)
        memcpy(out, &head.n, sizeof *out);
    else if (head.type != MP_ITEM_INT)
        return fail(u, MP_ETYPE, "not a number");
    else if (mp__int_to_double(head.n, head.negative, out) < 0)
        return fail(u, MP_EOVERFLOW, "the integer does not fit into a double");
    return 0;
}

static int read_bytes(struct reading *u, mp_item_type type, const void **data, size_t *size)
{
    struct mp__head head;
    int r = want(u, &head, type);
    if (r < 0)
        return r;
    *data = u->at;
    *size = (size_t)head.n;
    u->at += head.n;
    return 0;
}

static int read_string(struct reading *u, char *array, size_t room)
{
    const void *data;
    size_t size;
    int r = read_bytes(u, MP_ITEM_STR, &data, &size);
    if (r < 0)
        return r;
    if (size >= room)
        return fail(u, MP_EMSGSIZE, "the text does not fit the array");
    memcpy(array, data, size);
    array[size] = 0;
    return memchr(array, 0, size) ? fail(u, MP_ETYPE, "a text with a 0 in it") : 0;
}

static int skip(struct reading *u)
{
    u->value = u->at;
    return mp__wire_skip(&u->at, u->end) < 0
               ? fail(u, MP_EPROTO, "the message changed while it was read")
               : 0;
}

static int read_packed(struct reading *u, const void **data, size_t *size)
{
    *data = u->at;
    int r = skip(u);
    *size = (size_t)(u->at - (const uint8_t *)*data);
    return r;
}

// ---- codes with arguments -------------------------------------------------------------------

static int number(struct reading *u, int code, bool absent)
{
    static const char letters[][2] = {
        ['t'] = "T", ['i'] = "j", ['I'] = "J", ['u'] = "v", ['U'] = "V", ['d'] = "D"};
    struct mp__head head;
    int64_t i = 0;
    uint64_t n = 0;
    int r = mp__format_args(&u->f, letters[code]);
    if (r < 0)
        return r;
    void *out = va_arg(u->args, void *);
    if (absent)
        return 0;
    if (!out)
        return fail(u, MP_EINVAL, "NULL");
    switch (code) {
    case 't':
        r = want(u, &head, MP_ITEM_BOOL);
        if (r == 0)
            *(bool *)out = head.n;
        return r;
    case 'i':
        r = read_signed(u, &i, INT32_MIN, INT32_MAX);
        if (r == 0)
            *(int *)out = (int)i;
        return r;
    case 'I':
        return read_signed(u, out, INT64_MIN, INT64_MAX);
    case 'u':
        r = read_unsigned(u, &n, UINT32_MAX);
        if (r == 0)
            *(unsigned *)out = (unsigned)n;
        return r;
    case 'U':
        return read_unsigned(u, out, UINT64_MAX);
    default:
        return read_double(u, out);
    }
}

static int string(struct reading *u, bool absent)
{
    int r = mp__format_args(&u->f, "c" MP__SIZE);
    if (r < 0)
        return r;
    char *array = va_arg(u->args, char *);
    size_t room = va_arg(u->args, size_t);
    if (absent)
        return 0;
    return array ? read_string(u, array, room) : fail(u, MP_EINVAL, "NULL");
}

// Codes that give an address and a size.
static int address(struct reading *u, int code, bool absent)
{
    int r = mp__format_args(&u->f, code == MP__TEXT ? "S" MP__SIZE_AT : "B" MP__SIZE_AT);
    if (r < 0)
        return r;
    const void **data = va_arg(u->args, const void **);
    size_t *size = va_arg(u->args, size_t *);
    if (absent)
        return 0;
    if (!data || !size)
        return fail(u, MP_EINVAL, "NULL");
    if (code == 'O')
        return read_packed(u, data, size);
    return read_bytes(u, code == 'b' ? MP_ITEM_BIN : MP_ITEM_STR, data, size);
}

// ---- arrays and maps --------------------------------------------------------------------------

static int value(struct reading *u, int code, bool absent);

static int enter(struct reading *u, bool is_map)
{
    if (u->level == MP__DEPTH_MAX)
        return fail(u, MP_EDEPTH, "nested too deeply");
    u->path[u->level] = (struct place){.is_map = is_map};
    u->level++;
    return 0;
}

// Behind a *: what is left of a list.
static int skip_rest(struct reading *u, char close, uint64_t *left, bool absent)
{
    if (mp__format_next(&u->f) != close)
        return fail(u, MP_EINVAL, "* must be the last");
    while (!absent && (left ? *left > 0 : u->at < u->end)) {
        int r = skip(u);
        if (r < 0)
            return r;
        if (left)
            --*left;
    }
    return 0;
}

// Behind a ?: the code that follows. nil counts as absent.
static int optional(struct reading *u, bool *absent)
{
    if (!*absent && u->at < u->end && *u->at == 0xc0) {
        u->at++;
        *absent = true;
    }
    return mp__format_next(&u->f);
}

// One value of a list.
static int element(struct reading *u, int code, uint64_t *left, bool absent)
{
    bool none = left ? *left == 0 : u->at == u->end;
    bool skipped = absent || none;
    u->value = u->at;
    if (code == '?')
        code = optional(u, &skipped);
    else if (none && !absent)
        return fail(u, MP_ENOTFOUND, "a value is missing");
    if (left)
        *left -= !none;
    int r = value(u, code, skipped);
    if (r == 0 && u->level > 0)
        u->path[u->level - 1].index++;
    return r;
}

// Values beside one another, up to the bracket (0: the end of the format). *left is how many
// the array has still; NULL: as many as there are bytes.
static int list(struct reading *u, char close, uint64_t *left, bool absent)
{
    int code;
    while ((code = mp__format_next(&u->f)) != close) {
        if (code == '*')
            return skip_rest(u, close, left, absent);
        if (code == 0)
            return mp__format_unknown(&u->f, code);
        int r = element(u, code, left, absent);
        if (r < 0)
            return r;
    }
    u->value = u->at;
    if (!absent && (left ? *left > 0 : u->at < u->end))
        return fail(u, MP_ETYPE, "there are more values than in the format");
    return 0;
}

static int array(struct reading *u, bool absent)
{
    struct mp__head head = {.n = 0};
    int r = absent ? 0 : want(u, &head, MP_ITEM_ARRAY);
    if (r == 0)
        r = enter(u, false);
    if (r == 0)
        r = list(u, ']', &head.n, absent);
    u->level -= r == 0;
    return r;
}

// A map that is being read: its pairs, and the one to look at next.
struct map {
    const uint8_t *head, *first;
    uint64_t pairs;
    const uint8_t *next;
    uint64_t index;
    uint64_t found; // pairs that the format asked for
    bool rest;      // more may be there
};

static int take_key(struct reading *u, int code, struct key *key)
{
    if (!mp__format_is_key(code))
        return fail(u, MP_EINVAL, "a key must be s, s#, b#, i, I, u or U");
    const char *types = code == MP__TEXT ? "s" MP__SIZE
                        : code == 'b'    ? "p" MP__SIZE
                                         : (const char[]){(char)code, 0};
    int r = mp__format_args(&u->f, types);
    if (r < 0)
        return r;
    *key = (struct key){.type = MP_ITEM_INT};
    if (code == 'u' || code == 'U') {
        key->n = code == 'u' ? va_arg(u->args, unsigned) : va_arg(u->args, uint64_t);
    } else if (code == 'i' || code == 'I') {
        int64_t n = code == 'i' ? va_arg(u->args, int) : va_arg(u->args, int64_t);
        key->n = (uint64_t)n;
        key->negative = n < 0;
    } else {
        key->type = code == 'b' ? MP_ITEM_BIN : MP_ITEM_STR;
        key->data = va_arg(u->args, const void *);
        key->n = code != 's' ? va_arg(u->args, size_t) : key->data ? strlen(key->data) : 1;
        if (!key->data && key->n)
            return fail(u, MP_EINVAL, "NULL");
    }
    return mp__format_next(&u->f) == ':' ? 0 : fail(u, MP_EINVAL, "a key needs a : behind it");
}

// Reads the key at u->at and says in *same whether it is this one.
static int compare_key(struct reading *u, const struct key *key, bool *same)
{
    struct mp__head head;
    int r = read_head(u, &head);
    if (r < 0)
        return r;
    *same = head.type == key->type && head.n == key->n && head.negative == key->negative;
    if (head.type == MP_ITEM_INT)
        return 0;
    if (head.type != MP_ITEM_STR && head.type != MP_ITEM_BIN)
        return fail(u, MP_EPROTO, "the message changed while it was read");
    *same = *same && (head.n == 0 || memcmp(u->at, key->data, (size_t)key->n) == 0);
    u->at += head.n;
    return 0;
}

// Leaves u->at at the value under the key, or sets *found to false. With m->rest all pairs are
// looked at, since a key could be there twice; without, the number of pairs tells.
static int find(struct reading *u, struct map *m, const struct key *key, bool *found)
{
    const uint8_t *hit = NULL;
    uint64_t hit_index = 0;
    *found = false;
    u->at = m->next;
    for (uint64_t i = 0, index = m->index; i < m->pairs; i++, index++) {
        bool same;
        if (index == m->pairs) {
            index = 0;
            u->at = m->first;
        }
        int r = compare_key(u, key, &same);
        if (r < 0)
            return r;
        if (same && hit)
            return fail(u, MP_EPROTO, "a key that is there twice");
        if (same) {
            hit = u->at;
            hit_index = index;
            if (!m->rest)
                break;
        }
        r = skip(u);
        if (r < 0)
            return r;
    }
    if (hit) {
        u->at = hit;
        m->index = hit_index;
        m->found++;
        *found = true;
    }
    return 0;
}

// One key of the format and its value.
static int pair(struct reading *u, struct map *m, int code, bool absent)
{
    bool found = false;
    struct key *key = &u->path[u->level - 1].key;
    const char *where = u->f.code;
    int r = take_key(u, code, key);
    if (r == 0 && !absent)
        r = find(u, m, key, &found);
    if (r < 0)
        return r;
    bool skipped = !found;
    code = mp__format_next(&u->f);
    if (code == '?') {
        code = optional(u, &skipped);
    } else if (!absent && !found) {
        u->value = m->head;
        u->f.code = where;
        return fail(u, MP_ENOTFOUND, "the key is missing");
    }
    r = value(u, code, skipped);
    if (r == 0 && found) {
        m->next = u->at;
        m->index++;
    }
    return r;
}

// Goes to the end of the map; what is left over there is an error but for *.
static int leave_map(struct reading *u, struct map *m)
{
    u->value = m->head;
    u->at = m->next;
    if (!m->rest && m->found != m->pairs)
        return fail(u, MP_ETYPE, "there are more keys than in the format, or one is there twice");
    for (; m->index < m->pairs; m->index++) {
        int r = skip(u);
        if (r == 0)
            r = skip(u);
        if (r < 0)
            return r;
    }
    return 0;
}

static int pairs(struct reading *u, struct map *m, bool absent)
{
    int code, r = 0;
    while (r == 0 && (code = mp__format_next(&u->f)) != '}') {
        if (code != '*')
            r = pair(u, m, code, absent);
        else if (mp__format_next(&u->f) == '}')
            break;
        else
            r = fail(u, MP_EINVAL, "* must be the last");
    }
    return r;
}

static int map(struct reading *u, bool absent)
{
    struct mp__head head = {.n = 0};
    int r = absent ? 0 : want(u, &head, MP_ITEM_MAP);
    if (r == 0)
        r = enter(u, true);
    if (r < 0)
        return r;
    struct map m = {.head = u->value, .first = u->at, .next = u->at, .pairs = head.n};
    m.rest = mp__format_has_rest(&u->f);
    r = pairs(u, &m, absent);
    if (r == 0 && !absent)
        r = leave_map(u, &m);
    u->level -= r == 0;
    return r;
}

static int value(struct reading *u, int code, bool absent)
{
    struct mp__head head;
    switch (code) {
    case 't':
    case 'i':
    case 'I':
    case 'u':
    case 'U':
    case 'd':
        return number(u, code, absent);
    case 's':
        return string(u, absent);
    case MP__TEXT:
    case 'b':
    case 'O':
        return address(u, code, absent);
    case '[':
        return array(u, absent);
    case '{':
        return map(u, absent);
    case 'n':
        return absent ? 0 : want(u, &head, MP_ITEM_NIL);
    case '_':
        return absent ? 0 : skip(u);
    default:
        return mp__format_unknown(&u->f, code);
    }
}

// ---- the public calls -------------------------------------------------------------------------

// The way to the place, as in ".at[1]"; a key of bytes as its number of bytes.
static void print_path(const struct reading *u, char *to, size_t room)
{
    size_t used = 0;
    to[0] = 0;
    for (unsigned i = 0; i < u->level && used < room; i++) {
        const struct place *p = &u->path[i];
        int n;
        if (!p->is_map)
            n = snprintf(to + used, room - used, "[%zu]", p->index);
        else if (p->key.type == MP_ITEM_STR)
            n = snprintf(to + used, room - used, ".%.*s", p->key.n > 40 ? 40 : (int)p->key.n,
                         (const char *)p->key.data);
        else if (p->key.type == MP_ITEM_BIN)
            n = snprintf(to + used, room - used, "{%zu bytes}", (size_t)p->key.n);
        else
            n = snprintf(to + used, room - used, "{%lld}", (long long)p->key.n);
        used += (size_t)n;
    }
}

static void explain(const struct reading *u, int err, mp_unpack_error *e)
{
    char path[80];
    const char *why = u->f.why ? u->f.why : mp_strerror(err);
    e->offset = (size_t)(u->value - u->begin);
    e->at = mp__format_where(&u->f);
    print_path(u, path, sizeof path);
    snprintf(e->text, sizeof e->text, "%s%s%sbyte %zu, format at %zu: %s", path[0] ? "in " : "",
             path, path[0] ? ", " : "", e->offset, e->at, why);
}

// Every value of the message, before the first of them is read.
static int check_all(struct reading *u, const struct mp__wire_limits *limits)
{
    struct mp__wire_limits left = *limits;
    struct mp__wire_scan scan = {0};
    for (const uint8_t *p = u->begin; p < u->end; p += scan.used) {
        int r = mp__wire_check(p, (size_t)(u->end - p), &left, &scan);
        if (r < 0) {
            u->value = p + scan.used;
            return fail(u, r, scan.why);
        }
        left.nodes -= scan.nodes;
    }
    return 0;
}

static int read_all(struct reading *u, const struct mp__wire_limits *limits)
{
    int r = check_all(u, limits);
    if (r == 0)
        r = list(u, 0, NULL, false);
    return r == 0 ? mp__format_end(&u->f) : r;
}

int mp_vunpack(const mp_unpack_opts *opts, mp_unpack_error *error, const void *data, size_t size,
               const char *types, const char *format, va_list args)
{
    static const uint8_t nothing[1];
    struct mp__wire_limits limits;
    struct reading u; // a field at a time: most of the path is never used
    if (error)
        *error = (mp_unpack_error){0};
    if (!format || (!data && size) || mp__wire_limits(opts, SIZE_MAX, &limits) < 0)
        return MP_EINVAL;
    mp__format_init(&u.f, format, types);
    u.begin = u.at = u.value = data ? data : nothing;
    u.end = u.begin + size;
    u.level = 0;
    va_copy(u.args, args);
    int r = read_all(&u, &limits);
    va_end(u.args);
    if (r < 0 && error)
        explain(&u, r, error);
    return r;
}

int mp_unpack_args(const mp_unpack_opts *opts, mp_unpack_error *error, const void *data,
                   size_t size, const char *types, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int r = mp_vunpack(opts, error, data, size, types, format, args);
    va_end(args);
    return r;
}
