// SPDX-License-Identifier: MIT
//
// Packed values: numbers, texts, arrays and maps as bytes, for messages between programs
// that need not be of one make. The bytes are msgpack, which most languages can read.
//
//  1. mp_buf b = {0};
//  2. mp_pack(&b, "{s:i s:[dd]}", "id", 7, "at", x, y) puts a value at the end of b;
//  3. b.data and b.size are sent, stored, or put into a dictionary;
//  4. mp_unpack(data, size, "{s:i s:[dd]}", "id", &id, "at", &x, &y) where they arrive;
//     for values whose shape is not known, mp_tree_new() and the mp_item calls;
//  5. mp_buf_free(&b).
//
// A format is a list of codes, each with the arguments beside it. Blanks and commas
// between codes mean nothing.
//
//   code    value            mp_pack() takes        mp_unpack() takes
//   n       nil              nothing                nothing
//   t       truth value      bool                   bool *
//   i       integer          int                    int *
//   I       integer          int64_t                int64_t *
//   u       integer, >= 0    unsigned               unsigned *
//   U       integer, >= 0    uint64_t               uint64_t *
//   d       number           double                 double *
//   s       text             const char *           char *, size_t: copied, with a 0
//   s#      text             const char *, size_t   const char **, size_t *
//   b#      bytes            const void *, size_t   const void **, size_t *
//   O#      any value        const void *, size_t   const void **, size_t *: as packed
//   [...]   array            what is in it          what is in it
//   {k:v}   map              keys and values        keys and values
//   ?v      v or nil         for s s# b# O#: NULL   v; untouched when nil or missing
//   _       any value        -                      nothing: skipped
//   *       the rest         -                      nothing: skipped; last in its list
//
// Keys are s, s#, b#, i, I, u or U, and take what mp_pack() takes in both directions:
// mp_unpack() looks for that key, wherever it stands in the map. Several values beside
// one another are several values, one after the other, without an array around them.
//
// Reading is exact. All that a format names must be there, but for what has a ? before
// it; there must be no more than it names, but for a * at the end of the array, the map
// or the message. A key that is looked for may be there only once. Integers must fit the
// type that asks for them; d takes an integer too, if a double can hold it. A text for s
// must fit the array and have no 0 in it; texts are not checked to be UTF-8.
// What b#, s# and O# give points into the message, ends where its length says and not with
// a 0, and lives as long as the message. When mp_unpack() fails, what the
// arguments point to is undefined. While it reads, nobody may write to the message; if somebody
// does, the values may be wrong, but no byte outside of the message is touched.
//
// Before anything is read, the whole message is looked through, without memory and in
// linear time: lengths and counts against the bytes that are there, the depth, keys that
// are no text, bytes or integer, and types outside of msgpack's standard (ext), which are
// refused unless allowed.
//
// Calls that take a format are macros that have the compiler tell the type of each
// argument (mp/pack_args.h; not in C++), up to 32 of them. A call whose arguments do not
// fit its format gives MP_EINVAL and touches nothing through an argument that is wrong.
// So write (size_t)4 and (int64_t)1: 4 is an int, and only i takes it.
#ifndef MP_PACK_H
#define MP_PACK_H

#include <mp/base.h>
#include <mp/error.h>
#include <mp/pack_args.h>
#include <mp/pipe.h>
#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

// A buffer that grows; all zero is an empty one. It may begin in memory of the caller's: with
// `mp_buf b = {.data = array, .capacity = sizeof array, .borrowed = true}` nothing is
// allocated while the array is long enough; and with .fixed = true nothing ever, and what
// does not fit is MP_EMSGSIZE.
typedef struct mp_buf {
    void *data;      // what was packed; moves when the buffer grows
    size_t size;     // bytes of it
    size_t capacity; // bytes there is room for
    bool borrowed;   // data is the caller's; false once it has moved
    bool fixed;      // data is the caller's, and capacity is all there is
    size_t at;       // after a failed mp_pack(): where in the format
    const char *why; // and what was wrong there; static text
} mp_buf;

// Forgets what is in the buffer, and keeps the memory. NULL is fine. Since 0.1.
MP_API void mp_buf_clear(mp_buf *b);

// Releases the memory, unless it is the caller's, and leaves an empty buffer. NULL is fine.
// Since 0.1.
MP_API void mp_buf_free(mp_buf *b);

