// SPDX-License-Identifier: MIT
//
// Looking at msgpack without taking it apart: the head of a value, and the pre-scan that
// every message passes before anybody, above all msgpack-c, believes a count in it.
//
// msgpack-c allocates what a header asks for: five bytes make it ask for 512 MiB. The
// pre-scan walks the whole message first, one pass, no memory, and lets through only what
// is as long as it says.
#ifndef MP_WIRE_CHECK_H
#define MP_WIRE_CHECK_H

#include <mp/pack.h>

#define MP__DEPTH     16 // arrays and maps in one another, unless told otherwise
#define MP__DEPTH_MAX 32 // more msgpack-c does not read

// The head of a value: all of it but the bytes of a text, bytes or ext, and the elements.
struct mp__head {
    mp_item_type type;
    bool negative; // an integer below 0: n is its two's complement
    int8_t ext;    // the type of an ext
    uint64_t n;    // truth value, integer, bits of a double, count, or bytes that follow
};

static inline bool mp__head_has_body(mp_item_type type)
{
    return type == MP_ITEM_STR || type == MP_ITEM_BIN || type == MP_ITEM_EXT;
}

// For mp__head_read(): the heads whose first byte is not all there is to them.
int mp__head_read_long(const uint8_t **at, const uint8_t *end, uint8_t first,
                       struct mp__head *head);

// Reads the head at *at and moves *at behind it. The n bytes that follow a head of a text,
// bytes or ext are there when it returns 0; otherwise MP_EPROTO: cut off, or no msgpack.
static inline int mp__head_read(const uint8_t **at, const uint8_t *end, struct mp__head *head)
{
    if (*at == end)
        return MP_EPROTO;
    uint8_t first = *(*at)++;
    head->type = MP_ITEM_INT;
    head->negative = false;
    head->n = first;
    if (first < 0x80)
        return 0;
    if (first < 0xa0) {
        head->type = first >= 0x90 ? MP_ITEM_ARRAY : MP_ITEM_MAP;
        head->n = first & 0x0f;
        return 0;
    }
    if (first < 0xc0) {
        head->type = MP_ITEM_STR;
        head->n = first & 0x1f;
        return head->n > (size_t)(end - *at) ? MP_EPROTO : 0;
    }
    return mp__head_read_long(at, end, first, head);
}

// Moves *at behind the value there. MP_EPROTO as above.
int mp__wire_skip(const uint8_t **at, const uint8_t *end);

// An integer as a double; MP_EOVERFLOW if a double cannot hold it.
int mp__int_to_double(uint64_t n, bool negative, double *out);

struct mp__wire_limits {
    unsigned depth; // arrays and maps in one another, up to MP__DEPTH_MAX
    size_t nodes;   // values in all
    bool ext;       // ext values may be in it
};

// One element of the array that a message is, for who needs only a few of them.
struct mp__wire_element {
    mp_item_type type;
    size_t offset, size; // in the message, with its head
};

struct mp__wire_scan {
    struct mp__wire_element *elements; // where to store them, or NULL
    size_t room;                       // as many as that at most
    size_t count;                      // out: elements of the outermost array
    size_t nodes;                      // out: values of all kinds
    size_t exts;                       // out: ext values
    unsigned deepest;                  // out: arrays and maps in one another
    size_t used;                       // out: bytes of the value; on failure, where it was
    const char *why;                   // out: what is wrong, static text
};

// Checks the value that begins at data; what follows it is the caller's to judge by
// scan->used. Errors: MP_EPROTO, MP_EDEPTH, MP_EMSGSIZE (limits->nodes).
int mp__wire_check(const void *data, size_t size, const struct mp__wire_limits *limits,
                   struct mp__wire_scan *scan);

// The limits that opts (or NULL) stands for; MP_EINVAL when they make no sense.
int mp__wire_limits(const mp_unpack_opts *opts, size_t nodes, struct mp__wire_limits *limits);

#endif
