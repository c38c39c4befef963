// SPDX-License-Identifier: MIT
//
// What `mpmap --so` maps over ten million lines: a number to its square. Little work,
// so that the figure is mpmap's, and a result that is easily checked.
#include <mp/plugin.h>
#include <stdlib.h>

int square(const char *record, size_t len, mp_out *out, void *ctx);

MP_API
int square(const char *record, size_t len, mp_out *out, void *ctx)
{
    char digits[24], *p = digits + sizeof digits, *end;
    unsigned long long n = strtoull(record, &end, 10);
    (void)ctx;
    if (len == 0 || end != record + len)
        return EINVAL;
    n *= n;
    *--p = '\n';
    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    return mp_out_write(out, p, (size_t)(digits + sizeof digits - p));
}
