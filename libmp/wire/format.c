// SPDX-License-Identifier: MIT
//
// What is not needed for each letter of a format; see wire/format.h.
#include "wire/format.h"

#include <string.h>

bool mp__format_fits(char wanted, char given)
{
    switch (wanted) {
    case 't': // true is an int in C11
        return given == 'i';
    case 's':
        return given == 'c' || given == 'p';
    case 'p':
        return !strchr("tiuIUd", given);
    case 'B':
        return given == 'S';
    default:
        return false;
    }
}

int mp__format_unknown(struct mp__format *f, int code)
{
    switch (code) {
    case 0:
        return mp__format_fail(f, MP_EINVAL, "the format ends, but something is missing");
    case '!':
        return mp__format_fail(f, MP_EINVAL, "b and O need a # behind them");
    default:
        return mp__format_fail(f, MP_EINVAL, "no such code, or not here");
    }
}

// The next code from p on that is in this list, not in one inside it; NULL: none.
static const char *next_in_list(const char *p, unsigned *level)
{
    for (; *p; p++) {
        bool opens = *p == '[' || *p == '{';
        if (*p == ']' || *p == '}') {
            if (*level == 0)
                return NULL;
            --*level;
        } else if (*level == 0 && *p != '#' && *p != '?' && *p != ':' && !mp__format_blank(*p)) {
            *level += opens;
            return p;
        } else {
            *level += opens;
        }
    }
    return NULL;
}

size_t mp__format_count(const struct mp__format *f)
{
    size_t n = 0;
    unsigned level = 0;
    for (const char *p = f->at; (p = next_in_list(p, &level)); p++)
        n++;
    return n;
}

bool mp__format_has_rest(const struct mp__format *f)
{
    unsigned level = 0;
    if (!strchr(f->at, '*'))
        return false;
    for (const char *p = f->at; (p = next_in_list(p, &level)); p++)
        if (*p == '*')
            return true;
    return false;
}
