// SPDX-License-Identifier: MIT
//
// Functions for mpmap --so, one idea each:
//
//     mpmap --so ./plugin_lines.so:upper < text       the text in capitals
//     mpmap --so ./plugin_lines.so:length < text      how long each line is
//     mpmap --so ./plugin_lines.so:field 3 < text     the third word of each line
//     mpmap --so ./plugin_lines.so:even < numbers     the even ones; others fail
#include <mp/plugin.h>

#include <ctype.h>
#include <stdlib.h>

mp_record_fn upper, length, field, even;

MP_API
int upper(const char *record, size_t len, mp_out *out, void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < len; i++)
        if (mp_out_putc(out, (char)toupper((unsigned char)record[i])))
            return -1;
    return mp_out_putc(out, '\n');
}

MP_API
int length(const char *record, size_t len, mp_out *out, void *ctx)
{
    (void)record, (void)ctx;
    char digits[24];
    size_t at = sizeof digits;
    digits[--at] = '\n'; // by hand: printf would take most of the time
    do
        digits[--at] = (char)('0' + len % 10);
    while (len /= 10);
    return mp_out_write(out, digits + at, sizeof digits - at);
}

// What comes after the options of mpmap is in ctx.
MP_API
int field(const char *record, size_t len, mp_out *out, void *ctx)
{
    const mp_plugin_args *args = ctx;
    (void)len;
    long n = args->argc > 0 ? atol(args->argv[0]) : 1;
    const char *s = record + strspn(record, " \t");
    while (--n > 0) {
        s += strcspn(s, " \t");
        s += strspn(s, " \t");
    }
    if (mp_out_write(out, s, strcspn(s, " \t")))
        return -1;
    return mp_out_putc(out, '\n');
}

// A record may fail: mpmap says which, and goes on.
MP_API
int even(const char *record, size_t len, mp_out *out, void *ctx)
{
    (void)ctx;
    if (atol(record) % 2)
        return 1;
    if (mp_out_write(out, record, len))
        return -1;
    return mp_out_putc(out, '\n');
}
