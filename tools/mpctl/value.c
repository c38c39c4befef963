// SPDX-License-Identifier: MIT
#include "value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 16

// ---- reading -------------------------------------------------------------------------

struct reader {
    const char *at;
    mp_buf *b;
};

static int read_value(struct reader *r, int depth);

static void blanks(struct reader *r)
{
    r->at += strspn(r->at, " \t\r\n");
}

static size_t put_utf8(char *out, unsigned c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    out[0] = (char)(0xe0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3f));
    out[2] = (char)(0x80 | (c & 0x3f));
    return 3;
}

static int read_escape(struct reader *r, char *out, size_t *n)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = *r->at++, hex[5] = "";
    const char *p = c ? strchr(from, c) : NULL;
    if (p) {
        out[(*n)++] = to[p - from];
        return 0;
    }
    for (int i = 0; c == 'u' && i < 4; i++) {
        if (!isxdigit((unsigned char)r->at[i]))
            return MP_EINVAL;
        hex[i] = r->at[i];
    }
    if (c != 'u')
        return MP_EINVAL;
    r->at += 4;
    *n += put_utf8(out + *n, (unsigned)strtoul(hex, NULL, 16));
    return 0;
}

static int read_string(struct reader *r)
{
    size_t n = 0;
    int err = 0;
    char *out = malloc(strlen(r->at) + 4);
    if (!out)
        return -ENOMEM;
    for (r->at++; err == 0 && *r->at && *r->at != '"';) {
        if (*r->at == '\\') {
            r->at++;
            err = read_escape(r, out, &n);
        } else {
            out[n++] = *r->at++;
        }
    }
    if (err == 0)
        err = *r->at == '"' ? mp_pack(r->b, "s#", out, n) : MP_EINVAL;
    r->at++;
    free(out);
    return err;
}

static int read_number(struct reader *r)
{
    char *end_int, *end;
    errno = 0;
    int64_t n = strtoll(r->at, &end_int, 10);
    bool fits = errno == 0;
    double d = strtod(r->at, &end);
    if (end == r->at)
        return MP_EINVAL;
    bool whole = end == end_int && fits;
    r->at = end;
    return whole ? mp_pack(r->b, "I", n) : mp_pack(r->b, "d", d);
}

static int read_word(struct reader *r, const char *word, const char *format, bool t)
{
    size_t n = strlen(word);
    if (strncmp(r->at, word, n) != 0)
        return MP_EINVAL;
    r->at += n;
    return *format == 'n' ? mp_pack(r->b, "n") : mp_pack(r->b, "t", t);
}

// A key and its colon.
static int read_key(struct reader *r)
{
    int err = *r->at == '"' ? read_string(r) : MP_EINVAL;
    blanks(r);
    if (err == 0 && *r->at++ != ':')
        err = MP_EINVAL;
    return err;
}

static int read_elements(struct reader *r, char close, int depth, size_t *n)
{
    int err = 0;
    for (*n = 0; err == 0; ++*n) {
        blanks(r);
        if (*r->at == close && *n == 0)
            return 0;
        if (close == '}')
            err = read_key(r);
        if (err == 0)
            err = read_value(r, depth + 1);
        blanks(r);
        if (err == 0 && *r->at == close) {
            ++*n;
            return 0;
        }
        if (err == 0 && *r->at++ != ',')
            err = MP_EINVAL;
    }
    return err;
}

// The number of elements comes before them, and in its shortest form, since that is how the
// manager compares values: room for the longest is kept, and what is not needed closed.
static int read_list(struct reader *r, char close, int depth)
{
    char head[8];
    mp_buf h = {.data = head, .capacity = sizeof head, .fixed = true};
    mp_buf *b = r->b;
    size_t begin = b->size, n = 0;
    if (depth == DEPTH)
        return MP_EDEPTH;
    int err = mp_pack_array(b, 65536);
    size_t first = b->size;
    r->at++;
    if (err == 0)
        err = read_elements(r, close, depth, &n);
    if (err == 0)
        err = close == '}' ? mp_pack_map(&h, n) : mp_pack_array(&h, n);
    if (err < 0)
        return err;
    r->at++;
    memmove((char *)b->data + begin + h.size, (char *)b->data + first, b->size - first);
    memcpy((char *)b->data + begin, head, h.size);
    b->size -= first - begin - h.size;
    return 0;
}