// `int mp_pack(mp_buf *b, const char *format, ...)` puts the values at the end of b.
// Returns 0; on failure b holds what it held before. Does not block. For a NULL text
// without ? the answer is MP_EINVAL.
// Errors: MP_EINVAL (see b->why and b->at), MP_EOVERFLOW (a text or bytes of 4 GiB or more:
// msgpack has no longer ones), MP_EDEPTH (more than 16 arrays and maps in one another),
// MP_EMSGSIZE (a fixed buffer is full), -ENOMEM. Since 0.1.
#define mp_pack(b, ...) mp_pack_args(b, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// What mp_pack() calls. types has a letter for each argument, as MP_ARG_TYPES() makes
// them, or is NULL: then the arguments are not checked. Since 0.1.
MP_API MP_NODISCARD int mp_pack_args(mp_buf *b, const char *types, const char *format, ...);

// The same for functions that have a format and arguments of their own. Since 0.1.
MP_API MP_NODISCARD int mp_vpack(mp_buf *b, const char *types, const char *format, va_list args);

// Begins an array of count values, or a map of count pairs, whose number the format cannot
// know: the count values (or 2 x count: key, value, key, ...) that the next calls put into
// b are its elements. Nobody checks that they come. Errors: MP_EINVAL, MP_EOVERFLOW
// (2^32 or more), MP_EMSGSIZE, -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_pack_array(mp_buf *b, size_t count);
MP_API MP_NODISCARD int mp_pack_map(mp_buf *b, size_t count);

// What is accepted of a message that somebody else made.
typedef struct mp_unpack_opts {
    unsigned depth; // arrays and maps in one another; 0 = 16, at most 32
    size_t nodes;   // values in all; 0 = 65,536 for a tree, no limit for mp_unpack()
    bool ext;       // ext values, too (for O#, _ and *, and in a tree)
} mp_unpack_opts;

// What was wrong, and where.
typedef struct mp_unpack_error {
    size_t offset;  // of the value, in the message
    size_t at;      // in the format
    char text[160]; // for people: "in .at[1], byte 12: text, but the format has d"
} mp_unpack_error;

