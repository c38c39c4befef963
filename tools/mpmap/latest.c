// SPDX-License-Identifier: MIT
#include "latest.h"

#include <string.h>

void latest_add(struct latest *l, int stream, const char *data, size_t n)
{
    struct latest_line *line = &l->line[stream];
    for (; n; data++, n--) {
        if (*data == '\n' || *data == '\r') {
            line->whole = true;
            continue;
        }
        if (line->whole)
            line->len = 0;
        line->whole = false;
        if (line->len < LATEST_MAX)
            line->text[line->len++] = *data;
        l->newest = stream;
    }
}

const char *latest_line(const struct latest *l, size_t *len)
{
    *len = l->line[l->newest].len;
    return l->line[l->newest].text;
}

// How many columns a character takes that begins with this byte. Not every long one is wide, but a
// line that is too short does no harm.
static int width_of(unsigned char c)
{
    return c >= 0xe1 ? 2 : (c & 0xc0) == 0x80 ? 0 : 1;
}

size_t latest_fit(char *buf, size_t size, const char *text, size_t len, int columns)
{
    size_t at = 0;
    for (size_t i = 0; i < len && at < size; i++) {
        unsigned char c = (unsigned char)text[i];
        columns -= width_of(c);
        if (columns < 0)
            break;
        buf[at++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
    }
    return at;
}
