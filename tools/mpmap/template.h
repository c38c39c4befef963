// SPDX-License-Identifier: MIT
//
// The command with its replacement strings: compiled once, expanded for each
// item. The text of an item is never looked at for replacement strings.
#ifndef MPMAP_TEMPLATE_H
#define MPMAP_TEMPLATE_H

#include "args.h"
#include "input.h"
#include "replacement.h"

struct part {
    enum what what;
    const char *text; // of a LITERAL
    size_t len;
};

struct word {
    int first, count; // in parts
};

struct template
{
    struct part *parts;
    int parts_len;
    struct word *words;
    int words_len;
    char **argv; // of the last expansion
    char *buf;
    size_t cap;
    char *script; // of -s
};

// Compiles a's command. 0, or an exit status after a message.
int template_compile(struct template *t, const struct args *a);

// The command for one item; valid until the next call and as long as the item.
char **template_expand(struct template *t, const struct item *item, long seq, int slot);

// The program that every item runs, or NULL when it comes from the item.
const char *template_program(const struct template *t);

void template_free(struct template *t);

#endif
