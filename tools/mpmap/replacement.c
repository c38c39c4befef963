// SPDX-License-Identifier: MIT
#include "replacement.h"

#include <string.h>

static const char *const strings[WHATS] = {
    [ITEM] = "{}",          [NO_EXT] = "{.}", [BASE] = "{/}", [DIR] = "{//}",
    [BASE_NO_EXT] = "{/.}", [SEQ] = "{#}",    [SLOT] = "{%}",
};

enum what replacement_find(const char *s, size_t *len)
{
    if (*s != '{')
        return LITERAL;
    for (int w = ITEM; w < WHATS; w++) {
        *len = strlen(strings[w]);
        if (!strncmp(s, strings[w], *len))
            return (enum what)w;
    }
    return LITERAL;
}

// As dirname(1): without the last name and the slashes around it.
static const char *directory(const char *s, size_t n, size_t *len)
{
    while (n && s[n - 1] == '/')
        n--;
    if (n == 0 && *s == '/')
        n = 1; // nothing but slashes
    while (n && s[n - 1] != '/')
        n--;
    while (n > 1 && s[n - 1] == '/')
        n--;
    *len = n ? n : 1;
    return n ? s : ".";
}

const char *replacement_of(enum what what, const char *item, size_t item_len, size_t *len)
{
    const char *end = item + item_len, *base = end;
    if (what == DIR)
        return directory(item, item_len, len);
    while (base > item && base[-1] != '/')
        base--;
    if (what == NO_EXT || what == BASE_NO_EXT) {
        const char *dot = memrchr(base, '.', (size_t)(end - base));
        if (dot)
            end = dot;
    }
    if (what == BASE || what == BASE_NO_EXT)
        item = base;
    *len = (size_t)(end - item);
    return item;
}
