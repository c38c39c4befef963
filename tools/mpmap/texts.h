// SPDX-License-Identifier: MIT
//
// A growing list of texts, each ended by NUL: the arguments of jobs.
#ifndef MPMAP_TEXTS_H
#define MPMAP_TEXTS_H

#include <stddef.h>

struct text {
    size_t at, len;
    const char *bad; // why it cannot be an argument, or NULL
};

struct texts {
    char *bytes;
    size_t size, cap;
    struct text *of;
    int len, max;
};

void texts_add(struct texts *t, const char *s, size_t len, const char *bad);

// Adds the texts [first, first + n) of another list.
void texts_copy(struct texts *t, const struct texts *from, int first, int n);

// Drops the first n.
void texts_drop(struct texts *t, int n);

// Leaves the first n.
void texts_cut(struct texts *t, int n);

void texts_free(struct texts *t);

#endif
