// SPDX-License-Identifier: MIT
#include "key.h"
#include "say.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

// Two hashes of 64 bits: not against an enemy, who could write the joblog itself, but
// wide enough that no two commands of a list ever meet.
struct key key_of(const char *text)
{
    struct key k = {0xcbf29ce484222325u, 0x9e3779b97f4a7c15u};
    for (; *text; text++) {
        k.a = (k.a ^ (unsigned char)*text) * 0x100000001b3u;
        k.b = mix(k.b + (unsigned char)*text + 1);
    }
    k.a = mix(k.a);
    return k;
}

int key_compare(struct key x, struct key y)
{
    if (x.a != y.a)
        return x.a < y.a ? -1 : 1;
    return x.b == y.b ? 0 : x.b < y.b ? -1 : 1;
}

// A quoted word has its newlines and tabs between single quotes.
static const char newline[] = "'$'\\n''", tab[] = "'$'\\t''";
enum { ESCAPED = sizeof newline - 1 };

char *key_line(char *text)
{
    size_t special = 0;
    for (const char *p = text; *p; p++)
        special += *p == '\n' || *p == '\t';
    if (special == 0)
        return text;
    char *line = xrealloc(NULL, strlen(text) + special * ESCAPED + 1), *to = line;
    for (const char *p = text; *p; p++)
        if (*p == '\n' || *p == '\t')
            to = stpcpy(to, *p == '\n' ? newline : tab);
        else
            *to++ = *p;
    *to = '\0';
    free(text);
    return line;
}

char *key_shown(const char *line)
{
    char *text = xrealloc(NULL, strlen(line) * sizeof "'$'\\x00''" + 1), *to = text;
    for (; *line; line++)
        if (iscntrl((unsigned char)*line))
            to += sprintf(to, "'$'\\x%02x''", (unsigned char)*line);
        else
            *to++ = *line;
    *to = '\0';
    return text;
}

void key_plain(char *text)
{
    char *to = text;
    while (*text)
        if (!strncmp(text, newline, ESCAPED) || !strncmp(text, tab, ESCAPED)) {
            *to++ = text[4] == 'n' ? '\n' : '\t';
            text += ESCAPED;
        } else {
            *to++ = *text++;
        }
    *to = '\0';
}
