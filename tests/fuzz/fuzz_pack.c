// SPDX-License-Identifier: MIT
//
// Any bytes at all as a message: to the pre-scan, to mp_unpack() and to mp_tree_new().
// Beside what the sanitizers see, this must hold:
//
//  - what the scan lets through msgpack-c takes, to the last byte (never MP_EBUG);
//  - what a tree gives back, packed again, is one value and stays the same when it is read
//    and packed once more;
//  - what is read lies in the message.
#include <mp/pack.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void inside(const uint8_t *data, size_t size, const void *part, size_t part_size)
{
    const uint8_t *p = part;
    require(p >= data && p <= data + size && part_size <= (size_t)(data + size - p));
}

// Touches each item, and finds it again from its parent.
static size_t count(const mp_item *item, const uint8_t *data, size_t size)
{
    const void *bytes;
    size_t n = 1, length;
    if (mp_item_bytes(item, &bytes, &length) == 0 && length > 0)
        inside(data, size, bytes, length);
    for (size_t i = 0; mp_item_at(item, i); i++) {
        if (mp_item_key(item, i))
            n += count(mp_item_key(item, i), data, size);
        n += count(mp_item_at(item, i), data, size);
    }
    return n;
}

static void pack_again(const mp_item *item, const mp_unpack_opts *opts)
{
    mp_buf once = {0}, twice = {0};
    mp_tree *t;
    require(mp_item_pack(item, &once) == 0);
    require(mp_tree_new(&t, once.data, once.size, opts) == 0);
    require(mp_item_pack(mp_tree_root(t), &twice) == 0);
    require(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
    mp_tree_free(t);
    mp_buf_free(&once);
    mp_buf_free(&twice);
}

static void as_tree(const uint8_t *data, size_t size, const mp_unpack_opts *opts)
{
    mp_tree *t;
    int r = mp_tree_new(&t, data, size, opts);
    int whole = mp_unpack_with(opts, NULL, data, size, "_");
    require(r != MP_EBUG);
    require((r == 0) == (whole == 0));
    if (r < 0)
        return;
    require(count(mp_tree_root(t), data, size) <= size);
    pack_again(mp_tree_root(t), opts);
    mp_tree_free(t);
}

static void by_formats(const uint8_t *data, size_t size)
{
    int i;
    unsigned u;
    int64_t I;
    uint64_t U;
    double d;
    bool t;
    char text[8];
    const char *s;
    const void *b;
    size_t s_size, b_size;
    mp_unpack_error e;
    if (mp_unpack_with(NULL, &e, data, size, "{s:i s:?s# s:b# i:?[u U *] *}", "a", &i, "b", &s,
                       &s_size, "c", &b, &b_size, 1, &u, &U) == 0)
        inside(data, size, b, b_size);
    if (mp_unpack_with(NULL, &e, data, size, "[i I d t ?s O# *]", &i, &I, &d, &t, text, sizeof text,
                       &b, &b_size) == 0)
        inside(data, size, b, b_size);
    if (mp_unpack_with(NULL, &e, data, size, "s# b#", &s, &s_size, &b, &b_size) == 0)
        inside(data, size, s, s_size);
    if (mp_unpack_with(NULL, &e, data, size, "{s:{s:[[?d]*]} s#:s}", "x", "y", &d, "z", (size_t)1,
                       text, sizeof text) == 0)
        require(memchr(text, 0, sizeof text) != NULL);
    require(e.offset <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const mp_unpack_opts deep = {.depth = 32, .nodes = 1000, .ext = true};
    as_tree(data, size, NULL);
    as_tree(data, size, &deep);
    by_formats(data, size);
    return 0;
}