// `int mp_unpack(const void *data, size_t size, const char *format, ...)` reads the
// message of size bytes at data. Returns 0. Does not block or allocate.
// Errors: MP_EPROTO (not msgpack, cut off, a key twice or of an odd type, an ext),
// MP_EDEPTH, MP_ETYPE (a value of another type, more of them than the format names, a 0
// inside a text for s), MP_EOVERFLOW (a number that does not fit the type), MP_EMSGSIZE (a
// text that does not fit the array; more than opts->nodes values), MP_ENOTFOUND (a key or
// an element that is missing), MP_EINVAL. Since 0.1.
#define mp_unpack(data, size, ...)                                                                 \
    mp_unpack_args(NULL, NULL, data, size, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// `int mp_unpack_with(const mp_unpack_opts *opts, mp_unpack_error *error, const void *data,
// size_t size, const char *format, ...)`: the same with other limits, and with an
// explanation in *error when it fails. opts and error may be NULL. Since 0.1.
#define mp_unpack_with(opts, error, data, size, ...)                                               \
    mp_unpack_args(opts, error, data, size, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// What both call; types as for mp_pack_args(). Since 0.1.
MP_API MP_NODISCARD int mp_unpack_args(const mp_unpack_opts *opts, mp_unpack_error *error,
                                       const void *data, size_t size, const char *types,
                                       const char *format, ...);

// The same for functions that have a format and arguments of their own. Since 0.1.
MP_API MP_NODISCARD int mp_vunpack(const mp_unpack_opts *opts, mp_unpack_error *error,
                                   const void *data, size_t size, const char *types,
                                   const char *format, va_list args);

// `int mp_pipe_send_packed(mp_pipe *p, int timeout_ms, const char *format, ...)` packs and
// sends one message. Errors: those of mp_pack() and of mp_pipe_send(). Since 0.1.
#define mp_pipe_send_packed(p, timeout_ms, ...)                                                    \
    mp_pipe_send_args(p, timeout_ms, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// `int mp_pipe_recv_packed(mp_pipe *p, mp_buf *b, int timeout_ms, const char *format, ...)`
// receives the next message into b, in place of what b holds, and unpacks it: b is what
// the pointers of s#, b# and O# point into. A message that does not fit the format is
// received all the same, and stays in b.
// Errors: those of mp_pipe_recv() (MP_EMSGSIZE: b is fixed and too small; the message stays
// in the pipe) and of mp_unpack(), -ENOMEM (it stays, too). A message that carries handles is
// MP_ETYPE, and stays; b is empty then. Since 0.1.
#define mp_pipe_recv_packed(p, b, timeout_ms, ...)                                                 \
    mp_pipe_recv_args(p, b, timeout_ms, MP_ARG_TYPES(__VA_ARGS__), __VA_ARGS__)

// What the two call; types as for mp_pack_args(). Since 0.1.
MP_API MP_NODISCARD int mp_pipe_send_args(mp_pipe *p, int timeout_ms, const char *types,
                                          const char *format, ...);
MP_API MP_NODISCARD int mp_pipe_recv_args(mp_pipe *p, mp_buf *b, int timeout_ms, const char *types,
                                          const char *format, ...);

// A value of any shape, taken apart: a tree of items. The items point into the message,
// which must live, unchanged, as long as the tree.
typedef struct mp_tree mp_tree;
typedef struct mp_item mp_item;

typedef enum mp_item_type {
    MP_ITEM_NONE, // no item (NULL)
    MP_ITEM_NIL,
    MP_ITEM_BOOL,
    MP_ITEM_INT,
    MP_ITEM_DOUBLE,
    MP_ITEM_STR,
    MP_ITEM_BIN,
    MP_ITEM_ARRAY,
    MP_ITEM_MAP,
    MP_ITEM_EXT,
} mp_item_type;

// Takes the message apart, which must be one value. Memory: up to 48 bytes a value.
// Errors: MP_EPROTO, MP_EDEPTH, MP_EMSGSIZE (more than opts->nodes values), MP_EINVAL,
// -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_tree_new(mp_tree **out, const void *data, size_t size,
                                    const mp_unpack_opts *opts);

// Returns the item that all others are in; NULL for NULL. Since 0.1.
MP_API const mp_item *mp_tree_root(const mp_tree *t);

// Releases the tree and with it all its items. NULL is fine. Since 0.1.
MP_API void mp_tree_free(mp_tree *t);

// Returns the type; MP_ITEM_NONE for NULL, so that the calls below can be chained without a
// check between them. Since 0.1.
MP_API mp_item_type mp_item_typeof(const mp_item *item);

// Returns the number of elements of an array or pairs of a map, the bytes of a text, of
// bytes or of an ext; 0 for anything else. Since 0.1.
MP_API size_t mp_item_size(const mp_item *item);

// Returns element i of an array, or the value of pair i of a map, or NULL. Since 0.1.
MP_API const mp_item *mp_item_at(const mp_item *item, size_t i);

// Returns the key of pair i of a map, or NULL. Since 0.1.
MP_API const mp_item *mp_item_key(const mp_item *item, size_t i);

// Returns the value under a text key of a map, the first if there are several, or NULL:
// none, or no map. Since 0.1.
MP_API const mp_item *mp_item_get(const mp_item *item, const char *key);

// These store a value. Errors: MP_ENOTFOUND (item is NULL), MP_ETYPE, MP_EOVERFLOW (a number
// that does not fit), MP_EINVAL. An integer is a double too if a double can hold it. For
// mp_item_bytes(), which is for texts, bytes and ext, *data points into the message (or,
// never NULL, to anywhere when *size is 0).
// mp_item_ext() tells an ext's type. Since 0.1.
MP_API MP_NODISCARD int mp_item_bool(const mp_item *item, bool *out);
MP_API MP_NODISCARD int mp_item_int(const mp_item *item, int64_t *out);
MP_API MP_NODISCARD int mp_item_uint(const mp_item *item, uint64_t *out);
MP_API MP_NODISCARD int mp_item_double(const mp_item *item, double *out);
MP_API MP_NODISCARD int mp_item_bytes(const mp_item *item, const void **data, size_t *size);
MP_API MP_NODISCARD int mp_item_ext(const mp_item *item, int8_t *type);

// Puts an item, with all that is in it, at the end of b. Errors: MP_EINVAL, MP_EMSGSIZE,
// -ENOMEM. Since 0.1.
MP_API MP_NODISCARD int mp_item_pack(const mp_item *item, mp_buf *b);

#ifdef __cplusplus
}
#endif
#endif
