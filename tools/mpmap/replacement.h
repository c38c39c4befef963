// SPDX-License-Identifier: MIT
//
// The replacement strings: {} and its relatives, as GNU parallel has them, and a few
// more. One is a choice, which arguments, and a change, what of them:
//
//   {} {1} {-1} {name}     all arguments, the first, the last, the field `name`
//   . / // /. :            without extension, file name, directory, both, all extensions
//   ^suffix  s/a/b/        without a suffix, with a match of a replaced
#ifndef MPMAP_REPLACEMENT_H
#define MPMAP_REPLACEMENT_H

#include "command.h"
#include "input.h"

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

enum what {
    LITERAL,
    ITEM,
    NO_EXT,
    BASE,
    DIR,
    BASE_NO_EXT,
    NO_EXTS,
    STRIP,
    SUBST,
    SEQ,
    SLOT,
};

struct replacement {
    enum what what;
    int arg;          // 0: all; 1: the first; -1: the last
    const char *text; // of STRIP: the suffix; of SUBST: what comes in
    size_t len;
    regex_t *re; // of SUBST
    bool global;
};

// What replacement strings are looked for with.
struct replacing {
    const char *item;           // instead of "{}", or NULL
    const char *const *renamed; // as in struct args, or NULL
    struct names *names;        // of fields
};

// The replacement string at s and its length. 1, 0 if there is none there, or -1 after a message.
int replacement_find(const struct replacing *how, const char *s, size_t *len,
                     struct replacement *r);

// What stands for an argument; valid until the next call: in the argument, constant, or in
// memory of ours.
const char *replacement_of(const struct replacement *r, const char *arg, size_t arg_len,
                           size_t *len);

// Whether it is of arguments, not {#} or {%}.
static inline bool is_change(enum what what)
{
    return what != LITERAL && what != SEQ && what != SLOT;
}

// Which argument it is of, from 0, or -1 for none; 0 if of all.
int replacement_arg(const struct replacement *r, const struct item *item);

// Adds what stands for argument `arg`, or for the job's number or slot.
void replacement_put(const struct replacement *r, const struct item *item, int arg, long seq,
                     int slot, struct command *c);

void replacement_free(struct replacement *r);

#endif
