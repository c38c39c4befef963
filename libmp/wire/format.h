// SPDX-License-Identifier: MIT
//
// Formats of mp_pack() and mp_unpack(), one code after the other, and whether the
// arguments are of the types that the codes take; see <mp/pack.h>.
//
// A format is short and is read again with each call, so nothing is prepared: one pass,
// and a look ahead where an array or a map begins. In a header because a call through it
// for each letter would cost more than all else that packing a small message does.
#ifndef MP_WIRE_FORMAT_H
#define MP_WIRE_FORMAT_H

#include <mp/pack.h>

struct mp__format {
    const char *begin, *at;
    const char *code;  // the code read last, for messages
    const char *types; // of the arguments still to come, or NULL: not known
    const char *why;   // what is wrong, static text
};

// s#; a letter is its own code, and b and O are never without their #.
#define MP__TEXT 256

// The letters for a size_t and for the address of one, to be put behind others.
#if SIZE_MAX == UINT64_MAX
#define MP__SIZE    "U"
#define MP__SIZE_AT "V"
#else
#define MP__SIZE    "u"
#define MP__SIZE_AT "v"
#endif

static inline void mp__format_init(struct mp__format *f, const char *format, const char *types)
{
    f->begin = f->at = f->code = format;
    f->types = types;
    f->why = NULL;
}

static inline int mp__format_fail(struct mp__format *f, int err, const char *why)
{
    f->why = why;
    return err;
}

// Where the code read last stands.
static inline size_t mp__format_where(const struct mp__format *f)
{
    return (size_t)(f->code - f->begin);
}

static inline bool mp__format_blank(char c)
{
    return c == ' ' || c == ',' || c == '\n' || c == '\t';
}

// Returns the next code or bracket, any letter at all, and moves on; 0 at the end.
static inline int mp__format_next(struct mp__format *f)
{
    const char *p = f->at;
    while (mp__format_blank(*p))
        p++;
    f->code = p;
    char c = *p;
    if (c != 's' && c != 'b' && c != 'O') {
        f->at = p + (c != 0);
        return c;
    }
    if (p[1] != '#') {
        f->at = p + 1;
        return c == 's' ? c : '!';
    }
    f->at = p + 2;
    return c == 's' ? MP__TEXT : c;
}

static inline bool mp__format_is_key(int code)
{
    return code == 's' || code == MP__TEXT || code == 'b' || code == 'i' || code == 'I' ||
           code == 'u' || code == 'U';
}

// What `wanted` and `given` are when they are not the same letter.
bool mp__format_fits(char wanted, char given);

// The next arguments must be of the types wanted: letters as in <mp/pack_args.h>, with p for
// any address. Returns MP_EINVAL if not.
static inline int mp__format_args(struct mp__format *f, const char *wanted)
{
    if (!f->types)
        return 0;
    for (; *wanted; wanted++, f->types++) {
        if (*wanted == *f->types)
            continue;
        if (!*f->types)
            return mp__format_fail(f, MP_EINVAL, "too few arguments");
        if (!mp__format_fits(*wanted, *f->types))
            return mp__format_fail(f, MP_EINVAL, "the argument is of another type");
    }
    return 0;
}

// At the end: no argument may be left.
static inline int mp__format_end(struct mp__format *f)
{
    if (!f->types || !*f->types)
        return 0;
    f->code = f->at;
    return mp__format_fail(f, MP_EINVAL, "too many arguments");
}

// The code was not one that may stand here.
int mp__format_unknown(struct mp__format *f, int code);

// How many codes there are up to the bracket that closes the one just read; a key and its
// value are two.
size_t mp__format_count(const struct mp__format *f);

// Whether * stands before that bracket.
bool mp__format_has_rest(const struct mp__format *f);

#endif
