// SPDX-License-Identifier: MIT
#include "texts.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>

void texts_add(struct texts *t, const char *s, size_t len, const char *bad)
{
    if (t->size + len + 1 > t->cap) {
        t->cap = 2 * (t->size + len + 1) + 256;
        t->bytes = xrealloc(t->bytes, t->cap);
    }
    if (t->len == t->max) {
        t->max = 2 * t->max + 4;
        t->of = xrealloc(t->of, (size_t)t->max * sizeof *t->of);
    }
    memcpy(t->bytes + t->size, s, len);
    t->bytes[t->size + len] = '\0';
    t->of[t->len++] = (struct text){t->size, len, bad};
    t->size += len + 1;
}

void texts_copy(struct texts *t, const struct texts *from, int first, int n)
{
    for (int i = first; i < first + n; i++)
        texts_add(t, from->bytes + from->of[i].at, from->of[i].len, from->of[i].bad);
}

void texts_drop(struct texts *t, int n)
{
    if (n >= t->len) {
        t->len = 0;
        t->size = 0;
        return;
    }
    size_t gone = t->of[n].at;
    memmove(t->bytes, t->bytes + gone, t->size - gone);
    memmove(t->of, t->of + n, (size_t)(t->len - n) * sizeof *t->of);
    t->size -= gone;
    t->len -= n;
    for (int i = 0; i < t->len; i++)
        t->of[i].at -= gone;
}

void texts_cut(struct texts *t, int n)
{
    if (n >= t->len)
        return;
    t->size = t->of[n].at;
    t->len = n;
}

void texts_free(struct texts *t)
{
    free(t->bytes);
    free(t->of);
    *t = (struct texts){0};
}
