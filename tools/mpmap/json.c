// SPDX-License-Identifier: MIT
#include "json.h"

#include <stdint.h>

// The length of the UTF-8 character at s, 0 if there is none.
static size_t utf8(const unsigned char *s, size_t len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (n < 2 || n > len || s[0] > 0xf4)
        return n == 1;
    uint32_t c = s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

void json_text(FILE *f, const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;
    for (size_t n; len; p += n, len -= n) {
        n = utf8(p, len);
        if (n == 0) {
            n = 1;
            fprintf(f, "\\udc%02x", *p);
        } else if (*p == '"' || *p == '\\') {
            fprintf(f, "\\%c", *p);
        } else if (*p == '\n') {
            fputs("\\n", f);
        } else if (*p == '\t') {
            fputs("\\t", f);
        } else if (*p < 0x20 || *p == 0x7f) {
            fprintf(f, "\\u%04x", *p);
        } else {
            fwrite(p, 1, n, f);
        }
    }
}

void json_string(FILE *f, const char *s, size_t len)
{
    putc('"', f);
    json_text(f, s, len);
    putc('"', f);
}
