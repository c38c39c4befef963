// SPDX-License-Identifier: MIT
#include "records.h"
#include "options.h"
#include "say.h"

#include <stdint.h>
#include <string.h>

int records_init(struct records *r, const char *how, char separator)
{
    *r = (struct records){.kind = LINES, .separator = separator};
    if (!how || !strcmp(how, "lines"))
        return -1;
    if (!strcmp(how, "msgpack")) {
        r->kind = MSGPACK;
        return -1;
    }
    long size = 0;
    r->kind = FIXED;
    if (*how < '0' || *how > '9')
        return usage_error("--records %s: lines, msgpack or a number of bytes", how);
    int status = option_number("records", how, 1, &size);
    r->size = (size_t)size;
    return status;
}

// ---- msgpack ----------------------------------------------------------------------------------

static uint64_t big_endian(const unsigned char *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

// One byte says how many bytes of a length follow, how many of content after these, and
// whether the length counts content, or values inside.
struct head {
    int length;  // bytes of it
    int content; // bytes besides
    int values;  // for each of the length, so many values
    bool counts; // the length counts bytes
};

static struct head head_of(unsigned char tag)
{
    static const struct head heads[32] = {
        [0xc4 - 0xc0] = {1, 0, 0, true},
        {2, 0, 0, true},
        {4, 0, 0, true}, // bin
        {1, 1, 0, true},
        {2, 1, 0, true},
        {4, 1, 0, true}, // ext
        {.content = 4},
        {.content = 8}, // float
        {.content = 1},
        {.content = 2},
        {.content = 4},
        {.content = 8}, // uint
        {.content = 1},
        {.content = 2},
        {.content = 4},
        {.content = 8}, // int
        {.content = 2},
        {.content = 3},
        {.content = 5},
        {.content = 9},
        {.content = 17}, // fixext
        {1, 0, 0, true},
        {2, 0, 0, true},
        {4, 0, 0, true}, // str
        {2, 0, 1, false},
        {4, 0, 1, false}, // array
        {2, 0, 2, false},
        {4, 0, 2, false}, // map
    };
    return tag >= 0xc0 && tag <= 0xdf ? heads[tag - 0xc0] : (struct head){0};
}

// A value is as long as its parts; what is still to come is counted, so nothing nests.
static size_t value_len(const unsigned char *s, size_t len)
{
    uint64_t missing = 1;
    size_t at = 0;
    while (missing) {
        if (at == len)
            return 0;
        unsigned char tag = s[at++];
        struct head h = head_of(tag);
        if (tag == 0xc1)
            return RECORDS_BAD;
        if (len - at < (size_t)h.length)
            return 0;
        uint64_t n = big_endian(s + at, h.length), bytes = (uint64_t)h.content;
        at += (size_t)h.length;
        if (h.counts)
            bytes += n;
        else if (h.values)
            missing += n * (uint64_t)h.values;
        if (tag >= 0xa0 && tag <= 0xbf)
            bytes = tag & 0x1f;
        else if (tag >= 0x90 && tag <= 0x9f)
            missing += tag & 0xf;
        else if (tag >= 0x80 && tag <= 0x8f)
            missing += 2 * (uint64_t)(tag & 0xf);
        if (len - at < bytes)
            return 0;
        at += bytes;
        missing--;
    }
    return at;
}

// ---- all kinds --------------------------------------------------------------------------------

size_t records_next(const struct records *r, const char *s, size_t len)
{
    if (r->kind == FIXED)
        return len < r->size ? 0 : r->size;
    if (r->kind == MSGPACK)
        return value_len((const unsigned char *)s, len);
    const char *end = memchr(s, r->separator, len);
    return end ? (size_t)(end + 1 - s) : 0;
}

size_t records_cut(const struct records *r, const char *s, size_t from, size_t scanned, size_t len)
{
    if (r->kind == FIXED)
        return from + (len - from) / r->size * r->size;
    if (r->kind == LINES) {
        const char *end = memrchr(s + scanned, r->separator, len - scanned);
        return end ? (size_t)(end + 1 - s) : from;
    }
    for (size_t n; (n = records_next(r, s + from, len - from)) != 0; from += n)
        if (n == RECORDS_BAD)
            return n;
    return from;
}

size_t records_boundary(const struct records *r, const char *s, size_t from, size_t at, size_t len)
{
    if (r->kind == LINES && at > from)
        return at - 1 + records_next(r, s + at - 1, len - at + 1);
    if (r->kind == FIXED)
        from += (at - from + r->size - 1) / r->size * r->size;
    while (r->kind == MSGPACK && from < at)
        from += records_next(r, s + from, len - from);
    return from < len ? from : len;
}
