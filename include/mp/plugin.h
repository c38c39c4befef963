// SPDX-License-Identifier: MIT
//
// What a C function needs so that `mpmap --so LIB:FUNCTION` can map it over
// records, millions a second, on all cores.
//
//  1. write a function of type mp_record_fn and export it;
//  2. build a shared object: cc -O2 -shared -fPIC -o lib.so file.c
//     (this header is all it takes: nothing is linked);
//  3. mpmap --so ./lib.so:function [argument ...] < records
//
//     #include <mp/plugin.h>
//     int shout(const char *record, size_t len, mp_out *out, void *ctx)
//     {
//         return mp_out_printf(out, "%s!\n", record);
//     }
//
// The function runs in worker processes, one record at a time, in any of them. What
// it keeps in static variables it keeps in its own worker only. Its results are
// printed in the order of the records, also when a record fails or crashes it.
#ifndef MP_PLUGIN_H
#define MP_PLUGIN_H

#include <mp/base.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

// Where a function writes its result. Use the functions below; the fields are here
// so that they are inlined. Later versions only add fields at the end.
typedef struct mp_out mp_out;
struct mp_out {
    char *data;
    size_t len, cap;
    int (*grow)(mp_out *out, size_t more); // makes room for `more` bytes: 0 or -ENOMEM
};

// ctx points to this: the arguments after the options of mpmap, and what the worker's
// init has made. Later versions only add fields at the end.
typedef struct mp_plugin_args {
    int argc;
    char *const *argv;
    void *state;
} mp_plugin_args;

// An exported function of this type, named as the other with _init behind, is run by each
// worker before its first record: to open what it needs, or to set args->state. 0 is
// success; any other value ends the run.
typedef int mp_plugin_init_fn(mp_plugin_args *args);

// The function: record has len bytes; it is the function's to change. A line has a NUL
// after it (and may hold others); a record of a fixed size or of msgpack has not: what
// follows it is the next. 0 is success. Any other value says that the record
// failed: what was written for it is dropped, the value is reported, the rest of
// the records is done.
typedef int mp_record_fn(const char *record, size_t len, mp_out *out, void *ctx);

// Appends n bytes to the result: 0, or -ENOMEM. Since 0.1.
static inline int mp_out_write(mp_out *out, const void *data, size_t n)
{
    if (out->cap - out->len < n && out->grow(out, n) < 0)
        return -ENOMEM;
    memcpy(out->data + out->len, data, n);
    out->len += n;
    return 0;
}

// Appends a string. As mp_out_write(). Since 0.1.
static inline int mp_out_puts(mp_out *out, const char *s)
{
    return mp_out_write(out, s, strlen(s));
}

// Appends one byte. As mp_out_write(). Since 0.1.
static inline int mp_out_putc(mp_out *out, char c)
{
    return mp_out_write(out, &c, 1);
}

// Appends as printf() does: 0, -ENOMEM, or -EINVAL for a format that cannot be. Some
// 100 ns: numbers are faster written by hand. Since 0.1.
static inline int mp_out_printf(mp_out *out, const char *format, ...) MP_PRINTF(2, 3);

static inline int mp_out_printf(mp_out *out, const char *format, ...)
{
    for (;;) {
        va_list ap;
        size_t room = out->cap - out->len;
        va_start(ap, format);
        int n = vsnprintf(room ? out->data + out->len : NULL, room, format, ap);
        va_end(ap);
        if (n < 0)
            return -EINVAL;
        if ((size_t)n < room) {
            out->len += (size_t)n;
            return 0;
        }
        if (out->grow(out, (size_t)n + 1) < 0)
            return -ENOMEM;
    }
}

#ifdef __cplusplus
}
#endif
#endif