static int read_value(struct reader *r, int depth)
{
    blanks(r);
    switch (*r->at) {
    case '"':
        return read_string(r);
    case '[':
        return read_list(r, ']', depth);
    case '{':
        return read_list(r, '}', depth);
    case 't':
        return read_word(r, "true", "t", true);
    case 'f':
        return read_word(r, "false", "t", false);
    case 'n':
        return read_word(r, "null", "n", false);
    default:
        return read_number(r);
    }
}

static bool looks_like_json(const char *text)
{
    char *end;
    if (strchr("\"[{", *text) && *text)
        return true;
    if (!strcmp(text, "true") || !strcmp(text, "false") || !strcmp(text, "null"))
        return true;
    if (*text != '-' && !isdigit((unsigned char)*text))
        return false;
    strtod(text, &end);
    return end != text && !*end && !strpbrk(text, "xXpPnNiI");
}

int value_read(mp_buf *b, const char *text)
{
    struct reader r = {text, b};
    if (!looks_like_json(text))
        return mp_pack(b, "s", text);
    size_t before = b->size;
    int err = read_value(&r, 0);
    blanks(&r);
    if (err == 0 && *r.at)
        err = MP_EINVAL;
    if (err < 0)
        b->size = before;
    return err;
}

// ---- printing ------------------------------------------------------------------------

static void print_text(FILE *f, const char *p, size_t n)
{
    putc('"', f);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", f);
        else if (c < ' ' || c == 0x7f)
            fprintf(f, "\\u%04x", c);
        else
            putc(c, f);
    }
    putc('"', f);
}

static void print_number(FILE *f, const mp_item *item)
{
    int64_t n;
    uint64_t u;
    double d;
    if (mp_item_typeof(item) == MP_ITEM_INT && mp_item_int(item, &n) == 0)
        fprintf(f, "%" PRId64, n);
    else if (mp_item_typeof(item) == MP_ITEM_INT && mp_item_uint(item, &u) == 0)
        fprintf(f, "%" PRIu64, u);
    else if (mp_item_double(item, &d) == 0 && isfinite(d))
        fprintf(f, "%.17g", d);
    else
        fputs("null", f);
}

static void print_list(FILE *f, const mp_item *item, bool map)
{
    putc(map ? '{' : '[', f);
    for (size_t i = 0; i < mp_item_size(item); i++) {
        const mp_item *key = map ? mp_item_key(item, i) : NULL;
        bool quoted = mp_item_typeof(key) == MP_ITEM_INT; // JSON has no other keys than texts
        fputs(i ? ", " : "", f);
        if (map) {
            fputs(quoted ? "\"" : "", f);
            value_print(f, key);
            fputs(quoted ? "\": " : ": ", f);
        }
        value_print(f, mp_item_at(item, i));
    }
    putc(map ? '}' : ']', f);
}

static void print_object(FILE *f, const mp_item *item)
{
    const void *data;
    size_t size;
    uint64_t n = 0;
    if (mp_item_bytes(item, &data, &size) == 0)
        for (size_t i = 0; i < size; i++)
            n = n << 8 | ((const unsigned char *)data)[i];
    fprintf(f, "{\"object\": %" PRIu64 "}", n);
}

void value_print(FILE *f, const mp_item *item)
{
    bool t;
    const void *data;
    size_t size;
    switch (mp_item_typeof(item)) {
    case MP_ITEM_BOOL:
        fputs(mp_item_bool(item, &t) == 0 && t ? "true" : "false", f);
        break;
    case MP_ITEM_INT:
    case MP_ITEM_DOUBLE:
        print_number(f, item);
        break;
    case MP_ITEM_STR:
    case MP_ITEM_BIN:
        if (mp_item_bytes(item, &data, &size) == 0)
            print_text(f, data, size);
        break;
    case MP_ITEM_ARRAY:
    case MP_ITEM_MAP:
        print_list(f, item, mp_item_typeof(item) == MP_ITEM_MAP);
        break;
    case MP_ITEM_EXT:
        print_object(f, item);
        break;
    default:
        fputs("null", f);
    }
}

void value_print_plain(FILE *f, const mp_item *item)
{
    const void *data;
    size_t size;
    if (mp_item_typeof(item) != MP_ITEM_STR || mp_item_bytes(item, &data, &size) < 0) {
        value_print(f, item);
        return;
    }
    for (size_t i = 0; i < size; i++) { // names of others: nothing for the terminal
        unsigned char c = ((const unsigned char *)data)[i];
        putc(c < ' ' || c == 0x7f ? '?' : c, f);
    }
}
